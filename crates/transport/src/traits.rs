//! The four traits of a network.

use crate::{Limits, MaybeSend, MaybeSync, PeerId, TransportError, code};
use alloc::vec::Vec;
use bytes::Bytes;
use core::{future::Future, net::SocketAddr, time::Duration};

/// One endpoint of a network: dials peers by key and accepts their connections. A clone is a handle of the same
/// endpoint.
///
/// It begins with [`Limits`] and never goes without. When the last handle is dropped it accepts no more; connections
/// live on until their own handles are dropped.
pub trait Transport: Clone + MaybeSend + MaybeSync + 'static {
    /// A connection of this network.
    type Connection: Connection;

    /// The key that this side proves to its peers.
    fn local(&self) -> PeerId;

    /// The limits that this endpoint began with.
    fn limits(&self) -> &Limits;

    /// Connects to `peer` at `address`, a text that the network understands (`host:port` where there is IP).
    ///
    /// The peer's own limits may end the connection right afterwards: the first operation then fails with
    /// [`TransportError::ClosedByPeer`] and [`code::BUSY`].
    ///
    /// Cancel-safe: dropping the future abandons the handshake.
    ///
    /// # Errors
    /// [`WrongPeer`](TransportError::WrongPeer) if another key than that of `peer` answers; then nothing was sent to
    /// it. [`Unreachable`](TransportError::Unreachable) if nobody answers within the handshake timeout.
    /// [`Refused`](TransportError::Refused), [`Handshake`](TransportError::Handshake),
    /// [`BadAddress`](TransportError::BadAddress), [`TooManyConnections`](TransportError::TooManyConnections),
    /// [`Closed`](TransportError::Closed) after [`Transport::close`].
    fn dial(
        &self,
        peer: PeerId,
        address: &str,
    ) -> impl Future<Output = Result<Self::Connection, TransportError>> + MaybeSend;

    /// The next connection that a peer opened, after its handshake; `None` once this endpoint is closed.
    ///
    /// A host that doesn't take its connections lets newcomers wait, and be refused beyond
    /// [`Limits::handshakes_max`]. Several tasks may accept; each connection is handed out once.
    ///
    /// Cancel-safe: a connection is never lost.
    fn accept(&self) -> impl Future<Output = Option<Self::Connection>> + MaybeSend;

    /// Closes all connections with [`code::SHUTDOWN`], tells the peers and frees the address, so that another
    /// endpoint may begin there once this returns. What streams still held is lost: let them be
    /// [acknowledged](SendStream::acknowledged) before. Returns within a few seconds, whatever the peers do.
    ///
    /// Cancel-safe: dropped early, the endpoint is closed all the same, but peers may have to notice by themselves.
    fn close(&self) -> impl Future<Output = ()> + MaybeSend;
}

/// A connection with an authenticated peer, carrying any number of independent byte streams in both directions. A
/// clone is a handle of the same connection.
///
/// When the last handle of it and of its streams is dropped, it is closed with [`code::NONE`].
pub trait Connection: Clone + MaybeSend + MaybeSync + 'static {
    /// The writing half of its streams.
    type Send: SendStream;
    /// The reading half of its streams.
    type Recv: RecvStream;

    /// The key that the peer proved to hold.
    fn peer(&self) -> PeerId;

    /// The peer's address, where the network has IP addresses: for limits and logs, never for trust.
    fn remote(&self) -> Option<SocketAddr> {
        None
    }

    /// Opens a stream. The peer learns of it with the first byte written, or its end.
    ///
    /// Waits while as many streams are open as the peer allows.
    ///
    /// Cancel-safe: no stream is opened by a dropped future.
    ///
    /// # Errors
    /// Why the connection has ended.
    fn open(&self) -> impl Future<Output = Result<(Self::Send, Self::Recv), TransportError>> + MaybeSend;

    /// The next stream that the peer opened. Several tasks may accept; each stream is handed out once.
    ///
    /// Cancel-safe: a stream is never lost.
    ///
    /// # Errors
    /// Why the connection has ended.
    fn accept(&self) -> impl Future<Output = Result<(Self::Send, Self::Recv), TransportError>> + MaybeSend;

    /// Closes the connection at once: the peer sees [`TransportError::ClosedByPeer`] with this code, this side
    /// [`TransportError::Closed`]. What streams still held is lost. A second call changes nothing.
    fn close(&self, code: u32);

    /// Why the connection has ended; `None` while it lives.
    fn close_reason(&self) -> Option<TransportError>;

    /// Waits until the connection has ended, and says why.
    ///
    /// Cancel-safe.
    fn closed(&self) -> impl Future<Output = TransportError> + MaybeSend;
}

/// The writing half of a stream.
///
/// Dropped before [`finish`](SendStream::finish), it is reset with [`code::DROPPED`], so that the reader never takes
/// a part for the whole.
pub trait SendStream: MaybeSend + 'static {
    /// Writes all of `bytes`, in order, waiting while the reader or the network is slow. Nothing is ever dropped: it
    /// is on its way, or there is an error. To have returned means accepted, not delivered
    /// ([`acknowledged`](SendStream::acknowledged)).
    ///
    /// Not cancel-safe: dropped before it is ready, it may have written a part. Further writes then fail with
    /// [`TransportError::WriteInterrupted`] and the stream is reset, so that no gap goes unnoticed.
    ///
    /// # Errors
    /// [`StoppedByPeer`](TransportError::StoppedByPeer) if the peer doesn't want more,
    /// [`StreamTimedOut`](TransportError::StreamTimedOut) if nothing moved for the idle timeout,
    /// [`StreamClosed`](TransportError::StreamClosed) after the end, or why the connection has ended.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), TransportError>> + MaybeSend;

    /// Ends the stream: the reader gets all that was written and then its end.
    ///
    /// # Errors
    /// [`StreamClosed`](TransportError::StreamClosed) if it had ended before.
    fn finish(&mut self) -> Result<(), TransportError>;

    /// Waits until the peer's transport holds everything written and the end. Says nothing about the host behind it.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`StreamClosed`](TransportError::StreamClosed) unless [`finish`](SendStream::finish) was called,
    /// [`StoppedByPeer`](TransportError::StoppedByPeer), or why the connection has ended.
    fn acknowledged(&mut self) -> impl Future<Output = Result<(), TransportError>> + MaybeSend;

    /// Waits until nobody reads any more, before the end: the peer has stopped reading, or the connection has ended. For whoever
    /// works on something long before it writes. A network that can't tell waits for ever.
    ///
    /// Cancel-safe.
    fn stopped(&mut self) -> impl Future<Output = ()> + MaybeSend {
        core::future::pending()
    }

    /// Gives the stream up: the reader sees [`TransportError::ResetByPeer`] with this code, and what is on its way
    /// may be lost. Without effect after the end.
    fn reset(&mut self, code: u32);

    /// How long a write may go without progress; `None` is for ever. At first [`Limits::stream_idle_timeout`].
    fn set_idle_timeout(&mut self, timeout: Option<Duration>);

    /// Among the streams of a connection, those of higher priority are sent first. At first 0. A network may ignore it.
    fn set_priority(&mut self, priority: i32) {
        let _ = priority;
    }
}

/// The reading half of a stream.
///
/// Dropped before the end was read, it is stopped with [`code::DROPPED`].
pub trait RecvStream: MaybeSend + 'static {
    /// The next bytes, at least one and at most `bytes_max` (0 counts as 1); `None` at the end of the stream, from
    /// then on always. Where one chunk ends and the next begins means nothing.
    ///
    /// Cancel-safe: a dropped future takes no bytes.
    ///
    /// # Errors
    /// [`ResetByPeer`](TransportError::ResetByPeer), [`StreamTimedOut`](TransportError::StreamTimedOut) if nothing
    /// arrived for the idle timeout, [`StreamClosed`](TransportError::StreamClosed) after
    /// [`stop`](RecvStream::stop), or why the connection has ended.
    fn read(&mut self, bytes_max: usize) -> impl Future<Output = Result<Option<Bytes>, TransportError>> + MaybeSend;

    /// Doesn't want more: the writer sees [`TransportError::StoppedByPeer`] with this code. Without effect after the
    /// end.
    fn stop(&mut self, code: u32);

    /// How long a read may go without a byte; `None` is for ever. At first [`Limits::stream_idle_timeout`].
    fn set_idle_timeout(&mut self, timeout: Option<Duration>);

    /// Everything up to the end of the stream, at most `bytes_max` bytes. Holds no more than has arrived.
    ///
    /// Not cancel-safe: what a dropped future had read is lost.
    ///
    /// # Errors
    /// Those of [`read`](RecvStream::read), and [`TooLong`](TransportError::TooLong) beyond `bytes_max`; the stream is
    /// then stopped with [`code::TOO_LONG`].
    fn read_to_end(&mut self, bytes_max: usize) -> impl Future<Output = Result<Bytes, TransportError>> + MaybeSend {
        async move {
            let mut first = Bytes::new();
            let mut rest = Vec::new();
            loop {
                let held = first.len().saturating_add(rest.len());
                // One byte more than is allowed tells a stream that ends here from one that goes on.
                let asked = bytes_max.saturating_sub(held).saturating_add(1);
                let Some(chunk) = self.read(asked).await? else {
                    return Ok(if rest.is_empty() { first } else { Bytes::from(rest) });
                };
                if held.saturating_add(chunk.len()) > bytes_max {
                    self.stop(code::TOO_LONG);
                    return Err(TransportError::TooLong { limit: bytes_max });
                }
                if held == 0 {
                    first = chunk;
                } else {
                    if rest.is_empty() {
                        rest.extend_from_slice(&core::mem::take(&mut first));
                    }
                    rest.extend_from_slice(&chunk);
                }
            }
        }
    }
}
