//! Which mailboxes changed lately, and who waits for a change.

use crate::queue::lock;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use tokenim_mailbox::MailboxTag;
use tokio::sync::Notify;

/// Changes that are remembered. A peer that missed more goes through all mailboxes.
const CHANGES_MAX: usize = 65_536;

/// The newest changes of this process, numbered.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    boot: u64,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The number of the first change remembered.
    first: u64,
    tags: VecDeque<MailboxTag>,
}

impl Ring {
    fn end(&self) -> u64 {
        self.first
            .saturating_add(u64::try_from(self.tags.len()).unwrap_or(u64::MAX))
    }
}

impl ChangeLog {
    /// No changes yet; `boot` tells this process from others.
    pub(crate) fn new(boot: u64) -> Self {
        Self {
            boot,
            ring: Mutex::default(),
        }
    }

    /// What tells this process from others.
    pub(crate) const fn boot(&self) -> u64 {
        self.boot
    }

    /// Notes that a mailbox has a new envelope.
    pub(crate) fn note(&self, tag: MailboxTag) {
        let mut ring = lock(&self.ring);
        ring.tags.push_back(tag);
        if ring.tags.len() > CHANGES_MAX {
            ring.tags.pop_front();
            ring.first = ring.first.saturating_add(1);
        }
    }

    /// The number that the next change will have.
    pub(crate) fn end(&self) -> u64 {
        lock(&self.ring).end()
    }

    /// At most `limit` changes from a number on, and the number to go on with; `None` if they are forgotten.
    pub(crate) fn since(&self, change: u64, limit: usize) -> Option<(Vec<MailboxTag>, u64)> {
        let ring = lock(&self.ring);
        let skip = usize::try_from(change.checked_sub(ring.first)?).ok()?;
        if change > ring.end() {
            return None;
        }
        let tags: Vec<MailboxTag> = ring.tags.iter().skip(skip).take(limit).copied().collect();
        let next = change.saturating_add(u64::try_from(tags.len()).unwrap_or(u64::MAX));
        Some((tags, next))
    }
}

/// Readers that wait for the next envelope of a mailbox.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals {
    waiting: Arc<Mutex<HashMap<MailboxTag, Weak<Notify>>>>,
}

/// One reader's wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    arrivals: Arrivals,
    tag: MailboxTag,
    pub(crate) notify: Arc<Notify>,
}

impl Arrivals {
    /// Begins to wait.
    pub(crate) fn wait(&self, tag: MailboxTag) -> Waiting {
        let mut waiting = lock(&self.waiting);
        let notify = match waiting.get(&tag).and_then(Weak::upgrade) {
            Some(notify) => notify,
            None => {
                let notify = Arc::new(Notify::new());
                waiting.insert(tag, Arc::downgrade(&notify));
                notify
            }
        };
        Waiting {
            arrivals: self.clone(),
            tag,
            notify,
        }
    }

    /// Wakes who waits for this mailbox.
    pub(crate) fn wake(&self, tag: &MailboxTag) {
        let notify = lock(&self.waiting).get(tag).and_then(Weak::upgrade);
        if let Some(notify) = notify {
            notify.notify_waiters();
        }
    }

    /// Wakes all.
    pub(crate) fn wake_all(&self) {
        let all: Vec<_> = lock(&self.waiting).values().filter_map(Weak::upgrade).collect();
        for notify in all {
            notify.notify_waiters();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = lock(&self.arrivals.waiting);
        // Under the lock nobody else can take a new handle; this one is the last if it is the only.
        if Arc::strong_count(&self.notify) == 1 {
            waiting.remove(&self.tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(number: u32) -> MailboxTag {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        MailboxTag::from_bytes(bytes)
    }

    #[test]
    fn changes_are_numbered_and_forgotten() {
        let log = ChangeLog::new(7);
        assert_eq!(log.since(0, 10), Some((vec![], 0)));
        assert_eq!(log.since(1, 10), None);
        for number in 0..5 {
            log.note(tag(number));
        }
        assert_eq!(log.since(3, 10), Some((vec![tag(3), tag(4)], 5)));
        assert_eq!(log.since(1, 2), Some((vec![tag(1), tag(2)], 3)));
        assert_eq!(log.since(5, 2), Some((vec![], 5)));
        for number in 0..u32::try_from(CHANGES_MAX).unwrap() {
            log.note(tag(number));
        }
        assert_eq!(log.since(4, 1), None);
        assert_eq!(log.since(5, 1), Some((vec![tag(0)], 6)));
    }

    #[tokio::test]
    async fn who_waits_is_woken_and_forgotten() {
        let arrivals = Arrivals::default();
        let waiting = arrivals.wait(tag(1));
        let other = arrivals.wait(tag(1));
        let notified = waiting.notify.notified();
        arrivals.wake(&tag(2));
        arrivals.wake(&tag(1));
        notified.await;
        drop(waiting);
        assert_eq!(lock(&arrivals.waiting).len(), 1);
        drop(other);
        assert!(lock(&arrivals.waiting).is_empty());
    }
}
