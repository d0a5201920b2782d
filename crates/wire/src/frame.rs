//! Frames on a byte stream.
//!
//! ```text
//! ┌──────────────────────┬───────────────┐
//! │ length of body       │ body          │
//! │ 4 bytes, big-endian  │ length bytes  │
//! └──────────────────────┴───────────────┘
//! ```

use crate::limits::FRAME_BYTES_MAX;
use alloc::{collections::VecDeque, vec::Vec};

/// Bytes of the header of a frame.
pub const HEADER_BYTES: usize = 4;

/// Why a frame is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The header announces, or the body has, more bytes than the limit.
    #[error("a frame of {actual} bytes, at most {limit} are accepted")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
        /// The length announced, in bytes.
        actual: usize,
    },
    /// The stream ended inside of a frame.
    #[error("the stream ended inside of a frame")]
    Truncated,
}

/// The header of a frame whose body has `length` bytes.
///
/// # Errors
/// [`FrameError::TooLong`] if that is more than `length_max`, or than 32 bits can say.
pub fn header(length: usize, length_max: usize) -> Result<[u8; HEADER_BYTES], FrameError> {
    match u32::try_from(length) {
        Ok(short) if length <= length_max => Ok(short.to_be_bytes()),
        _ => Err(FrameError::TooLong {
            limit: length_max,
            actual: length,
        }),
    }
}

/// The length of the body that a header announces.
///
/// # Errors
/// [`FrameError::TooLong`] if that is more than `length_max`.
pub fn body_length(header: [u8; HEADER_BYTES], length_max: usize) -> Result<usize, FrameError> {
    match usize::try_from(u32::from_be_bytes(header)) {
        Ok(length) if length <= length_max => Ok(length),
        length => Err(FrameError::TooLong {
            limit: length_max,
            actual: length.unwrap_or(usize::MAX),
        }),
    }
}

/// Appends the frame around `body` to `out`.
///
/// # Errors
/// [`FrameError::TooLong`] beyond [`FRAME_BYTES_MAX`].
pub fn encode(body: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    out.extend_from_slice(&header(body.len(), FRAME_BYTES_MAX)?);
    out.extend_from_slice(body);
    Ok(())
}

/// Cuts a byte stream into the bodies of its frames.
///
/// It holds no more than was pushed and not yet taken. A header that announces too much is refused before any of its
/// body is kept, and nothing after it is read.
///
/// ```
/// use tokenim_wire::frame::{self, Decoder};
/// let mut stream = Vec::new();
/// frame::encode(b"hello", &mut stream)?;
/// let mut decoder = Decoder::new(1024);
/// decoder.push(&stream[..6]);
/// assert_eq!(decoder.next()?, None);
/// decoder.push(&stream[6..]);
/// assert_eq!(decoder.next()?.as_deref(), Some(&b"hello"[..]));
/// decoder.finish()?;
/// # Ok::<(), frame::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    body_bytes_max: usize,
    ready: VecDeque<Vec<u8>>,
    state: State,
}

/// Where in a frame the stream stands.
enum State {
    Header { bytes: [u8; HEADER_BYTES], filled: usize },
    Body { bytes: Vec<u8>, missing: usize },
    Failed(FrameError),
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Header { filled, .. } => write!(f, "Header({filled} bytes)"),
            Self::Body { missing, .. } => write!(f, "Body({missing} bytes missing)"),
            Self::Failed(error) => write!(f, "Failed({error:?})"),
        }
    }
}

/// At the start of a frame.
const START: State = State::Header {
    bytes: [0; HEADER_BYTES],
    filled: 0,
};

impl Decoder {
    /// A decoder that accepts bodies of at most `body_bytes_max` bytes.
    #[must_use]
    pub const fn new(body_bytes_max: usize) -> Self {
        Self {
            body_bytes_max,
            ready: VecDeque::new(),
            state: START,
        }
    }

    /// Takes in the next bytes of the stream. After a refused header it takes in nothing.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Failed(_) => return,
                State::Header { bytes: header, filled } => {
                    for (slot, byte) in header.iter_mut().skip(*filled).zip(bytes) {
                        *slot = *byte;
                    }
                    let taken = bytes.len().min(HEADER_BYTES.saturating_sub(*filled));
                    bytes = bytes.split_at_checked(taken).map_or(&[], |(_, rest)| rest);
                    *filled = filled.saturating_add(taken);
                    if *filled == HEADER_BYTES {
                        self.state = match body_length(*header, self.body_bytes_max) {
                            Ok(0) => {
                                self.ready.push_back(Vec::new());
                                START
                            }
                            Ok(missing) => State::Body {
                                bytes: Vec::new(),
                                missing,
                            },
                            Err(error) => State::Failed(error),
                        };
                    }
                }
                State::Body { bytes: body, missing } => {
                    let (taken, rest) = bytes.split_at_checked(*missing).unwrap_or((bytes, &[]));
                    bytes = rest;
                    *missing = missing.saturating_sub(taken.len());
                    body.extend_from_slice(taken);
                    if *missing == 0 {
                        self.ready.push_back(core::mem::take(body));
                        self.state = START;
                    }
                }
            }
        }
    }

    /// The body of the next complete frame; `None` until more bytes are pushed.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] for a refused header, after all frames before it and from then on always.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end where this only waits for more"
    )]
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        match (self.ready.pop_front(), &self.state) {
            (Some(body), _) => Ok(Some(body)),
            (None, State::Failed(error)) => Err(*error),
            (None, _) => Ok(None),
        }
    }

    /// Says whether the stream may end here: between frames.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] inside of a frame, and the error of a refused header.
    pub const fn finish(&self) -> Result<(), FrameError> {
        match &self.state {
            State::Header { filled: 0, .. } => Ok(()),
            State::Failed(error) => Err(*error),
            State::Header { .. } | State::Body { .. } => Err(FrameError::Truncated),
        }
    }
}
