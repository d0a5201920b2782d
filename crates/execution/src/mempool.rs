//! Transactions that wait for a block. It does no I/O: the host gossips, and says what was committed.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use tokenim_identity::NodeKey;
use tokenim_ledger::{Body, PAYLOAD_BYTES_MAX, TransactionId, VerifiedTransaction};
use tokenim_wire::{
    Height,
    limits::{
        BLOCK_TRANSACTIONS_MAX, MEMPOOL_BYTES_MAX, MEMPOOL_TRANSACTIONS_MAX, MEMPOOL_TRANSACTIONS_PER_SPONSOR_MAX,
        SPONSOR_GROUP_UPDATES_PER_BLOCK_MAX, SPONSOR_TRANSACTIONS_PER_BLOCK_MAX,
    },
};

/// Caps of a mempool. A part of it takes anchors only, so that accepted messages are proved however many other
/// transactions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolLimits {
    /// Transactions in all.
    pub transactions_max: usize,
    /// Bytes in all.
    pub bytes_max: usize,
    /// Of them, transactions that only anchors may be.
    pub anchor_transactions: usize,
    /// Of them, bytes that only anchors may use.
    pub anchor_bytes: usize,
    /// Transactions of one sponsor.
    pub sponsor_transactions_max: usize,
    /// Weight of the updates of group logs among them.
    pub sponsor_group_updates_max: usize,
    /// Anchors of one sponsor beyond that.
    pub sponsor_anchors: usize,
    /// Transactions that are remembered after they were committed, so that gossip doesn't bring them back.
    pub remembered_max: usize,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        Self {
            transactions_max: MEMPOOL_TRANSACTIONS_MAX,
            bytes_max: MEMPOOL_BYTES_MAX,
            anchor_transactions: MEMPOOL_TRANSACTIONS_MAX / 4,
            anchor_bytes: MEMPOOL_BYTES_MAX / 4,
            sponsor_transactions_max: MEMPOOL_TRANSACTIONS_PER_SPONSOR_MAX,
            sponsor_group_updates_max: SPONSOR_GROUP_UPDATES_PER_BLOCK_MAX,
            sponsor_anchors: 2,
            remembered_max: 4 * MEMPOOL_TRANSACTIONS_MAX,
        }
    }
}

/// What one block may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRoom {
    /// Bytes of its transactions.
    pub bytes_max: usize,
    /// Of them, bytes that go to anchors first.
    pub anchor_bytes: usize,
    /// Its transactions.
    pub transactions_max: usize,
    /// Its transactions of one sponsor.
    pub sponsor_transactions_max: usize,
}

impl Default for BlockRoom {
    fn default() -> Self {
        Self {
            // The version and the number of transactions come on top.
            bytes_max: PAYLOAD_BYTES_MAX.saturating_sub(6),
            anchor_bytes: PAYLOAD_BYTES_MAX / 4,
            transactions_max: BLOCK_TRANSACTIONS_MAX,
            sponsor_transactions_max: SPONSOR_TRANSACTIONS_PER_BLOCK_MAX,
        }
    }
}

/// Why a transaction was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MempoolError {
    /// It waits already, or was in a block lately.
    #[error("the transaction is known already")]
    Duplicate,
    /// It can't be in the next block any more.
    #[error("the transaction has expired: make it anew")]
    Expired,
    /// Its sponsor has as many waiting as one may have.
    #[error("the sponsor has as many transactions waiting as one may have: try again later")]
    SponsorQuota,
    /// There is no room.
    #[error("too many transactions are waiting: try again later")]
    Full,
}

/// What waits of one sponsor.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    transactions: usize,
    /// Weight of the updates of group logs among them.
    group_updates: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    transactions: usize,
    bytes: usize,
}

/// Transactions in the order in which they came. They stay until they are final, refused for good, or expired: a block
/// that offers them may be skipped.
#[derive(Clone, Debug, Default)]
pub struct Mempool {
    limits: MempoolLimits,
    next: u64,
    by_arrival: BTreeMap<u64, VerifiedTransaction>,
    by_id: BTreeMap<TransactionId, u64>,
    expiring: BTreeSet<(Height, u64)>,
    sponsors: BTreeMap<NodeKey, Waiting>,
    all: Held,
    others: Held,
    remembered: BTreeMap<TransactionId, Height>,
    forgetting: BTreeSet<(Height, TransactionId)>,
}

fn is_anchor(transaction: &VerifiedTransaction) -> bool {
    matches!(transaction.transaction().body, Body::Anchor(_))
}

fn group_weight(transaction: &VerifiedTransaction) -> usize {
    transaction.transaction().body.group_weight()
}

impl Mempool {
    /// An empty mempool.
    #[must_use]
    pub fn new(limits: MempoolLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes a transaction in; `height` is that of the last committed block.
    ///
    /// # Errors
    /// [`MempoolError`]; nothing has changed then.
    pub fn insert(&mut self, transaction: VerifiedTransaction, height: Height) -> Result<(), MempoolError> {
        let id = *transaction.id();
        if self.by_id.contains_key(&id) || self.remembered.contains_key(&id) {
            return Err(MempoolError::Duplicate);
        }
        let valid_until = transaction.transaction().valid_until;
        if valid_until <= height {
            return Err(MempoolError::Expired);
        }
        let anchor = is_anchor(&transaction);
        let sponsor = transaction.transaction().sponsor;
        let waiting = self.sponsors.get(&sponsor).copied().unwrap_or_default();
        let extra = if anchor { self.limits.sponsor_anchors } else { 0 };
        let weight = group_weight(&transaction);
        let group_updates = waiting.group_updates.saturating_add(weight);
        if waiting.transactions >= self.limits.sponsor_transactions_max.saturating_add(extra)
            || (weight > 0 && group_updates > self.limits.sponsor_group_updates_max)
        {
            return Err(MempoolError::SponsorQuota);
        }
        let bytes = transaction.encoded_len();
        let fits = |held: &Held, transactions_max: usize, bytes_max: usize| {
            held.transactions < transactions_max && held.bytes.saturating_add(bytes) <= bytes_max
        };
        let limits = &self.limits;
        let room = fits(&self.all, limits.transactions_max, limits.bytes_max)
            && (anchor
                || fits(
                    &self.others,
                    limits.transactions_max.saturating_sub(limits.anchor_transactions),
                    limits.bytes_max.saturating_sub(limits.anchor_bytes),
                ));
        if !room {
            return Err(MempoolError::Full);
        }
        let arrival = self.next;
        self.next = self.next.saturating_add(1);
        self.by_id.insert(id, arrival);
        self.expiring.insert((valid_until, arrival));
        let waiting = Waiting {
            transactions: waiting.transactions.saturating_add(1),
            group_updates,
        };
        self.sponsors.insert(sponsor, waiting);
        let count = |held: &mut Held| {
            held.transactions = held.transactions.saturating_add(1);
            held.bytes = held.bytes.saturating_add(bytes);
        };
        count(&mut self.all);
        if !anchor {
            count(&mut self.others);
        }
        self.by_arrival.insert(arrival, transaction);
        Ok(())
    }

    /// Chooses transactions for a block, without removing them: anchors up to what is kept for them, then all in the
    /// order of their arrival. `exclude` are those in blocks that are not final yet.
    #[must_use]
    pub fn take(&self, room: &BlockRoom, exclude: &BTreeSet<TransactionId>) -> Vec<VerifiedTransaction> {
        let mut chosen: Vec<VerifiedTransaction> = Vec::new();
        let mut taken: BTreeSet<u64> = BTreeSet::new();
        let mut sponsors: BTreeMap<NodeKey, usize> = BTreeMap::new();
        let mut used = 0_usize;
        for only_anchors in [true, false] {
            let bytes_max = if only_anchors {
                room.anchor_bytes.min(room.bytes_max)
            } else {
                room.bytes_max
            };
            for (arrival, transaction) in &self.by_arrival {
                if chosen.len() >= room.transactions_max {
                    return chosen;
                }
                let bytes = used.saturating_add(transaction.encoded_len());
                let sponsor = sponsors.entry(transaction.transaction().sponsor).or_insert(0);
                if (only_anchors && !is_anchor(transaction))
                    || bytes > bytes_max
                    || *sponsor >= room.sponsor_transactions_max
                    || exclude.contains(transaction.id())
                    || !taken.insert(*arrival)
                {
                    continue;
                }
                *sponsor = sponsor.saturating_add(1);
                used = bytes;
                chosen.push(transaction.clone());
            }
        }
        chosen
    }

    /// Removes one entry.
    fn drop_arrival(&mut self, arrival: u64) -> Option<VerifiedTransaction> {
        let transaction = self.by_arrival.remove(&arrival)?;
        let valid_until = transaction.transaction().valid_until;
        self.by_id.remove(transaction.id());
        self.expiring.remove(&(valid_until, arrival));
        let sponsor = transaction.transaction().sponsor;
        let weight = group_weight(&transaction);
        match self.sponsors.get_mut(&sponsor) {
            Some(waiting) if waiting.transactions > 1 => {
                waiting.transactions = waiting.transactions.saturating_sub(1);
                waiting.group_updates = waiting.group_updates.saturating_sub(weight);
            }
            _ => {
                self.sponsors.remove(&sponsor);
            }
        }
        let bytes = transaction.encoded_len();
        let count = |held: &mut Held| {
            held.transactions = held.transactions.saturating_sub(1);
            held.bytes = held.bytes.saturating_sub(bytes);
        };
        count(&mut self.all);
        if !is_anchor(&transaction) {
            count(&mut self.others);
        }
        Some(transaction)
    }

    /// Removes transactions that were refused for good.
    pub fn remove<'a>(&mut self, ids: impl IntoIterator<Item = &'a TransactionId>) {
        for id in ids {
            if let Some(arrival) = self.by_id.get(id).copied() {
                self.drop_arrival(arrival);
            }
        }
    }

    /// A block at `height` with these transactions was committed: they and all that can't be in the next block go.
    pub fn committed<'a>(&mut self, height: Height, ids: impl IntoIterator<Item = &'a TransactionId>) {
        for id in ids {
            let Some(transaction) = self
                .by_id
                .get(id)
                .copied()
                .and_then(|arrival| self.drop_arrival(arrival))
            else {
                continue;
            };
            let valid_until = transaction.transaction().valid_until;
            self.remembered.insert(*id, valid_until);
            self.forgetting.insert((valid_until, *id));
        }
        while let Some((valid_until, arrival)) = self.expiring.first().copied() {
            if valid_until > height {
                break;
            }
            self.expiring.remove(&(valid_until, arrival));
            self.drop_arrival(arrival);
        }
        while let Some((valid_until, id)) = self.forgetting.first().copied() {
            if valid_until > height && self.remembered.len() <= self.limits.remembered_max {
                break;
            }
            self.forgetting.remove(&(valid_until, id));
            self.remembered.remove(&id);
        }
    }

    /// A transaction that waits.
    #[must_use]
    pub fn get(&self, id: &TransactionId) -> Option<&VerifiedTransaction> {
        self.by_arrival.get(self.by_id.get(id)?)
    }

    /// Whether a transaction waits or was committed lately.
    #[must_use]
    pub fn knows(&self, id: &TransactionId) -> bool {
        self.by_id.contains_key(id) || self.remembered.contains_key(id)
    }

    /// All that wait, in the order of their arrival: what to offer to a node that has just connected.
    pub fn iter(&self) -> impl Iterator<Item = &VerifiedTransaction> {
        self.by_arrival.values()
    }

    /// How many wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.all.transactions
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.all.transactions == 0
    }

    /// Their bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.all.bytes
    }
}
