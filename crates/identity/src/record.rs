//! The links of an identity's chain.

use crate::{
    Device, DeviceConsent, DeviceId, DeviceKeys, DeviceSecrets, DeviceSigningKey, EnvelopeKey, IdentityId,
    IdentityState, Root, RootSigningKey, Signature, Statement,
};
use serde::{Deserialize, Serialize};
use tokenim_wire::{Digest, EncodeError, Height, Label, NetworkId, Object, hash_object, limits::RECORD_BYTES_MAX};

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

/// What a record does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Adds a device. The root signs.
    AddDevice {
        /// Its public keys.
        keys: DeviceKeys,
        /// Its own signature over a [`DeviceConsent`].
        consent: Signature,
    },
    /// Revokes a device for good. The root signs, or that device itself.
    RevokeDevice {
        /// Which.
        device: DeviceId,
    },
}

/// Who signed a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordSigner {
    /// The root key.
    Root,
    /// The signing key of a device.
    Device(DeviceId),
}

/// A [`Record`] as the root signs it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RootRecord<'a>(pub &'a Record);

impl Statement for RootRecord<'_> {
    type Signer = Root;
    const LABEL: Label = Label::new("tokenim/record-by-root/v1");
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
    /// Its signer may not do this.
    #[error("the signer may not do this")]
    NotAllowed,
    /// It adds a device that was there before, revoked or not.
    #[error("the device was added before")]
    DeviceExists,
    /// It names a device that was never there.
    #[error("the identity has no such device")]
    UnknownDevice,
    /// It revokes, or is signed by, a device that is revoked.
    #[error("the device is revoked")]
    DeviceRevoked,
    /// It comes at a height below that at which its device was added.
    #[error("the record comes before the device was added")]
    HeightWentBack,
    /// The chain has as many records as it may have.
    #[error("the identity has as many records as it may have")]
    RecordsFull,
    /// The identity has had as many devices as it may have.
    #[error("the identity has had as many devices as it may have")]
    DevicesFull,
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
    /// Who says to have signed it.
    pub signer: RecordSigner,
    /// The signature over a [`RootRecord`] or [`DeviceRecord`].
    pub signature: Signature,
}

impl Object for SignedRecord {
    const NAME: &'static str = "signed record";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = RECORD_BYTES_MAX;
}

impl SignedRecord {
    /// The hash by which the next link names this one. It covers the signature too.
    ///
    /// # Errors
    /// [`EncodeError`], which no record that was decoded or built here meets.
    pub fn digest(&self) -> Result<Digest, EncodeError> {
        hash_object(RECORD_DIGEST, self)
    }

    /// The record that adds a device, signed by the root and by the device.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted next.
    pub fn add_device(
        network: &NetworkId,
        state: &IdentityState,
        root: &RootSigningKey,
        device: &DeviceSecrets,
        envelope: EnvelopeKey,
    ) -> Result<Self, RecordError> {
        let keys = device.keys(envelope);
        let seq = state.next_seq()?;
        let consent = DeviceConsent {
            identity: state.id,
            seq,
            keys,
        };
        let signature = device.signing.sign(network, &consent)?;
        let op = Operation::AddDevice {
            keys: consent.keys,
            consent: signature,
        };
        Self::by_root(network, state, root, op)
    }

    /// The record that revokes a device, signed by the root.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted next.
    pub fn revoke_device(
        network: &NetworkId,
        state: &IdentityState,
        root: &RootSigningKey,
        device: DeviceId,
    ) -> Result<Self, RecordError> {
        Self::by_root(network, state, root, Operation::RevokeDevice { device })
    }

    /// The record by which a device revokes itself.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted next.
    pub fn revoke_own_device(
        network: &NetworkId,
        state: &IdentityState,
        device: &DeviceSigningKey,
    ) -> Result<Self, RecordError> {
        let id = DeviceId::of(&device.verifying_key());
        let record = Record::next(network, state, Operation::RevokeDevice { device: id })?;
        let signature = device.sign(network, &DeviceRecord(&record))?;
        Self {
            record,
            signer: RecordSigner::Device(id),
            signature,
        }
        .checked(network, state)
    }

    /// A record signed by the root.
    fn by_root(
        network: &NetworkId,
        state: &IdentityState,
        root: &RootSigningKey,
        op: Operation,
    ) -> Result<Self, RecordError> {
        let record = Record::next(network, state, op)?;
        let signature = root.sign(network, &RootRecord(&record))?;
        Self {
            record,
            signer: RecordSigner::Root,
            signature,
        }
        .checked(network, state)
    }

    /// The record, if it would be accepted next.
    fn checked(self, network: &NetworkId, state: &IdentityState) -> Result<Self, RecordError> {
        state.apply(network, &self, Height::MAX)?;
        Ok(self)
    }
}

impl Record {
    /// The record after the last one.
    fn next(network: &NetworkId, state: &IdentityState, op: Operation) -> Result<Self, RecordError> {
        Ok(Self {
            network: *network,
            identity: state.id,
            seq: state.next_seq()?,
            prev: state.head,
            op,
        })
    }
}
