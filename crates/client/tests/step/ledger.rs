//! What the client believes of the ledger, against proofs from a network made of seeds.

use tokenim_client::step::{Comparison, Fault, LedgerView, LookedUp, LookupError, Pin, Proved, Split};
use tokenim_ledger::proof::{EMPTY_STATE_ROOT, StateProof, Terminal, state_leaf_hash, state_value_hash};
use tokenim_ledger::{FinalityProof, LookupProof, StateKey, header_leaf};
use tokenim_mailbox::group::{GroupNode, LedgerPlace, RecordedChild};
use tokenim_mailbox::{MailboxTag, NodeSet};
use tokenim_wire::{Digest, EnvelopeId, Height, Object as _, SetEpoch, UnixMillis};

use crate::common::{At, Net, STARTED, net, person, session};

fn at(seconds: u64) -> UnixMillis {
    STARTED.saturating_add(seconds * 1_000)
}

/// The proof that a state with one entry, or none, holds this value, or none, in block `height` of second `seconds`.
fn lookup(net: &Net, key: &StateKey, value: Option<Vec<u8>>, height: u64, seconds: u64) -> LookupProof {
    let (root, terminal) = match &value {
        Some(value) => (state_leaf_hash(key, &state_value_hash(value)), Terminal::Own),
        None => (EMPTY_STATE_ROOT, Terminal::Empty),
    };
    let mut header = net.header(Digest::from_bytes([0; 32]), Digest::from_bytes([0; 32]), root);
    header.height = Height::new(height);
    header.time = at(seconds);
    LookupProof {
        value: value.map(|value| value.try_into().unwrap()),
        proof: StateProof::new(terminal, []).unwrap(),
        finality: FinalityProof::new(vec![header], net.certificate(&header)).unwrap(),
    }
}

struct Anna {
    key: StateKey,
    id: tokenim_identity::IdentityId,
    value: Vec<u8>,
}

fn anna(net: &Net) -> Anna {
    let mut anna = person(1);
    anna.add_device(&net.id, 1, At::height(5));
    Anna {
        key: StateKey::identity(&anna.state.id),
        id: anna.state.id,
        value: anna.state.to_bytes().unwrap(),
    }
}

fn view(net: &Net) -> LedgerView {
    LedgerView::new(&net.config).unwrap()
}

#[test]
fn a_proved_identity_is_believed_and_moves_the_tip() {
    let net = net(4, 4);
    let anna = anna(&net);
    let mut view = view(&net);
    assert_eq!(view.tip(), None);
    let found = view.identity(
        &anna.id,
        &lookup(&net, &anna.key, Some(anna.value.clone()), 9, 100),
        None,
    );
    let found = found.unwrap();
    assert_eq!((found.height, found.time), (Height::new(9), at(100)));
    assert_eq!(found.state.unwrap().active_devices().count(), 1);
    assert_eq!(
        view.tip().map(|tip| (tip.height, tip.time)),
        Some((Height::new(9), at(100)))
    );

    // An older header is proved too, but moves nothing back.
    view.identity(&anna.id, &lookup(&net, &anna.key, Some(anna.value), 7, 90), None)
        .unwrap();
    assert_eq!(
        view.tip().map(|tip| (tip.height, tip.time)),
        Some((Height::new(9), at(100)))
    );
}

#[test]
fn answers_that_do_not_verify_are_faults() {
    let net = net(4, 4);
    let anna = anna(&net);
    let good = lookup(&net, &anna.key, Some(anna.value.clone()), 9, 100);
    let faulty = |proof: &LookupProof, id| {
        let mut view = view(&net);
        let error = view.identity(id, proof, None).unwrap_err();
        assert!(
            matches!(&error, LookupError::Fault(fault) if matches!(**fault, Fault::Proof(_))),
            "{error}"
        );
        assert_eq!(view.tip(), None, "nothing of it is believed");
    };
    // Another value, a denied value, another identity's proof, another network. That too few signatures make no certificate is tested with them.
    let mut changed = good.clone();
    changed.value = Some(person(2).state.to_bytes().unwrap().try_into().unwrap());
    faulty(&changed, &anna.id);
    let mut denied = good.clone();
    denied.value = None;
    denied.proof = StateProof::new(Terminal::Empty, []).unwrap();
    faulty(&denied, &anna.id);
    let other = person(2).state.id;
    faulty(&good, &other);
    faulty(
        &lookup(&crate::common::net(5, 4), &anna.key, Some(anna.value.clone()), 9, 100),
        &anna.id,
    );
}

#[test]
fn an_older_state_than_one_seen_is_not_believed() {
    let net = net(4, 4);
    let anna = anna(&net);
    let mut view = view(&net);
    let pin = Pin {
        height: Height::new(10),
        time: at(100),
        suite: None,
        state: None,
    };
    let proof = |height| lookup(&net, &anna.key, Some(anna.value.clone()), height, 100);
    let error = view.identity(&anna.id, &proof(9), Some(&pin)).unwrap_err();
    assert_eq!(
        error,
        LookupError::RolledBack {
            height: Height::new(9),
            seen: Height::new(10)
        }
    );
    assert!(view.identity(&anna.id, &proof(10), Some(&pin)).is_ok());
    assert!(view.identity(&anna.id, &proof(11), Some(&pin)).is_ok());
}

#[test]
fn a_look_up_is_only_as_good_as_it_is_recent() {
    let net = net(4, 4);
    let anna = anna(&net);
    let mut view = view(&net);
    let there = view
        .identity(
            &anna.id,
            &lookup(&net, &anna.key, Some(anna.value.clone()), 9, 100),
            None,
        )
        .unwrap();
    assert_eq!(view.check_age(&there, at(130), at(130), 30_000), Ok(()));
    assert_eq!(
        view.check_age(&there, at(131), at(131), 30_000),
        Err(LookupError::TooOld { age_ms: 31_000 })
    );
    // Block time may be ahead of this clock.
    assert_eq!(view.check_age(&there, at(1), at(1), 30_000), Ok(()));

    // An absence must be of a block after the question.
    let absent = view
        .identity(&anna.id, &lookup(&net, &anna.key, None, 9, 100), None)
        .unwrap();
    assert_eq!(
        absent,
        LookedUp {
            state: None,
            ..there.clone()
        }
    );
    assert_eq!(view.check_age(&absent, at(100), at(104), 0), Ok(()));
    assert_eq!(
        view.check_age(&absent, at(100).saturating_add(1), at(104), 30_000),
        Err(LookupError::TooOld { age_ms: 4_000 })
    );
    // And not older than what was seen already.
    view.identity(&anna.id, &lookup(&net, &anna.key, None, 10, 101), None)
        .unwrap();
    assert!(view.check_age(&absent, at(100), at(104), 30_000).is_err());
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_new() {
    let net = net(4, 4);
    let anna = anna(&net);
    let mut view = view(&net);
    let proof = |height, seconds| lookup(&net, &anna.key, Some(anna.value.clone()), height, seconds);
    let old = view.identity(&anna.id, &proof(9, 100), None).unwrap();
    view.identity(&anna.id, &proof(200, 200), None).unwrap();
    assert_eq!(
        view.check_age(&old, at(100), at(100), 30_000),
        Err(LookupError::TooOld { age_ms: 100_000 })
    );
    // What is kept since then is as old, too.
    assert_eq!(view.age_ms(old.time, at(100)), 100_000);
    assert_eq!(view.age_ms(old.time, at(250)), 150_000);
    // Also after a restart.
    let mut later = crate::ledger::view(&net);
    later.resume(view.tip().unwrap());
    assert_eq!(later.age_ms(old.time, at(100)), 100_000);
    let old = later.identity(&anna.id, &proof(9, 100), None).unwrap();
    assert!(later.check_age(&old, at(100), at(100), 30_000).is_err());
}

#[test]
fn the_node_set_only_moves_forwards() {
    let net = net(4, 4);
    let mut view = view(&net);
    assert_eq!(*view.nodes(), net.set);
    let set = |epoch: u64, nodes: usize| {
        let members = net.set.members().iter().take(nodes).cloned().collect();
        NodeSet::new(SetEpoch::new(epoch), members).unwrap()
    };
    let proof = |set: &NodeSet, height| lookup(&net, &StateKey::node_set(), Some(set.to_bytes().unwrap()), height, 100);
    assert_eq!(*view.node_set(&proof(&set(2, 3), 20)).unwrap(), set(2, 3));
    // What was true before is proved as well, but is no news.
    assert_eq!(*view.node_set(&proof(&set(1, 2), 10)).unwrap(), set(2, 3));
    let mut forged = proof(&set(3, 2), 30);
    forged.value = Some(set(3, 1).to_bytes().unwrap().try_into().unwrap());
    assert!(matches!(view.node_set(&forged), Err(Fault::Proof(_))));
    assert_eq!(*view.nodes(), set(2, 3));
}

#[test]
fn an_acceptance_proof_must_be_about_what_was_asked() {
    let net = net(4, 4);
    let mut view = view(&net);
    let receipt = net.receipt(1);
    let proof = net.acceptance(&receipt, 8);
    let accepted = view.acceptance(&receipt.tag, &receipt.envelope, &proof).unwrap();
    assert_eq!(accepted.envelope, receipt.envelope);
    assert_eq!(
        view.tip().map(|tip| (tip.height, tip.time)),
        Some((accepted.height, accepted.time))
    );

    let other = (MailboxTag::from_bytes([1; 32]), EnvelopeId::from_bytes([1; 32]));
    assert_eq!(
        view.acceptance(&other.0, &receipt.envelope, &proof),
        Err(Fault::ProofForAnother)
    );
    assert_eq!(
        view.acceptance(&receipt.tag, &other.1, &proof),
        Err(Fault::ProofForAnother)
    );
    let mut forged = proof;
    forged.receipt.expiry = forged.receipt.expiry.saturating_add(1);
    assert!(matches!(
        view.acceptance(&receipt.tag, &receipt.envelope, &forged),
        Err(Fault::Proof(_))
    ));
}

#[test]
fn issuers_that_do_not_keep_the_mailbox_are_refused() {
    // Nine nodes, of which five keep a mailbox: a receipt of others is signed by members of the set, but not the swarm.
    let net = net(4, 9);
    let mut view = view(&net);
    let good = net.receipt(1);
    // A mailbox that not all of them keep.
    let tag = (2..)
        .map(|number| net.receipt(number).tag)
        .find(|tag| {
            let swarm = tokenim_mailbox::swarm(&net.set, tag);
            good.issuers.iter().any(|issuer| {
                let key = net.set.get(issuer.member).unwrap().key;
                swarm.iter().all(|member| member.key != key)
            })
        })
        .unwrap();
    // Whoever signed for `good` claims to keep the other mailbox; the signatures are theirs.
    let receipts: Vec<_> = good
        .issuers
        .iter()
        .map(|issuer| {
            let key = net.set.get(issuer.member).unwrap().key;
            let key = net.nodes.iter().find(|node| node.verifying_key() == key).unwrap();
            let body = tokenim_mailbox::StorageReceiptBody {
                node: key.verifying_key(),
                tag,
                envelope: good.envelope,
                expiry: good.expiry,
                position: tokenim_mailbox::LogPosition {
                    set_epoch: good.set_epoch,
                    incarnation: issuer.incarnation,
                    index: issuer.index,
                    size: issuer.size,
                    root: issuer.root,
                    height: issuer.height,
                },
            };
            tokenim_mailbox::StorageReceipt::sign(&net.id, key, body).unwrap()
        })
        .collect();
    let mut receipt = good.clone();
    receipt.tag = tag;
    let issuers = receipt
        .issuers
        .iter()
        .zip(&receipts)
        .map(|(issuer, receipt)| tokenim_mailbox::Issuer {
            signature: receipt.signature,
            ..*issuer
        });
    receipt.issuers = tokenim_wire::BoundedVec::try_from_iter(issuers).unwrap();
    let proof = net.acceptance(&receipt, 8);
    let outcome = view.acceptance(&tag, &receipt.envelope, &proof);
    assert_eq!(outcome, Err(Fault::Proof(tokenim_ledger::ProofError::Placement)));
}

#[test]
fn a_header_that_somebody_saw_is_the_same_another_or_unknown() {
    let net = net(4, 4);
    let anna = anna(&net);
    let mut view = view(&net);
    let proof = lookup(&net, &anna.key, Some(anna.value), 9, 100);
    view.identity(&anna.id, &proof, None).unwrap();
    let ours = view.tip().unwrap().header;
    assert_eq!(ours, header_leaf(proof.finality.subject().unwrap()));
    let other = Digest::from_bytes([7; 32]);
    assert_eq!(view.compare(Height::new(9), &ours), Comparison::Same);
    assert_eq!(view.compare(Height::new(9), &other), Comparison::Other(ours));
    assert_eq!(view.compare(Height::new(8), &other), Comparison::Unknown);
}

#[test]
fn two_headers_of_one_height_are_not_forgotten() {
    let net = net(4, 4);
    let anna = anna(&net);
    let mut view = view(&net);
    let mut see = |height, seconds| {
        let proof = lookup(&net, &anna.key, Some(anna.value.clone()), height, seconds);
        view.identity(&anna.id, &proof, None).unwrap();
        (header_leaf(proof.finality.subject().unwrap()), view.split())
    };
    let (first, none) = see(9, 100);
    assert_eq!(none, None);
    assert_eq!(see(9, 100).1, None);
    assert_eq!(see(10, 101).1, None);
    let (second, split) = see(9, 102);
    let height = Height::new(9);
    let expected = Some(Split { height, first, second });
    assert_eq!(split, expected);
    // The first one stays, whatever comes.
    assert_eq!(see(10, 103).1, expected);
    assert_eq!(view.compare(height, &first), Comparison::Same);
}

#[test]
fn that_nothing_follows_is_believed_of_a_recent_answer_only() {
    let net = net(4, 4);
    let session = session(1);
    let (handle, root) = (session.start.handle(), session.start.handle().root());
    let key = StateKey::group(&handle, &root);
    let place = LedgerPlace {
        height: Height::new(5),
        time: at(50),
        index: 0,
    };
    let mut node = GroupNode::start(&session.start, place);
    let empty = node.clone();
    let (child, _) = session.child(&net, root, 1);
    node.children.push(RecordedChild { child, place }).unwrap();
    let shown = |node: Option<&GroupNode>, height, seconds| {
        let value = node.map(|node| node.to_bytes().unwrap());
        lookup(&net, &key, value, height, seconds)
    };
    let ask = |proof: &LookupProof, after, now| view(&net).group_node((&handle, &root), proof, after, now);
    let children = |found: Proved<Option<GroupNode>>| found.value.map(|node| node.children.len());

    // Nothing there, or nothing more, only from a recent block.
    for (shown, after, expected) in [
        (shown(None, 9, 100), 0, None),
        (shown(Some(&empty), 9, 100), 0, Some(0)),
        (shown(Some(&node), 9, 100), 1, Some(1)),
        (shown(Some(&node), 9, 100), 7, Some(1)),
    ] {
        assert_eq!(children(ask(&shown, after, at(223)).unwrap()), expected);
        assert!(matches!(
            ask(&shown, after, at(224)),
            Err(LookupError::TooOld { age_ms: 124_000 })
        ));
    }
    // What is there stays there.
    let found = ask(&shown(Some(&node), 9, 100), 0, at(100_000)).unwrap();
    assert_eq!((found.height, found.time), (Height::new(9), at(100)));
    assert_eq!(children(found), Some(1));
    // A newer header seen makes an old answer old, whatever the clock says.
    let mut seen = view(&net);
    seen.group_node((&handle, &root), &shown(Some(&node), 20, 300), 0, at(0))
        .unwrap();
    let old = seen.group_node((&handle, &root), &shown(Some(&empty), 9, 100), 0, at(0));
    assert!(matches!(old, Err(LookupError::TooOld { .. })));
    // Another value, another entry, a denied one: the node is at fault.
    let mut changed = shown(Some(&node), 9, 100);
    changed.value = Some(empty.to_bytes().unwrap().try_into().unwrap());
    let mut denied = shown(Some(&node), 9, 100);
    denied.value = None;
    let other = lookup(&net, &StateKey::group(&handle, &[9; 32].into()), None, 9, 100);
    for proof in [changed, denied] {
        assert!(matches!(ask(&proof, 0, at(100)), Err(LookupError::Fault(_))));
    }
    // The empty state proves every absence; with a leaf in it, it is one of that key alone.
    assert_eq!(ask(&other, 0, at(100)).unwrap().value, None);
    let other = lookup(&net, &StateKey::group(&handle, &[9; 32].into()), Some(vec![1]), 9, 100);
    assert!(matches!(ask(&other, 0, at(100)), Err(LookupError::Fault(_))));
}
