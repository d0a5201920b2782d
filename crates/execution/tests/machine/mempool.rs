//! The mempool: caps, order, room for anchors, and a model.

use crate::common::{digest, node_key};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tokenim_execution::{BlockRoom, Mempool, MempoolError, MempoolLimits};
use tokenim_ledger::{Anchor, Body, IncarnationRegistration, Transaction, TransactionId, VerifiedTransaction};
use tokenim_mailbox::Incarnation;
use tokenim_wire::{Height, NetworkId};

fn network() -> NetworkId {
    digest("network", 0).into()
}

fn transaction(sponsor: u64, body: Body, valid_until: u64, nonce: u64) -> VerifiedTransaction {
    Transaction::sponsored(&network(), &node_key(sponsor), body, Height::new(valid_until), nonce)
        .unwrap()
        .verify(&network())
        .unwrap()
}

fn anchor(sponsor: u64, leaves: u64, valid_until: u64, nonce: u64) -> VerifiedTransaction {
    let leaves = (0..leaves).map(|leaf| digest("leaf", leaf)).collect();
    transaction(sponsor, Body::Anchor(Anchor::new(leaves).unwrap()), valid_until, nonce)
}

fn other(sponsor: u64, valid_until: u64, nonce: u64) -> VerifiedTransaction {
    let body = Body::RegisterIncarnation(IncarnationRegistration {
        node: node_key(sponsor).verifying_key(),
        incarnation: Incarnation::new(nonce),
    });
    transaction(sponsor, body, valid_until, nonce)
}

fn ids(transactions: &[VerifiedTransaction]) -> Vec<TransactionId> {
    transactions.iter().map(|transaction| *transaction.id()).collect()
}

fn none() -> BTreeSet<TransactionId> {
    BTreeSet::new()
}

#[test]
fn what_is_taken_stays_until_it_is_final() {
    let mut pool = Mempool::new(MempoolLimits::default());
    let all: Vec<_> = (0..3).map(|nonce| other(1, 100, nonce)).collect();
    for transaction in &all {
        pool.insert(transaction.clone(), Height::ZERO).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(ids(&pool.take(&BlockRoom::default(), &none())), ids(&all));
    }
    // Not what is in blocks that are not final yet.
    let exclude = BTreeSet::from([*all[1].id()]);
    assert_eq!(pool.take(&BlockRoom::default(), &exclude).len(), 2);
    pool.committed(Height::new(1), [all[1].id()]);
    assert_eq!(pool.len(), 2);
    assert_eq!(
        pool.insert(all[1].clone(), Height::new(1)),
        Err(MempoolError::Duplicate)
    );
    assert!(pool.knows(all[1].id()) && pool.get(all[1].id()).is_none());
    pool.remove([all[0].id()]);
    assert_eq!(ids(&pool.iter().cloned().collect::<Vec<_>>()), ids(&all[2..]));
    // What was refused may come again.
    pool.insert(all[0].clone(), Height::new(1)).unwrap();
}

#[test]
fn duplicates_and_expired_ones_are_refused() {
    let mut pool = Mempool::new(MempoolLimits::default());
    let one = other(1, 5, 0);
    pool.insert(one.clone(), Height::new(4)).unwrap();
    assert_eq!(pool.insert(one.clone(), Height::new(4)), Err(MempoolError::Duplicate));
    assert_eq!(pool.insert(other(1, 5, 1), Height::new(5)), Err(MempoolError::Expired));
    pool.committed(Height::new(4), []);
    assert_eq!(pool.len(), 1);
    pool.committed(Height::new(5), []);
    assert!(pool.is_empty());
    assert_eq!((pool.len(), pool.bytes()), (0, 0));
    assert!(!pool.knows(one.id()));
}

#[test]
fn a_sponsor_has_a_quota_and_two_anchors_more() {
    let limits = MempoolLimits {
        sponsor_transactions_max: 3,
        sponsor_anchors: 2,
        ..MempoolLimits::default()
    };
    let mut pool = Mempool::new(limits);
    for nonce in 0..3 {
        pool.insert(other(1, 100, nonce), Height::ZERO).unwrap();
    }
    assert_eq!(
        pool.insert(other(1, 100, 3), Height::ZERO),
        Err(MempoolError::SponsorQuota)
    );
    for nonce in 4..6 {
        pool.insert(anchor(1, 1, 100, nonce), Height::ZERO).unwrap();
    }
    assert_eq!(
        pool.insert(anchor(1, 1, 100, 6), Height::ZERO),
        Err(MempoolError::SponsorQuota)
    );
    pool.insert(other(2, 100, 7), Height::ZERO).unwrap();
    let gone = other(1, 100, 0);
    pool.committed(Height::new(1), [gone.id()]);
    assert_eq!(
        pool.insert(other(1, 100, 8), Height::ZERO),
        Err(MempoolError::SponsorQuota)
    );
    pool.insert(anchor(1, 1, 100, 9), Height::ZERO).unwrap();
}

#[test]
fn part_of_the_pool_is_for_anchors() {
    let limits = MempoolLimits {
        transactions_max: 4,
        anchor_transactions: 1,
        ..MempoolLimits::default()
    };
    let mut pool = Mempool::new(limits);
    for nonce in 0..3 {
        pool.insert(other(nonce, 100, nonce), Height::ZERO).unwrap();
    }
    assert_eq!(pool.insert(other(9, 100, 3), Height::ZERO), Err(MempoolError::Full));
    pool.insert(anchor(9, 1, 100, 4), Height::ZERO).unwrap();
    assert_eq!(pool.insert(anchor(8, 1, 100, 5), Height::ZERO), Err(MempoolError::Full));
    let bytes = other(1, 100, 0).encoded_len();
    let limits = MempoolLimits {
        bytes_max: 3 * bytes,
        anchor_bytes: bytes,
        ..MempoolLimits::default()
    };
    let mut pool = Mempool::new(limits);
    for nonce in 0..2 {
        pool.insert(other(1, 100, nonce), Height::ZERO).unwrap();
    }
    assert_eq!(pool.insert(other(1, 100, 3), Height::ZERO), Err(MempoolError::Full));
}

#[test]
fn anchors_have_room_in_a_full_block() {
    let mut pool = Mempool::new(MempoolLimits::default());
    for nonce in 0..16 {
        pool.insert(other(1, 100, nonce), Height::ZERO).unwrap();
    }
    let late = anchor(2, 4, 100, 100);
    pool.insert(late.clone(), Height::ZERO).unwrap();
    let size = other(1, 100, 0).encoded_len();
    let room = BlockRoom {
        bytes_max: 4 * size,
        anchor_bytes: late.encoded_len(),
        ..BlockRoom::default()
    };
    let taken = pool.take(&room, &none());
    assert_eq!(taken[0].id(), late.id());
    let bytes: usize = taken.iter().map(VerifiedTransaction::encoded_len).sum();
    assert!(bytes <= room.bytes_max && taken.len() > 1);
    // Without room for them they wait their turn.
    let room = BlockRoom {
        anchor_bytes: 0,
        ..room
    };
    assert!(!ids(&pool.take(&room, &none())).contains(late.id()));
    // Room that no anchor uses is for all.
    let room = BlockRoom {
        bytes_max: 4 * size,
        anchor_bytes: 4 * size,
        ..room
    };
    let exclude = BTreeSet::from([*late.id()]);
    assert_eq!(pool.take(&room, &exclude).len(), 4);
}

#[test]
fn a_block_takes_the_quota_of_each_sponsor_and_the_oldest_first() {
    let mut pool = Mempool::new(MempoolLimits::default());
    for nonce in 0..10 {
        pool.insert(other(nonce % 2, 100, nonce), Height::ZERO).unwrap();
    }
    let room = BlockRoom {
        sponsor_transactions_max: 2,
        ..BlockRoom::default()
    };
    let expected: Vec<_> = (0..4).map(|nonce| other(nonce % 2, 100, nonce)).collect();
    assert_eq!(ids(&pool.take(&room, &none())), ids(&expected));
    let room = BlockRoom {
        transactions_max: 3,
        ..BlockRoom::default()
    };
    assert_eq!(pool.take(&room, &none()).len(), 3);
}

#[test]
fn only_so_many_committed_ones_are_remembered() {
    let limits = MempoolLimits {
        remembered_max: 2,
        ..MempoolLimits::default()
    };
    let mut pool = Mempool::new(limits);
    let all: Vec<_> = (0..4).map(|nonce| other(1, 100 + nonce, nonce)).collect();
    for transaction in &all {
        pool.insert(transaction.clone(), Height::ZERO).unwrap();
    }
    pool.committed(Height::new(1), &ids(&all));
    assert_eq!(all.iter().filter(|one| pool.knows(one.id())).count(), 2);
    assert!(pool.knows(all[3].id()), "those that are valid longest");
}

#[derive(Clone, Debug)]
enum Operation {
    Insert {
        sponsor: u64,
        anchor: bool,
        valid_for: u64,
        nonce: u64,
    },
    Take {
        bytes: usize,
    },
    Commit {
        take: usize,
        heights: u64,
    },
    Remove {
        place: usize,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0_u64..4, any::<bool>(), 0_u64..6, 0_u64..24)
            .prop_map(|(sponsor, anchor, valid_for, nonce)| Operation::Insert { sponsor, anchor, valid_for, nonce }),
        1 => (0_usize..3000).prop_map(|bytes| Operation::Take { bytes }),
        1 => (0_usize..4, 1_u64..3).prop_map(|(take, heights)| Operation::Commit { take, heights }),
        1 => (0_usize..8).prop_map(|place| Operation::Remove { place }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_pool_is_the_model(operations in prop::collection::vec(operation(), 0..50)) {
        let limits = MempoolLimits {
            transactions_max: 10,
            bytes_max: 2500,
            anchor_transactions: 3,
            anchor_bytes: 500,
            sponsor_transactions_max: 4,
            sponsor_group_updates_max: 2,
            sponsor_anchors: 1,
            remembered_max: 100,
        };
        let mut pool = Mempool::new(limits);
        // In the order of arrival.
        let mut model: Vec<VerifiedTransaction> = Vec::new();
        let mut remembered: BTreeMap<TransactionId, u64> = BTreeMap::new();
        let mut height = 0;
        for operation in operations {
            match operation {
                Operation::Insert { sponsor, anchor: is_anchor, valid_for, nonce } => {
                    let valid_until = height + valid_for;
                    let one = if is_anchor {
                        anchor(sponsor, 1 + nonce % 3, valid_until, nonce)
                    } else {
                        other(sponsor, valid_until, nonce)
                    };
                    let sponsor = one.transaction().sponsor;
                    let of_sponsor = model.iter().filter(|other| other.transaction().sponsor == sponsor).count();
                    let others = |all: &[VerifiedTransaction]| all
                        .iter()
                        .filter(|one| !matches!(one.transaction().body, Body::Anchor(_)))
                        .map(VerifiedTransaction::encoded_len)
                        .fold((0, 0), |(count, bytes), one| (count + 1, bytes + one));
                    let bytes: usize = model.iter().map(VerifiedTransaction::encoded_len).sum();
                    let (count, other_bytes) = others(&model);
                    let expected = if model.iter().any(|held| held.id() == one.id()) || remembered.contains_key(one.id()) {
                        Err(MempoolError::Duplicate)
                    } else if valid_for == 0 {
                        Err(MempoolError::Expired)
                    } else if of_sponsor >= 4 + usize::from(is_anchor) {
                        Err(MempoolError::SponsorQuota)
                    } else if model.len() >= 10
                        || bytes + one.encoded_len() > 2500
                        || (!is_anchor && (count >= 7 || other_bytes + one.encoded_len() > 2000))
                    {
                        Err(MempoolError::Full)
                    } else {
                        Ok(())
                    };
                    if expected.is_ok() {
                        model.push(one.clone());
                    }
                    prop_assert_eq!(pool.insert(one, Height::new(height)), expected);
                }
                Operation::Take { bytes } => {
                    let room = BlockRoom { bytes_max: bytes, anchor_bytes: bytes / 4, transactions_max: 6, sponsor_transactions_max: 3 };
                    let taken = pool.take(&room, &none());
                    prop_assert!(taken.len() <= 6);
                    prop_assert!(taken.iter().map(VerifiedTransaction::encoded_len).sum::<usize>() <= bytes);
                    let unique: BTreeSet<_> = ids(&taken).into_iter().collect();
                    prop_assert_eq!(unique.len(), taken.len());
                    for one in &taken {
                        prop_assert!(model.iter().any(|held| held.id() == one.id()));
                    }
                }
                Operation::Commit { take, heights } => {
                    height += heights;
                    let gone: Vec<_> = ids(&model).into_iter().take(take).collect();
                    pool.committed(Height::new(height), &gone);
                    for one in model.iter().filter(|one| gone.contains(one.id())) {
                        remembered.insert(*one.id(), one.transaction().valid_until.get());
                    }
                    remembered.retain(|_, valid_until| *valid_until > height);
                    model.retain(|one| !gone.contains(one.id()) && one.transaction().valid_until.get() > height);
                }
                Operation::Remove { place } => {
                    if place < model.len() {
                        let gone = model.remove(place);
                        pool.remove([gone.id()]);
                    }
                }
            }
            prop_assert_eq!(ids(&pool.iter().cloned().collect::<Vec<_>>()), ids(&model));
            prop_assert_eq!(pool.len(), model.len());
            prop_assert_eq!(pool.bytes(), model.iter().map(VerifiedTransaction::encoded_len).sum::<usize>());
        }
    }
}
