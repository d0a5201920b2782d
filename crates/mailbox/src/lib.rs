#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

mod capability;
mod contact;
mod descriptor;
pub mod group;
mod log;
mod misconduct;
pub mod mmr;
mod placement;
mod postage;
mod quorum;
mod receipt;

pub use capability::{CapabilityError, ReadRequest, WriteAuthority, WriteRequest, check_read, check_write};
pub use contact::{
    ContactError, ContactKeys, ContactStock, KeyPackage, PublishRequest, SignedContactKeys, check_publish,
    key_package_suite,
};
pub use descriptor::{Descriptor, MailboxTag, NONCE_BYTES, WritePolicy};
pub use log::{HeadBody, HeadError, Incarnation, LogEntry, LogId, LogPosition, SignedHead};
pub use misconduct::{Misconduct, MisconductError, SignedPosition};
pub use placement::{Member, NodeSet, NodeSetError, PlacementId, node_leaf, swarm};
pub use postage::{Postage, PostageBits, PostageBitsError, PostageSearch, check_postage, find_postage};
pub use quorum::Quorum;
pub use receipt::{Accepted, Issuer, QuorumReceipt, ReceiptError, StorageReceipt, StorageReceiptBody};
pub use tokenim_identity::NodeKey;
