//! One step: what it has loaded, and the parts that the kinds of input have in common.

use super::{
    Action, Answer, Change, ConversationId, EffectId, Event, Input, Mark, Outcome, Refusal, Standing, StepError, Table,
    View, Why, query,
    record::{
        CURRENT, Conversation, Due, Forget, MailboxRow, Meta, NEXT, Past, Purpose, Roster, Secret, Seen, Session, Use,
        WELCOME, Work, epoch_part, group_key, part_key, past_group_key, past_key,
    },
    tx::{Step, Tx, key},
};
use crate::{
    Owner, SessionError,
    mls::{Group, Parts},
};
use alloc::{collections::BTreeMap, vec::Vec};
use rand_core::CryptoRng;
use tokenim_conversation::{
    epoch::{EpochKeys, MailboxAccess},
    policy::GroupContext,
    query::{commit_parts, keys_of, past_keys},
};
use tokenim_envelope::Checkpoint;
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::group::{GroupChild, GroupEntryId, GroupHandle};
use tokenim_wire::{BoundedBytes, BoundedVec, Object, UnixMillis, UnixSeconds, limits::ENVELOPE_LIFETIME_SECONDS_MAX};
use zeroize::Zeroizing;

mod commit;
mod deliver;
mod door;
mod follow;
mod heal;
mod history;
mod join;
mod peers;
mod receive;
mod send;
mod start;
mod stock;
mod tick;

/// Seconds by which what is stored expires earlier than nodes would allow, so that clocks need not agree.
const EXPIRY_MARGIN_SECONDS: u64 = 60 * 60;

/// One step under way.
pub(crate) struct Machine<'a, V, R> {
    tx: Tx<'a, V>,
    owner: &'a Owner,
    known: &'a [&'a str],
    checkpoint: Option<Checkpoint>,
    now: UnixMillis,
    rng: &'a mut R,
    meta: Meta,
    events: Vec<Event>,
    seen: Vec<(IdentityId, Checkpoint)>,
    /// States of MLS that were loaded, and whether they have changed.
    groups: BTreeMap<GroupHandle, (Group, bool)>,
}

impl<'a, V: View, R: CryptoRng> Machine<'a, V, R> {
    pub(crate) fn new(
        view: &'a V,
        owner: &'a Owner,
        known: &'a [&'a str],
        checkpoint: Option<Checkpoint>,
        now: UnixMillis,
        rng: &'a mut R,
    ) -> Step<Self, V> {
        let tx = Tx::new(view);
        let meta = tx.object(Table::Meta, b"meta")?.unwrap_or(Meta {
            next: 0,
            receipts: true,
            published: None,
            born: now,
            pages: 0,
        });
        Ok(Self {
            tx,
            owner,
            known,
            checkpoint,
            now,
            rng,
            meta,
            events: Vec::new(),
            seen: Vec::new(),
            groups: BTreeMap::new(),
        })
    }

    pub(crate) fn finish(mut self) -> Step<Outcome, V> {
        let before: Option<Meta> = self.tx.object(Table::Meta, b"meta")?;
        if before.as_ref() != Some(&self.meta) {
            self.tx.put_object(Table::Meta, b"meta", &self.meta)?;
        }
        self.keep_groups()?;
        Ok(Outcome {
            batch: self.tx.finish(),
            events: self.events,
            seen: self.seen,
        })
    }

    fn keep_groups(&mut self) -> Step<(), V> {
        for (handle, (group, changed)) in core::mem::take(&mut self.groups) {
            if changed {
                self.keep_group(&group_key(&handle, CURRENT), group)?;
            } else {
                self.groups.insert(handle, (group, false));
            }
        }
        Ok(())
    }

    /// Does what nothing else is to fail by; whether it could be done. Else it is undone, and told unless it only finds no room.
    fn apart(&mut self, of: Option<ConversationId>, work: impl FnOnce(&mut Self) -> Step<(), V>) -> Step<bool, V> {
        self.keep_groups()?;
        let before = (self.tx.changes(), self.events.len(), self.seen.len(), self.meta.clone());
        let error = match work(self).and_then(|()| self.keep_groups()) {
            Ok(()) => return Ok(true),
            Err(StepError::Store(error)) => return Err(StepError::Store(error)),
            Err(error) => error,
        };
        self.tx.undo(before.0);
        self.events.truncate(before.1);
        self.seen.truncate(before.2);
        self.meta = before.3;
        self.groups.clear();
        if !matches!(error, StepError::Full(_)) {
            self.event(Event::Damaged(of));
        }
        Ok(false)
    }

    pub(crate) fn input(&mut self, input: Input) -> Step<(), V> {
        match input {
            Input::StartDirect { with } => self.start_direct(with),
            Input::CreateGroup { name, members, suite } => self.create_group(&name, &members, suite),
            Input::Change { conversation, change } => self.change(conversation, change),
            Input::Send { conversation, content } => self.send(conversation, content),
            Input::MarkRead { conversation, up_to } => self.mark_read(conversation, up_to),
            Input::MakeLink {
                conversation,
                lifetime_seconds,
            } => self.make_link(conversation, lifetime_seconds),
            Input::RevokeLink { conversation, link } => self.revoke_link(conversation, link),
            Input::AskToJoin { link } => self.ask_to_join(&link),
            Input::AnswerRequest {
                conversation,
                identity,
                admit,
            } => self.answer_request(conversation, identity, admit),
            Input::GiveHistory { device, since } => self.give_history(device, since),
            Input::Settings { receipts } => {
                self.meta.receipts = receipts;
                Ok(())
            }
            Input::Done(effect, answer) => self.done(effect, answer),
            Input::Node {
                handle,
                entry,
                node,
                height,
            } => self.node(handle, entry, *node, height),
            Input::Envelope { tag, bytes, height } => self.envelope(tag, &bytes, height),
            Input::Read { tag, height } => self.read(tag, height),
            Input::Sealed { sender, device, body } => self.sealed(sender, device, &body),
            Input::Identity { state, height } => {
                let identity = state.id;
                self.identity(identity, Some(*state), height)
            }
            Input::Tick => self.tick(),
        }
    }

    /// Takes the answer to an effect. One that is no longer due is ignored: it was answered before, or withdrawn.
    fn done(&mut self, effect: EffectId, answer: Answer) -> Step<(), V> {
        let key = effect.get().to_be_bytes();
        let Some(due) = self.tx.object::<Due>(Table::Outbox, &key)? else {
            return Ok(());
        };
        self.tx.delete(Table::Outbox, &key);
        match (due.purpose, answer) {
            (Purpose::Message { handle, queued, .. }, Answer::Stored(receipt)) => {
                self.message_stored(&handle, &queued, &receipt)
            }
            (
                Purpose::Message {
                    handle, number, queued, ..
                },
                Answer::Failed,
            ) => {
                self.requeue(&handle, number, &queued)?;
                self.progress(&handle)
            }
            (Purpose::Commit(handle), answer) => self.commit_done(&handle, effect, answer),
            (Purpose::Start(handle), Answer::Failed) => self.start_failed(&handle),
            (Purpose::Package(handle, identity, device), answer) => {
                let package = match answer {
                    Answer::Package(package) => package,
                    _ => None,
                };
                self.package_fetched(&handle, identity, device, package)
            }
            (Purpose::Lookup(identity), Answer::Identity(state, height)) => {
                self.identity(identity, state.map(|state| *state), height)
            }
            (Purpose::Lookup(identity), _) => self.lookup_failed(identity),
            (Purpose::Acceptance(handle, number), Answer::Accepted(height)) => self.accepted(&handle, number, height),
            (Purpose::History(device), answer) => self.page_given(device, matches!(answer, Answer::Sealed)),
            _ => Ok(()),
        }
    }

    // Rows.

    fn session(&self, handle: &GroupHandle) -> Step<Option<Session>, V> {
        self.tx.object(Table::Session, handle.as_bytes())
    }

    fn save(&mut self, handle: &GroupHandle, session: &Session) -> Step<(), V> {
        self.tx.put_object(Table::Session, handle.as_bytes(), session)
    }

    fn conversation(&self, id: &ConversationId) -> Step<Option<Conversation>, V> {
        self.tx.object(Table::Conversation, id.as_bytes())
    }

    fn save_conversation(&mut self, id: &ConversationId, row: &Conversation) -> Step<(), V> {
        self.tx.put_object(Table::Conversation, id.as_bytes(), row)
    }

    fn roster(&self, handle: &GroupHandle) -> Step<Roster, V> {
        self.tx
            .object(Table::Roster, handle.as_bytes())?
            .ok_or(StepError::Damaged(Table::Roster))
    }

    fn keys(&self, handle: &GroupHandle) -> Step<EpochKeys, V> {
        keys_of(&self.tx, handle)?.ok_or(StepError::Damaged(Table::Keys))
    }

    /// The state of MLS of the current epoch.
    fn group(&mut self, handle: &GroupHandle) -> Step<&mut Group, V> {
        if !self.groups.contains_key(handle) {
            let group = self.stored_group(&group_key(handle, CURRENT))?;
            self.groups.insert(*handle, (group, false));
        }
        let group = self.groups.get_mut(handle).map(|(group, _)| group);
        group.ok_or(StepError::Damaged(Table::Group))
    }

    /// The same, to be given back. What has changed of it is kept before.
    fn take_group(&mut self, handle: &GroupHandle) -> Step<Group, V> {
        self.group(handle)?;
        let (group, changed) = self.groups.remove(handle).ok_or(StepError::Damaged(Table::Group))?;
        if changed {
            self.keep_group(&group_key(handle, CURRENT), group.clone())?;
        }
        Ok(group)
    }

    fn stored_group(&self, row: &[u8]) -> Step<Group, V> {
        let part = |row: &[u8]| Step::<_, V>::Ok(self.tx.get(Table::Group, row)?.map(Zeroizing::new));
        let (Some(message), Some(epoch)) = (part(row)?, part(&epoch_part(row))?) else {
            return Err(StepError::Damaged(Table::Group));
        };
        Group::from_parts(self.owner.network, &message, &epoch).map_err(StepError::Session)
    }

    /// Keeps a state of MLS. The part that messages leave as it is, the larger one, is not written again.
    fn keep_group(&mut self, row: &[u8], group: Group) -> Step<(), V> {
        let Parts { message, epoch } = group.into_parts().map_err(StepError::Session)?;
        let before = self.tx.get(Table::Group, &epoch_part(row))?.map(Zeroizing::new);
        if before.as_ref() != Some(&epoch) {
            self.tx.put(Table::Group, &epoch_part(row), epoch.to_vec());
        }
        self.tx.put(Table::Group, row, message.to_vec());
        Ok(())
    }

    fn drop_group(&mut self, row: &[u8]) {
        self.tx.delete(Table::Group, row);
        self.tx.delete(Table::Group, &epoch_part(row));
    }

    /// Makes this the state of MLS of the current epoch, with its keys, mailbox and roster.
    fn enter(&mut self, handle: &GroupHandle, group: Group, keys: &EpochKeys) -> Step<(), V> {
        let context = context_of(&group)?;
        let leaves = group.leaves();
        let roster = Roster {
            suite: group.suite(),
            authenticator: group.authenticator().map_err(StepError::Session)?,
            context,
            leaves: BoundedVec::try_from_iter(leaves.iter().map(|leaf| (leaf.identity, leaf.device)))
                .map_err(|_| StepError::Full("devices in a session"))?,
            places: BoundedVec::try_from_iter(leaves.iter().map(|leaf| leaf.index))
                .map_err(|_| StepError::Full("devices in a session"))?,
        };
        self.tx.put_object(Table::Roster, handle.as_bytes(), &roster)?;
        self.tx.put(Table::Keys, handle.as_bytes(), keys.to_bytes().to_vec());
        let mailbox = MailboxRow {
            handle: *handle,
            what: Use::Epoch(group.epoch()),
        };
        let tag = keys.mailbox().tag();
        self.tx.put_object(Table::Mailbox, tag.as_bytes(), &mailbox)?;
        self.groups.insert(*handle, (group, true));
        Ok(())
    }

    /// Has an envelope put into a mailbox.
    fn put(&mut self, access: &MailboxAccess, envelope: &[u8], purpose: Purpose) -> Step<EffectId, V> {
        let bytes = BoundedBytes::try_from(envelope).map_err(|_| StepError::Full("bytes of an envelope"))?;
        let key = Secret::from_bytes(*access.write.expose_seed());
        self.effect(Work::Put(access.descriptor, key, bytes), purpose)
    }

    /// Appends an effect.
    fn effect(&mut self, work: Work, purpose: Purpose) -> Step<EffectId, V> {
        let id = self.number();
        self.tx
            .put_object(Table::Outbox, &id.to_be_bytes(), &Due { work, purpose })?;
        Ok(EffectId::new(id))
    }

    /// A number that never comes again on this device.
    fn number(&mut self) -> u64 {
        let number = self.meta.next;
        self.meta.next = number.saturating_add(1);
        number
    }

    /// Remembers to look at something again.
    fn forget_at(&mut self, time: UnixMillis, what: Forget, row: &[u8]) {
        let key = key(&[&time.get().to_be_bytes(), &[what as u8], row]);
        self.tx.put(Table::Expiry, &key, Vec::new());
    }

    fn event(&mut self, event: Event) {
        if !self.events.contains(&event) {
            self.events.push(event);
        }
    }

    fn act(&mut self, conversation: &ConversationId, action: Option<Action>) -> Step<(), V> {
        let Some(mut row) = self.conversation(conversation)? else {
            return Ok(());
        };
        if row.action != action {
            row.action = action;
            self.save_conversation(conversation, &row)?;
            if let Some(action) = action {
                self.event(Event::Action(*conversation, action));
            }
        }
        Ok(())
    }

    /// Some milliseconds below `bound`, at random.
    fn jitter(&mut self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.rng.fill_bytes(&mut bytes);
        u64::from_be_bytes(bytes).checked_rem(bound.max(1)).unwrap_or(0)
    }

    fn later(&self, milliseconds: u64) -> UnixMillis {
        self.now.saturating_add(milliseconds)
    }

    /// Whether something was less long ago. What lies ahead is none of that: the clock was wrong then, or is now.
    fn lately(&self, then: UnixMillis, milliseconds: u64) -> bool {
        then <= self.now && self.now < then.saturating_add(milliseconds)
    }

    /// Until when what is stored now is kept.
    fn expiry(&self) -> UnixSeconds {
        let lifetime = ENVELOPE_LIFETIME_SECONDS_MAX.saturating_sub(EXPIRY_MARGIN_SECONDS);
        self.now.to_seconds().saturating_add(lifetime)
    }

    fn own_device(&self) -> DeviceId {
        self.owner.device_id()
    }

    fn past(&self, handle: &GroupHandle) -> Step<Vec<(u64, Past)>, V> {
        let rows = self.tx.objects(Table::Past, handle.as_bytes())?.into_iter();
        let epoch = |key: &[u8]| Some(u64::from_be_bytes(key.get(32..)?.try_into().ok()?));
        rows.map(|(key, past)| Ok((epoch(&key).ok_or(StepError::Damaged(Table::Past))?, past)))
            .collect()
    }
}

/// The terms of a group.
pub(crate) fn context_of<E>(group: &Group) -> Result<GroupContext, StepError<E>> {
    GroupContext::from_bytes(group.context()).map_err(|_| StepError::Damaged(Table::Group))
}

/// The fault of whoever made this commit, Welcome or message; of the own state, if it is that.
fn refused<E>(error: SessionError, author: Option<IdentityId>) -> StepError<E> {
    match why(&error) {
        Some(why) => StepError::Refused(Refusal::of(why, author)),
        None => StepError::Session(error),
    }
}

/// Whose fault an error of MLS is: why it is refused, or `None` if it is this device's own.
fn why(error: &SessionError) -> Option<Why> {
    Some(match error {
        SessionError::Malformed | SessionError::Suite | SessionError::Context | SessionError::Empty => Why::Malformed,
        SessionError::Session | SessionError::NotForUs => Why::Unknown,
        SessionError::Epoch { .. } => Why::Epoch,
        SessionError::Replayed => Why::Replayed,
        SessionError::Own | SessionError::TooFarAhead | SessionError::Forged | SessionError::Certificate(_) => {
            Why::Forged
        }
        SessionError::NotAMember | SessionError::NoLeaf(_) => Why::NotAMember,
        SessionError::Forbidden(_) => Why::NotAllowed,
        _ => return None,
    })
}
