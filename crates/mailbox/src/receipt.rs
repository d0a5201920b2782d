//! Storage receipts of single nodes, and the quorum receipt that W of them make.

use crate::{
    descriptor::MailboxTag,
    log::{Incarnation, LogPosition},
    placement::{NodeSet, swarm},
    quorum::Quorum,
};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tokenim_identity::{Node, NodeKey, NodeSigningKey, Signature, Statement};
use tokenim_wire::{
    BoundedVec, Digest, EncodeError, EnvelopeId, Hasher, Height, Label, NetworkId, Object, SetEpoch, UnixSeconds,
    limits::REPLICAS_MAX,
};

/// What a node promises: to keep an envelope until its expiry, as the line of its log that `position` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageReceiptBody {
    /// The node.
    pub node: NodeKey,
    /// The mailbox.
    pub tag: MailboxTag,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// Until when it is kept.
    pub expiry: UnixSeconds,
    /// Its line, and the log right after that line was added.
    pub position: LogPosition,
}

impl Statement for StorageReceiptBody {
    type Signer = Node;
    const LABEL: Label = Label::new("tokenim/storage-receipt/v1");
}

/// A [`StorageReceiptBody`] with its node's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageReceipt {
    /// What is signed.
    pub body: StorageReceiptBody,
    /// The node's signature.
    pub signature: Signature,
}

impl Object for StorageReceipt {
    const NAME: &'static str = "storage receipt";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 256;
}

/// Why a receipt is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The line is not below the size of the log.
    #[error("the receipt names a line that its log does not have")]
    IndexOutOfLog,
    /// Issuers are not in ascending order, or one comes twice.
    #[error("the issuers are not in ascending order, each once")]
    IssuersNotAscending,
    /// Fewer issuers than W.
    #[error("{actual} issuers, {needed} are needed")]
    TooFewIssuers {
        /// W.
        needed: usize,
        /// Their number.
        actual: usize,
    },
    /// More issuers than R.
    #[error("{actual} issuers, but only {replicas} nodes keep a mailbox")]
    TooManyIssuers {
        /// R.
        replicas: usize,
        /// Their number.
        actual: usize,
    },
    /// An issuer is beyond the node set.
    #[error("the issuer {member} is not in the node set")]
    MemberOutOfRange {
        /// The index named.
        member: u16,
    },
    /// It is of another set epoch.
    #[error("the receipt is of set epoch {actual}, not {expected}")]
    ForeignSetEpoch {
        /// The epoch of the node set at hand.
        expected: SetEpoch,
        /// The epoch named.
        actual: SetEpoch,
    },
    /// A signature is not its node's.
    #[error("a receipt's signature is not that of its node")]
    SignatureInvalid,
    /// An issuer does not keep this mailbox.
    #[error("an issuer is not among the nodes that keep this mailbox")]
    NotInSwarm,
    /// The receipts to be assembled are not about the same envelope, mailbox, expiry and set epoch.
    #[error("the receipts are not about the same envelope")]
    DifferentSubjects,
    /// The receipt's node is not in the node set.
    #[error("the receipt's node is not in the node set")]
    UnknownNode,
    /// No key was given for an issuer.
    #[error("no key was given for the issuer {member}")]
    KeyMissing {
        /// The index named.
        member: u16,
    },
    /// The signing key is not the node's.
    #[error("the receipt names another node than the signing key's")]
    WrongKey,
    /// It could not be encoded for signing.
    #[error("the receipt could not be encoded: {0}")]
    Encode(#[from] EncodeError),
}

impl StorageReceipt {
    /// Signs a receipt. Only for an envelope that is durably stored.
    ///
    /// # Errors
    /// [`ReceiptError::IndexOutOfLog`], [`ReceiptError::WrongKey`], [`ReceiptError::Encode`].
    pub fn sign(network: &NetworkId, key: &NodeSigningKey, body: StorageReceiptBody) -> Result<Self, ReceiptError> {
        if body.position.index >= body.position.size {
            return Err(ReceiptError::IndexOutOfLog);
        }
        if key.verifying_key() != body.node {
            return Err(ReceiptError::WrongKey);
        }
        let signature = key.sign(network, &body)?;
        Ok(Self { body, signature })
    }

    /// Checks form and signature, by ZIP-215, for all must agree on receipts.
    ///
    /// # Errors
    /// [`ReceiptError::IndexOutOfLog`], [`ReceiptError::SignatureInvalid`].
    pub fn verify(&self, network: &NetworkId) -> Result<(), ReceiptError> {
        if self.body.position.index >= self.body.position.size {
            return Err(ReceiptError::IndexOutOfLog);
        }
        self.body
            .node
            .verify_zip215(network, &self.body, &self.signature)
            .map_err(|_| ReceiptError::SignatureInvalid)
    }
}

/// What one node adds to a [`QuorumReceipt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// The node: its index in the node set.
    pub member: u16,
    /// The incarnation of its log.
    pub incarnation: Incarnation,
    /// The line of its log.
    pub index: u64,
    /// Lines in its log.
    pub size: u64,
    /// The root of its log.
    pub root: Digest,
    /// A ledger height that it had seen.
    pub height: Height,
    /// Its signature of the [`StorageReceiptBody`].
    pub signature: Signature,
}

/// At least W storage receipts for one envelope, what they have in common once. From here on the envelope is
/// *accepted*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumReceipt {
    /// The mailbox.
    pub tag: MailboxTag,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// Until when it is kept.
    pub expiry: UnixSeconds,
    /// The set epoch whose node set the issuers are indices of.
    pub set_epoch: SetEpoch,
    /// The issuers, ascending by member, each once.
    pub issuers: BoundedVec<Issuer, REPLICAS_MAX>,
}

impl Object for QuorumReceipt {
    const NAME: &'static str = "quorum receipt";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 800;
}

/// An accepted envelope: what a [`QuorumReceipt`] says once it is verified. Nothing else makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The mailbox.
    pub tag: MailboxTag,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// Until when it is kept.
    pub expiry: UnixSeconds,
    /// The set epoch of the issuers.
    pub set_epoch: SetEpoch,
    /// See [`Accepted::signed_height`].
    signed_height: Height,
}

impl Accepted {
    /// The time of the envelope's signature, as a ledger height: the lowest height `h` such that f+1 issuers signed a
    /// height of at most `h`, that is the (f+1)-th lowest of the issuers' heights.
    ///
    /// At least one of these f+1 is honest, so the envelope existed at `h`; and as at most f lie, `h` is neither below
    /// the lowest height of an honest issuer nor above the (f+1)-th lowest. The sender's device must be live at `h`.
    #[must_use]
    pub const fn signed_height(&self) -> Height {
        self.signed_height
    }
}

impl QuorumReceipt {
    /// The label of leaves.
    pub const LEAF_LABEL: Label = Label::new("tokenim/quorum-receipt/v1");

    /// Joins receipts of the swarm's nodes into one. Takes W of them, those of the lowest members, since more would
    /// only make it longer. The receipts have been [verified](StorageReceipt::verify) one by one before.
    ///
    /// # Errors
    /// [`ReceiptError::DifferentSubjects`], [`ReceiptError::ForeignSetEpoch`], [`ReceiptError::UnknownNode`],
    /// [`ReceiptError::NotInSwarm`], [`ReceiptError::IndexOutOfLog`], [`ReceiptError::IssuersNotAscending`] for two
    /// receipts of a node, [`ReceiptError::TooFewIssuers`].
    pub fn assemble(set: &NodeSet, receipts: &[StorageReceipt]) -> Result<Self, ReceiptError> {
        let needed = usize::from(set.quorum().write);
        let first = receipts
            .first()
            .ok_or(ReceiptError::TooFewIssuers { needed, actual: 0 })?
            .body;
        let keepers = swarm(set, &first.tag);
        let mut issuers = Vec::with_capacity(receipts.len().min(REPLICAS_MAX));
        for StorageReceipt { body, signature } in receipts {
            if (body.tag, body.envelope, body.expiry) != (first.tag, first.envelope, first.expiry) {
                return Err(ReceiptError::DifferentSubjects);
            }
            let position = &body.position;
            if position.set_epoch != set.epoch() {
                return Err(ReceiptError::ForeignSetEpoch {
                    expected: set.epoch(),
                    actual: position.set_epoch,
                });
            }
            if position.index >= position.size {
                return Err(ReceiptError::IndexOutOfLog);
            }
            let member = set.index_of(&body.node).ok_or(ReceiptError::UnknownNode)?;
            if !keepers.iter().any(|keeper| keeper.key == body.node) {
                return Err(ReceiptError::NotInSwarm);
            }
            if issuers.iter().any(|issuer: &Issuer| issuer.member == member) {
                return Err(ReceiptError::IssuersNotAscending);
            }
            issuers.push(Issuer {
                member,
                incarnation: position.incarnation,
                index: position.index,
                size: position.size,
                root: position.root,
                height: position.height,
                signature: *signature,
            });
        }
        let actual = issuers.len();
        if actual < needed {
            return Err(ReceiptError::TooFewIssuers { needed, actual });
        }
        issuers.sort_unstable_by_key(|issuer| issuer.member);
        issuers.truncate(needed);
        Ok(Self {
            tag: first.tag,
            envelope: first.envelope,
            expiry: first.expiry,
            set_epoch: set.epoch(),
            issuers: BoundedVec::try_from(issuers).map_err(|error| ReceiptError::TooManyIssuers {
                replicas: error.limit,
                actual: error.actual,
            })?,
        })
    }

    /// What issuer `issuer` signed, if its key is `node`.
    #[must_use]
    pub const fn body_of(&self, issuer: &Issuer, node: NodeKey) -> StorageReceiptBody {
        StorageReceiptBody {
            node,
            tag: self.tag,
            envelope: self.envelope,
            expiry: self.expiry,
            position: LogPosition {
                set_epoch: self.set_epoch,
                incarnation: issuer.incarnation,
                index: issuer.index,
                size: issuer.size,
                root: issuer.root,
                height: issuer.height,
            },
        }
    }

    /// Checks the receipt against a node set of which only its epoch, its size and some members are known: those that a
    /// proof has shown to be at these indices. Every issuer must be valid: in range, each once and ascending, its key
    /// among `members`, its signature valid by ZIP-215; and there are at least W and at most R of them for `set_size`
    /// nodes.
    ///
    /// That the issuers keep this very mailbox takes the whole set: [`verify_in`](Self::verify_in).
    ///
    /// # Errors
    /// [`ReceiptError`]; signatures are checked last.
    pub fn verify(
        &self,
        network: &NetworkId,
        set_epoch: SetEpoch,
        set_size: usize,
        members: &[(u16, NodeKey)],
    ) -> Result<Accepted, ReceiptError> {
        if self.set_epoch != set_epoch {
            return Err(ReceiptError::ForeignSetEpoch {
                expected: set_epoch,
                actual: self.set_epoch,
            });
        }
        let quorum = Quorum::for_nodes(set_size);
        let (needed, replicas) = (usize::from(quorum.write), usize::from(quorum.replicas));
        let actual = self.issuers.len();
        if actual < needed {
            return Err(ReceiptError::TooFewIssuers { needed, actual });
        }
        if actual > replicas {
            return Err(ReceiptError::TooManyIssuers { replicas, actual });
        }
        let mut signed: Vec<(StorageReceiptBody, &Signature)> = Vec::with_capacity(actual);
        let mut previous = None;
        for issuer in &self.issuers {
            let member = issuer.member;
            if previous.is_some_and(|previous| previous >= member) {
                return Err(ReceiptError::IssuersNotAscending);
            }
            previous = Some(member);
            if usize::from(member) >= set_size {
                return Err(ReceiptError::MemberOutOfRange { member });
            }
            if issuer.index >= issuer.size {
                return Err(ReceiptError::IndexOutOfLog);
            }
            let (_, node) = members
                .iter()
                .find(|(index, _)| *index == member)
                .ok_or(ReceiptError::KeyMissing { member })?;
            if signed.iter().any(|(body, _)| body.node == *node) {
                return Err(ReceiptError::IssuersNotAscending);
            }
            signed.push((self.body_of(issuer, *node), &issuer.signature));
        }
        for (body, signature) in &signed {
            body.node
                .verify_zip215(network, body, signature)
                .map_err(|_| ReceiptError::SignatureInvalid)?;
        }
        let mut heights: Vec<Height> = self.issuers.iter().map(|issuer| issuer.height).collect();
        heights.sort_unstable();
        let signed_height = heights
            .get(usize::from(quorum.faulty))
            .copied()
            .ok_or(ReceiptError::TooFewIssuers { needed, actual })?;
        Ok(Accepted {
            tag: self.tag,
            envelope: self.envelope,
            expiry: self.expiry,
            set_epoch,
            signed_height,
        })
    }

    /// Checks the receipt against a whole node set: as [`verify`](Self::verify), and that every issuer is of the swarm
    /// that keeps the mailbox.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn verify_in(&self, network: &NetworkId, set: &NodeSet) -> Result<Accepted, ReceiptError> {
        let keepers = swarm(set, &self.tag);
        let mut members = Vec::with_capacity(self.issuers.len());
        for issuer in &self.issuers {
            let member = issuer.member;
            let node = set.get(member).ok_or(ReceiptError::MemberOutOfRange { member })?.key;
            members.push((member, node));
        }
        // Before the swarm, so that a receipt of another set is called that.
        if self.set_epoch == set.epoch()
            && members
                .iter()
                .any(|(_, node)| !keepers.iter().any(|keeper| keeper.key == *node))
        {
            return Err(ReceiptError::NotInSwarm);
        }
        self.verify(network, set.epoch(), set.len(), &members)
    }

    /// The leaf under which the ledger commits to this receipt. It hides what it is about.
    ///
    /// ```text
    /// H("tokenim/quorum-receipt/v1", tag 32 ‖ envelope 32 ‖ expiry 8 ‖ set epoch 8 ‖ issuers, their number 1 ‖
    ///   for each: member 2 ‖ incarnation 8 ‖ index 8 ‖ size 8 ‖ root 32 ‖ height 8 ‖ signature 64)
    /// ```
    /// with all numbers big-endian.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        // At most REPLICAS_MAX.
        let count = self.issuers.len().to_le_bytes()[0];
        let hasher = Hasher::new(Self::LEAF_LABEL)
            .update(self.tag.as_bytes())
            .update(self.envelope.as_bytes())
            .update(&self.expiry.get().to_be_bytes())
            .update(&self.set_epoch.get().to_be_bytes())
            .update(&[count]);
        self.issuers
            .iter()
            .fold(hasher, |hasher, issuer| {
                hasher
                    .update(&issuer.member.to_be_bytes())
                    .update(&issuer.incarnation.get().to_be_bytes())
                    .update(&issuer.index.to_be_bytes())
                    .update(&issuer.size.to_be_bytes())
                    .update(issuer.root.as_bytes())
                    .update(&issuer.height.get().to_be_bytes())
                    .update(issuer.signature.as_bytes())
            })
            .finish()
    }
}
