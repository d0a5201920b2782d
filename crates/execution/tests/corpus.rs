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
#[path = "../../../fuzz/execution/targets.rs"]
mod targets;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use replay::write;
use std::{fs, path::PathBuf};

replay::tests!(chain, mempool, payload);

/// Bytes of a seed as input, so that ordinary test runs explore a little too; more with `TOKENIM_CASES`.
fn explore(run: fn(&[u8])) {
    let cases = std::env::var("TOKENIM_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(40);
    for seed in 0..cases {
        let mut bytes = [0; 192];
        ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
        println!("seed {seed}");
        run(&bytes);
    }
}

#[test]
fn chains_of_seeds() {
    explore(targets::chain);
}

#[test]
fn mempools_of_seeds() {
    explore(targets::mempool);
}

/// Writes the corpus: `cargo test -p tokenim-execution --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    // Choices: kind, lifetime, …, sponsor. See `chain`.
    let anchor = [0, 2, 3, 0];
    let incarnation = [1, 2, 1, 1, 1];
    let ann = [2, 3, 0, 1, 2];
    let node = [4, 3, 0, 4, 0];
    let propose = [6, 0, 9, 1];
    let commit = [8, 0];
    let restart = [9, 0];
    let again = [5, 0, 0];
    write(
        "chain",
        "one_of_each",
        &[&anchor[..], &incarnation, &ann, &node, &propose, &commit].concat(),
    );
    let empty = [&propose[..], &commit].concat();
    let placed = [&node[..], &propose, &commit, &empty, &empty, &empty, &empty].concat();
    write("chain", "node_placed", &placed);
    let siblings = [
        &ann[..],
        &propose,
        &anchor,
        &propose,
        &commit,
        &restart,
        &again,
        &propose,
        &commit,
    ]
    .concat();
    write("chain", "siblings_and_restart", &siblings);
    // Somebody gets a device, asks for a new root, and has it two blocks later.
    let person = |what: u8| [2, 4, 0, what, 1];
    let later = [6, 0, 9, 2];
    let rotated = [
        &person(1)[..],
        &later,
        &commit,
        &person(4),
        &later,
        &commit,
        &later,
        &commit,
        &person(5),
        &later,
        &commit,
        &person(8),
        &later,
        &commit,
    ]
    .concat();
    write("chain", "root_rotated", &rotated);
    // Two records for one place in siblings, of which one becomes final.
    let rivals = [
        &person(1)[..],
        &propose,
        &person(2),
        &propose,
        &commit,
        &propose,
        &commit,
    ]
    .concat();
    write("chain", "rivals", &rivals);
    // A session, a child of it and one of that, by two sponsors at once; then one by the wrong key.
    let group = |what: u8, signer: u8, sponsor: u8| [134, 3, 0, what, signer, sponsor];
    let log = [
        &group(0, 0, 0)[..],
        &group(1, 0, 1),
        &group(1, 0, 2),
        &propose,
        &commit,
        &group(2, 1, 0),
        &group(3, 1, 1),
        &group(3, 0, 2),
        &propose,
        &commit,
    ]
    .concat();
    write("chain", "group_log", &log);
    write(
        "mempool",
        "few",
        &[0, 3, 1, 1, 0x46, 2, 3, 2, 2, 3, 100, 50, 4, 1, 1, 5],
    );
    for seed in 0..4_u64 {
        let mut bytes = [0; 96];
        ChaCha8Rng::seed_from_u64(1000 + seed).fill_bytes(&mut bytes);
        write("chain", &format!("seed_{seed}"), &bytes);
        write("mempool", &format!("seed_{seed}"), &bytes);
    }
    write("payload", "empty", &[1, 0]);
    write("payload", "none", &[]);
    write("payload", "long", &[1, 0x81, 0x20]);
    let ledger: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../fuzz/ledger/corpus/payload/five"]
        .iter()
        .collect();
    write("payload", "foreign", &fs::read(ledger).unwrap());
}
