//! A connection.

use crate::{
    channel::{Bells, Channel, Step, Who},
    physics::Physics,
    state::Shared,
    stream::{MemoryRecvStream, MemorySendStream},
};
use std::{fmt, sync::Arc};
use tokenim_transport::{Connection, Limits, PeerId, TransportError};
use tokio::{sync::Notify, time::Instant};

/// What the handles of one side and of its streams share; when the last of them goes, so does the connection.
pub(crate) struct Held {
    pub(crate) shared: Arc<Shared>,
    pub(crate) number: u64,
    pub(crate) who: Who,
    pub(crate) peer: PeerId,
    pub(crate) limits: Limits,
    pub(crate) bells: Bells,
}

impl Held {
    /// Does something with the connection now; `None` if it is forgotten.
    pub(crate) fn now<T>(&self, action: impl FnOnce(&mut Channel, &mut Physics, Instant) -> T) -> Option<T> {
        let now = Instant::now();
        self.shared
            .lock()
            .with(self.number, |channel, physics| action(channel, physics, now))
            .ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.lock().drop_side(self.number, self.who, Instant::now());
    }
}

/// A connection in memory.
#[derive(Clone)]
pub struct MemoryConnection {
    held: Arc<Held>,
}

impl MemoryConnection {
    pub(crate) fn new(shared: &Arc<Shared>, number: u64, who: Who) -> Result<Self, TransportError> {
        let (peer, limits, bells) = shared.lock().with(number, |channel, _| {
            let own = channel.sides.of(who);
            (
                channel.sides.of(who.other()).peer,
                own.limits.clone(),
                own.bells.clone(),
            )
        })?;
        Ok(Self {
            held: Arc::new(Held {
                shared: Arc::clone(shared),
                number,
                who,
                peer,
                limits,
                bells,
            }),
        })
    }

    fn streams(&self, number: u64, bell: &Arc<Notify>) -> (MemorySendStream, MemoryRecvStream) {
        (
            MemorySendStream::new(Arc::clone(&self.held), number, Arc::clone(bell)),
            MemoryRecvStream::new(Arc::clone(&self.held), number, Arc::clone(bell)),
        )
    }
}

impl fmt::Debug for MemoryConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConnection")
            .field("peer", &self.held.peer)
            .field("number", &self.held.number)
            .finish_non_exhaustive()
    }
}

impl Connection for MemoryConnection {
    type Send = MemorySendStream;
    type Recv = MemoryRecvStream;

    fn peer(&self) -> PeerId {
        self.held.peer
    }

    async fn open(&self) -> Result<(MemorySendStream, MemoryRecvStream), TransportError> {
        let held = &self.held;
        let (number, bell) = held
            .shared
            .wait([&held.bells.end, &held.bells.room, &held.bells.room], |state, now| {
                state
                    .with(held.number, |channel, physics| channel.open(physics, held.who, now))
                    .unwrap_or_else(|error| Step::Done(Err(error)))
            })
            .await?;
        Ok(self.streams(number, &bell))
    }

    async fn accept(&self) -> Result<(MemorySendStream, MemoryRecvStream), TransportError> {
        let held = &self.held;
        let (number, bell) = held
            .shared
            .wait(
                [&held.bells.end, &held.bells.streams, &held.bells.streams],
                |state, now| {
                    state
                        .with(held.number, |channel, physics| channel.accept(physics, held.who, now))
                        .unwrap_or_else(|error| Step::Done(Err(error)))
                },
            )
            .await?;
        Ok(self.streams(number, &bell))
    }

    fn close(&self, code: u32) {
        let who = self.held.who;
        self.held
            .now(|channel, physics, now| channel.close(physics, who, code, now));
    }

    fn close_reason(&self) -> Option<TransportError> {
        let who = self.held.who;
        let ended = self
            .held
            .now(|channel, physics, now| channel.close_reason(physics, who, now));
        match ended {
            Some(Step::Done(why)) => Some(why),
            Some(Step::Wait(_)) => None,
            None => Some(TransportError::Closed),
        }
    }

    async fn closed(&self) -> TransportError {
        let held = &self.held;
        held.shared
            .wait([&held.bells.end, &held.bells.end, &held.bells.end], |state, now| {
                state
                    .with(held.number, |channel, physics| {
                        channel.close_reason(physics, held.who, now)
                    })
                    .unwrap_or_else(Step::Done)
            })
            .await
    }
}
