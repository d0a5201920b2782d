//! Versioned top-level objects.

use crate::codec::{DecodeError, EncodeError, decode, encode_into};
use alloc::vec::Vec;
use serde::{Serialize, de::DeserializeOwned};

/// A value that travels or is stored by itself: one version byte, then its canonical encoding.
///
/// ```text
/// ┌─────────┬─────────────────────────────┐
/// │ version │ canonical encoding          │   at most BYTES_MAX bytes in all
/// │ 1 byte  │                             │
/// └─────────┴─────────────────────────────┘
/// ```
///
/// A value inside of another has no version of its own: the outer one decides.
pub trait Object: Serialize + DeserializeOwned {
    /// What it is, in a few lower-case words, for errors.
    const NAME: &'static str;
    /// The version byte.
    const VERSION: u8;
    /// The longest accepted encoding in bytes, version byte included.
    const BYTES_MAX: usize;

    /// The version byte and the canonical encoding.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] beyond [`Object::BYTES_MAX`], so that nothing is made that a peer refuses.
    fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        out.push(Self::VERSION);
        encode_into(self, &mut out)?;
        if out.len() > Self::BYTES_MAX {
            return Err(EncodeError::TooLong {
                limit: Self::BYTES_MAX,
                actual: out.len(),
            });
        }
        Ok(out)
    }

    /// Decodes exactly one object.
    ///
    /// # Errors
    /// Every [`DecodeError`]: length first, then version, then what [`decode`] refuses.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(DecodeError::TooLong {
                limit: Self::BYTES_MAX,
                actual: bytes.len(),
            });
        }
        match bytes.split_first() {
            None => Err(DecodeError::Truncated),
            Some((version, body)) if *version == Self::VERSION => decode(body, Self::BYTES_MAX),
            Some((version, _)) => Err(DecodeError::UnknownVersion {
                object: Self::NAME,
                version: *version,
            }),
        }
    }
}
