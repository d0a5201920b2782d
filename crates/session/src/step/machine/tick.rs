//! What is due when time has passed.

use super::{super::record::Liveness, *};

/// Rows of [`Table::Expiry`] that one step works off.
const ROWS_MAX: usize = 256;
/// When what was due and could not be done is tried again, in milliseconds.
const AGAIN_MS: u64 = 3_600_000;

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    pub(super) fn tick(&mut self) -> Step<(), V> {
        self.look_after_stock()?;
        self.send_asks()?;
        self.go_on_with_history()?;
        for (row, _) in self.tx.scan(Table::Expiry, &[], &[], ROWS_MAX)? {
            let Some((time, [number, about @ ..])) = row.split_first_chunk::<8>() else {
                return Err(StepError::Damaged(Table::Expiry));
            };
            if UnixMillis::new(u64::from_be_bytes(*time)) > self.now {
                break;
            }
            self.tx.delete(Table::Expiry, &row);
            let what = Forget::from_number(*number).ok_or(StepError::Damaged(Table::Expiry))?;
            if !self.apart(None, |machine| machine.due(what, about))? {
                self.forget_at(self.later(AGAIN_MS), what, about);
            }
        }
        for (handle, session) in query::sessions(&self.tx)? {
            self.apart(Some(session.conversation), |machine| machine.session_tick(&handle))?;
        }
        Ok(())
    }

    fn session_tick(&mut self, handle: &GroupHandle) -> Step<(), V> {
        // What became of one may have changed another one.
        let Some(mut session) = self
            .session(handle)?
            .filter(|session| session.standing == Standing::Active)
        else {
            return Ok(());
        };
        if session.liveness != Liveness::Dead {
            self.check_liveness(handle, &mut session, false)?;
        }
        self.save(handle, &session)?;
        self.progress(handle)
    }

    fn due(&mut self, what: Forget, about: &[u8]) -> Step<(), V> {
        let damaged = |_| StepError::Damaged(Table::Expiry);
        match what {
            // What had been taken back before it came may have come since.
            Forget::Seen if matches!(self.tx.object(Table::Seen, about)?, Some(Seen::Kept(_))) => {}
            Forget::Seen => self.tx.delete(Table::Seen, about),
            Forget::Part => match about.try_into() {
                Ok(tag) => self.drop_welcome(&tag)?,
                Err(_) => {
                    if let Some(held) = self.tx.object(Table::Part, about)? {
                        self.drop_held(&held)?;
                    }
                }
            },
            Forget::Message => self.disappear(about)?,
            Forget::Receipts => self.send_receipts(&about.try_into().map_err(damaged)?)?,
            Forget::Invitation => self.ask_about_invitation(about)?,
            Forget::Joining => self.joining_over(&about.try_into().map_err(damaged)?)?,
            Forget::Session => self.session_due(&about.try_into().map_err(damaged)?)?,
        }
        Ok(())
    }

    /// A message disappears; its id stays known, so that it does not come back.
    fn disappear(&mut self, row: &[u8]) -> Step<(), V> {
        self.tx.delete(Table::Message, row);
        let (Some(id), Some(order)) = (
            row.get(..32).and_then(|id| ConversationId::try_from(id).ok()),
            row.get(32..).and_then(tokenim_conversation::OrderKey::from_bytes),
        ) else {
            return Err(StepError::Damaged(Table::Expiry));
        };
        self.event(Event::Message(id, order));
        Ok(())
    }

    fn session_due(&mut self, handle: &GroupHandle) -> Step<(), V> {
        let Some(mut session) = self.session(handle)? else {
            return Ok(());
        };
        if session.standing == Standing::Behind && session.ask_next <= self.now {
            self.ask(handle, &mut session)?;
            self.save(handle, &session)?;
        }
        if session.closing.is_some_and(|until| until <= self.now) {
            return self.forget_session(handle);
        }
        for (epoch, past) in self.past(handle)? {
            if (past.read && past.over() <= self.now) || self.is_gone(&past.ended) {
                self.drop_past(handle, epoch, &past)?;
            }
        }
        // The last secrets of a session that this device is no longer in go with its last epoch.
        if session.standing == Standing::Removed && self.past(handle)?.is_empty() {
            self.drop_group(&group_key(handle, CURRENT));
            self.groups.remove(handle);
        }
        Ok(())
    }

    /// Forgets everything of a session but what was said in it.
    pub(super) fn forget_session(&mut self, handle: &GroupHandle) -> Step<(), V> {
        for (epoch, past) in self.past(handle)? {
            self.drop_past(handle, epoch, &past)?;
        }
        if let Some(keys) = keys_of(&self.tx, handle)? {
            self.tx.delete(Table::Mailbox, keys.mailbox().tag().as_bytes());
        }
        for table in [Table::Session, Table::Roster, Table::Keys] {
            self.tx.delete(table, handle.as_bytes());
        }
        for which in [CURRENT, NEXT] {
            self.drop_group(&group_key(handle, which));
        }
        self.groups.remove(handle);
        Ok(())
    }
}
