//! Stores that fail when told to.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokenim_mailbox::MailboxTag;
use tokenim_storage::{
    Batch, LogHead, Logged, MailboxStats, MailboxStore, Page, Put, PutOutcome, StateStore, StoreError, Stored, Table,
};
use tokenim_wire::{EnvelopeId, Height, UnixSeconds};

/// Decides which writes fail. Clones share one state, so that a test keeps one while the store is used.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Writes that still succeed before the store is full; `u64::MAX` means that it never is.
    room: AtomicU64,
    writes: AtomicU64,
    refused: AtomicU64,
}

impl Faults {
    /// A store that works.
    #[must_use]
    pub fn none() -> Self {
        let faults = Self::default();
        faults.heal();
        faults
    }

    /// After `writes` more, every write is refused as [`StoreError::Full`] and changes nothing.
    pub fn full_after(&self, writes: u64) {
        self.0.room.store(writes, Ordering::SeqCst);
    }

    /// There is room again.
    pub fn heal(&self) {
        self.0.room.store(u64::MAX, Ordering::SeqCst);
    }

    /// Writes let through so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::SeqCst)
    }

    /// Writes refused so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::SeqCst)
    }

    fn write(&self) -> Result<(), StoreError> {
        let spend = |room: u64| match room {
            u64::MAX => Some(u64::MAX),
            _ => room.checked_sub(1),
        };
        match self.0.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend) {
            Ok(_) => {
                self.0.writes.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            Err(_) => {
                self.0.refused.fetch_add(1, Ordering::SeqCst);
                Err(StoreError::Full)
            }
        }
    }
}

/// A store whose writes fail as [`Faults`] says. Reads are those of the store inside.
#[derive(Clone, Debug)]
pub struct FaultyStore<S> {
    inner: S,
    faults: Faults,
}

impl<S> FaultyStore<S> {
    /// Wraps a store.
    #[must_use]
    pub const fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

impl<S: StateStore> StateStore for FaultyStore<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        prefix: &[u8],
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.inner.scan(table, from, prefix, limit, reverse)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.faults.write()?;
        self.inner.commit(batch)
    }
}

impl<S: MailboxStore> MailboxStore for FaultyStore<S> {
    async fn put(&self, put: Put) -> Result<PutOutcome, StoreError> {
        self.faults.write()?;
        self.inner.put(put).await
    }

    async fn read(
        &self,
        tag: &MailboxTag,
        from: u64,
        items_max: usize,
        bytes_max: usize,
        at: Height,
    ) -> Result<Page, StoreError> {
        self.inner.read(tag, from, items_max, bytes_max, at).await
    }

    async fn get(&self, tag: &MailboxTag, envelope: &EnvelopeId) -> Result<Option<Stored>, StoreError> {
        self.inner.get(tag, envelope).await
    }

    async fn contains(&self, tag: &MailboxTag, envelope: &EnvelopeId) -> Result<bool, StoreError> {
        self.inner.contains(tag, envelope).await
    }

    async fn expire(&self, now: UnixSeconds, limit: usize) -> Result<u64, StoreError> {
        self.faults.write()?;
        self.inner.expire(now, limit).await
    }

    async fn tags(&self, after: Option<MailboxTag>, limit: usize) -> Result<Vec<MailboxTag>, StoreError> {
        self.inner.tags(after, limit).await
    }

    async fn log(&self, tag: &MailboxTag, from: u64, limit: usize) -> Result<Vec<Logged>, StoreError> {
        self.inner.log(tag, from, limit).await
    }

    async fn head(&self, tag: &MailboxTag, at: Height) -> Result<Option<LogHead>, StoreError> {
        self.inner.head(tag, at).await
    }

    async fn stats(&self) -> Result<MailboxStats, StoreError> {
        self.inner.stats().await
    }
}
