#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

mod account;
mod chains;
mod explain;
mod link;
mod opening;
mod signature;
mod statement;
mod text;

pub use account::{Account, Family, ParseAccountError};
pub use explain::{Explanation, explain};
pub use link::{LinkError, Proof, VerifiedLink, verify};
pub use opening::{Opening, OpeningError};
pub use signature::{
    AntelopeKey, AptosKey, ParseSignatureError, RecoverableSignature, Sr25519Signature, WalletSignature,
};
pub use statement::{LinkStatement, NONCE_BYTES, StatementError};
