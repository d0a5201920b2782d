//! HPKE against the `hpke` crate, both in one group; then the whole envelope, and its signature's share.
//!
//! ```text
//! cargo bench -p tokenim-bench-envelope
//! ```
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench may stop at the first surprise"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Serialize, Serializer};
use std::hint::black_box;
use tokenim_envelope::{
    Content, EnvelopeSecretKey, MessageId, Opener, Recipient, ReplayCache, Sender, hpke as own, open, seal,
};
use tokenim_identity::{Device, DeviceId, DeviceSigningKey, IdentityId, Statement};
use tokenim_wire::{Label, NetworkId, UnixSeconds};

type Kem = X25519HkdfSha256;

const INFO: &[u8] = b"a label, a network id of 32 bytes and a suite id of 2 b";
const AAD: &[u8] = b"version, suite, expiry and encapsulated key";
const SIZES: [(&str, usize); 3] = [("64 B", 64), ("1 KiB", 1024), ("60 KiB", 60 * 1024)];

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([7; 32])
}

fn seal_hpke(criterion: &mut Criterion) {
    let key = own::SecretKey::derive(&[1; 32]);
    let public = <Kem as hpke::Kem>::PublicKey::from_bytes(key.public_key().as_bytes()).unwrap();
    let mut group = criterion.benchmark_group("hpke seal");
    for (name, size) in SIZES {
        let plaintext = vec![3; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("own", name), &plaintext, |bencher, plaintext| {
            let mut rng = rng();
            bencher.iter(|| own::seal(black_box(key.public_key()), INFO, AAD, plaintext, &mut rng).unwrap());
        });
        group.bench_with_input(
            BenchmarkId::new("hpke crate", name),
            &plaintext,
            |bencher, plaintext| {
                let mut rng = rng();
                bencher.iter(|| {
                    hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
                        &OpModeS::Base,
                        black_box(&public),
                        INFO,
                        plaintext,
                        AAD,
                        &mut rng,
                    )
                    .unwrap()
                });
            },
        );
    }
    group.finish();
}

fn open_hpke(criterion: &mut Criterion) {
    let key = own::SecretKey::derive(&[1; 32]);
    let (secret, _) = <Kem as hpke::Kem>::derive_keypair(&[1; 32]);
    let mut group = criterion.benchmark_group("hpke open");
    for (name, size) in SIZES {
        let (enc, ciphertext) = own::seal(key.public_key(), INFO, AAD, &vec![3; size], &mut rng()).unwrap();
        let encapped = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc.as_bytes()).unwrap();
        assert_eq!(encapped.to_bytes().as_slice(), enc.as_bytes());
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("own", name), &ciphertext, |bencher, ciphertext| {
            bencher.iter(|| own::open(black_box(&key), &enc, INFO, AAD, ciphertext).unwrap());
        });
        group.bench_with_input(
            BenchmarkId::new("hpke crate", name),
            &ciphertext,
            |bencher, ciphertext| {
                bencher.iter(|| {
                    hpke::single_shot_open::<AesGcm256, HkdfSha256, Kem>(
                        &OpModeR::Base,
                        black_box(&secret),
                        &encapped,
                        INFO,
                        ciphertext,
                        AAD,
                    )
                    .unwrap()
                });
            },
        );
    }
    group.finish();
}

const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
const EXPIRY: UnixSeconds = UnixSeconds::new(1_800_086_400);

struct Pair {
    signing: DeviceSigningKey,
    opening: EnvelopeSecretKey,
}

impl Pair {
    fn new() -> Self {
        Self {
            signing: DeviceSigningKey::from_seed([2; 32]),
            opening: EnvelopeSecretKey::from_seed(&[3; 32]),
        }
    }

    fn sender(&self) -> Sender<'_> {
        Sender {
            identity: IdentityId::from_bytes([4; 32]),
            device: DeviceId::of(&self.signing.verifying_key()),
            key: &self.signing,
        }
    }

    fn recipient(&self) -> Recipient {
        Recipient {
            identity: IdentityId::from_bytes([5; 32]),
            device: DeviceId::from_bytes([6; 32]),
            key: self.opening.public().clone(),
        }
    }

    fn opener(&self) -> Opener<'_> {
        Opener {
            network: NETWORK,
            identity: IdentityId::from_bytes([5; 32]),
            device: DeviceId::from_bytes([6; 32]),
            key: &self.opening,
        }
    }
}

/// A statement as long as the envelope's: two digests, encapsulated key, recipient key, payload.
struct AsLong(Vec<u8>);

impl AsLong {
    fn new(body: usize) -> Self {
        Self(vec![3; 64 + 33 + 34 + 184 + body])
    }
}

impl Serialize for AsLong {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl Statement for AsLong {
    type Signer = Device;
    const LABEL: Label = Label::new("tokenim/bench-signature/v1");
}

fn seal_envelope(criterion: &mut Criterion) {
    let pair = Pair::new();
    let (sender, recipient) = (pair.sender(), pair.recipient());
    let id = MessageId::from_bytes([8; 16]);
    let mut group = criterion.benchmark_group("envelope seal");
    for (name, size) in SIZES {
        let content = Content::bytes(vec![3; size]);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("whole", name), &content, |bencher, content| {
            let mut rng = rng();
            bencher.iter(|| seal(&NETWORK, &sender, &recipient, id, EXPIRY, content, &mut rng).unwrap());
        });
        group.bench_with_input(
            BenchmarkId::new("signature", name),
            &AsLong::new(size),
            |bencher, statement| {
                bencher.iter(|| pair.signing.sign(&NETWORK, black_box(statement)).unwrap());
            },
        );
    }
    group.finish();
}

fn open_envelope(criterion: &mut Criterion) {
    let pair = Pair::new();
    let (sender, recipient, opener) = (pair.sender(), pair.recipient(), pair.opener());
    let key = pair.signing.verifying_key();
    let id = MessageId::from_bytes([8; 16]);
    let mut group = criterion.benchmark_group("envelope open");
    for (name, size) in SIZES {
        let content = Content::bytes(vec![3; size]);
        let sealed = seal(&NETWORK, &sender, &recipient, id, EXPIRY, &content, &mut rng()).unwrap();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("whole", name), sealed.as_bytes(), |bencher, bytes| {
            bencher.iter(|| open(&opener, bytes, NOW).unwrap().verify(&key).unwrap());
        });
        let statement = AsLong::new(size);
        let signature = pair.signing.sign(&NETWORK, &statement).unwrap();
        group.bench_with_input(BenchmarkId::new("signature", name), &statement, |bencher, statement| {
            bencher.iter(|| key.verify_strict(&NETWORK, black_box(statement), &signature).unwrap());
        });
    }
    group.finish();
}

fn admit(criterion: &mut Criterion) {
    // a cache at a tenth of what it holds, entries expiring as fast as they come
    let mut cache = ReplayCache::new();
    let mut count = 0_u64;
    let mut step = || {
        count += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&count.to_be_bytes());
        let mut sender = [0; 32];
        sender[..8].copy_from_slice(&(count % 100).to_be_bytes());
        let now = UnixSeconds::new(NOW.get() + count);
        let expiry = UnixSeconds::new(now.get() + 6_400);
        cache.check_and_insert(&IdentityId::from_bytes(sender), &MessageId::from_bytes(id), expiry, now)
    };
    for _ in 0..10_000 {
        step().unwrap();
    }
    criterion.bench_function("replay cache/admit", |bencher| bencher.iter(|| step().unwrap()));
}

criterion_group!(benches, seal_hpke, open_hpke, seal_envelope, open_envelope, admit);
criterion_main!(benches);
