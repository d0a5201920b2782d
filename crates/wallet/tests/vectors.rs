//! The vectors: what the libraries of the chains made, and one for each way to be refused.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code
)]

mod common;

use common::replayed::Replayed;
use common::{account, bytes, identity, link, list, network, statement, text, vectors};
use serde_json::Value;
use std::collections::BTreeSet;
use tokenim_wallet::{Account, LinkError, Opening, OpeningError, Proof, WalletSignature, explain, verify};
use tokenim_wire::{Digest, Object};

/// The name of a variant, without its fields.
fn variant(value: impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let text = text.strip_prefix("Link(").unwrap_or(&text);
    text.chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// Whether it takes a feature that is off to judge this.
fn beyond(signature: &WalletSignature) -> bool {
    matches!(signature, WalletSignature::PolkadotSr25519(_)) && !cfg!(feature = "sr25519")
}

#[test]
fn accounts_are_read_as_the_vectors_say() {
    let vectors = vectors("accounts.json");
    for case in list(&vectors["accepted"]) {
        let account: Account = text(case, "text")
            .parse()
            .unwrap_or_else(|error| panic!("{error}: {case}"));
        assert_eq!(account.to_string(), text(case, "canonical"));
        assert_eq!(format!("{account:?}"), text(case, "canonical"));
        assert_eq!(text(case, "canonical").parse(), Ok(account.clone()));
        assert_eq!(
            format!("{}:{}", account.chain_id(), account.address()),
            account.to_string()
        );
        assert!(account.to_string().starts_with(account.family().namespace()));
    }
    let mut errors = BTreeSet::new();
    for case in list(&vectors["refused"]) {
        let error = text(case, "text").parse::<Account>().expect_err(text(case, "name"));
        assert_eq!(variant(error), text(case, "error"), "{}", text(case, "name"));
        errors.insert(variant(error));
    }
    let all = [
        "Address",
        "Chain",
        "Checksum",
        "Form",
        "Namespace",
        "OtherChain",
        "TooLong",
        "Unsupported",
    ];
    assert!(errors.iter().eq(all), "a vector for each refusal: {errors:?}");
}

#[test]
fn links_of_every_family_hold() {
    let vectors = vectors("links.json");
    for case in list(&vectors["links"]) {
        let (name, statement) = (text(case, "name"), statement(case));
        assert_eq!(statement.account().to_string(), text(case, "account"), "{name}");
        assert_eq!(statement.text(), text(case, "text"), "{name}");
        assert_eq!(explain(&statement).text, text(case, "text"), "{name}");
        let signature = WalletSignature::parse(statement.account(), text(case, "signature")).unwrap();
        assert_eq!(signature.to_string(), text(case, "signature"), "{name}");
        assert_eq!(signature.family(), statement.account().family(), "{name}");
        if beyond(&signature) {
            assert_eq!(verify(&statement, &signature), Err(LinkError::Unsupported));
            continue;
        }
        let verified = verify(&statement, &signature).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((verified.statement(), verified.signature()), (&statement, &signature));
        let is_key = matches!(verified.proof(), Proof::Key(_));
        assert_eq!(is_key, name.starts_with("antelope"), "{name}");

        let opening = Opening::new(&verified, &mut Replayed(bytes(case, "salt")));
        assert_eq!(opening.to_bytes().unwrap(), bytes(case, "opening"), "{name}");
        assert_eq!(
            opening.commitment().unwrap().to_string(),
            text(case, "commitment"),
            "{name}"
        );
        assert_eq!(
            Opening::from_bytes(&bytes(case, "opening")),
            Ok(opening.clone()),
            "{name}"
        );
        let links = [Digest::from_bytes([0; 32]), opening.commitment().unwrap()];
        let (network, identity) = (network(case), identity(case));
        assert_eq!(opening.verify(&network, &identity, &links), Ok(verified), "{name}");
    }
}

#[test]
fn every_signature_that_links_nothing_is_refused_for_its_reason() {
    let vectors = vectors("refused.json");
    let mut errors = BTreeSet::new();
    for case in list(&vectors["links"]) {
        let (name, statement, error) = (text(case, "name"), statement(case), text(case, "error"));
        let read_as: Account = match case.get("read_as") {
            Some(account) => account.as_str().unwrap().parse().unwrap(),
            None => account(case),
        };
        let judged = match WalletSignature::parse(&read_as, text(case, "signature")) {
            Err(error) => variant(error),
            Ok(signature) if beyond(&signature) => continue,
            Ok(signature) => variant(verify(&statement, &signature).expect_err(name)),
        };
        assert_eq!(judged, error, "{name}");
        errors.insert(judged);
    }
    let all = [
        "Form",
        "Kind",
        "NotCanonical",
        "OtherSigner",
        "RecoveryId",
        "Signature",
        "Witness",
    ];
    assert!(errors.iter().eq(all), "a vector for each refusal: {errors:?}");
}

#[test]
fn every_opening_that_shows_nothing_is_refused_for_its_reason() {
    let vectors = vectors("refused.json");
    let mut errors = BTreeSet::new();
    for case in list(&vectors["openings"]) {
        let opening = Opening::from_bytes(&bytes(case, "opening")).unwrap();
        let links: Vec<Digest> = case["links"]
            .as_array()
            .unwrap()
            .iter()
            .map(|link| link.as_str().unwrap().parse().unwrap())
            .collect();
        let error = opening
            .verify(&network(case), &identity(case), &links)
            .expect_err(text(case, "name"));
        assert_eq!(variant(error), text(case, "error"), "{}", text(case, "name"));
        errors.insert(variant(error));
    }
    let all = ["Kind", "NotLinked", "OtherSigner", "WrongIdentity", "WrongNetwork"];
    assert!(errors.iter().eq(all), "{errors:?}");
}

#[test]
fn bytes_that_are_no_opening_are_refused_for_their_reason() {
    for case in list(&vectors("refused.json")["malformed"]) {
        let error = Opening::from_bytes(&bytes(case, "opening")).expect_err(text(case, "name"));
        assert_eq!(variant(error), text(case, "error"), "{}", text(case, "name"));
    }
}

#[test]
fn two_openings_of_one_link_have_nothing_in_common() {
    let (statement, signature) = link("evm");
    let link = verify(&statement, &signature).unwrap();
    let [one, other] = [[1; 32], [2; 32]].map(|salt| Opening::new(&link, &mut Replayed(salt.to_vec())));
    assert_ne!(one.commitment(), other.commitment());
    let links = [one.commitment().unwrap()];
    let judged = other.verify(statement.network(), statement.identity(), &links);
    assert_eq!(judged, Err(OpeningError::NotLinked));
}

#[test]
fn openings_and_links_do_not_print_what_they_tell() {
    let (statement, signature) = link("evm");
    let link = verify(&statement, &signature).unwrap();
    let opening = Opening::new(&link, &mut Replayed(vec![1; 32]));
    assert_eq!(
        format!("{opening:?} {link:?} {statement:?}"),
        "Opening(..) VerifiedLink(..) LinkStatement(..)"
    );
}

/// Signed texts begin unlike transactions and typed data of their chains: by prefix, or by being text.
#[test]
fn every_vector_of_refusal_has_a_name_of_its_own() {
    let vectors = vectors("refused.json");
    for kind in ["links", "openings", "malformed"] {
        let names: Vec<&Value> = list(&vectors[kind]).iter().map(|case| &case["name"]).collect();
        let distinct: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), distinct.len(), "{kind}");
    }
}
