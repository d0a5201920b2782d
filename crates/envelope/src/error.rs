//! Errors of the envelope, sorted by blame.

use tokenim_identity::SuiteId;
use tokenim_wire::{DecodeError, EncodeError};

/// Why a message was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The recipient's key is of a suite that this version doesn't know. The recipient needs a newer sender.
    #[error("the recipient's envelope key is of suite {0}, which is not known here")]
    UnsupportedSuite(SuiteId),
    /// The recipient's key is none of its suite's: of small order, or not reduced. Whoever published it is at fault.
    #[error("the recipient's envelope key is not usable")]
    RecipientKey,
    /// The body is longer than [`MESSAGE_BODY_BYTES_MAX`](tokenim_wire::limits::MESSAGE_BODY_BYTES_MAX).
    #[error("the body has {actual} bytes; at most {limit} fit into an envelope")]
    BodyTooLong {
        /// The limit in bytes.
        limit: usize,
        /// The body's length in bytes.
        actual: usize,
    },
    /// The canonical encoding failed, which no value of the types involved should cause.
    #[error("the message could not be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// Why an envelope was not opened, or a message not taken for its sender's.
///
/// All but the last say what anyone can see in the outer header. Everything behind it is [`OpenError::Refused`], so that
/// an answer to a sender tells nothing about keys or content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The bytes are not an envelope.
    #[error("not an envelope: {0}")]
    Malformed(#[from] DecodeError),
    /// The envelope is of a suite that this version doesn't know.
    #[error("the envelope is of suite {0}, which is not known here")]
    UnsupportedSuite(SuiteId),
    /// The envelope is of a suite that is known but not this device's. In particular a device whose key is X-Wing takes
    /// no X25519 envelope.
    #[error("the envelope is of suite {0}, which is not this device's")]
    OtherSuite(SuiteId),
    /// The expiry named in the outer header is past by more than the clock skew allowed.
    #[error("the envelope has expired")]
    Expired,
    /// The expiry named in the outer header is further off than an envelope may live.
    #[error("the envelope expires later than allowed")]
    LifetimeTooLong,
    /// Anything else: wrong key, network, recipient or sender, damage, forgery.
    #[error("the envelope is refused")]
    Refused,
}
