#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod child;
pub mod content;
pub mod door;
pub mod epoch;
pub mod history;
pub mod host;
pub mod link;
pub mod note;
pub mod order;
pub mod policy;
#[doc(hidden)]
pub mod query;
#[doc(hidden)]
pub mod rows;
pub mod secret;
pub mod shown;
pub mod step;
pub mod table;
pub mod welcome;

pub use content::{Body, Content, EpochView};
pub use epoch::EpochKeys;
pub use order::OrderKey;
pub use policy::{GroupContext, Role};
pub use rand_core::{self, CryptoRng};
