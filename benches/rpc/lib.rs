//! Benches of `tokenim-rpc`; run them with `cargo bench -p tokenim-bench-rpc`.
