//! Runs the fuzz targets on their committed corpora.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::type_complexity
)]

#[path = "../../../fuzz/replay.rs"]
mod replay;
#[path = "../../../fuzz/session/targets.rs"]
mod targets;
#[path = "simulation/world/mod.rs"]
mod world;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use replay::write;
use tokenim_conversation::{Body, Content, EpochView, note::Note, welcome::Welcome};
use tokenim_envelope::MessageId;
use tokenim_mailbox::group::{GroupEntryId, GroupHandle};
use tokenim_wire::{Object, UnixMillis, UnixSeconds};

replay::tests!(inputs, rows);

/// Writes the corpus: `cargo test -p tokenim-session --test corpus -- --ignored`.
#[test]
#[ignore = "writes fuzz/session/corpus"]
fn write_corpus() {
    let scene = &*targets::SCENE;
    let inside = &scene.inside;
    let input = |number: u8, bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[number], length.as_slice(), bytes].concat()
    };
    let both = |name: &str, inputs: &[Vec<u8>]| {
        for (member, of) in [(0, "nobody"), (1, "member"), (2, "nobody_later"), (3, "member_later")] {
            write(
                "inputs",
                &format!("{name}_{of}"),
                &[vec![member], inputs.concat()].concat(),
            );
        }
    };
    let body = Body {
        id: MessageId::from_bytes([7; 16]),
        view: EpochView::of(&inside.entry, &inside.group.authenticator().unwrap()),
        epoch: inside.group.epoch(),
        clock: 9,
        sent: UnixMillis::new(scene.now),
        checkpoint: Some(world::host::checkpoint(scene.height)),
        content: Content::text("said").unwrap(),
    };
    let body = body.encode().unwrap();
    let handle = inside.handle.as_bytes().as_slice();
    let (tick, send) = (input(0, &[40]), input(10, &[0]));
    let follow = [
        input(6, &[]),
        input(11, &[0]),
        input(7, &[]),
        input(8, &[]),
        tick.clone(),
    ];

    both(
        "note_invitation",
        &[input(1, &[&[1, 0], handle].concat()), tick.clone()],
    );
    // A Welcome that is none, here and stored; and real ones into a group of the other's, under this handle and another one.
    let into = |handle: GroupHandle, entry: GroupEntryId, welcome: &[u8]| {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let expiry = UnixSeconds::new(2_000_000_000);
        let (welcome, _) = Welcome::new(handle, entry, welcome, expiry, &mut rng).unwrap();
        input(1, &Note::Welcome(welcome).to_bytes().unwrap())
    };
    let none = [
        into(inside.handle, GroupEntryId::from_bytes([3; 32]), &[5; 20]),
        into(inside.handle, inside.entry, &[5; 20_000]),
    ];
    both("note_welcome", &none);
    for (name, (handle, welcome)) in ["note_welcome_own", "note_welcome_other"].iter().zip(&scene.welcomes) {
        let good = into(*handle, inside.entry, welcome);
        both(name, &[good.clone(), follow.concat(), good, tick.clone()]);
    }
    let request = [&[1, 2], handle, &[0], &[0; 32], &[1, 5]].concat();
    both("note_request", &[input(1, &request)]);
    both(
        "envelope",
        &[input(2, &[5; 60]), input(3, &[5; 60]), input(4, &[5; 60])],
    );
    both(
        "message",
        &[input(4, &body), input(4, &body), send.clone(), tick.clone()],
    );
    both("entry", &[input(5, &scene.node.to_bytes().unwrap()), send.clone()]);
    both("epoch", &[follow.concat(), send.clone(), input(4, &body)]);
    both(
        "garbage",
        &[input(6, &[9; 200]), input(7, &[]), tick.clone(), follow.concat()],
    );
    both(
        "own_commit",
        &[input(10, &[1]), tick.clone(), input(9, &[0, 0]), follow.concat()],
    );
    both("revoked", &[input(11, &[1]), tick.clone(), send.clone(), tick]);
    both(
        "answers",
        &[input(10, &[3]), input(9, &[0, 6]), input(9, &[0, 4]), input(9, &[1, 3])],
    );
    both("slept", &[input(0, &[255]), follow.concat(), send]);
    for table in 0..23 {
        write("rows", &format!("table_{table}_changed"), &[table, 0, 0, 5, 1]);
        write("rows", &format!("table_{table}_cut"), &[table, 0, 0, 2, 0, 1]);
    }
}
