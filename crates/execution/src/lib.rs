#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

mod batch;
mod error;
mod executor;
mod genesis;
mod machine;
mod mempool;
mod overlay;
mod reader;
mod tables;
mod tree;

pub use error::{ExecutionError, InvalidBlock};
pub use executor::{BLOCK_TIME_AHEAD_MILLIS_MAX, Committed, Executed, Executor, OVERLAYS_MAX, Proposal};
pub use genesis::genesis_block;
pub use mempool::{BlockRoom, Mempool, MempoolError, MempoolLimits};
pub use reader::{Reader, STATE_HISTORY_HEIGHTS};
