//! Benches of `tokenim-wallet`; run them with `cargo bench -p tokenim-bench-wallet`.
