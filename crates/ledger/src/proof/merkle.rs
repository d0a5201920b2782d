//! Binary Merkle trees whose root commits to the number of leaves.
//!
//! ```text
//! root  = H("tokenim/merkle-root/v1", size, 4 bytes big-endian ‖ top)
//! top   = 32 zero bytes for no leaf, the leaf itself for one, else the last level of:
//! level = pairs of the level below: H("tokenim/merkle-node/v1", left ‖ right); an odd last node moves up unchanged
//! ```
//!
//! Leaves are not hashed again: the root fixes the size, the size fixes the shape, and the shape fixes which hash is a
//! leaf, so no inner node can be passed off as one.

use super::PathError;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tokenim_wire::{BoundedVec, Digest, Label, hash, limits};

const NODE: Label = Label::new("tokenim/merkle-node/v1");
const ROOT: Label = Label::new("tokenim/merkle-root/v1");

/// Siblings in a path: the height of a tree of 2³² leaves.
pub const PATH_SIBLINGS_MAX: usize = 32;
/// Siblings in a proof of several leaves: those of `REPLICAS_MAX` separate paths.
pub const MULTI_PROOF_SIBLINGS_MAX: usize = limits::REPLICAS_MAX * PATH_SIBLINGS_MAX;

/// The hash of two neighbours.
fn node(left: &Digest, right: &Digest) -> Digest {
    hash(NODE, &[left.as_bytes(), right.as_bytes()])
}

/// The root over `size` leaves with this top.
fn root(size: u32, top: &Digest) -> Digest {
    hash(ROOT, &[&size.to_be_bytes(), top.as_bytes()])
}

/// The root of the tree without leaves.
#[must_use]
pub fn empty_root() -> Digest {
    root(0, &Digest::from_bytes([0; 32]))
}

/// A whole tree, kept level by level to make proofs from.
#[derive(Clone, Debug)]
pub struct MerkleTree {
    size: u32,
    /// The leaves first, the top last; empty for no leaves.
    levels: Vec<Vec<Digest>>,
}

impl MerkleTree {
    /// The tree over these leaves; `None` for more than 2³² − 1.
    #[must_use]
    pub fn new(leaves: Vec<Digest>) -> Option<Self> {
        let size = u32::try_from(leaves.len()).ok()?;
        let mut levels = Vec::new();
        let mut level = leaves;
        while level.len() > 1 {
            let above = level
                .chunks(2)
                .filter_map(|pair| match pair {
                    [left, right] => Some(node(left, right)),
                    [odd] => Some(*odd),
                    _ => None,
                })
                .collect();
            levels.push(core::mem::replace(&mut level, above));
        }
        if !level.is_empty() {
            levels.push(level);
        }
        Some(Self { size, levels })
    }

    /// The tree without leaves.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            size: 0,
            levels: Vec::new(),
        }
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Digest {
        match self.levels.last().and_then(|top| top.first()) {
            Some(top) => root(self.size, top),
            None => empty_root(),
        }
    }

    /// The path of the leaf at `index`; `None` outside of the tree.
    #[must_use]
    pub fn path(&self, index: u32) -> Option<MerklePath> {
        let mut position = usize::try_from(index).ok()?;
        self.levels.first()?.get(position)?;
        let mut siblings = BoundedVec::empty();
        for level in &self.levels {
            if let Some(sibling) = level.get(position ^ 1) {
                siblings.push(*sibling).ok()?;
            }
            position /= 2;
        }
        Some(MerklePath {
            index,
            size: self.size,
            siblings,
        })
    }

    /// A proof of the leaves at `indices`, which ascend and are not empty; `None` otherwise, outside of the tree, or
    /// when the proof would have more than [`MULTI_PROOF_SIBLINGS_MAX`] hashes.
    #[must_use]
    pub fn prove(&self, indices: &[u32]) -> Option<MultiProof> {
        let mut positions = ascending(indices.iter().copied(), self.size).ok()?;
        let mut siblings = BoundedVec::empty();
        for level in &self.levels {
            let mut above: Vec<u32> = Vec::with_capacity(positions.len());
            let mut rest = positions.as_slice();
            while let Some((position, after)) = rest.split_first() {
                let sibling = position ^ 1;
                rest = after;
                if after.first() == Some(&sibling) {
                    rest = after.get(1..).unwrap_or_default();
                } else if let Some(sibling) = level.get(usize::try_from(sibling).ok()?) {
                    siblings.push(*sibling).ok()?;
                }
                above.push(position / 2);
            }
            positions = above;
        }
        Some(MultiProof { siblings })
    }
}

/// Collects positions after checking that they ascend, exist, and are not none.
fn ascending(positions: impl Iterator<Item = u32>, size: u32) -> Result<Vec<u32>, PathError> {
    let mut out: Vec<u32> = Vec::new();
    for position in positions {
        if position >= size || out.last().is_some_and(|last| *last >= position) {
            return Err(PathError::Position);
        }
        out.push(position);
    }
    if out.is_empty() {
        return Err(PathError::Position);
    }
    Ok(out)
}

/// The hashes beside the way from one leaf to the root.
///
/// ```text
/// index varint ‖ size varint ‖ number of siblings varint ‖ 32 bytes each, from the leaf upwards
/// ```
///
/// A level where the way's node is the odd last one has no sibling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MerklePath {
    /// The leaf's position, from zero.
    pub index: u32,
    /// Number of leaves of the tree.
    pub size: u32,
    /// The siblings, from the leaf upwards.
    pub siblings: BoundedVec<Digest, PATH_SIBLINGS_MAX>,
}

impl MerklePath {
    /// The root to which this path leads from `leaf`.
    ///
    /// # Errors
    /// [`PathError::Position`] or [`PathError::Shape`].
    pub fn root(&self, leaf: &Digest) -> Result<Digest, PathError> {
        if self.index >= self.size {
            return Err(PathError::Position);
        }
        let mut siblings = self.siblings.iter();
        let mut top = *leaf;
        let mut position = self.index;
        let mut width = self.size;
        while width > 1 {
            if position ^ 1 < width {
                let sibling = siblings.next().ok_or(PathError::Shape)?;
                top = if position & 1 == 0 {
                    node(&top, sibling)
                } else {
                    node(sibling, &top)
                };
            }
            position /= 2;
            width = width.div_ceil(2);
        }
        if siblings.next().is_some() {
            return Err(PathError::Shape);
        }
        Ok(root(self.size, &top))
    }

    /// Checks that the tree with root `expected` has `leaf` at this path's position.
    ///
    /// # Errors
    /// Those of [`MerklePath::root`], and [`PathError::Root`].
    pub fn verify(&self, expected: &Digest, leaf: &Digest) -> Result<(), PathError> {
        if self.root(leaf)? == *expected {
            Ok(())
        } else {
            Err(PathError::Root)
        }
    }
}

/// The hashes beside the ways from several leaves to the root, each once.
///
/// ```text
/// number of siblings varint ‖ 32 bytes each: level by level from the leaves upwards, left to right
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiProof {
    /// The siblings that the leaves and what follows from them don't give, level by level upwards, left to right.
    pub siblings: BoundedVec<Digest, MULTI_PROOF_SIBLINGS_MAX>,
}

impl MultiProof {
    /// The root of the tree of `size` leaves to which this proof leads from these leaves, which ascend by position.
    ///
    /// # Errors
    /// [`PathError::Position`] or [`PathError::Shape`].
    pub fn root(&self, size: u32, leaves: &[(u32, Digest)]) -> Result<Digest, PathError> {
        ascending(leaves.iter().map(|(position, _)| *position), size)?;
        let mut siblings = self.siblings.iter();
        let mut level: Vec<(u32, Digest)> = leaves.to_vec();
        let mut width = size;
        while width > 1 {
            let mut above: Vec<(u32, Digest)> = Vec::with_capacity(level.len());
            let mut rest = level.as_slice();
            while let Some(((position, hash), after)) = rest.split_first() {
                rest = after;
                let up = match after.split_first() {
                    Some(((neighbour, right), beyond)) if *neighbour == position ^ 1 => {
                        rest = beyond;
                        node(hash, right)
                    }
                    _ if position ^ 1 >= width => *hash,
                    _ => {
                        let sibling = siblings.next().ok_or(PathError::Shape)?;
                        if position & 1 == 0 {
                            node(hash, sibling)
                        } else {
                            node(sibling, hash)
                        }
                    }
                };
                above.push((position / 2, up));
            }
            level = above;
            width = width.div_ceil(2);
        }
        if siblings.next().is_some() {
            return Err(PathError::Shape);
        }
        let (_, top) = level.first().ok_or(PathError::Position)?;
        Ok(root(size, top))
    }

    /// Checks that the tree of `size` leaves with root `expected` has these leaves, which ascend by position.
    ///
    /// # Errors
    /// Those of [`MultiProof::root`], and [`PathError::Root`].
    pub fn verify(&self, expected: &Digest, size: u32, leaves: &[(u32, Digest)]) -> Result<(), PathError> {
        if self.root(size, leaves)? == *expected {
            Ok(())
        } else {
            Err(PathError::Root)
        }
    }
}
