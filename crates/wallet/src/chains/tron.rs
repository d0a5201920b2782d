//! TRON: `tron`.
//!
//! Address: base58check with version 0x41. Signature: TIP-191, the text's length in its prefix (`signMessageV2`).

use super::{Named, evm, secp256k1};
use crate::{
    LinkError, ParseAccountError, RecoverableSignature,
    text::{self, Base58Check},
};
use alloc::{format, string::String};
use tokenim_wire::hex;

/// The version byte of addresses.
const VERSION: u8 = 0x41;

/// An account, named by the key that it was made with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Account {
    /// The last four bytes of the hash of the first block.
    chain: u32,
    address: [u8; 20],
}

impl Account {
    pub(crate) fn parse(reference: &str, address: &str) -> Result<Self, ParseAccountError> {
        let chain = reference
            .strip_prefix("0x")
            .and_then(hex::decode)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(ParseAccountError::Chain)?;
        match text::parse_base58check(address) {
            Base58Check::Valid(VERSION, address) => Ok(Self {
                chain: u32::from_be_bytes(chain),
                address,
            }),
            Base58Check::Mistyped => Err(ParseAccountError::Checksum),
            Base58Check::Valid(..) | Base58Check::Malformed => Err(ParseAccountError::Address),
        }
    }

    pub(crate) fn verify(&self, text: &str, signature: &RecoverableSignature) -> Result<(), LinkError> {
        let digest = evm::message_digest("\u{19}TRON Signed Message:\n", text);
        let (id, rs) = evm::split(signature)?;
        if evm::address_of(&secp256k1::recover(&digest, rs, id)?) == self.address {
            Ok(())
        } else {
            Err(LinkError::OtherSigner)
        }
    }
}

impl Named for Account {
    fn reference(&self) -> String {
        format!("0x{:08x}", self.chain)
    }

    fn address(&self) -> String {
        text::base58check(VERSION, &self.address)
    }

    fn ecosystem(&self) -> &'static str {
        "TRON"
    }
}
