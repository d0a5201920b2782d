//! Replays the committed corpus of every fuzz target.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../../ledger/tests/common/mod.rs"]
mod common;
#[path = "../../../fuzz/replay.rs"]
mod replay;
#[path = "../../../fuzz/client/targets.rs"]
mod targets;

use common::{At, device, person, root_key};
use replay::write;
use tokenim_client::step::contact::{Contact, KeyChange, Notice, Relation, Verified};
use tokenim_client::step::contact_key::{LIFETIME_SECONDS, OwnContactKey};
use tokenim_client::step::seen::SeenHeader;
use tokenim_client::step::{DeviceDelivery, Fate, InboxMessage, LogCursor, NodeNote, OutboxMessage, Pin, Table, Tip};
use tokenim_envelope::MessageId;
use tokenim_identity::{EnvelopeKey, Signature, SuiteId};
use tokenim_mailbox::mmr::Accumulator;
use tokenim_mailbox::{ContactKeys, Descriptor, Incarnation, LogId, PostageBits, SignedContactKeys};
use tokenim_wire::{Digest, EnvelopeId, Height, NetworkId, Object, SetEpoch, UnixMillis, UnixSeconds};

replay::tests!(rows);

const NETWORK: NetworkId = NetworkId::from_bytes([3; 32]);
const TIME: UnixMillis = UnixMillis::new(1_700_000_000_000);

fn row(name: &str, table: Table, key: &[u8], value: &[u8]) {
    let number = Table::ALL.iter().position(|known| *known == table).unwrap();
    let head = [u8::try_from(number).unwrap(), u8::try_from(key.len()).unwrap()];
    let data = [&head, key, value].concat();
    write("rows", name, &data);
    write("rows", &format!("{name}_cut"), &data[..data.len() - 1]);
    write("rows", &format!("{name}_long"), &[data.as_slice(), &[0]].concat());
}

/// Writes the corpus: `cargo test -p tokenim-client --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    let mut anna = person(1);
    anna.add_device(&NETWORK, 1, At::height(5));
    let id = anna.state.id;
    let key = id.as_bytes();
    let digest = Digest::from_bytes([4; 32]);
    let (height, number) = (Height::new(9), 7_u64.to_be_bytes());

    for (name, state) in [("pin", Some(anna.state.clone())), ("pin_absent", None)] {
        let suite = state.as_ref().map(|_| SuiteId::X_WING);
        let pin = Pin {
            height,
            time: TIME,
            suite,
            state,
        };
        row(name, Table::Pin, key, &pin.to_bytes().unwrap());
    }
    let root = anna.state.root;
    let verified = Verified {
        theirs: root,
        ours: root_key(2, 0).verifying_key(),
        time: TIME,
    };
    for (name, relation, verified) in [
        ("contact_asks", Relation::Requested, None),
        ("contact_verified", Relation::Allowed, Some(verified)),
        ("contact_blocked", Relation::Blocked, None),
    ] {
        let contact = Contact {
            verified,
            ..Contact::new(relation, TIME)
        };
        row(name, Table::Contact, key, &contact.to_bytes().unwrap());
    }
    let device_id = device(1).device_id();
    for (count, change) in [
        KeyChange::DeviceAdded {
            device: device_id,
            at: height,
        },
        KeyChange::DeviceRevoked {
            device: device_id,
            at: height,
        },
        KeyChange::RootChanged { verified: true },
        KeyChange::Pending { due: TIME },
        KeyChange::RecoveryChanged,
        KeyChange::Deactivated { at: height },
        KeyChange::OtherView {
            height,
            theirs: digest,
            ours: Digest::from_bytes([5; 32]),
        },
        KeyChange::UnprovedView { height, theirs: digest },
    ]
    .into_iter()
    .enumerate()
    {
        let notice = Notice {
            identity: id,
            time: TIME,
            change,
        };
        row(
            &format!("notice_{count}"),
            Table::Notice,
            &number,
            &notice.to_bytes().unwrap(),
        );
    }
    let created = TIME.to_seconds();
    let own = OwnContactKey {
        keys: SignedContactKeys {
            keys: ContactKeys {
                identity: id,
                device: device_id,
                envelope: EnvelopeKey::x25519([7; 32]),
                created,
                expires: created.saturating_add(LIFETIME_SECONDS),
                number: 7,
                postage: PostageBits::DEFAULT,
            },
            signature: Signature::from_bytes([0; 64]),
        },
        secret: b"sealed".as_slice().try_into().unwrap(),
        published: Some((created, SetEpoch::new(2))),
    };
    row("contact_key", Table::ContactKey, &number, &own.to_bytes().unwrap());
    row("packages", Table::Meta, b"key packages", &[1, 7, 0]);
    row("postage", Table::Meta, b"postage", &[20]);
    let seen = SeenHeader {
        height,
        header: digest,
        since: TIME,
    };
    let seen_key = [b"seen header ".as_slice(), key].concat();
    row("seen_header", Table::Meta, &seen_key, &seen.to_bytes().unwrap());
    let name_key = [b"contact name ".as_slice(), key].concat();
    let pin_key = [b"stranger pin ".as_slice(), &number].concat();
    row("stranger_pin", Table::Meta, &pin_key, key);
    row("stranger_pin_unnumbered", Table::Meta, &pin_key[..20], key);
    row("name", Table::Meta, &name_key, "Ärpád O’Neill".as_bytes());
    row("name_hiding", Table::Meta, &name_key, "Anna\u{202e}".as_bytes());
    row("name_spaced", Table::Meta, &name_key, b" Anna  B");
    let tip = Tip {
        height,
        time: TIME,
        header: digest,
    };
    row("tip", Table::Meta, b"tip", &tip.to_bytes().unwrap());

    let envelope = EnvelopeId::from_bytes([6; 32]);
    row(
        "fate",
        Table::Seen,
        envelope.as_bytes(),
        &Fate::Delivered.to_bytes().unwrap(),
    );
    let inbox = InboxMessage {
        id: MessageId::from_bytes([2; 16]),
        sender: id,
        device: device_id,
        envelope,
        received: TIME,
        kind: 1,
        body: b"sealed".as_slice().try_into().unwrap(),
    };
    row("inbox", Table::Inbox, &number, &inbox.to_bytes().unwrap());
    let keys = &anna.state.devices.iter().next().unwrap().keys;
    let delivery = DeviceDelivery {
        device: device_id,
        mailbox: Descriptor::inbox(keys),
        postage: PostageBits::DEFAULT,
        contact_key: Some(7),
        envelope,
        receipt: None,
        handed: false,
        proved: false,
        dropped: false,
    };
    let outbox = OutboxMessage {
        id: MessageId::from_bytes([2; 16]),
        to: id,
        created: TIME,
        expiry: UnixSeconds::new(1_701_000_000),
        kind: 1,
        sealed_body: b"sealed".as_slice().try_into().unwrap(),
        devices: vec![delivery].try_into().unwrap(),
    };
    row(
        "outbox",
        Table::Outbox,
        outbox.id.as_bytes(),
        &outbox.to_bytes().unwrap(),
    );
    let cursor = LogCursor {
        next: 3,
        log: LogId {
            set_epoch: SetEpoch::new(1),
            incarnation: Incarnation::new(0),
        },
        lines: Accumulator::new(),
    };
    let node = common::node_key(1).verifying_key();
    row(
        "cursor",
        Table::Cursor,
        &[[8; 32], node.to_bytes()].concat(),
        &cursor.to_bytes().unwrap(),
    );
    let note = NodeNote {
        node,
        time: TIME,
        what: b"what".as_slice().try_into().unwrap(),
    };
    row("note", Table::Note, &number, &note.to_bytes().unwrap());
    let expiry = [&1_u64.to_be_bytes(), [1].as_slice(), key, &[9; 16]].concat();
    row("expiry", Table::Expiry, &expiry, &[]);
    row("open", Table::Open, &[2; 16], &[]);
}
