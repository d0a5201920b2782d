//! One step on a view: why it is not made, and what it has read and changed so far.

use alloc::{collections::BTreeMap, vec::Vec};
use core::marker::PhantomData;
use tokenim_identity::IdentityId;
use tokenim_wire::{DecodeError, EncodeError, Object};
use zeroize::Zeroize as _;

use crate::{
    door::DoorError,
    link::LinkError,
    shown::{Refusal, Why},
    table::{Batch, Row, Table, View, Write},
};

/// Why a step was not made. Nothing has changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError<E, S> {
    /// What came from outside is refused; the host goes on with the next input.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// There is no such conversation.
    #[error("there is no such conversation")]
    UnknownConversation,
    /// This device is no longer in the conversation.
    #[error("this device is not in the conversation any more")]
    NotInConversation,
    /// The owner may not do this.
    #[error("the owner's role does not allow this")]
    NotAllowed,
    /// More than there is room for: members, devices, wishes or messages that wait.
    #[error("there is no room for more: {0}")]
    Full(&'static str),
    /// A text is too long, or is empty.
    #[error("the content is too long or empty")]
    Content,
    /// The invitation is of no use.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// There is no room for another link, or it would be good for too long.
    #[error("{0}")]
    Door(#[from] DoorError),
    /// There is no such link.
    #[error("there is no such link into this group")]
    UnknownLink,
    /// Nobody of this name asks to be let in.
    #[error("nobody of this name asks to be let into this group")]
    UnknownRequest,
    /// A kept value does not decode: the store was damaged or is another version's.
    #[error("a kept value in table {0:?} is damaged")]
    Damaged(Table),
    /// The state of the session is at fault.
    #[error("the session failed: {0}")]
    Session(S),
    /// A value has no encoding.
    #[error("a value is too large to be kept: {0}")]
    Encode(#[from] EncodeError),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(E),
}

impl<E, S> From<Why> for StepError<E, S> {
    fn from(why: Why) -> Self {
        Self::Refused(Refusal::from(why))
    }
}

impl<E, S> StepError<E, S> {
    /// What somebody sent is refused.
    #[must_use]
    pub const fn of(why: Why, author: IdentityId) -> Self {
        Self::Refused(Refusal::of(why, Some(author)))
    }
}

impl<E, S> From<DecodeError> for StepError<E, S> {
    fn from(error: DecodeError) -> Self {
        Self::from(match error {
            DecodeError::TooLong { .. } => Why::TooLong,
            DecodeError::UnknownVersion { .. } => Why::TooNew,
            _ => Why::Malformed,
        })
    }
}

/// The result of a part of a step.
pub type Step<T, V, S> = Result<T, StepError<<V as View>::Error, S>>;

/// Rows that are read at a time.
const SCAN_ROWS: usize = 256;

/// Where a value stands.
type Place = (Table, Vec<u8>);

/// A view with changes on top of it. Reading fails as the store does, or with [`StepError::Damaged`].
pub struct Tx<'a, V, S> {
    view: &'a V,
    writes: BTreeMap<Place, Option<Vec<u8>>>,
    /// What each change was made in place of, if that was a change too.
    log: Vec<(Place, Option<Option<Vec<u8>>>)>,
    errors: PhantomData<S>,
}

impl<'a, V: View, S> Tx<'a, V, S> {
    /// A view, so far without changes.
    #[must_use]
    pub const fn new(view: &'a V) -> Self {
        Self {
            view,
            writes: BTreeMap::new(),
            log: Vec::new(),
            errors: PhantomData,
        }
    }

    /// The bytes under a key.
    pub fn get(&self, table: Table, key: &[u8]) -> Step<Option<Vec<u8>>, V, S> {
        match self.writes.get(&(table, key.to_vec())) {
            Some(value) => Ok(value.clone()),
            None => self.view.get(table, key).map_err(StepError::Store),
        }
    }

    /// The object under a key.
    pub fn object<T: Object>(&self, table: Table, key: &[u8]) -> Step<Option<T>, V, S> {
        let Some(mut bytes) = self.get(table, key)? else {
            return Ok(None);
        };
        let object = T::from_bytes(&bytes).map_err(|_| StepError::Damaged(table));
        bytes.zeroize();
        object.map(Some)
    }

    /// Up to `limit` rows whose keys begin with `prefix` and are ≥ `from`, ascending.
    pub fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Step<Vec<Row>, V, S> {
        let from = if from > prefix { from } else { prefix };
        let changed: BTreeMap<&Vec<u8>, &Option<Vec<u8>>> = self
            .writes
            .range((table, from.to_vec())..)
            .take_while(|((of, key), _)| *of == table && key.starts_with(prefix))
            .map(|((_, key), value)| (key, value))
            .collect();
        // Each removed row may hide one of the view's.
        let wanted = limit.saturating_add(changed.len());
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut next = from.to_vec();
        let complete = loop {
            let full = wanted.min(rows.len().saturating_add(SCAN_ROWS));
            let page = self.view.scan(table, &next, full.saturating_sub(rows.len()));
            let page = page.map_err(StepError::Store)?.into_iter();
            rows.extend(page.take_while(|(key, _)| key.starts_with(prefix)));
            match rows.last_key_value() {
                Some((last, _)) if rows.len() == full && full < wanted => next = [last.as_slice(), &[0]].concat(),
                _ => break rows.len() < wanted,
            }
        };
        let last = rows.keys().next_back().cloned();
        for (key, value) in changed {
            match value {
                // Beyond the last row that was read there may be others of the view.
                Some(_) if !complete && last.as_ref().is_some_and(|last| key > last) => {}
                Some(value) => {
                    rows.insert(key.clone(), value.clone());
                }
                None => {
                    rows.remove(key);
                }
            }
        }
        Ok(rows.into_iter().take(limit).collect())
    }

    /// Up to `limit` rows whose keys begin with `prefix` and are < `below`, descending, as they were before the step.
    pub fn scan_back(&self, table: Table, prefix: &[u8], below: &[u8], limit: usize) -> Step<Vec<Row>, V, S> {
        let mut rows = self.view.scan_back(table, below, limit).map_err(StepError::Store)?;
        rows.retain(|(key, _)| key.starts_with(prefix));
        Ok(rows)
    }

    /// All objects whose keys begin with `prefix`, ascending.
    pub fn objects<T: Object>(&self, table: Table, prefix: &[u8]) -> Step<Vec<(Vec<u8>, T)>, V, S> {
        let rows = self.scan(table, prefix, &[], usize::MAX >> 1)?.into_iter();
        rows.map(|(key, value)| {
            T::from_bytes(&value)
                .map(|value| (key, value))
                .map_err(|_| StepError::Damaged(table))
        })
        .collect()
    }

    fn write(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        let place = (table, key.to_vec());
        let before = self.writes.insert(place.clone(), value);
        self.log.push((place, before));
    }

    /// How many changes were made.
    #[must_use]
    pub const fn changes(&self) -> usize {
        self.log.len()
    }

    /// Takes all changes back but so many, the first ones.
    pub fn undo(&mut self, left: usize) {
        for (place, before) in self.log.drain(left.min(self.log.len())..).rev() {
            match before {
                Some(value) => self.writes.insert(place, value),
                None => self.writes.remove(&place),
            };
        }
    }

    /// Sets a key.
    pub fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.write(table, key, Some(value));
    }

    /// Sets a key to an object.
    ///
    /// # Errors
    /// [`StepError::Encode`].
    pub fn put_object<T: Object>(&mut self, table: Table, key: &[u8], value: &T) -> Step<(), V, S> {
        self.put(table, key, value.to_bytes()?);
        Ok(())
    }

    /// Removes a key.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        self.write(table, key, None);
    }

    /// The changes.
    #[must_use]
    pub fn finish(self) -> Batch {
        let writes = self.writes.into_iter();
        Batch::new(
            writes
                .map(|((table, key), value)| Write { table, key, value })
                .collect(),
        )
    }
}
