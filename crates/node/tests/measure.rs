//! Measures four nodes in one process. Prints numbers; by hand:
//! `cargo test --release -p tokenim-node --test measure -- --ignored --nocapture`
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Client, Folders, Person, eventually, logs};
use std::time::{Duration, Instant};
use tokenim_mailbox::QuorumReceipt;
use tokenim_node::{Folder, Node};
use tokenim_rpc::{Request, TransactionStatus};

/// Processor time of this process, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints numbers, takes a minute"]
async fn four_nodes() {
    logs();
    let folders = Folders::new(4, 3);
    let began = Instant::now();
    let mut nodes = Vec::new();
    for dir in &folders.dirs {
        let mut folder = Folder::open(dir, None).unwrap();
        folder.config.limits.submissions_per_minute = 1_000_000;
        folder.config.limits.submissions_burst = 1_000_000;
        nodes.push(Node::start(folder).await.unwrap());
    }
    for node in &nodes {
        node.ready().await.unwrap();
    }
    println!("four nodes ready after {:?}", began.elapsed());

    tokio::time::sleep(Duration::from_secs(3)).await;
    let (before, height) = (cpu_seconds(), nodes[0].status().height.get());
    tokio::time::sleep(Duration::from_secs(20)).await;
    let used = (cpu_seconds() - before) / 20.0;
    println!(
        "idle: {:.2} % of a core for each of four nodes, {:.2} blocks/s",
        used * 25.0,
        (nodes[0].status().height.get() - height) as f64 / 20.0
    );

    let light = folders.light_client();
    let client = Client::new(&folders, 9).connected().await;
    let mut times = Vec::new();
    for number in 0..100 {
        let update = Person::new(100 + number).registration(&folders.network);
        let began = Instant::now();
        let submitted = client.submit(0, update).await;
        let request = Request::TransactionStatus { id: submitted.id };
        loop {
            let status = client.call(0, &request).await.into_transaction_status().unwrap();
            if matches!(status, TransactionStatus::Final { .. }) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(began.elapsed());
    }
    println!(
        "record submitted until final at the gateway: p50 {:?} p99 {:?}",
        percentile(&mut times, 0.5),
        percentile(&mut times, 0.99)
    );

    let (alice, bob) = (Person::new(1), Person::new(2));
    let submitted = client.submit(0, bob.registration(&folders.network)).await;
    client.applied(0, &submitted).await;
    eventually("bob", Duration::from_secs(5), async || {
        client.lookup(0, &light, &bob).await.is_some()
    })
    .await;
    let state = client.lookup(0, &light, &bob).await.unwrap();
    let set = client.node_set(0, &light).await;
    let (mut puts, mut proofs) = (Vec::new(), Vec::new());
    let mut quorums = Vec::new();
    let all = Instant::now();
    for number in 0..100 {
        let sealed = alice.seal(&folders.network, &state, "hello", number);
        let began = Instant::now();
        let inbox = bob.inbox();
        let (a, b, c, d) = tokio::join!(
            client.put(0, &inbox, &sealed),
            client.put(1, &inbox, &sealed),
            client.put(2, &inbox, &sealed),
            client.put(3, &inbox, &sealed)
        );
        puts.push(began.elapsed());
        quorums.push(QuorumReceipt::assemble(&set, &[a, b, c, d]).unwrap());
    }
    println!(
        "envelope durable at four nodes: p50 {:?} p99 {:?}, {:.0}/s one after the other",
        percentile(&mut puts, 0.5),
        percentile(&mut puts, 0.99),
        100.0 / all.elapsed().as_secs_f64()
    );
    for quorum in &quorums {
        let began = Instant::now();
        client.anchor(0, quorum).await;
        proofs.push(began.elapsed());
    }
    let began = Instant::now();
    for quorum in &quorums {
        client.acceptance(0, &light, quorum).await;
    }
    println!(
        "receipt taken: p50 {:?}; all 100 proved after {:?}",
        percentile(&mut proofs, 0.5),
        began.elapsed()
    );
    let began = Instant::now();
    let gone = nodes.remove(1);
    gone.stop().await.unwrap();
    println!("a node stopped in {:?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    let back = folders.start(1).await;
    back.ready().await.unwrap();
    println!("a restarted node serves after {:?}", began.elapsed());
    nodes.push(back);
    for node in nodes {
        node.stop().await.unwrap();
    }
}
