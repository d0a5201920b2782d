#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod connection;
mod error;
mod key;
mod socket;
mod stream;
mod table;
mod tls;
mod transport;

pub use connection::QuicConnection;
pub use key::TransportKey;
pub use stream::{QuicRecvStream, QuicSendStream};
pub use transport::QuicTransport;
