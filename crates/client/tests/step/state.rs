//! The transitions of the local state, with a store that crashes between any two of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tokenim_client::step::contact::Relation;
use tokenim_client::step::state::{self, Arrival, ArrivalRefusal, NOTES_MAX};
use tokenim_client::step::{
    Batch, DeviceDelivery, Fate, Fault, InboxMessage, LogCursor, LookedUp, OutboxMessage, Pin, Table, View,
};
use tokenim_envelope::{Content, EnvelopeSecretKey, Message, MessageId, Opener, Recipient, Sender, Suite, open, seal};
use tokenim_identity::{DeviceId, DeviceSecrets, IdentityId};
use tokenim_mailbox::mmr::Accumulator;
use tokenim_mailbox::{Descriptor, Incarnation, LogId, PostageBits, QuorumReceipt};
use tokenim_wire::{EnvelopeId, Height, Object as _, SetEpoch, UnixMillis, UnixSeconds};

use crate::world::{NETWORK, TAG, World, receipt};

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Store(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

impl View for Store {
    type Error = std::convert::Infallible;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error> {
        Ok(self.0.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Self::Error> {
        let rows = self.0.range((table, from.to_vec())..);
        let rows = rows.take_while(|((at, _), _)| *at == table).take(limit);
        Ok(rows.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn scan_back(&self, table: Table, below: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Self::Error> {
        let rows = self.0.range((table, Vec::new())..(table, below.to_vec())).rev();
        let rows = rows.take(limit);
        Ok(rows.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>, Self::Error> {
        Ok(self.scan(table, &[], usize::MAX)?.pop().map(|(key, _)| key))
    }
}

impl Store {
    pub(crate) fn apply(&mut self, batch: &Batch) {
        for change in batch.changes() {
            let key = (change.table, change.key.clone());
            match &change.value {
                Some(value) => drop(self.0.insert(key, value.clone())),
                None => drop(self.0.remove(&key)),
            }
        }
    }

    pub(crate) fn rows(&self, table: Table) -> usize {
        self.scan(table, &[], usize::MAX).unwrap().len()
    }
}

/// What the host makes of a body before it is kept.
pub(crate) const SEALED: &[u8] = b"sealed";

/// Two people with one device each.
pub(crate) struct People {
    sender: DeviceSecrets,
    sender_key: EnvelopeSecretKey,
    recipient: DeviceSecrets,
    recipient_key: EnvelopeSecretKey,
}

pub(crate) const ANNA: IdentityId = IdentityId::from_bytes([1; 32]);
pub(crate) const BERT: IdentityId = IdentityId::from_bytes([2; 32]);
pub(crate) const NOW: UnixMillis = UnixMillis::new(1_700_000_000_000);
pub(crate) const WEEK: u64 = 7 * 24 * 3_600;

pub(crate) fn expiry(seconds: u64) -> UnixSeconds {
    NOW.to_seconds().saturating_add(seconds)
}

impl People {
    pub(crate) fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let sender = DeviceSecrets::generate(&mut rng);
        let recipient = DeviceSecrets::generate(&mut rng);
        Self {
            sender_key: EnvelopeSecretKey::from_seed(Suite::default(), &sender.envelope_seed),
            recipient_key: EnvelopeSecretKey::from_seed(Suite::default(), &recipient.envelope_seed),
            sender,
            recipient,
        }
    }

    /// Seals and opens again; the seed makes envelopes of one message differ.
    pub(crate) fn message(&self, id: u8, expiry: UnixSeconds, seed: u64) -> (EnvelopeId, Vec<u8>, Message) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let keys = self.recipient.keys(self.recipient_key.public().clone());
        let sealed = seal(
            &NETWORK,
            &Sender {
                identity: ANNA,
                device: self.sender.device_id(),
                key: &self.sender.signing,
            },
            &Recipient::new(BERT, &keys),
            MessageId::from_bytes([id; 16]),
            expiry,
            None,
            &Content::text(format!("message {id}")),
            &mut rng,
        )
        .unwrap();
        let opener = Opener {
            network: NETWORK,
            identity: BERT,
            device: self.recipient.device_id(),
            keys: &[&self.recipient_key],
        };
        // At a time when it can be opened, whatever its expiry.
        let opened = open(&opener, sealed.as_bytes(), expiry.saturating_sub(60)).unwrap();
        let sender = self.sender.keys(self.sender_key.public().clone()).signing;
        (sealed.id(), sealed.as_bytes().to_vec(), opened.verify(&sender).unwrap())
    }

    pub(crate) fn outbox(&self, id: u8) -> (OutboxMessage, Vec<(EnvelopeId, Vec<u8>)>) {
        let (envelope, bytes, _) = self.message(id, expiry(WEEK), 100 + u64::from(id));
        let message = OutboxMessage {
            id: MessageId::from_bytes([id; 16]),
            to: BERT,
            created: NOW,
            expiry: expiry(WEEK),
            kind: 1,
            sealed_body: SEALED.try_into().unwrap(),
            devices: vec![DeviceDelivery {
                device: self.recipient.device_id(),
                mailbox: Descriptor::inbox(&self.recipient.keys(self.recipient_key.public().clone())),
                postage: PostageBits::DEFAULT,
                contact_key: None,
                envelope,
                receipt: None,
                handed: false,
                proved: false,
                dropped: false,
            }]
            .try_into()
            .unwrap(),
        };
        (message, vec![(envelope, bytes)])
    }
}

fn quorum(envelope: EnvelopeId) -> QuorumReceipt {
    let world = World::new(4, 1);
    let receipts: Vec<_> = world.swarm().iter().take(3).map(|key| receipt(key, envelope)).collect();
    QuorumReceipt::assemble(&world.set, &receipts).unwrap()
}

#[test]
fn a_message_goes_from_kept_to_accepted_to_proved() {
    let people = People::new();
    let mut store = Store::default();
    let (message, sealed) = people.outbox(1);
    let (id, device, envelope) = (message.id, message.devices[0].device, message.devices[0].envelope);
    store.apply(&state::begin_send(&store, &message, &sealed).unwrap());
    assert_eq!(state::open_messages(&store, 10).unwrap(), [id]);
    assert_eq!(
        store.get(Table::Sealed, envelope.as_bytes()).unwrap(),
        Some(sealed[0].1.clone())
    );

    let (accepted, batch) = state::accept(&store, &id, &device, &quorum(envelope)).unwrap();
    store.apply(&batch);
    assert!(accepted.is_accepted() && !accepted.is_proved());
    assert_eq!(store.rows(Table::Sealed), 0, "the bytes are the network's affair now");
    assert_eq!(state::open_messages(&store, 10).unwrap(), [id]);

    store.apply(&state::handed_over(&store, &id, &device).unwrap());
    let (proved, batch) = state::prove(&store, &id, &device, &envelope, b"proof").unwrap();
    store.apply(&batch);
    assert!(proved.is_proved());
    assert!(state::open_messages(&store, 10).unwrap().is_empty());
    assert_eq!(
        store.get(Table::Proof, envelope.as_bytes()).unwrap(),
        Some(b"proof".to_vec())
    );
    assert_eq!(state::outbox_message(&store, &id).unwrap(), Some(proved));
}

#[test]
fn each_step_repeated_changes_nothing() {
    let people = People::new();
    let mut store = Store::default();
    let (message, sealed) = people.outbox(1);
    let (id, device, envelope) = (message.id, message.devices[0].device, message.devices[0].envelope);
    store.apply(&state::begin_send(&store, &message, &sealed).unwrap());
    for _ in 0..2 {
        let (_, batch) = state::accept(&store, &id, &device, &quorum(envelope)).unwrap();
        store.apply(&batch);
    }
    let once = store.clone();
    let (_, batch) = state::accept(&store, &id, &device, &quorum(envelope)).unwrap();
    store.apply(&batch);
    assert_eq!(store, once);
}

#[test]
fn a_message_is_accepted_only_when_each_active_device_has_its_receipt() {
    let people = People::new();
    let mut store = Store::default();
    let (mut message, sealed) = people.outbox(1);
    let first = message.devices[0].clone();
    let second = DeviceDelivery {
        device: DeviceId::from_bytes([7; 32]),
        envelope: EnvelopeId::from_bytes([8; 32]),
        ..first.clone()
    };
    message.devices = vec![first.clone(), second.clone()].try_into().unwrap();
    store.apply(&state::begin_send(&store, &message, &sealed).unwrap());
    let (after, batch) = state::accept(&store, &message.id, &first.device, &quorum(first.envelope)).unwrap();
    store.apply(&batch);
    assert!(!after.is_accepted());
    // The second one is revoked before its copy was accepted: none is due.
    let mut replanned = after;
    replanned.devices = vec![
        replanned.devices[0].clone(),
        DeviceDelivery {
            dropped: true,
            ..second
        },
    ]
    .try_into()
    .unwrap();
    store.apply(&state::replan(&store, &replanned, &[]).unwrap());
    assert!(
        state::outbox_message(&store, &message.id)
            .unwrap()
            .unwrap()
            .is_accepted()
    );
}

#[test]
fn one_message_is_delivered_once_in_whatever_envelopes() {
    let people = People::new();
    let mut store = Store::default();
    let (first, _, message) = people.message(1, expiry(WEEK), 1);
    let (second, _, again) = people.message(1, expiry(WEEK), 2);
    assert_ne!(first, second);
    let (arrival, batch) = state::deliver(&store, &first, &message, SEALED, NOW).unwrap();
    store.apply(&batch);
    assert!(
        matches!(arrival, Arrival::New(0, ref kept, Relation::Requested) if kept.sender == ANNA && kept.body.as_slice() == b"message 1")
    );
    for (envelope, message) in [(first, &message), (second, &again), (second, &again)] {
        let (arrival, batch) = state::deliver(&store, &envelope, message, SEALED, NOW).unwrap();
        store.apply(&batch);
        assert_eq!(arrival, Arrival::Repeated);
    }
    let (_, row) = store.scan(Table::Inbox, &[], 2).unwrap().pop().unwrap();
    assert_eq!(InboxMessage::from_bytes(&row).unwrap().body.as_slice(), SEALED);
    assert_eq!(store.rows(Table::Inbox), 1);
    assert_eq!(state::fate(&store, &first).unwrap(), Some(Fate::Delivered));
    assert_eq!(state::fate(&store, &second).unwrap(), Some(Fate::Duplicate));
}

#[test]
fn lifetimes_out_of_bounds_are_refused_for_good() {
    let people = People::new();
    for (when, why) in [
        (expiry(0).saturating_sub(1_000), ArrivalRefusal::Expired),
        (expiry(31 * 24 * 3_600), ArrivalRefusal::LifetimeTooLong),
    ] {
        let mut store = Store::default();
        let (envelope, _, message) = people.message(1, when, 1);
        let (arrival, batch) = state::deliver(&store, &envelope, &message, SEALED, NOW).unwrap();
        store.apply(&batch);
        assert_eq!(arrival, Arrival::Refused(why));
        assert_eq!(store.rows(Table::Inbox), 0);
        assert_eq!(state::fate(&store, &envelope).unwrap(), Some(Fate::Refused));
    }
}

#[test]
fn the_bounds_of_a_lifetime_are_those_of_the_envelope() {
    let people = People::new();
    let month = 30 * 24 * 3_600;
    for (when, refused) in [
        (expiry(0).saturating_sub(121), Some(ArrivalRefusal::Expired)),
        (expiry(0).saturating_sub(120), None),
        (expiry(month + 120), None),
        (expiry(month + 121), Some(ArrivalRefusal::LifetimeTooLong)),
    ] {
        let store = Store::default();
        let (envelope, _, message) = people.message(1, when, 1);
        let (arrival, _) = state::deliver(&store, &envelope, &message, SEALED, NOW).unwrap();
        match refused {
            Some(why) => assert_eq!(arrival, Arrival::Refused(why)),
            None => assert!(matches!(arrival, Arrival::New(..)), "{when}"),
        }
    }
}

#[test]
fn a_clock_that_was_ahead_and_is_back_lets_no_replay_through() {
    let people = People::new();
    let mut store = Store::default();
    let day = 24 * 3_600;
    let (first, bytes, message) = people.message(1, expiry(2 * day), 1);
    let (_, batch) = state::deliver(&store, &first, &message, SEALED, NOW).unwrap();
    store.apply(&batch);
    store.apply(
        &state::refuse(
            &store,
            &EnvelopeId::from_bytes([7; 32]),
            expiry(3 * day),
            NOW.to_seconds(),
        )
        .unwrap(),
    );

    // The clock is four days ahead: all is forgotten. Then it is right again, and nothing has expired.
    store.apply(&state::forget(&store, expiry(4 * day), 100).unwrap());
    assert_eq!((store.rows(Table::Seen), store.rows(Table::Replay)), (0, 0));
    let (second, _, again) = people.message(1, expiry(2 * day), 2);
    assert_eq!(EnvelopeId::of(&bytes), first);
    for (envelope, message) in [(&first, &message), (&second, &again)] {
        assert_eq!(state::fate(&store, envelope).unwrap(), None);
        let (arrival, batch) = state::deliver(&store, envelope, message, SEALED, NOW).unwrap();
        store.apply(&batch);
        assert_eq!(arrival, Arrival::Refused(ArrivalRefusal::Expired));
        assert_eq!(state::fate(&store, envelope).unwrap(), Some(Fate::Refused));
    }
    assert_eq!(store.rows(Table::Inbox), 1);

    // What expires later was not among the forgotten. The expiry that a node states for rubbish counts for nothing.
    let (envelope, _, message) = people.message(2, expiry(2 * day + 1), 3);
    let (arrival, batch) = state::deliver(&store, &envelope, &message, SEALED, NOW).unwrap();
    store.apply(&batch);
    assert!(matches!(arrival, Arrival::New(1, ..)));

    // The mark never goes back, whatever is forgotten later.
    let (envelope, _, message) = people.message(3, expiry(WEEK), 4);
    let (_, batch) = state::deliver(&store, &envelope, &message, SEALED, NOW).unwrap();
    store.apply(&batch);
    store.apply(&state::forget(&store, expiry(WEEK + day), 100).unwrap());
    store.apply(&state::forget(&store, expiry(WEEK + 2 * day), 100).unwrap());
    let (arrival, _) = state::deliver(&store, &envelope, &message, SEALED, NOW).unwrap();
    assert_eq!(arrival, Arrival::Refused(ArrivalRefusal::Expired));
}

#[test]
fn a_sender_beyond_its_quota_waits_until_some_have_expired() {
    let people = People::new();
    let mut store = Store::default();
    let mut full = Batch::new();
    full.put(
        Table::Senders,
        ANNA.as_bytes().as_slice(),
        state::SENDER_MESSAGES_MAX.to_be_bytes(),
    );
    store.apply(&full);
    let (envelope, _, message) = people.message(1, expiry(WEEK), 1);
    let before = store.clone();
    let (arrival, batch) = state::deliver(&store, &envelope, &message, SEALED, NOW).unwrap();
    store.apply(&batch);
    assert_eq!(arrival, Arrival::Refused(ArrivalRefusal::SenderQuota));
    assert_eq!(store, before, "no mark of it stays, so that it is read again");

    let mut freed = Batch::new();
    freed.put(
        Table::Senders,
        ANNA.as_bytes().as_slice(),
        (state::SENDER_MESSAGES_MAX - 1).to_be_bytes(),
    );
    store.apply(&freed);
    let (arrival, batch) = state::deliver(&store, &envelope, &message, SEALED, NOW).unwrap();
    store.apply(&batch);
    assert!(matches!(arrival, Arrival::New(0, ..)));
    let (next, _, message) = people.message(2, expiry(WEEK), 2);
    let (arrival, _) = state::deliver(&store, &next, &message, SEALED, NOW).unwrap();
    assert_eq!(
        arrival,
        Arrival::Refused(ArrivalRefusal::SenderQuota),
        "it is full again"
    );
}

#[test]
fn what_has_expired_everywhere_is_forgotten_and_nothing_before() {
    let people = People::new();
    let mut store = Store::default();
    for id in 1..=3 {
        let (envelope, _, message) = people.message(id, expiry(u64::from(id) * 1_000), u64::from(id));
        let (_, batch) = state::deliver(&store, &envelope, &message, SEALED, NOW).unwrap();
        store.apply(&batch);
    }
    store.apply(&state::forget(&store, expiry(1_000), 100).unwrap());
    assert_eq!(
        (store.rows(Table::Seen), store.rows(Table::Replay)),
        (3, 3),
        "the clocks' skew is waited for"
    );
    store.apply(&state::forget(&store, expiry(2_500), 100).unwrap());
    assert_eq!((store.rows(Table::Seen), store.rows(Table::Replay)), (1, 1));
    assert_eq!(
        store.get(Table::Senders, ANNA.as_bytes()).unwrap(),
        Some(1_u64.to_be_bytes().to_vec())
    );
    store.apply(&state::forget(&store, expiry(10_000), 100).unwrap());
    for table in [Table::Seen, Table::Replay, Table::Senders, Table::Expiry] {
        assert_eq!(store.rows(table), 0, "{}", table.name());
    }
    assert_eq!(store.rows(Table::Inbox), 3, "the messages stay");
}

#[test]
fn positions_and_pins_only_move_forwards() {
    let mut store = Store::default();
    let node = World::new(1, 1).keys[0].verifying_key();
    let cursor = |next: u64, incarnation: u64| LogCursor {
        next,
        log: LogId {
            set_epoch: SetEpoch::ZERO,
            incarnation: Incarnation::new(incarnation),
        },
        lines: Accumulator::new(),
    };
    for (put, kept) in [
        (cursor(3, 0), cursor(3, 0)),
        (cursor(2, 0), cursor(3, 0)),
        (cursor(5, 0), cursor(5, 0)),
        (cursor(0, 1), cursor(0, 1)),
    ] {
        store.apply(&state::advance(&store, &TAG, &node, &put).unwrap());
        assert_eq!(state::cursor(&store, &TAG, &node).unwrap(), Some(kept));
    }

    let found = |height: u64| LookedUp {
        height: Height::new(height),
        time: NOW,
        state: None,
    };
    let pin = |height: u64| Pin {
        height: Height::new(height),
        time: NOW,
        suite: None,
        state: None,
    };
    let own = (BERT, DeviceId::from_bytes([9; 32]));
    for (put, kept) in [(5, 5), (4, 5), (6, 6)] {
        store.apply(&state::keep_pin(&store, &own, &ANNA, &found(put), NOW).unwrap());
        assert_eq!(state::pin(&store, &ANNA).unwrap(), Some(pin(kept)));
    }
}

#[test]
fn notes_are_bounded() {
    let mut store = Store::default();
    let node = World::new(1, 1).keys[0].verifying_key();
    for _ in 0..NOTES_MAX + 5 {
        store.apply(&state::note(&store, &node, &Fault::LogGap, NOW).unwrap());
    }
    assert_eq!(store.rows(Table::Note), usize::try_from(NOTES_MAX).unwrap());
}

#[test]
fn damaged_rows_are_errors_not_panics() {
    let mut store = Store::default();
    let mut batch = Batch::new();
    for table in [
        Table::Outbox,
        Table::Inbox,
        Table::Open,
        Table::Expiry,
        Table::Seen,
        Table::Note,
    ] {
        batch.put(table, [1], [0xff, 0xff]);
    }
    let people = People::new();
    let (envelope, _, message) = people.message(1, expiry(WEEK), 1);
    store.apply(&batch);
    assert!(state::open_messages(&store, 9).is_err());
    assert!(state::deliver(&store, &envelope, &message, SEALED, NOW).is_err());
    assert!(state::forget(&store, expiry(0), 9).is_err());
}

#[derive(Debug, Clone)]
enum Act {
    /// The copies with these numbers arrive; the process is killed before or after the batch is durable.
    Arrive {
        copy: usize,
        killed: Option<bool>,
    },
    Settle {
        killed: bool,
    },
    Forget {
        hours: u64,
    },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0_usize..8, proptest::option::of(any::<bool>())).prop_map(|(copy, killed)| Act::Arrive { copy, killed }),
        1 => any::<bool>().prop_map(|killed| Act::Settle { killed }),
        1 => (0_u64..4).prop_map(|hours| Act::Forget { hours }),
    ];
    proptest::collection::vec(act, 0..60)
}

fn cases() -> u32 {
    std::env::var("TOKENIM_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// Four messages in two envelopes each arrive in any order, any number of times, with crashes: each is in the
    /// inbox at most once, and once it ever arrived and was durable, exactly once.
    #[test]
    fn crashes_neither_lose_nor_repeat(acts in acts()) {
        let people = People::new();
        let copies: Vec<_> = (0..8_u8)
            .map(|copy| people.message(copy / 2 + 1, expiry(WEEK), u64::from(copy)))
            .collect();
        let mut store = Store::default();
        let mut told = BTreeSet::new();
        for act in acts {
            match act {
                Act::Arrive { copy, killed } => {
                    let (envelope, _, message) = &copies[copy];
                    let (arrival, batch) = state::deliver(&store, envelope, message, SEALED, NOW).unwrap();
                    if killed == Some(false) {
                        continue; // before it was durable: as if it had never arrived
                    }
                    store.apply(&batch);
                    if killed.is_none() {
                        if let Arrival::New(_, kept, _) = arrival {
                            prop_assert!(told.insert(kept.id), "told twice");
                        }
                    } else if let Arrival::New(_, kept, _) = arrival {
                        told.insert(kept.id); // durable, and listed at the next start
                    }
                }
                Act::Settle { killed } => {
                    let node = World::new(1, 1).keys[0].verifying_key();
                    let cursor = LogCursor {
                        next: told.len() as u64,
                        log: LogId { set_epoch: SetEpoch::ZERO, incarnation: Incarnation::new(0) },
                        lines: Accumulator::new(),
                    };
                    let batch = state::advance(&store, &TAG, &node, &cursor).unwrap();
                    if !killed {
                        store.apply(&batch);
                    }
                }
                Act::Forget { hours } => {
                    let batch = state::forget(&store, expiry(hours * 3_600), 100).unwrap();
                    store.apply(&batch);
                }
            }
            let kept: Vec<_> = store
                .scan(Table::Inbox, &[], 100)
                .unwrap()
                .into_iter()
                .map(|(_, value)| {
                    InboxMessage::from_bytes(&value).unwrap().id
                })
                .collect();
            let once: BTreeSet<_> = kept.iter().copied().collect();
            prop_assert_eq!(once.len(), kept.len());
            prop_assert_eq!(&once, &told);
        }
    }
}
