//! What became of a transaction.

use serde::{Deserialize, Serialize};
use tokenim_identity::RecordError;
use tokenim_mailbox::group::GroupError;
use tokenim_wire::UnixMillis;

/// Why a transaction changed nothing. Part of what all nodes agree on: the same transaction on the same state gets the
/// same rejection everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// 0: its last valid height has passed.
    #[error("the transaction has expired: make it anew")]
    Expired,
    /// 1: it would be valid for longer than the network allows.
    #[error("the transaction is valid for too long: name a lower last height")]
    ValidTooLong,
    /// 2: it was applied before.
    #[error("the transaction was applied before")]
    Replayed,
    /// 3: its sponsor is not a registered node.
    #[error("the sponsor of the transaction is not a registered node")]
    UnknownSponsor,
    /// 4: the identity does not exist, and its genesis was not given.
    #[error("the identity does not exist and its genesis was not given")]
    GenesisMissing,
    /// 5: the identity exists already, yet its genesis was given.
    #[error("the identity exists already")]
    GenesisRepeated,
    /// 6: the genesis is that of another identity.
    #[error("the genesis is that of another identity")]
    GenesisForeign,
    /// 7: the record is of another network.
    #[error("the record is for another network")]
    RecordNetwork,
    /// 8: the record is for another identity than its chain's.
    #[error("the record is for another identity")]
    RecordIdentity,
    /// 9: the record is not the next one.
    #[error("the record has number {actual}, next is {expected}: look the identity up again")]
    RecordSequence {
        /// The number of the next record.
        expected: u64,
        /// The number of this one.
        actual: u64,
    },
    /// 10: the record follows another one than the last.
    #[error("the record follows another record than the last one: look the identity up again")]
    RecordPrevious,
    /// 11: the signer may not do this.
    #[error("the signer of the record may not do this")]
    RecordSigner,
    /// 12: the device was there before.
    #[error("the device was added before")]
    DeviceExists,
    /// 13: there is no such device.
    #[error("the identity has no such device")]
    DeviceUnknown,
    /// 14: the device is revoked.
    #[error("the device is revoked")]
    DeviceRevoked,
    /// 15: the identity has as many records as it may have.
    #[error("the identity has as many records as it may have")]
    RecordsFull,
    /// 16: the identity has had as many devices as it may have.
    #[error("the identity has had as many devices as it may have")]
    DevicesFull,
    /// 17: the new device did not sign that it agrees.
    #[error("the new device has not agreed to be added")]
    DeviceConsent,
    /// 18: the signature of the record does not hold.
    #[error("the signature of the record does not hold")]
    RecordSignature,
    /// 19: the record cannot be applied for another reason.
    #[error("the record cannot be applied")]
    Record,
    /// 20: an anchor without leaves, or with leaves that don't strictly ascend.
    #[error("the leaves of the anchor are none or not strictly ascending")]
    Anchor,
    /// 21: the node is registered, or waits to be.
    #[error("the node is registered already")]
    NodeExists,
    /// 22: the node set and those who wait to be in it are as many as there may be.
    #[error("no more nodes can be registered")]
    NodesFull,
    /// 23: too many nodes wait for their placement; try again later.
    #[error("too many nodes wait for their placement: try again later")]
    NodeQueueFull,
    /// 24: the node did not sign that it agrees, or gives no address.
    #[error("the node has not agreed to be registered")]
    Consent,
    /// 25: an admission is not that of the validator named, or they are not in order.
    #[error("an admission is not that of the validator it names, or they are not in order")]
    Admission,
    /// 26: fewer validators than a quorum admit the node.
    #[error("fewer validators than a quorum admit the node")]
    NotAdmitted,
    /// 27: somebody else than the node itself registers its incarnation.
    #[error("a node's incarnation can be registered by the node alone")]
    IncarnationForeign,
    /// 28: the incarnation is not higher than the last.
    #[error("the incarnation is not higher than the last one")]
    IncarnationNotHigher,
    /// 29: the transaction is of a kind that this version does not apply.
    #[error("this version does not apply transactions of this kind")]
    Unsupported,
    /// 30: the identity has ended.
    #[error("the identity is deactivated: nothing but a recovery can follow")]
    IdentityDeactivated,
    /// 31: the key that signed as the next root is another one.
    #[error("the key is not the one chosen as the next root: use the words chosen for it")]
    NextRootForeign,
    /// 32: there are no recovery keys.
    #[error("the identity has no recovery keys: set some first, signed by the next root")]
    RecoveryUnset,
    /// 33: the recovery keys are other ones, or not in their order.
    #[error("the recovery keys are not those chosen last: gather the shares that were made last")]
    RecoveryForeign,
    /// 34: more or fewer recovery keys signed than are needed.
    #[error("another number of recovery keys has signed than is needed: sign with exactly as many")]
    RecoveryThreshold,
    /// 35: the devices to keep are not in order.
    #[error("the devices to keep are not strictly ascending: sort them, each once")]
    DevicesOrder,
    /// 36: the root can't undo what the next root signed.
    #[error("the next root signed what is pending: replace or cancel it with the next root, or recover")]
    Outranked,
    /// 37: nothing is pending.
    #[error("nothing is pending: look the identity up again")]
    NothingPending,
    /// 38: what is pending has to wait.
    #[error("what is pending can't be carried out before {due} ms: send the record again then")]
    NotDue {
        /// The block time from which on it can.
        due: UnixMillis,
    },
    /// 39: the account is linked.
    #[error("the account is linked already")]
    LinkExists,
    /// 40: there is no such link.
    #[error("the identity has no such link: look the identity up again")]
    LinkUnknown,
    /// 41: the identity has as many links as it may have.
    #[error("the identity has as many links as it may have: take one back first")]
    LinksFull,
    /// 42: the session is started already.
    #[error("the session has been started already")]
    GroupExists,
    /// 43: the entry that it is to follow is not there.
    #[error("the group log has no such entry to follow")]
    GroupParentUnknown,
    /// 44: the entry has this child already.
    #[error("the entry is in the group log already")]
    GroupChildKnown,
    /// 45: the entry has as many children as it may have.
    #[error("the entry before it has as many children as it may have: follow the first valid one")]
    GroupChildrenFull,
    /// 46: the key that the parent announced did not sign it.
    #[error("the entry is not signed with the key that the one before it announced")]
    GroupSignature,
    /// 47: the receipt is for another envelope or mailbox.
    #[error("the receipt is not for the commit that the entry names")]
    GroupReceiptForeign,
    /// 48: the commit is kept for too short a time.
    #[error("the commit is not kept for long enough: store it until a later expiry")]
    GroupKeptTooShortly,
    /// 49: the receipt is of a node set that is neither current nor previous.
    #[error("the receipt of the commit is of a node set that is neither current nor previous: store it again")]
    GroupReceiptSetEpoch,
    /// 50: the receipt does not hold.
    #[error("the receipt of the commit does not hold")]
    GroupReceipt,
}

impl Rejection {
    /// A number for machines; it never changes its meaning.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::Expired => 0,
            Self::ValidTooLong => 1,
            Self::Replayed => 2,
            Self::UnknownSponsor => 3,
            Self::GenesisMissing => 4,
            Self::GenesisRepeated => 5,
            Self::GenesisForeign => 6,
            Self::RecordNetwork => 7,
            Self::RecordIdentity => 8,
            Self::RecordSequence { .. } => 9,
            Self::RecordPrevious => 10,
            Self::RecordSigner => 11,
            Self::DeviceExists => 12,
            Self::DeviceUnknown => 13,
            Self::DeviceRevoked => 14,
            Self::RecordsFull => 15,
            Self::DevicesFull => 16,
            Self::DeviceConsent => 17,
            Self::RecordSignature => 18,
            Self::Record => 19,
            Self::Anchor => 20,
            Self::NodeExists => 21,
            Self::NodesFull => 22,
            Self::NodeQueueFull => 23,
            Self::Consent => 24,
            Self::Admission => 25,
            Self::NotAdmitted => 26,
            Self::IncarnationForeign => 27,
            Self::IncarnationNotHigher => 28,
            Self::Unsupported => 29,
            Self::IdentityDeactivated => 30,
            Self::NextRootForeign => 31,
            Self::RecoveryUnset => 32,
            Self::RecoveryForeign => 33,
            Self::RecoveryThreshold => 34,
            Self::DevicesOrder => 35,
            Self::Outranked => 36,
            Self::NothingPending => 37,
            Self::NotDue { .. } => 38,
            Self::LinkExists => 39,
            Self::LinkUnknown => 40,
            Self::LinksFull => 41,
            Self::GroupExists => 42,
            Self::GroupParentUnknown => 43,
            Self::GroupChildKnown => 44,
            Self::GroupChildrenFull => 45,
            Self::GroupSignature => 46,
            Self::GroupReceiptForeign => 47,
            Self::GroupKeptTooShortly => 48,
            Self::GroupReceiptSetEpoch => 49,
            Self::GroupReceipt => 50,
        }
    }

    /// Whether the very same transaction may be applied on a later state, so that it is worth keeping until it
    /// expires: it came before another one that it follows, or before its time, or there was no room.
    #[must_use]
    pub const fn may_pass_later(&self) -> bool {
        match self {
            Self::ValidTooLong
            | Self::NodeQueueFull
            | Self::GenesisMissing
            | Self::UnknownSponsor
            | Self::GroupParentUnknown
            | Self::NotDue { .. } => true,
            Self::RecordSequence { expected, actual } => *actual > *expected,
            _ => false,
        }
    }
}

impl From<RecordError> for Rejection {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::WrongNetwork => Self::RecordNetwork,
            RecordError::WrongIdentity => Self::RecordIdentity,
            RecordError::WrongSequence { expected, actual } => Self::RecordSequence { expected, actual },
            RecordError::WrongPrevious => Self::RecordPrevious,
            RecordError::NotAllowed => Self::RecordSigner,
            RecordError::DeviceExists => Self::DeviceExists,
            RecordError::UnknownDevice => Self::DeviceUnknown,
            RecordError::DeviceRevoked => Self::DeviceRevoked,
            RecordError::RecordsFull => Self::RecordsFull,
            RecordError::DevicesFull => Self::DevicesFull,
            RecordError::Consent => Self::DeviceConsent,
            RecordError::Signature => Self::RecordSignature,
            RecordError::Deactivated => Self::IdentityDeactivated,
            RecordError::WrongNextRoot => Self::NextRootForeign,
            RecordError::NoRecovery => Self::RecoveryUnset,
            RecordError::RecoveryProof => Self::RecoveryForeign,
            RecordError::RecoveryThreshold => Self::RecoveryThreshold,
            RecordError::NotAscending => Self::DevicesOrder,
            RecordError::Outranked => Self::Outranked,
            RecordError::NothingPending => Self::NothingPending,
            RecordError::NotDue { due } => Self::NotDue { due },
            RecordError::LinkExists => Self::LinkExists,
            RecordError::UnknownLink => Self::LinkUnknown,
            RecordError::LinksFull => Self::LinksFull,
            // Heights never go back here, and what was decoded has an encoding.
            _ => Self::Record,
        }
    }
}

impl From<GroupError> for Rejection {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::ReceiptForeign => Self::GroupReceiptForeign,
            GroupError::Duplicate => Self::GroupChildKnown,
            GroupError::Full => Self::GroupChildrenFull,
            GroupError::Signature => Self::GroupSignature,
            GroupError::KeptTooShortly => Self::GroupKeptTooShortly,
            GroupError::UnknownSetEpoch => Self::GroupReceiptSetEpoch,
            // What was decoded has an encoding.
            _ => Self::GroupReceipt,
        }
    }
}

/// What became of a transaction in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Number 0: it changed the state as it says.
    Applied,
    /// Number 1: it changed nothing, for this reason.
    Rejected(Rejection),
}
