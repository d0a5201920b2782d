//! One node alone: bad input, limits, and every way not to start.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Client, Folders, Person, eventually, free_ports, logs, now, postage};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokenim_identity::Place;
use tokenim_mailbox::{Postage, PostageBits, WriteAuthority, check_postage, find_postage};
use tokenim_node::folder::{CONFIG_FILE, KEY_FILE, NETWORK_FILE};
use tokenim_node::{Folder, InitOptions, Node, StartError, init, join, node_key};
use tokenim_rpc::{
    AcceptanceOf, ErrorCode, NodeRequest, Request, Response, StreamHeader, StreamKind, TransactionStatus, encode_call,
};
use tokenim_wire::{BoundedBytes, Height, NetworkId, Object as _, UnixMillis, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The code of a refusal.
fn refusal(response: Response) -> ErrorCode {
    match response {
        Response::Error(error) => {
            assert!(!error.message.is_empty(), "{error:?}");
            error.code
        }
        other => panic!("{other:?} is no refusal"),
    }
}

/// The bytes of these bodies as frames.
fn frames(bodies: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for body in bodies {
        frame::encode(body, &mut out).unwrap();
    }
    out
}

fn header(network: NetworkId, kind: StreamKind) -> Vec<u8> {
    StreamHeader { network, kind }.to_bytes().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_called_what_it_is_and_changes_nothing() {
    logs();
    let folders = Folders::new(1, 10);
    let node = folders.start(0).await;
    node.ready().await.unwrap();
    let client = Client::new(&folders, 5);
    let network = folders.network;
    let light = folders.light_client();
    let (alice, bob) = (Person::new(1), Person::new(2));
    let submitted = client.submit(0, bob.registration(&network)).await;
    client.applied(0, &submitted).await;
    eventually("bob", Duration::from_secs(5), async || {
        client.lookup(0, &light, &bob).await.is_some()
    })
    .await;
    let state = client.lookup(0, &light, &bob).await.unwrap();

    // Streams.
    let rpc = header(network, StreamKind::Rpc);
    let other = NetworkId::from_bytes([1; 32]);
    let status = Request::Status.to_bytes().unwrap();
    let mut later = status.clone();
    later[0] = 2;
    let mut later_header = rpc.clone();
    later_header[0] = 2;
    let mut trailing = status.clone();
    trailing.push(0);
    let long = vec![1; (1 << 20) + (64 << 10) + 1];
    let mut too_long = frames(&[&rpc]);
    too_long.extend_from_slice(&u32::try_from(long.len()).unwrap().to_be_bytes());
    too_long.extend_from_slice(&long);
    let whole = frames(&[&rpc, &status]);
    for (what, bytes, code) in [
        ("nothing", vec![], ErrorCode::TRUNCATED),
        ("half a header", whole[..10].to_vec(), ErrorCode::TRUNCATED),
        ("no request", frames(&[&rpc]), ErrorCode::TRUNCATED),
        (
            "half a request",
            whole[..whole.len() - 1].to_vec(),
            ErrorCode::TRUNCATED,
        ),
        ("an empty request", frames(&[&rpc, b""]), ErrorCode::TRUNCATED),
        (
            "another network",
            frames(&[&header(other, StreamKind::Rpc), &status]),
            ErrorCode::FOREIGN_NETWORK,
        ),
        (
            "a later header",
            frames(&[&later_header, &status]),
            ErrorCode::UNSUPPORTED_VERSION,
        ),
        (
            "a later request",
            frames(&[&rpc, &later]),
            ErrorCode::UNSUPPORTED_VERSION,
        ),
        ("a byte too much", frames(&[&rpc, &trailing]), ErrorCode::MALFORMED),
        (
            "noise",
            frames(&[&rpc, &[1, 200, 200, 200, 200, 200]]),
            ErrorCode::MALFORMED,
        ),
        ("no header", frames(&[&[7; 65], &status]), ErrorCode::MALFORMED),
        ("too much", too_long, ErrorCode::TOO_LARGE),
        (
            "consensus from a stranger",
            frames(&[&header(network, StreamKind::Consensus { channel: 0 })]),
            ErrorCode::UNSUPPORTED_STREAM,
        ),
    ] {
        assert_eq!(refusal(client.raw(0, bytes).await), code, "{what}");
    }

    // What only nodes may ask.
    let fetch = Request::Node(NodeRequest::LogEntries {
        tag: bob.inbox().tag(),
        from: 0,
    });
    assert_eq!(refusal(client.call(0, &fetch).await), ErrorCode::NODES_ONLY);

    // Puts.
    let sealed = alice.seal(&network, &state, "hello", 1);
    let good = client.put_request(0, &bob.inbox(), &sealed);
    let mut foreign_node = good.clone();
    foreign_node.request.node = Folders::new(1, 99).keys[0];
    let mut other_tag = good.clone();
    other_tag.descriptor.nonce[0] ^= 1;
    let mut expired = good.clone();
    expired.request.expiry = now().saturating_sub(1000);
    let mut other_id = good.clone();
    other_id.request.envelope = alice.seal(&network, &state, "other", 2).id();
    other_id.authority = postage(&other_id.request.tag, &other_id.request.envelope, 12);
    let mut unpaid = good.clone();
    unpaid.request.envelope = other_id.request.envelope;
    let mut other_expiry = good.clone();
    other_expiry.request.envelope_expiry = good.request.envelope_expiry.saturating_add(1);
    let mut flipped = good.clone();
    let mut bytes = good.envelope.to_vec();
    bytes[200] ^= 1;
    flipped.envelope = BoundedBytes::try_from(bytes).unwrap();
    let mut noise = good.clone();
    noise.envelope = BoundedBytes::try_from(vec![9; 40]).unwrap();
    for (what, put, code) in [
        ("another node", foreign_node, ErrorCode::FOREIGN_NODE),
        ("another tag", other_tag, ErrorCode::UNAUTHORIZED),
        ("an old request", expired, ErrorCode::BAD_EXPIRY),
        ("postage of another envelope", unpaid, ErrorCode::POSTAGE_TOO_LOW),
        ("another id", other_id, ErrorCode::ENVELOPE_MISMATCH),
        ("another expiry", other_expiry, ErrorCode::BAD_EXPIRY),
        ("a flipped bit", flipped, ErrorCode::ENVELOPE_MISMATCH),
        ("noise", noise, ErrorCode::MALFORMED),
    ] {
        let response = client.call(0, &Request::Put(Box::new(put))).await;
        assert_eq!(refusal(response), code, "{what}");
    }
    assert_eq!(node.status().envelopes, 0);

    // The same twice is kept once, with one receipt.
    let receipt = client.put(0, &bob.inbox(), &sealed).await;
    assert_eq!(client.put(0, &bob.inbox(), &sealed).await, receipt);
    assert_eq!(node.status().envelopes, 1);

    // Reading somebody else's mailbox.
    let mut thief = Person::new(2);
    thief.device.inbox = Person::new(3).device.inbox;
    let request = tokenim_mailbox::ReadRequest {
        node: folders.keys[0],
        tag: bob.inbox().tag(),
        from: 0,
        expiry: now().saturating_add(60),
        nonce: [0; 16],
    };
    let read = tokenim_rpc::Read {
        descriptor: bob.inbox(),
        signature: thief.device.inbox.sign(&network, &request).unwrap(),
        request,
        wait_ms: 0,
    };
    let response = client.call(0, &Request::Read(Box::new(read))).await;
    assert_eq!(refusal(response), ErrorCode::UNAUTHORIZED);

    // Receipts and proofs.
    let set = client.node_set(0, &light).await;
    let quorum = tokenim_mailbox::QuorumReceipt::assemble(&set, &[receipt]).unwrap();
    let mut forged = quorum.clone();
    forged.expiry = forged.expiry.saturating_add(1);
    let anchor = Request::Anchor {
        receipt: Box::new(forged.clone()),
    };
    assert_eq!(refusal(client.call(0, &anchor).await), ErrorCode::INVALID_RECEIPT);
    let acceptance = Request::Acceptance {
        of: AcceptanceOf::Receipt(Box::new(forged)),
        wait_ms: 10,
    };
    assert_eq!(refusal(client.call(0, &acceptance).await), ErrorCode::PENDING);
    let acceptance = Request::Acceptance {
        of: AcceptanceOf::Envelope {
            tag: quorum.tag,
            envelope: quorum.envelope,
        },
        wait_ms: 5000,
    };
    assert_eq!(refusal(client.call(0, &acceptance).await), ErrorCode::NOT_FOUND);
    client.anchor(0, &quorum).await;
    client.acceptance(0, &light, &quorum).await;
    let proof = client.call(0, &acceptance).await.into_acceptance().unwrap();
    assert_eq!(light.verify_acceptance(&proof).unwrap().envelope, sealed.id());

    // Records.
    let mut foreign = alice.registration(&network);
    foreign.record.record.network = other;
    let submit = |update| Request::SubmitIdentity(Box::new(update));
    assert_eq!(
        refusal(client.call(0, &submit(foreign)).await),
        ErrorCode::FOREIGN_NETWORK
    );
    let mut unsigned = alice.registration(&network);
    unsigned.record.authorization = Person::new(9).registration(&network).record.authorization;
    assert_eq!(
        refusal(client.call(0, &submit(unsigned)).await),
        ErrorCode::INVALID_TRANSACTION
    );
    // One that is on the ledger already is the same transaction, not another.
    assert_eq!(client.submit(0, bob.registration(&network)).await, submitted);

    // What is not there.
    let finality = Request::Finality {
        height: Height::new(1 << 40),
    };
    assert_eq!(refusal(client.call(0, &finality).await), ErrorCode::PENDING);
    let unknown = Request::TransactionStatus {
        id: tokenim_ledger::TransactionId::from_bytes([3; 32]),
    };
    let status = client.call(0, &unknown).await.into_transaction_status().unwrap();
    assert_eq!(status, TransactionStatus::Unknown);
    let finality = Request::Finality { height: Height::new(1) };
    let proof = client.call(0, &finality).await.into_finality().unwrap();
    assert_eq!(light.verify_header(&proof).unwrap().header().height, Height::new(1));
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_too_much_waits_and_who_is_slow_is_cut() {
    logs();
    let folders = Folders::new(1, 11);
    let mut folder = Folder::open(&folders.dirs[0], None).unwrap();
    folder.config.limits.requests_per_second = 1;
    folder.config.limits.requests_burst = 5;
    folder.config.limits.submissions_burst = 2;
    folder.config.limits.submissions_per_minute = 1;
    folder.config.limits.request_timeout_ms = 300;
    folder.config.limits.connections_max = 8;
    folder.config.storage.bytes_max = 100;
    let node = Node::start(folder).await.unwrap();
    node.ready().await.unwrap();
    let client = Client::new(&folders, 5);
    let network = folders.network;

    let answers = client.burst(0, &Request::Status, 8).await;
    let refused: Vec<_> = answers
        .into_iter()
        .filter_map(|answer| match answer {
            Response::Error(error) => Some(error),
            _ => None,
        })
        .collect();
    assert!((2..=3).contains(&refused.len()), "{refused:?}");
    assert!(
        refused
            .iter()
            .all(|error| error.code == ErrorCode::RATE_LIMITED && error.retry_after_ms > 0)
    );

    for number in 0..2 {
        client.submit(0, Person::new(20 + number).registration(&network)).await;
    }
    let third = Request::SubmitIdentity(Box::new(Person::new(30).registration(&network)));
    assert_eq!(refusal(client.call(0, &third).await), ErrorCode::RATE_LIMITED);
    // Others are not concerned.
    let other = Client::new(&folders, 6);
    other.submit(0, Person::new(40).registration(&network)).await;

    tokio::time::sleep(Duration::from_millis(300)).await;
    // Beyond its number of clients the node takes nobody, until one leaves.
    let mut crowd = Vec::new();
    for number in 0..20 {
        crowd.push(Client::new(&folders, 100 + number).try_connected(0).await);
    }
    assert_eq!(crowd.iter().filter(|client| client.is_some()).count(), 8);
    drop(crowd);
    eventually("room for another client", Duration::from_secs(5), async || {
        Client::new(&folders, 99).try_connected(0).await.is_some()
    })
    .await;

    let begun = encode_call(&network, &Request::Status).unwrap();
    let answer = client.unfinished(0, begun[..begun.len() - 1].to_vec()).await;
    assert_eq!(refusal(answer), ErrorCode::TOO_SLOW);

    let (alice, bob) = (Person::new(1), Person::new(2));
    let place = Place {
        network: &network,
        height: Height::new(1),
        time: UnixMillis::new(1),
        window_ms: 1000,
    };
    let state = tokenim_identity::IdentityState::new(&bob.genesis)
        .apply(&place, &bob.registration(&network).record)
        .unwrap();
    let sealed = alice.seal(&network, &state, "no room for this", 1);
    let put = client.put_request(0, &bob.inbox(), &sealed);
    let response = client.call(0, &Request::Put(Box::new(put))).await;
    assert_eq!(refusal(response), ErrorCode::STORAGE_FULL);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inbox_takes_postage_and_hands_out_what_its_owner_left() {
    logs();
    let folders = Folders::new(1, 15);
    let node = folders.start(0).await;
    node.ready().await.unwrap();
    let client = Client::new(&folders, 5).connected().await;
    let network = folders.network;
    let light = folders.light_client();
    let (alice, bob) = (Person::new(1), Person::new(2));
    let submitted = client.submit(0, bob.registration(&network)).await;
    client.applied(0, &submitted).await;
    eventually("bob", Duration::from_secs(5), async || {
        client.lookup(0, &light, &bob).await.is_some()
    })
    .await;
    let state = client.lookup(0, &light, &bob).await.unwrap();
    let (inbox, tag) = (bob.inbox(), bob.inbox().tag());

    // Without a stock there is nothing to fetch, and everyone asks for the same postage.
    assert_eq!(client.fetch_contact(0, tag).await, None);
    let sealed = alice.seal(&network, &state, "paid for", 1);
    let good = client.put_request(0, &inbox, &sealed);
    let paid = |authority| {
        let put = tokenim_rpc::Put {
            authority,
            ..good.clone()
        };
        Request::Put(Box::new(put))
    };
    let hour = Postage::hour_at(now());
    let too_little = (0..)
        .map(|nonce| Postage { hour, nonce })
        .find(|postage| check_postage(&tag, &sealed.id(), postage, PostageBits::DEFAULT, now()).is_err());
    let stale = find_postage(&tag, &sealed.id(), hour - 3, PostageBits::DEFAULT, 0).step(u32::MAX);
    for (what, authority, code) in [
        (
            "too little",
            WriteAuthority::Postage(too_little.unwrap()),
            ErrorCode::POSTAGE_TOO_LOW,
        ),
        (
            "of another hour",
            WriteAuthority::Postage(stale.unwrap()),
            ErrorCode::POSTAGE_STALE,
        ),
        (
            "a signature",
            WriteAuthority::Signature(bob.device.inbox.sign(&network, &good.request).unwrap()),
            ErrorCode::POSTAGE_TOO_LOW,
        ),
    ] {
        assert_eq!(refusal(client.call(0, &paid(authority)).await), code, "{what}");
    }
    assert_eq!(node.status().envelopes, 0);
    client.put(0, &inbox, &sealed).await;

    // Only its owner publishes a stock, with keys that are good now, to this node.
    let stock = bob.stock(&network, 7, 16, 3);
    let publish = client.publish_request(0, &bob, &stock);
    let mut thief = Person::new(2);
    thief.device.inbox = Person::new(3).device.inbox;
    let mut forged = client.publish_request(0, &bob, &stock);
    forged.signature = client.publish_request(0, &thief, &stock).signature;
    let mut other_stock = publish.clone();
    other_stock.stock = bob.stock(&network, 7, 0, 3);
    let mut other_node = publish.clone();
    other_node.request.node = tokenim_identity::NodeSigningKey::from_seed([9; 32]).verifying_key();
    let mut old = stock.clone();
    old.keys.keys.expires = now().saturating_sub(1);
    for (what, publish, code) in [
        ("by another", forged, ErrorCode::UNAUTHORIZED),
        ("another stock", other_stock, ErrorCode::UNAUTHORIZED),
        ("another node", other_node, ErrorCode::FOREIGN_NODE),
        ("old keys", client.publish_request(0, &bob, &old), ErrorCode::BAD_EXPIRY),
    ] {
        let response = client.call(0, &Request::PublishContact(Box::new(publish))).await;
        assert_eq!(refusal(response), code, "{what}");
    }
    assert_eq!(client.fetch_contact(0, tag).await, None);
    let publish = async |stock: &tokenim_mailbox::ContactStock| {
        let publish = client.publish_request(0, &bob, stock);
        client.call(0, &Request::PublishContact(Box::new(publish))).await
    };
    assert_eq!(publish(&stock).await.into_published().unwrap().number, 7);
    assert_eq!(publish(&stock).await.into_published().unwrap().number, 7);
    for outdated in [bob.stock(&network, 6, 0, 3), bob.stock(&network, 7, 0, 3)] {
        assert_eq!(refusal(publish(&outdated).await), ErrorCode::OUTDATED_STOCK);
    }
    assert_eq!(refusal(publish(&stock).await), ErrorCode::RATE_LIMITED);

    // From here on the inbox asks for what its owner wants; others do not.
    let second = alice.seal(&network, &state, "dearer", 2);
    let mut dear = client.put_request(0, &inbox, &second);
    let cheap = (0..)
        .map(|number| find_postage(&tag, &second.id(), hour, PostageBits::DEFAULT, number << 32).step(u32::MAX))
        .find(|found| {
            let asked = PostageBits::new(16).unwrap();
            check_postage(&tag, &second.id(), &found.unwrap(), asked, now()).is_err()
        });
    dear.authority = WriteAuthority::Postage(cheap.unwrap().unwrap());
    let put = |put: &tokenim_rpc::Put| Request::Put(Box::new(put.clone()));
    assert_eq!(refusal(client.call(0, &put(&dear)).await), ErrorCode::POSTAGE_TOO_LOW);
    let cheap = dear.clone();
    dear.authority = postage(&tag, &second.id(), 16);
    client.call(0, &put(&dear)).await.into_put().unwrap();
    let carol = Person::new(3);
    let elsewhere = alice.seal(&network, &state, "to another inbox", 3);
    client.put(0, &carol.inbox(), &elsewhere).await;

    // Each package is handed out once, and then again what was, also after a restart.
    let mut packages = BTreeSet::new();
    for _ in 0..2 {
        let fetched = client.fetch_contact(0, tag).await.unwrap();
        let device = &state.active_devices().next().unwrap().keys;
        assert_eq!(fetched.keys.verify(&network, &state.id, device, now()), Ok(()));
        assert_eq!(fetched.keys, stock.keys);
        assert!(packages.insert(fetched.package.unwrap()), "one came twice");
    }
    node.stop().await.unwrap();
    let node = folders.start(0).await;
    node.ready().await.unwrap();
    let client = Client::new(&folders, 5).connected().await;
    let last = client.fetch_contact(0, tag).await.unwrap().package.unwrap();
    assert!(packages.insert(last), "one came twice");
    assert!(stock.packages.iter().all(|package| packages.contains(package)));
    let again = client.fetch_contact(0, tag).await.unwrap();
    assert!(again.reused && packages.contains(&again.package.unwrap()));
    // The keys alone are there for everybody.
    let keys_only = Request::FetchContact { tag, suite: None };
    let keys = client
        .call(0, &keys_only)
        .await
        .into_fetched_contact()
        .unwrap()
        .unwrap();
    assert_eq!(
        (keys.keys, keys.package, keys.reused),
        (stock.keys.clone(), None, false)
    );
    assert_eq!(refusal(client.call(0, &put(&cheap)).await), ErrorCode::POSTAGE_TOO_LOW);
    client.call(0, &put(&dear)).await.into_put().unwrap();

    // A full stock is the largest request; it takes the place of the one before.
    let mut full = bob.stock(&network, 8, 0, 0);
    let longest = tokenim_mailbox::KeyPackage::try_from([[0, 1].repeat(4), vec![1; 4088]].concat()).unwrap();
    full.packages = vec![longest.clone(); 32].try_into().unwrap();
    let published = client.publish_request(0, &bob, &full);
    let published = client.call(0, &Request::PublishContact(Box::new(published))).await;
    assert_eq!(published.into_published().unwrap().number, 8);
    let fetched = client.fetch_contact(0, tag).await.unwrap();
    assert_eq!((fetched.keys.keys.number, fetched.package), (8, Some(longest)));
    client.call(0, &put(&cheap)).await.into_put().unwrap();

    // Who fetches without end waits, others are not concerned.
    let answers = client.burst(0, &keys_only, 40).await;
    let limited = answers
        .into_iter()
        .filter(|answer| matches!(answer, Response::Error(_)));
    let limited: Vec<_> = limited.map(refusal).collect();
    assert!((5..30).contains(&limited.len()), "{limited:?}");
    assert!(limited.iter().all(|code| *code == ErrorCode::RATE_LIMITED));
    let other = Client::new(&folders, 6);
    assert!(other.fetch_contact(0, tag).await.is_some());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_waits_ends_with_the_stream_of_who_asked() {
    let folders = Folders::new(1, 17);
    let node = folders.start(0).await;
    node.ready().await.unwrap();
    let client = Client::new(&folders, 5).connected().await;
    let bob = Person::new(2);
    // As many as a connection has streams, each given up again.
    for _ in 0..2 {
        let questions = (0..256).map(async |_| client.read(0, &bob, 0, 300_000).await);
        let asked = futures::future::join_all(questions);
        assert!(tokio::time::timeout(Duration::from_secs(1), asked).await.is_err());
    }
    let answer = client.call(0, &Request::Status);
    let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
    answer.expect("there is a stream").into_status().unwrap();
    node.stop().await.unwrap();
}

/// Sends a GET and returns the answer.
async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_sees_health_and_metrics() {
    logs();
    let folders = Folders::new(1, 12);
    let node = folders.start(0).await;
    node.ready().await.unwrap();
    let http = node.http_address().unwrap();
    let health = get(http, "/health").await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    assert!(
        health.contains("\"status\":\"ok\"") && health.contains("\"peers\":0"),
        "{health}"
    );
    let metrics = get(http, "/metrics").await;
    assert!(metrics.contains("tokenim_height "), "{metrics}");
    assert!(metrics.contains("tokenim_consensus_view "), "{metrics}");
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
    assert!(get(http, "/else").await.starts_with("HTTP/1.1 404"));
    node.stop().await.unwrap();
}

/// Starts the node of a folder and returns why it does not.
async fn refused(dir: &Path, passphrase: Option<&[u8]>) -> String {
    let error: StartError = match Folder::open(dir, passphrase) {
        Ok(folder) => Node::start(folder).await.map(|_| ()).unwrap_err(),
        Err(error) => error.into(),
    };
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

/// Names and contents of all files below a folder but those of the store's engine.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_start_says_why_in_one_line_and_touches_nothing() {
    logs();
    let folders = Folders::new(1, 13);
    let dir = folders.dirs[0].clone();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let fresh = contents(&dir);

    // Ports.
    let port: u16 = folders.address(0).rsplit(':').next().unwrap().parse().unwrap();
    let taken = std::net::UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let text = refused(&dir, None).await;
    assert!(text.contains("in use") && text.contains(&port.to_string()), "{text}");
    drop(taken);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut folder = Folder::open(&dir, None).unwrap();
    folder.config.http.listen = taken.local_addr().unwrap();
    let text = Node::start(folder).await.unwrap_err().to_string();
    assert!(text.contains("http.listen"), "{text}");
    assert_eq!(contents(&dir), fresh, "something was changed");

    // Folders.
    let root = folders.root.path();
    let text = refused(&root.join("nowhere"), None).await;
    assert!(
        text.contains("does not exist") && text.contains("tokenim init"),
        "{text}"
    );
    let empty = root.join("empty");
    fs::create_dir(&empty).unwrap();
    let text = refused(&empty, None).await;
    assert!(text.contains(KEY_FILE), "{text}");
    let text = init(&dir, &InitOptions::default(), &mut rng).unwrap_err().to_string();
    assert!(text.contains("not empty"), "{text}");
    let other = Folders::new(1, 14);
    let text = join(&dir, &other.config).unwrap_err().to_string();
    assert!(text.contains("another network"), "{text}");
    assert_eq!(contents(&dir), fresh, "something was changed");

    // Files.
    for (file, bytes, expected) in [
        (
            CONFIG_FILE,
            b"[limits]\nconections_max = 3\n".to_vec(),
            "line 2: unknown field",
        ),
        (
            CONFIG_FILE,
            b"[timing]\nheartbeat_ms = 5000\n".to_vec(),
            "timing.heartbeat_ms",
        ),
        (NETWORK_FILE, b"garbage".to_vec(), "damaged"),
        (KEY_FILE, b"garbage".to_vec(), KEY_FILE),
    ] {
        let path = dir.join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        let text = refused(&dir, None).await;
        assert!(text.contains(expected), "{text}");
        fs::write(&path, good).unwrap();
    }
    for file in [CONFIG_FILE, NETWORK_FILE] {
        let path = dir.join(file);
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let text = refused(&dir, None).await;
        assert!(text.contains(file), "{text}");
        fs::write(&path, good).unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let text = refused(&dir, None).await;
        assert!(text.contains("chmod 600"), "{text}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let secret = root.join("secret");
    let options = InitOptions {
        passphrase: Some(b"open sesame"),
        listen: ([127, 0, 0, 1], free_ports(1)[0]).into(),
        http: None,
        network: Some(&folders.config),
    };
    let key = init(&secret, &options, &mut rng).unwrap();
    let text = refused(&secret, Some(b"open barley")).await;
    assert!(text.contains("passphrase"), "{text}");
    assert!(refused(&secret, None).await.contains("passphrase"));
    assert_eq!(node_key(&secret, Some(b"open sesame")).unwrap(), key);
    assert_eq!(contents(&dir), fresh, "something was changed");

    // A folder that was in use.
    let node = folders.start(0).await;
    node.ready().await.unwrap();
    let mut second = Folder::open(&dir, None).unwrap();
    second.config.network.listen = ([127, 0, 0, 1], 0).into();
    let text = Node::start(second).await.unwrap_err().to_string();
    assert!(text.contains("in use"), "{text}");
    node.stop().await.unwrap();
    let node = other.start(0).await;
    node.ready().await.unwrap();
    node.stop().await.unwrap();

    // Its store in place of another's, and none at all.
    let (store, kept) = (dir.join("store"), root.join("kept"));
    fs::rename(&store, &kept).unwrap();
    let text = refused(&dir, None).await;
    assert!(text.contains("store is missing"), "{text}");
    fs::rename(other.dirs[0].join("store"), &store).unwrap();
    let text = refused(&dir, None).await;
    assert!(text.contains("installation"), "{text}");
    fs::rename(&store, other.dirs[0].join("store")).unwrap();
    fs::rename(&kept, &store).unwrap();
    let journal = dir.join("consensus");
    fs::rename(&journal, &kept).unwrap();
    let text = refused(&dir, None).await;
    assert!(text.contains("consensus is missing"), "{text}");
    fs::create_dir(&journal).unwrap();
    let node = folders.start(0).await;
    let text = node.closed().await.unwrap_err().to_string();
    assert!(text.contains("journal was lost"), "{text}");
    fs::remove_dir_all(&journal).unwrap();
    fs::rename(&kept, &journal).unwrap();

    // A store that is older than the journal.
    copy(&store, &kept);
    let node = folders.start(0).await;
    node.ready().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    node.stop().await.unwrap();
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&kept, &store).unwrap();
    let node = folders.start(0).await;
    let text = node.closed().await.unwrap_err().to_string();
    assert!(text.contains("lost blocks"), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
