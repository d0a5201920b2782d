//! The local state on disk: one redb file, one writer thread, every step durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;

use redb::{
    Builder, ConcurrencyMode, Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, TableError, WriteTransaction,
};
use tokio::sync::oneshot;

use super::{ClientError, rehearsal};
use crate::step::state::StateError;
use crate::step::{Batch, Row, Table, View};

/// Bytes of the store's page cache.
const CACHE_BYTES: usize = 16 << 20;
/// Steps that share one synchronisation of the disk at most.
const STEPS_PER_COMMIT_MAX: usize = 256;
/// A store up to this size is checked completely each time it is opened, in memory.
const CHECKED_BYTES_MAX: u64 = 64 << 20;

type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

const fn rows(table: Table) -> Rows {
    TableDefinition::new(table.name())
}

/// A failure of the store, before it is put into words for a path.
#[derive(Debug)]
pub(crate) enum StoreError {
    Full,
    Damaged(String),
    Closed,
    Other(String),
}

impl core::fmt::Display for StoreError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::Damaged(what) | Self::Other(what) => f.write_str(what),
            Self::Closed => f.write_str("it is closed"),
        }
    }
}

impl From<StorageError> for StoreError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => Self::Full,
            StorageError::Corrupted(what) => Self::Damaged(what),
            StorageError::DatabaseClosed => Self::Closed,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<TableError> for StoreError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(storage) => storage.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<redb::TransactionError> for StoreError {
    fn from(error: redb::TransactionError) -> Self {
        match error {
            redb::TransactionError::Storage(storage) => storage.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<redb::CommitError> for StoreError {
    fn from(error: redb::CommitError) -> Self {
        match error {
            redb::CommitError::Storage(storage) => storage.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl StoreError {
    pub(crate) fn at(self, path: &Path) -> ClientError {
        match self {
            Self::Full => ClientError::DiskFull(path.to_owned()),
            Self::Damaged(what) => ClientError::Damaged {
                path: path.to_owned(),
                what,
            },
            Self::Closed => ClientError::Closed,
            Self::Other(what) => ClientError::Store(what),
        }
    }
}

/// The state as one write transaction sees it, its own changes included.
pub(crate) struct Writing<'a>(&'a WriteTransaction);

/// The state as of one moment.
pub(crate) struct Reading(ReadTransaction);

macro_rules! view {
    ($type:ty) => {
        impl View for $type {
            type Error = StoreError;

            fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
                let table = self.0.open_table(rows(table))?;
                Ok(table.get(key)?.map(|value| value.value().to_vec()))
            }

            fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
                let table = self.0.open_table(rows(table))?;
                let mut found = Vec::new();
                for row in table.range(from..)?.take(limit) {
                    let (key, value) = row?;
                    found.push((key.value().to_vec(), value.value().to_vec()));
                }
                Ok(found)
            }

            fn scan_back(&self, table: Table, below: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
                let table = self.0.open_table(rows(table))?;
                let mut found = Vec::new();
                for row in table.range(..below)?.rev().take(limit) {
                    let (key, value) = row?;
                    found.push((key.value().to_vec(), value.value().to_vec()));
                }
                Ok(found)
            }

            fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>, StoreError> {
                let table = self.0.open_table(rows(table))?;
                Ok(table.last()?.map(|(key, _)| key.value().to_vec()))
            }
        }
    };
}

view!(Writing<'_>);
view!(Reading);

impl Writing<'_> {
    fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        for change in batch.changes() {
            let mut table = self.0.open_table(rows(change.table))?;
            match &change.value {
                Some(value) => {
                    table.insert(change.key.as_slice(), value.as_slice())?;
                }
                None => {
                    table.remove(change.key.as_slice())?;
                }
            }
        }
        Ok(())
    }
}

/// The error of a step.
pub(crate) type StepError = StateError<StoreError>;

/// One queued step: it reads, applies its one batch, and tells its caller once that is durable.
trait Job: Send {
    /// Runs the step; whether it changes anything. An error of the store means that the transaction can't be used any more.
    fn run(&mut self, writing: &Writing<'_>) -> Result<bool, StoreError>;
    /// The transaction is durable, or was given up.
    fn done(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Step<T, F> {
    step: Option<F>,
    outcome: Option<Result<T, StepError>>,
    answer: oneshot::Sender<Result<T, StepError>>,
}

impl<T: Send, F: Send> Job for Step<T, F>
where
    F: FnOnce(&Writing<'_>) -> Result<(T, Batch), StepError>,
{
    fn run(&mut self, writing: &Writing<'_>) -> Result<bool, StoreError> {
        let Some(step) = self.step.take() else {
            return Ok(false);
        };
        match step(writing) {
            Ok((value, batch)) => {
                writing.apply(&batch)?;
                self.outcome = Some(Ok(value));
                Ok(!batch.is_empty())
            }
            Err(error) => {
                self.outcome = Some(Err(error));
                Ok(false)
            }
        }
    }

    fn done(self: Box<Self>, committed: Result<(), StoreError>) {
        let outcome = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StateError::Store(StoreError::Closed)),
            (Err(error), _) => Err(StateError::Store(error)),
        };
        // Nobody waits for it any more: the step counts all the same.
        let _ = self.answer.send(outcome);
    }
}

/// The client's store. Clones share it.
#[derive(Clone)]
pub(crate) struct LocalStore {
    path: PathBuf,
    database: Arc<Database>,
    jobs: mpsc::Sender<Box<dyn Job>>,
}

impl core::fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LocalStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    // So that one can send in one terminal while another shows what arrives.
    if cfg!(any(target_os = "linux", target_vendor = "apple", windows)) {
        builder.set_concurrency_mode(ConcurrencyMode::MultiWriter);
    }
    builder
}

fn open_error(path: &Path, error: DatabaseError) -> ClientError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => ClientError::InUse(path),
        DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
            std::io::ErrorKind::StorageFull => ClientError::DiskFull(path),
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => ClientError::Damaged {
                path,
                what: error.to_string(),
            },
            _ => ClientError::Io { path, error },
        },
        DatabaseError::Storage(StorageError::Corrupted(what)) => ClientError::Damaged { path, what },
        other => ClientError::Damaged {
            path,
            what: other.to_string(),
        },
    }
}

impl LocalStore {
    /// Makes a new store that begins with `batch`; the file appears complete or not at all.
    pub(crate) fn create(path: &Path, batch: &Batch) -> Result<Self, ClientError> {
        let fresh = path.with_extension("new");
        match std::fs::remove_file(&fresh) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(ClientError::Io { path: fresh, error }),
        }
        let database = builder().create(&fresh).map_err(|error| open_error(&fresh, error))?;
        let filled = (|| {
            let transaction = database.begin_write()?;
            for table in Table::ALL {
                transaction.open_table(rows(table))?;
            }
            Writing(&transaction).apply(batch)?;
            transaction.commit()?;
            Ok::<(), StoreError>(())
        })();
        drop(database);
        filled.map_err(|error| error.at(path))?;
        // A hard link fails where the name is taken, a rename would replace it.
        let linked = std::fs::hard_link(&fresh, path);
        let _ = std::fs::remove_file(&fresh);
        linked.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => ClientError::ClientExists(path.to_owned()),
            _ => ClientError::Io {
                path: path.to_owned(),
                error,
            },
        })?;
        if let Some(folder) = path.parent() {
            super::folder::sync(folder)?;
        }
        Self::open(path)
    }

    /// Opens an existing store.
    pub(crate) fn open(path: &Path) -> Result<Self, ClientError> {
        let bytes = std::fs::metadata(path)
            .map_err(|error| ClientError::Io {
                path: path.to_owned(),
                error,
            })?
            .len();
        if bytes == 0 {
            return Err(ClientError::Damaged {
                path: path.to_owned(),
                what: "it is empty".to_owned(),
            });
        }
        if bytes <= CHECKED_BYTES_MAX {
            let mut checked = builder();
            checked.set_check_integrity_on_open(true);
            rehearsal::open(&checked, path).map_err(|error| open_error(path, error))?;
        }
        let database = builder().open(path).map_err(|error| open_error(path, error))?;
        let database = Arc::new(database);
        let (jobs, queue) = mpsc::channel();
        let writer = Arc::clone(&database);
        std::thread::Builder::new()
            .name("tokenim-store".to_owned())
            .spawn(move || write_all(&writer, &queue))
            .map_err(|error| ClientError::Io {
                path: path.to_owned(),
                error,
            })?;
        Ok(Self {
            path: path.to_owned(),
            database,
            jobs,
        })
    }

    /// Runs `read` on the state as of now.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Reading) -> Result<T, StepError>) -> Result<T, ClientError> {
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| StoreError::from(error).at(&self.path))?;
        read(&Reading(transaction)).map_err(|error| self.words(error))
    }

    /// Runs `step` and applies its batch in one transaction; returns once that is durable.
    ///
    /// Steps that are queued at the same time share one synchronisation of the disk, each still
    /// seeing what those before it did.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Writing<'_>) -> Result<(T, Batch), StepError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let (answer, outcome) = oneshot::channel();
        let job = Step {
            step: Some(step),
            outcome: None,
            answer,
        };
        self.jobs.send(Box::new(job)).map_err(|_| ClientError::Closed)?;
        outcome
            .await
            .map_err(|_| ClientError::Closed)?
            .map_err(|error| self.words(error))
    }

    /// The error for a row that is not what it must be.
    pub(crate) fn damaged(&self, table: Table) -> ClientError {
        self.words(StateError::Damaged(table))
    }

    fn words(&self, error: StepError) -> ClientError {
        match error {
            StateError::Store(error) => error.at(&self.path),
            StateError::Damaged(table) => ClientError::Damaged {
                path: self.path.clone(),
                what: format!("a row of table {}", table.name()),
            },
            StateError::TooLarge(error) => ClientError::Encode(error),
            StateError::UnknownMessage => ClientError::Store("a message is gone".to_owned()),
        }
    }
}

fn write_all(database: &Database, queue: &mpsc::Receiver<Box<dyn Job>>) {
    while let Ok(first) = queue.recv() {
        let mut jobs = vec![first];
        jobs.extend(queue.try_iter().take(STEPS_PER_COMMIT_MAX.saturating_sub(1)));
        let committed = (|| {
            let transaction = database.begin_write()?;
            let mut changed = false;
            for job in &mut jobs {
                changed |= job.run(&Writing(&transaction))?;
            }
            if changed {
                transaction.commit()?;
            } else {
                // What the steps have read is durable already.
                transaction.abort()?;
            }
            Ok::<(), StoreError>(())
        })();
        match committed {
            Ok(()) => jobs.into_iter().for_each(|job| job.done(Ok(()))),
            Err(error) => {
                for job in jobs {
                    let error = match &error {
                        StoreError::Full => StoreError::Full,
                        StoreError::Damaged(what) => StoreError::Damaged(what.clone()),
                        StoreError::Closed => StoreError::Closed,
                        StoreError::Other(what) => StoreError::Other(what.clone()),
                    };
                    job.done(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    fn put(key: u64) -> Batch {
        let mut batch = Batch::new();
        batch.put(Table::Inbox, key.to_be_bytes(), key.to_be_bytes());
        batch.put(Table::Seen, key.to_be_bytes(), Vec::new());
        batch
    }

    fn rows(store: &LocalStore, table: Table) -> usize {
        store
            .read(|view| Ok(view.scan(table, &[], usize::MAX).unwrap().len()))
            .unwrap()
    }

    #[tokio::test]
    async fn steps_see_those_before_them_and_share_commits() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::create(&folder.path().join("s.redb"), &Batch::new()).unwrap();
        let steps = (0..500_u64).map(|_| {
            store.write(|view| {
                let next = view
                    .last_key(Table::Inbox)
                    .unwrap()
                    .map_or(0, |key| u64::from_be_bytes(key.try_into().unwrap()) + 1);
                Ok((next, put(next)))
            })
        });
        let mut given: Vec<u64> = futures::future::try_join_all(steps).await.unwrap();
        given.sort_unstable();
        assert_eq!(given, (0..500).collect::<Vec<_>>());
        assert_eq!(rows(&store, Table::Inbox), 500);
    }

    #[tokio::test]
    async fn a_step_that_fails_changes_nothing_and_spares_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::create(&folder.path().join("s.redb"), &Batch::new()).unwrap();
        let good = store.write(|_| Ok(((), put(1))));
        let bad = store.write(|_| Err::<((), Batch), _>(StateError::UnknownMessage));
        let also = store.write(|_| Ok(((), put(2))));
        let (good, bad, also) = tokio::join!(good, bad, also);
        assert!(good.is_ok() && bad.is_err() && also.is_ok());
        assert_eq!(rows(&store, Table::Inbox), 2);
    }

    #[tokio::test]
    async fn two_may_have_it_open_and_see_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.redb");
        let one = LocalStore::create(&path, &Batch::new()).unwrap();
        let two = LocalStore::open(&path).unwrap();
        one.write(|_| Ok(((), put(1)))).await.unwrap();
        assert_eq!(rows(&two, Table::Inbox), 1);
        two.write(|_| Ok(((), put(2)))).await.unwrap();
        assert_eq!(rows(&one, Table::Inbox), 2);
    }

    #[test]
    fn what_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.redb");
        let store = LocalStore::create(&path, &put(1)).unwrap();
        assert!(matches!(
            LocalStore::create(&path, &Batch::new()),
            Err(ClientError::ClientExists(_))
        ));
        assert_eq!(rows(&store, Table::Inbox), 1);
    }

    #[test]
    fn damage_is_told_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.redb");
        drop(LocalStore::create(&path, &put(1)).unwrap());
        // The writer thread lets go of the file a moment later.
        std::thread::sleep(std::time::Duration::from_millis(100));
        let whole = std::fs::read(&path).unwrap();
        let cut = whole.len() / 2;
        let mut middle = whole.clone();
        for byte in middle.iter_mut().skip(4_096) {
            *byte ^= 0x5a;
        }
        for (what, bytes) in [
            ("empty", Vec::new()),
            ("text", b"not a store at all".to_vec()),
            ("cut", whole[..cut].to_vec()),
            ("changed", middle),
        ] {
            std::fs::write(&path, &bytes).unwrap();
            let error = LocalStore::open(&path).map(|_| ()).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, ClientError::Damaged { .. }), "{what}: {text}");
            assert!(!text.contains('\n'), "{what}: {text}");
            assert!(std::fs::read(&path).unwrap() == bytes, "{what}: it was touched");
        }
        std::fs::write(&path, &whole).unwrap();
        assert!(LocalStore::open(&path).is_ok());
    }

    /// Not a test of its own: the process that [`kill_9_loses_nothing_acknowledged`] kills.
    #[tokio::test]
    #[ignore = "is killed by another test"]
    async fn killed() {
        let Some(path) = std::env::var_os("TOKENIM_KILLED") else {
            return;
        };
        let store = LocalStore::open(Path::new(&path)).unwrap();
        let start = rows(&store, Table::Inbox) as u64;
        for key in start.. {
            store.write(move |_| Ok(((), put(key)))).await.unwrap();
            println!("kept {key}");
        }
    }

    #[test]
    fn kill_9_loses_nothing_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.redb");
        drop(LocalStore::create(&path, &Batch::new()).unwrap());
        for round in 1..=3_u64 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "native::store::tests::killed", "--ignored", "--nocapture"])
                .env("TOKENIM_KILLED", &path)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut last = None;
            for line in BufReader::new(child.stdout.take().unwrap()).lines() {
                if let Some((_, key)) = line.unwrap().rsplit_once("kept ") {
                    let key: u64 = key.parse().unwrap();
                    last = Some(key);
                    if key >= round * 20 {
                        break;
                    }
                }
            }
            child.kill().unwrap();
            child.wait().unwrap();
            let store = LocalStore::open(&path).unwrap();
            let kept = rows(&store, Table::Inbox) as u64;
            assert!(kept > last.unwrap(), "{kept} rows, {last:?} acknowledged");
            assert_eq!(
                rows(&store, Table::Seen) as u64,
                kept,
                "each step is whole or not there"
            );
        }
    }
}
