//! Four nodes in this process, over QUIC on loopback, with their stores and journals on disk.
//!
//! * `cargo bench -p tokenim-bench-end-to-end --bench end-to-end`: a message from one person to another.
//! * `cargo bench -p tokenim-bench-end-to-end --bench finality -- --rate 50 --seconds 10`: from a transaction at a gateway
//!   to its certificate there.
