//! Safety numbers and verification codes: the vectors, which a second implementation made from the spec, and what must
//! hold for all.
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

use common::{NETWORK, array, device, envelope, name, person, place, vectors};
use proptest::prelude::*;
use serde::Deserialize;
use std::sync::LazyLock;
use tokenim_identity::{
    Comparison, IdentityId, RecordSigner, RootKey, RootSigningKey, SafetyNumber, SignedRecord, VerificationCode,
    VerificationCodeError,
};

/// A person as the asker sees them.
type Seen = (IdentityId, RootKey);

#[derive(Deserialize)]
struct Person {
    name: String,
    id: String,
    root: String,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    text: String,
    error: String,
}

fn seen(people: &[Person], name: &str) -> Seen {
    let person = people.iter().find(|person| person.name == name).unwrap();
    (
        IdentityId::from_bytes(array(&person.id)),
        RootKey::from_bytes(array(&person.root)).unwrap(),
    )
}

/// A person of a number, with the root key of another.
fn made(id: u8, root: u8) -> Seen {
    (
        IdentityId::from_bytes([id; 32]),
        RootSigningKey::from_seed([root; 32]).verifying_key(),
    )
}

fn between(one: &Seen, other: &Seen) -> (SafetyNumber, VerificationCode) {
    (SafetyNumber::between(one, other), VerificationCode::between(one, other))
}

#[test]
fn safety_numbers_are_those_of_the_vectors() {
    #[derive(Deserialize)]
    struct Vectors {
        people: Vec<Person>,
        numbers: Vec<Number>,
        read: Vec<Read>,
        refused: Vec<Refused>,
    }
    #[derive(Deserialize)]
    struct Number {
        one: String,
        other: String,
        number: String,
    }
    #[derive(Deserialize)]
    struct Read {
        name: String,
        text: String,
    }
    let vectors: Vectors = vectors(include_str!("vectors/safety.json"));
    let number =
        |one: &str, other: &str| SafetyNumber::between(&seen(&vectors.people, one), &seen(&vectors.people, other));
    for case in &vectors.numbers {
        let number = number(&case.one, &case.other);
        assert_eq!(number.to_string(), case.number, "{} and {}", case.one, case.other);
        assert_eq!(case.number.parse(), Ok(number), "{} and {}", case.one, case.other);
    }
    for case in &vectors.read {
        assert_eq!(case.text.parse(), Ok(number("ada", "ben")), "{}", case.name);
    }
    for case in &vectors.refused {
        let error = case.text.parse::<SafetyNumber>().unwrap_err();
        assert_eq!(name(&error), case.error, "{}", case.name);
    }
    for error in ["Character", "Length"] {
        assert!(
            vectors.refused.iter().any(|case| case.error == error),
            "no vector for {error}"
        );
    }
}

#[test]
fn verification_codes_are_those_of_the_vectors() {
    #[derive(Deserialize)]
    struct Vectors {
        people: Vec<Person>,
        codes: Vec<Code>,
        expected: String,
        compared: Vec<Compared>,
        refused: Vec<Refused>,
    }
    #[derive(Deserialize)]
    struct Code {
        one: String,
        other: String,
        text: String,
    }
    #[derive(Deserialize)]
    struct Compared {
        name: String,
        scanned: String,
        verdict: String,
    }
    let vectors: Vectors = vectors(include_str!("vectors/code.json"));
    let code =
        |one: &str, other: &str| VerificationCode::between(&seen(&vectors.people, one), &seen(&vectors.people, other));
    for case in &vectors.codes {
        let code = code(&case.one, &case.other);
        assert_eq!(code.to_string(), case.text, "{} and {}", case.one, case.other);
        assert_eq!(case.text.parse(), Ok(code), "{} and {}", case.one, case.other);
    }
    let expected = code("ada", "ben");
    assert_eq!(expected.to_string(), vectors.expected);
    for case in &vectors.compared {
        let scanned: VerificationCode = case.scanned.parse().unwrap();
        assert_eq!(scanned.to_string(), case.scanned, "{}", case.name);
        assert_eq!(name(&expected.compare(&scanned)), case.verdict, "{}", case.name);
        assert_eq!(scanned.compare(&expected), expected.compare(&scanned), "{}", case.name);
    }
    for case in &vectors.refused {
        let error = case.text.parse::<VerificationCode>().unwrap_err();
        assert_eq!(name(&error), case.error, "{}", case.name);
    }
    for verdict in ["Match", "Mismatch", "OtherPeople"] {
        assert!(vectors.compared.iter().any(|case| case.verdict == verdict));
    }
    for error in [
        "NotACode",
        "Version",
        "Fields",
        "Identity",
        "SmallLetters",
        "Fingerprint",
        "Order",
    ] {
        assert!(
            vectors.refused.iter().any(|case| case.error == error),
            "no vector for {error}"
        );
    }
}

#[test]
fn a_number_and_a_code_change_with_either_name_and_either_root() {
    let (ada, ben) = (made(1, 10), made(2, 20));
    let (number, code) = between(&ada, &ben);
    assert_eq!(between(&ben, &ada), (number, code));
    for (one, other, verdict) in [
        (made(1, 11), ben, Comparison::Mismatch),
        (ada, made(2, 21), Comparison::Mismatch),
        (made(1, 11), made(2, 21), Comparison::Mismatch),
        // Both have each other's root: as if somebody in the middle had given each the key of the other.
        (made(1, 20), made(2, 10), Comparison::Mismatch),
        (made(3, 10), ben, Comparison::OtherPeople),
        (ada, made(3, 20), Comparison::OtherPeople),
    ] {
        let changed = between(&one, &other);
        assert!(changed.0 != number && changed.1 != code);
        assert_eq!(code.compare(&changed.1), verdict);
    }
}

#[test]
fn a_new_device_changes_no_number_and_a_new_root_does() {
    let (phrase, state) = person();
    let ben = made(2, 20);
    let before = between(&(state.id, state.root), &ben);
    let add = SignedRecord::add_device(&NETWORK, &state, &phrase.root_key(0), &device(0), envelope(0)).unwrap();
    let state = state.apply(&place(1, 1), &add).unwrap();
    assert_eq!(between(&(state.id, state.root), &ben), before);
    let next = phrase.root_key(1);
    let rotate = SignedRecord::rotate_root(&NETWORK, &state, &next, &phrase.root_key(2).verifying_key()).unwrap();
    let state = state.apply(&place(2, 2), &rotate).unwrap();
    assert_eq!(between(&(state.id, state.root), &ben), before, "it is only pending");
    let complete = SignedRecord::complete(&NETWORK, &state, RecordSigner::NextRoot(&next)).unwrap();
    let state = state.apply(&place(3, u64::MAX), &complete).unwrap();
    let after = between(&(state.id, state.root), &ben);
    assert!(after.0 != before.0);
    assert_eq!(before.1.compare(&after.1), Comparison::Mismatch);
}

#[test]
fn numbers_are_written_in_groups() {
    let number = SafetyNumber::between(&made(1, 10), &made(2, 20));
    let groups = |text: &str| text.split([' ', '\n']).map(str::len).collect::<Vec<_>>();
    assert_eq!(groups(&number.to_string()), [5; 12]);
    let lines = format!("{number:#}");
    assert_eq!(lines.lines().map(|line| groups(line).len()).collect::<Vec<_>>(), [4; 3]);
    assert_eq!(lines.replace('\n', " "), number.to_string());
    assert_eq!(format!("{number:?}"), format!("SafetyNumber({number})"));
}

#[test]
fn codes_have_characters_of_the_alphanumeric_set_only() {
    const ALPHANUMERIC: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
    let code = VerificationCode::between(&made(1, 10), &made(2, 20));
    let text = code.to_string();
    assert_eq!(text.len(), VerificationCode::LENGTH);
    assert!(text.chars().all(|character| ALPHANUMERIC.contains(character)));
    assert_eq!(code.identities(), [made(1, 10).0, made(2, 20).0]);
    assert_eq!(format!("{code:?}"), format!("VerificationCode({text})"));
}

#[test]
fn a_code_of_another_version_says_which() {
    let error = "TIM:VERIFY:7:".parse::<VerificationCode>().unwrap_err();
    assert_eq!(error, VerificationCodeError::Version { version: 7 });
    assert_eq!(
        error.to_string(),
        "this is a verification code of version 7, which is not known here"
    );
}

/// One code for many cases: making it is slow on purpose.
static CODE: LazyLock<VerificationCode> = LazyLock::new(|| VerificationCode::between(&made(1, 10), &made(2, 20)));

fn anyone() -> impl Strategy<Value = Seen> {
    (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(id, seed)| {
        (
            IdentityId::from_bytes(id),
            RootSigningKey::from_seed(seed).verifying_key(),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn both_people_see_the_same_and_read_it_back(one in anyone(), other in anyone()) {
        let (number, code) = between(&one, &other);
        prop_assert_eq!((number, code), between(&other, &one));
        prop_assert_eq!(number.to_string().parse(), Ok(number));
        prop_assert_eq!(format!("{number:#}").parse(), Ok(number));
        prop_assert_eq!(code.to_string().parse(), Ok(code));
        prop_assert_eq!(code.compare(&code), Comparison::Match);
    }

    #[test]
    fn another_root_is_another_number(one in anyone(), other in anyone(), new in anyone()) {
        let (number, code) = between(&one, &other);
        let changed = between(&(one.0, new.1), &other);
        prop_assert_ne!(number, changed.0);
        prop_assert_eq!(code.compare(&changed.1), Comparison::Mismatch);
    }
}

proptest! {
    #[test]
    fn no_changed_character_makes_a_match(at in 0..VerificationCode::LENGTH, character in any::<char>()) {
        let code = *CODE;
        let text: String = code
            .to_string()
            .chars()
            .enumerate()
            .map(|(place, old)| if place == at { character } else { old })
            .collect();
        prop_assume!(text != code.to_string());
        if let Ok(changed) = text.parse::<VerificationCode>() {
            prop_assert_eq!(changed.to_string(), text);
            prop_assert_eq!(code.compare(&changed), Comparison::Mismatch);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), digits in "[0-9 ]{0,80}") {
        for text in [text, digits] {
            if let Ok(number) = text.parse::<SafetyNumber>() {
                let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
                prop_assert_eq!(digits(&number.to_string()), digits(&text));
            }
            if let Ok(code) = text.parse::<VerificationCode>() {
                prop_assert_eq!(code.to_string(), text);
            }
        }
    }
}
