//! Every way to be refused, one test each, named for it; they are also the negative vectors. Each in both suites.

use sha2::{Digest as _, Sha512};
use tokenim_envelope::OpenError::{self, Expired, LifetimeTooLong, Malformed, OtherSuite, Refused, UnsupportedSuite};
use tokenim_envelope::{EnvelopeSecretKey, Message, Opener, SealedEnvelope, Suite, open};
use tokenim_identity::verify::zip215;
use tokenim_identity::{DeviceId, DeviceKey, IdentityId, SignedRecord, SuiteId};
use tokenim_wire::limits::{ENVELOPE_BYTES_MAX, MESSAGE_BODY_BYTES_MAX};
use tokenim_wire::{DecodeError, Height, NetworkId, UnixSeconds};

use crate::draft::{Draft, bytes, number, varint};
use crate::people::{ADDED, EXPIRY, ID, NETWORK, NOW, Person, alice, bob, mallory, place, rng, text};

/// The step that refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Open,
    Verify,
}
use Step::{Open, Verify};

/// An envelope, the device that opens it, and the key that its sender is said to have.
#[derive(Clone)]
pub struct Attempt {
    pub envelope: Vec<u8>,
    pub network: NetworkId,
    pub identity: IdentityId,
    pub device: DeviceId,
    /// The seeds of the device's envelope keys.
    pub keys: Vec<(Suite, [u8; 32])>,
    pub now: UnixSeconds,
    pub sender_key: DeviceKey,
}

impl Attempt {
    /// Bob opens it and looks Alice up.
    pub fn new(suite: Suite, envelope: Vec<u8>) -> Self {
        let bob = bob(suite);
        Self {
            envelope,
            network: NETWORK,
            identity: bob.identity,
            device: bob.device,
            keys: vec![(suite, *bob.secrets.envelope_seed)],
            now: NOW,
            sender_key: alice().secrets.signing.verifying_key(),
        }
    }

    pub fn run(&self) -> Result<Message, (Step, OpenError)> {
        let from_seed = |(suite, seed): &(Suite, [u8; 32])| EnvelopeSecretKey::from_seed(*suite, seed);
        let keys: Vec<_> = self.keys.iter().map(from_seed).collect();
        self.run_with(&keys.iter().collect::<Vec<_>>())
    }

    /// With keys that are already made.
    fn run_with(&self, keys: &[&EnvelopeSecretKey]) -> Result<Message, (Step, OpenError)> {
        let opener = Opener {
            network: self.network,
            identity: self.identity,
            device: self.device,
            keys,
        };
        let opened = open(&opener, &self.envelope, self.now).map_err(|error| (Open, error))?;
        opened.verify(&self.sender_key).map_err(|error| (Verify, error))
    }
}

/// What Alice would send to Bob.
fn honest(suite: Suite) -> Draft {
    Draft::honest(&alice(), &bob(suite))
}

/// That, with something wrong before it is sealed.
fn draft(suite: Suite, change: impl FnOnce(&mut Draft)) -> Attempt {
    let mut draft = honest(suite);
    change(&mut draft);
    Attempt::new(suite, draft.seal())
}

/// That, with something wrong with the sealed bytes.
fn sent(suite: Suite, change: impl FnOnce(&mut Vec<u8>)) -> Attempt {
    let mut envelope = honest(suite).seal();
    change(&mut envelope);
    Attempt::new(suite, envelope)
}

/// That, opened by someone or somewhere else.
fn opened(suite: Suite, change: impl FnOnce(&mut Attempt)) -> Attempt {
    let mut attempt = Attempt::new(suite, honest(suite).seal());
    change(&mut attempt);
    attempt
}

/// Bytes before the ciphertext's length.
fn header_bytes(suite: Suite) -> usize {
    honest(suite).aad().len()
}

/// Where `enc` begins: after version, suite, expiry and its length.
fn enc_start(suite: Suite) -> usize {
    header_bytes(suite) - suite.encapsulated_bytes()
}

/// The suite that it isn't.
fn other(suite: Suite) -> Suite {
    if suite == Suite::X25519 {
        Suite::XWing
    } else {
        Suite::X25519
    }
}

/// Honest but for `enc`, of which only the length is as it should be.
fn with_enc(suite: Suite, enc: &[u8]) -> Attempt {
    let honest = honest(suite);
    let mut envelope = vec![1];
    varint(honest.suite, &mut envelope);
    varint(honest.outer_expiry, &mut envelope);
    bytes(enc, &mut envelope);
    envelope.extend_from_slice(&honest.seal()[header_bytes(suite)..]);
    Attempt::new(suite, envelope)
}

/// The header of another envelope in front of this one's ciphertext.
fn under_header(suite: Suite, other: impl FnOnce(&mut Draft)) -> Attempt {
    let mut changed = honest(suite);
    other(&mut changed);
    let mut envelope = changed.aad();
    envelope.extend_from_slice(&honest(suite).seal()[header_bytes(suite)..]);
    Attempt::new(suite, envelope)
}

macro_rules! refused {
    ($suite:ident; $($(#[$doc:meta])* $name:ident: $step:ident, $error:expr, $attempt:expr;)*) => {
        $(
            $(#[$doc])*
            #[test]
            fn $name() {
                for $suite in Suite::ALL {
                    let attempt: Attempt = $attempt;
                    assert_eq!(attempt.run().map(|_| ()), Err(($step, $error)), "{:?}", $suite);
                }
            }
        )*

        /// All of them in one suite, for the vectors.
        pub fn cases($suite: Suite) -> Vec<(&'static str, Step, OpenError, Attempt)> {
            vec![$((stringify!($name), $step, $error, $attempt)),*]
        }
    };
}

refused! { s;
    // The outer header.
    empty: Open, Malformed(DecodeError::Truncated), Attempt::new(s, Vec::new());
    unknown_version: Open, Malformed(DecodeError::UnknownVersion { object: "envelope", version: 2 }),
        draft(s, |d| d.version = 2);
    unknown_suite: Open, UnsupportedSuite(SuiteId::new(0x647b)), draft(s, |d| d.suite = 0x647b);
    suite_out_of_range: Open, Malformed(DecodeError::Malformed), draft(s, |d| d.suite += 0x1_0000);
    /// Of 16 bits a varint has three bytes at most.
    suite_with_a_byte_more: Open,
        Malformed(if s == Suite::X25519 { DecodeError::NotCanonical } else { DecodeError::Malformed }),
        sent(s, |e| {
        // the varint of the suite, one byte for X25519 and three for X-Wing, goes on and says zero
        let end = if s == Suite::X25519 { 1 } else { 3 };
        e[end] |= 0x80;
        e.insert(end + 1, 0);
    });
    trailing_byte: Open, Malformed(DecodeError::TrailingBytes), sent(s, |e| e.push(0));
    last_byte_missing: Open, Malformed(DecodeError::Truncated), sent(s, |e| { e.pop(); });
    encapsulated_key_one_byte_short: Open, Malformed(DecodeError::Malformed), with_enc(s, &honest(s).enc()[1..]);
    encapsulated_key_one_byte_long: Open, Malformed(DecodeError::Malformed),
        with_enc(s, &[honest(s).enc(), vec![0]].concat());
    encapsulated_key_empty: Open, Malformed(DecodeError::Malformed), with_enc(s, &[]);
    encapsulated_key_of_the_other_suite: Open, Malformed(DecodeError::Malformed),
        with_enc(s, &honest(other(s)).enc());
    encapsulated_key_longer_than_any: Open, Malformed(DecodeError::Malformed), with_enc(s, &[0; 5000]);
    longer_than_the_limit: Open,
        Malformed(DecodeError::TooLong { limit: ENVELOPE_BYTES_MAX, actual: ENVELOPE_BYTES_MAX + 1 }),
        Attempt::new(s, vec![1; ENVELOPE_BYTES_MAX + 1]);
    expired: Open, Expired, opened(s, |a| a.now = EXPIRY.checked_add(121).unwrap());
    lifetime_too_long: Open, LifetimeTooLong, opened(s, |a| a.now = EXPIRY.checked_sub(30 * 86_400 + 121).unwrap());

    // Another suite than the device's.
    /// Alice means well and seals to the other key that Bob's seed gives.
    sealed_in_the_other_suite: Open, OtherSuite(other(s).id()), Attempt::new(s, honest(other(s)).seal());
    /// Bob still holds a key of the other suite. For the stronger one this is what whoever wants to talk him down needs.
    sealed_to_a_weaker_key_that_is_still_held: Open, OtherSuite(Suite::X25519.id()), {
        let mut attempt = Attempt::new(Suite::X25519, honest(Suite::X25519).seal());
        attempt.keys = vec![(s, *bob(s).secrets.envelope_seed), (other(s), *bob(s).secrets.envelope_seed)];
        attempt
    };
    relabelled_as_the_other_suite: Open, OtherSuite(other(s).id()), draft(s, |d| d.suite = number(other(s)).into());
    opened_without_a_key: Open, OtherSuite(s.id()), opened(s, |a| a.keys.clear());

    // Header and ciphertext that don't belong together.
    header_with_another_expiry: Open, Refused, under_header(s, |d| d.outer_expiry += 1);
    header_of_another_envelope: Open, Refused, under_header(s, |d| d.randomness.fill(7));
    /// In X-Wing the half of X25519.
    encapsulated_key_of_small_order: Open, Refused, sent(s, |e| {
        let end = header_bytes(s);
        e[end - 32..end].fill(0);
    });
    /// In X-Wing the half of ML-KEM, where any change leads to another secret.
    encapsulated_key_changed_at_its_start: Open, Refused, sent(s, |e| e[enc_start(s)] ^= 1);
    ciphertext_shorter_than_a_tag: Open, Refused, Attempt::new(s, {
        let mut envelope = honest(s).aad();
        bytes(&[0; 15], &mut envelope);
        envelope
    });
    ciphertext_empty: Open, Refused, Attempt::new(s, {
        let mut envelope = honest(s).aad();
        bytes(&[], &mut envelope);
        envelope
    });

    // Another place.
    opened_in_another_network: Open, Refused, opened(s, |a| a.network = NetworkId::from_bytes([1; 32]));
    sealed_for_another_network: Open, Refused, draft(s, |d| d.info_network = NetworkId::from_bytes([1; 32]));
    sealed_as_another_suite: Open, Refused, draft(s, |d| d.info_suite = number(other(s)));
    opened_with_another_key: Open, Refused, opened(s, |a| a.keys[0].1 = *mallory(s).secrets.envelope_seed);
    opened_by_another_identity: Open, Refused, opened(s, |a| a.identity = mallory(s).identity);
    opened_by_another_device: Open, Refused, opened(s, |a| a.device = mallory(s).device);
    sealed_for_another_identity: Open, Refused, draft(s, |d| d.recipient = mallory(s).identity.to_bytes());
    sealed_for_another_device: Open, Refused, draft(s, |d| d.recipient_device = mallory(s).device.to_bytes());

    // The plaintext.
    key_commitment_not_zero: Open, Refused, draft(s, |d| d.commitment[31] = 1);
    inner_expiry_differs: Open, Refused, draft(s, |d| d.expiry += 1);
    padding_not_zero_at_its_start: Open, Refused, draft(s, |d| d.dirty = Some(0));
    padding_not_zero_at_its_end: Open, Refused, draft(s, |d| {
        let signed = d.payload().len() + 64;
        d.dirty = Some(512 - 4 - signed - 1);
    });
    padded_to_a_larger_bucket: Open, Refused, draft(s, |d| d.padded_bytes = Some(1024));
    padded_to_no_bucket: Open, Refused, draft(s, |d| d.padded_bytes = Some(513));
    length_beyond_the_plaintext: Open, Refused, draft(s, |d| d.length = Some(509));
    length_too_large_for_memory: Open, Refused, draft(s, |d| d.length = Some(u32::MAX));
    length_shorter_than_a_signature: Open, Refused, draft(s, |d| d.length = Some(63));
    length_one_short: Open, Refused, draft(s, |d| d.length = Some(d.payload().len() as u32 + 63));
    plaintext_empty: Open, Refused, Attempt::new(s, honest(s).seal_plaintext(&[]));
    plaintext_all_zero: Open, Refused, Attempt::new(s, honest(s).seal_plaintext(&[0; 512]));
    payload_with_a_byte_more: Open, Refused, draft(s, |d| {
        let mut payload = d.payload();
        payload.push(0);
        d.payload_override = Some(payload);
    });
    payload_with_a_byte_less: Open, Refused, draft(s, |d| {
        let mut payload = d.payload();
        payload.pop();
        d.payload_override = Some(payload);
    });
    payload_not_canonical: Open, Refused, draft(s, |d| {
        // the kind in two bytes
        let mut payload = d.payload();
        payload.splice(182..183, [0x81, 0x00]);
        d.payload_override = Some(payload);
    });
    checkpoint_neither_there_nor_not: Open, Refused, draft(s, |d| {
        let mut payload = d.payload();
        payload[181] = 2;
        d.payload_override = Some(payload);
    });
    checkpoint_cut: Open, Refused, draft(s, |d| {
        d.checkpoint = Some((1_000_000, [0xc4; 32]));
        d.payload_override = Some(d.payload()[..181 + 4 + 31].to_vec());
    });
    checkpoint_height_not_canonical: Open, Refused, draft(s, |d| {
        d.checkpoint = Some((1, [0xc4; 32]));
        let mut payload = d.payload();
        payload.splice(182..183, [0x81, 0x00]);
        d.payload_override = Some(payload);
    });
    kind_out_of_range: Open, Refused, draft(s, |d| d.kind = 0x1_0000);
    body_longer_than_the_limit: Open, Refused, draft(s, |d| d.body = vec![0x20; MESSAGE_BODY_BYTES_MAX + 1]);
    body_announced_longer_than_it_is: Open, Refused, draft(s, |d| {
        let mut payload = d.payload();
        payload.truncate(183);
        varint(60_000, &mut payload);
        d.payload_override = Some(payload);
    });

    // The sender.
    claimed_sender_did_not_sign: Verify, Refused, draft(s, |d| d.signer = mallory(s).secrets.signing);
    /// Alice signs, but in the name of a device that is not hers.
    claimed_device_has_another_key: Verify, Refused, draft(s, |d| d.sender_device = mallory(s).device.to_bytes());
    claimed_device_is_not_the_keys: Verify, Refused, draft(s, |d| {
        d.sender_device = mallory(s).device.to_bytes();
        d.signer = mallory(s).secrets.signing;
    });
    looked_up_another_key: Verify, Refused, opened(s, |a| a.sender_key = mallory(s).secrets.signing.verifying_key());
    signed_in_another_network: Verify, Refused, draft(s, |d| d.signed_network = NetworkId::from_bytes([1; 32]));
    signed_with_another_info: Verify, Refused, draft(s, |d| d.signed_info = Some(b"other".to_vec()));
    signed_with_another_header: Verify, Refused, draft(s, |d| d.signed_aad = Some(b"other".to_vec()));
    signed_with_another_encapsulated_key: Verify, Refused, draft(s, |d| d.signed_enc = Some(vec![9; s.encapsulated_bytes()]));
    signed_for_another_recipient_key: Verify, Refused, draft(s, |d| d.signed_key = vec![9; s.public_key_bytes()]);
    signed_for_the_other_suite: Verify, Refused, draft(s, |d| d.signed_suite = number(other(s)).into());
    signed_with_a_part_of_the_encapsulated_key: Verify, Refused, draft(s, |d| d.signed_enc = Some(d.enc()[1..].to_vec()));
    signature_all_zero: Verify, Refused, draft(s, |d| d.signature = Some([0; 64]));
    signature_that_only_zip215_takes: Verify, Refused, draft(s, |d| d.signature = Some(with_r_of_small_order(d)));
    signature_with_s_above_the_order: Verify, Refused, draft(s, |d| d.signature = Some(with_order_added(d.signature())));
    checkpoint_added_after_signing: Verify, Refused, draft(s, |d| {
        d.signature = Some(d.signature());
        d.checkpoint = Some((1_000_000, [0xc4; 32]));
    });
    checkpoint_changed_after_signing: Verify, Refused, draft(s, |d| {
        d.checkpoint = Some((1_000_000, [0xc4; 32]));
        d.signature = Some(d.signature());
        d.checkpoint = Some((1_000_001, [0xc4; 32]));
    });
    payload_changed_after_signing: Verify, Refused, draft(s, |d| {
        let mut changed = d.clone();
        changed.body[0] ^= 1;
        d.payload_override = Some(changed.payload());
    });

    // Alice wrote to Mallory, who passes it on.
    forwarded_as_it_is: Open, Refused, forwarded(s, |_| {});
    forwarded_with_the_recipient_rewritten: Verify, Refused, forwarded(s, |d| {
        d.recipient = bob(s).identity.to_bytes();
        d.recipient_device = bob(s).device.to_bytes();
    });
    /// Mallory took over Bob's names, or Bob's device has a new key: names agree, the key sealed to doesn't.
    forwarded_to_another_key_of_the_same_device: Verify, Refused, forwarded_between_keys(s);
    /// Nothing differs but the encapsulated key.
    sealed_again_to_the_same_key: Verify, Refused, draft(s, |d| {
        d.signature = Some(d.signature());
        d.randomness.fill(7);
    });
}

/// What Alice sent to Mallory, sealed again to Bob with Alice's signature.
fn forwarded(suite: Suite, rewrite: impl FnOnce(&mut Draft)) -> Attempt {
    let mut draft = Draft::honest(&alice(), &mallory(suite));
    draft.signature = Some(draft.signature());
    draft.seal_to = bob(suite).key.public().as_bytes().to_vec();
    rewrite(&mut draft);
    Attempt::new(suite, draft.seal())
}

fn forwarded_between_keys(suite: Suite) -> Attempt {
    let mut draft = honest(suite);
    draft.signed_key = mallory(suite).key.public().as_bytes().to_vec();
    draft.signature = Some(draft.signature());
    Attempt::new(suite, draft.seal())
}

/// `R` the neutral element and `s = k·a`: the equation holds, and `R` is of small order.
fn with_r_of_small_order(draft: &Draft) -> [u8; 64] {
    let network = draft.signed_network;
    let key = draft.signer.verifying_key();
    let mut message = vec![29];
    message.extend_from_slice(b"tokenim/envelope-signature/v1");
    message.extend_from_slice(network.as_bytes());
    message.extend_from_slice(&draft.statement());

    let mut signature = [0; 64];
    signature[0] = 1;
    let k = Sha512::new()
        .chain_update(&signature[..32])
        .chain_update(key.as_bytes())
        .chain_update(&message)
        .finalize();
    let mut a = Sha512::digest(*draft.signer.expose_seed())[..32].to_vec();
    a[0] &= 0xf8;
    a[31] = a[31] & 0x7f | 0x40;
    signature[32..].copy_from_slice(&scalar::product(&scalar::reduce(&k), &a));
    assert!(zip215(key.as_bytes(), &message, &signature).is_ok());
    signature
}

/// Arithmetic modulo the order of the Ed25519 group on little-endian bytes, bit by bit.
mod scalar {
    /// High and low half.
    type Scalar = (u128, u128);
    const ORDER: Scalar = (1 << 124, 0x14de_f9de_a2f7_9cd6_5812_631a_5cf5_d3ed);

    fn add(a: Scalar, b: Scalar) -> Scalar {
        let (low, carry) = a.1.overflowing_add(b.1);
        let sum = (a.0 + b.0 + u128::from(carry), low);
        if sum < ORDER {
            return sum;
        }
        let (low, borrow) = sum.1.overflowing_sub(ORDER.1);
        (sum.0 - ORDER.0 - u128::from(borrow), low)
    }

    /// From the highest bit to the lowest.
    fn bits(bytes: &[u8]) -> impl Iterator<Item = bool> {
        bytes
            .iter()
            .rev()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
    }

    fn times(a: Scalar, b: &[u8]) -> Scalar {
        bits(b).fold((0, 0), |sum, bit| add(add(sum, sum), if bit { a } else { (0, 0) }))
    }

    fn bytes(a: Scalar) -> [u8; 32] {
        let mut out = [0; 32];
        out[..16].copy_from_slice(&a.1.to_le_bytes());
        out[16..].copy_from_slice(&a.0.to_le_bytes());
        out
    }

    pub fn reduce(a: &[u8]) -> [u8; 32] {
        bytes(times((0, 1), a))
    }

    pub fn product(a: &[u8; 32], b: &[u8]) -> [u8; 32] {
        let half = |range: core::ops::Range<usize>| u128::from_le_bytes(a[range].try_into().unwrap_or_default());
        bytes(times((half(16..32), half(0..16)), b))
    }
}

/// `s + L`, which the group equation can't tell from `s`.
fn with_order_added(mut signature: [u8; 64]) -> [u8; 64] {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    signature
}

#[test]
fn the_honest_envelope_is_not_refused() {
    for suite in Suite::ALL {
        let message = Attempt::new(suite, honest(suite).seal()).run().unwrap();
        assert_eq!((message.sender, message.id), (alice().identity, ID));
        assert_eq!(message.content, text());
    }
}

#[test]
fn a_bit_flipped_anywhere_is_refused() {
    for suite in Suite::ALL {
        let good = Attempt::new(suite, honest(suite).seal());
        let key = bob(suite).key;
        let enc = enc_start(suite)..header_bytes(suite);
        for position in 0..good.envelope.len() {
            // of the middle of a long encapsulated key one bit a byte
            let middle = enc.start + 8 <= position && position + 40 < enc.end;
            for bit in 0..if middle { 1 } else { 8 } {
                let mut attempt = good.clone();
                attempt.envelope[position] ^= 1 << bit;
                let (step, error) = attempt.run_with(&[&key]).expect_err("a flipped bit is noticed");
                assert_eq!(step, Open, "{suite:?} {position}.{bit}");
                if enc.contains(&position) || position >= enc.end + 2 {
                    assert_eq!(error, Refused, "{suite:?} {position}.{bit}");
                }
            }
        }
    }
}

#[test]
fn an_envelope_cut_anywhere_is_refused() {
    for suite in Suite::ALL {
        let good = Attempt::new(suite, honest(suite).seal());
        let key = bob(suite).key;
        for length in 0..good.envelope.len() {
            let mut attempt = good.clone();
            attempt.envelope.truncate(length);
            let expected = Malformed(DecodeError::Truncated);
            assert_eq!(attempt.run_with(&[&key]).map(|_| ()), Err((Open, expected)), "{length}");
            assert_eq!(
                SealedEnvelope::from_bytes(attempt.envelope).map(|_| ()),
                Err(DecodeError::Truncated),
                "{length}"
            );
        }
    }
}

#[test]
fn a_ciphertext_cut_anywhere_and_relabelled_is_refused() {
    for suite in Suite::ALL {
        let (good, aad, key) = (honest(suite).seal(), honest(suite).aad(), bob(suite).key);
        let ciphertext = &good[aad.len() + 2..];
        for length in 0..ciphertext.len() {
            let mut envelope = aad.clone();
            bytes(&ciphertext[..length], &mut envelope);
            let attempt = Attempt::new(suite, envelope);
            assert_eq!(attempt.run_with(&[&key]).map(|_| ()), Err((Open, Refused)), "{length}");
        }
    }
}

#[test]
fn a_plaintext_flipped_anywhere_by_its_sender_is_refused() {
    // beyond encryption: every bit of the payload is signed, or checked, or padding
    for suite in Suite::ALL {
        let (honest, key) = (honest(suite), bob(suite).key);
        let good = honest.plaintext();
        for position in 0..good.len() {
            let mut plaintext = good.clone();
            plaintext[position] ^= 1 << (position % 8);
            let attempt = Attempt::new(suite, honest.seal_plaintext(&plaintext));
            let refused = attempt.run_with(&[&key]).map(|_| ()).map_err(|(_, error)| error);
            assert_eq!(refused, Err(Refused), "{position}");
        }
    }
}

#[test]
fn states_that_do_not_vouch_for_the_sender_are_refused() {
    let (alice, bob, mallory) = (alice(), bob(Suite::XWing), mallory(Suite::XWing));
    let opened = || bob.open(honest(Suite::XWing).seal()).unwrap();
    assert!(opened().verify_for(&alice.state, ADDED).is_ok());
    // another identity's state
    assert_eq!(opened().verify_for(&mallory.state, ADDED), Err(Refused));
    // before the device was added
    assert_eq!(opened().verify_for(&alice.state, Height::new(9)), Err(Refused));
    // at and after its revocation
    let record = SignedRecord::revoke_device(&NETWORK, &alice.state, &alice.root, alice.device).unwrap();
    let revoked = alice.state.apply(&place(Height::new(20)), &record).unwrap();
    assert!(opened().verify_for(&revoked, Height::new(19)).is_ok());
    assert_eq!(opened().verify_for(&revoked, Height::new(20)), Err(Refused));
    assert_eq!(opened().verify_for(&revoked, Height::MAX), Err(Refused));
}

#[test]
fn another_identitys_device_can_not_speak_for_this_one() {
    // Mallory names Alice as sender and Mallory's own device, and signs correctly with it. The device's key alone
    // would verify; Alice's state does not have the device.
    let (bob, mallory) = (bob(Suite::XWing), mallory(Suite::XWing));
    let mut draft = honest(Suite::XWing);
    draft.sender_device = mallory.device.to_bytes();
    draft.signer = mallory.secrets.signing.clone();
    let opened = || bob.open(draft.seal()).unwrap();
    assert!(opened().verify(&mallory.secrets.signing.verifying_key()).is_ok());
    assert_eq!(opened().verify_for(&alice().state, ADDED), Err(Refused));
    assert_eq!(opened().verify_for(&mallory.state, ADDED), Err(Refused));
}

#[test]
fn every_refusal_behind_the_header_looks_the_same() {
    let cases = Suite::ALL.into_iter().flat_map(cases);
    let opaque = cases.filter(|(_, _, error, _)| *error == Refused);
    let texts: std::collections::BTreeSet<_> = opaque.map(|(_, _, error, _)| format!("{error} {error:?}")).collect();
    assert_eq!(texts.len(), 1);
}

#[test]
fn a_sender_of_one_network_is_a_stranger_in_another() {
    for suite in Suite::ALL {
        let (alice, bob) = (alice(), bob(suite));
        let mut draft = honest(suite);
        let network = NetworkId::from_bytes([0x0e; 32]);
        (draft.info_network, draft.signed_network) = (network, network);
        let envelope = draft.seal();
        assert_eq!(bob.open(&envelope).map(|_| ()), Err(Refused));
        let keys = [&bob.key];
        let opener = Opener {
            network,
            ..bob.opener(&keys)
        };
        let opened = open(&opener, &envelope, NOW).unwrap();
        assert!(opened.verify_for(&alice.state, ADDED).is_ok());
    }
}

#[test]
fn two_devices_of_one_person_do_not_open_each_others() {
    for suite in Suite::ALL {
        let (alice, phone, laptop) = (alice(), bob(suite), Person::new(4, suite));
        let envelope = alice.seal_to(&phone.recipient(), &text(), &mut rng(1)).unwrap();
        let keys = [&laptop.key];
        let laptop = Opener {
            identity: phone.identity,
            ..laptop.opener(&keys)
        };
        assert_eq!(open(&laptop, envelope.as_bytes(), NOW).map(|_| ()), Err(Refused));
    }
}
