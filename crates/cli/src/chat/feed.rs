//! What the client keeps, as the screen and other commands show it.

use std::collections::HashMap;

use tokenim_client::chat::{
    self, Chat, Content, ConversationId, Info, InviteName, Mark, OrderKey, SESSION_KIND, SessionSuite,
};
use tokenim_client::step::InboxMessage;
use tokenim_client::step::contact::Relation;
use tokenim_client::{ClientError, ContentKind, DeviceId, IdentityId, MessageId};
use tokenim_wire::UnixMillis;

use super::model::{Conversation, INBOX, Kind, Member, Message, Request, mark_name};
use super::names::Names;
use super::text::Shown;
use super::timer;
use crate::output::{short, utc};

/// Members of whom it is looked up whether they are verified.
const VERIFIED_MAX: usize = 256;
/// Messages among which those that wait, and those that were not read, are counted.
const COUNTED_MAX: usize = 256;
/// Letters of a message that another one shows which answers it.
const ANSWERED_LETTERS: usize = 80;
/// Messages of no conversation that are shown.
const INBOX_MAX: usize = 1_000;
/// Received messages that are read from the store at a time.
const INBOX_PAGE: usize = 256;

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
pub(crate) fn name(info: &Info, names: &Names) -> Shown {
    match (&info.with, info.name.is_empty()) {
        (Some(with), _) => Shown::line(&names.called(with)),
        (None, true) if info.handle.is_none() => {
            Shown::new(&format!("(asked to be let in: {})", short(&info.conversation)))
        }
        (None, true) => Shown::new(&short(&info.conversation)),
        (None, false) => Shown::line(&info.name),
    }
}

/// The first letters of a link's name.
pub(crate) fn head(name: &InviteName) -> String {
    name.to_string().chars().take(8).collect()
}

/// A message as it stands now: what was added to it later is in it.
#[derive(Debug, Clone)]
pub(crate) struct Folded {
    pub(crate) order: OrderKey,
    pub(crate) id: MessageId,
    pub(crate) author: IdentityId,
    device: DeviceId,
    pub(crate) sent: UnixMillis,
    received: UnixMillis,
    pub(crate) body: Shown,
    /// Whether the body is a text of the author's.
    text: bool,
    pub(crate) answers: Option<MessageId>,
    pub(crate) edited: bool,
    /// Whether its author has taken it back.
    pub(crate) erased: bool,
    /// Whether another device of the owner's has handed it over, so that it is that one's word.
    given: bool,
    pub(crate) reactions: Vec<(IdentityId, Shown)>,
    pub(crate) mark: Option<Mark>,
    marks: Vec<(IdentityId, Mark)>,
    stored: Option<String>,
}

/// Puts edits and reactions into the messages that they are about.
pub(crate) fn fold(messages: &[chat::Message]) -> Vec<Folded> {
    let mut all: Vec<Folded> = Vec::with_capacity(messages.len());
    let mut places: HashMap<MessageId, usize> = HashMap::new();
    for message in messages {
        let (body, answers, text) = match &message.content {
            None => (Shown::new("(taken back)"), None, false),
            Some(Content::Text(text)) => (Shown::new(text.as_str()), None, true),
            Some(Content::Reply { to, text }) => (Shown::new(text.as_str()), Some(*to), true),
            Some(Content::Attachment(file)) => {
                let (name, mime) = (file.name.as_str(), file.mime.as_str());
                let text = format!(
                    "(a file: {name}, {}, {mime}; this version can't fetch it)",
                    size(file.bytes.get())
                );
                (Shown::line(&text), None, false)
            }
            Some(Content::Extension { name, .. }) => {
                let text = format!("({}: this version can't show it)", name.as_str());
                (Shown::line(&text), None, false)
            }
            Some(Content::Edit { of, text }) => {
                let edited = places.get(of).and_then(|place| all.get_mut(*place));
                if let Some(edited) = edited.filter(|edited| edited.author == message.author && edited.text) {
                    edited.body = Shown::new(text.as_str());
                    edited.edited = true;
                }
                continue;
            }
            Some(Content::Reaction { to, emoji }) => {
                let about = places.get(to).and_then(|place| all.get_mut(*place));
                if let Some(about) = about.filter(|about| !about.erased) {
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
            device: message.device,
            sent: message.sent,
            received: message.received,
            body,
            text,
            answers,
            edited: false,
            erased: message.content.is_none(),
            given: message.given.is_some(),
            reactions: Vec::new(),
            mark: message.mark.filter(|_| message.content.is_some()),
            marks: message.marks.clone(),
            stored: message
                .stored
                .map(|(tag, envelope)| format!("envelope {envelope} in mailbox {tag}")),
        });
    }
    all
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// How many messages of the owner's wait in a conversation.
pub(crate) fn waiting(chat: &Chat, conversation: ConversationId) -> Result<usize, ClientError> {
    let (messages, _) = chat.newest(conversation, COUNTED_MAX)?;
    let waits = |message: &&chat::Message| message.mark == Some(Mark::Queued);
    Ok(messages.iter().filter(waits).count())
}

/// What is counted in a conversation.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    unread: usize,
    waiting: usize,
    /// When something was last said, in milliseconds.
    active: u64,
}

/// Conversations with what this run of the screen knows of them.
pub(super) struct Feed {
    pub(super) chat: Chat,
    pub(super) names: Names,
    own: IdentityId,
    /// Those of which nothing has changed since.
    counts: HashMap<ConversationId, Counts>,
    /// The open conversation; after which place, and up to which, something was new in it when it was opened.
    opened: Option<(ConversationId, Option<OrderKey>, OrderKey)>,
    /// What was given last.
    shown: Vec<Folded>,
    /// Received messages of no conversation, and the number of the next one.
    inbox: Vec<(u64, InboxMessage)>,
    next: u64,
}

impl Feed {
    pub(super) fn new(chat: Chat) -> Self {
        Self {
            own: chat.client().identity(),
            chat,
            names: Names::default(),
            counts: HashMap::new(),
            opened: None,
            shown: Vec::new(),
            inbox: Vec::new(),
            next: 0,
        }
    }

    /// Takes in messages of no conversation, whichever program has received them; those that are new.
    pub(super) fn receive(&mut self) -> Result<Vec<IdentityId>, ClientError> {
        let mut senders = Vec::new();
        loop {
            let page = self.chat.client().messages(self.next, INBOX_PAGE)?;
            let Some((last, _)) = page.last() else { break };
            self.next = last.saturating_add(1);
            let others = page
                .into_iter()
                .filter(|(_, message)| ContentKind::new(message.kind) != SESSION_KIND);
            for (number, message) in others {
                senders.push(message.sender);
                self.inbox.push((number, message));
            }
        }
        let extra = self.inbox.len().saturating_sub(INBOX_MAX);
        self.inbox.drain(..extra);
        Ok(senders)
    }

    /// Something has changed in a conversation; what to say of it, if it may be overlooked.
    pub(super) fn changed(
        &mut self,
        conversation: ConversationId,
        order: Option<&OrderKey>,
    ) -> Result<Option<String>, ClientError> {
        self.counts.remove(&conversation);
        let Some(order) = order else { return Ok(None) };
        let read = self.chat.conversation(conversation)?.read;
        let late = read.is_some_and(|read| *order <= read);
        let found = self.chat.messages(conversation, Some(*order), 1)?.pop();
        let found = found.filter(|found| late && found.order == *order && found.author != self.own);
        Ok(found.filter(counts).map(|found| {
            let time: String = utc(found.sent.get()).chars().take(16).collect();
            let who = self.names.called(&found.author);
            format!("a message of {who} came late: it stands further up, at {time}")
        }))
    }

    /// Anything may have changed.
    pub(super) fn forget(&mut self) {
        self.counts.clear();
    }

    /// A conversation is opened: from here on it is known what was new in it.
    pub(super) fn opened(&mut self, conversation: ConversationId) -> Result<(), ClientError> {
        self.opened = None;
        if conversation != INBOX {
            let read = self.chat.conversation(conversation)?.read;
            let last = self.chat.newest(conversation, 1)?.0.pop();
            self.opened = last.map(|last| (conversation, read, last.order));
        }
        Ok(())
    }

    fn counts(&mut self, info: &Info) -> Result<Counts, ClientError> {
        if let Some(known) = self.counts.get(&info.conversation) {
            return Ok(*known);
        }
        let (messages, _) = self.chat.newest(info.conversation, COUNTED_MAX)?;
        let unread =
            |message: &&chat::Message| message.author != self.own && Some(message.order) > info.read && counts(message);
        let counted = Counts {
            unread: messages.iter().filter(unread).count(),
            waiting: messages
                .iter()
                .filter(|message| message.mark == Some(Mark::Queued) && message.content.is_some())
                .count(),
            active: messages.iter().map(|message| message.received.get()).max().unwrap_or(0),
        };
        self.counts.insert(info.conversation, counted);
        Ok(counted)
    }

    /// All conversations, the newest first, and the messages in them that wait; `open` is what is being looked at.
    pub(super) fn conversations(
        &mut self,
        open: Option<ConversationId>,
    ) -> Result<(Vec<Conversation>, usize), ClientError> {
        self.names = Names::read(self.chat.client())?;
        let mut all = Vec::new();
        for info in self.chat.conversations()? {
            let counts = self.counts(&info)?;
            all.push((counts, info));
        }
        all.sort_by_key(|(counts, info)| (core::cmp::Reverse(counts.active), info.conversation));
        let waiting = all.iter().map(|(counts, _)| counts.waiting).sum();
        let mut shown = Vec::with_capacity(all.len().saturating_add(1));
        for (counts, info) in &all {
            shown.push(self.conversation(info, counts.unread, open == Some(info.conversation))?);
        }
        if !self.inbox.is_empty() {
            shown.push(self.inbox_entry()?);
        }
        Ok((shown, waiting))
    }

    fn conversation(&self, info: &Info, unread: usize, is_open: bool) -> Result<Conversation, ClientError> {
        let mut members = Vec::with_capacity(info.members.len());
        for (place, member) in info.members.iter().enumerate() {
            let asked = info.with == Some(member.identity) || (is_open && place < VERIFIED_MAX);
            members.push(Member {
                identity: member.identity,
                role: role(member.role),
                devices: member.devices.len(),
                verified: asked && self.chat.client().is_verified(&member.identity)?,
            });
        }
        let mut requests = Vec::new();
        if info.with.is_none() && info.standing == chat::Standing::Active {
            for request in self.chat.requests(info.conversation)? {
                requests.push(Request {
                    identity: request.asker,
                    link: head(&request.link),
                    at: request.at,
                    verified: self.chat.client().is_verified(&request.asker)?,
                });
            }
        }
        let asked = match requests.len() {
            0 => None,
            1 => Some("somebody asks to be let in: F2, then A, answers".to_owned()),
            many => Some(format!("{many} ask to be let in: F2, then A, answers")),
        };
        let links = match info.with {
            None if is_open => self.chat.links(info.conversation)?,
            _ => Vec::new(),
        };
        Ok(Conversation {
            id: info.conversation,
            name: name(info, &self.names),
            kind: info.with.map_or(Kind::Group, Kind::Two),
            suite: suite(info.suite),
            epoch: info.epoch,
            disappear: info.disappear_after,
            standing: info.standing,
            todo: info.action.map(super::advice).or(asked),
            requests,
            links,
            members,
            unread,
        })
    }

    fn inbox_entry(&self) -> Result<Conversation, ClientError> {
        let unshown = self.chat.client().unshown()?;
        Ok(Conversation {
            id: INBOX,
            name: Shown::new("Other messages"),
            kind: Kind::Inbox,
            suite: "",
            epoch: 0,
            disappear: None,
            standing: chat::Standing::Active,
            todo: None,
            requests: Vec::new(),
            links: Vec::new(),
            members: Vec::new(),
            unread: self.inbox.iter().filter(|(number, _)| *number >= unshown).count(),
        })
    }

    /// The newest messages of a conversation, at least so many if it has them, and whether there are older ones.
    pub(super) fn messages(
        &mut self,
        conversation: ConversationId,
        wanted: usize,
    ) -> Result<(Vec<Message>, bool), ClientError> {
        if conversation == INBOX {
            return self.inbox_messages();
        }
        let mut rows = wanted;
        let more = loop {
            let (messages, more) = self.chat.newest(conversation, rows)?;
            self.shown = fold(&messages);
            // Reactions and edits are no messages by themselves.
            if !more || self.shown.len() >= wanted / 2 {
                break more;
            }
            rows = rows.saturating_mul(2);
        };
        let texts: HashMap<MessageId, &Shown> = self.shown.iter().map(|message| (message.id, &message.body)).collect();
        let opened = self.opened.filter(|(of, ..)| *of == conversation);
        let is_new = |message: &Folded| {
            let new = |(_, read, last)| Some(message.order) > read && message.order <= last;
            message.author != self.own && opened.is_some_and(new)
        };
        let first_new = self
            .shown
            .iter()
            .find(|message| is_new(message))
            .map(|message| message.id);
        let shown = self
            .shown
            .iter()
            .map(|message| Message {
                id: message.id,
                author: (message.author != self.own).then_some(message.author),
                time: message.sent,
                body: message.body.clone(),
                text: message.text,
                fresh: first_new == Some(message.id),
                answers: message.answers.map(|to| answered(texts.get(&to).copied())),
                notes: notes(message),
                mark: message.mark,
            })
            .collect();
        Ok((shown, more))
    }

    fn inbox_messages(&self) -> Result<(Vec<Message>, bool), ClientError> {
        let mut shown = Vec::with_capacity(self.inbox.len());
        for (_, message) in &self.inbox {
            let relation = self.chat.client().contact(&message.sender)?;
            let is_new = relation.is_some_and(|contact| contact.relation == Relation::Requested);
            let text = match ContentKind::new(message.kind) {
                ContentKind::TEXT => std::str::from_utf8(&message.body).ok(),
                _ => None,
            };
            shown.push(Message {
                id: message.id,
                author: Some(message.sender),
                time: message.received,
                body: text.map_or_else(
                    || {
                        Shown::new(&format!(
                            "(no text, {} bytes: `tokenim inbox --all` tells)",
                            message.body.len()
                        ))
                    },
                    Shown::new,
                ),
                text: text.is_some(),
                fresh: false,
                answers: None,
                notes: Shown::new(if is_new {
                    "somebody new: `tokenim contact block` keeps them out"
                } else {
                    ""
                }),
                mark: None,
            });
        }
        Ok((shown, false))
    }

    /// The place of a message that was given last.
    pub(super) fn order(&self, message: &MessageId) -> Option<OrderKey> {
        let found = self.shown.iter().find(|shown| shown.id == *message);
        found.map(|found| found.order)
    }

    /// The number of the newest received message, if this is one of no conversation.
    pub(super) fn number(&self, message: &MessageId) -> Option<u64> {
        let found = self.inbox.iter().find(|(_, of)| of.id == *message);
        found.map(|(number, _)| *number)
    }

    /// Everything about a message that was given last.
    pub(super) fn details(&self, conversation: ConversationId, id: &MessageId) -> Result<Vec<String>, ClientError> {
        if conversation == INBOX {
            let found = self.inbox.iter().find(|(_, of)| of.id == *id);
            let lines = found.map(|(_, message)| {
                let came = utc(message.received.get());
                vec![
                    format!("from      {}", message.sender),
                    format!("device    {}", message.device),
                    format!("came      {came}"),
                    format!("message   {id}"),
                    format!("kept as   envelope {}", message.envelope),
                ]
            });
            return Ok(lines.unwrap_or_default());
        }
        let Some(found) = self.shown.iter().find(|of| of.id == *id) else {
            return Ok(Vec::new());
        };
        let is_own = found.author == self.own;
        let mark = match (is_own, self.chat.client().is_verified(&found.author)?) {
            (true, _) => " (you)",
            (false, true) => " (verified)",
            (false, false) => " (not verified)",
        };
        let mut all: Vec<_> = self.names.get(&found.author).map(str::to_owned).into_iter().collect();
        all.extend([
            format!("from      {}{mark}", found.author),
            format!("device    {}", found.device),
            format!("written   {} by their clock", utc(found.sent.get())),
        ]);
        if is_own {
            all.pop();
            all.push(format!("written   {}", utc(found.sent.get())));
        } else {
            all.push(format!("came      {}", utc(found.received.get())));
        }
        all.push(format!("message   {id}"));
        all.push(format!("place     epoch {}, {}", found.order.epoch, found.order.clock));
        all.push(match &found.stored {
            Some(stored) => format!("kept as   {stored}"),
            None => "kept      on this device only, so far".to_owned(),
        });
        if let Some(mark) = found.mark {
            all.push(format!("state     {}", mark_name(mark)));
        }
        let told = |mark, what: &str| {
            let who = found.marks.iter().filter(move |(_, of)| *of == mark);
            who.map(|(who, _)| format!("{what}{}", self.names.called(who)))
                .collect::<Vec<_>>()
        };
        if is_own {
            all.extend(told(Mark::Read, "read by   "));
            all.extend(told(Mark::Delivered, "came to   "));
        }
        if found.given {
            all.push("history   handed over by another device of yours".to_owned());
        }
        if found.edited {
            all.push("edited    by its author".to_owned());
        }
        for (who, reaction) in &found.reactions {
            let who = if *who == self.own {
                "you".to_owned()
            } else {
                self.names.called(who)
            };
            all.push(format!("reaction  {} from {who}", reaction.as_str()));
        }
        if let Some(seconds) = self.chat.conversation(conversation)?.disappear_after {
            all.push(format!("timer     {} in this conversation", timer::words(seconds)));
        }
        Ok(all)
    }
}

/// Whether a message is one that people read.
fn counts(message: &chat::Message) -> bool {
    message.content.as_ref().is_some_and(Content::is_message)
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
    let given = message
        .given
        .then(|| "handed over by another device of yours".to_owned());
    let reactions = counted
        .into_iter()
        .map(|(reaction, count)| format!("{reaction} {count}"));
    Shown::line(
        &given
            .into_iter()
            .chain(edited)
            .chain(reactions)
            .collect::<Vec<_>>()
            .join(" · "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenim_client::chat::content;

    fn id(number: u8) -> MessageId {
        MessageId::try_from([number; 16].as_slice()).unwrap()
    }

    fn message(number: u8, author: u8, content: Option<Content>) -> chat::Message {
        let order = OrderKey {
            epoch: 1,
            clock: u64::from(number),
            device: DeviceId::from_bytes([author; 32]),
            id: id(number),
        };
        chat::Message {
            order,
            id: order.id,
            author: IdentityId::from_bytes([author; 32]),
            device: order.device,
            sent: UnixMillis::new(1),
            received: UnixMillis::new(2),
            content,
            mark: Some(Mark::Stored),
            marks: Vec::new(),
            stored: None,
            given: None,
        }
    }

    fn edit(of: u8, text: &str) -> Content {
        let text = content::MessageText::new(text).unwrap();
        Content::Edit { of: id(of), text }
    }

    fn react(to: u8, emoji: Option<&str>) -> Content {
        let emoji = emoji.map(|emoji| content::Reaction::new(emoji).unwrap());
        Content::Reaction { to: id(to), emoji }
    }

    #[test]
    fn what_is_said_about_a_message_is_put_into_it() {
        let folded = fold(&[
            message(1, 1, Some(Content::text("one").unwrap())),
            message(2, 1, Some(edit(1, "two"))),
            message(3, 2, Some(edit(1, "not yours"))),
            message(4, 2, Some(react(1, Some("👍")))),
            message(5, 3, Some(react(1, Some("👍")))),
            message(6, 4, Some(react(1, Some("\u{1b}[2J")))),
            message(7, 4, Some(react(1, None))),
            message(8, 2, Some(react(9, Some("👍")))),
        ]);
        let [one] = folded.as_slice() else { panic!("{folded:?}") };
        assert_eq!((one.body.as_str(), one.edited), ("two", true));
        assert_eq!(notes(one).as_str(), "edited · 👍 2");
    }

    #[test]
    fn what_was_taken_back_stays_so() {
        let folded = fold(&[
            message(1, 1, None),
            message(2, 1, Some(edit(1, "again"))),
            message(3, 2, Some(react(1, Some("👍")))),
        ]);
        let [one] = folded.as_slice() else { panic!("{folded:?}") };
        assert!(one.erased && !one.edited && one.reactions.is_empty());
        assert_eq!((one.body.as_str(), one.mark), ("(taken back)", None));
    }

    #[test]
    fn a_file_is_named_and_not_fetched() {
        let mut bytes = vec![1; 64];
        bytes.extend([0xce, 0xc2, 0xf1, 0x05, 10]);
        bytes.extend("\u{202e}gnp.exe".bytes());
        bytes.push(9);
        bytes.extend(b"image/png");
        let file: content::AttachmentRef = tokenim_wire::decode(&bytes, bytes.len()).unwrap();
        let folded = fold(&[message(1, 1, Some(Content::Attachment(file)))]);
        assert_eq!(
            folded[0].body.as_str(),
            "(a file: \u{fffd}gnp.exe, 12 MB, image/png; this version can't fetch it)"
        );
    }
}
