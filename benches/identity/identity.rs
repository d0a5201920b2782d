//! Benches of `tokenim-identity`: signing, both verifiers one by one and in batches, checks of keys, records, words.
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::{convert::Infallible, hint::black_box};
use tokenim_identity::{
    DeviceConsent, DeviceId, DeviceSecrets, DeviceSigningKey, EnvelopeKey, IdentityId, IdentityState, NodeKey, Phrase,
    SignedRecord,
    rand_core::{TryCryptoRng, TryRng},
    signed_bytes,
    verify::{self, Zip215Batch},
};
use tokenim_wire::{Height, NetworkId};

const NETWORK: NetworkId = NetworkId::from_bytes([7; 32]);

/// Repeats itself: for benches alone.
struct Mixer(u64);

impl TryRng for Mixer {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| (number >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Ok(self.0 ^ (self.0 >> 29))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = (self.try_next_u64()? >> 56) as u8;
        }
        Ok(())
    }
}

impl TryCryptoRng for Mixer {}

fn signatures(criterion: &mut Criterion) {
    let secrets = DeviceSecrets::generate(&mut Mixer(1));
    let keys = secrets.keys(EnvelopeKey::x25519([4; 32]));
    let consent = DeviceConsent {
        identity: IdentityId::from_bytes([5; 32]),
        seq: 1,
        keys,
    };
    let (Ok(message), Ok(signature)) = (
        signed_bytes(&NETWORK, &consent),
        secrets.signing.sign(&NETWORK, &consent),
    ) else {
        return;
    };
    let key = secrets.signing.verifying_key();
    let mut group = criterion.benchmark_group("identity/signature");
    group.bench_function("sign", |bencher| {
        bencher.iter(|| secrets.signing.sign(&NETWORK, black_box(&consent)))
    });
    group.bench_function("strict", |bencher| {
        bencher.iter(|| verify::strict(key.as_bytes(), black_box(&message), signature.as_bytes()));
    });
    group.bench_function("zip215", |bencher| {
        bencher.iter(|| verify::zip215(key.as_bytes(), black_box(&message), signature.as_bytes()));
    });
    for count in [4_usize, 16, 64, 256] {
        let items: Vec<_> = (0..count)
            .filter_map(|number| {
                let key = DeviceSigningKey::generate(&mut Mixer(number as u64));
                Some((key.verifying_key(), key.sign(&NETWORK, &consent).ok()?))
            })
            .collect();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::new("zip215_batch", count), &items, |bencher, items| {
            bencher.iter(|| {
                let mut batch = Zip215Batch::new();
                for (key, signature) in items {
                    batch.push(key.as_bytes(), &message, signature.as_bytes());
                }
                batch.verify(&mut Mixer(9))
            });
        });
    }
    group.finish();
}

fn chain(criterion: &mut Criterion) {
    let phrase = Phrase::generate(&mut Mixer(2));
    let state = IdentityState::new(&phrase.genesis());
    let root = phrase.root_key(0);
    let secrets = DeviceSecrets::generate(&mut Mixer(3));
    let Ok(record) = SignedRecord::add_device(&NETWORK, &state, &root, &secrets, EnvelopeKey::x25519([4; 32])) else {
        return;
    };
    let text = state.id.to_string();
    let bytes = secrets.signing.verifying_key().to_bytes();
    let mut group = criterion.benchmark_group("identity");
    group.bench_function("add_device/apply", |bencher| {
        bencher.iter(|| state.apply(&NETWORK, black_box(&record), Height::new(1)));
    });
    group.bench_function("key/from_bytes", |bencher| {
        bencher.iter(|| NodeKey::from_bytes(black_box(bytes)))
    });
    group.bench_function("name/parse", |bencher| {
        bencher.iter(|| black_box(&text).parse::<IdentityId>())
    });
    group.bench_function("device_id", |bencher| {
        bencher.iter(|| DeviceId::of(black_box(&secrets.signing.verifying_key())));
    });
    group.sample_size(20);
    group.bench_function("words/root_key", |bencher| {
        bencher.iter(|| phrase.root_key(black_box(0)))
    });
    group.finish();
}

criterion_group!(benches, signatures, chain);
criterion_main!(benches);
