//! Token buckets.

use std::time::{Duration, Instant};

/// A token bucket: `burst` at once, `per_minute` in the long run. It counts in units that need no rounding: one token is
/// 60,000 units, and every millisecond brings `per_minute` of them.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    units: u64,
    units_max: u64,
    per_minute: u64,
    filled: Instant,
}

/// Units of one token.
const TOKEN: u64 = 60_000;

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(per_minute: u64, burst: u32, now: Instant) -> Self {
        let units_max = u64::from(burst).saturating_mul(TOKEN);
        Self {
            units: units_max,
            units_max,
            per_minute: per_minute.max(1),
            filled: now,
        }
    }

    /// Takes a token, or says how long to wait for the next one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.filled);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        if millis > 0 {
            let gained = millis.saturating_mul(self.per_minute);
            self.units = self.units.saturating_add(gained).min(self.units_max);
            // What is below a millisecond stays for the next time.
            self.filled = self.filled.checked_add(Duration::from_millis(millis)).unwrap_or(now);
        }
        match self.units.checked_sub(TOKEN) {
            Some(left) => {
                self.units = left;
                Ok(())
            }
            None => {
                let missing = TOKEN.saturating_sub(self.units);
                Err(Duration::from_millis(missing.div_ceil(self.per_minute)))
            }
        }
    }

    /// Whether it is full again, so that forgetting it changes nothing.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        self.units.saturating_add(millis.saturating_mul(self.per_minute)) >= self.units_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(60, 3, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        assert_eq!(bucket.take(start), Err(Duration::from_secs(1)));
        let later = start + Duration::from_millis(999);
        assert_eq!(bucket.take(later), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(start + Duration::from_secs(1)), Ok(()));
        assert!(!bucket.is_full(start + Duration::from_secs(3)));
        assert!(bucket.is_full(start + Duration::from_secs(4)));
    }

    #[test]
    fn frequent_questions_lose_no_time() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(60, 1, start);
        assert_eq!(bucket.take(start), Ok(()));
        let mut taken = 0;
        for step in 1..=20_000_u64 {
            taken += u32::from(bucket.take(start + Duration::from_micros(step * 500)).is_ok());
        }
        assert_eq!(taken, 10);
    }
}
