//! The secret that opens a device's envelopes.

use core::fmt;

use tokenim_identity::EnvelopeKey;
use zeroize::ZeroizeOnDrop;

use crate::hpke;

/// The secret key of a device for its envelopes. Wiped when dropped; prints only its public part.
///
/// Forward secrecy of an envelope begins when this key and its seed are deleted.
pub struct EnvelopeSecretKey {
    key: hpke::SecretKey,
    public: EnvelopeKey,
}

impl EnvelopeSecretKey {
    /// The key pair of a seed of 32 random bytes, by `DeriveKeyPair` of the suite (RFC 9180, section 7.1.3).
    ///
    /// [`DeviceSecrets`](tokenim_identity::DeviceSecrets) keeps such a seed as `envelope_seed`.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = hpke::SecretKey::derive(seed);
        let public = EnvelopeKey::x25519(key.public_key().to_bytes());
        Self { key, public }
    }

    /// The public key, with its suite, as the device publishes it.
    #[must_use]
    pub const fn public(&self) -> &EnvelopeKey {
        &self.public
    }

    pub(crate) const fn hpke(&self) -> &hpke::SecretKey {
        &self.key
    }
}

/// Both the scalar inside of [`hpke::SecretKey`] and what it was derived from wipe themselves.
impl ZeroizeOnDrop for EnvelopeSecretKey {}

impl fmt::Debug for EnvelopeSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvelopeSecretKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn an_envelope_secret_key_does_not_print_itself() {
        let key = EnvelopeSecretKey::from_seed(&[0xab; 32]);
        assert_eq!(format!("{key:?}{key:#?}"), "EnvelopeSecretKey([redacted])".repeat(2));
    }
}
