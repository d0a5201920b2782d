//! A sequencer in place of consensus, which checks what the ledger checks.

use super::{NETWORK, below, chance};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use tokenim_identity::{
    DeviceId, DeviceKeys, DeviceSecrets, EnvelopeKey, Genesis, IdentityId, IdentityState, RootSigningKey,
};
use tokenim_mailbox::{
    NodeSet,
    group::{GroupEntryId, GroupHandle, GroupNode, GroupUpdate, LedgerPlace},
};
use tokenim_wire::{Height, UnixMillis};

/// How old what is shown of the ledger may be, in milliseconds.
const AGE_MS_MAX: u64 = 123_000;

/// An update that a node was given.
#[derive(Clone)]
struct Submission {
    number: u64,
    /// The node that has it.
    node: usize,
    /// When it has reached the others.
    ready: u64,
    update: GroupUpdate,
}

/// What is submitted comes into one of the next blocks, in its order; every state is kept with its height, so that a node may
/// show an old one.
#[derive(Clone)]
pub struct Ledger {
    pub height: u64,
    /// The time of each block.
    times: Vec<u64>,
    submitted: u64,
    pending: Vec<Submission>,
    /// What became of a submission, and at which height.
    outcomes: BTreeMap<u64, (Height, bool)>,
    groups: BTreeMap<(GroupHandle, GroupEntryId), Vec<(Height, GroupNode)>>,
    /// What an entry follows, and since when.
    parents: BTreeMap<(GroupHandle, GroupEntryId), (GroupEntryId, u64)>,
    identities: BTreeMap<IdentityId, Vec<(Height, IdentityState)>>,
    /// The nodes, of which receipts are.
    pub set: NodeSet,
    /// In which order children came, for the log of a run.
    pub included: Vec<GroupEntryId>,
    /// The same, whole.
    pub updates: Vec<GroupUpdate>,
    /// Entries that must be refused.
    pub forbidden: BTreeSet<GroupEntryId>,
    /// How many updates were refused.
    pub refused: u64,
}

impl Ledger {
    pub fn new(set: NodeSet, now: u64) -> Self {
        Self {
            height: 0,
            times: vec![now],
            submitted: 0,
            pending: Vec::new(),
            outcomes: BTreeMap::new(),
            groups: BTreeMap::new(),
            parents: BTreeMap::new(),
            identities: BTreeMap::new(),
            set,
            included: Vec::new(),
            updates: Vec::new(),
            forbidden: BTreeSet::new(),
            refused: 0,
        }
    }

    /// Gives an update to a node. The number under which its fate is told.
    pub fn submit(&mut self, node: usize, ready: u64, update: GroupUpdate) -> u64 {
        self.submitted += 1;
        self.pending.push(Submission {
            number: self.submitted,
            node,
            ready,
            update,
        });
        self.submitted
    }

    /// Makes a block of what these nodes have, in a random order; some of it stays for the next one.
    pub fn block(&mut self, now: u64, nodes: &[usize], rng: &mut ChaCha8Rng) {
        self.height += 1;
        self.times.push(now);
        let (mut ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|submission| submission.ready <= now && nodes.contains(&submission.node));
        self.pending = waiting;
        let mut index = 0;
        while !ready.is_empty() {
            let submission = ready.swap_remove(below(rng, ready.len()));
            if chance(rng, 5) {
                self.pending.push(submission);
                continue;
            }
            let place = LedgerPlace {
                height: Height::new(self.height),
                time: UnixMillis::new(now),
                index,
            };
            let entry = submission.update.entry().unwrap();
            let applied = self.execute(&submission.update, place);
            self.outcomes.insert(submission.number, (place.height, applied));
            if applied {
                assert!(!self.forbidden.contains(&entry), "the ledger took what is false");
                index += 1;
                self.included.push(entry);
                self.updates.push(submission.update);
            } else {
                self.refused += 1;
            }
        }
    }

    fn execute(&mut self, update: &GroupUpdate, place: LedgerPlace) -> bool {
        let height = place.height;
        let handle = update.handle();
        match update {
            GroupUpdate::Start(start) => {
                let key = (handle, handle.root());
                if self.groups.contains_key(&key) {
                    return false;
                }
                self.groups.insert(key, vec![(height, GroupNode::start(start, place))]);
                true
            }
            GroupUpdate::Child(signed) => {
                let Some(states) = self.groups.get_mut(&(handle, signed.child.parent)) else {
                    return false;
                };
                let (_, parent) = states.last().unwrap();
                let Ok(adopted) = parent.adopt(&NETWORK, signed, place) else {
                    return false;
                };
                if signed
                    .verify_receipts(&NETWORK, &[&self.set], place.time.to_seconds())
                    .is_err()
                {
                    return false;
                }
                states.push((height, adopted.parent));
                let parent = (signed.child.parent, place.time.get());
                self.parents.insert((handle, adopted.id), parent);
                self.groups.insert((handle, adopted.id), vec![(height, adopted.entry)]);
                true
            }
            _ => false,
        }
    }

    /// Whether somebody who sees the ledger up to `height` sees an entry.
    pub fn has(&self, handle: GroupHandle, entry: GroupEntryId, height: u64) -> bool {
        self.groups
            .get(&(handle, entry))
            .is_some_and(|states| states[0].0.get() <= height)
    }

    /// Whether a submission was refused for good, as seen at a height; `None` while that is open.
    pub fn fate(&self, number: u64, height: u64) -> Option<bool> {
        let (at, applied) = self.outcomes.get(&number)?;
        (at.get() <= height).then_some(*applied)
    }

    /// Whether what a node shows of this height is new enough to be believed.
    pub fn is_fresh(&self, height: u64, now: u64) -> bool {
        self.times
            .get(height as usize)
            .is_some_and(|time| now <= time + AGE_MS_MAX)
    }

    /// What an entry follows, and the time since when.
    pub fn parent(&self, handle: GroupHandle, entry: GroupEntryId) -> Option<(GroupEntryId, u64)> {
        self.parents.get(&(handle, entry)).copied()
    }

    /// How many states an entry has had.
    pub fn versions(&self, handle: GroupHandle, entry: GroupEntryId) -> usize {
        self.groups.get(&(handle, entry)).map_or(0, Vec::len)
    }

    /// An entry as it was at a height.
    pub fn node(&self, handle: GroupHandle, entry: GroupEntryId, height: u64) -> Option<(GroupNode, Height)> {
        let seen = Height::new(self.height.min(height));
        let states = self.groups.get(&(handle, entry))?;
        let state = states.iter().rev().find(|(height, _)| *height <= seen)?;
        Some((state.1.clone(), seen))
    }

    pub fn identity(&self, id: &IdentityId, height: u64) -> (Option<IdentityState>, Height) {
        let seen = Height::new(self.height.min(height));
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
                if entry.keys.device_id() == device && entry.revoked.is_none() {
                    entry.revoked = Some(height);
                }
            }
        });
    }
}
