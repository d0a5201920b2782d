//! What people do all day, with nothing going wrong.

use crate::world::World;
use tokenim_session::step::{Change, Input, Mark, Standing, Table};
use tokenim_wire::limits::{ENVELOPE_LIFETIME_SECONDS_MAX, SESSION_CLOSING_SECONDS};

#[test]
fn a_message_reaches_every_device_and_comes_back_marked() {
    let mut world = World::new(1, 2, 2);
    let talk = world.start(0, 1);
    world.say(0, talk, "hello");
    world.settle();
    for at in 0..4 {
        assert_eq!(world.texts(at, talk), ["hello"], "{}", world.devices[at].name);
    }
    world.assert_together(&[0, 1, 2, 3], talk);
    assert_eq!(world.mark(0, talk, "hello"), Some(Mark::Delivered));
    let order = world.messages(2, talk)[0].order;
    world.tell(
        2,
        tokenim_session::step::Input::MarkRead {
            conversation: talk,
            up_to: order,
        },
    );
    world.settle();
    assert_eq!(world.mark(0, talk, "hello"), Some(Mark::Read));
}

#[test]
fn of_receipts_nothing_is_left_when_they_can_t_come_again() {
    let mut world = World::new(75, 2, 1);
    let talk = world.start(0, 1);
    world.say(0, talk, "hello");
    world.settle();
    let up_to = world.orders(1, talk)[0];
    let conversation = talk;
    world.tell(1, Input::MarkRead { conversation, up_to });
    world.settle();
    assert_eq!(world.mark(0, talk, "hello"), Some(Mark::Read));
    let seen = |world: &World| [0, 1].map(|at| world.devices[at].store.rows(Table::Seen));
    assert!(seen(&world).iter().all(|seen| *seen > 3));
    world.sleep(ENVELOPE_LIFETIME_SECONDS_MAX * 1_000 + 1);
    world.settle();
    assert_eq!(seen(&world), [1, 1], "the message is known for good");
    assert_eq!(world.mark(0, talk, "hello"), Some(Mark::Read));
}

#[test]
fn a_group_talks_after_a_removal_without_the_one_removed() {
    let mut world = World::new(2, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.assert_together(&[0, 1, 2], group);
    world.say(1, group, "all three");
    world.settle();
    let removed = world.people[2];
    world.change(0, group, Change::Remove(removed));
    world.settle();
    world.say(1, group, "only two");
    world.settle();
    world.assert_together(&[0, 1], group);
    assert_eq!(world.info(2, group).standing, Standing::Removed);
    assert_eq!(world.texts(0, group), ["all three", "only two"]);
    assert_eq!(world.texts(1, group), ["all three", "only two"]);
    assert_eq!(world.texts(2, group), ["all three"]);
}

#[test]
fn of_two_commits_at_once_one_wins_and_the_other_is_made_again() {
    let mut world = World::new(3, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let admin = world.people[1];
    world.change(0, group, Change::SetRole(admin, tokenim_conversation::Role::Admin));
    world.settle();
    let before = world.info(0, group).epoch;
    world.change(0, group, Change::Rename("from a".into()));
    world.change(1, group, Change::Disappear(Some(3600)));
    world.change(2, group, Change::Refresh);
    world.settle();
    world.assert_together(&[0, 1, 2], group);
    let info = world.info(2, group);
    assert_eq!(info.epoch, before + 3);
    assert_eq!((info.name.as_str(), info.disappear_after), ("from a", Some(3600)));
}

#[test]
fn two_people_who_start_at_once_end_in_one_conversation() {
    let mut world = World::new(4, 2, 2);
    let talk = world.start(0, 1);
    assert_eq!(world.start(2, 0), talk);
    world.say(0, talk, "from a");
    world.say(2, talk, "from b");
    world.settle();
    world.assert_together(&[0, 1, 2, 3], talk);
    let order = world.orders(0, talk);
    for at in 0..4 {
        assert_eq!(world.texts(at, talk).len(), 2, "{}", world.devices[at].name);
        assert_eq!(world.orders(at, talk), order);
    }
    let sessions = |world: &World, at: usize| world.devices[at].store.rows(Table::Session);
    assert!((0..4).any(|at| sessions(&world, at) == 2));
    // The one that does not go on is read for some time.
    world.sleep(SESSION_CLOSING_SECONDS * 1_000);
    world.settle();
    for at in 0..4 {
        assert_eq!(sessions(&world, at), 1, "{}", world.devices[at].name);
    }
}

#[test]
fn who_leaves_has_left_all_sessions_of_the_two_whatever_came_first() {
    for seed in 74..80 {
        let mut world = World::new(seed, 2, 2);
        let talk = world.start(0, 1);
        world.start(2, 0);
        // One sees all of it only later, in any order.
        world.devices[3].online = false;
        world.settle();
        world.assert_together(&[0, 1, 2], talk);
        world.change(2, talk, Change::Leave);
        for _ in 0..4 {
            world.settle();
            world.sleep(65_000);
        }
        world.devices[3].online = true;
        for _ in 0..4 {
            world.settle();
            world.sleep(65_000);
        }
        for at in 0..4 {
            assert_eq!(
                world.info(at, talk).standing,
                Standing::Removed,
                "{}",
                world.devices[at].name
            );
        }
        world.start(3, 0);
        world.settle();
        world.assert_together(&[0, 1, 2, 3], talk);
    }
}
