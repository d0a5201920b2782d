//! Verification of proofs and transactions, and the making of Merkle proofs.
#![allow(
    clippy::indexing_slicing,
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion_group! makes undocumented items; what a bench sets up is valid"
)]

#[path = "../../crates/ledger/tests/common/mod.rs"]
mod common;

use common::{At, digest, longest_proof, net, person};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{collections::BTreeMap, hint::black_box};
use tokenim_identity::HistoryEntry;
use tokenim_ledger::{
    AcceptanceProof, Anchor, Body, LightClient, LookupProof, StateKey, Transaction, proof::MerkleTree,
};
use tokenim_wire::{Digest, Height, Object};

fn acceptance(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("acceptance");
    for (validators, nodes) in [(4, 4), (100, 100)] {
        let net = net(validators, nodes);
        let client = LightClient::new(&net.config).unwrap();
        let bytes = net.acceptance(&net.receipt(1), 1024).to_bytes().unwrap();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(
            format!("verify, n = {validators}, 2^10 receipts, {} bytes", bytes.len()),
            |bencher| {
                bencher.iter(|| {
                    let proof = AcceptanceProof::from_bytes(black_box(&bytes)).unwrap();
                    client.verify_acceptance(&proof).unwrap()
                });
            },
        );
        group.bench_function(format!("decode, n = {validators}"), |bencher| {
            bencher.iter(|| AcceptanceProof::from_bytes(black_box(&bytes)).unwrap());
        });
    }
}

/// The look-up whose proof is the longest among a million identities; the state tree itself is not made, its hashes are
/// any.
fn lookup(criterion: &mut Criterion) {
    let (identity, shape) = longest_proof(1_000_000);
    let siblings = shape.iter().filter(|there| **there).count();
    let mut group = criterion.benchmark_group("lookup");
    for validators in [4, 100] {
        let net = net(validators, 4);
        let client = LightClient::new(&net.config).unwrap();
        let mut ann = person(1);
        ann.add_device(&net.id, 1, At::height(1));
        ann.state.id = identity;
        let proof = net.lookup(&ann.state, &shape);
        let bytes = proof.to_bytes().unwrap();
        let value = proof.value.as_ref().unwrap().len();
        let certificate = proof.finality.certificate.as_bytes().len();
        let beside = bytes.len() - value - certificate;
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(
            format!("verify, n = {validators}, 10^6 identities, {beside} bytes beside certificate ({certificate}) and value ({value})"),
            |bencher| {
                bencher.iter(|| {
                    let proof = LookupProof::from_bytes(black_box(&bytes)).unwrap();
                    client.verify_identity(&identity, &proof, None).unwrap()
                });
            },
        );
        let key = StateKey::identity(&identity);
        let root = proof.finality.subject().unwrap().state_root;
        group.bench_function(
            format!("state proof alone, {siblings} siblings, n = {validators}"),
            |bencher| {
                bencher.iter(|| {
                    let value = proof.value.as_ref().map(|value| value.as_slice());
                    proof.proof.verify(black_box(&root), &key, value).unwrap()
                });
            },
        );
    }
}

/// A whole history of so many records: added devices and links.
fn history(criterion: &mut Criterion) {
    let net = net(4, 4);
    let client = LightClient::new(&net.config).unwrap();
    let window = net.config.limits().recovery_window_ms;
    let mut group = criterion.benchmark_group("history");
    for records in [8_u64, 64] {
        let mut ann = person(1);
        let start = ann.state.clone();
        let entries: Vec<HistoryEntry> = (0..records)
            .map(|number| {
                let at = At::height(number + 1);
                let update = match number {
                    0..3 => ann.add_device(&net.id, number, at),
                    _ => ann.toggle_link(&net.id, number % 5, at),
                };
                HistoryEntry {
                    record: update.record,
                    height: at.height,
                    time: at.time,
                }
            })
            .collect();
        let proof = net.lookup(&ann.state, &[]);
        group.throughput(Throughput::Elements(records));
        group.bench_function(format!("verify {records} records"), |bencher| {
            bencher.iter_batched(
                || entries.clone(),
                |entries| {
                    client
                        .verify_history(&ann.state.id, &start, entries, window, &proof, None)
                        .unwrap()
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn merkle(criterion: &mut Criterion) {
    let leaves: Vec<Digest> = (0..1024).map(|number| digest("leaf", number)).collect();
    criterion.bench_function("merkle/tree of 2^10 leaves", |bencher| {
        bencher.iter_batched(
            || leaves.clone(),
            |leaves| MerkleTree::new(leaves).unwrap().root(),
            BatchSize::SmallInput,
        );
    });
    let tree = MerkleTree::new(leaves).unwrap();
    criterion.bench_function("merkle/path", |bencher| {
        bencher.iter(|| tree.path(black_box(777)).unwrap())
    });
}

fn transactions(criterion: &mut Criterion) {
    let net = net(4, 4);
    let sponsored = |leaves: u64| {
        let leaves = (0..leaves).map(|number| digest("leaf", number)).collect();
        let body = Body::Anchor(Anchor::new(leaves).unwrap());
        Transaction::sponsored(&net.id, &net.nodes[0], body, Height::new(9), 1).unwrap()
    };
    let all: BTreeMap<&str, Transaction> =
        BTreeMap::from([("1 leaf", sponsored(1)), ("1,024 leaves", sponsored(1024))]);
    for (name, transaction) in all {
        let bytes = transaction.to_bytes().unwrap();
        criterion.bench_function(
            &format!("transaction/decode and verify an anchor of {name}"),
            |bencher| {
                bencher.iter(|| {
                    Transaction::from_bytes(black_box(&bytes))
                        .unwrap()
                        .verify(&net.id)
                        .unwrap()
                });
            },
        );
    }
}

criterion_group!(benches, acceptance, lookup, history, merkle, transactions);
criterion_main!(benches);
