//! The registered nodes, and which of them keep a mailbox.

use crate::{descriptor::MailboxTag, quorum::Quorum};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tokenim_identity::NodeKey;
use tokenim_wire::{
    BoundedString, BoundedVec, Digest, Label, Object, SetEpoch, bytes_newtype, hash,
    limits::{ADDRESS_BYTES_MAX, NODES_MAX},
};

/// The label of placement ids.
const PLACEMENT_LABEL: Label = Label::new("tokenim/placement/v1");
/// The label of rendezvous scores.
const SCORE_LABEL: Label = Label::new("tokenim/rendezvous/v1");
/// The label of the leaves of a node set's tree.
const NODE_LEAF_LABEL: Label = Label::new("tokenim/node-set-leaf/v1");

bytes_newtype! {
    /// Where a node stands in the placement of mailboxes.
    pub struct PlacementId([u8; 32]);
}

impl PlacementId {
    /// `H("tokenim/placement/v1", node key ‖ anchor)`. The anchor is the hash of a block finalised after the node's
    /// registration, or the network id for the nodes of the genesis: so nobody can choose a key for a place.
    #[must_use]
    pub fn new(node: &NodeKey, anchor: &Digest) -> Self {
        Self::from_bytes(hash(PLACEMENT_LABEL, &[node.as_bytes(), anchor.as_bytes()]).to_bytes())
    }
}

/// The leaf of a node in the tree over a node set: `H("tokenim/node-set-leaf/v1", node key)`. Only the key, so that a
/// proof of membership needs no more than the keys it is about.
#[must_use]
pub fn node_leaf(node: &NodeKey) -> Digest {
    hash(NODE_LEAF_LABEL, &[node.as_bytes()])
}

/// A registered node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its key, which is what it is.
    pub key: NodeKey,
    /// Its place.
    pub placement: PlacementId,
    /// Where it is reached; a hint, for it is the key that is dialled.
    pub address: BoundedString<ADDRESS_BYTES_MAX>,
}

/// Why members are not a node set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeSetError {
    /// More than [`NODES_MAX`] members.
    #[error("{actual} nodes, at most {NODES_MAX} are accepted")]
    TooMany {
        /// Their number.
        actual: usize,
    },
    /// A key comes twice.
    #[error("a node comes twice")]
    Duplicate,
    /// Encoded in another order than by key.
    #[error("the nodes are not in the order of their keys")]
    Unsorted,
}

/// The registered nodes of one set epoch, in the order of their keys; a receipt names a node by its index here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct NodeSet {
    /// The set epoch.
    epoch: SetEpoch,
    /// The nodes, ascending by key, each once.
    members: BoundedVec<Member, NODES_MAX>,
}

/// A [`NodeSet`] as encoded, not yet checked.
#[derive(Deserialize)]
struct Parts {
    epoch: SetEpoch,
    members: BoundedVec<Member, NODES_MAX>,
}

impl TryFrom<Parts> for NodeSet {
    type Error = NodeSetError;

    fn try_from(parts: Parts) -> Result<Self, NodeSetError> {
        for pair in parts.members.windows(2) {
            if let [first, second] = pair {
                match first.key.cmp(&second.key) {
                    core::cmp::Ordering::Less => {}
                    core::cmp::Ordering::Equal => return Err(NodeSetError::Duplicate),
                    core::cmp::Ordering::Greater => return Err(NodeSetError::Unsorted),
                }
            }
        }
        Ok(Self {
            epoch: parts.epoch,
            members: parts.members,
        })
    }
}

impl Object for NodeSet {
    const NAME: &'static str = "node set";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 1 + 10 + 2 + NODES_MAX * (32 + 32 + 2 + ADDRESS_BYTES_MAX);
}

impl NodeSet {
    /// The set of these nodes, in any order.
    ///
    /// # Errors
    /// [`NodeSetError::TooMany`], [`NodeSetError::Duplicate`].
    pub fn new(epoch: SetEpoch, mut members: Vec<Member>) -> Result<Self, NodeSetError> {
        members.sort_unstable_by_key(|member| member.key);
        let members = BoundedVec::try_from(members).map_err(|error| NodeSetError::TooMany { actual: error.actual })?;
        Parts { epoch, members }.try_into()
    }

    /// The set epoch.
    #[must_use]
    pub const fn epoch(&self) -> SetEpoch {
        self.epoch
    }

    /// The nodes, ascending by key.
    #[must_use]
    pub const fn members(&self) -> &[Member] {
        self.members.as_slice()
    }

    /// The number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The index of a node.
    #[must_use]
    pub fn index_of(&self, node: &NodeKey) -> Option<u16> {
        let index = self.members.binary_search_by(|member| member.key.cmp(node)).ok()?;
        u16::try_from(index).ok()
    }

    /// The node with this index.
    #[must_use]
    pub fn get(&self, index: u16) -> Option<&Member> {
        self.members.get(usize::from(index))
    }

    /// The leaf of the node with this index: see [`node_leaf`].
    #[must_use]
    pub fn leaf(&self, index: u16) -> Option<Digest> {
        self.get(index).map(|member| node_leaf(&member.key))
    }

    /// All leaves, by index.
    pub fn leaves(&self) -> impl ExactSizeIterator<Item = Digest> + '_ {
        self.members.iter().map(|member| node_leaf(&member.key))
    }

    /// The quorum numbers of this set.
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        Quorum::for_nodes(self.len())
    }
}

/// The nodes that keep a tag: the R with the highest rendezvous scores, the highest first.
///
/// `score = H("tokenim/rendezvous/v1", tag ‖ placement id)`, compared as 32 bytes from the first; equal scores, which
/// only equal placement ids have, are ordered by node key. One node more or less moves only the tags that it keeps.
/// Hashes once per node.
#[must_use]
pub fn swarm<'a>(set: &'a NodeSet, tag: &MailboxTag) -> Vec<&'a Member> {
    let replicas = usize::from(set.quorum().replicas);
    let mut best: Vec<(Digest, &Member)> = Vec::with_capacity(replicas.saturating_add(1));
    for member in set.members() {
        let score = hash(SCORE_LABEL, &[tag.as_bytes(), member.placement.as_bytes()]);
        // Members come in the order of their keys, so an equal score goes behind those already there.
        let place = best.partition_point(|(other, _)| *other >= score);
        if place < replicas {
            best.insert(place, (score, member));
            best.truncate(replicas);
        }
    }
    best.into_iter().map(|(_, member)| member).collect()
}
