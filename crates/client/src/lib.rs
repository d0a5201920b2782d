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
///
/// ```no_run
/// # use tokenim_client::{Client, IdentityId};
/// use tokenim_client::chat::{Change, ChatEvent, Content, Event};
///
/// # async fn example(client: Client, ben: IdentityId, cleo: IdentityId) -> Result<(), Box<dyn std::error::Error>> {
/// let chat = client.chat()?;
/// let mut events = chat.events();
/// // Works as long as it is kept.
/// let running = chat.run()?;
/// let group = chat.create_group("the three", vec![ben], None).await?;
/// chat.change(group, Change::Invite(cleo)).await?;
/// chat.send(group, Content::text("good morning")?).await?;
/// while let Some(event) = events.next().await {
///     match event {
///         ChatEvent::Session(Event::Message(conversation, order)) => {
///             println!("{:?}", chat.messages(conversation, Some(order), 1)?);
///         }
///         ChatEvent::Session(Event::Refused { author, why, .. }) => println!("what {author} sent is refused: {why}"),
///         ChatEvent::Missed(_) => println!("{:?}", chat.newest(group, 20)?),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[cfg(feature = "native")]
pub mod chat {
    pub use crate::native::chat::{Chat, ChatError, ChatEvent, ChatEvents, ChatStatus, Running};
    pub use tokenim_session::SessionSuite;
    pub use tokenim_session::conversation::door::{DoorError, InviteName, JoinRequest};
    pub use tokenim_session::conversation::link::{InviteLink, LinkError};
    pub use tokenim_session::conversation::{Content, OrderKey, Role, content};
    pub use tokenim_session::step::{
        Action, Change, ConversationId, Event, Info, Mark, Member, Message, SESSION_KIND, Standing, Why,
    };
}

/// Linking a device without the words on it: it shows a code, one of the owner's devices reads it, and both people say that
/// the numbers on the two screens are the same.
///
/// ```no_run
/// # use std::path::Path;
/// # use tokenim_client::{Argon2Cost, Client, ClientError, NetworkConfig, Phrase, link};
/// # fn same(number: link::ConfirmationNumber) -> bool { true }
/// // The new device.
/// async fn join(folder: &Path, network: NetworkConfig) -> Result<Client, ClientError> {
///     let offer = link::offer(folder, network, b"a passphrase", Argon2Cost::RECOMMENDED).await?;
///     println!("{}", offer.code());
///     let joining = offer.answered().await?;
///     if !same(joining.number()) {
///         joining.refuse().await;
///         return Err(ClientError::LinkRefused);
///     }
///     joining.confirm().await
/// }
///
/// // One that the owner has.
/// async fn approve(client: &Client, shown: &str, words: &Phrase) -> Result<(), ClientError> {
///     let code: link::LinkCode = shown.parse()?;
///     let approving = link::respond(client, &code, words).await?.revealed().await?;
///     if same(approving.number()) {
///         approving.confirm().await?;
///     } else {
///         approving.refuse().await;
///     }
///     Ok(())
/// }
/// ```
#[cfg(feature = "native")]
pub mod link {
    pub use crate::native::linking::{Approving, Joining, Offer, Responding, is_unfinished, offer, respond, resume};
    pub use tokenim_session::conversation::link::{ConfirmationNumber, InviteLink, LinkCode, LinkError};
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
pub use tokenim_mailbox::PostageBits;
