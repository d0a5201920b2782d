//! The vectors of `tests/vectors`, which a second implementation made from the spec.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use serde::Deserialize;
use std::collections::BTreeMap;
use tokenim_identity::{IdentityId, IdentityState, NodeKey};
use tokenim_ledger::{
    AcceptanceProof, HistoryPage, LightClient, LookupProof, NetworkConfig, Payload, StateKey, Transaction,
    TransactionId,
    proof::{MerklePath, MerkleTree, MultiProof, StateProof},
};
use tokenim_wire::{BoundedVec, Digest, EnvelopeId, Object, decode, encode, hex};

/// Bytes in hexadecimal.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        hex::decode(&text).map(Self).ok_or(text)
    }
}

impl Hex {
    fn array(&self) -> [u8; 32] {
        self.0.as_slice().try_into().unwrap()
    }

    fn digest(&self) -> Digest {
        Digest::from_bytes(self.array())
    }

    fn key(&self) -> StateKey {
        StateKey::from_bytes(self.array())
    }
}

fn digests<const MAX: usize>(all: &[Hex]) -> BoundedVec<Digest, MAX> {
    BoundedVec::try_from_iter(all.iter().map(Hex::digest)).unwrap()
}

/// An error without its numbers.
fn name(error: &impl core::fmt::Debug) -> String {
    format!("{error:?}").split([' ', '{', '(']).next().unwrap().to_owned()
}

#[test]
fn network() {
    #[derive(Deserialize)]
    struct Vector {
        config: Hex,
        id: Hex,
        node_set: Hex,
    }
    let vector: Vector = serde_json::from_str(include_str!("vectors/network.json")).unwrap();
    let config = NetworkConfig::from_bytes(&vector.config.0).unwrap();
    assert_eq!(config.to_bytes().unwrap(), vector.config.0);
    assert_eq!(config.network_id().unwrap().to_bytes(), vector.id.array());
    assert_eq!(config.node_set().unwrap().to_bytes().unwrap(), vector.node_set.0);
    assert_eq!(config.name(), "test");
    let nodes = config.nodes().to_vec();
    let again = NetworkConfig::new(
        config.name(),
        config.started(),
        config.validators().clone(),
        nodes,
        *config.limits(),
    );
    assert_eq!(again.unwrap(), config);
}

#[test]
fn state_keys() {
    #[derive(Deserialize)]
    struct Vector {
        of: String,
        subject: Hex,
        key: Hex,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/keys.json")).unwrap();
    assert_eq!(vectors.len(), 9);
    for vector in vectors {
        let subject = || vector.subject.array();
        let half = |at: usize| <[u8; 32]>::try_from(&vector.subject.0[at..at + 32]).unwrap();
        let key = match vector.of.as_str() {
            "node_set" => StateKey::node_set(),
            "previous_node_set" => StateKey::previous_node_set(),
            "node_queue" => StateKey::node_queue(),
            "validators" => StateKey::validators(),
            "identity" => StateKey::identity(&IdentityId::from_bytes(subject())),
            "incarnation" => StateKey::incarnation(&NodeKey::from_bytes(subject()).unwrap()),
            "recent" => StateKey::recent(&TransactionId::from_bytes(subject())),
            "group" => StateKey::group(&half(0).into(), &half(32).into()),
            other => panic!("{other}"),
        };
        assert_eq!(key, vector.key.key(), "{}", vector.of);
    }
}

#[test]
fn transactions() {
    #[derive(Deserialize)]
    struct Vector {
        name: String,
        bytes: Hex,
        id: Hex,
        error: Option<String>,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/transactions.json")).unwrap();
    let network: BTreeMap<String, String> = serde_json::from_str(include_str!("vectors/network.json")).unwrap();
    let network = network["id"].parse().unwrap();
    for vector in vectors {
        let transaction = Transaction::from_bytes(&vector.bytes.0).unwrap();
        assert_eq!(transaction.to_bytes().unwrap(), vector.bytes.0, "{}", vector.name);
        assert_eq!(
            transaction.id().unwrap().to_bytes(),
            vector.id.array(),
            "{}",
            vector.name
        );
        let verified = transaction.verify(&network);
        assert_eq!(verified.as_ref().err().map(name), vector.error, "{}", vector.name);
        if let Ok(verified) = verified {
            assert_eq!(verified.encoded_len() + 1, vector.bytes.0.len(), "{}", vector.name);
        }
    }
}

#[test]
fn merkle_trees() {
    #[derive(Deserialize)]
    struct Several {
        indices: Vec<u32>,
        siblings: Vec<Hex>,
    }
    #[derive(Deserialize)]
    struct Vector {
        size: u32,
        leaves: Vec<Hex>,
        root: Hex,
        paths: Vec<Vec<Hex>>,
        several: Vec<Several>,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/merkle.json")).unwrap();
    for vector in vectors {
        let leaves: Vec<Digest> = vector.leaves.iter().map(Hex::digest).collect();
        let tree = MerkleTree::new(leaves.clone()).unwrap();
        let root = vector.root.digest();
        assert_eq!((tree.size(), tree.root()), (vector.size, root));
        for (index, siblings) in vector.paths.iter().enumerate() {
            let path = MerklePath {
                index: index as u32,
                size: vector.size,
                siblings: digests(siblings),
            };
            path.verify(&root, &leaves[index]).unwrap();
            assert_eq!(tree.path(index as u32), Some(path));
        }
        for several in vector.several {
            let proof = MultiProof {
                siblings: digests(&several.siblings),
            };
            let shown: Vec<(u32, Digest)> = several
                .indices
                .iter()
                .map(|index| (*index, leaves[*index as usize]))
                .collect();
            proof.verify(&root, vector.size, &shown).unwrap();
            assert_eq!(tree.prove(&several.indices), Some(proof));
        }
    }
}

#[test]
fn state_proofs() {
    #[derive(Deserialize)]
    struct Proof {
        key: Hex,
        value: Option<Hex>,
        proof: Hex,
    }
    #[derive(Deserialize)]
    struct Vector {
        entries: Vec<(Hex, Hex)>,
        root: Hex,
        proofs: Vec<Proof>,
    }
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("vectors/state.json")).unwrap();
    for vector in vectors {
        let root = vector.root.digest();
        for shown in &vector.proofs {
            let proof: StateProof = decode(&shown.proof.0, 16 * 1024).unwrap();
            assert_eq!(encode(&proof).unwrap(), shown.proof.0);
            let value = shown.value.as_ref().map(|value| value.0.as_slice());
            proof.verify(&root, &shown.key.key(), value).unwrap();
            let known = vector.entries.iter().any(|(key, _)| key.0 == shown.key.0);
            assert_eq!(known, value.is_some());
        }
    }
}

#[test]
fn acceptance() {
    #[derive(Deserialize)]
    struct Expected {
        envelope: Hex,
        tag: Hex,
        expiry: u64,
        height: u64,
        time: u64,
        signed_height: u64,
        leaf: Hex,
    }
    #[derive(Deserialize)]
    struct Case {
        name: String,
        proof: Hex,
        error: Option<String>,
    }
    #[derive(Deserialize)]
    struct Vectors {
        config: Hex,
        expected: Expected,
        cases: Vec<Case>,
    }
    let vectors: Vectors = serde_json::from_str(include_str!("vectors/acceptance.json")).unwrap();
    let client = LightClient::new(&NetworkConfig::from_bytes(&vectors.config.0).unwrap()).unwrap();
    let expected = vectors.expected;
    for case in vectors.cases {
        let proof = AcceptanceProof::from_bytes(&case.proof.0).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(proof.to_bytes().unwrap(), case.proof.0, "{}", case.name);
        let shown = client.verify_acceptance(&proof);
        let error = shown.as_ref().err().map(|error| format!("{error:?}"));
        assert_eq!(error, case.error, "{}", case.name);
        if let Ok(shown) = shown {
            assert_eq!(proof.leaf(), expected.leaf.digest());
            assert_eq!(shown.envelope, EnvelopeId::from_bytes(expected.envelope.array()));
            assert_eq!(shown.tag.to_bytes(), expected.tag.array());
            assert_eq!(shown.expiry.get(), expected.expiry);
            assert_eq!(shown.height.get(), expected.height);
            assert_eq!(shown.time.get(), expected.time);
            assert_eq!(shown.signed_height.get(), expected.signed_height);
        }
    }
}

#[test]
fn lookups() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        key: Hex,
        proof: Hex,
        error: Option<String>,
    }
    #[derive(Deserialize)]
    struct Vectors {
        config: Hex,
        cases: Vec<Case>,
    }
    let vectors: Vectors = serde_json::from_str(include_str!("vectors/lookup.json")).unwrap();
    let config = NetworkConfig::from_bytes(&vectors.config.0).unwrap();
    let client = LightClient::new(&config).unwrap();
    for case in vectors.cases {
        let proof = LookupProof::from_bytes(&case.proof.0).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(proof.to_bytes().unwrap(), case.proof.0, "{}", case.name);
        let shown = client.verify_value(&case.key.key(), &proof, None);
        let error = shown.as_ref().err().map(|error| format!("{error:?}"));
        assert_eq!(error, case.error, "{}", case.name);
        if case.name == "the node set" {
            let (_, set) = client.verify_node_set(&proof, None).unwrap();
            assert_eq!(set, config.node_set().unwrap());
        }
    }
}

#[test]
fn histories() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        page: Hex,
        error: Option<String>,
    }
    #[derive(Deserialize)]
    struct Vectors {
        config: Hex,
        identity: Hex,
        lookup: Hex,
        cases: Vec<Case>,
    }
    let vectors: Vectors = serde_json::from_str(include_str!("vectors/history.json")).unwrap();
    let config = NetworkConfig::from_bytes(&vectors.config.0).unwrap();
    let client = LightClient::new(&config).unwrap();
    let identity = IdentityId::from_bytes(vectors.identity.array());
    let lookup = LookupProof::from_bytes(&vectors.lookup.0).unwrap();
    for case in vectors.cases {
        let page = HistoryPage::from_bytes(&case.page.0).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(page.to_bytes().unwrap(), case.page.0, "{}", case.name);
        let start = IdentityState::new(&page.genesis);
        let window = config.limits().recovery_window_ms;
        let shown = client.verify_history(&identity, &start, page.entries, window, &lookup, None);
        let error = shown.as_ref().err().map(|error| format!("{error:?}"));
        assert_eq!(error, case.error, "{}", case.name);
        if let Ok((_, shown)) = shown {
            assert_eq!((shown.state().id, shown.entries().len()), (identity, 6));
        }
    }
}

#[test]
fn refused() {
    #[derive(Deserialize)]
    struct Case {
        object: String,
        name: String,
        bytes: Hex,
        error: String,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("vectors/refused.json")).unwrap();
    for case in cases {
        let bytes = &case.bytes.0;
        let error = match case.object.as_str() {
            "config" => NetworkConfig::from_bytes(bytes).err(),
            "transaction" => Transaction::from_bytes(bytes).err(),
            "payload" => Payload::from_bytes(bytes).err(),
            "lookup" => LookupProof::from_bytes(bytes).err(),
            "history" => HistoryPage::from_bytes(bytes).err(),
            "acceptance" => AcceptanceProof::from_bytes(bytes).err(),
            other => panic!("{other}"),
        };
        assert_eq!(
            error.as_ref().map(name),
            Some(case.error),
            "{}: {}",
            case.object,
            case.name
        );
    }
}
