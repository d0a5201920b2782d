//! What a light client pays: parsing and verifying finality, and naming headers and blocks.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use tokenim_consensus::{Block, Certificate, FinalityProof, Header, ValidatorSet, payload_root, verify_finality};
use tokenim_wire::{NetworkId, Object, hex};

const VECTORS: &str = include_str!("../../crates/consensus/tests/vectors/finality.json");

fn object<T: Object>(value: &Value) -> T {
    T::from_bytes(&hex::decode(value.as_str().unwrap()).unwrap()).unwrap()
}

fn finality(c: &mut Criterion) {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let network: NetworkId = vectors["network"].as_str().unwrap().parse().unwrap();
    let mut group = c.benchmark_group("verify_finality");
    for case in vectors["accepted"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        if ![
            "one_validator",
            "absent_signer",
            "seven_validators",
            "bitmap_of_two_bytes",
        ]
        .contains(&name)
        {
            continue;
        }
        let set: ValidatorSet = object(&case["validators"]);
        let header: Header = object(&case["header"]);
        let certificate = Certificate::new(hex::decode(case["certificate"].as_str().unwrap()).unwrap()).unwrap();
        group.bench_function(BenchmarkId::from_parameter(set.len()), |b| {
            b.iter(|| verify_finality(&network, &set, black_box(&header), &certificate).unwrap());
        });
    }
    group.finish();

    let case = &vectors["proofs"][1];
    let set: ValidatorSet = object(&case["validators"]);
    let bytes = hex::decode(case["proof"].as_str().unwrap()).unwrap();
    c.bench_function("proof of five headers, decoded and verified", |b| {
        b.iter(|| {
            FinalityProof::from_bytes(black_box(&bytes))
                .unwrap()
                .verify(&network, &set)
                .unwrap()
        });
    });
    let certificate = Certificate::new(hex::decode(vectors["accepted"][0]["certificate"].as_str().unwrap()).unwrap());
    let certificate = certificate.unwrap();
    c.bench_function("certificate parsed", |b| {
        b.iter(|| black_box(&certificate).parse().unwrap())
    });
}

fn names(c: &mut Criterion) {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let mut header: Header = object(&vectors["accepted"][0]["header"]);
    c.bench_function("header named", |b| b.iter(|| black_box(&header).digest()));
    let mut group = c.benchmark_group("block decoded");
    for kib in [1usize, 64, 1000] {
        let payload = vec![7; kib * 1024];
        header.payload_root = payload_root(&payload);
        let bytes = Block::new(header, payload).unwrap().to_bytes().unwrap();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{kib} KiB")), |b| {
            b.iter(|| Block::from_bytes(black_box(&bytes)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, finality, names);
criterion_main!(benches);
