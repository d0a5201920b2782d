//! A mailbox store in memory.

use super::lock;
use crate::{
    error::StoreError,
    mailbox::{LogHead, Logged, MailboxLimits, MailboxStats, MailboxStore, Page, Put, PutOutcome, Stored},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Mutex,
};
use tokenim_mailbox::{LogEntry, LogId, MailboxTag, mmr::Accumulator};
use tokenim_wire::{EnvelopeId, Height, UnixSeconds, limits::ENVELOPE_BYTES_MAX};

/// A [`MailboxStore`] in memory, with a capacity, so that a full store can be tested.
#[derive(Debug)]
pub struct MemoryMailboxStore {
    /// For each mailbox.
    limits: MailboxLimits,
    /// Bytes of envelopes in all.
    capacity_bytes: u64,
    /// What it holds.
    inner: Mutex<Inner>,
}

/// What a store holds.
#[derive(Debug, Default)]
struct Inner {
    /// By tag.
    mailboxes: BTreeMap<MailboxTag, Mailbox>,
    /// Every envelope held, by expiry.
    expiries: BTreeSet<(UnixSeconds, MailboxTag, EnvelopeId)>,
    /// All envelopes held.
    stats: MailboxStats,
    /// The greatest height seen.
    height: Height,
}

/// One mailbox.
#[derive(Debug, Default)]
struct Mailbox {
    /// Its lines by arrival.
    lines: Vec<PutOutcome>,
    /// Which of them is about an envelope in a log.
    by_envelope: BTreeMap<(EnvelopeId, LogId), usize>,
    /// Its logs.
    logs: BTreeMap<LogId, Log>,
    /// Its envelopes, with their expiry.
    envelopes: HashMap<EnvelopeId, (UnixSeconds, Vec<u8>)>,
    /// Those envelopes.
    stats: MailboxStats,
}

/// The end of one log.
#[derive(Debug, Default)]
struct Log {
    /// Its lines.
    accumulator: Accumulator,
    /// The height of the last.
    height: Height,
}

impl MailboxStats {
    /// Counts an envelope in.
    const fn add(&mut self, bytes: u64) {
        self.envelopes = self.envelopes.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Counts an envelope out.
    const fn remove(&mut self, bytes: u64) {
        self.envelopes = self.envelopes.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// A length as a `u64`.
fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The lines from arrival number `from`.
fn lines_from(lines: &[PutOutcome], from: u64) -> impl Iterator<Item = (u64, &PutOutcome)> {
    let skip = usize::try_from(from).unwrap_or(usize::MAX);
    (0..).zip(lines).skip(skip)
}

impl Inner {
    /// Takes note of a height and returns the greatest so far.
    fn observe(&mut self, height: Height) -> Height {
        self.height = self.height.max(height);
        self.height
    }
}

impl Mailbox {
    /// The newest log, seen at `at`.
    fn head(&self, at: Height) -> Option<LogHead> {
        self.logs.last_key_value().map(|(id, log)| LogHead {
            set_epoch: id.set_epoch,
            incarnation: id.incarnation,
            size: log.accumulator.size(),
            root: log.accumulator.root(),
            height: at.max(log.height),
        })
    }

    /// A line with its envelope.
    fn stored(&self, sequence: u64, line: &PutOutcome) -> Stored {
        Stored {
            sequence,
            log: line.log,
            entry: line.entry,
            bytes: self.envelopes.get(&line.entry.envelope).map(|(_, bytes)| bytes.clone()),
        }
    }
}

impl Default for MemoryMailboxStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryMailboxStore {
    /// An empty store with the limits of the protocol and no other.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(MailboxLimits::default(), u64::MAX)
    }

    /// An empty store with these limits for each mailbox, which is [full](StoreError::Full) at `capacity_bytes` bytes
    /// of envelopes.
    #[must_use]
    pub fn with_limits(limits: MailboxLimits, capacity_bytes: u64) -> Self {
        Self {
            limits,
            capacity_bytes,
            inner: Mutex::default(),
        }
    }
}

impl MailboxStore for MemoryMailboxStore {
    async fn put(&self, put: Put) -> Result<PutOutcome, StoreError> {
        StoreError::check_size("an envelope", put.bytes.len(), ENVELOPE_BYTES_MAX)?;
        let mut inner = lock(&self.inner)?;
        let height = inner.observe(put.height);
        let (tag, envelope, log_id) = (put.tag, put.envelope, put.log());
        let none = Mailbox::default();
        let mailbox = inner.mailboxes.get(&tag).unwrap_or(&none);
        if let Some(line) = mailbox
            .by_envelope
            .get(&(envelope, log_id))
            .and_then(|line| mailbox.lines.get(*line))
        {
            return Ok(PutOutcome { fresh: false, ..*line });
        }
        let bytes = length(&put.bytes);
        let held = mailbox.envelopes.get(&envelope).map(|(expiry, _)| *expiry);
        if held.is_none() {
            self.limits.check(&mailbox.stats, bytes)?;
            if inner.stats.bytes.saturating_add(bytes) > self.capacity_bytes {
                return Err(StoreError::Full);
            }
        }

        // Nothing fails from here on, but for a log of 2⁶² lines.
        let Inner {
            mailboxes,
            expiries,
            stats,
            ..
        } = &mut *inner;
        let mailbox = mailboxes.entry(tag).or_default();
        let log = mailbox.logs.entry(log_id).or_default();
        let entry = LogEntry {
            index: log.accumulator.size(),
            envelope,
            expiry: held.unwrap_or(put.expiry),
        };
        log.accumulator.push(entry.leaf()).map_err(|_| StoreError::Full)?;
        log.height = height;
        let line = PutOutcome {
            log: log_id,
            entry,
            size: log.accumulator.size(),
            root: log.accumulator.root(),
            height,
            fresh: true,
        };
        mailbox.by_envelope.insert((envelope, log_id), mailbox.lines.len());
        mailbox.lines.push(line);
        if held.is_none() {
            expiries.insert((entry.expiry, tag, envelope));
            mailbox.envelopes.insert(envelope, (entry.expiry, put.bytes));
            mailbox.stats.add(bytes);
            stats.add(bytes);
        }
        Ok(line)
    }

    async fn read(
        &self,
        tag: &MailboxTag,
        from: u64,
        items_max: usize,
        bytes_max: usize,
        at: Height,
    ) -> Result<Page, StoreError> {
        let mut inner = lock(&self.inner)?;
        inner.observe(at);
        let Some(mailbox) = inner.mailboxes.get(tag) else {
            return Ok(Page {
                entries: Vec::new(),
                head: None,
                height: at,
                next: 0,
            });
        };
        let mut entries: Vec<Stored> = Vec::new();
        let mut used = 0_usize;
        for (sequence, line) in lines_from(&mailbox.lines, from).take(items_max) {
            let size = mailbox
                .envelopes
                .get(&line.entry.envelope)
                .map_or(0, |(_, bytes)| bytes.len());
            used = used.saturating_add(size);
            if used > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(mailbox.stored(sequence, line));
        }
        let end = u64::try_from(mailbox.lines.len()).unwrap_or(u64::MAX);
        let next = entries
            .last()
            .map_or(from.min(end), |last| last.sequence.saturating_add(1));
        Ok(Page {
            entries,
            head: mailbox.head(at),
            height: at,
            next,
        })
    }

    async fn get(&self, tag: &MailboxTag, envelope: &EnvelopeId) -> Result<Option<Stored>, StoreError> {
        let inner = lock(&self.inner)?;
        let found = inner.mailboxes.get(tag).and_then(|mailbox| {
            let (sequence, line) = (0..)
                .zip(&mailbox.lines)
                .find(|(_, line)| line.entry.envelope == *envelope)?;
            Some(mailbox.stored(sequence, line))
        });
        Ok(found)
    }

    async fn contains(&self, tag: &MailboxTag, envelope: &EnvelopeId) -> Result<bool, StoreError> {
        Ok(lock(&self.inner)?
            .mailboxes
            .get(tag)
            .is_some_and(|mailbox| mailbox.envelopes.contains_key(envelope)))
    }

    async fn expire(&self, now: UnixSeconds, limit: usize) -> Result<u64, StoreError> {
        let mut inner = lock(&self.inner)?;
        let Inner {
            mailboxes,
            expiries,
            stats,
            ..
        } = &mut *inner;
        let mut deleted = 0_u64;
        for _ in 0..limit {
            let Some(first) = expiries.first().filter(|(expiry, ..)| *expiry <= now).copied() else {
                break;
            };
            expiries.remove(&first);
            let (_, tag, envelope) = first;
            if let Some(mailbox) = mailboxes.get_mut(&tag)
                && let Some((_, bytes)) = mailbox.envelopes.remove(&envelope)
            {
                mailbox.stats.remove(length(&bytes));
                stats.remove(length(&bytes));
                deleted = deleted.saturating_add(1);
            }
        }
        Ok(deleted)
    }

    async fn tags(&self, after: Option<MailboxTag>, limit: usize) -> Result<Vec<MailboxTag>, StoreError> {
        let inner = lock(&self.inner)?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tags = inner.mailboxes.range((start, Bound::Unbounded));
        Ok(tags.take(limit).map(|(tag, _)| *tag).collect())
    }

    async fn log(&self, tag: &MailboxTag, from: u64, limit: usize) -> Result<Vec<Logged>, StoreError> {
        let inner = lock(&self.inner)?;
        let Some(mailbox) = inner.mailboxes.get(tag) else {
            return Ok(Vec::new());
        };
        let lines = lines_from(&mailbox.lines, from).take(limit);
        Ok(lines
            .map(|(sequence, line)| Logged {
                sequence,
                log: line.log,
                entry: line.entry,
            })
            .collect())
    }

    async fn head(&self, tag: &MailboxTag, at: Height) -> Result<Option<LogHead>, StoreError> {
        let mut inner = lock(&self.inner)?;
        inner.observe(at);
        Ok(inner.mailboxes.get(tag).and_then(|mailbox| mailbox.head(at)))
    }

    async fn stats(&self) -> Result<MailboxStats, StoreError> {
        Ok(lock(&self.inner)?.stats)
    }
}
