//! What comes out of mailboxes.

use super::{
    super::record::{Liveness, Past, Seen, Task, WaitingRow},
    *,
};
use crate::mls::Opened;
use tokenim_conversation::content::{Body, EpochView};
use tokenim_mailbox::MailboxTag;
use tokenim_wire::{
    EnvelopeId, Height,
    limits::{SESSION_ASK_SECONDS, SESSION_GRACE_HEIGHTS, SESSION_PAST_SECONDS, SESSION_WAITING_MAX},
};

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    /// Takes an envelope of one of the mailboxes that are watched.
    pub(super) fn envelope(&mut self, tag: MailboxTag, bytes: &[u8], height: Height) -> Step<(), V> {
        let row: MailboxRow = self
            .tx
            .object(Table::Mailbox, tag.as_bytes())?
            .ok_or(StepError::from(Why::Unknown))?;
        let taken = match row.what {
            Use::Commit => self.commit_envelope(&row.handle, bytes),
            Use::Welcome => self.welcome_part(&tag, bytes),
            Use::Epoch(epoch) => self.message(&row.handle, epoch, tag, bytes, height),
        };
        taken.map_err(|error| self.placed(&row.handle, error))
    }

    /// Says in which conversation something is refused.
    fn placed(&self, handle: &GroupHandle, error: StepError<V::Error>) -> StepError<V::Error> {
        match (error, self.session(handle)) {
            (StepError::Refused(mut refusal), Ok(Some(session))) => {
                refusal.conversation = Some(session.conversation);
                StepError::Refused(refusal)
            }
            (error, _) => error,
        }
    }

    fn message(
        &mut self,
        handle: &GroupHandle,
        epoch: u64,
        tag: MailboxTag,
        bytes: &[u8],
        height: Height,
    ) -> Step<(), V> {
        let envelope = EnvelopeId::of(bytes);
        let seen = key(&[handle.as_bytes(), envelope.as_bytes()]);
        if self.tx.get(Table::Seen, &seen)?.is_some() {
            // It was sent by this device, or came before.
            return Ok(());
        }
        let session = self.session(handle)?.ok_or(StepError::from(Why::Unknown))?;
        let past: Option<Past> = self.tx.object(Table::Past, &past_key(handle, epoch))?;
        let keys = match &past {
            Some(past) => past_keys(past)?,
            None if epoch == session.epoch => self.keys(handle)?,
            None => return Err(StepError::from(Why::Epoch)),
        };
        let message = keys.unwrap(bytes).map_err(|_| Why::Forged)?;
        let opened = match self.open(handle, epoch, &message)? {
            Ok(opened) => opened,
            Err(SessionError::Own) => return self.own_unknown(handle, session, &seen),
            Err(error) => return Err(refused(error, None)),
        };
        // By the leaves of its own epoch: a leaf that was removed since may be somebody else's now.
        let author = match &past {
            Some(past) => past
                .leaves
                .iter()
                .find(|(place, ..)| *place == opened.author)
                .map(|(_, identity, device, removed)| (*identity, *device, *removed)),
            None => {
                let roster = self.roster(handle)?;
                let place = roster.places.iter().position(|place| *place == opened.author);
                let leaf = place.and_then(|place| roster.leaves.get(place));
                leaf.map(|(identity, device)| (*identity, *device, false))
            }
        };
        let (identity, device, removed) = author.ok_or(StepError::from(Why::NotAMember))?;
        let blame = |why| StepError::of(why, identity);
        if opened.epoch != epoch {
            return Err(blame(Why::Epoch));
        }
        if let Some(past) = &past
            && removed
            && height > past.ended.height.saturating_add(SESSION_GRACE_HEIGHTS)
        {
            return Err(blame(Why::Revoked));
        }
        let body = Body::decode(&opened.body).map_err(|_| blame(Why::Malformed))?;
        if body.epoch > epoch {
            return Err(blame(Why::Malformed));
        }
        // Its author stands in the epoch of the message: what it says of it must be what this device knows.
        let (entry, authenticator) = match &past {
            Some(past) => (past.entry, past.authenticator),
            None => (session.entry, self.roster(handle)?.authenticator),
        };
        if body.view != EpochView::of(&entry, &authenticator) {
            self.event(Event::Diverged(session.conversation));
        }
        self.tx.put_object(Table::Seen, &seen, &Seen::Passed)?;
        let until = self.later(ENVELOPE_LIFETIME_SECONDS_MAX.saturating_mul(1000));
        self.forget_at(until, Forget::Seen, &seen);
        // A node may have it that knows only an old ledger.
        let begun = session.node.as_ref().map(|node| node.place);
        let lowest = past.as_ref().map(|past| past.ended).or(begun).map(|place| place.height);
        let waiting = WaitingRow {
            author: identity,
            device,
            epoch,
            height: height.max(lowest.unwrap_or_default()),
            stored: (tag, envelope),
            body,
        };
        if self.knows(&identity, &device, waiting.height) {
            return self.take(handle, &waiting);
        }
        if self
            .tx
            .scan(Table::Waiting, handle.as_bytes(), &[], SESSION_WAITING_MAX)?
            .len()
            >= SESSION_WAITING_MAX
        {
            return Err(blame(Why::Full));
        }
        let number = self.number();
        self.tx.put_object(
            Table::Waiting,
            &key(&[handle.as_bytes(), &number.to_be_bytes()]),
            &waiting,
        )?;
        self.look_up(identity)
    }

    /// Opens a message with the first state at or after its epoch that was kept because somebody was removed then; else
    /// with the current one.
    fn open(&mut self, handle: &GroupHandle, epoch: u64, message: &[u8]) -> Step<Result<Opened, SessionError>, V> {
        let (prefix, from) = (group_key(handle, 2), past_group_key(handle, epoch));
        let past = self.tx.scan(Table::Group, &prefix, &from, 1)?.pop();
        let group = match &past {
            Some((row, _)) => self.stored_group(row)?.ok_or(StepError::Damaged(Table::Group))?,
            None => self.take_group(handle)?,
        };
        // A message that is refused takes this state with it: what is kept is as it was.
        let (group, opened) = match group.open(message) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        match past {
            Some((row, _)) => self.keep_group(&row, group)?,
            None => _ = self.groups.insert(*handle, (group, true)),
        }
        Ok(Ok(opened))
    }

    /// Takes a message whose author's devices are known.
    pub(super) fn take(&mut self, handle: &GroupHandle, waiting: &WaitingRow) -> Step<(), V> {
        let session = self.session(handle)?.ok_or(StepError::from(Why::Unknown))?;
        // A device that is none of the identity's never was a member, whatever the session says; one that is revoked
        // is heard with what it may have said before.
        let at = Height::new(waiting.height.get().saturating_sub(SESSION_GRACE_HEIGHTS));
        if !self.was_not_revoked(&waiting.author, &waiting.device, at) {
            return Err(StepError::of(Why::Revoked, waiting.author));
        }
        self.deliver(handle, &session, waiting)
    }

    /// A message that this very leaf made, and that this device has no record of: its store is an old copy, or somebody
    /// else has one. It renews its keys, so that no key is used twice from the next epoch on.
    fn own_unknown(&mut self, handle: &GroupHandle, mut session: Session, seen: &[u8]) -> Step<(), V> {
        self.tx.put_object(Table::Seen, seen, &Seen::Passed)?;
        let until = self.later(ENVELOPE_LIFETIME_SECONDS_MAX.saturating_mul(1000));
        self.forget_at(until, Forget::Seen, seen);
        let pause = SESSION_ASK_SECONDS.saturating_mul(1000);
        let lately = session.renewed != UnixMillis::ZERO && self.now < session.renewed.saturating_add(pause);
        if session.standing == Standing::Active && !lately {
            session.renewed = self.now;
            self.wish(&mut session, Task::Refresh, 0)?;
            self.save(handle, &session)?;
        }
        self.progress(handle)
    }

    /// A mailbox was read to its end, as it was at this height: before its epoch was over, that says nothing.
    pub(super) fn read(&mut self, tag: MailboxTag, height: Height) -> Step<(), V> {
        let row: MailboxRow = self
            .tx
            .object(Table::Mailbox, tag.as_bytes())?
            .ok_or(StepError::from(Why::Unknown))?;
        let Use::Epoch(epoch) = row.what else { return Ok(()) };
        let past_key = past_key(&row.handle, epoch);
        if let Some(mut past) = self.tx.object::<Past>(Table::Past, &past_key)?
            && height >= past.ended.height
        {
            if !past.read {
                past.read = true;
                self.tx.put_object(Table::Past, &past_key, &past)?;
            }
            let over = past
                .ended
                .time
                .saturating_add(SESSION_PAST_SECONDS.saturating_mul(1000));
            if over <= self.now {
                self.drop_past(&row.handle, epoch, &past)?;
            }
            return self.progress(&row.handle);
        }
        Ok(())
    }

    /// Takes the messages of an identity that waited for it to be looked up.
    pub(super) fn take_waiting(&mut self, identity: &IdentityId) -> Step<(), V> {
        for (row_key, value) in self.tx.scan(Table::Waiting, &[], &[], usize::MAX >> 1)? {
            let waiting = WaitingRow::from_bytes(&value).map_err(|_| StepError::Damaged(Table::Waiting))?;
            if waiting.author != *identity {
                continue;
            }
            if !self.knows(identity, &waiting.device, waiting.height) {
                // The answer was an old one.
                self.look_up(*identity)?;
                continue;
            }
            self.tx.delete(Table::Waiting, &row_key);
            let handle = row_key
                .get(..32)
                .and_then(|handle| GroupHandle::try_from(handle).ok())
                .ok_or(StepError::Damaged(Table::Waiting))?;
            match self
                .take(&handle, &waiting)
                .map_err(|error| self.placed(&handle, error))
            {
                Ok(()) => {}
                Err(StepError::Refused(refusal)) => {
                    Event::refused(refusal).into_iter().for_each(|event| self.event(event))
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Looks again whether all leaves are of live devices; those that are not are to be removed, those that are missing of
    /// the owner's own are to be added.
    pub(super) fn check_liveness(&mut self, handle: &GroupHandle, session: &mut Session) -> Step<(), V> {
        if session.closing.is_some() || session.standing != Standing::Active {
            return Ok(());
        }
        if session.liveness == Liveness::Unknown && self.waits(session)? {
            return Ok(());
        }
        let roster = self.roster(handle)?;
        let identities = query::identities(&roster);
        let bound = self.peer_age(identities.len());
        if session.liveness == Liveness::Clean && self.now < session.checked.saturating_add(bound) {
            return Ok(());
        }
        let mut oldest = self.now;
        session.waits_for = None;
        for identity in &identities {
            match self.checked(identity)? {
                Some(checked) if self.now < checked.saturating_add(bound) => oldest = oldest.min(checked),
                _ => {
                    self.look_up(*identity)?;
                    session.waits_for = Some(*identity);
                }
            }
        }
        if session.waits_for.is_some() {
            session.liveness = Liveness::Unknown;
            return Ok(());
        }
        // What is known may be from before a device was added.
        let begun = session.node.as_ref().map_or(Height::MAX, |node| node.place.height);
        for (identity, device) in &roster.leaves {
            if !self.knows(identity, device, begun) {
                if begun < Height::MAX {
                    self.look_up(*identity)?;
                }
                session.liveness = Liveness::Unknown;
                return Ok(());
            }
        }
        let mut dead = Vec::new();
        for (identity, device) in &roster.leaves {
            if !self.was_live(identity, device, Height::MAX) {
                dead.push((*identity, *device));
            }
        }
        session.checked = oldest;
        if dead.is_empty() {
            session.liveness = Liveness::Clean;
        } else {
            session.liveness = Liveness::Dead;
            for (identity, device) in dead {
                let delay = self.jitter(JITTER_MS);
                self.wish(session, Task::RemoveDevice(identity, device), delay)?;
            }
        }
        self.add_missing(session, &roster)
    }
}

/// How far apart devices are that see the same reason for a commit, in milliseconds: the first one makes it.
pub(super) const JITTER_MS: u64 = 5_000;
