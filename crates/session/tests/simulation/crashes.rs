//! A crash at every batch and every effect of a life that goes through all of them: the same end each time.

use crate::world::{Crash, Point, World};
use std::collections::BTreeSet;
use tokenim_conversation::Role;
use tokenim_session::step::{self, Change, ConversationId, Event, Input, Mark, Standing};
use tokenim_wire::UnixMillis;

/// What people do, one after the other; each time all becomes quiet before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// A makes a group with B and C: key packages, a start, a commit, an entry, Welcomes.
    Group,
    /// All say something, and read it.
    Talk,
    /// A and B begin to talk with each other at once.
    Direct,
    /// B gets a second device, which comes into both.
    NewDevice,
    /// It is given what was said before.
    History,
    /// Three change the group at once.
    Changes,
    /// C loses what it did last, and must be re-added.
    OldCopy,
    /// The second device of B is revoked.
    Revoked,
    /// C is removed, while somebody says something.
    Removed,
    /// C asks by a link of A's, and is let in.
    Asked,
    /// B leaves A, who begins anew.
    Left,
}

const SCENES: [Scene; 11] = [
    Scene::Group,
    Scene::Talk,
    Scene::Direct,
    Scene::NewDevice,
    Scene::History,
    Scene::Changes,
    Scene::OldCopy,
    Scene::Revoked,
    Scene::Removed,
    Scene::Asked,
    Scene::Left,
];

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const B2: usize = 3;

#[derive(Clone)]
struct Life {
    world: World,
    group: Option<ConversationId>,
    direct: Option<ConversationId>,
}

impl Life {
    fn play(&mut self, scene: Scene) {
        let world = &mut self.world;
        match scene {
            Scene::Group => self.group = Some(world.group(A, &[1, 2])),
            Scene::Talk => {
                let group = self.group.unwrap();
                for at in [A, B, C] {
                    world.say(at, group, &format!("hello {at}"));
                }
                world.settle();
                for at in [A, B, C] {
                    let up_to = world.orders(at, group).pop().unwrap();
                    let conversation = group;
                    world.tell(at, Input::MarkRead { conversation, up_to });
                }
            }
            Scene::Direct => {
                let talk = world.start(A, 1);
                world.start(B, 0);
                world.say(A, talk, "from a");
                world.say(B, talk, "from b");
                self.direct = Some(talk);
            }
            Scene::NewDevice => {
                world.add_device(1, 1);
                world.pass(1_000);
                world.show_identity(B, 1);
            }
            Scene::History => {
                let device = world.devices[B2].id;
                world.tell(B, Input::GiveHistory { device, since: None });
            }
            Scene::Changes => {
                let group = self.group.unwrap();
                let somebody = world.people[1];
                world.change(A, group, Change::SetRole(somebody, Role::Admin));
                world.change(A, group, Change::Rename("a name".into()));
                world.change(B, group, Change::Refresh);
                world.change(C, group, Change::Refresh);
                world.say(C, group, "meanwhile");
            }
            Scene::OldCopy => {
                let group = self.group.unwrap();
                let copy = world.devices[C].store.clone();
                world.change(C, group, Change::Refresh);
                world.settle();
                world.restore(C, copy);
                world.settle();
                world.sleep(200_000);
            }
            Scene::Revoked => {
                let (identity, device) = (world.people[1], world.devices[B2].id);
                world.devices[B2].online = false;
                world.ledger.revoke_device(identity, device);
                world.pass(1_000);
                for at in [A, B, C] {
                    world.show_identity(at, 1);
                }
                world.say(A, self.group.unwrap(), "not for the thief");
                world.say(A, self.direct.unwrap(), "nor this");
            }
            Scene::Removed => {
                let somebody = world.people[2];
                let group = self.group.unwrap();
                world.say(C, group, "last");
                world.settle();
                world.change(B, group, Change::Remove(somebody));
                world.say(A, group, "later");
            }
            Scene::Asked => {
                let conversation = self.group.unwrap();
                let make = Input::MakeLink {
                    conversation,
                    lifetime_seconds: 3_600,
                };
                world.tell(A, make);
                let (device, now) = (&world.devices[A], UnixMillis::new(world.now));
                let made = step::links(&device.store, &device.owner, conversation, now).unwrap();
                let link = made[0].clone();
                world.tell(C, Input::AskToJoin { link });
                world.settle();
                let answer = Input::AnswerRequest {
                    conversation,
                    identity: world.people[2],
                    admit: true,
                };
                world.tell(A, answer);
                world.settle();
                world.assert_together(&[A, B, C], conversation);
            }
            Scene::Left => {
                let talk = self.direct.unwrap();
                world.change(B, talk, Change::Leave);
                world.settle();
                world.start(A, 1);
                world.say(A, talk, "anew");
            }
        }
        world.settle();
        world.sleep(65_000);
        world.settle();
    }

    fn talks(&self) -> impl Iterator<Item = ConversationId> {
        self.group.into_iter().chain(self.direct)
    }

    /// What it has come to.
    fn end(&self) -> Vec<String> {
        let world = &self.world;
        let mut end = Vec::new();
        for talk in self.talks() {
            let mut active = Vec::new();
            for (at, device) in world.devices.iter().enumerate().filter(|(_, device)| device.online) {
                let Some(info) = world.infos(at).into_iter().find(|info| info.conversation == talk) else {
                    end.push(format!("{} has not this conversation", device.name));
                    continue;
                };
                if info.standing == Standing::Active {
                    active.push(at);
                }
                let mut members: Vec<_> = info
                    .members
                    .iter()
                    .map(|member| (member.identity, member.role, member.devices.len()))
                    .collect();
                members.sort_by_key(|(identity, ..)| *identity);
                let own: BTreeSet<(String, Option<Mark>)> = world
                    .messages(at, talk)
                    .into_iter()
                    .filter(|message| message.device == device.id)
                    .map(|message| (format!("{:?}", message.content), message.mark))
                    .collect();
                let mut texts = world.texts(at, talk);
                texts.sort();
                end.push(format!(
                    "{}: {} {:?} {members:?} {:?} {texts:?} {own:?} {} {:?}",
                    device.name, info.name, info.standing, info.disappear_after, info.queued, info.action
                ));
            }
            if let Some(first) = active.first() {
                world.assert_together(&active, talk);
                let orders: BTreeSet<_> = world.orders(*first, talk).into_iter().collect();
                for at in &active {
                    let own = world.orders(*at, talk);
                    assert!(own.is_sorted());
                    // Who came later has less.
                    let known: Vec<_> = own.iter().filter(|order| orders.contains(order)).collect();
                    assert!(
                        known.len() == own.len().min(orders.len()),
                        "{}",
                        world.devices[*at].name
                    );
                }
            }
        }
        end
    }

    /// All who are in it hear this device.
    fn is_alive(&mut self, at: usize) {
        let talks: Vec<_> = self.talks().collect();
        let world = &mut self.world;
        for talk in &talks {
            let known = world.infos(at).into_iter().find(|info| info.conversation == *talk);
            if known.is_some_and(|info| info.standing == Standing::Active) {
                world.say(at, *talk, "alive");
            }
        }
        world.settle();
        for talk in talks {
            for to in (0..world.devices.len()).filter(|to| world.devices[*to].online) {
                let info = world.infos(to).into_iter().find(|info| info.conversation == talk);
                let said = world.devices[at].online
                    && world.texts(at, talk).contains(&"alive".to_string())
                    && info.is_some_and(|info| info.standing == Standing::Active);
                if said {
                    assert!(world.texts(to, talk).contains(&"alive".to_string()));
                }
            }
        }
    }
}

/// Every how many places a crash is tried, unless all are asked for.
const STRIDE: u64 = 29;

fn crash_everywhere(device: usize) {
    let stride = if std::env::var_os("TOKENIM_CRASHES").is_some() {
        1
    } else {
        STRIDE
    };
    let mut life = Life {
        world: World::new(100, 3, 1),
        group: None,
        direct: None,
    };
    let mut tried = 0_u64;
    for scene in SCENES {
        let before = life.clone();
        life.play(scene);
        let expected = life.end();
        let Some(after) = life.world.devices.get(device) else {
            continue;
        };
        let was = before.world.devices.get(device);
        for point in Point::ALL {
            let (from, to) = match point {
                Point::BeforeBatch | Point::AfterBatch => (was.map_or(0, |was| was.batches), after.batches),
                Point::BeforeEffect | Point::AfterEffect => (was.map_or(0, |was| was.effects), after.effects),
            };
            for number in from + 1..=to {
                tried += 1;
                if !tried.is_multiple_of(stride) {
                    continue;
                }
                let mut other = before.clone();
                other.world.planned = Some(Crash { device, point, number });
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    other.play(scene);
                    assert_eq!(other.end(), expected);
                    other.is_alive(device);
                }));
                if let Err(cause) = done {
                    eprintln!("{scene:?}, {point:?} {number} of {}", after.name);
                    std::panic::resume_unwind(cause);
                }
            }
        }
    }
    assert!(tried > 50, "only {tried} places to crash at");
}

#[test]
fn the_one_who_begins_may_crash_anywhere() {
    crash_everywhere(A);
}

#[test]
fn the_one_who_is_met_may_crash_anywhere() {
    crash_everywhere(B);
}

#[test]
fn the_one_who_is_readded_and_removed_may_crash_anywhere() {
    crash_everywhere(C);
}

#[test]
fn a_new_device_may_crash_anywhere() {
    crash_everywhere(B2);
}

#[test]
fn what_was_not_durable_is_lost_without_a_trace() {
    let mut world = World::new(101, 2, 1);
    let talk = world.start(0, 1);
    world.settle();
    world.faults.lazy = 100;
    let before = world.devices[0].store.clone();
    let content = crate::world::text("lost");
    let conversation = talk;
    assert_eq!(world.step(0, Input::Send { conversation, content }), Ok(true));
    assert!(world.devices[0].store != before);
    world.faults.crash = 100;
    world.tick(0);
    world.faults = Default::default();
    assert!(world.devices[0].store == before);
    let told = |event: &Event| matches!(event, Event::Message(..));
    assert!(!world.devices[0].events.iter().any(told));
    world.settle();
    world.say(0, talk, "said");
    world.settle();
    assert_eq!(world.texts(1, talk), ["said"]);
}
