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
#[path = "../../../fuzz/identity/targets.rs"]
mod targets;

use common::{NETWORK, device, envelope, person, rng};
use std::{fs, path::PathBuf};
use tokenim_identity::{
    Argon2Cost, DeviceConsent, IdentityId, IdentityState, Keystore, KeystoreKind, RootSigningKey, SafetyNumber,
    SignedRecord, VerificationCode, signed_bytes,
};
use tokenim_wire::{Height, Object};

fn corpus(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../fuzz/identity/corpus", target]
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
fn record() {
    replay("record", targets::record);
}

#[test]
fn text() {
    replay("text", targets::text);
}

#[test]
fn signature() {
    replay("signature", targets::signature);
}

#[test]
fn keystore() {
    replay("keystore", targets::keystore);
}

#[test]
fn safety_number() {
    replay("safety_number", targets::safety_number);
}

#[test]
fn verification_code() {
    replay("verification_code", targets::verification_code);
}

/// Writes the corpus: `cargo test -p tokenim-identity --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus(target)).unwrap();
        fs::write(corpus(target).join(name), bytes).unwrap();
    };
    let (phrase, none) = person();
    let root = phrase.root_key(0);
    let add = SignedRecord::add_device(&NETWORK, &none, &root, &device(0), envelope(0)).unwrap();
    let one = none.apply(&NETWORK, &add, Height::new(5)).unwrap();
    let revoke = SignedRecord::revoke_device(&NETWORK, &one, &root, device(0).device_id()).unwrap();
    let leave = SignedRecord::revoke_own_device(&NETWORK, &one, &device(0).signing).unwrap();
    let pair = |state: &IdentityState, record: &[u8]| {
        let state = state.to_bytes().unwrap();
        [
            &u16::try_from(state.len()).unwrap().to_be_bytes(),
            state.as_slice(),
            record,
        ]
        .concat()
    };
    let added = add.to_bytes().unwrap();
    write("record", "add", &pair(&none, &added));
    write("record", "add_cut", &pair(&none, &added[..added.len() - 1]));
    write("record", "add_again", &pair(&one, &added));
    write("record", "revoke", &pair(&one, &revoke.to_bytes().unwrap()));
    write("record", "leave", &pair(&one, &leave.to_bytes().unwrap()));
    write("record", "genesis", &pair(&none, &phrase.genesis().to_bytes().unwrap()));

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
