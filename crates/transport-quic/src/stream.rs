//! The two halves of a stream.

use crate::{connection::Live, error};
use bytes::Bytes;
use quinn::VarInt;
use std::{future::Future, slice, sync::Arc, time::Duration};
use tokenim_transport::{RecvStream, SendStream, TransportError, code};

/// Runs `work` for at most `limit`; `None` says that time was up.
async fn timed<F: Future>(limit: Option<Duration>, work: F) -> Option<F::Output> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

/// How far this side has come with a stream that it writes.
#[derive(Debug)]
enum Sending {
    Open,
    /// In the middle of a write; seen from outside only after that write was dropped.
    Writing,
    Finished,
    Ended(TransportError),
}

/// The writing half of a QUIC stream.
#[derive(Debug)]
pub struct QuicSendStream {
    stream: quinn::SendStream,
    state: Sending,
    idle_timeout: Option<Duration>,
    _live: Arc<Live>,
}

impl QuicSendStream {
    pub(crate) fn new(stream: quinn::SendStream, live: Arc<Live>) -> Self {
        Self {
            stream,
            state: Sending::Open,
            idle_timeout: Some(live.limits().stream_idle_timeout),
            _live: live,
        }
    }

    fn give_up(&mut self, code: u32, error: TransportError) -> TransportError {
        // Fails only if the stream has ended anyway.
        let _ = self.stream.reset(VarInt::from_u32(code));
        self.state = Sending::Ended(error.clone());
        error
    }
}

impl SendStream for QuicSendStream {
    async fn write(&mut self, bytes: Bytes) -> Result<(), TransportError> {
        match &self.state {
            Sending::Open => {}
            Sending::Writing => return Err(self.give_up(code::DROPPED, TransportError::WriteInterrupted)),
            Sending::Finished => return Err(TransportError::StreamClosed),
            Sending::Ended(error) => return Err(error.clone()),
        }
        self.state = Sending::Writing;
        let mut rest = bytes;
        while !rest.is_empty() {
            match timed(self.idle_timeout, self.stream.write_chunks(slice::from_mut(&mut rest))).await {
                Some(Ok(_)) => {}
                Some(Err(failed)) => {
                    let failed = error::write(&failed);
                    self.state = Sending::Ended(failed.clone());
                    return Err(failed);
                }
                None => return Err(self.give_up(code::TIMEOUT, TransportError::StreamTimedOut)),
            }
        }
        self.state = Sending::Open;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), TransportError> {
        match &self.state {
            Sending::Open => {
                self.stream.finish().map_err(|_| TransportError::StreamClosed)?;
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
        match timed(self.idle_timeout, self.stream.stopped()).await {
            Some(Ok(None)) => Ok(()),
            Some(Ok(Some(code))) => Err(TransportError::StoppedByPeer {
                code: error::code_of(code),
            }),
            Some(Err(failed)) => Err(error::stopped(&failed)),
            None => Err(self.give_up(code::TIMEOUT, TransportError::StreamTimedOut)),
        }
    }

    async fn stopped(&mut self) {
        // That all was read to its end it says of a stream that was finished.
        let _ = self.stream.stopped().await;
    }

    fn reset(&mut self, code: u32) {
        if matches!(self.state, Sending::Open | Sending::Writing) {
            self.give_up(code, TransportError::StreamClosed);
        }
    }

    fn set_idle_timeout(&mut self, timeout: Option<Duration>) {
        self.idle_timeout = timeout;
    }

    fn set_priority(&mut self, priority: i32) {
        // Fails only if the stream has ended.
        let _ = self.stream.set_priority(priority);
    }
}

impl Drop for QuicSendStream {
    fn drop(&mut self) {
        self.reset(code::DROPPED);
    }
}

/// How far this side has come with a stream that it reads.
#[derive(Debug)]
enum Receiving {
    Open,
    AtEnd,
    Ended(TransportError),
}

/// The reading half of a QUIC stream.
#[derive(Debug)]
pub struct QuicRecvStream {
    stream: quinn::RecvStream,
    state: Receiving,
    idle_timeout: Option<Duration>,
    _live: Arc<Live>,
}

impl QuicRecvStream {
    pub(crate) fn new(stream: quinn::RecvStream, live: Arc<Live>) -> Self {
        Self {
            stream,
            state: Receiving::Open,
            idle_timeout: Some(live.limits().stream_idle_timeout),
            _live: live,
        }
    }

    fn give_up(&mut self, code: u32, error: TransportError) -> TransportError {
        // Fails only if the stream has ended anyway.
        let _ = self.stream.stop(VarInt::from_u32(code));
        self.state = Receiving::Ended(error.clone());
        error
    }
}

impl RecvStream for QuicRecvStream {
    async fn read(&mut self, bytes_max: usize) -> Result<Option<Bytes>, TransportError> {
        match &self.state {
            Receiving::Open => {}
            Receiving::AtEnd => return Ok(None),
            Receiving::Ended(error) => return Err(error.clone()),
        }
        match timed(self.idle_timeout, self.stream.read_chunk(bytes_max.max(1), true)).await {
            Some(Ok(Some(chunk))) => Ok(Some(chunk.bytes)),
            Some(Ok(None)) => {
                self.state = Receiving::AtEnd;
                Ok(None)
            }
            Some(Err(failed)) => {
                let failed = error::read(&failed);
                self.state = Receiving::Ended(failed.clone());
                Err(failed)
            }
            None => Err(self.give_up(code::TIMEOUT, TransportError::StreamTimedOut)),
        }
    }

    fn stop(&mut self, code: u32) {
        if matches!(self.state, Receiving::Open) {
            self.give_up(code, TransportError::StreamClosed);
        }
    }

    fn set_idle_timeout(&mut self, timeout: Option<Duration>) {
        self.idle_timeout = timeout;
    }
}

impl Drop for QuicRecvStream {
    fn drop(&mut self) {
        self.stop(code::DROPPED);
    }
}
