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

/// A connection, and when the last answer came on it.
#[derive(Clone)]
struct Open {
    connection: QuicConnection,
    heard: Arc<Mutex<Instant>>,
}

#[derive(Default)]
struct Slot {
    open: Option<Open>,
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
        if let Some(open) = slot.open.take() {
            open.connection.close(0);
        }
        slot.failed = None;
    }

    /// Gives this connection to a node up if no answer has come on it since then. One that only lets one call wait is the
    /// connection of others too, and one that was opened since is not to blame.
    async fn give_up(&self, node: &NodeKey, silent: &Open, since: Instant) {
        let link = self.link(node);
        let mut slot = link.connection.lock().await;
        let is_silent = *silent.heard.lock().unwrap_or_else(PoisonError::into_inner) < since;
        if is_silent
            && slot
                .open
                .as_ref()
                .is_some_and(|open| Arc::ptr_eq(&open.heard, &silent.heard))
        {
            silent.connection.close(0);
            slot.open = None;
            slot.failed = None;
        }
    }

    async fn connect(&self, node: &NodeKey) -> Result<Open, TransportError> {
        let link = self.link(node);
        let mut slot = link.connection.lock().await;
        if let Some(open) = &slot.open {
            if open.connection.close_reason().is_none() {
                return Ok(open.clone());
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
                let heard = Arc::new(Mutex::new(Instant::now()));
                let open = Open { connection, heard };
                slot.failed = None;
                slot.open = Some(open.clone());
                Ok(open)
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
        let began = Instant::now();
        let deadline = tokio::time::Instant::from_std(began) + timeout;
        let mut repeated = false;
        loop {
            let (mut broken, mut used) = (false, None);
            let attempt = tokio::time::timeout_at(deadline, async {
                let open = self.connect(node).await.map_err(CallError::Transport)?;
                let Open { connection, heard } = used.insert(open);
                let outcome = exchange(connection, call.clone()).await;
                if outcome.is_ok() {
                    *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                }
                broken = outcome.is_err() && connection.close_reason().is_some();
                outcome
            })
            .await;
            match attempt {
                Err(_) => {
                    // A connection on which nothing comes back is not trusted with the next call.
                    if let Some(used) = &used {
                        self.give_up(node, used, began).await;
                    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokenim_identity::NodeSigningKey;
    use tokenim_rpc::{ErrorCode, RpcError};
    use tokenim_transport::send_frame;
    use tokenim_wire::Height;

    const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);

    /// A node that says after so many milliseconds that it has no proof of that height; of height 0 it says nothing. And how
    /// many connections there were to it.
    async fn node() -> (NodeKey, Links, Arc<AtomicUsize>) {
        let limits = Limits::reference();
        let transport = QuicTransport::bind(Zeroizing::new([7; 32]), ([127, 0, 0, 1], 0).into(), limits).unwrap();
        let links = Links::new(NETWORK).unwrap();
        let key = NodeSigningKey::from_seed([7; 32]).verifying_key();
        links.set_address(&key, &transport.local_address().to_string());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Some(connection) = transport.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    while let Ok((mut send, mut recv)) = connection.accept().await {
                        tokio::spawn(async move {
                            let _header = recv_frame(&mut recv, FRAME_BYTES_MAX).await.unwrap();
                            let request = recv_frame(&mut recv, FRAME_BYTES_MAX).await.unwrap().unwrap();
                            let Ok(Request::Finality { height }) = Request::from_bytes(&request) else {
                                return;
                            };
                            let wait = if height.get() == 0 { 3_600_000 } else { height.get() };
                            tokio::time::sleep(Duration::from_millis(wait)).await;
                            let answer = Response::Error(RpcError::new(ErrorCode::NOT_FOUND, "as asked"));
                            send_frame(&mut send, &answer.to_bytes().unwrap()).await.unwrap();
                            send.finish().unwrap();
                        });
                    }
                });
            }
        });
        (key, links, connections)
    }

    /// Asks for an answer after so many milliseconds, or for none.
    async fn ask(links: &Links, node: &NodeKey, after: u64, patience: u64) -> Result<Response, CallError> {
        let height = Height::new(after);
        let request = Request::Finality { height };
        links.call(node, &request, Duration::from_millis(patience)).await
    }

    #[tokio::test]
    async fn a_call_without_an_answer_ends_no_other_call_on_a_connection_on_which_answers_come() {
        let (node, links, connections) = node().await;
        let quick = async {
            for _ in 0..20 {
                ask(&links, &node, 50, 5_000).await.unwrap();
            }
        };
        let (held, silent, ()) = tokio::join!(ask(&links, &node, 1_500, 10_000), ask(&links, &node, 0, 500), quick);
        assert_eq!(silent, Err(CallError::TimedOut));
        assert!(held.is_ok());
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_comes_back_is_given_up_once() {
        let (node, links, connections) = node().await;
        ask(&links, &node, 1, 5_000).await.unwrap();
        // The second one ends when the first one's connection is gone, and a new one is there.
        let (first, second, ()) = tokio::join!(ask(&links, &node, 0, 300), ask(&links, &node, 0, 600), async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            ask(&links, &node, 1, 5_000).await.unwrap();
        });
        assert_eq!([first, second], [Err(CallError::TimedOut), Err(CallError::TimedOut)]);
        ask(&links, &node, 1, 5_000).await.unwrap();
        assert_eq!(connections.load(Ordering::Relaxed), 2);
    }
}
