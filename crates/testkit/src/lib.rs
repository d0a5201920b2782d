#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod call;
mod error;
mod faulty;
mod layout;
mod lie;
mod lying;
mod network;
mod ports;
mod processes;
mod until;

pub use call::{CallError, Caller};
pub use error::HarnessError;
pub use faulty::{Faults, FaultyStore};
pub use layout::{Layout, NodeFolder, RECOVERY_WINDOW_MILLIS, node_signing_key};
pub use lie::Lie;
pub use lying::LyingNode;
pub use network::LocalNetwork;
pub use ports::free_port;
pub use processes::{Ended, NodeHealth, Processes, run};
pub use until::until;
