//! Signing by purpose.

use crate::Role;
use alloc::vec::Vec;
use serde::Serialize;
use tokenim_wire::{EncodeError, Label, NetworkId, encode_into};

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

/// The bytes that a signature over `statement` covers.
///
/// # Errors
/// [`EncodeError`] if the statement has no encoding.
pub fn signed_bytes<S: Statement>(network: &NetworkId, statement: &S) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    out.push(S::LABEL.length_byte());
    out.extend_from_slice(S::LABEL.as_str().as_bytes());
    out.extend_from_slice(network.as_bytes());
    encode_into(statement, &mut out)?;
    Ok(out)
}
