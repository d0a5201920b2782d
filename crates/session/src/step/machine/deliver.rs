//! What a message that came does to its conversation.

use super::{
    super::{
        Mark,
        record::{MessageRow, Seen, WaitingRow},
    },
    send::is_stale,
    *,
};
use tokenim_conversation::{content::Content, order::OrderKey};
use tokenim_envelope::MessageId;
use tokenim_wire::BoundedVec;

/// How long receipts are gathered, in milliseconds.
const RECEIPTS_MS: u64 = 1_000;

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    pub(super) fn deliver(&mut self, handle: &GroupHandle, session: &Session, waiting: &WaitingRow) -> Step<(), V> {
        let id = session.conversation;
        let (author, device, body) = (&waiting.author, &waiting.device, &waiting.body);
        if let Err(unknown) = body.content.read(self.known) {
            return Err(StepError::of(Why::Extension(unknown.name), *author));
        }
        let seen_key = key(&[id.as_bytes(), author.as_bytes(), body.id.as_bytes()]);
        let seen: Option<Seen> = self.tx.object(Table::Seen, &seen_key)?;
        match seen {
            Some(Seen::Kept(order)) if self.gives_way(&id, &order)? => {}
            Some(Seen::Kept(_) | Seen::Passed) => return Ok(()),
            _ => {}
        }
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
        if !body.content.is_kept() {
            return self.saw(&id, author, &body.id, &Seen::Passed);
        }
        let erased = seen == Some(Seen::Erased);
        let row = MessageRow {
            author: *author,
            sent: body.sent,
            received: self.now,
            content: (!erased).then(|| body.content.clone()),
            stored: Some(waiting.stored),
            session: Some(*handle),
            mark: None,
            marks: BoundedVec::empty(),
            gone: self.roster(handle)?.context.disappears_at(body.sent, self.now),
            given: None,
        };
        let row_key = key(&[id.as_bytes(), &order.to_bytes()]);
        self.tx.put_object(Table::Message, &row_key, &row)?;
        self.saw(&id, author, &body.id, &Seen::Kept(order))?;
        if let Some(time) = row.gone {
            self.forget_at(time, Forget::Message, &row_key);
        }
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
        if row.receipts.is_empty() {
            self.forget_at(self.later(RECEIPTS_MS), Forget::Receipts, id.as_bytes());
        }
        if row.receipts.push(*message).is_err() {
            self.send_receipts(id)?;
            row = self.conversation(id)?.ok_or(StepError::UnknownConversation)?;
            let first = row.receipts.push(*message);
            debug_assert!(first.is_ok(), "the list was emptied");
            self.forget_at(self.later(RECEIPTS_MS), Forget::Receipts, id.as_bytes());
        }
        self.save_conversation(id, &row)
    }

    /// Somebody has some of the owner's messages, or has read them.
    fn mark(&mut self, id: &ConversationId, author: &IdentityId, ids: &[MessageId], mark: Mark) -> Step<(), V> {
        let own = self.owner.identity;
        if *author == own {
            return Ok(());
        }
        for message in ids {
            let seen_key = key(&[id.as_bytes(), own.as_bytes(), message.as_bytes()]);
            let Some(Seen::Kept(order)) = self.tx.object(Table::Seen, &seen_key)? else {
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
        let seen_key = key(&[id.as_bytes(), author.as_bytes(), of.as_bytes()]);
        match self.tx.object(Table::Seen, &seen_key)? {
            Some(Seen::Kept(order)) => {
                let row_key = key(&[id.as_bytes(), &order.to_bytes()]);
                if let Some(mut row) = self.tx.object::<MessageRow>(Table::Message, &row_key)? {
                    row.content = None;
                    self.tx.put_object(Table::Message, &row_key, &row)?;
                    self.event(Event::Message(*id, order));
                }
                for (row_key, row) in self.tx.objects::<MessageRow>(Table::Message, id.as_bytes())? {
                    if row.author == *author
                        && matches!(&row.content, Some(Content::Edit { of: edited, .. }) if edited == of)
                    {
                        self.tx.delete(Table::Message, &row_key);
                    }
                }
                Ok(())
            }
            Some(Seen::Passed | Seen::Erased) => Ok(()),
            None => self.saw(id, author, of, &Seen::Erased),
        }
    }
}
