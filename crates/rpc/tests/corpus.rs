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

#[path = "../../../fuzz/replay.rs"]
mod replay;
#[path = "../../../fuzz/rpc/targets.rs"]
mod targets;

use replay::write;
use tokenim_wire::hex;

replay::tests!(request, response, header);

/// Writes the corpus, the short ones of the vectors: `cargo test -p tokenim-rpc --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    let files = [
        include_str!("vectors/messages.json"),
        include_str!("vectors/refused.json"),
    ];
    for cases in files {
        let cases: Vec<serde_json::Value> = serde_json::from_str(cases).unwrap();
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            let bytes = hex::decode(&text("bytes")).unwrap();
            if case["zeros"] != 0 || bytes.len() > 2000 {
                continue;
            }
            write(&text("object"), &text("name").replace(' ', "_"), &bytes);
        }
    }
}
