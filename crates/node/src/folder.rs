//! The folder of a node: what is in it, and how it is made and opened.
//!
//! ```text
//! DIR/config.toml   what the operator decides
//! DIR/genesis.tim   the network that the node belongs to
//! DIR/node.key      install id and key of the node, sealed, readable by its owner alone
//! DIR/store/        state and mailboxes
//! DIR/used          there once the node took part in consensus: then neither folder may be missing
//! DIR/consensus/    journal of the consensus engine
//! ```

use crate::config::{Config, ConfigError};
use rand_core::CryptoRng;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokenim_identity::{Argon2Cost, Keystore, KeystoreError, KeystoreKind, NodeKey, NodeSigningKey};
use tokenim_ledger::NetworkConfig;
use tokenim_wire::{NetworkId, Object, bytes_newtype};
use zeroize::Zeroizing;

/// The file with the configuration.
pub const CONFIG_FILE: &str = "config.toml";
/// The file with the network.
pub const NETWORK_FILE: &str = "genesis.tim";
/// The file with the node's key.
pub const KEY_FILE: &str = "node.key";
/// The folder with state and mailboxes.
pub(crate) const STORE_FOLDER: &str = "store";
/// The file that is there once the node took part in consensus.
const USED_FILE: &str = "used";
/// The folder with the engine's journal.
pub(crate) const CONSENSUS_FOLDER: &str = "consensus";

bytes_newtype! {
    /// Names one installation of a node: drawn when its folder is made, and kept beside the key, in the store and
    /// beside the engine's journal, so that parts of different folders are never mixed.
    pub(crate) struct InstallId([u8; 16]);
}

/// Why a folder is not made or not opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There is no such folder.
    #[error("{} does not exist: make it with `tokenim init`, or name another folder", .0.display())]
    Missing(PathBuf),
    /// A folder to be made has something in it.
    #[error("{} is not empty: name a new folder, nothing was changed", .0.display())]
    NotEmpty(PathBuf),
    /// A file that every node's folder has is missing.
    #[error("{} has no {file}: it is not a node's folder or not all of one; name another or make one with `tokenim init`", dir.display())]
    Incomplete {
        /// The folder.
        dir: PathBuf,
        /// The file.
        file: &'static str,
    },
    /// The configuration is refused.
    #[error("{}: {error}; correct it and start again", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ConfigError,
    },
    /// The key file can be read by others.
    #[error("{} can be read by other users: run chmod 600 on it", .0.display())]
    KeyExposed(PathBuf),
    /// The key file does not open.
    #[error("{}: {error}; give the right passphrase or restore the file from a backup", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        error: KeystoreError,
    },
    /// A file is damaged.
    #[error("{} is damaged: restore it from a backup", .0.display())]
    Damaged(PathBuf),
    /// The folder belongs to another network.
    #[error("{} belongs to another network already: use a new folder for this one", .0.display())]
    OtherNetwork(PathBuf),
    /// A part of a folder that was in use before is gone.
    #[error("{} is missing, but this node ran before: put it back; a node that lost its memory must not sign again, so otherwise make a new one with a new key", .0.display())]
    Lost(PathBuf),
    /// The disk is full.
    #[error("the disk of {} is full: make room and try again", .0.display())]
    Full(PathBuf),
    /// The operating system refuses.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl FolderError {
    /// The error for what the operating system says about a path.
    fn io(path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path.to_owned()),
            _ => Self::Io {
                path: path.to_owned(),
                error,
            },
        }
    }
}

/// What a new folder gets.
#[derive(Clone, Copy, Debug)]
pub struct InitOptions<'a> {
    /// UDP address for clients and nodes.
    pub listen: SocketAddr,
    /// TCP address for `/health` and `/metrics`; none to switch them off.
    pub http: Option<SocketAddr>,
    /// The passphrase under which the key is sealed. Without one the file's mode alone protects the key.
    pub passphrase: Option<&'a [u8]>,
    /// The network, if it is known already; otherwise [`join`] comes later.
    pub network: Option<&'a NetworkConfig>,
}

impl Default for InitOptions<'_> {
    fn default() -> Self {
        let config = Config::default();
        Self {
            listen: config.network.listen,
            http: Some(config.http.listen),
            passphrase: None,
            network: None,
        }
    }
}

/// Makes the folder of a new node, with a fresh key, and returns the key's public half.
///
/// # Errors
/// [`FolderError`]; a folder with anything in it is left alone.
pub fn init(dir: &Path, options: &InitOptions<'_>, rng: &mut impl CryptoRng) -> Result<NodeKey, FolderError> {
    fs::create_dir_all(dir).map_err(|error| FolderError::io(dir, error))?;
    let mut entries = fs::read_dir(dir).map_err(|error| FolderError::io(dir, error))?;
    if entries.next().is_some() {
        return Err(FolderError::NotEmpty(dir.to_owned()));
    }
    let mut install = [0; InstallId::LENGTH];
    rng.fill_bytes(&mut install);
    let key = NodeSigningKey::generate(rng);
    let secrets = Secrets {
        install: InstallId::from_bytes(install),
        key,
    };
    let node = secrets.key.verifying_key();
    let sealed = secrets
        .seal(options.passphrase, rng)
        .map_err(|error| FolderError::Key {
            path: dir.join(KEY_FILE),
            error,
        })?;
    write_new(&dir.join(KEY_FILE), &sealed)?;
    let config = Config::template_for(options.listen, options.http);
    write_new(&dir.join(CONFIG_FILE), config.as_bytes())?;
    if let Some(network) = options.network {
        join(dir, network)?;
    }
    sync_folder(dir)?;
    Ok(node)
}

/// Says to which network a node's folder belongs. Saying the same again changes nothing.
///
/// # Errors
/// [`FolderError::OtherNetwork`] if it belongs to another one, and others.
pub fn join(dir: &Path, network: &NetworkConfig) -> Result<(), FolderError> {
    let path = dir.join(NETWORK_FILE);
    if !dir.join(KEY_FILE).is_file() {
        return Err(missing_or_incomplete(dir, KEY_FILE));
    }
    let bytes = network.to_bytes().map_err(|_| FolderError::Damaged(path.clone()))?;
    match fs::read(&path) {
        Ok(there) if there == bytes => Ok(()),
        Ok(_) => Err(FolderError::OtherNetwork(dir.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_new(&path, &bytes)?;
            sync_folder(dir)
        }
        Err(error) => Err(FolderError::io(&path, error)),
    }
}

/// The public key of the node that a folder belongs to.
///
/// # Errors
/// [`FolderError`].
pub fn node_key(dir: &Path, passphrase: Option<&[u8]>) -> Result<NodeKey, FolderError> {
    Ok(Secrets::read(dir, passphrase)?.key.verifying_key())
}

/// The network that a folder belongs to.
///
/// # Errors
/// [`FolderError`].
pub fn network_of(dir: &Path) -> Result<NetworkConfig, FolderError> {
    let path = dir.join(NETWORK_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(missing_or_incomplete(dir, NETWORK_FILE));
        }
        Err(error) => return Err(FolderError::io(&path, error)),
    };
    NetworkConfig::from_bytes(&bytes).map_err(|_| FolderError::Damaged(path))
}

/// A node's folder, read and checked, not yet locked or changed.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub(crate) dir: PathBuf,
    /// What the operator decides; may be changed before the node starts.
    pub config: Config,
    pub(crate) secrets: Secrets,
    pub(crate) network: NetworkConfig,
    pub(crate) network_id: NetworkId,
}

impl Folder {
    /// Reads a node's folder.
    ///
    /// # Errors
    /// [`FolderError`]; nothing is changed.
    pub fn open(dir: &Path, passphrase: Option<&[u8]>) -> Result<Self, FolderError> {
        if !dir.is_dir() {
            return Err(FolderError::Missing(dir.to_owned()));
        }
        let secrets = Secrets::read(dir, passphrase)?;
        let path = dir.join(CONFIG_FILE);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| FolderError::Damaged(path.clone()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(missing_or_incomplete(dir, CONFIG_FILE));
            }
            Err(error) => return Err(FolderError::io(&path, error)),
        };
        let config = Config::parse(&text).map_err(|error| FolderError::Config { path, error })?;
        let network = network_of(dir)?;
        let network_id = network
            .network_id()
            .map_err(|_| FolderError::Damaged(dir.join(NETWORK_FILE)))?;
        Ok(Self {
            dir: dir.to_owned(),
            config,
            secrets,
            network,
            network_id,
        })
    }

    /// The node's public key.
    #[must_use]
    pub fn node(&self) -> NodeKey {
        self.secrets.key.verifying_key()
    }

    /// The network that the node belongs to.
    #[must_use]
    pub const fn network(&self) -> &NetworkConfig {
        &self.network
    }

    /// The id of that network.
    #[must_use]
    pub const fn network_id(&self) -> &NetworkId {
        &self.network_id
    }

    /// The engine's folder.
    pub(crate) fn consensus(&self) -> PathBuf {
        self.dir.join(CONSENSUS_FOLDER)
    }

    /// The store's folder.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.join(STORE_FOLDER)
    }
}

impl Folder {
    /// Refuses a folder that was in use and has lost its store or its journal: such a node has forgotten what it signed.
    pub(crate) fn check_complete(&self) -> Result<(), FolderError> {
        if self.dir.join(USED_FILE).is_file() {
            for part in [self.store(), self.consensus()] {
                if !part.is_dir() {
                    return Err(FolderError::Lost(part));
                }
            }
        }
        Ok(())
    }

    /// Marks the folder as one in use.
    pub(crate) fn used_mark(&self) -> UsedMark {
        UsedMark { dir: self.dir.clone() }
    }
}

/// Marks a folder as one in use, right before the node takes part in consensus for the first time.
#[derive(Debug)]
pub(crate) struct UsedMark {
    dir: PathBuf,
}

impl UsedMark {
    /// Writes the mark, if it is not there yet.
    pub(crate) fn write(&self) -> Result<(), FolderError> {
        let consensus = self.dir.join(CONSENSUS_FOLDER);
        fs::create_dir_all(&consensus).map_err(|error| FolderError::io(&consensus, error))?;
        let path = self.dir.join(USED_FILE);
        if path.is_file() {
            return Ok(());
        }
        write_new(
            &path,
            b"This node has taken part in consensus: store/ and consensus/ belong to its key.\n",
        )?;
        sync_folder(&self.dir)
    }
}

/// What the key file holds.
pub(crate) struct Secrets {
    pub(crate) install: InstallId,
    pub(crate) key: NodeSigningKey,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(redacted)")
    }
}

impl Secrets {
    /// Seals them: install id, 16 bytes ‖ seed, 32 bytes.
    fn seal(&self, passphrase: Option<&[u8]>, rng: &mut impl CryptoRng) -> Result<Vec<u8>, KeystoreError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(InstallId::LENGTH.saturating_add(32)));
        plain.extend_from_slice(self.install.as_bytes());
        plain.extend_from_slice(self.key.expose_seed().as_slice());
        let cost = match passphrase {
            Some(_) => Argon2Cost::RECOMMENDED,
            // There is nothing to guess.
            None => Argon2Cost::MINIMUM,
        };
        Keystore::seal(passphrase.unwrap_or_default(), KeystoreKind::Node, &plain, cost, rng)
    }

    /// Reads the key file of a folder.
    fn read(dir: &Path, passphrase: Option<&[u8]>) -> Result<Self, FolderError> {
        let path = dir.join(KEY_FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(missing_or_incomplete(dir, KEY_FILE));
            }
            Err(error) => return Err(FolderError::io(&path, error)),
        };
        let metadata = file.metadata().map_err(|error| FolderError::io(&path, error))?;
        if is_exposed(&metadata) {
            return Err(FolderError::KeyExposed(path));
        }
        let limit = u64::try_from(Keystore::BYTES_MAX).unwrap_or(u64::MAX);
        if metadata.len() > limit {
            return Err(FolderError::Damaged(path));
        }
        let bytes = fs::read(&path).map_err(|error| FolderError::io(&path, error))?;
        let plain = Keystore::open(passphrase.unwrap_or_default(), KeystoreKind::Node, &bytes).map_err(|error| {
            FolderError::Key {
                path: path.clone(),
                error,
            }
        })?;
        let parsed = plain
            .split_first_chunk::<{ InstallId::LENGTH }>()
            .and_then(|(install, seed)| {
                let seed = Zeroizing::new(<[u8; 32]>::try_from(seed).ok()?);
                Some(Self {
                    install: InstallId::from_bytes(*install),
                    key: NodeSigningKey::from_seed(*seed),
                })
            });
        parsed.ok_or(FolderError::Damaged(path))
    }
}

/// The error for a file that is not there.
fn missing_or_incomplete(dir: &Path, file: &'static str) -> FolderError {
    if dir.is_dir() {
        FolderError::Incomplete {
            dir: dir.to_owned(),
            file,
        }
    } else {
        FolderError::Missing(dir.to_owned())
    }
}

/// Whether others than the owner may read a file.
#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077 != 0
}

/// Whether others than the owner may read a file.
#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

/// Writes a file that is not there yet, readable by its owner alone, and all of it or nothing.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let part = path.with_extension("part");
    let result = write_synced(&part, bytes).and_then(|()| fs::rename(&part, path));
    if result.is_err() {
        // What could be written of it is of no use.
        let _ = fs::remove_file(&part);
    }
    result.map_err(|error| FolderError::io(path, error))
}

/// Writes a file and waits until it is durable.
fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until the names in a folder are durable.
fn sync_folder(dir: &Path) -> Result<(), FolderError> {
    #[cfg(unix)]
    File::open(dir)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| FolderError::io(dir, error))?;
    Ok(())
}
