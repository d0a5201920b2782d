//! Local ordered key-value tables with atomic, durable batches.

use crate::error::StoreError;
use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use core::ops::Bound;

/// Bytes of a key in a table.
pub const STATE_KEY_BYTES_MAX: usize = 1024;
/// Bytes of a value in a table.
pub const STATE_VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The name of a table. Tables need no declaration: one that was never written is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(&'static str);

impl Table {
    /// The longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 32;

    /// A table named by 1 to 32 printable ASCII characters. Call it in a `const`, where a wrong one does not compile.
    ///
    /// ```
    /// use tokenim_storage::Table;
    /// const BLOCKS: Table = Table::new("blocks");
    /// ```
    /// ```compile_fail
    /// use tokenim_storage::Table;
    /// const NAMELESS: Table = Table::new("");
    /// ```
    ///
    /// # Panics
    /// At run time, if it is not called in a `const` and the text is not such a name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let mut rest = name.as_bytes();
        assert!(
            !rest.is_empty() && rest.len() <= Self::NAME_BYTES_MAX,
            "a table name has 1 to 32 characters"
        );
        while let [first, tail @ ..] = rest {
            assert!(first.is_ascii_graphic(), "a table name is printable ASCII");
            rest = tail;
        }
        Self(name)
    }

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// Writes that happen together or not at all. Of several to one key, the last counts.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Batch {
    /// What becomes of each key: a value, or nothing.
    operations: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl Batch {
    /// No writes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            operations: BTreeMap::new(),
        }
    }

    /// Sets a key.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.operations.insert((table, key.into()), Some(value.into()));
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.operations.insert((table, key.into()), None);
    }

    /// The number of keys written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Each key with its new value, or `None` where it is removed, ascending by table and key.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        self.operations
            .iter()
            .map(|((table, key), value)| (*table, key.as_slice(), value.as_deref()))
    }

    /// As [`iter`](Self::iter), by value.
    pub fn into_operations(self) -> impl Iterator<Item = (Table, Vec<u8>, Option<Vec<u8>>)> {
        self.operations
            .into_iter()
            .map(|((table, key), value)| (table, key, value))
    }

    /// Checks all keys and values against their limits. For stores, before they write.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`].
    pub fn check_sizes(&self) -> Result<(), StoreError> {
        for (_, key, value) in self.iter() {
            StoreError::check_size("a key", key.len(), STATE_KEY_BYTES_MAX)?;
            StoreError::check_size("a value", value.map_or(0, <[u8]>::len), STATE_VALUE_BYTES_MAX)?;
        }
        Ok(())
    }
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// A range of keys.
pub type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The keys that a [`StateStore::scan`] looks at, as a range that is not empty; `None` if there are none. For stores.
#[must_use]
pub fn scan_range(from: &[u8], prefix: &[u8], reverse: bool) -> Option<KeyRange> {
    // The first key after all that begin with the prefix: its last byte that can be raised, raised.
    let raised = prefix.iter().rposition(|byte| *byte != u8::MAX);
    let after = raised.and_then(|position| {
        let (last, rest) = prefix.get(..=position)?.split_last()?;
        Some([rest, &[last.saturating_add(1)]].concat())
    });
    let (start, end) = if reverse {
        let end = match after {
            _ if !from.is_empty() && after.as_deref().is_none_or(|after| from < after) => {
                Bound::Included(from.to_vec())
            }
            Some(after) => Bound::Excluded(after),
            None => Bound::Unbounded,
        };
        (prefix.to_vec(), end)
    } else {
        (
            from.max(prefix).to_vec(),
            after.map_or(Bound::Unbounded, Bound::Excluded),
        )
    };
    let holds_none = match &end {
        Bound::Included(end) => start > *end,
        Bound::Excluded(end) => start >= *end,
        Bound::Unbounded => false,
    };
    (!holds_none).then_some((Bound::Included(start), end))
}

/// Ordered key-value tables of one process. Synchronous: calls may block for a disk.
///
/// Keys are ordered as byte strings.
pub trait StateStore: Send + Sync + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` keys that begin with `prefix`, with their values, in order: ascending from the first that is
    /// at least `from`; with `reverse`, descending from the last that is at most `from`, where an empty `from` means
    /// from the end. All of one moment.
    ///
    /// # Errors
    /// [`StoreError`].
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError>;

    /// Makes all writes of a batch: no reader sees some without the others, and when it returns `Ok`, they outlast
    /// a crash of the process and of the machine.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] and [`StoreError::Full`], which leave all as it was, and others.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;
}

impl<S: StateStore + ?Sized> StateStore for Arc<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        (**self).scan(table, from, prefix, limit, reverse)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        (**self).commit(batch)
    }
}
