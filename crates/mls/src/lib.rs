#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod authority;
mod certificate;
mod crypto;
mod error;
mod group;
mod header;
mod package;
mod state;
mod store;
mod suite;
mod tools;

pub use certificate::{LeafCertificate, SignedLeafCertificate};
pub use error::{CertificateError, Forbidden, SessionError};
pub use group::{Applied, Commit, Group, Opened, Proposed};
pub use package::{NewKeyPackage, PackageInfo, key_package, read_key_package, welcome_packages};
pub use rand_core::{self, CryptoRng};
pub use state::Parts;
pub use suite::SessionSuite;

use core::fmt;
use tokenim_identity::{DeviceId, DeviceSigningKey, IdentityId};
use tokenim_wire::NetworkId;

/// The type of our credential, for private use (RFC 9420, section 17.5): a [`SignedLeafCertificate`].
pub const CREDENTIAL_TYPE: u16 = 0xf0a3;
/// The type of our extension of the group context, for private use (RFC 9420, section 17.3).
pub const CONTEXT_EXTENSION_TYPE: u16 = 0xf0a2;

/// Whose sessions these are: a device of an identity.
#[derive(Clone)]
pub struct Owner {
    /// The network.
    pub network: NetworkId,
    /// The identity.
    pub identity: IdentityId,
    /// The device's key.
    pub device: DeviceSigningKey,
}

impl Owner {
    /// The id of the device.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::of(&self.device.verifying_key())
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("network", &self.network)
            .field("identity", &self.identity)
            .field("device", &self.device_id())
            .finish()
    }
}

/// A leaf of a session: a device of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Its index: fixed as long as the leaf is in, and used again later.
    pub index: u32,
    /// The member.
    pub identity: IdentityId,
    /// The device.
    pub device: DeviceId,
    /// What the device says of the leaf.
    pub certificate: LeafCertificate,
}

impl Leaf {
    pub(crate) fn new(index: u32, certificate: LeafCertificate) -> Self {
        Self {
            index,
            identity: certificate.identity,
            device: certificate.device_id(),
            certificate,
        }
    }
}
