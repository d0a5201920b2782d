//! The state tree: jmt with our hasher, and compact proofs read from its nodes.
//!
//! jmt names a node by the version (here: the height) that made it and its place, so blocks at one height use the same
//! names for different nodes. Nodes therefore go through a [`NodeReader`], which knows whose block is meant.

use alloc::{collections::BTreeSet, string::ToString, vec::Vec};
use jmt::{
    JellyfishMerkleTree, KeyHash, OwnedValue, SimpleHasher, Version,
    storage::{LeafNode, Node, NodeKey, TreeReader},
};
use sha2::{Digest as _, Sha256};
use tokenim_ledger::{
    StateKey,
    proof::{EMPTY_STATE_ROOT, StateProof, Terminal, state_node_hash},
};
use tokenim_wire::{Digest, Height, decode, encode};

use crate::ExecutionError;

/// Bytes of one encoded node: 16 children of at most 32 + 10 + 12 bytes, with room.
const NODE_BYTES_MAX: usize = 2048;

/// SHA-256 for jmt, which knows the trait of an older generation only.
pub(crate) struct StateHasher(Sha256);

impl SimpleHasher for StateHasher {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Not a hash: gives back the last 32 bytes it was fed, which for a leaf are the hash of its value. jmt has no other
/// way to tell.
struct LastPart([u8; 32]);

impl SimpleHasher for LastPart {
    fn new() -> Self {
        Self([0; 32])
    }

    fn update(&mut self, data: &[u8]) {
        if let Ok(part) = data.try_into() {
            self.0 = part;
        }
    }

    fn finalize(self) -> [u8; 32] {
        self.0
    }
}

/// Where nodes are found.
pub(crate) trait NodeReader {
    /// The node under a key made by [`node_key`].
    fn node(&self, key: &[u8]) -> Result<Option<Node>, ExecutionError>;
}

/// A node's key in the store: height, 8 bytes big-endian ‖ number of nibbles, 1 byte ‖ nibbles, two per byte, the first
/// one high.
fn raw_key(version: Version, nibbles: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(nibbles.len().div_ceil(2).saturating_add(9));
    key.extend_from_slice(&version.to_be_bytes());
    // At most 64.
    key.push(nibbles.len().to_le_bytes()[0]);
    for pair in nibbles.chunks(2) {
        let high = pair.first().copied().unwrap_or(0);
        let low = pair.get(1).copied().unwrap_or(0);
        key.push((high << 4) | (low & 0x0f));
    }
    key
}

/// jmt's key as ours.
fn node_key(key: &NodeKey) -> Vec<u8> {
    let nibbles: Vec<u8> = key.nibble_path().nibbles().map(u8::from).collect();
    raw_key(key.version(), &nibbles)
}

/// Encodes a node for the store.
pub(crate) fn encode_node(node: &Node) -> Result<Vec<u8>, ExecutionError> {
    Ok(encode(node)?)
}

/// Decodes a node from the store.
pub(crate) fn decode_node(bytes: &[u8]) -> Result<Node, ExecutionError> {
    decode(bytes, NODE_BYTES_MAX).map_err(|_| ExecutionError::Damaged("a node of the state tree"))
}

/// A [`NodeReader`] as jmt wants it.
struct Adapter<'a, R>(&'a R);

/// An error on its way through jmt.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Carried(ExecutionError);

impl<R: NodeReader> TreeReader for Adapter<'_, R> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        self.0.node(&node_key(key)).map_err(|error| Carried(error).into())
    }

    fn get_value_option(&self, _: Version, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        // Values are kept by state key; updates never ask for them.
        Err(Carried(ExecutionError::Damaged("a value was asked for by its node")).into())
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}

/// The error that was carried through jmt, or its own.
fn uncarry(error: anyhow::Error) -> ExecutionError {
    match error.chain().find_map(|cause| cause.downcast_ref::<Carried>()) {
        Some(Carried(inner)) => inner.clone(),
        None => ExecutionError::Tree(error.to_string()),
    }
}

/// What a block does to the state tree.
#[derive(Debug)]
pub(crate) struct TreeUpdate {
    /// The root after it.
    pub(crate) root: Digest,
    /// Its new nodes.
    pub(crate) nodes: Vec<(Vec<u8>, Node)>,
    /// The nodes that no later version reaches.
    pub(crate) stale: BTreeSet<Vec<u8>>,
}

/// Applies changes, ordered by key, to the tree as it was at `height − 1`.
pub(crate) fn update<'a, R: NodeReader>(
    reader: &R,
    height: Height,
    changes: impl Iterator<Item = (&'a StateKey, Option<&'a Vec<u8>>)>,
) -> Result<TreeUpdate, ExecutionError> {
    let adapter = Adapter(reader);
    let tree = JellyfishMerkleTree::<_, StateHasher>::new(&adapter);
    let set = changes.map(|(key, value)| (KeyHash(key.to_bytes()), value.cloned()));
    let (root, batch) = tree.put_value_set(set, height.get()).map_err(uncarry)?;
    let mut stale: BTreeSet<Vec<u8>> = batch
        .stale_node_index_batch
        .iter()
        .map(|index| node_key(&index.node_key))
        .collect();
    // Each version has a root of its own name, so the one before is stale even when jmt copied it unchanged.
    if let Some(before) = height.get().checked_sub(1) {
        stale.insert(raw_key(before, &[]));
    }
    let nodes = batch
        .node_batch
        .nodes()
        .iter()
        .map(|(key, node)| (node_key(key), node.clone()))
        .collect();
    Ok(TreeUpdate {
        root: Digest::from_bytes(root.0),
        nodes,
        stale,
    })
}

/// A child of an inner node, as far as proofs need it.
#[derive(Clone, Copy)]
struct Child {
    hash: Digest,
    version: Version,
    leaf: bool,
}

/// The children of an inner node by nibble.
type Children = [Option<Child>; 16];

/// The part of some children from `start` on, `width` long.
fn range(children: &Children, start: usize, width: usize) -> &[Option<Child>] {
    children.get(start..start.saturating_add(width)).unwrap_or_default()
}

/// The only child in a range, if it stands for the whole range: the last level, or a lone leaf.
fn only_child(range: &[Option<Child>]) -> Option<(usize, Child)> {
    let mut present = range
        .iter()
        .enumerate()
        .filter_map(|(place, child)| child.map(|child| (place, child)));
    let first = present.next()?;
    let alone = present.next().is_none() && (first.1.leaf || range.len() == 1);
    alone.then_some(first)
}

/// The hash of the subtree over a range; `None` for an empty one.
fn range_hash(range: &[Option<Child>]) -> Option<Digest> {
    if let Some((_, child)) = only_child(range) {
        return Some(child.hash);
    }
    if range.iter().all(Option::is_none) || range.len() < 2 {
        return None;
    }
    let (left, right) = range.split_at_checked(range.len() / 2)?;
    Some(state_node_hash(
        &range_hash(left).unwrap_or(EMPTY_STATE_ROOT),
        &range_hash(right).unwrap_or(EMPTY_STATE_ROOT),
    ))
}

/// Nibble `index` of a key.
fn nibble(key: &StateKey, index: usize) -> Option<u8> {
    let byte = key.as_bytes().get(index / 2)?;
    Some(if index.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 0x0f
    })
}

/// Proves what stands under `key` in the state after the block at `height`; `None` if that state has been pruned.
pub(crate) fn prove<R: NodeReader>(
    reader: &R,
    height: Height,
    key: &StateKey,
) -> Result<Option<StateProof>, ExecutionError> {
    let damaged = || ExecutionError::Damaged("the state tree has no node where it should");
    let mut siblings: Vec<Option<Digest>> = Vec::new();
    let mut path: Vec<u8> = Vec::new();
    let mut version = height.get();
    let terminal = loop {
        let node = match reader.node(&raw_key(version, &path))? {
            Some(node) => node,
            None => return Ok(None),
        };
        let inner = match node {
            Node::Null => break Terminal::Empty,
            Node::Leaf(leaf) if leaf.key_hash().0 == key.to_bytes() => break Terminal::Own,
            Node::Leaf(leaf) => {
                break Terminal::Other {
                    key: StateKey::from_bytes(leaf.key_hash().0),
                    value_hash: Digest::from_bytes(leaf.hash::<LastPart>()),
                };
            }
            Node::Internal(inner) => inner,
        };
        let mut children: Children = [None; 16];
        for (place, child) in inner.children_sorted() {
            if let Some(slot) = children.get_mut(usize::from(u8::from(place))) {
                *slot = Some(Child {
                    hash: Digest::from_bytes(child.hash),
                    version: child.version,
                    leaf: child.is_leaf(),
                });
            }
        }
        let wanted = usize::from(nibble(key, path.len()).ok_or_else(damaged)?);
        let (mut start, mut width) = (0_usize, 16_usize);
        let next = loop {
            width /= 2;
            if width == 0 {
                return Err(damaged());
            }
            let upper = start.saturating_add(width);
            let (own, other) = if wanted < upper { (start, upper) } else { (upper, start) };
            siblings.push(range_hash(range(&children, other, width)));
            let mine = range(&children, own, width);
            if let Some((place, child)) = only_child(mine) {
                break Some((own.saturating_add(place), child));
            }
            if mine.iter().all(Option::is_none) {
                break None;
            }
            start = own;
        };
        let Some((place, child)) = next else {
            break Terminal::Empty;
        };
        // Below 16.
        path.push(place.to_le_bytes()[0]);
        version = child.version;
    };
    siblings.reverse();
    StateProof::new(terminal, siblings).map(Some).map_err(|_| damaged())
}

#[cfg(test)]
mod tests;
