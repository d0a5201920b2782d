//! Saying something: it waits in the queue of the conversation, is encrypted for the epoch that this device is in, and
//! waits again if that epoch ends before W nodes keep it.

use super::{
    super::record::{Liveness, MessageRow, Queued, Seen},
    *,
};
use alloc::boxed::Box;
use tokenim_conversation::{
    content::{Body, Content, EpochView, Marks},
    epoch::WrapError,
    order::OrderKey,
    policy::Kind,
};
use tokenim_envelope::MessageId;
use tokenim_mailbox::QuorumReceipt;
use tokenim_wire::{
    BoundedVec, Height,
    limits::{
        SESSION_IN_FLIGHT_MAX, SESSION_MARKS_MAX, SESSION_QUEUE_MAX, SESSION_RECEIPT_MEMBERS_MAX,
        SESSION_SYNC_SECONDS_MAX, SESSION_TYPING_SECONDS,
    },
};

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    pub(super) fn send(&mut self, id: ConversationId, content: Content) -> Step<(), V> {
        let row = self.conversation(&id)?.ok_or(StepError::UnknownConversation)?;
        let handle = row.current.ok_or(StepError::NotInConversation)?;
        let session = self.session(&handle)?.ok_or(StepError::UnknownConversation)?;
        if matches!(session.standing, Standing::Removed | Standing::Stranded) {
            return Err(StepError::NotInConversation);
        }
        if matches!(content, Content::Delivered { .. }) || self.edits_nothing(&id, &self.owner.identity, &content)? {
            return Err(StepError::Content);
        }
        self.queue(&id, &handle, &session, content)?;
        self.progress(&handle)
    }

    /// Puts a content into the queue, and what is to be kept among the messages.
    fn queue(&mut self, id: &ConversationId, handle: &GroupHandle, session: &Session, content: Content) -> Step<(), V> {
        let waiting = self.tx.objects::<Queued>(Table::Queue, id.as_bytes())?;
        if waiting.len() >= SESSION_QUEUE_MAX {
            return Err(StepError::Full("messages that wait"));
        }
        // A hint waits for nothing.
        if matches!(content, Content::Typing) && !waiting.is_empty() {
            return Ok(());
        }
        let message = MessageId::generate(self.rng);
        if let Content::Delete { of } = &content {
            self.erase(id, &self.owner.identity.clone(), of)?;
            // What was never encrypted need not be taken back; nor is anything said in its place.
            let edits = |it: &Queued| matches!(&it.content, Content::Edit { of: edited, .. } if edited == of);
            let unsaid = |it: &Queued| it.placed.is_none() && (it.id == *of || edits(it));
            for (row, it) in waiting.iter().filter(|(_, it)| unsaid(it)) {
                self.tx.delete(Table::Queue, row);
                let kept = it.kept.map_or_else(Vec::new, |kept| kept.to_bytes().to_vec());
                self.tx.delete(Table::Message, &key(&[id.as_bytes(), &kept]));
            }
            if waiting.iter().any(|(_, it)| it.id == *of && unsaid(it)) {
                return Ok(());
            }
        }
        let kept = content.is_kept();
        let order = OrderKey {
            epoch: session.epoch,
            clock: session.clock.get().saturating_add(1),
            device: self.own_device(),
            id: message,
        };
        if kept {
            let row = MessageRow {
                author: self.owner.identity,
                sent: self.now,
                received: self.now,
                content: Some(content.clone()),
                stored: None,
                session: Some(*handle),
                mark: Some(Mark::Queued),
                marks: BoundedVec::empty(),
                gone: None,
                given: None,
            };
            self.keep(id, &order, &row)?;
            self.event(Event::Message(*id, order));
        }
        let queued = Queued {
            id: message,
            sent: self.now,
            placed: None,
            kept: kept.then_some(order),
            content,
        };
        let number = self.number();
        self.tx.put_object(Table::Queue, &queue_key(id, number), &queued)
    }

    /// Keeps a message in its place, until it disappears.
    pub(super) fn keep(&mut self, id: &ConversationId, order: &OrderKey, row: &MessageRow) -> Step<(), V> {
        let row_key = key(&[id.as_bytes(), &order.to_bytes()]);
        self.tx.put_object(Table::Message, &row_key, row)?;
        if let Some(time) = row.gone {
            self.forget_at(time, Forget::Message, &row_key);
        }
        self.saw(id, &row.author, &order.id, &Seen::Kept(*order))
    }

    pub(super) fn saw(&mut self, id: &ConversationId, author: &IdentityId, of: &MessageId, seen: &Seen) -> Step<(), V> {
        self.remember(&key(&[id.as_bytes(), author.as_bytes(), of.as_bytes()]), seen)
    }

    /// What became of a message that came.
    pub(super) fn seen(&self, id: &ConversationId, author: &IdentityId, of: &MessageId) -> Step<Option<Seen>, V> {
        self.tx
            .object(Table::Seen, &key(&[id.as_bytes(), author.as_bytes(), of.as_bytes()]))
    }

    /// Remembers that something came: as long as it may come again, or for good what is kept.
    pub(super) fn remember(&mut self, place: &[u8], seen: &Seen) -> Step<(), V> {
        if !matches!(seen, Seen::Kept(_)) {
            let until = self.later(ENVELOPE_LIFETIME_SECONDS_MAX.saturating_mul(1000));
            self.forget_at(until, Forget::Seen, place);
        }
        self.tx.put_object(Table::Seen, place, seen)
    }

    /// Encrypts what waits in the queue of a conversation, if its session is fit for it.
    pub(super) fn flush(&mut self, id: &ConversationId) -> Step<(), V> {
        let Some(row) = self.conversation(id)? else {
            return Ok(());
        };
        let Some(handle) = row.current else { return Ok(()) };
        let Some(mut session) = self.session(&handle)? else {
            return Ok(());
        };
        let waiting = self.tx.scan(Table::Queue, id.as_bytes(), &[], SESSION_IN_FLIGHT_MAX)?;
        if waiting.is_empty() || !self.may_send(&handle, &mut session, row.with)? {
            return self.save(&handle, &session);
        }
        let open = |(_, rival): &&(_, Session)| rival.closing.is_none();
        if row.with.is_some() && self.rivals(id)?.iter().filter(open).count() > 1 {
            return self.save(&handle, &session);
        }
        let in_flight = self.in_flight(&handle)?.len();
        let room = SESSION_IN_FLIGHT_MAX.saturating_sub(in_flight);
        let keys = self.keys(&handle)?;
        let access = keys.mailbox();
        let roster = self.roster(&handle)?;
        let view = EpochView::of(&session.entry, &roster.authenticator);
        for (queue, value) in waiting.into_iter().take(room) {
            let mut queued = Queued::from_bytes(&value).map_err(|_| StepError::Damaged(Table::Queue))?;
            self.tx.delete(Table::Queue, &queue);
            let number = queue.get(32..).and_then(|number| <[u8; 8]>::try_from(number).ok());
            let number = u64::from_be_bytes(number.ok_or(StepError::Damaged(Table::Queue))?);
            if matches!(queued.content, Content::Typing) && is_stale(queued.sent, self.now) {
                continue;
            }
            let (epoch, clock) = match queued.placed {
                Some(placed) if placed.0 <= session.epoch => placed,
                // Its first time, or it had its place in another session of two people, which came further.
                _ => {
                    let placed = (session.epoch, session.clock.tick());
                    queued.placed = Some(placed);
                    self.place(id, &mut queued, placed)?;
                    if let Some(order) = queued.kept
                        && let Some(time) = roster.context.disappears_at(queued.sent, self.now)
                    {
                        self.disappears(id, &order, time)?;
                    }
                    placed
                }
            };
            let body = Body {
                id: queued.id,
                view,
                epoch,
                clock,
                sent: queued.sent,
                checkpoint: self.checkpoint,
                content: queued.content.clone(),
            };
            let plain = body.encode()?;
            self.group(&handle)?;
            let group = self.groups.get_mut(&handle).ok_or(StepError::Damaged(Table::Group))?;
            group.1 = true;
            let message = group.0.encrypt(&plain, self.rng).map_err(StepError::Session)?;
            let envelope = match keys.wrap(&message, self.expiry(), self.rng) {
                Ok(envelope) => envelope,
                Err(WrapError::Encode(error)) => return Err(error.into()),
                Err(_) => return Err(StepError::Content),
            };
            let sent = key(&[handle.as_bytes(), envelope.id().as_bytes()]);
            self.remember(&sent, &Seen::Passed)?;
            let purpose = Purpose::Message {
                handle,
                epoch: session.epoch,
                number,
                queued: Box::new(queued),
            };
            self.put(&access, envelope.as_bytes(), purpose)?;
        }
        self.save(&handle, &session)
    }

    /// A message of the owner's disappears then.
    fn disappears(&mut self, id: &ConversationId, order: &OrderKey, time: UnixMillis) -> Step<(), V> {
        let row_key = key(&[id.as_bytes(), &order.to_bytes()]);
        self.forget_at(time, Forget::Message, &row_key);
        let Some(mut row) = self.tx.object::<MessageRow>(Table::Message, &row_key)? else {
            return Ok(());
        };
        row.gone = Some(time);
        self.tx.put_object(Table::Message, &row_key, &row)
    }

    /// Gives a message its place, when it is encrypted for the first time.
    fn place(&mut self, id: &ConversationId, queued: &mut Queued, placed: (u64, u64)) -> Step<(), V> {
        let Some(before) = queued.kept else { return Ok(()) };
        let (epoch, clock) = placed;
        let order = OrderKey { epoch, clock, ..before };
        queued.kept = Some(order);
        self.moves(id, &before, &order)
    }

    /// Gives a message that is kept another place.
    pub(super) fn moves(&mut self, id: &ConversationId, before: &OrderKey, order: &OrderKey) -> Step<(), V> {
        let old = key(&[id.as_bytes(), &before.to_bytes()]);
        if before != order
            && let Some(row) = self.tx.object::<MessageRow>(Table::Message, &old)?
        {
            self.tx.delete(Table::Message, &old);
            self.keep(id, order, &row)?;
            self.event(Event::Message(*id, *order));
        }
        Ok(())
    }

    /// Whether messages may be encrypted now: the epoch is the newest that the ledger has, as far as was looked lately; all
    /// devices in it are live, as far as was looked lately; and somebody is there to hear.
    fn may_send(&mut self, handle: &GroupHandle, session: &mut Session, with: Option<IdentityId>) -> Step<bool, V> {
        let bound = SESSION_SYNC_SECONDS_MAX.saturating_mul(1000);
        let synced = session.synced.is_some_and(|synced| self.lately(synced, bound));
        if session.standing != Standing::Active || session.closing.is_some() || session.epoch == 0 {
            return Ok(false);
        }
        // Whom it looks up is looked up while the entry is.
        self.check_liveness(handle, session, true)?;
        // What the ledger already has may end this epoch.
        let children = session.node.as_ref().map_or(0, |node| node.children.len());
        let undecided = children > usize::from(session.judged);
        if undecided || !synced {
            return Ok(false);
        }
        if let Some(with) = with {
            let roster = self.roster(handle)?;
            if !roster.leaves.iter().any(|(identity, _)| *identity == with) {
                return Ok(false);
            }
        }
        if session.liveness == Liveness::Dead {
            // It was late: whoever is to be removed is removed by a commit of this device at once.
            self.plan(handle, session)?;
        }
        Ok(session.liveness == Liveness::Clean)
    }

    /// The messages of a session that are on their way into its mailbox.
    fn in_flight(&self, handle: &GroupHandle) -> Step<Vec<(Vec<u8>, u64, Queued)>, V> {
        let mut found = Vec::new();
        for (key, due) in self.tx.objects::<Due>(Table::Outbox, &[])? {
            if let Purpose::Message {
                handle: of,
                number,
                queued,
                ..
            } = due.purpose
                && of == *handle
            {
                found.push((key, number, *queued));
            }
        }
        Ok(found)
    }

    /// Puts the messages that are on their way back into the queue.
    pub(super) fn withdraw(&mut self, handle: &GroupHandle) -> Step<(), V> {
        for (key, number, queued) in self.in_flight(handle)? {
            self.tx.delete(Table::Outbox, &key);
            self.requeue(handle, number, &queued)?;
        }
        Ok(())
    }

    /// Puts one message back into the queue.
    pub(super) fn requeue(&mut self, handle: &GroupHandle, number: u64, queued: &Queued) -> Step<(), V> {
        // A hint is of no use later.
        if let Some(session) = self.session(handle)?
            && !matches!(queued.content, Content::Typing)
        {
            let row = queue_key(&session.conversation, number);
            self.tx.put_object(Table::Queue, &row, queued)?;
        }
        Ok(())
    }

    /// Says a kept message again, in its place; what was taken back is taken back again.
    pub(super) fn queue_again(&mut self, handle: &GroupHandle, id: &ConversationId, order: &OrderKey) -> Step<(), V> {
        let row_key = key(&[id.as_bytes(), &order.to_bytes()]);
        let Some(mut row) = self.tx.object::<MessageRow>(Table::Message, &row_key)? else {
            return Ok(());
        };
        let mut queued = Queued {
            id: order.id,
            sent: row.sent,
            placed: Some((order.epoch, order.clock)),
            kept: Some(*order),
            content: Content::Delete { of: order.id },
        };
        if let Some(content) = row.content.clone() {
            (queued.content, row.mark, row.session) = (content, Some(Mark::Queued), Some(*handle));
            self.tx.put_object(Table::Message, &row_key, &row)?;
        } else {
            (queued.id, queued.placed, queued.kept) = (MessageId::generate(self.rng), None, None);
        }
        let number = self.number();
        self.tx.put_object(Table::Queue, &queue_key(id, number), &queued)
    }

    /// Says again in the session that goes on what the owner has said in one that is closed, as long as it is not known
    /// that the other one has it.
    pub(super) fn say_again(&mut self, handle: &GroupHandle, session: &Session) -> Step<(), V> {
        let id = session.conversation;
        for (row_key, row) in self.tx.objects::<MessageRow>(Table::Message, id.as_bytes())? {
            let order = row_key.get(32..).and_then(OrderKey::from_bytes);
            let order = order.ok_or(StepError::Damaged(Table::Message))?;
            if order.device == self.own_device() && row.session == Some(*handle) && row.mark == Some(Mark::Stored) {
                self.queue_again(handle, &id, &order)?;
            }
        }
        Ok(())
    }

    /// Takes the receipt of a message.
    pub(super) fn message_stored(&mut self, handle: &GroupHandle, it: &Queued, receipt: &QuorumReceipt) -> Step<(), V> {
        let Some(mut session) = self.session(handle)? else {
            return Ok(());
        };
        let (id, mut kept) = (session.conversation, it.kept);
        if let Content::Delete { of } = &it.content {
            // If it was late, what it takes back is taken back again.
            if let Some(Seen::Kept(order)) = self.seen(&id, &self.owner.identity, of)? {
                kept = Some(order);
            }
        } else if let Some(order) = kept {
            let row_key = key(&[id.as_bytes(), &order.to_bytes()]);
            if let Some(mut row) = self.tx.object::<MessageRow>(Table::Message, &row_key)? {
                row.stored = Some((receipt.tag, receipt.envelope));
                row.session = Some(*handle);
                if row.mark < Some(Mark::Stored) {
                    row.mark = Some(Mark::Stored);
                    self.event(Event::Mark(id, order.id, Mark::Stored));
                }
                self.tx.put_object(Table::Message, &row_key, &row)?;
            }
        }
        if let Some(order) = kept {
            // Readers go by the heights of the nodes too, and the own clock may be wrong.
            let heights = receipt.issuers.iter().map(|issuer| issuer.height);
            let mut recent = core::mem::take(&mut session.recent).into_inner();
            recent.push((order, heights.max().unwrap_or(Height::MAX)));
            let first = recent.len().saturating_sub(SESSION_IN_FLIGHT_MAX);
            session.recent = BoundedVec::try_from_iter(recent.into_iter().skip(first))
                .map_err(|_| StepError::Damaged(Table::Session))?;
            self.save(handle, &session)?;
        }
        self.flush(&id)
    }

    pub(super) fn mark_read(&mut self, id: ConversationId, up_to: OrderKey) -> Step<(), V> {
        let mut row = self.conversation(&id)?.ok_or(StepError::UnknownConversation)?;
        if row.read.is_some_and(|read| read >= up_to) {
            return Ok(());
        }
        let from = row
            .read
            .map_or_else(Vec::new, |read| key(&[id.as_bytes(), &read.to_bytes(), &[0]]));
        let mut ids = Vec::new();
        for (row_key, value) in self.tx.scan(Table::Message, id.as_bytes(), &from, usize::MAX >> 1)? {
            let order = row_key.get(32..).and_then(OrderKey::from_bytes);
            let order = order.ok_or(StepError::Damaged(Table::Message))?;
            if order > up_to {
                break;
            }
            let message = MessageRow::from_bytes(&value).map_err(|_| StepError::Damaged(Table::Message))?;
            if message.author != self.owner.identity {
                ids.push(order.id);
            }
        }
        row.read = Some(up_to);
        self.save_conversation(&id, &row)?;
        let Some(handle) = row.current else { return Ok(()) };
        let latest = ids.len().saturating_sub(SESSION_MARKS_MAX);
        match Marks::new(ids.into_iter().skip(latest)) {
            Ok(ids) => self.receipt(&id, &handle, Content::Read { ids }),
            Err(_) => self.progress(&handle),
        }
    }

    /// Sends a receipt, if that is done here. One for which the queue has no room is dropped: more waits than is ever said.
    fn receipt(&mut self, id: &ConversationId, handle: &GroupHandle, content: Content) -> Step<(), V> {
        if let Some(session) = self.session(handle)?
            && !matches!(session.standing, Standing::Removed | Standing::Stranded)
            && self.sends_receipts(handle)?
        {
            match self.queue(id, handle, &session, content) {
                Ok(()) | Err(StepError::Full(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.progress(handle)
    }

    /// Whether receipts are sent in a session.
    pub(super) fn sends_receipts(&self, handle: &GroupHandle) -> Step<bool, V> {
        if !self.meta.receipts {
            return Ok(false);
        }
        let Some(roster) = self.tx.object::<Roster>(Table::Roster, handle.as_bytes())? else {
            return Ok(false);
        };
        let members = query::members(&roster.context, &roster.leaves).len();
        Ok(roster.context.kind() == Kind::Direct || members <= SESSION_RECEIPT_MEMBERS_MAX)
    }

    /// Says which messages have come since the last time.
    pub(super) fn send_receipts(&mut self, id: &ConversationId) -> Step<(), V> {
        let Some(mut row) = self.conversation(id)? else {
            return Ok(());
        };
        let ids = core::mem::take(&mut row.receipts);
        self.save_conversation(id, &row)?;
        match (row.current, Marks::new(ids)) {
            (Some(handle), Ok(ids)) => self.receipt(id, &handle, Content::Delivered { ids }),
            _ => Ok(()),
        }
    }
}

/// Whether it is too late for a typing hint.
pub(super) fn is_stale(sent: UnixMillis, now: UnixMillis) -> bool {
    now > sent.saturating_add(SESSION_TYPING_SECONDS.saturating_mul(1000))
}

fn queue_key(id: &ConversationId, number: u64) -> Vec<u8> {
    key(&[id.as_bytes(), &number.to_be_bytes()])
}
