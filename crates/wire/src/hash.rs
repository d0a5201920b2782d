//! SHA-256 under a domain label.

use crate::{
    codec::{EncodeError, feed},
    id::Digest,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A domain label: what a hash or signature is for. By convention `tokenim/<what>/v<n>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(&'static str);

impl Label {
    /// The longest label, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// A label of 1 to 64 printable ASCII characters. Call it in a `const`, where a wrong one does not compile:
    ///
    /// ```
    /// use tokenim_wire::Label;
    /// const LABEL: Label = Label::new("tokenim/example/v1");
    /// ```
    /// ```compile_fail
    /// use tokenim_wire::Label;
    /// const LABEL: Label = Label::new("");
    /// ```
    ///
    /// # Panics
    /// At run time, if it is not called in a `const` and the text is not such a label.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        let mut rest = text.as_bytes();
        assert!(
            !rest.is_empty() && rest.len() <= Self::BYTES_MAX,
            "a label has 1 to 64 characters"
        );
        while let [first, tail @ ..] = rest {
            assert!(first.is_ascii_graphic(), "a label is printable ASCII");
            rest = tail;
        }
        Self(text)
    }

    /// The label's text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The label's length as one byte, as it precedes the label wherever that is hashed or signed.
    #[must_use]
    pub const fn length_byte(self) -> u8 {
        // At most 64, by construction.
        self.0.len().to_le_bytes()[0]
    }
}

/// SHA-256 of `parts` one after the other, under `label`:
///
/// ```text
/// SHA-256( length of label, 1 byte ‖ label ‖ part 1 ‖ part 2 ‖ … )
/// ```
///
/// Nothing marks where a part ends, so all parts but the last must have lengths that follow from the label. Use
/// [`hash_object`] where they don't.
#[must_use]
pub fn hash(label: Label, parts: &[&[u8]]) -> Digest {
    parts
        .iter()
        .fold(Hasher::new(label), |hasher, part| hasher.update(part))
        .finish()
}

/// [`hash`] of parts that come one by one.
#[derive(Clone)]
pub struct Hasher(Sha256);

impl Hasher {
    /// A hasher that has taken in the label.
    #[must_use]
    pub fn new(label: Label) -> Self {
        let mut inner = Sha256::new();
        inner.update([label.length_byte()]);
        inner.update(label.as_str());
        Self(inner)
    }

    /// Takes in a part.
    #[must_use]
    pub fn update(mut self, part: &[u8]) -> Self {
        self.0.update(part);
        self
    }

    /// The hash.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest::from_bytes(self.0.finalize().into())
    }
}

impl core::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Hasher(..)")
    }
}

/// SHA-256 of the canonical encoding of `value`, under `label`, without a buffer for the encoding:
///
/// ```text
/// SHA-256( length of label, 1 byte ‖ label ‖ canonical encoding )
/// ```
///
/// # Errors
/// [`EncodeError::Unsupported`] for a type that has no encoding.
pub fn hash_object<T: Serialize + ?Sized>(label: Label, value: &T) -> Result<Digest, EncodeError> {
    let mut hasher = Hasher::new(label);
    feed(value, |bytes| hasher.0.update(bytes))?;
    Ok(hasher.finish())
}
