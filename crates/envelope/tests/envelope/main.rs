//! Tests of the envelope through its public face, against a second implementation written from the specification.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub
)]

mod draft;
mod hpke_oracle;
mod people;
mod refusals;
mod replay;
mod round_trip;
mod secrets;
mod vectors;

/// Cases of a property test: `default`, or what `TOKENIM_CASES` says.
fn cases(default: u32) -> u32 {
    std::env::var("TOKENIM_CASES").map_or(default, |text| text.parse().expect("TOKENIM_CASES is a number"))
}
