//! Both networks through the same traits: a request and its answer on a stream of its own, frames on one stream, bulk,
//! and the handshake.
//!
//! QUIC runs over UDP on the loopback with both ends in this process; the memory network has no delay, so that it shows
//! the cost of the traits and of the simulation alone.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that fails may stop"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tokenim_transport::{
    Bytes, Connection, FrameReader, Limits, PeerId, RecvStream, SendStream, Transport, recv_frame, send_frame,
};
use tokenim_transport_memory::{Link, Network};
use tokenim_transport_quic::QuicTransport;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

/// Bytes of a request and of its answer.
const MESSAGE_BYTES: usize = 1024;
/// Bytes sent in one go for the bulk rate.
const BULK_BYTES: usize = 16 << 20;

/// Answers each frame with itself; what follows an empty frame is counted, and the count is the answer.
async fn serve<C: Connection>(connection: C) {
    while let Ok((mut send, recv)) = connection.accept().await {
        tokio::spawn(async move {
            let mut frames = FrameReader::new(recv, MESSAGE_BYTES);
            while let Ok(Some(frame)) = frames.next().await {
                if frame.is_empty() {
                    let mut recv = frames.into_inner();
                    let mut count = 0_u64;
                    while let Ok(Some(bytes)) = recv.read(64 * 1024).await {
                        count += bytes.len() as u64;
                    }
                    let _ = send_frame(&mut send, &count.to_be_bytes()).await;
                    let _ = send.finish();
                    let _ = send.acknowledged().await;
                    return;
                }
                if send_frame(&mut send, &frame).await.is_err() {
                    return;
                }
            }
            let _ = send.finish();
        });
    }
}

async fn request<C: Connection>(connection: &C, body: &[u8]) -> Vec<u8> {
    let (mut send, mut recv) = connection.open().await.unwrap();
    send_frame(&mut send, body).await.unwrap();
    send.finish().unwrap();
    let answer = recv_frame(&mut recv, MESSAGE_BYTES).await.unwrap().unwrap();
    // To the end, so that the stream's place is free.
    assert_eq!(recv.read(1).await.unwrap(), None);
    answer
}

async fn bulk<C: Connection>(connection: &C, bytes: &Bytes) {
    let (mut send, mut recv) = connection.open().await.unwrap();
    send_frame(&mut send, &[]).await.unwrap();
    send.write(bytes.clone()).await.unwrap();
    send.finish().unwrap();
    let count = recv_frame(&mut recv, MESSAGE_BYTES).await.unwrap().unwrap();
    assert_eq!(count, (bytes.len() as u64).to_be_bytes());
}

/// Both ends of a network, the second one serving.
async fn connect<T: Transport>(client: &T, server: &T, address: &str) -> T::Connection {
    let (dialled, accepted) = tokio::join!(client.dial(server.local(), address), server.accept());
    tokio::spawn(serve(accepted.unwrap()));
    dialled.unwrap()
}

fn measure<C: Connection>(criterion: &mut Criterion, runtime: &Runtime, name: &str, connection: &C) {
    let message = vec![7; MESSAGE_BYTES];
    let mut group = criterion.benchmark_group("transport/round trip of 1 KiB");
    group.bench_function(BenchmarkId::new(name, "new stream"), |bencher| {
        bencher.iter(|| runtime.block_on(request(connection, black_box(&message))));
    });
    let (mut send, recv) = runtime.block_on(connection.open()).unwrap();
    let mut frames = FrameReader::new(recv, MESSAGE_BYTES);
    group.bench_function(BenchmarkId::new(name, "same stream"), |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                send_frame(&mut send, black_box(&message)).await.unwrap();
                frames.next().await.unwrap().unwrap()
            })
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group("transport/stream throughput");
    group.sample_size(10).throughput(Throughput::Bytes(BULK_BYTES as u64));
    let bytes = Bytes::from(vec![7; BULK_BYTES]);
    group.bench_function(name, |bencher| {
        bencher.iter(|| runtime.block_on(bulk(connection, black_box(&bytes))));
    });
    group.finish();
}

fn memory(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let network = Network::new(1, Link::PERFECT);
    let bind = |number: u8, address: &str| {
        let peer = PeerId::from_bytes([number; 32]);
        network.bind(peer, address, Limits::reference()).unwrap()
    };
    let (client, server) = (bind(1, "client"), bind(2, "server"));
    let connection = runtime.block_on(connect(&client, &server, "server"));
    measure(criterion, &runtime, "memory", &connection);
}

fn quic(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let bind = |number: u8| {
        let anywhere = "127.0.0.1:0".parse().unwrap();
        QuicTransport::bind(Zeroizing::new([number; 32]), anywhere, Limits::reference()).unwrap()
    };
    let (client, server) = (bind(1), bind(2));
    let address = server.local_address().to_string();
    let connection = runtime.block_on(connect(&client, &server, &address));
    measure(criterion, &runtime, "QUIC loopback", &connection);

    let mut group = criterion.benchmark_group("transport/handshake");
    group.sample_size(20);
    for (name, fresh) in [("first", true), ("resumed", false)] {
        let (one, address) = (bind(3), address.clone());
        let mut number = 100;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                if fresh {
                    number = if number == 250 { 100 } else { number + 1 };
                    let one = bind(number);
                    runtime.block_on(connect(&one, &server, &address));
                } else {
                    runtime.block_on(async {
                        let connection = connect(&one, &server, &address).await;
                        request(&connection, b"so that the ticket arrives").await;
                    });
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, memory, quic);
criterion_main!(benches);
