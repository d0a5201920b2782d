//! The suite of the traits, over UDP on the loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{collections::BTreeMap, future::Future, net::SocketAddr, sync::Mutex, time::Duration};
use tokenim_transport::{Limits, Transport, test_suite::Harness};
use tokenim_transport_quic::QuicTransport;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

/// Every host on a runtime of its own, so that it can die without a word.
#[derive(Default)]
struct Loopback {
    hosts: Mutex<BTreeMap<u8, Host>>,
}

#[derive(Default)]
struct Host {
    address: Option<SocketAddr>,
    runtime: Option<Runtime>,
    transport: Option<QuicTransport>,
}

impl Harness for Loopback {
    type Transport = QuicTransport;

    async fn start(&self, host: u8, limits: Limits) -> (QuicTransport, String) {
        let mut hosts = self.hosts.lock().unwrap();
        let entry = hosts.entry(host).or_default();
        let address = entry.address.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap());
        let runtime = entry.runtime.get_or_insert_with(|| {
            Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap()
        });
        let entered = runtime.enter();
        let transport = QuicTransport::bind(Zeroizing::new([host; 32]), address, limits).unwrap();
        drop(entered);
        entry.address = Some(transport.local_address());
        entry.transport = Some(transport.clone());
        (transport.clone(), transport.local_address().to_string())
    }

    async fn crash(&self, host: u8) {
        let (runtime, transport) = {
            let mut hosts = self.hosts.lock().unwrap();
            let entry = hosts.get_mut(&host).unwrap();
            (entry.runtime.take().unwrap(), entry.transport.take().unwrap())
        };
        // Once nothing of the host runs any more, closing only frees the socket, as the end of a process does.
        std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(10)))
            .join()
            .unwrap();
        transport.close().await;
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        for host in std::mem::take(self.hosts.get_mut().unwrap()).into_values() {
            if let Some(runtime) = host.runtime {
                runtime.shutdown_background();
            }
        }
    }
}

fn block_on(work: impl Future<Output = ()>) {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}

tokenim_transport::transport_test_suite!(block_on, Loopback::default());
