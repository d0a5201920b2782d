//! What the QUIC library reports, in the words of the transport.

use crate::tls::WRONG_PEER_ALERT;
use quinn::{ConnectError, ConnectionError, ReadError, StoppedError, TransportErrorCode, VarInt, WriteError};
use tokenim_transport::TransportError;

/// A code of the peer. Ours have 32 bits; what has more is no code of ours.
pub(crate) fn code_of(code: VarInt) -> u32 {
    u32::try_from(code.into_inner()).unwrap_or(u32::MAX)
}

fn is_crypto(code: TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}

pub(crate) fn connection(error: &ConnectionError) -> TransportError {
    match error {
        ConnectionError::VersionMismatch => TransportError::Handshake,
        ConnectionError::TransportError(error) if error.code == TransportErrorCode::crypto(WRONG_PEER_ALERT) => {
            TransportError::WrongPeer
        }
        ConnectionError::TransportError(error) if is_crypto(error.code) => TransportError::Handshake,
        ConnectionError::TransportError(error) if error.code == TransportErrorCode::INTERNAL_ERROR => {
            TransportError::Closed
        }
        ConnectionError::TransportError(_) => TransportError::Violation,
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED
                || close.error_code == TransportErrorCode::APPLICATION_ERROR =>
        {
            TransportError::Refused
        }
        ConnectionError::ConnectionClosed(close) if is_crypto(close.error_code) => TransportError::Handshake,
        ConnectionError::ConnectionClosed(_) => TransportError::Violation,
        ConnectionError::ApplicationClosed(close) => TransportError::ClosedByPeer {
            code: code_of(close.error_code),
        },
        ConnectionError::Reset => TransportError::PeerRestarted,
        ConnectionError::TimedOut => TransportError::TimedOut,
        ConnectionError::LocallyClosed => TransportError::Closed,
        ConnectionError::CidsExhausted => TransportError::Io("no connection ids left".into()),
    }
}

/// Errors before there is a connection: silence then means that nobody is there.
pub(crate) fn handshake(error: &ConnectionError) -> TransportError {
    match connection(error) {
        TransportError::TimedOut => TransportError::Unreachable,
        other => other,
    }
}

pub(crate) fn connect(error: &ConnectError, address: &str) -> TransportError {
    match error {
        ConnectError::EndpointStopping => TransportError::Closed,
        ConnectError::InvalidRemoteAddress(_) => TransportError::BadAddress {
            address: address.into(),
        },
        other => TransportError::Io(other.to_string()),
    }
}

pub(crate) fn write(error: &WriteError) -> TransportError {
    match error {
        WriteError::Stopped(code) => TransportError::StoppedByPeer { code: code_of(*code) },
        WriteError::ConnectionLost(error) => connection(error),
        WriteError::ClosedStream => TransportError::StreamClosed,
        WriteError::ZeroRttRejected => TransportError::Violation,
    }
}

pub(crate) fn stopped(error: &StoppedError) -> TransportError {
    match error {
        StoppedError::ConnectionLost(error) => connection(error),
        StoppedError::ZeroRttRejected => TransportError::Violation,
    }
}

pub(crate) fn read(error: &ReadError) -> TransportError {
    match error {
        ReadError::Reset(code) => TransportError::ResetByPeer { code: code_of(*code) },
        ReadError::ConnectionLost(error) => connection(error),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead => TransportError::StreamClosed,
        ReadError::ZeroRttRejected => TransportError::Violation,
    }
}
