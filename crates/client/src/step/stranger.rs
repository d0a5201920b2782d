//! What is kept of those whom the owner has not let in: nobody asked for it, so it is bounded, and it gives way.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use tokenim_identity::IdentityId;

use super::contact::{self, Contact, Relation};
use super::state::{StateError, Step};
use super::{Batch, Table, View};

/// Messages that are kept of all who ask to be let in, and so at most as many who ask. Of whoever has most of them the oldest one
/// gives way.
pub const REQUEST_MESSAGES_MAX: usize = 1_024;
/// Pins that are kept of identities that are not let in, be they senders or members of groups. The oldest one gives way.
pub const STRANGER_PINS_MAX: u64 = 4_096;

/// Sender and number in the inbox of each such message follow, in [`Table::Meta`].
const REQUEST: &[u8] = b"request ";
/// A number follows, `u64` big-endian; the value is an identity. They stand in the order in which the pins were made.
const PIN: &[u8] = b"stranger pin ";
/// Behind all of these.
const PIN_END: &[u8] = b"stranger pin!";

/// Whether the owner has nothing to do with an identity so far.
fn is_stranger(contact: Option<&Contact>) -> bool {
    contact.is_none_or(|contact| contact.relation == Relation::Requested && contact.verified.is_none())
}

fn request(sender: &IdentityId, number: u64) -> Vec<u8> {
    [REQUEST, sender.as_bytes(), &number.to_be_bytes()].concat()
}

/// The messages of requests, by sender, oldest first.
fn requests<V: View>(view: &V) -> Step<BTreeMap<IdentityId, Vec<u64>>, V> {
    let mut held: BTreeMap<IdentityId, Vec<u64>> = BTreeMap::new();
    let rows = view.scan(Table::Meta, REQUEST, REQUEST_MESSAGES_MAX);
    for (key, _) in rows.map_err(StateError::Store)? {
        let Some(rest) = key.strip_prefix(REQUEST) else { break };
        let (sender, number) = rest
            .split_first_chunk::<32>()
            .and_then(|(sender, number)| Some((sender, <[u8; 8]>::try_from(number).ok()?)))
            .ok_or(StateError::Damaged(Table::Meta))?;
        let numbers = held.entry(IdentityId::from_bytes(*sender)).or_default();
        numbers.push(u64::from_be_bytes(number));
    }
    Ok(held)
}

/// Adds to a batch, which takes message `number` of `sender` into the inbox, what gives way to it. `contact` is what is kept of
/// the sender.
pub(super) fn admit<V: View>(
    view: &V,
    batch: &mut Batch,
    sender: &IdentityId,
    contact: Option<&Contact>,
    number: u64,
) -> Step<(), V> {
    if !is_stranger(contact) {
        return Ok(());
    }
    let held = requests(view)?;
    if held.values().map(Vec::len).sum::<usize>() >= REQUEST_MESSAGES_MAX {
        let mut decided = false;
        for (identity, numbers) in &held {
            // Those about whom the owner has decided since ask no more: what they sent stays.
            if !is_stranger(contact::contact(view, identity)?.as_ref()) {
                decided = true;
                for number in numbers {
                    batch.delete(Table::Meta, request(identity, *number));
                }
            }
        }
        let fullest = held.iter().max_by_key(|(identity, numbers)| {
            let with_this = numbers.len().saturating_add(usize::from(*identity == sender));
            (with_this, Reverse(numbers.first().copied()))
        });
        if let Some((identity, numbers)) = fullest.filter(|_| !decided)
            && let Some(oldest) = numbers.first()
        {
            batch.delete(Table::Inbox, oldest.to_be_bytes());
            batch.delete(Table::Meta, request(identity, *oldest));
            if numbers.len() == 1 && identity != sender {
                batch.delete(Table::Contact, identity.as_bytes().as_slice());
            }
        }
    }
    batch.put(Table::Meta, request(sender, number), Vec::new());
    Ok(())
}

fn pin_number<V: View>(rows: Result<Vec<super::Row>, V::Error>) -> Step<Option<(u64, Vec<u8>)>, V> {
    let row = rows.map_err(StateError::Store)?.pop();
    let Some((number, identity)) = row.and_then(|(key, value)| Some((key.strip_prefix(PIN)?.to_vec(), value))) else {
        return Ok(None);
    };
    let number = <[u8; 8]>::try_from(number.as_slice()).map_err(|_| StateError::Damaged(Table::Meta))?;
    Ok(Some((u64::from_be_bytes(number), identity)))
}

/// Adds to a batch, which makes the first pin of an identity, the one that gives way to it.
pub(super) fn pinned<V: View>(view: &V, batch: &mut Batch, identity: &IdentityId) -> Step<(), V> {
    if !is_stranger(contact::contact(view, identity)?.as_ref()) {
        return Ok(());
    }
    let first = pin_number::<V>(view.scan(Table::Meta, PIN, 1))?;
    let last = pin_number::<V>(view.scan_back(Table::Meta, PIN_END, 1))?;
    let next = last.map_or(0, |(last, _)| last.saturating_add(1));
    let key = |number: u64| [PIN, &number.to_be_bytes()].concat();
    batch.put(Table::Meta, key(next), identity.as_bytes().as_slice());
    if let Some((first, oldest)) = first
        && next.saturating_sub(first) >= STRANGER_PINS_MAX
    {
        batch.delete(Table::Meta, key(first));
        let oldest = <[u8; 32]>::try_from(oldest.as_slice()).map_err(|_| StateError::Damaged(Table::Meta))?;
        if is_stranger(contact::contact(view, &IdentityId::from_bytes(oldest))?.as_ref()) {
            batch.delete(Table::Pin, oldest.as_slice());
        }
    }
    Ok(())
}
