//! Each cell of the table of who may change what.

use tokenim_conversation::{
    GroupContext, Role,
    policy::{Change, ContextError, Forbidden, MemberDevice, fits, permits, tidy_name},
};
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::UnixMillis;

const HANDLE: GroupHandle = GroupHandle::from_bytes([5; 32]);

const fn person(number: u8) -> IdentityId {
    IdentityId::from_bytes([number; 32])
}

const fn device(of: u8, number: u8) -> MemberDevice {
    MemberDevice {
        identity: person(of),
        device: DeviceId::from_bytes([number; 32]),
    }
}

const OWNER: u8 = 1;
const ADMIN: u8 = 2;
const MEMBER: u8 = 3;
const LEAVING: u8 = 4;
const OTHER: u8 = 5;
const OTHER_ADMIN: u8 = 6;
const OTHER_OWNER: u8 = 7;
const STRANGER: u8 = 8;
/// An owner none of whose devices is in the session.
const ABSENT: u8 = 9;
const EVERYONE: [u8; 4] = [OWNER, ADMIN, MEMBER, LEAVING];

/// Two devices of each.
fn members() -> Vec<MemberDevice> {
    (OWNER..=OTHER_OWNER)
        .flat_map(|of| [device(of, 1), device(of, 2)])
        .collect()
}

fn group() -> GroupContext {
    let roles = [
        (ADMIN, Role::Admin),
        (LEAVING, Role::Leaving),
        (OTHER_ADMIN, Role::Admin),
        (OTHER_OWNER, Role::Owner),
        (ABSENT, Role::Owner),
    ];
    roles.iter().fold(
        GroupContext::group(HANDLE, "name", person(OWNER)).unwrap(),
        |context, (of, role)| context.with_role(&person(*of), *role).unwrap(),
    )
}

/// OWNER and LEAVING.
fn two() -> GroupContext {
    let two = GroupContext::direct(HANDLE, person(LEAVING), person(OWNER)).unwrap();
    two.with_role(&person(LEAVING), Role::Leaving).unwrap()
}

/// Of whom device 3 of each is revoked.
struct Attempt {
    before: GroupContext,
    after: GroupContext,
    members: Vec<MemberDevice>,
    added: Vec<MemberDevice>,
    removed: Vec<MemberDevice>,
}

impl Attempt {
    fn in_group() -> Self {
        Self {
            before: group(),
            after: group(),
            members: members(),
            added: Vec::new(),
            removed: Vec::new(),
        }
    }

    fn of_two() -> Self {
        Self {
            before: two(),
            after: two(),
            members: [OWNER, LEAVING]
                .into_iter()
                .flat_map(|of| [device(of, 1), device(of, 2)])
                .collect(),
            ..Self::in_group()
        }
    }

    fn add(mut self, device: MemberDevice) -> Self {
        self.added.push(device);
        self
    }

    fn remove(mut self, device: MemberDevice) -> Self {
        self.removed.push(device);
        self
    }

    fn context(mut self, change: impl FnOnce(&GroupContext) -> Result<GroupContext, ContextError>) -> Self {
        self.after = change(&self.after).unwrap();
        self
    }

    fn role(self, of: u8, role: Role) -> Self {
        self.context(|context| context.with_role(&person(of), role))
    }

    fn with_member(mut self, device: MemberDevice) -> Self {
        self.members.push(device);
        self
    }

    fn by(&self, author: MemberDevice) -> Result<(), Forbidden> {
        let change = Change {
            before: &self.before,
            after: &self.after,
            members: &self.members,
            author,
            added: &self.added,
            removed: &self.removed,
        };
        permits(&change, |device| device.device != DeviceId::from_bytes([3; 32]))
    }

    /// Those of EVERYONE, in the first device, may; the others are refused so.
    #[track_caller]
    fn only(&self, may: &[u8], error: Forbidden) {
        for author in EVERYONE {
            if !self.members.contains(&device(author, 1)) {
                continue;
            }
            let expected = if may.contains(&author) { Ok(()) } else { Err(error) };
            assert_eq!(self.by(device(author, 1)), expected, "by {author}");
        }
    }
}

#[test]
fn everyone_renews_their_keys_but_a_revoked_device() {
    Attempt::in_group().only(&EVERYONE, Forbidden::Context);
    Attempt::of_two().only(&EVERYONE, Forbidden::Context);
    assert_eq!(Attempt::in_group().by(device(OWNER, 3)), Err(Forbidden::AuthorRevoked));
}

#[test]
fn handle_and_kind_never_change() {
    let mut other = Attempt::in_group();
    other.after = GroupContext::group(GroupHandle::from_bytes([6; 32]), "name", person(OWNER)).unwrap();
    other.only(&[], Forbidden::Identity);
    let mut other = Attempt::in_group();
    other.after = two();
    other.only(&[], Forbidden::Identity);
}

#[test]
fn own_devices_are_added_by_anyone_who_is_not_leaving() {
    for author in [OWNER, ADMIN, MEMBER] {
        assert_eq!(Attempt::in_group().add(device(author, 9)).by(device(author, 1)), Ok(()));
    }
    let own = Attempt::in_group().add(device(LEAVING, 9));
    assert_eq!(own.by(device(LEAVING, 1)), Err(Forbidden::AddLeaving));
    Attempt::of_two()
        .add(device(OWNER, 9))
        .only(&[OWNER, LEAVING], Forbidden::Add);
    Attempt::of_two()
        .add(device(LEAVING, 9))
        .only(&[], Forbidden::AddLeaving);
}

#[test]
fn devices_of_owners_and_admins_are_added_by_anyone() {
    for of in [ABSENT, OTHER_ADMIN, OTHER_OWNER] {
        Attempt::in_group().add(device(of, 9)).only(&EVERYONE, Forbidden::Add);
    }
}

#[test]
fn everyone_else_is_added_by_admins_and_owners() {
    for of in [OTHER, STRANGER] {
        Attempt::in_group()
            .add(device(of, 9))
            .only(&[OWNER, ADMIN], Forbidden::Add);
    }
    Attempt::of_two().add(device(STRANGER, 9)).only(&[], Forbidden::Add);
}

#[test]
fn nobody_adds_who_is_leaving_what_is_revoked_or_what_is_there() {
    Attempt::in_group()
        .add(device(LEAVING, 9))
        .only(&[], Forbidden::AddLeaving);
    for of in [OWNER, STRANGER] {
        Attempt::in_group().add(device(of, 3)).only(&[], Forbidden::AddNotLive);
    }
    Attempt::in_group()
        .add(device(MEMBER, 2))
        .only(&[], Forbidden::AddTwice);
    let twice = Attempt::in_group().add(device(STRANGER, 9)).add(device(STRANGER, 9));
    twice.only(&[], Forbidden::AddTwice);
}

#[test]
fn own_devices_are_removed_by_anyone() {
    for author in EVERYONE {
        assert_eq!(
            Attempt::in_group().remove(device(author, 2)).by(device(author, 1)),
            Ok(())
        );
    }
    for author in [OWNER, LEAVING] {
        assert_eq!(
            Attempt::of_two().remove(device(author, 2)).by(device(author, 1)),
            Ok(())
        );
    }
}

#[test]
fn revoked_devices_and_those_of_the_leaving_are_removed_by_anyone() {
    for of in [OWNER, OTHER_OWNER, MEMBER] {
        let revoked = Attempt::in_group().with_member(device(of, 3)).remove(device(of, 3));
        revoked.only(&EVERYONE, Forbidden::Remove);
    }
    Attempt::in_group()
        .remove(device(LEAVING, 2))
        .only(&EVERYONE, Forbidden::Remove);
    Attempt::of_two()
        .remove(device(LEAVING, 2))
        .only(&EVERYONE, Forbidden::Remove);
    let revoked = Attempt::of_two().with_member(device(OWNER, 3)).remove(device(OWNER, 3));
    revoked.only(&EVERYONE, Forbidden::Remove);
}

#[test]
fn a_device_is_removed_and_added_again_by_anyone() {
    for of in [OTHER, OTHER_OWNER] {
        let again = Attempt::in_group().remove(device(of, 2)).add(device(of, 2));
        again.only(&EVERYONE, Forbidden::Remove);
    }
    let again = Attempt::of_two().remove(device(OWNER, 2)).add(device(OWNER, 2));
    again.only(&EVERYONE, Forbidden::Remove);
    // but not into another device
    let other = Attempt::in_group().remove(device(OTHER, 2)).add(device(OTHER, 9));
    other.only(&[OWNER, ADMIN], Forbidden::Remove);
}

#[test]
fn lower_roles_are_removed_by_admins_and_owners_and_owners_by_owners() {
    Attempt::in_group()
        .remove(device(OTHER, 2))
        .only(&[OWNER, ADMIN], Forbidden::Remove);
    Attempt::in_group()
        .remove(device(OTHER_ADMIN, 2))
        .only(&[OWNER], Forbidden::Remove);
    Attempt::in_group()
        .remove(device(OTHER_OWNER, 2))
        .only(&[OWNER], Forbidden::Remove);
    Attempt::of_two()
        .remove(device(OWNER, 2))
        .only(&[OWNER], Forbidden::Remove);
}

#[test]
fn the_name_is_changed_by_admins_and_owners() {
    let named = Attempt::in_group().context(|context| context.with_name("another"));
    named.only(&[OWNER, ADMIN], Forbidden::Name);
    assert_eq!(two().with_name("us"), Err(ContextError::Name));
}

#[test]
fn the_timer_is_changed_by_admins_and_owners_and_by_either_of_two() {
    for seconds in [None, Some(1), Some(31_536_000)] {
        let mut attempt = Attempt::in_group();
        attempt.before = attempt.before.with_disappear_after(Some(60)).unwrap();
        attempt.after = attempt.after.with_disappear_after(seconds).unwrap();
        attempt.only(&[OWNER, ADMIN], Forbidden::Timer);
        let mut attempt = Attempt::of_two();
        attempt.before = attempt.before.with_disappear_after(Some(60)).unwrap();
        attempt.after = attempt.after.with_disappear_after(seconds).unwrap();
        attempt.only(&[OWNER], Forbidden::Timer);
    }
}

#[test]
fn the_own_role_is_lowered_by_anyone_and_raised_by_nobody() {
    const ORDER: [Role; 4] = [Role::Leaving, Role::Member, Role::Admin, Role::Owner];
    for (author, old) in [
        (OWNER, Role::Owner),
        (ADMIN, Role::Admin),
        (MEMBER, Role::Member),
        (LEAVING, Role::Leaving),
    ] {
        for new in ORDER {
            let attempt = Attempt::in_group().role(author, new);
            let expected = if new <= old { Ok(()) } else { Err(Forbidden::Role) };
            assert_eq!(attempt.by(device(author, 1)), expected, "{old:?} to {new:?}");
        }
    }
    let leaves = |author| Attempt::of_two().role(OWNER, Role::Leaving).by(device(author, 1));
    assert_eq!(leaves(OWNER), Ok(()));
    assert_eq!(leaves(LEAVING), Err(Forbidden::Role));
    Attempt::of_two().role(LEAVING, Role::Owner).only(&[], Forbidden::Role);
}

#[test]
fn roles_are_given_by_owners_to_those_who_are_there() {
    for role in [Role::Admin, Role::Owner] {
        Attempt::in_group().role(OTHER, role).only(&[OWNER], Forbidden::Role);
        let stranger = Attempt::in_group().role(STRANGER, role);
        assert_eq!(stranger.by(device(OWNER, 1)), Err(Forbidden::RoleOfStranger));
        // who comes with the same commit is there
        assert_eq!(stranger.add(device(STRANGER, 9)).by(device(OWNER, 1)), Ok(()));
    }
    for role in [Role::Member, Role::Owner] {
        Attempt::in_group()
            .role(OTHER_ADMIN, role)
            .only(&[OWNER], Forbidden::Role);
    }
    for role in [Role::Member, Role::Admin] {
        Attempt::in_group()
            .role(OTHER_OWNER, role)
            .only(&[OWNER], Forbidden::Role);
        Attempt::in_group().role(ABSENT, role).only(&[OWNER], Forbidden::Role);
    }
    for of in [OTHER, OTHER_ADMIN, OTHER_OWNER] {
        Attempt::in_group().role(of, Role::Leaving).only(&[], Forbidden::Role);
    }
}

#[test]
fn who_was_leaving_comes_off_the_list_with_the_last_device() {
    let early = Attempt::in_group().role(LEAVING, Role::Member);
    early.only(&[], Forbidden::Role);
    let half = Attempt::in_group()
        .remove(device(LEAVING, 2))
        .role(LEAVING, Role::Member);
    assert_eq!(half.by(device(MEMBER, 1)), Err(Forbidden::Role));
    let last = half.remove(device(LEAVING, 1));
    for author in [OWNER, ADMIN, MEMBER] {
        assert_eq!(last.by(device(author, 1)), Ok(()), "by {author}");
    }
    // and may stay on it
    let stays = Attempt::in_group()
        .remove(device(LEAVING, 1))
        .remove(device(LEAVING, 2));
    assert_eq!(stays.by(device(MEMBER, 1)), Ok(()));
}

#[test]
fn an_owner_who_is_there_is_left_whenever_roles_change() {
    let mut attempt = Attempt::in_group();
    attempt.before = attempt.before.with_role(&person(OTHER_OWNER), Role::Member).unwrap();
    attempt.after = attempt.before.clone();
    // ABSENT is an owner still, but nobody's device is there to act for it
    let leaving = attempt.role(OWNER, Role::Leaving);
    assert_eq!(leaving.by(device(OWNER, 1)), Err(Forbidden::NoOwner));
    let handed_over = leaving.role(MEMBER, Role::Owner);
    assert_eq!(handed_over.by(device(OWNER, 1)), Ok(()));
    let returned = Attempt {
        after: handed_over.before.with_role(&person(OWNER), Role::Leaving).unwrap(),
        ..handed_over
    };
    assert_eq!(returned.add(device(ABSENT, 1)).by(device(OWNER, 1)), Ok(()));
    // the type itself refuses a group without any
    let alone = GroupContext::group(HANDLE, "", person(OWNER)).unwrap();
    assert_eq!(alone.with_role(&person(OWNER), Role::Admin), Err(ContextError::NoOwner));
}

#[test]
fn a_session_of_two_fits_nobody_else() {
    assert!(fits(&two(), &Attempt::of_two().members));
    assert!(!fits(
        &two(),
        &Attempt::of_two().with_member(device(STRANGER, 1)).members
    ));
    assert!(fits(&group(), &members()));
    assert_eq!(
        GroupContext::direct(HANDLE, person(1), person(1)),
        Err(ContextError::NotTwo)
    );
}

#[test]
fn a_message_disappears_by_the_earlier_of_two_clocks() {
    let context = group().with_disappear_after(Some(60)).unwrap();
    let at = |sent: u64, received: u64| context.disappears_at(UnixMillis::new(sent), UnixMillis::new(received));
    assert_eq!(at(1_000, 5_000), Some(UnixMillis::new(61_000)));
    assert_eq!(at(5_000, 1_000), Some(UnixMillis::new(61_000)));
    assert_eq!(at(u64::MAX, u64::MAX), Some(UnixMillis::MAX));
    assert_eq!(group().disappears_at(UnixMillis::new(1), UnixMillis::new(1)), None);
}

#[test]
fn names_are_tidied_for_those_who_type_them() {
    assert_eq!(tidy_name("  Reading\n circle\t"), "Reading circle");
    assert!(group().with_name(&tidy_name("a\u{0}b")).is_ok());
}
