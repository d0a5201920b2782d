//! How a stream begins.
//!
//! A stream is a sequence of frames ([`tokenim_wire::frame`]). The first one holds a [`StreamHeader`]; what follows
//! depends on its kind:
//!
//! ```text
//! Rpc        caller: header, request, end      node: response, end
//! Consensus  caller: header, message, message, …   node: nothing
//! ```

use crate::limits::STREAM_HEADER_BYTES_MAX;
use crate::{Request, Response};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tokenim_wire::{DecodeError, EncodeError, NetworkId, Object, frame};

/// What a stream is for.
///
/// The position of a variant is its number on the wire: it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StreamKind {
    /// One request and its response.
    Rpc,
    /// Messages of the consensus engine, one way, as long as both nodes live.
    Consensus {
        /// Which of the engine's channels.
        channel: u8,
    },
}

/// The first frame of every stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHeader {
    /// The network that the caller believes to talk to; a node of another one refuses the stream.
    pub network: NetworkId,
    /// What the stream is for.
    pub kind: StreamKind,
}

impl Object for StreamHeader {
    const NAME: &'static str = "stream header";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = STREAM_HEADER_BYTES_MAX;
}

/// The bytes that a caller writes for one request, before it ends its side of the stream: two frames, header and
/// request.
///
/// # Errors
/// [`EncodeError::TooLong`] if the request does not fit into a frame.
pub fn encode_call(network: &NetworkId, request: &Request) -> Result<Vec<u8>, EncodeError> {
    let header = StreamHeader {
        network: *network,
        kind: StreamKind::Rpc,
    };
    let mut out = Vec::new();
    append(&header, &mut out)?;
    append(request, &mut out)?;
    Ok(out)
}

/// The bytes that a node writes as its answer, before it ends its side of the stream: one frame.
///
/// # Errors
/// [`EncodeError::TooLong`] if the response does not fit into a frame.
pub fn encode_answer(response: &Response) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    append(response, &mut out)?;
    Ok(out)
}

/// Appends an object as one frame.
fn append<T: Object>(object: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let body = object.to_bytes()?;
    frame::encode(&body, out).map_err(|_| EncodeError::TooLong {
        limit: tokenim_wire::limits::FRAME_BYTES_MAX,
        actual: body.len(),
    })
}

/// Reads a header and refuses another network than `network`.
///
/// # Errors
/// [`HeaderError::Malformed`] for what is no header of a known version, [`HeaderError::ForeignNetwork`].
pub fn parse_header(network: &NetworkId, body: &[u8]) -> Result<StreamKind, HeaderError> {
    let header = StreamHeader::from_bytes(body).map_err(HeaderError::Malformed)?;
    if header.network != *network {
        return Err(HeaderError::ForeignNetwork);
    }
    Ok(header.kind)
}

/// Why a stream is refused at its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The first frame is no header.
    #[error("the stream does not begin with a header: {0}")]
    Malformed(DecodeError),
    /// The caller wants another network.
    #[error("the stream is meant for another network")]
    ForeignNetwork,
}
