//! Cases about peers that want too much, and about those beside them.

use super::{Harness, SOON, ask, beside, connect, echo, pair, pattern, small, still_waits, within};
use crate::{
    Blame, Bytes, Connection, FrameReader, Limits, RecvStream, SendStream, Transport, TransportError, code, recv_frame,
};
use alloc::vec::Vec;
use core::{cell::Cell, time::Duration};
use futures::future::{join, join_all};

/// How long something that must wait is watched.
const WATCHED: Duration = Duration::from_millis(300);

/// A frame or a stream longer than the reader accepts is refused as soon as that shows, and its writer is told. The
/// reader may then close the connection; another one goes on.
pub async fn oversize_is_refused<H: Harness>(harness: &H) {
    let ((client, dialled), (server, accepted)) = pair(harness, small()).await;
    let (mut send, _recv) = dialled.open().await.unwrap();
    send.write(Bytes::from_static(&[0, 0, 0, 101])).await.unwrap();
    let (_send, recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    let mut frames = FrameReader::new(recv, 100);
    let refused = Err(TransportError::TooLong { limit: 100 });
    assert_eq!(within(harness, SOON, "reading", frames.next()).await, refused);
    assert_eq!(within(harness, SOON, "reading", frames.next()).await, refused);
    let write = async {
        loop {
            if let Err(error) = send.write(Bytes::from_static(b"more")).await {
                return error;
            }
            harness.sleep(Duration::from_millis(1)).await;
        }
    };
    let told = within(harness, SOON, "the refusal", write).await;
    assert_eq!(told, TransportError::StoppedByPeer { code: code::TOO_LONG });

    // A frame of any length is beyond what frames may ever be.
    let (mut send, _recv) = dialled.open().await.unwrap();
    send.write(Bytes::from_static(&[0xff; 4])).await.unwrap();
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    let read = within(harness, SOON, "reading", recv_frame(&mut recv, usize::MAX)).await;
    assert!(matches!(read, Err(TransportError::TooLong { .. })));

    // The same for a stream as a whole; the exact length is fine.
    for (length, fine) in [(1000, true), (1001, false)] {
        let (mut send, _recv) = dialled.open().await.unwrap();
        send.write(Bytes::from(pattern(length))).await.unwrap();
        send.finish().unwrap();
        let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
        let read = within(harness, SOON, "reading", recv.read_to_end(1000)).await;
        if fine {
            assert_eq!(read.unwrap(), pattern(length));
        } else {
            let error = read.unwrap_err();
            assert_eq!(error, TransportError::TooLong { limit: 1000 });
            assert_eq!(error.blame(), Blame::Peer);
        }
    }

    // Cut off for it, while another goes on.
    let (bystander, address) = harness.start(3, small()).await;
    let (beside_it, answering) = connect(harness, &server, &bystander, &address).await;
    accepted.close(code::MISBEHAVED);
    let reason = within(harness, SOON, "the end", dialled.closed()).await;
    assert_eq!(reason, TransportError::ClosedByPeer { code: code::MISBEHAVED });
    let answer = beside(
        echo(answering),
        within(harness, SOON, "an echo", ask(&beside_it, b"hello")),
    )
    .await;
    assert_eq!(answer.unwrap(), &b"hello"[..]);
    drop(client);
}

/// Writes as much as is taken, for ever, and keeps count.
async fn fill<S: SendStream>(send: &mut S, taken: &Cell<usize>) {
    send.set_idle_timeout(None);
    while send.write(Bytes::from(pattern(1024))).await.is_ok() {
        taken.set(taken.get() + 1024);
    }
}

/// A reader that does not read makes its writer wait once the window of the stream is full. Other streams of the same
/// connection go on, and when it reads, everything arrives.
pub async fn a_reader_that_does_not_read_stalls_the_writer<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let length = small().stream_window_bytes as usize * 4;
    let (mut send, _recv) = dialled.open().await.unwrap();
    let write = async {
        send.write(Bytes::from(pattern(length))).await.unwrap();
        send.finish().unwrap();
        send.acknowledged().await.unwrap();
    };
    let mut write = core::pin::pin!(write);
    assert!(
        still_waits(harness, WATCHED, &mut write).await,
        "more was taken than the window holds"
    );
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    let answer = beside(
        echo(accepted.clone()),
        within(harness, SOON, "an echo", ask(&dialled, b"hello")),
    )
    .await;
    assert_eq!(answer.unwrap(), &b"hello"[..]);
    assert!(still_waits(harness, WATCHED, &mut write).await);
    let ((), read) = within(harness, SOON, "the rest", join(write, recv.read_to_end(length))).await;
    assert_eq!(read.unwrap(), pattern(length));
}

/// One stream more than allowed waits until another is through; the other side never sees more.
pub async fn too_many_streams_wait<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let mut open = Vec::new();
    for _ in 0..small().streams_per_connection_max {
        let (mut send, recv) = within(harness, SOON, "opening", dialled.open()).await.unwrap();
        send.write(Bytes::from_static(b"x")).await.unwrap();
        open.push((send, recv));
    }
    assert!(still_waits(harness, WATCHED, dialled.open()).await);
    let mut seen = Vec::new();
    for _ in 0..open.len() {
        seen.push(within(harness, SOON, "the stream", accepted.accept()).await.unwrap());
    }
    assert!(still_waits(harness, WATCHED, accepted.accept()).await);
    // The other direction has its own count.
    drop(within(harness, SOON, "opening", accepted.open()).await.unwrap());
    // One goes, one comes.
    let (mut send, mut recv) = seen.pop().unwrap();
    send.finish().unwrap();
    recv.stop(code::NONE);
    drop(open.pop());
    let one_goes = async {
        // The last stream to be accepted need not be the last that was opened: let all go.
        open.clear();
        seen.clear();
        dialled.open().await
    };
    within(harness, SOON, "opening", one_goes).await.unwrap();
}

/// A peer that opens all the streams it may and fills them all is held at its windows; another connection to the same
/// host does not notice.
pub async fn a_flood_is_noticed_by_nobody_else<H: Harness>(harness: &H) {
    let limits = small();
    let (flooder, _) = harness.start(1, limits.clone()).await;
    let (server, address) = harness.start(2, limits.clone()).await;
    let (honest, _) = harness.start(3, limits.clone()).await;
    let (flood, flooded) = connect(harness, &flooder, &server, &address).await;
    let (calm, answering) = connect(harness, &honest, &server, &address).await;

    let mut streams = Vec::new();
    for _ in 0..limits.streams_per_connection_max {
        streams.push(flood.open().await.unwrap());
    }
    let taken = Cell::new(0);
    let flooding = async {
        join_all(streams.iter_mut().map(|(send, _)| fill(send, &taken))).await;
    };
    let asking = async {
        for number in 0..20 {
            let question = pattern(number * 997);
            assert_eq!(ask(&calm, &question).await.unwrap(), question);
            harness.sleep(WATCHED / 4).await;
        }
    };
    let background = async {
        join(echo(answering.clone()), flooding).await;
    };
    beside(background, within(harness, SOON, "twenty echoes", asking)).await;
    let (taken, stream) = (taken.get(), limits.stream_window_bytes as usize);
    assert!(taken >= stream, "only {taken} bytes were taken");
    let most = limits.connection_window_bytes as usize;
    assert!(
        taken <= most,
        "{taken} bytes were taken, the connection may hold {most}"
    );
    // Cut off, while the other goes on.
    flooded.close(code::MISBEHAVED);
    let reason = within(harness, SOON, "the end", flood.closed()).await;
    assert_eq!(reason, TransportError::ClosedByPeer { code: code::MISBEHAVED });
    let answer = beside(echo(answering), within(harness, SOON, "an echo", ask(&calm, b"hello"))).await;
    assert_eq!(answer.unwrap(), &b"hello"[..]);
}

/// A peer that dies without a word is given up after the idle timeout, and everything that waits for it ends. Another
/// connection does not notice.
pub async fn silence_ends_a_connection_and_no_other<H: Harness>(harness: &H) {
    let ((dying, dialled), (server, accepted)) = pair(harness, small()).await;
    let (honest, address) = harness.start(3, small()).await;
    let (calm, answering) = connect(harness, &server, &honest, &address).await;
    let (mut send, _recv) = dialled.open().await.unwrap();
    send.write(Bytes::from_static(b"part")).await.unwrap();
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    assert_eq!(recv.read(100).await.unwrap().unwrap(), &b"part"[..]);

    harness.crash(1).await;
    let waiting = async {
        assert!(
            still_waits(harness, small().idle_timeout / 3, accepted.closed()).await,
            "given up too early"
        );
        let read = recv.read(100).await;
        (read, accepted.accept().await.err(), accepted.closed().await)
    };
    let asking = async {
        for _ in 0..10 {
            assert_eq!(ask(&calm, b"hello").await.unwrap(), &b"hello"[..]);
            harness.sleep(small().idle_timeout / 8).await;
        }
    };
    let both = within(harness, SOON, "giving up", join(waiting, asking));
    let ((read, streams, reason), ()) = beside(echo(answering), both).await;
    assert_eq!(read, Err(TransportError::TimedOut));
    assert_eq!(streams, Some(TransportError::TimedOut));
    assert_eq!(reason, TransportError::TimedOut);
    assert_eq!(reason.blame(), Blame::Network);
    drop((dying, dialled));
}

/// A stream on which nothing moves is given up after its idle timeout, in either direction, and the peer is told; the
/// connection lives on. Without a timeout it waits.
pub async fn a_stream_that_stands_still_times_out<H: Harness>(harness: &H) {
    let limits = Limits {
        stream_idle_timeout: Duration::from_millis(400),
        ..small()
    };
    let ((_client, dialled), (_server, accepted)) = pair(harness, limits).await;
    // A reader that waits for a byte.
    let (mut send, _recv) = dialled.open().await.unwrap();
    send.write(Bytes::from_static(&[0, 0])).await.unwrap();
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    let read = within(harness, SOON, "reading", recv_frame(&mut recv, 100)).await;
    assert_eq!(read, Err(TransportError::StreamTimedOut));
    let write = async {
        loop {
            if let Err(error) = send.write(Bytes::from_static(b"more")).await {
                return error;
            }
            harness.sleep(Duration::from_millis(1)).await;
        }
    };
    let told = within(harness, SOON, "the refusal", write).await;
    assert_eq!(told, TransportError::StoppedByPeer { code: code::TIMEOUT });
    // A writer that waits for room.
    let (mut send, _recv) = dialled.open().await.unwrap();
    let length = small().stream_window_bytes as usize * 2;
    let written = within(harness, SOON, "writing", send.write(Bytes::from(pattern(length)))).await;
    assert_eq!(written, Err(TransportError::StreamTimedOut));
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    let read = within(harness, SOON, "reading", recv.read_to_end(length)).await;
    assert_eq!(read, Err(TransportError::ResetByPeer { code: code::TIMEOUT }));
    // Whoever may wait, waits.
    let (mut send, _recv) = dialled.open().await.unwrap();
    send.write(Bytes::from_static(b"x")).await.unwrap();
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    recv.set_idle_timeout(None);
    assert_eq!(recv.read(100).await.unwrap().unwrap(), &b"x"[..]);
    assert!(still_waits(harness, Duration::from_millis(800), recv.read(100)).await);
    send.write(Bytes::from_static(b"y")).await.unwrap();
    let read = within(harness, SOON, "reading", recv.read(100)).await;
    assert_eq!(read.unwrap().unwrap(), &b"y"[..]);
}

/// Beyond the number of connections newcomers are refused, and this side does not dial; nobody else loses his place.
pub async fn connections_are_capped<H: Harness>(harness: &H) {
    let limits = Limits {
        connections_max: 2,
        ..small()
    };
    let (server, address) = harness.start(2, limits).await;
    let (client, _) = harness.start(1, small()).await;
    let (other, other_address) = harness.start(3, small()).await;
    let (first, first_accepted) = connect(harness, &client, &server, &address).await;
    let (second, second_accepted) = connect(harness, &other, &server, &address).await;
    let third = within(harness, SOON, "the dial", client.dial(server.local(), &address)).await;
    assert_eq!(third.err(), Some(TransportError::Refused));
    let own = within(harness, SOON, "the dial", server.dial(other.local(), &other_address)).await;
    assert_eq!(own.err(), Some(TransportError::TooManyConnections { limit: 2 }));
    let answers = join(ask(&first, b"one"), ask(&second, b"two"));
    let servers = async {
        join(echo(first_accepted.clone()), echo(second_accepted)).await;
    };
    let (one, two) = beside(servers, within(harness, SOON, "two echoes", answers)).await;
    assert_eq!((one.unwrap(), two.unwrap()), (Bytes::from("one"), Bytes::from("two")));
    // A place that is free again is taken.
    first.close(code::NONE);
    within(harness, SOON, "the end", first_accepted.closed()).await;
    let dial = async {
        loop {
            match client.dial(server.local(), &address).await {
                Err(TransportError::Refused) => harness.sleep(Duration::from_millis(20)).await,
                dialled => return dialled,
            }
        }
    };
    assert!(within(harness, SOON, "the dial", dial).await.is_ok());
}

/// When a peer has more connections than allowed, its oldest gives way.
pub async fn the_newest_connection_of_a_peer_wins<H: Harness>(harness: &H) {
    let strict = Limits {
        connections_per_peer_max: 2,
        ..small()
    };
    let (client, _) = harness.start(1, small()).await;
    let (server, address) = harness.start(2, strict).await;
    let (first, _first) = connect(harness, &client, &server, &address).await;
    let (second, _second) = connect(harness, &client, &server, &address).await;
    assert_eq!(first.close_reason(), None);
    let (third, accepted) = connect(harness, &client, &server, &address).await;
    let reason = within(harness, SOON, "giving way", first.closed()).await;
    assert_eq!(reason, TransportError::ClosedByPeer { code: code::REPLACED });
    assert_eq!(second.close_reason(), None);
    let answer = beside(echo(accepted), within(harness, SOON, "an echo", ask(&third, b"hello"))).await;
    assert_eq!(answer.unwrap(), &b"hello"[..]);
}

/// A host that takes no connections holds only so many of them, and takes newcomers again when it does.
pub async fn a_host_that_takes_nobody_refuses<H: Harness>(harness: &H) {
    let busy = Limits {
        handshakes_max: 2,
        handshake_timeout: Duration::from_secs(20),
        connections_per_peer_max: 16,
        ..small()
    };
    let (client, _) = harness.start(1, busy.clone()).await;
    let (server, address) = harness.start(2, busy).await;
    let mut held = Vec::new();
    let dials = async {
        loop {
            match client.dial(server.local(), &address).await {
                Ok(connection) => held.push(connection),
                Err(error) => return error,
            }
            assert!(held.len() < 12, "nobody was refused");
        }
    };
    assert_eq!(within(harness, SOON, "the dials", dials).await, TransportError::Refused);
    let accept = async {
        let mut taken = Vec::new();
        while taken.len() < held.len() {
            taken.push(server.accept().await.unwrap());
        }
        taken
    };
    let taken = within(harness, SOON, "accepting", accept).await;
    let (again, accepted) = connect(harness, &client, &server, &address).await;
    let answer = beside(echo(accepted), within(harness, SOON, "an echo", ask(&again, b"hello"))).await;
    assert_eq!(answer.unwrap(), &b"hello"[..]);
    drop(taken);
}
