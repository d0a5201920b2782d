//! Cases about endpoints and connections.

use super::{Harness, SOON, ask, beside, connect, echo, once, pair, small, within};
use crate::{Connection, RecvStream, SendStream, Transport, TransportError, code};
use core::time::Duration;
use futures::future::join;

/// The key of the peer is known on both sides, and the endpoints know their own.
pub async fn both_sides_know_the_peer<H: Harness>(harness: &H) {
    let ((client, dialled), (server, accepted)) = pair(harness, small()).await;
    assert_ne!(client.local(), server.local());
    assert_eq!(dialled.peer(), server.local());
    assert_eq!(accepted.peer(), client.local());
    assert_eq!(server.limits(), &small());
}

/// Whoever answers with another key than the expected one gets no connection, and neither does its host.
pub async fn a_dial_that_meets_another_key_fails<H: Harness>(harness: &H) {
    let (client, _) = harness.start(1, small()).await;
    let (server, address) = harness.start(2, small()).await;
    let (other, _) = harness.start(3, small()).await;
    for _ in 0..2 {
        let dialled = within(harness, SOON, "the dial", client.dial(other.local(), &address)).await;
        assert_eq!(dialled.err(), Some(TransportError::WrongPeer));
    }
    assert!(once(server.accept()).await.is_none(), "the wrong key let someone in");
    // The right one does, also after a session with it may have been remembered.
    for _ in 0..2 {
        let (dialled, accepted) = connect(harness, &client, &server, &address).await;
        assert_eq!(dialled.peer(), server.local());
        assert_eq!(accepted.peer(), client.local());
        let answer = beside(
            echo(accepted),
            within(harness, SOON, "an echo", ask(&dialled, b"hello")),
        )
        .await;
        assert_eq!(answer.unwrap(), &b"hello"[..]);
        let dialled = within(harness, SOON, "the dial", client.dial(other.local(), &address)).await;
        assert_eq!(dialled.err(), Some(TransportError::WrongPeer));
    }
}

/// Where nobody is, a dial fails within the handshake timeout.
pub async fn nobody_there<H: Harness>(harness: &H) {
    let (client, _) = harness.start(1, small()).await;
    let (server, address) = harness.start(2, small()).await;
    within(harness, SOON, "closing", server.close()).await;
    let dialled = within(harness, SOON, "the dial", client.dial(server.local(), &address)).await;
    assert_eq!(dialled.err(), Some(TransportError::Unreachable));
}

/// One side closes with a code; the other learns it, and everything that waits ends.
pub async fn close_is_seen_on_both_sides<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    assert_eq!(dialled.close_reason(), None);
    let seen = join(accepted.closed(), accepted.accept());
    let close = async {
        dialled.close(code::HOST + 7);
        dialled.close(code::HOST + 8);
    };
    let ((reason, stream), ()) = within(harness, SOON, "the end", join(seen, close)).await;
    let farewell = TransportError::ClosedByPeer { code: code::HOST + 7 };
    assert_eq!(reason, farewell);
    assert_eq!(stream.err(), Some(farewell.clone()));
    assert_eq!(accepted.close_reason(), Some(farewell.clone()));
    assert_eq!(accepted.open().await.err(), Some(farewell));
    assert_eq!(dialled.closed().await, TransportError::Closed);
    assert_eq!(dialled.close_reason(), Some(TransportError::Closed));
    assert_eq!(dialled.open().await.err(), Some(TransportError::Closed));
    assert_eq!(dialled.accept().await.err(), Some(TransportError::Closed));
}

/// Whatever waits for a connection that the peer closes ends by itself, each alone.
pub async fn everything_that_waits_ends_with_the_connection<H: Harness>(harness: &H) {
    let farewell = TransportError::ClosedByPeer { code: code::HOST };
    let (client, _) = harness.start(1, small()).await;
    let (server, address) = harness.start(2, small()).await;
    for case in ["accept", "open", "read", "write", "acknowledged"] {
        let (dialled, accepted) = connect(harness, &client, &server, &address).await;
        let mut open = alloc::vec::Vec::new();
        let most = small().streams_per_connection_max;
        for _ in 0..if case == "open" { most } else { 1 } {
            open.push(accepted.open().await.unwrap());
        }
        let (send, recv) = open.last_mut().unwrap();
        let full = crate::Bytes::from(alloc::vec![0; small().stream_window_bytes as usize + 1]);
        if case == "acknowledged" {
            let part = full.slice(..100);
            send.write(part).await.unwrap();
            send.finish().unwrap();
        }
        let waits = async {
            match case {
                "accept" => accepted.accept().await.err(),
                "open" => accepted.open().await.err(),
                "read" => recv.read(100).await.err(),
                "write" => send.write(full).await.err(),
                // It may have been acknowledged before; then only the next step shows the end.
                _ => match send.acknowledged().await {
                    Ok(()) => Some(accepted.closed().await),
                    Err(error) => Some(error),
                },
            }
        };
        let close = async {
            harness.sleep(Duration::from_millis(50)).await;
            dialled.close(code::HOST);
            dialled.closed().await
        };
        let (ended, _) = within(harness, SOON, case, join(waits, close)).await;
        assert_eq!(ended, Some(farewell.clone()), "{case}");
    }
}

/// A connection lives as long as a handle of it or of one of its streams.
pub async fn the_last_handle_closes<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let clone = dialled.clone();
    let (mut send, recv) = dialled.open().await.unwrap();
    drop((dialled, clone, recv));
    send.write(crate::Bytes::from_static(b"still here")).await.unwrap();
    let (_, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    let read = within(harness, SOON, "reading", recv.read(100)).await;
    assert_eq!(read.unwrap().unwrap(), &b"still here"[..]);
    drop(send);
    let reason = within(harness, SOON, "the end", accepted.closed()).await;
    assert_eq!(reason, TransportError::ClosedByPeer { code: code::NONE });
}

/// Closing an endpoint ends its connections, its accepting and its dialling.
pub async fn a_closed_endpoint_is_closed<H: Harness>(harness: &H) {
    let ((client, dialled), (server, accepted)) = pair(harness, small()).await;
    let address = harness.start(3, small()).await.1;
    let ((), none) = within(harness, SOON, "closing", join(client.close(), client.accept())).await;
    assert!(none.is_none());
    assert!(client.accept().await.is_none());
    assert_eq!(dialled.close_reason(), Some(TransportError::Closed));
    let reason = within(harness, SOON, "the end", accepted.closed()).await;
    assert_eq!(reason, TransportError::ClosedByPeer { code: code::SHUTDOWN });
    assert_eq!(
        client.dial(server.local(), &address).await.err(),
        Some(TransportError::Closed)
    );
}

/// Once an endpoint is closed, its address is free, even while handles of its connections exist.
pub async fn a_closed_endpoint_starts_again_at_its_address<H: Harness>(harness: &H) {
    let ((client, dialled), (server, accepted)) = pair(harness, small()).await;
    let peer = server.local();
    within(harness, SOON, "closing", server.close()).await;
    let (server, address) = harness.start(2, small()).await;
    assert_eq!(server.local(), peer);
    let reason = within(harness, SOON, "the end", dialled.closed()).await;
    assert_eq!(reason, TransportError::ClosedByPeer { code: code::SHUTDOWN });
    let (again, answering) = connect(harness, &client, &server, &address).await;
    let answer = beside(echo(answering), within(harness, SOON, "an echo", ask(&again, b"again"))).await;
    assert_eq!(answer.unwrap(), &b"again"[..]);
    drop(accepted);
}

/// After a crash the same host comes back at the same address, and peers notice that it has forgotten them.
pub async fn a_crashed_host_starts_again_at_its_address<H: Harness>(harness: &H) {
    let ((client, dialled), (server, accepted)) = pair(harness, small()).await;
    let peer = server.local();
    harness.crash(2).await;
    drop((server, accepted));
    let (server, address) = harness.start(2, small()).await;
    assert_eq!(server.local(), peer);
    let reason = within(harness, SOON, "the end", dialled.closed()).await;
    assert!(
        matches!(reason, TransportError::PeerRestarted | TransportError::TimedOut),
        "ended with {reason}"
    );
    let (again, answering) = connect(harness, &client, &server, &address).await;
    let answer = beside(echo(answering), within(harness, SOON, "an echo", ask(&again, b"again"))).await;
    assert_eq!(answer.unwrap(), &b"again"[..]);
}

/// Keep-alives hold a connection on which nothing is said, for longer than the idle timeout.
pub async fn an_idle_connection_lives<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    harness.sleep(small().idle_timeout + Duration::from_secs(1)).await;
    assert_eq!(dialled.close_reason(), None);
    let answer = beside(
        echo(accepted),
        within(harness, SOON, "an echo", ask(&dialled, b"hello")),
    )
    .await;
    assert_eq!(answer.unwrap(), &b"hello"[..]);
}
