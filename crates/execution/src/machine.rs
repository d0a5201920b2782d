//! What transactions do to the state.
//!
//! Deterministic: no clock but the heights and times of headers, no floating point, no iteration that is not ordered,
//! no arithmetic that can wrap.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use tokenim_consensus::{BlockDigest, Header, ValidatorSet, payload_root};
use tokenim_identity::{HistoryEntry, IdentityState, NodeKey, Place};
use tokenim_ledger::{
    Body, IdentityUpdate, IncarnationRegistration, LedgerLimits, NODES_WAITING_MAX, NodeQueue, NodeRegistration,
    Outcome, PAYLOAD_BYTES_MAX, Payload, Rejection, StateKey, Transaction, TransactionId, VerifiedTransaction,
    WaitingNode, header_leaf, proof::MerkleTree,
};
use tokenim_mailbox::{
    Incarnation, Member, NodeSet, PlacementId,
    group::{GroupNode, GroupUpdate, LedgerPlace},
    mmr::{Accumulator, Appended},
};
use tokenim_storage::StateStore;
use tokenim_wire::{
    BoundedVec, Digest, Epoch, Height, NetworkId, Object, UnixMillis, UnixSeconds, decode, encode,
    limits::{BLOCK_TRANSACTIONS_MAX, NODES_MAX, SPONSOR_GROUP_UPDATES_PER_BLOCK_MAX},
};

use crate::{
    ExecutionError, InvalidBlock,
    overlay::{Overlay, Sets, Snapshot, View},
    tables, tree,
};

/// What never changes in a network.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) network: NetworkId,
    pub(crate) limits: LedgerLimits,
    pub(crate) validators: Arc<ValidatorSet>,
    pub(crate) validators_digest: Digest,
}

/// Decodes a value of the state; what is there was put there by this module.
fn stored<T: Object>(bytes: &[u8]) -> Result<T, ExecutionError> {
    T::from_bytes(bytes).map_err(|_| ExecutionError::Damaged("a value of the state"))
}

/// What of its sponsor's quota is used in a block.
#[derive(Clone, Copy, Debug, Default)]
struct Quota {
    transactions: usize,
    /// The weight of the updates of group logs among them: bounded by less than all, so that something is left for the rest.
    group_updates: usize,
}

impl Quota {
    /// With one transaction more.
    fn with(self, transaction: &Transaction) -> Self {
        Self {
            transactions: self.transactions.saturating_add(1),
            group_updates: self.group_updates.saturating_add(transaction.body.group_weight()),
        }
    }

    /// Whether a block may hold this much of one sponsor.
    fn is_kept(&self, limits: &LedgerLimits) -> bool {
        self.transactions <= usize::from(limits.sponsor_transactions_per_block)
            && self.group_updates <= SPONSOR_GROUP_UPDATES_PER_BLOCK_MAX
    }
}

/// Bytes of a payload beside its transactions: version, and their number.
const PAYLOAD_FRAME_BYTES: usize = 1 + 5;

/// One block on its way.
pub(crate) struct Run<'a, S> {
    rules: &'a Rules,
    view: View<'a, S>,
    parent: &'a Snapshot,
    height: Height,
    time: UnixMillis,
    sets: Arc<Sets>,
    sets_changed: bool,
    changes: BTreeMap<StateKey, Option<Vec<u8>>>,
    history: BTreeMap<Vec<u8>, Vec<u8>>,
    leaves: BTreeSet<Digest>,
    outcomes: Vec<(TransactionId, Outcome)>,
    /// How many of them were applied.
    applied: u32,
    expiring: BTreeSet<(Height, TransactionId)>,
    expired: Vec<TransactionId>,
    quota: BTreeMap<NodeKey, Quota>,
    /// Entries of group logs that are new or have a new child.
    groups: BTreeSet<StateKey>,
    payload_bytes: usize,
}

/// The roots that a header has to have.
pub(crate) struct Roots {
    state: Digest,
    receipts: Digest,
    node_sets: Digest,
    mountains: Digest,
    validators: Digest,
}

impl Roots {
    /// The header of a block with these roots.
    pub(crate) fn header(
        &self,
        rules: &Rules,
        parent: &Snapshot,
        epoch: Epoch,
        height: Height,
        time: UnixMillis,
        payload: &[u8],
    ) -> Header {
        Header {
            chain: rules.network,
            epoch,
            height,
            time,
            parent: parent.digest,
            payload_root: payload_root(payload),
            state_root: self.state,
            receipts_root: self.receipts,
            node_set_root: self.node_sets,
            header_mmr_root: self.mountains,
            next_validators: self.validators,
        }
    }

    /// Checks that a header has these roots.
    pub(crate) fn check(&self, header: &Header) -> Result<(), InvalidBlock> {
        if header.state_root != self.state {
            return Err(InvalidBlock::StateRoot);
        }
        if header.receipts_root != self.receipts {
            return Err(InvalidBlock::ReceiptsRoot);
        }
        if header.node_set_root != self.node_sets {
            return Err(InvalidBlock::NodeSetRoot);
        }
        if header.header_mmr_root != self.mountains {
            return Err(InvalidBlock::HeaderMmrRoot);
        }
        if header.next_validators != self.validators {
            return Err(InvalidBlock::NextValidators);
        }
        Ok(())
    }
}

/// All that a block does, but for its header, digest and payload.
pub(crate) struct Effects {
    pub(crate) roots: Roots,
    sets: Arc<Sets>,
    sets_changed: bool,
    mountains: Accumulator,
    appended: Appended,
    changes: BTreeMap<StateKey, Option<Vec<u8>>>,
    history: BTreeMap<Vec<u8>, Vec<u8>>,
    groups: BTreeSet<StateKey>,
    update: tree::TreeUpdate,
    leaves: Vec<Digest>,
    outcomes: Vec<(TransactionId, Outcome)>,
    expiring: BTreeSet<(Height, TransactionId)>,
    expired: Vec<TransactionId>,
}

impl Effects {
    /// The overlay of the block with this header and payload.
    pub(crate) fn into_overlay(self, header: Header, digest: BlockDigest, payload: Vec<u8>) -> Overlay {
        Overlay {
            snapshot: Arc::new(Snapshot {
                header,
                digest,
                sets: self.sets,
                mountains: self.mountains,
            }),
            payload,
            changes: self.changes,
            history: self.history,
            groups: self.groups,
            nodes: self.update.nodes.into_iter().collect(),
            stale: self.update.stale,
            leaves: self.leaves,
            outcomes: self.outcomes,
            expiring: self.expiring,
            expired: self.expired,
            appended: self.appended,
            sets_changed: self.sets_changed,
        }
    }
}

impl<'a, S: StateStore> Run<'a, S> {
    /// The block at `time` after `parent`, before its first transaction: nodes that waited long enough get their place,
    /// and transactions that can't be valid any more are forgotten.
    pub(crate) fn begin(
        rules: &'a Rules,
        view: View<'a, S>,
        parent: &'a Snapshot,
        time: UnixMillis,
    ) -> Result<Self, ExecutionError> {
        let height = parent.header.height.next().ok_or(InvalidBlock::Header)?;
        let mut run = Self {
            rules,
            view,
            parent,
            height,
            time,
            sets: Arc::clone(&parent.sets),
            sets_changed: false,
            changes: BTreeMap::new(),
            history: BTreeMap::new(),
            leaves: BTreeSet::new(),
            outcomes: Vec::new(),
            applied: 0,
            expiring: BTreeSet::new(),
            expired: Vec::new(),
            quota: BTreeMap::new(),
            groups: BTreeSet::new(),
            payload_bytes: PAYLOAD_FRAME_BYTES,
        };
        for id in run.view.expiring_at(parent.header.height)? {
            run.changes.insert(StateKey::recent(&id), None);
            run.expired.push(id);
        }
        run.place_waiting_nodes()?;
        Ok(run)
    }

    /// The height of the block.
    pub(crate) const fn height(&self) -> Height {
        self.height
    }

    /// The time of the block.
    pub(crate) const fn time(&self) -> UnixMillis {
        self.time
    }

    /// The value under a key, as the next transaction sees it.
    fn value(&self, key: &StateKey) -> Result<Option<Vec<u8>>, ExecutionError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.view.value(key),
        }
    }

    fn put(&mut self, key: StateKey, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    fn queue(&self) -> Result<NodeQueue, ExecutionError> {
        match self.value(&StateKey::node_queue())? {
            Some(bytes) => stored(&bytes),
            None => Ok(NodeQueue::default()),
        }
    }

    /// Gives every node that has waited long enough its place, decided by the digest of the parent: a block that came
    /// after the node's registration. All of them at once are one change of the set.
    fn place_waiting_nodes(&mut self) -> Result<(), ExecutionError> {
        let mut queue = self.queue()?;
        let limits = &self.rules.limits;
        let may_change = queue.changed.saturating_add(limits.set_change_interval_heights) <= self.height;
        let is_due = |node: &WaitingNode| node.registered.saturating_add(limits.placement_delay_heights) <= self.height;
        if !may_change || !queue.waiting.iter().any(is_due) {
            return Ok(());
        }
        let origin = Digest::from_bytes(self.parent.digest.to_bytes());
        let (due, waiting): (Vec<WaitingNode>, Vec<WaitingNode>) =
            core::mem::take(&mut queue.waiting).into_iter().partition(is_due);
        let mut members = self.sets.current.members().to_vec();
        members.extend(due.into_iter().map(|node| Member {
            key: node.key,
            placement: PlacementId::new(&node.key, &origin),
            address: node.address,
        }));
        let full = |_| ExecutionError::Damaged("the node set is larger than it can be");
        let epoch = self.sets.current.epoch().next().ok_or(full(()))?;
        let next = NodeSet::new(epoch, members).map_err(|_| full(()))?;
        queue.changed = self.height;
        queue.waiting = BoundedVec::try_from(waiting).map_err(|_| full(()))?;
        self.put(StateKey::previous_node_set(), self.sets.current.to_bytes()?);
        self.put(StateKey::node_set(), next.to_bytes()?);
        self.put(StateKey::node_queue(), queue.to_bytes()?);
        self.sets = Arc::new(self.sets.changed_to(next));
        self.sets_changed = true;
        Ok(())
    }

    /// Whether one more transaction of this sponsor and length has room in the block.
    pub(crate) fn has_room(&self, transaction: &VerifiedTransaction) -> bool {
        let quota = self.quota_with(transaction.transaction());
        let bytes = self.payload_bytes.saturating_add(transaction.encoded_len());
        quota.is_kept(&self.rules.limits) && self.outcomes.len() < BLOCK_TRANSACTIONS_MAX && bytes <= PAYLOAD_BYTES_MAX
    }

    /// What its sponsor uses with one transaction more.
    fn quota_with(&self, transaction: &Transaction) -> Quota {
        let used = self.quota.get(&transaction.sponsor).copied().unwrap_or_default();
        used.with(transaction)
    }

    /// Counts a transaction against the quota of its sponsor and the room in the block. That it has room was asked
    /// before.
    fn take_room(&mut self, transaction: &VerifiedTransaction) {
        let quota = self.quota_with(transaction.transaction());
        self.quota.insert(transaction.transaction().sponsor, quota);
        self.payload_bytes = self.payload_bytes.saturating_add(transaction.encoded_len());
    }

    /// Executes a transaction that is in the block, whatever comes of it.
    pub(crate) fn include(&mut self, transaction: &VerifiedTransaction) -> Result<Outcome, ExecutionError> {
        self.take_room(transaction);
        let outcome = match self.apply(transaction)? {
            Ok(()) => Outcome::Applied,
            Err(rejection) => Outcome::Rejected(rejection),
        };
        self.outcomes.push((*transaction.id(), outcome));
        Ok(outcome)
    }

    /// Executes a transaction and takes it into the block if it is applied.
    pub(crate) fn offer(&mut self, transaction: &VerifiedTransaction) -> Result<Outcome, ExecutionError> {
        match self.apply(transaction)? {
            Ok(()) => {
                self.take_room(transaction);
                self.outcomes.push((*transaction.id(), Outcome::Applied));
                Ok(Outcome::Applied)
            }
            Err(rejection) => Ok(Outcome::Rejected(rejection)),
        }
    }

    /// Checks everything, then writes; so a rejection leaves no trace.
    fn apply(&mut self, transaction: &VerifiedTransaction) -> Result<Result<(), Rejection>, ExecutionError> {
        let id = *transaction.id();
        let transaction = transaction.transaction();
        if let Err(rejection) = self.check_frame(&id, transaction)? {
            return Ok(Err(rejection));
        }
        let applied = match &transaction.body {
            Body::Identity(update) => self.apply_identity(update)?,
            Body::RegisterNode(registration) => self.apply_registration(registration)?,
            Body::Anchor(anchor) if anchor.is_well_formed() => {
                self.leaves.extend(anchor.leaves.iter());
                Ok(())
            }
            Body::Anchor(_) => Err(Rejection::Anchor),
            Body::RegisterIncarnation(registration) => self.apply_incarnation(&transaction.sponsor, registration)?,
            Body::Group(update) => self.apply_group(update)?,
            _ => Err(Rejection::Unsupported),
        };
        if applied.is_ok() {
            self.put(StateKey::recent(&id), encode(&transaction.valid_until)?);
            self.expiring.insert((transaction.valid_until, id));
            self.applied = self.applied.saturating_add(1);
        }
        Ok(applied)
    }

    /// What holds for every kind of transaction.
    fn check_frame(
        &self,
        id: &TransactionId,
        transaction: &Transaction,
    ) -> Result<Result<(), Rejection>, ExecutionError> {
        if transaction.valid_until < self.height {
            return Ok(Err(Rejection::Expired));
        }
        let furthest = self
            .height
            .saturating_add(self.rules.limits.transaction_lifetime_heights);
        if transaction.valid_until > furthest {
            return Ok(Err(Rejection::ValidTooLong));
        }
        if self.value(&StateKey::recent(id))?.is_some() {
            return Ok(Err(Rejection::Replayed));
        }
        if self.sets.current.index_of(&transaction.sponsor).is_none() {
            return Ok(Err(Rejection::UnknownSponsor));
        }
        Ok(Ok(()))
    }

    fn apply_identity(&mut self, update: &IdentityUpdate) -> Result<Result<(), Rejection>, ExecutionError> {
        let identity = &update.record.record.identity;
        let key = StateKey::identity(identity);
        let state = match (self.value(&key)?, &update.genesis) {
            (Some(bytes), None) => stored::<IdentityState>(&bytes)?,
            (Some(_), Some(_)) => return Ok(Err(Rejection::GenesisRepeated)),
            (None, None) => return Ok(Err(Rejection::GenesisMissing)),
            (None, Some(genesis)) if genesis.id() == *identity => IdentityState::new(genesis),
            (None, Some(_)) => return Ok(Err(Rejection::GenesisForeign)),
        };
        let place = Place {
            network: &self.rules.network,
            height: self.height,
            time: self.time,
            window_ms: self.rules.limits.recovery_window_ms,
        };
        match state.apply(&place, &update.record) {
            Ok(next) => {
                let entry = HistoryEntry {
                    record: update.record.clone(),
                    height: self.height,
                    time: self.time,
                };
                if let Some(genesis) = &update.genesis {
                    let row = tables::history_key(identity, 0);
                    self.history.insert(row, genesis.to_bytes()?);
                }
                let row = tables::history_key(identity, next.seq);
                self.history.insert(row, entry.to_bytes()?);
                self.put(key, next.to_bytes()?);
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn apply_registration(&mut self, registration: &NodeRegistration) -> Result<Result<(), Rejection>, ExecutionError> {
        let mut queue = self.queue()?;
        let set = &self.sets.current;
        let waits = queue.waiting.iter().any(|node| node.key == registration.key);
        if waits || set.index_of(&registration.key).is_some() {
            return Ok(Err(Rejection::NodeExists));
        }
        if set.len().saturating_add(queue.waiting.len()) >= NODES_MAX {
            return Ok(Err(Rejection::NodesFull));
        }
        if queue.waiting.len() >= NODES_WAITING_MAX {
            return Ok(Err(Rejection::NodeQueueFull));
        }
        if let Err(rejection) = registration.verify(&self.rules.network, &self.rules.validators) {
            return Ok(Err(rejection));
        }
        let node = WaitingNode {
            key: registration.key,
            address: registration.address.clone(),
            registered: self.height,
        };
        if queue.waiting.push(node).is_err() {
            return Ok(Err(Rejection::NodeQueueFull));
        }
        self.put(StateKey::node_queue(), queue.to_bytes()?);
        Ok(Ok(()))
    }

    fn apply_incarnation(
        &mut self,
        sponsor: &NodeKey,
        registration: &IncarnationRegistration,
    ) -> Result<Result<(), Rejection>, ExecutionError> {
        if registration.node != *sponsor {
            return Ok(Err(Rejection::IncarnationForeign));
        }
        let key = StateKey::incarnation(sponsor);
        if let Some(bytes) = self.value(&key)? {
            let last: Incarnation =
                decode(&bytes, bytes.len()).map_err(|_| ExecutionError::Damaged("a node's incarnation"))?;
            if registration.incarnation <= last {
                return Ok(Err(Rejection::IncarnationNotHigher));
            }
        }
        self.put(key, encode(&registration.incarnation)?);
        Ok(Ok(()))
    }

    /// Starts a group log, or adds an entry to one. Who the members are, and whether what they commit to makes sense, is
    /// not known here: the key of the entry before has to sign, and the commit has to be stored.
    fn apply_group(&mut self, update: &GroupUpdate) -> Result<Result<(), Rejection>, ExecutionError> {
        // Only applied ones count, so that a rejected one leaves no trace.
        let place = LedgerPlace {
            height: self.height,
            time: self.time,
            index: self.applied,
        };
        let handle = update.handle();
        match update {
            GroupUpdate::Start(start) => {
                let key = StateKey::group(&handle, &handle.root());
                if self.value(&key)?.is_some() {
                    return Ok(Err(Rejection::GroupExists));
                }
                self.put_group(key, &GroupNode::start(start, place))?;
            }
            GroupUpdate::Child(signed) => {
                let key = StateKey::group(&handle, &signed.child.parent);
                let Some(bytes) = self.value(&key)? else {
                    return Ok(Err(Rejection::GroupParentUnknown));
                };
                let network = &self.rules.network;
                let adopted = match stored::<GroupNode>(&bytes)?.adopt(network, signed, place) {
                    Ok(adopted) => adopted,
                    Err(error) => return Ok(Err(error.into())),
                };
                let sets: [&NodeSet; 2] = [&self.sets.current, &self.sets.previous];
                let now = UnixSeconds::new(self.time.get() / 1_000);
                if let Err(error) = signed.verify_receipts(network, &sets, now) {
                    return Ok(Err(error.into()));
                }
                self.put_group(key, &adopted.parent)?;
                self.put_group(StateKey::group(&handle, &adopted.id), &adopted.entry)?;
            }
            _ => return Ok(Err(Rejection::Unsupported)),
        }
        Ok(Ok(()))
    }

    fn put_group(&mut self, key: StateKey, node: &GroupNode) -> Result<(), ExecutionError> {
        self.put(key, node.to_bytes()?);
        self.groups.insert(key);
        Ok(())
    }

    /// Ends the block: the roots, and all that is needed to commit it or to build on it.
    pub(crate) fn finish(self) -> Result<Effects, ExecutionError> {
        let changes = self.changes.iter().map(|(key, value)| (key, value.as_ref()));
        let update = tree::update(&self.view, self.height, changes)?;
        let leaves: Vec<Digest> = self.leaves.into_iter().collect();
        let receipts = MerkleTree::new(leaves.clone())
            .ok_or(ExecutionError::Damaged("too many leaves"))?
            .root();
        let mut mountains = self.parent.mountains.clone();
        let appended = mountains
            .push(header_leaf(&self.parent.header))
            .map_err(|_| ExecutionError::Damaged("the Merkle mountain range over headers"))?;
        let roots = Roots {
            state: update.root,
            receipts,
            node_sets: self.sets.commitment.root(),
            mountains: mountains.root(),
            validators: self.rules.validators_digest,
        };
        Ok(Effects {
            roots,
            sets: self.sets,
            sets_changed: self.sets_changed,
            mountains,
            appended,
            changes: self.changes,
            history: self.history,
            groups: self.groups,
            update,
            leaves,
            outcomes: self.outcomes,
            expiring: self.expiring,
            expired: self.expired,
        })
    }
}

/// Reads the transactions of a payload and checks what does not depend on the state.
pub(crate) fn verified_payload(rules: &Rules, payload: &[u8]) -> Result<Vec<VerifiedTransaction>, InvalidBlock> {
    let payload = Payload::from_bytes(payload).map_err(InvalidBlock::Payload)?;
    let mut quota: BTreeMap<NodeKey, Quota> = BTreeMap::new();
    // Quotas before signatures: they are cheap.
    for (index, transaction) in payload.transactions().iter().enumerate() {
        let used = quota.entry(transaction.sponsor).or_default();
        *used = used.with(transaction);
        if !used.is_kept(&rules.limits) {
            return Err(InvalidBlock::SponsorQuota { index });
        }
    }
    payload
        .0
        .into_iter()
        .enumerate()
        .map(|(index, transaction)| {
            transaction
                .verify(&rules.network)
                .map_err(|_| InvalidBlock::Transaction { index })
        })
        .collect()
}

/// The values that a network starts with.
pub(crate) fn genesis_values(
    set: &NodeSet,
    validators: &ValidatorSet,
) -> Result<BTreeMap<StateKey, Vec<u8>>, ExecutionError> {
    Ok(BTreeMap::from([
        (StateKey::node_set(), set.to_bytes()?),
        (StateKey::node_queue(), NodeQueue::default().to_bytes()?),
        (StateKey::validators(), validators.to_bytes()?),
    ]))
}
