//! What holds for all inputs. `PROPTEST_CASES` sets how many are tried.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::{collection::vec, prelude::*, sample::Index};
use std::{collections::BTreeMap, sync::LazyLock};
use tokenim_identity::{
    DeviceId, DeviceKeys, DeviceSigningKey, EnvelopeKey, IdentityId, MailboxSigningKey, NodeSigningKey,
    rand_core::SeedableRng as _,
};
use tokenim_mailbox::{
    CapabilityError, ContactError, ContactKeys, ContactStock, Descriptor, HeadBody, HeadError, Incarnation, KeyPackage,
    LogEntry, LogPosition, MailboxTag, Member, Misconduct, MisconductError, NodeSet, NodeSetError, PlacementId,
    Postage, PostageBits, PublishRequest, Quorum, QuorumReceipt, ReadRequest, ReceiptError, SignedContactKeys,
    SignedHead, SignedPosition, StorageReceipt, StorageReceiptBody, WritePolicy, check_postage, check_publish,
    check_read, find_postage,
    mmr::{self, Accumulator, MmrError, Proof, ProveError},
    swarm,
};
use tokenim_wire::{
    Digest, EnvelopeId, Height, NetworkId, Object, SetEpoch, UnixSeconds, hash, hash_object, limits::NODES_MAX,
};

const NETWORK: NetworkId = NetworkId::from_bytes([7; 32]);
const TAG: MailboxTag = MailboxTag::from_bytes([9; 32]);

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(48, |text| text.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The keys of as many nodes as a test needs; making them takes long.
static KEYS: LazyLock<Vec<NodeSigningKey>> = LazyLock::new(|| {
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
    (0..40).map(|_| NodeSigningKey::generate(&mut rng)).collect()
});

fn member(key: &NodeSigningKey) -> Member {
    let key = key.verifying_key();
    Member {
        key,
        placement: PlacementId::new(&key, &Digest::from_bytes([1; 32])),
        address: "localhost:1".parse().unwrap(),
    }
}

fn set_of(count: usize) -> NodeSet {
    NodeSet::new(SetEpoch::new(5), KEYS[..count].iter().map(member).collect()).unwrap()
}

fn digests(max: usize) -> impl Strategy<Value = Vec<Digest>> {
    vec(any::<[u8; 32]>().prop_map(Digest::from_bytes), 1..max)
}

/// The root of a list by the book: perfect trees of the powers of two in its size, bagged from the right.
fn naive_root(leaves: &[Digest]) -> Digest {
    fn tree(leaves: &[Digest]) -> Digest {
        if let [leaf] = leaves {
            return *leaf;
        }
        let (left, right) = leaves.split_at(leaves.len() / 2);
        mmr::node(&tree(left), &tree(right))
    }
    fn bag(leaves: &[Digest]) -> Digest {
        let (mountain, rest) = leaves.split_at(1 << leaves.len().ilog2());
        if rest.is_empty() {
            tree(mountain)
        } else {
            mmr::node(&tree(mountain), &bag(rest))
        }
    }
    let size = (leaves.len() as u64).to_be_bytes();
    match leaves {
        [] => hash(mmr::ROOT_LABEL, &[&size]),
        _ => hash(mmr::ROOT_LABEL, &[&size, bag(leaves).as_bytes()]),
    }
}

/// All nodes of a list, and its accumulator.
fn appended(leaves: &[Digest]) -> (Vec<Digest>, Accumulator) {
    let mut accumulator = Accumulator::new();
    let mut nodes = Vec::new();
    for leaf in leaves {
        nodes.extend(accumulator.push(*leaf).unwrap().nodes);
    }
    (nodes, accumulator)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_accumulator_is_the_naive_root(leaves in digests(200)) {
        let mut accumulator = Accumulator::new();
        for (count, leaf) in leaves.iter().enumerate() {
            prop_assert_eq!(accumulator.root(), naive_root(&leaves[..count]));
            accumulator.push(*leaf).unwrap();
        }
        prop_assert_eq!(accumulator.root(), naive_root(&leaves));
        prop_assert_eq!(accumulator.size(), leaves.len() as u64);
    }

    #[test]
    fn positions_are_in_order_of_making(leaves in digests(200)) {
        let mut accumulator = Accumulator::new();
        let mut next = 0;
        for (index, leaf) in (0_u64..).zip(&leaves) {
            prop_assert_eq!(mmr::nodes_of(index), next);
            prop_assert_eq!(2 * index - u64::from(index.count_ones()), next);
            let made = accumulator.push(*leaf).unwrap();
            prop_assert_eq!(made.position, next);
            prop_assert_eq!(made.nodes[0], *leaf);
            next += made.nodes.len() as u64;
        }
    }

    #[test]
    fn proofs_hold_for_every_past_size(leaves in digests(100), size in any::<Index>(), index in any::<Index>()) {
        let (nodes, _) = appended(&leaves);
        let size = size.index(leaves.len()) + 1;
        let index = index.index(size);
        let root = naive_root(&leaves[..size]);
        let proof = mmr::prove(&nodes, size as u64, index as u64).unwrap();
        prop_assert_eq!(mmr::verify(&root, size as u64, index as u64, &leaves[index], &proof), Ok(()));
        prop_assert!(proof.digests().len() <= 2 * 7);
        prop_assert_eq!(mmr::prove(&nodes, size as u64, size as u64), Err(ProveError::OutOfRange));
        // A source without the nodes that are needed says which.
        if let Err(error) = mmr::prove(&nodes[..1], size as u64, index as u64) {
            prop_assert!(matches!(error, ProveError::Missing { position } if position >= 1), "{:?}", error);
        } else {
            prop_assert!(size <= 2);
        }
    }

    #[test]
    fn a_changed_proof_fails(leaves in digests(100), size in any::<Index>(), index in any::<Index>(), at in any::<Index>(), bit in 0_u8..8) {
        let (nodes, _) = appended(&leaves);
        let size = size.index(leaves.len()) + 1;
        let index = index.index(size);
        let (root, leaf) = (naive_root(&leaves[..size]), leaves[index]);
        let proof = mmr::prove(&nodes, size as u64, index as u64).unwrap();
        let (size, index) = (size as u64, index as u64);
        let changed = |digest: &Digest, at: usize| {
            let mut bytes = digest.to_bytes();
            bytes[at] ^= 1 << bit;
            Digest::from_bytes(bytes)
        };
        let place = at.index(32);
        prop_assert_eq!(mmr::verify(&changed(&root, place), size, index, &leaf, &proof), Err(MmrError::WrongRoot));
        prop_assert_eq!(mmr::verify(&root, size, index, &changed(&leaf, place), &proof), Err(MmrError::WrongRoot));
        for other in 0..leaves.len() as u64 {
            prop_assert!(other == index || mmr::verify(&root, size, other, &leaf, &proof).is_err());
            prop_assert!(other == size || mmr::verify(&root, other, index, &leaf, &proof).is_err());
        }
        let digests = proof.digests().to_vec();
        if !digests.is_empty() {
            let mut other = digests.clone();
            let which = at.index(other.len());
            other[which] = changed(&other[which], place);
            let other = Proof::from_digests(other).unwrap();
            prop_assert_eq!(mmr::verify(&root, size, index, &leaf, &other), Err(MmrError::WrongRoot));
            let shorter = Proof::from_digests(digests[1..].to_vec()).unwrap();
            prop_assert_eq!(mmr::verify(&root, size, index, &leaf, &shorter), Err(MmrError::WrongLength));
        }
        let longer = Proof::from_digests([digests, vec![root]].concat()).unwrap();
        prop_assert_eq!(mmr::verify(&root, size, index, &leaf, &longer), Err(MmrError::WrongLength));
    }

    #[test]
    fn accumulators_are_checked_when_decoded(leaves in digests(100), size in 0_u64..200) {
        let (_, accumulator) = appended(&leaves);
        prop_assert_eq!(&Accumulator::from_bytes(&accumulator.to_bytes().unwrap()).unwrap(), &accumulator);
        let result = Accumulator::from_parts(size, accumulator.peaks().to_vec());
        prop_assert_eq!(result.is_ok(), size.count_ones() as usize == accumulator.peaks().len());
    }

    #[test]
    fn a_tag_is_the_hash_of_the_encoding(seed: [u8; 32], write in proptest::option::of(any::<[u8; 32]>()), nonce: [u8; 16]) {
        let key = |seed| MailboxSigningKey::from_seed(seed).verifying_key();
        let descriptor = Descriptor {
            write: write.map_or(WritePolicy::Open, |seed| WritePolicy::Key(key(seed))),
            read: key(seed),
            nonce,
        };
        let expected = hash_object(Descriptor::LABEL, &descriptor).unwrap();
        prop_assert_eq!(descriptor.tag().to_bytes(), expected.to_bytes());
        prop_assert_eq!(Descriptor::from_bytes(&descriptor.to_bytes().unwrap()), Ok(descriptor));
    }

    #[test]
    fn requests_hold_for_one_node_one_mailbox_and_a_while(seed: [u8; 32], from: u64, expiry in 1000_u64..u64::MAX / 2, offset in -1000_i64..1000) {
        let key = MailboxSigningKey::from_seed(seed);
        let mailbox = Descriptor { write: WritePolicy::Open, read: key.verifying_key(), nonce: [1; 16] };
        let (node, second) = (KEYS[0].verifying_key(), KEYS[1].verifying_key());
        let request = ReadRequest { node, tag: mailbox.tag(), from, expiry: UnixSeconds::new(expiry), nonce: [2; 16] };
        let signature = key.sign(&NETWORK, &request).unwrap();
        let check = |node, mailbox: &Descriptor, request: &ReadRequest, now| {
            check_read(&NETWORK, node, mailbox, request, &signature, now)
        };
        // Seconds after the expiry, up to the clock skew; and at most 300 and the skew before.
        let now = UnixSeconds::new(expiry.checked_add_signed(offset).unwrap());
        let expected = match offset {
            121.. => Err(CapabilityError::Expired),
            -420..=120 => Ok(()),
            _ => Err(CapabilityError::LifetimeTooLong),
        };
        prop_assert_eq!(check(&node, &mailbox, &request, now), expected);
        let now = request.expiry;
        prop_assert_eq!(check(&second, &mailbox, &request, now), Err(CapabilityError::WrongNode));
        let other = Descriptor { nonce: [3; 16], ..mailbox };
        prop_assert_eq!(check(&node, &other, &request, now), Err(CapabilityError::WrongTag));
        let other = ReadRequest { from: !from, ..request };
        prop_assert_eq!(check(&node, &mailbox, &other, now), Err(CapabilityError::SignatureInvalid));
    }

    /// What a search finds passes for its envelope, mailbox and hour, and for as many bits as it is worth. The same
    /// search finds the same, and stopped anywhere and begun again there, too.
    #[test]
    fn postage_found_is_postage_that_passes(tag: [u8; 32], envelope: [u8; 32], hour in 1_u64..1 << 40, bits in 0_u8..9, start: u64, cut in 0_u32..300) {
        let (tag, envelope, bits) = (MailboxTag::from_bytes(tag), EnvelopeId::from_bytes(envelope), PostageBits::new(bits).unwrap());
        let found = |start| {
            let mut search = find_postage(&tag, &envelope, hour, bits, start);
            std::iter::repeat_with(|| search.step(64)).find_map(|found| found).unwrap()
        };
        let postage = found(start);
        prop_assert_eq!(postage, found(start));
        let mut first = find_postage(&tag, &envelope, hour, bits, start);
        let resumed = first.step(cut).unwrap_or_else(|| found(first.next_nonce()));
        prop_assert_eq!(postage, resumed);

        let zeros: u32 = {
            let work = postage.work(&tag, &envelope).to_bytes();
            work.iter().map(|byte| byte.leading_zeros()).scan(true, |on, zeros| on.then(|| { *on = zeros == 8; zeros })).sum()
        };
        prop_assert!(zeros >= u32::from(bits.get()));
        let check = |tag, envelope, bits: u8, hour: u64| {
            let now = UnixSeconds::new(hour * 3600 + 1800);
            check_postage(tag, envelope, &postage, PostageBits::new(bits).unwrap(), now)
        };
        for asked in 0..=32 {
            let enough = u32::from(asked) <= zeros;
            let needed = PostageBits::new(asked).unwrap();
            let expected = if enough { Ok(()) } else { Err(CapabilityError::PostageTooLow { needed }) };
            prop_assert_eq!(check(&tag, &envelope, asked, hour), expected);
        }
        for (other, good) in [(hour - 1, true), (hour + 1, true), (hour + 2, false), (hour.saturating_sub(2), hour == 1)] {
            let expected = if good { Ok(()) } else { Err(CapabilityError::PostageStale) };
            prop_assert_eq!(check(&tag, &envelope, bits.get(), other), expected);
        }
        // The work is another one for everything that it is bound to.
        let work = postage.work(&tag, &envelope);
        prop_assert_ne!(work, postage.work(&MailboxTag::from_bytes(envelope.to_bytes()), &envelope));
        prop_assert_ne!(work, postage.work(&tag, &EnvelopeId::from_bytes(tag.to_bytes())));
        prop_assert_ne!(work, Postage { hour: hour + 1, ..postage }.work(&tag, &envelope));
        prop_assert_ne!(work, Postage { nonce: !postage.nonce, ..postage }.work(&tag, &envelope));
    }

    #[test]
    fn contact_keys_hold_for_one_device_and_a_while(created in 1000_u64..u64::MAX / 2, lasts in 0_u64..3_000_000, number: u64, bits in 0_u8..=32, offset in -200_i64..3_000_000) {
        let device = DeviceSigningKey::from_seed([4; 32]);
        let keys = ContactKeys {
            identity: IdentityId::from_bytes([1; 32]),
            device: DeviceId::of(&device.verifying_key()),
            envelope: EnvelopeKey::x25519([9; 32]),
            created: UnixSeconds::new(created),
            expires: UnixSeconds::new(created + lasts),
            number,
            postage: PostageBits::new(bits).unwrap(),
        };
        let signed = SignedContactKeys::sign(&NETWORK, &device, keys.clone());
        if !(1..=2_592_000).contains(&lasts) {
            prop_assert_eq!(signed, Err(ContactError::Lifetime));
            return Ok(());
        }
        let signed = signed.unwrap();
        prop_assert_eq!(SignedContactKeys::from_bytes(&signed.to_bytes().unwrap()), Ok(signed.clone()));
        let second = DeviceSigningKey::from_seed([5; 32]);
        prop_assert_eq!(SignedContactKeys::sign(&NETWORK, &second, keys.clone()), Err(ContactError::WrongDevice));
        let listed = DeviceKeys {
            signing: device.verifying_key(),
            envelope: EnvelopeKey::x25519([8; 32]),
            inbox: MailboxSigningKey::from_seed([6; 32]).verifying_key(),
            inbox_nonce: [0; 16],
        };
        let now = UnixSeconds::new(created.checked_add_signed(offset).unwrap());
        let expected = match offset {
            ..-120 => Err(ContactError::NotYetValid),
            _ if offset < i64::try_from(lasts).unwrap() => Ok(()),
            _ => Err(ContactError::Expired),
        };
        prop_assert_eq!(signed.verify(&NETWORK, &keys.identity, &listed, now), expected);
        // A device whose key is exchanged on the ledger, and any other field of it that is signed.
        let other = DeviceKeys { signing: second.verifying_key(), ..listed.clone() };
        prop_assert_eq!(signed.verify(&NETWORK, &keys.identity, &other, keys.created), Err(ContactError::WrongDevice));
        let mut changed = signed.clone();
        changed.keys.number = !number;
        prop_assert_eq!(changed.verify(&NETWORK, &keys.identity, &listed, keys.created), Err(ContactError::SignatureInvalid));
        let elsewhere = NetworkId::from_bytes([8; 32]);
        prop_assert_eq!(signed.verify(&elsewhere, &keys.identity, &listed, keys.created), Err(ContactError::SignatureInvalid));
    }

    #[test]
    fn publications_hold_for_one_stock(packages in vec(vec(any::<u8>(), 0..40), 0..5), at in any::<Index>()) {
        let (inbox, device, node) = (MailboxSigningKey::from_seed([6; 32]), DeviceSigningKey::from_seed([4; 32]), KEYS[0].verifying_key());
        let descriptor = Descriptor { write: WritePolicy::Open, read: inbox.verifying_key(), nonce: [1; 16] };
        let now = UnixSeconds::new(1_800_000_000);
        let keys = ContactKeys {
            identity: IdentityId::from_bytes([1; 32]),
            device: DeviceId::of(&device.verifying_key()),
            envelope: EnvelopeKey::x25519([9; 32]),
            created: now,
            expires: now.saturating_add(1000),
            number: 1,
            postage: PostageBits::DEFAULT,
        };
        let signed = SignedContactKeys::sign(&NETWORK, &device, keys).unwrap();
        let packages: Vec<_> = packages.into_iter().map(|bytes| KeyPackage::try_from(bytes).unwrap()).collect();
        let stock = ContactStock::new(signed, packages.clone()).unwrap();
        prop_assert_eq!(ContactStock::from_bytes(&stock.to_bytes().unwrap()), Ok(stock.clone()));
        let request = PublishRequest { node, tag: descriptor.tag(), stock: stock.digest().unwrap(), expiry: now, nonce: [2; 16] };
        let signature = inbox.sign(&NETWORK, &request).unwrap();
        let check = |stock: &ContactStock| check_publish(&NETWORK, &node, &descriptor, &request, &signature, stock, now);
        prop_assert_eq!(check(&stock), Ok(()));
        // A package more, a package less, a byte from one moved to the next.
        let mut others = vec![[packages.as_slice(), &[KeyPackage::empty()]].concat()];
        if !packages.is_empty() {
            let mut less = packages.clone();
            less.remove(at.index(packages.len()));
            others.push(less);
        }
        if packages.len() > 1 && !packages[0].is_empty() {
            let (mut first, mut second) = (packages[0].to_vec(), packages[1].to_vec());
            second.insert(0, first.pop().unwrap());
            let moved = [first, second].map(|bytes| KeyPackage::try_from(bytes).unwrap());
            others.push([moved.as_slice(), &packages[2..]].concat());
        }
        for other in others {
            let other = ContactStock::new(stock.keys.clone(), other).unwrap();
            prop_assert_eq!(check(&other), Err(CapabilityError::WrongStock));
        }
    }

    #[test]
    fn node_sets_are_sorted_and_found_by_key(order in Just((0..20).collect::<Vec<usize>>()).prop_shuffle(), count in 0_usize..20) {
        let members = |order: &[usize]| order.iter().map(|index| member(&KEYS[*index])).collect::<Vec<_>>();
        let set = NodeSet::new(SetEpoch::new(1), members(&order[..count])).unwrap();
        prop_assert!(set.members().is_sorted_by(|a, b| a.key < b.key));
        prop_assert_eq!(&NodeSet::from_bytes(&set.to_bytes().unwrap()).unwrap(), &set);
        for index in &order {
            let key = KEYS[*index].verifying_key();
            match set.index_of(&key) {
                Some(place) => prop_assert_eq!(set.get(place).unwrap().key, key),
                None => prop_assert!(!order[..count].contains(index)),
            }
        }
        if count > 0 {
            let twice = [&order[..count], &order[..1]].concat();
            prop_assert_eq!(NodeSet::new(SetEpoch::new(1), members(&twice)), Err(NodeSetError::Duplicate));
        }
    }

    #[test]
    fn a_node_that_leaves_moves_only_its_tags(count in 6_usize..40, gone in any::<Index>(), tags in vec(any::<[u8; 32]>(), 1..30)) {
        let set = set_of(count);
        let gone = KEYS[gone.index(count)].verifying_key();
        let rest = set.members().iter().filter(|member| member.key != gone).cloned().collect();
        let rest = NodeSet::new(SetEpoch::new(6), rest).unwrap();
        for tag in tags.into_iter().map(MailboxTag::from_bytes) {
            let before: Vec<_> = swarm(&set, &tag).into_iter().map(|member| member.key).collect();
            let after: Vec<_> = swarm(&rest, &tag).into_iter().map(|member| member.key).collect();
            prop_assert_eq!(before.len(), 5);
            let kept: Vec<_> = before.iter().copied().filter(|key| *key != gone).collect();
            // Those that stay keep their places; at most one comes, at the end.
            prop_assert_eq!(&after[..kept.len()], &kept);
            prop_assert_eq!(after.len(), 5);
        }
    }

    #[test]
    fn receipts_of_a_swarm_make_a_quorum_receipt(count in 1_usize..12, tag: [u8; 32], dropped in 0_usize..3, heights in vec(0_u64..50, 5)) {
        let set = set_of(count);
        let tag = MailboxTag::from_bytes(tag);
        let quorum = set.quorum();
        let mut receipts: Vec<_> = swarm(&set, &tag)
            .into_iter()
            .zip(&heights)
            .map(|(member, height)| {
                let key = KEYS.iter().find(|key| key.verifying_key() == member.key).unwrap();
                receipt(key, tag, 3, *height, 1)
            })
            .collect();
        receipts.truncate(receipts.len().saturating_sub(dropped));
        let result = QuorumReceipt::assemble(&set, &receipts);
        if receipts.len() < usize::from(quorum.write) {
            let too_few = matches!(result, Err(ReceiptError::TooFewIssuers { .. }));
            prop_assert!(too_few);
            return Ok(());
        }
        let made = result.unwrap();
        prop_assert_eq!(made.issuers.len(), usize::from(quorum.write));
        let accepted = made.verify_in(&NETWORK, &set).unwrap();
        prop_assert!(made.verify_in(&NetworkId::from_bytes([0; 32]), &set).is_err());

        // The time, by its definition.
        let given: Vec<_> = made.issuers.iter().map(|issuer| issuer.height).collect();
        let at_most = |height: Height| given.iter().filter(|other| **other <= height).count();
        let time = (0..).map(Height::new).find(|height| at_most(*height) > usize::from(quorum.faulty));
        prop_assert_eq!(Some(accepted.signed_height()), time);

        // What does not belong together is not put together.
        let with = |change: &dyn Fn(&mut StorageReceiptBody)| {
            let mut receipts = receipts.clone();
            if let Some(last) = receipts.last_mut() {
                change(&mut last.body);
            }
            QuorumReceipt::assemble(&set, &receipts).map(drop)
        };
        if receipts.len() > 1 {
            prop_assert_eq!(with(&|body| body.envelope = EnvelopeId::of(b"other")), Err(ReceiptError::DifferentSubjects));
            prop_assert_eq!(with(&|body| body.tag = TAG), Err(ReceiptError::DifferentSubjects));
            prop_assert_eq!(with(&|body| body.expiry = UnixSeconds::MAX), Err(ReceiptError::DifferentSubjects));
        }
        prop_assert_eq!(with(&|body| body.node = KEYS[39].verifying_key()), Err(ReceiptError::UnknownNode));
        prop_assert_eq!(with(&|body| body.position.size = 0), Err(ReceiptError::IndexOutOfLog));
        let foreign = matches!(
            with(&|body| body.position.set_epoch = SetEpoch::new(4)),
            Err(ReceiptError::ForeignSetEpoch { .. })
        );
        prop_assert!(foreign);
        let twice = [receipts.as_slice(), &receipts[..1]].concat();
        prop_assert_eq!(QuorumReceipt::assemble(&set, &twice).map(drop), Err(ReceiptError::IssuersNotAscending));
        let keepers = swarm(&set, &tag);
        if let Some(outside) = set.members().iter().find(|member| !keepers.contains(member)) {
            prop_assert_eq!(with(&|body| body.node = outside.key), Err(ReceiptError::NotInSwarm));
        }
    }

    /// A node that signs what its log holds, at heights that do not fall, is never convicted, whichever of its
    /// statements are put side by side.
    #[test]
    fn an_honest_log_convicts_nobody(steps in vec((0_u64..3, any::<bool>()), 2..12), pick in vec(any::<Index>(), 2)) {
        let (mut said, mut receipts) = (Vec::new(), Vec::new());
        let (mut log, mut height, mut nodes) = (Accumulator::new(), 0, Vec::new());
        for (later, is_put) in steps {
            height += later;
            let (size, position) = (log.size(), |log: &Accumulator, index| LogPosition {
                set_epoch: SetEpoch::new(5),
                incarnation: Incarnation::new(1),
                index,
                size: log.size(),
                root: log.root(),
                height: Height::new(height),
            });
            if is_put {
                let entry = LogEntry { index: size, envelope: EnvelopeId::of(&size.to_be_bytes()), expiry: UnixSeconds::new(size) };
                nodes.extend(log.push(entry.leaf()).unwrap().nodes);
                let body = StorageReceiptBody {
                    node: KEYS[0].verifying_key(),
                    tag: TAG,
                    envelope: entry.envelope,
                    expiry: entry.expiry,
                    position: position(&log, size),
                };
                let receipt = StorageReceipt::sign(&NETWORK, &KEYS[0], body).unwrap();
                said.push(SignedPosition::Receipt(receipt));
                receipts.push((receipt, entry));
            } else {
                let body = HeadBody { node: KEYS[0].verifying_key(), tag: TAG, position: position(&log, size), nonce: [0; 16] };
                said.push(SignedPosition::Head(SignedHead::sign(&NETWORK, &KEYS[0], body).unwrap()));
            }
        }
        let (one, other) = (said[pick[0].index(said.len())], said[pick[1].index(said.len())]);
        let mut charges = vec![
            Misconduct::TwoRoots { one, other },
            Misconduct::ShrunkLog { before: one, after: other },
        ];
        if !receipts.is_empty() {
            let (receipt, _) = receipts[pick[0].index(receipts.len())];
            let (second, opened) = receipts[pick[1].index(receipts.len())];
            charges.push(Misconduct::TwoEntries { one: receipt, other: second });
            let proof = mmr::prove(&nodes, log.size(), opened.index).unwrap();
            let statement = *said.last().unwrap();
            charges.push(Misconduct::ContradictedReceipt { receipt, statement, opened, proof });
        }
        for charge in charges {
            prop_assert_eq!(charge.verify(&NETWORK), Err(MisconductError::NoContradiction));
        }
    }

    #[test]
    fn objects_cut_anywhere_are_refused(at in any::<Index>()) {
        let set = set_of(4);
        let receipts: Vec<_> = KEYS[..4].iter().map(|key| receipt(key, TAG, 3, 9, 1)).collect();
        let quorum = QuorumReceipt::assemble(&set, &receipts).unwrap();
        let (one, other) = (SignedPosition::Receipt(receipts[0]), SignedPosition::Receipt(receipts[1]));
        type Decodes = fn(&[u8]) -> bool;
        let objects: [(Vec<u8>, Decodes); 5] = [
            (set.to_bytes().unwrap(), |data| NodeSet::from_bytes(data).is_ok()),
            (receipts[0].to_bytes().unwrap(), |data| StorageReceipt::from_bytes(data).is_ok()),
            (quorum.to_bytes().unwrap(), |data| QuorumReceipt::from_bytes(data).is_ok()),
            (Misconduct::TwoRoots { one, other }.to_bytes().unwrap(), |data| Misconduct::from_bytes(data).is_ok()),
            (appended(&[Digest::from_bytes([1; 32]); 7]).1.to_bytes().unwrap(), |data| Accumulator::from_bytes(data).is_ok()),
        ];
        for (bytes, decodes) in objects {
            prop_assert!(decodes(&bytes));
            prop_assert!(!decodes(&bytes[..at.index(bytes.len())]));
            prop_assert!(!decodes(&[bytes.as_slice(), &[0]].concat()));
        }
    }

    /// Any bit of a receipt changed: it does not decode, or does not verify.
    #[test]
    fn a_changed_receipt_fails(at in any::<Index>(), bit in 0_u8..8) {
        let mut bytes = receipt(&KEYS[0], TAG, 3, 9, 1).to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = StorageReceipt::from_bytes(&bytes) {
            prop_assert!(changed.verify(&NETWORK).is_err());
        }
    }
}

/// A receipt for the envelope at `index`.
fn receipt(key: &NodeSigningKey, tag: MailboxTag, index: u64, height: u64, incarnation: u64) -> StorageReceipt {
    let body = StorageReceiptBody {
        node: key.verifying_key(),
        tag,
        envelope: EnvelopeId::of(b"envelope"),
        expiry: UnixSeconds::new(77),
        position: LogPosition {
            set_epoch: SetEpoch::new(5),
            incarnation: Incarnation::new(incarnation),
            index,
            size: index + 1,
            root: Digest::from_bytes([3; 32]),
            height: Height::new(height),
        },
    };
    StorageReceipt::sign(&NETWORK, key, body).unwrap()
}

#[test]
fn the_time_is_the_lowest_that_f_plus_one_signed() {
    // Four nodes, of which one may lie: the second lowest counts, whatever the liar says.
    for (heights, time) in [
        ([10, 11, 12], 11),
        ([0, 11, 12], 11),
        ([99, 11, 12], 12),
        ([11, 11, 11], 11),
    ] {
        let set = set_of(4);
        let receipts: Vec<_> = KEYS[..3]
            .iter()
            .zip(heights)
            .map(|(key, height)| receipt(key, TAG, 3, height, 1))
            .collect();
        let made = QuorumReceipt::assemble(&set, &receipts).unwrap();
        let accepted = made.verify_in(&NETWORK, &set).unwrap();
        assert_eq!(accepted.signed_height(), Height::new(time));
    }
}

#[test]
fn only_the_node_signs_for_itself() {
    let good = receipt(&KEYS[0], TAG, 3, 9, 1);
    assert_eq!(
        StorageReceipt::sign(&NETWORK, &KEYS[1], good.body),
        Err(ReceiptError::WrongKey)
    );
    let mut body = good.body;
    body.position.index = body.position.size;
    assert_eq!(
        StorageReceipt::sign(&NETWORK, &KEYS[0], body),
        Err(ReceiptError::IndexOutOfLog)
    );
    let head = HeadBody {
        node: body.node,
        tag: TAG,
        position: body.position,
        nonce: [0; 16],
    };
    assert!(SignedHead::sign(&NETWORK, &KEYS[0], head).is_ok());
    assert_eq!(SignedHead::sign(&NETWORK, &KEYS[1], head), Err(HeadError::WrongKey));
    let line = HeadBody {
        position: good.body.position,
        ..head
    };
    assert_eq!(SignedHead::sign(&NETWORK, &KEYS[0], line), Err(HeadError::NotAHead));
}

#[test]
fn quorums_overlap_and_outlast_faults() {
    for replicas in 1..=u8::MAX {
        let quorum = Quorum::for_replicas(replicas);
        let (r, f) = (u16::from(replicas), u16::from(quorum.faulty));
        let (w, q) = (u16::from(quorum.write), u16::from(quorum.read));
        assert!(w + q > r + f, "{replicas}: writers and readers share an honest node");
        assert!(w > 2 * f || replicas < 4, "{replicas}: most writers are honest");
        assert!(2 * w > r, "{replicas}: any two writers' quorums meet");
        assert!(
            q + f <= r && (f == 0 || w + f <= r),
            "{replicas}: silence of f nodes stops nobody"
        );
        assert_eq!(quorum.tolerates_faults(), replicas >= 4);
    }
    for nodes in 0..=2 * NODES_MAX {
        let quorum = Quorum::for_nodes(nodes);
        assert_eq!(usize::from(quorum.replicas), nodes.min(5));
    }
    let none = Quorum::for_nodes(0);
    assert!(
        none.write > none.replicas && none.read > none.replicas,
        "no node accepts anything"
    );
}

#[test]
fn tags_spread_evenly() {
    let set = set_of(20);
    let mut load = BTreeMap::new();
    for number in 0..2000_u32 {
        let tag = MailboxTag::from_bytes(hash(mmr::NODE_LABEL, &[&number.to_be_bytes()]).to_bytes());
        let keepers = swarm(&set, &tag);
        assert_eq!(keepers.len(), 5);
        for keeper in keepers {
            *load.entry(keeper.key).or_insert(0_u32) += 1;
        }
    }
    // 500 on average, with a standard deviation of 20.
    assert_eq!(load.len(), 20);
    assert!(load.values().all(|count| (400..600).contains(count)), "{load:?}");
}

#[test]
fn a_list_can_be_full() {
    let peaks = vec![Digest::from_bytes([1; 32]); mmr::PEAKS_MAX];
    let mut full = Accumulator::from_parts(mmr::LEAVES_MAX, peaks).unwrap();
    let before = full.clone();
    assert_eq!(full.push(Digest::from_bytes([2; 32])), Err(MmrError::Full));
    assert_eq!(full, before);
    assert_eq!(full.to_bytes().unwrap().len(), 1 + 9 + 1 + 62 * 32);
    let many = vec![Digest::from_bytes([1; 32]); mmr::PEAKS_MAX + 1];
    assert_eq!(
        Accumulator::from_parts(u64::MAX >> 1, many.clone()),
        Err(MmrError::OutOfRange)
    );
    assert_eq!(Proof::from_digests(many), Err(MmrError::WrongLength));
}

#[test]
fn a_set_can_be_too_large() {
    let one = member(&KEYS[0]);
    let many = vec![one; NODES_MAX + 1];
    assert_eq!(
        NodeSet::new(SetEpoch::ZERO, many),
        Err(NodeSetError::TooMany { actual: NODES_MAX + 1 })
    );
}
