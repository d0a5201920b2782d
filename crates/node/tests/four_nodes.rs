//! The whole way of a message through four nodes in one process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Client, Folders, Person, eventually, logs, now};
use std::time::{Duration, Instant};
use tokenim_envelope::{Opener, open};
use tokenim_identity::EpochSigningKey;
use tokenim_mailbox::group::{AuthorBox, GroupChild, GroupStart, GroupUpdate, SignedGroupChild};
use tokenim_mailbox::{Descriptor, QuorumReceipt, StorageReceipt, WritePolicy};
use tokenim_rpc::{AcceptanceOf, ErrorCode, NodeState, Request};
use tokenim_wire::Height;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_kept_proved_and_read_and_a_node_that_was_away_catches_up() {
    logs();
    let folders = Folders::new(4, 1);
    let began = Instant::now();
    let mut nodes = folders.start_ready(0..4).await;
    println!("ready after {:?}", began.elapsed());

    let light = folders.light_client();
    let client = Client::new(&folders, 77);
    let (alice, bob) = (Person::new(1), Person::new(2));
    for (number, person) in [(0, &alice), (1, &bob)] {
        let update = person.registration(&folders.network);
        let submitted = client.submit(number, update.clone()).await;
        // The same record again is the same transaction.
        assert_eq!(client.submit(number, update).await, submitted);
        client.applied(number, &submitted).await;
    }
    eventually("bob's identity", Duration::from_secs(5), async || {
        client.lookup(3, &light, &bob).await.is_some()
    })
    .await;
    let bob_state = client.lookup(3, &light, &bob).await.unwrap();
    assert!(client.lookup(2, &light, &Person::new(3)).await.is_none());
    let set = client.node_set(2, &light).await;
    assert_eq!(set.len(), 4);

    // To three of four, while all are up.
    let first = alice.seal(&folders.network, &bob_state, "first, 第一", 1);
    let mut receipts: Vec<StorageReceipt> = Vec::new();
    for number in 0..3 {
        receipts.push(client.put(number, &bob.inbox(), &first).await);
    }
    // Again is the same receipt.
    assert_eq!(client.put(0, &bob.inbox(), &first).await, receipts[0]);
    let quorum = QuorumReceipt::assemble(&set, &receipts).unwrap();
    client.anchor(0, &quorum).await;
    client.anchor(1, &quorum).await;
    for number in 0..4 {
        let accepted = client.acceptance(number, &light, &quorum).await;
        assert_eq!(accepted.envelope, first.id());
    }
    // The fourth node gets its copy from the others.
    eventually("the copy at the fourth node", Duration::from_secs(10), async || {
        client.read(3, &bob, 0, 0).await.items.len() == 1
    })
    .await;
    let page = client.read(3, &bob, 0, 0).await;
    let item = &page.items[0];
    let opener = Opener {
        network: folders.network,
        identity: bob.genesis.id(),
        device: bob.device.device_id(),
        keys: &[&bob.envelope],
    };
    let opened = open(&opener, item.envelope.as_ref().unwrap(), now()).unwrap();
    let message = opened.verify(&alice.device.signing.verifying_key()).unwrap();
    assert_eq!(message.content.as_text(), Some("first, 第一"));

    // A node stops; the others go on; it comes back and catches up.
    let gone = nodes.remove(2);
    let gone_at = gone.status().height;
    gone.stop().await.unwrap();
    let second = alice.seal(&folders.network, &bob_state, "second", 2);
    let mut receipts = Vec::new();
    for number in [0, 1, 3] {
        receipts.push(client.put(number, &bob.inbox(), &second).await);
    }
    let quorum = QuorumReceipt::assemble(&set, &receipts).unwrap();
    client.anchor(3, &quorum).await;
    let accepted = client.acceptance(3, &light, &quorum).await;
    assert!(accepted.height > gone_at);

    let began = Instant::now();
    let back = folders.start(2).await;
    tokio::time::timeout(Duration::from_secs(20), back.ready())
        .await
        .unwrap()
        .unwrap();
    println!("back after {:?}", began.elapsed());
    client.acceptance(2, &light, &quorum).await;
    eventually("the second copy", Duration::from_secs(10), async || {
        client.read(2, &bob, 0, 0).await.items.len() == 2
    })
    .await;
    let status = client.call(2, &Request::Status).await.into_status().unwrap();
    assert_eq!(status.state, NodeState::Ok);
    assert_eq!(status.envelopes, 2);
    assert_eq!(status.peers, 3);

    // A reader that waits is woken by what arrives.
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.read(0, &Person::new(2), 2, 10_000).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let third = alice.seal(&folders.network, &bob_state, "third", 3);
    client.put(0, &bob.inbox(), &third).await;
    let page = tokio::time::timeout(Duration::from_secs(5), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(page.items[0].entry.envelope, third.id());

    // Nobody accepted it: it stays where it was put, however long the others look at it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for number in 1..4 {
        assert_eq!(client.read(number, &bob, 0, 0).await.items.len(), 2);
    }

    nodes.push(back);
    for node in nodes {
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_of_four_gone_nothing_is_final_and_clients_are_told_so() {
    logs();
    let folders = Folders::new(4, 2);
    let mut nodes = folders.start_ready(0..4).await;
    let light = folders.light_client();
    let client = Client::new(&folders, 77);
    let (alice, bob) = (Person::new(1), Person::new(2));
    let submitted = client.submit(0, bob.registration(&folders.network)).await;
    client.applied(0, &submitted).await;
    eventually("bob's identity", Duration::from_secs(5), async || {
        client.lookup(0, &light, &bob).await.is_some()
    })
    .await;
    let state = client.lookup(0, &light, &bob).await.unwrap();
    let set = client.node_set(0, &light).await;

    // Accepted, but before it is anchored two nodes stop.
    let sealed = alice.seal(&folders.network, &state, "kept", 1);
    let mut receipts = Vec::new();
    for number in 0..4 {
        receipts.push(client.put(number, &bob.inbox(), &sealed).await);
    }
    let quorum = QuorumReceipt::assemble(&set, &receipts).unwrap();
    for node in nodes.drain(2..) {
        node.stop().await.unwrap();
    }
    client.anchor(0, &quorum).await;
    eventually("the stall", Duration::from_secs(15), async || {
        let status = client.call(0, &Request::Status).await.into_status().unwrap();
        status.state == NodeState::NotProgressing
    })
    .await;
    let stalled_at = nodes[0].status().height;
    let refused = client
        .refused(
            0,
            &Request::SubmitIdentity(Box::new(alice.registration(&folders.network))),
        )
        .await;
    assert_eq!(refused.code, ErrorCode::NOT_PROGRESSING);
    assert!(refused.retry_after_ms > 0);
    let acceptance = Request::Acceptance {
        of: AcceptanceOf::Receipt(Box::new(quorum.clone())),
        wait_ms: 100,
    };
    let refused = client.refused(0, &acceptance).await;
    assert_eq!(refused.code, ErrorCode::NOT_PROGRESSING);
    // What is stored can still be read.
    assert_eq!(client.read(1, &bob, 0, 0).await.items.len(), 1);
    assert_eq!(nodes[0].status().height, stalled_at);

    // One of them comes back: three of four are a quorum.
    nodes.push(folders.start(2).await);
    let accepted = client.acceptance(0, &light, &quorum).await;
    assert!(accepted.height > stalled_at);
    eventually("the progress", Duration::from_secs(10), async || {
        nodes.iter().all(|node| node.status().state == NodeState::Ok)
    })
    .await;
    for node in nodes {
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_at_once_have_one_order_everywhere_and_outsiders_none() {
    logs();
    let folders = Folders::new(4, 3);
    let nodes = folders.start_ready(0..4).await;
    let light = folders.light_client();
    let client = Client::new(&folders, 77);
    let (alice, bob) = (Person::new(1), Person::new(2));
    let submitted = client.submit(0, bob.registration(&folders.network)).await;
    client.applied(0, &submitted).await;
    eventually("bob's identity", Duration::from_secs(5), async || {
        client.lookup(0, &light, &bob).await.is_some()
    })
    .await;
    let state = client.lookup(0, &light, &bob).await.unwrap();
    let set = client.node_set(0, &light).await;

    // A commit is any envelope in a mailbox of its own.
    let key = EpochSigningKey::from_seed([40; 32]);
    let start = GroupStart {
        nonce: [41; 32],
        key: key.verifying_key(),
    };
    let handle = start.handle();
    let root = (handle, handle.root());
    let stored = async |number: u8, seconds: u64| {
        let mailbox = Descriptor {
            write: WritePolicy::Open,
            read: bob.device.inbox.verifying_key(),
            nonce: [number; 16],
        };
        let sealed = alice.seal_for(&folders.network, &state, "commit", u64::from(number), seconds);
        let mut receipts = Vec::new();
        for node in 0..3 {
            receipts.push(client.put(node, &mailbox, &sealed).await);
        }
        QuorumReceipt::assemble(&set, &receipts).unwrap()
    };
    let child = |number: u8, receipt: &QuorumReceipt, signer: &EpochSigningKey| {
        let child = GroupChild {
            handle,
            parent: handle.root(),
            commitment: [number; 32].into(),
            next: EpochSigningKey::from_seed([50 + number; 32]).verifying_key(),
            author: AuthorBox::try_from([number; 96].as_slice()).unwrap(),
            tag: receipt.tag,
            envelopes: receipt.envelope.into(),
        };
        let signed = SignedGroupChild::sign(&folders.network, signer, child, vec![receipt.clone()]).unwrap();
        GroupUpdate::Child(Box::new(signed))
    };
    let submit = async |number: usize, update: &GroupUpdate| {
        let request = Request::SubmitGroup(Box::new(update.clone()));
        client.call(number, &request).await.into_submitted_group()
    };
    let refused = async |number: usize, update: &GroupUpdate| {
        let error = client
            .refused(number, &Request::SubmitGroup(Box::new(update.clone())))
            .await;
        assert_eq!(error.code, ErrorCode::INVALID_TRANSACTION);
        error.message.as_str().to_owned()
    };
    assert_eq!(client.group_node(0, &light, root, 0, 0).await.0, None);
    let kept = 30 * 24 * 3600;
    let (one, two, three) = (stored(1, kept).await, stored(2, kept).await, stored(3, 3600).await);
    let children = [child(1, &one, &key), child(2, &two, &key)];

    // A child comes after what it follows.
    let early = client
        .refused(1, &Request::SubmitGroup(Box::new(children[0].clone())))
        .await;
    assert_eq!(early.code, ErrorCode::PENDING);
    assert!(early.retry_after_ms > 0);
    let starting = GroupUpdate::Start(start);
    let started = submit(0, &starting).await.unwrap();
    assert_eq!(submit(0, &starting).await.unwrap(), started);
    eventually("the start", Duration::from_secs(10), async || {
        let mut there = true;
        for number in 0..4 {
            there &= client.group_node(number, &light, root, 0, 0).await.0.is_some();
        }
        there
    })
    .await;
    let watchers: Vec<_> = (0..4)
        .map(|number| {
            let (client, light) = (client.clone(), light.clone());
            tokio::spawn(async move { client.group_node(number, &light, root, 1, 20_000).await })
        })
        .collect();
    // Two commits at once, by two gateways each; of the same child one transaction is applied.
    let _ = tokio::join!(
        submit(0, &children[0]),
        submit(2, &children[0]),
        submit(1, &children[1]),
        submit(3, &children[1])
    );
    let mut seen = Vec::new();
    for watcher in watchers {
        let (node, took) = watcher.await.unwrap();
        assert!(took < Duration::from_secs(15), "{took:?}");
        seen.push(node.unwrap());
    }
    assert_eq!(seen[0].children.len(), 2);
    assert!(seen[0].children.is_sorted_by_key(|child| child.place));
    assert!(seen.iter().all(|node| *node == seen[0]));
    let mut ids: Vec<_> = seen[0].children.iter().map(|child| child.child.id().unwrap()).collect();
    let first = ids[0];
    ids.sort_unstable();
    let mut expected = [children[0].entry().unwrap(), children[1].entry().unwrap()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    // Each has its own entry, with the key that it announced.
    for number in 0..4 {
        let (entry, _) = client.group_node(number, &light, (handle, first), 0, 0).await;
        assert_eq!(entry.unwrap().key, seen[0].children[0].child.next);
    }

    // There is no more to wait for, and an entry that is not there has nothing after it.
    let (same, took) = client.group_node(1, &light, root, 2, 400).await;
    assert_eq!(same.unwrap(), seen[0]);
    assert!(took >= Duration::from_millis(400));
    let (nothing, took) = client.group_node(2, &light, (handle, [9; 32].into()), 0, 400).await;
    assert_eq!(nothing, None);
    assert!(took >= Duration::from_millis(400));
    let (at_once, took) = client.group_node(3, &light, root, 1, 20_000).await;
    assert_eq!(at_once.unwrap(), seen[0]);
    assert!(took < Duration::from_secs(5));

    // What the ledger would reject is refused, with the reason, and changes nothing.
    let outsider = EpochSigningKey::from_seed([99; 32]);
    let foreign = child(4, &one, &outsider);
    assert!(refused(0, &foreign).await.contains("not signed with the key"));
    let short = child(5, &three, &key);
    assert!(refused(1, &short).await.contains("not kept for long enough"));
    let mut forged = one.clone();
    forged.issuers.as_mut_slice()[0].height = Height::new(1);
    assert!(
        refused(2, &child(6, &forged, &key))
            .await
            .contains("receipt of the commit")
    );
    assert!(refused(0, &children[1]).await.contains("already"));
    assert!(refused(2, &starting).await.contains("already"));
    for number in 0..4 {
        assert_eq!(client.group_node(number, &light, root, 0, 0).await.0.unwrap(), seen[0]);
    }
    for node in nodes {
        node.stop().await.unwrap();
    }
}
