//! The one thread that writes envelopes and shards.
//!
//! It takes all that wait, up to a bound, works out what each comes to, writes them as one batch with one sync, and then
//! answers all of them. While it syncs, others queue up: the more come, the more share a sync.

use crate::{
    engine::Engine,
    error::{damaged, guarded, store_error},
    records::{
        EXPIRIES_END, EXPIRIES_START, HeldRecord, LogRecord, MailboxRecord, STATS_KEY, body_key, count_in, count_out,
        decode_line, decode_sequence, encode_line, encode_stats, envelope_key, envelope_line_key, expiry_key, line_key,
        log_key, mailbox_key, parse_expiry_key,
    },
};
use fjall::{Readable as _, Snapshot};
use std::{collections::BTreeMap, ops::Bound, sync::Arc};
use tokenim_mailbox::LogEntry;
use tokenim_storage::{MailboxStats, Put, PutOutcome, ShardId, StoreError};
use tokenim_wire::{Height, UnixSeconds};
use tokio::sync::{mpsc, oneshot};

/// Who waits for an answer.
type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked to do. Sizes and hashes have been checked.
pub(crate) enum Command {
    /// Keep an envelope.
    Put(Put, Reply<PutOutcome>),
    /// Keep a shard, or delete it.
    Shard(ShardId, Option<Vec<u8>>, Reply<()>),
    /// Delete what has expired.
    Expire(UnixSeconds, usize, Reply<u64>),
}

impl Command {
    /// Bytes of content.
    fn bytes(&self) -> usize {
        match self {
            Self::Put(put, _) => put.bytes.len(),
            Self::Shard(_, bytes, _) => bytes.as_ref().map_or(0, Vec::len),
            Self::Expire(..) => 0,
        }
    }
}

/// Commands that wait, at most, before senders wait as well.
pub(crate) const QUEUE_COMMANDS_MAX: usize = 256;
/// Commands in one batch.
const GROUP_COMMANDS_MAX: usize = 256;
/// Bytes of content in one batch, unless one command has more.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Envelopes deleted in one batch.
const EXPIRE_ENVELOPES_MAX: usize = 512;

/// The writer.
pub(crate) struct Writer {
    /// Where it is written.
    engine: Arc<Engine>,
    /// No envelope that is held has an expiry key below this one: what is below are traces of those deleted.
    expiries_from: Vec<u8>,
}

impl Writer {
    /// A writer.
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            expiries_from: EXPIRIES_START.to_vec(),
        }
    }

    /// Works until all senders are gone. Whoever waits when it stops for another reason learns that by its reply being
    /// dropped.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut held_back = None;
        while let Some(first) = held_back.take().or_else(|| commands.blocking_recv()) {
            match first {
                Command::Expire(now, limit, reply) => {
                    let result = guarded(|| self.expire(now, limit));
                    answer(reply, result);
                }
                first => {
                    let mut bytes = first.bytes();
                    let mut group = vec![first];
                    while group.len() < GROUP_COMMANDS_MAX {
                        let Ok(next) = commands.try_recv() else { break };
                        bytes = bytes.saturating_add(next.bytes());
                        if bytes > GROUP_BYTES_MAX || matches!(next, Command::Expire(..)) {
                            held_back = Some(next);
                            break;
                        }
                        group.push(next);
                    }
                    self.write_group(group);
                }
            }
        }
    }

    /// Does what a group of commands asks for, all in one batch, and answers them.
    fn write_group(&mut self, group: Vec<Command>) {
        let mut puts = Vec::new();
        let mut shards = Vec::new();
        let mut written = Ok(());
        // What a panic of the engine interrupts is answered by the dropped replies.
        let outcome = guarded(|| {
            let space = self.engine.check_space();
            let floor = self.engine.begin_lines()?;
            let stats = self.engine.stats()?;
            let result = self.engine.read(|snapshot| {
                let mut changes = Changes::new(&self.engine, snapshot, floor, stats);
                for command in group {
                    match command {
                        Command::Put(put, reply) => puts.push((changes.put(put, &space), reply)),
                        Command::Shard(id, bytes, reply) => {
                            // Deleting makes room.
                            let result = if bytes.is_some() { space.clone() } else { Ok(()) };
                            if result.is_ok() {
                                changes.shards.insert(id, bytes);
                            }
                            shards.push((result, reply));
                        }
                        // Never in a group.
                        Command::Expire(..) => {}
                    }
                }
                written = changes.write();
                if written.is_ok() {
                    for key in changes.fresh_expiries {
                        if key < self.expiries_from {
                            self.expiries_from = key;
                        }
                    }
                }
                Ok((changes.height, changes.stats))
            });
            match &result {
                Ok((height, stats)) => self.engine.end_lines(*height, written.is_ok().then_some(*stats)),
                Err(error) => {
                    self.engine.end_lines(floor, None)?;
                    Err(error.clone())
                }
            }
        });
        let written = outcome.and(written);
        for (result, reply) in puts {
            answer(reply, written.clone().and(result));
        }
        for (result, reply) in shards {
            answer(reply, written.clone().and(result));
        }
    }

    /// Deletes what has expired, the earliest first.
    fn expire(&mut self, now: UnixSeconds, limit: usize) -> Result<u64, StoreError> {
        // The first key that is not due.
        let end = now.checked_add(1).map_or_else(
            || EXPIRIES_END.to_vec(),
            |next| [EXPIRIES_START.as_slice(), &next.get().to_be_bytes()].concat(),
        );
        let mut deleted = 0_usize;
        while deleted < limit && self.expiries_from < end {
            let engine = &self.engine;
            let wanted = limit.saturating_sub(deleted).min(EXPIRE_ENVELOPES_MAX);
            let floor = engine.begin_lines()?;
            let stats = engine.stats()?;
            let result = engine.read(|snapshot| {
                let range = (
                    Bound::Included(self.expiries_from.clone()),
                    Bound::Excluded(end.clone()),
                );
                let mut changes = Changes::new(engine, snapshot, floor, stats);
                let mut due = Vec::new();
                for guard in snapshot.range(&engine.mailbox, range).take(wanted) {
                    due.push(guard.key().map_err(store_error)?.to_vec());
                }
                for key in &due {
                    changes.delete_envelope(key)?;
                }
                changes.write()?;
                Ok((due, changes.stats))
            });
            match result {
                Ok((due, stats)) => {
                    engine.end_lines(floor, Some(stats))?;
                    deleted = deleted.saturating_add(due.len());
                    let all = due.len() < wanted;
                    self.expiries_from = match due.into_iter().last() {
                        _ if all => end.clone(),
                        Some(last) => last,
                        None => end.clone(),
                    };
                }
                Err(error) => {
                    engine.end_lines(floor, None)?;
                    return Err(error);
                }
            }
        }
        Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
    }
}

/// Answers who still waits.
fn answer<T>(reply: Reply<T>, result: Result<T, StoreError>) {
    // Whoever has stopped waiting doesn't want to know.
    drop(reply.send(result));
}

/// What one batch will change, over what is committed.
struct Changes<'a> {
    /// The database.
    engine: &'a Engine,
    /// What is committed.
    snapshot: &'a Snapshot,
    /// Rows of the table `mailbox`.
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Rows of the table `body`.
    bodies: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Rows of the table `blob`.
    shards: BTreeMap<ShardId, Option<Vec<u8>>>,
    /// The height of the next line, at least.
    height: Height,
    /// All envelopes held, after it.
    stats: MailboxStats,
    /// Keys of expiries that are added.
    fresh_expiries: Vec<Vec<u8>>,
}

impl<'a> Changes<'a> {
    /// No changes.
    const fn new(engine: &'a Engine, snapshot: &'a Snapshot, height: Height, stats: MailboxStats) -> Self {
        Self {
            engine,
            snapshot,
            rows: BTreeMap::new(),
            bodies: BTreeMap::new(),
            shards: BTreeMap::new(),
            height,
            stats,
            fresh_expiries: Vec::new(),
        }
    }

    /// A row of the table `mailbox`, as it will be, decoded.
    fn row<T>(&self, key: &[u8], decode: impl FnOnce(&[u8]) -> Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        if let Some(row) = self.rows.get(key) {
            return row.as_deref().map(decode).transpose();
        }
        self.snapshot
            .get(&self.engine.mailbox, key)
            .map_err(store_error)?
            .map(|row| decode(&row))
            .transpose()
    }

    /// Sets a row of the table `mailbox`.
    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.insert(key, Some(value));
    }

    /// Adds an envelope and its line; changes nothing on an error.
    fn put(&mut self, put: Put, space: &Result<(), StoreError>) -> Result<PutOutcome, StoreError> {
        let (tag, envelope, log) = (put.tag, put.envelope, put.log());
        self.height = self.height.max(put.height);
        let by_envelope = envelope_line_key(&tag, &envelope, log);
        if let Some(sequence) = self.row(&by_envelope, decode_sequence)? {
            return self
                .row(&line_key(&tag, sequence), decode_line)?
                .ok_or_else(|| damaged("a line is missing"));
        }
        space.clone()?;
        let length = u32::try_from(put.bytes.len()).map_err(|_| damaged("an envelope is too long"))?;
        let mut mailbox = self
            .row(&mailbox_key(&tag), MailboxRecord::decode)?
            .unwrap_or_else(|| MailboxRecord::empty(log));
        let held_key = envelope_key(&tag, &envelope);
        let held = self.row(&held_key, HeldRecord::decode)?;
        if held.is_none() {
            self.engine.limits.check(&mailbox.stats, u64::from(length))?;
        }
        let mut record = self.row(&log_key(&tag, log), LogRecord::decode)?.unwrap_or_default();
        let entry = LogEntry {
            index: record.accumulator.size(),
            envelope,
            expiry: held.map_or(put.expiry, |held| held.expiry),
        };
        let sequence = mailbox.lines;
        let (Ok(_), Some(lines)) = (record.accumulator.push(entry.leaf()), sequence.checked_add(1)) else {
            return Err(StoreError::MailboxFull);
        };
        // A store that outlived its ledger may be asked for less than the log has.
        record.height = self.height.max(record.height);
        let line = PutOutcome {
            log,
            entry,
            size: record.accumulator.size(),
            root: record.accumulator.root(),
            height: record.height,
            fresh: true,
        };
        mailbox.lines = lines;
        mailbox.newest = mailbox.newest.max(log);
        let record = record.encode()?;

        self.height = line.height;
        self.set(log_key(&tag, log), record);
        self.set(line_key(&tag, sequence), encode_line(&line));
        self.set(by_envelope, sequence.to_be_bytes().to_vec());
        if held.is_none() {
            let expiry = expiry_key(entry.expiry, &tag, &envelope);
            let held = HeldRecord {
                expiry: entry.expiry,
                length,
            };
            self.fresh_expiries.push(expiry.clone());
            self.set(expiry, Vec::new());
            self.set(held_key, held.encode());
            self.bodies.insert(body_key(&tag, &envelope), Some(put.bytes));
            count_in(&mut mailbox.stats, u64::from(length));
            count_in(&mut self.stats, u64::from(length));
        }
        self.set(mailbox_key(&tag), mailbox.encode());
        Ok(line)
    }

    /// Deletes the envelope that an expiry key names.
    fn delete_envelope(&mut self, key: &[u8]) -> Result<(), StoreError> {
        let (tag, envelope) = parse_expiry_key(key)?;
        let held_key = envelope_key(&tag, &envelope);
        let (Some(held), Some(mut mailbox)) = (
            self.row(&held_key, HeldRecord::decode)?,
            self.row(&mailbox_key(&tag), MailboxRecord::decode)?,
        ) else {
            return Err(damaged("an expiry without an envelope"));
        };
        count_out(&mut mailbox.stats, u64::from(held.length));
        count_out(&mut self.stats, u64::from(held.length));
        self.set(mailbox_key(&tag), mailbox.encode());
        self.rows.insert(key.to_vec(), None);
        self.rows.insert(held_key, None);
        self.bodies.insert(body_key(&tag, &envelope), None);
        Ok(())
    }

    /// Writes all changes as one batch, if there are any.
    fn write(&mut self) -> Result<(), StoreError> {
        if self.rows.is_empty() && self.shards.is_empty() {
            return Ok(());
        }
        if !self.rows.is_empty() {
            let stats = encode_stats(&self.stats);
            self.set(STATS_KEY.to_vec(), stats);
        }
        let rows = std::mem::take(&mut self.rows);
        let bodies = std::mem::take(&mut self.bodies);
        let shards = std::mem::take(&mut self.shards);
        self.engine.write(|batch| {
            let rows = rows.into_iter().map(|(key, value)| (&self.engine.mailbox, key, value));
            let bodies = bodies.into_iter().map(|(key, value)| (&self.engine.body, key, value));
            let shards = shards
                .into_iter()
                .map(|(id, value)| (&self.engine.blob, id.to_bytes().to_vec(), value));
            for (table, key, value) in rows.chain(bodies).chain(shards) {
                match value {
                    Some(value) => batch.insert(table, key, value),
                    None => batch.remove(table, key),
                }
            }
        })
    }
}
