//! The group log: in which order the epochs of a session follow each other, as the ledger keeps it.
//!
//! The ledger knows nothing of members. What it keeps looks random to it: a handle, one key for each epoch, a keyed hash
//! of each commit and where the commit is stored.
//!
//! ```text
//! root entry = handle          entry of epoch 1              entry of epoch 2
//! ┌──────────────────┐         ┌──────────────────┐          ┌───────────────
//! │ key of epoch 0   │ signs   │ key of epoch 1   │ signs    │ key of epoch 2
//! │ children: ─ 0 ───┼───────▶ │ children: ─ 0 ───┼────────▶ │ …
//! │           ─ 1 …  │         │           ─ 1 …  │          └───────────────
//! └──────────────────┘         └──────────────────┘
//! ```
//!
//! Members follow the first child that passes checks which they all compute alike; which one that is, the ledger can't
//! tell, so it keeps a few.

use crate::{
    descriptor::MailboxTag,
    placement::NodeSet,
    receipt::{Accepted, QuorumReceipt, ReceiptError},
};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};
use tokenim_identity::{Epoch, EpochKey, EpochSigningKey, Signature, Statement};
use tokenim_wire::{
    BoundedBytes, BoundedVec, EncodeError, EnvelopeId, Hasher, Height, Label, NetworkId, Object, UnixMillis,
    UnixSeconds, bytes_newtype, hash_object,
    limits::{
        AUTHOR_BOX_BYTES_MAX, GROUP_CHILDREN_MAX, GROUP_COMMIT_KEPT_SECONDS_MIN, GROUP_NODE_BYTES_MAX,
        GROUP_UPDATE_BYTES_MAX,
    },
};

bytes_newtype! {
    /// The name of a session on the ledger: the hash of its [`GroupStart`]. It is random to whoever is not a member.
    pub struct GroupHandle([u8; 32]);
}

bytes_newtype! {
    /// The name of an epoch's place in the log of a session: the handle's own bytes for the start, the hash of the
    /// [`GroupChild`] for each epoch after it.
    pub struct GroupEntryId([u8; 32]);
}

bytes_newtype! {
    /// HMAC-SHA-256 of a commit under a key of the epoch that it ends: it says nothing to whoever lacks the key.
    pub struct CommitTag([u8; 32]);
}

/// Says to the members of an epoch who made a commit; bytes of no meaning to anyone else. Of one length for all
/// authors, if it is to stay so.
pub type AuthorBox = BoundedBytes<AUTHOR_BOX_BYTES_MAX>;

impl GroupHandle {
    /// The entry with which the session starts: it has the bytes of the handle.
    #[must_use]
    pub const fn root(&self) -> GroupEntryId {
        GroupEntryId::from_bytes(self.to_bytes())
    }
}

/// Starts the log of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupStart {
    /// Random.
    pub nonce: [u8; 32],
    /// Signs the children of the root entry.
    pub key: EpochKey,
}

impl GroupStart {
    /// The label of handles.
    pub const LABEL: Label = Label::new("tokenim/group-handle/v1");

    /// The session's handle: `H("tokenim/group-handle/v1", nonce, 32 ‖ key, 32)`. So nobody can start a session under
    /// this handle with another key.
    #[must_use]
    pub fn handle(&self) -> GroupHandle {
        let hasher = Hasher::new(Self::LABEL).update(&self.nonce).update(self.key.as_bytes());
        GroupHandle::from_bytes(hasher.finish().to_bytes())
    }
}

/// The entry of an epoch that follows another one: which commit ends that one, and where it is stored.
///
/// ```text
/// handle 32 ‖ parent 32 ‖ commitment 32 ‖ next 32 ‖ author: length varint, bytes ‖ tag 32 ‖ envelope 32
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChild {
    /// The session.
    pub handle: GroupHandle,
    /// The entry of the epoch that the commit ends.
    pub parent: GroupEntryId,
    /// The commit, to those who hold the keys of that epoch.
    pub commitment: CommitTag,
    /// Signs the children of this entry.
    pub next: EpochKey,
    /// Who made the commit, to those who hold the keys of that epoch.
    pub author: AuthorBox,
    /// The mailbox that holds the commit and nothing else.
    pub tag: MailboxTag,
    /// The envelope in it.
    pub envelope: EnvelopeId,
}

impl Statement for GroupChild {
    type Signer = Epoch;
    const LABEL: Label = Label::new("tokenim/group-child/v1");
}

impl GroupChild {
    /// The label of entry ids.
    pub const ID_LABEL: Label = Label::new("tokenim/group-entry/v1");

    /// Its name: `H("tokenim/group-entry/v1", encoding)`. Neither signature nor receipt is in it: the same child with
    /// receipts of other nodes is the same child.
    ///
    /// # Errors
    /// [`EncodeError`], which does not happen for a child that was decoded.
    pub fn id(&self) -> Result<GroupEntryId, EncodeError> {
        let digest = hash_object(Self::ID_LABEL, self)?;
        Ok(GroupEntryId::from_bytes(digest.to_bytes()))
    }
}

/// Why an update of a group log is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The receipt is for another envelope, or another mailbox.
    #[error("the receipt is not for the envelope that the child names")]
    ReceiptForeign,
    /// The parent has this child already.
    #[error("the entry has this child already")]
    Duplicate,
    /// The parent has as many children as it may have.
    #[error("the entry has {GROUP_CHILDREN_MAX} children already")]
    Full,
    /// The signature is not that of the key which the parent announced.
    #[error("the child is not signed with the key that its parent announced")]
    Signature,
    /// The commit is not kept for long enough.
    #[error("the commit is kept for less than {GROUP_COMMIT_KEPT_SECONDS_MIN} s more")]
    KeptTooShortly,
    /// The receipt is of none of the node sets given.
    #[error("the receipt is of a node set that is neither current nor previous")]
    UnknownSetEpoch,
    /// The receipt is not valid.
    #[error("the receipt of the commit is not valid: {0}")]
    Receipt(ReceiptError),
    /// It has no encoding.
    #[error("the child cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// A [`GroupChild`], signed with the key that its parent announced, and the proof that its commit is durably stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedGroupChild {
    /// What is signed.
    pub child: GroupChild,
    /// The signature of the parent's key.
    pub signature: Signature,
    /// For the envelope and the mailbox that the child names.
    pub receipt: QuorumReceipt,
}

impl SignedGroupChild {
    /// Signs a child.
    ///
    /// # Errors
    /// [`GroupError::ReceiptForeign`], [`GroupError::Encode`].
    pub fn sign(
        network: &NetworkId,
        key: &EpochSigningKey,
        child: GroupChild,
        receipt: QuorumReceipt,
    ) -> Result<Self, GroupError> {
        let signature = key.sign(network, &child)?;
        let signed = Self {
            child,
            signature,
            receipt,
        };
        signed.check_receipt_fits()?;
        Ok(signed)
    }

    fn check_receipt_fits(&self) -> Result<(), GroupError> {
        let Self { child, receipt, .. } = self;
        if (receipt.tag, receipt.envelope) == (child.tag, child.envelope) {
            Ok(())
        } else {
            Err(GroupError::ReceiptForeign)
        }
    }

    /// Checks the signature by ZIP-215, for all must agree on it.
    ///
    /// # Errors
    /// [`GroupError::Signature`].
    pub fn verify_signature(&self, network: &NetworkId, key: &EpochKey) -> Result<(), GroupError> {
        key.verify_zip215(network, &self.child, &self.signature)
            .map_err(|_| GroupError::Signature)
    }

    /// Checks that the commit is durably stored, and for how long: the receipt is for it, keeps it for
    /// [`GROUP_COMMIT_KEPT_SECONDS_MIN`] more, so that no member is told of a commit that it can't fetch, and is valid in
    /// that of these node sets whose set epoch it names.
    ///
    /// # Errors
    /// [`GroupError::ReceiptForeign`], [`GroupError::KeptTooShortly`], [`GroupError::UnknownSetEpoch`],
    /// [`GroupError::Receipt`], in this order.
    pub fn verify_receipt(
        &self,
        network: &NetworkId,
        sets: &[&NodeSet],
        now: UnixSeconds,
    ) -> Result<Accepted, GroupError> {
        self.check_receipt_fits()?;
        if self.receipt.expiry < now.saturating_add(GROUP_COMMIT_KEPT_SECONDS_MIN) {
            return Err(GroupError::KeptTooShortly);
        }
        let set = sets
            .iter()
            .find(|set| set.epoch() == self.receipt.set_epoch)
            .ok_or(GroupError::UnknownSetEpoch)?;
        self.receipt.verify_in(network, set).map_err(GroupError::Receipt)
    }
}

/// What may be added to the group log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum GroupUpdate {
    /// Number 0: starts a session.
    Start(GroupStart),
    /// Number 1: adds a child to an entry.
    Child(Box<SignedGroupChild>),
}

impl Object for GroupUpdate {
    const NAME: &'static str = "group update";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = GROUP_UPDATE_BYTES_MAX;
}

impl GroupUpdate {
    /// The session.
    #[must_use]
    pub fn handle(&self) -> GroupHandle {
        match self {
            Self::Start(start) => start.handle(),
            Self::Child(signed) => signed.child.handle,
        }
    }

    /// The entry that it makes.
    ///
    /// # Errors
    /// [`EncodeError`], which does not happen for an update that was decoded.
    pub fn entry(&self) -> Result<GroupEntryId, EncodeError> {
        match self {
            Self::Start(start) => Ok(start.handle().root()),
            Self::Child(signed) => signed.child.id(),
        }
    }
}

/// Where on the ledger something stands. Ordered as the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LedgerPlace {
    /// The height of its block.
    pub height: Height,
    /// The time of that block.
    pub time: UnixMillis,
    /// The number of transactions that were applied before it in that block.
    pub index: u32,
}

/// A child as its parent's entry keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedChild {
    /// The child.
    pub child: GroupChild,
    /// Where it was added.
    pub place: LedgerPlace,
}

/// One entry of a group log, as the ledger keeps it.
///
/// ```text
/// 1 ‖ key 32 ‖ place ‖ children, their number varint, at most 8 ‖ for each: child ‖ place
/// place = height varint ‖ time, ms, varint ‖ index varint
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupNode {
    /// Signs its children.
    pub key: EpochKey,
    /// Where it was added.
    pub place: LedgerPlace,
    /// What follows it, in the order of the ledger; the first one that its members find valid is the next epoch.
    pub children: BoundedVec<RecordedChild, GROUP_CHILDREN_MAX>,
}

impl Object for GroupNode {
    const NAME: &'static str = "group node";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = GROUP_NODE_BYTES_MAX;
}

/// What adding a child to an entry makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The name of the child's entry.
    pub id: GroupEntryId,
    /// The parent, with the child at the end of its children.
    pub parent: GroupNode,
    /// The child's own entry.
    pub entry: GroupNode,
}

impl GroupNode {
    /// The root entry of a session.
    #[must_use]
    pub const fn start(start: &GroupStart, place: LedgerPlace) -> Self {
        Self {
            key: start.key,
            place,
            children: BoundedVec::empty(),
        }
    }

    /// Adds a child to this entry, which is the one that the child names as its parent: it is new, there is room, and
    /// this entry's key signed it. Whether its commit is stored is checked by
    /// [`SignedGroupChild::verify_receipt`].
    ///
    /// # Errors
    /// [`GroupError::ReceiptForeign`], [`GroupError::Duplicate`], [`GroupError::Full`], [`GroupError::Signature`], in
    /// this order; [`GroupError::Encode`].
    pub fn adopt(
        &self,
        network: &NetworkId,
        signed: &SignedGroupChild,
        place: LedgerPlace,
    ) -> Result<Adopted, GroupError> {
        signed.check_receipt_fits()?;
        let child = &signed.child;
        if self.children.iter().any(|known| known.child == *child) {
            return Err(GroupError::Duplicate);
        }
        let mut parent = self.clone();
        let recorded = RecordedChild {
            child: child.clone(),
            place,
        };
        parent.children.push(recorded).map_err(|_| GroupError::Full)?;
        signed.verify_signature(network, &self.key)?;
        Ok(Adopted {
            id: child.id()?,
            parent,
            entry: Self {
                key: child.next,
                place,
                children: BoundedVec::empty(),
            },
        })
    }
}
