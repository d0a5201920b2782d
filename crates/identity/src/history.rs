//! The whole history of an identity, checked from its first record on.

use crate::{Genesis, IdentityState, Place, RecordError, SignedRecord};
use serde::{Deserialize, Serialize};
use tokenim_wire::{Height, NetworkId, Object, UnixMillis, limits::RECORD_BYTES_MAX};

/// A record that was applied, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The record.
    pub record: SignedRecord,
    /// The height of the block that holds it.
    pub height: Height,
    /// The time of that block.
    pub time: UnixMillis,
}

impl Object for HistoryEntry {
    const NAME: &'static str = "history entry";
    const VERSION: u8 = 1;
    /// A record, and two numbers of at most ten bytes each.
    const BYTES_MAX: usize = RECORD_BYTES_MAX + 20;
}

/// Where a history breaks off, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {at} of the history does not continue it: {why}")]
pub struct HistoryError {
    /// The number of the record that does not continue the chain.
    pub at: u64,
    /// Why it does not.
    pub why: RecordError,
}

/// The state that a history comes to: every record applied in turn, from the genesis record on, at heights and times
/// that never go back.
///
/// Heights and times are the word of whoever gave the history. They are proven, and the history is known to be whole,
/// once the state that comes out equals one that is proven to be on the ledger: its `log` covers them all.
///
/// # Errors
/// [`HistoryError`] for the first record that does not continue the chain.
pub fn replay(
    network: &NetworkId,
    window_ms: u64,
    genesis: &Genesis,
    entries: impl IntoIterator<Item = HistoryEntry>,
) -> Result<IdentityState, HistoryError> {
    let start = (IdentityState::new(genesis), Height::ZERO, UnixMillis::ZERO);
    let (state, ..) = entries.into_iter().try_fold(start, |(state, height, time), entry| {
        let place = Place {
            network,
            height: entry.height,
            time: entry.time,
            window_ms,
        };
        let next = if place.height < height || place.time < time {
            Err(RecordError::HeightWentBack)
        } else {
            state.apply(&place, &entry.record)
        };
        next.map(|next| (next, place.height, place.time))
            .map_err(|why| HistoryError {
                at: state.seq.saturating_add(1),
                why,
            })
    })?;
    Ok(state)
}
