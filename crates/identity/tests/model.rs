//! The record chain as an executable model: what docs/spec/identity.md says of it, written a second time, with names in
//! the place of keys and sets in the place of signatures. Random sequences of valid and invalid records are given to
//! both, and both must say the same.
//!
//! `TOKENIM_CASES=10000 cargo test -p tokenim-identity --test model` runs more of them.
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
    REFUSALS, WINDOW, envelope, identity, name, place, rng,
    world::{By, Flaw, GROUPS, Key, Op, ROOTS, Step, WORLD, any_op, below, pick, seldom},
};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};
use tokenim_identity::{DeviceEntry, IdentityState, PendingOperation, Rank, SignedRecord, Standing};
use tokenim_wire::{BoundedVec, Digest, Height, Object};

/// What can wait.
#[derive(Clone, Debug, PartialEq)]
enum What {
    NewRoot { root: Key, after: Key },
    NewGuard(Option<usize>),
    End,
}

#[derive(Clone, Debug, PartialEq)]
struct Waiting {
    what: What,
    by_next: bool,
    since: u64,
    due: u64,
}

/// An identity.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    records: u64,
    /// Since the last recovery or new root.
    spent: u64,
    root: Key,
    next: Key,
    guard: Option<usize>,
    waiting: Option<Waiting>,
    ended: Option<u64>,
    /// In the order of their coming.
    devices: Vec<Key>,
    came: BTreeMap<Key, u64>,
    left: BTreeMap<Key, u64>,
    links: BTreeSet<u8>,
}

impl Model {
    fn live(&self) -> Vec<Key> {
        let mut live = self.devices.clone();
        live.retain(|device| !self.left.contains_key(device));
        live
    }

    /// Every rule that a record breaks. It is accepted if and only if there is none.
    fn objections(&self, step: &Step, time: u64) -> BTreeSet<&'static str> {
        let mut broken = BTreeSet::new();
        let mut object = |holds: bool, rule| {
            if !holds {
                broken.insert(rule);
            }
        };
        let Step { op, by, flaw } = step;
        // It belongs here and is the next one.
        object(*flaw != Flaw::Network, "WrongNetwork");
        object(*flaw != Flaw::Identity, "WrongIdentity");
        object(!matches!(flaw, Flaw::Ahead | Flaw::Behind), "WrongSequence");
        object(*flaw != Flaw::Previous, "WrongPrevious");
        object(*flaw != Flaw::Purpose, "Signature");
        object(self.ended.is_none() || matches!(op, Op::Recover { .. }), "Deactivated");

        // Its signer may do this.
        let signers = match op {
            Op::Add { .. } | Op::End | Op::Link(_) | Op::Unlink(_) => "root",
            Op::Rotate { .. } => "next",
            Op::Guard(_) | Op::Cancel => "root next",
            Op::Complete => "root next device",
            Op::Recover { .. } => "guards",
            Op::Revoke(device) => match by {
                By::Device { named, .. } if named == device => "device",
                _ => "root",
            },
        };
        let signer = match by {
            By::Root(_) => "root",
            By::Next { .. } => "next",
            By::Device { .. } => "device",
            By::Guards { .. } => "guards",
        };
        object(signers.contains(signer), "NotAllowed");

        // Its signer is who it says.
        let known = |device: &Key| self.came.contains_key(device);
        let gone = |device: &Key| self.left.contains_key(device);
        match by {
            By::Root(key) => {
                object(*key == self.root, "Signature");
                object(self.spent < 1024, "RecordsFull");
            }
            By::Next { shown, key } => {
                object(*shown == self.next, "WrongNextRoot");
                object(key == shown, "Signature");
                object(self.spent < 1024 + 128, "RecordsFull");
            }
            By::Device { named, key } => {
                object(known(named), "UnknownDevice");
                object(!gone(named), "DeviceRevoked");
                object(key == named, "Signature");
                object(self.spent < 1024 + 128, "RecordsFull");
            }
            By::Guards { group, signers, forged } => {
                object(self.guard.is_some(), "NoRecovery");
                object(self.guard == Some(*group), "RecoveryProof");
                object(signers.len() == usize::from(GROUPS[*group].0), "RecoveryThreshold");
                object(signers.windows(2).all(|two| two[0] < two[1]), "RecoveryProof");
                object(!forged, "Signature");
            }
        }

        // What it does can be done.
        let higher_waits = self.waiting.as_ref().is_some_and(|waiting| waiting.by_next) && signer == "root";
        match op {
            Op::Add { device, agrees } => {
                object(!known(device), "DeviceExists");
                object(self.devices.len() < 64 || !self.left.is_empty(), "DevicesFull");
                object(*agrees, "Consent");
            }
            Op::Revoke(device) => {
                object(known(device), "UnknownDevice");
                object(!gone(device), "DeviceRevoked");
            }
            Op::Rotate { .. } | Op::Guard(_) | Op::End => object(!higher_waits, "Outranked"),
            Op::Cancel => {
                object(self.waiting.is_some(), "NothingPending");
                object(!higher_waits, "Outranked");
            }
            Op::Complete => match &self.waiting {
                None => object(false, "NothingPending"),
                Some(waiting) => object(waiting.due <= time, "NotDue"),
            },
            Op::Recover { keep, in_order, .. } => {
                let repeated = keep.iter().collect::<BTreeSet<_>>().len() < keep.len();
                object(keep.iter().all(known), "UnknownDevice");
                object(!keep.iter().any(gone), "DeviceRevoked");
                object(!repeated && (*in_order || keep.len() < 2), "NotAscending");
            }
            Op::Link(link) => {
                object(!self.links.contains(link), "LinkExists");
                object(self.links.len() < 32, "LinksFull");
            }
            Op::Unlink(link) => object(self.links.contains(link), "UnknownLink"),
        }
        broken
    }

    /// What a record to which nothing objects does.
    fn accept(&mut self, step: &Step, height: u64, time: u64) {
        self.records += 1;
        self.spent += 1;
        let by_next = matches!(step.by, By::Next { .. });
        let wait = |what| {
            Some(Waiting {
                what,
                by_next,
                since: height,
                due: time + WINDOW,
            })
        };
        match &step.op {
            Op::Add { device, .. } => {
                if self.devices.len() == 64 {
                    let first = |device: &&Key| self.left.get(*device).copied().unwrap_or(u64::MAX);
                    let replaced = *self.devices.iter().min_by_key(first).unwrap();
                    self.devices.retain(|device| *device != replaced);
                    self.came.remove(&replaced);
                    self.left.remove(&replaced);
                }
                self.devices.push(*device);
                self.came.insert(*device, height);
            }
            Op::Revoke(device) => {
                self.left.insert(*device, height);
            }
            Op::Rotate { after } => {
                let (root, after) = (self.next, *after);
                self.waiting = wait(What::NewRoot { root, after });
            }
            Op::Guard(guard) if by_next && self.guard.is_none() => self.guard = *guard,
            Op::Guard(guard) => self.waiting = wait(What::NewGuard(*guard)),
            Op::End => self.waiting = wait(What::End),
            Op::Cancel => self.waiting = None,
            Op::Complete => match self.waiting.take().unwrap().what {
                What::NewRoot { root, after } => (self.root, self.next, self.spent) = (root, after, 0),
                What::NewGuard(guard) => self.guard = guard,
                What::End => {
                    self.left.extend(self.live().into_iter().map(|device| (device, height)));
                    self.ended = Some(height);
                }
            },
            Op::Recover {
                root,
                after,
                guard,
                keep,
                ..
            } => {
                let leaving = self.live().into_iter().filter(|device| !keep.contains(device));
                self.left
                    .extend(leaving.map(|device| (device, height)).collect::<Vec<_>>());
                (self.root, self.next, self.guard) = (*root, *after, *guard);
                (self.waiting, self.ended, self.spent) = (None, None, 0);
            }
            Op::Link(link) => {
                self.links.insert(*link);
            }
            Op::Unlink(link) => {
                self.links.remove(link);
            }
        }
    }
}

/// What a state is in the words of the model.
fn seen(state: &IdentityState) -> Model {
    let device = |entry: &DeviceEntry| WORLD.device_named(&entry.keys.device_id());
    let group = |digest: &Digest| WORLD.group_named(digest);
    let waiting = state.pending().map(|pending| Waiting {
        what: match &pending.op {
            PendingOperation::RotateRoot { root, next_root } => What::NewRoot {
                root: WORLD.root_named(root),
                after: WORLD.next_named(next_root),
            },
            PendingOperation::SetRecovery { recovery } => What::NewGuard(recovery.as_ref().map(group)),
            PendingOperation::Deactivate => What::End,
        },
        by_next: pending.rank == Rank::NextRoot,
        since: pending.submitted.get(),
        due: pending.due.get(),
    });
    let heights = |height: fn(&DeviceEntry) -> Option<Height>| {
        let known = state.devices.iter();
        known
            .filter_map(|entry| Some((device(entry), height(entry)?.get())))
            .collect()
    };
    Model {
        records: state.seq,
        spent: state.spent,
        root: WORLD.root_named(&state.root),
        next: WORLD.next_named(&state.next_root),
        guard: state.recovery.as_ref().map(group),
        waiting,
        ended: state.deactivated().map(Height::get),
        devices: state.devices.iter().map(device).collect(),
        came: heights(|entry| Some(entry.added)),
        left: heights(|entry| entry.revoked),
        links: state.links.iter().map(|link| link.as_bytes()[0]).collect(),
    }
}

/// States to begin with: new, and close to each limit.
fn beginning(which: usize) -> IdentityState {
    let mut state = identity();
    match which {
        1 => state.spent = 1_020,
        2 => state.spent = 1_149,
        3 | 5 => {
            let entry = |number: u8| DeviceEntry {
                keys: WORLD.device(number).keys(envelope(number)),
                added: Height::ZERO,
                revoked: (which == 3 && number % 30 == 9).then_some(Height::ZERO),
            };
            state.devices = BoundedVec::try_from_iter((8..71).map(entry)).unwrap();
        }
        4 => state.links = BoundedVec::try_from_iter((0..32).map(|n| Digest::from_bytes([n; 32]))).unwrap(),
        _ => {}
    }
    state
}

/// A step that is often a good one.
fn step(rng: &mut ChaCha20Rng, model: &Model) -> Step {
    let live = model.live();
    let mut devices: Vec<Key> = (0..8).collect();
    devices.extend(model.devices.iter().take(2));
    let op = any_op(rng, &devices, &live);
    let fitting: &[u8] = match op {
        Op::Add { .. } | Op::End | Op::Link(_) | Op::Unlink(_) => &[0],
        Op::Revoke(_) => &[0, 2, 4],
        Op::Rotate { .. } => &[1],
        Op::Guard(_) | Op::Cancel => &[0, 1],
        Op::Complete => &[0, 1, 2],
        Op::Recover { .. } => &[3],
    };
    let kind = if seldom(rng, 6) {
        pick(rng, &[0, 1, 2, 3])
    } else {
        pick(rng, fitting)
    };
    let root = |rng: &mut ChaCha20Rng, right: Key| {
        if seldom(rng, 10) {
            u8::try_from(below(rng, ROOTS.into())).unwrap()
        } else {
            right
        }
    };
    let by = match kind {
        0 => By::Root(root(rng, model.root)),
        1 => {
            let shown = root(rng, model.next);
            let key = root(rng, shown);
            By::Next { shown, key }
        }
        2 | 4 => {
            let among = if live.is_empty() || seldom(rng, 6) {
                &devices
            } else {
                &live
            };
            let named = match &op {
                Op::Revoke(device) if kind == 4 => *device,
                _ => pick(rng, among),
            };
            let key = if seldom(rng, 10) { pick(rng, &devices) } else { named };
            By::Device { named, key }
        }
        _ => {
            let wrong = model.guard.is_none() || seldom(rng, 10);
            let group = if wrong {
                below(rng, GROUPS.len())
            } else {
                model.guard.unwrap()
            };
            let (threshold, count) = GROUPS[group];
            let number = if seldom(rng, 8) {
                below(rng, usize::from(count) + 1)
            } else {
                usize::from(threshold)
            };
            let mut all: Vec<u8> = (0..count).collect();
            while all.len() > number {
                all.remove(below(rng, all.len()));
            }
            if seldom(rng, 8) {
                all.reverse();
            }
            By::Guards {
                group,
                forged: !all.is_empty() && seldom(rng, 10),
                signers: all,
            }
        }
    };
    // Nothing comes before the first record.
    let flaws = [
        Flaw::Network,
        Flaw::Identity,
        Flaw::Ahead,
        Flaw::Behind,
        Flaw::Previous,
        Flaw::Purpose,
    ];
    let flaw = match seldom(rng, 10) {
        true if by_nobody(&by) => Flaw::None,
        true => pick(rng, &flaws),
        false => Flaw::None,
    };
    Step { op, by, flaw }
}

/// Whether nothing is signed, so that no purpose can be wrong.
fn by_nobody(by: &By) -> bool {
    matches!(by, By::Guards { signers, .. } if signers.is_empty())
}

#[test]
fn the_chain_does_what_the_model_does() {
    const DEFAULT: u64 = 300;
    let cases = std::env::var("TOKENIM_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(DEFAULT);
    let mut met: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..cases {
        run(seed, &mut met);
    }
    // The sequences reach every operation and every refusal.
    if cases >= DEFAULT {
        let operations = [
            "Add", "Revoke", "Rotate", "Guard", "End", "Cancel", "Complete", "Recover", "Link", "Unlink",
        ];
        for outcome in operations.iter().chain(&REFUSALS) {
            assert!(met.contains_key(*outcome), "{outcome} was never met: {met:?}");
        }
    }
}

fn run(seed: u64, met: &mut BTreeMap<String, u64>) {
    let mut rng = rng(seed);
    let mut state = beginning(below(&mut rng, 7));
    let mut model = seen(&state);
    let (mut height, mut time) = (1, 1);
    // Records that were good once but were not taken: never again, since another took their place.
    let mut rivals: Vec<SignedRecord> = Vec::new();
    let mut undecided: Vec<SignedRecord> = Vec::new();
    for number in 0..30 {
        height += u64::try_from(below(&mut rng, 3)).unwrap();
        time += pick(&mut rng, &[0, 1, WINDOW / 2, WINDOW]);
        let at = place(height, time);
        let step = step(&mut rng, &model);
        let record = WORLD.record(&state, &step);
        // What is judged is what comes from the wire.
        let record = SignedRecord::from_bytes(&record.to_bytes().unwrap()).unwrap();
        let objections = model.objections(&step, time);
        let context = || format!("seed {seed}, step {number}: {step:?}\n{model:?}\nobjections {objections:?}");
        match state.apply(&at, &record) {
            Err(error) => {
                let error = name(&error);
                assert!(objections.contains(error.as_str()), "{error}: {}", context());
                *met.entry(error).or_default() += 1;
            }
            Ok(_) if !objections.is_empty() => panic!("accepted: {}", context()),
            // Another block might have held it; here it is passed over.
            Ok(_) if seldom(&mut rng, 5) => undecided.push(record),
            Ok(next) => {
                model.accept(&step, height, time);
                assert_eq!(seen(&next), model, "seed {seed}, step {number}: {step:?}");
                assert_eq!(IdentityState::from_bytes(&next.to_bytes().unwrap()), Ok(next.clone()));
                assert_eq!(next.head, record.digest().unwrap());
                assert_ne!(next.log, state.log);
                *met.entry(name(&step.op)).or_default() += 1;
                state = next;
                rivals.append(&mut undecided);
                rivals.retain(|rival| *rival != record);
                rivals.push(record);
            }
        }
        for rival in &rivals {
            assert!(
                state.apply(&at, rival).is_err(),
                "seed {seed}: two records in one place"
            );
        }
        assert!(model.ended.is_none() || matches!(state.standing, Standing::Deactivated { .. }));
    }
}
