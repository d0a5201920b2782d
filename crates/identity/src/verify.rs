//! The two Ed25519 verifiers. There is no third.
//!
//! RFC 8032 leaves open which of the odd signatures are valid: those with points of small order, with points in
//! another than their shortest encoding, with or without the cofactor. Implementations differ, and where two that
//! differ must agree, one signature splits them. So it is said which rule holds where:
//!
//! | | [`strict`] | [`zip215`], [`Zip215Batch`] |
//! |---|---|---|
//! | used | where one party decides for itself: envelopes, capability requests | where all must agree: ledger, certificates, receipts |
//! | key `A`, commitment `R` | canonical encodings of points not of small order | any encoding of any point |
//! | `s` | below the group order | below the group order |
//! | equation | `[s]B = R + [k]A` | `[8][s]B = [8]R + [8][k]A` |
//! | several at once | no: batches of it can disagree with it | yes, always agrees with one by one |
//!
//! ZIP-215: <https://zips.z.cash/zip-0215>. Both functions take plain bytes, for signed formats that are not ours such
//! as the consensus engine's; what we sign ourselves is verified through [`VerifyingKey`].
#![expect(
    clippy::disallowed_methods,
    reason = "the one place where the verifiers of the libraries are called"
)]

use crate::{Statement, VerifyingKey, key::KeyError, signed_bytes};
use ed25519_dalek::{Signature as DalekSignature, Verifier as _};
use ed25519_zebra::{Signature as ZebraSignature, VerificationKey, VerificationKeyBytes, batch};
use rand_core::CryptoRng;
use tokenim_wire::{EncodeError, NetworkId};

/// A signature that does not hold: key, message and signature don't belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct SignatureError;

/// The y coordinates of the eight points of small order, in little-endian order: x and −x share one.
#[rustfmt::skip]
const SMALL_ORDER: [[u8; 32]; 5] = [
    [
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ],
    [
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
        0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
        0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

/// Decompresses a key and checks that it is canonical and not of small order.
pub(crate) fn check_key(key: &[u8; 32]) -> Result<ed25519_dalek::VerifyingKey, KeyError> {
    let point = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| KeyError::NotAPoint)?;
    if !is_canonical(key) {
        return Err(KeyError::NotCanonical);
    }
    if is_small_order(key) {
        return Err(KeyError::SmallOrder);
    }
    Ok(point)
}

/// Whether these bytes of a point are the ones that it has: y is below 2^255 − 19, and there is no sign where x is 0, which
/// is so for y = ±1. To compress the point and compare would cost as much as to decompress it.
fn is_canonical([low, middle @ .., high]: &[u8; 32]) -> bool {
    let (sign, high) = (high & 0x80 != 0, high & 0x7f);
    let is_least = high == 0 && middle.iter().all(|byte| *byte == 0);
    let is_greatest = high == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    let is_unsigned = (is_least && *low == 1) || (is_greatest && *low == 0xec);
    !(is_greatest && *low >= 0xed || sign && is_unsigned)
}

/// Whether the shortest encoding of a point is that of one of small order.
fn is_small_order(point: &[u8; 32]) -> bool {
    let mut y = *point;
    let [.., high] = &mut y;
    *high &= 0x7f;
    SMALL_ORDER.contains(&y)
}

/// Verifies one signature strictly: for decisions of one party.
///
/// # Errors
/// [`SignatureError`] if it does not hold.
pub fn strict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
    let key = check_key(key).map_err(|_| SignatureError)?;
    let signature = DalekSignature::from_bytes(signature);
    // The library computes R from the equation and compares its shortest encoding with the signature's. To decompress R
    // would cost a fifth of it all; what is left to see is that it is not of small order.
    if is_small_order(signature.r_bytes()) {
        return Err(SignatureError);
    }
    key.verify(message, &signature).map_err(|_| SignatureError)
}

/// Verifies one signature by the rules of ZIP-215: for decisions in which all must agree.
///
/// # Errors
/// [`SignatureError`] if it does not hold.
pub fn zip215(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
    VerificationKey::try_from(*key)
        .and_then(|key| key.verify(&ZebraSignature::from_bytes(signature), message))
        .map_err(|_| SignatureError)
}

/// Verifies many signatures by the rules of ZIP-215 at once: all hold, or at least one does not.
///
/// For every set of signatures it comes to the same as [`zip215`] one by one, at about half the cost and less where
/// keys repeat.
///
/// ```
/// # use tokenim_identity::{NodeSigningKey, verify::Zip215Batch};
/// # fn check(items: &[([u8; 32], Vec<u8>, [u8; 64])], rng: &mut impl tokenim_identity::CryptoRng) -> bool {
/// let mut batch = Zip215Batch::new();
/// for (key, message, signature) in items {
///     batch.push(key, message, signature);
/// }
/// batch.verify(rng).is_ok()
/// # }
/// ```
#[derive(Default)]
pub struct Zip215Batch {
    inner: batch::Verifier,
    length: usize,
}

impl Zip215Batch {
    /// An empty batch, which holds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a signature. The message is hashed now and not kept.
    pub fn push(&mut self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) {
        self.inner.queue((
            VerificationKeyBytes::from(*key),
            ZebraSignature::from_bytes(signature),
            message,
        ));
        self.length = self.length.saturating_add(1);
    }

    /// Adds a signature over one of our statements.
    ///
    /// # Errors
    /// [`EncodeError`] if the statement has no encoding; the batch is then as it was.
    pub fn push_statement<S: Statement>(
        &mut self,
        key: &VerifyingKey<S::Signer>,
        network: &NetworkId,
        statement: &S,
        signature: &crate::Signature,
    ) -> Result<(), EncodeError> {
        let message = signed_bytes(network, statement)?;
        self.push(key.as_bytes(), &message, signature.as_bytes());
        Ok(())
    }

    /// How many signatures were added.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether none was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Verifies all of them.
    ///
    /// The randomness must not be known to the signers beforehand: who knows it can make two wrong signatures that
    /// cancel each other out.
    ///
    /// # Errors
    /// [`SignatureError`] if at least one does not hold. It does not say which.
    pub fn verify(self, rng: &mut (impl CryptoRng + ?Sized)) -> Result<(), SignatureError> {
        self.inner.verify(rng).map_err(|_| SignatureError)
    }
}

impl core::fmt::Debug for Zip215Batch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Zip215Batch({} signatures)", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_of_small_order_are_all_there() {
        let mut found = 0;
        for (y, sign) in SMALL_ORDER.iter().flat_map(|y| [(y, 0), (y, 0x80)]) {
            let mut point = *y;
            point[31] |= sign;
            let key = ed25519_dalek::VerifyingKey::from_bytes(&point).unwrap();
            assert!(key.is_weak() && is_small_order(&point));
            found += u32::from(is_canonical(&point));
        }
        assert_eq!(found, 8, "the cofactor of the curve");
    }
}
