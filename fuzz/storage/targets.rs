//! Bodies of the fuzz targets, shared with the test that replays the corpus: each reads a sequence of operations off its
//! input, runs it on a store in memory and on a model, and compares all answers.

use tokenim_storage::{
    memory::{MemoryBlobStore, MemoryMailboxStore, MemoryStateStore},
    test_suite::{MODEL_LIMITS, blob_model, mailbox_model, state_model},
};

/// Operations on a state store.
pub fn state_store(data: &[u8]) {
    state_model(MemoryStateStore::new(), data, |store| store);
}

/// Operations on a mailbox store.
pub fn mailbox_store(data: &[u8]) {
    let store = MemoryMailboxStore::with_limits(MODEL_LIMITS, u64::MAX);
    mailbox_model(store, data, |store| store);
}

/// Operations on a shard store.
pub fn blob_store(data: &[u8]) {
    blob_model(MemoryBlobStore::new(), data, |store| store);
}
