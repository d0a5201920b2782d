//! Replays the committed corpus of every fuzz target.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code
)]

mod common;
#[path = "../../../fuzz/replay.rs"]
mod replay;
#[path = "../../../fuzz/wallet/targets.rs"]
mod targets;

use common::{bytes, list, text, vectors};
use replay::write;
use tokenim_wallet::{Opening, WalletSignature};
use tokenim_wire::{Object, encode};

replay::tests!(account, opening, signature, statement);

/// Writes the corpus: `cargo test -p tokenim-wallet --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    for (number, link) in list(&vectors("links.json")["links"]).iter().enumerate() {
        let (name, bytes) = (text(link, "name"), bytes(link, "opening"));
        let opening = Opening::from_bytes(&bytes).unwrap();
        let account = opening.statement().account();
        write("account", name, account.to_string().as_bytes());
        write("opening", name, &bytes);
        let statement = encode(opening.statement()).unwrap();
        write("statement", name, &statement);
        write("statement", &format!("{name}_cut"), &statement[..statement.len() - 1]);
        let number = u8::try_from(number).unwrap();
        let signature = |text: &str| [&[number], text.as_bytes()].concat();
        write("signature", name, &signature(text(link, "signature")));
        // One character changed, where it is part of the number and not of a checksum.
        let signed = WalletSignature::parse(account, text(link, "signature")).unwrap();
        let mut changed = signed.to_string().into_bytes();
        let place = changed.len() / 2;
        changed[place] = if changed[place] == b'1' { b'2' } else { b'1' };
        write(
            "signature",
            &format!("{name}_changed"),
            &signature(std::str::from_utf8(&changed).unwrap()),
        );
    }
    for case in list(&vectors("accounts.json")["accepted"]).iter().skip(20) {
        let text = text(case, "text");
        let name: String = text.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
        write("account", &name, text.as_bytes());
    }
    for case in list(&vectors("refused.json")["malformed"]) {
        let bytes = bytes(case, "opening");
        assert!(Opening::from_bytes(&bytes).is_err());
        write("opening", text(case, "name"), &bytes);
    }
}
