//! Replays the committed corpus of every fuzz target.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../../../fuzz/replay.rs"]
mod replay;
#[path = "../../../fuzz/mailbox/targets.rs"]
mod targets;

use replay::write;
use tokenim_identity::{DeviceId, EnvelopeKey, EpochSigningKey, IdentityId, Signature};
use tokenim_mailbox::{
    ContactKeys, ContactStock, HeadBody, Incarnation, KeyPackage, LogPosition, MailboxTag, Misconduct, PostageBits,
    PublishRequest, QuorumReceipt, ReadRequest, SignedContactKeys, SignedHead, SignedPosition, StorageReceipt,
    StorageReceiptBody, WriteRequest, find_postage,
    group::{AuthorBox, CommitParts, GroupChild, GroupNode, GroupUpdate, LedgerPlace, RecordedChild, SignedGroupChild},
    mmr::{self, Accumulator},
    swarm,
};
use tokenim_wire::{Digest, EnvelopeId, Height, Object, SetEpoch, UnixMillis, UnixSeconds, encode};

replay::tests!(contact, decode, group, mmr, postage, quorum_receipt, request);

/// Writes the corpus: `cargo test -p tokenim-mailbox --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    let set = &targets::NODES;
    let position = |index, size, height| LogPosition {
        set_epoch: set.epoch(),
        incarnation: Incarnation::new(1),
        index,
        size,
        root: Digest::from_bytes([9; 32]),
        height: Height::new(height),
    };
    let receipt = |node: usize, tag: MailboxTag, position| {
        let key = &targets::KEYS[node];
        let body = StorageReceiptBody {
            node: key.verifying_key(),
            tag,
            envelope: EnvelopeId::of(b"envelope"),
            expiry: UnixSeconds::new(2_000_000_000),
            position,
        };
        StorageReceipt::sign(&targets::NETWORK, key, body).unwrap()
    };
    let head = |position, nonce| {
        let key = &targets::KEYS[0];
        let body = HeadBody {
            node: key.verifying_key(),
            tag: targets::MAILBOX.tag(),
            position,
            nonce,
        };
        SignedHead::sign(&targets::NETWORK, key, body).unwrap()
    };
    let object = |name: &str, kind: u8, bytes: Vec<u8>| {
        write("decode", name, &[vec![kind], bytes.clone()].concat());
        write(
            "decode",
            &format!("{name}_cut"),
            &[&[kind], &bytes[..bytes.len() / 2]].concat(),
        );
    };
    let mut log = Accumulator::new();
    let mut nodes = Vec::new();
    for number in 0..11 {
        nodes.extend(log.push(Digest::from_bytes([number; 32])).unwrap().nodes);
    }
    let tag = targets::MAILBOX.tag();
    let good = receipt(0, tag, position(4, 9, 30));
    object("descriptor", 0, targets::MAILBOX.to_bytes().unwrap());
    object("node_set", 1, set.to_bytes().unwrap());
    object("accumulator", 2, log.to_bytes().unwrap());
    object("receipt", 3, good.to_bytes().unwrap());
    object("head", 4, head(position(9, 9, 30), [1; 16]).to_bytes().unwrap());
    let mut other = position(9, 9, 29);
    other.root = log.root();
    let (one, other) = (
        SignedPosition::Head(head(position(9, 9, 30), [1; 16])),
        SignedPosition::Head(head(other, [2; 16])),
    );
    object("two_roots", 6, Misconduct::TwoRoots { one, other }.to_bytes().unwrap());
    let after = SignedPosition::Receipt(receipt(0, tag, position(4, 5, 31)));
    object(
        "shrunk",
        6,
        Misconduct::ShrunkLog { before: one, after }.to_bytes().unwrap(),
    );
    let entry = tokenim_mailbox::LogEntry {
        index: 4,
        envelope: EnvelopeId::of(b"other"),
        expiry: UnixSeconds::new(1),
    };
    let mut opened = Accumulator::new();
    let mut opened_nodes = Vec::new();
    for number in 0..9 {
        let leaf = if number == 4 {
            entry.leaf()
        } else {
            Digest::from_bytes([number; 32])
        };
        opened_nodes.extend(opened.push(leaf).unwrap().nodes);
    }
    let mut statement = position(9, 9, 30);
    statement.root = opened.root();
    let contradicted = Misconduct::ContradictedReceipt {
        receipt: good,
        statement: SignedPosition::Head(head(statement, [1; 16])),
        opened: entry,
        proof: mmr::prove(&opened_nodes, 9, 4).unwrap(),
    };
    assert!(contradicted.verify(&targets::NETWORK).is_ok());
    object("contradicted", 6, contradicted.to_bytes().unwrap());

    let keepers: Vec<_> = swarm(set, &tag).into_iter().map(|member| member.key).collect();
    let parts: Vec<_> = (0..targets::KEYS.len())
        .filter(|node| keepers.contains(&targets::KEYS[*node].verifying_key()))
        .map(|node| receipt(node, tag, position(4, 9, 30 + node as u64)))
        .collect();
    let quorum = QuorumReceipt::assemble(set, &parts).unwrap();
    quorum.verify_in(&targets::NETWORK, set).unwrap();
    object("quorum_receipt", 5, quorum.to_bytes().unwrap());
    write("quorum_receipt", "good", &quorum.to_bytes().unwrap());
    let changed = |change: &dyn Fn(&mut QuorumReceipt)| {
        let mut quorum = quorum.clone();
        change(&mut quorum);
        quorum.to_bytes().unwrap()
    };
    write(
        "quorum_receipt",
        "other_epoch",
        &changed(&|quorum| quorum.set_epoch = SetEpoch::ZERO),
    );
    write(
        "quorum_receipt",
        "unsorted",
        &changed(&|quorum| quorum.issuers.as_mut_slice().reverse()),
    );
    write(
        "quorum_receipt",
        "other_height",
        &changed(&|quorum| quorum.issuers.as_mut_slice()[0].height = Height::ZERO),
    );
    write(
        "quorum_receipt",
        "no_issuer",
        &changed(&|quorum| quorum.issuers = Default::default()),
    );

    let node = targets::KEYS[0].verifying_key();
    let now = 1_900_000_000_u64;
    let signed = |kind: u8, body: Vec<u8>, signature: Signature| {
        [&[kind], signature.as_bytes().as_slice(), &now.to_be_bytes(), &body].concat()
    };
    let request = WriteRequest {
        node,
        tag,
        envelope: EnvelopeId::of(b"envelope"),
        envelope_expiry: UnixSeconds::new(now + 1000),
        expiry: UnixSeconds::new(now + 60),
        nonce: [3; 16],
    };
    let signature = targets::READER.sign(&targets::NETWORK, &request).unwrap();
    write("request", "write", &signed(0, encode(&request).unwrap(), signature));
    let late = WriteRequest {
        expiry: UnixSeconds::new(now - 1000),
        ..request
    };
    write("request", "write_late", &signed(0, encode(&late).unwrap(), signature));
    let request = ReadRequest {
        node,
        tag,
        from: 300,
        expiry: UnixSeconds::new(now + 60),
        nonce: [3; 16],
    };
    let signature = targets::READER.sign(&targets::NETWORK, &request).unwrap();
    let read = signed(1, encode(&request).unwrap(), signature);
    write("request", "read", &read);
    write("request", "read_cut", &read[..read.len() - 1]);

    let (inbox, hour) = (targets::INBOX.tag(), now / 3600);
    let bits = PostageBits::new(4).unwrap();
    let envelope = EnvelopeId::of(b"envelope");
    let paid = find_postage(&inbox, &envelope, hour, bits, 0).step(1000).unwrap();
    let request = WriteRequest {
        node,
        tag: inbox,
        envelope,
        envelope_expiry: UnixSeconds::new(now + 1000),
        expiry: UnixSeconds::new(now + 60),
        nonce: [3; 16],
    };
    let with_postage = |nonce: u64| {
        let numbers = [hour.to_be_bytes(), nonce.to_be_bytes()].concat();
        let body = encode(&request).unwrap();
        [&[0], numbers.as_slice(), &[0; 48], &now.to_be_bytes(), &body].concat()
    };
    write("request", "write_with_postage", &with_postage(paid.nonce));
    write("request", "write_with_too_little", &with_postage(paid.nonce + 1));

    let stamp = |hour: u64, nonce: u64, bits: u8| {
        let numbers = [hour, nonce, now].map(u64::to_be_bytes).concat();
        [envelope.as_bytes().as_slice(), &numbers, &[bits]].concat()
    };
    write("postage", "found", &stamp(hour, paid.nonce, bits.get()));
    write("postage", "too_low", &stamp(hour, paid.nonce, 30));
    write("postage", "stale", &stamp(hour - 2, paid.nonce, 0));
    write("postage", "over_the_end", &stamp(hour + 1, u64::MAX, 2));
    write("postage", "too_many_bits", &stamp(hour, 0, 33));

    let keys = ContactKeys {
        identity: IdentityId::from_bytes([1; 32]),
        device: DeviceId::of(&targets::DEVICE.verifying_key()),
        envelope: EnvelopeKey::x25519([9; 32]),
        created: UnixSeconds::new(now),
        expires: UnixSeconds::new(now + 86_400),
        number: 300,
        postage: PostageBits::DEFAULT,
    };
    let keys = SignedContactKeys::sign(&targets::NETWORK, &targets::DEVICE, keys).unwrap();
    let packages = [b"first".as_slice(), b"", &[7; 300]].map(|bytes| KeyPackage::try_from(bytes).unwrap());
    let stock = ContactStock::new(keys.clone(), packages.to_vec()).unwrap();
    object("contact_keys", 7, keys.to_bytes().unwrap());
    object("contact_stock", 8, stock.to_bytes().unwrap());
    let published = |stock: &ContactStock, expiry: u64| {
        let request = PublishRequest {
            node,
            tag: inbox,
            stock: stock.digest().unwrap(),
            expiry: UnixSeconds::new(now + 60),
            nonce: [2; 16],
        };
        let signature = targets::READER.sign(&targets::NETWORK, &request).unwrap();
        let times = [now, expiry].map(u64::to_be_bytes).concat();
        [times.as_slice(), signature.as_bytes(), &stock.to_bytes().unwrap()].concat()
    };
    write("contact", "published", &published(&stock, now + 60));
    write("contact", "of_another_expiry", &published(&stock, now + 61));
    let empty = ContactStock::new(keys, Vec::new()).unwrap();
    write("contact", "without_packages", &published(&empty, now + 60));

    let group_child = GroupChild {
        handle: targets::GROUP.handle(),
        parent: targets::GROUP.handle().root(),
        commitment: [4; 32].into(),
        next: EpochSigningKey::from_seed([206; 32]).verifying_key(),
        author: AuthorBox::try_from([8; 96].as_slice()).unwrap(),
        tag,
        envelopes: quorum.envelope.into(),
    };
    let signed = |seed: u8, child: &GroupChild| {
        let key = EpochSigningKey::from_seed([seed; 32]);
        let signed = SignedGroupChild::sign(&targets::NETWORK, &key, child.clone(), vec![quorum.clone()]).unwrap();
        GroupUpdate::Child(Box::new(signed))
    };
    let added = |children: u8, update: &GroupUpdate| {
        let bytes = update.to_bytes().unwrap();
        [now.to_be_bytes().as_slice(), &[children], &bytes].concat()
    };
    let start = GroupUpdate::Start(*targets::GROUP);
    let (good, outsider) = (signed(205, &group_child), signed(206, &group_child));
    let one_of_them = GroupChild {
        commitment: [0; 32].into(),
        ..group_child.clone()
    };
    let second = QuorumReceipt {
        envelope: [7; 32].into(),
        ..quorum.clone()
    };
    let in_parts = GroupChild {
        envelopes: CommitParts::new(vec![quorum.envelope, second.envelope]).unwrap(),
        ..group_child.clone()
    };
    let key = EpochSigningKey::from_seed([205; 32]);
    let receipts = vec![quorum.clone(), second];
    let mut in_parts = SignedGroupChild::sign(&targets::NETWORK, &key, in_parts, receipts).unwrap();
    let whole = GroupUpdate::Child(Box::new(in_parts.clone()));
    in_parts.receipts = vec![quorum.clone()].try_into().unwrap();
    write("group", "child_in_parts", &added(0, &whole));
    write(
        "group",
        "receipt_missing",
        &added(0, &GroupUpdate::Child(Box::new(in_parts))),
    );
    write("group", "start", &added(0, &start));
    write("group", "child", &added(0, &good));
    write("group", "child_of_a_full_entry", &added(8, &good));
    write("group", "child_of_an_outsider", &added(0, &outsider));
    write("group", "known_child", &added(1, &signed(205, &one_of_them)));
    object("group_start", 9, start.to_bytes().unwrap());
    object("group_child", 9, good.to_bytes().unwrap());
    let place = LedgerPlace {
        height: Height::new(300),
        time: UnixMillis::new(now * 1000),
        index: 2,
    };
    let mut group_node = GroupNode::start(&targets::GROUP, place);
    object("group_node_empty", 10, group_node.to_bytes().unwrap());
    for child in [group_child, one_of_them] {
        group_node.children.push(RecordedChild { child, place }).unwrap();
    }
    object("group_node", 10, group_node.to_bytes().unwrap());

    write("mmr", "small", &[0, 0, 0]);
    write("mmr", "past", &[200, 100, 60, 7, 1, 2, 3]);
    let mut leaves = Vec::new();
    let mut log = Accumulator::new();
    for number in 0..=6 {
        let entry = tokenim_mailbox::LogEntry {
            index: number,
            envelope: EnvelopeId::from_bytes([5; 32]),
            expiry: UnixSeconds::new(number),
        };
        leaves.extend(log.push(entry.leaf()).unwrap().nodes);
    }
    let proof = encode(&mmr::prove(&leaves, 7, 2).unwrap()).unwrap();
    write("mmr", "proof", &[&[6, 6, 2], proof.as_slice()].concat());
    write("mmr", "proof_of_another", &[&[6, 6, 3], proof.as_slice()].concat());
}
