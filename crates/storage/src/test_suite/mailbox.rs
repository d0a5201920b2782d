//! What every mailbox store promises.

use super::{MODEL_LIMITS, block_on, check_log, mailbox_model, noise, seeds};
use crate::{LogHead, MailboxLimits, MailboxStats, MailboxStore, Put, PutOutcome, StoreError};
use std::{collections::BTreeSet, sync::Mutex};
use tokenim_mailbox::{Incarnation, LogId, MailboxTag};
use tokenim_wire::{EnvelopeId, Height, SetEpoch, UnixSeconds, limits::ENVELOPE_BYTES_MAX};

/// Checks every promise of [`MailboxStore`] that a running store can be held to. `make` makes an empty store with these
/// limits for each mailbox.
///
/// # Panics
/// If one is not kept.
pub fn mailbox_store<S: MailboxStore>(make: impl Fn(MailboxLimits) -> S) {
    let new = || make(MailboxLimits::default());
    empty(&new());
    idempotent_puts(&new());
    logs_are_apart(&new());
    pages(&new());
    expiry(&new());
    oversize(&new());
    limits(&make(MailboxLimits {
        envelopes_max: 3,
        bytes_max: 100,
    }));
    heights(&new());
    tags(&new());
    one_tag_concurrently(&new());
    one_envelope_concurrently(&new());
    many_tags_concurrently(&new());
    for seed in seeds() {
        mailbox_model(make(MODEL_LIMITS), &noise(seed, 3000), |store| store);
    }
}

/// As [`mailbox_store`], for stores that outlast the process: `reopen` closes one and opens it again, with the same
/// limits.
///
/// # Panics
/// If a promise is not kept.
pub fn mailbox_store_reopening<S: MailboxStore>(make: impl Fn(MailboxLimits) -> S, reopen: impl Fn(S) -> S) {
    for seed in seeds() {
        mailbox_model(make(MODEL_LIMITS), &noise(seed, 1500), &reopen);
    }
}

const EPOCH: u64 = 3;
const INCARNATION: u64 = 1;

fn tag(number: u8) -> MailboxTag {
    MailboxTag::from_bytes([number; 32])
}

/// An envelope of `length` bytes that `number` makes different.
fn put(tag: MailboxTag, number: u64, expiry: u64, length: usize) -> Put {
    let bytes = noise(number, length);
    Put {
        tag,
        envelope: EnvelopeId::of(&[number.to_be_bytes().as_slice(), &bytes].concat()),
        expiry: UnixSeconds::new(expiry),
        bytes,
        set_epoch: SetEpoch::new(EPOCH),
        incarnation: Incarnation::new(INCARNATION),
        height: Height::new(10),
    }
}

fn empty<S: MailboxStore>(store: &S) {
    let page = block_on(store.read(&tag(1), 5, 10, 1000, Height::ZERO)).unwrap();
    assert!(
        page.entries.is_empty() && page.head.is_none(),
        "an empty mailbox has no page"
    );
    assert_eq!(page.next, 0);
    assert_eq!(block_on(store.get(&tag(1), &EnvelopeId::of(b""))), Ok(None));
    assert_eq!(block_on(store.contains(&tag(1), &EnvelopeId::of(b""))), Ok(false));
    assert_eq!(block_on(store.expire(UnixSeconds::MAX, 10)), Ok(0));
    assert_eq!(block_on(store.tags(None, 10)), Ok(vec![]));
    assert_eq!(block_on(store.log(&tag(1), 0, 10)), Ok(vec![]));
    assert_eq!(block_on(store.head(&tag(1), Height::ZERO)), Ok(None));
    assert_eq!(block_on(store.stats()), Ok(MailboxStats::default()));
}

fn idempotent_puts<S: MailboxStore>(store: &S) {
    let first = put(tag(1), 1, 100, 500);
    let second = put(tag(1), 2, 100, 0);
    let one = block_on(store.put(first.clone())).unwrap();
    assert!(one.fresh);
    assert_eq!((one.entry.index, one.size), (0, 1));
    assert_eq!((one.entry.envelope, one.entry.expiry), (first.envelope, first.expiry));
    let two = block_on(store.put(second)).unwrap();
    assert_eq!((two.entry.index, two.size), (1, 2));
    let again = block_on(store.put(Put {
        height: Height::new(99),
        ..first.clone()
    }));
    assert_eq!(
        again,
        Ok(PutOutcome { fresh: false, ..one }),
        "a repeat gets the outcome of the first, with its size, root and height"
    );
    let stored = block_on(store.get(&tag(1), &first.envelope)).unwrap().unwrap();
    assert_eq!((stored.sequence, stored.entry), (0, one.entry));
    assert_eq!(stored.bytes, Some(first.bytes));
    assert_eq!(
        block_on(store.stats()),
        Ok(MailboxStats {
            envelopes: 2,
            bytes: 500
        })
    );
    check_log(store, &tag(1), &[one, two]);
}

/// Set epochs and incarnations have logs of their own, and share the envelopes.
fn logs_are_apart<S: MailboxStore>(store: &S) {
    let original = put(tag(1), 1, 100, 50);
    let mut outcomes = Vec::new();
    for (epoch, incarnation) in [(3, 1), (3, 2), (4, 2), (2, 9)] {
        let outcome = block_on(store.put(Put {
            set_epoch: SetEpoch::new(epoch),
            incarnation: Incarnation::new(incarnation),
            expiry: UnixSeconds::new(100 + epoch),
            ..original.clone()
        }))
        .unwrap();
        assert!(outcome.fresh, "each log has a line of its own");
        assert_eq!(outcome.entry.index, 0);
        assert_eq!(
            outcome.entry.expiry,
            UnixSeconds::new(103),
            "the expiry that came first stays"
        );
        outcomes.push(outcome);
    }
    check_log(store, &tag(1), &outcomes);
    let page = block_on(store.read(&tag(1), 0, 10, 1000, Height::ZERO)).unwrap();
    assert_eq!(page.entries.len(), 4);
    assert_eq!(page.next, 4);
    assert!(
        page.entries
            .iter()
            .all(|stored| stored.bytes.as_ref() == Some(&original.bytes))
    );
    let newest = LogId {
        set_epoch: SetEpoch::new(4),
        incarnation: Incarnation::new(2),
    };
    assert_eq!(page.head.unwrap().log(), newest);
    assert_eq!(
        block_on(store.stats()).unwrap().envelopes,
        1,
        "the envelope is kept once"
    );
    assert_eq!(
        block_on(store.get(&tag(1), &original.envelope))
            .unwrap()
            .unwrap()
            .sequence,
        0
    );
    // The same envelope in another mailbox is another one.
    block_on(store.put(Put {
        tag: tag(2),
        ..original.clone()
    }))
    .unwrap();
    assert_eq!(block_on(store.stats()).unwrap().envelopes, 2);
    assert_eq!(block_on(store.expire(UnixSeconds::new(103), 99)), Ok(2));
    assert_eq!(block_on(store.contains(&tag(1), &original.envelope)), Ok(false));
}

fn pages<S: MailboxStore>(store: &S) {
    for number in 0..10 {
        block_on(store.put(put(tag(1), number, 100, 100))).unwrap();
        // Neighbours that a scan must not run into.
        block_on(store.put(put(tag(0), number, 100, 10))).unwrap();
        block_on(store.put(put(tag(2), number, 100, 10))).unwrap();
    }
    let read = |from, items_max, bytes_max| {
        let page = block_on(store.read(&tag(1), from, items_max, bytes_max, Height::ZERO)).unwrap();
        assert_eq!(page.head.unwrap().size, 10, "every page has the head");
        let sequences: Vec<_> = page.entries.iter().map(|stored| stored.sequence).collect();
        (sequences, page.next)
    };
    assert_eq!(read(0, 99, 9999), ((0..10).collect(), 10));
    assert_eq!(read(0, 4, 9999), (vec![0, 1, 2, 3], 4), "at most so many lines");
    assert_eq!(read(4, 4, 250), (vec![4, 5], 6), "at most so many bytes");
    assert_eq!(read(4, 4, 300), (vec![4, 5, 6], 7), "exactly so many bytes");
    assert_eq!(read(6, 4, 0), (vec![6], 7), "at least one line");
    assert_eq!(read(6, 0, 9999), (vec![], 6), "none if none is wanted");
    assert_eq!(read(9, 99, 9999), (vec![9], 10));
    assert_eq!(read(10, 99, 9999), (vec![], 10));
    assert_eq!(read(u64::MAX, 99, 9999), (vec![], 10), "beyond the end");
    let lines = block_on(store.log(&tag(1), 3, 4)).unwrap();
    let sequences: Vec<_> = lines.iter().map(|line| line.sequence).collect();
    assert_eq!(sequences, [3, 4, 5, 6]);
    assert_eq!(block_on(store.log(&tag(1), u64::MAX, 4)), Ok(vec![]));
}

fn expiry<S: MailboxStore>(store: &S) {
    let expiries = [30, 10, 20, 10, 40];
    let puts: Vec<_> = (0..)
        .zip(expiries)
        .map(|(number, expiry)| put(tag(1), number, expiry, 100))
        .collect();
    let outcomes: Vec<_> = puts
        .iter()
        .map(|put| block_on(store.put(put.clone())).unwrap())
        .collect();
    let held = || -> Vec<bool> {
        let page = block_on(store.read(&tag(1), 0, 99, 9999, Height::ZERO)).unwrap();
        assert_eq!(page.entries.len(), 5, "expiry never removes a line");
        let held: Vec<_> = page.entries.iter().map(|stored| stored.bytes.is_some()).collect();
        for (put, held) in puts.iter().zip(&held) {
            assert_eq!(block_on(store.contains(&tag(1), &put.envelope)), Ok(*held));
            let stored = block_on(store.get(&tag(1), &put.envelope)).unwrap().unwrap();
            assert_eq!(stored.bytes.is_some(), *held);
        }
        held
    };
    assert_eq!(block_on(store.expire(UnixSeconds::new(9), 99)), Ok(0));
    assert_eq!(held(), [true; 5]);
    assert_eq!(
        block_on(store.expire(UnixSeconds::new(20), 2)),
        Ok(2),
        "at most so many"
    );
    assert_eq!(held(), [true, false, true, false, true], "the earliest first");
    assert_eq!(
        block_on(store.expire(UnixSeconds::new(20), 2)),
        Ok(1),
        "`now` itself is expired"
    );
    assert_eq!(held(), [true, false, false, false, true]);
    assert_eq!(
        block_on(store.stats()),
        Ok(MailboxStats {
            envelopes: 2,
            bytes: 200
        })
    );
    assert_eq!(
        block_on(store.put(puts[1].clone())),
        Ok(PutOutcome {
            fresh: false,
            ..outcomes[1]
        }),
        "what has expired does not come back"
    );
    assert_eq!(held(), [true, false, false, false, true]);
    // Lines without an envelope take no bytes of a page.
    let page = block_on(store.read(&tag(1), 0, 99, 100, Height::ZERO)).unwrap();
    assert_eq!(page.next, 4);
    assert_eq!(block_on(store.expire(UnixSeconds::MAX, 99)), Ok(2));
    assert_eq!(block_on(store.stats()), Ok(MailboxStats::default()));
    check_log(store, &tag(1), &outcomes);
}

fn oversize<S: MailboxStore>(store: &S) {
    let refused = block_on(store.put(put(tag(1), 1, 100, ENVELOPE_BYTES_MAX + 1)));
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    assert_eq!(
        block_on(store.head(&tag(1), Height::ZERO)),
        Ok(None),
        "what is refused changes nothing"
    );
    assert_eq!(block_on(store.tags(None, 9)), Ok(vec![]));
    let largest = put(tag(1), 1, 100, ENVELOPE_BYTES_MAX);
    block_on(store.put(largest.clone())).unwrap();
    let stored = block_on(store.get(&tag(1), &largest.envelope)).unwrap().unwrap();
    assert!(stored.bytes == Some(largest.bytes));
}

/// For stores made with 3 envelopes and 100 bytes.
fn limits<S: MailboxStore>(store: &S) {
    let first = put(tag(1), 1, 10, 60);
    let one = block_on(store.put(first.clone())).unwrap();
    assert_eq!(
        block_on(store.put(put(tag(1), 2, 10, 41))),
        Err(StoreError::MailboxFull),
        "more bytes than a mailbox may hold"
    );
    assert_eq!(block_on(store.head(&tag(1), Height::ZERO)).unwrap().unwrap().size, 1);
    block_on(store.put(put(tag(1), 3, 20, 40))).unwrap();
    block_on(store.put(put(tag(1), 4, 20, 0))).unwrap();
    assert_eq!(
        block_on(store.put(put(tag(1), 5, 20, 0))),
        Err(StoreError::MailboxFull),
        "more envelopes than a mailbox may hold"
    );
    assert_eq!(
        block_on(store.put(first.clone())),
        Ok(PutOutcome { fresh: false, ..one }),
        "a repeat is answered by a full mailbox"
    );
    let next_epoch = Put {
        set_epoch: SetEpoch::new(EPOCH + 1),
        ..first
    };
    assert!(
        block_on(store.put(next_epoch)).unwrap().fresh,
        "a line for an envelope held takes no room"
    );
    block_on(store.put(put(tag(2), 5, 20, 0))).unwrap();
    assert_eq!(block_on(store.expire(UnixSeconds::new(10), 9)), Ok(1));
    block_on(store.put(put(tag(1), 6, 20, 60))).unwrap();
}

/// Heights never fall along a log, whatever is passed.
fn heights<S: MailboxStore>(store: &S) {
    let at = |number, height| {
        let put = Put {
            height: Height::new(height),
            ..put(tag(1), number, 100, 10)
        };
        block_on(store.put(put)).unwrap().height.get()
    };
    let head = |height| block_on(store.head(&tag(1), Height::new(height))).unwrap().unwrap();
    let page = block_on(store.read(&tag(1), 0, 1, 1, Height::new(8))).unwrap();
    assert_eq!(page.height.get(), 8);
    assert_eq!(at(0, 7), 8, "a first line is not below the head of the empty log");
    assert_eq!(at(1, 10), 10);
    assert_eq!(at(2, 9), 10, "a later line is at no lower height");
    assert_eq!(head(5).height.get(), 10, "nor is a head");
    assert_eq!(head(12).height.get(), 12);
    assert_eq!(at(3, 11), 12, "nor is a line after a head");
    block_on(store.read(&tag(1), 0, 1, 1, Height::new(20))).unwrap();
    assert_eq!(at(4, 13), 20, "nor is a line after a page");
    let expected = LogHead {
        height: Height::new(30),
        ..head(0)
    };
    let page = block_on(store.read(&tag(1), 9, 1, 1, Height::new(30))).unwrap();
    assert_eq!(page.head, Some(expected));
}

fn tags<S: MailboxStore>(store: &S) {
    for number in [5, 1, 200, 9] {
        block_on(store.put(put(tag(number), 1, 10, 10))).unwrap();
        block_on(store.put(put(tag(number), 2, 10, 10))).unwrap();
    }
    assert_eq!(
        block_on(store.tags(None, 9)),
        Ok(vec![tag(1), tag(5), tag(9), tag(200)])
    );
    assert_eq!(block_on(store.tags(None, 2)), Ok(vec![tag(1), tag(5)]));
    assert_eq!(block_on(store.tags(Some(tag(5)), 2)), Ok(vec![tag(9), tag(200)]));
    assert_eq!(block_on(store.tags(Some(tag(6)), 1)), Ok(vec![tag(9)]));
    assert_eq!(block_on(store.tags(Some(tag(200)), 9)), Ok(vec![]));
    block_on(store.expire(UnixSeconds::MAX, 99)).unwrap();
    assert_eq!(
        block_on(store.tags(None, 9)).unwrap().len(),
        4,
        "a mailbox stays when all has expired"
    );
}

/// Puts what `what` gives for each thread and number, from 8 threads, 16 each.
fn hammer<S: MailboxStore>(store: &S, what: impl Fn(u64, u64) -> Put + Sync) -> Vec<PutOutcome> {
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (outcomes, what) = (&outcomes, &what);
            scope.spawn(move || {
                for number in 0..16 {
                    let outcome = block_on(store.put(what(thread, number))).unwrap();
                    // What is acknowledged is there.
                    let put = what(thread, number);
                    let stored = block_on(store.get(&put.tag, &put.envelope)).unwrap().unwrap();
                    assert_eq!(stored.bytes, Some(put.bytes));
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

fn one_tag_concurrently<S: MailboxStore>(store: &S) {
    let outcomes = hammer(store, |thread, number| put(tag(1), thread * 16 + number, 100, 200));
    let indices: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.entry.index).collect();
    assert_eq!(indices, (0..128).collect(), "every put has a line of its own");
    check_log(store, &tag(1), &outcomes);
}

fn one_envelope_concurrently<S: MailboxStore>(store: &S) {
    let outcomes = hammer(store, |_, number| put(tag(1), number, 100, 200));
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.fresh).count(),
        16,
        "one put of each appends"
    );
    let distinct: BTreeSet<_> = outcomes
        .iter()
        .map(|outcome| (outcome.entry.envelope, outcome.entry.index, outcome.size, outcome.root))
        .collect();
    assert_eq!(distinct.len(), 16, "all puts of an envelope get the same outcome");
    assert_eq!(block_on(store.stats()).unwrap().envelopes, 16);
    check_log(store, &tag(1), &outcomes);
}

fn many_tags_concurrently<S: MailboxStore>(store: &S) {
    let tag_of = |thread: u64, number: u64| tag(u8::try_from((thread * 3 + number) % 32).unwrap());
    let outcomes = hammer(store, |thread, number| {
        put(tag_of(thread, number), thread * 16 + number, 100, 200)
    });
    assert_eq!(outcomes.len(), 128);
    for tag in block_on(store.tags(None, 99)).unwrap() {
        check_log(store, &tag, &[]);
    }
    assert_eq!(
        block_on(store.stats()),
        Ok(MailboxStats {
            envelopes: 128,
            bytes: 128 * 200
        })
    );
}
