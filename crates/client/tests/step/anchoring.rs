use std::collections::BTreeSet;

use tokenim_client::step::Anchoring;
use tokenim_mailbox::QuorumReceipt;

use crate::world::{World, envelope, receipt};

fn quorum(world: &World, number: u64) -> QuorumReceipt {
    let receipts: Vec<_> = world
        .swarm()
        .iter()
        .take(3)
        .map(|key| receipt(key, envelope(number).0))
        .collect();
    QuorumReceipt::assemble(&world.set, &receipts).unwrap()
}

#[test]
fn two_nodes_get_the_receipt_and_failures_are_made_up_for() {
    let world = World::new(4, 1);
    let mut anchoring = Anchoring::new(&world.set, &quorum(&world, 1), 0);
    let first = anchoring.hand();
    assert_eq!(first.len(), 2);
    anchoring.acknowledged();
    assert!(!anchoring.is_handed_over());
    let second = anchoring.hand();
    assert_eq!(second.len(), 1);
    assert!(!first.contains(&second[0]));
    anchoring.acknowledged();
    assert!(anchoring.is_handed_over());
    assert!(anchoring.hand().is_empty());
}

#[test]
fn all_nodes_are_tried_once() {
    let world = World::new(4, 1);
    let mut anchoring = Anchoring::new(&world.set, &quorum(&world, 1), 0);
    let mut tried = BTreeSet::new();
    loop {
        let nodes = anchoring.hand();
        if nodes.is_empty() {
            break;
        }
        for node in nodes {
            assert!(tried.insert(node));
        }
    }
    assert_eq!(tried.len(), 4);
    assert!(!anchoring.is_handed_over());
}

#[test]
fn one_node_alone_is_enough_where_there_is_no_other() {
    let world = World::new(4, 1);
    let mut anchoring = Anchoring::new(&world.set, &quorum(&world, 1), 0);
    while !anchoring.hand().is_empty() {}
    anchoring.acknowledged();
    assert!(anchoring.is_handed_over());
}

#[test]
fn the_next_round_begins_with_others_and_receipts_spread() {
    let world = World::new(8, 1);
    let receipt = quorum(&world, 1);
    let first = Anchoring::new(&world.set, &receipt, 0).hand();
    let second = Anchoring::new(&world.set, &receipt, 1).hand();
    assert!(first.iter().all(|node| !second.contains(node)));

    let begun: BTreeSet<_> = (0..64)
        .map(|number| Anchoring::new(&world.set, &quorum(&world, number), 0).hand()[0])
        .collect();
    assert!(begun.len() >= 6, "{} of 8 nodes", begun.len());
}
