//! What a device keeps about its conversations, table by table, and the batch that changes it.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{convert::Infallible, fmt};

/// The tables of the machine. Keys are raw bytes that sort as noted; what is in a value is the machine's own affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Table {
    /// Name in ASCII → settings, counters.
    Meta,
    /// [`ConversationId`](super::ConversationId) → the conversation, as people see it.
    Conversation,
    /// [`GroupHandle`](tokenim_mailbox::group::GroupHandle) → where this device stands in that session.
    Session,
    /// Handle → who is in its current epoch, and on what terms.
    Roster,
    /// Handle ‖ 0, or 1 for what an own commit leads to → the state of MLS, secret.
    Group,
    /// Handle → the keys of the current epoch, secret.
    Keys,
    /// Handle ‖ epoch, `u64` big-endian → keys of an epoch that has ended and may still bring messages, secret.
    Past,
    /// Mailbox tag → handle ‖ epoch: whose mailbox that is.
    Mailbox,
    /// Handle ‖ entry → the envelope of a commit that is not judged yet.
    Commit,
    /// Reference of a key package → its secrets.
    Package,
    /// Conversation ‖ order key → message.
    Message,
    /// Conversation ‖ device ‖ message id → order key: what was received, and what was sent.
    Seen,
    /// Number, `u64` big-endian → an effect that is due.
    Outbox,
    /// [`IdentityId`](tokenim_identity::IdentityId) → the newest state of an identity that was shown to the machine.
    Peer,
    /// Handle ‖ envelope id → an envelope that can't be opened yet.
    Waiting,
    /// Handle → an invitation whose Welcome has not come.
    Invitation,
    /// Handle ‖ digest ‖ number, `u16` big-endian → a part of a Welcome.
    Part,
    /// Conversation ‖ number, `u64` big-endian → what is to be sent.
    Queue,
    /// Time in milliseconds, `u64` big-endian ‖ kind ‖ key → what to forget when.
    Expiry,
}

impl Table {
    /// Every table, in order.
    pub const ALL: [Self; 19] = [
        Self::Meta,
        Self::Conversation,
        Self::Session,
        Self::Roster,
        Self::Group,
        Self::Keys,
        Self::Past,
        Self::Mailbox,
        Self::Commit,
        Self::Package,
        Self::Message,
        Self::Seen,
        Self::Outbox,
        Self::Peer,
        Self::Waiting,
        Self::Invitation,
        Self::Part,
        Self::Queue,
        Self::Expiry,
    ];

    /// The table's number, which never changes: a host with one table for all of them puts it in front of the key.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Meta => 0,
            Self::Conversation => 1,
            Self::Session => 2,
            Self::Group => 3,
            Self::Past => 4,
            Self::Mailbox => 5,
            Self::Commit => 6,
            Self::Package => 7,
            Self::Message => 8,
            Self::Seen => 9,
            Self::Outbox => 10,
            Self::Peer => 11,
            Self::Waiting => 12,
            Self::Invitation => 13,
            Self::Part => 14,
            Self::Queue => 15,
            Self::Expiry => 16,
            Self::Roster => 17,
            Self::Keys => 18,
        }
    }

    /// The table's name, stable across versions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Conversation => "conversation",
            Self::Session => "session",
            Self::Roster => "roster",
            Self::Group => "group",
            Self::Keys => "keys",
            Self::Past => "past",
            Self::Mailbox => "mailbox",
            Self::Commit => "commit",
            Self::Package => "package",
            Self::Message => "message",
            Self::Seen => "seen",
            Self::Outbox => "outbox",
            Self::Peer => "peer",
            Self::Waiting => "waiting",
            Self::Invitation => "invitation",
            Self::Part => "part",
            Self::Queue => "queue",
            Self::Expiry => "expiry",
        }
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
    ///
    /// # Errors
    /// The store's.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Up to `limit` rows with keys ≥ `from`, ascending.
    ///
    /// # Errors
    /// The store's.
    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, Self::Error>;
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
    pub(crate) const fn new(writes: Vec<Write>) -> Self {
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

/// A store in memory: for tests, and for a device that keeps nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl MemoryStore {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { rows: BTreeMap::new() }
    }

    /// Applies a batch.
    pub fn apply(&mut self, batch: &Batch) {
        for write in batch.writes() {
            let key = (write.table, write.key.clone());
            match &write.value {
                Some(value) => self.rows.insert(key, value.clone()),
                None => self.rows.remove(&key),
            };
        }
    }

    /// How many rows a table has.
    #[must_use]
    pub fn rows(&self, table: Table) -> usize {
        self.rows.keys().filter(|(of, _)| *of == table).count()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl View for MemoryStore {
    type Error = Infallible;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, Infallible> {
        Ok(self
            .rows
            .range((table, from.to_vec())..)
            .take_while(|((of, _), _)| *of == table)
            .take(limit)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }
}
