//! The group log: who adds to it, in which order, every reason for which nothing is added, and a model.

use crate::{
    chain::{Chain, chain, chain_with, quick, some_anchor},
    common::{Session, digest, epoch_key, net, node_key, session},
    nodes::register,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tokenim_execution::{ExecutionError, InvalidBlock, Mempool, MempoolError, MempoolLimits};
use tokenim_ledger::{LedgerLimits, LightClient, Outcome, Rejection, StateKey, VerifiedTransaction};
use tokenim_mailbox::{
    QuorumReceipt,
    group::{GroupEntryId, GroupHandle, GroupNode, GroupUpdate, LedgerPlace, SignedGroupChild},
};
use tokenim_wire::{
    Height, Object, SetEpoch, UnixSeconds,
    limits::{GROUP_COMMIT_KEPT_SECONDS_MIN, SPONSOR_GROUP_UPDATES_PER_BLOCK_MAX},
};

/// What the last block left of an entry, checked as a client does.
fn node(chain: &Chain, handle: &GroupHandle, entry: &GroupEntryId) -> Option<GroupNode> {
    let key = StateKey::group(handle, entry);
    let proof = chain.executor.lookup(&key).unwrap().unwrap();
    let client = LightClient::new(&chain.net.config).unwrap();
    let (header, node) = client.verify_group_node(handle, entry, &proof, None).unwrap();
    assert_eq!(header.height, chain.height());
    let stored = chain.executor.reader().value(&key).unwrap();
    assert_eq!(stored, node.as_ref().map(|node| node.to_bytes().unwrap()));
    node
}

fn entry(update: &GroupUpdate) -> GroupEntryId {
    update.entry().unwrap()
}

/// A child with this receipt in place of its own.
fn with_receipt(update: &GroupUpdate, change: impl FnOnce(&mut QuorumReceipt)) -> GroupUpdate {
    let GroupUpdate::Child(signed) = update else { panic!() };
    let mut signed = signed.clone();
    change(&mut signed.receipts.as_mut_slice()[0]);
    GroupUpdate::Child(signed)
}

/// A chain with one session that is started.
fn started() -> (Chain, Session, GroupHandle) {
    let mut chain = chain();
    let session = session(1);
    let start = chain.transaction(GroupUpdate::Start(session.start));
    chain.apply(vec![start]);
    let handle = session.start.handle();
    (chain, session, handle)
}

/// Why an update of the log makes nothing of the next block.
fn rejection(chain: &mut Chain, update: GroupUpdate) -> Rejection {
    let transaction = chain.transaction(update);
    let rejection = chain.rejection(&transaction);
    assert_eq!(rejection.may_pass_later(), rejection == Rejection::GroupParentUnknown);
    rejection
}

#[test]
fn a_log_grows_by_the_keys_that_its_entries_announce() {
    let mut chain = chain();
    let (one, two) = (session(1), session(2));
    let (handle, root) = (one.start.handle(), one.start.handle().root());
    // Absence can be proved as soon as there is a block.
    chain.pass(1);
    assert_eq!(node(&chain, &handle, &root), None);
    let first = one.follow(&chain.net, root, 5);
    let second = one.follow_by(&chain.net, entry(&first), 7, 6);
    let updates = [
        GroupUpdate::Start(one.start),
        first.clone(),
        GroupUpdate::Start(two.start),
    ];
    let transactions = updates.map(|update| chain.transaction(update)).to_vec();
    let committed = chain.apply(transactions);
    // Whoever waits for an entry is told which ones a block has changed.
    let mut named: Vec<StateKey> = [(&one, root), (&one, entry(&first)), (&two, two.start.handle().root())]
        .map(|(session, entry)| StateKey::group(&session.start.handle(), &entry))
        .to_vec();
    named.sort_unstable();
    assert_eq!(committed.groups, named);
    let place = |chain: &Chain, index| LedgerPlace {
        height: chain.height(),
        time: chain.head.header.time,
        index,
    };
    let at = [0, 1, 2].map(|index| place(&chain, index));
    let parent = node(&chain, &handle, &root).unwrap();
    assert_eq!(
        (parent.key, parent.place, parent.children.len()),
        (one.start.key, at[0], 1)
    );
    assert_eq!(
        (parent.children[0].child.id().unwrap(), parent.children[0].place),
        (entry(&first), at[1])
    );
    let child = node(&chain, &handle, &entry(&first)).unwrap();
    assert_eq!(
        (child.key, child.place, child.children.len()),
        (epoch_key(1, 6).verifying_key(), at[1], 0)
    );
    assert_eq!(
        node(&chain, &two.start.handle(), &two.start.handle().root())
            .unwrap()
            .place,
        at[2]
    );
    // An entry of one session is not one of another.
    assert_eq!(node(&chain, &two.start.handle(), &root), None);

    let transaction = chain.transaction(second.clone());
    chain.apply(vec![transaction]);
    assert_eq!(node(&chain, &handle, &root), Some(parent));
    assert_eq!(node(&chain, &handle, &entry(&first)).unwrap().children.len(), 1);
    assert_eq!(node(&chain, &handle, &entry(&second)).unwrap().place, place(&chain, 0));
    chain.replayed();
}

#[test]
fn of_several_children_the_earlier_one_comes_first() {
    let (mut chain, session, handle) = started();
    let children = [3, 1, 2].map(|commit| session.follow(&chain.net, handle.root(), commit));
    let rejected = session.follow_by(&chain.net, handle.root(), 9, 9);
    let [one, two, three] = [0, 1, 2].map(|at: usize| chain.transaction_by(at, children[at].clone()));
    let rejected = chain.transaction(rejected);
    chain.apply(vec![one]);
    // The transaction between them that is rejected leaves no trace, not even in their places.
    let block = chain.force(vec![two, rejected, three]).unwrap();
    let committed = chain.commit(block);
    assert_eq!(committed.outcomes[1].1, Outcome::Rejected(Rejection::GroupSignature));
    let node = node(&chain, &handle, &handle.root()).unwrap();
    let ids: Vec<_> = node.children.iter().map(|child| child.child.id().unwrap()).collect();
    assert_eq!(ids, children.each_ref().map(entry));
    let places: Vec<_> = node
        .children
        .iter()
        .map(|child| (child.place.height.get(), child.place.index))
        .collect();
    assert_eq!(places, [(2, 0), (3, 0), (3, 1)]);
    chain.replayed();
}

#[test]
fn a_session_starts_once() {
    let (mut chain, session, handle) = started();
    assert_eq!(
        rejection(&mut chain, GroupUpdate::Start(session.start)),
        Rejection::GroupExists
    );
    let child = session.follow(&chain.net, handle.root(), 1);
    let child = chain.transaction(child);
    chain.apply(vec![child]);
    // Also not over entries that there are.
    assert_eq!(
        rejection(&mut chain, GroupUpdate::Start(session.start)),
        Rejection::GroupExists
    );
    // With another key it is another session.
    let mut other = session.start;
    other.key = epoch_key(9, 9).verifying_key();
    assert_ne!(other.handle(), handle);
    let other = chain.transaction(GroupUpdate::Start(other));
    chain.apply(vec![other]);
}

#[test]
fn a_child_follows_an_entry_that_is_there() {
    let (mut chain, one, handle) = started();
    let stranger = session(2);
    let before_the_start = stranger.follow(&chain.net, stranger.start.handle().root(), 1);
    assert_eq!(rejection(&mut chain, before_the_start), Rejection::GroupParentUnknown);
    let unknown = one.follow(&chain.net, [7; 32].into(), 1);
    assert_eq!(rejection(&mut chain, unknown), Rejection::GroupParentUnknown);
    // The entry of another session, though the key is right.
    let (mut child, receipt) = one.child(&chain.net, handle.root(), 1);
    child.handle = stranger.start.handle();
    let signed = SignedGroupChild::sign(&chain.net.id, &epoch_key(1, 0), child, vec![receipt]).unwrap();
    assert_eq!(
        rejection(&mut chain, GroupUpdate::Child(Box::new(signed))),
        Rejection::GroupParentUnknown
    );
}

#[test]
fn an_outsider_adds_nothing() {
    let (mut chain, session, handle) = started();
    let first = session.follow(&chain.net, handle.root(), 1);
    let transaction = chain.transaction(first.clone());
    chain.apply(vec![transaction]);
    // No key at all, the key of the next epoch on this one, and that of the last one on this one.
    for (parent, signer) in [(handle.root(), 99), (handle.root(), 2), (entry(&first), 0)] {
        let update = session.follow_by(&chain.net, parent, 3, signer);
        assert_eq!(rejection(&mut chain, update), Rejection::GroupSignature);
    }
    // Nor may anything in a child be changed after it was signed.
    let GroupUpdate::Child(signed) = session.follow(&chain.net, handle.root(), 3) else {
        panic!()
    };
    let mut changed = signed.clone();
    changed.child.next = epoch_key(9, 9).verifying_key();
    assert_eq!(
        rejection(&mut chain, GroupUpdate::Child(changed)),
        Rejection::GroupSignature
    );
    let mut changed = signed.clone();
    changed.child.commitment = [0; 32].into();
    assert_eq!(
        rejection(&mut chain, GroupUpdate::Child(changed)),
        Rejection::GroupSignature
    );
    // Nor is one of another network taken.
    let elsewhere = digest("elsewhere", 0).into();
    let foreign =
        SignedGroupChild::sign(&elsewhere, &epoch_key(1, 0), signed.child, signed.receipts.into_inner()).unwrap();
    assert_eq!(
        rejection(&mut chain, GroupUpdate::Child(Box::new(foreign))),
        Rejection::GroupSignature
    );
}

#[test]
fn the_same_child_twice_is_there_once() {
    let (mut chain, session, handle) = started();
    let child = session.follow(&chain.net, handle.root(), 1);
    // Through two gateways at once.
    let both = [0, 1].map(|sponsor| chain.transaction_by(sponsor, child.clone()));
    let proposal = chain.propose(both.to_vec());
    assert_eq!(proposal.included, [*both[0].id()]);
    assert_eq!(proposal.refused, [(*both[1].id(), Rejection::GroupChildKnown)]);
    chain.commit(proposal.block);
    assert_eq!(rejection(&mut chain, child.clone()), Rejection::GroupChildKnown);
    // With the receipts of other nodes it is the same child.
    let again = with_receipt(&child, |receipt| {
        let issuers = receipt.issuers.len();
        receipt.issuers = receipt.issuers[1..].to_vec().try_into().unwrap();
        assert!(receipt.issuers.len() < issuers);
    });
    assert_eq!(rejection(&mut chain, again), Rejection::GroupChildKnown);
    assert_eq!(node(&chain, &handle, &handle.root()).unwrap().children.len(), 1);
}

#[test]
fn an_entry_has_eight_children_at_most() {
    let (mut chain, session, handle) = started();
    let children: Vec<_> = (1..=9)
        .map(|commit| session.follow(&chain.net, handle.root(), commit))
        .collect();
    let all: Vec<_> = children.iter().map(|child| chain.transaction(child.clone())).collect();
    let proposal = chain.propose(all.clone());
    assert_eq!(proposal.included.len(), 8);
    assert_eq!(proposal.refused, [(*all[8].id(), Rejection::GroupChildrenFull)]);
    chain.commit(proposal.block);
    assert_eq!(rejection(&mut chain, children[8].clone()), Rejection::GroupChildrenFull);
    assert_eq!(rejection(&mut chain, children[3].clone()), Rejection::GroupChildKnown);
    // Each of them can be followed.
    let after = session.follow_by(&chain.net, entry(&children[7]), 20, 9);
    let after = chain.transaction(after);
    chain.apply(vec![after]);
    chain.replayed();
}

#[test]
fn a_receipt_is_for_the_commit_that_the_child_names() {
    let (mut chain, session, handle) = started();
    let other = chain.net.receipt(999);
    let child = session.follow(&chain.net, handle.root(), 1);
    let foreign = with_receipt(&child, |receipt| *receipt = other.clone());
    assert_eq!(rejection(&mut chain, foreign), Rejection::GroupReceiptForeign);
    for change in [
        (|receipt: &mut QuorumReceipt| receipt.tag = [1; 32].into()) as fn(&mut QuorumReceipt),
        |receipt| receipt.envelope = [1; 32].into(),
    ] {
        assert_eq!(
            rejection(&mut chain, with_receipt(&child, change)),
            Rejection::GroupReceiptForeign
        );
    }
}

#[test]
fn a_commit_in_parts_needs_a_receipt_of_each() {
    let (mut chain, session, handle) = started();
    let parts = |which: &[u64], change: fn(&mut Vec<QuorumReceipt>)| {
        session.follow_in_parts(&chain.net, handle.root(), which, change)
    };
    let refused = [
        (
            parts(&[1, 2, 3], |receipts| receipts.truncate(2)),
            Rejection::GroupReceiptForeign,
        ),
        (
            parts(&[1, 2, 3], |receipts| receipts.swap(1, 2)),
            Rejection::GroupReceiptForeign,
        ),
        (
            parts(&[1, 2, 3], |receipts| receipts[2] = receipts[1].clone()),
            Rejection::GroupReceiptForeign,
        ),
        (
            parts(&[1, 2], |receipts| receipts.push(receipts[0].clone())),
            Rejection::GroupReceiptForeign,
        ),
        (
            parts(&[1, 2, 3], |receipts| receipts[2].expiry = UnixSeconds::ZERO),
            Rejection::GroupKeptTooShortly,
        ),
        (
            parts(&[1, 2, 3], |receipts| receipts[2].set_epoch = SetEpoch::new(9)),
            Rejection::GroupReceiptSetEpoch,
        ),
        (
            parts(&[1, 2, 3], |receipts| {
                receipts[2].issuers = receipts[2].issuers[..2].to_vec().try_into().unwrap();
            }),
            Rejection::GroupReceipt,
        ),
    ];
    let taken = [parts(&[1, 2, 3], |_| {}), parts(&[1, 2, 3, 4, 5, 6, 7, 8], |_| {})];
    for (update, expected) in refused {
        assert_eq!(rejection(&mut chain, update), expected);
    }
    for update in &taken {
        let transaction = chain.transaction(update.clone());
        chain.apply(vec![transaction]);
    }
    let node = node(&chain, &handle, &handle.root()).unwrap();
    let counts: Vec<_> = node.children.iter().map(|known| known.child.envelopes.len()).collect();
    assert_eq!(counts, [3, 8]);
    chain.replayed();
}

#[test]
fn a_commit_is_stored_by_a_quorum() {
    let (mut chain, session, handle) = started();
    let child = session.follow(&chain.net, handle.root(), 1);
    let few = with_receipt(&child, |receipt| {
        receipt.issuers = receipt.issuers[..2].to_vec().try_into().unwrap();
    });
    assert_eq!(rejection(&mut chain, few), Rejection::GroupReceipt);
    let forged = with_receipt(&child, |receipt| {
        let signature = receipt.issuers[1].signature;
        receipt.issuers.as_mut_slice()[0].signature = signature;
    });
    assert_eq!(rejection(&mut chain, forged), Rejection::GroupReceipt);
    let longer = with_receipt(&child, |receipt| receipt.expiry = receipt.expiry.saturating_add(1));
    assert_eq!(rejection(&mut chain, longer), Rejection::GroupReceipt);
}

#[test]
fn a_commit_is_kept_for_a_while() {
    let (mut chain, session, handle) = started();
    let child = session.follow(&chain.net, handle.root(), 1);
    let until = |after: u64| UnixSeconds::new(chain.time().get() / 1_000 + after);
    let (short, long) = (
        until(GROUP_COMMIT_KEPT_SECONDS_MIN - 1),
        until(GROUP_COMMIT_KEPT_SECONDS_MIN),
    );
    let short = with_receipt(&child, |receipt| receipt.expiry = short);
    assert_eq!(rejection(&mut chain, short), Rejection::GroupKeptTooShortly);
    // Long enough, though not what the nodes have signed.
    let long = with_receipt(&child, |receipt| receipt.expiry = long);
    assert_eq!(rejection(&mut chain, long), Rejection::GroupReceipt);
}

#[test]
fn a_receipt_is_of_the_current_node_set_or_of_the_one_before() {
    let mut chain = chain_with(quick());
    let session = session(1);
    let (handle, start) = (
        session.start.handle(),
        chain.transaction(GroupUpdate::Start(session.start)),
    );
    chain.apply(vec![start]);
    let children = [1, 2, 3].map(|commit| session.follow(&chain.net, handle.root(), commit));
    let future = with_receipt(&children[0], |receipt| receipt.set_epoch = SetEpoch::new(1));
    assert_eq!(rejection(&mut chain, future), Rejection::GroupReceiptSetEpoch);
    let [one, two, three] = children;
    for (epoch, child) in [(0, one), (1, two)] {
        assert_eq!(chain.executor.node_set().epoch(), SetEpoch::new(epoch));
        let transaction = chain.transaction(child);
        chain.apply(vec![transaction]);
        register(&mut chain, &node_key(10 + epoch));
        while chain.executor.node_set().epoch() == SetEpoch::new(epoch) {
            chain.pass(1);
        }
    }
    assert_eq!(chain.executor.node_set().epoch(), SetEpoch::new(2));
    assert_eq!(rejection(&mut chain, three), Rejection::GroupReceiptSetEpoch);
    chain.replayed();
}

#[test]
fn group_updates_have_a_part_of_the_quota_of_their_sponsor() {
    let mut chain = chain();
    let most = SPONSOR_GROUP_UPDATES_PER_BLOCK_MAX;
    let starts: Vec<_> = (0..=most as u64)
        .map(|number| chain.transaction(GroupUpdate::Start(session(number).start)))
        .collect();
    let anchor = chain.transaction(some_anchor(0));
    let all: Vec<_> = starts.iter().cloned().chain([anchor.clone()]).collect();
    let proposal = chain.propose(all.clone());
    assert_eq!(proposal.deferred, [*starts[most].id()]);
    assert_eq!(proposal.included.len(), most + 1);
    assert!(proposal.included.contains(anchor.id()));
    assert_eq!(
        chain.force(all).unwrap_err(),
        ExecutionError::Invalid(InvalidBlock::SponsorQuota { index: most })
    );
    // A commit in parts counts as many times as it has receipts to verify.
    let heavy: Vec<u64> = (1..=8).collect();
    let heavy = session(0).follow_in_parts(&chain.net, session(0).start.handle().root(), &heavy, |_| {});
    let heavy = chain.transaction(heavy);
    let room = most - 8;
    let with_it = |starts_before: usize| [&starts[..starts_before], std::slice::from_ref(&heavy)].concat();
    assert_eq!(chain.propose(with_it(room)).included.len(), room + 1);
    assert_eq!(chain.propose(with_it(room + 1)).included.len(), room + 1);
    assert_eq!(
        chain.force(with_it(room + 1)).unwrap_err(),
        ExecutionError::Invalid(InvalidBlock::SponsorQuota { index: room + 1 })
    );
    // Another sponsor has its own.
    let others: Vec<_> = (50..53)
        .map(|number| chain.transaction_by(1, GroupUpdate::Start(session(number).start)))
        .collect();
    let all = starts[..most].iter().cloned().chain(others).collect();
    chain.apply(all);
    chain.replayed();
}

#[test]
fn a_network_may_allow_fewer_transactions_than_group_updates() {
    let mut chain = chain_with(LedgerLimits {
        sponsor_transactions_per_block: 2,
        ..LedgerLimits::default()
    });
    let starts: Vec<_> = (0..3)
        .map(|number| chain.transaction(GroupUpdate::Start(session(number).start)))
        .collect();
    assert_eq!(chain.propose(starts).included.len(), 2);
}

#[test]
fn group_updates_that_wait_leave_room_for_the_rest() {
    let net = net(4, 4);
    let mut pool = Mempool::new(MempoolLimits::default());
    let mut nonce = 0;
    let mut made = |body: tokenim_ledger::Body| -> VerifiedTransaction {
        nonce += 1;
        tokenim_ledger::Transaction::sponsored(&net.id, &net.nodes[0], body, Height::new(9), nonce)
            .unwrap()
            .verify(&net.id)
            .unwrap()
    };
    let most = SPONSOR_GROUP_UPDATES_PER_BLOCK_MAX as u64;
    let starts: Vec<_> = (0..=most)
        .map(|number| made(GroupUpdate::Start(session(number).start).into()))
        .collect();
    let (last, first) = starts.split_last().unwrap();
    for start in first {
        pool.insert(start.clone(), Height::ZERO).unwrap();
    }
    assert_eq!(pool.insert(last.clone(), Height::ZERO), Err(MempoolError::SponsorQuota));
    for number in 0..4 {
        pool.insert(made(some_anchor(number)), Height::ZERO).unwrap();
    }
    // What leaves makes room again, for one that weighs as much.
    pool.committed(Height::new(1), [first[0].id()]);
    let heavy = session(200).follow_in_parts(&net, session(200).start.handle().root(), &[1, 2], |_| {});
    let heavy = made(heavy.into());
    assert_eq!(pool.insert(heavy, Height::new(1)), Err(MempoolError::SponsorQuota));
    pool.insert(last.clone(), Height::new(1)).unwrap();
    pool.committed(Height::new(9), []);
    assert!(pool.is_empty());
    for number in 0..most {
        let later = made(GroupUpdate::Start(session(100 + number).start).into());
        assert_eq!(pool.insert(later, Height::new(9)), Err(MempoolError::Expired));
    }
}

/// What someone tries.
#[derive(Clone, Debug)]
enum Try {
    Start { session: u64 },
    Child { parent: usize, signer: u64, commit: u64 },
    Receipt { parent: usize, commit: u64 },
    Again { back: usize },
}

fn attempt() -> impl Strategy<Value = Try> {
    prop_oneof![
        2 => (1_u64..4).prop_map(|session| Try::Start { session }),
        6 => (0_usize..8, 0_u64..4, 0_u64..4).prop_map(|(parent, signer, commit)| Try::Child {
            parent,
            signer,
            commit
        }),
        1 => (0_usize..8, 0_u64..4).prop_map(|(parent, commit)| Try::Receipt { parent, commit }),
        1 => (0_usize..6).prop_map(|back| Try::Again { back }),
    ]
}

/// An entry as the model has it: of which session, whose key, and what follows.
struct Modelled {
    session: u64,
    key: u64,
    children: Vec<GroupEntryId>,
}

#[derive(Default)]
struct Model {
    entries: BTreeMap<(GroupHandle, GroupEntryId), Modelled>,
    /// In the order in which they came.
    order: Vec<(GroupHandle, GroupEntryId)>,
}

impl Model {
    fn insert(&mut self, place: (GroupHandle, GroupEntryId), session: u64, key: u64) {
        let children = Vec::new();
        self.entries.insert(place, Modelled { session, key, children });
        self.order.push(place);
    }

    /// What becomes of an attempt.
    fn expect(&mut self, update: &GroupUpdate, signer: u64, commit: u64, broken: bool) -> Result<(), Rejection> {
        let (handle, id) = (update.handle(), entry(update));
        match update {
            GroupUpdate::Start(start) => {
                if self.entries.contains_key(&(handle, id)) {
                    return Err(Rejection::GroupExists);
                }
                let number = (1..4).find(|number| session(*number).start == *start).unwrap();
                self.insert((handle, id), number, 0);
            }
            GroupUpdate::Child(signed) => {
                let parent = (handle, signed.child.parent);
                let Some(known) = self.entries.get_mut(&parent) else {
                    return Err(Rejection::GroupParentUnknown);
                };
                if known.children.contains(&id) {
                    return Err(Rejection::GroupChildKnown);
                }
                if known.children.len() == 8 {
                    return Err(Rejection::GroupChildrenFull);
                }
                if known.key != signer {
                    return Err(Rejection::GroupSignature);
                }
                if broken {
                    return Err(Rejection::GroupReceipt);
                }
                known.children.push(id);
                let session = known.session;
                self.insert((handle, id), session, commit + 1);
            }
            _ => panic!(),
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::transactions::cases()))]

    #[test]
    fn all_nodes_have_the_log_that_the_model_has(
        blocks in prop::collection::vec(prop::collection::vec(attempt(), 0..8), 1..8),
    ) {
        let mut chain = chain();
        let mut model = Model::default();
        let mut sent: Vec<(GroupUpdate, u64, u64, bool)> = Vec::new();
        for attempts in blocks {
            let (mut transactions, mut expected) = (Vec::new(), Vec::new());
            let known = model.order.clone();
            for (sponsor, attempt) in attempts.into_iter().enumerate() {
                let of = |parent: usize| {
                    let place = known.get(parent)?;
                    Some((session(model.entries[place].session), place.1))
                };
                let made = match attempt {
                    Try::Start { session: number } => Some((GroupUpdate::Start(session(number).start), 0, 0, false)),
                    Try::Child { parent, signer, commit } => of(parent).map(|(session, parent)| {
                        (session.follow_by(&chain.net, parent, commit, signer), signer, commit, false)
                    }),
                    Try::Receipt { parent, commit } => of(parent).map(|(session, parent)| {
                        let update = session.follow_by(&chain.net, parent, commit, 0);
                        let update = with_receipt(&update, |receipt| {
                            receipt.issuers.as_mut_slice()[0].height = Height::new(1);
                        });
                        (update, 0, commit, true)
                    }),
                    Try::Again { back } => sent.len().checked_sub(back + 1).map(|place| sent[place].clone()),
                };
                let Some(made) = made else { continue };
                expected.push(match model.expect(&made.0, made.1, made.2, made.3) {
                    Ok(()) => Outcome::Applied,
                    Err(rejection) => Outcome::Rejected(rejection),
                });
                transactions.push(chain.transaction_by(sponsor % 4, made.0.clone()));
                sent.push(made);
            }
            let block = chain.force(transactions.clone()).unwrap();
            let committed = chain.commit(block);
            let outcomes: Vec<Outcome> = committed.outcomes.iter().map(|(_, outcome)| *outcome).collect();
            prop_assert_eq!(outcomes, expected);
        }
        for ((handle, id), known) in &model.entries {
            let node = node(&chain, handle, id).unwrap();
            let children: Vec<_> = node.children.iter().map(|child| child.child.id().unwrap()).collect();
            prop_assert_eq!(&children, &known.children);
            prop_assert_eq!(node.key, epoch_key(known.session, known.key).verifying_key());
            prop_assert!(node.children.is_sorted_by_key(|child| child.place));
        }
        // Another node comes to the same roots, block by block.
        chain.replayed();
    }
}
