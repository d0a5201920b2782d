//! Benches of `tokenim-identity`; run them with `cargo bench -p tokenim-bench-identity`.
