//! The vectors of `tests/vectors`, which a second implementation made from the spec.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde::{Deserialize, de::DeserializeOwned};
use tokenim_rpc::{
    AnswerError, ErrorCode, Kind, Request, Response, StreamHeader, StreamKind, encode_answer, encode_call,
};
use tokenim_wire::{DecodeError, NetworkId, Object, hex};

/// A file of vectors.
fn vectors<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn bytes(text: &str, zeros: usize) -> Vec<u8> {
    let mut bytes = hex::decode(text).unwrap();
    bytes.resize(bytes.len() + zeros, 0);
    bytes
}

/// The name of a variant.
fn name(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(|letter: char| !letter.is_alphanumeric())
        .next()
        .unwrap()
        .to_owned()
}

/// Decodes an object, checks that it encodes to the same bytes and that no part of them decodes.
fn round_trip<T: Object + PartialEq + std::fmt::Debug>(case: &str, data: &[u8]) -> T {
    let value = T::from_bytes(data).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(value.to_bytes().unwrap(), data, "{case}");
    let step = data.len().div_ceil(512);
    for end in (0..data.len()).step_by(step) {
        assert_eq!(
            T::from_bytes(&data[..end]),
            Err(DecodeError::Truncated),
            "{case} cut at {end}"
        );
    }
    assert_eq!(
        T::from_bytes(&[data, &[0]].concat()),
        Err(DecodeError::TrailingBytes),
        "{case}"
    );
    value
}

#[derive(Deserialize)]
struct Message {
    name: String,
    object: String,
    kind: String,
    bytes: String,
    zeros: usize,
}

fn messages() -> Vec<Message> {
    vectors(include_str!("vectors/messages.json"))
}

fn response(message: &Message) -> Response {
    Response::from_bytes(&bytes(&message.bytes, message.zeros)).unwrap()
}

#[test]
fn messages_are_these() {
    let cases = messages();
    assert_eq!(cases.len(), 63);
    for case in cases {
        let data = bytes(&case.bytes, case.zeros);
        let kind = match case.object.as_str() {
            "header" => name(&round_trip::<StreamHeader>(&case.name, &data).kind),
            "request" => name(&round_trip::<Request>(&case.name, &data).kind()),
            "response" => name(&round_trip::<Response>(&case.name, &data).kind()),
            other => panic!("{other}"),
        };
        assert_eq!(kind, case.kind, "{}", case.name);
    }
}

#[test]
fn every_kind_is_asked_and_answered() {
    let cases = messages();
    for kind in Kind::ALL {
        let of = |object: &str| {
            let matching = cases
                .iter()
                .filter(|case| case.object == object && case.kind == name(&kind));
            matching.count()
        };
        assert!(of("response") > 0, "{kind} has no response");
        assert!(of("request") > 0 || kind == Kind::Error, "{kind} has no request");
    }
}

#[test]
fn pairs() {
    type Take = fn(Response) -> Result<(), AnswerError>;
    let takes: [(Kind, Take); 19] = [
        (Kind::Status, |response| response.into_status().map(|_| ())),
        (Kind::NodeSet, |response| response.into_node_set().map(|_| ())),
        (Kind::Lookup, |response| response.into_lookup().map(|_| ())),
        (Kind::SubmitIdentity, |response| response.into_submitted().map(|_| ())),
        (Kind::TransactionStatus, |response| {
            response.into_transaction_status().map(|_| ())
        }),
        (Kind::Put, |response| response.into_put().map(|_| ())),
        (Kind::Read, |response| response.into_read().map(|_| ())),
        (Kind::Anchor, |response| response.into_anchor().map(|_| ())),
        (Kind::Acceptance, |response| response.into_acceptance().map(|_| ())),
        (Kind::Finality, |response| response.into_finality().map(|_| ())),
        (Kind::Gossip, |response| response.into_gossiped().map(|_| ())),
        (Kind::Changes, |response| response.into_changes().map(|_| ())),
        (Kind::LogEntries, |response| response.into_log_entries().map(|_| ())),
        (Kind::Fetch, |response| response.into_copied().map(|_| ())),
        (Kind::PublishContact, |response| response.into_published().map(|_| ())),
        (Kind::FetchContact, |response| {
            response.into_fetched_contact().map(|_| ())
        }),
        (Kind::History, |response| response.into_history().map(|_| ())),
        (Kind::SubmitGroup, |response| {
            response.into_submitted_group().map(|_| ())
        }),
        (Kind::GroupNode, |response| response.into_group_node().map(|_| ())),
    ];
    for case in messages().iter().filter(|case| case.object == "response") {
        for (kind, take) in takes {
            let taken = take(response(case));
            match &taken {
                Ok(()) => assert_eq!(name(&kind), case.kind, "{}", case.name),
                Err(AnswerError::Refused(_)) => assert_eq!(case.kind, "Error", "{}", case.name),
                Err(AnswerError::Unexpected { expected, got }) => {
                    assert_eq!((*expected, name(got)), (kind, case.kind.clone()), "{}", case.name);
                    assert_ne!(expected, got, "{}", case.name);
                }
                Err(other) => panic!("{}: {other}", case.name),
            }
        }
    }
}

#[test]
fn refused() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        object: String,
        bytes: String,
        zeros: usize,
        error: String,
    }
    let cases: Vec<Case> = vectors(include_str!("vectors/refused.json"));
    assert_eq!(cases.len(), 45);
    for case in cases {
        let data = bytes(&case.bytes, case.zeros);
        let error = match case.object.as_str() {
            "header" => StreamHeader::from_bytes(&data).unwrap_err(),
            "request" => Request::from_bytes(&data).unwrap_err(),
            "response" => Response::from_bytes(&data).unwrap_err(),
            other => panic!("{other}"),
        };
        assert_eq!(name(&error), case.error, "{} {}", case.object, case.name);
    }
}

#[test]
fn codes() {
    #[derive(Deserialize)]
    struct Case {
        number: u16,
        name: String,
        blame: String,
    }
    let cases: Vec<Case> = vectors(include_str!("vectors/codes.json"));
    assert_eq!(cases.len(), ErrorCode::ALL.len());
    for (case, code) in cases.iter().zip(ErrorCode::ALL) {
        assert_eq!(
            (case.number, case.name.as_str(), case.blame.as_str()),
            (code.get(), code.name(), name(&code.blame()).as_str())
        );
    }
}

#[test]
fn calls() {
    #[derive(Deserialize)]
    struct Case {
        network: NetworkId,
        request: String,
        call: String,
        response: String,
        answer: String,
    }
    let case: Case = vectors(include_str!("vectors/calls.json"));
    let request = Request::from_bytes(&bytes(&case.request, 0)).unwrap();
    assert_eq!(encode_call(&case.network, &request).unwrap(), bytes(&case.call, 0));
    let response = Response::from_bytes(&bytes(&case.response, 0)).unwrap();
    assert_eq!(encode_answer(&response).unwrap(), bytes(&case.answer, 0));
    let header = StreamHeader {
        network: case.network,
        kind: StreamKind::Rpc,
    };
    let header = header.to_bytes().unwrap();
    assert_eq!(tokenim_rpc::parse_header(&case.network, &header), Ok(StreamKind::Rpc));
    assert_eq!(
        tokenim_rpc::parse_header(&NetworkId::from_bytes([8; 32]), &header),
        Err(tokenim_rpc::HeaderError::ForeignNetwork)
    );
}
