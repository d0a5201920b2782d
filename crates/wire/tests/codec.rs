//! What the vectors cannot show: limits met before work is done, properties over many values, texts.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{Choice, Sample};
use proptest::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokenim_wire::{
    BoundedBytes, BoundedString, BoundedVec, DecodeError, Digest, EncodeError, Epoch, Height, LengthError, Object,
    ParseBytesError, UnixMillis, UnixSeconds, bytes_newtype, decode, encode, encode_into, frame, hash_object, hex,
    limits,
};

thread_local! {
    /// How many [`Counted`] were read.
    static READ: Cell<usize> = const { Cell::new(0) };
}

/// An item that counts how often it is read.
#[derive(Debug, PartialEq)]
struct Counted(u8);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READ.with(|read| read.set(read.get() + 1));
        u8::deserialize(deserializer).map(Self)
    }
}

#[test]
fn the_length_limit_comes_before_any_reading() {
    READ.with(|read| read.set(0));
    let refused = decode::<BoundedVec<Counted, 8>>(&[3, 1, 2, 3], 3);
    assert_eq!(refused, Err(DecodeError::TooLong { limit: 3, actual: 4 }));
    assert_eq!(READ.with(Cell::get), 0);
}

#[test]
fn a_sequence_too_long_is_refused_before_its_first_item() {
    READ.with(|read| read.set(0));
    for bytes in [
        &[9, 1, 2, 3, 4, 5, 6, 7, 8, 9][..],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[9],
    ] {
        assert_eq!(decode::<BoundedVec<Counted, 8>>(bytes, 64), Err(DecodeError::Malformed));
    }
    assert_eq!(READ.with(Cell::get), 0);
    assert_eq!(decode::<BoundedVec<Counted, 8>>(&[2, 1, 2], 64).unwrap().len(), 2);
    assert_eq!(READ.with(Cell::get), 2);
}

/// Something large in memory and small on the wire.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Large(u8, #[serde(skip)] [[u64; 32]; 32]);

#[test]
fn an_announced_length_reserves_little() {
    // 3 bytes that announce 60,000 items of 8 KiB would reserve half a gigabyte if they were believed.
    let refused = decode::<BoundedVec<Large, 60_000>>(&[0xe0, 0xd4, 0x03], 64);
    assert_eq!(refused, Err(DecodeError::Truncated));
}

#[test]
fn maps_have_one_order_and_no_repeated_key() {
    let map = BTreeMap::from([(1_u8, 10_u8), (2, 20)]);
    assert_eq!(encode(&map).unwrap(), [2, 1, 10, 2, 20]);
    assert_eq!(decode::<BTreeMap<u8, u8>>(&[2, 1, 10, 2, 20], 64).unwrap(), map);
    for other in [[2, 2, 20, 1, 10], [2, 1, 10, 1, 10]] {
        assert_eq!(decode::<BTreeMap<u8, u8>>(&other, 64), Err(DecodeError::NotCanonical));
    }
}

/// Bounded vectors don't let it come that far, so it has to be made by hand.
struct Endless;

impl Serialize for Endless {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde::ser::SerializeSeq::end(serializer.serialize_seq(None)?)
    }
}

#[test]
fn what_cannot_be_encoded_leaves_nothing_behind() {
    let mut out = vec![7];
    assert_eq!(encode_into(&(1_u8, Endless), &mut out), Err(EncodeError::Unsupported));
    assert_eq!(out, [7]);
    assert_eq!(encode(&Endless), Err(EncodeError::Unsupported));
}

#[test]
fn an_object_too_long_is_not_made() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Tight(BoundedBytes<8>);
    impl Object for Tight {
        const NAME: &'static str = "tight";
        const VERSION: u8 = 1;
        const BYTES_MAX: usize = 6;
    }
    assert_eq!(
        Tight(BoundedBytes::try_from(vec![0; 4]).unwrap())
            .to_bytes()
            .unwrap()
            .len(),
        6
    );
    let long = Tight(BoundedBytes::try_from(vec![0; 5]).unwrap());
    assert_eq!(long.to_bytes(), Err(EncodeError::TooLong { limit: 6, actual: 7 }));
}

#[test]
fn bounded_types_keep_their_bound() {
    let mut list = BoundedVec::<u8, 2>::empty();
    assert_eq!(list.push(1), Ok(()));
    assert_eq!(list.push(2), Ok(()));
    assert_eq!(list.push(3), Err(LengthError { limit: 2, actual: 3 }));
    assert_eq!(list.as_slice(), [1, 2]);
    list.as_mut_slice()[0] = 9;
    assert_eq!(list.into_iter().collect::<Vec<_>>(), [9, 2]);
    assert!(BoundedVec::<u8, 2>::try_from(vec![0; 3]).is_err());
    assert!(BoundedVec::<u8, 2>::try_from_iter(0..).is_err());
    assert!(BoundedBytes::<2>::try_from(vec![0; 3]).is_err());
    assert!(BoundedBytes::<2>::try_from([0; 3].as_slice()).is_err());
    assert!(BoundedString::<2>::try_from("äö").is_err());
    assert_eq!(BoundedString::<2>::try_from("ä").unwrap().as_str(), "ä");
}

#[test]
fn byte_strings_do_not_print_their_content() {
    let secret = BoundedBytes::<8>::try_from(vec![0xab; 3]).unwrap();
    assert_eq!(format!("{secret:?}"), "BoundedBytes(3 bytes)");
}

bytes_newtype! {
    /// Longer than what serde does by itself.
    struct Long([u8; 64]);
}

#[test]
fn newtypes_have_no_length_on_the_wire_and_one_text() {
    let long = Long::from_bytes([0xa5; 64]);
    assert_eq!(encode(&long).unwrap(), [0xa5; 64]);
    assert_eq!(decode::<Long>(&[0xa5; 64], 64).unwrap(), long);
    assert_eq!(long.to_string().parse(), Ok(long));
    assert_eq!(serde_json::to_string(&long).unwrap(), format!("\"{long}\""));
    assert_eq!(serde_json::from_str::<Long>(&format!("\"{long}\"")).unwrap(), long);
    assert_eq!(
        format!("{:?}", Digest::from_bytes([1; 32])),
        format!("Digest({})", "01".repeat(32))
    );
    assert!(Long::try_from([0; 63].as_slice()).is_err());
    for wrong in [
        "",
        "A5",
        &"a5".repeat(63),
        &"A5".repeat(64),
        &"g0".repeat(64),
        &"a5".repeat(65),
    ] {
        assert_eq!(wrong.parse::<Long>(), Err(ParseBytesError { expected: 64 }));
    }
}

#[test]
fn numbers_do_not_wrap() {
    assert_eq!(Height::MAX.next(), None);
    assert_eq!(Height::new(1).checked_sub(2), None);
    assert_eq!(Height::new(1).since(Height::new(2)), None);
    assert_eq!(Height::new(5).since(Height::new(2)), Some(3));
    assert_eq!(Epoch::MAX.saturating_add(1), Epoch::MAX);
    assert_eq!(Epoch::ZERO.saturating_sub(1), Epoch::ZERO);
    assert_eq!(UnixMillis::new(1999).to_seconds(), UnixSeconds::new(1));
    assert_eq!(UnixSeconds::MAX.to_millis(), UnixMillis::MAX);
    assert_eq!(encode(&Height::new(300)).unwrap(), [0xac, 0x02]);
    assert_eq!(Height::new(300).to_string(), "300");
}

#[test]
fn frames_beyond_the_limit_are_not_made() {
    let mut out = Vec::new();
    let body = vec![0; limits::FRAME_BYTES_MAX + 1];
    let refused = frame::FrameError::TooLong {
        limit: limits::FRAME_BYTES_MAX,
        actual: body.len(),
    };
    assert_eq!(frame::encode(&body, &mut out), Err(refused));
    assert!(out.is_empty());
    frame::encode(&body[1..], &mut out).unwrap();
    assert_eq!(
        frame::header(5, 4),
        Err(frame::FrameError::TooLong { limit: 4, actual: 5 })
    );
}

#[test]
fn a_refused_header_stays_refused_and_nothing_more_is_kept() {
    let mut decoder = frame::Decoder::new(4);
    decoder.push(&[0, 0, 0, 5]);
    for _ in 0..3 {
        assert!(decoder.next().is_err());
        decoder.push(&vec![0; 1 << 16]);
    }
    assert!(decoder.finish().is_err());
    assert_eq!(
        format!("{decoder:?}"),
        "Decoder { body_bytes_max: 4, ready: [], state: Failed(TooLong { limit: 4, actual: 5 }) }"
    );
}

#[test]
fn limits_fit_each_other() {
    const {
        assert!(limits::BLOCK_BYTES_MAX < limits::FRAME_BYTES_MAX);
        assert!(limits::READ_BYTES_MAX < limits::FRAME_BYTES_MAX);
        assert!(limits::ENVELOPE_BYTES_MAX <= limits::READ_BYTES_MAX);
        assert!(limits::MESSAGE_BODY_BYTES_MAX < limits::ENVELOPE_BYTES_MAX);
        assert!(limits::IDENTITY_STATE_BYTES_MAX < limits::FRAME_BYTES_MAX);
        assert!(limits::RECORD_BYTES_MAX < limits::TRANSACTION_BYTES_MAX);
        assert!(limits::TRANSACTION_BYTES_MAX <= limits::BLOCK_BYTES_MAX);
        assert!(limits::GROUP_UPDATE_BYTES_MAX < limits::TRANSACTION_BYTES_MAX);
        assert!(limits::GROUP_COMMIT_PARTS_MAX <= limits::SPONSOR_GROUP_UPDATES_PER_BLOCK_MAX);
        assert!(limits::SESSION_WELCOME_NOTE_BYTES_MAX < limits::MESSAGE_BODY_BYTES_MAX);
    }
    assert_eq!(limits::ENVELOPE_BYTES_MAX, 67_584);
    assert_eq!(limits::MESSAGE_BODY_BYTES_MAX, 62_464);
}

#[test]
fn values_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: T) {}
    shared(Arc::new(Mutex::new(frame::Decoder::new(1))));
    shared(Sample::zero());
}

fn choices() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Nothing),
        any::<u32>().prop_map(Choice::Number),
        any::<(u8, u16)>().prop_map(|(left, right)| Choice::Pair { left, right }),
    ]
}

fn samples() -> impl Strategy<Value = Sample> {
    let numbers = any::<(bool, u8, u16, u32, u64, i32, [u8; 32], Option<u16>)>();
    let parts = (
        choices(),
        prop::collection::vec(any::<u16>(), 0..=4),
        prop::collection::vec(any::<u8>(), 0..=8),
        "[a-zä人]{0,2}",
    );
    (numbers, parts).prop_map(
        |((flag, small, medium, wide, long, signed, id, maybe), (choice, list, blob, text))| Sample {
            flag,
            small,
            medium,
            wide,
            long,
            signed,
            id: Digest::from_bytes(id),
            maybe,
            choice,
            list: list.try_into().unwrap(),
            blob: blob.try_into().unwrap(),
            text: text.try_into().unwrap(),
        },
    )
}

proptest! {
    #[test]
    fn every_value_comes_back(sample in samples()) {
        let bytes = sample.to_bytes().unwrap();
        prop_assert_eq!(Sample::from_bytes(&bytes).unwrap(), sample);
    }

    #[test]
    fn two_values_never_share_bytes_nor_a_hash(one in samples(), other in samples()) {
        const LABEL: tokenim_wire::Label = tokenim_wire::Label::new("tokenim/sample/v1");
        prop_assert_eq!(one == other, one.to_bytes() == other.to_bytes());
        prop_assert_eq!(one == other, hash_object(LABEL, &one) == hash_object(LABEL, &other));
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(mut bytes in samples().prop_map(|s| s.to_bytes().unwrap()), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(sample) = Sample::from_bytes(&bytes) {
            prop_assert_eq!(sample.to_bytes().unwrap(), bytes);
        }
    }

    #[test]
    fn noise_never_panics_and_what_decodes_is_canonical(bytes in prop::collection::vec(any::<u8>(), 0..160)) {
        if let Ok(sample) = Sample::from_bytes(&bytes) {
            prop_assert_eq!(sample.to_bytes().unwrap(), bytes);
        }
    }

    #[test]
    fn frames_come_back_however_they_are_cut(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8), piece in 1_usize..50) {
        let mut stream = Vec::new();
        for body in &bodies {
            frame::encode(body, &mut stream).unwrap();
        }
        let mut decoder = frame::Decoder::new(40);
        let mut out = Vec::new();
        for part in stream.chunks(piece) {
            decoder.push(part);
            while let Some(body) = decoder.next().unwrap() {
                out.push(body);
            }
        }
        prop_assert_eq!(out, bodies);
        prop_assert!(decoder.finish().is_ok());
    }

    #[test]
    fn hexadecimal_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        prop_assert_eq!(hex::decode(&hex::encode(&bytes)), Some(bytes));
    }
}
