//! What makes a header final.

use alloc::vec::Vec;
use core::ops::Deref;

use serde::{Deserialize, Serialize};
use tokenim_identity::verify;
use tokenim_wire::{
    BoundedVec, NetworkId, Object,
    limits::{CERTIFICATE_BYTES_MAX, FINALITY_CHAIN_MAX},
};

use crate::{Certificate, CertificateError, Header, ValidatorSet};

/// A header that a quorum of a given validator set made final.
///
/// Only [`verify_finality`], [`verify_descendant`] and [`FinalityProof::verify`] make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FinalHeader(Header);

impl FinalHeader {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.0
    }
}

impl Deref for FinalHeader {
    type Target = Header;

    fn deref(&self) -> &Header {
        &self.0
    }
}

/// Checks that `certificate` makes `header` final: the header is the network's, the certificate is
/// well formed, over a set of this size, for this epoch and this header's digest, and each of its
/// signatures, at least a quorum of `validators`, holds under ZIP-215.
///
/// # Errors
///
/// [`FinalityError`], the first of these that fails, in this order.
pub fn verify_finality(
    network: &NetworkId,
    validators: &ValidatorSet,
    header: &Header,
    certificate: &Certificate,
) -> Result<FinalHeader, FinalityError> {
    if header.chain != *network {
        return Err(FinalityError::WrongNetwork);
    }
    let parsed = certificate.parse()?;
    if usize::from(parsed.validators) != validators.len() {
        return Err(FinalityError::WrongValidatorCount {
            expected: validators.len(),
            actual: parsed.validators,
        });
    }
    if parsed.proposal.epoch != header.epoch {
        return Err(FinalityError::WrongEpoch);
    }
    if parsed.proposal.digest != header.digest() {
        return Err(FinalityError::WrongDigest);
    }
    let message = parsed.proposal.finalize_bytes(network);
    for (&signer, signature) in parsed.signers.iter().zip(&parsed.signatures) {
        let valid = validators
            .get(signer)
            .is_some_and(|validator| verify::zip215(validator.key.as_bytes(), &message, signature.as_bytes()).is_ok());
        if !valid {
            return Err(FinalityError::Signature { signer });
        }
    }
    Ok(FinalHeader(*header))
}

/// Checks that `certificate` makes the last of `headers` final and that each of the others is the
/// parent of the next, which makes the first final too. A single header is checked as by
/// [`verify_finality`].
///
/// # Errors
///
/// [`FinalityError`].
pub fn verify_descendant(
    network: &NetworkId,
    validators: &ValidatorSet,
    headers: &[Header],
    certificate: &Certificate,
) -> Result<FinalHeader, FinalityError> {
    if headers.len() > FINALITY_CHAIN_MAX {
        return Err(FinalityError::ChainTooLong {
            limit: FINALITY_CHAIN_MAX,
            actual: headers.len(),
        });
    }
    let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
        return Err(FinalityError::NoHeader);
    };
    for (index, (parent, child)) in headers.iter().zip(headers.iter().skip(1)).enumerate() {
        // One validator set vouches for the chain, so it cannot leave the epoch.
        if !child.follows(parent) || child.epoch != parent.epoch {
            return Err(FinalityError::BrokenChain { index });
        }
    }
    verify_finality(network, validators, last, certificate)?;
    Ok(FinalHeader(*first))
}

/// Everything needed to see that a header is final, but the validator set.
///
/// Layout as a top-level object:
/// `0x01 ‖ LEB128 count ‖ headers without their version bytes ‖ LEB128 length ‖ certificate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalityProof {
    /// The header in question, then its descendants up to the one that the certificate names.
    pub headers: BoundedVec<Header, FINALITY_CHAIN_MAX>,
    /// Certificate of the last of the headers.
    pub certificate: Certificate,
}

impl FinalityProof {
    /// Puts a proof together; nothing is verified.
    ///
    /// # Errors
    ///
    /// [`FinalityError::NoHeader`] or [`FinalityError::ChainTooLong`].
    pub fn new(headers: Vec<Header>, certificate: Certificate) -> Result<Self, FinalityError> {
        if headers.is_empty() {
            return Err(FinalityError::NoHeader);
        }
        let actual = headers.len();
        let headers = BoundedVec::try_from(headers).map_err(|_| FinalityError::ChainTooLong {
            limit: FINALITY_CHAIN_MAX,
            actual,
        })?;
        Ok(Self { headers, certificate })
    }

    /// The header in question, unverified.
    #[must_use]
    pub fn subject(&self) -> Option<&Header> {
        self.headers.as_slice().first()
    }

    /// [`verify_descendant`] of the proof's parts.
    ///
    /// # Errors
    ///
    /// [`FinalityError`].
    pub fn verify(&self, network: &NetworkId, validators: &ValidatorSet) -> Result<FinalHeader, FinalityError> {
        verify_descendant(network, validators, self.headers.as_slice(), &self.certificate)
    }
}

impl Object for FinalityProof {
    const NAME: &'static str = "finality proof";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 1 + 2 + FINALITY_CHAIN_MAX * Header::BYTES_MAX + 3 + CERTIFICATE_BYTES_MAX;
}

/// Why a header is not shown to be final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FinalityError {
    /// The certificate is malformed.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// There is no header.
    #[error("no header to verify")]
    NoHeader,
    /// More headers than a proof may have.
    #[error("chain of {actual} headers, at most {limit} allowed")]
    ChainTooLong {
        /// Most headers allowed.
        limit: usize,
        /// Headers found.
        actual: usize,
    },
    /// Two neighbours of the chain are not parent and child.
    #[error("header {index} is not the parent of the next one")]
    BrokenChain {
        /// Place of the parent in the chain.
        index: usize,
    },
    /// The header belongs to another network.
    #[error("header of another network")]
    WrongNetwork,
    /// The certificate is over a set of another size.
    #[error("certificate over {actual} validators, the set has {expected}")]
    WrongValidatorCount {
        /// Size of the validator set.
        expected: usize,
        /// Size that the certificate claims.
        actual: u16,
    },
    /// The certificate is of another epoch than the header.
    #[error("certificate of another epoch")]
    WrongEpoch,
    /// The certificate is for another block.
    #[error("certificate for another block")]
    WrongDigest,
    /// A signature does not hold.
    #[error("signature of validator {signer} does not hold")]
    Signature {
        /// Place of the validator in the set.
        signer: u16,
    },
}
