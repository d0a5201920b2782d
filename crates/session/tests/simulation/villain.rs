//! A member who does not follow the protocol: it has the keys of its epoch, and does with them what it likes.

use crate::{model::*, world::World};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tokenim_conversation::{
    EpochKeys, GroupContext, Role,
    child::{self, Parent},
};
use tokenim_identity::{EpochSigningKey, Signature};
use tokenim_mailbox::group::{AuthorBox, GroupChild, GroupEntryId, GroupHandle, GroupUpdate, SignedGroupChild};
use tokenim_mls::{Group, Proposed};
use tokenim_session::step::{self, ConversationId, Table, View};
use tokenim_wire::{Object, UnixMillis};

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
    /// A commit that removes the owner, by somebody who may not.
    Forbidden,
    /// A good commit with another key for the next epoch.
    OtherKey,
}

impl Mischief {
    pub const ALL: [Self; 8] = [
        Self::NoAuthor,
        Self::ForeignAuthor,
        Self::OtherMailbox,
        Self::NoEnvelope,
        Self::OtherCommit,
        Self::NoCommit,
        Self::Forbidden,
        Self::OtherKey,
    ];
}

/// What a device knows of a session.
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
    let group = store
        .get(Table::Group, &[handle.as_bytes().as_slice(), &[0]].concat())
        .unwrap()?;
    Some(Inside {
        handle,
        entry,
        keys: EpochKeys::from_bytes(&keys)?,
        group: Group::from_bytes(NETWORK, &group).ok()?,
    })
}

/// Puts an entry onto the ledger that is none. Gives it, if the villain stands in the session at all.
pub fn do_mischief(world: &mut World, at: usize, conversation: ConversationId, what: Mischief) -> Option<GroupEntryId> {
    let Inside {
        handle,
        entry,
        keys,
        group,
    } = inside(world, at, conversation)?;
    let mut rng = ChaCha8Rng::seed_from_u64(world.rng.next_u64());
    let now = UnixMillis::new(world.now).to_seconds();
    let leaves = group.leaves();
    let context = GroupContext::from_bytes(group.context()).ok()?;
    let victim = leaves
        .iter()
        .find(|leaf| leaf.index != group.own() && context.role(&leaf.identity) == Role::Owner);
    let proposed = match (what, victim) {
        (Mischief::Forbidden, Some(victim)) => Proposed {
            remove: vec![victim.index],
            update: true,
            ..Proposed::default()
        },
        (Mischief::Forbidden, None) => return None,
        _ => Proposed {
            update: true,
            ..Proposed::default()
        },
    };
    let made = group.commit(&proposed, now, &mut rng).unwrap();
    let next = EpochKeys::derive(&NETWORK, &handle, |label, context, length| {
        made.next.export(label, context, length)
    })
    .unwrap();
    let expiry = now.saturating_add(29 * 24 * 60 * 60);
    let promised = match what {
        Mischief::NoCommit => vec![7; 300],
        _ => made.bytes.clone(),
    };
    let stored = match what {
        Mischief::OtherCommit => vec![8; 300],
        _ => promised.clone(),
    };
    let envelope = match what {
        Mischief::NoEnvelope => next.wrap(&stored, expiry, &mut rng).unwrap(),
        _ => keys.wrap(&stored, expiry, &mut rng).unwrap(),
    };
    let next_key = match what {
        Mischief::OtherKey => EpochSigningKey::generate(&mut rng).verifying_key(),
        _ => next.verifying_key(),
    };
    let leaf = match what {
        Mischief::ForeignAuthor => leaves.iter().find(|leaf| leaf.index != group.own())?.index,
        _ => group.own(),
    };
    let parent = Parent {
        network: &NETWORK,
        handle,
        entry,
        keys: &keys,
    };
    let sign = |message: &[u8]| Ok::<Signature, ()>(group.sign_author(message));
    let mut child: GroupChild =
        child::build(&parent, &promised, next_key, envelope.id(), leaf, sign, &mut rng).unwrap();
    match what {
        Mischief::NoAuthor => {
            let mut noise = vec![0; 96];
            rng.fill_bytes(&mut noise);
            child.author = AuthorBox::try_from(noise).unwrap();
        }
        Mischief::OtherMailbox => {
            // Signed by its author, but the commit lies where no member looks: the box must still be good.
            let commitment = keys.commit_tag(&[1]);
            child.tag = keys.commit_mailbox(&commitment).tag();
        }
        _ => {}
    }
    let receipt = world
        .mailboxes
        .put(child.tag, envelope.as_bytes(), expiry, &mut world.rng);
    let id = child.id().unwrap();
    let signed = SignedGroupChild::sign(&NETWORK, &keys.signing_key(), child, receipt).unwrap();
    world.ledger.submit(GroupUpdate::Child(Box::new(signed)));
    Some(id)
}
