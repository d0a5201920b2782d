//! The group log: its vectors, and that nobody adds to it but the holders of the key that an entry announced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use tokenim_identity::{EpochKey, EpochSigningKey, NodeSigningKey};
use tokenim_mailbox::{
    Incarnation, LogPosition, MailboxTag, Member, NodeSet, PlacementId, QuorumReceipt, StorageReceipt,
    StorageReceiptBody,
    group::{
        AuthorBox, CommitParts, CommitPartsError, CommitTag, GroupChild, GroupEntryId, GroupError, GroupHandle,
        GroupNode, GroupStart, GroupUpdate, LedgerPlace, RecordedChild, SignedGroupChild,
    },
};
use tokenim_wire::{
    DecodeError, Digest, EnvelopeId, Height, NetworkId, Object, SetEpoch, UnixMillis, UnixSeconds, hex,
    limits::GROUP_COMMIT_KEPT_SECONDS_MIN,
};

const NETWORK: NetworkId = NetworkId::from_bytes([7; 32]);
const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
const EXPIRY: UnixSeconds = UnixSeconds::new(1_800_000_000 + GROUP_COMMIT_KEPT_SECONDS_MIN);

/// What all hold who agree on a log.
type Log = BTreeMap<GroupEntryId, GroupNode>;

/// Applies an update to a log as whoever keeps it does; the name of the reason if it changes nothing.
fn apply(
    log: &mut Log,
    network: &NetworkId,
    update: &GroupUpdate,
    sets: &[&NodeSet],
    now: UnixSeconds,
    place: LedgerPlace,
) -> Result<Vec<GroupEntryId>, String> {
    match update {
        GroupUpdate::Start(start) => {
            let root = start.handle().root();
            if log.contains_key(&root) {
                return Err("Exists".to_owned());
            }
            log.insert(root, GroupNode::start(start, place));
            Ok(vec![root])
        }
        GroupUpdate::Child(signed) => {
            let parent = signed.child.parent;
            let node = log.get(&parent).ok_or("ParentUnknown")?;
            let variant = |error: GroupError| format!("{error:?}").split(['(', ' ']).next().unwrap().to_owned();
            let adopted = node.adopt(network, signed, place).map_err(variant)?;
            signed.verify_receipts(network, sets, now).map_err(variant)?;
            log.insert(parent, adopted.parent);
            log.insert(adopted.id, adopted.entry);
            Ok(vec![parent, adopted.id])
        }
        _ => panic!("an update of another version"),
    }
}

#[test]
fn the_log_of_the_vectors() {
    #[derive(Deserialize)]
    struct Handle {
        nonce: String,
        key: EpochKey,
        handle: GroupHandle,
    }
    #[derive(Deserialize)]
    struct Made {
        entry: GroupEntryId,
        node: String,
    }
    #[derive(Deserialize)]
    struct Step {
        name: String,
        update: String,
        place: LedgerPlace,
        error: Option<String>,
        made: Vec<Made>,
    }
    #[derive(Deserialize)]
    struct Vectors {
        network: NetworkId,
        now: UnixSeconds,
        current: String,
        previous: String,
        handles: Vec<Handle>,
        steps: Vec<Step>,
    }
    let all: Vectors = serde_json::from_str(include_str!("vectors/group_log.json")).unwrap();
    let bytes = |text: &str| hex::decode(text).unwrap();
    for case in &all.handles {
        let start = GroupStart {
            nonce: bytes(&case.nonce).try_into().unwrap(),
            key: case.key,
        };
        assert_eq!(start.handle(), case.handle);
        assert_eq!(start.handle().root().as_bytes(), case.handle.as_bytes());
    }
    let current = NodeSet::from_bytes(&bytes(&all.current)).unwrap();
    let previous = NodeSet::from_bytes(&bytes(&all.previous)).unwrap();
    let mut log = Log::new();
    assert_eq!(all.steps.len(), 43);
    for step in all.steps {
        let data = bytes(&step.update);
        let update = GroupUpdate::from_bytes(&data).unwrap();
        assert_eq!(update.to_bytes().unwrap(), data, "{}", step.name);
        assert_eq!(update.handle(), all.handles[0].handle, "{}", step.name);
        let before = log.clone();
        let done = apply(
            &mut log,
            &all.network,
            &update,
            &[&current, &previous],
            all.now,
            step.place,
        );
        assert_eq!(done.as_ref().err(), step.error.as_ref(), "{}", step.name);
        let made: Vec<GroupEntryId> = step.made.iter().map(|made| made.entry).collect();
        assert_eq!(done.unwrap_or_default(), made, "{}", step.name);
        for made in &step.made {
            let data = bytes(&made.node);
            assert_eq!(log[&made.entry].to_bytes().unwrap(), data, "{}", step.name);
            assert_eq!(GroupNode::from_bytes(&data).unwrap(), log[&made.entry], "{}", step.name);
        }
        for (entry, node) in &log {
            if !made.contains(entry) {
                assert_eq!(before.get(entry), Some(node), "{} changed another entry", step.name);
            }
        }
    }
    assert_eq!(log.len(), 13);
}

fn nodes() -> (Vec<NodeSigningKey>, NodeSet) {
    let keys: Vec<_> = (1..=4).map(|seed| NodeSigningKey::from_seed([seed; 32])).collect();
    let members = keys.iter().map(|key| {
        let key = key.verifying_key();
        Member {
            key,
            placement: PlacementId::new(&key, &Digest::from_bytes([0; 32])),
            address: Default::default(),
        }
    });
    let set = NodeSet::new(SetEpoch::new(3), members.collect()).unwrap();
    (keys, set)
}

/// The mailbox and the envelope of a commit.
fn stored(number: u8) -> (MailboxTag, EnvelopeId) {
    (MailboxTag::from_bytes([number; 32]), EnvelopeId::of(&[number]))
}

fn receipt(number: u8, expiry: UnixSeconds) -> QuorumReceipt {
    let (keys, set) = nodes();
    let (tag, envelope) = stored(number);
    let parts: Vec<_> = keys
        .iter()
        .take(3)
        .map(|key| {
            let position = LogPosition {
                set_epoch: set.epoch(),
                incarnation: Incarnation::new(1),
                index: 0,
                size: 1,
                root: Digest::from_bytes([9; 32]),
                height: Height::new(1),
            };
            let body = StorageReceiptBody {
                node: key.verifying_key(),
                tag,
                envelope,
                expiry,
                position,
            };
            StorageReceipt::sign(&NETWORK, key, body).unwrap()
        })
        .collect();
    QuorumReceipt::assemble(&set, &parts).unwrap()
}

/// The key of an epoch; few, so that the same one comes up for several entries.
fn epoch_key(number: u8) -> EpochSigningKey {
    EpochSigningKey::from_seed([100 + number; 32])
}

fn place(index: u32) -> LedgerPlace {
    LedgerPlace {
        height: Height::new(u64::from(index / 3)),
        time: UnixMillis::new(1_000),
        index: index % 3,
    }
}

fn child(start: &GroupStart, parent: GroupEntryId, commit: u8, next: u8) -> GroupChild {
    let (tag, envelope) = stored(commit);
    GroupChild {
        handle: start.handle(),
        parent,
        commitment: CommitTag::from_bytes([commit; 32]),
        next: epoch_key(next).verifying_key(),
        author: AuthorBox::try_from([commit; 96].as_slice()).unwrap(),
        tag,
        envelopes: envelope.into(),
    }
}

/// What someone tries to do to a log.
#[derive(Clone, Debug)]
enum Try {
    Start {
        key: u8,
    },
    Child {
        parent: usize,
        signer: u8,
        commit: u8,
        next: u8,
    },
}

fn attempt() -> impl Strategy<Value = Try> {
    prop_oneof![
        1 => (0..4_u8).prop_map(|key| Try::Start { key }),
        6 => (0..6_usize, 0..4_u8, 0..12_u8, 0..4_u8).prop_map(|(parent, signer, commit, next)| Try::Child {
            parent,
            signer,
            commit,
            next
        }),
    ]
}

/// An entry as a model keeps it: whose key it announced, and what follows in which order.
#[derive(Default)]
struct Modelled {
    key: u8,
    children: Vec<GroupEntryId>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn only_the_key_that_an_entry_announced_adds_to_it(attempts in proptest::collection::vec(attempt(), 1..60)) {
        let (_, set) = nodes();
        let mut log = Log::new();
        let mut model: BTreeMap<GroupEntryId, Modelled> = BTreeMap::new();
        // Entries in the order in which they came, with the start they belong to.
        let mut order: Vec<(GroupEntryId, GroupStart)> = Vec::new();
        for (index, attempt) in (0..).zip(attempts) {
            let before = log.clone();
            let (update, parent, expected) = match attempt {
                Try::Start { key } => {
                    let start = GroupStart { nonce: [0; 32], key: epoch_key(key).verifying_key() };
                    let root = start.handle().root();
                    let expected = if model.contains_key(&root) { Err("Exists") } else { Ok((root, key, start)) };
                    (GroupUpdate::Start(start), None, expected)
                }
                Try::Child { parent, signer, commit, next } => {
                    let Some((parent, start)) = order.get(parent).copied() else { continue };
                    let child = child(&start, parent, commit, next);
                    let id = child.id().unwrap();
                    let known = &model[&parent];
                    let expected = if known.children.contains(&id) {
                        Err("Duplicate")
                    } else if known.children.len() == 8 {
                        Err("Full")
                    } else if known.key != signer {
                        Err("Signature")
                    } else {
                        Ok((id, next, start))
                    };
                    let signed = SignedGroupChild::sign(&NETWORK, &epoch_key(signer), child, vec![receipt(commit, EXPIRY)]);
                    (GroupUpdate::Child(Box::new(signed.unwrap())), Some(parent), expected)
                }
            };
            let done = apply(&mut log, &NETWORK, &update, &[&set], NOW, place(index));
            match expected {
                Ok((id, key, start)) => {
                    prop_assert!(done.is_ok(), "{:?}", done);
                    model.insert(id, Modelled { key, children: Vec::new() });
                    order.push((id, start));
                    if let Some(parent) = parent {
                        model.get_mut(&parent).unwrap().children.push(id);
                    }
                }
                Err(why) => {
                    prop_assert_eq!(done, Err(why.to_owned()));
                    prop_assert_eq!(&log, &before);
                }
            }
        }
        prop_assert_eq!(log.len(), model.len());
        for (id, node) in &log {
            let children: Vec<_> = node.children.iter().map(|child| child.child.id().unwrap()).collect();
            prop_assert_eq!(&children, &model[id].children);
            prop_assert_eq!(node.key, epoch_key(model[id].key).verifying_key());
            prop_assert!(node.children.is_sorted_by_key(|child| child.place));
            prop_assert!(node.children.iter().all(|child| child.place > node.place));
        }
    }

    #[test]
    fn entries_come_back_and_are_refused_when_cut(children in 0..=8_u8, at in any::<prop::sample::Index>()) {
        let start = GroupStart { nonce: [1; 32], key: epoch_key(0).verifying_key() };
        let mut node = GroupNode::start(&start, place(u32::from(children)));
        for commit in 0..children {
            let child = child(&start, start.handle().root(), commit, 1);
            node.children.push(RecordedChild { child, place: place(7) }).unwrap();
        }
        let bytes = node.to_bytes().unwrap();
        prop_assert_eq!(GroupNode::from_bytes(&bytes), Ok(node));
        prop_assert_eq!(GroupNode::from_bytes(&bytes[..at.index(bytes.len())]), Err(DecodeError::Truncated));
    }
}

#[test]
fn the_largest_update_and_the_largest_entry_fit() {
    let start = GroupStart {
        nonce: [1; 32],
        key: epoch_key(0).verifying_key(),
    };
    let mut largest = child(&start, start.handle().root(), 1, 1);
    largest.author = AuthorBox::try_from([1; 128].as_slice()).unwrap();
    let mut receipt = receipt(1, UnixSeconds::MAX);
    let mut issuer = receipt.issuers[0];
    issuer.member = u16::MAX;
    issuer.incarnation = Incarnation::new(u64::MAX);
    (issuer.index, issuer.size, issuer.height) = (u64::MAX, u64::MAX, Height::MAX);
    receipt.set_epoch = SetEpoch::MAX;
    receipt.issuers = vec![issuer; 5].try_into().unwrap();
    let parts: Vec<_> = (1..=8).map(|number| stored(number).1).collect();
    largest.envelopes = CommitParts::new(parts.clone()).unwrap();
    let receipts = parts.into_iter().map(|envelope| QuorumReceipt {
        envelope,
        ..receipt.clone()
    });
    let signed = SignedGroupChild::sign(&NETWORK, &epoch_key(0), largest.clone(), receipts.collect()).unwrap();
    let update = GroupUpdate::Child(Box::new(signed));
    assert_eq!(update.weight(), 8);
    let update = update.to_bytes().unwrap();
    assert!(update.len() <= GroupUpdate::BYTES_MAX, "{}", update.len());
    let place = LedgerPlace {
        height: Height::MAX,
        time: UnixMillis::MAX,
        index: u32::MAX,
    };
    let mut node = GroupNode::start(&start, place);
    for _ in 0..8 {
        node.children
            .push(RecordedChild {
                child: largest.clone(),
                place,
            })
            .unwrap();
    }
    let node = node.to_bytes().unwrap();
    assert!(node.len() <= GroupNode::BYTES_MAX, "{}", node.len());
}

#[test]
fn who_signs_a_child_needs_a_receipt_of_its_commit() {
    let start = GroupStart {
        nonce: [1; 32],
        key: epoch_key(0).verifying_key(),
    };
    let child = child(&start, start.handle().root(), 1, 1);
    let (one, two) = (receipt(1, EXPIRY), receipt(2, EXPIRY));
    for receipts in [vec![], vec![two.clone()], vec![one.clone(), two], vec![one; 9]] {
        let other = SignedGroupChild::sign(&NETWORK, &epoch_key(0), child.clone(), receipts);
        assert_eq!(other, Err(GroupError::ReceiptForeign));
    }
}

#[test]
fn a_commit_has_one_to_eight_parts_each_once() {
    let envelopes = |count: u8| (0..count).map(|number| stored(number).1).collect::<Vec<_>>();
    assert_eq!(CommitParts::new(vec![]), Err(CommitPartsError::None));
    assert_eq!(
        CommitParts::new(envelopes(9)),
        Err(CommitPartsError::TooMany { actual: 9 })
    );
    let mut twice = envelopes(7);
    twice.push(twice[2]);
    assert_eq!(CommitParts::new(twice), Err(CommitPartsError::Twice));
    for count in 1..=8 {
        let parts = CommitParts::new(envelopes(count)).unwrap();
        assert_eq!(*parts, envelopes(count));
        assert_eq!(parts.position(&stored(count - 1).1), Some(count - 1));
        assert_eq!(parts.position(&stored(9).1), None);
    }
}
