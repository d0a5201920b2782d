//! Bodies of the fuzz targets, shared with the test that replays the corpus. The device that is tried comes out of the
//! simulated world of `tokenim-session`, whose modules stand beside this one.

use crate::world::{
    NETWORK, World,
    store::MemoryStore,
    villain::{Inside, fake_welcome, inside},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::{convert::Infallible, sync::LazyLock};
use tokenim_conversation::{
    Content, GroupContext,
    child::{self, Parent},
};
use tokenim_identity::{EpochKey, IdentityState, Signature};
use tokenim_mailbox::{
    MailboxTag,
    group::{GroupHandle, GroupNode, LedgerPlace, RecordedChild},
};
use tokenim_session::{
    Owner,
    step::{self, Answer, Change, ConversationId, Input, Row, StepError, Table, View},
};
use tokenim_wire::{Height, Object, UnixMillis};

/// A group of two, seen from its second member; what the first one, its owner, has in hand.
pub struct Scene {
    pub store: MemoryStore,
    pub owner: Owner,
    pub other: Owner,
    pub talk: ConversationId,
    pub inside: Inside,
    pub node: GroupNode,
    pub state: IdentityState,
    pub now: u64,
    pub height: u64,
    /// The device with nothing but its key packages, and in the group; both again `LATER_MS` later. To make key packages is
    /// what takes longest: so no input has to.
    pub prepared: [MemoryStore; 4],
    /// Commits of the other's, each with the key that follows it.
    commits: Vec<(Vec<u8>, EpochKey)>,
    /// Of the other's, into a group of its own making with the handle of the group, and with another one.
    pub welcomes: [(GroupHandle, Vec<u8>); 2],
}

/// Past the time for which envelopes, commits and key packages are kept.
const LATER_MS: u64 = 45 * DAY_MS;
/// How long an input takes at most: before the stock is filled up again.
const LASTS_MS: u64 = 20 * DAY_MS;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

pub static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let mut world = World::new(7, 2, 1);
    let talk = world.group(0, &[1]);
    world.settle();
    world.say(1, talk, "hello");
    world.settle();
    let inside = inside(&world, 0, talk).unwrap();
    let (node, height) = world.ledger.node(inside.handle, inside.entry, u64::MAX).unwrap();
    let (state, _) = world.ledger.identity(&world.people[0], u64::MAX);
    let [other, device] = [0, 1].map(|at: usize| Owner {
        network: NETWORK,
        identity: world.devices[at].owner.identity,
        device: world.devices[at].owner.device.clone(),
    });
    let store = world.devices[1].store.clone();
    let ticked = |store: &MemoryStore, now: u64| {
        let mut store = store.clone();
        let done = step::step(
            &store,
            &device,
            &[],
            None,
            UnixMillis::new(now),
            &mut rng(now),
            Input::Tick,
        );
        store.apply(&done.unwrap().batch);
        store
    };
    let (now, later) = (world.now, world.now + LATER_MS);
    let nobody = ticked(&MemoryStore::new(), now);
    let prepared = [
        nobody.clone(),
        store.clone(),
        ticked(&nobody, later),
        ticked(&store, later),
    ];
    let commits = (0..4).map(|number| commit(&inside, now, number)).collect();
    let welcomes = [inside.handle, GroupHandle::from_bytes([8; 32])].map(|handle| {
        let context = GroupContext::group(handle, "mine", other.identity).unwrap();
        (handle, fake_welcome(&mut world, 0, 1, &context, &[], 12).unwrap().0)
    });
    Scene {
        store,
        prepared,
        commits,
        welcomes,
        owner: device,
        other,
        talk,
        inside,
        node,
        state: state.unwrap(),
        now: world.now,
        height: height.get(),
    }
});

/// What can be asked of a store; a damaged value may be found only if there is one.
fn ask<V: View>(store: &V, talk: ConversationId) -> Result<(), StepError<V::Error>> {
    step::conversations(store)?;
    step::conversation(store, talk)?;
    step::messages(store, talk, None, 1000)?;
    step::due(store, None, 1000)?;
    step::watches(store)?;
    step::wake(store)?;
    Ok(())
}

fn rng(number: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(number)
}

/// The device is one that has nothing (0) or is in a group (1), or that after a long time (2, 3), then inputs: a number (1), a
/// length (2), bytes. Each is taken or refused for a reason of the input's; what is kept can be read after each.
pub fn inputs(data: &[u8]) {
    let Some((member, mut rest)) = data.split_first() else {
        return;
    };
    let scene = &*SCENE;
    let keys = &scene.inside.keys;
    let which = usize::from(member % 4);
    let mut store = scene.prepared[which].clone();
    let mut group = scene.inside.group.clone();
    let mut node = scene.node.clone();
    let begin = scene.now + if which < 2 { 0 } else { LATER_MS };
    let (mut now, mut height) = (begin, scene.height);
    let mut last: Option<(MailboxTag, Vec<u8>)> = None;
    for count in 0..48 {
        let Some(([number, high, low], tail)) = rest.split_first_chunk::<3>() else {
            break;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (bytes, tail) = tail.split_at(length);
        rest = tail;
        let mut random = rng(count);
        let expiry = UnixMillis::new(now).to_seconds().saturating_add(29 * 24 * 60 * 60);
        let at = Height::new(height);
        let first = bytes.first().copied().unwrap_or_default();
        let own = *number == 10;
        let envelope = |tag, wrapped: &[u8], random: &mut ChaCha8Rng| {
            let bytes = keys.wrap(wrapped, expiry, random).ok()?.into_bytes();
            Some(Input::Envelope { tag, bytes, height: at })
        };
        let input = match number {
            // A note of the other's.
            1 => Some(Input::Sealed {
                sender: scene.other.identity,
                device: scene.other.device_id(),
                body: bytes.to_vec(),
            }),
            // Bytes as an envelope; bytes in an envelope; bytes as what a member says.
            2 => Some(Input::Envelope {
                tag: keys.mailbox().tag(),
                bytes: bytes.to_vec(),
                height: at,
            }),
            3 => envelope(keys.mailbox().tag(), bytes, &mut random),
            4 => group
                .encrypt(bytes, &mut random)
                .ok()
                .and_then(|message| envelope(keys.mailbox().tag(), &message, &mut random)),
            // An entry of the log, and one with a child more, whose commit is these bytes or, without any, a good one.
            5 => GroupNode::from_bytes(bytes).ok().map(|node| Input::Node {
                handle: scene.inside.handle,
                entry: scene.inside.entry,
                node: Box::new(node),
                height: at,
            }),
            6 => {
                let (commit, next) = made(scene, bytes, count);
                let stored = keys.wrap(&commit, expiry, &mut random).unwrap();
                let parent = Parent {
                    network: &NETWORK,
                    handle: scene.inside.handle,
                    entry: scene.inside.entry,
                    keys,
                };
                let sign = |message: &[u8]| Ok::<Signature, Infallible>(group.sign_author(message));
                let Ok(child) = child::build(
                    &parent,
                    &commit,
                    next,
                    stored.id().into(),
                    group.own(),
                    sign,
                    &mut random,
                );
                last = Some((child.tag, stored.into_bytes()));
                let place = LedgerPlace {
                    height: at,
                    time: UnixMillis::new(now),
                    index: u32::from(node.children.len() as u8),
                };
                let _ = node.children.push(RecordedChild { child, place });
                Some(Input::Node {
                    handle: scene.inside.handle,
                    entry: scene.inside.entry,
                    node: Box::new(node.clone()),
                    height: at,
                })
            }
            // The last child's commit.
            7 => last
                .clone()
                .map(|(tag, bytes)| Input::Envelope { tag, bytes, height: at }),
            8 => step::watches(&store)
                .unwrap()
                .mailboxes
                .first()
                .map(|watch| Input::Read {
                    tag: watch.descriptor.tag(),
                    height: at,
                }),
            9 => {
                let due = step::due(&store, None, 8).unwrap();
                let known = Some(Box::new(scene.state.clone()));
                due.into_iter().nth(usize::from(first % 8)).map(|(id, _)| {
                    let answer = match bytes.get(1).copied().unwrap_or_default() % 10 {
                        0 => Answer::Included,
                        1 => Answer::Sealed,
                        2 => Answer::Published,
                        3 => Answer::Failed,
                        4 => Answer::Package(None),
                        5 => Answer::Package(Some(bytes.to_vec().try_into().unwrap_or_default())),
                        6 => Answer::Identity(known, at),
                        7 => Answer::Identity(None, at),
                        8 => Answer::Accepted(Some(at)),
                        _ => Answer::Accepted(None),
                    };
                    Input::Done(id, answer)
                })
            }
            // The owner.
            10 => Some(match first % 4 {
                0 => Input::Send {
                    conversation: scene.talk,
                    content: Content::text("from here").unwrap(),
                },
                1 => Input::Change {
                    conversation: scene.talk,
                    change: Change::Refresh,
                },
                2 => Input::Change {
                    conversation: scene.talk,
                    change: Change::Leave,
                },
                _ => Input::StartDirect {
                    with: scene.other.identity,
                },
            }),
            11 => {
                let mut state = scene.state.clone();
                for device in state.devices.as_mut_slice() {
                    device.revoked = (first % 2 == 1).then_some(at);
                }
                Some(Input::Identity {
                    state: Box::new(state),
                    height: at,
                })
            }
            // Time passes.
            _ => {
                now = (now + u64::from(first).pow(4)).min(begin + LASTS_MS);
                height += u64::from(first) * 16;
                Some(Input::Tick)
            }
        };
        let Some(input) = input else { continue };
        match step::step(
            &store,
            &scene.owner,
            &[],
            None,
            UnixMillis::new(now),
            &mut random,
            input,
        ) {
            Ok(outcome) => store.apply(&outcome.batch),
            Err(StepError::Refused(_)) => {
                // What was refused leaves nothing behind that stands in the way of the next step.
                step::step(
                    &store,
                    &scene.owner,
                    &[],
                    None,
                    UnixMillis::new(now),
                    &mut random,
                    Input::Tick,
                )
                .unwrap();
            }
            Err(StepError::UnknownConversation | StepError::NotInConversation | StepError::NotAllowed) if own => {}
            Err(StepError::Full(_)) if own => {}
            Err(error) => panic!("input {number}: {error}"),
        }
        ask(&store, scene.talk).unwrap();
    }
}

/// A commit of the other's and the key that follows it, or these bytes.
fn made(scene: &Scene, bytes: &[u8], count: u64) -> (Vec<u8>, EpochKey) {
    if !bytes.is_empty() {
        return (bytes.to_vec(), scene.inside.keys.verifying_key());
    }
    let commits = &scene.commits;
    commits[usize::try_from(count).unwrap() % commits.len()].clone()
}

fn commit(inside: &Inside, now: u64, number: u64) -> (Vec<u8>, EpochKey) {
    let update = tokenim_mls::Proposed {
        update: true,
        ..tokenim_mls::Proposed::default()
    };
    let time = UnixMillis::new(now).to_seconds();
    let commit = inside.group.commit(&update, time, &mut rng(1000 + number)).unwrap();
    let next = tokenim_conversation::EpochKeys::derive(&NETWORK, &inside.handle, |label, context, length| {
        commit.next.export(label, context, length)
    });
    (commit.bytes, next.unwrap().verifying_key())
}

/// A store in which one value is another one.
struct Damaged<'a> {
    store: &'a MemoryStore,
    table: Table,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl View for Damaged<'_> {
    type Error = Infallible;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        if table == self.table && key == self.key {
            return Ok(Some(self.value.clone()));
        }
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, Infallible> {
        let mut rows = self.store.scan(table, from, limit)?;
        for (key, value) in &mut rows {
            if table == self.table && *key == self.key {
                value.clone_from(&self.value);
            }
        }
        Ok(rows)
    }

    fn scan_back(&self, table: Table, below: &[u8], limit: usize) -> Result<Vec<Row>, Infallible> {
        let mut rows = self.store.scan_back(table, below, limit)?;
        for (key, value) in &mut rows {
            if table == self.table && *key == self.key {
                value.clone_from(&self.value);
            }
        }
        Ok(rows)
    }
}

/// A table (1), a row (1), a place (2) and what is changed there (1); then bytes in place of the value from there on, if any.
/// Whatever is kept, a step and a question end.
pub fn rows(data: &[u8]) {
    let Some(([table, row, high, low, change], bytes)) = data.split_first_chunk::<5>() else {
        return;
    };
    let scene = &*SCENE;
    let table = Table::ALL[usize::from(*table) % Table::ALL.len()];
    let rows = scene.store.scan(table, &[], 1000).unwrap();
    let Some((key, mut value)) = rows.get(usize::from(*row) % rows.len().max(1)).cloned() else {
        return;
    };
    let place = usize::from(u16::from_be_bytes([*high, *low])) % (value.len() + 1);
    if let Some(byte) = value.get_mut(place) {
        *byte ^= change;
    }
    if !bytes.is_empty() {
        value.truncate(place);
        value.extend_from_slice(bytes);
    }
    let store = Damaged {
        store: &scene.store,
        table,
        key,
        value,
    };
    let _ = ask(&store, scene.talk);
    let keys = &scene.inside.keys;
    let message = scene.inside.group.clone().encrypt(b"", &mut rng(1)).unwrap();
    let now = UnixMillis::new(scene.now);
    let expiry = now.to_seconds().saturating_add(60);
    let height = Height::new(scene.height);
    let inputs = [
        Input::Tick,
        Input::Node {
            handle: scene.inside.handle,
            entry: scene.inside.entry,
            node: Box::new(scene.node.clone()),
            height,
        },
        Input::Envelope {
            tag: keys.mailbox().tag(),
            bytes: keys.wrap(&message, expiry, &mut rng(2)).unwrap().into_bytes(),
            height,
        },
        Input::Send {
            conversation: scene.talk,
            content: Content::text("from here").unwrap(),
        },
        Input::Change {
            conversation: scene.talk,
            change: Change::Refresh,
        },
    ];
    for input in inputs {
        let _ = step::step(&store, &scene.owner, &[], None, now, &mut rng(3), input);
    }
}
