//! Evidence that convicts a node by verification alone.

use serde::{Deserialize, Serialize};
use tokenim_consensus::{Misbehaviour, MisbehaviourError, ValidatorSet};
use tokenim_identity::NodeKey;
use tokenim_mailbox::{Misconduct, MisconductError};
use tokenim_wire::{NetworkId, Object};

/// What a node or validator signed that an honest one never signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "one at a time, and rarely")]
pub enum Evidence {
    /// Number 0: a node contradicted its own mailbox log or receipt.
    Storage(Misconduct),
    /// Number 1: a validator voted for two blocks.
    Consensus(Misbehaviour),
}

/// Why evidence convicts nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The statements of the node don't contradict each other, or are not its.
    #[error(transparent)]
    Storage(#[from] MisconductError),
    /// The votes of the validator don't contradict each other, or are not its.
    #[error(transparent)]
    Consensus(#[from] MisbehaviourError),
}

impl Object for Evidence {
    const NAME: &'static str = "evidence";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 8 * 1024;
}

impl Evidence {
    /// Checks the evidence and returns whom it convicts.
    ///
    /// # Errors
    /// [`EvidenceError`]
    pub fn verify(&self, network: &NetworkId, validators: &ValidatorSet) -> Result<NodeKey, EvidenceError> {
        match self {
            Self::Storage(misconduct) => Ok(misconduct.verify(network)?),
            Self::Consensus(misbehaviour) => Ok(misbehaviour.verify(network, validators)?),
        }
    }
}
