//! Bodies of the fuzz targets, shared with the test that replays the corpus.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use tokenim_consensus::{Block, Validator, ValidatorSet, payload_root};
use tokenim_execution::{BlockRoom, ExecutionError, Executor, Mempool, MempoolError, MempoolLimits};
use tokenim_identity::{
    DeviceSecrets, DeviceSigningKey, EnvelopeKey, EpochSigningKey, Genesis, IdentityState, MailboxSigningKey,
    NodeSigningKey, RecordSigner, RootSigningKey, SignedRecord, replay,
};
use tokenim_ledger::{
    Anchor, Body, GenesisNode, IdentityUpdate, IncarnationRegistration, LedgerLimits, NetworkConfig, NodeRegistration,
    Outcome, Payload, StateKey, Transaction, TransactionId, VerifiedTransaction,
};
use tokenim_mailbox::{
    Incarnation, LogPosition, QuorumReceipt, StorageReceipt, StorageReceiptBody,
    group::{GroupChild, GroupStart, GroupUpdate, SignedGroupChild},
};
use tokenim_storage::memory::MemoryStateStore;
use tokenim_wire::{BoundedVec, Digest, EnvelopeId, Epoch, Height, NetworkId, Object, UnixMillis, UnixSeconds};

type Store = Arc<MemoryStateStore>;

const NODES: u8 = 3;

fn node(number: u8) -> NodeSigningKey {
    NodeSigningKey::from_seed([number + 1; 32])
}

fn config() -> &'static (NetworkConfig, NetworkId) {
    static CONFIG: OnceLock<(NetworkConfig, NetworkId)> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let keys = || (0..NODES).map(|number| node(number).verifying_key());
        let validators = ValidatorSet::new(keys().map(Validator::new).collect()).expect("three");
        let nodes = keys()
            .map(|key| GenesisNode {
                key,
                address: "192.0.2.1:7400".parse().expect("short"),
            })
            .collect();
        let limits = LedgerLimits {
            sponsor_transactions_per_block: 4,
            transaction_lifetime_heights: 3,
            placement_delay_heights: 2,
            set_change_interval_heights: 1,
            recovery_window_ms: 1_000,
        };
        let started = UnixMillis::new(1_800_000_000_000);
        let config = NetworkConfig::new("fuzz", started, validators, nodes, limits).expect("valid");
        let id = config.network_id().expect("encodes");
        (config, id)
    })
}

fn open(store: &Store) -> Executor<Store> {
    Executor::open(Arc::clone(store), &config().0).expect("its own store")
}

/// Whatever a payload is, a block of it has a verdict, and an invalid one leaves no trace.
pub fn payload(data: &[u8]) {
    let executor = open(&Store::default());
    let genesis = executor.genesis_block().expect("there");
    let time = genesis.header.time.saturating_add(1);
    let mut block = executor
        .propose(&genesis, Epoch::ZERO, time, Vec::new())
        .expect("an empty block")
        .block;
    block.header.payload_root = payload_root(data);
    block.payload = data.to_vec();
    match executor.execute(&block) {
        // Valid with the roots of an empty block: nothing in it was applied.
        Ok(executed) => assert!(
            executed
                .outcomes()
                .iter()
                .all(|(_, outcome)| *outcome != Outcome::Applied)
        ),
        Err(ExecutionError::Invalid(_)) => assert!(!executor.is_executed(&block.digest()).expect("in memory")),
        Err(error) => panic!("{error}"),
    }
    assert_eq!(executor.committed().0, Height::ZERO);
}

/// Bytes as choices.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.next().unwrap_or(0) % limit
    }
}

/// Somebody whose copy of their own state follows the ledger.
struct Person {
    number: u8,
    genesis: Genesis,
    state: IdentityState,
}

/// The root keys of somebody, one after the other.
fn root(person: u8, index: u8) -> RootSigningKey {
    RootSigningKey::from_seed([0x80 + 0x20 * person + index; 32])
}

fn person(number: u8) -> Person {
    let genesis = Genesis::new(root(number, 0).verifying_key(), &root(number, 1).verifying_key());
    Person {
        number,
        state: IdentityState::new(&genesis),
        genesis,
    }
}

fn device(number: u8) -> DeviceSecrets {
    DeviceSecrets {
        signing: DeviceSigningKey::from_seed([0x40 + number; 32]),
        envelope_seed: [number; 32].into(),
        inbox: MailboxSigningKey::from_seed([0x60 + number; 32]),
        inbox_nonce: [number; 16],
        vault: [number; 32].into(),
    }
}

/// A record that the copy of the state says is next: a device, a link, a new root, or what becomes of what is pending.
fn update(person: &Person, number: u8) -> Option<IdentityUpdate> {
    let (network, state) = (&config().1, &person.state);
    let index = (0..16).find(|index| root(person.number, *index).verifying_key() == state.root)?;
    let (key, next) = (root(person.number, index), root(person.number, index + 1));
    let secrets = device(number);
    let record = match number {
        0..=3 if state.device(&secrets.device_id()).is_some() => {
            SignedRecord::revoke_device(network, state, &key, secrets.device_id())
        }
        0..=3 => {
            let envelope = EnvelopeKey::x25519([number + 9; 32]);
            SignedRecord::add_device(network, state, &key, &secrets, envelope)
        }
        4 => SignedRecord::rotate_root(network, state, &next, &root(person.number, index + 2).verifying_key()),
        5 => SignedRecord::complete(network, state, RecordSigner::Root(&key)),
        6 => SignedRecord::deactivate(network, state, &key),
        7 => SignedRecord::cancel(network, state, RecordSigner::NextRoot(&next)),
        _ => SignedRecord::link_account(network, state, &key, Digest::from_bytes([number; 32])),
    };
    Some(IdentityUpdate {
        genesis: (state.seq == 0).then_some(person.genesis),
        record: record.ok()?,
    })
}

/// What is kept of every record leads to the state, and holds nothing that is not final.
fn check_history(executor: &Executor<Store>, person: &Person) {
    let reader = executor.reader();
    let value = reader.value(&StateKey::identity(&person.state.id)).expect("in memory");
    let page = reader.history(&person.state.id, 0, usize::MAX).expect("in memory");
    assert_eq!(value.is_some(), page.is_some());
    if let (Some(value), Some(page)) = (value, page) {
        let state = IdentityState::from_bytes(&value).expect("a state");
        let (config, network) = config();
        let window_ms = config.limits().recovery_window_ms;
        assert!(!page.more);
        let shown = replay(network, window_ms, &page.genesis, page.entries).expect("a chain");
        assert_eq!(shown, state);
    }
}

fn registration(number: u8, admitted: u8) -> Option<NodeRegistration> {
    let network = &config().1;
    let key = node(NODES + number);
    let mut out = NodeRegistration::new(network, &key, "192.0.2.2:7400".parse().ok()?).ok()?;
    for place in 0..NODES.min(admitted) {
        let validator = (0..NODES)
            .map(node)
            .find(|key| config().0.validators().index_of(&key.verifying_key()) == Some(u16::from(place)))?;
        out.admit(out.admission(network, u16::from(place), &validator).ok()?)
            .ok()?;
    }
    Some(out)
}

/// The start of a session, or a child of its root entry, or of the child 1, by the key `signer` and with a receipt of all
/// nodes of the genesis.
fn group_update(session: u8, what: u8, signer: u8) -> Option<Body> {
    let (config, network) = config();
    let key = |number: u8| EpochSigningKey::from_seed([100 + 16 * session + number; 32]);
    let start = GroupStart {
        nonce: [session; 32],
        key: key(0).verifying_key(),
    };
    if what == 0 {
        return Some(GroupUpdate::Start(start).into());
    }
    let handle = start.handle();
    let child_of = |parent, number: u8| GroupChild {
        handle,
        parent,
        commitment: [number; 32].into(),
        next: key(number).verifying_key(),
        author: Default::default(),
        tag: [number; 32].into(),
        envelopes: EnvelopeId::from_bytes([number; 32]).into(),
    };
    let first = child_of(handle.root(), 1);
    let child = match what {
        2 => child_of(first.id().ok()?, 2),
        _ => child_of(handle.root(), what),
    };
    let set = config.node_set().ok()?;
    let envelope = *child.envelopes.first()?;
    let receipts: Vec<StorageReceipt> = (0..NODES)
        .filter_map(|number| {
            let body = StorageReceiptBody {
                node: node(number).verifying_key(),
                tag: child.tag,
                envelope,
                expiry: UnixSeconds::MAX,
                position: LogPosition {
                    set_epoch: set.epoch(),
                    incarnation: Incarnation::ZERO,
                    index: 0,
                    size: 1,
                    root: Digest::from_bytes([0; 32]),
                    height: Height::ZERO,
                },
            };
            StorageReceipt::sign(network, &node(number), body).ok()
        })
        .collect();
    let receipt = QuorumReceipt::assemble(&set, &receipts).ok()?;
    let signed = SignedGroupChild::sign(network, &key(signer), child, vec![receipt]).ok()?;
    Some(GroupUpdate::Child(Box::new(signed)).into())
}

fn sponsored(sponsor: u8, body: Body, valid_until: Height, nonce: u64) -> VerifiedTransaction {
    let network = &config().1;
    Transaction::sponsored(network, &node(sponsor), body, valid_until, nonce)
        .expect("encodes")
        .verify(network)
        .expect("just signed")
}

/// The bytes choose transactions, proposals, siblings, commits, repetitions and restarts. A fresh node that only sees
/// the committed blocks comes to the same, rejected transactions change nothing, and what is proposed is valid.
pub fn chain(data: &[u8]) {
    let mut choices = Choices(data);
    let store = Store::default();
    let mut executor = open(&store);
    let mut head = executor.genesis_block().expect("there");
    let mut people = [person(0), person(1)];
    let mut waiting: Vec<VerifiedTransaction> = Vec::new();
    let mut sent: Vec<VerifiedTransaction> = Vec::new();
    let mut speculative: Vec<Block> = Vec::new();
    let mut nonce = 0;
    for _ in 0..64 {
        let Some(choice) = choices.next() else { break };
        nonce += 1;
        let until = head.header.height.saturating_add(u64::from(choices.below(5)));
        let body = match choice % 10 {
            0 => {
                let leaves: Vec<Digest> = (0..choices.below(4))
                    .map(|leaf| Digest::from_bytes([leaf; 32]))
                    .collect();
                Some(Body::Anchor(Anchor {
                    leaves: BoundedVec::try_from(leaves).unwrap_or_default(),
                }))
            }
            1 => Some(Body::RegisterIncarnation(IncarnationRegistration {
                node: node(choices.below(NODES + 1)).verifying_key(),
                incarnation: Incarnation::new(u64::from(choices.below(3))),
            })),
            2 | 3 => {
                let of = usize::from(choices.below(2));
                people
                    .get(of)
                    .and_then(|person| update(person, choices.below(10)))
                    .map(Body::from)
            }
            4 if choice >= 128 => group_update(choices.below(2), choices.below(6), choices.below(3)),
            4 => registration(choices.below(2), choices.below(5)).map(Body::RegisterNode),
            _ => None,
        };
        if let Some(body) = body {
            let one = sponsored(choices.below(NODES + 1), body, until, nonce);
            sent.push(one.clone());
            waiting.push(one);
            continue;
        }
        match choice % 10 {
            5 => waiting.extend(sent.get(usize::from(choices.below(8))).cloned()),
            // A block on the head, or on a speculative one.
            6 | 7 => {
                let parent = speculative
                    .get(usize::from(choices.below(4)))
                    .filter(|block| block.header.height > head.header.height)
                    .filter(|block| executor.is_executed(&block.digest()) == Ok(true))
                    .unwrap_or(&head)
                    .clone();
                let time = parent.header.time.saturating_add(1 + 400 * u64::from(choices.below(3)));
                let proposal = executor
                    .propose(&parent, Epoch::ZERO, time, waiting.clone())
                    .expect("the parent is known");
                let executed = executor.execute(&proposal.block).expect("a proposal is valid");
                assert_eq!(executed.outcomes().len(), proposal.included.len());
                // With all of them, whatever becomes of them, the state is the same.
                let applied: BTreeSet<TransactionId> = proposal.included.iter().copied().collect();
                let all = everything(&proposal.block, &waiting).and_then(|block| executor.execute(&block).ok());
                for (id, outcome) in all.iter().flat_map(|executed| executed.outcomes()) {
                    assert!(*outcome != Outcome::Applied || applied.contains(id));
                }
                speculative.push(proposal.block);
            }
            8 => {
                // A child of the head becomes final.
                let next = speculative
                    .iter()
                    .find(|block| block.header.parent == head.digest())
                    .cloned();
                if let Some(block) = next {
                    assert!(executor.commit(&block, None).expect("the next block").fresh);
                    assert!(!executor.commit(&block, None).expect("again").fresh);
                    head = block;
                    waiting.clear();
                    for person in &mut people {
                        let value = executor.reader().value(&StateKey::identity(&person.state.id));
                        if let Some(bytes) = value.expect("in memory") {
                            person.state = IdentityState::from_bytes(&bytes).expect("a state");
                        }
                    }
                }
            }
            _ => {
                executor = open(&store);
                speculative.clear();
            }
        }
    }
    assert_eq!(executor.committed(), (head.header.height, head.digest()));
    let twin = open(&Store::default());
    for height in 1..=head.header.height.get() {
        let block = executor
            .block(Height::new(height))
            .expect("in memory")
            .expect("committed");
        twin.commit(&block, None).expect("valid on every node");
    }
    assert_eq!(twin.tip(), executor.tip());
    assert_eq!(twin.node_set(), executor.node_set());
    for person in &people {
        check_history(&executor, person);
        check_history(&twin, person);
    }
}

/// The block with all of these transactions and the roots of `like`, if their number is within the quotas.
fn everything(like: &Block, transactions: &[VerifiedTransaction]) -> Option<Block> {
    let list: Vec<Transaction> = transactions.iter().map(|one| one.transaction().clone()).collect();
    let payload = Payload(BoundedVec::try_from(list).ok()?).to_bytes().ok()?;
    let mut header = like.header;
    header.payload_root = payload_root(&payload);
    Block::new(header, payload).ok()
}

/// The bytes choose insertions, blocks and removals; the pool holds what a list would.
pub fn mempool(data: &[u8]) {
    let mut choices = Choices(data);
    let limits = MempoolLimits {
        transactions_max: 8,
        bytes_max: 2000,
        anchor_transactions: 2,
        anchor_bytes: 400,
        sponsor_transactions_max: 3,
        sponsor_group_updates_max: 2,
        sponsor_anchors: 1,
        remembered_max: 4,
    };
    let mut pool = Mempool::new(limits);
    let mut model: Vec<VerifiedTransaction> = Vec::new();
    let mut height = 0_u64;
    for _ in 0..64 {
        let Some(choice) = choices.next() else { break };
        match choice % 6 {
            0..=2 => {
                let body = if choice & 0x40 == 0 {
                    Body::RegisterIncarnation(IncarnationRegistration {
                        node: node(0).verifying_key(),
                        incarnation: Incarnation::ZERO,
                    })
                } else {
                    let leaves = (0..=choices.below(6))
                        .map(|leaf| Digest::from_bytes([leaf; 32]))
                        .collect();
                    Body::Anchor(Anchor::new(leaves).expect("a few"))
                };
                let until = Height::new(height + u64::from(choices.below(4)));
                let one = sponsored(choices.below(NODES), body, until, u64::from(choices.below(8)));
                let known = pool.knows(one.id());
                match pool.insert(one.clone(), Height::new(height)) {
                    Ok(()) => {
                        assert!(!known && until.get() > height);
                        model.push(one);
                    }
                    Err(MempoolError::Duplicate) => assert!(known),
                    Err(MempoolError::Expired) => assert!(until.get() <= height),
                    Err(_) => assert!(!model.is_empty()),
                }
            }
            3 => {
                let room = BlockRoom {
                    bytes_max: usize::from(choices.below(255)) * 8,
                    anchor_bytes: usize::from(choices.below(255)),
                    transactions_max: 5,
                    sponsor_transactions_max: 2,
                };
                let exclude: BTreeSet<TransactionId> = model.iter().take(1).map(|one| *one.id()).collect();
                let taken = pool.take(&room, &exclude);
                let unique: BTreeSet<TransactionId> = taken.iter().map(|one| *one.id()).collect();
                assert_eq!(unique.len(), taken.len());
                assert!(taken.len() <= 5 && unique.is_disjoint(&exclude));
                assert!(taken.iter().map(VerifiedTransaction::encoded_len).sum::<usize>() <= room.bytes_max);
            }
            4 => {
                height += u64::from(choices.below(3));
                let count = usize::from(choices.below(4)).min(model.len());
                let gone: Vec<TransactionId> = model.drain(..count).map(|one| *one.id()).collect();
                pool.committed(Height::new(height), &gone);
                model.retain(|one| one.transaction().valid_until.get() > height);
            }
            _ => {
                if let Some(one) = model.pop() {
                    pool.remove([one.id()]);
                    assert!(!pool.knows(one.id()));
                }
            }
        }
        assert!(
            pool.iter()
                .map(VerifiedTransaction::id)
                .eq(model.iter().map(VerifiedTransaction::id))
        );
        assert_eq!(pool.len(), model.len());
        assert!(pool.len() <= 8 && pool.bytes() <= 2000);
        assert_eq!(
            pool.bytes(),
            model.iter().map(VerifiedTransaction::encoded_len).sum::<usize>()
        );
    }
}
