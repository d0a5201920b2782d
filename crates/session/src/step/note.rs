//! What devices say to each other beside a session, in envelopes of the contact inbox.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use tokenim_envelope::ContentKind;
use tokenim_mailbox::{
    KeyPackage,
    group::{GroupEntryId, GroupHandle},
};
use tokenim_wire::{
    BoundedBytes, Label, Object, hash,
    limits::{MESSAGE_BODY_BYTES_MAX, SESSION_WELCOME_PART_BYTES_MAX, SESSION_WELCOME_PARTS_MAX},
};

/// The kind of the messages in the contact inbox that are for the machine.
pub const SESSION_KIND: ContentKind = ContentKind::new(4);

const WELCOME: Label = Label::new("tokenim/session-welcome/v1");

/// One piece of a Welcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WelcomePart {
    pub(crate) handle: GroupHandle,
    /// The entry of the epoch that the Welcome leads to.
    pub(crate) entry: GroupEntryId,
    pub(crate) digest: [u8; 32],
    pub(crate) index: u16,
    pub(crate) count: u16,
    pub(crate) bytes: BoundedBytes<SESSION_WELCOME_PART_BYTES_MAX>,
}

/// A request to be removed from a session and added again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Readd {
    pub(crate) handle: GroupHandle,
    /// The entry at which the sender stands, if it has a state at all.
    pub(crate) at: Option<GroupEntryId>,
    pub(crate) authenticator: [u8; 32],
    /// A fresh key package of the sender's.
    pub(crate) package: KeyPackage,
}

/// What devices say to each other beside a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Note {
    /// 0: the recipient is going to be added; if no Welcome follows, it asks for one.
    Invitation(GroupHandle),
    /// 1: a piece of a Welcome.
    Welcome(WelcomePart),
    /// 2: the sender can't follow.
    Readd(Readd),
}

impl Object for Note {
    const NAME: &'static str = "session note";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = MESSAGE_BODY_BYTES_MAX;
}

/// The hash that holds the pieces of a Welcome together.
pub(crate) fn welcome_digest(welcome: &[u8]) -> [u8; 32] {
    hash(WELCOME, &[welcome]).to_bytes()
}

/// A Welcome in pieces; `None` if it is longer than any may be.
pub(crate) fn cut(handle: GroupHandle, entry: GroupEntryId, welcome: &[u8]) -> Option<Vec<Note>> {
    let digest = welcome_digest(welcome);
    let parts = welcome.chunks(SESSION_WELCOME_PART_BYTES_MAX);
    let count = u16::try_from(parts.len()).ok()?;
    if usize::from(count) > SESSION_WELCOME_PARTS_MAX {
        return None;
    }
    (0..count)
        .zip(parts)
        .map(|(index, bytes)| {
            Some(Note::Welcome(WelcomePart {
                handle,
                entry,
                digest,
                index,
                count,
                bytes: BoundedBytes::try_from(bytes).ok()?,
            }))
        })
        .collect()
}
