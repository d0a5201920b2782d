//! Bounded queues of consensus messages.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokenim_transport::Bytes;
use tokio::sync::Notify;

/// Messages waiting for one peer on one channel.
pub(crate) const QUEUE_MESSAGES_MAX: usize = 1024;
/// Bytes waiting for one peer on one channel.
pub(crate) const QUEUE_BYTES_MAX: usize = 8 << 20;

/// Locks; what a panicking thread left half-done is plain data here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Messages for one peer on one channel. When it is full the oldest message is dropped: the engine expects a network
/// that loses, asks again for what it needs, and can do least with what is old.
#[derive(Debug, Default)]
pub(crate) struct PeerQueue {
    waiting: Mutex<Waiting>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Bytes>,
    bytes: usize,
}

impl PeerQueue {
    /// Appends a message and returns how many were dropped for it.
    pub(crate) fn push(&self, message: Bytes) -> u64 {
        let mut dropped = 0;
        {
            let mut waiting = lock(&self.waiting);
            waiting.bytes = waiting.bytes.saturating_add(message.len());
            waiting.messages.push_back(message);
            while waiting.messages.len() > 1
                && (waiting.messages.len() > QUEUE_MESSAGES_MAX || waiting.bytes > QUEUE_BYTES_MAX)
            {
                waiting.pop();
                dropped += 1;
            }
        }
        self.ready.notify_one();
        dropped
    }

    /// The next message. Cancel-safe. One reader at a time.
    pub(crate) async fn next(&self) -> Bytes {
        loop {
            if let Some(message) = lock(&self.waiting).pop() {
                return message;
            }
            self.ready.notified().await;
        }
    }

    /// Forgets what waits: it was meant for a connection that is gone.
    pub(crate) fn clear(&self) {
        *lock(&self.waiting) = Waiting::default();
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<Bytes> {
        let message = self.messages.pop_front()?;
        self.bytes = self.bytes.saturating_sub(message.len());
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_is_dropped() {
        let queue = PeerQueue::default();
        let mut dropped = 0;
        for number in 0..QUEUE_MESSAGES_MAX + 3 {
            dropped += queue.push(Bytes::from(vec![u8::try_from(number % 256).unwrap()]));
        }
        assert_eq!(dropped, 3);
        assert_eq!(queue.next().await[0], 3);
    }

    #[tokio::test]
    async fn bytes_are_bounded_but_one_message_always_fits() {
        let queue = PeerQueue::default();
        let half = Bytes::from(vec![0; QUEUE_BYTES_MAX / 2 + 1]);
        assert_eq!(queue.push(half.clone()), 0);
        assert_eq!(queue.push(half), 1);
        assert_eq!(queue.push(Bytes::from(vec![1; QUEUE_BYTES_MAX + 1])), 1);
        assert_eq!(queue.next().await[0], 1);
        queue.push(Bytes::from_static(b"x"));
        queue.clear();
        queue.push(Bytes::from_static(b"y"));
        assert_eq!(queue.next().await, Bytes::from_static(b"y"));
    }
}
