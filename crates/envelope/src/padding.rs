//! Padding: how long a plaintext is made, and how it is taken apart again. Whoever wraps other things into envelopes
//! pads them with the same functions, so that lengths tell as little of those.
//!
//! ```text
//! ┌──────────────────────────────────────┬───────┬───────────────┐
//! │ content                              │ zeros │ length        │
//! │                                      │       │ 4 bytes, big- │
//! │                                      │       │ endian        │
//! └──────────────────────────────────────┴───────┴───────────────┘
//!  ╰──────────── length ────────────────╯
//! ```
//!
//! In this crate the content is the payload and its signature of 64 bytes.

use alloc::vec::Vec;

/// Bytes of the signature that follows the payload.
pub(crate) const SIGNATURE_BYTES: usize = 64;
/// Bytes of the length at the end.
const LENGTH_BYTES: usize = 4;
/// The lengths that short plaintexts are padded to, in bytes.
const BUCKETS: [usize; 4] = [512, 1024, 2048, 4096];

/// The length to which a plaintext of `length` bytes, length field included, is padded; `None` beyond any that exists.
///
/// Up to 4,096 bytes the next of four buckets; above, Padmé (Nikitin and others, "Reducing Metadata Leakage from
/// Encrypted Files and Communication with PURBs", PoPETs 2019, algorithm 1): the length keeps only as many leading
/// bits as its exponent has, so that it tells O(log log) bits and grows by less than 12 %.
#[must_use]
pub fn padded(length: usize) -> Option<usize> {
    if let Some(bucket) = BUCKETS.into_iter().find(|bucket| length <= *bucket) {
        return Some(bucket);
    }
    let exponent = length.checked_ilog2()?;
    let mantissa_bits = exponent.checked_ilog2()?.checked_add(1)?;
    let granularity = 1_usize.checked_shl(exponent.checked_sub(mantissa_bits)?)?;
    length.checked_next_multiple_of(granularity)
}

/// The length of the padded plaintext for a payload of `payload` bytes.
pub(crate) fn plaintext_bytes(payload: usize) -> Option<usize> {
    padded_plaintext(payload.checked_add(SIGNATURE_BYTES)?)
}

/// The length of the padded plaintext for a content of `content` bytes; `None` beyond any that exists.
#[must_use]
pub fn padded_plaintext(content: usize) -> Option<usize> {
    padded(content.checked_add(LENGTH_BYTES)?)
}

/// Appends zeros and length to the content; `None`, and the buffer as it was, if it is longer than any envelope.
#[must_use]
pub fn pad(buffer: &mut Vec<u8>) -> Option<()> {
    let length = u32::try_from(buffer.len()).ok()?;
    let zeros_end = padded_plaintext(buffer.len())?.checked_sub(LENGTH_BYTES)?;
    buffer.resize(zeros_end, 0);
    buffer.extend_from_slice(&length.to_be_bytes());
    Some(())
}

/// The content; `None` unless the zeros are zeros and as many as [`pad`] makes.
#[must_use]
pub fn unpad(plaintext: &[u8]) -> Option<&[u8]> {
    let (rest, length) = plaintext.split_last_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (content, zeros) = rest.split_at_checked(length)?;
    if padded_plaintext(length)? != plaintext.len() {
        return None;
    }
    if zeros.iter().fold(0, |seen, byte| seen | byte) != 0 {
        return None;
    }
    Some(content)
}

/// Payload and signature, of a content that has both.
pub(crate) fn unpad_signed(plaintext: &[u8]) -> Option<(&[u8], &[u8; SIGNATURE_BYTES])> {
    unpad(plaintext)?.split_last_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn lengths_are_the_four_buckets_then_padme() {
        let expected = [
            (0, 512),
            (1, 512),
            (512, 512),
            (513, 1024),
            (1024, 1024),
            (1025, 2048),
            (2049, 4096),
            (4096, 4096),
            // 2^12 ≤ n < 2^13: exponent 12, 4 bits kept, multiples of 256
            (4097, 4352),
            (4352, 4352),
            (4353, 4608),
            (8191, 8192),
            // 2^15 ≤ n < 2^16: exponent 15, 4 bits kept, multiples of 2048
            (32_768, 32_768),
            (32_769, 34_816),
            (62_720, 63_488),
            (63_489, 65_536),
            // 2^16: exponent 16, 5 bits kept, multiples of 2048
            (65_537, 67_584),
        ];
        for (length, to) in expected {
            assert_eq!(padded(length), Some(to), "{length}");
        }
    }

    #[test]
    fn padded_lengths_are_fixed_points_and_grow_little() {
        for length in 1..80_000 {
            let to = padded(length).unwrap();
            assert!(to >= length);
            assert_eq!(padded(to), Some(to), "{length}");
            assert!(length <= 4096 || (to - length) * 100 < 12 * length, "{length}");
        }
    }

    #[test]
    fn the_largest_lengths_do_not_overflow() {
        assert_eq!(padded(usize::MAX), None);
        assert_eq!(plaintext_bytes(usize::MAX), None);
    }

    #[test]
    fn what_was_padded_comes_apart() {
        for payload in [0, 1, 100, 443, 444, 445, 4028, 4029, 60_000] {
            let mut buffer = vec![7; payload + SIGNATURE_BYTES];
            pad(&mut buffer).unwrap();
            assert_eq!(Some(buffer.len()), plaintext_bytes(payload), "{payload}");
            let (unpadded, signature) = unpad_signed(&buffer).unwrap();
            assert_eq!(
                (unpadded, signature),
                (vec![7; payload].as_slice(), &[7; 64]),
                "{payload}"
            );
        }
    }

    #[test]
    fn other_padding_is_refused() {
        let mut good = vec![7; 100];
        pad(&mut good).unwrap();
        assert!(unpad_signed(&good).is_some());

        for position in 100..508 {
            let mut nonzero = good.clone();
            nonzero[position] = 1;
            assert!(unpad_signed(&nonzero).is_none(), "{position}");
        }
        // one bucket too many
        let mut longer = vec![7; 100];
        longer.resize(1020, 0);
        longer.extend_from_slice(&100_u32.to_be_bytes());
        assert!(unpad_signed(&longer).is_none());
        // a length beyond the plaintext, one too short for a signature, no room for a length
        for length in [509_u32, u32::MAX, 63] {
            let mut wrong = vec![0; 508];
            wrong.extend_from_slice(&length.to_be_bytes());
            assert!(unpad_signed(&wrong).is_none(), "{length}");
        }
        assert!(unpad_signed(&[0; 3]).is_none());
    }
}
