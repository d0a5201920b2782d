//! Engines in one process, their ports joined by tasks.
#![allow(dead_code, unreachable_pub)]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokenim_consensus::{Validator, ValidatorSet};
use tokenim_consensus_commonware::{
    EngineConfig, EngineError, EngineHandle, Incoming, LinkLimits, PeerPort, Recipients, Timeouts, peer_link, start,
};
use tokenim_identity::{NodeKey, NodeSigningKey};

use super::{App, Disk, NETWORK, genesis};

/// Ports by key; a node that is down has none.
#[derive(Clone, Default)]
pub struct Hub {
    ports: Arc<Mutex<Vec<(NodeKey, PeerPort)>>>,
}

impl Hub {
    /// Joins a node's port, replacing an earlier one, and carries what it sends until it closes.
    pub fn join(&self, key: NodeKey, port: PeerPort) {
        {
            let mut ports = self.ports.lock().unwrap();
            ports.retain(|(other, _)| *other != key);
            ports.push((key, port.clone()));
        }
        let ports = self.ports.clone();
        tokio::spawn(async move {
            while let Some(message) = port.next().await {
                for (other, port) in ports.lock().unwrap().iter() {
                    let meant = match &message.to {
                        Recipients::All => true,
                        Recipients::One(to) => to == other,
                        Recipients::Some(to) => to.contains(other),
                    };
                    if meant && *other != key {
                        let (channel, bytes) = (message.channel, message.bytes.clone());
                        let _ = port.deliver(Incoming {
                            channel,
                            from: key,
                            bytes,
                        });
                    }
                }
            }
        });
    }

    pub fn leave(&self, key: &NodeKey) {
        self.ports.lock().unwrap().retain(|(other, _)| other != key);
    }
}

pub struct Node {
    pub key: Option<u8>,
    pub directory: PathBuf,
    pub disk: Arc<Mutex<Disk>>,
    pub install_id: [u8; 16],
}

pub struct Cluster {
    pub validators: ValidatorSet,
    pub hub: Hub,
    pub nodes: Vec<Node>,
    pub heartbeat: Duration,
}

pub fn key(seed: u8) -> NodeSigningKey {
    NodeSigningKey::from_seed([seed; 32])
}

impl Cluster {
    /// `validators` nodes that vote, then `followers` that don't.
    pub fn new(root: &Path, validators: u8, followers: u8, heartbeat: Duration) -> Self {
        let set = ValidatorSet::new(
            (1..=validators)
                .map(|seed| Validator::new(key(seed).verifying_key()))
                .collect(),
        )
        .unwrap();
        let genesis = genesis(set.digest());
        let nodes = (1..=validators + followers)
            .map(|seed| Node {
                key: (seed <= validators).then_some(seed),
                directory: root.join(seed.to_string()),
                disk: Disk::new(genesis.clone()),
                install_id: [seed; 16],
            })
            .collect();
        Self {
            validators: set,
            hub: Hub::default(),
            nodes,
            heartbeat,
        }
    }

    pub fn config(&self, node: usize) -> EngineConfig {
        let Node {
            key: seed,
            directory,
            install_id,
            ..
        } = &self.nodes[node];
        EngineConfig {
            network: NETWORK,
            validators: self.validators.clone(),
            key: seed.map(key),
            genesis: genesis(self.validators.digest()),
            directory: directory.clone(),
            install_id: *install_id,
            timeouts: Timeouts::reference(),
            worker_threads: 1,
        }
    }

    pub async fn start_with(&self, node: usize, config: EngineConfig) -> Result<(EngineHandle, App), EngineError> {
        let peer = key(u8::try_from(node + 1).unwrap()).verifying_key();
        let (link, port) = peer_link(&self.validators, LinkLimits::reference());
        let app = App::real(node, self.nodes[node].disk.clone(), self.heartbeat);
        self.hub.join(peer, port);
        let handle = start(config, app.clone(), link).await?;
        Ok((handle, app))
    }

    pub async fn start(&self, node: usize) -> Result<(EngineHandle, App), EngineError> {
        self.start_with(node, self.config(node)).await
    }

    pub async fn start_all(&self) -> Vec<(EngineHandle, App)> {
        let mut engines = Vec::new();
        for node in 0..self.nodes.len() {
            engines.push(self.start(node).await.unwrap());
        }
        engines
    }

    pub fn height(&self, node: usize) -> u64 {
        self.nodes[node].disk.lock().unwrap().tip().header.height.get()
    }

    pub async fn reach(&self, nodes: impl IntoIterator<Item = usize>, height: u64) {
        for node in nodes {
            let reached = tokio::time::timeout(Duration::from_secs(30), async {
                while self.height(node) < height {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            assert!(
                reached.await.is_ok(),
                "node {node} is at {} instead of {height}",
                self.height(node)
            );
        }
    }
}
