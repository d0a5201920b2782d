//! The record that an identity is the hash of.

use crate::{IdentityId, RootKey};
use serde::{Deserialize, Serialize};
use tokenim_wire::{Digest, Label, Object, hash};

/// The label under which an identity's name is made.
const GENESIS: Label = Label::new("tokenim/genesis/v1");
/// The label under which the next root key is committed to.
const NEXT_ROOT: Label = Label::new("tokenim/next-root/v1");

/// The first record of an identity. It names no network, device, time or nonce, so that the words alone give it, and
/// one identity is the same in every network.
///
/// ```text
/// ┌─────────┬──────────┬───────────────────────┐
/// │ version │ root key │ hash of next root key │
/// │ 1 byte  │ 32 bytes │ 32 bytes              │
/// └─────────┴──────────┴───────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Genesis {
    /// The root key.
    pub root: RootKey,
    /// The hash of the root key that comes after it, made by [`next_root_digest`].
    pub next_root: Digest,
}

impl Genesis {
    /// The genesis record of a root key and the one that comes after it.
    #[must_use]
    pub fn new(root: RootKey, next_root: &RootKey) -> Self {
        Self {
            root,
            next_root: next_root_digest(next_root),
        }
    }

    /// The name of the identity: the hash of the record's bytes.
    #[must_use]
    pub fn id(&self) -> IdentityId {
        let digest = hash(
            GENESIS,
            &[&[Self::VERSION], self.root.as_bytes(), self.next_root.as_bytes()],
        );
        IdentityId::from_bytes(digest.to_bytes())
    }
}

impl Object for Genesis {
    const NAME: &'static str = "genesis record";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 65;
}

/// The hash by which a next root key is committed to before it is shown.
#[must_use]
pub fn next_root_digest(key: &RootKey) -> Digest {
    hash(NEXT_ROOT, &[key.as_bytes()])
}
