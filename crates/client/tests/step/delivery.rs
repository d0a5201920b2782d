use tokenim_client::step::{Delivery, Fault, Progress, PutAnswer};
use tokenim_identity::NodeSigningKey;
use tokenim_mailbox::{MailboxTag, StorageReceipt, StorageReceiptBody};
use tokenim_rpc::{ErrorCode, RpcError};
use tokenim_wire::{EnvelopeId, SetEpoch, UnixMillis, UnixSeconds};

use crate::world::{EXPIRY, NETWORK, TAG, World, envelope, receipt, receipt_body};

type Lie = Box<dyn Fn(&mut StorageReceiptBody)>;

const START: UnixMillis = UnixMillis::new(1_000);

fn delivery(world: &World) -> (Delivery, EnvelopeId) {
    let id = envelope(1).0;
    (Delivery::new(NETWORK, world.set.clone(), TAG, id, EXPIRY), id)
}

fn signed(key: &NodeSigningKey, change: impl FnOnce(&mut StorageReceiptBody)) -> PutAnswer {
    let mut body = receipt_body(key.verifying_key(), envelope(1).0);
    change(&mut body);
    PutAnswer::Receipt(Box::new(StorageReceipt::sign(&NETWORK, key, body).unwrap()))
}

#[test]
fn w_receipts_make_the_quorum_receipt() {
    for (nodes, wanted) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (9, 3)] {
        let world = World::new(nodes, 1);
        let (mut delivery, id) = delivery(&world);
        let asked = delivery.ask(START);
        assert_eq!(asked.len(), nodes.min(5), "all of the swarm at once");
        assert!(delivery.ask(START).is_empty(), "nobody is asked twice");
        for (count, node) in asked.iter().enumerate() {
            match delivery.progress() {
                Progress::Pending { receipts, wanted: w } => assert_eq!((receipts, w), (count, wanted)),
                Progress::Accepted(_) => break,
                other => panic!("{other:?}"),
            }
            let answer = PutAnswer::Receipt(Box::new(receipt(world.key(node), id)));
            delivery.answer(node, answer, START).unwrap();
        }
        let Progress::Accepted(quorum) = delivery.progress() else {
            panic!("not accepted");
        };
        assert_eq!(quorum.issuers.len(), wanted);
        quorum.verify_in(&NETWORK, &world.set).unwrap();
    }
}

#[test]
fn a_receipt_counts_once() {
    let world = World::new(4, 2);
    let (mut delivery, id) = delivery(&world);
    let node = delivery.ask(START)[0];
    for _ in 0..5 {
        let answer = PutAnswer::Receipt(Box::new(receipt(world.key(&node), id)));
        delivery.answer(&node, answer, START).unwrap();
    }
    assert!(matches!(delivery.progress(), Progress::Pending { receipts: 1, .. }));
}

#[test]
fn wrong_receipts_are_faults_and_end_in_failure() {
    let world = World::new(4, 3);
    let lies: [(&str, Lie); 4] = [
        ("tag", Box::new(|body| body.tag = MailboxTag::from_bytes([6; 32]))),
        ("envelope", Box::new(|body| body.envelope = envelope(2).0)),
        ("expiry", Box::new(|body| body.expiry = UnixSeconds::new(5))),
        ("position", Box::new(|body| body.position.size = 90)),
    ];
    for (what, lie) in &lies {
        let (mut delivery, _) = delivery(&world);
        let asked = delivery.ask(START);
        let outcome = delivery.answer(&asked[0], signed(world.key(&asked[0]), lie), START);
        if *what == "position" {
            // Another position is the node's own affair.
            assert_eq!(outcome, Ok(()));
        } else {
            assert_eq!(outcome, Err(Fault::ReceiptForAnother), "{what}");
        }
    }

    // Another node's receipt, and a signature that is not the node's.
    let (mut delivery, id) = delivery(&world);
    let asked = delivery.ask(START);
    let other = PutAnswer::Receipt(Box::new(receipt(world.key(&asked[1]), id)));
    assert_eq!(delivery.answer(&asked[0], other, START), Err(Fault::ReceiptForAnother));
    let mut forged = receipt(world.key(&asked[1]), id);
    forged.body.position.size += 1;
    assert_eq!(
        delivery.answer(&asked[1], PutAnswer::Receipt(Box::new(forged)), START),
        Err(Fault::ReceiptSignature)
    );
    assert!(matches!(
        delivery.progress(),
        Progress::Failed { receipts: 0, wanted: 3 }
    ));
    assert!(
        delivery.ask(UnixMillis::new(u64::MAX)).is_empty(),
        "a liar is not asked again"
    );
}

#[test]
fn a_node_that_fails_is_asked_again_after_a_growing_pause() {
    let world = World::new(4, 4);
    let (mut delivery, id) = delivery(&world);
    let asked = delivery.ask(START);
    for node in &asked[..3] {
        delivery.answer(node, PutAnswer::Unreachable, START).unwrap();
    }
    assert!(delivery.ask(START).is_empty());
    let wake = delivery.wake().unwrap();
    assert_eq!(wake, UnixMillis::new(1_200));
    assert_eq!(delivery.ask(wake).len(), 3);
    for node in &asked[..3] {
        delivery.answer(node, PutAnswer::Unreachable, wake).unwrap();
    }
    assert_eq!(delivery.wake(), Some(UnixMillis::new(1_600)));

    // The node's own wish counts when it is longer.
    let busy = PutAnswer::from(&RpcError::retry(ErrorCode::BUSY, "busy", 9_000));
    delivery.answer(&asked[3], busy, wake).unwrap();
    assert!(matches!(delivery.progress(), Progress::Pending { receipts: 0, .. }));
    let late = UnixMillis::new(20_000);
    for node in delivery.ask(late) {
        let answer = PutAnswer::Receipt(Box::new(receipt(world.key(&node), id)));
        delivery.answer(&node, answer, late).unwrap();
    }
    assert!(matches!(delivery.progress(), Progress::Accepted(_)));
}

#[test]
fn refusals_for_good_make_it_hopeless() {
    let world = World::new(4, 5);
    let (mut delivery, _) = delivery(&world);
    let asked = delivery.ask(START);
    let refused = PutAnswer::from(&RpcError::new(ErrorCode::BAD_EXPIRY, "expired"));
    delivery.answer(&asked[0], refused.clone(), START).unwrap();
    assert!(matches!(delivery.progress(), Progress::Pending { .. }));
    delivery.answer(&asked[1], refused, START).unwrap();
    assert!(matches!(
        delivery.progress(),
        Progress::Failed { receipts: 0, wanted: 3 }
    ));
    assert!(!delivery.other_set());
}

#[test]
fn another_node_set_is_reported() {
    let world = World::new(4, 6);
    let (mut delivery, _) = delivery(&world);
    let asked = delivery.ask(START);
    let newer = signed(world.key(&asked[0]), |body| body.position.set_epoch = SetEpoch::new(1));
    delivery.answer(&asked[0], newer, START).unwrap();
    assert!(delivery.other_set());
    let moved = PutAnswer::from(&RpcError::new(ErrorCode::NOT_IN_SWARM, "elsewhere"));
    delivery.answer(&asked[1], moved, START).unwrap();
    assert!(matches!(delivery.progress(), Progress::Failed { .. }));
}

#[test]
fn answers_of_strangers_change_nothing() {
    let world = World::new(4, 7);
    let (mut delivery, id) = delivery(&world);
    let stranger = &World::new(1, 8).keys[0];
    delivery.ask(START);
    delivery
        .answer(
            &stranger.verifying_key(),
            PutAnswer::Receipt(Box::new(receipt(stranger, id))),
            START,
        )
        .unwrap();
    assert!(matches!(delivery.progress(), Progress::Pending { receipts: 0, .. }));
}

#[test]
fn a_forged_receipt_after_the_quorum_is_a_fault_and_changes_nothing() {
    let world = World::new(4, 9);
    let (mut delivery, id) = delivery(&world);
    let asked = delivery.ask(START);
    for node in &asked[..3] {
        let answer = PutAnswer::Receipt(Box::new(receipt(world.key(node), id)));
        delivery.answer(node, answer, START).unwrap();
    }
    let Progress::Accepted(before) = delivery.progress() else {
        panic!("not accepted");
    };
    let mut forged = receipt(world.key(&asked[0]), id);
    forged.body.node = asked[3];
    let answer = PutAnswer::Receipt(Box::new(forged));
    assert_eq!(delivery.answer(&asked[3], answer, START), Err(Fault::ReceiptSignature));
    assert!(matches!(delivery.progress(), Progress::Accepted(after) if after == before));
    assert_eq!(delivery.receipts().len(), 3);
}
