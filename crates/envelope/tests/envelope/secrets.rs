//! Nothing secret is printed, and what is secret wipes itself.

use tokenim_envelope::{Content, EnvelopeSecretKey, Message, MessageId, OpenError, ReplayCache, Suite, hpke};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::people::{ADDED, EXPIRY, ID, NOW, alice, bob, rng};

const SECRET: &str = "the treasure is under the old oak";

fn hidden(printed: &str) {
    let bytes = format!("{:?}", SECRET.as_bytes());
    assert!(!printed.contains("treasure"), "{printed}");
    assert!(!printed.contains(&bytes[1..40]), "{printed}");
}

#[test]
fn content_is_printed_nowhere_on_its_way() {
    let (alice, bob) = (alice(), bob(Suite::XWing));
    let content = Content::text(SECRET);
    hidden(&format!("{content:?} {content:#?}"));
    assert!(!format!("{content:?}").contains(&SECRET.len().to_string()));

    let envelope = alice.seal_to(&bob.recipient(), &content, &mut rng(9)).unwrap();
    hidden(&format!("{envelope:?} {envelope:#?}"));
    let opened = bob.open(&envelope).unwrap();
    hidden(&format!("{opened:?} {opened:#?}"));
    let message = opened.verify_for(&alice.state, ADDED).unwrap();
    hidden(&format!("{message:?} {message:#?}"));
}

#[test]
fn keys_are_not_printed_with_those_who_hold_them() {
    let alice = alice();
    let printed = format!("{:?} {:?} {:?}", alice.sender(), alice.opener(&[&alice.key]), alice.key);
    let seed = alice.secrets.signing.expose_seed();
    for secret in [&*seed, &*alice.secrets.envelope_seed] {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!printed.contains(&hex[..16]));
        assert!(!printed.contains(&format!("{secret:?}")[1..30]));
    }
    assert!(printed.contains("redacted"));
}

#[test]
fn a_replay_cache_does_not_print_who_wrote() {
    let alice = alice();
    let mut cache = ReplayCache::new();
    cache.check_and_insert(&alice.identity, &ID, EXPIRY, NOW).unwrap();
    let printed = format!("{cache:?} {cache:#?}");
    assert!(!printed.contains(&alice.identity.to_string()[..12]), "{printed}");
    assert!(!printed.contains(&ID.to_string()), "{printed}");
}

/// What every type that holds a secret prints, to the letter.
#[test]
fn secrets_print_as_these_lines() {
    let bob = bob(Suite::XWing);
    let envelope = alice()
        .seal_to(&bob.recipient(), &Content::text(SECRET), &mut rng(9))
        .unwrap();
    let opened = bob.open(&envelope).unwrap();
    let lines = [
        format!("{opened:?}"),
        format!("{:?}", opened.verify_for(&alice().state, ADDED).unwrap().content),
        format!("{envelope:?}"),
        format!("{:?}", bob.key),
        format!("{:?}", hpke::SecretKey::derive(Suite::X25519, &[1; 32])),
        format!("{:?}", hpke::SecretKey::derive(Suite::XWing, &[1; 32])),
        format!("{:?}", bob.sender().key),
    ];
    let expected = [
        "Opened([redacted])",
        "Content([redacted])",
        "SealedEnvelope { bytes: 1661, suite: SuiteId(25722), expiry: UnixSeconds(1800086400) }",
        "EnvelopeSecretKey([redacted])",
        "SecretKey(X25519, redacted)",
        "SecretKey(XWing, redacted)",
        "DeviceSigningKey(redacted)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn errors_say_nothing_of_content() {
    assert_eq!(OpenError::Refused.to_string(), "the envelope is refused");
    assert_eq!(format!("{:?}", OpenError::Refused), "Refused");
}

fn wipes_on_drop<T: ZeroizeOnDrop>() {}

#[test]
fn secret_types_wipe_themselves() {
    wipes_on_drop::<Content>();
    wipes_on_drop::<EnvelopeSecretKey>();
    wipes_on_drop::<hpke::SecretKey>();
    // the rest of an opened envelope and of a message is ids and times; what they hold of the content is this type
    let _: fn(Message) -> Content = |message| message.content;
    let mut content = Content::text(SECRET);
    let start = content.body.as_ptr();
    content.zeroize();
    assert!(content.body.is_empty() && content.kind.get() == 0);
    // the buffer is still there, and zero
    content.body.resize(SECRET.len(), 0);
    assert_eq!(content.body.as_ptr(), start);
    assert_eq!(MessageId::LENGTH, 16);
}
