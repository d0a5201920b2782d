//! Messages of 1 KiB, a commit among 100 and a newcomer to 1,000, beside bare `mls-rs` on the same cryptography in the
//! same run.
//!
//! ```text
//! cargo bench -p tokenim-bench-mls
//! ```
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench may stop at the first surprise"
)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the cryptography is private to the crate; here it is by itself"
)]

#[path = "../../crates/mls/src/crypto/mod.rs"]
mod crypto;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use crypto::{Crypto, Generator, leaf_key};
use mls_rs::{
    Client, ExtensionList, Group as Bare, MlsMessage,
    client_builder::{BaseConfig, ClientBuilder, PaddingMode, WithCryptoProvider, WithIdentityProvider, WithMlsRules},
    group::ReceivedMessage,
    identity::basic::{BasicCredential, BasicIdentityProvider},
    mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions},
};
use mls_rs_core::{
    crypto::{CipherSuite, SignatureSecretKey},
    identity::SigningIdentity,
    time::MlsTime,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::{hint::black_box, time::Duration};
use tokenim_identity::{DeviceSigningKey, IdentityId};
use tokenim_mls::{Group, NewKeyPackage, Owner, Proposed, SessionSuite, key_package};
use tokenim_wire::{NetworkId, UnixSeconds};

const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
const DAY: u64 = 24 * 60 * 60;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// 32 bytes that name a member.
fn name(number: u16) -> [u8; 32] {
    let mut name = [7; 32];
    name[..2].copy_from_slice(&number.to_be_bytes());
    name
}

fn owner(number: u16) -> Owner {
    Owner {
        network: NetworkId::from_bytes([1; 32]),
        identity: IdentityId::from_bytes(name(number)),
        device: DeviceSigningKey::from_seed(name(number)),
    }
}

fn package(number: u16, suite: SessionSuite) -> NewKeyPackage {
    key_package(&owner(number), suite, NOW, DAY, &mut rng(number.into())).unwrap()
}

/// The first two members of a group of ours of so many.
fn own_group(suite: SessionSuite, members: u16) -> [Group; 2] {
    let second = package(1, suite);
    let mut add = vec![second.package];
    add.extend((2..members).map(|number| package(number, suite).package));
    let first = Group::create(&owner(0), suite, b"context", NOW, &mut rng(0)).unwrap();
    let proposed = Proposed {
        add,
        ..Proposed::default()
    };
    let commit = first.commit(&proposed, NOW, &mut rng(1)).unwrap();
    let second = Group::join(&owner(1), &second.secrets, &commit.welcome.unwrap()).unwrap();
    [commit.next, second]
}

type Config =
    WithMlsRules<DefaultMlsRules, WithIdentityProvider<BasicIdentityProvider, WithCryptoProvider<Crypto, BaseConfig>>>;

/// A user of the library alone, with the options that ours have.
struct BareUser {
    client: Client<Config>,
    generator: Generator,
}

impl BareUser {
    fn new(number: u16, suite: SessionSuite) -> Self {
        let generator = Generator::default();
        generator.seed(&mut rng(number.into()));
        let seed = name(number);
        let credential = BasicCredential::new(seed.to_vec()).into_credential();
        let identity = SigningIdentity::new(credential, leaf_key(&seed).to_vec().into());
        let rules = DefaultMlsRules::new()
            .with_commit_options(CommitOptions::new().with_path_required(true))
            .with_encryption_options(EncryptionOptions::new(true, PaddingMode::None));
        let client = ClientBuilder::new()
            .crypto_provider(Crypto {
                generator: generator.clone(),
            })
            .identity_provider(BasicIdentityProvider::new())
            .mls_rules(rules)
            .key_package_lifetime(Duration::from_secs(DAY))
            .signing_identity(
                identity,
                SignatureSecretKey::new_slice(&seed),
                CipherSuite::new(suite.number()),
            )
            .build();
        Self { client, generator }
    }

    fn package(&self) -> MlsMessage {
        let now = Some(MlsTime::from(NOW.get()));
        self.client
            .generate_key_package_message(ExtensionList::new(), ExtensionList::new(), now)
            .unwrap()
    }
}

fn bare_group(suite: SessionSuite, members: u16) -> [Bare<Config>; 2] {
    let [first, second] = [0, 1].map(|number| BareUser::new(number, suite));
    let now = MlsTime::from(NOW.get());
    let group = first
        .client
        .create_group(ExtensionList::new(), ExtensionList::new(), Some(now));
    let mut group = group.unwrap();
    let mut builder = group
        .commit_builder()
        .commit_time(now)
        .add_member(second.package())
        .unwrap();
    for number in 2..members {
        builder = builder.add_member(BareUser::new(number, suite).package()).unwrap();
    }
    let output = builder.build().unwrap();
    group.apply_pending_commit().unwrap();
    let (joined, _) = second
        .client
        .join_group(None, &output.welcome_messages[0], None)
        .unwrap();
    [group, joined]
}

fn bare_commit(group: &Bare<Config>, add: Option<&MlsMessage>) -> (Vec<u8>, Bare<Config>) {
    let mut next = group.clone();
    let mut builder = next.commit_builder().commit_time(MlsTime::from(NOW.get()));
    if let Some(package) = add {
        builder = builder.add_member(package.clone()).unwrap();
    }
    let (output, secrets) = builder.build_detached().unwrap();
    next.apply_detached_commit(secrets).unwrap();
    (output.commit_message.to_bytes().unwrap(), next)
}

fn suite_name(suite: SessionSuite) -> &'static str {
    if suite == SessionSuite::Classical {
        "classical"
    } else {
        "post-quantum"
    }
}

fn messages(criterion: &mut Criterion) {
    let body = [5; 1024];
    for suite in SessionSuite::ALL {
        for members in [2, 100] {
            let name = format!("{} {members}", suite_name(suite));
            let [mut sender, receiver] = own_group(suite, members);
            let [mut bare_sender, bare_receiver] = bare_group(suite, members);
            // The receivers are at the beginning of the ratchet each time.
            let mut random = rng(u64::MAX);
            let message = sender.encrypt(&body, &mut random).unwrap();
            let bare_message = bare_sender.encrypt_application_message(&body, Vec::new()).unwrap();
            let bare_message = bare_message.to_bytes().unwrap();

            let mut group = criterion.benchmark_group(format!("encrypt 1 KiB, {name}"));
            group.bench_function("own", |bencher| {
                bencher.iter(|| sender.encrypt(black_box(&body), &mut random).unwrap());
            });
            group.bench_function("mls-rs", |bencher| {
                bencher.iter(|| {
                    let message = bare_sender.encrypt_application_message(black_box(&body), Vec::new());
                    message.unwrap().to_bytes().unwrap()
                });
            });
            group.finish();

            let mut group = criterion.benchmark_group(format!("decrypt 1 KiB, {name}"));
            group.bench_function("own", |bencher| {
                bencher.iter_batched_ref(
                    || receiver.clone(),
                    |receiver| receiver.decrypt(black_box(&message)).unwrap(),
                    BatchSize::SmallInput,
                );
            });
            group.bench_function("mls-rs", |bencher| {
                bencher.iter_batched_ref(
                    || bare_receiver.clone(),
                    |receiver| {
                        let message = MlsMessage::from_bytes(black_box(&bare_message)).unwrap();
                        match receiver.process_incoming_message(message).unwrap() {
                            ReceivedMessage::ApplicationMessage(message) => message,
                            _ => panic!("no message"),
                        }
                    },
                    BatchSize::SmallInput,
                );
            });
            group.finish();
        }
    }
}

fn commits(criterion: &mut Criterion) {
    for suite in SessionSuite::ALL {
        let [first, second] = own_group(suite, 100);
        let [bare_first, bare_second] = bare_group(suite, 100);
        let update = Proposed {
            update: true,
            ..Proposed::default()
        };
        let mut random = rng(u64::MAX);

        let mut group = criterion.benchmark_group(format!("commit among 100, {}", suite_name(suite)));
        group.sample_size(20);
        group.bench_function("own", |bencher| {
            bencher.iter(|| first.commit(&update, NOW, &mut random).unwrap());
        });
        group.bench_function("mls-rs", |bencher| bencher.iter(|| bare_commit(&bare_first, None)));
        group.finish();

        let commit = first.commit(&update, NOW, &mut random).unwrap().bytes;
        let bare = bare_commit(&bare_first, None).0;
        let mut group = criterion.benchmark_group(format!("apply a commit among 100, {}", suite_name(suite)));
        group.bench_function("own", |bencher| bencher.iter(|| second.apply(&commit, NOW).unwrap()));
        group.bench_function("mls-rs", |bencher| {
            bencher.iter(|| {
                let mut next = bare_second.clone();
                let message = MlsMessage::from_bytes(&bare).unwrap();
                next.process_incoming_message_with_time(message, MlsTime::from(NOW.get()))
                    .unwrap();
                next
            });
        });
        group.finish();
    }
}

fn large(criterion: &mut Criterion) {
    let suite = SessionSuite::Classical;
    let [first, _] = own_group(suite, 1000);
    let [bare_first, _] = bare_group(suite, 1000);
    let add = Proposed {
        add: vec![package(1000, suite).package],
        ..Proposed::default()
    };
    let newcomer = BareUser::new(1000, suite).package();
    let mut random = rng(u64::MAX);
    let mut group = criterion.benchmark_group("add one to 1,000, classical");
    group.sample_size(10);
    group.bench_function("own", |bencher| {
        bencher.iter(|| first.commit(&add, NOW, &mut random).unwrap());
    });
    group.bench_function("mls-rs", |bencher| {
        bencher.iter(|| bare_commit(&bare_first, Some(&newcomer)))
    });
    group.finish();

    let mut group = criterion.benchmark_group("keep a group of 1,000, classical");
    group.sample_size(10);
    let kept = first.to_bytes().unwrap();
    group.bench_function("to_bytes", |bencher| bencher.iter(|| first.to_bytes().unwrap()));
    group.bench_function("from_bytes", |bencher| {
        bencher.iter(|| Group::from_bytes(NetworkId::from_bytes([1; 32]), &kept).unwrap());
    });
    group.finish();
}

criterion_group!(benches, messages, commits, large);
criterion_main!(benches);
