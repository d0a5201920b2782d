//! Benches of `tokenim-mailbox`; run them with `cargo bench -p tokenim-bench-mailbox`.
