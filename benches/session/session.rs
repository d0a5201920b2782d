//! A message from one machine to another, and one epoch to the next in a group of 10, beside the bare calls of
//! `tokenim-mls` on the same group in the same run. The store is in memory.
//!
//! ```text
//! cargo bench -p tokenim-bench-session
//! ```
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "a bench may stop at the first surprise"
)]
#![allow(dead_code, unreachable_pub, reason = "the simulated world is that of the tests")]

#[path = "../../crates/session/tests/simulation/world/mod.rs"]
mod world;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::hint::black_box;
use tokenim_conversation::{Body, Content, EpochView};
use tokenim_envelope::MessageId;
use tokenim_mailbox::group::{GroupNode, GroupUpdate, LedgerPlace};
use tokenim_session::{
    mls::{Group, Proposed},
    step::{self, Answer, Change, ConversationId, Effect, EffectId, Input, MailboxWatch, View},
};
use tokenim_wire::{Height, UnixMillis};
use world::{
    Device, NETWORK, World,
    nodes::NODES,
    store::MemoryStore,
    villain::{Inside, inside},
};

/// A group of so many; the first two of its members.
fn group(members: usize) -> (World, ConversationId, [Inside; 2]) {
    let mut world = World::new(40, members, 1);
    let others: Vec<usize> = (1..members).collect();
    let talk = world.group(0, &others);
    world.settle();
    let both = [0, 1].map(|at| inside(&world, at, talk).unwrap());
    (world, talk, both)
}

/// A step of a device on a store of its own.
fn step(device: &Device, store: &mut MemoryStore, now: u64, rng: &mut ChaCha8Rng, input: Input) {
    let outcome = step::step(store, &device.owner, &[], None, UnixMillis::new(now), rng, input).unwrap();
    store.apply(&outcome.batch);
}

/// The envelope that is to be put somewhere.
fn put(store: &impl View<Error = std::convert::Infallible>) -> Option<(EffectId, Effect)> {
    let due = step::due(store, None, 8).unwrap();
    due.into_iter().find(|(_, effect)| matches!(effect, Effect::Put { .. }))
}

/// What the owner asks for, until its envelope is due.
fn envelope(
    device: &Device,
    store: &mut MemoryStore,
    now: u64,
    rng: &mut ChaCha8Rng,
    input: Input,
) -> (EffectId, Effect) {
    step(device, store, now, rng, input);
    put(store).unwrap_or_else(|| {
        step(device, store, now, rng, Input::Tick);
        put(store).expect("nothing is due")
    })
}

fn received(effect: &Effect, height: Height) -> Input {
    match effect {
        Effect::Put {
            descriptor, envelope, ..
        } => Input::Envelope {
            tag: descriptor.tag(),
            bytes: envelope.as_bytes().to_vec(),
            height,
        },
        _ => panic!("no envelope"),
    }
}

fn messages(criterion: &mut Criterion) {
    let text = "m".repeat(1024);
    for members in [2, 10] {
        let (world, talk, [sender, receiver]) = group(members);
        let [first, second] = [0, 1].map(|at: usize| &world.devices[at]);
        let height = Height::new(world.ledger.height);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let body = Body {
            id: MessageId::from_bytes([1; 16]),
            view: EpochView::of(&sender.entry, &sender.group.authenticator().unwrap()),
            epoch: sender.group.epoch(),
            clock: 1,
            sent: UnixMillis::new(world.now),
            checkpoint: None,
            content: Content::text(&text).unwrap(),
        };
        let body = body.encode().unwrap();
        let mut bench = criterion.benchmark_group(format!("a message of 1 KiB in a group of {members}"));
        bench.bench_function("machines", |bencher| {
            bencher.iter_batched_ref(
                || [first.store.clone(), second.store.clone()],
                |[one, other]| {
                    let content = Content::text(black_box(&text)).unwrap();
                    let send = Input::Send {
                        conversation: talk,
                        content,
                    };
                    let (_, effect) = envelope(first, one, world.now, &mut rng, send);
                    step(second, other, world.now, &mut rng, received(&effect, height));
                },
                BatchSize::SmallInput,
            );
        });
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        bench.bench_function("mls", |bencher| {
            bencher.iter_batched_ref(
                || [sender.group.clone(), receiver.group.clone()],
                |[one, other]: &mut [Group; 2]| {
                    let message = one.encrypt(black_box(&body), &mut rng).unwrap();
                    other.decrypt(&message).unwrap()
                },
                BatchSize::SmallInput,
            );
        });
        bench.finish();
    }
}

/// The entry with the child that the update brings.
fn adopted(node: &GroupNode, update: &GroupUpdate, place: LedgerPlace) -> GroupNode {
    match update {
        GroupUpdate::Child(signed) => node.adopt(&NETWORK, signed, place).unwrap().parent,
        _ => panic!("no child"),
    }
}

fn commits(criterion: &mut Criterion) {
    let (mut world, talk, [author, member]) = group(10);
    let (node, height) = world.ledger.node(author.handle, author.entry, u64::MAX).unwrap();
    let refresh = || Input::Change {
        conversation: talk,
        change: Change::Refresh,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let now = UnixMillis::new(world.now).to_seconds();
    let update = Proposed {
        update: true,
        ..Proposed::default()
    };

    let mut bench = criterion.benchmark_group("a commit in a group of 10");
    bench.sample_size(20);
    bench.bench_function("machine", |bencher| {
        bencher.iter_batched_ref(
            || world.devices[0].store.clone(),
            |store| envelope(&world.devices[0], store, world.now, &mut rng, refresh()),
            BatchSize::SmallInput,
        );
    });
    bench.bench_function("mls", |bencher| {
        bencher.iter(|| author.group.commit(&update, now, &mut rng).unwrap());
    });
    bench.finish();

    // What the others see of one commit: its author's identity, the child, its envelope, and that nothing more comes from the epoch before.
    let mut store = world.devices[0].store.clone();
    let (id, effect) = envelope(&world.devices[0], &mut store, world.now, &mut rng, refresh());
    let Effect::Put {
        descriptor, envelope, ..
    } = &effect
    else {
        panic!("no envelope");
    };
    let all: [usize; NODES] = core::array::from_fn(|node| node);
    let (tag, expiry) = (descriptor.tag(), envelope.expiry());
    let receipt = world.nodes.put(tag, envelope.as_bytes(), expiry, &all).unwrap();
    let stored = Input::Done(id, Answer::Stored(Box::new(receipt)));
    step(&world.devices[0], &mut store, world.now, &mut rng, stored);
    let due = step::due(&store, None, 8).unwrap();
    let child = due.iter().find_map(|(_, effect)| match effect {
        Effect::Ledger(update) => Some(update.as_ref()),
        _ => None,
    });
    let height = Height::new(height.get() + 1);
    let place = LedgerPlace {
        height,
        time: UnixMillis::new(world.now),
        index: 0,
    };
    let seen = Input::Node {
        handle: author.handle,
        entry: author.entry,
        node: Box::new(adopted(&node, child.unwrap(), place)),
        height,
    };
    let MailboxWatch { descriptor, .. } = step::watches(&world.devices[1].store).unwrap().mailboxes.remove(0);
    let read = Input::Read {
        tag: descriptor.tag(),
        height,
    };
    let people = world.people.clone();
    let state = world.ledger.identity(&people[0], u64::MAX).0.unwrap();
    // Its author's device was live when the child came.
    let live = Input::Identity {
        state: Box::new(state),
        height,
    };
    let follow = |store: &mut MemoryStore, rng: &mut ChaCha8Rng| {
        for input in [live.clone(), seen.clone(), received(&effect, height), read.clone()] {
            step(&world.devices[1], store, world.now, rng, input);
        }
    };
    let mut after = world.devices[1].store.clone();
    follow(&mut after, &mut rng);
    let epoch = step::conversation(&after, talk).unwrap().unwrap().epoch;
    assert_eq!(epoch, member.group.epoch() + 1);
    let commit = author.keys.unwrap(envelope.as_bytes()).unwrap();
    let mut bench = criterion.benchmark_group("follow a commit in a group of 10");
    bench.sample_size(20);
    bench.bench_function("machine", |bencher| {
        bencher.iter_batched_ref(
            || world.devices[1].store.clone(),
            |store| follow(store, &mut rng),
            BatchSize::SmallInput,
        );
    });
    bench.bench_function("mls", |bencher| {
        bencher.iter(|| member.group.apply(black_box(&commit), now).unwrap());
    });
    bench.finish();
}

criterion_group!(benches, messages, commits);
criterion_main!(benches);
