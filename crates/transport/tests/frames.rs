//! Frames on streams: the vectors, and what holds for any stream.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../../../fuzz/transport/targets.rs"]
mod targets;

use proptest::prelude::*;
use targets::{Script, Sink, run};
use tokenim_transport::{Blame, FrameReader, TransportError, code, recv_frame, send_frame};

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn streams_of_the_vectors_are_read_as_they_say() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("vectors/frames.json")).unwrap();
    for vector in vectors.as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let limit = vector["body_bytes_max"].as_u64().unwrap() as usize;
        let stream = hex(vector["stream"].as_str().unwrap());
        for seed in 0..10 {
            let mut reader = FrameReader::new(Script::new(&stream, seed), limit);
            for frame in vector["frames"].as_array().unwrap() {
                let read = run(reader.next()).unwrap();
                assert_eq!(read, Some(hex(frame.as_str().unwrap())), "{name}");
            }
            let then = match vector["then"].as_str().unwrap() {
                "end" => Ok(None),
                "too long" => Err(TransportError::TooLong { limit }),
                "truncated" => Err(TransportError::Truncated),
                other => panic!("{name}: {other}"),
            };
            assert_eq!(run(reader.next()), then, "{name}");
        }
    }
}

#[test]
fn a_body_too_long_for_a_frame_is_not_sent() {
    let mut sink = Sink::default();
    let body = vec![0; tokenim_wire::limits::FRAME_BYTES_MAX + 1];
    let error = run(send_frame(&mut sink, &body)).unwrap_err();
    assert!(matches!(error, TransportError::BodyTooLong { .. }));
    assert_eq!(error.blame(), Blame::Input);
    assert!(sink.0.is_empty());
    run(send_frame(&mut sink, &body[1..])).unwrap();
    assert_eq!(sink.0.len(), 4 + tokenim_wire::limits::FRAME_BYTES_MAX);
}

#[test]
fn no_reader_accepts_more_than_any_frame_may_have() {
    let mut script = Script::new(&[0x7f, 0xff, 0xff, 0xff], 0);
    let limit = tokenim_wire::limits::FRAME_BYTES_MAX;
    let read = run(recv_frame(&mut script, usize::MAX));
    assert_eq!(read, Err(TransportError::TooLong { limit }));
    assert_eq!(script.stopped, Some(code::TOO_LONG));
}

#[test]
fn what_follows_a_frame_is_left_to_others() {
    let stream = hex("0000000161deadbeef");
    let mut reader = FrameReader::new(Script::new(&stream, 0), 8);
    assert_eq!(run(reader.next()).unwrap().unwrap(), b"a");
    assert_eq!(reader.get_mut().taken, 5);
    let mut rest = reader.into_inner();
    let rest = run(tokenim_transport::RecvStream::read_to_end(&mut rest, 100)).unwrap();
    assert_eq!(rest, hex("deadbeef"));
}

proptest! {
    #[test]
    fn any_stream_is_read_as_the_model_says(data in prop::collection::vec(any::<u8>(), 0..200)) {
        targets::frame_reader(&data);
        targets::read_to_end(&data);
        targets::frame_round_trip(&data);
    }

    #[test]
    fn streams_of_frames_are_read_as_the_model_says(
        seed in any::<u8>(),
        limit in 0..40_u8,
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8),
        cut in 0..12_usize,
    ) {
        let mut sink = Sink::default();
        for body in &bodies {
            run(send_frame(&mut sink, body)).unwrap();
        }
        sink.0.truncate(sink.0.len().saturating_sub(cut));
        targets::frame_reader(&[&[seed, 0, limit], &sink.0[..]].concat());
    }
}
