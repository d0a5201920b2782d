//! Names of accounts.

use crate::chains::{Named, antelope, aptos, bitcoin, evm, polkadot, solana, tron};
use alloc::string::{String, ToString as _};
use core::{fmt, str::FromStr};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};
use tokenim_wire::limits::ACCOUNT_BYTES_MAX;

/// Chains that write addresses and sign alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Ethereum and every chain with its accounts.
    Evm,
    /// TRON.
    Tron,
    /// Bitcoin and its test networks.
    Bitcoin,
    /// Solana and its test clusters.
    Solana,
    /// Aptos.
    Aptos,
    /// The relay chains Polkadot and Kusama.
    Polkadot,
    /// EOS and the other chains of the Antelope software.
    Antelope,
}

impl Family {
    /// Its namespace: the part of a CAIP-2 name before the colon.
    #[must_use]
    pub const fn namespace(self) -> &'static str {
        match self {
            Self::Evm => "eip155",
            Self::Tron => "tron",
            Self::Bitcoin => "bip122",
            Self::Solana => "solana",
            Self::Aptos => "aptos",
            Self::Polkadot => "polkadot",
            Self::Antelope => "antelope",
        }
    }
}

/// An account of a chain, named as CAIP-10 says: `namespace:reference:address`.
///
/// A value is well-formed: the chain is one of its namespace, the address one of the chain that a single key owns, and
/// its checksum, if it has one, is right. `Display` writes the one canonical text, which is also its encoding;
/// `FromStr` reads it, and what people write beside it: an EVM address in one case, a segwit address in capitals.
///
/// ```
/// use tokenim_wallet::{Account, ParseAccountError};
///
/// let account: Account = "eip155:1:0xde709f2102306220921060314715629080e2fb77".parse()?;
/// assert_eq!(account.chain_id(), "eip155:1");
///
/// let mistyped = "eip155:1:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD".parse::<Account>();
/// assert_eq!(mistyped, Err(ParseAccountError::Checksum));
/// # Ok::<(), ParseAccountError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(Inner);

/// The account, by family.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Inner {
    Evm(evm::Account),
    Tron(tron::Account),
    Bitcoin(bitcoin::Account),
    Solana(solana::Account),
    Aptos(aptos::Account),
    Polkadot(polkadot::Account),
    Antelope(antelope::Account),
}

/// Why a text does not name an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseAccountError {
    /// Longer than any name of an account here.
    #[error("the name of an account has at most {ACCOUNT_BYTES_MAX} characters")]
    TooLong,
    /// Not three parts with colons between them.
    #[error("the name of an account is namespace:chain:address, for example eip155:1:0x…")]
    Form,
    /// A namespace that is not supported.
    #[error("the namespace is none of eip155, tron, bip122, solana, aptos, polkadot, antelope")]
    Namespace,
    /// The chain is none of the namespace's, or not in its canonical form.
    #[error("the chain is not one of this namespace")]
    Chain,
    /// Not an address of the family.
    #[error("the address is not one of this chain")]
    Address,
    /// The address has a checksum, which says that something was mistyped.
    #[error("the address is mistyped: its checksum does not fit")]
    Checksum,
    /// An address of the family, but of another chain.
    #[error("the address belongs to another chain")]
    OtherChain,
    /// An address that no single key owns, so that nobody can sign for it here.
    #[error("the address is that of a script: only addresses of a single key can be linked")]
    Unsupported,
}

impl Account {
    /// Its family.
    #[must_use]
    pub const fn family(&self) -> Family {
        match &self.0 {
            Inner::Evm(_) => Family::Evm,
            Inner::Tron(_) => Family::Tron,
            Inner::Bitcoin(_) => Family::Bitcoin,
            Inner::Solana(_) => Family::Solana,
            Inner::Aptos(_) => Family::Aptos,
            Inner::Polkadot(_) => Family::Polkadot,
            Inner::Antelope(_) => Family::Antelope,
        }
    }

    /// The name of its chain as CAIP-2 says: `namespace:reference`.
    #[must_use]
    pub fn chain_id(&self) -> String {
        [self.family().namespace(), ":", &self.named().reference()].concat()
    }

    /// Its address, as its chain writes it.
    #[must_use]
    pub fn address(&self) -> String {
        self.named().address()
    }

    /// The account by family.
    pub(crate) const fn inner(&self) -> &Inner {
        &self.0
    }

    /// What all families have.
    pub(crate) fn named(&self) -> &dyn Named {
        match &self.0 {
            Inner::Evm(account) => account,
            Inner::Tron(account) => account,
            Inner::Bitcoin(account) => account,
            Inner::Solana(account) => account,
            Inner::Aptos(account) => account,
            Inner::Polkadot(account) => account,
            Inner::Antelope(account) => account,
        }
    }
}

impl FromStr for Account {
    type Err = ParseAccountError;

    fn from_str(text: &str) -> Result<Self, ParseAccountError> {
        if text.len() > ACCOUNT_BYTES_MAX {
            return Err(ParseAccountError::TooLong);
        }
        let (namespace, rest) = text.split_once(':').ok_or(ParseAccountError::Form)?;
        let (reference, address) = rest.split_once(':').ok_or(ParseAccountError::Form)?;
        Ok(Self(match namespace {
            "eip155" => Inner::Evm(evm::Account::parse(reference, address)?),
            "tron" => Inner::Tron(tron::Account::parse(reference, address)?),
            "bip122" => Inner::Bitcoin(bitcoin::Account::parse(reference, address)?),
            "solana" => Inner::Solana(solana::Account::parse(reference, address)?),
            "aptos" => Inner::Aptos(aptos::Account::parse(reference, address)?),
            "polkadot" => Inner::Polkadot(polkadot::Account::parse(reference, address)?),
            "antelope" => Inner::Antelope(antelope::Account::parse(reference, address)?),
            _ => return Err(ParseAccountError::Namespace),
        }))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.chain_id(), self.address())
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name)
    }
}

/// Visits the text of an account. Whether it is the canonical one is for the decoder to find, by encoding it again.
struct Name;

impl Visitor<'_> for Name {
    type Value = Account;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an account")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Account, E> {
        text.parse().map_err(E::custom)
    }
}
