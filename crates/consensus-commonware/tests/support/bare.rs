//! The engine alone, measured: validators in one process, joined by channels, with their journals synced to a real disk
//! and an application that does nothing.
#![allow(dead_code, unreachable_pub)]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokenim_consensus::{Application, Block, BlockDigest, Certificate, Verdict};
use tokenim_consensus_commonware::{EngineConfig, LinkLimits, peer_link, start};
use tokenim_wire::{Epoch, Height};

use super::{
    App, AppError,
    loopback::{Cluster, key},
};

/// Notes when a payload that was submitted here is final.
#[derive(Clone)]
struct Timed {
    inner: App,
    submitted: Arc<Mutex<BTreeMap<Vec<u8>, Instant>>>,
    latencies: Arc<Mutex<Vec<Duration>>>,
}

impl Application for Timed {
    type Error = AppError;

    async fn committed(&self) -> (Height, BlockDigest) {
        self.inner.committed().await
    }

    async fn is_executed(&self, digest: &BlockDigest) -> bool {
        self.inner.is_executed(digest).await
    }

    async fn propose(&self, parent: &Block, epoch: Epoch) -> Option<Block> {
        self.inner.propose(parent, epoch).await
    }

    async fn execute(&self, block: &Block) -> Verdict {
        self.inner.forget(&block.payload);
        self.inner.execute(block).await
    }

    async fn on_finalized(&self, block: &Block, certificate: Option<&Certificate>) -> Result<(), AppError> {
        self.inner.on_finalized(block, certificate).await?;
        let submitted = self.submitted.lock().unwrap().remove(&block.payload);
        if let Some(submitted) = submitted {
            self.latencies.lock().unwrap().push(submitted.elapsed());
        }
        Ok(())
    }

    async fn on_certificate(
        &self,
        height: Height,
        digest: &BlockDigest,
        certificate: &Certificate,
    ) -> Result<(), AppError> {
        self.inner.on_certificate(height, digest, certificate).await
    }
}

/// What was measured.
pub struct Bare {
    pub submitted: u64,
    /// From submitting a payload to its block being final where it was submitted; ascending.
    pub latencies: Vec<Duration>,
    pub blocks_per_second: f64,
}

impl Bare {
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let index = (self.latencies.len() * percent / 100).min(self.latencies.len() - 1);
        self.latencies[index].as_secs_f64() * 1000.0
    }
}

/// Submits payloads of `size` bytes at a rate.
pub async fn run(directory: &Path, validators: u8, size: usize, rate: f64, seconds: f64) -> Bare {
    let cluster = Cluster::new(directory, validators, 0, Duration::from_millis(500));
    let mut handles = Vec::new();
    let mut apps = Vec::new();
    for node in 0..usize::from(validators) {
        let app = Timed {
            inner: App::real(node, cluster.nodes[node].disk.clone(), cluster.heartbeat),
            submitted: Arc::default(),
            latencies: Arc::default(),
        };
        let (link, port) = peer_link(&cluster.validators, LinkLimits::reference());
        cluster.hub.join(key(node as u8 + 1).verifying_key(), port);
        let config = EngineConfig {
            worker_threads: 2,
            ..cluster.config(node)
        };
        handles.push(start(config, app.clone(), link).await.unwrap());
        apps.push(app);
    }
    cluster.reach(0..usize::from(validators), 2).await;

    // Every payload is offered to all, as gossip would do, so that the next leader takes it.
    let before = cluster.height(0);
    let begun = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let mut submitted = 0_u64;
    while begun.elapsed().as_secs_f64() < seconds {
        ticks.tick().await;
        let mut payload = vec![0; size.max(8)];
        payload[..8].copy_from_slice(&submitted.to_be_bytes());
        let home = submitted as usize % apps.len();
        apps[home]
            .submitted
            .lock()
            .unwrap()
            .insert(payload.clone(), Instant::now());
        for app in &apps {
            app.inner.submit(payload.clone());
        }
        submitted += 1;
    }
    let elapsed = begun.elapsed();
    let blocks = cluster.height(0) - before;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for handle in handles {
        handle.stop().await.unwrap();
    }
    let mut latencies: Vec<Duration> = apps
        .iter()
        .flat_map(|app| app.latencies.lock().unwrap().clone())
        .collect();
    latencies.sort_unstable();
    Bare {
        submitted,
        latencies,
        blocks_per_second: blocks as f64 / elapsed.as_secs_f64(),
    }
}
