//! The engine under seeds with crashes, power cuts, partitions and loss.
//!
//! `TOKENIM_SEEDS=1000 cargo test -p tokenim-consensus-commonware --test simulation` runs many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use support::{App, Disk, NETWORK};
use tokenim_consensus::{verify_descendant, verify_finality};
use tokenim_consensus_commonware::{
    EngineError,
    simulation::{Event, Outcome, Scenario, SimulatedClock, Twins, simulate},
};
use tokenim_wire::Height;

mod support;

const VALIDATORS: usize = 4;

fn seeds() -> u64 {
    std::env::var("TOKENIM_SEEDS").map_or(6, |seeds| seeds.parse().expect("TOKENIM_SEEDS is a number"))
}

/// What `one` makes of each of so many seeds, on all cores.
fn each_seed<T: Send>(count: u64, one: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let work = || {
        let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        seeds.take_while(|seed| *seed < count).map(&one).collect::<Vec<T>>()
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn run(scenario: &Scenario) -> (Outcome, Vec<Arc<Mutex<Disk>>>) {
    let genesis = support::genesis(scenario.validator_set().unwrap().digest());
    let nodes = scenario.validators + scenario.followers;
    let disks: Vec<_> = (0..nodes).map(|_| Disk::new(genesis.clone())).collect();
    let outcome = simulate(scenario, &genesis, |node, clock| app(node, &disks[node], clock)).unwrap();
    (outcome, disks)
}

fn app(node: usize, disk: &Arc<Mutex<Disk>>, clock: SimulatedClock) -> App {
    let (sleep, now) = (clock.clone(), clock);
    App::new(
        node,
        disk.clone(),
        Arc::new(move |duration| Box::pin(sleep.sleep(duration))),
        Arc::new(move || now.now()),
        Duration::from_millis(50),
    )
}

/// What must hold whatever happened.
fn check(scenario: &Scenario, outcome: &Outcome, disks: &[Arc<Mutex<Disk>>]) {
    let seed = scenario.seed;
    assert!(
        outcome.double_votes.is_empty(),
        "seed {seed}: {:?}",
        outcome.double_votes
    );
    assert!(outcome.failed.is_empty(), "seed {seed}: {:?}", outcome.failed);
    assert!(outcome.blocked.is_empty(), "seed {seed}: {:?}", outcome.blocked);
    let validators = scenario.validator_set().unwrap();
    let longest = disks
        .iter()
        .map(|disk| disk.lock().unwrap().digests())
        .max_by_key(Vec::len)
        .unwrap();
    for (node, disk) in disks.iter().enumerate() {
        let disk = disk.lock().unwrap();
        assert!(disk.evidence.is_empty(), "seed {seed}: {:?}", disk.evidence);
        let digests = disk.digests();
        assert!(
            longest.starts_with(&digests),
            "seed {seed}: node {node} has another chain"
        );
        // Every height up to the last certificate is provably final.
        let mut proved = 0;
        let mut chain = Vec::new();
        for block in &disk.blocks {
            chain.push(block.header);
            if let Some(certificate) = disk.certificates.get(&block.header.height.get()) {
                verify_finality(&NETWORK, &validators, &block.header, certificate).unwrap();
                for start in 0..chain.len() {
                    verify_descendant(&NETWORK, &validators, &chain[start..], certificate).unwrap();
                    proved += 1;
                }
                chain.clear();
            }
        }
        assert!(
            chain.len() < 64,
            "seed {seed}: node {node} cannot prove the last {} heights",
            chain.len()
        );
        assert_eq!(proved + chain.len(), disk.blocks.len());
    }
}

fn heights(disks: &[Arc<Mutex<Disk>>]) -> Vec<usize> {
    disks.iter().map(|disk| disk.lock().unwrap().blocks.len()).collect()
}

/// How many blocks a node committed that were proposed after the trouble had ended.
fn blocks_after(trouble: Duration, disk: &Mutex<Disk>) -> usize {
    let ended = u64::try_from(trouble.as_millis()).unwrap();
    let disk = disk.lock().unwrap();
    disk.blocks
        .iter()
        .filter(|block| block.header.time.get() > ended)
        .count()
}

/// A scenario of a seed: trouble for a while, then quiet for long enough to recover.
fn troubled(seed: u64) -> (Scenario, Duration) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |bound: u64| rng.next_u64() % bound;
    let trouble = Duration::from_secs(25);
    let quiet = Duration::from_secs(20);
    let mut scenario = Scenario::calm(seed, VALIDATORS, trouble + quiet);
    scenario.latency = Duration::from_millis(5 + below(60));
    scenario.jitter = Duration::from_millis(below(20));
    scenario.followers = usize::from(seed % 4 == 3);
    let mut at = Duration::from_millis(500);
    let mut down = BTreeSet::new();
    while at < trouble {
        let node = usize::try_from(below(VALIDATORS as u64)).unwrap();
        let event = match below(10) {
            0..=2 if down.len() < 3 && down.insert(node) => Event::Crash(node),
            0..=4 => match down.pop_first() {
                Some(node) => Event::Restart(node),
                None => Event::Heal,
            },
            5 => {
                down.clear();
                Event::PowerCut
            }
            6 => Event::Partition(BTreeSet::from([node])),
            7 => Event::Partition(BTreeSet::from([node, (node + 1) % VALIDATORS])),
            8 => Event::Loss(u8::try_from(5 + below(25)).unwrap()),
            _ => Event::Heal,
        };
        scenario.events.push((at, event));
        at += Duration::from_millis(200 + below(3000));
    }
    scenario.events.push((trouble, Event::Heal));
    for node in down {
        scenario.events.push((trouble, Event::Restart(node)));
    }
    (scenario, trouble)
}

#[test]
fn calm_network_agrees_and_certifies_every_height() {
    let scenario = Scenario::calm(1, VALIDATORS, Duration::from_secs(10));
    let (outcome, disks) = run(&scenario);
    check(&scenario, &outcome, &disks);
    assert!(
        heights(&disks).iter().all(|height| *height > 50),
        "{:?}",
        heights(&disks)
    );
    for disk in &disks {
        let disk = disk.lock().unwrap();
        assert!(disk.certificates.len() + 1 >= disk.blocks.len());
    }
    assert!(
        outcome.status.iter().all(|status| status.skipped_views == 0),
        "{:?}",
        outcome.status
    );
}

#[test]
fn same_seed_same_run() {
    let (mut scenario, _) = troubled(5);
    scenario.duration = Duration::from_secs(12);
    scenario.events.retain(|(at, _)| *at < scenario.duration);
    let (one, first) = run(&scenario);
    let (other, second) = run(&scenario);
    assert_eq!(one.state, other.state);
    assert_eq!(heights(&first), heights(&second));
    scenario.seed += 1;
    let (different, _) = run(&scenario);
    assert_ne!(one.state, different.state);
}

#[test]
fn seeds_of_trouble() {
    let begun = Instant::now();
    let made = each_seed(seeds(), |seed| {
        let (scenario, trouble) = troubled(seed);
        let (outcome, disks) = run(&scenario);
        check(&scenario, &outcome, &disks);
        let mut slowest = usize::MAX;
        for (node, disk) in disks.iter().enumerate() {
            let after = blocks_after(trouble, disk);
            assert!(
                after >= 20,
                "seed {seed}: node {node} committed {after} blocks in 20 s of quiet"
            );
            slowest = slowest.min(after);
        }
        let is_cut = |(_, event): &&(Duration, Event)| *event == Event::PowerCut;
        let cuts = scenario.events.iter().filter(is_cut).count();
        (*heights(&disks).iter().max().unwrap(), cuts, slowest)
    });
    println!(
        "{} seeds, {} blocks, {} power cuts, at least {} blocks after the trouble, in {:?}",
        made.len(),
        made.iter().map(|(blocks, ..)| blocks).sum::<usize>(),
        made.iter().map(|(_, cuts, _)| cuts).sum::<usize>(),
        made.iter().map(|(.., slowest)| *slowest).min().unwrap_or_default(),
        begun.elapsed()
    );
}

/// Without its journal a node could contradict what it signed before: its engine refuses to start.
#[test]
fn a_lost_journal_stops_the_node_and_nobody_else() {
    let mut scenario = Scenario::calm(3, VALIDATORS, Duration::from_secs(12));
    scenario.events = vec![
        (Duration::from_secs(5), Event::Crash(1)),
        (Duration::from_secs(5), Event::LoseJournal(1)),
        (Duration::from_secs(6), Event::Restart(1)),
    ];
    let (outcome, disks) = run(&scenario);
    assert!(outcome.double_votes.is_empty());
    let [
        (
            1,
            EngineError::JournalBehindStore {
                journal: Height::ZERO,
                store,
            },
        ),
    ] = outcome.failed.as_slice()
    else {
        panic!("{:?}", outcome.failed);
    };
    let heights = heights(&disks);
    assert_eq!(store.get(), heights[1] as u64);
    assert!(heights[0] > heights[1] + 20);
}

/// With the store lost too nothing local tells, and the node contradicts itself: the others notice,
/// cut it off and go on with one chain. A node that lost everything needs a new key. That this test
/// sees double votes also shows that the others would.
#[test]
fn a_node_that_lost_everything_contradicts_itself_and_forks_nobody() {
    let mut seen = 0;
    for seed in 0..6 {
        let at = |millis| Duration::from_millis(5000 + 13 * seed + millis);
        let mut scenario = Scenario::calm(seed, VALIDATORS, Duration::from_secs(12));
        scenario.events = vec![
            (at(0), Event::Crash(1)),
            (at(1), Event::LoseJournal(1)),
            (at(2), Event::Restart(1)),
        ];
        let genesis = support::genesis(scenario.validator_set().unwrap().digest());
        let mut disks: Vec<_> = (0..VALIDATORS).map(|_| Disk::new(genesis.clone())).collect();
        let lost = Disk::new(genesis.clone());
        let starts = AtomicUsize::new(0);
        let outcome = simulate(&scenario, &genesis, |node, clock| {
            let again = starts.fetch_add(1, Ordering::Relaxed) >= VALIDATORS;
            app(node, if again { &lost } else { &disks[node] }, clock)
        })
        .unwrap();
        assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
        assert!(
            outcome.blocked.iter().all(|(_, blocked)| *blocked == 1),
            "{:?}",
            outcome.blocked
        );
        seen += outcome.double_votes.len();
        disks.push(lost);
        let chains: Vec<_> = disks.iter().map(|disk| disk.lock().unwrap().digests()).collect();
        let longest = chains.iter().max_by_key(|chain| chain.len()).unwrap();
        assert!(chains.iter().all(|chain| longest.starts_with(chain)));
        for honest in [0, 2, 3] {
            assert!(chains[honest].len() > chains[1].len() + 20);
        }
    }
    assert!(seen > 0, "no double vote in any of the seeds");
}

/// A validator with two halves that know nothing of each other proposes two blocks in a view and votes
/// for both, sends each to others, and goes on through crashes and partitions. The honest three, a
/// quorum by themselves, keep one chain and go on; who sees both votes has the proof of who lied, and
/// cuts the liar off.
#[test]
fn a_validator_that_votes_twice_forks_nobody_and_is_named() {
    let made = each_seed(seeds().max(6), |seed| {
        let (mut named, mut least) = (0, usize::MAX);
        let (mut scenario, trouble) = troubled(seed);
        scenario.followers = 0;
        let liar = usize::try_from(seed).unwrap() % VALIDATORS;
        let honest: Vec<usize> = (0..VALIDATORS).filter(|node| *node != liar).collect();
        // One of the honest hears both halves, or two do, or nobody does.
        let (first, second) = match seed % 3 {
            0 => (vec![honest[0], honest[1]], vec![honest[1], honest[2]]),
            1 => (honest.clone(), vec![honest[0], honest[2]]),
            _ => (vec![honest[0]], vec![honest[1], honest[2]]),
        };
        scenario.twins = Some(Twins {
            node: liar,
            first: first.into_iter().collect(),
            second: second.into_iter().collect(),
        });
        let genesis = support::genesis(scenario.validator_set().unwrap().digest());
        let disks: Vec<_> = (0..=VALIDATORS).map(|_| Disk::new(genesis.clone())).collect();
        let outcome = simulate(&scenario, &genesis, |node, clock| app(node, &disks[node], clock)).unwrap();

        let validators = scenario.validator_set().unwrap();
        let key = Scenario::key(liar).verifying_key();
        assert!(outcome.failed.is_empty(), "seed {seed}: {:?}", outcome.failed);
        for (place, what) in &outcome.double_votes {
            assert_eq!(validators.validators()[*place].key, key, "seed {seed}: {what}");
        }
        for (from, blocked) in &outcome.blocked {
            assert!(
                *blocked == liar || *from == liar,
                "seed {seed}: {from} blocked {blocked}"
            );
        }
        let chains: Vec<_> = disks.iter().map(|disk| disk.lock().unwrap().digests()).collect();
        let longest = chains.iter().max_by_key(|chain| chain.len()).unwrap();
        for (node, chain) in chains.iter().enumerate() {
            assert!(longest.starts_with(chain), "seed {seed}: node {node} has another chain");
        }
        for node in honest {
            for evidence in &disks[node].lock().unwrap().evidence {
                assert_eq!(evidence.verify(&NETWORK, &validators), Ok(key), "seed {seed}");
                named += 1;
            }
            let after = blocks_after(trouble, &disks[node]);
            assert!(
                after >= 10,
                "seed {seed}: node {node} committed {after} blocks in 20 s of quiet"
            );
            least = least.min(after);
        }
        (usize::from(!outcome.double_votes.is_empty()), named, least)
    });
    let proposed_twice = made.iter().map(|(twice, ..)| twice).sum::<usize>();
    let named = made.iter().map(|(_, named, _)| named).sum::<usize>();
    let least = made.iter().map(|(.., least)| *least).min().unwrap_or_default();
    println!(
        "double votes in {proposed_twice} seeds, {named} pieces of evidence, at least {least} blocks after the trouble"
    );
    assert!(proposed_twice > 0 && named > 0);
}
