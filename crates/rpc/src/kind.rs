//! What pairs a request with its response.

use core::fmt;

/// What is asked and answered: equal for a request and the response to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A refusal; no request is of this kind.
    Error,
    /// How a node is.
    Status,
    /// The node set.
    NodeSet,
    /// The state of an identity.
    Lookup,
    /// A record for the ledger.
    SubmitIdentity,
    /// What became of a transaction.
    TransactionStatus,
    /// An envelope to keep.
    Put,
    /// A mailbox to read.
    Read,
    /// A quorum receipt to commit.
    Anchor,
    /// A proof of acceptance.
    Acceptance,
    /// A proof of finality.
    Finality,
    /// Transactions between nodes.
    Gossip,
    /// Changed mailboxes between nodes.
    Changes,
    /// A mailbox log between nodes.
    LogEntries,
    /// An envelope between nodes.
    Fetch,
    /// A contact stock to hand out.
    PublishContact,
    /// A part of a contact stock.
    FetchContact,
    /// The records of an identity.
    History,
    /// An update of a group log for the ledger.
    SubmitGroup,
    /// An entry of a group log.
    GroupNode,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 20] = [
        Self::Error,
        Self::Status,
        Self::NodeSet,
        Self::Lookup,
        Self::SubmitIdentity,
        Self::TransactionStatus,
        Self::Put,
        Self::Read,
        Self::Anchor,
        Self::Acceptance,
        Self::Finality,
        Self::Gossip,
        Self::Changes,
        Self::LogEntries,
        Self::Fetch,
        Self::PublishContact,
        Self::FetchContact,
        Self::History,
        Self::SubmitGroup,
        Self::GroupNode,
    ];

    /// Its name in snake case, as metrics and logs show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Status => "status",
            Self::NodeSet => "node_set",
            Self::Lookup => "lookup",
            Self::SubmitIdentity => "submit_identity",
            Self::TransactionStatus => "transaction_status",
            Self::Put => "put",
            Self::Read => "read",
            Self::Anchor => "anchor",
            Self::Acceptance => "acceptance",
            Self::Finality => "finality",
            Self::Gossip => "gossip",
            Self::Changes => "changes",
            Self::LogEntries => "log_entries",
            Self::Fetch => "fetch",
            Self::PublishContact => "publish_contact",
            Self::FetchContact => "fetch_contact",
            Self::History => "history",
            Self::SubmitGroup => "submit_group",
            Self::GroupNode => "group_node",
        }
    }

    /// Whether only registered nodes may ask it.
    #[must_use]
    pub const fn nodes_only(self) -> bool {
        matches!(self, Self::Gossip | Self::Changes | Self::LogEntries | Self::Fetch)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
