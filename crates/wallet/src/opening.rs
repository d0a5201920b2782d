//! What the ledger keeps of a link, and what opens it.

use crate::{LinkError, LinkStatement, VerifiedLink, WalletSignature, verify};
use core::fmt;
use serde::{Deserialize, Serialize};
use tokenim_identity::{CryptoRng, IdentityId};
use tokenim_wire::{Digest, EncodeError, Label, NetworkId, Object, hash_object, limits::LINK_OPENING_BYTES_MAX};

/// A link with the salt of its commitment: what someone shows to those who shall know of it.
///
/// ```text
/// commitment = H("tokenim/account-link/v1", bytes after the version)
///
/// ┌─────────┬──────────┬───────────┬──────────────────────────┐
/// │ version │ salt     │ statement │ signature                │
/// │ 1       │ 32 bytes │           │ kind, varint; its fields │
/// └─────────┴──────────┴───────────┴──────────────────────────┘
/// ```
///
/// The identity's record names the commitment alone. Its salt is random, so the commitment tells nothing of account or
/// statement, and the same link committed to twice gives two commitments that nobody can match.
///
/// Not to be logged: it tells whose account it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    salt: [u8; 32],
    statement: LinkStatement,
    signature: WalletSignature,
}

impl Object for Opening {
    const NAME: &'static str = "opening of an account link";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = LINK_OPENING_BYTES_MAX;
}

/// Why an opening shows no link of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// Of another network.
    #[error("the link is one of another network")]
    WrongNetwork,
    /// Of another identity.
    #[error("the link is one of another identity")]
    WrongIdentity,
    /// The identity never committed to it, or has withdrawn it.
    #[error("the identity has no such link")]
    NotLinked,
    /// The account's wallet did not sign it.
    #[error(transparent)]
    Link(#[from] LinkError),
}

impl Opening {
    /// The label under which openings are hashed to commitments.
    pub const LABEL: Label = Label::new("tokenim/account-link/v1");

    /// The opening of a link under a fresh salt.
    #[must_use]
    pub fn new(link: &VerifiedLink, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        Self {
            salt,
            statement: link.statement().clone(),
            signature: link.signature().clone(),
        }
    }

    /// What the identity's record commits to.
    ///
    /// # Errors
    /// [`EncodeError`], which a value of this type does not meet.
    pub fn commitment(&self) -> Result<Digest, EncodeError> {
        hash_object(Self::LABEL, self)
    }

    /// What the account's wallet is said to have signed; verified by [`Opening::verify`] only.
    #[must_use]
    pub const fn statement(&self) -> &LinkStatement {
        &self.statement
    }

    /// Checks that the link is one of an identity in a network: `links` are the commitments in the identity's proven
    /// state, and so counter-signed by its root.
    ///
    /// # Errors
    /// [`OpeningError`], in the order in which its variants are listed.
    pub fn verify(
        &self,
        network: &NetworkId,
        identity: &IdentityId,
        links: &[Digest],
    ) -> Result<VerifiedLink, OpeningError> {
        if self.statement.network() != network {
            return Err(OpeningError::WrongNetwork);
        }
        if self.statement.identity() != identity {
            return Err(OpeningError::WrongIdentity);
        }
        match self.commitment() {
            Ok(commitment) if links.contains(&commitment) => {}
            _ => return Err(OpeningError::NotLinked),
        }
        Ok(verify(&self.statement, &self.signature)?)
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening(..)")
    }
}
