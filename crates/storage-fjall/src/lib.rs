#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod engine;
mod error;
mod install;
mod options;
mod records;
mod space;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use error::OpenError;
pub use install::InstallId;
pub use options::FjallOptions;
pub use store::FjallStore;
