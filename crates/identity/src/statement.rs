//! Signing by purpose.

use crate::Role;
use alloc::vec::Vec;
use serde::Serialize;
use tokenim_wire::{EncodeError, Label, NetworkId, encode_into, encoded_len};
use zeroize::Zeroizing;

/// Something that is signed: a type of its own for each purpose, with the one role that may sign it and a label that
/// no other statement has.
///
/// What is signed:
///
/// ```text
/// ┌──────────────────┬───────┬────────────┬───────────────────────┐
/// │ length of label  │ label │ network id │ canonical encoding of │
/// │ 1 byte           │       │ 32 bytes   │ the statement         │
/// └──────────────────┴───────┴────────────┴───────────────────────┘
/// ```
///
/// ```
/// use serde::Serialize;
/// use tokenim_identity::{Node, Statement};
/// use tokenim_wire::{Height, Label};
///
/// #[derive(Serialize)]
/// struct Retirement { last: Height }
///
/// impl Statement for Retirement {
///     type Signer = Node;
///     const LABEL: Label = Label::new("tokenim/retirement/v1");
/// }
/// ```
pub trait Statement: Serialize {
    /// The role whose keys sign it.
    type Signer: Role;
    /// Its label, `tokenim/<what>/v<n>`.
    const LABEL: Label;
}

/// The bytes that a signature over `statement` covers. They are wiped when dropped, and nothing is left where they grew:
/// a statement may hold what nobody else may read, such as the content of a message.
///
/// # Errors
/// [`EncodeError`] if the statement has no encoding.
pub fn signed_bytes<S: Statement>(network: &NetworkId, statement: &S) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    let label = S::LABEL.as_str().as_bytes();
    let before = label.len().saturating_add(NetworkId::LENGTH).saturating_add(1);
    let length = before.saturating_add(encoded_len(statement)?);
    let mut out = Zeroizing::new(Vec::with_capacity(length));
    out.push(S::LABEL.length_byte());
    out.extend_from_slice(label);
    out.extend_from_slice(network.as_bytes());
    encode_into(statement, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Node;

    #[derive(Serialize)]
    struct Said(Vec<u8>);

    impl Statement for Said {
        type Signer = Node;
        const LABEL: Label = Label::new("tokenim/said/v1");
    }

    #[test]
    fn the_buffer_of_what_is_signed_never_grows() {
        for length in [0, 1, 127, 128, 5000] {
            let bytes = signed_bytes(&NetworkId::from_bytes([1; 32]), &Said(vec![7; length])).unwrap();
            assert_eq!(bytes.len(), bytes.capacity(), "{length}");
        }
    }
}
