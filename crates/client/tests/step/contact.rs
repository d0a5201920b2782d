//! Whom the owner lets in, and what the owner is told about keys.

use tokenim_client::step::contact::{self, KeyChange, NOTICES_MAX, NOTICES_OF_STRANGERS_MAX, Relation, Verified};
use tokenim_client::step::state::{self, Arrival, ArrivalRefusal};
use tokenim_client::step::{LookedUp, Table};
use tokenim_identity::{DeviceId, EnvelopeKey, IdentityId, IdentityState, RecordSigner, SignedRecord, SuiteId};
use tokenim_wire::{Digest, Height, NetworkId};

use crate::common::{At, Person, device, person, root_key};
use crate::state::{ANNA, BERT, NOW, People, SEALED, Store, WEEK, expiry};

const NET: NetworkId = NetworkId::from_bytes([3; 32]);
const OWN: (IdentityId, DeviceId) = (BERT, DeviceId::from_bytes([9; 32]));

/// Keeps a look-up of a state at a height, as `own` sees it.
fn see(store: &mut Store, own: &(IdentityId, DeviceId), state: &IdentityState, height: u64) {
    let found = LookedUp {
        state: Some(state.clone()),
        height: Height::new(height),
        time: NOW,
    };
    let batch = state::keep_pin(store, own, &state.id, &found, NOW).unwrap();
    store.apply(&batch);
}

fn told(store: &Store) -> Vec<KeyChange> {
    let notices = contact::notices(store, 0, usize::MAX).unwrap();
    notices.into_iter().map(|(_, notice)| notice.change).collect()
}

fn allow(store: &mut Store, identity: &IdentityId) {
    let batch = contact::set_relation(store, identity, Relation::Allowed, NOW).unwrap();
    store.apply(&batch);
}

/// A person with one device, allowed in and seen.
fn known(store: &mut Store, number: u64) -> Person {
    let mut person = person(number);
    person.add_device(&NET, 1, At::height(5));
    allow(store, &person.state.id);
    see(store, &OWN, &person.state, 5);
    person
}

#[test]
fn a_stranger_is_a_request_until_the_owner_decides() {
    let people = People::new();
    let mut store = Store::default();
    let deliver = |store: &mut Store, id| {
        let (envelope, _, message) = people.message(id, expiry(WEEK), u64::from(id));
        let (arrival, batch) = state::deliver(store, &envelope, &message, SEALED, NOW).unwrap();
        store.apply(&batch);
        arrival
    };
    assert!(matches!(
        deliver(&mut store, 1),
        Arrival::New(0, _, Relation::Requested)
    ));
    let kept = contact::contact(&store, &ANNA).unwrap().unwrap();
    assert_eq!((kept.relation, kept.verified), (Relation::Requested, None));

    allow(&mut store, &ANNA);
    assert!(matches!(deliver(&mut store, 2), Arrival::New(1, _, Relation::Allowed)));

    let batch = contact::set_relation(&store, &ANNA, Relation::Blocked, NOW).unwrap();
    store.apply(&batch);
    assert_eq!(deliver(&mut store, 3), Arrival::Refused(ArrivalRefusal::Blocked));
    assert_eq!(store.rows(Table::Inbox), 2);
    // What was refused stays refused.
    allow(&mut store, &ANNA);
    assert_eq!(deliver(&mut store, 3), Arrival::Repeated);
}

#[test]
fn who_is_written_to_is_let_in() {
    let people = People::new();
    let mut store = Store::default();
    let (message, sealed) = people.outbox(1);
    let batch = state::begin_send(&store, &message, &sealed).unwrap();
    store.apply(&batch);
    let contacts = contact::contacts(&store, None, 10).unwrap();
    assert_eq!(contacts.len(), 1);
    assert_eq!((contacts[0].0, contacts[0].1.relation), (BERT, Relation::Allowed));
}

#[test]
fn an_added_and_a_revoked_device_of_a_contact_are_told_once_each() {
    let mut store = Store::default();
    let mut anna = known(&mut store, 1);
    anna.add_device(&NET, 2, At::height(7));
    see(&mut store, &OWN, &anna.state, 7);
    see(&mut store, &OWN, &anna.state, 8);
    anna.revoke_device(&NET, 1, At::height(9));
    see(&mut store, &OWN, &anna.state, 9);
    assert_eq!(
        told(&store),
        [
            KeyChange::DeviceAdded {
                device: device(2).device_id(),
                at: Height::new(7)
            },
            KeyChange::DeviceRevoked {
                device: device(1).device_id(),
                at: Height::new(9)
            },
        ]
    );
}

#[test]
fn a_device_that_the_owner_did_not_add_is_told_and_this_one_is_not() {
    let mut store = Store::default();
    let mut me = person(1);
    let own = (me.state.id, device(1).device_id());
    see(&mut store, &own, &me.state, 1);
    me.add_device(&NET, 1, At::height(2));
    see(&mut store, &own, &me.state, 2);
    assert_eq!(told(&store), []);
    me.add_device(&NET, 2, At::height(3));
    see(&mut store, &own, &me.state, 3);
    let device = device(2).device_id();
    assert_eq!(
        told(&store),
        [KeyChange::DeviceAdded {
            device,
            at: Height::new(3)
        }]
    );
}

#[test]
fn of_strangers_and_blocked_ones_nothing_is_told() {
    let mut store = Store::default();
    for relation in [None, Some(Relation::Requested), Some(Relation::Blocked)] {
        let mut person = person(4);
        if let Some(relation) = relation {
            let batch = contact::set_relation(&store, &person.state.id, relation, NOW).unwrap();
            store.apply(&batch);
        }
        see(&mut store, &OWN, &person.state, 1);
        person.add_device(&NET, 1, At::height(2));
        see(&mut store, &OWN, &person.state, 2);
    }
    assert_eq!(told(&store), []);
}

/// The person after the root was replaced by the next one, and what was signed on the way.
fn rotate(person: &Person) -> (IdentityState, IdentityState) {
    let [next, after] = [1, 2].map(|index| root_key(person.number, index));
    let pending = SignedRecord::rotate_root(&NET, &person.state, &next, &after.verifying_key()).unwrap();
    let waiting = person.state.apply(&At::height(10).place(&NET), &pending).unwrap();
    let complete = SignedRecord::complete(&NET, &waiting, RecordSigner::NextRoot(&next)).unwrap();
    let late = At {
        time: waiting.pending().unwrap().due,
        ..At::height(20)
    };
    let rotated = waiting.apply(&late.place(&NET), &complete).unwrap();
    (waiting, rotated)
}

#[test]
fn a_changed_root_takes_the_mark_of_verification_away_and_says_so_once_and_a_new_device_does_not() {
    let mut store = Store::default();
    let mut anna = known(&mut store, 1);
    let ours = root_key(8, 0).verifying_key();
    let mark = Verified {
        theirs: anna.state.root,
        ours,
        time: NOW,
    };
    let batch = contact::set_verified(&store, &anna.state.id, Some(mark), NOW).unwrap();
    store.apply(&batch);
    anna.add_device(&NET, 2, At::height(7));
    see(&mut store, &OWN, &anna.state, 7);
    let kept = contact::contact(&store, &anna.state.id).unwrap().unwrap();
    assert!(kept.is_verified(&ours, &anna.state.root));
    assert!(!kept.is_verified(&root_key(8, 1).verifying_key(), &anna.state.root));

    let (waiting, rotated) = rotate(&anna);
    see(&mut store, &OWN, &waiting, 10);
    assert!(
        contact::contact(&store, &anna.state.id)
            .unwrap()
            .unwrap()
            .verified
            .is_some()
    );
    see(&mut store, &OWN, &rotated, 20);
    see(&mut store, &OWN, &rotated, 21);
    assert_eq!(
        contact::contact(&store, &anna.state.id).unwrap().unwrap().verified,
        None
    );
    let changes = told(&store);
    assert!(matches!(
        changes[..],
        [
            KeyChange::DeviceAdded { .. },
            KeyChange::Pending { .. },
            KeyChange::RootChanged { verified: true }
        ]
    ));
}

#[test]
fn a_changed_root_takes_the_mark_of_who_is_not_let_in_away_too_and_says_so_once() {
    for relation in [Relation::Blocked, Relation::Requested] {
        let mut store = Store::default();
        let mut anna = known(&mut store, 1);
        let theirs = anna.state.root;
        let ours = root_key(8, 0).verifying_key();
        let mark = Verified {
            theirs,
            ours,
            time: NOW,
        };
        let batch = contact::set_verified(&store, &anna.state.id, Some(mark), NOW).unwrap();
        store.apply(&batch);
        let batch = contact::set_relation(&store, &anna.state.id, relation, NOW).unwrap();
        store.apply(&batch);
        // Nothing else is told of such a one.
        anna.add_device(&NET, 2, At::height(7));
        see(&mut store, &OWN, &anna.state, 7);
        let (waiting, rotated) = rotate(&anna);
        see(&mut store, &OWN, &waiting, 10);
        assert_eq!(told(&store), []);
        see(&mut store, &OWN, &rotated, 20);
        see(&mut store, &OWN, &rotated, 21);
        assert_eq!(told(&store), [KeyChange::RootChanged { verified: true }]);
        let kept = contact::contact(&store, &anna.state.id).unwrap().unwrap();
        assert_eq!((kept.relation, kept.verified), (relation, None));
        allow(&mut store, &anna.state.id);
        see(&mut store, &OWN, &rotated, 22);
        assert_eq!(told(&store).len(), 1);

        // A mark that was made with a root from before the state that is kept goes with a word too.
        let batch = contact::set_verified(&store, &anna.state.id, Some(mark), NOW).unwrap();
        store.apply(&batch);
        see(&mut store, &OWN, &rotated, 23);
        assert_eq!(told(&store), [KeyChange::RootChanged { verified: true }; 2]);
    }
}

#[test]
fn a_changed_root_of_the_owner_takes_all_marks_away_and_says_so() {
    let mut store = Store::default();
    let mut me = person(2);
    me.add_device(&NET, 1, At::height(2));
    let own = (me.state.id, device(1).device_id());
    see(&mut store, &own, &me.state, 2);
    let anna = known(&mut store, 1);
    let mark = Verified {
        theirs: anna.state.root,
        ours: me.state.root,
        time: NOW,
    };
    let batch = contact::set_verified(&store, &anna.state.id, Some(mark), NOW).unwrap();
    store.apply(&batch);
    allow(&mut store, &ANNA);

    let (waiting, rotated) = rotate(&me);
    see(&mut store, &own, &waiting, 10);
    let marked = |store: &Store| {
        let kept = contact::contact(store, &anna.state.id).unwrap().unwrap();
        kept.verified.is_some()
    };
    assert!(marked(&store));
    see(&mut store, &own, &rotated, 20);
    assert!(!marked(&store));
    see(&mut store, &own, &rotated, 21);
    assert!(matches!(
        told(&store)[..],
        [KeyChange::Pending { .. }, KeyChange::RootChanged { verified: true }]
    ));
}

#[test]
fn the_highest_suite_of_an_identity_is_remembered() {
    let mut store = Store::default();
    let anna = known(&mut store, 1);
    let suite = |store: &Store| state::pin(store, &anna.state.id).unwrap().unwrap().suite;
    assert_eq!(suite(&store), Some(SuiteId::X25519));
    let envelope = EnvelopeKey::new(SuiteId::X_WING, &[7; 1216]).unwrap();
    let add = SignedRecord::add_device(&NET, &anna.state, &root_key(1, 0), &device(2), envelope).unwrap();
    let two = anna.state.apply(&At::height(6).place(&NET), &add).unwrap();
    let weaker = |state: &IdentityState, seen| contact::weaker_devices(seen, state).collect::<Vec<_>>();
    assert!(weaker(&anna.state, None).is_empty());
    assert!(weaker(&two, suite(&store)).is_empty());
    see(&mut store, &OWN, &two, 6);
    assert_eq!(suite(&store), Some(SuiteId::X_WING));
    assert_eq!(weaker(&two, suite(&store)), [device(1).device_id()]);
    let revoke = SignedRecord::revoke_device(&NET, &two, &root_key(1, 0), device(2).device_id()).unwrap();
    see(
        &mut store,
        &OWN,
        &two.apply(&At::height(7).place(&NET), &revoke).unwrap(),
        7,
    );
    assert_eq!(suite(&store), Some(SuiteId::X_WING));
    // Also with nothing better left.
    assert_eq!(weaker(&anna.state, suite(&store)), [device(1).device_id()]);
}

fn view(header: u8) -> KeyChange {
    KeyChange::OtherView {
        height: Height::new(5),
        theirs: Digest::from_bytes([header; 32]),
        ours: Digest::from_bytes([2; 32]),
    }
}

fn somebody(number: usize) -> IdentityId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    IdentityId::from_bytes(id)
}

fn notice(store: &mut Store, identity: &IdentityId) {
    let batch = contact::notice(store, &OWN.0, identity, view(1), NOW).unwrap();
    store.apply(&batch);
}

/// How many notices are kept of an identity, and of how many.
fn kept(store: &Store, identity: &IdentityId) -> (usize, usize) {
    let all = contact::notices(store, 0, usize::MAX).unwrap();
    let of = all.iter().filter(|(_, notice)| notice.identity == *identity).count();
    (of, all.len())
}

#[test]
fn notices_are_bounded() {
    let mut store = Store::default();
    allow(&mut store, &ANNA);
    for _ in 0..NOTICES_MAX + 5 {
        notice(&mut store, &ANNA);
    }
    let kept = contact::notices(&store, 0, usize::MAX).unwrap();
    assert_eq!(kept.len(), NOTICES_MAX);
    assert_eq!(kept[0].0, 5);
}

#[test]
fn strangers_push_out_notices_of_strangers_only() {
    let mut store = Store::default();
    allow(&mut store, &ANNA);
    notice(&mut store, &OWN.0);
    notice(&mut store, &ANNA);
    for number in 0..2 * NOTICES_MAX {
        notice(&mut store, &somebody(number));
    }
    assert_eq!(kept(&store, &OWN.0), (1, NOTICES_OF_STRANGERS_MAX + 2));
    assert_eq!(kept(&store, &ANNA).0, 1);
    // The newest of them stay.
    assert_eq!(kept(&store, &somebody(2 * NOTICES_MAX - 1)).0, 1);
    assert_eq!(kept(&store, &somebody(0)).0, 0);
}

#[test]
fn of_too_many_notices_those_of_who_has_most_go_first() {
    let mut store = Store::default();
    allow(&mut store, &ANNA);
    for _ in 0..3 {
        notice(&mut store, &OWN.0);
        notice(&mut store, &ANNA);
    }
    // One contact with much to say, then many with as much as anybody.
    let loud = person(3).state.id;
    allow(&mut store, &loud);
    for _ in 0..NOTICES_MAX + 50 {
        notice(&mut store, &loud);
    }
    assert_eq!(kept(&store, &loud), (NOTICES_MAX - 6, NOTICES_MAX));
    for number in 0..(NOTICES_MAX - 6) / 3 - 1 {
        allow(&mut store, &somebody(number));
        for _ in 0..3 {
            notice(&mut store, &somebody(number));
        }
    }
    assert_eq!(kept(&store, &loud).0, NOTICES_MAX - 6 - 990);
    assert_eq!(kept(&store, &ANNA), (3, NOTICES_MAX));
    assert_eq!(kept(&store, &OWN.0).0, 3);
}

#[test]
fn what_the_owner_was_not_told_of_the_own_identity_is_never_pushed_out() {
    let mut store = Store::default();
    allow(&mut store, &ANNA);
    for number in 0..NOTICES_MAX - 1 {
        notice(&mut store, &OWN.0);
        assert_eq!(kept(&store, &OWN.0).0, number + 1);
    }
    for _ in 0..3 {
        notice(&mut store, &ANNA);
    }
    assert_eq!(kept(&store, &ANNA), (1, NOTICES_MAX));
    // The owner's come last, and push out the others'.
    notice(&mut store, &OWN.0);
    assert_eq!(kept(&store, &OWN.0), (NOTICES_MAX, NOTICES_MAX));
    let untold = contact::notices(&store, 0, usize::MAX).unwrap();
    notice(&mut store, &ANNA);
    notice(&mut store, &OWN.0);
    assert_eq!(contact::notices(&store, 0, usize::MAX).unwrap(), untold);
    // What was told gives way; the numbers go on, so that what is new is told.
    let (first, last) = (untold[0].0, untold.last().unwrap().0);
    store.apply(&contact::told(first));
    notice(&mut store, &ANNA);
    assert_eq!(kept(&store, &ANNA), (1, NOTICES_MAX));
    store.apply(&contact::told(last));
    let from = contact::told_below(&store).unwrap();
    assert_eq!(from, last + 1);
    notice(&mut store, &OWN.0);
    let new = contact::notices(&store, from, usize::MAX).unwrap();
    assert_eq!((new.len(), new[0].1.identity), (1, OWN.0));
}
