//! Making records: one function for each operation. What it returns would be accepted next, given that its time has
//! come.

use crate::{
    Authorization, DeviceConsent, DeviceId, DeviceKeys, DeviceRecord, DeviceSecrets, DeviceSigningKey, EnvelopeKey,
    IdentityState, NextRootRecord, Operation, Place, Record, RecordError, RecoveryProof, RootKey, RootRecord,
    RootSigningKey, Signature, SignedRecord, next_root_digest,
};
use tokenim_wire::{Digest, Height, NetworkId, UnixMillis};

/// A key that signs a record.
#[derive(Clone, Copy, Debug)]
pub enum RecordSigner<'a> {
    /// The root key.
    Root(&'a RootSigningKey),
    /// The root key that comes next. Its public key is known to all from then on.
    NextRoot(&'a RootSigningKey),
    /// The signing key of a device.
    Device(&'a DeviceSigningKey),
}

impl RecordSigner<'_> {
    /// The signature over a record.
    fn sign(self, record: &Record) -> Result<Authorization, RecordError> {
        let network = &record.network;
        Ok(match self {
            Self::Root(key) => Authorization::Root(key.sign(network, &RootRecord(record))?),
            Self::NextRoot(key) => Authorization::NextRoot {
                key: key.verifying_key(),
                signature: key.sign(network, &NextRootRecord(record))?,
            },
            Self::Device(key) => Authorization::Device(
                DeviceId::of(&key.verifying_key()),
                key.sign(network, &DeviceRecord(record))?,
            ),
        })
    }
}

/// Each is the next record of `state`, whose errors are those of [`IdentityState::apply`].
impl SignedRecord {
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
        let consent = DeviceConsent {
            identity: state.id,
            seq: state.next_seq()?,
            keys: device.keys(envelope),
        };
        let signature = device.signing.sign(network, &consent)?;
        Self::add_consenting_device(network, state, root, consent.keys, signature)
    }

    /// The record that adds a device which is elsewhere and has signed its own [`DeviceConsent`] there, for the next
    /// place in this chain.
    ///
    /// # Errors
    /// [`RecordError::Consent`] if the device consents to something else: another identity, place, or keys; and those of
    /// any record that would not be accepted next.
    pub fn add_consenting_device(
        network: &NetworkId,
        state: &IdentityState,
        root: &RootSigningKey,
        keys: DeviceKeys,
        consent: Signature,
    ) -> Result<Self, RecordError> {
        let op = Operation::AddDevice { keys, consent };
        Self::sign(network, state, RecordSigner::Root(root), op)
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
        let op = Operation::RevokeDevice { device };
        Self::sign(network, state, RecordSigner::Root(root), op)
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
        let op = Operation::RevokeDevice {
            device: DeviceId::of(&device.verifying_key()),
        };
        Self::sign(network, state, RecordSigner::Device(device), op)
    }

    /// The record by which the next root begins to become the root. `after` is the key that comes after it.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted next.
    pub fn rotate_root(
        network: &NetworkId,
        state: &IdentityState,
        next: &RootSigningKey,
        after: &RootKey,
    ) -> Result<Self, RecordError> {
        let op = Operation::RotateRoot {
            next_root: next_root_digest(after),
        };
        Self::sign(network, state, RecordSigner::NextRoot(next), op)
    }

    /// The record that sets or removes the recovery keys, given as the digest of the commitment to them. Signed by the
    /// next root where none are set it takes effect at once, else after the window.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted next.
    pub fn set_recovery(
        network: &NetworkId,
        state: &IdentityState,
        signer: RecordSigner<'_>,
        recovery: Option<Digest>,
    ) -> Result<Self, RecordError> {
        Self::sign(network, state, signer, Operation::SetRecovery { recovery })
    }

    /// The record by which an identity begins to end.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted next.
    pub fn deactivate(network: &NetworkId, state: &IdentityState, root: &RootSigningKey) -> Result<Self, RecordError> {
        Self::sign(network, state, RecordSigner::Root(root), Operation::Deactivate)
    }

    /// The record that drops what is pending.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted next.
    pub fn cancel(network: &NetworkId, state: &IdentityState, signer: RecordSigner<'_>) -> Result<Self, RecordError> {
        Self::sign(network, state, signer, Operation::Cancel)
    }

    /// The record that carries out what is pending. It is accepted from [`Pending::due`](crate::Pending::due) on.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted then.
    pub fn complete(network: &NetworkId, state: &IdentityState, signer: RecordSigner<'_>) -> Result<Self, RecordError> {
        Self::sign(network, state, signer, Operation::Complete)
    }

    /// The record that [`Record::recover`] made, with the proof that enough recovery keys have signed it.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted next.
    pub fn recover(state: &IdentityState, record: Record, proof: RecoveryProof) -> Result<Self, RecordError> {
        Self {
            record,
            authorization: Authorization::Recovery(proof),
        }
        .checked(state)
    }

    /// The record that links an account.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted next.
    pub fn link_account(
        network: &NetworkId,
        state: &IdentityState,
        root: &RootSigningKey,
        commitment: Digest,
    ) -> Result<Self, RecordError> {
        let op = Operation::LinkAccount { commitment };
        Self::sign(network, state, RecordSigner::Root(root), op)
    }

    /// The record that takes a link back.
    ///
    /// # Errors
    /// [`RecordError`] if it would not be accepted next.
    pub fn unlink_account(
        network: &NetworkId,
        state: &IdentityState,
        root: &RootSigningKey,
        commitment: Digest,
    ) -> Result<Self, RecordError> {
        let op = Operation::UnlinkAccount { commitment };
        Self::sign(network, state, RecordSigner::Root(root), op)
    }

    /// The next record with this operation, signed and checked.
    fn sign(
        network: &NetworkId,
        state: &IdentityState,
        signer: RecordSigner<'_>,
        op: Operation,
    ) -> Result<Self, RecordError> {
        let record = Record::next(network, state, op)?;
        Self {
            authorization: signer.sign(&record)?,
            record,
        }
        .checked(state)
    }

    /// The record, if it would be accepted next at the end of time.
    fn checked(self, state: &IdentityState) -> Result<Self, RecordError> {
        let place = Place {
            network: &self.record.network,
            height: Height::MAX,
            time: UnixMillis::MAX,
            window_ms: 0,
        };
        state.apply(&place, &self)?;
        Ok(self)
    }
}
