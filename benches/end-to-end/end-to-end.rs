//! A message of 1 KiB from one person to another, through four nodes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use criterion::{Criterion, criterion_group, criterion_main};
use std::{path::Path, time::Duration};
use tokenim_client::{Argon2Cost, Client, Content};
use tokenim_testkit::LocalNetwork;

async fn person(network: &LocalNetwork, folder: &Path, name: &str) -> Client {
    let config = network.layout.network.clone();
    let (client, _words) = Client::create(&folder.join(name), config, b"passphrase", Argon2Cost::MINIMUM).unwrap();
    client.register().await.unwrap();
    client
}

fn message(c: &mut Criterion) {
    let network = LocalNetwork::start(4, 1, |_, _| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ada = network.block_on(person(&network, folder.path(), "ada"));
    let ben = network.block_on(person(&network, folder.path(), "ben"));
    let body = "x".repeat(1024);
    let mut group = c.benchmark_group("1 KiB through 4 nodes");
    group.sample_size(30).measurement_time(Duration::from_secs(10));
    group.bench_function("send: kept by a write quorum", |b| {
        b.iter(|| {
            network
                .block_on(ada.send(&ben.identity(), Content::text(&body)))
                .unwrap()
        });
    });
    group.bench_function("send to decrypted", |b| {
        b.iter(|| {
            network.block_on(async {
                let sent = ada.send(&ben.identity(), Content::text(&body)).await.unwrap().message;
                while !ben
                    .receive()
                    .await
                    .unwrap()
                    .received
                    .iter()
                    .any(|got| got.message.id == sent)
                {}
            });
        });
    });
    group.bench_function("send to proof of acceptance", |b| {
        b.iter(|| {
            network.block_on(async {
                let sent = ada.send(&ben.identity(), Content::text(&body)).await.unwrap().message;
                assert_eq!(ada.proofs(&sent, Duration::from_secs(30)).await.unwrap().len(), 1);
            });
        });
    });
    group.finish();
    network.block_on(async {
        ada.close().await;
        ben.close().await;
    });
}

criterion_group!(benches, message);
criterion_main!(benches);
