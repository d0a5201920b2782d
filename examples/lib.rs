//! Small programs on single TokenIM crates; run one with `cargo run --package tokenim-examples --example NAME`.
//!
//! * `seal_and_open`: the envelope alone.
//! * `verify_proof`: the light client alone, on a proof from a file or made on the spot.
//! * `custom_client`: a small client of your own on the crates.
//! * `chat`: conversations, in a network of its own.
//! * `three_nodes`: nodes inside a program of yours.
