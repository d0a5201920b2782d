//! What a chain of records comes to.

use crate::{
    DeviceConsent, DeviceId, DeviceKeys, DeviceRecord, Genesis, IdentityId, Operation, Record, RecordError,
    RecordSigner, RootKey, RootRecord, Signature, SignedRecord,
};
use serde::{Deserialize, Serialize};
use tokenim_wire::{
    BoundedVec, Digest, Height, NetworkId, Object,
    limits::{DEVICES_PER_IDENTITY_MAX, IDENTITY_STATE_BYTES_MAX, RECORDS_PER_IDENTITY_MAX},
};

/// A device of an identity and when it was one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceEntry {
    /// Its public keys.
    pub keys: DeviceKeys,
    /// The height of the block that added it: live from here on.
    pub added: Height,
    /// The height of the block that revoked it: not live from here on.
    pub revoked: Option<Height>,
}

impl DeviceEntry {
    /// Whether the device is one of the identity's at a height.
    #[must_use]
    pub fn is_live_at(&self, height: Height) -> bool {
        self.added <= height && self.revoked.is_none_or(|revoked| height < revoked)
    }
}

/// The state of an identity after some records: what the ledger keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityState {
    /// Its name.
    pub id: IdentityId,
    /// The number of the last record; 0 after the genesis record.
    pub seq: u64,
    /// The digest of the last record; the bytes of the id after the genesis record.
    pub head: Digest,
    /// The root key.
    pub root: RootKey,
    /// The hash of the root key that comes after it.
    pub next_root: Digest,
    /// Every device it has had, in the order in which they were added. None is ever removed, so that what a device
    /// signed can be judged later.
    pub devices: BoundedVec<DeviceEntry, DEVICES_PER_IDENTITY_MAX>,
}

impl Object for IdentityState {
    const NAME: &'static str = "identity state";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = IDENTITY_STATE_BYTES_MAX;
}

impl IdentityState {
    /// The state after the genesis record: no devices.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        let id = genesis.id();
        Self {
            id,
            seq: 0,
            head: Digest::from_bytes(id.to_bytes()),
            root: genesis.root,
            next_root: genesis.next_root,
            devices: BoundedVec::empty(),
        }
    }

    /// The state after one more record, which came at height `at`. Signatures are verified by ZIP-215, since all must
    /// agree. This state is left as it is.
    ///
    /// | operation | root | the device itself | another device |
    /// |---|---|---|---|
    /// | add device | yes, with the device's consent | no | no |
    /// | revoke device | yes | yes | no |
    ///
    /// # Errors
    /// [`RecordError`] for what is wrong first; the cheap checks come before the signatures.
    pub fn apply(&self, network: &NetworkId, signed: &SignedRecord, at: Height) -> Result<Self, RecordError> {
        let record = &signed.record;
        self.check_place(network, record)?;
        let mut next = self.clone();
        match &record.op {
            Operation::AddDevice { keys, consent } => {
                if signed.signer != RecordSigner::Root {
                    return Err(RecordError::NotAllowed);
                }
                if self.device(&keys.device_id()).is_some() {
                    return Err(RecordError::DeviceExists);
                }
                let entry = DeviceEntry {
                    keys: keys.clone(),
                    added: at,
                    revoked: None,
                };
                next.devices.push(entry).map_err(|_| RecordError::DevicesFull)?;
                check_consent(network, record, keys, consent)?;
            }
            Operation::RevokeDevice { device } => {
                if let RecordSigner::Device(signer) = signed.signer
                    && signer != *device
                {
                    return Err(RecordError::NotAllowed);
                }
                let entry = next
                    .devices
                    .as_mut_slice()
                    .iter_mut()
                    .find(|entry| entry.keys.device_id() == *device)
                    .ok_or(RecordError::UnknownDevice)?;
                if entry.revoked.is_some() {
                    return Err(RecordError::DeviceRevoked);
                }
                if at < entry.added {
                    return Err(RecordError::HeightWentBack);
                }
                entry.revoked = Some(at);
            }
        }
        self.check_signature(network, signed)?;
        next.seq = record.seq;
        next.head = signed.digest()?;
        Ok(next)
    }

    /// A device that it has or had.
    #[must_use]
    pub fn device(&self, id: &DeviceId) -> Option<&DeviceEntry> {
        self.devices.iter().find(|entry| entry.keys.device_id() == *id)
    }

    /// The devices that are not revoked.
    pub fn active_devices(&self) -> impl Iterator<Item = &DeviceEntry> {
        self.devices.iter().filter(|entry| entry.revoked.is_none())
    }

    /// A device that was live at a height.
    #[must_use]
    pub fn device_live_at(&self, id: &DeviceId, height: Height) -> Option<&DeviceEntry> {
        self.device(id).filter(|entry| entry.is_live_at(height))
    }

    /// The number of the next record.
    pub(crate) fn next_seq(&self) -> Result<u64, RecordError> {
        match self.seq.checked_add(1) {
            Some(seq) if seq <= RECORDS_PER_IDENTITY_MAX => Ok(seq),
            _ => Err(RecordError::RecordsFull),
        }
    }

    /// Checks that a record is the next one of this chain.
    fn check_place(&self, network: &NetworkId, record: &Record) -> Result<(), RecordError> {
        if record.network != *network {
            return Err(RecordError::WrongNetwork);
        }
        if record.identity != self.id {
            return Err(RecordError::WrongIdentity);
        }
        let expected = self.next_seq()?;
        if record.seq != expected {
            return Err(RecordError::WrongSequence {
                expected,
                actual: record.seq,
            });
        }
        if record.prev != self.head {
            return Err(RecordError::WrongPrevious);
        }
        Ok(())
    }

    /// Checks the signature of a record by the key that its signer has in this state.
    fn check_signature(&self, network: &NetworkId, signed: &SignedRecord) -> Result<(), RecordError> {
        let held = match &signed.signer {
            RecordSigner::Root => self
                .root
                .verify_zip215(network, &RootRecord(&signed.record), &signed.signature),
            RecordSigner::Device(id) => {
                let key = self.device(id).ok_or(RecordError::UnknownDevice)?.keys.signing;
                key.verify_zip215(network, &DeviceRecord(&signed.record), &signed.signature)
            }
        };
        held.map_err(|_| RecordError::Signature)
    }
}

/// Checks that a device has agreed to be added by a record.
fn check_consent(
    network: &NetworkId,
    record: &Record,
    keys: &DeviceKeys,
    consent: &Signature,
) -> Result<(), RecordError> {
    let statement = DeviceConsent {
        identity: record.identity,
        seq: record.seq,
        keys: keys.clone(),
    };
    keys.signing
        .verify_zip215(network, &statement, consent)
        .map_err(|_| RecordError::Consent)
}
