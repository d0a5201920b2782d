//! Every operation by every signer in every state: what is accepted, and what a refusal says.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{NETWORK, WINDOW, device, envelope, identity, name, place, root, shares};
use tokenim_identity::{
    Authorization, DeviceConsent, DeviceRecord, DeviceSecrets, IdentityState, NextRootRecord, Operation, Record,
    RecordSigner, RecoveryProof, RootRecord, SignedRecord, Standing, next_root_digest,
};
use tokenim_wire::{BoundedVec, Digest};

/// One letter for each signer: the root, the next root, recovery keys, the device that the operation is about (where it
/// is about one, else device 0), another live device, a revoked one. `+` is accepted, `-` is `NotAllowed`, the letters
/// are those of [`refusal`].
#[rustfmt::skip]
const TABLE: [(&str, [&str; 8]); 10] = [
    //           plain     guarded   root      root is   next root next root ended     ended
    //                               waits     due       waits     is due    guarded   plain
    ("add",      ["+-----", "+-----", "+-----", "+-----", "+-----", "+-----", "xxxxxx", "xxxxxx"]),
    ("revoke",   ["+--+--", "+--+--", "+--+--", "+--+--", "+--+--", "+--+--", "xxxxxx", "xxxxxx"]),
    ("rotate",   ["-+----", "-+----", "-+----", "-+----", "-+----", "-+----", "xxxxxx", "xxxxxx"]),
    ("guard",    ["++----", "++----", "++----", "++----", "o+----", "o+----", "xxxxxx", "xxxxxx"]),
    ("end",      ["+-----", "+-----", "+-----", "+-----", "o-----", "o-----", "xxxxxx", "xxxxxx"]),
    ("cancel",   ["nn----", "nn----", "++----", "++----", "o+----", "o+----", "xxxxxx", "xxxxxx"]),
    ("complete", ["nn-nnv", "nn-nnv", "dd-ddv", "++-++v", "dd-ddv", "++-++v", "xxxxxx", "xxxxxx"]),
    ("recover",  ["--r---", "--+---", "--+---", "--+---", "--+---", "--+---", "--+---", "--r---"]),
    ("link",     ["+-----", "+-----", "+-----", "+-----", "+-----", "+-----", "xxxxxx", "xxxxxx"]),
    ("unlink",   ["+-----", "+-----", "+-----", "+-----", "+-----", "+-----", "xxxxxx", "xxxxxx"]),
];

fn refusal(letter: char) -> &'static str {
    match letter {
        '-' => "NotAllowed",
        'o' => "Outranked",
        'n' => "NothingPending",
        'd' => "NotDue",
        'x' => "Deactivated",
        'v' => "DeviceRevoked",
        'r' => "NoRecovery",
        other => panic!("{other} is not in the legend"),
    }
}

const LINK: Digest = Digest::from_bytes([1; 32]);
const OTHER_LINK: Digest = Digest::from_bytes([2; 32]);

/// Of root 0, next root 1, with the live devices 0 and 1, the revoked device 2, and a link; each state with the time at
/// which the table is tried.
fn states() -> [(IdentityState, u64); 8] {
    let then =
        |state: &IdentityState, time: u64, record: SignedRecord| state.apply(&place(20 + time, time), &record).unwrap();
    let (r, n) = (root(0), root(1));
    let mut plain = identity();
    for number in [0, 1, 2] {
        let add = SignedRecord::add_device(&NETWORK, &plain, &r, &device(number), envelope(number)).unwrap();
        plain = then(&plain, 0, add);
    }
    let leave = SignedRecord::revoke_own_device(&NETWORK, &plain, &device(2).signing).unwrap();
    let plain = then(&plain, 1, leave);
    let plain = then(
        &plain,
        1,
        SignedRecord::link_account(&NETWORK, &plain, &r, LINK).unwrap(),
    );

    let recovery = Some(shares(2, 3, 0)[0].commitment().digest());
    let guard = SignedRecord::set_recovery(&NETWORK, &plain, RecordSigner::NextRoot(&n), recovery).unwrap();
    let guarded = then(&plain, 1, guard);
    let root_waits = SignedRecord::deactivate(&NETWORK, &guarded, &r).unwrap();
    let root_waits = then(&guarded, 2, root_waits);
    let next_waits = SignedRecord::rotate_root(&NETWORK, &guarded, &n, &root(2).verifying_key()).unwrap();
    let next_waits = then(&guarded, 2, next_waits);
    let end = |state: &IdentityState| {
        let state = then(state, 2, SignedRecord::deactivate(&NETWORK, state, &r).unwrap());
        let complete = SignedRecord::complete(&NETWORK, &state, RecordSigner::Root(&r)).unwrap();
        then(&state, 2 + WINDOW, complete)
    };
    let (due, early) = (2 + WINDOW, 1 + WINDOW);
    [
        (plain.clone(), 3),
        (guarded.clone(), 3),
        (root_waits.clone(), early),
        (root_waits, due),
        (next_waits.clone(), early),
        (next_waits, due),
        (end(&guarded), due),
        (end(&plain), due),
    ]
}

fn operation(what: &str, state: &IdentityState) -> Operation {
    let recovery = Some(shares(1, 1, 9)[0].commitment().digest());
    match what {
        "add" => {
            let new = device(3);
            let consent = DeviceConsent {
                identity: state.id,
                seq: state.seq + 1,
                keys: new.keys(envelope(3)),
            };
            let signature = new.signing.sign(&NETWORK, &consent).unwrap();
            Operation::AddDevice {
                keys: consent.keys,
                consent: signature,
            }
        }
        "revoke" => Operation::RevokeDevice {
            device: device(0).device_id(),
        },
        "rotate" => Operation::RotateRoot {
            next_root: next_root_digest(&root(5).verifying_key()),
        },
        "guard" => Operation::SetRecovery { recovery },
        "end" => Operation::Deactivate,
        "cancel" => Operation::Cancel,
        "complete" => Operation::Complete,
        "recover" => Operation::Recover {
            root: root(6).verifying_key(),
            next_root: next_root_digest(&root(7).verifying_key()),
            recovery,
            keep: BoundedVec::try_from_iter(state.deactivated().is_none().then(|| device(1).device_id())).unwrap(),
        },
        "link" => Operation::LinkAccount { commitment: OTHER_LINK },
        "unlink" => Operation::UnlinkAccount { commitment: LINK },
        other => panic!("{other} is no operation"),
    }
}

/// Good signatures of each signer over a record.
fn authorizations(record: &Record) -> [Authorization; 6] {
    let next = root(1);
    let by_device = |device: DeviceSecrets| {
        Authorization::Device(
            device.device_id(),
            device.signing.sign(&NETWORK, &DeviceRecord(record)).unwrap(),
        )
    };
    // A recovery key signs no other record by itself: only a proof made by hand shows what a signature would do.
    let recovering = Record {
        op: operation("recover", &identity()),
        ..record.clone()
    };
    let signed = match record.op {
        Operation::Recover { .. } => record,
        _ => &recovering,
    };
    [
        Authorization::Root(root(0).sign(&NETWORK, &RootRecord(record)).unwrap()),
        Authorization::NextRoot {
            key: next.verifying_key(),
            signature: next.sign(&NETWORK, &NextRootRecord(record)).unwrap(),
        },
        Authorization::Recovery(RecoveryProof::sign(signed, &shares(2, 3, 0)[1..]).unwrap()),
        by_device(device(0)),
        by_device(device(1)),
        by_device(device(2)),
    ]
}

#[test]
fn every_operation_by_every_signer_in_every_state() {
    let mut tried = 0;
    for (column, (state, time)) in states().into_iter().enumerate() {
        for (what, row) in TABLE {
            let record = Record {
                network: NETWORK,
                identity: state.id,
                seq: state.seq + 1,
                prev: state.head,
                op: operation(what, &state),
            };
            for (signer, letter) in authorizations(&record).into_iter().zip(row[column].chars()) {
                let signed = SignedRecord {
                    record: record.clone(),
                    authorization: signer,
                };
                let outcome = state.apply(&place(5_000, time), &signed);
                let context = format!("{what}, state {column}, {:?}", signed.authorization);
                match (outcome, letter) {
                    (Ok(next), '+') => check_effect(what, column, &signed.authorization, &state, &next),
                    (Err(error), letter) if letter != '+' => assert_eq!(name(&error), refusal(letter), "{context}"),
                    (outcome, _) => panic!("{context}: expected {letter}, is {:?}", outcome.err()),
                }
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 8 * 10 * 6);
}

/// What an accepted operation changes, and that it changes nothing else.
fn check_effect(what: &str, column: usize, by: &Authorization, before: &IdentityState, after: &IdentityState) {
    let next_root = matches!(by, Authorization::NextRoot { .. });
    let mut expected = IdentityState {
        seq: before.seq + 1,
        head: after.head,
        log: after.log,
        spent: before.spent + 1,
        ..before.clone()
    };
    let waits = |due: bool| (column == 2 || column == 4) || due && (column == 3 || column == 5);
    match what {
        "add" => {
            assert_eq!(after.devices.len(), before.devices.len() + 1);
            expected.devices = after.devices.clone();
            assert_eq!(after.devices[..before.devices.len()], before.devices[..]);
            let added = after.device(&device(3).device_id()).unwrap();
            assert_eq!((added.added.get(), added.revoked), (5_000, None));
        }
        "revoke" => expected.devices.as_mut_slice()[0].revoked = Some(5_000.into()),
        "link" => expected.links.push(OTHER_LINK).unwrap(),
        "unlink" => expected.links = BoundedVec::empty(),
        "cancel" => {
            assert!(waits(true));
            expected.standing = Standing::Active;
        }
        "guard" if next_root && column == 0 => expected.recovery = Some(shares(1, 1, 9)[0].commitment().digest()),
        "rotate" | "guard" | "end" => {
            let pending = after.pending().unwrap();
            let time = states()[column].1;
            assert_eq!((pending.submitted.get(), pending.due.get()), (5_000, time + WINDOW));
            assert_eq!(pending.rank == tokenim_identity::Rank::NextRoot, next_root);
            expected.standing = after.standing;
        }
        "complete" if column == 3 => {
            expected.standing = Standing::Deactivated { at: 5_000.into() };
            for entry in &mut expected.devices.as_mut_slice()[..2] {
                entry.revoked = Some(5_000.into());
            }
        }
        "complete" => {
            expected.standing = Standing::Active;
            expected.root = root(1).verifying_key();
            expected.next_root = next_root_digest(&root(2).verifying_key());
            expected.spent = 0;
        }
        "recover" => {
            expected.standing = Standing::Active;
            expected.root = root(6).verifying_key();
            expected.next_root = next_root_digest(&root(7).verifying_key());
            expected.recovery = Some(shares(1, 1, 9)[0].commitment().digest());
            expected.spent = 0;
            if column != 6 {
                expected.devices.as_mut_slice()[0].revoked = Some(5_000.into());
            }
        }
        other => panic!("{other} is no operation"),
    }
    assert_eq!(*after, expected, "{what}, state {column}");
    assert_ne!((after.head, after.log), (before.head, before.log));
}
