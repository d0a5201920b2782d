//! The `hpke` module against the `hpke` crate, in both directions.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use proptest::collection::vec;
use proptest::prelude::*;
use tokenim_envelope::hpke as own;

use crate::people::Once;

type Kem = X25519HkdfSha256;

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..64), vec(any::<u8>(), 0..max)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::cases(64)))]

    #[test]
    fn the_same_randomness_gives_the_same_bytes(
        ikm_r in any::<[u8; 32]>(),
        ikm_e in any::<[u8; 32]>(),
        info in bytes(300),
        aad in bytes(300),
        plaintext in bytes(3000),
    ) {
        let own_key = own::SecretKey::derive(&ikm_r);
        let (theirs, their_public) = <Kem as hpke::Kem>::derive_keypair(&ikm_r);
        prop_assert_eq!(<[u8; 32]>::from(their_public.to_bytes()), own_key.public_key().to_bytes());

        let (own_enc, own_ct) =
            own::seal(own_key.public_key(), &info, &aad, &plaintext, &mut Once(Some(ikm_e))).unwrap();
        let (enc, ct) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
            &OpModeS::Base,
            &their_public,
            &info,
            &plaintext,
            &aad,
            &mut Once(Some(ikm_e)),
        )
        .unwrap();
        prop_assert_eq!(<[u8; 32]>::from(enc.to_bytes()), own_enc.to_bytes());
        prop_assert_eq!(&ct, &own_ct);

        // each opens the other's
        let opened = own::open(&own_key, &own::Encapsulated::from_bytes(enc.to_bytes().into()), &info, &aad, &ct);
        prop_assert_eq!(opened.as_ref(), Ok(&plaintext));
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(own_enc.as_bytes()).unwrap();
        let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, Kem>(
            &OpModeR::Base, &theirs, &enc, &info, &own_ct, &aad,
        );
        prop_assert_eq!(opened.unwrap(), plaintext);
    }

    #[test]
    fn both_take_or_refuse_the_same_foreign_bytes(
        secret in any::<[u8; 32]>(),
        enc in any::<[u8; 32]>(),
        ciphertext in bytes(100),
    ) {
        let own_key = own::SecretKey::from_bytes(&secret);
        let theirs = <Kem as hpke::Kem>::PrivateKey::from_bytes(&secret).unwrap();
        let own_result = own::open(&own_key, &own::Encapsulated::from_bytes(enc), b"", b"", &ciphertext).ok();
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&enc).unwrap();
        let result = hpke::single_shot_open::<AesGcm256, HkdfSha256, Kem>(
            &OpModeR::Base, &theirs, &enc, b"", &ciphertext, b"",
        );
        prop_assert_eq!(own_result, result.ok());
    }
}
