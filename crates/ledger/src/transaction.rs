//! Transactions: what may be put into a block, and whose registered node answers for it.

use alloc::{boxed::Box, vec::Vec};
use serde::{Deserialize, Serialize};
use tokenim_consensus::Block;
use tokenim_identity::{Genesis, Node, NodeKey, NodeSigningKey, Signature, SignedRecord, Statement};
use tokenim_mailbox::{Incarnation, group::GroupUpdate};
use tokenim_wire::{
    BoundedVec, Digest, EncodeError, Height, Label, NetworkId, Object, bytes_newtype, encode, encoded_len, hash, limits,
};

use crate::registration::NodeRegistration;

const TRANSACTION_ID: Label = Label::new("tokenim/transaction-id/v1");

bytes_newtype! {
    /// The name of a transaction: the hash of what its sponsor signs, without the signature, so that one content has
    /// one name however often it is signed.
    pub struct TransactionId([u8; 32]);
}

/// A change to an identity: one record, with the genesis if it is the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityUpdate {
    /// The identity's genesis; given with record 1 and never again.
    pub genesis: Option<Genesis>,
    /// The record. It names the sequence number and the hash of the record before, so of two records for one place
    /// only the first one is applied.
    pub record: SignedRecord,
}

/// Commits quorum receipts: the ledger learns neither their mailboxes nor their envelopes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// [`QuorumReceipt::leaf`](tokenim_mailbox::QuorumReceipt::leaf) of each, strictly ascending, at least one.
    pub leaves: BoundedVec<Digest, { limits::ANCHOR_LEAVES_MAX }>,
}

impl Anchor {
    /// An anchor of these leaves, sorted and each once; `None` for no leaf or more than `ANCHOR_LEAVES_MAX`.
    #[must_use]
    pub fn new(mut leaves: Vec<Digest>) -> Option<Self> {
        leaves.sort_unstable();
        leaves.dedup();
        let anchor = Self {
            leaves: BoundedVec::try_from(leaves).ok()?,
        };
        anchor.is_well_formed().then_some(anchor)
    }

    /// Whether there is a leaf and the leaves strictly ascend.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let mut pairs = self.leaves.iter().zip(self.leaves.iter().skip(1));
        !self.leaves.is_empty() && pairs.all(|(before, after)| before < after)
    }
}

/// A node says which life it is in; it raises the number after it lost what it stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncarnationRegistration {
    /// The node; it is also the sponsor.
    pub node: NodeKey,
    /// The new incarnation, higher than the last.
    pub incarnation: Incarnation,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Body {
    /// Number 0: creates or changes an identity.
    Identity(Box<IdentityUpdate>),
    /// Number 1: registers a node.
    RegisterNode(NodeRegistration),
    /// Number 2: commits quorum receipts.
    Anchor(Anchor),
    /// Number 3: registers an incarnation of the sponsor.
    RegisterIncarnation(IncarnationRegistration),
    /// Number 4: starts the group log of a session, or adds an entry to it.
    Group(Box<GroupUpdate>),
}

impl Body {
    /// What it weighs where updates of group logs are limited: nothing if it is none.
    #[must_use]
    pub fn group_weight(&self) -> usize {
        match self {
            Self::Group(update) => update.weight(),
            _ => 0,
        }
    }
}

impl From<GroupUpdate> for Body {
    fn from(update: GroupUpdate) -> Self {
        Self::Group(Box::new(update))
    }
}

impl From<IdentityUpdate> for Body {
    fn from(update: IdentityUpdate) -> Self {
        Self::Identity(Box::new(update))
    }
}

/// What the sponsor signs.
#[derive(Serialize)]
struct Sponsored<'a> {
    body: &'a Body,
    sponsor: &'a NodeKey,
    valid_until: Height,
    nonce: u64,
}

impl Statement for Sponsored<'_> {
    type Signer = Node;
    const LABEL: Label = Label::new("tokenim/transaction/v1");
}

/// One transaction, signed by the registered node to whose quota it is charged.
///
/// ```text
/// body: number varint ‖ fields │ sponsor, 32 bytes │ valid_until varint │ nonce varint │ signature, 64 bytes
/// └──────────────── signed under "tokenim/transaction/v1", hashed to the id ──────────┘
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// What it does.
    pub body: Body,
    /// The registered node that answers for it.
    pub sponsor: NodeKey,
    /// The last height at which it may be included.
    pub valid_until: Height,
    /// Tells transactions of otherwise equal content apart.
    pub nonce: u64,
    /// The sponsor's signature.
    pub signature: Signature,
}

/// Why a transaction is not one, whatever the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// Its encoding is longer than `TRANSACTION_BYTES_MAX`.
    #[error(
        "a transaction of {actual} bytes, at most {} are accepted",
        limits::TRANSACTION_BYTES_MAX
    )]
    TooLong {
        /// The length of its encoding in bytes.
        actual: usize,
    },
    /// The sponsor's signature is not valid for it in this network.
    #[error("the sponsor's signature is not valid for this transaction in this network")]
    Signature,
    /// It has no encoding.
    #[error("the transaction cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
}

impl Transaction {
    /// A transaction signed by its sponsor.
    ///
    /// # Errors
    /// [`EncodeError`] if the body has no encoding.
    pub fn sponsored(
        network: &NetworkId,
        sponsor: &NodeSigningKey,
        body: Body,
        valid_until: Height,
        nonce: u64,
    ) -> Result<Self, EncodeError> {
        let key = sponsor.verifying_key();
        let statement = Sponsored {
            body: &body,
            sponsor: &key,
            valid_until,
            nonce,
        };
        let signature = sponsor.sign(network, &statement)?;
        Ok(Self {
            body,
            sponsor: key,
            valid_until,
            nonce,
            signature,
        })
    }

    fn statement(&self) -> Sponsored<'_> {
        Sponsored {
            body: &self.body,
            sponsor: &self.sponsor,
            valid_until: self.valid_until,
            nonce: self.nonce,
        }
    }

    /// Its name: `H("tokenim/transaction-id/v1", body ‖ sponsor ‖ valid_until ‖ nonce)`.
    ///
    /// # Errors
    /// [`EncodeError`] if the body has no encoding.
    pub fn id(&self) -> Result<TransactionId, EncodeError> {
        let bytes = encode(&self.statement())?;
        Ok(TransactionId::from_bytes(hash(TRANSACTION_ID, &[&bytes]).to_bytes()))
    }

    /// Checks length and sponsor signature (ZIP-215: all nodes must agree). Whether the sponsor is a registered node,
    /// and whether the body can be applied, depends on the state and is for the state machine.
    ///
    /// # Errors
    /// [`TransactionError`]
    pub fn verify(self, network: &NetworkId) -> Result<VerifiedTransaction, TransactionError> {
        let length = encoded_len(&self)?;
        if length >= limits::TRANSACTION_BYTES_MAX {
            return Err(TransactionError::TooLong {
                actual: length.saturating_add(1),
            });
        }
        self.sponsor
            .verify_zip215(network, &self.statement(), &self.signature)
            .map_err(|_| TransactionError::Signature)?;
        Ok(VerifiedTransaction {
            id: self.id()?,
            length,
            transaction: self,
        })
    }
}

impl Object for Transaction {
    const NAME: &'static str = "transaction";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = limits::TRANSACTION_BYTES_MAX;
}

/// A transaction of acceptable length with a valid sponsor signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTransaction {
    id: TransactionId,
    length: usize,
    transaction: Transaction,
}

impl VerifiedTransaction {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &TransactionId {
        &self.id
    }

    /// The length of its encoding inside of a payload, in bytes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        self.length
    }

    /// The transaction.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The transaction by itself.
    #[must_use]
    pub fn into_transaction(self) -> Transaction {
        self.transaction
    }
}

/// Bytes of one payload, version byte included.
pub const PAYLOAD_BYTES_MAX: usize = Block::PAYLOAD_BYTES_MAX;

/// The transactions of a block, in the order in which they are executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload(pub BoundedVec<Transaction, { limits::BLOCK_TRANSACTIONS_MAX }>);

impl Payload {
    /// The transactions.
    #[must_use]
    pub fn transactions(&self) -> &[Transaction] {
        self.0.as_slice()
    }
}

impl Object for Payload {
    const NAME: &'static str = "payload";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = PAYLOAD_BYTES_MAX;
}
