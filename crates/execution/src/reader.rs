//! Answers about committed blocks, straight from the store: no lock, so a commit that waits for the disk holds nobody
//! up.

use alloc::{sync::Arc, vec::Vec};
use tokenim_consensus::{Block, BlockDigest, Certificate, FinalityProof, Header};
use tokenim_identity::{Genesis, HistoryEntry, IdentityId};
use tokenim_ledger::{
    AcceptanceProof, AncestryProof, HistoryPage, LookupProof, NodeSetCommitment, Outcome, StateKey, TransactionId,
    members_tree, proof::MerkleTree,
};
use tokenim_mailbox::{NodeSet, QuorumReceipt, mmr};
use tokenim_storage::{StateStore, StoreError};
use tokenim_wire::{
    BoundedBytes, BoundedVec, Digest, Height, NetworkId, Object, SetEpoch, decode,
    limits::{FINALITY_CHAIN_MAX, HISTORY_ENTRIES_MAX},
};

use crate::{ExecutionError, overlay::View, tables, tree};

/// Heights below the last block at which the state can still be read and proved.
pub const STATE_HISTORY_HEIGHTS: u64 = 256;

/// Tries to read a consistent state while commits go on.
const ATTEMPTS: usize = 8;

/// Reads what is committed. A cheap handle; clones share the store.
#[derive(Debug)]
pub struct Reader<S> {
    store: Arc<S>,
    network: NetworkId,
}

impl<S> Clone for Reader<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            network: self.network,
        }
    }
}

impl<S: StateStore> Reader<S> {
    pub(crate) const fn new(store: Arc<S>, network: NetworkId) -> Self {
        Self { store, network }
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        &self.network
    }

    /// The height of the last committed block.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn height(&self) -> Result<Height, ExecutionError> {
        let bytes = self.store.get(tables::META, tables::META_TIP)?;
        let height = bytes.as_deref().and_then(tables::split_height);
        let (height, _) = height.ok_or(ExecutionError::Damaged("the height of the last block"))?;
        Ok(height)
    }

    /// The highest height with a certificate of its own; none before the first.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn certified(&self) -> Result<Option<Height>, ExecutionError> {
        match self.store.get(tables::META, tables::META_CERTIFIED)? {
            None => Ok(None),
            Some(bytes) => match tables::split_height(&bytes) {
                Some((height, [])) => Ok(Some(height)),
                _ => Err(ExecutionError::Damaged("the certified height")),
            },
        }
    }

    /// The header at a height; none above the last block.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn header(&self, height: Height) -> Result<Option<Header>, ExecutionError> {
        match self.store.get(tables::HEADERS, &tables::height_key(height))? {
            None => Ok(None),
            Some(bytes) => Header::from_bytes(&bytes)
                .map(Some)
                .map_err(|_| ExecutionError::Damaged("a header")),
        }
    }

    /// The height of a committed block.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn height_of(&self, digest: &BlockDigest) -> Result<Option<Height>, ExecutionError> {
        match self.store.get(tables::DIGESTS, digest.as_bytes())? {
            None => Ok(None),
            Some(bytes) => match tables::split_height(&bytes) {
                Some((height, [])) => Ok(Some(height)),
                _ => Err(ExecutionError::Damaged("the height of a block")),
            },
        }
    }

    /// The block at a height; none above the last block.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn block(&self, height: Height) -> Result<Option<Block>, ExecutionError> {
        let Some(header) = self.header(height)? else {
            return Ok(None);
        };
        let payload = self
            .store
            .get(tables::PAYLOADS, &tables::height_key(height))?
            .ok_or(ExecutionError::Damaged("the payload of a block"))?;
        Block::new(header, payload)
            .map(Some)
            .map_err(|_| ExecutionError::Damaged("the payload of a block"))
    }

    /// The certificate of the block at a height, if it has one of its own.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn certificate(&self, height: Height) -> Result<Option<Certificate>, ExecutionError> {
        match self.store.get(tables::CERTIFICATES, &tables::height_key(height))? {
            None => Ok(None),
            Some(bytes) => Certificate::new(bytes)
                .map(Some)
                .map_err(|_| ExecutionError::Damaged("a certificate")),
        }
    }

    /// Shows that the block at `height` is final: its header, those up to the next one with a certificate, and that
    /// certificate. None if no height from there on has one yet, or only one more than `FINALITY_CHAIN_MAX` headers
    /// away.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn finality_proof(&self, height: Height) -> Result<Option<FinalityProof>, ExecutionError> {
        let damaged = || ExecutionError::Damaged("a certificate");
        let found = self
            .store
            .scan(tables::CERTIFICATES, &tables::height_key(height), &[], 1, false)?;
        let Some((key, bytes)) = found.into_iter().next() else {
            return Ok(None);
        };
        let Some((certified, [])) = tables::split_height(&key) else {
            return Err(damaged());
        };
        let certificate = Certificate::new(bytes).map_err(|_| damaged())?;
        let distance = certified.since(height).and_then(|count| usize::try_from(count).ok());
        if distance.is_none_or(|distance| distance >= FINALITY_CHAIN_MAX) {
            return Ok(None);
        }
        let mut headers = Vec::new();
        for at in height.get()..=certified.get() {
            headers.push(
                self.header(Height::new(at))?
                    .ok_or(ExecutionError::Damaged("a header is missing"))?,
            );
        }
        FinalityProof::new(headers, certificate)
            .map(Some)
            .map_err(|_| damaged())
    }

    /// The value under a key after the last block, without a proof.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn value(&self, key: &StateKey) -> Result<Option<Vec<u8>>, ExecutionError> {
        Ok(self.store.get(tables::VALUES, key.as_bytes())?)
    }

    /// The value under a key after the block at `height`, which is not below the history kept.
    fn value_at(&self, height: Height, key: &StateKey) -> Result<Option<Vec<u8>>, ExecutionError> {
        // The value first, then the height: whatever changed it in between has left an undo entry up to that height.
        let current = self.value(key)?;
        let tip = self.height()?;
        let mut at = height;
        while at < tip {
            at = at.saturating_add(1);
            let undo = self.store.get(tables::UNDO, &tables::height_and(at, key.as_bytes()))?;
            match undo.as_deref().map(<[u8]>::split_first) {
                None => {}
                Some(Some((0, []))) => return Ok(None),
                Some(Some((1, before))) => return Ok(Some(before.to_vec())),
                Some(_) => return Err(ExecutionError::Damaged("an earlier value")),
            }
        }
        Ok(current)
    }

    /// What stands under a key at the newest certified height, with its proof. None before the first certificate, and
    /// while the newest is more than [`STATE_HISTORY_HEIGHTS`] below the last block.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn lookup(&self, key: &StateKey) -> Result<Option<LookupProof>, ExecutionError> {
        for _ in 0..ATTEMPTS {
            let Some(height) = self.certified()? else {
                return Ok(None);
            };
            if self
                .height()?
                .since(height)
                .is_none_or(|behind| behind > STATE_HISTORY_HEIGHTS)
            {
                return Ok(None);
            }
            let value = self.value_at(height, key)?;
            let view = View {
                overlays: &[],
                store: self.store.as_ref(),
            };
            // A commit in between may have pruned this height: then there is a newer certificate, or none near enough.
            let Some(proof) = tree::prove(&view, height, key)? else {
                continue;
            };
            let Some(finality) = self.finality_proof(height)? else {
                continue;
            };
            let root = finality.subject().map(|header| header.state_root);
            if proof.root(key, value.as_deref()).ok() != root {
                continue;
            }
            let value = match value {
                None => None,
                Some(bytes) => {
                    Some(BoundedBytes::try_from(bytes).map_err(|_| ExecutionError::Damaged("a value of the state"))?)
                }
            };
            return Ok(Some(LookupProof { value, proof, finality }));
        }
        Err(ExecutionError::Damaged("the state tree does not lead to its root"))
    }

    /// Records of an identity that were applied, from number `from` on (0 and 1 are both the first), at most `limit` and
    /// at most `HISTORY_ENTRIES_MAX`; none if there is no such identity. What the last block applied is in it, so it may
    /// be ahead of a lookup.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn history(
        &self,
        identity: &IdentityId,
        from: u64,
        limit: usize,
    ) -> Result<Option<HistoryPage>, ExecutionError> {
        let damaged = || ExecutionError::Damaged("the history of an identity");
        let genesis = self.store.get(tables::HISTORY, &tables::history_key(identity, 0))?;
        let Some(genesis) = genesis else {
            return Ok(None);
        };
        let limit = limit.min(HISTORY_ENTRIES_MAX);
        let first = tables::history_key(identity, from.max(1));
        let mut rows = self.store.scan(
            tables::HISTORY,
            &first,
            identity.as_bytes(),
            limit.saturating_add(1),
            false,
        )?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let entries = rows
            .iter()
            .map(|(_, row)| HistoryEntry::from_bytes(row).map_err(|_| damaged()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Some(HistoryPage {
            genesis: Genesis::from_bytes(&genesis).map_err(|_| damaged())?,
            entries: BoundedVec::try_from(entries).map_err(|_| damaged())?,
            more,
        }))
    }

    /// The block that anchored a quorum receipt first, and the receipt's place in it.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn anchored(&self, leaf: &Digest) -> Result<Option<(Height, u32)>, ExecutionError> {
        let Some(bytes) = self.store.get(tables::ANCHORED, leaf.as_bytes())? else {
            return Ok(None);
        };
        tables::split_height(&bytes)
            .and_then(|(height, index)| Some((height, u32::from_be_bytes(index.try_into().ok()?))))
            .map(Some)
            .ok_or(ExecutionError::Damaged("the place of a receipt"))
    }

    /// The leaves of the receipts tree of a block, ascending.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn leaves(&self, height: Height) -> Result<Vec<Digest>, ExecutionError> {
        let damaged = || ExecutionError::Damaged("the receipts of a block");
        let bytes = self.store.get(tables::LEAVES, &tables::height_key(height))?;
        bytes
            .unwrap_or_default()
            .chunks(Digest::LENGTH)
            .map(|chunk| Digest::try_from(chunk).map_err(|_| damaged()))
            .collect()
    }

    /// A node set by its epoch; none for an epoch that has not begun.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn node_set(&self, epoch: SetEpoch) -> Result<Option<NodeSet>, ExecutionError> {
        match self.store.get(tables::SETS, &epoch.get().to_be_bytes())? {
            None => Ok(None),
            Some(bytes) => NodeSet::from_bytes(&bytes)
                .map(Some)
                .map_err(|_| ExecutionError::Damaged("a node set")),
        }
    }

    /// What the node-set root of the header at a height commits to.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn node_sets(&self, height: Height) -> Result<NodeSetCommitment, ExecutionError> {
        let damaged = || ExecutionError::Damaged("the commitment to the node sets");
        let found = self
            .store
            .scan(tables::COMMITMENTS, &tables::height_key(height), &[], 1, true)?;
        let (_, bytes) = found.into_iter().next().ok_or_else(damaged)?;
        decode(&bytes, bytes.len()).map_err(|_| damaged())
    }

    /// Proves that an envelope was accepted. None while its receipt is not anchored or the block not certified, and
    /// for a receipt of a set epoch that was neither current nor previous when it was anchored.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn acceptance(&self, receipt: &QuorumReceipt) -> Result<Option<AcceptanceProof>, ExecutionError> {
        let Some((height, index)) = self.anchored(&receipt.leaf())? else {
            return Ok(None);
        };
        let Some(finality) = self.finality_proof(height)? else {
            return Ok(None);
        };
        let sets = self.node_sets(height)?;
        if sets.of_epoch(receipt.set_epoch).is_none() {
            return Ok(None);
        }
        let set = self
            .node_set(receipt.set_epoch)?
            .ok_or(ExecutionError::Damaged("a node set is missing"))?;
        let indices: Vec<u32> = receipt.issuers.iter().map(|issuer| u32::from(issuer.member)).collect();
        let keys = receipt
            .issuers
            .iter()
            .filter_map(|issuer| set.get(issuer.member).map(|member| member.key));
        let (Ok(keys), Some(members)) = (BoundedVec::try_from_iter(keys), members_tree(&set).prove(&indices)) else {
            return Ok(None);
        };
        let path = MerkleTree::new(self.leaves(height)?)
            .and_then(|tree| tree.path(index))
            .ok_or(ExecutionError::Damaged("the receipts of a block"))?;
        Ok(Some(AcceptanceProof {
            receipt: receipt.clone(),
            sets,
            keys,
            members,
            path,
            finality,
        }))
    }

    /// Proves that the header at `height` is an ancestor of the one at `descendant`; none unless it is below, and both
    /// are committed.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn ancestry(&self, height: Height, descendant: Height) -> Result<Option<AncestryProof>, ExecutionError> {
        if height >= descendant || descendant > self.height()? {
            return Ok(None);
        }
        let Some(header) = self.header(height)? else {
            return Ok(None);
        };
        let path =
            mmr::prove(&Mountains(self.store.as_ref()), descendant.get(), height.get()).map_err(
                |error| match error {
                    mmr::ProveError::Source(error) => ExecutionError::Store(error),
                    _ => ExecutionError::Damaged("the Merkle mountain range over headers"),
                },
            )?;
        Ok(Some(AncestryProof { header, path }))
    }

    /// What became of a transaction and in which block; none if no block had it. A rejected one can still be applied
    /// later.
    ///
    /// # Errors
    /// [`ExecutionError`] for a local fault.
    pub fn transaction_status(&self, id: &TransactionId) -> Result<Option<(Height, Outcome)>, ExecutionError> {
        status(self.store.as_ref(), id)
    }
}

/// What became of a transaction.
pub(crate) fn status<S: StateStore>(
    store: &S,
    id: &TransactionId,
) -> Result<Option<(Height, Outcome)>, ExecutionError> {
    let Some(bytes) = store.get(tables::STATUS, id.as_bytes())? else {
        return Ok(None);
    };
    tables::split_height(&bytes)
        .and_then(|(height, outcome)| Some((height, decode(outcome, outcome.len()).ok()?)))
        .map(Some)
        .ok_or(ExecutionError::Damaged("the status of a transaction"))
}

/// The nodes of the Merkle mountain range over headers.
struct Mountains<'a, S>(&'a S);

impl<S: StateStore> mmr::NodeSource for Mountains<'_, S> {
    type Error = StoreError;

    fn node(&self, position: u64) -> Result<Option<Digest>, StoreError> {
        let bytes = self.0.get(tables::MOUNTAINS, &position.to_be_bytes())?;
        Ok(bytes.and_then(|bytes| Digest::try_from(bytes.as_slice()).ok()))
    }
}
