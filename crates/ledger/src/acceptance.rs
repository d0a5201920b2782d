//! The proof that an envelope was accepted.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tokenim_consensus::{FinalHeader, FinalityProof, ValidatorSet};
use tokenim_identity::NodeKey;
use tokenim_mailbox::{MailboxTag, NodeSet, QuorumReceipt, node_leaf, swarm};
use tokenim_wire::{
    BoundedVec, Digest, EnvelopeId, Height, NetworkId, Object, SetEpoch, UnixMillis, UnixSeconds, limits,
};

use crate::{
    ProofError,
    proof::{MerklePath, MultiProof},
    set::NodeSetCommitment,
};

/// Everything needed to see that an envelope was accepted, but the validator set.
///
/// ```text
/// 1 ‖ quorum receipt ‖ node-set commitment: current, previous: (epoch varint ‖ size varint ‖ root) ‖ keys of the
/// issuers: number varint ‖ 32 bytes each ‖ siblings of the issuers in the node-set tree ‖ path in the receipts tree ‖
/// finality proof
/// ```
///
/// With one header, a receipt of W = 3 issuers and 2¹⁰ receipts in its block, this is at most 1.4 KiB and 64 bytes for
/// each signature of the certificate and one bit for each validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptanceProof {
    /// The receipt.
    pub receipt: QuorumReceipt,
    /// What the header's node-set root commits to.
    pub sets: NodeSetCommitment,
    /// The keys of the receipt's issuers, in their order.
    pub keys: BoundedVec<NodeKey, { limits::REPLICAS_MAX }>,
    /// Shows that these are the keys of those members.
    pub members: MultiProof,
    /// Shows that the receipt is among those of the header's block.
    pub path: MerklePath,
    /// Shows that the header is final.
    pub finality: FinalityProof,
}

impl Object for AcceptanceProof {
    const NAME: &'static str = "acceptance proof";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 8 * 1024 + FinalityProof::BYTES_MAX;
}

/// An envelope that was accepted: what an [`AcceptanceProof`] shows. Nothing else makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptedEnvelope {
    /// The envelope.
    pub envelope: EnvelopeId,
    /// The mailbox that it was put into.
    pub tag: MailboxTag,
    /// Until when it is kept.
    pub expiry: UnixSeconds,
    /// The height of the block that anchors the receipt.
    pub height: Height,
    /// The time of that block: the envelope was accepted before.
    pub time: UnixMillis,
    /// The time of the envelope's signature as a ledger height, as
    /// [`Accepted::signed_height`](tokenim_mailbox::Accepted::signed_height) defines it.
    pub signed_height: Height,
    /// The set epoch of the nodes that keep it.
    pub set_epoch: SetEpoch,
    /// The keys of the nodes that signed to keep it, ascending.
    pub issuers: Vec<NodeKey>,
}

impl AcceptedEnvelope {
    /// Checks that the nodes which signed are of the swarm that keeps the mailbox, which takes the whole node set of
    /// [`set_epoch`](Self::set_epoch).
    ///
    /// # Errors
    /// [`ProofError::UnknownSetEpoch`] for a set of another epoch, [`ProofError::Placement`].
    pub fn check_placement(&self, set: &NodeSet) -> Result<(), ProofError> {
        if set.epoch() != self.set_epoch {
            return Err(ProofError::UnknownSetEpoch);
        }
        let keepers = swarm(set, &self.tag);
        if self
            .issuers
            .iter()
            .all(|issuer| keepers.iter().any(|keeper| keeper.key == *issuer))
        {
            Ok(())
        } else {
            Err(ProofError::Placement)
        }
    }
}

impl AcceptanceProof {
    /// The leaf that the ledger committed to.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        self.receipt.leaf()
    }

    /// Checks the whole proof against a validator set: hashes first, then signatures.
    ///
    /// 1. The first header's node-set root commits to `sets`, and one of them has the receipt's set epoch.
    /// 2. `keys` are the members that the issuers name, of that set.
    /// 3. The receipt is in the header's receipts tree.
    /// 4. At least W of the members signed the receipt (ZIP-215), at a height not above the header's.
    /// 5. The header is final.
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn verify(
        &self,
        network: &NetworkId,
        validators: &ValidatorSet,
    ) -> Result<(FinalHeader, AcceptedEnvelope), ProofError> {
        let header = self.finality.subject().ok_or(ProofError::NoHeader)?;
        if self.sets.root() != header.node_set_root {
            return Err(ProofError::NodeSetRoot);
        }
        let set = self
            .sets
            .of_epoch(self.receipt.set_epoch)
            .ok_or(ProofError::UnknownSetEpoch)?;
        if self.keys.len() != self.receipt.issuers.len() {
            return Err(ProofError::KeyCount);
        }
        let members: Vec<(u16, NodeKey)> = self
            .receipt
            .issuers
            .iter()
            .zip(&self.keys)
            .map(|(issuer, key)| (issuer.member, *key))
            .collect();
        let leaves: Vec<(u32, Digest)> = members
            .iter()
            .map(|(member, key)| (u32::from(*member), node_leaf(key)))
            .collect();
        self.members
            .verify(&set.root, set.size, &leaves)
            .map_err(ProofError::Members)?;
        self.path
            .verify(&header.receipts_root, &self.leaf())
            .map_err(ProofError::Receipt)?;
        let size = usize::try_from(set.size).map_err(|_| ProofError::NodeSetRoot)?;
        let accepted = self.receipt.verify(network, set.epoch, size, &members)?;
        if accepted.signed_height() > header.height {
            return Err(ProofError::SignedLater);
        }
        let header = self.finality.verify(network, validators)?;
        let envelope = AcceptedEnvelope {
            envelope: accepted.envelope,
            tag: accepted.tag,
            expiry: accepted.expiry,
            height: header.height,
            time: header.time,
            signed_height: accepted.signed_height(),
            set_epoch: accepted.set_epoch,
            issuers: self.keys.iter().copied().collect(),
        };
        Ok((header, envelope))
    }
}
