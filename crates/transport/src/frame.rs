//! Messages on a stream: [frames](tokenim_wire::frame) of a 4-byte big-endian length and a body.

use crate::{RecvStream, SendStream, TransportError, code};
use alloc::vec::Vec;
use bytes::Bytes;
use core::mem;
use tokenim_wire::{
    frame::{self, HEADER_BYTES},
    limits::FRAME_BYTES_MAX,
};

/// What is asked of a stream at once while the body of a frame is missing, in bytes.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Writes one frame around `body` of at most [`FRAME_BYTES_MAX`] bytes.
///
/// Not cancel-safe, like [`SendStream::write`].
///
/// # Errors
/// [`TransportError::BodyTooLong`] for a longer body, of which then nothing is written, and those of
/// [`SendStream::write`].
pub async fn send_frame<S: SendStream>(stream: &mut S, body: &[u8]) -> Result<(), TransportError> {
    let header = frame::header(body.len(), FRAME_BYTES_MAX).map_err(|_| TransportError::BodyTooLong {
        limit: FRAME_BYTES_MAX,
        actual: body.len(),
    })?;
    let mut framed = Vec::with_capacity(body.len().saturating_add(HEADER_BYTES));
    framed.extend_from_slice(&header);
    framed.extend_from_slice(body);
    stream.write(Bytes::from(framed)).await
}

/// Reads one frame whose body has at most `body_bytes_max` bytes; `None` if the stream ends before it. Reads no byte
/// beyond the frame.
///
/// Not cancel-safe: what a dropped future had read is lost. Where that matters, keep a [`FrameReader`].
///
/// # Errors
/// Those of [`FrameReader::next`].
pub async fn recv_frame<R: RecvStream>(
    stream: &mut R,
    body_bytes_max: usize,
) -> Result<Option<Vec<u8>>, TransportError> {
    let mut progress = Progress::START;
    progress.run(stream, body_bytes_max.min(FRAME_BYTES_MAX)).await
}

/// Reads a stream frame by frame.
///
/// A header that announces too much is refused before anything is allocated, and otherwise no more is held than has
/// arrived.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    body_bytes_max: usize,
    progress: Progress,
}

impl<R: RecvStream> FrameReader<R> {
    /// Reads frames from `stream` whose bodies have at most `body_bytes_max` bytes, and never more than
    /// [`FRAME_BYTES_MAX`].
    pub fn new(stream: R, body_bytes_max: usize) -> Self {
        Self {
            stream,
            body_bytes_max: body_bytes_max.min(FRAME_BYTES_MAX),
            progress: Progress::START,
        }
    }

    /// The body of the next frame; `None` if the stream ended after the last one, from then on always.
    ///
    /// Cancel-safe: what a dropped future had read is kept for the next call.
    ///
    /// # Errors
    /// [`TooLong`](TransportError::TooLong) for a header that announces too much; the stream is then stopped with
    /// [`code::TOO_LONG`]. [`Truncated`](TransportError::Truncated) if the stream ends inside of a frame. Otherwise
    /// those of [`RecvStream::read`]. After an error always the same.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        self.progress.run(&mut self.stream, self.body_bytes_max).await
    }

    /// The stream, of which no byte beyond the frames handed out has been read unless a call of
    /// [`next`](FrameReader::next) was dropped.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.stream
    }

    /// Gives the stream back.
    pub fn into_inner(self) -> R {
        self.stream
    }
}

/// How much of a frame has been read.
#[derive(Debug)]
enum Progress {
    Header { bytes: [u8; HEADER_BYTES], filled: usize },
    Body { bytes: Vec<u8>, missing: usize },
    Failed(TransportError),
}

impl Progress {
    const START: Self = Self::Header {
        bytes: [0; HEADER_BYTES],
        filled: 0,
    };

    /// Reads until a frame is complete. All that was read is in `self` at each await.
    async fn run<R: RecvStream>(
        &mut self,
        stream: &mut R,
        body_bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        loop {
            let asked = match self {
                Self::Failed(error) => return Err(error.clone()),
                Self::Body { bytes, missing: 0 } => {
                    let body = mem::take(bytes);
                    *self = Self::START;
                    return Ok(Some(body));
                }
                Self::Body { missing, .. } => (*missing).min(CHUNK_BYTES_MAX),
                Self::Header { filled, .. } => HEADER_BYTES.saturating_sub(*filled),
            };
            match stream.read(asked).await {
                Ok(Some(chunk)) => self.take(&chunk, body_bytes_max),
                Ok(None) if matches!(self, Self::Header { filled: 0, .. }) => return Ok(None),
                Ok(None) => *self = Self::Failed(TransportError::Truncated),
                Err(error) => *self = Self::Failed(error),
            }
            if matches!(self, Self::Failed(TransportError::TooLong { .. })) {
                stream.stop(code::TOO_LONG);
            }
        }
    }

    /// Takes in what was read; a stream that hands out more than was asked for breaks its contract.
    fn take(&mut self, chunk: &[u8], body_bytes_max: usize) {
        match self {
            Self::Header { bytes, filled } => {
                for (slot, byte) in bytes.iter_mut().skip(*filled).zip(chunk) {
                    *slot = *byte;
                }
                *filled = filled.saturating_add(chunk.len());
                if *filled == HEADER_BYTES {
                    *self = match frame::body_length(*bytes, body_bytes_max) {
                        Ok(missing) => Self::Body {
                            bytes: Vec::with_capacity(missing.min(CHUNK_BYTES_MAX)),
                            missing,
                        },
                        Err(error) => Self::Failed(error.into()),
                    };
                } else if *filled > HEADER_BYTES {
                    *self = Self::Failed(TransportError::Violation);
                }
            }
            Self::Body { bytes, missing } => match missing.checked_sub(chunk.len()) {
                Some(left) => {
                    bytes.extend_from_slice(chunk);
                    *missing = left;
                }
                None => *self = Self::Failed(TransportError::Violation),
            },
            Self::Failed(_) => {}
        }
    }
}
