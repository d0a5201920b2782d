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
#[path = "../../../fuzz/wire/targets.rs"]
mod targets;

use replay::write;
use tokenim_wire::{BoundedBytes, BoundedString, BoundedVec, Digest, Height, encode, frame};

replay::tests!(decode, frame, text);

/// Writes the corpus: `cargo test -p tokenim-wire --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    let fields = |number: u64, list: Vec<u16>, blob: Vec<u8>, text: &str| {
        let list = BoundedVec::<u16, 4>::try_from(list).unwrap();
        encode(&(
            (
                true,
                7_u8,
                300_u16,
                70_000_u32,
                number,
                -1_i8,
                -300_i16,
                -70_000_i32,
                i64::MIN,
            ),
            Digest::from_bytes([5; 32]),
            Height::new(number),
            Some(128_u16),
            Err::<u32, (u8, u16)>((1, 128)),
            BoundedVec::<_, 4>::try_from(vec![list]).unwrap(),
            BoundedBytes::<16>::try_from(blob).unwrap(),
            BoundedString::<16>::try_from(text).unwrap(),
        ))
        .unwrap()
    };
    let small = fields(0, vec![], vec![], "");
    let large = fields(u64::MAX, vec![65_535; 4], vec![255; 16], "sixteen letters!");
    write("decode", "small", &small);
    write("decode", "large", &large);
    write("decode", "truncated", &large[..large.len() - 1]);
    write("decode", "trailing", &[small.as_slice(), &[0]].concat());
    let mut long_number = small.clone();
    long_number.splice(7..8, [0x80, 0x00]);
    write("decode", "long_number", &long_number);
    let mut stream = vec![3];
    for body in [&b""[..], b"a", &[7; 64]] {
        frame::encode(body, &mut stream).unwrap();
    }
    write("frame", "three", &stream);
    write("frame", "cut", &stream[..stream.len() - 1]);
    frame::encode(&[0; 65], &mut stream).unwrap();
    write("frame", "too_long", &stream);
    write("text", "digest", "0f".repeat(32).as_bytes());
    write("text", "capital", "0F".repeat(32).as_bytes());
    write("text", "odd", b"abc");
}
