//! Looking at what the machine wants to see: entries of group logs and mailboxes.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use tokenim_identity::NodeKey;
use tokenim_mailbox::group::{GroupEntryId, GroupHandle};
use tokenim_mailbox::swarm;
use tokenim_session::step::{Input, MailboxWatch, StepError};
use tokenim_wire::{EnvelopeId, Height};
use tokio::sync::Semaphore;

use super::super::receive::Trouble;
use super::super::{Client, ClientError, now};
use crate::step::{EnvelopeCopy, LogWalk, Table, View, state};

/// How long a node is asked to wait for something new.
const WAIT_MS: u32 = 20_000;
/// Questions that are held back at a time, over all nodes; the others are asked again and again.
const WAITING_MAX: usize = 128;
/// Pause between two such questions.
const POLL_PAUSE: Duration = Duration::from_secs(2);
/// First pause after a node failed; it doubles each time.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// What is known of one watch from outside.
#[derive(Clone, Default)]
pub(super) struct Answered(Arc<AtomicBool>);

impl Answered {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What all watches of a client share.
pub(super) struct Watching {
    pub(super) client: Client,
    waiting: Semaphore,
}

impl Watching {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// Says that a watch was answered.
    fn answered(&self, answered: &Answered) {
        if !answered.0.swap(true, Ordering::Relaxed) {
            self.client.shared.chat.changed.notify_one();
        }
    }

    /// Looks at an entry of a group log until the machine wants to see another one.
    pub(super) async fn node(
        &self,
        handle: GroupHandle,
        entry: GroupEntryId,
        after: u8,
        answered: Answered,
    ) -> Result<(), ClientError> {
        let mut pause = PAUSE;
        let mut wait = Duration::ZERO;
        loop {
            let permit = self.waiting.try_acquire();
            if permit.is_err() && !wait.is_zero() {
                wait = Duration::ZERO;
                tokio::time::sleep(POLL_PAUSE).await;
            }
            let found = self
                .client
                .shared
                .network
                .group_node(&handle, &entry, after, wait)
                .await;
            drop(permit);
            match found {
                Ok(found) => {
                    pause = PAUSE;
                    wait = Duration::from_millis(u64::from(WAIT_MS));
                    if let Some(node) = found.value {
                        let input = Input::Node {
                            handle,
                            entry,
                            node: Box::new(node),
                            height: found.height,
                        };
                        report(self.client.step_quietly(input).await?, "an entry");
                    }
                    self.answered(&answered);
                }
                Err(error) => {
                    tracing::debug!(%error, "an entry of a group log could not be looked at");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Reads a mailbox, and whatever comes into it.
    pub(super) async fn mailbox(&self, watch: MailboxWatch, answered: Answered) -> Result<(), ClientError> {
        let tag = watch.descriptor.tag();
        loop {
            let nodes = self.client.shared.network.nodes();
            let reading = Reading {
                watching: self,
                watch: &watch,
                answered: &answered,
                needed: usize::from(nodes.quorum().read),
                heights: Mutex::default(),
                given: tokio::sync::Mutex::default(),
            };
            let keepers = swarm(&nodes, &tag);
            // They end together, when other nodes keep the mailbox.
            let all = keepers.iter().map(|member| reading.node(member.key));
            let other_set = async {
                while self.client.shared.network.nodes().epoch() == nodes.epoch() {
                    tokio::time::sleep(PAUSE_MAX).await;
                }
            };
            tokio::select! {
                outcome = try_join_all(all) => { outcome?; }
                () = other_set => {}
            }
        }
    }

    /// Forgets how far a mailbox was read that is looked at no longer.
    pub(super) async fn forget(&self, tag: tokenim_mailbox::MailboxTag) -> Result<(), ClientError> {
        self.client
            .shared
            .store
            .write(move |view| {
                let mut batch = crate::step::Batch::new();
                let rows = view
                    .scan(Table::Cursor, tag.as_bytes(), 64)
                    .map_err(state::StateError::Store)?;
                for (key, _) in rows {
                    if key.starts_with(tag.as_bytes()) {
                        batch.delete(Table::Cursor, key);
                    }
                }
                Ok(((), batch))
            })
            .await
    }
}

fn report<T, E: core::fmt::Display>(stepped: Result<T, StepError<E>>, what: &str) {
    if let Err(error) = stepped {
        tracing::debug!(%error, what, "not taken");
    }
}

/// One mailbox while one node set keeps it.
struct Reading<'a> {
    watching: &'a Watching,
    watch: &'a MailboxWatch,
    answered: &'a Answered,
    needed: usize,
    /// The height at which each node's log was last read to its end.
    heights: Mutex<BTreeMap<NodeKey, Height>>,
    /// The envelopes that the machine was given. One is given at a time, so that a log counts as read only when all that it
    /// lists is.
    given: tokio::sync::Mutex<HashSet<EnvelopeId>>,
}

impl Reading<'_> {
    async fn node(&self, node: NodeKey) -> Result<(), ClientError> {
        let client = &self.watching.client;
        let descriptor = &self.watch.descriptor;
        let mut walk = if self.watch.one_shot {
            LogWalk::new(node, descriptor.tag(), None)
        } else {
            client.walk(&node, descriptor.tag())?
        };
        let mut pause = PAUSE;
        loop {
            let permit = self.watching.waiting.try_acquire();
            let mut wait_ms = 0;
            if walk.is_complete() {
                if permit.is_ok() {
                    wait_ms = WAIT_MS;
                } else {
                    tokio::time::sleep(POLL_PAUSE).await;
                }
            }
            let read = client
                .read_page_of(descriptor, &self.watch.read_key, &node, &mut walk, wait_ms)
                .await?;
            drop(permit);
            let (copies, height) = match read {
                Ok(read) => read,
                Err(trouble) => {
                    match trouble {
                        Trouble::Caught(_) => client.note_caught().await?,
                        Trouble::OtherSet => {
                            // Whether there is another one shows in the client's view.
                            let _ = client.shared.network.refresh_nodes().await;
                        }
                        Trouble::Failed(why) => tracing::debug!(%node, why, "a node does not serve a mailbox"),
                    }
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(PAUSE_MAX);
                    walk.rewind();
                    continue;
                }
            };
            pause = PAUSE;
            self.give(copies, height).await?;
            self.settle(&node, &mut walk).await?;
            if walk.is_complete() {
                self.complete(node, height).await?;
            }
        }
    }

    /// Gives the machine what it was not given yet.
    async fn give(&self, copies: Vec<EnvelopeCopy>, height: Height) -> Result<(), ClientError> {
        let mut given = self.given.lock().await;
        for copy in copies {
            if given.contains(&copy.envelope) {
                continue;
            }
            let input = Input::Envelope {
                tag: self.watch.descriptor.tag(),
                bytes: copy.bytes,
                height,
            };
            let stepped = self.watching.client.step(input, crate::step::Batch::new()).await?;
            report(stepped, "an envelope");
            given.insert(copy.envelope);
        }
        Ok(())
    }

    /// Keeps how far the node's log is read.
    async fn settle(&self, node: &NodeKey, walk: &mut LogWalk) -> Result<(), ClientError> {
        let before = walk.kept().map(|cursor| cursor.next);
        let given = self.given.lock().await;
        let cursor = walk
            .settle(now().to_seconds(), |envelope| given.contains(envelope))
            .cloned();
        drop(given);
        let Some(cursor) = cursor.filter(|cursor| !self.watch.one_shot && Some(cursor.next) != before) else {
            return Ok(());
        };
        let (tag, node) = (self.watch.descriptor.tag(), *node);
        self.watching
            .client
            .shared
            .store
            .write(move |view| Ok(((), state::advance(view, &tag, &node, &cursor)?)))
            .await
    }

    /// A node's log was read to its end. Once enough were, the machine may know that nothing older comes.
    async fn complete(&self, node: NodeKey, height: Height) -> Result<(), ClientError> {
        let read = {
            let mut heights = self.heights.lock().unwrap_or_else(PoisonError::into_inner);
            let before = nth_highest(&heights, self.needed);
            let known = heights.entry(node).or_insert(height);
            *known = height.max(*known);
            nth_highest(&heights, self.needed).filter(|height| before < Some(*height))
        };
        let Some(height) = read else { return Ok(()) };
        if !self.watch.one_shot {
            let input = Input::Read {
                tag: self.watch.descriptor.tag(),
                height,
            };
            report(self.watching.client.step_quietly(input).await?, "a reading");
        }
        self.watching.answered(self.answered);
        Ok(())
    }
}

/// The height that so many nodes have reached.
fn nth_highest(heights: &BTreeMap<NodeKey, Height>, count: usize) -> Option<Height> {
    let mut all: Vec<Height> = heights.values().copied().collect();
    all.sort_unstable_by(|one, other| other.cmp(one));
    all.get(count.checked_sub(1)?).copied()
}
