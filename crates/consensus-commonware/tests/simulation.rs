//! The engine under seeds with crashes, power cuts, partitions and loss.
//!
//! `TOKENIM_SEEDS=1000 cargo test -p tokenim-consensus-commonware --test simulation` runs many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use support::{App, Disk, NETWORK};
use tokenim_consensus::{verify_descendant, verify_finality};
use tokenim_consensus_commonware::simulation::{Event, Outcome, Scenario, simulate};

mod support;

const VALIDATORS: usize = 4;

fn seeds() -> u64 {
    std::env::var("TOKENIM_SEEDS").map_or(8, |seeds| seeds.parse().expect("TOKENIM_SEEDS is a number"))
}

fn run(scenario: &Scenario) -> (Outcome, Vec<Arc<Mutex<Disk>>>) {
    let genesis = support::genesis(scenario.validator_set().unwrap().digest());
    let nodes = scenario.validators + scenario.followers;
    let disks: Vec<_> = (0..nodes).map(|_| Disk::new(genesis.clone())).collect();
    let outcome = simulate(scenario, &genesis, |node, clock| {
        let (sleep, now) = (clock.clone(), clock);
        App::new(
            node,
            disks[node].clone(),
            Arc::new(move |duration| Box::pin(sleep.sleep(duration))),
            Arc::new(move || now.now()),
            Duration::from_millis(50),
        )
    })
    .unwrap();
    (outcome, disks)
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
    let (mut blocks, mut cuts) = (0, 0);
    for seed in 0..seeds() {
        let (mut scenario, trouble) = troubled(seed);
        let (outcome, disks) = run(&scenario);
        check(&scenario, &outcome, &disks);
        let end = heights(&disks);
        // Progress after the trouble: the same run cut off at its end must have reached less.
        scenario.duration = trouble;
        let (_, disks) = run(&scenario);
        let before = heights(&disks);
        let progress = end.iter().zip(&before).map(|(end, before)| end - before).min().unwrap();
        assert!(
            progress >= 10,
            "seed {seed}: from {before:?} to {end:?} in 20 s of quiet"
        );
        blocks += end.iter().max().unwrap();
        cuts += scenario
            .events
            .iter()
            .filter(|(_, event)| *event == Event::PowerCut)
            .count();
    }
    println!(
        "{} seeds, {blocks} blocks, {cuts} power cuts in {:?}",
        seeds(),
        begun.elapsed()
    );
}
