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
#[path = "../../../fuzz/storage/targets.rs"]
mod targets;

replay::tests!(state_store, mailbox_store, blob_store);

/// Writes the corpus: `cargo test -p tokenim-storage --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    for target in ["state_store", "mailbox_store", "blob_store"] {
        let write = |name: &str, bytes: &[u8]| replay::write(target, name, bytes);
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
