//! What comes out of mailboxes.

use super::{
    super::record::{Liveness, Past, Seen, Task, WaitingRow, is_after_grace, peer_ages},
    *,
};
use crate::mls::Opened;
use alloc::collections::BTreeSet;
use tokenim_conversation::content::{Body, EpochView};
use tokenim_mailbox::MailboxTag;
use tokenim_wire::{
    EnvelopeId, Height,
    limits::{SESSION_ASK_SECONDS, SESSION_WAITING_MAX},
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
                .map(|(_, identity, device, _)| (*identity, *device)),
            None => {
                let roster = self.roster(handle)?;
                let place = roster.places.iter().position(|place| *place == opened.author);
                let leaf = place.and_then(|place| roster.leaves.get(place));
                leaf.copied()
            }
        };
        let (identity, device) = author.ok_or(StepError::from(Why::NotAMember))?;
        let blame = |why| StepError::of(why, identity);
        if opened.epoch != epoch {
            return Err(blame(Why::Epoch));
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
        // Also of what is not taken yet: on another ledger it may never be.
        self.seen.extend(body.checkpoint.map(|seen| (identity, seen)));
        self.remember(&seen, &Seen::Passed)?;
        // A node may have it that knows only an old ledger.
        let begun = session.node.as_ref().map(|node| node.place);
        let lowest = past.as_ref().map(|past| past.ended).or(begun).map(|place| place.height);
        let mut waiting = WaitingRow {
            author: identity,
            device,
            epoch,
            height: height.max(lowest.unwrap_or_default()),
            removed: None,
            asking: false,
            stored: (tag, envelope),
            body,
        };
        self.note_removal(handle, &mut waiting)?;
        let knows = self.knows_author(&waiting)?;
        if knows && !self.is_late(&waiting) && !session.may_be_over(epoch, height) {
            return self.take(handle, &waiting);
        }
        let others = self
            .tx
            .scan(Table::Waiting, handle.as_bytes(), &[], SESSION_WAITING_MAX)?;
        if others.len() >= SESSION_WAITING_MAX {
            return Err(blame(Why::Full));
        }
        let row = key(&[handle.as_bytes(), &self.number().to_be_bytes()]);
        self.tx.put_object(Table::Waiting, &row, &waiting)?;
        if knows {
            return self.take_waiting(&identity);
        }
        self.look_up(identity)
    }

    /// Whether a message may have been stored after its author's device was removed or revoked, and the grace was over.
    fn is_late(&self, waiting: &WaitingRow) -> bool {
        waiting.is_late(self.known(&waiting.author).as_ref())
    }

    /// Whether enough is known of a message's author to say whether its device was revoked long before.
    fn knows_author(&self, waiting: &WaitingRow) -> Step<bool, V> {
        let peer = self.peer(&waiting.author)?;
        let recent = peer.is_some_and(|peer| !is_after_grace(waiting.height, peer.height));
        Ok(recent && self.knows(&waiting.author, &waiting.device, waiting.height))
    }

    /// Notes when the author of a message was removed, as far as is known; whether it was, and that is new.
    fn note_removal(&mut self, handle: &GroupHandle, waiting: &mut WaitingRow) -> Step<bool, V> {
        let past: Option<Past> = self.tx.object(Table::Past, &past_key(handle, waiting.epoch))?;
        let late = past.is_some_and(|past| is_after_grace(waiting.height, past.ended.height));
        let open = waiting.removed.is_none() && late;
        if open {
            let mut later = self.past(handle)?;
            later.retain(|(epoch, past)| *epoch >= waiting.epoch && past.removed(&waiting.author, &waiting.device));
            waiting.removed = later.into_iter().map(|(_, past)| past.ended.height).min();
        }
        Ok(open && waiting.removed.is_some())
    }

    /// Takes the messages of a session that waited for what the ledger has of it.
    pub(super) fn take_held_messages(&mut self, handle: &GroupHandle) -> Step<(), V> {
        let waiting = self.tx.objects::<WaitingRow>(Table::Waiting, handle.as_bytes())?;
        let authors: BTreeSet<IdentityId> = waiting.into_iter().map(|(_, waiting)| waiting.author).collect();
        authors.iter().try_for_each(|author| self.take_waiting(author))
    }

    /// Opens a message with the first state at or after its epoch that was kept because somebody was removed then; else
    /// with the current one.
    fn open(&mut self, handle: &GroupHandle, epoch: u64, message: &[u8]) -> Step<Result<Opened, SessionError>, V> {
        let (prefix, from) = (group_key(handle, 2), past_group_key(handle, epoch));
        let past = self.tx.scan(Table::Group, &prefix, &from, 1)?.pop();
        let group = match &past {
            Some((row, _)) => self.stored_group(row)?,
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
        // A device that is none of the identity's never was a member, whatever the session says.
        let known = self.known(&waiting.author);
        if !known.is_some_and(|known| known.has(&waiting.device)) || self.is_late(waiting) {
            return Err(StepError::of(Why::Revoked, waiting.author));
        }
        self.deliver(handle, &session, waiting)
    }

    /// A message that this very leaf made, and that this device has no record of: its store is an old copy, or somebody
    /// else has one. It renews its keys, so that no key is used twice from the next epoch on.
    fn own_unknown(&mut self, handle: &GroupHandle, mut session: Session, seen: &[u8]) -> Step<(), V> {
        self.remember(seen, &Seen::Passed)?;
        let pause = SESSION_ASK_SECONDS.saturating_mul(1000);
        if session.standing == Standing::Active && !self.lately(session.renewed, pause) {
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
        self.take_held_messages(&row.handle)?;
        let past_key = past_key(&row.handle, epoch);
        if let Some(mut past) = self.tx.object::<Past>(Table::Past, &past_key)?
            && height >= past.ended.height
        {
            if !past.read {
                past.read = true;
                self.tx.put_object(Table::Past, &past_key, &past)?;
            }
            if past.over() <= self.now {
                self.drop_past(&row.handle, epoch, &past)?;
            }
            return self.progress(&row.handle);
        }
        Ok(())
    }

    /// Takes the messages of an identity that waited for it, or for their sessions, to be looked at. Of those that may have
    /// come too late, it asks first when that was: of a few at a time.
    pub(super) fn take_waiting(&mut self, identity: &IdentityId) -> Step<(), V> {
        let mut asking: usize = 0;
        for (row_key, value) in self.tx.scan(Table::Waiting, &[], &[], usize::MAX >> 1)? {
            let mut waiting = WaitingRow::from_bytes(&value).map_err(|_| StepError::Damaged(Table::Waiting))?;
            if waiting.author != *identity {
                continue;
            }
            if waiting.asking {
                asking = asking.saturating_add(1);
                continue;
            }
            let Some((Ok(handle), number)) = row_key
                .split_last_chunk()
                .map(|(handle, number)| (GroupHandle::try_from(handle), u64::from_be_bytes(*number)))
            else {
                return Err(StepError::Damaged(Table::Waiting));
            };
            let session = self.session(&handle)?;
            let id = session.as_ref().map(|session| session.conversation);
            if session.is_some_and(|session| session.may_be_over(waiting.epoch, waiting.height)) {
                continue;
            }
            if self.note_removal(&handle, &mut waiting)? {
                self.tx.put_object(Table::Waiting, &row_key, &waiting)?;
            }
            if !self.knows_author(&waiting)? {
                // The answer was an old one.
                self.look_up(*identity)?;
                continue;
            }
            if !self.is_late(&waiting) {
                self.apart(id, |machine| {
                    machine.tx.delete(Table::Waiting, &row_key);
                    machine.take_or_tell(&handle, &waiting)
                })?;
            } else if asking < ASKING_MAX {
                asking = asking.saturating_add(1);
                waiting.asking = true;
                self.tx.put_object(Table::Waiting, &row_key, &waiting)?;
                let (tag, envelope) = waiting.stored;
                self.effect(Work::Acceptance(tag, envelope), Purpose::Acceptance(handle, number))?;
            }
        }
        Ok(())
    }

    /// Takes a message of which the ledger says when it was accepted, or that it was not.
    pub(super) fn accepted(&mut self, handle: &GroupHandle, number: u64, accepted: Option<Height>) -> Step<(), V> {
        let row_key = key(&[handle.as_bytes(), &number.to_be_bytes()]);
        let Some(mut waiting) = self.tx.object::<WaitingRow>(Table::Waiting, &row_key)? else {
            return Ok(());
        };
        self.tx.delete(Table::Waiting, &row_key);
        waiting.height = accepted.unwrap_or(Height::MAX);
        self.take_or_tell(handle, &waiting)?;
        self.take_waiting(&waiting.author)
    }

    /// Takes a message that waited; a refusal is told, and nobody else's input fails by it.
    fn take_or_tell(&mut self, handle: &GroupHandle, waiting: &WaitingRow) -> Step<(), V> {
        match self.take(handle, waiting).map_err(|error| self.placed(handle, error)) {
            Err(StepError::Refused(refusal)) => {
                Event::refused(refusal).into_iter().for_each(|event| self.event(event));
                Ok(())
            }
            taken => taken,
        }
    }

    /// Looks again whether all leaves are of live devices; those that are not are to be removed, those that are missing of
    /// the owner's own are to be added.
    /// Before something is said, look-ups may be less old, and are made anew before they are too old, so that in a
    /// conversation that goes on nothing waits for them.
    pub(super) fn check_liveness(&mut self, handle: &GroupHandle, session: &mut Session, to_send: bool) -> Step<(), V> {
        if session.closing.is_some() || session.standing != Standing::Active {
            return Ok(());
        }
        if session.liveness == Liveness::Unknown && self.waits(session)? {
            return Ok(());
        }
        let roster = self.roster(handle)?;
        let identities = query::identities(&roster.leaves);
        let (soon, bound) = match peer_ages(identities.len()) {
            (sending, _) if to_send => (sending / 2, sending),
            (_, idle) => (idle, idle),
        };
        if session.liveness == Liveness::Clean && self.lately(session.checked, soon) {
            return Ok(());
        }
        let mut oldest = self.now;
        session.waits_for = None;
        for identity in &identities {
            match self.checked(identity)? {
                Some(checked) if self.lately(checked, bound) => {
                    oldest = oldest.min(checked);
                    if !self.lately(checked, soon) {
                        self.look_up(*identity)?;
                    }
                }
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
                self.intend(session, Task::RemoveDevice(identity, device), delay);
            }
        }
        self.add_missing(session, &roster)
    }
}

/// How far apart devices are that see the same reason for a commit, in milliseconds: the first one makes it.
pub(super) const JITTER_MS: u64 = 5_000;

/// Messages of one identity at a time of which the ledger is asked when they were accepted.
const ASKING_MAX: usize = 8;
