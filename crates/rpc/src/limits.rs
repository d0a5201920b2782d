//! Limits that only requests and answers have; those shared with other crates are in [`tokenim_wire::limits`].

use tokenim_wire::limits;

/// Bytes of one encoded request or response, version byte included: it fills one frame.
pub const MESSAGE_BYTES_MAX: usize = limits::FRAME_BYTES_MAX;
/// Bytes of the header that opens a stream, version byte included.
pub const STREAM_HEADER_BYTES_MAX: usize = 64;
/// Bytes of the text that explains a refusal.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 256;
/// Bytes of the name and version of a node's software.
pub const SOFTWARE_BYTES_MAX: usize = 64;
/// Milliseconds that a request may ask to wait for something to arrive: five minutes.
pub const WAIT_MILLISECONDS_MAX: u32 = 300_000;
/// Transactions in one gossip.
pub const GOSSIP_TRANSACTIONS_MAX: usize = 128;
/// Bytes of the transactions in one gossip.
pub const GOSSIP_BYTES_MAX: usize = 512 * 1024;
/// Tags in one answer about changed mailboxes.
pub const CHANGED_TAGS_MAX: usize = 1024;
/// Log entries in one answer about a mailbox log.
pub const LOG_ENTRIES_MAX: usize = 1024;
