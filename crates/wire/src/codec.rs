//! The one encoder and the one decoder.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place where postcard is called, made strict and canonical around it"
)]

use alloc::vec::Vec;
use postcard::{Deserializer, de_flavors, ser_flavors, serialize_with_flavor};
use serde::{Deserialize, Serialize};

/// Why bytes are not the canonical encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Longer than the limit of what was expected; nothing was read.
    #[error("{actual} bytes, at most {limit} are accepted")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
        /// The length met, in bytes.
        actual: usize,
    },
    /// The bytes end before the value does.
    #[error("the bytes end before the value does")]
    Truncated,
    /// Bytes are left after the value.
    #[error("bytes are left after the value")]
    TrailingBytes,
    /// A value, but in another than its one encoding.
    #[error("the value is not in its canonical encoding")]
    NotCanonical,
    /// An object of a version that this software does not know.
    #[error("{object} of version {version} is not known here")]
    UnknownVersion {
        /// [`Object::NAME`](crate::Object::NAME) of what was expected.
        object: &'static str,
        /// The version met.
        version: u8,
    },
    /// Not a value of this type: a number out of range, an unknown variant, too many items, text that is not UTF-8.
    #[error("the bytes are not a value of the expected type")]
    Malformed,
}

/// Why a value has no encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Its encoding is longer than its object's limit.
    #[error("encodes to {actual} bytes, at most {limit} are accepted")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
        /// The length of the encoding, in bytes.
        actual: usize,
    },
    /// Its type has no encoding here: a sequence of unknown length, or a `Serialize` that failed.
    #[error("the value has no canonical encoding")]
    Unsupported,
}

/// The canonical encoding of `value`.
///
/// # Errors
/// [`EncodeError::Unsupported`] for a type that postcard cannot encode.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    encode_into(value, &mut out)?;
    Ok(out)
}

/// Appends the canonical encoding of `value` to `out`, which is left as it was on an error.
///
/// # Errors
/// [`EncodeError::Unsupported`] for a type that postcard cannot encode.
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let before = out.len();
    feed(value, |bytes| out.extend_from_slice(bytes)).inspect_err(|_| out.truncate(before))
}

/// The length of the canonical encoding of `value` in bytes, found without making it.
///
/// # Errors
/// [`EncodeError::Unsupported`] for a type that postcard cannot encode.
pub fn encoded_len<T: Serialize + ?Sized>(value: &T) -> Result<usize, EncodeError> {
    let mut length = 0_usize;
    feed(value, |bytes| length = length.saturating_add(bytes.len()))?;
    Ok(length)
}

/// Decodes exactly one value from `bytes`.
///
/// Refuses more than `bytes_max` bytes before reading any, anything left over, and every encoding but the one that
/// [`encode`] makes; the last by encoding again and comparing byte by byte, without a buffer. So a value has one
/// encoding, and hashing or signing the bytes or the value comes to the same. The value may borrow from `bytes`.
///
/// # Errors
/// Every [`DecodeError`] but `UnknownVersion`.
pub fn decode<'de, T: Serialize + Deserialize<'de>>(bytes: &'de [u8], bytes_max: usize) -> Result<T, DecodeError> {
    if bytes.len() > bytes_max {
        return Err(DecodeError::TooLong {
            limit: bytes_max,
            actual: bytes.len(),
        });
    }
    let mut deserializer = Deserializer::from_flavor(Input { rest: bytes });
    let value = T::deserialize(&mut deserializer).map_err(refusal)?;
    let rest = deserializer.finalize().map_err(refusal)?;
    if !rest.is_empty() {
        return Err(DecodeError::TrailingBytes);
    }
    serialize_with_flavor(&value, Compare { rest: bytes }).map_err(|_| DecodeError::NotCanonical)?;
    Ok(value)
}

/// Gives the canonical encoding of `value` to `sink`, piece by piece.
pub(crate) fn feed<T: Serialize + ?Sized>(value: &T, sink: impl FnMut(&[u8])) -> Result<(), EncodeError> {
    serialize_with_flavor(value, Sink(sink)).map_err(|_| EncodeError::Unsupported)
}

/// Maps the few errors of postcard that say something.
fn refusal(error: postcard::Error) -> DecodeError {
    match error {
        postcard::Error::DeserializeUnexpectedEnd => DecodeError::Truncated,
        _ => DecodeError::Malformed,
    }
}

/// Reads from a slice. It gives no size hint, for with one postcard would hide the length of a sequence that is longer
/// than the input, and bounded sequences want to see it.
struct Input<'de> {
    rest: &'de [u8],
}

impl<'de> de_flavors::Flavor<'de> for Input<'de> {
    type Remainder = &'de [u8];
    type Source = &'de [u8];

    #[inline]
    fn pop(&mut self) -> postcard::Result<u8> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    fn try_take_n(&mut self, count: usize) -> postcard::Result<&'de [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    fn finalize(self) -> postcard::Result<Self::Remainder> {
        Ok(self.rest)
    }
}

/// Compares what is written with what was read.
struct Compare<'a> {
    rest: &'a [u8],
}

impl ser_flavors::Flavor for Compare<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.rest = self
            .rest
            .strip_prefix(data)
            .ok_or(postcard::Error::SerializeBufferFull)?;
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        match self.rest.split_first() {
            Some((first, rest)) if *first == data => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(postcard::Error::SerializeBufferFull),
        }
    }

    fn finalize(self) -> postcard::Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(postcard::Error::SerializeBufferFull)
        }
    }
}

/// Hands on what is written.
struct Sink<F>(F);

impl<F: FnMut(&[u8])> ser_flavors::Flavor for Sink<F> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        (self.0)(data);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        (self.0)(&[data]);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
