//! Folders whose parts don't belong together: a node that has lost its memory, or got another's, must not sign.

use std::fs;
use std::path::Path;

use tokenim_testkit::Processes;

use crate::people::copy;
use crate::{ALL, PATIENCE, agree, height, nobody_voted_twice, refusal, running};

/// The node whose folder is tampered with.
const NODE: usize = 3;

/// Puts something else, or nothing, in the place of a part of the node's folder, and returns with what line the node
/// refuses to run; then puts the part back.
async fn with(nodes: &mut Processes, part: &str, other: Option<&Path>, code: i32) -> String {
    let dir = nodes.layout.nodes[NODE].dir.clone();
    let (place, aside) = (dir.join(part), dir.join("aside"));
    fs::rename(&place, &aside).unwrap();
    if let Some(other) = other {
        copy(other, &place);
    }
    let line = refusal(nodes, NODE, code).await;
    if other.is_some() {
        fs::remove_dir_all(&place).unwrap();
    }
    assert!(!place.exists(), "nothing is made in place of what is lost");
    fs::rename(&aside, &place).unwrap();
    line
}

/// Waits until the network is this many blocks further.
async fn blocks(nodes: &mut Processes, more: u64) {
    let wanted = height(nodes, 0).await + more;
    nodes
        .until_health(&[0], "makes blocks", PATIENCE, |health| health.height >= wanted)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_memory_is_not_its_own_or_too_old_does_not_sign() {
    let mut nodes = running(2).await;
    let dir = nodes.layout.nodes[NODE].dir.clone();
    let copies = nodes.folder().join("copies");
    nodes.stop(2, PATIENCE).await.unwrap();
    copy(&nodes.layout.nodes[2].dir, &copies.join("foreign"));
    nodes.start(2).unwrap();
    nodes.until_ok(&ALL, PATIENCE).await.unwrap();
    nodes.stop(NODE, PATIENCE).await.unwrap();
    copy(&dir, &copies.join("old"));
    nodes.start(NODE).unwrap();
    blocks(&mut nodes, 20).await;
    nodes.until_ok(&[NODE], PATIENCE).await.unwrap();
    let tip = height(&nodes, 0).await;
    nodes
        .until_health(&[NODE], "has caught up", PATIENCE, |health| health.height >= tip)
        .await
        .unwrap();
    nodes.stop(NODE, PATIENCE).await.unwrap();

    for (part, copy, code, says) in [
        ("store", Some("old"), 1, "the store has lost blocks"),
        ("consensus", Some("old"), 1, "this key must not sign again"),
        ("store", Some("foreign"), 3, "belongs to installation"),
        ("consensus", Some("foreign"), 1, "it is another key's"),
        ("store", None, 3, "a node that lost its memory must not sign again"),
        ("consensus", None, 3, "a node that lost its memory must not sign again"),
    ] {
        let other = copy.map(|copy| copies.join(copy).join(part));
        let line = with(&mut nodes, part, other.as_deref(), code).await;
        assert!(line.contains(says), "{part} {copy:?}: {line}");
    }

    // With its own memory it goes on where it was.
    nodes.start(NODE).unwrap();
    blocks(&mut nodes, 5).await;
    nodes.until_ok(&ALL, PATIENCE).await.unwrap();
    assert!(agree(&nodes, &ALL).await > 20);
    nobody_voted_twice(&nodes, &[0, 1]);
}
