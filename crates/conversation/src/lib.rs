#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod child;
pub mod content;
pub mod epoch;
pub mod link;
pub mod order;
pub mod policy;
pub mod secret;

pub use content::{Body, Content, EpochView};
pub use epoch::EpochKeys;
pub use order::OrderKey;
pub use policy::{GroupContext, Role};
pub use rand_core::{self, CryptoRng};
