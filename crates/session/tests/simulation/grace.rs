//! Until when is heard what was said in an epoch that is over, and who is not heard any more.

use crate::world::{
    World, text,
    villain::{Inside, inside},
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::collections::BTreeSet;
use tokenim_conversation::{Body, EpochKeys, EpochView, rows::peer_ages};
use tokenim_envelope::MessageId;
use tokenim_session::{
    SessionSuite,
    step::{self, Change, ConversationId, Effect, Event, Input, StepError, Why},
};
use tokenim_wire::{
    Height, UnixMillis, UnixSeconds,
    limits::{SESSION_GRACE_HEIGHTS, SESSION_PAST_SECONDS, SESSION_POST_QUANTUM_MEMBERS_MAX},
};

/// The time of as many blocks as the grace has, in milliseconds.
const GRACE_MS: u64 = SESSION_GRACE_HEIGHTS * crate::world::BLOCK_MS;

/// A message, wrapped for the mailbox of these keys.
fn sealed(inside: &mut Inside, keys: &EpochKeys, words: &str) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(words.len() as u64);
    let body = Body {
        id: MessageId::from_bytes([words.len() as u8; 16]),
        view: EpochView::of(&inside.entry, &inside.group.authenticator().unwrap()),
        epoch: inside.group.epoch(),
        clock: 9,
        sent: UnixMillis::new(1),
        checkpoint: None,
        content: text(words),
    };
    let bytes = inside.group.encrypt(&body.encode().unwrap(), &mut rng).unwrap();
    keys.wrap(&bytes, EXPIRY, &mut rng).unwrap().into_bytes()
}

const EXPIRY: UnixSeconds = UnixSeconds::new(1_900_000_000);

/// Stores a message of a device that does as it likes. What is stored without its receipt's coming onto the ledger, nodes
/// show all the same.
fn store(world: &mut World, inside: &mut Inside, words: &str, is_accepted: bool) {
    let keys = inside.keys.clone();
    let bytes = sealed(inside, &keys, words);
    let receipt = world.nodes.put(keys.mailbox().tag(), &bytes, EXPIRY, &[0, 1, 2, 3]);
    if is_accepted {
        world.nodes.accept(&receipt.unwrap());
    }
}

/// How somebody goes.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Going {
    /// The whole identity is removed.
    Removed,
    /// The device is revoked, and removed by others.
    Revoked,
    /// The device is revoked, and nobody is there to remove it.
    Alone,
}

/// A group of three people, of whom the last one says something and goes while the second one sleeps.
fn gone(how: Going) -> (World, ConversationId, Inside) {
    let mut world = World::new(80, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.devices[1].online = false;
    world.say(2, group, "last words");
    world.settle();
    let inside = inside(&world, 2, group).unwrap();
    world.devices[2].online = false;
    let identity = world.people[2];
    if how == Going::Removed {
        world.change(0, group, Change::Remove(identity));
    } else {
        world.ledger.revoke_device(identity, world.devices[2].id);
        world.devices[0].online = how != Going::Alone;
        world.pass(61_000);
        world.tick(0);
    }
    world.settle();
    if how == Going::Revoked {
        world.say(0, group, "without you");
        world.settle();
    }
    assert_eq!(world.info(0, group).members.len() == 3, how == Going::Alone, "{how:?}");
    world.devices[0].online = true;
    (world, group, inside)
}

fn refusals(world: &World, at: usize) -> Vec<Event> {
    let events = world.devices[at].events.iter();
    let refused = events.filter(|event| matches!(event, Event::Refused { .. }));
    refused.cloned().collect()
}

#[test]
fn what_was_accepted_before_somebody_went_is_read_however_late() {
    for how in [Going::Removed, Going::Revoked, Going::Alone] {
        let (mut world, group, mut inside) = gone(how);
        // Within the grace: it may not have seen yet that it was removed.
        store(&mut world, &mut inside, "and more", true);
        world.pass(3 * GRACE_MS);
        world.devices[1].online = true;
        world.settle();
        let texts = world.texts(1, group);
        assert!(texts.contains(&"last words".into()), "{how:?}: {texts:?}");
        assert!(texts.contains(&"and more".into()), "{how:?}: {texts:?}");
        assert_eq!(refusals(&world, 1), [], "{how:?}");
        world.assert_together(&[0, 1], group);
    }
}

#[test]
fn what_is_stored_after_the_grace_is_refused_and_its_author_named() {
    for how in [Going::Removed, Going::Revoked, Going::Alone] {
        let (mut world, group, mut inside) = gone(how);
        world.pass(GRACE_MS + 10_000);
        store(&mut world, &mut inside, "too late", true);
        // Of more than is asked about at a time.
        for number in 0..12 {
            let words = "x".repeat(20 + number);
            store(&mut world, &mut inside, &words, false);
        }
        world.devices[1].online = true;
        world.settle();
        world.settle();
        for at in [0, 1] {
            let texts = world.texts(at, group);
            let others: Vec<_> = texts.iter().filter(|text| *text != "without you").collect();
            assert_eq!(others, ["last words"], "{how:?} {at}");
        }
        let refused = Event::Refused {
            conversation: Some(group),
            author: world.people[2],
            why: Why::Revoked,
        };
        assert!(refusals(&world, 1).contains(&refused), "{how:?}");
        assert_eq!(world.devices[1].store.rows(step::Table::Waiting), 0, "{how:?}");
        world.say(1, group, "on we go");
        world.settle();
        world.assert_together(&[0, 1], group);
        assert!(world.texts(0, group).contains(&"on we go".into()), "{how:?}");
    }
}

#[test]
fn who_was_removed_is_not_heard_in_an_older_epoch_either() {
    let mut world = World::new(81, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let mut inside = inside(&world, 2, group).unwrap();
    world.change(0, group, Change::Refresh);
    world.settle();
    world.change(0, group, Change::Remove(world.people[2]));
    world.settle();
    world.pass(GRACE_MS + 10_000);
    store(&mut world, &mut inside, "out of an older epoch", true);
    world.settle();
    assert!(world.texts(0, group).is_empty() && world.texts(1, group).is_empty());
    assert_eq!(refusals(&world, 0).len(), 1);
}

#[test]
fn the_ledger_is_asked_only_about_what_may_be_late() {
    let (mut world, group, _) = gone(Going::Removed);
    world.log.clear();
    world.devices[1].online = true;
    world.settle();
    assert_eq!(world.texts(1, group), ["last words"]);
    assert!(!world.log.iter().any(|line| line.contains("Acceptance")));
}

/// Two people in their second epoch, what the second one knew in the first, and when that was over.
fn two_epochs() -> (World, ConversationId, Inside, u64) {
    let mut world = World::new(82, 2, 1);
    let talk = world.start(0, 1);
    world.settle();
    let inside = inside(&world, 1, talk).unwrap();
    world.change(0, talk, Change::Refresh);
    world.settle();
    assert_eq!(world.info(0, talk).epoch, inside.group.epoch() + 1);
    let ended = world.ended[&(inside.handle, inside.entry)];
    (world, talk, inside, ended)
}

fn envelope(keys: &EpochKeys, bytes: Vec<u8>) -> Input {
    Input::Envelope {
        tag: keys.mailbox().tag(),
        bytes,
        height: Height::new(1),
    }
}

#[test]
fn a_message_of_an_epoch_is_taken_while_it_is_not_long_over() {
    let (mut world, talk, mut inside, ended) = two_epochs();
    world.sleep(ended + SESSION_PAST_SECONDS * 1000 - 1_000 - world.now);
    world.tick(0);
    let keys = inside.keys.clone();
    let input = envelope(&keys, sealed(&mut inside, &keys, "just in time"));
    world.tell(0, input);
    assert_eq!(world.texts(0, talk), ["just in time"]);
}

#[test]
fn a_message_of_an_epoch_that_is_long_over_is_refused() {
    let (mut world, talk, mut inside, ended) = two_epochs();
    world.sleep(ended + SESSION_PAST_SECONDS * 1000 + 1 - world.now);
    world.tick(0);
    let keys = inside.keys.clone();
    let input = envelope(&keys, sealed(&mut inside, &keys, "too late"));
    assert_eq!(refused(&mut world, input), Why::Unknown);
    assert!(world.texts(0, talk).is_empty());
}

#[test]
fn a_message_of_one_epoch_in_the_mailbox_of_another_is_refused() {
    let (mut world, talk, mut old, _) = two_epochs();
    let mut new = inside(&world, 1, talk).unwrap();
    let (before, after) = (old.keys.clone(), new.keys.clone());
    let input = envelope(&after, sealed(&mut old, &after, "old in new"));
    assert_eq!(refused(&mut world, input), Why::Epoch);
    let input = envelope(&before, sealed(&mut new, &before, "new in old"));
    assert_eq!(refused(&mut world, input), Why::Epoch);
}

#[track_caller]
fn refused(world: &mut World, input: Input) -> Why {
    let before = world.devices[0].store.clone();
    match world.step(0, input) {
        Err(StepError::Refused(refusal)) => {
            assert!(world.devices[0].store == before, "something has changed");
            refusal.why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_revoked_without_a_word_leaves_every_group_before_its_next_message() {
    let mut world = World::new(83, 3, 2);
    let groups = [world.group(0, &[1, 2]), world.group(2, &[0, 2])];
    world.settle();
    world.ledger.revoke_device(world.people[2], world.devices[5].id);
    world.devices[5].online = false;
    world.pass(peer_ages(3).0 + 1_000);
    world.say(0, groups[0], "not for the thief");
    world.say(2, groups[1], "nor this");
    world.settle();
    world.devices[5].online = true;
    world.settle();
    for group in groups {
        world.assert_together(&[0, 1, 2, 3, 4], group);
        assert_eq!(world.texts(4, group).len(), 1);
        assert!(world.texts(5, group).is_empty());
    }
}

#[test]
fn a_device_revoked_without_a_word_leaves_every_group_in_which_nothing_is_said_at_times_by_chance() {
    let mut apart = BTreeSet::new();
    for seed in 84..90 {
        let mut world = World::new(seed, 3, 2);
        let groups = [world.group(0, &[1, 2]), world.group(2, &[0, 2])];
        world.settle();
        let device = world.devices[5].id;
        world.ledger.revoke_device(world.people[2], device);
        world.devices[5].online = false;
        world.pass(peer_ages(3).1);
        let mut left = [None; 2];
        for _ in 0..100 {
            world.round();
            for (group, left) in groups.iter().zip(&mut left) {
                let members = world.info(0, *group).members;
                if left.is_none() && !members.iter().any(|member| member.devices.contains(&device)) {
                    *left = Some(world.now);
                }
            }
        }
        let [Some(one), Some(other)] = left else {
            panic!("seed {seed}: {left:?}");
        };
        apart.insert(one.abs_diff(other));
    }
    assert!(apart.len() > 1, "{apart:?}");
}

#[test]
fn nothing_waits_for_look_ups_while_a_conversation_goes_on() {
    let mut world = World::new(90, 2, 1);
    let talk = world.start(0, 1);
    world.say(0, talk, "hello");
    world.settle();
    let looks_up = |world: &World| {
        let due = step::due(&world.devices[0].store, None, 99).unwrap();
        due.iter().any(|(_, effect)| matches!(effect, Effect::Lookup { .. }))
    };
    world.rounds(40);
    let mut looked = 0;
    for number in 0..12 {
        world.say(0, talk, &format!("{number}"));
        assert_eq!(world.info(0, talk).queued, 0, "{number}");
        looked += usize::from(looks_up(&world));
        // Ten seconds.
        world.rounds(20);
    }
    // Of one hundred and twenty, in which that is due each thirty.
    assert!((2..=5).contains(&looked), "{looked}");
    world.pass(peer_ages(2).0);
    world.say(0, talk, "after a pause");
    assert_eq!(world.info(0, talk).queued, 1);
    assert!(looks_up(&world));
    world.settle();
    assert_eq!(world.texts(1, talk).len(), 14);
}

#[test]
fn a_group_is_post_quantum_from_its_beginning_if_it_is_small_enough_then() {
    let mut world = World::new(91, 1, 1);
    for (invited, suite) in [
        (SESSION_POST_QUANTUM_MEMBERS_MAX - 1, SessionSuite::PostQuantum),
        (SESSION_POST_QUANTUM_MEMBERS_MAX, SessionSuite::Classical),
    ] {
        let members = (0..invited).map(|number| tokenim_identity::IdentityId::from_bytes([number as u8 + 100; 32]));
        let name = format!("{invited} others");
        world.tell(
            0,
            Input::CreateGroup {
                name: name.clone(),
                members: members.collect(),
                suite: None,
            },
        );
        let infos = world.infos(0);
        let made = infos.iter().find(|info| info.name == name).unwrap();
        assert_eq!((made.suite, made.members.len()), (Some(suite), 1));
    }
}

#[test]
fn who_could_not_follow_reads_the_rest_of_its_epoch_when_it_is_added_anew() {
    let mut world = World::new(87, 4, 1);
    let group = world.group(0, &[1, 2, 3]);
    world.settle();
    let copy = world.devices[2].store.clone();
    for at in [0, 1, 3] {
        world.say(at, group, &format!("of {at}"));
    }
    world.settle();
    let mut inside = inside(&world, 3, group).unwrap();
    let tag = inside.keys.mailbox().tag();
    world.change(2, group, Change::Refresh);
    world.settle();
    // Its old copy knows nothing of what it has done, and it sees no message before it is added anew.
    let nodes = world.nodes.nodes.iter_mut();
    let boxes: Vec<_> = nodes.map(|node| node.boxes.remove(&tag)).collect();
    world.restore(2, copy);
    world.devices[3].online = false;
    let removed = world.people[3];
    world.change(0, group, Change::Remove(removed));
    for _ in 0..4 {
        world.settle();
        world.sleep(70_000);
    }
    world.settle();
    assert!(world.readded.contains(&(2, group)));
    world.assert_together(&[0, 1, 2], group);
    assert_eq!(world.texts(2, group), [""; 0]);
    for (node, kept) in world.nodes.nodes.iter_mut().zip(boxes) {
        node.boxes.extend(kept.map(|kept| (tag, kept)));
    }
    // Meanwhile one was removed: it is heard with what it had said before.
    world.pass(GRACE_MS + 10_000);
    store(&mut world, &mut inside, "too late", true);
    world.settle();
    let mut texts = world.texts(2, group);
    texts.sort();
    assert_eq!(texts, ["of 0", "of 1", "of 3"]);
    assert_eq!(world.orders(2, group), world.orders(1, group));
    let refused = Event::Refused {
        conversation: Some(group),
        author: removed,
        why: Why::Revoked,
    };
    assert_eq!(refusals(&world, 2), [refused]);
    // In an hour its keys are gone.
    world.sleep(SESSION_PAST_SECONDS * 1000);
    world.settle();
    let watched = step::watches(&world.devices[2].store).unwrap().mailboxes;
    assert!(watched.iter().all(|watch| watch.descriptor.tag() != tag));
}
