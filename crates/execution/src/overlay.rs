//! Executed blocks that are not committed, and the state as one of them sees it.
//!
//! Overlays are keyed by block digest and form chains down to the committed tip. Of two blocks at one height each sees
//! its own ancestors only.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use jmt::storage::Node;
use tokenim_consensus::{BlockDigest, Header};
use tokenim_ledger::{NodeSetCommitment, Outcome, SetSummary, StateKey, TransactionId};
use tokenim_mailbox::{
    NodeSet,
    mmr::{Accumulator, Appended},
};
use tokenim_storage::StateStore;
use tokenim_wire::{Digest, Height};

use crate::{ExecutionError, tables, tree};

/// The current node set, the one before, and what a header commits to for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sets {
    pub(crate) current: Arc<NodeSet>,
    pub(crate) previous: Arc<NodeSet>,
    pub(crate) commitment: NodeSetCommitment,
}

impl Sets {
    /// From the two sets; before the first change both are one.
    pub(crate) fn new(current: Arc<NodeSet>, previous: Arc<NodeSet>) -> Self {
        let commitment = NodeSetCommitment {
            current: SetSummary::of(&current),
            previous: SetSummary::of(&previous),
        };
        Self {
            current,
            previous,
            commitment,
        }
    }

    /// After a change to `next`.
    pub(crate) fn changed_to(&self, next: NodeSet) -> Self {
        Self::new(Arc::new(next), Arc::clone(&self.current))
    }
}

/// What a block leaves for its children, besides the state.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) header: Header,
    pub(crate) digest: BlockDigest,
    pub(crate) sets: Arc<Sets>,
    /// Over the headers below this one.
    pub(crate) mountains: Accumulator,
}

/// An executed block.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) payload: Vec<u8>,
    pub(crate) changes: BTreeMap<StateKey, Option<Vec<u8>>>,
    /// Rows of the history of identities: genesis records and applied records.
    pub(crate) history: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Entries of group logs that are new or have a new child.
    pub(crate) groups: BTreeSet<StateKey>,
    pub(crate) nodes: BTreeMap<Vec<u8>, Node>,
    pub(crate) stale: BTreeSet<Vec<u8>>,
    /// Leaves of the receipts tree, ascending.
    pub(crate) leaves: Vec<Digest>,
    pub(crate) outcomes: Vec<(TransactionId, Outcome)>,
    /// Applied transactions by the last height at which they were valid.
    pub(crate) expiring: BTreeSet<(Height, TransactionId)>,
    /// Transactions that ceased to be recent with this block.
    pub(crate) expired: Vec<TransactionId>,
    /// The nodes that the parent's header added to the Merkle mountain range.
    pub(crate) appended: Appended,
    pub(crate) sets_changed: bool,
}

impl Overlay {
    pub(crate) fn parent(&self) -> &BlockDigest {
        &self.snapshot.header.parent
    }
}

/// The state after some block: the committed one under a chain of overlays, the newest first.
pub(crate) struct View<'a, S> {
    pub(crate) overlays: &'a [Arc<Overlay>],
    pub(crate) store: &'a S,
}

impl<S: StateStore> View<'_, S> {
    /// The value under a key.
    pub(crate) fn value(&self, key: &StateKey) -> Result<Option<Vec<u8>>, ExecutionError> {
        for overlay in self.overlays {
            if let Some(change) = overlay.changes.get(key) {
                return Ok(change.clone());
            }
        }
        Ok(self.store.get(tables::VALUES, key.as_bytes())?)
    }

    /// The applied transactions that were valid up to `height` and no longer.
    pub(crate) fn expiring_at(&self, height: Height) -> Result<BTreeSet<TransactionId>, ExecutionError> {
        let prefix = tables::height_key(height);
        let mut out = BTreeSet::new();
        for (key, _) in self.store.scan(tables::EXPIRING, &[], &prefix, usize::MAX, false)? {
            let id = tables::split_height(&key)
                .and_then(|(_, id)| TransactionId::try_from(id).ok())
                .ok_or(ExecutionError::Damaged("the list of recent transactions"))?;
            out.insert(id);
        }
        let first = (height, TransactionId::from_bytes([0; 32]));
        let last = (height, TransactionId::from_bytes([0xff; 32]));
        for overlay in self.overlays {
            out.extend(overlay.expiring.range(first..=last).map(|(_, id)| *id));
        }
        Ok(out)
    }
}

impl<S: StateStore> tree::NodeReader for View<'_, S> {
    fn node(&self, key: &[u8]) -> Result<Option<Node>, ExecutionError> {
        for overlay in self.overlays {
            if let Some(node) = overlay.nodes.get(key) {
                return Ok(Some(node.clone()));
            }
        }
        match self.store.get(tables::NODES, key)? {
            Some(bytes) => Ok(Some(tree::decode_node(&bytes)?)),
            None => Ok(None),
        }
    }
}
