//! Two people, a liar, and people made by hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tempfile::TempDir;
use tokenim_client::step::Fault;
use tokenim_client::{Argon2Cost, Client, Content, DeviceId, IdentityId, Network, Reading, SendReport};
use tokenim_envelope::{Checkpoint, EnvelopeSecretKey, MessageId, Recipient, SealedEnvelope, Sender, Suite, seal};
use tokenim_identity::{DeviceSecrets, IdentityState, Phrase, SignedRecord};
use tokenim_ledger::IdentityUpdate;
use tokenim_mailbox::{Descriptor, Postage, PostageBits, StorageReceipt, WriteAuthority, WriteRequest, find_postage};
use tokenim_rpc::{AnswerError, Put, Request};
use tokenim_testkit::{Caller, Lie, LocalNetwork, LyingNode, until};
use tokenim_wire::{BoundedBytes, UnixSeconds};

static SHARED: Mutex<Weak<LocalNetwork>> = Mutex::new(Weak::new());

/// The network of the tests that run now; the last one to end takes it down.
fn shared() -> Arc<LocalNetwork> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let network = Arc::new(
            LocalNetwork::start(4, 4, |_, config| {
                config.limits.submissions_burst = 100;
            })
            .unwrap(),
        );
        *shared = Arc::downgrade(&network);
        network
    })
}

/// Two people and a liar between them and one of the nodes.
pub(crate) struct World {
    pub(crate) anna: Client,
    pub(crate) bert: Client,
    pub(crate) liar: LyingNode,
    sent: Mutex<BTreeMap<String, usize>>,
    number: Mutex<usize>,
    pub(crate) folders: [TempDir; 2],
    pub(crate) network: Arc<LocalNetwork>,
}

impl World {
    pub(crate) fn run(test: impl AsyncFnOnce(&Self)) {
        let network = shared();
        let handle = network.clone();
        handle.block_on(async {
            let world = Self::new(network).await;
            test(&world).await;
            world.liar.tell(None);
            world.liar.close().await;
            world.anna.close().await;
            world.bert.close().await;
        });
    }

    async fn new(network: Arc<LocalNetwork>) -> Self {
        let layout = &network.layout;
        // The node with the lowest key is the one that clients hand their records to first.
        let lowest = layout.nodes.iter().map(|node| node.key).min().unwrap();
        let liar = LyingNode::start(layout, layout.number_of(&lowest).unwrap()).unwrap();
        let folders = [(); 2].map(|()| TempDir::with_prefix("tokenim-person-").unwrap());
        let [anna, bert] = [0, 1].map(|number: usize| {
            Client::create(
                folders[number].path(),
                layout.network.clone(),
                b"secret",
                Argon2Cost::MINIMUM,
            )
            .unwrap()
            .0
        });
        let (first, second) = tokio::join!(anna.register(), bert.register());
        first.unwrap();
        second.unwrap();
        for client in [&anna, &bert] {
            client.network().prefer_address(&liar.node(), &liar.address()).await;
        }
        Self {
            anna,
            bert,
            liar,
            sent: Mutex::default(),
            number: Mutex::default(),
            folders,
            network,
        }
    }

    /// Anna sends Bert a message that no other is equal to.
    pub(crate) async fn send(&self) -> SendReport {
        let text = {
            let mut number = self.number.lock().unwrap();
            *number += 1;
            format!("message {number}, сообщение, 訊息")
        };
        *self.sent.lock().unwrap().entry(text.clone()).or_default() += 1;
        self.anna
            .send(&self.bert.identity(), Content::text(text))
            .await
            .unwrap()
    }

    pub(crate) async fn send_some(&self, count: usize) {
        for _ in 0..count {
            self.send().await;
        }
    }

    /// Bert reads once; the reading must be complete and hold everything sent.
    pub(crate) async fn read(&self) -> Reading {
        let reading = self.bert.receive().await.unwrap();
        assert!(reading.complete, "{reading:?}");
        assert_eq!(reading.missing, 0);
        self.check_inbox();
        reading
    }

    /// Everything sent is in Bert's inbox, once.
    fn check_inbox(&self) {
        let mut got: BTreeMap<String, usize> = BTreeMap::new();
        for (_, message) in self.bert.messages(0, 1_000).unwrap() {
            assert_eq!(message.sender, self.anna.identity());
            *got.entry(String::from_utf8(message.body.to_vec()).unwrap())
                .or_default() += 1;
        }
        assert_eq!(got, *self.sent.lock().unwrap());
    }

    /// The liar, and nobody else, was caught by this client, with this at least.
    pub(crate) fn named(&self, client: &Client, fault: &Fault) {
        let notes = client.notes().unwrap();
        let what = fault.to_string();
        assert!(
            notes.iter().any(|note| note.what.as_slice() == what.as_bytes()),
            "{what}: {notes:?}"
        );
        self.nobody_else(client);
    }

    /// No honest node was accused.
    fn nobody_else(&self, client: &Client) {
        for note in client.notes().unwrap() {
            assert_eq!(note.node, self.liar.node(), "an honest node is accused");
        }
    }

    /// Nobody was accused at all.
    pub(crate) fn nobody(&self, client: &Client) {
        assert_eq!(client.notes().unwrap(), []);
    }

    /// Reads while the liar tells a lie that shows: the reading names it, and is complete all the same.
    pub(crate) async fn read_against(&self, lie: Lie, fault: Fault) {
        self.liar.tell(Some(lie));
        let reading = self.read().await;
        assert!(self.liar.told() > 0);
        assert_eq!(reading.caught.len(), 1, "{reading:?}");
        assert_eq!(
            (reading.caught[0].node, &reading.caught[0].fault),
            (self.liar.node(), &fault)
        );
        self.named(&self.bert, &fault);
        // The truth is believed again.
        self.liar.tell(None);
        self.send().await;
        let reading = self.read().await;
        assert!(reading.caught.is_empty(), "{reading:?}");
    }

    /// Sends while the liar hands out a receipt that shows: the others make the quorum, and the liar is named.
    pub(crate) async fn write_against(&self, lie: Lie, fault: Fault) {
        self.liar.tell(Some(lie));
        let member = self.anna.network().nodes().index_of(&self.liar.node()).unwrap();
        // Three receipts make the quorum; where they come first, the liar's is not looked at.
        for _ in 0..40 {
            let report = self.send().await;
            for device in &report.devices {
                assert!(device.receipt.issuers.iter().all(|issuer| issuer.member != member));
            }
            if !self.anna.notes().unwrap().is_empty() {
                break;
            }
        }
        assert!(self.liar.told() > 0);
        self.named(&self.anna, &fault);
        let reading = self.read().await;
        assert!(reading.caught.is_empty(), "{reading:?}");
    }

    /// A network view of its own, that knows nothing yet and reaches the liar.
    pub(crate) async fn stranger(&self) -> Network {
        let network = Network::new(self.network.layout.network.clone()).unwrap();
        network.prefer_address(&self.liar.node(), &self.liar.address()).await;
        network
    }

    /// Looks up until the liar was asked, each time with the right answer.
    pub(crate) async fn look_up_against(&self, lie: Lie, identity: &IdentityId) -> Network {
        let network = self.stranger().await;
        self.liar.tell(Some(lie));
        let before = self.liar.told();
        for _ in 0..8 {
            let found = network.lookup(identity, Duration::from_secs(30)).await.unwrap();
            assert_eq!(found.state.map(|state| state.id), Some(*identity));
        }
        assert!(self.liar.told() > before, "each node is asked first in its turn");
        network
    }

    /// A third person, who is not on the ledger yet and reaches the liar.
    pub(crate) async fn carl(&self) -> (TempDir, Client) {
        let folder = TempDir::with_prefix("tokenim-person-").unwrap();
        let network = self.network.layout.network.clone();
        let (carl, _) = Client::create(folder.path(), network, b"secret", Argon2Cost::MINIMUM).unwrap();
        carl.network()
            .prefer_address(&self.liar.node(), &self.liar.address())
            .await;
        (folder, carl)
    }

    /// Asks through the liar, as it is.
    pub(crate) async fn through_liar(&self, request: &Request) -> tokenim_rpc::Response {
        let caller = Caller::new(self.network.layout.id, [9; 32]).unwrap();
        let patience = Duration::from_secs(15);
        caller
            .ask(&self.liar.node(), &self.liar.address(), request, patience)
            .await
            .unwrap()
    }
}

/// Only the liar is among the caught, and only with proofs that don't hold.
pub(crate) fn caught_with_proofs(network: &Network, liar: &LyingNode) {
    let caught = network.take_caught();
    assert!(!caught.is_empty());
    for caught in caught {
        assert_eq!(caught.node, liar.node());
        assert!(matches!(caught.fault, Fault::Proof(_)), "{:?}", caught.fault);
    }
}

/// The time in seconds.
pub(crate) fn now() -> UnixSeconds {
    UnixSeconds::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// Puts an envelope into an open mailbox, on each node; what each of them says.
pub(crate) async fn put_everywhere(
    network: &LocalNetwork,
    mailbox: Descriptor,
    sealed: &SealedEnvelope,
    postage: Postage,
) -> Vec<Result<StorageReceipt, AnswerError>> {
    let caller = Caller::new(network.layout.id, [8; 32]).unwrap();
    let mut answers = Vec::new();
    for node in &network.layout.nodes {
        let put = Put {
            descriptor: mailbox,
            request: WriteRequest {
                node: node.key,
                tag: mailbox.tag(),
                envelope: sealed.id(),
                envelope_expiry: sealed.expiry(),
                expiry: now().saturating_add(60),
                nonce: [3; 16],
            },
            authority: WriteAuthority::Postage(postage),
            envelope: BoundedBytes::try_from(sealed.as_bytes()).unwrap(),
        };
        let (address, request) = (node.listen.to_string(), Request::Put(Box::new(put)));
        let answer = caller.ask(&node.key, &address, &request, Duration::from_secs(5)).await;
        answers.push(answer.unwrap().into_put());
    }
    answers
}

/// Postage of the usual worth.
pub(crate) fn usual_postage(mailbox: &Descriptor, sealed: &SealedEnvelope) -> Postage {
    let hour = Postage::hour_at(now());
    let mut search = find_postage(&mailbox.tag(), &sealed.id(), hour, PostageBits::DEFAULT, 0);
    search.step(u32::MAX).unwrap()
}

/// A person made by hand, who does what no client would.
pub(crate) struct ByHand {
    pub(crate) state: IdentityState,
    pub(crate) devices: Vec<DeviceSecrets>,
    /// Who and which device the next messages say that they are of, if not the own ones.
    pub(crate) claims: Option<(IdentityId, DeviceId)>,
    phrase: Phrase,
    rng: ChaCha20Rng,
    network: Network,
}

impl ByHand {
    /// With one device, on the ledger. The number is that of no other.
    pub(crate) async fn new(world: &World, number: u8) -> Self {
        let layout = &world.network.layout;
        let phrase = Phrase::from_entropy(&[number; 32]);
        let mut person = Self {
            state: IdentityState::new(&phrase.genesis()),
            devices: Vec::new(),
            claims: None,
            rng: ChaCha20Rng::seed_from_u64(number.into()),
            network: Network::new(layout.network.clone()).unwrap(),
            phrase,
        };
        let update = IdentityUpdate {
            genesis: Some(person.phrase.genesis()),
            record: person.device(Suite::XWing),
        };
        let caller = Caller::new(layout.id, [7; 32]).unwrap();
        let node = &layout.nodes[0];
        let request = Request::SubmitIdentity(Box::new(update));
        let (address, patience) = (node.listen.to_string(), Duration::from_secs(5));
        // It may have too much to do.
        until("a node takes the record", Duration::from_secs(10), || async {
            let answer = caller.ask(&node.key, &address, &request, patience).await;
            answer.ok()?.into_submitted().ok()
        })
        .await
        .unwrap();
        person.state = until("they are on the ledger", Duration::from_secs(10), || async {
            let found = person.network.lookup(&person.state.id, Duration::from_secs(30)).await;
            found.ok()?.state
        })
        .await
        .unwrap();
        person
    }

    fn device(&mut self, suite: Suite) -> SignedRecord {
        let secrets = DeviceSecrets::generate(&mut self.rng);
        let key = EnvelopeSecretKey::from_seed(suite, &secrets.envelope_seed);
        let (root, public) = (self.phrase.root_key(0), key.public().clone());
        let record = SignedRecord::add_device(self.network.id(), &self.state, &root, &secrets, public).unwrap();
        self.devices.push(secrets);
        record
    }

    async fn publish(&mut self, record: SignedRecord) {
        self.state = self.network.publish_record(record).await.unwrap().state.unwrap();
    }

    /// Adds a device.
    pub(crate) async fn add_device(&mut self, suite: Suite) -> DeviceId {
        let record = self.device(suite);
        self.publish(record).await;
        self.devices.last().unwrap().device_id()
    }

    /// Revokes a device.
    pub(crate) async fn revoke_device(&mut self, device: DeviceId) {
        let root = self.phrase.root_key(0);
        let record = SignedRecord::revoke_device(self.network.id(), &self.state, &root, device).unwrap();
        self.publish(record).await;
    }

    /// Waits until a client has seen the state.
    pub(crate) async fn is_seen_by(&self, client: &Client) {
        until("the newest state is seen", Duration::from_secs(20), || async {
            let seen = client.refresh(&self.state.id, Duration::from_secs(30)).await.ok()?;
            (seen == self.state).then_some(())
        })
        .await
        .unwrap();
    }

    /// Seals a message from the first device to a client's.
    pub(crate) async fn seal(&mut self, to: &Client, id: u8, seen: Option<Checkpoint>) -> (Descriptor, SealedEnvelope) {
        let them = to.state().await.unwrap();
        let keys = &them.active_devices().next().unwrap().keys;
        let own = (self.state.id, self.devices[0].device_id());
        let (identity, device) = self.claims.unwrap_or(own);
        let sender = Sender {
            identity,
            device,
            key: &self.devices[0].signing,
        };
        let (to, id, expiry) = (
            Recipient::new(them.id, keys),
            MessageId::from_bytes([id; 16]),
            now().saturating_add(3_600),
        );
        let content = Content::text("hello");
        let sealed = seal(
            self.network.id(),
            &sender,
            &to,
            id,
            expiry,
            seen,
            &content,
            &mut self.rng,
        )
        .unwrap();
        (Descriptor::inbox(keys), sealed)
    }

    /// Sends a message from the first device to a client's, on all nodes.
    pub(crate) async fn send(&mut self, world: &World, to: &Client, id: u8, seen: Option<Checkpoint>) {
        let (inbox, sealed) = self.seal(to, id, seen).await;
        let postage = usual_postage(&inbox, &sealed);
        for answer in put_everywhere(&world.network, inbox, &sealed, postage).await {
            answer.unwrap();
        }
    }
}
