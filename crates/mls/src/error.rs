//! Why something is refused, by blame.

use tokenim_identity::SignatureError;
use tokenim_wire::{DecodeError, EncodeError};

/// Why a leaf certificate is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The credential is of another type.
    #[error("the credential is not a leaf certificate")]
    Type,
    /// It does not decode.
    #[error("the leaf certificate is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// It names another leaf key than the one that it stands beside.
    #[error("the leaf certificate is for another leaf key")]
    Leaf,
    /// It is for another suite.
    #[error("the leaf certificate is for another suite")]
    Suite,
    /// It expires before it is made, or too long after.
    #[error("the lifetime of the leaf certificate is out of bounds")]
    Lifetime,
    /// It is made in the future.
    #[error("the leaf certificate is not valid yet")]
    NotYetValid,
    /// It has expired.
    #[error("the leaf certificate has expired")]
    Expired,
    /// Its signature is not the device's.
    #[error("the leaf certificate is not signed by its device")]
    Signature,
    /// A member may not become another one.
    #[error("the leaf certificate is another device's than the leaf's before")]
    Successor,
}

impl From<SignatureError> for CertificateError {
    fn from(_: SignatureError) -> Self {
        Self::Signature
    }
}

/// Why something is not allowed although it is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Forbidden {
    /// A message that is not encrypted to the members: an external commit or proposal, or a member's in the clear.
    #[error("a message in the clear")]
    InTheClear,
    /// A proposal by itself, which a commit would refer to.
    #[error("a proposal outside of a commit")]
    ByReference,
    /// A proposal other than add, remove and a new context.
    #[error("a proposal of a kind that is not used here")]
    Proposal,
    /// An extension that is not used here, or the session's own one missing.
    #[error("an extension that is not used here")]
    Extension,
    /// More leaves than there is room for.
    #[error("more leaves than a session has room for")]
    TooMany,
    /// It breaks a rule of RFC 9420: somebody twice, a leaf that does not exist, a commit without the path it needs.
    #[error("it breaks a rule of MLS")]
    Rule,
}

/// Why a session refuses something. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The bytes are not what belongs there, or are too long.
    #[error("the bytes are not an MLS message of the expected kind")]
    Malformed,
    /// It is of a suite that is unknown here, or not the session's.
    #[error("the suite is another one")]
    Suite,
    /// It is of another session.
    #[error("it is of another session")]
    Session,
    /// It is of an epoch that is not known here: over too long ago, or not reached yet.
    #[error("it is of epoch {found}; the current one is {current}")]
    Epoch {
        /// Its epoch.
        found: u64,
        /// The session's.
        current: u64,
    },
    /// Its author is this very leaf.
    #[error("it was made by this device itself")]
    Own,
    /// It was opened before, or another in its place.
    #[error("it was opened before")]
    Replayed,
    /// It is too far ahead of what was opened last from its author.
    #[error("too many messages of its author before it are missing")]
    TooFarAhead,
    /// Its author is no member any more.
    #[error("its author is not a member")]
    NotAMember,
    /// It does not open, or a signature or tag in it does not hold.
    #[error("it does not open")]
    Forged,
    /// A commit whose new secrets are not for this leaf, or not those of its public keys. Other members may be able to
    /// follow it: its author has shut this leaf out.
    #[error("the commit shuts this leaf out")]
    Path,
    /// A commit whose new secrets are for a key of the tree that this leaf ought to have and has not: whoever sent its
    /// Welcome kept that back. The author of the commit has done nothing wrong, and others can follow it.
    #[error("the Welcome of this leaf has kept back a key")]
    NoKey,
    /// It is genuine, but not allowed.
    #[error("it is not allowed: {0}")]
    Forbidden(#[from] Forbidden),
    /// A leaf in it is not vouched for.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A Welcome for another key package.
    #[error("the Welcome is not for this key package")]
    NotForUs,
    /// A commit of nothing.
    #[error("the commit would change nothing")]
    Empty,
    /// There is no such leaf.
    #[error("there is no leaf {0}")]
    NoLeaf(u32),
    /// The context of the session is too long.
    #[error("the context of the session is too long")]
    Context,
    /// What this device kept does not decode.
    #[error("the kept state is damaged")]
    State,
    /// Something of this device's own has no encoding, or the protocol library failed where it can't.
    #[error("a local fault")]
    Local,
}

impl From<EncodeError> for SessionError {
    fn from(_: EncodeError) -> Self {
        Self::Local
    }
}
