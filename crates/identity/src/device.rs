//! What a device has: public keys, and the secrets they belong to.

use crate::{
    Device, DeviceId, DeviceKey, DeviceSigningKey, IdentityId, KeyError, MailboxKey, MailboxSigningKey, Statement,
};
use alloc::vec::Vec;
use core::fmt;
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, de};
use tokenim_wire::{BoundedBytes, Label, limits::ENVELOPE_KEY_BYTES_MAX};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The suite of an envelope key: the identifier of its key encapsulation in the registry of HPKE (RFC 9180, section
/// 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SuiteId(u16);

impl SuiteId {
    /// DHKEM(X25519, HKDF-SHA256), with HKDF-SHA256 and AES-256-GCM.
    pub const X25519: Self = Self(0x0020);
    /// X-Wing, that is ML-KEM-768 and X25519 (draft-connolly-cfrg-xwing-kem), with HKDF-SHA256 and AES-256-GCM.
    pub const X_WING: Self = Self(0x647a);

    /// The suite with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The length of its public keys in bytes; `None` for a suite that is not known here.
    #[must_use]
    pub const fn key_bytes(self) -> Option<usize> {
        match self {
            Self::X25519 => Some(32),
            Self::X_WING => Some(1216),
            _ => None,
        }
    }
}

impl fmt::Display for SuiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// The public key to which envelopes for a device are sealed: of a known suite, and of that suite's length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EnvelopeKey {
    suite: SuiteId,
    key: BoundedBytes<ENVELOPE_KEY_BYTES_MAX>,
}

impl EnvelopeKey {
    /// The key of a suite with these bytes.
    ///
    /// # Errors
    /// [`KeyError::Suite`] for an unknown suite, and for another length than its keys have.
    pub fn new(suite: SuiteId, key: &[u8]) -> Result<Self, KeyError> {
        let key = BoundedBytes::try_from(key).map_err(|_| KeyError::Suite)?;
        Self::checked(suite, key)
    }

    /// The X25519 key with these bytes.
    #[must_use]
    pub fn x25519(key: [u8; 32]) -> Self {
        let key = BoundedBytes::try_from(key.as_slice()).unwrap_or_default();
        Self {
            suite: SuiteId::X25519,
            key,
        }
    }

    /// The X-Wing key with these bytes. Whether its ML-KEM half is one is found out by whoever seals to it.
    #[must_use]
    pub fn x_wing(key: &[u8; 1216]) -> Self {
        let key = BoundedBytes::try_from(key.as_slice()).unwrap_or_default();
        Self {
            suite: SuiteId::X_WING,
            key,
        }
    }

    /// Its suite.
    #[must_use]
    pub const fn suite(&self) -> SuiteId {
        self.suite
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        self.key.as_slice()
    }

    /// Its bytes if it is an X25519 key.
    #[must_use]
    pub fn to_x25519(&self) -> Option<[u8; 32]> {
        if self.suite == SuiteId::X25519 {
            self.key.as_slice().try_into().ok()
        } else {
            None
        }
    }

    /// The check of every constructor.
    fn checked(suite: SuiteId, key: BoundedBytes<ENVELOPE_KEY_BYTES_MAX>) -> Result<Self, KeyError> {
        if suite.key_bytes() == Some(key.len()) {
            Ok(Self { suite, key })
        } else {
            Err(KeyError::Suite)
        }
    }
}

impl<'de> Deserialize<'de> for EnvelopeKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The same fields, not yet checked.
        #[derive(Deserialize)]
        struct Unchecked {
            suite: SuiteId,
            key: BoundedBytes<ENVELOPE_KEY_BYTES_MAX>,
        }
        let Unchecked { suite, key } = Unchecked::deserialize(deserializer)?;
        Self::checked(suite, key).map_err(de::Error::custom)
    }
}

/// The public keys of a device, as the ledger shows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceKeys {
    /// Signs envelopes and, for itself, its revocation.
    pub signing: DeviceKey,
    /// Envelopes are sealed to it.
    pub envelope: EnvelopeKey,
    /// Opens its contact inbox.
    pub inbox: MailboxKey,
    /// Part of the descriptor of its contact inbox, 16 random bytes.
    pub inbox_nonce: [u8; 16],
}

impl DeviceKeys {
    /// The name of the device.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::of(&self.signing)
    }
}

/// What a device signs to become one of an identity's: that identity, that place in its chain, and all of its own keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceConsent {
    /// The identity that it joins.
    pub identity: IdentityId,
    /// The number of the record that adds it.
    pub seq: u64,
    /// All of its keys.
    pub keys: DeviceKeys,
}

impl Statement for DeviceConsent {
    type Signer = Device;
    const LABEL: Label = Label::new("tokenim/device-consent/v1");
}

/// The secrets of a device. They are random, never leave it but in a keystore, are wiped when dropped and don't print
/// themselves.
#[derive(Clone)]
pub struct DeviceSecrets {
    /// Signs envelopes and, for itself, its revocation.
    pub signing: DeviceSigningKey,
    /// The seed of the key pair to which envelopes are sealed.
    pub envelope_seed: Zeroizing<[u8; 32]>,
    /// Opens its contact inbox.
    pub inbox: MailboxSigningKey,
    /// Part of the descriptor of its contact inbox.
    pub inbox_nonce: [u8; 16],
    /// Seals what the device keeps on its disk.
    pub vault: Zeroizing<[u8; 32]>,
}

/// Bytes that are not the secrets of a device: wrong length or version. It says nothing about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not the secrets of a device")]
pub struct SecretsError;

impl DeviceSecrets {
    /// The version byte of their encoding.
    const VERSION: u8 = 1;
    /// Length of their encoding in bytes.
    pub const BYTES: usize = 145;

    /// Fresh random secrets.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let signing = DeviceSigningKey::generate(rng);
        let mut envelope_seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(envelope_seed.as_mut_slice());
        let inbox = MailboxSigningKey::generate(rng);
        let mut inbox_nonce = [0; 16];
        rng.fill_bytes(&mut inbox_nonce);
        let mut vault = Zeroizing::new([0; 32]);
        rng.fill_bytes(vault.as_mut_slice());
        Self {
            signing,
            envelope_seed,
            inbox,
            inbox_nonce,
            vault,
        }
    }

    /// The name of the device.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::of(&self.signing.verifying_key())
    }

    /// Its public keys, of which the envelope key comes from `envelope_seed` by way of the envelope's suite.
    #[must_use]
    pub fn keys(&self, envelope: EnvelopeKey) -> DeviceKeys {
        DeviceKeys {
            signing: self.signing.verifying_key(),
            envelope,
            inbox: self.inbox.verifying_key(),
            inbox_nonce: self.inbox_nonce,
        }
    }

    /// Their encoding, for a keystore:
    ///
    /// ```text
    /// ┌─────────┬──────────────┬───────────────┬────────────┬─────────────┬──────────┐
    /// │ version │ signing seed │ envelope seed │ inbox seed │ inbox nonce │ vault    │
    /// │ 1 byte  │ 32 bytes     │ 32 bytes      │ 32 bytes   │ 16 bytes    │ 32 bytes │
    /// └─────────┴──────────────┴───────────────┴────────────┴─────────────┴──────────┘
    /// ```
    #[must_use]
    pub fn expose_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(Self::BYTES));
        out.push(Self::VERSION);
        out.extend_from_slice(self.signing.expose_seed().as_slice());
        out.extend_from_slice(self.envelope_seed.as_slice());
        out.extend_from_slice(self.inbox.expose_seed().as_slice());
        out.extend_from_slice(&self.inbox_nonce);
        out.extend_from_slice(self.vault.as_slice());
        out
    }

    /// Reads what [`DeviceSecrets::expose_bytes`] wrote.
    ///
    /// # Errors
    /// [`SecretsError`] for another length or version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SecretsError> {
        let (version, rest) = bytes.split_first().ok_or(SecretsError)?;
        let (signing, rest) = rest.split_first_chunk::<32>().ok_or(SecretsError)?;
        let (envelope_seed, rest) = rest.split_first_chunk::<32>().ok_or(SecretsError)?;
        let (inbox, rest) = rest.split_first_chunk::<32>().ok_or(SecretsError)?;
        let (inbox_nonce, rest) = rest.split_first_chunk::<16>().ok_or(SecretsError)?;
        let vault: &[u8; 32] = rest.try_into().map_err(|_| SecretsError)?;
        if *version != Self::VERSION {
            return Err(SecretsError);
        }
        Ok(Self {
            signing: DeviceSigningKey::from_seed(*signing),
            envelope_seed: Zeroizing::new(*envelope_seed),
            inbox: MailboxSigningKey::from_seed(*inbox),
            inbox_nonce: *inbox_nonce,
            vault: Zeroizing::new(*vault),
        })
    }
}

impl fmt::Debug for DeviceSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceSecrets(redacted)")
    }
}

/// Every secret field wipes itself.
impl ZeroizeOnDrop for DeviceSecrets {}
