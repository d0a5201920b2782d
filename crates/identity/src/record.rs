//! The links of an identity's chain.

use crate::{
    Device, DeviceId, DeviceKeys, IdentityId, IdentityState, RecoveryProof, Root, RootKey, Signature, Statement,
    next_root_digest,
};
use serde::{Deserialize, Serialize};
use tokenim_wire::{
    BoundedVec, Digest, EncodeError, Label, NetworkId, Object, UnixMillis, hash_object,
    limits::{DEVICES_PER_IDENTITY_MAX, RECORD_BYTES_MAX},
};

/// The label under which the next link names this one.
const RECORD_DIGEST: Label = Label::new("tokenim/record-digest/v1");

/// One link of an identity's chain, not yet signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The network in which it holds.
    pub network: NetworkId,
    /// The identity whose chain it is in.
    pub identity: IdentityId,
    /// Its number: 1 for the first after the genesis record, then one more each.
    pub seq: u64,
    /// The digest of the link before; for the first, the bytes of the identity's id, which is the hash of the genesis
    /// record.
    pub prev: Digest,
    /// What it does.
    pub op: Operation,
}

impl Record {
    /// The record after the last one.
    pub(crate) fn next(network: &NetworkId, state: &IdentityState, op: Operation) -> Result<Self, RecordError> {
        Ok(Self {
            network: *network,
            identity: state.id,
            seq: state.next_seq()?,
            prev: state.head,
            op,
        })
    }

    /// The record that recovers an identity, to be signed by [`RecoveryProof::sign`], or by each holder of a share with
    /// [`RecoveryShare::sign`](crate::RecoveryShare::sign). It takes effect at once: `root` becomes the root key,
    /// `next_root` the one that comes after it, `recovery` the recovery keys from now on, what was pending is dropped,
    /// a deactivated identity is active again, and of its devices only those of `keep` remain.
    ///
    /// # Errors
    /// [`RecordError::NotAscending`] for more devices than there can be.
    pub fn recover(
        network: &NetworkId,
        state: &IdentityState,
        root: RootKey,
        next_root: &RootKey,
        recovery: Option<Digest>,
        keep: &[DeviceId],
    ) -> Result<Self, RecordError> {
        let mut keep = keep.to_vec();
        keep.sort_unstable();
        keep.dedup();
        let op = Operation::Recover {
            root,
            next_root: next_root_digest(next_root),
            recovery,
            keep: BoundedVec::try_from(keep).map_err(|_| RecordError::NotAscending)?,
        };
        Self::next(network, state, op)
    }
}

/// What a record does. Which signer may do what is the table at [`IdentityState::apply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// 0: adds a device.
    AddDevice {
        /// Its public keys.
        keys: DeviceKeys,
        /// Its own signature over a [`DeviceConsent`](crate::DeviceConsent).
        consent: Signature,
    },
    /// 1: revokes a device for good.
    RevokeDevice {
        /// Which.
        device: DeviceId,
    },
    /// 2: makes the key that signs this, which so far was known by its hash only, the root. Pending for the window.
    RotateRoot {
        /// The hash of the root key that comes after it.
        next_root: Digest,
    },
    /// 3: sets or removes the recovery keys. Pending for the window, but at once by the next root where none are set.
    SetRecovery {
        /// The [digest](crate::RecoveryCommitment::digest) of the commitment to them.
        recovery: Option<Digest>,
    },
    /// 4: ends the identity: every device is revoked, and only a recovery can follow. Pending for the window.
    Deactivate,
    /// 5: drops what is pending.
    Cancel,
    /// 6: carries out what is pending once the window has passed.
    Complete,
    /// 7: gives the identity to a new root, at once.
    Recover {
        /// The root key from now on.
        root: RootKey,
        /// The hash of the root key that comes after it.
        next_root: Digest,
        /// The recovery keys from now on.
        recovery: Option<Digest>,
        /// The devices that stay, strictly ascending; every other one is revoked.
        keep: BoundedVec<DeviceId, DEVICES_PER_IDENTITY_MAX>,
    },
    /// 8: links an account elsewhere, as a salted commitment to whatever shows that it belongs to the identity.
    LinkAccount {
        /// The commitment.
        commitment: Digest,
    },
    /// 9: takes a link back.
    UnlinkAccount {
        /// The commitment.
        commitment: Digest,
    },
}

/// Who signed a record, with the signature over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authorization {
    /// 0: the root key, over a [`RootRecord`].
    Root(Signature),
    /// 1: the signing key of a device, over a [`DeviceRecord`].
    Device(DeviceId, Signature),
    /// 2: the root key that comes next, which shows itself with it, over a [`NextRootRecord`].
    NextRoot {
        /// The key.
        key: RootKey,
        /// Its signature.
        signature: Signature,
    },
    /// 3: enough recovery keys, each over a [`RecoveryRecord`](crate::RecoveryRecord).
    Recovery(RecoveryProof),
}

/// A [`Record`] as the root signs it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RootRecord<'a>(pub &'a Record);

impl Statement for RootRecord<'_> {
    type Signer = Root;
    const LABEL: Label = Label::new("tokenim/record-by-root/v1");
}

/// A [`Record`] as the next root signs it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NextRootRecord<'a>(pub &'a Record);

impl Statement for NextRootRecord<'_> {
    type Signer = Root;
    const LABEL: Label = Label::new("tokenim/record-by-next-root/v1");
}

/// A [`Record`] as a device signs it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DeviceRecord<'a>(pub &'a Record);

impl Statement for DeviceRecord<'_> {
    type Signer = Device;
    const LABEL: Label = Label::new("tokenim/record-by-device/v1");
}

/// Why a record does not continue a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is for another network.
    #[error("the record is for another network")]
    WrongNetwork,
    /// It is for another identity.
    #[error("the record is for another identity")]
    WrongIdentity,
    /// It is not the next one: already applied, or one before it is missing.
    #[error("the record has number {actual}, next is {expected}")]
    WrongSequence {
        /// The number of the next record.
        expected: u64,
        /// The number of this one.
        actual: u64,
    },
    /// It has the right number but follows another record.
    #[error("the record follows another record than the last one")]
    WrongPrevious,
    /// The identity is deactivated: only a recovery can follow.
    #[error("the identity is deactivated: nothing but a recovery can follow")]
    Deactivated,
    /// Its signer may not do this.
    #[error("the signer may not do this")]
    NotAllowed,
    /// Its signer has signed as many records as it may.
    #[error("the identity has as many records as this signer may add")]
    RecordsFull,
    /// It names, or is signed by, a device that the identity does not have.
    #[error("the identity has no such device")]
    UnknownDevice,
    /// It revokes, keeps, or is signed by, a device that is revoked.
    #[error("the device is revoked")]
    DeviceRevoked,
    /// It comes at a height or time below that of something it follows.
    #[error("the record comes before what it follows")]
    HeightWentBack,
    /// The key that signed it is not the one that was committed to as the next root.
    #[error("the key is not the one that was chosen as the next root")]
    WrongNextRoot,
    /// The identity has no recovery keys.
    #[error("the identity has no recovery keys")]
    NoRecovery,
    /// The recovery keys shown are not those that were committed to, in their order and each once.
    #[error("the recovery keys are not those that were chosen")]
    RecoveryProof,
    /// Another number of recovery keys has signed than is needed.
    #[error("another number of recovery keys has signed than is needed")]
    RecoveryThreshold,
    /// It adds a device that is there, revoked or not.
    #[error("the device was added before")]
    DeviceExists,
    /// The identity has as many devices as it may have, and none of them is revoked.
    #[error("the identity has as many devices as it may have")]
    DevicesFull,
    /// The devices to keep are too many, or not strictly ascending.
    #[error("the devices to keep are not strictly ascending")]
    NotAscending,
    /// What is pending was signed by the next root, which the root can't undo.
    #[error("what is pending was signed by the next root: the root can neither replace nor cancel it")]
    Outranked,
    /// Nothing is pending.
    #[error("nothing is pending")]
    NothingPending,
    /// What is pending can't be carried out yet.
    #[error("what is pending can't be carried out before {due} ms")]
    NotDue {
        /// The block time from which on it can.
        due: UnixMillis,
    },
    /// The account is linked already.
    #[error("the account is linked already")]
    LinkExists,
    /// There is no such link.
    #[error("the identity has no such link")]
    UnknownLink,
    /// The identity has as many links as it may have.
    #[error("the identity has as many links as it may have")]
    LinksFull,
    /// The signature of the new device does not hold.
    #[error("the new device has not agreed to this")]
    Consent,
    /// The signature of its signer does not hold.
    #[error("the signature of the record does not hold")]
    Signature,
    /// It cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// A signed link of an identity's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRecord {
    /// What was signed.
    pub record: Record,
    /// Who signed it.
    pub authorization: Authorization,
}

impl Object for SignedRecord {
    const NAME: &'static str = "signed record";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = RECORD_BYTES_MAX;
}

impl SignedRecord {
    /// The hash by which the next link names this one. It covers the signatures too.
    ///
    /// # Errors
    /// [`EncodeError`], which no record that was decoded or built here meets.
    pub fn digest(&self) -> Result<Digest, EncodeError> {
        hash_object(RECORD_DIGEST, self)
    }
}
