//! Merkle mountain ranges: append-only lists with one hash, small state and short proofs.
//!
//! A list of `size` leaves is a row of perfect binary trees, *mountains*, one per one-bit of `size`, the tallest first.
//! Nodes are numbered in the order in which appending leaves makes them: a leaf, then the parents that it completes.
//!
//! ```text
//!  height
//!    2          6
//!             /   \
//!    1       2     5      9             11 nodes... size 7: three mountains,
//!           / \   / \    / \            peaks at positions 6, 9, 10
//!    0     0   1 3   4  7   8  10
//!  leaf    0   1 2   3  4   5   6
//! ```
//!
//! - A leaf is its digest as given; an inner node is `H("tokenim/mmr-node/v1", left ‖ right)`.
//! - Leaf `i` has position `2i − ones(i)`, where `ones` counts one-bits; a list of `size` leaves has
//!   `2·size − ones(size)` nodes.
//! - Peaks are *bagged* from the right: `bag(p₁ … pₖ) = node(p₁, node(p₂, … pₖ))`; a single peak is its own bag.
//! - The root is `H("tokenim/mmr-root/v1", size as 8 bytes big-endian ‖ bag)`, without a bag for the empty list. It
//!   commits to the size, so size and index fix the shape of a proof and no leaf passes for an inner node.
//!
//! Every node of a list is also a node of each longer one with the same beginning. So the nodes that [`push`] returns
//! are enough to prove inclusion in the list of any size up to the present.
//!
//! [`push`]: Accumulator::push

use alloc::vec::Vec;
use core::convert::Infallible;
use serde::{Deserialize, Serialize};
use tokenim_wire::{BoundedVec, Digest, Hasher, Label, Object, hash};

/// The label of an inner node.
pub const NODE_LABEL: Label = Label::new("tokenim/mmr-node/v1");
/// The label of a root.
pub const ROOT_LABEL: Label = Label::new("tokenim/mmr-root/v1");

/// Mountains of the largest list, and the most digests in a proof.
pub const PEAKS_MAX: usize = 62;
/// Leaves of the largest list.
pub const LEAVES_MAX: u64 = (1 << PEAKS_MAX) - 1;

/// Why a list, a proof or a request for one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MmrError {
    /// The proof has more or fewer digests than size and index call for.
    #[error("the proof has another length than size and index call for")]
    WrongLength,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    WrongRoot,
    /// The index is not below the size, or the size is beyond [`LEAVES_MAX`].
    #[error("no leaf with this index in a list of this size")]
    OutOfRange,
    /// The number of peaks is not the number of one-bits of the size.
    #[error("the peaks do not fit the size")]
    WrongPeaks,
    /// The list has [`LEAVES_MAX`] leaves.
    #[error("the list is full")]
    Full,
}

/// Why no proof could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError<E> {
    /// The index is not below the size, or the size is beyond [`LEAVES_MAX`].
    #[error("no leaf with this index in a list of this size")]
    OutOfRange,
    /// The source lacks a node.
    #[error("the node at position {position} is missing")]
    Missing {
        /// Its position.
        position: u64,
    },
    /// The source failed.
    #[error("the source of nodes failed: {0}")]
    Source(E),
}

/// The inner node above `left` and `right`.
#[must_use]
pub fn node(left: &Digest, right: &Digest) -> Digest {
    hash(NODE_LABEL, &[left.as_bytes(), right.as_bytes()])
}

/// The number of nodes of a list with `size` leaves, at most [`LEAVES_MAX`]; also the position that leaf number `size`
/// gets.
#[must_use]
pub const fn nodes_of(size: u64) -> u64 {
    // At most 2 · 2⁶² for the sizes that exist.
    size.saturating_mul(2).saturating_sub(size.count_ones() as u64)
}

/// The root of a list of `size` leaves with these peaks, the tallest mountain's first.
fn root_of(size: u64, peaks: &[Digest]) -> Digest {
    let root = Hasher::new(ROOT_LABEL).update(&size.to_be_bytes());
    match bag(peaks) {
        Some(bag) => root.update(bag.as_bytes()).finish(),
        None => root.finish(),
    }
}

/// Peaks folded into one digest, from the right.
fn bag(peaks: &[Digest]) -> Option<Digest> {
    let (last, rest) = peaks.split_last()?;
    Some(rest.iter().rev().fold(*last, |right, left| node(left, &right)))
}

/// The whole state that appending needs: the size and one digest per mountain.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Accumulator {
    /// Leaves so far.
    size: u64,
    /// The peaks, the tallest mountain's first.
    peaks: BoundedVec<Digest, PEAKS_MAX>,
}

/// An [`Accumulator`] as encoded, not yet checked.
#[derive(Deserialize)]
struct Parts {
    size: u64,
    peaks: BoundedVec<Digest, PEAKS_MAX>,
}

impl TryFrom<Parts> for Accumulator {
    type Error = MmrError;

    fn try_from(parts: Parts) -> Result<Self, MmrError> {
        Self::from_parts(parts.size, parts.peaks.into_inner())
    }
}

impl Object for Accumulator {
    const NAME: &'static str = "log accumulator";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 1 + 10 + 1 + PEAKS_MAX * Digest::LENGTH;
}

/// The nodes that one [`Accumulator::push`] made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The position of the first; the others follow it.
    pub position: u64,
    /// The leaf, then the parents that it completed.
    pub nodes: Vec<Digest>,
}

impl Accumulator {
    /// The empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            size: 0,
            peaks: BoundedVec::empty(),
        }
    }

    /// The list of `size` leaves with these peaks, the tallest mountain's first.
    ///
    /// # Errors
    /// [`MmrError::OutOfRange`] or [`MmrError::WrongPeaks`].
    pub fn from_parts(size: u64, peaks: Vec<Digest>) -> Result<Self, MmrError> {
        if size > LEAVES_MAX {
            return Err(MmrError::OutOfRange);
        }
        if usize::try_from(size.count_ones()) != Ok(peaks.len()) {
            return Err(MmrError::WrongPeaks);
        }
        let peaks = BoundedVec::try_from(peaks).map_err(|_| MmrError::WrongPeaks)?;
        Ok(Self { size, peaks })
    }

    /// Leaves so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The peaks, the tallest mountain's first.
    #[must_use]
    pub const fn peaks(&self) -> &[Digest] {
        self.peaks.as_slice()
    }

    /// The root of the list as it is.
    #[must_use]
    pub fn root(&self) -> Digest {
        root_of(self.size, &self.peaks)
    }

    /// Appends a leaf and returns the nodes that this made, for whoever wants to prove inclusion later.
    ///
    /// # Errors
    /// [`MmrError::Full`]; the list is then as before.
    pub fn push(&mut self, leaf: Digest) -> Result<Appended, MmrError> {
        if self.size >= LEAVES_MAX {
            return Err(MmrError::Full);
        }
        let position = nodes_of(self.size);
        let mut peaks = core::mem::take(&mut self.peaks).into_inner();
        let mut nodes = alloc::vec![leaf];
        let mut top = leaf;
        // One mountain is merged per trailing one-bit of the size before.
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = peaks.pop() else { break };
            top = node(&left, &top);
            nodes.push(top);
        }
        peaks.push(top);
        self.peaks = BoundedVec::try_from(peaks).map_err(|_| MmrError::Full)?;
        self.size = self.size.saturating_add(1);
        Ok(Appended { position, nodes })
    }
}

/// Where [`prove`] finds the nodes of a list.
pub trait NodeSource {
    /// Why a node could not be read.
    type Error;

    /// The node at `position`, `None` if there is none.
    ///
    /// # Errors
    /// Those of the store behind.
    fn node(&self, position: u64) -> Result<Option<Digest>, Self::Error>;
}

/// All nodes in order of position.
impl NodeSource for [Digest] {
    type Error = Infallible;

    fn node(&self, position: u64) -> Result<Option<Digest>, Infallible> {
        Ok(usize::try_from(position)
            .ok()
            .and_then(|position| self.get(position))
            .copied())
    }
}

/// All nodes in order of position.
impl NodeSource for Vec<Digest> {
    type Error = Infallible;

    fn node(&self, position: u64) -> Result<Option<Digest>, Infallible> {
        self.as_slice().node(position)
    }
}

/// A proof that a list of some size holds a leaf at some index.
///
/// Its digests: the siblings on the way up the leaf's mountain, from the leaf; if there are mountains to the right, the
/// bag of their peaks; the peaks to the left, from the nearest. At most 62 digests, and about `log₂(size)`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proof(BoundedVec<Digest, PEAKS_MAX>);

impl Proof {
    /// A proof of these digests, as yet unchecked.
    ///
    /// # Errors
    /// [`MmrError::WrongLength`] beyond 62.
    pub fn from_digests(digests: Vec<Digest>) -> Result<Self, MmrError> {
        BoundedVec::try_from(digests)
            .map(Self)
            .map_err(|_| MmrError::WrongLength)
    }

    /// Its digests, in the order in which they are used.
    #[must_use]
    pub const fn digests(&self) -> &[Digest] {
        self.0.as_slice()
    }
}

/// One mountain of a list.
#[derive(Clone, Copy)]
struct Mountain {
    /// Its height: it has `2^height` leaves.
    height: u32,
    /// The index of its first leaf.
    first: u64,
    /// The position of its peak.
    peak: u64,
}

/// The mountains of a list of `size` leaves, the tallest first.
fn mountains(size: u64) -> impl DoubleEndedIterator<Item = Mountain> {
    (0..u64::BITS).rev().filter_map(move |height| {
        let leaves = 1_u64 << height;
        if size & leaves == 0 {
            return None;
        }
        // What the higher bits make up.
        let first = size & !(leaves.wrapping_shl(1).wrapping_sub(1));
        let peak = nodes_of(first).saturating_add(nodes_of(leaves)).saturating_sub(1);
        Some(Mountain { height, first, peak })
    })
}

/// The mountain of `index` in a list of `size` leaves.
fn mountain_of(size: u64, index: u64) -> Option<Mountain> {
    if size > LEAVES_MAX || index >= size {
        return None;
    }
    // The highest bit in which index and size differ is the mountain's.
    let height = (size ^ index).checked_ilog2()?;
    mountains(size).find(|mountain| mountain.height == height)
}

/// Proves that leaf `index` is in the list as it was with `size` leaves.
///
/// Reads about `log₂(size)` nodes.
///
/// # Errors
/// [`ProveError`]. A source that gives wrong digests is not noticed: [`verify`] what matters.
pub fn prove<S: NodeSource + ?Sized>(source: &S, size: u64, index: u64) -> Result<Proof, ProveError<S::Error>> {
    let mountain = mountain_of(size, index).ok_or(ProveError::OutOfRange)?;
    let read = |position: u64| {
        source
            .node(position)
            .map_err(ProveError::Source)?
            .ok_or(ProveError::Missing { position })
    };
    // Down from the peak; a subtree's left child ends where its right child's nodes begin.
    let mut digests = Vec::with_capacity(PEAKS_MAX);
    let mut peak = mountain.peak;
    for height in (0..mountain.height).rev() {
        let right = peak.saturating_sub(1);
        let left = right.saturating_sub(nodes_of(1_u64 << height));
        let goes_right = (index >> height) & 1 == 1;
        let (next, sibling) = if goes_right { (right, left) } else { (left, right) };
        digests.push(read(sibling)?);
        peak = next;
    }
    digests.reverse();
    let right = mountains(size)
        .filter(|other| other.first > mountain.first)
        .map(|other| read(other.peak))
        .collect::<Result<Vec<_>, _>>()?;
    digests.extend(bag(&right));
    for other in mountains(size).rev().filter(|other| other.first < mountain.first) {
        digests.push(read(other.peak)?);
    }
    // At most 62 by construction: see `PEAKS_MAX`.
    Proof::from_digests(digests).map_err(|_| ProveError::OutOfRange)
}

/// Checks that `leaf` is at `index` in the list of `size` leaves with this root.
///
/// # Errors
/// [`MmrError::OutOfRange`], [`MmrError::WrongLength`], [`MmrError::WrongRoot`].
pub fn verify(root: &Digest, size: u64, index: u64, leaf: &Digest, proof: &Proof) -> Result<(), MmrError> {
    let mountain = mountain_of(size, index).ok_or(MmrError::OutOfRange)?;
    let mut digests = proof.digests().iter();
    let mut next = || digests.next().ok_or(MmrError::WrongLength);
    let mut top = *leaf;
    for height in 0..mountain.height {
        let sibling = next()?;
        top = if (index >> height) & 1 == 1 {
            node(sibling, &top)
        } else {
            node(&top, sibling)
        };
    }
    if mountains(size).any(|other| other.first > mountain.first) {
        top = node(&top, next()?);
    }
    for _ in mountains(size).filter(|other| other.first < mountain.first) {
        top = node(next()?, &top);
    }
    if digests.next().is_some() {
        return Err(MmrError::WrongLength);
    }
    if root_of(size, &[top]) == *root {
        Ok(())
    } else {
        Err(MmrError::WrongRoot)
    }
}
