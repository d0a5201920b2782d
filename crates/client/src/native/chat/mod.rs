//! Conversations: the host of the session's machine.

mod effects;
mod joining;
mod run;
mod tables;
mod turns;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokenim_envelope::MessageId;
use tokenim_identity::IdentityId;
use tokenim_ledger::AcceptanceProof;
use tokenim_mailbox::QuorumReceipt;
use tokenim_rpc::AcceptanceOf;
use tokenim_session::conversation::{Content, OrderKey, door::DoorError, link::LinkError};
use tokenim_session::step::{self as session, Change, ConversationId, Info, Input, Message};
use tokenim_session::{Owner, SessionSuite};
use tokenim_wire::Object;
use tokio::sync::{Notify, broadcast, watch as watched};

use super::client::os_rng;
use super::receive::Received;
use super::store::StoreError;
use super::{Client, ClientError, now};
use crate::step::contact::Notice;
use crate::step::state::{self, StateError};
use crate::step::{Batch, Table, View, seen};
use tables::Tables;

pub use run::Running;

/// Events that wait for a reader before it is told that it missed some.
const EVENTS_MAX: usize = 1_024;
/// How long a node is given to have a receipt anchored before others are asked to.
const ANCHOR_PATIENCE: Duration = Duration::from_secs(10);

/// Why a conversation does not do what was asked. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// There is no such conversation.
    #[error("there is no such conversation here: list them for their names")]
    Unknown,
    /// This device is no member any more.
    #[error("this device is not in the conversation any more: start another one")]
    Left,
    /// The owner's role does not allow it.
    #[error("your role in the group does not allow this: ask one of its admins or owners")]
    NotAllowed,
    /// There is no room for more.
    #[error("there is no room for more: {0}")]
    Full(&'static str),
    /// What is to be said is empty or too long.
    #[error("what you say is empty or too long: at most 60 KiB at a time, and 128 bytes for a name")]
    Content,
    /// There is no such message in the conversation.
    #[error("there is no such message in this conversation: list its messages for their ids")]
    UnknownMessage,
    /// A link is of no use.
    #[error("the invitation is of no use: {0}")]
    Link(#[from] LinkError),
    /// No link can be made.
    #[error("no link can be made: {0}; links that are no longer needed can be revoked")]
    Door(#[from] DoorError),
    /// There is no such link.
    #[error("there is no such link into this group: list its links for their names")]
    UnknownLink,
    /// Nobody of that name asks.
    #[error("nobody of that name asks to be let into this group: list the requests")]
    UnknownRequest,
    /// No nodes keep the message yet, so that nothing can be proved of it.
    #[error("the message is not kept by a quorum of nodes yet: try again in a few seconds")]
    NotStored,
}

/// What happens in conversations.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ChatEvent {
    /// Something in a conversation.
    Session(session::Event),
    /// A message that is of no conversation came into the contact inbox.
    Inbox(Received),
    /// Something changed about keys; see [`Client::told`].
    Notice(u64, Notice),
    /// So many events were not read in time. Nothing is lost by that: look at the conversations again.
    Missed(u64),
}

/// How far the work for all conversations is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChatStatus {
    /// What is to be done and is not done yet: envelopes, entries on the ledger, look-ups.
    pub due: usize,
    /// Whether enough nodes answer for the contact inbox to be complete.
    pub reached: bool,
    /// Whether everything that is looked at has answered at least once since [`Chat::run`], and nothing is due.
    pub settled: bool,
}

/// The stream of events of [`Chat::events`].
#[derive(Debug)]
pub struct ChatEvents(broadcast::Receiver<ChatEvent>);

impl ChatEvents {
    /// The next event; `None` when the client is closed.
    ///
    /// Cancel-safe. A reader that is slower than what happens is told with [`ChatEvent::Missed`]; it holds nobody up.
    pub async fn next(&mut self) -> Option<ChatEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(ChatEvent::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// What the clones of a client share about conversations.
pub(crate) struct Hub {
    events: broadcast::Sender<ChatEvent>,
    /// A step has changed something.
    changed: Notify,
    status: watched::Sender<ChatStatus>,
    /// Steps that were begun, and those that have ended.
    begun: AtomicU64,
    ended: AtomicU64,
    running: Mutex<std::sync::Weak<run::Driver>>,
    /// Extensions of contents that the program knows.
    known: Mutex<&'static [&'static str]>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            events: broadcast::Sender::new(EVENTS_MAX),
            changed: Notify::new(),
            status: watched::Sender::new(ChatStatus::default()),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            running: Mutex::default(),
            known: Mutex::default(),
        }
    }
}

/// A step that was begun; when it has ended, however it did, what is to be done is looked at anew.
struct Begun<'a>(&'a Hub);

impl Hub {
    fn begin(&self) -> Begun<'_> {
        self.status.send_modify(|status| {
            self.begun.fetch_add(1, Ordering::SeqCst);
            status.settled = false;
        });
        Begun(self)
    }

    fn known(&self) -> &'static [&'static str] {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of steps so far, if none is being made.
    fn resting(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::SeqCst);
        (self.begun.load(Ordering::SeqCst) == ended).then_some(ended)
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
        self.0.changed.notify_one();
    }
}

/// The conversations of a client.
///
/// Everything that it is told to do is kept on disk before it returns, and carried out by [`Chat::run`], now or in a later
/// run: so it can be used without a network, and a crash at any moment loses nothing. Clones share everything.
///
/// ```no_run
/// # async fn example(client: tokenim_client::Client, ben: tokenim_client::IdentityId) -> Result<(), Box<dyn std::error::Error>> {
/// use tokenim_client::chat::{ChatEvent, Content};
///
/// let chat = client.chat()?;
/// let mut events = chat.events();
/// let _running = chat.run()?;
/// let conversation = chat.start(ben).await?;
/// chat.send(conversation, Content::text("see you at eight")?).await?;
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Chat {
    client: Client,
}

type Stepped = Result<Vec<session::Event>, session::StepError<StoreError>>;

impl Client {
    /// The conversations.
    ///
    /// # Errors
    /// [`ClientError::Locked`].
    pub fn chat(&self) -> Result<Chat, ClientError> {
        self.keys()?;
        Ok(Chat { client: self.clone() })
    }

    fn owner(&self) -> Result<Owner, ClientError> {
        Ok(Owner {
            network: *self.shared.network.id(),
            identity: self.shared.identity,
            device: self.keys()?.secrets.signing.clone(),
        })
    }

    /// Asks the machine something.
    fn ask<T>(
        &self,
        ask: impl FnOnce(&Tables<'_, super::store::Reading>) -> Result<T, session::StepError<StoreError>>,
    ) -> Result<T, ClientError> {
        let vault = &self.keys()?.secrets.vault;
        self.shared
            .store
            .read(|view| match ask(&Tables::new(view, vault)) {
                Err(session::StepError::Store(error)) => Err(StateError::Store(error)),
                other => Ok(other),
            })?
            .map_err(|error| self.words(error))
    }

    /// Makes a step, with other changes in the same transaction, and tells what came of it. Once begun it is not undone by
    /// a caller that goes away.
    async fn step(&self, input: Input, also: Batch) -> Result<Stepped, ClientError> {
        let owner = self.owner()?;
        let (client, tip) = (self.clone(), self.checkpoint());
        let step = async move {
            // Before anybody can see what the step changes.
            let begun = client.shared.chat.begin();
            let shared = Arc::clone(&client.shared);
            let stepped = client
                .shared
                .store
                .write(move |view| {
                    let Some(keys) = &shared.keys else {
                        return Err(StateError::Store(StoreError::Closed));
                    };
                    let (vault, known) = (&keys.secrets.vault, shared.chat.known());
                    let tables = Tables::new(view, vault);
                    let made = session::step(&tables, &owner, known, tip, now(), &mut os_rng(), input);
                    match made {
                        Ok(outcome) => {
                            let mut batch = also;
                            tables::extend(&mut batch, vault, &outcome.batch).map_err(StateError::Store)?;
                            // They are compared in the next round: there may be many.
                            for (author, tip) in &outcome.seen {
                                if !shared.network.is_proved(tip) {
                                    seen::keep(view, &mut batch, author, tip, now())?;
                                }
                            }
                            Ok((Ok(outcome.events), batch))
                        }
                        Err(session::StepError::Store(error)) => Err(StateError::Store(error)),
                        Err(error @ session::StepError::Refused(_)) => Ok((Err(error), also)),
                        Err(error) => Ok((Err(error), Batch::new())),
                    }
                })
                .await?;
            drop(begun);
            client.tell(&stepped);
            Ok(stepped)
        };
        tokio::spawn(step).await.map_err(|_| ClientError::Closed)?
    }

    /// Makes a step that most often changes nothing, and writes nothing then.
    async fn step_quietly(&self, input: Input) -> Result<Stepped, ClientError> {
        let owner = self.owner()?;
        let (vault, known) = (&self.keys()?.secrets.vault, self.shared.chat.known());
        let tried = self.shared.store.read(|view| {
            let made = session::step(
                &Tables::new(view, vault),
                &owner,
                known,
                self.checkpoint(),
                now(),
                &mut os_rng(),
                input.clone(),
            );
            match made {
                Err(session::StepError::Store(error)) => Err(StateError::Store(error)),
                other => Ok(other),
            }
        })?;
        match tried {
            Ok(outcome) if !outcome.batch.is_empty() => self.step(input, Batch::new()).await,
            tried => {
                let stepped = tried.map(|outcome| outcome.events);
                self.tell(&stepped);
                Ok(stepped)
            }
        }
    }

    /// Tells what a step came to: also that something was refused, if it is known whose doing it is.
    fn tell(&self, stepped: &Stepped) {
        let events = match stepped {
            Ok(events) => events.clone(),
            // That there is no room says nothing of what was sent.
            Err(session::StepError::Refused(refusal)) if refusal.why != session::Why::Full => {
                session::Event::refused(refusal.clone()).into_iter().collect()
            }
            Err(_) => return,
        };
        for event in events {
            // Nobody listening is no failure.
            let _ = self.shared.chat.events.send(ChatEvent::Session(event));
        }
    }

    /// What the owner is told when a step is not made.
    fn words(&self, error: session::StepError<StoreError>) -> ClientError {
        match error {
            session::StepError::UnknownConversation => ChatError::Unknown.into(),
            session::StepError::NotInConversation => ChatError::Left.into(),
            session::StepError::NotAllowed => ChatError::NotAllowed.into(),
            session::StepError::Full(what) => ChatError::Full(what).into(),
            session::StepError::Content => ChatError::Content.into(),
            session::StepError::Link(error) => ChatError::Link(error).into(),
            session::StepError::Door(error) => ChatError::Door(error).into(),
            session::StepError::UnknownLink => ChatError::UnknownLink.into(),
            session::StepError::UnknownRequest => ChatError::UnknownRequest.into(),
            session::StepError::Damaged(_) => self.shared.store.damaged(Table::Session),
            session::StepError::Encode(error) => error.into(),
            other => ClientError::Session(other.to_string()),
        }
    }
}

impl Chat {
    /// The client whose conversations these are.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// What happens from now on. It needs [`Chat::run`] to happen.
    #[must_use]
    pub fn events(&self) -> ChatEvents {
        ChatEvents(self.client.shared.chat.events.subscribe())
    }

    /// Says which extensions of contents this program can read: see [`Content::Extension`]. Without it there are none: what
    /// needs one is refused, told with [`Event::Refused`](session::Event::Refused), and lost. So it is said before
    /// [`Chat::run`], and by every program that runs on the folder.
    pub fn know(&self, extensions: &'static [&'static str]) {
        let mut known = self
            .client
            .shared
            .chat
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = extensions;
    }

    /// How far the work is; see [`Chat::settle`].
    #[must_use]
    pub fn status(&self) -> ChatStatus {
        *self.client.shared.chat.status.borrow()
    }

    /// Waits until everything that is known to be waiting on the nodes has been read and what is due is done, or the time is
    /// up; whether it is so.
    pub async fn settle(&self, patience: Duration) -> bool {
        let mut status = self.client.shared.chat.status.subscribe();
        let settled = status.wait_for(|status| status.settled);
        tokio::time::timeout(patience, settled)
            .await
            .is_ok_and(|status| status.is_ok())
    }

    async fn told(&self, input: Input) -> Result<Vec<session::Event>, ClientError> {
        let stepped = self.client.step(input, Batch::new()).await?;
        stepped.map_err(|error| self.client.words(error))
    }

    /// Begins a conversation with somebody, or finds the one that there is.
    ///
    /// # Errors
    /// [`ClientError::Chat`], [`ClientError::Blocked`], those of the local store.
    pub async fn start(&self, with: IdentityId) -> Result<ConversationId, ClientError> {
        use crate::step::contact::Relation;
        if self
            .client
            .contact(&with)?
            .is_some_and(|contact| contact.relation == Relation::Blocked)
        {
            return Err(ClientError::Blocked(with));
        }
        self.told(Input::StartDirect { with }).await?;
        self.client.set_relation(&with, Relation::Allowed).await?;
        Ok(ConversationId::between(&self.client.shared.identity, &with))
    }

    /// Makes a group. Without a suite it is the post-quantum one while the group is small enough for it.
    ///
    /// # Errors
    /// [`ClientError::Chat`], those of the local store.
    pub async fn create_group(
        &self,
        name: &str,
        members: Vec<IdentityId>,
        suite: Option<SessionSuite>,
    ) -> Result<ConversationId, ClientError> {
        let name = name.to_owned();
        let events = self.told(Input::CreateGroup { name, members, suite }).await?;
        let made = events.iter().find_map(|event| match event {
            session::Event::Conversation(id) => Some(*id),
            _ => None,
        });
        made.ok_or_else(|| ClientError::Session("a group was made without a name".to_owned()))
    }

    /// Changes a conversation: who is in it, its name, roles, how long messages stay. It takes effect when the ledger shows
    /// it; of two changes at once, the later one is made anew on top of the first.
    ///
    /// # Errors
    /// [`ClientError::Chat`], those of the local store.
    pub async fn change(&self, conversation: ConversationId, change: Change) -> Result<(), ClientError> {
        self.told(Input::Change { conversation, change }).await.map(|_| ())
    }

    /// Says something. It is kept and goes out as soon as it may.
    ///
    /// # Errors
    /// [`ClientError::Chat`], those of the local store.
    pub async fn send(&self, conversation: ConversationId, content: Content) -> Result<Option<MessageId>, ClientError> {
        let events = self.told(Input::Send { conversation, content }).await?;
        Ok(events.iter().find_map(|event| match event {
            session::Event::Message(_, order) => Some(order.id),
            session::Event::Mark(_, id, _) => Some(*id),
            _ => None,
        }))
    }

    /// Marks a conversation as read up to a message, and tells the others if the owner wants that.
    ///
    /// # Errors
    /// [`ClientError::Chat`], those of the local store.
    pub async fn mark_read(&self, conversation: ConversationId, up_to: OrderKey) -> Result<(), ClientError> {
        self.told(Input::MarkRead { conversation, up_to }).await.map(|_| ())
    }

    /// Whether others are told what was delivered and read here. At first they are.
    ///
    /// # Errors
    /// Those of the local store.
    pub async fn set_receipts(&self, receipts: bool) -> Result<(), ClientError> {
        self.told(Input::Settings { receipts }).await.map(|_| ())
    }

    /// Whether others are told what was delivered and read here.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn receipts(&self) -> Result<bool, ClientError> {
        self.client.ask(|view| session::receipts(view))
    }

    /// All conversations, in no particular order.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn conversations(&self) -> Result<Vec<Info>, ClientError> {
        self.client.ask(|view| session::conversations(view))
    }

    /// One conversation.
    ///
    /// # Errors
    /// [`ChatError::Unknown`], those of the local store.
    pub fn conversation(&self, id: ConversationId) -> Result<Info, ClientError> {
        let found = self.client.ask(|view| session::conversation(view, id))?;
        found.ok_or(ClientError::Chat(ChatError::Unknown))
    }

    /// Up to `limit` messages of a conversation from a place on, in their order, which is the same for all members.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn messages(
        &self,
        conversation: ConversationId,
        from: Option<OrderKey>,
        limit: usize,
    ) -> Result<Vec<Message>, ClientError> {
        self.client
            .ask(|view| session::messages(view, conversation, from, limit))
    }

    /// The newest messages of a conversation, at most `limit`, in their order; and whether there are older ones. It takes as
    /// long as they are many, however many there are besides.
    ///
    /// # Errors
    /// Those of the local store.
    pub fn newest(&self, conversation: ConversationId, limit: usize) -> Result<(Vec<Message>, bool), ClientError> {
        let wanted = limit.saturating_add(1);
        let mut found = self
            .client
            .ask(|view| session::newest(view, conversation, None, wanted))?;
        let more = found.len() > limit;
        if more {
            found.remove(0);
        }
        Ok((found, more))
    }

    /// The proof that a message was accepted, waiting up to `wait` for it. Any member can have it: it shows which nodes
    /// signed to keep the envelope, and says nothing of the conversation.
    ///
    /// # Errors
    /// [`ChatError::UnknownMessage`], [`ChatError::NotStored`], [`ClientError::NotProgressing`]; `None` if the ledger does
    /// not show it in time.
    pub async fn proof_of(
        &self,
        conversation: ConversationId,
        message: &OrderKey,
        wait: Duration,
    ) -> Result<Option<AcceptanceProof>, ClientError> {
        let found = self.messages(conversation, Some(*message), 1)?.pop();
        let found = found
            .filter(|found| found.order == *message)
            .ok_or(ChatError::UnknownMessage)?;
        let (tag, envelope) = found.stored.ok_or(ChatError::NotStored)?;
        let client = &self.client;
        if let Some(proof) = client.kept_proof(&envelope)? {
            return Ok(Some(proof));
        }
        let kept = client.ask(|view| {
            view.row(&tables::receipt_row(&envelope))
                .map_err(session::StepError::Store)
        })?;
        let receipt = kept.map(|bytes| QuorumReceipt::from_bytes(&bytes)).transpose()?;
        let started = tokio::time::Instant::now();
        let mut round = 0;
        let proof = loop {
            let left = wait.saturating_sub(started.elapsed()).min(ANCHOR_PATIENCE);
            let of = match &receipt {
                Some(receipt) => AcceptanceOf::Receipt(Box::new(receipt.clone())),
                None => AcceptanceOf::Envelope { tag, envelope },
            };
            if let Some((proof, _)) = client.shared.network.acceptance_of(of, tag, envelope, left).await? {
                break proof;
            }
            if started.elapsed() >= wait {
                return Ok(None);
            }
            if let Some(receipt) = &receipt {
                client.hand_over(receipt, round).await;
                round = round.saturating_add(1);
            }
        };
        let bytes = proof.to_bytes()?;
        client
            .shared
            .store
            .write(move |_| {
                let mut batch = Batch::new();
                batch.put(Table::Proof, envelope.as_bytes().as_slice(), bytes);
                batch.delete(Table::Session, tables::receipt_row(&envelope));
                Ok(((), batch))
            })
            .await?;
        Ok(Some(proof))
    }
}

/// Up to which message of the contact inbox the machine was given those that are for it, in [`Table::Meta`].
const FED: &[u8] = b"session inbox";

impl Client {
    /// Whether no message of the contact inbox is being opened or waits for [`Client::feed`], which got as far as `fed`.
    fn is_fed(&self, fed: u64) -> Result<bool, ClientError> {
        // In this order: what was opened is kept before it counts as opened.
        let opening = self.shared.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = opening.is_empty();
        drop(opening);
        Ok(idle && self.sealed_messages(fed, 1)?.is_empty())
    }

    fn fed(&self) -> Result<u64, ClientError> {
        self.shared.store.read(|view| {
            let kept = view.get(Table::Meta, FED).map_err(StateError::Store)?;
            Ok(kept
                .and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok())
                .map_or(0, u64::from_be_bytes))
        })
    }

    /// Gives the machine what came for it in the contact inbox; the number of the next message there.
    ///
    /// What the machine was given is deleted, but for the last one: numbers go on behind the last row.
    async fn feed(&self) -> Result<u64, ClientError> {
        let mut from = self.fed()?;
        let mut given = from.checked_sub(1);
        let mut own = false;
        loop {
            let page = self.messages(from, 64)?;
            let Some((last, _)) = page.last() else {
                return Ok(from);
            };
            let next = last.saturating_add(1);
            for (number, message) in page {
                if message.kind != session::SESSION_KIND.get() {
                    continue;
                }
                if message.sender == self.shared.identity && !core::mem::replace(&mut own, true) {
                    self.show_own().await?;
                }
                let mut also = Batch::new();
                also.put(Table::Meta, FED, number.saturating_add(1).to_be_bytes());
                if let Some(given) = given.replace(number) {
                    also.delete(Table::Inbox, given.to_be_bytes());
                }
                let input = Input::Sealed {
                    sender: message.sender,
                    device: message.device,
                    body: message.body.to_vec(),
                };
                if let Err(error) = self.step(input, also).await? {
                    tracing::debug!(%error, "a message for the session is not taken");
                }
            }
            from = next;
        }
    }

    /// Gives the machine the owner's state by which a message of another device of the owner's was opened: that device may
    /// be newer than the state that it was given before, and what the device says would be refused.
    async fn show_own(&self) -> Result<(), ClientError> {
        let identity = self.shared.identity;
        let pin = self.shared.store.read(|view| state::pin(view, &identity))?;
        let Some((height, state)) = pin.and_then(|pin| Some((pin.height, pin.state?))) else {
            return Ok(());
        };
        let state = Box::new(state);
        if let Err(error) = self.step_quietly(Input::Identity { state, height }).await? {
            tracing::debug!(%error, "the state of the own identity is not taken");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_lags_is_told_how_much_it_has_missed_and_holds_nobody_up() {
        let hub = Hub::default();
        let mut slow = ChatEvents(hub.events.subscribe());
        let id = |number: u64| ConversationId::from_bytes(core::array::from_fn(|at| number.to_be_bytes()[at % 8]));
        let over = 3;
        let all = u64::try_from(EVENTS_MAX).unwrap() + over;
        for number in 0..all {
            let event = session::Event::Removed(id(number));
            assert!(hub.events.send(ChatEvent::Session(event)).is_ok());
        }
        assert!(matches!(slow.next().await, Some(ChatEvent::Missed(missed)) if missed == over));
        for number in over..all {
            let event = slow.next().await;
            assert!(
                matches!(&event, Some(ChatEvent::Session(session::Event::Removed(of))) if *of == id(number)),
                "{event:?}"
            );
        }
        drop(hub);
        assert!(slow.next().await.is_none());
    }
}
