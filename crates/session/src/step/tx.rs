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
mod tests {
    use super::*;
    use crate::step::MemoryStore;

    fn store(keys: &[u8]) -> MemoryStore {
        let empty = MemoryStore::new();
        let mut tx = Tx::new(&empty);
        for byte in keys {
            tx.put(Table::Meta, &[1, *byte], vec![*byte]);
        }
        tx.put(Table::Meta, &[2, 0], vec![]);
        let mut store = MemoryStore::new();
        store.apply(&tx.finish());
        store
    }

    #[test]
    fn a_scan_sees_what_the_step_has_changed() {
        let store = store(&[1, 3, 5, 7]);
        let mut tx = Tx::new(&store);
        tx.delete(Table::Meta, &[1, 1]);
        tx.delete(Table::Meta, &[1, 3]);
        tx.put(Table::Meta, &[1, 4], vec![40]);
        tx.put(Table::Meta, &[1, 5], vec![50]);
        let keys = |limit, from: &[u8]| -> Vec<u8> {
            let rows = tx.scan(Table::Meta, &[1], from, limit).unwrap();
            rows.iter().map(|(key, _)| key[1]).collect()
        };
        assert_eq!(keys(10, &[]), [4, 5, 7]);
        assert_eq!(keys(1, &[]), [4]);
        assert_eq!(keys(2, &[1, 5]), [5, 7]);
        assert_eq!(tx.get(Table::Meta, &[1, 5]).unwrap(), Some(vec![50]));
        assert_eq!(tx.get(Table::Meta, &[1, 3]).unwrap(), None);
    }

    #[test]
    fn a_short_scan_leaves_no_row_of_the_view_out() {
        let store = store(&[1, 2, 3]);
        let mut tx = Tx::new(&store);
        tx.put(Table::Meta, &[1, 9], vec![]);
        let rows = tx.scan(Table::Meta, &[1], &[], 2).unwrap();
        assert_eq!(rows.iter().map(|(key, _)| key[1]).collect::<Vec<_>>(), [1, 2]);
        let rows = tx.scan(Table::Meta, &[1], &[], 4).unwrap();
        assert_eq!(rows.iter().map(|(key, _)| key[1]).collect::<Vec<_>>(), [1, 2, 3, 9]);
    }
}
