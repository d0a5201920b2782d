//! A device and its host: it makes batches durable, gives the machine what has come, and crashes.

mod outside;

use super::{
    BEGIN, BLOCK_MS, NOBODY, World, below, chance,
    nodes::{Bytes, NODES},
    store::{Before, MemoryStore},
    write_down,
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};
use tokenim_conversation::{EpochKeys, rows::Session};
use tokenim_envelope::Checkpoint;
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::{
    KeyPackage, MailboxTag,
    group::{GroupEntryId, GroupHandle},
};
use tokenim_session::{
    Owner,
    step::{
        self, Answer, Effect, EffectId, Event, Input, Mark, Outcome, Refusal, Standing, StepError, Table, View, Watches,
    },
};
use tokenim_wire::{Digest, EnvelopeId, Height, Object, UnixMillis, limits::SESSION_SYNC_SECONDS_MAX};

/// After how long the host gives the machine again what has not changed, and lets time pass, in milliseconds.
const AGAIN_MS: u64 = 10_000;
/// After how long it reads a mailbox again that brings one thing only, and keeps no position for.
const ONCE_MS: u64 = 2_000;
/// For how long after the end of an epoch on the ledger its members may still encrypt for it: what they believe may be so old,
/// and what they saw then may be.
const UNAWARE_MS: u64 = SESSION_SYNC_SECONDS_MAX * 1000 + 123_000 + 10_000;

/// The header of this height.
pub fn checkpoint(height: u64) -> Checkpoint {
    Checkpoint {
        height: Height::new(height),
        header: Digest::from_bytes(std::array::from_fn(|at| height.to_be_bytes()[at % 8])),
    }
}

/// Where a device crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A batch was made, and is lost.
    BeforeBatch,
    /// A batch is durable, and nobody knows.
    AfterBatch,
    /// An effect is about to be carried out.
    BeforeEffect,
    /// An effect was carried out, and its answer is lost.
    AfterEffect,
}

impl Point {
    pub const ALL: [Self; 4] = [
        Self::BeforeBatch,
        Self::AfterBatch,
        Self::BeforeEffect,
        Self::AfterEffect,
    ];
}

/// A crash that is planned.
#[derive(Clone, Copy, Debug)]
pub struct Crash {
    pub device: usize,
    pub point: Point,
    /// Of the batches or effects of that device.
    pub number: u64,
}

/// A letter for a contact inbox.
#[derive(Clone)]
pub struct Letter {
    pub id: [u8; 16],
    pub sender: IdentityId,
    pub device: DeviceId,
    pub body: Vec<u8>,
    /// Which nodes have it.
    pub on: [bool; NODES],
}

/// What nodes hold for a device: its contact inbox, and its stock of key packages.
#[derive(Clone, Default)]
pub struct Inbox {
    pub letters: Vec<Letter>,
    pub packages: Vec<KeyPackage>,
}

/// What comes to a host.
#[derive(Clone)]
enum Arrival {
    /// An entry of the ledger.
    Node(Box<Input>),
    /// What a mailbox had, and whether that is all.
    Mail {
        tag: MailboxTag,
        envelopes: Vec<Bytes>,
        height: u64,
        one_shot: bool,
        read: bool,
    },
    Letter(Letter),
    Answer(EffectId, Answer),
}

/// What a host keeps in the transaction of a batch.
#[derive(Clone, Copy)]
enum Position {
    Envelope(MailboxTag, EnvelopeId),
    Letter([u8; 16]),
}

/// What changed since the host last made it durable.
#[derive(Clone)]
enum Undo {
    Rows(Vec<Before>),
    Position(Position),
}

#[derive(Clone)]
pub struct Device {
    pub name: String,
    pub owner: Owner,
    /// Extensions that its software knows.
    pub known: &'static [&'static str],
    pub id: DeviceId,
    pub store: MemoryStore,
    /// On the nodes.
    pub inbox: Inbox,
    /// Envelopes that were given, by mailbox: the position of the host, kept with the batch.
    pub given: BTreeMap<MailboxTag, BTreeSet<EnvelopeId>>,
    /// Letters that were taken, likewise.
    taken: BTreeSet<[u8; 16]>,
    pub online: bool,
    /// Nodes that it can't reach.
    pub cut: [bool; NODES],
    pub events: Vec<Event>,
    /// Headers that authors of messages say to have seen.
    pub seen: Vec<(IdentityId, Checkpoint)>,
    pub refusals: Vec<Refusal>,
    /// Batches that were made, and effects that were carried out.
    pub batches: u64,
    pub effects: u64,
    down_until: u64,
    undo: Vec<Undo>,
    untold: Vec<Event>,
    memory: Memory,
}

/// What a host forgets when it crashes.
#[derive(Clone, Default)]
struct Memory {
    arrivals: Vec<(u64, Arrival)>,
    /// Effects whose answers are under way.
    busy: BTreeMap<EffectId, u64>,
    /// Under which number a node was given an update.
    submitted: BTreeMap<GroupEntryId, u64>,
    /// What was given of an entry, and when.
    shown: BTreeMap<(GroupHandle, GroupEntryId), (usize, u64)>,
    /// What was read of a mailbox, and when.
    read: BTreeMap<MailboxTag, (u64, u64)>,
    /// What was read of a mailbox that brings one thing only, until it was read to its end.
    pages: BTreeMap<MailboxTag, BTreeSet<EnvelopeId>>,
    /// Letters that were looked at.
    letters: usize,
    ticked: u64,
    watches: Option<Watches>,
    due: Option<Vec<(EffectId, Effect)>>,
    wake: Option<Option<UnixMillis>>,
}

impl Device {
    pub fn new(name: String, owner: Owner) -> Self {
        let id = owner.device_id();
        Self {
            name,
            owner,
            known: &[],
            id,
            store: MemoryStore::new(),
            inbox: Inbox::default(),
            given: BTreeMap::new(),
            taken: BTreeSet::new(),
            online: true,
            cut: NOBODY,
            events: Vec::new(),
            seen: Vec::new(),
            refusals: Vec::new(),
            batches: 0,
            effects: 0,
            down_until: 0,
            undo: Vec::new(),
            untold: Vec::new(),
            memory: Memory::default(),
        }
    }

    pub const fn is_down(&self, now: u64) -> bool {
        now < self.down_until
    }

    /// The process ends: what it remembers is gone.
    pub fn forget(&mut self) {
        self.memory = Memory::default();
        self.undo.clear();
        self.untold.clear();
    }

    /// So are the positions that it kept.
    pub fn forget_positions(&mut self) {
        self.given.clear();
        self.taken.clear();
        self.forget();
    }

    fn position(&mut self, position: Position) {
        let new = match position {
            Position::Envelope(tag, id) => self.given.entry(tag).or_default().insert(id),
            Position::Letter(id) => self.taken.insert(id),
        };
        if new {
            self.undo.push(Undo::Position(position));
        }
    }

    /// All is durable: the owner is told.
    fn sync(&mut self) -> Vec<Event> {
        self.undo.clear();
        std::mem::take(&mut self.untold)
    }

    /// What was not durable is gone.
    fn roll_back(&mut self) {
        for undo in std::mem::take(&mut self.undo).into_iter().rev() {
            match undo {
                Undo::Rows(rows) => self.store.take_back(rows),
                Undo::Position(Position::Envelope(tag, id)) => {
                    self.given.entry(tag).or_default().remove(&id);
                }
                Undo::Position(Position::Letter(id)) => {
                    self.taken.remove(&id);
                }
            }
        }
        self.forget();
    }

    fn due(&mut self) -> &[(EffectId, Effect)] {
        let store = &self.store;
        self.memory
            .due
            .get_or_insert_with(|| step::due(store, None, 6).unwrap())
    }

    pub fn has_news(&mut self) -> bool {
        !self.due().is_empty()
            || !self.memory.arrivals.is_empty()
            || self.inbox.letters.iter().any(|letter| !self.taken.contains(&letter.id))
    }

    /// Lets the caches go, because the store has changed.
    fn changed(&mut self) {
        self.memory.watches = None;
        self.memory.due = None;
        self.memory.wake = None;
    }
}

impl World {
    pub fn is_up(&self, at: usize) -> bool {
        let device = &self.devices[at];
        device.online && !device.is_down(self.now)
    }

    /// The device loses what is not durable, and its host what it remembers.
    fn crash(&mut self, at: usize) {
        let down = if self.faults.down > 0 {
            below(&mut self.rng, self.faults.down as usize) as u64
        } else {
            2 * BLOCK_MS
        };
        let device = &mut self.devices[at];
        device.roll_back();
        device.down_until = self.now + down;
        let line = format!("{} {} crashes", self.now - BEGIN, device.name);
        write_down(&mut self.log, line);
    }

    /// Whether the device is to crash here.
    fn crashes(&mut self, at: usize, point: Point) -> bool {
        let device = &self.devices[at];
        let number = match point {
            Point::BeforeBatch | Point::AfterBatch => device.batches,
            Point::BeforeEffect | Point::AfterEffect => device.effects,
        };
        let planned = self
            .planned
            .is_some_and(|crash| (crash.device, crash.point, crash.number) == (at, point, number));
        if planned {
            self.planned = None;
        } else if !chance(&mut self.rng, self.faults.crash) {
            return false;
        }
        self.crash(at);
        true
    }

    fn sync(&mut self, at: usize) {
        for event in self.devices[at].sync() {
            let line = format!("{} {} {event:?}", self.now - BEGIN, self.devices[at].name);
            write_down(&mut self.log, line);
            if let Event::Mark(conversation, id, Mark::Stored) = &event {
                self.acknowledged.insert((at, *conversation, *id));
            }
            self.devices[at].events.push(event);
        }
    }

    /// One step of a device's machine. `false` if a crash has lost it.
    pub fn step(&mut self, at: usize, input: Input) -> Result<bool, StepError<Infallible>> {
        self.step_from(at, input, None)
    }

    fn step_from(
        &mut self,
        at: usize,
        input: Input,
        position: Option<Position>,
    ) -> Result<bool, StepError<Infallible>> {
        if self.devices[at].is_down(self.now) {
            return Ok(false);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.rng.next_u64());
        let now = UnixMillis::new(self.now);
        let device = &mut self.devices[at];
        let known = device.known;
        let tip = checkpoint(self.ledger.height);
        let Outcome { batch, events, seen } =
            match step::step(&device.store, &device.owner, known, Some(tip), now, &mut rng, input) {
                Ok(outcome) => outcome,
                Err(StepError::Refused(refusal)) => {
                    let line = format!("{} {} refused {refusal:?}", self.now - BEGIN, device.name);
                    write_down(&mut self.log, line);
                    device.refusals.push(refusal.clone());
                    if let Some(position) = position.filter(|_| refusal.why != step::Why::Full) {
                        device.position(position);
                    }
                    return Err(StepError::Refused(refusal));
                }
                Err(error) => return Err(error),
            };
        if batch.is_empty() {
            if let Some(position) = position {
                device.position(position);
            }
            return Ok(true);
        }
        let damaged = events.iter().find(|event| matches!(event, Event::Damaged(_)));
        assert_eq!(damaged, None, "{}", device.name);
        device.batches += 1;
        if self.crashes(at, Point::BeforeBatch) {
            return Ok(false);
        }
        let device = &mut self.devices[at];
        let mut before = Vec::new();
        device.store.apply_noting(&batch, &mut before);
        device.undo.push(Undo::Rows(before));
        if let Some(position) = position {
            device.position(position);
        }
        device.changed();
        let moved = events
            .iter()
            .any(|event| matches!(event, Event::Epoch(..) | Event::Conversation(_)));
        device.untold.extend(events);
        device.seen.extend(seen);
        if moved {
            self.note_epochs(at);
        }
        let put = |write: &step::Write| write.table == Table::Outbox && write.value.is_some();
        if batch.writes().iter().any(put) {
            self.check_sealed(at, &batch);
        }
        if !chance(&mut self.rng, self.faults.lazy) {
            self.sync(at);
            self.crashes(at, Point::AfterBatch);
        }
        Ok(true)
    }

    /// What its owner wants is done, if need be after a crash.
    pub fn tell(&mut self, at: usize, input: Input) {
        let faults = self.faults;
        self.faults.crash = 0;
        for _ in 0..3 {
            self.devices[at].down_until = 0;
            match self.step(at, input.clone()) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => panic!("{}: {input:?}: {error}", self.devices[at].name),
            }
        }
        self.sync(at);
        self.faults = faults;
    }

    /// Honest members at the same entry have the same authenticator and the same members, and nobody else has its keys.
    fn note_epochs(&mut self, at: usize) {
        let device = &self.devices[at];
        let watches = step::watches(&device.store).unwrap();
        let watched: BTreeMap<_, _> = watches
            .nodes
            .iter()
            .map(|(handle, entry, _)| (*handle, *entry))
            .collect();
        for info in step::conversations(&device.store).unwrap() {
            let (Some(handle), Standing::Active) = (info.handle, info.standing) else {
                if info.standing == Standing::Behind {
                    self.readded.insert((at, info.conversation));
                }
                continue;
            };
            let Some(entry) = watched.get(&handle) else { continue };
            let session = device.store.get(Table::Session, handle.as_bytes()).unwrap();
            let since = Session::from_bytes(&session.unwrap()).unwrap().since;
            self.since.insert((at, handle), since);
            let mut members: Vec<DeviceId> = info.members.iter().flat_map(|member| member.devices.clone()).collect();
            members.sort();
            let keys = device.store.get(Table::Keys, handle.as_bytes()).unwrap().unwrap();
            let tag = EpochKeys::from_bytes(&keys).unwrap().mailbox().tag();
            self.tags.insert(tag, (handle, *entry));
            let here = (members, info.authenticator, info.epoch);
            let known = self.epochs.entry((handle, *entry)).or_insert_with(|| here.clone());
            assert_eq!(
                *known, here,
                "{} is in another epoch than others at {entry}",
                device.name
            );
            if let Some((parent, time)) = self.ledger.parent(handle, *entry) {
                self.ended.entry((handle, parent)).or_insert(time);
            }
        }
        for watch in watches.mailboxes {
            if let Some(of) = self.tags.get(&watch.descriptor.tag()) {
                let (members, ..) = &self.epochs[of];
                assert!(
                    members.contains(&device.id),
                    "{} has the keys of an epoch that it is not in",
                    device.name
                );
            }
        }
    }

    /// Nothing is encrypted for an epoch of which its author must know that it is over.
    fn check_sealed(&self, at: usize, batch: &step::Batch) {
        let device = &self.devices[at];
        let new: BTreeSet<&[u8]> = batch
            .writes()
            .iter()
            .filter(|write| write.table == Table::Outbox && write.value.is_some())
            .map(|write| write.key.as_slice())
            .collect();
        for (id, effect) in step::due(&device.store, None, usize::MAX >> 1).unwrap() {
            let Effect::Put { descriptor, .. } = effect else {
                continue;
            };
            if !new.contains(id.get().to_be_bytes().as_slice()) {
                continue;
            }
            let ended = self.tags.get(&descriptor.tag()).and_then(|of| self.ended.get(of));
            assert!(
                ended.is_none_or(|ended| self.now <= ended + UNAWARE_MS),
                "{} encrypts for an epoch that is over for long",
                device.name
            );
        }
    }

    /// Gives the machine what has come.
    pub fn deliver(&mut self, at: usize) {
        while self.is_up(at) {
            let now = self.now;
            let arrivals = &mut self.devices[at].memory.arrivals;
            let ready: Vec<usize> = (0..arrivals.len()).filter(|index| arrivals[*index].0 <= now).collect();
            if ready.is_empty() {
                return;
            }
            let index = ready[below(&mut self.rng, ready.len())];
            let (_, arrival) = self.devices[at].memory.arrivals.remove(index);
            match arrival {
                Arrival::Node(input) => {
                    self.given(at, *input, None);
                }
                Arrival::Mail {
                    tag,
                    envelopes,
                    height,
                    one_shot,
                    read,
                } => self.mail(at, tag, &envelopes, Height::new(height), one_shot, read),
                Arrival::Letter(letter) => {
                    let input = Input::Sealed {
                        sender: letter.sender,
                        device: letter.device,
                        body: letter.body,
                    };
                    let known = self.devices[at].taken.contains(&letter.id);
                    if !known || chance(&mut self.rng, self.faults.duplicate) {
                        self.given(at, input, Some(Position::Letter(letter.id)));
                    }
                }
                Arrival::Answer(id, answer) => {
                    self.devices[at].memory.busy.remove(&id);
                    self.given(at, Input::Done(id, answer), None);
                }
            }
        }
    }

    fn mail(&mut self, at: usize, tag: MailboxTag, envelopes: &[Bytes], height: Height, one_shot: bool, read: bool) {
        let mut complete = read;
        for bytes in envelopes {
            let id = EnvelopeId::of(bytes);
            let known = self.devices[at]
                .given
                .get(&tag)
                .is_some_and(|given| given.contains(&id));
            if known && !chance(&mut self.rng, self.faults.duplicate) {
                continue;
            }
            let input = Input::Envelope {
                tag,
                bytes: bytes.to_vec(),
                height,
            };
            let position = (!one_shot).then_some(Position::Envelope(tag, id));
            if !self.given(at, input, position) {
                complete = false;
                self.devices[at].memory.read.remove(&tag);
            }
            if !self.is_up(at) {
                return;
            }
        }
        if complete {
            self.given(at, Input::Read { tag, height }, None);
        }
    }

    /// Gives an input from outside. Whether it was taken, or refused for good.
    fn given(&mut self, at: usize, input: Input, position: Option<Position>) -> bool {
        match self.step_from(at, input, position) {
            Ok(taken) => taken,
            Err(StepError::Refused(refusal)) => refusal.why != step::Why::Full,
            Err(error) => panic!("{}: {error}", self.devices[at].name),
        }
    }

    pub fn tick(&mut self, at: usize) {
        self.devices[at].memory.ticked = self.now;
        if let Err(error) = self.step(at, Input::Tick) {
            panic!("{}: a tick: {error}", self.devices[at].name);
        }
    }

    /// When the machine wants to be told that time has passed.
    pub fn wake(&mut self, at: usize) -> Option<u64> {
        let device = &mut self.devices[at];
        let store = &device.store;
        let wake = device.memory.wake.get_or_insert_with(|| step::wake(store).unwrap());
        wake.map(UnixMillis::get)
    }

    pub fn tick_if_due(&mut self, at: usize) {
        if !self.is_up(at) {
            return;
        }
        let wake = self.wake(at);
        if wake.is_some_and(|wake| wake <= self.now) || self.now >= self.devices[at].memory.ticked + AGAIN_MS {
            self.tick(at);
        }
    }
}
