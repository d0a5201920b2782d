//! What the screen shows and what a key does to it, without a terminal or a network.

use std::collections::VecDeque;

use ratatui::layout::Size;
use tokenim_client::chat::{Change, Content, ConversationId, InviteLink, InviteName, Mark, Role, Standing};
use tokenim_client::step::name::ContactName;
use tokenim_client::{IdentityId, MessageId};
use tokenim_wire::UnixMillis;
use tokenim_wire::limits::SESSION_TEXT_BYTES_MAX as TEXT_BYTES_MAX;

use super::compose::Composer;
use super::names::Names;
use super::text::Shown;
use super::timer;

/// What stands in the place of a conversation where messages of none are shown.
pub(super) const INBOX: ConversationId = ConversationId::from_bytes([0; 32]);
/// Messages that are loaded at a time.
pub(super) const PAGE: usize = 200;
/// Ticks for which a notice is shown.
const NOTICE_TICKS: usize = 12;
/// Notices that wait to be shown; of more, the oldest are not.
const NOTICES_MAX: usize = 32;

/// What kind of conversation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With one other.
    Two(IdentityId),
    Group,
    /// Messages of no conversation; nothing is written there.
    Inbox,
}

/// Somebody in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) identity: IdentityId,
    pub(super) role: &'static str,
    pub(super) devices: usize,
    pub(super) verified: bool,
}

/// Somebody who asks to be let into a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) identity: IdentityId,
    /// The first letters of the name of the link that they have.
    pub(super) link: String,
    /// When it came.
    pub(super) at: UnixMillis,
    pub(super) verified: bool,
}

/// A conversation, without its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conversation {
    pub(super) id: ConversationId,
    pub(super) name: Shown,
    pub(super) kind: Kind,
    /// What its encryption withstands, in words.
    pub(super) suite: &'static str,
    pub(super) epoch: u64,
    /// After how many seconds messages disappear.
    pub(super) disappear: Option<u64>,
    pub(super) standing: Standing,
    /// What is to be done about it, if anything.
    pub(super) todo: Option<String>,
    pub(super) requests: Vec<Request>,
    /// The links into it that are good, if it is open.
    pub(super) links: Vec<InviteLink>,
    pub(super) members: Vec<Member>,
    pub(super) unread: usize,
}

impl Conversation {
    /// The other side, if it is of two people.
    pub(super) const fn peer(&self) -> Option<IdentityId> {
        match self.kind {
            Kind::Two(peer) => Some(peer),
            Kind::Group | Kind::Inbox => None,
        }
    }

    /// Whether what is written will go out.
    pub(super) const fn is_open(&self) -> bool {
        !matches!(self.kind, Kind::Inbox)
            && matches!(self.standing, Standing::Active | Standing::Joining | Standing::Behind)
    }

    /// What to know and to do about where one stands, if there is anything.
    pub(super) fn advice(&self) -> Option<&str> {
        if self.kind == Kind::Inbox {
            return Some("sent outside of conversations; R writes to the sender");
        }
        if let Some(todo) = &self.todo {
            return Some(todo);
        }
        match self.standing {
            Standing::Active => None,
            Standing::Joining => Some("it begins as soon as the ledger shows it; what you write waits"),
            Standing::Behind => Some("this device asks to be let in again; what you write waits"),
            Standing::Removed => Some("you are no longer a member: start another conversation"),
            Standing::Stranded => Some("it can't be followed any more: start another conversation with the others"),
        }
    }

    /// What is different from before, in words.
    fn since(&self, before: &Self, names: &Names) -> Vec<String> {
        let name = self.name.as_str();
        let has = |one: &Self, identity| one.members.iter().any(|member| member.identity == identity);
        let mut told = Vec::new();
        // The first members of all are no news.
        if !before.members.is_empty() {
            let joined = self.members.iter().filter(|member| !has(before, member.identity));
            told.extend(joined.map(|member| format!("{name}: {} is in now", names.called(&member.identity))));
            let left = before.members.iter().filter(|member| !has(self, member.identity));
            told.extend(left.map(|member| format!("{name}: {} is no longer in it", names.called(&member.identity))));
            if before.disappear != self.disappear {
                told.push(match self.disappear {
                    None => format!("{name}: messages stay from now on"),
                    Some(seconds) => format!("{name}: messages disappear after {} from now on", timer::words(seconds)),
                });
            }
        }
        if before.name != self.name {
            told.push(format!("{} is called {name} now", before.name.as_str()));
        }
        told
    }
}

/// How far an own message is, in a word.
pub(crate) const fn mark_name(mark: Mark) -> &'static str {
    match mark {
        Mark::Queued => "queued",
        Mark::Stored => "stored",
        Mark::Delivered => "delivered",
        Mark::Read => "read",
    }
}

/// A message as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: MessageId,
    /// Who wrote it; none for the owner.
    pub(super) author: Option<IdentityId>,
    pub(super) time: UnixMillis,
    pub(super) body: Shown,
    /// Whether the body is a text of the author's, rather than what is said about something else.
    pub(super) text: bool,
    /// Whether what comes from here on was new when the conversation was opened.
    pub(super) fresh: bool,
    /// The beginning of the message that it answers.
    pub(super) answers: Option<Shown>,
    /// What was added to it: that it was edited, and what others reacted with.
    pub(super) notes: Shown,
    /// How far it is, if it is the owner's.
    pub(super) mark: Option<Mark>,
}

/// What is asked for in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Whom to write to.
    Start,
    /// What a new group is called.
    Group,
    /// Whom to let in.
    Invite,
    /// What the group is called from now on.
    Rename,
    /// How long messages stay.
    Disappear,
    /// What somebody may do.
    Role(IdentityId),
    /// What to react with.
    React(MessageId),
    /// What the owner calls somebody.
    Call(IdentityId),
}

/// What is done only after it was asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirm {
    Delete(MessageId),
    Remove(IdentityId),
    Leave,
    /// Let somebody in who has asked.
    Admit(IdentityId),
    /// Don't.
    Refuse(IdentityId),
    /// Make a link worthless.
    Unlink(InviteName),
}

/// What is being looked at or asked for above everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Panel {
    Help,
    /// Everything about the conversation, with a place among its members.
    Members(usize),
    /// Who asks to be let in, with a place among them.
    Requests(usize),
    /// The links into the group, with a place among them.
    Links(usize),
    /// A link, to be given to people.
    Link(InviteLink),
    /// The safety number with somebody, once it is known.
    Safety(IdentityId, Option<Vec<String>>),
    /// What is proved of a message, once it is known.
    Proof(MessageId, Option<Vec<String>>),
    /// Everything about a message.
    Details(MessageId, Vec<String>),
    Ask(Ask, Composer),
    Confirm(Confirm),
}

/// Where keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    List,
    Write,
    Read,
}

/// What is being written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Aim {
    #[default]
    New,
    /// An answer to a message.
    Answer(MessageId),
    /// Another text in place of an own message's.
    Edit(MessageId),
}

/// What happens.
#[derive(Debug)]
pub(super) enum Msg {
    /// A key was pressed.
    Key(crossterm::event::KeyEvent),
    /// A text was pasted.
    Paste(String),
    /// The terminal has another size.
    Resize(Size),
    /// Whether the terminal is being looked at.
    Looking(bool),
    /// Half a second has passed.
    Tick,
    /// All conversations, newest first.
    Conversations(Vec<Conversation>),
    /// The newest messages of a conversation, oldest first, and whether there are older ones.
    Messages(ConversationId, Vec<Message>, bool),
    /// A conversation was started, and is to be looked at.
    Started(ConversationId),
    /// A link into a group was made.
    Link(ConversationId, InviteLink),
    /// The safety number with somebody.
    Safety(IdentityId, Vec<String>),
    /// What is proved of a message.
    Proof(MessageId, Vec<String>),
    /// Everything about a message.
    Details(MessageId, Vec<String>),
    /// Who is typing where.
    Typing(Vec<(ConversationId, IdentityId)>),
    /// Whether others are told what was read.
    Receipts(bool),
    /// Messages that wait for the network, and whether the network answers.
    Network { queued: usize, reached: bool },
    /// A text could not be kept for sending, and why.
    Unsent(ConversationId, String, String),
    /// Something is to be known.
    Notice(String),
    /// Something went wrong.
    Failed(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    /// Draw everything anew, whatever the terminal has made of it.
    Redraw,
    /// Show so many messages of a conversation; whether it is newly opened.
    Load(ConversationId, bool),
    /// Tell the others that it was read up to here.
    Read(ConversationId, MessageId),
    Send {
        conversation: ConversationId,
        text: String,
        aim: Aim,
    },
    /// Say something that is no text.
    Say(ConversationId, Content),
    /// Tell that the owner is typing, if it was not told lately.
    Typing(ConversationId),
    Change(ConversationId, Change),
    Start(IdentityId),
    NewGroup(String),
    /// Ask to be let into a group.
    Join(InviteLink),
    /// Let somebody in who has asked, or don't.
    Answer(ConversationId, IdentityId, bool),
    MakeLink(ConversationId),
    Unlink(ConversationId, InviteName),
    /// Call somebody something, or nothing any more.
    Call(IdentityId, Option<ContactName>),
    Safety(IdentityId),
    /// The safety numbers were found to be the same.
    Verify(IdentityId, String),
    Proof(ConversationId, MessageId),
    Details(ConversationId, MessageId),
    Receipts(bool),
}

/// The screen's state.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) own: IdentityId,
    pub(super) size: Size,
    /// Whether there are colours; nothing is told by a colour alone.
    pub(super) colours: bool,
    pub(super) looking: bool,
    /// What the owner calls people.
    pub(super) names: Names,
    pub(super) conversations: Vec<Conversation>,
    pub(super) open: Option<ConversationId>,
    pub(super) messages: Vec<Message>,
    /// Whether there are older messages than those loaded.
    pub(super) more: bool,
    pub(super) loaded: usize,
    /// Whether older ones were asked for and have not come.
    pub(super) loading: bool,
    /// Up to which message of the open conversation the others were told that it is read.
    read: Option<MessageId>,
    pub(super) focus: Focus,
    pub(super) composer: Composer,
    pub(super) aim: Aim,
    /// What was being written before a message is edited.
    stash: Composer,
    /// What is not finished in other conversations.
    pub(super) drafts: Vec<(ConversationId, Composer)>,
    pub(super) selected: Option<MessageId>,
    /// Rows of messages below the screen.
    pub(super) below: usize,
    pub(super) panel: Option<Panel>,
    /// Rows of the panel above the screen.
    pub(super) panel_above: usize,
    pub(super) typing: Vec<(ConversationId, IdentityId)>,
    pub(super) receipts: bool,
    pub(super) queued: usize,
    pub(super) reached: bool,
    /// An answer to the last key, until the next one.
    pub(super) said: Option<String>,
    /// What is to be known; the first is shown for a while.
    pub(super) notices: VecDeque<String>,
    notice_ticks: usize,
    /// Whether to leave was asked for while something is not sent.
    pub(super) leaving: bool,
}

impl Model {
    pub(super) fn new(own: IdentityId, size: Size) -> Self {
        Self {
            own,
            size,
            colours: true,
            looking: true,
            names: Names::default(),
            conversations: Vec::new(),
            open: None,
            messages: Vec::new(),
            more: false,
            loaded: PAGE,
            loading: false,
            read: None,
            focus: Focus::List,
            composer: Composer::default(),
            aim: Aim::New,
            stash: Composer::default(),
            drafts: Vec::new(),
            selected: None,
            below: 0,
            panel: None,
            panel_above: 0,
            typing: Vec::new(),
            receipts: true,
            queued: 0,
            reached: true,
            said: None,
            notices: VecDeque::new(),
            notice_ticks: 0,
            leaving: false,
        }
    }

    /// The conversation that is open.
    pub(super) fn conversation(&self) -> Option<&Conversation> {
        let open = self.open?;
        self.conversations.iter().find(|one| one.id == open)
    }

    pub(super) fn message(&self, id: &MessageId) -> Option<&Message> {
        self.messages.iter().find(|message| message.id == *id)
    }

    /// Whether the owner has verified somebody in the open conversation.
    pub(super) fn is_verified(&self, identity: &IdentityId) -> bool {
        let mut members = self.conversation().into_iter().flat_map(|one| &one.members);
        members.any(|member| member.identity == *identity && member.verified)
    }

    /// The message that is selected.
    pub(super) fn chosen(&self) -> Option<&Message> {
        self.selected.and_then(|id| self.message(&id))
    }

    /// Answers a key, in one line, until the next one.
    pub(super) fn say(&mut self, text: &str) {
        self.said = Some(Shown::line(text).as_str().to_owned());
    }

    /// Has something known, in one line, for a while.
    pub(super) fn notice(&mut self, text: &str) {
        let text = Shown::line(text).as_str().to_owned();
        if !self.notices.contains(&text) {
            self.notices.push_back(text);
        }
        if self.notices.len() > NOTICES_MAX {
            self.notices.pop_front();
            self.notice_ticks = 0;
        }
    }

    /// Is something unsent that leaving would lose?
    pub(super) fn has_drafts(&self) -> bool {
        !self.composer.is_empty() || !self.stash.is_empty() || !self.drafts.is_empty()
    }

    /// Begins to write something else.
    pub(super) fn aim_at(&mut self, aim: Aim) {
        if let Aim::Edit(_) = self.aim {
            self.composer = core::mem::take(&mut self.stash);
        }
        if let Aim::Edit(id) = aim {
            self.stash = core::mem::take(&mut self.composer);
            let text = self.message(&id).map(|message| message.body.as_str().to_owned());
            self.composer.insert(&text.unwrap_or_default());
        }
        self.aim = aim;
    }

    /// Opens a conversation.
    pub(super) fn open(&mut self, id: ConversationId) -> Vec<Command> {
        if self.open == Some(id) {
            return Vec::new();
        }
        self.aim_at(Aim::New);
        if let Some(left) = self.open.take() {
            self.drafts.retain(|(known, _)| *known != left);
            let draft = core::mem::take(&mut self.composer);
            if !draft.is_empty() {
                self.drafts.push((left, draft));
            }
        }
        if let Some(place) = self.drafts.iter().position(|(known, _)| *known == id) {
            self.composer = self.drafts.swap_remove(place).1;
        }
        self.open = Some(id);
        self.messages.clear();
        (self.more, self.loading, self.read) = (false, false, None);
        (self.loaded, self.below, self.selected) = (PAGE, 0, None);
        vec![Command::Load(id, true)]
    }

    /// Takes in what happened, and says what is to be done.
    pub(super) fn update(&mut self, msg: Msg) -> Vec<Command> {
        let mut commands = self.take(msg);
        commands.extend(self.seen());
        commands
    }

    fn take(&mut self, msg: Msg) -> Vec<Command> {
        match msg {
            Msg::Key(key) => return super::keys::press(self, key),
            Msg::Paste(text) => return self.paste(&text),
            Msg::Resize(size) => {
                self.size = size;
                if self.selected.is_some() {
                    super::view::reveal(self);
                } else {
                    self.below = 0;
                }
            }
            Msg::Looking(looking) => self.looking = looking,
            Msg::Tick => {
                self.notice_ticks = self.notice_ticks.saturating_add(1);
                if self.notices.is_empty() {
                    self.notice_ticks = 0;
                } else if self.notice_ticks > NOTICE_TICKS {
                    self.notices.pop_front();
                    self.notice_ticks = 0;
                }
            }
            Msg::Conversations(all) => return self.conversations(all),
            Msg::Messages(id, messages, more) if self.open == Some(id) => self.arrived(messages, more),
            Msg::Messages(..) => {}
            Msg::Started(id) => {
                self.focus = Focus::Write;
                return self.open(id);
            }
            Msg::Link(id, link) => {
                if self.open == Some(id) && matches!(self.panel, Some(Panel::Links(_))) {
                    self.panel = Some(Panel::Link(link));
                    self.panel_above = 0;
                }
            }
            Msg::Safety(identity, digits) => {
                if let Some(Panel::Safety(of, shown)) = &mut self.panel
                    && *of == identity
                {
                    *shown = Some(digits);
                }
            }
            Msg::Proof(message, text) => {
                if let Some(Panel::Proof(of, shown)) = &mut self.panel
                    && *of == message
                {
                    *shown = Some(text);
                }
            }
            Msg::Details(message, text) => {
                self.panel = Some(Panel::Details(message, text));
                self.panel_above = 0;
            }
            Msg::Typing(typing) => self.typing = typing,
            Msg::Receipts(receipts) => self.receipts = receipts,
            Msg::Network { queued, reached } => (self.queued, self.reached) = (queued, reached),
            Msg::Unsent(id, text, why) => {
                if self.open == Some(id) && self.composer.is_empty() {
                    self.composer.insert(&text);
                } else {
                    let mut draft = Composer::default();
                    draft.insert(&text);
                    self.drafts.push((id, draft));
                }
                self.notice(&why);
            }
            Msg::Notice(text) | Msg::Failed(text) => self.notice(&text),
        }
        Vec::new()
    }

    fn paste(&mut self, text: &str) -> Vec<Command> {
        match &mut self.panel {
            Some(Panel::Ask(_, composer)) => composer.insert(text.trim()),
            Some(_) => {}
            None if self.composer.text().len().saturating_add(text.len()) > TEXT_BYTES_MAX => {
                self.say(&too_long());
            }
            None => {
                self.focus = Focus::Write;
                self.composer.insert(text);
            }
        }
        Vec::new()
    }

    fn conversations(&mut self, all: Vec<Conversation>) -> Vec<Command> {
        let told: Vec<String> = all
            .iter()
            .filter_map(|one| {
                let before = self.conversations.iter().find(|before| before.id == one.id)?;
                Some(one.since(before, &self.names))
            })
            .flatten()
            .collect();
        for text in told {
            self.notice(&text);
        }
        self.conversations = all;
        let first = self.conversations.first().map(|one| one.id);
        match (self.open, first) {
            (None, Some(first)) => self.open(first),
            _ => Vec::new(),
        }
    }

    fn arrived(&mut self, messages: Vec<Message>, more: bool) {
        let columns = super::view::message_columns(self);
        let rows = |messages: &[Message], after: Option<MessageId>| -> usize {
            let from = after.and_then(|after| messages.iter().position(|message| message.id == after));
            super::view::rows(messages.get(from.unwrap_or(0)..).unwrap_or_default(), columns).len()
        };
        if self.below > 0 {
            // What is being read stays where it is, whatever comes after it.
            let anchor = self.selected.or(self.messages.first().map(|message| message.id));
            let (before, after) = (rows(&self.messages, anchor), rows(&messages, anchor));
            self.below = self.below.saturating_add(after).saturating_sub(before);
        }
        (self.messages, self.more, self.loading) = (messages, more, false);
        if self.selected.is_some_and(|id| self.message(&id).is_none()) {
            self.selected = None;
        }
        if let Aim::Answer(id) | Aim::Edit(id) = self.aim
            && self
                .message(&id)
                .is_none_or(|message| !message.text && self.aim == Aim::Edit(id))
        {
            self.aim_at(Aim::New);
        }
    }

    /// Whether the newest message of others is before somebody's eyes for the first time: then they are told.
    fn seen(&mut self) -> Option<Command> {
        let open = self.open?;
        if !self.looking || self.below > 0 || !super::view::shows_messages(self) {
            return None;
        }
        let newest = self.messages.iter().rev().find(|message| message.author.is_some())?.id;
        if self.read == Some(newest) {
            return None;
        }
        self.read = Some(newest);
        Some(Command::Read(open, newest))
    }
}

/// What is said of a text that no message holds.
pub(super) fn too_long() -> String {
    format!(
        "this is longer than {} KiB: send less at a time",
        TEXT_BYTES_MAX / 1_024
    )
}

/// The role that somebody means.
pub(super) fn role(text: &str) -> Option<Role> {
    let text = text.trim().to_lowercase();
    [Role::Owner, Role::Admin, Role::Member]
        .into_iter()
        .find(|role| !text.is_empty() && super::feed::role(*role).starts_with(&text))
}
