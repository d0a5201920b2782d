//! What comes from devices beside a session: Welcomes, invitations and requests to be re-added.

use super::{
    super::{
        note::{Note, Readd, WelcomePart, cut, welcome_digest},
        record::{Invitation, PackageRow, Pending, Task},
    },
    *,
};
use tokenim_conversation::policy::{Kind, Role};
use tokenim_envelope::MessageId;
use tokenim_mailbox::group::GroupEntryId;
use tokenim_wire::{
    BoundedBytes, BoundedVec,
    limits::{
        KEY_PACKAGES_MAX, SESSION_ASK_SECONDS, SESSION_INVITATIONS_MAX, SESSION_READD_SECONDS_MIN,
        SESSION_WELCOME_PARTS_KEPT_MAX, SESSION_WELCOME_PARTS_MAX, SESSIONS_DIRECT_MAX,
    },
};

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    /// Seals a note to a device.
    pub(super) fn note(&mut self, to: IdentityId, device: DeviceId, note: &Note) -> Step<(), V> {
        let body = BoundedBytes::try_from(note.to_bytes()?).map_err(|_| StepError::Full("bytes of a note"))?;
        let id = MessageId::generate(self.rng);
        self.effect(Work::Seal(to, device, id, body), Purpose::Nothing)?;
        Ok(())
    }

    /// Sends the Welcome of a commit that has become an epoch.
    pub(super) fn welcome(&mut self, handle: &GroupHandle, entry: &GroupEntryId, pending: &Pending) -> Step<(), V> {
        if pending.added.is_empty() {
            return Ok(());
        }
        let parts = cut(*handle, *entry, &pending.welcome).ok_or(StepError::Full("bytes of a Welcome"))?;
        for (identity, device) in &pending.added {
            for part in &parts {
                self.note(*identity, *device, part)?;
            }
        }
        Ok(())
    }

    /// Takes a note.
    pub(super) fn sealed(&mut self, sender: IdentityId, device: DeviceId, body: &[u8]) -> Step<(), V> {
        match Note::from_bytes(body)? {
            Note::Invitation(handle) => self.invitation(sender, device, handle),
            Note::Welcome(part) => self.welcome_part(sender, device, &part),
            Note::Readd(request) => self.readd(sender, device, &request),
        }
    }

    fn invitation(&mut self, sender: IdentityId, device: DeviceId, handle: GroupHandle) -> Step<(), V> {
        if self.session(&handle)?.is_some() || self.tx.get(Table::Invitation, handle.as_bytes())?.is_some() {
            return Ok(());
        }
        let held = self.tx.scan(Table::Invitation, &[], &[], SESSION_INVITATIONS_MAX)?;
        if held.len() >= SESSION_INVITATIONS_MAX {
            return Err(StepError::Refused(Refusal {
                why: Why::Full,
                author: Some(sender),
            }));
        }
        let ask_next = self.later(SESSION_ASK_SECONDS.saturating_mul(1000));
        let row = Invitation {
            by: (sender, device),
            ask_next,
            asked: 0,
        };
        self.tx.put_object(Table::Invitation, handle.as_bytes(), &row)?;
        self.forget_at(ask_next, Forget::Invitation, handle.as_bytes());
        Ok(())
    }

    fn welcome_part(&mut self, sender: IdentityId, device: DeviceId, part: &WelcomePart) -> Step<(), V> {
        let blame = |why| {
            StepError::Refused(Refusal {
                why,
                author: Some(sender),
            })
        };
        if part.count == 0 || part.index >= part.count || usize::from(part.count) > SESSION_WELCOME_PARTS_MAX {
            return Err(blame(Why::Malformed));
        }
        if let Some(session) = self.session(&part.handle)?
            && session.entry == part.entry
            && session.standing != Standing::Behind
        {
            return Err(blame(Why::Replayed));
        }
        let prefix = key(&[part.handle.as_bytes(), &part.digest]);
        let own = key(&[&prefix, &part.index.to_be_bytes()]);
        if part.count > 1 && self.tx.get(Table::Part, &own)?.is_none() {
            let kept = self.tx.scan(Table::Part, &[], &[], SESSION_WELCOME_PARTS_KEPT_MAX)?;
            if kept.len() >= SESSION_WELCOME_PARTS_KEPT_MAX {
                return Err(blame(Why::Full));
            }
            self.tx.put(Table::Part, &own, part.bytes.to_vec());
            let until = self.later(ENVELOPE_LIFETIME_SECONDS_MAX.saturating_mul(1000));
            self.forget_at(until, Forget::Part, &own);
        }
        let mut welcome = Vec::new();
        if part.count == 1 {
            welcome.extend_from_slice(&part.bytes);
        } else {
            let parts = self.tx.scan(Table::Part, &prefix, &[], usize::from(part.count))?;
            if parts.len() < usize::from(part.count) {
                return Ok(());
            }
            for (row, bytes) in parts {
                welcome.extend_from_slice(&bytes);
                self.tx.delete(Table::Part, &row);
            }
        }
        if welcome_digest(&welcome) != part.digest {
            return Err(blame(Why::Malformed));
        }
        self.join(sender, device, part, &welcome)
    }

    /// Joins a session. The key package goes in the same batch.
    fn join(&mut self, sender: IdentityId, device: DeviceId, part: &WelcomePart, welcome: &[u8]) -> Step<(), V> {
        let handle = part.handle;
        let blame = |why| {
            StepError::Refused(Refusal {
                why,
                author: Some(sender),
            })
        };
        let mut joined = None;
        for (reference, value) in self
            .tx
            .scan(Table::Package, &[], &[], KEY_PACKAGES_MAX.saturating_mul(2))?
        {
            let row = PackageRow::from_bytes(&value).map_err(|_| StepError::Damaged(Table::Package))?;
            match Group::join(self.owner, &row.secrets, welcome) {
                Ok(group) => {
                    joined = Some((reference, group));
                    break;
                }
                Err(SessionError::NotForUs | SessionError::Suite) => {}
                Err(error) => return Err(refused(error, Some(sender))),
            }
        }
        let Some((reference, group)) = joined else {
            // The package is gone: it was used, has expired, or was in a store that is lost.
            return self.ask_for_welcome(sender, device, handle);
        };
        let context = GroupContext::from_bytes(group.context()).map_err(|_| blame(Why::Malformed))?;
        let leaves = group.leaves();
        let is_in = |identity: &IdentityId| leaves.iter().any(|leaf| leaf.identity == *identity);
        if context.handle() != handle {
            return Err(blame(Why::Malformed));
        }
        if !leaves
            .iter()
            .any(|leaf| (leaf.identity, leaf.device) == (sender, device))
        {
            return Err(blame(Why::NotAMember));
        }
        let own = self.owner.identity;
        let with = match context.kind() {
            Kind::Direct => {
                let other = context.roles().iter().map(|(of, _)| *of).find(|of| *of != own);
                let other = other.ok_or(blame(Why::Malformed))?;
                if context.named(&own).is_none() || !leaves.iter().all(|leaf| [own, other].contains(&leaf.identity)) {
                    return Err(blame(Why::NotAllowed));
                }
                Some(other)
            }
            Kind::Group => {
                if context.role(&sender) < Role::Admin && sender != own && !is_in(&own) {
                    return Err(blame(Why::NotAllowed));
                }
                None
            }
        };
        let id = match with {
            Some(other) => ConversationId::between(&own, &other),
            None => ConversationId::group(&handle),
        };
        let kept = self.session(&handle)?;
        if let Some(kept) = &kept {
            if kept.epoch >= group.epoch() && kept.standing != Standing::Behind {
                return Err(blame(Why::Replayed));
            }
            // Where this device was before, it can't go on; what it was removed from, it reads to the end.
            if kept.standing != Standing::Removed {
                self.leave_epoch(&handle, kept)?;
            }
        } else if with.is_some() {
            let rivals = query::sessions(&self.tx)?;
            let rivals = rivals.iter().filter(|(_, session)| session.conversation == id);
            if rivals.count() >= SESSIONS_DIRECT_MAX {
                return Err(blame(Why::Full));
            }
        }
        let keys = self.derive(&handle, &group)?;
        let mut session = self.new_session(id, part.entry, group.epoch())?;
        if let Some(kept) = kept {
            session.root = kept.root;
            session.closing = kept.closing;
        }
        self.tx.delete(Table::Package, &reference);
        self.tx.delete(Table::Invitation, handle.as_bytes());
        self.save(&handle, &session)?;
        self.enter(&handle, group, &keys)?;
        self.open_conversation(&id, with, context.name(), handle)?;
        self.act(&id, None)?;
        self.event(Event::Members(id));
        Ok(())
    }

    /// Forgets the epoch that this device stands in, before it is added anew.
    fn leave_epoch(&mut self, handle: &GroupHandle, session: &Session) -> Step<(), V> {
        for recorded in session.node.iter().flat_map(|node| node.children.iter()) {
            let entry = recorded.child.id()?;
            self.tx
                .delete(Table::Commit, &key(&[handle.as_bytes(), entry.as_bytes()]));
            self.tx.delete(Table::Mailbox, recorded.child.tag.as_bytes());
        }
        self.withdraw(handle)?;
        self.drop_pending(handle, &mut session.clone());
        self.forget_session(handle)
    }

    /// A Welcome that no key package opens: its sender is asked for another one, if it has not been asked lately.
    fn ask_for_welcome(&mut self, sender: IdentityId, device: DeviceId, handle: GroupHandle) -> Step<(), V> {
        if self
            .session(&handle)?
            .is_some_and(|session| session.standing != Standing::Behind)
        {
            return Err(StepError::Refused(Refusal {
                why: Why::Replayed,
                author: Some(sender),
            }));
        }
        self.invitation(sender, device, handle)
    }

    /// Somebody can't follow: it is removed and added again, if this device may do so.
    fn readd(&mut self, sender: IdentityId, device: DeviceId, request: &Readd) -> Step<(), V> {
        let blame = |why| {
            StepError::Refused(Refusal {
                why,
                author: Some(sender),
            })
        };
        let handle = request.handle;
        let mut session = self.session(&handle)?.ok_or(StepError::from(Why::Unknown))?;
        let roster = self.roster(&handle)?;
        if !roster.leaves.iter().any(|(identity, _)| *identity == sender) {
            return Err(blame(Why::NotAMember));
        }
        match session.standing {
            Standing::Active => {}
            Standing::Behind => {
                session.others_behind = true;
                return self.save(&handle, &session);
            }
            _ => return Err(blame(Why::Unknown)),
        }
        if !self.is_package_of(&request.package, &sender, &device, roster.suite) {
            return Err(blame(Why::Malformed));
        }
        let known = if request.at == Some(session.entry) {
            Some(roster.authenticator)
        } else {
            let past = self.past(&handle)?;
            let past = past.iter().find(|(_, past)| request.at == Some(past.entry));
            past.map(|(_, past)| past.authenticator)
        };
        if known.is_some_and(|known| known != request.authenticator) {
            self.event(Event::Diverged(session.conversation));
        }
        let pause = SESSION_READD_SECONDS_MIN.saturating_mul(1000);
        let mut replaced = core::mem::take(&mut session.replaced).into_inner();
        replaced.retain(|(_, at)| self.now < at.saturating_add(pause));
        if replaced.iter().any(|(of, _)| *of == device) {
            return Err(blame(Why::Full));
        }
        replaced.push((device, self.now));
        session.replaced = BoundedVec::try_from(replaced).map_err(|_| blame(Why::Full))?;
        let replace = roster.leaves.contains(&(sender, device));
        let task = Task::Add {
            identity: sender,
            device,
            package: Some(request.package.clone()),
            replace,
        };
        // Others may have been asked too: the owner's own devices go first.
        let delay = if sender == self.owner.identity {
            0
        } else {
            self.jitter(super::receive::JITTER_MS)
        };
        self.wish(&mut session, task, delay)?;
        self.save(&handle, &session)?;
        self.progress(&handle)
    }
}
