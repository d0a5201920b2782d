//! Takes connections and streams, reads requests, writes answers.
//!
//! Whoever is slow, floods or talks nonsense is limited where it costs least: connections and streams by the transport,
//! requests by a token bucket per connection, each request and each answer by a deadline.

use crate::gateway::Client;
use crate::links::Links;
use crate::metrics::Metrics;
use crate::net::{Conn, Net, Receiving, Sending};
use crate::queue::lock;
use crate::rate::TokenBucket;
use crate::refuse;
use crate::service::Service;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokenim_consensus_commonware::{Channel, DeliverError, Incoming, PeerPort};
use tokenim_identity::NodeKey;
use tokenim_rpc::limits::{MESSAGE_BYTES_MAX, STREAM_HEADER_BYTES_MAX};
use tokenim_rpc::{ErrorCode, Request, Response, RpcError, StreamKind, encode_answer, parse_header};
use tokenim_transport::{
    Bytes, Connection as _, FrameReader, PeerId, RecvStream as _, SendStream as _, Transport as _, TransportError, code,
};
use tokenim_wire::limits::FRAME_BYTES_MAX;
use tokenim_wire::{NetworkId, Object as _};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// For limits.
    pub(crate) client: Client,
    /// Which of the other nodes it is, if it is one.
    pub(crate) node: Option<NodeKey>,
}

/// What the server serves with.
pub(crate) struct Server {
    pub(crate) network: NetworkId,
    pub(crate) net: Net,
    pub(crate) links: Links,
    pub(crate) service: Service,
    pub(crate) port: PeerPort,
    pub(crate) metrics: Metrics,
    pub(crate) requests_per_second: u32,
    pub(crate) requests_burst: u32,
    pub(crate) request_timeout: Duration,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) busy: Busy,
    /// The task that reads each channel of each peer: a new stream replaces the old one.
    pub(crate) readers: Mutex<HashMap<(NodeKey, u8), AbortHandle>>,
}

/// Requests under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Busy {
    inner: Arc<(AtomicUsize, Notify)>,
}

impl Busy {
    /// One more, until the guard is dropped.
    fn enter(&self) -> BusyGuard {
        self.inner.0.fetch_add(1, Ordering::AcqRel);
        BusyGuard(self.clone())
    }

    /// Waits until there is none.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.inner.1.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.inner.0.load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// A request under way.
struct BusyGuard(Busy);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        if self.0.inner.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.inner.1.notify_waiters();
        }
    }
}

impl Server {
    /// Serves all connections, accepted and dialled ones, until the transport is closed.
    pub(crate) async fn run(self: Arc<Self>, mut dialled: mpsc::UnboundedReceiver<Conn>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.net.accept() => {
                    let Some(connection) = accepted else { break };
                    let node = self.links.arrived(&connection);
                    connections.spawn(self.clone().serve(connection, node));
                }
                Some(connection) = dialled.recv() => {
                    let node = self.links.node(&connection.peer());
                    connections.spawn(self.clone().serve(connection, node));
                }
                Some(_) = connections.join_next() => {}
            }
        }
        connections.shutdown().await;
    }

    /// Serves one connection until it ends.
    async fn serve(self: Arc<Self>, connection: Conn, node: Option<NodeKey>) {
        let peer = connection.peer();
        let caller = Caller {
            client: Client::of(&peer, connection.remote()),
            node,
        };
        let bucket = Arc::new(Mutex::new(TokenBucket::new(
            u64::from(self.requests_per_second).saturating_mul(60),
            self.requests_burst,
            Instant::now(),
        )));
        if node.is_none() {
            self.metrics.clients.inc();
        }
        let mut streams = JoinSet::new();
        let reason = loop {
            tokio::select! {
                opened = connection.accept() => match opened {
                    Ok((send, recv)) => {
                        streams.spawn(self.clone().stream(caller, peer, bucket.clone(), send, recv));
                    }
                    Err(reason) => break reason,
                },
                Some(_) = streams.join_next() => {}
            }
        };
        tracing::trace!(%reason, "connection ended");
        streams.shutdown().await;
        if node.is_none() {
            self.metrics.clients.dec();
        }
    }

    /// Serves one stream.
    async fn stream(
        self: Arc<Self>,
        caller: Caller,
        peer: PeerId,
        bucket: Arc<Mutex<TokenBucket>>,
        send: Sending,
        recv: Receiving,
    ) {
        let mut frames = FrameReader::new(recv, FRAME_BYTES_MAX);
        let header = timeout(self.request_timeout, frames.next()).await;
        let kind = match header {
            Ok(Ok(Some(body))) if body.len() <= STREAM_HEADER_BYTES_MAX => {
                parse_header(&self.network, &body).map_err(RpcError::from)
            }
            Ok(Ok(Some(_))) => Err(RpcError::new(
                ErrorCode::MALFORMED,
                "the stream does not begin with a header",
            )),
            Ok(Ok(None)) => Err(RpcError::new(ErrorCode::TRUNCATED, "the stream is empty")),
            Ok(Err(error)) => Err(refuse_read(&error)),
            Err(_) => Err(too_slow()),
        };
        match kind {
            Ok(StreamKind::Rpc) => self.request(caller, &bucket, send, frames).await,
            Ok(StreamKind::Consensus { channel }) => {
                let node = caller.node.or_else(|| self.links.node(&peer));
                match (node, Channel::from_byte(channel)) {
                    (Some(node), Some(channel)) => self.consensus(node, channel, frames),
                    _ => {
                        let refusal = RpcError::new(
                            ErrorCode::UNSUPPORTED_STREAM,
                            "consensus streams are for registered nodes, on channels 0 to 4",
                        );
                        self.answer(send, refusal.into()).await;
                    }
                }
            }
            Ok(_) => {
                let refusal = RpcError::new(ErrorCode::UNSUPPORTED_STREAM, "streams of this kind are not served");
                self.answer(send, refusal.into()).await;
            }
            Err(refusal) => self.answer(send, refusal.into()).await,
        }
    }

    /// Serves one request.
    async fn request(
        &self,
        caller: Caller,
        bucket: &Mutex<TokenBucket>,
        send: Sending,
        mut frames: FrameReader<Receiving>,
    ) {
        let _busy = self.busy.enter();
        let taken = lock(bucket).take(Instant::now());
        if let Err(wait) = taken {
            return self.answer(send, refuse::rate_limited(wait).into()).await;
        }
        let frame = match timeout(self.request_timeout, frames.next()).await {
            Ok(Ok(Some(body))) if body.len() <= MESSAGE_BYTES_MAX => body,
            Ok(Ok(Some(_))) => {
                let refusal = RpcError::new(ErrorCode::TOO_LARGE, "the request is too large");
                return self.answer(send, refusal.into()).await;
            }
            Ok(Ok(None)) => {
                let refusal = RpcError::new(ErrorCode::TRUNCATED, "the stream ended before the request");
                return self.answer(send, refusal.into()).await;
            }
            Ok(Err(error)) => return self.answer(send, refuse_read(&error).into()).await,
            Err(_) => return self.answer(send, too_slow().into()).await,
        };
        let request = match Request::from_bytes(&frame) {
            Ok(request) => request,
            Err(error) => return self.answer(send, RpcError::from(error).into()).await,
        };
        drop(frame);
        if *self.stopping.borrow() {
            return self.answer(send, refuse::stopping().into()).await;
        }
        let (kind, began) = (request.kind(), Instant::now());
        let waits = request.wait_ms() > 0;
        let response = match self.service.handle(caller, request).await {
            Ok(response) => response,
            Err(refusal) => {
                tracing::debug!(kind = kind.name(), code = refusal.code.name(), "refused");
                Response::Error(refusal)
            }
        };
        if !waits {
            self.metrics.answered(kind, began.elapsed());
        }
        self.answer(send, response).await;
    }

    /// Writes an answer; who does not take it in time is cut off.
    async fn answer(&self, mut send: Sending, response: Response) {
        if let Response::Error(refusal) = &response {
            self.metrics.refused(refusal.code);
        }
        let bytes = encode_answer(&response).or_else(|error| {
            tracing::error!(%error, "an answer could not be encoded");
            encode_answer(&refuse::internal().into())
        });
        let Ok(bytes) = bytes else {
            return;
        };
        let written = timeout(self.request_timeout, async {
            send.write(Bytes::from(bytes)).await?;
            send.finish()
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::trace!(%error, "an answer was not taken"),
            Err(_) => send.reset(code::TIMEOUT),
        }
    }

    /// Reads a peer's consensus messages in a task of its own, in place of the stream before.
    fn consensus(&self, node: NodeKey, channel: Channel, mut frames: FrameReader<Receiving>) {
        let port = self.port.clone();
        let task = tokio::spawn(async move {
            frames.get_mut().set_idle_timeout(None);
            while let Ok(Some(body)) = frames.next().await {
                let message = Incoming {
                    channel,
                    from: node,
                    bytes: body.into(),
                };
                match port.deliver(message) {
                    Ok(()) | Err(DeliverError::Blocked | DeliverError::TooManyPeers) => {}
                    Err(error) => {
                        tracing::debug!(peer = %crate::links::short(&node), %error, "consensus message refused");
                        break;
                    }
                }
            }
        });
        let before = lock(&self.readers).insert((node, channel.to_byte()), task.abort_handle());
        if let Some(before) = before {
            before.abort();
        }
    }
}

/// The refusal for a stream that could not be read.
fn refuse_read(error: &TransportError) -> RpcError {
    let code = match error {
        TransportError::TooLong { .. } => ErrorCode::TOO_LARGE,
        TransportError::Truncated => ErrorCode::TRUNCATED,
        TransportError::StreamTimedOut => ErrorCode::TOO_SLOW,
        _ => ErrorCode::MALFORMED,
    };
    RpcError::new(code, &error.to_string())
}

/// The refusal for a request that takes too long to arrive.
fn too_slow() -> RpcError {
    RpcError::new(ErrorCode::TOO_SLOW, "the request did not arrive in time")
}
