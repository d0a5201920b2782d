//! Commitments to node sets, and the nodes that wait to be in one.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tokenim_identity::NodeKey;
use tokenim_mailbox::NodeSet;
use tokenim_wire::{BoundedString, BoundedVec, Digest, Height, Label, Object, SetEpoch, hash, limits};

use crate::proof::MerkleTree;

const NODE_SETS: Label = Label::new("tokenim/node-sets/v1");

/// A node set in three numbers: enough to check with a proof that a node with a given key is its member number so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSummary {
    /// The set epoch.
    pub epoch: SetEpoch,
    /// Number of members.
    pub size: u32,
    /// Root of the Merkle tree over [`node_leaf`](tokenim_mailbox::node_leaf) of the members' keys, in ascending order of the keys.
    pub root: Digest,
}

impl SetSummary {
    /// The summary of a set.
    #[must_use]
    pub fn of(set: &NodeSet) -> Self {
        let tree = members_tree(set);
        Self {
            epoch: set.epoch(),
            size: tree.size(),
            root: tree.root(),
        }
    }
}

/// The Merkle tree over the members of a set, to make proofs from.
#[must_use]
pub fn members_tree(set: &NodeSet) -> MerkleTree {
    let leaves: Vec<Digest> = set.leaves().collect();
    // A set has at most NODES_MAX members.
    MerkleTree::new(leaves).unwrap_or_else(MerkleTree::empty)
}

/// What a header commits to as its node-set root: the current set and the one before, so that a receipt from just
/// before a change can still be proved after it. Until the set has changed once both are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSetCommitment {
    /// The set after the header's block.
    pub current: SetSummary,
    /// The set before it.
    pub previous: SetSummary,
}

impl NodeSetCommitment {
    /// `H("tokenim/node-sets/v1", current ‖ previous)`, each as epoch, 8 bytes big-endian ‖ size, 4 bytes big-endian ‖
    /// root.
    #[must_use]
    pub fn root(&self) -> Digest {
        hash(
            NODE_SETS,
            &[
                &self.current.epoch.get().to_be_bytes(),
                &self.current.size.to_be_bytes(),
                self.current.root.as_bytes(),
                &self.previous.epoch.get().to_be_bytes(),
                &self.previous.size.to_be_bytes(),
                self.previous.root.as_bytes(),
            ],
        )
    }

    /// The summary of this set epoch, if it is one of the two.
    #[must_use]
    pub fn of_epoch(&self, epoch: SetEpoch) -> Option<&SetSummary> {
        [&self.current, &self.previous]
            .into_iter()
            .find(|summary| summary.epoch == epoch)
    }
}

/// Nodes that may wait for their placement at once.
pub const NODES_WAITING_MAX: usize = 64;

/// A registered node without a place yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingNode {
    /// The node.
    pub key: NodeKey,
    /// Where it is reached.
    pub address: BoundedString<{ limits::ADDRESS_BYTES_MAX }>,
    /// The height of the block that registered it.
    pub registered: Height,
}

/// The nodes that wait for their placement, in the order of their registration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeQueue {
    /// The height at which the node set last changed; zero at the start.
    pub changed: Height,
    /// Who waits.
    pub waiting: BoundedVec<WaitingNode, NODES_WAITING_MAX>,
}

impl Object for NodeQueue {
    const NAME: &'static str = "node queue";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 16 * 1024;
}
