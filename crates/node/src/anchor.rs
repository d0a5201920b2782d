//! Anchoring: quorum receipts that clients hand in are committed to the ledger.
//!
//! Receipts are verified against the node set, collected, and put into one anchor transaction at most every
//! `anchor_interval`; the first one goes out at once. Before a transaction is sent, its receipts are durable, so that a
//! restart goes on where it was. A transaction that expires without having become final is made anew, until every leaf
//! is final, by whichever node's transaction.

use crate::clock;
use crate::ledger::{Commit, Ledger, Store};
use crate::metrics::Metrics;
use crate::queue::lock;
use crate::refuse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenim_identity::NodeSigningKey;
use tokenim_ledger::{Anchor, Body, Transaction};
use tokenim_mailbox::{MailboxTag, NodeSet, QuorumReceipt};
use tokenim_rpc::{AnchorStatus, ErrorCode, RpcError};
use tokenim_storage::{Batch, StateStore, StoreError, Table};
use tokenim_wire::limits::ANCHOR_LEAVES_MAX;
use tokenim_wire::{Digest, EnvelopeId, Height, NetworkId, Object as _, UnixSeconds};
use tokio::sync::{Notify, broadcast};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

/// Leaf → quorum receipt that is not final yet.
const WAITING: Table = Table::new("node/anchors-waiting");
/// Tag ‖ envelope → quorum receipt handed in here.
const RECEIPTS: Table = Table::new("node/receipts");
/// Expiry, 8 bytes big-endian ‖ tag ‖ envelope → nothing.
const RECEIPTS_EXPIRING: Table = Table::new("node/receipts-expiring");

/// Receipts that wait at one time; further ones are refused.
const WAITING_MAX: usize = 16 * ANCHOR_LEAVES_MAX;
/// Heights for which an anchor transaction is valid: at two blocks a second, about half a minute.
const LIFETIME_HEIGHTS: u64 = 64;
/// Receipts forgotten in one go after their expiry.
const EXPIRE_AT_ONCE: usize = 1024;
/// Between two removals of receipts whose envelopes have expired.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How long the first receipt after a pause waits for company.
const LINGER: Duration = Duration::from_millis(10);

/// The anchoring of one node. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Anchors {
    inner: Arc<Inner>,
}

struct Inner {
    network: NetworkId,
    key: Arc<NodeSigningKey>,
    store: Store,
    ledger: Ledger,
    metrics: Metrics,
    interval: Duration,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<Digest, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    receipt: QuorumReceipt,
    /// Whether the receipt is in the store.
    durable: bool,
    /// Until which height the transaction that carries it is valid; none if it is in none.
    sent_until: Option<Height>,
}

impl Anchors {
    /// Goes on with what the store says is waiting.
    pub(crate) fn open(
        network: NetworkId,
        key: Arc<NodeSigningKey>,
        store: Store,
        ledger: Ledger,
        metrics: Metrics,
        interval: Duration,
    ) -> Result<Self, StoreError> {
        let mut waiting = BTreeMap::new();
        for (leaf, bytes) in store.scan(WAITING, &[], &[], WAITING_MAX, false)? {
            let parsed = Digest::try_from(leaf.as_slice())
                .ok()
                .zip(QuorumReceipt::from_bytes(&bytes).ok());
            let Some((leaf, receipt)) = parsed else {
                return Err(StoreError::Damaged {
                    detail: "a receipt that waits for its anchor".into(),
                });
            };
            waiting.insert(
                leaf,
                Waiting {
                    receipt,
                    durable: true,
                    sent_until: None,
                },
            );
        }
        let inner = Inner {
            network,
            key,
            store,
            ledger,
            metrics,
            interval,
            state: Mutex::new(State { waiting }),
            wake: Notify::new(),
        };
        inner.wake.notify_one();
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Verifies a receipt against the node sets.
    pub(crate) async fn verify(&self, receipt: &QuorumReceipt) -> Result<(), RpcError> {
        let inner = &self.inner;
        let sets = inner.ledger.node_sets();
        let (network, receipt) = (inner.network, receipt.clone());
        let verified = tokio::task::spawn_blocking(move || {
            let of_epoch = |set: &&Arc<NodeSet>| set.epoch() == receipt.set_epoch;
            let set = sets.iter().find(of_epoch).or(sets.first());
            set.map(|set| receipt.verify_in(&network, set).map(|_| ()))
        });
        match verified.await {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(error))) => Err(RpcError::new(ErrorCode::INVALID_RECEIPT, &error.to_string())),
            Ok(None) | Err(_) => Err(refuse::internal()),
        }
    }

    /// Takes a verified receipt to be anchored.
    pub(crate) async fn add(&self, receipt: QuorumReceipt) -> Result<AnchorStatus, RpcError> {
        let inner = &self.inner;
        if receipt.expiry <= clock::now_seconds() {
            return Err(RpcError::new(
                ErrorCode::BAD_EXPIRY,
                "the envelope has expired: there is nothing left to prove",
            ));
        }
        let leaf = receipt.leaf();
        if let Some(height) = inner.ledger.anchored_at(&leaf).await? {
            return Ok(AnchorStatus::Final { height });
        }
        let mut state = lock(&inner.state);
        if state.waiting.contains_key(&leaf) {
            return Ok(AnchorStatus::Queued);
        }
        if state.waiting.len() >= WAITING_MAX {
            return Err(refuse::busy());
        }
        state.waiting.insert(
            leaf,
            Waiting {
                receipt,
                durable: false,
                sent_until: None,
            },
        );
        inner.show(&state);
        drop(state);
        inner.wake.notify_one();
        Ok(AnchorStatus::Queued)
    }

    /// The receipt of an envelope, if it was handed in here.
    pub(crate) async fn receipt(
        &self,
        tag: &MailboxTag,
        envelope: &EnvelopeId,
    ) -> Result<Option<QuorumReceipt>, RpcError> {
        let place = place(tag, envelope);
        let inner = self.inner.clone();
        let found = tokio::task::spawn_blocking(move || inner.store.get(RECEIPTS, &place));
        let found = found
            .await
            .map_err(|_| refuse::internal())?
            .map_err(|error| refuse::store(&error))?;
        found
            .map(|bytes| QuorumReceipt::from_bytes(&bytes).map_err(|_| refuse::internal()))
            .transpose()
    }

    /// Sends anchor transactions until the store or the ledger fails.
    pub(crate) async fn run_for_ever(&self) -> StoreError {
        let inner = &self.inner;
        let mut commits = inner.ledger.commits();
        let mut next_at = Instant::now();
        let mut expiry = interval(EXPIRY_INTERVAL);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What waits from before the start may have become final since.
        if let Err(error) = self.look_for_final().await {
            return error;
        }
        loop {
            let due = lock(&inner.state)
                .waiting
                .values()
                .any(|waiting| waiting.sent_until.is_none());
            tokio::select! {
                commit = commits.recv() => match commit {
                    Ok(commit) => {
                        if let Err(error) = self.committed(&commit).await {
                            return error;
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        if let Err(error) = self.look_for_final().await {
                            return error;
                        }
                    }
                    Err(broadcast::error::RecvError::Closed) => return StoreError::Closed,
                },
                _ = expiry.tick() => {
                    if let Err(error) = self.expire().await {
                        return error;
                    }
                }
                () = inner.wake.notified(), if !due => {
                    sleep(LINGER).await;
                }
                () = sleep_until(next_at), if due => {
                    match self.send().await {
                        Ok(true) => next_at = later(inner.interval),
                        // There was no room for it: try again soon.
                        Ok(false) => next_at = later(inner.interval / 4),
                        Err(error) => return error,
                    }
                }
            }
        }
    }

    /// Makes one transaction of what waits longest.
    async fn send(&self) -> Result<bool, StoreError> {
        let inner = &self.inner;
        let mut chosen: Vec<(Digest, Option<QuorumReceipt>)> = {
            let state = lock(&inner.state);
            let unsent = state.waiting.iter().filter(|(_, waiting)| waiting.sent_until.is_none());
            unsent
                .take(ANCHOR_LEAVES_MAX)
                .map(|(leaf, waiting)| (*leaf, (!waiting.durable).then(|| waiting.receipt.clone())))
                .collect()
        };
        let mut batch = Batch::new();
        let mut leaves = Vec::with_capacity(chosen.len());
        for (leaf, receipt) in chosen.drain(..) {
            if let Some(receipt) = receipt {
                let bytes = receipt.to_bytes().map_err(|_| StoreError::Mismatch)?;
                let place = place(&receipt.tag, &receipt.envelope);
                batch.put(RECEIPTS_EXPIRING, expiring(receipt.expiry, &place), Vec::new());
                batch.put(RECEIPTS, place, bytes.clone());
                batch.put(WAITING, leaf.as_bytes().to_vec(), bytes);
            }
            leaves.push(leaf);
        }
        if !batch.is_empty() {
            self.commit(batch).await?;
            let mut state = lock(&inner.state);
            for leaf in &leaves {
                if let Some(waiting) = state.waiting.get_mut(leaf) {
                    waiting.durable = true;
                }
            }
        }
        let Some(anchor) = Anchor::new(leaves.clone()) else {
            return Ok(true);
        };
        let valid_until = inner.ledger.tip().height.saturating_add(LIFETIME_HEIGHTS);
        let transaction = Transaction::sponsored(
            &inner.network,
            &inner.key,
            Body::Anchor(anchor),
            valid_until,
            inner.ledger.next_nonce(),
        );
        let submitted = match transaction {
            Ok(transaction) => inner.ledger.submit(transaction).await,
            Err(error) => {
                tracing::error!(%error, "an anchor transaction could not be made");
                return Err(StoreError::Mismatch);
            }
        };
        match submitted {
            Ok(_) => {
                inner.metrics.anchors_sent.inc();
                tracing::debug!(leaves = leaves.len(), until = %valid_until, "anchor transaction sent");
                let mut state = lock(&inner.state);
                for leaf in &leaves {
                    if let Some(waiting) = state.waiting.get_mut(leaf) {
                        waiting.sent_until = Some(valid_until);
                    }
                }
                Ok(true)
            }
            Err(error) => {
                tracing::debug!(%error, "an anchor transaction was not taken");
                Ok(false)
            }
        }
    }

    /// Notes which leaves a block made final, and which transactions have expired.
    async fn committed(&self, commit: &Commit) -> Result<(), StoreError> {
        let mut done = Batch::new();
        {
            let mut state = lock(&self.inner.state);
            for leaf in &commit.leaves {
                if let Some(waiting) = state.waiting.remove(leaf)
                    && waiting.durable
                {
                    done.delete(WAITING, leaf.as_bytes().to_vec());
                }
            }
            for waiting in state.waiting.values_mut() {
                if waiting.sent_until.is_some_and(|until| until < commit.height) {
                    waiting.sent_until = None;
                }
            }
            self.inner.show(&state);
        }
        if done.is_empty() {
            Ok(())
        } else {
            self.commit(done).await
        }
    }

    /// As [`committed`](Self::committed) where blocks were missed.
    async fn look_for_final(&self) -> Result<(), StoreError> {
        let leaves: Vec<Digest> = lock(&self.inner.state).waiting.keys().copied().collect();
        let mut found = BTreeSet::new();
        for leaf in leaves {
            if matches!(self.inner.ledger.anchored_at(&leaf).await, Ok(Some(_))) {
                found.insert(leaf);
            }
        }
        let commit = Commit {
            height: self.inner.ledger.tip().height,
            leaves: found.into_iter().collect(),
            groups: Vec::new(),
        };
        self.committed(&commit).await
    }

    /// Forgets receipts whose envelopes have expired.
    async fn expire(&self) -> Result<(), StoreError> {
        let now = clock::now_seconds();
        loop {
            let inner = self.inner.clone();
            let expired = move || {
                let mut batch = Batch::new();
                for (key, _) in inner.store.scan(RECEIPTS_EXPIRING, &[], &[], EXPIRE_AT_ONCE, false)? {
                    let Some((expiry, place)) = key.split_first_chunk::<8>() else {
                        continue;
                    };
                    if u64::from_be_bytes(*expiry) > now.get() {
                        break;
                    }
                    batch.delete(RECEIPTS, place.to_vec());
                    batch.delete(RECEIPTS_EXPIRING, key);
                }
                let expired = batch.len();
                if expired > 0 {
                    inner.store.commit(batch)?;
                }
                Ok(expired)
            };
            let expired = tokio::task::spawn_blocking(expired).await;
            if expired.unwrap_or(Err(StoreError::Closed))? == 0 {
                break;
            }
        }
        // An expired envelope needs no proof any more.
        let mut gone = Batch::new();
        {
            let mut state = lock(&self.inner.state);
            state.waiting.retain(|leaf, waiting| {
                let stays = waiting.receipt.expiry > now;
                if !stays && waiting.durable {
                    gone.delete(WAITING, leaf.as_bytes().to_vec());
                }
                stays
            });
            self.inner.show(&state);
        }
        if gone.is_empty() {
            Ok(())
        } else {
            self.commit(gone).await
        }
    }

    /// Commits a batch without blocking the runtime.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let store = self.inner.store.clone();
        let committed = tokio::task::spawn_blocking(move || store.commit(batch)).await;
        committed.unwrap_or(Err(StoreError::Closed))
    }
}

impl Inner {
    fn show(&self, state: &State) {
        self.metrics
            .anchors_waiting
            .set(i64::try_from(state.waiting.len()).unwrap_or(i64::MAX));
    }
}

/// The key of a receipt.
fn place(tag: &MailboxTag, envelope: &EnvelopeId) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    key.extend_from_slice(tag.as_bytes());
    key.extend_from_slice(envelope.as_bytes());
    key
}

/// The key of a receipt in the order of expiry.
fn expiring(expiry: UnixSeconds, place: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(72);
    key.extend_from_slice(&expiry.get().to_be_bytes());
    key.extend_from_slice(place);
    key
}

/// A moment from now.
fn later(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or(now)
}
