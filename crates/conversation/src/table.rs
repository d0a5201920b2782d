//! What a device keeps about its conversations, table by table, and the batch that changes it.

use alloc::vec::Vec;
use core::fmt;

macro_rules! tables {
    ($($(#[$attribute:meta])* $name:ident = $number:literal,)*) => {
        /// The tables of the machine. Keys are raw bytes that sort as noted; what is in a value is the machine's own affair.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Table {
            $($(#[$attribute])* $name = $number,)*
        }

        impl Table {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

tables! {
    /// Name in ASCII → settings, counters.
    Meta = 0,
    /// [`ConversationId`](crate::shown::ConversationId) → the conversation, as people see it.
    Conversation = 1,
    /// [`GroupHandle`](tokenim_mailbox::group::GroupHandle) → where this device stands in that session.
    Session = 2,
    /// Handle → who is in its current epoch, and on what terms.
    Roster = 17,
    /// Handle ‖ 0, or 1 for what an own commit leads to → the state of MLS, secret; behind ‖ 0xff what messages leave of it.
    Group = 3,
    /// Handle → the keys of the current epoch, secret.
    Keys = 18,
    /// Handle ‖ epoch, `u64` big-endian → keys of an epoch that has ended and may still bring messages, secret.
    Past = 4,
    /// Mailbox tag → handle ‖ epoch: whose mailbox that is.
    Mailbox = 5,
    /// Handle ‖ entry → the envelope of a commit that is not judged yet.
    Commit = 6,
    /// Reference of a key package, ‖ 1 if it was used and others may have got it too → its secrets.
    Package = 7,
    /// Conversation ‖ order key → message.
    Message = 8,
    /// Conversation ‖ device ‖ message id → order key: what was received, and what was sent.
    Seen = 9,
    /// Number, `u64` big-endian → an effect that is due.
    Outbox = 10,
    /// [`IdentityId`](tokenim_identity::IdentityId) → the newest state of an identity that was shown to the machine.
    Peer = 11,
    /// Handle ‖ envelope id → an envelope that can't be opened yet.
    Waiting = 12,
    /// Handle → an invitation whose Welcome has not come.
    Invitation = 13,
    /// Handle ‖ digest ‖ number, `u16` big-endian → a part of a Welcome.
    Part = 14,
    /// Conversation ‖ number, `u64` big-endian → what is to be sent.
    Queue = 15,
    /// Time in milliseconds, `u64` big-endian ‖ kind ‖ key → what to forget when.
    Expiry = 16,
    /// Handle → who may ask to be let into the group, who asked, who was refused; secret.
    Door = 19,
    /// Handle → a group into which this device has asked to be let.
    Joining = 20,
    /// [`DeviceId`](tokenim_identity::DeviceId) → a device to which history is handed over, and how far that is.
    Giving = 21,
    /// Number, `u64` big-endian → a page of history that waits for the owner's devices to be known.
    Page = 22,
}

impl Table {
    /// The table's number, which never changes: a host with one table for all of them puts it in front of the key.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Read access to what the machine keeps, as of one moment.
///
/// A step reads through it and gives a [`Batch`]; the host applies the batch in the same transaction, so that two
/// processes on one folder never act on the same state.
pub trait View {
    /// What can go wrong with the host's store.
    type Error;

    /// The value of `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Up to `limit` rows with keys ≥ `from`, ascending.
    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, Self::Error>;

    /// Up to `limit` rows with keys < `below`, descending.
    fn scan_back(&self, table: Table, below: &[u8], limit: usize) -> Result<Vec<Row>, Self::Error>;
}

/// One change of one key.
#[derive(Clone, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Vec<u8>,
    /// The new value, or `None` to remove the key.
    pub value: Option<Vec<u8>>,
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write")
            .field("table", &self.table)
            .field("value_bytes", &self.value.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// Changes that are applied all or not at all, and durably. Each key comes once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    writes: Vec<Write>,
}

impl Batch {
    /// These changes, each key once.
    #[must_use]
    pub const fn new(writes: Vec<Write>) -> Self {
        Self { writes }
    }

    /// The changes.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}
