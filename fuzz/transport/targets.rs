//! Bodies of the fuzz targets, shared with the tests of the crate.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokenim_transport::{
    Bytes, FrameReader, RecvStream, SendStream, TransportError, code, erased::DynRecvStream, recv_frame, send_frame,
};

/// A stream that hands out its bytes in pieces, with pauses, as a seed says.
pub struct Script {
    bytes: Vec<u8>,
    /// How many bytes have been handed out.
    pub taken: usize,
    /// The code it was stopped with.
    pub stopped: Option<u32>,
    seed: u32,
    paused: bool,
}

impl Script {
    /// Hands out `bytes`, cut as `seed` says; seed 0 hands out all that is asked for, without pauses.
    pub fn new(bytes: &[u8], seed: u8) -> Self {
        Self {
            bytes: bytes.to_vec(),
            taken: 0,
            stopped: None,
            seed: u32::from(seed),
            paused: false,
        }
    }

    fn chance(&mut self) -> u32 {
        self.seed = self.seed.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        self.seed >> 16
    }
}

impl RecvStream for Script {
    async fn read(&mut self, bytes_max: usize) -> Result<Option<Bytes>, TransportError> {
        if self.stopped.is_some() {
            return Err(TransportError::StreamClosed);
        }
        let mut most = bytes_max.max(1);
        if self.seed != 0 {
            poll_fn(|context| {
                self.paused = !self.paused && self.chance().is_multiple_of(3);
                if self.paused {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
            most = most.min(1 + self.chance() as usize % 7);
        }
        let rest = &self.bytes[self.taken..];
        let piece = &rest[..rest.len().min(most)];
        self.taken += piece.len();
        Ok((!piece.is_empty()).then(|| Bytes::copy_from_slice(piece)))
    }

    fn stop(&mut self, code: u32) {
        self.stopped.get_or_insert(code);
    }

    fn set_idle_timeout(&mut self, _timeout: Option<Duration>) {}
}

/// A stream that keeps what is written.
#[derive(Default)]
pub struct Sink(pub Vec<u8>);

impl SendStream for Sink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), TransportError> {
        self.0.extend_from_slice(&bytes);
        Ok(())
    }
    fn finish(&mut self) -> Result<(), TransportError> {
        Ok(())
    }
    async fn acknowledged(&mut self) -> Result<(), TransportError> {
        Ok(())
    }
    fn reset(&mut self, _code: u32) {}
    fn set_idle_timeout(&mut self, _timeout: Option<Duration>) {}
}

/// Polls once and drops the future.
fn once<T>(work: impl Future<Output = T>) -> Option<T> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

/// Polls until it is ready.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
    }
}

/// What a stream of frames comes to: the bodies, the error after them if there is one, and how many bytes of the stream
/// are needed to know.
type Outcome = (Vec<Vec<u8>>, Option<TransportError>, usize);

/// The format again, in the plainest way.
fn model(stream: &[u8], limit: usize) -> Outcome {
    let (mut frames, mut at) = (Vec::new(), 0);
    loop {
        let Some(header) = stream.get(at..at + 4) else {
            let error = (at < stream.len()).then_some(TransportError::Truncated);
            return (frames, error, stream.len());
        };
        let length = header.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        if length > limit {
            return (frames, Some(TransportError::TooLong { limit }), at + 4);
        }
        let Some(body) = stream.get(at + 4..at + 4 + length) else {
            return (frames, Some(TransportError::Truncated), stream.len());
        };
        frames.push(body.to_vec());
        at += 4 + length;
    }
}

/// Reads all frames, calling `next` until the end.
fn collect(
    mut next: impl FnMut() -> Result<Option<Vec<u8>>, TransportError>,
) -> (Vec<Vec<u8>>, Option<TransportError>) {
    let mut frames = Vec::new();
    loop {
        match next() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// The first byte is how the stream is cut, the next two the limit of a body: however the stream is cut and however often
/// the reader is dropped, the frames are those of the model, and no byte is read that is not needed.
pub fn frame_reader(data: &[u8]) {
    let [seed, high, low, stream @ ..] = data else { return };
    let limit = usize::from(*high) << 8 | usize::from(*low);
    let (frames, error, needed) = model(stream, limit);
    let stopped = matches!(error, Some(TransportError::TooLong { .. })).then_some(code::TOO_LONG);

    let mut reader = FrameReader::new(Script::new(stream, *seed), limit);
    let read = collect(|| {
        loop {
            // A dropped future loses nothing.
            if let Some(result) = once(reader.next()) {
                return result;
            }
        }
    });
    assert_eq!(read, (frames.clone(), error.clone()));
    // The end and an error last.
    assert_eq!(run(reader.next()), error.clone().map_or(Ok(None), Err));
    let script = reader.into_inner();
    assert_eq!((script.taken, script.stopped), (needed, stopped));

    let mut script = Script::new(stream, *seed);
    let read = collect(|| run(recv_frame(&mut script, limit)));
    assert_eq!(read, (frames.clone(), error.clone()));
    assert_eq!((script.taken, script.stopped), (needed, stopped));

    let mut reader = FrameReader::new(DynRecvStream::new(Script::new(stream, *seed)), limit);
    assert_eq!(collect(|| run(reader.next())), (frames, error));
}

/// The first byte is how the stream is cut, the second into how many bodies the rest: what is sent as frames comes back.
pub fn frame_round_trip(data: &[u8]) {
    let [seed, count, rest @ ..] = data else { return };
    let size = rest.len() / (usize::from(*count) + 1) + 1;
    let mut sink = Sink::default();
    let mut bodies: Vec<&[u8]> = rest.chunks(size).collect();
    bodies.push(&[]);
    for body in &bodies {
        run(send_frame(&mut sink, body)).unwrap();
    }
    let mut reader = FrameReader::new(Script::new(&sink.0, *seed), size);
    let (frames, error) = collect(|| run(reader.next()));
    assert_eq!(error, None);
    assert_eq!(frames, bodies);
}

/// The first byte is how the stream is cut, the second how many bytes are accepted: all of them, or a refusal.
pub fn read_to_end(data: &[u8]) {
    let [seed, limit, stream @ ..] = data else { return };
    let limit = usize::from(*limit);
    let mut script = Script::new(stream, *seed);
    let read = run(script.read_to_end(limit));
    if stream.len() <= limit {
        assert_eq!(read.as_deref(), Ok(stream));
        assert_eq!(script.stopped, None);
    } else {
        assert_eq!(read, Err(TransportError::TooLong { limit }));
        assert_eq!(script.stopped, Some(code::TOO_LONG));
        assert_eq!(script.taken, limit + 1);
    }
}
