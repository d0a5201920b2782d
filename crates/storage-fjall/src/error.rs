//! What can go wrong with the engine.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};
use tokenim_storage::StoreError;

use crate::install::InstallId;

/// Why a folder was not opened. Its text is one line that says what and what to do. The folder is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another store of this one, has it open.
    #[error("{} is in use by another process: stop that one, or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// There is something else in it.
    #[error("{} holds files that are not those of a store: choose an empty folder", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// It is the store of another installation.
    #[error("{} belongs to installation {found}, not to {expected}: choose that one's folder, or an empty one", path.display())]
    OtherInstall {
        /// The folder.
        path: PathBuf,
        /// The installation asked for.
        expected: InstallId,
        /// The installation found.
        found: InstallId,
    },
    /// A newer version of this software made it.
    #[error("{} has store format {version}, newer than {supported}: update this software", path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        version: u32,
        /// The newest format known here.
        supported: u32,
    },
    /// It was a store, but something in it is missing or broken.
    #[error("{} is damaged ({detail}): keep it for analysis, start with an empty folder and fetch the data again", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The disk is full.
    #[error("the disk of {} is full: make room and try again", path.display())]
    NoSpace {
        /// The folder.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{} cannot be opened: {detail}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        detail: String,
    },
}

/// An error of the engine as one of the store.
pub(crate) fn store_error(error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            StoreError::Io(error.to_string())
        }
        fjall::Error::Poisoned => StoreError::Closed,
        other => damaged(format!("the engine reports {other:?}")),
    }
}

/// A damaged store.
pub(crate) fn damaged(detail: impl Into<String>) -> StoreError {
    StoreError::Damaged { detail: detail.into() }
}

/// Whether the disk is full.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Calls the engine, and turns a panic of it into an error.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(damaged("the engine panicked")))
}
