//! What a host does outside: it carries out effects, and looks at what is watched.

use super::{
    super::{
        BEGIN, NOBODY, World, below, chance,
        nodes::{NODES, QUORUM},
        write_down,
    },
    AGAIN_MS, Arrival, Letter, ONCE_MS, Point,
};
use tokenim_mailbox::{
    KeyPackage, MailboxTag,
    group::{GroupEntryId, GroupHandle},
};
use tokenim_session::step::{self, Answer, Effect, Input};
use tokenim_wire::{EnvelopeId, UnixMillis};

impl World {
    /// The nodes that a request of a device comes to, and an answer comes back from, in a random order.
    fn reached(&mut self, at: usize) -> (Vec<usize>, Vec<usize>) {
        let cut = self.devices[at].cut;
        let mut nodes: Vec<usize> = (0..NODES).filter(|node| !cut[*node]).collect();
        for last in (1..nodes.len()).rev() {
            nodes.swap(last, below(&mut self.rng, last + 1));
        }
        nodes.retain(|_| !chance(&mut self.rng, self.faults.loss));
        let mut answered = nodes.clone();
        answered.retain(|_| !chance(&mut self.rng, self.faults.loss / 2));
        (nodes, answered)
    }

    /// How far the ledger is seen by who asks two nodes, f+1, and believes the newer answer; `None` if too few answer, or only
    /// with what is too old.
    fn seen(&mut self, at: usize) -> Option<u64> {
        let (_, answered) = self.reached(at);
        let heights: Vec<u64> = answered
            .iter()
            .take(2)
            .map(|node| {
                let node = &self.nodes.nodes[*node];
                let stale = node.lies || chance(&mut self.rng, self.faults.stale);
                let behind = if stale {
                    below(&mut self.rng, self.faults.stale_heights as usize + 1) as u64
                } else {
                    0
                };
                node.height.saturating_sub(behind)
            })
            .collect();
        let newest = heights.iter().max().copied().filter(|_| heights.len() == 2)?;
        self.ledger.is_fresh(newest, self.now).then_some(newest)
    }

    /// When an answer comes that is given now.
    fn arrival(&mut self) -> u64 {
        if self.faults.delay == 0 {
            return self.now;
        }
        self.now + below(&mut self.rng, self.faults.delay as usize) as u64
    }

    fn arrives(&mut self, at: usize, arrival: Arrival) {
        let times = 1 + usize::from(chance(&mut self.rng, self.faults.duplicate));
        for _ in 0..times {
            let time = self.arrival();
            self.devices[at].memory.arrivals.push((time, arrival.clone()));
        }
    }

    /// Carries out one effect that is due, at random which of the oldest. Whether there was one to carry out.
    pub fn carry_out(&mut self, at: usize) -> bool {
        if !self.is_up(at) {
            return false;
        }
        let count = self.devices[at].due().len();
        if count == 0 {
            return false;
        }
        let (id, effect) = self.devices[at].due()[below(&mut self.rng, count)].clone();
        let busy = self.devices[at]
            .memory
            .busy
            .get(&id)
            .is_some_and(|until| self.now < *until);
        if busy && !chance(&mut self.rng, self.faults.duplicate) {
            return true;
        }
        self.sync(at);
        self.devices[at].effects += 1;
        if self.crashes(at, Point::BeforeEffect) {
            return false;
        }
        let what = match &effect {
            Effect::Ledger(update) => format!("Ledger {:.8}", update.entry().unwrap().to_string()),
            Effect::Seal { device, .. } => {
                let to = self.devices.iter().find(|other| other.id == *device);
                format!("Seal to {}", to.map_or("nobody", |to| &to.name))
            }
            other => format!("{other:?}"),
        };
        let answer = self.carry(at, effect);
        let line = format!(
            "{} {} {what} {}: {}",
            self.now - BEGIN,
            self.devices[at].name,
            id.get(),
            match &answer {
                None => "tried",
                Some(Answer::Failed) => "failed",
                Some(_) => "done",
            }
        );
        write_down(&mut self.log, line);
        if self.crashes(at, Point::AfterEffect) {
            return false;
        }
        let Some(answer) = answer else { return true };
        let delayed = self.faults.delay > 0;
        self.devices[at].memory.busy.insert(id, self.now + self.faults.delay);
        self.arrives(at, Arrival::Answer(id, answer));
        if !delayed {
            self.deliver(at);
        }
        true
    }

    fn carry(&mut self, at: usize, effect: Effect) -> Option<Answer> {
        let (identity_of_sender, sender) = (self.devices[at].owner.identity, self.devices[at].id);
        let (reached, answered) = self.reached(at);
        match effect {
            Effect::Put {
                descriptor, envelope, ..
            } => {
                let (tag, bytes, expiry) = (descriptor.tag(), envelope.as_bytes(), envelope.expiry());
                self.nodes.descriptors.insert(tag, descriptor);
                self.nodes.put(tag, bytes, expiry, &reached);
                let receipt = self.nodes.put(tag, bytes, expiry, &answered)?;
                self.nodes.accept(&receipt);
                Some(Answer::Stored(Box::new(receipt)))
            }
            Effect::Ledger(update) => {
                let (handle, entry) = (update.handle(), update.entry().unwrap());
                let seen = self.seen(at)?;
                if self.ledger.has(handle, entry, seen) {
                    return Some(Answer::Included);
                }
                match self.devices[at].memory.submitted.get(&entry) {
                    Some(number) => {
                        if self.ledger.fate(*number, seen)? {
                            return None;
                        }
                        self.devices[at].memory.submitted.remove(&entry);
                        Some(Answer::Failed)
                    }
                    None => {
                        // To two of them, f+1.
                        for node in reached.into_iter().take(2) {
                            let ready = self.arrival();
                            let number = self.ledger.submit(node, ready, (*update).clone());
                            self.devices[at].memory.submitted.insert(entry, number);
                        }
                        None
                    }
                }
            }
            Effect::Seal { to, device, id, body } => {
                if let Some(other) = self.device_of(&to, &device) {
                    let letters = &mut self.devices[other].inbox.letters;
                    let id = id.to_bytes();
                    let place = letters.iter().position(|letter| letter.id == id).unwrap_or_else(|| {
                        letters.push(Letter {
                            id,
                            sender: identity_of_sender,
                            device: sender,
                            body,
                            on: NOBODY,
                        });
                        letters.len() - 1
                    });
                    for node in reached {
                        letters[place].on[node] = true;
                    }
                }
                (answered.len() >= QUORUM).then_some(Answer::Sealed)
            }
            Effect::FetchPackage {
                identity,
                device,
                suite,
            } => {
                if answered.is_empty() {
                    return None;
                }
                let found = self.device_of(&identity, &device).and_then(|other| {
                    let now = UnixMillis::new(self.now).to_seconds();
                    let packages = &mut self.devices[other].inbox.packages;
                    let fits = |package: &KeyPackage| {
                        tokenim_session::mls::read_key_package(&super::super::NETWORK, package, now)
                            .is_ok_and(|info| info.suite == suite)
                    };
                    let position = packages.iter().position(fits)?;
                    // The last one stays.
                    let is_last = !packages.iter().skip(position + 1).any(fits);
                    Some(if is_last {
                        packages[position].clone()
                    } else {
                        packages.remove(position)
                    })
                });
                Some(Answer::Package(found))
            }
            Effect::Lookup { identity } => {
                let seen = self.seen(at)?;
                let (state, height) = self.ledger.identity(&identity, seen);
                Some(Answer::Identity(state.map(Box::new), height))
            }
            Effect::Acceptance { envelope, .. } => {
                self.seen(at)?;
                Some(Answer::Accepted(self.nodes.accepted(&envelope)))
            }
            Effect::Publish { packages } => {
                if answered.len() < QUORUM {
                    return None;
                }
                self.devices[at].inbox.packages = packages;
                Some(Answer::Published)
            }
            _ => unreachable!(),
        }
    }

    /// Looks at everything that is watched, and takes what is new, now or when it comes. Whether anything was.
    pub fn look(&mut self, at: usize) -> bool {
        if !self.is_up(at) {
            return false;
        }
        let device = &mut self.devices[at];
        let watches = match device.memory.watches.take() {
            Some(watches) => watches,
            None => step::watches(&device.store).unwrap(),
        };
        let before = device.memory.arrivals.len();
        for (handle, entry, known) in &watches.nodes {
            self.look_at_node(at, *handle, *entry, usize::from(*known));
        }
        for watch in &watches.mailboxes {
            self.look_at_mailbox(at, watch.descriptor.tag(), watch.one_shot);
        }
        self.look_at_inbox(at);
        let device = &mut self.devices[at];
        device.memory.watches = Some(watches);
        let something = device.memory.arrivals.len() > before;
        if self.faults.delay == 0 {
            self.deliver(at);
        }
        something
    }

    fn look_at_node(&mut self, at: usize, handle: GroupHandle, entry: GroupEntryId, known: usize) {
        let versions = self.ledger.versions(handle, entry);
        let shown = self.devices[at].memory.shown.get(&(handle, entry)).copied();
        let same = shown.is_some_and(|(seen, time)| seen == versions && self.now < time + AGAIN_MS);
        if versions == 0 || same {
            return;
        }
        let Some(seen) = self.seen(at) else { return };
        let Some((node, height)) = self.ledger.node(handle, entry, seen) else {
            return;
        };
        let recent = shown.is_some_and(|(_, time)| self.now < time + AGAIN_MS);
        if recent && node.children.len() <= known {
            return;
        }
        let shown = (node.children.len() + 1, self.now);
        self.devices[at].memory.shown.insert((handle, entry), shown);
        let input = Input::Node {
            handle,
            entry,
            node: Box::new(node),
            height,
        };
        self.arrives(at, Arrival::Node(Box::new(input)));
    }

    fn look_at_mailbox(&mut self, at: usize, tag: MailboxTag, one_shot: bool) {
        let version = self.nodes.version(tag);
        let read = self.devices[at].memory.read.get(&tag);
        let pause = if one_shot { ONCE_MS } else { AGAIN_MS };
        if read.is_some_and(|(seen, time)| *seen == version && self.now < time + pause) {
            return;
        }
        let (_, answered) = self.reached(at);
        let again = chance(&mut self.rng, self.faults.duplicate);
        let device = &self.devices[at];
        let given = if one_shot {
            device.memory.pages.get(&tag)
        } else {
            device.given.get(&tag).filter(|_| !again)
        };
        let known = |id: &EnvelopeId| given.is_some_and(|given| given.contains(id));
        let answer = self.nodes.read(tag, &answered, known, &mut self.rng);
        if answer.envelopes.is_empty() && !answer.complete {
            return;
        }
        let memory = &mut self.devices[at].memory;
        if answer.complete {
            memory.read.insert(tag, (version, self.now));
            memory.pages.remove(&tag);
        } else if one_shot {
            let ids = answer.envelopes.iter().map(|bytes| EnvelopeId::of(bytes));
            memory.pages.entry(tag).or_default().extend(ids);
        }
        if one_shot && answer.envelopes.is_empty() {
            return;
        }
        let mail = Arrival::Mail {
            tag,
            envelopes: answer.envelopes,
            height: answer.height,
            one_shot,
            read: answer.complete && !one_shot,
        };
        self.arrives(at, mail);
    }

    fn look_at_inbox(&mut self, at: usize) {
        let looked = self.devices[at].memory.letters;
        if looked == self.devices[at].inbox.letters.len() {
            return;
        }
        let (_, answered) = self.reached(at);
        let device = &self.devices[at];
        let new: Vec<Letter> = device
            .inbox
            .letters
            .iter()
            .filter(|letter| !device.taken.contains(&letter.id) && answered.iter().any(|node| letter.on[*node]))
            .cloned()
            .collect();
        if new.is_empty()
            && device
                .inbox
                .letters
                .iter()
                .all(|letter| device.taken.contains(&letter.id))
        {
            self.devices[at].memory.letters = device.inbox.letters.len();
        }
        for letter in new {
            self.arrives(at, Arrival::Letter(letter));
        }
    }
}
