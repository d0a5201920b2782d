//! Partitions, a node that lies, and a member that does what no honest software does; one by one.

use crate::{
    shut_out::shut_out,
    world::{
        NOBODY, World,
        villain::{self, FalseReceipt, lie_about_storage, spam_messages, spam_notes},
    },
};
use tokenim_session::step::{self, Action, Change, Event, Input, Standing, Table};
use tokenim_wire::{
    Height,
    limits::{SESSION_INVITATIONS_MAX, SESSION_PAST_EPOCHS_MAX},
};

#[test]
fn the_ledger_takes_no_child_whose_commit_is_not_proved_to_be_stored() {
    let mut world = World::new(50, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let before = world.ledger.refused;
    for what in FalseReceipt::ALL {
        lie_about_storage(&mut world, 2, group, what).unwrap();
    }
    world.settle();
    assert_eq!(world.ledger.refused, before + FalseReceipt::ALL.len() as u64);
    world.change(0, group, Change::Refresh);
    world.settle();
    world.assert_together(&[0, 1, 2], group);
}

#[test]
fn whom_a_commit_shuts_out_comes_back_by_itself() {
    for seed in 51..55 {
        let mut world = World::new(seed, 4, 1);
        let group = world.group(0, &[1, 2, 3]);
        world.settle();
        world.malicious.insert(world.devices[3].id);
        shut_out(&mut world, 3, group).unwrap();
        world.settle();
        let victims = (0..3).filter(|at| world.readded.contains(&(*at, group))).count();
        assert!((1..=3).contains(&victims), "{victims}");
        let named = Event::Culprit {
            conversation: group,
            identity: world.people[3],
        };
        for at in 0..3 {
            // Whoever can follow sees nothing wrong with it.
            let shut_out = world.readded.contains(&(at, group));
            assert_eq!(world.devices[at].events.contains(&named), shut_out);
        }
        if victims == 3 {
            // Nobody is left but the one who did it: see below.
            continue;
        }
        world.sleep(130_000);
        world.settle();
        world.assert_together(&[0, 1, 2], group);
        world.say(0, group, "again together");
        world.settle();
        for at in 0..3 {
            assert_eq!(world.texts(at, group), ["again together"]);
        }
    }
}

#[test]
fn a_commit_that_shuts_all_out_ends_in_one_thing_to_do() {
    let mut world = World::new(58, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.malicious.insert(world.devices[2].id);
    // One key of the tree is for both others: a seal to it for all.
    for at in [0, 1] {
        world.change(at, group, Change::Refresh);
        world.settle();
    }
    // Which seal is spoiled is drawn, as if there were two.
    while (0..2).any(|at| world.info(at, group).standing == Standing::Active) {
        shut_out(&mut world, 2, group).unwrap();
        world.settle();
    }
    let named = Event::Culprit {
        conversation: group,
        identity: world.people[2],
    };
    for at in 0..2 {
        let info = world.info(at, group);
        assert_eq!((info.standing, info.action), (Standing::Behind, None));
        assert!(world.devices[at].events.contains(&named));
    }
    world.say(0, group, "who is there?");
    // Eight requests, the pause twice as long after each.
    for _ in 0..16 {
        world.sleep(3_600_000);
        world.settle();
    }
    for at in 0..2 {
        let info = world.info(at, group);
        let (standing, action) = (Standing::Stranded, Some(Action::StartAnew));
        assert_eq!((info.standing, info.action), (standing, action));
    }
    let anew = world.group(0, &[1]);
    world.settle();
    world.assert_together(&[0, 1], anew);
}

#[test]
fn a_child_that_comes_again_changes_nothing() {
    let mut world = World::new(56, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let inside = villain::inside(&world, 2, group).unwrap();
    world.devices[2].online = false;
    world.change(0, group, Change::Refresh);
    world.settle();
    // It still stands at the entry before, and submits the child of that again.
    let (children, included) = (
        world.ledger.versions(inside.handle, inside.entry),
        world.ledger.included.len(),
    );
    villain::replay(&mut world, 2, group).unwrap();
    world.pass(2_000);
    assert_eq!(world.ledger.versions(inside.handle, inside.entry), children);
    assert_eq!(world.ledger.included.len(), included);
}

#[test]
fn notes_and_messages_that_are_none_stand_in_nobody_s_way() {
    let mut world = World::new(57, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    for round in 0..400 {
        spam_notes(&mut world, 2, round % 2, group);
        if round % 8 == 0 {
            spam_messages(&mut world, 2, group);
            world.round();
        }
    }
    world.settle();
    for at in [0, 1] {
        assert!(world.devices[at].store.rows(Table::Invitation) <= SESSION_INVITATIONS_MAX);
    }
    world.say(0, group, "still here");
    world.sleep(130_000);
    world.settle();
    world.assert_together(&[0, 1], group);
    assert!(world.texts(1, group).contains(&"still here".to_string()));
}

#[test]
fn three_nodes_of_four_go_on_and_two_and_two_wait() {
    let mut world = World::new(58, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    // Node 3 hears nobody, and one device hears nobody but it and node 2.
    for other in 0..3 {
        world.nodes.apart[other][3] = true;
    }
    world.devices[2].cut = [true, true, false, false];
    let before = world.info(0, group).epoch;
    world.change(0, group, Change::Refresh);
    world.say(2, group, "cut off");
    world.settle();
    world.assert_together(&[0, 1], group);
    assert_eq!(world.info(0, group).epoch, before + 1);
    // Whoever reads one of the two nodes has it; but it counts as stored only on three.
    assert_eq!(world.info(2, group).queued, 0);
    assert!(world.acknowledged.is_empty());
    // Two and two: nothing is decided.
    world.nodes.apart = Default::default();
    for (one, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        world.nodes.apart[one][other] = true;
    }
    let height = world.ledger.height;
    world.change(1, group, Change::Refresh);
    world.settle();
    assert_eq!(world.ledger.height, height);
    assert_eq!(world.info(1, group).epoch, before + 1);
    world.nodes.apart = Default::default();
    world.devices[2].cut = NOBODY;
    world.settle();
    world.assert_together(&[0, 1, 2], group);
    assert_eq!(world.info(0, group).epoch, before + 2);
    assert_eq!(world.texts(0, group), ["cut off"]);
}

#[test]
fn a_node_that_lies_hides_nothing() {
    for liar in 0..4 {
        let mut world = World::new(59, 3, 1);
        world.nodes.nodes[liar].lies = true;
        world.faults.stale_heights = 40;
        let group = world.group(0, &[1, 2]);
        world.settle();
        for at in 0..3 {
            world.say(at, group, &format!("{at}"));
            world.change(at, group, Change::Refresh);
        }
        world.settle();
        world.assert_together(&[0, 1, 2], group);
        for at in 0..3 {
            assert_eq!(world.texts(at, group).len(), 3, "{liar}");
            assert!(
                !world.devices[at]
                    .events
                    .iter()
                    .any(|event| matches!(event, Event::Diverged(_)))
            );
            assert_eq!(world.info(at, group).standing, Standing::Active);
        }
    }
}

#[test]
fn what_was_read_of_a_mailbox_before_its_epoch_was_over_says_nothing() {
    let mut world = World::new(60, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let tag = villain::inside(&world, 1, group).unwrap().keys.mailbox().tag();
    let height = Height::new(world.ledger.height);
    // Two nodes are too few to say that this is all.
    world.devices[1].cut = [true, true, false, false];
    for _ in 0..SESSION_PAST_EPOCHS_MAX + 2 {
        world.change(0, group, Change::Refresh);
        world.settle();
    }
    let watched = |world: &World| {
        let watches = step::watches(&world.devices[1].store).unwrap();
        watches.mailboxes.iter().any(|watch| watch.descriptor.tag() == tag)
    };
    let epoch = world.info(1, group).epoch;
    assert!(watched(&world) && epoch < world.info(0, group).epoch);
    world.tell(1, Input::Read { tag, height });
    world.settle();
    assert!(watched(&world) && epoch == world.info(1, group).epoch);
    world.devices[1].cut = NOBODY;
    world.settle();
    assert!(!watched(&world));
    world.assert_together(&[0, 1, 2], group);
}

#[test]
fn nobody_is_lost_by_a_commit_of_a_device_that_was_not_live() {
    let mut world = World::new(73, 4, 1);
    let group = world.group(0, &[1, 2, 3]);
    world.settle();
    let (identity, device) = (world.people[3], world.devices[3].id);
    world.malicious.insert(device);
    world.ledger.revoke_device(identity, device);
    world.pass(1_000);
    shut_out(&mut world, 3, group).unwrap();
    world.settle();
    assert!((0..3).all(|at| !world.readded.contains(&(at, group))));
    world.assert_together(&[0, 1, 2], group);
}
