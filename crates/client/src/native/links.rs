//! Connections to the nodes: one each, dialled by key when needed, given up when silent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokenim_identity::NodeKey;
use tokenim_rpc::limits::WAIT_MILLISECONDS_MAX;
use tokenim_rpc::{Request, Response, encode_call};
use tokenim_transport::{Connection, Limits, PeerId, SendStream, Transport, TransportError, recv_frame};
use tokenim_transport_quic::{QuicConnection, QuicTransport};
use tokenim_wire::limits::FRAME_BYTES_MAX;
use tokenim_wire::{NetworkId, Object};
use zeroize::Zeroizing;

use super::ClientError;

/// A node that could not be reached is not dialled again for this long.
const REDIAL_PAUSE: Duration = Duration::from_millis(150);

/// What a client grants to the nodes it dials; nobody dials a client.
pub(crate) const fn limits() -> Limits {
    let mut limits = Limits::reference();
    limits.connections_max = 256;
    limits.streams_per_connection_max = 16;
    limits.handshake_timeout = Duration::from_secs(3);
    // As nodes do it: more often is paid for by whoever carries the client around.
    limits.idle_timeout = Duration::from_secs(15);
    limits.keep_alive = Duration::from_secs(5);
    // Longer than any answer is held back; each call has a shorter timeout of its own.
    limits.stream_idle_timeout = Duration::from_millis(WAIT_MILLISECONDS_MAX as u64 + 60_000);
    limits
}

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection, or one that broke.
    #[error("{0}")]
    Transport(TransportError),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// It ended the stream without an answer.
    #[error("it gave no answer")]
    NoAnswer,
    /// What came is no answer.
    #[error("its answer could not be decoded")]
    Undecodable,
}

#[derive(Default)]
struct Link {
    address: Mutex<String>,
    connection: tokio::sync::Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    open: Option<QuicConnection>,
    failed: Option<(Instant, TransportError)>,
}

/// The connections of one client run, under a transport key made for this run alone, so that
/// nodes can't tell from it who comes back.
pub(crate) struct Links {
    network: NetworkId,
    transport: QuicTransport,
    links: Mutex<HashMap<NodeKey, Arc<Link>>>,
}

impl core::fmt::Debug for Links {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Links")
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

impl Links {
    pub(crate) fn new(network: NetworkId) -> Result<Self, ClientError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|_| ClientError::Random)?;
        Ok(Self {
            network,
            transport: QuicTransport::dial_only(seed, limits())?,
            links: Mutex::default(),
        })
    }

    fn link(&self, node: &NodeKey) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(links.entry(*node).or_default())
    }

    /// Says where a node is reached. A hint, never a matter of trust: only its key answers.
    pub(crate) fn set_address(&self, node: &NodeKey, address: &str) {
        let link = self.link(node);
        let mut known = link.address.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != address {
            address.clone_into(&mut known);
        }
    }

    /// Gives the connection to a node up, so that the next call dials.
    pub(crate) async fn disconnect(&self, node: &NodeKey) {
        let link = self.link(node);
        let mut slot = link.connection.lock().await;
        if let Some(connection) = slot.open.take() {
            connection.close(0);
        }
        slot.failed = None;
    }

    async fn connect(&self, node: &NodeKey) -> Result<QuicConnection, TransportError> {
        let link = self.link(node);
        let mut slot = link.connection.lock().await;
        if let Some(connection) = &slot.open {
            if connection.close_reason().is_none() {
                return Ok(connection.clone());
            }
            slot.open = None;
        }
        if let Some((when, error)) = &slot.failed
            && when.elapsed() < REDIAL_PAUSE
        {
            return Err(error.clone());
        }
        let address = link.address.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.transport.dial(PeerId::from(*node), &address).await {
            Ok(connection) => {
                slot.failed = None;
                slot.open = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// Asks a node. Every request may be repeated without harm, so a call on a connection that
    /// turns out to be dead is made once more on a new one.
    pub(crate) async fn call(
        &self,
        node: &NodeKey,
        request: &Request,
        timeout: Duration,
    ) -> Result<Response, CallError> {
        let call = Bytes::from(encode_call(&self.network, request).map_err(|_| CallError::Undecodable)?);
        let deadline = tokio::time::Instant::now() + timeout;
        let mut repeated = false;
        loop {
            let mut broken = false;
            let attempt = tokio::time::timeout_at(deadline, async {
                let connection = self.connect(node).await.map_err(CallError::Transport)?;
                let outcome = exchange(&connection, call.clone()).await;
                broken = outcome.is_err() && connection.close_reason().is_some();
                outcome
            })
            .await;
            match attempt {
                Err(_) => {
                    // A connection on which nothing comes back is not trusted with the next call.
                    self.disconnect(node).await;
                    return Err(CallError::TimedOut);
                }
                Ok(_) if broken && !repeated => repeated = true,
                Ok(outcome) => return outcome,
            }
        }
    }

    /// Ends all connections.
    pub(crate) async fn close(&self) {
        self.transport.close().await;
    }
}

async fn exchange(connection: &QuicConnection, call: Bytes) -> Result<Response, CallError> {
    let (mut send, mut recv) = connection.open().await.map_err(CallError::Transport)?;
    let written = match send.write(call).await {
        Ok(()) => send.finish(),
        Err(error) => Err(error),
    };
    // A node that refuses early stops reading and answers all the same.
    match recv_frame(&mut recv, FRAME_BYTES_MAX).await {
        Ok(Some(body)) => Response::from_bytes(&body).map_err(|_| CallError::Undecodable),
        Ok(None) => Err(CallError::NoAnswer),
        Err(error) => Err(CallError::Transport(written.err().unwrap_or(error))),
    }
}
