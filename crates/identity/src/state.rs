//! What a chain of records comes to.

use crate::{DeviceId, DeviceKeys, Genesis, IdentityId, RecordError, RootKey};
use serde::{Deserialize, Serialize};
use tokenim_wire::{
    BoundedVec, Digest, EncodeError, Height, Label, NetworkId, Object, UnixMillis, hash_object,
    limits::{DEVICES_PER_IDENTITY_MAX, IDENTITY_STATE_BYTES_MAX, LINKS_PER_IDENTITY_MAX},
};

/// The label under which the log of a chain goes on.
const RECORD_LOG: Label = Label::new("tokenim/record-log/v1");

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

/// Where and when a record is applied: the network, the block that holds it, and the window of the network.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The network.
    pub network: &'a NetworkId,
    /// The height of the block.
    pub height: Height,
    /// The time of the block.
    pub time: UnixMillis,
    /// How long what is pending can be undone, in milliseconds; the same for the whole life of the network.
    pub window_ms: u64,
}

/// How high the signer of something pending stands. Recovery keys stand above both: what they sign is never pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rank {
    /// 0: the root.
    Root,
    /// 1: the next root. What it signed the root can't undo, so that a thief of the root can't keep it out.
    NextRoot,
}

/// What waits for the window to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PendingOperation {
    /// 0: a new root.
    RotateRoot {
        /// The root key that it will be.
        root: RootKey,
        /// The hash of the one that comes after it.
        next_root: Digest,
    },
    /// 1: other recovery keys, or none.
    SetRecovery {
        /// The digest of the commitment to them.
        recovery: Option<Digest>,
    },
    /// 2: the end of the identity.
    Deactivate,
}

/// An operation that waits for the window to pass. At most one does at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pending {
    /// What will be done.
    pub op: PendingOperation,
    /// Who signed it: only somebody who stands as high can replace or cancel it.
    pub rank: Rank,
    /// The height of the block that it came in.
    pub submitted: Height,
    /// The block time from which on it can be carried out.
    pub due: UnixMillis,
}

/// How an identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// 0: nothing waits.
    Active,
    /// 1: something waits for the window to pass.
    Pending(Pending),
    /// 2: it has ended; only a recovery can follow.
    Deactivated {
        /// The height of the block that ended it.
        at: Height,
    },
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
    /// The hash of everything that led here, heights and times of the blocks included; the bytes of the id after the
    /// genesis record. So a [`replay`](crate::replay) that comes to a proven state has proven heights and times.
    pub log: Digest,
    /// How many records root, next root and devices have signed since the beginning, the last recovery, or the last new
    /// root.
    pub spent: u64,
    /// The root key.
    pub root: RootKey,
    /// The hash of the root key that comes after it.
    pub next_root: Digest,
    /// The digest of the commitment to its recovery keys, where it has some.
    pub recovery: Option<Digest>,
    /// How it stands.
    pub standing: Standing,
    /// Its links to accounts elsewhere, in the order in which they were made.
    pub links: BoundedVec<Digest, LINKS_PER_IDENTITY_MAX>,
    /// Its devices, in the order in which they were added. Revoked ones stay, so that what a device signed can be
    /// judged later, until the place is needed for a new one.
    pub devices: BoundedVec<DeviceEntry, DEVICES_PER_IDENTITY_MAX>,
}

impl Object for IdentityState {
    const NAME: &'static str = "identity state";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = IDENTITY_STATE_BYTES_MAX;
}

impl IdentityState {
    /// The state after the genesis record: active, no devices, no recovery keys.
    #[must_use]
    pub fn new(genesis: &Genesis) -> Self {
        let id = genesis.id();
        let head = Digest::from_bytes(id.to_bytes());
        Self {
            id,
            seq: 0,
            head,
            log: head,
            spent: 0,
            root: genesis.root,
            next_root: genesis.next_root,
            recovery: None,
            standing: Standing::Active,
            links: BoundedVec::empty(),
            devices: BoundedVec::empty(),
        }
    }

    /// What waits for the window to pass.
    #[must_use]
    pub const fn pending(&self) -> Option<&Pending> {
        match &self.standing {
            Standing::Pending(pending) => Some(pending),
            Standing::Active | Standing::Deactivated { .. } => None,
        }
    }

    /// The height of the block that ended it, if it has ended.
    #[must_use]
    pub const fn deactivated(&self) -> Option<Height> {
        match self.standing {
            Standing::Deactivated { at } => Some(at),
            Standing::Active | Standing::Pending(_) => None,
        }
    }

    /// A device that it has or had.
    #[must_use]
    pub fn device(&self, id: &DeviceId) -> Option<&DeviceEntry> {
        self.devices.iter().find(|entry| entry.keys.device_id() == *id)
    }

    /// The devices that are not revoked. A deactivated identity has none.
    pub fn active_devices(&self) -> impl Iterator<Item = &DeviceEntry> {
        self.devices.iter().filter(|entry| entry.revoked.is_none())
    }

    /// A device that was live at a height.
    #[must_use]
    pub fn device_live_at(&self, id: &DeviceId, height: Height) -> Option<&DeviceEntry> {
        self.device(id).filter(|entry| entry.is_live_at(height))
    }

    /// The number of the next record.
    ///
    /// # Errors
    /// [`RecordError::RecordsFull`] if there is no number after the last one.
    pub fn next_seq(&self) -> Result<u64, RecordError> {
        self.seq.checked_add(1).ok_or(RecordError::RecordsFull)
    }

    /// The log after a record with this digest.
    pub(crate) fn log_after(&self, digest: &Digest, place: &Place<'_>) -> Result<Digest, EncodeError> {
        hash_object(RECORD_LOG, &(self.log, digest, place.height, place.time))
    }
}
