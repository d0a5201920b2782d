//! Who may change what in a session: a pure function of the change, so that all members judge alike.

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Deserializer, Serialize, de};
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::{
    BoundedString, BoundedVec, Object, UnixMillis,
    limits::{DISAPPEAR_SECONDS_MAX, GROUP_CONTEXT_BYTES_MAX, GROUP_NAME_BYTES_MAX, GROUP_ROLES_MAX},
};

/// The number of the extension of MLS group contexts (RFC 9420, section 17.3: private use) that holds a
/// [`GroupContext`].
pub const GROUP_CONTEXT_EXTENSION: u16 = 0xf0a2;

/// What kind of session it is. Its place is its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// 0: of two people. The roles name both, and nobody else comes in.
    Direct,
    /// 1: of any number of people.
    Group,
}

/// What a member may do. Ordered by how much; its place is its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// 0: It has said that it leaves: anyone may remove its devices. It stays so until the last is removed.
    Leaving,
    /// 1: A plain member.
    Member,
    /// 2: Adds and removes members, names the group.
    Admin,
    /// 3: Also gives roles.
    Owner,
}

/// What all members of a session agree on, beside who is in it.
///
/// ```text
/// ┌─────────┬────────┬────────┬───────────────┬──────────────────┬──────────────────────────────┐
/// │ version │ handle │ kind   │ name          │ disappear after  │ roles                        │
/// │ 1       │ 32     │ varint │ varint, bytes │ 0, or 1 ‖ varint │ varint, for each: identity   │
/// │         │        │        │               │ (seconds)        │ 32 ‖ role varint             │
/// └─────────┴────────┴────────┴───────────────┴──────────────────┴──────────────────────────────┘
/// ```
///
/// Roles are in ascending order of identities. Those of a group name whoever is not a plain member, at least one owner
/// among them; those of two people name both, each owner or leaving. Who is named as owner or admin is wanted in the
/// session even while none of their devices is in it. The name has no control characters; that of two people is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupContext {
    handle: GroupHandle,
    kind: Kind,
    name: BoundedString<GROUP_NAME_BYTES_MAX>,
    disappear_after: Option<u64>,
    roles: BoundedVec<(IdentityId, Role), GROUP_ROLES_MAX>,
}

/// Why there is no such context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The name is too long or has control characters, or two people have given one.
    #[error(
        "the name of a group has at most {GROUP_NAME_BYTES_MAX} bytes and no control characters; two people have none"
    )]
    Name,
    /// Messages disappear after zero seconds, or later than they may.
    #[error("messages disappear after 1 to {DISAPPEAR_SECONDS_MAX} s, or not at all")]
    Timer,
    /// The roles are not in ascending order of identities, each once.
    #[error("the roles are not in ascending order, each member once")]
    Order,
    /// More roles than there is room for.
    #[error("more than {GROUP_ROLES_MAX} members have a role")]
    TooManyRoles,
    /// A plain member is named.
    #[error("a plain member needs no role")]
    PlainMember,
    /// A group without an owner.
    #[error("a group has at least one owner")]
    NoOwner,
    /// Two people who are not two, or of whom one is neither owner nor leaving.
    #[error("a session of two people names both of them, and as equals")]
    NotTwo,
}

impl Object for GroupContext {
    const NAME: &'static str = "group context";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = GROUP_CONTEXT_BYTES_MAX;
}

impl GroupContext {
    /// The context of a session of two people.
    ///
    /// # Errors
    /// [`ContextError::NotTwo`] for one and the same.
    pub fn direct(handle: GroupHandle, one: IdentityId, other: IdentityId) -> Result<Self, ContextError> {
        let people = [one.min(other), one.max(other)];
        let roles = BoundedVec::try_from_iter(people.map(|person| (person, Role::Owner)));
        Self {
            handle,
            kind: Kind::Direct,
            name: BoundedString::default(),
            disappear_after: None,
            roles: roles.map_err(|_| ContextError::TooManyRoles)?,
        }
        .checked()
    }

    /// The context of a group that somebody makes.
    ///
    /// # Errors
    /// [`ContextError::Name`].
    pub fn group(handle: GroupHandle, name: &str, owner: IdentityId) -> Result<Self, ContextError> {
        let roles = BoundedVec::try_from_iter([(owner, Role::Owner)]);
        Self {
            handle,
            kind: Kind::Group,
            name: BoundedString::try_from(name).map_err(|_| ContextError::Name)?,
            disappear_after: None,
            roles: roles.map_err(|_| ContextError::TooManyRoles)?,
        }
        .checked()
    }

    fn checked(self) -> Result<Self, ContextError> {
        if self.name.chars().any(char::is_control) || (self.kind == Kind::Direct && !self.name.is_empty()) {
            return Err(ContextError::Name);
        }
        if let Some(seconds) = self.disappear_after
            && !(1..=u64::from(DISAPPEAR_SECONDS_MAX)).contains(&seconds)
        {
            return Err(ContextError::Timer);
        }
        if !self.roles.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(match self.kind {
                Kind::Direct => ContextError::NotTwo,
                Kind::Group => ContextError::Order,
            });
        }
        let has = |role| self.roles.iter().any(|(_, of)| *of == role);
        match self.kind {
            Kind::Direct if self.roles.len() != 2 || has(Role::Member) || has(Role::Admin) => Err(ContextError::NotTwo),
            Kind::Group if has(Role::Member) => Err(ContextError::PlainMember),
            Kind::Group if !has(Role::Owner) => Err(ContextError::NoOwner),
            _ => Ok(self),
        }
    }

    /// The session's name on the ledger.
    #[must_use]
    pub const fn handle(&self) -> GroupHandle {
        self.handle
    }

    /// What kind of session it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What people call it; empty for two people.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// After how many seconds messages disappear.
    #[must_use]
    pub const fn disappear_after(&self) -> Option<u64> {
        self.disappear_after
    }

    /// Those who are not plain members, ascending.
    #[must_use]
    pub const fn roles(&self) -> &[(IdentityId, Role)] {
        self.roles.as_slice()
    }

    /// The role that is written down for somebody.
    #[must_use]
    pub fn named(&self, identity: &IdentityId) -> Option<Role> {
        let place = self.roles.binary_search_by_key(identity, |(of, _)| *of).ok()?;
        self.roles.get(place).map(|(_, role)| *role)
    }

    /// The role of a member.
    #[must_use]
    pub fn role(&self, identity: &IdentityId) -> Role {
        self.named(identity).unwrap_or(Role::Member)
    }

    /// With another name.
    ///
    /// # Errors
    /// [`ContextError::Name`].
    pub fn with_name(&self, name: &str) -> Result<Self, ContextError> {
        let name = BoundedString::try_from(name).map_err(|_| ContextError::Name)?;
        Self { name, ..self.clone() }.checked()
    }

    /// With another timer.
    ///
    /// # Errors
    /// [`ContextError::Timer`].
    pub fn with_disappear_after(&self, seconds: Option<u64>) -> Result<Self, ContextError> {
        Self {
            disappear_after: seconds,
            ..self.clone()
        }
        .checked()
    }

    /// With another role for somebody; in a group, [`Role::Member`] takes the name off the list.
    ///
    /// # Errors
    /// [`ContextError`] if that leaves no owner, or there is no room.
    pub fn with_role(&self, identity: &IdentityId, role: Role) -> Result<Self, ContextError> {
        let mut roles: Vec<_> = self.roles.iter().filter(|(of, _)| of != identity).copied().collect();
        if role != Role::Member || self.kind == Kind::Direct {
            roles.push((*identity, role));
            roles.sort_unstable();
        }
        Self {
            roles: BoundedVec::try_from(roles).map_err(|_| ContextError::TooManyRoles)?,
            ..self.clone()
        }
        .checked()
    }

    /// When a message disappears that was written at `sent` and came at `received`, by the author's clock and by that of
    /// the one who keeps it; `None` if it stays. The earlier of the two counts, so that nobody's message stays longer
    /// because its author's clock is ahead, or because it was fetched late.
    #[must_use]
    pub fn disappears_at(&self, sent: UnixMillis, received: UnixMillis) -> Option<UnixMillis> {
        let seconds = self.disappear_after?;
        Some(sent.min(received).saturating_add(seconds.saturating_mul(1000)))
    }
}

impl<'de> Deserialize<'de> for GroupContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The same fields, not yet checked.
        #[derive(Deserialize)]
        struct Unchecked {
            handle: GroupHandle,
            kind: Kind,
            name: BoundedString<GROUP_NAME_BYTES_MAX>,
            disappear_after: Option<u64>,
            roles: BoundedVec<(IdentityId, Role), GROUP_ROLES_MAX>,
        }
        let Unchecked {
            handle,
            kind,
            name,
            disappear_after,
            roles,
        } = Unchecked::deserialize(deserializer)?;
        Self {
            handle,
            kind,
            name,
            disappear_after,
            roles,
        }
        .checked()
        .map_err(de::Error::custom)
    }
}

/// One device in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberDevice {
    /// Whose.
    pub identity: IdentityId,
    /// Which.
    pub device: DeviceId,
}

/// What a commit changes.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The context before it.
    pub before: &'a GroupContext,
    /// The context after it.
    pub after: &'a GroupContext,
    /// The devices in the session before it, the author's among them.
    pub members: &'a [MemberDevice],
    /// The device that made it.
    pub author: MemberDevice,
    /// The devices that it adds.
    pub added: &'a [MemberDevice],
    /// The devices that it removes.
    pub removed: &'a [MemberDevice],
}

/// Why a commit is not permitted. In the order in which it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Forbidden {
    /// 1: The context after it is none, or is missing. Found by whoever decodes it, before the rest.
    #[error("the context of the group is not one")]
    Context,
    /// 2: The author's device is not live.
    #[error("the author's device is revoked")]
    AuthorRevoked,
    /// 3: It changes the handle or the kind.
    #[error("handle and kind of a session never change")]
    Identity,
    /// 4: It removes a device that the author may not remove.
    #[error("the author may not remove this device")]
    Remove,
    /// 5: It adds a device that is not live.
    #[error("a device that is revoked, or none of its identity's, is added")]
    AddNotLive,
    /// 6: It adds a device that is there already, or twice.
    #[error("a device is added that is there already")]
    AddTwice,
    /// 7: It adds a device of somebody who is leaving.
    #[error("a device of somebody who is leaving is added")]
    AddLeaving,
    /// 8: It adds a device that the author may not add.
    #[error("the author may not add this device")]
    Add,
    /// 9: It changes the name.
    #[error("the author may not change the name")]
    Name,
    /// 10: It changes the time after which messages disappear.
    #[error("the author may not change after which time messages disappear")]
    Timer,
    /// 11: It changes a role that the author may not change so.
    #[error("the author may not change this role")]
    Role,
    /// 12: It gives a role to somebody none of whose devices is in the session.
    #[error("a role is given to somebody who is not in the session")]
    RoleOfStranger,
    /// 13: It changes roles so that no owner has a device in the session.
    #[error("no owner would be left in the group")]
    NoOwner,
}

/// Whether a commit may do what it does. `live` says whether a device is one of its identity's and not revoked, at the
/// height of the ledger at which the commit's entry stands: so all members give it the same answer.
///
/// | what | in a group | of two people |
/// |---|---|---|
/// | add a device of the own identity | anyone who is not leaving | the same |
/// | add a device of an owner or admin | anyone | anyone, of the other |
/// | add a device of anyone else | admins, owners | nobody |
/// | add a device of somebody who is leaving, a device that is not live, one twice | nobody | nobody |
/// | remove a device of the own identity (MLS: not the author's own) | anyone | anyone |
/// | remove a device that is not live, or of somebody who is leaving | anyone | anyone |
/// | remove a device and add it again | anyone | anyone |
/// | remove a device of somebody with a lower role | admins, owners | nobody |
/// | remove a device of an owner | owners | nobody |
/// | change the name | admins, owners | nobody |
/// | change the timer | admins, owners | anyone who is not leaving |
/// | lower the own role, down to leaving | anyone | anyone |
/// | raise the own role, or end the own leaving | nobody | nobody |
/// | give another a role, but leaving | owners, to those in the session | nobody |
/// | take somebody who was leaving off the list | anyone, with the last device | nobody |
/// | change handle or kind | nobody | nobody |
/// | renew the own keys | anyone | anyone |
///
/// Whenever roles change in a group, an owner with a device in the session is left. Whatever the author's device is: if it
/// is not live, nothing is permitted.
///
/// # Errors
/// [`Forbidden`], the first in its order.
pub fn permits(change: &Change<'_>, live: impl Fn(&MemberDevice) -> bool) -> Result<(), Forbidden> {
    let Change {
        before,
        after,
        members,
        author,
        added,
        removed,
    } = *change;
    if !live(&author) {
        return Err(Forbidden::AuthorRevoked);
    }
    if before.handle != after.handle || before.kind != after.kind {
        return Err(Forbidden::Identity);
    }
    let is_group = before.kind == Kind::Group;
    let rank = before.role(&author.identity);
    let is_admin = is_group && rank >= Role::Admin;

    for device in removed {
        let target = before.role(&device.identity);
        let permitted = device.identity == author.identity
            || target == Role::Leaving
            || added.contains(device)
            || (is_admin && (target < rank || rank == Role::Owner))
            || !live(device);
        if !permitted {
            return Err(Forbidden::Remove);
        }
    }

    if !added.iter().all(&live) {
        return Err(Forbidden::AddNotLive);
    }
    for (position, device) in added.iter().enumerate() {
        let is_there = members.contains(device) && !removed.contains(device);
        if is_there || added.iter().take(position).any(|other| other == device) {
            return Err(Forbidden::AddTwice);
        }
    }
    for device in added {
        match before.named(&device.identity) {
            Some(Role::Leaving) => return Err(Forbidden::AddLeaving),
            Some(Role::Owner | Role::Admin) => {}
            Some(Role::Member) | None => {
                if device.identity != author.identity && !removed.contains(device) && !is_admin {
                    return Err(Forbidden::Add);
                }
            }
        }
    }

    if before.name != after.name && !is_admin {
        return Err(Forbidden::Name);
    }
    if before.disappear_after != after.disappear_after {
        let permitted = if is_group { is_admin } else { rank != Role::Leaving };
        if !permitted {
            return Err(Forbidden::Timer);
        }
    }

    if before.roles == after.roles {
        return Ok(());
    }
    let stays = |device: &&MemberDevice| !removed.contains(device) || added.contains(device);
    let is_present = |identity: &IdentityId| {
        let mut left = members.iter().filter(stays).chain(added);
        left.any(|device| device.identity == *identity)
    };
    let named = before.roles.iter().chain(&after.roles);
    for (identity, _) in named.clone() {
        let (old, new) = (before.role(identity), after.role(identity));
        let permitted = if old == new {
            true
        } else if old == Role::Leaving {
            new == Role::Member && !is_present(identity)
        } else if *identity == author.identity {
            new < old
        } else {
            is_group && rank == Role::Owner && new != Role::Leaving
        };
        if !permitted {
            return Err(Forbidden::Role);
        }
    }
    for (identity, new) in &after.roles {
        if *new > before.role(identity) && !is_present(identity) {
            return Err(Forbidden::RoleOfStranger);
        }
    }
    let is_owned = after
        .roles
        .iter()
        .any(|(identity, role)| *role == Role::Owner && is_present(identity));
    if is_group && !is_owned {
        return Err(Forbidden::NoOwner);
    }
    Ok(())
}

/// Whether a context fits those who are in the session, for whoever joins: of two people, nobody else is in it.
#[must_use]
pub fn fits(context: &GroupContext, members: &[MemberDevice]) -> bool {
    match context.kind {
        Kind::Direct => members.iter().all(|device| context.named(&device.identity).is_some()),
        Kind::Group => true,
    }
}

/// The text of a name as [`GroupContext::with_name`] takes it: without control characters and blanks around it.
#[must_use]
pub fn tidy_name(name: &str) -> String {
    name.trim()
        .chars()
        .filter(|character| !character.is_control())
        .collect()
}
