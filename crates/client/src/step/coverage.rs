//! How many nodes of a swarm stand behind what a reader has seen.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use tokenim_identity::NodeKey;
use tokenim_mailbox::{MailboxTag, NodeSet, swarm};
use tokenim_wire::{EnvelopeId, UnixMillis};

/// Envelopes without bytes that are remembered for one node.
const LACKING_MAX: usize = 4_096;

/// What one node of the swarm last did for the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Not heard of yet.
    Silent,
    /// Served its log up to a head that it signed, at this time.
    Complete(UnixMillis),
    /// Failed, refused, or was caught in a wrong answer, at this time.
    Failed(UnixMillis),
}

/// The reader's side of a quorum: Q = R − f complete answers make a reading complete.
///
/// Completeness is a statement about single logs; what is accepted lies in at least W of them,
/// so any Q honest logs merged hold every accepted envelope.
///
/// An envelope that is accepted shows up in more than f of any Q logs. One that more than f logs
/// list, but no node gives the bytes of, is therefore missing; one that fewer list may be a
/// liar's invention and is not waited for.
#[derive(Debug, Clone)]
pub struct Coverage {
    needed: usize,
    faulty: usize,
    nodes: BTreeMap<NodeKey, Standing>,
    lacking: BTreeMap<NodeKey, BTreeSet<EnvelopeId>>,
}

impl Coverage {
    /// Nobody of the swarm of `tag` has answered yet.
    #[must_use]
    pub fn new(set: &NodeSet, tag: &MailboxTag) -> Self {
        Self {
            needed: usize::from(set.quorum().read),
            faulty: usize::from(set.quorum().faulty),
            lacking: BTreeMap::new(),
            nodes: swarm(set, tag)
                .into_iter()
                .map(|member| (member.key, Standing::Silent))
                .collect(),
        }
    }

    /// The nodes of the swarm.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeKey> {
        self.nodes.keys().copied().collect()
    }

    /// `node` served its log up to its signed head.
    pub fn complete(&mut self, node: &NodeKey, now: UnixMillis) {
        if let Some(standing) = self.nodes.get_mut(node) {
            *standing = Standing::Complete(now);
        }
    }

    /// `node` gave no answer that counts.
    pub fn failed(&mut self, node: &NodeKey, now: UnixMillis) {
        if let Some(standing) = self.nodes.get_mut(node) {
            *standing = Standing::Failed(now);
        }
    }

    /// `node` listed these envelopes without giving their bytes, and the reader has them from
    /// nobody else. Replaces what was said of the node before.
    pub fn lacks(&mut self, node: &NodeKey, envelopes: impl IntoIterator<Item = EnvelopeId>) {
        if self.nodes.contains_key(node) {
            let envelopes = envelopes.into_iter().take(LACKING_MAX).collect();
            self.lacking.insert(*node, envelopes);
        }
    }

    /// The envelopes that are missing: listed by more than f nodes, given by none.
    #[must_use]
    pub fn missing(&self) -> Vec<EnvelopeId> {
        let mut listed: BTreeMap<EnvelopeId, usize> = BTreeMap::new();
        for envelope in self.lacking.values().flatten() {
            let count = listed.entry(*envelope).or_default();
            *count = count.saturating_add(1);
        }
        listed
            .into_iter()
            .filter(|(_, count)| *count > self.faulty)
            .map(|(envelope, _)| envelope)
            .collect()
    }

    /// What `node` last did, or `None` when it is not of this swarm.
    #[must_use]
    pub fn standing(&self, node: &NodeKey) -> Option<Standing> {
        self.nodes.get(node).copied()
    }

    /// The number of complete answers not older than `since`.
    #[must_use]
    pub fn answers(&self, since: UnixMillis) -> usize {
        self.nodes
            .values()
            .filter(|standing| matches!(standing, Standing::Complete(at) if *at >= since))
            .count()
    }

    /// The number of complete answers that make a reading complete (Q).
    #[must_use]
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// Whether Q nodes answered completely since `since` and no envelope is missing. If not, the
    /// reading is "possibly incomplete" and must be shown so.
    #[must_use]
    pub fn is_complete(&self, since: UnixMillis) -> bool {
        self.answers(since) >= self.needed && self.missing().is_empty()
    }

    /// Whether every node has answered or failed since `since`.
    #[must_use]
    pub fn is_settled(&self, since: UnixMillis) -> bool {
        self.nodes.values().all(|standing| match standing {
            Standing::Silent => false,
            Standing::Complete(at) | Standing::Failed(at) => *at >= since,
        })
    }
}
