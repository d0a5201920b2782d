//! Solana: `solana`.
//!
//! Address: the base58 of an Ed25519 key. Signature: Ed25519 over the bytes of the text, as `signMessage` of wallets
//! makes it; not the off-chain message format that begins with 0xff.

use super::Named;
use crate::{LinkError, ParseAccountError, text};
use alloc::string::String;
use tokenim_identity::{Signature, verify};
use tokenim_wire::BoundedString;

/// An account of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Account {
    /// The first 32 characters of the hash of the first block.
    chain: BoundedString<32>,
    key: [u8; 32],
}

impl Account {
    pub(crate) fn parse(reference: &str, address: &str) -> Result<Self, ParseAccountError> {
        let chain = BoundedString::try_from(reference).map_err(|_| ParseAccountError::Chain)?;
        if chain.len() != 32 || bs58::decode(reference).into_vec().is_err() {
            return Err(ParseAccountError::Chain);
        }
        let key = text::parse_base58(address).ok_or(ParseAccountError::Address)?;
        Ok(Self { chain, key })
    }

    pub(crate) fn verify(&self, text: &str, signature: &Signature) -> Result<(), LinkError> {
        verify::strict(&self.key, text.as_bytes(), signature.as_bytes()).map_err(|_| LinkError::Signature)
    }
}

impl Named for Account {
    fn reference(&self) -> String {
        self.chain.as_str().into()
    }

    fn address(&self) -> String {
        text::base58(&self.key)
    }

    fn ecosystem(&self) -> &'static str {
        "Solana"
    }
}
