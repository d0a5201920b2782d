//! How many may have a role, and who waits for a place.

use crate::world::{
    World,
    villain::{commit_in_parts, inside, update},
};
use tokenim_conversation::{GroupContext, Role};
use tokenim_session::{
    mls::Proposed,
    step::{Change, ConversationId, Input, Standing, StepError},
};
use tokenim_wire::{
    Object,
    limits::{GROUP_ROLES_GIVEN_MAX, GROUP_ROLES_MAX},
};

const PEOPLE: usize = GROUP_ROLES_MAX + 2;
const LAST: usize = PEOPLE - 1;

/// A group so large that not everybody can have a role; only the first and the last of them are there.
fn large(seed: u64) -> (World, ConversationId) {
    let mut world = World::new(seed, PEOPLE, 1);
    for device in &mut world.devices[1..LAST] {
        device.online = false;
    }
    let group = world.group(0, &(1..PEOPLE).collect::<Vec<_>>());
    world.settle();
    world.assert_together(&[0, LAST], group);
    assert_eq!(world.info(0, group).members.len(), PEOPLE);
    (world, group)
}

fn role(world: &World, at: usize, group: ConversationId, person: usize) -> Option<Role> {
    let members = world.info(at, group).members;
    let found = members.iter().find(|member| member.identity == world.people[person]);
    found.map(|member| member.role)
}

#[test]
fn owners_give_roles_while_there_is_room_for_those_who_leave() {
    let (mut world, group) = large(70);
    let admin = |world: &World, person: usize| Input::Change {
        conversation: group,
        change: Change::SetRole(world.people[person], Role::Admin),
    };
    // As many at once as there are places; what comes later finds none.
    for person in 1..GROUP_ROLES_MAX {
        let input = admin(&world, person);
        let made = world.step(0, input);
        assert!(matches!(made, Ok(true) | Err(StepError::Full("roles"))), "{made:?}");
    }
    world.settle();
    let given = |world: &World, at| {
        (0..PEOPLE)
            .filter(|person| role(world, at, group, *person) > Some(Role::Member))
            .count()
    };
    for at in [0, LAST] {
        assert_eq!(given(&world, at), GROUP_ROLES_GIVEN_MAX);
    }
    let without = (1..PEOPLE)
        .find(|person| role(&world, 0, group, *person) == Some(Role::Member))
        .unwrap();
    let input = admin(&world, without);
    assert_eq!(world.step(0, input), Err(StepError::Full("roles")));
    // One who has a role may have another one, and a place that is free again can be given.
    let owner = Change::SetRole(world.people[1], Role::Owner);
    world.change(0, group, owner);
    let none = Change::SetRole(world.people[2], Role::Member);
    world.change(0, group, none);
    world.settle();
    assert_eq!(given(&world, LAST), GROUP_ROLES_GIVEN_MAX - 1);
    assert_eq!(role(&world, LAST, group, 1), Some(Role::Owner));
    let input = admin(&world, without);
    assert_eq!(world.step(0, input), Ok(true));
    world.settle();
    assert_eq!(role(&world, LAST, group, without), Some(Role::Admin));
}

#[test]
fn who_finds_no_place_waits_until_another_one_who_leaves_is_removed() {
    let (mut world, group) = large(71);
    let inside = inside(&world, 0, group).unwrap();
    let mut context = GroupContext::from_bytes(inside.group.context()).unwrap();
    for person in 1..GROUP_ROLES_MAX {
        context = context.with_role(&world.people[person], Role::Admin).unwrap();
    }
    let context = Some(context.to_bytes().unwrap());
    world.devices[0].online = false;
    let proposed = Proposed { context, ..update() };
    commit_in_parts(&mut world, 0, group, &proposed, (1, true)).unwrap();
    world.settle();
    assert_eq!(role(&world, LAST, group, 1), Some(Role::Admin));
    world.change(LAST, group, Change::Leave);
    world.settle();
    assert_eq!(world.info(LAST, group).standing, Standing::Active);
    assert_eq!(role(&world, LAST, group, LAST), Some(Role::Member));
    let epoch = world.info(LAST, group).epoch;
    world.sleep(65_000);
    world.settle();
    assert_eq!(world.info(LAST, group).epoch, epoch);
    // An admin has a place to leave from, which is free when it is gone.
    for at in [1, 2] {
        world.devices[at].online = true;
    }
    world.settle();
    world.change(1, group, Change::Leave);
    world.settle();
    world.settle();
    for at in [1, LAST] {
        assert_eq!(world.info(at, group).standing, Standing::Removed);
    }
    assert_eq!(role(&world, 2, group, LAST), None);
    assert_eq!(world.info(2, group).members.len(), PEOPLE - 2);
}
