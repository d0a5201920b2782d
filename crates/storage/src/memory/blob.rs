//! A shard store in memory.

use super::lock;
use crate::{
    blob::{BlobStore, ShardId, check_shard},
    error::StoreError,
};
use std::{collections::HashMap, sync::Mutex};

/// A [`BlobStore`] in memory.
#[derive(Debug, Default)]
pub struct MemoryBlobStore {
    /// By id.
    shards: Mutex<HashMap<ShardId, Vec<u8>>>,
}

impl MemoryBlobStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl BlobStore for MemoryBlobStore {
    async fn put(&self, id: ShardId, bytes: Vec<u8>) -> Result<(), StoreError> {
        check_shard(&id, &bytes)?;
        lock(&self.shards)?.insert(id, bytes);
        Ok(())
    }

    async fn get(&self, id: &ShardId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(lock(&self.shards)?.get(id).cloned())
    }

    async fn delete(&self, id: &ShardId) -> Result<(), StoreError> {
        lock(&self.shards)?.remove(id);
        Ok(())
    }

    async fn contains(&self, id: &ShardId) -> Result<bool, StoreError> {
        Ok(lock(&self.shards)?.contains_key(id))
    }
}
