//! Proofs in the state tree, a compressed sparse Merkle tree over 256-bit keys as jmt 0.12 hashes it.
//!
//! ```text
//! root of no entries           = "SPARSE_MERKLE_PLACEHOLDER_HASH__"                                   (32 bytes)
//! root of one entry            = SHA-256("JMT::LeafNode" ‖ key, 32 bytes ‖ SHA-256(value))
//! root of two or more entries  = SHA-256("JMT::IntrnalNode" ‖ root of those whose next key bit is 0 ‖ … is 1)
//! ```
//!
//! where the first bit is the most significant one of the first byte. So a leaf stands at the shortest prefix that no
//! other key shares.

use super::PathError;
use crate::StateKey;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokenim_wire::{BoundedBytes, BoundedVec, Digest};

const PLACEHOLDER: [u8; 32] = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
const LEAF: &[u8] = b"JMT::LeafNode";
const INTERNAL: &[u8] = b"JMT::IntrnalNode";

/// The bits of a key: the depth of the deepest leaf.
pub const STATE_DEPTH_MAX: usize = 256;
/// Bytes of a bitmap with one bit for each level.
const BITMAP_BYTES_MAX: usize = STATE_DEPTH_MAX / 8;

/// The root of a state without entries, and the hash of every empty subtree.
pub const EMPTY_STATE_ROOT: Digest = Digest::from_bytes(PLACEHOLDER);

/// The hash of a value, as its leaf holds it.
#[must_use]
pub fn state_value_hash(value: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(value).into())
}

/// The hash of a leaf.
#[must_use]
pub fn state_leaf_hash(key: &StateKey, value_hash: &Digest) -> Digest {
    let hasher = Sha256::new()
        .chain_update(LEAF)
        .chain_update(key.as_bytes())
        .chain_update(value_hash.as_bytes());
    Digest::from_bytes(hasher.finalize().into())
}

/// The hash of an inner node.
#[must_use]
pub fn state_node_hash(left: &Digest, right: &Digest) -> Digest {
    let hasher = Sha256::new()
        .chain_update(INTERNAL)
        .chain_update(left.as_bytes())
        .chain_update(right.as_bytes());
    Digest::from_bytes(hasher.finalize().into())
}

/// What stands at the end of a key's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Terminal {
    /// The key's own leaf: the key is present. Whoever checks knows key and value already.
    Own,
    /// Nothing: the key is absent.
    Empty,
    /// The leaf of another key that shares the whole way, so the key is absent.
    Other {
        /// That leaf's key.
        key: StateKey,
        /// The hash of its value.
        value_hash: Digest,
    },
}

/// A proof that a key has a value in the state, or that it has none.
///
/// ```text
/// terminal: 0 own │ 1 empty │ 2 other ‖ key, 32 bytes ‖ value hash, 32 bytes
/// depth varint, at most 256
/// bitmap: length varint = ⌈depth / 8⌉ ‖ bytes; bit i (i mod 8 of byte i / 8, least significant first) is set when
///         sibling i, counted from the terminal upwards, is not an empty subtree; unused bits are zero
/// siblings: number varint = bits set ‖ 32 bytes each, from the terminal upwards
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct StateProof {
    terminal: Terminal,
    depth: u16,
    occupied: BoundedBytes<BITMAP_BYTES_MAX>,
    siblings: BoundedVec<Digest, STATE_DEPTH_MAX>,
}

/// The same fields before they are checked against each other.
#[derive(Deserialize)]
struct Raw {
    terminal: Terminal,
    depth: u16,
    occupied: BoundedBytes<BITMAP_BYTES_MAX>,
    siblings: BoundedVec<Digest, STATE_DEPTH_MAX>,
}

impl TryFrom<Raw> for StateProof {
    type Error = PathError;

    fn try_from(raw: Raw) -> Result<Self, PathError> {
        let depth = usize::from(raw.depth);
        let fits = depth <= STATE_DEPTH_MAX && raw.occupied.len() == depth.div_ceil(8);
        let set: u32 = raw.occupied.iter().map(|byte| byte.count_ones()).sum();
        let spare = match raw.occupied.last() {
            // The last byte uses `depth mod 8` bits, or all.
            Some(last) if !depth.is_multiple_of(8) => last >> (depth % 8),
            _ => 0,
        };
        if fits && spare == 0 && usize::try_from(set) == Ok(raw.siblings.len()) {
            Ok(Self {
                terminal: raw.terminal,
                depth: raw.depth,
                occupied: raw.occupied,
                siblings: raw.siblings,
            })
        } else {
            Err(PathError::Shape)
        }
    }
}

impl StateProof {
    /// A proof from the siblings of a way, from the terminal upwards; `None` is an empty subtree.
    ///
    /// # Errors
    /// [`PathError::Shape`] for more than [`STATE_DEPTH_MAX`] siblings.
    pub fn new(terminal: Terminal, siblings: impl IntoIterator<Item = Option<Digest>>) -> Result<Self, PathError> {
        let mut bitmap: Vec<u8> = Vec::new();
        let mut present = BoundedVec::empty();
        let mut depth = 0_u16;
        for sibling in siblings {
            let bit = depth % 8;
            if bit == 0 {
                bitmap.push(0);
            }
            if let Some(sibling) = sibling {
                if let Some(last) = bitmap.last_mut() {
                    *last |= 1 << bit;
                }
                present.push(sibling).map_err(|_| PathError::Shape)?;
            }
            depth = depth.checked_add(1).ok_or(PathError::Shape)?;
        }
        if usize::from(depth) > STATE_DEPTH_MAX {
            return Err(PathError::Shape);
        }
        Ok(Self {
            terminal,
            depth,
            occupied: BoundedBytes::try_from(bitmap).map_err(|_| PathError::Shape)?,
            siblings: present,
        })
    }

    /// What stands at the end of the way.
    #[must_use]
    pub const fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// The number of levels above the terminal.
    #[must_use]
    pub const fn depth(&self) -> u16 {
        self.depth
    }

    /// The root to which this proof leads for `key` with `value`, or for `key` without a value.
    ///
    /// # Errors
    /// [`PathError::Kind`], [`PathError::OtherLeaf`] or [`PathError::Shape`].
    pub fn root(&self, key: &StateKey, value: Option<&[u8]>) -> Result<Digest, PathError> {
        let mut top = match (&self.terminal, value) {
            (Terminal::Own, Some(value)) => state_leaf_hash(key, &state_value_hash(value)),
            (Terminal::Empty, None) => EMPTY_STATE_ROOT,
            (Terminal::Other { key: other, value_hash }, None) => {
                if other == key || common_bits(key, other) < usize::from(self.depth) {
                    return Err(PathError::OtherLeaf);
                }
                state_leaf_hash(other, value_hash)
            }
            (Terminal::Own, None) | (Terminal::Empty | Terminal::Other { .. }, Some(_)) => return Err(PathError::Kind),
        };
        let mut siblings = self.siblings.iter();
        for level in 0..self.depth {
            let sibling = if self.is_occupied(level) {
                *siblings.next().ok_or(PathError::Shape)?
            } else {
                EMPTY_STATE_ROOT
            };
            // The terminal hangs below bit `depth − 1`, the one above it below bit `depth − 2`, …
            let bit = self.depth.checked_sub(level).and_then(|below| below.checked_sub(1));
            top = if key_bit(key, bit.ok_or(PathError::Shape)?) {
                state_node_hash(&sibling, &top)
            } else {
                state_node_hash(&top, &sibling)
            };
        }
        Ok(top)
    }

    /// Checks that `key` has `value` in the state with this root.
    ///
    /// # Errors
    /// Those of [`StateProof::root`], and [`PathError::Root`].
    pub fn verify_inclusion(&self, root: &Digest, key: &StateKey, value: &[u8]) -> Result<(), PathError> {
        self.verify(root, key, Some(value))
    }

    /// Checks that `key` has no value in the state with this root.
    ///
    /// # Errors
    /// Those of [`StateProof::root`], and [`PathError::Root`].
    pub fn verify_absence(&self, root: &Digest, key: &StateKey) -> Result<(), PathError> {
        self.verify(root, key, None)
    }

    /// Checks that `key` has this value, or none, in the state with this root.
    ///
    /// # Errors
    /// Those of [`StateProof::root`], and [`PathError::Root`].
    pub fn verify(&self, root: &Digest, key: &StateKey, value: Option<&[u8]>) -> Result<(), PathError> {
        if self.root(key, value)? == *root {
            Ok(())
        } else {
            Err(PathError::Root)
        }
    }

    /// Whether sibling `level`, from the terminal upwards, is not empty.
    fn is_occupied(&self, level: u16) -> bool {
        self.occupied
            .get(usize::from(level / 8))
            .is_some_and(|byte| (byte >> (level % 8)) & 1 == 1)
    }
}

/// Bit `index` of a key, from the most significant one of its first byte.
fn key_bit(key: &StateKey, index: u16) -> bool {
    key.as_bytes()
        .get(usize::from(index / 8))
        .is_some_and(|byte| (byte >> (7 - index % 8)) & 1 == 1)
}

/// The number of leading bits that two keys share.
fn common_bits(left: &StateKey, right: &StateKey) -> usize {
    let mut bits = 0_usize;
    for (a, b) in left.as_bytes().iter().zip(right.as_bytes()) {
        let differing = a ^ b;
        bits = bits.saturating_add(usize::try_from(differing.leading_zeros()).unwrap_or(0));
        if differing != 0 {
            break;
        }
    }
    bits
}
