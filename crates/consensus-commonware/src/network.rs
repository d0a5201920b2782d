//! The engine's network interfaces over a [`PeerLink`](crate::PeerLink).

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use commonware_actor::{Feedback, Unreliable};
use commonware_p2p::{
    BlockedSubscription, Blocker, CheckedSender, LimitedSender, Message, PeerSetSubscription, PeerSetUpdate, Provider,
    Receiver, Recipients as EngineRecipients, TrackedPeers,
};
use commonware_runtime::{IoBuf, IoBufs};
use commonware_utils::{
    NZUsize,
    channel::{mpsc, ring},
    ordered::Set,
};
use tokenim_identity::NodeKey;
use tokenim_wire::limits::FRAME_BYTES_MAX;

use crate::{
    link::{Channel, Outgoing, Recipients, Shared},
    types::{PublicKey, node_key, public_key},
};

/// The validators as both sides name them.
#[derive(Debug)]
struct Peers {
    keys: BTreeMap<NodeKey, PublicKey>,
    others: Vec<PublicKey>,
    all: Set<PublicKey>,
}

/// Everything that the engine needs of a network.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    shared: Arc<Shared>,
    peers: Arc<Peers>,
    /// Kept so that no subscription ever ends.
    subscribers: Arc<Mutex<Vec<mpsc::UnboundedSender<PeerSetUpdate<PublicKey>>>>>,
}

impl Network {
    /// `me` is left out of those that a message to all goes to.
    pub(crate) fn new(shared: Arc<Shared>, validators: &Set<PublicKey>, me: Option<&PublicKey>) -> Self {
        let keys = validators
            .iter()
            .filter_map(|key| Some((node_key(key)?, key.clone())))
            .collect();
        let others = validators.iter().filter(|key| Some(*key) != me).cloned().collect();
        let peers = Peers {
            keys,
            others,
            all: validators.clone(),
        };
        Self {
            shared,
            peers: Arc::new(peers),
            subscribers: Arc::default(),
        }
    }

    pub(crate) fn channel(&self, channel: Channel) -> (LinkSender, LinkReceiver) {
        let sender = LinkSender {
            channel,
            shared: self.shared.clone(),
            peers: self.peers.clone(),
        };
        let receiver = LinkReceiver {
            channel,
            shared: self.shared.clone(),
            peers: self.peers.clone(),
        };
        (sender, receiver)
    }
}

impl Provider for Network {
    type PublicKey = PublicKey;

    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        (id == 0).then(|| TrackedPeers::primary(self.peers.all.clone()))
    }

    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let peers = TrackedPeers::primary(self.peers.all.clone());
        let _ = sender.send(PeerSetUpdate {
            index: 0,
            latest: peers.clone(),
            all: peers,
        });
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        receiver
    }
}

impl Blocker for Network {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        if let Some(peer) = node_key(&peer) {
            self.shared.block(peer);
        }
        Feedback::Ok
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        let (sender, receiver) = ring::channel(NZUsize!(1));
        self.shared.on_blocked(Box::new(move |blocked| {
            sender.send_lossy(Set::from_iter_dedup(blocked.iter().filter_map(public_key)))
        }));
        receiver
    }
}

#[derive(Clone, Debug)]
pub(crate) struct LinkSender {
    channel: Channel,
    shared: Arc<Shared>,
    peers: Arc<Peers>,
}

impl LimitedSender for LinkSender {
    type PublicKey = PublicKey;
    type Checked<'a> = Checked;

    /// The queue has no rate, only a bound.
    fn check(&mut self, to: EngineRecipients<PublicKey>) -> Result<Checked, SystemTime> {
        Ok(Checked {
            sender: self.clone(),
            to,
        })
    }
}

pub(crate) struct Checked {
    sender: LinkSender,
    to: EngineRecipients<PublicKey>,
}

impl CheckedSender for Checked {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        match &self.to {
            EngineRecipients::All => self.sender.peers.others.clone(),
            EngineRecipients::Some(peers) => peers.clone(),
            EngineRecipients::One(peer) => vec![peer.clone()],
        }
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        let bytes = Bytes::from(message.into().coalesce());
        if bytes.len() > FRAME_BYTES_MAX {
            tracing::error!(bytes = bytes.len(), "consensus message is too long to send");
            return Unreliable::rejected();
        }
        let to = match self.to {
            EngineRecipients::All => Recipients::All,
            EngineRecipients::Some(peers) => Recipients::Some(peers.iter().filter_map(node_key).collect()),
            EngineRecipients::One(peer) => match node_key(&peer) {
                Some(peer) => Recipients::One(peer),
                None => return Unreliable::rejected(),
            },
        };
        let outgoing = Outgoing {
            channel: self.sender.channel,
            to,
            bytes,
            priority,
        };
        match self.sender.shared.send(outgoing) {
            true => Unreliable::new(Feedback::Ok),
            false => Unreliable::new(Feedback::Closed),
        }
    }
}

#[derive(Debug)]
pub(crate) struct LinkReceiver {
    channel: Channel,
    shared: Arc<Shared>,
    peers: Arc<Peers>,
}

/// The host dropped its port.
#[derive(Debug, thiserror::Error)]
#[error("the host closed the peer link")]
pub(crate) struct LinkClosed;

impl Receiver for LinkReceiver {
    type Error = LinkClosed;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, LinkClosed> {
        loop {
            let (from, bytes) = self.shared.receive(self.channel).await.ok_or(LinkClosed)?;
            let known = self.peers.keys.get(&from).cloned();
            if let Some(from) = known.or_else(|| public_key(&from)) {
                return Ok((from, IoBuf::from(bytes)));
            }
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        let limits = self.shared.limits();
        NonZeroUsize::new(limits.incoming_messages_max.saturating_mul(self.peers.all.len().max(1)))
            .unwrap_or(NonZeroUsize::MIN)
    }
}
