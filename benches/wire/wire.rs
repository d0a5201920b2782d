//! Benches of `tokenim-wire`: encoding and strict decoding, what strictness costs, hashing, frames.
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tokenim_wire::{
    BoundedBytes, BoundedVec, Digest, Height, Label, decode, encode, encoded_len,
    frame::{self, Decoder},
    hash, hash_object,
};

const LABEL: Label = Label::new("tokenim/bench/v1");

/// A list of links, as in a node set or a proof: 64 times a hash, a height and a few bytes.
type Links = BoundedVec<(Digest, Height, BoundedBytes<64>), 64>;

fn links() -> Links {
    let link = |number: u8| {
        let address = BoundedBytes::try_from([number; 24].as_slice()).unwrap_or_default();
        (
            Digest::from_bytes([number; 32]),
            Height::new(u64::from(number) << 20),
            address,
        )
    };
    Links::try_from_iter((0..64).map(link)).unwrap_or_default()
}

fn codec(criterion: &mut Criterion) {
    let value = links();
    let bytes = encode(&value).unwrap_or_default();
    let mut group = criterion.benchmark_group("wire/links");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| encode(black_box(&value))));
    group.bench_function("encoded_len", |bencher| bencher.iter(|| encoded_len(black_box(&value))));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| decode::<Links>(black_box(&bytes), 1 << 16))
    });
    group.bench_function("hash_object", |bencher| {
        bencher.iter(|| hash_object(LABEL, black_box(&value)))
    });
    group.finish();
}

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/hash");
    for length in [64_usize, 1024, 65_536] {
        let data = vec![7; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(length.to_string(), |bencher| {
            bencher.iter(|| hash(LABEL, &[black_box(&data)]))
        });
    }
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let mut stream = Vec::new();
    for _ in 0..64 {
        let _ = frame::encode(&[7; 1024], &mut stream);
    }
    let mut group = criterion.benchmark_group("wire/frame");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("decode", |bencher| {
        bencher.iter_batched_ref(
            || Decoder::new(2048),
            |decoder| {
                for part in stream.chunks(1400) {
                    decoder.push(part);
                    while let Ok(Some(body)) = decoder.next() {
                        black_box(body);
                    }
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, codec, hashing, frames);
criterion_main!(benches);
