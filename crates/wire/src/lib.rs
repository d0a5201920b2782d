#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

mod bounded;
mod codec;
pub mod frame;
mod hash;
pub mod hex;
pub mod id;
pub mod limits;
#[doc(hidden)]
pub mod macros;
mod object;
pub mod unit;

pub use bounded::{BoundedBytes, BoundedString, BoundedVec, LengthError};
pub use codec::{DecodeError, EncodeError, decode, encode, encode_into, encoded_len};
pub use hash::{Hasher, Label, hash, hash_object};
pub use id::{Digest, EnvelopeId, NetworkId};
pub use macros::ParseBytesError;
pub use object::Object;
pub use unit::{Epoch, Height, SetEpoch, UnixMillis, UnixSeconds};
