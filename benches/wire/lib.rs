//! Benches of `tokenim-wire`; run them with `cargo bench -p tokenim-bench-wire`.
