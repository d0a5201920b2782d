//! Letting people in by a link, and who tries to abuse it.

use crate::world::{NETWORK, World};
use tokenim_conversation::{
    door::{DoorError, DoorWord, InviteName, KeptLink},
    link::{InviteLink, LinkError},
    note::{Ask, Note},
    secret::Secret32,
};
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::group::GroupHandle;
use tokenim_session::step::{self, ConversationId, Event, Input, Standing, StepError, Table, Why};
use tokenim_wire::{
    NetworkId, Object, UnixMillis, UnixSeconds,
    limits::{INVITE_LIFETIME_SECONDS_MAX, INVITE_LINKS_MAX, JOIN_REQUESTS_MAX},
};

const HOUR: u64 = 3_600;

fn links(world: &World, at: usize, group: ConversationId) -> Vec<InviteLink> {
    let device = &world.devices[at];
    step::links(&device.store, &device.owner, group, UnixMillis::new(world.now)).unwrap()
}

fn asking(world: &World, at: usize, group: ConversationId) -> Vec<IdentityId> {
    let requests = step::requests(&world.devices[at].store, group, UnixMillis::new(world.now)).unwrap();
    requests.iter().map(|request| request.asker).collect()
}

fn make(world: &mut World, at: usize, conversation: ConversationId) -> InviteLink {
    let lifetime_seconds = HOUR;
    let before = links(world, at, conversation);
    world.tell(
        at,
        Input::MakeLink {
            conversation,
            lifetime_seconds,
        },
    );
    let mut after = links(world, at, conversation);
    after.retain(|link| !before.contains(link));
    after.pop().unwrap()
}

fn answer(world: &mut World, at: usize, conversation: ConversationId, person: usize, admit: bool) {
    let identity = world.people[person];
    world.tell(
        at,
        Input::AnswerRequest {
            conversation,
            identity,
            admit,
        },
    );
}

fn sealed(sender: IdentityId, device: DeviceId, note: &Note) -> Input {
    let body = note.to_bytes().unwrap();
    Input::Sealed { sender, device, body }
}

/// A request by somebody who has this link, with this proof.
fn request(handle: GroupHandle, proof: [u8; 32], asker: IdentityId) -> Input {
    sealed(asker, DeviceId::from_bytes([7; 32]), &Note::Ask(Ask { handle, proof }))
}

fn somebody(number: usize) -> IdentityId {
    let mut bytes = [0xaa; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    IdentityId::from_bytes(bytes)
}

#[track_caller]
fn refuses(world: &mut World, at: usize, input: Input) -> Why {
    let before = world.devices[at].store.clone();
    match world.step(at, input) {
        Err(StepError::Refused(refusal)) => {
            assert!(world.devices[at].store == before, "something has changed");
            assert!(refusal.author.is_some());
            refusal.why
        }
        other => panic!("{other:?}"),
    }
}

/// A group of the first two of three people, with a link of the first one's.
fn open(seed: u64, devices: usize) -> (World, ConversationId, InviteLink) {
    let mut world = World::new(seed, 3, devices);
    let group = world.group(0, &[1]);
    world.settle();
    let link = make(&mut world, 0, group);
    world.settle();
    (world, group, link)
}

#[test]
fn who_asks_by_a_link_is_let_in_by_whichever_device_says_so() {
    let (mut world, group, link) = open(80, 2);
    assert_eq!(links(&world, 1, group), std::slice::from_ref(&link));
    let text = link.to_string();
    world.tell(
        4,
        Input::AskToJoin {
            link: text.parse().unwrap(),
        },
    );
    world.settle();
    let asker = world.people[2];
    for at in [0, 1] {
        assert_eq!(asking(&world, at, group), [asker]);
        assert!(world.devices[at].events.contains(&Event::JoinRequest(group, asker)));
    }
    // It is asked for, and nothing more: nobody is in who was not let in.
    assert!(asking(&world, 2, group).is_empty());
    assert_eq!(world.info(0, group).members.len(), 2);
    let info = world.info(4, group);
    assert_eq!((info.standing, info.handle), (Standing::Joining, None));
    answer(&mut world, 1, group, 2, true);
    world.settle();
    world.assert_together(&[0, 1, 2, 3, 4, 5], group);
    assert!(asking(&world, 0, group).is_empty() && asking(&world, 1, group).is_empty());
    world.say(4, group, "thank you");
    world.settle();
    assert_eq!(world.texts(3, group), ["thank you"]);
    // To let somebody in who is in changes nothing, nor does asking for what one has.
    let epoch = world.info(0, group).epoch;
    answer(&mut world, 0, group, 2, true);
    world.tell(4, Input::AskToJoin { link });
    world.settle();
    assert_eq!(world.info(0, group).epoch, epoch);
    assert_eq!(world.devices[4].store.rows(Table::Joining), 0);
}

#[test]
fn who_is_refused_learns_nothing_and_is_not_heard_again() {
    let (mut world, group, link) = open(81, 2);
    world.tell(4, Input::AskToJoin { link: link.clone() });
    world.settle();
    answer(&mut world, 0, group, 2, false);
    world.settle();
    for at in [0, 1] {
        assert!(asking(&world, at, group).is_empty());
    }
    assert_eq!(world.info(4, group).standing, Standing::Joining);
    // Not by the same link, and not by another one.
    let other = make(&mut world, 1, group);
    world.settle();
    let asker = world.people[2];
    for link in [&link, &other] {
        for at in [0, 1] {
            let again = request(link.handle, link.proof(&asker), asker);
            assert_eq!(refuses(&mut world, at, again), Why::Replayed);
        }
    }
    let identity = asker;
    let none = Input::AnswerRequest {
        conversation: group,
        identity,
        admit: true,
    };
    assert!(matches!(world.step(0, none), Err(StepError::UnknownRequest)));
    // What is left at the one who asked goes with the link.
    world.sleep((HOUR + 1) * 1_000);
    world.settle();
    assert!(world.infos(4).iter().all(|info| info.conversation != group));
    assert_eq!(world.devices[4].store.rows(Table::Joining), 0);
}

#[test]
fn a_flood_by_a_posted_link_is_bounded_and_ends_with_the_link() {
    let (mut world, group, link) = open(82, 1);
    let other = make(&mut world, 0, group);
    let by = |link: &InviteLink, number: usize| {
        let asker = somebody(number);
        request(link.handle, link.proof(&asker), asker)
    };
    world.step(0, by(&other, 5_000)).unwrap();
    for number in 1..JOIN_REQUESTS_MAX {
        world.step(0, by(&link, number)).unwrap();
        assert_eq!(refuses(&mut world, 0, by(&link, number)), Why::Replayed);
    }
    for number in JOIN_REQUESTS_MAX..JOIN_REQUESTS_MAX + 100 {
        assert_eq!(refuses(&mut world, 0, by(&link, number)), Why::Full);
    }
    assert_eq!(asking(&world, 0, group).len(), JOIN_REQUESTS_MAX);
    // One step answers all of them, and leaves those who came by the other link.
    let name = InviteName::of(&link.secret);
    world.tell(
        0,
        Input::RevokeLink {
            conversation: group,
            link: Some(name),
        },
    );
    assert_eq!(asking(&world, 0, group), [somebody(5_000)]);
    assert_eq!(refuses(&mut world, 0, by(&link, 1)), Why::Forged);
    assert_eq!(links(&world, 0, group), std::slice::from_ref(&other));
    world.step(0, by(&other, 5_001)).unwrap();
    world.tell(
        0,
        Input::RevokeLink {
            conversation: group,
            link: None,
        },
    );
    assert!(asking(&world, 0, group).is_empty() && links(&world, 0, group).is_empty());
    let none = Input::RevokeLink {
        conversation: group,
        link: Some(InviteName::from_bytes([1; 32])),
    };
    assert!(matches!(world.step(0, none), Err(StepError::UnknownLink)));
}

#[test]
fn a_proof_is_good_for_its_asker_its_group_and_its_time_alone() {
    let (mut world, group, link) = open(83, 1);
    let talk = world.start(0, 1);
    world.settle();
    let asker = world.people[2];
    let other_group = world.group(0, &[1]);
    let other_link = make(&mut world, 0, other_group);
    let proof = link.proof(&asker);
    let mut flipped = proof;
    flipped[31] ^= 1;
    let elsewhere = InviteLink {
        network: NetworkId::from_bytes([9; 32]),
        ..link.clone()
    };
    let of_another = InviteLink {
        ask: world.people[1],
        ..link.clone()
    };
    let guessed = InviteLink {
        secret: Secret32::from_bytes([0; 32]),
        ..link.clone()
    };
    for wrong in [
        link.proof(&world.people[1]),
        flipped,
        [0; 32],
        other_link.proof(&asker),
        elsewhere.proof(&asker),
        of_another.proof(&asker),
        guessed.proof(&asker),
    ] {
        assert_eq!(refuses(&mut world, 0, request(link.handle, wrong, asker)), Why::Forged);
    }
    assert_eq!(
        refuses(&mut world, 0, request(other_link.handle, proof, asker)),
        Why::Forged
    );
    // Neither a plain member nor anyone in another session takes it; nor two people; nor is a member let in again.
    assert_eq!(refuses(&mut world, 1, request(link.handle, proof, asker)), Why::Unknown);
    assert_eq!(refuses(&mut world, 2, request(link.handle, proof, asker)), Why::Unknown);
    let direct = world.info(0, talk).handle.unwrap();
    assert_eq!(refuses(&mut world, 0, request(direct, proof, asker)), Why::Unknown);
    let member = world.people[1];
    let from_member = request(link.handle, link.proof(&member), member);
    assert_eq!(refuses(&mut world, 0, from_member), Why::Replayed);
    // The right one is good until the link expires, and what came by it goes with it.
    world.step(0, request(link.handle, proof, asker)).unwrap();
    assert_eq!(asking(&world, 0, group), [asker]);
    world.sleep((HOUR + 1) * 1_000);
    assert!(asking(&world, 0, group).is_empty() && links(&world, 0, group).is_empty());
    let late = somebody(1);
    assert_eq!(
        refuses(&mut world, 0, request(link.handle, link.proof(&late), late)),
        Why::Forged
    );
}

#[test]
fn links_that_are_of_no_use_are_refused_by_name() {
    let (mut world, group, link) = open(84, 1);
    let ask = |world: &mut World, link: InviteLink| world.step(2, Input::AskToJoin { link }).unwrap_err();
    let elsewhere = InviteLink {
        network: NetworkId::from_bytes([9; 32]),
        ..link.clone()
    };
    assert_eq!(ask(&mut world, elsewhere), StepError::Link(LinkError::Network));
    let own = InviteLink {
        ask: world.people[2],
        ..link.clone()
    };
    assert_eq!(ask(&mut world, own), StepError::NotAllowed);
    let make = |world: &mut World, at, lifetime_seconds| {
        world.step(
            at,
            Input::MakeLink {
                conversation: group,
                lifetime_seconds,
            },
        )
    };
    // Only who may invite makes links, not for ever, and not without number.
    assert_eq!(make(&mut world, 1, HOUR).unwrap_err(), StepError::NotAllowed);
    for lifetime in [0, INVITE_LIFETIME_SECONDS_MAX + 1, u64::MAX] {
        assert_eq!(
            make(&mut world, 0, lifetime).unwrap_err(),
            StepError::Door(DoorError::Lifetime)
        );
    }
    for _ in 1..INVITE_LINKS_MAX {
        make(&mut world, 0, HOUR).unwrap();
    }
    assert_eq!(make(&mut world, 0, HOUR).unwrap_err(), StepError::Door(DoorError::Full));
    // A stranger who does not exist is said to be none, and the request waits for nothing.
    let nobody = InviteLink {
        ask: somebody(1),
        handle: GroupHandle::from_bytes([3; 32]),
        ..link.clone()
    };
    world.tell(2, Input::AskToJoin { link: nobody });
    world.settle();
    let action = world.info(2, ConversationId::from_bytes([3; 32])).action;
    assert_eq!(action, Some(step::Action::NoIdentity(somebody(1))));
    world.sleep((HOUR + 1) * 1_000);
    assert_eq!(ask(&mut world, link), StepError::Link(LinkError::Expired));
    make(&mut world, 0, HOUR).unwrap();
}

#[test]
fn words_about_a_door_are_taken_from_own_live_devices_alone() {
    let (mut world, group, link) = open(85, 2);
    let handle = link.handle;
    let now = UnixSeconds::new(world.now / 1_000);
    let kept = |number: u8, seconds: u64| KeptLink {
        secret: Secret32::from_bytes([number; 32]),
        expires: now.saturating_add(seconds),
    };
    let known = KeptLink {
        secret: link.secret.clone(),
        expires: link.expires,
    };
    let (own, other) = (world.devices[1].owner.identity, world.devices[2].owner.identity);
    let (first, second, theirs) = (world.devices[0].id, world.devices[1].id, world.devices[2].id);
    let word = |word: DoorWord| Note::Door(handle, word);
    let made = word(DoorWord::Made(kept(1, HOUR)));
    assert_eq!(refuses(&mut world, 0, sealed(other, theirs, &made)), Why::NotAllowed);
    assert_eq!(refuses(&mut world, 0, sealed(own, first, &made)), Why::NotAllowed);
    let unknown = DeviceId::from_bytes([5; 32]);
    assert_eq!(refuses(&mut world, 0, sealed(own, unknown, &made)), Why::Revoked);
    let elsewhere = Note::Door(GroupHandle::from_bytes([4; 32]), DoorWord::Made(kept(1, HOUR)));
    assert_eq!(refuses(&mut world, 0, sealed(own, second, &elsewhere)), Why::Unknown);
    let long = word(DoorWord::Made(kept(1, INVITE_LIFETIME_SECONDS_MAX + 1_000)));
    assert_eq!(refuses(&mut world, 0, sealed(own, second, &long)), Why::Full);
    // A link that was revoked before the word came that it was made does not come back.
    world
        .step(0, sealed(own, second, &word(DoorWord::Revoked(kept(2, HOUR)))))
        .unwrap();
    world
        .step(0, sealed(own, second, &word(DoorWord::Made(kept(2, HOUR)))))
        .unwrap();
    assert_eq!(links(&world, 0, group).len(), 1);
    world
        .step(0, sealed(own, second, &word(DoorWord::Revoked(known))))
        .unwrap();
    assert!(links(&world, 0, group).is_empty());
    // A device that was revoked has no say any more.
    world.ledger.revoke_device(own, second);
    world.pass(2_000);
    world.show_identity(0, 0);
    assert_eq!(refuses(&mut world, 0, sealed(own, second, &made)), Why::Revoked);
    assert_eq!(NETWORK, world.devices[0].owner.network);
}
