//! The cryptography below MLS against published vectors.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the module is private to the crate; here it is by itself"
)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "../src/crypto/mod.rs"]
mod crypto;

use crypto::{Crypto, CryptoError, Generator, SuiteCrypto};
use mls_rs::{
    MlsMessage, client_builder::ClientBuilder, group::ExportedTree, identity::basic::BasicIdentityProvider,
    mls_rs_codec::MlsEncode, storage_provider::in_memory::InMemoryKeyPackageStorage,
};
use mls_rs_core::{
    crypto::{
        CipherSuite, CipherSuiteProvider, CryptoProvider, HpkeCiphertext, HpkePsk, HpkePublicKey, SignatureSecretKey,
    },
    key_package::{KeyPackageData, KeyPackageStorage},
};
use serde_json::Value;
use tokenim_mls::SessionSuite;

fn suite(suite: SessionSuite) -> SuiteCrypto {
    SuiteCrypto {
        suite,
        generator: Generator::default(),
    }
}

fn load(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap())
        .collect()
}

fn opaque(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 64);
    [&[bytes.len() as u8], bytes].concat()
}

/// `label` with the prefix of RFC 9420.
fn labelled(value: &Value) -> Vec<u8> {
    opaque(format!("MLS 1.0 {}", value["label"].as_str().unwrap()).as_bytes())
}

#[test]
fn suite_1_is_that_of_the_working_groups_vectors() {
    let vectors = load(include_str!("vectors/crypto_basics.json"));
    let crypto = suite(SessionSuite::Classical);

    let case = &vectors["expand_with_label"];
    let length = case["length"].as_u64().unwrap() as u16;
    let info = [
        length.to_be_bytes().to_vec(),
        labelled(case),
        opaque(&bytes(&case["context"])),
    ]
    .concat();
    assert_eq!(
        *crypto
            .kdf_expand(&bytes(&case["secret"]), &info, length.into())
            .unwrap(),
        bytes(&case["out"])
    );

    let case = &vectors["derive_secret"];
    let info = [32_u16.to_be_bytes().to_vec(), labelled(case), opaque(b"")].concat();
    assert_eq!(
        *crypto.kdf_expand(&bytes(&case["secret"]), &info, 32).unwrap(),
        bytes(&case["out"])
    );

    let case = &vectors["ref_hash"];
    // The label of a reference has no prefix.
    let input = [
        opaque(case["label"].as_str().unwrap().as_bytes()),
        opaque(&bytes(&case["value"])),
    ]
    .concat();
    assert_eq!(crypto.hash(&input).unwrap(), bytes(&case["out"]));

    let case = &vectors["sign_with_label"];
    let content = [labelled(case), opaque(&bytes(&case["content"]))].concat();
    let (public, signature) = (bytes(&case["pub"]).into(), bytes(&case["signature"]));
    assert_eq!(crypto.sign(&bytes(&case["priv"]).into(), &content).unwrap(), signature);
    assert_eq!(
        crypto
            .signature_key_derive_public(&bytes(&case["priv"]).into())
            .unwrap(),
        public
    );
    crypto.verify(&public, &signature, &content).unwrap();
    assert_eq!(
        crypto.verify(&public, &signature, b"another"),
        Err(CryptoError::Signature)
    );
    assert_eq!(
        crypto.verify(&public, &signature[1..], &content),
        Err(CryptoError::Signature)
    );

    let case = &vectors["encrypt_with_label"];
    let info = [labelled(case), opaque(&bytes(&case["context"]))].concat();
    let sealed = HpkeCiphertext {
        kem_output: bytes(&case["kem_output"]),
        ciphertext: bytes(&case["ciphertext"]),
    };
    let (secret, public) = (bytes(&case["priv"]).into(), bytes(&case["pub"]).into());
    assert_eq!(
        *crypto.hpke_open(&sealed, &secret, &public, &info, None).unwrap(),
        bytes(&case["plaintext"])
    );
    assert!(crypto.hpke_open(&sealed, &secret, &public, b"another", None).is_err());
}

#[test]
fn hpke_with_aes_128_is_that_of_rfc_9180() {
    let case = load(include_str!("vectors/hpke.json"));
    let get = |name: &str| bytes(&case[name]);
    let crypto = suite(SessionSuite::Classical);
    let (secret, public) = crypto.kem_derive(&get("ikm_r")).unwrap();
    assert_eq!((secret.to_vec(), public.to_vec()), (get("sk_r"), get("pk_r")));
    let sealed = HpkeCiphertext {
        kem_output: get("enc"),
        ciphertext: get("ct"),
    };
    let opened = crypto
        .hpke_open(&sealed, &secret, &public, &get("info"), Some(&get("aad")))
        .unwrap();
    assert_eq!(*opened, get("pt"));
    let ikm: [u8; 32] = get("ikm_e").try_into().unwrap();
    let made = crypto::hpke::classical::seal(&public, &get("info"), &get("aad"), &get("pt"), &ikm).unwrap();
    assert_eq!(made, (get("enc"), get("ct")));
}

#[test]
fn what_is_sealed_opens_in_both_suites() {
    for kind in SessionSuite::ALL {
        let crypto = suite(kind);
        assert_eq!(crypto.kem_generate().err(), Some(CryptoError::Random));
        crypto.generator.seed(&mut rng());
        let (secret, public) = crypto.kem_generate().unwrap();
        crypto.kem_public_key_validate(&public).unwrap();
        let mut sealed = crypto.hpke_seal(&public, b"info", Some(b"aad"), b"text").unwrap();
        assert_eq!(
            *crypto
                .hpke_open(&sealed, &secret, &public, b"info", Some(b"aad"))
                .unwrap(),
            b"text"
        );
        assert!(!crypto.generator.take_shut_out());
        assert!(crypto.hpke_open(&sealed, &secret, &public, b"info", None).is_err());
        assert!(crypto.generator.take_shut_out());
        sealed.kem_output.pop();
        assert!(
            crypto
                .hpke_open(&sealed, &secret, &public, b"info", Some(b"aad"))
                .is_err()
        );
        let (signer, verifier) = crypto.signature_key_generate().unwrap();
        crypto
            .verify(&verifier, &crypto.sign(&signer, b"data").unwrap(), b"data")
            .unwrap();
        crypto.generator.clear();
        assert_eq!(crypto.random_bytes(&mut [0; 4]), Err(CryptoError::Random));

        let (key, nonce) = (vec![1; crypto.aead_key_size()], vec![2; crypto.aead_nonce_size()]);
        let ciphertext = crypto.aead_seal(&key, b"data", Some(b"aad"), &nonce).unwrap();
        assert_eq!(
            *crypto.aead_open(&key, &ciphertext, Some(b"aad"), &nonce).unwrap(),
            b"data"
        );
        assert_eq!(
            crypto.aead_open(&key, &ciphertext, None, &nonce).err(),
            Some(CryptoError::Aead)
        );
        assert_eq!(
            crypto.aead_seal(&key[1..], b"data", None, &nonce).err(),
            Some(CryptoError::Length)
        );
        assert_eq!(
            crypto.aead_seal(&key, b"data", None, &nonce[1..]).err(),
            Some(CryptoError::Length)
        );
        assert_eq!(crypto.kdf_expand(&[0; 31], b"", 32).err(), Some(CryptoError::Length));
    }
    assert!(Crypto::default().cipher_suite_provider(CipherSuite::new(2)).is_none());
    assert_eq!(Crypto::default().supported_cipher_suites().len(), 2);
}

#[test]
fn keys_that_cannot_be_sealed_to_are_refused() {
    let refuse = |kind, key: Vec<u8>| {
        let key = HpkePublicKey::from(key);
        assert_eq!(suite(kind).kem_public_key_validate(&key), Err(CryptoError::Key));
    };
    refuse(SessionSuite::Classical, vec![0; 32]);
    refuse(SessionSuite::Classical, [vec![1], vec![0; 31]].concat());
    refuse(SessionSuite::Classical, vec![9; 31]);
    let (_, public) = suite(SessionSuite::PostQuantum)
        .kem_derive(b"some input keying material")
        .unwrap();
    let mut small = public.to_vec();
    small[1184..].fill(0);
    refuse(SessionSuite::PostQuantum, small);
    let mut unreduced = public.to_vec();
    unreduced[..3].fill(0xff);
    refuse(SessionSuite::PostQuantum, unreduced);
    refuse(SessionSuite::PostQuantum, public[1..].to_vec());
}

#[test]
fn what_only_external_commits_and_shared_keys_need_is_not_there() {
    for kind in SessionSuite::ALL {
        let crypto = suite(kind);
        let (secret, public) = crypto.kem_derive(b"some input keying material").unwrap();
        let sealed = HpkeCiphertext {
            kem_output: Vec::new(),
            ciphertext: Vec::new(),
        };
        let psk = HpkePsk::new(b"id", b"value");
        assert_eq!(crypto.hpke_setup_s(&public, b"").err(), Some(CryptoError::Unused));
        assert_eq!(
            crypto.hpke_setup_r(b"", &secret, &public, b"").err(),
            Some(CryptoError::Unused)
        );
        assert_eq!(
            crypto.hpke_seal_psk(&public, b"", None, b"", psk.clone()).err(),
            Some(CryptoError::Unused)
        );
        assert_eq!(
            crypto.hpke_open_psk(&sealed, &secret, &public, b"", None, psk).err(),
            Some(CryptoError::Unused)
        );
    }
}

fn rng() -> rand_chacha::ChaCha20Rng {
    use rand_chacha::rand_core::SeedableRng as _;
    rand_chacha::ChaCha20Rng::from_seed([7; 32])
}

/// A client of a published case, on this cryptography: how many commits it follows until one needs what is not used
/// here, or `None` if its Welcome does.
fn listen(case: &Value) -> Option<usize> {
    let crypto = suite(SessionSuite::Classical);
    let message = MlsMessage::from_bytes(&bytes(&case["key_package"])).unwrap();
    let package = message.as_key_package().unwrap();
    let kept = KeyPackageData::new(
        package.mls_encode_to_vec().unwrap(),
        bytes(&case["init_priv"]).into(),
        bytes(&case["encryption_priv"]).into(),
        u64::MAX,
    );
    let name = message.key_package_reference(&crypto).unwrap().unwrap();
    let mut packages = InMemoryKeyPackageStorage::default();
    KeyPackageStorage::insert(&mut packages, name.to_vec(), kept).unwrap();
    let signer = SignatureSecretKey::new(bytes(&case["signature_priv"]));
    let client = ClientBuilder::new()
        .key_package_repo(packages)
        .identity_provider(BasicIdentityProvider::new())
        .crypto_provider(Crypto::default())
        .signing_identity(package.signing_identity().clone(), signer, crypto.cipher_suite())
        .build();
    let tree = case["ratchet_tree"].is_string().then(|| bytes(&case["ratchet_tree"]));
    let tree = tree.map(|tree| ExportedTree::from_bytes(&tree).unwrap());
    let welcome = MlsMessage::from_bytes(&bytes(&case["welcome"])).unwrap();
    let Ok((mut group, _)) = client.join_group(tree, &welcome, None) else {
        return None;
    };
    let epoch = |value: &Value, group: &mls_rs::Group<_>| {
        assert_eq!(group.epoch_authenticator().unwrap().as_bytes(), bytes(value));
    };
    epoch(&case["initial_epoch_authenticator"], &group);
    let mut followed = 0;
    for next in case["epochs"].as_array().unwrap() {
        let commit = MlsMessage::from_bytes(&bytes(&next["commit"]));
        let applied = commit.and_then(|commit| group.process_incoming_message(commit));
        if !next["proposals"].as_array().unwrap().is_empty() || applied.is_err() {
            break;
        }
        epoch(&next["epoch_authenticator"], &group);
        followed += 1;
    }
    Some(followed)
}

/// The working group's clients that only listen: other implementations' Welcomes and commits. What needs a pre-shared
/// key or a proposal by itself is left out, since the library is built without them.
#[test]
#[ignore = "TOKENIM_MLS_VECTORS names the folder test-vectors of mlswg/mls-implementations, which is not part of this repository"]
fn published_welcomes_and_commits_open_on_this_cryptography() {
    let folder = std::env::var("TOKENIM_MLS_VECTORS").unwrap();
    let run = |name: &str| {
        let cases = load(&std::fs::read_to_string(format!("{folder}/{name}")).unwrap());
        let of_suite = |case: &&Value| case["cipher_suite"] == 1;
        let followed: Vec<_> = cases.as_array().unwrap().iter().filter(of_suite).map(listen).collect();
        let opened = followed.iter().flatten().count();
        (followed.len(), opened, followed.into_iter().flatten().sum::<usize>())
    };
    assert_eq!(run("passive-client-welcome.json"), (8, 4, 0));
    assert_eq!(run("passive-client-random.json"), (1, 1, 1));
}
