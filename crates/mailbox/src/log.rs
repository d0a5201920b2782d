//! A node's log of what it was given to keep, and its signed heads.

use crate::descriptor::{MailboxTag, NONCE_BYTES};
use serde::{Deserialize, Serialize};
use tokenim_identity::{Node, NodeKey, NodeSigningKey, Signature, Statement};
use tokenim_wire::{
    Digest, EncodeError, EnvelopeId, Height, Label, NetworkId, Object, SetEpoch, UnixSeconds, hash, u64_newtype,
};

u64_newtype! {
    /// Counts a node's lives: registered on the ledger, and raised by a node that has lost what it stored.
    pub struct Incarnation(u64);
}

/// Which of a node's logs for a tag: there is one per set epoch and incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogId {
    /// The set epoch.
    pub set_epoch: SetEpoch,
    /// The node's incarnation.
    pub incarnation: Incarnation,
}

/// One line of a log. Expiry deletes the envelope, never the line.
///
/// ```text
/// leaf = H("tokenim/log-leaf/v1", index, 8 bytes big-endian ‖ envelope id, 32 ‖ expiry, 8 bytes big-endian)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its number in the log, from zero.
    pub index: u64,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// Until when the envelope is kept.
    pub expiry: UnixSeconds,
}

impl LogEntry {
    /// The label of leaves.
    pub const LABEL: Label = Label::new("tokenim/log-leaf/v1");

    /// The leaf of the log's [`mmr`](crate::mmr).
    #[must_use]
    pub fn leaf(&self) -> Digest {
        hash(
            Self::LABEL,
            &[
                &self.index.to_be_bytes(),
                self.envelope.as_bytes(),
                &self.expiry.get().to_be_bytes(),
            ],
        )
    }
}

/// A state of a log, and a line of it.
///
/// Along one log, the heights that a node signs never fall while the sizes grow: a store hands out each size with a
/// height that keeps to this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    /// The set epoch of the log.
    pub set_epoch: SetEpoch,
    /// The incarnation of the log.
    pub incarnation: Incarnation,
    /// The line that is meant; equal to `size` where it is the log as a whole.
    pub index: u64,
    /// Lines in the log.
    pub size: u64,
    /// The root of the log's [`mmr`](crate::mmr) with so many lines.
    pub root: Digest,
    /// A ledger height that the node had seen.
    pub height: Height,
}

impl LogPosition {
    /// Which log.
    #[must_use]
    pub const fn log(&self) -> LogId {
        LogId {
            set_epoch: self.set_epoch,
            incarnation: self.incarnation,
        }
    }
}

/// What a node says of its whole log when it answers a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadBody {
    /// The node.
    pub node: NodeKey,
    /// The mailbox.
    pub tag: MailboxTag,
    /// The log's state; its `index` equals its `size`.
    pub position: LogPosition,
    /// The nonce of the request that is answered.
    pub nonce: [u8; NONCE_BYTES],
}

impl Statement for HeadBody {
    type Signer = Node;
    const LABEL: Label = Label::new("tokenim/mailbox-head/v1");
}

/// A [`HeadBody`] with its node's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// What is signed.
    pub body: HeadBody,
    /// The node's signature.
    pub signature: Signature,
}

impl Object for SignedHead {
    const NAME: &'static str = "signed log head";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 256;
}

/// Why a signed head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Its index is not its size.
    #[error("the head is not about the whole log")]
    NotAHead,
    /// The signature is not the node's.
    #[error("the head's signature is not that of its node")]
    SignatureInvalid,
    /// It is of another node, of another mailbox, or answers another request.
    #[error("the head answers another request")]
    WrongRequest,
    /// The signing key is not the node's.
    #[error("the head names another node than the signing key's")]
    WrongKey,
    /// It could not be encoded for signing.
    #[error("the head could not be encoded: {0}")]
    Encode(#[from] EncodeError),
}

impl SignedHead {
    /// Signs a head.
    ///
    /// # Errors
    /// [`HeadError::NotAHead`], [`HeadError::WrongKey`], [`HeadError::Encode`].
    pub fn sign(network: &NetworkId, key: &NodeSigningKey, body: HeadBody) -> Result<Self, HeadError> {
        if body.position.index != body.position.size {
            return Err(HeadError::NotAHead);
        }
        if key.verifying_key() != body.node {
            return Err(HeadError::WrongKey);
        }
        let signature = key.sign(network, &body)?;
        Ok(Self { body, signature })
    }

    /// Checks form and signature (by ZIP-215, for a head may become evidence).
    ///
    /// # Errors
    /// [`HeadError::NotAHead`], [`HeadError::SignatureInvalid`].
    pub fn verify(&self, network: &NetworkId) -> Result<(), HeadError> {
        if self.body.position.index != self.body.position.size {
            return Err(HeadError::NotAHead);
        }
        self.body
            .node
            .verify_zip215(network, &self.body, &self.signature)
            .map_err(|_| HeadError::SignatureInvalid)
    }

    /// Checks that it is `node`'s answer to the request with this nonce about this mailbox, then as [`verify`](Self::verify).
    ///
    /// # Errors
    /// [`HeadError::WrongRequest`] and those of [`verify`](Self::verify).
    pub fn verify_answer(
        &self,
        network: &NetworkId,
        node: &NodeKey,
        tag: &MailboxTag,
        nonce: &[u8; NONCE_BYTES],
    ) -> Result<(), HeadError> {
        if self.body.node != *node || self.body.tag != *tag || self.body.nonce != *nonce {
            return Err(HeadError::WrongRequest);
        }
        self.verify(network)
    }
}
