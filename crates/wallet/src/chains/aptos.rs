//! Aptos: `aptos`.
//!
//! Address: 32 bytes, the hash of the key that the account was made with. Signature: Ed25519 over the full message of
//! the wallet standard.

use super::Named;
use crate::{AptosKey, LinkError, ParseAccountError, text};
use alloc::{
    format,
    string::{String, ToString as _},
};
use sha3::{Digest as _, Sha3_256};
use tokenim_identity::{Signature, verify};
use tokenim_wire::hex;

/// An account, named by the key that it was made with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Account {
    chain: u8,
    address: [u8; 32],
}

impl Account {
    pub(crate) fn parse(reference: &str, address: &str) -> Result<Self, ParseAccountError> {
        let chain = text::parse_decimal(reference)
            .and_then(|number| u8::try_from(number).ok())
            .ok_or(ParseAccountError::Chain)?;
        let address = address
            .strip_prefix("0x")
            .and_then(hex::decode)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(ParseAccountError::Address)?;
        Ok(Self { chain, address })
    }

    pub(crate) fn verify(
        &self,
        text: &str,
        nonce: &str,
        key: &AptosKey,
        signature: &Signature,
    ) -> Result<(), LinkError> {
        if !addresses_of(key).contains(&self.address) {
            return Err(LinkError::OtherSigner);
        }
        let message = format!("APTOS\nmessage: {text}\nnonce: {nonce}");
        verify::strict(key.as_bytes(), message.as_bytes(), signature.as_bytes()).map_err(|_| LinkError::Signature)
    }
}

/// The addresses of the accounts that a key makes. By the first scheme, the hash of the key and 0; by the one of single
/// keys (AIP-55), that of the kind of key, its length, the key, and 2.
fn addresses_of(key: &AptosKey) -> [[u8; 32]; 2] {
    let hash = |before: &[u8], after: u8| {
        let hasher = Sha3_256::new().chain_update(before).chain_update(key.as_bytes());
        hasher.chain_update([after]).finalize().into()
    };
    [hash(&[], 0), hash(&[0, 32], 2)]
}

impl Named for Account {
    fn reference(&self) -> String {
        self.chain.to_string()
    }

    fn address(&self) -> String {
        text::hex_0x(&self.address)
    }

    fn ecosystem(&self) -> &'static str {
        "Aptos"
    }
}
