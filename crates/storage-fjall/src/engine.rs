//! The open database, shared by all handles and by the writer.

use crate::{
    error::{OpenError, damaged, guarded, store_error},
    install::{self, Folder},
    options::FjallOptions,
    records::{STATS_KEY, decode_stats},
    space::{self, FreeSpace},
};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode,
    Readable as _, Snapshot, config::CompressionPolicy,
};
use std::{
    path::Path,
    sync::{Mutex, MutexGuard},
};
use tokenim_storage::{MailboxLimits, MailboxStats, StoreError};
use tokenim_wire::Height;

/// The tables, by name.
const TABLES: [&str; 4] = ["state", "mailbox", "body", "blob"];

/// What readers and the writer must agree on: see [`Engine::observe`].
#[derive(Debug, Default)]
struct Clock {
    /// The greatest height that a line must not be below.
    floor: Height,
    /// While lines are being written that no reader sees yet: none of them is below this height.
    in_flight: Option<Height>,
    /// All envelopes held.
    stats: MailboxStats,
}

/// The open database.
pub(crate) struct Engine {
    /// Rows of all state tables.
    pub(crate) state: Keyspace,
    /// Everything about mailboxes but the envelopes: see [`records`](crate::records).
    pub(crate) mailbox: Keyspace,
    /// Envelopes.
    pub(crate) body: Keyspace,
    /// Shards.
    pub(crate) blob: Keyspace,
    /// What they are in.
    database: Database,
    /// See there.
    clock: Mutex<Clock>,
    /// For each mailbox.
    pub(crate) limits: MailboxLimits,
    /// Bytes that stay free.
    free_bytes_min: u64,
    /// How many are.
    free_space: FreeSpace,
    /// The folder, whose lock is held until the database is closed; so it is dropped last.
    folder: Folder,
}

impl Engine {
    /// Opens a folder.
    pub(crate) fn open(path: &Path, options: &FjallOptions) -> Result<Self, OpenError> {
        let mut folder = Folder::open(path, options.install)?;
        let (database, [state, mailbox, body, blob]) = match guarded(|| open_database(&folder, options)) {
            Ok(opened) => opened?,
            Err(error) => return Err(install::damaged(path, error.to_string())),
        };
        folder.set_ready()?;
        let engine = Self {
            state,
            mailbox,
            body,
            blob,
            database,
            clock: Mutex::default(),
            limits: options.mailbox,
            free_bytes_min: options.free_bytes_min,
            free_space: space::of(folder.path()),
            folder,
        };
        let stats = engine
            .read(|snapshot| {
                snapshot
                    .get(&engine.mailbox, STATS_KEY)
                    .map_err(store_error)?
                    .map_or(Ok(MailboxStats::default()), |bytes| decode_stats(&bytes))
            })
            .map_err(|error| install::damaged(path, error.to_string()))?;
        engine
            .clock()
            .map_err(|error| install::damaged(path, error.to_string()))?
            .stats = stats;
        Ok(engine)
    }

    /// The folder.
    pub(crate) const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Replaces how free space is found out, for tests.
    #[cfg(test)]
    pub(crate) fn set_free_space(&mut self, free_space: FreeSpace) {
        self.free_space = free_space;
    }

    /// Reads what is committed at one moment.
    pub(crate) fn read<T>(&self, call: impl FnOnce(&Snapshot) -> Result<T, StoreError>) -> Result<T, StoreError> {
        guarded(|| call(&self.database.snapshot()))
    }

    /// The error, unless there is room to write.
    pub(crate) fn check_space(&self) -> Result<(), StoreError> {
        match (self.free_space)() {
            Some(free) if free < self.free_bytes_min => Err(StoreError::Full),
            _ => Ok(()),
        }
    }

    /// Writes a batch: all of it or nothing, and durable when it returns.
    pub(crate) fn write(&self, fill: impl FnOnce(&mut OwnedWriteBatch)) -> Result<(), StoreError> {
        guarded(|| {
            let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
            fill(&mut batch);
            batch.commit().map_err(store_error)
        })
    }

    /// The clock.
    fn clock(&self) -> Result<MutexGuard<'_, Clock>, StoreError> {
        self.clock.lock().map_err(|_| StoreError::Closed)
    }

    /// All envelopes held.
    pub(crate) fn stats(&self) -> Result<MailboxStats, StoreError> {
        Ok(self.clock()?.stats)
    }

    /// Takes a snapshot to make heads from, and the height that they may be signed at: `at`, unless lines are just being
    /// written at lower heights, which the snapshot may not show yet. Lines written later are at this height or above.
    pub(crate) fn observe<T>(
        &self,
        at: Height,
        call: impl FnOnce(&Snapshot, Height) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        guarded(|| {
            let mut clock = self.clock()?;
            let height = clock.in_flight.map_or(at, |in_flight| at.min(in_flight));
            clock.floor = clock.floor.max(height);
            let snapshot = self.database.snapshot();
            drop(clock);
            call(&snapshot, height)
        })
    }

    /// Begins to write lines, and returns the height that they must not be below. Only the writer calls it.
    pub(crate) fn begin_lines(&self) -> Result<Height, StoreError> {
        let mut clock = self.clock()?;
        clock.in_flight = Some(clock.floor);
        Ok(clock.floor)
    }

    /// Ends writing lines, the last of which are at `height`; `stats` are those after it, if it succeeded.
    pub(crate) fn end_lines(&self, height: Height, stats: Option<MailboxStats>) -> Result<(), StoreError> {
        let mut clock = self.clock()?;
        clock.floor = clock.floor.max(height);
        clock.in_flight = None;
        if let Some(stats) = stats {
            clock.stats = stats;
        }
        Ok(())
    }
}

/// Opens the database in a folder, with its tables.
#[allow(clippy::type_complexity, reason = "an error to report and one to pass on")]
fn open_database(
    folder: &Folder,
    options: &FjallOptions,
) -> Result<Result<(Database, [Keyspace; 4]), OpenError>, StoreError> {
    let refused = |error: fjall::Error| match error {
        fjall::Error::Locked => OpenError::Locked {
            path: folder.path().into(),
        },
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            // A file that is not there is not the system's fault.
            match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::UnexpectedEof => install::damaged(
                    folder.path(),
                    format!("a file of its engine is missing or short: {error}"),
                ),
                _ => install::io_error(folder.path(), &error),
            }
        }
        other => install::damaged(folder.path(), format!("its engine reports {other:?}")),
    };
    let opened = Database::builder(folder.engine())
        .cache_size(options.cache_bytes)
        .max_journaling_size(options.journal_bytes())
        .worker_threads(options.workers.max(1))
        // Envelopes are ciphertext.
        .journal_compression(CompressionType::None)
        .open();
    let database = match opened {
        Ok(database) => database,
        Err(error) => return Ok(Err(refused(error))),
    };
    if folder.is_ready() {
        let names = database.list_keyspace_names();
        for table in TABLES {
            if !names.iter().any(|name| &**name == table) {
                return Err(damaged(format!("the table {table} is missing")));
            }
        }
    }
    let plain = || KeyspaceCreateOptions::default().max_memtable_size(options.memtable_bytes_max);
    let separated = |threshold| {
        plain()
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
            .with_kv_separation(Some(
                KvSeparationOptions::default()
                    .compression(CompressionType::None)
                    .separation_threshold(threshold),
            ))
    };
    let tables = || -> fjall::Result<_> {
        Ok([
            database.keyspace("state", || separated(4096))?,
            database.keyspace("mailbox", plain)?,
            database.keyspace("body", || separated(1024))?,
            database.keyspace("blob", || separated(1024))?,
        ])
    };
    match tables() {
        Ok(tables) => Ok(Ok((database, tables))),
        Err(error) => Ok(Err(refused(error))),
    }
}
