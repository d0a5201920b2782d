//! What a network starts from.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tokenim_consensus::ValidatorSet;
use tokenim_identity::NodeKey;
use tokenim_mailbox::{Member, NodeSet, PlacementId};
use tokenim_wire::{
    BoundedString, BoundedVec, Digest, EncodeError, Label, NetworkId, Object, SetEpoch, UnixMillis, hash, limits,
};

const NETWORK: Label = Label::new("tokenim/network/v1");

/// Bytes of a network's name.
pub const NETWORK_NAME_BYTES_MAX: usize = 64;

/// A node that belongs to the first node set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenesisNode {
    /// The node.
    pub key: NodeKey,
    /// Where it is reached, for example `192.0.2.1:7400`.
    pub address: BoundedString<{ limits::ADDRESS_BYTES_MAX }>,
}

/// Parameters of the state machine that a network chooses for itself, within the limits of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLimits {
    /// Transactions of one sponsor in one block; 1 to `SPONSOR_TRANSACTIONS_PER_BLOCK_MAX`.
    pub sponsor_transactions_per_block: u16,
    /// Heights for which a transaction may be valid; 1 to `TRANSACTION_LIFETIME_HEIGHTS_MAX`.
    pub transaction_lifetime_heights: u64,
    /// Heights from the registration of a node to the block that places it, at least 2, so that the digest which
    /// decides on its place is that of a block after the registration.
    pub placement_delay_heights: u64,
    /// Fewest heights between two changes of the node set, at least 1. A receipt of one set epoch can be proved until
    /// the set has changed twice.
    pub set_change_interval_heights: u64,
    /// Milliseconds of block time for which a record stays pending that changes the root or the recovery keys of an
    /// identity, or ends it; `RECOVERY_WINDOW_MILLIS_MIN` to `RECOVERY_WINDOW_MILLIS_MAX`. Whoever was robbed has this
    /// long to notice and to answer.
    pub recovery_window_ms: u64,
}

/// 72 hours.
const RECOVERY_WINDOW_MILLIS: u64 = 72 * 60 * 60 * 1_000;

impl LedgerLimits {
    /// Whether every parameter is within the protocol's limits.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        (1..=limits::SPONSOR_TRANSACTIONS_PER_BLOCK_MAX).contains(&usize::from(self.sponsor_transactions_per_block))
            && (1..=limits::TRANSACTION_LIFETIME_HEIGHTS_MAX).contains(&self.transaction_lifetime_heights)
            && self.placement_delay_heights >= 2
            && self.set_change_interval_heights >= 1
            && (limits::RECOVERY_WINDOW_MILLIS_MIN..=limits::RECOVERY_WINDOW_MILLIS_MAX)
                .contains(&self.recovery_window_ms)
    }
}

impl Default for LedgerLimits {
    fn default() -> Self {
        Self {
            sponsor_transactions_per_block: u16::try_from(limits::SPONSOR_TRANSACTIONS_PER_BLOCK_MAX)
                .unwrap_or(u16::MAX),
            transaction_lifetime_heights: limits::TRANSACTION_LIFETIME_HEIGHTS_MAX,
            placement_delay_heights: 8,
            set_change_interval_heights: 1024,
            recovery_window_ms: RECOVERY_WINDOW_MILLIS,
        }
    }
}

/// What a network starts from, the content of the file `genesis.tim`. Its hash is the network id, so all that agree on
/// the id agree on this.
///
/// ```text
/// 1 ‖ name (varint length ‖ UTF-8) ‖ started, ms, varint ‖ validators (varint number ‖ each: key, 32 bytes ‖ weight
/// varint) ‖ nodes (varint number ‖ each: key, 32 bytes ‖ address) ‖ limits: five varints
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct NetworkConfig {
    name: BoundedString<NETWORK_NAME_BYTES_MAX>,
    started: UnixMillis,
    validators: ValidatorSet,
    nodes: BoundedVec<GenesisNode, { limits::NODES_MAX }>,
    limits: LedgerLimits,
}

/// The same fields before they are checked.
#[derive(Deserialize)]
struct Raw {
    name: BoundedString<NETWORK_NAME_BYTES_MAX>,
    started: UnixMillis,
    validators: ValidatorSet,
    nodes: BoundedVec<GenesisNode, { limits::NODES_MAX }>,
    limits: LedgerLimits,
}

/// Why something is not the configuration of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The name is empty or longer than [`NETWORK_NAME_BYTES_MAX`].
    #[error("the name of a network has 1 to {NETWORK_NAME_BYTES_MAX} bytes")]
    Name,
    /// There is no node, more than `NODES_MAX`, one twice, or they are not sorted by key.
    #[error("the nodes of a network are 1 to {} and sorted by key, each once", limits::NODES_MAX)]
    Nodes,
    /// A parameter is outside of the protocol's limits.
    #[error("a parameter of the ledger is outside of the limits of the protocol")]
    Limits,
}

impl TryFrom<Raw> for NetworkConfig {
    type Error = ConfigError;

    fn try_from(raw: Raw) -> Result<Self, ConfigError> {
        let config = Self {
            name: raw.name,
            started: raw.started,
            validators: raw.validators,
            nodes: raw.nodes,
            limits: raw.limits,
        };
        config.check()?;
        Ok(config)
    }
}

impl NetworkConfig {
    /// A network of these parts; the nodes are sorted here.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub fn new(
        name: &str,
        started: UnixMillis,
        validators: ValidatorSet,
        mut nodes: Vec<GenesisNode>,
        limits: LedgerLimits,
    ) -> Result<Self, ConfigError> {
        nodes.sort_by_key(|node| node.key);
        let config = Self {
            name: BoundedString::try_from(name).map_err(|_| ConfigError::Name)?,
            started,
            validators,
            nodes: BoundedVec::try_from(nodes).map_err(|_| ConfigError::Nodes)?,
            limits,
        };
        config.check()?;
        Ok(config)
    }

    /// The rules that the types of the fields don't hold by themselves.
    fn check(&self) -> Result<(), ConfigError> {
        if self.name.is_empty() {
            return Err(ConfigError::Name);
        }
        let mut pairs = self.nodes.iter().zip(self.nodes.iter().skip(1));
        if self.nodes.is_empty() || pairs.any(|(before, after)| before.key >= after.key) {
            return Err(ConfigError::Nodes);
        }
        if !self.limits.is_valid() {
            return Err(ConfigError::Limits);
        }
        Ok(())
    }

    /// The network's name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The time of the genesis block.
    #[must_use]
    pub const fn started(&self) -> UnixMillis {
        self.started
    }

    /// Who agrees on blocks.
    #[must_use]
    pub const fn validators(&self) -> &ValidatorSet {
        &self.validators
    }

    /// The first nodes, by ascending key.
    #[must_use]
    pub fn nodes(&self) -> &[GenesisNode] {
        self.nodes.as_slice()
    }

    /// The parameters of the state machine.
    #[must_use]
    pub const fn limits(&self) -> &LedgerLimits {
        &self.limits
    }

    /// The network's id: `H("tokenim/network/v1", the bytes of the configuration)`.
    ///
    /// # Errors
    /// Those of [`Object::to_bytes`].
    pub fn network_id(&self) -> Result<NetworkId, EncodeError> {
        Ok(hash(NETWORK, &[&self.to_bytes()?]).into())
    }

    /// The first node set, of set epoch 0: every genesis node is placed by the network id, which depends on all of
    /// their keys.
    ///
    /// # Errors
    /// Those of [`NetworkConfig::network_id`].
    pub fn node_set(&self) -> Result<NodeSet, EncodeError> {
        let origin = Digest::from_bytes(self.network_id()?.to_bytes());
        let members = self
            .nodes
            .iter()
            .map(|node| Member {
                key: node.key,
                placement: PlacementId::new(&node.key, &origin),
                address: node.address.clone(),
            })
            .collect();
        // The nodes are sorted, unique and within the limit.
        NodeSet::new(SetEpoch::ZERO, members).map_err(|_| EncodeError::Unsupported)
    }
}

impl Object for NetworkConfig {
    const NAME: &'static str = "network configuration";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 256 * 1024;
}
