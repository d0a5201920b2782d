//! `tokenim chat`.

mod compose;
pub(crate) mod feed;
mod keys;
mod model;
mod panels;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod view;

use std::time::Duration;

use clap::Args;
use crossterm::event::{Event as Pressed, EventStream};
use futures::{FutureExt as _, StreamExt as _};
use ratatui::layout::Size;
use tokenim_client::chat::{Action, Chat, ChatEvent, ChatEvents, Content, ConversationId, Event, content};
use tokenim_client::{ClientError, IdentityId, MessageId};
use tokio::sync::mpsc;

use self::feed::Feed;
use self::model::{Command, Model, Msg};
use self::terminal::Screen;
use crate::args::DeviceArgs;
use crate::error::CliError;
use crate::{contact, receipt, signals};

/// How often it is looked whether the network answers.
const LOOK: Duration = Duration::from_millis(500);
/// How long the proof of a message is waited for.
const PROOF_PATIENCE: Duration = Duration::from_secs(30);
/// Answers that wait for the screen.
const ANSWERS_MAX: usize = 64;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tokenim chat
  (then Ctrl-N, and the identity of somebody; F1 shows all keys)

What you write is kept before it is sent, and sent as soon as the network answers. Groups are made with `tokenim group new`.")]
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
    let shown = {
        let (answers, answered) = mpsc::channel(ANSWERS_MAX);
        let model = Model::new(client.identity(), size(&mut screen)?);
        let mut showing = Showing {
            feed: Feed::new(chat),
            model,
            answers,
            stale: Stale {
                conversations: true,
                messages: true,
            },
        };
        tokio::select! {
            shown = showing.run(&mut screen, events, answered) => shown,
            error = running.failed() => Err(CliError::local(error.to_string())),
            () = signals::stopped() => Ok(()),
        }
    };
    drop(screen);
    drop(running);
    client.close().await;
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
    /// Where tasks put what they found.
    answers: mpsc::Sender<Msg>,
    stale: Stale,
}

impl Showing {
    async fn run(
        &mut self,
        screen: &mut Screen,
        mut events: ChatEvents,
        mut answered: mpsc::Receiver<Msg>,
    ) -> Result<(), CliError> {
        let mut keys = EventStream::new();
        let mut look = tokio::time::interval(LOOK);
        loop {
            self.refresh()?;
            let now = size(screen)?;
            if now != self.model.size {
                self.model.update(Msg::Resize(now));
            }
            screen
                .terminal()
                .draw(|frame| view::view(&self.model, frame))
                .map_err(|error| broken(&error))?;
            let done = tokio::select! {
                key = keys.next() => match key {
                    None => true,
                    Some(Err(error)) => return Err(broken(&error)),
                    Some(Ok(Pressed::Key(key))) => self.apply(Msg::Key(key))?,
                    Some(Ok(Pressed::Paste(text))) => self.apply(Msg::Paste(text))?,
                    Some(Ok(_)) => false,
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
                Some(msg) = answered.recv() => self.apply(msg)?,
                _ = look.tick() => {
                    let reached = self.feed.chat.status().reached;
                    if reached != self.model.reached {
                        let queued = self.model.queued;
                        self.apply(Msg::Network { queued, reached })?;
                    }
                    false
                }
            };
            if done {
                return Ok(());
            }
        }
    }

    /// Reads again what has changed.
    fn refresh(&mut self) -> Result<(), CliError> {
        if core::mem::take(&mut self.stale.conversations) {
            let (conversations, queued) = self.feed.conversations()?;
            let reached = self.model.reached;
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

    /// Takes in what happened in conversations.
    fn happened(&mut self, event: ChatEvent) -> Result<(), CliError> {
        match event {
            ChatEvent::Session(Event::Message(conversation, order)) => {
                self.feed.said(conversation, &order, self.model.open)?;
                self.stale.conversations = true;
                self.stale.messages |= self.model.open == Some(conversation);
            }
            ChatEvent::Session(Event::Mark(conversation, ..)) => {
                self.stale.conversations = true;
                self.stale.messages |= self.model.open == Some(conversation);
            }
            ChatEvent::Session(Event::Typing(..)) => {}
            ChatEvent::Session(event) => {
                self.stale.conversations = true;
                if let Some(text) = told(&event) {
                    self.model.say(&text);
                }
            }
            ChatEvent::Inbox(received) => self.model.say(&inbox_told(&received.message.sender)),
            ChatEvent::Notice(number, notice) => {
                let client = self.feed.chat.client().clone();
                self.model.say(&contact::describe(&client, &notice));
                self.spawn(async move {
                    client.told(number).await?;
                    Ok(None)
                });
            }
            _ => (self.stale.conversations, self.stale.messages) = (true, true),
        }
        Ok(())
    }

    /// Updates the model and does what it asks for; whether it asks to leave.
    fn apply(&mut self, msg: Msg) -> Result<bool, CliError> {
        for command in self.model.update(msg) {
            match command {
                Command::Quit => return Ok(true),
                Command::Load(conversation, _) => {
                    self.feed.opened(conversation);
                    (self.stale.conversations, self.stale.messages) = (true, true);
                }
                Command::Read(conversation, message) => {
                    if let Some(order) = self.feed.order(&message) {
                        let chat = self.feed.chat.clone();
                        self.spawn(async move {
                            chat.mark_read(conversation, order).await?;
                            Ok(None)
                        });
                    }
                }
                Command::Send {
                    conversation,
                    text,
                    answers,
                } => {
                    let chat = self.feed.chat.clone();
                    self.spawn(async move {
                        match say(&chat, conversation, &text, answers).await {
                            Ok(()) => Ok(None),
                            Err(error) => Ok(Some(Msg::Unsent(conversation, text, error.to_string()))),
                        }
                    });
                }
                Command::Start(identity) => {
                    let chat = self.feed.chat.clone();
                    self.spawn(async move { Ok(Some(Msg::Started(chat.start(identity).await?))) });
                }
                Command::Safety(identity) => {
                    let client = self.feed.chat.client().clone();
                    self.spawn(async move {
                        let number = client.safety_number(&identity).await?;
                        let lines = format!("{number:#}").lines().map(str::to_owned).collect();
                        Ok(Some(Msg::Safety(identity, lines)))
                    });
                }
                Command::Proof(conversation, message) => {
                    let Some(order) = self.feed.order(&message) else {
                        continue;
                    };
                    let chat = self.feed.chat.clone();
                    self.spawn(async move {
                        let proof = chat.proof_of(conversation, &order, PROOF_PATIENCE).await?;
                        let light = chat.client().network().light_client();
                        let lines = match proof {
                            None => vec!["The ledger does not show it yet: try again in a few seconds.".to_owned()],
                            Some(proof) => vec![
                                receipt::sentence(&light, &proof)?,
                                String::new(),
                                "Verified here, from the network's configuration alone.".to_owned(),
                            ],
                        };
                        Ok(Some(Msg::Proof(message, lines)))
                    });
                }
            }
        }
        Ok(false)
    }

    /// Does something that may take a while, and shows what came of it.
    fn spawn(&self, work: impl Future<Output = Result<Option<Msg>, CliError>> + Send + 'static) {
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let msg = match work.await {
                Ok(msg) => msg,
                Err(error) => Some(Msg::Failed(error.to_string())),
            };
            if let Some(msg) = msg {
                // Nobody looking any more is no failure.
                let _ = answers.send(msg).await;
            }
        });
    }
}

/// Has a text kept, to be sent as soon as it may.
async fn say(
    chat: &Chat,
    conversation: ConversationId,
    text: &str,
    answers: Option<MessageId>,
) -> Result<(), CliError> {
    let text = content::MessageText::new(text).map_err(|error| CliError::local(error.to_string()))?;
    let said = match answers {
        Some(to) => Content::Reply { to, text },
        None => Content::Text(text),
    };
    chat.send(conversation, said).await?;
    Ok(())
}

/// That a message came which is shown elsewhere.
pub(crate) fn inbox_told(sender: &IdentityId) -> String {
    format!("a message from {sender} came, of no conversation: `tokenim inbox --all` shows it")
}

/// What the owner should know of at once.
pub(crate) fn told(event: &Event) -> Option<String> {
    match event {
        Event::Culprit { identity, .. } => {
            Some(format!("{identity} did what no honest software does; it had no effect"))
        }
        Event::Diverged(_) => {
            Some("somebody in this conversation sees another ledger than you: ask them over another way".to_owned())
        }
        Event::Removed(_) => Some("you are no longer a member of a conversation".to_owned()),
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
