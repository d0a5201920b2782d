//! The vectors of `tests/vectors`, which a second implementation made from the spec.
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

use common::Sample;
use serde::Deserialize;
use tokenim_wire::{
    DecodeError, EnvelopeId, Label, Object, encode, encoded_len,
    frame::{self, Decoder, FrameError},
    hash, hash_object, hex,
};

const SAMPLE: Label = Label::new("tokenim/sample/v1");

#[derive(Deserialize)]
struct Encoding {
    name: String,
    value: Sample,
    bytes: String,
    hash: String,
}

fn encodings() -> Vec<Encoding> {
    serde_json::from_str(include_str!("vectors/encoding.json")).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

/// Which of the errors it is, without its numbers.
fn name(error: &impl core::fmt::Debug) -> String {
    format!("{error:?}").split([' ', '{', '(']).next().unwrap().to_owned()
}

#[test]
fn values_encode_as_the_vectors_say_and_come_back() {
    for case in encodings() {
        let expected = bytes(&case.bytes);
        assert_eq!(
            hex::encode(&case.value.to_bytes().unwrap()),
            case.bytes,
            "{}",
            case.name
        );
        assert_eq!(encode(&case.value).unwrap(), expected[1..], "{}", case.name);
        assert_eq!(encoded_len(&case.value).unwrap(), expected.len() - 1, "{}", case.name);
        assert_eq!(Sample::from_bytes(&expected).unwrap(), case.value, "{}", case.name);
        assert_eq!(
            hash_object(SAMPLE, &case.value).unwrap().to_string(),
            case.hash,
            "{}",
            case.name
        );
        assert_eq!(hash(SAMPLE, &[&expected[1..]]).to_string(), case.hash, "{}", case.name);
    }
}

#[test]
fn every_way_to_be_refused_is() {
    #[derive(Deserialize)]
    struct Refused {
        name: String,
        bytes: String,
        error: String,
    }
    let cases: Vec<Refused> = serde_json::from_str(include_str!("vectors/refused.json")).unwrap();
    for case in &cases {
        let error = Sample::from_bytes(&bytes(&case.bytes)).unwrap_err();
        assert_eq!(name(&error), case.error, "{}", case.name);
    }
    for error in [
        "TooLong",
        "Truncated",
        "TrailingBytes",
        "NotCanonical",
        "UnknownVersion",
        "Malformed",
    ] {
        assert!(cases.iter().any(|case| case.error == error), "no vector for {error}");
    }
}

#[test]
fn truncation_at_every_byte_is_refused_as_such() {
    for case in encodings() {
        let whole = bytes(&case.bytes);
        for length in 0..whole.len() {
            let refused = Sample::from_bytes(&whole[..length]);
            assert_eq!(refused, Err(DecodeError::Truncated), "{} cut to {length}", case.name);
        }
    }
}

#[test]
fn a_byte_more_is_refused_as_such() {
    for case in encodings() {
        for extra in 0..=u8::MAX {
            let mut longer = bytes(&case.bytes);
            longer.push(extra);
            assert_eq!(
                Sample::from_bytes(&longer),
                Err(DecodeError::TrailingBytes),
                "{}",
                case.name
            );
        }
    }
}

#[test]
fn every_other_version_is_refused_by_name_and_number() {
    for version in (0..=u8::MAX).filter(|version| *version != Sample::VERSION) {
        let mut other = bytes(&encodings()[0].bytes);
        other[0] = version;
        let expected = DecodeError::UnknownVersion {
            object: "sample",
            version,
        };
        assert_eq!(Sample::from_bytes(&other), Err(expected));
        assert_eq!(
            expected.to_string(),
            format!("sample of version {version} is not known here")
        );
    }
}

#[test]
fn hashes_are_those_of_the_vectors() {
    #[derive(Deserialize)]
    struct Hash {
        name: String,
        label: String,
        parts: Vec<String>,
        hash: String,
    }
    let cases: Vec<Hash> = serde_json::from_str(include_str!("vectors/hash.json")).unwrap();
    for case in cases {
        let label = Label::new(String::leak(case.label));
        let parts: Vec<Vec<u8>> = case.parts.iter().map(|part| bytes(part)).collect();
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        assert_eq!(hash(label, &slices).to_string(), case.hash, "{}", case.name);
        if case.name == "envelope_id" {
            assert_eq!(EnvelopeId::of(&parts[0]).to_string(), case.hash);
        }
    }
}

#[test]
fn streams_are_cut_into_the_frames_of_the_vectors() {
    #[derive(Deserialize)]
    struct Frames {
        body_bytes_max: usize,
        cases: Vec<Stream>,
    }
    #[derive(Deserialize)]
    struct Stream {
        name: String,
        stream: String,
        bodies: Vec<String>,
        error: Option<String>,
    }
    let frames: Frames = serde_json::from_str(include_str!("vectors/frame.json")).unwrap();
    for case in frames.cases {
        let stream = bytes(&case.stream);
        for piece in 1..=stream.len().max(1) {
            let mut decoder = Decoder::new(frames.body_bytes_max);
            let mut bodies = Vec::new();
            let mut error = None::<FrameError>;
            for part in stream.chunks(piece) {
                decoder.push(part);
                loop {
                    match decoder.next() {
                        Ok(Some(body)) => bodies.push(hex::encode(&body)),
                        Ok(None) => break,
                        Err(refused) => {
                            error = Some(refused);
                            break;
                        }
                    }
                }
            }
            let error = error.or(decoder.finish().err()).map(|error| name(&error));
            assert_eq!(
                (&bodies, &error),
                (&case.bodies, &case.error),
                "{} by {piece}",
                case.name
            );
        }
        if case.error.is_none() {
            let mut made = Vec::new();
            for body in &case.bodies {
                frame::encode(&bytes(body), &mut made).unwrap();
            }
            assert_eq!(made, stream, "{}", case.name);
        }
    }
}
