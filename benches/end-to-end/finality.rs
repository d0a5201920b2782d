//! From a transaction at a gateway to its commit with certificate there, as the nodes measure it themselves
//! (`finality_seconds` of `/metrics`): with all four, then with one stopped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing
)]

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokenim_envelope::EnvelopeSecretKey;
use tokenim_identity::{DeviceSecrets, IdentityState, Phrase, SignedRecord};
use tokenim_ledger::IdentityUpdate;
use tokenim_rpc::Request;
use tokenim_testkit::{Caller, LocalNetwork};
use tokenim_wire::NetworkId;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const NODES: usize = 4;
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let (rate, seconds) = (argument("--rate", 50.0), argument("--seconds", 10.0));
    let network = LocalNetwork::start(NODES, 1, |_, config| {
        config.limits.submissions_per_minute = 60_000;
        config.limits.submissions_burst = 10_000;
        config.limits.requests_per_second = 10_000;
        config.limits.requests_burst = 10_000;
    })
    .unwrap();
    let updates = registrations(&network.layout.id, (2.0 * rate * seconds) as u64);
    let (first, second) = updates.split_at(updates.len() / 2);
    report("all of 4 nodes", network.block_on(load(&network, first, rate, NODES)));
    network.stop_node(NODES - 1).unwrap();
    // The engine learns to skip the missing leader on its first turn; that is reported by itself.
    let began = Instant::now();
    network.block_on(load(&network, &second[..second.len().min(1)], rate, 1));
    println!(
        "after one node stopped, the first transaction took {:.0} ms",
        began.elapsed().as_secs_f64() * 1000.0
    );
    report(
        "3 of 4 nodes",
        network.block_on(load(&network, &second[1..], rate, NODES - 1)),
    );
}

fn argument(name: &str, default: f64) -> f64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments
        .nth(1)
        .map_or(default, |value| value.parse().expect("a number"))
}

fn registrations(network: &NetworkId, count: u64) -> Vec<IdentityUpdate> {
    let register = |seed| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let phrase = Phrase::generate(&mut rng);
        let genesis = phrase.genesis();
        let device = DeviceSecrets::generate(&mut rng);
        let key = EnvelopeSecretKey::from_seed(&device.envelope_seed).public().clone();
        let state = IdentityState::new(&genesis);
        let record = SignedRecord::add_device(network, &state, &phrase.root_key(0), &device, key).unwrap();
        IdentityUpdate {
            genesis: Some(genesis),
            record,
        }
    };
    (0..count).map(register).collect()
}

/// Submits at a rate, round robin, waits until every one is committed, and gives what the nodes measured meanwhile.
async fn load(network: &LocalNetwork, updates: &[IdentityUpdate], rate: f64, nodes: usize) -> Measured {
    let caller = Arc::new(Caller::new(network.layout.id, [7; 32]).unwrap());
    let before = scrape(network, nodes).await;
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let mut submissions = Vec::new();
    for (number, update) in updates.iter().enumerate() {
        ticks.tick().await;
        let node = &network.layout.nodes[number % nodes];
        let (caller, key, address) = (caller.clone(), node.key, node.listen.to_string());
        let request = Request::SubmitIdentity(Box::new(update.clone()));
        submissions.push(tokio::spawn(async move {
            caller
                .ask(&key, &address, &request, PATIENCE)
                .await
                .unwrap()
                .into_submitted()
                .unwrap();
        }));
    }
    for submission in submissions {
        submission.await.unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let after = scrape(network, nodes).await;
        let measured = after.since(&before);
        if measured.count() >= updates.len() as u64 {
            return Measured {
                histogram: measured,
                elapsed: began.elapsed(),
            };
        }
        assert!(Instant::now() < deadline, "not all transactions became final");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Measured {
    histogram: Histogram,
    elapsed: Duration,
}

fn report(what: &str, measured: Measured) {
    let h = &measured.histogram;
    println!(
        "{what}: {} transactions, {:.0}/s, finality p50 {:.1} ms, p99 {:.1} ms",
        h.count(),
        h.count() as f64 / measured.elapsed.as_secs_f64(),
        h.percentile_ms(0.5),
        h.percentile_ms(0.99)
    );
}

/// Upper bound in microseconds → values up to it.
#[derive(Default)]
struct Histogram(BTreeMap<u64, u64>);

impl Histogram {
    fn count(&self) -> u64 {
        self.0.values().next_back().copied().unwrap_or(0)
    }

    fn since(&self, before: &Self) -> Self {
        let less = |(bound, count): (&u64, &u64)| (*bound, count - before.0.get(bound).unwrap_or(&0));
        Self(self.0.iter().map(less).collect())
    }

    /// Values are taken to be spread evenly within a bucket.
    fn percentile_ms(&self, share: f64) -> f64 {
        let wanted = share * self.count() as f64;
        let (mut low, mut below) = (0, 0);
        for (&bound, &count) in &self.0 {
            if count as f64 >= wanted && count > below {
                let inside = (wanted - below as f64) / (count - below) as f64;
                return (low as f64 + inside * (bound - low) as f64) / 1000.0;
            }
            (low, below) = (bound, count);
        }
        0.0
    }
}

async fn scrape(network: &LocalNetwork, nodes: usize) -> Histogram {
    let mut histogram = Histogram::default();
    for node in &network.layout.nodes[..nodes] {
        let mut stream = TcpStream::connect(node.http).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        for line in page.lines() {
            let Some((_, rest)) = line.split_once("finality_seconds_bucket{le=\"") else {
                continue;
            };
            let (bound, count) = rest.split_once("\"} ").unwrap();
            let bound = bound.parse::<f64>().map_or(u64::MAX, |seconds| {
                if seconds.is_finite() {
                    (seconds * 1e6) as u64
                } else {
                    u64::MAX
                }
            });
            *histogram.0.entry(bound).or_default() += count.trim().parse::<u64>().unwrap();
        }
    }
    histogram
}
