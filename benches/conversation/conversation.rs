//! Benches of `tokenim-conversation`: contents, the keys of an epoch, wrapping, the judgement of an entry, roles.
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{convert::Infallible, hint::black_box};
use tokenim_conversation::{
    Body, Content, EpochKeys, EpochView, GroupContext,
    child::{self, AppliedCommit, Parent},
    policy::{Change, MemberDevice, permits},
};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId, Signature};
use tokenim_mailbox::group::{GroupEntryId, GroupHandle};
use tokenim_wire::{NetworkId, UnixMillis, UnixSeconds};

const NETWORK: NetworkId = NetworkId::from_bytes([7; 32]);
const HANDLE: GroupHandle = GroupHandle::from_bytes([8; 32]);
const EXPIRY: UnixSeconds = UnixSeconds::new(1_802_000_000);

/// What does not work out here is a mistake in the bench.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn keys() -> EpochKeys {
    let exporter = |_: &str, _: &[u8], length: usize| Ok::<_, Infallible>(vec![9; length].into());
    let Ok(keys) = EpochKeys::derive(&NETWORK, &HANDLE, exporter);
    keys
}

fn contents(criterion: &mut Criterion) -> Outcome<()> {
    let body = Body {
        id: MessageId::from_bytes([1; 16]),
        view: EpochView::of(&HANDLE.root(), &[3; 32]),
        epoch: 4,
        clock: 5,
        sent: UnixMillis::new(1_800_000_000_000),
        checkpoint: None,
        content: Content::text("x".repeat(1024))?,
    };
    let bytes = body.encode()?;
    criterion.bench_function("conversation/body_encode/1024", |bencher| {
        bencher.iter(|| black_box(&body).encode());
    });
    criterion.bench_function("conversation/body_decode/1024", |bencher| {
        bencher.iter(|| Body::decode(black_box(&bytes)));
    });
    Ok(())
}

fn epochs(criterion: &mut Criterion) -> Outcome<()> {
    let keys = keys();
    let tag = keys.commit_tag(b"commit");
    criterion.bench_function("conversation/epoch_keys", |bencher| bencher.iter(self::keys));
    criterion.bench_function("conversation/mailbox", |bencher| {
        bencher.iter(|| black_box(&keys).mailbox().tag());
    });
    criterion.bench_function("conversation/commit_mailbox", |bencher| {
        bencher.iter(|| black_box(&keys).commit_mailbox(black_box(&tag)).tag());
    });
    let mut group = criterion.benchmark_group("conversation");
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    for length in [256, 1024, 16_384, 60_000_u64] {
        let message = vec![7; usize::try_from(length)?];
        let envelope = keys.wrap(&message, EXPIRY, &mut rng)?;
        group.throughput(Throughput::Bytes(length));
        group.bench_function(BenchmarkId::new("wrap", length), |bencher| {
            bencher.iter(|| keys.wrap(black_box(&message), EXPIRY, &mut rng));
        });
        group.bench_function(BenchmarkId::new("unwrap", length), |bencher| {
            bencher.iter(|| keys.unwrap(black_box(envelope.as_bytes())));
        });
    }
    group.finish();
    Ok(())
}

/// Without the signature of the leaf and without MLS, which are the caller's.
fn judgement(criterion: &mut Criterion) -> Outcome<()> {
    let keys = keys();
    let parent = Parent {
        network: &NETWORK,
        handle: HANDLE,
        entry: GroupEntryId::from_bytes([4; 32]),
        keys: &keys,
    };
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    let commit = vec![5; 2000];
    let envelope = keys.wrap(&commit, EXPIRY, &mut rng)?;
    let next = keys.verifying_key();
    let sign = |_: &[u8]| Ok::<_, Infallible>(Signature::from_bytes([1; 64]));
    let Ok(made) = child::build(&parent, &commit, next, envelope.id().into(), 1, sign, &mut rng);
    criterion.bench_function("conversation/child_check", |bencher| {
        bencher.iter(|| {
            let applied = |_: &[u8]| {
                Some(AppliedCommit {
                    author: 1,
                    permitted: Ok(()),
                    next: Some(next),
                    state: (),
                })
            };
            child::check(
                &parent,
                black_box(&made),
                &[envelope.as_bytes()],
                |_, _, _| true,
                applied,
            )
        });
    });
    Ok(())
}

/// A group of a thousand devices, of which one is added.
fn policy(criterion: &mut Criterion) -> Outcome<()> {
    let device = |number: u16| {
        let mut bytes = [0; 32];
        let [high, low] = number.to_be_bytes();
        (bytes[0], bytes[1]) = (high, low);
        MemberDevice {
            identity: IdentityId::from_bytes(bytes),
            device: DeviceId::from_bytes(bytes),
        }
    };
    let members: Vec<_> = (0..1000).map(device).collect();
    let author = device(0);
    let context = GroupContext::group(HANDLE, "name", author.identity)?;
    let added = [device(1000)];
    let change = Change {
        before: &context,
        after: &context,
        members: &members,
        author,
        added: &added,
        removed: &[],
    };
    criterion.bench_function("conversation/permits/1000", |bencher| {
        bencher.iter(|| permits(black_box(&change), |_| true));
    });
    Ok(())
}

fn all(criterion: &mut Criterion) {
    for bench in [contents, epochs, judgement, policy] {
        if let Err(error) = bench(criterion) {
            eprintln!("the bench is wrong: {error}");
        }
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
