//! Which effects are carried out now.
//!
//! An effect that fails is tried again after a pause, and until then gives its place to another. Those that were tried
//! least come first, so that however many can't be delivered, one that can is not held up by them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokenim_session::step::EffectId;

/// Effects that are carried out at a time.
const PLACES: usize = 32;
/// Those of them that seal something to the inbox of a device, whoever asked for that.
const SEAL_PLACES: usize = 16;
/// First pause before an effect is tried again; it doubles each time.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// And of what is sealed: an inbox may be full for long.
const SEAL_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often an inbox that takes nothing is tried while the network goes on: for a day.
const SEAL_TRIES_MAX: u32 = 24 * 60;

#[derive(Debug)]
struct Turn {
    is_seal: bool,
    is_running: bool,
    tries: u32,
    /// Those of them while the network went on.
    refused: u32,
    /// When it may be tried again.
    from: Instant,
}

/// What is due, and when it has its next turn.
#[derive(Debug, Default)]
pub(super) struct Turns(BTreeMap<EffectId, Turn>);

impl Turns {
    /// How many effects are due.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The newest effect that is known.
    pub(super) fn newest(&self) -> Option<EffectId> {
        self.0.last_key_value().map(|(id, _)| *id)
    }

    /// Adds an effect that is due, if it is not known.
    pub(super) fn add(&mut self, id: EffectId, is_seal: bool, now: Instant) {
        self.0.entry(id).or_insert(Turn {
            is_seal,
            is_running: false,
            tries: 0,
            refused: 0,
            from: now,
        });
    }

    /// Takes an effect away that is due no more, or is begun anew if it is.
    pub(super) fn remove(&mut self, id: EffectId) {
        self.0.remove(&id);
    }

    /// The known effects up to `last`, or all, for which `keep` is false go.
    pub(super) fn retain_until(&mut self, last: Option<EffectId>, keep: impl Fn(&EffectId) -> bool) {
        self.0.retain(|id, _| last.is_some_and(|last| *id > last) || keep(id));
    }

    /// Those that are carried out at the moment.
    pub(super) fn running(&self) -> impl Iterator<Item = EffectId> {
        self.0.iter().filter(|(_, turn)| turn.is_running).map(|(id, _)| *id)
    }

    /// Gives free places to those that were tried least, of these to the oldest.
    pub(super) fn begin(&mut self, now: Instant) -> Vec<EffectId> {
        let mut seals = self.0.values().filter(|turn| turn.is_running && turn.is_seal).count();
        let mut free = PLACES.saturating_sub(self.running().count());
        let mut next: Vec<(&EffectId, &mut Turn)> = self
            .0
            .iter_mut()
            .filter(|(_, turn)| !turn.is_running && turn.from <= now)
            .collect();
        next.sort_by_key(|(id, turn)| (turn.tries, **id));
        let mut begun = Vec::new();
        for (id, turn) in next {
            if free == 0 {
                break;
            }
            if turn.is_seal {
                if seals >= SEAL_PLACES {
                    continue;
                }
                seals = seals.saturating_add(1);
            }
            free = free.saturating_sub(1);
            turn.is_running = true;
            begun.push(*id);
        }
        begun
    }

    /// An effect could not be carried out. Whether it is given up: something sealed that was refused for a day.
    pub(super) fn failed(&mut self, id: EffectId, network_goes_on: bool, now: Instant) -> bool {
        let Some(turn) = self.0.get_mut(&id) else {
            return false;
        };
        let longest = if turn.is_seal { SEAL_PAUSE_MAX } else { PAUSE_MAX };
        let pause = PAUSE.saturating_mul(1_u32.checked_shl(turn.tries).unwrap_or(u32::MAX));
        turn.is_running = false;
        turn.tries = turn.tries.saturating_add(1);
        turn.refused = turn.refused.saturating_add(u32::from(network_goes_on));
        turn.from = now + pause.min(longest);
        turn.is_seal && turn.refused >= SEAL_TRIES_MAX
    }

    /// When the next pause is over. Those whose pauses are over wait for a place.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let waiting = self.0.values().filter(|turn| !turn.is_running && turn.from > now);
        waiting.map(|turn| turn.from).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<u64>) -> Vec<EffectId> {
        range.map(EffectId::new).collect()
    }

    #[test]
    fn what_cannot_be_delivered_holds_nothing_else_up() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        for id in ids(0..1_000) {
            turns.add(id, true, now);
        }
        // All of them fail again and again, the places for seals are all taken.
        for _ in 0..200 {
            let begun = turns.begin(now);
            assert!(turns.running().count() <= SEAL_PLACES);
            for id in begun {
                assert!(!turns.failed(id, true, now));
            }
            now += Duration::from_secs(1);
        }
        turns.begin(now);
        // A message has a place at once, and a new seal the next one that is free.
        turns.add(EffectId::new(2_000), true, now);
        turns.add(EffectId::new(2_001), false, now);
        assert_eq!(turns.begin(now), [EffectId::new(2_001)]);
        let done = turns.running().next().unwrap();
        turns.failed(done, true, now);
        assert_eq!(turns.begin(now), [EffectId::new(2_000)]);
    }

    #[test]
    fn what_was_tried_least_comes_first_and_then_the_oldest() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        for id in ids(0..40) {
            turns.add(id, false, now);
        }
        assert_eq!(turns.begin(now), ids(0..32));
        assert_eq!(turns.begin(now), []);
        turns.failed(EffectId::new(0), true, now);
        assert_eq!(turns.begin(now), ids(32..33));
        assert_eq!(turns.wake(now), Some(now + PAUSE));
        for id in ids(1..32) {
            turns.remove(id);
        }
        assert_eq!(turns.begin(now), ids(33..40));
        assert_eq!(turns.begin(now + PAUSE), ids(0..1));
        assert_eq!((turns.wake(now), turns.len()), (None, 9));
    }

    #[test]
    fn a_seal_is_given_up_after_a_day_of_refusals_and_nothing_else_is() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        let [seal, put] = [EffectId::new(1), EffectId::new(2)];
        turns.add(seal, true, now);
        turns.add(put, false, now);
        for _ in 0..2 * SEAL_TRIES_MAX {
            // Nothing is given up while there is no network.
            assert!(!turns.failed(seal, false, now) && !turns.failed(put, true, now));
        }
        let begun = now;
        let mut tries = 1;
        while !turns.failed(seal, true, now) {
            now = turns.0[&seal].from;
            tries += 1;
        }
        assert_eq!(tries, SEAL_TRIES_MAX);
        assert!(now - begun > Duration::from_secs(23 * 3_600));
    }

    #[test]
    fn what_is_due_no_more_has_no_turn() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        for id in ids(0..10) {
            turns.add(id, false, now);
        }
        assert_eq!(turns.newest(), Some(EffectId::new(9)));
        turns.retain_until(Some(EffectId::new(4)), |id| id.get() % 2 == 0);
        assert_eq!(turns.begin(now), [0, 2, 4, 5, 6, 7, 8, 9].map(EffectId::new));
        turns.retain_until(None, |_| false);
        assert_eq!((turns.len(), turns.running().count()), (0, 0));
        assert!(!turns.failed(EffectId::new(0), true, now));
    }
}
