//! The store passes the suite: on plain threads, within a tokio runtime, and reopened now and then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::Cell;
use tempfile::TempDir;
use tokenim_storage::{
    MailboxLimits,
    test_suite::{self},
};
use tokenim_storage_fjall::{FjallOptions, FjallStore};

/// Makes empty stores, each in a folder of its own.
struct Stores {
    root: TempDir,
    count: Cell<u32>,
}

impl Stores {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            count: Cell::new(0),
        }
    }

    fn make(&self, mailbox: MailboxLimits) -> FjallStore {
        self.count.set(self.count.get() + 1);
        let folder = self.root.path().join(self.count.get().to_string());
        FjallStore::open(folder, options(mailbox)).unwrap()
    }
}

fn options(mailbox: MailboxLimits) -> FjallOptions {
    FjallOptions {
        mailbox,
        free_bytes_min: 0,
        ..FjallOptions::default()
    }
}

fn reopen(store: FjallStore, mailbox: MailboxLimits) -> FjallStore {
    let folder = store.path().to_path_buf();
    drop(store);
    FjallStore::open(folder, options(mailbox)).unwrap()
}

#[test]
fn state_store() {
    let stores = Stores::new();
    test_suite::state_store(|| stores.make(MailboxLimits::default()));
}

#[test]
fn mailbox_store() {
    let stores = Stores::new();
    test_suite::mailbox_store(|limits| stores.make(limits));
}

#[test]
fn blob_store() {
    let stores = Stores::new();
    test_suite::blob_store(|| stores.make(MailboxLimits::default()));
}

#[test]
fn mailbox_store_within_a_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let stores = Stores::new();
    test_suite::mailbox_store(|limits| stores.make(limits));
}

#[test]
fn state_store_reopening() {
    let stores = Stores::new();
    let limits = MailboxLimits::default();
    test_suite::state_store_reopening(|| stores.make(limits), |store| reopen(store, limits));
}

#[test]
fn mailbox_store_reopening() {
    let stores = Stores::new();
    test_suite::mailbox_store_reopening(
        |limits| stores.make(limits),
        |store| reopen(store, test_suite::MODEL_LIMITS),
    );
}

#[test]
fn blob_store_reopening() {
    let stores = Stores::new();
    let limits = MailboxLimits::default();
    test_suite::blob_store_reopening(|| stores.make(limits), |store| reopen(store, limits));
}
