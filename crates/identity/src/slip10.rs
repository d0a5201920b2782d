//! SLIP-0010 for Ed25519: hardened derivation only.
//!
//! <https://github.com/satoshilabs/slips/blob/master/slip-0010.md>

use hmac::{Hmac, KeyInit, Mac, digest::Key};
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

/// HMAC-SHA512 of parts one after the other, under a key of at most 32 bytes.
fn mac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    // HMAC fills a key up to its block size with zeros (RFC 2104, section 2). Done here, no length is left to fail on.
    let mut block = Key::<Hmac<Sha512>>::default();
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
    let mut mac = Hmac::<Sha512>::new(&block);
    block.as_mut_slice().zeroize();
    for part in parts {
        mac.update(part);
    }
    let mut bytes: [u8; 64] = mac.finalize().into_bytes().into();
    let out = Zeroizing::new(bytes);
    bytes.zeroize();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use tokenim_wire::hex;

    #[derive(Deserialize)]
    struct Vectors {
        trees: Vec<Tree>,
    }

    #[derive(Deserialize)]
    struct Tree {
        seed: String,
        nodes: Vec<Derived>,
    }

    #[derive(Deserialize)]
    struct Derived {
        path: Vec<u32>,
        chain_code: String,
        private: String,
        public: String,
    }

    #[test]
    fn derivation_is_that_of_the_published_vectors() {
        let vectors: Vectors = serde_json::from_str(include_str!("../tests/vectors/slip10.json")).unwrap();
        for tree in vectors.trees {
            let seed = hex::decode(&tree.seed).unwrap();
            for derived in tree.nodes {
                let node = derived
                    .path
                    .iter()
                    .fold(Node::master(&seed), |node, index| node.child(*index));
                assert_eq!(hex::encode(&*node.seed()), derived.private, "{:?}", derived.path);
                assert_eq!(hex::encode(node.chain_code()), derived.chain_code, "{:?}", derived.path);
                let public = crate::RootSigningKey::from_seed(*node.seed()).verifying_key();
                // The published form has a zero byte before the key.
                assert_eq!(format!("00{public}"), derived.public, "{:?}", derived.path);
            }
        }
    }

    #[test]
    fn nodes_are_wiped() {
        fn wiped<T: ZeroizeOnDrop>(_: &T) {}
        let mut node = Node::master(&[7; 64]).child(1);
        wiped(&node);
        node.zeroize();
        assert_eq!((*node.seed(), *node.chain_code()), ([0; 32], [0; 32]));
    }
}
