//! What records do to identities, every reason for which they do nothing, and which of two is the one that counts.

use crate::{
    chain::{Chain, chain, chain_with, quick},
    common::{At, Person, device, digest, person, root_key},
    transactions::cases,
};
use proptest::prelude::*;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use tokenim_consensus::Block;
use tokenim_identity::{
    Authorization, IdentityState, Operation, Record, RecordSigner, RecoveryProof, RecoveryShare, Signature,
    SignedRecord,
};
use tokenim_ledger::{IdentityUpdate, Outcome, Rejection, StateKey, TransactionId, VerifiedTransaction};
use tokenim_wire::{
    BoundedVec, Epoch, Height, Object,
    limits::{LINKS_PER_IDENTITY_MAX, RECORDS_PER_ROOT_MAX},
};

/// What the ledger holds of an identity.
pub fn identity(chain: &Chain, state: &IdentityState) -> Option<IdentityState> {
    let value = chain.executor.reader().value(&StateKey::identity(&state.id)).unwrap();
    value.map(|bytes| IdentityState::from_bytes(&bytes).unwrap())
}

/// The next record of somebody with any operation and any authorization, as nobody who means well makes it.
fn unsigned(chain: &Chain, person: &Person, op: Operation, authorization: Authorization) -> VerifiedTransaction {
    let record = Record {
        network: chain.net.id,
        identity: person.state.id,
        seq: person.state.seq + 1,
        prev: person.state.head,
        op,
    };
    let update = IdentityUpdate {
        genesis: None,
        record: SignedRecord { record, authorization },
    };
    let key = chain.net.nodes[3].clone();
    tokenim_ledger::Transaction::sponsored(&chain.net.id, &key, update.into(), chain.height().saturating_add(5), 0)
        .unwrap()
        .verify(&chain.net.id)
        .unwrap()
}

/// Commits a block of one update.
fn commit(chain: &mut Chain, update: IdentityUpdate) {
    let transaction = chain.update(update);
    chain.apply(vec![transaction]);
}

#[test]
fn an_identity_is_created_and_changed() {
    let mut chain = chain();
    let mut ann = person(1);
    let at = chain.next();
    let create = ann.add_device(&chain.net.id, 1, at);
    let create = chain.update(create);
    let id = *create.id();
    chain.apply(vec![create]);
    assert_eq!(identity(&chain, &ann.state), Some(ann.state.clone()));
    assert_eq!(
        chain.executor.transaction_status(&id).unwrap(),
        Some((Height::new(1), Outcome::Applied))
    );
    // Two records in one block, in order.
    let at = chain.next();
    let add = ann.add_device(&chain.net.id, 2, at);
    let revoke = ann.revoke_device(&chain.net.id, 1, at);
    let both = vec![chain.update(add), chain.update(revoke)];
    chain.apply(both);
    let stored = identity(&chain, &ann.state).unwrap();
    assert_eq!(stored, ann.state);
    assert_eq!(stored.active_devices().count(), 1);
    assert_eq!(
        stored.device(&device(1).device_id()).unwrap().revoked,
        Some(Height::new(2))
    );
}

#[test]
fn a_genesis_comes_with_the_first_record_and_never_again() {
    let mut chain = chain();
    let (mut ann, ben) = (person(1), person(2));
    let update = ann.add_device(&chain.net.id, 1, chain.next());
    let without = chain.update(IdentityUpdate {
        genesis: None,
        ..update.clone()
    });
    assert_eq!(chain.rejection(&without), Rejection::GenesisMissing);
    let foreign = chain.update(IdentityUpdate {
        genesis: Some(ben.genesis),
        ..update.clone()
    });
    assert_eq!(chain.rejection(&foreign), Rejection::GenesisForeign);
    let good = chain.update(update.clone());
    chain.apply(vec![good]);
    let again = chain.update(update);
    assert_eq!(chain.rejection(&again), Rejection::GenesisRepeated);
}

#[test]
fn a_record_out_of_place() {
    let mut chain = chain();
    let mut ann = person(1);
    let first = ann.add_device(&chain.net.id, 1, chain.next());
    let first = chain.update(first);
    chain.apply(vec![first]);
    let before = ann.state.clone();
    let second = ann.add_device(&chain.net.id, 2, chain.next());
    let third = ann.add_device(&chain.net.id, 3, chain.next());
    let too_early = chain.update(third);
    let rejection = chain.rejection(&too_early);
    assert_eq!(rejection, Rejection::RecordSequence { expected: 2, actual: 3 });
    assert!(rejection.may_pass_later());
    // Of two for one place, the first one counts.
    ann.state = before;
    let rival = ann.add_device(&chain.net.id, 4, chain.next());
    let (second, rival) = (chain.update(second), chain.update(rival));
    chain.apply(vec![second]);
    let rejection = chain.rejection(&rival);
    assert_eq!(rejection, Rejection::RecordSequence { expected: 3, actual: 2 });
    assert!(!rejection.may_pass_later());
    assert!(chain.propose(vec![rival]).refused.len() == 1);
}

#[test]
fn a_record_that_is_wrong_in_itself() {
    let mut chain = chain();
    let mut ann = person(1);
    let first = ann.add_device(&chain.net.id, 1, chain.next());
    let first = chain.update(first);
    chain.apply(vec![first]);
    let state = ann.state.clone();
    let good = ann.add_device(&chain.net.id, 2, chain.next()).record;
    let case = |chain: &mut Chain, change: &dyn Fn(&mut SignedRecord)| {
        let mut record = good.clone();
        change(&mut record);
        let transaction = chain.update(IdentityUpdate { genesis: None, record });
        chain.rejection(&transaction)
    };
    assert_eq!(
        case(&mut chain, &|record| record.record.network =
            digest("elsewhere", 0).into()),
        Rejection::RecordNetwork
    );
    assert_eq!(
        case(&mut chain, &|record| record.record.prev = digest("before", 0)),
        Rejection::RecordPrevious
    );
    assert_eq!(
        case(&mut chain, &|record| record.authorization =
            Authorization::Root(Signature::from_bytes([0; 64]))),
        Rejection::RecordSignature
    );
    assert_eq!(
        case(&mut chain, &|record| {
            if let Operation::AddDevice { consent, .. } = &mut record.record.op {
                *consent = Signature::from_bytes([0; 64]);
            }
        }),
        Rejection::DeviceConsent
    );
    assert_eq!(
        case(&mut chain, &|record| {
            record.authorization = Authorization::Device(device(1).device_id(), Signature::from_bytes([0; 64]));
        }),
        Rejection::RecordSigner
    );
    assert_eq!(
        case(&mut chain, &|record| {
            record.record.op = Operation::RevokeDevice {
                device: device(9).device_id(),
            };
        }),
        Rejection::DeviceUnknown
    );
    assert_eq!(identity(&chain, &state), Some(state));
}

#[test]
fn devices_and_records_of_an_identity_are_limited() {
    let mut chain = chain();
    let network = chain.net.id;
    let mut ann = person(1);
    // 64 devices, 16 in a block.
    for round in 0..4 {
        let at = chain.next();
        let updates: Vec<_> = (0..16)
            .map(|number| ann.add_device(&network, round * 16 + number, at))
            .collect();
        let updates = updates.into_iter().map(|update| chain.update(update)).collect();
        chain.apply(updates);
    }
    let mut other = person(1);
    other.state = IdentityState {
        devices: BoundedVec::empty(),
        ..ann.state.clone()
    };
    let too_many = other.add_device(&network, 1000, chain.next());
    let too_many = chain.update(too_many);
    assert_eq!(chain.rejection(&too_many), Rejection::DevicesFull);
    // The root may sign so many records and no more; the next root still can.
    while ann.state.spent < RECORDS_PER_ROOT_MAX {
        let at = chain.next();
        let updates: Vec<_> = (0..16).map(|link| ann.toggle_link(&network, link, at)).collect();
        let updates = updates.into_iter().map(|update| chain.update(update)).collect();
        chain.apply(updates);
    }
    let signature = Signature::from_bytes([0; 64]);
    let op = Operation::LinkAccount {
        commitment: digest("link", 99),
    };
    let one_more = unsigned(&chain, &ann, op, Authorization::Root(signature));
    assert_eq!(
        chain.executor.check(&one_more, chain.time()),
        Ok(Outcome::Rejected(Rejection::RecordsFull))
    );
    let rotate = ann.rotate_root(&network, chain.next());
    let rotate = chain.update(rotate);
    chain.apply(vec![rotate]);
    assert_eq!(identity(&chain, &ann.state), Some(ann.state));
}

/// Somebody with two devices and, if asked for, recovery keys of which two of three are needed.
fn settled(chain: &mut Chain, number: u64, recovery: bool) -> (Person, Vec<RecoveryShare>) {
    let network = chain.net.id;
    let mut person = person(number);
    for number in [1, 2] {
        let update = person.add_device(&network, number, chain.next());
        commit(chain, update);
    }
    let shares = RecoveryShare::generate(2, 3, &mut ChaCha8Rng::seed_from_u64(number)).unwrap();
    if recovery {
        let next = person.next_key();
        let digest = shares[0].commitment().digest();
        let record =
            SignedRecord::set_recovery(&network, &person.state, RecordSigner::NextRoot(&next), Some(digest)).unwrap();
        let update = person.follow(&network, record, chain.next());
        commit(chain, update);
    }
    (person, shares)
}

/// The record by which shares give an identity to a new root.
fn recovered(chain: &Chain, person: &Person, shares: &[RecoveryShare]) -> SignedRecord {
    let (root, after) = (root_key(person.number, 50), root_key(person.number, 51));
    let record = Record::recover(
        &chain.net.id,
        &person.state,
        root.verifying_key(),
        &after.verifying_key(),
        None,
        &[device(1).device_id()],
    )
    .unwrap();
    let proof = RecoveryProof::sign(&record, shares).unwrap();
    SignedRecord {
        record,
        authorization: Authorization::Recovery(proof),
    }
}

#[test]
fn every_refusal_of_a_record_has_its_code() {
    let mut chain = chain_with(quick());
    let network = chain.net.id;
    let (mut ann, shares) = settled(&mut chain, 1, true);
    let (mut ben, _) = settled(&mut chain, 2, false);
    let none = Signature::from_bytes([0; 64]);
    let root = || Authorization::Root(none);
    let next = |person: &Person| Authorization::NextRoot {
        key: person.next_key().verifying_key(),
        signature: none,
    };
    let rotate = || Operation::RotateRoot {
        next_root: digest("after", 0),
    };
    let refused = |chain: &Chain, person: &Person, op: Operation, authorization: Authorization| {
        chain.rejection(&unsigned(chain, person, op, authorization))
    };
    let foreign = Authorization::NextRoot {
        key: ann.key().verifying_key(),
        signature: none,
    };
    assert_eq!(refused(&chain, &ann, rotate(), foreign), Rejection::NextRootForeign);
    assert_eq!(refused(&chain, &ann, rotate(), root()), Rejection::RecordSigner);
    assert_eq!(refused(&chain, &ann, rotate(), next(&ann)), Rejection::RecordSignature);

    let good = recovered(&chain, &ann, &shares[..2]);
    let (op, Authorization::Recovery(proof)) = (good.record.op.clone(), good.authorization.clone()) else {
        panic!("{good:?}");
    };
    let by = |proof: &RecoveryProof| Authorization::Recovery(proof.clone());
    assert_eq!(refused(&chain, &ben, op.clone(), by(&proof)), Rejection::RecoveryUnset);
    let others = RecoveryShare::generate(2, 3, &mut ChaCha8Rng::seed_from_u64(99)).unwrap();
    let theirs = recovered(&chain, &ann, &others[..2]).authorization;
    assert_eq!(refused(&chain, &ann, op.clone(), theirs), Rejection::RecoveryForeign);
    let mut fewer = proof.clone();
    fewer.signatures = BoundedVec::try_from(vec![proof.signatures[0].clone()]).unwrap();
    assert_eq!(
        refused(&chain, &ann, op.clone(), by(&fewer)),
        Rejection::RecoveryThreshold
    );
    let mut unordered = op.clone();
    if let Operation::Recover { keep, .. } = &mut unordered {
        *keep = BoundedVec::try_from(vec![device(1).device_id(); 2]).unwrap();
    }
    assert_eq!(refused(&chain, &ann, unordered, by(&proof)), Rejection::DevicesOrder);
    let mut unknown = op.clone();
    if let Operation::Recover { keep, .. } = &mut unknown {
        *keep = BoundedVec::try_from(vec![device(9).device_id()]).unwrap();
    }
    assert_eq!(refused(&chain, &ann, unknown, by(&proof)), Rejection::DeviceUnknown);

    for op in [Operation::Cancel, Operation::Complete] {
        assert_eq!(refused(&chain, &ben, op, root()), Rejection::NothingPending);
    }
    let update = ann.rotate_root(&network, chain.next());
    commit(&mut chain, update);
    for op in [Operation::Cancel, Operation::Deactivate] {
        assert_eq!(refused(&chain, &ann, op, root()), Rejection::Outranked);
    }
    let due = ann.state.pending().unwrap().due;
    let rejection = refused(&chain, &ann, Operation::Complete, root());
    assert_eq!(rejection, Rejection::NotDue { due });
    assert!(rejection.may_pass_later());

    let update = ben.toggle_link(&network, 0, chain.next());
    commit(&mut chain, update);
    let link = |number: u64| digest("link", number);
    let commitment = link(0);
    assert_eq!(
        refused(&chain, &ben, Operation::LinkAccount { commitment }, root()),
        Rejection::LinkExists
    );
    let commitment = link(1);
    assert_eq!(
        refused(&chain, &ben, Operation::UnlinkAccount { commitment }, root()),
        Rejection::LinkUnknown
    );
    for number in 1..LINKS_PER_IDENTITY_MAX as u64 {
        let update = ben.toggle_link(&network, number, chain.next());
        commit(&mut chain, update);
    }
    let commitment = link(LINKS_PER_IDENTITY_MAX as u64);
    assert_eq!(
        refused(&chain, &ben, Operation::LinkAccount { commitment }, root()),
        Rejection::LinksFull
    );

    let record = SignedRecord::deactivate(&network, &ben.state, &ben.key()).unwrap();
    let update = ben.follow(&network, record, chain.next());
    commit(&mut chain, update);
    chain.pass(3);
    let update = ben.complete(&network, chain.next());
    commit(&mut chain, update);
    assert_eq!(ben.state.deactivated(), Some(chain.height()));
    let commitment = link(0);
    let rejection = refused(&chain, &ben, Operation::UnlinkAccount { commitment }, root());
    assert_eq!(rejection, Rejection::IdentityDeactivated);
    assert_eq!(identity(&chain, &ben.state), Some(ben.state));
    chain.replayed();
}

#[test]
fn what_is_pending_is_carried_out_by_the_time_of_a_block() {
    let mut chain = chain_with(quick());
    let network = chain.net.id;
    let (mut ann, _) = settled(&mut chain, 1, false);
    let update = ann.rotate_root(&network, chain.next());
    commit(&mut chain, update);
    let due = ann.state.pending().unwrap().due;
    assert_eq!(due, chain.head.header.time.saturating_add(1_500));
    let signing = device(2).signing;
    let record = SignedRecord::complete(&network, &ann.state, RecordSigner::Device(&signing)).unwrap();
    let complete = chain.update(IdentityUpdate { genesis: None, record });
    // The same transaction, tried for a block of one time or another.
    let early = due.get() - 1;
    for (time, outcome) in [
        (early, Outcome::Rejected(Rejection::NotDue { due })),
        (due.get(), Outcome::Applied),
    ] {
        let time = tokenim_wire::UnixMillis::new(time);
        assert_eq!(chain.executor.check(&complete, time), Ok(outcome));
        let proposal = chain
            .executor
            .propose(&chain.head, Epoch::ZERO, time, vec![complete.clone()])
            .unwrap();
        assert_eq!(proposal.included.is_empty(), outcome != Outcome::Applied);
        assert!(proposal.refused.is_empty(), "it may pass later");
    }
    // A block says its own time: whoever executes it later comes to the same.
    chain.pass(2);
    assert!(chain.time() >= due);
    let before = ann.state.root;
    chain.apply(vec![complete]);
    let state = identity(&chain, &ann.state).unwrap();
    assert_eq!(state.root, ann.next_key().verifying_key());
    assert_ne!(state.root, before);
    assert_eq!(state.pending(), None);
    assert_eq!(chain.replayed().tip(), chain.head.header);
}

#[test]
fn a_record_at_another_time_is_another_state() {
    let mut chain = chain();
    let update = person(1).add_device(&chain.net.id, 1, chain.next());
    let transaction = chain.update(update);
    let root = |later: u64| {
        let time = chain.time().saturating_add(later);
        let proposal = chain
            .executor
            .propose(&chain.head, Epoch::ZERO, time, vec![transaction.clone()])
            .unwrap();
        assert_eq!(proposal.included.len(), 1);
        proposal.block
    };
    let (one, other) = (root(0), root(1));
    assert_ne!(one.header.state_root, other.header.state_root);
    // So a header with another time than the one that was executed is wrong.
    let mut false_time = one.clone();
    false_time.header.time = other.header.time;
    assert!(matches!(
        chain.executor.execute(&false_time),
        Err(tokenim_execution::ExecutionError::Invalid(
            tokenim_execution::InvalidBlock::StateRoot
        ))
    ));
}

#[test]
fn recovery_wins_inside_of_the_window() {
    let mut chain = chain_with(quick());
    let network = chain.net.id;
    let (mut ann, shares) = settled(&mut chain, 1, true);
    // A thief of the root asks for the end of the recovery keys.
    let key = ann.key();
    let record = SignedRecord::set_recovery(&network, &ann.state, RecordSigner::Root(&key), None).unwrap();
    let update = ann.follow(&network, record, chain.next());
    commit(&mut chain, update);
    let record = recovered(&chain, &ann, &shares[1..]);
    let update = ann.follow(&network, record, chain.next());
    commit(&mut chain, update);
    let state = identity(&chain, &ann.state).unwrap();
    assert_eq!(state, ann.state);
    assert_eq!(state.root, root_key(1, 50).verifying_key());
    assert_eq!(state.pending(), None);
    assert_eq!(state.active_devices().count(), 1);
    // What the thief signs from now on does not hold.
    let commitment = digest("link", 0);
    let record = Record {
        network,
        identity: state.id,
        seq: state.seq + 1,
        prev: state.head,
        op: Operation::LinkAccount { commitment },
    };
    let signature = key.sign(&network, &tokenim_identity::RootRecord(&record)).unwrap();
    let thief = chain.update(IdentityUpdate {
        genesis: None,
        record: SignedRecord {
            record,
            authorization: Authorization::Root(signature),
        },
    });
    assert_eq!(chain.rejection(&thief), Rejection::RecordSignature);
}

#[test]
fn of_two_records_for_one_place_in_a_block_the_first_counts() {
    let mut chain = chain();
    let (ann, _) = settled(&mut chain, 1, false);
    let at = chain.next();
    let rivals: Vec<VerifiedTransaction> = (0..3)
        .map(|number| {
            let mut copy = person(1);
            copy.state = ann.state.clone();
            let update = copy.toggle_link(&chain.net.id, number, at);
            chain.update(update)
        })
        .collect();
    let block = chain.force(rivals.clone()).unwrap();
    chain.commit(block);
    let (expected, actual) = (ann.state.seq + 2, ann.state.seq + 1);
    let outcome = |one: &VerifiedTransaction| chain.executor.transaction_status(one.id()).unwrap().unwrap().1;
    assert_eq!(outcome(&rivals[0]), Outcome::Applied);
    for rival in &rivals[1..] {
        let rejection = Rejection::RecordSequence { expected, actual };
        assert_eq!(outcome(rival), Outcome::Rejected(rejection));
    }
    let state = identity(&chain, &ann.state).unwrap();
    assert_eq!(state.links.as_slice(), [digest("link", 0)]);
    let page = chain.executor.reader().history(&state.id, 0, 64).unwrap().unwrap();
    assert_eq!(page.entries.len() as u64, state.seq);
}

/// Records for the same places of one chain: those at depth `d` have the number `2 + d`, and each follows another one.
struct Rivals {
    /// By the way to it from the root of the tree, one bit for each step under a leading 1.
    transactions: BTreeMap<u32, VerifiedTransaction>,
    by_id: BTreeMap<TransactionId, u32>,
}

const DEPTH: u32 = 3;

fn rivals(chain: &mut Chain, ann: &Person, at: At) -> Rivals {
    let network = chain.net.id;
    let mut states = BTreeMap::from([(1_u32, ann.state.clone())]);
    let mut transactions = BTreeMap::new();
    for way in 2..1 << (DEPTH + 1) {
        let mut copy = person(ann.number);
        copy.state = states[&(way / 2)].clone();
        // Where it is applied is not known yet, and what is signed does not depend on it.
        let update = copy.toggle_link(&network, u64::from(way), at);
        states.insert(way, copy.state);
        let until = chain.height().saturating_add(1_000);
        let key = chain.net.nodes[way as usize % 4].clone();
        transactions.insert(way, chain.transaction_of(&key, update, until));
    }
    Rivals {
        by_id: transactions.iter().map(|(way, one)| (*one.id(), *way)).collect(),
        transactions,
    }
}

/// One step of validators that disagree for a while.
#[derive(Clone, Debug)]
enum Fork {
    /// A block on one of the known ones of those that can be applied.
    Propose { parent: usize, ways: Vec<u32>, late: u64 },
    /// A block on the last final one of all of them, whatever comes of them.
    Force { ways: Vec<u32> },
    /// One of the children of the last final block becomes final.
    Commit { which: usize },
}

fn ways() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(2_u32..1 << (DEPTH + 1), 0..6)
}

fn fork() -> impl Strategy<Value = Fork> {
    prop_oneof![
        3 => (any::<usize>(), ways(), 0_u64..3).prop_map(|(parent, ways, late)| Fork::Propose { parent, ways, late }),
        1 => ways().prop_map(|ways| Fork::Force { ways }),
        2 => any::<usize>().prop_map(|which| Fork::Commit { which }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn of_records_for_one_place_at_most_one_becomes_final(steps in prop::collection::vec(fork(), 1..14)) {
        let mut chain = chain();
        let mut ann = person(1);
        let first = ann.add_device(&chain.net.id, 1, chain.next());
        commit(&mut chain, first);
        let at = chain.next();
        let rivals = rivals(&mut chain, &ann, at);
        let pick = |ways: &[u32]| -> Vec<VerifiedTransaction> {
            let unique: BTreeSet<u32> = ways.iter().copied().collect();
            // In the order given, each once: a block does not hold a transaction twice here.
            let mut left = unique;
            ways.iter().filter(|way| left.remove(way)).map(|way| rivals.transactions[way].clone()).collect()
        };
        let mut known: Vec<Block> = vec![chain.head.clone()];
        let mut outcomes = Vec::new();
        for step in steps {
            match step {
                Fork::Propose { parent, ways, late } => {
                    let parent = known[parent % known.len()].clone();
                    let time = parent.header.time.saturating_add(500 + late);
                    if let Ok(proposal) = chain.executor.propose(&parent, Epoch::ZERO, time, pick(&ways)) {
                        known.push(proposal.block);
                    }
                }
                Fork::Force { ways } => known.push(chain.force(pick(&ways)).unwrap()),
                Fork::Commit { which } => {
                    let children: Vec<Block> =
                        known.iter().filter(|block| block.header.parent == chain.head.digest()).cloned().collect();
                    if !children.is_empty() {
                        outcomes.extend(chain.commit(children[which % children.len()].clone()).outcomes);
                    }
                }
            }
            // What is not final is in nobody's history.
            let state = identity(&chain, &ann.state).unwrap();
            let page = chain.executor.reader().history(&state.id, 0, 64).unwrap().unwrap();
            prop_assert_eq!(page.entries.len() as u64, state.seq);
        }
        // Each place was filled once, by a record that follows the one before.
        let applied: Vec<u32> = outcomes
            .iter()
            .filter(|(_, outcome)| *outcome == Outcome::Applied)
            .map(|(id, _)| rivals.by_id[id])
            .collect();
        let mut last = 1;
        for way in &applied {
            prop_assert_eq!(way / 2, last);
            last = *way;
        }
        for (id, outcome) in &outcomes {
            if let Outcome::Rejected(rejection) = outcome {
                let early_or_late = matches!(
                    rejection,
                    Rejection::RecordSequence { .. } | Rejection::RecordPrevious | Rejection::Replayed
                );
                prop_assert!(early_or_late, "{} {}", rivals.by_id[id], rejection);
            }
        }
        let state = identity(&chain, &ann.state).unwrap();
        prop_assert_eq!(state.seq, 1 + applied.len() as u64);
        // The history is that of the final blocks, and leads to the state that they committed to.
        let page = chain.executor.reader().history(&state.id, 0, 64).unwrap().unwrap();
        let window = chain.net.config.limits().recovery_window_ms;
        let network = chain.net.id;
        let came_to = tokenim_identity::replay(&network, window, &page.genesis, page.entries.clone()).unwrap();
        prop_assert_eq!(&came_to, &state);
        for entry in &page.entries {
            let block = chain.executor.block(entry.height).unwrap().unwrap();
            prop_assert_eq!(block.header.time, entry.time);
        }
        prop_assert!(chain.executor.block(Height::ZERO).unwrap().is_some());
        chain.replayed();
    }
}
