//! Sending one envelope to the swarm of one mailbox until its quorum receipt exists.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use tokenim_identity::NodeKey;
use tokenim_mailbox::{MailboxTag, NodeSet, QuorumReceipt, StorageReceipt, swarm};
use tokenim_rpc::{Blame, ErrorCode, RpcError};
use tokenim_wire::{EnvelopeId, NetworkId, UnixMillis, UnixSeconds};

use super::Fault;

/// First pause before a node is asked again; it doubles with each attempt.
const RETRY_PAUSE_MS: u64 = 200;
/// Longest pause before a node is asked again.
const RETRY_PAUSE_MS_MAX: u64 = 5_000;

/// What became of one attempt to put the envelope on a node.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PutAnswer {
    /// The node says that it keeps the envelope.
    Receipt(Box<StorageReceipt>),
    /// The node asks for patience; the pause is in milliseconds.
    Busy(u32),
    /// The node refuses this envelope for good.
    Refused,
    /// The node knows another node set, in which it does not keep this mailbox.
    OtherSet,
    /// No answer: no connection, a time-out, or a broken stream.
    Unreachable,
}

impl From<&RpcError> for PutAnswer {
    fn from(error: &RpcError) -> Self {
        match error.code.blame() {
            _ if error.code == ErrorCode::NOT_IN_SWARM => Self::OtherSet,
            _ if error.code == ErrorCode::ROLE_DISABLED => Self::Refused,
            Blame::Input | Blame::Caller => Self::Refused,
            _ => Self::Busy(error.retry_after_ms),
        }
    }
}

/// How far a delivery is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Progress {
    /// Still collecting.
    Pending {
        /// Receipts that verified so far.
        receipts: usize,
        /// Receipts that make a quorum (W).
        wanted: usize,
    },
    /// Accepted: from here on the network answers for the envelope.
    Accepted(QuorumReceipt),
    /// So many nodes refused or lied that no quorum can come together.
    Failed {
        /// Receipts that verified.
        receipts: usize,
        /// Receipts that make a quorum (W).
        wanted: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Waiting { not_before: UnixMillis },
    Asked,
    Done,
    Out,
}

#[derive(Debug, Clone)]
struct Member {
    key: NodeKey,
    slot: Slot,
    attempts: u32,
}

/// One envelope on its way into one mailbox.
///
/// All R nodes of the swarm are asked at once. W receipts that verify make the quorum receipt;
/// a node that fails is asked again after a growing pause, one that lies is not.
#[derive(Debug, Clone)]
pub struct Delivery {
    network: NetworkId,
    set: Arc<NodeSet>,
    tag: MailboxTag,
    envelope: EnvelopeId,
    expiry: UnixSeconds,
    wanted: usize,
    members: Vec<Member>,
    receipts: Vec<StorageReceipt>,
    accepted: Option<QuorumReceipt>,
    other_set: bool,
}

impl Delivery {
    /// Prepares the delivery of `envelope` into `tag` through the swarm that `set` gives it.
    #[must_use]
    pub fn new(
        network: NetworkId,
        set: Arc<NodeSet>,
        tag: MailboxTag,
        envelope: EnvelopeId,
        expiry: UnixSeconds,
    ) -> Self {
        let members = swarm(&set, &tag)
            .into_iter()
            .map(|member| Member {
                key: member.key,
                slot: Slot::Waiting {
                    not_before: UnixMillis::new(0),
                },
                attempts: 0,
            })
            .collect();
        let wanted = usize::from(set.quorum().write);
        Self {
            network,
            set,
            tag,
            envelope,
            expiry,
            wanted,
            members,
            receipts: Vec::new(),
            accepted: None,
            other_set: false,
        }
    }

    /// The nodes to ask now. Each must be reported back through [`Delivery::answer`].
    pub fn ask(&mut self, now: UnixMillis) -> Vec<NodeKey> {
        let mut asked = Vec::new();
        for member in &mut self.members {
            if let Slot::Waiting { not_before } = member.slot
                && not_before <= now
            {
                member.slot = Slot::Asked;
                member.attempts = member.attempts.saturating_add(1);
                asked.push(member.key);
            }
        }
        asked
    }

    /// When [`Delivery::ask`] has something new to say, if nothing else happens before.
    #[must_use]
    pub fn wake(&self) -> Option<UnixMillis> {
        self.members
            .iter()
            .filter_map(|member| match member.slot {
                Slot::Waiting { not_before } => Some(not_before),
                _ => None,
            })
            .min()
    }

    /// Takes the answer of a node that was asked.
    ///
    /// # Errors
    /// The [`Fault`] when the answer proves that the node does not follow the protocol; the node
    /// is left out from here on.
    pub fn answer(&mut self, node: &NodeKey, answer: PutAnswer, now: UnixMillis) -> Result<(), Fault> {
        let Some(member) = self.members.iter_mut().find(|member| member.key == *node) else {
            return Ok(());
        };
        if matches!(member.slot, Slot::Done | Slot::Out) {
            return Ok(());
        }
        match answer {
            PutAnswer::Receipt(receipt) => {
                let checked = check_receipt(&self.network, node, &self.tag, &self.envelope, self.expiry, &receipt);
                if let Err(fault) = checked {
                    member.slot = Slot::Out;
                    return Err(fault);
                }
                let epoch = receipt.body.position.set_epoch;
                if epoch != self.set.epoch() {
                    self.other_set = true;
                    member.slot = Slot::Out;
                    return Ok(());
                }
                member.slot = Slot::Done;
                self.receipts.push(*receipt);
                if self.accepted.is_none() && self.receipts.len() >= self.wanted {
                    self.accepted = QuorumReceipt::assemble(&self.set, &self.receipts).ok();
                }
            }
            PutAnswer::Busy(pause_ms) => {
                let pause = pause(member.attempts).max(u64::from(pause_ms));
                member.slot = Slot::Waiting {
                    not_before: later(now, pause),
                };
            }
            PutAnswer::Unreachable => {
                member.slot = Slot::Waiting {
                    not_before: later(now, pause(member.attempts)),
                };
            }
            PutAnswer::Refused => member.slot = Slot::Out,
            PutAnswer::OtherSet => {
                self.other_set = true;
                member.slot = Slot::Out;
            }
        }
        Ok(())
    }

    /// How far the delivery is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        if let Some(receipt) = &self.accepted {
            return Progress::Accepted(receipt.clone());
        }
        let out = self.members.iter().filter(|member| member.slot == Slot::Out).count();
        let receipts = self.receipts.len();
        let wanted = self.wanted;
        if self.members.len().saturating_sub(out) < wanted {
            Progress::Failed { receipts, wanted }
        } else {
            Progress::Pending { receipts, wanted }
        }
    }

    /// Every receipt that verified so far; at least W of them once accepted.
    #[must_use]
    pub fn receipts(&self) -> &[StorageReceipt] {
        &self.receipts
    }

    /// Whether a node named another node set than the one this delivery was prepared with: the
    /// set is to be looked up again, and if it has changed, the delivery prepared again from it.
    #[must_use]
    pub const fn other_set(&self) -> bool {
        self.other_set
    }
}

fn check_receipt(
    network: &NetworkId,
    node: &NodeKey,
    tag: &MailboxTag,
    envelope: &EnvelopeId,
    expiry: UnixSeconds,
    receipt: &StorageReceipt,
) -> Result<(), Fault> {
    let body = &receipt.body;
    if body.node != *node
        || body.tag != *tag
        || body.envelope != *envelope
        || body.expiry != expiry
        || body.position.index >= body.position.size
    {
        return Err(Fault::ReceiptForAnother);
    }
    receipt.verify(network).map_err(|_| Fault::ReceiptSignature)
}

fn pause(attempts: u32) -> u64 {
    let doublings = attempts.saturating_sub(1).min(16);
    RETRY_PAUSE_MS.saturating_mul(1u64 << doublings).min(RETRY_PAUSE_MS_MAX)
}

fn later(now: UnixMillis, pause_ms: u64) -> UnixMillis {
    UnixMillis::new(now.get().saturating_add(pause_ms))
}
