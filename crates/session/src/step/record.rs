//! The rows of the tables: those that name a suite of MLS, and all others.

use crate::SessionSuite;
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};
use tokenim_conversation::policy::GroupContext;
pub(crate) use tokenim_conversation::{rows::*, secret::Secret32 as Secret};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::{Descriptor, KeyPackage, MailboxTag, group::GroupUpdate};
use tokenim_wire::{
    BoundedBytes, BoundedVec, EnvelopeId, Object, UnixSeconds,
    limits::{ENVELOPE_BYTES_MAX, KEY_PACKAGE_BYTES_MAX, KEY_PACKAGES_MAX, MESSAGE_BODY_BYTES_MAX, SESSION_LEAVES_MAX},
};
use zeroize::Zeroize as _;

macro_rules! row {
    ($type:ty, $name:literal, $bytes:expr) => {
        impl Object for $type {
            const NAME: &'static str = $name;
            const VERSION: u8 = 1;
            const BYTES_MAX: usize = $bytes;
        }
    };
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Roster {
    pub(crate) suite: SessionSuite,
    pub(crate) authenticator: [u8; 32],
    pub(crate) context: GroupContext,
    pub(crate) leaves: BoundedVec<(IdentityId, DeviceId), SESSION_LEAVES_MAX>,
    pub(crate) places: BoundedVec<u32, SESSION_LEAVES_MAX>,
}
row!(Roster, "session roster", 64 * SESSION_LEAVES_MAX + 8 * 1024);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackageRow {
    pub(crate) package: KeyPackage,
    pub(crate) secrets: BoundedBytes<KEY_PACKAGE_BYTES_MAX>,
    pub(crate) suite: SessionSuite,
    pub(crate) expires: UnixSeconds,
    pub(crate) stock: bool,
}
row!(PackageRow, "session key package", 2 * KEY_PACKAGE_BYTES_MAX + 256);

impl Drop for PackageRow {
    fn drop(&mut self) {
        core::mem::take(&mut self.secrets).into_inner().zeroize();
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    Put(Descriptor, Secret, BoundedBytes<ENVELOPE_BYTES_MAX>),
    Ledger(Box<GroupUpdate>),
    Seal(IdentityId, DeviceId, MessageId, BoundedBytes<MESSAGE_BODY_BYTES_MAX>),
    FetchPackage(IdentityId, DeviceId, SessionSuite),
    Lookup(IdentityId),
    Publish(BoundedVec<KeyPackage, KEY_PACKAGES_MAX>),
    Acceptance(MailboxTag, EnvelopeId),
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Due {
    pub(crate) work: Work,
    pub(crate) purpose: Purpose,
}
row!(
    Due,
    "session effect",
    KEY_PACKAGES_MAX * (KEY_PACKAGE_BYTES_MAX + 8) + 64 * 1024
);
