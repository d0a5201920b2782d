//! Benches of `tokenim-rpc`: the messages of the main job, encoded and strictly decoded.
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tokenim_rpc::{Copied, NodeResponse, Request, Response, encode_answer, encode_call};
use tokenim_wire::{BoundedBytes, NetworkId, Object as _};

/// A copy of an envelope of `length` bytes: what dominates a put, a page and a copy.
fn copy(length: usize) -> Response {
    let envelope = BoundedBytes::try_from(vec![7; length]).unwrap_or_default();
    Response::Node(NodeResponse::Fetch(Copied { envelope }))
}

fn calls(criterion: &mut Criterion) {
    let network = NetworkId::from_bytes([7; 32]);
    let mut group = criterion.benchmark_group("rpc");
    group.bench_function("encode_call/status", |bencher| {
        bencher.iter(|| encode_call(black_box(&network), &Request::Status))
    });
    for length in [512, 4 << 10, 64 << 10] {
        let response = copy(length);
        let bytes = response.to_bytes().unwrap_or_default();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("encode_answer/{length}"), |bencher| {
            bencher.iter(|| encode_answer(black_box(&response)))
        });
        group.bench_function(format!("decode/{length}"), |bencher| {
            bencher.iter(|| Response::from_bytes(black_box(&bytes)))
        });
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
