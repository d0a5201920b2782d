//! The endpoint of a host.

use crate::{
    channel::{Step, Who},
    connection::MemoryConnection,
    physics::later,
    state::Shared,
};
use std::{fmt, sync::Arc};
use tokenim_transport::{Limits, PeerId, Transport, TransportError, code};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// What the handles of an endpoint share.
struct Endpoint {
    shared: Arc<Shared>,
    address: String,
    /// Tells this life of the host from one before or after a crash.
    life: u64,
    peer: PeerId,
    limits: Limits,
    bell: Arc<Notify>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.lock().retire(&self.address, self.life, Instant::now());
    }
}

/// A host of a [`Network`](crate::Network). A clone is a handle of the same endpoint.
#[derive(Clone)]
pub struct MemoryTransport {
    endpoint: Arc<Endpoint>,
}

impl MemoryTransport {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        peer: PeerId,
        address: &str,
        limits: Limits,
    ) -> Result<Self, TransportError> {
        limits.check()?;
        let (life, bell) = shared.lock().bind(peer, address, limits.clone(), Instant::now())?;
        shared.topology.notify_waiters();
        Ok(Self {
            endpoint: Arc::new(Endpoint {
                shared: Arc::clone(shared),
                address: address.into(),
                life,
                peer,
                limits,
                bell,
            }),
        })
    }

    /// The address it was bound to.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.endpoint.address
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport")
            .field("peer", &self.endpoint.peer)
            .field("address", &self.endpoint.address)
            .finish_non_exhaustive()
    }
}

impl Transport for MemoryTransport {
    type Connection = MemoryConnection;

    fn local(&self) -> PeerId {
        self.endpoint.peer
    }

    fn limits(&self) -> &Limits {
        &self.endpoint.limits
    }

    async fn dial(&self, peer: PeerId, address: &str) -> Result<MemoryConnection, TransportError> {
        let own = &self.endpoint;
        let deadline = later(Instant::now(), own.limits.handshake_timeout);
        loop {
            // The way there and back, as soon as somebody is there.
            let answered = own
                .shared
                .wait([&own.shared.topology, &own.bell, &own.bell], |state, now| {
                    if !state.is_alive(&own.address, own.life) {
                        return Step::Done(Err(TransportError::Closed));
                    }
                    if state.count(&own.address, own.life, now) >= own.limits.connections_max {
                        return Step::Done(Err(TransportError::TooManyConnections {
                            limit: own.limits.connections_max,
                        }));
                    }
                    match state.dial_begins(own.peer, address, now).flatten() {
                        Some(answer) => Step::Done(Ok(answer)),
                        None if now >= deadline => Step::Done(Err(TransportError::Unreachable)),
                        None => Step::Wait(Some(deadline)),
                    }
                })
                .await?;
            sleep_until(answered.min(deadline)).await;
            let now = Instant::now();
            if now >= deadline {
                return Err(TransportError::Unreachable);
            }
            let ended = own
                .shared
                .lock()
                .dial_ends((&own.address, own.life), peer, address, now);
            match ended {
                Some(Ok(number)) => return MemoryConnection::new(&own.shared, number, Who::Dialler),
                Some(Err(error)) => return Err(error),
                // Cut off or gone in between: try again until time is up.
                None => {}
            }
        }
    }

    async fn accept(&self) -> Option<MemoryConnection> {
        let own = &self.endpoint;
        let number = own
            .shared
            .wait([&own.bell, &own.bell, &own.bell], |state, now| {
                state.accept(&own.address, own.life, now)
            })
            .await?;
        MemoryConnection::new(&own.shared, number, Who::Acceptor).ok()
    }

    async fn close(&self) {
        let own = &self.endpoint;
        own.shared
            .lock()
            .unbind(&own.address, own.life, Some(code::SHUTDOWN), Instant::now());
        own.shared.topology.notify_waiters();
    }
}
