//! The memory stores pass the suite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use tokenim_mailbox::{Incarnation, MailboxTag};
use tokenim_storage::{
    MailboxLimits, MailboxStore, Put, StoreError,
    memory::{MemoryBlobStore, MemoryMailboxStore, MemoryStateStore},
    test_suite::{self, block_on},
};
use tokenim_wire::{EnvelopeId, Height, SetEpoch, UnixSeconds};

#[test]
fn state_store() {
    test_suite::state_store(MemoryStateStore::new);
}

#[test]
fn mailbox_store() {
    test_suite::mailbox_store(|limits| MemoryMailboxStore::with_limits(limits, u64::MAX));
}

#[test]
fn blob_store() {
    test_suite::blob_store(MemoryBlobStore::new);
}

#[test]
fn shared_stores_are_stores() {
    use std::sync::Arc;
    let store = Arc::new(MemoryMailboxStore::new());
    test_suite::check_log(&store, &MailboxTag::from_bytes([0; 32]), &[]);
    test_suite::state_model(Arc::new(MemoryStateStore::new()), b"script", |store| store);
    test_suite::blob_model(Arc::new(MemoryBlobStore::new()), b"script", |store| store);
}

#[test]
fn a_full_store_refuses_and_is_unchanged() {
    let store = MemoryMailboxStore::with_limits(MailboxLimits::default(), 10);
    let put = |number: u8, length| Put {
        tag: MailboxTag::from_bytes([number; 32]),
        envelope: EnvelopeId::from_bytes([number; 32]),
        expiry: UnixSeconds::new(u64::from(number)),
        bytes: vec![0; length],
        set_epoch: SetEpoch::new(1),
        incarnation: Incarnation::new(1),
        height: Height::new(1),
    };
    block_on(store.put(put(1, 8))).unwrap();
    let error = block_on(store.put(put(2, 3))).unwrap_err();
    assert_eq!(error, StoreError::Full);
    assert!(error.is_retryable());
    assert_eq!(block_on(store.tags(None, 9)).unwrap().len(), 1);
    assert!(!block_on(store.put(put(1, 8))).unwrap().fresh);
    block_on(store.expire(UnixSeconds::new(1), 1)).unwrap();
    block_on(store.put(put(2, 3))).unwrap();
}
