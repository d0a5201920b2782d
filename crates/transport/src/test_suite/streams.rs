//! Cases about streams.

use super::{Harness, SOON, ask, beside, echo, once, pair, pattern, small, within};
use crate::{
    Bytes, Connection, FrameReader, RecvStream, SendStream, Transport, TransportError, code, erased::DynTransport,
    recv_frame, send_frame,
};
use core::time::Duration;
use futures::future::{join, join_all};

/// One question and one answer on a stream, in frames.
pub async fn request_and_response<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let client = async {
        let (mut send, mut recv) = dialled.open().await?;
        send_frame(&mut send, b"question").await?;
        send.finish()?;
        recv_frame(&mut recv, 100).await
    };
    let server = async {
        let (mut send, mut recv) = accepted.accept().await?;
        let question = recv_frame(&mut recv, 100).await?.expect("a question");
        assert_eq!(question, b"question");
        assert_eq!(recv_frame(&mut recv, 100).await?, None);
        send_frame(&mut send, b"").await?;
        send.finish()
    };
    let (answer, served) = within(harness, SOON, "the exchange", join(client, server)).await;
    served.unwrap();
    assert_eq!(answer.unwrap().as_deref(), Some(&b""[..]));
}

/// The same without knowing the types, in both directions.
pub async fn request_and_response_through_the_erased_mirror<H: Harness>(harness: &H) {
    let (client, _) = harness.start(1, small()).await;
    let (server, address) = harness.start(2, small()).await;
    let (client, server) = (DynTransport::new(client), DynTransport::new(server));
    assert_eq!(server.limits(), &small());
    let both = join(client.dial(server.local(), &address), server.accept());
    let (dialled, accepted) = within(harness, SOON, "connecting", both).await;
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    assert_eq!((dialled.peer(), accepted.peer()), (server.local(), client.local()));
    assert_eq!(dialled.close_reason(), None);
    let exchange = async {
        let answer = ask(&dialled, b"hello").await;
        let (mut send, recv) = dialled.open().await.unwrap();
        send.set_priority(1);
        send.set_idle_timeout(None);
        send_frame(&mut send, &pattern(1000)).await.unwrap();
        send.finish().unwrap();
        send.acknowledged().await.unwrap();
        let mut frames = FrameReader::new(recv, 1000);
        assert_eq!(frames.next().await.unwrap().unwrap(), pattern(1000));
        assert_eq!(frames.next().await.unwrap(), None);
        answer
    };
    let answer = beside(echo(accepted.clone()), within(harness, SOON, "the exchange", exchange)).await;
    assert_eq!(answer.unwrap(), &b"hello"[..]);
    accepted.close(code::HOST);
    let reason = within(harness, SOON, "the end", dialled.closed()).await;
    assert_eq!(reason, TransportError::ClosedByPeer { code: code::HOST });
    within(harness, SOON, "closing", join(client.close(), server.close())).await;
}

/// Many more streams than may be open at one time, all at once: they wait for each other, and all come through.
pub async fn many_streams_at_once<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let questions = (0..100_usize).map(|number| {
        let dialled = &dialled;
        async move {
            let question = pattern(number * 37 + 1);
            let answer = ask(dialled, &question).await;
            (question, answer)
        }
    });
    let all = within(harness, SOON, "a hundred streams", join_all(questions));
    for (question, answer) in beside(echo(accepted), all).await {
        assert_eq!(answer.unwrap(), question);
    }
}

/// A side that has finished still reads, and the end is an end, again and again.
pub async fn half_close<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let client = async {
        let (mut send, mut recv) = dialled.open().await.unwrap();
        send.finish().unwrap();
        assert_eq!(send.finish(), Err(TransportError::StreamClosed));
        let late = send.write(Bytes::from_static(b"late")).await;
        assert_eq!(late, Err(TransportError::StreamClosed));
        let answer = recv.read_to_end(100).await.unwrap();
        assert_eq!(answer, &b"one two"[..]);
        assert_eq!(recv.read(100).await.unwrap(), None);
    };
    let server = async {
        let (mut send, mut recv) = accepted.accept().await.unwrap();
        assert_eq!(recv.read(100).await.unwrap(), None);
        assert_eq!(recv.read(100).await.unwrap(), None);
        assert_eq!(recv.read_to_end(0).await.unwrap(), &b""[..]);
        send.write(Bytes::from_static(b"one")).await.unwrap();
        send.write(Bytes::new()).await.unwrap();
        harness.sleep(Duration::from_millis(20)).await;
        send.write(Bytes::from_static(b" two")).await.unwrap();
        send.finish().unwrap();
        // Whoever lets go of the connection before its peer has read would take the rest away.
        send.acknowledged().await.unwrap();
    };
    within(harness, SOON, "the exchange", join(client, server)).await;
}

/// A long stream written and read in odd pieces arrives as it was.
pub async fn bytes_keep_their_order<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let whole = pattern(1_000_003);
    let client = async {
        let (mut send, _recv) = dialled.open().await.unwrap();
        let (mut rest, mut size) = (Bytes::from(whole.clone()), 1);
        while !rest.is_empty() {
            send.write(rest.split_to(size.min(rest.len()))).await.unwrap();
            size = size * 3 % 70_001 + 1;
        }
        send.finish().unwrap();
        send.acknowledged().await.unwrap();
    };
    let server = async {
        let (_send, mut recv) = accepted.accept().await.unwrap();
        let (mut read, mut size) = (alloc::vec::Vec::new(), 1);
        while let Some(piece) = recv.read(size).await.unwrap() {
            assert!(!piece.is_empty() && piece.len() <= size);
            read.extend_from_slice(&piece);
            size = size * 5 % 50_021 + 1;
        }
        read
    };
    let ((), read) = within(harness, SOON, "a million bytes", join(client, server)).await;
    assert!(read == whole, "{} bytes arrived, or others", read.len());
}

/// A reset is an error for the reader, with its code, and ends nothing else.
pub async fn reset_is_seen<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let (mut send, _recv) = dialled.open().await.unwrap();
    send.write(Bytes::from_static(b"part")).await.unwrap();
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    let part = within(harness, SOON, "reading", recv.read(100)).await;
    assert_eq!(part.unwrap().unwrap(), &b"part"[..]);
    send.reset(code::HOST + 1);
    let read = within(harness, SOON, "reading", recv.read_to_end(100)).await;
    assert_eq!(read, Err(TransportError::ResetByPeer { code: code::HOST + 1 }));
    let again = within(harness, SOON, "reading", recv.read(100)).await;
    assert_eq!(again, Err(TransportError::ResetByPeer { code: code::HOST + 1 }));
    assert_eq!(
        send.write(Bytes::from_static(b"x")).await,
        Err(TransportError::StreamClosed)
    );
    assert_eq!(send.finish(), Err(TransportError::StreamClosed));
    let answer = beside(
        echo(accepted),
        within(harness, SOON, "an echo", ask(&dialled, b"hello")),
    )
    .await;
    assert_eq!(answer.unwrap(), &b"hello"[..]);
}

/// A reader that has enough says so to the writer, with a code.
pub async fn stop_is_seen<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let (mut send, _recv) = dialled.open().await.unwrap();
    send.write(Bytes::from_static(b"part")).await.unwrap();
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    recv.stop(code::HOST + 2);
    assert_eq!(recv.read(100).await, Err(TransportError::StreamClosed));
    let stopped = Err(TransportError::StoppedByPeer { code: code::HOST + 2 });
    let write = async {
        loop {
            if let Err(error) = send.write(Bytes::from(pattern(1000))).await {
                return error;
            }
            harness.sleep(Duration::from_millis(1)).await;
        }
    };
    let failed = within(harness, SOON, "the refusal", write).await;
    assert_eq!(Err(failed), stopped);
    assert_eq!(send.write(Bytes::from_static(b"x")).await, stopped);
    let answer = beside(
        echo(accepted),
        within(harness, SOON, "an echo", ask(&dialled, b"hello")),
    )
    .await;
    assert_eq!(answer.unwrap(), &b"hello"[..]);
}

/// When a writer is dropped in the middle, the reader does not take what it has for the whole.
pub async fn a_dropped_writer_is_no_end<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let (mut send, _recv) = dialled.open().await.unwrap();
    send.write(Bytes::from_static(b"part")).await.unwrap();
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    drop(send);
    let read = within(harness, SOON, "reading", recv.read_to_end(100)).await;
    assert_eq!(read, Err(TransportError::ResetByPeer { code: code::DROPPED }));
}

/// When a reader is dropped, the writer learns that nobody listens.
pub async fn a_dropped_reader_stops_the_writer<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let (mut send, _recv) = dialled.open().await.unwrap();
    send.write(Bytes::from_static(b"part")).await.unwrap();
    let (_send, recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    drop(recv);
    let write = async {
        loop {
            if let Err(error) = send.write(Bytes::from(pattern(1000))).await {
                return error;
            }
            harness.sleep(Duration::from_millis(1)).await;
        }
    };
    let failed = within(harness, SOON, "the refusal", write).await;
    assert_eq!(failed, TransportError::StoppedByPeer { code: code::DROPPED });
}

/// Futures of reading and accepting that are dropped before they are ready take nothing with them.
pub async fn dropped_reads_lose_nothing<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let writer = async {
        let (mut send, _recv) = dialled.open().await.unwrap();
        for number in 0..50_usize {
            send_frame(&mut send, &pattern(number * 301)).await.unwrap();
            harness.sleep(Duration::from_micros(300)).await;
        }
        send.finish().unwrap();
        send.acknowledged().await.unwrap();
    };
    let reader = async {
        let (_send, recv) = loop {
            match once(accepted.accept()).await {
                Some(streams) => break streams.unwrap(),
                None => harness.sleep(Duration::from_micros(100)).await,
            }
        };
        let mut frames = FrameReader::new(recv, 100_000);
        let mut number = 0;
        loop {
            match once(frames.next()).await {
                Some(frame) => match frame.unwrap() {
                    Some(frame) => assert_eq!(frame, pattern(number * 301)),
                    None => return number,
                },
                None => {
                    harness.sleep(Duration::from_micros(100)).await;
                    continue;
                }
            }
            number += 1;
        }
    };
    let ((), frames) = within(harness, SOON, "fifty frames", join(writer, reader)).await;
    assert_eq!(frames, 50);
}

/// A write that is dropped half-way leaves no gap that nobody notices.
pub async fn a_dropped_write_is_noticed<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let (mut send, _recv) = dialled.open().await.unwrap();
    // Nobody reads: this can't be done at once.
    let length = small().stream_window_bytes as usize * 2;
    assert!(once(send.write(Bytes::from(pattern(length)))).await.is_none());
    let next = send.write(Bytes::from_static(b"next")).await;
    assert_eq!(next, Err(TransportError::WriteInterrupted));
    assert_eq!(send.finish(), Err(TransportError::WriteInterrupted));
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    let read = within(harness, SOON, "reading", recv.read_to_end(length)).await;
    assert_eq!(read, Err(TransportError::ResetByPeer { code: code::DROPPED }));
}

/// What is acknowledged reaches the reader even if the writer then closes the connection.
pub async fn acknowledged_is_there<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    let (mut send, _recv) = dialled.open().await.unwrap();
    assert_eq!(send.acknowledged().await, Err(TransportError::StreamClosed));
    send.write(Bytes::from(pattern(30_000))).await.unwrap();
    send.finish().unwrap();
    within(harness, SOON, "the acknowledgement", send.acknowledged())
        .await
        .unwrap();
    dialled.close(code::NONE);
    within(harness, SOON, "the end", accepted.closed()).await;
    let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
    let read = within(harness, SOON, "reading", recv.read_to_end(30_000)).await;
    assert_eq!(read.unwrap(), pattern(30_000));
}

/// The end of a stream inside of a frame is an error.
pub async fn a_frame_may_not_end_early<H: Harness>(harness: &H) {
    let ((_client, dialled), (_server, accepted)) = pair(harness, small()).await;
    for part in [&b"\0"[..], b"\0\0\0\x05", b"\0\0\0\x05abcd"] {
        let (mut send, _recv) = dialled.open().await.unwrap();
        send.write(Bytes::copy_from_slice(part)).await.unwrap();
        send.finish().unwrap();
        let (_send, mut recv) = within(harness, SOON, "the stream", accepted.accept()).await.unwrap();
        let read = within(harness, SOON, "reading", recv_frame(&mut recv, 100)).await;
        assert_eq!(read, Err(TransportError::Truncated));
    }
}
