//! What devices talk to, in memory: a sequencer in place of consensus, four nodes with mailboxes, contact inboxes.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tokenim_identity::{
    DeviceId, DeviceKeys, DeviceSecrets, EnvelopeKey, Genesis, IdentityId, IdentityState, RootSigningKey,
};
use tokenim_mailbox::{
    Incarnation, Issuer, KeyPackage, MailboxTag, QuorumReceipt,
    group::{GroupEntryId, GroupHandle, GroupNode, GroupUpdate, LedgerPlace},
};
use tokenim_wire::{BoundedVec, Digest, EnvelopeId, Height, NetworkId, SetEpoch, UnixMillis, UnixSeconds};

pub const NETWORK: NetworkId = NetworkId::from_bytes([0x54; 32]);
/// R.
pub const NODES: usize = 4;
/// Time between two blocks, in milliseconds.
pub const BLOCK_MS: u64 = 500;
/// When the simulated world begins.
pub const BEGIN: u64 = 1_800_000_000_000;

/// Below `bound`.
pub fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    (rng.next_u64() % bound.max(1) as u64) as usize
}

/// True `percent` times of 100.
pub fn chance(rng: &mut ChaCha8Rng, percent: u64) -> bool {
    rng.next_u64() % 100 < percent
}

/// The sequencer: what is submitted comes into the next block, in its order; every state is kept with its height, so that a
/// node may show an old one.
#[derive(Default)]
pub struct Ledger {
    pub height: u64,
    pending: VecDeque<GroupUpdate>,
    groups: BTreeMap<GroupEntryId, Vec<(Height, GroupNode)>>,
    identities: BTreeMap<IdentityId, Vec<(Height, IdentityState)>>,
    /// In which order children came, for the log of a run.
    pub included: Vec<GroupEntryId>,
}

impl Ledger {
    pub fn submit(&mut self, update: GroupUpdate) {
        self.pending.push_back(update);
    }

    /// Makes a block of what was submitted, in a random order.
    pub fn block(&mut self, now: u64, rng: &mut ChaCha8Rng) {
        self.height += 1;
        let mut index = 0;
        while !self.pending.is_empty() {
            let at = below(rng, self.pending.len());
            let update = self.pending.remove(at).unwrap();
            let place = LedgerPlace {
                height: Height::new(self.height),
                time: UnixMillis::new(now),
                index,
            };
            if self.execute(&update, place) {
                index += 1;
                self.included.push(update.entry().unwrap());
            }
        }
    }

    fn execute(&mut self, update: &GroupUpdate, place: LedgerPlace) -> bool {
        let height = place.height;
        match update {
            GroupUpdate::Start(start) => {
                let root = start.handle().root();
                if self.groups.contains_key(&root) {
                    return false;
                }
                self.groups.insert(root, vec![(height, GroupNode::start(start, place))]);
                true
            }
            GroupUpdate::Child(signed) => {
                let Some(states) = self.groups.get_mut(&signed.child.parent) else {
                    return false;
                };
                let (_, parent) = states.last().unwrap();
                let Ok(adopted) = parent.adopt(&NETWORK, signed, place) else {
                    return false;
                };
                states.push((height, adopted.parent));
                self.groups.insert(adopted.id, vec![(height, adopted.entry)]);
                true
            }
            _ => false,
        }
    }

    /// Whether an update is on the ledger: `None` while that is open, `Some(false)` if it never will be.
    pub fn fate(&self, update: &GroupUpdate) -> Option<bool> {
        if self.pending.contains(update) {
            return None;
        }
        Some(self.groups.contains_key(&update.entry().unwrap()))
    }

    /// An entry as it was `behind` heights ago.
    pub fn node(&self, _handle: GroupHandle, entry: GroupEntryId, behind: u64) -> Option<(GroupNode, Height)> {
        let seen = Height::new(self.height.saturating_sub(behind));
        let states = self.groups.get(&entry)?;
        let state = states.iter().rev().find(|(height, _)| *height <= seen)?;
        Some((state.1.clone(), seen))
    }

    pub fn identity(&self, id: &IdentityId, behind: u64) -> (Option<IdentityState>, Height) {
        let seen = Height::new(self.height.saturating_sub(behind));
        let states = self.identities.get(id);
        let state = states.and_then(|states| states.iter().rev().find(|(height, _)| *height <= seen));
        (state.map(|(_, state)| state.clone()), seen)
    }

    pub fn change_identity(&mut self, id: IdentityId, change: impl FnOnce(&mut IdentityState, Height)) {
        // Like everything, it comes with the next block.
        let height = Height::new(self.height + 1);
        let states = self.identities.get_mut(&id).unwrap();
        let mut state = states.last().unwrap().1.clone();
        change(&mut state, height);
        states.push((height, state));
    }

    /// A new identity without devices.
    pub fn add_identity(&mut self, number: u8) -> IdentityId {
        let root = RootSigningKey::from_seed([number; 32]).verifying_key();
        let next = RootSigningKey::from_seed([number ^ 0x80; 32]).verifying_key();
        let state = IdentityState::new(&Genesis::new(root, &next));
        let id = state.id;
        self.identities.insert(id, vec![(Height::new(self.height), state)]);
        id
    }

    pub fn add_device(&mut self, id: IdentityId, secrets: &DeviceSecrets) {
        let keys: DeviceKeys = secrets.keys(EnvelopeKey::x25519([9; 32]));
        self.change_identity(id, |state, height| {
            let entry = tokenim_identity::DeviceEntry {
                keys,
                added: height,
                revoked: None,
            };
            state.devices.push(entry).unwrap();
        });
    }

    pub fn revoke_device(&mut self, id: IdentityId, device: DeviceId) {
        self.change_identity(id, |state, height| {
            for entry in state.devices.as_mut_slice() {
                if entry.keys.device_id() == device {
                    entry.revoked = Some(height);
                }
            }
        });
    }
}

/// One node's mailboxes.
#[derive(Default)]
pub struct Node {
    boxes: BTreeMap<MailboxTag, Vec<(EnvelopeId, Vec<u8>)>>,
    /// Says that it keeps what it doesn't, and shows nothing, or something else.
    pub lies: bool,
}

/// The four nodes.
#[derive(Default)]
pub struct Mailboxes {
    pub nodes: [Node; NODES],
}

impl Mailboxes {
    /// Puts an envelope on three (W) of the nodes, at random which, and gives their receipt.
    pub fn put(&mut self, tag: MailboxTag, bytes: &[u8], expiry: UnixSeconds, rng: &mut ChaCha8Rng) -> QuorumReceipt {
        let envelope = EnvelopeId::of(bytes);
        let left_out = below(rng, NODES);
        let mut issuers = Vec::new();
        for (member, node) in self.nodes.iter_mut().enumerate() {
            if member == left_out {
                continue;
            }
            issuers.push(Issuer {
                member: member as u16,
                incarnation: Incarnation::new(1),
                index: 0,
                size: 1,
                root: Digest::from_bytes([0; 32]),
                height: Height::new(1),
                signature: tokenim_identity::Signature::from_bytes([0; 64]),
            });
            let kept = node.boxes.entry(tag).or_default();
            if !node.lies && !kept.iter().any(|(id, _)| *id == envelope) {
                kept.push((envelope, bytes.to_vec()));
            }
        }
        QuorumReceipt {
            tag,
            envelope,
            expiry,
            set_epoch: SetEpoch::new(1),
            issuers: BoundedVec::try_from(issuers).unwrap(),
        }
    }

    /// Puts an envelope on one node only: what is left of a sender that was cut off.
    pub fn put_on_one(&mut self, tag: MailboxTag, bytes: &[u8], rng: &mut ChaCha8Rng) {
        let node = &mut self.nodes[below(rng, NODES)];
        let envelope = EnvelopeId::of(bytes);
        let kept = node.boxes.entry(tag).or_default();
        if !node.lies && !kept.iter().any(|(id, _)| *id == envelope) {
            kept.push((envelope, bytes.to_vec()));
        }
    }

    /// What three (Q) of the nodes have in a mailbox, merged, in a random order; a liar among them adds rubbish.
    pub fn read(&self, tag: MailboxTag, rng: &mut ChaCha8Rng) -> Vec<(EnvelopeId, Vec<u8>)> {
        let left_out = below(rng, NODES);
        let mut merged = Vec::new();
        let mut seen = BTreeSet::new();
        for (member, node) in self.nodes.iter().enumerate() {
            if member == left_out {
                continue;
            }
            if node.lies && chance(rng, 5) {
                merged.push((EnvelopeId::of(&[member as u8]), vec![0xee; 40]));
            }
            for (id, bytes) in node.boxes.get(&tag).into_iter().flatten() {
                if seen.insert(*id) {
                    merged.push((*id, bytes.clone()));
                }
            }
        }
        for last in (1..merged.len()).rev() {
            let other = below(rng, last + 1);
            merged.swap(last, other);
        }
        merged
    }
}

/// What lies in the contact inbox of a device: sender, its device, body. Each comes at least once.
#[derive(Default)]
pub struct Inbox {
    pub letters: Vec<(u64, IdentityId, DeviceId, Vec<u8>)>,
    pub seen: BTreeSet<[u8; 16]>,
    pub packages: Vec<KeyPackage>,
}
