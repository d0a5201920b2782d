//! The machine in a simulated world: people with several devices, a sequencer, four nodes, time, faults.
//!
//! Everything is drawn from one seed, so that a failing one replays exactly: `TOKENIM_SEED=17 cargo test -p tokenim-session
//! --test simulation one_seed`. `TOKENIM_SEEDS` sets how many are tried, `TOKENIM_FIRST` with which they begin, and
//! `TOKENIM_CRASHES=1` that a crash is tried at every place instead of some.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub
)]

mod bad_input;
mod content;
mod conversation;
mod crashes;
mod doors;
mod gone;
mod grace;
mod healing;
mod history;
mod hostile;
mod invariants;
mod parts;
mod roles;
mod seeds;
mod shut_out;
mod time;
mod traffic;
mod welcomes;
mod world;
