//! A network of nodes in one process, and a client that talks to them by hand.
#![allow(dead_code, unreachable_pub)]

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tempfile::TempDir;
use tokenim_consensus::{Validator, ValidatorSet};
use tokenim_envelope::hpke::Suite;
use tokenim_envelope::{Content, EnvelopeSecretKey, MessageId, Recipient, SealedEnvelope, Sender, seal};
use tokenim_identity::{DeviceSecrets, Genesis, IdentityState, NodeKey, Phrase, RootSigningKey, SignedRecord};
use tokenim_ledger::{AcceptedEnvelope, GenesisNode, IdentityUpdate, LedgerLimits, LightClient, NetworkConfig};
use tokenim_mailbox::group::{GroupEntryId, GroupHandle, GroupNode};
use tokenim_mailbox::{
    ContactKeys, ContactStock, Descriptor, KeyPackage, MailboxTag, NodeSet, Postage, PostageBits, PublishRequest,
    QuorumReceipt, ReadRequest, SignedContactKeys, StorageReceipt, WriteAuthority, WriteRequest, find_postage,
};
use tokenim_node::{Folder, InitOptions, Node, NodeHandle, init, join};
use tokenim_rpc::{
    AcceptanceOf, AnchorStatus, FetchedContact, Page, PublishContact, Put, Read, Request, Response, RpcError,
    Submitted, TransactionStatus, encode_call,
};
use tokenim_transport::{Bytes, Connection as _, Limits, PeerId, SendStream as _, Transport, recv_frame};
use tokenim_transport_quic::QuicTransport;
use tokenim_wire::{BoundedBytes, BoundedString, EnvelopeId, NetworkId, Object as _, UnixMillis, UnixSeconds};
use zeroize::Zeroizing;

/// Shows the nodes' logs when a test is run with `RUST_LOG`.
pub fn logs() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_test_writer()
        .try_init();
}

pub fn now() -> UnixSeconds {
    UnixSeconds::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

pub fn now_millis() -> UnixMillis {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis::new(u64::try_from(passed.as_millis()).unwrap())
}

/// Postage for an envelope, made now.
pub fn postage(tag: &MailboxTag, envelope: &EnvelopeId, bits: u8) -> WriteAuthority {
    let bits = PostageBits::new(bits).unwrap();
    let mut search = find_postage(tag, envelope, Postage::hour_at(now()), bits, 0);
    let found = std::iter::repeat_with(|| search.step(10_000)).find_map(|found| found);
    WriteAuthority::Postage(found.unwrap())
}

/// UDP ports of this machine that are free now.
pub fn free_ports(count: usize) -> Vec<u16> {
    let sockets: Vec<UdpSocket> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    sockets
        .iter()
        .map(|socket| socket.local_addr().unwrap().port())
        .collect()
}

/// Folders of the nodes of one network.
pub struct Folders {
    pub root: TempDir,
    pub config: NetworkConfig,
    pub network: NetworkId,
    /// In the order in which they were made, not of keys.
    pub dirs: Vec<PathBuf>,
    pub keys: Vec<NodeKey>,
}

impl Folders {
    pub fn new(count: usize, seed: u64) -> Self {
        let root = TempDir::new().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut dirs = Vec::new();
        let mut keys = Vec::new();
        let mut nodes = Vec::new();
        for (number, port) in free_ports(count).into_iter().enumerate() {
            let dir = root.path().join(format!("node-{number}"));
            let options = InitOptions {
                listen: ([127, 0, 0, 1], port).into(),
                http: Some(([127, 0, 0, 1], 0).into()),
                ..InitOptions::default()
            };
            let key = init(&dir, &options, &mut rng).unwrap();
            nodes.push(GenesisNode {
                key,
                address: BoundedString::try_from(format!("127.0.0.1:{port}")).unwrap(),
            });
            dirs.push(dir);
            keys.push(key);
        }
        let validators = ValidatorSet::new(keys.iter().copied().map(Validator::new).collect()).unwrap();
        let config = NetworkConfig::new("test", now_millis(), validators, nodes, LedgerLimits::default()).unwrap();
        for dir in &dirs {
            join(dir, &config).unwrap();
        }
        let network = config.network_id().unwrap();
        Self {
            root,
            config,
            network,
            dirs,
            keys,
        }
    }

    pub async fn start(&self, number: usize) -> NodeHandle {
        start(&self.dirs[number]).await
    }

    /// Starts nodes, and waits until each of them is ready.
    pub async fn start_ready(&self, numbers: impl IntoIterator<Item = usize>) -> Vec<NodeHandle> {
        let mut nodes = Vec::new();
        for number in numbers {
            nodes.push(self.start(number).await);
        }
        for node in &nodes {
            tokio::time::timeout(Duration::from_secs(20), node.ready())
                .await
                .unwrap()
                .unwrap();
        }
        nodes
    }

    pub fn light_client(&self) -> LightClient {
        LightClient::new(&self.config).unwrap()
    }

    pub fn address(&self, number: usize) -> String {
        let node = self
            .config
            .nodes()
            .iter()
            .find(|node| node.key == self.keys[number])
            .unwrap();
        node.address.as_str().to_owned()
    }
}

/// A folder whose node repairs faster than people would want it to.
pub async fn start(dir: &Path) -> NodeHandle {
    let mut folder = Folder::open(dir, None).unwrap();
    folder.config.timing.repair_interval_ms = 300;
    folder.config.timing.repair_grace_ms = 500;
    Node::start(folder).await.unwrap()
}

/// Waits for something to become true.
pub async fn eventually<F: Future<Output = bool>>(what: &str, within: Duration, check: impl Fn() -> F) {
    let deadline = tokio::time::Instant::now() + within;
    while !check().await {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A client.
#[derive(Clone)]
pub struct Client {
    net: QuicTransport,
    network: NetworkId,
    nodes: Arc<Vec<(NodeKey, String)>>,
    /// Connections that are kept; without, each call makes its own.
    kept: Arc<Vec<<QuicTransport as Transport>::Connection>>,
}

impl Client {
    pub fn new(folders: &Folders, seed: u8) -> Self {
        let net = QuicTransport::dial_only(Zeroizing::new([seed; 32]), Limits::reference()).unwrap();
        let nodes = (0..folders.keys.len()).map(|number| (folders.keys[number], folders.address(number)));
        Self {
            net,
            network: folders.network,
            nodes: Arc::new(nodes.collect()),
            kept: Arc::default(),
        }
    }

    /// The same client, with a connection to each node that it keeps.
    pub async fn connected(mut self) -> Self {
        let mut kept = Vec::new();
        for number in 0..self.nodes.len() {
            kept.push(self.connection(number).await);
        }
        self.kept = Arc::new(kept);
        self
    }

    /// The same client with a connection to this node, if the node answers on it.
    pub async fn try_connected(mut self, number: usize) -> Option<Self> {
        let connection = self.connection(number).await;
        let request = encode_call(&self.network, &Request::Status).unwrap();
        let (mut send, mut recv) = connection.open().await.ok()?;
        send.write(Bytes::from(request)).await.ok()?;
        send.finish().ok()?;
        recv_frame(&mut recv, 2 << 20).await.ok()??;
        self.kept = Arc::new(vec![connection]);
        Some(self)
    }

    async fn connection(&self, number: usize) -> <QuicTransport as Transport>::Connection {
        if let Some(kept) = self.kept.get(number) {
            return kept.clone();
        }
        let (key, address) = &self.nodes[number];
        self.net.dial(PeerId::from(key), address).await.unwrap()
    }

    /// Sends any bytes on a fresh stream, ends it, and returns the frame that comes back.
    pub async fn raw(&self, number: usize, bytes: Vec<u8>) -> Response {
        let connection = self.connection(number).await;
        let (mut send, mut recv) = connection.open().await.unwrap();
        // A node that has refused the stream may have stopped it.
        let _ = send.write(Bytes::from(bytes)).await;
        let _ = send.finish();
        let frame = recv_frame(&mut recv, 2 << 20).await.unwrap().unwrap();
        Response::from_bytes(&frame).unwrap()
    }

    /// Asks the same several times at once on one connection.
    pub async fn burst(&self, number: usize, request: &Request, times: usize) -> Vec<Response> {
        let connection = self.connection(number).await;
        let bytes = encode_call(&self.network, request).unwrap();
        let mut streams = Vec::new();
        for _ in 0..times {
            let (mut send, recv) = connection.open().await.unwrap();
            send.write(Bytes::from(bytes.clone())).await.unwrap();
            send.finish().unwrap();
            streams.push(recv);
        }
        let mut answers = Vec::new();
        for mut recv in streams {
            let frame = recv_frame(&mut recv, 2 << 20).await.unwrap().unwrap();
            answers.push(Response::from_bytes(&frame).unwrap());
        }
        answers
    }

    /// Sends bytes, does not end the stream, and returns the frame that comes back all the same.
    pub async fn unfinished(&self, number: usize, bytes: Vec<u8>) -> Response {
        let connection = self.connection(number).await;
        let (mut send, mut recv) = connection.open().await.unwrap();
        send.write(Bytes::from(bytes)).await.unwrap();
        let frame = recv_frame(&mut recv, 2 << 20).await.unwrap().unwrap();
        Response::from_bytes(&frame).unwrap()
    }

    pub async fn call(&self, number: usize, request: &Request) -> Response {
        self.raw(number, encode_call(&self.network, request).unwrap()).await
    }

    pub async fn refused(&self, number: usize, request: &Request) -> RpcError {
        match self.call(number, request).await {
            Response::Error(error) => error,
            other => panic!("{other:?} is no refusal"),
        }
    }

    pub async fn submit(&self, number: usize, update: IdentityUpdate) -> Submitted {
        let request = Request::SubmitIdentity(Box::new(update));
        self.call(number, &request).await.into_submitted().unwrap()
    }

    pub async fn applied(&self, number: usize, submitted: &Submitted) {
        let request = Request::TransactionStatus { id: submitted.id };
        eventually("the record", Duration::from_secs(10), async || {
            let status = self.call(number, &request).await.into_transaction_status().unwrap();
            match status {
                TransactionStatus::Pending => false,
                TransactionStatus::Final { outcome, .. } => {
                    assert_eq!(outcome, tokenim_ledger::Outcome::Applied);
                    true
                }
                other => panic!("the record is {other:?}"),
            }
        })
        .await;
    }

    /// The state of an identity as a node proves it.
    pub async fn lookup(&self, number: usize, light: &LightClient, person: &Person) -> Option<IdentityState> {
        let identity = person.genesis.id();
        let proof = self
            .call(number, &Request::Lookup { identity })
            .await
            .into_lookup()
            .unwrap();
        let max_age = Some((now_millis(), Duration::from_secs(60)));
        light.verify_identity(&identity, &proof, max_age).unwrap().1
    }

    pub async fn node_set(&self, number: usize, light: &LightClient) -> NodeSet {
        let proof = self.call(number, &Request::NodeSet).await.into_node_set().unwrap();
        light.verify_node_set(&proof, None).unwrap().1
    }

    pub fn put_request(&self, number: usize, descriptor: &Descriptor, sealed: &SealedEnvelope) -> Put {
        let request = WriteRequest {
            node: self.nodes[number].0,
            tag: descriptor.tag(),
            envelope: sealed.id(),
            envelope_expiry: sealed.expiry(),
            expiry: now().saturating_add(60),
            nonce: [7; 16],
        };
        Put {
            descriptor: *descriptor,
            request,
            authority: postage(&request.tag, &request.envelope, PostageBits::DEFAULT.get()),
            envelope: BoundedBytes::try_from(sealed.as_bytes()).unwrap(),
        }
    }

    pub async fn put(&self, number: usize, descriptor: &Descriptor, sealed: &SealedEnvelope) -> StorageReceipt {
        let put = self.put_request(number, descriptor, sealed);
        let receipt = self
            .call(number, &Request::Put(Box::new(put)))
            .await
            .into_put()
            .unwrap();
        receipt.verify(&self.network).unwrap();
        receipt
    }

    pub fn publish_request(&self, number: usize, person: &Person, stock: &ContactStock) -> PublishContact {
        let request = PublishRequest {
            node: self.nodes[number].0,
            tag: person.inbox().tag(),
            stock: stock.digest().unwrap(),
            expiry: now().saturating_add(60),
            nonce: [8; 16],
        };
        PublishContact {
            descriptor: person.inbox(),
            signature: person.device.inbox.sign(&self.network, &request).unwrap(),
            request,
            stock: stock.clone(),
        }
    }

    pub async fn fetch_contact(&self, number: usize, tag: MailboxTag) -> Option<FetchedContact> {
        let suite = Some(1);
        let answer = self.call(number, &Request::FetchContact { tag, suite }).await;
        answer.into_fetched_contact().unwrap()
    }

    pub async fn read(&self, number: usize, person: &Person, from: u64, wait_ms: u32) -> Page {
        let request = ReadRequest {
            node: self.nodes[number].0,
            tag: person.inbox().tag(),
            from,
            expiry: now().saturating_add(60),
            nonce: [9; 16],
        };
        let read = Read {
            descriptor: person.inbox(),
            signature: person.device.inbox.sign(&self.network, &request).unwrap(),
            request,
            wait_ms,
        };
        let page = self
            .call(number, &Request::Read(Box::new(read)))
            .await
            .into_read()
            .unwrap();
        page.head.verify(&self.network).unwrap();
        assert_eq!(page.head.body.nonce, [9; 16]);
        page
    }

    /// What the ledger has of a session's entry as a node proves it, and how long it took to answer.
    pub async fn group_node(
        &self,
        number: usize,
        light: &LightClient,
        (handle, entry): (GroupHandle, GroupEntryId),
        after: u8,
        wait_ms: u32,
    ) -> (Option<GroupNode>, Duration) {
        let began = std::time::Instant::now();
        let request = Request::GroupNode {
            handle,
            entry,
            after,
            wait_ms,
        };
        let proof = self.call(number, &request).await.into_group_node().unwrap();
        let (_, node) = light.verify_group_node(&handle, &entry, &proof, None).unwrap();
        (node, began.elapsed())
    }

    pub async fn anchor(&self, number: usize, receipt: &QuorumReceipt) -> AnchorStatus {
        let request = Request::Anchor {
            receipt: Box::new(receipt.clone()),
        };
        self.call(number, &request).await.into_anchor().unwrap()
    }

    pub async fn acceptance(&self, number: usize, light: &LightClient, receipt: &QuorumReceipt) -> AcceptedEnvelope {
        let request = Request::Acceptance {
            of: AcceptanceOf::Receipt(Box::new(receipt.clone())),
            wait_ms: 10_000,
        };
        let proof = self.call(number, &request).await.into_acceptance().unwrap();
        assert_eq!(proof.receipt, *receipt);
        light.verify_acceptance(&proof).unwrap()
    }
}

/// A person with one device.
pub struct Person {
    pub root: RootSigningKey,
    pub genesis: Genesis,
    pub device: DeviceSecrets,
    pub envelope: EnvelopeSecretKey,
}

impl Person {
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let phrase = Phrase::generate(&mut rng);
        let device = DeviceSecrets::generate(&mut rng);
        Self {
            root: phrase.root_key(0),
            genesis: phrase.genesis(),
            envelope: EnvelopeSecretKey::from_seed(Suite::default(), &device.envelope_seed),
            device,
        }
    }

    pub fn inbox(&self) -> Descriptor {
        Descriptor::inbox(&self.device.keys(self.envelope.public().clone()))
    }

    /// The update that registers the person and the device.
    pub fn registration(&self, network: &NetworkId) -> IdentityUpdate {
        let state = IdentityState::new(&self.genesis);
        let key = self.envelope.public().clone();
        IdentityUpdate {
            genesis: Some(self.genesis),
            record: SignedRecord::add_device(network, &state, &self.root, &self.device, key).unwrap(),
        }
    }

    /// Seals a message to another person's device, for an hour.
    pub fn seal(&self, network: &NetworkId, to: &IdentityState, text: &str, number: u64) -> SealedEnvelope {
        self.seal_for(network, to, text, number, 3600)
    }

    /// Seals a message to another person's device, for so many seconds.
    pub fn seal_for(
        &self,
        network: &NetworkId,
        to: &IdentityState,
        text: &str,
        number: u64,
        seconds: u64,
    ) -> SealedEnvelope {
        let mut rng = ChaCha20Rng::seed_from_u64(number);
        let entry = to.active_devices().next().unwrap();
        let sender = Sender {
            identity: self.genesis.id(),
            device: self.device.device_id(),
            key: &self.device.signing,
        };
        let recipient = Recipient::new(to.id, &entry.keys);
        let id = MessageId::generate(&mut rng);
        let expiry = now().saturating_add(seconds);
        let content = Content::text(text);
        seal(network, &sender, &recipient, id, expiry, None, &content, &mut rng).unwrap()
    }

    /// A contact stock that is good for an hour, with so many packages.
    pub fn stock(&self, network: &NetworkId, number: u64, bits: u8, packages: u8) -> ContactStock {
        let keys = ContactKeys {
            identity: self.genesis.id(),
            device: self.device.device_id(),
            envelope: EnvelopeSecretKey::from_seed(Suite::default(), &[200; 32])
                .public()
                .clone(),
            created: now(),
            expires: now().saturating_add(3600),
            number,
            postage: PostageBits::new(bits).unwrap(),
        };
        let keys = SignedContactKeys::sign(network, &self.device.signing, keys).unwrap();
        let packages = (0..packages).map(|package| {
            let header = [0, 1, 0, 5, 0, 1, 0, 1];
            KeyPackage::try_from([header.as_slice(), &[package; 300]].concat()).unwrap()
        });
        ContactStock::new(keys, packages.collect()).unwrap()
    }
}
