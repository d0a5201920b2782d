//! The step core against nodes that are honest, lie, or fail.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod anchoring;
#[path = "../../../ledger/tests/common/mod.rs"]
mod common;
mod contact;
mod contact_key;
mod delivery;
mod ledger;
mod merge;
mod name;
mod reading;
mod seen;
mod state;
mod stranger;
mod world;
