//! Envelopes by mailbox, each with the log that receipts are signed from.

use crate::{error::StoreError, maybe_send::MaybeSend};
use alloc::{sync::Arc, vec::Vec};
use core::{fmt, future::Future};
use tokenim_mailbox::{Incarnation, LogEntry, LogId, LogPosition, MailboxTag, mmr::Accumulator};
use tokenim_wire::{
    Digest, EnvelopeId, Height, SetEpoch, UnixSeconds,
    limits::{MAILBOX_BYTES_MAX, MAILBOX_ENVELOPES_MAX},
};

/// An envelope to be kept. Its `Debug` shows only the envelope's length.
#[derive(Clone, PartialEq, Eq)]
pub struct Put {
    /// The mailbox.
    pub tag: MailboxTag,
    /// The envelope's id. That it is the hash of the bytes has been checked.
    pub envelope: EnvelopeId,
    /// The envelope's expiry, which its id commits to.
    pub expiry: UnixSeconds,
    /// The envelope, at most [`ENVELOPE_BYTES_MAX`](tokenim_wire::limits::ENVELOPE_BYTES_MAX).
    pub bytes: Vec<u8>,
    /// The set epoch of the log that it goes into.
    pub set_epoch: SetEpoch,
    /// The incarnation of the log that it goes into.
    pub incarnation: Incarnation,
    /// The ledger height that the node has seen.
    pub height: Height,
}

impl Put {
    /// The log that it goes into.
    #[must_use]
    pub const fn log(&self) -> LogId {
        LogId {
            set_epoch: self.set_epoch,
            incarnation: self.incarnation,
        }
    }
}

/// A line of a log and the state of the log right after that line was appended: what a storage receipt is signed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutOutcome {
    /// The log.
    pub log: LogId,
    /// The line.
    pub entry: LogEntry,
    /// Lines in the log, this one included.
    pub size: u64,
    /// The root of the log with so many lines.
    pub root: Digest,
    /// The height to sign, which may be above the one that was put.
    pub height: Height,
    /// Whether this call appended the line; else an earlier one did, and all else is as it was then.
    pub fresh: bool,
}

impl PutOutcome {
    /// The position to sign in a storage receipt.
    #[must_use]
    pub const fn position(&self) -> LogPosition {
        LogPosition {
            set_epoch: self.log.set_epoch,
            incarnation: self.log.incarnation,
            index: self.entry.index,
            size: self.size,
            root: self.root,
            height: self.height,
        }
    }
}

/// The state of a log: what a signed head is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The set epoch of the log.
    pub set_epoch: SetEpoch,
    /// The incarnation of the log.
    pub incarnation: Incarnation,
    /// Lines in the log.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// The height to sign, which may be above or below the one that was passed.
    pub height: Height,
}

impl LogHead {
    /// The head of a log without lines, for a mailbox that nothing was ever put into. The height is that of the
    /// [`Page`].
    #[must_use]
    pub fn empty(log: LogId, height: Height) -> Self {
        Self {
            set_epoch: log.set_epoch,
            incarnation: log.incarnation,
            size: 0,
            root: Accumulator::new().root(),
            height,
        }
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> LogId {
        LogId {
            set_epoch: self.set_epoch,
            incarnation: self.incarnation,
        }
    }

    /// The position to sign in a head.
    #[must_use]
    pub const fn position(&self) -> LogPosition {
        LogPosition {
            set_epoch: self.set_epoch,
            incarnation: self.incarnation,
            index: self.size,
            size: self.size,
            root: self.root,
            height: self.height,
        }
    }
}

/// A line of one of a mailbox's logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its arrival number: counts the lines of all logs of the mailbox from zero, without gaps.
    pub sequence: u64,
    /// The log.
    pub log: LogId,
    /// The line.
    pub entry: LogEntry,
}

/// A line of one of a mailbox's logs, with its envelope. Its `Debug` shows only the envelope's length.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its arrival number: counts the lines of all logs of the mailbox from zero, without gaps. Equal to the line's
    /// index as long as the mailbox has one log.
    pub sequence: u64,
    /// The log.
    pub log: LogId,
    /// The line.
    pub entry: LogEntry,
    /// The envelope; `None` once it has expired and was deleted.
    pub bytes: Option<Vec<u8>>,
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put")
            .field("tag", &self.tag)
            .field("envelope", &self.envelope)
            .field("expiry", &self.expiry)
            .field("bytes", &self.bytes.len())
            .field("set_epoch", &self.set_epoch)
            .field("incarnation", &self.incarnation)
            .field("height", &self.height)
            .finish()
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("sequence", &self.sequence)
            .field("log", &self.log)
            .field("entry", &self.entry)
            .field("bytes", &self.bytes.as_ref().map(Vec::len))
            .finish()
    }
}

/// The answer to one read, all of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Lines by arrival number, without gaps.
    pub entries: Vec<Stored>,
    /// The newest log, `None` if the mailbox has none.
    pub head: Option<LogHead>,
    /// The height at which to sign the head of a mailbox that has no log, with [`LogHead::empty`]; may be below the one
    /// passed. Any other might be above that of a first line which is just being written.
    pub height: Height,
    /// From where to read on: the arrival number after the last line given, or where the first will be.
    pub next: u64,
}

/// How much a store holds. Expired envelopes count until they are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MailboxStats {
    /// Envelopes; one that is in several mailboxes counts in each.
    pub envelopes: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How much one mailbox may hold. Expired envelopes count until they are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxLimits {
    /// Envelopes.
    pub envelopes_max: u64,
    /// Their bytes.
    pub bytes_max: u64,
}

impl Default for MailboxLimits {
    fn default() -> Self {
        Self {
            envelopes_max: MAILBOX_ENVELOPES_MAX,
            bytes_max: MAILBOX_BYTES_MAX,
        }
    }
}

impl MailboxLimits {
    /// Whether `bytes` more fit into a mailbox that holds `held`.
    ///
    /// # Errors
    /// [`StoreError::MailboxFull`].
    pub fn check(&self, held: &MailboxStats, bytes: u64) -> Result<(), StoreError> {
        let bytes = held.bytes.saturating_add(bytes);
        if held.envelopes >= self.envelopes_max || bytes > self.bytes_max {
            return Err(StoreError::MailboxFull);
        }
        Ok(())
    }
}

/// Keeps envelopes by mailbox until they expire, and a log per mailbox, set epoch and incarnation for good.
///
/// Each call is atomic for the mailbox it is about: an envelope is there exactly if its line is in the log, and the head
/// is that of the lines. What returned `Ok` outlasts a crash of the process and of the machine. Dropping a future that
/// was polled does not take the call back: it may still happen.
///
/// *Heights.* A receipt or head names a ledger height, and to sign a smaller log at a greater height is misconduct. So
/// the store hands out the heights: it never appends a line at a lower height than any passed to it before, in whatever
/// call, nor gives a head a lower one than its last line has. A node that signs exactly the
/// [`PutOutcome::position`]s and [`LogHead::position`]s it gets, and passes heights that survive its restarts, is safe.
pub trait MailboxStore: Send + Sync + 'static {
    /// Keeps an envelope and appends its line to the log.
    ///
    /// Idempotent by mailbox, log and envelope: a repeat gets the outcome of the first, even when the envelope has
    /// expired since or the store is full. An envelope that the mailbox holds already is kept once for all its lines,
    /// with the expiry that came first.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::MailboxFull`], [`StoreError::Full`], which leave all as it was, and
    /// others.
    fn put(&self, put: Put) -> impl Future<Output = Result<PutOutcome, StoreError>> + MaybeSend;

    /// Lines of a mailbox from arrival number `from`, with their envelopes: at most `items_max` of them, and as long as
    /// their envelopes have together at most `bytes_max` bytes; but at least one, if there is one and `items_max` is
    /// not zero, so that every reader gets on. Reads no envelope that it doesn't return. `at` is the ledger height that
    /// the node has seen.
    ///
    /// A node that lost its store numbers from zero again; the head's incarnation tells.
    ///
    /// # Errors
    /// [`StoreError`].
    fn read(
        &self,
        tag: &MailboxTag,
        from: u64,
        items_max: usize,
        bytes_max: usize,
        at: Height,
    ) -> impl Future<Output = Result<Page, StoreError>> + MaybeSend;

    /// An envelope, with its first line by arrival number.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(
        &self,
        tag: &MailboxTag,
        envelope: &EnvelopeId,
    ) -> impl Future<Output = Result<Option<Stored>, StoreError>> + MaybeSend;

    /// Whether a mailbox holds an envelope, not yet deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    fn contains(
        &self,
        tag: &MailboxTag,
        envelope: &EnvelopeId,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Deletes at most `limit` envelopes whose expiry is at most `now`, the earliest first, and returns how many. Their
    /// lines stay. The work is in proportion to what is deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    fn expire(&self, now: UnixSeconds, limit: usize) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// At most `limit` mailboxes that have a log, ascending, those after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn tags(
        &self,
        after: Option<MailboxTag>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<MailboxTag>, StoreError>> + MaybeSend;

    /// At most `limit` lines of a mailbox from arrival number `from`, without their envelopes.
    ///
    /// # Errors
    /// [`StoreError`].
    fn log(
        &self,
        tag: &MailboxTag,
        from: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Logged>, StoreError>> + MaybeSend;

    /// The newest log of a mailbox, the one with the greatest set epoch and incarnation. `at` is the ledger height that
    /// the node has seen.
    ///
    /// # Errors
    /// [`StoreError`].
    fn head(
        &self,
        tag: &MailboxTag,
        at: Height,
    ) -> impl Future<Output = Result<Option<LogHead>, StoreError>> + MaybeSend;

    /// How much it holds.
    ///
    /// # Errors
    /// [`StoreError`].
    fn stats(&self) -> impl Future<Output = Result<MailboxStats, StoreError>> + MaybeSend;
}

impl<S: MailboxStore> MailboxStore for Arc<S> {
    fn put(&self, put: Put) -> impl Future<Output = Result<PutOutcome, StoreError>> + MaybeSend {
        (**self).put(put)
    }

    fn read(
        &self,
        tag: &MailboxTag,
        from: u64,
        items_max: usize,
        bytes_max: usize,
        at: Height,
    ) -> impl Future<Output = Result<Page, StoreError>> + MaybeSend {
        (**self).read(tag, from, items_max, bytes_max, at)
    }

    fn get(
        &self,
        tag: &MailboxTag,
        envelope: &EnvelopeId,
    ) -> impl Future<Output = Result<Option<Stored>, StoreError>> + MaybeSend {
        (**self).get(tag, envelope)
    }

    fn contains(
        &self,
        tag: &MailboxTag,
        envelope: &EnvelopeId,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend {
        (**self).contains(tag, envelope)
    }

    fn expire(&self, now: UnixSeconds, limit: usize) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend {
        (**self).expire(now, limit)
    }

    fn tags(
        &self,
        after: Option<MailboxTag>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<MailboxTag>, StoreError>> + MaybeSend {
        (**self).tags(after, limit)
    }

    fn log(
        &self,
        tag: &MailboxTag,
        from: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Logged>, StoreError>> + MaybeSend {
        (**self).log(tag, from, limit)
    }

    fn head(
        &self,
        tag: &MailboxTag,
        at: Height,
    ) -> impl Future<Output = Result<Option<LogHead>, StoreError>> + MaybeSend {
        (**self).head(tag, at)
    }

    fn stats(&self) -> impl Future<Output = Result<MailboxStats, StoreError>> + MaybeSend {
        (**self).stats()
    }
}
