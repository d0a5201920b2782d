//! The four nodes with their mailboxes, what connects them, and the one that lies.

use super::{NETWORK, below, chance};
use rand_chacha::ChaCha8Rng;
use std::{collections::BTreeMap, sync::Arc};
use tokenim_identity::NodeSigningKey;
use tokenim_mailbox::{
    Descriptor, Incarnation, LogPosition, MailboxTag, Member, NodeSet, PlacementId, QuorumReceipt, StorageReceipt,
    StorageReceiptBody,
};
use tokenim_wire::{BoundedString, Digest, EnvelopeId, Height, SetEpoch, UnixSeconds};

/// R.
pub const NODES: usize = 4;
/// W, and Q.
pub const QUORUM: usize = 3;

/// How many bytes of envelopes an answer of a node holds; at least one envelope.
pub const PAGE_BYTES: usize = 512 * 1024;

/// The bytes of an envelope.
pub type Bytes = Arc<[u8]>;

/// One node.
#[derive(Clone)]
pub struct Node {
    key: NodeSigningKey,
    pub boxes: BTreeMap<MailboxTag, Vec<(EnvelopeId, Bytes)>>,
    /// What it took, in this order.
    journal: Vec<(MailboxTag, EnvelopeId, Bytes)>,
    /// How much of the journals of the others it has looked at.
    pulled: [usize; NODES],
    /// How far it knows the ledger.
    pub height: u64,
    /// Says that it keeps what it doesn't; shows nothing, or what was, or other bytes; and knows only an old ledger.
    pub lies: bool,
}

impl Node {
    fn keep(&mut self, tag: MailboxTag, envelope: EnvelopeId, bytes: &Bytes) -> bool {
        let kept = self.boxes.entry(tag).or_default();
        if kept.iter().any(|(id, _)| *id == envelope) {
            return false;
        }
        kept.push((envelope, bytes.clone()));
        self.journal.push((tag, envelope, bytes.clone()));
        true
    }
}

/// The four nodes.
#[derive(Clone)]
pub struct Nodes {
    pub nodes: [Node; NODES],
    /// Whether two of them can't hear each other.
    pub apart: [[bool; NODES]; NODES],
    /// [`PAGE_BYTES`], or less.
    pub page: usize,
    set: NodeSet,
    /// When what has a receipt was signed.
    accepted: BTreeMap<EnvelopeId, Height>,
    /// How often something was put into a mailbox of any node.
    versions: BTreeMap<MailboxTag, u64>,
    /// What a mailbox is, as whoever writes to it shows.
    pub descriptors: BTreeMap<MailboxTag, Descriptor>,
}

/// What a reader got.
pub struct Answer {
    pub envelopes: Vec<Bytes>,
    /// Whether Q nodes have answered to the end.
    pub complete: bool,
    /// The height at or above which Q of them did, or all if there are fewer.
    pub height: u64,
}

impl Nodes {
    pub fn new() -> Self {
        let keys: [NodeSigningKey; NODES] = std::array::from_fn(|at| NodeSigningKey::from_seed([0xa0 + at as u8; 32]));
        let members = keys
            .iter()
            .map(|key| Member {
                key: key.verifying_key(),
                placement: PlacementId::new(&key.verifying_key(), &Digest::from_bytes([0; 32])),
                address: BoundedString::default(),
            })
            .collect();
        Self {
            nodes: keys.map(|key| Node {
                key,
                boxes: BTreeMap::new(),
                journal: Vec::new(),
                pulled: [0; NODES],
                height: 0,
                lies: false,
            }),
            apart: Default::default(),
            page: PAGE_BYTES,
            set: NodeSet::new(SetEpoch::new(1), members).unwrap(),
            accepted: BTreeMap::new(),
            versions: BTreeMap::new(),
            descriptors: BTreeMap::new(),
        }
    }

    pub const fn set(&self) -> &NodeSet {
        &self.set
    }

    /// Those that can agree on a block: at least three that hear each other.
    pub fn quorum(&self) -> Vec<usize> {
        for first in 0..=NODES - QUORUM {
            let mut heard = vec![first];
            let mut next = 0;
            while let Some(from) = heard.get(next).copied() {
                next += 1;
                for to in 0..NODES {
                    if !heard.contains(&to) && !self.apart[from.min(to)][from.max(to)] {
                        heard.push(to);
                    }
                }
            }
            if heard.len() >= QUORUM {
                return heard;
            }
        }
        Vec::new()
    }

    /// A storage receipt of one node, whether it keeps the envelope or not.
    pub fn receipt(
        &self,
        node: usize,
        tag: MailboxTag,
        envelope: EnvelopeId,
        expiry: UnixSeconds,
        set_epoch: SetEpoch,
    ) -> StorageReceipt {
        let node = &self.nodes[node];
        let lines = node.journal.len() as u64;
        let body = StorageReceiptBody {
            node: node.key.verifying_key(),
            tag,
            envelope,
            expiry,
            position: LogPosition {
                set_epoch,
                incarnation: Incarnation::new(1),
                index: lines.saturating_sub(1),
                size: lines.max(1),
                // Of this mailbox, like everything in its log.
                root: Digest::from_bytes(EnvelopeId::of(tag.as_bytes()).to_bytes()),
                height: Height::new(node.height),
            },
        };
        StorageReceipt::sign(&NETWORK, &node.key, body).unwrap()
    }

    /// Puts an envelope on these nodes; W of them give a receipt.
    pub fn put(
        &mut self,
        tag: MailboxTag,
        bytes: &[u8],
        expiry: UnixSeconds,
        reached: &[usize],
    ) -> Option<QuorumReceipt> {
        let envelope = EnvelopeId::of(bytes);
        let bytes = Bytes::from(bytes);
        for at in reached {
            let node = &mut self.nodes[*at];
            if !node.lies && node.keep(tag, envelope, &bytes) {
                *self.versions.entry(tag).or_default() += 1;
            }
        }
        if reached.len() < QUORUM {
            return None;
        }
        let receipts: Vec<_> = reached[..QUORUM]
            .iter()
            .map(|at| self.receipt(*at, tag, envelope, expiry, self.set.epoch()))
            .collect();
        Some(QuorumReceipt::assemble(&self.set, &receipts).unwrap())
    }

    /// The ledger takes a receipt, the first one of an envelope.
    pub fn accept(&mut self, receipt: &QuorumReceipt) {
        let mut heights: Vec<Height> = receipt.issuers.iter().map(|issuer| issuer.height).collect();
        heights.sort_unstable();
        self.accepted.entry(receipt.envelope).or_insert(heights[1]);
    }

    /// When an envelope was signed that is accepted.
    pub fn accepted(&self, envelope: &EnvelopeId) -> Option<Height> {
        self.accepted.get(envelope).copied()
    }

    /// All that any of them keeps, by mailbox.
    pub fn kept(&self) -> BTreeMap<(MailboxTag, EnvelopeId), Bytes> {
        let lines = self.nodes.iter().flat_map(|node| &node.journal);
        lines
            .map(|(tag, envelope, bytes)| ((*tag, *envelope), bytes.clone()))
            .collect()
    }

    /// How often something was put into a mailbox.
    pub fn version(&self, tag: MailboxTag) -> u64 {
        self.versions.get(&tag).copied().unwrap_or_default()
    }

    /// What is anywhere in a mailbox.
    pub fn everything(&self, tag: MailboxTag) -> Vec<Bytes> {
        let mut found: BTreeMap<EnvelopeId, Bytes> = BTreeMap::new();
        for node in &self.nodes {
            found.extend(node.boxes.get(&tag).into_iter().flatten().cloned());
        }
        found.into_values().collect()
    }

    /// What these nodes have in a mailbox, merged, in a random order, but for what `known` says.
    pub fn read(
        &self,
        tag: MailboxTag,
        reached: &[usize],
        known: impl Fn(&EnvelopeId) -> bool,
        rng: &mut ChaCha8Rng,
    ) -> Answer {
        let mut merged: BTreeMap<EnvelopeId, Bytes> = BTreeMap::new();
        let mut add = |bytes: Bytes| {
            let id = EnvelopeId::of(&bytes);
            if !known(&id) {
                merged.insert(id, bytes);
            }
        };
        let (mut heights, mut ends) = (Vec::new(), Vec::new());
        for at in reached {
            let node = &self.nodes[*at];
            heights.push(node.height);
            let mut room = self.page;
            let kept = node.boxes.get(&tag).map(Vec::as_slice).unwrap_or_default();
            if node.lies {
                // It has what it took before it lied, and what it hears of the others.
                for (_, bytes) in kept {
                    match below(rng, 12) {
                        0 => add(wrong(bytes, rng)),
                        1 => add(bytes.clone()),
                        _ => {}
                    }
                }
                if chance(rng, 3) {
                    add(Bytes::from(vec![0xee; 40]));
                }
            } else {
                for (_, bytes) in kept.iter().filter(|(id, _)| !known(id)) {
                    if room == 0 {
                        break;
                    }
                    room = room.saturating_sub(bytes.len());
                    add(bytes.clone());
                }
            }
            if room > 0 {
                ends.push(node.height);
            }
        }
        let mut envelopes: Vec<Bytes> = merged.into_values().collect();
        for last in (1..envelopes.len()).rev() {
            envelopes.swap(last, below(rng, last + 1));
        }
        ends.sort_unstable_by(|one, other| other.cmp(one));
        let quorum = ends.get(QUORUM - 1).copied();
        Answer {
            envelopes,
            complete: quorum.is_some(),
            height: quorum.or(heights.into_iter().min()).unwrap_or_default(),
        }
    }

    /// The bytes in the largest mailbox.
    pub fn largest(&self) -> usize {
        let boxes = self.nodes.iter().flat_map(|node| node.boxes.values());
        let sizes = boxes.map(|kept| kept.iter().map(|(_, bytes)| bytes.len()).sum());
        sizes.max().unwrap_or_default()
    }

    /// Nodes that hear each other take over what they lack.
    pub fn repair(&mut self, rng: &mut ChaCha8Rng) {
        for to in 0..NODES {
            let from = below(rng, NODES);
            let behind = self.nodes[to].pulled[from] < self.nodes[from].journal.len();
            if from == to || !behind || self.apart[from.min(to)][from.max(to)] {
                continue;
            }
            let news = self.nodes[from].journal[self.nodes[to].pulled[from]..].to_vec();
            self.nodes[to].pulled[from] += news.len();
            for (tag, envelope, bytes) in news {
                if self.nodes[to].keep(tag, envelope, &bytes) {
                    *self.versions.entry(tag).or_default() += 1;
                }
            }
        }
    }

    /// All that is stored is gone.
    pub fn forget(&mut self) {
        for node in &mut self.nodes {
            node.boxes.clear();
            node.journal.clear();
            node.pulled = [0; NODES];
        }
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self::new()
    }
}

/// Other bytes than those that were stored.
fn wrong(bytes: &Bytes, rng: &mut ChaCha8Rng) -> Bytes {
    let mut wrong = bytes.to_vec();
    let at = below(rng, wrong.len());
    if let Some(byte) = wrong.get_mut(at) {
        *byte ^= 1 << below(rng, 8);
    }
    Bytes::from(wrong)
}
