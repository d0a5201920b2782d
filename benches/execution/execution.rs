//! Blocks of many transactions, and proofs from the state they leave, over a store in memory.
#![allow(
    clippy::indexing_slicing,
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion_group! makes undocumented items; what a bench sets up is valid"
)]

#[path = "../../crates/ledger/tests/common/mod.rs"]
mod common;

use common::{At, Net, digest, net, person};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tokenim_consensus::Block;
use tokenim_execution::Executor;
use tokenim_ledger::{Anchor, Body, StateKey, Transaction, VerifiedTransaction};
use tokenim_storage::memory::MemoryStateStore;
use tokenim_wire::{Epoch, Height};

/// Nodes enough to sponsor a thousand transactions in a block.
const NODES: u64 = 64;

fn sponsored(net: &Net, place: u64, body: Body) -> VerifiedTransaction {
    let key = &net.nodes[(place % NODES) as usize];
    Transaction::sponsored(&net.id, key, body, Height::new(100), place)
        .unwrap()
        .verify(&net.id)
        .unwrap()
}

fn registrations(net: &Net, count: u64) -> Vec<VerifiedTransaction> {
    (0..count)
        .map(|number| {
            let update = person(number).add_device(&net.id, number, At::height(1));
            sponsored(net, number, update.into())
        })
        .collect()
}

fn anchors(net: &Net, count: u64) -> Vec<VerifiedTransaction> {
    (0..count)
        .map(|number| {
            let leaves = (0..8).map(|leaf| digest("leaf", number * 8 + leaf)).collect();
            sponsored(net, number, Body::Anchor(Anchor::new(leaves).unwrap()))
        })
        .collect()
}

fn executor(net: &Net) -> Executor<MemoryStateStore> {
    Executor::open(MemoryStateStore::new(), &net.config).unwrap()
}

fn block_of(net: &Net, transactions: Vec<VerifiedTransaction>) -> Block {
    let executor = executor(net);
    let genesis = executor.genesis_block().unwrap();
    let count = transactions.len();
    let time = genesis.header.time.saturating_add(500);
    let proposal = executor.propose(&genesis, Epoch::ZERO, time, transactions).unwrap();
    assert_eq!(proposal.included.len(), count);
    proposal.block
}

fn blocks(criterion: &mut Criterion) {
    let net = net(4, NODES);
    let mut group = criterion.benchmark_group("block");
    group.sample_size(10);
    for count in [100, 1000] {
        group.throughput(Throughput::Elements(count));
        for (name, transactions) in [
            ("registrations", registrations(&net, count)),
            ("anchors", anchors(&net, count)),
        ] {
            let block = block_of(&net, transactions.clone());
            let fresh = || executor(&net);
            group.bench_function(format!("propose {count} {name}"), |bencher| {
                bencher.iter_batched(
                    || (fresh(), transactions.clone()),
                    |(executor, transactions)| {
                        let genesis = executor.genesis_block().unwrap();
                        executor
                            .propose(&genesis, Epoch::ZERO, block.header.time, transactions)
                            .unwrap();
                        executor
                    },
                    BatchSize::LargeInput,
                );
            });
            group.bench_function(format!("execute {count} {name}"), |bencher| {
                bencher.iter_batched(
                    fresh,
                    |executor| {
                        executor.execute(black_box(&block)).unwrap();
                        executor
                    },
                    BatchSize::LargeInput,
                );
            });
            group.bench_function(format!("commit {count} {name}"), |bencher| {
                bencher.iter_batched(
                    || {
                        let executor = fresh();
                        executor.execute(&block).unwrap();
                        executor
                    },
                    |executor| {
                        executor.commit(black_box(&block), None).unwrap();
                        executor
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.bench_function("propose and commit nothing", |bencher| {
        let executor = executor(&net);
        let mut head = executor.genesis_block().unwrap();
        bencher.iter(|| {
            let time = head.header.time.saturating_add(500);
            head = executor.propose(&head, Epoch::ZERO, time, vec![]).unwrap().block;
            executor.commit(&head, None).unwrap();
        });
    });
}

fn proofs(criterion: &mut Criterion) {
    let net = net(4, NODES);
    let executor = executor(&net);
    let mut head = executor.genesis_block().unwrap();
    let receipts: Vec<_> = (0..4).map(|number| net.receipt(number)).collect();
    let leaves = |from: u64| -> Vec<_> {
        let own = receipts.iter().map(|receipt| receipt.leaf());
        own.chain((from..from + 1020).map(|leaf| digest("leaf", leaf)))
            .collect()
    };
    let full = sponsored(&net, 2000, Body::Anchor(Anchor::new(leaves(0)).unwrap()));
    for transactions in [registrations(&net, 1000), vec![full]] {
        let time = head.header.time.saturating_add(500);
        head = executor.propose(&head, Epoch::ZERO, time, transactions).unwrap().block;
        executor.commit(&head, Some(&net.certificate(&head.header))).unwrap();
    }
    let present = StateKey::identity(&person(7).state.id);
    let absent = StateKey::identity(&person(7_000_000).state.id);
    criterion.bench_function("proof/lookup, present", |bencher| {
        bencher.iter(|| executor.lookup(black_box(&present)).unwrap().unwrap());
    });
    criterion.bench_function("proof/lookup, absent", |bencher| {
        bencher.iter(|| executor.lookup(black_box(&absent)).unwrap().unwrap());
    });
    criterion.bench_function("proof/acceptance, 2^10 receipts", |bencher| {
        bencher.iter(|| executor.acceptance(black_box(&receipts[0])).unwrap().unwrap());
    });
}

criterion_group!(benches, blocks, proofs);
criterion_main!(benches);
