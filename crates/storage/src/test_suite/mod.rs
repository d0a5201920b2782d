//! With which an engine proves itself: call these from its tests, each with a way to make empty stores.
//!
//! ```
//! # if false {
//! use tokenim_storage::{memory::{MemoryBlobStore, MemoryMailboxStore, MemoryStateStore}, test_suite};
//!
//! test_suite::state_store(MemoryStateStore::new);
//! test_suite::mailbox_store(|limits| MemoryMailboxStore::with_limits(limits, u64::MAX));
//! test_suite::blob_store(MemoryBlobStore::new);
//! # }
//! ```
//!
//! An engine whose stores outlast the process also calls the `…_reopening` ones. `TOKENIM_SUITE_SEEDS` sets the number
//! of pseudo-random sequences of operations that are compared with a model, 4 if it is not set.
//!
//! A promise that is not kept is a panic that says which.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests, compiled only where engines are tested"
)]

mod blob;
mod mailbox;
mod mailbox_model;
mod state;

pub use blob::{blob_model, blob_store, blob_store_reopening};
pub use mailbox::{mailbox_store, mailbox_store_reopening};
pub use mailbox_model::{MODEL_LIMITS, check_log, mailbox_model};
pub use state::{state_model, state_store, state_store_reopening};

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread, without a runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Pseudo-random bytes (SplitMix64), so that the suite needs no crate for them.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    out.truncate(length);
    out
}

/// The seeds of the sequences to compare with a model.
fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("TOKENIM_SUITE_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4);
    0..count
}

/// Reads operations off a byte string; zero when it is used up.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    /// Whether it is used up.
    const fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// The next byte, below `end`.
    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }
}
