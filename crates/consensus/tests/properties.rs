//! Round trips and invariants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::{array::uniform32, collection::vec, prelude::*};
use tokenim_consensus::{
    Block, BlockDigest, BlockError, Certificate, Header, ParsedCertificate, Proposal, Validator, ValidatorSet,
    ValidatorSetError, View, payload_root,
};
use tokenim_identity::{NodeSigningKey, Signature};
use tokenim_wire::{DecodeError, Digest, Epoch, Height, Label, NetworkId, Object, UnixMillis, hash};

fn digest() -> impl Strategy<Value = Digest> {
    uniform32(any::<u8>()).prop_map(Digest::from_bytes)
}

prop_compose! {
    fn header()(
        chain in uniform32(any::<u8>()),
        epoch in any::<u64>(),
        height in any::<u64>(),
        time in any::<u64>(),
        parent in uniform32(any::<u8>()),
        roots in [digest(), digest(), digest(), digest(), digest(), digest()],
    ) -> Header {
        let [payload_root, state_root, receipts_root, node_set_root, header_mmr_root, next_validators] = roots;
        Header {
            chain: NetworkId::from_bytes(chain),
            epoch: Epoch::new(epoch),
            height: Height::new(height),
            time: UnixMillis::new(time),
            parent: BlockDigest::from_bytes(parent),
            payload_root,
            state_root,
            receipts_root,
            node_set_root,
            header_mmr_root,
            next_validators,
        }
    }
}

fn set(keys: &[u8]) -> Result<ValidatorSet, ValidatorSetError> {
    let key = |seed: &u8| Validator::new(NodeSigningKey::from_seed([*seed; 32]).verifying_key());
    ValidatorSet::new(keys.iter().map(key).collect())
}

proptest! {
    #[test]
    fn a_header_is_named_by_its_encoding(header in header()) {
        let bytes = header.to_bytes().unwrap();
        prop_assert!(bytes.len() <= Header::BYTES_MAX);
        prop_assert_eq!(Header::from_bytes(&bytes), Ok(header));
        let expected = hash(const { Label::new("tokenim/header/v1") }, &[&bytes]);
        prop_assert_eq!(header.digest().to_bytes(), expected.to_bytes());
    }

    #[test]
    fn a_child_follows_only_its_parent(parent in header(), other in header()) {
        prop_assume!(parent.height < Height::MAX && parent.time < UnixMillis::MAX);
        let child = Header {
            height: parent.height.next().unwrap(),
            time: parent.time.next().unwrap(),
            parent: parent.digest(),
            ..parent
        };
        prop_assert!(child.follows(&parent));
        prop_assert!(!parent.follows(&child));
        prop_assert!(!child.follows(&other));
        let changed: [fn(&mut Header); 5] = [
            |header| header.chain = NetworkId::from_bytes([0; 32]),
            |header| header.height = header.height.saturating_add(1),
            |header| header.time = header.time.saturating_sub(1),
            |header| header.parent = BlockDigest::from_bytes([0; 32]),
            |header| header.epoch = Epoch::new(header.epoch.get() ^ 2),
        ];
        for change in changed {
            let mut child = child;
            change(&mut child);
            prop_assert!(!child.follows(&parent));
        }
    }

    #[test]
    fn a_block_is_its_header_and_the_payload_it_commits_to(
        mut header in header(),
        payload in vec(any::<u8>(), 0..300),
        flip in any::<prop::sample::Index>(),
    ) {
        header.payload_root = payload_root(&payload);
        let block = Block::new(header, payload.clone()).unwrap();
        let mut bytes = block.to_bytes().unwrap();
        let again = Block::from_bytes(&bytes);
        prop_assert_eq!(again.as_ref(), Ok(&block));
        // Any other payload is refused, whatever its length.
        let at = flip.index(bytes.len());
        bytes[at] ^= 1;
        if let Ok(other) = Block::from_bytes(&bytes) {
            prop_assert_ne!(other.digest(), block.digest());
            prop_assert_eq!(other.payload, payload);
        }
    }

    #[test]
    fn a_validator_set_has_one_order(mut keys in prop::collection::btree_set(any::<u8>(), 1..20)) {
        let forward: Vec<u8> = keys.iter().copied().collect();
        let backward: Vec<u8> = keys.iter().rev().copied().collect();
        let set_one = set(&forward).unwrap();
        prop_assert_eq!(&set_one, &set(&backward).unwrap());
        prop_assert_eq!(set_one.len(), forward.len());
        // Two quorums share more than the faulty: 2q − n > f.
        let faulty = (set_one.len() - 1) / 3;
        prop_assert!(2 * set_one.quorum() > set_one.len() + faulty);
        prop_assert!(set_one.quorum() + faulty <= set_one.len());
        for (index, validator) in set_one.validators().iter().enumerate() {
            let index = u16::try_from(index).unwrap();
            prop_assert_eq!(set_one.index_of(&validator.key), Some(index));
            prop_assert_eq!(set_one.get(index), Some(validator));
        }
        let bytes = set_one.to_bytes().unwrap();
        prop_assert_eq!(ValidatorSet::from_bytes(&bytes).unwrap(), set_one.clone());
        let expected = hash(const { Label::new("tokenim/validator-set/v1") }, &[&bytes]);
        prop_assert_eq!(set_one.digest(), expected);
        let removed = keys.pop_first().unwrap();
        let smaller: Vec<u8> = keys.into_iter().collect();
        if let Ok(smaller) = set(&smaller) {
            prop_assert!(!smaller.contains(&NodeSigningKey::from_seed([removed; 32]).verifying_key()));
            prop_assert_ne!(smaller.digest(), set_one.digest());
        }
    }

    #[test]
    fn a_certificate_has_one_encoding(
        epoch in any::<u64>(),
        view in 1u64..,
        parent in any::<u64>(),
        digest in uniform32(any::<u8>()),
        validators in 1u16..=128,
        absent in prop::collection::btree_set(0u16..128, 0..43),
        byte in any::<u8>(),
    ) {
        let faulty = usize::from(validators - 1) / 3;
        let absent: Vec<u16> = absent.into_iter().filter(|signer| *signer < validators).take(faulty).collect();
        let signers: Vec<u16> = (0..validators).filter(|signer| !absent.contains(signer)).collect();
        let proposal = Proposal {
            epoch: Epoch::new(epoch),
            view: View::new(view),
            parent_view: View::new(parent % view),
            digest: BlockDigest::from_bytes(digest),
        };
        let signatures = signers.iter().map(|signer| Signature::from_bytes([byte ^ *signer as u8; 64])).collect();
        let parsed = ParsedCertificate { proposal, validators, signers, signatures };
        let certificate = parsed.to_certificate().unwrap();
        prop_assert_eq!(certificate.parse(), Ok(parsed));
    }

    #[test]
    fn parsing_never_panics(bytes in vec(any::<u8>(), 0..600)) {
        if let Ok(parsed) = Certificate::new(bytes).unwrap().parse() {
            prop_assert!(parsed.to_certificate().is_ok());
        }
    }
}

#[test]
fn a_validator_set_refuses_what_is_none() {
    assert_eq!(set(&[]), Err(ValidatorSetError::Empty));
    assert_eq!(set(&[1, 2, 1]), Err(ValidatorSetError::Duplicate));
    let keys: Vec<u8> = (0..=128).collect();
    assert_eq!(
        set(&keys),
        Err(ValidatorSetError::TooMany {
            limit: 128,
            actual: 129
        })
    );
    assert!(set(&keys[..128]).is_ok());
    let heavy = Validator {
        key: NodeSigningKey::from_seed([1; 32]).verifying_key(),
        weight: 2,
    };
    assert_eq!(ValidatorSet::new(vec![heavy]), Err(ValidatorSetError::Weight));
}

#[test]
fn a_validator_set_is_decoded_in_order_only() {
    let bytes = set(&[1, 2, 3]).unwrap().to_bytes().unwrap();
    let mut swapped = bytes.clone();
    swapped[2..35].copy_from_slice(&bytes[35..68]);
    swapped[35..68].copy_from_slice(&bytes[2..35]);
    assert_eq!(ValidatorSet::from_bytes(&swapped), Err(DecodeError::Malformed));
    let mut twice = bytes.clone();
    twice[35..68].copy_from_slice(&bytes[2..35]);
    assert_eq!(ValidatorSet::from_bytes(&twice), Err(DecodeError::Malformed));
    let mut heavy = bytes.clone();
    heavy[34] = 2;
    assert_eq!(ValidatorSet::from_bytes(&heavy), Err(DecodeError::Malformed));
    assert_eq!(ValidatorSet::from_bytes(&[1, 0]), Err(DecodeError::Malformed));
}

#[test]
fn quorums() {
    for (validators, quorum) in [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 3),
        (5, 4),
        (6, 5),
        (7, 5),
        (10, 7),
        (100, 67),
        (128, 86),
    ] {
        let keys: Vec<u8> = (0..validators).collect();
        assert_eq!(set(&keys).unwrap().quorum(), quorum, "{validators}");
    }
}

#[test]
fn a_payload_fits_its_block() {
    let none = Digest::from_bytes([0; 32]);
    let payload = vec![7; Block::PAYLOAD_BYTES_MAX];
    let header = Header {
        chain: NetworkId::from_bytes([1; 32]),
        epoch: Epoch::MAX,
        height: Height::MAX,
        time: UnixMillis::MAX,
        parent: BlockDigest::from_bytes([0; 32]),
        payload_root: payload_root(&payload),
        state_root: none,
        receipts_root: none,
        node_set_root: none,
        header_mmr_root: none,
        next_validators: none,
    };
    let block = Block::new(header, payload).unwrap();
    assert!(Block::from_bytes(&block.to_bytes().unwrap()).is_ok());
    let long = Block::new(header, vec![7; Block::PAYLOAD_BYTES_MAX + 1]);
    assert!(matches!(long, Err(BlockError::PayloadTooLong { .. })));
    assert_eq!(Block::new(header, vec![8]), Err(BlockError::PayloadRoot));
    let unchecked = Block {
        header,
        payload: vec![8],
    };
    assert_eq!(unchecked.check(), Err(BlockError::PayloadRoot));
}
