//! Minimal LEB128, the integer of the engine's format and of postcard alike.

use alloc::vec::Vec;

use crate::CertificateError;

/// Appends `value`, seven bits a byte, lowest first.
pub(crate) fn write(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes one integer off the front of `input`; only the shortest encoding is accepted.
pub(crate) fn read(input: &mut &[u8]) -> Result<u64, CertificateError> {
    let mut value = 0u64;
    let mut shift = 0u32;
    loop {
        let (&byte, rest) = input.split_first().ok_or(CertificateError::Truncated)?;
        *input = rest;
        let data = u64::from(byte & 0x7f);
        // The tenth byte holds bit 63 alone.
        if shift == 63 && byte > 1 {
            return Err(CertificateError::IntegerNotMinimal);
        }
        value |= data << shift;
        if byte & 0x80 == 0 {
            if byte == 0 && shift > 0 {
                return Err(CertificateError::IntegerNotMinimal);
            }
            return Ok(value);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_at_every_length() {
        for value in (0..64)
            .flat_map(|bit| [1u64 << bit, (1u64 << bit) - 1])
            .chain([u64::MAX])
        {
            let mut bytes = Vec::new();
            write(value, &mut bytes);
            let mut input = bytes.as_slice();
            assert_eq!(read(&mut input), Ok(value));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn long_forms_are_refused() {
        for bytes in [
            &[0x80, 0x00][..],
            &[0xff, 0x80, 0x00],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00],
        ] {
            assert_eq!(
                read(&mut &bytes[..]),
                Err(CertificateError::IntegerNotMinimal),
                "{bytes:?}"
            );
        }
        assert_eq!(read(&mut &[0x80][..]), Err(CertificateError::Truncated));
        assert_eq!(read(&mut &[][..]), Err(CertificateError::Truncated));
    }
}
