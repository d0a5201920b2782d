//! The targets' bodies, shared with the test that replays the corpus.

use tokenim_consensus::{Block, Certificate, FinalityProof, Header, Misbehaviour, ValidatorSet, verify_finality};
use tokenim_wire::{NetworkId, Object};

fn object<T: Object>(data: &[u8]) -> Option<T> {
    let object = T::from_bytes(data).ok()?;
    assert_eq!(object.to_bytes().expect("what was decoded can be encoded"), data);
    Some(object)
}

/// Certificate: what parses has one encoding, and at least a quorum of signers in range.
pub fn certificate(data: &[u8]) {
    let Ok(certificate) = Certificate::new(data.to_vec()) else {
        return;
    };
    if let Ok(parsed) = certificate.parse() {
        assert_eq!(
            parsed.to_certificate().expect("what was parsed can be encoded"),
            certificate
        );
        let validators = usize::from(parsed.validators);
        assert!(parsed.signers.len() >= validators - (validators - 1) / 3);
        assert!(parsed.signers.is_sorted());
        assert!(parsed.signers.iter().all(|signer| *signer < parsed.validators));
        assert_eq!(parsed.signers.len(), parsed.signatures.len());
    }
}

/// Header: one encoding, and a name for it.
pub fn header(data: &[u8]) {
    if let Some(header) = object::<Header>(data) {
        let _ = header.digest();
        assert!(!header.follows(&header));
    }
}

/// Block: the header commits to the payload.
pub fn block(data: &[u8]) {
    if let Some(block) = object::<Block>(data) {
        assert!(block.check().is_ok());
    }
}

/// Validator set: sorted, unique, with a quorum.
pub fn validator_set(data: &[u8]) {
    if let Some(set) = object::<ValidatorSet>(data) {
        assert!(set.validators().is_sorted_by(|a, b| a.key < b.key));
        assert!(3 * set.quorum() > 2 * set.len());
        assert_eq!(ValidatorSet::new(set.validators().to_vec()).as_ref(), Ok(&set));
        let _ = set.digest();
    }
}

/// Finality proof: verified by a set that is part of the input. A length of two bytes parts them.
pub fn finality_proof(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_be_bytes(*length));
    let Some((set, proof)) = rest.split_at_checked(length) else {
        return;
    };
    let (Some(set), Some(proof)) = (object::<ValidatorSet>(set), object::<FinalityProof>(proof)) else {
        return;
    };
    let Some(subject) = proof.subject().copied() else {
        assert!(proof.verify(&NetworkId::from_bytes([0; 32]), &set).is_err());
        return;
    };
    if let Ok(last) = proof.verify(&subject.chain, &set) {
        assert_eq!(*last.header(), subject);
        let certified = proof.headers.last().expect("a proof has a header");
        assert!(verify_finality(&subject.chain, &set, certified, &proof.certificate).is_ok());
    }
}

/// Evidence: verified by a set that is part of the input, parted as above.
pub fn misbehaviour(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let length = usize::from(u16::from_be_bytes(*length));
    let Some((set, evidence)) = rest.split_at_checked(length) else {
        return;
    };
    let (Some(set), Some(evidence)) = (object::<ValidatorSet>(set), object::<Misbehaviour>(evidence)) else {
        return;
    };
    if let Ok(convicted) = evidence.verify(&NetworkId::from_bytes([0x77; 32]), &set) {
        assert!(set.contains(&convicted));
    }
}
