//! The network as a whole.

use crate::{
    endpoint::MemoryTransport,
    physics::{Link, Trace},
    state::Shared,
};
use std::{fmt, sync::Arc};
use tokenim_transport::{Limits, PeerId, TransportError};
use tokio::time::Instant;

/// A network in memory, ruled by a seed. A clone is a handle of the same network.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

impl Network {
    /// A network without hosts, in which all hear each other through `link`.
    #[must_use]
    pub fn new(seed: u64, link: Link) -> Self {
        Self {
            shared: Arc::new(Shared::new(seed, link)),
        }
    }

    /// Puts a host on the network, under any text as its address. After a [`crash`](Network::crash), the same call
    /// restarts it.
    ///
    /// # Errors
    /// [`AddressInUse`](TransportError::AddressInUse), [`BadLimits`](TransportError::BadLimits).
    pub fn bind(&self, peer: PeerId, address: &str, limits: Limits) -> Result<MemoryTransport, TransportError> {
        MemoryTransport::new(&self.shared, peer, address, limits)
    }

    /// Gives one direction between two hosts a link of its own, for what is sent from now on.
    pub fn set_link(&self, from: PeerId, to: PeerId, link: Link) {
        self.shared.lock().physics.set_link(from, to, link);
    }

    /// Separates the hosts into groups that don't hear each other; those not named form one more group. Replaces an
    /// earlier partition.
    pub fn partition(&self, groups: &[&[PeerId]]) {
        let mut state = self.shared.lock();
        state.physics.partition(groups);
        for (group, number) in groups.iter().zip(1..) {
            for peer in *group {
                state.note_topology(Instant::now(), *peer, *peer, number);
            }
        }
        drop(state);
        self.shared.topology.notify_waiters();
    }

    /// Cuts one direction: `to` no longer hears `from`.
    pub fn cut(&self, from: PeerId, to: PeerId) {
        let mut state = self.shared.lock();
        state.physics.cut(from, to);
        state.note_topology(Instant::now(), from, to, 0);
        drop(state);
        self.shared.topology.notify_waiters();
    }

    /// Ends all partitions and cuts. What was on its way goes on.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.physics.heal();
        let everyone = PeerId::from_bytes([0; 32]);
        state.note_topology(Instant::now(), everyone, everyone, u64::MAX);
        drop(state);
        self.shared.topology.notify_waiters();
    }

    /// Lets the host at this address die without a word: all its handles fail with
    /// [`Closed`](TransportError::Closed), its peers have to notice. Says whether there was one.
    pub fn crash(&self, address: &str) -> bool {
        let mut state = self.shared.lock();
        let life = state.life_at(address);
        if let Some(life) = life {
            state.unbind(address, life, None, Instant::now());
            state.rewire(Instant::now());
        }
        drop(state);
        self.shared.topology.notify_waiters();
        life.is_some()
    }

    /// What has happened so far. On a current-thread runtime with paused time, the same seed and the same program give
    /// the same trace.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.shared.lock().physics.trace()
    }

    /// Bytes on all streams that were written and not read.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.shared.lock().unread_bytes()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("trace", &self.trace())
            .finish_non_exhaustive()
    }
}
