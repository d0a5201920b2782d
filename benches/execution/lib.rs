//! Benches of `tokenim-execution`; run them with `cargo bench -p tokenim-bench-execution`.
