//! What a mailbox is: two keys and a nonce, named by their hash.

use serde::{Deserialize, Serialize};
use tokenim_identity::{DeviceKeys, MailboxKey};
use tokenim_wire::{Hasher, Label, Object, bytes_newtype};

bytes_newtype! {
    /// The name of a mailbox: the hash of its [`Descriptor`]. Don't log it: who knows it can watch the mailbox's
    /// traffic on its nodes.
    pub struct MailboxTag([u8; 32]);
}

/// Length of nonces in bytes.
pub const NONCE_BYTES: usize = 16;

/// Who may put envelopes into a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WritePolicy {
    /// Anyone: a contact inbox.
    Open,
    /// The holders of this key.
    Key(MailboxKey),
}

/// A mailbox: who may write to it, who may read it.
///
/// ```text
/// tag = H("tokenim/mailbox-tag/v1", bytes)
///
/// ┌────────┬───────────────────┬──────────┬──────────┐
/// │ policy │ write key         │ read key │ nonce    │
/// │ 1 byte │ 32, only if policy│ 32       │ 16       │
/// │ 0 or 1 │ is 1              │          │          │
/// └────────┴───────────────────┴──────────┴──────────┘
/// ```
///
/// A node needs nothing but the descriptor to judge a request, and the tag commits to it: there is no registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Descriptor {
    /// Who may write.
    pub write: WritePolicy,
    /// Who may read.
    pub read: MailboxKey,
    /// Makes tags of the same keys differ.
    pub nonce: [u8; NONCE_BYTES],
}

impl Object for Descriptor {
    const NAME: &'static str = "mailbox descriptor";
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 1 + 1 + 32 + 32 + NONCE_BYTES;
}

impl Descriptor {
    /// The label under which descriptors are hashed.
    pub const LABEL: Label = Label::new("tokenim/mailbox-tag/v1");

    /// The contact inbox of a device: open to write, readable with the device's inbox key.
    #[must_use]
    pub const fn inbox(keys: &DeviceKeys) -> Self {
        Self {
            write: WritePolicy::Open,
            read: keys.inbox,
            nonce: keys.inbox_nonce,
        }
    }

    /// The name of this mailbox.
    #[must_use]
    pub fn tag(&self) -> MailboxTag {
        let hasher = Hasher::new(Self::LABEL);
        let hasher = match &self.write {
            WritePolicy::Open => hasher.update(&[0]),
            WritePolicy::Key(key) => hasher.update(&[1]).update(key.as_bytes()),
        };
        let digest = hasher.update(self.read.as_bytes()).update(&self.nonce).finish();
        MailboxTag::from_bytes(digest.to_bytes())
    }
}
