//! The client's decisions, without sockets, disks or clocks.
//!
//! Each type here is a plain state machine: the host feeds it answers and the time, and carries
//! out what it asks for. The `native` feature is one such host; a browser or a test is another.
//!
//! | type | decides |
//! |---|---|
//! | [`Delivery`] | which node to ask next, and when an envelope is accepted |
//! | [`LogWalk`] | whether a node's answer to a read may be believed, and where to go on |
//! | [`Coverage`] | whether enough nodes answered for an inbox to be called complete |
//! | [`LedgerView`] | whether a look-up, node set or header is proved, recent and not rolled back |
//! | [`Anchoring`] | to which nodes a quorum receipt is handed, so that it gets onto the ledger |
//! | [`contact`] | whom the owner lets in and has verified, and what the owner is told about keys |
//! | [`contact_key`] | when this device needs a new envelope key, and when an old one is forgotten |
//! | [`name`] | what the owner calls people |
//! | [`seen`] | which headers that others have seen wait to be compared |
//! | [`state`] | what one step changes in the local state, as one [`Batch`] |
//! | [`stranger`] | what is kept of those who are not let in, and what gives way to it |

mod anchoring;
pub mod contact;
pub mod contact_key;
mod coverage;
mod delivery;
mod fault;
mod ledger;
mod log;
pub mod name;
mod record;
pub mod seen;
pub mod state;
pub mod stranger;

pub use anchoring::Anchoring;
pub use coverage::{Coverage, Standing};
pub use delivery::{Delivery, Progress, PutAnswer};
pub use fault::Fault;
pub use ledger::{Comparison, GROUP_AGE_MS_MAX, LedgerView, LookedUp, LookupError, Proved, Split, Tip};
pub use log::{EnvelopeCopy, LogCursor, LogWalk};
pub use record::{
    Batch, Change, DeviceDelivery, Fate, InboxMessage, KEPT_BODY_BYTES_MAX, NodeNote, OutboxMessage, Pin, Registration,
    Row, Table, View,
};
