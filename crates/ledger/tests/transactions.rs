//! Transactions by themselves, configurations, and evidence.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{At, digest, net, node_key, person, session};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tokenim_consensus::{Choice, Misbehaviour, Proposal, Validator, ValidatorSet, View};
use tokenim_identity::Signature;
use tokenim_ledger::{
    Anchor, Body, ConfigError, Evidence, EvidenceError, GenesisNode, IncarnationRegistration, LedgerLimits,
    NetworkConfig, NodeRegistration, Outcome, Payload, Rejection, StateKey, Transaction, TransactionError,
    TransactionId,
};
use tokenim_mailbox::{Incarnation, group::GroupUpdate};
use tokenim_wire::{BoundedVec, Epoch, Height, Object, UnixMillis, decode, encode, limits};

fn bodies() -> Vec<Body> {
    let net = net(4, 4);
    let mut registration = NodeRegistration::new(&net.id, &node_key(10), "192.0.2.99:7400".parse().unwrap()).unwrap();
    for place in [3, 0, 2] {
        let admission = registration
            .admission(&net.id, place, &net.validators[usize::from(place)])
            .unwrap();
        registration.admit(admission).unwrap();
    }
    vec![
        person(1).add_device(&net.id, 1, At::height(1)).into(),
        Body::RegisterNode(registration),
        Body::Anchor(Anchor::new(vec![digest("leaf", 1), digest("leaf", 2)]).unwrap()),
        Body::RegisterIncarnation(IncarnationRegistration {
            node: node_key(0).verifying_key(),
            incarnation: Incarnation::new(7),
        }),
        GroupUpdate::Start(session(1).start).into(),
        session(1).follow(&net, session(1).start.handle().root(), 0).into(),
    ]
}

#[test]
fn a_sponsored_transaction_verifies_and_nothing_of_it_can_be_changed() {
    let net = net(4, 4);
    for body in bodies() {
        let transaction = Transaction::sponsored(&net.id, &net.nodes[0], body, Height::new(300), 1).unwrap();
        let bytes = transaction.to_bytes().unwrap();
        assert_eq!(Transaction::from_bytes(&bytes).unwrap(), transaction);
        let verified = transaction.clone().verify(&net.id).unwrap();
        assert_eq!(*verified.id(), transaction.id().unwrap());
        assert_eq!(verified.encoded_len(), bytes.len() - 1);
        assert_eq!(verified.into_transaction(), transaction);
        for place in 1..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            if let Ok(changed) = Transaction::from_bytes(&changed) {
                assert_eq!(
                    changed.verify(&net.id),
                    Err(TransactionError::Signature),
                    "byte {place}"
                );
            }
        }
        assert_eq!(
            transaction.verify(&digest("elsewhere", 0).into()),
            Err(TransactionError::Signature)
        );
    }
}

#[test]
fn the_largest_of_each_kind_fits() {
    let net = net(4, 4);
    let leaves = (0..limits::ANCHOR_LEAVES_MAX as u64)
        .map(|number| digest("leaf", number))
        .collect();
    let anchor = Body::Anchor(Anchor::new(leaves).unwrap());
    let transaction = Transaction::sponsored(&net.id, &net.nodes[0], anchor, Height::MAX, u64::MAX).unwrap();
    transaction.verify(&net.id).unwrap();
    let many = (0..=limits::ANCHOR_LEAVES_MAX as u64)
        .map(|number| digest("leaf", number))
        .collect();
    assert!(Anchor::new(many).is_none());
    let mut registration = NodeRegistration::new(&net.id, &node_key(10), "a".repeat(128).parse().unwrap()).unwrap();
    for place in 0..128 {
        registration
            .admit(tokenim_ledger::Admission {
                validator: place,
                signature: Signature::from_bytes([1; 64]),
            })
            .unwrap();
    }
    assert_eq!(
        registration.admit(tokenim_ledger::Admission {
            validator: 128,
            signature: Signature::from_bytes([1; 64]),
        }),
        Err(Rejection::Admission)
    );
}

#[test]
fn a_configuration_of_nothing_or_too_much() {
    let key = node_key(1).verifying_key();
    let validators = ValidatorSet::new(vec![Validator::new(key)]).unwrap();
    let node = |number: u64| GenesisNode {
        key: node_key(number).verifying_key(),
        address: "192.0.2.1:1".parse().unwrap(),
    };
    let make = |name: &str, nodes: Vec<GenesisNode>, limits: LedgerLimits| {
        NetworkConfig::new(name, common::STARTED, validators.clone(), nodes, limits)
    };
    let good = LedgerLimits::default();
    assert!(make("a", vec![node(2), node(1)], good).is_ok());
    assert_eq!(make("", vec![node(1)], good), Err(ConfigError::Name));
    assert_eq!(make(&"a".repeat(65), vec![node(1)], good), Err(ConfigError::Name));
    assert_eq!(make("a", vec![], good), Err(ConfigError::Nodes));
    assert_eq!(make("a", vec![node(1), node(1)], good), Err(ConfigError::Nodes));
    let bad = LedgerLimits {
        sponsor_transactions_per_block: 17,
        ..good
    };
    assert_eq!(make("a", vec![node(1)], bad), Err(ConfigError::Limits));
    assert_eq!(good.recovery_window_ms, 72 * 60 * 60 * 1000);
    for (recovery_window_ms, is_valid) in [
        (0, false),
        (limits::RECOVERY_WINDOW_MILLIS_MIN - 1, false),
        (limits::RECOVERY_WINDOW_MILLIS_MIN, true),
        (limits::RECOVERY_WINDOW_MILLIS_MAX, true),
        (limits::RECOVERY_WINDOW_MILLIS_MAX + 1, false),
    ] {
        let window = LedgerLimits {
            recovery_window_ms,
            ..good
        };
        assert_eq!(make("a", vec![node(1)], window).is_ok(), is_valid);
    }
    // Whatever differs, the network is another one.
    let ids: BTreeSet<_> = [
        make("a", vec![node(1)], good),
        make("b", vec![node(1)], good),
        make("a", vec![node(2)], good),
        make(
            "a",
            vec![node(1)],
            LedgerLimits {
                placement_delay_heights: 9,
                ..good
            },
        ),
        make(
            "a",
            vec![node(1)],
            LedgerLimits {
                recovery_window_ms: 1_000,
                ..good
            },
        ),
    ]
    .into_iter()
    .map(|config| config.unwrap().network_id().unwrap())
    .collect();
    assert_eq!(ids.len(), 5);
}

#[test]
fn state_keys_differ() {
    let keys = [
        StateKey::node_set(),
        StateKey::previous_node_set(),
        StateKey::node_queue(),
        StateKey::validators(),
        StateKey::identity(&person(1).state.id),
        StateKey::identity(&person(2).state.id),
        StateKey::incarnation(&node_key(1).verifying_key()),
        StateKey::recent(&TransactionId::from_bytes(node_key(1).verifying_key().to_bytes())),
        StateKey::group(&[1; 32].into(), &[1; 32].into()),
        StateKey::group(&[1; 32].into(), &[2; 32].into()),
        StateKey::group(&[2; 32].into(), &[1; 32].into()),
    ];
    assert_eq!(BTreeSet::from(keys).len(), keys.len());
}

#[test]
fn rejections_have_their_number_in_their_encoding() {
    // Where a variant stands decides on its encoding: neither may ever change.
    let fixed = [
        (Rejection::Expired, 0),
        (Rejection::UnknownSponsor, 3),
        (Rejection::RecordPrevious, 10),
        (Rejection::Anchor, 20),
        (Rejection::NotAdmitted, 26),
        (Rejection::Unsupported, 29),
        (Rejection::IdentityDeactivated, 30),
        (Rejection::NextRootForeign, 31),
        (Rejection::RecoveryUnset, 32),
        (Rejection::RecoveryForeign, 33),
        (Rejection::RecoveryThreshold, 34),
        (Rejection::DevicesOrder, 35),
        (Rejection::Outranked, 36),
        (Rejection::NothingPending, 37),
        (Rejection::LinkExists, 39),
        (Rejection::LinkUnknown, 40),
        (Rejection::LinksFull, 41),
        (Rejection::GroupExists, 42),
        (Rejection::GroupParentUnknown, 43),
        (Rejection::GroupChildKnown, 44),
        (Rejection::GroupChildrenFull, 45),
        (Rejection::GroupSignature, 46),
        (Rejection::GroupReceiptForeign, 47),
        (Rejection::GroupKeptTooShortly, 48),
        (Rejection::GroupReceiptSetEpoch, 49),
        (Rejection::GroupReceipt, 50),
    ];
    for (rejection, code) in fixed {
        assert_eq!(rejection.code(), code);
        assert_eq!(encode(&rejection).unwrap(), [code as u8]);
        assert_eq!(encode(&Outcome::Rejected(rejection)).unwrap(), [1, code as u8]);
    }
    let sequence = Rejection::RecordSequence {
        expected: 3,
        actual: 300,
    };
    assert_eq!(encode(&sequence).unwrap(), [9, 3, 0xac, 0x02]);
    assert_eq!(decode::<Rejection>(&[9, 3, 0xac, 0x02], 8), Ok(sequence));
    let not_due = Rejection::NotDue {
        due: UnixMillis::new(300),
    };
    assert_eq!(not_due.code(), 38);
    assert!(not_due.may_pass_later());
    assert_eq!(encode(&not_due).unwrap(), [38, 0xac, 0x02]);
    assert_eq!(decode::<Rejection>(&[38, 0xac, 0x02], 8), Ok(not_due));
    assert!(decode::<Rejection>(&[51], 8).is_err());
    assert_eq!(encode(&Outcome::Applied).unwrap(), [0]);
}

#[test]
fn evidence_convicts_a_validator() {
    let net = net(4, 4);
    let key = &net.validators[1];
    let choice = |number: u64| {
        let proposal = Proposal {
            epoch: Epoch::ZERO,
            view: View::new(9),
            parent_view: View::new(8),
            digest: tokenim_consensus::BlockDigest::from_bytes(digest("block", number).to_bytes()),
        };
        Choice {
            parent_view: proposal.parent_view,
            digest: proposal.digest,
            signature: common::engine_sign(key, &proposal.finalize_bytes(&net.id)),
        }
    };
    let validator = key.verifying_key();
    let (one, other) = (choice(1), choice(2));
    let evidence = Evidence::Consensus(Misbehaviour::two_finalizes(
        validator,
        Epoch::ZERO,
        View::new(9),
        one,
        other,
    ));
    let evidence = Evidence::from_bytes(&evidence.to_bytes().unwrap()).unwrap();
    assert_eq!(evidence.verify(&net.id, net.config.validators()), Ok(validator));
    assert!(matches!(
        evidence.verify(&digest("elsewhere", 0).into(), net.config.validators()),
        Err(EvidenceError::Consensus(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn payloads_come_back(
        picks in prop::collection::vec((0_usize..6, 1_u64..5000, any::<u64>()), 0..6),
    ) {
        let net = net(1, 4);
        let bodies = bodies();
        let list: Vec<Transaction> = picks
            .into_iter()
            .map(|(kind, height, nonce)| {
                let sponsor = &net.nodes[kind % 4];
                Transaction::sponsored(&net.id, sponsor, bodies[kind].clone(), Height::new(height), nonce).unwrap()
            })
            .collect();
        let payload = Payload(BoundedVec::try_from(list).unwrap());
        let bytes = payload.to_bytes().unwrap();
        prop_assert_eq!(Payload::from_bytes(&bytes).unwrap(), payload);
        for cut in (0..bytes.len()).step_by(31) {
            prop_assert!(Payload::from_bytes(&bytes[..cut]).is_err());
        }
    }
}
