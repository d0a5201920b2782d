//! All hosts and connections of a network, behind one lock.

use crate::{
    channel::{Channel, Pair, Side, Step, Who},
    physics::{Arrival, Event, Link, Physics},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokenim_transport::{Limits, PeerId, TransportError, code};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) life: u64,
    pub(crate) peer: PeerId,
    limits: Limits,
    /// Connections not yet taken, and when they are ready.
    backlog: VecDeque<(Instant, u64)>,
    /// Connections of this host that may be open.
    connections: BTreeSet<u64>,
    pub(crate) bell: Arc<Notify>,
}

pub(crate) struct State {
    pub(crate) physics: Physics,
    hosts: BTreeMap<String, Host>,
    channels: BTreeMap<u64, Channel>,
    next: u64,
}

/// What all handles of a network share.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Rings when hosts come or go, or the ways between them change.
    pub(crate) topology: Notify,
}

impl Shared {
    pub(crate) fn new(seed: u64, link: Link) -> Self {
        Self {
            state: Mutex::new(State {
                physics: Physics::new(seed, link),
                hosts: BTreeMap::new(),
                channels: BTreeMap::new(),
                next: 0,
            }),
            topology: Notify::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries until it is done, whenever a bell rings or the time has come that the attempt named.
    pub(crate) async fn wait<T>(
        &self,
        bells: [&Notify; 3],
        mut attempt: impl FnMut(&mut State, Instant) -> Step<T>,
    ) -> T {
        loop {
            let [first, second, third] = bells;
            let (mut first, mut second, mut third) =
                (pin!(first.notified()), pin!(second.notified()), pin!(third.notified()));
            first.as_mut().enable();
            second.as_mut().enable();
            third.as_mut().enable();
            let until = match attempt(&mut self.lock(), Instant::now()) {
                Step::Done(result) => return result,
                Step::Wait(until) => until,
            };
            let alarm = async {
                match until {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // In this order always: chance would spoil the replay of a seed.
            tokio::select! {
                biased;
                () = first => {}
                () = second => {}
                () = third => {}
                () = alarm => {}
            }
        }
    }
}

impl State {
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }

    pub(crate) fn bind(
        &mut self,
        peer: PeerId,
        address: &str,
        limits: Limits,
        now: Instant,
    ) -> Result<(u64, Arc<Notify>), TransportError> {
        if self.hosts.contains_key(address) {
            return Err(TransportError::AddressInUse {
                address: address.into(),
            });
        }
        let life = self.number();
        let bell = Arc::new(Notify::new());
        let host = Host {
            life,
            peer,
            limits,
            backlog: VecDeque::new(),
            connections: BTreeSet::new(),
            bell: Arc::clone(&bell),
        };
        self.physics.note(now, Event::Bind, &peer, &peer, [life, 0, 0]);
        self.hosts.insert(address.into(), host);
        self.rewire(now);
        Ok((life, bell))
    }

    /// The host at an address, if it still lives the same life.
    fn host(&mut self, address: &str, life: u64) -> Option<&mut Host> {
        self.hosts.get_mut(address).filter(|host| host.life == life)
    }

    pub(crate) fn is_alive(&self, address: &str, life: u64) -> bool {
        self.hosts.get(address).is_some_and(|host| host.life == life)
    }

    pub(crate) fn life_at(&self, address: &str) -> Option<u64> {
        self.hosts.get(address).map(|host| host.life)
    }

    /// Takes a host off the network; its connections end with a farewell, or without.
    pub(crate) fn unbind(&mut self, address: &str, life: u64, farewell: Option<u32>, now: Instant) {
        if !self.is_alive(address, life) {
            return;
        }
        let Some(host) = self.hosts.remove(address) else { return };
        let event = if farewell.is_some() {
            Event::Unbind
        } else {
            Event::Crash
        };
        self.physics.note(now, event, &host.peer, &host.peer, [life, 0, 0]);
        let mut orphans = Vec::new();
        for number in &host.connections {
            let Some(channel) = self.channels.get_mut(number) else {
                continue;
            };
            for who in Who::BOTH {
                if channel.sides.of(who).host == life {
                    match farewell {
                        Some(code) => channel.close(&mut self.physics, who, code, now),
                        None => channel.vanish(&mut self.physics, who, now),
                    }
                }
            }
            if host.backlog.iter().any(|(_, waiting)| waiting == number) {
                orphans.push(*number);
            }
        }
        // Nobody ever took these.
        for number in orphans {
            self.drop_side(number, Who::Acceptor, now);
        }
        host.bell.notify_waiters();
    }

    /// Stops a host from accepting, and lets its connections be.
    pub(crate) fn retire(&mut self, address: &str, life: u64, now: Instant) {
        let Some(host) = self.host(address, life) else { return };
        let (peer, backlog) = (host.peer, std::mem::take(&mut host.backlog));
        self.hosts.remove(address);
        self.physics.note(now, Event::Unbind, &peer, &peer, [life, 1, 0]);
        for (_, number) in backlog {
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.close(&mut self.physics, Who::Acceptor, code::SHUTDOWN, now);
            }
            self.drop_side(number, Who::Acceptor, now);
        }
    }

    /// After any change of hosts or ways.
    pub(crate) fn rewire(&mut self, now: Instant) {
        for channel in self.channels.values_mut() {
            channel.rewire(&mut self.physics, |address| self.hosts.contains_key(address), now);
        }
    }

    pub(crate) fn note_topology(&mut self, now: Instant, from: PeerId, to: PeerId, kind: u64) {
        self.physics.note(now, Event::Topology, &from, &to, [kind, 0, 0]);
        self.rewire(now);
    }

    /// How many connections of this host are open.
    pub(crate) fn count(&mut self, address: &str, life: u64, now: Instant) -> u32 {
        let open = self.open_connections(address, life, now);
        u32::try_from(open.len()).unwrap_or(u32::MAX)
    }

    /// The open connections of a host, oldest first, with its side and the peer.
    fn open_connections(&mut self, address: &str, life: u64, now: Instant) -> Vec<(u64, Who, PeerId)> {
        let Some(host) = self.hosts.get_mut(address).filter(|host| host.life == life) else {
            return Vec::new();
        };
        let mut open = Vec::new();
        host.connections.retain(|number| {
            let Some(channel) = self.channels.get_mut(number) else {
                return false;
            };
            channel.settle(&mut self.physics, now);
            let sides = Who::BOTH.into_iter().filter(|who| {
                let side = channel.sides.of(*who);
                side.host == life && side.ended().is_none()
            });
            let before = open.len();
            open.extend(sides.map(|who| (*number, who, channel.sides.of(who.other()).peer)));
            open.len() > before
        });
        open
    }

    /// Whether a dial gets through now: then, when its answer is back.
    pub(crate) fn dial_begins(&mut self, dialler: PeerId, address: &str, now: Instant) -> Option<Arrival> {
        let target = self.hosts.get(address)?.peer;
        if !self.physics.open(&dialler, &target) || !self.physics.open(&target, &dialler) {
            return None;
        }
        self.physics.note(now, Event::Dial, &dialler, &target, [0; 3]);
        let there = self.physics.arrival(&dialler, &target, now)?;
        Some(self.physics.arrival(&target, &dialler, there))
    }

    /// Ends a dial: the answer is back. `None` if nobody answers any more.
    pub(crate) fn dial_ends(
        &mut self,
        from: (&str, u64),
        expected: PeerId,
        address: &str,
        now: Instant,
    ) -> Option<Result<u64, TransportError>> {
        let (own_address, own_life) = from;
        let (life, target, limits, waiting) = {
            let host = self.hosts.get(address)?;
            (host.life, host.peer, host.limits.clone(), host.backlog.len())
        };
        let Some(own) = self.host(own_address, own_life) else {
            return Some(Err(TransportError::Closed));
        };
        let (dialler, own_limits) = (own.peer, own.limits.clone());
        if !self.physics.open(&dialler, &target) || !self.physics.open(&target, &dialler) {
            return None;
        }
        if target != expected {
            return Some(Err(TransportError::WrongPeer));
        }
        if self.count(own_address, own_life, now) >= own_limits.connections_max {
            return Some(Err(TransportError::TooManyConnections {
                limit: own_limits.connections_max,
            }));
        }
        let crowded = waiting >= usize::try_from(limits.handshakes_max).unwrap_or(usize::MAX);
        if crowded || self.count(address, life, now) >= limits.connections_max {
            return Some(Err(TransportError::Refused));
        }
        let ready = self.physics.arrival(&dialler, &target, now).unwrap_or(now);
        let number = self.number();
        self.physics
            .note(now, Event::Connect, &dialler, &target, [number, 0, 0]);
        let sides = Pair {
            dialler: Side::new(own_life, own_address, dialler, &own_limits, &limits),
            acceptor: Side::new(life, address, target, &limits, &own_limits),
        };
        self.channels.insert(number, Channel::new(number, sides));
        if let Some(own) = self.host(own_address, own_life) {
            own.connections.insert(number);
        }
        if let Some(host) = self.host(address, life) {
            host.connections.insert(number);
            host.backlog.push_back((ready, number));
            host.bell.notify_waiters();
        }
        self.make_room(own_address, own_life, target, own_limits.connections_per_peer_max, now);
        self.make_room(address, life, dialler, limits.connections_per_peer_max, now);
        Some(Ok(number))
    }

    /// Closes the oldest connections with a peer of which there are too many.
    fn make_room(&mut self, address: &str, life: u64, peer: PeerId, most: u32, now: Instant) {
        let mut open = self.open_connections(address, life, now);
        open.retain(|(_, _, other)| *other == peer);
        let surplus = open.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
        for (number, who, _) in open.into_iter().take(surplus) {
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.close(&mut self.physics, who, code::REPLACED, now);
            }
        }
    }

    /// The next connection for a host: its number, or `None` once the host is gone.
    pub(crate) fn accept(&mut self, address: &str, life: u64, now: Instant) -> Step<Option<u64>> {
        loop {
            let Some(host) = self.host(address, life) else {
                return Step::Done(None);
            };
            let ready = host.backlog.iter().position(|(at, _)| *at <= now);
            let Some((_, number)) = ready.and_then(|index| host.backlog.remove(index)) else {
                return Step::Wait(host.backlog.iter().map(|(at, _)| *at).min());
            };
            let Some(channel) = self.channels.get_mut(&number) else {
                continue;
            };
            channel.settle(&mut self.physics, now);
            if channel.sides.acceptor.ended().is_none() {
                return Step::Done(Some(number));
            }
            self.drop_side(number, Who::Acceptor, now);
        }
    }

    /// Does something with a connection.
    pub(crate) fn with<T>(
        &mut self,
        number: u64,
        action: impl FnOnce(&mut Channel, &mut Physics) -> T,
    ) -> Result<T, TransportError> {
        match self.channels.get_mut(&number) {
            Some(channel) => Ok(action(channel, &mut self.physics)),
            None => Err(TransportError::Closed),
        }
    }

    /// The last handle of one side is gone.
    pub(crate) fn drop_side(&mut self, number: u64, who: Who, now: Instant) {
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        channel.close(&mut self.physics, who, code::NONE, now);
        channel.sides.of_mut(who).held = false;
        if !channel.sides.of(who.other()).held {
            self.channels.remove(&number);
        }
    }

    pub(crate) fn unread_bytes(&self) -> usize {
        let bytes = self.channels.values().map(Channel::unread_bytes);
        bytes.fold(0, usize::saturating_add)
    }
}
