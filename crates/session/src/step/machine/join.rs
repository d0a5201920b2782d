//! What comes from devices beside a session: Welcomes, invitations and requests to be re-added.

use super::{
    super::record::{AWAITED, AwaitedWelcome, HELD, HeldWelcome, Invitation, PackageRow, Task, Wish},
    *,
};
use crate::mls::welcome_packages;
use tokenim_conversation::{
    note::{Note, Readd},
    welcome::{self, Welcome, WelcomePlace},
};
use tokenim_envelope::MessageId;
use tokenim_mailbox::{
    MailboxTag,
    group::{GroupEntryId, GroupNode},
};
use tokenim_wire::{
    BoundedBytes, BoundedVec, EnvelopeId,
    limits::{
        SESSION_ASK_SECONDS, SESSION_INVITATIONS_MAX, SESSION_READD_SECONDS_MIN, SESSION_READDS_MAX,
        SESSION_WELCOME_PARTS_MAX, SESSION_WELCOMES_HELD_MAX, SESSION_WELCOMES_MAX, SESSIONS_DIRECT_MAX,
    },
};

/// How long the parts of a Welcome and its entry are waited for, in milliseconds: a day.
const AWAIT_MS: u64 = 24 * 60 * 60 * 1000;
/// What the rows of their parts begin with.
const PARTS: &[u8] = &[1];

/// What a Welcome leads to.
struct Opened {
    /// The row of the key package that opens it.
    package: Vec<u8>,
    group: Group,
    context: GroupContext,
    /// The other one of two people.
    with: Option<IdentityId>,
    conversation: ConversationId,
}

fn awaited_key(tag: &MailboxTag) -> Vec<u8> {
    key(&[AWAITED, tag.as_bytes()])
}

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    /// Seals a note to a device.
    pub(super) fn note(&mut self, to: IdentityId, device: DeviceId, note: &Note) -> Step<(), V> {
        let body = BoundedBytes::try_from(note.to_bytes()?).map_err(|_| StepError::Full("bytes of a note"))?;
        let id = MessageId::generate(self.rng);
        self.effect(Work::Seal(to, device, id, body), Purpose::Nothing)?;
        Ok(())
    }

    /// Sends the Welcome of a commit that has become an epoch.
    pub(super) fn welcome(
        &mut self,
        handle: &GroupHandle,
        entry: &GroupEntryId,
        added: &[(IdentityId, DeviceId)],
        welcome: &[u8],
    ) -> Step<(), V> {
        if added.is_empty() {
            return Ok(());
        }
        let (welcome, parts) = Welcome::new(*handle, *entry, welcome, self.expiry(), self.rng)
            .map_err(|_| StepError::Full("bytes of a Welcome"))?;
        if let WelcomePlace::Stored(stored) = &welcome.place {
            let access = stored.mailbox();
            for part in parts {
                self.put(&access, part.as_bytes(), Purpose::Nothing)?;
            }
        }
        let note = Note::Welcome(welcome);
        for (identity, device) in added {
            self.note(*identity, *device, &note)?;
        }
        Ok(())
    }

    /// Takes a note.
    pub(super) fn sealed(&mut self, sender: IdentityId, device: DeviceId, body: &[u8]) -> Step<(), V> {
        match Note::from_bytes(body)? {
            Note::Invitation(handle) => self.invitation(sender, device, handle),
            Note::Welcome(welcome) => self.take_welcome(sender, device, welcome),
            Note::Readd(request) => self.readd(sender, device, &request),
            Note::Ask(ask) => self.asked(sender, &ask),
            Note::Page(page) => self.page(sender, device, page),
            Note::Door(handle, word) => self.door_word(sender, device, handle, word),
        }
    }

    fn invitation(&mut self, sender: IdentityId, device: DeviceId, handle: GroupHandle) -> Step<(), V> {
        let session = self.session(&handle)?;
        let is_in = session.is_some_and(|session| session.standing != Standing::Removed);
        let place = key(&[handle.as_bytes(), device.as_bytes()]);
        if is_in || self.tx.get(Table::Invitation, &place)?.is_some() {
            return Ok(());
        }
        let (by, most) = (|row: &Invitation| row.by.0, SESSION_INVITATIONS_MAX);
        if let Some((row, _)) = self.make_room(sender, (Table::Invitation, &[]), by, [most; 2])? {
            self.tx.delete(Table::Invitation, &row);
        }
        let ask_next = self.later(SESSION_ASK_SECONDS.saturating_mul(1000));
        let row = Invitation {
            by: (sender, device),
            ask_next,
            asked: 0,
        };
        self.tx.put_object(Table::Invitation, &place, &row)?;
        self.forget_at(ask_next, Forget::Invitation, &place);
        Ok(())
    }

    /// Which of these rows, as many of which there may be of one sender and of all, gives way to one more if there is no room
    /// for it: by chance, one of whoever has the most, if they are more than this sender has. So nobody shuts others out. The
    /// owner's devices come before all.
    fn make_room<T: Object>(
        &mut self,
        sender: IdentityId,
        (table, rows): (Table, &[u8]),
        by: impl Fn(&T) -> IdentityId,
        [each, all]: [usize; 2],
    ) -> Step<Option<(Vec<u8>, T)>, V> {
        let mut rows: Vec<(_, T)> = self.tx.objects(table, rows)?;
        let mut of: Vec<_> = rows.iter().map(|(_, row)| by(row)).collect();
        of.retain(|of| *of != self.owner.identity);
        let count = |one: &IdentityId| of.iter().filter(|of| *of == one).count();
        let most = of.iter().map(count).max().unwrap_or(0);
        let full = rows.len() >= all;
        if count(&sender) >= each || (full && count(&sender) >= most) {
            return Err(StepError::of(Why::Full, sender));
        }
        rows.retain(|(_, row)| full && count(&by(row)) == most);
        let which = self.jitter(rows.len() as u64);
        Ok(rows.into_iter().nth(usize::try_from(which).unwrap_or(0)))
    }

    fn take_welcome(&mut self, sender: IdentityId, device: DeviceId, welcome: Welcome) -> Step<(), V> {
        let Welcome { handle, entry, place } = welcome;
        if let Some(session) = self.session(&handle)?
            && session.entry == entry
            && !session.is_behind()
        {
            return Err(StepError::of(Why::Replayed, sender));
        }
        let by = (sender, device);
        let stored = match place {
            WelcomePlace::Here(welcome) => return self.hold(&HeldWelcome { by, handle, entry }, &welcome),
            WelcomePlace::Stored(stored) if stored.parts().is_empty() => {
                return Err(StepError::of(Why::Malformed, sender));
            }
            WelcomePlace::Stored(stored) => stored,
        };
        let tag = stored.mailbox().tag();
        if self.tx.get(Table::Part, &awaited_key(&tag))?.is_some() {
            // Others who were added know the place too, and may say something else of it.
            return Ok(());
        }
        let (of, most) = (|row: &AwaitedWelcome| row.by.0, SESSION_WELCOMES_MAX);
        if let Some((_, other)) = self.make_room(sender, (Table::Part, AWAITED), of, [most; 2])? {
            self.drop_welcome(&other.stored.mailbox().tag())?;
        }
        let row = AwaitedWelcome {
            by,
            handle,
            entry,
            stored,
        };
        self.tx.put_object(Table::Part, &awaited_key(&tag), &row)?;
        let what = Use::Welcome;
        self.tx
            .put_object(Table::Mailbox, tag.as_bytes(), &MailboxRow { handle, what })?;
        self.forget_at(self.later(AWAIT_MS), Forget::Part, tag.as_bytes());
        Ok(())
    }

    /// Takes a part of a Welcome; with the last one, the Welcome.
    pub(super) fn welcome_part(&mut self, tag: &MailboxTag, bytes: &[u8]) -> Step<(), V> {
        let awaited: Option<AwaitedWelcome> = self.tx.object(Table::Part, &awaited_key(tag))?;
        let AwaitedWelcome {
            by,
            handle,
            entry,
            stored,
        } = awaited.ok_or(StepError::from(Why::Unknown))?;
        let envelope = EnvelopeId::of(bytes);
        let place = stored.parts().iter().position(|part| *part == envelope);
        // Others who were added may write there too.
        let place = place.and_then(|place| u8::try_from(place).ok()).ok_or(Why::Forged)?;
        let prefix = key(&[PARTS, tag.as_bytes()]);
        self.tx.put(Table::Part, &key(&[&prefix, &[place]]), bytes.to_vec());
        let here = self.tx.scan(Table::Part, &prefix, &[], SESSION_WELCOME_PARTS_MAX)?;
        if here.len() < stored.parts().len() {
            return Ok(());
        }
        let parts: Vec<_> = here.into_iter().map(|(_, part)| part).collect();
        let welcome = stored.open(&parts).map_err(|_| StepError::of(Why::Malformed, by.0))?;
        self.drop_welcome(tag)?;
        self.hold(&HeldWelcome { by, handle, entry }, &welcome)
    }

    pub(super) fn drop_welcome(&mut self, tag: &MailboxTag) -> Step<(), V> {
        let parts = key(&[PARTS, tag.as_bytes()]);
        for (row, _) in self.tx.scan(Table::Part, &parts, &[], SESSION_WELCOME_PARTS_MAX)? {
            self.tx.delete(Table::Part, &row);
        }
        self.tx.delete(Table::Part, &awaited_key(tag));
        self.tx.delete(Table::Mailbox, tag.as_bytes());
        Ok(())
    }

    /// Keeps a Welcome. Nothing else changes before the ledger shows its entry: anybody can make a group and name a handle.
    fn hold(&mut self, held: &HeldWelcome, welcome: &[u8]) -> Step<(), V> {
        if self.open_welcome(held, welcome)?.is_none() {
            return self.ask_for_welcome(held);
        }
        let [row, bytes] = held.rows();
        if self.tx.get(Table::Part, &row)?.is_none() {
            let (by, most) = (
                |row: &HeldWelcome| row.by.0,
                [SESSION_WELCOMES_HELD_MAX, SESSION_INVITATIONS_MAX],
            );
            if let Some((_, other)) = self.make_room(held.by.0, (Table::Part, HELD), by, most)? {
                self.drop_held(&other)?;
            }
        }
        self.tx.put_object(Table::Part, &row, held)?;
        self.tx.put(Table::Part, &bytes, welcome.to_vec());
        self.forget_at(self.later(AWAIT_MS), Forget::Part, &row);
        Ok(())
    }

    /// The Welcome of this row, which goes.
    pub(super) fn drop_held(&mut self, held: &HeldWelcome) -> Step<Option<Vec<u8>>, V> {
        let [row, bytes] = held.rows();
        let welcome = self.tx.get(Table::Part, &bytes)?;
        self.tx.delete(Table::Part, &row);
        self.tx.delete(Table::Part, &bytes);
        Ok(welcome)
    }

    /// Joins by a Welcome that names this entry, now that the ledger shows it, unless this device stands in another epoch. Of
    /// one that does not fit, the sender is told. Whether there was any.
    pub(super) fn take_held(&mut self, handle: &GroupHandle, entry: &GroupEntryId, node: &GroupNode) -> Step<bool, V> {
        let rows: Vec<(_, HeldWelcome)> = self
            .tx
            .objects(Table::Part, &key(&[HELD, handle.as_bytes(), entry.as_bytes()]))?;
        for (_, held) in &rows {
            if self.session(handle)?.is_some_and(|session| !session.is_out()) {
                break;
            }
            let welcome = self.drop_held(held)?.ok_or(StepError::Damaged(Table::Part))?;
            match self.join(held, &welcome, node) {
                Err(StepError::Refused(refusal)) if refusal.why != Why::Replayed => {
                    Event::refused(refusal).into_iter().for_each(|event| self.event(event));
                }
                Ok(()) | Err(StepError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(!rows.is_empty())
    }

    /// The group that a Welcome leads to, and the key package that opens it, if there still is one.
    fn open_welcome(&self, held: &HeldWelcome, welcome: &[u8]) -> Step<Option<Opened>, V> {
        let sender = held.by.0;
        let blame = |why| StepError::of(why, sender);
        let names = welcome_packages(welcome).map_err(|error| refused(error, Some(sender)))?;
        let mut packages = self.tx.objects::<PackageRow>(Table::Package, &[])?;
        packages.retain(|(package, _)| names.iter().any(|name| package.starts_with(name)));
        for (package, row) in packages {
            let group = match Group::join(self.owner, &row.secrets, welcome) {
                Ok(group) => group,
                Err(SessionError::NotForUs | SessionError::Suite) => continue,
                Err(error) => return Err(refused(error, Some(sender))),
            };
            let context = GroupContext::from_bytes(group.context()).map_err(|_| blame(Why::Malformed))?;
            let members: Vec<_> = group.leaves().iter().map(|leaf| (leaf.identity, leaf.device)).collect();
            let own = self.owner.identity;
            let with = welcome::fits(&context, &held.handle, &own, &held.by, &members).map_err(blame)?;
            let conversation = match with {
                Some(other) => ConversationId::between(&own, &other),
                None => ConversationId::group(&held.handle),
            };
            match self.session(&held.handle)? {
                // Nobody brings it back to where it was before.
                Some(kept) if kept.epoch >= group.epoch() => return Err(blame(Why::Replayed)),
                // Whom this device can't follow, only those who were there can bring it back to.
                Some(kept) if kept.is_behind() => {
                    let known = self.roster(&held.handle)?.leaves;
                    if !known.iter().any(|(identity, _)| *identity == sender) {
                        return Err(blame(Why::NotAMember));
                    }
                }
                Some(_) => {}
                None if with.is_some() => {
                    let mut rivals = query::sessions(&self.tx)?;
                    rivals.retain(|(_, session)| session.conversation == conversation);
                    if rivals.len() >= SESSIONS_DIRECT_MAX {
                        return Err(blame(Why::Full));
                    }
                }
                None => {}
            }
            return Ok(Some(Opened {
                package,
                group,
                context,
                with,
                conversation,
            }));
        }
        // It was used, has expired, or was in a store that is lost.
        Ok(None)
    }

    /// Joins a session. The key package goes in the same batch.
    fn join(&mut self, held: &HeldWelcome, welcome: &[u8], node: &GroupNode) -> Step<(), V> {
        let Some(opened) = self.open_welcome(held, welcome)? else {
            return self.ask_for_welcome(held);
        };
        let (handle, id, group) = (held.handle, opened.conversation, opened.group);
        let keys = self.derive(&handle, &group)?;
        if keys.verifying_key() != node.key {
            return Err(StepError::of(Why::Forged, held.by.0));
        }
        let kept = self.session(&handle)?;
        // Where this device was before, it can't go on; what it was in, it reads to the end.
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_behind()) {
            self.leave_epoch(&handle, &mut kept.clone(), &group)?;
        }
        let mut session = self.new_session(id, held.entry, group.epoch())?;
        if let Some(kept) = kept {
            session.root = kept.root;
            session.closing = kept.closing;
        }
        self.use_up(&opened.package)?;
        let announced = self
            .tx
            .scan(Table::Invitation, handle.as_bytes(), &[], SESSION_INVITATIONS_MAX)?;
        for (row, _) in announced {
            self.tx.delete(Table::Invitation, &row);
        }
        self.tx.delete(Table::Joining, handle.as_bytes());
        self.save(&handle, &session)?;
        self.enter(&handle, group, &keys)?;
        self.open_conversation(&id, opened.with, opened.context.name(), handle)?;
        self.act(&id, None)?;
        self.event(Event::Members(id));
        Ok(())
    }

    /// Leaves the epoch that this device can't follow. What was stored in it is still read, of those who are not there any more
    /// what was accepted before its grace was over.
    fn leave_epoch(&mut self, handle: &GroupHandle, session: &mut Session, next: &Group) -> Step<(), V> {
        let node = session.node.as_ref();
        let end = node.and_then(|node| node.children.get(usize::from(session.judged)));
        let end = end.ok_or(StepError::Damaged(Table::Session))?.place;
        let leaves = next.leaves();
        let stays = |of: &(_, _)| leaves.iter().any(|leaf| (leaf.identity, leaf.device) == *of);
        self.end_epoch(handle, session, end, true, |leaf| !stays(leaf))
    }

    /// A Welcome that no key package opens: its sender is asked for another one, if it has not been asked lately.
    fn ask_for_welcome(&mut self, held: &HeldWelcome) -> Step<(), V> {
        let ((sender, device), handle) = (held.by, held.handle);
        if self.session(&handle)?.is_some_and(|session| !session.is_out()) {
            return Err(StepError::of(Why::Replayed, sender));
        }
        self.invitation(sender, device, handle)?;
        // What was announced has come and does not open: there is nothing more to wait for.
        let place = key(&[handle.as_bytes(), device.as_bytes()]);
        let row: Option<Invitation> = self.tx.object(Table::Invitation, &place)?;
        if row.is_some_and(|row| row.asked == 0) {
            self.ask_about_invitation(&place)?;
        }
        Ok(())
    }

    /// Somebody can't follow: it is removed and added again, if this device may do so.
    fn readd(&mut self, sender: IdentityId, device: DeviceId, request: &Readd) -> Step<(), V> {
        let blame = |why| StepError::of(why, sender);
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
        replaced.retain(|(_, at)| self.lately(*at, pause));
        if replaced.iter().any(|(of, _)| *of == device) {
            return Err(blame(Why::Replayed));
        }
        let again = |wish: &&Wish| matches!(wish.task, Task::Add { replace: true, .. });
        if session.wishes.iter().filter(again).count() >= SESSION_READDS_MAX {
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
