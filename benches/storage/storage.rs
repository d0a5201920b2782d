//! Benches of the stores. Those on disk measure the disk: `put/N` is N puts at a time, which share syncs.
//!
//! The folder is made where `TMPDIR` says; a file system in memory measures the engine without the disk.
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokenim_mailbox::{Incarnation, MailboxTag};
use tokenim_storage::{Batch, MailboxStore, Put, StateStore, StoreError, Table, memory::MemoryMailboxStore};
use tokenim_storage_fjall::{FjallOptions, FjallStore};
use tokenim_wire::{EnvelopeId, Height, SetEpoch, UnixSeconds};
use tokio::runtime::{Builder, Runtime};

const TABLE: Table = Table::new("bench");
const ENVELOPE_BYTES: usize = 1024;

/// What does not work out here is a mistake in the bench.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The put of a number: each goes to one of 64 mailboxes.
fn put(number: u64) -> Put {
    let mut tag = [0; 32];
    tag[0] = number.to_le_bytes()[0] & 63;
    Put {
        tag: MailboxTag::from_bytes(tag),
        envelope: EnvelopeId::of(&number.to_be_bytes()),
        expiry: UnixSeconds::new(2_000_000_000),
        bytes: vec![tag[0]; ENVELOPE_BYTES],
        set_epoch: SetEpoch::new(1),
        incarnation: Incarnation::new(1),
        height: Height::new(1),
    }
}

/// The time of `count` puts, `at_a_time` of them under way at any moment.
fn time_puts<S: MailboxStore>(
    runtime: &Runtime,
    store: &Arc<S>,
    next: &Arc<AtomicU64>,
    count: u64,
    at_a_time: u64,
) -> Result<Duration, StoreError> {
    let end = next.load(Ordering::Relaxed).saturating_add(count);
    let started = Instant::now();
    let tasks: Vec<_> = (0..at_a_time)
        .map(|_| {
            let (store, next) = (Arc::clone(store), Arc::clone(next));
            runtime.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return Ok(());
                    }
                    store.put(put(number)).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).map_err(|_| StoreError::Closed)??;
    }
    Ok(started.elapsed())
}

fn puts<S: MailboxStore>(criterion: &mut Criterion, runtime: &Runtime, name: &str, store: &Arc<S>) {
    let next = Arc::new(AtomicU64::new(0));
    let mut group = criterion.benchmark_group(format!("storage/{name}/put"));
    group.throughput(Throughput::Elements(1));
    for at_a_time in [1, 4, 16, 64] {
        group.bench_function(BenchmarkId::from_parameter(at_a_time), |bencher| {
            bencher.iter_custom(|count| {
                time_puts(runtime, store, &next, count, at_a_time).unwrap_or_else(|error| {
                    eprintln!("the bench is wrong: {error}");
                    Duration::ZERO
                })
            });
        });
    }
    group.finish();
    let tag = put(0).tag;
    criterion.bench_function(&format!("storage/{name}/read_64"), |bencher| {
        bencher.iter(|| runtime.block_on(store.read(black_box(&tag), 0, 64, 1 << 19, Height::ZERO)));
    });
    let envelope = put(0).envelope;
    criterion.bench_function(&format!("storage/{name}/get"), |bencher| {
        bencher.iter(|| runtime.block_on(store.get(black_box(&tag), &envelope)));
    });
}

fn on_disk(criterion: &mut Criterion, runtime: &Runtime) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let store = FjallStore::open(folder.path(), FjallOptions::default())?;
    puts(criterion, runtime, "fjall", &Arc::new(store.clone()));
    let mut number = 0_u64;
    criterion.bench_function("storage/fjall/commit_10_rows", |bencher| {
        bencher.iter(|| {
            let mut batch = Batch::new();
            for _ in 0..10 {
                number = number.wrapping_add(1);
                batch.put(TABLE, number.to_be_bytes(), [0; 100]);
            }
            store.commit(batch)
        });
    });
    criterion.bench_function("storage/fjall/get_row", |bencher| {
        bencher.iter(|| StateStore::get(&store, TABLE, &black_box(5_u64).to_be_bytes()));
    });
    drop(store);
    criterion.bench_function("storage/fjall/open", |bencher| {
        bencher.iter(|| FjallStore::open(folder.path(), FjallOptions::default()));
    });
    Ok(())
}

fn all(criterion: &mut Criterion) {
    let run = |criterion: &mut Criterion| -> Outcome<()> {
        let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
        // A mailbox in memory takes what the benches put.
        let limits = tokenim_storage::MailboxLimits {
            envelopes_max: u64::MAX,
            bytes_max: u64::MAX,
        };
        let memory = Arc::new(MemoryMailboxStore::with_limits(limits, u64::MAX));
        puts(criterion, &runtime, "memory", &memory);
        on_disk(criterion, &runtime)
    };
    if let Err(error) = run(criterion) {
        eprintln!("the bench is wrong: {error}");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2));
    targets = all
}
criterion_main!(benches);
