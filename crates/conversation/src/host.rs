//! What a machine of conversations and the host around it say to each other, as far as no library for MLS has a part in it.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;
use tokenim_envelope::{Checkpoint, MessageId};
use tokenim_identity::{DeviceId, IdentityId, IdentityState, MailboxSigningKey};
use tokenim_mailbox::{
    Descriptor, KeyPackage, QuorumReceipt,
    group::{GroupEntryId, GroupHandle},
};
use tokenim_wire::{Height, u64_newtype};

use crate::{
    door::InviteName,
    order::OrderKey,
    shown::{Action, ConversationId, Mark, Refusal, Why},
    table::Batch,
};

u64_newtype! {
    /// Names one effect of this device. Numbers rise and never come again.
    pub struct EffectId(u64);
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
    /// The height that an accepted envelope was signed at; `None` if the ledger has none of it.
    Accepted(Option<Height>),
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
    /// Whether it brings a single commit, rather than messages: then it needs no position, and its end is not told.
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
    /// This member did what no honest software does. It is not followed; if it can't be, this device is Behind.
    Culprit {
        /// Where.
        conversation: ConversationId,
        /// Who.
        identity: IdentityId,
    },
    /// What this identity sent is refused, and is lost.
    Refused {
        /// Where, as far as that is known.
        conversation: Option<ConversationId>,
        /// Who.
        author: IdentityId,
        /// Why.
        why: Why,
    },
    /// Somebody else's epoch is another one than the owner's: one of the two is shown a false ledger.
    Diverged(ConversationId),
    /// A link into this group was made, or revoked.
    Link(ConversationId, InviteName),
    /// Somebody who has a link asks to be let into this group.
    JoinRequest(ConversationId, IdentityId),
    /// What was said before is handed over to this device of the owner's, or as much of it as can be.
    HistoryGiven(DeviceId),
    /// The owner has to do something.
    Action(ConversationId, Action),
    /// What is kept, of this conversation as far as that is known, is damaged: all else goes on without it.
    Damaged(Option<ConversationId>),
}

impl Event {
    /// What the owner is told of a refusal: nothing, if it is not known whose doing it is.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Option<Self> {
        refusal.author.map(|author| Self::Refused {
            conversation: refusal.conversation,
            author,
            why: refusal.why,
        })
    }
}

/// What a step comes to. The host applies the batch first; then it tells the events and carries out what is due.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Everything that the step changes.
    pub batch: Batch,
    /// What to tell.
    pub events: Vec<Event>,
    /// What authors of messages say to have seen of the ledger. Kept with the batch, and compared later.
    pub seen: Vec<(IdentityId, Checkpoint)>,
}
