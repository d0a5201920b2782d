//! Opening, in two steps that are two types: [`Opened`] is decrypted, [`Message`] is the sender's.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use tokenim_identity::{DeviceId, DeviceKey, EnvelopeKey, IdentityId, IdentityState, Signature};
use tokenim_wire::{DecodeError, Digest, Height, NetworkId, UnixSeconds, decode};
use zeroize::{Zeroize, Zeroizing};

use crate::hpke::{self, Encapsulated, Suite};
use crate::lifetime::check_lifetime;
use crate::padding;
use crate::payload::{Body, Borrowed, Payload, SignedContent, header_digest, info, info_digest, is_committed};
use crate::sealed::Sealed;
use crate::{Checkpoint, Content, EnvelopeSecretKey, MessageId, OpenError};

/// The device that opens.
#[derive(Clone, Copy, Debug)]
pub struct Opener<'a> {
    /// The network that the envelope came from.
    pub network: NetworkId,
    /// The receiving identity.
    pub identity: IdentityId,
    /// The receiving device.
    pub device: DeviceId,
    /// Its envelope keys, tried in this order: the newest, those before it that are not deleted yet, the one of its
    /// record. Should they be of different suites, those of the weaker ones are not tried.
    pub keys: &'a [&'a EnvelopeSecretKey],
}

impl Opener<'_> {
    /// The strongest suite among the keys, the only one in which an envelope is taken. So nobody can talk a device down
    /// to a suite that it once had.
    #[must_use]
    pub fn suite(&self) -> Option<Suite> {
        self.keys.iter().map(|key| key.suite()).max()
    }
}

/// Decrypts an envelope for this device. What comes out is not yet anybody's message: see [`Opened`].
///
/// Allocates once, for the ciphertext, in which the content then stays.
///
/// # Errors
/// What the outer header shows has errors of its own; everything behind it is [`OpenError::Refused`].
pub fn open(opener: &Opener<'_>, bytes: &[u8], now: UnixSeconds) -> Result<Opened, OpenError> {
    let (Sealed { header, ciphertext }, aad) = Sealed::from_bytes(bytes)?;
    let suite = Suite::from_id(header.suite).ok_or(OpenError::UnsupportedSuite(header.suite))?;
    if opener.suite() != Some(suite) {
        return Err(OpenError::OtherSuite(header.suite));
    }
    let enc = Encapsulated::from_bytes(suite, header.enc.0).map_err(|_| DecodeError::Malformed)?;
    check_lifetime(header.expiry, now)?;

    let info = info(&opener.network, header.suite);
    let mut plaintext = Zeroizing::new(ciphertext.0.to_vec());
    // A key that does not open leaves the ciphertext as it is. The first that does is the one: a ciphertext made for two
    // keys is not tried again under the second.
    let mut keys = opener.keys.iter().filter(|key| key.suite() == suite);
    let key = keys
        .find(|key| hpke::open_in_place(key.hpke(), &enc, &info, aad, &mut plaintext).is_ok())
        .ok_or(OpenError::Refused)?;

    let (payload, signature, body_end) = read(&plaintext).ok_or(OpenError::Refused)?;
    let for_this_device = payload.recipient == opener.identity && payload.recipient_device == opener.device;
    if !for_this_device || payload.expiry != header.expiry {
        return Err(OpenError::Refused);
    }
    let (kind, body_bytes) = (payload.kind, payload.body.0.len());
    let payload = payload.with_body(());
    Ok(Opened {
        network: opener.network,
        info: info_digest(&info),
        header: header_digest(aad),
        enc,
        recipient_key: key.shared_public(),
        signature,
        content: Content {
            kind,
            body: keep(plaintext, body_end, body_bytes).ok_or(OpenError::Refused)?,
        },
        payload,
    })
}

/// Commitment first, then padding, then the payload; at last the place where the payload ends, and with it the body.
fn read(plaintext: &[u8]) -> Option<(Payload<Body<'_>>, Signature, usize)> {
    if !is_committed(plaintext) {
        return None;
    }
    let (payload, signature) = padding::unpad_signed(plaintext)?;
    let body_end = payload.len();
    let payload = decode(payload, plaintext.len()).ok()?;
    Some((payload, Signature::from_bytes(*signature), body_end))
}

/// The body, moved to the front of the plaintext's buffer; the rest of it is wiped.
fn keep(mut plaintext: Zeroizing<Vec<u8>>, end: usize, bytes: usize) -> Option<Vec<u8>> {
    let start = end.checked_sub(bytes)?;
    plaintext.get(start..end)?;
    plaintext.copy_within(start..end, 0);
    plaintext.get_mut(bytes..)?.zeroize();
    plaintext.truncate(bytes);
    Some(core::mem::take(&mut *plaintext))
}

/// A decrypted envelope whose sender is only claimed. Its content can't be reached.
///
/// Look the claimed sender up, with proof, and go on with [`Opened::verify_for`] (or [`Opened::verify`] with a key
/// that is known to belong to that identity's device).
pub struct Opened {
    network: NetworkId,
    info: Digest,
    header: Digest,
    enc: Encapsulated,
    recipient_key: Arc<EnvelopeKey>,
    signature: Signature,
    payload: Payload<()>,
    content: Content,
}

impl Opened {
    /// Who claims to have sent it: identity and device. Not authenticated.
    #[must_use]
    pub const fn sender(&self) -> (IdentityId, DeviceId) {
        (self.payload.sender, self.payload.sender_device)
    }

    /// The message's id. Not authenticated.
    #[must_use]
    pub const fn message_id(&self) -> MessageId {
        self.payload.id
    }

    /// The expiry, which inner and outer header agree on.
    #[must_use]
    pub const fn expiry(&self) -> UnixSeconds {
        self.payload.expiry
    }

    /// Makes a message of it if the claimed device's key signed it.
    ///
    /// `key` must come from the state of the claimed *identity*, since this only checks that the key is the claimed
    /// *device*'s; [`Opened::verify_for`] checks both.
    ///
    /// # Errors
    /// [`OpenError::Refused`] if the key is another device's or the signature is not strictly valid.
    pub fn verify(self, key: &DeviceKey) -> Result<Message, OpenError> {
        if DeviceId::of(key) != self.payload.sender_device {
            return Err(OpenError::Refused);
        }
        let payload = self.payload.with_body(Borrowed(&self.content.body));
        let statement = SignedContent {
            info: self.info,
            header: self.header,
            enc: Borrowed(self.enc.as_bytes()),
            recipient_key: &self.recipient_key,
            payload: &payload,
        };
        key.verify_strict(&self.network, &statement, &self.signature)
            .map_err(|_| OpenError::Refused)?;
        Ok(Message {
            sender: payload.sender,
            sender_device: payload.sender_device,
            id: payload.id,
            expiry: payload.expiry,
            checkpoint: payload.checkpoint,
            content: self.content,
        })
    }

    /// [`Opened::verify`] with the key that the claimed sender's state has for the claimed device, if that device was
    /// live at `at`.
    ///
    /// The height is that of the message's receipts (the lowest that f+1 of their issuers signed), never the sender's
    /// claim: so a revoked device can't date a message back.
    ///
    /// # Errors
    /// [`OpenError::Refused`] if the state is another identity's, or the device unknown, not yet added or already
    /// revoked at that height, or the signature is not its.
    pub fn verify_for(self, sender: &IdentityState, at: Height) -> Result<Message, OpenError> {
        let (identity, device) = self.sender();
        if sender.id != identity {
            return Err(OpenError::Refused);
        }
        let entry = sender.device_live_at(&device, at).ok_or(OpenError::Refused)?;
        self.verify(&entry.keys.signing)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened([redacted])")
    }
}

/// A message whose sender is authenticated. Only [`Opened::verify`] makes one.
///
/// It may still be a repetition: give it to [`ReplayCache::admit`](crate::ReplayCache::admit) before it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The identity that sent it.
    pub sender: IdentityId,
    /// The device that signed it.
    pub sender_device: DeviceId,
    /// Its id, unique per sender if the sender is honest.
    pub id: MessageId,
    /// Its expiry.
    pub expiry: UnixSeconds,
    /// The newest final header that the sender knew, if it said so.
    pub checkpoint: Option<Checkpoint>,
    /// What it carries.
    pub content: Content,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SealedEnvelope;
    use crate::hpke::tests::ciphertext_for_two;
    use crate::sealed::Header;

    #[test]
    fn a_ciphertext_for_two_keys_is_refused_by_one() {
        let keys = [[1; 32], [2; 32]].map(|seed| EnvelopeSecretKey::from_seed(Suite::X25519, &seed));
        let publics = [&keys[0], &keys[1]].map(|key| key.hpke().public_key());
        let network = NetworkId::from_bytes([3; 32]);
        let now = UnixSeconds::new(1_000_000_000);
        let suite = Suite::X25519.id();
        let info = info(&network, suite);
        // the encapsulated key is the same for any header, which then names it
        let (enc, _) = ciphertext_for_two(publics[0], publics[1], &info, b"", 32, 32);
        let header = Header {
            suite,
            expiry: now,
            enc: Borrowed(enc.as_bytes()),
        };
        let aad = header.aad().unwrap();
        let (_, sealed) = ciphertext_for_two(publics[0], publics[1], &info, &aad, 32, 32);

        // HPKE lets it through under both keys; the commitment stands under one at most
        let plaintexts = [&keys[0], &keys[1]].map(|key| hpke::open(key.hpke(), &enc, &info, &aad, &sealed).unwrap());
        assert!(is_committed(&plaintexts[0]));
        assert!(!is_committed(&plaintexts[1]));

        let envelope = SealedEnvelope::new(&header, aad, &sealed).unwrap();
        let [first, second] = [&keys[0], &keys[1]];
        // nor does it open under the other key of one device
        for keys in [&[first][..], &[second], &[first, second], &[second, first]] {
            let opener = Opener {
                network,
                identity: IdentityId::from_bytes([4; 32]),
                device: DeviceId::from_bytes([5; 32]),
                keys,
            };
            let refused = open(&opener, envelope.as_bytes(), now).map(|_| ());
            assert_eq!(refused, Err(OpenError::Refused));
        }
    }
}
