//! The Welcome of a commit, on its way to the devices that the commit adds.
//!
//! It has the whole group in it, so it grows with the group, and all devices that one commit adds need the same one. A small
//! one goes along in the note to each of them. A larger one is stored once, in a mailbox of its own, and the notes say where:
//!
//! ```text
//! key                                          32 random bytes
//! derive(key, "tokenim/epoch-write/v1", "welcome")   seed of the key that writes to the mailbox; read and nonce alike
//! derive(key, "tokenim/welcome-wrap/v1")             key of its envelopes, which are like those of an epoch
//! ```

use crate::{
    epoch::{MailboxAccess, UnwrapError, WrapError, WrapKey, derive},
    policy::{GroupContext, Kind},
    secret::Secret32,
    shown::Why,
};
use alloc::vec::Vec;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use tokenim_envelope::SealedEnvelope;
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::group::{GroupEntryId, GroupHandle};
use tokenim_wire::{
    BoundedBytes, BoundedVec, EnvelopeId, Label, UnixSeconds,
    limits::{SESSION_WELCOME_NOTE_BYTES_MAX, SESSION_WELCOME_PARTS_MAX},
};
use zeroize::Zeroizing;

const WRAP: Label = Label::new("tokenim/welcome-wrap/v1");
/// What tells its mailbox from others that the same key might give.
const MAILBOX: &[u8] = b"welcome";

/// A Welcome, as a note brings it.
///
/// ```text
/// handle 32 ‖ entry 32 ‖ 0 ‖ length varint ‖ Welcome
/// handle 32 ‖ entry 32 ‖ 1 ‖ key 32 ‖ number of parts varint ‖ for each: envelope id 32
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The session.
    pub handle: GroupHandle,
    /// The entry of the epoch that it leads to.
    pub entry: GroupEntryId,
    /// Where it is.
    pub place: WelcomePlace,
}

/// Where a Welcome is. Its place is its number on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WelcomePlace {
    /// 0: here.
    Here(BoundedBytes<SESSION_WELCOME_NOTE_BYTES_MAX>),
    /// 1: in a mailbox of its own.
    Stored(StoredWelcome),
}

/// The mailbox of a Welcome, and the envelopes in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredWelcome {
    key: Secret32,
    parts: BoundedVec<EnvelopeId, SESSION_WELCOME_PARTS_MAX>,
}

impl Welcome {
    /// Prepares a Welcome, and the envelopes to be stored for it, if it needs any.
    ///
    /// # Errors
    /// [`WrapError::TooLong`] if it needs more than [`SESSION_WELCOME_PARTS_MAX`].
    pub fn new(
        handle: GroupHandle,
        entry: GroupEntryId,
        welcome: &[u8],
        expiry: UnixSeconds,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(Self, Vec<SealedEnvelope>), WrapError> {
        let (place, envelopes) = match BoundedBytes::try_from(welcome) {
            Ok(bytes) => (WelcomePlace::Here(bytes), Vec::new()),
            Err(_) => {
                let key = Secret32::generate(rng);
                let envelopes = wrap_key(&key).wrap_parts(welcome, SESSION_WELCOME_PARTS_MAX, expiry, rng)?;
                let actual = welcome.len();
                let parts = BoundedVec::try_from_iter(envelopes.iter().map(SealedEnvelope::id))
                    .map_err(|_| WrapError::TooLong { actual })?;
                (WelcomePlace::Stored(StoredWelcome { key, parts }), envelopes)
            }
        };
        Ok((Self { handle, entry, place }, envelopes))
    }
}

impl StoredWelcome {
    /// The mailbox.
    #[must_use]
    pub fn mailbox(&self) -> MailboxAccess {
        MailboxAccess::derive(self.key.expose(), MAILBOX)
    }

    /// The envelopes, in the order of the parts.
    #[must_use]
    pub fn parts(&self) -> &[EnvelopeId] {
        &self.parts
    }

    /// Puts together what the envelopes hold, given in their order.
    ///
    /// # Errors
    /// [`UnwrapError`]: whoever sent the note is at fault.
    pub fn open(&self, envelopes: &[impl AsRef<[u8]>]) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        wrap_key(&self.key).unwrap_parts(envelopes)
    }
}

/// Whether what a Welcome leads to fits its note: the context names the handle, the sender is one of these devices, and two
/// people are the two that the context names. Gives the other one of two.
///
/// # Errors
/// [`Why`] it does not: the sender is at fault.
pub fn fits(
    context: &GroupContext,
    handle: &GroupHandle,
    own: &IdentityId,
    sender: &(IdentityId, DeviceId),
    members: &[(IdentityId, DeviceId)],
) -> Result<Option<IdentityId>, Why> {
    if context.handle() != *handle {
        return Err(Why::Malformed);
    }
    if !members.contains(sender) {
        return Err(Why::NotAMember);
    }
    if context.kind() == Kind::Group {
        return Ok(None);
    }
    let other = context.roles().iter().map(|(of, _)| of).find(|of| *of != own);
    let other = other.ok_or(Why::Malformed)?;
    if context.named(own).is_none() || !members.iter().all(|(of, _)| [own, other].contains(&of)) {
        return Err(Why::NotAllowed);
    }
    Ok(Some(*other))
}

fn wrap_key(key: &Secret32) -> WrapKey {
    WrapKey(derive(key.expose(), WRAP, &[]))
}
