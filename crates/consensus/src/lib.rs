#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

mod application;
mod certificate;
mod finality;
mod header;
mod misbehaviour;
mod validators;
mod varint;

pub use application::{Application, Verdict};
pub use certificate::{
    Certificate, CertificateError, ParsedCertificate, Proposal, View, VoteKind, namespace, nullify_bytes,
};
pub use finality::{FinalHeader, FinalityError, FinalityProof, verify_descendant, verify_finality};
pub use header::{Block, BlockDigest, BlockError, Header, payload_root};
pub use misbehaviour::{Choice, Misbehaviour, MisbehaviourError, Offence};
pub use validators::{Validator, ValidatorSet, ValidatorSetError};
