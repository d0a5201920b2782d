//! Whom the owner of this client lets in, whom the owner has verified, and what the owner has to be told about keys.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::cmp::Reverse;

use serde::{Deserialize, Serialize};
use tokenim_identity::{DeviceId, IdentityId, IdentityState, RootKey, SuiteId};
use tokenim_wire::{Digest, Height, Object, UnixMillis};

use super::state::{Step, next_number, object, put};
use super::{Batch, Pin, Table, View};

/// Notices that are kept; older ones go.
pub const NOTICES_MAX: usize = 1_000;
/// Of these, those about the views of people who are not let in.
pub const NOTICES_OF_STRANGERS_MAX: usize = 64;

/// Below which notice the owner was told of all, in [`Table::Meta`].
const TOLD: &[u8] = b"notices told";

/// How the owner stands to an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Relation {
    /// It wrote first; the owner has not decided yet.
    Requested,
    /// The owner wrote to it, or let it in.
    Allowed,
    /// The owner keeps it out: what it sends is refused here.
    Blocked,
}

/// The roots that the owner compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The contact's root key.
    pub theirs: RootKey,
    /// The owner's.
    pub ours: RootKey,
    /// When, by this client's clock.
    pub time: UnixMillis,
}

/// An identity that the owner has to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// How the owner stands to it.
    pub relation: Relation,
    /// Since when it is kept here.
    pub since: UnixMillis,
    /// What the owner verified, until a root changes.
    pub verified: Option<Verified>,
}

impl Contact {
    /// A contact that nothing is known of yet.
    #[must_use]
    pub const fn new(relation: Relation, since: UnixMillis) -> Self {
        Self {
            relation,
            since,
            verified: None,
        }
    }

    /// Whether the owner has verified the contact, and neither root has changed since.
    #[must_use]
    pub fn is_verified(&self, ours: &RootKey, theirs: &RootKey) -> bool {
        self.verified
            .is_some_and(|verified| verified.ours == *ours && verified.theirs == *theirs)
    }
}

impl Object for Contact {
    const NAME: &'static str = "client contact";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 128;
}

/// What changed about an identity's keys, or does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum KeyChange {
    /// It has one more device.
    DeviceAdded {
        /// Which.
        device: DeviceId,
        /// From this height on.
        at: Height,
    },
    /// One of its devices is revoked.
    DeviceRevoked {
        /// Which.
        device: DeviceId,
        /// From this height on.
        at: Height,
    },
    /// It has another root key. A verified contact is not verified any more; if it is the owner's own root, nobody is.
    RootChanged {
        /// Whether a mark of verification was lost by it.
        verified: bool,
    },
    /// An operation waits for the recovery window to pass: until then it can be cancelled or recovered from.
    Pending {
        /// From when on it can be completed.
        due: UnixMillis,
    },
    /// It has another set of recovery keys, or none any more.
    RecoveryChanged,
    /// It is deactivated.
    Deactivated {
        /// From this height on.
        at: Height,
    },
    /// It says to have seen another block than the one that was proved here: it lies, or the network shows its members
    /// different ledgers. Of the owner's identity: both were proved here.
    OtherView {
        /// The height of the block.
        height: Height,
        /// The digest of the header that it names.
        theirs: Digest,
        /// The digest of the header that was proved here.
        ours: Digest,
    },
    /// It says to have seen a block that no node could prove here for a while: it lies, or those who are asked here hide
    /// what its nodes show it.
    UnprovedView {
        /// The height of the block.
        height: Height,
        /// The digest of the header that it names.
        theirs: Digest,
    },
}

/// A change that the owner should know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Whose keys.
    pub identity: IdentityId,
    /// When this client learned of it, by its clock.
    pub time: UnixMillis,
    /// What.
    pub change: KeyChange,
}

impl Object for Notice {
    const NAME: &'static str = "client notice";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 160;
}

/// What differs between two states of one identity, the later one second. A device that is added and revoked in
/// between is told of twice.
#[must_use]
pub fn changes(before: &IdentityState, after: &IdentityState, verified: bool) -> Vec<KeyChange> {
    let mut found = Vec::new();
    if before.root != after.root {
        found.push(KeyChange::RootChanged { verified });
    }
    for entry in &after.devices {
        let device = entry.keys.device_id();
        let known = before.device(&device);
        if known.is_none() {
            found.push(KeyChange::DeviceAdded {
                device,
                at: entry.added,
            });
        }
        if let Some(at) = entry.revoked
            && known.is_none_or(|known| known.revoked.is_none())
        {
            found.push(KeyChange::DeviceRevoked { device, at });
        }
    }
    if before.recovery != after.recovery {
        found.push(KeyChange::RecoveryChanged);
    }
    if let Some(pending) = after.pending()
        && before.pending() != Some(pending)
    {
        found.push(KeyChange::Pending { due: pending.due });
    }
    if let Some(at) = after.deactivated()
        && before.deactivated().is_none()
    {
        found.push(KeyChange::Deactivated { at });
    }
    found
}

/// The active devices of an identity that ask for a lower suite than was seen of it: nothing is sealed to them.
pub fn weaker_devices(seen: Option<SuiteId>, state: &IdentityState) -> impl Iterator<Item = DeviceId> {
    state
        .active_devices()
        .filter(move |entry| Some(entry.keys.envelope.suite()) < seen)
        .map(|entry| entry.keys.device_id())
}

/// The highest suite among what was seen before and the devices of a state.
#[must_use]
pub fn highest_suite(before: Option<SuiteId>, state: &IdentityState) -> Option<SuiteId> {
    let now = state.active_devices().map(|entry| entry.keys.envelope.suite()).max();
    before.max(now)
}

/// What is kept of an identity, if it is a contact.
///
/// # Errors
/// The store's, or a damaged value.
pub fn contact<V: View>(view: &V, identity: &IdentityId) -> Step<Option<Contact>, V> {
    object(view, Table::Contact, identity.as_bytes())
}

/// All contacts from `from` on, at most `limit`.
///
/// # Errors
/// The store's, or a damaged value.
pub fn contacts<V: View>(view: &V, from: Option<&IdentityId>, limit: usize) -> Step<Vec<(IdentityId, Contact)>, V> {
    let damaged = || super::state::StateError::Damaged(Table::Contact);
    view.scan(Table::Contact, from.map_or(&[], |from| from.as_bytes()), limit)
        .map_err(super::state::StateError::Store)?
        .into_iter()
        .map(|(key, value)| {
            let key = <[u8; 32]>::try_from(key.as_slice()).map_err(|_| damaged())?;
            let contact = Contact::from_bytes(&value).map_err(|_| damaged())?;
            Ok((IdentityId::from_bytes(key), contact))
        })
        .collect()
}

/// Sets how the owner stands to an identity, who becomes a contact by it. A mark of verification stays.
///
/// # Errors
/// The store's, or a damaged value.
pub fn set_relation<V: View>(view: &V, identity: &IdentityId, relation: Relation, now: UnixMillis) -> Step<Batch, V> {
    let mut batch = Batch::new();
    let kept = contact(view, identity)?;
    let next = Contact {
        relation,
        since: kept.map_or(now, |kept| kept.since),
        verified: kept.and_then(|kept| kept.verified),
    };
    if kept != Some(next) {
        put(&mut batch, Table::Contact, identity.as_bytes(), &next)?;
    }
    Ok(batch)
}

/// Marks a contact verified, or takes the mark away.
///
/// # Errors
/// The store's, or a damaged value.
pub fn set_verified<V: View>(
    view: &V,
    identity: &IdentityId,
    verified: Option<Verified>,
    now: UnixMillis,
) -> Step<Batch, V> {
    let mut batch = Batch::new();
    let kept = contact(view, identity)?;
    let next = Contact {
        relation: kept.map_or(Relation::Allowed, |kept| kept.relation),
        since: kept.map_or(now, |kept| kept.since),
        verified,
    };
    put(&mut batch, Table::Contact, identity.as_bytes(), &next)?;
    Ok(batch)
}

/// Adds to a batch what a newer proved state of an identity means to the owner: notices, and the loss of a mark of
/// verification. Of those who are not let in only such a loss is told. `own` is the owner's identity and device.
pub(super) fn observe<V: View>(
    view: &V,
    batch: &mut Batch,
    own: &(IdentityId, DeviceId),
    before: &Pin,
    after: &IdentityState,
    now: UnixMillis,
) -> Step<(), V> {
    let Some(before) = &before.state else { return Ok(()) };
    let kept = contact(view, &after.id)?;
    let watched = after.id == own.0 || kept.is_some_and(|kept| kept.relation == Relation::Allowed);
    let mut lost = false;
    if let Some(mut contact) = kept
        && contact.verified.is_some_and(|verified| verified.theirs != after.root)
    {
        contact.verified = None;
        put(batch, Table::Contact, after.id.as_bytes(), &contact)?;
        lost = true;
    }
    // What both sides compared was made of the owner's root too.
    if after.id == own.0 && before.root != after.root {
        for (identity, mut contact) in contacts(view, None, usize::MAX)? {
            if contact.verified.is_some_and(|verified| verified.ours != after.root) {
                contact.verified = None;
                put(batch, Table::Contact, identity.as_bytes(), &contact)?;
                lost = true;
            }
        }
    }
    let mut told = changes(before, after, lost);
    // The mark may be older than the state before.
    if lost && before.root == after.root {
        told.push(KeyChange::RootChanged { verified: true });
    }
    told.retain(|change| match change {
        KeyChange::RootChanged { verified: true } => true,
        KeyChange::DeviceAdded { device, .. } => watched && *own != (after.id, *device),
        _ => watched,
    });
    tell(view, batch, &own.0, &after.id, &told, now)
}

/// Of whom a notice is, when one has to give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Somebody(IdentityId),
    /// The views of the ledger of all who are not let in.
    Strangers,
    Owner,
}

impl Whose {
    fn of<V: View>(view: &V, own: &IdentityId, notice: &Notice) -> Step<Self, V> {
        if notice.identity == *own {
            return Ok(Self::Owner);
        }
        let is_view = matches!(
            notice.change,
            KeyChange::OtherView { .. } | KeyChange::UnprovedView { .. }
        );
        let stranger =
            is_view && contact(view, &notice.identity)?.is_none_or(|contact| contact.relation != Relation::Allowed);
        Ok(if stranger {
            Self::Strangers
        } else {
            Self::Somebody(notice.identity)
        })
    }
}

/// The numbers of the notices that are kept, ascending.
type Kept = BTreeMap<Whose, VecDeque<u64>>;

/// Whose oldest notice gives way: who has most of them, of several the one with the oldest. The owner's do when there are
/// no others, and not before they are told of.
fn gives_way(kept: &Kept, told: u64) -> Option<Whose> {
    kept.iter()
        .filter(|(whose, _)| **whose != Whose::Owner)
        .max_by_key(|(_, numbers)| (numbers.len(), Reverse(numbers.front())))
        .map(|(whose, _)| *whose)
        .or_else(|| {
            let oldest = kept.get(&Whose::Owner)?.front()?;
            (*oldest < told).then_some(Whose::Owner)
        })
}

/// Adds notices to a batch; for each one more than there is room for, an older one goes. One for which nothing gives way
/// is not kept. The highest number always stays, so that no number comes twice.
fn tell<V: View>(
    view: &V,
    batch: &mut Batch,
    own: &IdentityId,
    identity: &IdentityId,
    changes: &[KeyChange],
    now: UnixMillis,
) -> Step<(), V> {
    if changes.is_empty() {
        return Ok(());
    }
    let told = told_below(view)?;
    let mut number = next_number(view, Table::Notice)?;
    let mut kept = Kept::new();
    let mut count = 0_usize;
    for (number, notice) in notices(view, 0, usize::MAX)? {
        let whose = Whose::of(view, own, &notice)?;
        kept.entry(whose).or_default().push_back(number);
        count = count.saturating_add(1);
    }
    for change in changes {
        let notice = Notice {
            identity: *identity,
            time: now,
            change: *change,
        };
        let whose = Whose::of(view, own, &notice)?;
        let of_strangers = kept.get(&Whose::Strangers).map_or(0, VecDeque::len);
        let victim = if whose == Whose::Strangers && of_strangers >= NOTICES_OF_STRANGERS_MAX {
            Some(Whose::Strangers)
        } else if count >= NOTICES_MAX {
            let Some(victim) = gives_way(&kept, told) else { continue };
            Some(victim)
        } else {
            None
        };
        if let Some(victim) = victim
            && let Some(numbers) = kept.get_mut(&victim)
            && let Some(old) = numbers.pop_front()
        {
            if numbers.is_empty() {
                kept.remove(&victim);
            }
            batch.delete(Table::Notice, old.to_be_bytes());
            count = count.saturating_sub(1);
        }
        put(batch, Table::Notice, &number.to_be_bytes(), &notice)?;
        kept.entry(whose).or_default().push_back(number);
        count = count.saturating_add(1);
        number = number.saturating_add(1);
    }
    Ok(())
}

/// Keeps one notice about an identity; `own` is the owner's.
///
/// # Errors
/// The store's, or a damaged value.
pub fn notice<V: View>(
    view: &V,
    own: &IdentityId,
    identity: &IdentityId,
    change: KeyChange,
    now: UnixMillis,
) -> Step<Batch, V> {
    let mut batch = Batch::new();
    tell(view, &mut batch, own, identity, &[change], now)?;
    Ok(batch)
}

/// The number below which the owner was told of all notices.
///
/// # Errors
/// The store's.
pub fn told_below<V: View>(view: &V) -> Step<u64, V> {
    let kept = view.get(Table::Meta, TOLD).map_err(super::state::StateError::Store)?;
    Ok(kept
        .and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok())
        .map_or(0, u64::from_be_bytes))
}

/// Remembers that the owner was told of the notices up to this one.
#[must_use]
pub fn told(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Meta, TOLD, number.saturating_add(1).to_be_bytes());
    batch
}

/// Notices from number `from` on, at most `limit`.
///
/// # Errors
/// The store's, or a damaged value.
pub fn notices<V: View>(view: &V, from: u64, limit: usize) -> Step<Vec<(u64, Notice)>, V> {
    let damaged = || super::state::StateError::Damaged(Table::Notice);
    view.scan(Table::Notice, &from.to_be_bytes(), limit)
        .map_err(super::state::StateError::Store)?
        .into_iter()
        .map(|(key, value)| {
            let number = <[u8; 8]>::try_from(key.as_slice()).map_err(|_| damaged())?;
            let notice = Notice::from_bytes(&value).map_err(|_| damaged())?;
            Ok((u64::from_be_bytes(number), notice))
        })
        .collect()
}
