#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

mod blob;
mod error;
mod mailbox;
mod maybe_send;
#[cfg(feature = "std")]
pub mod memory;
mod state;
#[cfg(feature = "test-suite")]
pub mod test_suite;

pub use blob::{BlobStore, SHARD_BYTES_MAX, ShardId, check_shard};
pub use error::StoreError;
pub use mailbox::{LogHead, Logged, MailboxLimits, MailboxStats, MailboxStore, Page, Put, PutOutcome, Stored};
pub use maybe_send::MaybeSend;
pub use state::{Batch, KeyRange, Row, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX, StateStore, Table, scan_range};
