//! Benches of `tokenim-envelope`; run them with `cargo bench -p tokenim-bench-envelope`.
