//! Chains of records against a model, and what a change of a single bit does.
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

use common::{NETWORK, device, envelope, person};
use proptest::prelude::*;
use tokenim_identity::{DeviceEntry, DeviceKeys, IdentityState, Operation, RecordError, RecordSigner, SignedRecord};
use tokenim_wire::{BoundedVec, Digest, Height, NetworkId, Object, limits};

/// How many devices the chains below play with.
const DEVICES: u8 = 4;

/// One attempt to continue a chain.
#[derive(Clone, Copy, Debug)]
enum Attempt {
    RootAdds(u8),
    RootRevokes(u8),
    RevokesItself(u8),
    /// The record of the step before once more.
    Repeats,
}

fn attempts() -> impl Strategy<Value = Vec<(Attempt, u64)>> {
    let attempt = prop_oneof![
        3 => (0..DEVICES).prop_map(Attempt::RootAdds),
        2 => (0..DEVICES).prop_map(Attempt::RootRevokes),
        2 => (0..DEVICES).prop_map(Attempt::RevokesItself),
        1 => Just(Attempt::Repeats),
    ];
    prop::collection::vec((attempt, 0_u64..3), 1..14)
}

/// What the model knows of a device.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Never,
    Since(u64),
    Between(u64, u64),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("TOKENIM_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48)
    ))]

    #[test]
    fn chains_do_what_the_model_does(attempts in attempts()) {
        let (phrase, genesis) = person();
        let root = phrase.root_key(0);
        let mut state = genesis.clone();
        let mut model = [Known::Never; DEVICES as usize];
        let mut accepted: Vec<(SignedRecord, Height)> = Vec::new();
        let mut height = 0;
        for (attempt, later) in attempts {
            height += later;
            let at = Height::new(height);
            let built = match attempt {
                Attempt::RootAdds(n) => SignedRecord::add_device(&NETWORK, &state, &root, &device(n), envelope(n)),
                Attempt::RootRevokes(n) => {
                    SignedRecord::revoke_device(&NETWORK, &state, &root, device(n).device_id())
                }
                Attempt::RevokesItself(n) => SignedRecord::revoke_own_device(&NETWORK, &state, &device(n).signing),
                Attempt::Repeats => match accepted.last() {
                    None => continue,
                    Some((record, _)) => Ok(record.clone()),
                },
            };
            let expected = match attempt {
                Attempt::RootAdds(n) => match model[usize::from(n)] {
                    Known::Never => Ok(n),
                    _ => Err(RecordError::DeviceExists),
                },
                Attempt::RootRevokes(n) | Attempt::RevokesItself(n) => match model[usize::from(n)] {
                    Known::Never => Err(RecordError::UnknownDevice),
                    Known::Since(_) => Ok(n),
                    Known::Between(..) => Err(RecordError::DeviceRevoked),
                },
                Attempt::Repeats => Err(RecordError::WrongSequence { expected: state.seq + 1, actual: state.seq }),
            };
            let outcome = built.and_then(|record| {
                // What is accepted is what comes back from the wire.
                let record = SignedRecord::from_bytes(&record.to_bytes()?).unwrap();
                let next = state.apply(&NETWORK, &record, at)?;
                Ok((record, next))
            });
            match (outcome, expected) {
                (Ok((record, next)), Ok(n)) => {
                    prop_assert_eq!(next.seq, state.seq + 1);
                    prop_assert_eq!(next.head, record.digest().unwrap());
                    prop_assert_eq!(IdentityState::from_bytes(&next.to_bytes().unwrap()).unwrap(), next.clone());
                    model[usize::from(n)] = match model[usize::from(n)] {
                        Known::Never => Known::Since(height),
                        Known::Since(since) => Known::Between(since, height),
                        Known::Between(..) => unreachable!(),
                    };
                    accepted.push((record, at));
                    state = next;
                }
                (Err(error), Err(expected)) => prop_assert_eq!(error, expected),
                (outcome, expected) => prop_assert!(false, "{:?} against {:?}", outcome.err(), expected),
            }
            for n in 0..DEVICES {
                let id = device(n).device_id();
                for h in 0..=height + 1 {
                    let live = match model[usize::from(n)] {
                        Known::Never => false,
                        Known::Since(since) => since <= h,
                        Known::Between(since, until) => since <= h && h < until,
                    };
                    prop_assert_eq!(state.device_live_at(&id, Height::new(h)).is_some(), live);
                }
            }
            let active = model.iter().filter(|known| matches!(known, Known::Since(_))).count();
            prop_assert_eq!(state.active_devices().count(), active);
        }
        // Whoever follows the accepted records comes to the same state.
        let followed = accepted.iter().try_fold(genesis, |s, (record, at)| s.apply(&NETWORK, record, *at));
        prop_assert_eq!(followed.unwrap(), state);
    }
}

/// A state with one device, and the next record in both forms.
fn one_device() -> (IdentityState, [SignedRecord; 3]) {
    let (phrase, state) = person();
    let root = phrase.root_key(0);
    let first = SignedRecord::add_device(&NETWORK, &state, &root, &device(0), envelope(0)).unwrap();
    let state = state.apply(&NETWORK, &first, Height::new(5)).unwrap();
    let add = SignedRecord::add_device(&NETWORK, &state, &root, &device(1), envelope(1)).unwrap();
    let revoke = SignedRecord::revoke_device(&NETWORK, &state, &root, device(0).device_id()).unwrap();
    let leave = SignedRecord::revoke_own_device(&NETWORK, &state, &device(0).signing).unwrap();
    (state, [add, revoke, leave])
}

#[test]
fn a_record_with_any_bit_changed_is_refused() {
    let (state, records) = one_device();
    for record in records {
        let bytes = record.to_bytes().unwrap();
        assert!(state.apply(&NETWORK, &record, Height::new(6)).is_ok());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let accepted =
                SignedRecord::from_bytes(&changed).is_ok_and(|r| state.apply(&NETWORK, &r, Height::new(6)).is_ok());
            assert!(!accepted, "bit {bit}");
        }
    }
}

#[test]
fn a_record_cut_anywhere_is_refused() {
    for record in one_device().1 {
        let bytes = record.to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert!(SignedRecord::from_bytes(&bytes[..length]).is_err(), "cut to {length}");
        }
    }
}

#[test]
fn a_record_holds_in_its_network_only() {
    let (state, records) = one_device();
    let other = NetworkId::from_bytes([8; 32]);
    for mut record in records {
        assert_eq!(
            state.apply(&other, &record, Height::new(6)),
            Err(RecordError::WrongNetwork)
        );
        // Naming the other network is not enough: the signature names it too.
        record.record.network = other;
        let refused = state.apply(&other, &record, Height::new(6)).unwrap_err();
        assert!(matches!(refused, RecordError::Signature | RecordError::Consent));
    }
}

#[test]
fn a_signer_cannot_be_exchanged() {
    let (state, [_, revoke, leave]) = one_device();
    let as_device = SignedRecord {
        signer: RecordSigner::Device(device(0).device_id()),
        ..revoke
    };
    let as_root = SignedRecord {
        signer: RecordSigner::Root,
        ..leave
    };
    for record in [as_device, as_root] {
        assert_eq!(
            state.apply(&NETWORK, &record, Height::new(6)),
            Err(RecordError::Signature)
        );
    }
}

#[test]
fn a_builder_makes_only_what_would_be_accepted() {
    let (phrase, state) = person();
    let other = phrase.root_key(1);
    let refused = SignedRecord::add_device(&NETWORK, &state, &other, &device(0), envelope(0));
    assert_eq!(refused, Err(RecordError::Signature));
    let refused = SignedRecord::revoke_own_device(&NETWORK, &state, &device(0).signing);
    assert_eq!(refused, Err(RecordError::UnknownDevice));
}

/// The largest state and record fit into their limits.
#[test]
fn the_limits_hold_what_they_must() {
    let (phrase, state) = person();
    let root = phrase.root_key(0);
    let record = SignedRecord::add_device(&NETWORK, &state, &root, &device(0), envelope(0)).unwrap();
    let bytes = record.to_bytes().unwrap();
    // An X25519 key is 32 bytes: how much longer is the longest key, with its length?
    let longer = limits::ENVELOPE_KEY_BYTES_MAX - 32 + 1 + 2 + 9;
    assert!(bytes.len() + longer <= limits::RECORD_BYTES_MAX);

    let Operation::AddDevice { keys, .. } = record.record.op else {
        panic!()
    };
    let entry = |keys: &DeviceKeys| DeviceEntry {
        keys: keys.clone(),
        added: Height::MAX,
        revoked: Some(Height::MAX),
    };
    let devices = BoundedVec::try_from(vec![entry(&keys); limits::DEVICES_PER_IDENTITY_MAX]).unwrap();
    let full = IdentityState {
        seq: u64::MAX,
        head: Digest::from_bytes([255; 32]),
        devices,
        ..state
    };
    let most = full.to_bytes().unwrap().len() + longer * limits::DEVICES_PER_IDENTITY_MAX;
    assert!(most <= limits::IDENTITY_STATE_BYTES_MAX, "{most}");
}
