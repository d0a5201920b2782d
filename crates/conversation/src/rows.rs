//! The rows of the tables, for the machine alone: what is in a value is nobody else's business.

use alloc::{boxed::Box, vec::Vec};
use serde::{Deserialize, Serialize};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId, IdentityState};
use tokenim_mailbox::{
    KeyPackage, MailboxTag, QuorumReceipt,
    group::{GroupChild, GroupEntryId, GroupHandle, GroupNode, LedgerPlace},
};
use tokenim_wire::{
    BoundedString, BoundedVec, EnvelopeId, Height, Object, UnixMillis, UnixSeconds,
    limits::{
        DEVICES_PER_IDENTITY_MAX, GROUP_COMMIT_PARTS_MAX, GROUP_NAME_BYTES_MAX, MESSAGE_BODY_BYTES_MAX,
        SESSION_GRACE_HEIGHTS, SESSION_IN_FLIGHT_MAX, SESSION_LEAVES_MAX, SESSION_MARKS_MAX, SESSION_PAST_SECONDS,
        SESSION_PEER_SECONDS_MAX, SESSION_RECEIPT_MEMBERS_MAX, SESSION_SYNC_SECONDS_MAX, SESSION_WISHES_MAX,
    },
};

use crate::{
    content::{Body, Content},
    history::{Page, Said},
    host::EffectId,
    order::{Clock, OrderKey},
    policy::Role,
    secret::Secret32 as Secret,
    shown::{Action, ConversationId, Mark, Message, Standing},
    welcome::StoredWelcome,
};

/// Members for whom one round of look-ups each [`SESSION_SYNC_SECONDS_MAX`], as long as something is said, is not too much.
const MEMBERS_PER_ROUND: u64 = 16;

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
pub struct Meta {
    pub next: u64,
    pub receipts: bool,
    pub published: Option<UnixMillis>,
    /// When the first step was made, and how many pages of history have been taken since.
    pub born: UnixMillis,
    pub pages: u16,
}
row!(Meta, "session meta", 64);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    pub with: Option<IdentityId>,
    pub name: BoundedString<GROUP_NAME_BYTES_MAX>,
    pub current: Option<GroupHandle>,
    pub receipts: BoundedVec<MessageId, SESSION_MARKS_MAX>,
    pub read: Option<OrderKey>,
    /// Whether the owner has asked to be let in.
    pub joining: bool,
    pub action: Option<Action>,
}
row!(Conversation, "session conversation", 48 * 1024);

/// A change that this device is to bring about, on whichever epoch it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
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
pub struct Wish {
    pub task: Task,
    pub not_before: UnixMillis,
    pub tries: u8,
    pub fetching: Option<EffectId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    Storing,
    Submitting,
    Included,
}

/// An own commit that is not decided yet. Its parts, its Welcome and the state that it leads to are kept beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub child: GroupChild,
    pub entry: GroupEntryId,
    pub stage: Stage,
    /// What is under way: the storing of each part, then one, the submission.
    pub effects: BoundedVec<EffectId, GROUP_COMMIT_PARTS_MAX>,
    /// Of each part that is stored.
    pub receipts: BoundedVec<Option<QuorumReceipt>, GROUP_COMMIT_PARTS_MAX>,
    pub tries: u8,
    pub added: BoundedVec<(IdentityId, DeviceId), SESSION_WISHES_MAX>,
    pub removed: BoundedVec<(IdentityId, DeviceId), SESSION_LEAVES_MAX>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Liveness {
    /// 0: some identities have not been looked up since they came in, or for too long.
    Unknown,
    Clean,
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub conversation: ConversationId,
    pub standing: Standing,
    pub started: bool,
    pub root: Option<LedgerPlace>,
    pub entry: GroupEntryId,
    pub epoch: u64,
    /// The first epoch of this device.
    pub since: u64,
    pub clock: Clock,
    pub node: Option<GroupNode>,
    pub judged: u8,
    pub synced: Option<UnixMillis>,
    /// The height at which the entry was seen last.
    pub looked: Height,
    pub wishes: BoundedVec<Wish, SESSION_WISHES_MAX>,
    pub pending: Option<Box<Pending>>,
    pub liveness: Liveness,
    /// Of those who are being looked up for it, one.
    pub waits_for: Option<IdentityId>,
    /// When it was last looked at what a commit may do.
    pub planned: UnixMillis,
    pub checked: UnixMillis,
    /// How often this device has asked to be re-added, and when it does so next.
    pub asked: u8,
    pub ask_next: UnixMillis,
    /// Whether others have asked this device while it could not follow itself.
    pub others_behind: bool,
    /// When this device last renewed its keys because somebody used them.
    pub renewed: UnixMillis,
    /// The conversation goes on in another session; until when this one is still read.
    pub closing: Option<UnixMillis>,
    /// Own messages stored lately, and the highest height that an issuer names: said again if the epoch was over then.
    pub recent: BoundedVec<(OrderKey, Height), SESSION_IN_FLIGHT_MAX>,
    pub replaced: BoundedVec<(DeviceId, UnixMillis), SESSION_WISHES_MAX>,
}
row!(Session, "session", 1024 * 1024);

impl Session {
    /// Whether at this height an epoch may be over, and its grace, of which this device does not know that yet.
    #[must_use]
    pub fn may_be_over(&self, epoch: u64, height: Height) -> bool {
        let follows = matches!(self.standing, Standing::Active | Standing::Joining);
        let open = self
            .node
            .as_ref()
            .and_then(|node| node.children.get(usize::from(self.judged)));
        let lasts = open.map_or(self.looked, |child| child.place.height.min(self.looked));
        follows && epoch == self.epoch && is_after_grace(height, lasts)
    }

    /// Whether this device could not follow, and others may add it anew.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        match self.standing {
            Standing::Behind => true,
            Standing::Stranded => self.asked > 0,
            _ => false,
        }
    }

    /// Whether this device stands in no epoch of it, so that a Welcome may bring it into one.
    #[must_use]
    pub const fn is_out(&self) -> bool {
        self.is_behind() || matches!(self.standing, Standing::Removed)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    pub entry: GroupEntryId,
    pub authenticator: [u8; 32],
    pub keys: Secret,
    pub ended: LedgerPlace,
    pub leaves: BoundedVec<(u32, IdentityId, DeviceId, bool), SESSION_LEAVES_MAX>,
    pub read: bool,
}
row!(Past, "session past epoch", 256 * 1024);

impl Past {
    /// Until when its messages are taken at least.
    #[must_use]
    pub const fn over(&self) -> UnixMillis {
        let past = SESSION_PAST_SECONDS.saturating_mul(1000);
        self.ended.time.saturating_add(past)
    }

    /// Whether a device that was a member was removed at its end.
    #[must_use]
    pub fn removed(&self, identity: &IdentityId, device: &DeviceId) -> bool {
        let mut removed = self.leaves.iter().filter(|(.., removed)| *removed);
        removed.any(|(_, of, which, _)| (of, which) == (identity, device))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Use {
    Epoch(u64),
    Commit,
    Welcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxRow {
    pub handle: GroupHandle,
    pub what: Use,
}
row!(MailboxRow, "session mailbox", 128);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    pub author: IdentityId,
    pub sent: UnixMillis,
    pub received: UnixMillis,
    pub content: Option<Content>,
    pub stored: Option<(MailboxTag, EnvelopeId)>,
    pub session: Option<GroupHandle>,
    pub mark: Option<Mark>,
    pub marks: BoundedVec<(IdentityId, Mark), SESSION_RECEIPT_MEMBERS_MAX>,
    /// When it disappears.
    pub gone: Option<UnixMillis>,
    /// The owner's device that has handed it over.
    pub given: Option<DeviceId>,
}
row!(MessageRow, "session message", MESSAGE_BODY_BYTES_MAX + 4096);

impl MessageRow {
    /// A row of the table as people see it.
    #[must_use]
    pub fn shown(key: &[u8], value: &[u8]) -> Option<Message> {
        let order = OrderKey::from_bytes(key.get(32..)?)?;
        let row = Self::from_bytes(value).ok()?;
        Some(Message {
            order,
            id: order.id,
            author: row.author,
            device: order.device,
            sent: row.sent,
            received: row.received,
            given: row.given,
            content: row.content,
            mark: row.mark,
            marks: row.marks.into_inner(),
            stored: row.stored,
        })
    }

    /// As it is handed over: not if it was erased, has disappeared, is too old or has no place yet.
    #[must_use]
    pub fn said(&self, order: OrderKey, since: Option<UnixMillis>, now: UnixMillis) -> Option<Said> {
        let gone = self.gone.is_some_and(|gone| gone <= now);
        let old = since.is_some_and(|since| self.sent < since);
        let left_out = gone || old || self.mark == Some(Mark::Queued);
        Some(Said {
            order,
            author: self.author,
            sent: self.sent,
            gone: self.gone,
            content: self.content.clone().filter(|_| !left_out)?,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen {
    Kept(OrderKey),
    Passed,
    Erased,
}
row!(Seen, "session seen", 128);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    pub id: MessageId,
    pub sent: UnixMillis,
    /// Its epoch and clock, once it was encrypted: from then on its place is fixed.
    pub placed: Option<(u64, u64)>,
    /// The key under which it is kept, if it is a message that is kept.
    pub kept: Option<OrderKey>,
    pub content: Content,
}
row!(Queued, "session queue", MESSAGE_BODY_BYTES_MAX + 512);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
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
    /// A page of history for this device.
    History(DeviceId),
    /// The message that waits under this number.
    Acceptance(GroupHandle, u64),
}

/// What a session has to know of an identity that is on the ledger. Its keys, each of which costs as much to check as a
/// signature, are not needed for it, and there may be a thousand identities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub deactivated: Option<Height>,
    /// Its devices, when each was added, and when revoked.
    pub devices: BoundedVec<(DeviceId, Height, Option<Height>), DEVICES_PER_IDENTITY_MAX>,
}

impl Known {
    #[must_use]
    pub fn of(state: &IdentityState) -> Self {
        let devices = state.devices.iter();
        let devices = devices.map(|entry| (entry.keys.device_id(), entry.added, entry.revoked));
        Self {
            deactivated: state.deactivated(),
            devices: BoundedVec::try_from_iter(devices).unwrap_or_default(),
        }
    }

    fn device(&self, id: &DeviceId) -> Option<(Height, Option<Height>)> {
        let found = self.devices.iter().find(|(device, ..)| device == id);
        found.map(|(_, added, revoked)| (*added, *revoked))
    }

    /// Whether a device is or was one of its.
    #[must_use]
    pub fn has(&self, id: &DeviceId) -> bool {
        self.device(id).is_some()
    }

    /// The devices that are not revoked.
    pub fn live(&self) -> impl Iterator<Item = DeviceId> {
        let live = self.devices.iter().filter(|(.., revoked)| revoked.is_none());
        live.map(|(device, ..)| *device)
    }

    /// Whether a device was live at a height.
    #[must_use]
    pub fn was_live(&self, id: &DeviceId, height: Height) -> bool {
        self.device(id).is_some_and(|(added, _)| added <= height) && self.ended(id).is_none_or(|ended| height < ended)
    }

    /// When a device stopped being one of its.
    #[must_use]
    pub fn ended(&self, id: &DeviceId) -> Option<Height> {
        let (_, revoked) = self.device(id)?;
        revoked.into_iter().chain(self.deactivated).min()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub state: Option<Known>,
    pub height: Height,
    pub checked: UnixMillis,
    pub looking: Option<EffectId>,
}
row!(Peer, "session peer", 64 * DEVICES_PER_IDENTITY_MAX + 128);

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRow {
    pub author: IdentityId,
    pub device: DeviceId,
    pub epoch: u64,
    /// It was stored at this height at the latest.
    pub height: Height,
    /// When its author was removed, if that was long before.
    pub removed: Option<Height>,
    /// Whether the ledger is being asked when it was stored.
    pub asking: bool,
    pub stored: (MailboxTag, EnvelopeId),
    pub body: Body,
}
row!(WaitingRow, "session waiting message", MESSAGE_BODY_BYTES_MAX + 512);

impl WaitingRow {
    /// Whether it may have been stored after its author's device was removed or revoked, and the grace was over.
    #[must_use]
    pub fn is_late(&self, author: Option<&Known>) -> bool {
        let revoked = author.and_then(|author| author.ended(&self.device));
        let mut ends = [self.removed, revoked].into_iter().flatten();
        ends.any(|ended| is_after_grace(self.height, ended))
    }
}

/// Whether nothing is heard any more at a height of who was removed or revoked at another one.
#[must_use]
pub fn is_after_grace(height: Height, ended: Height) -> bool {
    height > ended.saturating_add(SESSION_GRACE_HEIGHTS)
}

/// For how long look-ups of that many members are good: to say something, and while nothing is said; in milliseconds.
#[must_use]
pub fn peer_ages(members: usize) -> (u64, u64) {
    let members = u64::try_from(members).unwrap_or(u64::MAX);
    let rounds = members.div_ceil(MEMBERS_PER_ROUND).max(1).saturating_mul(1000);
    (
        SESSION_SYNC_SECONDS_MAX.saturating_mul(rounds),
        SESSION_PEER_SECONDS_MAX.saturating_mul(rounds),
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    pub by: (IdentityId, DeviceId),
    pub ask_next: UnixMillis,
    pub asked: u8,
}
row!(Invitation, "session invitation", 256);

/// A Welcome whose parts are being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedWelcome {
    pub by: (IdentityId, DeviceId),
    pub handle: GroupHandle,
    pub entry: GroupEntryId,
    pub stored: StoredWelcome,
}
row!(AwaitedWelcome, "session awaited welcome", 4 * 1024);

/// A Welcome that waits for the ledger to show the entry that it names, and for this device to stand in no other epoch of the
/// session. Its bytes are beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldWelcome {
    pub by: (IdentityId, DeviceId),
    pub handle: GroupHandle,
    pub entry: GroupEntryId,
}
row!(HeldWelcome, "session held welcome", 256);

impl HeldWelcome {
    /// Its row, and the row of its bytes.
    #[must_use]
    pub fn rows(&self) -> [Vec<u8>; 2] {
        let (handle, entry) = (self.handle.as_bytes(), self.entry.as_bytes());
        [HELD, HELD_BYTES].map(|first| key(&[first, handle, entry, self.by.1.as_bytes()]))
    }
}

/// A group into which the owner has asked to be let.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joining {
    pub ask: IdentityId,
    pub proof: [u8; 32],
    pub expires: UnixSeconds,
    pub sent: bool,
}
row!(Joining, "session request to join", 128);

/// History that is handed over, from the newest message of each conversation to its oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Giving {
    pub asked: UnixMillis,
    pub since: Option<UnixMillis>,
    /// The conversation that is next, or the first after it, and its first message that was handed over.
    pub at: ConversationId,
    pub before: Option<OrderKey>,
    /// Pages that may still be made, and those that are on their way.
    pub left: u16,
    pub open: u16,
}
row!(Giving, "session history", 256);

/// A page of history that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRow {
    pub device: DeviceId,
    pub at: UnixMillis,
    pub page: Page,
}
row!(PageRow, "session page", MESSAGE_BODY_BYTES_MAX + 64);

/// What a row of [`Table::Expiry`](crate::table::Table::Expiry) is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Forget {
    /// A row of [`Table::Seen`](crate::table::Table::Seen).
    Seen,
    /// A message that disappears.
    Message,
    /// Something of a session is due: a past epoch, a request.
    Session,
    /// Receipts of a conversation are due.
    Receipts,
    /// An invitation is due.
    Invitation,
    /// A part of a Welcome.
    Part,
    /// The owner's request to be let into a group.
    Joining,
}

impl Forget {
    const ALL: [Self; 7] = [
        Self::Seen,
        Self::Message,
        Self::Session,
        Self::Receipts,
        Self::Invitation,
        Self::Part,
        Self::Joining,
    ];

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// The state of the current epoch in [`Table::Group`](crate::table::Table::Group).
pub const CURRENT: u8 = 0;

/// The state that the own commit leads to.
pub const NEXT: u8 = 1;

/// What the rows of Welcomes begin with whose parts are being read.
pub const AWAITED: &[u8] = &[0];

/// What the rows of Welcomes begin with that wait for the ledger, and those of their bytes.
pub const HELD: &[u8] = &[2];
const HELD_BYTES: &[u8] = &[3];

/// How long a commit waits for key packages that are being fetched, so that one commit adds all; in milliseconds.
pub const PACKAGES_MS: u64 = 3_000;

/// In the place of a part, the Welcome of the own commit.
pub const WELCOME: u8 = 0xff;

/// A key of several parts.
#[must_use]
pub fn key(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub fn group_key(handle: &GroupHandle, which: u8) -> Vec<u8> {
    key(&[handle.as_bytes(), &[which]])
}

/// The row of [`Table::Group`](crate::table::Table::Group) that messages leave as it is, beside the one that they change.
pub fn epoch_part(row: &[u8]) -> Vec<u8> {
    key(&[row, &[0xff]])
}

/// The last state with those who were removed at the end of an epoch, in [`Table::Group`](crate::table::Table::Group).
pub fn past_group_key(handle: &GroupHandle, epoch: u64) -> Vec<u8> {
    key(&[handle.as_bytes(), &[2], &epoch.to_be_bytes()])
}

pub fn past_key(handle: &GroupHandle, epoch: u64) -> Vec<u8> {
    key(&[handle.as_bytes(), &epoch.to_be_bytes()])
}

/// One part of the commit of an entry, in [`Table::Commit`](crate::table::Table::Commit).
pub fn part_key(handle: &GroupHandle, entry: &GroupEntryId, part: u8) -> Vec<u8> {
    key(&[handle.as_bytes(), entry.as_bytes(), &[part]])
}
