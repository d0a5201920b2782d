//! Looking at what the machine wants to see: entries of group logs and mailboxes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokenim_identity::NodeKey;
use tokenim_mailbox::group::{GroupEntryId, GroupHandle, GroupNode};
use tokenim_mailbox::swarm;
use tokenim_rpc::limits::WAIT_MILLISECONDS_MAX;
use tokenim_session::step::{Input, MailboxWatch, StepError, Why};
use tokenim_wire::{EnvelopeId, Height};
use tokio::sync::{Notify, Semaphore};

use super::super::receive::Trouble;
use super::super::{Client, ClientError, now};
use crate::step::{EnvelopeCopy, LogCursor, LogWalk, Proved, Table, View, state};

/// How long a node is asked to hold its answer back until there is something new, in milliseconds. A node that is gone is
/// noticed by its connection, long before.
const WAIT_MS: u32 = WAIT_MILLISECONDS_MAX;
/// The same for the mailbox of one commit, which is soon of no interest.
const WAIT_ONE_SHOT_MS: u32 = 20_000;
/// Mailboxes for which one node holds its answer back at a time; it has 256 streams for this client. The others are asked
/// again and again.
const MAILBOXES_WAITING_MAX: usize = 128;
/// Entries of group logs for which nodes hold their answers back at a time.
const ENTRIES_WAITING_MAX: usize = 64;
/// Pause between two questions that are not held back.
const POLL_PAUSE: Duration = Duration::from_secs(10);
/// First pause before an entry that is not there yet is looked for again; it doubles each time.
const ABSENT_PAUSE: Duration = Duration::from_millis(50);
/// How old a look at an entry may be before something is said. The machine asks for `SESSION_SYNC_SECONDS_MAX`, and counts
/// in steps of ten seconds.
const SYNC_AGE: Duration = Duration::from_secs(45);
/// How long it may take until how far a log was read is kept.
const CURSOR_PAUSE: Duration = Duration::from_secs(2);
/// First pause after a node failed; it doubles each time.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// What is known of one watch from outside.
#[derive(Default)]
pub(super) struct Looked {
    answered: AtomicBool,
    at: Mutex<Option<Instant>>,
    wanted: Notify,
}

impl Looked {
    /// Whether it was answered at least once.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether its first answer is so old that it is looked at anew before something is said.
    fn is_old(&self) -> bool {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| at.elapsed() > SYNC_AGE)
    }

    /// Has it looked at now, unless it was lately.
    pub(super) fn want(&self) {
        if self.is_old() {
            self.wanted.notify_one();
        }
    }

    fn now(&self) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// What all watches of a client share.
pub(super) struct Watching {
    pub(super) client: Client,
    entries: Semaphore,
    mailboxes: Mutex<HashMap<NodeKey, Arc<Semaphore>>>,
}

impl Watching {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            entries: Semaphore::new(ENTRIES_WAITING_MAX),
            mailboxes: Mutex::default(),
        }
    }

    /// What a node holds back for mailboxes.
    fn waiting_at(&self, node: &NodeKey) -> Arc<Semaphore> {
        let mut mailboxes = self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = mailboxes.entry(*node);
        Arc::clone(waiting.or_insert_with(|| Arc::new(Semaphore::new(MAILBOXES_WAITING_MAX))))
    }

    /// Says that a watch was answered.
    fn answered(&self, looked: &Looked) {
        if !looked.answered.swap(true, Ordering::Relaxed) {
            self.client.shared.chat.changed.notify_one();
        }
    }

    /// Looks at an entry of a group log until the machine wants to see another one.
    pub(super) async fn node(
        &self,
        handle: GroupHandle,
        entry: GroupEntryId,
        after: u8,
        looked: Arc<Looked>,
    ) -> Result<(), ClientError> {
        let network = &self.client.shared.network;
        let (mut pause, mut absent) = (PAUSE, ABSENT_PAUSE);
        let mut wait = Duration::ZERO;
        loop {
            let permit = self.entries.try_acquire();
            if permit.is_err() && !wait.is_zero() {
                wait = Duration::ZERO;
                tokio::select! {
                    () = tokio::time::sleep(POLL_PAUSE) => {}
                    () = looked.wanted.notified() => {}
                }
            }
            let question = network.group_node(&handle, &entry, after, wait);
            tokio::pin!(question);
            let found = loop {
                tokio::select! {
                    found = &mut question => break found,
                    // Beside the question that is held back, which goes on.
                    () = looked.wanted.notified(), if !wait.is_zero() => {
                        if looked.is_old()
                            && let Ok(found) = network.group_node(&handle, &entry, after, Duration::ZERO).await
                        {
                            self.saw(handle, entry, found, &looked).await?;
                        }
                    }
                }
            };
            drop(permit);
            match found {
                Ok(found) => {
                    pause = PAUSE;
                    match self.saw(handle, entry, found, &looked).await? {
                        None => {
                            // It may be about to come; until then nodes have nothing to hold an answer back for.
                            tokio::time::sleep(absent).await;
                            absent = absent.saturating_mul(2).min(PAUSE_MAX);
                        }
                        Some(children) => {
                            wait = Duration::from_millis(u64::from(WAIT_MS));
                            if children > usize::from(after) {
                                // The machine looks at something else by now, or does not take it.
                                tokio::time::sleep(pause).await;
                            }
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "an entry of a group log could not be looked at");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Gives the machine what there is at an entry; the number of its children, if it is there.
    async fn saw(
        &self,
        handle: GroupHandle,
        entry: GroupEntryId,
        found: Proved<Option<GroupNode>>,
        looked: &Looked,
    ) -> Result<Option<usize>, ClientError> {
        let children = found.value.as_ref().map(|node| node.children.len());
        if let Some(node) = found.value {
            let input = Input::Node {
                handle,
                entry,
                node: Box::new(node),
                height: found.height,
            };
            looked.now();
            report(self.client.step_quietly(input).await?, "an entry");
        }
        self.answered(looked);
        Ok(children)
    }

    /// Reads a mailbox, and whatever comes into it.
    pub(super) async fn mailbox(&self, watch: MailboxWatch, looked: Arc<Looked>) -> Result<(), ClientError> {
        let tag = watch.descriptor.tag();
        loop {
            let nodes = self.client.shared.network.nodes();
            let reading = Reading {
                watching: self,
                watch: &watch,
                looked: &looked,
                needed: usize::from(nodes.quorum().read),
                heights: Mutex::default(),
                given: tokio::sync::Mutex::default(),
                cursors: Mutex::default(),
                moved: Notify::new(),
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
                outcome = reading.keep() => { outcome?; }
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

/// Whether something is to be given again: there is room when authors are looked up, or when what waits is said. Any other
/// error is there the next time too, and must hold nothing else up.
fn is_for_want_of_room<E>(error: &StepError<E>) -> bool {
    match error {
        StepError::Full(_) => true,
        StepError::Refused(refusal) => refusal.why == Why::Full,
        _ => false,
    }
}

/// One mailbox while one node set keeps it.
struct Reading<'a> {
    watching: &'a Watching,
    watch: &'a MailboxWatch,
    looked: &'a Looked,
    needed: usize,
    /// The height at which each node's log was last read to its end.
    heights: Mutex<BTreeMap<NodeKey, Height>>,
    /// The envelopes that the machine was given. One is given at a time, so that a log counts as read only when all that it
    /// lists is.
    given: tokio::sync::Mutex<HashSet<EnvelopeId>>,
    /// How far each node's log is read, where that is not kept yet.
    cursors: Mutex<BTreeMap<NodeKey, LogCursor>>,
    moved: Notify,
}

impl Reading<'_> {
    async fn node(&self, node: NodeKey) -> Result<(), ClientError> {
        let client = &self.watching.client;
        let descriptor = &self.watch.descriptor;
        let (mut walk, wait) = if self.watch.one_shot {
            (LogWalk::new(node, descriptor.tag(), None), WAIT_ONE_SHOT_MS)
        } else {
            (client.walk(&node, descriptor.tag())?, WAIT_MS)
        };
        let waiting = self.watching.waiting_at(&node);
        let mut pause = PAUSE;
        loop {
            let permit = waiting.try_acquire();
            let mut wait_ms = 0;
            if walk.is_complete() {
                if permit.is_ok() {
                    wait_ms = wait;
                } else {
                    tokio::time::sleep(POLL_PAUSE).await;
                }
            }
            let network = &client.shared.network;
            let read = network
                .read_page_of(descriptor, &self.watch.read_key, &node, &mut walk, wait_ms)
                .await?;
            drop(permit);
            let (copies, height, had) = match read {
                // Not before what this client knows itself: a node may say that it had a message long ago.
                Ok((copies, height)) => {
                    let tip = network.tip().map_or(height, |tip| tip.height);
                    (copies, height, height.max(tip))
                }
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
            self.give(copies, had).await?;
            self.settle(&node, &mut walk).await;
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
            loop {
                let stepped = self
                    .watching
                    .client
                    .step(input.clone(), crate::step::Batch::new())
                    .await?;
                // What brings one thing only is asked for again by others.
                let is_over = self.watch.one_shot || !stepped.as_ref().is_err_and(is_for_want_of_room);
                report(stepped, "an envelope");
                if is_over {
                    break;
                }
                tokio::time::sleep(PAUSE_MAX).await;
            }
            given.insert(copy.envelope);
        }
        Ok(())
    }

    /// Notes how far the node's log is read.
    async fn settle(&self, node: &NodeKey, walk: &mut LogWalk) {
        let before = walk.kept().map(|cursor| cursor.next);
        let given = self.given.lock().await;
        let cursor = walk
            .settle(now().to_seconds(), |envelope| given.contains(envelope))
            .cloned();
        drop(given);
        if let Some(cursor) = cursor.filter(|cursor| !self.watch.one_shot && Some(cursor.next) != before) {
            let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
            cursors.insert(*node, cursor);
            drop(cursors);
            self.moved.notify_one();
        }
    }

    /// Keeps from time to time how far the logs are read. Whoever dies before reads a little again, which shows nothing twice.
    async fn keep(&self) -> Result<(), ClientError> {
        loop {
            self.moved.notified().await;
            tokio::time::sleep(CURSOR_PAUSE).await;
            let cursors = core::mem::take(&mut *self.cursors.lock().unwrap_or_else(PoisonError::into_inner));
            let tag = self.watch.descriptor.tag();
            let store = &self.watching.client.shared.store;
            // They share one transaction.
            let kept = cursors
                .into_iter()
                .map(|(node, cursor)| store.write(move |view| Ok(((), state::advance(view, &tag, &node, &cursor)?))));
            try_join_all(kept).await?;
        }
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
        self.watching.answered(self.looked);
        Ok(())
    }
}

/// The height that so many nodes have reached.
fn nth_highest(heights: &BTreeMap<NodeKey, Height>, count: usize) -> Option<Height> {
    let mut all: Vec<Height> = heights.values().copied().collect();
    all.sort_unstable_by(|one, other| other.cmp(one));
    all.get(count.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_given_again_and_nothing_else_is() {
        type Error = StepError<core::convert::Infallible>;
        let refused = |why: Why| Error::from(why);
        assert!(is_for_want_of_room(&Error::Full("messages that wait")));
        assert!(is_for_want_of_room(&refused(Why::Full)));
        for other in [
            refused(Why::Forged),
            Error::Damaged(tokenim_session::step::Table::Group),
            Error::Content,
            Error::UnknownConversation,
        ] {
            assert!(!is_for_want_of_room(&other), "{other}");
        }
    }
}
