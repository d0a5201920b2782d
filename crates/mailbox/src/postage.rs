//! Postage: a proof of work that a sender attaches to an envelope for an inbox that anyone may write to.

use crate::{capability::CapabilityError, descriptor::MailboxTag};
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, de};
use tokenim_wire::{
    Digest, EnvelopeId, Hasher, Label, UnixSeconds,
    limits::{POSTAGE_BITS_DEFAULT, POSTAGE_BITS_MAX, POSTAGE_HOURS_SKEW_MAX},
};

/// Seconds of an hour.
const HOUR: u64 = 60 * 60;

/// How much postage an inbox asks for: leading zero bits of the work, 0 to [`POSTAGE_BITS_MAX`]. Each bit doubles the
/// work; `n` bits take 2ⁿ hashes on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PostageBits(u8);

/// More bits than [`POSTAGE_BITS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bits of postage, at most {POSTAGE_BITS_MAX} may be asked for")]
pub struct PostageBitsError(pub u8);

impl PostageBits {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// What an inbox asks for whose owner has published nothing else: [`POSTAGE_BITS_DEFAULT`].
    pub const DEFAULT: Self = Self(POSTAGE_BITS_DEFAULT);

    /// So many bits.
    ///
    /// # Errors
    /// [`PostageBitsError`] beyond [`POSTAGE_BITS_MAX`].
    pub const fn new(bits: u8) -> Result<Self, PostageBitsError> {
        if bits > POSTAGE_BITS_MAX {
            return Err(PostageBitsError(bits));
        }
        Ok(Self(bits))
    }

    /// Their number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for PostageBits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for PostageBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bits", self.0)
    }
}

impl<'de> Deserialize<'de> for PostageBits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u8::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A proof of work for one envelope in one inbox, good for the hour named, the one before and the one after.
///
/// ```text
/// work = H("tokenim/postage/v1", tag, 32 ‖ envelope id, 32 ‖ hour, 8 bytes big-endian ‖ nonce, 8 bytes big-endian)
/// ```
///
/// It is worth as many bits as `work` has leading zero bits. It names no node: one proof serves all nodes of the swarm,
/// which keep the same envelope once each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Postage {
    /// Hours since 1970, by the sender's clock.
    pub hour: u64,
    /// What was searched for.
    pub nonce: u64,
}

impl Postage {
    /// The label under which work is hashed.
    pub const LABEL: Label = Label::new("tokenim/postage/v1");

    /// The hour at a time.
    #[must_use]
    pub const fn hour_at(time: UnixSeconds) -> u64 {
        time.get() / HOUR
    }

    /// The work. Hashes once.
    #[must_use]
    pub fn work(&self, tag: &MailboxTag, envelope: &EnvelopeId) -> Digest {
        work(prefix(tag, envelope, self.hour), self.nonce)
    }
}

/// All that is hashed but the nonce.
fn prefix(tag: &MailboxTag, envelope: &EnvelopeId, hour: u64) -> Hasher {
    Hasher::new(Postage::LABEL)
        .update(tag.as_bytes())
        .update(envelope.as_bytes())
        .update(&hour.to_be_bytes())
}

/// The work of a nonce.
fn work(prefix: Hasher, nonce: u64) -> Digest {
    prefix.update(&nonce.to_be_bytes()).finish()
}

/// Whether work has so many leading zero bits. [`POSTAGE_BITS_MAX`] are within the first eight bytes.
fn is_worth(work: &Digest, bits: PostageBits) -> bool {
    let first = work.as_bytes().first_chunk::<8>().copied().unwrap_or([u8::MAX; 8]);
    u64::from_be_bytes(first).leading_zeros() >= u32::from(bits.get())
}

/// Checks postage: its hour against the clock, then, at the cost of one hash, its work.
///
/// # Errors
/// [`CapabilityError::PostageStale`], [`CapabilityError::PostageTooLow`].
pub fn check_postage(
    tag: &MailboxTag,
    envelope: &EnvelopeId,
    postage: &Postage,
    bits: PostageBits,
    now: UnixSeconds,
) -> Result<(), CapabilityError> {
    if postage.hour.abs_diff(Postage::hour_at(now)) > POSTAGE_HOURS_SKEW_MAX {
        return Err(CapabilityError::PostageStale);
    }
    if is_worth(&postage.work(tag, envelope), bits) {
        Ok(())
    } else {
        Err(CapabilityError::PostageTooLow { needed: bits })
    }
}

/// Begins to search for postage, with the nonce `start_nonce`. The same arguments find the same postage.
#[must_use]
pub fn find_postage(
    tag: &MailboxTag,
    envelope: &EnvelopeId,
    hour: u64,
    bits: PostageBits,
    start_nonce: u64,
) -> PostageSearch {
    PostageSearch {
        prefix: prefix(tag, envelope, hour),
        hour,
        bits,
        next: start_nonce,
    }
}

/// A search for postage that its owner drives, and ends by dropping it.
///
/// ```
/// use tokenim_mailbox::{MailboxTag, Postage, PostageBits, find_postage};
/// use tokenim_wire::{EnvelopeId, UnixSeconds};
///
/// let (tag, envelope) = (MailboxTag::from_bytes([1; 32]), EnvelopeId::of(b"sealed"));
/// let hour = Postage::hour_at(UnixSeconds::new(1_800_000_000));
/// let mut search = find_postage(&tag, &envelope, hour, PostageBits::DEFAULT, 0);
/// let postage = loop {
///     if let Some(postage) = search.step(1_000) {
///         break postage;
///     }
///     // Here a caller looks whether it is still wanted, and shows progress.
/// };
/// assert_eq!(postage.hour, hour);
/// ```
#[derive(Clone, Debug)]
pub struct PostageSearch {
    prefix: Hasher,
    hour: u64,
    bits: PostageBits,
    next: u64,
}

impl PostageSearch {
    /// Tries so many nonces, and stops at the first that will do. Called again after that, it looks for another.
    pub fn step(&mut self, tries: u32) -> Option<Postage> {
        for _ in 0..tries {
            let nonce = self.next;
            self.next = nonce.wrapping_add(1);
            if is_worth(&work(self.prefix.clone(), nonce), self.bits) {
                return Some(Postage { hour: self.hour, nonce });
            }
        }
        None
    }

    /// The nonce that is tried next: with it as its start, another search goes on here.
    #[must_use]
    pub const fn next_nonce(&self) -> u64 {
        self.next
    }
}
