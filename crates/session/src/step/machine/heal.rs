//! A device that can't follow asks to be removed and added again.

use super::{super::record::Invitation, *};
use tokenim_conversation::{
    note::{Note, Readd},
    policy::{Kind, Role},
};
use tokenim_mailbox::group::GroupEntryId;
use tokenim_wire::limits::{SESSION_ASK_SECONDS, SESSION_ASKS_MAX};

/// How many devices are asked at a time.
const ASKED_AT_ONCE: usize = 3;
/// The longest pause between two requests, in milliseconds: a day.
const ASK_PAUSE_MS_MAX: u64 = 24 * 60 * 60 * 1000;

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    /// This device can't go on from the epoch in which it stands.
    pub(super) fn fall_behind(&mut self, handle: &GroupHandle, session: &mut Session) -> Step<(), V> {
        session.standing = Standing::Behind;
        session.asked = 0;
        session.others_behind = false;
        self.drop_pending(handle, session);
        self.withdraw(handle)?;
        self.event(Event::Conversation(session.conversation));
        self.ask(handle, session)
    }

    /// Asks some of those who can help: the owner's own devices, then owners and admins, then everybody.
    pub(super) fn ask(&mut self, handle: &GroupHandle, session: &mut Session) -> Step<(), V> {
        if session.asked >= SESSION_ASKS_MAX {
            let action = if session.others_behind {
                session.standing = Standing::Stranded;
                Action::StartAnew
            } else {
                Action::AskToBeReadded
            };
            return self.act(&session.conversation, Some(action));
        }
        let roster = self.roster(handle)?;
        let rank = |identity: &IdentityId| {
            if *identity == self.owner.identity {
                0_u8
            } else if roster.context.kind() == Kind::Direct || roster.context.role(identity) >= Role::Admin {
                1
            } else {
                2
            }
        };
        let own = self.own_device();
        let mut able = roster.leaves.to_vec();
        able.retain(|(_, device)| *device != own);
        able.sort_by_key(|(identity, _)| rank(identity));
        let package = self.package_for_request(roster.suite)?;
        let note = Note::Readd(Readd {
            handle: *handle,
            at: Some(session.entry),
            authenticator: roster.authenticator,
            package,
        });
        let skip = usize::from(session.asked).saturating_mul(ASKED_AT_ONCE);
        let skip = skip.checked_rem(able.len().max(1)).unwrap_or(0);
        for (identity, device) in able.iter().cycle().skip(skip).take(ASKED_AT_ONCE.min(able.len())) {
            self.note(*identity, *device, &note)?;
        }
        let pause = ask_pause(session.asked);
        session.asked = session.asked.saturating_add(1);
        session.ask_next = self.later(pause);
        self.forget_at(session.ask_next, Forget::Session, handle.as_bytes());
        Ok(())
    }

    /// Asks for the Welcome that an invitation has announced, of whoever sent it.
    pub(super) fn ask_about_invitation(&mut self, place: &[u8]) -> Step<(), V> {
        let Some(mut row) = self.tx.object::<Invitation>(Table::Invitation, place)? else {
            return Ok(());
        };
        if row.asked >= SESSION_ASKS_MAX {
            self.tx.delete(Table::Invitation, place);
            return Ok(());
        }
        let handle = place.first_chunk().ok_or(StepError::Damaged(Table::Invitation))?;
        // Which suite the session has, the invitation does not say: the answer to the wrong one is a refusal.
        let mut suites = crate::SessionSuite::ALL.into_iter().rev().cycle();
        let suite = suites
            .nth(usize::from(row.asked))
            .unwrap_or(crate::SessionSuite::PostQuantum);
        let package = self.package_for_request(suite)?;
        let note = Note::Readd(Readd {
            handle: GroupHandle::from_bytes(*handle),
            at: None::<GroupEntryId>,
            authenticator: [0; 32],
            package,
        });
        let (identity, device) = row.by;
        self.note(identity, device, &note)?;
        let pause = ask_pause(row.asked);
        row.asked = row.asked.saturating_add(1);
        row.ask_next = self.later(pause);
        self.tx.put_object(Table::Invitation, place, &row)?;
        self.forget_at(row.ask_next, Forget::Invitation, place);
        Ok(())
    }
}

/// The pause after this many requests, in milliseconds.
fn ask_pause(asked: u8) -> u64 {
    let pause = SESSION_ASK_SECONDS.saturating_mul(1000 << u32::from(asked).min(16));
    pause.min(ASK_PAUSE_MS_MAX)
}
