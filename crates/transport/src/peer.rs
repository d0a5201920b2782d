//! Who is at the other end.

use core::fmt;
use tokenim_identity::{KeyError, NodeKey};

/// The Ed25519 public key that the other end of a connection has proved to hold, as 32 bytes.
///
/// Nodes use their node key; a client may use a key made for one run. Display and Debug are 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// Takes the 32 bytes of a public key as they are. Whether they are a key shows when a peer proves to hold it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The same bytes as the key of a node.
    ///
    /// # Errors
    /// If they are not a canonical point, or one of small order.
    pub fn node_key(&self) -> Result<NodeKey, KeyError> {
        NodeKey::from_bytes(self.0)
    }
}

impl From<NodeKey> for PeerId {
    fn from(key: NodeKey) -> Self {
        Self(key.to_bytes())
    }
}

impl From<&NodeKey> for PeerId {
    fn from(key: &NodeKey) -> Self {
        Self(key.to_bytes())
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::PeerId;
    use alloc::format;

    #[test]
    fn prints_as_hex() {
        let mut bytes = [0; 32];
        bytes[0] = 0xa5;
        let peer = PeerId::from_bytes(bytes);
        assert_eq!(format!("{peer}"), format!("a5{}", "00".repeat(31)));
        assert_eq!(format!("{peer:?}"), format!("{peer}"));
        assert_eq!(peer.to_bytes(), bytes);
        assert_eq!(peer.as_bytes(), &bytes);
    }
}
