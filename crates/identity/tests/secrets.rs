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

use common::{NETWORK, device, envelope, name, person, place, rng, vectors};
use serde::{Deserialize, Serialize};
use std::{fmt, hash::Hash};
use tokenim_identity::{
    Argon2Cost, DeviceSecrets, DeviceSigningKey, KeyError, Keystore, KeystoreError, KeystoreKind, MailboxSigningKey,
    Node, NodeSigningKey, Phrase, PhraseError, RecoveryError, RecoveryShare, RecoverySigningKey, RootSigningKey,
    SignatureError, Statement, SuiteId, signed_bytes,
};
use tokenim_wire::{Label, limits};
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// The longest label, so that the length byte is as large as it gets.
#[derive(Serialize)]
struct Longest(u8);
impl Statement for Longest {
    type Signer = Node;
    const LABEL: Label = Label::new("tokenim/a-label-of-64-characters--------------------------------");
}

/// A share, the same each time.
fn share() -> RecoveryShare {
    RecoveryShare::generate(2, 3, &mut rng(77)).unwrap().remove(0)
}

/// Every secret type, in every form that `Debug` has.
#[test]
fn secrets_do_not_print_themselves() {
    fn printed(secret: &impl fmt::Debug) -> String {
        let text = format!("{secret:?}");
        assert_eq!(format!("{secret:#?}"), text);
        assert_eq!(format!("{:?}", Some(secret)), format!("Some({text})"));
        text
    }
    let seed = [0x77; 32];
    assert_eq!(printed(&Phrase::from_entropy(&seed)), "Phrase(redacted)");
    assert_eq!(printed(&RootSigningKey::from_seed(seed)), "RootSigningKey(redacted)");
    assert_eq!(
        printed(&DeviceSigningKey::from_seed(seed)),
        "DeviceSigningKey(redacted)"
    );
    assert_eq!(printed(&NodeSigningKey::from_seed(seed)), "NodeSigningKey(redacted)");
    assert_eq!(
        printed(&MailboxSigningKey::from_seed(seed)),
        "MailboxSigningKey(redacted)"
    );
    assert_eq!(
        printed(&RecoverySigningKey::from_seed(seed)),
        "RecoverySigningKey(redacted)"
    );
    assert_eq!(printed(&device(1)), "DeviceSecrets(redacted)");
    assert_eq!(printed(&share()), "RecoveryShare(redacted)");
}

#[test]
fn secrets_are_wiped_when_dropped() {
    fn wiped<T: ZeroizeOnDrop>() {}
    fn field<T: ZeroizeOnDrop>(_: &T) {}
    wiped::<Phrase>();
    wiped::<RootSigningKey>();
    wiped::<DeviceSigningKey>();
    wiped::<NodeSigningKey>();
    wiped::<MailboxSigningKey>();
    wiped::<RecoverySigningKey>();
    wiped::<RecoveryShare>();
    wiped::<DeviceSecrets>();
    // Its fields one by one, and no new one unseen: it may be taken apart, so it has no `Drop` of its own.
    let DeviceSecrets {
        signing,
        envelope_seed,
        inbox,
        inbox_nonce: _, // public
        vault,
    } = &device(1);
    field(signing);
    field(envelope_seed);
    field(inbox);
    field(vault);
    // What secrets are exposed as wipes itself too.
    let _: Zeroizing<String> = Phrase::from_entropy(&[1; 32]).expose();
    let _: Zeroizing<[u8; 32]> = Phrase::from_entropy(&[1; 32]).expose_entropy();
    let _: Zeroizing<[u8; 32]> = NodeSigningKey::from_seed([1; 32]).expose_seed();
    let _: Zeroizing<Vec<u8>> = device(1).expose_bytes();
    let _: Zeroizing<String> = share().to_text();
    let opened: Result<Zeroizing<Vec<u8>>, _> = Keystore::open(b"p", KeystoreKind::Node, b"");
    assert_eq!(opened, Err(KeystoreError::Malformed));
    // The libraries' secrets inside of ours.
    wiped::<ed25519_dalek::SigningKey>();
    wiped::<bip39::Mnemonic>();
    wiped::<aes_gcm::Aes256Gcm>();
}

#[test]
fn wiping_leaves_zeros() {
    let mut secrets = device(1);
    assert!(*secrets.envelope_seed != [0; 32] && *secrets.vault != [0; 32]);
    secrets.envelope_seed.zeroize();
    secrets.vault.zeroize();
    assert_eq!((*secrets.envelope_seed, *secrets.vault), ([0; 32], [0; 32]));
    let mut bytes = device(1).expose_bytes();
    bytes.zeroize();
    assert!(bytes.is_empty() && bytes.capacity() > 0);
    let mut words = Phrase::from_entropy(&[1; 32]).expose();
    words.zeroize();
    assert!(words.is_empty() && words.capacity() > 0);
    let mut message = signed_bytes(&NETWORK, &Longest(7)).unwrap();
    message.zeroize();
    assert!(message.is_empty() && message.capacity() > 0);
}

/// Copies that nobody sees, comparison in the time of the first difference, text, bytes: what a secret type would have
/// by a derive too many.
#[test]
fn secrets_have_no_way_out_but_the_named_ones() {
    /// Does not compile if the type implements one of the traits: then there are two ways to fill in the `_`.
    macro_rules! implements_none {
        ($type:ty: $($trait:path),+) => {{
            trait Unless<Reason> {
                fn here() {}
            }
            impl<T: ?Sized> Unless<()> for T {}
            $({
                struct Implemented;
                impl<T: ?Sized + $trait> Unless<Implemented> for T {}
            })+
            let _ = <$type as Unless<_>>::here;
        }};
    }
    macro_rules! secret {
        ($($type:ty),+) => {
            $(implements_none!($type: Copy, fmt::Display, fmt::LowerHex, Serialize, Hash, PartialOrd, AsRef<[u8]>, AsRef<str>);)+
        };
    }
    macro_rules! not_compared {
        ($($type:ty),+) => {
            $(implements_none!($type: PartialEq);)+
        };
    }
    secret!(Phrase, DeviceSecrets, RecoveryShare);
    secret!(
        RootSigningKey,
        DeviceSigningKey,
        NodeSigningKey,
        MailboxSigningKey,
        RecoverySigningKey
    );
    not_compared!(Phrase, DeviceSecrets);
    not_compared!(
        RootSigningKey,
        DeviceSigningKey,
        NodeSigningKey,
        MailboxSigningKey,
        RecoverySigningKey
    );
    // Shares are compared, by their secrets and in constant time.
    let (one, other) = (share(), RecoveryShare::generate(1, 1, &mut rng(78)).unwrap().remove(0));
    assert!(one == share() && one != other);
}

/// Errors about secrets have no room for one, and say this much.
#[test]
fn errors_name_no_word_and_no_byte() {
    fn said<E: std::error::Error + Copy + 'static>(error: E) -> (String, String) {
        assert!(size_of::<E>() < 32, "there is room for a key");
        (error.to_string(), format!("{error:?}"))
    }
    fn pair(display: &str, debug: &str) -> (String, String) {
        (display.to_owned(), debug.to_owned())
    }
    let words = "abandon ".repeat(23) + "secretword";
    assert_eq!(
        said(Phrase::parse(&words).unwrap_err()),
        pair("word 24 is not in the word list", "UnknownWord { position: 24 }")
    );
    assert_eq!(
        said(Phrase::parse("secretword").unwrap_err()),
        pair("a phrase has 24 words, this one has 1", "WordCount { actual: 1 }")
    );
    assert_eq!(
        said(Phrase::parse(&"zoo ".repeat(24)).unwrap_err()),
        pair(
            "the words don't fit each other: one is wrong, or they are in the wrong order",
            "Checksum"
        )
    );
    assert_eq!(
        said(DeviceSecrets::from_bytes(&[7; 5]).unwrap_err()),
        pair("the bytes are not the secrets of a device", "SecretsError")
    );
    let mistyped = share().to_text().replacen('q', "p", 1);
    assert_eq!(
        said(RecoveryShare::from_text(&mistyped).unwrap_err()),
        pair(
            "the recovery share is mistyped or cut: compare it letter by letter",
            "Checksum"
        )
    );
    assert_eq!(
        said(SignatureError),
        pair("the signature does not hold", "SignatureError")
    );
    for (error, display, debug) in [
        (KeystoreError::Malformed, "this is not a keystore", "Malformed"),
        (
            KeystoreError::UnknownVersion { version: 9 },
            "keystore version 9 is not known here",
            "UnknownVersion { version: 9 }",
        ),
        (
            KeystoreError::WrongKind,
            "this keystore holds another kind of secret",
            "WrongKind",
        ),
        (
            KeystoreError::UnsupportedCost,
            "the cost of this keystore is outside of the limits",
            "UnsupportedCost",
        ),
        (
            KeystoreError::WrongPassphraseOrDamaged,
            "wrong passphrase, or the keystore is damaged",
            "WrongPassphraseOrDamaged",
        ),
        (
            KeystoreError::TooLong,
            "the secret or the passphrase is too long",
            "TooLong",
        ),
        (
            KeystoreError::OutOfMemory,
            "there is not enough memory to open this keystore",
            "OutOfMemory",
        ),
    ] {
        assert_eq!(said(error), pair(display, debug));
    }
    for (error, display, debug) in [
        (
            RecoveryError::Threshold,
            "there are 1 to 16 different recovery keys, and the threshold is at most their number",
            "Threshold",
        ),
        (
            RecoveryError::TooFew {
                actual: 1,
                threshold: 2,
            },
            "there are 1 signatures of different recovery keys, 2 are needed",
            "TooFew { actual: 1, threshold: 2 }",
        ),
        (
            RecoveryError::Foreign,
            "the share belongs to other recovery keys",
            "Foreign",
        ),
        (
            RecoveryError::NotARecovery,
            "a recovery key signs nothing but a recovery",
            "NotARecovery",
        ),
        (
            RecoveryError::Checksum,
            "the recovery share is mistyped or cut: compare it letter by letter",
            "Checksum",
        ),
        (
            RecoveryError::Prefix,
            "this is another text than a recovery share: it does not begin with timrecovery1",
            "Prefix",
        ),
        (
            RecoveryError::Content,
            "the recovery share holds what this version can't use",
            "Content",
        ),
    ] {
        assert_eq!(said(error), pair(display, debug));
    }
}

#[test]
fn phrases_are_read_as_people_write_them() {
    let phrase = Phrase::from_entropy(&[9; 32]);
    let words = phrase.expose();
    let spaced = format!("  {}\n", words.replace(' ', " \t\n").to_uppercase());
    assert_eq!(*spaced.parse::<Phrase>().unwrap().expose(), *words);
}

#[test]
fn phrases_are_refused_as_the_vectors_say() {
    #[derive(Deserialize)]
    struct Refused {
        name: String,
        text: String,
        error: String,
        number: Option<usize>,
    }
    let cases: Vec<Refused> = vectors(include_str!("vectors/refused_phrases.json"));
    for case in &cases {
        let error = Phrase::parse(&case.text).unwrap_err();
        let number = match error {
            PhraseError::WordCount { actual } => Some(actual),
            PhraseError::UnknownWord { position } => Some(position),
            _ => None,
        };
        assert_eq!((&name(&error), number), (&case.error, case.number), "{}", case.name);
    }
    for error in ["WordCount", "UnknownWord", "Checksum"] {
        assert!(cases.iter().any(|case| case.error == error), "no vector for {error}");
    }
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
    let key = EnvelopeKey::new(SuiteId::X_WING, &[4; 1216]).unwrap();
    assert_eq!(
        (key.suite(), key.as_bytes(), key.to_x25519()),
        (SuiteId::X_WING, [4; 1216].as_slice(), None)
    );
    for (suite, length) in [
        (0x0020, 31),
        (0x0020, 33),
        (0x0020, 0),
        (0x647a, 32),
        (0x647a, 1215),
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
    let state = state.apply(&place(1, 1), &record).unwrap();
    let ours = [
        signed_bytes(&network, &Longest(0)).unwrap(),
        signed_bytes(&network, &Spaced(0)).unwrap(),
        signed_bytes(&network, &tokenim_identity::RootRecord(&record.record)).unwrap(),
        signed_bytes(&network, &tokenim_identity::DeviceRecord(&record.record)).unwrap(),
        signed_bytes(&network, &tokenim_identity::NextRootRecord(&record.record)).unwrap(),
        signed_bytes(&network, &tokenim_identity::RecoveryRecord(&record.record)).unwrap(),
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
