//! What the nodes keep of two epochs of one session, as real devices make it: nothing in it ties the one to the other but
//! what is meant to.

use crate::world::{
    World,
    villain::{Inside, inside},
};
use std::collections::HashSet;
use tokenim_mailbox::group::{GroupEntryId, GroupUpdate, SignedGroupChild};
use tokenim_session::step::{Change, ConversationId, Input};
use tokenim_wire::{Object, encode};

/// What is shorter, such as a version, a length or a time, may be the same by chance.
const VALUE: usize = 8;

/// One epoch as nodes keep it, and as its members know it.
struct Epoch {
    inside: Inside,
    /// The commit that ended it.
    end: SignedGroupChild,
    /// Descriptors, tags, ids and whole envelopes of the mailbox of its messages, of that of the commit and of that of the
    /// Welcome; its entry, and the update that has added the next one.
    kept: Vec<Vec<u8>>,
    /// How many envelopes are among it, and how many mailboxes.
    envelopes: usize,
    mailboxes: usize,
    /// The messages in its envelopes, as MLS has made them.
    bare: Vec<Vec<u8>>,
}

/// Says the same in each epoch; whoever is invited then ends it.
fn play(world: &mut World, group: ConversationId, members: usize) -> Epoch {
    let before = world.nodes.kept();
    let inside = inside(world, 0, group).unwrap();
    for at in 0..members {
        world.say(at, group, "the same words in each epoch");
        world.settle();
    }
    world.change(0, group, Change::Invite(world.people[members]));
    world.settle();
    let of = |entry: &GroupEntryId| {
        world.ledger.updates.iter().find_map(|update| match update {
            GroupUpdate::Child(signed) if signed.child.parent == *entry => Some((**signed).clone()),
            _ => None,
        })
    };
    let end = of(&inside.entry).unwrap();
    let mut epoch = Epoch {
        end: end.clone(),
        kept: Vec::new(),
        envelopes: 0,
        mailboxes: 0,
        bare: Vec::new(),
        inside,
    };
    let inside = &epoch.inside;
    let own = inside.keys.mailbox().tag();
    let mut tags = HashSet::new();
    for ((tag, envelope), bytes) in world.nodes.kept() {
        // Those of the next epoch, which has begun by now, are its own affair; the mailbox of a Welcome nobody can tell
        // from others.
        let other_epoch = tag != own && world.tags.contains_key(&tag);
        if other_epoch || before.contains_key(&(tag, envelope)) && tag != own {
            continue;
        }
        if tags.insert(tag) {
            epoch.kept.push(world.nodes.descriptors[&tag].to_bytes().unwrap());
        }
        epoch.kept.push(tag.to_bytes().to_vec());
        epoch.kept.push(envelope.to_bytes().to_vec());
        epoch.kept.push(bytes.to_vec());
        epoch.envelopes += 1;
        if tag == own {
            epoch.bare.push(inside.keys.unwrap(&bytes).unwrap().to_vec());
        }
    }
    assert!(tags.contains(&own) && tags.contains(&end.child.tag));
    epoch.mailboxes = tags.len();
    let (node, _) = world.ledger.node(inside.handle, inside.entry, u64::MAX).unwrap();
    epoch.kept.push(inside.entry.to_bytes().to_vec());
    epoch.kept.push(node.to_bytes().unwrap());
    epoch.kept.push(GroupUpdate::Child(Box::new(end)).to_bytes().unwrap());
    epoch
}

/// All values of what is kept, but for those that are public.
fn values(kept: &[Vec<u8>], public: &[Vec<u8>]) -> HashSet<[u8; VALUE]> {
    let mut found = HashSet::new();
    let mut take = |part: &[u8]| found.extend(part.windows(VALUE).map(|value| <[u8; VALUE]>::try_from(value).unwrap()));
    for bytes in kept {
        let (mut from, mut at) = (0, 0);
        while at < bytes.len() {
            match public.iter().find(|public| bytes[at..].starts_with(public)) {
                Some(public) => {
                    take(&bytes[from..at]);
                    at += public.len();
                    from = at;
                }
                None => at += 1,
            }
        }
        take(&bytes[from..]);
    }
    found
}

fn shared(one: &[Vec<u8>], other: &[Vec<u8>], public: &[Vec<u8>]) -> Vec<[u8; VALUE]> {
    let other = values(other, public);
    values(one, public)
        .into_iter()
        .filter(|value| other.contains(value))
        .collect()
}

#[test]
fn nodes_keep_nothing_of_two_epochs_that_ties_them_but_the_log_of_the_group() {
    let mut world = World::new(90, 8, 1);
    let members = (1..6).map(|person| world.people[person]).collect();
    world.tell(
        0,
        Input::CreateGroup {
            name: "a group".into(),
            members,
            suite: None,
        },
    );
    let group = world.infos(0)[0].conversation;
    world.settle();
    world.assert_together(&[0, 1, 2, 3, 4, 5], group);
    let one = play(&mut world, group, 6);
    let other = play(&mut world, group, 7);
    assert_eq!(one.inside.group.epoch() + 1, other.inside.group.epoch());
    for epoch in [&one, &other] {
        // Of messages, of the commit, of a Welcome that is too large for a note; receipts go along.
        assert_eq!(epoch.mailboxes, 3);
        assert!(epoch.envelopes > 10, "{}", epoch.envelopes);
    }

    // The log of the group is public, and one thing. What it consists of:
    let (began, _) = world
        .ledger
        .node(other.inside.handle, other.inside.entry, u64::MAX)
        .unwrap();
    let public = [
        // the name of the log,
        other.inside.handle.to_bytes().to_vec(),
        // the key of the second epoch, which the first one announces, and
        one.end.child.next.to_bytes().to_vec(),
        // the block and its time in which that was.
        encode(&began.place).unwrap(),
    ];
    assert_eq!(shared(&one.kept, &other.kept, &public), Vec::<[u8; VALUE]>::new());

    // The comparison sees what is the same: each of these, if it is not expected,
    for left_out in 0..public.len() {
        let mut fewer = public.to_vec();
        let constant = fewer.remove(left_out);
        let found = shared(&one.kept, &other.kept, &fewer);
        assert!(
            found.iter().any(|value| constant.windows(VALUE).any(|of| of == value)),
            "{left_out}"
        );
    }
    // and what messages would tell if they lay bare, as MLS makes them.
    assert!(one.bare.len() > 5 && other.bare.len() > 5);
    assert!(!shared(&one.bare, &other.bare, &public[1..]).is_empty());
    // Nor do mailboxes and envelopes of either name what both are about: the log, the group, its members, what was said.
    let named = [
        vec![other.inside.handle.to_bytes().to_vec(), group.to_bytes().to_vec()],
        world.people.iter().map(|person| person.to_bytes().to_vec()).collect(),
        vec![b"a group".to_vec(), b"the same words".to_vec()],
    ]
    .concat();
    for epoch in [&one, &other] {
        for kept in &epoch.kept[..epoch.kept.len() - 2] {
            assert!(
                named
                    .iter()
                    .all(|name| !kept.windows(name.len()).any(|part| part == name))
            );
        }
    }
}
