//! Tests that look inside: published vectors step by step, and a ciphertext for two keys.

use alloc::{format, string::String, vec, vec::Vec};

use super::*;
use aes_gcm::Aes256Gcm;
use rand_core::{Infallible, TryCryptoRng, TryRng};
use x25519_dalek::StaticSecret;

mod published;
mod vectors;
mod wycheproof;

/// A generator that gives the bytes it holds, once.
pub(crate) struct Fixed(pub(crate) Vec<u8>);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("only whole keys are drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("only whole keys are drawn")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0.drain(..out.len()).collect::<Vec<_>>());
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

fn rng(seed: u8) -> Fixed {
    Fixed((0..=255).map(|i: u8| i.wrapping_mul(29) ^ seed).collect())
}

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

#[test]
fn the_constant_psk_id_hashes_are_what_they_say() {
    for suite in Suite::ALL {
        let schedule = suite.schedule();
        let hash = kdf::labeled_extractor(b"", &schedule.suite, b"psk_id_hash", b"")
            .finalize()
            .0;
        assert_eq!(hash.as_slice(), schedule.psk_id_hash, "{suite:?}");
        // the number of the KEM, then those of HKDF-SHA256 and AES-256-GCM
        let number = suite.id().get().to_be_bytes();
        assert_eq!(
            schedule.suite,
            *[b"HPKE", number.as_slice(), &[0, 1, 0, 2]].concat(),
            "{suite:?}"
        );
    }
}

#[test]
fn suites_and_their_numbers_belong_together() {
    for suite in Suite::ALL {
        assert_eq!(Suite::from_id(suite.id()), Some(suite));
        assert_eq!(suite.id().key_bytes(), Some(suite.public_key_bytes()));
        let key = SecretKey::generate(suite, &mut rng(1));
        assert_eq!((key.suite(), key.public_key().suite()), (suite, suite));
        assert_eq!(key.public_key().as_bytes().len(), suite.public_key_bytes());
        let (enc, _) = seal(key.public_key(), b"", b"", b"", &mut rng(2)).unwrap();
        assert_eq!(enc.as_bytes().len(), suite.encapsulated_bytes());
        let published = EnvelopeKey::from(key.public_key());
        assert_eq!(
            (published.suite(), published.as_bytes()),
            (suite.id(), key.public_key().as_bytes())
        );
    }
    assert_eq!(Suite::from_id(SuiteId::new(0x0021)), None);
    assert!(Suite::X25519 < Suite::XWing, "the weaker one first");
    assert_eq!(Suite::default(), Suite::XWing);
}

#[test]
fn keys_survive_their_bytes() {
    for suite in Suite::ALL {
        let key = SecretKey::generate(suite, &mut rng(1));
        let again = SecretKey::from_bytes(suite, &key.expose_bytes());
        assert_eq!(again.public_key(), key.public_key());
        assert_eq!(again.expose_bytes(), key.expose_bytes());
        let public = PublicKey::from_bytes(suite, key.public_key().as_bytes()).unwrap();
        let (enc, ct) = seal(&public, b"i", b"a", b"text", &mut rng(2)).unwrap();
        assert_eq!(
            seal(key.public_key(), b"i", b"a", b"text", &mut rng(2)),
            Ok((enc.clone(), ct.clone()))
        );
        let enc = Encapsulated::from_bytes(suite, enc.as_bytes()).unwrap();
        assert_eq!(open(&again, &enc, b"i", b"a", &ct).as_deref(), Ok(b"text".as_slice()));
    }
}

#[test]
fn in_place_and_copying_forms_agree() {
    for suite in Suite::ALL {
        let recipient = SecretKey::generate(suite, &mut rng(1));
        let plaintext: Vec<u8> = (0..=99).collect();
        let (enc, ct) = seal(recipient.public_key(), b"i", b"a", &plaintext, &mut rng(2)).unwrap();

        let mut buffer = plaintext.clone();
        let in_place = seal_in_place(recipient.public_key(), b"i", b"a", &mut buffer, &mut rng(2)).unwrap();
        assert_eq!((&in_place, &buffer), (&enc, &ct));

        open_in_place(&recipient, &enc, b"i", b"a", &mut buffer).unwrap();
        assert_eq!(buffer, plaintext);
    }
}

#[test]
fn a_refused_buffer_is_left_alone() {
    for suite in Suite::ALL {
        let recipient = SecretKey::generate(suite, &mut rng(1));
        let (enc, mut ct) = seal(recipient.public_key(), b"i", b"a", b"text", &mut rng(2)).unwrap();
        ct[1] ^= 1;
        let before = ct.clone();
        let refused = open_in_place(&recipient, &enc, b"i", b"a", &mut ct);
        assert_eq!((refused, ct), (Err(OpenError::Refused), before));
    }
}

#[test]
fn every_input_is_bound() {
    for suite in Suite::ALL {
        let recipient = SecretKey::generate(suite, &mut rng(1));
        let other = SecretKey::generate(suite, &mut rng(9));
        let (enc, ct) = seal(recipient.public_key(), b"info", b"aad", b"text", &mut rng(2)).unwrap();
        let (other_enc, _) = seal(recipient.public_key(), b"info", b"aad", b"text", &mut rng(3)).unwrap();
        let refused = Err(OpenError::Refused);
        assert_eq!(open(&other, &enc, b"info", b"aad", &ct), refused);
        assert_eq!(open(&recipient, &other_enc, b"info", b"aad", &ct), refused);
        assert_eq!(open(&recipient, &enc, b"info!", b"aad", &ct), refused);
        assert_eq!(open(&recipient, &enc, b"info", b"", &ct), refused);
        for length in 0..ct.len() {
            assert_eq!(
                open(&recipient, &enc, b"info", b"aad", &ct[..length]),
                refused,
                "{length}"
            );
        }
        for position in 0..ct.len() {
            let mut flipped = ct.clone();
            flipped[position] ^= 0x80;
            assert_eq!(open(&recipient, &enc, b"info", b"aad", &flipped), refused, "{position}");
        }
        for position in 0..enc.as_bytes().len() {
            let mut flipped = enc.as_bytes().to_vec();
            flipped[position] ^= 0x40;
            let flipped = Encapsulated::from_bytes(suite, &flipped).unwrap();
            assert_eq!(open(&recipient, &flipped, b"info", b"aad", &ct), refused, "{position}");
        }
    }
}

#[test]
fn an_encapsulated_key_of_the_other_suite_does_not_open() {
    let keys = Suite::ALL.map(|suite| SecretKey::derive(suite, &[1; 32]));
    for (key, other) in [(&keys[0], &keys[1]), (&keys[1], &keys[0])] {
        let (enc, ct) = seal(key.public_key(), b"i", b"a", b"text", &mut rng(2)).unwrap();
        assert_eq!(open(other, &enc, b"i", b"a", &ct), Err(OpenError::Refused));
    }
}

/// The multiplication on the Edwards form against the ladder of `x25519-dalek`, on the curve, on its twist, and where a
/// u-coordinate is not reduced.
#[test]
fn both_ways_to_multiply_agree() {
    let mut point = [9; 32];
    let mut on_the_twist = 0;
    for round in 0..500_u32 {
        let secret = StaticSecret::from(point.map(|byte: u8| byte.wrapping_add(round as u8)));
        let ladder = secret.diffie_hellman(&x25519_dalek::PublicKey::from(point));
        let ours = x25519::diffie_hellman(&secret, &point);
        let expected = ladder.was_contributory().then_some(Zeroizing::new(ladder.to_bytes()));
        assert_eq!(ours, expected, "{round}");
        let edwards = curve25519_dalek::MontgomeryPoint(point).to_edwards(0);
        on_the_twist += u32::from(edwards.is_none());
        // half of all u-coordinates belong to the twist
        point = sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), point)).into();
        if round % 5 == 0 {
            // p − 237 to p + 18, and the highest bit set, which doesn't count
            point[1..].fill(0xff);
        }
    }
    assert!((150..350).contains(&on_the_twist), "{on_the_twist}");
}

/// The u-coordinates below the prime that belong to points of small order, on the curve or on its twist.
const SMALL_ORDER: [&str; 5] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn points_of_small_order_are_refused_on_both_sides() {
    for suite in Suite::ALL {
        let recipient = SecretKey::generate(suite, &mut rng(1));
        let (enc, _) = seal(recipient.public_key(), b"", b"", b"text", &mut rng(2)).unwrap();
        for text in SMALL_ORDER {
            let at_the_end = |bytes: &[u8]| [&bytes[..bytes.len() - 32], &hex(text)].concat();
            let to = PublicKey::from_bytes(suite, &at_the_end(recipient.public_key().as_bytes())).unwrap();
            let sealed = seal(&to, b"", b"", b"text", &mut rng(2));
            assert_eq!(sealed, Err(SealError::PublicKey), "{text}");
            let enc = Encapsulated::from_bytes(suite, &at_the_end(enc.as_bytes())).unwrap();
            assert_eq!(
                open(&recipient, &enc, b"", b"", &[0; 64]),
                Err(OpenError::Refused),
                "{text}"
            );
        }
    }
}

#[test]
fn keys_print_without_their_secrets() {
    let key = SecretKey::from_bytes(Suite::X25519, &[0xab; 32]);
    assert_eq!(
        format!("{key:?} {key:#?}"),
        "SecretKey(X25519, redacted) SecretKey(X25519, redacted)"
    );
    let key = SecretKey::from_bytes(Suite::XWing, &[0xab; 32]);
    assert_eq!(
        format!("{key:?} {key:#?}"),
        "SecretKey(XWing, redacted) SecretKey(XWing, redacted)"
    );
    let enc = Encapsulated::from_bytes(Suite::X25519, &[7; 32]).unwrap();
    assert_eq!(format!("{enc:?}"), format!("Encapsulated({})", "07".repeat(32)));
    let enc = Encapsulated::from_bytes(Suite::XWing, &[7; 1120]).unwrap();
    assert_eq!(format!("{enc:?}"), format!("Encapsulated({}…)", "07".repeat(32)));
}

fn wipes_on_drop<T: zeroize::ZeroizeOnDrop>() {}

#[test]
fn secret_values_are_of_types_that_wipe_themselves() {
    wipes_on_drop::<SecretKey>();
    wipes_on_drop::<StaticSecret>();
    wipes_on_drop::<x25519_dalek::SharedSecret>();
    wipes_on_drop::<ml_kem::ml_kem_768::DecapsulationKey>();
    wipes_on_drop::<sha3::Sha3_256>();
    // its reader does so too, without saying it by the trait
    wipes_on_drop::<shake::Shake256>();
    wipes_on_drop::<Aes256Gcm>();
    wipes_on_drop::<SharedSecret>();
    // The fields of the types that hold secrets here; a new one has to be named.
    let x25519::SecretKey { secret, public: _ } = x25519::SecretKey::from_bytes(&[1; 32]);
    let _: StaticSecret = secret;
    let x_wing::SecretKey {
        seed,
        ml_kem,
        x25519,
        x25519_public: _,
    } = x_wing::SecretKey::from_bytes(&[1; 32]);
    let _: (Zeroizing<[u8; 32]>, ml_kem::ml_kem_768::DecapsulationKey, StaticSecret) = (seed, ml_kem, x25519);
    for suite in Suite::ALL {
        let key = SecretKey::from_bytes(suite, &[1; 32]);
        let Encapsulation {
            suite: _,
            enc: _,
            shared_secret,
        } = Encapsulation::new(key.public_key(), &mut rng(2)).unwrap();
        let kdf::Keys { key, nonce } = suite.schedule().keys(&shared_secret, b"");
        let _: (Zeroizing<[u8; 32]>, Zeroizing<[u8; 12]>) = (key, nonce);
        let _: Zeroizing<[u8; 32]> = shared_secret;
        let SecretKey { secret, public: _ } = SecretKey::from_bytes(suite, &[1; 32]);
        match secret {
            Secret::X25519(x25519::SecretKey { .. }) => {}
            Secret::XWing(_) => {}
        }
    }
}

/// Multiplication in the field of GHASH: blocks as big-endian numbers, the first bit the lowest power.
fn multiply(a: u128, b: u128) -> u128 {
    let (mut product, mut term) = (0, b);
    for bit in (0..128).rev() {
        if a >> bit & 1 == 1 {
            product ^= term;
        }
        term = (term >> 1) ^ (if term & 1 == 1 { 0xe1 << 120 } else { 0 });
    }
    product
}

fn invert(a: u128) -> u128 {
    // a^(2^128 − 2) = the product of a^(2^i) for i from 1 to 127
    let (mut power, mut inverse) = (a, 1 << 127);
    for _ in 1..128 {
        power = multiply(power, power);
        inverse = multiply(inverse, power);
    }
    inverse
}

/// What a dishonest sender needs: one encapsulated key, two recipients, one ciphertext that both can open. With X25519,
/// where one ephemeral key serves two recipients; the AEAD, which is at fault, is the same in both suites.
///
/// The first `zeros` bytes open as zeros under the first key.
pub(crate) fn ciphertext_for_two(
    first: &PublicKey,
    second: &PublicKey,
    info: &[u8],
    aad: &[u8],
    blocks: usize,
    zeros: usize,
) -> (Encapsulated, Vec<u8>) {
    let ephemeral = x25519::SecretKey::derive(&[5; 32]);
    let enc = ephemeral.public;
    let keys = |to: &PublicKey| {
        let to = to.as_bytes().try_into().unwrap();
        let dh = x25519::diffie_hellman(&ephemeral.secret, to).unwrap();
        Schedule::X25519.keys(&x25519::shared_secret(&dh, &enc, to), info)
    };
    let keys = [keys(first), keys(second)];
    let keystream = |k: &kdf::Keys| {
        let mut zeroes = vec![0; 16 * blocks];
        let _ = k
            .cipher()
            .encrypt_inout_detached(k.nonce(), aad, zeroes.as_mut_slice().into());
        zeroes
    };
    // The tag that a key gives to a ciphertext, by encrypting what decrypts to it.
    let tag = |k: &kdf::Keys, ciphertext: &[u8]| {
        let mut buffer: Vec<u8> = keystream(k).iter().zip(ciphertext).map(|(a, b)| a ^ b).collect();
        let tag = k
            .cipher()
            .encrypt_inout_detached(k.nonce(), aad, buffer.as_mut_slice().into());
        assert_eq!(buffer, ciphertext);
        u128::from_be_bytes(tag.unwrap().into())
    };

    let free = zeros.div_ceil(16)..zeros.div_ceil(16) + 1;
    let mut ciphertext = keystream(&keys[0]);
    let mut set = |value: u128| {
        ciphertext[16 * free.start..16 * free.end].copy_from_slice(&value.to_be_bytes());
        ciphertext.clone()
    };
    // Tags are affine in the free block: solve for the value at which both agree.
    let (zero, one) = (set(0), set(1 << 127));
    let at_zero = [tag(&keys[0], &zero), tag(&keys[1], &zero)];
    let slope = [at_zero[0] ^ tag(&keys[0], &one), at_zero[1] ^ tag(&keys[1], &one)];
    let mut sealed = set(multiply(at_zero[0] ^ at_zero[1], invert(slope[0] ^ slope[1])));
    let common = tag(&keys[0], &sealed);
    assert_eq!(common, tag(&keys[1], &sealed));
    sealed.extend_from_slice(&common.to_be_bytes());
    (Encapsulated::from_bytes(Suite::X25519, &enc).unwrap(), sealed)
}

#[test]
fn aes_gcm_alone_does_not_commit_to_its_key() {
    let [first, second] = [[1; 32], [2; 32]].map(|ikm| SecretKey::derive(Suite::X25519, &ikm));
    let (enc, sealed) = ciphertext_for_two(first.public_key(), second.public_key(), b"i", b"a", 8, 32);
    let plaintexts = [&first, &second].map(|key| open(key, &enc, b"i", b"a", &sealed).unwrap());
    assert_eq!(plaintexts[0][..32], [0; 32]);
    assert_ne!(plaintexts[1][..32], [0; 32]);
}
