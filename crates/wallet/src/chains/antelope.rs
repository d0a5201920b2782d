//! EOS and the other chains of the Antelope software: `antelope`.
//!
//! Address: a name of up to 13 characters, which no key follows from. Signature: recoverable ECDSA over the SHA-256 of
//! the text (`SIG_K1_…`).

use super::{Named, secp256k1};
use crate::{AntelopeKey, LinkError, ParseAccountError, RecoverableSignature, text};
use alloc::string::String;
use tokenim_wire::{BoundedString, hex};

/// The longest run of characters without a space that these wallets sign.
const WORD_BYTES_MAX: usize = 12;

/// A named account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Account {
    /// The first half of the chain id.
    chain: [u8; 16],
    name: BoundedString<13>,
}

impl Account {
    pub(crate) fn parse(reference: &str, address: &str) -> Result<Self, ParseAccountError> {
        let chain = hex::decode(reference)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(ParseAccountError::Chain)?;
        let name = BoundedString::try_from(address).map_err(|_| ParseAccountError::Address)?;
        // The first twelve characters have five bits each, the last one four.
        let valid = name.bytes().enumerate().all(|(place, byte)| match byte {
            b'1'..=b'5' | b'a'..=b'j' | b'.' => true,
            b'k'..=b'z' => place < 12,
            _ => false,
        });
        if !valid || name.is_empty() || name.ends_with('.') {
            return Err(ParseAccountError::Address);
        }
        Ok(Self { chain, name })
    }

    /// Checks that the key signed the text. That the key is one of the account's only the chain can tell.
    pub(crate) fn verify(text: &str, key: &AntelopeKey, signature: &RecoverableSignature) -> Result<(), LinkError> {
        let (header, rs) = signature.as_bytes().split_first().ok_or(LinkError::RecoveryId)?;
        let id = match header {
            31..=34 => header.wrapping_sub(31),
            _ => return Err(LinkError::RecoveryId),
        };
        if !is_canonical(rs) {
            return Err(LinkError::NotCanonical);
        }
        let recovered = secp256k1::recover(&text::sha256(&[text.as_bytes()]), rs, id)?;
        if secp256k1::compressed(&recovered) == *key.as_bytes() {
            Ok(())
        } else {
            Err(LinkError::OtherSigner)
        }
    }
}

/// The rule of these chains: neither `r` nor `s` has its top bit set, nor a leading zero byte that it could do without.
fn is_canonical(rs: &[u8]) -> bool {
    let (halves, rest) = rs.as_chunks::<32>();
    rest.is_empty()
        && halves
            .iter()
            .all(|[first, second, ..]| first & 0x80 == 0 && (*first != 0 || second & 0x80 != 0))
}

/// The text on one line, with a space after every twelfth character of a longer word: these wallets sign no longer
/// words, lest a hash be passed off as a text.
pub(crate) fn reflow(text: &str) -> String {
    let mut out = String::new();
    let mut word = 0_usize;
    for character in text.chars() {
        if matches!(character, ' ' | '\n') {
            word = 0;
            out.push(' ');
            continue;
        }
        if word == WORD_BYTES_MAX {
            word = 0;
            out.push(' ');
        }
        word = word.saturating_add(1);
        out.push(character);
    }
    out
}

impl Named for Account {
    fn reference(&self) -> String {
        hex::encode(&self.chain)
    }

    fn address(&self) -> String {
        self.name.as_str().into()
    }

    fn ecosystem(&self) -> &'static str {
        "Antelope"
    }
}

/// Base58 with four bytes of RIPEMD-160 over content and suffix at the end.
pub(crate) fn write_checked(out: &mut impl core::fmt::Write, content: &[u8]) -> core::fmt::Result {
    let checksum = secp256k1::ripemd160(&[content, b"K1"]);
    let mut bytes = content.to_vec();
    bytes.extend(checksum.iter().take(4));
    out.write_str(&text::base58(&bytes))
}

/// Reads what [`write_checked`] writes; `None` too if the checksum is wrong. `N` is the length with checksum.
pub(crate) fn parse_checked<const N: usize, const CONTENT: usize>(text: &str, suffix: &[u8]) -> Option<[u8; CONTENT]> {
    let bytes: [u8; N] = text::parse_base58(text)?;
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    if !secp256k1::ripemd160(&[content, suffix]).starts_with(checksum) {
        return None;
    }
    content.try_into().ok()
}

/// `SIG_K1_…`
pub(crate) fn signature_text(signature: &RecoverableSignature) -> String {
    let mut out = String::from("SIG_K1_");
    // Writing to a String cannot fail.
    let _ = write_checked(&mut out, signature.as_bytes());
    out
}

/// Reads `SIG_K1_…`.
pub(crate) fn parse_signature(text: &str) -> Option<RecoverableSignature> {
    parse_checked::<69, 65>(text.strip_prefix("SIG_K1_")?, b"K1").map(RecoverableSignature::from_bytes)
}
