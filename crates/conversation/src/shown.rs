//! What a device shows of conversations, and what its owner may want of them, in the words of all who take part.

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::{MailboxTag, group::GroupHandle};
use tokenim_wire::{EnvelopeId, Label, UnixMillis, bytes_newtype, hash};

use crate::{
    content::{Content, ExtensionName},
    order::OrderKey,
    policy::Role,
};

bytes_newtype! {
    /// The name of a conversation on the devices of its members; the ledger never sees that of two people.
    pub struct ConversationId([u8; 32]);
}

impl ConversationId {
    /// The label of the names of conversations of two people.
    pub const LABEL: Label = Label::new("tokenim/conversation/v1");

    /// That of two people: `H("tokenim/conversation/v1", lower id 32 ‖ higher id 32)`. They keep it over all sessions that
    /// they ever have.
    #[must_use]
    pub fn between(one: &IdentityId, other: &IdentityId) -> Self {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        Self::from_bytes(hash(Self::LABEL, &[low.as_bytes(), high.as_bytes()]).to_bytes())
    }

    /// That of a group: the bytes of its handle.
    #[must_use]
    pub const fn group(handle: &GroupHandle) -> Self {
        Self::from_bytes(handle.to_bytes())
    }
}

/// A change of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Change {
    /// Invite somebody, with all devices.
    Invite(IdentityId),
    /// Remove somebody, with all devices.
    Remove(IdentityId),
    /// Leave.
    Leave,
    /// Give the group another name.
    Rename(String),
    /// Give a member another role.
    SetRole(IdentityId, Role),
    /// Let messages disappear after so many seconds, or stay.
    Disappear(Option<u64>),
    /// Renew the keys of this device.
    Refresh,
}

/// How far a message of the owner's has come. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mark {
    /// 0: kept on this device.
    Queued,
    /// 1: kept by W nodes: from here on the network answers for it.
    Stored,
    /// 2: the other people have it.
    Delivered,
    /// 3: they have read it.
    Read,
}

/// The one thing to do where the machine can't go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Action {
    /// Nobody can follow the session any more: make a new group, without the culprit.
    StartAnew,
    /// This device can't follow the session, and nobody has answered its requests: be online together with another
    /// member, then ask again with [`Change::Refresh`].
    AskToBeReadded,
    /// Nobody in the group may admit, and none of its owners is left: make a new group.
    NoOwner,
    /// Somebody has no key package left: their device must come online.
    NoPackage(IdentityId),
    /// There is no such identity.
    NoIdentity(IdentityId),
}

/// How this device stands in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// 0: it is being made, or an invitation is being taken up.
    Joining,
    /// 1: a member that is up to date as far as it knows.
    Active,
    /// 2: a member that can't follow; it has asked to be removed and re-added.
    Behind,
    /// 3: no member any more; or, of two people, the other one has left.
    Removed,
    /// 4: nobody can go on in this session.
    Stranded,
}

/// A member and its devices in the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub identity: IdentityId,
    /// The role.
    pub role: Role,
    /// The devices that are in the session.
    pub devices: Vec<DeviceId>,
}

/// A conversation as people see it; `S` names suites of MLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info<S> {
    /// Its id, which never changes.
    pub conversation: ConversationId,
    /// The session in which it goes on; `None` until there is one.
    pub handle: Option<GroupHandle>,
    /// The other one, if it is of two people.
    pub with: Option<IdentityId>,
    /// Its name; empty for two people.
    pub name: String,
    /// Who is in it.
    pub members: Vec<Member>,
    /// What protects it.
    pub suite: Option<S>,
    /// The epoch.
    pub epoch: u64,
    /// The epoch's authenticator: the same for all members.
    pub authenticator: [u8; 32],
    /// After how many seconds messages disappear.
    pub disappear_after: Option<u64>,
    /// How this device stands in it.
    pub standing: Standing,
    /// Messages of the owner's that wait.
    pub queued: usize,
    /// Up to where the owner has read it on this device.
    pub read: Option<OrderKey>,
    /// What the owner has to do, if anything.
    pub action: Option<Action>,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its place: the same for all members.
    pub order: OrderKey,
    /// Its id.
    pub id: MessageId,
    /// Who wrote it.
    pub author: IdentityId,
    /// With which device.
    pub device: DeviceId,
    /// When, by the author's clock.
    pub sent: UnixMillis,
    /// When it came, by this device's clock.
    pub received: UnixMillis,
    /// What it says; `None` if its author has erased it.
    pub content: Option<Content>,
    /// How far it has come, if it is the owner's.
    pub mark: Option<Mark>,
    /// How far it has come with each of the others, as they say.
    pub marks: Vec<(IdentityId, Mark)>,
    /// The owner's device that has handed it over, if it did not come from its author: it is what that device says.
    pub given: Option<DeviceId>,
    /// The envelope that brought it, and its mailbox: what a proof of acceptance is about.
    pub stored: Option<(MailboxTag, EnvelopeId)>,
}

/// Why an input from outside is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// It does not decode, or not to what belongs there.
    #[error("it is malformed")]
    Malformed,
    /// It is longer than allowed.
    #[error("it is too long")]
    TooLong,
    /// It is for no mailbox, session or entry that this device looks at.
    #[error("it belongs to nothing that this device knows")]
    Unknown,
    /// It is of an epoch that this device has left, or never was in.
    #[error("it is of an epoch that is over here")]
    Epoch,
    /// It came before.
    #[error("it came before")]
    Replayed,
    /// It does not open, or its signature is not its author's.
    #[error("it does not open")]
    Forged,
    /// Its author is no member.
    #[error("its author is no member")]
    NotAMember,
    /// Its author may not do this.
    #[error("its author may not do this")]
    NotAllowed,
    /// Its author's device is revoked, or is not the identity's.
    #[error("its author's device is not one of the identity's")]
    Revoked,
    /// It needs a newer version of this software, and says so.
    #[error("it needs a newer version of this software")]
    TooNew,
    /// It needs an extension that is not known here, and says so.
    #[error("it needs the extension {0}, which is not known here: a newer version may know it")]
    Extension(ExtensionName),
    /// There is no room for more of it.
    #[error("there is no room for more of it")]
    Full,
}

/// An input from outside that is refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused: {why}")]
pub struct Refusal {
    /// Why.
    pub why: Why,
    /// Whose doing it is, where that is provable.
    pub author: Option<IdentityId>,
    /// In which conversation, where that is known.
    pub conversation: Option<ConversationId>,
}

impl Refusal {
    /// What somebody sent is refused.
    #[must_use]
    pub const fn of(why: Why, author: Option<IdentityId>) -> Self {
        Self {
            why,
            author,
            conversation: None,
        }
    }
}

impl From<Why> for Refusal {
    fn from(why: Why) -> Self {
        Self::of(why, None)
    }
}
