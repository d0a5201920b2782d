//! When a device makes, publishes and forgets its contact keys.

use tokenim_client::step::contact_key::{
    self, ContactAnswers, Due, FETCHED_OF_FEW_SECONDS, FETCHED_SECONDS, LIFETIME_SECONDS, OwnContactKey,
    REPUBLISH_SECONDS, ROTATION_SECONDS,
};
use tokenim_identity::{EnvelopeKey, NodeKey, NodeSigningKey, Signature};
use tokenim_mailbox::{ContactKeys, KeyPackage, PostageBits, Quorum, SignedContactKeys};
use tokenim_wire::limits::ENVELOPE_LIFETIME_SECONDS_MAX;
use tokenim_wire::{SetEpoch, UnixSeconds};

use crate::common::device;
use crate::state::{BERT, NOW, Store};

fn key(number: u64, created: UnixSeconds) -> OwnContactKey {
    OwnContactKey {
        keys: SignedContactKeys {
            keys: ContactKeys {
                identity: BERT,
                device: device(1).device_id(),
                envelope: EnvelopeKey::x25519([number.to_le_bytes()[0]; 32]),
                created,
                expires: created.saturating_add(LIFETIME_SECONDS),
                number,
                postage: PostageBits::DEFAULT,
            },
            signature: Signature::from_bytes([0; 64]),
        },
        secret: b"sealed".as_slice().try_into().unwrap(),
        published: None,
    }
}

fn keep(store: &mut Store, key: &OwnContactKey) {
    let batch = contact_key::keep(store, key).unwrap();
    store.apply(&batch);
}

#[test]
fn a_key_is_made_published_and_published_again() {
    let mut store = Store::default();
    let now = NOW.to_seconds();
    let epoch = SetEpoch::new(3);
    let due = |store: &Store, epoch, at| contact_key::due(store, epoch, at).unwrap();
    assert_eq!(due(&store, epoch, now), Due::New(1));
    let first = key(1, now);
    keep(&mut store, &first);
    assert_eq!(due(&store, epoch, now), Due::Publish(Box::new(first.clone())));
    let batch = contact_key::published(&store, 1, epoch, now).unwrap();
    store.apply(&batch);
    assert_eq!(due(&store, epoch, now), Due::Nothing);
    // Other nodes keep the inbox, or a node may have lost it.
    assert!(matches!(due(&store, SetEpoch::new(4), now), Due::Publish(_)));
    assert!(matches!(
        due(&store, epoch, now.saturating_add(REPUBLISH_SECONDS)),
        Due::Publish(_)
    ));
    assert_eq!(due(&store, epoch, now.saturating_add(ROTATION_SECONDS)), Due::New(2));
}

#[test]
fn a_second_process_does_not_replace_a_key() {
    let mut store = Store::default();
    let now = NOW.to_seconds();
    keep(&mut store, &key(1, now));
    let mut other = key(1, now);
    other.secret = b"another".as_slice().try_into().unwrap();
    keep(&mut store, &other);
    assert_eq!(contact_key::own(&store).unwrap(), [key(1, now)]);
}

#[test]
fn a_key_is_forgotten_when_no_accepted_envelope_can_need_it_and_not_before() {
    let mut store = Store::default();
    let now = NOW.to_seconds();
    keep(&mut store, &key(1, now));
    keep(&mut store, &key(2, now.saturating_add(ROTATION_SECONDS)));
    // Sealed in the last second in which the key was good, for as long as is allowed.
    let last = now
        .saturating_add(LIFETIME_SECONDS)
        .saturating_add(ENVELOPE_LIFETIME_SECONDS_MAX);
    let batch = contact_key::forget(&store, last).unwrap();
    store.apply(&batch);
    assert_eq!(contact_key::own(&store).unwrap().len(), 2);
    let batch = contact_key::forget(&store, key(1, now).forgotten_after().saturating_add(1)).unwrap();
    store.apply(&batch);
    let left: Vec<u64> = contact_key::own(&store)
        .unwrap()
        .iter()
        .map(OwnContactKey::number)
        .collect();
    assert_eq!(left, [2]);
}

#[test]
fn another_postage_needs_another_key_once() {
    let mut store = Store::default();
    let now = NOW.to_seconds();
    let epoch = SetEpoch::new(3);
    assert_eq!(contact_key::postage(&store).unwrap(), PostageBits::DEFAULT);
    keep(&mut store, &key(1, now));
    let batch = contact_key::published(&store, 1, epoch, now).unwrap();
    store.apply(&batch);
    // Senders give the usual in any case.
    store.apply(&contact_key::set_postage(PostageBits::NONE));
    assert_eq!(contact_key::due(&store, epoch, now).unwrap(), Due::Nothing);

    let more = PostageBits::new(20).unwrap();
    store.apply(&contact_key::set_postage(more));
    assert_eq!(contact_key::postage(&store).unwrap(), more);
    assert_eq!(contact_key::due(&store, epoch, now).unwrap(), Due::New(2));
    let mut second = key(2, now);
    second.keys.keys.postage = more;
    keep(&mut store, &second);
    let batch = contact_key::published(&store, 2, epoch, now).unwrap();
    store.apply(&batch);
    assert_eq!(contact_key::due(&store, epoch, now).unwrap(), Due::Nothing);
}

#[test]
fn other_packages_need_another_key_once() {
    let mut store = Store::default();
    let now = NOW.to_seconds();
    let epoch = SetEpoch::new(3);
    let packages = |byte: u8| vec![KeyPackage::try_from([byte; 9].as_slice()).unwrap()];
    let nodes: [NodeKey; 1] = nodes(1);
    assert!(contact_key::packages(&store).unwrap().is_empty());
    let first = key(1, now);
    keep(&mut store, &first);
    let batch = contact_key::published(&store, 1, epoch, now).unwrap();
    store.apply(&batch);
    let batch = contact_key::keep_packages(&store, packages(1), &nodes).unwrap();
    store.apply(&batch);
    assert_eq!(kept(&store), [(packages(1)[0].clone(), nodes[0])]);
    assert_eq!(contact_key::due(&store, epoch, now).unwrap(), Due::New(2));
    keep(&mut store, &key(2, now));
    let batch = contact_key::published(&store, 2, epoch, now).unwrap();
    store.apply(&batch);
    assert_eq!(contact_key::due(&store, epoch, now).unwrap(), Due::Nothing);
    // The same again changes nothing.
    assert!(
        contact_key::keep_packages(&store, packages(1), &nodes)
            .unwrap()
            .is_empty()
    );
    let batch = contact_key::keep_packages(&store, packages(2), &nodes).unwrap();
    store.apply(&batch);
    assert_eq!(contact_key::due(&store, epoch, now).unwrap(), Due::New(3));
}

fn nodes<const N: usize>(first: u8) -> [NodeKey; N] {
    std::array::from_fn(|node| NodeSigningKey::from_seed([first + u8::try_from(node).unwrap(); 32]).verifying_key())
}

fn kept(store: &Store) -> Vec<(KeyPackage, NodeKey)> {
    contact_key::packages(store).unwrap()
}

/// So many packages of each of two suites.
fn two_suites(count: u8) -> Vec<KeyPackage> {
    let of = |suite: u8, number| KeyPackage::try_from([0, 1, 0, 5, 0, 1, 0, suite, number].as_slice()).unwrap();
    let packages = (0..count).flat_map(|number| [of(1, number), of(2, number)]);
    packages.collect()
}

#[test]
fn each_node_has_packages_of_each_suite_that_no_other_one_has() {
    let mut store = Store::default();
    let four: [NodeKey; 4] = nodes(1);
    let divide = |store: &mut Store, packages: &[KeyPackage], nodes: &[NodeKey]| {
        let batch = contact_key::keep_packages(store, packages.to_vec(), nodes).unwrap();
        store.apply(&batch);
        let kept = kept(store);
        assert_eq!(
            kept.iter().map(|(package, _)| package).collect::<Vec<_>>(),
            packages.iter().collect::<Vec<_>>()
        );
        assert!(
            contact_key::keep_packages(store, packages.to_vec(), nodes)
                .unwrap()
                .is_empty()
        );
        kept
    };
    let of = |kept: &[(KeyPackage, NodeKey)], node: &NodeKey, suite: u16| {
        let its = kept.iter().filter(|(_, of)| of == node);
        its.filter(|(package, _)| tokenim_mailbox::key_package_suite(package) == Some(suite))
            .count()
    };
    let all = two_suites(8);
    let first = divide(&mut store, &all, &four);
    for (node, suite) in four.iter().flat_map(|node| [(node, 1), (node, 2)]) {
        assert_eq!(of(&first, node, suite), 2);
    }
    // Some are used and others come: what a node has stays with it.
    let refilled = [&all[5..], &two_suites(10)[16..]].concat();
    let second = divide(&mut store, &refilled, &four);
    for (package, node) in &second {
        assert!(first.iter().all(|(known, had)| known != package || had == node));
    }
    // Another node in place of one of them: only what that one had goes to others.
    let [new] = nodes(9);
    let other = [four[1], four[2], new, four[3]];
    let third = divide(&mut store, &refilled, &other);
    for ((package, before), (same, after)) in second.iter().zip(&third) {
        assert_eq!(package, same);
        assert!(before == after || *before == four[0]);
    }
    for (node, suite) in other.iter().flat_map(|node| [(node, 1), (node, 2)]) {
        assert!(of(&third, node, suite) > 0);
    }
    // With fewer packages than nodes some have none; without nodes nobody has any.
    assert_eq!(divide(&mut store, &two_suites(1), &four).len(), 2);
    let batch = contact_key::keep_packages(&store, two_suites(1), &[]).unwrap();
    store.apply(&batch);
    assert_eq!(kept(&store), []);
}

#[test]
fn one_secret_is_kept_once() {
    let mut store = Store::default();
    let now = NOW.to_seconds();
    keep(&mut store, &key(1, now));
    keep(&mut store, &key(2, now));
    let mut again = key(2, now);
    again.keys.keys.number = 3;
    keep(&mut store, &again);
    let kept = contact_key::own(&store).unwrap();
    assert_eq!(kept.iter().map(OwnContactKey::number).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn whoever_answers_first_does_not_decide_how_a_device_is_written_to() {
    let now = NOW.to_seconds();
    let (old, new) = (key(1, now).keys.keys, key(2, now).keys.keys);
    let to = device(1).keys(EnvelopeKey::x25519([9; 32]));
    for quorum in [Quorum::for_nodes(4), Quorum::for_nodes(5)] {
        // All places at which the one that lies, and those that a write quorum did not need, may come among Q.
        for first in [None, Some(old.clone())] {
            let mut answers = ContactAnswers::new(quorum);
            for _ in 0..quorum.faulty {
                answers.add(first.clone());
            }
            for _ in quorum.write..quorum.replicas {
                assert!(!answers.are_enough());
                answers.add(None);
            }
            // However long these have been the only ones: there is one to wait for, and that one has the newest.
            assert!(!answers.are_enough());
            let few = answers.clone().first_contact(&to);
            match &first {
                None => assert!(few.number.is_none() && !few.is_used(0, now)),
                Some(_) => assert!(few.is_used(0, now) && !few.is_used(FETCHED_OF_FEW_SECONDS, now)),
            }
            answers.add(Some(new.clone()));
            let found = answers.first_contact(&to);
            assert_eq!((found.number, &found.envelope), (Some(2), &new.envelope));
        }
    }
    let quorum = Quorum::for_nodes(4);
    let mut answers = ContactAnswers::new(quorum);
    for _ in 0..quorum.read {
        answers.add(None);
    }
    assert!(answers.are_enough());
    let found = answers.first_contact(&to);
    assert_eq!((found.number, &found.envelope), (None, &to.envelope));
    assert!(found.is_used(FETCHED_SECONDS - 1, now) && !found.is_used(FETCHED_SECONDS, now));
}

#[test]
fn fetched_keys_are_not_used_once_they_have_expired() {
    let now = NOW.to_seconds();
    let mut answers = ContactAnswers::new(Quorum::for_nodes(1));
    answers.add(Some(key(1, now).keys.keys));
    let found = answers.first_contact(&device(1).keys(EnvelopeKey::x25519([9; 32])));
    let expires = now.saturating_add(LIFETIME_SECONDS);
    assert!(found.is_used(0, UnixSeconds::new(expires.get() - 1)));
    assert!(!found.is_used(0, expires));
    assert!(!found.is_used(FETCHED_SECONDS, now));
}
