//! What devices say to each other beside a session, in sealed envelopes of the contact inbox.

use crate::{door::DoorWord, history::Page, welcome::Welcome};
use serde::{Deserialize, Serialize};
use tokenim_envelope::ContentKind;
use tokenim_mailbox::{
    KeyPackage,
    group::{GroupEntryId, GroupHandle},
};
use tokenim_wire::{Object, limits::MESSAGE_BODY_BYTES_MAX};

/// The kind of the messages in the contact inbox that hold a [`Note`].
pub const SESSION_KIND: ContentKind = ContentKind::new(4);

/// A request to be removed from a session and added again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readd {
    /// The session.
    pub handle: GroupHandle,
    /// The entry at which the sender stands, if it has a state at all.
    pub at: Option<GroupEntryId>,
    /// The authenticator of that epoch.
    pub authenticator: [u8; 32],
    /// A fresh key package of the sender's.
    pub package: KeyPackage,
}

/// A request to be let into a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The session.
    pub handle: GroupHandle,
    /// Shows that the sender has the link: [`InviteLink::proof`](crate::link::InviteLink::proof).
    pub proof: [u8; 32],
}

/// What devices say to each other beside a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// 0: the recipient is going to be added; if no Welcome follows, it asks for one.
    Invitation(GroupHandle),
    /// 1: a Welcome, or where it is.
    Welcome(Welcome),
    /// 2: the sender can't follow.
    Readd(Readd),
    /// 3: the sender has a link and asks to be let in.
    Ask(Ask),
    /// 4: what was said before, for a new device of the same owner.
    Page(Page),
    /// 5: about a door, for the owner's other devices.
    Door(GroupHandle, DoorWord),
}

impl Object for Note {
    const NAME: &'static str = "session note";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = MESSAGE_BODY_BYTES_MAX;
}
