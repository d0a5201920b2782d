//! A network made of seeds: keys, certificates, receipts and whole proofs. Also used by the benches and by the tests of
//! the state machine.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use tokenim_consensus::{
    Certificate, FinalityProof, Header, ParsedCertificate, Proposal, Validator, ValidatorSet, View, payload_root,
};
use tokenim_identity::{
    DeviceSecrets, EnvelopeKey, EpochSigningKey, Genesis, IdentityId, IdentityState, NodeSigningKey, Place,
    RecordSigner, RootSigningKey, Signature, SignedRecord,
};
use tokenim_ledger::{
    AcceptanceProof, GenesisNode, IdentityUpdate, LedgerLimits, LookupProof, NetworkConfig, NodeSetCommitment,
    SetSummary, StateKey, members_tree,
    proof::{MerkleTree, StateProof, Terminal},
};
use tokenim_mailbox::{
    Incarnation, LogPosition, MailboxTag, NodeSet, QuorumReceipt, StorageReceipt, StorageReceiptBody,
    group::{AuthorBox, CommitParts, GroupChild, GroupEntryId, GroupStart, GroupUpdate, SignedGroupChild},
    swarm,
};
use tokenim_wire::{
    BoundedBytes, BoundedVec, Digest, EnvelopeId, Epoch, Height, Label, NetworkId, Object, UnixMillis, UnixSeconds,
    hash,
};

pub const STARTED: UnixMillis = UnixMillis::new(1_800_000_000_000);

/// A digest that depends on a text and a number.
pub fn digest(text: &str, number: u64) -> Digest {
    hash(Label::new("tokenim/test/v1"), &[text.as_bytes(), &number.to_be_bytes()])
}

/// The key of node `number`.
pub fn node_key(number: u64) -> NodeSigningKey {
    NodeSigningKey::from_seed(digest("node", number).to_bytes())
}

/// A network whose first nodes are its validators.
pub struct Net {
    pub config: NetworkConfig,
    pub id: NetworkId,
    pub set: NodeSet,
    /// In the order of the validator set.
    pub validators: Vec<NodeSigningKey>,
    /// In the order of the node set.
    pub nodes: Vec<NodeSigningKey>,
}

pub fn net(validators: u64, nodes: u64) -> Net {
    net_with(validators, nodes, LedgerLimits::default())
}

pub fn net_with(validators: u64, nodes: u64, limits: LedgerLimits) -> Net {
    let sorted = |count: u64| {
        let mut keys: Vec<NodeSigningKey> = (0..count).map(node_key).collect();
        keys.sort_by_key(NodeSigningKey::verifying_key);
        keys
    };
    let (validators, nodes) = (sorted(validators), sorted(nodes));
    let set = ValidatorSet::new(
        validators
            .iter()
            .map(|key| Validator::new(key.verifying_key()))
            .collect(),
    )
    .unwrap();
    let members = nodes
        .iter()
        .enumerate()
        .map(|(number, key)| GenesisNode {
            key: key.verifying_key(),
            address: format!("192.0.2.{number}:7400").parse().unwrap(),
        })
        .collect();
    let config = NetworkConfig::new("test", STARTED, set, members, limits).unwrap();
    Net {
        id: config.network_id().unwrap(),
        set: config.node_set().unwrap(),
        config,
        validators,
        nodes,
    }
}

/// Signs bytes as the consensus engine does: with the seed of a node's key.
pub fn engine_sign(key: &NodeSigningKey, message: &[u8]) -> Signature {
    let key = ed25519_zebra::SigningKey::from(*key.expose_seed());
    Signature::from_bytes(key.sign(message).to_bytes())
}

impl Net {
    /// The certificate of a quorum of the validators, the first ones, for a header.
    pub fn certificate(&self, header: &Header) -> Certificate {
        let quorum = self.config.validators().quorum() as u16;
        self.certificate_by(header, (0..quorum).collect())
    }

    /// The certificate of these validators for a header.
    pub fn certificate_by(&self, header: &Header, signers: Vec<u16>) -> Certificate {
        let view = header.height.get() + 1;
        let proposal = Proposal {
            epoch: header.epoch,
            view: View::new(view),
            parent_view: View::new(view - 1),
            digest: header.digest(),
        };
        let message = proposal.finalize_bytes(&self.id);
        ParsedCertificate {
            proposal,
            validators: self.validators.len() as u16,
            signatures: signers
                .iter()
                .map(|signer| engine_sign(&self.validators[usize::from(*signer)], &message))
                .collect(),
            signers,
        }
        .to_certificate()
        .unwrap()
    }

    /// A header of this network at a height that a running network reaches after weeks, with these roots.
    pub fn header(&self, receipts_root: Digest, node_set_root: Digest, state_root: Digest) -> Header {
        Header {
            chain: self.id,
            epoch: Epoch::ZERO,
            height: Height::new(20_000_000),
            time: STARTED.saturating_add(20_000_000 * 500),
            parent: tokenim_consensus::BlockDigest::from_bytes(digest("parent", 0).to_bytes()),
            payload_root: payload_root(b"payload"),
            state_root,
            receipts_root,
            node_set_root,
            header_mmr_root: digest("mountains", 0),
            next_validators: self.config.validators().digest(),
        }
    }

    /// A child of a header.
    pub fn child(&self, parent: &Header) -> Header {
        Header {
            height: parent.height.next().unwrap(),
            time: parent.time.saturating_add(500),
            parent: parent.digest(),
            ..*parent
        }
    }

    pub fn finality(&self, header: &Header) -> FinalityProof {
        FinalityProof::new(vec![*header], self.certificate(header)).unwrap()
    }

    /// The receipt of W nodes of the swarm of mailbox `number`, from logs of some thousand lines.
    pub fn receipt(&self, number: u64) -> QuorumReceipt {
        self.receipt_in(&self.set, number)
    }

    pub fn receipt_in(&self, set: &NodeSet, number: u64) -> QuorumReceipt {
        self.receipt_of(set, MailboxTag::from_bytes(digest("tag", number).to_bytes()), number)
    }

    /// That of the envelope `number` in this mailbox.
    fn receipt_of(&self, set: &NodeSet, tag: MailboxTag, number: u64) -> QuorumReceipt {
        let envelope = EnvelopeId::from_bytes(digest("envelope", number).to_bytes());
        let expiry = STARTED.to_seconds().saturating_add(10_030_000);
        let receipts: Vec<StorageReceipt> = swarm(set, &tag)
            .into_iter()
            .map(|member| {
                let key = self.nodes.iter().find(|key| key.verifying_key() == member.key).unwrap();
                let body = StorageReceiptBody {
                    node: member.key,
                    tag,
                    envelope,
                    expiry: UnixSeconds::new(expiry.get()),
                    position: LogPosition {
                        set_epoch: set.epoch(),
                        incarnation: Incarnation::new(3),
                        index: 20_000 + number,
                        size: 20_001 + number,
                        root: digest("log", number),
                        height: Height::new(19_999_990),
                    },
                };
                StorageReceipt::sign(&self.id, key, body).unwrap()
            })
            .collect();
        QuorumReceipt::assemble(set, &receipts).unwrap()
    }

    /// The proof for `receipt` in a block that anchors `receipts` of them, with one header.
    pub fn acceptance(&self, receipt: &QuorumReceipt, receipts: u64) -> AcceptanceProof {
        let sets = NodeSetCommitment {
            current: SetSummary::of(&self.set),
            previous: SetSummary::of(&self.set),
        };
        let mut leaves: Vec<Digest> = (1..receipts).map(|number| digest("receipt", number)).collect();
        leaves.push(receipt.leaf());
        leaves.sort_unstable();
        let index = leaves.binary_search(&receipt.leaf()).unwrap() as u32;
        let tree = MerkleTree::new(leaves).unwrap();
        let header = self.header(tree.root(), sets.root(), digest("state", 0));
        let indices: Vec<u32> = receipt.issuers.iter().map(|issuer| issuer.member.into()).collect();
        AcceptanceProof {
            receipt: receipt.clone(),
            sets,
            keys: BoundedVec::try_from_iter(
                receipt
                    .issuers
                    .iter()
                    .map(|issuer| self.set.get(issuer.member).unwrap().key),
            )
            .unwrap(),
            members: members_tree(&self.set).prove(&indices).unwrap(),
            path: tree.path(index).unwrap(),
            finality: self.finality(&header),
        }
    }
}

/// The identity whose proof is the longest in a state of identities `0..count`, with the shape of that proof: from the
/// terminal upwards, whether the sibling is there.
pub fn longest_proof(count: u64) -> (IdentityId, Vec<bool>) {
    fn walk(keys: &[(StateKey, u64)], depth: usize, way: &mut Vec<bool>, longest: &mut (usize, u64, Vec<bool>)) {
        if let [(_, number)] = keys {
            let siblings = way.iter().filter(|there| **there).count();
            if siblings > longest.0 {
                *longest = (siblings, *number, way.iter().rev().copied().collect());
            }
            return;
        }
        let is_left = |key: &StateKey| key.as_bytes()[depth / 8] >> (7 - depth % 8) & 1 == 0;
        let (left, right) = keys.split_at(keys.partition_point(|(key, _)| is_left(key)));
        for (own, other) in [(left, right), (right, left)] {
            if !own.is_empty() {
                way.push(!other.is_empty());
                walk(own, depth + 1, way, longest);
                way.pop();
            }
        }
    }
    let mut keys: Vec<(StateKey, u64)> = (0..count)
        .map(|number| (StateKey::identity(&identity_of(number)), number))
        .collect();
    keys.sort_unstable();
    let mut longest = (0, 0, Vec::new());
    walk(&keys, 0, &mut Vec::new(), &mut longest);
    (identity_of(longest.1), longest.2)
}

fn identity_of(number: u64) -> IdentityId {
    IdentityId::from_bytes(digest("identity", number).to_bytes())
}

impl Net {
    /// A look-up of `state` whose proof has this shape; the siblings are any hashes.
    pub fn lookup(&self, state: &IdentityState, shape: &[bool]) -> LookupProof {
        let key = StateKey::identity(&state.id);
        let value = state.to_bytes().unwrap();
        let siblings = (0..)
            .zip(shape)
            .map(|(level, there)| there.then(|| digest("sibling", level)));
        let proof = StateProof::new(Terminal::Own, siblings).unwrap();
        let root = proof.root(&key, Some(&value)).unwrap();
        LookupProof {
            value: Some(BoundedBytes::try_from(value).unwrap()),
            proof,
            finality: self.finality(&self.header(digest("receipts", 0), digest("sets", 0), root)),
        }
    }
}

/// A session made of a number.
pub struct Session {
    pub number: u64,
    pub start: GroupStart,
}

pub fn session(number: u64) -> Session {
    let start = GroupStart {
        nonce: digest("nonce", number).to_bytes(),
        key: epoch_key(number, 0).verifying_key(),
    };
    Session { number, start }
}

/// The key of epoch `index` of session `number`.
pub fn epoch_key(number: u64, index: u64) -> EpochSigningKey {
    EpochSigningKey::from_seed(digest("epoch", number * 100 + index).to_bytes())
}

impl Session {
    /// What commit `commit` makes of an entry; the epoch after it has the key `commit + 1`.
    pub fn child(&self, net: &Net, parent: GroupEntryId, commit: u64) -> (GroupChild, QuorumReceipt) {
        let receipt = net.receipt(self.number * 100 + commit);
        let child = GroupChild {
            handle: self.start.handle(),
            parent,
            commitment: digest("commitment", self.number * 100 + commit).to_bytes().into(),
            next: epoch_key(self.number, commit + 1).verifying_key(),
            author: AuthorBox::try_from([3; 96].as_slice()).unwrap(),
            tag: receipt.tag,
            envelopes: receipt.envelope.into(),
        };
        (child, receipt)
    }

    /// That, signed with the key `signer`.
    pub fn follow_by(&self, net: &Net, parent: GroupEntryId, commit: u64, signer: u64) -> GroupUpdate {
        let (child, receipt) = self.child(net, parent, commit);
        let key = epoch_key(self.number, signer);
        GroupUpdate::Child(Box::new(
            SignedGroupChild::sign(&net.id, &key, child, vec![receipt]).unwrap(),
        ))
    }

    /// A child of the root entry with a commit in these parts, and what becomes of its receipts after it was signed.
    pub fn follow_in_parts(
        &self,
        net: &Net,
        parent: GroupEntryId,
        parts: &[u64],
        change: impl FnOnce(&mut Vec<QuorumReceipt>),
    ) -> GroupUpdate {
        let first = parts[0];
        let (mut child, _) = self.child(net, parent, first);
        let number = |part: &u64| self.number * 100 + 10 + part;
        let mut receipts: Vec<_> = parts
            .iter()
            .map(|part| net.receipt_of(&net.set, child.tag, number(part)))
            .collect();
        child.envelopes = CommitParts::new(receipts.iter().map(|receipt| receipt.envelope).collect()).unwrap();
        child.commitment = digest("commitment in parts", parts.len() as u64).to_bytes().into();
        let key = epoch_key(self.number, 0);
        let mut signed = SignedGroupChild::sign(&net.id, &key, child, receipts.clone()).unwrap();
        change(&mut receipts);
        signed.receipts = receipts.try_into().unwrap();
        GroupUpdate::Child(Box::new(signed))
    }

    /// A child of the root entry.
    pub fn follow(&self, net: &Net, parent: GroupEntryId, commit: u64) -> GroupUpdate {
        self.follow_by(net, parent, commit, 0)
    }
}

/// The block that a record comes in.
#[derive(Clone, Copy, Debug)]
pub struct At {
    pub height: Height,
    pub time: UnixMillis,
    pub window_ms: u64,
}

impl At {
    /// The block at a height of a network whose blocks are half a second apart.
    pub fn height(height: u64) -> Self {
        Self {
            height: Height::new(height),
            time: STARTED.saturating_add(height * 500),
            window_ms: LedgerLimits::default().recovery_window_ms,
        }
    }

    pub fn place(self, network: &NetworkId) -> Place<'_> {
        Place {
            network,
            height: self.height,
            time: self.time,
            window_ms: self.window_ms,
        }
    }
}

/// The root keys of a person, one after the other.
pub fn root_key(person: u64, index: u64) -> RootSigningKey {
    let seed = match index {
        0 => digest("root", person),
        1 => digest("next root", person),
        _ => digest("later root", person * 100 + index),
    };
    RootSigningKey::from_seed(seed.to_bytes())
}

/// A person made of a number, with one device per seed.
pub struct Person {
    pub number: u64,
    /// Which of the root keys is the root.
    pub root: u64,
    pub genesis: Genesis,
    pub state: IdentityState,
}

pub fn person(number: u64) -> Person {
    let genesis = Genesis::new(
        root_key(number, 0).verifying_key(),
        &root_key(number, 1).verifying_key(),
    );
    Person {
        number,
        root: 0,
        state: IdentityState::new(&genesis),
        genesis,
    }
}

pub fn device(number: u64) -> DeviceSecrets {
    DeviceSecrets::generate(&mut ChaCha8Rng::seed_from_u64(number))
}

impl Person {
    /// The root key.
    pub fn key(&self) -> RootSigningKey {
        root_key(self.number, self.root)
    }

    /// The root key that comes next.
    pub fn next_key(&self) -> RootSigningKey {
        root_key(self.number, self.root + 1)
    }

    /// The update that adds a device, as the next record; the own copy of the state follows it.
    pub fn add_device(&mut self, network: &NetworkId, number: u64, at: At) -> IdentityUpdate {
        let envelope = EnvelopeKey::x25519(digest("envelope key", number).to_bytes());
        let record = SignedRecord::add_device(network, &self.state, &self.key(), &device(number), envelope).unwrap();
        self.follow(network, record, at)
    }

    /// The update that revokes a device.
    pub fn revoke_device(&mut self, network: &NetworkId, number: u64, at: At) -> IdentityUpdate {
        let id = device(number).device_id();
        let record = SignedRecord::revoke_device(network, &self.state, &self.key(), id).unwrap();
        self.follow(network, record, at)
    }

    /// The update by which the next root asks to be the root.
    pub fn rotate_root(&mut self, network: &NetworkId, at: At) -> IdentityUpdate {
        let after = root_key(self.number, self.root + 2).verifying_key();
        let record = SignedRecord::rotate_root(network, &self.state, &self.next_key(), &after).unwrap();
        self.follow(network, record, at)
    }

    /// The update by which the root carries out what is pending.
    pub fn complete(&mut self, network: &NetworkId, at: At) -> IdentityUpdate {
        let key = self.key();
        let record = SignedRecord::complete(network, &self.state, RecordSigner::Root(&key)).unwrap();
        self.follow(network, record, at)
    }

    /// The update that links account `number`, or takes the link back.
    pub fn toggle_link(&mut self, network: &NetworkId, number: u64, at: At) -> IdentityUpdate {
        let link = digest("link", number);
        let record = if self.state.links.contains(&link) {
            SignedRecord::unlink_account(network, &self.state, &self.key(), link)
        } else {
            SignedRecord::link_account(network, &self.state, &self.key(), link)
        };
        self.follow(network, record.unwrap(), at)
    }

    /// The update with a record; the own copy of the state follows it.
    pub fn follow(&mut self, network: &NetworkId, record: SignedRecord, at: At) -> IdentityUpdate {
        let genesis = (self.state.seq == 0).then_some(self.genesis);
        let root = self.state.root;
        self.state = self.state.apply(&at.place(network), &record).unwrap();
        self.root += u64::from(self.state.root != root);
        IdentityUpdate { genesis, record }
    }
}
