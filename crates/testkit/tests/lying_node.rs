//! A client among three honest nodes and one that lies: every lie is refused or outvoted, the liar is named where a lie
//! can be seen, no honest node is accused, nothing is lost, nothing comes twice.
//!
//! All four are real nodes on loopback QUIC in this process, shared by the tests that run at the same time. The liar
//! stands in front of one of them with that node's key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokenim_client::step::Fault;
use tokenim_client::step::contact::KeyChange;
use tokenim_client::{Argon2Cost, Client, ClientError, Content, IdentityId, Network, Reading, SendReport};
use tokenim_envelope::{Checkpoint, EnvelopeSecretKey, MessageId, Recipient, Sender, Suite, seal};
use tokenim_identity::{DeviceSecrets, EpochSigningKey, IdentityState, Phrase, SignedRecord};
use tokenim_ledger::IdentityUpdate;
use tokenim_mailbox::group::{AuthorBox, GroupChild, GroupStart, GroupUpdate, SignedGroupChild};
use tokenim_mailbox::{
    Descriptor, Postage, PostageBits, QuorumReceipt, WriteAuthority, WritePolicy, WriteRequest, find_postage,
};
use tokenim_rpc::{AcceptanceOf, Put, Request};
use tokenim_testkit::{Caller, Lie, LocalNetwork, LyingNode, until};
use tokenim_wire::{BoundedBytes, Digest, UnixSeconds};

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
struct World {
    anna: Client,
    bert: Client,
    liar: LyingNode,
    sent: Mutex<BTreeMap<String, usize>>,
    number: Mutex<usize>,
    _folders: [TempDir; 2],
    network: Arc<LocalNetwork>,
}

impl World {
    fn run(test: impl AsyncFnOnce(&Self)) {
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
            _folders: folders,
            network,
        }
    }

    /// Anna sends Bert a message that no other is equal to.
    async fn send(&self) -> SendReport {
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

    async fn send_some(&self, count: usize) {
        for _ in 0..count {
            self.send().await;
        }
    }

    /// Bert reads once; the reading must be complete and hold everything sent.
    async fn read(&self) -> Reading {
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
    fn named(&self, client: &Client, fault: &Fault) {
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
    fn nobody(&self, client: &Client) {
        assert_eq!(client.notes().unwrap(), []);
    }

    /// Reads while the liar tells a lie that shows: the reading names it, and is complete all the same.
    async fn read_against(&self, lie: Lie, fault: Fault) {
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
    async fn write_against(&self, lie: Lie, fault: Fault) {
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
    async fn stranger(&self) -> Network {
        let network = Network::new(self.network.layout.network.clone()).unwrap();
        network.prefer_address(&self.liar.node(), &self.liar.address()).await;
        network
    }

    /// Looks up until the liar was asked, each time with the right answer.
    async fn look_up_against(&self, lie: Lie, identity: &IdentityId) -> Network {
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
    async fn carl(&self) -> (TempDir, Client) {
        let folder = TempDir::with_prefix("tokenim-person-").unwrap();
        let network = self.network.layout.network.clone();
        let (carl, _) = Client::create(folder.path(), network, b"secret", Argon2Cost::MINIMUM).unwrap();
        carl.network()
            .prefer_address(&self.liar.node(), &self.liar.address())
            .await;
        (folder, carl)
    }

    /// Asks through the liar, as it is.
    async fn through_liar(&self, request: &Request) -> tokenim_rpc::Response {
        let caller = Caller::new(self.network.layout.id, [9; 32]).unwrap();
        let patience = Duration::from_secs(15);
        caller
            .ask(&self.liar.node(), &self.liar.address(), request, patience)
            .await
            .unwrap()
    }
}

/// Only the liar is among the caught, and only with proofs that don't hold.
fn caught_with_proofs(network: &Network, liar: &LyingNode) {
    let caught = network.take_caught();
    assert!(!caught.is_empty());
    for caught in caught {
        assert_eq!(caught.node, liar.node());
        assert!(matches!(caught.fault, Fault::Proof(_)), "{:?}", caught.fault);
    }
}

// To readers.

/// So many messages are sent, and the lie about them shows.
fn shows_to_who_reads(messages: usize, lie: Lie, fault: Fault) {
    World::run(async |world| {
        world.send_some(messages).await;
        world.read_against(lie, fault).await;
    });
}

#[test]
fn a_flipped_byte_is_refused() {
    shows_to_who_reads(3, Lie::FlippedByte, Fault::TamperedCopy);
}

#[test]
fn withheld_envelopes_come_from_the_others() {
    World::run(async |world| {
        world.send_some(3).await;
        world.liar.tell(Some(Lie::WithheldEnvelopes));
        world.read().await;
        assert!(world.liar.told() > 0);
        // A node may have lost what it lists: that convicts nobody.
        world.nobody(&world.bert);
    });
}

#[test]
fn a_log_said_to_be_empty_is_outvoted_and_later_refused() {
    World::run(async |world| {
        world.send_some(2).await;
        world.liar.tell(Some(Lie::EmptyLog));
        world.read().await;
        assert!(world.liar.told() > 0);
        world.nobody(&world.bert);
        // Once it has shown its log, it can't take it back.
        world.liar.tell(None);
        world.send().await;
        world.read().await;
        world.read_against(Lie::EmptyLog, Fault::LogShrank).await;
    });
}

#[test]
fn a_stale_head_is_refused() {
    World::run(async |world| {
        world.send().await;
        world.read().await;
        world.send_some(2).await;
        world.read_against(Lie::StaleHead, Fault::HeadForAnother).await;
    });
}

#[test]
fn a_head_signed_by_another_key_is_refused() {
    shows_to_who_reads(1, Lie::HeadOfAnotherKey, Fault::HeadSignature);
}

#[test]
fn an_entry_left_out_of_a_signed_log_is_noticed() {
    shows_to_who_reads(2, Lie::MissingEntry, Fault::LogGap);
}

#[test]
fn an_envelope_listed_twice_is_delivered_once() {
    World::run(async |world| {
        world.send_some(3).await;
        world.liar.tell(Some(Lie::RepeatedEnvelopes));
        let reading = world.read().await;
        assert_eq!(reading.received.len(), 3);
        assert!(world.read().await.received.is_empty());
        assert!(world.liar.told() > 0);
        world.nobody(&world.bert);
        // From now on it is bound to the longer log that it signed.
        world.liar.tell(None);
        world.read().await;
        world.named(&world.bert, &Fault::LogShrank);
    });
}

#[test]
fn an_invented_envelope_is_refused() {
    World::run(async |world| {
        world.send_some(2).await;
        world.liar.tell(Some(Lie::InventedEnvelope));
        let reading = world.read().await;
        assert_eq!((reading.received.len(), reading.refused.len()), (2, 1));
        assert!(world.liar.told() > 0);
        // Anyone may have written it: that convicts nobody.
        world.nobody(&world.bert);
    });
}

// To writers.

#[test]
fn a_forged_receipt_does_not_count() {
    World::run(async |world| world.write_against(Lie::ForgedReceipt, Fault::ReceiptSignature).await);
}

#[test]
fn the_receipt_of_another_node_does_not_count() {
    World::run(async |world| {
        world
            .write_against(Lie::ReceiptOfAnother, Fault::ReceiptForAnother)
            .await
    });
}

#[test]
fn another_nodes_signature_does_not_count() {
    World::run(async |world| {
        world
            .write_against(Lie::BorrowedSignature, Fault::ReceiptSignature)
            .await
    });
}

#[test]
fn the_receipt_for_another_envelope_does_not_count() {
    World::run(async |world| {
        // Until the liar has given a true one.
        until("the liar's first receipt", Duration::from_secs(10), async || {
            let report = world.send().await;
            let member = world.anna.network().nodes().index_of(&world.liar.node()).unwrap();
            let issuers = &report.devices[0].receipt.issuers;
            issuers.iter().any(|issuer| issuer.member == member).then_some(())
        })
        .await
        .unwrap();
        world.write_against(Lie::OldReceipt, Fault::ReceiptForAnother).await;
    });
}

#[test]
fn what_one_node_promised_and_did_not_keep_is_read_from_the_others() {
    World::run(async |world| {
        world.liar.tell(Some(Lie::EmptyPromise));
        world.send_some(5).await;
        assert!(world.liar.told() > 0);
        world.read().await;
        world.nobody(&world.anna);
        world.nobody(&world.bert);
    });
}

// To all.

#[test]
fn a_node_that_never_answers_holds_nobody_up() {
    World::run(async |world| {
        world.liar.tell(Some(Lie::Silence));
        let began = Instant::now();
        world.send_some(2).await;
        world.read().await;
        let network = world.stranger().await;
        for _ in 0..4 {
            network
                .lookup(&world.anna.identity(), Duration::from_secs(30))
                .await
                .unwrap();
        }
        assert!(world.liar.told() > 0);
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
        world.nobody(&world.anna);
        world.nobody(&world.bert);
    });
}

#[test]
fn an_answer_that_is_none_is_refused() {
    shows_to_who_reads(1, Lie::Garbage, Fault::Undecodable);
}

#[test]
fn the_answer_to_another_question_is_refused() {
    shows_to_who_reads(1, Lie::OtherAnswer, Fault::WrongAnswer);
}

// About the ledger.

#[test]
fn an_old_absence_is_not_believed_once_the_identity_is_there() {
    World::run(async |world| {
        let folder = TempDir::with_prefix("tokenim-person-").unwrap();
        let layout = &world.network.layout;
        let (carl, _) = Client::create(folder.path(), layout.network.clone(), b"secret", Argon2Cost::MINIMUM).unwrap();
        let absent = world
            .through_liar(&Request::Lookup {
                identity: carl.identity(),
            })
            .await;
        let absent = absent.into_lookup().unwrap();
        assert!(absent.value.is_none());
        let since = absent.finality.subject().unwrap().time;
        carl.register().await.unwrap();
        // An absence counts for a few seconds: wait these out.
        let fresh = world.stranger().await;
        until("the proof of absence is old", Duration::from_secs(15), async || {
            let found = fresh
                .lookup(&world.anna.identity(), Duration::from_secs(30))
                .await
                .ok()?;
            (found.time.get() > since.get() + tokenim_client::step::ABSENCE_AGE_MS_MAX).then_some(())
        })
        .await
        .unwrap();
        let network = world.look_up_against(Lie::OldLookup, &carl.identity()).await;
        // It was true once: that convicts nobody.
        assert_eq!(network.take_caught(), []);
        carl.close().await;
    });
}

#[test]
fn an_identity_denied_is_found_all_the_same() {
    World::run(async |world| {
        let network = world.look_up_against(Lie::DeniedIdentity, &world.bert.identity()).await;
        caught_with_proofs(&network, &world.liar);
    });
}

/// Asks for a history until the liar was asked, each time with the right answer.
async fn histories_against(world: &World, lie: Lie) {
    let network = world.stranger().await;
    world.liar.tell(Some(lie));
    let before = world.liar.told();
    for _ in 0..8 {
        let history = network.history(&world.bert.identity()).await.unwrap();
        assert_eq!(history.entries().len(), 1);
    }
    assert!(world.liar.told() > before, "each node is asked first in its turn");
    caught_with_proofs(&network, &world.liar);
}

#[test]
fn a_history_without_its_last_record_is_refused() {
    World::run(async |world| histories_against(world, Lie::ShortHistory).await);
}

#[test]
fn a_history_with_other_times_is_refused() {
    World::run(async |world| histories_against(world, Lie::ForeignTimes).await);
}

/// Stores a commit on all nodes, in a mailbox of its own, and makes a child of it.
async fn child_of(world: &World, start: &GroupStart, key: &EpochSigningKey, number: u8) -> GroupUpdate {
    let layout = &world.network.layout;
    let caller = Caller::new(layout.id, [8; 32]).unwrap();
    let mut rng = <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(5);
    let secrets = DeviceSecrets::generate(&mut rng);
    let bert = world.bert.state().await.unwrap();
    let to = Recipient::new(bert.id, &bert.active_devices().next().unwrap().keys);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let expiry = UnixSeconds::new(now + 30 * 24 * 3_600);
    let sender = Sender {
        identity: bert.id,
        device: secrets.device_id(),
        key: &secrets.signing,
    };
    let (id, content) = (MessageId::from_bytes([6; 16]), Content::text("a commit"));
    let sealed = seal(&layout.id, &sender, &to, id, expiry, None, &content, &mut rng).unwrap();
    let descriptor = Descriptor {
        write: WritePolicy::Open,
        read: secrets.inbox.verifying_key(),
        nonce: *start.nonce.first_chunk().unwrap(),
    };
    let hour = Postage::hour_at(UnixSeconds::new(now));
    let mut search = find_postage(&descriptor.tag(), &sealed.id(), hour, PostageBits::DEFAULT, 0);
    let postage = search.step(u32::MAX).unwrap();
    let mut receipts = Vec::new();
    for node in &layout.nodes {
        let put = Put {
            descriptor,
            request: WriteRequest {
                node: node.key,
                tag: descriptor.tag(),
                envelope: sealed.id(),
                envelope_expiry: expiry,
                expiry: UnixSeconds::new(now + 60),
                nonce: [3; 16],
            },
            authority: WriteAuthority::Postage(postage),
            envelope: BoundedBytes::try_from(sealed.as_bytes()).unwrap(),
        };
        let (address, request) = (node.listen.to_string(), Request::Put(Box::new(put)));
        let answer = caller.ask(&node.key, &address, &request, Duration::from_secs(5)).await;
        receipts.push(answer.unwrap().into_put().unwrap());
    }
    let receipt = QuorumReceipt::assemble(&layout.network.node_set().unwrap(), &receipts).unwrap();
    let child = GroupChild {
        handle: start.handle(),
        parent: start.handle().root(),
        commitment: [number; 32].into(),
        next: EpochSigningKey::generate(&mut rng).verifying_key(),
        author: AuthorBox::try_from([5; 96].as_slice()).unwrap(),
        tag: descriptor.tag(),
        envelopes: sealed.id().into(),
    };
    let signed = SignedGroupChild::sign(&layout.id, key, child, vec![receipt]).unwrap();
    GroupUpdate::Child(Box::new(signed))
}

#[test]
fn children_that_one_node_hides_or_invents_are_not_believed() {
    World::run(async |world| {
        let key = EpochSigningKey::from_seed([11; 32]);
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&world.anna.identity().as_bytes()[..8]);
        let start = GroupStart {
            nonce,
            key: key.verifying_key(),
        };
        let (handle, root) = (start.handle(), start.handle().root());
        let network = world.anna.network();
        network.submit_group(GroupUpdate::Start(start)).await.unwrap();
        // What is there already is no error, however often it is said.
        network.submit_group(GroupUpdate::Start(start)).await.unwrap();
        let empty = Request::GroupNode {
            handle,
            entry: root,
            after: 0,
            wait_ms: 0,
        };
        let empty = world.through_liar(&empty).await.into_group_node().unwrap();
        assert!(empty.value.is_some());

        let child = child_of(world, &start, &key, 1).await;
        let waiting = network.group_node(&handle, &root, 0, Duration::from_secs(20));
        let (found, added) = tokio::join!(waiting, network.submit_group(child.clone()));
        added.unwrap();
        let node = found.unwrap().value.unwrap();
        assert_eq!(node.children[0].child.id().unwrap(), child.entry().unwrap());
        let outsider = child_of(world, &start, &EpochSigningKey::from_seed([12; 32]), 2).await;
        let refused = network.submit_group(outsider).await.unwrap_err();
        assert!(matches!(refused, ClientError::Refused { .. }), "{refused}");

        for (lie, after) in [(Lie::HiddenChildren, 0), (Lie::InventedChildren, 1)] {
            world.liar.tell(Some(lie));
            let (network, before) = (world.stranger().await, world.liar.told());
            for wait in [Duration::ZERO, Duration::from_secs(1)].repeat(4) {
                let found = network.group_node(&handle, &root, after, wait).await.unwrap();
                assert_eq!(found.value.as_ref(), Some(&node));
            }
            assert!(world.liar.told() > before, "each node is asked in its turn");
            match lie {
                // It was true once: that convicts nobody.
                Lie::HiddenChildren => assert_eq!(network.take_caught(), []),
                _ => caught_with_proofs(&network, &world.liar),
            }
        }
    });
}

#[test]
fn contact_keys_that_one_node_hides_are_used_all_the_same() {
    World::run(async |world| {
        world.bert.rotate_contact_key().await.unwrap();
        world.liar.tell(Some(Lie::HiddenContactKeys));
        let report = world.send().await;
        assert_eq!(report.devices[0].contact_key, Some(1));
        world.liar.tell(None);
        world.read().await;
    });
}

#[test]
fn a_sender_who_saw_another_block_is_told_of() {
    World::run(async |world| {
        let layout = &world.network.layout;
        // Carl is made by hand, so that he can claim to have seen what he wants.
        let mut rng = <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(3);
        let phrase = Phrase::from_entropy(&[3; 32]);
        let secrets = DeviceSecrets::generate(&mut rng);
        let key = EnvelopeSecretKey::from_seed(Suite::default(), &secrets.envelope_seed);
        let state = IdentityState::new(&phrase.genesis());
        let root = phrase.root_key(0);
        let record = SignedRecord::add_device(&layout.id, &state, &root, &secrets, key.public().clone()).unwrap();
        let update = IdentityUpdate {
            genesis: Some(phrase.genesis()),
            record,
        };
        let caller = Caller::new(layout.id, [7; 32]).unwrap();
        let ask = async |node: usize, request: Request| {
            let folder = &layout.nodes[node];
            let address = folder.listen.to_string();
            caller
                .ask(&folder.key, &address, &request, Duration::from_secs(5))
                .await
                .unwrap()
        };
        ask(0, Request::SubmitIdentity(Box::new(update)))
            .await
            .into_submitted()
            .unwrap();
        until("Carl is on the ledger", Duration::from_secs(10), || async {
            world.bert.lookup(&state.id, Duration::from_secs(30)).await.ok()
        })
        .await
        .unwrap();

        let bert = world.bert.state().await.unwrap();
        let keys = &bert.active_devices().next().unwrap().keys;
        let seen = Checkpoint {
            height: world.bert.network().tip().unwrap().height,
            header: Digest::from_bytes([1; 32]),
        };
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let expiry = UnixSeconds::new(now + 3_600);
        let sender = Sender {
            identity: state.id,
            device: secrets.device_id(),
            key: &secrets.signing,
        };
        let to = Recipient::new(bert.id, keys);
        let content = Content::text("hello");
        let id = MessageId::from_bytes([3; 16]);
        let sealed = seal(&layout.id, &sender, &to, id, expiry, Some(seen), &content, &mut rng).unwrap();
        let descriptor = Descriptor::inbox(keys);
        let hour = Postage::hour_at(UnixSeconds::new(now));
        let mut search = find_postage(&descriptor.tag(), &sealed.id(), hour, PostageBits::DEFAULT, 0);
        let postage = search.step(u32::MAX).unwrap();
        for node in 0..layout.nodes.len() {
            let put = Put {
                descriptor,
                request: WriteRequest {
                    node: layout.nodes[node].key,
                    tag: descriptor.tag(),
                    envelope: sealed.id(),
                    envelope_expiry: expiry,
                    expiry: UnixSeconds::new(now + 60),
                    nonce: [3; 16],
                },
                authority: WriteAuthority::Postage(postage),
                envelope: BoundedBytes::try_from(sealed.as_bytes()).unwrap(),
            };
            ask(node, Request::Put(Box::new(put))).await.into_put().unwrap();
        }
        assert_eq!(world.bert.receive().await.unwrap().received.len(), 1);
        let notice = until("Bert is told", Duration::from_secs(10), || async {
            world.bert.untold().unwrap().pop()
        })
        .await
        .unwrap();
        assert_eq!(notice.1.identity, state.id);
        assert!(matches!(
            notice.1.change,
            KeyChange::OtherView { height, theirs, .. } if height == seen.height && theirs == seen.header
        ));
    });
}

#[test]
fn a_block_that_never_was_proves_nothing() {
    World::run(async |world| {
        let network = world.look_up_against(Lie::ForgedFinality, &world.bert.identity()).await;
        caught_with_proofs(&network, &world.liar);
        let reports = network.status().await;
        let liar = reports.iter().find(|report| report.node == world.liar.node()).unwrap();
        assert_eq!(liar.proved, None);
        caught_with_proofs(&network, &world.liar);
    });
}

#[test]
fn a_block_of_another_network_proves_nothing() {
    World::run(async |world| {
        let network = world
            .look_up_against(Lie::ForeignFinality, &world.bert.identity())
            .await;
        caught_with_proofs(&network, &world.liar);
        let reports = network.status().await;
        let liar = reports.iter().find(|report| report.node == world.liar.node()).unwrap();
        assert_eq!(liar.proved, None);
    });
}

#[test]
fn an_old_block_proves_only_its_own_height() {
    World::run(async |world| {
        world.liar.tell(Some(Lie::OldFinality));
        let reports = world.stranger().await.status().await;
        assert!(world.liar.told() > 0);
        for report in reports {
            let proved = report.proved.unwrap().get();
            if report.node == world.liar.node() {
                assert_eq!(proved, 1);
            } else {
                assert!(proved > 1);
            }
        }
    });
}

#[test]
fn the_proof_of_another_acceptance_is_refused() {
    World::run(async |world| {
        let report = world.send().await;
        let of = AcceptanceOf::Receipt(Box::new(report.devices[0].receipt.clone()));
        let first = Request::Acceptance { of, wait_ms: 10_000 };
        world.through_liar(&first).await.into_acceptance().unwrap();
        world.liar.tell(Some(Lie::OtherAcceptance));
        // Each time another node is asked first.
        for _ in 0..4 {
            let report = world.send().await;
            let proofs = world
                .anna
                .proofs(&report.message, Duration::from_secs(20))
                .await
                .unwrap();
            assert_eq!(proofs[0].receipt.envelope, report.devices[0].envelope);
            let light = world.anna.network().light_client();
            let accepted = light.verify_acceptance(&proofs[0]).unwrap();
            assert_eq!(accepted.envelope, report.devices[0].envelope);
        }
        assert!(world.liar.told() > 0);
        world.named(&world.anna, &Fault::ProofForAnother);
    });
}

#[test]
fn records_and_receipts_that_one_node_swallows_get_to_the_ledger() {
    World::run(async |world| {
        world.liar.tell(Some(Lie::Swallowed));
        let (_folder, carl) = world.carl().await;
        carl.register().await.unwrap();
        assert!(world.liar.told() > 0, "it is the first to be handed a record");
        let report = world.send().await;
        world
            .anna
            .proofs(&report.message, Duration::from_secs(20))
            .await
            .unwrap();
        world.read().await;
        carl.close().await;
    });
}

#[test]
fn a_rejection_that_one_node_claims_is_not_believed() {
    World::run(async |world| {
        world.liar.tell(Some(Lie::FalseRejection));
        let (_folder, carl) = world.carl().await;
        let registered: Result<_, ClientError> = carl.register().await;
        assert!(registered.unwrap().state.is_some());
        carl.close().await;
    });
}
