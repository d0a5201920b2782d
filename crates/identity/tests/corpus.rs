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
#[path = "../../../fuzz/identity/targets.rs"]
mod targets;

use common::{NETWORK, bytes, device, envelope, person, place, rng, vectors};
use replay::write;
use tokenim_identity::{
    Argon2Cost, DeviceConsent, HistoryEntry, IdentityId, Keystore, KeystoreKind, RootSigningKey, SafetyNumber,
    SignedRecord, VerificationCode, signed_bytes,
};
use tokenim_wire::Object;

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap().to_be_bytes()
}

replay::tests!(
    record,
    state,
    history,
    share,
    text,
    signature,
    keystore,
    safety_number,
    verification_code
);

/// Writes the corpus: `cargo test -p tokenim-identity --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    let (phrase, none) = person();
    let add = SignedRecord::add_device(&NETWORK, &none, &phrase.root_key(0), &device(0), envelope(0)).unwrap();
    let one = none.apply(&place(5, 5), &add).unwrap();
    let pair = |state: &[u8], record: &[u8]| [&length(state)[..], state, record].concat();
    let (before, added) = (none.to_bytes().unwrap(), add.to_bytes().unwrap());
    write("record", "add", &pair(&before, &added));
    write("record", "add_cut", &pair(&before, &added[..added.len() - 1]));
    write("record", "add_again", &pair(&one.to_bytes().unwrap(), &added));
    write(
        "record",
        "genesis",
        &pair(&before, &phrase.genesis().to_bytes().unwrap()),
    );

    // The chain of the vectors: every operation, in the state that it belongs to.
    let chain: serde_json::Value = vectors(include_str!("vectors/chain.json"));
    let text = |value: &serde_json::Value| bytes(value.as_str().unwrap());
    let (mut before, mut entries) = (text(&chain["state"]), vec![text(&chain["genesis"])]);
    for step in chain["steps"].as_array().unwrap() {
        let (name, record) = (step["name"].as_str().unwrap(), text(&step["record"]));
        write("record", name, &pair(&before, &record));
        before = text(&step["state"]);
        write("state", name, &before);
        let entry = HistoryEntry {
            record: SignedRecord::from_bytes(&record).unwrap(),
            height: step["height"].as_u64().unwrap().into(),
            time: step["time"].as_u64().unwrap().into(),
        };
        let entry = entry.to_bytes().unwrap();
        entries.push([&length(&entry)[..], &entry].concat());
    }
    write("history", "whole", &entries.concat());
    write("history", "first", &entries[..2].concat());
    write("history", "gap", &[&entries[0][..], &entries[1], &entries[3]].concat());

    let recovery: serde_json::Value = vectors(include_str!("vectors/recovery.json"));
    for set in recovery["sets"].as_array().unwrap() {
        let share = set["shares"][0]["text"].as_str().unwrap();
        write("share", set["name"].as_str().unwrap(), share.as_bytes());
    }
    for refused in recovery["refused"].as_array().unwrap() {
        let [name, share] = ["name", "text"].map(|field| refused[field].as_str().unwrap());
        write("share", name, share.as_bytes());
    }

    write("text", "name", none.id.to_string().as_bytes());
    write("text", "name_upper", none.id.to_string().to_uppercase().as_bytes());
    write("text", "key", none.root.to_string().as_bytes());
    write("text", "words", phrase.expose().as_bytes());

    let people = [1, 2].map(|seed| {
        let root = RootSigningKey::from_seed([seed; 32]).verifying_key();
        (IdentityId::from_bytes([seed; 32]), root)
    });
    let number = SafetyNumber::between(&people[0], &people[1]).to_string();
    write("safety_number", "written", number.as_bytes());
    write("safety_number", "dense", number.replace(' ', "").as_bytes());
    write("safety_number", "lines", number.replace(' ', "\r\n\u{a0}").as_bytes());
    write("safety_number", "short", &number.as_bytes()[1..]);
    write("safety_number", "hyphens", number.replace(' ', "-").as_bytes());
    let code = VerificationCode::between(&people[0], &people[1]).to_string();
    write("verification_code", "shown", code.as_bytes());
    write("verification_code", "cut", &code.as_bytes()[..code.len() - 1]);
    write("verification_code", "small", code.to_lowercase().as_bytes());
    write(
        "verification_code",
        "version_2",
        code.replacen(":1:", ":2:", 1).as_bytes(),
    );
    let oneself = VerificationCode::between(&people[0], &people[0]).to_string();
    write("verification_code", "oneself", oneself.as_bytes());

    let keys = device(0).keys(envelope(0));
    let consent = DeviceConsent {
        identity: none.id,
        seq: 1,
        keys,
    };
    let message = signed_bytes(&NETWORK, &consent).unwrap();
    let signature = device(0).signing.sign(&NETWORK, &consent).unwrap();
    let key = device(0).signing.verifying_key();
    write(
        "signature",
        "good",
        &[key.as_ref(), signature.as_ref(), message.as_slice()].concat(),
    );
    write(
        "signature",
        "other_message",
        &[key.as_ref(), signature.as_ref(), b"x"].concat(),
    );
    let mut small = [0; 101];
    (small[0], small[32]) = (1, 1);
    small[96..].copy_from_slice(b"Zcash");
    write("signature", "small_order", &small);

    let secrets = device(0).expose_bytes();
    let sealed = Keystore::seal(
        b"passphrase",
        KeystoreKind::Device,
        &secrets,
        Argon2Cost::MINIMUM,
        &mut rng(5),
    )
    .unwrap();
    write("keystore", "secrets", &secrets);
    write("keystore", "sealed", &sealed);
    write("keystore", "sealed_cut", &sealed[..sealed.len() - 1]);
}
