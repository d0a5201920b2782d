//! The transitions of the local state: each reads through a [`View`] and gives one [`Batch`].
//!
//! The host applies the batch in the transaction in which it was made. A crash between two steps
//! loses nothing and repeats nothing: an envelope is kept before it is first sent, a position is
//! kept only with the messages before it, and what was seen once is remembered until it has
//! expired everywhere.

use alloc::vec::Vec;

use tokenim_envelope::{Message, MessageId};
use tokenim_identity::{DeviceId, IdentityId, NodeKey};
use tokenim_mailbox::{MailboxTag, QuorumReceipt};
use tokenim_wire::limits::{CLOCK_SKEW_SECONDS_MAX, ENVELOPE_LIFETIME_SECONDS_MAX};
use tokenim_wire::{BoundedBytes, EncodeError, EnvelopeId, Object, UnixMillis, UnixSeconds};

use super::contact::{self, Contact, Relation};
use super::{
    Batch, Fate, Fault, InboxMessage, LogCursor, LookedUp, NodeNote, OutboxMessage, Pin, Table, View, stranger,
};

/// Messages of one sender that are remembered against replay at a time; more are refused until
/// some have expired.
pub const SENDER_MESSAGES_MAX: u64 = 65_536;
/// The greatest expiry of a message that was forgotten, in [`Table::Meta`]: `u64` big-endian.
const FORGOTTEN: &[u8] = b"replay forgotten";
/// Notes about nodes that are kept; older ones go.
pub const NOTES_MAX: u64 = 1_000;

/// Why a transition could not be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError<E> {
    /// A kept value does not decode.
    #[error("a kept value in table {} is damaged", .0.name())]
    Damaged(Table),
    /// There is no such message.
    #[error("there is no such message")]
    UnknownMessage,
    /// A value is larger than its table allows.
    #[error("a value is too large to be kept: {0}")]
    TooLarge(EncodeError),
    /// The store failed.
    #[error("{0}")]
    Store(E),
}

/// What a message that was opened and authenticated led to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arrival {
    /// It is new, and has this number in the inbox; how the owner stands to its sender.
    New(u64, InboxMessage, Relation),
    /// It was delivered before, in this or another envelope.
    Repeated,
    /// Refused, for good but for [`ArrivalRefusal::SenderQuota`].
    Refused(ArrivalRefusal),
}

/// Why an authenticated message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArrivalRefusal {
    /// Its expiry has passed, or lies where messages were forgotten already: it may have been one of them.
    #[error("it has expired")]
    Expired,
    /// Its expiry is further away than any honest sender puts it.
    #[error("it claims a longer lifetime than the protocol allows")]
    LifetimeTooLong,
    /// Its sender has too many unexpired messages. It can be taken when some of them have expired.
    #[error("its sender has too many unexpired messages")]
    SenderQuota,
    /// The owner blocks its sender.
    #[error("its sender is blocked")]
    Blocked,
}

pub(super) type Step<T, V> = Result<T, StateError<<V as View>::Error>>;

pub(super) fn object<T: Object, V: View>(view: &V, table: Table, key: &[u8]) -> Step<Option<T>, V> {
    match view.get(table, key).map_err(StateError::Store)? {
        None => Ok(None),
        Some(bytes) => T::from_bytes(&bytes).map(Some).map_err(|_| StateError::Damaged(table)),
    }
}

pub(super) fn put<T: Object, E>(batch: &mut Batch, table: Table, key: &[u8], value: &T) -> Result<(), StateError<E>> {
    batch.put(table, key, value.to_bytes().map_err(StateError::TooLarge)?);
    Ok(())
}

fn number<V: View>(view: &V, table: Table, key: &[u8]) -> Step<Option<u64>, V> {
    match view.get(table, key).map_err(StateError::Store)? {
        None => Ok(None),
        Some(bytes) => <[u8; 8]>::try_from(bytes.as_slice())
            .map(|bytes| Some(u64::from_be_bytes(bytes)))
            .map_err(|_| StateError::Damaged(table)),
    }
}

pub(super) fn next_number<V: View>(view: &V, table: Table) -> Step<u64, V> {
    match view.last_key(table).map_err(StateError::Store)? {
        None => Ok(0),
        Some(key) => <[u8; 8]>::try_from(key.as_slice())
            .ok()
            .and_then(|key| u64::from_be_bytes(key).checked_add(1))
            .ok_or(StateError::Damaged(table)),
    }
}

/// The message `id` of the outbox.
///
/// # Errors
/// The store's, or a damaged value.
pub fn outbox_message<V: View>(view: &V, id: &MessageId) -> Step<Option<OutboxMessage>, V> {
    object(view, Table::Outbox, id.as_bytes())
}

/// The ids of the outbox messages that still need work: a quorum receipt or a proof.
///
/// # Errors
/// The store's, or a damaged value.
pub fn open_messages<V: View>(view: &V, limit: usize) -> Step<Vec<MessageId>, V> {
    view.scan(Table::Open, &[], limit)
        .map_err(StateError::Store)?
        .into_iter()
        .map(|(key, _)| MessageId::try_from(key.as_slice()).map_err(|_| StateError::Damaged(Table::Open)))
        .collect()
}

/// Keeps a new message with the envelopes sealed for it, before the first byte is sent. Who is written to is let in.
///
/// # Errors
/// The store's, a damaged value, or [`StateError::TooLarge`].
pub fn begin_send<V: View>(view: &V, message: &OutboxMessage, sealed: &[(EnvelopeId, Vec<u8>)]) -> Step<Batch, V> {
    let mut batch = contact::set_relation(view, &message.to, Relation::Allowed, message.created)?;
    put(&mut batch, Table::Outbox, message.id.as_bytes(), message)?;
    batch.put(Table::Open, message.id.as_bytes().as_slice(), Vec::new());
    for (envelope, bytes) in sealed {
        batch.put(Table::Sealed, envelope.as_bytes().as_slice(), bytes.clone());
    }
    Ok(batch)
}

/// Changes an outbox message, and closes it once it is proved.
fn update_outbox<V: View>(
    view: &V,
    id: &MessageId,
    batch: &mut Batch,
    change: impl FnOnce(&mut OutboxMessage),
) -> Step<OutboxMessage, V> {
    let mut message = outbox_message(view, id)?.ok_or(StateError::UnknownMessage)?;
    change(&mut message);
    put(batch, Table::Outbox, id.as_bytes(), &message)?;
    if message.is_proved() {
        batch.delete(Table::Open, id.as_bytes().as_slice());
    }
    Ok(message)
}

/// Replaces the devices of a message: after the recipient added or revoked one.
///
/// # Errors
/// The store's, or [`StateError::UnknownMessage`].
pub fn replan<V: View>(view: &V, message: &OutboxMessage, sealed: &[(EnvelopeId, Vec<u8>)]) -> Step<Batch, V> {
    let mut batch = Batch::new();
    update_outbox(view, &message.id, &mut batch, |kept| {
        kept.devices.clone_from(&message.devices);
    })?;
    for (envelope, bytes) in sealed {
        batch.put(Table::Sealed, envelope.as_bytes().as_slice(), bytes.clone());
    }
    Ok(batch)
}

/// Keeps the quorum receipt for one device's envelope; its bytes need not be kept any longer.
///
/// # Errors
/// The store's, or [`StateError::UnknownMessage`].
pub fn accept<V: View>(
    view: &V,
    id: &MessageId,
    device: &DeviceId,
    receipt: &QuorumReceipt,
) -> Step<(OutboxMessage, Batch), V> {
    let mut batch = Batch::new();
    let message = update_outbox(view, id, &mut batch, |message| {
        edit(message, device, |delivery| {
            if delivery.receipt.is_none() {
                delivery.receipt = Some(receipt.clone());
            }
        });
    })?;
    batch.delete(Table::Sealed, receipt.envelope.as_bytes().as_slice());
    Ok((message, batch))
}

/// Keeps that nodes have taken the receipt for anchoring.
///
/// # Errors
/// The store's, or [`StateError::UnknownMessage`].
pub fn handed_over<V: View>(view: &V, id: &MessageId, device: &DeviceId) -> Step<Batch, V> {
    let mut batch = Batch::new();
    update_outbox(view, id, &mut batch, |message| {
        edit(message, device, |delivery| delivery.handed = true);
    })?;
    Ok(batch)
}

/// Keeps the proof of acceptance for one device's envelope.
///
/// # Errors
/// The store's, or [`StateError::UnknownMessage`].
pub fn prove<V: View>(
    view: &V,
    id: &MessageId,
    device: &DeviceId,
    envelope: &EnvelopeId,
    proof: &[u8],
) -> Step<(OutboxMessage, Batch), V> {
    let mut batch = Batch::new();
    let message = update_outbox(view, id, &mut batch, |message| {
        edit(message, device, |delivery| {
            delivery.handed = true;
            delivery.proved = true;
        });
    })?;
    batch.put(Table::Proof, envelope.as_bytes().as_slice(), proof);
    Ok((message, batch))
}

fn edit(message: &mut OutboxMessage, device: &DeviceId, change: impl FnOnce(&mut super::DeviceDelivery)) {
    let mut devices = core::mem::take(&mut message.devices).into_inner();
    if let Some(delivery) = devices
        .iter_mut()
        .find(|delivery| delivery.device == *device && !delivery.dropped)
    {
        change(delivery);
    }
    // The length is as it was.
    message.devices = devices.try_into().unwrap_or_default();
}

/// What became of an envelope, if it was read before.
///
/// # Errors
/// The store's, or a damaged value.
pub fn fate<V: View>(view: &V, envelope: &EnvelopeId) -> Step<Option<Fate>, V> {
    object(view, Table::Seen, envelope.as_bytes())
}

fn remember(batch: &mut Batch, table: Table, key: &[u8], expiry: UnixSeconds) {
    let mut row = Vec::with_capacity(key.len().saturating_add(9));
    row.extend_from_slice(&expiry.get().to_be_bytes());
    row.push(if table == Table::Replay { 1 } else { 0 });
    row.extend_from_slice(key);
    batch.put(Table::Expiry, row, Vec::new());
}

fn see<E>(
    batch: &mut Batch,
    envelope: &EnvelopeId,
    expiry: UnixSeconds,
    now: UnixSeconds,
    fate: Fate,
) -> Result<(), StateError<E>> {
    put(batch, Table::Seen, envelope.as_bytes(), &fate)?;
    // A log may state any expiry for what it serves; no honest one is further away than this.
    let latest = now.saturating_add(ENVELOPE_LIFETIME_SECONDS_MAX);
    remember(batch, Table::Seen, envelope.as_bytes(), expiry.min(latest));
    Ok(())
}

/// Takes an authenticated message into the inbox, once, its body as the host sealed it.
///
/// # Errors
/// The store's, or a damaged value.
pub fn deliver<V: View>(
    view: &V,
    envelope: &EnvelopeId,
    message: &Message,
    sealed_body: &[u8],
    now: UnixMillis,
) -> Step<(Arrival, Batch), V> {
    let mut batch = Batch::new();
    if fate(view, envelope)?.is_some() {
        return Ok((Arrival::Repeated, batch));
    }
    let seconds = now.to_seconds();
    let kept = contact::contact(view, &message.sender)?;
    let refusal = if kept.is_some_and(|kept| kept.relation == Relation::Blocked) {
        Some(ArrivalRefusal::Blocked)
    } else if message.expiry.saturating_add(CLOCK_SKEW_SECONDS_MAX) < seconds {
        Some(ArrivalRefusal::Expired)
    } else if message.expiry.get()
        > seconds
            .get()
            .saturating_add(ENVELOPE_LIFETIME_SECONDS_MAX)
            .saturating_add(CLOCK_SKEW_SECONDS_MAX)
    {
        Some(ArrivalRefusal::LifetimeTooLong)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        see(&mut batch, envelope, message.expiry, seconds, Fate::Refused)?;
        return Ok((Arrival::Refused(refusal), batch));
    }

    let mut replay = Vec::with_capacity(48);
    replay.extend_from_slice(message.sender.as_bytes());
    replay.extend_from_slice(message.id.as_bytes());
    if view.get(Table::Replay, &replay).map_err(StateError::Store)?.is_some() {
        see(&mut batch, envelope, message.expiry, seconds, Fate::Duplicate)?;
        return Ok((Arrival::Repeated, batch));
    }
    // Whatever the clock says now: it may be one of those.
    if number(view, Table::Meta, FORGOTTEN)?.is_some_and(|forgotten| message.expiry.get() <= forgotten) {
        see(&mut batch, envelope, message.expiry, seconds, Fate::Refused)?;
        return Ok((Arrival::Refused(ArrivalRefusal::Expired), batch));
    }
    let held = number(view, Table::Senders, message.sender.as_bytes())?.unwrap_or(0);
    if held >= SENDER_MESSAGES_MAX {
        // No fate: when others have expired, there is room for it.
        return Ok((Arrival::Refused(ArrivalRefusal::SenderQuota), batch));
    }

    let relation = kept.map_or(Relation::Requested, |kept| kept.relation);
    if kept.is_none() {
        let stranger = Contact::new(relation, now);
        put(&mut batch, Table::Contact, message.sender.as_bytes(), &stranger)?;
    }
    let number = next_number(view, Table::Inbox)?;
    let body = |bytes: &[u8]| BoundedBytes::try_from(bytes).map_err(|_| StateError::Damaged(Table::Inbox));
    let mut arrived = InboxMessage {
        id: message.id,
        sender: message.sender,
        device: message.sender_device,
        envelope: *envelope,
        received: now,
        kind: message.content.kind.get(),
        body: body(sealed_body)?,
    };
    stranger::admit(view, &mut batch, &message.sender, kept.as_ref(), number)?;
    put(&mut batch, Table::Inbox, &number.to_be_bytes(), &arrived)?;
    arrived.body = body(&message.content.body)?;
    batch.put(
        Table::Senders,
        message.sender.as_bytes().as_slice(),
        held.saturating_add(1).to_be_bytes(),
    );
    remember(&mut batch, Table::Replay, &replay, message.expiry);
    batch.put(Table::Replay, replay, Vec::new());
    see(&mut batch, envelope, message.expiry, seconds, Fate::Delivered)?;
    Ok((Arrival::New(number, arrived, relation), batch))
}

/// Remembers that an envelope was refused for good.
///
/// # Errors
/// The store's, or a damaged value.
pub fn refuse<V: View>(view: &V, envelope: &EnvelopeId, expiry: UnixSeconds, now: UnixSeconds) -> Step<Batch, V> {
    let mut batch = Batch::new();
    if fate(view, envelope)?.is_none() {
        see(&mut batch, envelope, expiry, now, Fate::Refused)?;
    }
    Ok(batch)
}

fn cursor_key(tag: &MailboxTag, node: &NodeKey) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    key.extend_from_slice(tag.as_bytes());
    key.extend_from_slice(node.as_bytes());
    key
}

/// The kept position in a node's log of a mailbox.
///
/// # Errors
/// The store's, or a damaged value.
pub fn cursor<V: View>(view: &V, tag: &MailboxTag, node: &NodeKey) -> Step<Option<LogCursor>, V> {
    object(view, Table::Cursor, &cursor_key(tag, node))
}

/// Keeps a position, unless a later one in the same log is kept already.
///
/// # Errors
/// The store's, or a damaged value.
pub fn advance<V: View>(view: &V, tag: &MailboxTag, node: &NodeKey, to: &LogCursor) -> Step<Batch, V> {
    let mut batch = Batch::new();
    let stays = cursor(view, tag, node)?.is_some_and(|kept| kept.log == to.log && kept.next >= to.next);
    if !stays {
        put(&mut batch, Table::Cursor, &cursor_key(tag, node), to)?;
    }
    Ok(batch)
}

/// The newest proved state of an identity that was seen.
///
/// # Errors
/// The store's, or a damaged value.
pub fn pin<V: View>(view: &V, identity: &IdentityId) -> Step<Option<Pin>, V> {
    object(view, Table::Pin, identity.as_bytes())
}

/// Keeps a newer proved state of an identity, with the notices that it gives rise to; an older one changes nothing. The first
/// one of an identity that is not let in may take the place of another such identity's.
/// `own` is the owner's identity and device.
///
/// # Errors
/// The store's, or a damaged value.
pub fn keep_pin<V: View>(
    view: &V,
    own: &(IdentityId, DeviceId),
    identity: &IdentityId,
    found: &LookedUp,
    now: UnixMillis,
) -> Step<Batch, V> {
    let mut batch = Batch::new();
    let kept = pin(view, identity)?;
    if kept.as_ref().is_some_and(|kept| kept.height >= found.height) {
        return Ok(batch);
    }
    let seen = kept.as_ref().and_then(|kept| kept.suite);
    let new = Pin {
        height: found.height,
        time: found.time,
        suite: found
            .state
            .as_ref()
            .map_or(seen, |state| contact::highest_suite(seen, state)),
        state: found.state.clone(),
    };
    put(&mut batch, Table::Pin, identity.as_bytes(), &new)?;
    if kept.is_none() && *identity != own.0 {
        stranger::pinned(view, &mut batch, identity)?;
    }
    if let (Some(before), Some(after)) = (&kept, &new.state) {
        contact::observe(view, &mut batch, own, before, after, now)?;
    }
    Ok(batch)
}

/// Notes a node's fault.
///
/// # Errors
/// The store's, or a damaged value.
pub fn note<V: View>(view: &V, node: &NodeKey, fault: &Fault, now: UnixMillis) -> Step<Batch, V> {
    let mut batch = Batch::new();
    let number = next_number(view, Table::Note)?;
    let mut what = alloc::format!("{fault}").into_bytes();
    what.truncate(256);
    let note = NodeNote {
        node: *node,
        time: now,
        what: what.try_into().unwrap_or_default(),
    };
    put(&mut batch, Table::Note, &number.to_be_bytes(), &note)?;
    if let Some(old) = number.checked_sub(NOTES_MAX) {
        batch.delete(Table::Note, old.to_be_bytes());
    }
    Ok(batch)
}

/// Forgets up to `limit` entries that guard against what has expired everywhere. No message of an expiry up to the greatest
/// one that was forgotten is taken any more, should the clock ever go back.
///
/// # Errors
/// The store's, or a damaged value.
pub fn forget<V: View>(view: &V, now: UnixSeconds, limit: usize) -> Step<Batch, V> {
    let mut batch = Batch::new();
    let mut forgotten = None;
    let mut fewer: alloc::collections::BTreeMap<Vec<u8>, u64> = alloc::collections::BTreeMap::new();
    for (row, _) in view.scan(Table::Expiry, &[], limit).map_err(StateError::Store)? {
        let damaged = || StateError::Damaged(Table::Expiry);
        let (expiry, rest) = row.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (kind, key) = rest.split_first().ok_or_else(damaged)?;
        let expiry = u64::from_be_bytes(*expiry);
        // Twice the skew: once for the sender's clock, once for the nodes'.
        if expiry.saturating_add(CLOCK_SKEW_SECONDS_MAX.saturating_mul(2)) >= now.get() {
            break;
        }
        if *kind == 1 {
            batch.delete(Table::Replay, key);
            forgotten = forgotten.max(Some(expiry));
            if let Some((sender, _)) = key.split_first_chunk::<32>() {
                let count = fewer.entry(sender.to_vec()).or_default();
                *count = count.saturating_add(1);
            }
        } else {
            batch.delete(Table::Seen, key);
        }
        batch.delete(Table::Expiry, row);
    }
    if forgotten > number(view, Table::Meta, FORGOTTEN)?
        && let Some(forgotten) = forgotten
    {
        batch.put(Table::Meta, FORGOTTEN, forgotten.to_be_bytes());
    }
    for (sender, count) in fewer {
        let left = number(view, Table::Senders, &sender)?
            .unwrap_or(0)
            .saturating_sub(count);
        if left == 0 {
            batch.delete(Table::Senders, sender);
        } else {
            batch.put(Table::Senders, sender, left.to_be_bytes());
        }
    }
    Ok(batch)
}
