//! Evidence that a validator voted twice.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use tokenim_identity::{NodeKey, Signature, verify};
use tokenim_wire::{Epoch, NetworkId, Object};

use crate::{BlockDigest, Certificate, Proposal, ValidatorSet, View, nullify_bytes};

/// One signed vote for a block: the part of it that two conflicting votes differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// View of the block's parent.
    pub parent_view: View,
    /// The block.
    pub digest: BlockDigest,
    /// The vote's signature.
    pub signature: Signature,
}

/// Two votes of which an honest validator signs at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Offence {
    /// Two notarize votes in one view.
    TwoNotarizes {
        /// The vote with the smaller (digest, parent view).
        first: Choice,
        /// The other one.
        second: Choice,
    },
    /// Two finalize votes in one view.
    TwoFinalizes {
        /// The vote with the smaller (digest, parent view).
        first: Choice,
        /// The other one.
        second: Choice,
    },
    /// A vote to skip a view and one to make its block final.
    NullifyAndFinalize {
        /// Signature of the nullify vote.
        nullify: Signature,
        /// The finalize vote.
        finalize: Choice,
    },
}

/// A validator's two contradicting votes. [`Misbehaviour::verify`] needs nothing but the validator
/// set, so evidence convicts wherever it is shown.
///
/// Layout as a top-level object: `0x01 ‖ 32-byte key ‖ LEB128 epoch ‖ LEB128 view ‖ offence`, where
/// the offence is its number (0, 1, 2) followed by its parts, a choice being `LEB128 parent view ‖
/// digest ‖ 64-byte signature`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misbehaviour {
    /// Who is accused.
    pub validator: NodeKey,
    /// Epoch of both votes.
    pub epoch: Epoch,
    /// View of both votes.
    pub view: View,
    /// The votes.
    pub offence: Offence,
}

impl Misbehaviour {
    /// Evidence of two notarize votes, put into their one order.
    #[must_use]
    pub fn two_notarizes(validator: NodeKey, epoch: Epoch, view: View, one: Choice, other: Choice) -> Self {
        let (first, second) = ordered(one, other);
        Self {
            validator,
            epoch,
            view,
            offence: Offence::TwoNotarizes { first, second },
        }
    }

    /// Evidence of two finalize votes, put into their one order.
    #[must_use]
    pub fn two_finalizes(validator: NodeKey, epoch: Epoch, view: View, one: Choice, other: Choice) -> Self {
        let (first, second) = ordered(one, other);
        Self {
            validator,
            epoch,
            view,
            offence: Offence::TwoFinalizes { first, second },
        }
    }

    /// What two certificates of one view for different blocks prove: at least
    /// 2 × quorum − n validators signed both. Empty if the certificates do not contradict
    /// each other in this way or are malformed; the evidence still has to be verified.
    #[must_use]
    pub fn from_certificates(validators: &ValidatorSet, one: &Certificate, other: &Certificate) -> Vec<Self> {
        let (Ok(one), Ok(other)) = (one.parse(), other.parse()) else {
            return Vec::new();
        };
        let (a, b) = (&one.proposal, &other.proposal);
        if a.epoch != b.epoch || a.view != b.view || a == b {
            return Vec::new();
        }
        let choice = |proposal: &Proposal, signature: &Signature| Choice {
            parent_view: proposal.parent_view,
            digest: proposal.digest,
            signature: *signature,
        };
        let mut found = Vec::new();
        for (signer, signature) in one.signers.iter().zip(&one.signatures) {
            let Some(second) = other
                .signers
                .binary_search(signer)
                .ok()
                .and_then(|index| other.signatures.get(index))
            else {
                continue;
            };
            let Some(validator) = validators.get(*signer) else {
                continue;
            };
            found.push(Self::two_finalizes(
                validator.key,
                a.epoch,
                a.view,
                choice(a, signature),
                choice(b, second),
            ));
        }
        found
    }

    /// Checks the evidence and returns whom it convicts.
    ///
    /// # Errors
    ///
    /// [`MisbehaviourError`].
    pub fn verify(&self, network: &NetworkId, validators: &ValidatorSet) -> Result<NodeKey, MisbehaviourError> {
        if !validators.contains(&self.validator) {
            return Err(MisbehaviourError::NotAValidator);
        }
        let proposal = |choice: &Choice| Proposal {
            epoch: self.epoch,
            view: self.view,
            parent_view: choice.parent_view,
            digest: choice.digest,
        };
        match &self.offence {
            Offence::TwoNotarizes { first, second } => {
                in_order(first, second)?;
                self.check(&proposal(first).notarize_bytes(network), &first.signature)?;
                self.check(&proposal(second).notarize_bytes(network), &second.signature)?;
            }
            Offence::TwoFinalizes { first, second } => {
                in_order(first, second)?;
                self.check(&proposal(first).finalize_bytes(network), &first.signature)?;
                self.check(&proposal(second).finalize_bytes(network), &second.signature)?;
            }
            Offence::NullifyAndFinalize { nullify, finalize } => {
                self.check(&nullify_bytes(network, self.epoch, self.view), nullify)?;
                self.check(&proposal(finalize).finalize_bytes(network), &finalize.signature)?;
            }
        }
        Ok(self.validator)
    }

    fn check(&self, message: &[u8], signature: &Signature) -> Result<(), MisbehaviourError> {
        verify::zip215(self.validator.as_bytes(), message, signature.as_bytes())
            .map_err(|_| MisbehaviourError::Signature)
    }
}

fn rank(choice: &Choice) -> (BlockDigest, View) {
    (choice.digest, choice.parent_view)
}

fn ordered(one: Choice, other: Choice) -> (Choice, Choice) {
    if rank(&one) <= rank(&other) {
        (one, other)
    } else {
        (other, one)
    }
}

fn in_order(first: &Choice, second: &Choice) -> Result<(), MisbehaviourError> {
    match rank(first).cmp(&rank(second)) {
        core::cmp::Ordering::Less => Ok(()),
        core::cmp::Ordering::Equal => Err(MisbehaviourError::NoConflict),
        core::cmp::Ordering::Greater => Err(MisbehaviourError::Order),
    }
}

impl Object for Misbehaviour {
    const NAME: &'static str = "misbehaviour";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 1 + 32 + 10 + 10 + 1 + 2 * (10 + 32 + 64);
}

/// Why evidence convicts nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MisbehaviourError {
    /// The two votes are for the same thing.
    #[error("the two votes do not contradict each other")]
    NoConflict,
    /// The two votes are not in their one order.
    #[error("the two votes are not in order")]
    Order,
    /// The accused is not in the validator set.
    #[error("the accused is not a validator")]
    NotAValidator,
    /// A signature does not hold.
    #[error("a vote's signature does not hold")]
    Signature,
}
