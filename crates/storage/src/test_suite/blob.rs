//! What every shard store promises.

use super::{Script, block_on, noise, seeds};
use crate::{BlobStore, SHARD_BYTES_MAX, ShardId, StoreError};
use std::collections::BTreeMap;

/// Checks every promise of [`BlobStore`] that a running store can be held to.
///
/// # Panics
/// If one is not kept.
pub fn blob_store<S: BlobStore>(make: impl Fn() -> S) {
    shards(&make());
    refusals(&make());
    concurrent(&make());
    for seed in seeds() {
        blob_model(make(), &noise(seed, 300), |store| store);
    }
}

/// As [`blob_store`], for stores that outlast the process: `reopen` closes one and opens it again.
///
/// # Panics
/// If a promise is not kept.
pub fn blob_store_reopening<S: BlobStore>(make: impl Fn() -> S, reopen: impl Fn(S) -> S) {
    for seed in seeds() {
        blob_model(make(), &noise(seed, 100), &reopen);
    }
}

fn shards<S: BlobStore>(store: &S) {
    let bytes = noise(1, SHARD_BYTES_MAX);
    let id = ShardId::of(&bytes);
    assert_eq!(block_on(store.get(&id)), Ok(None));
    assert_eq!(block_on(store.contains(&id)), Ok(false));
    assert_eq!(
        block_on(store.delete(&id)),
        Ok(()),
        "deleting what is not there is fine"
    );
    for _ in 0..2 {
        assert_eq!(block_on(store.put(id, bytes.clone())), Ok(()), "doing so again is fine");
        assert!(
            block_on(store.get(&id)).unwrap() == Some(bytes.clone()),
            "what was put is what one gets"
        );
        assert_eq!(block_on(store.contains(&id)), Ok(true));
    }
    block_on(store.put(ShardId::of(b""), vec![])).unwrap();
    assert_eq!(
        block_on(store.get(&ShardId::of(b""))),
        Ok(Some(vec![])),
        "an empty shard is one"
    );
    block_on(store.delete(&id)).unwrap();
    assert_eq!(block_on(store.contains(&id)), Ok(false));
    assert_eq!(block_on(store.get(&id)), Ok(None));
    block_on(store.put(id, bytes)).unwrap();
    assert_eq!(block_on(store.contains(&id)), Ok(true), "it can come back");
}

fn refusals<S: BlobStore>(store: &S) {
    let bytes = vec![0; SHARD_BYTES_MAX + 1];
    let id = ShardId::of(&bytes);
    assert!(matches!(
        block_on(store.put(id, bytes)),
        Err(StoreError::TooLarge { .. })
    ));
    assert_eq!(block_on(store.contains(&id)), Ok(false));
    let other = ShardId::of(b"other");
    assert_eq!(block_on(store.put(other, b"bytes".to_vec())), Err(StoreError::Mismatch));
    assert_eq!(block_on(store.contains(&other)), Ok(false));
}

fn concurrent<S: BlobStore>(store: &S) {
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            scope.spawn(move || {
                for number in 0..8 {
                    // Every shard is put by two threads.
                    let bytes = noise(thread / 2 * 8 + number, 3000);
                    block_on(store.put(ShardId::of(&bytes), bytes)).unwrap();
                }
            });
        }
    });
    for seed in 0..32 {
        let bytes = noise(seed, 3000);
        assert_eq!(block_on(store.get(&ShardId::of(&bytes))), Ok(Some(bytes)));
    }
}

/// Runs the operations that `script` spells on a store and on a model of it, and compares all answers. `reopen` is
/// called where the script says so.
///
/// # Panics
/// If an answer differs.
pub fn blob_model<S: BlobStore>(mut store: S, script: &[u8], reopen: impl Fn(S) -> S) {
    let mut model = BTreeMap::new();
    let mut script = Script(script);
    while !script.is_done() {
        let bytes = vec![script.below(8); usize::from(script.below(4)) * 700];
        let id = ShardId::of(&bytes);
        match script.below(9) {
            0..3 => {
                block_on(store.put(id, bytes.clone())).unwrap();
                model.insert(id, bytes);
            }
            3 => {
                block_on(store.delete(&id)).unwrap();
                model.remove(&id);
            }
            4..6 => assert_eq!(block_on(store.get(&id)).unwrap(), model.get(&id).cloned()),
            6..8 => assert_eq!(block_on(store.contains(&id)), Ok(model.contains_key(&id))),
            _ => {
                // Rare, since it is slow on a disk.
                if script.below(8) == 0 {
                    store = reopen(store);
                }
            }
        }
    }
    store = reopen(store);
    for (id, bytes) in model {
        assert_eq!(block_on(store.get(&id)), Ok(Some(bytes)));
    }
}
