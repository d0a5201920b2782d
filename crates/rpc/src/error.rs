//! Refusals.

use crate::limits::ERROR_MESSAGE_BYTES_MAX;
use crate::{HeaderError, Kind};
use alloc::string::ToString;
use core::fmt;
use serde::{Deserialize, Serialize};
use tokenim_wire::{BoundedString, DecodeError};

/// Who has to change something before the same request can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Blame {
    /// The bytes: 100 to 199. Sending them again is pointless.
    Input,
    /// The caller's rights, proofs or choice of node: 200 to 299.
    Caller,
    /// Nobody; the caller has to wait: 300 to 399.
    Load,
    /// The node: 400 to 499. Ask another one.
    Node,
    /// A code of a later version.
    Unknown,
}

/// Declares the codes with their names, so that number, constant and name stand in one line.
macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $constant: Self = Self($number);)*

            /// Every code of this version, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];

            /// Its name in kebab case; `unknown` for a code of a later version.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => $name,)*
                    _ => "unknown",
                }
            }
        }
    };
}

/// Why a node refuses: a number that keeps its meaning for ever. The hundreds say who is to blame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ErrorCode(u16);

codes! {
    /// The request is no request: neither canonical nor complete, or with a field out of its bounds.
    MALFORMED = 100, "malformed";
    /// The request, or a part of it, is longer than its limit.
    TOO_LARGE = 101, "too-large";
    /// The stream ended before the request did.
    TRUNCATED = 102, "truncated";
    /// The request has a version that this node does not know.
    UNSUPPORTED_VERSION = 103, "unsupported-version";
    /// The stream names another network.
    FOREIGN_NETWORK = 104, "foreign-network";
    /// The stream is of a kind that this node does not serve to this caller.
    UNSUPPORTED_STREAM = 105, "unsupported-stream";
    /// The envelope does not have the id that the request names.
    ENVELOPE_MISMATCH = 106, "envelope-mismatch";
    /// An expiry has passed, or lies too far ahead.
    BAD_EXPIRY = 107, "bad-expiry";
    /// The request did not arrive in time.
    TOO_SLOW = 108, "too-slow";

    /// The descriptor, key or signature gives no right to this mailbox.
    UNAUTHORIZED = 200, "unauthorized";
    /// The request is signed for another node.
    FOREIGN_NODE = 201, "foreign-node";
    /// This node is not one of those that keep the tag.
    NOT_IN_SWARM = 202, "not-in-swarm";
    /// Only registered nodes may ask this.
    NODES_ONLY = 203, "nodes-only";
    /// The quorum receipt does not verify against the node set.
    INVALID_RECEIPT = 204, "invalid-receipt";
    /// The transaction can never be applied.
    INVALID_TRANSACTION = 205, "invalid-transaction";
    /// The postage is not worth what the inbox asks for, or there is none.
    POSTAGE_TOO_LOW = 206, "postage-too-low";
    /// The postage is of another hour than the node's clock shows.
    POSTAGE_STALE = 207, "postage-stale";
    /// The node hands out a contact stock with a higher number, or another one with the same.
    OUTDATED_STOCK = 208, "outdated-stock";

    /// The caller asked too often.
    RATE_LIMITED = 300, "rate-limited";
    /// The node has too much to do.
    BUSY = 301, "busy";
    /// The mailbox is full until something in it expires.
    MAILBOX_FULL = 302, "mailbox-full";
    /// What was asked for is not final yet.
    PENDING = 303, "pending";

    /// The node does not have it.
    NOT_FOUND = 400, "not-found";
    /// The node is starting and does not serve yet.
    STARTING = 401, "starting";
    /// The network does not finalise blocks at the moment.
    NOT_PROGRESSING = 402, "not-progressing";
    /// The node's disk or quota is full.
    STORAGE_FULL = 403, "storage-full";
    /// The node is stopping.
    STOPPING = 404, "stopping";
    /// The node does not have the role that the request needs.
    ROLE_DISABLED = 405, "role-disabled";
    /// The node failed.
    INTERNAL = 406, "internal";
}

impl ErrorCode {
    /// The code with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Who has to change something.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self.0 {
            100..=199 => Blame::Input,
            200..=299 => Blame::Caller,
            300..=399 => Blame::Load,
            400..=499 => Blame::Node,
            _ => Blame::Unknown,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.name())
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorCode({self})")
    }
}

/// A refusal: what, for how long, and why in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RpcError {
    /// Why; programs decide by this alone.
    pub code: ErrorCode,
    /// Milliseconds after which the same request may be repeated to the same node; 0 where repeating it is pointless.
    pub retry_after_ms: u32,
    /// What was wrong and what to do, in English, without content, keys or tags.
    pub message: BoundedString<ERROR_MESSAGE_BYTES_MAX>,
}

impl RpcError {
    /// A refusal that repeating the request does not change.
    #[must_use]
    pub fn new(code: ErrorCode, message: &str) -> Self {
        Self::retry(code, message, 0)
    }

    /// A refusal for the next `retry_after_ms` milliseconds.
    #[must_use]
    pub fn retry(code: ErrorCode, message: &str, retry_after_ms: u32) -> Self {
        let mut end = message.len().min(ERROR_MESSAGE_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let message = message
            .get(..end)
            .and_then(|text| BoundedString::try_from(text).ok())
            .unwrap_or_default();
        Self {
            code,
            retry_after_ms,
            message,
        }
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message.as_str(), self.code)
    }
}

impl core::error::Error for RpcError {}

impl From<DecodeError> for RpcError {
    fn from(error: DecodeError) -> Self {
        let code = match error {
            DecodeError::TooLong { .. } => ErrorCode::TOO_LARGE,
            DecodeError::Truncated => ErrorCode::TRUNCATED,
            DecodeError::UnknownVersion { .. } => ErrorCode::UNSUPPORTED_VERSION,
            _ => ErrorCode::MALFORMED,
        };
        Self::new(code, &error.to_string())
    }
}

impl From<HeaderError> for RpcError {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::Malformed(inner) => Self {
                message: Self::new(ErrorCode::MALFORMED, &error.to_string()).message,
                ..Self::from(inner)
            },
            HeaderError::ForeignNetwork => Self::new(ErrorCode::FOREIGN_NETWORK, &error.to_string()),
        }
    }
}

/// Why a response is not the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The node answered something else: it misbehaves.
    #[error("the node answered {got} where {expected} was asked")]
    Unexpected {
        /// What was asked.
        expected: Kind,
        /// What was answered.
        got: Kind,
    },
    /// The node refused.
    #[error("the node refused: {0}")]
    Refused(RpcError),
}
