//! Stores in memory, for tests, simulations and clients that keep nothing. They pass the same suite as the ones on disk,
//! and lose all when they are dropped.

mod blob;
mod mailbox;
mod state;

use crate::error::StoreError;
use std::sync::{Mutex, MutexGuard};

pub use blob::MemoryBlobStore;
pub use mailbox::MemoryMailboxStore;
pub use state::MemoryStateStore;

/// The lock's content; [`StoreError::Closed`] after a panic of a holder.
fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, StoreError> {
    mutex.lock().map_err(|_| StoreError::Closed)
}
