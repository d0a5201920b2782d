//! A state store in memory.

use super::lock;
use crate::{
    error::StoreError,
    state::{Batch, Row, StateStore, Table, scan_range},
};
use std::{collections::BTreeMap, sync::Mutex};

/// One table.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A [`StateStore`] in memory.
#[derive(Debug, Default)]
pub struct MemoryStateStore {
    /// By name; empty tables may be missing.
    tables: Mutex<BTreeMap<Table, Rows>>,
}

impl MemoryStateStore {
    /// An empty store.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            tables: Mutex::new(BTreeMap::new()),
        }
    }
}

impl StateStore for MemoryStateStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(lock(&self.tables)?.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        let tables = lock(&self.tables)?;
        let (Some(rows), Some(range)) = (tables.get(&table), scan_range(from, prefix, reverse)) else {
            return Ok(Vec::new());
        };
        let rows = rows.range(range).map(|(key, value)| (key.clone(), value.clone()));
        Ok(if reverse {
            rows.rev().take(limit).collect()
        } else {
            rows.take(limit).collect()
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check_sizes()?;
        let mut tables = lock(&self.tables)?;
        for (table, key, value) in batch.into_operations() {
            let rows = tables.entry(table).or_default();
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        Ok(())
    }
}
