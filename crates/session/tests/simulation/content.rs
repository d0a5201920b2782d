//! What is said about what was said: edits, reactions, deletions, receipts, hints.

use crate::world::{World, text};
use tokenim_conversation::content::{Content, MessageText, Reaction};
use tokenim_envelope::MessageId;
use tokenim_session::step::{self, Change, ConversationId, Event, Input, Mark, Standing, StepError, Table};
use tokenim_wire::limits::{SESSION_PAST_EPOCHS_MAX, SESSION_TYPING_SECONDS};

fn tell(world: &mut World, at: usize, conversation: ConversationId, content: Content) {
    world.tell(at, Input::Send { conversation, content });
}

fn id_of(world: &World, at: usize, conversation: ConversationId, words: &str) -> MessageId {
    let wanted = Some(text(words));
    let messages = world.messages(at, conversation);
    messages.iter().find(|message| message.content == wanted).unwrap().id
}

fn edit(of: MessageId, words: &str) -> Content {
    let text = MessageText::new(words).unwrap();
    Content::Edit { of, text }
}

/// Two people of one device each, who are talking.
fn talking(seed: u64) -> (World, ConversationId) {
    let mut world = World::new(seed, 2, 1);
    let talk = world.start(0, 1);
    world.say(0, talk, "hello");
    world.settle();
    (world, talk)
}

#[test]
fn what_is_taken_back_is_gone_with_its_edits() {
    let (mut world, talk) = talking(70);
    let hello = id_of(&world, 0, talk, "hello");
    tell(&mut world, 0, talk, edit(hello, "hello!"));
    tell(
        &mut world,
        1,
        talk,
        Content::Reaction {
            to: hello,
            emoji: Some(Reaction::new("👍").unwrap()),
        },
    );
    world.settle();
    assert_eq!(world.messages(1, talk).len(), 3);
    // Nobody else's deletion or edit touches it.
    tell(&mut world, 1, talk, edit(hello, "goodbye"));
    tell(&mut world, 1, talk, Content::Delete { of: hello });
    world.settle();
    assert_eq!(world.texts(0, talk), ["hello"]);
    tell(&mut world, 0, talk, Content::Delete { of: hello });
    world.settle();
    // What is not there is not edited.
    let content = edit(hello, "hello?");
    let late = Input::Send {
        conversation: talk,
        content,
    };
    assert!(matches!(world.step(0, late), Err(StepError::Content)));
    for at in 0..2 {
        let left = world.messages(at, talk);
        let says = |words: &str| left.iter().any(|message| message.content == Some(edit(hello, words)));
        assert!(!says("hello!") && world.texts(at, talk).is_empty(), "{at}");
        assert!(
            left.iter()
                .any(|message| message.id == hello && message.content.is_none())
        );
        assert_eq!(world.orders(at, talk), world.orders(0, talk));
    }
}

#[test]
fn what_is_taken_back_is_gone_with_its_edits_in_whatever_order_they_come() {
    for seed in 200..212 {
        let (mut world, talk) = talking(seed);
        world.devices[1].online = false;
        world.say(0, talk, "a secret");
        let secret = id_of(&world, 0, talk, "a secret");
        world.settle();
        tell(&mut world, 0, talk, edit(secret, "another secret"));
        world.settle();
        tell(&mut world, 0, talk, Content::Delete { of: secret });
        world.settle();
        // All three lie in the mailbox now, and come in any order.
        world.devices[1].online = true;
        world.settle();
        assert_eq!(world.texts(1, talk), ["hello"]);
        let left = world.messages(1, talk);
        assert!(
            left.iter()
                .all(|message| message.content.is_none() || message.id != secret)
        );
        assert_eq!(left.len(), 2, "seed {seed}: the message without a content, and no edit");
    }
}

#[test]
fn what_was_never_sent_is_taken_back_without_a_word() {
    let (mut world, talk) = talking(71);
    world.devices[0].online = false;
    let now = world.now;
    world.sleep(120_000);
    assert!(world.now > now);
    world.say(0, talk, "a mistake");
    let mistake = id_of(&world, 0, talk, "a mistake");
    let waiting = world.devices[0].store.rows(Table::Queue);
    // What was to take its place goes with it; also where it was said already itself.
    tell(&mut world, 0, talk, edit(mistake, "another mistake"));
    tell(&mut world, 0, talk, Content::Delete { of: mistake });
    assert_eq!(world.devices[0].store.rows(Table::Queue), waiting - 1);
    let hello = id_of(&world, 0, talk, "hello");
    tell(&mut world, 0, talk, edit(hello, "another mistake"));
    tell(&mut world, 0, talk, Content::Delete { of: hello });
    assert_eq!(world.devices[0].store.rows(Table::Queue), waiting);
    world.devices[0].online = true;
    world.say(0, talk, "right");
    world.settle();
    for at in 0..2 {
        assert_eq!(world.texts(at, talk), ["right"]);
        assert_eq!(world.messages(at, talk).len(), 2);
    }
}

#[test]
fn a_hint_is_shown_and_leaves_nothing() {
    let (mut world, talk) = talking(72);
    let typing = |world: &World| {
        let hint = Event::Typing(talk, world.people[0]);
        world.devices[1].events.iter().filter(|event| **event == hint).count()
    };
    let kept = |world: &World| -> Vec<usize> { [0, 1].iter().map(|at| world.messages(*at, talk).len()).collect() };
    let before = kept(&world);
    tell(&mut world, 0, talk, Content::Typing);
    world.settle();
    assert_eq!((typing(&world), kept(&world)), (1, before.clone()));
    // One that waits until it is of no use never goes out, and no second one waits behind it.
    world.devices[0].online = false;
    world.sleep(120_000);
    let waiting = world.devices[0].store.rows(Table::Queue);
    for _ in 0..3 {
        tell(&mut world, 0, talk, Content::Typing);
    }
    assert_eq!(world.devices[0].store.rows(Table::Queue), waiting + 1);
    world.sleep(SESSION_TYPING_SECONDS * 1_000 + 1);
    world.devices[0].online = true;
    world.settle();
    assert_eq!((typing(&world), kept(&world)), (1, before));
    assert_eq!(world.devices[0].store.rows(Table::Queue), waiting);
}

#[test]
fn receipts_are_sent_unless_they_are_switched_off() {
    let (mut world, talk) = talking(73);
    assert!(step::receipts(&world.devices[1].store).unwrap());
    world.tell(1, Input::Settings { receipts: false });
    assert!(!step::receipts(&world.devices[1].store).unwrap());
    world.say(0, talk, "did you get this?");
    world.settle();
    let order = world.messages(1, talk).last().unwrap().order;
    world.tell(
        1,
        Input::MarkRead {
            conversation: talk,
            up_to: order,
        },
    );
    world.settle();
    assert_eq!(world.mark(0, talk, "did you get this?"), Some(Mark::Stored));
    assert_eq!(world.info(1, talk).read, Some(order));
    let marks = |world: &World| world.messages(0, talk).pop().unwrap().marks;
    assert!(marks(&world).is_empty());
    world.tell(1, Input::Settings { receipts: true });
    world.say(0, talk, "and this?");
    world.settle();
    assert_eq!(marks(&world), [(world.people[1], Mark::Delivered)]);
}

#[test]
fn the_newest_messages_are_read_from_the_end() {
    let (mut world, talk) = talking(74);
    for number in 0..12 {
        world.say(0, talk, &number.to_string());
    }
    world.settle();
    let store = &world.devices[1].store;
    let all = world.messages(1, talk);
    assert_eq!(all.len(), 13);
    for limit in [0, 1, 5, 13, 100] {
        let expected = &all[all.len().saturating_sub(limit)..];
        assert_eq!(step::newest(store, talk, None, limit).unwrap(), expected);
    }
    let before = Some(all[4].order);
    assert_eq!(step::newest(store, talk, before, 2).unwrap(), all[2..4]);
    assert!(step::newest(store, talk, Some(all[0].order), 9).unwrap().is_empty());
    // Before the first conversation, and after the last.
    for other in [[0; 32], [255; 32]] {
        let other = ConversationId::from_bytes(other);
        assert!(step::newest(store, other, None, 9).unwrap().is_empty());
    }
}

#[test]
fn what_was_stored_after_its_epoch_was_over_is_said_again() {
    let mut world = World::new(72, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.say(2, group, "late");
    world.devices[2].online = false;
    for _ in 0..SESSION_PAST_EPOCHS_MAX + 2 {
        world.change(0, group, Change::Refresh);
        world.settle();
    }
    // It is stored before its author sees anything of that, and nobody reads there any more.
    world.devices[2].online = true;
    while world.carry_out(2) {}
    assert_eq!(world.mark(2, group, "late"), Some(Mark::Stored));
    world.settle();
    for at in 0..3 {
        assert_eq!(world.texts(at, group), ["late"], "{}", world.devices[at].name);
    }
}

/// What a device has encrypted is stored when so many epochs have followed that nobody reads there any more; then it looks.
fn stored_late(world: &mut World, at: usize, conversation: ConversationId) {
    world.devices[at].online = false;
    for _ in 0..SESSION_PAST_EPOCHS_MAX + 2 {
        world.change(0, conversation, Change::Refresh);
        world.settle();
    }
    world.devices[at].online = true;
    while world.carry_out(at) {}
    assert!(world.mark(at, conversation, "late") >= Some(Mark::Stored));
    world.settle();
}

#[test]
fn what_was_stored_late_by_who_could_not_follow_is_said_again() {
    let mut world = World::new(77, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let copy = world.devices[2].store.clone();
    world.change(2, group, Change::Refresh);
    world.rounds(6);
    // It does not know the commit that it made.
    world.restore(2, copy);
    world.say(2, group, "late");
    stored_late(&mut world, 2, group);
    assert!(world.readded.contains(&(2, group)));
    world.sleep(130_000);
    world.settle();
    world.assert_together(&[0, 1, 2], group);
    for at in 0..3 {
        assert_eq!(world.texts(at, group), ["late"], "{}", world.devices[at].name);
    }
    assert!(world.mark(2, group, "late") >= Some(Mark::Stored));
}

#[test]
fn what_was_stored_late_by_who_was_removed_waits_until_it_is_in_again() {
    let mut world = World::new(78, 3, 1);
    let (group, other) = (world.group(0, &[1, 2]), world.people[2]);
    world.settle();
    world.say(2, group, "late");
    world.devices[2].online = false;
    world.change(0, group, Change::Remove(other));
    world.settle();
    stored_late(&mut world, 2, group);
    assert_eq!(world.info(2, group).standing, Standing::Removed);
    assert_eq!(world.mark(2, group, "late"), Some(Mark::Queued));
    assert!(world.texts(0, group).is_empty());
    world.change(0, group, Change::Invite(other));
    world.settle();
    world.assert_together(&[0, 1, 2], group);
    for at in 0..3 {
        assert_eq!(world.texts(at, group), ["late"], "{}", world.devices[at].name);
    }
}

#[test]
fn what_was_taken_back_late_is_taken_back_again() {
    let mut world = World::new(79, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.say(2, group, "mistake");
    world.say(2, group, "late");
    world.settle();
    let of = id_of(&world, 2, group, "mistake");
    tell(&mut world, 2, group, Content::Delete { of });
    stored_late(&mut world, 2, group);
    // It follows all these epochs first.
    world.settle();
    world.settle();
    world.assert_together(&[0, 1, 2], group);
    for at in 0..3 {
        assert_eq!(world.texts(at, group), ["late"], "{}", world.devices[at].name);
    }
}

#[test]
fn what_was_stored_late_by_who_has_a_slow_clock_is_said_again() {
    let mut world = World::new(80, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    world.say(2, group, "late");
    let said = world.now;
    world.devices[2].online = false;
    for _ in 0..SESSION_PAST_EPOCHS_MAX + 2 {
        world.change(0, group, Change::Refresh);
        world.settle();
    }
    // By its clock nothing of that has happened yet.
    world.devices[2].online = true;
    let now = std::mem::replace(&mut world.now, said);
    while world.carry_out(2) {}
    world.now = now;
    assert_eq!(world.mark(2, group, "late"), Some(Mark::Stored));
    world.settle();
    for at in 0..3 {
        assert_eq!(world.texts(at, group), ["late"], "{}", world.devices[at].name);
    }
}
