//! The session's tables in the client's store: one table for all of them, every value sealed.

use tokenim_session::step as session;
use tokenim_wire::EnvelopeId;

use crate::native::store::StoreError;
use crate::native::vault;
use crate::step::{Batch, Table, View};

/// Rows that are read at a time.
const PAGE: usize = 256;
/// What stands before the host's own rows: above the number of any table.
const RECEIPT: u8 = 255;

/// What the session keeps, as of one moment.
pub(super) struct Tables<'a, V> {
    view: &'a V,
    vault: &'a [u8; 32],
}

fn row(table: session::Table, key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(key.len().saturating_add(1));
    row.push(table.number());
    row.extend_from_slice(key);
    row
}

/// The row of the quorum receipt of an envelope.
pub(super) fn receipt_row(envelope: &EnvelopeId) -> Vec<u8> {
    let mut row = vec![RECEIPT];
    row.extend_from_slice(envelope.as_bytes());
    row
}

/// Whether this device has the secrets of a key package that it has not used yet.
pub(super) fn has_package<V: View<Error = StoreError>>(view: &V, reference: &[u8]) -> Result<bool, StoreError> {
    let row = row(session::Table::Package, reference);
    Ok(view.get(Table::Session, &row)?.is_some())
}

fn place(row: &[u8]) -> Vec<u8> {
    [b"session".as_slice(), row].concat()
}

impl<'a, V: View<Error = StoreError>> Tables<'a, V> {
    pub(super) const fn new(view: &'a V, vault: &'a [u8; 32]) -> Self {
        Self { view, vault }
    }

    fn open(&self, row: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        vault::open(self.vault, &place(row), sealed)
            .map(|value| value.to_vec())
            .ok_or_else(|| StoreError::Damaged("a row of table session".to_owned()))
    }

    /// A row by its whole key.
    pub(super) fn row(&self, row: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.view.get(Table::Session, row)?;
        sealed.map(|sealed| self.open(row, &sealed)).transpose()
    }
}

impl<V: View<Error = StoreError>> session::View for Tables<'_, V> {
    type Error = StoreError;

    fn get(&self, table: session::Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.row(&row(table, key))
    }

    fn scan(&self, table: session::Table, from: &[u8], limit: usize) -> Result<Vec<session::Row>, StoreError> {
        let mut found = Vec::new();
        let mut from = row(table, from);
        while found.len() < limit {
            let wanted = limit.saturating_sub(found.len()).min(PAGE);
            let page = self.view.scan(Table::Session, &from, wanted)?;
            let whole = page.len() == wanted;
            for (key, sealed) in page {
                let Some((number, rest)) = key.split_first() else {
                    continue;
                };
                if *number != table.number() {
                    return Ok(found);
                }
                found.push((rest.to_vec(), self.open(&key, &sealed)?));
                from = key;
            }
            if !whole {
                break;
            }
            // The next key that there could be.
            from.push(0);
        }
        Ok(found)
    }

    fn scan_back(&self, table: session::Table, below: &[u8], limit: usize) -> Result<Vec<session::Row>, StoreError> {
        let rows = self.view.scan_back(Table::Session, &row(table, below), limit)?;
        rows.into_iter()
            .map_while(|(key, sealed)| match key.split_first() {
                Some((number, rest)) if *number == table.number() => {
                    Some(self.open(&key, &sealed).map(|value| (rest.to_vec(), value)))
                }
                _ => None,
            })
            .collect()
    }
}

/// Puts a sealed value into a batch.
pub(super) fn put(batch: &mut Batch, vault: &[u8; 32], row: Vec<u8>, value: &[u8]) -> Result<(), StoreError> {
    let sealed = vault::seal(vault, &place(&row), value)
        .ok_or_else(|| StoreError::Other("the operating system gave no random numbers".to_owned()))?;
    batch.put(Table::Session, row, sealed);
    Ok(())
}

/// Adds what a step changes to a batch.
pub(super) fn extend(batch: &mut Batch, vault: &[u8; 32], step: &session::Batch) -> Result<(), StoreError> {
    for write in step.writes() {
        let row = row(write.table, &write.key);
        match &write.value {
            Some(value) => put(batch, vault, row, value)?,
            None => batch.delete(Table::Session, row),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use tokenim_session::step::View as _;

    #[derive(Default)]
    struct Memory(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>);

    impl View for Memory {
        type Error = StoreError;

        fn get(&self, _: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(self.0.borrow().get(key).cloned())
        }

        fn scan(&self, _: Table, from: &[u8], limit: usize) -> Result<Vec<crate::step::Row>, StoreError> {
            let rows = self.0.borrow();
            let found = rows.range(from.to_vec()..).take(limit);
            Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
        }

        fn scan_back(&self, _: Table, below: &[u8], limit: usize) -> Result<Vec<crate::step::Row>, StoreError> {
            let rows = self.0.borrow();
            let found = rows.range(..below.to_vec()).rev().take(limit);
            Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
        }

        fn last_key(&self, _: Table) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(None)
        }
    }

    fn filled() -> Memory {
        let memory = Memory::default();
        let mut batch = Batch::new();
        for table in [
            session::Table::Conversation,
            session::Table::Session,
            session::Table::Group,
        ] {
            for key in 0..600_u16 {
                put(&mut batch, &[1; 32], row(table, &key.to_be_bytes()), &key.to_le_bytes()).unwrap();
            }
        }
        for change in batch.changes() {
            memory
                .0
                .borrow_mut()
                .insert(change.key.clone(), change.value.clone().unwrap());
        }
        memory
    }

    #[test]
    fn tables_do_not_run_into_each_other() {
        let memory = filled();
        let tables = Tables::new(&memory, &[1; 32]);
        for (from, limit, first, count) in [
            (0_u16, usize::MAX, 0_u16, 600),
            (10, 5, 10, 5),
            (599, 9, 599, 1),
            (0, 256, 0, 256),
        ] {
            let rows = tables
                .scan(session::Table::Session, &from.to_be_bytes(), limit)
                .unwrap();
            assert_eq!(rows.len(), count);
            assert_eq!(rows[0], (first.to_be_bytes().to_vec(), first.to_le_bytes().to_vec()));
        }
        assert!(tables.scan(session::Table::Meta, &[], 9).unwrap().is_empty());
        assert!(tables.scan(session::Table::Past, &[], usize::MAX).unwrap().is_empty());
        let found = tables.get(session::Table::Group, &7_u16.to_be_bytes()).unwrap();
        assert_eq!(found.unwrap(), 7_u16.to_le_bytes());
    }

    #[test]
    fn the_last_rows_of_a_table_are_read_from_its_end() {
        let memory = filled();
        let tables = Tables::new(&memory, &[1; 32]);
        let keys = |table, below: &[u8], limit| -> Vec<u16> {
            let rows = tables.scan_back(table, below, limit).unwrap();
            rows.iter()
                .map(|(key, _)| u16::from_be_bytes(key.as_slice().try_into().unwrap()))
                .collect()
        };
        let session = session::Table::Session;
        assert_eq!(keys(session, &[255; 3], 3), [599, 598, 597]);
        assert_eq!(keys(session, &2_u16.to_be_bytes(), 9), [1, 0]);
        assert!(keys(session, &[], 9).is_empty());
        assert!(keys(session::Table::Meta, &[255; 3], 9).is_empty());
        let rows = tables.scan_back(session, &1_u16.to_be_bytes(), 1).unwrap();
        assert_eq!(rows, [(vec![0, 0], vec![0, 0])]);
    }

    #[test]
    fn what_is_kept_is_sealed_and_bound_to_its_place() {
        let memory = filled();
        let key = row(session::Table::Group, &7_u16.to_be_bytes());
        let moved = memory.0.borrow()[&key].clone();
        assert!(!moved.windows(2).any(|pair| pair == 7_u16.to_le_bytes()));
        memory
            .0
            .borrow_mut()
            .insert(row(session::Table::Group, &8_u16.to_be_bytes()), moved);
        let tables = Tables::new(&memory, &[1; 32]);
        assert!(tables.get(session::Table::Group, &8_u16.to_be_bytes()).is_err());
        let other = Tables::new(&memory, &[2; 32]);
        assert!(other.get(session::Table::Group, &7_u16.to_be_bytes()).is_err());
    }
}
