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

#[path = "../../../fuzz/storage/targets.rs"]
mod targets;

use std::{fs, path::PathBuf};

fn corpus(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../fuzz/storage/corpus", target]
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
fn state_store() {
    replay("state_store", targets::state_store);
}

#[test]
fn mailbox_store() {
    replay("mailbox_store", targets::mailbox_store);
}

#[test]
fn blob_store() {
    replay("blob_store", targets::blob_store);
}

/// Writes the corpus: `cargo test -p tokenim-storage --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    for target in ["state_store", "mailbox_store", "blob_store"] {
        fs::create_dir_all(corpus(target)).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(corpus(target).join(name), bytes).unwrap();
        write("empty", &[]);
        write("counting", &(0..=255).collect::<Vec<u8>>());
        // Multiplication spreads a few bytes over all operations.
        for (name, factor) in [("spread_a", 167_u8), ("spread_b", 75), ("spread_c", 213)] {
            let mut byte = factor;
            let bytes: Vec<u8> = (0..700_u16)
                .map(|number| {
                    byte = byte.wrapping_mul(factor).wrapping_add((number % 251) as u8 | 1);
                    byte.rotate_left(3)
                })
                .collect();
            write(name, &bytes);
        }
    }
}
