//! Nodes with real keys and logs, without a network.

use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tokenim_identity::{NodeKey, NodeSigningKey};
use tokenim_mailbox::mmr::Accumulator;
use tokenim_mailbox::{
    HeadBody, Incarnation, LogEntry, LogId, LogPosition, MailboxTag, Member, NodeSet, PlacementId, SignedHead,
    StorageReceipt, StorageReceiptBody, swarm,
};
use tokenim_rpc::{Item, Page};
use tokenim_wire::{BoundedBytes, Digest, EnvelopeId, Height, NetworkId, SetEpoch, UnixSeconds};

pub(crate) const NETWORK: NetworkId = NetworkId::from_bytes([9; 32]);
pub(crate) const TAG: MailboxTag = MailboxTag::from_bytes([5; 32]);
pub(crate) const EXPIRY: UnixSeconds = UnixSeconds::new(2_000_000);
/// A time before [`EXPIRY`].
pub(crate) const NOW: UnixSeconds = UnixSeconds::new(1_000_000);

pub(crate) struct World {
    pub(crate) keys: Vec<NodeSigningKey>,
    pub(crate) set: Arc<NodeSet>,
}

impl World {
    pub(crate) fn new(nodes: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let keys: Vec<NodeSigningKey> = (0..nodes).map(|_| NodeSigningKey::generate(&mut rng)).collect();
        let members = keys
            .iter()
            .map(|key| Member {
                key: key.verifying_key(),
                placement: PlacementId::new(&key.verifying_key(), &Digest::from_bytes([1; 32])),
                address: "127.0.0.1:1".try_into().unwrap(),
            })
            .collect();
        Self {
            keys,
            set: Arc::new(NodeSet::new(SetEpoch::ZERO, members).unwrap()),
        }
    }

    /// The nodes that keep [`TAG`], with their keys.
    pub(crate) fn swarm(&self) -> Vec<NodeSigningKey> {
        swarm(&self.set, &TAG)
            .into_iter()
            .map(|member| self.key(&member.key).clone())
            .collect()
    }

    pub(crate) fn key(&self, node: &NodeKey) -> &NodeSigningKey {
        self.keys.iter().find(|key| key.verifying_key() == *node).unwrap()
    }
}

pub(crate) fn envelope(number: u64) -> (EnvelopeId, Vec<u8>) {
    let bytes = format!("envelope {number}").into_bytes();
    (EnvelopeId::of(&bytes), bytes)
}

pub(crate) fn receipt_body(node: NodeKey, envelope: EnvelopeId) -> StorageReceiptBody {
    StorageReceiptBody {
        node,
        tag: TAG,
        envelope,
        expiry: EXPIRY,
        position: LogPosition {
            set_epoch: SetEpoch::ZERO,
            incarnation: Incarnation::new(0),
            index: 3,
            size: 4,
            root: Digest::from_bytes([2; 32]),
            height: Height::new(7),
        },
    }
}

pub(crate) fn receipt(key: &NodeSigningKey, envelope: EnvelopeId) -> StorageReceipt {
    StorageReceipt::sign(&NETWORK, key, receipt_body(key.verifying_key(), envelope)).unwrap()
}

/// A node's log of [`TAG`].
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) key: NodeSigningKey,
    pub(crate) id: LogId,
    pub(crate) lines: Accumulator,
    pub(crate) items: Vec<Item>,
}

impl Log {
    pub(crate) fn new(key: &NodeSigningKey) -> Self {
        Self {
            key: key.clone(),
            id: LogId {
                set_epoch: SetEpoch::ZERO,
                incarnation: Incarnation::new(0),
            },
            lines: Accumulator::new(),
            items: Vec::new(),
        }
    }

    pub(crate) fn node(&self) -> NodeKey {
        self.key.verifying_key()
    }

    pub(crate) fn put(&mut self, (envelope, bytes): (EnvelopeId, Vec<u8>)) {
        let entry = LogEntry {
            index: self.lines.size(),
            envelope,
            expiry: EXPIRY,
        };
        self.lines.push(entry.leaf()).unwrap();
        self.items.push(Item {
            sequence: self.items.len() as u64,
            log: self.id,
            entry,
            envelope: Some(BoundedBytes::try_from(bytes).unwrap()),
        });
    }

    pub(crate) fn head(&self, nonce: [u8; 16]) -> SignedHead {
        let body = HeadBody {
            node: self.node(),
            tag: TAG,
            position: LogPosition {
                set_epoch: self.id.set_epoch,
                incarnation: self.id.incarnation,
                index: self.lines.size(),
                size: self.lines.size(),
                root: self.lines.root(),
                height: Height::new(9),
            },
            nonce,
        };
        SignedHead::sign(&NETWORK, &self.key, body).unwrap()
    }

    pub(crate) fn page(&self, from: u64, items_max: usize, nonce: [u8; 16]) -> Page {
        let from = usize::try_from(from).unwrap();
        let items: Vec<Item> = self.items.iter().skip(from).take(items_max).cloned().collect();
        let next = from + items.len();
        Page {
            head: self.head(nonce),
            items: items.try_into().unwrap(),
            next: next as u64,
            more: next < self.items.len(),
        }
    }
}
