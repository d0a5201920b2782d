//! Secrets: they print as nothing, are wiped, and come from the generator that was passed.
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

use common::{NETWORK, device, envelope, name, person, rng};
use serde::Serialize;
use tokenim_identity::{
    Argon2Cost, DeviceSecrets, DeviceSigningKey, KeyError, Keystore, KeystoreError, KeystoreKind, MailboxSigningKey,
    Node, NodeSigningKey, Phrase, PhraseError, RootSigningKey, SignatureError, Statement, SuiteId, signed_bytes,
};
use tokenim_wire::{Height, Label, hex, limits};
use zeroize::{ZeroizeOnDrop, Zeroizing};

#[test]
fn secrets_do_not_print_themselves() {
    let phrase = Phrase::from_entropy(&[0x55; 32]);
    let seed = [0x77; 32];
    assert_eq!(format!("{phrase:?}"), "Phrase(redacted)");
    assert_eq!(
        format!("{:?}", RootSigningKey::from_seed(seed)),
        "RootSigningKey(redacted)"
    );
    assert_eq!(
        format!("{:?}", DeviceSigningKey::from_seed(seed)),
        "DeviceSigningKey(redacted)"
    );
    assert_eq!(
        format!("{:?}", NodeSigningKey::from_seed(seed)),
        "NodeSigningKey(redacted)"
    );
    assert_eq!(
        format!("{:?}", MailboxSigningKey::from_seed(seed)),
        "MailboxSigningKey(redacted)"
    );
    let secrets = device(1);
    let printed = format!("{secrets:?}{:#?}", Some(&secrets));
    for secret in [
        &*secrets.signing.expose_seed(),
        &*secrets.envelope_seed,
        &*secrets.inbox.expose_seed(),
    ] {
        assert!(!printed.contains(&hex::encode(secret)));
        assert!(!printed.contains(&format!("{secret:?}")));
    }
    assert_eq!(format!("{secrets:?}"), "DeviceSecrets(redacted)");
}

#[test]
fn secrets_are_wiped_when_dropped() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<Phrase>();
    wiped::<RootSigningKey>();
    wiped::<DeviceSigningKey>();
    wiped::<NodeSigningKey>();
    wiped::<MailboxSigningKey>();
    wiped::<DeviceSecrets>();
    wiped::<Zeroizing<[u8; 32]>>();
    // What secrets are exposed as wipes itself too.
    let _: Zeroizing<String> = Phrase::from_entropy(&[1; 32]).expose();
    let _: Zeroizing<[u8; 32]> = NodeSigningKey::from_seed([1; 32]).expose_seed();
    let _: Zeroizing<Vec<u8>> = device(1).expose_bytes();
    // The libraries' secrets inside of ours.
    wiped::<ed25519_dalek::SigningKey>();
    wiped::<bip39::Mnemonic>();
}

#[test]
fn errors_name_no_word_and_no_byte() {
    let words = "abandon ".repeat(23) + "secretword";
    let error = Phrase::parse(&words).unwrap_err();
    assert_eq!(error, PhraseError::UnknownWord { position: 24 });
    assert!(!format!("{error} {error:?}").contains("secretword"));
    assert_eq!(SignatureError.to_string(), "the signature does not hold");
    assert_eq!(
        KeystoreError::WrongPassphraseOrDamaged.to_string(),
        "wrong passphrase, or the keystore is damaged"
    );
}

#[test]
fn phrases_are_read_as_people_write_them() {
    let phrase = Phrase::from_entropy(&[9; 32]);
    let words = phrase.expose();
    let spaced = format!("  {}\n", words.replace(' ', " \t\n").to_uppercase());
    assert_eq!(*spaced.parse::<Phrase>().unwrap().expose(), *words);

    let list: Vec<&str> = words.split(' ').collect();
    assert_eq!(
        Phrase::parse(&list[..23].join(" ")).unwrap_err(),
        PhraseError::WordCount { actual: 23 }
    );
    assert_eq!(Phrase::parse("").unwrap_err(), PhraseError::WordCount { actual: 0 });
    // BIP-39 knows shorter phrases. They are none of ours.
    let twelve = "abandon ".repeat(11) + "about";
    assert_eq!(
        Phrase::parse(&twelve).unwrap_err(),
        PhraseError::WordCount { actual: 12 }
    );
    let wrong = [&list[..3], &["tokenim"], &list[4..]].concat().join(" ");
    assert_eq!(
        Phrase::parse(&wrong).unwrap_err(),
        PhraseError::UnknownWord { position: 4 }
    );
    let swapped = "zoo ".repeat(24);
    assert_eq!(Phrase::parse(&swapped).unwrap_err(), PhraseError::Checksum);
}

#[test]
fn randomness_is_only_what_was_passed() {
    let make = |seed| {
        let mut rng = rng(seed);
        let phrase = Phrase::generate(&mut rng).expose_entropy();
        let device = DeviceSecrets::generate(&mut rng).expose_bytes();
        let node = NodeSigningKey::generate(&mut rng).expose_seed();
        let store = Keystore::seal(b"p", KeystoreKind::Node, &*node, Argon2Cost::MINIMUM, &mut rng).unwrap();
        (phrase, device, node, store)
    };
    assert_eq!(make(1), make(1));
    let (one, other) = (make(1), make(2));
    assert!(one.0 != other.0 && one.1 != other.1 && one.2 != other.2 && one.3 != other.3);
}

#[test]
fn device_secrets_come_back_and_nothing_else_does() {
    let secrets = device(3);
    let bytes = secrets.expose_bytes();
    assert_eq!(bytes.len(), DeviceSecrets::BYTES);
    assert_eq!(*DeviceSecrets::from_bytes(&bytes).unwrap().expose_bytes(), *bytes);
    for length in 0..bytes.len() {
        assert!(DeviceSecrets::from_bytes(&bytes[..length]).is_err());
    }
    let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
    assert!(DeviceSecrets::from_bytes(&longer).is_err());
    let other: Vec<u8> = [2].into_iter().chain(bytes[1..].iter().copied()).collect();
    assert!(DeviceSecrets::from_bytes(&other).is_err());
}

#[test]
fn keystores_have_limits() {
    let seal = |secret: &[u8], cost| Keystore::seal(b"p", KeystoreKind::Node, secret, cost, &mut rng(1));
    let longest = vec![1; limits::KEYSTORE_SECRET_BYTES_MAX];
    let sealed = seal(&longest, Argon2Cost::MINIMUM).unwrap();
    assert!(sealed.len() <= Keystore::BYTES_MAX);
    assert_eq!(*Keystore::open(b"p", KeystoreKind::Node, &sealed).unwrap(), longest);
    assert_eq!(
        seal(&[longest.as_slice(), &[1]].concat(), Argon2Cost::MINIMUM),
        Err(KeystoreError::TooLong)
    );
    for cost in [
        Argon2Cost {
            memory_kib: limits::KEYSTORE_MEMORY_KIB_MAX + 1,
            ..Argon2Cost::RECOMMENDED
        },
        Argon2Cost {
            passes: limits::KEYSTORE_PASSES_MAX + 1,
            ..Argon2Cost::MINIMUM
        },
        Argon2Cost {
            lanes: limits::KEYSTORE_LANES_MAX + 1,
            ..Argon2Cost::RECOMMENDED
        },
        Argon2Cost {
            memory_kib: 7,
            ..Argon2Cost::MINIMUM
        },
        Argon2Cost {
            memory_kib: 15,
            lanes: 2,
            ..Argon2Cost::MINIMUM
        },
        Argon2Cost {
            passes: 0,
            ..Argon2Cost::MINIMUM
        },
        Argon2Cost {
            lanes: 0,
            ..Argon2Cost::MINIMUM
        },
    ] {
        assert_eq!(seal(b"", cost), Err(KeystoreError::UnsupportedCost));
    }
    assert_eq!(
        Keystore::open(b"p", KeystoreKind::Node, &vec![1; 1 << 20]),
        Err(KeystoreError::Malformed)
    );
}

#[test]
fn a_keystore_with_any_bit_changed_stays_closed() {
    let sealed = Keystore::seal(b"p", KeystoreKind::Node, b"secret", Argon2Cost::MINIMUM, &mut rng(4)).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // Memory, passes and lanes: a changed cost would be worked off before it is found wrong.
        if (2..5).contains(&(bit / 8)) && changed[bit / 8] > 40 {
            continue;
        }
        assert!(Keystore::open(b"p", KeystoreKind::Node, &changed).is_err(), "bit {bit}");
    }
}

#[test]
fn envelope_keys_are_of_a_known_suite_and_its_length() {
    use tokenim_identity::EnvelopeKey;
    let key = EnvelopeKey::new(SuiteId::X25519, &[4; 32]).unwrap();
    assert_eq!(
        (key.clone(), key.to_x25519()),
        (EnvelopeKey::x25519([4; 32]), Some([4; 32]))
    );
    assert_eq!((key.suite(), key.as_bytes()), (SuiteId::X25519, [4; 32].as_slice()));
    for (suite, length) in [
        (0x0020, 31),
        (0x0020, 33),
        (0x0020, 0),
        (0x647a, 1216),
        (0x0021, 32),
        (0, 32),
    ] {
        assert_eq!(
            EnvelopeKey::new(SuiteId::new(suite), &vec![4; length]),
            Err(KeyError::Suite)
        );
    }
    assert_eq!(EnvelopeKey::new(SuiteId::X25519, &[4; 5000]), Err(KeyError::Suite));
}

/// A node's key signs for TLS and for the consensus engine too: what they sign begins differently from all we sign.
#[test]
fn our_statements_begin_like_nothing_that_tls_or_the_engine_signs() {
    /// As in TLS 1.3 (RFC 8446, section 4.4.3): 64 spaces.
    const TLS: [u8; 64] = [0x20; 64];
    /// The longest label, so that the length byte is as large as it gets.
    #[derive(Serialize)]
    struct Longest(u8);
    impl Statement for Longest {
        type Signer = Node;
        const LABEL: Label = Label::new("tokenim/a-label-of-64-characters--------------------------------");
    }
    /// A label whose length byte is a space.
    #[derive(Serialize)]
    struct Spaced(u8);
    impl Statement for Spaced {
        type Signer = Node;
        const LABEL: Label = Label::new("tokenim/32-characters-are-0x20/1");
    }
    let (phrase, state) = person();
    let network = NETWORK;
    let record =
        tokenim_identity::SignedRecord::add_device(&network, &state, &phrase.root_key(0), &device(0), envelope(0))
            .unwrap();
    let state = state.apply(&network, &record, Height::new(1)).unwrap();
    let ours = [
        signed_bytes(&network, &Longest(0)).unwrap(),
        signed_bytes(&network, &Spaced(0)).unwrap(),
        signed_bytes(&network, &tokenim_identity::RootRecord(&record.record)).unwrap(),
        signed_bytes(&network, &tokenim_identity::DeviceRecord(&record.record)).unwrap(),
    ];
    assert_eq!((ours[0][0], ours[1][0], state.seq), (64, 0x20, 1));
    let namespace = [b"tokenim/consensus/v1/".as_slice(), network.as_bytes()].concat();
    for suffix in ["_NOTARIZE", "_NULLIFY", "_FINALIZE", "_SEED"] {
        let mut engine = vec![u8::try_from(namespace.len() + suffix.len()).unwrap()];
        engine.extend_from_slice(&namespace);
        for bytes in &ours {
            assert!(!bytes.starts_with(&engine) && !engine.starts_with(bytes));
        }
    }
    for bytes in ours {
        assert!(!bytes.starts_with(&TLS[..2]));
        assert!(bytes[1..].starts_with(b"tokenim/") && !bytes[1..].starts_with(b"tokenim/consensus/"));
    }
}

#[test]
fn errors_have_one_name_each() {
    // The names are part of the vectors.
    assert_eq!(name(&KeyError::NotCanonical), "NotCanonical");
    assert_eq!(name(&KeystoreError::UnknownVersion { version: 3 }), "UnknownVersion");
}
