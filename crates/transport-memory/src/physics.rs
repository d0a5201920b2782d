//! Delays, losses, partitions and the record of what happened.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokenim_transport::PeerId;
use tokio::time::Instant;

/// How often one piece of data can be lost in a row before it gets through all the same.
const LOSSES_MAX: u32 = 12;
/// The least time before a lost piece is sent again.
const RETRANSMIT_MIN: Duration = Duration::from_millis(10);
/// The longest wait between two attempts.
const RETRANSMIT_MAX: Duration = Duration::from_secs(8);

/// How one host hears another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The least time from one end to the other.
    pub latency: Duration,
    /// The most that chance adds to it.
    pub jitter: Duration,
    /// The share of losses, from 0 to 1. Streams are reliable, so that a loss shows as delay: the data is sent again
    /// after a round trip, then after twice that, and so on.
    pub loss: f64,
}

impl Link {
    /// No delay and no loss.
    pub const PERFECT: Self = Self {
        latency: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
    };
    /// A few data centres on one continent: 20–25 ms one way, one loss in a thousand.
    pub const CONTINENT: Self = Self {
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(5),
        loss: 0.001,
    };
    /// Homes around the world: 40–60 ms one way, two losses in a hundred.
    pub const WORLD: Self = Self {
        latency: Duration::from_millis(40),
        jitter: Duration::from_millis(20),
        loss: 0.02,
    };
}

/// What happened in a network so far, as a number. Two runs with equal traces were the same in every event and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// FNV-1a over all events.
    pub digest: u64,
    /// How many there were.
    pub events: u64,
}

/// What kind of event is recorded. The numbers are part of the digest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Bind = 1,
    Dial = 2,
    Connect = 3,
    Data = 4,
    End = 5,
    Reset = 6,
    Stop = 7,
    Close = 8,
    Ended = 9,
    Crash = 10,
    Topology = 11,
    Unbind = 12,
}

/// When something arrives; `None` while the way there is cut.
pub(crate) type Arrival = Option<Instant>;

pub(crate) struct Physics {
    random: ChaCha8Rng,
    started: Option<Instant>,
    trace: Trace,
    link: Link,
    links: BTreeMap<(PeerId, PeerId), Link>,
    groups: Option<BTreeMap<PeerId, usize>>,
    cuts: BTreeSet<(PeerId, PeerId)>,
}

impl Physics {
    pub(crate) fn new(seed: u64, link: Link) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            started: None,
            trace: Trace {
                digest: 0xcbf2_9ce4_8422_2325,
                events: 0,
            },
            link,
            links: BTreeMap::new(),
            groups: None,
            cuts: BTreeSet::new(),
        }
    }

    pub(crate) const fn trace(&self) -> Trace {
        self.trace
    }

    pub(crate) fn set_link(&mut self, from: PeerId, to: PeerId, link: Link) {
        self.links.insert((from, to), link);
    }

    pub(crate) fn partition(&mut self, groups: &[&[PeerId]]) {
        let numbered = groups.iter().zip(1..);
        self.groups = Some(
            numbered
                .flat_map(|(group, number)| group.iter().map(move |peer| (*peer, number)))
                .collect(),
        );
    }

    pub(crate) fn cut(&mut self, from: PeerId, to: PeerId) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn heal(&mut self) {
        self.groups = None;
        self.cuts.clear();
    }

    /// Whether anything gets from one to the other now.
    pub(crate) fn open(&self, from: &PeerId, to: &PeerId) -> bool {
        let group = |peer| self.groups.as_ref().map(|groups| groups.get(peer));
        group(from) == group(to) && !self.cuts.contains(&(*from, *to))
    }

    fn link(&self, from: &PeerId, to: &PeerId) -> Link {
        self.links.get(&(*from, *to)).copied().unwrap_or(self.link)
    }

    /// How long a piece of data takes, losses included.
    pub(crate) fn delay(&mut self, from: &PeerId, to: &PeerId) -> Duration {
        let link = self.link(from, to);
        let mut delay = link.latency;
        let jitter = u64::try_from(link.jitter.as_micros()).unwrap_or(u64::MAX);
        if jitter > 0 {
            let drawn = self
                .random
                .next_u64()
                .checked_rem(jitter.saturating_add(1))
                .unwrap_or(0);
            delay = delay.saturating_add(Duration::from_micros(drawn));
        }
        if link.loss > 0.0 {
            let mut pause = link
                .latency
                .saturating_add(link.jitter)
                .saturating_mul(2)
                .clamp(RETRANSMIT_MIN, RETRANSMIT_MAX);
            for _ in 0..LOSSES_MAX {
                if f64::from(self.random.next_u32()) / f64::from(u32::MAX) >= link.loss {
                    break;
                }
                delay = delay.saturating_add(pause);
                pause = pause.saturating_mul(2).min(RETRANSMIT_MAX);
            }
        }
        delay
    }

    /// When data sent now arrives.
    pub(crate) fn arrival(&mut self, from: &PeerId, to: &PeerId, now: Instant) -> Arrival {
        if !self.open(from, to) {
            return None;
        }
        let delay = self.delay(from, to);
        Some(later(now, delay))
    }

    /// When a sign that takes part in no game of chance arrives: credit, or that a reader has enough.
    pub(crate) fn signal(&self, from: &PeerId, to: &PeerId, now: Instant) -> Arrival {
        self.open(from, to).then(|| later(now, self.link(from, to).latency))
    }

    /// Records an event: its time since the first one, its kind, who, to whom, and up to three numbers.
    pub(crate) fn note(&mut self, now: Instant, event: Event, from: &PeerId, to: &PeerId, numbers: [u64; 3]) {
        let started = *self.started.get_or_insert(now);
        let micros = u64::try_from(now.saturating_duration_since(started).as_micros()).unwrap_or(u64::MAX);
        self.trace.events = self.trace.events.saturating_add(1);
        let words = [micros, event as u64].into_iter().chain(numbers);
        let bytes = words.flat_map(u64::to_le_bytes);
        let bytes = bytes.chain(from.to_bytes()).chain(to.to_bytes());
        self.trace.digest = bytes.fold(self.trace.digest, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    }
}

/// An instant so much later; far beyond all clocks, the same one.
pub(crate) fn later(now: Instant, delay: Duration) -> Instant {
    now.checked_add(delay).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::from_bytes([number; 32])
    }

    #[test]
    fn delays_stay_within_the_link() {
        let mut physics = Physics::new(7, Link::CONTINENT);
        let link = Link {
            loss: 0.0,
            ..Link::CONTINENT
        };
        physics.set_link(peer(1), peer(2), link);
        let delays: BTreeSet<Duration> = (0..1000).map(|_| physics.delay(&peer(1), &peer(2))).collect();
        assert!(delays.len() > 100);
        assert!(*delays.first().unwrap() >= link.latency);
        assert!(*delays.last().unwrap() <= link.latency + link.jitter);
    }

    #[test]
    fn losses_show_as_delay_and_end() {
        let link = Link {
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0.5,
        };
        let mut physics = Physics::new(7, link);
        let delays: Vec<Duration> = (0..1000).map(|_| physics.delay(&peer(1), &peer(2))).collect();
        let unharmed = delays.iter().filter(|delay| **delay == link.latency).count();
        assert!(
            (400..600).contains(&unharmed),
            "{unharmed} of 1000 at a loss of one half"
        );
        assert!(delays.contains(&Duration::from_millis(30)));
        let mut hopeless = Physics::new(7, Link { loss: 1.0, ..link });
        assert!(hopeless.delay(&peer(1), &peer(2)) < Duration::from_secs(60));
    }

    #[test]
    fn partitions_separate_groups_and_cuts_go_one_way() {
        let mut physics = Physics::new(7, Link::PERFECT);
        physics.partition(&[&[peer(1), peer(2)], &[peer(3)]]);
        assert!(physics.open(&peer(1), &peer(2)));
        assert!(!physics.open(&peer(1), &peer(3)));
        assert!(physics.open(&peer(8), &peer(9)), "those not named stay together");
        assert!(!physics.open(&peer(1), &peer(9)));
        physics.heal();
        assert!(physics.open(&peer(1), &peer(3)));
        physics.cut(peer(1), peer(3));
        assert!(!physics.open(&peer(1), &peer(3)));
        assert!(physics.open(&peer(3), &peer(1)));
    }
}
