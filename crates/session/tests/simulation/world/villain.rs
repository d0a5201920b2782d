//! A member who does not follow the protocol: it has the keys of its epoch, and does with them what it likes.

use super::{BEGIN, NETWORK, World, below, chance, host::Letter, nodes::NODES};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tokenim_conversation::{
    Body, EpochKeys, EpochView, GroupContext, Role,
    child::{self, AppliedCommit, Garbage, Parent, Verdict},
    content::{Content, ExtensionBody, ExtensionName},
    note::Note,
    policy::{self, Forbidden, MemberDevice},
    welcome::{Welcome, WelcomePlace},
};
use tokenim_envelope::{MessageId, SealedEnvelope};
use tokenim_identity::{EpochSigningKey, IdentityId, Signature};
use tokenim_mailbox::{
    QuorumReceipt,
    group::{AuthorBox, CommitParts, GroupChild, GroupEntryId, GroupHandle, GroupUpdate, SignedGroupChild},
};
use tokenim_mls::{Group, Leaf, Proposed};
use tokenim_session::{
    SessionSuite,
    step::{self, ConversationId, Table, View},
};
use tokenim_wire::{BoundedVec, EnvelopeId, Object, SetEpoch, UnixMillis, UnixSeconds};

/// What a member can do wrong with an entry of the group log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    /// Noise in place of the author box: nobody can be blamed.
    NoAuthor,
    /// The signature of another leaf.
    ForeignAuthor,
    /// The mailbox of another commit.
    OtherMailbox,
    /// An envelope that is none of the epoch.
    NoEnvelope,
    /// An envelope with another commit than the one promised.
    OtherCommit,
    /// A commit that is none.
    NoCommit,
    /// A commit of another group.
    ForeignCommit,
    /// A commit of an epoch that is over.
    OldCommit,
    /// A good commit of another member's.
    MadeByAnother,
    /// A commit that removes the owner, by somebody who may not.
    Forbidden,
    /// A commit that makes its author an owner.
    OwnRole,
    /// A commit with a context that is none.
    NoContext,
    /// A good commit with another key for the next epoch.
    OtherKey,
}

impl Mischief {
    pub const ALL: [Self; 13] = [
        Self::NoAuthor,
        Self::ForeignAuthor,
        Self::OtherMailbox,
        Self::NoEnvelope,
        Self::OtherCommit,
        Self::NoCommit,
        Self::ForeignCommit,
        Self::OldCommit,
        Self::MadeByAnother,
        Self::Forbidden,
        Self::OwnRole,
        Self::NoContext,
        Self::OtherKey,
    ];
}

/// Receipts that prove nothing. Each is otherwise good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FalseReceipt {
    /// None at all.
    Missing,
    /// Two for one part.
    Twice,
    /// Of one node less than W.
    TooFew,
    /// With the signature of one node in place of another's.
    Signature,
    /// Of one node three times.
    OneNode,
    /// For another envelope.
    OtherEnvelope,
    /// For another mailbox.
    OtherMailbox,
    /// Of a set of nodes that there is not.
    OtherSet,
    /// For a few minutes only.
    Short,
    /// For longer than the nodes have signed.
    Prolonged,
}

impl FalseReceipt {
    pub const ALL: [Self; 10] = [
        Self::Missing,
        Self::Twice,
        Self::TooFew,
        Self::Signature,
        Self::OneNode,
        Self::OtherEnvelope,
        Self::OtherMailbox,
        Self::OtherSet,
        Self::Short,
        Self::Prolonged,
    ];
}

/// What a device knows of a session.
#[derive(Clone)]
pub struct Inside {
    pub handle: GroupHandle,
    pub entry: GroupEntryId,
    pub keys: EpochKeys,
    pub group: Group,
}

pub fn inside(world: &World, at: usize, conversation: ConversationId) -> Option<Inside> {
    let store = &world.devices[at].store;
    let handle = step::conversation(store, conversation).unwrap()?.handle?;
    let nodes = step::watches(store).unwrap().nodes;
    let (_, entry, _) = *nodes.iter().rev().find(|(of, ..)| *of == handle)?;
    let keys = store.get(Table::Keys, handle.as_bytes()).unwrap()?;
    let part = |ending: &[u8]| store.get(Table::Group, &[handle.as_bytes().as_slice(), ending].concat());
    let (message, epoch) = (part(&[0]).unwrap()?, part(&[0, 0xff]).unwrap()?);
    Some(Inside {
        handle,
        entry,
        keys: EpochKeys::from_bytes(&keys)?,
        group: Group::from_parts(NETWORK, &message, &epoch).ok()?,
    })
}

/// A commit that is on its way onto the ledger.
pub struct Made {
    pub promised: Vec<u8>,
    pub stored: Vec<u8>,
    pub next: EpochKeys,
}

impl Inside {
    fn parent(&self) -> Parent<'_> {
        Parent {
            network: &NETWORK,
            handle: self.handle,
            entry: self.entry,
            keys: &self.keys,
        }
    }

    pub fn made(&self, commit: tokenim_mls::Commit) -> Made {
        let next = EpochKeys::derive(&NETWORK, &self.handle, |label, context, length| {
            commit.next.export(label, context, length)
        });
        Made {
            promised: commit.bytes.clone(),
            stored: commit.bytes,
            next: next.unwrap(),
        }
    }

    pub fn child(
        &self,
        commit: &[u8],
        next: tokenim_identity::EpochKey,
        envelope: EnvelopeId,
        leaf: u32,
        rng: &mut ChaCha8Rng,
    ) -> GroupChild {
        let sign = |message: &[u8]| Ok::<Signature, ()>(self.group.sign_author(message));
        child::build(&self.parent(), commit, next, envelope.into(), leaf, sign, rng).unwrap()
    }

    /// What this device has to find wrong with a child whose commit lies in these envelopes.
    pub fn flaw(&self, child: &GroupChild, envelopes: &[impl AsRef<[u8]>]) -> Option<Garbage> {
        let leaf = |leaf: &Leaf| MemberDevice {
            identity: leaf.identity,
            device: leaf.device,
        };
        let devices = |leaves: &[Leaf]| leaves.iter().map(leaf).collect::<Vec<_>>();
        let leaves = self.group.leaves();
        let before = GroupContext::from_bytes(self.group.context()).unwrap();
        let apply = |commit: &[u8]| {
            let applied = self.group.apply(commit, UnixSeconds::new(BEGIN / 1000)).ok()?;
            let next = applied.next?;
            let after = GroupContext::from_bytes(next.context());
            let permitted = after.map_err(|_| Forbidden::Context).and_then(|after| {
                let change = policy::Change {
                    before: &before,
                    after: &after,
                    members: &devices(&leaves),
                    author: leaf(&leaves[applied.author as usize]),
                    added: &devices(&applied.added),
                    removed: &devices(&applied.removed),
                };
                policy::permits(&change, |_| true)
            });
            let keys = EpochKeys::derive(&NETWORK, &self.handle, |label, context, length| {
                next.export(label, context, length)
            });
            Some(AppliedCommit {
                author: applied.author,
                permitted,
                next: Some(keys.unwrap().verifying_key()),
                state: (),
            })
        };
        let verify = |leaf, message: &[u8], signature: &Signature| self.group.verify_author(leaf, message, signature);
        match child::check(&self.parent(), child, envelopes, verify, apply).unwrap() {
            Verdict::Valid { .. } => None,
            Verdict::Garbage(garbage) => Some(garbage),
        }
    }

    /// The child of a commit that lies in these envelopes, and these.
    pub fn child_in_parts(&self, made: &Made, parts: &[SealedEnvelope], rng: &mut ChaCha8Rng) -> GroupChild {
        let sign = |message: &[u8]| Ok::<Signature, ()>(self.group.sign_author(message));
        let named = CommitParts::new(parts.iter().map(SealedEnvelope::id).collect()).unwrap();
        let (next, own) = (made.next.verifying_key(), self.group.own());
        child::build(&self.parent(), &made.promised, next, named, own, sign, rng).unwrap()
    }

    /// A commit cut into parts of this length.
    pub fn cut(&self, made: &Made, length: usize, now: UnixSeconds, rng: &mut ChaCha8Rng) -> Vec<SealedEnvelope> {
        let parts = made.stored.chunks(length);
        parts
            .map(|part| self.keys.wrap(part, expiry(now), rng).unwrap())
            .collect()
    }

    pub fn submit(&self, world: &mut World, child: GroupChild, receipts: Vec<QuorumReceipt>) -> GroupEntryId {
        let id = child.id().unwrap();
        let signature = self.keys.signing_key().sign(&NETWORK, &child).unwrap();
        let signed = SignedGroupChild {
            child,
            signature,
            receipts: BoundedVec::try_from(receipts).unwrap(),
        };
        let node = below(&mut world.rng, NODES);
        world
            .ledger
            .submit(node, world.now, GroupUpdate::Child(Box::new(signed)));
        id
    }
}

pub fn all() -> [usize; NODES] {
    std::array::from_fn(|node| node)
}

fn now(world: &World) -> UnixSeconds {
    UnixMillis::new(world.now).to_seconds()
}

pub const fn expiry(now: UnixSeconds) -> UnixSeconds {
    now.saturating_add(29 * 24 * 60 * 60)
}

pub fn update() -> Proposed {
    Proposed {
        update: true,
        ..Proposed::default()
    }
}

/// Puts an entry onto the ledger that is none. Gives it, if the villain stands in the session at all.
pub fn do_mischief(world: &mut World, at: usize, conversation: ConversationId, what: Mischief) -> Option<GroupEntryId> {
    let inside = inside(world, at, conversation)?;
    let (keys, group) = (&inside.keys, &inside.group);
    let old = world.kept.entry((at, conversation)).or_insert_with(|| inside.clone());
    let old = old.clone();
    let mut rng = ChaCha8Rng::seed_from_u64(world.rng.next_u64());
    let now = UnixMillis::new(world.now).to_seconds();
    let leaves = group.leaves();
    let context = GroupContext::from_bytes(group.context()).ok()?;
    let victim = leaves
        .iter()
        .find(|leaf| leaf.index != group.own() && context.role(&leaf.identity) == Role::Owner);
    let own = leaves.iter().find(|leaf| leaf.index == group.own())?.identity;
    let is_owner = context.role(&own) == Role::Owner;
    let proposed = match what {
        Mischief::Forbidden if is_owner => return None,
        Mischief::Forbidden => Proposed {
            remove: vec![victim?.index],
            ..update()
        },
        Mischief::OwnRole if is_owner => return None,
        Mischief::OwnRole => Proposed {
            context: Some(context.with_role(&own, Role::Owner).ok()?.to_bytes().unwrap()),
            ..update()
        },
        Mischief::NoContext => Proposed {
            context: Some(vec![9; 60]),
            ..update()
        },
        _ => update(),
    };
    let mut made = inside.made(group.commit(&proposed, now, &mut rng).unwrap());
    match what {
        Mischief::NoCommit => (made.promised, made.stored) = (vec![7; 300], vec![7; 300]),
        Mischief::OtherCommit => made.stored = vec![8; 300],
        Mischief::ForeignCommit => {
            let state = Group::create(&world.devices[at].owner, group.suite(), group.context(), now, &mut rng);
            let old = state.unwrap().commit(&update(), now, &mut rng).unwrap();
            (made.promised, made.stored) = (old.bytes.clone(), old.bytes);
        }
        Mischief::OldCommit if old.entry == inside.entry => return None,
        Mischief::OldCommit => made = inside.made(old.group.commit(&update(), now, &mut rng).unwrap()),
        Mischief::MadeByAnother => {
            let others = (0..world.devices.len()).filter(|other| *other != at);
            let mut others = others.filter_map(|other| self::inside(world, other, conversation));
            let other = others.find(|other| other.entry == inside.entry)?;
            made = inside.made(other.group.commit(&update(), now, &mut rng).unwrap());
        }
        _ => {}
    }
    let wrap = if what == Mischief::NoEnvelope { &made.next } else { keys };
    let envelope = wrap.wrap(&made.stored, expiry(now), &mut rng).unwrap();
    let next_key = match what {
        Mischief::OtherKey => EpochSigningKey::generate(&mut rng).verifying_key(),
        _ => made.next.verifying_key(),
    };
    let leaf = match what {
        Mischief::ForeignAuthor => leaves.iter().find(|leaf| leaf.index != group.own())?.index,
        _ => group.own(),
    };
    let mut child = inside.child(&made.promised, next_key, envelope.id(), leaf, &mut rng);
    match what {
        Mischief::NoAuthor => {
            let mut noise = vec![0; 96];
            rng.fill_bytes(&mut noise);
            child.author = AuthorBox::try_from(noise).unwrap();
        }
        Mischief::OtherMailbox => {
            let commitment = keys.commit_tag(&[1]);
            child.tag = keys.commit_mailbox(&commitment).tag();
            let sign = |message: &[u8]| Ok::<Signature, ()>(group.sign_author(message));
            child.author = child::author_box(&inside.parent(), &child, leaf, sign, &mut rng).unwrap();
        }
        _ => {}
    }
    let receipt = world.nodes.put(child.tag, envelope.as_bytes(), expiry(now), &all())?;
    Some(inside.submit(world, child, vec![receipt]))
}

/// A Welcome for a device, and for some more, into a group that the sender makes itself, after this many empty epochs.
pub fn fake_welcome(
    world: &mut World,
    at: usize,
    to: usize,
    context: &GroupContext,
    more: &[usize],
    epochs: u64,
) -> Option<(Vec<u8>, Group)> {
    let mut rng = ChaCha8Rng::seed_from_u64(world.rng.next_u64());
    let now = UnixMillis::new(world.now).to_seconds();
    let package = |at: &usize| {
        let packages = &world.devices[*at].inbox.packages;
        let suite = |bytes: &[u8]| Some(tokenim_mls::read_key_package(&NETWORK, bytes, now).ok()?.suite);
        let found = packages
            .iter()
            .find(|package| suite(package) == Some(SessionSuite::Classical));
        found.map(|package| package.to_vec())
    };
    let add = [&[to], more].concat().iter().map(package).collect::<Option<_>>()?;
    let bytes = context.to_bytes().unwrap();
    let owner = &world.devices[at].owner;
    let mut group = Group::create(owner, SessionSuite::Classical, &bytes, now, &mut rng).unwrap();
    for _ in 0..epochs {
        group = group.commit(&update(), now, &mut rng).unwrap().next;
    }
    let added = Proposed { add, ..update() };
    let commit = group.commit(&added, now, &mut rng).unwrap();
    Some((commit.welcome?, commit.next))
}

/// Puts a good commit onto the ledger that lies in several envelopes, which its child names in their order, or not.
pub fn commit_in_parts(
    world: &mut World,
    at: usize,
    conversation: ConversationId,
    proposed: &Proposed,
    (count, in_order): (usize, bool),
) -> Option<GroupEntryId> {
    let inside = inside(world, at, conversation)?;
    let mut rng = ChaCha8Rng::seed_from_u64(world.rng.next_u64());
    let now = UnixMillis::new(world.now).to_seconds();
    let made = inside.made(inside.group.commit(proposed, now, &mut rng).unwrap());
    let mut parts = inside.cut(&made, made.stored.len().div_ceil(count), now, &mut rng);
    if !in_order {
        parts.rotate_left(1);
    }
    let child = inside.child_in_parts(&made, &parts, &mut rng);
    let stored = parts
        .iter()
        .map(|part| world.nodes.put(child.tag, part.as_bytes(), expiry(now), &all()));
    let receipts = stored.collect::<Option<_>>()?;
    Some(inside.submit(world, child, receipts))
}

/// Submits a child with a receipt that proves nothing: the ledger never takes it.
pub fn lie_about_storage(world: &mut World, at: usize, conversation: ConversationId, what: FalseReceipt) -> Option<()> {
    let inside = inside(world, at, conversation)?;
    let mut rng = ChaCha8Rng::seed_from_u64(world.rng.next_u64());
    let now = UnixMillis::new(world.now).to_seconds();
    let made = inside.made(inside.group.commit(&update(), now, &mut rng).unwrap());
    let envelope = inside.keys.wrap(&made.stored, expiry(now), &mut rng).unwrap();
    let own = inside.group.own();
    let child = inside.child(&made.promised, made.next.verifying_key(), envelope.id(), own, &mut rng);
    let other = inside.keys.commit_mailbox(&inside.keys.commit_tag(&[2])).tag();
    let (tag, id) = match what {
        FalseReceipt::OtherEnvelope => (child.tag, EnvelopeId::of(&[1])),
        FalseReceipt::OtherMailbox => (other, envelope.id()),
        _ => (child.tag, envelope.id()),
    };
    let kept = match what {
        FalseReceipt::Short => now.saturating_add(600),
        _ => expiry(now),
    };
    let set = world.nodes.set().clone();
    let receipts: Vec<_> = all()
        .iter()
        .map(|node| world.nodes.receipt(*node, tag, id, kept, set.epoch()))
        .collect();
    let mut receipt = QuorumReceipt::assemble(&set, &receipts).unwrap();
    match what {
        FalseReceipt::TooFew => {
            let issuers = receipt.issuers.into_inner();
            receipt.issuers = BoundedVec::try_from(issuers[..2].to_vec()).unwrap();
        }
        FalseReceipt::Signature => {
            let issuers = receipt.issuers.as_mut_slice();
            issuers[1].signature = issuers[0].signature;
        }
        FalseReceipt::OneNode => {
            let issuer = receipt.issuers.as_slice()[0];
            receipt.issuers = BoundedVec::try_from(vec![issuer; 3]).unwrap();
        }
        FalseReceipt::OtherSet => receipt.set_epoch = SetEpoch::new(2),
        FalseReceipt::Prolonged => receipt.expiry = receipt.expiry.saturating_add(1),
        _ => {}
    }
    let receipts = match what {
        FalseReceipt::Missing => Vec::new(),
        FalseReceipt::Twice => vec![receipt.clone(), receipt],
        _ => vec![receipt],
    };
    let id = inside.submit(world, child, receipts);
    world.ledger.forbidden.insert(id);
    Some(())
}

/// Puts something into the mailbox of the epoch that is no message, or none that anybody would say.
pub fn spam_messages(world: &mut World, at: usize, conversation: ConversationId) -> Option<()> {
    let mut inside = inside(world, at, conversation)?;
    let mut rng = ChaCha8Rng::seed_from_u64(world.rng.next_u64());
    let now = UnixMillis::new(world.now).to_seconds();
    let tag = inside.keys.mailbox().tag();
    let epoch = inside.group.epoch();
    let view = EpochView::of(&inside.entry, &inside.group.authenticator().unwrap());
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    let said = |view: EpochView, epoch: u64, content: Content| Body {
        id: MessageId::from_bytes(id),
        view,
        epoch,
        clock: u64::from(id[0]),
        sent: UnixMillis::new(world.now),
        checkpoint: None,
        content,
    };
    let text = || super::text("spam");
    let plain = match below(&mut rng, 8) {
        0 => None,
        1 => Some(vec![9; 40]),
        2 => Some(
            said(EpochView::from_bytes([3; 32]), epoch, text())
                .encode()
                .unwrap()
                .to_vec(),
        ),
        3 => Some(said(view, epoch + 5, text()).encode().unwrap().to_vec()),
        4 => {
            let content = Content::Extension {
                name: ExtensionName::new("org.example/vote").unwrap(),
                required: true,
                body: ExtensionBody::new([1]).unwrap(),
            };
            Some(said(view, epoch, content).encode().unwrap().to_vec())
        }
        // A place in the past, one far in the future, and something that others said as if it were its own.
        5 => Some(said(view, epoch.saturating_sub(1), text()).encode().unwrap().to_vec()),
        6 => {
            let mut body = said(view, epoch, text());
            body.clock = u64::MAX;
            Some(body.encode().unwrap().to_vec())
        }
        _ => {
            let known = world.nodes.everything(tag);
            let again = known.get(below(&mut rng, known.len()))?;
            let message = inside.keys.unwrap(again).ok()?;
            let bytes = inside.keys.wrap(&message, expiry(now), &mut rng).unwrap();
            world.nodes.put(tag, bytes.as_bytes(), expiry(now), &all());
            return Some(());
        }
    };
    let bytes = match plain {
        None => vec![7; 300],
        Some(plain) => {
            let message = inside.group.encrypt(&plain, &mut rng).unwrap();
            inside.keys.wrap(&message, expiry(now), &mut rng).unwrap().into_bytes()
        }
    };
    world.nodes.put(tag, &bytes, expiry(now), &all());
    Some(())
}

/// Seals a note to somebody that is none, or that nobody honest would send.
pub fn spam_notes(world: &mut World, at: usize, to: usize, conversation: ConversationId) {
    let mut rng = ChaCha8Rng::seed_from_u64(world.rng.next_u64());
    let mut handle = [0; 32];
    rng.fill_bytes(&mut handle);
    let real = step::conversation(&world.devices[at].store, conversation)
        .unwrap()
        .and_then(|info| info.handle);
    if let Some(real) = real.filter(|_| chance(&mut rng, 50)) {
        handle = *real.as_bytes();
    }
    let mut noise = vec![0; below(&mut rng, 200)];
    rng.fill_bytes(&mut noise);
    let body = match below(&mut rng, 6) {
        0 => noise,
        1 => vec![1, 0].into_iter().chain(handle).collect(),
        // A Welcome into a group of its own, here or stored; now and then one that is none, or with an entry that there is.
        2 | 3 => {
            let handle = GroupHandle::from_bytes(handle);
            let own = world.devices[at].owner.identity;
            let context = GroupContext::group(handle, "mine", own).unwrap();
            let epochs = 1 + below(&mut rng, 12) as u64;
            let Some((mut welcome, _)) = fake_welcome(world, at, to, &context, &[], epochs) else {
                return;
            };
            if chance(&mut rng, 20) {
                welcome = vec![5; 10_000];
            }
            let entry = match below(&mut rng, 3) {
                0 => handle.root(),
                _ => GroupEntryId::from_bytes([4; 32]),
            };
            let (note, stored) = Welcome::new(handle, entry, &welcome, expiry(now(world)), &mut rng).unwrap();
            if let WelcomePlace::Stored(place) = &note.place {
                let tag = place.mailbox().tag();
                for part in stored {
                    world.nodes.put(tag, part.as_bytes(), expiry(now(world)), &all());
                }
            }
            Note::Welcome(note).to_bytes().unwrap()
        }
        // A request to be re-added, with no package or its own.
        4 => [&[1, 2], handle.as_slice(), &[0], &[0; 32], &[1, 5]].concat(),
        _ => {
            let Some(package) = world.devices[at].inbox.packages.first() else {
                return;
            };
            let package = tokenim_wire::encode(package).unwrap();
            [&[1, 2], handle.as_slice(), &[0], &[0; 32], &package].concat()
        }
    };
    send(world, at, to, body);
}

/// Seals a note of these bytes.
pub fn send(world: &mut World, at: usize, to: usize, body: Vec<u8>) {
    let mut id = [0; 16];
    world.rng.fill_bytes(&mut id);
    let (sender, device): (IdentityId, _) = (world.devices[at].owner.identity, world.devices[at].id);
    world.devices[to].inbox.letters.push(Letter {
        id,
        sender,
        device,
        body,
        on: [true; NODES],
    });
}

/// Submits again what is on the ledger already, or stood in the way of it.
pub fn replay(world: &mut World, at: usize, conversation: ConversationId) -> Option<()> {
    let inside = inside(world, at, conversation)?;
    let mut rng = ChaCha8Rng::seed_from_u64(world.rng.next_u64());
    let (node, _) = world.ledger.node(inside.handle, inside.entry, u64::MAX)?;
    let known = node.children.as_slice();
    let child = known.get(below(&mut rng, known.len()))?.child.clone();
    let now = UnixMillis::new(world.now).to_seconds();
    let set = world.nodes.set().clone();
    let receipt = |envelope: &EnvelopeId| {
        let receipts: Vec<_> = all()
            .iter()
            .map(|node| {
                world
                    .nodes
                    .receipt(*node, child.tag, *envelope, expiry(now), set.epoch())
            })
            .collect();
        QuorumReceipt::assemble(&set, &receipts).unwrap()
    };
    let receipts = child.envelopes.iter().map(receipt).collect();
    inside.submit(world, child, receipts);
    Some(())
}
