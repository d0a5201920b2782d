//! A group of a thousand people: made in batches by one device, then one is added, one is removed, something is said. Printed
//! are the processor time that the machines of a few of its devices take, and the bytes that go over the wire and stay on the disk.
//!
//! ```text
//! cargo bench -p tokenim-bench-session --bench thousand [-- MEMBERS]
//! ```
//!
//! Three devices are run: the one that makes the group, one that comes in with the first batch, and one that comes in last.
//! The others are asleep: they have an identity, a device and a key package. Ledger, nodes and stores are in memory and take
//! no time; bytes are those of what is stored, submitted or sealed once, before it is copied to several nodes.
#![allow(missing_docs, reason = "a program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a bench may stop at the first surprise"
)]

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    time::Duration,
};
use tokenim_conversation::Content;
use tokenim_envelope::SealedEnvelope;
use tokenim_identity::{
    DeviceEntry, DeviceId, DeviceSecrets, EnvelopeKey, Genesis, IdentityId, IdentityState, RootSigningKey, Signature,
};
use tokenim_mailbox::{
    Incarnation, Issuer, KeyPackage, MailboxTag, QuorumReceipt,
    group::{GroupEntryId, GroupNode, GroupStart, GroupUpdate, LedgerPlace},
};
use tokenim_session::{
    Owner, SessionSuite,
    mls::key_package,
    step::{self, Answer, Batch, Change, ConversationId, Effect, EffectId, Info, Input, Row, Table, View},
};
use tokenim_wire::{BoundedVec, Digest, EnvelopeId, Height, NetworkId, Object, SetEpoch, UnixMillis};

const NETWORK: NetworkId = NetworkId::from_bytes([0x54; 32]);
const BEGIN: u64 = 1_800_000_000_000;
/// Time between two rounds, in milliseconds.
const ROUND_MS: u64 = 500;
const ROUNDS_MAX: usize = 10_000;

/// A store in memory.
#[derive(Default)]
struct Store(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

impl Store {
    /// Bytes written.
    fn apply(&mut self, batch: &Batch) -> usize {
        let mut bytes = 0;
        for write in batch.writes() {
            let key = (write.table, write.key.clone());
            bytes += write.key.len() + write.value.as_ref().map_or(0, Vec::len);
            match &write.value {
                Some(value) => self.0.insert(key, value.clone()),
                None => self.0.remove(&key),
            };
        }
        bytes
    }

    fn bytes(&self) -> BTreeMap<Table, usize> {
        let mut bytes = BTreeMap::new();
        for ((table, key), value) in &self.0 {
            *bytes.entry(*table).or_default() += key.len() + value.len();
        }
        bytes
    }
}

impl View for Store {
    type Error = Infallible;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.0.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, Infallible> {
        let rows = self.0.range((table, from.to_vec())..);
        let rows = rows.take_while(|((of, _), _)| *of == table).take(limit);
        Ok(rows.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn scan_back(&self, table: Table, below: &[u8], limit: usize) -> Result<Vec<Row>, Infallible> {
        let rows = self.0.range((table, Vec::new())..(table, below.to_vec()));
        let rows = rows.rev().take(limit);
        Ok(rows.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }
}

/// How often something was done, how long it took together, and how long at most.
#[derive(Clone, Copy, Default)]
struct Spent {
    count: u64,
    total: Duration,
    most: Duration,
}

impl Spent {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.total += time;
        self.most = self.most.max(time);
    }
}

/// What the machine of a device has done since the last time it was asked.
#[derive(Clone, Default)]
struct Work {
    steps: BTreeMap<&'static str, Spent>,
    written: usize,
}

impl Work {
    fn total(&self) -> Duration {
        self.steps.values().map(|spent| spent.total).sum()
    }
}

struct Device {
    owner: Owner,
    store: Store,
    packages: Vec<KeyPackage>,
    inbox: Vec<(IdentityId, DeviceId, Vec<u8>)>,
    given: BTreeSet<EnvelopeId>,
    work: Work,
}

/// Bytes and numbers of what went out since the last time it was asked.
#[derive(Clone, Copy, Default)]
struct Wire {
    commits: u64,
    commit_parts: u64,
    commit: usize,
    updates: usize,
    welcome_parts: u64,
    welcome: usize,
    notes: u64,
    notes_bytes: usize,
    message: usize,
    lookups: u64,
    packages: usize,
}

struct World {
    now: u64,
    height: u64,
    rng: ChaCha8Rng,
    people: BTreeMap<IdentityId, IdentityState>,
    asleep: BTreeMap<DeviceId, KeyPackage>,
    live: Vec<Device>,
    nodes: BTreeMap<GroupEntryId, GroupNode>,
    mailboxes: BTreeMap<MailboxTag, Vec<(EnvelopeId, Vec<u8>)>>,
    wire: Wire,
}

impl World {
    fn new() -> Self {
        Self {
            now: BEGIN,
            height: 10,
            rng: ChaCha8Rng::seed_from_u64(1),
            people: BTreeMap::new(),
            asleep: BTreeMap::new(),
            live: Vec::new(),
            nodes: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            wire: Wire::default(),
        }
    }

    /// Somebody with one device.
    fn person(&mut self, number: usize) -> Owner {
        let mut seed = [1; 32];
        seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let root = RootSigningKey::from_seed(seed).verifying_key();
        seed[31] = 2;
        let next = RootSigningKey::from_seed(seed).verifying_key();
        let mut state = IdentityState::new(&Genesis::new(root, &next));
        let secrets = DeviceSecrets::generate(&mut self.rng);
        let entry = DeviceEntry {
            keys: secrets.keys(EnvelopeKey::x25519([9; 32])),
            added: Height::new(1),
            revoked: None,
        };
        state.devices.push(entry).unwrap();
        let identity = state.id;
        self.people.insert(identity, state);
        Owner {
            network: NETWORK,
            identity,
            device: secrets.signing.clone(),
        }
    }

    fn sleeper(&mut self, number: usize) -> IdentityId {
        let owner = self.person(number);
        let now = UnixMillis::new(self.now).to_seconds();
        let made = key_package(&owner, SessionSuite::Classical, now, 20 * 24 * 3600, &mut self.rng).unwrap();
        let package = KeyPackage::try_from(made.package.as_slice()).unwrap();
        self.asleep.insert(owner.device_id(), package);
        owner.identity
    }

    fn awake(&mut self, number: usize) -> usize {
        let owner = self.person(number);
        self.live.push(Device {
            owner,
            store: Store::default(),
            packages: Vec::new(),
            inbox: Vec::new(),
            given: BTreeSet::new(),
            work: Work::default(),
        });
        let at = self.live.len() - 1;
        self.step(at, "tick", Input::Tick);
        self.carry_out(at);
        at
    }

    fn step(&mut self, at: usize, what: &'static str, input: Input) -> bool {
        let device = &mut self.live[at];
        let begin = processor();
        let stepped = step::step(
            &device.store,
            &device.owner,
            &[],
            None,
            UnixMillis::new(self.now),
            &mut self.rng,
            input,
        );
        device
            .work
            .steps
            .entry(what)
            .or_default()
            .add(processor().saturating_sub(begin));
        match stepped {
            Ok(outcome) => {
                device.work.written += device.store.apply(&outcome.batch);
                true
            }
            Err(step::StepError::Refused(_)) => false,
            Err(error) => panic!("device {at}: {what}: {error}"),
        }
    }

    fn receipt(tag: MailboxTag, envelope: &SealedEnvelope) -> QuorumReceipt {
        let issuer = |member| Issuer {
            member,
            incarnation: Incarnation::new(1),
            index: 0,
            size: 1,
            root: Digest::from_bytes([0; 32]),
            height: Height::new(1),
            signature: Signature::from_bytes([0; 64]),
        };
        QuorumReceipt {
            tag,
            envelope: envelope.id(),
            expiry: envelope.expiry(),
            set_epoch: SetEpoch::new(1),
            issuers: BoundedVec::try_from((0..3).map(issuer).collect::<Vec<_>>()).unwrap(),
        }
    }

    fn submit(&mut self, update: &GroupUpdate) {
        self.wire.updates += update.to_bytes().unwrap().len();
        let place = LedgerPlace {
            height: Height::new(self.height),
            time: UnixMillis::new(self.now),
            index: 0,
        };
        match update {
            GroupUpdate::Start(start) => {
                let start: &GroupStart = start;
                self.nodes.insert(start.handle().root(), GroupNode::start(start, place));
            }
            GroupUpdate::Child(signed) => {
                let parts = &signed.child.envelopes;
                let stored = &self.mailboxes[&signed.child.tag];
                let bytes = stored
                    .iter()
                    .filter(|(id, _)| parts.contains(id))
                    .map(|(_, bytes)| bytes.len());
                let bytes: usize = bytes.sum();
                self.wire.commits += 1;
                self.wire.commit_parts += parts.len() as u64;
                self.wire.commit += bytes;
                // What is put into mailboxes is a commit or a part of a Welcome here, until something is said.
                self.wire.welcome -= bytes;
                self.wire.welcome_parts -= parts.len() as u64;
                let parent = self.nodes.get_mut(&signed.child.parent).unwrap();
                let adopted = parent.adopt(&NETWORK, signed, place).unwrap();
                *parent = adopted.parent;
                self.nodes.insert(adopted.id, adopted.entry);
            }
            _ => panic!("an update of another version"),
        }
    }

    fn effect(&mut self, at: usize, effect: Effect) -> Answer {
        let sender = (self.live[at].owner.identity, self.live[at].owner.device_id());
        match effect {
            Effect::Put {
                descriptor, envelope, ..
            } => {
                self.wire.welcome += envelope.as_bytes().len();
                self.wire.welcome_parts += 1;
                let receipt = Self::receipt(descriptor.tag(), &envelope);
                let kept = self.mailboxes.entry(descriptor.tag()).or_default();
                kept.push((envelope.id(), envelope.into_bytes()));
                Answer::Stored(Box::new(receipt))
            }
            Effect::Ledger(update) => {
                self.submit(&update);
                Answer::Included
            }
            Effect::Seal { to, device, body, .. } => {
                self.wire.notes += 1;
                self.wire.notes_bytes += body.len();
                let to = self.live.iter_mut().find(|kept| kept.owner.identity == to);
                if let Some(to) = to.filter(|kept| kept.owner.device_id() == device) {
                    to.inbox.push((sender.0, sender.1, body));
                }
                Answer::Sealed
            }
            Effect::FetchPackage { device, suite, .. } => {
                assert_eq!(suite, SessionSuite::Classical);
                let now = UnixMillis::new(self.now).to_seconds();
                let classical = |package: &KeyPackage| {
                    tokenim_session::mls::read_key_package(&NETWORK, package, now)
                        .unwrap()
                        .suite
                        == suite
                };
                let live = self.live.iter().find(|kept| kept.owner.device_id() == device);
                let package = match live {
                    Some(live) => live.packages.iter().find(|package| classical(package)).cloned(),
                    None => self.asleep.get(&device).cloned(),
                };
                self.wire.packages += package.as_ref().map_or(0, |package| package.len());
                Answer::Package(package)
            }
            Effect::Lookup { identity } => {
                self.wire.lookups += 1;
                let state = self.people.get(&identity).cloned().map(Box::new);
                Answer::Identity(state, Height::new(self.height))
            }
            Effect::Publish { packages } => {
                self.live[at].packages = packages;
                Answer::Published
            }
            _ => panic!("an effect of another version"),
        }
    }

    /// Carries out all that is due.
    fn carry_out(&mut self, at: usize) {
        loop {
            let begin = processor();
            let due: Vec<(EffectId, Effect)> = step::due(&self.live[at].store, None, 64).unwrap();
            self.live[at]
                .work
                .steps
                .entry("due")
                .or_default()
                .add(processor().saturating_sub(begin));
            if due.is_empty() {
                return;
            }
            for (id, effect) in due {
                let what = match &effect {
                    Effect::Put { .. } => "stored",
                    Effect::Ledger(_) => "included",
                    Effect::Lookup { .. } => "looked up",
                    Effect::FetchPackage { .. } => "package",
                    _ => "sealed",
                };
                let answer = self.effect(at, effect);
                self.step(at, what, Input::Done(id, answer));
            }
        }
    }

    /// Gives a device what there is to see.
    fn look(&mut self, at: usize) {
        for (sender, device, body) in std::mem::take(&mut self.live[at].inbox) {
            self.step(at, "note", Input::Sealed { sender, device, body });
        }
        let begin = processor();
        let watches = step::watches(&self.live[at].store).unwrap();
        self.live[at]
            .work
            .steps
            .entry("watches")
            .or_default()
            .add(processor().saturating_sub(begin));
        let height = Height::new(self.height);
        for (handle, entry, known) in watches.nodes {
            if let Some(node) = self.nodes.get(&entry).cloned() {
                let new = node.children.len() > usize::from(known);
                let what = if new { "entry" } else { "no news" };
                let node = Box::new(node);
                let input = Input::Node {
                    handle,
                    entry,
                    node,
                    height,
                };
                self.step(at, what, input);
            }
        }
        for watch in watches.mailboxes {
            let tag = watch.descriptor.tag();
            let found = self.mailboxes.get(&tag).cloned().unwrap_or_default();
            for (id, bytes) in found {
                if self.live[at].given.contains(&id) {
                    continue;
                }
                let what = if watch.one_shot { "part" } else { "message" };
                if self.step(at, what, Input::Envelope { tag, bytes, height }) {
                    self.live[at].given.insert(id);
                }
            }
            if !watch.one_shot {
                self.step(at, "read", Input::Read { tag, height });
            }
        }
    }

    fn round(&mut self) {
        self.now += ROUND_MS;
        self.height += 1;
        for at in 0..self.live.len() {
            let wake = step::wake(&self.live[at].store).unwrap();
            if wake.is_some_and(|wake| wake <= UnixMillis::new(self.now)) {
                self.step(at, "tick", Input::Tick);
            }
            self.carry_out(at);
            self.look(at);
            self.carry_out(at);
        }
    }

    fn info(&self, at: usize, talk: ConversationId) -> Option<Info> {
        step::conversation(&self.live[at].store, talk).unwrap()
    }

    /// Until these devices see so many members, and nothing goes on any more.
    fn until(&mut self, talk: ConversationId, devices: &[usize], members: usize) {
        for _ in 0..ROUNDS_MAX {
            self.round();
            let seen = |at: &usize| self.info(*at, talk).map_or(0, |info| info.members.len());
            let quiet = self
                .live
                .iter()
                .all(|device| step::due(&device.store, None, 1).unwrap().is_empty());
            if quiet && devices.iter().all(|at| seen(at) == members) {
                return;
            }
        }
        panic!("nothing comes of it");
    }

    fn begin(&mut self) {
        self.wire = Wire::default();
        for device in &mut self.live {
            device.work = Work::default();
        }
    }

    fn report(&self, title: &str, names: &[&str]) {
        let Wire {
            commits,
            commit_parts,
            commit,
            updates,
            welcome_parts,
            welcome,
            notes,
            notes_bytes,
            message,
            lookups,
            packages,
        } = self.wire;
        println!("\n{title}");
        println!("  commits {commits}, in {commit_parts} parts: {commit} B; on the ledger {updates} B");
        println!(
            "  Welcomes in {welcome_parts} parts: {welcome} B; notes {notes}: {notes_bytes} B; key packages {packages} B"
        );
        println!("  looked up {lookups}; messages {message} B");
        for (device, name) in self.live.iter().zip(names) {
            let work = &device.work;
            println!(
                "  {name}: {:.1} ms in all, {} B written",
                work.total().as_secs_f64() * 1e3,
                work.written
            );
            for (what, spent) in &work.steps {
                println!(
                    "    {what:<10} {:>6} times, {:>10.2} ms in all, {:>8.2} ms at most",
                    spent.count,
                    spent.total.as_secs_f64() * 1e3,
                    spent.most.as_secs_f64() * 1e3
                );
            }
        }
    }
}

/// The processor time of this thread: what else runs on the machine does not count.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts it");
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |name: &str| {
        let found = status.lines().find(|line| line.starts_with(name));
        found
            .map(|line| line[name.len()..].trim().to_owned())
            .unwrap_or_default()
    };
    format!("resident {}, at most {}", line("VmRSS:"), line("VmHWM:"))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tried = arguments.iter().any(|argument| argument == "--test");
    let members = arguments.iter().find_map(|argument| argument.parse().ok());
    let members: usize = members.unwrap_or(if tried { 70 } else { 1000 });
    let names = [
        "who makes it",
        "who is in the first batch",
        "who is in the last one",
        "who is added",
    ];
    let mut world = World::new();
    let [maker, first, last, added] = [0, 1, members - 1, members].map(|number| world.awake(number));
    let asleep: Vec<IdentityId> = (2..members - 1).map(|number| world.sleeper(number)).collect();
    let identity = |world: &World, at: usize| world.live[at].owner.identity;
    let mut invited = vec![identity(&world, first)];
    invited.extend(&asleep);
    invited.push(identity(&world, last));
    println!("{members} members, one device each; {}", memory());

    world.begin();
    let create = Input::CreateGroup {
        name: "a group".into(),
        members: invited,
        suite: Some(SessionSuite::Classical),
    };
    assert!(world.step(maker, "owner", create));
    let talk = step::conversations(&world.live[maker].store).unwrap()[0].conversation;
    let started = world.now;
    world.until(talk, &[maker, first, last], members);
    let took = (world.now - started) / ROUND_MS;
    world.report(&format!("made, within {took} rounds; {}", memory()), &names);

    world.begin();
    let newcomer = identity(&world, added);
    let change = |conversation, change| Input::Change { conversation, change };
    assert!(world.step(maker, "owner", change(talk, Change::Invite(newcomer))));
    world.until(talk, &[maker, first, last, added], members + 1);
    world.report("one added", &names);

    world.begin();
    let gone = asleep[asleep.len() / 2];
    assert!(world.step(maker, "owner", change(talk, Change::Remove(gone))));
    world.until(talk, &[maker, first, last, added], members);
    world.report("one removed", &names);

    world.begin();
    let content = Content::text("m".repeat(1024)).unwrap();
    let send = Input::Send {
        conversation: talk,
        content,
    };
    assert!(world.step(maker, "owner", send));
    for _ in 0..10 {
        world.round();
        let got = |at: usize| step::messages(&world.live[at].store, talk, None, 10).unwrap().len();
        if (0..world.live.len()).all(|at| got(at) == 1) {
            break;
        }
    }
    for at in 0..world.live.len() {
        assert_eq!(step::messages(&world.live[at].store, talk, None, 10).unwrap().len(), 1);
    }
    world.wire.message = std::mem::take(&mut world.wire.welcome);
    world.wire.welcome_parts = 0;
    world.report("1 KiB said", &names);

    world.begin();
    assert!(world.step(first, "owner", change(talk, Change::Refresh)));
    let epoch = world.info(maker, talk).unwrap().epoch;
    for _ in 0..20 {
        world.round();
    }
    assert!(
        world
            .live
            .iter()
            .enumerate()
            .all(|(at, _)| world.info(at, talk).unwrap().epoch > epoch)
    );
    world.report("keys of a member renewed", &names);

    for (device, name) in world.live.iter().zip(names) {
        let bytes = device.store.bytes();
        let all: usize = bytes.values().sum();
        println!("\nkept by {name}: {all} B");
        for (table, bytes) in bytes.iter().filter(|(_, bytes)| **bytes > 1000) {
            println!("  {table:?} {bytes} B");
        }
    }
    println!("\n{}", memory());
}
