//! Sealing.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use tokenim_identity::{DeviceId, DeviceKeys, DeviceSigningKey, EnvelopeKey, IdentityId};
use tokenim_wire::limits::MESSAGE_BODY_BYTES_MAX;
use tokenim_wire::{EncodeError, NetworkId, UnixSeconds, encode_into, encoded_len};
use zeroize::Zeroizing;

use crate::hpke::{self, Encapsulation, PublicKey, Suite};
use crate::padding;
use crate::payload::{Body, Borrowed, COMMITMENT, Payload, SignedContent, header_digest, info, info_digest};
use crate::sealed::Header;
use crate::{Checkpoint, Content, MessageId, SealError, SealedEnvelope};

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The sending identity.
    pub identity: IdentityId,
    /// The sending device of that identity.
    pub device: DeviceId,
    /// The device's signing key, of which `device` is the hash.
    pub key: &'a DeviceSigningKey,
}

/// One device to seal to. Take it from a look-up with proof: the envelope is exactly as private as this key is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The receiving identity.
    pub identity: IdentityId,
    /// The receiving device of that identity.
    pub device: DeviceId,
    /// The device's envelope key.
    pub key: EnvelopeKey,
}

impl Recipient {
    /// The device with these keys, of this identity.
    #[must_use]
    pub fn new(identity: IdentityId, keys: &DeviceKeys) -> Self {
        Self {
            identity,
            device: keys.device_id(),
            key: keys.envelope.clone(),
        }
    }
}

/// Seals a message to one device.
///
/// A message to an identity is sealed once per active device, each time with the same `id`. `expiry` should be at most
/// [`LIFETIME_MAX`](crate::LIFETIME_MAX) from now, or readers refuse the envelope; there is no clock here to check it.
/// `checkpoint` is the sender's newest final header, if it knows one. The suite is that of the recipient's key. Draws 32
/// bytes from `rng` for X25519, 64 for X-Wing.
///
/// # Errors
/// [`SealError`]; nothing was made then.
#[expect(clippy::too_many_arguments, reason = "each is another thing, and none has a default")]
pub fn seal(
    network: &NetworkId,
    sender: &Sender<'_>,
    to: &Recipient,
    id: MessageId,
    expiry: UnixSeconds,
    checkpoint: Option<Checkpoint>,
    content: &Content,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<SealedEnvelope, SealError> {
    let too_long = SealError::BodyTooLong {
        limit: MESSAGE_BODY_BYTES_MAX,
        actual: content.body.len(),
    };
    if content.body.len() > MESSAGE_BODY_BYTES_MAX {
        return Err(too_long);
    }
    let suite_id = to.key.suite();
    let suite = Suite::from_id(suite_id).ok_or(SealError::UnsupportedSuite(suite_id))?;
    let recipient_key = PublicKey::from_bytes(suite, to.key.as_bytes()).map_err(|_| SealError::RecipientKey)?;
    let encapsulation = Encapsulation::new(&recipient_key, rng).map_err(|_| SealError::RecipientKey)?;

    let enc = encapsulation.enc().clone();
    let header = Header {
        suite: suite_id,
        expiry,
        enc: Borrowed(enc.as_bytes()),
    };
    let aad = header.aad()?;
    let info = info(network, suite_id);

    let payload = Payload {
        commitment: COMMITMENT,
        sender: sender.identity,
        sender_device: sender.device,
        recipient: to.identity,
        recipient_device: to.device,
        id,
        expiry,
        checkpoint,
        kind: content.kind,
        body: Borrowed(&content.body),
    };
    let statement = SignedContent {
        info: info_digest(&info),
        header: header_digest(&aad),
        enc: header.enc,
        recipient_key: &to.key,
        payload: &payload,
    };
    let signature = sender.key.sign(network, &statement)?;

    let mut buffer = plaintext_buffer(&payload)?;
    encode_into(&payload, &mut buffer)?;
    buffer.extend_from_slice(signature.as_bytes());
    padding::pad(&mut buffer).ok_or(too_long)?;
    encapsulation
        .seal_in_place(&info, &aad, &mut buffer)
        .map_err(|_| too_long)?;

    Ok(SealedEnvelope::new(&header, aad, &buffer)?)
}

/// An empty buffer with room for the padded plaintext and the tag, so that no copy of it is left behind by growing.
fn plaintext_buffer(payload: &Payload<Body<'_>>) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    let plaintext = padding::plaintext_bytes(encoded_len(payload)?).unwrap_or_default();
    Ok(Zeroizing::new(Vec::with_capacity(
        plaintext.saturating_add(hpke::TAG_BYTES),
    )))
}
