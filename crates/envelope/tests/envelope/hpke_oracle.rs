//! The `hpke` module against the `hpke` crate, in both directions, in both suites.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::{Deserializable, Kem, OpModeR, Serializable};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tokenim_envelope::Suite;
use tokenim_envelope::hpke as own;

use crate::draft::seal_with;
use crate::people::Once;

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..64), vec(any::<u8>(), 0..max)]
}

/// What the `hpke` crate opens.
fn open_with<K: Kem>(secret: &[u8], enc: &[u8], info: &[u8], aad: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    hpke::single_shot_open::<AesGcm256, HkdfSha256, K>(
        &OpModeR::Base,
        &K::PrivateKey::from_bytes(secret).unwrap(),
        &K::EncappedKey::from_bytes(enc).unwrap(),
        info,
        ciphertext,
        aad,
    )
    .ok()
}

struct Case {
    ikm_r: [u8; 32],
    randomness: Vec<u8>,
    info: Vec<u8>,
    aad: Vec<u8>,
    plaintext: Vec<u8>,
}

fn agree<K: Kem>(suite: Suite, case: &Case) -> TestCaseResult {
    let Case {
        ikm_r,
        randomness,
        info,
        aad,
        plaintext,
    } = case;
    let own_key = own::SecretKey::derive(suite, ikm_r);
    let (_, their_public) = K::derive_keypair(ikm_r);
    prop_assert_eq!(their_public.to_bytes().to_vec(), own_key.public_key().as_bytes());

    let mut rng = Once(Some(randomness.clone()));
    let (own_enc, own_ct) = own::seal(own_key.public_key(), info, aad, plaintext, &mut rng).unwrap();
    let (enc, ct) = seal_with::<K>(own_key.public_key().as_bytes(), info, aad, plaintext, randomness);
    prop_assert_eq!((own_enc.as_bytes(), &own_ct), (enc.as_slice(), &ct));

    // each opens the other's
    let enc = own::Encapsulated::from_bytes(suite, &enc).unwrap();
    let opened = own::open(&own_key, &enc, info, aad, &ct);
    prop_assert_eq!(opened.as_ref(), Ok(plaintext));
    let opened = open_with::<K>(
        own_key.expose_bytes().as_slice(),
        own_enc.as_bytes(),
        info,
        aad,
        &own_ct,
    );
    prop_assert_eq!(opened.as_ref(), Some(plaintext));
    Ok(())
}

/// What either takes or refuses of bytes that nobody sealed.
fn same_verdict<K: Kem>(suite: Suite, secret: &[u8; 32], enc: &[u8], ciphertext: &[u8]) -> TestCaseResult {
    let own_key = own::SecretKey::from_bytes(suite, secret);
    let own_enc = own::Encapsulated::from_bytes(suite, enc).unwrap();
    let own_result = own::open(&own_key, &own_enc, b"", b"", ciphertext).ok();
    prop_assert_eq!(own_result, open_with::<K>(secret, enc, b"", b"", ciphertext));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::cases(64)))]

    #[test]
    fn the_same_randomness_gives_the_same_bytes(
        ikm_r in any::<[u8; 32]>(),
        randomness in vec(any::<u8>(), 32),
        info in bytes(300),
        aad in bytes(300),
        plaintext in bytes(3000),
    ) {
        agree::<X25519HkdfSha256>(Suite::X25519, &Case { ikm_r, randomness, info, aad, plaintext })?;
    }

    #[test]
    fn the_same_randomness_gives_the_same_bytes_with_x_wing(
        ikm_r in any::<[u8; 32]>(),
        randomness in vec(any::<u8>(), 64),
        info in bytes(300),
        aad in bytes(300),
        plaintext in bytes(3000),
    ) {
        agree::<XWing>(Suite::XWing, &Case { ikm_r, randomness, info, aad, plaintext })?;
    }

    #[test]
    fn both_take_or_refuse_the_same_foreign_bytes(
        secret in any::<[u8; 32]>(),
        enc in vec(any::<u8>(), 32),
        ciphertext in bytes(100),
    ) {
        same_verdict::<X25519HkdfSha256>(Suite::X25519, &secret, &enc, &ciphertext)?;
    }

    #[test]
    fn both_take_or_refuse_the_same_foreign_bytes_with_x_wing(
        secret in any::<[u8; 32]>(),
        enc in vec(any::<u8>(), 1120),
        ciphertext in bytes(100),
    ) {
        same_verdict::<XWing>(Suite::XWing, &secret, &enc, &ciphertext)?;
    }

    /// Of one changed byte of the encapsulated key both make the same: another secret, by implicit rejection.
    #[test]
    fn both_refuse_a_changed_encapsulated_key(
        secret in any::<[u8; 32]>(),
        randomness in vec(any::<u8>(), 64),
        position in 0..1120_usize,
        bit in 0..8_u8,
    ) {
        let key = own::SecretKey::from_bytes(Suite::XWing, &secret);
        let (enc, ct) = seal_with::<XWing>(key.public_key().as_bytes(), b"", b"", b"text", &randomness);
        let mut changed = enc;
        changed[position] ^= 1 << bit;
        // X25519 ignores the highest bit of a key, but X-Wing hashes it
        same_verdict::<XWing>(Suite::XWing, &secret, &changed, &ct)?;
        prop_assert_eq!(open_with::<XWing>(&secret, &changed, b"", b"", &ct), None);
    }
}

/// The one difference: where the X25519 half of an X-Wing ciphertext is of small order, the crate goes on and this module
/// doesn't.
#[test]
fn a_small_order_half_of_x_wing_is_refused_here_only() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../vectors/hpke_refused.json")).unwrap();
    let bytes = |text: &serde_json::Value| -> Vec<u8> {
        let text = text.as_str().unwrap();
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    };
    let mut found = 0;
    for v in vectors.as_array().unwrap() {
        let small_order = v["name"].as_str().unwrap().starts_with("encapsulated_key_of_order_");
        if !small_order || v["suite"] != 0x647a {
            continue;
        }
        let [secret, enc, info, aad, ct] = ["secret", "enc", "info", "aad", "ct"].map(|field| bytes(&v[field]));
        let theirs = open_with::<XWing>(&secret, &enc, &info, &aad, &ct);
        assert_eq!(theirs.as_deref(), Some(b"plaintext".as_slice()));
        let key = own::SecretKey::from_bytes(Suite::XWing, &secret.try_into().unwrap());
        let enc = own::Encapsulated::from_bytes(Suite::XWing, &enc).unwrap();
        assert_eq!(own::open(&key, &enc, &info, &aad, &ct), Err(own::OpenError::Refused));
        found += 1;
    }
    assert_eq!(found, 2);
}
