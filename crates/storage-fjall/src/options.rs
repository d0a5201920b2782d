//! How a store is opened.

use crate::install::InstallId;
use tokenim_storage::MailboxLimits;

/// One mebibyte, in bytes.
const MIB: u64 = 1024 * 1024;

/// How a store is opened. The sizes trade memory for writing and for the time it takes to open again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FjallOptions {
    /// The installation that the folder must belong to; a new folder gets it. `None` takes whatever it is, and draws one
    /// for a new folder.
    pub install: Option<InstallId>,
    /// How much one mailbox may hold.
    pub mailbox: MailboxLimits,
    /// Bytes that stay free on the disk: with less, writes get [`StoreError::Full`](tokenim_storage::StoreError::Full).
    /// The engine needs them to write out what it has accepted. 256 MiB.
    pub free_bytes_min: u64,
    /// Bytes of blocks kept in memory for reading. 64 MiB.
    pub cache_bytes: u64,
    /// Bytes of journals, which are read when the store is opened; 64 MiB, the least there is.
    pub journal_bytes_max: u64,
    /// Bytes of writes of one table kept in memory before they are written out; there are four tables. 16 MiB.
    pub memtable_bytes_max: u64,
    /// Threads that write out and merge. 2.
    pub workers: usize,
}

impl Default for FjallOptions {
    fn default() -> Self {
        Self {
            install: None,
            mailbox: MailboxLimits::default(),
            free_bytes_min: 256 * MIB,
            cache_bytes: 64 * MIB,
            journal_bytes_max: 64 * MIB,
            memtable_bytes_max: 16 * MIB,
            workers: 2,
        }
    }
}

impl FjallOptions {
    /// The journal size, at least what the engine accepts.
    pub(crate) fn journal_bytes(&self) -> u64 {
        self.journal_bytes_max.max(64 * MIB)
    }
}
