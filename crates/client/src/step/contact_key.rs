//! The rotating envelope keys of this device: when a new one is due, and when an old one may be forgotten.

use alloc::{boxed::Box, vec::Vec};

use serde::{Deserialize, Serialize};
use tokenim_identity::{DeviceKeys, EnvelopeKey, NodeKey};
use tokenim_mailbox::{ContactKeys, KeyPackage, PostageBits, Quorum, SignedContactKeys, key_package_suite};
use tokenim_wire::limits::{
    CLOCK_SKEW_SECONDS_MAX, CONTACT_KEYS_BYTES_MAX, CONTACT_STOCK_BYTES_MAX, ENVELOPE_LIFETIME_SECONDS_MAX,
    KEY_PACKAGES_MAX,
};
use tokenim_wire::{BoundedBytes, BoundedVec, Object, SetEpoch, UnixSeconds};

use super::state::{StateError, Step, object, put};
use super::{Batch, Table, View};

/// Seconds after which a device makes a new contact key: 7 days.
pub const ROTATION_SECONDS: u64 = 7 * 24 * 3_600;
/// Seconds for which a contact key is good: twice as long, so that a device may be off for a week.
pub const LIFETIME_SECONDS: u64 = 2 * ROTATION_SECONDS;
/// Seconds after which what is published is published again, for nodes that lost it: one day.
pub const REPUBLISH_SECONDS: u64 = 24 * 3_600;
/// Seconds for which another device's contact keys are used that Q nodes were asked for: ten minutes.
pub const FETCHED_SECONDS: u64 = 600;
/// Seconds for which they are used if fewer nodes have answered.
pub const FETCHED_OF_FEW_SECONDS: u64 = 30;
/// Bytes of a sealed secret.
pub const SEALED_SECRET_BYTES_MAX: usize = 96;

/// One contact key of this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnContactKey {
    /// What is published.
    pub keys: SignedContactKeys,
    /// The seed of its secret key, sealed by the host for this device alone.
    pub secret: BoundedBytes<SEALED_SECRET_BYTES_MAX>,
    /// When and in which set epoch a write quorum last took it.
    pub published: Option<(UnixSeconds, SetEpoch)>,
}

impl Object for OwnContactKey {
    const NAME: &'static str = "client contact key";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CONTACT_KEYS_BYTES_MAX + SEALED_SECRET_BYTES_MAX + 32;
}

impl OwnContactKey {
    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.keys.keys.number
    }

    /// Whether its secret is used no longer for what is published anew.
    #[must_use]
    pub fn is_rotated(&self, now: UnixSeconds) -> bool {
        self.keys.keys.created.saturating_add(ROTATION_SECONDS) <= now
    }

    /// From when on no accepted envelope can be sealed to it: it was good until then, an envelope lives that long, and
    /// three clocks may differ. The secret is deleted then, and not before.
    #[must_use]
    pub fn forgotten_after(&self) -> UnixSeconds {
        self.keys
            .keys
            .expires
            .saturating_add(ENVELOPE_LIFETIME_SECONDS_MAX)
            .saturating_add(CLOCK_SKEW_SECONDS_MAX.saturating_mul(3))
    }
}

/// What is to be done about the contact key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// A new one with this number is to be made, kept and published; its secret is new if the one before is to be replaced.
    New(u64),
    /// The newest is to be published.
    Publish(Box<OwnContactKey>),
}

/// The contact keys that are kept, oldest first.
///
/// # Errors
/// The store's, or a damaged value.
pub fn own<V: View>(view: &V) -> Step<Vec<OwnContactKey>, V> {
    view.scan(Table::ContactKey, &[], usize::MAX)
        .map_err(StateError::Store)?
        .into_iter()
        .map(|(_, value)| OwnContactKey::from_bytes(&value).map_err(|_| StateError::Damaged(Table::ContactKey)))
        .collect()
}

/// What is due now, when nodes of this set epoch keep the inbox.
///
/// # Errors
/// The store's, or a damaged value.
pub fn due<V: View>(view: &V, epoch: SetEpoch, now: UnixSeconds) -> Step<Due, V> {
    let Some(newest) = own(view)?.pop() else {
        return Ok(Due::New(1));
    };
    let packages = object::<OwnPackages, V>(view, Table::Meta, PACKAGES)?;
    let other_packages = packages.is_some_and(|packages| packages.number > newest.number());
    let other_postage = newest.keys.keys.postage != postage(view)?;
    if other_packages || other_postage || newest.is_rotated(now) {
        return Ok(Due::New(newest.number().saturating_add(1)));
    }
    let fresh = newest
        .published
        .is_some_and(|(at, of)| of == epoch && at.saturating_add(REPUBLISH_SECONDS) > now);
    Ok(if fresh {
        Due::Nothing
    } else {
        Due::Publish(Box::new(newest))
    })
}

/// Where the postage is kept that the owner asks for, in [`Table::Meta`]: its bits, one byte.
const POSTAGE: &[u8] = b"postage";

/// The postage that the owner asks for; at first the usual.
///
/// # Errors
/// The store's, or a damaged value.
pub fn postage<V: View>(view: &V) -> Step<PostageBits, V> {
    match view.get(Table::Meta, POSTAGE).map_err(StateError::Store)?.as_deref() {
        None => Ok(PostageBits::DEFAULT),
        Some([bits]) => PostageBits::new(*bits).map_err(|_| StateError::Damaged(Table::Meta)),
        Some(_) => Err(StateError::Damaged(Table::Meta)),
    }
}

/// Keeps the postage that the owner asks for from now on, for which a new contact key is due. Less than the usual counts as
/// the usual: senders give that in any case.
#[must_use]
pub fn set_postage(bits: PostageBits) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Meta, POSTAGE, [bits.max(PostageBits::DEFAULT).get()]);
    batch
}

/// Keeps a new contact key, before it is published. Nothing is kept if another process was first. The key before it is dropped
/// if it is of the same secret, which the new one has as well.
///
/// # Errors
/// The store's, or a damaged value.
pub fn keep<V: View>(view: &V, key: &OwnContactKey) -> Step<Batch, V> {
    let mut batch = Batch::new();
    let row = key.number().to_be_bytes();
    if object::<OwnContactKey, V>(view, Table::ContactKey, &row)?.is_none() {
        put(&mut batch, Table::ContactKey, &row, key)?;
        let same = |other: &OwnContactKey| other.keys.keys.envelope == key.keys.keys.envelope;
        if let Some(before) = own(view)?.pop().filter(same) {
            batch.delete(Table::ContactKey, before.number().to_be_bytes());
        }
    }
    Ok(batch)
}

/// Keeps that a write quorum has taken a contact key.
///
/// # Errors
/// The store's, or a damaged value.
pub fn published<V: View>(view: &V, number: u64, epoch: SetEpoch, now: UnixSeconds) -> Step<Batch, V> {
    let mut batch = Batch::new();
    let row = number.to_be_bytes();
    if let Some(mut key) = object::<OwnContactKey, V>(view, Table::ContactKey, &row)? {
        key.published = Some((now, epoch));
        put(&mut batch, Table::ContactKey, &row, &key)?;
    }
    Ok(batch)
}

/// The key packages that are published with a contact key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OwnPackages {
    /// The number of the first contact key that they are published with: nodes take other packages only with a new one.
    number: u64,
    /// Each with the node that hands it out, and no other one does.
    packages: BoundedVec<(KeyPackage, NodeKey), KEY_PACKAGES_MAX>,
}

impl Object for OwnPackages {
    const NAME: &'static str = "client key packages";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = CONTACT_STOCK_BYTES_MAX + KEY_PACKAGES_MAX * 32;
}

/// Where they are kept, in [`Table::Meta`].
const PACKAGES: &[u8] = b"key packages";

/// The key packages that are published with the newest contact key, each with the node that hands it out; none at first.
///
/// # Errors
/// The store's, or a damaged value.
pub fn packages<V: View>(view: &V) -> Step<Vec<(KeyPackage, NodeKey)>, V> {
    let kept = object::<OwnPackages, V>(view, Table::Meta, PACKAGES)?;
    Ok(kept.map(|kept| kept.packages.into_inner()).unwrap_or_default())
}

/// Keeps other key packages, or divides them among other nodes, for which a new contact key is due. Nothing changes if they
/// are kept like that already.
///
/// Each package goes to one of the `nodes` that keep the inbox, of each suite as many to one as to another. Where it was
/// published once it stays, as long as that node is one of them: so no two nodes hand out the same. What a node had that has
/// left goes to the others.
///
/// # Errors
/// The store's, a damaged value, or [`StateError::Damaged`] for more than [`KEY_PACKAGES_MAX`] of them.
pub fn keep_packages<V: View>(view: &V, packages: Vec<KeyPackage>, nodes: &[NodeKey]) -> Step<Batch, V> {
    let mut batch = Batch::new();
    let before = self::packages(view)?;
    let stays = |package: &KeyPackage| {
        let known = before.iter().find(|(known, _)| known == package);
        known.map(|(_, node)| *node).filter(|node| nodes.contains(node))
    };
    let mut divided: Vec<(KeyPackage, Option<NodeKey>)> = packages
        .into_iter()
        .map(|package| {
            let node = stays(&package);
            (package, node)
        })
        .collect();
    for place in 0..divided.len() {
        let Some((package, None)) = divided.get(place) else {
            continue;
        };
        let suite = key_package_suite(package);
        let has = |node: &&NodeKey| {
            let its = divided.iter().filter(|(_, of)| *of == Some(**node));
            let of_suite = its.clone().filter(|(other, _)| key_package_suite(other) == suite);
            (of_suite.count(), its.count())
        };
        let fewest = nodes.iter().min_by_key(has).copied();
        if let Some((_, node)) = divided.get_mut(place) {
            *node = fewest;
        }
    }
    let divided: Vec<_> = divided
        .into_iter()
        .filter_map(|(package, node)| node.map(|node| (package, node)))
        .collect();
    if divided == before {
        return Ok(batch);
    }
    let newest = own(view)?.pop().map_or(0, |key| key.number());
    let kept = OwnPackages {
        number: newest.saturating_add(1),
        packages: divided.try_into().map_err(|_| StateError::Damaged(Table::Meta))?,
    };
    put(&mut batch, Table::Meta, PACKAGES, &kept)?;
    Ok(batch)
}

/// Deletes the keys that no accepted envelope can need.
///
/// # Errors
/// The store's, or a damaged value.
pub fn forget<V: View>(view: &V, now: UnixSeconds) -> Step<Batch, V> {
    let mut batch = Batch::new();
    for key in own(view)? {
        if key.forgotten_after() < now {
            batch.delete(Table::ContactKey, key.number().to_be_bytes());
        }
    }
    Ok(batch)
}

/// What is known of how to write to a device for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstContact {
    /// The key to seal to.
    pub envelope: EnvelopeKey,
    /// The number of the contact keys; none if it is the key on the ledger.
    pub number: Option<u64>,
    /// The postage that its inbox asks for.
    pub postage: PostageBits,
    /// From when on the contact keys are not used any more.
    pub expires: Option<UnixSeconds>,
    /// For how many seconds this is used without asking again.
    pub seconds: u64,
}

impl FirstContact {
    /// Whether this is still used, so many seconds after it was fetched.
    #[must_use]
    pub fn is_used(&self, age_seconds: u64, now: UnixSeconds) -> bool {
        age_seconds < self.seconds && self.expires.is_none_or(|expires| now < expires)
    }
}

/// What nodes of an inbox say of a device's contact keys.
///
/// A write quorum W has the newest, and W + Q − R is more than f: among any Q nodes is an honest one that has them. Fewer
/// may all lie or not have them, so however early they answer, the others are waited for.
#[derive(Debug, Clone)]
pub struct ContactAnswers {
    wanted: usize,
    given: usize,
    newest: Option<ContactKeys>,
}

impl ContactAnswers {
    /// No answer yet.
    #[must_use]
    pub fn new(quorum: Quorum) -> Self {
        Self {
            wanted: usize::from(quorum.read),
            given: 0,
            newest: None,
        }
    }

    /// One more node has answered: with keys that verify, or with none.
    pub fn add(&mut self, keys: Option<ContactKeys>) {
        self.given = self.given.saturating_add(1);
        if keys.as_ref().map(|keys| keys.number) > self.newest.as_ref().map(|keys| keys.number) {
            self.newest = keys;
        }
    }

    /// Whether Q nodes have answered, and no other needs to be waited for.
    #[must_use]
    pub const fn are_enough(&self) -> bool {
        self.given >= self.wanted
    }

    /// How to write to the device by these answers. What fewer than Q nodes said is used for a short time, and that none
    /// of them has any keys for this once only.
    #[must_use]
    pub fn first_contact(self, device: &DeviceKeys) -> FirstContact {
        let enough = self.are_enough();
        match self.newest {
            Some(keys) => FirstContact {
                envelope: keys.envelope,
                number: Some(keys.number),
                postage: keys.postage.max(PostageBits::DEFAULT),
                expires: Some(keys.expires),
                seconds: if enough {
                    FETCHED_SECONDS
                } else {
                    FETCHED_OF_FEW_SECONDS
                },
            },
            None => FirstContact {
                envelope: device.envelope.clone(),
                number: None,
                postage: PostageBits::DEFAULT,
                expires: None,
                seconds: if enough { FETCHED_SECONDS } else { 0 },
            },
        }
    }
}
