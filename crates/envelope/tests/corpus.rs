//! Replays the corpus of the fuzz targets. To write the seeds anew:
//!
//! ```text
//! cargo test -p tokenim-envelope --test corpus -- --ignored write_seeds
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub
)]

use std::fs;
use std::path::{Path, PathBuf};

use tokenim_envelope::hpke::{self, SecretKey};
use tokenim_envelope::{Content, EnvelopeSecretKey, MessageId, Recipient, ReplayCache, Sender, seal};
use tokenim_identity::{DeviceId, DeviceSigningKey, IdentityId};
use tokenim_wire::{Object, UnixSeconds};

#[path = "../../../fuzz/envelope/targets.rs"]
mod targets;

use targets::{Constant, EXPIRY, NETWORK, NOW, RECIPIENT, RECIPIENT_DEVICE, RECIPIENT_SEED, SENDER, SENDER_SEED};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/envelope/corpus")
        .join(target)
}

fn replay(target: &str, run: fn(&[u8])) {
    let files = fs::read_dir(corpus(target)).unwrap_or_else(|error| panic!("no corpus for {target}: {error}"));
    let mut count = 0;
    for file in files {
        run(&fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "the corpus of {target} is empty");
}

#[test]
fn sealed_envelope() {
    replay("sealed_envelope", targets::sealed_envelope);
}

#[test]
fn open() {
    replay("open", targets::open);
}

#[test]
fn plaintext() {
    replay("plaintext", targets::plaintext);
}

#[test]
fn hpke_open() {
    replay("hpke", targets::hpke);
}

#[test]
fn replay_cache() {
    replay("replay_cache", targets::replay_cache);
}

#[test]
fn replay_operations() {
    replay("replay_operations", targets::replay_operations);
}

#[test]
fn the_seeds_reach_the_end_of_their_targets() {
    let opener_key = EnvelopeSecretKey::from_seed(&RECIPIENT_SEED);
    let opener = tokenim_envelope::Opener {
        network: NETWORK,
        identity: RECIPIENT,
        device: RECIPIENT_DEVICE,
        key: &opener_key,
    };
    let bytes = fs::read(corpus("open").join("valid")).unwrap();
    let opened = tokenim_envelope::open(&opener, &bytes, NOW).unwrap();
    let sender = DeviceSigningKey::from_seed(SENDER_SEED).verifying_key();
    assert!(opened.verify(&sender).is_ok());

    let plaintext = fs::read(corpus("plaintext").join("valid")).unwrap();
    let (info, header) = targets::outer();
    let key = SecretKey::derive(&RECIPIENT_SEED);
    let (_, ciphertext) = hpke::seal(key.public_key(), &info, &header, &plaintext, &mut Constant(7)).unwrap();
    assert!(
        bytes.starts_with(&header) && bytes.ends_with(&ciphertext),
        "the plaintext seed is that of the open seed"
    );
}

#[test]
#[ignore = "writes fuzz/envelope/corpus"]
fn write_seeds() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus(target)).unwrap();
        fs::write(corpus(target).join(name), bytes).unwrap();
    };
    let signer = DeviceSigningKey::from_seed(SENDER_SEED);
    let sender = Sender {
        identity: SENDER,
        device: DeviceId::of(&signer.verifying_key()),
        key: &signer,
    };
    let to = Recipient {
        identity: RECIPIENT,
        device: RECIPIENT_DEVICE,
        key: EnvelopeSecretKey::from_seed(&RECIPIENT_SEED).public().clone(),
    };
    let id = MessageId::from_bytes([9; 16]);
    let content = Content::text("seed");
    let envelope = seal(&NETWORK, &sender, &to, id, EXPIRY, &content, &mut Constant(7)).unwrap();
    let valid = envelope.as_bytes();
    let mut flipped = valid.to_vec();
    flipped[300] ^= 1;
    for target in ["open", "sealed_envelope"] {
        write(target, "valid", valid);
        write(target, "cut", &valid[..valid.len() - 1]);
        write(target, "longer", &[valid, &[0]].concat());
        write(target, "header_only", &valid[..40]);
        write(target, "version_2", &[&[2], &valid[1..]].concat());
    }
    write("open", "flipped", &flipped);

    let (info, header) = targets::outer();
    let key = SecretKey::derive(&RECIPIENT_SEED);
    let enc = hpke::Encapsulated::from_bytes(valid[8..40].try_into().unwrap());
    let plaintext = hpke::open(&key, &enc, &info, &header, &valid[42..]).unwrap();
    write("plaintext", "valid", &plaintext);
    write("plaintext", "zeros", &[0; 512]);
    write("plaintext", "short", &plaintext[..100]);
    let mut dirty = plaintext.clone();
    dirty[400] = 1;
    write("plaintext", "dirty_padding", &dirty);
    let mut long = plaintext.clone();
    long[508..].copy_from_slice(&u32::MAX.to_be_bytes());
    write("plaintext", "length_too_large", &long);
    let mut body = plaintext;
    body[182] = 0xff;
    write("plaintext", "body_too_long", &body);

    let (enc, ciphertext) = hpke::seal(key.public_key(), b"info", b"aad", b"seed", &mut Constant(7)).unwrap();
    write("hpke", "valid", &[enc.as_bytes(), ciphertext.as_slice()].concat());
    write("hpke", "small_order", &[&[0; 32], ciphertext.as_slice()].concat());
    write("hpke", "short", &[enc.as_bytes(), &ciphertext[..15]].concat());

    let mut cache = ReplayCache::new();
    write("replay_cache", "empty", &cache.to_bytes().unwrap());
    for n in 0..5 {
        let expiry = UnixSeconds::new(EXPIRY.get() + u64::from(n));
        let sender = IdentityId::from_bytes([n % 2; 32]);
        cache
            .check_and_insert(&sender, &MessageId::from_bytes([n; 16]), expiry, NOW)
            .unwrap();
    }
    let stored = cache.to_bytes().unwrap();
    write("replay_cache", "five", &stored);
    write("replay_cache", "cut", &stored[..stored.len() - 1]);
    let mut unsorted = stored;
    unsorted[3] = 0xff;
    write("replay_cache", "unsorted", &unsorted);

    write(
        "replay_operations",
        "again_restart_expire",
        &[
            1, 1, 0, 10, 0, 1, // taken
            1, 1, 0, 10, 0, 2, // again
            0x81, 1, 0, 10, 0, 3, // again, after a restart
            2, 1, 0, 10, 0, 3, // another sender
            3, 1, 4, 0, 3, 0, // far ahead
            1, 1, 0, 10, 0, 4, // and back
        ],
    );
}
