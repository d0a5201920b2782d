//! What a thief can't do: random sequences in which some keys are in the wrong hands. Each property is that of
//! docs/spec/identity.md, section 7, with the same letter.
//!
//! `TOKENIM_CASES=10000 cargo test -p tokenim-identity --test adversary` runs more of them.
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

use common::{
    NETWORK, WINDOW, envelope, identity, place, rng,
    world::{By, Flaw, GROUPS, Key, Op, Step, WORLD, any_op, below, pick, seldom},
};
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeMap;
use tokenim_identity::{
    Authorization, DeviceEntry, DeviceId, IdentityState, Operation, Record, RecordError, RecordSigner, RecoveryProof,
    SignedRecord, next_root_digest,
};
use tokenim_wire::{BoundedVec, Height, limits};

fn cases() -> u64 {
    std::env::var("TOKENIM_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(80)
}

/// The keys in one pair of hands.
#[derive(Clone)]
struct Hands {
    roots: Vec<Key>,
    devices: Vec<Key>,
    groups: Vec<usize>,
}

/// The owner: roots 0 to 4, devices 0 to 3, recovery group 1.
fn owner() -> Hands {
    Hands {
        roots: vec![0, 1, 2, 3, 4],
        devices: vec![0, 1, 2, 3],
        groups: vec![1],
    }
}

/// A thief brings own keys: roots 10 to 12, devices 5 to 7, recovery groups 0 and 2. What was stolen is added.
fn thief(roots: &[Key], devices: &[Key]) -> Hands {
    Hands {
        roots: [roots, &[10, 11, 12]].concat(),
        devices: [devices, &[5, 6, 7]].concat(),
        groups: vec![0, 2],
    }
}

impl Hands {
    /// Any record that these keys can make, mostly as the signer of whom they have the key. The names that it bears can
    /// be anybody's.
    fn step(&self, rng: &mut ChaCha20Rng, state: &IdentityState) -> Step {
        let live: Vec<Key> = state
            .active_devices()
            .map(|entry| WORLD.device_named(&entry.keys.device_id()))
            .collect();
        let mut op = any_op(rng, &[live.as_slice(), &self.devices].concat(), &live);
        // New keys are those that these hands hold.
        match &mut op {
            Op::Rotate { after } => *after = pick(rng, &self.roots),
            Op::Recover { root, after, guard, .. } => {
                (*root, *after, *guard) = (
                    pick(rng, &self.roots),
                    pick(rng, &self.roots),
                    guard.map(|_| pick(rng, &self.groups)),
                );
            }
            Op::Guard(guard) => *guard = guard.map(|_| pick(rng, &self.groups)),
            _ => {}
        }
        let key = pick(rng, &self.roots);
        let by = match below(rng, 8) {
            0..=2 => By::Root(key),
            3 | 4 => By::Next {
                shown: if seldom(rng, 4) {
                    WORLD.next_named(&state.next_root)
                } else {
                    key
                },
                key,
            },
            5 | 6 => {
                let key = pick(rng, &self.devices);
                let named = if seldom(rng, 4) && !live.is_empty() {
                    pick(rng, &live)
                } else {
                    key
                };
                By::Device { named, key }
            }
            _ => {
                let group = pick(rng, &self.groups);
                By::Guards {
                    group,
                    signers: (0..GROUPS[group].0).collect(),
                    forged: false,
                }
            }
        };
        // An owner signs what he means to.
        let own = |name: Key| self.roots.contains(&name);
        let by = match op {
            Op::Rotate { .. } if own(WORLD.next_named(&state.next_root)) => {
                let key = WORLD.next_named(&state.next_root);
                By::Next { shown: key, key }
            }
            Op::Add { .. } | Op::End | Op::Link(_) | Op::Unlink(_) if own(WORLD.root_named(&state.root)) => {
                By::Root(WORLD.root_named(&state.root))
            }
            _ => by,
        };
        let flaw = if seldom(rng, 12) { Flaw::Purpose } else { Flaw::None };
        Step { op, by, flaw }
    }
}

/// An identity of the owner's with devices 0 to 2 and recovery group 1.
fn begin() -> IdentityState {
    let mut state = identity();
    for device in 0..3 {
        state = take(&state, 1, 1, Op::Add { device, agrees: true }, By::Root(0)).unwrap();
    }
    take(&state, 1, 1, Op::Guard(Some(1)), By::Next { shown: 1, key: 1 }).unwrap()
}

/// The state after a step at a height and a time.
fn take(state: &IdentityState, height: u64, time: u64, op: Op, by: By) -> Result<IdentityState, RecordError> {
    let flaw = Flaw::None;
    state.apply(&place(height, time), &WORLD.record(state, &Step { op, by, flaw }))
}

fn guards(group: usize) -> By {
    By::Guards {
        group,
        signers: (0..GROUPS[group].0).collect(),
        forged: false,
    }
}

/// The owner recovers: root 3, then 4, with the same recovery keys, keeping some of his devices.
fn recover(state: &IdentityState, height: u64, time: u64) -> Result<IdentityState, RecordError> {
    let keep = state
        .active_devices()
        .map(|entry| WORLD.device_named(&entry.keys.device_id()));
    let op = Op::Recover {
        root: 3,
        after: 4,
        guard: Some(1),
        keep: keep.filter(|device| owner().devices.contains(device)).take(1).collect(),
        in_order: true,
    };
    take(state, height, time, op, guards(1))
}

/// Without what every record changes.
fn bare(state: &IdentityState) -> IdentityState {
    IdentityState {
        seq: 0,
        head: state.id.to_bytes().into(),
        log: state.id.to_bytes().into(),
        spent: 0,
        ..state.clone()
    }
}

/// (a) A thief of one device key takes over nothing: its device can leave, and what the owner began is completed as he
/// began it.
#[test]
fn a_thief_of_a_device_key_takes_over_nothing() {
    let (mut left, mut completed) = (0, 0);
    for seed in 0..cases() {
        let mut rng = rng(seed);
        let (owner, thief) = (owner(), thief(&[], &[0]));
        let mut state = begin();
        let (mut height, mut time) = (2, 2);
        let mut earlier: Vec<SignedRecord> = Vec::new();
        for _ in 0..40 {
            height += 1;
            time += pick(&mut rng, &[1, WINDOW / 2, WINDOW]);
            let at = place(height, time);
            // What the owner signed before, once more.
            for record in &earlier {
                assert!(state.apply(&at, record).is_err(), "seed {seed}");
            }
            let owners_turn = seldom(&mut rng, 3);
            let step = if owners_turn { &owner } else { &thief }.step(&mut rng, &state);
            let record = WORLD.record(&state, &step);
            let Ok(next) = state.apply(&at, &record) else { continue };
            if !owners_turn {
                let own = WORLD.device(0).device_id();
                assert!(
                    matches!(&record.authorization, Authorization::Device(id, _) if *id == own),
                    "seed {seed}"
                );
                match &record.record.op {
                    Operation::RevokeDevice { device } if *device == own => {
                        let mut expected = bare(&state);
                        let entry = expected.devices.as_mut_slice().iter_mut();
                        for entry in entry.filter(|entry| entry.keys.device_id() == own) {
                            entry.revoked = Some(Height::new(height));
                        }
                        assert_eq!(bare(&next), expected, "seed {seed}");
                        left += 1;
                    }
                    Operation::Complete => {
                        let by = By::Root(WORLD.root_named(&state.root));
                        let by_owner = take(&state, height, time, Op::Complete, by).unwrap();
                        assert_eq!(bare(&next), bare(&by_owner), "seed {seed}");
                        completed += 1;
                    }
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
            earlier.push(record);
            state = next;
        }
    }
    assert!(left > 0 && completed > 0, "{left} {completed}");
}

/// (b) From the height at which it is revoked on, a device signs nothing that counts: no record, and nothing that is
/// judged by whether it was live.
#[test]
fn a_revoked_device_signs_nothing_that_counts() {
    let mut tried = 0;
    for seed in 0..cases() {
        let mut rng = rng(seed);
        let owner = owner();
        let mut state = begin();
        let (mut height, mut time) = (2, 2);
        let mut revoked: BTreeMap<DeviceId, Height> = BTreeMap::new();
        for _ in 0..25 {
            height += u64::try_from(below(&mut rng, 3)).unwrap();
            time += pick(&mut rng, &[1, WINDOW / 2, WINDOW]);
            let step = owner.step(&mut rng, &state);
            if let Ok(next) = state.apply(&place(height, time), &WORLD.record(&state, &step)) {
                state = next;
            }
            for entry in &state.devices {
                if let Some(at) = entry.revoked {
                    // It was said once, and is never said otherwise.
                    let before = *revoked.entry(entry.keys.device_id()).or_insert(at);
                    assert_eq!(before, at, "seed {seed}");
                }
            }
            for (id, at) in &revoked {
                for later in [at.get(), at.get() + 1, height, height + 1, u64::MAX] {
                    let live = state.device_live_at(id, Height::new(later.max(at.get())));
                    assert!(live.is_none(), "seed {seed}");
                }
                let key = WORLD.device_named(id);
                let by = By::Device { named: key, key };
                for op in [Op::Complete, Op::Revoke(key), owner.step(&mut rng, &state).op] {
                    assert!(
                        take(&state, height, time + WINDOW, op, by.clone()).is_err(),
                        "seed {seed}"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 0);
}

/// (c) Two records in one place can't both be final: after one is taken, the other is refused for good. The random
/// sequences of `model.rs` hold this too.
#[test]
fn of_two_records_in_one_place_one_is_taken() {
    let mut conflicts = 0;
    for seed in 0..cases() {
        let mut rng = rng(seed);
        let owner = owner();
        let mut state = begin();
        let mut lost: Vec<SignedRecord> = Vec::new();
        for height in 2..14 {
            let time = height * WINDOW;
            let at = place(height, time);
            let candidates: Vec<SignedRecord> = (0..4)
                .map(|_| WORLD.record(&state, &owner.step(&mut rng, &state)))
                .filter(|record| state.apply(&at, record).is_ok())
                .collect();
            let Some((taken, others)) = candidates.split_first() else {
                continue;
            };
            state = state.apply(&at, taken).unwrap();
            conflicts += others.len();
            lost.extend(candidates);
            for record in &lost {
                assert!(matches!(
                    state.apply(&at, record),
                    Err(RecordError::WrongSequence { .. } | RecordError::WrongPrevious)
                ));
            }
        }
    }
    assert!(conflicts > 0);
}

/// (d) With root and next root stolen, recovery inside of the window wins at every moment, whatever the thief did
/// before, and nothing that the thief holds is of use afterwards.
#[test]
fn with_the_root_stolen_recovery_inside_the_window_wins() {
    let mut accepted = 0;
    for seed in 0..cases() {
        let mut rng = rng(seed);
        let owner = owner();
        let mut state = begin();
        let mut height = 2;
        // Some of the owner's life, but not a change of recovery keys under way.
        for _ in 0..below(&mut rng, 6) {
            height += 1;
            let step = owner.step(&mut rng, &state);
            let harmless = !matches!(step.op, Op::Recover { .. } | Op::Guard(_) | Op::Complete | Op::End);
            if harmless && let Ok(next) = state.apply(&place(height, height), &WORLD.record(&state, &step)) {
                state = next;
            }
        }
        let stolen = [WORLD.root_named(&state.root), WORLD.next_named(&state.next_root)];
        // Half of the thieves have a device too, and half have no next root.
        let thief = thief(&stolen[..1 + below(&mut rng, 2)], [&[][..], &[0]][below(&mut rng, 2)]);
        let theft = WINDOW;
        let mut time = theft;
        for _ in 0..30 {
            height += 1;
            time = (time + pick(&mut rng, &[0, 1, WINDOW / 10])).min(theft + WINDOW - 1);
            let step = thief.step(&mut rng, &state);
            if let Ok(next) = state.apply(&place(height, time), &WORLD.record(&state, &step)) {
                state = next;
                accepted += 1;
            }
            let recovered = recover(&state, height, time).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            check_recovered(&recovered, seed);
        }
        state = recover(&state, height, time).unwrap();
        for _ in 0..10 {
            let step = thief.step(&mut rng, &state);
            let record = WORLD.record(&state, &step);
            // A device that the owner keeps is his, even where its key is known to the thief too: (a).
            let kept = matches!(&record.authorization, Authorization::Device(id, _) if state.device_live_at(id, Height::MAX).is_some());
            let refused = state.apply(&place(height + 1, time + 2 * WINDOW), &record).is_err();
            assert!(refused || kept, "seed {seed}: {step:?}");
        }
    }
    assert!(accepted > 0);
}

/// What the owner has after a recovery.
fn check_recovered(state: &IdentityState, seed: u64) {
    assert_eq!(state.root, WORLD.root(3).verifying_key(), "seed {seed}");
    assert_eq!(
        state.next_root,
        next_root_digest(&WORLD.root(4).verifying_key()),
        "seed {seed}"
    );
    assert_eq!(state.recovery, Some(WORLD.guard(1)), "seed {seed}");
    assert!(
        state.pending().is_none() && state.deactivated().is_none(),
        "seed {seed}"
    );
    assert!(state.active_devices().count() <= 1, "seed {seed}");
    let mut devices = state
        .active_devices()
        .map(|entry| WORLD.device_named(&entry.keys.device_id()));
    assert!(devices.all(|device| owner().devices.contains(&device)), "seed {seed}");
    // The owner goes on: a new device, and all the records that a new identity has.
    assert_eq!(state.spent, 0, "seed {seed}");
    let device = (30..)
        .find(|name| state.device(&WORLD.device(*name).device_id()).is_none())
        .unwrap();
    assert!(
        take(state, u64::MAX, u64::MAX, Op::Add { device, agrees: true }, By::Root(3)).is_ok(),
        "seed {seed}"
    );
}

/// The window is as long as it says: a millisecond before its end recovery wins, at its end the thief's own recovery
/// keys hold. Without recovery keys, or when they are noticed too late, nothing helps.
#[test]
fn at_the_end_of_the_window_the_thief_has_won() {
    let state = take(&begin(), 2, 10, Op::Guard(Some(0)), By::Root(0)).unwrap();
    let end = 10 + WINDOW;
    assert_eq!(
        take(&state, 3, end - 1, Op::Complete, By::Root(0)),
        Err(RecordError::NotDue { due: end.into() })
    );
    assert!(recover(&state, 3, end - 1).is_ok());
    // What is due but not completed is still undone.
    assert!(recover(&state, 3, end + 5).is_ok());
    let lost = take(&state, 3, end, Op::Complete, By::Root(0)).unwrap();
    assert_eq!(recover(&lost, 4, end), Err(RecordError::RecoveryProof));
}

/// (e) With the root stolen, the next root can't be kept out: whatever the thief did before, it begins to rotate; from
/// then on the thief changes nothing about it; and once the window has passed it is the root.
#[test]
fn with_the_root_stolen_the_next_root_cannot_be_blocked() {
    let mut accepted = 0;
    for seed in 0..cases() {
        let mut rng = rng(seed);
        // With recovery keys, and without.
        let mut state = begin();
        if seldom(&mut rng, 2) {
            state.recovery = None;
        }
        let thief = thief(&[0], &[0]);
        let (mut height, mut time) = (2, 10);
        let steps = below(&mut rng, 20);
        let act = |state: &mut IdentityState, rng: &mut ChaCha20Rng, height, time| {
            let step = thief.step(rng, state);
            if let Ok(next) = state.apply(&place(height, time), &WORLD.record(state, &step)) {
                *state = next;
                return 1;
            }
            0
        };
        for _ in 0..steps {
            height += 1;
            time = (time + pick(&mut rng, &[0, 1, WINDOW / 10])).min(9 + WINDOW);
            accepted += act(&mut state, &mut rng, height, time);
        }
        let next = By::Next { shown: 1, key: 1 };
        state = take(&state, height, time, Op::Rotate { after: 2 }, next.clone())
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let (pending, due) = (*state.pending().unwrap(), time + WINDOW);
        for _ in 0..20 {
            height += 1;
            time = (time + pick(&mut rng, &[0, 1, WINDOW / 10])).min(due - 1);
            accepted += act(&mut state, &mut rng, height, time);
            assert_eq!(state.pending(), Some(&pending), "seed {seed}");
        }
        state = take(&state, height, due, Op::Complete, next).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(
            (state.root, state.spent),
            (WORLD.root(1).verifying_key(), 0),
            "seed {seed}"
        );
        assert_eq!(
            state.next_root,
            next_root_digest(&WORLD.root(2).verifying_key()),
            "seed {seed}"
        );
        // The old root is nothing any more.
        let refused = take(&state, height, due, Op::End, By::Root(0));
        assert_eq!(refused, Err(RecordError::Signature), "seed {seed}");
    }
    assert!(accepted > 0);
}

/// A root that has signed all its records, with as many devices as there can be, keeps out neither the next root, nor
/// devices that leave, nor recovery; and whoever takes over has room again.
#[test]
fn a_thief_of_the_root_cannot_fill_the_chain() {
    let mut state = begin();
    state.spent = limits::RECORDS_PER_ROOT_MAX - 1;
    let entry = |name: Key| DeviceEntry {
        keys: WORLD.device(name).keys(envelope(name)),
        added: Height::ZERO,
        revoked: None,
    };
    state.devices = BoundedVec::try_from_iter((0..64).map(entry)).unwrap();
    let full = take(&state, 2, 2, Op::Guard(Some(0)), By::Root(0)).unwrap();
    let refused = take(&full, 2, 2, Op::Link(1), By::Root(0));
    assert_eq!(refused, Err(RecordError::RecordsFull));

    // The worst that is left to the thief: every device leaves by itself, and one of them completes first.
    let mut state = take(&full, 3, 2 + WINDOW, Op::Complete, By::Device { named: 63, key: 63 }).unwrap();
    for named in 0..64 {
        state = take(
            &state,
            3,
            2 + WINDOW,
            Op::Revoke(named),
            By::Device { named, key: named },
        )
        .unwrap();
    }
    let spent = limits::RECORDS_PER_ROOT_MAX + 65;
    assert_eq!(state.spent, spent);
    let next = || By::Next { shown: 1, key: 1 };
    let mut busy = state.clone();
    for _ in spent + 2..limits::RECORDS_PER_ROOT_MAX + limits::RECORDS_RESERVED {
        busy = take(&busy, 3, 2 + WINDOW, Op::Rotate { after: 2 }, next()).unwrap();
    }
    let rotating = take(&busy, 3, 2 + WINDOW, Op::Rotate { after: 2 }, next()).unwrap();
    let rotated = take(&rotating, 4, 2 + 2 * WINDOW, Op::Complete, next()).unwrap();
    assert_eq!(rotated.spent, 0);
    let new = Op::Add {
        device: 70,
        agrees: true,
    };
    assert!(take(&rotated, 4, 2 + 2 * WINDOW, new.clone(), By::Root(1)).is_ok());

    // Recovery counts no records at all.
    for spent in [full.spent, u64::MAX] {
        let filled = IdentityState { spent, ..full.clone() };
        let recovered = recover(&filled, 2, 3).unwrap();
        assert_eq!(recovered.spent, 0);
        assert!(take(&recovered, 3, 3, new.clone(), By::Root(3)).is_ok());
    }
}

/// The holders of recovery keys sign in different places, each with its own share; one share more than needed is left
/// out, and one less is too few.
#[test]
fn holders_sign_apart_and_are_put_together() {
    use tokenim_identity::RecoveryError;
    let state = begin();
    let shares = common::shares(2, 3, 1);
    let after = WORLD.root(3).verifying_key();
    let record = Record::recover(&NETWORK, &state, after, &after, None, &[]).unwrap();
    let signatures: Vec<_> = [2, 0, 1]
        .iter()
        .map(|index| shares[*index].sign(&record).unwrap())
        .collect();
    let commitment = shares[0].commitment();
    let proof = RecoveryProof::new(commitment, signatures.clone()).unwrap();
    assert_eq!(proof.signatures.len(), 2);
    assert!(SignedRecord::recover(&state, record.clone(), proof).is_ok());
    let too_few = RecoveryError::TooFew {
        actual: 1,
        threshold: 2,
    };
    let twice = [signatures[0].clone(), signatures[0].clone()];
    assert_eq!(RecoveryProof::new(commitment, twice), Err(too_few));
    assert_eq!(RecoveryProof::sign(&record, &shares[..1]), Err(too_few));
    let strangers = common::shares(2, 3, 7);
    let mixed = [shares[0].clone(), strangers[1].clone()];
    assert_eq!(RecoveryProof::sign(&record, &mixed), Err(RecoveryError::Foreign));
    let mixed = [signatures[1].clone(), strangers[1].sign(&record).unwrap()];
    assert_eq!(RecoveryProof::new(commitment, mixed), Err(RecoveryError::Foreign));
    // Nothing but a recovery.
    let cancel = SignedRecord::deactivate(&NETWORK, &state, WORLD.root(0)).unwrap();
    assert_eq!(shares[0].sign(&cancel.record), Err(RecoveryError::NotARecovery));
    let by_next = RecordSigner::NextRoot(WORLD.root(1));
    assert!(SignedRecord::set_recovery(&NETWORK, &state, by_next, Some(commitment.digest())).is_ok());
}
