//! The key of an endpoint.

use crate::tls;
use std::fmt;
use tokenim_identity::NodeSigningKey;
use tokenim_transport::{PeerId, TransportError};
use zeroize::Zeroizing;

/// The secret Ed25519 seed with which an endpoint proves who it is, wiped when dropped.
///
/// Nodes use the seed of their node key; a client may draw one for a single run. Debug prints no secret.
#[derive(Clone)]
pub struct TransportKey {
    seed: Zeroizing<[u8; 32]>,
    peer: PeerId,
}

impl TransportKey {
    /// Makes the key of this seed.
    ///
    /// # Errors
    /// [`TransportError::Io`] if the cryptography library refuses it, which it does for no known seed.
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Result<Self, TransportError> {
        let (_, peer) = tls::signing_key(&seed)?;
        Ok(Self { seed, peer })
    }

    /// The public key, by which peers dial this endpoint.
    #[must_use]
    pub const fn peer(&self) -> PeerId {
        self.peer
    }

    pub(crate) fn seed(&self) -> &[u8; 32] {
        &self.seed
    }
}

impl TryFrom<&NodeSigningKey> for TransportKey {
    type Error = TransportError;

    fn try_from(key: &NodeSigningKey) -> Result<Self, TransportError> {
        Self::from_seed(key.expose_seed())
    }
}

impl TryFrom<Zeroizing<[u8; 32]>> for TransportKey {
    type Error = TransportError;

    fn try_from(seed: Zeroizing<[u8; 32]>) -> Result<Self, TransportError> {
        Self::from_seed(seed)
    }
}

impl fmt::Debug for TransportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportKey")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1.
    const SEED: [u8; 32] = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
        0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];

    #[test]
    fn the_public_key_is_that_of_rfc_8032() {
        let key = TransportKey::from_seed(Zeroizing::new(SEED)).unwrap();
        assert_eq!(
            key.peer().to_string(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = TransportKey::from_seed(Zeroizing::new(SEED)).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains("d75a98"));
        assert!(!shown.contains("9d61b1"));
        assert!(!shown.contains("157, 97"));
    }
}
