//! A network of real nodes in this process.

use crate::{HarnessError, Layout};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokenim_node::{Config, Folder, Node, NodeHandle};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::timeout;

/// How long the nodes together get to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// How long what they left on blocking threads gets.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(5);

/// Nodes on the loopback interface, with their own folders, QUIC endpoints, stores and consensus engines, in this
/// process. Dropping it stops them and removes their folders; it must not be dropped within a runtime.
#[derive(Debug)]
pub struct LocalNetwork {
    /// The folders.
    pub layout: Layout,
    nodes: Vec<Mutex<Option<NodeHandle>>>,
    handle: Handle,
    runtime: Option<Runtime>,
    _folder: TempDir,
}

impl LocalNetwork {
    /// Starts `nodes` nodes with keys drawn from `seed`, and waits until all have seen a block finalised. `configure`
    /// may change each one's configuration.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn start(nodes: usize, seed: u64, configure: impl Fn(usize, &mut Config)) -> Result<Self, HarnessError> {
        let folder = TempDir::with_prefix("tokenim-testkit-").map_err(HarnessError::io(&std::env::temp_dir()))?;
        let layout = Layout::create(folder.path(), nodes, seed)?;
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(HarnessError::io(folder.path()))?;
        let network = Self {
            nodes: (0..nodes).map(|_| Mutex::default()).collect(),
            layout,
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            _folder: folder,
        };
        for number in 0..nodes {
            network.start_node(number, |config| configure(number, config))?;
        }
        for number in 0..nodes {
            network.ready(number)?;
        }
        Ok(network)
    }

    /// Runs `future` with the runtime of the nodes, on this thread, which must not be one of a runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Starts a node that does not run.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn start_node(&self, number: usize, configure: impl FnOnce(&mut Config)) -> Result<(), HarnessError> {
        let mut slot = self.slot(number)?;
        if slot.is_some() {
            return Err(HarnessError::WrongState {
                node: number,
                state: "running already",
            });
        }
        let mut folder = Folder::open(&self.layout.node(number)?.dir, None)?;
        configure(&mut folder.config);
        *slot = Some(self.block_on(Node::start(folder))?);
        Ok(())
    }

    /// Waits until a node has seen a block finalised since its start.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn ready(&self, number: usize) -> Result<(), HarnessError> {
        let patience = Duration::from_secs(30);
        let slot = self.slot(number)?;
        let node = slot.as_ref().ok_or(HarnessError::WrongState {
            node: number,
            state: "not running",
        })?;
        let ready = self.block_on(async { timeout(patience, node.ready()).await });
        ready.map_err(|_| HarnessError::TimedOut {
            what: format!("node {number} sees a block finalised"),
            patience,
        })??;
        Ok(())
    }

    /// Stops a node in order.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn stop_node(&self, number: usize) -> Result<(), HarnessError> {
        let node = self.slot(number)?.take().ok_or(HarnessError::WrongState {
            node: number,
            state: "not running",
        })?;
        Ok(self.block_on(node.stop())?)
    }

    fn slot(&self, number: usize) -> Result<MutexGuard<'_, Option<NodeHandle>>, HarnessError> {
        let slot = self.nodes.get(number).ok_or(HarnessError::NoSuchNode(number))?;
        Ok(slot.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for LocalNetwork {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let running: Vec<NodeHandle> = self
            .nodes
            .iter()
            .filter_map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take())
            .collect();
        let stops: Vec<_> = running.into_iter().map(|node| runtime.spawn(node.stop())).collect();
        runtime.block_on(async {
            let all = async {
                for stop in stops {
                    let _ = stop.await;
                }
            };
            let _ = timeout(STOP_PATIENCE, all).await;
        });
        runtime.shutdown_timeout(RUNTIME_PATIENCE);
    }
}
