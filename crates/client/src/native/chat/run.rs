//! The driver: it carries out what is due and looks at what the machine wants to see.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokenim_identity::IdentityId;
use tokenim_mailbox::MailboxTag;
use tokenim_mailbox::group::{GroupEntryId, GroupHandle};
use tokenim_session::step::{self as session, EffectId, Input};
use tokenim_wire::{Digest, UnixMillis};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::super::{Client, ClientError, Event, now};
use super::turns::Turns;
use super::watch::{Looked, Watching};
use super::{Chat, ChatEvent, ChatStatus};
use crate::step::state;

/// Effects that are read from the store at a time.
const PAGE: usize = 64;
/// How often the store is looked at for what another process on the folder changed.
const LOOK: Duration = Duration::from_secs(1);
/// How often the machine is told that time passes, if it does not ask for it earlier, in milliseconds.
const TICK_MS: u64 = 10_000;
/// How often it is seen to that the identities of the owner and of all members are looked at.
const IDENTITIES_PAUSE: Duration = Duration::from_secs(15);
/// How old the proof of the owner's devices may become.
const OWNER_AGE_MS: u64 = 30_000;
/// How old the proof of a member's devices may become.
const MEMBER_AGE_MS: u64 = 300_000;
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
    turns: Arc<Mutex<Turns>>,
    effects: HashMap<EffectId, AbortHandle>,
    watches: HashMap<Watch, (AbortHandle, Arc<Looked>)>,
    status: ChatStatus,
    /// The number of the next message of the contact inbox.
    fed: u64,
    /// When the machine was told last that time passes.
    ticked: UnixMillis,
    /// When it wants to be told next.
    wake: Option<UnixMillis>,
}

async fn drive(client: Client) -> Result<(), ClientError> {
    let mut events = client.follow()?;
    let fed = client.feed().await?;
    client.pass_time().await?;
    let mut driving = Driving {
        watching: Arc::new(Watching::new(client.clone())),
        tasks: JoinSet::new(),
        turns: Arc::default(),
        effects: HashMap::new(),
        watches: HashMap::new(),
        status: ChatStatus::default(),
        fed,
        ticked: now(),
        wake: None,
        client: client.clone(),
    };
    driving.tasks.spawn(look_after_identities(client.clone()));
    let mut look = Instant::now();
    loop {
        driving.look().await?;
        look = look.min(driving.next_look());
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
            () = tokio::time::sleep_until(look.into()) => {
                look = Instant::now() + LOOK;
                if is_time(now(), driving.ticked, driving.wake) {
                    driving.ticked = now();
                    client.pass_time().await?;
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
    /// When to look again at the latest. What has been due since the last time that passed can't be done yet.
    fn next_look(&self) -> Instant {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.wake(Instant::now());
        let wake = self.wake.filter(|wake| *wake > self.ticked);
        let until = wake.map_or(LOOK, |wake| {
            Duration::from_millis(wake.get().saturating_sub(now().get()))
        });
        let look = Instant::now() + until.min(LOOK);
        turn.map_or(look, |turn| look.min(turn))
    }

    /// Begins what is to be begun, and ends what is of no use any more.
    async fn look(&mut self) -> Result<(), ClientError> {
        let resting = self.client.shared.chat.resting();
        let due = self.begin_effects()?;
        self.begin_watches().await?;
        self.want_entries()?;
        let mut is_fed = self.client.is_fed(self.fed)?;
        if !is_fed {
            self.fed = self.client.feed().await?;
            is_fed = self.client.is_fed(self.fed)?;
        }
        self.status.due = due;
        let all = self.watches.values().all(|(_, looked)| looked.is_answered());
        self.wake = self.client.ask(|view| session::wake(view))?;
        let soon = self
            .wake
            .is_some_and(|wake| wake.get() < now().get().saturating_add(SOON_MS));
        self.status.settled = self.status.reached && is_fed && all && due == 0 && !soon;
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

    /// Carries out what is due; how many effects that are.
    fn begin_effects(&mut self) -> Result<usize, ClientError> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Of the oldest all are read, of the others only those that came since, and whether those that run are due still.
        let mut page = self.client.ask(|view| session::due(view, None, PAGE))?;
        let last = page.last().filter(|_| page.len() == PAGE).map(|(id, _)| *id);
        let mut known: BTreeMap<EffectId, session::Effect> = page.iter().cloned().collect();
        turns.retain_until(last, |id| known.contains_key(id));
        loop {
            for (id, effect) in &page {
                turns.add(*id, matches!(effect, session::Effect::Seal { .. }), Instant::now());
            }
            if page.len() < PAGE {
                break;
            }
            let newest = turns.newest();
            page = self.client.ask(|view| session::due(view, newest, PAGE))?;
        }
        let running: Vec<EffectId> = turns
            .running()
            .filter(|id| last.is_some_and(|last| *id > last))
            .collect();
        for id in running {
            if self.due(id)?.is_none() {
                turns.remove(id);
            }
        }
        for id in turns.begin(Instant::now()) {
            let Some(effect) = known.remove(&id).map_or_else(|| self.due(id), |it| Ok(Some(it)))? else {
                turns.remove(id);
                continue;
            };
            let (client, turns) = (self.client.clone(), Arc::clone(&self.turns));
            let task = self
                .tasks
                .spawn(async move { client.carry_out(id, &effect, &turns).await });
            self.effects.insert(id, task);
        }
        let running: BTreeSet<EffectId> = turns.running().collect();
        self.effects.retain(|id, task| {
            if !running.contains(id) {
                task.abort();
            }
            running.contains(id)
        });
        Ok(turns.len())
    }

    /// An effect, if it is due.
    fn due(&self, id: EffectId) -> Result<Option<session::Effect>, ClientError> {
        let before = id.get().checked_sub(1).map(EffectId::new);
        let next = self.client.ask(|view| session::due(view, before, 1))?.pop();
        Ok(next.filter(|(next, _)| *next == id).map(|(_, effect)| effect))
    }

    /// Looks at what the machine wants to see, and at nothing else any more.
    async fn begin_watches(&mut self) -> Result<(), ClientError> {
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
        for (watch, mailbox) in missing {
            if self.watches.contains_key(&watch) {
                continue;
            }
            let (watching, looked) = (Arc::clone(&self.watching), Arc::<Looked>::default());
            let tell = Arc::clone(&looked);
            let task = match (watch, mailbox) {
                (Watch::Node(handle, entry, after), _) => self
                    .tasks
                    .spawn(async move { watching.node(handle, entry, after, tell).await }),
                (Watch::Mailbox(_), Some(mailbox)) => {
                    self.tasks.spawn(async move { watching.mailbox(mailbox, tell).await })
                }
                (Watch::Mailbox(_), None) => continue,
            };
            self.watches.insert(watch, (task, looked));
        }
        for watch in gone {
            if let Some((task, _)) = self.watches.remove(&watch) {
                task.abort();
            }
            if let Watch::Mailbox(tag) = watch {
                self.watching.forget(tag).await?;
            }
        }
        Ok(())
    }

    /// Has the entries looked at in whose sessions something waits to be said or to be shown, where that was not done
    /// lately: while all is quiet, nodes are asked seldom.
    fn want_entries(&self) -> Result<(), ClientError> {
        let handles = self.client.ask(|view| waiting(view))?;
        for (watch, (_, looked)) in &self.watches {
            if let Watch::Node(handle, ..) = watch
                && handles.contains(handle)
            {
                looked.want();
            }
        }
        Ok(())
    }
}

/// Whether the machine is to be told that time passes: also if the clock is set back behind the last time.
fn is_time(now: UnixMillis, ticked: UnixMillis, wake: Option<UnixMillis>) -> bool {
    now < ticked || now >= ticked.saturating_add(TICK_MS) || wake.is_some_and(|wake| wake <= now)
}

/// The sessions in which something waits to be said, or has come and waits.
fn waiting<V: session::View>(view: &V) -> Result<BTreeSet<GroupHandle>, session::StepError<V::Error>> {
    let mut handles = BTreeSet::new();
    let mut from = Vec::new();
    while let Some((key, _)) = view
        .scan(session::Table::Waiting, &from, 1)
        .map_err(session::StepError::Store)?
        .pop()
    {
        let handle = key.get(..32).and_then(|handle| GroupHandle::try_from(handle).ok());
        let handle = handle.ok_or(session::StepError::Damaged(session::Table::Waiting))?;
        handles.insert(handle);
        from = [handle.as_bytes().as_slice(), &[0xff; 9]].concat();
    }
    from.clear();
    loop {
        let row = view
            .scan(session::Table::Queue, &from, 1)
            .map_err(session::StepError::Store)?;
        let Some((key, _)) = row.into_iter().next() else {
            return Ok(handles);
        };
        let id = key.get(..32).and_then(|id| session::ConversationId::try_from(id).ok());
        let id = id.ok_or(session::StepError::Damaged(session::Table::Queue))?;
        let info = session::conversation(view, id)?;
        handles.extend(info.and_then(|info| info.handle));
        // Behind all rows of this conversation.
        from = [id.as_bytes().as_slice(), &[0xff; 9]].concat();
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
        let mut round = Vec::new();
        let all = core::iter::once((client.shared.identity, OWNER_AGE_MS));
        for (identity, age) in all.chain(met.into_iter().map(|identity| (identity, MEMBER_AGE_MS))) {
            let pin = client.shared.store.read(|view| state::pin(view, &identity))?;
            let fresh = pin.is_some_and(|pin| {
                let mark = pin.state.map(|state| (state.seq, state.head));
                client.shared.network.age_ms(pin.time) < age && mark.is_some() && given.get(&identity) == mark.as_ref()
            });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_also_by_a_clock_that_is_set_back() {
        let at = |seconds: u64| UnixMillis::new(seconds * 1_000);
        assert!(!is_time(at(1_009), at(1_000), None));
        assert!(is_time(at(1_010), at(1_000), None));
        assert!(is_time(at(1_002), at(1_000), Some(at(1_002))));
        assert!(!is_time(at(1_001), at(1_000), Some(at(1_002))));
        assert!(is_time(at(500), at(1_000), None));
        assert!(!is_time(at(501), at(500), Some(at(1_000))));
    }
}
