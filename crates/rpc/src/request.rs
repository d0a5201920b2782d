//! Requests.

use crate::limits::{GOSSIP_TRANSACTIONS_MAX, MESSAGE_BYTES_MAX};
use crate::{ChangeCursor, Kind};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};
use tokenim_identity::{IdentityId, Signature};
use tokenim_ledger::{IdentityUpdate, Transaction, TransactionId};
use tokenim_mailbox::{
    ContactStock, Descriptor, MailboxTag, PublishRequest, QuorumReceipt, ReadRequest, WriteAuthority, WriteRequest,
    group::{GroupEntryId, GroupHandle, GroupUpdate},
};
use tokenim_wire::limits::ENVELOPE_BYTES_MAX;
use tokenim_wire::{BoundedBytes, BoundedVec, EnvelopeId, Height, Object};

/// What anyone may ask a node; what only registered nodes may ask is in [`Request::Node`].
///
/// The position of a variant is its number on the wire: it never changes, and new ones are appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// How the node is. Answer: [`NodeStatus`](crate::NodeStatus).
    Status,
    /// The node set, with proof. Answer: [`LookupProof`](tokenim_ledger::LookupProof) of its state key.
    NodeSet,
    /// The state of an identity, or its absence, with proof. Answer: [`LookupProof`](tokenim_ledger::LookupProof).
    Lookup {
        /// Whose.
        identity: IdentityId,
    },
    /// Puts a record of an identity on the ledger, sponsored by the node. Answer: [`Submitted`](crate::Submitted).
    SubmitIdentity(Box<IdentityUpdate>),
    /// What became of a transaction. Answer: [`TransactionStatus`](crate::TransactionStatus).
    TransactionStatus {
        /// Which.
        id: TransactionId,
    },
    /// Keeps an envelope. Answer: [`StorageReceipt`](tokenim_mailbox::StorageReceipt), after the envelope is durable.
    Put(Box<Put>),
    /// Reads a mailbox. Answer: [`Page`](crate::Page).
    Read(Box<Read>),
    /// Has a quorum receipt committed to the ledger. Answer: [`AnchorStatus`](crate::AnchorStatus).
    Anchor {
        /// What to commit.
        receipt: Box<QuorumReceipt>,
    },
    /// The proof that an envelope was accepted. Answer: [`AcceptanceProof`](tokenim_ledger::AcceptanceProof).
    Acceptance {
        /// Of which envelope.
        of: AcceptanceOf,
        /// How long to wait until it is final, in milliseconds; at most
        /// [`WAIT_MILLISECONDS_MAX`](crate::limits::WAIT_MILLISECONDS_MAX) of them count.
        wait_ms: u32,
    },
    /// The proof that a height is final. Answer: [`FinalityProof`](tokenim_ledger::FinalityProof).
    Finality {
        /// Which height.
        height: Height,
    },
    /// What nodes ask each other; refused to anyone else.
    Node(NodeRequest),
    /// Hands out a contact stock from now on. Answer: [`Published`](crate::Published), after the stock is durable.
    PublishContact(Box<PublishContact>),
    /// What the owner of an inbox has left for those who write for the first time. Answer: a
    /// [`FetchedContact`](crate::FetchedContact), or nothing.
    FetchContact {
        /// The inbox.
        tag: MailboxTag,
        /// The cipher suite of which a key package is wanted as well, by its number in MLS.
        suite: Option<u16>,
    },
    /// The records of an identity with the blocks that applied them, without a proof: the state of a look-up is one. Answer:
    /// [`HistoryPage`](tokenim_ledger::HistoryPage).
    History {
        /// Whose.
        identity: IdentityId,
        /// The number of the first record.
        from: u64,
    },
    /// Starts a session's group log or adds an entry to it, sponsored by the node. Answer:
    /// [`Submitted`](crate::Submitted).
    SubmitGroup(Box<GroupUpdate>),
    /// An entry of a group log, or its absence, with proof. Answer: [`LookupProof`](tokenim_ledger::LookupProof) of its
    /// state key.
    GroupNode {
        /// The session.
        handle: GroupHandle,
        /// Which of its entries.
        entry: GroupEntryId,
        /// The answer is held back until the entry has more children than that.
        after: u8,
        /// For how long, in milliseconds; at most [`WAIT_MILLISECONDS_MAX`](crate::limits::WAIT_MILLISECONDS_MAX) of them
        /// count. Then what there is is the answer.
        wait_ms: u32,
    },
}

/// An envelope to keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The mailbox.
    pub descriptor: Descriptor,
    /// The capability request.
    pub request: WriteRequest,
    /// What gives the right to it: postage, or a signature where the mailbox's write policy names a key.
    pub authority: WriteAuthority,
    /// The envelope whose id is in the request.
    pub envelope: BoundedBytes<ENVELOPE_BYTES_MAX>,
}

/// A range of a mailbox to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The mailbox.
    pub descriptor: Descriptor,
    /// The capability request; its nonce comes back signed in the head.
    pub request: ReadRequest,
    /// The signature by the mailbox's read key.
    pub signature: Signature,
    /// How long to wait for an envelope at or after the start of the range, in milliseconds; at most
    /// [`WAIT_MILLISECONDS_MAX`](crate::limits::WAIT_MILLISECONDS_MAX) of them count.
    pub wait_ms: u32,
}

/// A contact stock to hand out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishContact {
    /// The contact inbox.
    pub descriptor: Descriptor,
    /// The capability request, which names the stock by its digest.
    pub request: PublishRequest,
    /// The signature by the inbox's read key.
    pub signature: Signature,
    /// The stock.
    pub stock: ContactStock,
}

/// Which acceptance to prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AcceptanceOf {
    /// That of this quorum receipt; any node can prove it once it is final.
    Receipt(Box<QuorumReceipt>),
    /// That of this envelope; a node can prove it if it was handed the receipt.
    Envelope {
        /// The mailbox.
        tag: MailboxTag,
        /// The envelope.
        envelope: EnvelopeId,
    },
}

/// What registered nodes ask each other.
///
/// The position of a variant is its number on the wire: it never changes, and new ones are appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeRequest {
    /// Transactions that the other node may not have. Answer: [`Gossiped`](crate::Gossiped).
    Gossip {
        /// In any order.
        transactions: BoundedVec<Transaction, GOSSIP_TRANSACTIONS_MAX>,
    },
    /// Mailboxes which both nodes keep and that changed since. Answer: [`Changes`](crate::Changes).
    Changes {
        /// Where the last answer ended.
        cursor: ChangeCursor,
    },
    /// What a mailbox holds, without bodies. Answer: [`LogPage`](crate::LogPage).
    LogEntries {
        /// The mailbox.
        tag: MailboxTag,
        /// Arrival number of the first entry.
        from: u64,
    },
    /// A copy of an envelope. Answer: [`Copied`](crate::Copied).
    Fetch {
        /// The mailbox.
        tag: MailboxTag,
        /// The envelope.
        envelope: EnvelopeId,
    },
}

impl Object for Request {
    const NAME: &'static str = "request";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = MESSAGE_BYTES_MAX;
}

impl Request {
    /// What is asked: the same as [`Response::kind`](crate::Response::kind) of an answer to it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Status => Kind::Status,
            Self::NodeSet => Kind::NodeSet,
            Self::Lookup { .. } => Kind::Lookup,
            Self::SubmitIdentity(_) => Kind::SubmitIdentity,
            Self::TransactionStatus { .. } => Kind::TransactionStatus,
            Self::Put(_) => Kind::Put,
            Self::Read(_) => Kind::Read,
            Self::Anchor { .. } => Kind::Anchor,
            Self::Acceptance { .. } => Kind::Acceptance,
            Self::Finality { .. } => Kind::Finality,
            Self::Node(request) => request.kind(),
            Self::PublishContact(_) => Kind::PublishContact,
            Self::FetchContact { .. } => Kind::FetchContact,
            Self::History { .. } => Kind::History,
            Self::SubmitGroup(_) => Kind::SubmitGroup,
            Self::GroupNode { .. } => Kind::GroupNode,
        }
    }

    /// How long the answer may be held back on purpose, in milliseconds; what a caller adds to its timeout.
    #[must_use]
    pub const fn wait_ms(&self) -> u32 {
        let asked = match self {
            Self::Read(read) => read.wait_ms,
            Self::Acceptance { wait_ms, .. } | Self::GroupNode { wait_ms, .. } => *wait_ms,
            _ => 0,
        };
        if asked < crate::limits::WAIT_MILLISECONDS_MAX {
            asked
        } else {
            crate::limits::WAIT_MILLISECONDS_MAX
        }
    }
}

impl NodeRequest {
    /// What is asked.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Gossip { .. } => Kind::Gossip,
            Self::Changes { .. } => Kind::Changes,
            Self::LogEntries { .. } => Kind::LogEntries,
            Self::Fetch { .. } => Kind::Fetch,
        }
    }
}
