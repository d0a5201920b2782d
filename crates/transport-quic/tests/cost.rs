//! What idle connections cost. Prints numbers; by hand:
//! `cargo test --release -p tokenim-transport-quic --test cost -- --ignored --nocapture`
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs, time::Duration};
use tokenim_transport::{Connection, Limits, SendStream, Transport, recv_frame, send_frame};
use tokenim_transport_quic::QuicTransport;
use zeroize::Zeroizing;

/// Resident memory of this process, in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Processor time of this process, in seconds.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints numbers, takes a minute"]
async fn idle_connections() {
    const CONNECTIONS: u64 = 500;
    const SECONDS: u64 = 30;
    let limits = Limits {
        connections_per_peer_max: 1000,
        connections_per_address_max: 1000,
        ..Limits::reference()
    };
    let bind = |number: u8| {
        let anywhere = "127.0.0.1:0".parse().unwrap();
        QuicTransport::bind(Zeroizing::new([number; 32]), anywhere, limits.clone()).unwrap()
    };
    let (client, server) = (bind(1), bind(2));
    let address = server.local_address().to_string();
    let before = resident_kib();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let (dialled, accepted) = tokio::join!(client.dial(server.local(), &address), server.accept());
        let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
        let (mut send, mut recv) = dialled.open().await.unwrap();
        send_frame(&mut send, b"hello").await.unwrap();
        send.finish().unwrap();
        let (mut back, mut question) = accepted.accept().await.unwrap();
        let frame = recv_frame(&mut question, 100).await.unwrap().unwrap();
        send_frame(&mut back, &frame).await.unwrap();
        back.finish().unwrap();
        recv_frame(&mut recv, 100).await.unwrap().unwrap();
        held.push((dialled, accepted));
    }
    let after = resident_kib();
    let both_ends = (after - before) as f64 / CONNECTIONS as f64;
    println!("{CONNECTIONS} connections: {both_ends:.0} KiB each, both ends in this process together");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let began = cpu_seconds();
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let share = (cpu_seconds() - began) / SECONDS as f64 * 100.0;
    println!("idle for {SECONDS} s: {share:.2} % of a core for both ends of all");
    println!(
        "idle for longer: {:.0} KiB each",
        (resident_kib() - before) as f64 / CONNECTIONS as f64
    );
    assert_eq!(server.connections() as u64, CONNECTIONS);
}
