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
#[path = "../../../fuzz/mls/targets.rs"]
mod targets;

use replay::write;
use tokenim_mls::{LeafCertificate, Proposed, SessionSuite, SignedLeafCertificate};
use tokenim_wire::{Object, UnixSeconds};

replay::tests!(certificate, join, member, package, state);

/// Writes the corpus: `cargo test -p tokenim-mls --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    for (pair, name) in targets::PAIRS.iter().zip(["classical", "post_quantum"]) {
        let suite = pair.groups[0].suite();
        let owner = targets::owner(3);
        let certificate = LeafCertificate {
            identity: owner.identity,
            device: owner.device.verifying_key(),
            leaf: [9; 32],
            suite,
            created: targets::NOW,
            expires: UnixSeconds::new(targets::NOW.get() + 86_400),
        };
        let signed = SignedLeafCertificate::sign(&targets::NETWORK, &owner.device, certificate).unwrap();
        write("certificate", name, &signed.to_bytes().unwrap());
        write("package", name, &targets::new_package(3, suite).package);
        write("join", name, &pair.welcome);
        let [first, second] = &pair.groups;
        let message = first.clone().encrypt(b"text", &mut targets::rng(20)).unwrap();
        write("member", &format!("{name}_message"), &message);
        let update = Proposed {
            update: true,
            ..Proposed::default()
        };
        let commit = first.commit(&update, targets::NOW, &mut targets::rng(21)).unwrap();
        write("member", &format!("{name}_commit"), &commit.bytes);
        let remove = Proposed {
            remove: vec![1],
            ..Proposed::default()
        };
        let commit = first.commit(&remove, targets::NOW, &mut targets::rng(22)).unwrap();
        write("member", &format!("{name}_removal"), &commit.bytes);
        write("state", name, &second.to_bytes().unwrap());
    }
    assert_eq!(SessionSuite::ALL.len(), 2);
}
