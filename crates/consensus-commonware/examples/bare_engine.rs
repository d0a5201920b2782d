//! The engine alone: validators in one process, joined by channels, with their journals synced to a
//! real disk and an application that does nothing. Prints the time from submitting a payload to
//! its block being final where it was submitted, and the rate of blocks.
//!
//! ```sh
//! cargo run --release -p tokenim-consensus-commonware --example bare_engine -- \
//!     --validators 4 --payload 1024 --rate 50 --seconds 10 --dir DIR --json
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;

#[path = "../tests/support/mod.rs"]
mod support;

fn argument<T: std::str::FromStr>(name: &str, default: T) -> T {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match arguments.nth(1) {
        Some(value) => value
            .parse()
            .ok()
            .unwrap_or_else(|| panic!("{name} {value} is not understood")),
        None => default,
    }
}

#[tokio::main]
async fn main() {
    let validators: u8 = argument("--validators", 4);
    let size: usize = argument("--payload", 1024);
    let rate: f64 = argument("--rate", 50.0);
    let seconds: f64 = argument("--seconds", 10.0);
    let json = std::env::args().any(|argument| argument == "--json");
    let temporary = tempfile::tempdir().unwrap();
    let directory: PathBuf = argument("--dir", temporary.path().to_owned());

    let bare = support::bare::run(&directory, validators, size, rate, seconds).await;
    let (count, latencies) = (bare.submitted, &bare.latencies);
    let (p50, p99) = (bare.percentile_ms(50), bare.percentile_ms(99));
    let per_second = bare.blocks_per_second;
    if json {
        println!(
            "{}",
            serde_json::json!({
                "validators": validators, "payload_bytes": size, "rate": rate, "submitted": count,
                "final": latencies.len(), "finality_ms_p50": p50, "finality_ms_p99": p99,
                "blocks_per_second": per_second,
            })
        );
    } else {
        println!(
            "{validators} validators, {size} B payloads, {rate}/s: {} of {count} final",
            latencies.len()
        );
        println!("submit to final: p50 {p50:.1} ms, p99 {p99:.1} ms; {per_second:.1} blocks/s");
    }
}
