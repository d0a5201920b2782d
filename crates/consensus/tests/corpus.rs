//! Replays the committed corpus of every fuzz target.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use serde_json::Value;
use tokenim_wire::hex;

#[path = "../../../fuzz/replay.rs"]
mod replay;
#[path = "../../../fuzz/consensus/targets.rs"]
mod targets;

use replay::write;

replay::tests!(certificate, header, block, validator_set, finality_proof, misbehaviour);

/// Writes the corpus from the vectors: `cargo test -p tokenim-consensus --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/finality.json")).unwrap();
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let joined = |set: &Value, rest: &Value| {
        let (set, rest) = (bytes(set), bytes(rest));
        let length = u16::try_from(set.len()).unwrap().to_be_bytes();
        [length.as_slice(), &set, &rest].concat()
    };
    let name = |case: &Value| case["name"].as_str().unwrap().to_owned();
    for case in vectors["accepted"].as_array().unwrap() {
        write("certificate", &name(case), &bytes(&case["certificate"]));
    }
    for case in vectors["rejected"].as_array().unwrap() {
        write("certificate", &name(case), &bytes(&case["certificate"]));
    }
    let accepted = vectors["accepted"].as_array().unwrap();
    for case in &accepted[..3] {
        let header = bytes(&case["header"]);
        write("header", &name(case), &header);
    }
    let header = bytes(&accepted[0]["header"]);
    write("header", "truncated", &header[..header.len() - 1]);
    write("header", "unknown_version", &[&[2], &header[1..]].concat());
    for case in &accepted[2..5] {
        write("validator_set", &name(case), &bytes(&case["validators"]));
    }
    let set = bytes(&accepted[0]["validators"]);
    let mut swapped = set.clone();
    swapped[2..35].copy_from_slice(&set[35..68]);
    swapped[35..68].copy_from_slice(&set[2..35]);
    write("validator_set", "out_of_order", &swapped);
    let mut heavy = set.clone();
    heavy[34] = 2;
    write("validator_set", "weight_of_two", &heavy);
    for case in vectors["proofs"].as_array().unwrap() {
        write(
            "finality_proof",
            &name(case),
            &joined(&case["validators"], &case["proof"]),
        );
    }
    for case in vectors["misbehaviour"].as_array().unwrap() {
        write(
            "misbehaviour",
            &name(case),
            &joined(&case["validators"], &case["evidence"]),
        );
    }
    let block = {
        use tokenim_consensus::{Block, Header, payload_root};
        use tokenim_wire::Object;
        let mut header = Header::from_bytes(&header).unwrap();
        let payload = b"a payload".to_vec();
        header.payload_root = payload_root(&payload);
        Block::new(header, payload).unwrap().to_bytes().unwrap()
    };
    write("block", "valid", &block);
    let mut other = block.clone();
    *other.last_mut().unwrap() ^= 1;
    write("block", "other_payload", &other);
    write("block", "truncated", &block[..block.len() - 1]);
}
