//! Benches of `tokenim-identity`: signing, both verifiers one by one and in batches, checks of keys, the record chain,
//! words, safety numbers and verification codes.
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::{convert::Infallible, hint::black_box};
use tokenim_identity::{
    DeviceConsent, DeviceId, DeviceSecrets, DeviceSigningKey, EnvelopeKey, HistoryEntry, IdentityId, IdentityState,
    NodeKey, Phrase, Place, Record, RecordSigner, RecoveryProof, RecoveryShare, SafetyNumber, SignedRecord,
    VerificationCode,
    rand_core::{TryCryptoRng, TryRng},
    replay, signed_bytes,
    verify::{self, Zip215Batch},
};
use tokenim_wire::{Digest, Height, NetworkId, UnixMillis};

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
    group.finish();

    // The same signatures at once and one by one, each under a key of its own.
    let mut group = criterion.benchmark_group("identity/zip215_batch");
    for count in [4_usize, 16, 64, 256] {
        let items: Vec<_> = (0..count)
            .filter_map(|number| {
                let key = DeviceSigningKey::generate(&mut Mixer(number as u64));
                Some((key.verifying_key(), key.sign(&NETWORK, &consent).ok()?))
            })
            .collect();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::new("at_once", count), &items, |bencher, items| {
            bencher.iter(|| {
                let mut batch = Zip215Batch::new();
                for (key, signature) in items {
                    batch.push(key.as_bytes(), black_box(&message), signature.as_bytes());
                }
                batch.verify(&mut Mixer(9))
            });
        });
        group.bench_with_input(BenchmarkId::new("one_by_one", count), &items, |bencher, items| {
            bencher.iter(|| {
                items.iter().all(|(key, signature)| {
                    verify::zip215(key.as_bytes(), black_box(&message), signature.as_bytes()).is_ok()
                })
            });
        });
    }
    group.finish();
}

/// Where everything happens.
const PLACE: Place<'static> = Place {
    network: &NETWORK,
    height: Height::new(1),
    time: UnixMillis::new(1),
    window_ms: 1,
};

fn chain(criterion: &mut Criterion) {
    let phrase = Phrase::generate(&mut Mixer(2));
    let genesis = phrase.genesis();
    let state = IdentityState::new(&genesis);
    let [root, next] = [0, 1].map(|index| phrase.root_key(index));
    let secrets = DeviceSecrets::generate(&mut Mixer(3));
    let Ok(add) = SignedRecord::add_device(&NETWORK, &state, &root, &secrets, EnvelopeKey::x25519([4; 32])) else {
        return;
    };
    let mut group = criterion.benchmark_group("identity/chain");
    group.bench_function("add_device", |bencher| {
        bencher.iter(|| state.apply(&PLACE, black_box(&add)));
    });

    let recovering = || {
        let shares = RecoveryShare::generate(3, 5, &mut Mixer(4)).ok()?;
        let commitment = shares.first()?.commitment().digest();
        let signer = RecordSigner::NextRoot(&next);
        let guard = SignedRecord::set_recovery(&NETWORK, &state, signer, Some(commitment)).ok()?;
        let guarded = state.apply(&PLACE, &guard).ok()?;
        let fresh = [2, 3].map(|index| phrase.root_key(index).verifying_key());
        let record = Record::recover(&NETWORK, &guarded, fresh[0], &fresh[1], None, &[]).ok()?;
        let proof = RecoveryProof::sign(&record, shares.get(..3)?).ok()?;
        let recover = SignedRecord::recover(&guarded, record, proof).ok()?;
        Some((guarded, recover))
    };
    if let Some((guarded, recover)) = recovering() {
        group.bench_function("recover_3_of_5", |bencher| {
            bencher.iter(|| guarded.apply(&PLACE, black_box(&recover)));
        });
    }

    let linking = || {
        let mut state = state.clone();
        let mut entries = Vec::new();
        for number in 0..32 {
            let link = Digest::from_bytes([number; 32]);
            let record = SignedRecord::link_account(&NETWORK, &state, &root, link).ok()?;
            state = state.apply(&PLACE, &record).ok()?;
            entries.push(HistoryEntry {
                record,
                height: PLACE.height,
                time: PLACE.time,
            });
        }
        Some(entries)
    };
    if let Some(entries) = linking() {
        group.throughput(Throughput::Elements(entries.len() as u64));
        group.bench_function("replay_32", |bencher| {
            bencher.iter(|| replay(&NETWORK, PLACE.window_ms, &genesis, black_box(&entries).iter().cloned()));
        });
    }
    group.finish();
}

fn names(criterion: &mut Criterion) {
    let [(id, phrase), (other_id, other)] = [5, 6].map(|seed| {
        let phrase = Phrase::generate(&mut Mixer(seed));
        (phrase.genesis().id(), phrase)
    });
    let text = id.to_string();
    let key = phrase.root_key(0).verifying_key();
    let people = ((id, key), (other_id, other.root_key(0).verifying_key()));
    let code = VerificationCode::between(&people.0, &people.1);
    let shown = code.to_string();
    let mut group = criterion.benchmark_group("identity");
    group.bench_function("key/from_bytes", |bencher| {
        bencher.iter(|| NodeKey::from_bytes(black_box(key.to_bytes())))
    });
    group.bench_function("name/parse", |bencher| {
        bencher.iter(|| black_box(&text).parse::<IdentityId>())
    });
    group.bench_function("device_id", |bencher| {
        let key = DeviceSigningKey::from_seed([1; 32]).verifying_key();
        bencher.iter(|| DeviceId::of(black_box(&key)));
    });
    group.bench_function("safety_number", |bencher| {
        bencher.iter(|| SafetyNumber::between(black_box(&people.0), &people.1));
    });
    group.bench_function("verification_code/parse_and_compare", |bencher| {
        bencher.iter(|| {
            black_box(&shown)
                .parse::<VerificationCode>()
                .map(|scanned| code.compare(&scanned))
        });
    });
    group.sample_size(20);
    group.bench_function("words/root_key", |bencher| {
        bencher.iter(|| phrase.root_key(black_box(0)))
    });
    group.finish();
}

criterion_group!(benches, signatures, chain, names);
criterion_main!(benches);
