//! What can go wrong, by blame.

use alloc::string::String;
use tokenim_consensus::{BlockDigest, FinalityError};
use tokenim_storage::StoreError;
use tokenim_wire::{DecodeError, EncodeError, Height, NetworkId};

/// Why a block can never be valid. Every honest node comes to the same verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBlock {
    /// Its header does not follow its parent's: network, parent, height, epoch or time.
    #[error("the header does not follow its parent's")]
    Header,
    /// The payload is not the one that the header commits to, or is too long.
    #[error("the payload is too long, or not the one that the header commits to")]
    PayloadRoot,
    /// The payload is not a list of transactions.
    #[error("the payload is malformed: {0}")]
    Payload(DecodeError),
    /// A transaction is too long or its sponsor's signature does not hold.
    #[error("transaction {index} is too long or its sponsor did not sign it")]
    Transaction {
        /// Its place in the payload.
        index: usize,
    },
    /// A sponsor has more transactions in it than one may.
    #[error("transaction {index} is beyond the quota of its sponsor")]
    SponsorQuota {
        /// Its place in the payload.
        index: usize,
    },
    /// Execution leads to another state root.
    #[error("execution leads to another state root")]
    StateRoot,
    /// Execution leads to another receipts root.
    #[error("execution leads to another receipts root")]
    ReceiptsRoot,
    /// Execution leads to another node-set root.
    #[error("execution leads to another node-set root")]
    NodeSetRoot,
    /// The headers below lead to another root.
    #[error("the headers below lead to another root")]
    HeaderMmrRoot,
    /// It names other validators for the next height.
    #[error("the header names other validators for the next height")]
    NextValidators,
}

impl InvalidBlock {
    /// The reason as a fixed text, as a verdict carries it.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Header => "the header does not follow its parent's",
            Self::PayloadRoot => "the payload is too long, or not the one that the header commits to",
            Self::Payload(_) => "the payload is malformed",
            Self::Transaction { .. } => "a transaction is too long or its sponsor did not sign it",
            Self::SponsorQuota { .. } => "a transaction is beyond the quota of its sponsor",
            Self::StateRoot => "execution leads to another state root",
            Self::ReceiptsRoot => "execution leads to another receipts root",
            Self::NodeSetRoot => "execution leads to another node-set root",
            Self::HeaderMmrRoot => "the headers below lead to another root",
            Self::NextValidators => "the header names other validators for the next height",
        }
    }
}

/// Why something was not executed, committed or answered. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutionError {
    // Misbehaving peer.
    /// The block can never be valid.
    #[error("invalid block: {0}")]
    Invalid(#[from] InvalidBlock),
    /// A certificate does not make the block final that it was given for.
    #[error("invalid certificate: {0}")]
    Certificate(#[from] FinalityError),

    // Out of order.
    /// The parent is neither committed last nor executed since: fetch and execute it first.
    #[error("the parent {parent} is not known: execute it first")]
    UnknownParent {
        /// The parent.
        parent: BlockDigest,
    },
    /// The block to be committed is not the next one.
    #[error("block {actual} cannot be committed, next is {expected}")]
    NotNext {
        /// The height that can be committed.
        expected: Height,
        /// The height of the block given.
        actual: Height,
    },
    /// The block contradicts one that is committed: two blocks were final at one height.
    #[error("another block is committed at height {height}: stop, and compare with other nodes")]
    Fork {
        /// The height.
        height: Height,
    },

    // Misuse of the API.
    /// The store is that of another network.
    #[error("the store belongs to network {stored}, not to {expected}: check the data folder")]
    ForeignNetwork {
        /// The network of the configuration.
        expected: NetworkId,
        /// The network of the store.
        stored: NetworkId,
    },
    /// The store was written by a version that this one does not know.
    #[error("the store has format {0}, which this version does not know")]
    UnknownFormat(u8),

    // Local fault.
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored does not make sense.
    #[error(
        "the ledger's store is damaged ({0}): keep its folder, start with an empty one and catch up from other nodes"
    )]
    Damaged(&'static str),
    /// The state tree failed.
    #[error("the state tree failed: {0}")]
    Tree(String),
    /// Something has no encoding.
    #[error("cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
}
