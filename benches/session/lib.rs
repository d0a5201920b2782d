//! Benches of `tokenim-session`; run them with `cargo bench -p tokenim-bench-session`.
