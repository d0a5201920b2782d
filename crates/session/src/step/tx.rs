//! What a step has read and changed so far: reads see the changes.

use super::{Batch, Row, StepError, Table, View, Write};
use alloc::{collections::BTreeMap, vec::Vec};
use tokenim_wire::Object;
use zeroize::Zeroize;

/// The result of a part of a step.
pub(crate) type Step<T, V> = Result<T, StepError<<V as View>::Error>>;

/// A view with changes on top of it.
pub(crate) struct Tx<'a, V> {
    view: &'a V,
    writes: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl<'a, V: View> Tx<'a, V> {
    pub(crate) const fn new(view: &'a V) -> Self {
        Self {
            view,
            writes: BTreeMap::new(),
        }
    }

    /// The bytes under a key.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Step<Option<Vec<u8>>, V> {
        match self.writes.get(&(table, key.to_vec())) {
            Some(value) => Ok(value.clone()),
            None => self.view.get(table, key).map_err(StepError::Store),
        }
    }

    /// The object under a key.
    pub(crate) fn object<T: Object>(&self, table: Table, key: &[u8]) -> Step<Option<T>, V> {
        let Some(mut bytes) = self.get(table, key)? else {
            return Ok(None);
        };
        let object = T::from_bytes(&bytes).map_err(|_| StepError::Damaged(table));
        bytes.zeroize();
        object.map(Some)
    }

    /// Up to `limit` rows whose keys begin with `prefix` and are ≥ `from`, ascending.
    pub(crate) fn scan(&self, table: Table, prefix: &[u8], from: &[u8], limit: usize) -> Step<Vec<Row>, V> {
        let from = if from > prefix { from } else { prefix };
        let changed: BTreeMap<&Vec<u8>, &Option<Vec<u8>>> = self
            .writes
            .range((table, from.to_vec())..)
            .take_while(|((of, key), _)| *of == table && key.starts_with(prefix))
            .map(|((_, key), value)| (key, value))
            .collect();
        // Each removed row may hide one of the view's.
        let wanted = limit.saturating_add(changed.len());
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = self
            .view
            .scan(table, from, wanted)
            .map_err(StepError::Store)?
            .into_iter()
            .take_while(|(key, _)| key.starts_with(prefix))
            .collect();
        let complete = rows.len() < wanted;
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

    /// Sets a key.
    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.writes.insert((table, key.to_vec()), Some(value));
    }

    /// Sets a key to an object.
    pub(crate) fn put_object<T: Object>(&mut self, table: Table, key: &[u8], value: &T) -> Step<(), V> {
        self.put(table, key, value.to_bytes()?);
        Ok(())
    }

    /// Removes a key.
    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) {
        self.writes.insert((table, key.to_vec()), None);
    }

    /// The changes.
    pub(crate) fn finish(self) -> Batch {
        let writes = self.writes.into_iter();
        Batch::new(
            writes
                .map(|((table, key), value)| Write { table, key, value })
                .collect(),
        )
    }
}

/// A key of several parts.
pub(crate) fn key(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[cfg(test)]
#[path = "../../tests/unit/tx.rs"]
mod tests;
