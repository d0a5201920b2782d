//! A store that fails, and a process that dies between any two steps.

use crate::{
    chain::{Chain, Store, chain, some_anchor},
    common::person,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokenim_execution::{ExecutionError, Executor};
use tokenim_ledger::{Outcome, StateKey};
use tokenim_storage::{Batch, StateStore, StoreError, Table};
use tokenim_wire::{Epoch, Height};

/// A store that fails to commit, before or after it did.
struct Faulty {
    inner: Store,
    mode: AtomicUsize,
}

const FINE: usize = 0;
const REFUSE: usize = 1;
const COMMIT_AND_FAIL: usize = 2;
const NO_READS: usize = 3;

impl StateStore for Faulty {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.mode.load(Ordering::Relaxed) == NO_READS {
            return Err(StoreError::Closed);
        }
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.inner.scan(table, from, prefix, limit, reverse)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        match self.mode.load(Ordering::Relaxed) {
            REFUSE => Err(StoreError::Full),
            COMMIT_AND_FAIL => {
                self.inner.commit(batch)?;
                Err(StoreError::Io("the disk went away".into()))
            }
            _ => self.inner.commit(batch),
        }
    }
}

/// A chain of three blocks that do something, and the same chain's blocks.
fn busy() -> Chain {
    let mut chain = chain();
    let mut ann = person(1);
    for number in 0..3 {
        let update = ann.add_device(&chain.net.id, number, chain.next());
        let both = vec![chain.update(update), chain.transaction_by(1, some_anchor(number))];
        chain.apply(both);
    }
    chain
}

#[test]
fn a_commit_that_failed_is_repeated() {
    let chain = busy();
    for mode in [REFUSE, COMMIT_AND_FAIL] {
        let inner = Store::default();
        let store = Arc::new(Faulty {
            inner: Arc::clone(&inner),
            mode: AtomicUsize::new(FINE),
        });
        let executor = Executor::open(Arc::clone(&store), &chain.net.config).unwrap();
        for height in 1..=3 {
            let block = chain.executor.block(Height::new(height)).unwrap().unwrap();
            let before = executor.committed();
            store.mode.store(mode, Ordering::Relaxed);
            assert!(matches!(executor.commit(&block, None), Err(ExecutionError::Store(_))));
            assert_eq!(executor.committed(), before);
            store.mode.store(FINE, Ordering::Relaxed);
            let committed = executor.commit(&block, None).unwrap();
            assert_eq!(committed.outcomes.len(), 2);
            // The same as where nothing failed, undo entries included.
            let reopened = Executor::open(Arc::clone(&inner), &chain.net.config).unwrap();
            assert_eq!(reopened.committed(), executor.committed());
        }
        assert_eq!(dump(&inner), dump(&without_certificates(&chain)));
    }
}

/// All that a store holds.
fn dump(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tables = [
        "meta",
        "headers",
        "payloads",
        "digests",
        "certificates",
        "nodes",
        "stale",
        "values",
        "undo",
        "leaves",
        "anchored",
        "mountains",
        "status",
        "expiring",
        "sets",
        "commitments",
    ];
    tables
        .iter()
        .flat_map(|name| {
            let name: &'static str = Box::leak(format!("ledger/{name}").into_boxed_str());
            store.scan(Table::new(name), &[], &[], usize::MAX, false).unwrap()
        })
        .collect()
}

/// The store of the same chain without certificates.
fn without_certificates(chain: &Chain) -> Store {
    let store = Store::default();
    let twin = Executor::open(Arc::clone(&store), &chain.net.config).unwrap();
    for height in 1..=chain.height().get() {
        let block = chain.executor.block(Height::new(height)).unwrap().unwrap();
        twin.commit(&block, None).unwrap();
    }
    store
}

#[test]
fn a_process_that_dies_finds_all_or_nothing_of_a_block() {
    let chain = busy();
    let blocks: Vec<_> = (1..=3)
        .map(|height| chain.executor.block(Height::new(height)).unwrap().unwrap())
        .collect();
    for dies_at in 1..=3_u64 {
        for wrote in [false, true] {
            let inner = Store::default();
            let store = Arc::new(Faulty {
                inner: Arc::clone(&inner),
                mode: AtomicUsize::new(FINE),
            });
            {
                let executor = Executor::open(Arc::clone(&store), &chain.net.config).unwrap();
                for block in &blocks {
                    // Speculates further than it commits.
                    executor.execute(block).unwrap();
                }
                for block in &blocks {
                    let dies = block.header.height.get() == dies_at;
                    let mode = match (dies, wrote) {
                        (false, _) => FINE,
                        (true, false) => REFUSE,
                        (true, true) => COMMIT_AND_FAIL,
                    };
                    store.mode.store(mode, Ordering::Relaxed);
                    let done = executor.commit(block, None);
                    assert_eq!(done.is_err(), dies);
                    if dies {
                        break;
                    }
                }
            }
            // A new process: the engine repeats the last blocks it made final.
            let executor = Executor::open(Arc::clone(&inner), &chain.net.config).unwrap();
            let expected = if wrote { dies_at } else { dies_at - 1 };
            assert_eq!(executor.committed().0, Height::new(expected));
            for block in blocks.iter().skip(expected.saturating_sub(1) as usize) {
                let committed = executor.commit(block, None).unwrap();
                assert_eq!(committed.fresh, block.header.height.get() > expected);
            }
            assert_eq!(executor.committed(), chain.executor.committed());
            assert_eq!(dump(&inner), dump(&without_certificates(&chain)));
        }
    }
}

#[test]
fn errors_of_the_store_are_not_verdicts() {
    let chain = busy();
    let store = Arc::new(Faulty {
        inner: Store::default(),
        mode: AtomicUsize::new(FINE),
    });
    let executor = Executor::open(Arc::clone(&store), &chain.net.config).unwrap();
    let block = chain.executor.block(Height::new(1)).unwrap().unwrap();
    store.mode.store(NO_READS, Ordering::Relaxed);
    let closed = ExecutionError::Store(StoreError::Closed);
    assert_eq!(executor.verdict(&block, block.header.time), Err(closed.clone()));
    assert_eq!(executor.commit(&block, None).unwrap_err(), closed);
    assert_eq!(executor.lookup(&StateKey::node_set()).unwrap_err(), closed);
    let genesis = chain.executor.genesis_block().unwrap();
    assert_eq!(
        executor
            .propose(&genesis, Epoch::ZERO, block.header.time, vec![])
            .unwrap_err(),
        closed
    );
    store.mode.store(FINE, Ordering::Relaxed);
    executor.commit(&block, None).unwrap();
}

#[test]
fn a_damaged_store_is_refused_at_the_start() {
    let damage: [(&'static str, Vec<u8>); 5] = [
        ("ledger/meta", b"tip".to_vec()),
        ("ledger/meta", b"mountains".to_vec()),
        ("ledger/meta", b"network".to_vec()),
        ("ledger/headers", 3_u64.to_be_bytes().to_vec()),
        ("ledger/values", StateKey::node_set().to_bytes().to_vec()),
    ];
    for (table, key) in damage {
        let chain = busy();
        let mut batch = Batch::new();
        batch.delete(Table::new(table), key);
        chain.store.commit(batch).unwrap();
        let opened = Executor::open(Arc::clone(&chain.store), &chain.net.config);
        assert!(matches!(opened, Err(ExecutionError::Damaged(_))), "{table}");
    }
    // A state that is not that of the last header.
    let chain = busy();
    let older = Executor::open(Store::default(), &chain.net.config).unwrap();
    let mut batch = Batch::new();
    let set = older.reader().value(&StateKey::node_queue()).unwrap().unwrap();
    batch.put(Table::new("ledger/values"), StateKey::node_set().to_bytes(), set);
    chain.store.commit(batch).unwrap();
    assert!(matches!(
        Executor::open(Arc::clone(&chain.store), &chain.net.config),
        Err(ExecutionError::Damaged(_))
    ));
}

#[test]
fn the_status_of_transactions_outlasts_a_restart() {
    let mut chain = busy();
    let transaction = chain.transaction(some_anchor(9));
    chain.apply(vec![transaction.clone()]);
    let again = Executor::open(Arc::clone(&chain.store), &chain.net.config).unwrap();
    assert_eq!(
        again.transaction_status(transaction.id()).unwrap(),
        Some((Height::new(4), Outcome::Applied))
    );
    assert_eq!(
        again.check(&transaction, chain.time()),
        chain.executor.check(&transaction, chain.time())
    );
}
