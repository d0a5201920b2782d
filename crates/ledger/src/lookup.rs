//! The proof of what the state holds under a key.

use serde::{Deserialize, Serialize};
use tokenim_consensus::{FinalHeader, FinalityProof, Header, ValidatorSet};
use tokenim_mailbox::mmr;
use tokenim_wire::{BoundedBytes, Digest, NetworkId, Object};

use crate::{ProofError, StateKey, proof::StateProof};

/// Bytes of one value of the state.
pub const STATE_VALUE_BYTES_MAX: usize = 256 * 1024;

/// The value under a key, or that there is none, at the height of a final header.
///
/// ```text
/// 1 ‖ value: 0 │ 1 ‖ length varint ‖ bytes ‖ state proof ‖ finality proof
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupProof {
    /// The value; none if the proof is one of absence.
    pub value: Option<BoundedBytes<STATE_VALUE_BYTES_MAX>>,
    /// Shows it in the state of the first header of `finality`.
    pub proof: StateProof,
    /// Shows that this header is final.
    pub finality: FinalityProof,
}

impl Object for LookupProof {
    const NAME: &'static str = "lookup proof";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = STATE_VALUE_BYTES_MAX + 16 * 1024 + FinalityProof::BYTES_MAX;
}

impl LookupProof {
    /// Checks that the state after the header's block has exactly this value, or none, under `key`, and that the
    /// header is final.
    ///
    /// # Errors
    /// [`ProofError`]
    pub fn verify(
        &self,
        network: &NetworkId,
        validators: &ValidatorSet,
        key: &StateKey,
    ) -> Result<(FinalHeader, Option<&[u8]>), ProofError> {
        let header = self.finality.subject().ok_or(ProofError::NoHeader)?;
        let value = self.value.as_ref().map(BoundedBytes::as_slice);
        self.proof
            .verify(&header.state_root, key, value)
            .map_err(ProofError::State)?;
        let header = self.finality.verify(network, validators)?;
        Ok((header, value))
    }
}

/// A header below another one, shown by the Merkle mountain range over all headers: so a header stays provable when
/// only a much later one has a certificate of validators that one still trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AncestryProof {
    /// The header below.
    pub header: Header,
    /// Its place among the headers below the other one.
    pub path: mmr::Proof,
}

impl Object for AncestryProof {
    const NAME: &'static str = "ancestry proof";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = Header::BYTES_MAX + 8 + mmr::PEAKS_MAX * Digest::LENGTH;
}

/// The leaf of a header in the Merkle mountain range over headers: its digest, at the index of its height.
#[must_use]
pub fn header_leaf(header: &Header) -> Digest {
    Digest::from_bytes(header.digest().to_bytes())
}

impl AncestryProof {
    /// Checks that the header is an ancestor of `descendant`, which is final, so that it is final too.
    ///
    /// # Errors
    /// [`ProofError::Ancestry`]
    pub fn verify(&self, descendant: &FinalHeader) -> Result<&Header, ProofError> {
        mmr::verify(
            &descendant.header_mmr_root,
            descendant.height.get(),
            self.header.height.get(),
            &header_leaf(&self.header),
            &self.path,
        )
        .map_err(ProofError::Ancestry)?;
        Ok(&self.header)
    }
}
