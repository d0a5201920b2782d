//! Engines in their threads, on real files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{fs, sync::Arc, time::Duration};

use support::{
    App, Disk, NETWORK,
    loopback::{Cluster, key},
};
use tokenim_consensus::verify_finality;
use tokenim_consensus_commonware::{EngineError, LinkLimits, Timeouts, peer_link, start};
use tokenim_wire::{Height, NetworkId};

#[path = "support/mod.rs"]
mod support;

const HEARTBEAT: Duration = Duration::from_millis(20);

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_agree_stop_and_go_on() {
    let folder = folder();
    let cluster = Cluster::new(folder.path(), 4, 1, HEARTBEAT);
    let engines = cluster.start_all().await;
    let payload = b"a payload".to_vec();
    for (_, app) in &engines {
        app.submit(payload.clone());
    }
    cluster.reach(0..5, 10).await;
    // A validator that is slow misses its turn, and has another one.
    let submitted = |node: usize| {
        let disk = cluster.nodes[node].disk.lock().unwrap();
        disk.blocks.iter().filter(|block| block.payload == payload).count()
    };
    for _ in 0..20 {
        if submitted(0) < engines.len() - 1 {
            cluster.reach(0..5, cluster.height(0) + 5).await;
        }
    }

    let status = engines[0].0.status();
    assert!(status.committed >= Height::new(10) && status.finalized >= status.committed);
    assert!(
        status.view.get() >= 10 && status.notarized_views >= 10 && status.certificates >= 9,
        "{status:?}"
    );
    let metrics = engines[0].0.metrics().await.unwrap();
    assert!(metrics.contains("consensus_simplex_voter"), "{metrics}");
    for (handle, _) in engines {
        handle.stop().await.unwrap();
    }

    let before: Vec<u64> = (0..5).map(|node| cluster.height(node)).collect();
    let engines = cluster.start_all().await;
    cluster.reach(0..5, before.iter().max().unwrap() + 5).await;
    for (handle, _) in engines {
        handle.stop().await.unwrap();
    }
    for node in &cluster.nodes {
        let disk = node.disk.lock().unwrap();
        for (height, certificate) in &disk.certificates {
            let header = &disk.blocks[usize::try_from(*height).unwrap() - 1].header;
            verify_finality(&NETWORK, &cluster.validators, header, certificate).unwrap();
        }
    }
    // Each validator's copy became one block; a follower never proposes.
    for node in 0..5 {
        assert_eq!(submitted(node), 4);
    }
    let digests = cluster.nodes.iter().map(|node| node.disk.lock().unwrap().digests());
    let shortest = digests.clone().map(|digests| digests.len()).min().unwrap();
    let chains: Vec<_> = digests.map(|digests| digests[..shortest].to_vec()).collect();
    assert!(chains.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_go_on_without_the_fourth_and_it_catches_up() {
    let folder = folder();
    let cluster = Cluster::new(folder.path(), 4, 0, HEARTBEAT);
    let mut engines = cluster.start_all().await;
    cluster.reach(0..4, 3).await;
    let (dead, _) = engines.pop().unwrap();
    cluster.hub.leave(&key(4).verifying_key());
    dead.stop().await.unwrap();
    let before = cluster.height(0);
    cluster.reach(0..3, before + 10).await;
    assert!(engines[0].0.status().skipped_views > 0);
    engines.push(cluster.start(3).await.unwrap());
    let tip = cluster.height(0);
    cluster.reach([3], tip).await;
    for (handle, _) in engines {
        handle.stop().await.unwrap();
    }
}

/// Alone, a validator is its own quorum: enough to test what one engine does.
fn alone(folder: &tempfile::TempDir) -> Cluster {
    Cluster::new(folder.path(), 1, 0, HEARTBEAT)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_stops_the_engine_with_its_error() {
    let folder = folder();
    let cluster = alone(&folder);
    cluster.nodes[0].disk.lock().unwrap().fail_at = Some(5);
    let (handle, _) = cluster.start(0).await.unwrap();
    let error = handle.closed().await.unwrap_err();
    let EngineError::Application(source) = &*error else {
        panic!("{error}")
    };
    assert_eq!(source.to_string(), "the disk is full");
    assert_eq!(cluster.height(0), 4);
    assert!(Arc::ptr_eq(&handle.closed().await.unwrap_err(), &error));
    assert_eq!(handle.metrics().await, None);

    // With room on the disk again, the same block is offered again.
    cluster.nodes[0].disk.lock().unwrap().fail_at = None;
    let (handle, _) = cluster.start(0).await.unwrap();
    cluster.reach([0], 6).await;
    handle.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_stops_the_engine_with_its_message() {
    let folder = folder();
    let cluster = alone(&folder);
    let (handle, _) = cluster.start(0).await.unwrap();
    cluster.reach([0], 3).await;
    // The application's own assertion: the block before the next one is not the one it committed.
    cluster.nodes[0].disk.lock().unwrap().blocks.truncate(1);
    let error = handle.closed().await.unwrap_err();
    let EngineError::Panicked(message) = &*error else {
        panic!("{error}")
    };
    assert!(!message.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_behind_the_journal_is_refused() {
    let folder = folder();
    let cluster = alone(&folder);
    let (handle, _) = cluster.start(0).await.unwrap();
    cluster.reach([0], 10).await;
    handle.stop().await.unwrap();
    let blocks = cluster.nodes[0].disk.lock().unwrap().blocks.clone();
    cluster.nodes[0].disk.lock().unwrap().blocks.truncate(4);
    let refused = cluster.start(0).await;
    let Err(EngineError::StoreBehindJournal { store, journal }) = refused else {
        panic!()
    };
    assert_eq!(store, Height::new(4));
    assert!(journal >= Height::new(9));
    // An empty store is no better.
    cluster.nodes[0].disk.lock().unwrap().blocks.clear();
    assert!(matches!(
        cluster.start(0).await,
        Err(EngineError::StoreBehindJournal { .. })
    ));
    cluster.nodes[0].disk.lock().unwrap().blocks = blocks;
    cluster.start(0).await.unwrap().0.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_journal_is_refused_to_who_votes() {
    let folder = folder();
    let cluster = alone(&folder);
    let (handle, _) = cluster.start(0).await.unwrap();
    cluster.reach([0], 20).await;
    handle.stop().await.unwrap();
    let directory = &cluster.nodes[0].directory;

    fs::rename(directory.join("journal"), directory.join("kept")).unwrap();
    assert!(matches!(
        cluster.start(0).await,
        Err(EngineError::JournalBehindStore {
            journal: Height::ZERO,
            ..
        })
    ));
    fs::remove_dir_all(directory.join("journal")).unwrap();
    fs::rename(directory.join("kept"), directory.join("journal")).unwrap();

    fs::rename(directory.join("ENGINE"), directory.join("owner")).unwrap();
    assert!(matches!(
        cluster.start(0).await,
        Err(EngineError::ForeignDirectory { .. })
    ));
    fs::rename(directory.join("owner"), directory.join("ENGINE")).unwrap();

    let elsewhere = folder.path().join("elsewhere");
    let mut config = cluster.config(0);
    config.directory = elsewhere.clone();
    let refused = cluster.start_with(0, config).await;
    assert!(matches!(
        refused,
        Err(EngineError::JournalBehindStore {
            journal: Height::ZERO,
            ..
        })
    ));
    assert!(!elsewhere.join("ENGINE").exists());

    // Who only follows has nothing to contradict.
    let mut config = cluster.config(0);
    config.directory = elsewhere;
    config.key = None;
    cluster.start_with(0, config).await.unwrap().0.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_owner_and_one_user() {
    let folder = folder();
    let cluster = alone(&folder);
    let (handle, _) = cluster.start(0).await.unwrap();
    assert!(matches!(cluster.start(0).await, Err(EngineError::DirectoryInUse(_))));
    // The refused start did not replace the link of the running engine.
    handle.stop().await.unwrap();

    let refused = |what: &'static str, config| {
        let cluster = &cluster;
        async move {
            match cluster.start_with(0, config).await {
                Err(EngineError::ForeignDirectory { what: found, .. }) => assert_eq!(found, what),
                other => panic!("{:?}", other.map(|_| ())),
            }
        }
    };
    let mut config = cluster.config(0);
    config.install_id = [9; 16];
    refused("it is another installation's", config).await;
    let mut config = cluster.config(0);
    config.key = None;
    refused("it is another key's", config).await;
    let mut config = cluster.config(0);
    config.genesis.header.next_validators = tokenim_wire::Digest::from_bytes([1; 32]);
    refused("it is of another genesis block", config).await;
    let mut config = cluster.config(0);
    config.network = NetworkId::from_bytes([1; 32]);
    config.genesis.header.chain = config.network;
    refused("it is another network's", config).await;
    let owner = cluster.nodes[0].directory.join("ENGINE");
    let text = fs::read_to_string(&owner).unwrap();
    for damaged in [
        String::new(),
        text.replace("engine 1", "engine 2"),
        format!("{text}more\n"),
    ] {
        fs::write(&owner, damaged).unwrap();
        refused("the file ENGINE is damaged or of another version", cluster.config(0)).await;
    }
    fs::write(&owner, text).unwrap();
    cluster.start(0).await.unwrap().0.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_touches_nothing() {
    let folder = folder();
    let cluster = alone(&folder);
    let mut wrong = Vec::new();
    let mut config = cluster.config(0);
    config.key = Some(key(99));
    wrong.push((config, "NotAValidator"));
    let mut config = cluster.config(0);
    config.genesis.header.height = Height::new(1);
    wrong.push((config, "Genesis"));
    let mut config = cluster.config(0);
    config.genesis.payload = vec![1];
    wrong.push((config, "Genesis"));
    let mut config = cluster.config(0);
    config.genesis.header.chain = NetworkId::from_bytes([1; 32]);
    wrong.push((config, "Genesis"));
    for change in [
        |timeouts: &mut Timeouts| timeouts.leader = Duration::ZERO,
        |timeouts: &mut Timeouts| timeouts.certification = timeouts.leader,
        |timeouts: &mut Timeouts| timeouts.skip = timeouts.certification,
        |timeouts: &mut Timeouts| timeouts.skip = timeouts.retry,
    ] {
        let mut config = cluster.config(0);
        change(&mut config.timeouts);
        wrong.push((config, "Timeouts"));
    }
    for (config, expected) in wrong {
        let error = cluster.start_with(0, config).await.map(|_| ()).unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
    }
    assert!(!cluster.nodes[0].directory.exists());

    let mut config = cluster.config(0);
    config.directory = folder.path().join("file");
    fs::write(&config.directory, "").unwrap();
    assert!(matches!(
        cluster.start_with(0, config).await,
        Err(EngineError::Io { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_store_is_refused() {
    let folder = folder();
    let cluster = alone(&folder);
    let mut other = support::genesis(cluster.validators.digest());
    other.header.state_root = tokenim_wire::Digest::from_bytes([5; 32]);
    let (link, _port) = peer_link(&cluster.validators, LinkLimits::reference());
    let app = App::real(0, Disk::new(other), HEARTBEAT);
    assert!(matches!(
        start(cluster.config(0), app, link).await,
        Err(EngineError::ForeignStore { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_host_there_is_no_engine() {
    let folder = folder();
    let cluster = alone(&folder);
    let (link, port) = peer_link(&cluster.validators, LinkLimits::reference());
    let app = App::real(0, cluster.nodes[0].disk.clone(), HEARTBEAT);
    let handle = start(cluster.config(0), app, link).await.unwrap();
    drop(port);
    let error = handle.closed().await.unwrap_err();
    assert!(matches!(*error, EngineError::LinkClosed), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_handle_stops_the_engine() {
    let folder = folder();
    let cluster = alone(&folder);
    let (link, port) = peer_link(&cluster.validators, LinkLimits::reference());
    let app = App::real(0, cluster.nodes[0].disk.clone(), HEARTBEAT);
    let handle = start(cluster.config(0), app, link).await.unwrap();
    drop(handle);
    let ended = tokio::time::timeout(Duration::from_secs(10), async { while port.next().await.is_some() {} });
    ended.await.expect("the engine closes its end");
}
