//! What strangers can make a client keep.

use tokenim_client::step::contact::{self, Relation};
use tokenim_client::step::state::{self, Arrival};
use tokenim_client::step::stranger::{REQUEST_MESSAGES_MAX, STRANGER_PINS_MAX};
use tokenim_client::step::{Batch, InboxMessage, LookedUp, Table, View as _};
use tokenim_envelope::{Message, MessageId};
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_wire::{EnvelopeId, Height, Object as _};

use crate::state::{BERT, NOW, People, SEALED, Store, WEEK, expiry};

fn stranger(number: usize) -> IdentityId {
    let mut id = [3; 32];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    IdentityId::from_bytes(id)
}

/// Senders with as many identities and messages as they like.
struct Attacker {
    message: Message,
    sent: u64,
}

impl Attacker {
    fn new() -> Self {
        let (_, _, message) = People::new().message(1, expiry(WEEK), 1);
        Self { message, sent: 0 }
    }

    fn send(&mut self, store: &mut Store, sender: IdentityId) -> Arrival {
        self.sent += 1;
        let (mut id, mut envelope) = ([0; 16], [0; 32]);
        id[..8].copy_from_slice(&self.sent.to_be_bytes());
        envelope[..8].copy_from_slice(&self.sent.to_be_bytes());
        self.message.sender = sender;
        self.message.id = MessageId::from_bytes(id);
        let envelope = EnvelopeId::from_bytes(envelope);
        let (arrival, batch) = state::deliver(store, &envelope, &self.message, SEALED, NOW).unwrap();
        store.apply(&batch);
        assert!(matches!(arrival, Arrival::New(..)), "{arrival:?}");
        arrival
    }
}

fn relate(store: &mut Store, identity: &IdentityId, relation: Relation) {
    let batch = contact::set_relation(store, identity, relation, NOW).unwrap();
    store.apply(&batch);
}

/// How many messages of a sender are in the inbox.
fn held(store: &Store, sender: IdentityId) -> usize {
    let rows = store.scan(Table::Inbox, &[], usize::MAX).unwrap().into_iter();
    rows.filter(|(_, row)| InboxMessage::from_bytes(row).unwrap().sender == sender)
        .count()
}

#[test]
fn of_requests_so_many_messages_are_kept_and_whoever_has_most_gives_way() {
    let mut store = Store::default();
    let mut attacker = Attacker::new();
    let (friend, one, flood) = (stranger(0), stranger(1), stranger(2));
    relate(&mut store, &friend, Relation::Allowed);
    attacker.send(&mut store, friend);
    attacker.send(&mut store, one);
    for _ in 0..REQUEST_MESSAGES_MAX + 50 {
        attacker.send(&mut store, flood);
    }
    assert_eq!((held(&store, friend), held(&store, one)), (1, 1));
    assert_eq!(held(&store, flood), REQUEST_MESSAGES_MAX - 1);
    let numbers = store.scan(Table::Inbox, &[], usize::MAX).unwrap();
    let newest = attacker.sent - 1;
    assert_eq!(
        numbers.last().unwrap().0,
        newest.to_be_bytes(),
        "no number is given twice"
    );

    // Of many who sent one each, the oldest gives way, and asks no more.
    for number in 10..10 + 2 * REQUEST_MESSAGES_MAX {
        attacker.send(&mut store, stranger(number));
    }
    assert_eq!(store.rows(Table::Inbox), REQUEST_MESSAGES_MAX + 1);
    assert_eq!(store.rows(Table::Contact), REQUEST_MESSAGES_MAX + 1);
    assert_eq!(held(&store, one) + held(&store, flood), 0);
    assert!(contact::contact(&store, &one).unwrap().is_none());
    assert!(held(&store, stranger(9 + 2 * REQUEST_MESSAGES_MAX)) == 1);
    assert_eq!(held(&store, friend), 1, "whoever is let in loses nothing");
    for _ in 0..5 {
        attacker.send(&mut store, friend);
    }
    assert_eq!(held(&store, friend), 6);
    assert_eq!(store.rows(Table::Inbox), REQUEST_MESSAGES_MAX + 6);
}

#[test]
fn what_somebody_sent_who_is_let_in_or_kept_out_gives_way_to_nobody() {
    let mut store = Store::default();
    let mut attacker = Attacker::new();
    let (liked, blocked) = (stranger(0), stranger(1));
    for sender in [liked, liked, blocked] {
        attacker.send(&mut store, sender);
    }
    relate(&mut store, &liked, Relation::Allowed);
    relate(&mut store, &blocked, Relation::Blocked);
    for number in 10..20 + REQUEST_MESSAGES_MAX {
        attacker.send(&mut store, stranger(number));
    }
    assert_eq!((held(&store, liked), held(&store, blocked)), (2, 1));
    let kept = |id: &IdentityId| contact::contact(&store, id).unwrap().map(|kept| kept.relation);
    assert_eq!(kept(&liked), Some(Relation::Allowed));
    assert_eq!(kept(&blocked), Some(Relation::Blocked));
    assert_eq!(store.rows(Table::Inbox), REQUEST_MESSAGES_MAX + 3);
}

#[test]
fn of_strangers_so_many_pins_are_kept_and_the_oldest_gives_way() {
    let mut store = Store::default();
    let own = (BERT, DeviceId::from_bytes([9; 32]));
    let pin = |store: &mut Store, identity: &IdentityId, height: u64| {
        let found = LookedUp {
            height: Height::new(height),
            time: NOW,
            state: None,
        };
        let batch = state::keep_pin(store, &own, identity, &found, NOW).unwrap();
        store.apply(&batch);
    };
    let (friend, later) = (stranger(0), stranger(1));
    relate(&mut store, &friend, Relation::Allowed);
    for identity in [BERT, friend, later] {
        pin(&mut store, &identity, 1);
    }
    relate(&mut store, &later, Relation::Allowed);
    let max = usize::try_from(STRANGER_PINS_MAX).unwrap();
    for number in 10..20 + max {
        pin(&mut store, &stranger(number), 1);
        // That it moves on makes it no newer.
        pin(&mut store, &stranger(10), 2 + number as u64);
    }
    for identity in [BERT, friend, later] {
        assert!(state::pin(&store, &identity).unwrap().is_some());
    }
    assert_eq!(store.rows(Table::Pin), 3 + max);
    assert!(state::pin(&store, &stranger(11)).unwrap().is_none());
    assert!(state::pin(&store, &stranger(19 + max)).unwrap().is_some());
}

#[test]
fn damaged_rows_of_strangers_are_errors() {
    let own = (BERT, DeviceId::from_bytes([9; 32]));
    for row in [&b"replay forgotten"[..], b"request \0", b"stranger pin \0"] {
        let mut store = Store::default();
        let mut batch = Batch::new();
        batch.put(Table::Meta, row, [1]);
        store.apply(&batch);
        let message = Attacker::new().message;
        let envelope = EnvelopeId::from_bytes([1; 32]);
        let delivered = state::deliver(&store, &envelope, &message, SEALED, NOW);
        let found = LookedUp {
            height: Height::new(1),
            time: NOW,
            state: None,
        };
        let pinned = state::keep_pin(&store, &own, &stranger(1), &found, NOW);
        assert_eq!(delivered.is_err(), !row.starts_with(b"stranger"));
        assert_eq!(pinned.is_err(), row.starts_with(b"stranger"));
    }
}
