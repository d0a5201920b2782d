//! The state machine from outside: blocks, transactions, nodes, proofs, faults and the mempool.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod blocks;
mod chain;
#[path = "../../../ledger/tests/common/mod.rs"]
mod common;
mod faults;
mod groups;
mod histories;
mod identities;
mod mempool;
mod nodes;
mod proofs;
mod transactions;
