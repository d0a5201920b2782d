//! Messages, commits and Welcomes, beside bare `mls-rs` at the same size in the same run: in suite 1 on the provider that
//! `mls-rs` brings, RustCrypto, and on the cryptography of this workspace, which tells the layer from the primitives.
//! Sizes are printed first. The groups are made by one commit, so that a commit seals to every leaf: the dearest case.
//!
//! ```text
//! cargo bench -p tokenim-bench-mls
//! ```
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench may stop at the first surprise, and prints"
)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the cryptography is private to the crate; here it is by itself"
)]

#[allow(unexpected_cfgs, reason = "a feature of the crate")]
#[path = "../../crates/mls/src/crypto/mod.rs"]
mod crypto;

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, SamplingMode, criterion_group, criterion_main, measurement::WallTime,
};
use crypto::{Crypto, Generator};
use mls_rs::{
    Client, CryptoProvider, ExtensionList, MlsMessage,
    client_builder::{ClientBuilder, MlsConfig, PaddingMode},
    group::ReceivedMessage,
    identity::basic::{BasicCredential, BasicIdentityProvider},
    mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions},
};
use mls_rs_core::{
    crypto::{CipherSuite, CipherSuiteProvider},
    identity::SigningIdentity,
    time::MlsTime,
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use tokenim_identity::{DeviceSigningKey, IdentityId};
use tokenim_mls::{Group, NewKeyPackage, Owner, Parts, Proposed, SessionSuite, key_package};
use tokenim_wire::{NetworkId, UnixSeconds};

const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
const DAY: u64 = 24 * 60 * 60;
const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
const BODY: [u8; 1024] = [5; 1024];

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
        network: NETWORK,
        identity: IdentityId::from_bytes(name(number)),
        device: DeviceSigningKey::from_seed(name(number)),
    }
}

fn package(number: u16, suite: SessionSuite) -> NewKeyPackage {
    key_package(&owner(number), suite, NOW, DAY, &mut rng(number.into())).unwrap()
}

/// The first two members of a group of ours.
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

/// The cryptography of this workspace, for the library alone.
fn ours() -> Crypto {
    let generator = Generator::default();
    generator.seed(&mut rng(7));
    Crypto { generator }
}

/// A user of the library alone, with the options that ours have.
fn user<P: CryptoProvider + Clone>(provider: P, number: u16, suite: SessionSuite) -> Client<impl MlsConfig> {
    let number_of_suite = CipherSuite::new(suite.number());
    let primitives = provider.cipher_suite_provider(number_of_suite).unwrap();
    let (secret, public) = primitives.signature_key_generate().unwrap();
    let credential = BasicCredential::new(name(number).to_vec()).into_credential();
    let rules = DefaultMlsRules::new()
        .with_commit_options(CommitOptions::new().with_path_required(true))
        .with_encryption_options(EncryptionOptions::new(true, PaddingMode::None));
    ClientBuilder::new()
        .crypto_provider(provider)
        .identity_provider(BasicIdentityProvider::new())
        .mls_rules(rules)
        .key_package_lifetime(Duration::from_secs(DAY))
        .signing_identity(SigningIdentity::new(credential, public), secret, number_of_suite)
        .build()
}

fn bare_package<C: MlsConfig>(client: &Client<C>) -> MlsMessage {
    let now = Some(MlsTime::from(NOW.get()));
    client
        .generate_key_package_message(ExtensionList::new(), ExtensionList::new(), now)
        .unwrap()
}

/// The same with the library alone.
fn bare_group<P: CryptoProvider + Clone>(
    provider: &P,
    suite: SessionSuite,
    members: u16,
) -> [mls_rs::Group<impl MlsConfig + use<P>>; 2] {
    let [first, second] = [0, 1].map(|number| user(provider.clone(), number, suite));
    let now = MlsTime::from(NOW.get());
    let group = first.create_group(ExtensionList::new(), ExtensionList::new(), Some(now));
    let mut group = group.unwrap();
    let mut builder = group.commit_builder().commit_time(now);
    builder = builder.add_member(bare_package(&second)).unwrap();
    for number in 2..members {
        let package = bare_package(&user(provider.clone(), number, suite));
        builder = builder.add_member(package).unwrap();
    }
    let output = builder.build().unwrap();
    group.apply_pending_commit().unwrap();
    let (joined, _) = second.join_group(None, &output.welcome_messages[0], None).unwrap();
    [group, joined]
}

/// What is committed.
#[derive(Clone, Copy)]
enum What {
    Update,
    Add,
    Remove,
}

const CHANGES: [(What, &str); 3] = [
    (What::Update, "update"),
    (What::Add, "add one"),
    (What::Remove, "remove one"),
];

fn proposed(what: What, newcomer: &NewKeyPackage) -> Proposed {
    match what {
        What::Update => Proposed {
            update: true,
            ..Proposed::default()
        },
        What::Add => Proposed {
            add: vec![newcomer.package.clone()],
            ..Proposed::default()
        },
        What::Remove => Proposed {
            remove: vec![5],
            ..Proposed::default()
        },
    }
}

fn bare_commit<C: MlsConfig>(
    group: &mut mls_rs::Group<C>,
    what: What,
    newcomer: &MlsMessage,
) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut builder = group.commit_builder().commit_time(MlsTime::from(NOW.get()));
    builder = match what {
        What::Update => builder,
        What::Add => builder.add_member(newcomer.clone()).unwrap(),
        What::Remove => builder.remove_member(5).unwrap(),
    };
    let output = builder.build().unwrap();
    group.apply_pending_commit().unwrap();
    let welcome = output.welcome_messages.first();
    (
        output.commit_message.to_bytes().unwrap(),
        welcome.map(|welcome| welcome.to_bytes().unwrap()),
    )
}

fn bare_apply<C: MlsConfig>(group: &mut mls_rs::Group<C>, commit: &[u8]) {
    let message = MlsMessage::from_bytes(commit).unwrap();
    group
        .process_incoming_message_with_time(message, MlsTime::from(NOW.get()))
        .unwrap();
}

fn suite_name(suite: SessionSuite) -> &'static str {
    if suite == SessionSuite::Classical {
        "classical"
    } else {
        "post-quantum"
    }
}

type Benches<'a> = BenchmarkGroup<'a, WallTime>;

/// So many messages are encrypted, and opened one after the other.
fn own_messages(group: &mut Benches<'_>, decrypt: bool, groups: &[Group; 2]) {
    let mut random = rng(u64::MAX);
    let [mut sender, mut receiver] = groups.clone();
    group.bench_function("own", |bencher| {
        bencher.iter_custom(|count| {
            let start = Instant::now();
            let messages: Vec<_> = (0..count)
                .map(|_| sender.encrypt(black_box(&BODY), &mut random).unwrap())
                .collect();
            if !decrypt {
                return start.elapsed();
            }
            let mut next = receiver.clone();
            let start = Instant::now();
            for message in &messages {
                let opened;
                (next, opened) = next.open(black_box(message)).unwrap();
                black_box(opened);
            }
            let elapsed = start.elapsed();
            receiver = next;
            elapsed
        });
    });
}

fn bare_messages<C: MlsConfig>(group: &mut Benches<'_>, name: &str, decrypt: bool, groups: &[mls_rs::Group<C>; 2]) {
    let [mut sender, mut receiver] = groups.clone();
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|count| {
            let start = Instant::now();
            let messages: Vec<_> = (0..count)
                .map(|_| {
                    let message = sender.encrypt_application_message(black_box(&BODY), Vec::new());
                    message.unwrap().to_bytes().unwrap()
                })
                .collect();
            if !decrypt {
                return start.elapsed();
            }
            let start = Instant::now();
            for message in &messages {
                let message = MlsMessage::from_bytes(black_box(message)).unwrap();
                match receiver.process_incoming_message(message).unwrap() {
                    ReceivedMessage::ApplicationMessage(message) => drop(black_box(message)),
                    _ => panic!("no message"),
                }
            }
            start.elapsed()
        });
    });
}

fn messages(criterion: &mut Criterion) {
    let provider = RustCryptoProvider::new();
    for members in [2, 10, 100, 1000] {
        let suite = SessionSuite::Classical;
        let own = own_group(suite, members);
        let theirs = bare_group(&provider, suite, members);
        let same = bare_group(&ours(), suite, members);
        print_message(suite, members, &own[0], theirs[0].clone());
        for (decrypt, what) in [(false, "encrypt"), (true, "decrypt")] {
            let mut group = criterion.benchmark_group(format!("{what} 1 KiB, classical, {members}"));
            own_messages(&mut group, decrypt, &own);
            bare_messages(&mut group, "mls-rs, RustCrypto", decrypt, &theirs);
            bare_messages(&mut group, "mls-rs, this cryptography", decrypt, &same);
            group.finish();
        }
    }
    let suite = SessionSuite::PostQuantum;
    let own = own_group(suite, 64);
    let same = bare_group(&ours(), suite, 64);
    print_message(suite, 64, &own[0], same[0].clone());
    for (decrypt, what) in [(false, "encrypt"), (true, "decrypt")] {
        let mut group = criterion.benchmark_group(format!("{what} 1 KiB, post-quantum, 64"));
        own_messages(&mut group, decrypt, &own);
        bare_messages(&mut group, "mls-rs, this cryptography", decrypt, &same);
        group.finish();
    }
}

fn print_message<C: MlsConfig>(suite: SessionSuite, members: u16, own: &Group, mut bare: mls_rs::Group<C>) {
    let message = own.clone().encrypt(&BODY, &mut rng(1)).unwrap().len();
    let bare = bare.encrypt_application_message(&BODY, Vec::new()).unwrap();
    let bare = bare.to_bytes().unwrap().len();
    let Parts { message: small, epoch } = own.clone().into_parts().unwrap();
    println!(
        "{}, {members} members: message of 1 KiB {message} B (mls-rs {bare}); kept {} + {} B, of which a message rewrites {}",
        suite_name(suite),
        small.len(),
        epoch.len(),
        small.len(),
    );
}

fn group<'a>(criterion: &'a mut Criterion, members: u16, name: String) -> Benches<'a> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(if members > 100 { 10 } else { 20 });
    group.sampling_mode(SamplingMode::Flat);
    group
}

fn changes<P: CryptoProvider + Clone>(
    criterion: &mut Criterion,
    provider: &P,
    library: &str,
    suite: SessionSuite,
    members: u16,
) {
    let own = own_group(suite, members);
    let bare = bare_group(provider, suite, members);
    let newcomer = package(members, suite);
    let client = user(provider.clone(), members, suite);
    let bare_newcomer = bare_package(&client);
    let place = format!("{members}, {}", suite_name(suite));
    let mut random = rng(u64::MAX);
    for (what, name) in CHANGES {
        let proposed = proposed(what, &newcomer);
        let commit = own[0].commit(&proposed, NOW, &mut random).unwrap();
        let (bare_bytes, bare_welcome) = bare_commit(&mut bare[0].clone(), what, &bare_newcomer);
        println!(
            "{place}, {name}: commit {} B (mls-rs {})",
            commit.bytes.len(),
            bare_bytes.len()
        );

        let mut group = self::group(criterion, members, format!("{name}, {place}: commit"));
        group.bench_function("own", |bencher| {
            bencher.iter(|| own[0].commit(&proposed, NOW, &mut random).unwrap());
        });
        group.bench_function(library, |bencher| {
            bencher.iter_batched_ref(
                || bare[0].clone(),
                |group| bare_commit(group, what, &bare_newcomer),
                BatchSize::PerIteration,
            );
        });
        group.finish();

        let mut group = self::group(criterion, members, format!("{name}, {place}: apply"));
        group.bench_function("own", |bencher| {
            bencher.iter(|| own[1].apply(&commit.bytes, NOW).unwrap());
        });
        group.bench_function(library, |bencher| {
            bencher.iter_batched_ref(
                || bare[1].clone(),
                |group| bare_apply(group, &bare_bytes),
                BatchSize::PerIteration,
            );
        });
        group.finish();

        let (Some(welcome), Some(bare_welcome)) = (commit.welcome, bare_welcome) else {
            continue;
        };
        println!("{place}: Welcome {} B (mls-rs {})", welcome.len(), bare_welcome.len());
        let mut group = self::group(criterion, members, format!("join by a Welcome, {place}"));
        let owner = owner(members);
        group.bench_function("own", |bencher| {
            bencher.iter(|| Group::join(&owner, &newcomer.secrets, &welcome).unwrap());
        });
        group.bench_function(library, |bencher| {
            bencher.iter(|| {
                let welcome = MlsMessage::from_bytes(&bare_welcome).unwrap();
                client.join_group(None, &welcome, None).unwrap()
            });
        });
        group.finish();
    }

    let mut group = self::group(criterion, members, format!("keep, {place}"));
    group.bench_function("into_parts", |bencher| {
        bencher.iter_batched(
            || own[0].clone(),
            |group| group.into_parts().unwrap(),
            BatchSize::PerIteration,
        );
    });
    let Parts { message, epoch } = own[0].clone().into_parts().unwrap();
    group.bench_function("from_parts", |bencher| {
        bencher.iter(|| Group::from_parts(NETWORK, &message, &epoch).unwrap());
    });
    group.finish();
}

fn commits(criterion: &mut Criterion) {
    let provider = RustCryptoProvider::new();
    for members in [100, 1000] {
        changes(
            criterion,
            &provider,
            "mls-rs, RustCrypto",
            SessionSuite::Classical,
            members,
        );
    }
    changes(
        criterion,
        &ours(),
        "mls-rs, this cryptography",
        SessionSuite::PostQuantum,
        64,
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
        .without_plots();
    targets = messages, commits
}
criterion_main!(benches);
