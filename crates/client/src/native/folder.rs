//! The client's folder: the network's configuration and the store.

use std::path::{Path, PathBuf};

use tokenim_ledger::NetworkConfig;
use tokenim_wire::Object;

use super::ClientError;

/// The network's configuration in a client's folder.
pub const NETWORK_FILE: &str = "genesis.tim";
/// The store in a client's folder.
pub const STORE_FILE: &str = "client.redb";

pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ClientError + '_ {
    move |error| match error.kind() {
        std::io::ErrorKind::StorageFull => ClientError::DiskFull(path.to_owned()),
        _ => ClientError::Io {
            path: path.to_owned(),
            error,
        },
    }
}

/// Reads a network's configuration.
///
/// # Errors
/// [`ClientError::Io`], [`ClientError::BadNetworkFile`].
pub fn read_network(path: &Path) -> Result<NetworkConfig, ClientError> {
    let bytes = std::fs::read(path).map_err(io(path))?;
    NetworkConfig::from_bytes(&bytes).map_err(|error| ClientError::BadNetworkFile {
        path: path.to_owned(),
        what: error.to_string(),
    })
}

/// Where the client's folder has its store.
pub(crate) fn store(folder: &Path) -> PathBuf {
    folder.join(STORE_FILE)
}

/// Makes the folder, for its owner alone, and puts the network's configuration there; what is there already stays.
pub(crate) fn prepare(folder: &Path, network: &NetworkConfig) -> Result<(), ClientError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder).map_err(io(folder))?;
    let path = folder.join(NETWORK_FILE);
    if path.exists() {
        if read_network(&path)? != *network {
            return Err(ClientError::ForeignFolder(folder.to_owned()));
        }
        return Ok(());
    }
    let fresh = folder.join("genesis.tim.new");
    std::fs::write(&fresh, network.to_bytes()?).map_err(io(&fresh))?;
    std::fs::File::open(&fresh)
        .and_then(|file| file.sync_all())
        .map_err(io(&fresh))?;
    std::fs::rename(&fresh, &path).map_err(io(&path))?;
    sync(folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync(folder: &Path) -> Result<(), ClientError> {
    if cfg!(unix) {
        std::fs::File::open(folder)
            .and_then(|file| file.sync_all())
            .map_err(io(folder))?;
    }
    Ok(())
}
