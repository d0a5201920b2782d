//! Headers that senders say to have seen, kept until they are compared with what is proved here.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use tokenim_envelope::Checkpoint;
use tokenim_identity::IdentityId;
use tokenim_wire::{Digest, Height, Object, UnixMillis};

use super::contact::{self, KeyChange, Relation};
use super::state::{StateError, Step, object, put};
use super::{Batch, Table, Tip, View};

/// Headers that are kept, one of each sender.
pub const SEEN_MAX: usize = 1_024;
/// Headers that may be kept before those of senders whom the owner has not let in are not kept any more.
pub const SEEN_OF_STRANGERS_MAX: usize = 512;
/// Senders whom the owner has not let in whose other view of the ledger is told of in one run.
pub const OTHER_VIEWS_OF_STRANGERS_MAX: usize = 64;
/// A header that can't be proved is told of once a header is proved that is so much later than its arrival, in
/// milliseconds: ten minutes.
pub const UNPROVED_MS: u64 = 600_000;

/// What the keys of these rows begin with, in [`Table::Meta`]; the sender's id follows.
const ROW: &[u8] = b"seen header ";

/// A header that somebody says to have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenHeader {
    /// Its height.
    pub height: Height,
    /// Its digest.
    pub header: Digest,
    /// When the message that names it arrived, by this client's clock.
    pub since: UnixMillis,
}

impl Object for SeenHeader {
    const NAME: &'static str = "client seen header";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64;
}

impl SeenHeader {
    /// Whether it should have been proved by now, given the newest header that was.
    #[must_use]
    pub fn is_overdue(&self, tip: &Tip) -> bool {
        tip.time.get() >= self.since.get().saturating_add(UNPROVED_MS)
    }

    /// What the owner is told if another header of that height is proved, or none.
    #[must_use]
    pub const fn change(&self, ours: Option<Digest>) -> KeyChange {
        let (height, theirs) = (self.height, self.header);
        match ours {
            Some(ours) => KeyChange::OtherView { height, theirs, ours },
            None => KeyChange::UnprovedView { height, theirs },
        }
    }
}

/// Of whose other view of the ledger the owner was told in this run, once of each.
#[derive(Debug, Default)]
pub struct OtherViews {
    /// Whether the owner was told of two headers of one height that were proved here. Nobody else's view bears on it.
    pub split: bool,
    /// The owner, and those who are let in.
    known: BTreeSet<IdentityId>,
    strangers: BTreeSet<IdentityId>,
}

impl OtherViews {
    /// Whether a sender's other view is to be told of; `relation` is how the owner, `own`, stands to the sender. Of
    /// strangers it is while there were few of them, of blocked ones never.
    #[must_use]
    pub fn is_due(&self, own: &IdentityId, sender: &IdentityId, relation: Option<Relation>) -> bool {
        let told = self.known.contains(sender) || self.strangers.contains(sender);
        let known = sender == own || relation == Some(Relation::Allowed);
        let room = relation != Some(Relation::Blocked) && self.strangers.len() < OTHER_VIEWS_OF_STRANGERS_MAX;
        !told && (known || room)
    }

    /// Remembers that a sender's was told of.
    pub fn told(&mut self, own: &IdentityId, sender: &IdentityId, relation: Option<Relation>) {
        if !self.is_due(own, sender, relation) {
            return;
        }
        if sender == own || relation == Some(Relation::Allowed) {
            self.known.insert(*sender);
        } else {
            self.strangers.insert(*sender);
        }
    }
}

fn row(sender: &IdentityId) -> Vec<u8> {
    [ROW, sender.as_bytes()].concat()
}

/// Adds to a batch the header that a sender names, to be compared. Of each sender one waits at a time, and the first one
/// stays; who is not let in gets a place only while there are many, and who is blocked gets none. Gives it if it is kept now and was not before.
///
/// # Errors
/// The store's, or a damaged value.
pub fn keep<V: View>(
    view: &V,
    batch: &mut Batch,
    sender: &IdentityId,
    checkpoint: &Checkpoint,
    now: UnixMillis,
) -> Step<Option<SeenHeader>, V> {
    let row = row(sender);
    if view.get(Table::Meta, &row).map_err(StateError::Store)?.is_some() {
        return Ok(None);
    }
    let places = match contact::contact(view, sender)?.map(|contact| contact.relation) {
        Some(Relation::Allowed) => SEEN_MAX,
        Some(Relation::Blocked) => 0,
        _ => SEEN_OF_STRANGERS_MAX,
    };
    if all(view)?.len() >= places {
        return Ok(None);
    }
    let seen = SeenHeader {
        height: checkpoint.height,
        header: checkpoint.header,
        since: now,
    };
    put(batch, Table::Meta, &row, &seen)?;
    Ok(Some(seen))
}

/// The headers that wait to be compared, by sender.
///
/// # Errors
/// The store's, or a damaged value.
pub fn all<V: View>(view: &V) -> Step<Vec<(IdentityId, SeenHeader)>, V> {
    let damaged = || StateError::Damaged(Table::Meta);
    view.scan(Table::Meta, ROW, SEEN_MAX)
        .map_err(StateError::Store)?
        .into_iter()
        .map_while(|(key, value)| key.strip_prefix(ROW).map(|sender| (sender.to_vec(), value)))
        .map(|(sender, value)| {
            let sender = <[u8; 32]>::try_from(sender.as_slice()).map_err(|_| damaged())?;
            let seen = SeenHeader::from_bytes(&value).map_err(|_| damaged())?;
            Ok((IdentityId::from_bytes(sender), seen))
        })
        .collect()
}

/// Forgets a header that was compared, and keeps the notice of what came of it, if there is one. Whether it waited still:
/// if not, somebody else was first, and nothing changes. `own` is the owner's identity.
///
/// # Errors
/// The store's, or a damaged value.
pub fn settle<V: View>(
    view: &V,
    own: &IdentityId,
    sender: &IdentityId,
    seen: &SeenHeader,
    change: Option<KeyChange>,
    now: UnixMillis,
) -> Step<(bool, Batch), V> {
    let row = row(sender);
    if object::<SeenHeader, V>(view, Table::Meta, &row)? != Some(*seen) {
        return Ok((false, Batch::new()));
    }
    let mut batch = match change {
        Some(change) => contact::notice(view, own, sender, change, now)?,
        None => Batch::new(),
    };
    batch.delete(Table::Meta, row);
    Ok((true, batch))
}
