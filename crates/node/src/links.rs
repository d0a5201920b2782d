//! Connections with the other nodes, kept up, and the consensus messages on them.
//!
//! With every other node of the network there is one connection in use. The node with the lower key dials at once; the
//! other one waits [`KNOCK_AFTER`] for it and then dials too, so that a node that was away is back at once, whoever has
//! the lower key. Should both get through, the connection that the lower key dialled stays. What a dial or an accepted
//! connection brings replaces what is there: a peer that dials again has lost its end.
//!
//! Consensus messages to a peer go through one bounded queue and one stream per channel. Messages for a peer that is not
//! connected are dropped, as are the oldest of a queue that is full; the engine allows for both.

use crate::metrics::Metrics;
use crate::net::{CallError, Conn, Net, call};
use crate::queue::{PeerQueue, lock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokenim_consensus_commonware::{Channel, Outgoing, PeerPort, Recipients};
use tokenim_identity::NodeKey;
use tokenim_rpc::{Request, Response, StreamHeader, StreamKind};
use tokenim_transport::{
    Bytes, Connection as _, PeerId, SendStream as _, Transport as _, TransportError, code, send_frame,
};
use tokenim_wire::{NetworkId, Object as _};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// How long the node with the higher key waits for the other one's connection before it dials.
const KNOCK_AFTER: Duration = Duration::from_millis(300);
/// The first wait after a failed dial; it doubles.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest wait after a failed dial.
const BACKOFF_MAX: Duration = Duration::from_millis(1000);
/// How long a dial may take. Short, since a packet sent to a node that is not there yet is repeated ever later.
const DIAL_PATIENCE: Duration = Duration::from_millis(1500);
/// How long a peer is left in peace that said it stops.
const AFTER_SHUTDOWN: Duration = Duration::from_millis(500);
/// While a connection that the lower key dialled is younger than this, one from the higher key does not replace it:
/// both were dialled at once.
const YOUNG: Duration = Duration::from_secs(2);

/// All links of a node. A clone is a handle.
#[derive(Clone)]
pub(crate) struct Links {
    inner: Arc<Inner>,
}

struct Inner {
    local: NodeKey,
    network: NetworkId,
    net: Net,
    metrics: Metrics,
    peers: Mutex<BTreeMap<NodeKey, Arc<Peer>>>,
    /// The keys of the connected peers.
    connected: watch::Sender<BTreeSet<NodeKey>>,
    /// Where connections go that were dialled, to be served like accepted ones.
    dialled: mpsc::UnboundedSender<Conn>,
}

/// One other node.
struct Peer {
    key: NodeKey,
    address: Mutex<String>,
    current: Mutex<Option<Conn>>,
    arrivals: mpsc::Sender<Conn>,
    queues: [PeerQueue; Channel::ALL.len()],
    task: Mutex<Option<AbortHandle>>,
}

impl Peer {
    fn connection(&self) -> Option<Conn> {
        lock(&self.current).clone()
    }

    fn queue(&self, channel: Channel) -> Option<&PeerQueue> {
        self.queues.get(usize::from(channel.to_byte()))
    }
}

impl Links {
    /// Links of a node that knows no other yet. Connections that it dials come out of the receiver.
    pub(crate) fn new(
        local: NodeKey,
        network: NetworkId,
        net: Net,
        metrics: Metrics,
    ) -> (Self, mpsc::UnboundedReceiver<Conn>) {
        let (dialled, to_serve) = mpsc::unbounded_channel();
        let inner = Inner {
            local,
            network,
            net,
            metrics,
            peers: Mutex::default(),
            connected: watch::Sender::new(BTreeSet::new()),
            dialled,
        };
        (Self { inner: Arc::new(inner) }, to_serve)
    }

    /// Says who the other nodes are and where: new ones are dialled, those that are gone are let go. Must be called
    /// within the runtime.
    pub(crate) fn set_peers(&self, members: impl IntoIterator<Item = (NodeKey, String)>) {
        let members: BTreeMap<NodeKey, String> = members
            .into_iter()
            .filter(|(key, _)| *key != self.inner.local)
            .collect();
        let mut peers = lock(&self.inner.peers);
        peers.retain(|key, peer| {
            let stays = members.contains_key(key);
            if !stays {
                if let Some(task) = lock(&peer.task).take() {
                    task.abort();
                }
                self.inner.lost(peer);
            }
            stays
        });
        for (key, address) in members {
            if let Some(peer) = peers.get(&key) {
                *lock(&peer.address) = address;
                continue;
            }
            let (arrivals, arrived) = mpsc::channel(4);
            let peer = Arc::new(Peer {
                key,
                address: Mutex::new(address),
                current: Mutex::default(),
                arrivals,
                queues: Default::default(),
                task: Mutex::default(),
            });
            peers.insert(key, peer.clone());
            let task = tokio::spawn(self.inner.clone().keep(peer.clone(), arrived));
            *lock(&peer.task) = Some(task.abort_handle());
        }
    }

    /// Hands in a connection that a peer dialled. Returns the node that it is from, if it is one.
    pub(crate) fn arrived(&self, connection: &Conn) -> Option<NodeKey> {
        let key = self.node(&connection.peer())?;
        let peer = lock(&self.inner.peers).get(&key).cloned()?;
        // A peer that dials faster than it is served loses the surplus.
        if peer.arrivals.try_send(connection.clone()).is_err() {
            connection.close(code::BUSY);
        }
        Some(key)
    }

    /// The node with this transport key, if it is one of the other nodes.
    pub(crate) fn node(&self, peer: &PeerId) -> Option<NodeKey> {
        let key = NodeKey::from_bytes(*peer.as_bytes()).ok()?;
        lock(&self.inner.peers).contains_key(&key).then_some(key)
    }

    /// The keys of the connected nodes, and their changes.
    pub(crate) fn connected(&self) -> watch::Receiver<BTreeSet<NodeKey>> {
        self.inner.connected.subscribe()
    }

    /// The number of connected nodes.
    pub(crate) fn connected_count(&self) -> usize {
        self.inner.connected.borrow().len()
    }

    /// Asks another node.
    pub(crate) async fn call(
        &self,
        node: &NodeKey,
        request: &Request,
        patience: Duration,
    ) -> Result<Response, CallError> {
        let connection = lock(&self.inner.peers)
            .get(node)
            .and_then(|peer| peer.connection())
            .ok_or(CallError::NotConnected)?;
        call(&connection, &self.inner.network, request, patience).await
    }

    /// Carries the engine's messages to the peers until the engine has stopped.
    pub(crate) async fn carry(&self, port: &PeerPort) {
        while let Some(message) = port.next().await {
            self.inner.send(message);
        }
    }

    /// Lets all peers go.
    pub(crate) fn close(&self) {
        self.set_peers([]);
    }
}

impl Inner {
    /// Queues a message for those of its recipients that are connected.
    fn send(&self, message: Outgoing) {
        let Outgoing { channel, to, bytes, .. } = message;
        let peers = lock(&self.peers);
        let mut dropped = 0_u64;
        let mut push = |peer: &Peer| {
            if lock(&peer.current).is_some()
                && let Some(queue) = peer.queue(channel)
            {
                dropped = dropped.saturating_add(queue.push(bytes.clone()));
            }
        };
        match to {
            Recipients::All => peers.values().for_each(|peer| push(peer)),
            Recipients::One(key) => peers.get(&key).into_iter().for_each(|peer| push(peer)),
            Recipients::Some(keys) => keys.iter().filter_map(|key| peers.get(key)).for_each(|peer| push(peer)),
        }
        if dropped > 0 {
            self.metrics.consensus_dropped.inc_by(dropped);
        }
    }

    /// Keeps up the connection with one peer.
    async fn keep(self: Arc<Self>, peer: Arc<Peer>, mut arrived: mpsc::Receiver<Conn>) {
        let mut pause = Duration::ZERO;
        loop {
            let (mut connection, mut dialled) = tokio::select! {
                connection = self.dial(&peer, pause) => (connection, true),
                Some(connection) = arrived.recv() => (connection, false),
            };
            loop {
                if dialled && self.dialled.send(connection.clone()).is_err() {
                    return;
                }
                let since = Instant::now();
                self.gained(&peer, &connection);
                let mut writers = self.start_writers(&peer, &connection);
                let replacement = loop {
                    tokio::select! {
                        reason = connection.closed() => {
                            tracing::info!(peer = %short(&peer.key), %reason, "connection with a node ended");
                            pause = match reason {
                                TransportError::ClosedByPeer { code: code::SHUTDOWN } => AFTER_SHUTDOWN,
                                _ => Duration::ZERO,
                            };
                            break None;
                        }
                        Some(newer) = arrived.recv() => {
                            // Of two that were dialled at once, the lower key's stays.
                            if dialled && self.local < peer.key && since.elapsed() < YOUNG {
                                newer.close(code::REPLACED);
                            } else {
                                break Some(newer);
                            }
                        }
                        Some(_) = writers.join_next() => {}
                    }
                };
                writers.shutdown().await;
                self.lost(&peer);
                match replacement {
                    Some(newer) => {
                        connection.close(code::REPLACED);
                        (connection, dialled) = (newer, false);
                    }
                    None => break,
                }
            }
        }
    }

    /// Dials a peer after a pause until it answers.
    async fn dial(&self, peer: &Peer, pause: Duration) -> Conn {
        sleep(pause).await;
        if self.local > peer.key {
            sleep(KNOCK_AFTER).await;
        }
        let mut backoff = BACKOFF_MIN;
        loop {
            let address = lock(&peer.address).clone();
            let attempt = self.net.dial(PeerId::from(peer.key), &address);
            match timeout(DIAL_PATIENCE, attempt).await {
                Ok(Ok(connection)) => return connection,
                Ok(Err(error)) => tracing::debug!(peer = %short(&peer.key), %error, "a node can't be reached"),
                Err(_) => tracing::debug!(peer = %short(&peer.key), "a node does not answer"),
            }
            sleep(jitter(backoff)).await;
            backoff = backoff.saturating_mul(2).min(BACKOFF_MAX);
        }
    }

    /// Notes a new connection.
    fn gained(&self, peer: &Peer, connection: &Conn) {
        *lock(&peer.current) = Some(connection.clone());
        self.connected.send_modify(|connected| {
            connected.insert(peer.key);
        });
        tracing::info!(peer = %short(&peer.key), "connected with a node");
        self.metrics.peers.set(count(self.connected.borrow().len()));
    }

    /// Notes that the connection is gone.
    fn lost(&self, peer: &Peer) {
        if let Some(connection) = lock(&peer.current).take() {
            connection.close(code::SHUTDOWN);
        }
        for queue in &peer.queues {
            queue.clear();
        }
        self.connected.send_modify(|connected| {
            connected.remove(&peer.key);
        });
        self.metrics.peers.set(count(self.connected.borrow().len()));
    }

    /// Starts a writer for each channel of the engine.
    fn start_writers(&self, peer: &Arc<Peer>, connection: &Conn) -> JoinSet<()> {
        let mut writers = JoinSet::new();
        for channel in Channel::ALL {
            let (peer, connection, network) = (peer.clone(), connection.clone(), self.network);
            writers.spawn(async move {
                if let Err(error) = write_channel(&peer, &connection, network, channel).await {
                    tracing::debug!(peer = %short(&peer.key), %error, "a consensus stream ended");
                    // Without its stream the channel would be silent for ever.
                    connection.close(code::MISBEHAVED);
                }
            });
        }
        writers
    }
}

/// Writes the messages of one channel to a peer; the stream is opened with the first one.
async fn write_channel(
    peer: &Peer,
    connection: &Conn,
    network: NetworkId,
    channel: Channel,
) -> Result<(), TransportError> {
    let Some(queue) = peer.queue(channel) else {
        return Ok(());
    };
    let first = queue.next().await;
    let (mut send, _recv) = connection.open().await?;
    if matches!(channel, Channel::Votes | Channel::Certificates) {
        send.set_priority(2);
    } else {
        send.set_priority(1);
    }
    let header = StreamHeader {
        network,
        kind: StreamKind::Consensus {
            channel: channel.to_byte(),
        },
    };
    let header = header.to_bytes().unwrap_or_default();
    send_frame(&mut send, &header).await?;
    let mut message: Bytes = first;
    loop {
        send_frame(&mut send, &message).await?;
        message = queue.next().await;
    }
}

/// The first digits of a key, for logs.
pub(crate) fn short(key: &NodeKey) -> String {
    let text = key.to_string();
    text.get(..8).unwrap_or_default().to_owned()
}

/// A number for a gauge.
pub(crate) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Between half of a duration and all of it, so that nodes that failed together don't try together.
pub(crate) fn jitter(duration: Duration) -> Duration {
    let half = duration / 2;
    let mut bytes = [0; 2];
    if getrandom::fill(&mut bytes).is_err() {
        return duration;
    }
    let share = u32::from(u16::from_be_bytes(bytes));
    let spread = half.saturating_mul(share) / u32::from(u16::MAX);
    half.saturating_add(spread)
}
