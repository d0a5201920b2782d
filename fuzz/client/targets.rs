//! Bodies of the fuzz targets, shared with the test that replays the corpus.

use std::convert::Infallible;

use tokenim_client::step::contact::{self, Contact, Notice};
use tokenim_client::step::contact_key::{self, OwnContactKey};
use tokenim_client::step::name::{self, ContactName};
use tokenim_client::step::seen::{self, SeenHeader};
use tokenim_client::step::state::{self, StateError};
use tokenim_client::step::{
    Fate, InboxMessage, LogCursor, LookedUp, NodeNote, OutboxMessage, Pin, Registration, Row, Table, Tip, View,
};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId, NodeKey};
use tokenim_mailbox::MailboxTag;
use tokenim_wire::{EnvelopeId, Height, Object, SetEpoch, UnixMillis, UnixSeconds};

/// A store with one row.
struct OneRow<'a> {
    table: Table,
    key: &'a [u8],
    value: &'a [u8],
}

impl OneRow<'_> {
    fn row(&self, wanted: bool) -> Vec<Row> {
        wanted
            .then(|| (self.key.to_vec(), self.value.to_vec()))
            .into_iter()
            .collect()
    }
}

impl View for OneRow<'_> {
    type Error = Infallible;

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok((table == self.table && key == self.key).then(|| self.value.to_vec()))
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, Infallible> {
        Ok(self.row(table == self.table && self.key >= from && limit > 0))
    }

    fn scan_back(&self, table: Table, below: &[u8], limit: usize) -> Result<Vec<Row>, Infallible> {
        Ok(self.row(table == self.table && self.key < below && limit > 0))
    }

    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>, Infallible> {
        Ok((table == self.table).then(|| self.key.to_vec()))
    }
}

/// Reads whatever the steps read of this table.
fn read(view: &OneRow<'_>) -> Result<(), StateError<Infallible>> {
    let key = view.key;
    let id = <[u8; 32]>::try_from(key).unwrap_or_default();
    match view.table {
        Table::Outbox => drop(state::outbox_message(
            view,
            &MessageId::try_from(key).unwrap_or(MessageId::from_bytes([0; 16])),
        )?),
        Table::Open => drop(state::open_messages(view, 10)?),
        Table::Seen => drop(state::fate(view, &EnvelopeId::from_bytes(id))?),
        Table::Cursor => {
            if let Some((tag, node)) = key.split_first_chunk::<32>()
                && let Ok(node) = NodeKey::try_from(node)
            {
                state::cursor(view, &MailboxTag::from_bytes(*tag), &node)?;
            }
        }
        Table::Pin => drop(state::pin(view, &IdentityId::from_bytes(id))?),
        Table::Expiry | Table::Replay | Table::Senders => drop(state::forget(view, UnixSeconds::new(u64::MAX), 10)?),
        Table::Contact => drop(contact::contacts(view, None, 10)?),
        Table::Notice => drop(contact::notices(view, 0, 10)?),
        Table::ContactKey | Table::Meta => {
            contact_key::own(view)?;
            contact_key::packages(view)?;
            contact_key::postage(view)?;
            contact_key::due(view, SetEpoch::ZERO, UnixSeconds::new(1_800_000_000))?;
            contact_key::forget(view, UnixSeconds::new(u64::MAX))?;
            seen::all(view)?;
            let own = (IdentityId::from_bytes([1; 32]), DeviceId::from_bytes([2; 32]));
            let found = LookedUp {
                state: None,
                height: Height::ZERO,
                time: UnixMillis::new(0),
            };
            state::keep_pin(view, &own, &IdentityId::from_bytes([3; 32]), &found, found.time)?;
            for (_, kept) in name::all(view)? {
                // What was kept is still a name, and the same one.
                assert_eq!(ContactName::new(kept.as_str()).as_ref(), Ok(&kept));
            }
        }
        _ => {}
    }
    Ok(())
}

/// What can be read is written as it was.
fn same<T: Object>(value: &[u8]) {
    if let Ok(read) = T::from_bytes(value) {
        assert!(value.len() <= T::BYTES_MAX);
        assert_eq!(read.to_bytes().expect("it was read"), value);
    }
}

/// A row: the number of its table (1), the length of its key (1), the key, the value. It is read, or said to be damaged.
pub fn rows(data: &[u8]) {
    let [number, length, rest @ ..] = data else { return };
    let Some(table) = Table::ALL.get(usize::from(*number)).copied() else {
        return;
    };
    let Some((key, value)) = rest.split_at_checked(usize::from(*length)) else {
        return;
    };
    match read(&OneRow { table, key, value }) {
        Ok(()) => {}
        Err(StateError::Damaged(found)) => assert_eq!(found, table),
        Err(error) => panic!("{error}"),
    }
    match table {
        Table::Outbox => same::<OutboxMessage>(value),
        Table::Inbox => same::<InboxMessage>(value),
        Table::Seen => same::<Fate>(value),
        Table::Cursor => same::<LogCursor>(value),
        Table::Pin => same::<Pin>(value),
        Table::Note => same::<NodeNote>(value),
        Table::Contact => same::<Contact>(value),
        Table::Notice => same::<Notice>(value),
        Table::ContactKey => same::<OwnContactKey>(value),
        Table::Meta if key == b"registration" => same::<Registration>(value),
        Table::Meta if key == b"tip" => same::<Tip>(value),
        Table::Meta => same::<SeenHeader>(value),
        _ => {}
    }
}
