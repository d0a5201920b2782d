//! Who is connected, and who else may be.

use quinn::{Connection, VarInt};
use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokenim_transport::{Limits, PeerId, code};

/// The part of an address that one party is assumed to hold alone: an IPv4 address, an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Origin {
    pub(crate) fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// What to do with someone who wants to connect.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Go on with the handshake; the place is kept until it is dropped.
    Welcome(Place),
    /// Make sure first that the address is his.
    Prove,
    /// Say that there is no room.
    Refuse,
}

#[derive(Debug)]
struct Entry {
    connection: Connection,
    peer: PeerId,
    origin: Option<Origin>,
}

#[derive(Debug, Default)]
struct State {
    /// Established connections, by the order of their arrival.
    live: BTreeMap<u64, Entry>,
    /// Their numbers by peer, the oldest first.
    peers: BTreeMap<PeerId, VecDeque<u64>>,
    /// Accepted connections and handshakes by origin.
    origins: BTreeMap<Origin, u32>,
    /// Handshakes of accepted connections.
    handshakes: u32,
    /// Handshakes of dialled connections.
    dials: u32,
    next: u64,
}

impl State {
    fn total(&self) -> u64 {
        let handshakes = u64::from(self.handshakes).saturating_add(u64::from(self.dials));
        u64::try_from(self.live.len())
            .unwrap_or(u64::MAX)
            .saturating_add(handshakes)
    }

    fn leave_origin(&mut self, origin: Option<Origin>) {
        let Some(origin) = origin else { return };
        if let Some(count) = self.origins.get_mut(&origin) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.origins.remove(&origin);
            }
        }
    }
}

/// All connections of an endpoint.
#[derive(Debug)]
pub(crate) struct Table {
    limits: Limits,
    state: Mutex<State>,
}

impl Table {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Established connections.
    pub(crate) fn len(&self) -> usize {
        self.lock().live.len()
    }

    /// A place for a connection that this side dials; `None` if there is none.
    pub(crate) fn dial(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.lock();
        if state.total() >= u64::from(self.limits.connections_max) {
            return None;
        }
        state.dials = state.dials.saturating_add(1);
        Some(Place {
            table: Arc::clone(self),
            origin: None,
        })
    }

    /// Decides about someone who wants to connect from this address, which he has `proved` to be his or not.
    pub(crate) fn admit(self: &Arc<Self>, address: SocketAddr, proved: bool) -> Admission {
        let origin = Origin::of(address);
        let mut state = self.lock();
        let of_origin = state.origins.get(&origin).copied().unwrap_or(0);
        if state.total() >= u64::from(self.limits.connections_max)
            || of_origin >= self.limits.connections_per_address_max
        {
            return Admission::Refuse;
        }
        // To ask for proof costs one packet and no memory.
        if !proved && state.handshakes >= self.limits.handshakes_max.div_ceil(4) {
            return Admission::Prove;
        }
        if state.handshakes >= self.limits.handshakes_max {
            return Admission::Refuse;
        }
        state.handshakes = state.handshakes.saturating_add(1);
        state.origins.insert(origin, of_origin.saturating_add(1));
        Admission::Welcome(Place {
            table: Arc::clone(self),
            origin: Some(origin),
        })
    }

    /// Takes in an established connection and makes its peer's oldest ones give way. Gives the number by which to
    /// [`remove`](Table::remove) it.
    pub(crate) fn insert(&self, place: Place, connection: Connection, peer: PeerId) -> u64 {
        let mut state = self.lock();
        let number = state.next;
        state.next = state.next.saturating_add(1);
        let origin = place.origin;
        if let Some(origin) = origin {
            // The place gives its count back when it is dropped; the entry keeps one of its own.
            let count = state.origins.entry(origin).or_default();
            *count = count.saturating_add(1);
        }
        let entry = Entry {
            connection,
            peer,
            origin,
        };
        state.live.insert(number, entry);
        let of_peer = state.peers.entry(peer).or_default();
        of_peer.push_back(number);
        let surplus = of_peer
            .len()
            .saturating_sub(usize::try_from(self.limits.connections_per_peer_max).unwrap_or(usize::MAX));
        let replaced: Vec<u64> = of_peer.iter().take(surplus).copied().collect();
        let replaced: Vec<Connection> = replaced
            .iter()
            .filter_map(|number| state.live.get(number).map(|entry| entry.connection.clone()))
            .collect();
        drop(state);
        drop(place);
        for connection in replaced {
            connection.close(VarInt::from_u32(code::REPLACED), b"");
        }
        number
    }

    /// Forgets a connection that has ended.
    pub(crate) fn remove(&self, number: u64) {
        let mut state = self.lock();
        let Some(entry) = state.live.remove(&number) else {
            return;
        };
        if let Some(of_peer) = state.peers.get_mut(&entry.peer) {
            of_peer.retain(|other| *other != number);
            if of_peer.is_empty() {
                state.peers.remove(&entry.peer);
            }
        }
        state.leave_origin(entry.origin);
    }
}

/// A place kept for a connection while its handshake goes on.
#[derive(Debug)]
pub(crate) struct Place {
    table: Arc<Table>,
    /// Where it came from, if it was accepted.
    origin: Option<Origin>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.table.lock();
        if self.origin.is_some() {
            state.handshakes = state.handshakes.saturating_sub(1);
        } else {
            state.dials = state.dials.saturating_sub(1);
        }
        state.leave_origin(self.origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(connections_max: u32, per_address: u32, handshakes_max: u32) -> Arc<Table> {
        Table::new(Limits {
            connections_max,
            connections_per_address_max: per_address,
            handshakes_max,
            ..Limits::reference()
        })
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_party_is_one_ipv4_address_or_one_ipv6_network() {
        assert_eq!(Origin::of(at("1.2.3.4:1")), Origin::of(at("1.2.3.4:2")));
        assert_ne!(Origin::of(at("1.2.3.4:1")), Origin::of(at("1.2.3.5:1")));
        assert_eq!(Origin::of(at("[::ffff:1.2.3.4]:1")), Origin::of(at("1.2.3.4:1")));
        assert_eq!(
            Origin::of(at("[2001:db8:1:2::1]:1")),
            Origin::of(at("[2001:db8:1:2:ffff::9]:1"))
        );
        assert_ne!(
            Origin::of(at("[2001:db8:1:2::1]:1")),
            Origin::of(at("[2001:db8:1:3::1]:1"))
        );
    }

    #[test]
    fn unknown_addresses_must_prove_themselves_when_many_come() {
        let table = table(100, 100, 8);
        let places: Vec<Admission> = (0..2).map(|_| table.admit(at("1.2.3.4:1"), false)).collect();
        assert!(places.iter().all(|place| matches!(place, Admission::Welcome(_))));
        assert!(matches!(table.admit(at("1.2.3.4:1"), false), Admission::Prove));
        let proved: Vec<Admission> = (0..6).map(|_| table.admit(at("1.2.3.4:1"), true)).collect();
        assert!(proved.iter().all(|place| matches!(place, Admission::Welcome(_))));
        assert!(matches!(table.admit(at("1.2.3.4:1"), true), Admission::Refuse));
        assert!(matches!(table.admit(at("1.2.3.4:1"), false), Admission::Prove));
        drop(places);
        drop(proved);
        assert!(matches!(table.admit(at("1.2.3.4:1"), false), Admission::Welcome(_)));
        assert!(table.lock().origins.is_empty());
    }

    #[test]
    fn one_address_does_not_take_all_places() {
        let table = table(100, 2, 100);
        let _held = (table.admit(at("1.2.3.4:1"), true), table.admit(at("1.2.3.4:2"), true));
        assert!(matches!(table.admit(at("1.2.3.4:3"), true), Admission::Refuse));
        assert!(matches!(table.admit(at("1.2.3.5:3"), true), Admission::Welcome(_)));
    }

    #[test]
    fn dials_count_too() {
        let table = table(2, 100, 100);
        let first = table.dial();
        let _second = table.dial();
        assert!(first.is_some());
        assert!(table.dial().is_none());
        assert!(matches!(table.admit(at("1.2.3.4:1"), true), Admission::Refuse));
        drop(first);
        assert!(table.dial().is_some());
    }
}
