//! What can go wrong, by whose doing.

use alloc::string::String;
use core::convert::Infallible;
use tokenim_wire::frame::FrameError;

/// Codes with which a connection is closed, or a stream reset or stopped. They cross the network as they are.
///
/// Below [`code::HOST`] they belong to the transports; from there on to the protocol above.
pub mod code {
    /// Nothing went wrong.
    pub const NONE: u32 = 0;
    /// The host that closed is shutting down.
    pub const SHUTDOWN: u32 = 1;
    /// A newer connection of the same peer took the place of this one.
    pub const REPLACED: u32 = 2;
    /// The host that closed has no room for another connection.
    pub const BUSY: u32 = 3;
    /// The peer broke the rules.
    pub const MISBEHAVED: u32 = 4;
    /// No progress for too long.
    pub const TIMEOUT: u32 = 5;
    /// More bytes than the receiver accepts.
    pub const TOO_LONG: u32 = 6;
    /// The handle was dropped before the stream had come to its end.
    pub const DROPPED: u32 = 7;
    /// The first code that is free for the protocol above.
    pub const HOST: u32 = 0x100;
}

/// Whose doing an error is, and so what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blame {
    /// What the caller passed in can't work: correct it.
    Input,
    /// The peer broke the rules or wasted our time: close the connection with
    /// [`code::MISBEHAVED`] and hold it against the peer.
    Peer,
    /// The peer decided so, within the rules: try later, or elsewhere.
    Decision,
    /// The network, or a peer that died: dial again.
    Network,
    /// The API was used against its documentation.
    Misuse,
    /// This machine or its configuration.
    Local,
}

/// Why an operation of a transport failed, sorted by blame ([`TransportError::blame`]).
///
/// No variant carries content, and none a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    // What was passed in.
    /// The text is no address of this network, or its name doesn't resolve.
    #[error("{address} is no address to dial, or its name doesn't resolve: give host:port")]
    BadAddress {
        /// The address as given.
        address: String,
    },
    /// The limits contradict each other.
    #[error("bad transport limits: {0}")]
    BadLimits(&'static str),
    /// The body to send is too long for one frame; nothing of it was written.
    #[error("a body of {actual} bytes is too long for one frame, which takes {limit}")]
    BodyTooLong {
        /// The most that a frame takes, in bytes.
        limit: usize,
        /// The length of the body, in bytes.
        actual: usize,
    },

    // The peer broke the rules.
    /// Another key than the expected one answered at this address.
    #[error("another key than the expected one answered at this address")]
    WrongPeer,
    /// The peer speaks another protocol or version, or its handshake was invalid.
    #[error("the handshake failed: the other side speaks another protocol or version, or proved no key")]
    Handshake,
    /// The peer broke the rules of the network protocol; the connection is closed.
    #[error("the peer broke the transport protocol")]
    Violation,
    /// The peer sent, or announced, more than is accepted here; the stream is stopped with [`code::TOO_LONG`].
    #[error("more than {limit} bytes arrived where no more are accepted")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The stream ended inside of a frame.
    #[error("the stream ended inside of a frame")]
    Truncated,
    /// Nothing moved on the stream for its idle timeout; it is reset or stopped with [`code::TIMEOUT`].
    #[error("the stream made no progress in time")]
    StreamTimedOut,

    // The peer decided so.
    /// The other side takes no more connections.
    #[error("the other side takes no more connections: try again later")]
    Refused,
    /// The peer closed the connection.
    #[error("the peer closed the connection with code {code}")]
    ClosedByPeer {
        /// The code it gave.
        code: u32,
    },
    /// The peer gave up writing this stream; what arrived so far is incomplete.
    #[error("the peer reset the stream with code {code}")]
    ResetByPeer {
        /// The code it gave.
        code: u32,
    },
    /// The peer doesn't want to read more of this stream.
    #[error("the peer stopped the stream with code {code}")]
    StoppedByPeer {
        /// The code it gave.
        code: u32,
    },

    // The network.
    /// Nobody answered within the handshake timeout.
    #[error("nobody answered at this address in time")]
    Unreachable,
    /// Nothing arrived on the connection for its idle timeout.
    #[error("nothing was heard from the peer for too long")]
    TimedOut,
    /// The peer no longer knows the connection, most likely because it restarted.
    #[error("the peer no longer knows this connection: it restarted")]
    PeerRestarted,

    // Misuse.
    /// The stream was finished, reset or stopped from this side before.
    #[error("the stream was finished, reset or stopped before")]
    StreamClosed,
    /// A write was dropped half-way, so that what follows would have a gap; the stream is reset.
    #[error("an earlier write on this stream was dropped half-way")]
    WriteInterrupted,
    /// This side closed the connection or the transport.
    #[error("this side closed the connection")]
    Closed,

    // This machine.
    /// The address to listen on is taken.
    #[error("{address} is in use by another program: stop it, or choose another port")]
    AddressInUse {
        /// The address as given.
        address: String,
    },
    /// This side has no room for another connection.
    #[error("{limit} connections are open, no more are allowed here")]
    TooManyConnections {
        /// The limit that is reached.
        limit: u32,
    },
    /// The operating system refused.
    #[error("the network of this machine failed: {0}")]
    Io(String),
}

impl TransportError {
    /// Whose doing it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::BadAddress { .. } | Self::BadLimits(_) | Self::BodyTooLong { .. } => Blame::Input,
            Self::WrongPeer
            | Self::Handshake
            | Self::Violation
            | Self::TooLong { .. }
            | Self::Truncated
            | Self::StreamTimedOut => Blame::Peer,
            Self::Refused | Self::ClosedByPeer { .. } | Self::ResetByPeer { .. } | Self::StoppedByPeer { .. } => {
                Blame::Decision
            }
            Self::Unreachable | Self::TimedOut | Self::PeerRestarted => Blame::Network,
            Self::StreamClosed | Self::WriteInterrupted | Self::Closed => Blame::Misuse,
            Self::AddressInUse { .. } | Self::TooManyConnections { .. } | Self::Io(_) => Blame::Local,
        }
    }
}

impl From<Infallible> for TransportError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<FrameError> for TransportError {
    /// For frames that arrived.
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLong { limit, .. } => Self::TooLong { limit },
            FrameError::Truncated => Self::Truncated,
            _ => Self::Violation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_the_address_and_what_to_do() {
        let error = TransportError::AddressInUse {
            address: "127.0.0.1:7001".into(),
        };
        assert_eq!(
            alloc::format!("{error}"),
            "127.0.0.1:7001 is in use by another program: stop it, or choose another port"
        );
        assert_eq!(error.blame(), Blame::Local);
    }

    #[test]
    fn blame_is_as_documented() {
        assert_eq!(TransportError::WrongPeer.blame(), Blame::Peer);
        assert_eq!(TransportError::Refused.blame(), Blame::Decision);
        assert_eq!(TransportError::PeerRestarted.blame(), Blame::Network);
        assert_eq!(TransportError::Closed.blame(), Blame::Misuse);
        assert_eq!(TransportError::BadLimits("").blame(), Blame::Input);
    }

    #[test]
    fn frame_errors_keep_their_meaning() {
        let too_long = FrameError::TooLong { limit: 5, actual: 9 };
        assert_eq!(TransportError::from(too_long), TransportError::TooLong { limit: 5 });
        assert_eq!(TransportError::from(FrameError::Truncated), TransportError::Truncated);
    }
}
