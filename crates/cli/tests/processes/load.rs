//! Nodes killed under load.

use std::process::Command;

use crate::people::{Traffic, person};
use crate::{ALL, PATIENCE, agree, height, nobody_voted_twice, running};

/// The command with the network's configuration, and what it says in the end.
fn tokenim(arguments: &[&str], genesis: &std::path::Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tokenim"))
        .args(arguments)
        .arg("--network")
        .arg(genesis)
        .env("TOKENIM_PASSPHRASE", "secret")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text.lines().last().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_accepted_is_delivered_once_whatever_is_killed() {
    let mut nodes = running(1).await;
    let genesis = nodes.layout.nodes[0].dir.join("genesis.tim");
    let (ada, ben) = tokio::join!(person(&nodes, "ada"), person(&nodes, "ben"));
    let traffic = Traffic::begin(&ada, &ben);
    traffic.goes_on(30).await;

    // One of four: the others go on, and make blocks without it.
    nodes.kill(3).unwrap();
    let before = height(&nodes, 0).await;
    traffic.goes_on(30).await;
    nodes
        .until_health(&[0, 1, 2], "makes blocks without the dead one", PATIENCE, |health| {
            health.code == 200 && health.height > before + 3
        })
        .await
        .unwrap();

    // Two of four: no block any more, and everybody is told.
    nodes.kill(2).unwrap();
    nodes
        .until_health(&[0, 1], "says that the network makes no progress", PATIENCE, |health| {
            (health.code, health.status.as_str()) == (503, "not-progressing")
        })
        .await
        .unwrap();
    let stalled = [height(&nodes, 0).await, height(&nodes, 1).await];
    let carl = nodes.folder().join("carl");
    let (network, folder) = (genesis.clone(), carl.clone());
    let newcomer = tokio::task::spawn_blocking(move || {
        tokenim(&["id", "new", "--json", "--dir", folder.to_str().unwrap()], &network)
    });
    let (code, line) = tokenim(&["status"], &genesis);
    assert_eq!(code, Some(5), "{line}");
    assert!(line.contains("only 0 nodes are well and 3 are needed"), "{line}");
    let (code, line) = newcomer.await.unwrap();
    assert_eq!(code, Some(5), "{line}");
    assert!(line.contains("makes no progress"), "{line}");
    assert!(traffic.kept() > 0, "a sender is told that too few nodes confirmed");
    assert_eq!([height(&nodes, 0).await, height(&nodes, 1).await], stalled);

    // Back again, one after the other.
    nodes.start(2).unwrap();
    nodes.until_ok(&[0, 1, 2], PATIENCE).await.unwrap();
    assert!(height(&nodes, 0).await > stalled[0]);
    traffic.goes_on(10).await;
    nodes.start(3).unwrap();
    nodes.until_ok(&ALL, PATIENCE).await.unwrap();
    traffic.goes_on(10).await;

    let (accepted, kept) = (traffic.accepted(), traffic.kept());
    let count = traffic.end(&nodes).await;
    // Those that were back in time have what they missed.
    let tip = height(&nodes, 0).await;
    nodes
        .until_health(&ALL, "has caught up", PATIENCE, |health| {
            health.height >= tip && health.envelopes >= u64::try_from(count).unwrap()
        })
        .await
        .unwrap();
    let heights = agree(&nodes, &ALL).await;
    assert!(heights >= stalled[0] + 5);
    nobody_voted_twice(&nodes, &[0, 1]);
    for node in ALL {
        let ended = nodes.stop(node, PATIENCE).await.unwrap();
        assert!(ended.status.success(), "{}", ended.stderr);
    }
    ada.close().await;
    ben.close().await;
    println!("{count} messages ({accepted} at once, {kept} later), {heights} heights");
}
