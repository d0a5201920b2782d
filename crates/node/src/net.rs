//! The network of the node, named in one place, and one request over it.

use std::time::Duration;
use tokenim_rpc::limits::MESSAGE_BYTES_MAX;
use tokenim_rpc::{AnswerError, Request, Response, encode_call};
use tokenim_transport::{Bytes, Connection as _, SendStream as _, Transport, TransportError, recv_frame};
use tokenim_transport_quic::QuicTransport;
use tokenim_wire::{DecodeError, EncodeError, NetworkId, Object as _};
use tokio::time::timeout;

/// The transport.
pub(crate) type Net = QuicTransport;
/// Its connections.
pub(crate) type Conn = <Net as Transport>::Connection;
/// The writing half of its streams.
pub(crate) type Sending = <Conn as tokenim_transport::Connection>::Send;
/// The reading half of its streams.
pub(crate) type Receiving = <Conn as tokenim_transport::Connection>::Recv;

/// Why another node gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("not connected")]
    NotConnected,
    #[error("no answer in time")]
    TimedOut,
    #[error("the stream ended without an answer")]
    NoAnswer,
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the answer is malformed: {0}")]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// Asks a connected node.
pub(crate) async fn call(
    connection: &Conn,
    network: &NetworkId,
    request: &Request,
    patience: Duration,
) -> Result<Response, CallError> {
    let bytes = encode_call(network, request)?;
    let answer = async {
        let (mut send, mut recv) = connection.open().await?;
        send.write(Bytes::from(bytes)).await?;
        send.finish()?;
        let frame = recv_frame(&mut recv, MESSAGE_BYTES_MAX)
            .await?
            .ok_or(CallError::NoAnswer)?;
        Ok(Response::from_bytes(&frame)?)
    };
    timeout(patience, answer).await.unwrap_or(Err(CallError::TimedOut))
}
