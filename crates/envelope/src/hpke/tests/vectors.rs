//! Our own vectors of both suites, made by `tests/vectors/generate.py` from the specification.

use super::*;
use sha2::{Digest as _, Sha256};

#[derive(serde::Deserialize)]
#[allow(non_snake_case, reason = "the names of RFC 9180")]
struct Vector {
    name: String,
    suite: u16,
    ikmR: String,
    skRm: String,
    pkRm: String,
    randomness: String,
    enc: String,
    shared_secret: String,
    key: String,
    base_nonce: String,
    info: String,
    aad: String,
    /// The plaintext, or how many zeros it is, of which the ciphertext is given as a hash.
    pt: Option<String>,
    pt_zeros: Option<usize>,
    ct: Option<String>,
    ct_sha256: String,
}

fn suite_of(number: u16) -> Suite {
    Suite::from_id(SuiteId::new(number)).unwrap()
}

#[test]
fn our_vectors_are_reproduced() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../tests/vectors/hpke.json")).unwrap();
    assert_eq!(vectors.len(), 6);
    for v in vectors {
        let (name, suite) = (v.name, suite_of(v.suite));
        let key = SecretKey::derive(suite, &hex(&v.ikmR));
        assert_eq!(key.expose_bytes().to_vec(), hex(&v.skRm), "{name}");
        assert_eq!(key.public_key().as_bytes().to_vec(), hex(&v.pkRm), "{name}");

        let encapsulation = Encapsulation::new(key.public_key(), &mut Fixed(hex(&v.randomness))).unwrap();
        assert_eq!(encapsulation.enc.as_bytes().to_vec(), hex(&v.enc), "{name}");
        assert_eq!(encapsulation.shared_secret.to_vec(), hex(&v.shared_secret), "{name}");
        let keys = suite.schedule().keys(&encapsulation.shared_secret, &hex(&v.info));
        assert_eq!(keys.key.to_vec(), hex(&v.key), "{name}");
        assert_eq!(keys.nonce.to_vec(), hex(&v.base_nonce), "{name}");

        let (info, aad) = (hex(&v.info), hex(&v.aad));
        let plaintext = v.pt.map_or_else(|| vec![0; v.pt_zeros.unwrap()], |text| hex(&text));
        let to = PublicKey::from_bytes(suite, &hex(&v.pkRm)).unwrap();
        let (enc, ct) = seal(&to, &info, &aad, &plaintext, &mut Fixed(hex(&v.randomness))).unwrap();
        assert_eq!(enc.as_bytes().to_vec(), hex(&v.enc), "{name}");
        assert_eq!(Sha256::digest(&ct).to_vec(), hex(&v.ct_sha256), "{name}");
        if let Some(text) = v.ct {
            assert_eq!(ct, hex(&text), "{name}");
        }
        let key = SecretKey::from_bytes(suite, &array(&v.skRm));
        assert_eq!(open(&key, &enc, &info, &aad, &ct), Ok(plaintext), "{name}");
    }
}

#[derive(serde::Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
enum Step {
    Key {
        key: String,
    },
    Seal {
        key: String,
    },
    Open {
        secret: String,
        enc: String,
        info: String,
        aad: String,
        ct: String,
    },
}

#[derive(serde::Deserialize)]
struct Refused {
    name: String,
    suite: u16,
    error: String,
    #[serde(flatten)]
    step: Step,
}

#[test]
fn our_vectors_of_refusal_are_refused() {
    let vectors: Vec<Refused> = serde_json::from_str(include_str!("../../../tests/vectors/hpke_refused.json")).unwrap();
    assert_eq!(vectors.len(), 39);
    for v in vectors {
        let suite = suite_of(v.suite);
        let error = match v.step {
            Step::Key { key } => format!("{:?}", PublicKey::from_bytes(suite, &hex(&key)).unwrap_err()),
            Step::Seal { key } => {
                let to = PublicKey::from_bytes(suite, &hex(&key)).unwrap();
                format!("{:?}", seal(&to, b"", b"", b"", &mut rng(1)).unwrap_err())
            }
            Step::Open {
                secret,
                enc,
                info,
                aad,
                ct,
            } => {
                let key = SecretKey::from_bytes(suite, &array(&secret));
                match Encapsulated::from_bytes(suite, &hex(&enc)) {
                    Err(error) => format!("{error:?}"),
                    Ok(enc) => {
                        let opened = open(&key, &enc, &hex(&info), &hex(&aad), &hex(&ct));
                        format!("{:?}", opened.unwrap_err())
                    }
                }
            }
        };
        assert_eq!(error, v.error, "{} of {suite:?}", v.name);
    }
}
