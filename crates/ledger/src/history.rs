//! The history of an identity: every record that was applied, with the block that applied it.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tokenim_identity::{Genesis, HistoryEntry, IdentityState};
use tokenim_wire::{BoundedVec, Object, limits};

/// A part of what a node says is the history of an identity. None of it is proved: see
/// [`LightClient::verify_history`](crate::LightClient::verify_history).
///
/// ```text
/// 1 ‖ genesis: root key, 32 bytes ‖ hash of next root, 32 bytes
///   ‖ entries: number varint, at most 64 ‖ each: signed record ‖ height varint ‖ block time, ms, varint
///   ‖ more: 1 byte, 0 or 1
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The genesis record.
    pub genesis: Genesis,
    /// Applied records, in order and without a gap.
    pub entries: BoundedVec<HistoryEntry, { limits::HISTORY_ENTRIES_MAX }>,
    /// Whether the node has more after them.
    pub more: bool,
}

/// Bytes of a page beside its entries: version, genesis record, number of entries, flag.
const PAGE_FRAME_BYTES: usize = 128;

impl Object for HistoryPage {
    const NAME: &'static str = "history page";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = PAGE_FRAME_BYTES + limits::HISTORY_ENTRIES_MAX * HistoryEntry::BYTES_MAX;
}

/// Records of an identity that are shown to be all that came after a known state, each with the height and the time of
/// the block that applied it. Nothing but [`LightClient::verify_history`](crate::LightClient::verify_history) makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenHistory {
    pub(crate) state: IdentityState,
    pub(crate) entries: Vec<HistoryEntry>,
}

impl ProvenHistory {
    /// The state that they lead to, which is the one of the look-up.
    #[must_use]
    pub const fn state(&self) -> &IdentityState {
        &self.state
    }

    /// The records, in order.
    #[must_use]
    pub fn entries(&self) -> &[HistoryEntry] {
        &self.entries
    }

    /// Both.
    #[must_use]
    pub fn into_parts(self) -> (IdentityState, Vec<HistoryEntry>) {
        (self.state, self.entries)
    }
}
