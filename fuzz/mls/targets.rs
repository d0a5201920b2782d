//! What each fuzz target asserts; the tests of `tokenim-mls` replay the corpora through the same functions.

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::sync::LazyLock;
use tokenim_identity::{DeviceSigningKey, IdentityId};
use tokenim_mls::{
    Group, NewKeyPackage, Owner, Proposed, SessionSuite, SignedLeafCertificate, key_package, read_key_package,
    welcome_packages,
};
use tokenim_wire::{NetworkId, Object, UnixSeconds};

pub const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
pub const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);

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

pub fn new_package(number: u8, suite: SessionSuite) -> NewKeyPackage {
    key_package(&owner(number), suite, NOW, 86_400, &mut rng(number)).unwrap()
}

/// Two members of a group in epoch 1, the key package of the second and the Welcome for it.
pub struct Pair {
    pub groups: [Group; 2],
    pub package: NewKeyPackage,
    pub welcome: Vec<u8>,
}

pub fn pair(suite: SessionSuite) -> Pair {
    let package = new_package(2, suite);
    let first = Group::create(&owner(1), suite, b"context", NOW, &mut rng(10)).unwrap();
    let proposed = Proposed {
        add: vec![package.package.clone()],
        ..Proposed::default()
    };
    let commit = first.commit(&proposed, NOW, &mut rng(11)).unwrap();
    let welcome = commit.welcome.unwrap();
    let second = Group::join(&owner(2), &package.secrets, &welcome).unwrap();
    Pair {
        groups: [commit.next, second],
        package,
        welcome,
    }
}

pub static PAIRS: LazyLock<[Pair; 2]> = LazyLock::new(|| SessionSuite::ALL.map(pair));

/// A leaf certificate has one encoding.
pub fn certificate(data: &[u8]) {
    if let Ok(certificate) = SignedLeafCertificate::from_bytes(data) {
        assert_eq!(certificate.to_bytes().unwrap(), data);
        let leaf = certificate.certificate.leaf;
        let _ = SignedLeafCertificate::check(&NETWORK, certificate.certificate.suite, &leaf, data);
    }
}

/// A key package that is taken can be added.
pub fn package(data: &[u8]) {
    let Ok(info) = read_key_package(&NETWORK, data, NOW) else {
        return;
    };
    for pair in PAIRS.iter().filter(|pair| pair.groups[0].suite() == info.suite) {
        let proposed = Proposed {
            add: vec![data.to_vec()],
            ..Proposed::default()
        };
        if let Ok(commit) = pair.groups[0].commit(&proposed, NOW, &mut rng(12)) {
            assert_eq!(commit.added[0].certificate, info.certificate);
        }
    }
}

/// A Welcome is refused, or makes a member.
pub fn join(data: &[u8]) {
    let _ = welcome_packages(data);
    for pair in PAIRS.iter() {
        if let Ok(group) = Group::join(&owner(2), &pair.package.secrets, data) {
            assert_eq!(group.leaf(group.own()).unwrap().identity, owner(2).identity);
        }
    }
}

/// A message or a commit is refused without a trace, or is a member's.
pub fn member(data: &[u8]) {
    for pair in PAIRS.iter() {
        let mut group = pair.groups[1].clone();
        let before = group.to_bytes().unwrap();
        if let Ok(applied) = group.apply(data, NOW) {
            assert_eq!(applied.author, 0);
        }
        assert!(group.to_bytes().unwrap() == before);
        match group.decrypt(data) {
            Ok(opened) => assert_eq!(opened.author, 0),
            Err(_) => assert!(group.to_bytes().unwrap() == before),
        }
    }
}

/// What is kept is taken up as it was, or not at all.
pub fn state(data: &[u8]) {
    if let Ok(group) = Group::from_bytes(NETWORK, data) {
        let kept = group.to_bytes().unwrap();
        assert!(Group::from_bytes(NETWORK, &kept).unwrap().to_bytes().unwrap() == kept);
    }
}
