//! The ledger as the rest of the node sees it: what is committed, and what waits to be.
//!
//! Executing and committing block on the disk, and the consensus engine has a runtime of its own: so whatever the engine
//! asks is done on this node's runtime, and what blocks on its blocking threads.

use crate::clock;
use crate::metrics::Metrics;
use crate::queue::lock;
use crate::refuse;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokenim_consensus::{Application, Block, BlockDigest, Certificate, FinalityProof, Misbehaviour, Verdict};
use tokenim_execution::{BlockRoom, ExecutionError, Executor, Mempool, MempoolError, MempoolLimits, Reader};
use tokenim_identity::IdentityId;
use tokenim_ledger::{
    AcceptanceProof, HistoryPage, LookupProof, Outcome, Rejection, StateKey, Transaction, TransactionError,
    TransactionId, VerifiedTransaction,
};
use tokenim_mailbox::{NodeSet, QuorumReceipt};
use tokenim_rpc::{RpcError, TransactionStatus};
use tokenim_storage_fjall::FjallStore;
use tokenim_wire::limits::HISTORY_ENTRIES_MAX;
use tokenim_wire::{Digest, Epoch, Height, NetworkId, UnixMillis};
use tokio::runtime::Handle;
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// The store of the node.
pub(crate) type Store = Arc<FjallStore>;

/// Commits that a slow listener may be behind.
const COMMITS_BUFFERED: usize = 256;
/// Refused transactions that are remembered, to tell their senders.
const REFUSED_MAX: usize = 4096;
/// Milliseconds by which a record may come too early. One that comes earlier is refused, and told when to come again.
const EARLY_MILLIS_MAX: u64 = 10_000;
/// Transactions whose time of arrival is remembered, to measure how long they took.
const TIMED_MAX: usize = 8192;

/// The newest committed block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tip {
    pub(crate) height: Height,
    /// Its own time.
    pub(crate) time: UnixMillis,
    /// When it was committed here; none if that was before the start.
    pub(crate) since_start: Option<Instant>,
}

/// What a block did that others here wait for.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) height: Height,
    pub(crate) leaves: Vec<Digest>,
    /// Entries of group logs that are new or have a new child, ascending.
    pub(crate) groups: Vec<StateKey>,
}

/// Why a transaction is not taken.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error(transparent)]
    Invalid(TransactionError),
    #[error(transparent)]
    Rejected(Rejection),
    #[error(transparent)]
    Mempool(MempoolError),
    #[error("the ledger failed")]
    Failed,
}

/// The ledger of one node. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    network: NetworkId,
    executor: Executor<Store>,
    reader: Reader<Store>,
    mempool: Mutex<Mempool>,
    /// Something came into the mempool.
    arrived: Notify,
    tip: watch::Sender<Tip>,
    sets: watch::Sender<[Arc<NodeSet>; 2]>,
    commits: broadcast::Sender<Arc<Commit>>,
    refused: Mutex<BTreeMap<TransactionId, (Height, Rejection)>>,
    timed: Mutex<HashMap<TransactionId, Instant>>,
    /// Transactions made here, for the other nodes.
    gossip: mpsc::UnboundedSender<Transaction>,
    runtime: Handle,
    heartbeat: Duration,
    nonce: AtomicU64,
    metrics: Metrics,
}

impl Ledger {
    /// A ledger over an executor. Transactions that are made here come out of the receiver. Must be called within the
    /// runtime.
    pub(crate) fn new(
        executor: Executor<Store>,
        heartbeat: Duration,
        nonce: u64,
        metrics: Metrics,
    ) -> (Self, mpsc::UnboundedReceiver<Transaction>) {
        let (gossip, to_gossip) = mpsc::unbounded_channel();
        let header = executor.tip();
        let tip = Tip {
            height: header.height,
            time: header.time,
            since_start: None,
        };
        metrics.height.set(gauge(header.height.get()));
        let inner = Inner {
            network: *executor.network(),
            reader: executor.reader(),
            mempool: Mutex::new(Mempool::new(MempoolLimits::default())),
            arrived: Notify::new(),
            tip: watch::Sender::new(tip),
            sets: watch::Sender::new([executor.node_set(), executor.previous_node_set()]),
            commits: broadcast::Sender::new(COMMITS_BUFFERED),
            refused: Mutex::default(),
            timed: Mutex::default(),
            gossip,
            runtime: Handle::current(),
            heartbeat,
            nonce: AtomicU64::new(nonce),
            metrics,
            executor,
        };
        (Self { inner: Arc::new(inner) }, to_gossip)
    }

    /// The newest committed block.
    pub(crate) fn tip(&self) -> Tip {
        *self.inner.tip.borrow()
    }

    /// The newest committed block, and each further one; also woken by a certificate that came late.
    pub(crate) fn tips(&self) -> watch::Receiver<Tip> {
        self.inner.tip.subscribe()
    }

    /// The current node set.
    pub(crate) fn node_set(&self) -> Arc<NodeSet> {
        let [current, _] = &*self.inner.sets.borrow();
        current.clone()
    }

    /// The current and the previous node set, and their changes.
    pub(crate) fn node_sets_watch(&self) -> watch::Receiver<[Arc<NodeSet>; 2]> {
        self.inner.sets.subscribe()
    }

    /// The current and the previous node set.
    pub(crate) fn node_sets(&self) -> [Arc<NodeSet>; 2] {
        self.inner.sets.borrow().clone()
    }

    /// What each block does from now on.
    pub(crate) fn commits(&self) -> broadcast::Receiver<Arc<Commit>> {
        self.inner.commits.subscribe()
    }

    /// A number that no transaction of this node had before.
    pub(crate) fn next_nonce(&self) -> u64 {
        self.inner.nonce.fetch_add(1, Ordering::Relaxed)
    }

    /// The waiting transactions of one sponsor.
    pub(crate) fn waiting_of(&self, sponsor: &tokenim_identity::NodeKey) -> Vec<Transaction> {
        let mempool = lock(&self.inner.mempool);
        let own = mempool
            .iter()
            .filter(|waiting| waiting.transaction().sponsor == *sponsor);
        own.map(|waiting| waiting.transaction().clone()).collect()
    }

    /// Reads what is committed on a blocking thread.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader<Store>) -> Result<T, ExecutionError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let inner = self.inner.clone();
        match self.inner.runtime.spawn_blocking(move || read(&inner.reader)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::error!(%error, "the ledger could not be read");
                Err(refuse::internal())
            }
            Err(_) => Err(refuse::internal()),
        }
    }

    /// What stands under a key, with its proof; none before the first certificate.
    pub(crate) async fn lookup(&self, key: StateKey) -> Result<Option<LookupProof>, RpcError> {
        self.read(move |reader| reader.lookup(&key)).await
    }

    /// Records of an identity from number `from` on; none if there is no such identity.
    pub(crate) async fn history(&self, identity: IdentityId, from: u64) -> Result<Option<HistoryPage>, RpcError> {
        self.read(move |reader| reader.history(&identity, from, HISTORY_ENTRIES_MAX))
            .await
    }

    /// The value under a key, without a proof.
    pub(crate) async fn value(&self, key: StateKey) -> Result<Option<Vec<u8>>, RpcError> {
        self.read(move |reader| reader.value(&key)).await
    }

    /// Proves that an envelope was accepted; none while that is not final.
    pub(crate) async fn acceptance(&self, receipt: QuorumReceipt) -> Result<Option<AcceptanceProof>, RpcError> {
        self.read(move |reader| reader.acceptance(&receipt)).await
    }

    /// Proves that a height is final; none while it is not.
    pub(crate) async fn finality(&self, height: Height) -> Result<Option<FinalityProof>, RpcError> {
        self.read(move |reader| reader.finality_proof(height)).await
    }

    /// The block that anchored a receipt.
    pub(crate) async fn anchored_at(&self, leaf: &Digest) -> Result<Option<Height>, RpcError> {
        let leaf = *leaf;
        let found = self.read(move |reader| reader.anchored(&leaf)).await?;
        Ok(found.map(|(height, _)| height))
    }

    /// What became of a transaction.
    pub(crate) async fn status(&self, id: &TransactionId) -> Result<TransactionStatus, RpcError> {
        let id = *id;
        // Whether it waits is asked before whether it is committed: asked the other way round, a block in between would
        // make it unknown.
        let waits = lock(&self.inner.mempool).get(&id).is_some();
        let found = self.read(move |reader| reader.transaction_status(&id)).await?;
        if let Some((height, outcome)) = found {
            return Ok(TransactionStatus::Final { height, outcome });
        }
        if let Some((_, rejection)) = lock(&self.inner.refused).get(&id).copied() {
            return Ok(TransactionStatus::Refused { rejection });
        }
        Ok(if waits {
            TransactionStatus::Pending
        } else {
            TransactionStatus::Unknown
        })
    }

    /// Takes a transaction that was made here, and passes it on.
    pub(crate) async fn submit(&self, transaction: Transaction) -> Result<TransactionId, SubmitError> {
        let id = self.take(transaction.clone()).await?;
        // Without anybody to pass it on the node is stopping.
        let _ = self.inner.gossip.send(transaction);
        Ok(id)
    }

    /// Takes transactions that another node passed on; returns how many were new and good.
    pub(crate) async fn take_gossip(&self, transactions: Vec<Transaction>) -> u16 {
        let mut taken = 0_u16;
        for transaction in transactions {
            match self.take(transaction).await {
                Ok(_) => taken = taken.saturating_add(1),
                Err(error) => tracing::debug!(%error, "a transaction from another node was not taken"),
            }
        }
        taken
    }

    /// Verifies a transaction, tries it on the committed state, and puts it into the mempool.
    async fn take(&self, transaction: Transaction) -> Result<TransactionId, SubmitError> {
        let began = Instant::now();
        let inner = self.inner.clone();
        let checked = self.inner.runtime.spawn_blocking(move || {
            let id = transaction.id().map_err(|error| SubmitError::Invalid(error.into()))?;
            if lock(&inner.mempool).knows(&id) {
                return Err(SubmitError::Mempool(MempoolError::Duplicate));
            }
            let verified = transaction.verify(&inner.network).map_err(SubmitError::Invalid)?;
            let now = clock::now_millis();
            match inner.executor.check(&verified, now) {
                Ok(Outcome::Applied) => Ok(verified),
                Ok(Outcome::Rejected(rejection)) if is_worth_the_wait(rejection, now) => Ok(verified),
                Ok(Outcome::Rejected(rejection)) => Err(SubmitError::Rejected(rejection)),
                Err(error) => {
                    tracing::error!(%error, "a transaction could not be tried");
                    Err(SubmitError::Failed)
                }
            }
        });
        let verified = checked.await.unwrap_or(Err(SubmitError::Failed))?;
        let id = *verified.id();
        let height = self.tip().height;
        {
            let mut mempool = lock(&self.inner.mempool);
            mempool.insert(verified, height).map_err(SubmitError::Mempool)?;
            self.inner.metrics.mempool.set(gauge_len(mempool.len()));
        }
        {
            let mut timed = lock(&self.inner.timed);
            if timed.len() < TIMED_MAX {
                timed.insert(id, began);
            }
        }
        self.inner.arrived.notify_waiters();
        Ok(id)
    }

    /// The genesis block.
    pub(crate) fn genesis_block(&self) -> Result<Block, ExecutionError> {
        self.inner.executor.genesis_block()
    }
}

impl Inner {
    /// The transactions that may go into a block on `parent`.
    fn candidates(&self, parent: &BlockDigest) -> Vec<VerifiedTransaction> {
        let pending = self.executor.pending_transactions(parent);
        lock(&self.mempool).take(&BlockRoom::default(), &pending)
    }

    /// Builds a block as soon as there is something for it, or an empty one at the heartbeat.
    async fn propose(self: Arc<Self>, parent: Block, epoch: Epoch) -> Option<Block> {
        let deadline = Instant::now().checked_add(self.heartbeat)?;
        let digest = parent.digest();
        let parent = Arc::new(parent);
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let candidates = self.candidates(&digest);
            let over = Instant::now() >= deadline;
            if !candidates.is_empty() || over {
                let (inner, parent) = (self.clone(), parent.clone());
                let built = self
                    .runtime
                    .spawn_blocking(move || inner.executor.propose(&parent, epoch, clock::now_millis(), candidates));
                match built.await.ok()? {
                    Ok(proposal) => {
                        self.forget(&proposal.refused);
                        if !proposal.included.is_empty() || over {
                            return Some(proposal.block);
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "no block could be built");
                        return None;
                    }
                }
            }
            // Something new, or the heartbeat.
            let _ = timeout_at(deadline, arrived).await;
        }
    }

    /// Forgets transactions that can't be applied any more, but not why.
    fn forget(&self, refused: &[(TransactionId, Rejection)]) {
        if refused.is_empty() {
            return;
        }
        lock(&self.mempool).remove(refused.iter().map(|(id, _)| id));
        let height = self.tip.borrow().height;
        let mut all = lock(&self.refused);
        for (id, rejection) in refused {
            tracing::debug!(%rejection, "a waiting transaction can't be applied any more");
            all.insert(*id, (height, *rejection));
        }
        if all.len() > REFUSED_MAX {
            let mut heights: Vec<Height> = all.values().map(|(height, _)| *height).collect();
            heights.sort_unstable();
            let middle = heights.get(heights.len() / 2).copied().unwrap_or(height);
            all.retain(|_, (at, _)| *at > middle);
        }
    }

    /// Commits a final block and tells everyone.
    fn commit(&self, block: &Block, certificate: Option<&Certificate>) -> Result<(), ExecutionError> {
        let committed = self.executor.commit(block, certificate)?;
        if !committed.fresh {
            return Ok(());
        }
        let ids: Vec<TransactionId> = committed.outcomes.iter().map(|(id, _)| *id).collect();
        {
            let mut mempool = lock(&self.mempool);
            mempool.committed(committed.height, &ids);
            self.metrics.mempool.set(gauge_len(mempool.len()));
        }
        self.measure(&ids);
        if let Some(current) = committed.node_set {
            tracing::info!(set_epoch = %current.epoch(), nodes = current.len(), "the node set has changed");
            self.sets.send_replace([current, self.executor.previous_node_set()]);
        }
        self.tip.send_replace(Tip {
            height: committed.height,
            time: block.header.time,
            since_start: Some(Instant::now()),
        });
        self.metrics.height.set(gauge(committed.height.get()));
        self.metrics
            .block_transactions
            .inc_by(u64::try_from(ids.len()).unwrap_or(u64::MAX));
        if !ids.is_empty() {
            tracing::debug!(height = %committed.height, transactions = ids.len(), "block committed");
        }
        // Nobody listening is no error.
        let _ = self.commits.send(Arc::new(Commit {
            height: committed.height,
            leaves: committed.leaves,
            groups: committed.groups,
        }));
        Ok(())
    }

    /// Notes how long transactions took.
    fn measure(&self, ids: &[TransactionId]) {
        let mut timed = lock(&self.timed);
        for id in ids {
            if let Some(began) = timed.remove(id) {
                self.metrics.finality_seconds.observe(began.elapsed().as_secs_f64());
            }
        }
        if timed.len() >= TIMED_MAX {
            timed.clear();
        }
    }
}

/// What the engine drives.
#[derive(Clone)]
pub(crate) struct StateMachine {
    inner: Arc<Inner>,
}

impl Ledger {
    /// What the engine drives.
    pub(crate) fn state_machine(&self) -> StateMachine {
        StateMachine {
            inner: self.inner.clone(),
        }
    }
}

/// A fault of the state machine that stops the engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateMachineError {
    /// The executor failed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// A task of this node panicked or was ended.
    #[error("the node is stopping")]
    Stopping,
}

/// A task that ends with its handle.
struct Owned<T>(JoinHandle<T>);

impl<T> Future for Owned<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(Result::ok)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl StateMachine {
    /// Does something on a blocking thread of this node.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Option<T> {
        let inner = self.inner.clone();
        self.inner.runtime.spawn_blocking(move || work(&inner)).await.ok()
    }
}

impl Application for StateMachine {
    type Error = StateMachineError;

    async fn committed(&self) -> (Height, BlockDigest) {
        self.inner.executor.committed()
    }

    async fn is_executed(&self, digest: &BlockDigest) -> bool {
        let digest = *digest;
        let known = self.blocking(move |inner| inner.executor.is_executed(&digest)).await;
        matches!(known, Some(Ok(true)))
    }

    async fn propose(&self, parent: &Block, epoch: Epoch) -> Option<Block> {
        let proposing = self.inner.clone().propose(parent.clone(), epoch);
        Owned(self.inner.runtime.spawn(proposing)).await?
    }

    async fn execute(&self, block: &Block) -> Verdict {
        let block = block.clone();
        let verdict = self
            .blocking(move |inner| inner.executor.verdict(&block, clock::now_millis()))
            .await;
        match verdict {
            Some(Ok(verdict)) => {
                if let Verdict::Invalid(reason) = verdict {
                    tracing::warn!(reason, "a proposed block is invalid");
                }
                verdict
            }
            Some(Err(error)) => {
                tracing::error!(%error, "a block could not be executed");
                Verdict::Pending
            }
            None => Verdict::Pending,
        }
    }

    async fn on_finalized(&self, block: &Block, certificate: Option<&Certificate>) -> Result<(), Self::Error> {
        let (block, certificate) = (block.clone(), certificate.cloned());
        let committed = self
            .blocking(move |inner| inner.commit(&block, certificate.as_ref()))
            .await;
        Ok(committed.ok_or(StateMachineError::Stopping)??)
    }

    async fn on_certificate(
        &self,
        height: Height,
        _digest: &BlockDigest,
        certificate: &Certificate,
    ) -> Result<(), Self::Error> {
        let certificate = certificate.clone();
        let put = self
            .blocking(move |inner| inner.executor.put_certificate(height, &certificate))
            .await;
        put.ok_or(StateMachineError::Stopping)??;
        // Who waits for a proof looks again.
        self.inner.tip.send_modify(|_| {});
        Ok(())
    }

    async fn on_misbehaviour(&self, evidence: &Misbehaviour) {
        tracing::warn!(
            validator = %crate::links::short(&evidence.validator),
            view = %evidence.view,
            "a validator voted twice"
        );
    }
}

/// Whether a transaction that can't be applied now may wait in the mempool.
fn is_worth_the_wait(rejection: Rejection, now: UnixMillis) -> bool {
    match rejection {
        Rejection::NotDue { due } => due <= now.saturating_add(EARLY_MILLIS_MAX),
        other => other.may_pass_later(),
    }
}

/// A number for a gauge.
fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A length for a gauge.
fn gauge_len(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_a_little_too_early_waits_and_what_comes_far_too_early_does_not() {
        let now = UnixMillis::new(1_000_000);
        let due = |later: u64| Rejection::NotDue {
            due: now.saturating_add(later),
        };
        assert!(is_worth_the_wait(due(1), now));
        assert!(is_worth_the_wait(due(EARLY_MILLIS_MAX), now));
        assert!(!is_worth_the_wait(due(EARLY_MILLIS_MAX + 1), now));
        assert!(is_worth_the_wait(Rejection::GenesisMissing, now));
        assert!(!is_worth_the_wait(Rejection::Outranked, now));
    }
}
