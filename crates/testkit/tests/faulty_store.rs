//! Stores that refuse to write: nothing half done, nothing promised, and everything goes on once there is room again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../ledger/tests/common/mod.rs"]
mod common;

use common::{At, Net, STARTED, net, node_key, person};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokenim_client::{Argon2Cost, Client, ClientError, Content};
use tokenim_consensus::Block;
use tokenim_envelope::hpke::Suite;
use tokenim_envelope::{ContentKind, EnvelopeSecretKey, MessageId, Recipient, Sender, seal};
use tokenim_execution::{ExecutionError, Executor};
use tokenim_identity::{DeviceSecrets, IdentityId};
use tokenim_ledger::{Body, StateKey, Transaction, VerifiedTransaction};
use tokenim_mailbox::{
    Descriptor, Incarnation, MailboxTag, Postage, PostageBits, WriteAuthority, WriteRequest, find_postage,
};
use tokenim_rpc::{AnswerError, Blame, ErrorCode, Put, Request};
use tokenim_storage::memory::{MemoryMailboxStore, MemoryStateStore};
use tokenim_storage::{MailboxStore as _, StoreError};
use tokenim_testkit::{Caller, Faults, FaultyStore, LocalNetwork, until};
use tokenim_wire::limits::{READ_BYTES_MAX, READ_ITEMS_MAX};
use tokenim_wire::{BoundedBytes, EnvelopeId, Epoch, Height, SetEpoch, UnixSeconds};

type Store = FaultyStore<Arc<MemoryStateStore>>;

/// The transaction that registers person `number`.
fn registration(net: &Net, number: u64) -> (IdentityId, VerifiedTransaction) {
    let mut person = person(number);
    let update = person.add_device(&net.id, number, At::height(1));
    let transaction =
        Transaction::sponsored(&net.id, &node_key(0), Body::from(update), Height::new(100), number).unwrap();
    (person.genesis.id(), transaction.verify(&net.id).unwrap())
}

/// The next block of an executor, with person `number` in it.
fn next_block<S: tokenim_storage::StateStore>(net: &Net, executor: &Executor<S>, number: u64) -> Block {
    let parent = executor.block(executor.committed().0).unwrap().unwrap();
    let time = STARTED.saturating_add(1_000 * number);
    let (_, transaction) = registration(net, number);
    let proposal = executor.propose(&parent, Epoch::ZERO, time, vec![transaction]).unwrap();
    assert_eq!(proposal.included.len(), 1);
    proposal.block
}

/// What is in the store, as far as the ledger shows it.
fn shown(executor: &Executor<Store>, people: &[IdentityId]) -> (Height, Vec<Option<Vec<u8>>>) {
    let reader = executor.reader();
    let values = people
        .iter()
        .map(|id| reader.value(&StateKey::identity(id)).unwrap())
        .collect();
    (reader.height().unwrap(), values)
}

#[test]
fn a_refused_commit_changes_nothing_and_succeeds_once_there_is_room() {
    let net = net(4, 4);
    let people: Vec<IdentityId> = (1..=6).map(|number| registration(&net, number).0).collect();
    let faults = Faults::none();
    let kept = Arc::new(MemoryStateStore::new());
    let executor = Executor::open(FaultyStore::new(kept.clone(), faults.clone()), &net.config).unwrap();
    let sound = Executor::open(MemoryStateStore::new(), &net.config).unwrap();

    for number in 1..=6 {
        let block = next_block(&net, &sound, number);
        let certificate = net.certificate(&block.header);
        sound.commit(&block, Some(&certificate)).unwrap();

        executor.execute(&block).unwrap();
        let before = (executor.committed(), shown(&executor, &people));
        faults.full_after(0);
        for attempt in 1..=3 {
            let refused = executor.commit(&block, Some(&certificate)).unwrap_err();
            assert_eq!(refused, ExecutionError::Store(StoreError::Full), "attempt {attempt}");
            assert_eq!((executor.committed(), shown(&executor, &people)), before);
            assert!(executor.finality_proof(block.header.height).unwrap().is_none());
        }
        // Whoever opens the store now sees the same.
        let reopened = Executor::open(FaultyStore::new(kept.clone(), Faults::none()), &net.config).unwrap();
        assert_eq!((reopened.committed(), shown(&reopened, &people)), before);
        faults.heal();

        let committed = executor.commit(&block, Some(&certificate)).unwrap();
        assert!(committed.fresh);
        assert_eq!(executor.committed(), sound.committed());
        assert_eq!(executor.tip().state_root, sound.tip().state_root);
        assert_eq!(
            executor.lookup(&StateKey::identity(&people[0])).unwrap(),
            sound.lookup(&StateKey::identity(&people[0])).unwrap()
        );
    }
    assert_eq!(faults.refused(), 18);
}

#[test]
fn a_refused_certificate_changes_nothing_and_is_taken_once_there_is_room() {
    let net = net(4, 4);
    let faults = Faults::none();
    let executor = Executor::open(FaultyStore::new(MemoryStateStore::new(), faults.clone()), &net.config).unwrap();
    let block = next_block(&net, &executor, 1);
    let certificate = net.certificate(&block.header);
    executor.commit(&block, None).unwrap();
    faults.full_after(0);
    let refused = executor.put_certificate(block.header.height, &certificate).unwrap_err();
    assert_eq!(refused, ExecutionError::Store(StoreError::Full));
    assert!(executor.finality_proof(block.header.height).unwrap().is_none());
    faults.heal();
    executor.put_certificate(block.header.height, &certificate).unwrap();
    assert!(executor.finality_proof(block.header.height).unwrap().is_some());
}

#[test]
fn a_ledger_that_could_not_be_begun_begins_once_there_is_room() {
    let net = net(4, 4);
    let faults = Faults::none();
    let kept = Arc::new(MemoryStateStore::new());
    faults.full_after(0);
    let opened = Executor::open(FaultyStore::new(kept.clone(), faults.clone()), &net.config);
    assert_eq!(opened.unwrap_err(), ExecutionError::Store(StoreError::Full));
    faults.heal();
    let executor = Executor::open(FaultyStore::new(kept, faults), &net.config).unwrap();
    assert_eq!(executor.committed().0, Height::ZERO);
    executor.commit(&next_block(&net, &executor, 1), None).unwrap();
}

#[tokio::test]
async fn a_refused_put_leaves_no_trace_in_the_log() {
    let faults = Faults::none();
    let store = FaultyStore::new(MemoryMailboxStore::new(), faults.clone());
    let tag = MailboxTag::from_bytes([1; 32]);
    let put = |number: u8| {
        let bytes = vec![number; 100];
        tokenim_storage::Put {
            tag,
            envelope: EnvelopeId::of(&bytes),
            expiry: UnixSeconds::new(2_000_000_000),
            bytes,
            set_epoch: SetEpoch::ZERO,
            incarnation: Incarnation::new(1),
            height: Height::new(1),
        }
    };
    let first = store.put(put(1)).await.unwrap();
    faults.full_after(0);
    assert_eq!(store.put(put(2)).await.unwrap_err(), StoreError::Full);
    assert_eq!(
        store.expire(UnixSeconds::new(3_000_000_000), 10).await.unwrap_err(),
        StoreError::Full
    );
    let page = store
        .read(&tag, 0, READ_ITEMS_MAX, READ_BYTES_MAX, Height::new(2))
        .await
        .unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.head.unwrap().root, first.root);
    faults.full_after(1);
    let second = store.put(put(2)).await.unwrap();
    assert_eq!((second.entry.index, second.size), (1, 2));
    assert_eq!(store.put(put(3)).await.unwrap_err(), StoreError::Full);
    faults.heal();
    assert_eq!(store.put(put(3)).await.unwrap().entry.index, 2);
}

mod without_faults {
    use super::*;

    #[test]
    fn it_is_a_state_store() {
        tokenim_storage::test_suite::state_store(|| FaultyStore::new(MemoryStateStore::new(), Faults::none()));
    }
}

/// A put of a fresh envelope into Bert's inbox, for a node.
fn put_request(network: &LocalNetwork, node: usize, bert: &DeviceSecrets, salt: u64) -> Request {
    let mut rng = <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(salt);
    let layout = &network.layout;
    let anna = DeviceSecrets::generate(&mut rng);
    let secret = EnvelopeSecretKey::from_seed(Suite::default(), &bert.envelope_seed);
    let keys = bert.keys(secret.public().clone());
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let expiry = UnixSeconds::new(now + 3_600);
    let sender = Sender {
        identity: IdentityId::from_bytes([1; 32]),
        device: anna.device_id(),
        key: &anna.signing,
    };
    let content = tokenim_envelope::Content {
        kind: ContentKind::new(1),
        body: b"hello".to_vec(),
    };
    let id = MessageId::generate(&mut rng);
    let recipient = Recipient::new(IdentityId::from_bytes([2; 32]), &keys);
    let sealed = seal(&layout.id, &sender, &recipient, id, expiry, None, &content, &mut rng).unwrap();
    let descriptor = Descriptor::inbox(&keys);
    let hour = Postage::hour_at(UnixSeconds::new(now));
    let mut search = find_postage(&descriptor.tag(), &sealed.id(), hour, PostageBits::DEFAULT, 0);
    let postage = std::iter::repeat_with(|| search.step(10_000))
        .find_map(|found| found)
        .unwrap();
    Request::Put(Box::new(Put {
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
        envelope: BoundedBytes::try_from(sealed.into_bytes()).unwrap(),
    }))
}

#[test]
fn a_full_node_gives_no_receipt_and_the_message_is_delivered_once_there_is_room() {
    // Two of four have no room: one short of a quorum.
    let full = [1, 2];
    let network = LocalNetwork::start(4, 5, |number, config| {
        if full.contains(&number) {
            config.storage.bytes_max = 0;
        }
    })
    .unwrap();
    let folders = [(); 2].map(|()| TempDir::with_prefix("tokenim-person-").unwrap());
    let [anna, bert] = network.block_on(async {
        let people = [0, 1].map(|number: usize| {
            let config = network.layout.network.clone();
            Client::create(folders[number].path(), config, b"secret", Argon2Cost::MINIMUM)
                .unwrap()
                .0
        });
        for person in &people {
            person.register().await.unwrap();
        }
        people
    });

    // What a node says.
    network.block_on(async {
        let caller = Caller::new(network.layout.id, [8; 32]).unwrap();
        let mut rng = <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(1);
        let inbox = DeviceSecrets::generate(&mut rng);
        for node in full {
            let folder = &network.layout.nodes[node];
            let request = put_request(&network, node, &inbox, 2);
            let answer = caller
                .ask(
                    &folder.key,
                    &folder.listen.to_string(),
                    &request,
                    Duration::from_secs(5),
                )
                .await
                .unwrap();
            let Err(AnswerError::Refused(refusal)) = answer.into_put() else {
                panic!("a receipt from a node without room");
            };
            assert_eq!(refusal.code, ErrorCode::STORAGE_FULL);
            assert_eq!(refusal.code.blame(), Blame::Node);
            assert!(refusal.retry_after_ms > 0, "waiting helps");
        }
    });

    // What a person is told: it is kept here and not accepted.
    let message = network.block_on(async {
        let mut options = tokenim_client::SendOptions::default();
        options.patience = Duration::from_secs(2);
        let refused = anna
            .send_with(&bert.identity(), Content::text("patience"), &options)
            .await;
        let Err(ClientError::NotAccepted {
            message,
            receipts,
            wanted,
            last,
        }) = refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!((receipts, wanted), (2, 3));
        assert!(last.contains("no room"), "{last}");
        assert_eq!(anna.unfinished(10).unwrap().len(), 1);
        message
    });

    // Room is made on one of them.
    network.stop_node(1).unwrap();
    network.start_node(1, |_| {}).unwrap();
    network.ready(1).unwrap();
    network.block_on(async {
        until("the message is accepted", Duration::from_secs(20), async || {
            let done = anna.maintain(Duration::from_secs(5)).await.unwrap();
            (done.unaccepted == 0).then_some(())
        })
        .await
        .unwrap();
        assert!(anna.outgoing(&message).unwrap().unwrap().is_accepted());
        let reading = bert.receive().await.unwrap();
        assert_eq!(reading.received.len(), 1);
        assert_eq!(reading.received[0].message.body.as_slice(), b"patience");
        assert!(bert.receive().await.unwrap().received.is_empty());
        assert_eq!((anna.notes().unwrap(), bert.notes().unwrap()), (vec![], vec![]));
        anna.close().await;
        bert.close().await;
    });
}
