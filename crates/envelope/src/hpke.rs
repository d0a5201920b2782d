//! Hybrid Public Key Encryption, RFC 9180, base mode, single shot, one suite.
//!
//! | part | algorithm | id |
//! |---|---|---|
//! | KEM | DHKEM(X25519, HKDF-SHA256) | `0x0020` |
//! | KDF | HKDF-SHA256 | `0x0001` |
//! | AEAD | AES-256-GCM | `0x0002` |
//!
//! Any RFC 9180 implementation of that suite opens what [`seal`] makes, and the other way round.
//! The sender's randomness is 32 bytes of input keying material for `DeriveKeyPair` (RFC 9180,
//! section 7.1.3), drawn in one call, so that a fixed generator reproduces a published vector.
//!
//! ```
//! use tokenim_envelope::hpke::{self, SecretKey};
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
//! let recipient = SecretKey::generate(&mut rng);
//! let (enc, ciphertext) =
//!     hpke::seal(recipient.public_key(), b"info", b"aad", b"plaintext", &mut rng)?;
//! let plaintext = hpke::open(&recipient, &enc, b"info", b"aad", &ciphertext)?;
//! assert_eq!(plaintext, b"plaintext");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Security
//! **Provides** secrecy of the plaintext against whoever lacks the recipient's secret key, and
//! integrity of `info`, `aad` and ciphertext between sealing and opening.
//!
//! **Does not provide** sender authentication, protection from replay, forward secrecy against a
//! later theft of the recipient's secret key, or key commitment: a sender can build one AES-GCM
//! ciphertext that opens under two keys. The envelope around this module adds what it needs of
//! these; a direct user has to do the same.
//!
//! X25519, HMAC-SHA256 and AES-GCM run in constant time as far as the underlying crates do. AES
//! and GHASH use the processor's instructions where there are any, bit-sliced code elsewhere.

use alloc::vec::Vec;
use core::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce, Tag};
use hkdf::{Hkdf, HkdfExtract};
use rand_core::CryptoRng;
use sha2::Sha256;
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a serialised public key, `Npk` (RFC 9180, section 7.1).
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of a serialised secret key, `Nsk`, and of the sender's input keying material.
pub const SECRET_KEY_BYTES: usize = 32;
/// Bytes of an encapsulated key, `Nenc`.
pub const ENCAPSULATED_BYTES: usize = 32;
/// Bytes by which a ciphertext is longer than its plaintext, `Nt`.
pub const TAG_BYTES: usize = 16;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const SHARED_SECRET_BYTES: usize = 32;
const HASH_BYTES: usize = 32;
const EXPAND_BYTES_MAX: usize = 255 * HASH_BYTES;
const CONTEXT_BYTES: usize = 1 + 2 * HASH_BYTES;

const VERSION: &[u8] = b"HPKE-v1";
const KEM_SUITE: &[u8] = b"KEM\x00\x20";
const HPKE_SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x02";
const MODE_BASE: u8 = 0;

/// `LabeledExtract("", "psk_id_hash", "")`, the same for every message in base mode.
const PSK_ID_HASH: [u8; HASH_BYTES] = [
    0x4c, 0xe5, 0x47, 0x2e, 0xcd, 0xd5, 0x09, 0x3b, 0xa0, 0xae, 0xcb, 0x8f, 0x87, 0x1f, 0xf1, 0x3f, 0x1f, 0xbc, 0x90,
    0xee, 0x76, 0xf0, 0xe1, 0x8a, 0xce, 0x1a, 0x1b, 0x7e, 0x56, 0x5b, 0xaf, 0xa3,
];

/// Why sealing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The recipient's public key is of small order: X25519 with it gives zero for every secret.
    #[error("the recipient's public key is of small order")]
    PublicKey,
    /// Plaintext or associated data exceed what AES-GCM encrypts under one nonce (2³⁶ − 32 and
    /// 2⁶¹ − 1 bytes).
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

/// A recipient's X25519 public key as sent: 32 bytes, any value.
///
/// Bytes are taken as they are; [`seal`] refuses a key of small order when it uses it. RFC 9180
/// binds these bytes, so two encodings of one point are two different recipients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

impl PublicKey {
    /// Takes the serialised form (RFC 9180, `DeserializePublicKey`).
    #[must_use]
    pub const fn from_bytes(bytes: [u8; PUBLIC_KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The serialised form by value.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; PUBLIC_KEY_BYTES] {
        self.0
    }

    /// The serialised form (RFC 9180, `SerializePublicKey`).
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, "PublicKey", &self.0)
    }
}

/// An encapsulated key, `enc` in RFC 9180: the ephemeral X25519 public key, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Encapsulated([u8; ENCAPSULATED_BYTES]);

impl Encapsulated {
    /// Takes the bytes as received.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ENCAPSULATED_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes by value.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; ENCAPSULATED_BYTES] {
        self.0
    }

    /// The bytes to send.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ENCAPSULATED_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Encapsulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, "Encapsulated", &self.0)
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{name}(")?;
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    f.write_str(")")
}

/// A recipient's X25519 secret key together with its public key, which opening needs every time
/// and which would otherwise cost a scalar multiplication each.
///
/// Zeroized on drop; prints as its public key only.
pub struct SecretKey {
    secret: StaticSecret,
    public: PublicKey,
}

impl SecretKey {
    /// Takes a serialised secret key (RFC 9180, `DeserializePrivateKey`). X25519 clamps it.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SECRET_KEY_BYTES]) -> Self {
        let secret = StaticSecret::from(*bytes);
        let public = PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes());
        Self { secret, public }
    }

    /// Derives a key pair from input keying material (RFC 9180, `DeriveKeyPair`).
    ///
    /// The same `ikm` gives the same pair; it should hold at least 32 bytes of entropy.
    #[must_use]
    pub fn derive(ikm: &[u8]) -> Self {
        let prk = labeled_extract(b"", KEM_SUITE, b"dkp_prk", ikm);
        let bytes = labeled_expand::<SECRET_KEY_BYTES>(&prk, KEM_SUITE, b"sk", b"", b"");
        Self::from_bytes(&bytes)
    }

    /// A fresh key pair: [`SecretKey::derive`] over 32 bytes drawn from `rng` in one call.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut ikm = Zeroizing::new([0; SECRET_KEY_BYTES]);
        rng.fill_bytes(ikm.as_mut_slice());
        Self::derive(ikm.as_slice())
    }

    /// The public key that belongs to this secret.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The secret bytes as given or derived (not clamped), for storage. Wiped when dropped.
    #[must_use]
    pub fn expose_bytes(&self) -> Zeroizing<[u8; SECRET_KEY_BYTES]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// X25519; `None` if the other key is of small order (RFC 9180, section 7.1.4).
    fn diffie_hellman(&self, other: &[u8; 32]) -> Option<x25519_dalek::SharedSecret> {
        let shared = self.secret.diffie_hellman(&x25519_dalek::PublicKey::from(*other));
        shared.was_contributory().then_some(shared)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("secret", &"[redacted]")
            .field("public", &self.public)
            .finish()
    }
}

/// Seals `plaintext` to a public key: `Seal` of RFC 9180, section 6.1, base mode.
///
/// Returns the encapsulated key and the ciphertext, which is [`TAG_BYTES`] longer than the
/// plaintext. Draws 32 bytes from `rng`.
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
/// With [`TAG_BYTES`] of spare capacity nothing is allocated. On an error the content of
/// `buffer` is unspecified.
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
    enc: Encapsulated,
    shared_secret: Zeroizing<[u8; SHARED_SECRET_BYTES]>,
}

impl Encapsulation {
    /// `Encap` of RFC 9180, section 4.1.
    pub(crate) fn new(to: &PublicKey, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Self, SealError> {
        let ephemeral = SecretKey::generate(rng);
        let dh = ephemeral.diffie_hellman(to.as_bytes()).ok_or(SealError::PublicKey)?;
        let enc = Encapsulated(ephemeral.public.0);
        let shared_secret = shared_secret(&dh, &enc, to);
        Ok(Self { enc, shared_secret })
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
        let schedule = KeySchedule::new(&self.shared_secret, info);
        let tag = schedule
            .cipher()
            .encrypt_inout_detached(schedule.nonce(), aad, buffer.as_mut_slice().into())
            .map_err(|_| SealError::TooLong)?;
        buffer.extend_from_slice(&tag);
        Ok(self.enc)
    }
}

/// Opens a ciphertext: `Open` of RFC 9180, section 6.1, base mode.
///
/// Allocates the plaintext and nothing else, and that only once its length is known to be at
/// least [`TAG_BYTES`] shorter than the ciphertext.
///
/// # Errors
/// [`OpenError::Refused`], whatever the cause.
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
    let dh = key.diffie_hellman(enc.as_bytes()).ok_or(OpenError::Refused)?;
    let shared_secret = shared_secret(&dh, enc, &key.public);
    let schedule = KeySchedule::new(&shared_secret, info);
    schedule
        .cipher()
        .decrypt_inout_detached(schedule.nonce(), aad, buffer.into(), <&Tag>::from(tag))
        .map_err(|_| OpenError::Refused)
}

/// `ExtractAndExpand(dh, enc ‖ pkRm)` of RFC 9180, section 4.1.
fn shared_secret(
    dh: &x25519_dalek::SharedSecret,
    enc: &Encapsulated,
    to: &PublicKey,
) -> Zeroizing<[u8; SHARED_SECRET_BYTES]> {
    let prk = labeled_extract(b"", KEM_SUITE, b"eae_prk", dh.as_bytes());
    labeled_expand(&prk, KEM_SUITE, b"shared_secret", &enc.0, &to.0)
}

/// Key and nonce of the one message (RFC 9180, `KeySchedule`, section 5.1, with sequence 0).
struct KeySchedule {
    key: Zeroizing<[u8; KEY_BYTES]>,
    nonce: Zeroizing<[u8; NONCE_BYTES]>,
}

impl KeySchedule {
    fn new(shared_secret: &[u8; SHARED_SECRET_BYTES], info: &[u8]) -> Self {
        let context = key_schedule_context(info);
        let secret = labeled_extract(shared_secret, HPKE_SUITE, b"secret", b"");
        Self {
            key: labeled_expand(&secret, HPKE_SUITE, b"key", &context, b""),
            nonce: labeled_expand(&secret, HPKE_SUITE, b"base_nonce", &context, b""),
        }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(<&Key<Aes256Gcm>>::from(&*self.key))
    }

    fn nonce(&self) -> &Nonce<aes_gcm::aead::consts::U12> {
        (&*self.nonce).into()
    }
}

/// `mode ‖ psk_id_hash ‖ info_hash`, on the stack.
fn key_schedule_context(info: &[u8]) -> [u8; CONTEXT_BYTES] {
    let info_hash = labeled_extractor(b"", HPKE_SUITE, b"info_hash", info).finalize().0;
    let mut context = [MODE_BASE; CONTEXT_BYTES];
    let parts = PSK_ID_HASH.iter().chain(info_hash.iter());
    for (to, from) in context.iter_mut().skip(1).zip(parts) {
        *to = *from;
    }
    context
}

/// `LabeledExtract` of RFC 9180, section 4, as a key to expand; the raw one is wiped.
fn labeled_extract(salt: &[u8], suite: &[u8], label: &[u8], ikm: &[u8]) -> Hkdf<Sha256> {
    let (mut raw, prk) = labeled_extractor(salt, suite, label, ikm).finalize();
    raw.as_mut_slice().zeroize();
    prk
}

fn labeled_extractor(salt: &[u8], suite: &[u8], label: &[u8], ikm: &[u8]) -> HkdfExtract<Sha256> {
    let mut extractor = HkdfExtract::new(Some(salt));
    extractor.input_ikm(VERSION);
    extractor.input_ikm(suite);
    extractor.input_ikm(label);
    extractor.input_ikm(ikm);
    extractor
}

/// `LabeledExpand` of RFC 9180, section 4, with `info` in two parts.
fn labeled_expand<const N: usize>(
    prk: &Hkdf<Sha256>,
    suite: &[u8],
    label: &[u8],
    info_head: &[u8],
    info_tail: &[u8],
) -> Zeroizing<[u8; N]> {
    const { assert!(N <= EXPAND_BYTES_MAX && N <= u16::MAX as usize) };
    let length = [(N >> 8) as u8, (N & 0xff) as u8];
    let info = [&length, VERSION, suite, label, info_head, info_tail];
    let mut out = Zeroizing::new([0; N]);
    match prk.expand_multi_info(&info, out.as_mut_slice()) {
        Ok(()) => out,
        // HKDF refuses only more than EXPAND_BYTES_MAX; N is checked while compiling.
        Err(hkdf::InvalidLength) => unreachable!(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
