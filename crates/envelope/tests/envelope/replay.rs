//! The replay cache.

use proptest::prelude::*;
use tokenim_envelope::{LIFETIME_MAX, MessageId, ReplayCache, ReplayError, Suite};
use tokenim_identity::IdentityId;
use tokenim_wire::limits::CLOCK_SKEW_SECONDS_MAX;
use tokenim_wire::{DecodeError, Object, UnixSeconds};

use crate::draft::varint;
use crate::people::{ADDED, EXPIRY, ID, NOW, alice, bob, rng, text};

fn sender(n: u8) -> IdentityId {
    IdentityId::from_bytes([n; 32])
}

fn id(n: u32) -> MessageId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    MessageId::from_bytes(bytes)
}

fn at(seconds: u64) -> UnixSeconds {
    UnixSeconds::new(NOW.get() + seconds)
}

#[test]
fn a_message_is_admitted_once() {
    let (alice, bob) = (alice(), bob(Suite::XWing));
    let mut cache = ReplayCache::new();
    // the same envelope again, and the same message sealed again
    for (seed, expected) in [
        (9, Ok(())),
        (9, Err(ReplayError::Replayed)),
        (10, Err(ReplayError::Replayed)),
    ] {
        let envelope = alice.seal_to(&bob.recipient(), &text(), &mut rng(seed)).unwrap();
        let message = bob.open(&envelope).unwrap().verify_for(&alice.state, ADDED).unwrap();
        assert_eq!(cache.admit(&message, NOW), expected);
    }
}

#[test]
fn ids_are_counted_per_sender() {
    let mut cache = ReplayCache::new();
    assert_eq!(cache.check_and_insert(&sender(1), &ID, EXPIRY, NOW), Ok(()));
    assert_eq!(cache.check_and_insert(&sender(2), &ID, EXPIRY, NOW), Ok(()));
    assert!(cache.contains(&sender(1), &ID) && !cache.contains(&sender(3), &ID));
    assert_eq!(cache.len(), 2);
}

#[test]
fn an_entry_outlives_its_message_by_the_clock_skew() {
    let mut cache = ReplayCache::new();
    let (expiry, last) = (at(100), at(100 + CLOCK_SKEW_SECONDS_MAX));
    cache.check_and_insert(&sender(1), &ID, expiry, NOW).unwrap();
    assert_eq!(
        cache.check_and_insert(&sender(1), &ID, expiry, last),
        Err(ReplayError::Replayed)
    );
    let after = last.next().unwrap();
    cache.check_and_insert(&sender(1), &id(1), at(1000), after).unwrap();
    assert!(!cache.contains(&sender(1), &ID));
    assert_eq!(
        cache.check_and_insert(&sender(1), &ID, expiry, after),
        Err(ReplayError::Expired)
    );
}

#[test]
fn what_lives_too_long_is_refused() {
    let mut cache = ReplayCache::new();
    let latest = LIFETIME_MAX.as_secs() + CLOCK_SKEW_SECONDS_MAX;
    assert_eq!(cache.check_and_insert(&sender(1), &id(1), at(latest), NOW), Ok(()));
    let refused = cache.check_and_insert(&sender(1), &id(2), at(latest + 1), NOW);
    assert_eq!(refused, Err(ReplayError::LifetimeTooLong));
}

#[test]
fn a_clock_that_jumps_ahead_and_back_lets_no_replay_through() {
    let mut cache = ReplayCache::new();
    cache.check_and_insert(&sender(1), &ID, at(100), NOW).unwrap();
    let far = at(1_000_000);
    cache.check_and_insert(&sender(2), &ID, at(1_000_100), far).unwrap();
    assert!(!cache.contains(&sender(1), &ID), "forgotten as expired");
    assert_eq!(
        cache.check_and_insert(&sender(1), &ID, at(100), NOW),
        Err(ReplayError::Expired)
    );
    // what can't have been forgotten is still taken
    assert_eq!(cache.check_and_insert(&sender(1), &id(1), at(101), NOW), Ok(()));
    // and the memory of it survives being stored
    let mut cache = ReplayCache::from_bytes(&cache.to_bytes().unwrap()).unwrap();
    assert_eq!(
        cache.check_and_insert(&sender(1), &ID, at(100), NOW),
        Err(ReplayError::Expired)
    );
}

#[test]
fn one_sender_fills_only_its_quota() {
    let mut cache = ReplayCache::new();
    for n in 0..ReplayCache::ENTRIES_PER_SENDER_MAX as u32 {
        cache.check_and_insert(&sender(1), &id(n), at(100), NOW).unwrap();
    }
    let more = id(u32::MAX);
    assert_eq!(
        cache.check_and_insert(&sender(1), &more, at(100), NOW),
        Err(ReplayError::QuotaExceeded)
    );
    assert!(!cache.contains(&sender(1), &more));
    assert_eq!(cache.check_and_insert(&sender(2), &more, at(100), NOW), Ok(()));
    // room again when they have expired
    assert_eq!(cache.check_and_insert(&sender(1), &more, at(1000), at(221)), Ok(()));
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_full_cache_refuses_rather_than_forgets() {
    let mut cache = ReplayCache::new();
    let senders = ReplayCache::ENTRIES_MAX / ReplayCache::ENTRIES_PER_SENDER_MAX;
    for s in 0..senders as u8 {
        for n in 0..ReplayCache::ENTRIES_PER_SENDER_MAX as u32 {
            cache.check_and_insert(&sender(s), &id(n), at(100), NOW).unwrap();
        }
    }
    assert_eq!(
        cache.check_and_insert(&sender(99), &ID, at(100), NOW),
        Err(ReplayError::Full)
    );
    assert_eq!(cache.len(), ReplayCache::ENTRIES_MAX);
    let bytes = cache.to_bytes().unwrap();
    assert!(ReplayCache::from_bytes(&bytes).unwrap() == cache);
}

#[test]
fn the_fullest_encoding_keeps_within_its_limit() {
    // every entry of another sender, with the longest numbers
    let entry = 32 + 1 + 16 + 10;
    assert!(1 + 10 + 3 + ReplayCache::ENTRIES_MAX * entry <= ReplayCache::BYTES_MAX);
}

/// version ‖ forgotten ‖ senders, each sender ‖ messages, each id ‖ expiry
fn stored(senders: &[(u8, &[(u32, u64)])]) -> Vec<u8> {
    let mut out = vec![1];
    varint(NOW.get(), &mut out);
    varint(senders.len() as u64, &mut out);
    for (s, messages) in senders {
        out.extend_from_slice(sender(*s).as_bytes());
        varint(messages.len() as u64, &mut out);
        for (n, expiry) in *messages {
            out.extend_from_slice(id(*n).as_bytes());
            varint(*expiry, &mut out);
        }
    }
    out
}

#[test]
fn the_encoding_is_the_specified_one() {
    let bytes = stored(&[(1, &[(1, 5), (2, 6)]), (2, &[(1, 300)])]);
    let cache = ReplayCache::from_bytes(&bytes).unwrap();
    assert_eq!(cache.len(), 3);
    assert!(cache.contains(&sender(1), &id(2)) && cache.contains(&sender(2), &id(1)));
    assert_eq!(cache.to_bytes().unwrap(), bytes);
}

#[test]
fn another_order_is_refused() {
    let senders = stored(&[(2, &[(1, 5)]), (1, &[(1, 5)])]);
    assert_eq!(ReplayCache::from_bytes(&senders), Err(DecodeError::NotCanonical));
    let messages = stored(&[(1, &[(2, 5), (1, 5)])]);
    assert_eq!(ReplayCache::from_bytes(&messages), Err(DecodeError::NotCanonical));
}

#[test]
fn a_repeated_entry_is_refused() {
    let senders = stored(&[(1, &[(1, 5)]), (1, &[(2, 5)])]);
    assert_eq!(ReplayCache::from_bytes(&senders), Err(DecodeError::NotCanonical));
    let messages = stored(&[(1, &[(1, 5), (1, 6)])]);
    assert_eq!(ReplayCache::from_bytes(&messages), Err(DecodeError::NotCanonical));
}

#[test]
fn a_sender_without_messages_is_refused() {
    assert_eq!(
        ReplayCache::from_bytes(&stored(&[(1, &[])])),
        Err(DecodeError::Malformed)
    );
}

#[test]
fn more_messages_of_a_sender_than_its_quota_are_refused() {
    let messages: Vec<_> = (0..=ReplayCache::ENTRIES_PER_SENDER_MAX as u32)
        .map(|n| (n, 5))
        .collect();
    assert_eq!(
        ReplayCache::from_bytes(&stored(&[(1, &messages)])),
        Err(DecodeError::Malformed)
    );
}

#[test]
fn a_stored_cache_cut_anywhere_is_refused() {
    let bytes = stored(&[(1, &[(1, 5), (2, 6)])]);
    for length in 0..bytes.len() {
        assert!(ReplayCache::from_bytes(&bytes[..length]).is_err(), "{length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::cases(64)))]

    /// However clocks run, restarts included: a pair of sender and id is let through at most once.
    #[test]
    fn nothing_passes_twice(steps in proptest::collection::vec((0..3_u8, 0..4_u32, 0..2000_u64, 0..4000_u64, any::<bool>()), 1..80)) {
        let mut cache = ReplayCache::new();
        let mut passed = std::collections::BTreeMap::new();
        for (s, n, expiry, now, restart) in steps {
            if restart {
                cache = ReplayCache::from_bytes(&cache.to_bytes().unwrap()).unwrap();
            }
            // a message's expiry is signed, so it is one per id
            let expiry = *passed.entry((s, n)).or_insert((expiry, 0_u32));
            if cache.check_and_insert(&sender(s), &id(n), at(expiry.0), at(now)).is_ok() {
                passed.insert((s, n), (expiry.0, expiry.1 + 1));
            }
        }
        prop_assert!(passed.values().all(|(_, times)| *times <= 1));
    }
}
