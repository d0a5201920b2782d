#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;
#[cfg(test)]
extern crate self as tokenim_session;

pub mod step;

pub use tokenim_conversation as conversation;
pub use tokenim_identity::CryptoRng;
pub use tokenim_mls::{self as mls, Owner, SessionError, SessionSuite};
