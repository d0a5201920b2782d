//! The library's storage, which here is memory: what a group is loaded from and written to.

use core::convert::Infallible;
use mls_rs_core::{
    group::{EpochRecord, GroupState, GroupStateStorage},
    key_package::{KeyPackageData, KeyPackageStorage},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use zeroize::Zeroizing;

/// The encoded secrets of past epochs, by number.
pub(crate) type Past = BTreeMap<u64, Zeroizing<Vec<u8>>>;

/// What a group was loaded from. Copies of a group share it, so it never changes but for `written`, through which a
/// copy hands out what it was told to write.
#[derive(Clone, Default)]
pub(crate) struct Store(Arc<Kept>);

#[derive(Default)]
struct Kept {
    state: Mutex<Option<Zeroizing<Vec<u8>>>>,
    past: Past,
    written: Mutex<Option<(Zeroizing<Vec<u8>>, Past)>>,
}

impl Store {
    pub(crate) fn new(state: Zeroizing<Vec<u8>>, past: Past) -> Self {
        Self(Arc::new(Kept {
            state: Mutex::new(Some(state)),
            past,
            written: Mutex::default(),
        }))
    }

    /// Takes what was written last: the state, and all past epochs.
    pub(crate) fn take_written(&self) -> Option<(Zeroizing<Vec<u8>>, Past)> {
        self.0.written.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl GroupStateStorage for Store {
    type Error = Infallible;

    /// Given away: who loads has it from then on.
    fn state(&self, _group_id: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Infallible> {
        Ok(self.0.state.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    fn epoch(&self, _group_id: &[u8], epoch_id: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Infallible> {
        Ok(self.0.past.get(&epoch_id).cloned())
    }

    fn write(
        &mut self,
        state: GroupState,
        epoch_inserts: Vec<EpochRecord>,
        epoch_updates: Vec<EpochRecord>,
    ) -> Result<(), Infallible> {
        let mut past = self.0.past.clone();
        past.extend(
            epoch_updates
                .into_iter()
                .chain(epoch_inserts)
                .map(|epoch| (epoch.id, epoch.data)),
        );
        *self.0.written.lock().unwrap_or_else(PoisonError::into_inner) = Some((state.data, past));
        Ok(())
    }

    fn max_epoch_id(&self, _group_id: &[u8]) -> Result<Option<u64>, Infallible> {
        Ok(self.0.past.last_key_value().map(|(id, _)| *id))
    }
}

/// A key package by its name.
type Package = (Vec<u8>, KeyPackageData);

/// The one key package that a client makes or joins with.
#[derive(Clone, Default)]
pub(crate) struct Packages(Arc<Mutex<Option<Package>>>);

impl Packages {
    pub(crate) fn new(reference: Vec<u8>, package: KeyPackageData) -> Self {
        Self(Arc::new(Mutex::new(Some((reference, package)))))
    }

    pub(crate) fn take(&self) -> Option<Package> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl KeyPackageStorage for Packages {
    type Error = Infallible;

    fn delete(&mut self, _id: &[u8]) -> Result<(), Infallible> {
        self.take();
        Ok(())
    }

    fn insert(&mut self, id: Vec<u8>, pkg: KeyPackageData) -> Result<(), Infallible> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, pkg));
        Ok(())
    }

    fn get(&self, id: &[u8]) -> Result<Option<KeyPackageData>, Infallible> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(kept
            .as_ref()
            .filter(|(kept, _)| kept == id)
            .map(|(_, package)| package.clone()))
    }
}
