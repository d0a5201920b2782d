//! The engine's questions to the application: propose, verify, certify, and the broadcast of what
//! was proposed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use commonware_actor::Feedback;
use commonware_consensus::{
    Automaton, CertifiableAutomaton, Epochable as _, Relay,
    marshal::core::{CommitmentFallback, DigestFallback},
    simplex::Plan,
    types::{Height as EngineHeight, Round},
};
use commonware_cryptography::{Digested, Digestible as _};
use commonware_macros::select;
use commonware_p2p::Recipients;
use commonware_runtime::{Clock, Error as RuntimeError, Handle, Spawner};
use commonware_utils::channel::oneshot;
use tokenim_consensus::{Application, Verdict};
use tokenim_wire::{Epoch, Height, NetworkId};

use crate::{
    EngineError,
    block::EngineBlock,
    fault::Fault,
    types::{Context, EngineDigest, Marshal, PublicKey},
};

/// How often an application is asked again that could not decide yet.
const PENDING_RETRY: Duration = Duration::from_millis(100);

/// Blocks executed on top of the last committed one before the commits are waited for.
const SPECULATION_DEPTH_MAX: u64 = 128;

/// How often the commits are looked at while waiting for them, and how many looks without
/// progress end the wait.
const COMMIT_POLL: Duration = Duration::from_millis(100);
const COMMIT_POLLS_WITHOUT_PROGRESS_MAX: u32 = 50;

type SyncHandle = Handle<()>;

/// What is known about blocks of rounds that are not decided yet.
#[derive(Default)]
struct Rounds {
    /// Resolves to the handle of the sync that makes the block durable; consumed by certification.
    persisted: BTreeMap<(Round, EngineDigest), oneshot::Receiver<SyncHandle>>,
    /// Own proposals not yet broadcast, with the other end of the above.
    staged: BTreeMap<(Round, EngineDigest), (Digested<EngineBlock>, oneshot::Sender<SyncHandle>)>,
}

/// Drives an application for the engine. Clones are one driver.
pub(crate) struct Driver<E, A> {
    inner: Arc<Inner<E, A>>,
}

impl<E, A> Clone for Driver<E, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

struct Inner<E, A> {
    context: E,
    application: A,
    marshal: Marshal,
    network: NetworkId,
    epoch: Epoch,
    rounds: Mutex<Rounds>,
    fault: Fault,
}

/// Whether a block's children can be executed.
enum Ancestry {
    /// They can.
    Executed,
    /// Never: the block is invalid, or final blocks contradict it.
    Dead,
    /// Unknown: the engine is stopping.
    Unknown,
}

impl<E: Spawner + Clock, A: Application> Driver<E, A> {
    pub(crate) fn new(
        context: E,
        application: A,
        marshal: Marshal,
        network: NetworkId,
        epoch: Epoch,
        fault: Fault,
    ) -> Self {
        let rounds = Mutex::default();
        Self {
            inner: Arc::new(Inner {
                context,
                application,
                marshal,
                network,
                epoch,
                rounds,
                fault,
            }),
        }
    }

    /// Forgets what was kept for this round and those before it.
    pub(crate) fn decided(&self, decided: Round) {
        let mut rounds = self.inner.rounds();
        rounds.persisted.retain(|(round, _), _| *round > decided);
        rounds.staged.retain(|(round, _), _| *round > decided);
    }
}

impl<E: Spawner + Clock, A: Application> Inner<E, A> {
    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn parent(&self, context: &Context) -> Option<Digested<EngineBlock>> {
        let (view, digest) = context.parent;
        let round = Round::new(context.epoch(), view);
        self.marshal
            .subscribe_by_commitment(digest, CommitmentFallback::FetchByRound { round })
            .await
            .ok()
    }

    /// Builds a block on the context's parent.
    async fn build(&self, context: &Context) -> Option<Digested<EngineBlock>> {
        let parent = self.parent(context).await?;
        let Ancestry::Executed = self.execute_ancestry(&parent).await else {
            return None;
        };
        let parent = parent.inner().block();
        let block = self.application.propose(parent, self.epoch).await?;
        let header = &block.header;
        if let Err(error) = block.check() {
            tracing::error!(%error, height = %header.height, "the application proposed a block that is none");
            return None;
        }
        if header.chain != self.network || header.epoch != self.epoch || !header.follows(&parent.header) {
            tracing::error!(height = %header.height, "the application proposed a block that does not follow its parent");
            return None;
        }
        match EngineBlock::new(block) {
            Ok(block) => Some(block.digested()),
            Err(error) => {
                tracing::error!(%error, "the application proposed a block that cannot be encoded");
                None
            }
        }
    }

    /// The verdict on a proposal; `None` if there is none because the engine is stopping.
    async fn judge(&self, context: &Context, block: &Digested<EngineBlock>) -> Option<bool> {
        let parent = self.parent(context).await?;
        let header = &block.inner().block().header;
        if header.chain != self.network || header.epoch != self.epoch || !header.follows(&parent.inner().block().header)
        {
            tracing::warn!(height = %header.height, "proposal does not follow its parent");
            return Some(false);
        }
        match self.execute_ancestry(&parent).await {
            Ancestry::Executed => Some(self.execute(block).await),
            Ancestry::Dead => Some(false),
            Ancestry::Unknown => None,
        }
    }

    /// Executes a block whose parent is executed; waits while the application cannot decide.
    async fn execute(&self, block: &Digested<EngineBlock>) -> bool {
        loop {
            match self.application.execute(block.inner().block()).await {
                Verdict::Valid => return true,
                Verdict::Invalid(reason) => {
                    tracing::warn!(block = %block.inner().name(), reason, "block is invalid");
                    return false;
                }
                Verdict::Pending => self.context.sleep(PENDING_RETRY).await,
            }
        }
    }

    /// Walks back from `block` to one that the application has executed or committed, then executes
    /// what is missing, oldest first.
    async fn execute_ancestry(&self, block: &Digested<EngineBlock>) -> Ancestry {
        self.await_commits(block.inner().block().header.height).await;
        let mut missing = Vec::new();
        let mut current = block.clone();
        while !self.application.is_executed(current.inner().name()).await {
            let height = current.inner().block().header.height;
            if height <= self.application.committed().await.0 {
                // It may have been committed between the two questions.
                if self.application.is_executed(current.inner().name()).await {
                    break;
                }
                tracing::warn!(%height, "block contradicts a final one");
                return Ancestry::Dead;
            }
            let fallback = CommitmentFallback::FetchByCommitment {
                height: EngineHeight::new(height.get().saturating_sub(1)),
            };
            let parent = commonware_consensus::Block::parent(current.inner());
            let Ok(parent) = self.marshal.subscribe_by_commitment(parent, fallback).await else {
                return Ancestry::Unknown;
            };
            missing.push(std::mem::replace(&mut current, parent));
        }
        for block in missing.iter().rev() {
            if !self.execute(block).await {
                return Ancestry::Dead;
            }
        }
        Ancestry::Executed
    }

    /// Lets the commits come near `height`, so that a node that has fallen far behind does not
    /// hold all it missed in memory; but not when they don't move.
    async fn await_commits(&self, height: Height) {
        let mut before = None;
        let mut polls = 0;
        loop {
            let (committed, _) = self.application.committed().await;
            if height.since(committed).unwrap_or(0) <= SPECULATION_DEPTH_MAX {
                return;
            }
            polls = if before == Some(committed) { polls + 1 } else { 0 };
            if polls >= COMMIT_POLLS_WITHOUT_PROGRESS_MAX {
                return;
            }
            before = Some(committed);
            self.context.sleep(COMMIT_POLL).await;
        }
    }

    /// Waits until a block is durable. `None` if that is not known, false never: a failed sync
    /// stops the engine.
    async fn durable(&self, handle: SyncHandle) -> Option<()> {
        match handle.await {
            Ok(()) => Some(()),
            Err(RuntimeError::Closed | RuntimeError::Aborted) => None,
            Err(error) => {
                self.fault.raise(EngineError::Storage(error.to_string()));
                None
            }
        }
    }

    /// Resolves to true once the notarized block is durable here; `None` when the engine stops.
    async fn obtain(
        &self,
        round: Round,
        digest: EngineDigest,
        persisted: Option<oneshot::Receiver<SyncHandle>>,
    ) -> Option<()> {
        if let Some(persisted) = persisted
            && let Ok(handle) = persisted.await
        {
            return self.durable(handle).await;
        }
        // Nobody here is storing it, as after a restart: a quorum has notarized it, so peers have it.
        let fetch = DigestFallback::FetchByRound { round };
        let block = self.marshal.subscribe_by_digest(digest, fetch).await.ok()?;
        self.marshal.certified(round, block).await.then_some(())
    }
}

impl<E: Spawner + Clock, A: Application> Automaton for Driver<E, A> {
    type Context = Context;
    type Digest = EngineDigest;

    async fn propose(&mut self, context: Context) -> oneshot::Receiver<EngineDigest> {
        let (mut answer, receiver) = oneshot::channel();
        let inner = self.inner.clone();
        self.inner
            .context
            .child("propose")
            .shared(true)
            .spawn(move |_| async move {
                let block = select! {
                    _ = answer.closed() => return,
                    block = inner.build(&context) => block,
                };
                let Some(block) = block else {
                    return;
                };
                let digest = block.digest();
                let (persist, persisted) = oneshot::channel();
                {
                    // Before the engine hears of the proposal, so that the broadcast finds it.
                    let mut rounds = inner.rounds();
                    rounds.persisted.insert((context.round, digest), persisted);
                    rounds.staged.insert((context.round, digest), (block, persist));
                }
                let _ = answer.send(digest);
            });
        receiver
    }

    async fn verify(&mut self, context: Context, digest: EngineDigest) -> oneshot::Receiver<bool> {
        let (mut answer, receiver) = oneshot::channel();
        if digest == context.parent.1 {
            let _ = answer.send(false);
            return receiver;
        }
        // Asked for before certification can know of it: whichever of broadcast and certification
        // brings the block then finds this waiting.
        let block = self.inner.marshal.subscribe_by_digest(digest, DigestFallback::Wait);
        let (persist, persisted) = oneshot::channel();
        self.inner.rounds().persisted.insert((context.round, digest), persisted);
        let inner = self.inner.clone();
        self.inner
            .context
            .child("verify")
            .shared(true)
            .spawn(move |_| async move {
                let block = select! {
                    _ = answer.closed() => return,
                    block = block => block,
                };
                let Ok(block) = block else {
                    return;
                };
                // Stored while it is judged: what is stored is available, not valid.
                inner.marshal.verified_deferred(context.round, block.clone(), persist);
                let verdict = select! {
                    _ = answer.closed() => return,
                    verdict = inner.judge(&context, &block) => verdict,
                };
                if let Some(valid) = verdict {
                    let _ = answer.send(valid);
                }
            });
        receiver
    }
}

impl<E: Spawner + Clock, A: Application> CertifiableAutomaton for Driver<E, A> {
    /// A block can be made final once it is durable here. Whether it is valid was settled when it
    /// was notarized: more than a third of the validators, so one honest one, found it so.
    async fn certify(&mut self, round: Round, digest: EngineDigest) -> oneshot::Receiver<bool> {
        let (mut answer, receiver) = oneshot::channel();
        let persisted = self.inner.rounds().persisted.remove(&(round, digest));
        if persisted.is_some() {
            // Verification waits for the broadcast only; this fetches a block that never comes.
            self.inner.marshal.hint_notarized(round, digest);
        }
        let inner = self.inner.clone();
        self.inner.context.child("certify").spawn(move |_| async move {
            let obtained = select! {
                _ = answer.closed() => return,
                obtained = inner.obtain(round, digest, persisted) => obtained,
            };
            if obtained.is_some() {
                let _ = answer.send(true);
            }
        });
        receiver
    }
}

impl<E: Spawner + Clock, A: Application> Relay for Driver<E, A> {
    type Digest = EngineDigest;
    type PublicKey = PublicKey;
    type Plan = Plan<PublicKey>;

    fn broadcast(&mut self, digest: EngineDigest, plan: Plan<PublicKey>) -> Feedback {
        match plan {
            // Nothing is ever prepared before its parent is certified.
            Plan::Prepare { .. } => Feedback::Ok,
            Plan::Propose { round } => match self.inner.rounds().staged.remove(&(round, digest)) {
                Some((block, persist)) => self.inner.marshal.proposed(round, block, Recipients::All, persist),
                None => Feedback::Ok,
            },
            Plan::Forward { round, recipients } => self.inner.marshal.forward(round, digest, recipients),
        }
    }
}
