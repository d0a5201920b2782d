//! The decisions of a device about its conversations, without sockets, disks or clocks.
//!
//! [`step`] takes one [`Input`] and the time, reads through a [`View`], and gives one [`Batch`] with everything that the
//! step changes: the epoch, past epochs, messages, the use of a key package, and what is to be done next. The
//! host applies the batch in the transaction in which it was made. What is to be done ([`due`]) is part of it: a crash
//! between two steps loses nothing, and what is done twice is harmless.
//!
//! ```text
//!            ┌─── step(view, owner, known, checkpoint, now, rng, input) ───┐
//!  owner ───▶│ StartDirect, CreateGroup, Change, Send, MarkRead, …         │──▶ Batch (applied first)
//!  ledger ──▶│ Node, Identity                                              │──▶ Events (told then)
//!  nodes ───▶│ Envelope, Read, Sealed                                      │
//!  host ────▶│ Done(effect, answer), Tick                                  │
//!            └─────────────────────────────────────────────────────────────┘
//!  due(view)     ─▶ effects to carry out, at least once, each answered by Done
//!  watches(view) ─▶ entries of the ledger and mailboxes to look at
//! ```
//!
//! What only reads fails as the store does, or with [`StepError::Damaged`].

use crate::Owner;
use tokenim_conversation::note;
use tokenim_envelope::Checkpoint;
use tokenim_wire::UnixMillis;

mod face;
mod machine;
mod query;
mod record;
mod tx;

pub use face::{
    Action, Answer, Change, ConversationId, Effect, EffectId, Event, Info, Input, MailboxWatch, Mark, Member, Message,
    Outcome, Refusal, Standing, Watches, Why,
};
pub use query::{conversation, conversations, due, links, messages, newest, receipts, requests, wake, watches};
pub use tokenim_conversation::{
    note::SESSION_KIND,
    table::{Batch, Row, Table, View, Write},
};
pub use tx::StepError;

/// Makes one step. `known` names the extensions that this software can read beside the contents that all can: what needs
/// another one is refused with [`Why::Extension`]. `checkpoint` is the newest final header that the host knows: each message
/// tells it to the others, whose hosts compare it.
///
/// # Errors
/// [`StepError`]; nothing has changed then. [`StepError::Refused`] is the fault of whoever sent the input.
pub fn step<V: View>(
    view: &V,
    owner: &Owner,
    known: &[&str],
    checkpoint: Option<Checkpoint>,
    now: UnixMillis,
    rng: &mut impl rand_core::CryptoRng,
    input: Input,
) -> Result<Outcome, StepError<V::Error>> {
    let mut machine = machine::Machine::new(view, owner, known, checkpoint, now, rng)?;
    machine.input(input)?;
    machine.finish()
}
