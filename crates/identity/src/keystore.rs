//! Secrets under a passphrase.

use aes_gcm::{Aes256Gcm, KeyInit as _, aead::AeadInOut as _};
use alloc::vec::Vec;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tokenim_wire::{
    BoundedBytes, DecodeError, Label, Object, encode_into,
    limits::{KEYSTORE_LANES_MAX, KEYSTORE_MEMORY_KIB_MAX, KEYSTORE_PASSES_MAX, KEYSTORE_SECRET_BYTES_MAX},
};
use zeroize::Zeroizing;

/// The label of the authenticated data.
const KEYSTORE: Label = Label::new("tokenim/keystore/v1");
/// Zero bytes before the secret. AES-GCM alone does not commit to its key: a file could be made that two passphrases
/// open. With them it cannot.
const COMMITMENT_BYTES: usize = 32;
/// Bytes of the authentication tag.
const TAG_BYTES: usize = 16;
/// The longest ciphertext.
const CIPHERTEXT_BYTES_MAX: usize = COMMITMENT_BYTES + KEYSTORE_SECRET_BYTES_MAX + TAG_BYTES;

/// What a keystore holds. One kind is never opened as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum KeystoreKind {
    /// The entropy of a [`Phrase`](crate::Phrase), 32 bytes.
    Phrase,
    /// The bytes of [`DeviceSecrets`](crate::DeviceSecrets).
    Device,
    /// The seed of a [`NodeSigningKey`](crate::NodeSigningKey), 32 bytes.
    Node,
}

/// How much work opening a keystore takes (Argon2id, RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argon2Cost {
    /// Memory in kibibytes; at least 8 per lane.
    pub memory_kib: u32,
    /// Passes over the memory; at least 1.
    pub passes: u32,
    /// Lanes; at least 1.
    pub lanes: u32,
}

impl Argon2Cost {
    /// The second recommendation of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
    pub const RECOMMENDED: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 4,
    };

    /// The least that there is: for tests, and for secrets under a random key instead of a passphrase.
    pub const MINIMUM: Self = Self {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };

    /// The parameters, if they are within the limits; nothing is allocated before this.
    fn params(self) -> Result<Params, KeystoreError> {
        let within = self.memory_kib <= KEYSTORE_MEMORY_KIB_MAX
            && (1..=KEYSTORE_PASSES_MAX).contains(&self.passes)
            && (1..=KEYSTORE_LANES_MAX).contains(&self.lanes);
        if !within {
            return Err(KeystoreError::UnsupportedCost);
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| KeystoreError::UnsupportedCost)
    }
}

/// Why a keystore does not open, or is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// Not a keystore.
    #[error("this is not a keystore")]
    Malformed,
    /// A keystore of a version that this software does not know.
    #[error("keystore version {version} is not known here")]
    UnknownVersion {
        /// The version met.
        version: u8,
    },
    /// A keystore of another kind.
    #[error("this keystore holds another kind of secret")]
    WrongKind,
    /// More work than the limits allow, or less than Argon2 knows.
    #[error("the cost of this keystore is outside of the limits")]
    UnsupportedCost,
    /// Wrong passphrase, or the bytes were changed: the two cannot be told apart.
    #[error("wrong passphrase, or the keystore is damaged")]
    WrongPassphraseOrDamaged,
    /// The secret is too long, or the passphrase is.
    #[error("the secret or the passphrase is too long")]
    TooLong,
    /// There is not enough memory for the work.
    #[error("there is not enough memory to open this keystore")]
    OutOfMemory,
}

impl From<DecodeError> for KeystoreError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::UnknownVersion { version, .. } => Self::UnknownVersion { version },
            _ => Self::Malformed,
        }
    }
}

/// What precedes the ciphertext and is authenticated with it.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Header {
    kind: KeystoreKind,
    cost: Argon2Cost,
    salt: [u8; 16],
    nonce: [u8; 12],
}

impl Header {
    /// The authenticated data: label with its length, then the header as it stands in the file, version included.
    fn authenticated(&self) -> Result<Vec<u8>, KeystoreError> {
        let mut out = Vec::new();
        out.push(KEYSTORE.length_byte());
        out.extend_from_slice(KEYSTORE.as_str().as_bytes());
        out.push(Sealed::VERSION);
        encode_into(self, &mut out).map_err(|_| KeystoreError::Malformed)?;
        Ok(out)
    }

    /// The cipher under the key that the passphrase gives.
    fn cipher(&self, passphrase: &[u8]) -> Result<Aes256Gcm, KeystoreError> {
        let params = self.cost.params()?;
        let blocks = params.block_count();
        let mut memory = Zeroizing::new(Vec::<Block>::new());
        memory
            .try_reserve_exact(blocks)
            .map_err(|_| KeystoreError::OutOfMemory)?;
        memory.resize(blocks, Block::new());
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase, &self.salt, key.as_mut_slice(), memory.as_mut_slice())
            .map_err(|_| KeystoreError::TooLong)?;
        Aes256Gcm::new_from_slice(key.as_slice()).map_err(|_| KeystoreError::Malformed)
    }
}

/// A keystore as it is stored.
#[derive(Serialize, Deserialize)]
struct Sealed {
    header: Header,
    ciphertext: BoundedBytes<CIPHERTEXT_BYTES_MAX>,
}

impl Object for Sealed {
    const NAME: &'static str = "keystore";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64 + CIPHERTEXT_BYTES_MAX;
}

/// Seals secrets under a passphrase: Argon2id makes a key of it, AES-256-GCM seals the secret and authenticates
/// everything else.
///
/// ```text
/// ┌─────────┬────────┬────────────┬────────┬────────┬──────────┬──────────┬────────┬────────────┐
/// │ version │ kind   │ memory KiB │ passes │ lanes  │ salt     │ nonce    │ length │ ciphertext │
/// │ 1 byte  │ varint │ varint     │ varint │ varint │ 16 bytes │ 12 bytes │ varint │ with tag   │
/// └─────────┴────────┴────────────┴────────┴────────┴──────────┴──────────┴────────┴────────────┘
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Keystore {}

impl Keystore {
    /// The longest keystore in bytes.
    pub const BYTES_MAX: usize = Sealed::BYTES_MAX;

    /// Seals a secret. The passphrase is taken as the bytes it is; text should be normalised (NFC) before.
    ///
    /// # Errors
    /// [`KeystoreError::TooLong`], [`KeystoreError::UnsupportedCost`], [`KeystoreError::OutOfMemory`].
    pub fn seal(
        passphrase: &[u8],
        kind: KeystoreKind,
        secret: &[u8],
        cost: Argon2Cost,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<u8>, KeystoreError> {
        if secret.len() > KEYSTORE_SECRET_BYTES_MAX {
            return Err(KeystoreError::TooLong);
        }
        let mut header = Header {
            kind,
            cost,
            salt: [0; 16],
            nonce: [0; 12],
        };
        rng.fill_bytes(&mut header.salt);
        rng.fill_bytes(&mut header.nonce);
        let cipher = header.cipher(passphrase)?;
        let length = COMMITMENT_BYTES.saturating_add(secret.len());
        let mut buffer = Zeroizing::new(Vec::with_capacity(length.saturating_add(TAG_BYTES)));
        buffer.resize(COMMITMENT_BYTES, 0);
        buffer.extend_from_slice(secret);
        cipher
            .encrypt_in_place(&header.nonce.into(), &header.authenticated()?, &mut *buffer)
            .map_err(|_| KeystoreError::TooLong)?;
        let ciphertext = BoundedBytes::try_from(buffer.as_slice()).map_err(|_| KeystoreError::TooLong)?;
        Sealed { header, ciphertext }
            .to_bytes()
            .map_err(|_| KeystoreError::TooLong)
    }

    /// Opens a keystore. The limits of its cost are checked before any memory is taken.
    ///
    /// # Errors
    /// Every [`KeystoreError`].
    pub fn open(passphrase: &[u8], kind: KeystoreKind, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let Sealed { header, ciphertext } = Sealed::from_bytes(bytes)?;
        if header.kind != kind {
            return Err(KeystoreError::WrongKind);
        }
        let cipher = header.cipher(passphrase)?;
        let mut buffer = Zeroizing::new(ciphertext.into_inner());
        cipher
            .decrypt_in_place(&header.nonce.into(), &header.authenticated()?, &mut *buffer)
            .map_err(|_| KeystoreError::WrongPassphraseOrDamaged)?;
        match buffer.split_first_chunk::<COMMITMENT_BYTES>() {
            Some((zeros, secret)) if bool::from(zeros.ct_eq(&[0; COMMITMENT_BYTES])) => {
                Ok(Zeroizing::new(secret.to_vec()))
            }
            _ => Err(KeystoreError::WrongPassphraseOrDamaged),
        }
    }
}
