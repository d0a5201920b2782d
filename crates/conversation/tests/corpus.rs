//! Runs the fuzz targets on their committed corpora.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use serde_json::Value;
use tokenim_wire::hex;

#[path = "../../../fuzz/replay.rs"]
mod replay;
#[path = "../../../fuzz/conversation/targets.rs"]
mod targets;

use replay::write;

replay::tests!(child, code, content, context, door, link_message, note, policy, unwrap);

/// Writes the corpus from the vectors: `cargo test -p tokenim-conversation --test corpus -- --ignored`.
#[test]
#[ignore = "writes fuzz/conversation/corpus"]
fn write_corpus() {
    let read = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();

    for case in read(include_str!("vectors/bodies.json"))["bodies"].as_array().unwrap() {
        let data = bytes(&case["bytes"]);
        if data.len() < 1000 {
            write("content", &name(case), &data);
        }
    }
    for case in read(include_str!("vectors/contexts.json"))["contexts"]
        .as_array()
        .unwrap()
    {
        write("context", &name(case), &bytes(&case["bytes"]));
    }
    for case in read(include_str!("vectors/refused_objects.json")).as_array().unwrap() {
        let target = match case["object"].as_str().unwrap() {
            "body" => "content",
            "context" => "context",
            "note" => "note",
            _ => "link_message",
        };
        let data = bytes(&case["bytes"]);
        if case["more"] == 0 && data.len() < 1000 {
            write(target, &format!("refused_{}", name(case)), &data);
        }
    }
    let links = read(include_str!("vectors/links.json"));
    write("link_message", "reveal", &bytes(&links["reveal"]));
    write("link_message", "answer", &bytes(&links["answers"][0]["message"]));
    for part in ["ask", "consent"] {
        write("link_message", part, &bytes(&links["agreed"][0][part]));
    }
    write("link_message", "done", &bytes(&links["done"]));
    write("link_message", "refusal", &bytes(&links["refusal"]));
    write("code", "link", links["code"].as_str().unwrap().as_bytes());
    write("code", "invite", links["invite"]["code"].as_str().unwrap().as_bytes());
    for case in links["refused"].as_array().unwrap() {
        let text = case["code"].as_str().unwrap();
        write(
            "code",
            &format!("refused_{}_{}", case["kind"].as_str().unwrap(), name(case)),
            text.as_bytes(),
        );
    }

    for case in read(include_str!("vectors/notes.json"))["notes"].as_array().unwrap() {
        let data = bytes(&case["bytes"]);
        if data.len() < 1000 {
            write("note", &name(case), &data);
        }
    }
    let flood: Vec<[u8; 4]> = (0..80).map(|who| [6, who, 20, 0]).collect();
    let doors = [
        (
            "flood",
            [
                &[[0, 0, 20, 0], [0, 0, 21, 0]],
                flood.as_slice(),
                &[[3, 0, 20, 0], [6, 9, 21, 0]],
            ]
            .concat(),
        ),
        (
            "answers",
            vec![
                [0, 0, 9, 0],
                [6, 1, 9, 0],
                [6, 2, 9, 0],
                [5, 1, 0, 0],
                [4, 2, 0, 0],
                [6, 2, 9, 0],
                [6, 1, 9, 0],
            ],
        ),
        ("late_word", vec![[2, 0, 9, 0], [1, 0, 9, 0], [6, 1, 9, 0]]),
        ("expiry", vec![[0, 0, 1, 0], [6, 1, 1, 255], [6, 2, 1, 255]]),
        (
            "too_many_links",
            (0..24).map(|which| [which % 3, 0, which, 0]).collect(),
        ),
    ];
    for (name, steps) in doors {
        write("door", name, &steps.concat());
    }

    for length in [0, 100, 508, 509] {
        let message = vec![7; length];
        let envelope = targets::KEYS
            .wrap(&message, targets::EXPIRY, &mut targets::Fixed(&[3]))
            .unwrap();
        write("unwrap", &format!("of_{length}"), envelope.as_bytes());
        let mut changed = envelope.into_bytes();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        write("unwrap", &format!("of_{length}_changed"), &changed);
    }
    let children = read(include_str!("vectors/children.json"));
    write("child", "of_another_epoch", &bytes(&children["built"]));
    write("child", "valid", b"\x01\0\0\0commit");
    write("child", "no_such_leaf", b"\x80\0\0\0commit");
    for place in [0, 32, 64, 96, 128, 140, 200, 225, 257] {
        let [high, low] = u16::to_be_bytes(place);
        write("child", &format!("changed_at_{place}"), &[1, high, low, 1, 9, 9]);
    }
    let group = [
        [0, 1, 0, 0],
        [0, 7, 1, 0],
        [0, 1, 6, 2],
        [1, 2, 0, 0],
        [0, 1, 6, 3],
        [0, 0, 5, 0],
        [1, 0, 2, 0],
        [1, 1, 7, 0],
        [0, 1, 4, 0],
    ];
    write("policy", "group", &[&[0], group.concat().as_slice()].concat());
    write("policy", "two", &[&[1], group.concat().as_slice()].concat());
}
