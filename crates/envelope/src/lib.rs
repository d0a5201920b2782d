#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

pub mod hpke;
pub mod padding;

mod content;
mod error;
mod key;
mod lifetime;
mod open;
mod payload;
mod replay;
mod seal;
mod sealed;

pub use content::{Checkpoint, Content, ContentKind, MessageId};
pub use error::{OpenError, SealError};
pub use hpke::Suite;
pub use key::EnvelopeSecretKey;
pub use lifetime::LIFETIME_MAX;
pub use open::{Message, Opened, Opener, open};
pub use rand_core::{self, CryptoRng};
pub use replay::{ReplayCache, ReplayError};
pub use seal::{Recipient, Sender, seal};
pub use sealed::{Parts, SealedEnvelope};
