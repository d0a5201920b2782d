//! Handing over what was said to a new device, and pages that should not be believed.

use crate::world::{World, text};
use tokenim_conversation::{
    OrderKey,
    content::{Content, ExtensionBody, ExtensionName, Reaction},
    history::{Page, PageOf, Said},
    note::Note,
};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::group::GroupHandle;
use tokenim_session::step::{Change, ConversationId, Event, Input, Standing, StepError, Table, Why};
use tokenim_wire::{BoundedString, Object, UnixMillis, limits::HISTORY_SECONDS_MAX};

fn give(world: &mut World, at: usize, to: usize, since: Option<u64>) {
    let device = world.devices[to].id;
    let since = since.map(UnixMillis::new);
    world.tell(at, Input::GiveHistory { device, since });
    world.settle();
    assert_eq!(world.devices[at].store.rows(Table::Giving), 0);
    assert!(world.devices[at].events.contains(&Event::HistoryGiven(device)));
}

fn sealed(sender: IdentityId, device: DeviceId, page: Page) -> Input {
    let body = Note::Page(page).to_bytes().unwrap();
    Input::Sealed { sender, device, body }
}

/// A page of one message.
fn page(of: PageOf, order: OrderKey, author: IdentityId, content: Content) -> Page {
    let said = Said {
        order,
        author,
        sent: UnixMillis::new(1),
        gone: None,
        content,
    };
    Page::new(of, vec![said]).unwrap()
}

fn named(group: ConversationId) -> PageOf {
    let name = BoundedString::try_from("a group").unwrap();
    PageOf::Group(GroupHandle::from_bytes(group.to_bytes()), name)
}

fn place(epoch: u64, number: u8) -> OrderKey {
    OrderKey {
        epoch,
        clock: u64::from(number),
        device: DeviceId::from_bytes([number; 32]),
        id: MessageId::from_bytes([number; 16]),
    }
}

#[track_caller]
fn refuses(world: &mut World, at: usize, input: Input) -> Why {
    let before = world.devices[at].store.clone();
    match world.step(at, input) {
        Err(StepError::Refused(refusal)) => {
            assert!(world.devices[at].store == before, "something has changed");
            refusal.why
        }
        other => panic!("{other:?}"),
    }
}

/// One more device of the first one's, in all conversations.
fn another(world: &mut World, number: usize) -> usize {
    let new = world.add_device(0, number);
    world.pass(1_000);
    world.show_identity(0, 0);
    world.settle();
    new
}

/// Two people with a conversation and a group, in which something was said; the first one then has a second device.
fn talked(seed: u64) -> (World, ConversationId, ConversationId, usize) {
    let mut world = World::new(seed, 2, 1);
    let talk = world.start(0, 1);
    let group = world.group(0, &[1]);
    world.say(0, talk, "hello");
    world.settle();
    world.say(1, talk, "and you?");
    world.say(1, group, "to all");
    world.settle();
    let new = another(&mut world, 1);
    (world, talk, group, new)
}

#[test]
fn a_new_device_is_given_what_was_said_if_the_owner_says_so() {
    let (mut world, talk, group, new) = talked(90);
    world.assert_together(&[0, 1, new], talk);
    // Nothing of itself: it sees what is said from then on.
    world.say(1, talk, "later");
    world.settle();
    assert_eq!(world.texts(new, talk), ["later"]);
    assert!(world.texts(new, group).is_empty());
    give(&mut world, 0, new, None);
    for conversation in [talk, group] {
        assert_eq!(world.texts(new, conversation), world.texts(0, conversation));
        assert_eq!(world.orders(new, conversation), world.orders(0, conversation));
    }
    let from = world.devices[0].id;
    for message in world.messages(new, talk) {
        let handed_over = message.content != Some(text("later"));
        assert_eq!(
            (message.given, message.stored.is_none()),
            (handed_over.then_some(from), handed_over)
        );
        assert_eq!(message.mark, None);
    }
    // What was read stays read, and given again it changes nothing.
    let newest = world.orders(new, group).pop();
    assert_eq!(world.info(new, group).read, newest);
    let before = world.messages(new, talk);
    give(&mut world, 0, new, None);
    assert_eq!(world.messages(new, talk), before);
    // It goes on as if it had always been there.
    let hello = before[0].id;
    let emoji = Some(Reaction::new("👍").unwrap());
    world.tell(
        new,
        Input::Send {
            conversation: talk,
            content: Content::Reaction { to: hello, emoji },
        },
    );
    world.tell(
        0,
        Input::Send {
            conversation: talk,
            content: Content::Delete { of: hello },
        },
    );
    world.settle();
    assert_eq!(world.texts(new, talk), ["and you?", "later"]);
}

#[test]
fn what_is_old_erased_or_disappearing_is_handed_over_as_such() {
    let (mut world, talk, group, new) = talked(91);
    let mistake = world.messages(0, talk)[0].id;
    world.tell(
        0,
        Input::Send {
            conversation: talk,
            content: Content::Delete { of: mistake },
        },
    );
    world.change(0, group, Change::Disappear(Some(3_600)));
    world.settle();
    world.devices[new].online = false;
    world.say(1, group, "for an hour");
    world.settle();
    // It stays so after the timer is switched off.
    world.change(0, group, Change::Disappear(None));
    world.settle();
    world.sleep(60_000);
    let since = world.now;
    world.say(1, talk, "news");
    world.settle();
    let third = another(&mut world, 2);
    give(&mut world, 0, third, Some(since));
    assert_eq!(world.texts(third, talk), ["news"]);
    assert!(world.texts(third, group).is_empty());
    give(&mut world, 0, third, None);
    assert_eq!(world.texts(third, talk), ["and you?", "news"]);
    assert_eq!(world.texts(third, group), ["to all", "for an hour"]);
    world.sleep(3_700_000);
    world.settle();
    assert_eq!(world.texts(third, group), ["to all"]);
    assert_eq!(world.texts(0, group), ["to all"]);
}

#[test]
fn much_is_handed_over_in_many_pages_a_few_at_a_time() {
    let mut world = World::new(92, 2, 1);
    let talk = world.start(0, 1);
    world.settle();
    for number in 0..150 {
        world.say(number % 2, talk, &format!("{number} {}", "long ".repeat(500)));
    }
    world.settle();
    let new = another(&mut world, 1);
    let device = world.devices[new].id;
    world.tell(0, Input::GiveHistory { device, since: None });
    assert!(world.devices[0].store.rows(Table::Outbox) <= 4);
    // It goes on where it was after a crash.
    world.round();
    world.devices[0].forget();
    world.settle();
    assert_eq!(world.texts(new, talk).len(), 150);
    assert_eq!(world.orders(new, talk), world.orders(0, talk));
    assert_eq!(world.devices[0].store.rows(Table::Giving), 0);
}

#[test]
fn history_goes_to_own_live_devices_alone() {
    let (mut world, _, group, new) = talked(93);
    let device = world.devices[new].id;
    let itself = Input::GiveHistory {
        device: world.devices[0].id,
        since: None,
    };
    assert_eq!(world.step(0, itself).unwrap_err(), StepError::NotAllowed);
    // One that is not known may be younger than what is known: it is looked for, and gets nothing if it is nobody's.
    for wrong in [world.devices[1].id, DeviceId::from_bytes([9; 32])] {
        let input = Input::GiveHistory {
            device: wrong,
            since: None,
        };
        world.tell(0, input);
        world.settle();
        assert_eq!(world.devices[0].store.rows(Table::Giving), 0);
    }
    assert!(
        world.devices[1].store.rows(Table::Page) == 0
            && world.messages(1, group).iter().all(|said| said.given.is_none())
    );
    let identity = world.people[0];
    world.ledger.revoke_device(identity, device);
    world.pass(2_000);
    world.show_identity(0, 0);
    let refused = world.step(0, Input::GiveHistory { device, since: None });
    assert_eq!(refused.unwrap_err(), StepError::NotAllowed);
}

#[test]
fn a_page_of_anyone_but_an_own_live_device_is_refused() {
    let (mut world, talk, _, new) = talked(94);
    let (own, other) = (world.people[0], world.people[1]);
    let order = place(0, 9);
    let forged = || page(PageOf::Direct(other), order, other, text("never said"));
    let (theirs, mine, first) = (world.devices[1].id, world.devices[new].id, world.devices[0].id);
    assert_eq!(
        refuses(&mut world, new, sealed(other, theirs, forged())),
        Why::NotAllowed
    );
    assert_eq!(refuses(&mut world, new, sealed(own, mine, forged())), Why::NotAllowed);
    // One that is not known may be younger than what is known: what it says waits until it is.
    let unknown = DeviceId::from_bytes([5; 32]);
    world.step(new, sealed(own, unknown, forged())).unwrap();
    assert!(world.texts(new, talk).is_empty());
    world.settle();
    assert_eq!(world.devices[new].store.rows(Table::Page), 0);
    let with_itself = page(PageOf::Direct(own), order, own, text("to myself"));
    assert_eq!(
        refuses(&mut world, new, sealed(own, first, with_itself)),
        Why::Malformed
    );
    // One that was revoked has no say any more, as soon as that is known.
    world.ledger.revoke_device(own, first);
    world.pass(2_000);
    world.show_identity(new, 0);
    assert_eq!(refuses(&mut world, new, sealed(own, first, forged())), Why::Revoked);
    assert!(world.texts(new, talk).is_empty());
}

#[test]
fn a_device_takes_history_in_its_first_month_alone() {
    let (mut world, _, _, new) = talked(95);
    let (own, other, first) = (world.people[0], world.people[1], world.devices[0].id);
    let forged = page(PageOf::Direct(other), place(0, 9), other, text("never said"));
    world.sleep(HISTORY_SECONDS_MAX * 1_000 + 60_000);
    world.settle();
    assert_eq!(refuses(&mut world, new, sealed(own, first, forged)), Why::NotAllowed);
}

#[test]
fn a_page_never_takes_the_place_of_what_is_there_nor_reaches_into_the_own_time() {
    let (mut world, talk, group, new) = talked(96);
    let (own, other, first) = (world.people[0], world.people[1], world.devices[0].id);
    world.say(1, talk, "the truth");
    world.say(1, group, "the truth");
    world.settle();
    let before = (world.messages(new, talk), world.messages(new, group));
    let (there, grouped) = (before.0[0].clone(), before.1[0].clone());
    // The same message, the same place under another name, a place in an epoch in which the device was itself.
    let entered = world.info(new, group).epoch;
    let required = Content::Extension {
        name: ExtensionName::new("org.example/poll").unwrap(),
        required: true,
        body: ExtensionBody::new(vec![1]).unwrap(),
    };
    for lie in [
        page(PageOf::Direct(other), there.order, other, text("a lie")),
        page(
            PageOf::Direct(other),
            OrderKey {
                clock: 0,
                ..there.order
            },
            other,
            text("a lie"),
        ),
        page(PageOf::Direct(other), there.order, own, text("a lie")),
        page(named(group), grouped.order, other, text("a lie")),
        page(named(group), place(entered, 9), other, text("a lie")),
        page(named(group), place(u64::MAX, 9), other, text("a lie")),
        page(PageOf::Direct(other), place(0, 9), other, required),
    ] {
        world.step(new, sealed(own, first, lie)).unwrap();
        assert_eq!((world.messages(new, talk), world.messages(new, group)), before);
    }
    // Of the time before, it is taken, and never said to be more than it is.
    world
        .step(
            new,
            sealed(own, first, page(named(group), place(0, 9), other, text("before"))),
        )
        .unwrap();
    let taken = &world.messages(new, group)[0];
    assert_eq!(
        (taken.content.clone(), taken.given),
        (Some(text("before")), Some(first))
    );
}

#[test]
fn what_was_handed_over_and_taken_back_does_not_come_again() {
    for seed in 120..132 {
        let (mut world, talk, _, new) = talked(seed);
        let (own, other, first) = (world.people[0], world.people[1], world.devices[0].id);
        world.devices[new].online = false;
        world.say(1, talk, "a secret");
        world.settle();
        let told = world.messages(0, talk).pop().unwrap();
        let handed = page(PageOf::Direct(other), told.order, other, text("a secret"));
        world.step(new, sealed(own, first, handed)).unwrap();
        let content = Content::Delete { of: told.id };
        world.tell(
            1,
            Input::Send {
                conversation: talk,
                content,
            },
        );
        world.settle();
        // Message and deletion lie in the mailbox now, and come in any order.
        world.devices[new].online = true;
        world.settle();
        let left = world.messages(new, talk).pop().unwrap();
        assert_eq!((left.id, left.content), (told.id, None), "seed {seed}");
    }
}

#[test]
fn what_comes_from_its_author_goes_in_the_place_of_what_was_handed_over() {
    let (mut world, talk, _, new) = talked(97);
    let (own, other, first) = (world.people[0], world.people[1], world.devices[0].id);
    world.devices[new].online = false;
    world.say(1, talk, "the truth");
    world.settle();
    let told = world.messages(0, talk).pop().unwrap();
    let moved = OrderKey {
        clock: told.order.clock + 5,
        ..told.order
    };
    for order in [told.order, moved] {
        let mut world = world.clone();
        world
            .step(
                new,
                sealed(own, first, page(PageOf::Direct(other), order, other, text("a lie"))),
            )
            .unwrap();
        assert_eq!(world.texts(new, talk), ["a lie"]);
        world.devices[new].online = true;
        world.settle();
        assert_eq!(world.texts(new, talk), ["the truth"]);
        let message = world.messages(new, talk).pop().unwrap();
        assert_eq!((message.order, message.given), (told.order, None));
    }
}

#[test]
fn a_conversation_without_a_session_can_be_read_and_not_written() {
    let (mut world, _, _, new) = talked(98);
    let (own, other, first) = (world.people[0], world.people[1], world.devices[0].id);
    let gone = ConversationId::from_bytes([6; 32]);
    world
        .step(
            new,
            sealed(own, first, page(named(gone), place(3, 9), other, text("long ago"))),
        )
        .unwrap();
    let info = world.info(new, gone);
    assert_eq!(
        (info.standing, info.handle, info.name.as_str()),
        (Standing::Removed, None, "a group")
    );
    assert_eq!(world.texts(new, gone), ["long ago"]);
    let refused = world.step(
        new,
        Input::Send {
            conversation: gone,
            content: text("hello?"),
        },
    );
    assert_eq!(refused.unwrap_err(), StepError::NotInConversation);
    // And handed on, as what it is.
    let third = another(&mut world, 2);
    give(&mut world, new, third, None);
    assert_eq!(world.texts(third, gone), ["long ago"]);
}

#[test]
fn who_was_removed_is_told_nothing_of_the_time_after() {
    let (mut world, _, group, new) = talked(99);
    let (own, other, first) = (world.people[0], world.people[1], world.devices[0].id);
    world.change(0, group, Change::SetRole(other, tokenim_conversation::Role::Owner));
    world.settle();
    world.change(1, group, Change::Remove(own));
    world.settle();
    assert_eq!(world.info(new, group).standing, Standing::Removed);
    let before = world.messages(new, group);
    let later = world.info(1, group).epoch;
    for epoch in [later - 1, later, later + 1] {
        world
            .step(
                new,
                sealed(own, first, page(named(group), place(epoch, 9), other, text("secret"))),
            )
            .unwrap();
    }
    assert_eq!(world.messages(new, group), before);
}

#[test]
fn pages_wait_until_the_owners_devices_are_known() {
    let (mut world, _, _, _) = talked(70);
    let (own, other, first) = (world.people[0], world.people[1], world.devices[0].id);
    let fresh = world.add_device(0, 4);
    world.pass(1_000);
    let unknown = DeviceId::from_bytes([5; 32]);
    for (from, number, words) in [(first, 9, "long ago"), (unknown, 8, "never said")] {
        world
            .step(
                fresh,
                sealed(
                    own,
                    from,
                    page(PageOf::Direct(other), place(0, number), other, text(words)),
                ),
            )
            .unwrap();
    }
    assert_eq!(world.devices[fresh].store.rows(Table::Page), 2);
    world.settle();
    assert_eq!(world.devices[fresh].store.rows(Table::Page), 0);
    let talk = ConversationId::between(&own, &other);
    assert_eq!(world.texts(fresh, talk), ["long ago"]);
}
