//! Published vectors: RFC 9180, the drafts of X-Wing and of post-quantum HPKE, RFC 7748, RFC 5869.

use super::*;
use hkdf::HkdfExtract;
use sha2::Sha256;

#[derive(serde::Deserialize)]
#[allow(non_snake_case, reason = "the names of RFC 9180")]
struct Rfc9180 {
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

fn rfc9180() -> Rfc9180 {
    serde_json::from_str(include_str!("../../../tests/vectors/hpke_rfc9180.json")).unwrap()
}

#[test]
fn the_vector_of_rfc_9180_is_reproduced_byte_for_byte() {
    let v = rfc9180();
    let recipient = SecretKey::derive(Suite::X25519, &hex(&v.ikmR));
    assert_eq!(recipient.expose_bytes().to_vec(), hex(&v.skRm));
    assert_eq!(recipient.public_key().as_bytes().to_vec(), hex(&v.pkRm));

    let mut rng = Fixed(hex(&v.ikmE));
    let (info, aad, pt) = (hex(&v.info), hex(&v.aad), hex(&v.pt));
    let (enc, ct) = seal(recipient.public_key(), &info, &aad, &pt, &mut rng).unwrap();
    assert!(rng.0.is_empty(), "exactly one key is drawn");
    assert_eq!(enc.as_bytes().to_vec(), hex(&v.enc));
    assert_eq!(ct, hex(&v.ct));

    let recipient = SecretKey::from_bytes(Suite::X25519, &array(&v.skRm));
    assert_eq!(open(&recipient, &enc, &info, &aad, &ct), Ok(pt));
}

#[test]
fn every_step_of_the_key_schedule_of_rfc_9180_is_reproduced() {
    let v = rfc9180();
    let recipient = x25519::SecretKey::derive(&hex(&v.ikmR));
    let ephemeral = x25519::SecretKey::derive(&hex(&v.ikmE));
    assert_eq!(ephemeral.expose_bytes().to_vec(), hex(&v.skEm));

    let dh = x25519::diffie_hellman(&ephemeral.secret, &recipient.public).unwrap();
    let shared = x25519::shared_secret(&dh, &ephemeral.public, &recipient.public);
    assert_eq!(shared.to_vec(), hex(&v.shared_secret));
    assert_eq!(
        Schedule::X25519.context(&hex(&v.info)).to_vec(),
        hex(&v.key_schedule_context)
    );
    let keys = Schedule::X25519.keys(&shared, &hex(&v.info));
    assert_eq!(
        (keys.key.to_vec(), keys.nonce.to_vec()),
        (hex(&v.key), hex(&v.base_nonce))
    );
}

#[derive(serde::Deserialize)]
struct XWing {
    vectors: Vec<XWingVector>,
}

#[derive(serde::Deserialize)]
struct XWingVector {
    seed: String,
    eseed: String,
    ss: String,
    sk: String,
    pk: String,
    ct: String,
}

#[test]
fn the_vectors_of_the_x_wing_draft_are_reproduced() {
    let XWing { vectors } = serde_json::from_str(include_str!("../../../tests/vectors/x_wing.json")).unwrap();
    assert_eq!(vectors.len(), 3);
    for v in vectors {
        assert_eq!(v.seed, v.sk);
        let secret = x_wing::SecretKey::from_bytes(&array(&v.seed));
        assert_eq!(secret.public().bytes.to_vec(), hex(&v.pk));
        let public = x_wing::PublicKey::from_bytes(&hex(&v.pk)).unwrap();
        let (ct, shared) = x_wing::encapsulate(&public, &array(&v.eseed)).unwrap();
        assert_eq!((ct.to_vec(), shared.to_vec()), (hex(&v.ct), hex(&v.ss)));
        assert_eq!(secret.decapsulate(&ct).unwrap().to_vec(), hex(&v.ss));
    }
}

#[derive(serde::Deserialize)]
#[allow(non_snake_case, reason = "the names of the draft")]
struct HpkePq {
    info: String,
    ikmR: String,
    skRm: String,
    pkRm: String,
    randomness: String,
    enc: String,
    shared_secret: String,
    key: String,
    base_nonce: String,
}

/// Key encapsulation, derivation of key pairs and the key schedule; its AEAD is ChaCha20Poly1305, whose keys are as long.
#[test]
fn the_vector_of_post_quantum_hpke_is_reproduced_up_to_its_aead() {
    let v: HpkePq = serde_json::from_str(include_str!("../../../tests/vectors/hpke_pq.json")).unwrap();
    let recipient = SecretKey::derive(Suite::XWing, &hex(&v.ikmR));
    assert_eq!(recipient.expose_bytes().to_vec(), hex(&v.skRm));
    assert_eq!(recipient.public_key().as_bytes().to_vec(), hex(&v.pkRm));

    let mut rng = Fixed(hex(&v.randomness));
    let sealed = Encapsulation::new(recipient.public_key(), &mut rng).unwrap();
    assert!(rng.0.is_empty(), "all of it is drawn");
    assert_eq!(sealed.enc.as_bytes().to_vec(), hex(&v.enc));
    assert_eq!(sealed.shared_secret.to_vec(), hex(&v.shared_secret));
    let opened = recipient.decapsulate(&sealed.enc).unwrap();
    assert_eq!(opened, sealed.shared_secret);

    let suite = *b"HPKE\x64\x7a\x00\x01\x00\x03";
    let hash = kdf::labeled_extractor(b"", &suite, b"psk_id_hash", b"").finalize().0;
    let psk_id_hash = hash.into();
    let keys = Schedule { suite, psk_id_hash }.keys(&opened, &hex(&v.info));
    assert_eq!(
        (keys.key.to_vec(), keys.nonce.to_vec()),
        (hex(&v.key), hex(&v.base_nonce))
    );
}

/// Scalar, u-coordinate, result: RFC 7748, section 5.2, and both directions of section 6.1.
const RFC_7748: [[&str; 3]; 4] = [
    [
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ],
    [
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ],
    [
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    ],
    [
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    ],
];

fn x25519_function(scalar: [u8; 32], point: &[u8; 32]) -> [u8; 32] {
    *x25519::diffie_hellman(&StaticSecret::from(scalar), point).unwrap()
}

#[test]
fn the_vectors_of_rfc_7748_are_reproduced() {
    for [scalar, point, result] in RFC_7748 {
        assert_eq!(x25519_function(array(scalar), &array(point)).to_vec(), hex(result));
    }
    let (mut k, mut u) = ([0; 32], [0; 32]);
    (k[0], u[0]) = (9, 9);
    let after = [
        (1, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"),
        (1000, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"),
    ];
    for round in 1..=1000 {
        (k, u) = (x25519_function(k, &u), k);
        if let Some((_, expected)) = after.iter().find(|(at, _)| *at == round) {
            assert_eq!(k.to_vec(), hex(expected), "{round}");
        }
    }
}

/// Input keying material, salt, info, output: RFC 5869, appendices A.1 to A.3.
const RFC_5869: [[&str; 4]; 3] = [
    [
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ],
    [
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637\
         38393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
        "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f9091929394959697\
         98999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
        "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7\
         e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8\
         367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ],
    [
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ],
];

/// HKDF as [`kdf`] calls it: salt, input in pieces, info in pieces.
pub(super) fn hkdf(salt: &[u8], ikm: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), hkdf::InvalidLength> {
    let mut extractor = HkdfExtract::<Sha256>::new(Some(salt));
    let (head, tail) = ikm.split_at(ikm.len() / 2);
    extractor.input_ikm(head);
    extractor.input_ikm(tail);
    let (head, tail) = info.split_at(info.len() / 2);
    extractor.finalize().1.expand_multi_info(&[head, tail], out)
}

#[test]
fn the_vectors_of_rfc_5869_are_reproduced() {
    for [ikm, salt, info, output] in RFC_5869 {
        let mut out = vec![0; output.len() / 2];
        hkdf(&hex(salt), &hex(ikm), &hex(info), &mut out).unwrap();
        assert_eq!(out, hex(output));
    }
}
