//! The chain of `tests/vectors`, which a second implementation ran from the spec.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use serde::Deserialize;
use tokenim_consensus::Block;
use tokenim_execution::{Executor, genesis_block};
use tokenim_ledger::{NetworkConfig, Outcome};
use tokenim_storage::memory::MemoryStateStore;
use tokenim_wire::{Object, hex};

#[derive(Deserialize)]
struct Vector {
    config: String,
    genesis: String,
    blocks: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    block: String,
    /// For each transaction, the number of its rejection; none if it is applied.
    outcomes: Vec<Option<u16>>,
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[test]
fn a_chain_leads_to_the_same_headers_and_outcomes() {
    let vector: Vector = serde_json::from_str(include_str!("vectors/chain.json")).unwrap();
    let config = NetworkConfig::from_bytes(&bytes(&vector.config)).unwrap();
    assert_eq!(
        genesis_block(&config).unwrap().to_bytes().unwrap(),
        bytes(&vector.genesis)
    );
    let executor = Executor::open(MemoryStateStore::new(), &config).unwrap();
    for (at, step) in vector.blocks.iter().enumerate() {
        let block = Block::from_bytes(&bytes(&step.block)).unwrap();
        assert_eq!(block.header.height.get(), at as u64 + 1);
        let executed = executor
            .execute(&block)
            .unwrap_or_else(|error| panic!("block {}: {error}", at + 1));
        let outcomes: Vec<Option<u16>> = executed
            .outcomes()
            .iter()
            .map(|(_, outcome)| match outcome {
                Outcome::Applied => None,
                Outcome::Rejected(rejection) => Some(rejection.code()),
            })
            .collect();
        assert_eq!(outcomes, step.outcomes, "block {}", at + 1);
        executor.commit(&block, None).unwrap();
    }
    assert_eq!(executor.committed().0.get(), vector.blocks.len() as u64);
}
