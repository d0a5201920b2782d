//! Immutable shards by hash.

use crate::{error::StoreError, maybe_send::MaybeSend};
use alloc::{sync::Arc, vec::Vec};
use core::future::Future;
use tokenim_wire::{Label, bytes_newtype, hash};

/// Bytes of one shard.
pub const SHARD_BYTES_MAX: usize = 1024 * 1024;

bytes_newtype! {
    /// The hash of a shard.
    pub struct ShardId([u8; 32]);
}

impl ShardId {
    /// The label under which shards are hashed.
    pub const LABEL: Label = Label::new("tokenim/shard-id/v1");

    /// The id of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_bytes(hash(Self::LABEL, &[bytes]).to_bytes())
    }
}

/// Checks a shard before it is kept. For stores.
///
/// # Errors
/// [`StoreError::TooLarge`], [`StoreError::Mismatch`].
pub fn check_shard(id: &ShardId, bytes: &[u8]) -> Result<(), StoreError> {
    StoreError::check_size("a shard", bytes.len(), SHARD_BYTES_MAX)?;
    if ShardId::of(bytes) != *id {
        return Err(StoreError::Mismatch);
    }
    Ok(())
}

/// Keeps shards by their hash. What returned `Ok` outlasts a crash of the process and of the machine. Dropping a future
/// that was polled does not take the call back: it may still happen.
pub trait BlobStore: Send + Sync + 'static {
    /// Keeps a shard. Doing so again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Mismatch`] if the id is not the hash of the bytes, [`StoreError::Full`],
    /// and others.
    fn put(&self, id: ShardId, bytes: Vec<u8>) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// A shard, its hash checked.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the bytes are no longer what they were, and others.
    fn get(&self, id: &ShardId) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + MaybeSend;

    /// Deletes a shard, if it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete(&self, id: &ShardId) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Whether a shard is there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn contains(&self, id: &ShardId) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;
}

impl<S: BlobStore> BlobStore for Arc<S> {
    fn put(&self, id: ShardId, bytes: Vec<u8>) -> impl Future<Output = Result<(), StoreError>> + MaybeSend {
        (**self).put(id, bytes)
    }

    fn get(&self, id: &ShardId) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + MaybeSend {
        (**self).get(id)
    }

    fn delete(&self, id: &ShardId) -> impl Future<Output = Result<(), StoreError>> + MaybeSend {
        (**self).delete(id)
    }

    fn contains(&self, id: &ShardId) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend {
        (**self).contains(id)
    }
}
