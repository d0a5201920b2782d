//! What was said before a device came, as another device of the same owner hands it over.

use alloc::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize, de};
use tokenim_identity::IdentityId;
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::{
    BoundedString, BoundedVec, EncodeError, UnixMillis, encoded_len,
    limits::{GROUP_NAME_BYTES_MAX, HISTORY_PAGE_MESSAGES_MAX, MESSAGE_BODY_BYTES_MAX},
};

use crate::{content::Content, order::OrderKey, shown::ConversationId};

/// Which conversation a page is of.
///
/// ```text
/// 0 v ‖ the other one's identity 32              two people
/// 1 v ‖ handle 32 ‖ name: length v, bytes        a group
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageOf {
    /// 0: of the owner and somebody else.
    Direct(IdentityId),
    /// 1: a group, and how it is called.
    Group(GroupHandle, BoundedString<GROUP_NAME_BYTES_MAX>),
}

impl PageOf {
    /// The conversation's name on the devices of this owner; `None` if it would be one with itself.
    #[must_use]
    pub fn conversation(&self, owner: &IdentityId) -> Option<ConversationId> {
        match self {
            Self::Direct(with) if with == owner => None,
            Self::Direct(with) => Some(ConversationId::between(owner, with)),
            Self::Group(handle, _) => Some(ConversationId::group(handle)),
        }
    }
}

/// One message that is handed over.
///
/// ```text
/// epoch v ‖ clock v ‖ device 32 ‖ id 16 ‖ author 32 ‖ sent v ‖ 0, or 1 ‖ gone v ‖ content
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Its place.
    pub order: OrderKey,
    /// Who said it.
    pub author: IdentityId,
    /// When, by the author's clock.
    pub sent: UnixMillis,
    /// When it disappears, if it does.
    pub gone: Option<UnixMillis>,
    /// What it says: something that [is kept](Content::is_kept).
    pub content: Content,
}

/// Why messages are no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// There are none.
    #[error("a page without messages")]
    Empty,
    /// There are more than [`HISTORY_PAGE_MESSAGES_MAX`].
    #[error("more than {HISTORY_PAGE_MESSAGES_MAX} messages on a page")]
    TooMany,
    /// They are not in their order, each once.
    #[error("the messages of a page are not in their order, each once")]
    Order,
    /// One is a mark, a hint or a deletion, which is never kept.
    #[error("something on the page is no message that is kept")]
    Kind,
    /// The name of the group has control characters.
    #[error("the name of the group has control characters")]
    Name,
    /// A value has no encoding.
    #[error("the page could not be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// Messages of one conversation, in their order.
///
/// ```text
/// ┌────┬──────────────────────┬──────────┐
/// │ of │ number of messages   │ messages │   1 to 256 messages, with all around them at most 62,464 bytes
/// │    │ v                    │          │
/// └────┴──────────────────────┴──────────┘
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    of: PageOf,
    messages: BoundedVec<Said, HISTORY_PAGE_MESSAGES_MAX>,
}

impl Page {
    /// Bytes around a page in a note: the version and the note's number.
    const AROUND: usize = 2;

    fn checked(self) -> Result<Self, PageError> {
        let name = match &self.of {
            PageOf::Direct(_) => "",
            PageOf::Group(_, name) => name.as_str(),
        };
        if name.chars().any(char::is_control) {
            Err(PageError::Name)
        } else if self.messages.is_empty() {
            Err(PageError::Empty)
        } else if !self.messages.is_sorted_by(|one, next| one.order < next.order) {
            Err(PageError::Order)
        } else if !self.messages.iter().all(|said| said.content.is_kept()) {
            Err(PageError::Kind)
        } else {
            Ok(self)
        }
    }

    /// The page with these messages, in their order.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn new(of: PageOf, messages: Vec<Said>) -> Result<Self, PageError> {
        let messages = BoundedVec::try_from(messages).map_err(|_| PageError::TooMany)?;
        Self { of, messages }.checked()
    }

    /// A page of as many of these messages as fit into one note, which come in descending order; those that are left stay
    /// in the iterator, but for the first that did not fit. `None` if there are none.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn fill(of: PageOf, newest_first: impl IntoIterator<Item = Said>) -> Result<Option<Self>, PageError> {
        // The number of messages takes two bytes at most.
        let mut bytes = encoded_len(&of)?.saturating_add(Self::AROUND).saturating_add(2);
        let mut messages = Vec::new();
        for said in newest_first {
            bytes = bytes.saturating_add(encoded_len(&said)?);
            if bytes > MESSAGE_BODY_BYTES_MAX || messages.len() >= HISTORY_PAGE_MESSAGES_MAX {
                break;
            }
            messages.push(said);
        }
        if messages.is_empty() {
            return Ok(None);
        }
        messages.reverse();
        Self::new(of, messages).map(Some)
    }

    /// Of which conversation.
    #[must_use]
    pub const fn of(&self) -> &PageOf {
        &self.of
    }

    /// The messages, in their order.
    #[must_use]
    pub const fn messages(&self) -> &[Said] {
        self.messages.as_slice()
    }
}

impl<'de> Deserialize<'de> for Page {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The same fields, not yet checked.
        #[derive(Deserialize)]
        struct Unchecked {
            of: PageOf,
            messages: BoundedVec<Said, HISTORY_PAGE_MESSAGES_MAX>,
        }
        let Unchecked { of, messages } = Unchecked::deserialize(deserializer)?;
        Self { of, messages }.checked().map_err(de::Error::custom)
    }
}
