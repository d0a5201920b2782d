//! What is inside: the payload, and what its signature covers.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq;
use tokenim_identity::{Device, DeviceId, EnvelopeKey, IdentityId, Statement, SuiteId};
use tokenim_wire::limits::MESSAGE_BODY_BYTES_MAX;
use tokenim_wire::{Digest, Label, NetworkId, UnixSeconds, hash};

use crate::sealed::ENC_BYTES_MAX;
use crate::{Checkpoint, ContentKind, MessageId};

const INFO_LABEL: Label = Label::new("tokenim/envelope/v1");
const INFO_HASH_LABEL: Label = Label::new("tokenim/envelope-info/v1");
const AAD_HASH_LABEL: Label = Label::new("tokenim/envelope-header/v1");

/// Bytes of the key commitment at the start of the payload, all zero.
pub(crate) const COMMITMENT_BYTES: usize = 32;

tokenim_wire::bytes_newtype! {
    /// The key commitment: zeros.
    ///
    /// AES-GCM does not commit to its key: one ciphertext can be made to open under two. With 32 known bytes in front,
    /// whoever tries needs a collision over 256 bits of key stream (Albertini and others, "How to Abuse and Fix
    /// Authenticated Encryption Without Key Commitment", USENIX Security 2022, padding fix).
    pub(crate) struct Commitment([u8; COMMITMENT_BYTES]);
}

/// The commitment that an honest sender writes.
pub(crate) const COMMITMENT: Commitment = Commitment::from_bytes([0; COMMITMENT_BYTES]);

/// Whether the plaintext begins with the commitment; in constant time.
pub(crate) fn is_committed(plaintext: &[u8]) -> bool {
    plaintext
        .first_chunk::<COMMITMENT_BYTES>()
        .is_some_and(|start| start.ct_eq(COMMITMENT.as_bytes()).into())
}

/// The payload in its order on the wire. `B` is the body, which comes last; `()` where it is kept apart.
#[derive(Serialize, Deserialize)]
pub(crate) struct Payload<B> {
    pub(crate) commitment: Commitment,
    pub(crate) sender: IdentityId,
    pub(crate) sender_device: DeviceId,
    pub(crate) recipient: IdentityId,
    pub(crate) recipient_device: DeviceId,
    pub(crate) id: MessageId,
    pub(crate) expiry: UnixSeconds,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) kind: ContentKind,
    pub(crate) body: B,
}

impl<B> Payload<B> {
    /// The same payload around another body.
    pub(crate) fn with_body<C>(&self, body: C) -> Payload<C> {
        Payload {
            commitment: self.commitment,
            sender: self.sender,
            sender_device: self.sender_device,
            recipient: self.recipient,
            recipient_device: self.recipient_device,
            id: self.id,
            expiry: self.expiry,
            checkpoint: self.checkpoint,
            kind: self.kind,
            body,
        }
    }
}

/// The body, where it stands in a plaintext.
pub(crate) type Body<'a> = Borrowed<'a, MESSAGE_BODY_BYTES_MAX>;

/// At most `MAX` bytes with their length in front, encoded like a `BoundedBytes` without being copied into one.
#[derive(Clone, Copy)]
pub(crate) struct Borrowed<'a, const MAX: usize>(pub(crate) &'a [u8]);

impl<const MAX: usize> Serialize for Borrowed<'_, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for Borrowed<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        if bytes.len() > MAX {
            return Err(de::Error::custom("more bytes than the field holds"));
        }
        Ok(Self(bytes))
    }
}

/// What the sending device signs: where the envelope goes and what is in it.
///
/// The payload alone would not do: a recipient could then seal it again to someone else.
#[derive(Serialize)]
pub(crate) struct SignedContent<'a> {
    pub(crate) info: Digest,
    pub(crate) header: Digest,
    pub(crate) enc: Borrowed<'a, ENC_BYTES_MAX>,
    pub(crate) recipient_key: &'a EnvelopeKey,
    pub(crate) payload: &'a Payload<Body<'a>>,
}

impl Statement for SignedContent<'_> {
    type Signer = Device;
    const LABEL: Label = Label::new("tokenim/envelope-signature/v1");
}

/// HPKE's `info`: length of the label, label, network id, suite.
pub(crate) fn info(network: &NetworkId, suite: SuiteId) -> [u8; INFO_BYTES] {
    let mut info = [0; INFO_BYTES];
    let suite = suite.get().to_be_bytes();
    let length = [INFO_LABEL.length_byte()];
    let parts = length
        .iter()
        .chain(INFO_LABEL.as_str().as_bytes())
        .chain(network.as_bytes())
        .chain(&suite);
    for (to, from) in info.iter_mut().zip(parts) {
        *to = *from;
    }
    info
}

/// Bytes of `info`.
pub(crate) const INFO_BYTES: usize = 1 + INFO_LABEL.as_str().len() + NetworkId::LENGTH + 2;

/// H(info), as the signature has it.
pub(crate) fn info_digest(info: &[u8]) -> Digest {
    hash(INFO_HASH_LABEL, &[info])
}

/// H(aad), as the signature has it.
pub(crate) fn header_digest(header: &[u8]) -> Digest {
    hash(AAD_HASH_LABEL, &[header])
}
