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

use tokenim_envelope::hpke::{self, Encapsulated, SecretKey};
use tokenim_envelope::{
    Checkpoint, Content, EnvelopeSecretKey, MessageId, Recipient, ReplayCache, SealedEnvelope, Sender, Suite, seal,
};
use tokenim_identity::{DeviceId, DeviceSigningKey, IdentityId};
use tokenim_wire::{Digest, Height, Object, UnixSeconds};

#[path = "../../../fuzz/replay.rs"]
mod replay;
#[path = "../../../fuzz/envelope/targets.rs"]
mod targets;

use replay::{corpus, write};
use targets::{Constant, EXPIRY, NETWORK, NOW, RECIPIENT, RECIPIENT_DEVICE, RECIPIENT_SEED, SENDER, SENDER_SEED};

replay::tests!(
    sealed_envelope,
    open,
    open_x_wing,
    plaintext,
    hpke,
    hpke_x_wing,
    public_key,
    replay_cache,
    replay_operations
);

#[test]
fn the_seeds_reach_the_end_of_their_targets() {
    for (suite, target) in [(Suite::X25519, "open"), (Suite::XWing, "open_x_wing")] {
        let key = EnvelopeSecretKey::from_seed(suite, &RECIPIENT_SEED);
        let opener = tokenim_envelope::Opener {
            network: NETWORK,
            identity: RECIPIENT,
            device: RECIPIENT_DEVICE,
            keys: &[&key],
        };
        let bytes = fs::read(corpus(target).join("valid")).unwrap();
        let opened = tokenim_envelope::open(&opener, &bytes, NOW).unwrap();
        let sender = DeviceSigningKey::from_seed(SENDER_SEED).verifying_key();
        assert!(opened.verify(&sender).unwrap().checkpoint.is_some());
    }

    let bytes = fs::read(corpus("open").join("valid")).unwrap();
    let plaintext = fs::read(corpus("plaintext").join("valid")).unwrap();
    let (info, header) = targets::outer();
    let key = SecretKey::derive(Suite::X25519, &RECIPIENT_SEED);
    let (_, ciphertext) = hpke::seal(key.public_key(), &info, &header, &plaintext, &mut Constant(7)).unwrap();
    assert!(
        bytes.starts_with(&header) && bytes.ends_with(&ciphertext),
        "the plaintext seed is that of the open seed"
    );

    let key = fs::read(corpus("public_key").join("valid")).unwrap();
    let key = hpke::PublicKey::from_bytes(Suite::XWing, &key).unwrap();
    assert!(hpke::seal(&key, b"", b"", b"", &mut Constant(7)).is_ok());
}

/// The envelope that the corpus begins with.
fn valid(suite: Suite) -> SealedEnvelope {
    let signer = DeviceSigningKey::from_seed(SENDER_SEED);
    let sender = Sender {
        identity: SENDER,
        device: DeviceId::of(&signer.verifying_key()),
        key: &signer,
    };
    let to = Recipient {
        identity: RECIPIENT,
        device: RECIPIENT_DEVICE,
        key: EnvelopeSecretKey::from_seed(suite, &RECIPIENT_SEED).public().clone(),
    };
    let id = MessageId::from_bytes([9; 16]);
    let checkpoint = Some(Checkpoint {
        height: Height::new(1_000_000),
        header: Digest::from_bytes([0xc4; 32]),
    });
    let content = Content::text("seed");
    seal(
        &NETWORK,
        &sender,
        &to,
        id,
        EXPIRY,
        checkpoint,
        &content,
        &mut Constant(7),
    )
    .unwrap()
}

#[test]
#[ignore = "writes fuzz/envelope/corpus"]
fn write_seeds() {
    for (suite, target, header) in [(Suite::X25519, "open", 40), (Suite::XWing, "open_x_wing", 1131)] {
        let valid = valid(suite);
        let valid = valid.as_bytes();
        for target in [target, "sealed_envelope"] {
            // the X-Wing ones beside the others, where they are in one folder
            let name = |name: &str| {
                let apart = suite == Suite::XWing && target == "sealed_envelope";
                if apart {
                    format!("x_wing_{name}")
                } else {
                    name.to_owned()
                }
            };
            write(target, &name("valid"), valid);
            write(target, &name("cut"), &valid[..valid.len() - 1]);
            write(target, &name("longer"), &[valid, &[0]].concat());
            write(target, &name("header_only"), &valid[..header]);
            write(target, &name("version_2"), &[&[2], &valid[1..]].concat());
        }
        let flip = |position: usize| {
            let mut flipped = valid.to_vec();
            flipped[position] ^= 1;
            flipped
        };
        write(target, "flipped", &flip(header + 200));
        if suite == Suite::XWing {
            write(target, "flipped_ml_kem", &flip(100));
            let mut small_order = valid.to_vec();
            small_order[header - 32..header].fill(0);
            write(target, "small_order", &small_order);
        }
    }

    let (info, header) = targets::outer();
    let key = SecretKey::derive(Suite::X25519, &RECIPIENT_SEED);
    let valid = valid(Suite::X25519);
    let enc = Encapsulated::from_bytes(Suite::X25519, &valid.as_bytes()[8..40]).unwrap();
    let plaintext = hpke::open(&key, &enc, &info, &header, &valid.as_bytes()[42..]).unwrap();
    write("plaintext", "valid", &plaintext);
    write("plaintext", "zeros", &[0; 512]);
    write("plaintext", "short", &plaintext[..100]);
    let mut dirty = plaintext.clone();
    dirty[400] = 1;
    write("plaintext", "dirty_padding", &dirty);
    let mut long = plaintext.clone();
    long[508..].copy_from_slice(&u32::MAX.to_be_bytes());
    write("plaintext", "length_too_large", &long);
    let mut checkpoint = plaintext.clone();
    checkpoint[181] = 2;
    write("plaintext", "checkpoint_unknown", &checkpoint);
    let mut body = plaintext;
    // commitment, ids, expiry, checkpoint with three bytes of height, kind
    body[181 + 1 + 3 + 32 + 1] = 0xff;
    write("plaintext", "body_too_long", &body);

    for (suite, target) in [(Suite::X25519, "hpke"), (Suite::XWing, "hpke_x_wing")] {
        let key = SecretKey::derive(suite, &RECIPIENT_SEED);
        let (enc, ciphertext) = hpke::seal(key.public_key(), b"info", b"aad", b"seed", &mut Constant(7)).unwrap();
        let enc = enc.as_bytes();
        write(target, "valid", &[enc, &ciphertext].concat());
        write(
            target,
            "small_order",
            &[&enc[..enc.len() - 32], &[0; 32], &ciphertext].concat(),
        );
        write(target, "short", &[enc, &ciphertext[..15]].concat());
    }

    let key = SecretKey::derive(Suite::XWing, &RECIPIENT_SEED);
    let key = key.public_key().as_bytes();
    write("public_key", "valid", key);
    write("public_key", "cut", &key[..1215]);
    write("public_key", "small_order", &[&key[..1184], &[0; 32]].concat());
    write("public_key", "not_reduced", &[&[0xff; 3], &key[3..]].concat());

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
