//! The two halves of a stream.

use crate::{
    channel::{Step, Who},
    connection::Held,
    physics::{Arrival, later},
};
use bytes::Bytes;
use std::{fmt, sync::Arc, time::Duration};
use tokenim_transport::{RecvStream, SendStream, TransportError, code};
use tokio::{sync::Notify, time::Instant};

/// Until when a stream may go without progress.
fn deadline(now: Instant, timeout: Option<Duration>) -> Arrival {
    timeout.map(|timeout| later(now, timeout))
}

/// The earlier of two times, of which either may never come.
fn sooner(first: Arrival, second: Arrival) -> Arrival {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}

#[derive(Debug)]
enum Sending {
    Open,
    /// In the middle of a write; seen from outside only after that write was dropped.
    Writing,
    Finished,
    Ended(TransportError),
}

/// The writing half of a stream in memory.
pub struct MemorySendStream {
    held: Arc<Held>,
    number: u64,
    bell: Arc<Notify>,
    state: Sending,
    idle_timeout: Option<Duration>,
}

impl MemorySendStream {
    pub(crate) fn new(held: Arc<Held>, number: u64, bell: Arc<Notify>) -> Self {
        Self {
            idle_timeout: Some(held.limits.stream_idle_timeout),
            held,
            number,
            bell,
            state: Sending::Open,
        }
    }

    fn give_up(&mut self, code: u32, error: TransportError) -> TransportError {
        let (number, who): (u64, Who) = (self.number, self.held.who);
        self.held
            .now(|channel, physics, now| channel.reset(physics, who, number, code, now));
        self.state = Sending::Ended(error.clone());
        error
    }
}

impl fmt::Debug for MemorySendStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySendStream")
            .field("number", &self.number)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl SendStream for MemorySendStream {
    async fn write(&mut self, bytes: Bytes) -> Result<(), TransportError> {
        match &self.state {
            Sending::Open => {}
            Sending::Writing => return Err(self.give_up(code::DROPPED, TransportError::WriteInterrupted)),
            Sending::Finished => return Err(TransportError::StreamClosed),
            Sending::Ended(error) => return Err(error.clone()),
        }
        self.state = Sending::Writing;
        let (held, number, timeout) = (&self.held, self.number, self.idle_timeout);
        let mut rest = bytes;
        let mut until = deadline(Instant::now(), timeout);
        let written = held
            .shared
            .wait([&held.bells.end, &held.bells.window, &self.bell], |state, now| {
                let (moved, step) = match state.with(held.number, |channel, physics| {
                    channel.write(physics, held.who, number, &mut rest, now)
                }) {
                    Ok(outcome) => outcome,
                    Err(error) => (false, Step::Done(Err(error))),
                };
                if moved {
                    until = deadline(now, timeout);
                }
                match step {
                    Step::Wait(_) if until.is_some_and(|at| at <= now) => {
                        Step::Done(Err(TransportError::StreamTimedOut))
                    }
                    Step::Wait(next) => Step::Wait(sooner(next, until)),
                    done @ Step::Done(_) => done,
                }
            })
            .await;
        match written {
            Ok(()) => {
                self.state = Sending::Open;
                Ok(())
            }
            Err(TransportError::StreamTimedOut) => Err(self.give_up(code::TIMEOUT, TransportError::StreamTimedOut)),
            Err(error) => {
                self.state = Sending::Ended(error.clone());
                Err(error)
            }
        }
    }

    fn finish(&mut self) -> Result<(), TransportError> {
        match &self.state {
            Sending::Open => {
                let (number, who) = (self.number, self.held.who);
                self.held
                    .now(|channel, physics, now| channel.finish(physics, who, number, now))
                    .unwrap_or(Err(TransportError::Closed))?;
                self.state = Sending::Finished;
                Ok(())
            }
            Sending::Writing => Err(self.give_up(code::DROPPED, TransportError::WriteInterrupted)),
            Sending::Finished => Err(TransportError::StreamClosed),
            Sending::Ended(error) => Err(error.clone()),
        }
    }

    async fn acknowledged(&mut self) -> Result<(), TransportError> {
        match &self.state {
            Sending::Finished => {}
            Sending::Ended(error) => return Err(error.clone()),
            Sending::Open | Sending::Writing => return Err(TransportError::StreamClosed),
        }
        let (held, number) = (&self.held, self.number);
        let until = deadline(Instant::now(), self.idle_timeout);
        let known = held
            .shared
            .wait([&held.bells.end, &self.bell, &self.bell], |state, now| {
                let step = state
                    .with(held.number, |channel, physics| {
                        channel.acknowledged(physics, held.who, number, now)
                    })
                    .unwrap_or_else(|error| Step::Done(Err(error)));
                match step {
                    Step::Wait(_) if until.is_some_and(|at| at <= now) => {
                        Step::Done(Err(TransportError::StreamTimedOut))
                    }
                    Step::Wait(next) => Step::Wait(sooner(next, until)),
                    done @ Step::Done(_) => done,
                }
            })
            .await;
        if known == Err(TransportError::StreamTimedOut) {
            self.state = Sending::Ended(TransportError::StreamTimedOut);
        }
        known
    }

    fn reset(&mut self, code: u32) {
        if matches!(self.state, Sending::Open | Sending::Writing) {
            self.give_up(code, TransportError::StreamClosed);
        }
    }

    fn set_idle_timeout(&mut self, timeout: Option<Duration>) {
        self.idle_timeout = timeout;
    }
}

impl Drop for MemorySendStream {
    fn drop(&mut self) {
        let (number, who) = (self.number, self.held.who);
        self.held
            .now(|channel, physics, now| channel.drop_sender(physics, who, number, now));
    }
}

#[derive(Debug)]
enum Receiving {
    Open,
    Ended(TransportError),
}

/// The reading half of a stream in memory.
pub struct MemoryRecvStream {
    held: Arc<Held>,
    number: u64,
    bell: Arc<Notify>,
    state: Receiving,
    idle_timeout: Option<Duration>,
}

impl MemoryRecvStream {
    pub(crate) fn new(held: Arc<Held>, number: u64, bell: Arc<Notify>) -> Self {
        Self {
            idle_timeout: Some(held.limits.stream_idle_timeout),
            held,
            number,
            bell,
            state: Receiving::Open,
        }
    }

    fn give_up(&mut self, code: u32, error: TransportError) -> TransportError {
        let (number, who) = (self.number, self.held.who);
        self.held
            .now(|channel, physics, now| channel.stop(physics, who, number, code, now));
        self.state = Receiving::Ended(error.clone());
        error
    }
}

impl fmt::Debug for MemoryRecvStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRecvStream")
            .field("number", &self.number)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl RecvStream for MemoryRecvStream {
    async fn read(&mut self, bytes_max: usize) -> Result<Option<Bytes>, TransportError> {
        if let Receiving::Ended(error) = &self.state {
            return Err(error.clone());
        }
        let (held, number) = (&self.held, self.number);
        let until = deadline(Instant::now(), self.idle_timeout);
        let read = held
            .shared
            .wait([&held.bells.end, &self.bell, &self.bell], |state, now| {
                let step = state
                    .with(held.number, |channel, physics| {
                        channel.read(physics, held.who, number, bytes_max, now)
                    })
                    .unwrap_or_else(|error| Step::Done(Err(error)));
                match step {
                    Step::Wait(_) if until.is_some_and(|at| at <= now) => {
                        Step::Done(Err(TransportError::StreamTimedOut))
                    }
                    Step::Wait(next) => Step::Wait(sooner(next, until)),
                    done @ Step::Done(_) => done,
                }
            })
            .await;
        match read {
            Err(TransportError::StreamTimedOut) => Err(self.give_up(code::TIMEOUT, TransportError::StreamTimedOut)),
            Err(error) => {
                self.state = Receiving::Ended(error.clone());
                Err(error)
            }
            read => read,
        }
    }

    fn stop(&mut self, code: u32) {
        if matches!(self.state, Receiving::Open) {
            let (number, who) = (self.number, self.held.who);
            let at_end = self
                .held
                .now(|channel, _, _| channel.is_read(who, number))
                .unwrap_or(true);
            if !at_end {
                self.give_up(code, TransportError::StreamClosed);
            }
        }
    }

    fn set_idle_timeout(&mut self, timeout: Option<Duration>) {
        self.idle_timeout = timeout;
    }
}

impl Drop for MemoryRecvStream {
    fn drop(&mut self) {
        let (number, who) = (self.number, self.held.who);
        self.held
            .now(|channel, physics, now| channel.drop_receiver(physics, who, number, now));
    }
}
