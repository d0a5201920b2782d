//! When a device makes, publishes and forgets its contact keys.

use tokenim_client::step::contact_key::{
    self, Due, LIFETIME_SECONDS, OwnContactKey, REPUBLISH_SECONDS, ROTATION_SECONDS,
};
use tokenim_identity::{EnvelopeKey, Signature};
use tokenim_mailbox::{ContactKeys, KeyPackage, PostageBits, SignedContactKeys};
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
                envelope: EnvelopeKey::x25519([7; 32]),
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
fn other_packages_need_another_key_once() {
    let mut store = Store::default();
    let now = NOW.to_seconds();
    let epoch = SetEpoch::new(3);
    let packages = |byte: u8| vec![KeyPackage::try_from([byte; 9].as_slice()).unwrap()];
    assert!(contact_key::packages(&store).unwrap().is_empty());
    let first = key(1, now);
    keep(&mut store, &first);
    let batch = contact_key::published(&store, 1, epoch, now).unwrap();
    store.apply(&batch);
    let batch = contact_key::keep_packages(&store, packages(1)).unwrap();
    store.apply(&batch);
    assert_eq!(contact_key::packages(&store).unwrap(), packages(1));
    assert_eq!(contact_key::due(&store, epoch, now).unwrap(), Due::New(2));
    keep(&mut store, &key(2, now));
    let batch = contact_key::published(&store, 2, epoch, now).unwrap();
    store.apply(&batch);
    assert_eq!(contact_key::due(&store, epoch, now).unwrap(), Due::Nothing);
    // The same again changes nothing.
    assert!(contact_key::keep_packages(&store, packages(1)).unwrap().is_empty());
    let batch = contact_key::keep_packages(&store, packages(2)).unwrap();
    store.apply(&batch);
    assert_eq!(contact_key::due(&store, epoch, now).unwrap(), Due::New(3));
}
