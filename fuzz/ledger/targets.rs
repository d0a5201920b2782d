//! Bodies of the fuzz targets, shared with the test that replays the corpus.

use tokenim_identity::IdentityState;
use tokenim_ledger::{
    AcceptanceProof, AncestryProof, Evidence, HistoryPage, LightClient, LookupProof, NetworkConfig, NodeQueue, Payload,
    StateKey, Transaction,
    proof::{MerklePath, MerkleTree, MultiProof, StateProof},
};
use tokenim_wire::{Digest, Object, decode, encode};

/// The network of the vectors, whose proofs are in the corpus.
const GENESIS: &[u8] = include_bytes!("genesis.tim");

/// The history of the vectors, and the look-up that shows it.
const HISTORY: &[u8] = include_bytes!("corpus/history/whole");
const HISTORY_LOOKUP: &[u8] = include_bytes!("corpus/lookup/identity");

fn client() -> LightClient {
    let config = NetworkConfig::from_bytes(GENESIS).expect("the network of the vectors");
    LightClient::new(&config).expect("its id")
}

/// What decodes encodes to the same bytes.
fn object<T: Object>(data: &[u8]) -> Option<T> {
    let value = T::from_bytes(data).ok()?;
    assert!(data.len() <= T::BYTES_MAX);
    assert_eq!(value.to_bytes().as_deref(), Ok(data));
    Some(value)
}

/// A network's configuration.
pub fn config(data: &[u8]) {
    if let Some(config) = object::<NetworkConfig>(data) {
        let set = config.node_set().expect("sorted nodes are a set");
        assert_eq!(set.len(), config.nodes().len());
        assert!(config.limits().is_valid());
    }
}

/// A transaction: its id does not depend on its signature.
pub fn transaction(data: &[u8]) {
    if let Some(transaction) = object::<Transaction>(data) {
        let id = transaction.id().expect("it was decoded");
        if let Ok(verified) = transaction.clone().verify(client().network()) {
            assert_eq!(*verified.id(), id);
            assert_eq!(verified.encoded_len() + 1, data.len());
        }
    }
}

/// The payload of a block.
pub fn payload(data: &[u8]) {
    object::<Payload>(data);
}

/// A proof of acceptance: what is shown is what the receipt says.
pub fn acceptance(data: &[u8]) {
    let Some(proof) = object::<AcceptanceProof>(data) else {
        return;
    };
    if let Ok(shown) = client().verify_acceptance(&proof) {
        assert_eq!(shown.envelope, proof.receipt.envelope);
        assert!(shown.signed_height <= shown.height);
        assert_eq!(shown.issuers.len(), proof.receipt.issuers.len());
    }
}

/// A proof of a lookup: it never shows both that a key is there and that it is not.
pub fn lookup(data: &[u8]) {
    if let Some(mut proof) = object::<LookupProof>(data) {
        let client = client();
        let keys = [StateKey::node_set(), StateKey::validators(), StateKey::node_queue()];
        for key in keys {
            let shown = client.verify_value(&key, &proof, None).is_ok();
            let value = proof.value.take();
            if value.is_some() {
                let absent = client.verify_value(&key, &proof, None).is_ok();
                assert!(!(shown && absent));
            }
            proof.value = value;
        }
    }
}

/// A page of a history: of all pages the look-up shows one to be true.
pub fn history(data: &[u8]) {
    let Some(page) = object::<HistoryPage>(data) else {
        return;
    };
    let config = NetworkConfig::from_bytes(GENESIS).expect("the network of the vectors");
    let whole = HistoryPage::from_bytes(HISTORY).expect("the history of the vectors");
    let lookup = LookupProof::from_bytes(HISTORY_LOOKUP).expect("its look-up");
    let start = IdentityState::new(&page.genesis);
    let window_ms = config.limits().recovery_window_ms;
    let identity = whole.genesis.id();
    if let Ok((_, shown)) = client().verify_history(&identity, &start, page.entries, window_ms, &lookup, None) {
        assert_eq!(shown.entries(), whole.entries.as_slice());
    }
}

/// A proof of ancestry.
pub fn ancestry(data: &[u8]) {
    object::<AncestryProof>(data);
}

/// Evidence.
pub fn evidence(data: &[u8]) {
    if let Some(evidence) = object::<Evidence>(data) {
        let config = NetworkConfig::from_bytes(GENESIS).expect("the network of the vectors");
        let _ = evidence.verify(client().network(), config.validators());
    }
}

/// The nodes that wait for their place.
pub fn node_queue(data: &[u8]) {
    object::<NodeQueue>(data);
}

/// The first byte says how many leaves a tree has and which are shown, the rest is a path, a proof of several leaves or
/// a state proof: it leads to the tree's root only if it is the tree's own.
pub fn paths(data: &[u8]) {
    let Some(([count, shown], rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let leaves: Vec<Digest> = (0..count % 16).map(|number| Digest::from_bytes([number; 32])).collect();
    let tree = MerkleTree::new(leaves.clone()).expect("few");
    if let Ok(path) = decode::<MerklePath>(rest, 2048) {
        assert_eq!(encode(&path).as_deref(), Ok(rest));
        for leaf in &leaves {
            if path.verify(&tree.root(), leaf).is_ok() {
                assert_eq!(tree.path(path.index), Some(path.clone()));
            }
        }
    }
    if let Ok(proof) = decode::<MultiProof>(rest, 8192) {
        let indices: Vec<u32> = (0..8).filter(|bit| shown >> bit & 1 == 1).collect();
        let known: Vec<(u32, Digest)> = indices
            .iter()
            .filter_map(|index| Some((*index, *leaves.get(usize::try_from(*index).ok()?)?)))
            .collect();
        if proof.verify(&tree.root(), tree.size(), &known).is_ok() {
            let own: Vec<u32> = known.iter().map(|(index, _)| *index).collect();
            assert_eq!(tree.prove(&own), Some(proof));
        }
    }
    if let Ok(proof) = decode::<StateProof>(rest, 16 * 1024) {
        assert_eq!(encode(&proof).as_deref(), Ok(rest));
        let key = StateKey::from_bytes([*shown; 32]);
        let present = proof.root(&key, Some(&[*count]));
        let absent = proof.root(&key, None);
        assert!(present.is_err() || absent.is_err());
    }
}
