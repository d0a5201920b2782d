//! The envelope as bytes, and the header that everyone can read.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use tokenim_identity::SuiteId;
use tokenim_wire::limits::ENVELOPE_BYTES_MAX;
use tokenim_wire::{BoundedBytes, DecodeError, EncodeError, EnvelopeId, Object, UnixSeconds, encode_into};

/// Bytes of the longest encapsulated key of any suite foreseen (X-Wing: 1,088 + 32).
const ENC_BYTES_MAX: usize = 1120;

/// The outer header without its version byte.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) suite: SuiteId,
    pub(crate) expiry: UnixSeconds,
    pub(crate) enc: BoundedBytes<ENC_BYTES_MAX>,
}

impl Header {
    /// HPKE's `aad`: the header as sent. Since encodings are canonical, these are the envelope's first bytes.
    pub(crate) fn aad(&self) -> Result<Vec<u8>, EncodeError> {
        let mut aad = Vec::with_capacity(64);
        aad.push(Sealed::VERSION);
        encode_into(self, &mut aad)?;
        Ok(aad)
    }
}

/// The whole envelope.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sealed {
    pub(crate) header: Header,
    pub(crate) ciphertext: BoundedBytes<ENVELOPE_BYTES_MAX>,
}

impl Object for Sealed {
    const NAME: &'static str = "envelope";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = ENVELOPE_BYTES_MAX;
}

/// A sealed message to one device key, as bytes.
///
/// ```text
/// ┌─────────┬────────┬─────────┬───────────────┬─────────────────────┐
/// │ version │ suite  │ expiry  │ enc           │ ciphertext          │
/// │ 1 byte  │ varint │ varint  │ length, bytes │ length, bytes       │
/// └─────────┴────────┴─────────┴───────────────┴─────────────────────┘
///  ╰─────────────── aad ──────────────────────╯
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SealedEnvelope {
    bytes: Vec<u8>,
    suite: SuiteId,
    expiry: UnixSeconds,
}

impl SealedEnvelope {
    pub(crate) fn new(sealed: &Sealed) -> Result<Self, EncodeError> {
        Ok(Self {
            bytes: sealed.to_bytes()?,
            suite: sealed.header.suite,
            expiry: sealed.header.expiry,
        })
    }

    /// Takes bytes that are an envelope in form: version, header and ciphertext in their canonical encoding.
    ///
    /// Whether they open is another matter, and the suite may be one that this version can't open: a node keeps
    /// envelopes of any suite.
    ///
    /// # Errors
    /// [`DecodeError`] if they are not.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        let Sealed { header, .. } = Sealed::from_bytes(&bytes)?;
        Ok(Self {
            bytes,
            suite: header.suite,
            expiry: header.expiry,
        })
    }

    /// The bytes to send and to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes by value.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The envelope's name: the hash of its bytes.
    #[must_use]
    pub fn id(&self) -> EnvelopeId {
        EnvelopeId::of(&self.bytes)
    }

    /// When nodes may drop it and readers refuse it, from the outer header.
    #[must_use]
    pub const fn expiry(&self) -> UnixSeconds {
        self.expiry
    }

    /// The suite it is sealed with, from the outer header.
    #[must_use]
    pub const fn suite(&self) -> SuiteId {
        self.suite
    }
}

impl AsRef<[u8]> for SealedEnvelope {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for SealedEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedEnvelope")
            .field("bytes", &self.bytes.len())
            .field("suite", &self.suite)
            .field("expiry", &self.expiry)
            .finish()
    }
}
