//! What liars do about the keys of others: old states, old and foreign contact keys, other views of the ledger.

use std::time::Duration;

use tokenim_client::chat::{Chat, Content as Said, ConversationId};
use tokenim_client::step::Tip;
use tokenim_client::step::contact::{KeyChange, Relation};
use tokenim_client::{Client, ClientError, Content, IdentityId};
use tokenim_envelope::{Checkpoint, Suite};
use tokenim_mailbox::{Descriptor, Postage, PostageBits, check_postage, find_postage};
use tokenim_rpc::Request;
use tokenim_testkit::{Lie, until};
use tokenim_wire::{Digest, Object as _};

use crate::world::{ByHand, World, now, put_everywhere};

/// Has the liar see, and remember, what the ledger says of an identity now.
async fn remembered(world: &World, identity: IdentityId) -> u64 {
    let lookup = world.through_liar(&Request::Lookup { identity }).await;
    let proof = lookup.into_lookup().unwrap();
    assert!(proof.value.is_some());
    proof.finality.subject().unwrap().time.get()
}

/// Connects a client with each node: who must connect first is not waited for where others are enough.
async fn connected(client: &Client) {
    let reports = client.network().status().await;
    assert!(reports.iter().all(|report| report.status.is_ok()), "{reports:?}");
}

/// Waits until the liar has told a lie more than before.
async fn told(world: &World, before: u64) {
    until("the liar is asked", Duration::from_secs(10), || async {
        (world.liar.told() > before).then_some(())
    })
    .await
    .unwrap();
}

fn of(client: &Client, identity: IdentityId) -> Vec<KeyChange> {
    let untold = client.untold().unwrap().into_iter();
    untold
        .filter(|(_, notice)| notice.identity == identity)
        .map(|(_, notice)| notice.change)
        .collect()
}

#[test]
fn an_old_state_is_not_believed_once_a_device_was_added_or_revoked() {
    World::run(async |world| {
        let mut carl = ByHand::new(world, 4).await;
        let (id, first) = (carl.state.id, carl.devices[0].device_id());
        let since = remembered(world, id).await;
        carl.add_device(Suite::XWing).await;
        carl.revoke_device(first).await;
        // Who has seen the newer state does not go back, however recent the older one is.
        carl.is_seen_by(&world.anna).await;
        world.liar.tell(Some(Lie::OldLookup));
        let before = world.liar.told();
        for _ in 0..8 {
            let state = world.anna.refresh(&id, Duration::from_secs(600)).await.unwrap();
            assert_eq!(state, carl.state);
        }
        assert!(world.liar.told() > before, "each node is asked first in its turn");
        // Who has seen none says how old it may be.
        let max_age = Duration::from_secs(5);
        let fresh = world.stranger().await;
        until("the old state is old", Duration::from_secs(30), async || {
            let found = fresh.lookup(&world.anna.identity(), max_age).await.ok()?;
            (found.time.get() > since + 5_000).then_some(())
        })
        .await
        .unwrap();
        let (stranger, before) = (world.stranger().await, world.liar.told());
        for _ in 0..8 {
            let found = stranger.lookup(&id, max_age).await.unwrap();
            assert_eq!(found.state.as_ref(), Some(&carl.state));
        }
        assert!(world.liar.told() > before, "each node is asked first in its turn");
        // It was true once: that convicts nobody.
        assert_eq!(stranger.take_caught(), []);
        assert_eq!(world.anna.network().take_caught(), []);
    });
}

#[test]
fn a_device_of_a_contact_that_one_node_hides_is_told_of_once() {
    World::run(async |world| {
        let mut carl = ByHand::new(world, 5).await;
        let id = carl.state.id;
        world.anna.set_relation(&id, Relation::Allowed).await.unwrap();
        carl.is_seen_by(&world.anna).await;
        remembered(world, id).await;
        let device = carl.add_device(Suite::XWing).await;
        world.liar.tell(Some(Lie::OldLookup));
        let before = world.liar.told();
        until("Anna is told", Duration::from_secs(40), || async {
            world.anna.monitor(Duration::ZERO).await.unwrap();
            (!of(&world.anna, id).is_empty()).then_some(())
        })
        .await
        .unwrap();
        for _ in 0..8 {
            world.anna.monitor(Duration::ZERO).await.unwrap();
        }
        assert!(world.liar.told() > before, "each node is asked first in its turn");
        let notices = of(&world.anna, id);
        assert!(
            matches!(notices[..], [KeyChange::DeviceAdded { device: added, .. }] if added == device),
            "{notices:?}"
        );
        assert_eq!(world.anna.network().take_caught(), []);
    });
}

#[test]
fn contact_keys_that_one_node_hides_are_used_all_the_same() {
    World::run(async |world| {
        world.bert.rotate_contact_key().await.unwrap();
        connected(&world.anna).await;
        world.liar.tell(Some(Lie::HiddenContactKeys));
        let before = world.liar.told();
        let report = world.send().await;
        assert_eq!(report.devices[0].contact_key, Some(1));
        told(world, before).await;
        world.liar.tell(None);
        world.read().await;
    });
}

#[test]
fn contact_keys_of_one_node_that_are_old_or_anothers_are_not_used() {
    World::run(async |world| {
        for client in [&world.anna, &world.bert] {
            client.rotate_contact_key().await.unwrap();
            let state = client.state().await.unwrap();
            let tag = Descriptor::inbox(&state.active_devices().next().unwrap().keys).tag();
            let fetched = world.through_liar(&Request::FetchContact { tag, suite: None }).await;
            assert_eq!(fetched.into_fetched_contact().unwrap().unwrap().keys.keys.number, 1);
        }
        world.bert.set_postage(PostageBits::new(14).unwrap()).await.unwrap();
        // Each of them asks for the first time.
        for lie in [Lie::OldContactKeys, Lie::OtherContactKeys] {
            let (_folder, carl) = world.carl().await;
            carl.register().await.unwrap();
            connected(&carl).await;
            world.liar.tell(Some(lie));
            let before = world.liar.told();
            let report = carl.send(&world.bert.identity(), Content::text("hello")).await.unwrap();
            assert_eq!(report.devices[0].contact_key, Some(2), "{lie:?}");
            told(world, before).await;
            world.liar.tell(None);
            carl.close().await;
        }
        assert_eq!(world.bert.receive().await.unwrap().received.len(), 2);
    });
}

#[test]
fn an_inbox_takes_no_less_postage_than_its_owner_asks_for() {
    World::run(async |world| {
        let mut carl = ByHand::new(world, 6).await;
        let bits = PostageBits::new(18).unwrap();
        world.bert.set_postage(bits).await.unwrap();
        assert_eq!(world.bert.postage().unwrap(), bits);
        assert!(world.bert.is_published().unwrap());

        let (inbox, sealed) = carl.seal(&world.bert, 1, None).await;
        let (tag, hour) = (inbox.tag(), Postage::hour_at(now()));
        // Worth the usual, and by chance no more.
        let postage = (0_u64..)
            .map(|start| {
                let mut search = find_postage(&tag, &sealed.id(), hour, PostageBits::DEFAULT, start << 32);
                search.step(u32::MAX).unwrap()
            })
            .find(|postage| check_postage(&tag, &sealed.id(), postage, bits, now()).is_err())
            .unwrap();
        let answers = put_everywhere(&world.network, inbox, &sealed, postage).await;
        // Those that have taken the contact key: a write quorum.
        assert!(
            answers.iter().filter(|answer| answer.is_err()).count() >= 3,
            "{answers:?}"
        );

        // Who asks before, knows.
        let report = world.send().await;
        let kept = world.anna.outgoing(&report.message).unwrap().unwrap();
        assert_eq!(kept.devices.iter().next().unwrap().postage, bits);
        world.read().await;
    });
}

#[test]
fn nothing_is_sealed_to_a_device_that_was_added_with_a_weaker_suite() {
    World::run(async |world| {
        let mut carl = ByHand::new(world, 7).await;
        let (anna, id) = (&world.anna, carl.state.id);
        anna.send(&id, Content::text("one")).await.unwrap();
        let weak = carl.add_device(Suite::X25519).await;
        carl.is_seen_by(anna).await;
        let refused = anna.send(&id, Content::text("two")).await.unwrap_err();
        assert!(
            matches!(refused, ClientError::SuiteLowered { identity, device } if identity == id && device == weak),
            "{refused}"
        );
        // Also if it is the only one left.
        carl.revoke_device(carl.devices[0].device_id()).await;
        carl.is_seen_by(anna).await;
        let refused = anna.send(&id, Content::text("three")).await.unwrap_err();
        assert!(matches!(refused, ClientError::SuiteLowered { .. }), "{refused}");
        // What was refused was not kept.
        let kept = anna.unfinished(10).unwrap();
        assert!(kept.iter().all(tokenim_client::step::OutboxMessage::is_accepted));

        let strong = carl.add_device(Suite::XWing).await;
        carl.revoke_device(weak).await;
        carl.is_seen_by(anna).await;
        let report = anna.send(&id, Content::text("four")).await.unwrap();
        assert_eq!(report.devices.len(), 1);
        assert_eq!(report.devices[0].device, strong);
    });
}

#[test]
fn a_sender_who_saw_another_block_is_told_of() {
    World::run(async |world| {
        let mut carl = ByHand::new(world, 3).await;
        let seen = Checkpoint {
            height: world.bert.network().tip().unwrap().height,
            header: Digest::from_bytes([1; 32]),
        };
        carl.send(world, &world.bert, 3, Some(seen)).await;
        assert_eq!(world.bert.receive().await.unwrap().received.len(), 1);
        until("Bert is told", Duration::from_secs(10), || async {
            (!of(&world.bert, carl.state.id).is_empty()).then_some(())
        })
        .await
        .unwrap();
        told_of_other_view(&world.bert, carl.state.id, seen);
    });
}

#[test]
fn a_member_of_a_conversation_who_saw_another_block_is_told_of() {
    World::run(async |world| {
        let (anna, bert) = (world.anna.chat().unwrap(), world.bert.chat().unwrap());
        let (work, _work) = (anna.run().unwrap(), bert.run().unwrap());
        for chat in [&anna, &bert] {
            assert!(chat.settle(Duration::from_secs(60)).await);
        }
        let talk = anna.start(world.bert.identity()).await.unwrap();
        say(&anna, &bert, talk, "hello").await;
        say(&bert, &anna, talk, "hello to you").await;
        for chat in [&anna, &bert] {
            assert!(chat.settle(Duration::from_secs(60)).await);
        }
        let letters = world.bert.messages(0, 1_000).unwrap().len();
        drop(work);
        world.anna.close().await;

        // What Anna's device takes for the newest header is of another ledger.
        let known = world.bert.network().tip().unwrap();
        let tip = Tip {
            height: known.height.saturating_add(40),
            header: Digest::from_bytes([1; 32]),
            ..known
        };
        let rows = redb::TableDefinition::<&[u8], &[u8]>::new("meta");
        let store = redb::Builder::new()
            .set_concurrency_mode(redb::ConcurrencyMode::MultiWriter)
            .open(world.folders[0].path().join("client.redb"))
            .unwrap();
        let change = store.begin_write().unwrap();
        let before = change
            .open_table(rows)
            .unwrap()
            .insert(b"tip".as_slice(), tip.to_bytes().unwrap().as_slice())
            .unwrap()
            .is_some();
        assert!(before);
        change.commit().unwrap();
        drop(store);
        let again = Client::open(world.folders[0].path(), Some(b"secret")).unwrap();
        let chat = again.chat().unwrap();
        let work = chat.run().unwrap();
        say(&chat, &bert, talk, "and again").await;
        until("Bert is told", Duration::from_secs(120), || async {
            world.bert.monitor(Duration::ZERO).await.unwrap();
            (!of(&world.bert, again.identity()).is_empty()).then_some(())
        })
        .await
        .unwrap();
        let (height, header) = (tip.height, tip.header);
        told_of_other_view(&world.bert, again.identity(), Checkpoint { height, header });
        // No envelope has told him.
        assert_eq!(world.bert.messages(0, 1_000).unwrap().len(), letters);
        drop(work);
        again.close().await;
    });
}

/// Says something, and waits until it is there.
async fn say(from: &Chat, to: &Chat, talk: ConversationId, text: &str) {
    let said = Said::text(text).unwrap();
    from.send(talk, said.clone()).await.unwrap();
    until("it is there", Duration::from_secs(60), || async {
        let held = to.messages(talk, None, 1_000).ok()?;
        held.iter()
            .any(|message| message.content.as_ref() == Some(&said))
            .then_some(())
    })
    .await
    .unwrap();
}

fn told_of_other_view(client: &Client, sender: IdentityId, seen: Checkpoint) {
    let notices = of(client, sender);
    assert!(
        matches!(
            notices[..],
            [KeyChange::OtherView { height, theirs, ours }]
                if height == seen.height && theirs == seen.header && ours != seen.header
        ),
        "{notices:?}"
    );
}

#[test]
fn a_header_that_nobody_proves_at_first_is_compared_later_also_by_the_next_run() {
    World::run(async |world| {
        let mut carl = ByHand::new(world, 8).await;
        // One that is not there yet, so that no node can prove it.
        let tip = world.bert.network().tip().unwrap();
        let seen = Checkpoint {
            height: tip.height.saturating_add(12),
            header: Digest::from_bytes([1; 32]),
        };
        carl.send(world, &world.bert, 1, Some(seen)).await;
        world.liar.tell(Some(Lie::NoFinality));
        assert_eq!(world.bert.receive().await.unwrap().received.len(), 1);
        world.bert.close().await;
        assert!(of(&world.bert, carl.state.id).is_empty());

        let again = Client::open(world.folders[1].path(), Some(b"secret")).unwrap();
        again
            .network()
            .prefer_address(&world.liar.node(), &world.liar.address())
            .await;
        until("Bert is told", Duration::from_secs(60), || async {
            again.monitor(Duration::ZERO).await.unwrap();
            (!of(&again, carl.state.id).is_empty()).then_some(())
        })
        .await
        .unwrap();
        told_of_other_view(&again, carl.state.id, seen);
        // A node that has no proof yet is no liar that could be named.
        assert_eq!(again.network().take_caught(), []);
        again.close().await;
    });
}
