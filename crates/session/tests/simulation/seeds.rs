//! Random lives of five people with two devices each.

use crate::{
    invariants,
    shut_out::shut_out,
    world::{
        NOBODY, World, below, chance,
        nodes::{NODES, PAGE_BYTES},
        text,
        villain::{self, FalseReceipt, Mischief, do_mischief},
    },
};
use std::collections::{BTreeMap, BTreeSet};
use tokenim_conversation::{Role, link::InviteLink};
use tokenim_identity::IdentityId;
use tokenim_mailbox::group::GroupEntryId;
use tokenim_session::step::{self, Change, ConversationId, Input, Standing, StepError};
use tokenim_wire::UnixMillis;

const PEOPLE: usize = 5;
const DEVICES: usize = 2;
/// The device whose owner does what it likes.
const VILLAIN: usize = PEOPLE * DEVICES - 1;
/// Until the group is there in all that trouble, 30 of them pass.
const ROUNDS: usize = 100;
const FEW_ROUNDS: usize = 45;
/// How often at most the villain adds to an entry what is none, so that there is room for others.
const MISCHIEF_MAX: usize = 3;
/// How many kinds of things people do.
const ALL: usize = 40;
/// The first ones: without links, history handed over, and commits in parts.
const FEW: usize = 30;

struct Life {
    world: World,
    talks: Vec<ConversationId>,
    mischief: BTreeMap<GroupEntryId, usize>,
    /// How often the villain may still make commits that some can't follow.
    shut_out: usize,
    doings: usize,
    /// Links into the group.
    links: Vec<InviteLink>,
}

/// One life. Gives the log of everything that happened.
fn run(seed: u64) -> Vec<String> {
    run_with(seed, ALL)
}

fn run_with(seed: u64, doings: usize) -> Vec<String> {
    let mut world = World::new(seed, PEOPLE, DEVICES);
    world.malicious.insert(world.devices[VILLAIN].id);
    let liar = below(&mut world.rng, NODES);
    world.nodes.nodes[liar].lies = true;
    let rng = &mut world.rng;
    world.faults.crash = below(rng, 4) as u64;
    world.faults.down = 5_000;
    world.faults.lazy = below(rng, 50) as u64;
    world.faults.loss = below(rng, 20) as u64;
    world.faults.delay = below(rng, 4) as u64 * 1_000;
    world.faults.duplicate = below(rng, 15) as u64;
    world.faults.stale = below(rng, 50) as u64;
    world.faults.stale_heights = 4 + 36 * below(rng, 2) as u64;
    let shut_out = if chance(rng, 30) { 2 } else { 0 };
    let mut members: Vec<usize> = (1..PEOPLE).collect();
    if doings > FEW {
        // Somebody is not in the group yet, and the nodes give little at a time.
        let outside = 1 + below(rng, 2 * (PEOPLE - 2));
        members.retain(|person| *person != outside);
        world.nodes.page = [PAGE_BYTES, 4_096][below(rng, 2)];
    }
    let talks = vec![world.group(0, &members)];
    let mut life = Life {
        world,
        talks,
        mischief: BTreeMap::new(),
        shut_out,
        doings,
        links: Vec::new(),
    };
    for round in 0..if doings > FEW { ROUNDS } else { FEW_ROUNDS } {
        if round > 4 {
            for _ in 0..below(&mut life.world.rng, 3) {
                life.act(round);
            }
        }
        life.world.round();
    }
    let Life { mut world, talks, .. } = life;
    world.faults = Default::default();
    world.nodes.apart = Default::default();
    for device in &mut world.devices {
        device.online = true;
        device.cut = NOBODY;
    }
    for _ in 0..10 {
        world.settle();
        let waits =
            (0..world.devices.len()).any(|at| world.infos(at).iter().any(|info| info.standing == Standing::Behind));
        world.sleep(if waits { 300_000 } else { 130_000 });
    }
    world.settle();
    // Where a commit has shut all out, nobody can bring the others back: after some hours of asking they say so.
    for _ in 0..10 {
        if !talks.iter().any(|talk| invariants::all_ask(&world, *talk)) {
            break;
        }
        world.sleep(3_600_000);
        world.settle();
    }
    invariants::check(&world, &talks, seed);
    let mut log = std::mem::take(&mut world.log);
    log.extend(world.ledger.included.iter().map(|entry| format!("{entry}")));
    log
}

impl Life {
    fn act(&mut self, round: usize) {
        let world = &mut self.world;
        let at = below(&mut world.rng, world.devices.len());
        let conversation = self.talks[below(&mut world.rng, self.talks.len())];
        let known = world.infos(at).iter().any(|info| info.conversation == conversation);
        let person = below(&mut world.rng, PEOPLE);
        let someone = world.people[person];
        let can = |world: &mut World, change| {
            attempt(world, at, Input::Change { conversation, change });
        };
        match below(&mut world.rng, self.doings) {
            0..9 if known => {
                let content = text(&format!("{round} {}", world.devices[at].name));
                attempt(world, at, Input::Send { conversation, content });
            }
            9..12 if known => can(world, Change::Refresh),
            12 if known => can(world, Change::Rename(format!("name {round}"))),
            13 if known => can(world, Change::Invite(someone)),
            14 if known => can(world, Change::Remove(someone)),
            15 if known => {
                let role = [Role::Member, Role::Admin, Role::Owner][below(&mut world.rng, 3)];
                can(world, Change::SetRole(someone, role));
            }
            16 if known && chance(&mut world.rng, 30) => can(world, Change::Leave),
            17 | 18 if at != VILLAIN => {
                let own = world.devices[at].owner.identity;
                if someone != own {
                    attempt(world, at, Input::StartDirect { with: someone });
                    let id = ConversationId::between(&own, &someone);
                    if !self.talks.contains(&id) {
                        self.talks.push(id);
                    }
                }
            }
            19 => world.devices[at].online = !world.devices[at].online,
            20 => {
                let node = below(&mut world.rng, NODES);
                world.devices[at].cut[node] = !world.devices[at].cut[node];
            }
            21 => {
                let (one, other) = (below(&mut world.rng, NODES), below(&mut world.rng, NODES));
                let apart = &mut world.nodes.apart[one.min(other)][one.max(other)];
                *apart = !*apart;
            }
            22 => {
                // A node is cut off from all others, or all is well again.
                let alone = below(&mut world.rng, NODES);
                let apart = chance(&mut world.rng, 50);
                for other in 0..NODES {
                    world.nodes.apart[alone.min(other)][alone.max(other)] = apart && other != alone;
                }
            }
            23 if known => {
                if let Some(last) = world.messages(at, conversation).last() {
                    let up_to = last.order;
                    attempt(world, at, Input::MarkRead { conversation, up_to });
                }
            }
            24..28 => self.misbehave(conversation),
            28 if chance(&mut world.rng, 30) => self.revoke(person * DEVICES + 1),
            29 if chance(&mut world.rng, if self.doings > FEW { 60 } else { 20 }) && person + 1 < PEOPLE => {
                let new = world.devices.len();
                if new < PEOPLE * DEVICES + 2 {
                    world.add_device(person, new);
                    self.tell_all(person);
                }
            }
            30..33 => self.ask(),
            33..36 => self.answer(),
            36..38 => self.hand_over(at),
            38 | 39 => {
                let how = (1 + below(&mut world.rng, 6), chance(&mut world.rng, 70));
                villain::commit_in_parts(world, VILLAIN, self.talks[0], &villain::update(), how);
            }
            _ => {}
        }
    }

    /// Somebody who is not in the group asks to be let in by a link, which is made if there is none; else, links are revoked.
    fn ask(&mut self) {
        let (world, conversation) = (&mut self.world, self.talks[0]);
        let inside: BTreeSet<IdentityId> = (0..world.devices.len())
            .flat_map(|at| world.infos(at))
            .filter(|info| info.conversation == conversation && info.standing == Standing::Active)
            .flat_map(|info| info.members.into_iter().map(|member| member.identity))
            .collect();
        let outside: Vec<usize> = (0..world.devices.len())
            .filter(|at| !inside.contains(&world.devices[*at].owner.identity))
            .collect();
        let devices = world.devices.len();
        let first = below(&mut world.rng, devices);
        for at in (0..devices).map(|at| (first + at) % devices) {
            if outside.is_empty() {
                let link = None;
                attempt(world, at, Input::RevokeLink { conversation, link });
                return;
            }
            let lifetime_seconds = 600;
            let make = Input::MakeLink {
                conversation,
                lifetime_seconds,
            };
            let now = UnixMillis::new(world.now);
            let known = |world: &World| {
                let device = &world.devices[at];
                step::links(&device.store, &device.owner, conversation, now).unwrap()
            };
            if known(world).is_empty() {
                attempt(world, at, make);
            }
            // One that is revoked, or whose maker is gone, may be tried too.
            self.links.extend(known(world));
            let count = self.links.len();
            if count > 0 {
                let link = self.links[below(&mut world.rng, count)].clone();
                let asks = outside[below(&mut world.rng, outside.len())];
                attempt(world, asks, Input::AskToJoin { link });
                return;
            }
        }
    }

    /// Somebody is let in who asks, or is refused.
    fn answer(&mut self) {
        let (world, conversation) = (&mut self.world, self.talks[0]);
        let now = UnixMillis::new(world.now);
        let asked: Vec<(usize, IdentityId)> = (0..world.devices.len())
            .flat_map(|at| {
                let requests = step::requests(&world.devices[at].store, conversation, now).unwrap();
                requests.into_iter().map(move |request| (at, request.asker))
            })
            .collect();
        if !asked.is_empty() {
            let (at, identity) = asked[below(&mut world.rng, asked.len())];
            let admit = chance(&mut world.rng, 80);
            let answer = Input::AnswerRequest {
                conversation,
                identity,
                admit,
            };
            attempt(world, at, answer);
        }
    }

    /// The newest other device of the same owner is given what was said.
    fn hand_over(&mut self, at: usize) {
        let world = &mut self.world;
        let own = world.devices[at].owner.identity;
        let other = (0..world.devices.len())
            .rev()
            .find(|other| *other != at && world.devices[*other].owner.identity == own);
        let device = world.devices[other.unwrap()].id;
        let lately = UnixMillis::new(world.now - 10_000);
        let since = chance(&mut world.rng, 30).then_some(lately);
        attempt(world, at, Input::GiveHistory { device, since });
    }

    /// The second device of somebody is lost.
    fn revoke(&mut self, device: usize) {
        let (identity, id) = (self.world.devices[device].owner.identity, self.world.devices[device].id);
        self.world.ledger.revoke_device(identity, id);
        self.tell_all(device / DEVICES);
    }

    /// Everybody who can be reached is shown an identity.
    fn tell_all(&mut self, person: usize) {
        let world = &mut self.world;
        for at in 0..world.devices.len() {
            let (state, height) = world.ledger.identity(&world.people[person], u64::MAX);
            if world.is_up(at) {
                let state = Box::new(state.unwrap());
                attempt(world, at, Input::Identity { state, height });
            }
        }
    }

    fn misbehave(&mut self, conversation: ConversationId) {
        let world = &mut self.world;
        let group = self.talks[0];
        let to = below(&mut world.rng, VILLAIN);
        match below(&mut world.rng, 7) {
            0 | 1 => {
                let Some(inside) = villain::inside(world, VILLAIN, group) else {
                    return;
                };
                let count = self.mischief.entry(inside.entry).or_default();
                *count += 1;
                if *count <= MISCHIEF_MAX {
                    let what = Mischief::ALL[below(&mut world.rng, Mischief::ALL.len())];
                    do_mischief(world, VILLAIN, group, what);
                }
            }
            2 => {
                let what = FalseReceipt::ALL[below(&mut world.rng, FalseReceipt::ALL.len())];
                villain::lie_about_storage(world, VILLAIN, group, what);
            }
            3 => {
                villain::spam_messages(world, VILLAIN, conversation);
            }
            4 => villain::spam_notes(world, VILLAIN, to, group),
            5 => {
                villain::replay(world, VILLAIN, group);
            }
            _ if self.shut_out > 0 => {
                self.shut_out -= 1;
                shut_out(world, VILLAIN, group);
            }
            _ => {}
        }
    }
}

/// What an owner tries: refused, if the owner may not; lost, if the device crashes.
fn attempt(world: &mut World, at: usize, input: Input) {
    if let Err(error @ (StepError::Damaged(_) | StepError::Session(_) | StepError::Encode(_))) = world.step(at, input) {
        panic!("{}: {error}", world.devices[at].name);
    }
}

fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(default)
}

/// Tries every `parts`-th seed, and names all that fail.
fn seeds(part: u64, parts: u64) {
    let (first, count) = (count("TOKENIM_FIRST", 0), count("TOKENIM_SEEDS", 20));
    let mut failed = Vec::new();
    for seed in (first..first + count).filter(|seed| seed % parts == part) {
        if std::panic::catch_unwind(|| run(seed)).is_err() {
            eprintln!(
                "seed {seed} fails: TOKENIM_SEED={seed} cargo test -p tokenim-session --test simulation one_seed"
            );
            failed.push(seed);
        }
        if (seed - first) / parts % 50 == 49 {
            eprintln!("{seed}: {} failed", failed.len());
        }
    }
    assert!(failed.is_empty(), "seeds that fail: {failed:?}");
}

#[test]
fn even_seeds_end_together() {
    seeds(0, 2);
}

#[test]
fn odd_seeds_end_together() {
    seeds(1, 2);
}

#[test]
fn one_seed() {
    run_with(count("TOKENIM_SEED", 0), count("TOKENIM_DOINGS", ALL as u64) as usize);
}

#[test]
fn an_old_answer_that_does_not_show_the_own_device_loses_no_wish() {
    run_with(3566, FEW);
    run_with(2284, FEW);
}

#[test]
fn a_life_in_which_a_commit_shuts_all_out_ends_in_one_thing_to_do() {
    run(9214);
}

/// A message had its place in epoch 2 of a session of two people, and is said again in epoch 1 of the other one, which goes on.
#[test]
fn a_life_in_which_a_message_moves_to_a_session_that_has_come_less_far() {
    run(3949);
}

#[test]
fn the_same_seed_gives_the_same_log() {
    for seed in [3, 1_000_003] {
        assert_eq!(run(seed), run(seed));
    }
}
