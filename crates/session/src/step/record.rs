//! The rows of the tables.

use super::{Action, ConversationId, EffectId, Mark, Standing};
use crate::SessionSuite;
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};
use tokenim_conversation::{
    content::{Body, Content},
    order::{Clock, OrderKey},
    policy::{GroupContext, Role},
};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId, IdentityState};
use tokenim_mailbox::{
    Descriptor, KeyPackage, MailboxTag,
    group::{GroupChild, GroupEntryId, GroupHandle, GroupNode, GroupUpdate, LedgerPlace},
};
use tokenim_wire::{
    BoundedBytes, BoundedString, BoundedVec, EnvelopeId, Height, Object, UnixMillis, UnixSeconds,
    limits::{
        ENVELOPE_BYTES_MAX, GROUP_NAME_BYTES_MAX, IDENTITY_STATE_BYTES_MAX, KEY_PACKAGE_BYTES_MAX, KEY_PACKAGES_MAX,
        MESSAGE_BODY_BYTES_MAX, SESSION_IN_FLIGHT_MAX, SESSION_LEAVES_MAX, SESSION_MARKS_MAX,
        SESSION_RECEIPT_MEMBERS_MAX, SESSION_WELCOME_BYTES_MAX, SESSION_WISHES_MAX,
    },
};
use zeroize::{Zeroize, ZeroizeOnDrop};

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
pub(crate) struct Meta {
    pub(crate) next: u64,
    pub(crate) receipts: bool,
    pub(crate) published: Option<UnixMillis>,
}
row!(Meta, "session meta", 64);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) with: Option<IdentityId>,
    pub(crate) name: BoundedString<GROUP_NAME_BYTES_MAX>,
    pub(crate) current: Option<GroupHandle>,
    pub(crate) receipts: BoundedVec<MessageId, SESSION_MARKS_MAX>,
    pub(crate) read: Option<OrderKey>,
    pub(crate) action: Option<Action>,
}
row!(Conversation, "session conversation", 48 * 1024);

/// A change that this device is to bring about, on whichever epoch it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// 0: everybody's device that is active on the ledger, from when its identity is known.
    Invite(IdentityId),
    Add {
        identity: IdentityId,
        device: DeviceId,
        package: Option<KeyPackage>,
        /// Whether a leaf that the device has is to be replaced.
        replace: bool,
    },
    RemoveDevice(IdentityId, DeviceId),
    Remove(IdentityId),
    Rename(BoundedString<GROUP_NAME_BYTES_MAX>),
    SetRole(IdentityId, Role),
    Disappear(Option<u64>),
    Refresh,
    Leave,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) task: Task,
    pub(crate) not_before: UnixMillis,
    pub(crate) tries: u8,
    pub(crate) fetching: Option<EffectId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    Storing,
    Submitting,
    Included,
}

/// An own commit that is not decided yet. The state that it leads to is kept beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) child: GroupChild,
    pub(crate) entry: GroupEntryId,
    pub(crate) stage: Stage,
    pub(crate) effect: EffectId,
    /// The envelope, to be stored again if the ledger refuses its receipt.
    pub(crate) envelope: BoundedBytes<ENVELOPE_BYTES_MAX>,
    pub(crate) tries: u8,
    pub(crate) welcome: BoundedBytes<SESSION_WELCOME_BYTES_MAX>,
    pub(crate) added: BoundedVec<(IdentityId, DeviceId), SESSION_WISHES_MAX>,
    pub(crate) removed: BoundedVec<(IdentityId, DeviceId), SESSION_LEAVES_MAX>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Liveness {
    /// 0: some identities have not been looked up since they came in, or for too long.
    Unknown,
    Clean,
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) conversation: ConversationId,
    pub(crate) standing: Standing,
    pub(crate) started: bool,
    pub(crate) root: Option<LedgerPlace>,
    pub(crate) entry: GroupEntryId,
    pub(crate) epoch: u64,
    pub(crate) clock: Clock,
    pub(crate) node: Option<GroupNode>,
    pub(crate) judged: u8,
    pub(crate) synced: Option<UnixMillis>,
    pub(crate) wishes: BoundedVec<Wish, SESSION_WISHES_MAX>,
    pub(crate) pending: Option<Box<Pending>>,
    pub(crate) liveness: Liveness,
    pub(crate) checked: UnixMillis,
    /// How often this device has asked to be re-added, and when it does so next.
    pub(crate) asked: u8,
    pub(crate) ask_next: UnixMillis,
    /// Whether others have asked this device while it could not follow itself.
    pub(crate) others_behind: bool,
    /// When this device last renewed its keys because somebody used them.
    pub(crate) renewed: UnixMillis,
    /// The conversation goes on in another session; until when this one is still read.
    pub(crate) closing: Option<UnixMillis>,
    /// Own messages stored lately, and when: said again if the epoch turns out to have been over for long.
    pub(crate) recent: BoundedVec<(OrderKey, UnixMillis), SESSION_IN_FLIGHT_MAX>,
    pub(crate) replaced: BoundedVec<(DeviceId, UnixMillis), SESSION_WISHES_MAX>,
}
row!(Session, "session", 1024 * 1024);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Roster {
    pub(crate) suite: SessionSuite,
    pub(crate) authenticator: [u8; 32],
    pub(crate) context: GroupContext,
    pub(crate) leaves: BoundedVec<(IdentityId, DeviceId), SESSION_LEAVES_MAX>,
    pub(crate) places: BoundedVec<u32, SESSION_LEAVES_MAX>,
}
row!(Roster, "session roster", 64 * SESSION_LEAVES_MAX + 8 * 1024);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) entry: GroupEntryId,
    pub(crate) authenticator: [u8; 32],
    pub(crate) keys: Secret,
    pub(crate) ended: LedgerPlace,
    pub(crate) leaves: BoundedVec<(u32, IdentityId, DeviceId, bool), SESSION_LEAVES_MAX>,
    pub(crate) read: bool,
}
row!(Past, "session past epoch", 256 * 1024);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Use {
    Epoch(u64),
    Commit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailboxRow {
    pub(crate) handle: GroupHandle,
    pub(crate) what: Use,
}
row!(MailboxRow, "session mailbox", 128);

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
pub(crate) struct MessageRow {
    pub(crate) author: IdentityId,
    pub(crate) sent: UnixMillis,
    pub(crate) received: UnixMillis,
    pub(crate) content: Option<Content>,
    pub(crate) stored: Option<(MailboxTag, EnvelopeId)>,
    pub(crate) session: Option<GroupHandle>,
    pub(crate) mark: Option<Mark>,
    pub(crate) marks: BoundedVec<(IdentityId, Mark), SESSION_RECEIPT_MEMBERS_MAX>,
}
row!(MessageRow, "session message", MESSAGE_BODY_BYTES_MAX + 4096);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seen {
    Kept(OrderKey),
    Passed,
    Erased,
}
row!(Seen, "session seen", 128);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Queued {
    pub(crate) id: MessageId,
    pub(crate) sent: UnixMillis,
    /// Its epoch and clock, once it was encrypted: from then on its place is fixed.
    pub(crate) placed: Option<(u64, u64)>,
    /// The key under which it is kept, if it is a message that is kept.
    pub(crate) kept: Option<OrderKey>,
    pub(crate) content: Content,
}
row!(Queued, "session queue", MESSAGE_BODY_BYTES_MAX + 512);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// 0: a message, which goes back into the queue under this number if its epoch ends before.
    Message {
        handle: GroupHandle,
        epoch: u64,
        number: u64,
        queued: Box<Queued>,
    },
    Commit(GroupHandle),
    Start(GroupHandle),
    Package(GroupHandle, IdentityId, DeviceId),
    Lookup(IdentityId),
    Nothing,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    Put(Descriptor, Secret, BoundedBytes<ENVELOPE_BYTES_MAX>),
    Ledger(Box<GroupUpdate>),
    Seal(IdentityId, DeviceId, MessageId, BoundedBytes<MESSAGE_BODY_BYTES_MAX>),
    FetchPackage(IdentityId, DeviceId, SessionSuite),
    Lookup(IdentityId),
    Publish(BoundedVec<KeyPackage, KEY_PACKAGES_MAX>),
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) state: Option<IdentityState>,
    pub(crate) height: Height,
    pub(crate) checked: UnixMillis,
    pub(crate) looking: Option<EffectId>,
}
row!(Peer, "session peer", IDENTITY_STATE_BYTES_MAX + 128);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingRow {
    pub(crate) author: IdentityId,
    pub(crate) device: DeviceId,
    pub(crate) epoch: u64,
    pub(crate) height: Height,
    pub(crate) stored: (MailboxTag, EnvelopeId),
    pub(crate) body: Body,
}
row!(WaitingRow, "session waiting message", MESSAGE_BODY_BYTES_MAX + 512);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invitation {
    pub(crate) by: (IdentityId, DeviceId),
    pub(crate) ask_next: UnixMillis,
    pub(crate) asked: u8,
}
row!(Invitation, "session invitation", 256);
