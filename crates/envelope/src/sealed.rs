//! The envelope as bytes, and the header that everyone can read.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use tokenim_identity::SuiteId;
use tokenim_wire::limits::ENVELOPE_BYTES_MAX;
use tokenim_wire::{DecodeError, EncodeError, EnvelopeId, UnixSeconds, decode, encode_into, encoded_len};

use crate::payload::Borrowed;

/// Bytes of the longest encapsulated key of any suite (X-Wing: 1,088 + 32).
pub(crate) const ENC_BYTES_MAX: usize = 1120;

/// The version byte.
const VERSION: u8 = 1;

/// The outer header without its version byte.
#[derive(Serialize, Deserialize)]
pub(crate) struct Header<'a> {
    pub(crate) suite: SuiteId,
    pub(crate) expiry: UnixSeconds,
    #[serde(borrow)]
    pub(crate) enc: Borrowed<'a, ENC_BYTES_MAX>,
}

impl Header<'_> {
    /// HPKE's `aad`: the header as sent.
    pub(crate) fn aad(&self) -> Result<Vec<u8>, EncodeError> {
        let mut aad = Vec::with_capacity(encoded_len(self)?.saturating_add(1));
        aad.push(VERSION);
        encode_into(self, &mut aad)?;
        Ok(aad)
    }
}

/// The whole envelope without its version byte, where it stands.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sealed<'a> {
    #[serde(borrow)]
    pub(crate) header: Header<'a>,
    #[serde(borrow)]
    pub(crate) ciphertext: Borrowed<'a, ENVELOPE_BYTES_MAX>,
}

impl<'a> Sealed<'a> {
    /// Decodes an object of version 1, as `wire` does it, but without copying anything. Gives HPKE's `aad` with it: since
    /// encodings are canonical, these are the first bytes.
    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(DecodeError::TooLong {
                limit: ENVELOPE_BYTES_MAX,
                actual: bytes.len(),
            });
        }
        let (version, body) = bytes.split_first().ok_or(DecodeError::Truncated)?;
        if *version != VERSION {
            return Err(DecodeError::UnknownVersion {
                object: "envelope",
                version: *version,
            });
        }
        let sealed: Self = decode(body, ENVELOPE_BYTES_MAX)?;
        let header = encoded_len(&sealed.header).map_err(|_| DecodeError::Malformed)?;
        let (header, _) = bytes
            .split_at_checked(header.saturating_add(1))
            .ok_or(DecodeError::Truncated)?;
        Ok((sealed, header))
    }
}

/// An envelope of any suite, taken apart where it stands. For suites that are not this crate's, such as the one that
/// wraps the messages of a session.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// The suite, from the outer header.
    pub suite: SuiteId,
    /// The expiry, from the outer header.
    pub expiry: UnixSeconds,
    /// What the suite puts in front of its ciphertext: an encapsulated key, a nonce.
    pub enc: &'a [u8],
    /// The header as sent: all bytes before the ciphertext's length. A suite authenticates it.
    pub aad: &'a [u8],
    /// The ciphertext.
    pub ciphertext: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes an envelope apart, without copying.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not an envelope in form.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (Sealed { header, ciphertext }, aad) = Sealed::from_bytes(bytes)?;
        Ok(Self {
            suite: header.suite,
            expiry: header.expiry,
            enc: header.enc.0,
            aad,
            ciphertext: ciphertext.0,
        })
    }

    /// The header of an envelope that is yet to be made: [`Parts::aad`], to authenticate with the ciphertext.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] for an `enc` of more than 1,120 bytes.
    pub fn header(suite: SuiteId, expiry: UnixSeconds, enc: &[u8]) -> Result<Vec<u8>, EncodeError> {
        check_enc(enc)?;
        let enc = Borrowed(enc);
        Header { suite, expiry, enc }.aad()
    }
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("suite", &self.suite)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

/// Whether `enc` is as short as a reader asks for.
fn check_enc(enc: &[u8]) -> Result<(), EncodeError> {
    if enc.len() > ENC_BYTES_MAX {
        return Err(EncodeError::TooLong {
            limit: ENC_BYTES_MAX,
            actual: enc.len(),
        });
    }
    Ok(())
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
    /// The envelope of a header, given also as the bytes that were authenticated, and of its ciphertext.
    pub(crate) fn new(header: &Header<'_>, aad: Vec<u8>, ciphertext: &[u8]) -> Result<Self, EncodeError> {
        let ciphertext = Borrowed::<ENVELOPE_BYTES_MAX>(ciphertext);
        let mut bytes = aad;
        let actual = bytes.len().saturating_add(encoded_len(&ciphertext)?);
        if actual > ENVELOPE_BYTES_MAX {
            let limit = ENVELOPE_BYTES_MAX;
            return Err(EncodeError::TooLong { limit, actual });
        }
        bytes.reserve_exact(actual.saturating_sub(bytes.len()));
        encode_into(&ciphertext, &mut bytes)?;
        Ok(Self {
            bytes,
            suite: header.suite,
            expiry: header.expiry,
        })
    }

    /// The envelope of a suite that is not this crate's: of a ciphertext that was made under the header with these values
    /// ([`Parts::header`]).
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] for an `enc` or an envelope that readers refuse.
    pub fn from_parts(suite: SuiteId, expiry: UnixSeconds, enc: &[u8], ciphertext: &[u8]) -> Result<Self, EncodeError> {
        check_enc(enc)?;
        let enc = Borrowed(enc);
        let header = Header { suite, expiry, enc };
        let aad = header.aad()?;
        Self::new(&header, aad, ciphertext)
    }

    /// Takes bytes that are an envelope in form: version, header and ciphertext in their canonical encoding.
    ///
    /// Whether they open is another matter, and the suite may be one that this version can't open: a node keeps
    /// envelopes of any suite.
    ///
    /// # Errors
    /// [`DecodeError`] if they are not.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        let (Sealed { header, .. }, _) = Sealed::from_bytes(&bytes)?;
        let (suite, expiry) = (header.suite, header.expiry);
        Ok(Self { bytes, suite, expiry })
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
