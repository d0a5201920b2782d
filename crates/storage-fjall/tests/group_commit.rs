//! How many puts a second are durable, by how many are under way: `cargo test -p tokenim-storage-fjall --test
//! group_commit -- --ignored --nocapture`, on the disk that `TMPDIR` names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Instant;
use tokenim_mailbox::{Incarnation, MailboxTag};
use tokenim_storage::{MailboxStore, Put};
use tokenim_storage_fjall::{FjallOptions, FjallStore};
use tokenim_wire::{EnvelopeId, Height, SetEpoch, UnixSeconds};

fn put(number: u64) -> Put {
    Put {
        tag: MailboxTag::from_bytes([u8::try_from(number % 64).unwrap(); 32]),
        envelope: EnvelopeId::of(&number.to_be_bytes()),
        expiry: UnixSeconds::new(number),
        bytes: vec![7; 2048],
        set_epoch: SetEpoch::new(1),
        incarnation: Incarnation::new(1),
        height: Height::new(1),
    }
}

#[test]
#[ignore = "measures"]
fn puts_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let store = FjallStore::open(folder.path(), FjallOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let mut from = 0;
    for at_a_time in [1, 4, 16, 64, 256] {
        let each = 2000_u64.min(200 * at_a_time).div_ceil(at_a_time) + 20;
        let started = Instant::now();
        let tasks: Vec<_> = (0..at_a_time)
            .map(|task| {
                let store = store.clone();
                runtime.spawn(async move {
                    for number in 0..each {
                        MailboxStore::put(&store, put(from + task * each + number))
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        let (count, seconds) = (at_a_time * each, started.elapsed().as_secs_f64());
        from += count;
        println!("{at_a_time:4} at a time: {:8.0} puts/s", count as f64 / seconds);
    }
}

/// What expired envelopes leave behind does not slow down the next `expire`, and their room comes back.
#[test]
#[ignore = "measures"]
fn expiry_and_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = FjallStore::open(folder.path(), FjallOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let size = || -> u64 {
        fn walk(path: &std::path::Path) -> u64 {
            std::fs::read_dir(path)
                .unwrap()
                .flatten()
                .map(|entry| match entry.metadata() {
                    Ok(data) if data.is_dir() => walk(&entry.path()),
                    Ok(data) => data.len(),
                    Err(_) => 0,
                })
                .sum()
        }
        walk(folder.path())
    };
    for round in 0..6_u64 {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let store = store.clone();
                runtime.spawn(async move {
                    for number in 0..200 {
                        let mut put = put(round * 12_800 + task * 200 + number);
                        put.bytes = vec![7; 8192];
                        MailboxStore::put(&store, put).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
        let filled = size();
        let started = Instant::now();
        let now = UnixSeconds::new((round + 1) * 12_800);
        let gone = runtime.block_on(store.expire(now, usize::MAX)).unwrap();
        let expired = started.elapsed();
        let started = Instant::now();
        assert_eq!(runtime.block_on(store.expire(now, usize::MAX)), Ok(0));
        println!(
            "round {round}: {} MiB, {gone} expired in {expired:?}, none in {:?}, then {} MiB",
            filled >> 20,
            started.elapsed(),
            size() >> 20
        );
    }
}
