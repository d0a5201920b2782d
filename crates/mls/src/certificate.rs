//! Who a leaf is: the certificate that its device signs.

use crate::{CertificateError, SessionSuite};
use serde::{Deserialize, Serialize};
use tokenim_identity::{Device, DeviceId, DeviceKey, DeviceSigningKey, IdentityId, Signature, Statement};
use tokenim_wire::{
    EncodeError, Label, NetworkId, Object, UnixSeconds,
    limits::{CLOCK_SKEW_SECONDS_MAX, SESSION_LEAF_BYTES_MAX, SESSION_LEAF_LIFETIME_SECONDS_MAX},
};

/// What a device says of a leaf: that it is its own, in sessions of this suite.
///
/// The times say when the leaf may enter a session. A leaf that is in stays until it is removed: whether its device is
/// live is a question to the ledger, not to a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafCertificate {
    /// The identity.
    pub identity: IdentityId,
    /// Its device, by its key.
    pub device: DeviceKey,
    /// The signature key of the leaf, Ed25519.
    pub leaf: [u8; 32],
    /// The suite.
    pub suite: SessionSuite,
    /// When it was made.
    pub created: UnixSeconds,
    /// Until when the leaf may enter a session; at most [`SESSION_LEAF_LIFETIME_SECONDS_MAX`] later.
    pub expires: UnixSeconds,
}

impl Statement for LeafCertificate {
    type Signer = Device;
    const LABEL: Label = Label::new("tokenim/session-leaf/v1");
}

impl LeafCertificate {
    /// The id of the device.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::of(&self.device)
    }

    /// Checks that the leaf may enter a session now.
    ///
    /// # Errors
    /// [`CertificateError::NotYetValid`], [`CertificateError::Expired`].
    pub fn check_time(&self, now: UnixSeconds) -> Result<(), CertificateError> {
        if self.created > now.saturating_add(CLOCK_SKEW_SECONDS_MAX) {
            return Err(CertificateError::NotYetValid);
        }
        if self.expires <= now {
            return Err(CertificateError::Expired);
        }
        Ok(())
    }

    pub(crate) fn check_lifetime(&self) -> Result<(), CertificateError> {
        let latest = self.created.saturating_add(SESSION_LEAF_LIFETIME_SECONDS_MAX);
        if self.expires <= self.created || self.expires > latest {
            return Err(CertificateError::Lifetime);
        }
        Ok(())
    }
}

/// A [`LeafCertificate`] with its device's signature: the credential of a leaf, of type
/// [`CREDENTIAL_TYPE`](crate::CREDENTIAL_TYPE).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedLeafCertificate {
    /// What is signed.
    pub certificate: LeafCertificate,
    /// The device's signature.
    pub signature: Signature,
}

impl Object for SignedLeafCertificate {
    const NAME: &'static str = "leaf certificate";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = SESSION_LEAF_BYTES_MAX;
}

impl SignedLeafCertificate {
    /// Signs a certificate.
    ///
    /// # Errors
    /// [`EncodeError`] if it has no encoding.
    pub fn sign(
        network: &NetworkId,
        key: &DeviceSigningKey,
        certificate: LeafCertificate,
    ) -> Result<Self, EncodeError> {
        let signature = key.sign(network, &certificate)?;
        Ok(Self { certificate, signature })
    }

    /// Checks a credential that stands beside a leaf key: everything but the time, and but whether the device is the
    /// identity's, which the ledger knows. The device signs strictly.
    ///
    /// # Errors
    /// [`CertificateError`], in the order in which its variants are listed.
    pub fn check(
        network: &NetworkId,
        suite: SessionSuite,
        leaf: &[u8],
        credential: &[u8],
    ) -> Result<LeafCertificate, CertificateError> {
        let Self { certificate, signature } = Self::from_bytes(credential)?;
        if certificate.leaf != leaf {
            return Err(CertificateError::Leaf);
        }
        if certificate.suite != suite {
            return Err(CertificateError::Suite);
        }
        certificate.check_lifetime()?;
        certificate.device.verify_strict(network, &certificate, &signature)?;
        Ok(certificate)
    }
}
