//! What a device leaves with the nodes of its contact inbox for people who write to it for the first time: a rotating
//! envelope key and a stock of key packages.

use crate::{
    capability::CapabilityError,
    descriptor::{Descriptor, MailboxTag, NONCE_BYTES, WritePolicy},
    postage::PostageBits,
};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tokenim_identity::{
    Device, DeviceId, DeviceKeys, DeviceSigningKey, EnvelopeKey, IdentityId, Mailbox, NodeKey, Signature, Statement,
};
use tokenim_wire::{
    BoundedBytes, BoundedVec, Digest, EncodeError, Label, NetworkId, Object, UnixSeconds, hash_object,
    limits::{
        CLOCK_SKEW_SECONDS_MAX, CONTACT_KEYS_BYTES_MAX, CONTACT_KEYS_LIFETIME_SECONDS_MAX, CONTACT_STOCK_BYTES_MAX,
        KEY_PACKAGE_BYTES_MAX, KEY_PACKAGES_MAX,
    },
};

/// One key package (RFC 9420, section 10), opaque here.
pub type KeyPackage = BoundedBytes<KEY_PACKAGE_BYTES_MAX>;

/// The number of the cipher suite that a key package is for, as it says itself (RFC 9420, sections 6 and 10: bytes 6 and 7
/// of the message); none if it is too short to say.
#[must_use]
pub fn key_package_suite(package: &[u8]) -> Option<u16> {
    let (_, suite) = package.first_chunk::<8>()?.split_last_chunk()?;
    Some(u16::from_be_bytes(*suite))
}

/// The rotating envelope key of a device and what its inbox asks for, as the device signs it.
///
/// First contact sealed to `envelope` stays closed to whoever takes the device later, from the moment at which the
/// device has deleted the secret key; not before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactKeys {
    /// The identity.
    pub identity: IdentityId,
    /// Its device.
    pub device: DeviceId,
    /// Envelopes for the device are sealed to it instead of the key on the ledger; of the same suite as that one.
    pub envelope: EnvelopeKey,
    /// When it was made.
    pub created: UnixSeconds,
    /// Until when it is used; at most [`CONTACT_KEYS_LIFETIME_SECONDS_MAX`] later.
    pub expires: UnixSeconds,
    /// Rises with each publication of the device.
    pub number: u64,
    /// The postage that the device's inbox asks for.
    pub postage: PostageBits,
}

impl Statement for ContactKeys {
    type Signer = Device;
    const LABEL: Label = Label::new("tokenim/contact-keys/v1");
}

impl ContactKeys {
    /// Whether the times are in order: made before they expire, and not too long before.
    fn check_lifetime(&self) -> Result<(), ContactError> {
        let latest = self.created.saturating_add(CONTACT_KEYS_LIFETIME_SECONDS_MAX);
        if self.expires <= self.created || self.expires > latest {
            return Err(ContactError::Lifetime);
        }
        Ok(())
    }

    /// Whether they are good at a time: not from the future, not expired.
    fn check_time(&self, now: UnixSeconds) -> Result<(), ContactError> {
        self.check_lifetime()?;
        if self.created > now.saturating_add(CLOCK_SKEW_SECONDS_MAX) {
            return Err(ContactError::NotYetValid);
        }
        if self.expires <= now {
            return Err(ContactError::Expired);
        }
        Ok(())
    }
}

/// Why contact keys are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContactError {
    /// They expire before they are made, or too long after.
    #[error("contact keys are valid for 1 to {CONTACT_KEYS_LIFETIME_SECONDS_MAX} s")]
    Lifetime,
    /// They are made in the future.
    #[error("the contact keys are not valid yet")]
    NotYetValid,
    /// They have expired.
    #[error("the contact keys have expired")]
    Expired,
    /// They are of another identity.
    #[error("the contact keys are of another identity")]
    WrongIdentity,
    /// They are of another device.
    #[error("the contact keys are of another device")]
    WrongDevice,
    /// Their envelope key is not of the suite of the device's key on the ledger.
    #[error("the contact keys are of another suite than the device's envelope key")]
    WrongSuite,
    /// The signature is not the device's.
    #[error("the contact keys are not signed by their device")]
    SignatureInvalid,
    /// They could not be encoded for signing.
    #[error("the contact keys could not be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// [`ContactKeys`] with their device's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedContactKeys {
    /// What is signed.
    pub keys: ContactKeys,
    /// The device's signature.
    pub signature: Signature,
}

impl Object for SignedContactKeys {
    const NAME: &'static str = "contact keys";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CONTACT_KEYS_BYTES_MAX;
}

impl SignedContactKeys {
    /// Signs contact keys.
    ///
    /// # Errors
    /// [`ContactError::Lifetime`], [`ContactError::WrongDevice`] for the key of another device,
    /// [`ContactError::Encode`].
    pub fn sign(network: &NetworkId, key: &DeviceSigningKey, keys: ContactKeys) -> Result<Self, ContactError> {
        keys.check_lifetime()?;
        if keys.device != DeviceId::of(&key.verifying_key()) {
            return Err(ContactError::WrongDevice);
        }
        let signature = key.sign(network, &keys)?;
        Ok(Self { keys, signature })
    }

    /// Checks contact keys as someone who wants to write to a device: they are good now, of this identity and this
    /// device, of the suite of the device's envelope key, so that nobody is talked down, and signed by the device,
    /// strictly. The device's keys come from a proved look-up, and the device is live.
    ///
    /// # Errors
    /// [`ContactError`], in the order in which its variants are listed.
    pub fn verify(
        &self,
        network: &NetworkId,
        identity: &IdentityId,
        device: &DeviceKeys,
        now: UnixSeconds,
    ) -> Result<(), ContactError> {
        let keys = &self.keys;
        keys.check_time(now)?;
        if keys.identity != *identity {
            return Err(ContactError::WrongIdentity);
        }
        if keys.device != device.device_id() {
            return Err(ContactError::WrongDevice);
        }
        if keys.envelope.suite() != device.envelope.suite() {
            return Err(ContactError::WrongSuite);
        }
        device
            .signing
            .verify_strict(network, keys, &self.signature)
            .map_err(|_| ContactError::SignatureInvalid)
    }
}

/// What a device publishes to a node of its inbox: its contact keys, and the key packages that this node and no other one
/// hands out, one at a time, chosen at random; once all of a suite were handed out, again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactStock {
    /// The contact keys.
    pub keys: SignedContactKeys,
    /// The key packages, in any order.
    pub packages: BoundedVec<KeyPackage, KEY_PACKAGES_MAX>,
}

impl Object for ContactStock {
    const NAME: &'static str = "contact stock";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CONTACT_STOCK_BYTES_MAX;
}

impl ContactStock {
    /// The label of digests.
    pub const LABEL: Label = Label::new("tokenim/contact-stock/v1");

    /// A stock.
    ///
    /// # Errors
    /// [`tokenim_wire::LengthError`] for more than [`KEY_PACKAGES_MAX`] packages.
    pub fn new(keys: SignedContactKeys, packages: Vec<KeyPackage>) -> Result<Self, tokenim_wire::LengthError> {
        Ok(Self {
            keys,
            packages: packages.try_into()?,
        })
    }

    /// The hash by which a [`PublishRequest`] names it: `H("tokenim/contact-stock/v1", encoding without the version)`.
    ///
    /// # Errors
    /// [`EncodeError`], which does not happen for a stock that was decoded.
    pub fn digest(&self) -> Result<Digest, EncodeError> {
        hash_object(Self::LABEL, self)
    }
}

/// A request to hand out a contact stock in place of the one before, signed with the read key of the contact inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishRequest {
    /// The node that is asked.
    pub node: NodeKey,
    /// The inbox.
    pub tag: MailboxTag,
    /// [`ContactStock::digest`].
    pub stock: Digest,
    /// Until when the request is valid.
    pub expiry: UnixSeconds,
    /// Makes requests differ.
    pub nonce: [u8; NONCE_BYTES],
}

impl Statement for PublishRequest {
    type Signer = Mailbox;
    const LABEL: Label = Label::new("tokenim/contact-publish/v1");
}

/// Checks a request to publish: meant for this node and this mailbox, in time, for a contact inbox, about this stock,
/// whose keys are good now, and signed with the inbox's read key.
///
/// The device's own signature in the stock is not checked: which device has this inbox is on the ledger, and whoever
/// fetches the stock looks there.
///
/// # Errors
/// [`CapabilityError`], in the order in which its variants are listed.
pub fn check_publish(
    network: &NetworkId,
    node: &NodeKey,
    descriptor: &Descriptor,
    request: &PublishRequest,
    signature: &Signature,
    stock: &ContactStock,
    now: UnixSeconds,
) -> Result<(), CapabilityError> {
    crate::capability::check_common(node, descriptor, &request.node, &request.tag, request.expiry, now)?;
    if descriptor.write != WritePolicy::Open {
        return Err(CapabilityError::NotAnInbox);
    }
    stock.keys.keys.check_time(now).map_err(CapabilityError::Contact)?;
    if stock.digest() != Ok(request.stock) {
        return Err(CapabilityError::WrongStock);
    }
    descriptor
        .read
        .verify_strict(network, request, signature)
        .map_err(|_| CapabilityError::SignatureInvalid)
}
