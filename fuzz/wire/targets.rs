//! Bodies of the fuzz targets, shared with the test that replays the corpus.

use tokenim_wire::{
    BoundedBytes, BoundedString, BoundedVec, Digest, Height, decode as decode_value, encode, encoded_len,
    frame::Decoder, hex,
};

/// One field of each kind that the format has.
type Fields = (
    (bool, u8, u16, u32, u64, i8, i16, i32, i64),
    Digest,
    Height,
    Option<u16>,
    Result<u32, (u8, u16)>,
    BoundedVec<BoundedVec<u16, 4>, 4>,
    BoundedBytes<16>,
    BoundedString<16>,
);

/// What decodes encodes to the same bytes.
pub fn decode(data: &[u8]) {
    if let Ok(fields) = decode_value::<Fields>(data, 256) {
        assert!(data.len() <= 256);
        assert_eq!(encode(&fields).as_deref(), Ok(data));
        assert_eq!(encoded_len(&fields), Ok(data.len()));
    }
}

/// The first byte says into what pieces the stream is cut: the frames are the same, and frame by frame they are the
/// stream again.
pub fn frame(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else {
        return;
    };
    let mut whole = Decoder::new(64);
    whole.push(stream);
    let mut parts = Decoder::new(64);
    let mut bodies = Vec::new();
    for part in stream.chunks(usize::from(*piece).max(1)) {
        parts.push(part);
        while let Ok(Some(body)) = parts.next() {
            bodies.push(body);
        }
    }
    let mut rest = stream;
    for body in bodies {
        assert!(body.len() <= 64);
        assert_eq!(whole.next(), Ok(Some(body.clone())));
        rest = rest.strip_prefix(&[0, 0, 0, body.len() as u8]).expect("its header");
        rest = rest.strip_prefix(body.as_slice()).expect("its body");
    }
    assert_eq!(whole.next(), parts.next());
    assert_eq!(whole.finish(), parts.finish());
    assert_eq!(whole.finish().is_ok(), rest.is_empty());
}

/// What parses prints the same text.
pub fn text(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Some(bytes) = hex::decode(text) {
        assert_eq!(hex::encode(&bytes), text);
    }
}
