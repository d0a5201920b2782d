#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod anchor;
mod changes;
mod clock;
pub mod config;
mod contact;
mod error;
pub mod folder;
mod gateway;
mod gossip;
mod http;
mod ledger;
mod links;
mod metrics;
mod net;
mod node;
mod queue;
mod rate;
mod refuse;
mod repair;
mod server;
mod service;
mod status;
mod storage_role;

pub use config::{Config, ConfigError, LogFormat};
pub use error::{NodeError, StartError};
pub use folder::{Folder, FolderError, InitOptions, init, join, network_of, node_key};
pub use node::{Node, NodeHandle};
