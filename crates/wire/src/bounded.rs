//! Sequences, byte strings and texts that cannot be longer than their type says.

use alloc::{string::String, vec::Vec};
use core::{fmt, marker::PhantomData, ops::Deref};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};

/// More items or bytes than a bounded type holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{actual} items, at most {limit} are accepted")]
pub struct LengthError {
    /// The limit, in items or bytes.
    pub limit: usize,
    /// The length met.
    pub actual: usize,
}

/// The error, unless `actual` is within `limit`.
const fn check(limit: usize, actual: usize) -> Result<(), LengthError> {
    if actual > limit {
        Err(LengthError { limit, actual })
    } else {
        Ok(())
    }
}

/// Memory reserved for a sequence on the word of its sender, in bytes; the rest grows as items arrive.
const RESERVED_BYTES_MAX: usize = 4096;

/// At most `MAX` items. Encoded as their number (varint) and the items; a number above `MAX` is refused before the
/// first item is read.
///
/// Items of size zero don't compile, for a few bytes could then announce any number of them:
///
/// ```compile_fail
/// let nothing = tokenim_wire::BoundedVec::<(), 8>::empty();
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundedVec<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> BoundedVec<T, MAX> {
    /// Evaluated wherever a value can come to be.
    const ITEM_HAS_SIZE: () = assert!(size_of::<T>() != 0, "items of a BoundedVec have a size");

    /// The most items it holds.
    pub const LENGTH_MAX: usize = MAX;

    /// No items.
    #[must_use]
    pub const fn empty() -> Self {
        const { Self::ITEM_HAS_SIZE };
        Self(Vec::new())
    }

    /// Appends an item.
    ///
    /// # Errors
    /// [`LengthError`] if it is full already; it is then left as it was.
    pub fn push(&mut self, item: T) -> Result<(), LengthError> {
        check(MAX, self.0.len().saturating_add(1))?;
        self.0.push(item);
        Ok(())
    }

    /// The items of an iterator.
    ///
    /// # Errors
    /// [`LengthError`] as soon as there are more than `MAX`.
    pub fn try_from_iter(items: impl IntoIterator<Item = T>) -> Result<Self, LengthError> {
        let mut out = Self::empty();
        items.into_iter().try_for_each(|item| out.push(item))?;
        Ok(out)
    }

    /// The items.
    #[must_use]
    pub const fn as_slice(&self) -> &[T] {
        self.0.as_slice()
    }

    /// The items, to change in place.
    #[must_use]
    pub const fn as_mut_slice(&mut self) -> &mut [T] {
        self.0.as_mut_slice()
    }

    /// The items as a plain vector.
    #[must_use]
    pub fn into_inner(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> TryFrom<Vec<T>> for BoundedVec<T, MAX> {
    type Error = LengthError;

    fn try_from(items: Vec<T>) -> Result<Self, LengthError> {
        const { Self::ITEM_HAS_SIZE };
        check(MAX, items.len())?;
        Ok(Self(items))
    }
}

impl<T, const MAX: usize> Default for BoundedVec<T, MAX> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T, const MAX: usize> Deref for BoundedVec<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> AsRef<[T]> for BoundedVec<T, MAX> {
    fn as_ref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> IntoIterator for BoundedVec<T, MAX> {
    type Item = T;
    type IntoIter = alloc::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a BoundedVec<T, MAX> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug, const MAX: usize> fmt::Debug for BoundedVec<T, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize, const MAX: usize> Serialize for BoundedVec<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for BoundedVec<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const { Self::ITEM_HAS_SIZE };
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// Visits the items of a [`BoundedVec`].
struct Items<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
    type Value = BoundedVec<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let announced = seq.size_hint().unwrap_or(0);
        check(MAX, announced).map_err(de::Error::custom)?;
        let reserved = RESERVED_BYTES_MAX.checked_div(size_of::<T>()).unwrap_or(0);
        let mut out = BoundedVec(Vec::with_capacity(announced.min(reserved)));
        while let Some(item) = seq.next_element()? {
            out.push(item).map_err(de::Error::custom)?;
        }
        Ok(out)
    }
}

/// At most `MAX` bytes. Encoded as their number (varint) and the bytes. Its `Debug` shows only the length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BoundedBytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> BoundedBytes<MAX> {
    /// The most bytes it holds.
    pub const LENGTH_MAX: usize = MAX;

    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// The bytes.
    #[must_use]
    pub const fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The bytes as a plain vector.
    #[must_use]
    pub fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> TryFrom<Vec<u8>> for BoundedBytes<MAX> {
    type Error = LengthError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, LengthError> {
        check(MAX, bytes.len())?;
        Ok(Self(bytes))
    }
}

impl<const MAX: usize> TryFrom<&[u8]> for BoundedBytes<MAX> {
    type Error = LengthError;

    fn try_from(bytes: &[u8]) -> Result<Self, LengthError> {
        check(MAX, bytes.len())?;
        Ok(Self(bytes.to_vec()))
    }
}

impl<const MAX: usize> Deref for BoundedBytes<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> AsRef<[u8]> for BoundedBytes<MAX> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for BoundedBytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoundedBytes({} bytes)", self.0.len())
    }
}

impl<const MAX: usize> Serialize for BoundedBytes<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedBytes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Octets)
    }
}

/// Visits the bytes of a [`BoundedBytes`].
struct Octets<const MAX: usize>;

impl<'de, const MAX: usize> Visitor<'de> for Octets<MAX> {
    type Value = BoundedBytes<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        BoundedBytes::try_from(bytes).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Items::<u8, MAX>(PhantomData)
            .visit_seq(seq)
            .map(|items| BoundedBytes(items.0))
    }
}

/// At most `MAX` bytes of UTF-8. Encoded as the number of bytes (varint) and the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BoundedString<const MAX: usize>(String);

impl<const MAX: usize> BoundedString<MAX> {
    /// The most bytes it holds.
    pub const LENGTH_MAX: usize = MAX;

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The text as a plain string.
    #[must_use]
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl<const MAX: usize> TryFrom<String> for BoundedString<MAX> {
    type Error = LengthError;

    fn try_from(text: String) -> Result<Self, LengthError> {
        check(MAX, text.len())?;
        Ok(Self(text))
    }
}

impl<const MAX: usize> TryFrom<&str> for BoundedString<MAX> {
    type Error = LengthError;

    fn try_from(text: &str) -> Result<Self, LengthError> {
        check(MAX, text.len())?;
        Ok(Self(text.into()))
    }
}

impl<const MAX: usize> core::str::FromStr for BoundedString<MAX> {
    type Err = LengthError;

    fn from_str(text: &str) -> Result<Self, LengthError> {
        Self::try_from(text)
    }
}

impl<const MAX: usize> Deref for BoundedString<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> AsRef<str> for BoundedString<MAX> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for BoundedString<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for BoundedString<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const MAX: usize> Serialize for BoundedString<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for BoundedString<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Visits the text of a [`BoundedString`].
struct Text<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for Text<MAX> {
    type Value = BoundedString<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} bytes of text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        BoundedString::try_from(text).map_err(E::custom)
    }
}
