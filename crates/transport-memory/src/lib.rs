#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod channel;
mod connection;
mod endpoint;
mod network;
mod physics;
mod state;
mod stream;

pub use connection::MemoryConnection;
pub use endpoint::MemoryTransport;
pub use network::Network;
pub use physics::{Link, Trace};
pub use stream::{MemoryRecvStream, MemorySendStream};
