//! Replays the committed corpus of every fuzz target.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;
#[path = "../../../fuzz/replay.rs"]
mod replay;
#[path = "../../../fuzz/ledger/targets.rs"]
mod targets;

use replay::write;
use tokenim_consensus::{Choice, Misbehaviour, View};
use tokenim_identity::Signature;
use tokenim_ledger::{AncestryProof, Evidence, NodeQueue, Payload, Transaction, WaitingNode, proof::MerkleTree};
use tokenim_mailbox::mmr;
use tokenim_wire::{BoundedVec, Digest, Epoch, Height, Object, encode, hex};

replay::tests!(
    acceptance,
    ancestry,
    config,
    evidence,
    history,
    lookup,
    node_queue,
    paths,
    payload,
    transaction
);

/// Writes the corpus: `cargo test -p tokenim-ledger --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let bytes = |value: &serde_json::Value| hex::decode(value.as_str().unwrap()).unwrap();
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();

    let acceptance = json(include_str!("vectors/acceptance.json"));
    for (place, name) in [
        (0, "one_header"),
        (1, "two_headers"),
        (4, "wrong_sets"),
        (9, "no_sibling"),
    ] {
        write("acceptance", name, &bytes(&acceptance["cases"][place]["proof"]));
    }
    let lookups = json(include_str!("vectors/lookup.json"));
    for (place, name) in [
        (0, "incarnation"),
        (1, "node_set"),
        (2, "empty"),
        (3, "beside"),
        (6, "wrong_kind"),
    ] {
        write("lookup", name, &bytes(&lookups["cases"][place]["proof"]));
    }
    let histories = json(include_str!("vectors/history.json"));
    write("lookup", "identity", &bytes(&histories["lookup"]));
    for (place, name) in [
        (0, "whole"),
        (1, "one_more"),
        (2, "first_left_out"),
        (8, "another_height"),
    ] {
        write("history", name, &bytes(&histories["cases"][place]["page"]));
    }
    let transactions = json(include_str!("vectors/transactions.json"));
    let mut list = Vec::new();
    let names = [
        "identity",
        "node",
        "anchor",
        "incarnation",
        "group_start",
        "group_child",
        "unsigned",
    ];
    for (place, name) in names.iter().enumerate() {
        let one = bytes(&transactions[place]["bytes"]);
        write("transaction", name, &one);
        list.push(Transaction::from_bytes(&one).unwrap());
    }
    let payload = Payload(BoundedVec::try_from(list).unwrap()).to_bytes().unwrap();
    write("payload", "one_of_each", &payload);
    write("payload", "cut", &cut(&payload));
    write("payload", "empty", &Payload::default().to_bytes().unwrap());
    let network = json(include_str!("vectors/network.json"));
    let genesis = bytes(&network["config"]);
    write("config", "four", &genesis);
    write("config", "cut", &cut(&genesis));
    let refused = json(include_str!("vectors/refused.json"));
    for case in refused.as_array().unwrap() {
        let name = case["name"].as_str().unwrap().replace(' ', "_");
        if matches!(name.as_str(), "nodes_out_of_order" | "a_time_with_a_needless_byte") {
            write("config", &name, &bytes(&case["bytes"]));
        }
        if case["object"] == "lookup" {
            write("lookup", &name, &bytes(&case["bytes"]));
        }
    }

    let net = common::net(4, 4);
    let mut headers = vec![net.header(
        Digest::from_bytes([1; 32]),
        Digest::from_bytes([2; 32]),
        Digest::from_bytes([3; 32]),
    )];
    headers[0].height = Height::ZERO;
    let mut mountains = mmr::Accumulator::new();
    let mut nodes = Vec::new();
    for _ in 0..7 {
        let last = *headers.last().unwrap();
        nodes.extend(mountains.push(tokenim_ledger::header_leaf(&last)).unwrap().nodes);
        headers.push(net.child(&last));
    }
    let proof = AncestryProof {
        header: headers[2],
        path: mmr::prove(&nodes, 7, 2).unwrap(),
    };
    write("ancestry", "two_under_seven", &proof.to_bytes().unwrap());
    write("ancestry", "cut", &cut(&proof.to_bytes().unwrap()));

    let key = &net.validators[0];
    let choice = |number: u8| Choice {
        parent_view: View::new(4),
        digest: tokenim_consensus::BlockDigest::from_bytes([number; 32]),
        signature: Signature::from_bytes([number; 64]),
    };
    let voted_twice = Evidence::Consensus(Misbehaviour::two_finalizes(
        key.verifying_key(),
        Epoch::ZERO,
        View::new(5),
        choice(1),
        choice(2),
    ));
    write("evidence", "voted_twice_unsigned", &voted_twice.to_bytes().unwrap());
    let queue = NodeQueue {
        changed: Height::new(300),
        waiting: BoundedVec::try_from(vec![WaitingNode {
            key: key.verifying_key(),
            address: "192.0.2.1:7400".parse().unwrap(),
            registered: Height::new(290),
        }])
        .unwrap(),
    };
    write("node_queue", "one", &queue.to_bytes().unwrap());
    write("node_queue", "none", &NodeQueue::default().to_bytes().unwrap());

    let leaves: Vec<Digest> = (0..5).map(|number| Digest::from_bytes([number; 32])).collect();
    let tree = MerkleTree::new(leaves).unwrap();
    let with_head = |count: u8, shown: u8, rest: Vec<u8>| [vec![count, shown], rest].concat();
    write(
        "paths",
        "path",
        &with_head(5, 0, encode(&tree.path(3).unwrap()).unwrap()),
    );
    write(
        "paths",
        "several",
        &with_head(5, 0b10010, encode(&tree.prove(&[1, 4]).unwrap()).unwrap()),
    );
    let states = json(include_str!("vectors/state.json"));
    for place in [0, 5, 9] {
        let proof = bytes(&states[4]["proofs"][place]["proof"]);
        write("paths", &format!("state_{place}"), &with_head(5, 0, proof));
    }
}
