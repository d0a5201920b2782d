//! Following the inbox: one long-polling reader for each node of the swarm, one stream of events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokenim_identity::NodeKey;
use tokenim_mailbox::MailboxTag;
use tokenim_rpc::limits::WAIT_MILLISECONDS_MAX;
use tokenim_wire::UnixMillis;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use super::contacts::CONTACT_AGE;
use super::network::Misbehaviour;
use super::receive::{Received, Refused, Trouble};
use super::{Client, ClientError, now};
use crate::step::Coverage;
use crate::step::contact::Notice;

/// How long a node is asked to hold its answer back until there is something new, in milliseconds. A node that is gone is
/// noticed by its connection, long before.
const WAIT_MS: u32 = WAIT_MILLISECONDS_MAX;
/// A node that has not answered for this long no longer counts as followed.
const FRESH_MS: u64 = WAIT_MS as u64 + 20_000;
/// First pause after a node failed; it doubles each time.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// Pause after a node was caught in a wrong answer.
const CAUGHT_PAUSE: Duration = Duration::from_secs(2);
/// Pause before something that could not be judged is read again.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);
/// Pause between two rounds of looking after keys.
const UPKEEP_PAUSE: Duration = Duration::from_secs(60);
/// Events that wait for the reader of the stream before the nodes' readers do.
const EVENTS_MAX: usize = 256;

/// What happens in the inbox.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A new message.
    Message(Received),
    /// An envelope that is refused for good.
    Refused(Refused),
    /// A node was caught in a wrong answer; nothing of it was taken.
    Caught(Misbehaviour),
    /// How many nodes are followed has changed.
    Coverage {
        /// Nodes whose whole log is followed.
        answers: usize,
        /// Nodes that must be (Q).
        needed: usize,
        /// Envelopes that nodes list, but none gave.
        missing: usize,
        /// Whether everything accepted so far is there; if not, what is shown is possibly incomplete.
        complete: bool,
    },
    /// Something changed about keys; see [`Client::told`].
    Notice(u64, Notice),
    /// The local store failed; the stream ends.
    Failed(ClientError),
}

/// A stream of [`Event`]s. Dropping it ends the following.
#[derive(Debug)]
pub struct Follow {
    events: mpsc::Receiver<Event>,
    reading: JoinHandle<()>,
    upkeep: JoinHandle<()>,
}

impl Follow {
    /// The next event; `None` after [`Event::Failed`].
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.reading.abort();
        self.upkeep.abort();
    }
}

/// The coverage, and what of it was told last.
struct Told {
    coverage: Coverage,
    last: Option<(usize, usize, bool)>,
}

struct Following {
    client: Client,
    tag: MailboxTag,
    events: mpsc::Sender<Event>,
    coverage: Mutex<Told>,
    set_changed: Notify,
}

impl Client {
    /// Follows the inbox: everything not yet known at first, then whatever arrives, as soon as one node has it. Each
    /// message comes once, whatever the nodes do.
    ///
    /// # Errors
    /// [`ClientError::Locked`].
    pub fn follow(&self) -> Result<Follow, ClientError> {
        let tag = self.inbox()?.tag();
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let upkeep = tokio::spawn(keep_up(self.clone(), sender.clone()));
        let client = self.clone();
        let reading = tokio::spawn(async move {
            loop {
                let nodes = client.shared.network.nodes();
                let coverage = Coverage::new(&nodes, &tag);
                let keepers = coverage.nodes();
                let following = Arc::new(Following {
                    client: client.clone(),
                    tag,
                    events: sender.clone(),
                    coverage: Mutex::new(Told { coverage, last: None }),
                    set_changed: Notify::new(),
                });
                let mut readers = JoinSet::new();
                for node in keepers {
                    readers.spawn(Arc::clone(&following).read(node));
                }
                tokio::select! {
                    // A reader ends only when the store has failed or nobody listens.
                    _ = readers.join_next() => return,
                    () = following.set_changed.notified() => {}
                }
            }
        });
        Ok(Follow {
            events,
            reading,
            upkeep,
        })
    }
}

/// Keeps the contact key fresh and an eye on the keys of others, and tells what changed, each notice once.
async fn keep_up(client: Client, events: mpsc::Sender<Event>) {
    let mut next = 0;
    loop {
        let upkeep = async {
            client.rotate_contact_key().await?;
            client.monitor(CONTACT_AGE).await
        };
        let notices = match upkeep.await {
            Ok(notices) => notices,
            Err(error) => {
                // Nobody listening is no failure.
                let _ = events.send(Event::Failed(error)).await;
                return;
            }
        };
        for (number, notice) in notices {
            if number >= next {
                next = number.saturating_add(1);
                if events.send(Event::Notice(number, notice)).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(UPKEEP_PAUSE).await;
    }
}

impl Following {
    async fn read(self: Arc<Self>, node: NodeKey) {
        if let Err(error) = self.read_on(node).await {
            // Nobody listening is no failure.
            let _ = self.events.send(Event::Failed(error)).await;
        }
    }

    async fn read_on(&self, node: NodeKey) -> Result<(), ClientError> {
        let client = &self.client;
        let mut walk = client.walk(&node, self.tag)?;
        let mut pause = PAUSE;
        loop {
            let wait_ms = if walk.is_complete() { WAIT_MS } else { 0 };
            let outcome = client.read_page(&node, &mut walk, wait_ms).await?;
            let copies = match outcome {
                Ok(copies) => copies,
                Err(trouble) => {
                    self.covered(|coverage| coverage.failed(&node, now())).await?;
                    let rest = match trouble {
                        Trouble::Caught(caught) => {
                            self.send(Event::Caught(caught)).await?;
                            client.note_caught().await?;
                            CAUGHT_PAUSE
                        }
                        Trouble::OtherSet => {
                            let before = client.shared.network.nodes().epoch();
                            if let Ok(nodes) = client.shared.network.refresh_nodes().await
                                && nodes.epoch() != before
                            {
                                self.set_changed.notify_one();
                            }
                            pause
                        }
                        Trouble::Failed(why) => {
                            tracing::debug!(%node, why, "a node does not serve the inbox");
                            pause
                        }
                    };
                    tokio::time::sleep(rest).await;
                    pause = pause.saturating_mul(2).min(PAUSE_MAX);
                    walk.rewind();
                    continue;
                }
            };
            pause = PAUSE;
            let taken = client.take(copies).await?;
            for refused in taken.refused {
                self.send(Event::Refused(refused)).await?;
            }
            for received in taken.received {
                self.send(Event::Message(received)).await?;
            }
            let lacks = client.settle(&node, self.tag, &mut walk).await?;
            let again = walk.is_complete() && !lacks.is_empty();
            let complete = walk.is_complete();
            self.covered(|coverage| {
                if complete {
                    coverage.complete(&node, now());
                }
                coverage.lacks(&node, lacks);
            })
            .await?;
            if again {
                tokio::time::sleep(AGAIN_PAUSE).await;
                walk.rewind();
            }
        }
    }

    async fn send(&self, event: Event) -> Result<(), ClientError> {
        self.events.send(event).await.map_err(|_| ClientError::Closed)
    }

    /// Changes the coverage, and tells if that makes a difference.
    async fn covered(&self, change: impl FnOnce(&mut Coverage)) -> Result<(), ClientError> {
        let event = {
            let mut guard = self.coverage.lock().unwrap_or_else(PoisonError::into_inner);
            let Told { coverage, last } = &mut *guard;
            change(coverage);
            let since = UnixMillis::new(now().get().saturating_sub(FRESH_MS));
            let missing = coverage.missing().len();
            let current = (coverage.answers(since), missing, coverage.is_complete(since));
            if *last == Some(current) {
                None
            } else {
                *last = Some(current);
                Some(Event::Coverage {
                    answers: current.0,
                    needed: coverage.needed(),
                    missing: current.1,
                    complete: current.2,
                })
            }
        };
        match event {
            Some(event) => self.send(event).await,
            None => Ok(()),
        }
    }
}
