//! From a transaction at a gateway to its commit with certificate there, as that node measures it itself
//! (`finality_seconds` of `/metrics`; the others measure from when it was passed on to them), beside the bare engine with payloads of the same size at the same rate, in turns;
//! then with one of the nodes stopped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing
)]

#[path = "../../crates/cli/src/demo/histogram.rs"]
#[allow(unused_imports, reason = "its tests are run where it lives")]
mod histogram;
#[path = "../../crates/consensus-commonware/tests/support/mod.rs"]
mod support;

use histogram::Histogram;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};
use support::bare::{self, Bare};
use tokenim_envelope::{EnvelopeSecretKey, Suite};
use tokenim_identity::{DeviceSecrets, IdentityState, Phrase, SignedRecord};
use tokenim_ledger::IdentityUpdate;
use tokenim_rpc::{Request, Response};
use tokenim_testkit::{Caller, LocalNetwork};
use tokenim_wire::{NetworkId, encode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
};

const NODES: usize = 4;
/// The node to which all transactions go.
const GATEWAY: usize = 0;
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let (rate, seconds) = (argument("--rate", 40.0), argument("--seconds", 8.0));
    let rounds = argument("--rounds", 3.0) as usize;
    let idle = argument("--idle", 0.0);
    let began = Instant::now();
    let network = LocalNetwork::start(NODES, 1, |_, config| {
        config.limits.submissions_per_minute = 60_000;
        config.limits.submissions_burst = 10_000;
        config.limits.requests_per_second = 10_000;
        config.limits.requests_burst = 10_000;
    })
    .unwrap();
    println!(
        "{NODES} nodes in this process, ready after {:.2} s",
        began.elapsed().as_secs_f64()
    );
    if idle > 0.0 {
        std::thread::sleep(Duration::from_secs(3));
        let before = cpu_seconds();
        std::thread::sleep(Duration::from_secs_f64(idle));
        let share = (cpu_seconds() - before) / idle / NODES as f64;
        println!("idle for {idle:.0} s: {:.2} % of a core for each node", share * 100.0);
    }
    let each = (rate * seconds) as usize;
    let mut numbers = 0..u64::MAX;
    let size = encode(&registration(&network.layout.id, 0)).unwrap().len();
    println!("records of {size} B as payloads, {rate} a second, {rounds} rounds of {seconds} s");

    // The engine's runs take turns with the network's, which is idle meanwhile.
    let runtime = Runtime::new().unwrap();
    let (mut engine, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        let bare = runtime.block_on(bare::run(folder.path(), NODES as u8, size, rate, seconds));
        show_bare(&bare);
        engine.push(bare.percentile_ms(50));
        let updates = registrations(&network.layout.id, &mut numbers, each);
        let measured = network.block_on(load(&network, &updates, rate));
        measured.show("all of 4 nodes");
        whole.push(measured);
    }
    let whole_ms = median(whole.iter().map(Measured::p50).collect());
    let engine_ms = median(engine);
    println!(
        "finality p50, median of the rounds: network {whole_ms:.1} ms, bare engine {engine_ms:.1} ms, ratio {:.2}",
        whole_ms / engine_ms
    );

    // The engine learns to skip the missing leader; that is reported by itself.
    network.stop_node(NODES - 1).unwrap();
    let updates = registrations(&network.layout.id, &mut numbers, each);
    network
        .block_on(load(&network, &updates, rate))
        .show("the first seconds without one of 4");
    let updates = registrations(&network.layout.id, &mut numbers, each);
    let without = network.block_on(load(&network, &updates, rate));
    without.show("3 of 4 nodes, after the first skip");
    let with = median(whole.iter().map(Measured::blocks_per_second).collect());
    println!(
        "blocks with one of four dead: {:.2} of the rate with all",
        without.blocks_per_second() / with
    );
}

fn argument(name: &str, default: f64) -> f64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments
        .nth(1)
        .map_or(default, |value| value.parse().expect("a number"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Processor time of this process, in seconds; 0 where that can't be found out.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: f64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}

fn registrations(network: &NetworkId, numbers: &mut Range<u64>, count: usize) -> Vec<IdentityUpdate> {
    numbers
        .take(count)
        .map(|number| registration(network, number))
        .collect()
}

fn registration(network: &NetworkId, seed: u64) -> IdentityUpdate {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let phrase = Phrase::generate(&mut rng);
    let genesis = phrase.genesis();
    let device = DeviceSecrets::generate(&mut rng);
    let key = EnvelopeSecretKey::from_seed(Suite::default(), &device.envelope_seed)
        .public()
        .clone();
    let state = IdentityState::new(&genesis);
    let record = SignedRecord::add_device(network, &state, &phrase.root_key(0), &device, key).unwrap();
    IdentityUpdate {
        genesis: Some(genesis),
        record,
    }
}

fn show_bare(bare: &Bare) {
    println!(
        "bare engine: {} payloads, finality p50 {:.1} ms, p99 {:.1} ms, {:.1} blocks/s",
        bare.submitted,
        bare.percentile_ms(50),
        bare.percentile_ms(99),
        bare.blocks_per_second
    );
}

/// What the gateway measured during a load.
struct Measured {
    finality: Histogram,
    /// From the first submission to the first commit.
    first: Duration,
    elapsed: Duration,
    blocks: u64,
}

impl Measured {
    fn p50(&self) -> f64 {
        self.finality.percentile_ms(0.5)
    }

    fn blocks_per_second(&self) -> f64 {
        self.blocks as f64 / self.elapsed.as_secs_f64()
    }

    fn show(&self, what: &str) {
        println!(
            "{what}: {} transactions, {:.0}/s, finality p50 {:.1} ms, p99 {:.1} ms, {:.1} blocks/s, the first after {:.0} ms",
            self.finality.count(),
            self.finality.count() as f64 / self.elapsed.as_secs_f64(),
            self.p50(),
            self.finality.percentile_ms(0.99),
            self.blocks_per_second(),
            self.first.as_secs_f64() * 1000.0
        );
    }
}

/// Submits at a rate, waits until every one is committed, and gives what the gateway measured meanwhile.
async fn load(network: &LocalNetwork, updates: &[IdentityUpdate], rate: f64) -> Measured {
    let caller = Arc::new(Caller::new(network.layout.id, [7; 32]).unwrap());
    let before = Scrape::of(network).await;
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let mut submissions = Vec::new();
    let mut first = None;
    for update in updates {
        ticks.tick().await;
        let node = &network.layout.nodes[GATEWAY];
        let (caller, key, address) = (caller.clone(), node.key, node.listen.to_string());
        let request = Request::SubmitIdentity(Box::new(update.clone()));
        submissions.push(tokio::spawn(async move {
            // While no block is made, a gateway takes only so many: then what it is told to do is done, asking again.
            while let Response::Error(refusal) = caller.ask(&key, &address, &request, PATIENCE).await.unwrap() {
                assert!(refusal.retry_after_ms > 0, "{refusal:?}");
                tokio::time::sleep(Duration::from_millis(refusal.retry_after_ms.into())).await;
            }
        }));
        if first.is_none() && Scrape::of(network).await.since(&before).finality.count() > 0 {
            first = Some(began.elapsed());
        }
    }
    for submission in submissions {
        submission.await.unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let passed = Scrape::of(network).await.since(&before);
        if passed.finality.count() >= updates.len() as u64 {
            let elapsed = began.elapsed();
            return Measured {
                first: first.unwrap_or(elapsed),
                finality: passed.finality,
                elapsed,
                blocks: passed.height,
            };
        }
        assert!(Instant::now() < deadline, "not all transactions became final");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What the gateway's metrics say.
struct Scrape {
    finality: Histogram,
    height: u64,
}

impl Scrape {
    async fn of(network: &LocalNetwork) -> Self {
        let mut stream = TcpStream::connect(network.layout.nodes[GATEWAY].http).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        let mut finality = Histogram::default();
        finality.add(&page, "tokenim_finality_seconds");
        let height = page.lines().find_map(|line| line.strip_prefix("tokenim_height "));
        Self {
            finality,
            height: height.unwrap().trim().parse().unwrap(),
        }
    }

    fn since(&self, before: &Self) -> Self {
        let counts = self.finality.counts.iter();
        let less = |(bound, count): (&u64, &u64)| (*bound, count - before.finality.counts.get(bound).unwrap_or(&0));
        Self {
            finality: Histogram {
                counts: counts.map(less).collect(),
            },
            height: self.height - before.height,
        }
    }
}
