//! Reading what a step has changed.

use super::*;
use tokenim_conversation::table::Table;
#[allow(unreachable_pub, dead_code)]
#[path = "../simulation/world/store.rs"]
mod store;

use store::MemoryStore;

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

/// A store that counts the rows that are read of it.
struct Counting(MemoryStore, core::cell::Cell<usize>);

impl View for Counting {
    type Error = core::convert::Infallible;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error> {
        self.0.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<tokenim_conversation::table::Row>, Self::Error> {
        let rows = self.0.scan(table, from, limit)?;
        self.1.set(self.1.get() + rows.len());
        Ok(rows)
    }

    fn scan_back(
        &self,
        table: Table,
        below: &[u8],
        limit: usize,
    ) -> Result<Vec<tokenim_conversation::table::Row>, Self::Error> {
        self.0.scan_back(table, below, limit)
    }
}

#[test]
fn a_scan_reads_little_beyond_its_prefix() {
    let empty = MemoryStore::new();
    let mut tx = Tx::new(&empty);
    let place = |first: u8, number: u16| [&[first], number.to_be_bytes().as_slice()].concat();
    for number in 0..700 {
        tx.put(Table::Meta, &place(2, number), vec![]);
    }
    for number in 0..5 {
        tx.put(Table::Meta, &place(1, number), vec![]);
    }
    let mut store = MemoryStore::new();
    store.apply(&tx.finish());
    let store = Counting(store, core::cell::Cell::new(0));
    let mut tx: Tx<'_, Counting> = Tx::new(&store);
    assert_eq!(tx.scan(Table::Meta, &[1], &[], usize::MAX >> 1).unwrap().len(), 5);
    assert!(store.1.get() <= 256, "{}", store.1.get());
    // What is longer than a page comes whole, with what the step has changed at its edges.
    tx.delete(Table::Meta, &place(2, 255));
    tx.delete(Table::Meta, &place(2, 699));
    tx.put(Table::Meta, &[2, 0, 255, 1], vec![]);
    tx.put(Table::Meta, &place(2, 700), vec![]);
    let rows = tx.scan(Table::Meta, &[2], &[], usize::MAX >> 1).unwrap();
    assert_eq!(rows.len(), 700);
    assert!(rows.is_sorted_by(|one, next| one.0 < next.0));
    for limit in [0, 1, 255, 256, 257, 512, 699, 700, 701] {
        let some = tx.scan(Table::Meta, &[2], &[], limit).unwrap();
        assert!(some == rows[..limit.min(700)], "{limit}");
    }
}

#[test]
fn what_is_undone_was_never_changed() {
    let store = store(&[1, 2]);
    let mut tx = Tx::new(&store);
    tx.put(Table::Meta, &[1, 1], vec![10]);
    tx.delete(Table::Meta, &[1, 2]);
    let (mark, before) = (tx.changes(), tx.scan(Table::Meta, &[], &[], 9).unwrap());
    tx.put(Table::Meta, &[1, 1], vec![11]);
    tx.put(Table::Meta, &[1, 1], vec![12]);
    tx.put(Table::Meta, &[1, 2], vec![13]);
    tx.put(Table::Meta, &[1, 3], vec![14]);
    tx.delete(Table::Meta, &[2, 0]);
    assert_ne!(tx.scan(Table::Meta, &[], &[], 9).unwrap(), before);
    tx.undo(mark);
    assert_eq!(tx.scan(Table::Meta, &[], &[], 9).unwrap(), before);
    assert_eq!(tx.finish().writes().len(), 2);
}
