//! What committing a block writes: one batch.

use alloc::{collections::BTreeSet, vec::Vec};
use tokenim_consensus::{Certificate, Header};
use tokenim_ledger::{Outcome, TransactionId};
use tokenim_storage::{Batch, StateStore};
use tokenim_wire::{Digest, Height, Object, encode};

use crate::{
    ExecutionError,
    overlay::{Overlay, Sets},
    reader::{STATE_HISTORY_HEIGHTS, status},
    tables, tree,
};

/// Header, payload, digest and the height of the last block.
pub(crate) fn put_block(batch: &mut Batch, header: &Header, payload: &[u8]) -> Result<(), ExecutionError> {
    let height = tables::height_key(header.height);
    batch.put(tables::HEADERS, height, header.to_bytes()?);
    batch.put(tables::PAYLOADS, height, payload);
    batch.put(tables::DIGESTS, header.digest().to_bytes(), height);
    batch.put(tables::META, tables::META_TIP, height);
    Ok(())
}

/// A node set and the commitment from this height on.
pub(crate) fn put_sets(batch: &mut Batch, height: Height, sets: &Sets) -> Result<(), ExecutionError> {
    let epoch = sets.current.epoch().get().to_be_bytes();
    batch.put(tables::SETS, epoch, sets.current.to_bytes()?);
    batch.put(
        tables::COMMITMENTS,
        tables::height_key(height),
        encode(&sets.commitment)?,
    );
    Ok(())
}

/// Everything that committing a block writes.
pub(crate) fn of<S: StateStore>(
    store: &S,
    overlay: &Overlay,
    certificate: Option<&Certificate>,
) -> Result<Batch, ExecutionError> {
    let mut batch = Batch::new();
    let snapshot = &overlay.snapshot;
    let height = snapshot.header.height;
    let height_key = tables::height_key(height);
    put_block(&mut batch, &snapshot.header, &overlay.payload)?;
    if let Some(certificate) = certificate {
        batch.put(tables::CERTIFICATES, height_key, certificate.as_bytes());
        batch.put(tables::META, tables::META_CERTIFIED, height_key);
    }
    for (key, value) in &overlay.changes {
        let before = store.get(tables::VALUES, key.as_bytes())?;
        if before.is_none() && value.is_none() {
            continue;
        }
        let undo = match before {
            None => alloc::vec![0],
            Some(before) => {
                let mut undo = alloc::vec![1];
                undo.extend_from_slice(&before);
                undo
            }
        };
        batch.put(tables::UNDO, tables::height_and(height, key.as_bytes()), undo);
        match value {
            Some(value) => batch.put(tables::VALUES, key.to_bytes(), value.clone()),
            None => batch.delete(tables::VALUES, key.to_bytes()),
        }
    }
    for (key, node) in &overlay.nodes {
        batch.put(tables::NODES, key.clone(), tree::encode_node(node)?);
    }
    for key in &overlay.stale {
        batch.put(tables::STALE, tables::height_and(height, key), []);
    }
    for (key, row) in &overlay.history {
        batch.put(tables::HISTORY, key.clone(), row.clone());
    }
    put_receipts(store, &mut batch, height, &overlay.leaves)?;
    let mut position = overlay.appended.position;
    for node in &overlay.appended.nodes {
        batch.put(tables::MOUNTAINS, position.to_be_bytes(), node.to_bytes());
        position = position.saturating_add(1);
    }
    batch.put(tables::META, tables::META_MOUNTAINS, snapshot.mountains.to_bytes()?);
    put_status(store, &mut batch, height, &overlay.outcomes)?;
    for (valid_until, id) in &overlay.expiring {
        batch.put(tables::EXPIRING, tables::height_and(*valid_until, id.as_bytes()), []);
    }
    for id in &overlay.expired {
        let last = height.saturating_sub(1);
        batch.delete(tables::EXPIRING, tables::height_and(last, id.as_bytes()));
    }
    if overlay.sets_changed {
        put_sets(&mut batch, height, &snapshot.sets)?;
    }
    prune(store, &mut batch, height)?;
    Ok(batch)
}

/// The leaves of the block, and where each is found first.
fn put_receipts<S: StateStore>(
    store: &S,
    batch: &mut Batch,
    height: Height,
    leaves: &[Digest],
) -> Result<(), ExecutionError> {
    if leaves.is_empty() {
        return Ok(());
    }
    let mut bytes = Vec::with_capacity(leaves.len().saturating_mul(Digest::LENGTH));
    for (index, leaf) in leaves.iter().enumerate() {
        bytes.extend_from_slice(leaf.as_bytes());
        if store.get(tables::ANCHORED, leaf.as_bytes())?.is_none() {
            let index = u32::try_from(index).map_err(|_| ExecutionError::Damaged("too many leaves"))?;
            batch.put(
                tables::ANCHORED,
                leaf.to_bytes(),
                tables::height_and(height, &index.to_be_bytes()),
            );
        }
    }
    batch.put(tables::LEAVES, tables::height_key(height), bytes);
    Ok(())
}

/// What became of the transactions. That one was rejected does not hide that it was applied before.
fn put_status<S: StateStore>(
    store: &S,
    batch: &mut Batch,
    height: Height,
    outcomes: &[(TransactionId, Outcome)],
) -> Result<(), ExecutionError> {
    let mut applied = BTreeSet::new();
    for (id, outcome) in outcomes {
        match outcome {
            Outcome::Applied => {
                applied.insert(*id);
            }
            Outcome::Rejected(_) => {
                let before = status(store, id)?;
                if applied.contains(id) || matches!(before, Some((_, Outcome::Applied))) {
                    continue;
                }
            }
        }
        batch.put(
            tables::STATUS,
            id.to_bytes(),
            tables::height_and(height, &encode(outcome)?),
        );
    }
    Ok(())
}

/// Forgets the nodes and values that only heights below the history kept need.
fn prune<S: StateStore>(store: &S, batch: &mut Batch, height: Height) -> Result<(), ExecutionError> {
    let Some(horizon) = height.checked_sub(STATE_HISTORY_HEIGHTS) else {
        return Ok(());
    };
    let prefix = tables::height_key(horizon);
    for (key, _) in store.scan(tables::STALE, &[], &prefix, usize::MAX, false)? {
        let (_, node) = tables::split_height(&key).ok_or(ExecutionError::Damaged("the list of stale nodes"))?;
        batch.delete(tables::NODES, node);
        batch.delete(tables::STALE, key);
    }
    for (key, _) in store.scan(tables::UNDO, &[], &prefix, usize::MAX, false)? {
        batch.delete(tables::UNDO, key);
    }
    Ok(())
}
