//! Commits that are too large for one envelope: followed when the last part is there, and judged alike by all.

use crate::world::{
    NETWORK, World,
    nodes::PAGE_BYTES,
    villain::{Inside, commit_in_parts, inside, update},
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use tokenim_identity::DeviceSecrets;
use tokenim_mailbox::{
    MailboxTag,
    group::{GroupNode, LedgerPlace, RecordedChild},
};
use tokenim_session::{
    Owner, SessionSuite,
    mls::{Proposed, key_package},
    step::{self, Change, ConversationId, Event, Input, Table},
};
use tokenim_wire::{
    Height, UnixMillis,
    limits::{GROUP_COMMIT_PARTS_MAX, SESSION_COMMIT_ADDS_POST_QUANTUM_MAX, SESSION_PACKAGE_LIFETIME_SECONDS},
};

/// A group of three; what the last of them has made: a commit in three parts, which the child names in this order.
struct Scene {
    world: World,
    talk: ConversationId,
    inside: Inside,
    tag: MailboxTag,
    parts: Vec<Vec<u8>>,
    node: GroupNode,
    height: Height,
}

fn scene(order: [usize; 3]) -> Scene {
    let mut world = World::new(60, 3, 1);
    let talk = world.group(0, &[1, 2]);
    world.settle();
    let inside = inside(&world, 2, talk).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let now = UnixMillis::new(world.now).to_seconds();
    let made = inside.made(inside.group.commit(&update(), now, &mut rng).unwrap());
    let parts = inside.cut(&made, made.stored.len().div_ceil(3), now, &mut rng);
    let named = order.map(|part| parts[part].clone());
    let child = inside.child_in_parts(&made, &named, &mut rng);
    let height = Height::new(world.ledger.height);
    let place = LedgerPlace {
        height,
        time: UnixMillis::new(world.now),
        index: 0,
    };
    let (mut node, _) = world.ledger.node(inside.handle, inside.entry, height.get()).unwrap();
    let tag = child.tag;
    node.children.push(RecordedChild { child, place }).unwrap();
    let parts = parts.into_iter().map(|part| part.into_bytes()).collect();
    Scene {
        world,
        talk,
        inside,
        tag,
        parts,
        node,
        height,
    }
}

impl Scene {
    fn epoch(&self, at: usize) -> u64 {
        self.world.info(at, self.talk).epoch
    }

    /// The entry with its child, and that its author's device is live.
    fn show(&mut self, at: usize) {
        let author = self.world.people[2];
        let (state, _) = self.world.ledger.identity(&author, self.height.get());
        let live = Input::Identity {
            state: Box::new(state.unwrap()),
            height: self.height,
        };
        self.world.tell(at, live);
        let node = Input::Node {
            handle: self.inside.handle,
            entry: self.inside.entry,
            node: Box::new(self.node.clone()),
            height: self.height,
        };
        self.world.tell(at, node);
    }

    fn give(&mut self, at: usize, part: usize) {
        let part = Input::Envelope {
            tag: self.tag,
            bytes: self.parts[part].clone(),
            height: self.height,
        };
        self.world.tell(at, part);
    }

    fn wants_parts(&self, at: usize) -> bool {
        let watches = step::watches(&self.world.devices[at].store).unwrap();
        let mut mailboxes = watches.mailboxes.iter();
        mailboxes.any(|watch| watch.one_shot && watch.descriptor.tag() == self.tag)
    }
}

#[test]
fn a_commit_in_parts_is_followed_when_the_last_part_is_there() {
    let mut scene = scene([0, 1, 2]);
    let before = scene.epoch(0);
    for (at, order) in [(0, [0, 1, 2]), (1, [2, 0, 1])] {
        scene.show(at);
        for part in order {
            assert_eq!(scene.epoch(at), before);
            assert!(scene.wants_parts(at));
            scene.give(at, part);
        }
        assert!(!scene.wants_parts(at));
    }
    scene.world.assert_together(&[0, 1], scene.talk);
    assert_eq!(scene.epoch(0), before + 1);
}

#[test]
fn a_part_may_come_twice() {
    let mut scene = scene([0, 1, 2]);
    let before = scene.epoch(0);
    scene.show(0);
    for part in [1, 1, 0, 0, 2] {
        scene.give(0, part);
    }
    assert_eq!(scene.epoch(0), before + 1);
}

#[test]
fn parts_in_another_order_are_skipped_by_all_and_their_author_named() {
    let mut scene = scene([1, 0, 2]);
    let before = scene.epoch(0);
    let culprit = Event::Culprit {
        conversation: scene.talk,
        identity: scene.world.people[2],
    };
    for at in [0, 1] {
        scene.show(at);
        for part in [2, 1, 0] {
            // Nobody is blamed for what has not come.
            assert!(!scene.world.devices[at].events.contains(&culprit));
            scene.give(at, part);
        }
        assert!(scene.world.devices[at].events.contains(&culprit));
        assert!(!scene.wants_parts(at));
    }
    scene.world.assert_together(&[0, 1], scene.talk);
    assert_eq!(scene.epoch(0), before);
}

fn post_quantum(world: &mut World, members: &[usize]) -> ConversationId {
    let members = members.iter().map(|person| world.people[*person]).collect();
    let name = "a group".into();
    let suite = Some(SessionSuite::PostQuantum);
    world.tell(0, Input::CreateGroup { name, members, suite });
    let talk = world.infos(0)[0].conversation;
    world.settle();
    talk
}

/// How many envelopes the largest commit on the ledger is in.
fn most_parts(world: &World, at: usize, talk: ConversationId) -> usize {
    let handle = world.info(at, talk).handle.unwrap();
    let mut most = 0;
    let mut entry = handle.root();
    while let Some((node, _)) = world.ledger.node(handle, entry, u64::MAX) {
        let Some(first) = node.children.as_slice().first() else {
            break;
        };
        most = most.max(first.child.envelopes.len());
        entry = first.child.id().unwrap();
    }
    most
}

#[test]
fn a_commit_that_does_not_fit_into_one_envelope_is_made_and_followed() {
    let people = SESSION_COMMIT_ADDS_POST_QUANTUM_MAX / 2 + 4;
    let mut world = World::new(61, people, 2);
    let talk = post_quantum(&mut world, &[1]);
    world.assert_together(&[0, 1, 2, 3], talk);
    let others: Vec<usize> = (4..2 * people).collect();
    for person in 2..people {
        let somebody = world.people[person];
        world.change(0, talk, Change::Invite(somebody));
    }
    // The parts come to the nodes one by one, and one node is never heard of by who makes them.
    world.devices[0].cut[1] = true;
    world.settle();
    world.settle();
    assert!(most_parts(&world, 0, talk) > 1);
    world.assert_together(&(0..2 * people).collect::<Vec<_>>(), talk);
    world.say(others[0], talk, "here");
    world.settle();
    assert_eq!(world.texts(3, talk), ["here"]);
    assert_eq!(world.devices[0].store.rows(Table::Commit), 0);
}

#[test]
fn a_commit_larger_than_what_a_node_gives_at_once_is_read_to_its_end() {
    let mut world = World::new(62, 3, 1);
    world.nodes.page = PAGE_BYTES / 2;
    let talk = post_quantum(&mut world, &[1, 2]);
    let now = UnixMillis::new(world.now).to_seconds();
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let mut add = Vec::new();
    for number in 0..3 {
        let identity = world.ledger.add_identity(100 + number);
        for _ in 0..58 {
            let secrets = DeviceSecrets::generate(&mut rng);
            world.ledger.add_device(identity, &secrets);
            let owner = Owner {
                network: NETWORK,
                identity,
                device: secrets.signing.clone(),
            };
            let lifetime = SESSION_PACKAGE_LIFETIME_SECONDS;
            let made = key_package(&owner, SessionSuite::PostQuantum, now, lifetime, &mut rng);
            add.push(made.unwrap().package);
        }
    }
    world.pass(1_000);
    let proposed = Proposed { add, ..update() };
    commit_in_parts(&mut world, 0, talk, &proposed, (GROUP_COMMIT_PARTS_MAX, true)).unwrap();
    let before = world.info(1, talk).epoch;
    for _ in 0..10 {
        world.settle();
        world.sleep(65_000);
    }
    assert!(world.nodes.largest() > world.nodes.page);
    assert!(world.info(1, talk).epoch > before);
    assert_eq!(world.info(1, talk).members.len(), 6);
    // Who made it has no record of it, and is added anew, by a commit that is large as well.
    world.assert_together(&[0, 1, 2], talk);
    assert!(most_parts(&world, 1, talk) == GROUP_COMMIT_PARTS_MAX);
}
