//! The first thing that went wrong in a running engine.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::EngineError;

/// Takes the first error and wakes the supervisor, which stops the engine with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    error: Mutex<Option<EngineError>>,
    raised: Notify,
}

impl Fault {
    pub(crate) fn raise(&self, error: EngineError) {
        tracing::error!(%error, "consensus engine stops");
        self.shared
            .error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        self.shared.raised.notify_one();
    }

    pub(crate) fn take(&self) -> Option<EngineError> {
        self.shared.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the first error. One waiter.
    pub(crate) async fn raised(&self) -> EngineError {
        loop {
            if let Some(error) = self.take() {
                return error;
            }
            self.shared.raised.notified().await;
        }
    }
}
