//! Bodies of the fuzz targets, shared with the test that replays the corpus.

use std::sync::LazyLock;
use tokenim_identity::{
    DeviceKeys, DeviceSigningKey, EnvelopeKey, EpochSigningKey, MailboxSigningKey, NodeKey, NodeSigningKey, Signature,
};
use tokenim_mailbox::{
    CapabilityError, ContactStock, Descriptor, LogEntry, Member, Misconduct, NodeSet, PlacementId, Postage,
    PostageBits, PublishRequest, QuorumReceipt, ReadRequest, SignedContactKeys, SignedHead, StorageReceipt,
    WriteAuthority, WritePolicy, WriteRequest, check_postage, check_publish, check_read, check_write, find_postage,
    group::{GroupError, GroupNode, GroupStart, GroupUpdate, LedgerPlace, RecordedChild},
    mmr::{self, Accumulator, Proof},
    swarm,
};
use tokenim_wire::{
    Digest, EnvelopeId, Height, NetworkId, Object, SetEpoch, UnixMillis, UnixSeconds, decode as decode_value, encode,
    hash,
};

/// The network of all targets.
pub const NETWORK: NetworkId = NetworkId::from_bytes([7; 32]);

/// The keys of the nodes in [`NODES`].
pub static KEYS: LazyLock<Vec<NodeSigningKey>> =
    LazyLock::new(|| (1..=7).map(|seed| NodeSigningKey::from_seed([seed; 32])).collect());

/// A node set, larger than a swarm.
pub static NODES: LazyLock<NodeSet> = LazyLock::new(|| {
    let members = KEYS.iter().map(|key| {
        let key = key.verifying_key();
        Member {
            key,
            placement: PlacementId::new(&key, &Digest::from_bytes([0; 32])),
            address: Default::default(),
        }
    });
    NodeSet::new(SetEpoch::new(3), members.collect()).unwrap()
});

/// The key that opens the mailbox of [`MAILBOX`], and writes to it.
pub static READER: LazyLock<MailboxSigningKey> = LazyLock::new(|| MailboxSigningKey::from_seed([201; 32]));

/// The mailbox that requests are checked against.
pub static MAILBOX: LazyLock<Descriptor> = LazyLock::new(|| Descriptor {
    write: WritePolicy::Key(READER.verifying_key()),
    read: READER.verifying_key(),
    nonce: [0; 16],
});

/// The contact inbox that postage is for and contact stocks are published to.
pub static INBOX: LazyLock<Descriptor> = LazyLock::new(|| Descriptor {
    write: WritePolicy::Open,
    read: READER.verifying_key(),
    nonce: [1; 16],
});

/// The device that signs contact keys.
pub static DEVICE: LazyLock<DeviceSigningKey> = LazyLock::new(|| DeviceSigningKey::from_seed([203; 32]));

/// Its keys as the ledger shows them.
pub static LISTED: LazyLock<DeviceKeys> = LazyLock::new(|| DeviceKeys {
    signing: DEVICE.verifying_key(),
    envelope: EnvelopeKey::x25519([9; 32]),
    inbox: READER.verifying_key(),
    inbox_nonce: [1; 16],
});

/// The key of the entry that children are added to.
pub static EPOCH: LazyLock<EpochSigningKey> = LazyLock::new(|| EpochSigningKey::from_seed([205; 32]));

/// The session that it starts.
pub static GROUP: LazyLock<GroupStart> = LazyLock::new(|| GroupStart {
    nonce: [6; 32],
    key: EPOCH.verifying_key(),
});

/// What decodes encodes to the same bytes.
fn object<T: Object>(data: &[u8]) -> Option<T> {
    let value = T::from_bytes(data).ok()?;
    assert!(data.len() <= T::BYTES_MAX);
    assert_eq!(value.to_bytes().as_deref(), Ok(data));
    Some(value)
}

/// The first byte says which object the rest is.
pub fn decode(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    match kind % 11 {
        0 => {
            if let Some(descriptor) = object::<Descriptor>(data) {
                let again = Descriptor::from_bytes(data).unwrap();
                assert_eq!(descriptor.tag(), again.tag());
            }
        }
        1 => {
            if let Some(set) = object::<NodeSet>(data) {
                assert!(set.members().is_sorted_by(|a, b| a.key < b.key));
                let replicas = usize::from(set.quorum().replicas);
                assert_eq!(swarm(&set, &MAILBOX.tag()).len(), replicas);
                for (index, member) in (0..).zip(set.members()) {
                    assert_eq!(set.index_of(&member.key), Some(index));
                }
            }
        }
        2 => {
            if let Some(mut accumulator) = object::<Accumulator>(data) {
                let size = accumulator.size();
                let before = accumulator.root();
                if accumulator.push(Digest::from_bytes([1; 32])).is_ok() {
                    assert_eq!(accumulator.size(), size + 1);
                    assert_ne!(accumulator.root(), before);
                }
            }
        }
        3 => {
            if let Some(receipt) = object::<StorageReceipt>(data)
                && receipt.verify(&NETWORK).is_ok()
            {
                assert!(receipt.body.position.index < receipt.body.position.size);
            }
        }
        4 => {
            if let Some(head) = object::<SignedHead>(data)
                && head.verify(&NETWORK).is_ok()
            {
                assert_eq!(head.body.position.index, head.body.position.size);
            }
        }
        5 => {
            if let Some(receipt) = object::<QuorumReceipt>(data) {
                assert_eq!(receipt.leaf(), receipt.clone().leaf());
            }
        }
        6 => {
            if let Some(misconduct) = object::<Misconduct>(data) {
                // Only those whose keys are here have signed anything.
                if let Ok(convicted) = misconduct.verify(&NETWORK) {
                    assert!(KEYS.iter().any(|key| key.verifying_key() == convicted));
                }
            }
        }
        7 => {
            if let Some(signed) = object::<SignedContactKeys>(data) {
                let keys = &signed.keys;
                assert!(keys.postage.get() <= 32);
                let verify = |now| signed.verify(&NETWORK, &keys.identity, &LISTED, now);
                if verify(keys.created).is_ok() {
                    assert!(keys.created < keys.expires);
                    assert_eq!(keys.envelope.suite(), LISTED.envelope.suite());
                    assert!(verify(keys.expires).is_err());
                }
            }
        }
        8 => {
            if let Some(stock) = object::<ContactStock>(data) {
                assert!(stock.packages.len() <= 32);
                assert_eq!(stock.digest(), ContactStock::from_bytes(data).unwrap().digest());
            }
        }
        9 => {
            if let Some(update) = object::<GroupUpdate>(data) {
                assert_eq!(update.entry(), GroupUpdate::from_bytes(data).unwrap().entry());
            }
        }
        _ => {
            if let Some(node) = object::<GroupNode>(data) {
                assert!(node.children.len() <= 8);
            }
        }
    }
}

/// The time (8), the expiry of a request (8), its signature (64), then a stock: published only if the inbox's key has
/// signed for this stock, and its keys are good at that time.
pub fn contact(data: &[u8]) {
    let Some((now, data)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Some((expiry, data)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Some((signature, data)) = data.split_first_chunk::<64>() else {
        return;
    };
    let Some(stock) = object::<ContactStock>(data) else {
        return;
    };
    let (now, signature) = (
        UnixSeconds::new(u64::from_be_bytes(*now)),
        Signature::from_bytes(*signature),
    );
    let node = KEYS[0].verifying_key();
    let request = PublishRequest {
        node,
        tag: INBOX.tag(),
        stock: stock.digest().unwrap(),
        expiry: UnixSeconds::new(u64::from_be_bytes(*expiry)),
        nonce: [2; 16],
    };
    let body = encode(&request).unwrap();
    assert_eq!(decode_value::<PublishRequest>(&body, 256).as_ref(), Ok(&request));
    let check = |descriptor: &Descriptor, request: &PublishRequest, stock: &ContactStock, now| {
        check_publish(&NETWORK, &node, descriptor, request, &signature, stock, now)
    };
    if check(&INBOX, &request, &stock, now).is_ok() {
        assert!(stock.keys.keys.created < stock.keys.keys.expires);
        assert!(check(&INBOX, &request, &stock, UnixSeconds::MAX).is_err());
        let mut other = stock.clone();
        other.keys.keys.number ^= 1;
        assert_eq!(check(&INBOX, &request, &other, now), Err(CapabilityError::WrongStock));
        let named = PublishRequest {
            stock: other.digest().unwrap(),
            ..request
        };
        assert_eq!(
            check(&INBOX, &named, &other, now),
            Err(CapabilityError::SignatureInvalid)
        );
    }
    assert!(check(&MAILBOX, &request, &stock, now).is_err());
}

/// Envelope id (32), hour (8), nonce (8), time (8), bits (1): judged as the leading zeros of the work, byte by byte, and
/// a search that begins at the nonce finds what passes.
pub fn postage(data: &[u8]) {
    let Ok(data) = <&[u8; 57]>::try_from(data) else {
        return;
    };
    let number = |at: usize| u64::from_be_bytes(data[at..at + 8].try_into().unwrap());
    let envelope = EnvelopeId::from_bytes(data[..32].try_into().unwrap());
    let (postage, now, tag) = (
        Postage {
            hour: number(32),
            nonce: number(40),
        },
        UnixSeconds::new(number(48)),
        INBOX.tag(),
    );
    let Ok(bits) = PostageBits::new(data[56]) else {
        assert!(data[56] > 32);
        return;
    };
    let work = postage.work(&tag, &envelope).to_bytes();
    let zeros = (0..256)
        .take_while(|bit| work[bit / 8] & 0x80 >> (bit % 8) == 0)
        .count();
    let expected = if postage.hour.abs_diff(now.get() / 3600) > 1 {
        Err(CapabilityError::PostageStale)
    } else if zeros < usize::from(bits.get()) {
        Err(CapabilityError::PostageTooLow { needed: bits })
    } else {
        Ok(())
    };
    assert_eq!(check_postage(&tag, &envelope, &postage, bits, now), expected);
    let mut search = find_postage(&tag, &envelope, postage.hour, bits, postage.nonce);
    let found = search.step(16);
    assert_eq!(found == Some(postage), zeros >= usize::from(bits.get()));
    if let Some(found) = found {
        let then = UnixSeconds::new(found.hour.saturating_mul(3600));
        if Postage::hour_at(then) == found.hour {
            assert_eq!(check_postage(&tag, &envelope, &found, bits, then), Ok(()));
        }
    } else {
        assert_eq!(search.next_nonce(), postage.nonce.wrapping_add(16));
    }
}

/// A quorum receipt is judged the same with the whole node set and with the issuers' keys, but for the swarm; and what
/// is accepted holds no promise but that of distinct nodes.
pub fn quorum_receipt(data: &[u8]) {
    let Some(receipt) = object::<QuorumReceipt>(data) else {
        return;
    };
    let members: Vec<(u16, NodeKey)> = (0..)
        .zip(NODES.members())
        .map(|(index, member)| (index, member.key))
        .collect();
    let alone = receipt.verify(&NETWORK, NODES.epoch(), NODES.len(), &members);
    match receipt.verify_in(&NETWORK, &NODES) {
        Ok(accepted) => {
            assert_eq!(alone, Ok(accepted));
            let mut nodes: Vec<_> = receipt.issuers.iter().map(|issuer| issuer.member).collect();
            nodes.dedup();
            assert!(nodes.len() >= usize::from(NODES.quorum().write));
            assert!(
                receipt
                    .issuers
                    .iter()
                    .any(|issuer| issuer.height == accepted.signed_height())
            );
            let parts: Vec<_> = receipt
                .issuers
                .iter()
                .map(|issuer| StorageReceipt {
                    body: receipt.body_of(issuer, NODES.get(issuer.member).unwrap().key),
                    signature: issuer.signature,
                })
                .collect();
            assert!(parts.iter().all(|part| part.verify(&NETWORK).is_ok()));
            assert!(QuorumReceipt::assemble(&NODES, &parts).is_ok());
        }
        Err(_) => assert!(
            receipt
                .verify(&NetworkId::from_bytes([0; 32]), SetEpoch::ZERO, 0, &[])
                .is_err()
        ),
    }
}

/// Signature (64), then the time (8) and the request: the first byte says which, and whether instead of the signature
/// its first 16 bytes count, as postage.
pub fn request(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let (Some((signature, data)), node) = (data.split_first_chunk::<64>(), KEYS[0].verifying_key()) else {
        return;
    };
    let Some((now, body)) = data.split_first_chunk::<8>() else {
        return;
    };
    let number = |at: usize| u64::from_be_bytes(signature[at..at + 8].try_into().unwrap());
    let postage = WriteAuthority::Postage(Postage {
        hour: number(0),
        nonce: number(8),
    });
    let (signature, now) = (
        Signature::from_bytes(*signature),
        UnixSeconds::new(u64::from_be_bytes(*now)),
    );
    if kind % 2 == 0 {
        if let Ok(request) = decode_value::<WriteRequest>(body, 256) {
            assert_eq!(encode(&request).as_deref(), Ok(body));
            let signature = WriteAuthority::Signature(signature);
            let check =
                |mailbox, authority, bits, now| check_write(&NETWORK, &node, mailbox, &request, authority, bits, now);
            let bits = PostageBits::new(4).unwrap();
            for (mailbox, right, wrong) in [(&*MAILBOX, &signature, &postage), (&*INBOX, &postage, &signature)] {
                if check(mailbox, right, bits, now).is_ok() {
                    assert_eq!((request.node, request.tag), (node, mailbox.tag()));
                    assert!(request.envelope_expiry > now);
                    assert!(check(mailbox, right, bits, UnixSeconds::MAX).is_err());
                    assert_eq!(check(mailbox, right, PostageBits::NONE, now), Ok(()));
                }
                assert!(check(mailbox, wrong, bits, now).is_err());
            }
        }
    } else if let Ok(request) = decode_value::<ReadRequest>(body, 256) {
        assert_eq!(encode(&request).as_deref(), Ok(body));
        if check_read(&NETWORK, &node, &MAILBOX, &request, &signature, now).is_ok() {
            assert_eq!((request.node, request.tag), (node, MAILBOX.tag()));
            let late = UnixSeconds::MAX;
            assert!(check_read(&NETWORK, &node, &MAILBOX, &request, &signature, late).is_err());
        }
    }
}

/// Size, past size and index (a byte each), then a proof: the proofs made hold, the one given holds only if it is the
/// one made.
pub fn mmr(data: &[u8]) {
    let [size, past, index, rest @ ..] = data else {
        return;
    };
    let mut accumulator = Accumulator::new();
    let (mut nodes, mut leaves, mut roots) = (Vec::new(), Vec::new(), vec![accumulator.root()]);
    for number in 0..=u64::from(*size) {
        let entry = LogEntry {
            index: number,
            envelope: [5; 32].into(),
            expiry: UnixSeconds::new(number),
        };
        leaves.push(entry.leaf());
        let appended = accumulator.push(entry.leaf()).unwrap();
        assert_eq!(appended.position, nodes.len() as u64);
        nodes.extend(appended.nodes);
        roots.push(accumulator.root());
    }
    let past = u64::from(*past) % accumulator.size() + 1;
    let index = u64::from(*index) % past;
    let (root, leaf) = (roots[past as usize], leaves[index as usize]);
    let made = mmr::prove(&nodes, past, index).unwrap();
    assert_eq!(mmr::verify(&root, past, index, &leaf, &made), Ok(()));

    if let Ok(given) = decode_value::<Proof>(rest, 4096) {
        assert_eq!(encode(&given).as_deref(), Ok(rest));
        assert_eq!(mmr::verify(&root, past, index, &leaf, &given).is_ok(), given == made);
    }
    // The same with one digest replaced, by what follows.
    if let Some((place, _)) = rest.split_first()
        && !made.digests().is_empty()
    {
        let mut digests = made.digests().to_vec();
        let place = usize::from(*place) % digests.len();
        digests[place] = hash(mmr::NODE_LABEL, &[rest]);
        let changed = Proof::from_digests(digests).unwrap();
        // What follows may be the very two digests that are under the one replaced.
        assert_eq!(
            mmr::verify(&root, past, index, &leaf, &changed).is_ok(),
            changed == made
        );
    }
}

/// The time (8), the number of children that the entry has (1), then an update: a child is adopted only if the entry's
/// key signed it, it is new and there is room; then nothing of the entry has changed but for one child more at the end.
pub fn group(data: &[u8]) {
    let Some((now, data)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Some((children, data)) = data.split_first() else {
        return;
    };
    let Some(update) = object::<GroupUpdate>(data) else {
        return;
    };
    let place = LedgerPlace {
        height: Height::new(5),
        time: UnixMillis::new(6),
        index: 7,
    };
    match &update {
        GroupUpdate::Start(start) => {
            let node = GroupNode::start(start, place);
            assert_eq!((update.entry(), node.key), (Ok(start.handle().root()), start.key));
            assert!(node.children.is_empty());
        }
        GroupUpdate::Child(signed) => {
            let now = UnixSeconds::new(u64::from_be_bytes(*now));
            if signed.verify_receipts(&NETWORK, &[&NODES], now).is_ok() {
                assert_eq!(signed.receipts.len(), signed.child.envelopes.len());
                for (receipt, envelope) in signed.receipts.iter().zip(signed.child.envelopes.iter()) {
                    assert_eq!(receipt.envelope, *envelope);
                    assert!(receipt.verify_in(&NETWORK, &NODES).is_ok());
                }
            }
            let mut entry = GroupNode::start(&GROUP, place);
            for number in 0..children % 9 {
                let mut child = signed.child.clone();
                child.commitment = [number; 32].into();
                entry.children.push(RecordedChild { child, place }).unwrap();
            }
            if let Ok(adopted) = entry.adopt(&NETWORK, signed, place) {
                assert!(
                    GROUP
                        .key
                        .verify_zip215(&NETWORK, &signed.child, &signed.signature)
                        .is_ok()
                );
                assert_eq!(adopted.parent.children.len(), entry.children.len() + 1);
                assert_eq!(adopted.parent.children[..entry.children.len()], entry.children[..]);
                assert_eq!(adopted.entry.key, signed.child.next);
                assert_eq!(update.entry(), Ok(adopted.id));
                assert!(object::<GroupNode>(&adopted.parent.to_bytes().unwrap()).is_some());
                let twice = adopted.parent.adopt(&NETWORK, signed, place);
                assert_eq!(twice, Err(GroupError::Duplicate));
                // Its own key does not add to its parent, but to itself.
                assert!(adopted.entry.adopt(&NETWORK, signed, place).is_err() || adopted.entry.key == GROUP.key);
            }
        }
        _ => {}
    }
}
