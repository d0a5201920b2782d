//! The seam between the engine and the network that its host runs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokenim_consensus::ValidatorSet;
use tokenim_identity::NodeKey;
use tokenim_wire::limits::FRAME_BYTES_MAX;
use tokio::sync::Notify;

/// How long a peer stays blocked that sent something no honest engine sends.
const BLOCKED_FOR: Duration = Duration::from_secs(60 * 60);

/// One of the engine's five streams of messages. Messages of one channel between two peers should
/// arrive in order, but need not; a lost one costs time, never safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Votes of single validators.
    Votes,
    /// Certificates of all three kinds.
    Certificates,
    /// Requests for missed certificates and their answers.
    CertificateFetch,
    /// Requests for missed blocks and their answers.
    Backfill,
    /// New blocks.
    Blocks,
}

impl Channel {
    /// All channels, in the order of their bytes.
    pub const ALL: [Self; 5] = [
        Self::Votes,
        Self::Certificates,
        Self::CertificateFetch,
        Self::Backfill,
        Self::Blocks,
    ];

    /// The channel's number on the wire, 0 to 4.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Votes => 0,
            Self::Certificates => 1,
            Self::CertificateFetch => 2,
            Self::Backfill => 3,
            Self::Blocks => 4,
        }
    }

    /// The channel with this number.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Votes),
            1 => Some(Self::Certificates),
            2 => Some(Self::CertificateFetch),
            3 => Some(Self::Backfill),
            4 => Some(Self::Blocks),
            _ => None,
        }
    }

    /// Whether only validators have anything to say here. Whoever follows the chain without a vote
    /// may still ask for certificates and blocks.
    const fn validators_only(self) -> bool {
        matches!(self, Self::Votes | Self::Certificates | Self::Blocks)
    }
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every connected validator, and every follower that the host chooses to serve.
    All,
    /// One peer.
    One(NodeKey),
    /// These peers.
    Some(Vec<NodeKey>),
}

/// A message from the engine to peers.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where it belongs.
    pub channel: Channel,
    /// Whom it is for; recipients that are not connected miss it.
    pub to: Recipients,
    /// Its bytes, at most [`FRAME_BYTES_MAX`](tokenim_wire::limits::FRAME_BYTES_MAX).
    pub bytes: Bytes,
    /// Whether it should overtake messages of other channels.
    pub priority: bool,
}

/// A message from a peer to the engine.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Where it belongs.
    pub channel: Channel,
    /// Who sent it, as authenticated by the host.
    pub from: NodeKey,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Bounds of the queues between host and engine. Beyond a bound the oldest message is dropped, as
/// a network may: the engine asks again for what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Messages waiting for the engine, per channel and peer.
    pub incoming_messages_max: usize,
    /// Bytes waiting for the engine, per channel and peer.
    pub incoming_bytes_max: usize,
    /// Peers with messages waiting, per channel; a further one's messages are refused.
    pub incoming_peers_max: usize,
    /// Messages waiting for the host.
    pub outgoing_messages_max: usize,
    /// Bytes waiting for the host.
    pub outgoing_bytes_max: usize,
}

impl LinkLimits {
    /// The values that the reference node uses.
    #[must_use]
    pub const fn reference() -> Self {
        Self {
            incoming_messages_max: 512,
            incoming_bytes_max: 8 << 20,
            incoming_peers_max: 256,
            outgoing_messages_max: 8192,
            outgoing_bytes_max: 64 << 20,
        }
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// Longer than a message may be.
    #[error("consensus message of {actual} bytes, at most {limit} allowed")]
    TooLong {
        /// Most bytes allowed.
        limit: usize,
        /// Bytes found.
        actual: usize,
    },
    /// The channel is for validators, and the sender is none.
    #[error("consensus message from a peer that is no validator")]
    NotAValidator,
    /// The peer sent something that no honest engine sends, less than an hour ago.
    #[error("consensus message from a blocked peer")]
    Blocked,
    /// Too many peers have messages waiting.
    #[error("too many peers have consensus messages waiting")]
    TooManyPeers,
    /// The engine is gone.
    #[error("the consensus engine has stopped")]
    Closed,
}

/// The engine's end of the seam, for [`start`](crate::start).
#[derive(Debug)]
pub struct PeerLink {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for PeerLink {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// The host's end of the seam: it carries [`Outgoing`] messages to peers and hands in what they
/// sent. Clones are one port; when the last one is dropped the engine stops.
#[derive(Clone, Debug)]
pub struct PeerPort {
    shared: Arc<Shared>,
    _open: Arc<CloseOnDrop>,
}

/// Makes the two ends of a seam for an engine with these validators.
#[must_use]
pub fn peer_link(validators: &ValidatorSet, limits: LinkLimits) -> (PeerLink, PeerPort) {
    let shared = Arc::new(Shared {
        validators: validators.validators().iter().map(|validator| validator.key).collect(),
        limits,
        incoming: Channel::ALL.map(|_| Queue::default()),
        outgoing: Mutex::default(),
        outgoing_ready: Notify::new(),
        blocked: Mutex::default(),
        blocked_changed: Mutex::new(Vec::new()),
        closed: AtomicBool::new(false),
        dropped: AtomicU64::new(0),
    });
    let port = PeerPort {
        _open: Arc::new(CloseOnDrop(shared.clone())),
        shared: shared.clone(),
    };
    (PeerLink { shared }, port)
}

impl PeerPort {
    /// The next message to carry; `None` once the engine has stopped. Cancel-safe.
    pub async fn next(&self) -> Option<Outgoing> {
        loop {
            let ready = self.shared.outgoing_ready.notified();
            if let Some(message) = self.shared.pop_outgoing() {
                return Some(message);
            }
            if self.shared.is_closed() {
                // Whoever else waits on a clone has to see the end too.
                self.shared.outgoing_ready.notify_one();
                return None;
            }
            ready.await;
        }
    }

    /// Hands a peer's message to the engine. Never waits: beyond the peer's bound its own oldest
    /// message is dropped.
    ///
    /// # Errors
    ///
    /// [`DeliverError`]; the message is dropped.
    pub fn deliver(&self, message: Incoming) -> Result<(), DeliverError> {
        self.shared.deliver(message)
    }

    /// Peers whose messages are refused now, because they sent something that no honest engine
    /// sends.
    #[must_use]
    pub fn blocked(&self) -> Vec<NodeKey> {
        lock(&self.shared.blocked).keys().copied().collect()
    }

    /// Messages dropped so far because a queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

type BlockedListener = Box<dyn Fn(&[NodeKey]) -> bool + Send>;

pub(crate) struct Shared {
    validators: BTreeSet<NodeKey>,
    limits: LinkLimits,
    incoming: [Queue; 5],
    outgoing: Mutex<OutgoingQueue>,
    outgoing_ready: Notify,
    blocked: Mutex<BTreeMap<NodeKey, Instant>>,
    blocked_changed: Mutex<Vec<BlockedListener>>,
    closed: AtomicBool,
    dropped: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct OutgoingQueue {
    messages: VecDeque<Outgoing>,
    bytes: usize,
}

#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    ready: Notify,
}

/// Messages of one channel: a queue per peer, and the peers with messages in the order in which
/// they are served, so that no peer's flood delays another's vote.
#[derive(Default)]
struct QueueState {
    peers: BTreeMap<NodeKey, PeerQueue>,
    turns: VecDeque<NodeKey>,
}

#[derive(Default)]
struct PeerQueue {
    messages: VecDeque<Bytes>,
    bytes: usize,
}

impl PeerQueue {
    fn pop(&mut self) -> Option<Bytes> {
        let message = self.messages.pop_front()?;
        self.bytes = self.bytes.saturating_sub(message.len());
        Some(message)
    }
}

/// A poisoned lock means a panic between two plain moves of data, which leaves nothing half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.outgoing_ready.notify_one();
        for queue in &self.incoming {
            queue.ready.notify_one();
        }
    }

    pub(crate) fn limits(&self) -> &LinkLimits {
        &self.limits
    }

    fn queue(&self, channel: Channel) -> &Queue {
        let [votes, certificates, certificate_fetch, backfill, blocks] = &self.incoming;
        match channel {
            Channel::Votes => votes,
            Channel::Certificates => certificates,
            Channel::CertificateFetch => certificate_fetch,
            Channel::Backfill => backfill,
            Channel::Blocks => blocks,
        }
    }

    fn deliver(&self, message: Incoming) -> Result<(), DeliverError> {
        let Incoming { channel, from, bytes } = message;
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(DeliverError::TooLong {
                limit: FRAME_BYTES_MAX,
                actual: bytes.len(),
            });
        }
        if channel.validators_only() && !self.validators.contains(&from) {
            return Err(DeliverError::NotAValidator);
        }
        if self.is_blocked(&from) {
            return Err(DeliverError::Blocked);
        }
        if self.is_closed() {
            return Err(DeliverError::Closed);
        }
        let queue = self.queue(channel);
        {
            let mut state = lock(&queue.state);
            let waiting = state.peers.len();
            if !state.peers.contains_key(&from) {
                if waiting >= self.limits.incoming_peers_max {
                    return Err(DeliverError::TooManyPeers);
                }
                state.turns.push_back(from);
            }
            let peer = state.peers.entry(from).or_default();
            peer.bytes = peer.bytes.saturating_add(bytes.len());
            peer.messages.push_back(bytes);
            while peer.messages.len() > 1
                && (peer.messages.len() > self.limits.incoming_messages_max
                    || peer.bytes > self.limits.incoming_bytes_max)
            {
                let _ = peer.pop();
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        queue.ready.notify_one();
        Ok(())
    }

    fn pop_incoming(&self, channel: Channel) -> Option<(NodeKey, Bytes)> {
        let mut state = lock(&self.queue(channel).state);
        let from = state.turns.pop_front()?;
        let peer = state.peers.get_mut(&from)?;
        let message = peer.pop();
        if peer.messages.is_empty() {
            state.peers.remove(&from);
        } else {
            state.turns.push_back(from);
        }
        message.map(|message| (from, message))
    }

    /// The next message for the engine; `None` once the host or the engine is gone. One reader per
    /// channel.
    pub(crate) async fn receive(&self, channel: Channel) -> Option<(NodeKey, Bytes)> {
        loop {
            let ready = self.queue(channel).ready.notified();
            if self.is_closed() {
                return None;
            }
            if let Some(message) = self.pop_incoming(channel) {
                return Some(message);
            }
            ready.await;
        }
    }

    /// Queues a message for the host; false once there is none.
    pub(crate) fn send(&self, message: Outgoing) -> bool {
        if self.is_closed() {
            return false;
        }
        {
            let mut queue = lock(&self.outgoing);
            queue.bytes = queue.bytes.saturating_add(message.bytes.len());
            queue.messages.push_back(message);
            while queue.messages.len() > 1
                && (queue.messages.len() > self.limits.outgoing_messages_max
                    || queue.bytes > self.limits.outgoing_bytes_max)
            {
                if let Some(oldest) = queue.messages.pop_front() {
                    queue.bytes = queue.bytes.saturating_sub(oldest.bytes.len());
                }
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.outgoing_ready.notify_one();
        true
    }

    fn pop_outgoing(&self) -> Option<Outgoing> {
        let mut queue = lock(&self.outgoing);
        let message = queue.messages.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(message.bytes.len());
        let more = !queue.messages.is_empty();
        drop(queue);
        if more {
            self.outgoing_ready.notify_one();
        }
        Some(message)
    }

    fn is_blocked(&self, peer: &NodeKey) -> bool {
        let mut blocked = lock(&self.blocked);
        let Some(since) = blocked.get(peer) else {
            return false;
        };
        if since.elapsed() < BLOCKED_FOR {
            return true;
        }
        blocked.remove(peer);
        drop(blocked);
        self.announce_blocked();
        false
    }

    pub(crate) fn block(&self, peer: NodeKey) {
        lock(&self.blocked).insert(peer, Instant::now());
        self.announce_blocked();
    }

    /// Calls `listener` with the blocked peers now and at every change, until it returns false.
    pub(crate) fn on_blocked(&self, listener: BlockedListener) {
        lock(&self.blocked_changed).push(listener);
        self.announce_blocked();
    }

    fn announce_blocked(&self) {
        let blocked: Vec<NodeKey> = lock(&self.blocked).keys().copied().collect();
        lock(&self.blocked_changed).retain(|listener| listener(&blocked));
    }
}

#[cfg(test)]
mod tests {
    use tokenim_consensus::Validator;
    use tokenim_identity::NodeSigningKey;

    use super::*;

    fn key(seed: u8) -> NodeKey {
        NodeSigningKey::from_seed([seed; 32]).verifying_key()
    }

    fn pair(limits: LinkLimits) -> (PeerLink, PeerPort) {
        let validators = ValidatorSet::new(vec![Validator::new(key(1)), Validator::new(key(2))]).unwrap();
        peer_link(&validators, limits)
    }

    fn incoming(channel: Channel, from: NodeKey, byte: u8) -> Incoming {
        Incoming {
            channel,
            from,
            bytes: vec![byte; 10].into(),
        }
    }

    #[test]
    fn channels_have_their_bytes() {
        for (byte, channel) in (0..).zip(Channel::ALL) {
            assert_eq!(channel.to_byte(), byte);
            assert_eq!(Channel::from_byte(byte), Some(channel));
        }
        assert_eq!(Channel::from_byte(5), None);
    }

    #[tokio::test]
    async fn a_flood_drops_the_floods_oldest_and_delays_nobody() {
        let (link, port) = pair(LinkLimits {
            incoming_messages_max: 4,
            ..LinkLimits::reference()
        });
        for byte in 0..100 {
            port.deliver(incoming(Channel::Votes, key(1), byte)).unwrap();
        }
        port.deliver(incoming(Channel::Votes, key(2), 200)).unwrap();
        assert_eq!(port.dropped(), 96);
        let mut seen = Vec::new();
        for _ in 0..5 {
            let (from, bytes) = link.shared.receive(Channel::Votes).await.unwrap();
            seen.push((from == key(1), bytes[0]));
        }
        assert_eq!(seen, [(true, 96), (false, 200), (true, 97), (true, 98), (true, 99)]);
    }

    #[test]
    fn bytes_are_bounded_but_one_message_always_fits() {
        let (_link, port) = pair(LinkLimits {
            incoming_bytes_max: 25,
            ..LinkLimits::reference()
        });
        for byte in 0..5 {
            port.deliver(incoming(Channel::Blocks, key(1), byte)).unwrap();
        }
        assert_eq!(port.dropped(), 3);
        let big = Incoming {
            channel: Channel::Blocks,
            from: key(1),
            bytes: vec![0; 1000].into(),
        };
        port.deliver(big).unwrap();
        assert_eq!(port.dropped(), 5);
    }

    #[test]
    fn strangers_may_ask_but_not_vote() {
        let (_link, port) = pair(LinkLimits::reference());
        for channel in [Channel::Votes, Channel::Certificates, Channel::Blocks] {
            assert_eq!(
                port.deliver(incoming(channel, key(9), 0)),
                Err(DeliverError::NotAValidator)
            );
        }
        for channel in [Channel::CertificateFetch, Channel::Backfill] {
            assert_eq!(port.deliver(incoming(channel, key(9), 0)), Ok(()));
        }
    }

    #[test]
    fn refusals_say_why() {
        let (link, port) = pair(LinkLimits {
            incoming_peers_max: 1,
            ..LinkLimits::reference()
        });
        let long = Incoming {
            channel: Channel::Votes,
            from: key(1),
            bytes: vec![0; FRAME_BYTES_MAX + 1].into(),
        };
        assert!(matches!(port.deliver(long), Err(DeliverError::TooLong { .. })));
        port.deliver(incoming(Channel::Votes, key(1), 0)).unwrap();
        assert_eq!(
            port.deliver(incoming(Channel::Votes, key(2), 0)),
            Err(DeliverError::TooManyPeers)
        );
        link.shared.block(key(1));
        assert_eq!(port.blocked(), [key(1)]);
        assert_eq!(
            port.deliver(incoming(Channel::Votes, key(1), 0)),
            Err(DeliverError::Blocked)
        );
        drop(link);
        assert_eq!(
            port.deliver(incoming(Channel::Backfill, key(2), 0)),
            Err(DeliverError::Closed)
        );
    }

    #[tokio::test]
    async fn either_end_closes_the_other() {
        let (link, port) = pair(LinkLimits::reference());
        let outgoing = Outgoing {
            channel: Channel::Votes,
            to: Recipients::All,
            bytes: Bytes::new(),
            priority: true,
        };
        assert!(link.shared.send(outgoing.clone()));
        let clone = port.clone();
        drop(port);
        assert!(link.shared.send(outgoing));
        let shared = link.shared.clone();
        drop(link);
        assert!(clone.next().await.is_some());
        assert!(clone.next().await.is_some());
        assert!(clone.next().await.is_none());
        assert!(clone.next().await.is_none());

        let (link, port) = pair(LinkLimits::reference());
        drop(port);
        assert!(link.shared.receive(Channel::Votes).await.is_none());
        assert!(!link.shared.send(Outgoing {
            channel: Channel::Votes,
            to: Recipients::All,
            bytes: Bytes::new(),
            priority: false
        }));
        assert!(shared.is_closed());
    }
}
