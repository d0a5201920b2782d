//! What may come from outside and is refused: with a reason, without any change.

use crate::world::{
    World,
    host::checkpoint,
    text,
    villain::{Inside, inside},
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use tokenim_conversation::{
    Body, EpochView,
    content::{Content, ExtensionBody, ExtensionName},
};
use tokenim_envelope::MessageId;
use tokenim_identity::EpochSigningKey;
use tokenim_mailbox::{
    MailboxTag,
    group::{GroupHandle, GroupNode, GroupStart, LedgerPlace},
};
use tokenim_session::step::{
    self, Answer, Batch, Change, ConversationId, Effect, Event, Input, Refusal, StepError, Table, Why, Write,
};
use tokenim_wire::{Height, UnixMillis, UnixSeconds};

/// Two people who talk, and what the second one knows.
fn pair() -> (World, ConversationId, Inside) {
    let mut world = World::new(30, 2, 1);
    let talk = world.start(0, 1);
    world.settle();
    let inside = inside(&world, 1, talk).unwrap();
    (world, talk, inside)
}

#[track_caller]
fn refuses(world: &mut World, at: usize, input: Input) -> Refusal {
    let before = world.devices[at].store.clone();
    match world.step(at, input) {
        Err(StepError::Refused(refusal)) => {
            assert!(world.devices[at].store == before, "something has changed");
            refusal
        }
        other => panic!("{other:?}"),
    }
}

fn envelope(inside: &Inside, bytes: &[u8]) -> Input {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let envelope = inside
        .keys
        .wrap(bytes, UnixSeconds::new(1_900_000_000), &mut rng)
        .unwrap();
    Input::Envelope {
        tag: inside.keys.mailbox().tag(),
        bytes: envelope.into_bytes(),
        height: Height::new(1),
    }
}

fn body(inside: &Inside, epoch: u64, content: Content) -> Body {
    Body {
        id: MessageId::from_bytes([7; 16]),
        view: EpochView::of(&inside.entry, &inside.group.authenticator().unwrap()),
        epoch,
        clock: 1,
        sent: UnixMillis::new(1),
        checkpoint: None,
        content,
    }
}

fn message(inside: &mut Inside, body: &Body) -> Input {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let bytes = inside.group.encrypt(&body.encode().unwrap(), &mut rng).unwrap();
    envelope(inside, &bytes)
}

#[test]
fn an_envelope_of_an_unknown_mailbox_is_refused() {
    let (mut world, ..) = pair();
    let input = Input::Envelope {
        tag: MailboxTag::from_bytes([1; 32]),
        bytes: vec![1; 100],
        height: Height::new(1),
    };
    assert_eq!(refuses(&mut world, 0, input).why, Why::Unknown);
}

#[test]
fn an_envelope_that_no_member_made_is_refused() {
    let (mut world, _, inside) = pair();
    for bytes in [vec![], vec![1; 100], vec![0; 70_000]] {
        let input = Input::Envelope {
            tag: inside.keys.mailbox().tag(),
            bytes,
            height: Height::new(1),
        };
        assert_eq!(refuses(&mut world, 0, input).why, Why::Forged);
    }
}

#[test]
fn a_truncated_message_is_refused() {
    let (mut world, _, mut inside) = pair();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let plain = body(&inside, inside.group.epoch(), text("cut")).encode().unwrap();
    let bytes = inside.group.encrypt(&plain, &mut rng).unwrap();
    for length in [0, 1, 10, bytes.len() / 2, bytes.len() - 1] {
        let input = envelope(&inside, &bytes[..length]);
        let why = refuses(&mut world, 0, input).why;
        assert!(matches!(why, Why::Malformed | Why::Forged), "{length}: {why:?}");
    }
}

#[test]
fn a_message_of_another_group_is_refused() {
    let (mut world, _, inside) = pair();
    let mut other = World::new(31, 2, 1);
    let talk = other.start(0, 1);
    other.settle();
    let mut foreign = self::inside(&other, 1, talk).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let bytes = foreign.group.encrypt(b"x", &mut rng).unwrap();
    let why = refuses(&mut world, 0, envelope(&inside, &bytes)).why;
    assert_eq!(why, Why::Unknown);
}

#[test]
fn a_body_that_is_none_is_refused_and_its_author_named() {
    let (mut world, talk, mut inside) = pair();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let bytes = inside.group.encrypt(&[9; 40], &mut rng).unwrap();
    let author = Some(world.people[1]);
    let refusal = refuses(&mut world, 0, envelope(&inside, &bytes));
    assert_eq!(
        refusal,
        Refusal {
            why: Why::Malformed,
            author,
            conversation: Some(talk)
        }
    );
}

#[test]
fn a_message_that_places_itself_in_the_future_is_refused_and_its_author_named() {
    let (mut world, talk, mut inside) = pair();
    let later = inside.group.epoch() + 1;
    let body = body(&inside, later, text("last word"));
    let input = message(&mut inside, &body);
    let author = Some(world.people[1]);
    assert_eq!(
        refuses(&mut world, 0, input),
        Refusal {
            why: Why::Malformed,
            author,
            conversation: Some(talk)
        }
    );
}

/// A message that needs an extension, or could do without.
fn poll(required: bool) -> Content {
    Content::Extension {
        name: ExtensionName::new("org.example/poll").unwrap(),
        required,
        body: ExtensionBody::new([1]).unwrap(),
    }
}

#[test]
fn an_extension_is_taken_if_it_is_known_or_may_be_ignored() {
    for (known, required) in [(true, true), (true, false), (false, false)] {
        let (mut world, talk, mut inside) = pair();
        if known {
            world.devices[0].known = &["org.example/poll"];
        }
        let body = body(&inside, inside.group.epoch(), poll(required));
        let input = message(&mut inside, &body);
        world.tell(0, input);
        assert_eq!(world.messages(0, talk).pop().unwrap().content, Some(poll(required)));
    }
}

#[test]
fn a_content_that_must_be_known_is_refused_and_its_author_named() {
    let (mut world, talk, mut inside) = pair();
    // Another one is of no use.
    world.devices[0].known = &["org.example/votes"];
    let body = body(&inside, inside.group.epoch(), poll(true));
    let input = message(&mut inside, &body);
    let expected = Refusal {
        why: Why::Extension(ExtensionName::new("org.example/poll").unwrap()),
        author: Some(world.people[1]),
        conversation: Some(talk),
    };
    assert_eq!(refuses(&mut world, 0, input.clone()), expected);
    // Where the author had to be looked up first, nobody is there to be answered: the owner is told.
    let peer = (Table::Peer, world.people[1].as_bytes().to_vec());
    world.devices[0].store.apply(&Batch::new(vec![Write {
        table: peer.0,
        key: peer.1,
        value: None,
    }]));
    world.tell(0, input);
    world.settle();
    let told = world.devices[0]
        .events
        .iter()
        .filter(|event| matches!(event, Event::Refused { .. }));
    assert_eq!(told.collect::<Vec<_>>(), [&Event::refused(expected).unwrap()]);
    assert!(world.messages(0, talk).is_empty());
}

#[test]
fn a_message_that_comes_again_is_shown_once() {
    let (mut world, talk, mut inside) = pair();
    let epoch = inside.group.epoch();
    let body = body(&inside, epoch, text("once"));
    let input = message(&mut inside, &body);
    world.tell(0, input.clone());
    world.tell(0, input);
    // The same ciphertext in another envelope.
    assert_eq!(world.texts(0, talk), ["once"]);
}

#[test]
fn a_message_in_another_envelope_is_refused_as_replayed() {
    let (mut world, talk, mut inside) = pair();
    let plain = body(&inside, inside.group.epoch(), text("once")).encode().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let bytes = inside.group.encrypt(&plain, &mut rng).unwrap();
    world.tell(0, envelope(&inside, &bytes));
    let again = inside
        .keys
        .wrap(&bytes, UnixSeconds::new(1_900_000_001), &mut rng)
        .unwrap();
    let input = Input::Envelope {
        tag: inside.keys.mailbox().tag(),
        bytes: again.into_bytes(),
        height: Height::new(1),
    };
    assert_eq!(refuses(&mut world, 0, input).why, Why::Replayed);
    assert_eq!(world.texts(0, talk), ["once"]);
}

#[test]
fn what_an_author_has_seen_of_the_ledger_comes_with_each_message() {
    let (mut world, talk, _) = pair();
    world.say(1, talk, "hello");
    world.settle();
    let author = world.devices[1].owner.identity;
    let seen = std::mem::take(&mut world.devices[0].seen);
    assert!(!seen.is_empty());
    for (by, seen) in seen {
        assert_eq!((by, seen), (author, checkpoint(seen.height.get())));
    }
    // What has come before, or is refused, says nothing.
    let (mut world, talk, mut inside) = pair();
    let mut said = body(&inside, inside.group.epoch(), text("elsewhere"));
    said.checkpoint = Some(checkpoint(u64::MAX));
    let input = message(&mut inside, &said);
    for _ in 0..2 {
        world.tell(0, input.clone());
    }
    said.epoch += 1;
    let input = message(&mut inside, &said);
    assert_eq!(refuses(&mut world, 0, input).why, Why::Malformed);
    assert_eq!(world.devices[0].seen, [(author, checkpoint(u64::MAX))]);
    assert_eq!(world.texts(0, talk), ["elsewhere"]);
    // What waits to be taken says it at once.
    said = body(&inside, inside.group.epoch(), text("much later"));
    (said.id, said.checkpoint) = (MessageId::from_bytes([8; 16]), Some(checkpoint(1)));
    let Input::Envelope { tag, bytes, .. } = message(&mut inside, &said) else {
        unreachable!()
    };
    let height = Height::new(world.ledger.height + 10_000);
    world.tell(0, Input::Envelope { tag, bytes, height });
    assert_eq!(world.devices[0].seen.last(), Some(&(author, checkpoint(1))));
    assert_eq!(world.texts(0, talk), ["elsewhere"]);
}

#[test]
fn a_view_that_is_another_one_is_told() {
    let (mut world, talk, mut inside) = pair();
    let mut body = body(&inside, inside.group.epoch(), text("elsewhere"));
    body.view = EpochView::from_bytes([3; 32]);
    let input = message(&mut inside, &body);
    world.tell(0, input);
    assert!(world.devices[0].events.contains(&Event::Diverged(talk)));
}

#[test]
fn an_entry_of_an_unknown_session_is_refused() {
    let (mut world, ..) = pair();
    let key = EpochSigningKey::from_seed([1; 32]).verifying_key();
    let start = GroupStart { nonce: [1; 32], key };
    let place = LedgerPlace {
        height: Height::new(1),
        time: UnixMillis::new(1),
        index: 0,
    };
    let handle: GroupHandle = start.handle();
    let input = Input::Node {
        handle,
        entry: handle.root(),
        node: Box::new(GroupNode::start(&start, place)),
        height: Height::new(1),
    };
    assert_eq!(refuses(&mut world, 0, input).why, Why::Unknown);
}

#[test]
fn an_entry_with_another_key_is_refused() {
    let (mut world, _, inside) = pair();
    let (mut node, height) = world.ledger.node(inside.handle, inside.entry, u64::MAX).unwrap();
    node.key = EpochSigningKey::from_seed([1; 32]).verifying_key();
    let input = Input::Node {
        handle: inside.handle,
        entry: inside.entry,
        node: Box::new(node),
        height,
    };
    assert_eq!(refuses(&mut world, 0, input).why, Why::Forged);
}

#[test]
fn a_note_that_is_none_is_refused() {
    let (mut world, ..) = pair();
    let (sender, device) = (world.people[1], world.devices[1].owner.device_id());
    for (bytes, why) in [
        (vec![], Why::Malformed),
        (vec![1, 9, 9, 9], Why::Malformed),
        (vec![7, 0], Why::TooNew),
        (vec![1; 70_000], Why::TooLong),
    ] {
        let input = Input::Sealed {
            sender,
            device,
            body: bytes,
        };
        assert_eq!(refuses(&mut world, 0, input).why, why);
    }
}

#[test]
fn a_request_by_a_stranger_is_refused_and_the_stranger_named() {
    let (mut world, ..) = pair();
    let mut other = World::new(32, 3, 1);
    let _ = other.start(2, 0);
    // A request to be re-added to a session that the sender is not in: number 2, handle, no entry, authenticator, package.
    let handle = world.infos(0)[0].handle.unwrap();
    let package = other.devices[2].inbox.packages[0].clone();
    let mut bytes = vec![1, 2];
    bytes.extend_from_slice(handle.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&[0; 32]);
    bytes.extend(tokenim_wire::encode(&package).unwrap());
    let sender = other.people[2];
    let input = Input::Sealed {
        sender,
        device: other.devices[2].owner.device_id(),
        body: bytes,
    };
    let refusal = refuses(&mut world, 0, input);
    assert_eq!(refusal, Refusal::of(Why::NotAMember, Some(sender)));
}

#[test]
fn an_identity_s_state_is_its_own() {
    let mut world = World::new(33, 3, 1);
    let people = world.people.clone();
    let group = world.group(0, &[1]);
    world.settle();
    // It asks for the third one, and is answered with the second.
    world.change(0, group, Change::Invite(people[2]));
    let due = step::due(&world.devices[0].store, None, 64).unwrap();
    let asked = |effect: &Effect| matches!(effect, Effect::Lookup { identity } if *identity == people[2]);
    let (asked, _) = due.into_iter().find(|(_, effect)| asked(effect)).unwrap();
    let (state, height) = world.ledger.identity(&people[1], u64::MAX);
    let input = Input::Done(asked, Answer::Identity(state.map(Box::new), height));
    assert_eq!(refuses(&mut world, 0, input), Refusal::of(Why::Malformed, None));
    world.settle();
    assert_eq!(world.infos(2).len(), 1);
}
