//! The engine alone: validators in one process, joined by channels, with their journals synced to a
//! real disk and an application that does nothing. Prints the time from submitting a payload to
//! its block being final where it was submitted, and the rate of blocks.
//!
//! ```sh
//! cargo run --release -p tokenim-consensus-commonware --example bare_engine -- \
//!     --validators 4 --payload 1024 --rate 50 --seconds 10 --dir DIR --json
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use support::{App, AppError, loopback::Cluster};
use tokenim_consensus::{Application, Block, BlockDigest, Certificate, Verdict};
use tokenim_consensus_commonware::{EngineConfig, LinkLimits, peer_link, start};
use tokenim_wire::{Epoch, Height};

#[path = "../tests/support/mod.rs"]
mod support;

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

fn argument<T: std::str::FromStr>(name: &str, default: T) -> T {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match arguments.nth(1) {
        Some(value) => value
            .parse()
            .ok()
            .unwrap_or_else(|| panic!("{name} {value} is not understood")),
        None => default,
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len() - 1);
    sorted[index].as_secs_f64() * 1000.0
}

#[tokio::main]
async fn main() {
    let validators: u8 = argument("--validators", 4);
    let size: usize = argument("--payload", 1024);
    let rate: f64 = argument("--rate", 50.0);
    let seconds: u64 = argument("--seconds", 10);
    let json = std::env::args().any(|argument| argument == "--json");
    let temporary = tempfile::tempdir().unwrap();
    let directory: PathBuf = argument("--dir", temporary.path().to_owned());

    let cluster = Cluster::new(&directory, validators, 0, Duration::from_millis(500));
    let mut handles = Vec::new();
    let mut apps = Vec::new();
    for node in 0..usize::from(validators) {
        let app = Timed {
            inner: App::real(node, cluster.nodes[node].disk.clone(), cluster.heartbeat),
            submitted: Arc::default(),
            latencies: Arc::default(),
        };
        let (link, port) = peer_link(&cluster.validators, LinkLimits::reference());
        cluster
            .hub
            .join(support::loopback::key(node as u8 + 1).verifying_key(), port);
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
    let mut count = 0u64;
    while begun.elapsed() < Duration::from_secs(seconds) {
        ticks.tick().await;
        let mut payload = vec![0; size.max(8)];
        payload[..8].copy_from_slice(&count.to_be_bytes());
        let home = count as usize % apps.len();
        apps[home]
            .submitted
            .lock()
            .unwrap()
            .insert(payload.clone(), Instant::now());
        for app in &apps {
            app.inner.submit(payload.clone());
        }
        count += 1;
    }
    let elapsed = begun.elapsed();
    let blocks = cluster.height(0) - before;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut latencies: Vec<Duration> = apps
        .iter()
        .flat_map(|app| app.latencies.lock().unwrap().clone())
        .collect();
    latencies.sort_unstable();
    let (p50, p99) = (percentile(&latencies, 50), percentile(&latencies, 99));
    let per_second = blocks as f64 / elapsed.as_secs_f64();
    if json {
        println!(
            "{}",
            serde_json::json!({
                "validators": validators, "payload_bytes": size, "rate": rate, "submitted": count,
                "final": latencies.len(), "finality_ms_p50": p50, "finality_ms_p99": p99,
                "blocks_per_second": per_second,
            })
        );
    } else {
        println!(
            "{validators} validators, {size} B payloads, {rate}/s: {} of {count} final",
            latencies.len()
        );
        println!("submit to final: p50 {p50:.1} ms, p99 {p99:.1} ms; {per_second:.1} blocks/s");
    }
    for handle in handles {
        handle.stop().await.unwrap();
    }
}
