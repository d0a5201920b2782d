//! Letting people in by a link, asking to be let in, and handing history to a new device.

use std::time::Duration;

use tokenim_identity::{DeviceId, IdentityId};
use tokenim_session::conversation::door::{InviteName, JoinRequest};
use tokenim_session::conversation::link::InviteLink;
use tokenim_session::step::{self as session, ConversationId, Event, Input};
use tokenim_wire::UnixMillis;

use super::super::{ClientError, now};
use super::Chat;
use crate::step::contact::Relation;

impl Chat {
    /// Makes a link into a group, for admins and owners. Whoever has it may ask the owner of this client to be let in, and
    /// nothing more: see [`Chat::requests`]. It can be posted; what is posted shows the group's place on the ledger, which
    /// tells neither who is in it nor what is said.
    ///
    /// # Errors
    /// [`ClientError::Chat`], those of the local store.
    pub async fn make_link(&self, conversation: ConversationId, lifetime: Duration) -> Result<InviteLink, ClientError> {
        let lifetime_seconds = lifetime.as_secs();
        let events = self
            .told(Input::MakeLink {
                conversation,
                lifetime_seconds,
            })
            .await?;
        let name = events.iter().find_map(|event| match event {
            Event::Link(_, name) => Some(*name),
            _ => None,
        });
        let links = self.links(conversation)?;
        let made = links
            .into_iter()
            .find(|link| Some(InviteName::of(&link.secret)) == name);
        made.ok_or_else(|| ClientError::Session("a link was made and is not there".to_owned()))
    }

    /// The links into a group that are good, as this owner's devices have made them.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn links(&self, conversation: ConversationId) -> Result<Vec<InviteLink>, ClientError> {
        let owner = self.client.owner()?;
        self.client
            .ask(|view| session::links(view, &owner, conversation, now()))
    }

    /// Makes a link worthless, or all into a group; who has asked by it is forgotten.
    ///
    /// # Errors
    /// [`ClientError::Chat`], those of the local store.
    pub async fn revoke_link(&self, conversation: ConversationId, link: Option<InviteName>) -> Result<(), ClientError> {
        self.told(Input::RevokeLink { conversation, link }).await.map(|_| ())
    }

    /// Asks to be let into a group by a link. The one who made the link decides, and nothing is told if they don't; until
    /// then the conversation is shown as one that is being joined. A group that this device is in is simply found.
    ///
    /// # Errors
    /// [`ClientError::Chat`] for a link of another network, an expired or an own one; [`ClientError::Blocked`] if the owner
    /// blocks who made it; those of the local store.
    pub async fn join(&self, link: InviteLink) -> Result<ConversationId, ClientError> {
        if self.is_blocked(&link.ask)? {
            return Err(ClientError::Blocked(link.ask));
        }
        let (id, asked) = (ConversationId::group(&link.handle), link.ask);
        self.told(Input::AskToJoin { link }).await?;
        self.client.set_relation(&asked, Relation::Allowed).await?;
        Ok(id)
    }

    /// Those who ask to be let into a group, the first first; not whom the owner blocks.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn requests(&self, conversation: ConversationId) -> Result<Vec<JoinRequest>, ClientError> {
        let all = self.client.ask(|view| session::requests(view, conversation, now()))?;
        let mut open = Vec::with_capacity(all.len());
        for request in all {
            if !self.is_blocked(&request.asker)? {
                open.push(request);
            }
        }
        Ok(open)
    }

    /// Lets somebody in who has asked. It takes effect as [`Chat::change`] does.
    ///
    /// # Errors
    /// [`ClientError::Chat`], those of the local store.
    pub async fn admit(&self, conversation: ConversationId, identity: IdentityId) -> Result<(), ClientError> {
        self.answer(conversation, identity, true).await
    }

    /// Does not let somebody in, and does not ask again for the same one. They learn nothing of it.
    ///
    /// # Errors
    /// [`ClientError::Chat`], those of the local store.
    pub async fn refuse(&self, conversation: ConversationId, identity: IdentityId) -> Result<(), ClientError> {
        self.answer(conversation, identity, false).await
    }

    async fn answer(&self, conversation: ConversationId, identity: IdentityId, admit: bool) -> Result<(), ClientError> {
        let input = Input::AnswerRequest {
            conversation,
            identity,
            admit,
        };
        self.told(input).await.map(|_| ())
    }

    /// Hands over to another live device of the owner what this one keeps of all conversations, sealed to that device: all
    /// of it, or what was said since then; the newest first, up to 61 MiB. [`Event::HistoryGiven`] tells the end. The other
    /// device takes it during its first 30 days, shows who handed it over ([`Message::given`]), and believes what comes from
    /// the authors themselves before it.
    ///
    /// [`Message::given`]: session::Message::given
    ///
    /// # Errors
    /// [`ClientError::Chat`] if the device is known to be none of the owner's, or is this one; those of the local store.
    pub async fn give_history(&self, device: DeviceId, since: Option<UnixMillis>) -> Result<(), ClientError> {
        self.told(Input::GiveHistory { device, since }).await.map(|_| ())
    }

    fn is_blocked(&self, identity: &IdentityId) -> Result<bool, ClientError> {
        let contact = self.client.contact(identity)?;
        Ok(contact.is_some_and(|contact| contact.relation == Relation::Blocked))
    }
}
