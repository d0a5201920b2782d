//! Hybrid Public Key Encryption, RFC 9180, base mode, single shot, two suites.
//!
//! | [`Suite`] | KEM | public key | encapsulated key | drawn to seal |
//! |---|---|---|---|---|
//! | `X25519` | DHKEM(X25519, HKDF-SHA256), `0x0020` | 32 bytes | 32 bytes | 32 bytes |
//! | `XWing` | X-Wing, that is ML-KEM-768 and X25519, `0x647a` | 1,216 bytes | 1,120 bytes | 64 bytes |
//!
//! Both with HKDF-SHA256 (`0x0001`) and AES-256-GCM (`0x0002`). Any HPKE implementation of the suite opens what [`seal`]
//! makes, and the other way round. A key belongs to a suite, so that nothing else has to name it. Randomness is drawn in
//! one call, so that a fixed generator reproduces a published vector: for X25519 the input keying material of
//! `DeriveKeyPair` (RFC 9180, section 7.1.3), for X-Wing the `eseed` of draft-connolly-cfrg-xwing-kem-10, section 5.4.1.
//!
//! ```
//! use tokenim_envelope::hpke::{self, SecretKey, Suite};
//! # use tokenim_envelope::rand_core::{Infallible, TryCryptoRng, TryRng};
//! # struct Fixed;
//! # impl TryRng for Fixed {
//! #     type Error = Infallible;
//! #     fn try_next_u32(&mut self) -> Result<u32, Infallible> { Ok(4) }
//! #     fn try_next_u64(&mut self) -> Result<u64, Infallible> { Ok(4) }
//! #     fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> { dst.fill(4); Ok(()) }
//! # }
//! # impl TryCryptoRng for Fixed {}
//! # let mut rng = Fixed; // not random: an example
//! let recipient = SecretKey::generate(Suite::XWing, &mut rng);
//! let (enc, ciphertext) =
//!     hpke::seal(recipient.public_key(), b"info", b"aad", b"plaintext", &mut rng)?;
//! let plaintext = hpke::open(&recipient, &enc, b"info", b"aad", &ciphertext)?;
//! assert_eq!(plaintext, b"plaintext");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Security
//! **Provides** secrecy of the plaintext against whoever lacks the recipient's secret key, and integrity of `info`,
//! `aad` and ciphertext between sealing and opening. With X-Wing the secrecy holds as long as either ML-KEM-768 or
//! X25519 does, so that a quantum computer that comes later does not open what is stored today.
//!
//! **Does not provide** sender authentication, protection from replay, forward secrecy against a later theft of the
//! recipient's secret key, or key commitment: a sender can build one AES-GCM ciphertext that opens under two keys. The
//! envelope around this module adds what it needs of these; a direct user has to do the same.
//!
//! X25519, ML-KEM, HMAC-SHA256, SHA-3 and AES-GCM run in constant time as far as the underlying crates do. AES and GHASH
//! use the processor's instructions where there are any, bit-sliced code elsewhere. Secret keys can't be compared.
//!
//! ```compile_fail
//! use tokenim_envelope::hpke::{SecretKey, Suite};
//! let key = SecretKey::from_bytes(Suite::XWing, &[1; 32]);
//! assert!(key == key);
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use aes_gcm::Tag;
use aes_gcm::aead::AeadInOut;
use rand_core::CryptoRng;
use tokenim_identity::{EnvelopeKey, SuiteId};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use kdf::{Schedule, SharedSecret};

mod kdf;
mod x25519;
mod x_wing;

/// Bytes of a serialised secret key of either suite, `Nsk` (RFC 9180, section 7.1), and of the seed to derive one from.
pub const SECRET_KEY_BYTES: usize = 32;
/// Bytes by which a ciphertext is longer than its plaintext, `Nt`.
pub const TAG_BYTES: usize = 16;

/// Which key encapsulation: key derivation and encryption are the same in both. The weaker one comes first in the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// DHKEM(X25519, HKDF-SHA256). A quantum computer that comes later opens what was recorded.
    X25519,
    /// X-Wing: ML-KEM-768 and X25519.
    #[default]
    XWing,
}

impl Suite {
    /// All of them, the weaker one first.
    pub const ALL: [Self; 2] = [Self::X25519, Self::XWing];

    /// The suite with this number, if it is one of these.
    #[must_use]
    pub const fn from_id(id: SuiteId) -> Option<Self> {
        match id {
            SuiteId::X25519 => Some(Self::X25519),
            SuiteId::X_WING => Some(Self::XWing),
            _ => None,
        }
    }

    /// Its number: that of its KEM in the registry of HPKE.
    #[must_use]
    pub const fn id(self) -> SuiteId {
        match self {
            Self::X25519 => SuiteId::X25519,
            Self::XWing => SuiteId::X_WING,
        }
    }

    /// Bytes of a serialised public key, `Npk` (RFC 9180, section 7.1).
    #[must_use]
    pub const fn public_key_bytes(self) -> usize {
        match self {
            Self::X25519 => x25519::KEY_BYTES,
            Self::XWing => x_wing::PUBLIC_KEY_BYTES,
        }
    }

    /// Bytes of an encapsulated key, `Nenc`.
    #[must_use]
    pub const fn encapsulated_bytes(self) -> usize {
        match self {
            Self::X25519 => x25519::KEY_BYTES,
            Self::XWing => x_wing::ENCAPSULATED_BYTES,
        }
    }

    const fn schedule(self) -> &'static Schedule {
        match self {
            Self::X25519 => &Schedule::X25519,
            Self::XWing => &Schedule::X_WING,
        }
    }
}

/// Why bytes are not a public key or an encapsulated key of a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The suite's keys have another length.
    #[error("keys of the suite have another length")]
    Length,
    /// A coefficient of the ML-KEM half is not below the modulus (FIPS 203, section 7.2).
    #[error("the ML-KEM key is not reduced")]
    NotReduced,
}

/// Why sealing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The recipient's X25519 key, or X25519 half, is of small order: X25519 with it gives zero for every secret.
    #[error("the recipient's public key is of small order")]
    PublicKey,
    /// Plaintext or associated data exceed what AES-GCM encrypts under one nonce (2³⁶ − 32 and 2⁶¹ − 1 bytes).
    #[error("the plaintext or the associated data is too long for AES-GCM")]
    TooLong,
}

/// Why opening failed: one value, so that nothing tells one cause from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The ciphertext does not open with this key, `info` and `aad`.
    #[error("the ciphertext does not open")]
    Refused,
}

/// A recipient's public key.
///
/// X25519 keys are taken as they are, and one of small order is refused when it is used. RFC 9180 binds the bytes, so
/// two encodings of one point are two different recipients. Of X-Wing keys the ML-KEM half is checked, and what
/// encapsulation needs of it is computed once.
#[derive(Clone)]
pub struct PublicKey(Public);

#[derive(Clone)]
enum Public {
    X25519([u8; x25519::KEY_BYTES]),
    XWing(Box<x_wing::PublicKey>),
}

impl PublicKey {
    /// Takes the serialised form (RFC 9180, `DeserializePublicKey`).
    ///
    /// # Errors
    /// [`KeyError`] if the bytes are not a key of the suite.
    pub fn from_bytes(suite: Suite, bytes: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(match suite {
            Suite::X25519 => Public::X25519(bytes.try_into().map_err(|_| KeyError::Length)?),
            Suite::XWing => Public::XWing(Box::new(x_wing::PublicKey::from_bytes(bytes)?)),
        }))
    }

    /// The serialised form (RFC 9180, `SerializePublicKey`).
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Public::X25519(bytes) => bytes,
            Public::XWing(key) => &key.bytes,
        }
    }

    /// Its suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        match &self.0 {
            Public::X25519(_) => Suite::X25519,
            Public::XWing(_) => Suite::XWing,
        }
    }
}

impl From<&PublicKey> for EnvelopeKey {
    fn from(key: &PublicKey) -> Self {
        match &key.0 {
            Public::X25519(bytes) => Self::x25519(*bytes),
            Public::XWing(key) => Self::x_wing(&key.bytes),
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, "PublicKey", self.as_bytes())
    }
}

/// An encapsulated key, `enc` in RFC 9180, as sent. The suites differ in its length.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Encapsulated(Enc);

#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation, and opening makes none"
)]
#[derive(Clone, PartialEq, Eq, Hash)]
enum Enc {
    X25519([u8; x25519::KEY_BYTES]),
    XWing([u8; x_wing::ENCAPSULATED_BYTES]),
}

impl Encapsulated {
    /// Takes the bytes as received.
    ///
    /// # Errors
    /// [`KeyError::Length`] if the suite's have another length.
    pub fn from_bytes(suite: Suite, bytes: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(match suite {
            Suite::X25519 => Enc::X25519(bytes.try_into().map_err(|_| KeyError::Length)?),
            Suite::XWing => Enc::XWing(bytes.try_into().map_err(|_| KeyError::Length)?),
        }))
    }

    /// The bytes to send.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Enc::X25519(bytes) => bytes,
            Enc::XWing(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Encapsulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, "Encapsulated", self.as_bytes())
    }
}

/// The first 32 bytes in hexadecimal, and dots for the rest.
fn write_hex(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{name}(")?;
    for byte in bytes.iter().take(32) {
        write!(f, "{byte:02x}")?;
    }
    f.write_str(if bytes.len() > 32 { "…)" } else { ")" })
}

/// A recipient's secret key together with all that opening needs and that follows from it: the public key, and for
/// X-Wing the expanded ML-KEM key.
///
/// Wiped when dropped; prints its suite only.
pub struct SecretKey {
    secret: Secret,
    public: PublicKey,
}

enum Secret {
    X25519(x25519::SecretKey),
    XWing(Box<x_wing::SecretKey>),
}

impl SecretKey {
    /// Takes a serialised secret key (RFC 9180, `DeserializePrivateKey`). X25519 clamps it; X-Wing expands it.
    #[must_use]
    pub fn from_bytes(suite: Suite, bytes: &[u8; SECRET_KEY_BYTES]) -> Self {
        match suite {
            Suite::X25519 => x25519::SecretKey::from_bytes(bytes).into(),
            Suite::XWing => x_wing::SecretKey::from_bytes(bytes).into(),
        }
    }

    /// Derives a key pair from input keying material: `DeriveKeyPair` of RFC 9180, section 7.1.3, or for X-Wing of
    /// draft-ietf-hpke-pq.
    ///
    /// The same `ikm` gives the same pair; it should hold at least 32 bytes of entropy.
    #[must_use]
    pub fn derive(suite: Suite, ikm: &[u8]) -> Self {
        match suite {
            Suite::X25519 => x25519::SecretKey::derive(ikm).into(),
            Suite::XWing => x_wing::SecretKey::derive(ikm).into(),
        }
    }

    /// A fresh key pair: [`SecretKey::derive`] over 32 bytes drawn from `rng` in one call.
    #[must_use]
    pub fn generate(suite: Suite, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut ikm = Zeroizing::new([0; SECRET_KEY_BYTES]);
        rng.fill_bytes(ikm.as_mut_slice());
        Self::derive(suite, ikm.as_slice())
    }

    /// The public key that belongs to this secret.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Its suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.public.suite()
    }

    /// The secret bytes as given or derived (neither clamped nor expanded), for storage. Wiped when dropped.
    #[must_use]
    pub fn expose_bytes(&self) -> Zeroizing<[u8; SECRET_KEY_BYTES]> {
        match &self.secret {
            Secret::X25519(secret) => secret.expose_bytes(),
            Secret::XWing(secret) => secret.expose_bytes(),
        }
    }

    /// `Decap` of RFC 9180, section 4; `None` if the encapsulated key is of another suite or of small order.
    fn decapsulate(&self, enc: &Encapsulated) -> Option<SharedSecret> {
        match (&self.secret, &enc.0) {
            (Secret::X25519(secret), Enc::X25519(enc)) => secret.decapsulate(enc),
            (Secret::XWing(secret), Enc::XWing(enc)) => secret.decapsulate(enc),
            _ => None,
        }
    }
}

impl From<x25519::SecretKey> for SecretKey {
    fn from(secret: x25519::SecretKey) -> Self {
        Self {
            public: PublicKey(Public::X25519(secret.public)),
            secret: Secret::X25519(secret),
        }
    }
}

impl From<x_wing::SecretKey> for SecretKey {
    fn from(secret: x_wing::SecretKey) -> Self {
        Self {
            public: PublicKey(Public::XWing(Box::new(secret.public()))),
            secret: Secret::XWing(Box::new(secret)),
        }
    }
}

/// Every secret field wipes itself.
impl ZeroizeOnDrop for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({:?}, redacted)", self.suite())
    }
}

/// Seals `plaintext` to a public key: `Seal` of RFC 9180, section 6.1, base mode.
///
/// Returns the encapsulated key and the ciphertext, which is [`TAG_BYTES`] longer than the plaintext. Draws 32 bytes
/// from `rng` for X25519, 64 for X-Wing.
///
/// # Errors
/// [`SealError`].
pub fn seal(
    to: &PublicKey,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(Encapsulated, Vec<u8>), SealError> {
    let mut buffer = Vec::with_capacity(plaintext.len().saturating_add(TAG_BYTES));
    buffer.extend_from_slice(plaintext);
    let enc = seal_in_place(to, info, aad, &mut buffer, rng)?;
    Ok((enc, buffer))
}

/// [`seal`] without a second buffer: `buffer` holds the plaintext and then the ciphertext.
///
/// With [`TAG_BYTES`] of spare capacity nothing is allocated. On an error the content of `buffer` is unspecified.
///
/// # Errors
/// [`SealError`].
pub fn seal_in_place(
    to: &PublicKey,
    info: &[u8],
    aad: &[u8],
    buffer: &mut Vec<u8>,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Encapsulated, SealError> {
    Encapsulation::new(to, rng)?.seal_in_place(info, aad, buffer)
}

/// The first half of sealing: the key is encapsulated, nothing is encrypted yet.
///
/// The envelope needs this cut, since what it seals contains a signature over `enc`.
pub(crate) struct Encapsulation {
    suite: Suite,
    enc: Encapsulated,
    shared_secret: SharedSecret,
}

impl Encapsulation {
    /// `Encap` of RFC 9180, section 4.
    pub(crate) fn new(to: &PublicKey, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Self, SealError> {
        let (enc, shared_secret) = match &to.0 {
            Public::X25519(to) => {
                let mut ikm = Zeroizing::new([0; 32]);
                rng.fill_bytes(ikm.as_mut_slice());
                let (enc, shared_secret) = x25519::encapsulate(to, &ikm).ok_or(SealError::PublicKey)?;
                (Enc::X25519(enc), shared_secret)
            }
            Public::XWing(to) => {
                let mut randomness = Zeroizing::new([0; x_wing::RANDOMNESS_BYTES]);
                rng.fill_bytes(randomness.as_mut_slice());
                let (enc, shared_secret) = x_wing::encapsulate(to, &randomness).ok_or(SealError::PublicKey)?;
                (Enc::XWing(enc), shared_secret)
            }
        };
        Ok(Self {
            suite: to.suite(),
            enc: Encapsulated(enc),
            shared_secret,
        })
    }

    pub(crate) const fn enc(&self) -> &Encapsulated {
        &self.enc
    }

    /// Consumes the encapsulation, since its nonce is good for one message.
    pub(crate) fn seal_in_place(
        self,
        info: &[u8],
        aad: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<Encapsulated, SealError> {
        let keys = self.suite.schedule().keys(&self.shared_secret, info);
        let tag = keys
            .cipher()
            .encrypt_inout_detached(keys.nonce(), aad, buffer.as_mut_slice().into())
            .map_err(|_| SealError::TooLong)?;
        buffer.extend_from_slice(&tag);
        Ok(self.enc)
    }
}

/// Opens a ciphertext: `Open` of RFC 9180, section 6.1, base mode.
///
/// Allocates the plaintext and nothing else.
///
/// # Errors
/// [`OpenError::Refused`], whatever the cause, an encapsulated key of another suite included.
pub fn open(
    key: &SecretKey,
    enc: &Encapsulated,
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let (body, tag) = ciphertext.split_last_chunk::<TAG_BYTES>().ok_or(OpenError::Refused)?;
    let mut plaintext = body.to_vec();
    open_detached(key, enc, info, aad, &mut plaintext, tag)?;
    Ok(plaintext)
}

/// [`open`] without a second buffer: `buffer` holds the ciphertext and then the plaintext.
///
/// Allocates nothing. On an error `buffer` is as before.
///
/// # Errors
/// [`OpenError::Refused`], whatever the cause.
pub fn open_in_place(
    key: &SecretKey,
    enc: &Encapsulated,
    info: &[u8],
    aad: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<(), OpenError> {
    let (body, tag) = buffer.split_last_chunk_mut::<TAG_BYTES>().ok_or(OpenError::Refused)?;
    let tag = *tag;
    let plaintext_bytes = body.len();
    open_detached(key, enc, info, aad, body, &tag)?;
    buffer.truncate(plaintext_bytes);
    Ok(())
}

/// Leaves `buffer` alone unless the tag is good.
fn open_detached(
    key: &SecretKey,
    enc: &Encapsulated,
    info: &[u8],
    aad: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), OpenError> {
    let shared_secret = key.decapsulate(enc).ok_or(OpenError::Refused)?;
    let keys = key.suite().schedule().keys(&shared_secret, info);
    keys.cipher()
        .decrypt_inout_detached(keys.nonce(), aad, buffer.into(), <&Tag>::from(tag))
        .map_err(|_| OpenError::Refused)
}

#[cfg(test)]
pub(crate) mod tests;
