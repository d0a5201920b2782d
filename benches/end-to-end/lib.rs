//! Four nodes in this process, over QUIC on loopback, with their stores and journals on disk.
//!
//! * `cargo bench -p tokenim-bench-end-to-end --bench end-to-end`: a message from one person to another.
//! * `cargo bench -p tokenim-bench-end-to-end --bench finality -- --rate 40 --seconds 8 --rounds 3 --idle 20`: from a
//!   transaction at a gateway to its certificate there, in turns with the bare engine; then with one node stopped; before
//!   that, what idle nodes use of the processor.
//! * `cargo bench -p tokenim-bench-end-to-end --bench chat -- --messages 300 --groups 5 --idle 300`: a message of a
//!   conversation in turns with a plain envelope; how long a group of five takes; what an idle client says and hears in an hour.
