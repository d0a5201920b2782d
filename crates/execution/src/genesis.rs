//! The first block, and what an opened store has to hold.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};
use tokenim_consensus::{Block, BlockDigest, Header, payload_root};
use tokenim_ledger::{NetworkConfig, Payload, StateKey, proof::empty_root};
use tokenim_mailbox::{NodeSet, mmr::Accumulator};
use tokenim_storage::{Batch, StateStore};
use tokenim_wire::{Epoch, Height, Object};

use crate::{
    ExecutionError, InvalidBlock, Reader,
    batch::{put_block, put_sets},
    machine,
    overlay::{Sets, Snapshot, View},
    tables, tree,
};

/// The genesis block of a network, which follows from its configuration alone.
///
/// # Errors
/// [`ExecutionError::Encode`] for a configuration beyond the limits of encoding.
pub fn genesis_block(config: &NetworkConfig) -> Result<Block, ExecutionError> {
    Ok(Genesis::new(config)?.block)
}

/// What a network starts with.
pub(crate) struct Genesis {
    block: Block,
    sets: Sets,
    values: BTreeMap<StateKey, Vec<u8>>,
    update: tree::TreeUpdate,
}

/// No nodes.
struct Nothing;

impl tree::NodeReader for Nothing {
    fn node(&self, _: &[u8]) -> Result<Option<jmt::storage::Node>, ExecutionError> {
        Ok(None)
    }
}

impl Genesis {
    pub(crate) fn new(config: &NetworkConfig) -> Result<Self, ExecutionError> {
        let set = Arc::new(config.node_set()?);
        let values = machine::genesis_values(&set, config.validators())?;
        let sets = Sets::new(Arc::clone(&set), set);
        let update = tree::update(
            &Nothing,
            Height::ZERO,
            values.iter().map(|(key, value)| (key, Some(value))),
        )?;
        let payload = Payload::default().to_bytes()?;
        let header = Header {
            chain: config.network_id()?,
            epoch: Epoch::ZERO,
            height: Height::ZERO,
            time: config.started(),
            parent: BlockDigest::from_bytes([0; 32]),
            payload_root: payload_root(&payload),
            state_root: update.root,
            receipts_root: empty_root(),
            node_set_root: sets.commitment.root(),
            header_mmr_root: Accumulator::new().root(),
            next_validators: config.validators().digest(),
        };
        let block = Block::new(header, payload).map_err(|_| InvalidBlock::PayloadRoot)?;
        Ok(Self {
            block,
            sets,
            values,
            update,
        })
    }

    pub(crate) fn write<S: StateStore>(&self, store: &S) -> Result<(), ExecutionError> {
        let mut batch = Batch::new();
        batch.put(tables::META, tables::META_FORMAT, [tables::FORMAT]);
        batch.put(tables::META, tables::META_NETWORK, self.block.header.chain.to_bytes());
        put_block(&mut batch, &self.block.header, &self.block.payload)?;
        batch.put(tables::META, tables::META_MOUNTAINS, Accumulator::new().to_bytes()?);
        for (key, value) in &self.values {
            batch.put(tables::VALUES, key.to_bytes(), value.clone());
        }
        for (key, node) in &self.update.nodes {
            batch.put(tables::NODES, key.clone(), tree::encode_node(node)?);
        }
        put_sets(&mut batch, Height::ZERO, &self.sets)?;
        Ok(store.commit(batch)?)
    }
}

/// A set's bytes and the set.
type Stored = (Vec<u8>, Arc<NodeSet>);

/// What the last committed block left, checked against its header.
pub(crate) fn load_tip<S: StateStore>(reader: &Reader<S>, store: &Arc<S>) -> Result<Snapshot, ExecutionError> {
    let damaged = ExecutionError::Damaged;
    let height = reader.height()?;
    let header = reader.header(height)?.ok_or(damaged("the last header is missing"))?;
    let set = |key: StateKey| -> Result<Option<Stored>, ExecutionError> {
        match reader.value(&key)? {
            None => Ok(None),
            Some(bytes) => {
                let set = NodeSet::from_bytes(&bytes).map_err(|_| damaged("the node set"))?;
                Ok(Some((bytes, Arc::new(set))))
            }
        }
    };
    let (bytes, current) = set(StateKey::node_set())?.ok_or(damaged("the node set is missing"))?;
    let previous = match set(StateKey::previous_node_set())? {
        Some((_, previous)) => previous,
        None => Arc::clone(&current),
    };
    let sets = Sets::new(current, previous);
    let mountains = store
        .get(tables::META, tables::META_MOUNTAINS)?
        .and_then(|bytes| Accumulator::from_bytes(&bytes).ok())
        .ok_or(damaged("the Merkle mountain range over headers"))?;
    let view = View {
        overlays: &[],
        store: store.as_ref(),
    };
    let key = StateKey::node_set();
    let root = tree::prove(&view, height, &key)?.and_then(|proof| proof.root(&key, Some(&bytes)).ok());
    if root != Some(header.state_root)
        || sets.commitment.root() != header.node_set_root
        || mountains.root() != header.header_mmr_root
        || mountains.size() != height.get()
    {
        return Err(damaged("the last header does not fit what is stored"));
    }
    Ok(Snapshot {
        header,
        digest: header.digest(),
        sets: Arc::new(sets),
        mountains,
    })
}
