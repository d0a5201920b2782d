//! A store in memory.

use std::{collections::BTreeMap, convert::Infallible, fmt};
use tokenim_session::step::{Batch, Row, Table, View};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A row as it was before it was changed.
pub type Before = (Table, Vec<u8>, Option<Vec<u8>>);

/// A store in memory: for tests, and for a device that keeps nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    tables: BTreeMap<Table, Rows>,
}

impl MemoryStore {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            tables: BTreeMap::new(),
        }
    }

    /// Applies a batch.
    pub fn apply(&mut self, batch: &Batch) {
        self.apply_noting(batch, &mut Vec::new());
    }

    /// Applies a batch, and notes what was there before.
    pub fn apply_noting(&mut self, batch: &Batch, before: &mut Vec<Before>) {
        for write in batch.writes() {
            let old = self.set(write.table, write.key.clone(), write.value.clone());
            before.push((write.table, write.key.clone(), old));
        }
    }

    /// Takes changes back, the last one first.
    pub fn take_back(&mut self, before: Vec<Before>) {
        for (table, key, value) in before.into_iter().rev() {
            self.set(table, key, value);
        }
    }

    fn set(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) -> Option<Vec<u8>> {
        match value {
            Some(value) => self.tables.entry(table).or_default().insert(key, value),
            None => {
                let rows = self.tables.get_mut(&table)?;
                let old = rows.remove(&key);
                if rows.is_empty() {
                    self.tables.remove(&table);
                }
                old
            }
        }
    }

    /// How many rows a table has.
    #[must_use]
    pub fn rows(&self, table: Table) -> usize {
        self.tables.get(&table).map_or(0, BTreeMap::len)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("tables", &self.tables.len())
            .finish_non_exhaustive()
    }
}

impl View for MemoryStore {
    type Error = Infallible;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, Infallible> {
        let rows = self.tables.get(&table).into_iter();
        Ok(rows
            .flat_map(|rows| rows.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded)))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn scan_back(&self, table: Table, below: &[u8], limit: usize) -> Result<Vec<Row>, Infallible> {
        let rows = self.tables.get(&table).into_iter();
        Ok(rows
            .flat_map(|rows| {
                rows.range::<[u8], _>((std::ops::Bound::Unbounded, std::ops::Bound::Excluded(below)))
                    .rev()
            })
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
}
