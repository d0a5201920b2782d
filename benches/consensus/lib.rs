//! Benches of `tokenim-consensus`; run them with `cargo bench -p tokenim-bench-consensus`.
