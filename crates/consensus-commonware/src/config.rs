//! What an engine is started with, and why one stops.

use std::{error::Error, path::PathBuf, time::Duration};

use tokenim_consensus::{Block, BlockDigest, CertificateError, ValidatorSet};
use tokenim_identity::NodeSigningKey;
use tokenim_wire::{Epoch, Height, NetworkId};

/// How long the engine waits for what. A leader that says nothing costs its view `leader`, one that
/// proposes but lets the view fail costs `certification`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a view's leader to propose. Longer than the application's heartbeat.
    pub leader: Duration,
    /// For a view to be notarized and its block obtained. Longer than `leader`.
    pub certification: Duration,
    /// Between repetitions of the vote to skip a view.
    pub retry: Duration,
    /// After which a leader that was not heard of loses its views at once. Longer than
    /// `certification` and `retry`.
    pub skip: Duration,
}

impl Timeouts {
    /// Leader 1 s, certification 2 s, retry 2 s, skip 3 s.
    #[must_use]
    pub const fn reference() -> Self {
        Self {
            leader: Duration::from_secs(1),
            certification: Duration::from_secs(2),
            retry: Duration::from_secs(2),
            skip: Duration::from_secs(3),
        }
    }

    pub(crate) fn check(&self) -> Result<(), EngineError> {
        if self.leader.is_zero() || self.retry.is_zero() {
            return Err(EngineError::Timeouts("leader and retry must not be zero"));
        }
        if self.certification <= self.leader {
            return Err(EngineError::Timeouts("certification must be longer than leader"));
        }
        if self.skip <= self.certification || self.skip <= self.retry {
            return Err(EngineError::Timeouts(
                "skip must be longer than certification and retry",
            ));
        }
        Ok(())
    }
}

/// What an engine is started with.
#[derive(Debug)]
pub struct EngineConfig {
    /// The network, which separates its votes from any other's.
    pub network: NetworkId,
    /// Who votes.
    pub validators: ValidatorSet,
    /// The key to vote with, which must be one of the validators'; `None` follows without a vote.
    pub key: Option<NodeSigningKey>,
    /// The block that the chain starts from: height 0, epoch 0, of the network.
    pub genesis: Block,
    /// Where the engine keeps its journal and its archive of final blocks; nobody else writes here.
    pub directory: PathBuf,
    /// Names the installation: the store and the engine's directory must carry the same one, so
    /// that neither is ever combined with a copy of the other.
    pub install_id: [u8; 16],
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Threads of the engine's runtime, 1 or 2.
    pub worker_threads: usize,
}

impl EngineConfig {
    /// The epoch of version 1, whose validator set never changes.
    pub(crate) const EPOCH: Epoch = Epoch::ZERO;

    pub(crate) fn check(&self) -> Result<(), EngineError> {
        self.timeouts.check()?;
        if let Some(key) = &self.key
            && !self.validators.contains(&key.verifying_key())
        {
            return Err(EngineError::NotAValidator);
        }
        let header = &self.genesis.header;
        if header.height != Height::ZERO {
            return Err(EngineError::Genesis("its height is not 0"));
        }
        if header.chain != self.network {
            return Err(EngineError::Genesis("it belongs to another network"));
        }
        if header.epoch != Self::EPOCH {
            return Err(EngineError::Genesis("its epoch is not 0"));
        }
        if self.genesis.check().is_err() {
            return Err(EngineError::Genesis("its header does not commit to its payload"));
        }
        Ok(())
    }
}

/// Why an engine was not started, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The timeouts contradict each other.
    #[error("consensus timeouts: {0}")]
    Timeouts(&'static str),
    /// The key is not a validator's.
    #[error("the node's key is not one of the validators'; start it without a vote")]
    NotAValidator,
    /// The genesis block is none.
    #[error("genesis block: {0}")]
    Genesis(&'static str),
    /// The application starts from another genesis block.
    #[error("the store starts from block {store}, not from the network's genesis block {genesis}")]
    ForeignStore {
        /// What the application holds at height 0.
        store: BlockDigest,
        /// The configured genesis block.
        genesis: BlockDigest,
    },
    /// Another engine uses the directory.
    #[error("the engine's directory {0} is in use by another process")]
    DirectoryInUse(PathBuf),
    /// The directory is another node's, network's or installation's, or damaged.
    #[error("the engine's directory {directory} does not belong here: {what}")]
    ForeignDirectory {
        /// The directory.
        directory: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// The store has lost blocks that the engine knows were committed: it is an old copy. Signing
    /// on could contradict what was signed before.
    #[error(
        "the store is at height {store}, but the engine's journal at {journal}: the store has lost blocks; resync it"
    )]
    StoreBehindJournal {
        /// Height of the application's last committed block.
        store: Height,
        /// Height that the engine knows was committed.
        journal: Height,
    },
    /// The journal was lost or is an old copy: the votes signed since are forgotten, and signing on
    /// could contradict them.
    #[error(
        "the engine's journal is at height {journal}, but the store at {store}: the journal was lost; this key must not sign again"
    )]
    JournalBehindStore {
        /// Height of the application's last committed block.
        store: Height,
        /// Height that the engine knows was committed.
        journal: Height,
    },
    /// A local fault of the application.
    #[error("the application failed")]
    Application(#[source] Box<dyn Error + Send + Sync>),
    /// There is no room below the engine's directory.
    #[error("the disk of {} is full: make room and start again", .0.display())]
    DiskFull(PathBuf),
    /// A local fault of the disk below the engine's directory.
    #[error("the engine's storage failed: {0}")]
    Storage(String),
    /// A file or thread could not be had.
    #[error("cannot {what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The engine made a certificate that is longer than one may be: the validator set is too large.
    #[error("certificate of the engine")]
    Certificate(#[source] CertificateError),
    /// The host dropped its end of the peer link.
    #[error("the host closed the peer link")]
    LinkClosed,
    /// A part of the engine ended by itself.
    #[error("the engine's {0} ended")]
    Exited(&'static str),
    /// A part of the engine panicked, as it does when its storage fails.
    #[error("the engine panicked: {0}")]
    Panicked(String),
}
