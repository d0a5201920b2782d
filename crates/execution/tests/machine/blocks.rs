//! Blocks: valid, invalid, pending, in siblings, repeated.

use crate::{
    chain::{Chain, chain, chain_with, some_anchor},
    common::{digest, person},
};
use tokenim_consensus::{Block, BlockDigest, Header, Verdict};
use tokenim_execution::{BLOCK_TIME_AHEAD_MILLIS_MAX, ExecutionError, InvalidBlock, OVERLAYS_MAX, genesis_block};
use tokenim_ledger::{LedgerLimits, Outcome, Payload, Transaction};
use tokenim_wire::{BoundedVec, DecodeError, Digest, Epoch, Height, Object, UnixMillis};

fn invalid(chain: &Chain, block: &Block) -> InvalidBlock {
    match chain.executor.execute(block) {
        Err(ExecutionError::Invalid(invalid)) => {
            // Nor is it final, whatever its certificate says.
            let certificate = chain.net.certificate(&block.header);
            assert_eq!(
                chain.executor.commit(block, Some(&certificate)).unwrap_err(),
                ExecutionError::Invalid(invalid)
            );
            assert_eq!(
                chain.executor.verdict(block, UnixMillis::MAX),
                Ok(Verdict::Invalid(invalid.reason()))
            );
            invalid
        }
        other => panic!("{other:?}"),
    }
}

fn with_header(block: &Block, change: impl FnOnce(&mut Header)) -> Block {
    let mut block = block.clone();
    change(&mut block.header);
    block
}

#[test]
fn the_genesis_block_follows_from_the_configuration() {
    let chain = chain();
    assert_eq!(chain.head, genesis_block(&chain.net.config).unwrap());
    let header = chain.head.header;
    assert_eq!(header.chain, chain.net.id);
    assert_eq!((header.height, header.epoch), (Height::ZERO, Epoch::ZERO));
    assert_eq!(header.time, chain.net.config.started());
    assert_eq!(header.next_validators, chain.net.config.validators().digest());
    assert_eq!(chain.executor.committed(), (Height::ZERO, header.digest()));
}

#[test]
fn replaying_a_chain_gives_the_same_headers() {
    let mut chain = chain();
    let mut people = (0..6).map(person).collect::<Vec<_>>();
    for round in 0..4_u64 {
        let at = chain.next();
        let mut transactions = Vec::new();
        for (number, person) in people.iter_mut().enumerate() {
            let update = match round {
                3 => person.revoke_device(&chain.net.id, number as u64 * 10, at),
                _ => person.add_device(&chain.net.id, number as u64 * 10 + round, at),
            };
            transactions.push(chain.update(update));
        }
        transactions.push(chain.transaction_by(1, some_anchor(round)));
        chain.apply(transactions);
        chain.pass(2);
    }
    let twin = chain.replayed();
    assert_eq!(twin.tip(), chain.head.header);
}

#[test]
fn a_proposal_is_valid_elsewhere() {
    let mut chain = chain();
    let transactions = vec![chain.transaction(some_anchor(0)), chain.transaction(some_anchor(1))];
    let proposal = chain.propose(transactions);
    let twin = chain.replayed();
    let executed = twin.execute(&proposal.block).unwrap();
    assert_eq!(executed.outcomes().len(), 2);
    assert!(
        executed
            .outcomes()
            .iter()
            .all(|(_, outcome)| *outcome == Outcome::Applied)
    );
    assert_eq!(executed.height(), Height::new(1));
    assert_eq!(*executed.digest(), proposal.block.digest());
    assert_eq!(twin.verdict(&proposal.block, chain.time()), Ok(Verdict::Valid));
    assert!(twin.is_executed(executed.digest()).unwrap());
}

#[test]
fn siblings_do_not_see_each_other() {
    let mut chain = chain();
    let mut ann = person(1);
    let base = ann.state.clone();
    let first = ann.add_device(&chain.net.id, 1, chain.next());
    ann.state = base;
    let second = ann.add_device(&chain.net.id, 2, chain.next());
    let first = chain.update(first);
    let second = chain.update(second);
    // Both are record 1 of the same identity: each is applied in its own block, at one height.
    let left = chain.propose(vec![first.clone()]).block;
    let right = chain.propose(vec![second.clone()]).block;
    assert_ne!(left.header.state_root, right.header.state_root);
    // And children of both, at one height too.
    let time = chain.time().saturating_add(500);
    let below_left = chain
        .executor
        .propose(&left, Epoch::ZERO, time, vec![second.clone()])
        .unwrap();
    assert!(below_left.included.is_empty() && below_left.refused.is_empty());
    assert_eq!(below_left.deferred, [*second.id()]);
    let below_right = chain.executor.propose(&right, Epoch::ZERO, time, vec![first]).unwrap();
    assert!(below_right.included.is_empty());
    assert_eq!(chain.executor.pending_transactions(&right.digest()).len(), 1);
    assert!(
        chain
            .executor
            .pending_transactions(&below_right.block.digest())
            .contains(second.id())
    );
    // The right one becomes final; the left one and its child are gone.
    chain.commit(right);
    assert!(!chain.executor.is_executed(&left.digest()).unwrap());
    assert!(!chain.executor.is_executed(&below_left.block.digest()).unwrap());
    assert!(chain.executor.is_executed(&below_right.block.digest()).unwrap());
    assert_eq!(
        chain.executor.execute(&below_left.block).unwrap_err(),
        ExecutionError::UnknownParent { parent: left.digest() }
    );
    chain.commit(below_right.block);
    chain.replayed();
}

#[test]
fn a_chain_of_speculative_blocks_commits_one_by_one() {
    let mut chain = chain();
    let mut ann = person(1);
    let mut parent = chain.head.clone();
    let mut blocks = Vec::new();
    for number in 0..5 {
        let at = chain.after(&parent);
        let update = ann.add_device(&chain.net.id, number, at);
        let transaction = chain.update(update);
        let time = parent.header.time.saturating_add(500);
        let proposal = chain
            .executor
            .propose(&parent, Epoch::ZERO, time, vec![transaction])
            .unwrap();
        assert_eq!(proposal.included.len(), 1);
        parent = proposal.block.clone();
        blocks.push(proposal.block);
    }
    // Another node gets them in order and executes all before the first is final.
    let twin = chain.replayed();
    for block in &blocks {
        twin.execute(block).unwrap();
    }
    for block in blocks {
        twin.commit(&block, None).unwrap();
        chain.commit(block);
    }
    assert_eq!(twin.tip(), chain.executor.tip());
    chain.replayed();
}

#[test]
fn a_block_whose_parent_is_unknown_waits() {
    let mut chain = chain();
    let first = chain.propose(vec![]).block;
    let time = chain.time().saturating_add(1);
    let second = chain.executor.propose(&first, Epoch::ZERO, time, vec![]).unwrap().block;
    let twin = chain.replayed();
    let unknown = ExecutionError::UnknownParent { parent: first.digest() };
    assert_eq!(twin.execute(&second).unwrap_err(), unknown);
    assert_eq!(twin.verdict(&second, time), Ok(Verdict::Pending));
    assert_eq!(twin.propose(&first, Epoch::ZERO, time, vec![]).unwrap_err(), unknown);
    assert_eq!(
        twin.commit(&second, None).unwrap_err(),
        ExecutionError::NotNext {
            expected: Height::new(1),
            actual: Height::new(2)
        }
    );
    twin.execute(&first).unwrap();
    assert_eq!(twin.verdict(&second, time), Ok(Verdict::Valid));
    chain.commit(first);
    chain.commit(second);
}

#[test]
fn a_block_from_the_future_waits_but_can_be_committed() {
    let chain = chain();
    let block = chain.propose(vec![]).block;
    let twin = chain.replayed();
    let early = UnixMillis::new(block.header.time.get() - BLOCK_TIME_AHEAD_MILLIS_MAX);
    assert_eq!(
        twin.verdict(&block, UnixMillis::new(early.get() - 1)),
        Ok(Verdict::Pending)
    );
    assert!(!twin.is_executed(&block.digest()).unwrap());
    assert_eq!(twin.verdict(&block, early), Ok(Verdict::Valid));
    let third = chain.replayed();
    third.commit(&block, None).unwrap();
}

#[test]
fn the_time_of_a_proposal_is_after_its_parents() {
    let chain = chain();
    let early = UnixMillis::new(0);
    let block = chain
        .executor
        .propose(&chain.head, Epoch::ZERO, early, vec![])
        .unwrap()
        .block;
    assert_eq!(block.header.time, chain.head.header.time.saturating_add(1));
}

#[test]
fn a_header_that_does_not_follow() {
    let chain = chain();
    let good = chain.propose(vec![]).block;
    let changes: [fn(&mut Header); 5] = [
        |header| header.chain = digest("other", 0).into(),
        |header| header.height = Height::new(2),
        |header| header.time = crate::common::STARTED,
        |header| header.epoch = Epoch::new(2),
        |header| header.height = Height::new(0),
    ];
    for change in changes {
        let block = with_header(&good, change);
        assert_eq!(
            chain.executor.execute(&block).unwrap_err(),
            ExecutionError::Invalid(InvalidBlock::Header)
        );
    }
}

#[test]
fn a_header_with_a_wrong_root() {
    let chain = chain();
    let good = chain.propose(vec![]).block;
    let wrong: Digest = digest("wrong", 0);
    type Change = fn(&mut Header, Digest);
    let cases: [(Change, InvalidBlock); 6] = [
        (|header, wrong| header.payload_root = wrong, InvalidBlock::PayloadRoot),
        (|header, wrong| header.state_root = wrong, InvalidBlock::StateRoot),
        (|header, wrong| header.receipts_root = wrong, InvalidBlock::ReceiptsRoot),
        (|header, wrong| header.node_set_root = wrong, InvalidBlock::NodeSetRoot),
        (
            |header, wrong| header.header_mmr_root = wrong,
            InvalidBlock::HeaderMmrRoot,
        ),
        (
            |header, wrong| header.next_validators = wrong,
            InvalidBlock::NextValidators,
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(
            invalid(&chain, &with_header(&good, |header| change(header, wrong))),
            expected
        );
    }
}

#[test]
fn a_payload_that_is_none() {
    let chain = chain();
    let payload = |bytes: &[u8]| match chain.force_payload(bytes.to_vec()) {
        Err(ExecutionError::Invalid(invalid)) => invalid,
        other => panic!("{other:?}"),
    };
    assert_eq!(payload(&[]), InvalidBlock::Payload(DecodeError::Truncated));
    assert_eq!(payload(&[1]), InvalidBlock::Payload(DecodeError::Truncated));
    assert_eq!(payload(&[1, 0, 0]), InvalidBlock::Payload(DecodeError::TrailingBytes));
    assert_eq!(
        payload(&[1, 0x80, 0x00]),
        InvalidBlock::Payload(DecodeError::NotCanonical)
    );
    assert_eq!(payload(&[1, 0x81, 0x20]), InvalidBlock::Payload(DecodeError::Malformed));
    assert!(matches!(
        payload(&[2, 0]),
        InvalidBlock::Payload(DecodeError::UnknownVersion { version: 2, .. })
    ));
}

#[test]
fn a_transaction_that_its_sponsor_did_not_sign() {
    let mut chain = chain();
    let good = chain.transaction(some_anchor(0)).into_transaction();
    let refused = |transaction: Transaction| {
        let list = BoundedVec::try_from(vec![transaction]).unwrap();
        match chain.force_payload(Payload(list).to_bytes().unwrap()) {
            Err(ExecutionError::Invalid(invalid)) => invalid,
            other => panic!("{other:?}"),
        }
    };
    let expected = InvalidBlock::Transaction { index: 0 };
    let mut changed = good.clone();
    changed.nonce += 1;
    assert_eq!(refused(changed), expected);
    let mut changed = good.clone();
    changed.sponsor = chain.net.nodes[1].verifying_key();
    assert_eq!(refused(changed), expected);
    let foreign = Transaction::sponsored(
        &digest("elsewhere", 0).into(),
        &chain.net.nodes[0],
        good.body,
        good.valid_until,
        good.nonce,
    );
    assert_eq!(refused(foreign.unwrap()), expected);
}

#[test]
fn a_block_past_the_quota_of_a_sponsor() {
    let mut chain = chain_with(LedgerLimits {
        sponsor_transactions_per_block: 3,
        ..LedgerLimits::default()
    });
    let four: Vec<_> = (0..4).map(|number| chain.transaction(some_anchor(number))).collect();
    // A proposer leaves out what is too much…
    let proposal = chain.propose(four.clone());
    assert_eq!(proposal.included.len(), 3);
    assert_eq!(proposal.deferred, [*four[3].id()]);
    // …and one that doesn't makes no block, though all could be applied, or none.
    assert_eq!(
        chain.force(four.clone()).unwrap_err(),
        ExecutionError::Invalid(InvalidBlock::SponsorQuota { index: 3 })
    );
    chain.commit(proposal.block);
    assert_eq!(
        chain.force(vec![four[0].clone(); 4]).unwrap_err(),
        ExecutionError::Invalid(InvalidBlock::SponsorQuota { index: 3 })
    );
}

#[test]
fn two_of_the_same_transaction_in_a_block() {
    let mut chain = chain();
    let one = chain.transaction(some_anchor(0));
    let block = chain.force(vec![one.clone(), one.clone()]).unwrap();
    let committed = chain.commit(block);
    let outcomes: Vec<Outcome> = committed.outcomes.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Applied, Outcome::Rejected(tokenim_ledger::Rejection::Replayed)]
    );
    let status = chain.executor.transaction_status(one.id()).unwrap();
    assert_eq!(status, Some((Height::new(1), Outcome::Applied)));
}

#[test]
fn committing_again_changes_nothing() {
    let mut chain = chain();
    let transaction = chain.transaction(some_anchor(0));
    let block = chain.propose(vec![transaction]).block;
    let first = chain.commit(block.clone());
    assert_eq!((first.outcomes.len(), first.leaves.len()), (1, 1));
    let certificate = chain.net.certificate(&block.header);
    for certificate in [None, Some(&certificate)] {
        let again = chain.executor.commit(&block, certificate).unwrap();
        assert!(!again.fresh && again.outcomes.is_empty());
        assert_eq!((again.height, again.digest), (first.height, first.digest));
    }
    // Executing it again is fine too; building on what is below it is not.
    assert!(chain.executor.execute(&block).unwrap().outcomes().is_empty());
    let genesis = chain.executor.genesis_block().unwrap();
    assert!(matches!(
        chain.executor.propose(&genesis, Epoch::ZERO, chain.time(), vec![]),
        Err(ExecutionError::UnknownParent { .. })
    ));
}

#[test]
fn another_final_block_at_a_height_is_a_fork() {
    let mut chain = chain();
    let other = chain
        .executor
        .propose(&chain.head, Epoch::ZERO, chain.time().saturating_add(7), vec![]);
    let other = other.unwrap().block;
    chain.pass(1);
    assert_eq!(
        chain.executor.commit(&other, None).unwrap_err(),
        ExecutionError::Fork { height: Height::new(1) }
    );
    let mut orphan = chain.propose(vec![]).block;
    orphan.header.parent = BlockDigest::from_bytes([7; 32]);
    assert_eq!(
        chain.executor.commit(&orphan, None).unwrap_err(),
        ExecutionError::Fork { height: Height::new(1) }
    );
}

#[test]
fn speculative_blocks_are_kept_up_to_a_number_and_executed_again_when_needed() {
    let mut chain = chain();
    let first = chain.propose(vec![]).block;
    for offset in 1..=OVERLAYS_MAX as u64 {
        let time = chain.time().saturating_add(offset);
        chain.executor.propose(&chain.head, Epoch::ZERO, time, vec![]).unwrap();
    }
    assert!(!chain.executor.is_executed(&first.digest()).unwrap());
    chain.executor.execute(&first).unwrap();
    chain.commit(first);
    // A long chain keeps its ancestors as long as it can.
    let mut parent = chain.head.clone();
    for _ in 0..OVERLAYS_MAX {
        let time = parent.header.time.saturating_add(1);
        parent = chain
            .executor
            .propose(&parent, Epoch::ZERO, time, vec![])
            .unwrap()
            .block;
    }
    assert!(chain.executor.is_executed(&parent.digest()).unwrap());
}

#[test]
fn a_foreign_or_unknown_store_is_refused() {
    use std::sync::Arc;
    use tokenim_execution::Executor;
    use tokenim_storage::{Batch, StateStore, Table};
    let mut chain = chain();
    chain.pass(3);
    let other = crate::common::net(7, 7);
    assert_eq!(
        Executor::open(Arc::clone(&chain.store), &other.config).err(),
        Some(ExecutionError::ForeignNetwork {
            expected: other.id,
            stored: chain.net.id
        })
    );
    // It is as it was.
    let again = Executor::open(Arc::clone(&chain.store), &chain.net.config).unwrap();
    assert_eq!(again.committed(), chain.executor.committed());
    let mut batch = Batch::new();
    batch.put(Table::new("ledger/meta"), b"format".to_vec(), vec![9]);
    chain.store.commit(batch).unwrap();
    assert_eq!(
        Executor::open(Arc::clone(&chain.store), &chain.net.config).err(),
        Some(ExecutionError::UnknownFormat(9))
    );
}
