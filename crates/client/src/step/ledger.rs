//! What the client believes of the ledger: only what verifies, only forwards.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use serde::{Deserialize, Serialize};
use tokenim_consensus::{FinalityProof, Header};
use tokenim_identity::{IdentityId, IdentityState};
use tokenim_ledger::{AcceptanceProof, AcceptedEnvelope, LightClient, LookupProof, NetworkConfig, header_leaf};
use tokenim_mailbox::group::{GroupEntryId, GroupHandle, GroupNode};
use tokenim_mailbox::{MailboxTag, NodeSet};
use tokenim_wire::limits::CLOCK_SKEW_SECONDS_MAX;
use tokenim_wire::{Digest, EncodeError, EnvelopeId, Height, NetworkId, Object, UnixMillis};

use super::{Fault, Pin};

/// That nothing follows an entry of a group log is believed, when f+1 nodes say so, from blocks this recent, in
/// milliseconds: three seconds, and what the clocks of members may differ from the network's.
pub const GROUP_AGE_MS_MAX: u64 = 3_000 + CLOCK_SKEW_SECONDS_MAX * 1_000;

/// Headers whose digests are remembered, to be compared with what others have seen.
const HEADERS_MAX: usize = 1_024;

/// A proved look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedUp {
    /// The identity's state, or `None` when it is proved that there is none.
    pub state: Option<IdentityState>,
    /// The height of the header that proves it.
    pub height: Height,
    /// That header's time.
    pub time: UnixMillis,
}

/// What the ledger has, as a final header proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved<T> {
    /// What it has.
    pub value: T,
    /// The height of the header that proves it.
    pub height: Height,
    /// That header's time.
    pub time: UnixMillis,
}

/// Why an answer from the ledger is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The node is at fault.
    #[error(transparent)]
    Fault(Box<Fault>),
    /// The answer is proved, but older than asked for.
    #[error("the newest answer is {age_ms} ms old")]
    TooOld {
        /// Its age.
        age_ms: u64,
    },
    /// The answer is proved, but this client has seen a newer state already.
    #[error("the answer is from height {height}, before height {seen} that was seen already")]
    RolledBack {
        /// The answer's height.
        height: Height,
        /// The height seen.
        seen: Height,
    },
}

impl From<Fault> for LookupError {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// The client's view of the ledger.
///
/// Its only root of trust is the network's configuration. Heights only grow: a proved header that
/// is older than the newest one does no harm, but moves nothing.
#[derive(Debug, Clone)]
pub struct LedgerView {
    network: NetworkId,
    light: LightClient,
    nodes: Arc<NodeSet>,
    nodes_at: Option<Height>,
    tip: Option<Tip>,
    /// Digests of the newest headers seen, by height.
    headers: BTreeMap<Height, Digest>,
    split: Option<Split>,
}

/// Two final headers of one height, both proved: a third of the validators has signed two ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// The height.
    pub height: Height,
    /// The digest of the header that was proved first.
    pub first: Digest,
    /// That of the other one.
    pub second: Digest,
}

/// A final header, as far as a client remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// Its height.
    pub height: Height,
    /// Its time.
    pub time: UnixMillis,
    /// Its digest.
    pub header: Digest,
}

impl Object for Tip {
    const NAME: &'static str = "client tip";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64;
}

impl From<&Header> for Tip {
    fn from(header: &Header) -> Self {
        Self {
            height: header.height,
            time: header.time,
            header: header_leaf(header),
        }
    }
}

/// Whether a header that someone else has seen is the one that was proved here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// It is.
    Same,
    /// At that height, a header with this digest was proved here.
    Other(Digest),
    /// No header of that height was proved here, or too long ago.
    Unknown,
}

impl LedgerView {
    /// Starts from the network's configuration alone.
    ///
    /// # Errors
    /// [`EncodeError`] for a configuration too large to be one.
    pub fn new(config: &NetworkConfig) -> Result<Self, EncodeError> {
        Ok(Self {
            network: config.network_id()?,
            light: LightClient::new(config)?,
            nodes: Arc::new(config.node_set()?),
            nodes_at: None,
            tip: None,
            headers: BTreeMap::new(),
            split: None,
        })
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        &self.network
    }

    /// The node set: from the configuration until a newer one is proved.
    #[must_use]
    pub fn nodes(&self) -> Arc<NodeSet> {
        Arc::clone(&self.nodes)
    }

    /// The newest final header seen.
    #[must_use]
    pub const fn tip(&self) -> Option<Tip> {
        self.tip
    }

    /// Takes a header that this client verified in an earlier run.
    pub fn resume(&mut self, tip: Tip) {
        self.saw(tip);
    }

    fn saw(&mut self, header: impl Into<Tip>) {
        let header = header.into();
        if self.tip.is_none_or(|newest| newest.height < header.height) {
            self.tip = Some(header);
        }
        let first = *self.headers.entry(header.height).or_insert(header.header);
        if first != header.header {
            self.split.get_or_insert(Split {
                height: header.height,
                first,
                second: header.header,
            });
        }
        if self.headers.len() > HEADERS_MAX {
            self.headers.pop_first();
        }
    }

    /// The first two headers that were proved here for one height, if that ever happened.
    #[must_use]
    pub const fn split(&self) -> Option<Split> {
        self.split
    }

    /// Compares the header that someone says to have seen at a height with what was proved here.
    #[must_use]
    pub fn compare(&self, height: Height, header: &Digest) -> Comparison {
        match self.headers.get(&height) {
            None => Comparison::Unknown,
            Some(ours) if ours == header => Comparison::Same,
            Some(ours) => Comparison::Other(*ours),
        }
    }

    /// Checks a proof of finality.
    ///
    /// # Errors
    /// The node's [`Fault`].
    pub fn header(&mut self, proof: &FinalityProof) -> Result<Tip, Fault> {
        let header = self.light.verify_header(proof).map_err(Fault::Proof)?;
        let seen = Tip::from(&*header);
        self.saw(seen);
        Ok(seen)
    }

    /// Checks a look-up of `identity`: proved, and not from before `pin`. How old it may be is for
    /// [`LedgerView::check_age`].
    ///
    /// # Errors
    /// [`LookupError::Fault`], [`LookupError::RolledBack`]; only the first speaks against the node.
    pub fn identity(
        &mut self,
        identity: &IdentityId,
        proof: &LookupProof,
        pin: Option<&Pin>,
    ) -> Result<LookedUp, LookupError> {
        let (header, state) = self
            .light
            .verify_identity(identity, proof, None)
            .map_err(Fault::Proof)?;
        let (height, time) = (header.height, header.time);
        self.saw(&*header);
        if let Some(pin) = pin
            && height < pin.height
        {
            return Err(LookupError::RolledBack {
                height,
                seen: pin.height,
            });
        }
        Ok(LookedUp { state, height, time })
    }

    /// Checks that a state is at most `max_age_ms` old, and that an absence is of a block after the question, which was
    /// `asked` then: whoever names an identity may have seen it registered a moment ago, by a node that is ahead of the one
    /// that answers.
    ///
    /// The time never counts as earlier than that of the newest header seen, so that a clock that is set back does not
    /// make old answers new.
    ///
    /// # Errors
    /// [`LookupError::TooOld`]
    pub fn check_age(
        &self,
        found: &LookedUp,
        asked: UnixMillis,
        now: UnixMillis,
        max_age_ms: u64,
    ) -> Result<(), LookupError> {
        if found.state.is_some() {
            return self.check_header_age(found.time, now, max_age_ms);
        }
        if self.age_ms(found.time, asked) > 0 {
            let age_ms = self.age_ms(found.time, now);
            return Err(LookupError::TooOld { age_ms });
        }
        Ok(())
    }

    /// Checks a look-up of an entry of a group log. Whoever waits for more than `after` children takes an answer with more
    /// of them however old it is, for what is final stays so. Any other one also says that there is nothing yet, so it
    /// must be at most [`GROUP_AGE_MS_MAX`] old. That is no more than a sign that the
    /// network goes on; who wants to know that nothing follows asks so many nodes that one is honest.
    ///
    /// # Errors
    /// [`LookupError::Fault`], [`LookupError::TooOld`]; only the first speaks against the node.
    pub fn group_node(
        &mut self,
        (handle, entry): (&GroupHandle, &GroupEntryId),
        proof: &LookupProof,
        after: u8,
        now: UnixMillis,
    ) -> Result<Proved<Option<GroupNode>>, LookupError> {
        let (header, value) = self
            .light
            .verify_group_node(handle, entry, proof, None)
            .map_err(Fault::Proof)?;
        let (height, time) = (header.height, header.time);
        self.saw(&*header);
        let children = value.as_ref().map_or(0, |node| node.children.len());
        if children <= usize::from(after) {
            self.check_header_age(time, now, GROUP_AGE_MS_MAX)?;
        }
        Ok(Proved { value, height, time })
    }

    /// How old what a header of this time proved is, in milliseconds. It never counts as younger than by the newest header
    /// seen, so that a clock that is set back makes nothing new.
    #[must_use]
    pub fn age_ms(&self, time: UnixMillis, now: UnixMillis) -> u64 {
        let now = self.tip.map_or(now, |tip| tip.time.max(now));
        now.get().saturating_sub(time.get())
    }

    /// Checks that a header is recent.
    fn check_header_age(&self, time: UnixMillis, now: UnixMillis, age_ms_max: u64) -> Result<(), LookupError> {
        let age_ms = self.age_ms(time, now);
        if age_ms > age_ms_max {
            return Err(LookupError::TooOld { age_ms });
        }
        Ok(())
    }

    /// Takes a proved node set; an older one than known changes nothing.
    ///
    /// # Errors
    /// The node's [`Fault`].
    pub fn node_set(&mut self, proof: &LookupProof) -> Result<Arc<NodeSet>, Fault> {
        let (header, nodes) = self.light.verify_node_set(proof, None).map_err(Fault::Proof)?;
        self.saw(&*header);
        if self.nodes_at.is_none_or(|known| known < header.height) {
            self.nodes_at = Some(header.height);
            if *self.nodes != nodes {
                self.nodes = Arc::new(nodes);
            }
        }
        Ok(self.nodes())
    }

    /// Checks the proof that this envelope was accepted in this mailbox.
    ///
    /// # Errors
    /// The node's [`Fault`].
    pub fn acceptance(
        &mut self,
        tag: &MailboxTag,
        envelope: &EnvelopeId,
        proof: &AcceptanceProof,
    ) -> Result<AcceptedEnvelope, Fault> {
        if proof.receipt.envelope != *envelope || proof.receipt.tag != *tag {
            return Err(Fault::ProofForAnother);
        }
        let accepted = self.light.verify_acceptance(proof).map_err(Fault::Proof)?;
        // The proof alone shows members of the node set; with the set at hand, also that they keep this mailbox.
        if accepted.set_epoch == self.nodes.epoch() {
            accepted.check_placement(&self.nodes).map_err(Fault::Proof)?;
        }
        if let Some(header) = proof.finality.subject() {
            self.saw(header);
        }
        Ok(accepted)
    }

    /// The light client itself, for proofs that came in a file.
    #[must_use]
    pub const fn light_client(&self) -> &LightClient {
        &self.light
    }
}
