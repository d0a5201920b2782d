//! Nothing secret is printed, and what is secret wipes itself.

use tokenim_envelope::{Content, EnvelopeSecretKey, MessageId, OpenError, ReplayCache, open, seal};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::people::{ADDED, EXPIRY, ID, NETWORK, NOW, alice, bob, rng};

const SECRET: &str = "the treasure is under the old oak";

fn hidden(printed: &str) {
    let bytes = format!("{:?}", SECRET.as_bytes());
    assert!(!printed.contains("treasure"), "{printed}");
    assert!(!printed.contains(&bytes[1..40]), "{printed}");
}

#[test]
fn content_is_printed_nowhere_on_its_way() {
    let (alice, bob) = (alice(), bob());
    let content = Content::text(SECRET);
    hidden(&format!("{content:?} {content:#?}"));
    assert!(!format!("{content:?}").contains(&SECRET.len().to_string()));

    let envelope = seal(
        &NETWORK,
        &alice.sender(),
        &bob.recipient(),
        ID,
        EXPIRY,
        &content,
        &mut rng(9),
    )
    .unwrap();
    hidden(&format!("{envelope:?} {envelope:#?}"));
    let opened = open(&bob.opener(), envelope.as_bytes(), NOW).unwrap();
    hidden(&format!("{opened:?} {opened:#?}"));
    let message = opened.verify_for(&alice.state, ADDED).unwrap();
    hidden(&format!("{message:?} {message:#?}"));
}

#[test]
fn keys_are_not_printed_with_those_who_hold_them() {
    let alice = alice();
    let printed = format!("{:?} {:?} {:?}", alice.sender(), alice.opener(), alice.key);
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
    let mut content = Content::text(SECRET);
    let start = content.body.as_ptr();
    content.zeroize();
    assert!(content.body.is_empty() && content.kind.get() == 0);
    // the buffer is still there, and zero
    content.body.resize(SECRET.len(), 0);
    assert_eq!(content.body.as_ptr(), start);
    assert_eq!(MessageId::LENGTH, 16);
}
