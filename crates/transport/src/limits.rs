//! What one host grants to its peers.

use crate::TransportError;
use core::time::Duration;

/// Every bound of a transport, a required argument of each of them: there is no transport without limits.
///
/// A transport refuses limits that contradict each other ([`Limits::check`]). The most memory that peers can make a
/// host hold for stream data is [`Limits::stream_bytes_max`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time, dialled and accepted together. Beyond it newcomers are refused, and dialling fails.
    pub connections_max: u32,
    /// Connections with one peer, dialled and accepted together. The newest wins: the oldest is closed with
    /// [`code::REPLACED`](crate::code::REPLACED), so that a peer that lost its state is never locked out by its own
    /// forgotten connections.
    pub connections_per_peer_max: u32,
    /// Connections accepted from one IPv4 address or one IPv6 /64. Networks without IP addresses ignore it.
    pub connections_per_address_max: u32,
    /// Handshakes of accepted connections going on at one time, including connections that the host has not taken yet.
    /// From a quarter of it on, unknown addresses must prove that they are theirs before they cost anything.
    pub handshakes_max: u32,
    /// Streams that the peer may have open on one connection. When it wants another, it waits.
    pub streams_per_connection_max: u32,
    /// Unread bytes that one stream holds before its writer has to wait.
    pub stream_window_bytes: u32,
    /// Unread bytes that all streams of a connection hold together before their writers have to wait.
    pub connection_window_bytes: u32,
    /// Written bytes of a connection that the peer has not acknowledged before writers have to wait.
    pub send_window_bytes: u32,
    /// A connection on which nothing at all arrived for this time is closed.
    pub idle_timeout: Duration,
    /// A connection is kept from idling by a sign of life at this interval; at most half of the idle timeout.
    pub keep_alive: Duration,
    /// A handshake that takes longer is given up, on either side.
    pub handshake_timeout: Duration,
    /// A read or write that makes no progress for this time fails, unless its stream was told otherwise
    /// (`set_idle_timeout`).
    pub stream_idle_timeout: Duration,
}

impl Limits {
    /// Limits for a node on a small server: 1,024 connections, 256 streams on each, windows that fill a path of 100
    /// Mbit/s and 80 ms, dead peers noticed within 15 s.
    #[must_use]
    pub const fn reference() -> Self {
        Self {
            connections_max: 1_024,
            connections_per_peer_max: 4,
            connections_per_address_max: 512,
            handshakes_max: 128,
            streams_per_connection_max: 256,
            stream_window_bytes: 1 << 20,
            connection_window_bytes: 2 << 20,
            send_window_bytes: 2 << 20,
            idle_timeout: Duration::from_secs(15),
            keep_alive: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            stream_idle_timeout: Duration::from_secs(30),
        }
    }

    /// The most bytes of stream data that peers can make this host hold, over all connections.
    #[must_use]
    pub const fn stream_bytes_max(&self) -> u64 {
        let per_connection = (self.connection_window_bytes as u64).saturating_add(self.send_window_bytes as u64);
        per_connection.saturating_mul(self.connections_max as u64)
    }

    /// Says whether these limits make sense together. Every transport calls it when it is made.
    ///
    /// # Errors
    /// [`TransportError::BadLimits`] names the rule that is broken.
    pub const fn check(&self) -> Result<(), TransportError> {
        let broken = if self.connections_max == 0
            || self.connections_per_peer_max == 0
            || self.connections_per_address_max == 0
            || self.handshakes_max == 0
            || self.streams_per_connection_max == 0
            || self.stream_window_bytes == 0
            || self.connection_window_bytes == 0
            || self.send_window_bytes == 0
        {
            "a count or a window is zero, so that nothing could ever pass"
        } else if self.stream_window_bytes > self.connection_window_bytes {
            "stream_window_bytes is greater than connection_window_bytes, so that one stream could block all"
        } else if self.idle_timeout.as_millis() > u32::MAX as u128
            || self.handshake_timeout.as_millis() > u32::MAX as u128
            || self.stream_idle_timeout.as_millis() > u32::MAX as u128
        {
            "a timeout is longer than 49 days"
        } else if self.keep_alive.is_zero() || self.handshake_timeout.is_zero() || self.stream_idle_timeout.is_zero() {
            "a duration is zero"
        } else if self.keep_alive.as_millis().saturating_mul(2) > self.idle_timeout.as_millis() {
            "keep_alive is more than half of idle_timeout, so that one lost packet would end a connection"
        } else {
            return Ok(());
        };
        Err(TransportError::BadLimits(broken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_sound() {
        assert_eq!(Limits::reference().check(), Ok(()));
        assert_eq!(Limits::reference().stream_bytes_max(), 4 << 30);
    }

    #[test]
    fn contradictions_are_refused() {
        let refused: [fn(&mut Limits); 12] = [
            |limits| limits.connections_max = 0,
            |limits| limits.connections_per_peer_max = 0,
            |limits| limits.connections_per_address_max = 0,
            |limits| limits.handshakes_max = 0,
            |limits| limits.streams_per_connection_max = 0,
            |limits| limits.stream_window_bytes = 0,
            |limits| limits.stream_window_bytes = limits.connection_window_bytes + 1,
            |limits| limits.send_window_bytes = 0,
            |limits| limits.keep_alive = limits.idle_timeout,
            |limits| limits.keep_alive = Duration::ZERO,
            |limits| limits.handshake_timeout = Duration::ZERO,
            |limits| limits.idle_timeout = Duration::from_secs(1 << 40),
        ];
        for (index, spoil) in refused.iter().enumerate() {
            let mut limits = Limits::reference();
            spoil(&mut limits);
            assert!(
                matches!(limits.check(), Err(TransportError::BadLimits(_))),
                "rule {index} let {limits:?} pass"
            );
        }
    }
}
