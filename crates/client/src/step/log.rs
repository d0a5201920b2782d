//! Reading one node's log of one mailbox, page by page, believing nothing.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use tokenim_identity::NodeKey;
use tokenim_mailbox::mmr::Accumulator;
use tokenim_mailbox::{HeadError, LogEntry, LogId, MailboxTag};
use tokenim_rpc::Page;
use tokenim_wire::limits::CLOCK_SKEW_SECONDS_MAX;
use tokenim_wire::{EnvelopeId, NetworkId, Object, UnixSeconds};

use super::Fault;

/// Times that a node may show another log within one walk before it is given up.
const LOG_CHANGES_MAX: u32 = 3;

/// How far a node's copy of a mailbox has been read and checked; kept per mailbox and node.
///
/// It holds the log's accumulator, not only a number, so that every later head which the node
/// signs is checked to be an extension of everything read before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCursor {
    /// The arrival number of the next item, over all of the node's logs for the mailbox.
    pub next: u64,
    /// The log that the node's heads are about.
    pub log: LogId,
    /// The lines read so far of that log.
    pub lines: Accumulator,
}

impl Object for LogCursor {
    const NAME: &'static str = "client log cursor";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = Accumulator::BYTES_MAX + 64;
}

impl LogCursor {
    const fn start(log: LogId) -> Self {
        Self {
            next: 0,
            log,
            lines: Accumulator::new(),
        }
    }

    fn pass(&mut self, log: LogId, entry: &LogEntry) -> Result<(), Fault> {
        if log == self.log {
            if entry.index != self.lines.size() {
                return Err(Fault::LogGap);
            }
            self.lines.push(entry.leaf()).map_err(|_| Fault::LogGap)?;
        }
        self.next = self.next.checked_add(1).ok_or(Fault::LogGap)?;
        Ok(())
    }
}

/// A copy whose bytes hash to its envelope id.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvelopeCopy {
    /// The envelope's id.
    pub envelope: EnvelopeId,
    /// The expiry that the log states.
    pub expiry: UnixSeconds,
    /// The envelope's bytes.
    pub bytes: Vec<u8>,
}

impl core::fmt::Debug for EnvelopeCopy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EnvelopeCopy")
            .field("envelope", &self.envelope)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// The reading of one node's log.
///
/// Two positions: the kept one, before which everything is known to the reader or expired, and
/// the one to read from, which runs ahead of it while copies are being opened.
#[derive(Debug, Clone)]
pub struct LogWalk {
    node: NodeKey,
    tag: MailboxTag,
    kept: Option<LogCursor>,
    at: Option<LogCursor>,
    ahead: VecDeque<(LogId, LogEntry)>,
    complete: bool,
    changes: u32,
}

impl LogWalk {
    /// Goes on from a kept position, or from the beginning.
    #[must_use]
    pub fn new(node: NodeKey, tag: MailboxTag, kept: Option<LogCursor>) -> Self {
        Self {
            node,
            tag,
            at: kept.clone(),
            kept,
            ahead: VecDeque::new(),
            complete: false,
            changes: 0,
        }
    }

    /// The arrival number from which to ask for the next page.
    #[must_use]
    pub fn from(&self) -> u64 {
        self.at.as_ref().map_or(0, |cursor| cursor.next)
    }

    /// The kept position.
    #[must_use]
    pub const fn kept(&self) -> Option<&LogCursor> {
        self.kept.as_ref()
    }

    /// Whether the last page reached the head that the node signed with it.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes the answer to a read from [`LogWalk::from`] with `nonce`; gives the copies it holds.
    ///
    /// When the node shows another log than before (the node set changed, or the node lost its
    /// store and registered so), the walk starts over: no copies, and [`LogWalk::from`] is 0.
    ///
    /// # Errors
    /// The [`Fault`] of the node; nothing of the page is taken then, and the walk is as before.
    pub fn page(&mut self, network: &NetworkId, nonce: &[u8; 16], page: Page) -> Result<Vec<EnvelopeCopy>, Fault> {
        page.head
            .verify_answer(network, &self.node, &self.tag, nonce)
            .map_err(|error| match error {
                HeadError::WrongRequest | HeadError::NotAHead => Fault::HeadForAnother,
                _ => Fault::HeadSignature,
            })?;
        let position = page.head.body.position;
        let log = position.log();

        if self.at.as_ref().is_some_and(|cursor| cursor.log != log) {
            if self.changes >= LOG_CHANGES_MAX {
                return Err(Fault::LogGap);
            }
            self.changes = self.changes.saturating_add(1);
            self.kept = None;
            self.rewind();
            return Ok(Vec::new());
        }
        let mut at = self.at.clone().unwrap_or_else(|| LogCursor::start(log));
        if position.size < at.lines.size() {
            return Err(Fault::LogShrank);
        }

        let mut read = Vec::with_capacity(page.items.len());
        let mut copies = Vec::new();
        for item in page.items {
            if item.sequence != at.next {
                return Err(Fault::LogGap);
            }
            at.pass(item.log, &item.entry)?;
            if let Some(bytes) = item.envelope {
                if EnvelopeId::of(&bytes) != item.entry.envelope {
                    return Err(Fault::TamperedCopy);
                }
                copies.push(EnvelopeCopy {
                    envelope: item.entry.envelope,
                    expiry: item.entry.expiry,
                    bytes: bytes.into_inner(),
                });
            }
            read.push((item.log, item.entry));
        }
        if at.next != page.next || at.lines.size() > position.size || (page.more && read.is_empty()) {
            return Err(Fault::LogGap);
        }
        if at.lines.size() == position.size {
            if at.lines.root() != position.root {
                return Err(Fault::LogRoot);
            }
        } else if !page.more {
            return Err(Fault::LogGap);
        }

        self.complete = !page.more;
        if self.kept.is_none() {
            self.kept = Some(LogCursor::start(log));
        }
        self.at = Some(at);
        self.ahead.extend(read);
        Ok(copies)
    }

    /// Moves the kept position past every leading entry that is `known` to the reader or has
    /// expired, and gives it. An entry whose bytes no node has shown yet stays ahead of it, so
    /// that it is asked for again.
    pub fn settle(&mut self, now: UnixSeconds, mut known: impl FnMut(&EnvelopeId) -> bool) -> Option<&LogCursor> {
        let kept = self.kept.as_mut()?;
        while let Some((log, entry)) = self.ahead.front() {
            let gone = entry.expiry.get().saturating_add(CLOCK_SKEW_SECONDS_MAX) < now.get();
            if !gone && !known(&entry.envelope) {
                break;
            }
            if kept.pass(*log, entry).is_err() {
                break;
            }
            self.ahead.pop_front();
        }
        self.kept.as_ref()
    }

    /// Goes back to the kept position, so that what is ahead of it is asked for again.
    pub fn rewind(&mut self) {
        self.at.clone_from(&self.kept);
        self.ahead.clear();
        self.complete = false;
    }

    /// The envelopes that lie ahead of the kept position.
    pub fn unsettled(&self) -> impl Iterator<Item = EnvelopeId> + '_ {
        self.ahead.iter().map(|(_, entry)| entry.envelope)
    }
}
