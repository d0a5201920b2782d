//! Handing a quorum receipt to nodes, so that it gets onto the ledger.

use alloc::vec::Vec;

use tokenim_identity::NodeKey;
use tokenim_mailbox::{NodeSet, QuorumReceipt};

/// Nodes to which a quorum receipt is handed, so that one that loses it does no harm.
const HANDED_TO: usize = 2;

/// One quorum receipt on its way to two nodes that anchor it.
///
/// Receipts begin at different nodes, so that the work spreads; a receipt that has no proof after a while is handed
/// out again in the next round, which begins with two other nodes.
#[derive(Debug, Clone)]
pub struct Anchoring {
    waiting: Vec<NodeKey>,
    acknowledged: usize,
}

impl Anchoring {
    /// Prepares round number `round` of handing `receipt` out; the first one is 0.
    #[must_use]
    pub fn new(set: &NodeSet, receipt: &QuorumReceipt, round: usize) -> Self {
        let mut waiting: Vec<NodeKey> = set.members().iter().map(|member| member.key).collect();
        let leaf = receipt.leaf().to_bytes();
        let first = leaf.first().map_or(0, |byte| usize::from(*byte));
        let first = first.saturating_add(round.saturating_mul(HANDED_TO));
        if let Some(turn) = first.checked_rem(waiting.len()) {
            waiting.rotate_left(turn);
        }
        // Taken from the end.
        waiting.reverse();
        Self {
            waiting,
            acknowledged: 0,
        }
    }

    /// The nodes to hand the receipt to now; none when two have it or all were tried.
    pub fn hand(&mut self) -> Vec<NodeKey> {
        let mut nodes = Vec::new();
        while nodes.len().saturating_add(self.acknowledged) < HANDED_TO
            && let Some(node) = self.waiting.pop()
        {
            nodes.push(node);
        }
        nodes
    }

    /// A node took the receipt.
    pub const fn acknowledged(&mut self) {
        self.acknowledged = self.acknowledged.saturating_add(1);
    }

    /// Whether two nodes have taken the receipt, or the one there is.
    #[must_use]
    pub const fn is_handed_over(&self) -> bool {
        self.acknowledged >= HANDED_TO || (self.acknowledged > 0 && self.waiting.is_empty())
    }
}
