//! What time is not stopped by, and what a clock that was wrong doesn't spoil.

use crate::world::{World, text};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use tokenim_conversation::rows::{Conversation, Liveness, Peer, Queued, Session, Task, Wish};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_session::step::{self, Batch, Change, ConversationId, Event, Input, Mark, Outcome, Table, View, Write};
use tokenim_wire::{
    BoundedVec, Height, Object, UnixMillis,
    limits::{SESSION_MARKS_MAX, SESSION_QUEUE_MAX, SESSION_WISHES_MAX},
};

const DAY_MS: u64 = 24 * 3_600_000;

fn put(world: &mut World, at: usize, table: Table, key: &[u8], value: Vec<u8>) {
    let (key, value) = (key.to_vec(), Some(value));
    let write = Write { table, key, value };
    world.devices[at].store.apply(&Batch::new(vec![write]));
}

fn row<T: Object>(world: &World, at: usize, table: Table, key: &[u8]) -> T {
    let bytes = world.devices[at].store.get(table, key).unwrap().unwrap();
    T::from_bytes(&bytes).unwrap()
}

fn alter<T: Object>(world: &mut World, at: usize, table: Table, key: &[u8], alter: impl FnOnce(&mut T)) {
    let mut row: T = row(world, at, table, key);
    alter(&mut row);
    put(world, at, table, key, row.to_bytes().unwrap());
}

fn handle(world: &World, at: usize, conversation: ConversationId) -> Vec<u8> {
    world.info(at, conversation).handle.unwrap().as_bytes().to_vec()
}

/// One step, whose batch is applied: as of a host that looks at nothing else.
fn step(world: &mut World, at: usize, input: Input) -> Outcome {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (device, now) = (&mut world.devices[at], UnixMillis::new(world.now));
    let outcome = step::step(&device.store, &device.owner, &[], None, now, &mut rng, input).unwrap();
    device.store.apply(&outcome.batch);
    device.forget();
    outcome
}

fn identity(world: &World, person: usize) -> Input {
    let (state, height) = world.ledger.identity(&world.people[person], u64::MAX);
    let state = Box::new(state.unwrap());
    Input::Identity { state, height }
}

fn numbered<T>(number: usize, of: impl Fn([u8; 32]) -> T) -> T {
    of(core::array::from_fn(|at| number.to_be_bytes()[at % 8]))
}

#[test]
fn a_queue_that_is_full_loses_no_message_and_stops_nothing() {
    let mut world = World::new(90, 2, 1);
    let talk = world.start(0, 1);
    world.say(0, talk, "hello");
    world.settle();
    world.devices[1].online = false;
    world.say(0, talk, "still there?");
    world.settle();
    world.sleep(120_000);
    // The owner has written what the queue holds, and as many messages are owed a receipt as one receipt has room for.
    let queued = Queued {
        id: MessageId::from_bytes([1; 16]),
        sent: UnixMillis::new(world.now),
        placed: None,
        kept: None,
        content: text("later"),
    };
    for number in 0..SESSION_QUEUE_MAX as u64 {
        let key = [talk.as_bytes().as_slice(), &number.to_be_bytes()].concat();
        put(&mut world, 1, Table::Queue, &key, queued.to_bytes().unwrap());
    }
    alter::<Conversation>(&mut world, 1, Table::Conversation, talk.as_bytes(), |row| {
        let owed = (0..SESSION_MARKS_MAX)
            .map(|number| numbered(number, |id| MessageId::from_bytes(id[..16].try_into().unwrap())));
        row.receipts = BoundedVec::try_from_iter(owed).unwrap();
    });
    let told = |event: &Event| matches!(event, Event::Message(of, _) if *of == talk);
    let tags: Vec<_> = step::watches(&world.devices[1].store).unwrap().mailboxes;
    let mut came = 0;
    for tag in tags.iter().map(|watch| watch.descriptor.tag()) {
        let kept = world.nodes.nodes[0].boxes.get(&tag).cloned().unwrap_or_default();
        for (_, bytes) in kept {
            let (bytes, height) = (bytes.to_vec(), Height::ZERO);
            let outcome = step(&mut world, 1, Input::Envelope { tag, bytes, height });
            came += outcome.events.iter().filter(|event| told(event)).count();
        }
    }
    assert_eq!(came, 1);
    assert_eq!(world.texts(1, talk).last().map(String::as_str), Some("still there?"));
    // Nor is time stopped by the receipt that is due then, nor reading.
    world.sleep(120_000);
    step(&mut world, 1, Input::Tick);
    assert!(
        row::<Conversation>(&world, 1, Table::Conversation, talk.as_bytes())
            .receipts
            .is_empty()
    );
    let (conversation, up_to) = (talk, world.messages(1, talk).last().unwrap().order);
    step(&mut world, 1, Input::MarkRead { conversation, up_to });
    assert_eq!(world.info(1, talk).read, Some(up_to));
    assert_eq!(world.devices[1].store.rows(Table::Queue), SESSION_QUEUE_MAX);
}

fn wish(task: Task, not_before: u64) -> Wish {
    Wish {
        task,
        not_before: UnixMillis::new(not_before),
        tries: 0,
        fetching: None,
    }
}

#[test]
fn wishes_that_find_no_room_stop_nothing() {
    let mut world = World::new(91, 3, 1);
    let group = world.group(0, &[1, 2]);
    world.settle();
    let (key, later) = (handle(&world, 0, group), world.now + DAY_MS);
    let add = |number| {
        let task = Task::Add {
            identity: numbered(number, IdentityId::from_bytes),
            device: DeviceId::from_bytes([7; 32]),
            package: None,
            replace: false,
        };
        wish(task, later)
    };
    // Half of the room is left to those who go: a new device of the owner's waits, one that is revoked does not.
    world.devices[0].online = false;
    let (own, other) = (world.people[0], world.people[2]);
    let new = world.add_device(0, 1);
    let revoked = world.devices[2].id;
    world.ledger.revoke_device(other, revoked);
    world.sleep(60_000);
    let before = world.devices[0].store.clone();
    for (held, removes) in [(SESSION_WISHES_MAX / 2, true), (SESSION_WISHES_MAX, false)] {
        world.devices[0].store = before.clone();
        alter::<Session>(&mut world, 0, Table::Session, &key, |session| {
            session.wishes = BoundedVec::try_from_iter((0..held).map(add)).unwrap();
        });
        for person in 0..3 {
            let input = identity(&world, person);
            step(&mut world, 0, input);
        }
        let session: Session = row(&world, 0, Table::Session, &key);
        let wants = |task: &Task| session.wishes.iter().any(|wish| wish.task == *task);
        assert_eq!(session.liveness, Liveness::Dead);
        assert_eq!(wants(&Task::RemoveDevice(other, revoked)), removes);
        let device = world.devices[new].id;
        let is_new =
            |task: &Task| matches!(task, Task::Add { identity, device: of, .. } if (*identity, *of) == (own, device));
        assert!(!session.wishes.iter().any(|wish| is_new(&wish.task)));
        step(&mut world, 0, Input::Tick);
    }
}

#[test]
fn one_damaged_session_stops_no_other() {
    let mut world = World::new(92, 2, 1);
    let talk = world.start(0, 1);
    let group = world.group(0, &[1]);
    world.settle();
    // In both something is to be committed; the state of one is damaged.
    let due = world.now + 1_000;
    for id in [talk, group] {
        let key = handle(&world, 0, id);
        alter::<Session>(&mut world, 0, Table::Session, &key, |session| {
            session.wishes = BoundedVec::try_from_iter([wish(Task::Refresh, due)]).unwrap();
        });
    }
    let damaged = handle(&world, 0, talk);
    let groups = world.devices[0].store.scan(Table::Group, &[], usize::MAX >> 1).unwrap();
    for (key, _) in groups
        .iter()
        .filter(|(key, _)| key.windows(32).any(|part| part == damaged))
    {
        put(&mut world, 0, Table::Group, key, vec![1, 2, 3]);
    }
    world.sleep(2_000);
    let before = world.devices[0].store.clone();
    for input in [Input::Tick, identity(&world, 1)] {
        world.devices[0].store = before.clone();
        let outcome = step(&mut world, 0, input);
        assert!(outcome.events.contains(&Event::Damaged(Some(talk))));
        assert!(!outcome.events.contains(&Event::Damaged(Some(group))));
        let pending = |world: &World, id| {
            let session: Session = row(world, 0, Table::Session, &handle(world, 0, id));
            session.pending.is_some()
        };
        assert_eq!((pending(&world, talk), pending(&world, group)), (false, true));
        // What was begun for it is undone.
        let session: Session = row(&world, 0, Table::Session, &damaged);
        let kept = before.get(Table::Session, &damaged).unwrap().unwrap();
        assert_eq!(session, Session::from_bytes(&kept).unwrap());
    }
}

#[test]
fn a_clock_that_is_set_back_makes_no_look_younger() {
    let begin = |seed| {
        let mut world = World::new(seed, 2, 1);
        let talk = world.start(0, 1);
        world.say(0, talk, "hello");
        world.settle();
        world.say(0, talk, "at once");
        assert_eq!(world.devices[0].store.rows(Table::Queue), 0);
        world.settle();
        (world, talk)
    };
    // What was looked at while the clock was a day ahead: the entry, or the identities.
    for entry in [true, false] {
        let (mut world, talk) = begin(93);
        let key = handle(&world, 0, talk);
        let ahead = UnixMillis::new(world.now + DAY_MS);
        alter::<Session>(&mut world, 0, Table::Session, &key, |session| match entry {
            true => session.synced = Some(ahead),
            false => session.checked = ahead,
        });
        if !entry {
            for person in world.people.clone() {
                alter::<Peer>(&mut world, 0, Table::Peer, person.as_bytes(), |peer| {
                    peer.checked = ahead
                });
            }
        }
        world.say(0, talk, "when?");
        assert_eq!(world.mark(0, talk, "when?"), Some(Mark::Queued));
        assert_eq!(world.devices[0].store.rows(Table::Queue), 1, "{entry}");
        world.settle();
        assert_eq!(world.texts(1, talk), ["hello", "at once", "when?"]);
        assert!(world.mark(0, talk, "when?") >= Some(Mark::Stored));
        let session: Session = row(&world, 0, Table::Session, &key);
        assert!(session.synced < Some(ahead) && session.checked < ahead);
        world.change(0, talk, Change::Refresh);
        world.settle();
        world.assert_together(&[0, 1], talk);
    }
}
