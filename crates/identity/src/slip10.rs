//! SLIP-0010 for Ed25519: hardened derivation only.
//!
//! <https://github.com/satoshilabs/slips/blob/master/slip-0010.md>

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The bit that marks a hardened index.
const HARDENED: u32 = 1 << 31;

/// A node of the tree: a key and the chain code for its children.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Node {
    key: [u8; 32],
    chain_code: [u8; 32],
}

impl Node {
    /// The root of the tree of a seed.
    pub(crate) fn master(seed: &[u8]) -> Self {
        Self::from_mac(mac(b"ed25519 seed", &[seed]))
    }

    /// The hardened child with an index, which is given without its highest bit.
    pub(crate) fn child(&self, index: u32) -> Self {
        let index = (index | HARDENED).to_be_bytes();
        Self::from_mac(mac(&self.chain_code, &[&[0], &self.key, &index]))
    }

    /// The seed of the Ed25519 key.
    pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key)
    }

    /// The chain code, for the published vectors.
    #[cfg(test)]
    pub(crate) const fn chain_code(&self) -> &[u8; 32] {
        &self.chain_code
    }

    /// Key and chain code, the two halves.
    fn from_mac(mac: Zeroizing<[u8; 64]>) -> Self {
        let mut node = Self {
            key: [0; 32],
            chain_code: [0; 32],
        };
        for (slot, byte) in node.key.iter_mut().chain(&mut node.chain_code).zip(mac.iter()) {
            *slot = *byte;
        }
        node
    }
}

/// HMAC-SHA512 of parts one after the other.
fn mac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let mut out = Zeroizing::new([0; 64]);
    // HMAC takes keys of every length: there is no error to meet.
    if let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(key) {
        for part in parts {
            mac.update(part);
        }
        let mut bytes: [u8; 64] = mac.finalize().into_bytes().into();
        out.copy_from_slice(&bytes);
        bytes.zeroize();
    }
    out
}
