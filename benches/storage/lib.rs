//! Benches of the stores; run them with `cargo bench -p tokenim-bench-storage`.
