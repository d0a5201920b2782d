//! Text forms that several chains share.

use alloc::{format, string::String, vec::Vec};
use sha2::{Digest as _, Sha256};
use tokenim_wire::hex;

/// SHA-256, once.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// SHA-256 of SHA-256.
pub(crate) fn sha256d(parts: &[&[u8]]) -> [u8; 32] {
    sha256(&[&sha256(parts)])
}

/// The bytes of hexadecimal digits of either case, with or without `0x`; exactly `N` of them.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    hex::decode(&digits.to_ascii_lowercase())?.try_into().ok()
}

/// `0x` and lower-case hexadecimal digits.
pub(crate) fn hex_0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// The bytes of a base58 text; `None` for another character, or for another number of bytes than `N`.
pub(crate) fn parse_base58<const N: usize>(text: &str) -> Option<[u8; N]> {
    // A byte takes at most 1.37 characters and at least one.
    if text.len() < N || text.len() > N.checked_mul(2)? {
        return None;
    }
    bs58::decode(text).into_vec().ok()?.try_into().ok()
}

/// The base58 text of bytes.
pub(crate) fn base58(bytes: &[u8]) -> String {
    bs58::encode(bytes).into_string()
}

/// What a base58check text holds.
pub(crate) enum Base58Check<const N: usize> {
    /// The version byte and the content, the checksum being right.
    Valid(u8, [u8; N]),
    /// The right length, a wrong checksum.
    Mistyped,
    /// Not base58, or not this long.
    Malformed,
}

/// Reads a version byte, `N` bytes of content and four of checksum: the first of a double SHA-256.
pub(crate) fn parse_base58check<const N: usize>(text: &str) -> Base58Check<N> {
    if text.len() > N.saturating_add(5).saturating_mul(2) {
        return Base58Check::Malformed;
    }
    let Ok(bytes) = bs58::decode(text).into_vec() else {
        return Base58Check::Malformed;
    };
    let Some((payload, checksum)) = bytes.split_last_chunk::<4>() else {
        return Base58Check::Malformed;
    };
    let Some((version, content)) = payload.split_first() else {
        return Base58Check::Malformed;
    };
    let Ok(content) = <[u8; N]>::try_from(content) else {
        return Base58Check::Malformed;
    };
    if sha256d(&[payload]).starts_with(checksum) {
        Base58Check::Valid(*version, content)
    } else {
        Base58Check::Mistyped
    }
}

/// Writes what [`parse_base58check`] reads.
pub(crate) fn base58check(version: u8, content: &[u8]) -> String {
    let mut bytes: Vec<u8> = [&[version], content].concat();
    let checksum = sha256d(&[&bytes]);
    bytes.extend(checksum.iter().take(4));
    base58(&bytes)
}

/// A decimal number without leading zeros, not zero.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if canonical { text.parse().ok() } else { None }
}
