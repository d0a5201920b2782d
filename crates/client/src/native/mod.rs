//! The host of the step core on this machine: QUIC to the nodes, a redb file for the state.

pub(crate) mod chat;
mod client;
mod contact_keys;
mod contacts;
mod error;
mod folder;
mod follow;
mod groups;
pub(crate) mod linking;
mod links;
mod names;
mod network;
mod proofs;
mod put;
mod receive;
mod records;
mod rehearsal;
mod send;
mod store;
mod vault;

use std::time::{SystemTime, UNIX_EPOCH};

use tokenim_wire::UnixMillis;

pub use client::Client;
pub use error::ClientError;
pub use folder::{NETWORK_FILE, STORE_FILE, read_network};
pub use follow::{Event, Follow};
pub use network::{Misbehaviour, Network, NodeReport};
pub use proofs::Maintained;
pub use receive::{Reading, Received, Refusal, Refused};
pub use send::{DeviceReport, SendOptions, SendReport};

/// The time by this machine's clock.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
