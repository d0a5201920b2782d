//! Requests to single nodes, without a client's judgement.

use std::collections::HashMap;
use std::time::Duration;
use tokenim_identity::NodeKey;
use tokenim_rpc::{Request, Response, encode_call};
use tokenim_transport::{Bytes, Connection as _, Limits, PeerId, SendStream as _, Transport as _, TransportError};
use tokenim_transport::{recv_frame, send_frame};
use tokenim_transport_quic::{QuicConnection, QuicTransport};
use tokenim_wire::limits::FRAME_BYTES_MAX;
use tokenim_wire::{DecodeError, EncodeError, NetworkId, Object as _};
use tokio::sync::Mutex;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Why a request brought no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No connection, or one that broke.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The stream ended without an answer.
    #[error("the stream ended without an answer")]
    NoAnswer,
    /// The request has no encoding.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The answer is none.
    #[error("the answer is malformed: {0}")]
    Decode(#[from] DecodeError),
}

/// Asks single nodes, and hands out what they say as it came. One connection to each.
#[derive(Debug)]
pub struct Caller {
    network: NetworkId,
    transport: QuicTransport,
    open: Mutex<HashMap<NodeKey, QuicConnection>>,
}

impl Caller {
    /// One with this transport key, which may be a node's.
    ///
    /// # Errors
    /// Those of the transport.
    pub fn new(network: NetworkId, key: [u8; 32]) -> Result<Self, TransportError> {
        Ok(Self {
            network,
            transport: QuicTransport::dial_only(Zeroizing::new(key), Limits::reference())?,
            open: Mutex::default(),
        })
    }

    /// Asks a node.
    ///
    /// # Errors
    /// [`CallError`]; a refusal is an answer.
    pub async fn ask(
        &self,
        node: &NodeKey,
        address: &str,
        request: &Request,
        patience: Duration,
    ) -> Result<Response, CallError> {
        let call = encode_call(&self.network, request)?;
        Ok(Response::from_bytes(
            &self.ask_raw(node, address, call, patience).await?,
        )?)
    }

    /// Writes these bytes on a stream of its own, ends it, and returns the frame that comes back.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn ask_raw(
        &self,
        node: &NodeKey,
        address: &str,
        call: Vec<u8>,
        patience: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let exchange = async {
            let connection = self.connection(node, address).await?;
            let (mut send, mut recv) = connection.open().await?;
            // A node that refuses early stops reading and answers all the same.
            if send.write(Bytes::from(call)).await.is_ok() {
                let _ = send.finish();
            }
            recv_frame(&mut recv, FRAME_BYTES_MAX).await?.ok_or(CallError::NoAnswer)
        };
        timeout(patience, exchange).await.unwrap_or(Err(CallError::TimedOut))
    }

    /// Writes frames on a stream and keeps it open, without reading: what a peer does that speaks a stream of another
    /// kind than requests. Returns the stream.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn begin(
        &self,
        node: &NodeKey,
        address: &str,
        frames: &[Vec<u8>],
    ) -> Result<
        (
            <QuicConnection as tokenim_transport::Connection>::Send,
            <QuicConnection as tokenim_transport::Connection>::Recv,
        ),
        TransportError,
    > {
        let connection = self.connection(node, address).await?;
        let (mut send, recv) = connection.open().await?;
        for frame in frames {
            send_frame(&mut send, frame).await?;
        }
        Ok((send, recv))
    }

    async fn connection(&self, node: &NodeKey, address: &str) -> Result<QuicConnection, TransportError> {
        let mut open = self.open.lock().await;
        if let Some(connection) = open.get(node)
            && connection.close_reason().is_none()
        {
            return Ok(connection.clone());
        }
        let connection = self.transport.dial(PeerId::from(*node), address).await?;
        open.insert(*node, connection.clone());
        Ok(connection)
    }
}
