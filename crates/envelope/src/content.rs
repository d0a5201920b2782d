//! What a message carries.

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};
use tokenim_wire::{Digest, Height};
use zeroize::{Zeroize, ZeroizeOnDrop};

tokenim_wire::bytes_newtype! {
    /// Names one message of one sender, chosen at random by the sender: 16 bytes.
    ///
    /// A message sealed to several devices has the same id in every envelope, so that a reader can drop duplicates.
    pub struct MessageId([u8; 16]);
}

impl MessageId {
    /// A fresh random id.
    #[must_use]
    pub fn generate(rng: &mut (impl rand_core::CryptoRng + ?Sized)) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self::from_bytes(bytes)
    }
}

/// The newest final header that a sender knows, told to the recipient inside of the signed payload.
///
/// Two people who are shown different ledgers find out by it: the recipient holds a header of that height, or proves
/// that it is not the one. Nothing here checks it; it is what the sender says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The header's height.
    pub height: Height,
    /// The header's digest.
    pub header: Digest,
}

/// How the body of a message is to be read. Unknown kinds are delivered as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContentKind(u16);

impl ContentKind {
    /// UTF-8 text.
    pub const TEXT: Self = Self(1);
    /// Bytes without a meaning of their own.
    pub const BYTES: Self = Self(2);
    /// The opening of a linked account: `Opening` of `tokenim-wallet`, encoded.
    pub const ACCOUNT: Self = Self(3);

    /// The kind with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// A kind and a body of at most [`MESSAGE_BODY_BYTES_MAX`](tokenim_wire::limits::MESSAGE_BODY_BYTES_MAX) bytes.
///
/// Wiped when dropped; prints neither kind nor body nor length. To move the body out, use [`Content::into_body`].
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// How to read the body.
    pub kind: ContentKind,
    /// The body.
    pub body: Vec<u8>,
}

impl Content {
    /// A text message.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            kind: ContentKind::TEXT,
            body: text.into().into_bytes(),
        }
    }

    /// A message of plain bytes.
    #[must_use]
    pub fn bytes(body: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: ContentKind::BYTES,
            body: body.into(),
        }
    }

    /// The text, if the kind says text and the body is UTF-8. A sender can claim text and send anything.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if self.kind == ContentKind::TEXT {
            core::str::from_utf8(&self.body).ok()
        } else {
            None
        }
    }

    /// The body, which is then the caller's to wipe.
    #[must_use]
    pub fn into_body(mut self) -> Vec<u8> {
        core::mem::take(&mut self.body)
    }
}

impl Zeroize for Content {
    fn zeroize(&mut self) {
        self.kind.0.zeroize();
        self.body.zeroize();
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for Content {}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content([redacted])")
    }
}
