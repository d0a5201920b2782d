//! The folder of a store: whose it is, in which format, and that nobody else has it open.
//!
//! ```text
//! folder/
//!   lock      held by the process that has the store open
//!   install   64 bytes, see below
//!   db/       the engine's
//!
//! install:
//! ┌──────────┬────────────┬───────────┬──────┬────────────┬──────────────────────────────────┐
//! │ "TIMSTORE│ format     │ state     │ zero │ install id │ H("tokenim/store-install/v1",    │
//! │ 8        │ 4, u32 BE  │ 1: 0 or 1 │ 3    │ 16         │ the 32 bytes before), 32         │
//! └──────────┴────────────┴───────────┴──────┴────────────┴──────────────────────────────────┘
//! ```
//!
//! State 0 is written before the engine makes its files, 1 after: a crash in between leaves nothing that anyone was
//! told is stored, and the next start begins again.

use crate::error::{OpenError, is_no_space};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tokenim_wire::{Label, bytes_newtype, hash};

bytes_newtype! {
    /// Names an installation: a node's journal, store and keystore carry the same.
    pub struct InstallId([u8; 16]);
}

/// The format of the store.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The engine's folder.
const ENGINE_FOLDER: &str = "db";
/// The file that [`InstallFile`] is in.
const INSTALL_FILE: &str = "install";
/// The same while it is written.
const INSTALL_FILE_NEW: &str = "install.new";
/// The file that is locked.
const LOCK_FILE: &str = "lock";
/// What an engine's folder has, once the engine has made it.
const ENGINE_MARKER: &str = "version";

/// The first bytes of an install file.
const MAGIC: &[u8; 8] = b"TIMSTORE";
/// The label of its checksum.
const INSTALL_LABEL: Label = Label::new("tokenim/store-install/v1");
/// Length of an install file without its checksum.
const CHECKED_BYTES: usize = 32;

/// How long a lock is waited for: a store that is being closed has it a little longer.
const LOCK_ATTEMPTS: u32 = 40;
/// Between two attempts.
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// What an install file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InstallFile {
    /// Whether the engine has made its files.
    ready: bool,
    /// Whose store it is.
    install: InstallId,
}

/// Why bytes are not an install file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InstallFileError {
    /// It does not begin like one.
    Foreign,
    /// A newer format.
    Newer(u32),
    /// Something in it is wrong.
    Damaged,
}

impl InstallFile {
    /// Its bytes.
    fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        out.extend_from_slice(&[u8::from(self.ready), 0, 0, 0]);
        out.extend_from_slice(self.install.as_bytes());
        let check = hash(INSTALL_LABEL, &[&out]);
        out.extend_from_slice(check.as_bytes());
        out
    }

    /// Reads its bytes: first what it is, then which format, so that a later format can be another all but for that.
    fn decode(bytes: &[u8]) -> Result<Self, InstallFileError> {
        use InstallFileError::{Damaged, Foreign, Newer};
        let rest = bytes.strip_prefix(MAGIC).ok_or(Foreign)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(Damaged)?;
        match u32::from_be_bytes(*version) {
            FORMAT_VERSION => {}
            newer if newer > FORMAT_VERSION => return Err(Newer(newer)),
            _ => return Err(Damaged),
        }
        let ready = match rest.split_first_chunk::<4>().ok_or(Damaged)? {
            ([0, 0, 0, 0], _) => false,
            ([1, 0, 0, 0], _) => true,
            _ => return Err(Damaged),
        };
        let (checked, check) = bytes.split_at_checked(CHECKED_BYTES).ok_or(Damaged)?;
        if hash(INSTALL_LABEL, &[checked]).as_bytes() != check {
            return Err(Damaged);
        }
        let install = checked.last_chunk::<16>().ok_or(Damaged)?;
        Ok(Self {
            ready,
            install: InstallId::from_bytes(*install),
        })
    }
}

/// An opened folder.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Where it is.
    path: PathBuf,
    /// What its install file says.
    file: InstallFile,
    /// Held until it is dropped.
    _lock: File,
}

impl Folder {
    /// Opens a folder or makes it. `expected` is the installation it must belong to; without, any will do, and a new one
    /// is drawn for a new folder. Touches nothing in a folder that it refuses.
    pub(crate) fn open(path: &Path, expected: Option<InstallId>) -> Result<Self, OpenError> {
        let io = |error: io::Error| io_error(path, &error);
        fs::create_dir_all(path).map_err(io)?;
        // Before the lock is made, since a foreign folder gets no file of ours.
        refuse_foreign(path)?;
        let lock = lock(path)?;
        let file = match fs::read(path.join(INSTALL_FILE)) {
            Ok(bytes) => InstallFile::decode(&bytes).map_err(|error| match error {
                InstallFileError::Foreign => OpenError::Foreign { path: path.into() },
                InstallFileError::Newer(version) => OpenError::Newer {
                    path: path.into(),
                    version,
                    supported: FORMAT_VERSION,
                },
                InstallFileError::Damaged => damaged(path, "its install file"),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse_foreign(path)?;
                let install = match expected {
                    Some(install) => install,
                    None => draw(path)?,
                };
                let file = InstallFile { ready: false, install };
                write_install(path, file).map_err(io)?;
                file
            }
            Err(error) => return Err(io(error)),
        };
        if let Some(expected) = expected
            && expected != file.install
        {
            return Err(OpenError::OtherInstall {
                path: path.into(),
                expected,
                found: file.install,
            });
        }
        let folder = Self {
            path: path.into(),
            file,
            _lock: lock,
        };
        let engine = folder.engine();
        if !file.ready {
            // Whatever a start that did not come to its end has left.
            match fs::remove_dir_all(&engine) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
                _ => {}
            }
        } else if !engine.join(ENGINE_MARKER).is_file() {
            return Err(damaged(path, "files of its engine are missing"));
        }
        Ok(folder)
    }

    /// The engine's folder.
    pub(crate) fn engine(&self) -> PathBuf {
        self.path.join(ENGINE_FOLDER)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    pub(crate) const fn install(&self) -> InstallId {
        self.file.install
    }

    /// Whether the engine had made its files before.
    pub(crate) const fn is_ready(&self) -> bool {
        self.file.ready
    }

    /// Notes that the engine has made its files.
    pub(crate) fn set_ready(&mut self) -> Result<(), OpenError> {
        if !self.file.ready {
            let file = InstallFile {
                ready: true,
                ..self.file
            };
            write_install(&self.path, file).map_err(|error| io_error(&self.path, &error))?;
            self.file = file;
        }
        Ok(())
    }
}

/// An error of the system while opening.
pub(crate) fn io_error(path: &Path, error: &io::Error) -> OpenError {
    if is_no_space(error) {
        OpenError::NoSpace { path: path.into() }
    } else {
        OpenError::Io {
            path: path.into(),
            detail: error.to_string(),
        }
    }
}

/// A damaged folder.
pub(crate) fn damaged(path: &Path, detail: impl Into<String>) -> OpenError {
    OpenError::Damaged {
        path: path.into(),
        detail: detail.into(),
    }
}

/// Refuses a folder that has files, but no install file.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let io = |error: io::Error| io_error(path, &error);
    if path.join(INSTALL_FILE).try_exists().map_err(io)? {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if name != LOCK_FILE && name != INSTALL_FILE_NEW {
            return Err(OpenError::Foreign { path: path.into() });
        }
    }
    Ok(())
}

/// Takes the lock.
fn lock(path: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.join(LOCK_FILE))
        .map_err(|error| io_error(path, &error))?;
    for attempt in 1_u32.. {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(io_error(path, &error)),
            Err(TryLockError::WouldBlock) if attempt >= LOCK_ATTEMPTS => {
                return Err(OpenError::Locked { path: path.into() });
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
        }
    }
    Ok(file)
}

/// A new install id.
fn draw(path: &Path) -> Result<InstallId, OpenError> {
    let mut bytes = [0; InstallId::LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| OpenError::Io {
        path: path.into(),
        detail: format!("the system has no randomness: {error}"),
    })?;
    Ok(InstallId::from_bytes(bytes))
}

/// Writes an install file: whole or not at all, and durable when it returns.
fn write_install(path: &Path, install: InstallFile) -> io::Result<()> {
    let new = path.join(INSTALL_FILE_NEW);
    let mut file = File::create(&new)?;
    file.write_all(&install.encode())?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path.join(INSTALL_FILE))?;
    sync_folder(path)
}

/// Makes a folder's names durable.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a folder's names durable: not possible here.
#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_files_are_read_back_and_every_changed_byte_is_noticed() {
        for ready in [false, true] {
            let file = InstallFile {
                ready,
                install: InstallId::from_bytes([7; 16]),
            };
            let bytes = file.encode();
            assert_eq!(bytes.len(), 64);
            assert_eq!(InstallFile::decode(&bytes), Ok(file));
            for position in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[position] ^= 0x41;
                let error = InstallFile::decode(&changed).unwrap_err();
                match position {
                    0..8 => assert_eq!(error, InstallFileError::Foreign),
                    8..12 => assert!(matches!(error, InstallFileError::Newer(_))),
                    _ => assert_eq!(error, InstallFileError::Damaged),
                }
                assert!(InstallFile::decode(&bytes[..position]).is_err());
            }
            assert!(InstallFile::decode(&[bytes, vec![0]].concat()).is_err());
        }
    }
}
