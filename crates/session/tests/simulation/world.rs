//! A world of people with devices: the host of each device as it should be, with faults between any two of its steps.

use crate::{model::*, store::MemoryStore};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use tokenim_conversation::{EpochKeys, OrderKey, content::Content};
use tokenim_identity::{DeviceId, DeviceSecrets, IdentityId};
use tokenim_mailbox::{
    MailboxTag,
    group::{GroupEntryId, GroupHandle},
};
use tokenim_session::{
    Owner, SessionSuite,
    step::{
        self, Answer, Change, ConversationId, Effect, Event, Input, Mark, Outcome, Refusal, Standing, StepError, Table,
        View,
    },
};
use tokenim_wire::{EnvelopeId, Height, UnixMillis};

/// How much goes wrong, in percent of the occasions.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// The device crashes: before its step is durable, or before it tells the machine that an effect was carried out.
    pub crash: u64,
    /// An effect fails and is tried again later; something is left on one node.
    pub loss: u64,
    /// What came comes again.
    pub duplicate: u64,
    /// A node of the ledger shows an old state.
    pub stale: u64,
    /// The most heights by which it is old.
    pub stale_heights: u64,
}

pub struct Device {
    pub name: String,
    pub owner: Owner,
    pub store: MemoryStore,
    pub inbox: Inbox,
    /// Envelopes that were given, by mailbox: the position of the host, kept with the batch.
    pub given: BTreeMap<MailboxTag, BTreeSet<EnvelopeId>>,
    pub online: bool,
    pub events: Vec<Event>,
    pub refusals: Vec<Refusal>,
    /// What it looks at, as long as nothing has changed.
    pub watches: Option<step::Watches>,
}

/// The members of an epoch, its authenticator and its number.
pub type Epoch = (Vec<DeviceId>, [u8; 32], u64);

pub struct World {
    pub now: u64,
    next_block: u64,
    pub rng: ChaCha8Rng,
    pub ledger: Ledger,
    pub mailboxes: Mailboxes,
    pub people: Vec<IdentityId>,
    pub devices: Vec<Device>,
    pub faults: Faults,
    pub log: Vec<String>,
    /// Who was in the epoch of an entry, and its authenticator: as the first device that came there had it.
    pub epochs: BTreeMap<(GroupHandle, GroupEntryId), Epoch>,
    /// Which entry the mailbox of an epoch belongs to.
    pub tags: BTreeMap<MailboxTag, (GroupHandle, GroupEntryId)>,
    /// Devices that had to be re-added to a conversation: what they had not read by then is lost to them.
    pub readded: BTreeSet<(usize, ConversationId)>,
    /// Devices whose owners do not follow the protocol: nothing is expected of them.
    pub malicious: BTreeSet<DeviceId>,
}

pub fn text(words: &str) -> Content {
    Content::text(words).unwrap()
}

impl World {
    pub fn new(seed: u64, people: usize, devices: usize) -> Self {
        let mut world = Self {
            now: BEGIN,
            next_block: BEGIN,
            rng: ChaCha8Rng::seed_from_u64(seed),
            ledger: Ledger::default(),
            mailboxes: Mailboxes::default(),
            people: Vec::new(),
            devices: Vec::new(),
            faults: Faults::default(),
            log: Vec::new(),
            epochs: BTreeMap::new(),
            tags: BTreeMap::new(),
            readded: BTreeSet::new(),
            malicious: BTreeSet::new(),
        };
        for person in 0..people {
            let id = world.ledger.add_identity(person as u8 + 1);
            world.people.push(id);
            for device in 0..devices {
                world.add_device(person, device);
            }
        }
        world.ledger.block(world.now, &mut world.rng);
        for device in 0..world.devices.len() {
            world.settle_device(device);
        }
        world
    }

    /// Gives a person one more device.
    pub fn add_device(&mut self, person: usize, number: usize) -> usize {
        let secrets = DeviceSecrets::generate(&mut self.rng);
        let identity = self.people[person];
        self.ledger.add_device(identity, &secrets);
        let owner = Owner {
            network: NETWORK,
            identity,
            device: secrets.signing.clone(),
        };
        self.devices.push(Device {
            name: format!("{}{}", (b'a' + person as u8) as char, number + 1),
            owner,
            store: MemoryStore::new(),
            inbox: Inbox::default(),
            given: BTreeMap::new(),
            online: true,
            events: Vec::new(),
            refusals: Vec::new(),
            watches: None,
        });
        self.devices.len() - 1
    }

    pub fn device_of(&self, identity: &IdentityId, device: &DeviceId) -> Option<usize> {
        self.devices
            .iter()
            .position(|kept| kept.owner.identity == *identity && kept.owner.device_id() == *device)
    }

    /// One step of a device's machine. A crash loses it, before it is durable.
    pub fn step(&mut self, at: usize, input: Input) -> Result<bool, StepError<std::convert::Infallible>> {
        if chance(&mut self.rng, self.faults.crash) {
            return Ok(false);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.rng.next_u64());
        let now = UnixMillis::new(self.now);
        let device = &mut self.devices[at];
        match step::step(&device.store, &device.owner, now, &mut rng, input) {
            Ok(Outcome { batch, events }) => {
                device.store.apply(&batch);
                for event in &events {
                    let line = format!("{} {} {event:?}", self.now - BEGIN, device.name);
                    write_down(&mut self.log, line);
                }
                let moved = events
                    .iter()
                    .any(|event| matches!(event, Event::Epoch(..) | Event::Conversation(_)));
                device.events.extend(events);
                if !batch.is_empty() {
                    device.watches = None;
                }
                if moved {
                    self.note_epochs(at);
                }
                Ok(true)
            }
            Err(StepError::Refused(refusal)) => {
                let line = format!("{} {} refused {refusal:?}", self.now - BEGIN, device.name);
                write_down(&mut self.log, line);
                device.refusals.push(refusal);
                Err(StepError::Refused(refusal))
            }
            Err(error) => Err(error),
        }
    }

    /// What must not fail.
    pub fn tell(&mut self, at: usize, input: Input) {
        let before = self.faults.crash;
        self.faults.crash = 0;
        let what = format!("{input:?}");
        match self.step(at, input) {
            Ok(_) => {}
            Err(error) => panic!("{}: {what}: {error}", self.devices[at].name),
        }
        self.faults.crash = before;
    }

    /// Honest members at the same entry have the same authenticator and the same members.
    fn note_epochs(&mut self, at: usize) {
        let device = &self.devices[at];
        let watched: BTreeMap<_, _> = step::watches(&device.store)
            .unwrap()
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
        }
    }

    /// Time passes: blocks are made.
    pub fn pass(&mut self, milliseconds: u64) {
        let until = self.now + milliseconds;
        while self.next_block <= until {
            self.now = self.now.max(self.next_block);
            self.ledger.block(self.now, &mut self.rng);
            self.next_block += BLOCK_MS;
        }
        self.now = until;
    }

    /// Lets long time pass without making every block of it.
    pub fn sleep(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        self.next_block = self.now;
        self.ledger.block(self.now, &mut self.rng);
    }

    fn stale(&mut self) -> u64 {
        if chance(&mut self.rng, self.faults.stale) {
            below(&mut self.rng, self.faults.stale_heights as usize + 1) as u64
        } else {
            0
        }
    }

    /// Carries out one effect that is due, at random which of the oldest.
    pub fn carry_out(&mut self, at: usize) -> bool {
        if !self.devices[at].online {
            return false;
        }
        let due = step::due(&self.devices[at].store, 6).unwrap();
        if due.is_empty() {
            return false;
        }
        let (id, effect) = due[below(&mut self.rng, due.len())].clone();
        let sender = (self.devices[at].owner.identity, self.devices[at].owner.device_id());
        let lost = chance(&mut self.rng, self.faults.loss);
        let answer = match effect {
            Effect::Put {
                descriptor, envelope, ..
            } => {
                if lost {
                    self.mailboxes
                        .put_on_one(descriptor.tag(), envelope.as_bytes(), &mut self.rng);
                    return true;
                }
                let receipt =
                    self.mailboxes
                        .put(descriptor.tag(), envelope.as_bytes(), envelope.expiry(), &mut self.rng);
                Answer::Stored(Box::new(receipt))
            }
            Effect::Ledger(update) => {
                if lost {
                    return true;
                }
                match self.ledger.fate(&update) {
                    Some(true) => Answer::Included,
                    None => return true,
                    Some(false) if self.devices[at].given.contains_key(&marker(&update)) => {
                        self.devices[at].given.remove(&marker(&update));
                        Answer::Failed
                    }
                    Some(false) => {
                        self.devices[at].given.insert(marker(&update), BTreeSet::new());
                        self.ledger.submit(*update);
                        return true;
                    }
                }
            }
            Effect::Seal { to, device, id, body } => {
                if lost {
                    return true;
                }
                let now = self.now;
                let twice = chance(&mut self.rng, self.faults.duplicate);
                if let Some(other) = self.device_of(&to, &device) {
                    let inbox = &mut self.devices[other].inbox;
                    if inbox.seen.insert(id.to_bytes()) || twice {
                        inbox.letters.push((now, sender.0, sender.1, body));
                    }
                }
                Answer::Sealed
            }
            Effect::FetchPackage {
                identity,
                device,
                suite,
            } => {
                if lost {
                    return true;
                }
                let found = self.device_of(&identity, &device).and_then(|other| {
                    let inbox = &mut self.devices[other].inbox;
                    let now = UnixMillis::new(self.now).to_seconds();
                    let position = inbox.packages.iter().position(|package| {
                        tokenim_session::mls::read_key_package(&NETWORK, package, now)
                            .is_ok_and(|info| info.suite == suite)
                    })?;
                    Some(inbox.packages.remove(position))
                });
                Answer::Package(found)
            }
            Effect::Lookup { identity } => {
                if lost {
                    return true;
                }
                let behind = self.stale();
                let (state, height) = self.ledger.identity(&identity, behind);
                Answer::Identity(state.map(Box::new), height)
            }
            Effect::Publish { packages } => {
                if lost {
                    return true;
                }
                self.devices[at].inbox.packages = packages;
                Answer::Published
            }
            _ => unreachable!(),
        };
        if chance(&mut self.rng, self.faults.crash) {
            return true;
        }
        match self.step(at, Input::Done(id, answer)) {
            Ok(_) | Err(StepError::Refused(_)) => true,
            Err(error) => panic!("{}: an answer: {error}", self.devices[at].name),
        }
    }

    /// Looks at everything that is watched, and gives what is new. Whether anything was.
    pub fn look(&mut self, at: usize) -> bool {
        if !self.devices[at].online {
            return false;
        }
        let mut something = false;
        let device = &mut self.devices[at];
        let watches = match device.watches.take() {
            Some(watches) => watches,
            None => step::watches(&device.store).unwrap(),
        };
        device.watches = Some(watches.clone());
        for (handle, entry, known) in watches.nodes {
            let behind = self.stale();
            let Some((node, height)) = self.ledger.node(handle, entry, behind) else {
                continue;
            };
            something |= node.children.len() > usize::from(known);
            let input = Input::Node {
                handle,
                entry,
                node: Box::new(node),
                height,
            };
            self.given(at, input);
        }
        for watch in watches.mailboxes {
            let tag = watch.descriptor.tag();
            let mut complete = true;
            for (id, bytes) in self.mailboxes.read(tag, &mut self.rng) {
                let given = self.devices[at].given.entry(tag).or_default();
                let again = given.contains(&id);
                if again && !chance(&mut self.rng, self.faults.duplicate) {
                    continue;
                }
                something |= !again;
                let height = Height::new(self.ledger.height);
                if self.given(at, Input::Envelope { tag, bytes, height }) {
                    self.devices[at].given.entry(tag).or_default().insert(id);
                } else {
                    complete = false;
                }
            }
            if complete && !watch.one_shot {
                let height = Height::new(self.ledger.height);
                self.given(at, Input::Read { tag, height });
            }
        }
        let waiting = std::mem::take(&mut self.devices[at].inbox.letters);
        for letter in waiting {
            let (_, sender, device, body) = letter.clone();
            something = true;
            if !self.given(at, Input::Sealed { sender, device, body }) {
                self.devices[at].inbox.letters.push(letter);
            }
        }
        something
    }

    /// Gives an input from outside. Whether it was taken, or refused for good.
    fn given(&mut self, at: usize, input: Input) -> bool {
        match self.step(at, input) {
            Ok(taken) => taken,
            Err(StepError::Refused(refusal)) => refusal.why != step::Why::Full,
            Err(error) => panic!("{}: {error}", self.devices[at].name),
        }
    }

    pub fn tick(&mut self, at: usize) {
        if let Err(error) = self.step(at, Input::Tick) {
            panic!("{}: a tick: {error}", self.devices[at].name);
        }
    }

    fn settle_device(&mut self, at: usize) {
        self.tick(at);
        while self.carry_out(at) {}
    }

    /// One round of everybody: effects, looks, a tick; a block's time passes.
    pub fn round(&mut self) {
        for at in 0..self.devices.len() {
            for _ in 0..8 {
                if !self.carry_out(at) {
                    break;
                }
            }
            self.look(at);
            if self.devices[at].online {
                self.tick(at);
            }
        }
        self.pass(BLOCK_MS);
    }

    pub fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.round();
        }
    }

    /// Rounds until nothing is on its way any more.
    pub fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..300 {
            self.round();
            let busy = self.devices.iter().any(|device| {
                device.online
                    && (!step::due(&device.store, 1).unwrap().is_empty()
                        || !device.inbox.letters.is_empty()
                        || step::conversations(&device.store)
                            .unwrap()
                            .iter()
                            .any(|info| matches!(info.standing, Standing::Active) && info.queued > 0)
                        || step::wake(&device.store)
                            .unwrap()
                            .is_some_and(|wake| (self.now - 5 * BLOCK_MS..self.now + 15_000).contains(&wake.get())))
            });
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet > 10 {
                break;
            }
        }
    }

    // What people do.

    pub fn start(&mut self, at: usize, with: usize) -> ConversationId {
        let with = self.people[with];
        let id = ConversationId::between(&self.devices[at].owner.identity, &with);
        self.tell(at, Input::StartDirect { with });
        id
    }

    pub fn group(&mut self, at: usize, members: &[usize]) -> ConversationId {
        let members = members.iter().map(|person| self.people[*person]).collect();
        let before: Vec<_> = self.infos(at).iter().map(|info| info.conversation).collect();
        self.tell(
            at,
            Input::CreateGroup {
                name: "a group".into(),
                members,
                suite: Some(SessionSuite::Classical),
            },
        );
        let after = self.infos(at);
        let new = after.iter().find(|info| !before.contains(&info.conversation));
        new.unwrap().conversation
    }

    /// Puts an old copy of its store back into a device; what its host remembers besides is gone.
    pub fn restore(&mut self, at: usize, copy: MemoryStore) {
        let device = &mut self.devices[at];
        device.store = copy;
        device.given.clear();
        device.watches = None;
    }

    pub fn say(&mut self, at: usize, conversation: ConversationId, words: &str) {
        self.tell(
            at,
            Input::Send {
                conversation,
                content: text(words),
            },
        );
    }

    pub fn change(&mut self, at: usize, conversation: ConversationId, change: Change) {
        self.tell(at, Input::Change { conversation, change });
    }

    pub fn infos(&self, at: usize) -> Vec<step::Info> {
        step::conversations(&self.devices[at].store).unwrap()
    }

    pub fn info(&self, at: usize, conversation: ConversationId) -> step::Info {
        step::conversation(&self.devices[at].store, conversation)
            .unwrap()
            .unwrap_or_else(|| panic!("{} has no such conversation", self.devices[at].name))
    }

    pub fn messages(&self, at: usize, conversation: ConversationId) -> Vec<step::Message> {
        step::messages(&self.devices[at].store, conversation, None, usize::MAX >> 1).unwrap()
    }

    /// The texts of a conversation, in their order.
    pub fn texts(&self, at: usize, conversation: ConversationId) -> Vec<String> {
        self.messages(at, conversation)
            .into_iter()
            .filter_map(|message| match message.content {
                Some(Content::Text(text)) => Some(text.as_str().to_string()),
                _ => None,
            })
            .collect()
    }

    pub fn orders(&self, at: usize, conversation: ConversationId) -> Vec<OrderKey> {
        let messages = self.messages(at, conversation);
        messages.into_iter().map(|message| message.order).collect()
    }

    pub fn mark(&self, at: usize, conversation: ConversationId, words: &str) -> Option<Mark> {
        self.messages(at, conversation)
            .into_iter()
            .find_map(|message| match message.content {
                Some(Content::Text(text)) if text.as_str() == words => message.mark,
                _ => None,
            })
    }

    /// All these devices are in the same epoch, active.
    #[track_caller]
    pub fn assert_together(&self, devices: &[usize], conversation: ConversationId) {
        let first = self.info(devices[0], conversation);
        for at in devices {
            let info = self.info(*at, conversation);
            assert_eq!(info.standing, Standing::Active, "{}", self.devices[*at].name);
            assert_eq!(
                (info.epoch, info.authenticator, info.handle),
                (first.epoch, first.authenticator, first.handle),
                "{}",
                self.devices[*at].name
            );
        }
    }
}

/// Adds a line to the log of a run; `TOKENIM_LOG` shows it at once.
fn write_down(log: &mut Vec<String>, line: String) {
    if std::env::var_os("TOKENIM_LOG").is_some() {
        println!("{line}");
    }
    log.push(line);
}

/// Under which key a host remembers that it has submitted an update.
fn marker(update: &tokenim_mailbox::group::GroupUpdate) -> MailboxTag {
    MailboxTag::from_bytes(update.entry().unwrap().to_bytes())
}
