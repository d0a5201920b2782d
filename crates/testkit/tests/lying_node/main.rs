//! A client among three honest nodes and one that lies: every lie is refused or outvoted, the liar is named where a lie
//! can be seen, no honest node is accused, nothing is lost, nothing comes twice.
//!
//! All four are real nodes on loopback QUIC in this process, shared by the tests that run at the same time. The liar
//! stands in front of one of them with that node's key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod histories;
mod strangers;
mod submissions;
mod transparency;
mod world;

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenim_client::step::Fault;
use tokenim_client::{Argon2Cost, Client, ClientError, Content};
use tokenim_envelope::{MessageId, Recipient, Sender, seal};
use tokenim_identity::{DeviceSecrets, EpochSigningKey};
use tokenim_mailbox::group::{AuthorBox, GroupChild, GroupStart, GroupUpdate, SignedGroupChild};
use tokenim_mailbox::{Descriptor, QuorumReceipt, WritePolicy};
use tokenim_rpc::{AcceptanceOf, Request};
use tokenim_testkit::{Lie, until};

use world::{World, caught_with_proofs, now, put_everywhere, usual_postage};

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
fn an_absence_that_was_true_a_moment_ago_is_not_believed() {
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
        carl.register().await.unwrap();
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
    let mut rng = <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(5);
    let secrets = DeviceSecrets::generate(&mut rng);
    let bert = world.bert.state().await.unwrap();
    let to = Recipient::new(bert.id, &bert.active_devices().next().unwrap().keys);
    let expiry = now().saturating_add(30 * 24 * 3_600);
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
    let postage = usual_postage(&descriptor, &sealed);
    let receipts = put_everywhere(&world.network, descriptor, &sealed, postage).await;
    let receipts: Vec<_> = receipts.into_iter().map(Result::unwrap).collect();
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
            // Two are asked at a time, and where the other one is faster, the liar is not waited for.
            for round in 0..200 {
                let wait = [Duration::ZERO, Duration::from_secs(1)][round % 2];
                let found = network.group_node(&handle, &root, after, wait).await.unwrap();
                assert_eq!(found.value.as_ref(), Some(&node));
                if round >= 8 && world.liar.told() > before + 1 {
                    break;
                }
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
