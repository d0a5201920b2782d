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
