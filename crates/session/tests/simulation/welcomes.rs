//! Welcomes: what one does before the ledger shows its entry, and which ones are none.

use crate::world::{
    NETWORK, World,
    villain::{all, expiry, fake_welcome, inside, send},
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::convert::Infallible;
use tokenim_conversation::{
    EpochKeys, GroupContext,
    note::{Note, Readd},
    welcome::{Welcome, WelcomePlace},
};
use tokenim_identity::IdentityId;
use tokenim_mailbox::{
    KeyPackage,
    group::{GroupEntryId, GroupHandle},
};
use tokenim_session::{
    SessionSuite,
    step::{Change, ConversationId, Event, Input, Standing, StepError, Table, View, Why},
};
use tokenim_wire::{
    Object, UnixMillis,
    limits::{SESSION_INVITATIONS_MAX, SESSION_WELCOMES_HELD_MAX, SESSION_WELCOMES_MAX},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// No entry of any log.
const NOWHERE: GroupEntryId = GroupEntryId::from_bytes([9; 32]);

/// A group of the first three; the fourth is a stranger.
fn group_of_three(seed: u64) -> (World, ConversationId, GroupHandle) {
    let mut world = World::new(seed, 4, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let handle = world.info(0, group).handle.unwrap();
    (world, group, handle)
}

fn mine(handle: GroupHandle, owner: IdentityId) -> GroupContext {
    GroupContext::group(handle, "mine", owner).unwrap()
}

/// A Welcome of one device to another one, as a note.
fn note(handle: GroupHandle, entry: GroupEntryId, welcome: &[u8]) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let expiry = tokenim_wire::UnixSeconds::new(1_900_000_000);
    let (welcome, stored) = Welcome::new(handle, entry, welcome, expiry, &mut rng).unwrap();
    assert!(stored.is_empty());
    Note::Welcome(welcome).to_bytes().unwrap()
}

/// Makes a group of its own under this handle, twenty epochs old, and sends a Welcome into it.
fn lure(world: &mut World, at: usize, to: usize, handle: GroupHandle, entry: GroupEntryId) {
    let context = mine(handle, world.devices[at].owner.identity);
    let (welcome, _) = fake_welcome(world, at, to, &context, &[], 20).unwrap();
    send(world, at, to, note(handle, entry, &welcome));
}

/// What a device keeps of a session.
fn kept(world: &World, at: usize, handle: GroupHandle) -> Vec<Option<Vec<u8>>> {
    let store = &world.devices[at].store;
    let row = |table| store.get(table, handle.as_bytes()).unwrap();
    [Table::Roster, Table::Keys].map(row).to_vec()
}

fn told(world: &World, at: usize, author: usize) -> Vec<Why> {
    let author = world.people[author];
    let of = |event: &Event| match event {
        Event::Refused { author: of, why, .. } if *of == author => Some(why.clone()),
        _ => None,
    };
    world.devices[at].events.iter().filter_map(of).collect()
}

/// Puts a child that is none under the entry where `at` stands, with the key of a group that it made itself, and sends a
/// Welcome into that.
fn fork(world: &mut World, at: usize, to: usize, group: ConversationId) {
    let inside = inside(world, at, group).unwrap();
    let owner = world.devices[at].owner.identity;
    let context = mine(inside.handle, owner);
    let (welcome, next) = fake_welcome(world, at, to, &context, &[], 20).unwrap();
    let keys = EpochKeys::derive(&NETWORK, &inside.handle, |label, context, length| {
        next.export(label, context, length)
    });
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let now = UnixMillis::new(world.now).to_seconds();
    let envelope = inside.keys.wrap(&[7; 300], expiry(now), &mut rng).unwrap();
    let next = keys.unwrap().verifying_key();
    let child = inside.child(&[7; 300], next, envelope.id(), inside.group.own(), &mut rng);
    let receipt = world.nodes.put(child.tag, envelope.as_bytes(), expiry(now), &all());
    let entry = inside.submit(world, child, vec![receipt.unwrap()]);
    world.pass(1_000);
    assert!(world.ledger.node(inside.handle, entry, u64::MAX).is_some());
    send(world, at, to, note(inside.handle, entry, &welcome));
}

#[test]
fn nobody_is_torn_out_of_a_session_by_a_welcome() {
    let (mut world, group, handle) = group_of_three(70);
    let before = kept(&world, 1, handle);
    let (entry, parent) = (inside(&world, 1, group).unwrap().entry, handle.root());
    // Of a stranger: with an entry that there is, the one where it stands, and one that there is not.
    for entry in [parent, entry, NOWHERE] {
        lure(&mut world, 3, 1, handle, entry);
    }
    // Of a member: with a child that is none, and has the key of the false epoch.
    fork(&mut world, 2, 1, group);
    // Its software would ask to be added anew: it does not know the child.
    world.devices[2].online = false;
    world.settle();
    assert_eq!(kept(&world, 1, handle), before);
    world.change(0, group, Change::Rename("after".into()));
    world.say(1, group, "still here");
    world.settle();
    world.assert_together(&[0, 1], group);
    assert_eq!(world.info(1, group).name, "after");
    assert_eq!(world.texts(0, group), ["still here"]);
    let culprit = Event::Culprit {
        conversation: group,
        identity: world.people[2],
    };
    assert!(world.devices[1].events.contains(&culprit));
    // Nor by one who was a member.
    let removed = world.people[2];
    let old = inside(&world, 2, group).unwrap().entry;
    world.change(0, group, Change::Remove(removed));
    world.settle();
    let before = kept(&world, 1, handle);
    lure(&mut world, 2, 1, handle, old);
    world.settle();
    assert_eq!(kept(&world, 1, handle), before);
    world.assert_together(&[0, 1], group);
    world.sleep(2 * DAY_MS);
    world.settle();
    assert_eq!(world.devices[1].store.rows(Table::Part), 0);
    world.assert_together(&[0, 1], group);
}

#[test]
fn a_welcome_is_nothing_until_the_ledger_shows_its_entry() {
    let (mut world, group, handle) = group_of_three(71);
    let stranger = world.people[3];
    // One who is to be invited is welcomed by another one before: to no entry, and to one of another epoch.
    lure(&mut world, 2, 3, handle, NOWHERE);
    lure(&mut world, 2, 3, handle, handle.root());
    world.settle();
    assert!(world.infos(3).is_empty());
    assert_eq!(told(&world, 3, 2), [Why::Forged]);
    world.change(0, group, Change::Invite(stranger));
    world.settle();
    world.assert_together(&[0, 1, 2, 3], group);
    // Who was removed reads to the end, whoever welcomes it meanwhile.
    world.devices[3].online = false;
    world.say(1, group, "before");
    world.settle();
    world.change(0, group, Change::Remove(stranger));
    world.settle();
    lure(&mut world, 2, 3, handle, NOWHERE);
    world.devices[3].online = true;
    world.settle();
    assert_eq!(world.info(3, group).standing, Standing::Removed);
    assert_eq!(world.texts(3, group), ["before"]);
}

#[test]
fn who_sleeps_through_its_removal_and_return_misses_nothing() {
    let (mut world, group, _) = group_of_three(72);
    let somebody = world.people[2];
    world.devices[2].online = false;
    world.say(0, group, "one");
    world.settle();
    world.change(1, group, Change::Refresh);
    world.settle();
    world.say(1, group, "two");
    world.settle();
    world.change(0, group, Change::Remove(somebody));
    world.settle();
    world.change(0, group, Change::Invite(somebody));
    world.settle();
    world.say(0, group, "three");
    world.settle();
    world.devices[2].online = true;
    world.settle();
    world.assert_together(&[0, 1, 2], group);
    assert_eq!(world.texts(2, group), ["one", "two", "three"]);
}

#[test]
fn who_is_behind_is_brought_back_by_nobody_but_those_who_were_there() {
    let (mut world, group, handle) = group_of_three(73);
    let copy = world.devices[2].store.clone();
    world.change(2, group, Change::Refresh);
    world.settle();
    world.restore(2, copy);
    for at in [0, 1] {
        world.devices[at].online = false;
    }
    world.settle();
    assert_eq!(world.info(2, group).standing, Standing::Behind);
    let before = kept(&world, 2, handle);
    lure(&mut world, 3, 2, handle, NOWHERE);
    lure(&mut world, 1, 2, handle, handle.root());
    world.settle();
    assert_eq!(kept(&world, 2, handle), before);
    assert_eq!(world.info(2, group).standing, Standing::Behind);
    let refused = |at: usize, why: Why| {
        let author = Some(world.people[at]);
        let mut refusals = world.devices[2].refusals.iter();
        refusals.any(|refusal| refusal.author == author && refusal.why == why)
    };
    assert!(refused(3, Why::NotAMember));
    assert_eq!(told(&world, 2, 1), [Why::Forged]);
    for at in [0, 1] {
        world.devices[at].online = true;
    }
    for _ in 0..3 {
        world.sleep(130_000);
        world.settle();
    }
    world.assert_together(&[0, 1, 2], group);
}

#[track_caller]
fn refused(world: &mut World, at: usize, from: usize, body: Vec<u8>) -> Why {
    let (sender, device) = (world.people[from], world.devices[from].id);
    let before = world.devices[at].store.clone();
    match world.step(at, Input::Sealed { sender, device, body }) {
        Err(StepError::Refused(refusal)) => {
            assert!(world.devices[at].store == before, "something has changed");
            assert_eq!(refusal.author, Some(sender));
            refusal.why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_welcome_that_does_not_fit_is_refused_and_its_sender_named() {
    let (mut world, group, handle) = group_of_three(74);
    let people = world.people.clone();
    let unknown = GroupHandle::from_bytes([8; 32]);
    // Not one at all, cut off, or of another handle.
    let (good, _) = fake_welcome(&mut world, 3, 1, &mine(unknown, people[3]), &[], 1).unwrap();
    for (bytes, to) in [
        (vec![5; 20], unknown),
        (good[..good.len() - 1].to_vec(), unknown),
        (good.clone(), NOWHERE.to_bytes().into()),
    ] {
        assert_eq!(refused(&mut world, 1, 3, note(to, NOWHERE, &bytes)), Why::Malformed);
    }
    // Of somebody who is not in the group that it leads to.
    assert_eq!(
        refused(&mut world, 1, 2, note(unknown, NOWHERE, &good)),
        Why::NotAMember
    );
    // Of two people, in a group of three, or of two others.
    let direct = GroupContext::direct(unknown, people[1], people[3]).unwrap();
    let (three, _) = fake_welcome(&mut world, 3, 1, &direct, &[0], 1).unwrap();
    assert_eq!(
        refused(&mut world, 1, 3, note(unknown, NOWHERE, &three)),
        Why::NotAllowed
    );
    let direct = GroupContext::direct(unknown, people[0], people[3]).unwrap();
    let (others, _) = fake_welcome(&mut world, 3, 1, &direct, &[], 1).unwrap();
    assert_eq!(
        refused(&mut world, 1, 3, note(unknown, NOWHERE, &others)),
        Why::NotAllowed
    );
    // For an epoch that is known, by its entry or by its number; and one that opens with no key package.
    let entry = inside(&world, 1, group).unwrap().entry;
    let (first, _) = fake_welcome(&mut world, 3, 1, &mine(handle, people[3]), &[], 0).unwrap();
    for (bytes, entry) in [(&first, entry), (&first, NOWHERE)] {
        assert_eq!(refused(&mut world, 1, 3, note(handle, entry, bytes)), Why::Replayed);
    }
    let (others, _) = fake_welcome(&mut world, 3, 0, &mine(handle, people[3]), &[], 20).unwrap();
    assert_eq!(refused(&mut world, 1, 3, note(handle, NOWHERE, &others)), Why::Replayed);
    // Of one sender only so many wait.
    for number in 0..SESSION_WELCOMES_HELD_MAX {
        let body = note(unknown, GroupEntryId::from_bytes([number as u8; 32]), &good);
        let (sender, device) = (people[3], world.devices[3].id);
        world.tell(1, Input::Sealed { sender, device, body });
    }
    assert_eq!(
        refused(&mut world, 1, 3, note(unknown, handle.root(), &good)),
        Why::Full
    );
}

/// One of these people sends the first device a note.
fn notes(world: &mut World, from: usize, note: &Note) -> Result<bool, StepError<Infallible>> {
    let (sender, device) = (world.people[from], world.devices[from].id);
    let body = note.to_bytes().unwrap();
    world.step(0, Input::Sealed { sender, device, body })
}

fn is_full(result: &Result<bool, StepError<Infallible>>) -> bool {
    matches!(result, Err(StepError::Refused(refusal)) if refusal.why == Why::Full)
}

/// Fills all places that there are for what others send the first one: each of sixteen people as many as it may, seven of
/// them also those of stored Welcomes.
fn fill(world: &mut World) {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let expiry = tokenim_wire::UnixSeconds::new(1_900_000_000);
    for from in 2..18 {
        let handle = GroupHandle::from_bytes([from as u8; 32]);
        let context = mine(handle, world.people[from]);
        let (welcome, _) = fake_welcome(world, from, 0, &context, &[], 1).unwrap();
        let mut full = [0; 3];
        for number in 0..20 {
            let mut other = [number; 32];
            other[1] = from as u8;
            let entry = GroupEntryId::from_bytes(other);
            let (here, _) = Welcome::new(handle, entry, &welcome, expiry, &mut rng).unwrap();
            let (stored, _) = Welcome::new(handle, entry, &[7; 9_000], expiry, &mut rng).unwrap();
            let invitation = Note::Invitation(GroupHandle::from_bytes(other));
            let sent = [invitation, Note::Welcome(here), Note::Welcome(stored)];
            for (full, note) in full.iter_mut().zip(&sent[..if from < 9 { 3 } else { 2 }]) {
                *full += usize::from(is_full(&notes(world, from, note)));
            }
        }
        assert!(full[1] >= 4, "{full:?}");
    }
}

#[test]
fn nobody_is_shut_out_by_those_who_fill_all_places() {
    let mut world = World::new(77, 19, 1);
    fill(&mut world);
    let store = &world.devices[0].store;
    assert_eq!(store.rows(Table::Invitation), SESSION_INVITATIONS_MAX);
    assert_eq!(
        store.rows(Table::Part),
        2 * SESSION_INVITATIONS_MAX + SESSION_WELCOMES_MAX
    );
    // Somebody else has something to say: a small Welcome, and one that is stored.
    let small = world.group(1, &[0]);
    let large = ConversationId::group(&{
        let members = [&[world.people[0]], &world.people[8..18]].concat();
        let create = Input::CreateGroup {
            name: "large".into(),
            members,
            suite: Some(SessionSuite::PostQuantum),
        };
        world.tell(1, create);
        let infos = world.infos(1);
        let large = infos.iter().find(|info| info.conversation != small).unwrap();
        large.handle.unwrap()
    });
    world.devices[0].online = false;
    world.settle();
    let letters = &world.devices[0].inbox.letters;
    let is_stored = |note: Note| matches!(note, Note::Welcome(of) if matches!(of.place, WelcomePlace::Stored(_)));
    assert!(
        letters
            .iter()
            .any(|letter| Note::from_bytes(&letter.body).is_ok_and(is_stored))
    );
    for letter in letters.clone() {
        let (sender, device, body) = (letter.sender, letter.device, letter.body);
        world.devices[0].online = true;
        world.step(0, Input::Sealed { sender, device, body }).unwrap();
        world.devices[0].online = false;
    }
    // It stays, whatever the others send again.
    fill(&mut world);
    world.devices[0].online = true;
    world.settle();
    world.assert_together(&[0, 1], small);
    world.assert_together(&[0, 1], large);
}

/// Key packages of a device that are none for a session of this suite.
fn bad_packages(world: &World, of: usize, other: usize, suite: SessionSuite) -> Vec<KeyPackage> {
    let owner = |at: usize| &world.devices[at].owner;
    let now = UnixMillis::new(world.now).to_seconds();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut made = |at: usize, suite, now| {
        let made = tokenim_mls::key_package(owner(at), suite, now, 3_600, &mut rng).unwrap();
        made.package
    };
    let foreign = made(other, suite, now);
    let expired = made(of, suite, tokenim_wire::UnixSeconds::new(now.get() - 7_200));
    let wrong = SessionSuite::ALL.into_iter().find(|other| *other != suite).unwrap();
    let wrong = made(of, wrong, now);
    let cut = made(of, suite, now);
    let cut = cut[..cut.len() - 1].to_vec();
    let bad = [foreign, expired, wrong, cut, vec![5; 40]];
    bad.map(|bytes| KeyPackage::try_from(bytes.as_slice()).unwrap())
        .to_vec()
}

#[test]
fn a_key_package_that_is_none_of_the_device_is_refused() {
    let (mut world, group, handle) = group_of_three(75);
    let suite = SessionSuite::Classical;
    // In a request to be re-added.
    for package in bad_packages(&world, 2, 3, suite) {
        let note = Note::Readd(Readd {
            handle,
            at: None,
            authenticator: [0; 32],
            package,
        });
        assert_eq!(refused(&mut world, 1, 2, note.to_bytes().unwrap()), Why::Malformed);
    }
    // From the contact stock of somebody who is invited.
    for package in bad_packages(&world, 3, 2, suite) {
        let mut world = world.clone();
        let stranger = world.people[3];
        world.devices[3].inbox.packages = vec![package; 8];
        world.change(0, group, Change::Invite(stranger));
        world.settle();
        assert!(world.infos(3).is_empty());
        assert_eq!(world.info(0, group).members.len(), 3);
        world.assert_together(&[0, 1, 2], group);
    }
}

#[test]
fn a_welcome_is_sent_when_its_commit_is_final_and_not_before() {
    let mut world = World::new(76, 4, 1);
    let group = world.group(0, &[1]);
    world.settle();
    let people = world.people.clone();
    world.change(0, group, Change::SetRole(people[1], tokenim_conversation::Role::Admin));
    world.settle();
    // Two invite at once: both commits come to the ledger, one of them is the next epoch.
    let (handle, parent) = (
        world.info(0, group).handle.unwrap(),
        inside(&world, 0, group).unwrap().entry,
    );
    world.change(0, group, Change::Invite(people[2]));
    world.change(1, group, Change::Invite(people[3]));
    world.settle();
    world.assert_together(&[0, 1, 2, 3], group);
    let (node, _) = world.ledger.node(handle, parent, u64::MAX).unwrap();
    assert_eq!(node.children.len(), 2, "they were not at once");
    let mut welcomes = 0;
    for letter in world.devices[2..].iter().flat_map(|device| &device.inbox.letters) {
        if let Ok(Note::Welcome(welcome)) = Note::from_bytes(&letter.body) {
            assert!(world.epochs.contains_key(&(handle, welcome.entry)));
            welcomes += 1;
        }
    }
    assert_eq!(welcomes, 2);
}
