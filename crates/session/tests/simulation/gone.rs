//! Who does what a device was to do that is gone.

use crate::world::{
    World,
    store::MemoryStore,
    villain::{Mischief, do_mischief},
};
use tokenim_conversation::{Role, note::Note};
use tokenim_mailbox::group::GroupHandle;
use tokenim_session::step::{Action, Change, Input, Standing, Table};
use tokenim_wire::Object;

#[test]
fn the_other_one_of_two_people_is_invited_when_the_device_that_began_is_gone() {
    let mut world = World::new(61, 2, 2);
    let packages: Vec<_> = [2, 3]
        .map(|at| std::mem::take(&mut world.devices[at].inbox.packages))
        .into();
    let talk = world.start(1, 1);
    world.settle();
    let alone = world.info(0, talk);
    assert_eq!(alone.members.len(), 1, "the other one has given no key package yet");
    let (own, began) = (world.people[0], world.devices[1].id);
    world.ledger.revoke_device(own, began);
    world.say(0, talk, "are you there?");
    world.show_identity(0, 0);
    for (at, packages) in [2, 3].into_iter().zip(packages) {
        world.devices[at].inbox.packages = packages;
    }
    // The other one begins too, and comes into the session that was first.
    world.start(2, 0);
    world.settle();
    world.sleep(20_000);
    world.settle();
    world.assert_together(&[0, 2, 3], talk);
    assert_eq!(world.info(2, talk).handle, alone.handle);
    for at in [0, 2, 3] {
        assert_eq!(world.texts(at, talk), ["are you there?"]);
    }
}

#[test]
fn the_other_one_of_two_people_is_invited_into_a_session_that_goes_on_after_all() {
    let mut world = World::new(62, 2, 2);
    let packages: Vec<_> = [0, 1]
        .map(|at| std::mem::take(&mut world.devices[at].inbox.packages))
        .into();
    let talk = world.start(0, 1);
    world.rounds(2);
    world.start(2, 0);
    world.settle();
    // The first one's goes on; in that of the second one the first one is not.
    world.assert_together(&[0, 2, 3], talk);
    for (at, packages) in packages.into_iter().enumerate() {
        world.devices[at].inbox.packages = packages;
    }
    world.sleep(20_000);
    world.settle();
    world.assert_together(&[0, 1, 2, 3], talk);
    let first = world.info(0, talk).handle;
    for _ in 0..8 {
        do_mischief(&mut world, 1, talk, Mischief::NoCommit).unwrap();
    }
    world.settle();
    world.sleep(20_000);
    world.settle();
    world.assert_together(&[0, 2, 3], talk);
    assert_ne!(world.info(0, talk).handle, first);
    world.say(2, talk, "here then");
    world.settle();
    assert_eq!(world.texts(0, talk), ["here then"]);
}

#[test]
fn the_other_one_of_two_people_is_invited_again_when_he_begins_too() {
    let mut world = World::new(64, 2, 1);
    let packages = std::mem::take(&mut world.devices[1].inbox.packages);
    let talk = world.start(0, 1);
    for _ in 0..8 {
        world.settle();
        world.sleep(100_000);
    }
    let first = world.info(0, talk);
    assert_eq!(first.action, Some(Action::NoPackage(world.people[1])));
    world.devices[1].inbox.packages = packages;
    world.say(0, talk, "are you there?");
    world.settle();
    world.start(1, 0);
    for _ in 0..3 {
        world.settle();
        world.sleep(10_000);
    }
    world.assert_together(&[0, 1], talk);
    assert_eq!(world.info(1, talk).handle, first.handle);
    assert_eq!(world.texts(1, talk), ["are you there?"]);
}

#[test]
fn whoever_sent_a_welcome_that_does_not_open_is_asked_also_if_another_one_had_invited() {
    let mut world = World::new(63, 3, 1);
    let group = world.group(0, &[1]);
    world.settle();
    let (people, first) = (world.people.clone(), world.devices[0].id);
    world.change(0, group, Change::SetRole(people[1], Role::Admin));
    world.settle();
    // One has made a commit that nobody will see, and is gone.
    let body = Note::Invitation(GroupHandle::from_bytes(group.to_bytes()))
        .to_bytes()
        .unwrap();
    let invitation = Input::Sealed {
        sender: people[0],
        device: first,
        body,
    };
    world.devices[0].online = false;
    let old = world.devices[2].inbox.packages.clone();
    world.restore(2, MemoryStore::new());
    world.settle();
    world.tell(2, invitation);
    world.sleep(61_000);
    world.settle();
    assert_eq!(world.devices[2].store.rows(Table::Invitation), 1);
    assert_eq!(world.devices[0].inbox.letters.len(), 1, "it was asked");
    // The key packages that the other one takes are of a store that is lost.
    world.devices[2].inbox.packages = old;
    world.change(1, group, Change::Invite(people[2]));
    for _ in 0..3 {
        world.settle();
        world.sleep(61_000);
    }
    world.settle();
    world.assert_together(&[1, 2], group);
    assert_eq!(world.info(2, group).standing, Standing::Active);
    assert_eq!(world.devices[2].store.rows(Table::Invitation), 0);
}
