//! What every state store promises.

use super::{Script, noise, seeds};
use crate::{Batch, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX, StateStore, StoreError, Table};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

const A: Table = Table::new("a");
const AB: Table = Table::new("ab");
const TABLES: [Table; 3] = [A, AB, Table::new("b")];

/// Checks every promise of [`StateStore`] that a running store can be held to.
///
/// # Panics
/// If one is not kept.
pub fn state_store<S: StateStore>(make: impl Fn() -> S) {
    empty(&make());
    batches(&make());
    tables_are_apart(&make());
    scans(&make());
    oversize(&make());
    atomicity(&make());
    for seed in seeds() {
        state_model(make(), &noise(seed, 1500), |store| store);
    }
}

/// As [`state_store`], for stores that outlast the process: `reopen` closes one and opens it again.
///
/// # Panics
/// If a promise is not kept.
pub fn state_store_reopening<S: StateStore>(make: impl Fn() -> S, reopen: impl Fn(S) -> S) {
    for seed in seeds() {
        state_model(make(), &noise(seed, 700), &reopen);
    }
}

fn empty<S: StateStore>(store: &S) {
    assert_eq!(store.get(A, b"key"), Ok(None), "an empty table has no key");
    assert_eq!(store.scan(A, b"", b"", 10, false), Ok(vec![]));
    assert_eq!(store.scan(A, b"", b"", 10, true), Ok(vec![]));
    assert_eq!(store.commit(Batch::new()), Ok(()), "an empty batch is fine");
}

fn batches<S: StateStore>(store: &S) {
    let mut batch = Batch::new();
    batch.put(A, b"one", b"1");
    batch.put(A, b"two", b"2");
    batch.put(A, b"two", b"22");
    batch.put(A, b"", b"empty key");
    batch.put(A, b"empty value", b"");
    store.commit(batch).unwrap();
    assert_eq!(store.get(A, b"one").unwrap().as_deref(), Some(b"1".as_slice()));
    assert_eq!(
        store.get(A, b"two").unwrap().as_deref(),
        Some(b"22".as_slice()),
        "the last write to a key counts"
    );
    assert_eq!(store.get(A, b"").unwrap().as_deref(), Some(b"empty key".as_slice()));
    assert_eq!(store.get(A, b"empty value").unwrap().as_deref(), Some(b"".as_slice()));
    let mut batch = Batch::new();
    batch.delete(A, b"one");
    batch.delete(A, b"never there");
    batch.put(A, b"two", b"3");
    batch.delete(A, b"two");
    store.commit(batch).unwrap();
    assert_eq!(store.get(A, b"one"), Ok(None));
    assert_eq!(store.get(A, b"two"), Ok(None), "the last write to a key counts");
}

fn tables_are_apart<S: StateStore>(store: &S) {
    let mut batch = Batch::new();
    batch.put(A, b"bk", b"in a");
    batch.put(AB, b"k", b"in ab");
    store.commit(batch).unwrap();
    assert_eq!(store.get(A, b"k"), Ok(None));
    assert_eq!(store.scan(A, b"", b"", 10, false).unwrap().len(), 1);
    assert_eq!(store.scan(AB, b"", b"", 10, true).unwrap().len(), 1);
}

fn scans<S: StateStore>(store: &S) {
    let keys: [&[u8]; 7] = [b"a", b"b", b"ba", b"bb\xff", b"bb\xff\xff", b"c", b"\xff\xff"];
    let mut batch = Batch::new();
    for key in keys {
        batch.put(A, key, key);
    }
    store.commit(batch).unwrap();
    let scan = |from: &[u8], prefix: &[u8], limit, reverse| -> Vec<Vec<u8>> {
        let rows = store.scan(A, from, prefix, limit, reverse).unwrap();
        assert!(rows.iter().all(|(key, value)| key == value));
        rows.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(scan(b"", b"", 99, false), keys);
    let mut reversed = keys;
    reversed.reverse();
    assert_eq!(scan(b"", b"", 99, true), reversed);
    assert_eq!(scan(b"", b"b", 99, false), keys[1..5]);
    assert_eq!(scan(b"", b"b", 2, true), [keys[4], keys[3]]);
    assert_eq!(
        scan(b"bab", b"b", 99, false),
        keys[3..5],
        "from the first key at least `from`"
    );
    assert_eq!(
        scan(b"bab", b"b", 99, true),
        [keys[2], keys[1]],
        "from the last key at most `from`"
    );
    assert_eq!(scan(b"ba", b"b", 1, true), [keys[2]], "`from` itself counts");
    assert_eq!(scan(b"a", b"b", 99, true), [b""; 0], "nothing before the prefix");
    assert_eq!(scan(b"c", b"b", 99, false), [b""; 0], "nothing after the prefix");
    assert_eq!(scan(b"zz", b"b", 99, true).len(), 4, "`from` beyond the prefix");
    assert_eq!(scan(b"", b"bb\xff", 99, false), keys[3..5]);
    assert_eq!(scan(b"", b"\xff", 99, false), [keys[6]]);
    assert_eq!(scan(b"", b"\xff", 99, true), [keys[6]]);
    assert_eq!(scan(b"", b"", 0, false), [b""; 0]);
}

fn oversize<S: StateStore>(store: &S) {
    let mut batch = Batch::new();
    batch.put(A, b"fits", b"1");
    batch.put(A, vec![b'k'; STATE_KEY_BYTES_MAX + 1], b"1");
    assert!(matches!(store.commit(batch), Err(StoreError::TooLarge { .. })));
    let mut batch = Batch::new();
    batch.put(A, b"fits", b"1");
    batch.put(A, b"value", vec![0; STATE_VALUE_BYTES_MAX + 1]);
    assert!(matches!(store.commit(batch), Err(StoreError::TooLarge { .. })));
    assert_eq!(store.get(A, b"fits"), Ok(None), "a refused batch changes nothing");
    let mut batch = Batch::new();
    batch.put(A, vec![b'k'; STATE_KEY_BYTES_MAX], vec![7; 1 << 20]);
    store.commit(batch).unwrap();
    let value = store.get(A, &vec![b'k'; STATE_KEY_BYTES_MAX]).unwrap().unwrap();
    assert_eq!(value, vec![7; 1 << 20]);
    assert_eq!(store.get(A, &vec![b'k'; STATE_KEY_BYTES_MAX + 1]), Ok(None));
}

/// While one thread writes the same number under two keys, no scan sees two numbers.
fn atomicity<S: StateStore>(store: &S) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u8..60 {
                let mut batch = Batch::new();
                batch.put(A, b"left", [number]);
                batch.put(A, b"right", [number]);
                store.commit(batch).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let rows = store.scan(A, b"", b"", 10, false).unwrap();
            assert!(rows.is_empty() || rows.len() == 2, "half a batch is seen");
            assert!(
                rows.windows(2).all(|pair| pair[0].1 == pair[1].1),
                "half a batch is seen"
            );
        }
    });
}

/// Runs the operations that `script` spells on a store and on a model of it, and compares all answers. `reopen` is
/// called where the script says so.
///
/// # Panics
/// If an answer differs.
pub fn state_model<S: StateStore>(mut store: S, script: &[u8], reopen: impl Fn(S) -> S) {
    let mut model: BTreeMap<(Table, Vec<u8>), Vec<u8>> = BTreeMap::new();
    let mut script = Script(script);
    // Few distinct keys, many of them prefixes of others.
    let key = |script: &mut Script<'_>| -> Vec<u8> {
        (0..script.below(4))
            .map(|_| [0, 1, 0xff][usize::from(script.below(3))])
            .collect()
    };
    let table = |script: &mut Script<'_>| TABLES[usize::from(script.below(3))];
    while !script.is_done() {
        match script.below(10) {
            0..4 => {
                let mut batch = Batch::new();
                for _ in 0..script.below(5) {
                    let (table, key) = (table(&mut script), key(&mut script));
                    if script.below(3) == 0 {
                        batch.delete(table, key.clone());
                        model.remove(&(table, key));
                    } else {
                        let value = vec![script.byte(); usize::from(script.below(40))];
                        batch.put(table, key.clone(), value.clone());
                        model.insert((table, key), value);
                    }
                }
                store.commit(batch).unwrap();
            }
            4..6 => {
                let (table, key) = (table(&mut script), key(&mut script));
                assert_eq!(store.get(table, &key).unwrap().as_ref(), model.get(&(table, key)));
            }
            6..9 => {
                let (table, from, prefix) = (table(&mut script), key(&mut script), key(&mut script));
                let (limit, reverse) = (usize::from(script.below(6)), script.below(2) == 1);
                let mut expected: Vec<_> = model
                    .iter()
                    .filter(|((at, key), _)| *at == table && key.starts_with(&prefix))
                    .map(|((_, key), value)| (key.clone(), value.clone()))
                    .collect();
                if reverse {
                    expected.reverse();
                    expected.retain(|(key, _)| from.is_empty() || *key <= from);
                } else {
                    expected.retain(|(key, _)| *key >= from);
                }
                expected.truncate(limit);
                assert_eq!(store.scan(table, &from, &prefix, limit, reverse).unwrap(), expected);
            }
            _ => {
                // Rare, since it is slow on a disk.
                if script.below(8) == 0 {
                    store = reopen(store);
                }
            }
        }
    }
    store = reopen(store);
    for table in TABLES {
        let expected = model.iter().filter(|((at, _), _)| *at == table);
        let expected: Vec<_> = expected.map(|((_, key), value)| (key.clone(), value.clone())).collect();
        assert_eq!(store.scan(table, b"", b"", usize::MAX, false).unwrap(), expected);
    }
}
