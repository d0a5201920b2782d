//! Ids that more than one crate needs; the others are declared where their meaning is.

use crate::{Label, bytes_newtype, hash};

bytes_newtype! {
    /// A SHA-256 hash made by [`hash`], [`Hasher`](crate::Hasher) or [`hash_object`](crate::hash_object).
    pub struct Digest([u8; 32]);
}

bytes_newtype! {
    /// The hash of a network's configuration. Whatever is signed or sealed names it, so that nothing of one network is
    /// valid in another.
    pub struct NetworkId([u8; 32]);
}

bytes_newtype! {
    /// The hash of the bytes of a sealed envelope.
    pub struct EnvelopeId([u8; 32]);
}

impl From<Digest> for NetworkId {
    fn from(digest: Digest) -> Self {
        Self::from_bytes(digest.to_bytes())
    }
}

impl EnvelopeId {
    /// The label under which envelopes are hashed.
    pub const LABEL: Label = Label::new("tokenim/envelope-id/v1");

    /// The id of an envelope with these bytes.
    #[must_use]
    pub fn of(envelope: &[u8]) -> Self {
        Self::from_bytes(hash(Self::LABEL, &[envelope]).to_bytes())
    }
}
