//! Responses.

use crate::limits::{CHANGED_TAGS_MAX, LOG_ENTRIES_MAX, MESSAGE_BYTES_MAX, SOFTWARE_BYTES_MAX};
use crate::{AnswerError, Kind, RpcError};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};
use tokenim_ledger::{AcceptanceProof, FinalityProof, HistoryPage, LookupProof, Outcome, Rejection, TransactionId};
use tokenim_mailbox::{
    Incarnation, KeyPackage, LogEntry, LogId, MailboxTag, NodeKey, SignedContactKeys, SignedHead, StorageReceipt,
};
use tokenim_wire::limits::{ENVELOPE_BYTES_MAX, READ_ITEMS_MAX};
use tokenim_wire::{BoundedBytes, BoundedString, BoundedVec, Height, NetworkId, Object, SetEpoch, UnixMillis};

/// The answer to a [`Request`](crate::Request): the variant of the same name, or [`Response::Error`].
///
/// The position of a variant is its number on the wire: it never changes, and new ones are appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// A refusal, whatever was asked.
    Error(RpcError),
    /// How the node is.
    Status(Box<NodeStatus>),
    /// The node set with its proof.
    NodeSet(Box<LookupProof>),
    /// The state of an identity, or its absence, with its proof.
    Lookup(Box<LookupProof>),
    /// The record is on its way.
    SubmitIdentity(Submitted),
    /// What became of the transaction.
    TransactionStatus(TransactionStatus),
    /// The envelope is kept.
    Put(Box<StorageReceipt>),
    /// A part of the mailbox.
    Read(Box<Page>),
    /// How far the anchoring is.
    Anchor(AnchorStatus),
    /// The proof of acceptance.
    Acceptance(Box<AcceptanceProof>),
    /// The proof of finality.
    Finality(Box<FinalityProof>),
    /// What nodes answer each other.
    Node(NodeResponse),
    /// The contact stock is handed out from now on.
    PublishContact(Published),
    /// What the owner of the inbox has left with this node; none if nothing, or if it has expired.
    FetchContact(Option<Box<FetchedContact>>),
    /// Records of the identity, for [`verify_history`](tokenim_ledger::LightClient::verify_history).
    History(Box<HistoryPage>),
    /// The update is on its way.
    SubmitGroup(Submitted),
    /// The entry of the group log, or its absence, with its proof.
    GroupNode(Box<LookupProof>),
}

/// The answer to a [`NodeRequest`](crate::NodeRequest): the variant of the same name.
///
/// The position of a variant is its number on the wire: it never changes, and new ones are appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeResponse {
    /// What became of the gossip.
    Gossip(Gossiped),
    /// The mailboxes that changed.
    Changes(Changes),
    /// Entries of a mailbox log.
    LogEntries(LogPage),
    /// A copy of an envelope.
    Fetch(Copied),
}

/// What a node does at the moment.
///
/// The position of a variant is its number on the wire: it never changes, and new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NodeState {
    /// It has not seen a block finalised since its start.
    Starting,
    /// It serves, and the network finalises blocks.
    Ok,
    /// It serves, but no block was finalised for a while.
    NotProgressing,
    /// It serves what is under way and accepts nothing new.
    Stopping,
}

impl NodeState {
    /// Its name in kebab case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ok => "ok",
            Self::NotProgressing => "not-progressing",
            Self::Stopping => "stopping",
        }
    }
}

/// How a node is, by its own account: nothing of this is proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Name and version of its software.
    pub software: BoundedString<SOFTWARE_BYTES_MAX>,
    /// Its network.
    pub network: NetworkId,
    /// Its key.
    pub node: NodeKey,
    /// What it does at the moment.
    pub state: NodeState,
    /// Whether it is a validator.
    pub validator: bool,
    /// The height of the newest block that it has committed.
    pub height: Height,
    /// The time of that block.
    pub time: UnixMillis,
    /// The number of its node set.
    pub set_epoch: SetEpoch,
    /// Nodes in that set.
    pub nodes: u16,
    /// Other nodes it is connected with.
    pub peers: u16,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Envelopes it keeps.
    pub envelopes: u64,
    /// Bytes of those envelopes.
    pub bytes: u64,
}

/// A transaction that a gateway has sponsored and passed on; it is not final yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Under which id to ask for it.
    pub id: TransactionId,
    /// The last height at which it can become final.
    pub valid_until: Height,
}

/// What became of a transaction.
///
/// The position of a variant is its number on the wire: it never changes, and new ones are appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TransactionStatus {
    /// The node has never seen it, or it has expired.
    Unknown,
    /// It waits to be put into a block.
    Pending,
    /// It is in a final block.
    Final {
        /// The height of that block.
        height: Height,
        /// Whether it was applied, or why not.
        outcome: Outcome,
    },
    /// By the newest state that the node knows it can't be applied, and so it is in no block.
    Refused {
        /// Why not.
        rejection: Rejection,
    },
}

/// How far the anchoring of a quorum receipt is.
///
/// The position of a variant is its number on the wire: it never changes, and new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AnchorStatus {
    /// The node anchors it with its next transaction, and again until it is final. Not durable: a caller that gets no
    /// proof hands the receipt to another node.
    Queued,
    /// It is final.
    Final {
        /// At this height.
        height: Height,
    },
}

/// A part of a mailbox as one node keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The node's signed statement about its whole log, over the nonce of the request.
    pub head: SignedHead,
    /// In order of arrival at this node.
    pub items: BoundedVec<Item, READ_ITEMS_MAX>,
    /// Where the next read begins.
    pub next: u64,
    /// Whether the node holds more at `next` already.
    pub more: bool,
}

/// One envelope of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its arrival number at this node.
    pub sequence: u64,
    /// The log it is in.
    pub log: LogId,
    /// Its entry in that log.
    pub entry: LogEntry,
    /// The envelope; none once it has expired.
    pub envelope: Option<BoundedBytes<ENVELOPE_BYTES_MAX>>,
}

/// A contact stock that a node hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The number of its contact keys.
    pub number: u64,
}

/// A part of a contact stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchedContact {
    /// The contact keys; whoever asked checks them against the ledger.
    pub keys: SignedContactKeys,
    /// One of the key packages of the suite; none if none is wanted, or this node has none.
    pub package: Option<KeyPackage>,
    /// Whether others have got the same one from this node: it has no other of that suite.
    pub reused: bool,
}

/// What became of a gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gossiped {
    /// How many of the transactions were new and taken.
    pub taken: u16,
}

/// Where a list of changed mailboxes goes on; opaque to the node that asks.
///
/// The position of a variant is its number on the wire: it never changes, and new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeCursor {
    /// At the start: all mailboxes that both nodes keep.
    Start,
    /// In the middle of all of them.
    Listing {
        /// A number that the answering node draws at each of its starts.
        boot: u64,
        /// The number of the newest change when the list was begun.
        change: u64,
        /// The last mailbox listed.
        after: MailboxTag,
    },
    /// After a change.
    Since {
        /// A number that the answering node draws at each of its starts.
        boot: u64,
        /// The number of the change.
        change: u64,
    },
}

/// Mailboxes that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Which, in any order, possibly some twice.
    pub tags: BoundedVec<MailboxTag, CHANGED_TAGS_MAX>,
    /// What to ask next.
    pub next: ChangeCursor,
    /// Whether there is more at `next` already.
    pub more: bool,
}

/// Entries of a mailbox log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPage {
    /// In order of arrival; expired ones are left out.
    pub entries: BoundedVec<LogEntry, LOG_ENTRIES_MAX>,
    /// Where to go on.
    pub next: u64,
    /// Whether there is more at `next` already.
    pub more: bool,
}

/// A copy of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Its bytes; whoever asked checks that they hash to the id.
    pub envelope: BoundedBytes<ENVELOPE_BYTES_MAX>,
}

impl Object for Response {
    const NAME: &'static str = "response";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = MESSAGE_BYTES_MAX;
}

impl From<RpcError> for Response {
    fn from(error: RpcError) -> Self {
        Self::Error(error)
    }
}

/// Declares the methods that take the expected answer out of a response.
macro_rules! answers {
    ($($(#[$doc:meta])* $method:ident: $kind:ident($pattern:pat => $value:expr) -> $answer:ty;)*) => {
        impl Response {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// [`AnswerError::Refused`], and [`AnswerError::Unexpected`] for the answer to something else.
                pub fn $method(self) -> Result<$answer, AnswerError> {
                    match self {
                        $pattern => Ok($value),
                        other => Err(other.unexpected(Kind::$kind)),
                    }
                }
            )*
        }
    };
}

answers! {
    /// The answer to [`Request::Status`](crate::Request::Status).
    into_status: Status(Self::Status(answer) => *answer) -> NodeStatus;
    /// The answer to [`Request::NodeSet`](crate::Request::NodeSet).
    into_node_set: NodeSet(Self::NodeSet(answer) => *answer) -> LookupProof;
    /// The answer to [`Request::Lookup`](crate::Request::Lookup).
    into_lookup: Lookup(Self::Lookup(answer) => *answer) -> LookupProof;
    /// The answer to [`Request::SubmitIdentity`](crate::Request::SubmitIdentity).
    into_submitted: SubmitIdentity(Self::SubmitIdentity(answer) => answer) -> Submitted;
    /// The answer to [`Request::TransactionStatus`](crate::Request::TransactionStatus).
    into_transaction_status: TransactionStatus(Self::TransactionStatus(answer) => answer) -> TransactionStatus;
    /// The answer to [`Request::Put`](crate::Request::Put).
    into_put: Put(Self::Put(answer) => *answer) -> StorageReceipt;
    /// The answer to [`Request::Read`](crate::Request::Read).
    into_read: Read(Self::Read(answer) => *answer) -> Page;
    /// The answer to [`Request::Anchor`](crate::Request::Anchor).
    into_anchor: Anchor(Self::Anchor(answer) => answer) -> AnchorStatus;
    /// The answer to [`Request::Acceptance`](crate::Request::Acceptance).
    into_acceptance: Acceptance(Self::Acceptance(answer) => *answer) -> AcceptanceProof;
    /// The answer to [`Request::Finality`](crate::Request::Finality).
    into_finality: Finality(Self::Finality(answer) => *answer) -> FinalityProof;
    /// The answer to [`Request::PublishContact`](crate::Request::PublishContact).
    into_published: PublishContact(Self::PublishContact(answer) => answer) -> Published;
    /// The answer to [`Request::FetchContact`](crate::Request::FetchContact).
    into_fetched_contact: FetchContact(Self::FetchContact(answer) => answer.map(|fetched| *fetched)) -> Option<FetchedContact>;
    /// The answer to [`Request::History`](crate::Request::History).
    into_history: History(Self::History(answer) => *answer) -> HistoryPage;
    /// The answer to [`Request::SubmitGroup`](crate::Request::SubmitGroup).
    into_submitted_group: SubmitGroup(Self::SubmitGroup(answer) => answer) -> Submitted;
    /// The answer to [`Request::GroupNode`](crate::Request::GroupNode).
    into_group_node: GroupNode(Self::GroupNode(answer) => *answer) -> LookupProof;
    /// The answer to [`NodeRequest::Gossip`](crate::NodeRequest::Gossip).
    into_gossiped: Gossip(Self::Node(NodeResponse::Gossip(answer)) => answer) -> Gossiped;
    /// The answer to [`NodeRequest::Changes`](crate::NodeRequest::Changes).
    into_changes: Changes(Self::Node(NodeResponse::Changes(answer)) => answer) -> Changes;
    /// The answer to [`NodeRequest::LogEntries`](crate::NodeRequest::LogEntries).
    into_log_entries: LogEntries(Self::Node(NodeResponse::LogEntries(answer)) => answer) -> LogPage;
    /// The answer to [`NodeRequest::Fetch`](crate::NodeRequest::Fetch).
    into_copied: Fetch(Self::Node(NodeResponse::Fetch(answer)) => answer) -> Copied;
}

impl Response {
    /// What it answers: the same as [`Request::kind`](crate::Request::kind) of what was asked, or [`Kind::Error`].
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Error(_) => Kind::Error,
            Self::Status(_) => Kind::Status,
            Self::NodeSet(_) => Kind::NodeSet,
            Self::Lookup(_) => Kind::Lookup,
            Self::SubmitIdentity(_) => Kind::SubmitIdentity,
            Self::TransactionStatus(_) => Kind::TransactionStatus,
            Self::Put(_) => Kind::Put,
            Self::Read(_) => Kind::Read,
            Self::Anchor(_) => Kind::Anchor,
            Self::Acceptance(_) => Kind::Acceptance,
            Self::Finality(_) => Kind::Finality,
            Self::Node(response) => response.kind(),
            Self::PublishContact(_) => Kind::PublishContact,
            Self::FetchContact(_) => Kind::FetchContact,
            Self::History(_) => Kind::History,
            Self::SubmitGroup(_) => Kind::SubmitGroup,
            Self::GroupNode(_) => Kind::GroupNode,
        }
    }

    /// The error for a response that is not of the kind `expected`.
    fn unexpected(self, expected: Kind) -> AnswerError {
        match self {
            Self::Error(error) => AnswerError::Refused(error),
            other => AnswerError::Unexpected {
                expected,
                got: other.kind(),
            },
        }
    }
}

impl NodeResponse {
    /// What it answers.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Gossip(_) => Kind::Gossip,
            Self::Changes(_) => Kind::Changes,
            Self::LogEntries(_) => Kind::LogEntries,
            Self::Fetch(_) => Kind::Fetch,
        }
    }
}
