//! Ed25519 keys that know what they are for.

use crate::{
    Statement, signed_bytes,
    verify::{self, SignatureError, check_key},
};
use core::{fmt, hash::Hash, marker::PhantomData, str::FromStr};
use ed25519_dalek::Signer as _;
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokenim_wire::{EncodeError, NetworkId, bytes_newtype, macros};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// What a key is for. A key of one role does not sign or verify the statements of another; the compiler sees to it.
pub trait Role: sealed::Sealed + Copy + Ord + Hash + fmt::Debug + Send + Sync + 'static {
    /// Its name, as `Debug` shows it.
    const NAME: &'static str;
}

mod sealed {
    pub trait Sealed {}
}

/// Declares a role and its two key types.
macro_rules! role {
    ($(#[$meta:meta])* $role:ident, $verifying:ident, $signing:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $role {}

        impl sealed::Sealed for $role {}

        impl Role for $role {
            const NAME: &'static str = stringify!($role);
        }

        #[doc = concat!("The public key of role [`", stringify!($role), "`].")]
        pub type $verifying = VerifyingKey<$role>;

        #[doc = concat!("The secret key of role [`", stringify!($role), "`].")]
        pub type $signing = SigningKey<$role>;
    };
}

role! {
    /// Governs an identity: made from its words, it signs the records that add and revoke devices.
    Root, RootKey, RootSigningKey
}
role! {
    /// One of several that together recover an identity whose root was lost or stolen: it signs that one record.
    Recovery, RecoveryKey, RecoverySigningKey
}
role! {
    /// Speaks for one device of an identity: it signs envelopes.
    Device, DeviceKey, DeviceSigningKey
}
role! {
    /// Is a node: it signs receipts, heads and transactions; TLS and the consensus engine sign with it too.
    Node, NodeKey, NodeSigningKey
}
role! {
    /// Opens one mailbox: it signs requests to read from it or write to it.
    Mailbox, MailboxKey, MailboxSigningKey
}
role! {
    /// Speaks for the members of one epoch of a session, who all derive it: it signs what follows that epoch on the
    /// ledger.
    Epoch, EpochKey, EpochSigningKey
}

bytes_newtype! {
    /// An Ed25519 signature: `R`, then `s`, 32 bytes each (RFC 8032, section 5.1.6).
    pub struct Signature([u8; 64]);
}

/// Why 32 bytes are not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 32 bytes, or in text not 64 lower-case hexadecimal digits.
    #[error("a public key has 32 bytes, in text 64 lower-case hexadecimal digits")]
    Length,
    /// They encode no point of the curve.
    #[error("the bytes are not a point of the curve")]
    NotAPoint,
    /// They encode a point, but not in its one canonical way.
    #[error("the public key is not in its canonical encoding")]
    NotCanonical,
    /// The point has small order: signatures under it mean nothing.
    #[error("the public key has small order")]
    SmallOrder,
    /// The suite of an envelope key is unknown here, or its key has another length.
    #[error("the envelope key is not one of a known suite")]
    Suite,
}

/// A public Ed25519 key for one role: 32 bytes that were checked to be the canonical encoding of a point not of small
/// order. So a key has one text, one hash and one place in an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifyingKey<R: Role> {
    bytes: [u8; 32],
    role: PhantomData<R>,
}

impl<R: Role> VerifyingKey<R> {
    /// The key with these bytes.
    ///
    /// # Errors
    /// [`KeyError`] if they are not the canonical encoding of a point not of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        check_key(&bytes)?;
        Ok(Self {
            bytes,
            role: PhantomData,
        })
    }

    /// Its bytes, by value.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.bytes
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Verifies a signature over a statement strictly: for decisions of one party.
    ///
    /// # Errors
    /// [`SignatureError`] if it does not hold.
    pub fn verify_strict<S: Statement<Signer = R>>(
        &self,
        network: &NetworkId,
        statement: &S,
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let message = signed_bytes(network, statement).map_err(|_| SignatureError)?;
        verify::strict(&self.bytes, &message, signature.as_bytes())
    }

    /// Verifies a signature over a statement by the rules of ZIP-215: for decisions in which all must agree.
    ///
    /// # Errors
    /// [`SignatureError`] if it does not hold.
    pub fn verify_zip215<S: Statement<Signer = R>>(
        &self,
        network: &NetworkId,
        statement: &S,
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let message = signed_bytes(network, statement).map_err(|_| SignatureError)?;
        verify::zip215(&self.bytes, &message, signature.as_bytes())
    }
}

impl<R: Role> fmt::Display for VerifyingKey<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        macros::format_bytes(f, &self.bytes)
    }
}

impl<R: Role> fmt::Debug for VerifyingKey<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Key({self})", R::NAME)
    }
}

impl<R: Role> FromStr for VerifyingKey<R> {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(macros::parse_bytes(text).map_err(|_| KeyError::Length)?)
    }
}

impl<R: Role> TryFrom<[u8; 32]> for VerifyingKey<R> {
    type Error = KeyError;

    fn try_from(bytes: [u8; 32]) -> Result<Self, KeyError> {
        Self::from_bytes(bytes)
    }
}

impl<R: Role> TryFrom<&[u8]> for VerifyingKey<R> {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::from_bytes(bytes.try_into().map_err(|_| KeyError::Length)?)
    }
}

impl<R: Role> AsRef<[u8]> for VerifyingKey<R> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<R: Role> Serialize for VerifyingKey<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        macros::serialize_bytes(&self.bytes, serializer)
    }
}

impl<'de, R: Role> Deserialize<'de> for VerifyingKey<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_bytes(macros::deserialize_bytes(deserializer)?).map_err(de::Error::custom)
    }
}

/// A secret Ed25519 key for one role. It signs statements of that role and nothing else, is wiped when dropped, and
/// doesn't print itself.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SigningKey<R: Role> {
    inner: ed25519_dalek::SigningKey,
    #[zeroize(skip)]
    role: PhantomData<R>,
}

impl<R: Role> SigningKey<R> {
    /// A fresh random key.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_seed(*seed)
    }

    /// The key of a seed: the secret key of RFC 8032, section 5.1.5.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self {
            inner: ed25519_dalek::SigningKey::from_bytes(&seed),
            role: PhantomData,
        }
    }

    /// Its seed, for those that sign by themselves (TLS, the consensus engine) and for keystores.
    #[must_use]
    pub fn expose_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.inner.to_bytes())
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey<R> {
        // Canonical and of large order by construction: a compressed multiple of the base point, and never zero, since
        // clamping sets bit 254 of the scalar.
        VerifyingKey {
            bytes: self.inner.verifying_key().to_bytes(),
            role: PhantomData,
        }
    }

    /// Signs a statement in a network.
    ///
    /// # Errors
    /// [`EncodeError`] if the statement has no encoding.
    pub fn sign<S: Statement<Signer = R>>(&self, network: &NetworkId, statement: &S) -> Result<Signature, EncodeError> {
        let message = signed_bytes(network, statement)?;
        Ok(Signature::from_bytes(self.inner.sign(&message).to_bytes()))
    }
}

impl<R: Role> fmt::Debug for SigningKey<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}SigningKey(redacted)", R::NAME)
    }
}
