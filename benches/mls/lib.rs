//! Benches of `tokenim-mls`; run them with `cargo bench -p tokenim-bench-mls`.
