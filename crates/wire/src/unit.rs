//! Heights, epochs and times. A core never reads a clock: times come from its caller.

use crate::u64_newtype;

u64_newtype! {
    /// The height of a block; the genesis block has height zero.
    pub struct Height(u64);
}

u64_newtype! {
    /// A consensus epoch: the term of one validator set.
    pub struct Epoch(u64);
}

u64_newtype! {
    /// A node-set epoch: the term of one set of registered nodes, which decides where envelopes are kept.
    pub struct SetEpoch(u64);
}

u64_newtype! {
    /// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    pub struct UnixMillis(u64);
}

u64_newtype! {
    /// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    pub struct UnixSeconds(u64);
}

impl UnixMillis {
    /// The same time in whole seconds, rounded down.
    #[must_use]
    pub const fn to_seconds(self) -> UnixSeconds {
        UnixSeconds::new(self.get() / 1000)
    }
}

impl UnixSeconds {
    /// The same time in milliseconds, or the largest value.
    #[must_use]
    pub const fn to_millis(self) -> UnixMillis {
        UnixMillis::new(self.get().saturating_mul(1000))
    }
}
