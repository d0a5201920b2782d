//! What wallets answer.

use crate::{
    Account, Family,
    account::Inner,
    chains::antelope,
    text::{self, base58, hex_0x, parse_base58, parse_hex},
};
use alloc::string::String;
use base64ct::{Base64, Encoding as _};
use core::{fmt, str::FromStr};
use serde::{Deserialize, Serialize};
use tokenim_identity::Signature;
use tokenim_wire::{
    BoundedBytes, bytes_newtype,
    limits::{WALLET_SIGNATURE_TEXT_BYTES_MAX, WITNESS_BYTES_MAX},
};

bytes_newtype! {
    /// An ECDSA signature from which the key can be recovered. `r ‖ s ‖ v` for EVM and TRON, `header ‖ r ‖ s` for
    /// Bitcoin and Antelope, as their wallets write it.
    pub struct RecoverableSignature([u8; 65]);
}

bytes_newtype! {
    /// A Schnorr signature over Ristretto: `R`, then `s`, whose last bit is set to tell it from an Ed25519 one.
    pub struct Sr25519Signature([u8; 64]);
}

bytes_newtype! {
    /// The Ed25519 key of an Aptos account.
    pub struct AptosKey([u8; 32]);
}

/// A key of an Antelope account: a point of secp256k1, compressed. Its text is `PUB_K1_…`; the older `EOS…` is read
/// too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AntelopeKey([u8; 33]);

/// The answer of a wallet, by family and kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WalletSignature {
    /// EIP-191, of an account that a key owns.
    Evm(RecoverableSignature),
    /// TIP-191.
    Tron(RecoverableSignature),
    /// The legacy message format of Bitcoin, for P2PKH addresses.
    BitcoinMessage(RecoverableSignature),
    /// The witness of BIP-322 *simple*, for P2WPKH and P2TR addresses.
    Bip322(BoundedBytes<WITNESS_BYTES_MAX>),
    /// Ed25519 by the key that is the address.
    Solana(Signature),
    /// Ed25519 by the key that the address is a hash of.
    Aptos {
        /// The key.
        key: AptosKey,
        /// Its signature.
        signature: Signature,
    },
    /// Ed25519 by the key in the address.
    PolkadotEd25519(Signature),
    /// Schnorr over Ristretto by the key in the address. Verified with feature `sr25519` only.
    PolkadotSr25519(Sr25519Signature),
    /// ECDSA by a key which the account should have on its chain.
    Antelope {
        /// The key.
        key: AntelopeKey,
        /// Its signature.
        signature: RecoverableSignature,
    },
}

/// Why a text is not the answer of a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSignatureError {
    /// Longer than any.
    #[error("a wallet's signature has at most {WALLET_SIGNATURE_TEXT_BYTES_MAX} characters")]
    TooLong,
    /// Not in the form that wallets of this account use.
    #[error("expected {expected}")]
    Form {
        /// What was expected.
        expected: &'static str,
    },
}

impl WalletSignature {
    /// Reads what the wallet of an account answered, in the form that such wallets use; space around it is left out.
    ///
    /// # Errors
    /// [`ParseSignatureError`], which says what form was expected.
    pub fn parse(account: &Account, text: &str) -> Result<Self, ParseSignatureError> {
        let text = text.trim();
        if text.len() > WALLET_SIGNATURE_TEXT_BYTES_MAX {
            return Err(ParseSignatureError::TooLong);
        }
        match account.inner() {
            Inner::Evm(_) => parse_hex(text).map(|bytes| Self::Evm(RecoverableSignature::from_bytes(bytes))),
            Inner::Tron(_) => parse_hex(text).map(|bytes| Self::Tron(RecoverableSignature::from_bytes(bytes))),
            Inner::Bitcoin(account) if account.is_segwit() => parse_witness(text).map(Self::Bip322),
            Inner::Bitcoin(_) => parse_base64(text).map(|bytes| Self::BitcoinMessage(bytes.into())),
            Inner::Solana(_) => parse_base58::<64>(text).map(|bytes| Self::Solana(bytes.into())),
            Inner::Aptos(_) => parse_aptos(text),
            Inner::Polkadot(_) => parse_hex(text).map(|bytes: [u8; 64]| match bytes {
                [.., 0x80..=0xff] => Self::PolkadotSr25519(bytes.into()),
                _ => Self::PolkadotEd25519(bytes.into()),
            }),
            Inner::Antelope(_) => parse_antelope(text),
        }
        .ok_or(ParseSignatureError::Form {
            expected: expected(account),
        })
    }

    /// The family of accounts that it can be of.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Evm(_) => Family::Evm,
            Self::Tron(_) => Family::Tron,
            Self::BitcoinMessage(_) | Self::Bip322(_) => Family::Bitcoin,
            Self::Solana(_) => Family::Solana,
            Self::Aptos { .. } => Family::Aptos,
            Self::PolkadotEd25519(_) | Self::PolkadotSr25519(_) => Family::Polkadot,
            Self::Antelope { .. } => Family::Antelope,
        }
    }
}

/// The form in which the wallet of an account answers.
pub(crate) fn expected(account: &Account) -> &'static str {
    match account.inner() {
        Inner::Evm(_) | Inner::Tron(_) => "65 bytes in hexadecimal, 0x…",
        Inner::Bitcoin(account) if account.is_segwit() => "a BIP-322 simple signature: base64, smp… or without smp",
        Inner::Bitcoin(_) => "65 bytes in base64",
        Inner::Solana(_) => "64 bytes in base58",
        Inner::Aptos(_) => "the public key and the signature in hexadecimal with a colon between them, 0x…:0x…",
        Inner::Polkadot(_) => "64 bytes in hexadecimal, 0x…",
        Inner::Antelope(_) => "the public key and the signature with a colon between them, PUB_K1_…:SIG_K1_…",
    }
}

/// Writes what [`WalletSignature::parse`] reads.
impl fmt::Display for WalletSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evm(signature) | Self::Tron(signature) => f.write_str(&hex_0x(signature.as_bytes())),
            Self::BitcoinMessage(signature) => f.write_str(&Base64::encode_string(signature.as_bytes())),
            Self::Bip322(witness) => write!(f, "smp{}", Base64::encode_string(witness)),
            Self::Solana(signature) => f.write_str(&base58(signature.as_bytes())),
            Self::Aptos { key, signature } => write!(f, "0x{key}:0x{signature}"),
            Self::PolkadotEd25519(signature) => write!(f, "0x{signature}"),
            Self::PolkadotSr25519(signature) => write!(f, "0x{signature}"),
            Self::Antelope { key, signature } => write!(f, "{key}:{}", antelope::signature_text(signature)),
        }
    }
}

/// Exactly `N` bytes of base64 with padding.
fn parse_base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    Base64::decode_vec(text).ok()?.try_into().ok()
}

/// A witness in base64, with the prefix of its variant or, from older signers, without.
fn parse_witness(text: &str) -> Option<BoundedBytes<WITNESS_BYTES_MAX>> {
    let text = text.strip_prefix("smp").unwrap_or(text);
    Base64::decode_vec(text).ok()?.try_into().ok()
}

/// Key and signature of an Aptos account.
fn parse_aptos(text: &str) -> Option<WalletSignature> {
    let (key, signature) = text.split_once(':')?;
    Some(WalletSignature::Aptos {
        key: AptosKey::from_bytes(text::parse_hex(key)?),
        signature: Signature::from_bytes(text::parse_hex(signature)?),
    })
}

/// Key and signature of an Antelope account.
fn parse_antelope(text: &str) -> Option<WalletSignature> {
    let (key, signature) = text.split_once(':')?;
    Some(WalletSignature::Antelope {
        key: key.parse().ok()?,
        signature: antelope::parse_signature(signature)?,
    })
}

impl AntelopeKey {
    /// The key with these bytes: 2 or 3, then the x-coordinate. Whether there is such a point is found when a signature
    /// is verified.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 33]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }
}

impl fmt::Display for AntelopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PUB_K1_")?;
        antelope::write_checked(f, &self.0)
    }
}

impl fmt::Debug for AntelopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AntelopeKey {
    type Err = ParseSignatureError;

    fn from_str(text: &str) -> Result<Self, ParseSignatureError> {
        let bytes = if let Some(rest) = text.strip_prefix("PUB_K1_") {
            antelope::parse_checked::<37, 33>(rest, b"K1")
        } else {
            text.strip_prefix("EOS")
                .and_then(|rest| antelope::parse_checked::<37, 33>(rest, b""))
        };
        bytes.map(Self).ok_or(ParseSignatureError::Form {
            expected: "a public key, PUB_K1_… or EOS…",
        })
    }
}

impl Serialize for AntelopeKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            tokenim_wire::macros::serialize_bytes(&self.0, serializer)
        }
    }
}

impl<'de> Deserialize<'de> for AntelopeKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
                .parse()
                .map_err(serde::de::Error::custom)
        } else {
            tokenim_wire::macros::deserialize_bytes(deserializer).map(Self)
        }
    }
}
