//! HPKE in both suites against the `hpke` crate, own and theirs in one group; then the whole envelope, and its
//! signature's share.
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
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Serialize, Serializer};
use std::hint::black_box;
use tokenim_envelope::{
    Content, EnvelopeSecretKey, MessageId, Opener, Recipient, ReplayCache, Sender, Suite, hpke as own, open, seal,
};
use tokenim_identity::{Device, DeviceId, DeviceSigningKey, IdentityId, Statement};
use tokenim_wire::{Label, NetworkId, UnixSeconds};

const INFO: &[u8] = b"a label, a network id of 32 bytes and a suite id of 2 b";
const AAD: &[u8] = b"version, suite, expiry and encapsulated key";
const SIZES: [(&str, usize); 3] = [("64 B", 64), ("1 KiB", 1024), ("64 KiB", 64 * 1024)];
/// Of an envelope, whose longest body is 61 KiB.
const BODIES: [(&str, usize); 3] = [("64 B", 64), ("1 KiB", 1024), ("60 KiB", 60 * 1024)];

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([7; 32])
}

/// The name of a suite in the names of groups.
fn name_of(suite: Suite) -> &'static str {
    if suite == Suite::X25519 { "x25519" } else { "x-wing" }
}

fn seal_hpke(criterion: &mut Criterion) {
    seal_in::<X25519HkdfSha256>(criterion, Suite::X25519);
    seal_in::<XWing>(criterion, Suite::XWing);
}

fn seal_in<K: Kem>(criterion: &mut Criterion, suite: Suite) {
    let key = own::SecretKey::derive(suite, &[1; 32]);
    let public = K::PublicKey::from_bytes(key.public_key().as_bytes()).unwrap();
    let mut group = criterion.benchmark_group(format!("hpke seal {}", name_of(suite)));
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
                    hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, K>(
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
    open_in::<X25519HkdfSha256>(criterion, Suite::X25519);
    open_in::<XWing>(criterion, Suite::XWing);
}

fn open_in<K: Kem>(criterion: &mut Criterion, suite: Suite) {
    let key = own::SecretKey::derive(suite, &[1; 32]);
    let (secret, _) = K::derive_keypair(&[1; 32]);
    let mut group = criterion.benchmark_group(format!("hpke open {}", name_of(suite)));
    for (name, size) in SIZES {
        let (enc, ciphertext) = own::seal(key.public_key(), INFO, AAD, &vec![3; size], &mut rng()).unwrap();
        let encapped = K::EncappedKey::from_bytes(enc.as_bytes()).unwrap();
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
                    hpke::single_shot_open::<AesGcm256, HkdfSha256, K>(
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

/// What is done once a key: the pair from its seed, and the public key from its bytes.
fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hpke keys");
    for suite in Suite::ALL {
        group.bench_function(BenchmarkId::new("derive", name_of(suite)), |bencher| {
            bencher.iter(|| own::SecretKey::derive(suite, black_box(&[1; 32])));
        });
        let key = own::SecretKey::derive(suite, &[1; 32]);
        group.bench_function(BenchmarkId::new("public key", name_of(suite)), |bencher| {
            bencher.iter(|| own::PublicKey::from_bytes(suite, black_box(key.public_key().as_bytes())).unwrap());
        });
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
    fn new(suite: Suite) -> Self {
        Self {
            signing: DeviceSigningKey::from_seed([2; 32]),
            opening: EnvelopeSecretKey::from_seed(suite, &[3; 32]),
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

    fn opener<'a>(&self, keys: &'a [&'a EnvelopeSecretKey]) -> Opener<'a> {
        Opener {
            network: NETWORK,
            identity: IdentityId::from_bytes([5; 32]),
            device: DeviceId::from_bytes([6; 32]),
            keys,
        }
    }
}

/// A statement as long as the envelope's: two digests, encapsulated key, recipient key, payload.
struct AsLong(Vec<u8>);

impl AsLong {
    fn new(suite: Suite, body: usize) -> Self {
        let keys = suite.encapsulated_bytes() + suite.public_key_bytes() + 5;
        Self(vec![3; 64 + keys + 185 + body])
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
    for suite in Suite::ALL {
        let pair = Pair::new(suite);
        let (sender, recipient) = (pair.sender(), pair.recipient());
        let id = MessageId::from_bytes([8; 16]);
        let mut group = criterion.benchmark_group(format!("envelope seal {}", name_of(suite)));
        for (name, size) in BODIES {
            let content = Content::bytes(vec![3; size]);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_with_input(BenchmarkId::new("whole", name), &content, |bencher, content| {
                let mut rng = rng();
                bencher.iter(|| seal(&NETWORK, &sender, &recipient, id, EXPIRY, None, content, &mut rng).unwrap());
            });
            group.bench_with_input(
                BenchmarkId::new("signature", name),
                &AsLong::new(suite, size),
                |bencher, statement| {
                    bencher.iter(|| pair.signing.sign(&NETWORK, black_box(statement)).unwrap());
                },
            );
        }
        group.finish();
    }
}

fn open_envelope(criterion: &mut Criterion) {
    for suite in Suite::ALL {
        let pair = Pair::new(suite);
        let keys = [&pair.opening];
        let (sender, recipient, opener) = (pair.sender(), pair.recipient(), pair.opener(&keys));
        let key = pair.signing.verifying_key();
        let id = MessageId::from_bytes([8; 16]);
        let mut group = criterion.benchmark_group(format!("envelope open {}", name_of(suite)));
        for (name, size) in BODIES {
            let content = Content::bytes(vec![3; size]);
            let sealed = seal(&NETWORK, &sender, &recipient, id, EXPIRY, None, &content, &mut rng()).unwrap();
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_with_input(BenchmarkId::new("whole", name), sealed.as_bytes(), |bencher, bytes| {
                bencher.iter(|| open(&opener, bytes, NOW).unwrap().verify(&key).unwrap());
            });
            let statement = AsLong::new(suite, size);
            let signature = pair.signing.sign(&NETWORK, &statement).unwrap();
            group.bench_with_input(BenchmarkId::new("signature", name), &statement, |bencher, statement| {
                bencher.iter(|| key.verify_strict(&NETWORK, black_box(statement), &signature).unwrap());
            });
        }
        group.finish();
    }
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

criterion_group!(benches, keys, seal_hpke, open_hpke, seal_envelope, open_envelope, admit);
criterion_main!(benches);
