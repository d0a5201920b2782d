//! Blocks from speculation to commitment.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    vec::Vec,
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokenim_consensus::{Block, BlockDigest, Certificate, FinalityProof, Header, Verdict, verify_finality};
use tokenim_ledger::{
    AcceptanceProof, LookupProof, NetworkConfig, Outcome, Payload, Rejection, StateKey, TransactionId,
    VerifiedTransaction,
};
use tokenim_mailbox::{NodeSet, QuorumReceipt};
use tokenim_storage::{Batch, StateStore};
use tokenim_wire::{BoundedVec, Digest, Epoch, Height, NetworkId, Object, UnixMillis};

use crate::{
    ExecutionError, InvalidBlock, Reader, batch,
    genesis::{Genesis, load_tip},
    machine::{self, Rules, Run},
    overlay::{Overlay, Snapshot, View},
    tables,
};

/// Milliseconds by which the time of a block may be ahead of the local clock; one further ahead has to wait.
pub const BLOCK_TIME_AHEAD_MILLIS_MAX: u64 = 2_000;

/// Executed blocks that are kept while they are not committed. One that was dropped is executed again when it is
/// needed.
pub const OVERLAYS_MAX: usize = 64;

/// Certificates that are kept for blocks not yet committed.
const CERTIFICATES_WAITING_MAX: usize = 256;

/// The state machine of one network over one store.
///
/// Shared by reference; every method may be called from any thread. Executing blocks takes no lock for longer than it
/// takes to look an overlay up, and reading what is committed ([`Executor::reader`]) takes none.
#[derive(Debug)]
pub struct Executor<S> {
    store: Arc<S>,
    rules: Rules,
    state: Mutex<State>,
    /// Held by the one commit that is under way.
    committing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    tip: Arc<Snapshot>,
    overlays: BTreeMap<BlockDigest, Arc<Overlay>>,
    /// The keys of `overlays`, the oldest first.
    order: VecDeque<BlockDigest>,
    certificates: BTreeMap<Height, Certificate>,
}

/// The way from a block down to the committed tip.
struct Chain {
    /// The block.
    head: Arc<Snapshot>,
    /// It and its ancestors that are not committed, the newest first; empty for the tip.
    overlays: Vec<Arc<Overlay>>,
}

impl Chain {
    /// The time of the next block when it is made at `now`.
    fn block_time(&self, now: UnixMillis) -> UnixMillis {
        now.max(self.head.header.time.saturating_add(1))
    }
}

/// A block that was executed.
#[derive(Clone, Debug)]
pub struct Executed {
    height: Height,
    digest: BlockDigest,
    overlay: Option<Arc<Overlay>>,
}

impl Executed {
    /// Its height.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// Its digest.
    #[must_use]
    pub const fn digest(&self) -> &BlockDigest {
        &self.digest
    }

    /// What became of its transactions, in order; none for a block that is committed already.
    #[must_use]
    pub fn outcomes(&self) -> &[(TransactionId, Outcome)] {
        self.overlay.as_ref().map_or(&[], |overlay| &overlay.outcomes)
    }
}

/// A block that was committed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Committed {
    /// Its height.
    pub height: Height,
    /// Its digest.
    pub digest: BlockDigest,
    /// Whether this call committed it; else it was committed before, and what follows is empty.
    pub fresh: bool,
    /// What became of its transactions, in order.
    pub outcomes: Vec<(TransactionId, Outcome)>,
    /// The quorum receipts that it anchors, ascending.
    pub leaves: Vec<Digest>,
    /// The entries of group logs that are new or have a new child, ascending by state key.
    pub groups: Vec<StateKey>,
    /// The new node set, if it changed.
    pub node_set: Option<Arc<NodeSet>>,
}

/// A block that was built.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Proposal {
    /// The block; it counts as executed.
    pub block: Block,
    /// The transactions in it, in order.
    pub included: Vec<TransactionId>,
    /// Transactions that can't be applied any more: drop them.
    pub refused: Vec<(TransactionId, Rejection)>,
    /// Transactions that may be applied later: there was no room, they come too early, or they are refused only
    /// because of a parent that is not final.
    pub deferred: Vec<TransactionId>,
}

/// Locks, also after a panic elsewhere: no update of the state is left half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// The way from a block down to the tip, if the block is known.
    fn chain(&self, digest: &BlockDigest) -> Option<Chain> {
        let mut overlays = Vec::new();
        let mut at = *digest;
        while at != self.tip.digest {
            let overlay = self.overlays.get(&at)?;
            overlays.push(Arc::clone(overlay));
            at = *overlay.parent();
        }
        let head = match overlays.first() {
            Some(overlay) => Arc::clone(&overlay.snapshot),
            None => Arc::clone(&self.tip),
        };
        Some(Chain { head, overlays })
    }

    /// Keeps an executed block; drops the oldest ones, but for its ancestors, where there are too many.
    fn insert(&mut self, overlay: Overlay, ancestors: &[Arc<Overlay>]) -> Arc<Overlay> {
        let digest = overlay.snapshot.digest;
        let overlay = Arc::new(overlay);
        if self.overlays.insert(digest, Arc::clone(&overlay)).is_none() {
            self.order.push_back(digest);
        }
        while self.overlays.len() > OVERLAYS_MAX {
            let keep =
                |other: &BlockDigest| *other == digest || ancestors.iter().any(|one| one.snapshot.digest == *other);
            let Some(place) = self.order.iter().position(|other| !keep(other)) else {
                break;
            };
            if let Some(oldest) = self.order.remove(place) {
                self.overlays.remove(&oldest);
            }
        }
        overlay
    }

    /// Moves the tip and drops all overlays that don't descend from it.
    fn advance(&mut self, tip: Arc<Snapshot>) {
        let mut by_height: Vec<(Height, BlockDigest, BlockDigest)> = self
            .overlays
            .iter()
            .map(|(digest, overlay)| (overlay.snapshot.header.height, *digest, *overlay.parent()))
            .collect();
        by_height.sort_unstable();
        let mut alive = BTreeSet::from([tip.digest]);
        for (height, digest, parent) in by_height {
            if height > tip.header.height && alive.contains(&parent) {
                alive.insert(digest);
            }
        }
        alive.remove(&tip.digest);
        self.overlays.retain(|digest, _| alive.contains(digest));
        self.order.retain(|digest| alive.contains(digest));
        self.certificates = self.certificates.split_off(&tip.header.height.saturating_add(1));
        self.tip = tip;
    }
}

impl<S: StateStore> Executor<S> {
    /// Opens the ledger in a store; an empty one gets the genesis block.
    ///
    /// Whether the store is as far as the consensus engine's journal is for the caller to check: a validator whose
    /// store lies behind what it signed must not sign.
    ///
    /// # Errors
    /// [`ExecutionError::ForeignNetwork`] for the store of another network, [`ExecutionError::UnknownFormat`],
    /// [`ExecutionError::Damaged`], [`ExecutionError::Store`]. The store is then as it was.
    pub fn open(store: S, config: &NetworkConfig) -> Result<Self, ExecutionError> {
        let network = config.network_id()?;
        match store.get(tables::META, tables::META_FORMAT)? {
            None => Genesis::new(config)?.write(&store)?,
            Some(format) => match format.as_slice() {
                [tables::FORMAT] => {}
                [format] => return Err(ExecutionError::UnknownFormat(*format)),
                _ => return Err(ExecutionError::Damaged("the format of the store")),
            },
        }
        let stored = store
            .get(tables::META, tables::META_NETWORK)?
            .and_then(|bytes| NetworkId::try_from(bytes.as_slice()).ok())
            .ok_or(ExecutionError::Damaged("the network of the store"))?;
        if stored != network {
            return Err(ExecutionError::ForeignNetwork {
                expected: network,
                stored,
            });
        }
        let store = Arc::new(store);
        let tip = Arc::new(load_tip(&Reader::new(Arc::clone(&store), network), &store)?);
        Ok(Self {
            store,
            rules: Rules {
                network,
                limits: *config.limits(),
                validators: Arc::new(config.validators().clone()),
                validators_digest: config.validators().digest(),
            },
            state: Mutex::new(State {
                tip,
                overlays: BTreeMap::new(),
                order: VecDeque::new(),
                certificates: BTreeMap::new(),
            }),
            committing: Mutex::new(()),
        })
    }

    /// A handle that reads what is committed.
    #[must_use]
    pub fn reader(&self) -> Reader<S> {
        Reader::new(Arc::clone(&self.store), self.rules.network)
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        &self.rules.network
    }

    /// The genesis block.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn genesis_block(&self) -> Result<Block, ExecutionError> {
        self.reader()
            .block(Height::ZERO)?
            .ok_or(ExecutionError::Damaged("the genesis block is missing"))
    }

    /// The last committed block.
    #[must_use]
    pub fn committed(&self) -> (Height, BlockDigest) {
        let state = lock(&self.state);
        (state.tip.header.height, state.tip.digest)
    }

    /// The header of the last committed block.
    #[must_use]
    pub fn tip(&self) -> Header {
        lock(&self.state).tip.header
    }

    /// The node set after the last committed block.
    #[must_use]
    pub fn node_set(&self) -> Arc<NodeSet> {
        Arc::clone(&lock(&self.state).tip.sets.current)
    }

    /// The node set before that one; the same until it has changed once.
    #[must_use]
    pub fn previous_node_set(&self) -> Arc<NodeSet> {
        Arc::clone(&lock(&self.state).tip.sets.previous)
    }

    /// Whether a block is committed or was executed, so that its children can be executed.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn is_executed(&self, digest: &BlockDigest) -> Result<bool, ExecutionError> {
        let known = {
            let state = lock(&self.state);
            state.tip.digest == *digest || state.overlays.contains_key(digest)
        };
        Ok(known || self.reader().height_of(digest)?.is_some())
    }

    /// The transactions in the blocks from `head` down to the committed tip: what to leave out of a block on `head`.
    #[must_use]
    pub fn pending_transactions(&self, head: &BlockDigest) -> BTreeSet<TransactionId> {
        let chain = lock(&self.state).chain(head);
        chain
            .map(|chain| chain.overlays)
            .unwrap_or_default()
            .iter()
            .flat_map(|overlay| overlay.outcomes.iter().map(|(id, _)| *id))
            .collect()
    }

    fn chain(&self, digest: &BlockDigest) -> Result<Chain, ExecutionError> {
        lock(&self.state)
            .chain(digest)
            .ok_or(ExecutionError::UnknownParent { parent: *digest })
    }

    fn begin<'a>(&'a self, chain: &'a Chain, time: UnixMillis) -> Result<Run<'a, S>, ExecutionError> {
        let view = View {
            overlays: &chain.overlays,
            store: self.store.as_ref(),
        };
        Run::begin(&self.rules, view, &chain.head, time)
    }

    /// Keeps an executed block, unless its chain has lost its ground: then a sibling of one of its ancestors was
    /// committed meanwhile, and what it read was not the state of its ancestors.
    fn keep(&self, overlay: Overlay) -> Result<Arc<Overlay>, ExecutionError> {
        let mut state = lock(&self.state);
        let parent = *overlay.parent();
        let chain = state.chain(&parent).ok_or(ExecutionError::UnknownParent { parent })?;
        Ok(state.insert(overlay, &chain.overlays))
    }

    /// Says what would become of a transaction in the next block, as far as the committed state tells, if that block is
    /// made at `now`.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn check(&self, transaction: &VerifiedTransaction, now: UnixMillis) -> Result<Outcome, ExecutionError> {
        let tip = lock(&self.state).tip.digest;
        let chain = self.chain(&tip)?;
        let time = chain.block_time(now);
        self.begin(&chain, time)?.offer(transaction)
    }

    /// Builds a block on `parent` from those of `transactions` that can be applied and have room, in their order. Its
    /// time is `time`, or right after the parent's if that is later.
    ///
    /// # Errors
    /// [`ExecutionError::UnknownParent`], or a local fault.
    pub fn propose(
        &self,
        parent: &Block,
        epoch: Epoch,
        time: UnixMillis,
        transactions: Vec<VerifiedTransaction>,
    ) -> Result<Proposal, ExecutionError> {
        let chain = self.chain(&parent.digest())?;
        let on_final = chain.overlays.is_empty();
        let mut run = self.begin(&chain, chain.block_time(time))?;
        let (height, time) = (run.height(), run.time());
        let (mut included, mut refused, mut deferred) = (Vec::new(), Vec::new(), Vec::new());
        let mut list = BoundedVec::empty();
        for transaction in transactions {
            let id = *transaction.id();
            if !run.has_room(&transaction) {
                deferred.push(id);
                continue;
            }
            match run.offer(&transaction)? {
                Outcome::Applied => {
                    included.push(id);
                    // There was room.
                    if list.push(transaction.into_transaction()).is_err() {
                        return Err(InvalidBlock::PayloadRoot.into());
                    }
                }
                Outcome::Rejected(rejection) if on_final && !rejection.may_pass_later() => {
                    refused.push((id, rejection));
                }
                Outcome::Rejected(_) => deferred.push(id),
            }
        }
        let payload = Payload(list).to_bytes()?;
        let effects = run.finish()?;
        let header = effects
            .roots
            .header(&self.rules, &chain.head, epoch, height, time, &payload);
        if !header.follows(&chain.head.header) {
            return Err(InvalidBlock::Header.into());
        }
        let block = Block::new(header, payload).map_err(|_| InvalidBlock::PayloadRoot)?;
        let overlay = effects.into_overlay(header, header.digest(), block.payload.clone());
        self.keep(overlay)?;
        Ok(Proposal {
            block,
            included,
            refused,
            deferred,
        })
    }

    /// Executes a block on its parent without making anything durable. Idempotent.
    ///
    /// # Errors
    /// [`ExecutionError::Invalid`] if it can never be valid, [`ExecutionError::UnknownParent`] if its parent has to be
    /// executed first, or a local fault.
    pub fn execute(&self, block: &Block) -> Result<Executed, ExecutionError> {
        let digest = block.digest();
        let height = block.header.height;
        let known = lock(&self.state).overlays.get(&digest).cloned();
        if let Some(overlay) = known {
            return Ok(Executed {
                height,
                digest,
                overlay: Some(overlay),
            });
        }
        if self.reader().height_of(&digest)?.is_some() {
            return Ok(Executed {
                height,
                digest,
                overlay: None,
            });
        }
        let parent = block.header.parent;
        let chain = self.chain(&parent)?;
        let overlay = match self.run(&chain, block, digest) {
            Ok(overlay) => self.keep(overlay)?,
            // If a sibling of an ancestor was committed meanwhile, the state that was read was not the parent's.
            Err(error) => return Err(self.chain(&parent).err().unwrap_or(error)),
        };
        Ok(Executed {
            height,
            digest,
            overlay: Some(overlay),
        })
    }

    /// Executes a block and compares what it leads to with what its header says.
    fn run(&self, chain: &Chain, block: &Block, digest: BlockDigest) -> Result<Overlay, ExecutionError> {
        if !block.header.follows(&chain.head.header) {
            return Err(InvalidBlock::Header.into());
        }
        block.check().map_err(|_| InvalidBlock::PayloadRoot)?;
        let transactions = machine::verified_payload(&self.rules, &block.payload)?;
        let mut run = self.begin(chain, block.header.time)?;
        for transaction in &transactions {
            run.include(transaction)?;
        }
        let effects = run.finish()?;
        effects.roots.check(&block.header)?;
        Ok(effects.into_overlay(block.header, digest, block.payload.clone()))
    }

    /// [`execute`](Self::execute) as a verdict at the local time `now`: pending while the parent is unknown or the
    /// block's time is more than [`BLOCK_TIME_AHEAD_MILLIS_MAX`] ahead.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault alone.
    pub fn verdict(&self, block: &Block, now: UnixMillis) -> Result<Verdict, ExecutionError> {
        if block.header.time > now.saturating_add(BLOCK_TIME_AHEAD_MILLIS_MAX) {
            return Ok(Verdict::Pending);
        }
        match self.execute(block) {
            Ok(_) => Ok(Verdict::Valid),
            Err(ExecutionError::Invalid(invalid)) => Ok(Verdict::Invalid(invalid.reason())),
            Err(ExecutionError::UnknownParent { .. }) => Ok(Verdict::Pending),
            Err(error) => Err(error),
        }
    }

    /// Commits a final block, the one after the last committed, with its certificate if it has one. Durable when it
    /// returns: header, payload, state, receipts, transaction status and certificate in one batch. Idempotent: a block
    /// that is committed already changes nothing. One that was not executed is executed now.
    ///
    /// # Errors
    /// [`ExecutionError::NotNext`], [`ExecutionError::Fork`], [`ExecutionError::Certificate`],
    /// [`ExecutionError::Invalid`] for a final block that is invalid here, or a local fault. All are reasons to stop.
    pub fn commit(&self, block: &Block, certificate: Option<&Certificate>) -> Result<Committed, ExecutionError> {
        let _one = lock(&self.committing);
        let (height, digest) = (block.header.height, block.digest());
        let (tip_height, tip_digest) = self.committed();
        if height <= tip_height {
            if self.reader().height_of(&digest)? != Some(height) {
                return Err(ExecutionError::Fork { height });
            }
            if let Some(certificate) = certificate {
                self.certify(height, certificate)?;
            }
            return Ok(Committed {
                height,
                digest,
                fresh: false,
                outcomes: Vec::new(),
                leaves: Vec::new(),
                groups: Vec::new(),
                node_set: None,
            });
        }
        let expected = tip_height.saturating_add(1);
        if height != expected {
            return Err(ExecutionError::NotNext {
                expected,
                actual: height,
            });
        }
        if block.header.parent != tip_digest {
            return Err(ExecutionError::Fork { height: tip_height });
        }
        if let Some(certificate) = certificate {
            verify_finality(&self.rules.network, &self.rules.validators, &block.header, certificate)?;
        }
        let known = lock(&self.state).overlays.get(&digest).cloned();
        let overlay = match known {
            Some(overlay) => overlay,
            None => {
                let chain = self.chain(&tip_digest)?;
                self.keep(self.run(&chain, block, digest)?)?
            }
        };
        // A write that failed may have happened all the same; then there is nothing left to write.
        if self.reader().height_of(&digest)? != Some(height) {
            let waiting = match certificate {
                Some(_) => None,
                None => self.waiting_certificate(&block.header),
            };
            let writes = batch::of(self.store.as_ref(), &overlay, certificate.or(waiting.as_ref()))?;
            self.store.commit(writes)?;
        }
        lock(&self.state).advance(Arc::clone(&overlay.snapshot));
        Ok(Committed {
            height,
            digest,
            fresh: true,
            outcomes: overlay.outcomes.clone(),
            leaves: overlay.leaves.clone(),
            groups: overlay.groups.iter().copied().collect(),
            node_set: overlay.sets_changed.then(|| Arc::clone(&overlay.snapshot.sets.current)),
        })
    }

    /// A certificate that came before its block, if it is one.
    fn waiting_certificate(&self, header: &Header) -> Option<Certificate> {
        let waiting = lock(&self.state).certificates.get(&header.height).cloned()?;
        verify_finality(&self.rules.network, &self.rules.validators, header, &waiting).ok()?;
        Some(waiting)
    }

    /// Takes the certificate of the block at a height. That of a committed block is verified and durable when this
    /// returns, one for a block to come is verified and written with it. Idempotent.
    ///
    /// # Errors
    /// [`ExecutionError::Certificate`] if it does not make the committed block final, or a local fault.
    pub fn put_certificate(&self, height: Height, certificate: &Certificate) -> Result<(), ExecutionError> {
        let _one = lock(&self.committing);
        {
            let mut state = lock(&self.state);
            if height > state.tip.header.height {
                let room = state.certificates.len() < CERTIFICATES_WAITING_MAX;
                if room || state.certificates.contains_key(&height) {
                    state.certificates.insert(height, certificate.clone());
                }
                return Ok(());
            }
        }
        self.certify(height, certificate)
    }

    /// Verifies and writes the certificate of a committed block.
    fn certify(&self, height: Height, certificate: &Certificate) -> Result<(), ExecutionError> {
        let reader = self.reader();
        if reader.certificate(height)?.is_some() {
            return Ok(());
        }
        let header = reader
            .header(height)?
            .ok_or(ExecutionError::Damaged("a header is missing"))?;
        verify_finality(&self.rules.network, &self.rules.validators, &header, certificate)?;
        let mut batch = Batch::new();
        let key = tables::height_key(height);
        batch.put(tables::CERTIFICATES, key, certificate.as_bytes());
        if reader.certified()?.is_none_or(|certified| certified < height) {
            batch.put(tables::META, tables::META_CERTIFIED, key);
        }
        Ok(self.store.commit(batch)?)
    }

    /// [`Reader::finality_proof`]
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn finality_proof(&self, height: Height) -> Result<Option<FinalityProof>, ExecutionError> {
        self.reader().finality_proof(height)
    }

    /// [`Reader::lookup`]
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn lookup(&self, key: &StateKey) -> Result<Option<LookupProof>, ExecutionError> {
        self.reader().lookup(key)
    }

    /// [`Reader::acceptance`]
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn acceptance(&self, receipt: &QuorumReceipt) -> Result<Option<AcceptanceProof>, ExecutionError> {
        self.reader().acceptance(receipt)
    }

    /// [`Reader::transaction_status`]
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn transaction_status(&self, id: &TransactionId) -> Result<Option<(Height, Outcome)>, ExecutionError> {
        self.reader().transaction_status(id)
    }

    /// [`Reader::block`]
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn block(&self, height: Height) -> Result<Option<Block>, ExecutionError> {
        self.reader().block(height)
    }
}
