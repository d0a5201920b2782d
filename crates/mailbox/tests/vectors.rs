//! The vectors of `tests/vectors`, which a second implementation made from the spec.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde::{Deserialize, de::DeserializeOwned};
use tokenim_identity::{DeviceKey, DeviceKeys, EnvelopeKey, IdentityId, MailboxKey, NodeKey, Signature, SuiteId};
use tokenim_mailbox::{
    ContactStock, Descriptor, LogEntry, MailboxTag, Misconduct, NodeSet, PlacementId, Postage, PostageBits,
    PublishRequest, Quorum, QuorumReceipt, ReadRequest, SignedContactKeys, SignedHead, StorageReceipt, WriteAuthority,
    WritePolicy, WriteRequest, check_postage, check_publish, check_read, check_write, find_postage,
    group::{GroupNode, GroupUpdate},
    mmr::{self, Accumulator, Proof},
    node_leaf, swarm,
};
use tokenim_wire::{Digest, EnvelopeId, NetworkId, Object, UnixSeconds, decode, encode, hex};

/// A file of vectors.
fn vectors<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// The name of an error's variant.
fn name(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split(|letter: char| !letter.is_alphanumeric())
        .next()
        .unwrap()
        .to_owned()
}

/// Checks that value and bytes are each other's.
fn same<T: Object + PartialEq + std::fmt::Debug>(value: &T, data: &str) {
    assert_eq!(hex::encode(&value.to_bytes().unwrap()), data);
    assert_eq!(T::from_bytes(&bytes(data)).unwrap(), *value);
}

#[test]
fn descriptors() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        write: Option<MailboxKey>,
        read: MailboxKey,
        nonce: String,
        bytes: String,
        tag: MailboxTag,
    }
    let cases: Vec<Case> = vectors(include_str!("vectors/descriptors.json"));
    assert_eq!(cases.len(), 4);
    for case in cases {
        let descriptor = Descriptor {
            write: case.write.map_or(WritePolicy::Open, WritePolicy::Key),
            read: case.read,
            nonce: bytes(&case.nonce).try_into().unwrap(),
        };
        same(&descriptor, &case.bytes);
        assert_eq!(descriptor.tag(), case.tag, "{}", case.name);
    }
}

#[test]
fn requests() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        kind: String,
        node: NodeKey,
        descriptor: String,
        body: String,
        signature: Option<Signature>,
        postage: Option<Postage>,
        bits: PostageBits,
        now: UnixSeconds,
        error: Option<String>,
    }
    let network = NetworkId::from_bytes([7; 32]);
    let cases: Vec<Case> = vectors(include_str!("vectors/requests.json"));
    assert_eq!(cases.len(), 40);
    for case in cases {
        let descriptor = Descriptor::from_bytes(&bytes(&case.descriptor)).unwrap();
        let body = bytes(&case.body);
        let result = if case.kind == "write" {
            let request: WriteRequest = decode(&body, 256).unwrap();
            assert_eq!(encode(&request).unwrap(), body);
            let authority = match (case.postage, case.signature) {
                (Some(postage), None) => WriteAuthority::Postage(postage),
                (None, Some(signature)) => WriteAuthority::Signature(signature),
                _ => panic!("{}", case.name),
            };
            check_write(
                &network,
                &case.node,
                &descriptor,
                &request,
                &authority,
                case.bits,
                case.now,
            )
        } else {
            let request: ReadRequest = decode(&body, 256).unwrap();
            assert_eq!(encode(&request).unwrap(), body);
            check_read(
                &network,
                &case.node,
                &descriptor,
                &request,
                &case.signature.unwrap(),
                case.now,
            )
        };
        assert_eq!(
            result.err().map(|error| name(&error)),
            case.error,
            "{} {}",
            case.kind,
            case.name
        );
    }
}

#[test]
fn postage() {
    #[derive(Deserialize)]
    struct Check {
        name: String,
        error: Option<String>,
        tag: MailboxTag,
        envelope: EnvelopeId,
        #[serde(flatten)]
        postage: Postage,
        bits: PostageBits,
        now: UnixSeconds,
        work: Digest,
    }
    #[derive(Deserialize)]
    struct Search {
        tag: MailboxTag,
        envelope: EnvelopeId,
        hour: u64,
        bits: PostageBits,
        start: u64,
        nonce: u64,
    }
    #[derive(Deserialize)]
    struct Vectors {
        checks: Vec<Check>,
        searches: Vec<Search>,
    }
    let all: Vectors = vectors(include_str!("vectors/postage.json"));
    assert_eq!((all.checks.len(), all.searches.len()), (22, 7));
    for case in all.checks {
        assert_eq!(case.postage.work(&case.tag, &case.envelope), case.work, "{}", case.name);
        let result = check_postage(&case.tag, &case.envelope, &case.postage, case.bits, case.now);
        assert_eq!(result.err().map(|error| name(&error)), case.error, "{}", case.name);
    }
    for case in all.searches {
        let mut search = find_postage(&case.tag, &case.envelope, case.hour, case.bits, case.start);
        let found = std::iter::repeat_with(|| search.step(100)).find_map(|found| found);
        let expected = Postage {
            hour: case.hour,
            nonce: case.nonce,
        };
        assert_eq!(found, Some(expected), "{} bits", case.bits.get());
        assert_eq!(search.next_nonce(), case.nonce.wrapping_add(1));
    }
}

#[derive(Deserialize)]
struct KeysCase {
    name: String,
    error: Option<String>,
    identity: String,
    device: DeviceKey,
    suite: u16,
    now: UnixSeconds,
    bytes: String,
}

#[derive(Deserialize)]
struct PublicationCase {
    name: String,
    error: Option<String>,
    node: NodeKey,
    descriptor: String,
    body: String,
    signature: Signature,
    stock: String,
    now: UnixSeconds,
}

#[derive(Deserialize)]
struct ContactCases {
    network: NetworkId,
    keys: Vec<KeysCase>,
    publications: Vec<PublicationCase>,
}

#[test]
fn contact_keys() {
    let all: ContactCases = vectors(include_str!("vectors/contact.json"));
    assert_eq!(all.keys.len(), 22);
    for case in all.keys {
        let signed = SignedContactKeys::from_bytes(&bytes(&case.bytes)).unwrap();
        same(&signed, &case.bytes);
        let suite = SuiteId::new(case.suite);
        let device = DeviceKeys {
            signing: case.device,
            envelope: EnvelopeKey::new(suite, &vec![1; suite.key_bytes().unwrap()]).unwrap(),
            inbox: tokenim_identity::MailboxSigningKey::from_seed([201; 32]).verifying_key(),
            inbox_nonce: [0; 16],
        };
        let identity = IdentityId::from_bytes(bytes(&case.identity).try_into().unwrap());
        let result = signed.verify(&all.network, &identity, &device, case.now);
        assert_eq!(result.err().map(|error| name(&error)), case.error, "{}", case.name);
    }
}

#[test]
fn publications() {
    let all: ContactCases = vectors(include_str!("vectors/contact.json"));
    assert_eq!(all.publications.len(), 23);
    for case in all.publications {
        let stock = ContactStock::from_bytes(&bytes(&case.stock)).unwrap();
        same(&stock, &case.stock);
        let descriptor = Descriptor::from_bytes(&bytes(&case.descriptor)).unwrap();
        let body = bytes(&case.body);
        let request: PublishRequest = decode(&body, 256).unwrap();
        assert_eq!(encode(&request).unwrap(), body);
        let result = check_publish(
            &all.network,
            &case.node,
            &descriptor,
            &request,
            &case.signature,
            &stock,
            case.now,
        );
        assert_eq!(result.err().map(|error| name(&error)), case.error, "{}", case.name);
    }
}

#[test]
fn quorums() {
    #[derive(Deserialize)]
    struct Numbers {
        nodes: Option<usize>,
        replicas: u8,
        faulty: u8,
        write: u8,
        read: u8,
    }
    #[derive(Deserialize)]
    struct Vectors {
        by_nodes: Vec<Numbers>,
        by_replicas: Vec<Numbers>,
    }
    let check = |quorum: Quorum, numbers: &Numbers| {
        assert_eq!(
            (quorum.replicas, quorum.faulty, quorum.write, quorum.read),
            (numbers.replicas, numbers.faulty, numbers.write, numbers.read)
        );
    };
    let all: Vectors = vectors(include_str!("vectors/quorums.json"));
    assert_eq!((all.by_nodes.len(), all.by_replicas.len()), (13, 13));
    for numbers in &all.by_nodes {
        check(Quorum::for_nodes(numbers.nodes.unwrap()), numbers);
    }
    for numbers in &all.by_replicas {
        check(Quorum::for_replicas(numbers.replicas), numbers);
    }
    // As everyone quotes them.
    for (replicas, write, read) in [(4, 3, 3), (5, 3, 4), (7, 5, 5)] {
        let quorum = Quorum::for_replicas(replicas);
        assert_eq!((quorum.write, quorum.read), (write, read));
    }
}

#[test]
fn node_sets() {
    #[derive(Deserialize)]
    struct Case {
        epoch: u64,
        members: Vec<MemberCase>,
        anchor: Digest,
        bytes: String,
        leaves: Vec<Digest>,
        swarms: Vec<SwarmCase>,
    }
    #[derive(Deserialize)]
    struct MemberCase {
        key: NodeKey,
        placement: PlacementId,
        address: String,
    }
    #[derive(Deserialize)]
    struct SwarmCase {
        tag: MailboxTag,
        nodes: Vec<NodeKey>,
    }
    let cases: Vec<Case> = vectors(include_str!("vectors/node_sets.json"));
    assert_eq!(cases.len(), 5);
    for case in cases {
        let set = NodeSet::from_bytes(&bytes(&case.bytes)).unwrap();
        same(&set, &case.bytes);
        assert_eq!(set.epoch().get(), case.epoch);
        assert_eq!(set.len(), case.members.len());
        for (member, expected) in set.members().iter().zip(&case.members) {
            assert_eq!(member.key, expected.key);
            assert_eq!(member.placement, expected.placement);
            assert_eq!(PlacementId::new(&member.key, &case.anchor), expected.placement);
            assert_eq!(member.address.as_str(), expected.address);
        }
        assert!(set.leaves().eq(case.leaves.iter().copied()));
        for (index, leaf) in (0..).zip(&case.leaves) {
            assert_eq!(set.leaf(index), Some(*leaf));
            assert_eq!(node_leaf(&set.get(index).unwrap().key), *leaf);
        }
        for expected in &case.swarms {
            let nodes: Vec<_> = swarm(&set, &expected.tag)
                .into_iter()
                .map(|member| member.key)
                .collect();
            assert_eq!(nodes, expected.nodes);
        }
    }
}

#[derive(Deserialize)]
struct ProofCase {
    #[serde(default)]
    name: String,
    error: Option<String>,
    size: u64,
    index: u64,
    leaf: Digest,
    root: Digest,
    proof: Vec<Digest>,
}

#[derive(Deserialize)]
struct Ranges {
    leaves: Vec<Digest>,
    nodes: Vec<Digest>,
    lists: Vec<ListCase>,
    proofs: Vec<ProofCase>,
    refused: Vec<ProofCase>,
}

#[derive(Deserialize)]
struct ListCase {
    size: u64,
    root: Digest,
    accumulator: String,
}

#[test]
fn mountain_ranges() {
    let all: Ranges = vectors(include_str!("vectors/mountain_ranges.json"));
    assert_eq!((all.lists.len(), all.proofs.len()), (21, 11));
    let mut accumulator = Accumulator::new();
    let mut nodes = Vec::new();
    let mut lists = all.lists.iter();
    let mut expected = lists.next();
    for leaf in all.leaves.iter().map(Some).chain([None]) {
        if let Some(list) = expected
            && list.size == accumulator.size()
        {
            assert_eq!(accumulator.root(), list.root);
            same(&accumulator, &list.accumulator);
            expected = lists.next();
        }
        if let Some(leaf) = leaf {
            let appended = accumulator.push(*leaf).unwrap();
            assert_eq!(appended.position, nodes.len() as u64);
            nodes.extend(appended.nodes);
        }
    }
    assert!(expected.is_none());
    assert_eq!(nodes, all.nodes);
    for case in &all.proofs {
        let proof = mmr::prove(&nodes, case.size, case.index).unwrap();
        assert_eq!(proof.digests(), case.proof);
        assert_eq!(
            mmr::verify(&case.root, case.size, case.index, &case.leaf, &proof),
            Ok(())
        );
    }
}

#[test]
fn refused_proofs() {
    let all: Ranges = vectors(include_str!("vectors/mountain_ranges.json"));
    assert_eq!(all.refused.len(), 16);
    for case in all.refused {
        let proof = Proof::from_digests(case.proof).unwrap();
        let error = mmr::verify(&case.root, case.size, case.index, &case.leaf, &proof).unwrap_err();
        assert_eq!(Some(name(&error)), case.error, "{}", case.name);
    }
}

#[derive(Deserialize)]
struct ObjectCase<T> {
    name: String,
    error: Option<String>,
    value: T,
    bytes: String,
}

#[derive(Deserialize)]
struct Statements {
    network: NetworkId,
    entries: Vec<EntryCase>,
    receipts: Vec<ObjectCase<StorageReceipt>>,
    heads: Vec<ObjectCase<SignedHead>>,
    refused_receipts: Vec<ObjectCase<StorageReceipt>>,
    refused_heads: Vec<ObjectCase<SignedHead>>,
}

#[derive(Deserialize)]
struct EntryCase {
    #[serde(flatten)]
    entry: LogEntry,
    bytes: String,
    leaf: Digest,
}

#[test]
fn statements() {
    let all: Statements = vectors(include_str!("vectors/statements.json"));
    assert_eq!((all.entries.len(), all.receipts.len(), all.heads.len()), (5, 4, 3));
    for case in &all.entries {
        assert_eq!(hex::encode(&encode(&case.entry).unwrap()), case.bytes);
        assert_eq!(case.entry.leaf(), case.leaf);
    }
    for case in &all.receipts {
        same(&case.value, &case.bytes);
        assert_eq!(case.value.verify(&all.network), Ok(()), "{}", case.name);
    }
    for case in &all.heads {
        same(&case.value, &case.bytes);
        assert_eq!(case.value.verify(&all.network), Ok(()), "{}", case.name);
        let body = &case.value.body;
        let answer = |node, tag, nonce| case.value.verify_answer(&all.network, node, tag, nonce);
        assert_eq!(answer(&body.node, &body.tag, &body.nonce), Ok(()));
        assert!(answer(&body.node, &body.tag, &[0; 16]).is_err(), "another request");
        assert!(
            answer(&body.node, &MailboxTag::from_bytes([0; 32]), &body.nonce).is_err(),
            "another mailbox"
        );
    }
}

#[test]
fn refused_statements() {
    let all: Statements = vectors(include_str!("vectors/statements.json"));
    assert_eq!((all.refused_receipts.len(), all.refused_heads.len()), (7, 5));
    for case in &all.refused_receipts {
        same(&case.value, &case.bytes);
        let error = case.value.verify(&all.network).unwrap_err();
        assert_eq!(Some(name(&error)), case.error, "{}", case.name);
    }
    for case in &all.refused_heads {
        same(&case.value, &case.bytes);
        let error = case.value.verify(&all.network).unwrap_err();
        assert_eq!(Some(name(&error)), case.error, "{}", case.name);
    }
}

#[derive(Deserialize)]
struct QuorumCase {
    name: String,
    node_set: String,
    value: QuorumReceipt,
    bytes: String,
    leaf: Option<Digest>,
    signed_height: Option<u64>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct QuorumCases {
    network: NetworkId,
    good: Vec<QuorumCase>,
    refused: Vec<QuorumCase>,
}

#[test]
fn quorum_receipts() {
    let all: QuorumCases = vectors(include_str!("vectors/quorum_receipts.json"));
    assert_eq!(all.good.len(), 8);
    for case in all.good {
        let set = NodeSet::from_bytes(&bytes(&case.node_set)).unwrap();
        let receipt = case.value;
        same(&receipt, &case.bytes);
        assert_eq!(Some(receipt.leaf()), case.leaf);
        let accepted = receipt.verify_in(&all.network, &set).unwrap();
        assert_eq!(
            Some(accepted.signed_height().get()),
            case.signed_height,
            "{}",
            case.name
        );
        assert_eq!(
            (accepted.tag, accepted.envelope, accepted.expiry, accepted.set_epoch),
            (receipt.tag, receipt.envelope, receipt.expiry, set.epoch())
        );
        // The keys of the issuers alone are enough, in any order and among others.
        let mut members: Vec<_> = (0..)
            .zip(set.members())
            .map(|(index, member)| (index, member.key))
            .collect();
        members.reverse();
        assert_eq!(
            receipt.verify(&all.network, set.epoch(), set.len(), &members),
            Ok(accepted)
        );
        // From the receipts in it, of which W are enough.
        let parts: Vec<_> = receipt
            .issuers
            .iter()
            .rev()
            .map(|issuer| StorageReceipt {
                body: receipt.body_of(issuer, set.get(issuer.member).unwrap().key),
                signature: issuer.signature,
            })
            .collect();
        let assembled = QuorumReceipt::assemble(&set, &parts).unwrap();
        let enough = usize::from(set.quorum().write);
        assert_eq!(assembled.issuers.as_slice(), &receipt.issuers[..enough]);
        assembled.verify_in(&all.network, &set).unwrap();
    }
}

#[test]
fn refused_quorum_receipts() {
    let all: QuorumCases = vectors(include_str!("vectors/quorum_receipts.json"));
    assert_eq!(all.refused.len(), 17);
    for case in all.refused {
        let set = NodeSet::from_bytes(&bytes(&case.node_set)).unwrap();
        same(&case.value, &case.bytes);
        let error = case.value.verify_in(&all.network, &set).unwrap_err();
        assert_eq!(Some(name(&error)), case.error, "{}", case.name);
        // Without the whole set all but the swarm is checked.
        let members: Vec<_> = (0..)
            .zip(set.members())
            .map(|(index, member)| (index, member.key))
            .collect();
        let result = case.value.verify(&all.network, set.epoch(), set.len(), &members);
        match result.err().map(|error| name(&error)) {
            None => assert_eq!(case.error.as_deref(), Some("NotInSwarm"), "{}", case.name),
            // More issuers than replicas are refused before any of them is looked at.
            Some(error) if error == "TooManyIssuers" => assert_eq!(case.name, "more_than_replicas"),
            error => assert_eq!(error, case.error, "{}", case.name),
        }
    }
}

#[derive(Deserialize)]
struct EvidenceCase {
    name: String,
    error: Option<String>,
    convicts: NodeKey,
    value: Misconduct,
    bytes: String,
}

#[derive(Deserialize)]
struct EvidenceCases {
    network: NetworkId,
    good: Vec<EvidenceCase>,
    refused: Vec<EvidenceCase>,
}

#[test]
fn evidence() {
    let all: EvidenceCases = vectors(include_str!("vectors/evidence.json"));
    assert_eq!((all.good.len(), all.refused.len()), (8, 24));
    for case in all.good {
        same(&case.value, &case.bytes);
        assert_eq!(case.value.verify(&all.network), Ok(case.convicts), "{}", case.name);
        let elsewhere = case.value.verify(&NetworkId::from_bytes([0; 32]));
        assert!(elsewhere.is_err(), "{} in another network", case.name);
    }
    for case in all.refused {
        same(&case.value, &case.bytes);
        let error = case.value.verify(&all.network).unwrap_err();
        assert_eq!(Some(name(&error)), case.error, "{}", case.name);
    }
}

#[test]
fn refused_objects() {
    #[derive(Deserialize)]
    struct Case {
        object: String,
        name: String,
        error: String,
        bytes: String,
    }
    let cases: Vec<Case> = vectors(include_str!("vectors/refused_objects.json"));
    assert_eq!(cases.len(), 76);
    for case in cases {
        let data = bytes(&case.bytes);
        let error = match case.object.as_str() {
            "descriptor" => Descriptor::from_bytes(&data).map(drop),
            "contact_keys" => SignedContactKeys::from_bytes(&data).map(drop),
            "contact_stock" => ContactStock::from_bytes(&data).map(drop),
            "node_set" => NodeSet::from_bytes(&data).map(drop),
            "accumulator" => Accumulator::from_bytes(&data).map(drop),
            "storage_receipt" => StorageReceipt::from_bytes(&data).map(drop),
            "signed_head" => SignedHead::from_bytes(&data).map(drop),
            "quorum_receipt" => QuorumReceipt::from_bytes(&data).map(drop),
            "misconduct" => Misconduct::from_bytes(&data).map(drop),
            "group_update" => GroupUpdate::from_bytes(&data).map(drop),
            "group_node" => GroupNode::from_bytes(&data).map(drop),
            other => panic!("{other}"),
        }
        .unwrap_err();
        assert_eq!(name(&error), case.error, "{} {}", case.object, case.name);
    }
}
