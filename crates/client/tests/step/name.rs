//! What the owner calls people.

use proptest::prelude::*;
use tokenim_client::step::Table;
use tokenim_client::step::name::{self, ContactName, NameError};
use tokenim_identity::IdentityId;
use tokenim_wire::limits::{CONTACT_NAME_BYTES_MAX, CONTACT_NAMES_MAX};

use crate::state::{ANNA, BERT, Store};

fn named(text: &str) -> ContactName {
    ContactName::new(text).unwrap()
}

fn call(store: &mut Store, identity: &IdentityId, text: Option<&str>) -> Result<(), NameError> {
    let name = text.map(named);
    let (done, batch) = name::set(store, identity, name.as_ref()).unwrap();
    store.apply(&batch);
    done
}

#[test]
fn a_name_is_one_line_that_hides_nothing() {
    for (given, kept) in [
        ("Anna", "Anna"),
        ("  Anna \t\n Müller ", "Anna Müller"),
        ("世界", "世界"),
        ("می‌خواهم", "می‌خواهم"),
        ("👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦"),
        ("שלום", "שלום"),
    ] {
        assert_eq!(named(given).as_str(), kept);
    }
    for (given, why) in [
        ("", NameError::Empty),
        (" \n ", NameError::Empty),
        ("\u{200d}\u{fe0f}", NameError::Empty),
        ("a\u{1b}[2J", NameError::Unseen),
        ("a\u{202e}b", NameError::Unseen),
        ("a\u{2066}b", NameError::Unseen),
        ("a\u{200b}b", NameError::Unseen),
        ("a\u{e0041}", NameError::Unseen),
        ("\u{3164}", NameError::Unseen),
        ("tim1qgpqyqszqgpq", NameError::Mistaken),
        ("TIM\u{200d}1x", NameError::Mistaken),
        ("You", NameError::Mistaken),
        ("y\u{200c}ou", NameError::Mistaken),
    ] {
        assert_eq!(ContactName::new(given), Err(why), "{given:?}");
    }
    let longest = "a".repeat(CONTACT_NAME_BYTES_MAX);
    assert_eq!(named(&longest).as_str(), longest);
    assert_eq!(ContactName::new(&format!("{longest}a")), Err(NameError::TooLong));
}

#[test]
fn two_people_are_not_called_the_same() {
    let mut store = Store::default();
    assert_eq!(call(&mut store, &ANNA, Some("Anna")), Ok(()));
    assert_eq!(name::of(&store, &ANNA).unwrap(), Some(named("Anna")));
    for same in ["Anna", "aNNA", "An\u{200d}na", " anna"] {
        assert_eq!(call(&mut store, &BERT, Some(same)), Err(NameError::Taken(ANNA)));
        assert_eq!(name::of(&store, &BERT).unwrap(), None);
    }
    // One's own can be written in another way, and given up.
    assert_eq!(call(&mut store, &ANNA, Some("ANNA")), Ok(()));
    assert_eq!(call(&mut store, &ANNA, Some("Frau M.")), Ok(()));
    assert_eq!(call(&mut store, &BERT, Some("Anna")), Ok(()));
    assert_eq!(
        name::all(&store).unwrap(),
        [(ANNA, named("Frau M.")), (BERT, named("Anna"))]
    );
    assert_eq!(call(&mut store, &ANNA, None), Ok(()));
    assert_eq!(name::of(&store, &ANNA).unwrap(), None);
}

#[test]
fn so_many_have_names_and_no_more() {
    let mut store = Store::default();
    let other = |number: usize| {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        IdentityId::from_bytes(bytes)
    };
    for number in 0..CONTACT_NAMES_MAX {
        let row = [b"contact name ".as_slice(), other(number).as_bytes()].concat();
        let mut batch = tokenim_client::step::Batch::new();
        batch.put(Table::Meta, row, format!("n{number}").as_bytes());
        store.apply(&batch);
    }
    let more = other(CONTACT_NAMES_MAX);
    assert_eq!(call(&mut store, &more, Some("more")), Err(NameError::TooMany));
    assert_eq!(call(&mut store, &other(5), Some("other")), Ok(()));
    assert_eq!(call(&mut store, &other(6), None), Ok(()));
    assert_eq!(call(&mut store, &more, Some("more")), Ok(()));
}

proptest! {
    #[test]
    fn what_is_a_name_stays_the_same_name(text in any::<String>()) {
        if let Ok(name) = ContactName::new(&text) {
            prop_assert!(name.as_str().len() <= CONTACT_NAME_BYTES_MAX);
            prop_assert!(!name.as_str().chars().any(char::is_control));
            prop_assert!(name.is(name.as_str()));
            prop_assert_eq!(ContactName::new(name.as_str()), Ok(name));
        }
    }
}
