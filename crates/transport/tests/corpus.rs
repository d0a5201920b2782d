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
#[path = "../../../fuzz/transport/targets.rs"]
mod targets;

use replay::write;

replay::tests!(frame_reader, frame_round_trip, read_to_end);

/// Writes the corpus: `cargo test -p tokenim-transport --test corpus -- --ignored`.
#[test]
#[ignore = "writes files"]
fn write_corpus() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("vectors/frames.json")).unwrap();
    for (index, vector) in vectors.as_array().unwrap().iter().enumerate() {
        let limit = vector["body_bytes_max"].as_u64().unwrap().min(0xffff) as u16;
        let digits = vector["stream"].as_str().unwrap().as_bytes().chunks(2);
        let stream = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        let mut bytes = vec![index as u8];
        bytes.extend(limit.to_be_bytes());
        bytes.extend(stream);
        write("frame_reader", vector["name"].as_str().unwrap(), &bytes);
    }
    let text = b"what is cut in pieces and sent comes back in pieces";
    for (name, seed, count) in [("at_once", 0, 0), ("two", 1, 1), ("seven", 2, 6), ("bytes", 3, 255)] {
        write("frame_round_trip", name, &[&[seed, count], &text[..]].concat());
    }
    for (name, seed, limit) in [
        ("fits", 0, 60),
        ("exactly", 1, 51),
        ("one_too_many", 2, 50),
        ("nothing", 3, 0),
    ] {
        write("read_to_end", name, &[&[seed, limit], &text[..]].concat());
    }
    write("read_to_end", "empty", &[1, 0]);
}
