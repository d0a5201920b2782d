//! Acceptance proofs: what they show, how long they are, and every way to be refused.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{Net, digest, net};
use tokenim_consensus::{Certificate, FinalityError, FinalityProof};
use tokenim_ledger::{
    AcceptanceProof, LightClient, NodeSetCommitment, ProofError, SetSummary,
    proof::{MerklePath, PathError},
};
use tokenim_mailbox::{Member, NodeSet, QuorumReceipt, ReceiptError};
use tokenim_wire::{BoundedVec, Height, Object, SetEpoch, UnixSeconds};

fn client(net: &Net) -> LightClient {
    LightClient::new(&net.config).unwrap()
}

/// A proof from a network of four, in a block of `receipts`.
fn proof_of(net: &Net, receipts: u64) -> AcceptanceProof {
    net.acceptance(&net.receipt(1), receipts)
}

/// The proof with another header in place of its only one, certified anew.
fn with_header(net: &Net, proof: &AcceptanceProof, change: impl Fn(&mut tokenim_consensus::Header)) -> AcceptanceProof {
    let mut header = *proof.finality.subject().unwrap();
    change(&mut header);
    AcceptanceProof {
        finality: net.finality(&header),
        ..proof.clone()
    }
}

/// The proof for another receipt in the same place, anchored and certified anew.
fn with_receipt(net: &Net, proof: &AcceptanceProof, receipt: QuorumReceipt) -> AcceptanceProof {
    let changed = AcceptanceProof {
        path: MerklePath {
            index: 0,
            size: 1,
            siblings: BoundedVec::empty(),
        },
        receipt,
        ..proof.clone()
    };
    let root = changed.path.root(&changed.leaf()).unwrap();
    with_header(net, &changed, |header| header.receipts_root = root)
}

#[test]
fn a_proof_shows_an_accepted_envelope() {
    let net = net(4, 4);
    let receipt = net.receipt(1);
    let proof = AcceptanceProof::from_bytes(&net.acceptance(&receipt, 1024).to_bytes().unwrap()).unwrap();
    let accepted = client(&net).verify_acceptance(&proof).unwrap();
    assert_eq!(accepted.envelope, receipt.envelope);
    assert_eq!(accepted.tag, receipt.tag);
    assert_eq!(accepted.expiry, receipt.expiry);
    assert_eq!(accepted.height, Height::new(20_000_000));
    assert_eq!(accepted.signed_height, Height::new(19_999_990));
    assert_eq!(accepted.issuers.len(), 3);
    accepted.check_placement(&net.set).unwrap();
}

#[test]
fn a_receipt_of_the_previous_set_epoch_is_provable_and_an_older_one_is_not() {
    let net = net(4, 5);
    let receipt = net.receipt(1);
    let proof = net.acceptance(&receipt, 8);
    let old = SetSummary::of(&net.set);
    let newer = |epoch: u64| SetSummary {
        epoch: SetEpoch::new(epoch),
        size: 7,
        root: digest("set", epoch),
    };
    let show = |sets: NodeSetCommitment| {
        let proof = AcceptanceProof { sets, ..proof.clone() };
        let proof = with_header(&net, &proof, |header| header.node_set_root = sets.root());
        client(&net).verify_acceptance(&proof)
    };
    let set = show(NodeSetCommitment {
        current: newer(1),
        previous: old,
    });
    assert_eq!(set.unwrap().set_epoch, SetEpoch::ZERO);
    let set = show(NodeSetCommitment {
        current: newer(2),
        previous: newer(1),
    });
    assert_eq!(set, Err(ProofError::UnknownSetEpoch));
}

/// 1.4 KiB, 64 bytes for each signature of a quorum and a bit for each validator; three hashes for each doubling of the
/// nodes beyond 16.
fn formula(validators: usize, nodes: usize) -> usize {
    let quorum = validators - (validators - 1) / 3;
    let doublings = nodes.next_power_of_two().ilog2().saturating_sub(4) as usize;
    1434 + 64 * quorum + validators.div_ceil(8) + 3 * 32 * doublings
}

#[test]
fn a_proof_is_short() {
    for (validators, nodes) in [(4, 4), (4, 16), (7, 7), (13, 13), (100, 4), (100, 100)] {
        let net = net(validators, nodes);
        // The longest of some mailboxes: the more the issuers are scattered, the more siblings they need.
        let longest = (0..40)
            .map(|number| {
                let proof = net.acceptance(&net.receipt(number), 1024);
                if number == 0 {
                    client(&net).verify_acceptance(&proof).unwrap();
                }
                proof.to_bytes().unwrap().len()
            })
            .max()
            .unwrap();
        let bound = formula(validators as usize, nodes as usize);
        println!("{validators} validators, {nodes} nodes: {longest} bytes, at most {bound}");
        assert!(longest <= bound, "{validators} {nodes}: {longest}");
        if validators <= 13 {
            assert!(longest <= 2048);
        }
    }
}

#[test]
fn each_header_more_in_the_chain_costs_a_header() {
    let net = net(4, 4);
    let proof = proof_of(&net, 1024);
    let first = *proof.finality.subject().unwrap();
    let (second, third) = (net.child(&first), net.child(&net.child(&first)));
    let chained = AcceptanceProof {
        finality: FinalityProof::new(vec![first, second, third], net.certificate(&third)).unwrap(),
        ..proof.clone()
    };
    let accepted = client(&net).verify_acceptance(&chained).unwrap();
    assert_eq!(accepted.height, first.height);
    let (long, short) = (chained.to_bytes().unwrap().len(), proof.to_bytes().unwrap().len());
    assert!(long - short <= 2 * 290, "{}", long - short);
}

#[test]
fn sets_that_the_header_does_not_commit_to() {
    let net = net(4, 4);
    let mut proof = proof_of(&net, 8);
    proof.sets.previous.root = digest("other", 0);
    assert_eq!(client(&net).verify_acceptance(&proof), Err(ProofError::NodeSetRoot));
}

#[test]
fn keys_that_are_not_the_members() {
    let net = net(4, 4);
    let mut proof = proof_of(&net, 8);
    let mut keys = proof.keys.clone().into_inner();
    keys.swap(0, 1);
    proof.keys = BoundedVec::try_from(keys).unwrap();
    assert_eq!(
        client(&net).verify_acceptance(&proof),
        Err(ProofError::Members(PathError::Root))
    );
}

#[test]
fn more_or_fewer_keys_than_issuers() {
    let net = net(4, 4);
    let mut proof = proof_of(&net, 8);
    let mut keys = proof.keys.clone().into_inner();
    keys.pop();
    proof.keys = BoundedVec::try_from(keys).unwrap();
    assert_eq!(client(&net).verify_acceptance(&proof), Err(ProofError::KeyCount));
}

#[test]
fn a_member_beyond_the_set() {
    let net = net(4, 4);
    let proof = proof_of(&net, 8);
    let mut receipt = proof.receipt.clone();
    receipt.issuers.as_mut_slice()[2].member = 4;
    let proof = with_receipt(&net, &proof, receipt);
    assert_eq!(
        client(&net).verify_acceptance(&proof),
        Err(ProofError::Members(PathError::Position))
    );
}

#[test]
fn a_receipt_that_is_not_in_the_block() {
    let net = net(4, 4);
    let proof = AcceptanceProof {
        receipt: net.receipt(2),
        ..proof_of(&net, 8)
    };
    // The other mailbox has the same swarm here, so only the leaf differs.
    let shown = client(&net).verify_acceptance(&proof);
    assert!(matches!(
        shown,
        Err(ProofError::Receipt(PathError::Root) | ProofError::Members(PathError::Root))
    ));
    let mut proof = proof_of(&net, 8);
    proof.path.index ^= 1;
    assert_eq!(
        client(&net).verify_acceptance(&proof),
        Err(ProofError::Receipt(PathError::Root))
    );
}

#[test]
fn a_receipt_with_a_wrong_signature() {
    let net = net(4, 4);
    let proof = proof_of(&net, 8);
    let mut receipt = proof.receipt.clone();
    receipt.expiry = UnixSeconds::new(receipt.expiry.get() + 1);
    let proof = with_receipt(&net, &proof, receipt);
    assert_eq!(
        client(&net).verify_acceptance(&proof),
        Err(ProofError::QuorumReceipt(ReceiptError::SignatureInvalid))
    );
}

#[test]
fn fewer_issuers_than_a_quorum() {
    let net = net(4, 4);
    let proof = proof_of(&net, 8);
    let mut receipt = proof.receipt.clone();
    let mut issuers = receipt.issuers.into_inner();
    issuers.pop();
    receipt.issuers = BoundedVec::try_from(issuers).unwrap();
    let mut keys = proof.keys.clone().into_inner();
    keys.pop();
    let indices: Vec<u32> = receipt.issuers.iter().map(|issuer| issuer.member.into()).collect();
    let proof = AcceptanceProof {
        keys: BoundedVec::try_from(keys).unwrap(),
        members: tokenim_ledger::members_tree(&net.set).prove(&indices).unwrap(),
        ..proof
    };
    let proof = with_receipt(&net, &proof, receipt);
    assert_eq!(
        client(&net).verify_acceptance(&proof),
        Err(ProofError::QuorumReceipt(ReceiptError::TooFewIssuers {
            needed: 3,
            actual: 2
        }))
    );
}

#[test]
fn one_node_counted_twice() {
    let net = net(4, 4);
    let proof = proof_of(&net, 8);
    let mut receipt = proof.receipt.clone();
    receipt.issuers.as_mut_slice()[1] = receipt.issuers[0];
    let proof = with_receipt(&net, &proof, receipt);
    assert_eq!(
        client(&net).verify_acceptance(&proof),
        Err(ProofError::Members(PathError::Position))
    );
}

#[test]
fn a_receipt_signed_later_than_it_was_anchored() {
    let net = net(4, 4);
    let proof = with_header(&net, &proof_of(&net, 8), |header| {
        header.height = Height::new(19_999_989)
    });
    assert_eq!(client(&net).verify_acceptance(&proof), Err(ProofError::SignedLater));
}

#[test]
fn a_header_that_is_not_final() {
    let net = net(4, 4);
    let good = proof_of(&net, 8);
    let header = *good.finality.subject().unwrap();
    let refused = |certificate: Certificate| {
        let finality = FinalityProof::new(vec![header], certificate).unwrap();
        client(&net).verify_acceptance(&AcceptanceProof {
            finality,
            ..good.clone()
        })
    };
    let mut other = header;
    other.time = other.time.saturating_add(1);
    assert_eq!(
        refused(net.certificate(&other)),
        Err(ProofError::Finality(FinalityError::WrongDigest))
    );
    let mut bytes = net.certificate(&header).into_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(
        refused(Certificate::new(bytes).unwrap()),
        Err(ProofError::Finality(FinalityError::Signature { .. }))
    ));
    assert!(matches!(
        refused(Certificate::new(vec![]).unwrap()),
        Err(ProofError::Finality(FinalityError::Certificate(_)))
    ));
}

#[test]
fn a_proof_without_a_header() {
    let net = net(4, 4);
    let mut proof = proof_of(&net, 8);
    proof.finality.headers = BoundedVec::empty();
    assert_eq!(client(&net).verify_acceptance(&proof), Err(ProofError::NoHeader));
}

#[test]
fn a_proof_of_another_network() {
    let here = net(4, 4);
    let proof = proof_of(&here, 8);
    let elsewhere = LightClient::pinned(digest("elsewhere", 0).into(), here.config.validators().clone());
    // The receipt is checked first: its signatures name the network too.
    assert_eq!(
        elsewhere.verify_acceptance(&proof),
        Err(ProofError::QuorumReceipt(ReceiptError::SignatureInvalid))
    );
    let other = LightClient::pinned(here.id, net(7, 7).config.validators().clone());
    assert!(matches!(
        other.verify_acceptance(&proof),
        Err(ProofError::Finality(FinalityError::WrongValidatorCount { .. }))
    ));
}

#[test]
fn issuers_outside_of_the_swarm_are_seen_with_the_whole_set() {
    let net = net(4, 12);
    let proof = net.acceptance(&net.receipt(1), 8);
    let accepted = client(&net).verify_acceptance(&proof).unwrap();
    accepted.check_placement(&net.set).unwrap();
    // The same nodes in other places.
    let moved: Vec<Member> = net
        .set
        .members()
        .iter()
        .map(|member| Member {
            placement: tokenim_mailbox::PlacementId::new(&member.key, &digest("moved", 0)),
            ..member.clone()
        })
        .collect();
    let moved = NodeSet::new(SetEpoch::ZERO, moved).unwrap();
    assert_eq!(accepted.check_placement(&moved), Err(ProofError::Placement));
    let later = NodeSet::new(SetEpoch::new(1), net.set.members().to_vec()).unwrap();
    assert_eq!(accepted.check_placement(&later), Err(ProofError::UnknownSetEpoch));
}

#[test]
fn no_byte_of_a_proof_can_be_changed() {
    let net = net(4, 4);
    let bytes = proof_of(&net, 8).to_bytes().unwrap();
    let client = client(&net);
    let step = if std::env::var_os("TOKENIM_CASES").is_some() {
        1
    } else {
        7
    };
    for place in (0..bytes.len()).step_by(step) {
        let mut changed = bytes.clone();
        changed[place] ^= 1 << (place % 8);
        let shown = AcceptanceProof::from_bytes(&changed).map(|proof| client.verify_acceptance(&proof));
        assert!(!matches!(shown, Ok(Ok(_))), "byte {place}");
    }
    for length in (0..bytes.len()).step_by(step) {
        assert!(AcceptanceProof::from_bytes(&bytes[..length]).is_err());
    }
}
