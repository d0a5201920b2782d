//! The driver: it carries out what is due and looks at what the machine wants to see.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokenim_identity::IdentityId;
use tokenim_mailbox::MailboxTag;
use tokenim_mailbox::group::{GroupEntryId, GroupHandle};
use tokenim_session::step::{self as session, EffectId, Input};
use tokenim_wire::Digest;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::super::{Client, ClientError, Event, now};
use super::watch::{Answered, Watching};
use super::{Chat, ChatEvent, ChatStatus};
use crate::step::state;

/// Effects that are carried out at a time.
const EFFECTS_MAX: usize = 32;
/// How often the store is looked at for what another process on the folder changed.
const LOOK: Duration = Duration::from_secs(1);
/// How often the machine is told that time passes, if it does not ask for it earlier.
const TICK: Duration = Duration::from_secs(10);
/// How often the identities of the members are looked at.
const IDENTITIES_PAUSE: Duration = Duration::from_secs(15);
/// How old the proof of a member's devices may become.
const MEMBER_AGE_MS: u64 = 60_000;
/// What is to be done within so many milliseconds is waited for by [`Chat::settle`].
const SOON_MS: u64 = 10_000;
/// Members whose identities are looked at in one round.
const MEMBERS_PER_ROUND: usize = 128;

/// The work for the conversations of a client, as long as this or a clone of it is kept.
#[derive(Debug, Clone)]
pub struct Running {
    driver: Arc<Driver>,
}

#[derive(Debug)]
pub(super) struct Driver {
    task: JoinHandle<()>,
    failure: tokio::sync::watch::Receiver<Option<Arc<ClientError>>>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// Waits until the work ends, which it does only when the local store fails.
    pub async fn failed(&self) -> Arc<ClientError> {
        let mut failure = self.driver.failure.clone();
        let failed = failure.wait_for(Option::is_some).await;
        match failed.map(|failed| failed.clone()) {
            Ok(Some(error)) => error,
            _ => Arc::new(ClientError::Closed),
        }
    }
}

impl Chat {
    /// Begins the work for all conversations: it reads what comes, sends what waits, follows the ledger, and publishes what
    /// others need to write first. It goes on until the last [`Running`] is dropped; more of them share one work.
    ///
    /// It also follows the contact inbox, as [`Client::follow`] does.
    ///
    /// # Errors
    /// [`ClientError::Locked`].
    pub fn run(&self) -> Result<Running, ClientError> {
        let hub = &self.client.shared.chat;
        let mut running = hub.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = running.upgrade()
            && !driver.task.is_finished()
        {
            return Ok(Running { driver });
        }
        self.client.keys()?;
        let client = self.client.clone();
        let (tell, failure) = tokio::sync::watch::channel(None);
        let task = tokio::spawn(async move {
            let error = drive(client).await.err().unwrap_or(ClientError::Closed);
            // Nobody listening is no failure.
            let _ = tell.send(Some(Arc::new(error)));
        });
        let driver = Arc::new(Driver { task, failure });
        *running = Arc::downgrade(&driver);
        Ok(Running { driver })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Watch {
    Node(GroupHandle, GroupEntryId, u8),
    Mailbox(MailboxTag),
}

struct Driving {
    client: Client,
    watching: Arc<Watching>,
    tasks: JoinSet<Result<(), ClientError>>,
    effects: HashMap<EffectId, AbortHandle>,
    watches: HashMap<Watch, (AbortHandle, Answered)>,
    status: ChatStatus,
    /// The number of the next message of the contact inbox.
    fed: u64,
}

async fn drive(client: Client) -> Result<(), ClientError> {
    let mut events = client.follow()?;
    let fed = client.feed().await?;
    client.pass_time().await?;
    let mut passed = Instant::now();
    let mut driving = Driving {
        watching: Arc::new(Watching::new(client.clone())),
        tasks: JoinSet::new(),
        effects: HashMap::new(),
        watches: HashMap::new(),
        status: ChatStatus::default(),
        fed,
        client: client.clone(),
    };
    driving.tasks.spawn(look_after_identities(client.clone()));
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        driving.look().await?;
        tokio::select! {
            () = client.shared.chat.changed.notified() => {}
            Some(done) = driving.tasks.join_next() => match done {
                Ok(outcome) => outcome?,
                Err(error) if error.is_cancelled() => {}
                Err(_) => return Err(ClientError::Closed),
            },
            event = events.next() => match event {
                None => return Err(ClientError::Closed),
                Some(Event::Failed(error)) => return Err(error),
                Some(Event::Message(received)) => {
                    if received.message.kind == session::SESSION_KIND.get() {
                        driving.fed = client.feed().await?;
                    } else {
                        // Nobody listening is no failure.
                        let _ = client.shared.chat.events.send(ChatEvent::Inbox(received));
                    }
                }
                Some(Event::Coverage { complete, .. }) => driving.status.reached = complete,
                Some(Event::Notice(number, notice)) => {
                    // Nobody listening is no failure.
                    let _ = client.shared.chat.events.send(ChatEvent::Notice(number, notice));
                }
                Some(Event::Caught(_)) => client.note_caught().await?,
                Some(_) => {}
            },
            _ = look.tick() => {
                let wake = client.ask(|view| session::wake(view))?;
                if passed.elapsed() >= TICK || wake.is_some_and(|wake| wake <= now()) {
                    client.pass_time().await?;
                    passed = Instant::now();
                }
            }
        }
    }
}

impl Client {
    async fn pass_time(&self) -> Result<(), ClientError> {
        if let Err(error) = self.step_quietly(Input::Tick).await? {
            tracing::debug!(%error, "time does not pass");
        }
        Ok(())
    }
}

impl Driving {
    /// Begins what is to be begun, and ends what is of no use any more.
    async fn look(&mut self) -> Result<(), ClientError> {
        let mut is_fed = self.client.is_fed(self.fed)?;
        if !is_fed {
            self.fed = self.client.feed().await?;
            is_fed = self.client.is_fed(self.fed)?;
        }
        let resting = self.client.shared.chat.resting();
        let due = self.client.ask(|view| session::due(view, EFFECTS_MAX))?;
        let ids: BTreeSet<EffectId> = due.iter().map(|(id, _)| *id).collect();
        self.effects.retain(|id, task| {
            let wanted = ids.contains(id);
            if !wanted && !task.is_finished() {
                task.abort();
            }
            // One that has ended without an answer is begun anew.
            wanted && !task.is_finished()
        });
        for (id, effect) in due {
            if !self.effects.contains_key(&id) {
                let client = self.client.clone();
                let task = self.tasks.spawn(async move { client.carry_out(id, &effect).await });
                self.effects.insert(id, task);
            }
        }

        let wanted = self.client.ask(|view| session::watches(view))?;
        let mut missing: BTreeMap<Watch, Option<session::MailboxWatch>> = BTreeMap::new();
        for (handle, entry, after) in wanted.nodes {
            missing.insert(Watch::Node(handle, entry, after), None);
        }
        for mailbox in wanted.mailboxes {
            missing.insert(Watch::Mailbox(mailbox.descriptor.tag()), Some(mailbox));
        }
        let gone: Vec<Watch> = self
            .watches
            .keys()
            .filter(|watch| !missing.contains_key(watch))
            .copied()
            .collect();
        for watch in gone {
            if let Some((task, _)) = self.watches.remove(&watch) {
                task.abort();
            }
            if let Watch::Mailbox(tag) = watch {
                self.watching.forget(tag).await?;
            }
        }
        for (watch, mailbox) in missing {
            if self.watches.contains_key(&watch) {
                continue;
            }
            let (watching, answered) = (Arc::clone(&self.watching), Answered::default());
            let tell = answered.clone();
            let task = match (watch, mailbox) {
                (Watch::Node(handle, entry, after), _) => self
                    .tasks
                    .spawn(async move { watching.node(handle, entry, after, tell).await }),
                (Watch::Mailbox(_), Some(mailbox)) => {
                    self.tasks.spawn(async move { watching.mailbox(mailbox, tell).await })
                }
                (Watch::Mailbox(_), None) => continue,
            };
            self.watches.insert(watch, (task, answered));
        }

        self.status.due = ids.len();
        let all = self.watches.values().all(|(_, answered)| answered.get());
        let wake = self.client.ask(|view| session::wake(view))?;
        let soon = wake.is_some_and(|wake| wake.get() < now().get().saturating_add(SOON_MS));
        self.status.settled = self.status.reached && is_fed && all && ids.is_empty() && !soon;
        let status = self.status;
        let hub = &self.client.shared.chat;
        hub.status.send_if_modified(|known| {
            // What a step changes meanwhile is not settled by what was seen before it.
            let mut status = status;
            status.settled &= resting.is_some() && hub.resting() == resting;
            core::mem::replace(known, status) != status
        });
        Ok(())
    }
}

/// Gives the machine the state of every member's identity when it changes, the owner's included.
async fn look_after_identities(client: Client) -> Result<(), ClientError> {
    let mut given: HashMap<IdentityId, (u64, Digest)> = HashMap::new();
    loop {
        let mut met: BTreeSet<IdentityId> = BTreeSet::new();
        for info in client.ask(|view| session::conversations(view))? {
            met.extend(info.with);
            met.extend(info.members.iter().map(|member| member.identity));
        }
        met.remove(&client.shared.identity);
        let oldest = now().get().saturating_sub(MEMBER_AGE_MS);
        let mut round = vec![client.shared.identity];
        for identity in met {
            let pin = client.shared.store.read(|view| state::pin(view, &identity))?;
            let fresh = pin.is_some_and(|pin| pin.time.get() > oldest) && given.contains_key(&identity);
            if !fresh && round.len() < MEMBERS_PER_ROUND {
                round.push(identity);
            }
        }
        for identity in round {
            let pin = client.shared.store.read(|view| state::pin(view, &identity))?;
            let found = client
                .shared
                .network
                .lookup_after(&identity, pin.as_ref(), Duration::from_secs(30))
                .await;
            let found = match found {
                Ok(found) => client.keep_pin(&identity, found).await?,
                Err(error) => {
                    tracing::debug!(%error, "a member could not be looked at");
                    continue;
                }
            };
            let Some(state) = found.state else { continue };
            let mark = (state.seq, state.head);
            if given.get(&identity) == Some(&mark) {
                continue;
            }
            let input = Input::Identity {
                state: Box::new(state),
                height: found.height,
            };
            if let Err(error) = client.step_quietly(input).await? {
                tracing::debug!(%error, "the state of an identity is not taken");
            }
            given.insert(identity, mark);
        }
        tokio::time::sleep(IDENTITIES_PAUSE).await;
    }
}
