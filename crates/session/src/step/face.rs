//! What goes into a step, and what comes out.

use crate::SessionSuite;
use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;
use tokenim_conversation::{content::Content, door::InviteName, link::InviteLink, order::OrderKey};
pub use tokenim_conversation::{
    host::{Answer, EffectId, Event, MailboxWatch, Outcome, Watches},
    shown::{Action, Change, ConversationId, Mark, Member, Message, Refusal, Standing, Why},
};
use tokenim_envelope::{MessageId, SealedEnvelope};
use tokenim_identity::{DeviceId, IdentityId, IdentityState, MailboxSigningKey};
use tokenim_mailbox::{
    Descriptor, KeyPackage, MailboxTag,
    group::{GroupEntryId, GroupHandle, GroupNode, GroupUpdate},
};
use tokenim_wire::{EnvelopeId, Height, UnixMillis};

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
    /// The owner makes a link by which people ask to be let into a group.
    MakeLink {
        /// Which.
        conversation: ConversationId,
        /// For how long requests are taken.
        lifetime_seconds: u64,
    },
    /// The owner revokes a link, or all into a group; who asked by it is forgotten.
    RevokeLink {
        /// The group.
        conversation: ConversationId,
        /// Which; `None` for all.
        link: Option<InviteName>,
    },
    /// The owner asks to be let in by a link.
    AskToJoin {
        /// The link.
        link: InviteLink,
    },
    /// The owner answers somebody who asks to be let in.
    AnswerRequest {
        /// Into which group.
        conversation: ConversationId,
        /// Who asks.
        identity: IdentityId,
        /// Whether to let them in; who is refused learns nothing and is not heard again.
        admit: bool,
    },
    /// The owner hands over what was said to another device of its own.
    GiveHistory {
        /// Which.
        device: DeviceId,
        /// What was said since then; `None` for all that is kept.
        since: Option<UnixMillis>,
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
        /// The height at which the nodes had it, at the latest.
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
    /// Ask the ledger when an envelope was accepted. Answer: [`Answer::Accepted`].
    Acceptance {
        /// The mailbox.
        tag: MailboxTag,
        /// The envelope.
        envelope: EnvelopeId,
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
            Self::Acceptance { .. } => "Acceptance",
            Self::Publish { .. } => "Publish",
        })
    }
}

/// A conversation as people see it.
pub type Info = tokenim_conversation::shown::Info<SessionSuite>;
