#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

pub mod erased;
mod error;
mod frame;
mod limits;
mod maybe;
mod peer;
#[cfg(feature = "test-suite")]
pub mod test_suite;
mod traits;

pub use bytes::Bytes;
pub use error::{Blame, TransportError, code};
pub use frame::{FrameReader, recv_frame, send_frame};
pub use limits::Limits;
pub use maybe::{MaybeSend, MaybeSync};
pub use peer::PeerId;
pub use traits::{Connection, RecvStream, SendStream, Transport};
