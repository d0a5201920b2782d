//! Bodies of the fuzz targets, shared with the test that replays the corpus.

use std::sync::LazyLock;
use tokenim_wallet::{
    Account, LinkError, LinkStatement, Opening, OpeningError, Proof, WalletSignature, explain, verify,
};
use tokenim_wire::{Object, decode, encode, limits::LINK_OPENING_BYTES_MAX};

/// The links of the vectors, of every family: the statement, and the signature as its wallet wrote it.
pub static LINKS: LazyLock<Vec<(LinkStatement, String)>> = LazyLock::new(|| {
    let file = include_str!("../../crates/wallet/tests/vectors/links.json");
    let vectors: serde_json::Value = serde_json::from_str(file).unwrap();
    let links = vectors["links"].as_array().unwrap().iter();
    links
        .map(|link| {
            let text = |field: &str| link[field].as_str().unwrap();
            let opening = tokenim_wire::hex::decode(text("opening")).unwrap();
            let opening = Opening::from_bytes(&opening).unwrap();
            (opening.statement().clone(), text("signature").into())
        })
        .collect()
});

/// What is read as the name of an account has one text and one encoding.
pub fn account(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(account) = text.parse::<Account>() else {
        return;
    };
    let canonical = account.to_string();
    assert!(canonical.eq_ignore_ascii_case(text));
    assert_eq!(canonical.parse().as_ref(), Ok(&account));
    assert_eq!(canonical, format!("{}:{}", account.chain_id(), account.address()));
    let bytes = encode(&account).unwrap();
    assert_eq!(decode(&bytes, 256).as_ref(), Ok(&account));
}

/// A statement that decodes encodes to the same bytes, and its text shows whose it is.
pub fn statement(data: &[u8]) {
    let Ok(statement) = decode::<LinkStatement>(data, LINK_OPENING_BYTES_MAX) else {
        return;
    };
    assert_eq!(encode(&statement).as_deref(), Ok(data));
    let text = explain(&statement).text;
    assert!(text.is_ascii() && text.len() < 512);
    let plain = text.replace(' ', "");
    for part in [
        statement.account().address(),
        statement.identity().to_string(),
        statement.network().to_string(),
        tokenim_wire::hex::encode(statement.nonce()),
    ] {
        assert!(plain.contains(&part));
    }
}

/// An opening that decodes encodes to the same bytes; it shows its link under its own commitment and under no other.
pub fn opening(data: &[u8]) {
    let Ok(opening) = Opening::from_bytes(data) else {
        return;
    };
    assert_eq!(opening.to_bytes().as_deref(), Ok(data));
    let statement = opening.statement();
    let (network, identity) = (statement.network(), statement.identity());
    let links = [opening.commitment().unwrap()];
    match opening.verify(network, identity, &links) {
        Ok(link) => assert_eq!(link.statement(), statement),
        Err(error) => assert!(matches!(error, OpeningError::Link(_))),
    }
    assert_eq!(opening.verify(network, identity, &[]), Err(OpeningError::NotLinked));
}

/// The first byte says for whose account; the rest is the answer of its wallet. What is read has one text, and links
/// just the account whose wallet made it, whichever it was read for.
pub fn signature(data: &[u8]) {
    let Some((link, text)) = data.split_first() else {
        return;
    };
    let (statement, _) = &LINKS[usize::from(*link) % LINKS.len()];
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let Ok(signature) = WalletSignature::parse(statement.account(), text) else {
        return;
    };
    let canonical = signature.to_string();
    assert_eq!(signature.family(), statement.account().family());
    assert_eq!(
        WalletSignature::parse(statement.account(), &canonical).as_ref(),
        Ok(&signature)
    );
    let bytes = encode(&signature).unwrap();
    assert_eq!(decode(&bytes, LINK_OPENING_BYTES_MAX).as_ref(), Ok(&signature));
    for (statement, made) in LINKS.iter() {
        // Two families may write their signatures alike: the text alone does not say whose it is.
        let made = WalletSignature::parse(statement.account(), made).unwrap();
        match verify(statement, &signature).map(|link| link.proof()) {
            // Anybody can sign with a key of their own; whether it is the account's, the statement doesn't say.
            Ok(Proof::Key(key)) if !matches!(&made, WalletSignature::Antelope { key: own, .. } if *own == key) => {}
            Ok(_) => assert_eq!(signature, made),
            Err(LinkError::Unsupported) => {}
            Err(_) => assert_ne!(signature, made),
        }
    }
}
