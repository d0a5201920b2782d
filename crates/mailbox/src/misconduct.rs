//! Evidence that convicts a node by itself: statements that it signed and that cannot both be true.

use crate::{
    descriptor::MailboxTag,
    log::{HeadError, LogEntry, LogPosition, SignedHead},
    mmr::{self, PEAKS_MAX},
    receipt::{ReceiptError, StorageReceipt},
};
use serde::{Deserialize, Serialize};
use tokenim_identity::NodeKey;
use tokenim_wire::{NetworkId, Object};

/// A statement about the state of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SignedPosition {
    /// A storage receipt.
    Receipt(StorageReceipt),
    /// The answer to a read.
    Head(SignedHead),
}

impl SignedPosition {
    /// Who said it.
    #[must_use]
    pub const fn node(&self) -> &NodeKey {
        match self {
            Self::Receipt(receipt) => &receipt.body.node,
            Self::Head(head) => &head.body.node,
        }
    }

    /// About which mailbox.
    #[must_use]
    pub const fn tag(&self) -> &MailboxTag {
        match self {
            Self::Receipt(receipt) => &receipt.body.tag,
            Self::Head(head) => &head.body.tag,
        }
    }

    /// What it says.
    #[must_use]
    pub const fn position(&self) -> &LogPosition {
        match self {
            Self::Receipt(receipt) => &receipt.body.position,
            Self::Head(head) => &head.body.position,
        }
    }

    /// Checks form and signature.
    ///
    /// # Errors
    /// [`MisconductError::Receipt`], [`MisconductError::Head`].
    pub fn verify(&self, network: &NetworkId) -> Result<(), MisconductError> {
        match self {
            Self::Receipt(receipt) => Ok(receipt.verify(network)?),
            Self::Head(head) => Ok(head.verify(network)?),
        }
    }

    /// Checks that both are by the same node about the same log.
    fn same_log(&self, other: &Self) -> Result<(), MisconductError> {
        if self.node() == other.node() && self.tag() == other.tag() && self.position().log() == other.position().log() {
            Ok(())
        } else {
            Err(MisconductError::DifferentLogs)
        }
    }
}

/// Statements of one node about one log (its tag, set epoch and incarnation) that cannot all be true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Misconduct {
    /// Two roots for one size.
    TwoRoots {
        /// One of them.
        one: SignedPosition,
        /// The other.
        other: SignedPosition,
    },
    /// A smaller size at a greater height: the log shrank.
    ShrunkLog {
        /// The larger size.
        before: SignedPosition,
        /// The smaller size, at a greater height.
        after: SignedPosition,
    },
    /// Two receipts for one line with different entries.
    TwoEntries {
        /// One of them.
        one: StorageReceipt,
        /// The other.
        other: StorageReceipt,
    },
    /// A log that was opened at the line of a receipt, and another entry was there.
    ContradictedReceipt {
        /// The receipt.
        receipt: StorageReceipt,
        /// A statement about the same log with that line in it.
        statement: SignedPosition,
        /// The entry found at that line.
        opened: LogEntry,
        /// That the entry is in the log as the statement has it.
        proof: mmr::Proof,
    },
}

impl Object for Misconduct {
    const NAME: &'static str = "misconduct";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 2 + 2 * (1 + 256) + 52 + 1 + 32 * PEAKS_MAX;
}

/// Why evidence convicts nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MisconductError {
    /// A receipt in it is not valid.
    #[error("not evidence: {0}")]
    Receipt(#[from] ReceiptError),
    /// A head in it is not valid.
    #[error("not evidence: {0}")]
    Head(#[from] HeadError),
    /// The opened entry is not in the log.
    #[error("the opened entry is not in the log: {0}")]
    Proof(#[from] mmr::MmrError),
    /// The statements are by different nodes or about different logs.
    #[error("the statements are not about the same log of the same node")]
    DifferentLogs,
    /// The statements can all be true.
    #[error("the statements do not contradict each other")]
    NoContradiction,
}

impl Misconduct {
    /// Checks the evidence and returns whom it convicts. Pure: the same for everybody, at any time.
    ///
    /// # Errors
    /// [`MisconductError`].
    pub fn verify(&self, network: &NetworkId) -> Result<NodeKey, MisconductError> {
        match self {
            Self::TwoRoots { one, other } => {
                one.same_log(other)?;
                let (a, b) = (one.position(), other.position());
                contradiction(a.size == b.size && a.root != b.root)?;
                one.verify(network)?;
                other.verify(network)?;
                Ok(*one.node())
            }
            Self::ShrunkLog { before, after } => {
                before.same_log(after)?;
                let (a, b) = (before.position(), after.position());
                contradiction(b.size < a.size && b.height > a.height)?;
                before.verify(network)?;
                after.verify(network)?;
                Ok(*before.node())
            }
            Self::TwoEntries { one, other } => {
                SignedPosition::Receipt(*one).same_log(&SignedPosition::Receipt(*other))?;
                let (a, b) = (&one.body, &other.body);
                contradiction(
                    a.position.index == b.position.index && (a.envelope, a.expiry) != (b.envelope, b.expiry),
                )?;
                one.verify(network)?;
                other.verify(network)?;
                Ok(a.node)
            }
            Self::ContradictedReceipt {
                receipt,
                statement,
                opened,
                proof,
            } => {
                SignedPosition::Receipt(*receipt).same_log(statement)?;
                let body = &receipt.body;
                contradiction(
                    opened.index == body.position.index
                        && (opened.envelope, opened.expiry) != (body.envelope, body.expiry),
                )?;
                receipt.verify(network)?;
                statement.verify(network)?;
                let position = statement.position();
                mmr::verify(&position.root, position.size, opened.index, &opened.leaf(), proof)?;
                Ok(body.node)
            }
        }
    }
}

/// An error unless there is one.
const fn contradiction(holds: bool) -> Result<(), MisconductError> {
    if holds {
        Ok(())
    } else {
        Err(MisconductError::NoContradiction)
    }
}
