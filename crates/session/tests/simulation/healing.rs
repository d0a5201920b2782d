//! What goes wrong, and how each of it ends in a working member by itself, or in one thing to do.

use crate::world::{
    NETWORK, NOBODY, World,
    store::MemoryStore,
    villain::{Mischief, do_mischief, inside},
};
use tokenim_conversation::{
    child::{Flaw, Garbage},
    policy::Forbidden,
};
use tokenim_mailbox::KeyPackage;
use tokenim_session::{
    SessionSuite,
    step::{Action, Batch, Change, ConversationId, Event, Standing, Table, View, Why, Write},
};
use tokenim_wire::UnixMillis;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[test]
fn garbage_as_first_child_is_skipped_by_all_and_its_author_named() {
    for what in Mischief::ALL {
        let mut world = World::new(10, 3, 1);
        let group = world.group(0, &[1, 2]);
        world.settle();
        if what == Mischief::OldCommit {
            // It keeps the epoch that is over next.
            assert_eq!(do_mischief(&mut world, 2, group, what), None);
            world.change(1, group, Change::Refresh);
            world.settle();
        }
        let (inside, author) = (inside(&world, 1, group).unwrap(), inside(&world, 2, group).unwrap());
        let entry = do_mischief(&mut world, 2, group, what).unwrap();
        world.pass(1_000);
        let (node, _) = world.ledger.node(inside.handle, inside.entry, u64::MAX).unwrap();
        let [child] = node.children.as_slice() else {
            panic!("{what:?}")
        };
        assert_eq!(child.child.id().unwrap(), entry);
        let author = Some(author.group.own());
        let (author, why) = match what {
            Mischief::NoAuthor | Mischief::ForeignAuthor => (None, Flaw::AuthorBox),
            Mischief::OtherMailbox => (author, Flaw::Mailbox),
            Mischief::NoEnvelope => (author, Flaw::Envelope),
            Mischief::OtherCommit => (author, Flaw::Commitment),
            Mischief::NoCommit | Mischief::ForeignCommit | Mischief::OldCommit => (author, Flaw::NotApplied),
            Mischief::MadeByAnother => (author, Flaw::Author),
            Mischief::Forbidden => (author, Flaw::Forbidden(Forbidden::Remove)),
            Mischief::OwnRole => (author, Flaw::Forbidden(Forbidden::Role)),
            Mischief::NoContext => (author, Flaw::Forbidden(Forbidden::Context)),
            Mischief::OtherKey => (author, Flaw::NextKey),
        };
        let envelopes = world.nodes.everything(child.child.tag);
        assert_eq!(
            inside.flaw(&child.child, &envelopes),
            Some(Garbage { author, why }),
            "{what:?}"
        );
        world.change(0, group, Change::Rename("after".into()));
        world.say(1, group, "still here");
        world.settle();
        world.assert_together(&[0, 1, 2], group);
        assert_eq!(world.info(1, group).name, "after", "{what:?}");
        assert_eq!(world.texts(0, group), ["still here"], "{what:?}");
        let named = Event::Culprit {
            conversation: group,
            identity: world.people[2],
        };
        for at in [0, 1] {
            assert_eq!(world.devices[at].events.contains(&named), author.is_some(), "{what:?}");
            assert!(!world.readded.contains(&(at, group)), "{what:?}");
        }
    }
}

#[test]
fn an_entry_full_of_garbage_ends_in_one_thing_to_do() {
    let mut world = World::new(11, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    for _ in 0..8 {
        do_mischief(&mut world, 2, group, Mischief::NoCommit).unwrap();
    }
    world.settle();
    for at in 0..2 {
        let info = world.info(at, group);
        assert_eq!(
            (info.standing, info.action),
            (Standing::Stranded, Some(Action::StartAnew))
        );
    }
    let culprit = world.people[2];
    let named = Event::Culprit {
        conversation: group,
        identity: culprit,
    };
    assert!(world.devices[1].events.contains(&named));
}

#[test]
fn a_device_that_slept_through_fifty_epochs_follows_them_all_and_misses_no_message() {
    let mut world = World::new(12, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.devices[2].online = false;
    let mut said = Vec::new();
    for number in 0..50 {
        let words = format!("message {number}");
        world.say(number % 2, group, &words);
        world.rounds(3);
        world.change(number % 2, group, Change::Refresh);
        world.rounds(5);
        said.push(words);
    }
    world.settle();
    assert!(world.info(0, group).epoch >= 50);
    world.devices[2].online = true;
    for _ in 0..80 {
        world.settle();
    }
    world.assert_together(&[0, 1, 2], group);
    assert_eq!(world.texts(2, group), world.texts(0, group));
    assert_eq!(world.texts(2, group), said);
}

#[test]
fn a_device_that_slept_longer_than_commits_are_kept_asks_to_be_readded() {
    let mut world = World::new(13, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.devices[2].online = false;
    world.change(0, group, Change::Refresh);
    world.settle();
    // What is stored is kept for 30 days.
    world.nodes.forget();
    world.sleep(31 * DAY_MS);
    world.devices[2].online = true;
    world.settle();
    world.settle();
    world.assert_together(&[0, 1, 2], group);
    world.say(2, group, "awake");
    world.settle();
    assert_eq!(world.texts(0, group), ["awake"]);
}

#[test]
fn a_device_restored_from_an_old_copy_asks_to_be_readded() {
    let mut world = World::new(14, 2, 1);
    let talk = world.start(0, 1);
    world.say(0, talk, "one");
    world.settle();
    let copy = world.devices[0].store.clone();
    world.change(0, talk, Change::Refresh);
    world.settle();
    world.say(0, talk, "two");
    world.settle();
    // The commit that it made since is one that it does not know any more.
    world.restore(0, copy);
    world.settle();
    world.sleep(200_000);
    world.settle();
    world.assert_together(&[0, 1], talk);
    world.say(0, talk, "three");
    world.say(1, talk, "four");
    world.settle();
    assert_eq!(world.texts(1, talk).len(), 4);
    assert!(world.texts(0, talk).contains(&"four".to_string()));
}

#[test]
fn an_old_copy_in_the_same_epoch_renews_its_keys() {
    let mut world = World::new(15, 2, 1);
    let talk = world.start(0, 1);
    world.say(0, talk, "one");
    world.settle();
    let copy = world.devices[0].store.clone();
    let before = world.info(0, talk).epoch;
    world.say(0, talk, "two");
    world.settle();
    world.restore(0, copy);
    world.settle();
    world.assert_together(&[0, 1], talk);
    assert_eq!(world.info(0, talk).epoch, before + 1);
    world.say(0, talk, "three");
    world.settle();
    assert_eq!(world.texts(1, talk), ["one", "two", "three"]);
}

#[test]
fn a_lost_welcome_is_asked_for() {
    let mut world = World::new(16, 2, 1);
    let talk = world.start(0, 1);
    world.say(0, talk, "come in");
    // The key package is lost before the Welcome comes: it opens nothing.
    for _ in 0..40 {
        world.round();
        if world.devices[1].store.rows(Table::Invitation) > 0 {
            break;
        }
    }
    world.restore(1, MemoryStore::new());
    world.settle();
    world.sleep(100_000);
    world.settle();
    world.sleep(400_000);
    world.settle();
    world.assert_together(&[0, 1], talk);
    world.say(1, talk, "here");
    world.settle();
    assert!(world.texts(0, talk).contains(&"here".to_string()));
}

#[test]
fn who_is_added_anew_twice_with_one_key_package_asks_once_more() {
    let mut world = World::new(28, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let copy = world.devices[2].store.clone();
    world.change(2, group, Change::Refresh);
    world.settle();
    // It asks both others; one hears of it only when the other one has added it anew.
    world.restore(2, copy);
    world.devices[1].online = false;
    let before = world.devices[1].inbox.letters.len();
    world.settle();
    world.sleep(65_000);
    world.settle();
    world.assert_together(&[0, 2], group);
    let late = world.devices[1].inbox.letters.split_off(before);
    assert!(!late.is_empty());
    world.devices[1].online = true;
    world.settle();
    world.assert_together(&[0, 1, 2], group);
    let epoch = world.info(0, group).epoch;
    world.devices[1].inbox.letters.extend(late);
    world.settle();
    assert!(world.info(0, group).epoch > epoch);
    for _ in 0..4 {
        world.sleep(130_000);
        world.settle();
    }
    world.assert_together(&[0, 1, 2], group);
    world.say(2, group, "here");
    world.settle();
    assert_eq!(world.texts(1, group), ["here"]);
}

/// How many key packages a device has, and how many of them were used.
fn packages(world: &World, at: usize) -> (usize, usize) {
    let rows = world.devices[at].store.scan(Table::Package, &[], 999).unwrap();
    let used = rows.iter().filter(|(key, _)| key.len() > 32).count();
    (rows.len(), used)
}

/// Makes a group with this key package of the third one's, and waits until the Welcome has come. Whether it brought the third
/// one in, or another one was asked for.
fn is_brought_in(world: &mut World, package: &KeyPackage) -> Option<ConversationId> {
    world.devices[2].inbox.packages = vec![package.clone()];
    let group = world.group(0, &[1, 2]);
    let is_in = |world: &World| world.infos(2).iter().any(|info| info.conversation == group);
    let asked = |world: &World| world.devices[2].store.rows(Table::Invitation) > 0;
    for _ in 0..20 {
        world.round();
    }
    assert_ne!(is_in(world), asked(world));
    is_in(world).then_some(group)
}

#[test]
fn one_key_package_brings_a_device_into_many_groups_for_an_hour() {
    let mut world = World::new(45, 3, 1);
    world.settle();
    let (all, _) = packages(&world, 2);
    let now = UnixMillis::new(world.now).to_seconds();
    let is_classical = |bytes: &&KeyPackage| {
        let info = tokenim_mls::read_key_package(&NETWORK, bytes, now).unwrap();
        info.suite == SessionSuite::Classical
    };
    let first = world.devices[2]
        .inbox
        .packages
        .iter()
        .find(is_classical)
        .unwrap()
        .clone();
    for _ in 0..12 {
        let group = is_brought_in(&mut world, &first).unwrap();
        world.settle();
        world.assert_together(&[0, 1, 2], group);
        assert_eq!(world.info(0, group).epoch, 1, "added once");
    }
    assert_eq!(packages(&world, 2), (all, 1));
    assert!(world.devices[2].inbox.packages.iter().eq([&first]));
    // In half an hour the nodes have others in its place; in an hour it is gone.
    world.sleep(1_700_000);
    world.settle();
    assert!(!world.devices[2].inbox.packages.contains(&first));
    assert_eq!(packages(&world, 2), (all + 1, 1));
    assert!(is_brought_in(&mut world, &first).is_some());
    world.sleep(1_800_000);
    world.settle();
    assert_eq!(packages(&world, 2), (all, 0));
    assert_eq!(is_brought_in(&mut world, &first), None);
}

#[test]
fn who_is_behind_is_not_brought_back_to_where_it_was_with_a_key_package_of_the_stock() {
    let mut world = World::new(46, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let mut welcomes = world.devices[2].inbox.letters.clone();
    welcomes.iter_mut().for_each(|letter| letter.id[0] ^= 1);
    let copy = world.devices[2].store.clone();
    world.change(2, group, Change::Refresh);
    world.settle();
    world.restore(2, copy);
    for at in [0, 1] {
        world.devices[at].online = false;
    }
    world.settle();
    assert_eq!(world.info(2, group).standing, Standing::Behind);
    let before = world.info(2, group).epoch;
    world.devices[2].inbox.letters.extend(welcomes);
    world.devices[2].refusals.clear();
    world.settle();
    let why: Vec<_> = world.devices[2].refusals.iter().map(|refusal| &refusal.why).collect();
    assert_eq!(why, [&Why::Replayed]);
    assert_eq!(world.info(2, group).standing, Standing::Behind);
    assert_eq!(world.info(2, group).epoch, before);
    assert_eq!(packages(&world, 2).1, 1);
    for at in [0, 1] {
        world.devices[at].online = true;
    }
    for _ in 0..3 {
        world.sleep(130_000);
        world.settle();
    }
    world.assert_together(&[0, 1, 2], group);
}

#[test]
fn who_was_removed_and_is_invited_again_asks_for_a_lost_welcome() {
    let mut world = World::new(29, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let somebody = world.people[2];
    world.change(0, group, Change::Remove(somebody));
    world.settle();
    assert_eq!(world.info(2, group).standing, Standing::Removed);
    // Its key packages open nothing any more.
    let store = &mut world.devices[2].store;
    let table = Table::Package;
    let gone = store.scan(table, &[], 99).unwrap().into_iter();
    let gone = gone.map(|(key, _)| Write {
        table,
        key,
        value: None,
    });
    let gone = Batch::new(gone.collect());
    store.apply(&gone);
    world.devices[2].online = false;
    world.change(0, group, Change::Invite(somebody));
    world.settle();
    world.devices[2].online = true;
    world.settle();
    for _ in 0..3 {
        world.sleep(130_000);
        world.settle();
    }
    world.assert_together(&[0, 1, 2], group);
}

#[test]
fn a_revoked_device_is_removed_before_the_next_message() {
    let mut world = World::new(17, 3, 2);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let (identity, device) = (world.people[2], world.devices[5].owner.device_id());
    world.ledger.revoke_device(identity, device);
    // Nobody tells the others.
    world.pass(61_000);
    world.devices[5].online = false;
    world.say(0, group, "not for the thief");
    world.settle();
    world.assert_together(&[0, 1, 2, 3, 4], group);
    let members = world.info(0, group).members;
    assert!(members.iter().all(|member| !member.devices.contains(&device)));
    world.devices[5].online = true;
    world.settle();
    assert!(world.texts(5, group).is_empty());
    assert_eq!(world.texts(4, group), ["not for the thief"]);
}

#[test]
fn a_new_device_of_a_member_comes_into_all_its_conversations() {
    let mut world = World::new(18, 3, 1);
    let group = world.group(0, &[1, 2]);
    let talk = world.start(1, 2);
    world.settle();
    let new = world.add_device(1, 1);
    world.pass(1_000);
    world.show_identity(1, 1);
    world.settle();
    world.assert_together(&[0, 1, 2, new], group);
    world.assert_together(&[1, 2, new], talk);
    world.say(0, group, "all of you");
    world.settle();
    assert_eq!(world.texts(new, group), ["all of you"]);
}

#[test]
fn who_leaves_is_removed_by_the_others() {
    let mut world = World::new(19, 3, 2);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.change(4, group, Change::Leave);
    world.settle();
    world.assert_together(&[0, 1, 2, 3], group);
    for at in [4, 5] {
        assert_eq!(world.info(at, group).standing, Standing::Removed);
    }
    assert_eq!(world.info(0, group).members.len(), 2);
}

#[test]
fn messages_disappear_when_their_time_has_come() {
    let mut world = World::new(20, 2, 1);
    let talk = world.start(0, 1);
    world.settle();
    world.change(0, talk, Change::Disappear(Some(60)));
    world.settle();
    world.say(0, talk, "for a minute");
    world.settle();
    assert_eq!(world.texts(1, talk), ["for a minute"]);
    world.sleep(61_000);
    world.settle();
    for at in [0, 1] {
        assert!(world.texts(at, talk).is_empty());
    }
}

#[test]
fn a_message_that_was_cut_off_by_a_new_epoch_is_said_again_once() {
    let mut world = World::new(21, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.say(1, group, "cut off");
    // It lies on one node, without a receipt, when the epoch ends.
    world.devices[1].cut = [true, true, true, false];
    for _ in 0..6 {
        world.carry_out(1);
    }
    world.devices[1].cut = NOBODY;
    world.devices[1].online = false;
    world.change(0, group, Change::Refresh);
    world.settle();
    world.devices[1].online = true;
    world.settle();
    for at in 0..3 {
        assert_eq!(world.texts(at, group), ["cut off"], "{}", world.devices[at].name);
    }
    assert_eq!(world.orders(0, group), world.orders(2, group));
}

#[test]
fn who_was_removed_and_came_back_reads_what_was_said_before() {
    let mut world = World::new(23, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    // Encrypted before the removal, stored after it, by a device that has not seen it.
    world.say(1, group, "late");
    world.say(1, group, "later");
    world.devices[1].online = false;
    let store_one = |world: &mut World| {
        world.devices[1].online = true;
        assert!(world.carry_out(1));
        world.devices[1].online = false;
        world.settle();
    };
    let removed = world.people[2];
    world.change(0, group, Change::Remove(removed));
    world.settle();
    assert_eq!(world.info(2, group).standing, Standing::Removed);
    store_one(&mut world);
    assert_eq!(world.texts(2, group).len(), 1);
    world.change(0, group, Change::Invite(removed));
    world.settle();
    assert_eq!(world.info(2, group).standing, Standing::Active);
    store_one(&mut world);
    assert_eq!(world.texts(2, group), ["late", "later"]);
    world.devices[1].online = true;
    world.settle();
    world.assert_together(&[0, 1, 2], group);
}

#[test]
fn two_people_begin_anew_after_one_has_left() {
    let mut world = World::new(24, 2, 2);
    let talk = world.start(0, 1);
    world.say(0, talk, "before");
    world.settle();
    // This one sees the new beginning before the end.
    world.devices[1].online = false;
    world.change(2, talk, Change::Leave);
    world.settle();
    for at in [0, 2, 3] {
        assert_eq!(world.info(at, talk).standing, Standing::Removed);
    }
    assert_eq!(world.start(0, 1), talk);
    world.say(0, talk, "after");
    world.settle();
    world.devices[1].online = true;
    world.settle();
    world.assert_together(&[0, 1, 2, 3], talk);
    for at in 0..4 {
        // Places begin with the epoch, and epochs begin again: which of the two comes first is the same for all.
        assert_eq!(world.orders(at, talk), world.orders(0, talk));
        let mut texts = world.texts(at, talk);
        texts.sort();
        assert_eq!(texts, ["after", "before"], "{}", world.devices[at].name);
    }
}

#[test]
fn what_a_member_said_before_its_removal_opens_after_it() {
    let mut world = World::new(25, 4, 1);
    let group = world.group(0, &[1, 2, 3]);
    world.settle();
    world.devices[0].online = false;
    world.devices[3].online = false;
    world.say(2, group, "last words");
    world.settle();
    let removed = world.people[2];
    let admin = world.people[1];
    world.devices[0].online = true;
    world.change(0, group, Change::SetRole(admin, tokenim_conversation::Role::Admin));
    world.settle();
    world.devices[0].online = false;
    world.change(1, group, Change::Remove(removed));
    world.settle();
    for number in 0..3 {
        world.change(1, group, Change::Rename(format!("name {number}")));
        world.settle();
    }
    // They read it only now, four epochs later.
    world.devices[0].online = true;
    world.devices[3].online = true;
    world.settle();
    world.assert_together(&[0, 1, 3], group);
    for at in 0..4 {
        assert_eq!(world.texts(at, group), ["last words"], "{}", world.devices[at].name);
    }
}

#[test]
fn an_old_answer_about_an_identity_does_not_hold_up_the_next() {
    for seed in 60..64 {
        let mut world = World::new(seed, 3, 2);
        let group = world.group(0, &[1, 2]);
        world.settle();
        world.faults.stale = 80;
        world.faults.stale_heights = 60;
        for at in 0..6 {
            world.show_identity(at, 2);
            world.change(at, group, Change::Refresh);
            world.say(at, group, &format!("{at}"));
            world.rounds(4);
        }
        world.settle();
        world.faults.stale = 0;
        world.settle();
        world.assert_together(&[0, 1, 2, 3, 4, 5], group);
        for at in 0..6 {
            assert_eq!(world.texts(at, group).len(), 6);
        }
    }
}

#[test]
fn an_old_answer_that_shows_no_devices_is_asked_again() {
    let mut world = World::new(26, 2, 1);
    let new = world.ledger.add_identity(9);
    world.people.push(new);
    let at = world.add_device(2, 0);
    // The device comes with the next block: what is looked up now does not show it.
    let group = world.group(0, &[1, 2]);
    for _ in 0..20 {
        world.carry_out(0);
    }
    world.settle();
    world.settle();
    world.assert_together(&[0, 1, at], group);
    assert_eq!(world.info(0, group).action, None);
}

#[test]
fn nothing_waits_for_somebody_who_has_left() {
    let mut world = World::new(27, 2, 2);
    let talk = world.start(0, 1);
    world.say(0, talk, "before");
    world.settle();
    world.devices[1].online = false;
    world.change(2, talk, Change::Leave);
    world.settle();
    // This one says something before it has seen that.
    world.say(1, talk, "too late");
    world.devices[1].online = true;
    world.settle();
    for at in 0..4 {
        assert_eq!(world.info(at, talk).standing, Standing::Removed);
    }
    world.start(3, 0);
    world.settle();
    world.assert_together(&[0, 1, 2, 3], talk);
    for at in 0..4 {
        assert_eq!(world.info(at, talk).queued, 0);
        let mut texts = world.texts(at, talk);
        texts.sort();
        assert_eq!(texts, ["before", "too late"], "{}", world.devices[at].name);
    }
}

#[test]
fn a_device_that_is_newer_than_what_is_known_of_its_owner_is_heard() {
    let mut world = World::new(62, 3, 1);
    // C looks B up, which has one device then, and is shown nothing more.
    let talk = world.start(2, 1);
    world.say(2, talk, "hello");
    world.settle();
    let new = world.add_device(1, 1);
    world.pass(1_000);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.say(new, group, "from a new device");
    world.settle();
    world.assert_together(&[0, 1, 2, new], group);
    assert_eq!(world.texts(2, group), ["from a new device"]);
    assert!(
        world.devices[2]
            .refusals
            .iter()
            .all(|refusal| refusal.why != Why::Revoked)
    );
}
