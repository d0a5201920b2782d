//! Verification of proofs and transactions, and the making of Merkle proofs.
#![allow(
    clippy::indexing_slicing,
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion_group! makes undocumented items; what a bench sets up is valid"
)]

#[path = "../../crates/ledger/tests/common/mod.rs"]
mod common;

use common::{digest, net};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{collections::BTreeMap, hint::black_box};
use tokenim_ledger::{
    AcceptanceProof, Anchor, Body, LightClient, StateKey, Transaction,
    proof::{MerkleTree, StateProof, Terminal, state_leaf_hash, state_node_hash, state_value_hash},
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

/// A proof 20 levels deep, as in a state of a million entries.
fn deep_proof() -> (StateKey, StateProof, Digest) {
    let key = StateKey::from_bytes([0; 32]);
    let siblings: Vec<Digest> = (0..20).map(|level| digest("sibling", level)).collect();
    let proof = StateProof::new(Terminal::Own, siblings.iter().copied().map(Some)).unwrap();
    let leaf = state_leaf_hash(&key, &state_value_hash(b"value"));
    let root = siblings
        .iter()
        .fold(leaf, |top, sibling| state_node_hash(&top, sibling));
    (key, proof, root)
}

fn state(criterion: &mut Criterion) {
    let (key, proof, root) = deep_proof();
    criterion.bench_function("state proof/verify, 20 levels", |bencher| {
        bencher.iter(|| proof.verify_inclusion(&root, black_box(&key), b"value").unwrap());
    });
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

criterion_group!(benches, acceptance, state, merkle, transactions);
criterion_main!(benches);
