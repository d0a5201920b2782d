//! Repair beside a node that gives wrong copies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Client, Folders, Person, eventually, logs};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokenim_identity::{Keystore, KeystoreKind};
use tokenim_mailbox::{LogEntry, MailboxTag};
use tokenim_node::folder::KEY_FILE;
use tokenim_rpc::{
    ChangeCursor, Changes, Copied, ErrorCode, Gossiped, LogPage, NodeRequest, NodeResponse, Request, Response,
    RpcError, StreamKind, encode_answer, parse_header,
};
use tokenim_transport::{
    Bytes, Connection as _, FrameReader, Limits, RecvStream, SendStream, Transport as _, TransportError,
};
use tokenim_transport_quic::QuicTransport;
use tokenim_wire::{BoundedBytes, BoundedVec, EnvelopeId, NetworkId, Object as _};
use zeroize::Zeroizing;

/// A node of the set that says it keeps everything, and gives something else for each envelope.
struct Liar {
    network: NetworkId,
    tag: MailboxTag,
    entries: Vec<LogEntry>,
    /// What it gives for an envelope.
    copies: BTreeMap<EnvelopeId, Vec<u8>>,
    /// What it was asked for, by how many.
    asked: Mutex<BTreeMap<EnvelopeId, usize>>,
}

impl Liar {
    fn begin(self, dir: &Path, address: &str) -> Arc<Self> {
        let sealed = fs::read(dir.join(KEY_FILE)).unwrap();
        let plain = Keystore::open(&[], KeystoreKind::Node, &sealed).unwrap();
        let seed = Zeroizing::new(*plain.last_chunk::<32>().unwrap());
        let net = QuicTransport::bind(seed, address.parse().unwrap(), Limits::reference()).unwrap();
        let liar = Arc::new(self);
        let serving = liar.clone();
        tokio::spawn(async move {
            while let Some(connection) = net.accept().await {
                let liar = serving.clone();
                tokio::spawn(async move {
                    while let Ok((send, recv)) = connection.accept().await {
                        let liar = liar.clone();
                        tokio::spawn(async move { drop(liar.serve(send, recv).await) });
                    }
                });
            }
        });
        liar
    }

    async fn serve<S: SendStream, R: RecvStream>(&self, mut send: S, recv: R) -> Result<(), TransportError> {
        let mut frames = FrameReader::new(recv, 2 << 20);
        let header = frames.next().await?.unwrap_or_default();
        match parse_header(&self.network, &header) {
            Ok(StreamKind::Rpc) => {
                let request = frames.next().await?.unwrap_or_default();
                let response = self.answer(Request::from_bytes(&request).unwrap());
                send.write(Bytes::from(encode_answer(&response).unwrap())).await?;
                send.finish()
            }
            // It hears the others agree, and has nothing to say to it.
            _ => {
                while frames.next().await?.is_some() {}
                Ok(())
            }
        }
    }

    fn answer(&self, request: Request) -> Response {
        let Request::Node(request) = request else {
            return Response::Error(RpcError::new(ErrorCode::BUSY, "later"));
        };
        Response::Node(match request {
            NodeRequest::Gossip { .. } => NodeResponse::Gossip(Gossiped { taken: 0 }),
            NodeRequest::Changes { .. } => NodeResponse::Changes(Changes {
                tags: BoundedVec::try_from(vec![self.tag]).unwrap(),
                next: ChangeCursor::Start,
                more: false,
            }),
            NodeRequest::LogEntries { from, .. } => {
                let entries: Vec<_> = self
                    .entries
                    .iter()
                    .filter(|entry| entry.index >= from)
                    .copied()
                    .collect();
                NodeResponse::LogEntries(LogPage {
                    entries: BoundedVec::try_from(entries).unwrap(),
                    next: u64::try_from(self.entries.len()).unwrap(),
                    more: false,
                })
            }
            NodeRequest::Fetch { envelope, .. } => {
                *self.asked.lock().unwrap().entry(envelope).or_default() += 1;
                NodeResponse::Fetch(Copied {
                    envelope: BoundedBytes::try_from(self.copies[&envelope].as_slice()).unwrap(),
                })
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_copy_is_not_kept_and_the_right_one_fetched_elsewhere() {
    logs();
    let folders = Folders::new(4, 5);
    // Whoever has the lowest key is asked first.
    let liar = (0..4).min_by_key(|number| folders.keys[*number]).unwrap();
    let honest: Vec<usize> = (0..4).filter(|number| *number != liar).collect();
    let nodes = folders.start_ready(honest.iter().copied()).await;
    let light = folders.light_client();
    let client = Client::new(&folders, 77);
    let (alice, bob) = (Person::new(1), Person::new(2));
    let submitted = client.submit(honest[0], bob.registration(&folders.network)).await;
    client.applied(honest[0], &submitted).await;
    eventually("bob's identity", Duration::from_secs(5), async || {
        client.lookup(honest[0], &light, &bob).await.is_some()
    })
    .await;
    let state = client.lookup(honest[0], &light, &bob).await.unwrap();

    // Two honest nodes keep them, the third one lacks them, and the liar has something else: a flipped byte, another
    // envelope, no envelope at all.
    let sealed: Vec<_> = (0..4)
        .map(|number| alice.seal(&folders.network, &state, "to be kept", number))
        .collect();
    let mut flipped = sealed[0].as_bytes().to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let copies = [flipped, sealed[3].as_bytes().to_vec(), b"nothing of the kind".to_vec()];
    let tag = bob.inbox().tag();
    let kept = &sealed[..3];
    let liar = Liar {
        network: folders.network,
        tag,
        entries: (0..)
            .zip(kept)
            .map(|(index, sealed)| LogEntry {
                index,
                envelope: sealed.id(),
                expiry: sealed.expiry(),
            })
            .collect(),
        copies: kept.iter().map(|sealed| sealed.id()).zip(copies).collect(),
        asked: Mutex::default(),
    }
    .begin(&folders.dirs[liar], &folders.address(liar));
    eventually("the connections with the liar", Duration::from_secs(10), async || {
        nodes.iter().all(|node| node.status().peers == 3)
    })
    .await;
    for number in &honest[..2] {
        for sealed in kept {
            client.put(*number, &bob.inbox(), sealed).await;
        }
    }

    let lacking = honest[2];
    eventually("the copies", Duration::from_secs(15), async || {
        client.read(lacking, &bob, 0, 0).await.items.len() == kept.len()
    })
    .await;
    let page = client.read(lacking, &bob, 0, 0).await;
    for item in &page.items {
        let right = kept.iter().find(|sealed| sealed.id() == item.entry.envelope).unwrap();
        assert_eq!(item.envelope.as_ref().unwrap().as_slice(), right.as_bytes());
    }
    let asked = liar.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), kept.len(), "the liar was asked for each: {asked:?}");
    // Nobody took what it offered unasked.
    for number in honest {
        assert_eq!(client.read(number, &bob, 0, 0).await.items.len(), kept.len());
    }
    for node in nodes {
        node.stop().await.unwrap();
    }
}
