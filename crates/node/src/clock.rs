//! The machine's clock, read nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};
use tokenim_wire::{UnixMillis, UnixSeconds};

/// Milliseconds since 1970 by this machine's clock; zero before.
pub(crate) fn now_millis() -> UnixMillis {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::new(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
}

/// Seconds since 1970 by this machine's clock; zero before.
pub(crate) fn now_seconds() -> UnixSeconds {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixSeconds::new(passed.as_secs())
}
