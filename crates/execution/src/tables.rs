//! Where in the store what is kept. Local to a node: other nodes see none of it.

use tokenim_identity::IdentityId;
use tokenim_storage::Table;
use tokenim_wire::Height;

/// Single values by name: see the `META_*` keys.
pub(crate) const META: Table = Table::new("ledger/meta");
/// Height → header.
pub(crate) const HEADERS: Table = Table::new("ledger/headers");
/// Height → payload.
pub(crate) const PAYLOADS: Table = Table::new("ledger/payloads");
/// Block digest → height.
pub(crate) const DIGESTS: Table = Table::new("ledger/digests");
/// Height → finality certificate.
pub(crate) const CERTIFICATES: Table = Table::new("ledger/certificates");
/// Node key of the state tree → node.
pub(crate) const NODES: Table = Table::new("ledger/nodes");
/// Height since which a node is stale ‖ its key → nothing.
pub(crate) const STALE: Table = Table::new("ledger/stale");
/// State key → value after the last block.
pub(crate) const VALUES: Table = Table::new("ledger/values");
/// Height ‖ state key → 0, or 1 ‖ value: what was there before that block.
pub(crate) const UNDO: Table = Table::new("ledger/undo");
/// Height → leaves of its receipts tree, one after the other.
pub(crate) const LEAVES: Table = Table::new("ledger/leaves");
/// Leaf → height of the first block with it ‖ place.
pub(crate) const ANCHORED: Table = Table::new("ledger/anchored");
/// Position in the Merkle mountain range over headers → node.
pub(crate) const MOUNTAINS: Table = Table::new("ledger/mountains");
/// Transaction id → height ‖ outcome.
pub(crate) const STATUS: Table = Table::new("ledger/status");
/// Last valid height ‖ transaction id → nothing: applied transactions that are still recent.
pub(crate) const EXPIRING: Table = Table::new("ledger/expiring");
/// Identity ‖ number → genesis record for number 0, else the applied record with that number ‖ height ‖ block time. Never
/// pruned.
pub(crate) const HISTORY: Table = Table::new("ledger/history");
/// Set epoch → node set.
pub(crate) const SETS: Table = Table::new("ledger/sets");
/// Height → commitment to the node sets, where it changed.
pub(crate) const COMMITMENTS: Table = Table::new("ledger/commitments");

/// The version of all this: one byte.
pub(crate) const META_FORMAT: &[u8] = b"format";
/// The network id.
pub(crate) const META_NETWORK: &[u8] = b"network";
/// The height of the last block.
pub(crate) const META_TIP: &[u8] = b"tip";
/// The highest height with a certificate.
pub(crate) const META_CERTIFIED: &[u8] = b"certified";
/// The accumulator over the headers below the last block.
pub(crate) const META_MOUNTAINS: &[u8] = b"mountains";

/// The version of the tables that this software reads and writes.
pub(crate) const FORMAT: u8 = 1;

/// A height as a key: ordered like the height.
pub(crate) fn height_key(height: Height) -> [u8; 8] {
    height.get().to_be_bytes()
}

/// The height of a key or value made by [`height_key`], and what follows it.
pub(crate) fn split_height(bytes: &[u8]) -> Option<(Height, &[u8])> {
    let (height, rest) = bytes.split_first_chunk::<8>()?;
    Some((Height::new(u64::from_be_bytes(*height)), rest))
}

/// A record of an identity: ordered like its number.
pub(crate) fn history_key(identity: &IdentityId, seq: u64) -> alloc::vec::Vec<u8> {
    [identity.as_bytes().as_slice(), &seq.to_be_bytes()].concat()
}

/// A height, then more.
pub(crate) fn height_and(height: Height, rest: &[u8]) -> alloc::vec::Vec<u8> {
    let mut key = alloc::vec::Vec::with_capacity(8_usize.saturating_add(rest.len()));
    key.extend_from_slice(&height_key(height));
    key.extend_from_slice(rest);
    key
}
