//! The engine's directory: whose it is, and that only one engine uses it.
//!
//! ```text
//! directory/
//!   ENGINE   whose it is: five lines of text, written once, before the engine's first start
//!   LOCK     held while an engine runs
//!   journal/ the engine's own files
//! ```

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use tokenim_identity::NodeKey;

use crate::{EngineConfig, EngineError};

const OWNER_FILE: &str = "ENGINE";
const LOCK_FILE: &str = "LOCK";
const JOURNAL_FOLDER: &str = "journal";
const PROBE_FILE: &str = "probe";
/// With less room than this a disk counts as full.
const PROBE_BYTES: usize = 256 * 1024;

/// A directory that this process holds and that belongs to the configured node.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// There was nothing in it: no vote was ever signed from it.
    pub(crate) fresh: bool,
    _lock: File,
}

impl Directory {
    /// Takes the directory, creating it if needed, and checks whose it is.
    pub(crate) fn open(config: &EngineConfig) -> Result<Self, EngineError> {
        let path = config.directory.clone();
        fs::create_dir_all(&path).map_err(|source| io_error("create the directory", &path, source))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|source| io_error("open", &lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(EngineError::DirectoryInUse(path)),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &lock_path, source)),
        }

        let expected = owner(config);
        let owner_path = path.join(OWNER_FILE);
        let fresh = match fs::read_to_string(&owner_path) {
            Ok(found) => {
                if let Some(what) = difference(&expected, &found) {
                    return Err(EngineError::ForeignDirectory { directory: path, what });
                }
                false
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.join(JOURNAL_FOLDER).exists() {
                    let what = "it has a journal, but the file ENGINE that says whose is missing";
                    return Err(EngineError::ForeignDirectory { directory: path, what });
                }
                true
            }
            Err(source) => return Err(io_error("read", &owner_path, source)),
        };
        Ok(Self {
            path,
            fresh,
            _lock: lock,
        })
    }

    /// Marks a fresh directory as the configured node's, durably.
    pub(crate) fn claim(&self, config: &EngineConfig) -> Result<(), EngineError> {
        if !self.fresh {
            return Ok(());
        }
        let temporary = self.path.join("ENGINE.new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(owner(config).as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, self.path.join(OWNER_FILE))?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| io_error("write", &self.path.join(OWNER_FILE), source))
    }

    /// Says that the disk is full where that is why the engine ended, which it tells in many ways.
    pub(crate) fn explain(&self, error: EngineError) -> EngineError {
        let of_disk = matches!(
            error,
            EngineError::Panicked(_) | EngineError::Storage(_) | EngineError::Exited(_)
        );
        if of_disk && self.is_full() {
            tracing::error!(%error, "the engine ended with its disk full");
            return EngineError::DiskFull(self.path.clone());
        }
        error
    }

    /// Whether a small file more has no room.
    fn is_full(&self) -> bool {
        let probe = self.path.join(PROBE_FILE);
        let written = File::create(&probe).and_then(|mut file| {
            file.write_all(&[0; PROBE_BYTES])?;
            file.sync_all()
        });
        // What could be written of it is of no use.
        let _ = fs::remove_file(&probe);
        written.is_err_and(|error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL_FOLDER)
    }
}

fn io_error(what: &str, path: &Path, source: io::Error) -> EngineError {
    EngineError::Io {
        what: format!("{what} {}", path.display()),
        source,
    }
}

fn owner(config: &EngineConfig) -> String {
    let key: Option<NodeKey> = config.key.as_ref().map(tokenim_identity::NodeSigningKey::verifying_key);
    let key = key.map_or_else(|| "none".to_owned(), |key| tokenim_wire::hex::encode(key.as_bytes()));
    format!(
        "tokenim consensus engine 1\nnetwork {}\ngenesis {}\nkey {key}\ninstall {}\n",
        config.network,
        config.genesis.digest(),
        tokenim_wire::hex::encode(&config.install_id),
    )
}

/// What the first line that differs is about.
fn difference(expected: &str, found: &str) -> Option<&'static str> {
    let about = [
        "the file ENGINE is damaged or of another version",
        "it is another network's",
        "it is of another genesis block",
        "it is another key's",
        "it is another installation's",
    ];
    let mut expected = expected.lines();
    let mut found = found.lines();
    for what in about {
        if expected.next() != found.next() {
            return Some(what);
        }
    }
    found.next().map(|_| "the file ENGINE is damaged or of another version")
}
