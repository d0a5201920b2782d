//! What the client keeps, table by table, and the batch that changes it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId, IdentityState, NodeKey, SuiteId};
use tokenim_ledger::IdentityUpdate;
use tokenim_mailbox::{Descriptor, PostageBits, QuorumReceipt};
use tokenim_wire::limits::{DEVICES_PER_IDENTITY_MAX, IDENTITY_STATE_BYTES_MAX, MESSAGE_BODY_BYTES_MAX};
use tokenim_wire::{BoundedBytes, BoundedVec, EnvelopeId, Height, Object, UnixMillis, UnixSeconds};

/// The tables of the local state. Keys are raw bytes that sort as noted; values are as noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Table {
    /// Name in ASCII → bytes: format, network, identity, keystore, registration, newest header, key
    /// packages, postage, the greatest expiry that was forgotten, what is kept of [strangers](super::stranger), and the
    /// headers that senders have [`seen`](super::seen).
    Meta,
    /// [`MessageId`] → [`OutboxMessage`].
    Outbox,
    /// [`MessageId`] → nothing: the outbox messages that still need work.
    Open,
    /// [`EnvelopeId`] → envelope bytes, until its quorum receipt exists.
    Sealed,
    /// Number, `u64` big-endian → [`InboxMessage`].
    Inbox,
    /// [`EnvelopeId`] → [`Fate`].
    Seen,
    /// [`IdentityId`] ‖ [`MessageId`] → nothing: message ids that were delivered.
    Replay,
    /// [`IdentityId`] → `u64` big-endian: replay entries held for this sender.
    Senders,
    /// Expiry in seconds, `u64` big-endian ‖ table byte ‖ key → nothing: what to forget when.
    Expiry,
    /// Mailbox tag ‖ node key → [`LogCursor`](super::LogCursor).
    Cursor,
    /// [`EnvelopeId`] → acceptance proof.
    Proof,
    /// [`IdentityId`] → [`Pin`].
    Pin,
    /// Number, `u64` big-endian → [`NodeNote`].
    Note,
    /// [`IdentityId`] → [`Contact`](super::contact::Contact).
    Contact,
    /// Number, `u64` big-endian → [`Notice`](super::contact::Notice).
    Notice,
    /// Number, `u64` big-endian → [`OwnContactKey`](super::contact_key::OwnContactKey).
    ContactKey,
    /// Number of a table of the session ‖ its key → its value, sealed by the host; 255 ‖ envelope → quorum receipt, sealed.
    Session,
}

impl Table {
    /// Every table, in order.
    pub const ALL: [Self; 17] = [
        Self::Meta,
        Self::Outbox,
        Self::Open,
        Self::Sealed,
        Self::Inbox,
        Self::Seen,
        Self::Replay,
        Self::Senders,
        Self::Expiry,
        Self::Cursor,
        Self::Proof,
        Self::Pin,
        Self::Note,
        Self::Contact,
        Self::Notice,
        Self::ContactKey,
        Self::Session,
    ];

    /// The table's name, stable across versions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Outbox => "outbox",
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Inbox => "inbox",
            Self::Seen => "seen",
            Self::Replay => "replay",
            Self::Senders => "senders",
            Self::Expiry => "expiry",
            Self::Cursor => "cursor",
            Self::Proof => "proof",
            Self::Pin => "pin",
            Self::Note => "note",
            Self::Contact => "contact",
            Self::Notice => "notice",
            Self::ContactKey => "contact-key",
            Self::Session => "session",
        }
    }
}

/// Bytes of a message's body at most as it is kept: sealed by the host.
pub const KEPT_BODY_BYTES_MAX: usize = MESSAGE_BODY_BYTES_MAX + 64;

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Read access to the local state, as of one moment.
///
/// A transition reads through it and gives a [`Batch`]; the host must apply the batch in the same
/// transaction, so that two processes on one folder never act on the same state.
pub trait View {
    /// What can go wrong with the host's store.
    type Error;

    /// The value of `key`.
    ///
    /// # Errors
    /// The store's.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Up to `limit` entries with keys ≥ `from`, ascending.
    ///
    /// # Errors
    /// The store's.
    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, Self::Error>;

    /// Up to `limit` entries with keys < `below`, descending.
    ///
    /// # Errors
    /// The store's.
    fn scan_back(&self, table: Table, below: &[u8], limit: usize) -> Result<Vec<Row>, Self::Error>;

    /// The highest key.
    ///
    /// # Errors
    /// The store's.
    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// One change of one key.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Vec<u8>,
    /// The new value, or `None` to remove the key.
    pub value: Option<Vec<u8>>,
}

impl core::fmt::Debug for Change {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Change")
            .field("table", &self.table)
            .field("value", &self.value.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// Changes that are applied all or not at all, and durably.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// No change.
    #[must_use]
    pub const fn new() -> Self {
        Self { changes: Vec::new() }
    }

    /// Sets a key.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.push(Change {
            table,
            key: key.into(),
            value: Some(value.into()),
        });
    }

    /// Removes a key.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.push(Change {
            table,
            key: key.into(),
            value: None,
        });
    }

    /// Adds the changes of another batch behind these.
    pub fn append(&mut self, mut other: Self) {
        self.changes.append(&mut other.changes);
    }

    /// The changes, in the order in which they are to be applied.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The registration of this client's identity, kept until the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The genesis and first record, signed.
    pub update: IdentityUpdate,
}

impl Object for Registration {
    const NAME: &'static str = "client registration";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 8 * 1024;
}

/// One device's copy of a message that was or is being sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceDelivery {
    /// The recipient's device.
    pub device: DeviceId,
    /// Its contact inbox.
    pub mailbox: Descriptor,
    /// The postage that the inbox asks for, as far as known.
    pub postage: PostageBits,
    /// The number of the contact key that the envelope is sealed to; none if it is the key on the ledger.
    pub contact_key: Option<u64>,
    /// The envelope sealed to it.
    pub envelope: EnvelopeId,
    /// The quorum receipt, once W nodes keep the envelope.
    pub receipt: Option<QuorumReceipt>,
    /// Whether nodes have taken the receipt for anchoring.
    pub handed: bool,
    /// Whether the proof of acceptance is kept.
    pub proved: bool,
    /// Whether the device was revoked before its copy was accepted, so that none is due.
    pub dropped: bool,
}

/// A message that was or is being sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxMessage {
    /// Its id.
    pub id: MessageId,
    /// To whom.
    pub to: IdentityId,
    /// When `send` was called, by the sender's clock.
    pub created: UnixMillis,
    /// When its envelopes expire.
    pub expiry: UnixSeconds,
    /// The content's kind.
    pub kind: u16,
    /// The content, as the host sealed it for its disk.
    pub sealed_body: BoundedBytes<KEPT_BODY_BYTES_MAX>,
    /// One entry for each device.
    pub devices: BoundedVec<DeviceDelivery, DEVICES_PER_IDENTITY_MAX>,
}

impl OutboxMessage {
    /// Whether each active device of the recipient has its quorum receipt.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.devices.iter().any(|device| !device.dropped)
            && self
                .devices
                .iter()
                .all(|device| device.dropped || device.receipt.is_some())
    }

    /// Whether it is accepted and each device's proof of acceptance is kept.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.is_accepted() && self.devices.iter().all(|device| device.dropped || device.proved)
    }
}

impl Object for OutboxMessage {
    const NAME: &'static str = "client outbox message";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = KEPT_BODY_BYTES_MAX + 256 * 1024;
}

impl core::fmt::Debug for OutboxMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OutboxMessage")
            .field("id", &self.id)
            .field("created", &self.created)
            .field("body_bytes", &self.sealed_body.len())
            .field("devices", &self.devices.len())
            .finish_non_exhaustive()
    }
}

/// A message that was received.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxMessage {
    /// Its id, chosen by the sender.
    pub id: MessageId,
    /// Who sent it.
    pub sender: IdentityId,
    /// The sender's device that signed it.
    pub device: DeviceId,
    /// The envelope it came in.
    pub envelope: EnvelopeId,
    /// When it was decrypted, by the recipient's clock.
    pub received: UnixMillis,
    /// The content's kind.
    pub kind: u16,
    /// The content; as a row, sealed by the host for its disk.
    pub body: BoundedBytes<KEPT_BODY_BYTES_MAX>,
}

impl Object for InboxMessage {
    const NAME: &'static str = "client inbox message";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = KEPT_BODY_BYTES_MAX + 1024;
}

impl core::fmt::Debug for InboxMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("InboxMessage")
            .field("id", &self.id)
            .field("received", &self.received)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What became of an envelope that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fate {
    /// It brought a message that is in the inbox.
    Delivered,
    /// It brought a message that another envelope had brought before.
    Duplicate,
    /// It was refused for good.
    Refused,
}

impl Object for Fate {
    const NAME: &'static str = "client envelope fate";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 16;
}

/// The newest proved state of an identity that this client has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The height of the header that proved it.
    pub height: Height,
    /// That header's time.
    pub time: UnixMillis,
    /// The highest envelope suite that any of its devices ever had: no device is sealed to with a lower one.
    pub suite: Option<SuiteId>,
    /// The state; `None` if it was proved that there is none.
    pub state: Option<IdentityState>,
}

impl Object for Pin {
    const NAME: &'static str = "client pin";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = IDENTITY_STATE_BYTES_MAX + 64;
}

/// A note about a node that was caught in a wrong answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeNote {
    /// The node.
    pub node: NodeKey,
    /// When, by the client's clock.
    pub time: UnixMillis,
    /// What, in words; see [`Fault`](super::Fault).
    pub what: BoundedBytes<256>,
}

impl Object for NodeNote {
    const NAME: &'static str = "client node note";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 512;
}
