//! What is sealed opens, and looks as the specification says.

use proptest::prelude::*;
use tokenim_envelope::{
    Content, ContentKind, EnvelopeSecretKey, LIFETIME_MAX, MessageId, SealError, SealedEnvelope, open, seal,
};
use tokenim_identity::{EnvelopeKey, SuiteId};
use tokenim_wire::limits::{ENVELOPE_BYTES_MAX, MESSAGE_BODY_BYTES_MAX};
use tokenim_wire::{EnvelopeId, Height, UnixSeconds};

use crate::draft::{Draft, IKM_E, padded};
use crate::people::{ADDED, EXPIRY, ID, NETWORK, NOW, Once, alice, bob, rng, text};

#[test]
fn a_sealed_message_opens_and_verifies() {
    let (alice, bob) = (alice(), bob());
    let envelope = seal(
        &NETWORK,
        &alice.sender(),
        &bob.recipient(),
        ID,
        EXPIRY,
        &text(),
        &mut rng(9),
    )
    .unwrap();

    let opened = open(&bob.opener(), envelope.as_bytes(), NOW).unwrap();
    assert_eq!(opened.sender(), (alice.identity, alice.device));
    assert_eq!((opened.message_id(), opened.expiry()), (ID, EXPIRY));

    let message = opened.verify_for(&alice.state, ADDED).unwrap();
    assert_eq!((message.sender, message.sender_device), (alice.identity, alice.device));
    assert_eq!((message.id, message.expiry), (ID, EXPIRY));
    assert_eq!(message.content, text());
    assert_eq!(message.content.as_text(), text().as_text());
}

#[test]
fn a_key_at_hand_verifies_too() {
    let (alice, bob) = (alice(), bob());
    let envelope = seal(
        &NETWORK,
        &alice.sender(),
        &bob.recipient(),
        ID,
        EXPIRY,
        &text(),
        &mut rng(9),
    )
    .unwrap();
    let opened = open(&bob.opener(), envelope.as_bytes(), NOW).unwrap();
    assert!(opened.verify(&alice.secrets.signing.verifying_key()).is_ok());
}

#[test]
fn a_second_implementation_makes_the_same_bytes() {
    let (alice, bob) = (alice(), bob());
    for body in [
        0,
        1,
        127,
        128,
        258,
        259,
        260,
        4000,
        5000,
        16_384,
        MESSAGE_BODY_BYTES_MAX,
    ] {
        let content = Content {
            kind: ContentKind::new(300),
            body: vec![0x5a; body],
        };
        let sealed = seal(
            &NETWORK,
            &alice.sender(),
            &bob.recipient(),
            ID,
            EXPIRY,
            &content,
            &mut Once(Some(IKM_E)),
        );
        let mut draft = Draft::honest(&alice, &bob);
        (draft.kind, draft.body) = (300, content.body.clone());
        assert!(sealed.unwrap().as_bytes() == draft.seal(), "{body}");
    }
}

#[test]
fn the_envelope_begins_with_its_header() {
    let (alice, bob) = (alice(), bob());
    let envelope = seal(
        &NETWORK,
        &alice.sender(),
        &bob.recipient(),
        ID,
        EXPIRY,
        &text(),
        &mut Once(Some(IKM_E)),
    )
    .unwrap();
    assert!(envelope.as_bytes().starts_with(&Draft::honest(&alice, &bob).aad()));
    assert_eq!((envelope.suite(), envelope.expiry()), (SuiteId::X25519, EXPIRY));
    assert_eq!(envelope.id(), EnvelopeId::of(envelope.as_bytes()));
    let again = SealedEnvelope::from_bytes(envelope.as_bytes().to_vec()).unwrap();
    assert_eq!(again, envelope);
    assert_eq!(again.into_bytes(), envelope.as_ref());
}

#[test]
fn one_message_to_two_devices_is_two_unlike_envelopes() {
    let (alice, bob) = (alice(), bob());
    let mut rng = rng(9);
    let mut sealed = || {
        seal(
            &NETWORK,
            &alice.sender(),
            &bob.recipient(),
            ID,
            EXPIRY,
            &text(),
            &mut rng,
        )
        .unwrap()
    };
    let (first, second) = (sealed(), sealed());
    assert_ne!(first.id(), second.id());
}

#[test]
fn lengths_tell_only_the_bucket() {
    let (alice, bob) = (alice(), bob());
    let length = |body: usize| {
        let content = Content::bytes(vec![1; body]);
        let sealed = seal(
            &NETWORK,
            &alice.sender(),
            &bob.recipient(),
            ID,
            EXPIRY,
            &content,
            &mut rng(9),
        );
        sealed.unwrap().as_bytes().len()
    };
    // version 1, suite 1, expiry 5, enc 1 + 32, length of the ciphertext 2 or 3, tag 16
    assert_eq!(length(0), 40 + 2 + 512 + 16);
    // payload without body: 32 + 4 × 32 + 16 + 5 + 1, body length 2, signature 64, length field 4
    assert_eq!(length(512 - 252), 40 + 2 + 512 + 16);
    assert_eq!(length(512 - 251), 40 + 2 + 1024 + 16);
    assert_eq!(length(4096 - 252), 40 + 2 + 4096 + 16);
    assert_eq!(length(4096 - 251), 40 + 2 + 4352 + 16);
    assert_eq!(length(MESSAGE_BODY_BYTES_MAX), 40 + 3 + 63_488 + 16);
    assert!(length(MESSAGE_BODY_BYTES_MAX) <= ENVELOPE_BYTES_MAX);
}

#[test]
fn a_body_over_the_limit_is_not_sealed() {
    let (alice, bob) = (alice(), bob());
    let content = Content::bytes(vec![1; MESSAGE_BODY_BYTES_MAX + 1]);
    let sealed = seal(
        &NETWORK,
        &alice.sender(),
        &bob.recipient(),
        ID,
        EXPIRY,
        &content,
        &mut rng(9),
    );
    let limit = MESSAGE_BODY_BYTES_MAX;
    let actual = limit + 1;
    assert_eq!(sealed, Err(SealError::BodyTooLong { limit, actual }));
}

#[test]
fn a_recipient_key_of_small_order_is_not_sealed_to() {
    let (alice, bob) = (alice(), bob());
    let mut to = bob.recipient();
    to.key = EnvelopeKey::x25519([0; 32]);
    let sealed = seal(&NETWORK, &alice.sender(), &to, ID, EXPIRY, &text(), &mut rng(9));
    assert_eq!(sealed, Err(SealError::RecipientKey));
}

#[test]
fn only_text_that_is_text_reads_as_text() {
    assert_eq!(Content::text("ä").as_text(), Some("ä"));
    assert_eq!(Content::bytes("ä").as_text(), None);
    let kind = ContentKind::TEXT;
    assert_eq!(Content { kind, body: vec![0xff] }.as_text(), None);
}

#[test]
fn message_ids_are_drawn_from_the_generator() {
    let mut rng = rng(5);
    assert_ne!(MessageId::generate(&mut rng), MessageId::generate(&mut rng));
}

#[test]
fn a_message_of_a_device_revoked_later_still_verifies_at_its_height() {
    let (alice, bob) = (alice(), bob());
    let envelope = seal(
        &NETWORK,
        &alice.sender(),
        &bob.recipient(),
        ID,
        EXPIRY,
        &text(),
        &mut rng(9),
    )
    .unwrap();
    let record =
        tokenim_identity::SignedRecord::revoke_device(&NETWORK, &alice.state, &alice.root, alice.device).unwrap();
    let state = alice.state.apply(&NETWORK, &record, Height::new(20)).unwrap();
    let opened = open(&bob.opener(), envelope.as_bytes(), NOW).unwrap();
    assert!(opened.verify_for(&state, Height::new(19)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::cases(24)))]

    #[test]
    fn whatever_is_sealed_opens(
        sender in 1..200_u8,
        recipient in 1..200_u8,
        id in any::<[u8; 16]>(),
        lifetime in 0..=LIFETIME_MAX.as_secs(),
        kind in any::<u16>(),
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..600),
            proptest::collection::vec(any::<u8>(), 0..=MESSAGE_BODY_BYTES_MAX),
        ],
        ikm in any::<[u8; 32]>(),
    ) {
        let (from, to) = (crate::people::Person::new(sender), crate::people::Person::new(recipient));
        let expiry = UnixSeconds::new(NOW.get() + lifetime);
        let content = Content { kind: ContentKind::new(kind), body };
        let id = MessageId::from_bytes(id);
        let sealed = seal(&NETWORK, &from.sender(), &to.recipient(), id, expiry, &content, &mut Once(Some(ikm))).unwrap();
        let overhead = sealed.as_bytes().len() - 40 - 16;
        prop_assert!((2..=3).any(|prefix| padded(overhead - prefix) == overhead - prefix));
        let message = open(&to.opener(), sealed.as_bytes(), NOW).unwrap().verify_for(&from.state, ADDED).unwrap();
        prop_assert_eq!((message.id, message.expiry), (id, expiry));
        prop_assert_eq!(message.content, content);
    }
}

#[test]
fn the_key_pair_of_a_seed_is_that_of_the_suite() {
    let key = EnvelopeSecretKey::from_seed(&[7; 32]);
    let expected = tokenim_envelope::hpke::SecretKey::derive(&[7; 32]);
    assert_eq!(key.public().to_x25519(), Some(expected.public_key().to_bytes()));
}
