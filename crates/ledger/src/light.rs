//! The light client: verifies without a node's word and without the state.

use alloc::vec::Vec;
use core::time::Duration;
use tokenim_consensus::{FinalHeader, FinalityError, FinalityProof, ValidatorSet};
use tokenim_identity::{HistoryEntry, IdentityId, IdentityState, NodeKey, Place, RecordError};
use tokenim_mailbox::{
    Incarnation, NodeSet, ReceiptError,
    group::{GroupEntryId, GroupHandle, GroupNode},
    mmr::MmrError,
};
use tokenim_wire::{DecodeError, EncodeError, Height, NetworkId, Object, UnixMillis, decode};

use crate::{
    AcceptanceProof, AcceptedEnvelope, AncestryProof, LookupProof, NetworkConfig, ProvenHistory, StateKey,
    TransactionId, proof::PathError,
};

/// Why a proof shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no header in it.
    #[error("the proof has no header")]
    NoHeader,
    /// The header does not commit to the node sets shown.
    #[error("the header does not commit to the node sets shown")]
    NodeSetRoot,
    /// The receipt is of a set epoch that the header knows neither as current nor as previous.
    #[error("the receipt is of a set epoch that the header does not know")]
    UnknownSetEpoch,
    /// There are more or fewer keys than issuers.
    #[error("the proof has another number of keys than the receipt of issuers")]
    KeyCount,
    /// The issuers are not shown to be members of the node set.
    #[error("the issuers are not shown to be in the node set: {0}")]
    Members(PathError),
    /// The receipt is not shown to be in the block.
    #[error("the receipt is not shown to be in the block: {0}")]
    Receipt(PathError),
    /// The value is not shown to be in the state.
    #[error("the state is not shown to hold this: {0}")]
    State(PathError),
    /// The header is not shown to be an ancestor.
    #[error("the header is not shown to be an ancestor: {0}")]
    Ancestry(MmrError),
    /// The receipt does not hold.
    #[error("the receipt does not hold: {0}")]
    QuorumReceipt(#[from] ReceiptError),
    /// The receipt was signed at a height above that of the block which holds it.
    #[error("the receipt was signed later than it was anchored")]
    SignedLater,
    /// A node that signed does not keep the mailbox.
    #[error("a node that signed is not among those that keep the mailbox")]
    Placement,
    /// The header is not final.
    #[error("the header is not shown to be final: {0}")]
    Finality(#[from] FinalityError),
    /// The value is not what is kept under such a key.
    #[error("the value is malformed: {0}")]
    Value(#[from] DecodeError),
    /// The value belongs to another key, or must not be absent.
    #[error("the value is not that of the key asked for")]
    WrongValue,
    /// The history is that of another identity.
    #[error("the history is that of another identity")]
    HistoryForeign,
    /// The state shown is older than the one known.
    #[error("the answer has {shown} records of the identity, {known} are known: ask again, or another node")]
    HistoryBehind {
        /// The number of the last record of the state shown.
        shown: u64,
        /// That of the state known before.
        known: u64,
    },
    /// A record of the history does not follow those before it.
    #[error("record {at} of the history does not follow those before it: {why}")]
    HistoryRecord {
        /// The number that it should have.
        at: u64,
        /// What is wrong with it.
        why: RecordError,
    },
    /// Records are missing at the end.
    #[error("the history ends with record {shown}, the identity has {records}")]
    HistoryShort {
        /// The number of the last record of the history.
        shown: u64,
        /// That of the state.
        records: u64,
    },
    /// The records are those of the identity, yet not with these signatures, heights or times.
    #[error("the history leads to another state than the ledger's: a record, a height or a time in it is false")]
    HistoryState,
    /// The header is older than was asked for.
    #[error("the answer is {age_ms} ms old, at most {max_ms} ms were asked for")]
    TooOld {
        /// Milliseconds between the header's time and now.
        age_ms: u64,
        /// Milliseconds accepted.
        max_ms: u64,
    },
}

/// Verifies proofs against a pinned validator set. It keeps nothing and asks nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightClient {
    network: NetworkId,
    validators: ValidatorSet,
}

impl LightClient {
    /// A light client of the network with this configuration.
    ///
    /// # Errors
    /// Those of [`NetworkConfig::network_id`].
    pub fn new(config: &NetworkConfig) -> Result<Self, EncodeError> {
        Ok(Self::pinned(config.network_id()?, config.validators().clone()))
    }

    /// A light client of a network with this id, whose validators are known from elsewhere.
    #[must_use]
    pub const fn pinned(network: NetworkId, validators: ValidatorSet) -> Self {
        Self { network, validators }
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        &self.network
    }

    /// The validators whose certificates count.
    #[must_use]
    pub const fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// Checks that the first header of a proof is final.
    ///
    /// # Errors
    /// [`ProofError::Finality`]
    pub fn verify_header(&self, proof: &FinalityProof) -> Result<FinalHeader, ProofError> {
        Ok(proof.verify(&self.network, &self.validators)?)
    }

    /// Checks that a header is an ancestor of a final one.
    ///
    /// # Errors
    /// [`ProofError::Ancestry`]
    pub fn verify_ancestor<'a>(
        &self,
        descendant: &FinalHeader,
        proof: &'a AncestryProof,
    ) -> Result<&'a tokenim_consensus::Header, ProofError> {
        proof.verify(descendant)
    }

    /// Checks that an envelope was accepted; see [`AcceptanceProof::verify`] for what that means.
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn verify_acceptance(&self, proof: &AcceptanceProof) -> Result<AcceptedEnvelope, ProofError> {
        let (_, envelope) = proof.verify(&self.network, &self.validators)?;
        Ok(envelope)
    }

    /// Checks what the ledger knows of an identity: its state, or that there is no such identity. `max_age` is the time
    /// now and how old the answer may be, by the header's time; without it an old answer passes for a new one.
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn verify_identity(
        &self,
        identity: &IdentityId,
        proof: &LookupProof,
        max_age: Option<(UnixMillis, Duration)>,
    ) -> Result<(FinalHeader, Option<IdentityState>), ProofError> {
        let (header, value) = self.verify_value(&StateKey::identity(identity), proof, max_age)?;
        let Some(value) = value else {
            return Ok((header, None));
        };
        let state = IdentityState::from_bytes(value)?;
        if state.id != *identity {
            return Err(ProofError::WrongValue);
        }
        Ok((header, Some(state)))
    }

    /// Checks that `entries` begin with all records that an identity got since it was in the state `before`, up to that of
    /// a look-up, each with the height and the time of its block. For the whole history `before` is
    /// [`IdentityState::new`] of the genesis record, whose id is compared with the one asked for; for what is new, a
    /// state that was verified before. Entries beyond the state of the look-up are left out: nothing is known of them.
    ///
    /// Nothing can be left out, added, put elsewhere or dated otherwise: the state that the ledger commits to holds a
    /// hash over all records, heights and times, and each record is applied here as the ledger did. `window_ms` is the
    /// network's [`recovery_window_ms`](crate::LedgerLimits::recovery_window_ms).
    ///
    /// # Errors
    /// [`ProofError`]; those whose names begin with `History` for what `before` and `entries` are.
    pub fn verify_history(
        &self,
        identity: &IdentityId,
        before: &IdentityState,
        entries: impl IntoIterator<Item = HistoryEntry>,
        window_ms: u64,
        proof: &LookupProof,
        max_age: Option<(UnixMillis, Duration)>,
    ) -> Result<(FinalHeader, ProvenHistory), ProofError> {
        let (header, shown) = self.verify_identity(identity, proof, max_age)?;
        let shown = shown.ok_or(ProofError::WrongValue)?;
        if before.id != *identity {
            return Err(ProofError::HistoryForeign);
        }
        if before.seq > shown.seq {
            return Err(ProofError::HistoryBehind {
                shown: shown.seq,
                known: before.seq,
            });
        }
        let mut state = before.clone();
        let mut kept = Vec::new();
        for entry in entries {
            if state.seq == shown.seq {
                break;
            }
            let place = Place {
                network: &self.network,
                height: entry.height,
                time: entry.time,
                window_ms,
            };
            state = state
                .apply(&place, &entry.record)
                .map_err(|why| ProofError::HistoryRecord {
                    at: state.seq.saturating_add(1),
                    why,
                })?;
            kept.push(entry);
        }
        if state.seq < shown.seq {
            return Err(ProofError::HistoryShort {
                shown: state.seq,
                records: shown.seq,
            });
        }
        if state != shown {
            return Err(ProofError::HistoryState);
        }
        Ok((header, ProvenHistory { state, entries: kept }))
    }

    /// Checks which nodes are registered, as in [`verify_identity`](Self::verify_identity).
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn verify_node_set(
        &self,
        proof: &LookupProof,
        max_age: Option<(UnixMillis, Duration)>,
    ) -> Result<(FinalHeader, NodeSet), ProofError> {
        let (header, value) = self.verify_value(&StateKey::node_set(), proof, max_age)?;
        let set = NodeSet::from_bytes(value.ok_or(ProofError::WrongValue)?)?;
        Ok((header, set))
    }

    /// Checks in which incarnation a node registered last, if it ever did; as in
    /// [`verify_identity`](Self::verify_identity).
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn verify_incarnation(
        &self,
        node: &NodeKey,
        proof: &LookupProof,
        max_age: Option<(UnixMillis, Duration)>,
    ) -> Result<(FinalHeader, Option<Incarnation>), ProofError> {
        let (header, value) = self.verify_value(&StateKey::incarnation(node), proof, max_age)?;
        Ok((header, value.map(|bytes| decode(bytes, bytes.len())).transpose()?))
    }

    /// Checks what the group log of a session has at an entry, if it is there: the key that signs what follows, and what
    /// follows; as in [`verify_identity`](Self::verify_identity). More may follow after the height shown.
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn verify_group_node(
        &self,
        handle: &GroupHandle,
        entry: &GroupEntryId,
        proof: &LookupProof,
        max_age: Option<(UnixMillis, Duration)>,
    ) -> Result<(FinalHeader, Option<GroupNode>), ProofError> {
        let (header, value) = self.verify_value(&StateKey::group(handle, entry), proof, max_age)?;
        Ok((header, value.map(GroupNode::from_bytes).transpose()?))
    }

    /// Checks that a transaction was applied and is still recent; the height is the last at which it was valid. That
    /// it is not found says nothing once that height has passed.
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn verify_recent_transaction(
        &self,
        transaction: &TransactionId,
        proof: &LookupProof,
        max_age: Option<(UnixMillis, Duration)>,
    ) -> Result<(FinalHeader, Option<Height>), ProofError> {
        let (header, value) = self.verify_value(&StateKey::recent(transaction), proof, max_age)?;
        Ok((header, value.map(|bytes| decode(bytes, bytes.len())).transpose()?))
    }

    /// Checks what stands under any key.
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn verify_value<'a>(
        &self,
        key: &StateKey,
        proof: &'a LookupProof,
        max_age: Option<(UnixMillis, Duration)>,
    ) -> Result<(FinalHeader, Option<&'a [u8]>), ProofError> {
        let (header, value) = proof.verify(&self.network, &self.validators, key)?;
        if let Some((now, max)) = max_age {
            let age_ms = now.get().saturating_sub(header.time.get());
            let max_ms = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
            if age_ms > max_ms {
                return Err(ProofError::TooOld { age_ms, max_ms });
            }
        }
        Ok((header, value))
    }
}
