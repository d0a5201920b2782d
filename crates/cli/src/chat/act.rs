//! Doing what the screen asks for.

use std::pin::Pin;
use std::time::{Duration, Instant};

use tokenim_client::chat::{Chat, Content, ConversationId, Standing, content};
use tokenim_wire::limits::SESSION_RECEIPT_MEMBERS_MAX;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Showing;
use super::model::{Aim, Command, INBOX, Msg};
use crate::error::CliError;
use crate::receipt;

/// How long the proof of a message is waited for.
const PROOF_PATIENCE: Duration = Duration::from_secs(30);
/// The others are told that the owner is typing at most this often.
const TYPING_PAUSE: Duration = Duration::from_secs(8);

/// How long a link into a group is good.
const LINK_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What came of something.
pub(super) enum Answer {
    Show(Msg),
    /// What is counted in a conversation is no longer so.
    Changed(ConversationId),
}

type Done = Result<Vec<Answer>, CliError>;
type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Does one thing after the other, in the order in which they were asked for.
pub(super) struct Worker {
    queue: mpsc::UnboundedSender<Work>,
    task: JoinHandle<Vec<String>>,
}

impl Worker {
    pub(super) fn new(answers: mpsc::Sender<Vec<Answer>>) -> Self {
        let (queue, mut waiting) = mpsc::unbounded_channel::<Work>();
        let task = tokio::spawn(async move {
            let mut lost = Vec::new();
            while let Some(work) = waiting.recv().await {
                let Err(unseen) = answers.send(told(work.await)).await else {
                    continue;
                };
                // Nobody looks at the screen any more: who asked for it is told at the end.
                lost.extend(unseen.0.into_iter().filter_map(|answer| match answer {
                    Answer::Show(Msg::Unsent(_, _, why) | Msg::Failed(why)) => Some(why),
                    _ => None,
                }));
            }
            lost
        });
        Self { queue, task }
    }

    fn then(&self, work: impl Future<Output = Done> + Send + 'static) {
        // It ends only when this does.
        let _ = self.queue.send(Box::pin(work));
    }

    /// Waits until everything is done; what went wrong and could not be shown.
    pub(super) async fn end(self) -> Vec<String> {
        drop(self.queue);
        self.task.await.unwrap_or_default()
    }
}

/// What is shown of something that was done.
fn told(done: Done) -> Vec<Answer> {
    done.unwrap_or_else(|error| vec![Answer::Show(Msg::Failed(error.to_string()))])
}

impl Showing {
    /// Updates the model and does what it asks for; whether it asks to leave.
    pub(super) fn apply(&mut self, msg: Msg) -> Result<bool, CliError> {
        for command in self.model.update(msg) {
            if command == Command::Quit {
                return Ok(true);
            }
            self.act(command)?;
        }
        Ok(false)
    }

    /// Takes in what tasks have found.
    pub(super) fn answered(&mut self, answers: Vec<Answer>) -> Result<bool, CliError> {
        for answer in answers {
            match answer {
                Answer::Show(msg) => {
                    if self.apply(msg)? {
                        return Ok(true);
                    }
                }
                Answer::Changed(conversation) => {
                    self.feed.changed(conversation, None)?;
                }
            }
        }
        Ok(false)
    }

    fn act(&mut self, command: Command) -> Result<(), CliError> {
        let chat = self.feed.chat.clone();
        match command {
            Command::Quit => {}
            Command::Redraw => self.redraw = true,
            Command::Load(conversation, newly) => {
                if newly {
                    self.feed.opened(conversation)?;
                    self.stale.conversations = true;
                }
                self.stale.messages = true;
            }
            Command::Read(INBOX, message) => {
                if let Some(number) = self.feed.number(&message) {
                    self.worker.then(async move {
                        chat.client().shown(number).await?;
                        Ok(vec![Answer::Changed(INBOX)])
                    });
                }
            }
            Command::Read(conversation, message) => {
                if let Some(order) = self.feed.order(&message) {
                    self.worker.then(async move {
                        chat.mark_read(conversation, order).await?;
                        Ok(vec![Answer::Changed(conversation)])
                    });
                }
            }
            Command::Send {
                conversation,
                text,
                aim,
            } => self.worker.then(async move {
                let unsent = |error: CliError| Answer::Show(Msg::Unsent(conversation, text.clone(), error.to_string()));
                Ok(say(&chat, conversation, &text, aim)
                    .await
                    .err()
                    .map(unsent)
                    .into_iter()
                    .collect())
            }),
            Command::Say(conversation, content) => self.worker.then(async move {
                chat.send(conversation, content).await?;
                Ok(Vec::new())
            }),
            Command::Typing(conversation) => self.type_in(conversation),
            Command::Change(conversation, change) => self.worker.then(async move {
                chat.change(conversation, change).await?;
                Ok(Vec::new())
            }),
            Command::Start(identity) => self
                .worker
                .then(async move { Ok(vec![Answer::Show(Msg::Started(chat.start(identity).await?))]) }),
            Command::NewGroup(name) => self.worker.then(async move {
                let made = chat.create_group(&name, Vec::new(), None).await?;
                let next = "the group is made: F2, then I, lets somebody in".to_owned();
                Ok(vec![Answer::Show(Msg::Started(made)), Answer::Show(Msg::Notice(next))])
            }),
            Command::Join(link) => self.worker.then(async move {
                let asked = Msg::Notice("you have asked: the group comes by itself when you are let in".to_owned());
                let joining = chat.join(link).await?;
                Ok(vec![Answer::Show(Msg::Started(joining)), Answer::Show(asked)])
            }),
            Command::Answer(conversation, identity, admit) => self.worker.then(async move {
                if admit {
                    chat.admit(conversation, identity).await?;
                } else {
                    chat.refuse(conversation, identity).await?;
                }
                Ok(Vec::new())
            }),
            Command::MakeLink(conversation) => self.worker.then(async move {
                let link = chat.make_link(conversation, LINK_LIFETIME).await?;
                Ok(vec![Answer::Show(Msg::Link(conversation, link))])
            }),
            Command::Unlink(conversation, link) => self.worker.then(async move {
                chat.revoke_link(conversation, Some(link)).await?;
                Ok(Vec::new())
            }),
            Command::Call(identity, name) => self.worker.then(async move {
                chat.client().set_contact_name(&identity, name).await?;
                Ok(Vec::new())
            }),
            Command::Receipts(receipts) => self.worker.then(async move {
                chat.set_receipts(receipts).await?;
                let what = if receipts {
                    "others are told what you have received and read, and when you type"
                } else {
                    "nobody is told what you have received or read, or when you type"
                };
                let what = Msg::Notice(what.to_owned());
                Ok(vec![Answer::Show(Msg::Receipts(receipts)), Answer::Show(what)])
            }),
            Command::Safety(identity) => self.spawn(async move {
                let number = chat.client().safety_number(&identity).await?;
                let lines = format!("{number:#}").lines().map(str::to_owned).collect();
                Ok(vec![Answer::Show(Msg::Safety(identity, lines))])
            }),
            Command::Verify(identity, digits) => self.spawn(async move {
                chat.client().verify_contact(&identity, &digits).await?;
                let done = Msg::Notice(format!("{identity} is verified"));
                Ok(vec![Answer::Show(done)])
            }),
            Command::Details(conversation, message) => {
                let lines = self.feed.details(conversation, &message)?;
                self.apply(Msg::Details(message, lines))?;
            }
            Command::Proof(conversation, message) => {
                let Some(order) = self.feed.order(&message) else {
                    return Ok(());
                };
                self.spawn(async move {
                    let proof = chat.proof_of(conversation, &order, PROOF_PATIENCE).await;
                    let light = chat.client().network().light_client();
                    let lines = match proof {
                        Err(error) => vec![error.to_string()],
                        Ok(None) => vec!["The ledger does not show it yet: try again in a few seconds.".to_owned()],
                        Ok(Some(proof)) => vec![
                            receipt::sentence(&light, &proof)?,
                            String::new(),
                            "Verified here, from the network's configuration alone.".to_owned(),
                        ],
                    };
                    Ok(vec![Answer::Show(Msg::Proof(message, lines))])
                });
            }
        }
        Ok(())
    }

    /// Tells the others that the owner is typing, where receipts would be sent too, and not too often.
    fn type_in(&mut self, conversation: ConversationId) {
        let lately = self.typed.is_some_and(|typed| typed.elapsed() < TYPING_PAUSE);
        let one = self.model.conversations.iter().find(|one| one.id == conversation);
        let may = one.is_some_and(|one| {
            one.standing == Standing::Active && (2..=SESSION_RECEIPT_MEMBERS_MAX).contains(&one.members.len())
        });
        if lately || !may || !self.model.receipts || !self.model.reached || self.model.queued > 0 {
            return;
        }
        self.typed = Some(Instant::now());
        let chat = self.feed.chat.clone();
        self.worker.then(async move {
            // It is only a hint.
            let _ = chat.send(conversation, Content::Typing).await;
            Ok(Vec::new())
        });
    }

    /// Does something that may take a while, and shows what came of it.
    pub(super) fn spawn(&self, work: impl Future<Output = Done> + Send + 'static) {
        let answers = self.answers.clone();
        tokio::spawn(async move {
            // Nobody looking any more is no failure.
            let _ = answers.send(told(work.await)).await;
        });
    }
}

/// Has a text kept, to be sent as soon as it may.
async fn say(chat: &Chat, conversation: ConversationId, text: &str, aim: Aim) -> Result<(), CliError> {
    let text = content::MessageText::new(text).map_err(|error| CliError::local(error.to_string()))?;
    let said = match aim {
        Aim::New => Content::Text(text),
        Aim::Answer(to) => Content::Reply { to, text },
        Aim::Edit(of) => Content::Edit { of, text },
    };
    chat.send(conversation, said).await?;
    Ok(())
}
