//! A ledger under test: its network, its executor and its last block.

use crate::common::{At, Net, digest, net_with};
use std::sync::Arc;
use tokenim_consensus::{Block, Header, payload_root};
use tokenim_execution::{Committed, ExecutionError, Executor, Proposal, genesis_block};
use tokenim_identity::NodeSigningKey;
use tokenim_ledger::{
    Anchor, Body, IdentityUpdate, LedgerLimits, Outcome, Payload, Rejection, Transaction, VerifiedTransaction,
};
use tokenim_mailbox::QuorumReceipt;
use tokenim_storage::memory::MemoryStateStore;
use tokenim_wire::{BoundedVec, Epoch, Height, Object, UnixMillis};

pub type Store = Arc<MemoryStateStore>;

pub struct Chain {
    pub net: Net,
    pub store: Store,
    pub executor: Executor<Store>,
    pub head: Block,
    pub nonce: u64,
}

/// Limits that let sets change soon, and pending records be carried out after three blocks.
pub fn quick() -> LedgerLimits {
    LedgerLimits {
        transaction_lifetime_heights: 8,
        placement_delay_heights: 3,
        set_change_interval_heights: 2,
        recovery_window_ms: 1_500,
        ..LedgerLimits::default()
    }
}

pub fn chain() -> Chain {
    chain_with(LedgerLimits::default())
}

pub fn chain_with(limits: LedgerLimits) -> Chain {
    chain_of(net_with(4, 4, limits))
}

pub fn chain_of(net: Net) -> Chain {
    let store = Store::default();
    let executor = Executor::open(Arc::clone(&store), &net.config).unwrap();
    Chain {
        head: executor.genesis_block().unwrap(),
        net,
        store,
        executor,
        nonce: 0,
    }
}

impl Chain {
    pub fn height(&self) -> Height {
        self.head.header.height
    }

    /// The next block.
    pub fn next(&self) -> At {
        self.after(&self.head)
    }

    /// The block after this one.
    pub fn after(&self, block: &Block) -> At {
        At {
            height: block.header.height.next().unwrap(),
            time: block.header.time.saturating_add(500),
            window_ms: self.net.config.limits().recovery_window_ms,
        }
    }

    pub fn time(&self) -> UnixMillis {
        self.head.header.time.saturating_add(500)
    }

    /// A transaction sponsored by a node of the genesis.
    pub fn transaction(&mut self, body: impl Into<Body>) -> VerifiedTransaction {
        self.transaction_by(0, body)
    }

    pub fn transaction_by(&mut self, node: usize, body: impl Into<Body>) -> VerifiedTransaction {
        let key = self.net.nodes[node].clone();
        self.transaction_of(&key, body, self.height().saturating_add(5))
    }

    pub fn transaction_of(
        &mut self,
        sponsor: &NodeSigningKey,
        body: impl Into<Body>,
        valid_until: Height,
    ) -> VerifiedTransaction {
        self.nonce += 1;
        Transaction::sponsored(&self.net.id, sponsor, body.into(), valid_until, self.nonce)
            .unwrap()
            .verify(&self.net.id)
            .unwrap()
    }

    pub fn anchor(&mut self, receipts: &[&QuorumReceipt]) -> VerifiedTransaction {
        let leaves = receipts.iter().map(|receipt| receipt.leaf()).collect();
        self.transaction(Body::Anchor(Anchor::new(leaves).unwrap()))
    }

    pub fn update(&mut self, update: IdentityUpdate) -> VerifiedTransaction {
        self.transaction(update)
    }

    /// A block on the head from the transactions that can be applied.
    pub fn propose(&self, transactions: Vec<VerifiedTransaction>) -> Proposal {
        self.executor
            .propose(&self.head, Epoch::ZERO, self.time(), transactions)
            .unwrap()
    }

    /// A block on the head with all of these transactions, whatever comes of them: as a proposer makes it who doesn't
    /// care. Its roots are found by asking what they should be.
    pub fn force(&self, transactions: Vec<VerifiedTransaction>) -> Result<Block, ExecutionError> {
        let list: Vec<Transaction> = transactions
            .into_iter()
            .map(VerifiedTransaction::into_transaction)
            .collect();
        self.force_payload(Payload(BoundedVec::try_from(list).expect("few")).to_bytes().unwrap())
    }

    pub fn force_payload(&self, payload: Vec<u8>) -> Result<Block, ExecutionError> {
        // On another executor, so that this one sees the block for the first time.
        let twin = Executor::open(Store::default(), &self.net.config).unwrap();
        for height in 1..=self.height().get() {
            let block = self.executor.block(Height::new(height)).unwrap().unwrap();
            twin.commit(&block, None).unwrap();
        }
        let empty = twin.propose(&self.head, Epoch::ZERO, self.time(), vec![]).unwrap();
        let mut header = empty.block.header;
        header.payload_root = payload_root(&payload);
        let mut block = Block {
            header,
            payload: payload.clone(),
        };
        // One root after the other is wrong, and the error says which: so try what a block of the applied ones has.
        let applied: Vec<VerifiedTransaction> = Payload::from_bytes(&payload)
            .map(|payload| payload.0.into_inner())
            .unwrap_or_default()
            .into_iter()
            .filter_map(|transaction| transaction.verify(&self.net.id).ok())
            .collect();
        let like = twin.propose(&self.head, Epoch::ZERO, self.time(), applied).unwrap();
        block.header = Header {
            payload_root: header.payload_root,
            ..like.block.header
        };
        match twin.execute(&block) {
            Ok(_) => Ok(block),
            Err(error) => Err(error),
        }
    }

    /// Commits a block and its certificate and moves the head to it.
    pub fn commit(&mut self, block: Block) -> Committed {
        let certificate = self.net.certificate(&block.header);
        let committed = self.executor.commit(&block, Some(&certificate)).unwrap();
        assert!(committed.fresh);
        self.head = block;
        committed
    }

    /// Commits a block of exactly these transactions, all of which are applied.
    pub fn apply(&mut self, transactions: Vec<VerifiedTransaction>) -> Committed {
        let count = transactions.len();
        let proposal = self.propose(transactions);
        assert_eq!(proposal.included.len(), count, "{proposal:?}");
        self.commit(proposal.block)
    }

    /// Commits empty blocks.
    pub fn pass(&mut self, blocks: u64) {
        for _ in 0..blocks {
            let block = self.propose(vec![]).block;
            self.commit(block);
        }
    }

    /// Commits empty blocks up to a height.
    pub fn pass_to(&mut self, height: u64) {
        self.pass(height - self.height().get());
    }

    /// What becomes of a transaction in the next block; checks on the way that a rejected one changes nothing.
    pub fn outcome(&self, transaction: &VerifiedTransaction) -> Outcome {
        let outcome = self.executor.check(transaction, self.time()).unwrap();
        if let Outcome::Rejected(_) = outcome {
            let block = self.force(vec![transaction.clone()]).unwrap();
            let executed = self.executor.execute(&block).unwrap();
            assert_eq!(executed.outcomes(), [(*transaction.id(), outcome)]);
            let empty = self.propose(vec![]).block.header;
            assert_eq!(block.header.state_root, empty.state_root);
            assert_eq!(block.header.receipts_root, empty.receipts_root);
            assert_eq!(block.header.node_set_root, empty.node_set_root);
        }
        outcome
    }

    pub fn rejection(&self, transaction: &VerifiedTransaction) -> Rejection {
        match self.outcome(transaction) {
            Outcome::Rejected(rejection) => rejection,
            Outcome::Applied => panic!("it was applied"),
        }
    }

    /// The same chain on a fresh store, block by block.
    pub fn replayed(&self) -> Executor<Store> {
        let twin = Executor::open(Store::default(), &self.net.config).unwrap();
        assert_eq!(twin.genesis_block().unwrap(), genesis_block(&self.net.config).unwrap());
        for height in 1..=self.height().get() {
            let block = self.executor.block(Height::new(height)).unwrap().unwrap();
            twin.commit(&block, None).unwrap();
        }
        assert_eq!(twin.committed(), self.executor.committed());
        twin
    }
}

/// Some leaf that nobody has a receipt for.
pub fn some_anchor(number: u64) -> Body {
    Body::Anchor(Anchor::new(vec![digest("some leaf", number)]).unwrap())
}
