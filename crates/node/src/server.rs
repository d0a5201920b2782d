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
use tokenim_wire::limits::{CONTACT_STOCK_BYTES_MAX, FRAME_BYTES_MAX};
use tokenim_wire::{NetworkId, Object as _};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Bytes of a request of anyone but a node; the longest is the publication of a contact stock.
const CLIENT_REQUEST_BYTES_MAX: usize = CONTACT_STOCK_BYTES_MAX + 1024;
/// Requests of one connection that are read or answered at one time; further ones wait in their streams.
const REQUESTS_PER_CONNECTION_MAX: usize = 32;
/// Requests that are worked on at one time, those left aside that wait on purpose.
const REQUESTS_MAX: usize = 256;
/// Requests that wait on purpose at one time.
const WAITING_MAX: usize = 4096;
/// Kibibytes of answers that are being written at one time.
const ANSWERS_KIB_MAX: usize = 256 * 1024;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shares {
    working: Semaphore,
    waiting: Semaphore,
    answers_kib: Semaphore,
    clients: AtomicUsize,
    clients_max: usize,
}

impl Shares {
    /// Shares for so many clients.
    pub(crate) fn new(clients_max: usize) -> Self {
        Self {
            working: Semaphore::new(REQUESTS_MAX),
            waiting: Semaphore::new(WAITING_MAX),
            answers_kib: Semaphore::new(ANSWERS_KIB_MAX),
            clients: AtomicUsize::new(0),
            clients_max,
        }
    }
}

/// A client's place among the connections.
struct Place<'a>(&'a Server);

impl<'a> Place<'a> {
    /// A place, if one is free: the transport has more connections than these, which are for the other nodes.
    fn take(server: &'a Server) -> Option<Self> {
        let before = server.shares.clients.fetch_add(1, Ordering::AcqRel);
        server.metrics.clients.inc();
        let place = Self(server);
        (before < server.shares.clients_max).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.shares.clients.fetch_sub(1, Ordering::AcqRel);
        self.0.metrics.clients.dec();
    }
}

/// What one connection has.
#[derive(Clone)]
struct Allowance {
    rate: Arc<Mutex<TokenBucket>>,
    requests: Arc<Semaphore>,
}

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
    pub(crate) shares: Shares,
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
        let _place = match node {
            Some(_) => None,
            None => match Place::take(&self) {
                Some(place) => Some(place),
                None => return connection.close(code::BUSY),
            },
        };
        let per_minute = u64::from(self.requests_per_second).saturating_mul(60);
        let rate = TokenBucket::new(per_minute, self.requests_burst, Instant::now());
        let allowance = Allowance {
            rate: Arc::new(Mutex::new(rate)),
            requests: Arc::new(Semaphore::new(REQUESTS_PER_CONNECTION_MAX)),
        };
        let mut streams = JoinSet::new();
        let reason = loop {
            tokio::select! {
                opened = connection.accept() => match opened {
                    Ok((send, recv)) => {
                        streams.spawn(self.clone().stream(caller, peer, allowance.clone(), send, recv));
                    }
                    Err(reason) => break reason,
                },
                Some(_) = streams.join_next() => {}
            }
        };
        tracing::trace!(%reason, "connection ended");
        streams.shutdown().await;
    }

    /// Serves one stream.
    async fn stream(
        self: Arc<Self>,
        caller: Caller,
        peer: PeerId,
        allowance: Allowance,
        send: Sending,
        recv: Receiving,
    ) {
        let frame_bytes_max = match caller.node {
            Some(_) => FRAME_BYTES_MAX,
            None => CLIENT_REQUEST_BYTES_MAX,
        };
        let mut frames = FrameReader::new(recv, frame_bytes_max);
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
            Ok(StreamKind::Rpc) => self.request(caller, &allowance, send, frames).await,
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
        allowance: &Allowance,
        mut send: Sending,
        mut frames: FrameReader<Receiving>,
    ) {
        let _busy = self.busy.enter();
        let Ok(own) = allowance.requests.clone().acquire_owned().await else {
            return;
        };
        let response = match self.read(caller, allowance, &mut frames).await {
            Ok(request) => {
                let (kind, began, waits) = (request.kind(), Instant::now(), request.wait_ms() > 0);
                let response = tokio::select! {
                    response = self.work(caller, request, own) => response,
                    // Nobody waits for the answer any more.
                    () = send.stopped(), if waits => return,
                };
                if !waits {
                    self.metrics.answered(kind, began.elapsed());
                }
                response
            }
            Err(refusal) => Err(refusal),
        };
        self.answer(send, response.unwrap_or_else(Response::Error)).await;
    }

    /// Reads a request.
    async fn read(
        &self,
        caller: Caller,
        allowance: &Allowance,
        frames: &mut FrameReader<Receiving>,
    ) -> Result<Request, RpcError> {
        // The other nodes have much to say after one was away.
        if caller.node.is_none() {
            let taken = lock(&allowance.rate).take(Instant::now());
            taken.map_err(refuse::rate_limited)?;
        }
        let frame = match timeout(self.request_timeout, frames.next()).await {
            Ok(Ok(Some(body))) if body.len() <= MESSAGE_BYTES_MAX => body,
            Ok(Ok(Some(_))) => return Err(RpcError::new(ErrorCode::TOO_LARGE, "the request is too large")),
            Ok(Ok(None)) => {
                return Err(RpcError::new(
                    ErrorCode::TRUNCATED,
                    "the stream ended before the request",
                ));
            }
            Ok(Err(error)) => return Err(refuse_read(&error)),
            Err(_) => return Err(too_slow()),
        };
        let request = Request::from_bytes(&frame)?;
        if *self.stopping.borrow() {
            return Err(refuse::stopping());
        }
        Ok(request)
    }

    /// Works on a request, as soon as there is room for it. `own` is its share of the connection's, which it gives back
    /// before it waits on purpose.
    async fn work(&self, caller: Caller, request: Request, own: OwnedSemaphorePermit) -> Result<Response, RpcError> {
        let kind = request.kind();
        let response = if request.wait_ms() > 0 {
            drop(own);
            let _waiting = self.shares.waiting.try_acquire().map_err(|_| refuse::busy())?;
            self.service.handle(caller, request).await
        } else {
            let room = timeout(self.request_timeout, self.shares.working.acquire()).await;
            let _room = room.map_err(|_| refuse::busy())?.map_err(|_| refuse::busy())?;
            self.service.handle(caller, request).await
        };
        if let Err(refusal) = &response {
            tracing::debug!(kind = kind.name(), code = refusal.code.name(), "refused");
        }
        response
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
        let Ok(mut bytes) = bytes else {
            return;
        };
        let kib = u32::try_from(bytes.len() / 1024).unwrap_or(u32::MAX);
        let room = self.shares.answers_kib.try_acquire_many(kib.max(1));
        if room.is_err() {
            // Readers that are slow have taken all of it.
            bytes = encode_answer(&refuse::busy().into()).unwrap_or_default();
        }
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
