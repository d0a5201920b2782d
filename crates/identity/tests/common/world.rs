//! A small world of named keys, so that a test can say who signs what without saying how.

use super::{NETWORK, device, envelope, root, shares};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use std::sync::LazyLock;
use tokenim_identity::{
    Authorization, DeviceConsent, DeviceRecord, DeviceSecrets, IdentityState, NextRootRecord, Operation, Record,
    RecoveryProof, RecoveryShare, RootRecord, RootSigningKey, SignedRecord, next_root_digest,
};
use tokenim_wire::{BoundedVec, Digest, NetworkId};

/// The name of a key. Whoever has the key can sign with it.
pub type Key = u8;

/// Recovery keys: thresholds and numbers of the groups.
pub const GROUPS: [(u8, u8); 3] = [(1, 1), (2, 3), (3, 4)];
/// How many root keys there are.
pub const ROOTS: u8 = 16;

pub struct World {
    roots: Vec<RootSigningKey>,
    devices: Vec<DeviceSecrets>,
    groups: Vec<Vec<RecoveryShare>>,
}

pub static WORLD: LazyLock<World> = LazyLock::new(|| World {
    roots: (0..ROOTS).map(root).collect(),
    devices: (0..80).map(device).collect(),
    groups: (0..)
        .zip(GROUPS)
        .map(|(number, (threshold, count))| shares(threshold, count, number))
        .collect(),
});

#[derive(Clone, Debug)]
pub enum Op {
    Add {
        device: Key,
        agrees: bool,
    },
    Revoke(Key),
    Rotate {
        after: Key,
    },
    Guard(Option<usize>),
    End,
    Cancel,
    Complete,
    Recover {
        root: Key,
        after: Key,
        guard: Option<usize>,
        keep: Vec<Key>,
        in_order: bool,
    },
    Link(u8),
    Unlink(u8),
}

#[derive(Clone, Debug)]
pub enum By {
    Root(Key),
    Next {
        shown: Key,
        key: Key,
    },
    Device {
        named: Key,
        key: Key,
    },
    /// Some of a group, in this order; forged: one has signed another record.
    Guards {
        group: usize,
        signers: Vec<u8>,
        forged: bool,
    },
}

/// What is wrong about a record beside its operation and signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    Network,
    Identity,
    Ahead,
    Behind,
    Previous,
    /// Signed as the statement of another purpose.
    Purpose,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub op: Op,
    pub by: By,
    pub flaw: Flaw,
}

impl World {
    pub fn root(&self, name: Key) -> &RootSigningKey {
        &self.roots[usize::from(name)]
    }

    pub fn device(&self, name: Key) -> &DeviceSecrets {
        &self.devices[usize::from(name)]
    }

    pub fn guard(&self, group: usize) -> Digest {
        self.groups[group][0].commitment().digest()
    }

    pub fn root_named(&self, key: &tokenim_identity::RootKey) -> Key {
        (0..ROOTS)
            .find(|name| self.root(*name).verifying_key() == *key)
            .unwrap()
    }

    pub fn next_named(&self, digest: &Digest) -> Key {
        (0..ROOTS)
            .find(|name| next_root_digest(&self.root(*name).verifying_key()) == *digest)
            .unwrap()
    }

    pub fn group_named(&self, digest: &Digest) -> usize {
        (0..GROUPS.len()).find(|group| self.guard(*group) == *digest).unwrap()
    }

    pub fn device_named(&self, id: &tokenim_identity::DeviceId) -> Key {
        (0..80).find(|name| self.device(*name).device_id() == *id).unwrap()
    }

    /// The record of a step.
    pub fn record(&self, state: &IdentityState, step: &Step) -> SignedRecord {
        let mut record = Record {
            network: NETWORK,
            identity: state.id,
            seq: state.seq + 1,
            prev: state.head,
            op: Operation::Cancel,
        };
        match step.flaw {
            Flaw::Network => record.network = NetworkId::from_bytes([9; 32]),
            Flaw::Identity => record.identity = tokenim_identity::IdentityId::from_bytes([9; 32]),
            Flaw::Ahead => record.seq += 1,
            Flaw::Behind => record.seq -= 1,
            Flaw::Previous => record.prev = Digest::from_bytes([9; 32]),
            Flaw::None | Flaw::Purpose => {}
        }
        record.op = self.operation(&record, &step.op);
        let authorization = self.authorize(&record, &step.by, step.flaw == Flaw::Purpose);
        SignedRecord { record, authorization }
    }

    fn operation(&self, record: &Record, op: &Op) -> Operation {
        let next = |name: Key| next_root_digest(&self.root(name).verifying_key());
        match op {
            Op::Add { device, agrees } => {
                let secrets = self.device(*device);
                let consent = DeviceConsent {
                    identity: record.identity,
                    seq: if *agrees { record.seq } else { record.seq + 1 },
                    keys: secrets.keys(envelope(*device)),
                };
                let signature = secrets.signing.sign(&record.network, &consent).unwrap();
                Operation::AddDevice {
                    keys: consent.keys,
                    consent: signature,
                }
            }
            Op::Revoke(device) => Operation::RevokeDevice {
                device: self.device(*device).device_id(),
            },
            Op::Rotate { after } => Operation::RotateRoot {
                next_root: next(*after),
            },
            Op::Guard(group) => Operation::SetRecovery {
                recovery: group.map(|group| self.guard(group)),
            },
            Op::End => Operation::Deactivate,
            Op::Cancel => Operation::Cancel,
            Op::Complete => Operation::Complete,
            Op::Recover {
                root,
                after,
                guard,
                keep,
                in_order,
            } => {
                let mut keep: Vec<_> = keep.iter().map(|name| self.device(*name).device_id()).collect();
                keep.sort_unstable();
                if !in_order {
                    keep.reverse();
                }
                Operation::Recover {
                    root: self.root(*root).verifying_key(),
                    next_root: next(*after),
                    recovery: guard.map(|group| self.guard(group)),
                    keep: BoundedVec::try_from(keep).unwrap(),
                }
            }
            Op::Link(number) => Operation::LinkAccount {
                commitment: Digest::from_bytes([*number; 32]),
            },
            Op::Unlink(number) => Operation::UnlinkAccount {
                commitment: Digest::from_bytes([*number; 32]),
            },
        }
    }

    fn authorize(&self, record: &Record, by: &By, other_purpose: bool) -> Authorization {
        let network = &record.network;
        let as_root = |name: Key| self.root(name).sign(network, &RootRecord(record)).unwrap();
        let as_next = |name: Key| self.root(name).sign(network, &NextRootRecord(record)).unwrap();
        match by {
            By::Root(key) if other_purpose => Authorization::Root(as_next(*key)),
            By::Root(key) => Authorization::Root(as_root(*key)),
            By::Next { shown, key } => Authorization::NextRoot {
                key: self.root(*shown).verifying_key(),
                signature: if other_purpose { as_root(*key) } else { as_next(*key) },
            },
            By::Device { named, key } => {
                let secrets = self.device(*key);
                let consent = DeviceConsent {
                    identity: record.identity,
                    seq: record.seq,
                    keys: secrets.keys(envelope(*key)),
                };
                let signature = if other_purpose {
                    secrets.signing.sign(network, &consent)
                } else {
                    secrets.signing.sign(network, &DeviceRecord(record))
                };
                Authorization::Device(self.device(*named).device_id(), signature.unwrap())
            }
            By::Guards { group, signers, forged } => {
                // A share signs no other record than one that recovers.
                let after = self.root(0).verifying_key();
                let other = Operation::Recover {
                    root: after,
                    next_root: record.prev,
                    recovery: None,
                    keep: BoundedVec::empty(),
                };
                let other = Record {
                    op: other,
                    ..record.clone()
                };
                let recovers = matches!(record.op, Operation::Recover { .. });
                let signatures = signers.iter().map(|index| {
                    let wrong = !recovers || other_purpose || *forged && Some(index) == signers.last();
                    let share = &self.groups[*group][usize::from(*index)];
                    share.sign(if wrong { &other } else { record }).unwrap()
                });
                let commitment = self.groups[*group][0].commitment();
                Authorization::Recovery(RecoveryProof {
                    threshold: commitment.threshold(),
                    leaves: BoundedVec::try_from(commitment.leaves().to_vec()).unwrap(),
                    signatures: BoundedVec::try_from_iter(signatures).unwrap(),
                })
            }
        }
    }
}

/// A number below `limit`.
pub fn below(rng: &mut ChaCha20Rng, limit: usize) -> usize {
    usize::try_from(rng.next_u64() % u64::try_from(limit).unwrap()).unwrap()
}

/// Once in `often` times.
pub fn seldom(rng: &mut ChaCha20Rng, often: usize) -> bool {
    below(rng, often) == 0
}

/// One of several.
pub fn pick<T: Clone>(rng: &mut ChaCha20Rng, of: &[T]) -> T {
    of[below(rng, of.len())].clone()
}

/// Any operation, on these devices.
pub fn any_op(rng: &mut ChaCha20Rng, devices: &[Key], live: &[Key]) -> Op {
    let guard = |rng: &mut ChaCha20Rng| (!seldom(rng, 3)).then(|| below(rng, GROUPS.len()));
    let key = |rng: &mut ChaCha20Rng| u8::try_from(below(rng, ROOTS.into())).unwrap();
    let device = pick(rng, devices);
    match below(rng, 14) {
        0 | 1 => Op::Add {
            device,
            agrees: !seldom(rng, 8),
        },
        2 => Op::Revoke(device),
        3 | 4 => Op::Rotate { after: key(rng) },
        5 | 6 => Op::Guard(guard(rng)),
        7 => Op::End,
        8 => Op::Cancel,
        9 | 10 => Op::Complete,
        11 => {
            let mut keep: Vec<Key> = live.iter().copied().filter(|_| seldom(rng, 2)).collect();
            if seldom(rng, 6) {
                keep.push(device);
            }
            Op::Recover {
                root: key(rng),
                after: key(rng),
                guard: guard(rng),
                keep,
                in_order: !seldom(rng, 6),
            }
        }
        12 => Op::Link(u8::try_from(below(rng, 34)).unwrap()),
        _ => Op::Unlink(u8::try_from(below(rng, 34)).unwrap()),
    }
}
