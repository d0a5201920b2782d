//! Ethereum and every chain with its accounts: `eip155`.
//!
//! Address: EIP-55. Signature: EIP-191, version `E` (`personal_sign`), over a text of EIP-4361.

use super::{Named, secp256k1};
use crate::{LinkError, ParseAccountError, RecoverableSignature, text};
use alloc::{
    format,
    string::{String, ToString as _},
};
use k256::ecdsa::VerifyingKey;
use sha3::{Digest as _, Keccak256};
use tokenim_wire::hex;

/// An account that a key owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Account {
    /// The chain id of EIP-155.
    chain: u64,
    address: [u8; 20],
}

impl Account {
    pub(crate) fn parse(reference: &str, address: &str) -> Result<Self, ParseAccountError> {
        let chain = text::parse_decimal(reference).ok_or(ParseAccountError::Chain)?;
        let digits = address.strip_prefix("0x").ok_or(ParseAccountError::Address)?;
        let account = Self {
            chain,
            address: text::parse_hex(digits)
                .filter(|_| digits.len() == 40)
                .ok_or(ParseAccountError::Address)?,
        };
        let has = |case: fn(&u8) -> bool| digits.as_bytes().iter().any(case);
        let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
        if mixed && account.address() != address {
            return Err(ParseAccountError::Checksum);
        }
        Ok(account)
    }

    pub(crate) fn verify(&self, text: &str, signature: &RecoverableSignature) -> Result<(), LinkError> {
        let digest = message_digest("\u{19}Ethereum Signed Message:\n", text);
        let (id, rs) = split(signature)?;
        if address_of(&secp256k1::recover(&digest, rs, id)?) == self.address {
            Ok(())
        } else {
            Err(LinkError::OtherSigner)
        }
    }
}

impl Named for Account {
    fn reference(&self) -> String {
        self.chain.to_string()
    }

    fn address(&self) -> String {
        let lower = hex::encode(&self.address);
        let hash = hex::encode(&keccak256(lower.as_bytes()));
        let cased = lower.chars().zip(hash.chars()).map(|(digit, nibble)| match nibble {
            '8'..='9' | 'a'..='f' => digit.to_ascii_uppercase(),
            _ => digit,
        });
        format!("0x{}", cased.collect::<String>())
    }

    fn ecosystem(&self) -> &'static str {
        "Ethereum"
    }
}

/// Keccak-256, as it was before SHA-3.
pub(crate) fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// The digest of a prefix, the length of the text in decimal, and the text.
pub(crate) fn message_digest(prefix: &str, text: &str) -> [u8; 32] {
    keccak256(format!("{prefix}{}{text}", text.len()).as_bytes())
}

/// The recovery id and `r ‖ s` of `r ‖ s ‖ v` with `v` 27 or 28.
pub(crate) fn split(signature: &RecoverableSignature) -> Result<(u8, &[u8]), LinkError> {
    match signature.as_bytes() {
        [rs @ .., 27] => Ok((0, rs)),
        [rs @ .., 28] => Ok((1, rs)),
        _ => Err(LinkError::RecoveryId),
    }
}

/// The last 20 bytes of the hash of a key's coordinates.
pub(crate) fn address_of(key: &VerifyingKey) -> [u8; 20] {
    let [_, point @ ..] = secp256k1::uncompressed(key);
    let [_, _, _, _, _, _, _, _, _, _, _, _, address @ ..] = keccak256(&point);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses that EIP-55 gives as tests.
    #[test]
    fn addresses_are_written_as_eip55_says() {
        for address in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x27b1fdb04752bbc536007a920d24acb045561c26",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            assert_eq!(Account::parse("1", address).unwrap().address(), address);
        }
    }

    /// The example of `web3.eth.accounts.sign` in the documentation of web3.js.
    #[test]
    fn texts_are_hashed_and_signed_as_eip191_says() {
        let digest = message_digest("\u{19}Ethereum Signed Message:\n", "Some data");
        assert_eq!(
            hex::encode(&digest),
            "1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655"
        );
        let account = Account::parse("1", "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23").unwrap();
        let signature = "b91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd\
                         6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c";
        let signature: RecoverableSignature = signature.parse().unwrap();
        assert_eq!(account.verify("Some data", &signature), Ok(()));
        assert_eq!(account.verify("some data", &signature), Err(LinkError::OtherSigner));
    }
}
