//! Merkle paths, proofs of several leaves and state proofs against models of the same trees.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{At, digest, longest_proof, net, person};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tokenim_ledger::{
    LightClient, LookupProof, StateKey,
    proof::{
        EMPTY_STATE_ROOT, MerkleTree, PathError, StateProof, Terminal, empty_root, state_leaf_hash, state_node_hash,
        state_value_hash,
    },
};
use tokenim_wire::{BoundedVec, Digest, Label, Object, decode, encode, hash};

const NODE: Label = Label::new("tokenim/merkle-node/v1");
const ROOT: Label = Label::new("tokenim/merkle-root/v1");

fn leaves(count: u32) -> Vec<Digest> {
    (0..u64::from(count)).map(|number| digest("leaf", number)).collect()
}

/// The top by halves: the left part is the largest power of two below the size.
fn model_top(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::from_bytes([0; 32]),
        [leaf] => *leaf,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            let (left, right) = (model_top(&leaves[..split]), model_top(&leaves[split..]));
            hash(NODE, &[left.as_bytes(), right.as_bytes()])
        }
    }
}

fn model_root(leaves: &[Digest]) -> Digest {
    let size = leaves.len() as u32;
    hash(ROOT, &[&size.to_be_bytes(), model_top(leaves).as_bytes()])
}

/// The longest of a million, at heights of weeks.
#[test]
fn a_look_up_among_a_million_is_short() {
    let (identity, shape) = longest_proof(1_000_000);
    for validators in [4, 100] {
        let net = net(validators, 4);
        let mut ann = person(1);
        ann.add_device(&net.id, 1, At::height(1));
        ann.state.id = identity;
        let proof = net.lookup(&ann.state, &shape);
        let bytes = proof.to_bytes().unwrap();
        let client = LightClient::new(&net.config).unwrap();
        let (_, shown) = client
            .verify_identity(&identity, &LookupProof::from_bytes(&bytes).unwrap(), None)
            .unwrap();
        assert_eq!(shown.as_ref(), Some(&ann.state));
        let beside = bytes.len() - proof.finality.certificate.as_bytes().len() - proof.value.unwrap().len();
        assert!(beside <= 1536, "{beside}");
        println!(
            "{beside} bytes, {} siblings",
            shape.iter().filter(|there| **there).count()
        );
    }
}

#[test]
fn roots_are_those_of_the_model() {
    assert_eq!(empty_root(), model_root(&[]));
    assert_eq!(MerkleTree::empty().root(), empty_root());
    for count in 0..70 {
        let leaves = leaves(count);
        assert_eq!(MerkleTree::new(leaves.clone()).unwrap().root(), model_root(&leaves));
    }
}

#[test]
fn every_leaf_of_every_small_tree_has_a_path_and_no_other_place() {
    for count in 1..34 {
        let leaves = leaves(count);
        let tree = MerkleTree::new(leaves.clone()).unwrap();
        let root = tree.root();
        for (index, leaf) in leaves.iter().enumerate() {
            let path = tree.path(index as u32).unwrap();
            path.verify(&root, leaf).unwrap();
            for other in 0..count {
                let mut moved = path.clone();
                moved.index = other;
                assert_eq!(moved.verify(&root, leaf).is_ok(), other as usize == index);
            }
            for size in 0..40 {
                let mut resized = path.clone();
                resized.size = size;
                assert_eq!(resized.verify(&root, leaf).is_ok(), size == count);
            }
        }
        assert!(tree.path(count).is_none());
    }
}

#[test]
fn a_path_with_another_number_of_siblings_is_refused() {
    let tree = MerkleTree::new(leaves(6)).unwrap();
    let leaf = digest("leaf", 2);
    let path = tree.path(2).unwrap();
    let mut long = path.clone();
    long.siblings.push(leaf).unwrap();
    assert_eq!(long.verify(&tree.root(), &leaf), Err(PathError::Shape));
    let mut short = path.siblings.clone().into_inner();
    short.pop();
    let mut cut = path;
    cut.siblings = BoundedVec::try_from(short).unwrap();
    assert_eq!(cut.verify(&tree.root(), &leaf), Err(PathError::Shape));
}

#[test]
fn an_inner_node_does_not_pass_for_a_leaf() {
    // The top of four leaves, shown as the left one of two.
    let tree = MerkleTree::new(leaves(4)).unwrap();
    let mut path = tree.path(0).unwrap();
    let mut siblings = path.siblings.clone().into_inner();
    let inner = hash(NODE, &[digest("leaf", 0).as_bytes(), siblings.remove(0).as_bytes()]);
    path.siblings = BoundedVec::try_from(siblings).unwrap();
    assert_eq!(path.verify(&tree.root(), &inner), Err(PathError::Shape));
    path.size = 2;
    assert_eq!(path.verify(&tree.root(), &inner), Err(PathError::Root));
}

#[test]
fn every_subset_of_every_small_tree_has_a_proof() {
    for count in 1..=9_u32 {
        let leaves = leaves(count);
        let tree = MerkleTree::new(leaves.clone()).unwrap();
        for subset in 1_u32..1 << count {
            let indices: Vec<u32> = (0..count).filter(|index| subset >> index & 1 == 1).collect();
            let proof = tree.prove(&indices).unwrap();
            let mut shown: Vec<(u32, Digest)> = indices.iter().map(|index| (*index, leaves[*index as usize])).collect();
            proof.verify(&tree.root(), count, &shown).unwrap();
            let mut long = proof.clone();
            long.siblings.push(leaves[0]).unwrap();
            assert_eq!(long.verify(&tree.root(), count, &shown), Err(PathError::Shape));
            shown[0].1 = digest("another", 0);
            assert_eq!(proof.verify(&tree.root(), count, &shown), Err(PathError::Root));
        }
    }
}

#[test]
fn positions_of_several_leaves_ascend_and_exist() {
    let leaves = leaves(5);
    let tree = MerkleTree::new(leaves.clone()).unwrap();
    let proof = tree.prove(&[1, 3]).unwrap();
    let (root, at) = (tree.root(), |index: u32| (index, leaves[index as usize]));
    proof.verify(&root, 5, &[at(1), at(3)]).unwrap();
    for shown in [
        vec![],
        vec![at(3), at(1)],
        vec![at(1), at(1)],
        vec![at(1), (5, leaves[3])],
    ] {
        assert_eq!(proof.verify(&root, 5, &shown), Err(PathError::Position));
    }
    for indices in [&[][..], &[3, 1], &[1, 1], &[5]] {
        assert!(tree.prove(indices).is_none());
    }
}

/// The state tree as the spec defines it, and the way to a key in it.
fn model_state(entries: &[(StateKey, Digest)], depth: usize) -> Digest {
    match entries {
        [] => EMPTY_STATE_ROOT,
        [(key, value_hash)] => state_leaf_hash(key, value_hash),
        _ => {
            let split = entries.partition_point(|(key, _)| !bit(key, depth));
            let (left, right) = entries.split_at(split);
            state_node_hash(&model_state(left, depth + 1), &model_state(right, depth + 1))
        }
    }
}

fn bit(key: &StateKey, index: usize) -> bool {
    key.as_bytes()[index / 8] >> (7 - index % 8) & 1 == 1
}

fn model_proof(entries: &[(StateKey, Digest)], key: &StateKey) -> StateProof {
    let mut siblings = Vec::new();
    let mut rest = entries;
    let terminal = loop {
        match rest {
            [] => break Terminal::Empty,
            [(other, _)] if other == key => break Terminal::Own,
            [(other, value_hash)] => {
                break Terminal::Other {
                    key: *other,
                    value_hash: *value_hash,
                };
            }
            _ => {}
        }
        let depth = siblings.len();
        let split = rest.partition_point(|(key, _)| !bit(key, depth));
        let (left, right) = rest.split_at(split);
        let (own, other) = if bit(key, depth) { (right, left) } else { (left, right) };
        siblings.push((!other.is_empty()).then(|| model_state(other, depth + 1)));
        rest = own;
    };
    siblings.reverse();
    StateProof::new(terminal, siblings).unwrap()
}

type State = BTreeMap<StateKey, Vec<u8>>;

fn entries(state: &State) -> Vec<(StateKey, Digest)> {
    state
        .iter()
        .map(|(key, value)| (*key, state_value_hash(value)))
        .collect()
}

/// Keys that share long prefixes now and then.
fn key() -> impl Strategy<Value = StateKey> {
    (any::<u8>(), 0_usize..32, any::<[u8; 2]>()).prop_map(|(first, shared, rest)| {
        let mut bytes = [0xa5; 32];
        bytes[0] = first & 3;
        bytes[shared] ^= rest[0];
        bytes[31] ^= rest[1];
        StateKey::from_bytes(bytes)
    })
}

fn cases() -> u32 {
    std::env::var("TOKENIM_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn state_proofs_show_what_is_there_and_what_is_not(
        state in prop::collection::btree_map(key(), prop::collection::vec(any::<u8>(), 0..40), 0..40),
        absent in prop::collection::vec(key(), 8),
    ) {
        let all = entries(&state);
        let root = model_state(&all, 0);
        for (key, value) in &state {
            let proof = model_proof(&all, key);
            prop_assert_eq!(proof.verify_inclusion(&root, key, value), Ok(()));
            prop_assert_eq!(proof.verify_inclusion(&root, key, b"another value"), Err(PathError::Root));
            prop_assert_eq!(proof.verify_absence(&root, key), Err(PathError::Kind));
            let bytes = encode(&proof).unwrap();
            prop_assert_eq!(decode::<StateProof>(&bytes, bytes.len()).unwrap(), proof);
        }
        for key in absent.iter().filter(|key| !state.contains_key(key)) {
            let proof = model_proof(&all, key);
            prop_assert_eq!(proof.verify_absence(&root, key), Ok(()));
            prop_assert_eq!(proof.verify_inclusion(&root, key, b""), Err(PathError::Kind));
            let bytes = encode(&proof).unwrap();
            prop_assert_eq!(decode::<StateProof>(&bytes, bytes.len()).unwrap(), proof);
        }
    }

    #[test]
    fn a_changed_state_proof_shows_nothing_else(
        state in prop::collection::btree_map(key(), any::<[u8; 4]>(), 2..30),
        subject in key(),
        place in any::<prop::sample::Index>(),
        flip in 0_u8..8,
    ) {
        let state: State = state.into_iter().map(|(key, value)| (key, value.to_vec())).collect();
        let all = entries(&state);
        let root = model_state(&all, 0);
        let proof = model_proof(&all, &subject);
        let mut bytes = encode(&proof).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << flip;
        if let Ok(changed) = decode::<StateProof>(&bytes, bytes.len()) {
            prop_assert!(changed != proof);
            // It never shows the contrary; nor the same, unless the change is no change to what is hashed.
            let value = state.get(&subject);
            match value {
                Some(value) => {
                    prop_assert!(changed.verify_absence(&root, &subject).is_err());
                    prop_assert!(changed.verify_inclusion(&root, &subject, value).is_err());
                }
                None => {
                    prop_assert!(changed.verify_inclusion(&root, &subject, b"").is_err());
                    prop_assert!(changed.verify_absence(&root, &subject).is_err());
                }
            }
        }
    }
}

#[test]
fn a_leaf_that_is_not_in_the_way_shows_no_absence() {
    // Two keys that differ in the first bit. The way to a third key leads to the left one.
    let key = |first: u8| StateKey::from_bytes([first; 32]);
    let all = vec![
        (key(0x00), state_value_hash(b"left")),
        (key(0xff), state_value_hash(b"right")),
    ];
    let root = model_state(&all, 0);
    let proof = model_proof(&all, &key(0x0f));
    proof.verify_absence(&root, &key(0x0f)).unwrap();
    // The same leaf is not in the way of a key on the right, nor of itself.
    assert_eq!(proof.verify_absence(&root, &key(0xf0)), Err(PathError::OtherLeaf));
    assert_eq!(proof.verify_absence(&root, &key(0x00)), Err(PathError::OtherLeaf));
}

#[test]
fn a_state_proof_is_as_deep_as_a_key_is_long_at_most() {
    assert!(StateProof::new(Terminal::Empty, vec![None; 256]).is_ok());
    assert_eq!(StateProof::new(Terminal::Empty, vec![None; 257]), Err(PathError::Shape));
}

#[test]
fn a_state_proof_whose_parts_do_not_fit_does_not_decode() {
    let proof = StateProof::new(Terminal::Empty, [Some(digest("a", 0)), None, Some(digest("b", 0))]).unwrap();
    let bytes = encode(&proof).unwrap();
    // terminal 1 ‖ depth 3 ‖ 1 byte of bitmap ‖ 2 siblings
    assert_eq!(bytes[..5], [1, 3, 1, 0b101, 2]);
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        decode::<StateProof>(&bytes, 1024).is_err()
    };
    assert!(refused(&|bytes| bytes[3] = 0b100), "fewer bits than siblings");
    assert!(refused(&|bytes| bytes[3] = 0b111), "more bits than siblings");
    assert!(refused(&|bytes| bytes[3] = 0b1001), "a bit beyond the depth");
    assert!(refused(&|bytes| bytes[1] = 9), "a bitmap shorter than the depth");
    assert!(refused(&|bytes| bytes[1] = 0), "a bitmap for no depth");
    assert!(refused(&|bytes| bytes[0] = 3), "an unknown terminal");
}
