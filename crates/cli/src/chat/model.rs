//! What the screen shows and what a key does to it, without a terminal or a network.

use ratatui::layout::Size;
use tokenim_client::chat::{ConversationId, Mark, Standing};
use tokenim_client::{IdentityId, MessageId};
use tokenim_wire::UnixMillis;

use super::compose::Composer;
use super::text::Shown;

/// What to know and to do about where one stands, if there is anything.
pub(super) const fn advice(standing: Standing) -> Option<&'static str> {
    match standing {
        Standing::Active => None,
        Standing::Joining => Some("it begins as soon as the ledger shows it; what you write waits"),
        Standing::Behind => Some("this device asks to be let in again; what you write waits"),
        Standing::Removed => Some("you are no longer a member: start another conversation"),
        Standing::Stranded => Some("it can't be followed any more: start another conversation with the others"),
    }
}

/// Whether what is written will go out.
pub(super) const fn is_open(standing: Standing) -> bool {
    matches!(standing, Standing::Active | Standing::Joining | Standing::Behind)
}

/// Somebody in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) identity: IdentityId,
    pub(super) role: &'static str,
    pub(super) devices: usize,
    pub(super) verified: bool,
}

/// A conversation, without its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conversation {
    pub(super) id: ConversationId,
    pub(super) name: Shown,
    /// The other side of a conversation of two.
    pub(super) peer: Option<IdentityId>,
    /// What its encryption withstands, in words.
    pub(super) suite: &'static str,
    pub(super) epoch: u64,
    pub(super) standing: Standing,
    pub(super) members: Vec<Member>,
    pub(super) unread: usize,
}

/// How far an own message is, in a word.
pub(super) const fn mark_name(mark: Mark) -> &'static str {
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
    /// The beginning of the message that it answers.
    pub(super) answers: Option<Shown>,
    /// What was added to it: that it was edited, and what others reacted with.
    pub(super) notes: Shown,
    /// How far it is, if it is the owner's.
    pub(super) mark: Option<Mark>,
}

/// What is being looked at or asked for above everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Panel {
    Help,
    Members,
    /// The safety number with somebody, once it is known.
    Safety(IdentityId, Option<Vec<String>>),
    /// What is proved of a message, once it is known.
    Proof(MessageId, Option<Vec<String>>),
    /// Whom to write to.
    Start(Composer),
}

/// Where keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    List,
    Write,
    Read,
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
    /// All conversations, newest first.
    Conversations(Vec<Conversation>),
    /// The newest messages of a conversation, oldest first, and whether there are older ones.
    Messages(ConversationId, Vec<Message>, bool),
    /// A conversation was started, and is to be looked at.
    Started(ConversationId),
    /// The safety number with somebody.
    Safety(IdentityId, Vec<String>),
    /// What is proved of a message.
    Proof(MessageId, Vec<String>),
    /// Messages that wait for the network, and whether the network answers.
    Network { queued: usize, reached: bool },
    /// A text could not be kept for sending, and why.
    Unsent(ConversationId, String, String),
    /// Something went wrong.
    Failed(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Quit,
    /// Show so many messages of a conversation.
    Load(ConversationId, usize),
    /// Tell the others that it was read up to here.
    Read(ConversationId, MessageId),
    Send {
        conversation: ConversationId,
        text: String,
        answers: Option<MessageId>,
    },
    Start(IdentityId),
    Safety(IdentityId),
    Proof(ConversationId, MessageId),
}

/// Messages that are loaded at a time.
pub(super) const PAGE: usize = 200;

/// The screen's state.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) own: IdentityId,
    pub(super) size: Size,
    pub(super) conversations: Vec<Conversation>,
    pub(super) open: Option<ConversationId>,
    pub(super) messages: Vec<Message>,
    /// Whether there are older messages than those loaded.
    pub(super) more: bool,
    pub(super) loaded: usize,
    /// Whether older ones were asked for and have not come.
    pub(super) loading: bool,
    pub(super) focus: Focus,
    pub(super) composer: Composer,
    /// What is not finished in other conversations.
    pub(super) drafts: Vec<(ConversationId, Composer)>,
    pub(super) answers: Option<MessageId>,
    pub(super) selected: Option<MessageId>,
    /// Rows of messages below the screen.
    pub(super) below: usize,
    pub(super) panel: Option<Panel>,
    /// Rows of the panel above the screen.
    pub(super) panel_above: usize,
    pub(super) queued: usize,
    pub(super) reached: bool,
    /// What went wrong or is to be known, until the next key.
    pub(super) said: Option<String>,
}

impl Model {
    pub(super) fn new(own: IdentityId, size: Size) -> Self {
        Self {
            own,
            size,
            conversations: Vec::new(),
            open: None,
            messages: Vec::new(),
            more: false,
            loaded: PAGE,
            loading: false,
            focus: Focus::List,
            composer: Composer::default(),
            drafts: Vec::new(),
            answers: None,
            selected: None,
            below: 0,
            panel: None,
            panel_above: 0,
            queued: 0,
            reached: true,
            said: None,
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

    /// Says something, in one line, until the next key.
    pub(super) fn say(&mut self, text: &str) {
        self.said = Some(Shown::line(text).as_str().to_owned());
    }

    /// Opens a conversation.
    pub(super) fn open(&mut self, id: ConversationId) -> Vec<Command> {
        if self.open == Some(id) {
            return Vec::new();
        }
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
        (self.more, self.loading) = (false, false);
        (self.loaded, self.below) = (PAGE, 0);
        (self.answers, self.selected) = (None, None);
        vec![Command::Load(id, PAGE)]
    }

    /// Takes in what happened, and says what is to be done.
    pub(super) fn update(&mut self, msg: Msg) -> Vec<Command> {
        match msg {
            Msg::Key(key) => return super::keys::press(self, key),
            Msg::Paste(text) => match &mut self.panel {
                Some(Panel::Start(composer)) => composer.insert(text.trim()),
                Some(_) => {}
                None => {
                    self.focus = Focus::Write;
                    self.composer.insert(&text);
                }
            },
            Msg::Resize(size) => {
                self.size = size;
                if self.selected.is_some() {
                    super::view::reveal(self);
                } else {
                    self.below = 0;
                }
            }
            Msg::Conversations(all) => return self.conversations(all),
            Msg::Messages(id, messages, more) if self.open == Some(id) => {
                return self.arrived(id, messages, more);
            }
            Msg::Messages(..) => {}
            Msg::Started(id) => {
                self.focus = Focus::Write;
                return self.open(id);
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
            Msg::Network { queued, reached } => (self.queued, self.reached) = (queued, reached),
            Msg::Unsent(id, text, why) => {
                if self.open == Some(id) && self.composer.is_empty() {
                    self.composer.insert(&text);
                } else {
                    let mut draft = Composer::default();
                    draft.insert(&text);
                    self.drafts.push((id, draft));
                }
                self.say(&why);
            }
            Msg::Failed(text) => self.say(&text),
        }
        Vec::new()
    }

    fn conversations(&mut self, all: Vec<Conversation>) -> Vec<Command> {
        self.conversations = all;
        let first = self.conversations.first().map(|one| one.id);
        match (self.open, first) {
            (None, Some(first)) => self.open(first),
            _ => Vec::new(),
        }
    }

    fn arrived(&mut self, id: ConversationId, messages: Vec<Message>, more: bool) -> Vec<Command> {
        let newest = |messages: &[Message]| {
            let others = messages.iter().rev().find(|message| message.author.is_some());
            others.map(|message| message.id)
        };
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
        let read = newest(&messages).filter(|id| newest(&self.messages) != Some(*id));
        (self.messages, self.more, self.loading) = (messages, more, false);
        if self.selected.is_some_and(|id| self.message(&id).is_none()) {
            self.selected = None;
        }
        read.map(|message| Command::Read(id, message)).into_iter().collect()
    }
}
