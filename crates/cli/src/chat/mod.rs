//! `tokenim chat`.

mod act;
mod compose;
pub(crate) mod feed;
mod keys;
mod model;
pub(crate) mod names;
mod panels;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod timer;
mod view;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use clap::Args;
use crossterm::event::{Event as Pressed, EventStream};
use futures::{FutureExt as _, StreamExt as _};
use ratatui::layout::Size;
use tokenim_client::chat::{Action, ChatEvent, ChatEvents, ConversationId, Event};
use tokenim_client::{ClientError, IdentityId};
use tokio::sync::mpsc;

use self::act::{Answer, Worker};
use self::feed::Feed;
use self::model::{INBOX, Model, Msg};
use self::terminal::Screen;
use crate::args::DeviceArgs;
use crate::error::CliError;
use crate::output::remark;
use crate::{contact, signals};

/// How often it is looked whether the network answers, and whether another program has received something.
const LOOK: Duration = Duration::from_millis(500);
/// How long somebody is shown to be typing after a hint.
const TYPING_SHOWN: Duration = Duration::from_secs(12);
/// How long leaving waits until what was written is kept.
const KEEP_PATIENCE: Duration = Duration::from_secs(10);
/// Answers that wait for the screen.
const ANSWERS_MAX: usize = 64;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tokenim chat
  (then Ctrl-N, and the identity of somebody; F1 shows all keys)

What you write is kept before it is sent, and sent as soon as the network answers. Messages that were sent to you with `tokenim
send` are there too. NO_COLOR=1 takes the colours away; they say nothing that is not said in words.")]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    device: DeviceArgs,
}

pub(crate) async fn run(args: &ChatArgs) -> Result<(), CliError> {
    args.device.check()?;
    terminal::check()?;
    let client = args.device.open()?;
    let chat = client.chat()?;
    let events = chat.events();
    let running = chat.run()?;
    let mut screen = Screen::enter()?;
    let (answers, answered) = mpsc::channel(ANSWERS_MAX);
    let mut model = Model::new(client.identity(), size(&mut screen)?);
    model.colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    model.receipts = chat.receipts()?;
    let mut showing = Showing {
        feed: Feed::new(chat),
        model,
        worker: Worker::new(answers.clone()),
        answers,
        typing: HashMap::new(),
        typed: None,
        stale: Stale {
            conversations: true,
            messages: true,
        },
        redraw: false,
    };
    let shown = tokio::select! {
        shown = showing.run(&mut screen, events, answered) => shown,
        error = running.failed() => Err(CliError::local(error.to_string())),
        () = signals::stopped() => Ok(()),
    };
    // What was written is kept before the client goes.
    let lost = tokio::time::timeout(KEEP_PATIENCE, showing.worker.end()).await;
    drop(screen);
    drop(running);
    client.close().await;
    for why in lost.unwrap_or_else(|_| vec!["the disk did not take in time what you wrote last".to_owned()]) {
        remark(format!("not sent: {why}"));
    }
    shown
}

fn broken(error: &std::io::Error) -> CliError {
    CliError::local(format!("the terminal can't be used: {error}; try another one"))
}

fn size(screen: &mut Screen) -> Result<Size, CliError> {
    screen.terminal().size().map_err(|error| broken(&error))
}

/// What is to be read again.
struct Stale {
    conversations: bool,
    messages: bool,
}

/// The model, and what it is fed from.
struct Showing {
    feed: Feed,
    model: Model,
    worker: Worker,
    /// Where tasks put what they found.
    answers: mpsc::Sender<Vec<Answer>>,
    /// Who was typing where, and when it was told.
    typing: HashMap<(ConversationId, IdentityId), Instant>,
    /// When the others were told last that the owner is typing.
    typed: Option<Instant>,
    stale: Stale,
    /// Whether everything is to be drawn anew.
    redraw: bool,
}

impl Showing {
    async fn run(
        &mut self,
        screen: &mut Screen,
        mut events: ChatEvents,
        mut answered: mpsc::Receiver<Vec<Answer>>,
    ) -> Result<(), CliError> {
        let mut keys = EventStream::new();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.feed.receive()?;
        loop {
            self.refresh()?;
            let now = size(screen)?;
            if now != self.model.size {
                self.apply(Msg::Resize(now))?;
            }
            if core::mem::take(&mut self.redraw) {
                screen.terminal().clear().map_err(|error| broken(&error))?;
            }
            screen
                .terminal()
                .draw(|frame| view::view(&self.model, frame))
                .map_err(|error| broken(&error))?;
            let done = tokio::select! {
                key = keys.next() => match key {
                    None => true,
                    Some(Err(error)) => return Err(broken(&error)),
                    Some(Ok(pressed)) => self.pressed(pressed)?,
                },
                event = events.next() => {
                    let mut event = event;
                    // What came at once is shown at once.
                    while let Some(happened) = event.take() {
                        self.happened(happened)?;
                        event = events.next().now_or_never().flatten();
                    }
                    false
                }
                Some(answers) = answered.recv() => {
                    self.stale.conversations = true;
                    self.answered(answers)?
                }
                _ = look.tick() => self.look()?,
            };
            if done {
                return Ok(());
            }
        }
    }

    fn pressed(&mut self, pressed: Pressed) -> Result<bool, CliError> {
        self.apply(match pressed {
            Pressed::Key(key) => Msg::Key(key),
            Pressed::Paste(text) => Msg::Paste(text),
            Pressed::FocusGained => Msg::Looking(true),
            Pressed::FocusLost => Msg::Looking(false),
            Pressed::Resize(..) | Pressed::Mouse(_) => return Ok(false),
        })
    }

    /// Reads again what has changed.
    fn refresh(&mut self) -> Result<(), CliError> {
        if core::mem::take(&mut self.stale.conversations) {
            let (conversations, queued) = self.feed.conversations(self.model.open)?;
            let reached = self.model.reached;
            self.model.names = self.feed.names.clone();
            self.apply(Msg::Network { queued, reached })?;
            self.apply(Msg::Conversations(conversations))?;
        }
        if core::mem::take(&mut self.stale.messages)
            && let Some(open) = self.model.open
        {
            let (messages, more) = self.feed.messages(open, self.model.loaded)?;
            self.apply(Msg::Messages(open, messages, more))?;
        }
        Ok(())
    }

    /// Looks at what nobody tells.
    fn look(&mut self) -> Result<bool, CliError> {
        self.receive()?;
        self.typing.retain(|_, told| told.elapsed() < TYPING_SHOWN);
        let typing: Vec<_> = self.typing.keys().copied().collect();
        if typing.len() != self.model.typing.len() {
            self.apply(Msg::Typing(typing))?;
        }
        let reached = self.feed.chat.status().reached;
        if reached != self.model.reached {
            let queued = self.model.queued;
            self.apply(Msg::Network { queued, reached })?;
        }
        self.apply(Msg::Tick)
    }

    /// Takes in messages of no conversation, whichever program has received them.
    fn receive(&mut self) -> Result<(), CliError> {
        for sender in self.feed.receive()? {
            (self.stale.conversations, self.stale.messages) = (true, true);
            if self.model.open != Some(INBOX) {
                let who = self.feed.names.called(&sender);
                self.model
                    .notice(&format!("{who} sent you something: see Other messages"));
            }
        }
        Ok(())
    }

    /// Takes in what happened in conversations.
    fn happened(&mut self, event: ChatEvent) -> Result<(), CliError> {
        match event {
            ChatEvent::Session(Event::Message(conversation, order)) => {
                if let Some(late) = self.feed.changed(conversation, Some(&order))? {
                    self.model.notice(&late);
                }
                self.typing.retain(|(of, _), _| *of != conversation);
                let typing = self.typing.keys().copied().collect();
                self.apply(Msg::Typing(typing))?;
                self.stale.conversations = true;
                self.stale.messages |= self.model.open == Some(conversation);
            }
            ChatEvent::Session(Event::Mark(conversation, ..)) => {
                self.feed.changed(conversation, None)?;
                self.stale.conversations = true;
                self.stale.messages |= self.model.open == Some(conversation);
            }
            ChatEvent::Session(Event::Typing(conversation, identity)) => {
                self.typing.insert((conversation, identity), Instant::now());
                let typing = self.typing.keys().copied().collect();
                self.apply(Msg::Typing(typing))?;
            }
            ChatEvent::Session(Event::JoinRequest(conversation, identity)) => {
                self.stale.conversations = true;
                let who = self.feed.names.called(&identity);
                let mut all = self.model.conversations.iter();
                let name = all.find(|one| one.id == conversation).map(|one| one.name.as_str());
                let name = name.unwrap_or("a group of yours");
                self.model
                    .notice(&format!("{who} asks to be let into {name}: F2, then A, answers"));
            }
            ChatEvent::Session(event) => {
                self.stale.conversations = true;
                if let Some(text) = told(&event) {
                    self.model.notice(&text);
                }
            }
            ChatEvent::Inbox(_) => self.receive()?,
            ChatEvent::Notice(number, notice) => {
                let client = self.feed.chat.client().clone();
                self.model.notice(&contact::describe(&client, &notice));
                self.spawn(async move {
                    client.told(number).await?;
                    Ok(Vec::new())
                });
            }
            _ => {
                self.feed.forget();
                (self.stale.conversations, self.stale.messages) = (true, true);
            }
        }
        Ok(())
    }
}

/// That a message came which is shown elsewhere.
pub(crate) fn inbox_told(sender: &IdentityId) -> String {
    format!("a message from {sender} came, of no conversation: `tokenim inbox` shows it")
}

/// What the owner should know of at once.
pub(crate) fn told(event: &Event) -> Option<String> {
    match event {
        Event::Culprit { identity, .. } => Some(format!(
            "{identity} did what no honest software does, and is not followed"
        )),
        Event::Refused { author, why, .. } => Some(format!("something that {author} sent is refused: {why}")),
        Event::Diverged(_) => {
            Some("somebody in this conversation sees another ledger than you: ask them over another way".to_owned())
        }
        Event::Damaged(_) => Some("something that is kept here is damaged: a conversation can't go on".to_owned()),
        Event::Removed(_) => Some("you are no longer a member of a conversation".to_owned()),
        Event::JoinRequest(_, identity) => Some(format!(
            "{identity} asks to be let into a group of yours: `tokenim group requests` shows which, `admit` or `refuse` answers"
        )),
        Event::HistoryGiven(device) => Some(format!("what is kept here has been handed to your device {device}")),
        Event::Action(_, action) => Some(advice(*action)),
        _ => None,
    }
}

/// The one thing to do.
pub(crate) fn advice(action: Action) -> String {
    match action {
        Action::StartAnew => "nobody can follow this group any more: make a new one, without the culprit".to_owned(),
        Action::AskToBeReadded => {
            "this device can't follow: be online together with another member for a while".to_owned()
        }
        Action::NoOwner => "no owner is left in this group: make a new one".to_owned(),
        Action::NoPackage(identity) => {
            format!("{identity} has left nothing to be invited with: one of their devices must come online first")
        }
        Action::NoIdentity(identity) => ClientError::UnknownIdentity(identity).to_string(),
        _ => "something is to be done that this version does not know".to_owned(),
    }
}
