//! What can go wrong in a store.

use alloc::string::String;

/// Why a store did not do what it was asked. Whatever the error, nothing has changed, but for [`StoreError::Io`] and
/// [`StoreError::Closed`] on a write, after which only reopening tells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Something is larger than its limit.
    #[error("{what} of {actual} bytes, at most {limit} are kept")]
    TooLarge {
        /// What, in a few lower-case words.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
        /// The length met, in bytes.
        actual: usize,
    },
    /// The bytes are not those that the id names.
    #[error("the bytes do not have the id under which they were to be kept")]
    Mismatch,
    /// This mailbox holds as much as one mailbox may. Try again when something in it has expired.
    #[error("the mailbox holds as much as one may: try again after something in it has expired")]
    MailboxFull,
    /// There is no room for more. Nothing has changed; try again when there is.
    #[error("but for what is kept free, the disk of the store is full: make room and try again")]
    Full,
    /// Too much is waiting. Try again.
    #[error("the store has too much waiting: try again")]
    Busy,
    /// The store has stopped, by request or after an error; the process opens it anew.
    #[error("the store has stopped: restart to open it again")]
    Closed,
    /// What is stored does not make sense. Keep the folder for analysis and fetch the data again from other nodes.
    #[error("the store is damaged ({detail}): keep its folder, start with an empty one and fetch the data again")]
    Damaged {
        /// What was found, without content, keys or tags.
        detail: String,
    },
    /// Reading or writing failed.
    #[error("the store could not read or write: {0}")]
    Io(String),
}

impl StoreError {
    /// Whether the same call may work later without anything being repaired.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::MailboxFull | Self::Full | Self::Busy)
    }

    /// The error, unless `actual` bytes are within `limit`.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`].
    pub const fn check_size(what: &'static str, actual: usize, limit: usize) -> Result<(), Self> {
        if actual > limit {
            Err(Self::TooLarge { what, limit, actual })
        } else {
            Ok(())
        }
    }
}
