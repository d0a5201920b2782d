#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

mod acceptance;
mod config;
mod evidence;
mod history;
mod key;
mod light;
mod lookup;
mod outcome;
pub mod proof;
mod registration;
mod set;
mod transaction;

pub use acceptance::{AcceptanceProof, AcceptedEnvelope};
pub use config::{ConfigError, GenesisNode, LedgerLimits, NETWORK_NAME_BYTES_MAX, NetworkConfig};
pub use evidence::{Evidence, EvidenceError};
pub use history::{HistoryPage, ProvenHistory};
pub use key::StateKey;
pub use light::{LightClient, ProofError};
pub use lookup::{AncestryProof, LookupProof, STATE_VALUE_BYTES_MAX, header_leaf};
pub use outcome::{Outcome, Rejection};
pub use registration::{Address, Admission, NodeRegistration};
pub use set::{NODES_WAITING_MAX, NodeQueue, NodeSetCommitment, SetSummary, WaitingNode, members_tree};
pub use tokenim_consensus::{FinalHeader, FinalityProof};
pub use transaction::{
    Anchor, Body, IdentityUpdate, IncarnationRegistration, PAYLOAD_BYTES_MAX, Payload, Transaction, TransactionError,
    TransactionId, VerifiedTransaction,
};
