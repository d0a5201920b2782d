//! Bodies of the fuzz targets, shared with the test that replays the corpus.

use tokenim_rpc::{AnswerError, Request, Response, StreamHeader, encode_answer, encode_call, parse_header};
use tokenim_wire::{NetworkId, Object, frame::Decoder};

/// The frames of a stream.
fn frames(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(2 << 20);
    decoder.push(stream);
    let mut bodies = Vec::new();
    while let Ok(Some(body)) = decoder.next() {
        bodies.push(body);
    }
    assert_eq!(decoder.finish(), Ok(()));
    bodies
}

/// A request that decodes encodes to the same bytes, and makes a call of two frames.
pub fn request(data: &[u8]) {
    let Ok(request) = Request::from_bytes(data) else { return };
    assert_eq!(request.to_bytes().as_deref(), Ok(data));
    assert!(request.wait_ms() <= tokenim_rpc::limits::WAIT_MILLISECONDS_MAX);
    assert_eq!(request.kind().nodes_only(), matches!(request, Request::Node(_)));
    if let Ok(call) = encode_call(&NetworkId::from_bytes([7; 32]), &request) {
        assert_eq!(frames(&call).get(1).map(Vec::as_slice), Some(data));
    }
}

/// A response that decodes encodes to the same bytes, makes an answer of one frame, and is the answer to one request at
/// most.
pub fn response(data: &[u8]) {
    let Ok(response) = Response::from_bytes(data) else {
        return;
    };
    assert_eq!(response.to_bytes().as_deref(), Ok(data));
    if let Ok(answer) = encode_answer(&response) {
        assert_eq!(frames(&answer), [data]);
    }
    let refusal = matches!(response, Response::Error(_));
    let taken = [
        response.clone().into_status().err(),
        response.clone().into_node_set().err(),
        response.clone().into_lookup().err(),
        response.clone().into_submitted().err(),
        response.clone().into_transaction_status().err(),
        response.clone().into_put().err(),
        response.clone().into_read().err(),
        response.clone().into_anchor().err(),
        response.clone().into_acceptance().err(),
        response.clone().into_finality().err(),
        response.clone().into_gossiped().err(),
        response.clone().into_changes().err(),
        response.clone().into_log_entries().err(),
        response.clone().into_copied().err(),
        response.clone().into_published().err(),
        response.clone().into_fetched_contact().err(),
        response.clone().into_history().err(),
        response.clone().into_submitted_group().err(),
        response.into_group_node().err(),
    ];
    let fits = taken.iter().filter(|error| error.is_none()).count();
    assert_eq!(fits, usize::from(!refusal));
    let refused = |error: &Option<AnswerError>| matches!(error, Some(AnswerError::Refused(_)));
    assert_eq!(taken.iter().all(refused), refusal);
}

/// A header that decodes encodes to the same bytes and holds for its network alone.
pub fn header(data: &[u8]) {
    let Ok(header) = StreamHeader::from_bytes(data) else {
        assert!(parse_header(&NetworkId::from_bytes([7; 32]), data).is_err());
        return;
    };
    assert_eq!(header.to_bytes().as_deref(), Ok(data));
    assert_eq!(parse_header(&header.network, data), Ok(header.kind));
    let mut other = header.network.to_bytes();
    other[0] ^= 1;
    assert!(parse_header(&NetworkId::from_bytes(other), data).is_err());
}
