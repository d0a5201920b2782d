//! Sealing.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use tokenim_identity::{DeviceId, DeviceKeys, DeviceSigningKey, EnvelopeKey, IdentityId};
use tokenim_wire::limits::MESSAGE_BODY_BYTES_MAX;
use tokenim_wire::{BoundedBytes, EncodeError, NetworkId, UnixSeconds, encode_into, encoded_len};
use zeroize::Zeroizing;

use crate::hpke::{self, Encapsulation, PublicKey};
use crate::padding;
use crate::payload::{Borrowed, COMMITMENT, Payload, SignedContent, header_digest, info, info_digest};
use crate::sealed::{Header, Sealed};
use crate::{Content, MessageId, SealError, SealedEnvelope};

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
/// Draws 32 bytes from `rng`, the input keying material of the ephemeral key.
///
/// # Errors
/// [`SealError`]; nothing was made then.
pub fn seal(
    network: &NetworkId,
    sender: &Sender<'_>,
    to: &Recipient,
    id: MessageId,
    expiry: UnixSeconds,
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
    let suite = to.key.suite();
    let recipient_key = to.key.to_x25519().ok_or(SealError::UnsupportedSuite(suite))?;
    let encapsulation =
        Encapsulation::new(&PublicKey::from_bytes(recipient_key), rng).map_err(|_| SealError::RecipientKey)?;

    let enc = encapsulation.enc().to_bytes();
    let header = Header {
        suite,
        expiry,
        enc: BoundedBytes::try_from(enc.as_slice()).map_err(|_| too_long)?,
    };
    let aad = header.aad()?;
    let info = info(network, suite);

    let payload = Payload {
        commitment: COMMITMENT,
        sender: sender.identity,
        sender_device: sender.device,
        recipient: to.identity,
        recipient_device: to.device,
        id,
        expiry,
        kind: content.kind,
        body: Borrowed(&content.body),
    };
    let statement = SignedContent {
        info: info_digest(&info),
        header: header_digest(&aad),
        enc: Borrowed(&enc),
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

    let ciphertext = BoundedBytes::try_from(core::mem::take(&mut *buffer)).map_err(|_| too_long)?;
    Ok(SealedEnvelope::new(&Sealed { header, ciphertext })?)
}

/// An empty buffer with room for the padded plaintext and the tag, so that no copy of it is left behind by growing.
fn plaintext_buffer(payload: &Payload<Borrowed<'_>>) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    let plaintext = padding::plaintext_bytes(encoded_len(payload)?).unwrap_or_default();
    Ok(Zeroizing::new(Vec::with_capacity(
        plaintext.saturating_add(hpke::TAG_BYTES),
    )))
}
