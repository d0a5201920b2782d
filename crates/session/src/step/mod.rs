//! The decisions of a device about its conversations, without sockets, disks or clocks.
//!
//! [`step`] takes one [`Input`] and the time, reads through a [`View`], and gives one [`Batch`] with everything that the
//! step changes: the epoch, past epochs, messages, the deletion of a used key package, and what is to be done next. The
//! host applies the batch in the transaction in which it was made. What is to be done ([`due`]) is part of it: a crash
//! between two steps loses nothing, and what is done twice is harmless.
//!
//! ```text
//!            ┌──────────── step(view, owner, now, rng, input) ─────────────┐
//!  owner ───▶│ StartDirect, CreateGroup, Change, Send, MarkRead            │──▶ Batch (applied first)
//!  ledger ──▶│ Node, Identity                                              │──▶ Events (told then)
//!  nodes ───▶│ Envelope, Read, Sealed                                      │
//!  host ────▶│ Done(effect, answer), Tick                                  │
//!            └─────────────────────────────────────────────────────────────┘
//!  due(view)     ─▶ effects to carry out, at least once, each answered by Done
//!  watches(view) ─▶ entries of the ledger and mailboxes to look at
//! ```

use crate::Owner;
use tokenim_identity::IdentityId;
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::{Label, UnixMillis, bytes_newtype, hash};

mod face;
mod machine;
mod note;
mod query;
mod record;
mod tx;
mod view;

pub use face::{
    Action, Answer, Change, Effect, EffectId, Event, Info, Input, MailboxWatch, Mark, Member, Message, Outcome,
    Refusal, Standing, StepError, Watches, Why,
};
pub use note::SESSION_KIND;
pub use query::{conversation, conversations, due, messages, wake, watches};
pub use view::{Batch, Row, Table, View, Write};

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

/// Makes one step.
///
/// # Errors
/// [`StepError`]; nothing has changed then. [`StepError::Refused`] is the fault of whoever sent the input.
pub fn step<V: View>(
    view: &V,
    owner: &Owner,
    now: UnixMillis,
    rng: &mut impl rand_core::CryptoRng,
    input: Input,
) -> Result<Outcome, StepError<V::Error>> {
    let mut machine = machine::Machine::new(view, owner, now, rng)?;
    machine.input(input)?;
    machine.finish()
}
