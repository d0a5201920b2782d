//! What a message that came does to its conversation.

use super::{
    super::record::{MessageRow, Seen, WaitingRow},
    send::is_stale,
    *,
};
use tokenim_conversation::{content::Content, order::OrderKey};
use tokenim_envelope::MessageId;
use tokenim_wire::{BoundedVec, limits::SESSION_MARKS_MAX};

/// How long receipts are gathered, in milliseconds.
const RECEIPTS_MS: u64 = 1_000;

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    pub(super) fn deliver(&mut self, handle: &GroupHandle, session: &Session, waiting: &WaitingRow) -> Step<(), V> {
        let id = session.conversation;
        let (author, device, body) = (&waiting.author, &waiting.device, &waiting.body);
        if let Err(unknown) = body.content.read(self.known) {
            return Err(StepError::of(Why::Extension(unknown.name), *author));
        }
        let seen = self.seen(&id, author, &body.id)?;
        if body.epoch == session.epoch && waiting.epoch == session.epoch {
            let mut session = session.clone();
            session.clock.observe(body.clock);
            self.save(handle, &session)?;
        }
        let order = OrderKey {
            epoch: body.epoch,
            clock: body.clock,
            device: *device,
            id: body.id,
        };
        match seen {
            Some(Seen::Kept(before)) if self.gives_way(&id, &before)? => {}
            // Of two places that its device gave it, all take the first.
            Some(Seen::Kept(before)) if before.device == *device && order < before => {
                return self.moves(&id, &before, &order);
            }
            Some(Seen::Kept(_) | Seen::Passed) => return Ok(()),
            _ => {}
        }
        let others = *author != self.owner.identity;
        match &body.content {
            Content::Typing => {
                if others && !is_stale(body.sent, self.now) {
                    self.event(Event::Typing(id, *author));
                }
                return Ok(());
            }
            Content::Delivered { ids } => self.mark(&id, author, ids.as_slice(), Mark::Delivered)?,
            Content::Read { ids } => self.mark(&id, author, ids.as_slice(), Mark::Read)?,
            Content::Delete { of } => self.erase(&id, author, of)?,
            _ => {}
        }
        if !body.content.is_kept() || self.edits_nothing(&id, author, &body.content)? {
            return self.saw(&id, author, &body.id, &Seen::Passed);
        }
        let row = MessageRow {
            author: *author,
            sent: body.sent,
            received: self.now,
            content: (seen != Some(Seen::Erased)).then(|| body.content.clone()),
            stored: Some(waiting.stored),
            session: Some(*handle),
            mark: None,
            marks: BoundedVec::empty(),
            gone: self.roster(handle)?.context.disappears_at(body.sent, self.now),
            given: None,
        };
        self.keep(&id, &order, &row)?;
        self.event(Event::Message(id, order));
        if others && body.content.is_message() && self.sends_receipts(handle)? {
            self.owe_receipt(&id, &body.id)?;
        }
        Ok(())
    }

    /// Remembers that a receipt is due, soon, together with others.
    fn owe_receipt(&mut self, id: &ConversationId, message: &MessageId) -> Step<(), V> {
        let Some(mut row) = self.conversation(id)? else {
            return Ok(());
        };
        if row.receipts.len() >= SESSION_MARKS_MAX {
            self.send_receipts(id)?;
            row = self.conversation(id)?.ok_or(StepError::UnknownConversation)?;
        }
        if row.receipts.is_empty() {
            self.forget_at(self.later(RECEIPTS_MS), Forget::Receipts, id.as_bytes());
        }
        (row.receipts.push(*message)).map_err(|_| StepError::Full("receipts"))?;
        self.save_conversation(id, &row)
    }

    /// Somebody has some of the owner's messages, or has read them.
    fn mark(&mut self, id: &ConversationId, author: &IdentityId, ids: &[MessageId], mark: Mark) -> Step<(), V> {
        let own = self.owner.identity;
        if *author == own {
            return Ok(());
        }
        for message in ids {
            let Some(Seen::Kept(order)) = self.seen(id, &own, message)? else {
                continue;
            };
            let row_key = key(&[id.as_bytes(), &order.to_bytes()]);
            let Some(mut row) = self.tx.object::<MessageRow>(Table::Message, &row_key)? else {
                continue;
            };
            match row.marks.as_mut_slice().iter_mut().find(|(of, _)| of == author) {
                Some((_, known)) => *known = mark.max(*known),
                None => {
                    if row.marks.push((*author, mark)).is_err() {
                        continue;
                    }
                }
            }
            // It has come as far as with the last of the other people.
            let mut reached = Mark::Queued;
            if let Some(handle) = self.conversation(id)?.and_then(|row| row.current) {
                let marks = |of: &IdentityId| row.marks.iter().find(|(who, _)| who == of).map(|(_, mark)| *mark);
                let members = query::identities(&self.roster(&handle)?.leaves).into_iter();
                let others = members.filter(|of| *of != own).map(|of| marks(&of));
                reached = others.min().flatten().unwrap_or(Mark::Queued);
            }
            if row.mark.is_some_and(|before| before < reached) {
                row.mark = Some(reached);
                self.event(Event::Mark(*id, *message, reached));
            }
            self.tx.put_object(Table::Message, &row_key, &row)?;
        }
        Ok(())
    }

    /// Takes a message back, now or when it comes, and what its author put in its place.
    pub(super) fn erase(&mut self, id: &ConversationId, author: &IdentityId, of: &MessageId) -> Step<(), V> {
        match self.seen(id, author, of)? {
            Some(Seen::Passed | Seen::Erased) => return Ok(()),
            Some(Seen::Kept(order)) => {
                let row_key = key(&[id.as_bytes(), &order.to_bytes()]);
                if let Some(mut row) = self.tx.object::<MessageRow>(Table::Message, &row_key)? {
                    row.content = None;
                    self.tx.put_object(Table::Message, &row_key, &row)?;
                    self.event(Event::Message(*id, order));
                }
            }
            None => self.saw(id, author, of, &Seen::Erased)?,
        }
        for (row_key, row) in self.tx.objects::<MessageRow>(Table::Message, id.as_bytes())? {
            if matches!(&row.content, Some(Content::Edit { of: it, .. }) if it == of && row.author == *author) {
                self.tx.delete(Table::Message, &row_key);
            }
        }
        Ok(())
    }

    /// Whether something is to take the place of what its author has taken back, or of what is gone.
    pub(super) fn edits_nothing(&self, id: &ConversationId, author: &IdentityId, it: &Content) -> Step<bool, V> {
        let Content::Edit { of, .. } = it else { return Ok(false) };
        let seen = self.seen(id, author, of)?;
        let Some(Seen::Kept(order)) = seen else {
            return Ok(seen.is_some());
        };
        let row_key = key(&[id.as_bytes(), &order.to_bytes()]);
        let row: Option<MessageRow> = self.tx.object(Table::Message, &row_key)?;
        Ok(row.is_none_or(|row| row.content.is_none()))
    }
}
