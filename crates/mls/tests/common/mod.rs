//! People with devices, and groups of them.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use tokenim_identity::{DeviceSigningKey, IdentityId};
use tokenim_mls::{Group, NewKeyPackage, Owner, Proposed, SessionSuite, key_package};
use tokenim_wire::{NetworkId, UnixSeconds};

pub const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
pub const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
pub const DAY: u64 = 24 * 60 * 60;
pub const CONTEXT: &[u8] = b"what the group is";

pub fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

pub fn owner(number: u8) -> Owner {
    Owner {
        network: NETWORK,
        identity: IdentityId::from_bytes([number; 32]),
        device: DeviceSigningKey::from_seed([number; 32]),
    }
}

pub fn package(number: u8, suite: SessionSuite) -> NewKeyPackage {
    key_package(&owner(number), suite, NOW, 30 * DAY, &mut rng(100 + number)).unwrap()
}

pub fn later(seconds: u64) -> UnixSeconds {
    NOW.saturating_add(seconds)
}

pub fn create(suite: SessionSuite) -> Group {
    Group::create(&owner(0), suite, CONTEXT, NOW, &mut rng(0)).unwrap()
}

pub fn add(packages: &[&NewKeyPackage]) -> Proposed {
    Proposed {
        add: packages.iter().map(|package| package.package.clone()).collect(),
        ..Proposed::default()
    }
}

pub fn update() -> Proposed {
    Proposed {
        update: true,
        ..Proposed::default()
    }
}

/// A group of so many devices, each of another identity, in epoch 1.
pub fn group(suite: SessionSuite, members: u8) -> Vec<Group> {
    let packages: Vec<_> = (1..members).map(|number| package(number, suite)).collect();
    let commit = create(suite)
        .commit(&add(&packages.iter().collect::<Vec<_>>()), NOW, &mut rng(200))
        .unwrap();
    let welcome = commit.welcome.unwrap();
    let mut groups = vec![commit.next];
    for (number, package) in (1..members).zip(&packages) {
        groups.push(Group::join(&owner(number), &package.secrets, &welcome).unwrap());
    }
    groups
}

/// All but the author apply a commit; the author goes on with its own next group.
pub fn advance(groups: &mut [Group], author: usize, proposed: &Proposed, seed: u8) -> tokenim_mls::Commit {
    let commit = groups[author].commit(proposed, NOW, &mut rng(seed)).unwrap();
    for (index, group) in groups.iter_mut().enumerate() {
        *group = if index == author {
            commit.next.clone()
        } else {
            group.apply(&commit.bytes, NOW).unwrap().next.unwrap()
        };
    }
    commit
}

/// That all are in the same epoch with the same secrets.
pub fn assert_agree(groups: &[Group]) {
    let all = |group: &Group| {
        (
            group.epoch(),
            group.authenticator().unwrap(),
            group.export("test", b"context", 40).unwrap(),
            group.leaves(),
            group.context().to_vec(),
        )
    };
    for group in &groups[1..] {
        assert!(all(group) == all(&groups[0]), "the groups differ");
    }
}
