//! Registration and placement of nodes, and what becomes of receipts when the set changes.

use crate::{
    chain::{Chain, chain_of, chain_with, quick, some_anchor},
    common::{digest, net_with, node_key},
};
use tokenim_identity::NodeSigningKey;
use tokenim_ledger::{Body, LightClient, NODES_WAITING_MAX, NodeRegistration, Rejection, StateKey};
use tokenim_mailbox::PlacementId;
use tokenim_wire::{BoundedVec, Digest, Height, Object, SetEpoch};

fn registration(chain: &Chain, key: &NodeSigningKey, validators: &[u16]) -> NodeRegistration {
    let address = "192.0.2.99:7400".parse().unwrap();
    let mut registration = NodeRegistration::new(&chain.net.id, key, address).unwrap();
    for place in validators {
        let admission = registration
            .admission(&chain.net.id, *place, &chain.net.validators[usize::from(*place)])
            .unwrap();
        registration.admit(admission).unwrap();
    }
    registration
}

pub fn register(chain: &mut Chain, key: &NodeSigningKey) {
    let registration = registration(chain, key, &[0, 2, 3]);
    let transaction = chain.transaction(Body::RegisterNode(registration));
    chain.apply(vec![transaction]);
}

#[test]
fn a_node_is_placed_by_a_block_after_its_registration() {
    let mut chain = chain_with(quick());
    chain.pass(1);
    let key = node_key(10);
    register(&mut chain, &key);
    let registered = chain.height();
    assert_eq!(registered, Height::new(2));
    // It waits for three heights, and is no sponsor meanwhile.
    while chain.next().height < Height::new(5) {
        assert_eq!(chain.executor.node_set().epoch(), SetEpoch::ZERO);
        let until = chain.height().saturating_add(3);
        let early = chain.transaction_of(&key, some_anchor(0), until);
        assert_eq!(chain.rejection(&early), Rejection::UnknownSponsor);
        chain.pass(1);
    }
    let parent = chain.head.header.digest();
    let block = chain.propose(vec![]).block;
    let committed = chain.commit(block);
    let set = committed.node_set.unwrap();
    assert_eq!(*set, *chain.executor.node_set());
    assert_eq!((set.epoch(), set.len()), (SetEpoch::new(1), 5));
    assert_eq!(chain.executor.previous_node_set().epoch(), SetEpoch::ZERO);
    let member = set.get(set.index_of(&key.verifying_key()).unwrap()).unwrap();
    // The digest of the block before this one, which came after the registration.
    let origin = Digest::from_bytes(parent.to_bytes());
    assert_eq!(member.placement, PlacementId::new(&key.verifying_key(), &origin));
    // Those that were there keep their places.
    for before in chain.net.set.members() {
        assert!(set.members().contains(before));
    }
    let until = chain.height().saturating_add(3);
    let now = chain.transaction_of(&key, some_anchor(0), until);
    chain.apply(vec![now]);
    assert_eq!(*chain.replayed().node_set(), *set);
    // And so after a restart.
    let again = tokenim_execution::Executor::open(chain.store.clone(), &chain.net.config).unwrap();
    assert_eq!(*again.node_set(), *set);
    assert_eq!(again.previous_node_set().epoch(), SetEpoch::ZERO);
}

#[test]
fn nodes_of_the_genesis_are_placed_by_the_network_id() {
    let chain = chain_with(quick());
    let origin = Digest::from_bytes(chain.net.id.to_bytes());
    for member in chain.executor.node_set().members() {
        assert_eq!(member.placement, PlacementId::new(&member.key, &origin));
    }
}

#[test]
fn a_registration_needs_a_quorum_and_the_node() {
    let mut chain = chain_with(quick());
    let key = node_key(10);
    let reject = |chain: &mut Chain, registration: NodeRegistration| {
        let transaction = chain.transaction(Body::RegisterNode(registration));
        chain.rejection(&transaction)
    };
    let few = registration(&chain, &key, &[0, 1]);
    assert_eq!(reject(&mut chain, few), Rejection::NotAdmitted);
    let good = registration(&chain, &key, &[0, 1, 2]);
    let mut wrong = good.clone();
    wrong.admissions.as_mut_slice()[1].signature = wrong.admissions[0].signature;
    assert_eq!(reject(&mut chain, wrong), Rejection::Admission);
    let mut twice = good.clone();
    twice.admissions.as_mut_slice()[1] = twice.admissions[0];
    assert_eq!(reject(&mut chain, twice), Rejection::Admission);
    let mut beyond = good.clone();
    beyond.admissions.as_mut_slice()[2].validator = 4;
    assert_eq!(reject(&mut chain, beyond), Rejection::Admission);
    // Admitted for another address, consented to another key.
    let mut moved = good.clone();
    moved.address = "192.0.2.1:1".parse().unwrap();
    assert_eq!(reject(&mut chain, moved), Rejection::Consent);
    let mut unwilling = good.clone();
    unwilling.key = node_key(11).verifying_key();
    assert_eq!(reject(&mut chain, unwilling), Rejection::Consent);
    let mut nowhere = good.clone();
    nowhere.address = "".parse().unwrap();
    assert_eq!(reject(&mut chain, nowhere), Rejection::Consent);
    let elsewhere = NodeRegistration::new(&digest("elsewhere", 0).into(), &key, good.address.clone()).unwrap();
    let mut foreign = good.clone();
    foreign.consent = elsewhere.consent;
    assert_eq!(reject(&mut chain, foreign), Rejection::Consent);
    let mut empty = good;
    empty.admissions = BoundedVec::empty();
    assert_eq!(reject(&mut chain, empty), Rejection::NotAdmitted);
}

#[test]
fn a_node_registers_once() {
    let mut chain = chain_with(quick());
    let key = node_key(10);
    register(&mut chain, &key);
    for _ in 0..6 {
        let again = registration(&chain, &key, &[0, 1, 2]);
        let again = chain.transaction(Body::RegisterNode(again));
        assert_eq!(chain.rejection(&again), Rejection::NodeExists);
        chain.pass(1);
    }
    let genesis = chain.net.nodes[0].clone();
    let again = registration(&chain, &genesis, &[0, 1, 2]);
    let again = chain.transaction(Body::RegisterNode(again));
    assert_eq!(chain.rejection(&again), Rejection::NodeExists);
}

#[test]
fn few_nodes_wait_at_once() {
    let mut limits = quick();
    limits.placement_delay_heights = 100;
    let mut chain = chain_with(limits);
    for round in 0..NODES_WAITING_MAX as u64 / 16 {
        let transactions = (0..16)
            .map(|number| {
                let registration = registration(&chain, &node_key(100 + round * 16 + number), &[0, 1, 2]);
                chain.transaction(Body::RegisterNode(registration))
            })
            .collect();
        chain.apply(transactions);
    }
    let more = registration(&chain, &node_key(99), &[0, 1, 2]);
    let more = chain.transaction(Body::RegisterNode(more));
    let rejection = chain.rejection(&more);
    assert_eq!(rejection, Rejection::NodeQueueFull);
    assert!(rejection.may_pass_later());
}

#[test]
fn the_set_changes_at_most_once_in_an_interval() {
    let mut limits = quick();
    limits.set_change_interval_heights = 6;
    let mut chain = chain_with(limits);
    // Registered at 1 and 2: due at 4 and 5, but the first change may come at 6 and takes both.
    register(&mut chain, &node_key(10));
    register(&mut chain, &node_key(11));
    chain.pass_to(5);
    assert_eq!(chain.executor.node_set().epoch(), SetEpoch::ZERO);
    chain.pass(1);
    assert_eq!(chain.executor.node_set().epoch(), SetEpoch::new(1));
    assert_eq!(chain.executor.node_set().len(), 6);
    // Registered at 7, due at 10, changed at 12.
    register(&mut chain, &node_key(12));
    chain.pass_to(11);
    assert_eq!(chain.executor.node_set().epoch(), SetEpoch::new(1));
    chain.pass(1);
    assert_eq!(chain.executor.node_set().epoch(), SetEpoch::new(2));
    let reader = chain.executor.reader();
    for (epoch, size) in [(0, 4), (1, 6), (2, 7)] {
        assert_eq!(reader.node_set(SetEpoch::new(epoch)).unwrap().unwrap().len(), size);
    }
    assert!(reader.node_set(SetEpoch::new(3)).unwrap().is_none());
    for (height, current) in [(0, 0), (5, 0), (6, 1), (11, 1), (12, 2)] {
        let sets = reader.node_sets(Height::new(height)).unwrap();
        assert_eq!(sets.current.epoch, SetEpoch::new(current), "{height}");
        let header = reader.header(Height::new(height)).unwrap().unwrap();
        assert_eq!(sets.root(), header.node_set_root);
    }
    chain.replayed();
}

#[test]
fn a_receipt_is_provable_across_one_change_of_the_set_and_not_across_two() {
    let mut chain = chain_of(net_with(4, 4, quick()));
    let client = LightClient::new(&chain.net.config).unwrap();
    // Low heights, as this chain has.
    let receipts: Vec<_> = (0..3).map(|number| low_receipt(&chain, number)).collect();
    let before = chain.anchor(&[&receipts[0]]);
    chain.apply(vec![before]);
    register(&mut chain, &node_key(10));
    chain.pass(4);
    assert_eq!(chain.executor.node_set().epoch(), SetEpoch::new(1));
    let across = chain.anchor(&[&receipts[1]]);
    chain.apply(vec![across]);
    register(&mut chain, &node_key(11));
    chain.pass(4);
    assert_eq!(chain.executor.node_set().epoch(), SetEpoch::new(2));
    let too_late = chain.anchor(&[&receipts[2]]);
    chain.apply(vec![too_late]);
    for receipt in &receipts[..2] {
        let proof = chain.executor.acceptance(receipt).unwrap().unwrap();
        let proof = tokenim_ledger::AcceptanceProof::from_bytes(&proof.to_bytes().unwrap()).unwrap();
        let accepted = client.verify_acceptance(&proof).unwrap();
        assert_eq!(accepted.envelope, receipt.envelope);
        let set = chain.executor.reader().node_set(accepted.set_epoch).unwrap().unwrap();
        accepted.check_placement(&set).unwrap();
    }
    assert!(chain.executor.acceptance(&receipts[2]).unwrap().is_none());
    // The set as the light client sees it.
    let lookup = chain.executor.lookup(&StateKey::node_set()).unwrap().unwrap();
    let (_, set) = client.verify_node_set(&lookup, None).unwrap();
    assert_eq!(set, *chain.executor.node_set());
}

/// A receipt signed at height zero.
pub fn low_receipt(chain: &Chain, number: u64) -> tokenim_mailbox::QuorumReceipt {
    use tokenim_mailbox::{Incarnation, LogPosition, MailboxTag, StorageReceipt, StorageReceiptBody, swarm};
    use tokenim_wire::{EnvelopeId, UnixSeconds};
    let tag = MailboxTag::from_bytes(digest("tag", number).to_bytes());
    let receipts: Vec<StorageReceipt> = swarm(&chain.net.set, &tag)
        .into_iter()
        .map(|member| {
            let key = chain.net.nodes.iter().find(|key| key.verifying_key() == member.key);
            let body = StorageReceiptBody {
                node: member.key,
                tag,
                envelope: EnvelopeId::from_bytes(digest("envelope", number).to_bytes()),
                expiry: UnixSeconds::new(1_800_001_000),
                position: LogPosition {
                    set_epoch: chain.net.set.epoch(),
                    incarnation: Incarnation::ZERO,
                    index: 0,
                    size: 1,
                    root: digest("log", number),
                    height: Height::ZERO,
                },
            };
            StorageReceipt::sign(&chain.net.id, key.unwrap(), body).unwrap()
        })
        .collect();
    tokenim_mailbox::QuorumReceipt::assemble(&chain.net.set, &receipts).unwrap()
}
