//! What holds in the end of a life.

use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_session::step::{self, ConversationId, Info, Mark, Message, Standing};

/// The messages of a device, by author and id.
type Held = BTreeMap<(IdentityId, MessageId), Message>;

/// Devices that are live and whose owners follow the protocol.
fn honest(world: &World) -> Vec<usize> {
    (0..world.devices.len())
        .filter(|at| {
            let device = &world.devices[*at];
            let (state, _) = world.ledger.identity(&device.owner.identity, u64::MAX);
            let live = state
                .unwrap()
                .active_devices()
                .any(|entry| entry.keys.device_id() == device.id);
            live && !world.malicious.contains(&device.id)
        })
        .collect()
}

/// Whether of those who follow the protocol nobody is in a conversation, and some still ask to be added again.
pub fn all_ask(world: &World, conversation: ConversationId) -> bool {
    let info = |at: &usize| step::conversation(&world.devices[*at].store, conversation).unwrap();
    let infos: Vec<Info> = honest(world).iter().filter_map(info).collect();
    infos.iter().all(|info| info.standing != Standing::Active)
        && infos
            .iter()
            .any(|info| info.standing == Standing::Behind && info.action.is_none())
}

/// Members are in one epoch, active, and have sent everything; what was stored is there for all who were in its epoch, in one
/// order, and for nobody else; what the owner was told to be stored is not lost.
pub fn check(world: &World, talks: &[ConversationId], seed: u64) {
    let honest = honest(world);
    if std::env::var_os("TOKENIM_LOG").is_some() {
        show(world, talks);
    }
    for conversation in talks {
        let mut infos = BTreeMap::new();
        for at in &honest {
            if let Some(info) = step::conversation(&world.devices[*at].store, *conversation).unwrap() {
                infos.insert(*at, info);
            }
        }
        let Some(newest) = infos
            .values()
            .filter(|info| info.standing == Standing::Active)
            .max_by_key(|info| info.epoch)
        else {
            for (at, info) in infos {
                let over = matches!(info.standing, Standing::Removed | Standing::Stranded);
                let waits = info.standing == Standing::Joining && info.handle.is_none();
                let name = &world.devices[at].name;
                assert!(
                    over || waits || info.action.is_some(),
                    "seed {seed}: {name} has lost a conversation: {info:?}"
                );
            }
            continue;
        };
        let current = together(world, &honest, &infos, newest, seed);
        if newest.with.is_some() {
            // Two people, whatever each of them began, are in one session in the end.
            for (at, info) in infos.iter().filter(|(_, info)| info.standing == Standing::Active) {
                let name = &world.devices[*at].name;
                assert_eq!(info.handle, newest.handle, "seed {seed}: {name} talks to nobody");
            }
        }
        let held: BTreeMap<usize, Held> = honest
            .iter()
            .map(|at| {
                let messages = world.messages(*at, *conversation).into_iter();
                let held = messages.map(|message| ((message.author, message.id), message));
                (*at, held.collect())
            })
            .collect();
        heard(world, &held, &current, seed);
    }
    for (at, conversation, id) in &world.acknowledged {
        let device = &world.devices[*at];
        if world.malicious.contains(&device.id) {
            continue;
        }
        let messages = world.messages(*at, *conversation);
        let own = messages.iter().find(|message| message.id == *id);
        let info = world.info(*at, *conversation);
        // It may wait again where nothing can be said any more.
        let waits = !honest.contains(at) || info.standing != Standing::Active;
        assert!(
            own.is_some_and(|message| message.mark >= Some(Mark::Stored)
                || message.mark == Some(Mark::Queued) && waits),
            "seed {seed}: {} has lost what it was told to be stored",
            device.name
        );
    }
}

/// The devices that are in the newest epoch, all of which stand there.
fn together(world: &World, honest: &[usize], infos: &BTreeMap<usize, Info>, newest: &Info, seed: u64) -> Vec<usize> {
    let members: BTreeSet<DeviceId> = newest
        .members
        .iter()
        .flat_map(|member| member.devices.clone())
        .collect();
    let current: Vec<usize> = honest
        .iter()
        .copied()
        .filter(|at| members.contains(&world.devices[*at].id))
        .collect();
    for at in &current {
        let name = &world.devices[*at].name;
        let info = infos
            .get(at)
            .unwrap_or_else(|| panic!("seed {seed}: {name} has no Welcome"));
        assert_eq!(
            info.standing,
            Standing::Active,
            "seed {seed}: {name}, epoch {}, {:?}",
            info.epoch,
            info.action
        );
        assert_eq!(
            (info.epoch, info.authenticator),
            (newest.epoch, newest.authenticator),
            "seed {seed}: {name} is not where the others are: {}",
            describe(world, *at)
        );
        assert_eq!(
            info.queued,
            0,
            "seed {seed}: {name} has not sent everything: {}",
            describe(world, *at)
        );
    }
    current
}

fn heard(world: &World, held: &BTreeMap<usize, Held>, current: &[usize], seed: u64) {
    for (author, sent) in held {
        for (key, message) in sent {
            for (at, messages) in held {
                let device = &world.devices[*at];
                let name = &device.name;
                let there = messages.get(key);
                if let Some(there) = there {
                    assert_eq!(there.order, message.order, "seed {seed}: {name} has another order");
                    let Some((tag, _)) = there.stored else { continue };
                    let (members, ..) = &world.epochs[&world.tags[&tag]];
                    assert!(
                        members.contains(&device.id),
                        "seed {seed}: {name} reads what is not for it"
                    );
                }
                let own = message.device == world.devices[*author].id;
                if !own || message.mark < Some(Mark::Stored) || !current.contains(at) {
                    continue;
                }
                let Some((tag, _)) = message.stored else { continue };
                let of = &world.tags[&tag];
                let (members, _, epoch) = &world.epochs[of];
                // What was said before its Welcome, the first or the last one, it may lack.
                let since = world.since.get(&(*at, of.0));
                if members.contains(&device.id) && since.is_some_and(|since| since <= epoch) {
                    assert!(
                        there.is_some(),
                        "seed {seed}: {name} lacks {} of {}, {:?}",
                        message.id,
                        world.devices[*author].name,
                        of
                    );
                }
            }
        }
    }
}

/// Where everybody stands.
fn show(world: &World, talks: &[ConversationId]) {
    for conversation in talks {
        for device in &world.devices {
            let Some(info) = step::conversation(&device.store, *conversation).unwrap() else {
                continue;
            };
            let handle = info.handle.map(|handle| format!("{:.8}", handle.to_string()));
            let members: Vec<&str> = (info.members.iter().flat_map(|member| &member.devices))
                .filter_map(|id| world.devices.iter().find(|other| other.id == *id))
                .map(|other| other.name.as_str())
                .collect();
            println!(
                "{} {:.6} {handle:?} {:?} {} {members:?} {:?}",
                device.name,
                conversation.to_string(),
                info.standing,
                info.epoch,
                info.action
            );
        }
    }
}

/// What a device waits for.
fn describe(world: &World, at: usize) -> String {
    let store = &world.devices[at].store;
    let watches = step::watches(store).unwrap();
    let once: Vec<_> = watches.mailboxes.iter().filter(|watch| watch.one_shot).collect();
    let given: Vec<_> = once
        .iter()
        .map(|watch| {
            let given = world.devices[at].given.get(&watch.descriptor.tag());
            given.map(std::collections::BTreeSet::len)
        })
        .collect();
    let children: Vec<_> = watches
        .nodes
        .iter()
        .map(|(handle, entry, known)| {
            let node = world.ledger.node(*handle, *entry, u64::MAX);
            (known, node.map(|(node, _)| node.children.len()))
        })
        .collect();
    format!(
        "{:?}, due {:?}, commits {given:?}, children {children:?}",
        world.infos(at),
        step::due(store, None, 9).unwrap()
    )
}
