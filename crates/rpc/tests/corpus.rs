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

#[path = "../../../fuzz/rpc/targets.rs"]
mod targets;

use std::{fs, path::PathBuf};
use tokenim_wire::hex;

fn corpus(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../fuzz/rpc/corpus", target]
        .iter()
        .collect()
}

fn replay(target: &str, run: fn(&[u8])) {
    let mut files = 0;
    for file in fs::read_dir(corpus(target)).unwrap() {
        run(&fs::read(file.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 0, "{target} has no corpus");
}

#[test]
fn request() {
    replay("request", targets::request);
}

#[test]
fn response() {
    replay("response", targets::response);
}

#[test]
fn header() {
    replay("header", targets::header);
}

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
            let folder = corpus(&text("object"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(text("name").replace(' ', "_")), bytes).unwrap();
        }
    }
}
