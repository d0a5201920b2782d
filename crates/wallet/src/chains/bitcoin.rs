//! Bitcoin: `bip122`.
//!
//! Address: P2PKH (base58check), P2WPKH (BIP-173), P2TR (BIP-350). Signature: the legacy message format for the first,
//! BIP-322 *simple* for the others.

use super::{Named, bip322, secp256k1};
use crate::{
    LinkError, ParseAccountError, RecoverableSignature,
    text::{self, Base58Check},
};
use alloc::{string::String, vec::Vec};
use bech32::{
    Hrp,
    segwit::{self, VERSION_0, VERSION_1},
};

/// One Bitcoin network.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Chain {
    /// The first 16 bytes of the hash of its first block, as it is written.
    reference: &'static str,
    /// What segwit addresses begin with.
    prefix: &'static str,
    /// The version byte of P2PKH addresses.
    version: u8,
}

/// The networks: main, testnet 3 and 4, signet, regtest.
static CHAINS: [Chain; 5] = [
    Chain {
        reference: "000000000019d6689c085ae165831e93",
        prefix: "bc",
        version: 0x00,
    },
    Chain {
        reference: "000000000933ea01ad0ee984209779ba",
        prefix: "tb",
        version: 0x6f,
    },
    Chain {
        reference: "00000000da84f2bafbbc53dee25a72ae",
        prefix: "tb",
        version: 0x6f,
    },
    Chain {
        reference: "00000008819873e925422c1ff0f99f7c",
        prefix: "tb",
        version: 0x6f,
    },
    Chain {
        reference: "0f9188f13cb7b2c71f2a335e3a4fc328",
        prefix: "bcrt",
        version: 0x6f,
    },
];

/// The version bytes of P2SH addresses, of the main and of the other networks.
const SCRIPT_VERSIONS: [u8; 2] = [0x05, 0xc4];

/// An address that one key owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Account {
    chain: &'static Chain,
    owner: Owner,
}

/// The key behind an address, or its hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    /// The hash of a key in either encoding.
    P2pkh([u8; 20]),
    /// The hash of a compressed key.
    P2wpkh([u8; 20]),
    /// An x-coordinate (BIP-340).
    P2tr([u8; 32]),
}

impl Account {
    pub(crate) fn parse(reference: &str, address: &str) -> Result<Self, ParseAccountError> {
        let chain = CHAINS
            .iter()
            .find(|chain| chain.reference == reference)
            .ok_or(ParseAccountError::Chain)?;
        let owner = if is_segwit(address) {
            parse_segwit(chain, address)?
        } else {
            parse_legacy(chain, address)?
        };
        Ok(Self { chain, owner })
    }

    /// Verifies a legacy signed message; only P2PKH addresses have them.
    pub(crate) fn verify_message(&self, text: &str, signature: &RecoverableSignature) -> Result<(), LinkError> {
        let Owner::P2pkh(owner) = &self.owner else {
            return Err(LinkError::Kind);
        };
        let (header, rs) = signature.as_bytes().split_first().ok_or(LinkError::RecoveryId)?;
        // 27 to 30: an uncompressed key with recovery id 0 to 3; 31 to 34: a compressed one. Beyond, segwit (BIP-137).
        let (id, compressed) = match header {
            27..=30 => (header.wrapping_sub(27), false),
            31..=34 => (header.wrapping_sub(31), true),
            _ => return Err(LinkError::RecoveryId),
        };
        let key = secp256k1::recover(&message_digest(text), rs, id)?;
        let hash = if compressed {
            secp256k1::hash160(&secp256k1::compressed(&key))
        } else {
            secp256k1::hash160(&secp256k1::uncompressed(&key))
        };
        if hash == *owner {
            Ok(())
        } else {
            Err(LinkError::OtherSigner)
        }
    }

    /// Verifies a BIP-322 witness; only segwit addresses have them.
    pub(crate) fn verify_witness(&self, text: &str, witness: &[u8]) -> Result<(), LinkError> {
        match &self.owner {
            Owner::P2pkh(_) => Err(LinkError::Kind),
            Owner::P2wpkh(hash) => bip322::verify_p2wpkh(hash, text.as_bytes(), witness),
            Owner::P2tr(key) => bip322::verify_p2tr(key, text.as_bytes(), witness),
        }
    }

    /// Whether its signatures are BIP-322 witnesses.
    pub(crate) const fn is_segwit(&self) -> bool {
        !matches!(self.owner, Owner::P2pkh(_))
    }
}

impl Named for Account {
    fn reference(&self) -> String {
        self.chain.reference.into()
    }

    fn address(&self) -> String {
        let prefix = Hrp::parse_unchecked(self.chain.prefix);
        let segwit = match &self.owner {
            Owner::P2pkh(hash) => return text::base58check(self.chain.version, hash),
            Owner::P2wpkh(hash) => segwit::encode_v0(prefix, hash),
            Owner::P2tr(key) => segwit::encode_v1(prefix, key),
        };
        // Prefix and lengths are allowed ones by construction.
        segwit.unwrap_or_default()
    }

    fn ecosystem(&self) -> &'static str {
        "Bitcoin"
    }
}

/// Whether an address begins like a segwit one. No base58 address begins so: theirs begin with 1, 2, 3, m or n.
fn is_segwit(address: &str) -> bool {
    let prefix = address.split_once('1').map_or("", |(prefix, _)| prefix);
    CHAINS.iter().any(|chain| prefix.eq_ignore_ascii_case(chain.prefix))
}

fn parse_segwit(chain: &Chain, address: &str) -> Result<Owner, ParseAccountError> {
    let (prefix, version, program) = segwit::decode(address).map_err(|_| ParseAccountError::Checksum)?;
    if prefix != Hrp::parse_unchecked(chain.prefix) {
        return Err(ParseAccountError::OtherChain);
    }
    let program: &[u8] = &program;
    match (version, program.len()) {
        (VERSION_0, 20) => program.try_into().map(Owner::P2wpkh),
        (VERSION_1, 32) => program.try_into().map(Owner::P2tr),
        _ => return Err(ParseAccountError::Unsupported),
    }
    .map_err(|_| ParseAccountError::Address)
}

fn parse_legacy(chain: &Chain, address: &str) -> Result<Owner, ParseAccountError> {
    match text::parse_base58check(address) {
        Base58Check::Valid(version, hash) if version == chain.version => Ok(Owner::P2pkh(hash)),
        Base58Check::Valid(version, _) if SCRIPT_VERSIONS.contains(&version) => Err(ParseAccountError::Unsupported),
        Base58Check::Valid(version, _) if CHAINS.iter().any(|other| other.version == version) => {
            Err(ParseAccountError::OtherChain)
        }
        Base58Check::Mistyped => Err(ParseAccountError::Checksum),
        Base58Check::Valid(..) | Base58Check::Malformed => Err(ParseAccountError::Address),
    }
}

/// What a legacy signed message covers.
fn message_digest(text: &str) -> [u8; 32] {
    let mut bytes = Vec::from(b"\x18Bitcoin Signed Message:\n");
    push_compact_size(&mut bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
    text::sha256d(&[&bytes])
}

/// Bitcoin's variable-length number; texts are far below the 64 KiB that three bytes count.
fn push_compact_size(out: &mut Vec<u8>, number: usize) {
    match (u8::try_from(number), u16::try_from(number)) {
        (Ok(short @ 0..=0xfc), _) => out.push(short),
        (_, long) => {
            out.push(0xfd);
            out.extend_from_slice(&long.unwrap_or(u16::MAX).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64ct::{Base64, Encoding as _};

    fn judge(reference: &str, address: &str, text: &str, signature: &str) -> Result<(), LinkError> {
        let signature: [u8; 65] = Base64::decode_vec(signature).unwrap().try_into().unwrap();
        Account::parse(reference, address)
            .unwrap()
            .verify_message(text, &RecoverableSignature::from_bytes(signature))
    }

    /// The examples in the README of bitcoinjs-message and in the test `rpc_signmessagewithprivkey` of Bitcoin Core.
    #[test]
    fn legacy_messages_are_those_of_the_published_vectors() {
        let [main, test] = [CHAINS[0].reference, CHAINS[1].reference];
        let (address, text) = (
            "1F3sAm6ZtwLAUnj7d38pGFxtP3RVEvtsbV",
            "This is an example of a signed message.",
        );
        let signature = "H9L5yLFjti0QTHhPyFrZCT1V/MMnBtXKmoiKDZ78NDBjERki6ZTQZdSMCtkgoNmp17By9ItJr8o7ChX0XxY91nk=";
        assert_eq!(judge(main, address, text, signature), Ok(()));
        assert_eq!(
            judge(main, address, "This is another.", signature),
            Err(LinkError::OtherSigner)
        );
        let (address, text) = ("mpLQjfK79b7CCV4VMJWEWAj5Mpx8Up5zxB", "This is just a test message");
        let signature = "INbVnW4e6PeRmsv2Qgu8NuopvrVjkcxob+sX8OcZG0SALhWybUjzMLPdAsXI46YZGb0KQTRii+wWIQzRpG/U+S0=";
        assert_eq!(judge(test, address, text, signature), Ok(()));
    }
}
