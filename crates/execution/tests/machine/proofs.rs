//! Proofs of committed blocks, checked by the light client.

use crate::{
    chain::{Chain, chain, some_anchor},
    common::{digest, person},
    nodes::low_receipt,
};
use core::time::Duration;
use tokenim_consensus::FinalityError;
use tokenim_execution::{ExecutionError, STATE_HISTORY_HEIGHTS};
use tokenim_ledger::{
    AcceptanceProof, AncestryProof, LightClient, LookupProof, ProofError, StateKey, proof::PathError,
};
use tokenim_wire::{Epoch, Height, Object, UnixMillis, limits::FINALITY_CHAIN_MAX};

fn client(chain: &Chain) -> LightClient {
    LightClient::new(&chain.net.config).unwrap()
}

/// Commits an empty block without a certificate.
fn pass_uncertified(chain: &mut Chain, blocks: u64) {
    for _ in 0..blocks {
        let block = chain.propose(vec![]).block;
        chain.executor.commit(&block, None).unwrap();
        chain.head = block;
    }
}

fn sent(proof: &LookupProof) -> LookupProof {
    LookupProof::from_bytes(&proof.to_bytes().unwrap()).unwrap()
}

#[test]
fn an_identity_is_there_or_not() {
    let mut chain = chain();
    let mut ann = person(1);
    let ben = person(2);
    let update = ann.add_device(&chain.net.id, 1, chain.next());
    let update = chain.update(update);
    let id = *update.id();
    chain.apply(vec![update]);
    chain.pass(2);
    let client = client(&chain);
    let lookup = |key: &StateKey| sent(&chain.executor.lookup(key).unwrap().unwrap());
    let present = lookup(&StateKey::identity(&ann.state.id));
    let (header, found) = client.verify_identity(&ann.state.id, &present, None).unwrap();
    assert_eq!((header.height, found), (Height::new(3), Some(ann.state.clone())));
    let absent = lookup(&StateKey::identity(&ben.state.id));
    assert_eq!(client.verify_identity(&ben.state.id, &absent, None).unwrap().1, None);
    // Neither shows anything of the other.
    assert!(matches!(
        client.verify_identity(&ben.state.id, &present, None),
        Err(ProofError::State(_))
    ));
    assert!(client.verify_identity(&ann.state.id, &absent, None).is_err());
    // An absent node set would be no answer.
    let mut set = lookup(&StateKey::node_set());
    assert_eq!(client.verify_node_set(&set, None).unwrap().1, chain.net.set);
    set.value = None;
    assert_eq!(
        client.verify_node_set(&set, None),
        Err(ProofError::State(PathError::Kind))
    );
    let node = chain.net.nodes[0].verifying_key();
    let incarnation = lookup(&StateKey::incarnation(&node));
    assert_eq!(client.verify_incarnation(&node, &incarnation, None).unwrap().1, None);
    let recent = lookup(&StateKey::recent(&id));
    assert_eq!(
        client.verify_recent_transaction(&id, &recent, None).unwrap().1,
        Some(Height::new(5))
    );
}

#[test]
fn an_old_answer_is_refused_where_age_matters() {
    let mut chain = chain();
    chain.pass(1);
    let client = client(&chain);
    let id = person(1).state.id;
    let proof = chain.executor.lookup(&StateKey::identity(&id)).unwrap().unwrap();
    let time = chain.head.header.time;
    let at = |later: u64| Some((UnixMillis::new(time.get() + later), Duration::from_secs(10)));
    client.verify_identity(&id, &proof, at(0)).unwrap();
    client.verify_identity(&id, &proof, at(10_000)).unwrap();
    assert_eq!(
        client.verify_identity(&id, &proof, at(10_001)),
        Err(ProofError::TooOld {
            age_ms: 10_001,
            max_ms: 10_000
        })
    );
    // A clock that is behind is no reason.
    client
        .verify_identity(&id, &proof, Some((UnixMillis::new(0), Duration::ZERO)))
        .unwrap();
}

#[test]
fn lookups_are_of_the_newest_certified_height() {
    let mut chain = chain();
    let key = |chain: &Chain| StateKey::incarnation(&chain.net.nodes[0].verifying_key());
    assert!(
        chain.executor.lookup(&StateKey::node_set()).unwrap().is_none(),
        "before the first certificate"
    );
    let register = |chain: &mut Chain, number: u64| {
        let body = tokenim_ledger::Body::RegisterIncarnation(tokenim_ledger::IncarnationRegistration {
            node: chain.net.nodes[0].verifying_key(),
            incarnation: tokenim_mailbox::Incarnation::new(number),
        });
        chain.transaction(body)
    };
    let one = register(&mut chain, 1);
    chain.apply(vec![one]);
    // Blocks after it, which change the value and have no certificate of their own.
    for number in [2, 3] {
        let next = register(&mut chain, number);
        let block = chain.propose(vec![next]).block;
        chain.executor.commit(&block, None).unwrap();
        chain.head = block;
    }
    let client = client(&chain);
    let node = chain.net.nodes[0].verifying_key();
    let shown = |chain: &Chain| {
        let proof = chain.executor.lookup(&key(chain)).unwrap().unwrap();
        let (header, value) = client.verify_incarnation(&node, &proof, None).unwrap();
        (header.height.get(), value.unwrap().get())
    };
    assert_eq!(shown(&chain), (1, 1));
    // A late certificate moves it, an older one does not move it back.
    let certificate = |chain: &Chain, height: u64| {
        let header = chain.executor.reader().header(Height::new(height)).unwrap().unwrap();
        chain.net.certificate(&header)
    };
    chain
        .executor
        .put_certificate(Height::new(3), &certificate(&chain, 3))
        .unwrap();
    assert_eq!(shown(&chain), (3, 3));
    chain
        .executor
        .put_certificate(Height::new(2), &certificate(&chain, 2))
        .unwrap();
    assert_eq!(shown(&chain), (3, 3));
    assert_eq!(chain.executor.reader().certified().unwrap(), Some(Height::new(3)));
    // What is not changed by a block is found below it too.
    let proof = chain.executor.lookup(&StateKey::node_set()).unwrap().unwrap();
    client.verify_node_set(&proof, None).unwrap();
}

#[test]
fn every_height_has_a_proof_of_finality() {
    let mut chain = chain();
    let client = client(&chain);
    assert!(chain.executor.finality_proof(Height::ZERO).unwrap().is_none());
    pass_uncertified(&mut chain, 3);
    assert!(chain.executor.finality_proof(Height::new(1)).unwrap().is_none());
    chain.pass(1);
    for height in 0..=4 {
        let proof = chain.executor.finality_proof(Height::new(height)).unwrap().unwrap();
        assert_eq!(proof.headers.len() as u64, 5 - height);
        assert_eq!(client.verify_header(&proof).unwrap().height, Height::new(height));
    }
    assert!(chain.executor.finality_proof(Height::new(5)).unwrap().is_none());
    // One header more than a proof may have.
    let from = chain.height().get() + 1;
    pass_uncertified(&mut chain, FINALITY_CHAIN_MAX as u64);
    chain.pass(1);
    let proof = |height: u64| chain.executor.finality_proof(Height::new(height)).unwrap();
    assert!(proof(from).is_none());
    assert_eq!(proof(from + 1).unwrap().headers.len(), FINALITY_CHAIN_MAX);
    client.verify_header(&proof(from + 1).unwrap()).unwrap();
}

#[test]
fn a_certificate_is_verified_whenever_it_comes() {
    let mut chain = chain();
    let block = chain.propose(vec![]).block;
    let good = chain.net.certificate(&block.header);
    let mut other = block.header;
    other.time = other.time.saturating_add(1);
    let wrong = chain.net.certificate(&other);
    let refused = ExecutionError::Certificate(FinalityError::WrongDigest);
    assert_eq!(chain.executor.commit(&block, Some(&wrong)).unwrap_err(), refused);
    assert_eq!(chain.executor.committed().0, Height::ZERO);
    // Before the block: kept, and dropped with it when it is none.
    chain.executor.put_certificate(Height::new(1), &wrong).unwrap();
    chain.executor.commit(&block, None).unwrap();
    assert_eq!(chain.executor.reader().certificate(Height::new(1)).unwrap(), None);
    // After it.
    assert_eq!(
        chain.executor.put_certificate(Height::new(1), &wrong).unwrap_err(),
        refused
    );
    chain.executor.put_certificate(Height::new(1), &good).unwrap();
    chain.executor.put_certificate(Height::new(1), &good).unwrap();
    assert_eq!(chain.executor.reader().certificate(Height::new(1)).unwrap(), Some(good));
    chain.head = block;
    let block = chain.propose(vec![]).block;
    let early = chain.net.certificate(&block.header);
    chain.executor.put_certificate(Height::new(2), &early).unwrap();
    chain.executor.commit(&block, None).unwrap();
    assert_eq!(
        chain.executor.reader().certificate(Height::new(2)).unwrap(),
        Some(early)
    );
    assert_eq!(chain.executor.reader().certified().unwrap(), Some(Height::new(2)));
}

#[test]
fn an_accepted_envelope_is_proved() {
    let mut chain = chain();
    let client = client(&chain);
    let receipts: Vec<_> = (0..9).map(|number| low_receipt(&chain, number)).collect();
    assert!(chain.executor.acceptance(&receipts[0]).unwrap().is_none());
    let anchor = chain.anchor(&receipts.iter().collect::<Vec<_>>());
    let other = chain.transaction_by(1, some_anchor(1));
    let block = chain.propose(vec![anchor, other]).block;
    chain.executor.commit(&block, None).unwrap();
    chain.head = block;
    assert!(
        chain.executor.acceptance(&receipts[0]).unwrap().is_none(),
        "not certified"
    );
    chain.pass(1);
    for receipt in &receipts {
        let proof = chain.executor.acceptance(receipt).unwrap().unwrap();
        let proof = AcceptanceProof::from_bytes(&proof.to_bytes().unwrap()).unwrap();
        let accepted = client.verify_acceptance(&proof).unwrap();
        assert_eq!((accepted.envelope, accepted.tag), (receipt.envelope, receipt.tag));
        assert_eq!(accepted.height, Height::new(1));
        accepted.check_placement(&chain.net.set).unwrap();
    }
}

#[test]
fn a_ledger_holds_nothing_but_hashes_of_receipts() {
    let mut chain = chain();
    let receipt = low_receipt(&chain, 1);
    let anchor = chain.anchor(&[&receipt]);
    chain.apply(vec![anchor]);
    let block = chain.head.to_bytes().unwrap();
    let holds = |bytes: &[u8]| block.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(receipt.leaf().as_bytes()));
    assert!(!holds(receipt.tag.as_bytes()));
    assert!(!holds(receipt.envelope.as_bytes()));
}

#[test]
fn an_old_header_is_provable_under_any_later_one() {
    let mut chain = chain();
    chain.pass(20);
    let client = client(&chain);
    let reader = chain.executor.reader();
    for descendant in [1_u64, 2, 7, 8, 19, 20] {
        let proof = chain.executor.finality_proof(Height::new(descendant)).unwrap().unwrap();
        let last = client.verify_header(&proof).unwrap();
        for height in 0..descendant {
            let proof = reader
                .ancestry(Height::new(height), Height::new(descendant))
                .unwrap()
                .unwrap();
            let mut proof = AncestryProof::from_bytes(&proof.to_bytes().unwrap()).unwrap();
            let header = *client.verify_ancestor(&last, &proof).unwrap();
            assert_eq!(Some(header), reader.header(Height::new(height)).unwrap());
            proof.header.state_root = digest("other", 0);
            assert!(matches!(
                client.verify_ancestor(&last, &proof),
                Err(ProofError::Ancestry(_))
            ));
        }
        assert!(
            reader
                .ancestry(Height::new(descendant), Height::new(descendant))
                .unwrap()
                .is_none()
        );
    }
    assert!(reader.ancestry(Height::new(1), Height::new(21)).unwrap().is_none());
}

#[test]
fn history_is_kept_for_a_while_and_the_store_does_not_grow_with_the_chain() {
    use tokenim_storage::{StateStore, Table};
    let mut chain = chain();
    let client = client(&chain);
    let count = |chain: &Chain, table: Table| chain.store.scan(table, &[], &[], usize::MAX, false).unwrap().len();
    let mut ann = person(1);
    // Enough state that blocks rewrite some of it.
    for number in 0..8 {
        let update = ann.add_device(&chain.net.id, number, chain.next());
        let update = chain.update(update);
        chain.apply(vec![update]);
    }
    pass_uncertified(&mut chain, STATE_HISTORY_HEIGHTS);
    let key = StateKey::identity(&ann.state.id);
    let proof = chain.executor.lookup(&key).unwrap().unwrap();
    let (header, found) = client.verify_identity(&ann.state.id, &proof, None).unwrap();
    assert_eq!((header.height, found), (Height::new(8), Some(ann.state.clone())));
    let nodes = count(&chain, Table::new("ledger/nodes"));
    pass_uncertified(&mut chain, 1);
    assert!(chain.executor.lookup(&key).unwrap().is_none(), "too far behind");
    for _ in 0..STATE_HISTORY_HEIGHTS {
        pass_uncertified(&mut chain, 1);
    }
    assert!(count(&chain, Table::new("ledger/nodes")) <= nodes);
    assert!(count(&chain, Table::new("ledger/undo")) == 0);
    assert!(count(&chain, Table::new("ledger/stale")) as u64 <= STATE_HISTORY_HEIGHTS);
    chain.pass(1);
    let proof = chain.executor.lookup(&key).unwrap().unwrap();
    client.verify_identity(&ann.state.id, &proof, None).unwrap();
}

#[test]
fn proofs_are_served_while_blocks_are_committed() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let mut chain = chain();
    chain.pass(1);
    let client = client(&chain);
    let reader = chain.executor.reader();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut served = 0_u32;
            while !done.load(Ordering::Relaxed) {
                let proof = reader.lookup(&StateKey::node_queue()).unwrap().unwrap();
                client.verify_value(&StateKey::node_queue(), &proof, None).unwrap();
                served += 1;
            }
            served
        });
        let mut anchors = 0;
        for _ in 0..40 {
            let transactions = (0..4)
                .map(|_| {
                    anchors += 1;
                    chain.transaction(some_anchor(anchors))
                })
                .collect();
            chain.apply(transactions);
        }
        done.store(true, Ordering::Relaxed);
        assert!(worker.join().unwrap() > 0);
    });
    assert_eq!(chain.head.header.epoch, Epoch::ZERO);
}
