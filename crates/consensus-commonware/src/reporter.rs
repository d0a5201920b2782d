//! What the engine reports, and the one task that hands it to the application in order.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use commonware_actor::Feedback;
use commonware_consensus::{Reporter, Viewable as _, marshal::Update, types::Height as EngineHeight};
use commonware_cryptography::Digested;
use commonware_macros::select;
use commonware_runtime::{Clock, Spawner};
use commonware_utils::{Acknowledgement as _, acknowledgement::Exact, channel::mpsc};
use tokenim_consensus::{Application, BlockDigest, Certificate, Misbehaviour, ValidatorSet};
use tokenim_wire::{Height, NetworkId};

use crate::{
    EngineError,
    block::EngineBlock,
    driver::Driver,
    evidence,
    fault::Fault,
    status::StatusCells,
    types::{Activity, Finalization, Marshal, block_digest, certificate},
};

/// Certificates kept for blocks not yet committed, and committed blocks remembered as lacking one.
const WAITING_MAX: usize = 512;

/// Pieces of evidence waiting to be verified.
const EVIDENCE_MAX: usize = 64;

/// Sees everything that the engine reports; for simulations.
pub(crate) type Observer = Arc<dyn Fn(&Activity) + Send + Sync>;

/// Work for the task of [`Delivery::run`].
enum Event {
    Block(Digested<EngineBlock>, Exact),
    LateCertificate(Height, BlockDigest, Certificate),
    Evidence(Box<Misbehaviour>),
}

/// Joins certificates and committed blocks, whichever comes first. Bounded: what falls out of
/// `early` is found in the engine's archive when its block comes.
#[derive(Default)]
struct Certificates {
    early: BTreeMap<BlockDigest, Certificate>,
    early_order: VecDeque<BlockDigest>,
    lacking: BTreeMap<BlockDigest, Height>,
    lacking_order: VecDeque<BlockDigest>,
    evidence: usize,
}

impl Certificates {
    /// A certificate comes: the height of its block, if that was committed without one.
    fn arrived(&mut self, digest: BlockDigest, certificate: &Certificate) -> Option<Height> {
        if let Some(height) = self.lacking.remove(&digest) {
            return Some(height);
        }
        if self.early.insert(digest, certificate.clone()).is_none() {
            self.early_order.push_back(digest);
        }
        if self.early_order.len() > WAITING_MAX
            && let Some(oldest) = self.early_order.pop_front()
        {
            self.early.remove(&oldest);
        }
        None
    }

    /// A block was committed without a certificate; returns one that came meanwhile.
    fn committed_without(&mut self, digest: BlockDigest, height: Height) -> Option<Certificate> {
        if let Some(certificate) = self.early.remove(&digest) {
            return Some(certificate);
        }
        if self.lacking.insert(digest, height).is_none() {
            self.lacking_order.push_back(digest);
        }
        if self.lacking_order.len() > WAITING_MAX
            && let Some(oldest) = self.lacking_order.pop_front()
        {
            self.lacking.remove(&oldest);
        }
        None
    }
}

/// Shared by both reporters and the task.
#[derive(Clone)]
struct Joint {
    certificates: Arc<Mutex<Certificates>>,
    events: mpsc::UnboundedSender<Event>,
    status: StatusCells,
    fault: Fault,
}

impl Joint {
    fn certificates(&self) -> MutexGuard<'_, Certificates> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes final blocks from the engine. At most as many wait as the engine allows to be
/// unacknowledged.
#[derive(Clone)]
pub(crate) struct BlockReporter {
    joint: Joint,
}

impl Reporter for BlockReporter {
    type Activity = Update<EngineBlock>;

    fn report(&mut self, update: Update<EngineBlock>) -> Feedback {
        match update {
            Update::Tip(_, height, _) => self.joint.status.finalized(height.get()),
            Update::Block(block, acknowledgement) => {
                if self.joint.events.send(Event::Block(block, acknowledgement)).is_err() {
                    return Feedback::Closed;
                }
            }
        }
        Feedback::Ok
    }
}

/// Takes votes, certificates and faults from the engine.
pub(crate) struct ActivityReporter<E, A> {
    driver: Driver<E, A>,
    marshal: Marshal,
    validators: Arc<ValidatorSet>,
    observer: Option<Observer>,
    joint: Joint,
}

impl<E, A> Clone for ActivityReporter<E, A> {
    fn clone(&self) -> Self {
        Self {
            driver: self.driver.clone(),
            marshal: self.marshal.clone(),
            validators: self.validators.clone(),
            observer: self.observer.clone(),
            joint: self.joint.clone(),
        }
    }
}

impl<E: Spawner + Clock, A: Application> ActivityReporter<E, A> {
    fn finalization(&self, finalization: &Finalization) {
        self.driver.decided(finalization.proposal.round);
        let certificate = match certificate(finalization) {
            Ok(certificate) => certificate,
            Err(error) => {
                self.joint.fault.raise(EngineError::Certificate(error));
                return;
            }
        };
        let digest = block_digest(&finalization.proposal.payload);
        let height = self.joint.certificates().arrived(digest, &certificate);
        if let Some(height) = height {
            let _ = self
                .joint
                .events
                .send(Event::LateCertificate(height, digest, certificate));
        }
    }

    fn evidence(&self, activity: &Activity) {
        let Some(found) = evidence::misbehaviour(&self.validators, activity) else {
            return;
        };
        let mut certificates = self.joint.certificates();
        if certificates.evidence < EVIDENCE_MAX {
            certificates.evidence += 1;
            let _ = self.joint.events.send(Event::Evidence(Box::new(found)));
        }
    }
}

impl<E: Spawner + Clock, A: Application> Reporter for ActivityReporter<E, A> {
    type Activity = Activity;

    fn report(&mut self, activity: Activity) -> Feedback {
        if let Some(observer) = &self.observer {
            observer(&activity);
        }
        let status = &self.joint.status;
        match &activity {
            Activity::Notarization(_) => {
                status.view(activity.view().get());
                status.notarized();
            }
            Activity::Nullification(_) => {
                status.view(activity.view().get());
                status.skipped();
            }
            Activity::Finalization(finalization) => {
                status.view(activity.view().get());
                // Before the engine's archive hears of it, so that the block finds it here.
                self.finalization(finalization);
            }
            Activity::ConflictingNotarize(_) | Activity::ConflictingFinalize(_) | Activity::NullifyFinalize(_) => {
                self.evidence(&activity);
            }
            _ => {}
        }
        self.marshal.report(activity)
    }
}

/// The task that hands blocks, certificates and evidence to the application, one after the other.
pub(crate) struct Delivery<A> {
    application: A,
    marshal: Marshal,
    network: NetworkId,
    validators: Arc<ValidatorSet>,
    events: mpsc::UnboundedReceiver<Event>,
    joint: Joint,
}

/// What the reporters and the task are made from.
pub(crate) struct Parts<E, A> {
    pub(crate) driver: Driver<E, A>,
    pub(crate) application: A,
    pub(crate) marshal: Marshal,
    pub(crate) network: NetworkId,
    pub(crate) validators: Arc<ValidatorSet>,
    pub(crate) observer: Option<Observer>,
    pub(crate) status: StatusCells,
    pub(crate) fault: Fault,
}

/// Makes the two reporters and the task behind them.
pub(crate) fn reporters<E: Spawner + Clock, A: Application>(
    parts: Parts<E, A>,
) -> (BlockReporter, ActivityReporter<E, A>, Delivery<A>) {
    let Parts {
        driver,
        application,
        marshal,
        network,
        validators,
        observer,
        status,
        fault,
    } = parts;
    let (sender, events) = mpsc::unbounded_channel();
    let joint = Joint {
        certificates: Arc::default(),
        events: sender,
        status,
        fault,
    };
    let blocks = BlockReporter { joint: joint.clone() };
    let activity = ActivityReporter {
        driver,
        marshal: marshal.clone(),
        validators: validators.clone(),
        observer,
        joint: joint.clone(),
    };
    (
        blocks,
        activity,
        Delivery {
            application,
            marshal,
            network,
            validators,
            events,
            joint,
        },
    )
}

impl<A: Application> Delivery<A> {
    /// Runs until the application fails or `stopped` says that the engine stops; never leaves the
    /// application in the middle of something.
    pub(crate) async fn run(mut self, mut stopped: impl Future + Unpin) {
        loop {
            let event = select! {
                _ = &mut stopped => return,
                event = self.events.recv() => event,
            };
            let Some(event) = event else {
                return;
            };
            let outcome = match event {
                Event::Block(block, acknowledgement) => {
                    let outcome = self.block(&block).await;
                    match outcome {
                        Ok(()) => acknowledgement.acknowledge(),
                        Err(error) => {
                            // Dropping the acknowledgement stops the engine: first say why.
                            self.joint.fault.raise(EngineError::Application(Box::new(error)));
                            return;
                        }
                    }
                    Ok(())
                }
                Event::LateCertificate(height, digest, certificate) => {
                    self.certificate(height, &digest, &certificate).await
                }
                Event::Evidence(evidence) => {
                    self.evidence(&evidence).await;
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                self.joint.fault.raise(EngineError::Application(Box::new(error)));
                return;
            }
        }
    }

    /// Commits a block; it is durable in the application when this returns without an error.
    async fn block(&self, block: &Digested<EngineBlock>) -> Result<(), A::Error> {
        let (block, name) = (block.inner().block(), *block.inner().name());
        let height = block.header.height;
        // The genesis block is the application's own.
        if height == Height::ZERO {
            return Ok(());
        }
        let certificate = match self.early(&name) {
            Some(certificate) => Some(certificate),
            None => self.archived(height, &name).await,
        };
        self.application.on_finalized(block, certificate.as_ref()).await?;
        self.joint.status.committed(height);
        if certificate.is_some() {
            self.joint.status.certificate();
            return Ok(());
        }
        let late = self.joint.certificates().committed_without(name, height);
        match late {
            Some(certificate) => self.certificate(height, &name, &certificate).await,
            None => Ok(()),
        }
    }

    async fn certificate(
        &self,
        height: Height,
        digest: &BlockDigest,
        certificate: &Certificate,
    ) -> Result<(), A::Error> {
        self.joint.status.certificate();
        self.application.on_certificate(height, digest, certificate).await
    }

    fn early(&self, digest: &BlockDigest) -> Option<Certificate> {
        self.joint.certificates().early.remove(digest)
    }

    /// The certificate that the engine has stored for a height, if the height has one of its own.
    async fn archived(&self, height: Height, digest: &BlockDigest) -> Option<Certificate> {
        let finalization = self.marshal.get_finalization(EngineHeight::new(height.get())).await?;
        if block_digest(&finalization.proposal.payload) != *digest {
            return None;
        }
        certificate(&finalization).ok()
    }

    async fn evidence(&self, evidence: &Misbehaviour) {
        {
            let mut certificates = self.joint.certificates();
            certificates.evidence = certificates.evidence.saturating_sub(1);
        }
        // The engine reports conflicts unverified.
        if let Ok(validator) = evidence.verify(&self.network, &self.validators) {
            tracing::warn!(%validator, view = %evidence.view, "a validator voted twice");
            self.joint.status.misbehaviour();
            self.application.on_misbehaviour(evidence).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(byte: u8) -> BlockDigest {
        BlockDigest::from_bytes([byte; 32])
    }

    fn certificate(byte: u8) -> Certificate {
        Certificate::new(vec![byte]).unwrap()
    }

    #[test]
    fn certificates_and_blocks_meet_in_either_order() {
        let mut joint = Certificates::default();
        assert_eq!(joint.arrived(name(1), &certificate(1)), None);
        assert_eq!(joint.committed_without(name(1), Height::new(1)), Some(certificate(1)));
        assert_eq!(joint.committed_without(name(2), Height::new(2)), None);
        assert_eq!(joint.arrived(name(2), &certificate(2)), Some(Height::new(2)));
        assert_eq!(joint.arrived(name(2), &certificate(2)), None);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut joint = Certificates::default();
        for number in 0..2 * WAITING_MAX as u64 {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            joint.arrived(BlockDigest::from_bytes(bytes), &certificate(0));
            bytes[31] = 1;
            joint.committed_without(BlockDigest::from_bytes(bytes), Height::new(number));
        }
        assert_eq!(joint.early.len(), WAITING_MAX);
        assert_eq!(joint.lacking.len(), WAITING_MAX);
    }
}
