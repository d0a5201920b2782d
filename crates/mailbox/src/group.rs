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
    receipt::{QuorumReceipt, ReceiptError},
};
use alloc::{boxed::Box, vec::Vec};
use core::ops::Deref;
use serde::{Deserialize, Deserializer, Serialize, de};
use tokenim_identity::{Epoch, EpochKey, EpochSigningKey, Signature, Statement};
use tokenim_wire::{
    BoundedBytes, BoundedVec, EncodeError, EnvelopeId, Hasher, Height, Label, NetworkId, Object, UnixMillis,
    UnixSeconds, bytes_newtype, hash_object,
    limits::{
        AUTHOR_BOX_BYTES_MAX, GROUP_CHILDREN_MAX, GROUP_COMMIT_KEPT_SECONDS_MIN, GROUP_COMMIT_PARTS_MAX,
        GROUP_NODE_BYTES_MAX, GROUP_UPDATE_BYTES_MAX,
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

/// The envelopes that hold a commit, in the order of its parts: one at least, [`GROUP_COMMIT_PARTS_MAX`] at most, each
/// once. A commit that fits into one envelope has one part; a larger one is cut.
///
/// ```text
/// number of parts varint ‖ for each: envelope id 32
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommitParts(BoundedVec<EnvelopeId, GROUP_COMMIT_PARTS_MAX>);

/// Why envelopes are not the parts of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitPartsError {
    /// There is none.
    #[error("a commit has at least one part")]
    None,
    /// There are too many.
    #[error("a commit has at most {GROUP_COMMIT_PARTS_MAX} parts, not {actual}")]
    TooMany {
        /// Their number.
        actual: usize,
    },
    /// One comes twice.
    #[error("an envelope is one part of a commit, not two")]
    Twice,
}

impl CommitParts {
    /// These envelopes, in the order of the parts.
    ///
    /// # Errors
    /// [`CommitPartsError`].
    pub fn new(envelopes: Vec<EnvelopeId>) -> Result<Self, CommitPartsError> {
        let actual = envelopes.len();
        let envelopes = BoundedVec::try_from(envelopes).map_err(|_| CommitPartsError::TooMany { actual })?;
        Self::checked(envelopes)
    }

    fn checked(envelopes: BoundedVec<EnvelopeId, GROUP_COMMIT_PARTS_MAX>) -> Result<Self, CommitPartsError> {
        if envelopes.is_empty() {
            return Err(CommitPartsError::None);
        }
        let before = |place: usize| envelopes.iter().take(place);
        if (0..)
            .zip(&envelopes)
            .any(|(place, one)| before(place).any(|other| other == one))
        {
            return Err(CommitPartsError::Twice);
        }
        Ok(Self(envelopes))
    }

    /// Which part an envelope is.
    #[must_use]
    pub fn position(&self, envelope: &EnvelopeId) -> Option<u8> {
        let place = self.iter().position(|part| part == envelope)?;
        u8::try_from(place).ok()
    }
}

impl From<EnvelopeId> for CommitParts {
    /// The one part of a commit that fits into an envelope.
    fn from(envelope: EnvelopeId) -> Self {
        let mut only = BoundedVec::empty();
        let pushed = only.push(envelope);
        debug_assert!(pushed.is_ok(), "there is room for one");
        Self(only)
    }
}

impl Deref for CommitParts {
    type Target = [EnvelopeId];

    fn deref(&self) -> &[EnvelopeId] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for CommitParts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::checked(BoundedVec::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The entry of an epoch that follows another one: which commit ends that one, and where it is stored.
///
/// ```text
/// handle 32 ‖ parent 32 ‖ commitment 32 ‖ next 32 ‖ author: length varint, bytes ‖ tag 32 ‖ envelopes
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
    /// The envelopes in it.
    pub envelopes: CommitParts,
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
    /// The receipts are not those of the envelopes and the mailbox that the child names, one each, in their order.
    #[error("the receipts are not those of the envelopes that the child names")]
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

/// A [`GroupChild`], signed with the key that its parent announced, and the proof that its commit is durably stored: every
/// part of it, so that nobody is told of a commit of which something is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedGroupChild {
    /// What is signed.
    pub child: GroupChild,
    /// The signature of the parent's key.
    pub signature: Signature,
    /// One for each envelope that the child names, in their order.
    pub receipts: BoundedVec<QuorumReceipt, GROUP_COMMIT_PARTS_MAX>,
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
        receipts: Vec<QuorumReceipt>,
    ) -> Result<Self, GroupError> {
        let receipts = BoundedVec::try_from(receipts).map_err(|_| GroupError::ReceiptForeign)?;
        let signature = key.sign(network, &child)?;
        let signed = Self {
            child,
            signature,
            receipts,
        };
        signed.check_receipts_fit()?;
        Ok(signed)
    }

    fn check_receipts_fit(&self) -> Result<(), GroupError> {
        let Self { child, receipts, .. } = self;
        let named = |receipt: &QuorumReceipt, envelope| receipt.tag == child.tag && receipt.envelope == envelope;
        let mut pairs = receipts.iter().zip(child.envelopes.iter());
        if receipts.len() == child.envelopes.len() && pairs.all(|(receipt, envelope)| named(receipt, *envelope)) {
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

    /// Checks that the commit is durably stored, and for how long: the receipts are for its parts, keep them for
    /// [`GROUP_COMMIT_KEPT_SECONDS_MIN`] more, so that no member is told of a commit that it can't fetch, and are valid in
    /// that of these node sets whose set epoch they name.
    ///
    /// # Errors
    /// [`GroupError::ReceiptForeign`]; then, of the first receipt that is refused, [`GroupError::KeptTooShortly`],
    /// [`GroupError::UnknownSetEpoch`], [`GroupError::Receipt`], in this order.
    pub fn verify_receipts(&self, network: &NetworkId, sets: &[&NodeSet], now: UnixSeconds) -> Result<(), GroupError> {
        self.check_receipts_fit()?;
        for receipt in &self.receipts {
            if receipt.expiry < now.saturating_add(GROUP_COMMIT_KEPT_SECONDS_MIN) {
                return Err(GroupError::KeptTooShortly);
            }
            let set = sets
                .iter()
                .find(|set| set.epoch() == receipt.set_epoch)
                .ok_or(GroupError::UnknownSetEpoch)?;
            receipt.verify_in(network, set).map_err(GroupError::Receipt)?;
        }
        Ok(())
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

    /// How many updates it counts as where their number is limited: a child as many as it has receipts, each of which has
    /// to be verified.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Start(_) => 1,
            Self::Child(signed) => signed.receipts.len().max(1),
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
    /// [`SignedGroupChild::verify_receipts`].
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
        signed.check_receipts_fit()?;
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
