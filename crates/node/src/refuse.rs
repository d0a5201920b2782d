//! Refusals in one place, so that the same thing is always called the same.

use crate::rate::Limited;
use std::time::Duration;
use tokenim_execution::MempoolError;
use tokenim_mailbox::CapabilityError;
use tokenim_rpc::{ErrorCode, RpcError};
use tokenim_storage::StoreError;

/// Milliseconds after which to ask again a node that starts.
const STARTING_RETRY_MS: u32 = 250;
/// Milliseconds after which to ask again when the network makes no progress.
const STALLED_RETRY_MS: u32 = 1000;
/// Milliseconds after which to ask again a node that has too much to do.
const BUSY_RETRY_MS: u32 = 200;
/// Milliseconds after which to ask again for what is not final yet.
const PENDING_RETRY_MS: u32 = 500;
/// Milliseconds after which to try again to write to a full mailbox or disk.
const FULL_RETRY_MS: u32 = 60_000;

/// A wait in milliseconds, at least one.
pub(crate) fn millis(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1)
}

pub(crate) fn rate_limited(wait: Duration) -> RpcError {
    RpcError::retry(
        ErrorCode::RATE_LIMITED,
        "too many requests: wait before asking again",
        millis(wait),
    )
}

pub(crate) fn limited(limited: Limited) -> RpcError {
    match limited {
        Limited::Wait(wait) => rate_limited(wait),
        Limited::TooMany => busy(),
    }
}

pub(crate) fn busy() -> RpcError {
    RpcError::retry(
        ErrorCode::BUSY,
        "the node has too much to do: ask again or ask another",
        BUSY_RETRY_MS,
    )
}

pub(crate) fn starting() -> RpcError {
    RpcError::retry(
        ErrorCode::STARTING,
        "the node is starting: ask again or ask another",
        STARTING_RETRY_MS,
    )
}

pub(crate) fn stalled() -> RpcError {
    RpcError::retry(
        ErrorCode::NOT_PROGRESSING,
        "the network finalises no blocks at the moment: too few of its validators are reachable; ask again",
        STALLED_RETRY_MS,
    )
}

pub(crate) fn stopping() -> RpcError {
    RpcError::new(ErrorCode::STOPPING, "the node is stopping: ask another")
}

pub(crate) fn pending(message: &str) -> RpcError {
    RpcError::retry(ErrorCode::PENDING, message, PENDING_RETRY_MS)
}

pub(crate) fn not_found(message: &str) -> RpcError {
    RpcError::new(ErrorCode::NOT_FOUND, message)
}

pub(crate) fn role_disabled(message: &str) -> RpcError {
    RpcError::new(ErrorCode::ROLE_DISABLED, message)
}

pub(crate) fn not_in_swarm() -> RpcError {
    RpcError::new(
        ErrorCode::NOT_IN_SWARM,
        "this node does not keep this mailbox: look the node set up again",
    )
}

pub(crate) fn nodes_only() -> RpcError {
    RpcError::new(ErrorCode::NODES_ONLY, "only registered nodes may ask this")
}

/// A fault of this node; what it was is in its log.
pub(crate) fn internal() -> RpcError {
    RpcError::new(ErrorCode::INTERNAL, "the node failed: ask another")
}

pub(crate) fn capability(error: CapabilityError) -> RpcError {
    let code = match error {
        CapabilityError::WrongNode => ErrorCode::FOREIGN_NODE,
        CapabilityError::Expired
        | CapabilityError::LifetimeTooLong
        | CapabilityError::EnvelopeExpired
        | CapabilityError::EnvelopeLifetimeTooLong
        | CapabilityError::Contact(_) => ErrorCode::BAD_EXPIRY,
        CapabilityError::PostageMissing | CapabilityError::PostageTooLow { .. } => ErrorCode::POSTAGE_TOO_LOW,
        CapabilityError::PostageStale => ErrorCode::POSTAGE_STALE,
        _ => ErrorCode::UNAUTHORIZED,
    };
    RpcError::new(code, &error.to_string())
}

pub(crate) fn store(error: &StoreError) -> RpcError {
    match error {
        StoreError::MailboxFull => RpcError::retry(ErrorCode::MAILBOX_FULL, &error.to_string(), FULL_RETRY_MS),
        StoreError::Full => storage_full(),
        StoreError::Busy => busy(),
        StoreError::TooLarge { .. } => RpcError::new(ErrorCode::TOO_LARGE, &error.to_string()),
        StoreError::Mismatch => RpcError::new(ErrorCode::ENVELOPE_MISMATCH, &error.to_string()),
        StoreError::Closed => stopping(),
        _ => {
            tracing::error!(%error, "the store failed");
            internal()
        }
    }
}

pub(crate) fn storage_full() -> RpcError {
    RpcError::retry(
        ErrorCode::STORAGE_FULL,
        "the node has no room for more envelopes: use another, or wait until some have expired",
        FULL_RETRY_MS,
    )
}

pub(crate) fn mempool(error: &MempoolError) -> RpcError {
    match error {
        MempoolError::Expired => RpcError::new(ErrorCode::INVALID_TRANSACTION, &error.to_string()),
        _ => busy(),
    }
}
