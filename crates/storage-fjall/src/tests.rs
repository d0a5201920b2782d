//! What takes a look inside.

use crate::{FjallOptions, FjallStore, engine::Engine};
use std::{
    pin::Pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
};
use tokenim_mailbox::{Incarnation, MailboxTag};
use tokenim_storage::{
    Batch, BlobStore, MailboxStore, Put, PutOutcome, ShardId, StateStore, StoreError, Table, test_suite::block_on,
};
use tokenim_wire::{EnvelopeId, Height, SetEpoch, UnixSeconds};

const TABLE: Table = Table::new("table");

fn put(number: u8) -> Put {
    Put {
        tag: MailboxTag::from_bytes([1; 32]),
        envelope: EnvelopeId::from_bytes([number; 32]),
        expiry: UnixSeconds::new(u64::from(number)),
        bytes: vec![number; 600],
        set_epoch: SetEpoch::new(1),
        incarnation: Incarnation::new(1),
        height: Height::new(1),
    }
}

#[test]
fn a_full_disk_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = FjallOptions {
        free_bytes_min: 1000,
        ..FjallOptions::default()
    };
    let free = Arc::new(AtomicU64::new(1000));
    let mut engine = Engine::open(folder.path(), &options).unwrap();
    let seen = Arc::clone(&free);
    engine.set_free_space(Box::new(move || Some(seen.load(Ordering::SeqCst))));
    let store = FjallStore::with_engine(engine).unwrap();
    let row = || {
        let mut batch = Batch::new();
        batch.put(TABLE, b"key", b"value");
        batch
    };
    let shard = ShardId::of(b"shard");

    let first = block_on(MailboxStore::put(&store, put(1))).unwrap();
    free.store(999, Ordering::SeqCst);
    assert_eq!(block_on(MailboxStore::put(&store, put(2))), Err(StoreError::Full));
    assert_eq!(store.commit(row()), Err(StoreError::Full));
    assert_eq!(
        block_on(BlobStore::put(&store, shard, b"shard".to_vec())),
        Err(StoreError::Full)
    );
    assert_eq!(block_on(store.stats()).unwrap().envelopes, 1);
    assert_eq!(
        block_on(store.head(&put(1).tag, Height::ZERO)).unwrap().unwrap().size,
        1
    );
    assert_eq!(StateStore::get(&store, TABLE, b"key"), Ok(None));
    assert_eq!(block_on(BlobStore::contains(&store, &shard)), Ok(false));
    // A repeat needs no room, and deleting makes some.
    let again = block_on(MailboxStore::put(&store, put(1))).unwrap();
    assert_eq!((again.fresh, again.entry, again.root), (false, first.entry, first.root));
    assert_eq!(block_on(store.expire(UnixSeconds::new(1), 9)), Ok(1));
    assert_eq!(block_on(BlobStore::delete(&store, &shard)), Ok(()));

    free.store(1000, Ordering::SeqCst);
    assert!(block_on(MailboxStore::put(&store, put(2))).unwrap().fresh);
    store.commit(row()).unwrap();
    block_on(BlobStore::put(&store, shard, b"shard".to_vec())).unwrap();
}

/// What comes while a batch is written is written with the next one, all of it with one sync.
#[test]
fn puts_that_wait_share_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = Engine::open(folder.path(), &FjallOptions::default()).unwrap();
    let batches = Arc::new(AtomicU64::new(0));
    let gate = Arc::new(Barrier::new(2));
    let (counted, entered) = (Arc::clone(&batches), Arc::clone(&gate));
    // Asked once per batch. The first waits until the others have come.
    engine.set_free_space(Box::new(move || {
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            entered.wait();
            entered.wait();
        }
        None
    }));
    let store = FjallStore::with_engine(engine).unwrap();
    type Putting<'a> = Pin<Box<dyn Future<Output = Result<PutOutcome, StoreError>> + 'a>>;
    let mut context = Context::from_waker(Waker::noop());
    let mut puts: Vec<Putting<'_>> = Vec::new();
    for number in 0..50 {
        puts.push(Box::pin(MailboxStore::put(&store, put(number))));
    }
    let mut poll = |put: &mut Putting<'_>| assert!(put.as_mut().poll(&mut context).is_pending());
    poll(&mut puts[0]);
    gate.wait();
    puts[1..].iter_mut().for_each(&mut poll);
    // Who gives up waiting has asked nevertheless.
    drop(puts.pop());
    gate.wait();
    for (number, put) in (0..).zip(puts) {
        assert_eq!(block_on(put).unwrap().entry.index, number);
    }
    assert_eq!(
        block_on(store.head(&put(0).tag, Height::ZERO)).unwrap().unwrap().size,
        50
    );
    assert_eq!(batches.load(Ordering::SeqCst), 2);
}

/// While lines are being written that nobody sees yet, no head is given a greater height than theirs.
#[test]
fn a_head_is_not_above_lines_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path(), &FjallOptions::default()).unwrap();
    let observe = |at| engine.observe(Height::new(at), |_, height| Ok(height.get())).unwrap();
    assert_eq!(observe(10), 10);
    assert_eq!(engine.begin_lines(), Ok(Height::new(10)));
    assert_eq!(observe(12), 10, "the lines in flight may be at 10");
    assert_eq!(observe(9), 9);
    engine.end_lines(Height::new(11), None).unwrap();
    assert_eq!(observe(12), 12);
    assert_eq!(
        engine.begin_lines(),
        Ok(Height::new(12)),
        "lines after the head are not below it"
    );
}

#[test]
fn a_panic_becomes_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path(), &FjallOptions::default()).unwrap();
    let result: Result<(), _> = engine.read(|_| panic!("as the engine might"));
    assert!(matches!(result, Err(StoreError::Damaged { .. })));
}
