//! What only a simulated network has: seeds, partitions, crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{future::Future, time::Duration};
use tokenim_transport::{Bytes, Connection, Limits, PeerId, RecvStream, SendStream, Transport, TransportError, code};
use tokenim_transport_memory::{Link, MemoryConnection, MemoryTransport, Network, Trace};
use tokio::time::{Instant, sleep, timeout};

fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 32])
}

fn simulate<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(work)
}

fn limits() -> Limits {
    Limits {
        idle_timeout: Duration::from_secs(10),
        keep_alive: Duration::from_secs(2),
        handshake_timeout: Duration::from_secs(5),
        stream_idle_timeout: Duration::from_secs(100),
        ..Limits::reference()
    }
}

fn host(network: &Network, number: u8) -> MemoryTransport {
    network.bind(peer(number), &number.to_string(), limits()).unwrap()
}

async fn connect(client: &MemoryTransport, server: &MemoryTransport) -> (MemoryConnection, MemoryConnection) {
    let (dialled, accepted) = tokio::join!(client.dial(server.local(), server.address()), server.accept());
    (dialled.unwrap(), accepted.unwrap())
}

async fn echo(connection: MemoryConnection) {
    while let Ok((mut send, mut recv)) = connection.accept().await {
        tokio::spawn(async move {
            while let Ok(Some(bytes)) = recv.read(4096).await {
                if send.write(bytes).await.is_err() {
                    return;
                }
            }
            let _ = send.finish();
        });
    }
}

async fn ask(connection: &MemoryConnection, question: &[u8]) -> Result<Bytes, TransportError> {
    let (mut send, mut recv) = connection.open().await?;
    send.write(Bytes::copy_from_slice(question)).await?;
    send.finish()?;
    recv.read_to_end(question.len()).await
}

const SLOW: Link = Link {
    latency: Duration::from_millis(50),
    jitter: Duration::ZERO,
    loss: 0.0,
};

#[test]
fn latency_is_what_the_link_says() {
    simulate(async {
        let network = Network::new(1, SLOW);
        let (client, server) = (host(&network, 1), host(&network, 2));
        let began = Instant::now();
        let (dialled, accepted) = connect(&client, &server).await;
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(150) && took < Duration::from_millis(160),
            "{took:?}"
        );
        tokio::spawn(echo(accepted));
        let began = Instant::now();
        ask(&dialled, b"hello").await.unwrap();
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(100) && took < Duration::from_millis(110),
            "{took:?}"
        );
        // One direction may differ.
        network.set_link(
            peer(1),
            peer(2),
            Link {
                latency: Duration::from_millis(250),
                ..SLOW
            },
        );
        let began = Instant::now();
        ask(&dialled, b"hello").await.unwrap();
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(300) && took < Duration::from_millis(310),
            "{took:?}"
        );
    });
}

#[test]
fn a_partition_that_heals_in_time_loses_nothing() {
    simulate(async {
        let network = Network::new(1, SLOW);
        let (client, server) = (host(&network, 1), host(&network, 2));
        let (dialled, accepted) = connect(&client, &server).await;
        let (mut send, _recv) = dialled.open().await.unwrap();
        send.write(Bytes::from_static(b"before ")).await.unwrap();
        network.partition(&[&[peer(1)], &[peer(2)]]);
        send.write(Bytes::from_static(b"during ")).await.unwrap();
        let (_send, mut recv) = timeout(Duration::from_secs(1), accepted.accept())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(recv.read(100).await.unwrap().unwrap(), &b"before "[..]);
        assert!(timeout(Duration::from_secs(8), recv.read(100)).await.is_err());
        network.heal();
        send.write(Bytes::from_static(b"after")).await.unwrap();
        send.finish().unwrap();
        assert_eq!(recv.read_to_end(100).await.unwrap(), &b"during after"[..]);
        send.acknowledged().await.unwrap();
        sleep(Duration::from_secs(60)).await;
        assert_eq!(dialled.close_reason(), None);
        assert_eq!(accepted.close_reason(), None);
    });
}

#[test]
fn a_partition_that_lasts_ends_connections_on_both_sides() {
    simulate(async {
        let network = Network::new(1, SLOW);
        let (client, server, third) = (host(&network, 1), host(&network, 2), host(&network, 3));
        let (dialled, accepted) = connect(&client, &server).await;
        let (beside, _beside) = connect(&third, &server).await;
        let began = Instant::now();
        network.partition(&[&[peer(1)]]);
        assert_eq!(dialled.closed().await, TransportError::TimedOut);
        assert_eq!(accepted.closed().await, TransportError::TimedOut);
        let took = began.elapsed();
        assert!(
            took >= Duration::from_secs(10) && took < Duration::from_secs(11),
            "{took:?}"
        );
        let dialled = client.dial(peer(2), "2").await;
        assert_eq!(dialled.err(), Some(TransportError::Unreachable));
        assert_eq!(beside.close_reason(), None);
        network.heal();
        connect(&client, &server).await;
    });
}

#[test]
fn a_dial_survives_a_short_partition() {
    simulate(async {
        let network = Network::new(1, SLOW);
        let (client, server) = (host(&network, 1), host(&network, 2));
        network.partition(&[&[peer(1)], &[peer(2)]]);
        let heal = async {
            sleep(Duration::from_secs(3)).await;
            network.heal();
        };
        let (_, ()) = tokio::join!(connect(&client, &server), heal);
    });
}

#[test]
fn a_cut_in_one_direction_ends_both_sides_one_after_the_other() {
    simulate(async {
        let network = Network::new(1, SLOW);
        let (client, server) = (host(&network, 1), host(&network, 2));
        let (dialled, accepted) = connect(&client, &server).await;
        tokio::spawn(echo(dialled.clone()));
        let began = Instant::now();
        network.cut(peer(1), peer(2));
        // What is said still arrives in the other direction.
        let (mut send, _recv) = accepted.open().await.unwrap();
        send.write(Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(accepted.closed().await, TransportError::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(11));
        assert_eq!(dialled.close_reason(), None);
        assert_eq!(dialled.closed().await, TransportError::TimedOut);
        assert!(began.elapsed() >= Duration::from_secs(20));
    });
}

#[test]
fn a_crash_is_silent_and_a_restart_is_heard() {
    simulate(async {
        let network = Network::new(1, SLOW);
        let (client, server) = (host(&network, 1), host(&network, 2));
        let (dialled, accepted) = connect(&client, &server).await;
        assert!(network.crash("2"));
        assert!(!network.crash("2"));
        assert_eq!(accepted.closed().await, TransportError::Closed);
        assert!(server.accept().await.is_none());
        assert_eq!(server.dial(peer(1), "1").await.err(), Some(TransportError::Closed));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(dialled.close_reason(), None);
        let began = Instant::now();
        let again = host(&network, 2);
        assert_eq!(dialled.closed().await, TransportError::PeerRestarted);
        assert!(began.elapsed() <= Duration::from_secs(3));
        // Dropping the handles of the former life does nothing to the present one.
        drop((server, accepted));
        connect(&client, &again).await;
    });
}

#[test]
fn an_address_is_taken_once_and_its_key_is_checked() {
    simulate(async {
        let network = Network::new(1, SLOW);
        let (client, server) = (host(&network, 1), host(&network, 2));
        let taken = network.bind(peer(3), "2", limits());
        let address = "2".to_owned();
        assert_eq!(taken.err(), Some(TransportError::AddressInUse { address }));
        drop(server);
        let _other = network.bind(peer(3), "2", limits()).unwrap();
        assert_eq!(client.dial(peer(2), "2").await.err(), Some(TransportError::WrongPeer));
        let none = Limits {
            handshakes_max: 0,
            ..limits()
        };
        let refused = network.bind(peer(4), "4", none).err();
        assert!(matches!(refused, Some(TransportError::BadLimits(_))));
    });
}

#[test]
fn connections_outlive_the_handles_of_their_endpoints() {
    simulate(async {
        let network = Network::new(1, SLOW);
        let (client, server) = (host(&network, 1), host(&network, 2));
        let (dialled, accepted) = connect(&client, &server).await;
        drop((client, server));
        tokio::spawn(echo(accepted));
        assert_eq!(ask(&dialled, b"hello").await.unwrap(), &b"hello"[..]);
        let late = host(&network, 3).dial(peer(2), "2").await.err();
        assert_eq!(late, Some(TransportError::Unreachable));
    });
}

#[test]
fn what_nobody_reads_stays_within_the_windows() {
    simulate(async {
        let network = Network::new(1, Link::PERFECT);
        let (client, server) = (host(&network, 1), host(&network, 2));
        let (dialled, accepted) = connect(&client, &server).await;
        let mut streams = Vec::new();
        for _ in 0..10 {
            let (mut send, recv) = dialled.open().await.unwrap();
            send.set_idle_timeout(Some(Duration::from_secs(1)));
            let written = send.write(Bytes::from(vec![0; 8 << 20])).await;
            assert_eq!(written, Err(TransportError::StreamTimedOut));
            streams.push((send, recv));
        }
        // A stream that was given up holds nothing; so fill the windows once more without giving up.
        assert_eq!(network.unread_bytes(), 0);
        let mut stuck = Vec::new();
        for _ in 0..10 {
            let (mut send, recv) = dialled.open().await.unwrap();
            let fill = tokio::spawn(async move {
                let _ = send.write(Bytes::from(vec![0; 8 << 20])).await;
                recv
            });
            stuck.push(fill);
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(network.unread_bytes(), limits().connection_window_bytes as usize);
        accepted.close(code::MISBEHAVED);
        drop((dialled, accepted));
        for fill in stuck {
            fill.await.unwrap();
        }
        assert_eq!(network.unread_bytes(), 0);
    });
}

/// Some hosts that talk, crash and are cut off, all as the seed says.
async fn turmoil(seed: u64) -> (Trace, u32, u32) {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};
    const HOSTS: u8 = 6;
    let network = Network::new(seed, Link::WORLD);
    let serve = |number: u8| {
        let transport = host(&network, number);
        tokio::spawn({
            let transport = transport.clone();
            async move {
                while let Some(connection) = transport.accept().await {
                    tokio::spawn(echo(connection));
                }
            }
        });
        transport
    };
    let servers: Vec<MemoryTransport> = (0..HOSTS).map(serve).collect();
    let mut talkers = Vec::new();
    for number in 0..HOSTS {
        let (network, mut random) = (
            network.clone(),
            ChaCha8Rng::seed_from_u64(seed ^ (u64::from(number) << 32)),
        );
        talkers.push(tokio::spawn(async move {
            let address = format!("client {number}");
            let client = network.bind(peer(100 + number), &address, limits()).unwrap();
            let (mut good, mut bad) = (0, 0);
            for _ in 0..30 {
                sleep(Duration::from_millis(u64::from(random.next_u32() % 1000))).await;
                let to = (random.next_u32() % u32::from(HOSTS)) as u8;
                let question = vec![number; (random.next_u32() % 50_000) as usize];
                let exchange = async {
                    let connection = client.dial(peer(to), &to.to_string()).await?;
                    let answer = ask(&connection, &question).await?;
                    assert_eq!(answer, question);
                    Ok::<(), TransportError>(())
                };
                match timeout(Duration::from_secs(20), exchange).await {
                    Ok(Ok(())) => good += 1,
                    _ => bad += 1,
                }
            }
            (good, bad)
        }));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(31));
    for _ in 0..6 {
        sleep(Duration::from_millis(u64::from(random.next_u32() % 3000))).await;
        let (one, other) = ((random.next_u32() % 6) as u8, (random.next_u32() % 6) as u8);
        match random.next_u32() % 3 {
            0 => network.partition(&[&[peer(one), peer(100 + other)], &[peer(other)]]),
            1 => network.cut(peer(one), peer(100 + other)),
            _ => {
                network.crash(&one.to_string());
                sleep(Duration::from_secs(1)).await;
                drop(serve(one));
            }
        }
        sleep(Duration::from_millis(u64::from(random.next_u32() % 5000))).await;
        network.heal();
    }
    let (mut good, mut bad) = (0, 0);
    for talker in talkers {
        let (its_good, its_bad) = talker.await.unwrap();
        good += its_good;
        bad += its_bad;
    }
    drop(servers);
    (network.trace(), good, bad)
}

/// More seeds: `TOKENIM_SEEDS=1000 cargo test -p tokenim-transport-memory --test network`.
#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let seeds = std::env::var("TOKENIM_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..seeds {
        let (trace, good, bad) = simulate(turmoil(seed));
        assert_eq!(simulate(turmoil(seed)), (trace, good, bad), "seed {seed}");
        assert!(good > bad, "seed {seed}: {good} exchanges worked, {bad} did not");
        assert!(trace.events > 500, "seed {seed}");
        assert!(traces.insert(trace.digest), "seed {seed} repeats another");
    }
}
