//! What the client keeps, as the screen and other commands show it.

use std::collections::HashMap;

use tokenim_client::chat::{self, Chat, Content, ConversationId, Info, OrderKey, SessionSuite};
use tokenim_client::{ClientError, IdentityId, MessageId};

use super::model::{Conversation, Member, Message};
use super::text::Shown;
use crate::output::short;

/// Members of whom it is looked up whether they are verified.
const VERIFIED_MAX: usize = 64;
/// Messages among which those that wait are counted.
const WAITING_MAX: usize = 500;
/// Letters of a message that another one shows which answers it.
const ANSWERED_LETTERS: usize = 80;

/// What a suite withstands, in words.
pub(crate) const fn suite(suite: Option<SessionSuite>) -> &'static str {
    match suite {
        None => "not encrypted yet",
        Some(SessionSuite::PostQuantum) => "post-quantum",
        Some(SessionSuite::Classical) => "classical",
        Some(_) => "unknown suite",
    }
}

/// A role in words.
pub(crate) const fn role(role: chat::Role) -> &'static str {
    match role {
        chat::Role::Owner => "owner",
        chat::Role::Admin => "admin",
        chat::Role::Member => "member",
        chat::Role::Leaving => "leaving",
    }
}

/// What a conversation is called.
pub(crate) fn name(info: &Info) -> Shown {
    match (&info.with, info.name.is_empty()) {
        (Some(with), _) => Shown::new(&short(with)),
        (None, true) => Shown::new(&short(&info.conversation)),
        (None, false) => Shown::line(&info.name),
    }
}

/// A message as it stands now: what was added to it later is in it.
#[derive(Debug, Clone)]
pub(crate) struct Folded {
    pub(crate) order: OrderKey,
    pub(crate) id: MessageId,
    pub(crate) author: IdentityId,
    pub(crate) sent: tokenim_wire::UnixMillis,
    pub(crate) body: Shown,
    pub(crate) answers: Option<MessageId>,
    pub(crate) edited: bool,
    pub(crate) reactions: Vec<(IdentityId, Shown)>,
    pub(crate) mark: Option<chat::Mark>,
}

/// Puts edits and reactions into the messages that they are about.
pub(crate) fn fold(messages: &[chat::Message]) -> Vec<Folded> {
    let mut all: Vec<Folded> = Vec::with_capacity(messages.len());
    let mut places: HashMap<MessageId, usize> = HashMap::new();
    for message in messages {
        let (body, answers) = match &message.content {
            None => (Shown::new("(taken back)"), None),
            Some(Content::Text(text)) => (Shown::new(text.as_str()), None),
            Some(Content::Reply { to, text }) => (Shown::new(text.as_str()), Some(*to)),
            Some(Content::Attachment(file)) => {
                let text = format!("(a file: {}, {} bytes)", file.name.as_str(), file.bytes.get());
                (Shown::line(&text), None)
            }
            Some(Content::Extension { name, .. }) => {
                (Shown::line(&format!("({name}: this version can't show it)")), None)
            }
            Some(Content::Edit { of, text }) => {
                let edited = places.get(of).and_then(|place| all.get_mut(*place));
                if let Some(edited) = edited.filter(|edited| edited.author == message.author) {
                    edited.body = Shown::new(text.as_str());
                    edited.edited = true;
                }
                continue;
            }
            Some(Content::Reaction { to, emoji }) => {
                if let Some(about) = places.get(to).and_then(|place| all.get_mut(*place)) {
                    about.reactions.retain(|(author, _)| *author != message.author);
                    if let Some(emoji) = emoji {
                        about.reactions.push((message.author, Shown::line(emoji.as_str())));
                    }
                }
                continue;
            }
            Some(_) => continue,
        };
        places.insert(message.id, all.len());
        all.push(Folded {
            order: message.order,
            id: message.id,
            author: message.author,
            sent: message.sent,
            body,
            answers,
            edited: false,
            reactions: Vec::new(),
            mark: message.mark,
        });
    }
    all
}

/// How many messages of the owner's wait in a conversation.
pub(crate) fn waiting(chat: &Chat, conversation: ConversationId) -> Result<usize, ClientError> {
    let (messages, _) = chat.newest(conversation, WAITING_MAX)?;
    let waits = |message: &&chat::Message| message.mark == Some(chat::Mark::Queued);
    Ok(messages.iter().filter(waits).count())
}

/// Conversations with what this run of the screen knows of them.
pub(super) struct Feed {
    pub(super) chat: Chat,
    own: IdentityId,
    unread: HashMap<ConversationId, usize>,
    /// When something was last said, in milliseconds.
    active: HashMap<ConversationId, u64>,
    orders: HashMap<MessageId, OrderKey>,
}

impl Feed {
    pub(super) fn new(chat: Chat) -> Self {
        Self {
            own: chat.client().identity(),
            chat,
            unread: HashMap::new(),
            active: HashMap::new(),
            orders: HashMap::new(),
        }
    }

    /// Something was said; `open` is what is being looked at.
    pub(super) fn said(
        &mut self,
        conversation: ConversationId,
        order: &OrderKey,
        open: Option<ConversationId>,
    ) -> Result<(), ClientError> {
        let found = self.chat.messages(conversation, Some(*order), 1)?.pop();
        let Some(found) = found.filter(|found| found.order == *order) else {
            return Ok(());
        };
        let last = self.active.entry(conversation).or_default();
        *last = found.received.get().max(*last);
        let counts = found.author != self.own && found.content.as_ref().is_some_and(Content::is_message);
        if counts && open != Some(conversation) {
            let unread = self.unread.entry(conversation).or_default();
            *unread = unread.saturating_add(1);
        }
        Ok(())
    }

    /// A conversation is being looked at.
    pub(super) fn opened(&mut self, conversation: ConversationId) {
        self.unread.remove(&conversation);
    }

    /// All conversations, the newest first, and the messages in them that wait.
    pub(super) fn conversations(&mut self) -> Result<(Vec<Conversation>, usize), ClientError> {
        let mut all = self.chat.conversations()?;
        for info in &all {
            if !self.active.contains_key(&info.conversation) {
                let newest = self.chat.newest(info.conversation, 1)?.0.pop();
                let time = newest.map_or(0, |message| message.received.get());
                self.active.insert(info.conversation, time);
            }
        }
        let last = |info: &Info| self.active.get(&info.conversation).copied().unwrap_or(0);
        all.sort_by_key(|info| (core::cmp::Reverse(last(info)), info.conversation));
        let mut queued = 0_usize;
        for info in &all {
            queued = queued.saturating_add(waiting(&self.chat, info.conversation)?);
        }
        let shown: Result<Vec<_>, _> = all.iter().map(|info| self.conversation(info)).collect();
        Ok((shown?, queued))
    }

    fn conversation(&self, info: &Info) -> Result<Conversation, ClientError> {
        let mut members = Vec::with_capacity(info.members.len());
        for (place, member) in info.members.iter().enumerate() {
            members.push(Member {
                identity: member.identity,
                role: role(member.role),
                devices: member.devices.len(),
                verified: place < VERIFIED_MAX && self.chat.client().is_verified(&member.identity)?,
            });
        }
        Ok(Conversation {
            id: info.conversation,
            name: name(info),
            peer: info.with,
            suite: suite(info.suite),
            epoch: info.epoch,
            standing: info.standing,
            members,
            unread: self.unread.get(&info.conversation).copied().unwrap_or(0),
        })
    }

    /// The newest messages of a conversation, and whether there are older ones.
    pub(super) fn messages(
        &mut self,
        conversation: ConversationId,
        limit: usize,
    ) -> Result<(Vec<Message>, bool), ClientError> {
        let (messages, more) = self.chat.newest(conversation, limit)?;
        let folded = fold(&messages);
        self.orders = folded.iter().map(|message| (message.id, message.order)).collect();
        let texts: HashMap<MessageId, &Shown> = folded.iter().map(|message| (message.id, &message.body)).collect();
        let shown = folded
            .iter()
            .map(|message| Message {
                id: message.id,
                author: (message.author != self.own).then_some(message.author),
                time: message.sent,
                body: message.body.clone(),
                answers: message.answers.map(|to| answered(texts.get(&to).copied())),
                notes: notes(message),
                mark: message.mark,
            })
            .collect();
        Ok((shown, more))
    }

    /// The place of a message that was given last.
    pub(super) fn order(&self, message: &MessageId) -> Option<OrderKey> {
        self.orders.get(message).copied()
    }
}

fn answered(text: Option<&Shown>) -> Shown {
    text.map_or_else(
        || Shown::new("an earlier message"),
        |text| {
            let first = text.as_str().lines().next().unwrap_or_default();
            Shown::line(&first.chars().take(ANSWERED_LETTERS).collect::<String>())
        },
    )
}

/// What was added to a message, in one line.
fn notes(message: &Folded) -> Shown {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for (_, reaction) in &message.reactions {
        match counted.iter_mut().find(|(known, _)| *known == reaction.as_str()) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => counted.push((reaction.as_str(), 1)),
        }
    }
    let edited = message.edited.then(|| "edited".to_owned());
    let reactions = counted
        .into_iter()
        .map(|(reaction, count)| format!("{reaction} {count}"));
    Shown::line(&edited.into_iter().chain(reactions).collect::<Vec<_>>().join(" · "))
}
