//! Records: what a change of a single bit does, where one holds, limits, and histories.
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

use common::{NETWORK, WINDOW, device, envelope, identity, place, root, shares};
use tokenim_identity::{
    Authorization, DeviceConsent, DeviceEntry, DeviceSigningKey, EnvelopeKey, Genesis, HistoryEntry, HistoryError,
    IdentityId, IdentityState, Operation, Pending, PendingOperation, Place, Rank, Record, RecordError, RecordSigner,
    RecoveryProof, Signature, SignedRecord, Standing, SuiteId, replay,
};
use tokenim_wire::{BoundedVec, Digest, Height, NetworkId, Object, UnixMillis, limits};

/// A state with two devices, recovery keys, a link and something that is due, and a record of each kind that can follow.
fn one_of_each() -> (IdentityState, Vec<SignedRecord>) {
    let (r, n) = (root(0), root(1));
    let mut state = identity();
    for number in [0, 1] {
        let add = SignedRecord::add_device(&NETWORK, &state, &r, &device(number), envelope(number)).unwrap();
        state = state.apply(&place(5, 5), &add).unwrap();
    }
    let keys = shares(2, 3, 0);
    let (next, link) = (RecordSigner::NextRoot(&n), Digest::from_bytes([1; 32]));
    let guard = SignedRecord::set_recovery(&NETWORK, &state, next, Some(keys[0].commitment().digest())).unwrap();
    let state = state.apply(&place(5, 5), &guard).unwrap();
    let state = state
        .apply(
            &place(5, 5),
            &SignedRecord::link_account(&NETWORK, &state, &r, link).unwrap(),
        )
        .unwrap();
    let state = state
        .apply(&place(5, 5), &SignedRecord::deactivate(&NETWORK, &state, &r).unwrap())
        .unwrap();
    let (s, own) = (&state, device(0).signing);
    let after = root(2).verifying_key();
    let recover = Record::recover(&NETWORK, s, after, &after, None, &[device(1).device_id()]).unwrap();
    let proof = RecoveryProof::sign(&recover, &keys).unwrap();
    let records = vec![
        SignedRecord::add_device(&NETWORK, s, &r, &device(2), envelope(2)).unwrap(),
        SignedRecord::revoke_device(&NETWORK, s, &r, device(0).device_id()).unwrap(),
        SignedRecord::revoke_own_device(&NETWORK, s, &own).unwrap(),
        SignedRecord::rotate_root(&NETWORK, s, &n, &after).unwrap(),
        SignedRecord::set_recovery(&NETWORK, s, RecordSigner::Root(&r), None).unwrap(),
        SignedRecord::set_recovery(&NETWORK, s, next, None).unwrap(),
        SignedRecord::deactivate(&NETWORK, s, &r).unwrap(),
        SignedRecord::cancel(&NETWORK, s, RecordSigner::Root(&r)).unwrap(),
        SignedRecord::cancel(&NETWORK, s, next).unwrap(),
        SignedRecord::complete(&NETWORK, s, RecordSigner::Root(&r)).unwrap(),
        SignedRecord::complete(&NETWORK, s, next).unwrap(),
        SignedRecord::complete(&NETWORK, s, RecordSigner::Device(&own)).unwrap(),
        SignedRecord::recover(s, recover, proof).unwrap(),
        SignedRecord::link_account(&NETWORK, s, &r, Digest::from_bytes([2; 32])).unwrap(),
        SignedRecord::unlink_account(&NETWORK, s, &r, link).unwrap(),
    ];
    (state, records)
}

/// A place at which each of the records above is accepted.
fn here() -> Place<'static> {
    place(6, 5 + WINDOW)
}

#[test]
fn a_record_with_any_bit_changed_is_refused() {
    let (state, records) = one_of_each();
    for record in records {
        let bytes = record.to_bytes().unwrap();
        assert!(state.apply(&here(), &record).is_ok());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let accepted = SignedRecord::from_bytes(&changed).is_ok_and(|r| state.apply(&here(), &r).is_ok());
            assert!(!accepted, "{:?}, bit {bit}", record.record.op);
        }
    }
}

#[test]
fn a_record_cut_anywhere_is_refused() {
    for record in one_of_each().1 {
        let bytes = record.to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert!(SignedRecord::from_bytes(&bytes[..length]).is_err(), "cut to {length}");
        }
    }
}

#[test]
fn a_record_holds_in_its_network_only() {
    let (state, records) = one_of_each();
    let other = NetworkId::from_bytes([8; 32]);
    let there = Place {
        network: &other,
        ..here()
    };
    for mut record in records {
        assert_eq!(state.apply(&there, &record), Err(RecordError::WrongNetwork));
        // Naming the other network is not enough: the signature names it too.
        record.record.network = other;
        let refused = state.apply(&there, &record).unwrap_err();
        assert!(matches!(refused, RecordError::Signature | RecordError::Consent));
    }
}

/// A signature of one purpose under another: root and next root are the same key here, and still not each other.
#[test]
fn a_signer_cannot_be_exchanged() {
    let key = root(3);
    let state = IdentityState::new(&Genesis::new(key.verifying_key(), &key.verifying_key()));
    let pending = SignedRecord::rotate_root(&NETWORK, &state, &key, &root(4).verifying_key()).unwrap();
    let state = state.apply(&place(1, 1), &pending).unwrap();
    let by_root = SignedRecord::complete(&NETWORK, &state, RecordSigner::Root(&key)).unwrap();
    let by_next = SignedRecord::complete(&NETWORK, &state, RecordSigner::NextRoot(&key)).unwrap();
    let (Authorization::Root(as_root), Authorization::NextRoot { signature: as_next, .. }) =
        (by_root.authorization, by_next.authorization)
    else {
        panic!()
    };
    let exchanged = [
        Authorization::Root(as_next),
        Authorization::NextRoot {
            key: key.verifying_key(),
            signature: as_root,
        },
    ];
    for authorization in exchanged {
        let record = SignedRecord {
            record: by_root.record.clone(),
            authorization,
        };
        assert_eq!(state.apply(&here(), &record), Err(RecordError::Signature));
    }
}

#[test]
fn a_device_elsewhere_agrees_to_one_identity_place_and_set_of_keys() {
    let (state, r) = (identity(), root(0));
    let device = device(1);
    let keys = device.keys(envelope(1));
    let consent = |change: &dyn Fn(&mut DeviceConsent), network: &NetworkId, signer: &DeviceSigningKey| {
        let mut consent = DeviceConsent {
            identity: state.id,
            seq: state.next_seq().unwrap(),
            keys: keys.clone(),
        };
        change(&mut consent);
        signer.sign(network, &consent).unwrap()
    };
    let add = |consent| SignedRecord::add_consenting_device(&NETWORK, &state, &r, keys.clone(), consent);
    // The same record as if the secrets were at hand.
    assert_eq!(
        add(consent(&|_| (), &NETWORK, &device.signing)),
        SignedRecord::add_device(&NETWORK, &state, &r, &device, envelope(1))
    );
    let other = NetworkId::from_bytes([8; 32]);
    let refused = [
        consent(&|_| (), &other, &device.signing),
        consent(&|_| (), &NETWORK, &common::device(2).signing),
        consent(
            &|c| c.identity = IdentityId::from_bytes([1; 32]),
            &NETWORK,
            &device.signing,
        ),
        consent(&|c| c.seq += 1, &NETWORK, &device.signing),
        consent(&|c| c.keys.envelope = envelope(2), &NETWORK, &device.signing),
        consent(&|c| c.keys.inbox_nonce[0] ^= 1, &NETWORK, &device.signing),
    ];
    for signature in refused {
        assert_eq!(add(signature), Err(RecordError::Consent));
    }
    let good = consent(&|_| (), &NETWORK, &device.signing);
    let by_another_root = SignedRecord::add_consenting_device(&NETWORK, &state, &root(1), keys.clone(), good);
    assert_eq!(by_another_root, Err(RecordError::Signature));
}

#[test]
fn a_builder_makes_only_what_would_be_accepted() {
    let state = identity();
    let (r, n) = (root(0), root(1));
    let refused = SignedRecord::add_device(&NETWORK, &state, &n, &device(0), envelope(0));
    assert_eq!(refused, Err(RecordError::Signature));
    let refused = SignedRecord::revoke_own_device(&NETWORK, &state, &device(0).signing);
    assert_eq!(refused, Err(RecordError::UnknownDevice));
    let refused = SignedRecord::rotate_root(&NETWORK, &state, &r, &r.verifying_key());
    assert_eq!(refused, Err(RecordError::WrongNextRoot));
    let refused = SignedRecord::cancel(&NETWORK, &state, RecordSigner::Root(&r));
    assert_eq!(refused, Err(RecordError::NothingPending));
    let refused = SignedRecord::complete(&NETWORK, &state, RecordSigner::Device(&device(0).signing));
    assert_eq!(refused, Err(RecordError::UnknownDevice));
    let refused = SignedRecord::set_recovery(&NETWORK, &state, RecordSigner::Device(&device(0).signing), None);
    assert_eq!(refused, Err(RecordError::NotAllowed));
    let record = Record::recover(&NETWORK, &state, n.verifying_key(), &n.verifying_key(), None, &[]).unwrap();
    let proof = RecoveryProof::sign(&record, &shares(1, 1, 0)).unwrap();
    assert_eq!(
        SignedRecord::recover(&state, record, proof),
        Err(RecordError::NoRecovery)
    );
}

/// The largest state and the largest records fit into their limits.
#[test]
fn the_limits_hold_what_they_must() {
    let keys = device(0).keys(EnvelopeKey::new(SuiteId::X_WING, &[4; 1216]).unwrap());
    let entry = DeviceEntry {
        keys,
        added: Height::MAX,
        revoked: Some(Height::MAX),
    };
    let root = root(0).verifying_key();
    let digest = Digest::from_bytes([255; 32]);
    let most = Standing::Pending(Pending {
        op: PendingOperation::RotateRoot {
            root,
            next_root: digest,
        },
        rank: Rank::NextRoot,
        submitted: Height::MAX,
        due: UnixMillis::MAX,
    });
    let full = IdentityState {
        seq: u64::MAX,
        spent: u64::MAX,
        recovery: Some(digest),
        standing: most,
        links: BoundedVec::try_from(vec![digest; limits::LINKS_PER_IDENTITY_MAX]).unwrap(),
        devices: BoundedVec::try_from(vec![entry.clone(); limits::DEVICES_PER_IDENTITY_MAX]).unwrap(),
        ..identity()
    };
    assert!(full.to_bytes().unwrap().len() <= limits::IDENTITY_STATE_BYTES_MAX);

    let add = Operation::AddDevice {
        keys: entry.keys,
        consent: Signature::from_bytes([255; 64]),
    };
    let recover = Operation::Recover {
        root,
        next_root: digest,
        recovery: Some(digest),
        keep: BoundedVec::try_from(vec![device(0).device_id(); limits::DEVICES_PER_IDENTITY_MAX]).unwrap(),
    };
    let sixteen = shares(16, 16, 0);
    let record = |op| Record {
        network: NETWORK,
        identity: full.id,
        seq: u64::MAX,
        prev: digest,
        op,
    };
    let proof = RecoveryProof::sign(&record(recover.clone()), &sixteen).unwrap();
    for op in [add, recover] {
        let longest = SignedRecord {
            record: record(op),
            authorization: Authorization::Recovery(proof.clone()),
        };
        let entry = HistoryEntry {
            record: longest.clone(),
            height: Height::MAX,
            time: UnixMillis::MAX,
        };
        assert!(longest.to_bytes().is_ok() && entry.to_bytes().is_ok());
    }
    assert!(sixteen.iter().all(|share| share.to_text().len() <= 920));
}

/// A full list has room for a new device as long as one of the old ones is revoked.
#[test]
fn the_device_that_was_revoked_first_makes_place() {
    let mut state = identity();
    let entry = |number: u8, added: u64, revoked: Option<u64>| DeviceEntry {
        keys: device(number).keys(envelope(number)),
        added: added.into(),
        revoked: revoked.map(Height::new),
    };
    let all = (0..64).map(|number| match number {
        9 => entry(9, 1, Some(40)),
        20 => entry(20, 1, Some(30)),
        21 => entry(21, 1, Some(30)),
        _ => entry(number, 1, None),
    });
    state.devices = BoundedVec::try_from_iter(all).unwrap();
    for (new, replaced) in [(100, 20), (101, 21), (102, 9)] {
        let before = state.clone();
        let add = SignedRecord::add_device(&NETWORK, &state, &root(0), &device(new), envelope(new)).unwrap();
        state = state.apply(&place(50, 50), &add).unwrap();
        let mut expected: Vec<DeviceEntry> = before.devices.into_inner();
        expected.retain(|entry| entry.keys.device_id() != device(replaced).device_id());
        expected.push(entry(new, 50, None));
        assert_eq!(state.devices.as_slice(), expected);
    }
    let refused = SignedRecord::add_device(&NETWORK, &state, &root(0), &device(103), envelope(103));
    assert_eq!(refused, Err(RecordError::DevicesFull));
}

#[test]
fn a_history_is_followed_from_its_first_record_on() {
    let genesis = Genesis::new(root(0).verifying_key(), &root(1).verifying_key());
    let mut state = IdentityState::new(&genesis);
    let mut history = Vec::new();
    for number in 0..4 {
        let record = SignedRecord::add_device(&NETWORK, &state, &root(0), &device(number), envelope(number)).unwrap();
        let (height, time) = (10 + u64::from(number), 100 + u64::from(number));
        state = state.apply(&place(height, time), &record).unwrap();
        history.push(HistoryEntry {
            record,
            height: height.into(),
            time: time.into(),
        });
    }
    let follow = |history: Vec<HistoryEntry>| replay(&NETWORK, WINDOW, &genesis, history);
    assert_eq!(follow(history.clone()), Ok(state.clone()));
    assert_eq!(follow(Vec::new()), Ok(IdentityState::new(&genesis)));
    // Without its end it is another state, and says so by `seq`; without a part before, it breaks off.
    assert_eq!(follow(history[..3].to_vec()).unwrap().seq, 3);
    let gap = [&history[..1], &history[2..]].concat();
    let expected = HistoryError {
        at: 2,
        why: RecordError::WrongSequence { expected: 2, actual: 3 },
    };
    assert_eq!(follow(gap), Err(expected));
    // A height or time that is a lie comes to another state, which no proof shows, or goes back.
    for change in [
        |entry: &mut HistoryEntry| entry.height = entry.height.next().unwrap(),
        |entry: &mut HistoryEntry| entry.time = entry.time.next().unwrap(),
    ] {
        let mut changed = history.clone();
        change(&mut changed[1]);
        let other = follow(changed).unwrap();
        assert!(other.log != state.log && other.head == state.head);
    }
    for change in [
        |entry: &mut HistoryEntry| entry.height = Height::new(10),
        |entry: &mut HistoryEntry| entry.time = UnixMillis::new(100),
    ] {
        let mut changed = history.clone();
        change(&mut changed[2]);
        let expected = HistoryError {
            at: 3,
            why: RecordError::HeightWentBack,
        };
        assert_eq!(follow(changed), Err(expected));
    }
    // Another window, another genesis.
    let other = Genesis::new(root(0).verifying_key(), &root(2).verifying_key());
    assert_eq!(
        replay(&NETWORK, WINDOW, &other, history).unwrap_err().why,
        RecordError::WrongIdentity
    );
}
