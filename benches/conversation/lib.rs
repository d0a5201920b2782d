//! Benches of `tokenim-conversation`; run them with `cargo bench -p tokenim-bench-conversation`.
