//! Who may ask to be let into a group: the links that a member has made, those who asked by one, and those who were
//! refused. All bounded, so that a link which is posted where everybody reads it can't fill a device.

use core::fmt;
use serde::{Deserialize, Serialize};
use tokenim_identity::IdentityId;
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::{
    BoundedVec, Label, NetworkId, Object, UnixMillis, UnixSeconds, bytes_newtype, hash,
    limits::{INVITE_LIFETIME_SECONDS_MAX, INVITE_LINKS_MAX, JOIN_REFUSED_MAX, JOIN_REQUESTS_MAX},
};

use crate::{link::InviteLink, secret::Secret32};

bytes_newtype! {
    /// What a link is called where its secret should not be seen: `H("tokenim/invite-name/v1", secret)`.
    pub struct InviteName([u8; 32]);
}

impl InviteName {
    /// The label of such names.
    pub const LABEL: Label = Label::new("tokenim/invite-name/v1");

    /// The name of the link with this secret.
    #[must_use]
    pub fn of(secret: &Secret32) -> Self {
        Self::from_bytes(hash(Self::LABEL, &[secret.expose()]).to_bytes())
    }
}

/// A link as its maker keeps it: what is left of it beside the group, the maker and the network.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLink {
    /// What only readers of the link know.
    pub secret: Secret32,
    /// Until when requests are taken.
    pub expires: UnixSeconds,
}

impl KeptLink {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> InviteName {
        InviteName::of(&self.secret)
    }

    /// The link as it is shown.
    #[must_use]
    pub fn link(&self, network: NetworkId, handle: GroupHandle, ask: IdentityId) -> InviteLink {
        InviteLink {
            network,
            handle,
            ask,
            secret: self.secret.clone(),
            expires: self.expires,
        }
    }
}

impl fmt::Debug for KeptLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptLink")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Somebody asks to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// Who.
    pub asker: IdentityId,
    /// By which link.
    pub link: InviteName,
    /// When that came, by the clock of the device that was asked.
    pub at: UnixMillis,
}

/// What the devices of one member tell each other about a door, so that each of them can answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoorWord {
    /// 0: a link was made.
    Made(KeptLink),
    /// 1: a link was revoked.
    Revoked(KeptLink),
    /// 2: somebody was refused.
    Refused(IdentityId),
}

/// Why a door stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DoorError {
    /// The proof is that of no link that is good: it was made by who never had one, or the link has expired or is revoked.
    #[error("no link that is still good has this proof")]
    Proof,
    /// It has asked before, and was refused or waits for an answer.
    #[error("it has asked before")]
    Again,
    /// There is no room for more.
    #[error("there is no room for more")]
    Full,
    /// The lifetime of a link is zero or too long.
    #[error("a link is good for 1 s to {INVITE_LIFETIME_SECONDS_MAX} s")]
    Lifetime,
}

/// What a member keeps about who may ask it to be let into one group.
///
/// A link that was revoked stays known until it would have expired, so that no late word of another device brings it back.
/// With a link go the requests that came by it: one step answers all of a flood. Whoever was refused is not heard again,
/// by whatever link, until [`JOIN_REFUSED_MAX`] others have been refused after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    links: BoundedVec<(KeptLink, bool), INVITE_LINKS_MAX>,
    requests: BoundedVec<JoinRequest, JOIN_REQUESTS_MAX>,
    refused: BoundedVec<IdentityId, JOIN_REFUSED_MAX>,
}

impl Object for Door {
    const NAME: &'static str = "door";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 64 * (INVITE_LINKS_MAX + JOIN_REFUSED_MAX) + 96 * JOIN_REQUESTS_MAX;
}

impl Door {
    /// The links that are good.
    pub fn links(&self) -> impl Iterator<Item = &KeptLink> {
        self.links.iter().filter(|(_, good)| *good).map(|(link, _)| link)
    }

    /// Those who asked and have no answer, the first first.
    #[must_use]
    pub const fn requests(&self) -> &[JoinRequest] {
        self.requests.as_slice()
    }

    /// Forgets links that have expired, and who asked by them.
    pub fn pass(&mut self, now: UnixSeconds) {
        let kept = core::mem::take(&mut self.links)
            .into_iter()
            .filter(|(link, _)| link.expires > now);
        self.links = BoundedVec::try_from_iter(kept).unwrap_or_default();
        self.drop_strays();
    }

    fn drop_strays(&mut self) {
        let good = |request: &JoinRequest| self.links().any(|link| link.name() == request.link);
        let kept = self.requests.iter().filter(|request| good(request)).copied();
        self.requests = BoundedVec::try_from_iter(kept).unwrap_or_default();
    }

    /// Keeps a link that was made here.
    ///
    /// # Errors
    /// [`DoorError::Lifetime`], [`DoorError::Full`].
    pub fn make(&mut self, link: KeptLink, now: UnixSeconds) -> Result<(), DoorError> {
        self.pass(now);
        self.keep(link, true, now)
    }

    /// Keeps a link, good or revoked; one that is known as revoked stays so.
    fn keep(&mut self, link: KeptLink, good: bool, now: UnixSeconds) -> Result<(), DoorError> {
        let latest = now.saturating_add(INVITE_LIFETIME_SECONDS_MAX);
        if link.expires <= now || link.expires > latest {
            return Err(DoorError::Lifetime);
        }
        if let Some((_, known)) = self
            .links
            .as_mut_slice()
            .iter_mut()
            .find(|(of, _)| of.secret == link.secret)
        {
            *known &= good;
        } else {
            self.links.push((link, good)).map_err(|_| DoorError::Full)?;
        }
        self.drop_strays();
        Ok(())
    }

    /// Revokes the link of this name, or all; gives those that were good until then.
    pub fn revoke(&mut self, name: Option<&InviteName>) -> alloc::vec::Vec<KeptLink> {
        let mut revoked = alloc::vec::Vec::new();
        for (link, good) in self.links.as_mut_slice() {
            if *good && name.is_none_or(|name| *name == link.name()) {
                *good = false;
                revoked.push(link.clone());
            }
        }
        self.drop_strays();
        revoked
    }

    /// Takes what another device of the same member says.
    ///
    /// # Errors
    /// [`DoorError::Lifetime`], [`DoorError::Full`].
    pub fn told(&mut self, word: DoorWord, now: UnixSeconds) -> Result<(), DoorError> {
        self.pass(now);
        match word {
            DoorWord::Made(link) => self.keep(link, true, now),
            DoorWord::Revoked(link) => self.keep(link, false, now),
            DoorWord::Refused(asker) => {
                self.refuse(&asker);
                Ok(())
            }
        }
    }

    /// Somebody asks, with a proof; `asked` is the identity to which it speaks.
    ///
    /// # Errors
    /// [`DoorError::Proof`], [`DoorError::Again`], [`DoorError::Full`].
    pub fn ask(
        &mut self,
        (network, handle, asked): (NetworkId, GroupHandle, IdentityId),
        asker: IdentityId,
        proof: &[u8; 32],
        now: UnixMillis,
    ) -> Result<(), DoorError> {
        self.pass(now.to_seconds());
        let is_shown = |link: &&KeptLink| (*link).link(network, handle, asked).is_proof(&asker, proof);
        let link = self
            .links()
            .find(is_shown)
            .map(KeptLink::name)
            .ok_or(DoorError::Proof)?;
        let waits = self.requests.iter().any(|request| request.asker == asker);
        if waits || self.refused.contains(&asker) {
            return Err(DoorError::Again);
        }
        let request = JoinRequest { asker, link, at: now };
        self.requests.push(request).map_err(|_| DoorError::Full)
    }

    /// Takes a request off the list, for whoever is let in; whether there was one.
    pub fn answer(&mut self, asker: &IdentityId) -> bool {
        let before = self.requests.len();
        let kept = self.requests.iter().filter(|request| request.asker != *asker).copied();
        self.requests = BoundedVec::try_from_iter(kept).unwrap_or_default();
        self.requests.len() < before
    }

    /// Takes a request off the list and does not hear its asker again.
    pub fn refuse(&mut self, asker: &IdentityId) {
        self.answer(asker);
        if self.refused.contains(asker) {
            return;
        }
        let skip = (self.refused.len().saturating_add(1)).saturating_sub(JOIN_REFUSED_MAX);
        let kept = self.refused.iter().skip(skip).chain([asker]).copied();
        self.refused = BoundedVec::try_from_iter(kept).unwrap_or_default();
    }
}
