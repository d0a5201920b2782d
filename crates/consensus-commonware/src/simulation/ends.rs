//! A node's end of a channel of the simulated network: the whole of it, or the half that one half of a liar has. One
//! type for both, so that the engine is compiled once.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use commonware_actor::{Feedback, Unreliable};
use commonware_p2p::{
    CheckedSender, LimitedSender, Recipients,
    simulated::{self, SplitOrigin, SplitTarget},
};
use commonware_runtime::{IoBufs, deterministic::Context};

use crate::types::PublicKey;

type Sender = simulated::Sender<PublicKey, Context>;
type Receiver = simulated::Receiver<PublicKey>;

/// Sends for a whole node or for half a liar.
#[expect(clippy::large_enum_variant, reason = "a few for each simulated node")]
#[derive(Clone)]
pub(super) enum End<H> {
    Whole(Sender),
    Half(H),
}

/// What [`End`] has checked.
pub(super) enum CheckedEnd<W, H> {
    Whole(W),
    Half(H),
}

impl<H: LimitedSender<PublicKey = PublicKey>> LimitedSender for End<H> {
    type PublicKey = PublicKey;
    type Checked<'a> = CheckedEnd<<Sender as LimitedSender>::Checked<'a>, H::Checked<'a>>;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Self::Checked<'_>, SystemTime> {
        match self {
            Self::Whole(sender) => sender.check(recipients).map(CheckedEnd::Whole),
            Self::Half(sender) => sender.check(recipients).map(CheckedEnd::Half),
        }
    }
}

impl<W, H> CheckedSender for CheckedEnd<W, H>
where
    W: CheckedSender<PublicKey = PublicKey>,
    H: CheckedSender<PublicKey = PublicKey>,
{
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        match self {
            Self::Whole(sender) => sender.recipients(),
            Self::Half(sender) => sender.recipients(),
        }
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        match self {
            Self::Whole(sender) => sender.send(message, priority),
            Self::Half(sender) => sender.send(message, priority),
        }
    }
}

/// Whom the halves of a liar reach.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) first: Arc<BTreeSet<PublicKey>>,
    pub(super) second: Arc<BTreeSet<PublicKey>>,
}

impl Reach {
    /// Cuts a channel's end in two. What comes is handed to the halves in a task of `splitter`.
    pub(super) fn split(
        &self,
        sender: Sender,
        receiver: Receiver,
        splitter: Context,
    ) -> [(End<impl LimitedSender<PublicKey = PublicKey> + use<>>, Receiver); 2] {
        let (speaks, hears) = (self.clone(), self.clone());
        let (first, second) = sender.split_with(move |origin, recipients, _| Some(speaks.narrow(origin, recipients)));
        let (first_hears, second_hears) = receiver.split_with(splitter, move |(from, _)| hears.target(from));
        [(End::Half(first), first_hears), (End::Half(second), second_hears)]
    }

    /// Those of the recipients whom a half reaches.
    fn narrow(&self, origin: SplitOrigin, recipients: &Recipients<PublicKey>) -> Recipients<PublicKey> {
        let reached = match origin {
            SplitOrigin::Primary => &self.first,
            SplitOrigin::Secondary => &self.second,
        };
        let wanted = |key: &&PublicKey| match recipients {
            Recipients::All => true,
            Recipients::Some(keys) => keys.contains(key),
            Recipients::One(one) => one == *key,
        };
        Recipients::Some(reached.iter().filter(wanted).cloned().collect())
    }

    /// Which half hears someone.
    fn target(&self, from: &PublicKey) -> SplitTarget {
        match (self.first.contains(from), self.second.contains(from)) {
            (true, true) => SplitTarget::Both,
            (true, false) => SplitTarget::Primary,
            (false, true) => SplitTarget::Secondary,
            (false, false) => SplitTarget::None,
        }
    }
}
