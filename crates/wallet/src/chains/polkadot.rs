//! Polkadot and Kusama: `polkadot`.
//!
//! Address: SS58. Signature: Ed25519, or Schnorr over Ristretto (`sr25519`), over the text between `<Bytes>` and
//! `</Bytes>`, as `signRaw` of wallets makes it. An address shows a key, not its kind.

use super::Named;
use crate::{LinkError, ParseAccountError, Sr25519Signature, text};
use alloc::{format, string::String, vec::Vec};
use blake2::{Blake2b512, Digest as _};
use tokenim_identity::{Signature, verify};

/// One relay chain.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Chain {
    /// The first 16 bytes of the hash of its first block.
    reference: &'static str,
    /// What its addresses begin with.
    prefix: u8,
    name: &'static str,
}

static CHAINS: [Chain; 2] = [
    Chain {
        reference: "91b171bb158e2d3848fa23a9f1c25182",
        prefix: 0,
        name: "Polkadot",
    },
    Chain {
        reference: "b0a8d493285c2df73290dfb7e61f870f",
        prefix: 2,
        name: "Kusama",
    },
];

/// An account of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Account {
    chain: &'static Chain,
    key: [u8; 32],
}

impl Account {
    pub(crate) fn parse(reference: &str, address: &str) -> Result<Self, ParseAccountError> {
        let chain = CHAINS
            .iter()
            .find(|chain| chain.reference == reference)
            .ok_or(ParseAccountError::Chain)?;
        let bytes: [u8; 35] = text::parse_base58(address).ok_or(ParseAccountError::Address)?;
        let [prefix, key @ .., _, _] = bytes;
        if !bytes.ends_with(&checksum(prefix, &key)) {
            return Err(ParseAccountError::Checksum);
        }
        if prefix != chain.prefix {
            return Err(ParseAccountError::OtherChain);
        }
        Ok(Self { chain, key })
    }

    pub(crate) fn verify_ed25519(&self, text: &str, signature: &Signature) -> Result<(), LinkError> {
        verify::strict(&self.key, &wrapped(text), signature.as_bytes()).map_err(|_| LinkError::Signature)
    }

    #[cfg(feature = "sr25519")]
    pub(crate) fn verify_sr25519(&self, text: &str, signature: &Sr25519Signature) -> Result<(), LinkError> {
        let signature = schnorrkel::Signature::from_bytes(signature.as_bytes()).map_err(|_| LinkError::NotCanonical)?;
        schnorrkel::PublicKey::from_bytes(&self.key)
            .and_then(|key| key.verify_simple(b"substrate", &wrapped(text), &signature))
            .map_err(|_| LinkError::Signature)
    }

    #[cfg(not(feature = "sr25519"))]
    #[expect(clippy::unused_self, reason = "the same face with and without the feature")]
    pub(crate) fn verify_sr25519(&self, _: &str, _: &Sr25519Signature) -> Result<(), LinkError> {
        Err(LinkError::Unsupported)
    }
}

/// What is signed.
fn wrapped(text: &str) -> Vec<u8> {
    format!("<Bytes>{text}</Bytes>").into_bytes()
}

/// The two bytes at the end of an address.
fn checksum(prefix: u8, key: &[u8; 32]) -> [u8; 2] {
    let hash = Blake2b512::new()
        .chain_update(b"SS58PRE")
        .chain_update([prefix])
        .chain_update(key)
        .finalize();
    let mut out = [0; 2];
    for (slot, byte) in out.iter_mut().zip(hash) {
        *slot = byte;
    }
    out
}

impl Named for Account {
    fn reference(&self) -> String {
        self.chain.reference.into()
    }

    fn address(&self) -> String {
        let prefix = self.chain.prefix;
        text::base58(&[&[prefix], self.key.as_slice(), &checksum(prefix, &self.key)].concat())
    }

    fn ecosystem(&self) -> &'static str {
        self.chain.name
    }
}
