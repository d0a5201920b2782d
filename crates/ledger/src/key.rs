//! Where in the state what is kept.

use tokenim_identity::{IdentityId, NodeKey};
use tokenim_mailbox::group::{GroupEntryId, GroupHandle};
use tokenim_wire::{Label, bytes_newtype, hash};

use crate::TransactionId;

bytes_newtype! {
    /// A key of the state: 256 bits that place an entry in the state tree.
    ///
    /// ```text
    /// H("tokenim/state-key/v1", kind, 1 byte ‖ subject, 0, 32 or 64 bytes)
    /// ```
    ///
    /// | kind | subject | value |
    /// |---|---|---|
    /// | 0 | – | `NodeSet`, current |
    /// | 1 | – | `NodeSet`, previous |
    /// | 2 | – | `NodeQueue` |
    /// | 3 | – | `ValidatorSet` |
    /// | 4 | identity id | `IdentityState` |
    /// | 5 | node key | `Incarnation` |
    /// | 6 | transaction id | `Height`, the last at which it was valid |
    /// | 7 | handle ‖ entry id | `GroupNode` |
    pub struct StateKey([u8; 32]);
}

const LABEL: Label = Label::new("tokenim/state-key/v1");

impl StateKey {
    fn new(kind: u8, subject: &[u8]) -> Self {
        Self::from_bytes(hash(LABEL, &[&[kind], subject]).to_bytes())
    }

    /// Of the current node set.
    #[must_use]
    pub fn node_set() -> Self {
        Self::new(0, &[])
    }

    /// Of the node set before the current one; absent until the set has changed once.
    #[must_use]
    pub fn previous_node_set() -> Self {
        Self::new(1, &[])
    }

    /// Of the nodes that wait for their placement, and of the height at which the set last changed.
    #[must_use]
    pub fn node_queue() -> Self {
        Self::new(2, &[])
    }

    /// Of the validator set.
    #[must_use]
    pub fn validators() -> Self {
        Self::new(3, &[])
    }

    /// Of the state of an identity.
    #[must_use]
    pub fn identity(identity: &IdentityId) -> Self {
        Self::new(4, identity.as_bytes())
    }

    /// Of the newest registered incarnation of a node.
    #[must_use]
    pub fn incarnation(node: &NodeKey) -> Self {
        Self::new(5, node.as_bytes())
    }

    /// Of a transaction that was applied and could still be included again.
    #[must_use]
    pub fn recent(transaction: &TransactionId) -> Self {
        Self::new(6, transaction.as_bytes())
    }

    /// Of an entry of a session's group log.
    #[must_use]
    pub fn group(handle: &GroupHandle, entry: &GroupEntryId) -> Self {
        Self::from_bytes(hash(LABEL, &[&[7], handle.as_bytes(), entry.as_bytes()]).to_bytes())
    }
}
