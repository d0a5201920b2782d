//! A world of people with devices: a sequencer, four nodes, time, faults; and the host of each device as it should be.

#![allow(dead_code, unused_imports)]

pub mod host;
pub mod ledger;
pub mod nodes;
pub mod store;
pub mod villain;

pub use host::{Crash, Device, Point};

use ledger::Ledger;
use nodes::{NODES, Nodes};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};
use store::MemoryStore;
use tokenim_conversation::{OrderKey, content::Content};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, DeviceSecrets, IdentityId};
use tokenim_mailbox::{
    MailboxTag,
    group::{GroupEntryId, GroupHandle},
};
use tokenim_session::{
    Owner, SessionSuite,
    step::{self, Change, ConversationId, Input, Mark, Standing, Table},
};
use tokenim_wire::NetworkId;

pub const NETWORK: NetworkId = NetworkId::from_bytes([0x54; 32]);
/// Time between two blocks, in milliseconds.
pub const BLOCK_MS: u64 = 500;
/// When the simulated world begins.
pub const BEGIN: u64 = 1_800_000_000_000;

/// Below `bound`.
pub fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    (rng.next_u64() % bound.max(1) as u64) as usize
}

/// True `percent` times of 100.
pub fn chance(rng: &mut ChaCha8Rng, percent: u64) -> bool {
    percent > 0 && rng.next_u64() % 100 < percent
}

/// How much goes wrong, in percent of the occasions if nothing else is said.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// The device crashes before or after a batch, before or after an effect.
    pub crash: u64,
    /// For how long at most it is down then, in milliseconds.
    pub down: u64,
    /// The host does not make a batch durable at once, as long as nothing outside depends on it.
    pub lazy: u64,
    /// A request does not come to a node, or its answer does not come back.
    pub loss: u64,
    /// For how long at most an answer is under way, in milliseconds.
    pub delay: u64,
    /// What came comes again; what is being done is done once more.
    pub duplicate: u64,
    /// A node of the ledger shows an old state.
    pub stale: u64,
    /// The most heights by which it is old.
    pub stale_heights: u64,
}

/// The members of an epoch, its authenticator and its number.
pub type Epoch = (Vec<DeviceId>, [u8; 32], u64);

#[derive(Clone)]
pub struct World {
    pub now: u64,
    next_block: u64,
    pub rng: ChaCha8Rng,
    pub ledger: Ledger,
    pub nodes: Nodes,
    pub people: Vec<IdentityId>,
    pub devices: Vec<Device>,
    pub faults: Faults,
    /// Where a device is to crash.
    pub planned: Option<Crash>,
    pub log: Vec<String>,
    /// Who was in the epoch of an entry, and its authenticator: as the first device that came there had it.
    pub epochs: BTreeMap<(GroupHandle, GroupEntryId), Epoch>,
    /// Which entry the mailbox of an epoch belongs to.
    pub tags: BTreeMap<MailboxTag, (GroupHandle, GroupEntryId)>,
    /// When an epoch was over on the ledger.
    pub ended: BTreeMap<(GroupHandle, GroupEntryId), u64>,
    /// The epoch into which a device was welcomed to a session last.
    pub since: BTreeMap<(usize, GroupHandle), u64>,
    /// Devices that had to be re-added to a conversation.
    pub readded: BTreeSet<(usize, ConversationId)>,
    /// Messages of which the owner of a device was told that they are stored.
    pub acknowledged: BTreeSet<(usize, ConversationId, MessageId)>,
    /// Devices whose owners do not follow the protocol: nothing is expected of them.
    pub malicious: BTreeSet<DeviceId>,
    /// What they have kept of an old epoch.
    pub kept: BTreeMap<(usize, ConversationId), villain::Inside>,
}

pub fn text(words: &str) -> Content {
    Content::text(words).unwrap()
}

/// Worlds before anything happens, by people and devices: only what comes then depends on the seed.
static PREPARED: Mutex<BTreeMap<(usize, usize), World>> = Mutex::new(BTreeMap::new());

impl World {
    pub fn new(seed: u64, people: usize, devices: usize) -> Self {
        let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
        let mut world = prepared
            .entry((people, devices))
            .or_insert_with(|| Self::prepare(people, devices))
            .clone();
        drop(prepared);
        world.rng = ChaCha8Rng::seed_from_u64(seed);
        world
    }

    fn prepare(people: usize, devices: usize) -> Self {
        let nodes = Nodes::new();
        let mut world = Self {
            now: BEGIN,
            next_block: BEGIN,
            rng: ChaCha8Rng::seed_from_u64(0x5eed),
            ledger: Ledger::new(nodes.set().clone(), BEGIN),
            nodes,
            people: Vec::new(),
            devices: Vec::new(),
            faults: Faults::default(),
            planned: None,
            log: Vec::new(),
            epochs: BTreeMap::new(),
            tags: BTreeMap::new(),
            ended: BTreeMap::new(),
            since: BTreeMap::new(),
            readded: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            malicious: BTreeSet::new(),
            kept: BTreeMap::new(),
        };
        for person in 0..people {
            let id = world.ledger.add_identity(person as u8 + 1);
            world.people.push(id);
            for device in 0..devices {
                world.add_device(person, device);
            }
        }
        world.block();
        for device in 0..world.devices.len() {
            world.tick(device);
            while world.carry_out(device) {}
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
        let name = match u8::try_from(person) {
            Ok(person @ 0..26) => format!("{}{}", (b'a' + person) as char, number + 1),
            _ => format!("{person}.{}", number + 1),
        };
        self.devices.push(Device::new(name, owner));
        self.devices.len() - 1
    }

    pub fn device_of(&self, identity: &IdentityId, device: &DeviceId) -> Option<usize> {
        self.devices
            .iter()
            .position(|kept| kept.owner.identity == *identity && kept.id == *device)
    }

    fn block(&mut self) {
        let agreed = self.nodes.quorum();
        if agreed.is_empty() {
            return;
        }
        self.ledger.block(self.now, &agreed, &mut self.rng);
        for at in agreed {
            self.nodes.nodes[at].height = self.ledger.height;
        }
    }

    /// Time passes: blocks are made.
    pub fn pass(&mut self, milliseconds: u64) {
        let until = self.now + milliseconds;
        while self.next_block <= until {
            self.now = self.now.max(self.next_block);
            self.block();
            self.nodes.repair(&mut self.rng);
            self.next_block += BLOCK_MS;
        }
        self.now = until;
    }

    /// Lets long time pass without making every block of it.
    pub fn sleep(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        self.next_block = self.now;
        self.block();
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
            self.deliver(at);
            self.tick_if_due(at);
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
            let busy = (0..self.devices.len()).any(|at| self.is_busy(at));
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet > 10 {
                break;
            }
        }
    }

    fn is_busy(&mut self, at: usize) -> bool {
        if !self.devices[at].online {
            return false;
        }
        let wake = self.wake(at);
        let soon = self.now - 5 * BLOCK_MS..self.now + 15_000;
        let device = &mut self.devices[at];
        device.is_down(self.now)
            || device.has_news()
            || wake.is_some_and(|wake| soon.contains(&wake))
            || (self.devices[at].store.rows(Table::Queue) > 0
                && self
                    .infos(at)
                    .iter()
                    .any(|info| matches!(info.standing, Standing::Active) && info.queued > 0))
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
        device.forget_positions();
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

    /// As a host does that follows the people it talks to.
    pub fn show_identity(&mut self, at: usize, person: usize) {
        let (state, height) = self.ledger.identity(&self.people[person], u64::MAX);
        self.tell(
            at,
            Input::Identity {
                state: Box::new(state.unwrap()),
                height,
            },
        );
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

/// All nodes that a device can be cut off from.
pub const NOBODY: [bool; NODES] = [false; NODES];
