//! Waiting for something to be true.

use crate::HarnessError;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(40);

/// Looks again and again until `look` gives something, and returns that.
///
/// # Errors
/// [`HarnessError::TimedOut`] with `what` after `patience`.
pub async fn until<T, F>(what: &str, patience: Duration, mut look: impl FnMut() -> F) -> Result<T, HarnessError>
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    let deadline = started.checked_add(patience).unwrap_or(started);
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(PAUSE).await;
        }
    };
    timeout_at(deadline, looking).await.map_err(|_| HarnessError::TimedOut {
        what: what.to_owned(),
        patience,
    })
}
