//! Commits that are too large for one envelope: followed when the last part is there, and judged alike by all.

use crate::world::{
    NETWORK, World,
    villain::{Inside, expiry, inside, update},
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use tokenim_conversation::child::{self, Parent};
use tokenim_identity::Signature;
use tokenim_mailbox::{
    MailboxTag,
    group::{CommitParts, GroupNode, LedgerPlace, RecordedChild},
};
use tokenim_session::step::{self, ConversationId, Event, Input};
use tokenim_wire::{Height, UnixMillis};

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
    let cut = made.promised.chunks(made.promised.len().div_ceil(3));
    let parts: Vec<_> = cut
        .map(|part| inside.keys.wrap(part, expiry(now), &mut rng).unwrap())
        .collect();
    let named = order.map(|part| parts[part].id()).to_vec();
    let parent = Parent {
        network: &NETWORK,
        handle: inside.handle,
        entry: inside.entry,
        keys: &inside.keys,
    };
    let child = child::build(
        &parent,
        &made.promised,
        made.next.verifying_key(),
        CommitParts::new(named).unwrap(),
        inside.group.own(),
        |message| Ok::<Signature, ()>(inside.group.sign_author(message)),
        &mut rng,
    )
    .unwrap();
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
