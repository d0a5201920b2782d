//! The keys of one epoch of a session, and the envelopes that its messages travel in.

use crate::secret::Secret32;
use alloc::vec::Vec;
use core::fmt;
use hmac::{Hmac, KeyInit as _, Mac as _, digest::Key};
use rand_core::CryptoRng;
use sha2::Sha256;
use tokenim_envelope::{Parts, SealedEnvelope, padding};
use tokenim_identity::{EpochKey, EpochSigningKey, MailboxSigningKey, SuiteId};
use tokenim_mailbox::{
    Descriptor, MailboxTag, NONCE_BYTES, WritePolicy,
    group::{CommitTag, GroupHandle},
};
use tokenim_wire::{
    DecodeError, EncodeError, Label, NetworkId, UnixSeconds,
    limits::{GROUP_COMMIT_PARTS_MAX, SESSION_WRAPPED_BYTES_MAX},
};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The suite of envelopes that wrap the messages of a session: AES-256-GCM under a key of the epoch, with the nonce in
/// `enc`. The registry of HPKE has not given the number away.
pub const WRAP_SUITE: SuiteId = SuiteId::new(0xf0a0);

/// Bytes of the nonce in `enc`.
const WRAP_NONCE_BYTES: usize = 12;
/// Bytes of an AES-GCM tag.
const TAG_BYTES: usize = 16;

/// The label of the one value that is taken from the exporter of MLS (RFC 9420, section 8.5).
const EXPORTER: &str = "tokenim/session-epoch/v1";
/// Bytes of that value.
const EXPORTED_BYTES: usize = 32;

const SECRET: Label = Label::new("tokenim/epoch-secret/v1");
const WRITE: Label = Label::new("tokenim/epoch-write/v1");
const READ: Label = Label::new("tokenim/epoch-read/v1");
const NONCE: Label = Label::new("tokenim/epoch-nonce/v1");
const WRAP: Label = Label::new("tokenim/epoch-wrap/v1");
const COMMIT: Label = Label::new("tokenim/epoch-commit/v1");
const AUTHOR: Label = Label::new("tokenim/epoch-author/v1");
const SIGN: Label = Label::new("tokenim/epoch-sign/v1");
const ONCE: Label = Label::new("tokenim/epoch-once/v1");

/// `HKDF-Expand(key, length of label, 1 byte ‖ label ‖ context, 32)` of RFC 5869 with SHA-256. Of one block it is
/// `HMAC(key, info ‖ 01)`, and as such it can't fail.
pub(crate) fn derive(key: &[u8; 32], label: Label, context: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mac = mac(key)
        .chain_update([label.length_byte()])
        .chain_update(label.as_str());
    let mac = context.iter().fold(mac, |mac, part| mac.chain_update(part));
    Zeroizing::new(mac.chain_update([1]).finalize().into_bytes().into())
}

/// HMAC-SHA-256 under a key of 32 bytes. HMAC fills a key up to its block size with zeros (RFC 2104, section 2); done
/// here, no length is left to fail on.
fn mac(key: &[u8]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new(Key::<Hmac<Sha256>>::default());
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    Hmac::<Sha256>::new(&block)
}

/// A mailbox, and the keys that open it.
#[derive(Clone)]
pub struct MailboxAccess {
    /// What the mailbox is.
    pub descriptor: Descriptor,
    /// Gives the right to write to it.
    pub write: MailboxSigningKey,
    /// Gives the right to read it.
    pub read: MailboxSigningKey,
}

impl MailboxAccess {
    /// The mailbox of a key that only its users have, and of what tells their mailboxes apart.
    pub(crate) fn derive(key: &[u8; 32], context: &[u8]) -> Self {
        let write = MailboxSigningKey::from_seed(*derive(key, WRITE, &[context]));
        let read = MailboxSigningKey::from_seed(*derive(key, READ, &[context]));
        let bytes = derive(key, NONCE, &[context]);
        let mut nonce = [0; NONCE_BYTES];
        for (to, from) in nonce.iter_mut().zip(bytes.iter()) {
            *to = *from;
        }
        Self {
            descriptor: Descriptor {
                write: WritePolicy::Key(write.verifying_key()),
                read: read.verifying_key(),
                nonce,
            },
            write,
            read,
        }
    }

    /// Its name.
    #[must_use]
    pub fn tag(&self) -> MailboxTag {
        self.descriptor.tag()
    }
}

impl fmt::Debug for MailboxAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailboxAccess([redacted])")
    }
}

/// The keys of one epoch, which all its members hold and nobody else does.
///
/// ```text
/// exported = MLS-Exporter("tokenim/session-epoch/v1", network id 32 ‖ handle 32, 32)      RFC 9420, section 8.5
/// secret   = derive(exported, "tokenim/epoch-secret/v1", network id ‖ handle)
///
/// derive(secret, "tokenim/epoch-write/v1")     seed of the key that writes to the epoch's mailbox
/// derive(secret, "tokenim/epoch-read/v1")      seed of the key that reads it
/// derive(secret, "tokenim/epoch-nonce/v1")     its nonce: the first 16 bytes
/// derive(secret, "tokenim/epoch-wrap/v1")      key of the envelopes
/// derive(secret, "tokenim/epoch-commit/v1")    key of commit tags
/// derive(secret, "tokenim/epoch-author/v1")    key of author boxes
/// derive(secret, "tokenim/epoch-sign/v1")      seed of the key that signs what follows the epoch on the ledger
/// derive(secret, "tokenim/epoch-once/v1")      key of the mailboxes for one commit each: write, read and nonce of each
///                                              are derived from it with the commit tag as context
///
/// derive(key, label, context) = HKDF-Expand(key, length of label, 1 byte ‖ label ‖ context, 32), RFC 5869 with SHA-256
/// ```
///
/// So two epochs share nothing but constants, and whoever holds one of these keys learns none of the others.
#[derive(Clone)]
pub struct EpochKeys {
    secret: Secret32,
}

impl EpochKeys {
    /// Length of [`EpochKeys::to_bytes`].
    pub const BYTES: usize = 32;

    /// The keys of an epoch of which `export` is the exporter: it is asked once, with label, context and length.
    ///
    /// # Errors
    /// What `export` gives.
    pub fn derive<E>(
        network: &NetworkId,
        handle: &GroupHandle,
        export: impl FnOnce(&str, &[u8], usize) -> Result<Zeroizing<Vec<u8>>, E>,
    ) -> Result<Self, E> {
        let mut context = [0; 64];
        for (to, from) in context
            .iter_mut()
            .zip(network.as_bytes().iter().chain(handle.as_bytes()))
        {
            *to = *from;
        }
        let exported = export(EXPORTER, &context, EXPORTED_BYTES)?;
        let mut key = Zeroizing::new([0; EXPORTED_BYTES]);
        for (to, from) in key.iter_mut().zip(exported.iter()) {
            *to = *from;
        }
        let secret = derive(&key, SECRET, &[&context]);
        Ok(Self {
            secret: Secret32::from_bytes(*secret),
        })
    }

    /// The keys of epoch 0, in which whoever starts the session is alone. They are random, since the handle that all later
    /// keys depend on is the hash of one of them.
    #[must_use]
    pub fn start(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self {
            secret: Secret32::generate(rng),
        }
    }

    /// What they all follow from, to be kept for as long as the epoch may bring messages.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.secret.expose().to_vec())
    }

    /// Reads what [`EpochKeys::to_bytes`] wrote; `None` for another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let secret = Zeroizing::new(<[u8; Self::BYTES]>::try_from(bytes).ok()?);
        Some(Self {
            secret: Secret32::from_bytes(*secret),
        })
    }

    fn key(&self, label: Label) -> Zeroizing<[u8; 32]> {
        derive(self.secret.expose(), label, &[])
    }

    /// The mailbox to which the messages of the epoch go.
    #[must_use]
    pub fn mailbox(&self) -> MailboxAccess {
        MailboxAccess::derive(self.secret.expose(), &[])
    }

    /// The mailbox for one commit and nothing else.
    #[must_use]
    pub fn commit_mailbox(&self, commit: &CommitTag) -> MailboxAccess {
        MailboxAccess::derive(&self.key(ONCE), commit.as_bytes())
    }

    /// The tag of a commit that ends the epoch: `HMAC-SHA-256(commit key, commit)`.
    #[must_use]
    pub fn commit_tag(&self, commit: &[u8]) -> CommitTag {
        let mac = mac(self.key(COMMIT).as_slice()).chain_update(commit);
        CommitTag::from_bytes(mac.finalize().into_bytes().into())
    }

    /// Signs what follows the epoch on the ledger.
    #[must_use]
    pub fn signing_key(&self) -> EpochSigningKey {
        EpochSigningKey::from_seed(*self.key(SIGN))
    }

    /// The public key to it, which the ledger shows.
    #[must_use]
    pub fn verifying_key(&self) -> EpochKey {
        self.signing_key().verifying_key()
    }

    /// The key of author boxes.
    pub(crate) fn author_key(&self) -> Zeroizing<[u8; 32]> {
        self.key(AUTHOR)
    }

    /// Wraps a message of MLS.
    ///
    /// # Errors
    /// [`WrapError`].
    pub fn wrap(
        &self,
        message: &[u8],
        expiry: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SealedEnvelope, WrapError> {
        WrapKey(self.key(WRAP)).wrap(message, expiry, rng)
    }

    /// Wraps a commit in as many envelopes as it needs: all but the last are full.
    ///
    /// # Errors
    /// [`WrapError::TooLong`] if it needs more than `GROUP_COMMIT_PARTS_MAX`.
    pub fn wrap_parts(
        &self,
        commit: &[u8],
        expiry: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<SealedEnvelope>, WrapError> {
        WrapKey(self.key(WRAP)).wrap_parts(commit, GROUP_COMMIT_PARTS_MAX, expiry, rng)
    }

    /// Puts together what the envelopes of a commit hold.
    ///
    /// # Errors
    /// [`UnwrapError`], of the first that gives nothing.
    pub fn unwrap_parts(&self, envelopes: &[impl AsRef<[u8]>]) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        WrapKey(self.key(WRAP)).unwrap_parts(envelopes)
    }

    /// Takes a message of MLS out of the bytes of an envelope.
    ///
    /// # Errors
    /// [`UnwrapError`].
    pub fn unwrap(&self, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        WrapKey(self.key(WRAP)).unwrap(envelope)
    }
}

impl fmt::Debug for EpochKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochKeys([redacted])")
    }
}

impl ZeroizeOnDrop for EpochKeys {}

/// Why a message was not wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// It is too long for an envelope, or for as many as there may be.
    #[error("{actual} bytes are too long: at most {SESSION_WRAPPED_BYTES_MAX} fit into an envelope")]
    TooLong {
        /// Its length in bytes.
        actual: usize,
    },
    /// The canonical encoding failed, which no value of the types involved should cause.
    #[error("the envelope could not be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// Why an envelope gave no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// The bytes are not an envelope.
    #[error("not an envelope: {0}")]
    Malformed(#[from] DecodeError),
    /// It is of another suite.
    #[error("the envelope is of suite {0}, which is not that of sessions")]
    OtherSuite(SuiteId),
    /// It does not open: another epoch's, or nobody's. Nothing more is said.
    #[error("the envelope is refused")]
    Refused,
}

/// A key under which messages are wrapped:
///
/// ```text
/// envelope of suite 0xf0a0: enc = nonce, 12 random bytes
/// ciphertext = AES-256-GCM(key, nonce, aad = header of the envelope, padded message)
/// ```
///
/// Padding is that of sealed envelopes. A key commitment is not needed: whoever may open a wrapped message holds the one
/// key that its mailbox is read with.
#[derive(ZeroizeOnDrop)]
pub(crate) struct WrapKey(pub(crate) Zeroizing<[u8; 32]>);

impl WrapKey {
    fn cipher(&self) -> aes_gcm::Aes256Gcm {
        use aes_gcm::KeyInit as _;
        aes_gcm::Aes256Gcm::new((&*self.0).into())
    }

    pub(crate) fn wrap(
        &self,
        message: &[u8],
        expiry: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SealedEnvelope, WrapError> {
        use aes_gcm::aead::AeadInOut as _;
        let actual = message.len();
        let too_long = WrapError::TooLong { actual };
        if actual > SESSION_WRAPPED_BYTES_MAX {
            return Err(too_long);
        }
        let mut nonce = [0; WRAP_NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let aad = Parts::header(WRAP_SUITE, expiry, &nonce)?;
        let padded = padding::padded_plaintext(actual).ok_or(too_long)?;
        let mut buffer = Zeroizing::new(Vec::with_capacity(padded.saturating_add(TAG_BYTES)));
        buffer.extend_from_slice(message);
        padding::pad(&mut buffer).ok_or(too_long)?;
        self.cipher()
            .encrypt_in_place(&nonce.into(), &aad, &mut *buffer)
            .map_err(|_| too_long)?;
        Ok(SealedEnvelope::from_parts(WRAP_SUITE, expiry, &nonce, &buffer)?)
    }

    pub(crate) fn wrap_parts(
        &self,
        bytes: &[u8],
        most: usize,
        expiry: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<SealedEnvelope>, WrapError> {
        let mut parts = bytes.chunks(SESSION_WRAPPED_BYTES_MAX);
        if parts.len() > most {
            return Err(WrapError::TooLong { actual: bytes.len() });
        }
        let first = parts.next().unwrap_or_default();
        core::iter::once(first)
            .chain(parts)
            .map(|part| self.wrap(part, expiry, rng))
            .collect()
    }

    pub(crate) fn unwrap_parts(&self, envelopes: &[impl AsRef<[u8]>]) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        let parts: Vec<_> = envelopes
            .iter()
            .map(|envelope| self.unwrap(envelope.as_ref()))
            .collect::<Result<_, _>>()?;
        // Of its whole length from the start, so that no copy of a secret is left behind.
        let length = parts.iter().map(|part| part.len()).sum();
        let mut whole = Zeroizing::new(Vec::with_capacity(length));
        for part in &parts {
            whole.extend_from_slice(part);
        }
        Ok(whole)
    }

    pub(crate) fn unwrap(&self, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        use aes_gcm::aead::AeadInOut as _;
        let parts = Parts::from_bytes(envelope)?;
        if parts.suite != WRAP_SUITE {
            return Err(UnwrapError::OtherSuite(parts.suite));
        }
        let nonce: [u8; WRAP_NONCE_BYTES] = parts
            .enc
            .try_into()
            .map_err(|_| UnwrapError::Malformed(DecodeError::Malformed))?;
        let mut buffer = Zeroizing::new(parts.ciphertext.to_vec());
        self.cipher()
            .decrypt_in_place(&nonce.into(), parts.aad, &mut *buffer)
            .map_err(|_| UnwrapError::Refused)?;
        let length = padding::unpad(&buffer).ok_or(UnwrapError::Refused)?.len();
        if length > SESSION_WRAPPED_BYTES_MAX {
            return Err(UnwrapError::Refused);
        }
        buffer.truncate(length);
        Ok(buffer)
    }
}
