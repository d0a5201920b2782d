//! What keeps a harness from doing what it was told.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokenim_identity::KeystoreError;
use tokenim_ledger::ConfigError;
use tokenim_node::{FolderError, NodeError, StartError};
use tokenim_transport::TransportError;

/// Why a harness could not do what it was told: always a fault of the machine or of the test, never a finding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HarnessError {
    /// There is no such node.
    #[error("there is no node {0} in this network")]
    NoSuchNode(usize),
    /// The node is not in the state that the order needs.
    #[error("node {node} is {state}")]
    WrongState {
        /// Which, from 0.
        node: usize,
        /// What it is.
        state: &'static str,
    },
    /// A node's folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A node did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A node stopped.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The network's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key file.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The transport.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Something has no encoding.
    #[error(transparent)]
    Encode(#[from] tokenim_wire::EncodeError),
    /// The operating system.
    #[error("{}: {error}", path.display())]
    Io {
        /// What it was about.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// No port is free.
    #[error("no port of the loopback interface is free")]
    NoPort,
    /// Something did not come true in time.
    #[error("{what}: not within {patience:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        patience: Duration,
    },
    /// A process ended that should have run on.
    #[error("node {node} ended: {status}\n{log}")]
    Ended {
        /// Which, from 0.
        node: usize,
        /// How.
        status: String,
        /// The end of what it wrote.
        log: String,
    },
}

impl HarnessError {
    /// For an error of the operating system about a path.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |error| Self::Io {
            path: path.to_owned(),
            error,
        }
    }
}
