//! The macros that declare newtypes, and what their expansions call.

use crate::hex;
use core::fmt;
use serde::{
    Deserializer, Serializer,
    de::{self, SeqAccess, Visitor},
    ser::SerializeTuple,
};

pub use serde;

/// A text or slice that is not the byte string it should be: wrong length, or not lower-case hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} bytes, in text twice as many lower-case hexadecimal digits")]
pub struct ParseBytesError {
    /// The length in bytes that was expected.
    pub expected: usize,
}

/// Formats bytes as hexadecimal.
///
/// # Errors
/// Those of the formatter.
pub fn format_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    hex::write(f, bytes)
}

/// Reads exactly `N` bytes of hexadecimal.
///
/// # Errors
/// [`ParseBytesError`] for another length or another character.
pub fn parse_bytes<const N: usize>(text: &str) -> Result<[u8; N], ParseBytesError> {
    hex::decode_array(text).ok_or(ParseBytesError { expected: N })
}

/// Writes `N` bytes without a length; as hexadecimal text in formats for humans.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_bytes<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serializer.serialize_str(&hex::encode(bytes));
    }
    let mut tuple = serializer.serialize_tuple(N)?;
    for byte in bytes {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

/// Reads what [`serialize_bytes`] writes.
///
/// # Errors
/// Those of the deserializer, and a wrong length.
pub fn deserialize_bytes<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Fixed)
    } else {
        deserializer.deserialize_tuple(N, Fixed)
    }
}

/// Visits exactly `N` bytes.
struct Fixed<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for Fixed<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        parse_bytes(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut out = [0; N];
        for (position, byte) in out.iter_mut().enumerate() {
            *byte = seq
                .next_element()?
                .ok_or_else(|| de::Error::invalid_length(position, &self))?;
        }
        Ok(out)
    }
}

/// Declares a newtype around a byte array: an id, a hash, a nonce.
///
/// The type is `Copy`, ordered and hashed by its bytes, prints itself as lower-case hexadecimal, reads the same back
/// with `FromStr`, and is encoded as exactly its bytes, without a length. Not for secrets: it prints them.
///
/// ```
/// tokenim_wire::bytes_newtype! {
///     /// A salt of 16 bytes.
///     pub struct Salt([u8; 16]);
/// }
/// let salt = Salt::from_bytes([7; 16]);
/// assert_eq!(salt.to_string(), "07".repeat(16));
/// assert_eq!("07".repeat(16).parse::<Salt>(), Ok(salt));
/// ```
#[macro_export]
macro_rules! bytes_newtype {
    ($(#[$meta:meta])* $vis:vis struct $name:ident([u8; $length:expr]) $(;)?) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $name([u8; $length]);

        #[allow(dead_code, reason = "not every newtype needs every conversion")]
        impl $name {
            /// Length in bytes.
            $vis const LENGTH: usize = $length;

            /// The value with these bytes.
            #[must_use]
            $vis const fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// Its bytes, by value.
            #[must_use]
            $vis const fn to_bytes(self) -> [u8; $length] {
                self.0
            }

            /// Its bytes.
            #[must_use]
            $vis const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                $crate::macros::format_bytes(f, &self.0)
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(::core::concat!(::core::stringify!($name), "("))?;
                $crate::macros::format_bytes(f, &self.0)?;
                f.write_str(")")
            }
        }

        impl ::core::str::FromStr for $name {
            type Err = $crate::ParseBytesError;

            fn from_str(text: &str) -> ::core::result::Result<Self, Self::Err> {
                $crate::macros::parse_bytes(text).map(Self)
            }
        }

        impl ::core::convert::TryFrom<&[u8]> for $name {
            type Error = $crate::ParseBytesError;

            fn try_from(bytes: &[u8]) -> ::core::result::Result<Self, Self::Error> {
                <[u8; $length]>::try_from(bytes)
                    .map(Self)
                    .map_err(|_| $crate::ParseBytesError { expected: $length })
            }
        }

        impl ::core::convert::From<[u8; $length]> for $name {
            fn from(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }
        }

        impl ::core::convert::AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl $crate::macros::serde::Serialize for $name {
            fn serialize<S: $crate::macros::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::macros::serialize_bytes(&self.0, serializer)
            }
        }

        impl<'de> $crate::macros::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::macros::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::macros::deserialize_bytes(deserializer).map(Self)
            }
        }
    };
}

/// Declares a newtype around a `u64`: a height, an epoch, a time.
///
/// The type is `Copy`, ordered, hashed, and encoded as the number alone. Arithmetic is checked or says that it
/// saturates; there are no operators.
///
/// ```
/// tokenim_wire::u64_newtype! {
///     /// A page number.
///     pub struct Page(u64);
/// }
/// assert_eq!(Page::new(6).next(), Some(Page::new(7)));
/// assert_eq!(Page::MAX.next(), None);
/// ```
#[macro_export]
macro_rules! u64_newtype {
    ($(#[$meta:meta])* $vis:vis struct $name:ident(u64) $(;)?) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        $vis struct $name(u64);

        #[allow(dead_code, reason = "not every newtype needs every operation")]
        impl $name {
            /// Zero.
            $vis const ZERO: Self = Self(0);
            /// The largest value.
            $vis const MAX: Self = Self(u64::MAX);

            /// The value with this number.
            #[must_use]
            $vis const fn new(value: u64) -> Self {
                Self(value)
            }

            /// Its number.
            #[must_use]
            $vis const fn get(self) -> u64 {
                self.0
            }

            /// The value `count` later; `None` beyond the largest.
            #[must_use]
            $vis const fn checked_add(self, count: u64) -> ::core::option::Option<Self> {
                match self.0.checked_add(count) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The value `count` earlier; `None` below zero.
            #[must_use]
            $vis const fn checked_sub(self, count: u64) -> ::core::option::Option<Self> {
                match self.0.checked_sub(count) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The value `count` later, or the largest.
            #[must_use]
            $vis const fn saturating_add(self, count: u64) -> Self {
                Self(self.0.saturating_add(count))
            }

            /// The value `count` earlier, or zero.
            #[must_use]
            $vis const fn saturating_sub(self, count: u64) -> Self {
                Self(self.0.saturating_sub(count))
            }

            /// The value one later; `None` beyond the largest.
            #[must_use]
            $vis const fn next(self) -> ::core::option::Option<Self> {
                self.checked_add(1)
            }

            /// How far this is after `earlier`; `None` when it is before.
            #[must_use]
            $vis const fn since(self, earlier: Self) -> ::core::option::Option<u64> {
                self.0.checked_sub(earlier.0)
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::core::convert::From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }

        impl $crate::macros::serde::Serialize for $name {
            fn serialize<S: $crate::macros::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                serializer.serialize_u64(self.0)
            }
        }

        impl<'de> $crate::macros::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::macros::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                <u64 as $crate::macros::serde::Deserialize>::deserialize(deserializer).map(Self)
            }
        }
    };
}
