//! How long an envelope lives.

use core::time::Duration;

use tokenim_wire::UnixSeconds;
use tokenim_wire::limits::{CLOCK_SKEW_SECONDS_MAX, ENVELOPE_LIFETIME_SECONDS_MAX};

use crate::OpenError;

/// The furthest that an expiry may be from now: 30 days.
pub const LIFETIME_MAX: Duration = Duration::from_secs(ENVELOPE_LIFETIME_SECONDS_MAX);

/// The last second in which an envelope of this expiry is still accepted: the sender's clock may be ahead or ours slow.
pub(crate) const fn deadline(expiry: UnixSeconds) -> UnixSeconds {
    expiry.saturating_add(CLOCK_SKEW_SECONDS_MAX)
}

/// Neither expired nor too long-lived, with the allowed skew to either side.
pub(crate) fn check_lifetime(expiry: UnixSeconds, now: UnixSeconds) -> Result<(), OpenError> {
    let latest = now
        .saturating_add(ENVELOPE_LIFETIME_SECONDS_MAX)
        .saturating_add(CLOCK_SKEW_SECONDS_MAX);
    if now > deadline(expiry) {
        Err(OpenError::Expired)
    } else if expiry > latest {
        Err(OpenError::LifetimeTooLong)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_expiry_plus_skew_and_thirty_days_plus_skew() {
        let now = UnixSeconds::new(1_000_000_000);
        let check = |expiry: u64| check_lifetime(UnixSeconds::new(expiry), now);
        assert_eq!(check(1_000_000_000 - 121), Err(OpenError::Expired));
        assert_eq!(check(1_000_000_000 - 120), Ok(()));
        assert_eq!(check(1_000_000_000 + 30 * 86_400 + 120), Ok(()));
        assert_eq!(
            check(1_000_000_000 + 30 * 86_400 + 121),
            Err(OpenError::LifetimeTooLong)
        );
        assert_eq!(check(0), Err(OpenError::Expired));
        assert_eq!(check(u64::MAX), Err(OpenError::LifetimeTooLong));
        assert_eq!(check_lifetime(UnixSeconds::MAX, UnixSeconds::MAX), Ok(()));
    }
}
