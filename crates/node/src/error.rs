//! Why a node does not start, or stops.

use crate::folder::FolderError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokenim_consensus_commonware::EngineError;
use tokenim_execution::ExecutionError;
use tokenim_storage::StoreError;
use tokenim_storage_fjall::OpenError;
use tokenim_transport::TransportError;

/// Why a node does not start. Each is one line that says what and what to do; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The node's folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The UDP port.
    #[error("cannot listen for nodes and clients: {0}")]
    Listen(TransportError),
    /// The TCP port.
    #[error("cannot serve HTTP at {address}: {error}; stop the other program or change http.listen in config.toml")]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The store does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger in the store.
    #[error(transparent)]
    Ledger(#[from] ExecutionError),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Random(getrandom::Error),
    /// A thread panicked.
    #[error("a part of the node panicked while it was starting: this is a bug")]
    Panicked,
}

/// Why a running node stopped by itself. One line that says what and what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The consensus engine.
    #[error("consensus has stopped: {}", chain(.0))]
    Engine(Arc<EngineError>),
    /// The store.
    #[error(transparent)]
    Store(StoreError),
    /// The node's folder.
    #[error(transparent)]
    Folder(Arc<FolderError>),
    /// A part of the node ended without a reason.
    #[error("the node's {0} ended: this is a bug")]
    Exited(&'static str),
}

/// An error and what it comes from, in one line.
fn chain(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
