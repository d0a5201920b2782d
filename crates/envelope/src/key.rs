//! The secret that opens a device's envelopes.

use alloc::sync::Arc;
use core::fmt;

use tokenim_identity::EnvelopeKey;
use zeroize::ZeroizeOnDrop;

use crate::hpke::{self, Suite};

/// The secret key of a device for its envelopes. Wiped when dropped; doesn't print itself.
///
/// It holds all that opening needs, for X-Wing the expanded ML-KEM key too, so that a device makes it once and keeps it.
/// Forward secrecy of an envelope begins when this key and its seed are deleted.
pub struct EnvelopeSecretKey {
    key: hpke::SecretKey,
    /// Shared with what was opened, which needs it once more to verify.
    public: Arc<EnvelopeKey>,
}

impl EnvelopeSecretKey {
    /// The key pair of a seed of 32 random bytes, by `DeriveKeyPair` of the suite ([`hpke::SecretKey::derive`]).
    ///
    /// [`DeviceSecrets`](tokenim_identity::DeviceSecrets) keeps such a seed as `envelope_seed`.
    #[must_use]
    pub fn from_seed(suite: Suite, seed: &[u8; 32]) -> Self {
        let key = hpke::SecretKey::derive(suite, seed);
        let public = Arc::new(key.public_key().into());
        Self { key, public }
    }

    /// The public key, with its suite, as the device publishes it.
    #[must_use]
    pub fn public(&self) -> &EnvelopeKey {
        &self.public
    }

    /// Its suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.key.suite()
    }

    pub(crate) const fn hpke(&self) -> &hpke::SecretKey {
        &self.key
    }

    pub(crate) fn shared_public(&self) -> Arc<EnvelopeKey> {
        Arc::clone(&self.public)
    }
}

/// [`hpke::SecretKey`] wipes itself, and so did what it was derived from.
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
        for suite in Suite::ALL {
            let key = EnvelopeSecretKey::from_seed(suite, &[0xab; 32]);
            assert_eq!(format!("{key:?}{key:#?}"), "EnvelopeSecretKey([redacted])".repeat(2));
        }
    }

    #[test]
    fn an_envelope_secret_key_is_made_of_what_wipes_itself() {
        fn wipes_on_drop<T: ZeroizeOnDrop>(_: T) {}
        // A new field has to be named; this one's own fields are named in the tests of `hpke`.
        let EnvelopeSecretKey { key, public: _ } = EnvelopeSecretKey::from_seed(Suite::XWing, &[1; 32]);
        wipes_on_drop::<hpke::SecretKey>(key);
    }
}
