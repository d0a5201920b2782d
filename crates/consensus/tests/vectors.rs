//! Known answers made from the engine's own bytes; see the generator in
//! `crates/consensus-commonware/examples/vectors.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use serde_json::Value;
use tokenim_consensus::{
    Certificate, CertificateError, FinalityError, FinalityProof, Header, Misbehaviour, ValidatorSet, verify_finality,
};
use tokenim_identity::verify;
use tokenim_wire::{NetworkId, Object, hex};

const VECTORS: &str = include_str!("vectors/finality.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn network(vectors: &Value) -> NetworkId {
    vectors["network"].as_str().unwrap().parse().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn object<T: Object>(value: &Value) -> T {
    let bytes = bytes(value);
    let object = T::from_bytes(&bytes).unwrap();
    assert_eq!(object.to_bytes().unwrap(), bytes);
    object
}

fn cases<'a>(vectors: &'a Value, list: &str) -> Vec<(&'a str, &'a Value)> {
    let cases: Vec<_> = vectors[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| (case["name"].as_str().unwrap(), case))
        .collect();
    let names: BTreeSet<_> = cases.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), cases.len(), "names of {list} repeat");
    cases
}

#[test]
fn accepted() {
    let vectors = vectors();
    let network = network(&vectors);
    for (name, case) in cases(&vectors, "accepted") {
        let validators: ValidatorSet = object(&case["validators"]);
        let header: Header = object(&case["header"]);
        assert_eq!(header.digest().to_string(), case["header_digest"], "{name}");
        let certificate = Certificate::new(bytes(&case["certificate"])).unwrap();
        let last =
            verify_finality(&network, &validators, &header, &certificate).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(*last.header(), header, "{name}");
        let parsed = certificate.parse().unwrap();
        assert_eq!(parsed.proposal.epoch.get(), case["epoch"], "{name}");
        assert_eq!(parsed.proposal.view.get(), case["view"], "{name}");
        assert_eq!(parsed.proposal.parent_view.get(), case["parent_view"], "{name}");
        assert_eq!(serde_json::json!(parsed.signers), case["signers"], "{name}");
        assert_eq!(
            parsed.proposal.finalize_bytes(&network),
            bytes(&case["signed"]),
            "{name}"
        );
        assert_eq!(parsed.to_certificate().unwrap(), certificate, "{name}");
    }
}

#[test]
fn rejected() {
    let vectors = vectors();
    let network = network(&vectors);
    for (name, case) in cases(&vectors, "rejected") {
        let validators: ValidatorSet = object(&case["validators"]);
        let header: Header = object(&case["header"]);
        let certificate = Certificate::new(bytes(&case["certificate"])).unwrap();
        let error = verify_finality(&network, &validators, &header, &certificate).expect_err(name);
        assert_eq!(format!("{error:?}"), case["error"], "{name}");
    }
}

/// The two verifiers disagree on a signature of this certificate: that is what makes ZIP-215 the
/// only right one here.
#[test]
fn split_verdict() {
    let vectors = vectors();
    let (_, case) = cases(&vectors, "accepted")
        .into_iter()
        .find(|(name, _)| *name == "split_verdict_zip215_only")
        .unwrap();
    let validators: ValidatorSet = object(&case["validators"]);
    let parsed = Certificate::new(bytes(&case["certificate"])).unwrap().parse().unwrap();
    let message = bytes(&case["signed"]);
    let key = validators.get(parsed.signers[0]).unwrap().key;
    assert!(verify::zip215(key.as_bytes(), &message, parsed.signatures[0].as_bytes()).is_ok());
    assert!(verify::strict(key.as_bytes(), &message, parsed.signatures[0].as_bytes()).is_err());
}

#[test]
fn truncated_at_every_byte() {
    let vectors = vectors();
    for (name, case) in cases(&vectors, "accepted") {
        let certificate = bytes(&case["certificate"]);
        for length in 0..certificate.len() {
            let cut = Certificate::new(certificate[..length].to_vec()).unwrap();
            assert_eq!(cut.parse(), Err(CertificateError::Truncated), "{name} at {length}");
        }
    }
}

#[test]
fn every_bit_counts() {
    let vectors = vectors();
    let network = network(&vectors);
    let (_, case) = cases(&vectors, "accepted")[0];
    let validators: ValidatorSet = object(&case["validators"]);
    let header: Header = object(&case["header"]);
    let certificate = bytes(&case["certificate"]);
    for bit in 0..certificate.len() * 8 {
        let mut changed = certificate.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = Certificate::new(changed).unwrap();
        assert!(
            verify_finality(&network, &validators, &header, &changed).is_err(),
            "bit {bit}"
        );
    }
    let header_bytes = bytes(&case["header"]);
    let certificate = Certificate::new(certificate).unwrap();
    for bit in 0..header_bytes.len() * 8 {
        let mut changed = header_bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(changed) = Header::from_bytes(&changed) {
            assert!(
                verify_finality(&network, &validators, &changed, &certificate).is_err(),
                "bit {bit}"
            );
        }
    }
}

#[test]
fn proofs() {
    let vectors = vectors();
    let network = network(&vectors);
    for (name, case) in cases(&vectors, "proofs") {
        let validators: ValidatorSet = object(&case["validators"]);
        let proof: FinalityProof = object(&case["proof"]);
        assert_eq!(proof.subject().unwrap().digest().to_string(), case["subject"], "{name}");
        match proof.verify(&network, &validators) {
            Ok(subject) => {
                assert!(case["error"].is_null(), "{name}");
                assert_eq!(subject.digest().to_string(), case["subject"], "{name}");
            }
            Err(error) => assert_eq!(format!("{error:?}"), case["error"], "{name}"),
        }
    }
}

#[test]
fn an_empty_chain_proves_nothing() {
    let vectors = vectors();
    let network = network(&vectors);
    let (_, case) = cases(&vectors, "proofs")[0];
    let validators: ValidatorSet = object(&case["validators"]);
    let mut proof: FinalityProof = object(&case["proof"]);
    assert_eq!(
        FinalityProof::new(Vec::new(), proof.certificate.clone()),
        Err(FinalityError::NoHeader)
    );
    let header = proof.headers.as_slice()[0];
    let long = FinalityProof::new(vec![header; 65], proof.certificate.clone());
    assert_eq!(long, Err(FinalityError::ChainTooLong { limit: 64, actual: 65 }));
    proof.headers = tokenim_wire::BoundedVec::empty();
    assert_eq!(proof.verify(&network, &validators), Err(FinalityError::NoHeader));
    assert_eq!(
        tokenim_consensus::verify_descendant(&network, &validators, &[header; 65], &proof.certificate),
        Err(FinalityError::ChainTooLong { limit: 64, actual: 65 })
    );
}

#[test]
fn misbehaviour() {
    let vectors = vectors();
    let network = network(&vectors);
    for (name, case) in cases(&vectors, "misbehaviour") {
        let validators: ValidatorSet = object(&case["validators"]);
        let evidence: Misbehaviour = object(&case["evidence"]);
        match evidence.verify(&network, &validators) {
            Ok(convicted) => {
                assert!(case["error"].is_null(), "{name}");
                assert_eq!(convicted.to_string(), case["convicts"], "{name}");
                let other = NetworkId::from_bytes([1; 32]);
                assert!(evidence.verify(&other, &validators).is_err(), "{name}");
            }
            Err(error) => assert_eq!(format!("{error:?}"), case["error"], "{name}"),
        }
    }
}

#[test]
fn contradicting_certificates_convict_who_signed_both() {
    let vectors = vectors();
    let network = network(&vectors);
    let case = &vectors["contradiction"];
    let validators: ValidatorSet = object(&case["validators"]);
    let certificate = |name: &str| Certificate::new(bytes(&case[name])).unwrap();
    let found = Misbehaviour::from_certificates(&validators, &certificate("one"), &certificate("other"));
    let convicted: Vec<_> = found
        .iter()
        .map(|found| found.verify(&network, &validators).unwrap().to_string())
        .collect();
    assert_eq!(serde_json::json!(convicted), case["convicts"]);
    assert!(Misbehaviour::from_certificates(&validators, &certificate("one"), &certificate("one")).is_empty());
    assert!(Misbehaviour::from_certificates(&validators, &certificate("one"), &certificate("next_view")).is_empty());
}

#[test]
fn certificates_are_capped() {
    assert!(Certificate::new(vec![0; 16 * 1024]).is_ok());
    assert_eq!(
        Certificate::new(vec![0; 16 * 1024 + 1]),
        Err(CertificateError::TooLong {
            limit: 16 * 1024,
            actual: 16 * 1024 + 1
        })
    );
}
