//! Requests to write and read, and what a node checks before it obeys.

use crate::{
    contact::ContactError,
    descriptor::{Descriptor, MailboxTag, NONCE_BYTES, WritePolicy},
    postage::{Postage, PostageBits, check_postage},
};
use serde::{Deserialize, Serialize};
use tokenim_identity::{Mailbox, NodeKey, Signature, Statement};
use tokenim_wire::{
    EnvelopeId, Label, NetworkId, UnixSeconds,
    limits::{CLOCK_SKEW_SECONDS_MAX, ENVELOPE_LIFETIME_SECONDS_MAX, REQUEST_LIFETIME_SECONDS_MAX},
};

/// A request to keep an envelope. It comes with a [`WriteAuthority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteRequest {
    /// The node that is asked.
    pub node: NodeKey,
    /// The mailbox.
    pub tag: MailboxTag,
    /// The envelope.
    pub envelope: EnvelopeId,
    /// Until when the envelope is kept. The node compares it with the one in the envelope's header.
    pub envelope_expiry: UnixSeconds,
    /// Until when the request is valid.
    pub expiry: UnixSeconds,
    /// Makes requests differ.
    pub nonce: [u8; NONCE_BYTES],
}

impl Statement for WriteRequest {
    type Signer = Mailbox;
    const LABEL: Label = Label::new("tokenim/mailbox-write/v1");
}

/// What gives the right to write to a mailbox.
///
/// The position of a variant is its number on the wire: it never changes, and new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteAuthority {
    /// A proof of work, where anyone may write: [`WritePolicy::Open`].
    Postage(Postage),
    /// A signature of the [`WriteRequest`] by the write key: [`WritePolicy::Key`].
    Signature(Signature),
}

/// A request to read a mailbox, signed with its read key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRequest {
    /// The node that is asked.
    pub node: NodeKey,
    /// The mailbox.
    pub tag: MailboxTag,
    /// The first arrival number wanted, on this node; zero for all.
    pub from: u64,
    /// Until when the request is valid.
    pub expiry: UnixSeconds,
    /// Makes requests differ; the signed head in the answer repeats it.
    pub nonce: [u8; NONCE_BYTES],
}

impl Statement for ReadRequest {
    type Signer = Mailbox;
    const LABEL: Label = Label::new("tokenim/mailbox-read/v1");
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapabilityError {
    /// Meant for another node.
    #[error("the request is meant for another node")]
    WrongNode,
    /// The descriptor is not that of the tag.
    #[error("the descriptor is not that of the mailbox named")]
    WrongTag,
    /// No longer valid.
    #[error("the request has expired")]
    Expired,
    /// Valid for longer than requests may be.
    #[error("the request is valid for longer than {REQUEST_LIFETIME_SECONDS_MAX} s")]
    LifetimeTooLong,
    /// The envelope has expired.
    #[error("the envelope has expired")]
    EnvelopeExpired,
    /// The envelope is to be kept for longer than envelopes are.
    #[error("the envelope is to be kept for longer than {ENVELOPE_LIFETIME_SECONDS_MAX} s")]
    EnvelopeLifetimeTooLong,
    /// The mailbox is written to with a key, so it has no contact stock.
    #[error("only an inbox that anyone may write to has a contact stock")]
    NotAnInbox,
    /// The contact keys are not good now.
    #[error("{0}")]
    Contact(ContactError),
    /// The contact stock is not the one that the request names.
    #[error("the contact stock is not the one that the request names")]
    WrongStock,
    /// This mailbox wants a signature.
    #[error("the mailbox takes signed requests only")]
    SignatureMissing,
    /// This mailbox wants postage.
    #[error("an open mailbox takes postage, not a signature")]
    PostageMissing,
    /// The postage is of another hour.
    #[error("the postage is of another hour: compare clocks and make it anew")]
    PostageStale,
    /// The postage is not worth as much as the mailbox asks for.
    #[error("the postage is not worth the {needed} that the mailbox asks for")]
    PostageTooLow {
        /// What it asks for.
        needed: PostageBits,
    },
    /// The signature is not the key's.
    #[error("the signature is not that of the mailbox key")]
    SignatureInvalid,
}

/// Checks a request to write: meant for this node and this mailbox, in time, with an expiry that is allowed, and with
/// the authority that the mailbox's policy asks for: postage worth `bits` for the envelope, or the write key's signature
/// (strictly, for the node alone decides). That envelope and expiry are those of the bytes that came along is checked by
/// who has the bytes.
///
/// A request without enough postage costs the node two hashes, that of the tag and that of the work.
///
/// # Errors
/// [`CapabilityError`], in the order in which its variants are listed.
pub fn check_write(
    network: &NetworkId,
    node: &NodeKey,
    descriptor: &Descriptor,
    request: &WriteRequest,
    authority: &WriteAuthority,
    bits: PostageBits,
    now: UnixSeconds,
) -> Result<(), CapabilityError> {
    check_common(node, descriptor, &request.node, &request.tag, request.expiry, now)?;
    if request.envelope_expiry <= now {
        return Err(CapabilityError::EnvelopeExpired);
    }
    if too_far(request.envelope_expiry, now, ENVELOPE_LIFETIME_SECONDS_MAX) {
        return Err(CapabilityError::EnvelopeLifetimeTooLong);
    }
    match (&descriptor.write, authority) {
        (WritePolicy::Open, WriteAuthority::Postage(postage)) => {
            check_postage(&request.tag, &request.envelope, postage, bits, now)
        }
        (WritePolicy::Open, WriteAuthority::Signature(_)) => Err(CapabilityError::PostageMissing),
        (WritePolicy::Key(_), WriteAuthority::Postage(_)) => Err(CapabilityError::SignatureMissing),
        (WritePolicy::Key(key), WriteAuthority::Signature(signature)) => key
            .verify_strict(network, request, signature)
            .map_err(|_| CapabilityError::SignatureInvalid),
    }
}

/// Checks a request to read: meant for this node and this mailbox, in time, and signed with the read key.
///
/// # Errors
/// [`CapabilityError`], in the order in which its variants are listed.
pub fn check_read(
    network: &NetworkId,
    node: &NodeKey,
    descriptor: &Descriptor,
    request: &ReadRequest,
    signature: &Signature,
    now: UnixSeconds,
) -> Result<(), CapabilityError> {
    check_common(node, descriptor, &request.node, &request.tag, request.expiry, now)?;
    descriptor
        .read
        .verify_strict(network, request, signature)
        .map_err(|_| CapabilityError::SignatureInvalid)
}

/// What all requests have in common.
pub(crate) fn check_common(
    node: &NodeKey,
    descriptor: &Descriptor,
    asked: &NodeKey,
    tag: &MailboxTag,
    expiry: UnixSeconds,
    now: UnixSeconds,
) -> Result<(), CapabilityError> {
    if asked != node {
        return Err(CapabilityError::WrongNode);
    }
    if *tag != descriptor.tag() {
        return Err(CapabilityError::WrongTag);
    }
    if expiry.saturating_add(CLOCK_SKEW_SECONDS_MAX) < now {
        return Err(CapabilityError::Expired);
    }
    if too_far(expiry, now, REQUEST_LIFETIME_SECONDS_MAX) {
        return Err(CapabilityError::LifetimeTooLong);
    }
    Ok(())
}

/// Whether `time` is more than `seconds` and the clock skew after `now`.
fn too_far(time: UnixSeconds, now: UnixSeconds, seconds: u64) -> bool {
    time > now.saturating_add(seconds).saturating_add(CLOCK_SKEW_SECONDS_MAX)
}
