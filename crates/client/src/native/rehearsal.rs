//! Opening a store without touching it, to see whether it is whole.
//!
//! Opening a redb file writes: it marks the file as in use, and repairs what it can. A damaged file
//! shall be left as it is for whoever wants to rescue it, so it is opened here first, with every
//! write kept in memory. The locks are real, so other processes on the file are not disturbed.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, Builder, DatabaseError, StorageBackend};

/// Opens and checks the store at `path` with `builder`, and leaves no trace of that.
pub(crate) fn open(builder: &Builder, path: &Path) -> Result<(), DatabaseError> {
    let file = File::options().read(true).write(true).open(path)?;
    builder.create_with_backend(Rehearsal {
        file: FileBackend::new(file)?,
        memory: Mutex::new(None),
    })?;
    Ok(())
}

#[derive(Debug)]
struct Rehearsal {
    file: FileBackend,
    /// The whole content, from the first change on.
    memory: Mutex<Option<Vec<u8>>>,
}

impl Rehearsal {
    fn memory(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<u8>) -> io::Result<T>) -> io::Result<T> {
        let mut memory = self.memory();
        let bytes = match &mut *memory {
            Some(bytes) => bytes,
            none => {
                let length = usize::try_from(self.file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
                let mut bytes = vec![0; length];
                self.file.read(0, &mut bytes)?;
                none.insert(bytes)
            }
        };
        change(bytes)
    }
}

fn range(offset: u64, length: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
    let end = start.checked_add(length).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(start..end)
}

impl StorageBackend for Rehearsal {
    fn len(&self) -> io::Result<u64> {
        match &*self.memory() {
            Some(bytes) => Ok(bytes.len() as u64),
            None => self.file.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &*self.memory() {
            Some(bytes) => {
                let held = bytes
                    .get(range(offset, out.len())?)
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                out.copy_from_slice(held);
                Ok(())
            }
            None => self.file.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.change(|bytes| {
            bytes.resize(len, 0);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|bytes| {
            let place = range(offset, data.len())?;
            if bytes.len() < place.end {
                bytes.resize(place.end, 0);
            }
            bytes
                .get_mut(place)
                .ok_or(io::ErrorKind::UnexpectedEof)?
                .copy_from_slice(data);
            Ok(())
        })
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
