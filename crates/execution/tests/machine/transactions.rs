//! What transactions do, and every reason for which they do nothing.

use crate::{
    chain::{Chain, chain, chain_with, quick, some_anchor},
    common::{device, digest, node_key, person},
    identities::identity,
};
use proptest::prelude::*;
use tokenim_identity::{IdentityState, Signature};
use tokenim_ledger::{
    Anchor, Body, IncarnationRegistration, LedgerLimits, Outcome, Payload, Rejection, StateKey, Transaction,
};
use tokenim_mailbox::Incarnation;
use tokenim_wire::{BoundedVec, Height, Object, UnixMillis, decode};

#[test]
fn a_transaction_is_valid_for_a_time_and_once() {
    let mut chain = chain_with(quick());
    let key = chain.net.nodes[0].clone();
    chain.pass(3);
    let expired = chain.transaction_of(&key, some_anchor(0), Height::new(3));
    assert_eq!(chain.rejection(&expired), Rejection::Expired);
    let too_long = chain.transaction_of(&key, some_anchor(0), Height::new(4 + 9));
    let rejection = chain.rejection(&too_long);
    assert_eq!(rejection, Rejection::ValidTooLong);
    assert!(rejection.may_pass_later());
    let last = chain.transaction_of(&key, some_anchor(0), Height::new(4));
    let long = chain.transaction_of(&key, some_anchor(0), Height::new(4 + 8));
    chain.apply(vec![last.clone(), long.clone()]);
    let recent = |chain: &Chain, transaction: &tokenim_ledger::VerifiedTransaction| {
        let key = StateKey::recent(transaction.id());
        let value = chain.executor.reader().value(&key).unwrap();
        value.map(|bytes| decode::<Height>(&bytes, 10).unwrap())
    };
    assert_eq!(recent(&chain, &last), Some(Height::new(4)));
    // Replays are refused as long as the transaction is valid, then because it is not any more.
    assert_eq!(chain.rejection(&last), Rejection::Expired);
    for height in 5..=12 {
        assert_eq!(chain.rejection(&long), Rejection::Replayed, "{height}");
        chain.pass(1);
        assert_eq!(recent(&chain, &last), None);
        assert_eq!(recent(&chain, &long).is_some(), height <= 12);
    }
    assert_eq!(chain.height(), Height::new(12));
    assert_eq!(chain.rejection(&long), Rejection::Expired);
    chain.pass(1);
    assert_eq!(recent(&chain, &long), None);
    chain.replayed();
}

#[test]
fn the_state_forgets_transactions_that_expired() {
    let mut chain = chain_with(quick());
    let root = |chain: &Chain| chain.propose(vec![]).block.header.state_root;
    let before = root(&chain);
    for number in 0..3 {
        let transactions: Vec<_> = (0..5)
            .map(|other| chain.transaction(some_anchor(number * 5 + other)))
            .collect();
        chain.apply(transactions);
    }
    assert_ne!(root(&chain), before);
    chain.pass(9);
    assert_eq!(root(&chain), before);
    chain.replayed();
}

#[test]
fn one_content_has_one_name() {
    let mut chain = chain();
    let one = chain.transaction(some_anchor(0));
    let mut resigned = one.transaction().clone();
    resigned.signature = Signature::from_bytes([1; 64]);
    assert_eq!(resigned.id().unwrap(), *one.id());
    let mut other = one.transaction().clone();
    other.nonce += 1;
    assert_ne!(other.id().unwrap(), *one.id());
}

#[test]
fn a_sponsor_is_a_registered_node() {
    let mut chain = chain();
    let stranger = node_key(99);
    let valid_until = chain.height().saturating_add(3);
    let transaction = chain.transaction_of(&stranger, some_anchor(0), valid_until);
    assert_eq!(chain.rejection(&transaction), Rejection::UnknownSponsor);
}

#[test]
fn anchors_commit_leaves_each_once_and_in_order() {
    let mut chain = chain();
    let leaves = |numbers: &[u64]| numbers.iter().map(|number| digest("leaf", *number)).collect::<Vec<_>>();
    let first = chain.transaction(Body::Anchor(Anchor::new(leaves(&[5, 1, 3, 1])).unwrap()));
    let second = chain.transaction(Body::Anchor(Anchor::new(leaves(&[3, 9])).unwrap()));
    let committed = chain.apply(vec![first, second]);
    let mut expected = leaves(&[1, 3, 5, 9]);
    expected.sort_unstable();
    assert_eq!(committed.leaves, expected);
    assert_eq!(chain.executor.reader().leaves(Height::new(1)).unwrap(), expected);
    // The first block that has a leaf stays the one that is shown.
    let again = chain.transaction(Body::Anchor(Anchor::new(leaves(&[3])).unwrap()));
    chain.apply(vec![again]);
    let (height, index) = chain.executor.reader().anchored(&digest("leaf", 3)).unwrap().unwrap();
    assert_eq!(height, Height::new(1));
    assert_eq!(expected[index as usize], digest("leaf", 3));
    assert_eq!(chain.executor.reader().anchored(&digest("leaf", 4)).unwrap(), None);
}

#[test]
fn an_anchor_without_order_or_leaves() {
    let mut chain = chain();
    assert!(Anchor::new(vec![]).is_none());
    let (low, high) = (digest("a", 0).min(digest("b", 0)), digest("a", 0).max(digest("b", 0)));
    for leaves in [vec![], vec![high, low], vec![low, low]] {
        let anchor = Anchor {
            leaves: BoundedVec::try_from(leaves).unwrap(),
        };
        let transaction = chain.transaction(Body::Anchor(anchor));
        assert_eq!(chain.rejection(&transaction), Rejection::Anchor);
    }
}

#[test]
fn a_node_registers_its_own_incarnations_upwards() {
    let mut chain = chain();
    let body = |chain: &Chain, node: usize, number: u64| {
        Body::RegisterIncarnation(IncarnationRegistration {
            node: chain.net.nodes[node].verifying_key(),
            incarnation: Incarnation::new(number),
        })
    };
    let three = body(&chain, 1, 3);
    let good = chain.transaction_by(1, three.clone());
    let foreign = chain.transaction_by(0, three);
    assert_eq!(chain.rejection(&foreign), Rejection::IncarnationForeign);
    chain.apply(vec![good]);
    for number in [0, 2, 3] {
        let lower = body(&chain, 1, number);
        let lower = chain.transaction_by(1, lower);
        assert_eq!(chain.rejection(&lower), Rejection::IncarnationNotHigher);
    }
    let four = body(&chain, 1, 4);
    let four = chain.transaction_by(1, four);
    chain.apply(vec![four]);
    let key = StateKey::incarnation(&chain.net.nodes[1].verifying_key());
    let value = chain.executor.reader().value(&key).unwrap().unwrap();
    assert_eq!(decode::<Incarnation>(&value, 10), Ok(Incarnation::new(4)));
}

#[test]
fn a_proposal_leaves_out_what_does_not_fit() {
    let mut chain = chain_with(LedgerLimits {
        sponsor_transactions_per_block: 16,
        ..LedgerLimits::default()
    });
    // 1,024 leaves are 32 KiB; 16 of each of 4 sponsors are 2 MiB.
    let mut all = Vec::new();
    for node in 0..4 {
        for number in 0..16_u64 {
            let leaves = (0..1024)
                .map(|leaf| digest("big", (node as u64 * 16 + number) * 1024 + leaf))
                .collect();
            all.push(chain.transaction_by(node, Body::Anchor(Anchor::new(leaves).unwrap())));
        }
    }
    let proposal = chain.propose(all);
    assert!(proposal.block.to_bytes().unwrap().len() <= tokenim_wire::limits::BLOCK_BYTES_MAX);
    assert_eq!(proposal.included.len() + proposal.deferred.len(), 64);
    assert!(proposal.included.len() > 30, "{}", proposal.included.len());
    assert_eq!(
        Payload::from_bytes(&proposal.block.payload)
            .unwrap()
            .transactions()
            .len(),
        proposal.included.len()
    );
    chain.commit(proposal.block);
    chain.replayed();
}

#[test]
fn what_is_refused_under_a_speculative_parent_is_only_deferred() {
    let mut chain = chain();
    let one = chain.transaction(some_anchor(0));
    let parent = chain.propose(vec![one.clone()]).block;
    let time = UnixMillis::new(parent.header.time.get() + 1);
    let child = chain
        .executor
        .propose(&parent, tokenim_wire::Epoch::ZERO, time, vec![one.clone()])
        .unwrap();
    assert_eq!(child.deferred, [*one.id()]);
    assert!(child.refused.is_empty());
    chain.commit(parent);
    let after = chain.propose(vec![one.clone()]);
    assert_eq!(after.refused, [(*one.id(), Rejection::Replayed)]);
}

pub fn cases() -> u32 {
    std::env::var("TOKENIM_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(12)
}

/// One step of somebody who means well or not.
#[derive(Clone, Debug)]
enum Step {
    Device { person: u64, device: u64 },
    Revoke { person: u64, device: u64 },
    Link { person: u64, link: u64 },
    Rotate { person: u64 },
    Complete { person: u64 },
    Stale { person: u64, device: u64 },
    Anchor { leaf: u64 },
    BadAnchor,
    Incarnation { node: usize, number: u64, own: bool },
    Again { back: usize },
    Stranger,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..4, 0_u64..6).prop_map(|(person, device)| Step::Device { person, device }),
        (0_u64..4, 0_u64..6).prop_map(|(person, device)| Step::Revoke { person, device }),
        (0_u64..4, 0_u64..3).prop_map(|(person, link)| Step::Link { person, link }),
        (0_u64..4).prop_map(|person| Step::Rotate { person }),
        (0_u64..4).prop_map(|person| Step::Complete { person }),
        (0_u64..4, 0_u64..6).prop_map(|(person, device)| Step::Stale { person, device }),
        (0_u64..8).prop_map(|leaf| Step::Anchor { leaf }),
        Just(Step::BadAnchor),
        (0_usize..4, 0_u64..4, any::<bool>()).prop_map(|(node, number, own)| Step::Incarnation { node, number, own }),
        (0_usize..10).prop_map(|back| Step::Again { back }),
        Just(Step::Stranger),
    ]
}

fn perform(
    chain: &mut Chain,
    people: &mut [crate::common::Person],
    sent: &mut Vec<tokenim_ledger::VerifiedTransaction>,
    step: &Step,
) {
    let network = chain.net.id;
    let at = chain.next();
    // An update that the person's own copy would refuse is one with a broken signature instead.
    let broken = |person: &crate::common::Person| {
        let mut other = crate::common::person(77);
        other.state = person.state.clone();
        let mut update = crate::common::person(78).add_device(&network, 1, at);
        update.record.record.identity = person.state.id;
        update.genesis = (person.state.seq == 0).then_some(person.genesis);
        update
    };
    let transaction = match step {
        Step::Device { person, device: number } => {
            let person = &mut people[*person as usize];
            let known = person.state.device(&device(*number).device_id()).is_some();
            let update = if known {
                broken(person)
            } else {
                person.add_device(&network, *number, at)
            };
            chain.update(update)
        }
        Step::Revoke { person, device: number } => {
            let person = &mut people[*person as usize];
            let id = device(*number).device_id();
            let live = person.state.device_live_at(&id, at.height).is_some();
            let update = if live {
                person.revoke_device(&network, *number, at)
            } else {
                broken(person)
            };
            chain.update(update)
        }
        Step::Link { person, link } => {
            let update = people[*person as usize].toggle_link(&network, *link, at);
            chain.update(update)
        }
        Step::Rotate { person } => {
            let update = people[*person as usize].rotate_root(&network, at);
            chain.update(update)
        }
        Step::Complete { person } => {
            let person = &mut people[*person as usize];
            let due = person.state.pending().is_some_and(|pending| pending.due <= at.time);
            let update = if due {
                person.complete(&network, at)
            } else {
                broken(person)
            };
            chain.update(update)
        }
        Step::Stale { person, device } => {
            // Signed on what is not the ledger's state.
            let mut copy = crate::common::person(*person);
            let update = copy.add_device(&network, *device, at);
            chain.update(update)
        }
        Step::Anchor { leaf } => chain.transaction_by(1, some_anchor(*leaf)),
        Step::BadAnchor => chain.transaction_by(
            1,
            Body::Anchor(Anchor {
                leaves: BoundedVec::empty(),
            }),
        ),
        Step::Incarnation { node, number, own } => {
            let body = Body::RegisterIncarnation(IncarnationRegistration {
                node: chain.net.nodes[*node].verifying_key(),
                incarnation: Incarnation::new(*number),
            });
            let sponsor = if *own { *node } else { (*node + 1) % 4 };
            chain.transaction_by(sponsor, body)
        }
        Step::Again { back } => match sent.len().checked_sub(back + 1).and_then(|place| sent.get(place)) {
            Some(before) => before.clone(),
            None => return,
        },
        Step::Stranger => {
            let until = chain.height().saturating_add(2);
            chain.transaction_of(&node_key(50), some_anchor(1), until)
        }
    };
    sent.push(transaction);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn rejected_transactions_change_nothing_and_replay_agrees(
        blocks in prop::collection::vec(prop::collection::vec(step(), 0..6), 1..6),
    ) {
        let mut chain = chain_with(quick());
        let mut people: Vec<_> = (0..4).map(person).collect();
        let mut sent = Vec::new();
        for steps in &blocks {
            let from = sent.len();
            let before: Vec<_> = people.iter().map(|person| (person.root, person.state.clone())).collect();
            for step in steps {
                perform(&mut chain, &mut people, &mut sent, step);
            }
            let transactions = sent[from..].to_vec();
            let block = chain.force(transactions.clone()).unwrap();
            let executed = chain.executor.execute(&block).unwrap();
            let applied: Vec<Transaction> = transactions
                .iter()
                .zip(executed.outcomes())
                .filter(|(_, (_, outcome))| *outcome == Outcome::Applied)
                .map(|(transaction, _)| transaction.transaction().clone())
                .collect();
            // The block of the applied ones alone leads to the same state.
            let only = Payload(BoundedVec::try_from(applied).unwrap()).to_bytes().unwrap();
            let only = chain.force_payload(only).unwrap();
            prop_assert_eq!(only.header.state_root, block.header.state_root);
            prop_assert_eq!(only.header.receipts_root, block.header.receipts_root);
            chain.commit(block);
            for (person, before) in people.iter_mut().zip(before) {
                // Follow the ledger, where it took another course.
                let (root, before) = before;
                match identity(&chain, &person.state) {
                    Some(state) if state == person.state => {}
                    Some(state) => {
                        person.root = root + u64::from(state.root != before.root);
                        person.state = state;
                    }
                    None => {
                        person.root = 0;
                        person.state = IdentityState::new(&person.genesis);
                    }
                }
            }
        }
        chain.replayed();
    }
}
