//! Vectors and randomness for the tests.

#[path = "../../../identity/tests/common/replayed.rs"]
pub mod replayed;

use serde_json::Value;
use tokenim_identity::IdentityId;
use tokenim_wallet::{Account, LinkStatement, WalletSignature};
use tokenim_wire::{NetworkId, UnixSeconds, hex};

/// A file of `tests/vectors`.
pub fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The items of a list.
pub fn list(value: &Value) -> &[Value] {
    let items = value.as_array().unwrap();
    assert!(!items.is_empty());
    items
}

/// The text of a field.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

/// The bytes of a field in hexadecimal.
pub fn bytes(value: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(value, field)).unwrap()
}

pub fn network(value: &Value) -> NetworkId {
    text(value, "network").parse().unwrap()
}

pub fn identity(value: &Value) -> IdentityId {
    text(value, "identity").parse().unwrap()
}

pub fn account(value: &Value) -> Account {
    text(value, "account").parse().unwrap()
}

/// The statement of a vector.
pub fn statement(value: &Value) -> LinkStatement {
    LinkStatement::from_parts(
        network(value),
        identity(value),
        account(value),
        bytes(value, "nonce").try_into().unwrap(),
        UnixSeconds::new(value["issued"].as_u64().unwrap()),
    )
    .unwrap()
}

/// Statement and signature of the link of a name.
pub fn link(name: &str) -> (LinkStatement, WalletSignature) {
    let vectors = vectors("links.json");
    let case = list(&vectors["links"])
        .iter()
        .find(|case| text(case, "name") == name)
        .unwrap();
    let signature = WalletSignature::parse(&account(case), text(case, "signature")).unwrap();
    (statement(case), signature)
}
