//! What a message of a session says.

use crate::secret::{Octets, Secret32, Text, TextError};
use alloc::{string::String, vec::Vec};
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, de};
use tokenim_envelope::{Checkpoint, MessageId};
use tokenim_mailbox::group::GroupEntryId;
use tokenim_wire::{
    BoundedString, BoundedVec, DecodeError, Digest, EncodeError, Label, Object, UnixMillis, bytes_newtype, encode_into,
    encoded_len, hash,
    limits::{
        ATTACHMENT_BYTES_MAX, ATTACHMENT_NAME_BYTES_MAX, ATTACHMENT_TYPE_BYTES_MAX, SESSION_BODY_BYTES_MAX,
        SESSION_EXTENSION_BYTES_MAX, SESSION_EXTENSION_NAME_BYTES_MAX, SESSION_MARKS_MAX, SESSION_REACTION_BYTES_MAX,
        SESSION_TEXT_BYTES_MAX,
    },
};
use zeroize::Zeroizing;

/// The text of a message.
pub type MessageText = Text<SESSION_TEXT_BYTES_MAX>;
/// A reaction: an emoji, or any other short text.
pub type Reaction = Text<SESSION_REACTION_BYTES_MAX>;
/// The body of an extension, which only those who know it can read.
pub type ExtensionBody = Octets<SESSION_EXTENSION_BYTES_MAX>;

bytes_newtype! {
    /// Where its author stands in the session: the entry of the group log that is the author's epoch, and the
    /// authenticator of that epoch. The same for all members of an epoch, if they are shown the same ledger.
    pub struct EpochView([u8; 32]);
}

impl EpochView {
    /// The label of views.
    pub const LABEL: Label = Label::new("tokenim/session-view/v1");

    /// The view of who stands at this entry with this authenticator (RFC 9420, section 8.7):
    /// `H("tokenim/session-view/v1", entry 32 ‖ authenticator 32)`.
    #[must_use]
    pub fn of(entry: &GroupEntryId, authenticator: &[u8; 32]) -> Self {
        Self::from_bytes(hash(Self::LABEL, &[entry.as_bytes(), authenticator]).to_bytes())
    }
}

/// One message of a session, as MLS encrypts it.
///
/// ```text
/// ┌─────────┬────┬──────┬────────┬────────┬────────┬────────────────────────┬─────────┐
/// │ version │ id │ view │ epoch  │ clock  │ sent   │ checkpoint: 0, or      │ content │   at most 62,464 bytes
/// │ 1       │ 16 │ 32   │ varint │ varint │ varint │ 1, height v, header 32 │         │
/// └─────────┴────┴──────┴────────┴────────┴────────┴────────────────────────┴─────────┘
/// ```
///
/// Who wrote it and with which device, says MLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Its id, chosen at random by its author.
    pub id: MessageId,
    /// Where its author stands.
    pub view: EpochView,
    /// The epoch in which it was said for the first time, never a later one than that in which MLS encrypted it. A message
    /// not stored when its epoch ended is encrypted again in the next: only `view` and `checkpoint` differ.
    pub epoch: u64,
    /// One more than the highest that its author has seen in this epoch: see [`OrderKey`](crate::OrderKey).
    pub clock: u64,
    /// When it was written, by its author's clock: what the author says, for people to see. It puts nothing in order.
    pub sent: UnixMillis,
    /// The newest final header that its author's device knew when it was encrypted, if it knew one.
    pub checkpoint: Option<Checkpoint>,
    /// What it says.
    pub content: Content,
}

impl Object for Body {
    const NAME: &'static str = "session message";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = SESSION_BODY_BYTES_MAX;
}

impl Body {
    /// The encoding, in a buffer that is wiped and has not grown, so that no copy is left behind.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] beyond [`SESSION_BODY_BYTES_MAX`].
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
        let actual = encoded_len(self)?.saturating_add(1);
        if actual > Self::BYTES_MAX {
            let limit = Self::BYTES_MAX;
            return Err(EncodeError::TooLong { limit, actual });
        }
        let mut out = Zeroizing::new(Vec::with_capacity(actual));
        out.push(Self::VERSION);
        encode_into(self, &mut out)?;
        Ok(out)
    }

    /// Decodes a body. A content that this version does not know is malformed: what comes later comes as an
    /// [extension](Content::Extension), or with another version.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_bytes(bytes)
    }
}

/// What a message says.
///
/// Encoded as its number (varint) and its fields in their order. A number never changes its meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// 0: a text.
    Text(MessageText),
    /// 1: a text in answer to a message.
    Reply {
        /// The message, of anyone.
        to: MessageId,
        /// The text.
        text: MessageText,
    },
    /// 2: a reaction to a message; it replaces the author's reaction before it.
    Reaction {
        /// The message, of anyone.
        to: MessageId,
        /// The reaction; `None` takes it back.
        emoji: Option<Reaction>,
    },
    /// 3: another text in place of that of a message.
    Edit {
        /// The message, of the same author: others' are not edited.
        of: MessageId,
        /// The text.
        text: MessageText,
    },
    /// 4: takes a message back.
    Delete {
        /// The message, of the same author: others' are not deleted.
        of: MessageId,
    },
    /// 5: says that the author's device has these messages.
    Delivered {
        /// Which.
        ids: Marks,
    },
    /// 6: says that the author has read these messages.
    Read {
        /// Which.
        ids: Marks,
    },
    /// 7: a file.
    Attachment(AttachmentRef),
    /// 8: the author is typing. Of no use after a few seconds, and never kept.
    Typing,
    /// 9: something that a later version or another client defines.
    Extension {
        /// What it is.
        name: ExtensionName,
        /// Whether a reader that does not know it must not go on as if nothing had been said.
        required: bool,
        /// The rest.
        body: ExtensionBody,
    },
}

/// What a reader makes of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// Known here.
    Known(&'a Content),
    /// Kept, and shown as something that this version can't show.
    Opaque(&'a ExtensionName),
}

/// An extension that this reader does not know, but whose author says that it must be known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message needs the extension {name}, which is not known here: a newer version may know it")]
pub struct UnknownExtension {
    /// Which.
    pub name: ExtensionName,
}

impl Content {
    /// A text.
    ///
    /// # Errors
    /// [`TextError`] if it is empty or longer than [`SESSION_TEXT_BYTES_MAX`] bytes.
    pub fn text(text: impl Into<String>) -> Result<Self, TextError> {
        Text::new(text).map(Self::Text)
    }

    /// How to read it, for a reader that knows these extensions: an unknown one is kept if it may be ignored, and refused
    /// if it may not.
    ///
    /// # Errors
    /// [`UnknownExtension`].
    pub fn read<'a>(&'a self, known: &[&str]) -> Result<Reading<'a>, UnknownExtension> {
        match self {
            Self::Extension { name, required, .. } if !known.contains(&name.as_str()) => {
                if *required {
                    Err(UnknownExtension { name: name.clone() })
                } else {
                    Ok(Reading::Opaque(name))
                }
            }
            _ => Ok(Reading::Known(self)),
        }
    }

    /// Whether it is kept among the messages of a conversation: no mark, no hint, no deletion.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        !matches!(
            self,
            Self::Delivered { .. } | Self::Read { .. } | Self::Typing | Self::Delete { .. }
        )
    }

    /// Whether it is worth keeping by itself: not a sign of life, not about other messages.
    #[must_use]
    pub const fn is_message(&self) -> bool {
        matches!(
            self,
            Self::Text(_) | Self::Reply { .. } | Self::Attachment(_) | Self::Extension { .. }
        )
    }
}

/// Has the decoding of a newtype check as its constructor does.
macro_rules! checked {
    ($name:ident, $inner:ty) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::checked(<$inner>::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    };
}

/// 1 to 256 messages, each once. Encoded as their number (varint) and the ids, ascending.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Marks(BoundedVec<MessageId, SESSION_MARKS_MAX>);

/// Why messages can't be marked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MarksError {
    /// There are none.
    #[error("no message is marked")]
    Empty,
    /// There are more than [`SESSION_MARKS_MAX`].
    #[error("more than {SESSION_MARKS_MAX} messages are marked at once")]
    TooMany,
    /// They are not in ascending order, each once. Only bytes from outside are at fault so.
    #[error("the marked messages are not in ascending order, each once")]
    Order,
}

impl Marks {
    /// These messages, in any order and with repetitions.
    ///
    /// # Errors
    /// [`MarksError`] for none or too many.
    pub fn new(ids: impl IntoIterator<Item = MessageId>) -> Result<Self, MarksError> {
        let mut ids: Vec<_> = ids.into_iter().take(SESSION_MARKS_MAX.saturating_mul(4)).collect();
        ids.sort_unstable();
        ids.dedup();
        Self::checked(BoundedVec::try_from(ids).map_err(|_| MarksError::TooMany)?)
    }

    fn checked(ids: BoundedVec<MessageId, SESSION_MARKS_MAX>) -> Result<Self, MarksError> {
        if ids.is_empty() {
            Err(MarksError::Empty)
        } else if !ids.is_sorted_by(|one, next| one < next) {
            Err(MarksError::Order)
        } else {
            Ok(Self(ids))
        }
    }

    /// The messages, ascending.
    #[must_use]
    pub const fn as_slice(&self) -> &[MessageId] {
        self.0.as_slice()
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marks([redacted])")
    }
}

checked!(Marks, BoundedVec<MessageId, SESSION_MARKS_MAX>);

/// Where a file is, how to open it, and what to call it.
///
/// ```text
/// digest 32 ‖ key 32 ‖ bytes v ‖ name: length v, bytes ‖ mime: length v, bytes
/// ```
///
/// Name, type and length are what the sender says. Whoever shows the file checks the length, and does not choose a
/// program by the type alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentRef {
    /// Names what is stored: the root over its encrypted pieces.
    pub digest: Digest,
    /// Opens it.
    pub key: Secret32,
    /// Length of the file in bytes, at most [`ATTACHMENT_BYTES_MAX`].
    pub bytes: AttachmentLength,
    /// What to call it.
    pub name: FileName,
    /// What kind of file it is.
    pub mime: MediaType,
}

impl fmt::Debug for AttachmentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttachmentRef([redacted])")
    }
}

/// Why the description of an attachment is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachmentError {
    /// It is longer than attachments are.
    #[error("an attachment has at most {ATTACHMENT_BYTES_MAX} bytes")]
    TooLong,
    /// The name is empty, too long, has a character that is none of a name, or means a folder.
    #[error("the name of the attachment is not that of a file")]
    Name,
    /// The type is not of the form `type/subtype` in small letters.
    #[error("the media type of the attachment is not of the form type/subtype, in small letters")]
    Type,
}

/// The length of an attachment in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AttachmentLength(u64);

impl AttachmentLength {
    /// This many bytes.
    ///
    /// # Errors
    /// [`AttachmentError::TooLong`] beyond [`ATTACHMENT_BYTES_MAX`].
    pub const fn new(bytes: u64) -> Result<Self, AttachmentError> {
        Self::checked(bytes)
    }

    const fn checked(bytes: u64) -> Result<Self, AttachmentError> {
        if bytes > ATTACHMENT_BYTES_MAX {
            Err(AttachmentError::TooLong)
        } else {
            Ok(Self(bytes))
        }
    }

    /// How many.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

checked!(AttachmentLength, u64);

/// The name of a file, without any folder: 1 to 255 bytes, no control character, neither `/` nor `\`, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct FileName(Text<ATTACHMENT_NAME_BYTES_MAX>);

impl FileName {
    /// Takes a name.
    ///
    /// # Errors
    /// [`AttachmentError::Name`].
    pub fn new(name: impl Into<String>) -> Result<Self, AttachmentError> {
        Self::checked(Text::new(name).map_err(|_| AttachmentError::Name)?)
    }

    fn checked(name: Text<ATTACHMENT_NAME_BYTES_MAX>) -> Result<Self, AttachmentError> {
        let is_folder = matches!(name.as_str(), "." | "..");
        let is_path = |character: char| matches!(character, '/' | '\\') || character.is_control();
        if is_folder || name.chars().any(is_path) {
            return Err(AttachmentError::Name);
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileName([redacted])")
    }
}

checked!(FileName, Text<ATTACHMENT_NAME_BYTES_MAX>);

/// A media type `type/subtype` (RFC 6838, section 4.2) in small letters, without parameters, at most 127 bytes.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct MediaType(BoundedString<ATTACHMENT_TYPE_BYTES_MAX>);

impl MediaType {
    /// Takes a type.
    ///
    /// # Errors
    /// [`AttachmentError::Type`].
    pub fn new(text: &str) -> Result<Self, AttachmentError> {
        Self::checked(BoundedString::try_from(text).map_err(|_| AttachmentError::Type)?)
    }

    fn checked(text: BoundedString<ATTACHMENT_TYPE_BYTES_MAX>) -> Result<Self, AttachmentError> {
        let is_name = |part: &str| {
            let mut bytes = part.bytes();
            let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            bytes.next().is_some_and(small) && bytes.all(|byte| small(byte) || b"!#$&-^_.+".contains(&byte))
        };
        match text.split_once('/') {
            Some((kind, subtype)) if is_name(kind) && is_name(subtype) => Ok(Self(text)),
            _ => Err(AttachmentError::Type),
        }
    }

    /// The type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MediaType([redacted])")
    }
}

checked!(MediaType, BoundedString<ATTACHMENT_TYPE_BYTES_MAX>);

/// The name of an extension: 1 to 64 small letters, digits and `.`, `-`, `_`, `/`. To be unique, it begins with a domain
/// of its author, as in `org.example/poll`; those of this project begin with `tokenim/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ExtensionName(BoundedString<SESSION_EXTENSION_NAME_BYTES_MAX>);

/// A text that is not the name of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of an extension has 1 to 64 small letters, digits and . - _ /")]
pub struct ExtensionNameError;

impl ExtensionName {
    /// Takes a name.
    ///
    /// # Errors
    /// [`ExtensionNameError`].
    pub fn new(name: &str) -> Result<Self, ExtensionNameError> {
        Self::checked(BoundedString::try_from(name).map_err(|_| ExtensionNameError)?)
    }

    fn checked(name: BoundedString<SESSION_EXTENSION_NAME_BYTES_MAX>) -> Result<Self, ExtensionNameError> {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_/".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_part) {
            return Err(ExtensionNameError);
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ExtensionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

checked!(ExtensionName, BoundedString<SESSION_EXTENSION_NAME_BYTES_MAX>);
