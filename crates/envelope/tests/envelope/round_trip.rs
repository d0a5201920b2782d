//! What is sealed opens, and looks as the specification says.

use proptest::prelude::*;
use tokenim_envelope::{
    Checkpoint, Content, ContentKind, EnvelopeSecretKey, LIFETIME_MAX, MessageId, OpenError, SealError, SealedEnvelope,
    Suite, hpke, open, seal,
};
use tokenim_identity::{EnvelopeKey, SignedRecord, SuiteId};
use tokenim_wire::limits::{ENVELOPE_BYTES_MAX, MESSAGE_BODY_BYTES_MAX};
use tokenim_wire::{Digest, EnvelopeId, Height, UnixSeconds};

use crate::draft::{Draft, padded};
use crate::people::{
    ADDED, CHECKPOINT, EXPIRY, ID, NETWORK, NOW, Once, Person, alice, bob, place, randomness, rng, text,
};

/// Bytes of the outer header: version 1, suite 1 or 3, expiry 5, length of `enc` 1 or 2, `enc`.
fn header_bytes(suite: Suite) -> usize {
    if suite == Suite::X25519 { 40 } else { 1131 }
}

#[test]
fn a_sealed_message_opens_and_verifies() {
    for suite in Suite::ALL {
        let (alice, bob) = (alice(), bob(suite));
        let envelope = alice.seal_to(&bob.recipient(), &text(), &mut rng(9)).unwrap();

        let opened = bob.open(&envelope).unwrap();
        assert_eq!(opened.sender(), (alice.identity, alice.device));
        assert_eq!((opened.message_id(), opened.expiry()), (ID, EXPIRY));

        let message = opened.verify_for(&alice.state, ADDED).unwrap();
        assert_eq!((message.sender, message.sender_device), (alice.identity, alice.device));
        assert_eq!((message.id, message.expiry), (ID, EXPIRY));
        assert_eq!(message.checkpoint, Some(CHECKPOINT));
        assert_eq!(message.content, text());
        assert_eq!(message.content.as_text(), text().as_text());
    }
}

#[test]
fn a_key_at_hand_verifies_too() {
    for suite in Suite::ALL {
        let (alice, bob) = (alice(), bob(suite));
        let envelope = alice.seal_to(&bob.recipient(), &text(), &mut rng(9)).unwrap();
        let opened = bob.open(&envelope).unwrap();
        assert!(opened.verify(&alice.secrets.signing.verifying_key()).is_ok());
    }
}

#[test]
fn a_second_implementation_makes_the_same_bytes() {
    for suite in Suite::ALL {
        let (alice, bob) = (alice(), bob(suite));
        for body in [
            0,
            1,
            127,
            128,
            257,
            258,
            259,
            260,
            4000,
            5000,
            16_384,
            MESSAGE_BODY_BYTES_MAX,
        ] {
            let checkpoint = (body % 2 == 0).then_some(CHECKPOINT);
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
                checkpoint,
                &content,
                &mut Once(Some(randomness(suite))),
            );
            let mut draft = Draft::honest(&alice, &bob);
            (draft.kind, draft.body) = (300, content.body.clone());
            draft.checkpoint = checkpoint.map(|c| (c.height.get(), c.header.to_bytes()));
            assert!(sealed.unwrap().as_bytes() == draft.seal(), "{suite:?} {body}");
        }
    }
}

#[test]
fn the_envelope_begins_with_its_header() {
    for suite in Suite::ALL {
        let (alice, bob) = (alice(), bob(suite));
        let envelope = alice
            .seal_to(&bob.recipient(), &text(), &mut Once(Some(randomness(suite))))
            .unwrap();
        let header = Draft::honest(&alice, &bob).aad();
        assert_eq!(header.len(), header_bytes(suite));
        assert!(envelope.as_bytes().starts_with(&header));
        assert_eq!((envelope.suite(), envelope.expiry()), (suite.id(), EXPIRY));
        assert_eq!(envelope.id(), EnvelopeId::of(envelope.as_bytes()));
        let again = SealedEnvelope::from_bytes(envelope.as_bytes().to_vec()).unwrap();
        assert_eq!(again, envelope);
        assert_eq!(again.into_bytes(), envelope.as_ref());
    }
}

#[test]
fn a_node_keeps_envelopes_of_a_suite_that_it_does_not_know() {
    let mut draft = Draft::honest(&alice(), &bob(Suite::X25519));
    draft.suite = 0x647b;
    let envelope = SealedEnvelope::from_bytes(draft.seal()).unwrap();
    assert_eq!((envelope.suite(), envelope.expiry()), (SuiteId::new(0x647b), EXPIRY));
}

#[test]
fn one_message_to_two_devices_is_two_unlike_envelopes() {
    let (alice, bob) = (alice(), bob(Suite::XWing));
    let mut rng = rng(9);
    let mut sealed = || alice.seal_to(&bob.recipient(), &text(), &mut rng).unwrap();
    let (first, second) = (sealed(), sealed());
    assert_ne!(first.id(), second.id());
}

#[test]
fn lengths_tell_only_the_bucket() {
    for suite in Suite::ALL {
        let (alice, bob) = (alice(), bob(suite));
        let length = |body: usize, checkpoint| {
            let content = Content::bytes(vec![1; body]);
            let (sender, to) = (alice.sender(), bob.recipient());
            let sealed = seal(&NETWORK, &sender, &to, ID, EXPIRY, checkpoint, &content, &mut rng(9));
            sealed.unwrap().as_bytes().len()
        };
        // header, length of the ciphertext 2 or 3, tag 16
        let header = header_bytes(suite);
        assert_eq!(length(0, None), header + 2 + 512 + 16);
        // payload without body: 32 + 4 × 32 + 16 + 5 + 1 + 1, body length 2, signature 64, length field 4
        assert_eq!(length(512 - 253, None), header + 2 + 512 + 16);
        assert_eq!(length(512 - 252, None), header + 2 + 1024 + 16);
        assert_eq!(length(4096 - 253, None), header + 2 + 4096 + 16);
        assert_eq!(length(4096 - 252, None), header + 2 + 4352 + 16);
        // with a checkpoint of three bytes of height
        assert_eq!(length(512 - 253 - 35, Some(CHECKPOINT)), header + 2 + 512 + 16);
        assert_eq!(length(512 - 252 - 35, Some(CHECKPOINT)), header + 2 + 1024 + 16);
        let longest = Checkpoint {
            height: Height::MAX,
            header: Digest::from_bytes([0xff; 32]),
        };
        assert_eq!(length(MESSAGE_BODY_BYTES_MAX, Some(longest)), header + 3 + 63_488 + 16);
        assert!(length(MESSAGE_BODY_BYTES_MAX, Some(longest)) <= ENVELOPE_BYTES_MAX);
    }
}

#[test]
fn a_body_over_the_limit_is_not_sealed() {
    let content = Content::bytes(vec![1; MESSAGE_BODY_BYTES_MAX + 1]);
    let sealed = alice().seal_to(&bob(Suite::XWing).recipient(), &content, &mut rng(9));
    let limit = MESSAGE_BODY_BYTES_MAX;
    let actual = limit + 1;
    assert_eq!(sealed, Err(SealError::BodyTooLong { limit, actual }));
}

#[test]
fn a_recipient_key_of_small_order_is_not_sealed_to() {
    let mut to = bob(Suite::X25519).recipient();
    to.key = EnvelopeKey::x25519([0; 32]);
    let sealed = alice().seal_to(&to, &text(), &mut rng(9));
    assert_eq!(sealed, Err(SealError::RecipientKey));

    let mut to = bob(Suite::XWing).recipient();
    let key = [&to.key.as_bytes()[..1184], &[0; 32]].concat();
    to.key = EnvelopeKey::new(SuiteId::X_WING, &key).unwrap();
    let sealed = alice().seal_to(&to, &text(), &mut rng(9));
    assert_eq!(sealed, Err(SealError::RecipientKey));
}

#[test]
fn a_recipient_key_that_is_not_reduced_is_not_sealed_to() {
    let mut to = bob(Suite::XWing).recipient();
    let key = [&[0xff; 1184], &to.key.as_bytes()[1184..]].concat();
    to.key = EnvelopeKey::new(SuiteId::X_WING, &key).unwrap();
    let sealed = alice().seal_to(&to, &text(), &mut rng(9));
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
    let (alice, bob) = (alice(), bob(Suite::XWing));
    let envelope = alice.seal_to(&bob.recipient(), &text(), &mut rng(9)).unwrap();
    let record = SignedRecord::revoke_device(&NETWORK, &alice.state, &alice.root, alice.device).unwrap();
    let state = alice.state.apply(&place(Height::new(20)), &record).unwrap();
    let opened = bob.open(&envelope).unwrap();
    assert!(opened.verify_for(&state, Height::new(19)).is_ok());
}

#[test]
fn an_envelope_to_an_earlier_key_opens_until_that_key_is_deleted() {
    for suite in Suite::ALL {
        let (alice, bob) = (alice(), bob(suite));
        let later = [2, 3].map(|seed| EnvelopeSecretKey::from_seed(suite, &[seed; 32]));
        // to the key of the record, and to each of the later ones
        for key in [&bob.key, &later[0], &later[1]] {
            let mut to = bob.recipient();
            to.key = key.public().clone();
            let envelope = alice.seal_to(&to, &text(), &mut rng(9)).unwrap();
            let keys = [&later[1], &later[0], &bob.key];
            let message = open(&bob.opener(&keys), envelope.as_bytes(), NOW)
                .unwrap()
                .verify_for(&alice.state, ADDED);
            assert_eq!(message.unwrap().content, text());
            // the statement is over the key that was sealed to, wherever it stands
            let keys = [&bob.key, &later[0], &later[1]];
            let opened = open(&bob.opener(&keys), envelope.as_bytes(), NOW).unwrap();
            assert!(opened.verify_for(&alice.state, ADDED).is_ok());

            let left: Vec<_> = keys
                .into_iter()
                .filter(|other| other.public() != key.public())
                .collect();
            let refused = open(&bob.opener(&left), envelope.as_bytes(), NOW);
            assert_eq!(refused.err(), Some(OpenError::Refused));
        }
    }
}

#[test]
fn an_opener_takes_the_strongest_suite_of_its_keys() {
    let [weak, strong] = Suite::ALL.map(|suite| EnvelopeSecretKey::from_seed(suite, &[1; 32]));
    let bob = bob(Suite::XWing);
    assert_eq!(bob.opener(&[]).suite(), None);
    assert_eq!(bob.opener(&[&weak]).suite(), Some(Suite::X25519));
    assert_eq!(bob.opener(&[&strong]).suite(), Some(Suite::XWing));
    assert_eq!(bob.opener(&[&weak, &strong]).suite(), Some(Suite::XWing));
    assert_eq!(bob.opener(&[&strong, &weak]).suite(), Some(Suite::XWing));
    // and the weak key beside it does no harm
    let envelope = alice().seal_to(&bob.recipient(), &text(), &mut rng(9)).unwrap();
    for keys in [[&weak, &bob.key], [&bob.key, &weak]] {
        assert!(open(&bob.opener(&keys), envelope.as_bytes(), NOW).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::cases(24)))]

    #[test]
    fn whatever_is_sealed_opens(
        suite in prop_oneof![Just(Suite::X25519), Just(Suite::XWing)],
        sender in 1..200_u8,
        recipient in 1..200_u8,
        id in any::<[u8; 16]>(),
        lifetime in 0..=LIFETIME_MAX.as_secs(),
        checkpoint in any::<Option<(u64, [u8; 32])>>(),
        kind in any::<u16>(),
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..600),
            proptest::collection::vec(any::<u8>(), 0..=MESSAGE_BODY_BYTES_MAX),
        ],
        random in any::<[u8; 32]>(),
    ) {
        let (from, to) = (Person::new(sender, Suite::X25519), Person::new(recipient, suite));
        let expiry = UnixSeconds::new(NOW.get() + lifetime);
        let content = Content { kind: ContentKind::new(kind), body };
        let id = MessageId::from_bytes(id);
        let checkpoint = checkpoint.map(|(height, header)| Checkpoint {
            height: Height::new(height),
            header: Digest::from_bytes(header),
        });
        let mut rng = Once(Some(random.repeat(randomness(suite).len() / 32)));
        let (sender, recipient) = (from.sender(), to.recipient());
        let sealed = seal(&NETWORK, &sender, &recipient, id, expiry, checkpoint, &content, &mut rng).unwrap();
        let overhead = sealed.as_bytes().len() - header_bytes(suite) - 16;
        prop_assert!((2..=3).any(|prefix| padded(overhead - prefix) == overhead - prefix));
        let message = to.open(&sealed).unwrap().verify_for(&from.state, ADDED).unwrap();
        prop_assert_eq!((message.id, message.expiry, message.checkpoint), (id, expiry, checkpoint));
        prop_assert_eq!(&message.content, &content);
    }
}

#[test]
fn the_key_pair_of_a_seed_is_that_of_the_suite() {
    for suite in Suite::ALL {
        let key = EnvelopeSecretKey::from_seed(suite, &[7; 32]);
        let expected = hpke::SecretKey::derive(suite, &[7; 32]);
        assert_eq!(key.public().as_bytes(), expected.public_key().as_bytes());
        assert_eq!((key.suite(), key.public().suite()), (suite, suite.id()));
    }
}
