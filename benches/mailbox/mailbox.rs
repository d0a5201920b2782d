//! Benches of `tokenim-mailbox`: placement, appending to a log, proofs, receipts, postage and contact stocks.
#![allow(missing_docs, reason = "criterion_group! makes undocumented items")]

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tokenim_identity::{
    DeviceId, DeviceSigningKey, EnvelopeKey, IdentityId, MailboxSigningKey, NodeSigningKey, SuiteId,
};
use tokenim_mailbox::{
    ContactKeys, ContactStock, Descriptor, Incarnation, KeyPackage, LogEntry, LogPosition, MailboxTag, Member, NodeSet,
    PlacementId, Postage, PostageBits, PublishRequest, QuorumReceipt, SignedContactKeys, StorageReceipt,
    StorageReceiptBody, WriteAuthority, WritePolicy, WriteRequest, check_postage, check_publish, check_write,
    find_postage,
    mmr::{self, Accumulator},
    swarm,
};
use tokenim_wire::{Digest, EnvelopeId, Height, NetworkId, Object, SetEpoch, UnixSeconds};

const NETWORK: NetworkId = NetworkId::from_bytes([7; 32]);
const TAG: MailboxTag = MailboxTag::from_bytes([9; 32]);

/// What does not work out here is a mistake in the bench.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn keys(count: u16) -> Vec<NodeSigningKey> {
    let seed = |number: u16| {
        let mut seed = [0; 32];
        let [high, low] = number.to_be_bytes();
        (seed[0], seed[1]) = (high, low);
        NodeSigningKey::from_seed(seed)
    };
    (0..count).map(seed).collect()
}

fn node_set(keys: &[NodeSigningKey]) -> Outcome<NodeSet> {
    let members = keys.iter().map(|key| {
        let key = key.verifying_key();
        Ok(Member {
            key,
            placement: PlacementId::new(&key, &Digest::from_bytes([1; 32])),
            address: "[2001:db8::1]:9000".parse()?,
        })
    });
    Ok(NodeSet::new(SetEpoch::new(1), members.collect::<Outcome<_>>()?)?)
}

fn placement(criterion: &mut Criterion) -> Outcome<()> {
    let read = MailboxSigningKey::from_seed([1; 32]).verifying_key();
    let descriptor = Descriptor {
        write: WritePolicy::Open,
        read,
        nonce: [0; 16],
    };
    criterion.bench_function("mailbox/tag", |bencher| bencher.iter(|| black_box(&descriptor).tag()));
    let mut group = criterion.benchmark_group("mailbox/swarm");
    for count in [4, 64, 1024] {
        let set = node_set(&keys(count))?;
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| swarm(black_box(&set), black_box(&TAG)));
        });
    }
    group.finish();
    let set = node_set(&keys(1024))?;
    let bytes = set.to_bytes()?;
    criterion.bench_function("mailbox/node_set_decode/1024", |bencher| {
        bencher.iter(|| NodeSet::from_bytes(black_box(&bytes)));
    });
    Ok(())
}

fn logs(criterion: &mut Criterion) -> Outcome<()> {
    let entry = |index: u64| LogEntry {
        index,
        envelope: EnvelopeId::from_bytes([3; 32]),
        expiry: UnixSeconds::new(2_000_000_000),
    };
    let mut log = Accumulator::new();
    let mut nodes = Vec::new();
    for index in 0..65_535 {
        nodes.extend(log.push(entry(index).leaf())?.nodes);
    }
    // The first append merges all sixteen mountains; on average it is one.
    criterion.bench_function("mailbox/append_1000", |bencher| {
        bencher.iter_batched_ref(
            || log.clone(),
            |log| {
                for index in 0..1000 {
                    drop(log.push(entry(index).leaf()));
                }
            },
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("mailbox/root", |bencher| bencher.iter(|| black_box(&log).root()));
    let (root, size, index) = (log.root(), log.size(), 12_345);
    criterion.bench_function("mailbox/prove_65535", |bencher| {
        bencher.iter(|| mmr::prove(black_box(&nodes), size, index));
    });
    let proof = mmr::prove(&nodes, size, index)?;
    let leaf = entry(index).leaf();
    criterion.bench_function("mailbox/verify_65535", |bencher| {
        bencher.iter(|| mmr::verify(black_box(&root), size, index, &leaf, black_box(&proof)));
    });
    Ok(())
}

fn receipts(criterion: &mut Criterion) -> Outcome<()> {
    let keys = keys(4);
    let set = node_set(&keys)?;
    let body = |key: &NodeSigningKey| StorageReceiptBody {
        node: key.verifying_key(),
        tag: TAG,
        envelope: EnvelopeId::from_bytes([3; 32]),
        expiry: UnixSeconds::new(2_000_000_000),
        position: LogPosition {
            set_epoch: set.epoch(),
            incarnation: Incarnation::new(1),
            index: 999,
            size: 1000,
            root: Digest::from_bytes([4; 32]),
            height: Height::new(123_456),
        },
    };
    let signed = keys
        .iter()
        .map(|key| Ok(StorageReceipt::sign(&NETWORK, key, body(key))?))
        .collect::<Outcome<Vec<_>>>()?;
    let quorum = QuorumReceipt::assemble(&set, &signed)?;
    println!("quorum receipt of 3 in 4: {} bytes", quorum.to_bytes()?.len());
    if let (Some(key), Some(receipt)) = (keys.first(), signed.first()) {
        let body = body(key);
        criterion.bench_function("mailbox/receipt_sign", |bencher| {
            bencher.iter(|| StorageReceipt::sign(&NETWORK, key, black_box(body)));
        });
        criterion.bench_function("mailbox/receipt_verify", |bencher| {
            bencher.iter(|| black_box(receipt).verify(&NETWORK));
        });
    }
    criterion.bench_function("mailbox/quorum_assemble", |bencher| {
        bencher.iter(|| QuorumReceipt::assemble(&set, black_box(&signed)));
    });
    criterion.bench_function("mailbox/quorum_verify", |bencher| {
        bencher.iter(|| black_box(&quorum).verify_in(&NETWORK, &set));
    });
    criterion.bench_function("mailbox/quorum_leaf", |bencher| {
        bencher.iter(|| black_box(&quorum).leaf())
    });
    Ok(())
}

/// What a sender does, and what it costs a node to refuse one that does less.
fn postage(criterion: &mut Criterion) -> Outcome<()> {
    let now = UnixSeconds::new(1_800_000_000);
    let hour = Postage::hour_at(now);
    let envelope = EnvelopeId::from_bytes([3; 32]);
    let nothing = Postage { hour, nonce: 0 };
    let bits = PostageBits::new(16)?;
    criterion.bench_function("mailbox/postage_check", |bencher| {
        bencher.iter(|| check_postage(&TAG, &envelope, black_box(&nothing), bits, now));
    });
    let (node, inbox) = (
        NodeSigningKey::from_seed([2; 32]).verifying_key(),
        Descriptor {
            write: WritePolicy::Open,
            read: MailboxSigningKey::from_seed([1; 32]).verifying_key(),
            nonce: [0; 16],
        },
    );
    let request = WriteRequest {
        node,
        tag: inbox.tag(),
        envelope,
        envelope_expiry: now.saturating_add(1000),
        expiry: now,
        nonce: [0; 16],
    };
    let authority = WriteAuthority::Postage(nothing);
    criterion.bench_function("mailbox/postage_refuse_write", |bencher| {
        bencher.iter(|| check_write(&NETWORK, &node, &inbox, black_box(&request), &authority, bits, now));
    });
    let mut group = criterion.benchmark_group("mailbox/postage_find");
    for bits in [12, 16] {
        let bits = PostageBits::new(bits)?;
        let mut number = 0_u64;
        group.bench_function(BenchmarkId::from_parameter(bits.get()), |bencher| {
            bencher.iter(|| {
                // Another envelope each time, so that it is the mean over many.
                number = number.wrapping_add(1);
                let envelope = EnvelopeId::of(&number.to_be_bytes());
                find_postage(&TAG, &envelope, hour, bits, 0).step(u32::MAX)
            });
        });
    }
    group.finish();
    Ok(())
}

fn contact(criterion: &mut Criterion) -> Outcome<()> {
    let now = UnixSeconds::new(1_800_000_000);
    let device = DeviceSigningKey::from_seed([4; 32]);
    let keys = ContactKeys {
        identity: IdentityId::from_bytes([1; 32]),
        device: DeviceId::of(&device.verifying_key()),
        envelope: EnvelopeKey::new(SuiteId::X_WING, &[9; 1216])?,
        created: now,
        expires: now.saturating_add(1000),
        number: 1,
        postage: PostageBits::DEFAULT,
    };
    let keys = SignedContactKeys::sign(&NETWORK, &device, keys)?;
    let packages = vec![KeyPackage::try_from(vec![5; 4096])?; 32];
    let stock = ContactStock::new(keys, packages)?;
    println!("largest contact stock: {} bytes", stock.to_bytes()?.len());
    let reader = MailboxSigningKey::from_seed([1; 32]);
    let inbox = Descriptor {
        write: WritePolicy::Open,
        read: reader.verifying_key(),
        nonce: [0; 16],
    };
    let node = NodeSigningKey::from_seed([2; 32]).verifying_key();
    let request = PublishRequest {
        node,
        tag: inbox.tag(),
        stock: stock.digest()?,
        expiry: now,
        nonce: [0; 16],
    };
    let signature = reader.sign(&NETWORK, &request)?;
    criterion.bench_function("mailbox/publish_check_largest", |bencher| {
        bencher.iter(|| check_publish(&NETWORK, &node, &inbox, &request, &signature, black_box(&stock), now));
    });
    Ok(())
}

fn all(criterion: &mut Criterion) {
    for bench in [placement, logs, receipts, postage, contact] {
        if let Err(error) = bench(criterion) {
            eprintln!("the bench is wrong: {error}");
        }
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
