//! The rows of the tables.

use super::{Action, ConversationId, EffectId, Mark, Standing};
use crate::SessionSuite;
use tokenim_conversation::{content::{Body, Content}, order::{Clock, OrderKey}, policy::{GroupContext, Role}};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId, IdentityState};
use tokenim_mailbox::{
    Descriptor, KeyPackage, MailboxTag,
    group::{GroupChild, GroupEntryId, GroupHandle, GroupNode, GroupUpdate, LedgerPlace},
};
use tokenim_wire::{
    BoundedBytes, BoundedString, BoundedVec, EnvelopeId, Height, Object, UnixMillis, UnixSeconds,
    limits::{
        ENVELOPE_BYTES_MAX, IDENTITY_STATE_BYTES_MAX, KEY_PACKAGE_BYTES_MAX, KEY_PACKAGES_MAX, MESSAGE_BODY_BYTES_MAX,
        GROUP_NAME_BYTES_MAX, SESSION_IN_FLIGHT_MAX, SESSION_LEAVES_MAX, SESSION_MARKS_MAX, SESSION_RECEIPT_MEMBERS_MAX, SESSION_WELCOME_BYTES_MAX,
        SESSION_WISHES_MAX,
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

/// What is kept once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The number of the next effect, or line of a queue.
    pub(crate) next: u64,
    /// Whether delivered and read receipts are sent.
    pub(crate) receipts: bool,
    /// When the stock of key packages was last published.
    pub(crate) published: Option<UnixMillis>,
}
row!(Meta, "session meta", 64);

/// A conversation, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Conversation {
    /// The other one, if it is of two people.
    pub(crate) with: Option<IdentityId>,
    /// The name, empty for two people.
    pub(crate) name: BoundedString<GROUP_NAME_BYTES_MAX>,
    /// The session in which it goes on.
    pub(crate) current: Option<GroupHandle>,
    /// Messages of others whose receipt is to be sent.
    pub(crate) receipts: BoundedVec<MessageId, SESSION_MARKS_MAX>,
    /// Up to where the owner has read.
    pub(crate) read: Option<OrderKey>,
    /// What the owner has to do.
    pub(crate) action: Option<Action>,
}
row!(Conversation, "session conversation", 48 * 1024);

/// A change that this device is to bring about, on whichever epoch it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// 0: everybody's device that is active on the ledger, from when its identity is known.
    Invite(IdentityId),
    /// 1: one device.
    Add {
        /// The identity.
        identity: IdentityId,
        /// Its device.
        device: DeviceId,
        /// Its key package, once fetched.
        package: Option<KeyPackage>,
        /// Whether a leaf that the device has is to be replaced.
        replace: bool,
    },
    /// 2: one device's leaf.
    RemoveDevice(IdentityId, DeviceId),
    /// 3: everybody's leaf.
    Remove(IdentityId),
    /// 4: the name.
    Rename(BoundedString<GROUP_NAME_BYTES_MAX>),
    /// 5: a role.
    SetRole(IdentityId, Role),
    /// 6: when messages disappear.
    Disappear(Option<u64>),
    /// 7: new keys.
    Refresh,
    /// 8: the own leaving.
    Leave,
}

/// A task and when it is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    /// What.
    pub(crate) task: Task,
    /// Not before: jitter, or a pause after a failure.
    pub(crate) not_before: UnixMillis,
    /// How often it was tried in vain.
    pub(crate) tries: u8,
    /// The effect that it waits for.
    pub(crate) fetching: Option<EffectId>,
}

/// How far an own commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// 0: on its way into its mailbox.
    Storing,
    /// 1: on its way to the ledger.
    Submitting,
    /// 2: the ledger has it.
    Included,
}

/// An own commit that is not decided yet. The state that it leads to is kept beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// Its entry on the ledger.
    pub(crate) child: GroupChild,
    /// That entry's name.
    pub(crate) entry: GroupEntryId,
    /// How far it is.
    pub(crate) stage: Stage,
    /// The effect that is under way for it.
    pub(crate) effect: EffectId,
    /// The envelope, to be stored again if the ledger refuses its receipt.
    pub(crate) envelope: BoundedBytes<ENVELOPE_BYTES_MAX>,
    /// How often the ledger refused it.
    pub(crate) tries: u8,
    /// The Welcome, for whom it adds.
    pub(crate) welcome: BoundedBytes<SESSION_WELCOME_BYTES_MAX>,
    /// Whom it adds.
    pub(crate) added: BoundedVec<(IdentityId, DeviceId), SESSION_WISHES_MAX>,
    /// Whom it removes.
    pub(crate) removed: BoundedVec<(IdentityId, DeviceId), SESSION_LEAVES_MAX>,
}

/// Whether all leaves are of live devices, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Liveness {
    /// 0: some identities have not been looked up since they came in, or for too long.
    Unknown,
    /// 1: all are live.
    Clean,
    /// 2: some are not: nothing is sent before they are removed.
    Dead,
}

/// Where this device stands in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The conversation that it carries.
    pub(crate) conversation: ConversationId,
    /// How it stands.
    pub(crate) standing: Standing,
    /// Whether this device started it.
    pub(crate) started: bool,
    /// Where the start stands on the ledger.
    pub(crate) root: Option<LedgerPlace>,
    /// The entry of the current epoch.
    pub(crate) entry: GroupEntryId,
    /// The current epoch.
    pub(crate) epoch: u64,
    /// The logical time in it.
    pub(crate) clock: Clock,
    /// What the ledger has under that entry; `None` before it was looked at, and before it was found to be true.
    pub(crate) node: Option<GroupNode>,
    /// How many of its children are found to be garbage.
    pub(crate) judged: u8,
    /// When the entry was last looked at, by this device's clock.
    pub(crate) synced: Option<UnixMillis>,
    /// What is to be changed.
    pub(crate) wishes: BoundedVec<Wish, SESSION_WISHES_MAX>,
    /// The own commit.
    pub(crate) pending: Option<Box<Pending>>,
    /// Whether all leaves are of live devices.
    pub(crate) liveness: Liveness,
    /// Since when that holds.
    pub(crate) checked: UnixMillis,
    /// How often this device has asked to be re-added, and when it does so next.
    pub(crate) asked: u8,
    /// When it asks next.
    pub(crate) ask_next: UnixMillis,
    /// Whether others have asked this device while it could not follow itself.
    pub(crate) others_behind: bool,
    /// When this device last renewed its keys because somebody used them.
    pub(crate) renewed: UnixMillis,
    /// The conversation goes on in another session; until when this one is still read.
    pub(crate) closing: Option<UnixMillis>,
    /// Own messages stored lately, and when: said again if the epoch turns out to have been over for long.
    pub(crate) recent: BoundedVec<(OrderKey, UnixMillis), SESSION_IN_FLIGHT_MAX>,
    /// Devices re-added lately on their request, and when.
    pub(crate) replaced: BoundedVec<(DeviceId, UnixMillis), SESSION_WISHES_MAX>,
}
row!(Session, "session", 1024 * 1024);

/// Who is in an epoch, and on what terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Roster {
    /// What protects it.
    pub(crate) suite: SessionSuite,
    /// The epoch's authenticator.
    pub(crate) authenticator: [u8; 32],
    /// The terms.
    pub(crate) context: GroupContext,
    /// The leaves, in the order of the tree.
    pub(crate) leaves: BoundedVec<(IdentityId, DeviceId), SESSION_LEAVES_MAX>,
    /// The index of each.
    pub(crate) places: BoundedVec<u32, SESSION_LEAVES_MAX>,
}
row!(Roster, "session roster", 64 * SESSION_LEAVES_MAX + 8 * 1024);

/// 32 bytes that are wiped.
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

/// An epoch that is over and may still bring messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// Its entry.
    pub(crate) entry: GroupEntryId,
    /// Its authenticator.
    pub(crate) authenticator: [u8; 32],
    /// Its keys.
    pub(crate) keys: Secret,
    /// The place of the commit that ended it.
    pub(crate) ended: LedgerPlace,
    /// Who was in it, by leaf; and whether the commit removed it.
    pub(crate) leaves: BoundedVec<(u32, IdentityId, DeviceId, bool), SESSION_LEAVES_MAX>,
    /// Whether its mailbox was read to its end after it was over.
    pub(crate) read: bool,
}
row!(Past, "session past epoch", 256 * 1024);

/// Whose mailbox it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Use {
    /// 0: an epoch's messages.
    Epoch(u64),
    /// 1: a commit that ends the current epoch.
    Commit,
}

/// A mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailboxRow {
    /// The session.
    pub(crate) handle: GroupHandle,
    /// What for.
    pub(crate) what: Use,
}
row!(MailboxRow, "session mailbox", 128);

/// A key package of this device and its secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackageRow {
    /// The package.
    pub(crate) package: KeyPackage,
    /// Its secrets.
    pub(crate) secrets: BoundedBytes<KEY_PACKAGE_BYTES_MAX>,
    /// Its suite.
    pub(crate) suite: SessionSuite,
    /// Until when it is used.
    pub(crate) expires: UnixSeconds,
    /// Whether it is in the stock; else it was made for a request.
    pub(crate) stock: bool,
}
row!(PackageRow, "session key package", 2 * KEY_PACKAGE_BYTES_MAX + 256);

impl Drop for PackageRow {
    fn drop(&mut self) {
        core::mem::take(&mut self.secrets).into_inner().zeroize();
    }
}

/// A message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MessageRow {
    /// Who wrote it.
    pub(crate) author: IdentityId,
    /// When, by the author's clock.
    pub(crate) sent: UnixMillis,
    /// When it came.
    pub(crate) received: UnixMillis,
    /// What it says; `None` if its author has erased it.
    pub(crate) content: Option<Content>,
    /// Where it was stored.
    pub(crate) stored: Option<(MailboxTag, EnvelopeId)>,
    /// In which session, if it is this device's.
    pub(crate) session: Option<GroupHandle>,
    /// How far it has come, if it is this device's.
    pub(crate) mark: Option<Mark>,
    /// Who has it, or has read it, if it is this device's.
    pub(crate) marks: BoundedVec<(IdentityId, Mark), SESSION_RECEIPT_MEMBERS_MAX>,
}
row!(MessageRow, "session message", MESSAGE_BODY_BYTES_MAX + 4096);

/// What was seen, or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Seen {
    /// 0: a message that is kept under this key.
    Kept(OrderKey),
    /// 1: one that is not kept.
    Passed,
    /// 2: its author has erased it, maybe before it came.
    Erased,
}
row!(Seen, "session seen", 128);

/// Something that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Queued {
    /// Its id.
    pub(crate) id: MessageId,
    /// When it was said.
    pub(crate) sent: UnixMillis,
    /// Its epoch and clock, once it was encrypted: from then on its place is fixed.
    pub(crate) placed: Option<(u64, u64)>,
    /// The key under which it is kept, if it is a message that is kept.
    pub(crate) kept: Option<OrderKey>,
    /// What is said.
    pub(crate) content: Content,
}
row!(Queued, "session queue", MESSAGE_BODY_BYTES_MAX + 512);

/// What an effect is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// 0: a message, which goes back into the queue under this number if its epoch ends before.
    Message {
        /// The session.
        handle: GroupHandle,
        /// The epoch.
        epoch: u64,
        /// Its number in the queue.
        number: u64,
        /// It.
        queued: Box<Queued>,
    },
    /// 1: the own commit of a session.
    Commit(GroupHandle),
    /// 2: the start of a session.
    Start(GroupHandle),
    /// 3: a key package for a wish.
    Package(GroupHandle, IdentityId, DeviceId),
    /// 4: an identity.
    Lookup(IdentityId),
    /// 5: nothing depends on it.
    Nothing,
}

/// An effect as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Work {
    /// 0: see [`Effect::Put`](super::Effect::Put).
    Put(Descriptor, Secret, BoundedBytes<ENVELOPE_BYTES_MAX>),
    /// 1: see [`Effect::Ledger`](super::Effect::Ledger).
    Ledger(Box<GroupUpdate>),
    /// 2: see [`Effect::Seal`](super::Effect::Seal).
    Seal(IdentityId, DeviceId, MessageId, BoundedBytes<MESSAGE_BODY_BYTES_MAX>),
    /// 3: see [`Effect::FetchPackage`](super::Effect::FetchPackage).
    FetchPackage(IdentityId, DeviceId, SessionSuite),
    /// 4: see [`Effect::Lookup`](super::Effect::Lookup).
    Lookup(IdentityId),
    /// 5: see [`Effect::Publish`](super::Effect::Publish).
    Publish(BoundedVec<KeyPackage, KEY_PACKAGES_MAX>),
}

/// An effect that is due.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Due {
    /// What is to be done.
    pub(crate) work: Work,
    /// What for.
    pub(crate) purpose: Purpose,
}
row!(Due, "session effect", KEY_PACKAGES_MAX * (KEY_PACKAGE_BYTES_MAX + 8) + 64 * 1024);

/// The newest state of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    /// The state; `None` if there is none.
    pub(crate) state: Option<IdentityState>,
    /// The height that proves it.
    pub(crate) height: Height,
    /// When that was, by this device's clock.
    pub(crate) checked: UnixMillis,
    /// The look-up that is under way.
    pub(crate) looking: Option<EffectId>,
}
row!(Peer, "session peer", IDENTITY_STATE_BYTES_MAX + 128);

/// A message that was opened while its author's devices were not known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingRow {
    /// Its author.
    pub(crate) author: IdentityId,
    /// The author's device.
    pub(crate) device: DeviceId,
    /// The epoch.
    pub(crate) epoch: u64,
    /// The height at which the nodes had it.
    pub(crate) height: Height,
    /// Where it was.
    pub(crate) stored: (MailboxTag, EnvelopeId),
    /// It.
    pub(crate) body: Body,
}
row!(WaitingRow, "session waiting message", MESSAGE_BODY_BYTES_MAX + 512);

/// An invitation whose Welcome has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invitation {
    /// Who said so.
    pub(crate) by: (IdentityId, DeviceId),
    /// When this device asks next.
    pub(crate) ask_next: UnixMillis,
    /// How often it has asked.
    pub(crate) asked: u8,
}
row!(Invitation, "session invitation", 256);
