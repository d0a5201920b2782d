//! Remembering which messages were seen.

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokenim_identity::IdentityId;
use tokenim_wire::{BoundedVec, Object, UnixSeconds};

use crate::lifetime::{check_lifetime, deadline};
use crate::{Message, MessageId, OpenError};

/// Why a message is not to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// This message of this sender was seen before.
    #[error("the message was seen before")]
    Replayed,
    /// It has expired, so that it may have been seen and forgotten.
    #[error("the message has expired")]
    Expired,
    /// It would have to be remembered for longer than any message may live.
    #[error("the message expires later than allowed")]
    LifetimeTooLong,
    /// The sender has as many unexpired messages as one sender may. Try again when some have expired.
    #[error("the sender has too many unexpired messages")]
    QuotaExceeded,
    /// The cache is full. Try again when some messages have expired.
    #[error("the replay cache is full")]
    Full,
}

/// The messages seen and not yet expired, so that none is taken twice.
///
/// An entry is kept until expiry plus clock skew, after which the envelope is refused for its age. Bounded, with a
/// quota per sender, and it fails closed: what can't be remembered is refused, not let through. Should the clock have
/// jumped ahead and back, then what may have been forgotten meanwhile stays refused.
///
/// Ask it only about messages whose sender is authenticated; anyone could otherwise spend another's quota. It has to be
/// stored together with the message, or before it is shown: the bytes of [`Object::to_bytes`] are the whole state.
///
/// ```
/// use tokenim_envelope::{MessageId, ReplayCache, ReplayError};
/// use tokenim_identity::IdentityId;
/// use tokenim_wire::{Object, UnixSeconds};
///
/// let sender = IdentityId::from_bytes([1; 32]);
/// let id = MessageId::from_bytes([2; 16]);
/// let (expiry, now) = (UnixSeconds::new(2_000), UnixSeconds::new(1_000));
///
/// let mut cache = ReplayCache::new();
/// assert_eq!(cache.check_and_insert(&sender, &id, expiry, now), Ok(()));
///
/// let mut cache = ReplayCache::from_bytes(&cache.to_bytes()?)?;
/// assert_eq!(cache.check_and_insert(&sender, &id, expiry, now), Err(ReplayError::Replayed));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ReplayCache {
    senders: BTreeMap<IdentityId, BTreeMap<MessageId, UnixSeconds>>,
    by_deadline: BTreeSet<(UnixSeconds, IdentityId, MessageId)>,
    /// The latest deadline of an entry that was forgotten: up to here a message may have been seen.
    forgotten: UnixSeconds,
}

impl ReplayCache {
    /// The most messages remembered, of all senders.
    pub const ENTRIES_MAX: usize = 65_536;
    /// The most messages remembered of one sender.
    pub const ENTRIES_PER_SENDER_MAX: usize = 4_096;

    /// An empty cache. Only a device that never opened an envelope may begin with one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of an authenticated message, or says why not to show it.
    ///
    /// # Errors
    /// [`ReplayError`]; nothing is then remembered of it.
    pub fn admit(&mut self, message: &Message, now: UnixSeconds) -> Result<(), ReplayError> {
        self.check_and_insert(&message.sender, &message.id, message.expiry, now)
    }

    /// [`ReplayCache::admit`] by parts.
    ///
    /// # Errors
    /// [`ReplayError`]; nothing is then remembered of it.
    pub fn check_and_insert(
        &mut self,
        sender: &IdentityId,
        id: &MessageId,
        expiry: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<(), ReplayError> {
        if self.contains(sender, id) {
            return Err(ReplayError::Replayed);
        }
        check_lifetime(expiry, now).map_err(|error| match error {
            OpenError::LifetimeTooLong => ReplayError::LifetimeTooLong,
            _ => ReplayError::Expired,
        })?;
        self.forget_expired(now);
        if deadline(expiry) <= self.forgotten {
            return Err(ReplayError::Expired);
        }
        let of_sender = self.senders.get(sender).map_or(0, BTreeMap::len);
        if of_sender >= Self::ENTRIES_PER_SENDER_MAX {
            return Err(ReplayError::QuotaExceeded);
        }
        if self.len() >= Self::ENTRIES_MAX {
            return Err(ReplayError::Full);
        }
        self.insert(*sender, *id, expiry);
        Ok(())
    }

    /// Whether a message is remembered.
    #[must_use]
    pub fn contains(&self, sender: &IdentityId, id: &MessageId) -> bool {
        self.senders.get(sender).is_some_and(|seen| seen.contains_key(id))
    }

    /// How many messages are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_deadline.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_deadline.is_empty()
    }

    fn insert(&mut self, sender: IdentityId, id: MessageId, expiry: UnixSeconds) {
        self.senders.entry(sender).or_default().insert(id, expiry);
        self.by_deadline.insert((deadline(expiry), sender, id));
    }

    fn forget_expired(&mut self, now: UnixSeconds) {
        while let Some(&(until, sender, id)) = self.by_deadline.first() {
            if until >= now {
                return;
            }
            self.by_deadline.pop_first();
            self.forgotten = self.forgotten.max(until);
            if let Some(seen) = self.senders.get_mut(&sender) {
                seen.remove(&id);
                if seen.is_empty() {
                    self.senders.remove(&sender);
                }
            }
        }
    }
}

/// The encoding: senders in ascending order, and of each its messages in ascending order.
#[derive(Serialize, Deserialize)]
struct Stored {
    forgotten: UnixSeconds,
    senders: BoundedVec<StoredSender, { ReplayCache::ENTRIES_MAX }>,
}

#[derive(Serialize, Deserialize)]
struct StoredSender {
    sender: IdentityId,
    messages: BoundedVec<StoredMessage, { ReplayCache::ENTRIES_PER_SENDER_MAX }>,
}

#[derive(Serialize, Deserialize)]
struct StoredMessage {
    id: MessageId,
    expiry: UnixSeconds,
}

impl Object for ReplayCache {
    const NAME: &'static str = "replay cache";
    const VERSION: u8 = 1;
    // Version, two numbers, and per entry at most sender, count, id and expiry.
    const BYTES_MAX: usize = 16 + Self::ENTRIES_MAX * (32 + 1 + 16 + 10);
}

impl Serialize for ReplayCache {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let senders = self.senders.iter().map(|(sender, seen)| {
            let messages = seen.iter().map(|(id, expiry)| StoredMessage {
                id: *id,
                expiry: *expiry,
            });
            let messages = BoundedVec::try_from_iter(messages).map_err(S::Error::custom)?;
            Ok(StoredSender {
                sender: *sender,
                messages,
            })
        });
        let senders = senders.collect::<Result<alloc::vec::Vec<_>, S::Error>>()?;
        let stored = Stored {
            forgotten: self.forgotten,
            senders: BoundedVec::try_from(senders).map_err(S::Error::custom)?,
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ReplayCache {
    /// Refuses more entries than the cache holds and senders without messages. Another order or a repetition does not
    /// encode back to the same bytes, which `wire` refuses.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let mut cache = Self {
            forgotten: stored.forgotten,
            ..Self::default()
        };
        for StoredSender { sender, messages } in stored.senders {
            if messages.is_empty() {
                return Err(de::Error::custom("a sender without messages"));
            }
            for StoredMessage { id, expiry } in messages {
                cache.insert(sender, id, expiry);
                if cache.len() > Self::ENTRIES_MAX {
                    return Err(de::Error::custom("more messages than a replay cache holds"));
                }
            }
        }
        Ok(cache)
    }
}

impl fmt::Debug for ReplayCache {
    /// Shows how many, not whose: who writes to whom is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCache")
            .field("senders", &self.senders.len())
            .field("messages", &self.len())
            .finish()
    }
}
