//! What goes into a step, and what comes out.

use super::{Batch, ConversationId};
use crate::SessionSuite;
use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;
use serde::{Deserialize, Serialize};
use tokenim_conversation::{content::Content, order::OrderKey, policy::Role};
use tokenim_envelope::{MessageId, SealedEnvelope};
use tokenim_identity::{DeviceId, IdentityId, IdentityState, MailboxSigningKey};
use tokenim_mailbox::{
    Descriptor, KeyPackage, MailboxTag, QuorumReceipt,
    group::{GroupEntryId, GroupHandle, GroupNode, GroupUpdate},
};
use tokenim_wire::{DecodeError, Height, UnixMillis, u64_newtype};

u64_newtype! {
    /// Names one effect of this device. Numbers rise and never come again.
    pub struct EffectId(u64);
}

/// What happens to the machine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// The owner wants to talk with somebody. What exists already is used.
    StartDirect {
        /// With whom.
        with: IdentityId,
    },
    /// The owner makes a group.
    CreateGroup {
        /// Its name.
        name: String,
        /// Whom to invite.
        members: Vec<IdentityId>,
        /// The suite; without it the post-quantum one while the group is small enough.
        suite: Option<SessionSuite>,
    },
    /// The owner changes a conversation.
    Change {
        /// Which.
        conversation: ConversationId,
        /// How.
        change: Change,
    },
    /// The owner says something.
    Send {
        /// Where.
        conversation: ConversationId,
        /// What.
        content: Content,
    },
    /// The owner has read a conversation up to here.
    MarkRead {
        /// Which.
        conversation: ConversationId,
        /// The last message read.
        up_to: OrderKey,
    },
    /// The owner's wishes for this device.
    Settings {
        /// Whether delivered and read receipts are sent.
        receipts: bool,
    },
    /// An effect was carried out, or can't be.
    Done(EffectId, Answer),
    /// What the ledger keeps under an entry, proved. Given at each answer, also if nothing is new: sending waits until the
    /// entry was looked at less than `SESSION_SYNC_SECONDS_MAX` ago.
    Node {
        /// The session.
        handle: GroupHandle,
        /// The entry.
        entry: GroupEntryId,
        /// Its state.
        node: Box<GroupNode>,
        /// The height of the header that proves it.
        height: Height,
    },
    /// An envelope from one of the mailboxes that [`watches`](super::watches) names.
    Envelope {
        /// The mailbox.
        tag: MailboxTag,
        /// The envelope.
        bytes: Vec<u8>,
        /// The height at which the nodes had it.
        height: Height,
    },
    /// A mailbox was read to its end from Q of its nodes, after all its envelopes were given.
    Read {
        /// The mailbox.
        tag: MailboxTag,
        /// The lowest height at which these nodes answered.
        height: Height,
    },
    /// A message of [`SESSION_KIND`](super::SESSION_KIND) from the contact inbox, opened and authenticated.
    Sealed {
        /// Who sent it.
        sender: IdentityId,
        /// With which device.
        device: DeviceId,
        /// Its body.
        body: Vec<u8>,
    },
    /// An identity's state on the ledger, proved. The host gives it when it changes, for the owner and everyone met.
    Identity {
        /// The state.
        state: Box<IdentityState>,
        /// The height of the header that proves it.
        height: Height,
    },
    /// Time passes.
    Tick,
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

/// What the host is to do. At least once: after a crash it is handed out again, so doing it twice must be harmless.
#[expect(clippy::large_enum_variant, reason = "short-lived")]
#[derive(Clone)]
#[non_exhaustive]
pub enum Effect {
    /// Put an envelope into a mailbox until W nodes keep it. Answer: [`Answer::Stored`].
    Put {
        /// The mailbox.
        descriptor: Descriptor,
        /// Gives the right to write to it.
        write_key: MailboxSigningKey,
        /// The envelope.
        envelope: SealedEnvelope,
    },
    /// Hand an update of a group log to the ledger. Answer: [`Answer::Included`].
    Ledger(Box<GroupUpdate>),
    /// Seal a message of [`SESSION_KIND`](super::SESSION_KIND) to a device and get it accepted. Answer: [`Answer::Sealed`].
    Seal {
        /// The recipient.
        to: IdentityId,
        /// Its device.
        device: DeviceId,
        /// The id of the message: the same each time.
        id: MessageId,
        /// The body.
        body: Vec<u8>,
    },
    /// Take a key package from the contact stock of a device. Answer: [`Answer::Package`].
    FetchPackage {
        /// The identity.
        identity: IdentityId,
        /// Its device.
        device: DeviceId,
        /// Of which suite.
        suite: SessionSuite,
    },
    /// Look an identity up on the ledger. Answer: [`Answer::Identity`].
    Lookup {
        /// The identity.
        identity: IdentityId,
    },
    /// Make these the key packages in the own contact stock. Answer: [`Answer::Published`].
    Publish {
        /// The packages.
        packages: Vec<KeyPackage>,
    },
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put { .. } => "Put",
            Self::Ledger(_) => "Ledger",
            Self::Seal { .. } => "Seal",
            Self::FetchPackage { .. } => "FetchPackage",
            Self::Lookup { .. } => "Lookup",
            Self::Publish { .. } => "Publish",
        })
    }
}

/// What became of an effect. An effect that could not be carried out yet has no answer: the host goes on trying.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// W nodes keep the envelope.
    Stored(Box<QuorumReceipt>),
    /// The ledger has the update, perhaps from before.
    Included,
    /// The message is accepted.
    Sealed,
    /// The package; `None` if the device has none left.
    Package(Option<KeyPackage>),
    /// The identity, proved at this height; `None` if there is none.
    Identity(Option<Box<IdentityState>>, Height),
    /// The packages are published.
    Published,
    /// It is refused for good.
    Failed,
}

/// A mailbox that the host is to read.
#[derive(Clone)]
pub struct MailboxWatch {
    /// The mailbox.
    pub descriptor: Descriptor,
    /// Gives the right to read it.
    pub read_key: MailboxSigningKey,
    /// Whether it brings a single commit, rather than messages: then it needs no position and no [`Input::Read`].
    pub one_shot: bool,
}

impl fmt::Debug for MailboxWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailboxWatch")
            .field("one_shot", &self.one_shot)
            .finish_non_exhaustive()
    }
}

/// What the host is to look at.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    /// Entries of group logs, and how many children of each are known.
    pub nodes: Vec<(GroupHandle, GroupEntryId, u8)>,
    /// Mailboxes.
    pub mailboxes: Vec<MailboxWatch>,
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
    /// The log of the session is full of entries that nobody can follow: make a new group, without the culprit.
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

/// What a step says to the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A conversation is new, or its name, suite or state has changed.
    Conversation(ConversationId),
    /// A message came, was changed or was erased.
    Message(ConversationId, OrderKey),
    /// A message of the owner's has come further.
    Mark(ConversationId, MessageId, Mark),
    /// Members, their devices or roles have changed.
    Members(ConversationId),
    /// The session goes on in this epoch.
    Epoch(ConversationId, u64),
    /// This device is no longer a member.
    Removed(ConversationId),
    /// Somebody is typing.
    Typing(ConversationId, IdentityId),
    /// This member did what no honest software does; it had no effect.
    Culprit {
        /// Where.
        conversation: ConversationId,
        /// Who.
        identity: IdentityId,
    },
    /// Somebody else's epoch is another one than the owner's: one of the two is shown a false ledger.
    Diverged(ConversationId),
    /// The owner has to do something.
    Action(ConversationId, Action),
}

/// What a step comes to. The host applies the batch first; then it tells the events and carries out what is due.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Everything that the step changes.
    pub batch: Batch,
    /// What to tell.
    pub events: Vec<Event>,
}

/// Why an input from outside is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// There is no room for more of it.
    #[error("there is no room for more of it")]
    Full,
}

/// An input from outside that is refused. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused: {why}")]
pub struct Refusal {
    /// Why.
    pub why: Why,
    /// Whose doing it is, where that is provable.
    pub author: Option<IdentityId>,
}

impl From<Why> for Refusal {
    fn from(why: Why) -> Self {
        Self { why, author: None }
    }
}

/// Why a step was not made. Nothing has changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError<E> {
    /// What came from outside is refused; the host goes on with the next input.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// There is no such conversation.
    #[error("there is no such conversation")]
    UnknownConversation,
    /// This device is no longer in the conversation.
    #[error("this device is not in the conversation any more")]
    NotInConversation,
    /// The owner may not do this.
    #[error("the owner's role does not allow this")]
    NotAllowed,
    /// More than there is room for: members, devices, wishes or messages that wait.
    #[error("there is no room for more: {0}")]
    Full(&'static str),
    /// A text is too long, or is empty.
    #[error("the content is too long or empty")]
    Content,
    /// A kept value does not decode: the store was damaged or is another version's.
    #[error("a kept value in table {0:?} is damaged")]
    Damaged(super::Table),
    /// The state of the session is at fault.
    #[error("the session failed: {0}")]
    Session(crate::SessionError),
    /// A value has no encoding.
    #[error("a value is too large to be kept: {0}")]
    Encode(#[from] tokenim_wire::EncodeError),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(E),
}

impl<E> From<Why> for StepError<E> {
    fn from(why: Why) -> Self {
        Self::Refused(Refusal::from(why))
    }
}

impl<E> From<DecodeError> for StepError<E> {
    fn from(error: DecodeError) -> Self {
        Self::from(match error {
            DecodeError::TooLong { .. } => Why::TooLong,
            DecodeError::UnknownVersion { .. } => Why::TooNew,
            _ => Why::Malformed,
        })
    }
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

/// A conversation as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
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
    pub suite: Option<SessionSuite>,
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
    /// The envelope that brought it, and its mailbox: what a proof of acceptance is about.
    pub stored: Option<(MailboxTag, tokenim_wire::EnvelopeId)>,
}
