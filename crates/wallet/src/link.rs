//! Judging a signature.

use crate::{AntelopeKey, LinkStatement, WalletSignature, account::Inner, chains::antelope};
use core::fmt;

/// Why a signature does not link an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// A signature of another kind than this account's wallets make.
    #[error("the signature is of another kind than this account's")]
    Kind,
    /// The byte that says how to recover the key is none of those allowed.
    #[error("the signature has a recovery id or header byte that is not allowed")]
    RecoveryId,
    /// The witness is not that of a single key.
    #[error("the witness is not that of an address of a single key")]
    Witness,
    /// Not in its one canonical form: a number out of range, the higher of two values for `s`, other than strict DER,
    /// another kind of signature hash.
    #[error("the signature is not in its canonical form")]
    NotCanonical,
    /// By another account, or over another text: when keys are recovered from signatures, the two look alike.
    #[error("the signature is by another account, or over another text")]
    OtherSigner,
    /// It does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// A kind that this build doesn't verify.
    #[error("sr25519 is not verified in this build (feature sr25519)")]
    Unsupported,
}

/// What a link proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proof {
    /// Who signed has the key that the address was made of. On chains where an account can change its keys (TRON,
    /// Aptos), it may no longer have a say in it.
    Account,
    /// Who signed has this key; whether it is one of the named account's, only the account's chain can tell.
    Key(AntelopeKey),
}

/// A statement with a signature that was verified.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedLink {
    statement: LinkStatement,
    signature: WalletSignature,
}

impl VerifiedLink {
    /// What was signed.
    #[must_use]
    pub const fn statement(&self) -> &LinkStatement {
        &self.statement
    }

    /// The signature.
    #[must_use]
    pub const fn signature(&self) -> &WalletSignature {
        &self.signature
    }

    /// What it proves.
    #[must_use]
    pub const fn proof(&self) -> Proof {
        match &self.signature {
            WalletSignature::Antelope { key, .. } => Proof::Key(*key),
            _ => Proof::Account,
        }
    }
}

impl fmt::Debug for VerifiedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedLink(..)")
    }
}

/// Verifies that the account's wallet signed the statement.
///
/// # Errors
/// [`LinkError`] if it did not.
pub fn verify(statement: &LinkStatement, signature: &WalletSignature) -> Result<VerifiedLink, LinkError> {
    let text = statement.text();
    match (statement.account().inner(), signature) {
        (Inner::Evm(account), WalletSignature::Evm(signature)) => account.verify(&text, signature),
        (Inner::Tron(account), WalletSignature::Tron(signature)) => account.verify(&text, signature),
        (Inner::Bitcoin(account), WalletSignature::BitcoinMessage(signature)) => {
            account.verify_message(&text, signature)
        }
        (Inner::Bitcoin(account), WalletSignature::Bip322(witness)) => account.verify_witness(&text, witness),
        (Inner::Solana(account), WalletSignature::Solana(signature)) => account.verify(&text, signature),
        (Inner::Aptos(account), WalletSignature::Aptos { key, signature }) => {
            account.verify(&text, &statement.nonce_text(), key, signature)
        }
        (Inner::Polkadot(account), WalletSignature::PolkadotEd25519(signature)) => {
            account.verify_ed25519(&text, signature)
        }
        (Inner::Polkadot(account), WalletSignature::PolkadotSr25519(signature)) => {
            account.verify_sr25519(&text, signature)
        }
        (Inner::Antelope(_), WalletSignature::Antelope { key, signature }) => {
            antelope::Account::verify(&text, key, signature)
        }
        _ => Err(LinkError::Kind),
    }?;
    Ok(VerifiedLink {
        statement: statement.clone(),
        signature: signature.clone(),
    })
}
