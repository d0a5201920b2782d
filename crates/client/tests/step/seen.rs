//! Headers that senders have seen, until they are compared.

use tokenim_client::step::contact::{self, KeyChange, Relation};
use tokenim_client::step::seen::{
    self, OTHER_VIEWS_OF_STRANGERS_MAX, OtherViews, SEEN_MAX, SEEN_OF_STRANGERS_MAX, SeenHeader, UNPROVED_MS,
};
use tokenim_client::step::{Batch, Tip};
use tokenim_envelope::Checkpoint;
use tokenim_identity::IdentityId;
use tokenim_wire::{Digest, Height};

use crate::state::{ANNA, BERT as OWN, NOW, Store};

fn checkpoint(height: u64) -> Checkpoint {
    Checkpoint {
        height: Height::new(height),
        header: Digest::from_bytes([1; 32]),
    }
}

fn keep(store: &mut Store, sender: &IdentityId, height: u64) -> Option<SeenHeader> {
    let mut batch = Batch::new();
    let kept = seen::keep(store, &mut batch, sender, &checkpoint(height), NOW).unwrap();
    store.apply(&batch);
    kept
}

fn settle(store: &mut Store, seen: &SeenHeader, change: Option<KeyChange>) -> bool {
    let (settled, batch) = seen::settle(store, &OWN, &ANNA, seen, change, NOW).unwrap();
    store.apply(&batch);
    settled
}

fn told(store: &Store) -> Vec<KeyChange> {
    let notices = contact::notices(store, 0, usize::MAX).unwrap();
    notices.into_iter().map(|(_, notice)| notice.change).collect()
}

#[test]
fn a_header_waits_until_it_is_compared_and_is_told_of_once() {
    let mut store = Store::default();
    let first = keep(&mut store, &ANNA, 7).unwrap();
    // One of each sender, and the first stays: what follows can't push it out.
    assert_eq!(keep(&mut store, &ANNA, 8), None);
    assert_eq!(seen::all(&store).unwrap(), [(ANNA, first)]);

    let ours = Digest::from_bytes([2; 32]);
    let change = first.change(Some(ours));
    assert!(settle(&mut store, &first, Some(change)));
    assert!(seen::all(&store).unwrap().is_empty());
    // Another process that has compared it too says nothing more.
    assert!(!settle(&mut store, &first, Some(change)));
    let (height, theirs) = (first.height, first.header);
    assert_eq!(told(&store), [KeyChange::OtherView { height, theirs, ours }]);

    // What is as it should be is forgotten without a word.
    let second = keep(&mut store, &ANNA, 8).unwrap();
    assert!(settle(&mut store, &second, None));
    assert_eq!(told(&store).len(), 1);
}

#[test]
fn a_header_that_nobody_proves_is_told_of_after_a_while() {
    let mut store = Store::default();
    let seen = keep(&mut store, &ANNA, 7).unwrap();
    let tip = |after_ms: u64| Tip {
        height: Height::new(9),
        time: NOW.saturating_add(after_ms),
        header: Digest::from_bytes([3; 32]),
    };
    assert!(!seen.is_overdue(&tip(0)));
    assert!(!seen.is_overdue(&tip(UNPROVED_MS - 1)));
    assert!(seen.is_overdue(&tip(UNPROVED_MS)));
    assert!(settle(&mut store, &seen, Some(seen.change(None))));
    let (height, theirs) = (seen.height, seen.header);
    assert_eq!(told(&store), [KeyChange::UnprovedView { height, theirs }]);
}

fn somebody(number: usize) -> IdentityId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    IdentityId::from_bytes(id)
}

#[test]
fn strangers_with_other_views_silence_neither_contacts_nor_what_was_found_here() {
    let mut views = OtherViews::default();
    let told = (0..2_000)
        .filter(|number| {
            let stranger = somebody(*number);
            let relation = (number % 2 == 0).then_some(Relation::Requested);
            let due = views.is_due(&OWN, &stranger, relation);
            views.told(&OWN, &stranger, relation);
            assert!(!views.is_due(&OWN, &stranger, relation));
            due
        })
        .count();
    assert_eq!(told, OTHER_VIEWS_OF_STRANGERS_MAX);
    assert!(!views.split);
    for number in 2_000..4_000 {
        let contact = somebody(number);
        let relation = Some(Relation::Allowed);
        assert!(!views.is_due(&OWN, &contact, None));
        assert!(!views.is_due(&OWN, &contact, Some(Relation::Blocked)));
        assert!(views.is_due(&OWN, &contact, relation));
        views.told(&OWN, &contact, relation);
        assert!(!views.is_due(&OWN, &contact, relation));
    }
    assert!(views.is_due(&OWN, &OWN, None));
    views.told(&OWN, &OWN, None);
    assert!(!views.is_due(&OWN, &OWN, None));
}

#[test]
fn strangers_leave_places_to_those_who_are_let_in() {
    let mut store = Store::default();
    for number in 0..SEEN_OF_STRANGERS_MAX {
        assert!(keep(&mut store, &somebody(number), 7).is_some());
    }
    assert_eq!(keep(&mut store, &ANNA, 7), None);
    for number in SEEN_OF_STRANGERS_MAX..SEEN_MAX + 1 {
        let batch = contact::set_relation(&store, &somebody(number), Relation::Allowed, NOW).unwrap();
        store.apply(&batch);
        let kept = keep(&mut store, &somebody(number), 7);
        assert_eq!(kept.is_some(), number < SEEN_MAX);
    }
    assert_eq!(seen::all(&store).unwrap().len(), SEEN_MAX);
}

#[test]
fn nothing_that_a_blocked_sender_has_seen_is_kept() {
    let mut store = Store::default();
    let batch = contact::set_relation(&store, &ANNA, Relation::Blocked, NOW).unwrap();
    store.apply(&batch);
    assert_eq!(keep(&mut store, &ANNA, 7), None);
    assert!(seen::all(&store).unwrap().is_empty());
}
