#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

pub mod step;

#[cfg(feature = "native")]
mod native;

/// Conversations: of two people or of groups, on all their devices, in an order that the ledger decides.
#[cfg(feature = "native")]
pub mod chat {
    pub use crate::native::chat::{Chat, ChatError, ChatEvent, ChatEvents, ChatStatus, Running};
    pub use tokenim_session::SessionSuite;
    pub use tokenim_session::conversation::{Content, OrderKey, Role, content};
    pub use tokenim_session::step::{
        Action, Change, ConversationId, Event, Info, Mark, Member, Message, SESSION_KIND, Standing,
    };
}

#[cfg(feature = "native")]
pub use native::{
    Client, ClientError, DeviceReport, Event, Follow, Maintained, Misbehaviour, NETWORK_FILE, Network, NodeReport,
    Reading, Received, Refusal, Refused, STORE_FILE, SendOptions, SendReport, read_network,
};

pub use tokenim_envelope::{Checkpoint, Content, ContentKind, MessageId};
pub use tokenim_identity::{
    Argon2Cost, DeviceId, IdentityId, IdentityState, NodeKey, Phrase, RecoveryShare, SafetyNumber, VerificationCode,
};
pub use tokenim_ledger::{AcceptanceProof, AcceptedEnvelope, LightClient, NetworkConfig, ProvenHistory};
