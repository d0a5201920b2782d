#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

pub mod child;
pub mod content;
pub mod epoch;
pub mod link;
pub mod mls;
pub mod order;
pub mod policy;
pub mod secret;

pub use content::{Body, Content, EpochView};
pub use epoch::EpochKeys;
pub use mls::{Owner, SessionError, SessionSuite};
pub use order::OrderKey;
pub use policy::{GroupContext, Role};
pub use tokenim_identity::CryptoRng;
