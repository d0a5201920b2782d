#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod block;
mod config;
mod directory;
mod driver;
mod engine;
mod erased;
mod evidence;
mod fault;
mod link;
mod network;
mod reporter;
#[cfg(feature = "simulation")]
pub mod simulation;
mod status;
mod types;
mod wiring;

pub use config::{EngineConfig, EngineError, Timeouts};
pub use engine::{EngineHandle, start};
pub use link::{Channel, DeliverError, Incoming, LinkLimits, Outgoing, PeerLink, PeerPort, Recipients, peer_link};
pub use status::Status;
