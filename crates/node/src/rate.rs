//! Token buckets.

use crate::queue::lock;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
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

/// Keys whose buckets are remembered.
const KEYS_MAX: usize = 16_384;

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limited {
    /// The next one comes after so long.
    Wait(Duration),
    /// Too many others are limited at the moment.
    TooMany,
}

/// A token bucket for each key; those that are full are forgotten when there are many.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    per_minute: u64,
    burst: u32,
    buckets: Mutex<HashMap<K, TokenBucket>>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Full buckets: `burst` at once, `per_minute` in the long run.
    pub(crate) fn new(per_minute: u64, burst: u32) -> Self {
        Self {
            per_minute,
            burst,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token of a key.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), Limited> {
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !bucket.is_full(now));
            if buckets.len() >= KEYS_MAX {
                return Err(Limited::TooMany);
            }
        }
        let bucket = buckets
            .entry(key)
            .or_insert_with(|| TokenBucket::new(self.per_minute, self.burst, now));
        bucket.take(now).map_err(Limited::Wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_bucket_and_there_are_not_too_many() {
        let start = Instant::now();
        let buckets = Buckets::new(60, 1);
        for key in 0..KEYS_MAX {
            assert_eq!(buckets.take(key, start), Ok(()));
        }
        assert_eq!(buckets.take(0, start), Err(Limited::Wait(Duration::from_secs(1))));
        assert_eq!(buckets.take(KEYS_MAX, start), Err(Limited::TooMany));
        // Who has waited is forgotten.
        assert_eq!(buckets.take(KEYS_MAX, start + Duration::from_secs(1)), Ok(()));
        assert_eq!(lock(&buckets.buckets).len(), 1);
    }

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
