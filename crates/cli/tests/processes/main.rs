//! Networks of four real `tokenim node` processes on this machine: killed under load, given folders that don't belong
//! together, run until their disk is full.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod folders;
mod full_disk;
mod load;
mod people;

use std::time::Duration;
use tokenim_consensus::BlockDigest;
use tokenim_ledger::LightClient;
use tokenim_rpc::{ErrorCode, Request, Response};
use tokenim_testkit::{Caller, Ended, Processes};
use tokenim_wire::Height;
use tokio::task::JoinSet;

/// All nodes of each network; three are a quorum.
const ALL: [usize; 4] = [0, 1, 2, 3];
/// How long the nodes may take for something that they do at once when the machine has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folders of four nodes that make blocks faster, and notice a standstill sooner, than people would want it.
fn lay_out(seed: u64) -> Processes {
    let processes = Processes::lay_out(env!("CARGO_BIN_EXE_tokenim"), ALL.len(), seed).unwrap();
    for node in ALL {
        for (from, to) in [
            ("\nheartbeat_ms = 500\n", "\nheartbeat_ms = 100\n"),
            ("\nstalled_after_ms = 5000\n", "\nstalled_after_ms = 2500\n"),
            ("\nrepair_interval_ms = 2000\n", "\nrepair_interval_ms = 300\n"),
            ("\nrepair_grace_ms = 3000\n", "\nrepair_grace_ms = 500\n"),
        ] {
            processes.layout.edit_config(node, from, to).unwrap();
        }
    }
    processes
}

/// Four running nodes.
async fn running(seed: u64) -> Processes {
    let mut processes = lay_out(seed);
    processes.start_all().unwrap();
    processes.until_ok(&ALL, PATIENCE).await.unwrap();
    processes
}

/// The one line with which a process that must have failed ends: what was wrong and what to do.
fn last_line(ended: &Ended, code: i32) -> String {
    assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
    let line = ended.stderr.lines().last().unwrap_or_default();
    let line = line
        .strip_prefix("error: ")
        .unwrap_or_else(|| panic!("{}", ended.stderr));
    assert_eq!(
        ended.stderr.lines().filter(|line| line.starts_with("error: ")).count(),
        1,
        "{}",
        ended.stderr
    );
    line.to_owned()
}

/// Starts a node, and returns the line with which it refuses to run.
async fn refusal(processes: &mut Processes, node: usize, code: i32) -> String {
    processes.start(node).unwrap();
    last_line(&processes.ended(node, PATIENCE).await.unwrap(), code)
}

async fn height(processes: &Processes, node: usize) -> u64 {
    processes.health(node).await.expect("the node answers").height
}

/// Asks these nodes for the proof of every height that all of them have, verifies each from the network's configuration
/// alone, and compares the headers. Returns how many heights there were.
async fn agree(processes: &Processes, nodes: &[usize]) -> u64 {
    let mut top = u64::MAX;
    for node in nodes {
        top = top.min(height(processes, *node).await);
    }
    let mut chains = Vec::new();
    for node in nodes {
        chains.push(chain(processes, *node, top).await);
    }
    for (node, chain) in nodes.iter().zip(&chains) {
        for (number, (one, other)) in chain.iter().zip(&chains[0]).enumerate() {
            assert_eq!(
                one,
                other,
                "node {node} has another header at height {} than node {}",
                number + 1,
                nodes[0]
            );
        }
    }
    top
}

/// The digests of the headers from 1 to `top` that a node proves to be final.
async fn chain(processes: &Processes, node: usize, top: u64) -> Vec<BlockDigest> {
    let layout = &processes.layout;
    let light = LightClient::new(&layout.network).unwrap();
    let caller = std::sync::Arc::new(Caller::new(layout.id, [7; 32]).unwrap());
    let folder = &layout.nodes[node];
    let (key, address) = (folder.key, folder.listen.to_string());
    let mut asking = JoinSet::new();
    let mut digests = vec![None; usize::try_from(top).unwrap()];
    for height in (1..=top).map(Height::new) {
        if asking.len() >= 16 {
            let (height, header): (Height, BlockDigest) = asking.join_next().await.unwrap().unwrap();
            digests[usize::try_from(height.get()).unwrap() - 1] = Some(header);
        }
        let (caller, light, address) = (caller.clone(), light.clone(), address.clone());
        asking.spawn(async move {
            loop {
                let answer = caller
                    .ask(&key, &address, &Request::Finality { height }, PATIENCE)
                    .await;
                match answer.unwrap() {
                    Response::Finality(proof) => {
                        let header = *light.verify_header(&proof).unwrap().header();
                        assert_eq!(header.height, height);
                        return (height, header.digest());
                    }
                    // The newest one has its certificate in a moment; a node answers only so much a second.
                    Response::Error(error) if [ErrorCode::PENDING, ErrorCode::RATE_LIMITED].contains(&error.code) => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    other => panic!("node {node}, height {height}: {other:?}"),
                }
            }
        });
    }
    for (height, header) in asking.join_all().await {
        digests[usize::try_from(height.get()).unwrap() - 1] = Some(header);
    }
    digests.into_iter().map(Option::unwrap).collect()
}

/// No node that ran all the time saw another one sign two different things.
fn nobody_voted_twice(processes: &Processes, nodes: &[usize]) {
    for node in nodes {
        let log = processes.log(*node);
        assert!(!log.contains("voted twice"), "node {node}:\n{log}");
    }
}
