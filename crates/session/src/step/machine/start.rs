//! Beginning a conversation.

use super::{
    super::record::{Liveness, Task, Wish},
    commit::retain,
    *,
};
use crate::SessionSuite;
use alloc::boxed::Box;
use tokenim_conversation::order::Clock;
use tokenim_mailbox::group::{GroupEntryId, GroupStart, GroupUpdate, LedgerPlace};
use tokenim_wire::{
    BoundedString, BoundedVec, Height,
    limits::{SESSION_POST_QUANTUM_MEMBERS_MAX, SESSIONS_MAX},
};

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    pub(super) fn start_direct(&mut self, with: IdentityId) -> Step<(), V> {
        if with == self.owner.identity {
            return Err(StepError::NotAllowed);
        }
        let id = ConversationId::between(&self.owner.identity, &with);
        if let Some(row) = self.conversation(&id)?
            && let Some(handle) = row.current
            && let Some(session) = self.session(&handle)?
            && !matches!(session.standing, Standing::Removed | Standing::Stranded)
        {
            return Ok(());
        }
        let new = self.new_start();
        let context =
            GroupContext::direct(new.0.handle(), self.owner.identity, with).map_err(|_| StepError::Content)?;
        self.begin(id, Some(with), &[with], SessionSuite::PostQuantum, new, &context)
    }

    pub(super) fn create_group(
        &mut self,
        name: &str,
        members: &[IdentityId],
        suite: Option<SessionSuite>,
    ) -> Step<(), V> {
        let suite = suite.unwrap_or(if members.len() < SESSION_POST_QUANTUM_MEMBERS_MAX {
            SessionSuite::PostQuantum
        } else {
            SessionSuite::Classical
        });
        let new = self.new_start();
        let handle = new.0.handle();
        let context = GroupContext::group(handle, name, self.owner.identity).map_err(|_| StepError::Content)?;
        let id = ConversationId::group(&handle);
        self.begin(id, None, members, suite, new, &context)
    }

    fn new_start(&mut self) -> (GroupStart, EpochKeys) {
        let keys = EpochKeys::start(self.rng);
        let mut nonce = [0; 32];
        self.rng.fill_bytes(&mut nonce);
        let key = keys.verifying_key();
        (GroupStart { nonce, key }, keys)
    }

    /// Makes a session of this device alone, which then invites the others.
    fn begin(
        &mut self,
        id: ConversationId,
        with: Option<IdentityId>,
        members: &[IdentityId],
        suite: SessionSuite,
        (start, keys): (GroupStart, EpochKeys),
        context: &GroupContext,
    ) -> Step<(), V> {
        let handle = start.handle();
        let bytes = context.to_bytes()?;
        let group =
            Group::create(self.owner, suite, &bytes, self.now.to_seconds(), self.rng).map_err(StepError::Session)?;
        let mut session = self.new_session(id, handle.root(), 0)?;
        session.started = true;
        for identity in members.iter().chain([&self.owner.identity]) {
            self.wish(&mut session, Task::Invite(*identity), 0)?;
        }
        self.enter(&handle, group, &keys)?;
        self.save(&handle, &session)?;
        self.open_conversation(&id, with, context.name(), handle)?;
        let start = Box::new(GroupUpdate::Start(start));
        self.effect(Work::Ledger(start), Purpose::Start(handle))?;
        self.progress(&handle)
    }

    /// A session that stands at this entry, so far without anything known from the ledger.
    pub(super) fn new_session(&self, id: ConversationId, entry: GroupEntryId, epoch: u64) -> Step<Session, V> {
        if self.tx.scan(Table::Session, &[], &[], SESSIONS_MAX)?.len() >= SESSIONS_MAX {
            return Err(StepError::Full("conversations"));
        }
        Ok(Session {
            conversation: id,
            standing: Standing::Joining,
            started: false,
            root: None,
            entry,
            epoch,
            since: epoch,
            clock: Clock::default(),
            node: None,
            judged: 0,
            synced: None,
            looked: Height::ZERO,
            wishes: BoundedVec::empty(),
            pending: None,
            liveness: Liveness::Unknown,
            waits_for: None,
            planned: UnixMillis::ZERO,
            checked: UnixMillis::ZERO,
            asked: 0,
            ask_next: UnixMillis::ZERO,
            others_behind: false,
            renewed: UnixMillis::ZERO,
            closing: None,
            recent: BoundedVec::empty(),
            replaced: BoundedVec::empty(),
        })
    }

    /// What is kept of a conversation, or what it begins with.
    pub(super) fn conversation_or_new(
        &self,
        id: &ConversationId,
        with: Option<IdentityId>,
        name: &str,
    ) -> Step<Conversation, V> {
        if let Some(row) = self.conversation(id)? {
            return Ok(row);
        }
        if self.tx.scan(Table::Conversation, &[], &[], SESSIONS_MAX)?.len() >= SESSIONS_MAX {
            return Err(StepError::Full("conversations"));
        }
        Ok(Conversation {
            with,
            name: BoundedString::try_from(name).map_err(|_| StepError::Content)?,
            current: None,
            receipts: BoundedVec::empty(),
            read: None,
            joining: false,
            action: None,
        })
    }

    /// Makes the conversation go on in this session, unless it goes on in another one of the same two people, which is
    /// then left to [`Machine::settle`].
    pub(super) fn open_conversation(
        &mut self,
        id: &ConversationId,
        with: Option<IdentityId>,
        name: &str,
        handle: GroupHandle,
    ) -> Step<(), V> {
        let mut row = self.conversation_or_new(id, with, name)?;
        row.name = BoundedString::try_from(name).map_err(|_| StepError::Content)?;
        row.joining = false;
        let replaces = match row.current {
            None => true,
            Some(current) => self.session(&current)?.is_none_or(|session| {
                matches!(session.standing, Standing::Removed | Standing::Stranded) || session.closing.is_some()
            }),
        };
        if replaces {
            row.current = Some(handle);
            row.action = None;
        }
        self.save_conversation(id, &row)?;
        self.event(Event::Conversation(*id));
        Ok(())
    }

    /// Adds a wish, unless there is one of the kind already.
    pub(super) fn wish(&mut self, session: &mut Session, task: Task, delay_ms: u64) -> Step<(), V> {
        let not_before = self.later(delay_ms);
        if let Some(wish) = session.wishes.as_mut_slice().iter_mut().find(|wish| wish.task == task) {
            wish.not_before = wish.not_before.min(not_before);
            return Ok(());
        }
        let wish = Wish {
            task,
            not_before,
            tries: 0,
            fetching: None,
        };
        let full = |_| StepError::Full("changes that wait");
        session.wishes.push(wish).map_err(full)
    }

    /// The same of what is found again, should there be no room for it now.
    pub(super) fn intend(&mut self, session: &mut Session, task: Task, delay_ms: u64) {
        _ = self.wish(session, task, delay_ms);
    }

    /// The ledger will not have the start: nobody else knows of the session yet.
    pub(super) fn start_failed(&mut self, handle: &GroupHandle) -> Step<(), V> {
        let Some(mut session) = self.session(handle)? else {
            return Ok(());
        };
        session.standing = Standing::Stranded;
        self.save(handle, &session)?;
        self.act(&session.conversation, Some(Action::StartAnew))
    }

    /// Of the sessions of the same two people that are not over, the one whose start stands first on the ledger goes on; the
    /// others are closed, and what the owner said in them is said again. Everybody computes the same, whatever came first.
    pub(super) fn settle(&mut self, id: &ConversationId) -> Step<(), V> {
        let Some(mut row) = self.conversation(id)? else {
            return Ok(());
        };
        if row.with.is_none() {
            return Ok(());
        }
        let rivals = self.rivals(id)?;
        let start = |(handle, session): &(GroupHandle, Session)| Some((session.root?, *handle));
        let starts: Option<Vec<(LedgerPlace, GroupHandle)>> = rivals.iter().map(start).collect();
        let Some((_, winner)) = starts.and_then(|starts| starts.into_iter().min()) else {
            return Ok(());
        };
        if row.current != Some(winner) {
            row.current = Some(winner);
            row.action = None;
            self.save_conversation(id, &row)?;
            self.event(Event::Conversation(*id));
        }
        let news = |(handle, session): &(_, Session)| (*handle == winner) == session.closing.is_some();
        let news = rivals.iter().any(news);
        for (handle, mut session) in rivals {
            if handle == winner {
                // It was closed as long as one before it went on, or nobody has come into it who is there by now.
                if session.closing.take().is_some() {
                    session.liveness = Liveness::Unknown;
                }
                if news {
                    self.invite_other(&handle, &mut session)?;
                    self.save(&handle, &session)?;
                }
                continue;
            }
            if session.closing.is_some() {
                continue;
            }
            let until = self.later(tokenim_wire::limits::SESSION_CLOSING_SECONDS.saturating_mul(1000));
            session.closing = Some(until);
            retain(&mut session, |wish| wish.task == Task::Leave)?;
            self.save(&handle, &session)?;
            self.forget_at(until, Forget::Session, handle.as_bytes());
            self.withdraw(&handle)?;
            self.say_again(&handle, &session)?;
        }
        Ok(())
    }

    /// The sessions of a conversation that are not over.
    pub(super) fn rivals(&self, id: &ConversationId) -> Step<Vec<(GroupHandle, Session)>, V> {
        let mut sessions = query::sessions(&self.tx)?;
        sessions.retain(|(_, session)| {
            session.conversation == *id && !matches!(session.standing, Standing::Removed | Standing::Stranded)
        });
        Ok(sessions)
    }
}
