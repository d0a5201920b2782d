//! Benches of `tokenim-ledger`; run them with `cargo bench -p tokenim-bench-ledger`.
