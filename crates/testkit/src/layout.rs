//! Folders of the nodes of a small network on the loopback interface.

use crate::{HarnessError, free_port};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tokenim_consensus::{Validator, ValidatorSet};
use tokenim_identity::{Keystore, KeystoreKind, NodeKey, NodeSigningKey};
use tokenim_ledger::{ConfigError, GenesisNode, LedgerLimits, NetworkConfig};
use tokenim_node::folder::{CONFIG_FILE, KEY_FILE};
use tokenim_node::{FolderError, InitOptions, init, join};
use tokenim_wire::{NetworkId, UnixMillis};

/// Bytes of the install id, which stands before the seed in a node's key file.
const INSTALL_BYTES: usize = 16;

/// Milliseconds for which something stays pending in these networks: short enough to wait for it.
pub const RECOVERY_WINDOW_MILLIS: u64 = 3_000;

/// One node's folder.
#[derive(Clone, Debug)]
pub struct NodeFolder {
    /// Where it is.
    pub dir: PathBuf,
    /// The node's key.
    pub key: NodeKey,
    /// Where it listens for clients and nodes (UDP).
    pub listen: SocketAddr,
    /// Where it serves `/health` and `/metrics` (TCP).
    pub http: SocketAddr,
}

/// The folders of a network whose nodes are all validators, storage and gateways.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The network.
    pub network: NetworkConfig,
    /// Its id.
    pub id: NetworkId,
    /// The nodes, in the order in which they were made; that of their keys is another one.
    pub nodes: Vec<NodeFolder>,
}

impl Layout {
    /// Makes `node-0`, `node-1`, … below `root`, as `tokenim init` does, with keys drawn from `seed`.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn create(root: &Path, nodes: usize, seed: u64) -> Result<Self, HarnessError> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut folders = Vec::with_capacity(nodes);
        for number in 0..nodes {
            let dir = root.join(format!("node-{number}"));
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            let options = InitOptions {
                listen: address,
                http: Some(address),
                ..InitOptions::default()
            };
            let key = init(&dir, &options, &mut rng)?;
            folders.push(NodeFolder {
                dir,
                key,
                listen: address,
                http: address,
            });
        }
        let validators = folders.iter().map(|folder| Validator::new(folder.key)).collect();
        let validators = ValidatorSet::new(validators).map_err(|_| ConfigError::Nodes)?;
        let members = folders
            .iter()
            .map(|folder| {
                let address = folder.listen.to_string().parse().map_err(|_| ConfigError::Nodes)?;
                Ok(GenesisNode {
                    key: folder.key,
                    address,
                })
            })
            .collect::<Result<Vec<_>, ConfigError>>()?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let limits = LedgerLimits {
            recovery_window_ms: RECOVERY_WINDOW_MILLIS,
            ..LedgerLimits::default()
        };
        let network = NetworkConfig::new("testkit", started, validators, members, limits)?;
        for folder in &folders {
            join(&folder.dir, &network)?;
        }
        Ok(Self {
            id: network.network_id()?,
            network,
            nodes: folders,
        })
    }

    /// The folder of a node.
    ///
    /// # Errors
    /// [`HarnessError::NoSuchNode`]
    pub fn node(&self, number: usize) -> Result<&NodeFolder, HarnessError> {
        self.nodes.get(number).ok_or(HarnessError::NoSuchNode(number))
    }

    /// The number of the node with this key.
    #[must_use]
    pub fn number_of(&self, key: &NodeKey) -> Option<usize> {
        self.nodes.iter().position(|node| node.key == *key)
    }

    /// Replaces the one occurrence of `from` in a node's configuration file.
    ///
    /// # Errors
    /// [`HarnessError`], also if there is not exactly one.
    pub fn edit_config(&self, number: usize, from: &str, to: &str) -> Result<(), HarnessError> {
        let path = self.node(number)?.dir.join(CONFIG_FILE);
        let text = fs::read_to_string(&path).map_err(HarnessError::io(&path))?;
        if text.matches(from).count() != 1 {
            return Err(HarnessError::WrongState {
                node: number,
                state: "configured otherwise than the test expects",
            });
        }
        fs::write(&path, text.replacen(from, to, 1)).map_err(HarnessError::io(&path))
    }
}

/// Reads the key of a node from a folder that was made without a passphrase: what someone can do who has taken a node
/// over.
///
/// # Errors
/// [`HarnessError`]
pub fn node_signing_key(dir: &Path) -> Result<NodeSigningKey, HarnessError> {
    let path = dir.join(KEY_FILE);
    let bytes = fs::read(&path).map_err(HarnessError::io(&path))?;
    let plain = Keystore::open(&[], KeystoreKind::Node, &bytes)?;
    let seed = plain
        .split_at_checked(INSTALL_BYTES)
        .and_then(|(_, seed)| <[u8; 32]>::try_from(seed).ok());
    let seed = seed.ok_or(FolderError::Damaged(path))?;
    Ok(NodeSigningKey::from_seed(seed))
}
