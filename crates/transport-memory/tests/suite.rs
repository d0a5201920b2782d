//! The suite of the traits, on links without and with delay and loss.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{future::Future, time::Duration};
use tokenim_transport::{Limits, PeerId, test_suite::Harness};
use tokenim_transport_memory::{Link, MemoryTransport, Network};

struct Memory(Network);

impl Harness for Memory {
    type Transport = MemoryTransport;

    async fn start(&self, host: u8, limits: Limits) -> (MemoryTransport, String) {
        let address = format!("host {host}");
        let transport = self.0.bind(PeerId::from_bytes([host; 32]), &address, limits).unwrap();
        (transport, address)
    }

    async fn crash(&self, host: u8) {
        assert!(self.0.crash(&format!("host {host}")));
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(work);
}

mod perfect {
    use super::*;
    tokenim_transport::transport_test_suite!(block_on, Memory(Network::new(1, Link::PERFECT)));
}

mod world {
    use super::*;
    tokenim_transport::transport_test_suite!(block_on, Memory(Network::new(2, Link::WORLD)));
}
