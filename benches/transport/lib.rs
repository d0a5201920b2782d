//! Benches of `tokenim-transport`; run them with `cargo bench -p tokenim-bench-transport`.
