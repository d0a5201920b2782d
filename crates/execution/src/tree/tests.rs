//! The tree against jmt's own proofs, and its roots against the definition in the spec.

use super::*;
use alloc::collections::BTreeMap;
use proptest::prelude::*;
use tokenim_ledger::proof::{state_leaf_hash, state_value_hash};

type State = BTreeMap<StateKey, Vec<u8>>;

#[derive(Default)]
struct Store {
    nodes: BTreeMap<Vec<u8>, Node>,
    values: BTreeMap<(StateKey, Version), Option<Vec<u8>>>,
}

impl NodeReader for Store {
    fn node(&self, key: &[u8]) -> Result<Option<Node>, ExecutionError> {
        // Through the bytes, as in a store.
        let Some(node) = self.nodes.get(key) else {
            return Ok(None);
        };
        decode_node(&encode_node(node)?).map(Some)
    }
}

/// For jmt's own proofs, which also read values.
impl TreeReader for Store {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(self.nodes.get(&node_key(key)).cloned())
    }

    fn get_value_option(&self, version: Version, key: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        let key = StateKey::from_bytes(key.0);
        let newest = self.values.range((key, 0)..=(key, version)).next_back();
        Ok(newest.and_then(|(_, value)| value.clone()))
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}

fn model(entries: &[(StateKey, Digest)], depth: usize) -> Digest {
    match entries {
        [] => EMPTY_STATE_ROOT,
        [(key, value_hash)] => state_leaf_hash(key, value_hash),
        _ => {
            let bit = |key: &StateKey| (key.as_bytes()[depth / 8] >> (7 - depth % 8)) & 1 == 1;
            let split = entries.partition_point(|(key, _)| !bit(key));
            state_node_hash(
                &model(&entries[..split], depth + 1),
                &model(&entries[split..], depth + 1),
            )
        }
    }
}

fn model_root(state: &State) -> Digest {
    let entries: Vec<_> = state
        .iter()
        .map(|(key, value)| (*key, state_value_hash(value)))
        .collect();
    model(&entries, 0)
}

/// Keys with long common prefixes as well as scattered ones, few enough to be hit again.
fn key() -> impl Strategy<Value = StateKey> {
    prop_oneof![
        (0_u8..16).prop_map(|number| StateKey::from_bytes(Sha256::digest([number]).into())),
        (0_usize..32, 0_u32..8).prop_map(|(place, bit)| {
            let mut bytes = [0x5a; 32];
            bytes[place] ^= 1 << bit;
            StateKey::from_bytes(bytes)
        }),
    ]
}

/// The changes of one block: puts and deletions.
fn changes() -> impl Strategy<Value = BTreeMap<StateKey, Option<Vec<u8>>>> {
    prop::collection::btree_map(
        key(),
        prop::option::weighted(0.6, prop::collection::vec(any::<u8>(), 0..4)),
        0..12,
    )
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
    fn roots_and_proofs_are_those_of_jmt_and_of_the_spec(
        blocks in prop::collection::vec(changes(), 1..12),
        probes in prop::collection::vec(key(), 6),
    ) {
        let mut store = Store::default();
        let mut state = State::new();
        let mut history = Vec::new();
        for (height, changes) in blocks.iter().enumerate() {
            let height = Height::new(height as u64);
            let update = update(&store, height, changes.iter().map(|(key, value)| (key, value.as_ref()))).unwrap();
            for (key, value) in changes {
                store.values.insert((*key, height.get()), value.clone());
                match value {
                    Some(value) => state.insert(*key, value.clone()),
                    None => state.remove(key),
                };
            }
            for (key, node) in update.nodes {
                prop_assert!(store.nodes.insert(key, node).is_none(), "a node is written once");
            }
            prop_assert_eq!(update.root, model_root(&state));
            history.push((height, update.root, state.clone(), update.stale));
        }
        // Every height stays provable as long as nothing is pruned.
        let tree_of = |store: &Store, height: Height, key: &StateKey| {
            let tree = JellyfishMerkleTree::<_, StateHasher>::new(store);
            tree.get_with_proof(KeyHash(key.to_bytes()), height.get()).unwrap()
        };
        for (height, root, state, _) in &history {
            for key in state.keys().chain(&probes) {
                let value = state.get(key);
                let (found, theirs) = tree_of(&store, *height, key);
                prop_assert_eq!(found.as_ref(), value);
                let ours = prove(&store, *height, key).unwrap().unwrap();
                prop_assert_eq!(ours.verify(root, key, value.map(Vec::as_slice)), Ok(()));
                let jmt_root = jmt::RootHash(root.to_bytes());
                prop_assert!(theirs.verify(jmt_root, KeyHash(key.to_bytes()), value).is_ok());
                // The same leaf stands at the end of both.
                prop_assert_eq!(
                    theirs.leaf().is_some(),
                    *ours.terminal() != Terminal::Empty,
                    "terminal"
                );
            }
        }
        // Pruning what each block made stale leaves the newest height whole, and nothing else.
        for (_, _, _, stale) in &history {
            for key in stale {
                prop_assert!(store.nodes.remove(key).is_some(), "stale once, and there");
            }
        }
        let (height, root, state, _) = history.last().unwrap();
        for key in state.keys().chain(&probes) {
            let ours = prove(&store, *height, key).unwrap().unwrap();
            prop_assert_eq!(ours.verify(root, key, state.get(key).map(Vec::as_slice)), Ok(()));
        }
        for (height, ..) in history.iter().rev().skip(1) {
            prop_assert!(prove(&store, *height, &probes[0]).unwrap().is_none());
        }
        let reachable = count(&store, *height);
        prop_assert_eq!(store.nodes.len(), reachable, "no node is left that cannot be reached");
    }
}

/// The nodes that can be reached from the root at a height.
fn count(store: &Store, height: Height) -> usize {
    fn below(store: &Store, version: Version, path: &mut Vec<u8>) -> usize {
        let Some(Node::Internal(inner)) = store.nodes.get(&raw_key(version, path)) else {
            return 1;
        };
        let mut total = 1;
        for (place, child) in inner.children_sorted() {
            path.push(u8::from(place));
            total += below(store, child.version, path);
            path.pop();
        }
        total
    }
    below(store, height.get(), &mut Vec::new())
}

#[test]
fn an_empty_tree_proves_absence() {
    let store = Store::default();
    let update = update(&store, Height::ZERO, core::iter::empty()).unwrap();
    assert_eq!(update.root, EMPTY_STATE_ROOT);
}

#[test]
fn a_damaged_node_is_an_error() {
    assert!(matches!(decode_node(&[9, 9, 9]), Err(ExecutionError::Damaged(_))));
}

#[test]
fn errors_of_the_store_come_through_jmt() {
    struct Broken;
    impl NodeReader for Broken {
        fn node(&self, _: &[u8]) -> Result<Option<Node>, ExecutionError> {
            Err(ExecutionError::Store(tokenim_storage::StoreError::Busy))
        }
    }
    let key = StateKey::node_set();
    let value = Some(&alloc::vec![1_u8]).cloned();
    let error = update(&Broken, Height::new(7), [(&key, value.as_ref())].into_iter()).unwrap_err();
    assert_eq!(error, ExecutionError::Store(tokenim_storage::StoreError::Busy));
}
