//! The engine's finality certificate and the bytes that its signatures cover.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use tokenim_identity::Signature;
use tokenim_wire::{
    BoundedBytes, Epoch, NetworkId,
    limits::{CERTIFICATE_BYTES_MAX, VALIDATORS_MAX},
};

use crate::{BlockDigest, validators::quorum, varint};

tokenim_wire::u64_newtype! {
    /// A round of the engine. Views count up through an epoch whether or not they yield a block,
    /// so a view is never a height.
    pub struct View(u64);
}

/// The domain that the engine separates this network's votes by:
/// `"tokenim/consensus/v1/" ‖ network id`.
#[must_use]
pub fn namespace(network: &NetworkId) -> Vec<u8> {
    let mut out = b"tokenim/consensus/v1/".to_vec();
    out.extend_from_slice(network.as_bytes());
    out
}

/// What a vote is for: the engine appends one of these to the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteKind {
    /// The block is available and valid; a quorum of these notarizes it.
    Notarize,
    /// The view brought nothing; a quorum of these skips it.
    Nullify,
    /// The notarized block is to be final; a quorum of these is a finality certificate.
    Finalize,
}

impl VoteKind {
    const fn suffix(self) -> &'static [u8] {
        match self {
            Self::Notarize => b"_NOTARIZE",
            Self::Nullify => b"_NULLIFY",
            Self::Finalize => b"_FINALIZE",
        }
    }

    /// `LEB128 length ‖ namespace ‖ suffix`, the prefix of every signed message.
    fn prefix(self, network: &NetworkId) -> Vec<u8> {
        let mut domain = namespace(network);
        domain.extend_from_slice(self.suffix());
        let mut out = Vec::with_capacity(domain.len() + 64);
        varint::write(domain.len() as u64, &mut out);
        out.extend_from_slice(&domain);
        out
    }
}

/// The subject of notarize and finalize votes: one block in one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// The epoch.
    pub epoch: Epoch,
    /// The view that the block was proposed in.
    pub view: View,
    /// The view that its parent was proposed in; 0 for the genesis block.
    pub parent_view: View,
    /// The block.
    pub digest: BlockDigest,
}

impl Proposal {
    /// `LEB128 epoch ‖ LEB128 view ‖ LEB128 parent view ‖ 32-byte digest`.
    fn write(&self, out: &mut Vec<u8>) {
        varint::write(self.epoch.get(), out);
        varint::write(self.view.get(), out);
        varint::write(self.parent_view.get(), out);
        out.extend_from_slice(self.digest.as_bytes());
    }

    /// What a notarize vote signs.
    #[must_use]
    pub fn notarize_bytes(&self, network: &NetworkId) -> Vec<u8> {
        let mut out = VoteKind::Notarize.prefix(network);
        self.write(&mut out);
        out
    }

    /// What a finalize vote, and so every signature of a finality certificate, signs.
    #[must_use]
    pub fn finalize_bytes(&self, network: &NetworkId) -> Vec<u8> {
        let mut out = VoteKind::Finalize.prefix(network);
        self.write(&mut out);
        out
    }
}

/// What a nullify vote signs: prefix ‖ LEB128 epoch ‖ LEB128 view.
#[must_use]
pub fn nullify_bytes(network: &NetworkId, epoch: Epoch, view: View) -> Vec<u8> {
    let mut out = VoteKind::Nullify.prefix(network);
    varint::write(epoch.get(), &mut out);
    varint::write(view.get(), &mut out);
    out
}

/// A finality certificate as the engine encodes it: opaque bytes until [`Certificate::parse`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Certificate(BoundedBytes<CERTIFICATE_BYTES_MAX>);

impl Certificate {
    /// Takes bytes of any shape up to the limit.
    ///
    /// # Errors
    ///
    /// [`CertificateError::TooLong`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, CertificateError> {
        let actual = bytes.len();
        BoundedBytes::try_from(bytes)
            .map(Self)
            .map_err(|_| CertificateError::TooLong {
                limit: CERTIFICATE_BYTES_MAX,
                actual,
            })
    }

    /// The engine's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The engine's bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_inner()
    }

    /// Takes the certificate apart. No signature is checked.
    ///
    /// # Errors
    ///
    /// [`CertificateError`], one kind per way to deviate from the layout.
    pub fn parse(&self) -> Result<ParsedCertificate, CertificateError> {
        ParsedCertificate::read(self.as_bytes())
    }
}

/// A certificate taken apart, its signatures not yet checked.
///
/// ```text
/// LEB128 epoch ‖ LEB128 view ‖ LEB128 parent view ‖ 32-byte digest       the proposal
/// ‖ u64 big-endian number of validators n ‖ ⌈n / 8⌉ bytes of bitmap      bit i % 8 of byte i / 8
/// ‖ LEB128 number of signatures ‖ 64 bytes each                         ascending signers
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedCertificate {
    /// What was signed.
    pub proposal: Proposal,
    /// Size of the validator set that the bitmap is over.
    pub validators: u16,
    /// The signers' places in the validator set, ascending; at least a quorum of `validators`.
    pub signers: Vec<u16>,
    /// One signature per signer, in the same order.
    pub signatures: Vec<Signature>,
}

impl ParsedCertificate {
    fn read(bytes: &[u8]) -> Result<Self, CertificateError> {
        let mut input = bytes;
        let epoch = Epoch::new(varint::read(&mut input)?);
        let view = View::new(varint::read(&mut input)?);
        let parent_view = View::new(varint::read(&mut input)?);
        let digest = BlockDigest::from_bytes(*take::<32>(&mut input)?);
        if parent_view >= view {
            return Err(CertificateError::ViewOrder);
        }

        let count = u64::from_be_bytes(*take::<8>(&mut input)?);
        let validators = u16::try_from(count)
            .ok()
            .filter(|&count| count > 0 && usize::from(count) <= VALIDATORS_MAX)
            .ok_or(CertificateError::ValidatorCount {
                limit: VALIDATORS_MAX,
                actual: count,
            })?;
        let (bitmap, rest) = input
            .split_at_checked(usize::from(validators).div_ceil(8))
            .ok_or(CertificateError::Truncated)?;
        input = rest;
        let set = |index: u16| {
            bitmap
                .get(usize::from(index / 8))
                .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
        };
        let end = validators.next_multiple_of(8);
        if (validators..end).any(set) {
            return Err(CertificateError::BitmapTail);
        }
        let signers: Vec<u16> = (0..validators).filter(|&index| set(index)).collect();

        let required = quorum(usize::from(validators));
        if signers.len() < required {
            return Err(CertificateError::TooFewSigners {
                required,
                actual: signers.len(),
            });
        }
        if varint::read(&mut input)? != signers.len() as u64 {
            return Err(CertificateError::SignatureCount);
        }
        let mut signatures = Vec::with_capacity(signers.len());
        for _ in &signers {
            signatures.push(Signature::from_bytes(*take::<64>(&mut input)?));
        }
        if !input.is_empty() {
            return Err(CertificateError::TrailingBytes);
        }
        let proposal = Proposal {
            epoch,
            view,
            parent_view,
            digest,
        };
        Ok(Self {
            proposal,
            validators,
            signers,
            signatures,
        })
    }

    /// The one encoding that [`Certificate::parse`] reads back as this.
    ///
    /// # Errors
    ///
    /// [`CertificateError`] if the fields, which are public, do not make a certificate.
    pub fn to_certificate(&self) -> Result<Certificate, CertificateError> {
        let mut out = Vec::new();
        self.proposal.write(&mut out);
        out.extend_from_slice(&u64::from(self.validators).to_be_bytes());
        for first in (0..self.validators).step_by(8) {
            let mut byte = 0u8;
            for bit in 0..8u16 {
                if self.signers.binary_search(&first.saturating_add(bit)).is_ok() {
                    byte |= 1 << bit;
                }
            }
            out.push(byte);
        }
        varint::write(self.signatures.len() as u64, &mut out);
        for signature in &self.signatures {
            out.extend_from_slice(signature.as_bytes());
        }
        let certificate = Certificate::new(out)?;
        match certificate.parse()? == *self {
            true => Ok(certificate),
            false => Err(CertificateError::SignatureCount),
        }
    }
}

fn take<'a, const N: usize>(input: &mut &'a [u8]) -> Result<&'a [u8; N], CertificateError> {
    let (head, rest) = input.split_first_chunk::<N>().ok_or(CertificateError::Truncated)?;
    *input = rest;
    Ok(head)
}

/// Why bytes are no finality certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Longer than a certificate may be.
    #[error("certificate of {actual} bytes, at most {limit} allowed")]
    TooLong {
        /// Most bytes allowed.
        limit: usize,
        /// Bytes found.
        actual: usize,
    },
    /// The bytes end early.
    #[error("certificate ends early")]
    Truncated,
    /// An integer is not in its shortest form, or too large.
    #[error("integer of the certificate is not minimal LEB128")]
    IntegerNotMinimal,
    /// The parent's view is not below the view.
    #[error("the parent's view is not below the view")]
    ViewOrder,
    /// The bitmap is over no validators or too many.
    #[error("certificate over {actual} validators, 1 to {limit} allowed")]
    ValidatorCount {
        /// Most validators allowed.
        limit: usize,
        /// Validators that the certificate claims.
        actual: u64,
    },
    /// A bit is set beyond the last validator.
    #[error("bitmap of the certificate names validators beyond the set")]
    BitmapTail,
    /// Fewer signers than a quorum of the validators.
    #[error("certificate with {actual} signers, {required} required")]
    TooFewSigners {
        /// The quorum.
        required: usize,
        /// Signers found.
        actual: usize,
    },
    /// Signers and signatures differ in number.
    #[error("certificate has another number of signatures than of signers")]
    SignatureCount,
    /// Bytes are left over.
    #[error("bytes after the certificate")]
    TrailingBytes,
}
