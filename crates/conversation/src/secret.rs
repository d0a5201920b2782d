//! Values that are wiped when dropped and don't print themselves.

use alloc::{string::String, vec::Vec};
use core::{fmt, mem, ops::Deref};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq as _;
use tokenim_wire::{BoundedBytes, BoundedString, LengthError, macros};
use zeroize::{Zeroize as _, ZeroizeOnDrop};

/// A text of 1 to `MAX` bytes that somebody wrote. Encoded as its length (varint) and its bytes of UTF-8; wiped when
/// dropped; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Text<const MAX: usize>(BoundedString<MAX>);

/// Why a text is none that can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// There is nothing in it.
    #[error("the text is empty")]
    Empty,
    /// It is too long.
    #[error("the text is too long: {0}")]
    TooLong(#[from] LengthError),
}

impl<const MAX: usize> Text<MAX> {
    /// The longest, in bytes.
    pub const BYTES_MAX: usize = MAX;

    /// Takes a text.
    ///
    /// # Errors
    /// [`TextError`] if it is empty or has more than `MAX` bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let mut text = text.into();
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.len() > MAX {
            let actual = text.len();
            text.zeroize();
            return Err(TextError::TooLong(LengthError { limit: MAX, actual }));
        }
        Ok(Self(BoundedString::try_from(text)?))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<const MAX: usize> Deref for Text<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text([redacted])")
    }
}

impl<const MAX: usize> Drop for Text<MAX> {
    fn drop(&mut self) {
        mem::take(&mut self.0).into_inner().zeroize();
    }
}

impl<const MAX: usize> ZeroizeOnDrop for Text<MAX> {}

impl<const MAX: usize> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = BoundedString::<MAX>::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(de::Error::custom(TextError::Empty));
        }
        Ok(Self(text))
    }
}

/// At most `MAX` bytes that are nobody else's business. Encoded as their number (varint) and the bytes; wiped when
/// dropped; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Octets<const MAX: usize>(BoundedBytes<MAX>);

impl<const MAX: usize> Octets<MAX> {
    /// Takes bytes.
    ///
    /// # Errors
    /// [`LengthError`] for more than `MAX`.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, LengthError> {
        Ok(Self(BoundedBytes::try_from(bytes.into())?))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl<const MAX: usize> fmt::Debug for Octets<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Octets([redacted])")
    }
}

impl<const MAX: usize> Drop for Octets<MAX> {
    fn drop(&mut self) {
        mem::take(&mut self.0).into_inner().zeroize();
    }
}

impl<const MAX: usize> ZeroizeOnDrop for Octets<MAX> {}

impl<const MAX: usize> Serialize for Octets<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Octets<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BoundedBytes::deserialize(deserializer).map(Self)
    }
}

/// A secret of 32 bytes. Encoded as they are; wiped when dropped, compared in constant time; its `Debug` shows nothing.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Secret32([u8; 32]);

impl Secret32 {
    /// The secret with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A fresh random one.
    #[must_use]
    pub fn generate(rng: &mut (impl rand_core::CryptoRng + ?Sized)) -> Self {
        let mut secret = Self([0; 32]);
        rng.fill_bytes(&mut secret.0);
        secret
    }

    /// Its bytes.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Secret32 {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret32 {}

impl fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret32([redacted])")
    }
}

impl Serialize for Secret32 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        macros::serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Secret32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        macros::deserialize_bytes(deserializer).map(Self)
    }
}
