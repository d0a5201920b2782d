//! What to tell the owner of a wallet.

use crate::{LinkStatement, account::Inner, signature};
use alloc::{format, string::String};

/// How to have a statement signed, for a person to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What the wallet is to sign, byte for byte, without a line break at its end.
    pub text: String,
    /// What to ask of the wallet.
    pub how: String,
    /// The form of its answer, as [`WalletSignature::parse`](crate::WalletSignature::parse) reads it.
    pub answer: &'static str,
    /// What the answer proves, and what it doesn't.
    pub proves: &'static str,
}

/// Explains how to have a statement signed.
#[must_use]
pub fn explain(statement: &LinkStatement) -> Explanation {
    let (how, proves) = match statement.account().inner() {
        Inner::Evm(_) => (
            "sign it as a message (personal_sign, EIP-191)",
            "that its signer has the account's key; contract wallets (EIP-1271) can't be linked",
        ),
        Inner::Tron(_) => (
            "sign it as a message (signMessageV2, TIP-191)",
            "that its signer has the key that the account was made with; its permissions may have changed since",
        ),
        Inner::Bitcoin(account) if account.is_segwit() => (
            "sign it as a message (BIP-322, simple)",
            "that its signer can spend what is sent to the address",
        ),
        Inner::Bitcoin(_) => (
            "sign it as a message (signmessage, legacy format)",
            "that its signer can spend what is sent to the address",
        ),
        Inner::Solana(_) => (
            "sign it as a message (signMessage: Ed25519 over the text itself)",
            "that its signer has the account's key",
        ),
        Inner::Aptos(_) => (
            "sign it with signMessage, without address, application and chain id",
            "that its signer has the key that the account was made with; it may have another one since",
        ),
        Inner::Polkadot(_) => (
            "sign it as raw bytes (signRaw: the wallet puts <Bytes> and </Bytes> around it)",
            "that its signer has the account's key",
        ),
        Inner::Antelope(_) => (
            "sign it with a key of the account (arbitrary signature over the SHA-256 of the text)",
            "that its signer has the key shown; whether the key is the account's, only its chain can tell",
        ),
    };
    let nonce = match statement.account().inner() {
        Inner::Aptos(_) => format!("; the nonce asked for is {}", statement.nonce_text()),
        _ => String::new(),
    };
    Explanation {
        text: statement.text(),
        how: format!("{how}{nonce}"),
        answer: signature::expected(statement.account()),
        proves,
    }
}
