//! Tests that look inside: the published vector step by step, and a ciphertext for two keys.

use alloc::{format, string::String, vec, vec::Vec};

use super::*;
use rand_core::{Infallible, TryCryptoRng, TryRng};

/// A generator that gives the bytes it holds, once.
struct Fixed(Vec<u8>);

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

#[derive(serde::Deserialize)]
#[allow(non_snake_case, reason = "the names of RFC 9180")]
struct Vector {
    info: String,
    ikmR: String,
    skRm: String,
    pkRm: String,
    ikmE: String,
    skEm: String,
    enc: String,
    shared_secret: String,
    key_schedule_context: String,
    key: String,
    base_nonce: String,
    aad: String,
    pt: String,
    ct: String,
}

fn vector() -> Vector {
    serde_json::from_str(include_str!("../../tests/vectors/hpke_rfc9180.json")).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

#[test]
fn the_published_vector_is_reproduced_byte_for_byte() {
    let v = vector();
    let recipient = SecretKey::derive(&hex(&v.ikmR));
    assert_eq!(recipient.expose_bytes().to_vec(), hex(&v.skRm));
    assert_eq!(recipient.public_key().as_bytes().to_vec(), hex(&v.pkRm));

    let mut rng = Fixed(hex(&v.ikmE));
    let (enc, ct) = seal(
        recipient.public_key(),
        &hex(&v.info),
        &hex(&v.aad),
        &hex(&v.pt),
        &mut rng,
    )
    .unwrap();
    assert!(rng.0.is_empty(), "exactly one key is drawn");
    assert_eq!(enc.as_bytes().to_vec(), hex(&v.enc));
    assert_eq!(ct, hex(&v.ct));

    let recipient = SecretKey::from_bytes(&hex(&v.skRm).try_into().unwrap());
    let opened = open(&recipient, &enc, &hex(&v.info), &hex(&v.aad), &ct).unwrap();
    assert_eq!(opened, hex(&v.pt));
}

#[test]
fn every_step_of_the_published_key_schedule_is_reproduced() {
    let v = vector();
    let recipient = SecretKey::derive(&hex(&v.ikmR));
    let ephemeral = SecretKey::derive(&hex(&v.ikmE));
    assert_eq!(ephemeral.expose_bytes().to_vec(), hex(&v.skEm));

    let enc = Encapsulated(ephemeral.public.0);
    let dh = ephemeral.diffie_hellman(recipient.public_key().as_bytes()).unwrap();
    let shared = shared_secret(&dh, &enc, recipient.public_key());
    assert_eq!(shared.to_vec(), hex(&v.shared_secret));
    assert_eq!(
        key_schedule_context(&hex(&v.info)).to_vec(),
        hex(&v.key_schedule_context)
    );

    let schedule = KeySchedule::new(&shared, &hex(&v.info));
    assert_eq!(schedule.key.to_vec(), hex(&v.key));
    assert_eq!(schedule.nonce.to_vec(), hex(&v.base_nonce));
}

#[test]
fn the_constant_psk_id_hash_is_what_it_says() {
    let hash = labeled_extractor(b"", HPKE_SUITE, b"psk_id_hash", b"").finalize().0;
    assert_eq!(hash.as_slice(), PSK_ID_HASH);
}

#[test]
fn in_place_and_copying_forms_agree() {
    let recipient = SecretKey::generate(&mut rng(1));
    let plaintext: Vec<u8> = (0..=99).collect();
    let (enc, ct) = seal(recipient.public_key(), b"i", b"a", &plaintext, &mut rng(2)).unwrap();

    let mut buffer = plaintext.clone();
    let in_place = seal_in_place(recipient.public_key(), b"i", b"a", &mut buffer, &mut rng(2)).unwrap();
    assert_eq!((in_place, &buffer), (enc, &ct));

    open_in_place(&recipient, &enc, b"i", b"a", &mut buffer).unwrap();
    assert_eq!(buffer, plaintext);
}

#[test]
fn a_refused_buffer_is_left_alone() {
    let recipient = SecretKey::generate(&mut rng(1));
    let (enc, mut ct) = seal(recipient.public_key(), b"i", b"a", b"text", &mut rng(2)).unwrap();
    ct[1] ^= 1;
    let before = ct.clone();
    assert_eq!(
        open_in_place(&recipient, &enc, b"i", b"a", &mut ct),
        Err(OpenError::Refused)
    );
    assert_eq!(ct, before);
}

#[test]
fn every_input_is_bound() {
    let recipient = SecretKey::generate(&mut rng(1));
    let other = SecretKey::generate(&mut rng(9));
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
    let recipient = SecretKey::generate(&mut rng(1));
    for text in SMALL_ORDER {
        let point: [u8; 32] = hex(text).try_into().unwrap();
        let sealed = seal(&PublicKey::from_bytes(point), b"", b"", b"text", &mut rng(2));
        assert_eq!(sealed, Err(SealError::PublicKey), "{text}");
        let enc = Encapsulated::from_bytes(point);
        assert_eq!(
            open(&recipient, &enc, b"", b"", &[0; 64]),
            Err(OpenError::Refused),
            "{text}"
        );
    }
}

#[test]
fn a_secret_key_prints_without_its_secret() {
    let key = SecretKey::from_bytes(&[0xab; 32]);
    let text = format!("{key:?} {key:#?}");
    assert!(text.contains("redacted"));
    assert!(!text.contains("abab") && !text.contains("171, 171"), "{text}");
}

fn wipes_on_drop<T: zeroize::ZeroizeOnDrop>() {}

#[test]
fn secret_values_are_of_types_that_wipe_themselves() {
    wipes_on_drop::<StaticSecret>();
    wipes_on_drop::<x25519_dalek::SharedSecret>();
    wipes_on_drop::<Aes256Gcm>();
    wipes_on_drop::<Zeroizing<[u8; KEY_BYTES]>>();
    // The fields of the types that hold secrets here; a new one has to be named.
    let SecretKey { secret, public: _ } = SecretKey::from_bytes(&[1; 32]);
    let _: StaticSecret = secret;
    let KeySchedule { key, nonce } = KeySchedule::new(&[1; 32], b"");
    let _: (Zeroizing<[u8; 32]>, Zeroizing<[u8; 12]>) = (key, nonce);
    let Encapsulation { enc: _, shared_secret } =
        Encapsulation::new(SecretKey::from_bytes(&[1; 32]).public_key(), &mut rng(2)).unwrap();
    let _: Zeroizing<[u8; 32]> = shared_secret;
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

/// What a dishonest sender needs: one encapsulated key, two recipients, one ciphertext that both can open.
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
    let ephemeral = SecretKey::derive(&[5; 32]);
    let enc = Encapsulated(ephemeral.public.0);
    let schedule = |to: &PublicKey| {
        let dh = ephemeral.diffie_hellman(to.as_bytes()).unwrap();
        KeySchedule::new(&shared_secret(&dh, &enc, to), info)
    };
    let schedules = [schedule(first), schedule(second)];
    let keystream = |s: &KeySchedule| {
        let mut zeroes = vec![0; 16 * blocks];
        let _ = s
            .cipher()
            .encrypt_inout_detached(s.nonce(), aad, zeroes.as_mut_slice().into());
        zeroes
    };
    // The tag that a key gives to a ciphertext, by encrypting what decrypts to it.
    let tag = |s: &KeySchedule, ciphertext: &[u8]| {
        let mut buffer: Vec<u8> = keystream(s).iter().zip(ciphertext).map(|(a, b)| a ^ b).collect();
        let tag = s
            .cipher()
            .encrypt_inout_detached(s.nonce(), aad, buffer.as_mut_slice().into());
        assert_eq!(buffer, ciphertext);
        u128::from_be_bytes(tag.unwrap().into())
    };

    let free = zeros.div_ceil(16)..zeros.div_ceil(16) + 1;
    let mut ciphertext = keystream(&schedules[0]);
    let mut set = |value: u128| {
        ciphertext[16 * free.start..16 * free.end].copy_from_slice(&value.to_be_bytes());
        ciphertext.clone()
    };
    // Tags are affine in the free block: solve for the value at which both agree.
    let (zero, one) = (set(0), set(1 << 127));
    let at_zero = [tag(&schedules[0], &zero), tag(&schedules[1], &zero)];
    let slope = [
        at_zero[0] ^ tag(&schedules[0], &one),
        at_zero[1] ^ tag(&schedules[1], &one),
    ];
    let mut sealed = set(multiply(at_zero[0] ^ at_zero[1], invert(slope[0] ^ slope[1])));
    let common = tag(&schedules[0], &sealed);
    assert_eq!(common, tag(&schedules[1], &sealed));
    sealed.extend_from_slice(&common.to_be_bytes());
    (enc, sealed)
}

#[test]
fn aes_gcm_alone_does_not_commit_to_its_key() {
    let (first, second) = (SecretKey::derive(&[1; 32]), SecretKey::derive(&[2; 32]));
    let (enc, sealed) = ciphertext_for_two(first.public_key(), second.public_key(), b"i", b"a", 8, 32);
    let plaintexts = [&first, &second].map(|key| open(key, &enc, b"i", b"a", &sealed).unwrap());
    assert_eq!(plaintexts[0][..32], [0; 32]);
    assert_ne!(plaintexts[1][..32], [0; 32]);
}
