//! How much room is left on a disk.

use std::path::Path;

/// Bytes that are free, `None` where that can't be found out.
pub(crate) type FreeSpace = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// Free bytes for the files in a folder.
#[cfg(unix)]
pub(crate) fn of(folder: &Path) -> FreeSpace {
    let folder = folder.to_path_buf();
    Box::new(move || {
        let stat = rustix::fs::statvfs(&folder).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    })
}

/// Free bytes for the files in a folder: not known here.
#[cfg(not(unix))]
pub(crate) fn of(_folder: &Path) -> FreeSpace {
    Box::new(|| None)
}
