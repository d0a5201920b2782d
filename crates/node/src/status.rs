//! How the node is.

use crate::ledger::Ledger;
use crate::links::Links;
use crate::storage_role::StorageRole;
use std::sync::Arc;
use std::time::Duration;
use tokenim_identity::NodeKey;
use tokenim_mailbox::Incarnation;
use tokenim_rpc::{NodeState, NodeStatus};
use tokenim_wire::{BoundedString, NetworkId};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a node may be starting before it says that the network makes no progress.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Tells how the node is. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) parts: Arc<Parts>,
}

/// What it looks at.
pub(crate) struct Parts {
    pub(crate) network: NetworkId,
    pub(crate) node: NodeKey,
    pub(crate) validator: bool,
    pub(crate) incarnation: Incarnation,
    pub(crate) started: Instant,
    pub(crate) stalled_after: Duration,
    pub(crate) ledger: Ledger,
    pub(crate) links: Links,
    pub(crate) storage: Option<StorageRole>,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Health {
    /// What the node does at the moment.
    pub(crate) fn state(&self) -> NodeState {
        let parts = &self.parts;
        if *parts.stopping.borrow() {
            return NodeState::Stopping;
        }
        match parts.ledger.tip().since_start {
            Some(at) if at.elapsed() <= parts.stalled_after => NodeState::Ok,
            None if parts.started.elapsed() <= START_PATIENCE.max(parts.stalled_after) => NodeState::Starting,
            _ => NodeState::NotProgressing,
        }
    }

    /// All that the node says of itself.
    pub(crate) fn status(&self) -> NodeStatus {
        let parts = &self.parts;
        let tip = parts.ledger.tip();
        let set = parts.ledger.node_set();
        let (envelopes, bytes) = parts.storage.as_ref().map_or((0, 0), StorageRole::totals);
        let short = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        NodeStatus {
            software: BoundedString::try_from(concat!("tokenim-node ", env!("CARGO_PKG_VERSION"))).unwrap_or_default(),
            network: parts.network,
            node: parts.node,
            state: self.state(),
            validator: parts.validator,
            height: tip.height,
            time: tip.time,
            set_epoch: set.epoch(),
            nodes: short(set.len()),
            peers: short(parts.links.connected_count()),
            incarnation: parts.incarnation,
            envelopes,
            bytes,
        }
    }
}
