//! In which order the messages of a session are shown: the same for all.

use serde::{Deserialize, Serialize};
use tokenim_envelope::MessageId;
use tokenim_identity::DeviceId;

/// The place of a message among those of its session: epoch, then clock, then device, then id.
///
/// All four are said by the author, once for all members: epoch, clock and id in the [`Body`](crate::content::Body), the
/// device by MLS. So members show the same messages in the same order, in whichever order they came.
///
/// ```text
/// ┌───────┬───────┬────────┬────┐
/// │ epoch │ clock │ device │ id │   numbers big-endian, so that bytes sort as keys do
/// │ 8     │ 8     │ 32     │ 16 │
/// └───────┴───────┴────────┴────┘
/// ```
///
/// The clock is Lamport's ("Time, Clocks, and the Ordering of Events in a Distributed System", 1978): an author gives each
/// message one more than the highest that it has seen in the epoch, so that an answer comes after what it answers. A
/// member who lies about it moves its own messages within the epoch, and those that are written after seeing them. One
/// who lies about the epoch moves its own messages back, into an epoch that is over; never forward, for a reader refuses
/// a later epoch than that of MLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderKey {
    /// The epoch in which it was said for the first time.
    pub epoch: u64,
    /// The author's clock.
    pub clock: u64,
    /// The author's device.
    pub device: DeviceId,
    /// The message.
    pub id: MessageId,
}

impl OrderKey {
    /// Length of its bytes.
    pub const BYTES: usize = 64;

    /// As bytes that sort as keys do.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let (epoch, clock) = (self.epoch.to_be_bytes(), self.clock.to_be_bytes());
        let parts = epoch
            .iter()
            .chain(&clock)
            .chain(self.device.as_bytes())
            .chain(self.id.as_bytes());
        for (to, from) in out.iter_mut().zip(parts) {
            *to = *from;
        }
        out
    }

    /// Reads what [`OrderKey::to_bytes`] wrote; `None` for another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (epoch, rest) = bytes.split_first_chunk::<8>()?;
        let (clock, rest) = rest.split_first_chunk::<8>()?;
        let (device, rest) = rest.split_first_chunk::<32>()?;
        let id: &[u8; 16] = rest.try_into().ok()?;
        Some(Self {
            epoch: u64::from_be_bytes(*epoch),
            clock: u64::from_be_bytes(*clock),
            device: DeviceId::from_bytes(*device),
            id: MessageId::from_bytes(*id),
        })
    }
}

/// The clock of one device in one epoch. A new epoch begins with a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock(u64);

impl Clock {
    /// The highest seen.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Takes in the clock of a message.
    pub fn observe(&mut self, clock: u64) {
        self.0 = self.0.max(clock);
    }

    /// The clock of the next own message. At the largest number it stays: device and id then decide.
    #[must_use]
    pub fn tick(&mut self) -> u64 {
        self.0 = self.0.saturating_add(1);
        self.0
    }
}
