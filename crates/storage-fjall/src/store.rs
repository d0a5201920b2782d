//! The store as its users see it.

use crate::{
    engine::Engine,
    error::{OpenError, damaged, guarded, store_error},
    install::InstallId,
    options::FjallOptions,
    records::{
        HeldRecord, LogRecord, MAILBOXES_END, MAILBOXES_START, MailboxRecord, body_key, decode_line, decode_sequence,
        envelope_key, line_key, log_key, mailbox_key, tag_of_mailbox_key,
    },
    writer::{Command, QUEUE_COMMANDS_MAX, Writer},
};
use fjall::{Readable as _, Snapshot};
use std::{
    fmt,
    ops::Bound,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokenim_mailbox::MailboxTag;
use tokenim_storage::{
    Batch, BlobStore, LogHead, Logged, MailboxStats, MailboxStore, Page, Put, PutOutcome, Row, ShardId, StateStore,
    StoreError, Stored, Table, check_shard, scan_range,
};
use tokenim_wire::{EnvelopeId, Height, UnixSeconds, limits::ENVELOPE_BYTES_MAX};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

/// Envelopes, shards and state tables in one folder.
///
/// Cloning gives another handle to the same store; it is closed when the last is dropped, which waits until what was
/// asked for is written. Reads run on tokio's blocking threads where there is a tokio runtime, and on the caller's thread
/// where there is none.
#[derive(Clone)]
pub struct FjallStore(Arc<Handles>);

/// What is closed with the last handle.
struct Handles {
    /// The queue of the writer; `None` only while it is closed.
    commands: Option<mpsc::Sender<Command>>,
    /// The writer's thread; `None` only while it is closed.
    writer: Option<JoinHandle<()>>,
    /// The database.
    engine: Arc<Engine>,
}

impl Drop for Handles {
    fn drop(&mut self) {
        // Without senders the writer does what waits and ends.
        drop(self.commands.take());
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallStore")
            .field("folder", &self.0.engine.folder().path())
            .finish_non_exhaustive()
    }
}

impl FjallStore {
    /// Opens the store in a folder, or makes one in a folder that is empty or not there yet. Blocks while it reads the
    /// journals.
    ///
    /// # Errors
    /// [`OpenError`]: the folder is refused and left as it was.
    pub fn open(path: impl AsRef<Path>, options: FjallOptions) -> Result<Self, OpenError> {
        let path = path.as_ref();
        Self::with_engine(Engine::open(path, &options)?).map_err(|error| OpenError::Io {
            path: path.into(),
            detail: format!("no thread can be started: {error}"),
        })
    }

    /// A store on an open database.
    pub(crate) fn with_engine(engine: Engine) -> std::io::Result<Self> {
        let engine = Arc::new(engine);
        let (commands, queue) = mpsc::channel(QUEUE_COMMANDS_MAX);
        let writer = Writer::new(Arc::clone(&engine));
        let writer = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(queue))?;
        Ok(Self(Arc::new(Handles {
            commands: Some(commands),
            writer: Some(writer),
            engine,
        })))
    }

    /// Whose store it is.
    #[must_use]
    pub fn install_id(&self) -> InstallId {
        self.0.engine.folder().install()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.engine.folder().path()
    }

    /// Hands a command to the writer and waits for its answer.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.0.commands.as_ref().ok_or(StoreError::Closed)?;
        commands.send(command(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Engine) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let engine = Arc::clone(&self.0.engine);
        match Handle::try_current() {
            Ok(runtime) => runtime
                .spawn_blocking(move || call(&engine))
                .await
                .map_err(|_| StoreError::Closed)?,
            Err(_) => call(&engine),
        }
    }
}

/// The key of a row of a state table: `length of the table's name 1 ‖ name ‖ key`.
fn state_key(table: Table, key: &[u8]) -> Vec<u8> {
    let name = table.name().as_bytes();
    // At most 32.
    let length = name.len().to_le_bytes()[0];
    [[length].as_slice(), name, key].concat()
}

impl StateStore for FjallStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let engine = &self.0.engine;
        if key.len() > tokenim_storage::STATE_KEY_BYTES_MAX {
            return Ok(None);
        }
        engine.read(|snapshot| {
            let row = snapshot
                .get(&engine.state, state_key(table, key))
                .map_err(store_error)?;
            Ok(row.map(|row| row.to_vec()))
        })
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Row>, StoreError> {
        let from = if from.is_empty() {
            Vec::new()
        } else {
            state_key(table, from)
        };
        let Some(range) = scan_range(&from, &state_key(table, prefix), reverse) else {
            return Ok(Vec::new());
        };
        let cut = state_key(table, b"").len();
        let engine = &self.0.engine;
        engine.read(|snapshot| {
            let row = |guard: fjall::Guard| {
                let (key, value) = guard.into_inner().map_err(store_error)?;
                let key = key.get(cut..).ok_or_else(|| damaged("a key is too short"))?;
                Ok((key.to_vec(), value.to_vec()))
            };
            let rows = snapshot.range(&engine.state, range);
            if reverse {
                rows.rev().take(limit).map(row).collect()
            } else {
                rows.take(limit).map(row).collect()
            }
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check_sizes()?;
        if batch.is_empty() {
            return Ok(());
        }
        let engine = &self.0.engine;
        engine.check_space()?;
        engine.write(|writes| {
            for (table, key, value) in batch.into_operations() {
                let key = state_key(table, &key);
                match value {
                    Some(value) => writes.insert(&engine.state, key, value),
                    None => writes.remove(&engine.state, key),
                }
            }
        })
    }
}

impl BlobStore for FjallStore {
    async fn put(&self, id: ShardId, bytes: Vec<u8>) -> Result<(), StoreError> {
        check_shard(&id, &bytes)?;
        self.ask(|reply| Command::Shard(id, Some(bytes), reply)).await
    }

    async fn get(&self, id: &ShardId) -> Result<Option<Vec<u8>>, StoreError> {
        let id = *id;
        self.blocking(move |engine| {
            engine.read(|snapshot| {
                let Some(bytes) = snapshot.get(&engine.blob, id).map_err(store_error)? else {
                    return Ok(None);
                };
                if ShardId::of(&bytes) != id {
                    return Err(damaged("a shard is not what it was"));
                }
                Ok(Some(bytes.to_vec()))
            })
        })
        .await
    }

    async fn delete(&self, id: &ShardId) -> Result<(), StoreError> {
        let id = *id;
        self.ask(|reply| Command::Shard(id, None, reply)).await
    }

    async fn contains(&self, id: &ShardId) -> Result<bool, StoreError> {
        let id = *id;
        self.blocking(move |engine| {
            engine.read(|snapshot| snapshot.contains_key(&engine.blob, id).map_err(store_error))
        })
        .await
    }
}

/// The mailboxes at one moment.
struct Reader<'a> {
    /// The database.
    engine: &'a Engine,
    /// The moment.
    snapshot: &'a Snapshot,
}

impl Reader<'_> {
    /// A row of the table `mailbox`.
    fn row<T>(&self, key: &[u8], decode: impl FnOnce(&[u8]) -> Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        self.snapshot
            .get(&self.engine.mailbox, key)
            .map_err(store_error)?
            .map(|row| decode(&row))
            .transpose()
    }

    /// The newest log of a mailbox, seen at `height`.
    fn head(&self, tag: &MailboxTag, mailbox: &MailboxRecord, height: Height) -> Result<LogHead, StoreError> {
        let log = self
            .row(&log_key(tag, mailbox.newest), LogRecord::decode)?
            .ok_or_else(|| damaged("a log is missing"))?;
        Ok(LogHead {
            set_epoch: mailbox.newest.set_epoch,
            incarnation: mailbox.newest.incarnation,
            size: log.accumulator.size(),
            root: log.accumulator.root(),
            height: height.max(log.height),
        })
    }

    /// The lines of a mailbox from arrival number `from`, which must not be above `lines`, their number.
    fn lines(
        &self,
        tag: &MailboxTag,
        from: u64,
        lines: u64,
    ) -> impl Iterator<Item = Result<(u64, PutOutcome), StoreError>> {
        let range = (
            Bound::Included(line_key(tag, from)),
            Bound::Excluded(line_key(tag, lines)),
        );
        (from..lines)
            .zip(self.snapshot.range(&self.engine.mailbox, range))
            .map(|(sequence, guard)| {
                let (key, value) = guard.into_inner().map_err(store_error)?;
                if key.last_chunk() != Some(&sequence.to_be_bytes()) {
                    return Err(damaged("a line is missing"));
                }
                Ok((sequence, decode_line(&value)?))
            })
    }

    /// An envelope that is held, if it is.
    fn held(&self, tag: &MailboxTag, envelope: &EnvelopeId) -> Result<Option<HeldRecord>, StoreError> {
        self.row(&envelope_key(tag, envelope), HeldRecord::decode)
    }

    /// A line with its envelope, if that is held.
    fn stored(
        &self,
        tag: &MailboxTag,
        sequence: u64,
        line: &PutOutcome,
        held: Option<HeldRecord>,
    ) -> Result<Stored, StoreError> {
        let bytes = match held {
            None => None,
            Some(held) => {
                let bytes = self
                    .snapshot
                    .get(&self.engine.body, body_key(tag, &line.entry.envelope))
                    .map_err(store_error)?
                    .filter(|bytes| u32::try_from(bytes.len()) == Ok(held.length))
                    .ok_or_else(|| damaged("an envelope is missing"))?;
                Some(bytes.to_vec())
            }
        };
        Ok(Stored {
            sequence,
            log: line.log,
            entry: line.entry,
            bytes,
        })
    }

    /// See [`MailboxStore::read`].
    fn page(
        &self,
        tag: &MailboxTag,
        from: u64,
        items_max: usize,
        bytes_max: usize,
        height: Height,
    ) -> Result<Page, StoreError> {
        let Some(mailbox) = self.row(&mailbox_key(tag), MailboxRecord::decode)? else {
            return Ok(Page {
                entries: Vec::new(),
                head: None,
                height,
                next: 0,
            });
        };
        let from = from.min(mailbox.lines);
        let mut entries = Vec::new();
        let mut used = 0_usize;
        let mut next = from;
        for line in self.lines(tag, from, mailbox.lines).take(items_max) {
            let (sequence, line) = line?;
            let held = self.held(tag, &line.entry.envelope)?;
            let length = held.map_or(Ok(0), |held| usize::try_from(held.length));
            used = used.saturating_add(length.unwrap_or(usize::MAX));
            if used > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(self.stored(tag, sequence, &line, held)?);
            next = sequence.saturating_add(1);
        }
        Ok(Page {
            entries,
            head: Some(self.head(tag, &mailbox, height)?),
            height,
            next,
        })
    }

    /// See [`MailboxStore::get`].
    fn first(&self, tag: &MailboxTag, envelope: &EnvelopeId) -> Result<Option<Stored>, StoreError> {
        let prefix = envelope_key(tag, envelope);
        let mut first: Option<u64> = None;
        for guard in self.snapshot.prefix(&self.engine.mailbox, &prefix) {
            let (key, value) = guard.into_inner().map_err(store_error)?;
            if key.len() > prefix.len() {
                let sequence = decode_sequence(&value)?;
                first = Some(first.map_or(sequence, |first| first.min(sequence)));
            }
        }
        let Some(sequence) = first else { return Ok(None) };
        let line = self
            .row(&line_key(tag, sequence), decode_line)?
            .ok_or_else(|| damaged("a line is missing"))?;
        let held = self.held(tag, envelope)?;
        self.stored(tag, sequence, &line, held).map(Some)
    }
}

impl FjallStore {
    /// Reads mailboxes at one moment.
    async fn read_mailboxes<T: Send + 'static>(
        &self,
        call: impl FnOnce(Reader<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(move |engine| engine.read(|snapshot| call(Reader { engine, snapshot })))
            .await
    }

    /// Reads mailboxes at one moment, to make heads at a height.
    async fn observe_mailboxes<T: Send + 'static>(
        &self,
        at: Height,
        call: impl FnOnce(Reader<'_>, Height) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(move |engine| engine.observe(at, |snapshot, height| call(Reader { engine, snapshot }, height)))
            .await
    }
}

impl MailboxStore for FjallStore {
    async fn put(&self, put: Put) -> Result<PutOutcome, StoreError> {
        StoreError::check_size("an envelope", put.bytes.len(), ENVELOPE_BYTES_MAX)?;
        self.ask(|reply| Command::Put(put, reply)).await
    }

    async fn read(
        &self,
        tag: &MailboxTag,
        from: u64,
        items_max: usize,
        bytes_max: usize,
        at: Height,
    ) -> Result<Page, StoreError> {
        let tag = *tag;
        self.observe_mailboxes(at, move |reader, height| {
            reader.page(&tag, from, items_max, bytes_max, height)
        })
        .await
    }

    async fn get(&self, tag: &MailboxTag, envelope: &EnvelopeId) -> Result<Option<Stored>, StoreError> {
        let (tag, envelope) = (*tag, *envelope);
        self.read_mailboxes(move |reader| reader.first(&tag, &envelope)).await
    }

    async fn contains(&self, tag: &MailboxTag, envelope: &EnvelopeId) -> Result<bool, StoreError> {
        let (tag, envelope) = (*tag, *envelope);
        self.read_mailboxes(move |reader| Ok(reader.held(&tag, &envelope)?.is_some()))
            .await
    }

    async fn expire(&self, now: UnixSeconds, limit: usize) -> Result<u64, StoreError> {
        self.ask(|reply| Command::Expire(now, limit, reply)).await
    }

    async fn tags(&self, after: Option<MailboxTag>, limit: usize) -> Result<Vec<MailboxTag>, StoreError> {
        self.read_mailboxes(move |reader| {
            let start = after.map_or_else(
                || Bound::Included(MAILBOXES_START.to_vec()),
                |after| Bound::Excluded(mailbox_key(&after)),
            );
            let range = (start, Bound::Excluded(MAILBOXES_END.to_vec()));
            reader
                .snapshot
                .range(&reader.engine.mailbox, range)
                .take(limit)
                .map(|guard| tag_of_mailbox_key(&guard.key().map_err(store_error)?))
                .collect()
        })
        .await
    }

    async fn log(&self, tag: &MailboxTag, from: u64, limit: usize) -> Result<Vec<Logged>, StoreError> {
        let tag = *tag;
        self.read_mailboxes(move |reader| {
            let lines = reader
                .row(&mailbox_key(&tag), MailboxRecord::decode)?
                .map_or(0, |mailbox| mailbox.lines);
            reader
                .lines(&tag, from.min(lines), lines)
                .take(limit)
                .map(|line| {
                    let (sequence, line) = line?;
                    Ok(Logged {
                        sequence,
                        log: line.log,
                        entry: line.entry,
                    })
                })
                .collect()
        })
        .await
    }

    async fn head(&self, tag: &MailboxTag, at: Height) -> Result<Option<LogHead>, StoreError> {
        let tag = *tag;
        self.observe_mailboxes(at, move |reader, height| {
            reader
                .row(&mailbox_key(&tag), MailboxRecord::decode)?
                .map(|mailbox| reader.head(&tag, &mailbox, height))
                .transpose()
        })
        .await
    }

    async fn stats(&self) -> Result<MailboxStats, StoreError> {
        guarded(|| self.0.engine.stats())
    }
}
