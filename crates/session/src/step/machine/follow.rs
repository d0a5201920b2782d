//! Following the ledger: from an epoch to the first valid entry after it.

use super::{
    super::record::{Liveness, Past, Task},
    commit::{drop_add, retain},
    *,
};
use crate::mls::{Applied, Leaf};
use tokenim_conversation::{
    child::{self, AppliedCommit, Flaw, Garbage, OtherEnvelope, Parent, Verdict},
    order::Clock,
    policy::{self, Forbidden, Kind, MemberDevice, Role},
};
use tokenim_mailbox::group::{GroupEntryId, GroupNode, LedgerPlace, RecordedChild};
use tokenim_wire::{
    BoundedVec, EnvelopeId, Height,
    limits::{GROUP_CHILDREN_MAX, SESSION_PAST_EPOCHS_MAX, SESSION_PAST_SECONDS},
};

/// The next epoch, as an entry makes it.
struct Next {
    /// The state of MLS; `None` if this device is removed.
    group: Option<Group>,
    added: Vec<(IdentityId, DeviceId)>,
    removed: Vec<(IdentityId, DeviceId)>,
    own: bool,
}

/// What this device makes of an entry.
enum Judgement {
    /// Something has to be fetched before, or somebody be looked up.
    Open(Option<IdentityId>),
    /// It is skipped.
    Skip(Garbage),
    /// This device can't follow it, though others may.
    Lost,
    /// It is the next epoch.
    Go(alloc::boxed::Box<Next>),
}

/// How often a look at the ledger that brings nothing new is written down, in milliseconds.
const SYNC_STEP_MS: u64 = 10_000;

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    /// Takes what the ledger has under an entry.
    pub(super) fn node(
        &mut self,
        handle: GroupHandle,
        entry: GroupEntryId,
        node: GroupNode,
        at: Height,
    ) -> Step<(), V> {
        let wanted = |known: bool| known.then_some(()).ok_or(StepError::from(Why::Unknown));
        let mut known = self.take_held(&handle, &entry, &node)?;
        let Some(mut session) = self.session(&handle)? else {
            return wanted(known);
        };
        if entry == handle.root() && session.root.is_none() {
            session.root = Some(node.place);
            self.save(&handle, &session)?;
            self.settle(&session.conversation)?;
            session = self.session(&handle)?.ok_or(StepError::Damaged(Table::Session))?;
            known = true;
        }
        if entry != session.entry {
            return wanted(known);
        }
        if node.key != self.keys_of_entry(&handle, &session)? {
            return Err(StepError::from(Why::Forged));
        }
        let fresh = session
            .node
            .as_ref()
            .is_none_or(|kept| kept.children.len() <= node.children.len());
        if fresh {
            let begins = session.node.is_none();
            let known = session.node.as_ref().map_or(0, |node| node.children.len());
            self.open_commit_mailboxes(&handle, &node, known)?;
            session.node = Some(node);
            session.looked = session.looked.max(at);
            let stale = |synced: UnixMillis| !self.lately(synced, SYNC_STEP_MS);
            if session.synced.is_none_or(stale) {
                session.synced = Some(self.now);
            }
            if session.standing == Standing::Joining {
                session.standing = Standing::Active;
                self.event(Event::Conversation(session.conversation));
            }
            if begins {
                self.check_liveness(&handle, &mut session, false)?;
            }
            self.save(&handle, &session)?;
            self.take_held_messages(&handle)?;
        }
        self.progress(&handle)
    }

    /// From now on, what is in the mailboxes of these commits is taken. A child can't name any other mailbox.
    fn open_commit_mailboxes(&mut self, handle: &GroupHandle, node: &GroupNode, known: usize) -> Step<(), V> {
        for recorded in node.children.iter().skip(known) {
            let Some(keys) = keys_of(&self.tx, handle)? else {
                return Ok(());
            };
            let child = &recorded.child;
            if keys.commit_mailbox(&child.commitment).tag() == child.tag {
                let row = MailboxRow {
                    handle: *handle,
                    what: Use::Commit,
                };
                self.tx.put_object(Table::Mailbox, child.tag.as_bytes(), &row)?;
            }
        }
        Ok(())
    }

    fn keys_of_entry(&self, handle: &GroupHandle, session: &Session) -> Step<tokenim_identity::EpochKey, V> {
        match keys_of(&self.tx, handle)? {
            Some(keys) => Ok(keys.verifying_key()),
            // Removed: what follows is no concern of this device any more.
            None => session
                .node
                .as_ref()
                .map(|node| node.key)
                .ok_or(StepError::from(Why::Unknown)),
        }
    }

    /// Goes on as far as what is known allows: to newer epochs, then with what is to be changed, then with what is to be
    /// said.
    pub(super) fn progress(&mut self, handle: &GroupHandle) -> Step<(), V> {
        let Some(mut session) = self.session(handle)? else {
            return Ok(());
        };
        while session.standing == Standing::Active && self.follow(handle, &mut session)? {}
        self.plan(handle, &mut session)?;
        self.save(handle, &session)?;
        self.flush(&session.conversation)
    }

    /// Judges the children of the current entry; goes on to the first valid one. Whether it did.
    fn follow(&mut self, handle: &GroupHandle, session: &mut Session) -> Step<bool, V> {
        let Some(node) = session.node.clone() else {
            return Ok(false);
        };
        if node.children.len() <= usize::from(session.judged)
            || self.waits(session)?
            || !self.has_room_for_past(handle)?
        {
            return Ok(false);
        }
        for recorded in node.children.iter().skip(usize::from(session.judged)) {
            match self.judge(handle, session, recorded)? {
                Judgement::Open(one) => {
                    session.waits_for = one;
                    return Ok(false);
                }
                Judgement::Lost => {
                    self.repeat_late(handle, session, recorded)?;
                    self.fall_behind(handle, session)?;
                    return Ok(false);
                }
                Judgement::Skip(garbage) => {
                    session.judged = session.judged.saturating_add(1);
                    let entry = recorded.child.id()?;
                    self.drop_parts(handle, &entry, &recorded.child);
                    if session.pending.as_ref().is_some_and(|pending| pending.entry == entry) {
                        self.drop_pending(handle, session);
                    }
                    self.name_culprit(handle, session, &garbage)?;
                }
                Judgement::Go(next) => {
                    self.go(handle, session, recorded, *next)?;
                    return Ok(true);
                }
            }
        }
        if usize::from(session.judged) >= GROUP_CHILDREN_MAX {
            session.standing = Standing::Stranded;
            self.drop_pending(handle, session);
            self.event(Event::Conversation(session.conversation));
            self.act(&session.conversation, Some(Action::StartAnew))?;
            self.save(handle, session)?;
            self.settle(&session.conversation)?;
        }
        Ok(false)
    }

    fn name_culprit(&mut self, handle: &GroupHandle, session: &Session, garbage: &Garbage) -> Step<(), V> {
        // A device that is revoked just before its commit comes to the ledger does nothing wrong.
        if let Flaw::Forbidden(Forbidden::AuthorRevoked | Forbidden::AddNotLive) = garbage.why {
            return Ok(());
        }
        let leaves = self.group(handle)?.leaves();
        let culprit = leaves.iter().find(|leaf| garbage.author == Some(leaf.index));
        if let Some(Leaf { identity, .. }) = culprit.copied() {
            let conversation = session.conversation;
            self.event(Event::Culprit { conversation, identity });
        }
        Ok(())
    }

    fn judge(&mut self, handle: &GroupHandle, session: &Session, recorded: &RecordedChild) -> Step<Judgement, V> {
        let child = &recorded.child;
        let entry = child.id()?;
        let before = self.roster(handle)?.context;
        let group = self.group(handle)?.clone();
        if let Some(pending) = session.pending.as_ref().filter(|pending| pending.entry == entry) {
            let next = self.stored_group(&group_key(handle, NEXT))?;
            let (added, removed) = (pending.added.to_vec(), pending.removed.to_vec());
            let after = GroupContext::from_bytes(next.context()).ok();
            let permitted = self.permitted(&group, &before, after.as_ref(), group.own(), &added, &removed, recorded)?;
            return Ok(match permitted {
                Err(one) => Judgement::Open(Some(one)),
                Ok(Err(forbidden)) => Judgement::Skip(Garbage::by(group.own(), Flaw::Forbidden(forbidden))),
                Ok(Ok(())) => Judgement::Go(alloc::boxed::Box::new(Next {
                    group: Some(next),
                    added,
                    removed,
                    own: true,
                })),
            });
        }
        let keys = self.keys(handle)?;
        let parent = Parent {
            network: &self.owner.network,
            handle: *handle,
            entry: session.entry,
            keys: &keys,
        };
        let author = match child::inspect(&parent, child, |leaf, message, signature| {
            group.verify_author(leaf, message, signature)
        }) {
            Ok(author) => author,
            Err(garbage) => return Ok(Judgement::Skip(garbage)),
        };
        if author == group.own() {
            // It signed this, and does not know it any more: its store is an old copy.
            return Ok(Judgement::Lost);
        }
        // With a part that is missing nothing is said: the ledger has proof that it is stored.
        let Some(parts) = commit_parts(&self.tx, handle, child)? else {
            let gone = self.is_gone(&recorded.place);
            return Ok(if gone { Judgement::Lost } else { Judgement::Open(None) });
        };
        let commit = match child::open_commit(&parent, child, author, &parts) {
            Ok(Ok(commit)) => commit,
            Ok(Err(garbage)) => return Ok(Judgement::Skip(garbage)),
            Err(OtherEnvelope) => return Err(StepError::Damaged(Table::Commit)),
        };
        let applied = match group.apply(&commit, recorded.place.time.to_seconds()) {
            Ok(applied) => Some(applied),
            // This leaf made it, and somebody else says that it is theirs.
            Err(SessionError::Own) => return Ok(Judgement::Skip(Garbage::by(author, Flaw::Author))),
            Err(error @ (SessionError::Path | SessionError::NoKey)) => {
                // Nobody follows a device that was not live, so nobody is lost by it.
                let live = self.permitted(&group, &before, Some(&before), author, &[], &[], recorded)?;
                return Ok(match live {
                    Err(one) => Judgement::Open(Some(one)),
                    Ok(Err(forbidden)) => Judgement::Skip(Garbage::by(author, Flaw::Forbidden(forbidden))),
                    Ok(Ok(())) => {
                        // A key that is lacking is the fault of whoever sent the Welcome.
                        let (author, why) = ((error == SessionError::Path).then_some(author), Flaw::NotApplied);
                        self.name_culprit(handle, session, &Garbage { author, why })?;
                        Judgement::Lost
                    }
                });
            }
            Err(error) if why(&error).is_some() => None,
            Err(error) => return Err(StepError::Session(error)),
        };
        let applied = match applied {
            None => None,
            Some(applied) => match self.weigh(handle, &group, &before, applied, recorded)? {
                Err(one) => return Ok(Judgement::Open(Some(one))),
                Ok(weighed) => Some(weighed),
            },
        };
        let own = (self.owner.identity, self.own_device());
        Ok(match child::judge(child, author, applied) {
            // It was added anew, perhaps with a key package that an earlier Welcome has used up.
            Verdict::Valid { state, .. } if state.group.is_none() && state.added.contains(&own) => Judgement::Lost,
            Verdict::Valid { state, .. } => Judgement::Go(alloc::boxed::Box::new(state)),
            Verdict::Garbage(garbage) => Judgement::Skip(garbage),
        })
    }

    /// What applying a commit gave, with the rights of its author; or who has to be looked up before.
    fn weigh(
        &mut self,
        handle: &GroupHandle,
        group: &Group,
        before: &GroupContext,
        applied: Applied,
        recorded: &RecordedChild,
    ) -> Step<Result<AppliedCommit<Next>, IdentityId>, V> {
        let pairs = |leaves: &[Leaf]| -> Vec<_> { leaves.iter().map(|leaf| (leaf.identity, leaf.device)).collect() };
        let (added, removed) = (pairs(&applied.added), pairs(&applied.removed));
        let after = match &applied.next {
            Some(next) => GroupContext::from_bytes(next.context()).ok(),
            // Whoever is removed can't see the new context, and need not judge it.
            None => Some(before.clone()),
        };
        let author = applied.author;
        let permitted = match self.permitted(group, before, after.as_ref(), author, &added, &removed, recorded)? {
            Ok(permitted) => permitted,
            Err(one) => return Ok(Err(one)),
        };
        let next = match &applied.next {
            Some(next) => Some(self.derive(handle, next)?.verifying_key()),
            None => None,
        };
        Ok(Ok(AppliedCommit {
            author: applied.author,
            permitted,
            next,
            state: Next {
                group: applied.next,
                added,
                removed,
                own: false,
            },
        }))
    }

    /// Whether the author may do this, at the height of the entry, so that all compute alike; or one of
    /// those who have to be looked up before.
    #[expect(clippy::too_many_arguments, reason = "what a commit does")]
    fn permitted(
        &mut self,
        group: &Group,
        before: &GroupContext,
        after: Option<&GroupContext>,
        author: u32,
        added: &[(IdentityId, DeviceId)],
        removed: &[(IdentityId, DeviceId)],
        recorded: &RecordedChild,
    ) -> Step<Result<Result<(), Forbidden>, IdentityId>, V> {
        let Some(after) = after else {
            return Ok(Ok(Err(Forbidden::Context)));
        };
        let device = |(identity, device): &(IdentityId, DeviceId)| MemberDevice {
            identity: *identity,
            device: *device,
        };
        let leaves = group.leaves();
        let Some(author) = leaves.iter().find(|leaf| leaf.index == author) else {
            return Ok(Ok(Err(Forbidden::AuthorRevoked)));
        };
        let author = device(&(author.identity, author.device));
        let members = leaves.iter().map(|leaf| device(&(leaf.identity, leaf.device)));
        let members: Vec<_> = members.collect();
        let coming: Vec<_> = added.iter().map(device).collect();
        let going: Vec<_> = removed.iter().map(device).collect();
        let change = policy::Change {
            before,
            after,
            members: &members,
            author,
            added: &coming,
            removed: &going,
        };
        // Only who is asked about is looked up.
        let height = recorded.place.height;
        let missing = core::cell::RefCell::new(Vec::new());
        let permitted = policy::permits(&change, |device| {
            if self.knows_at(&device.identity, height) {
                self.was_live(&device.identity, &device.device, height)
            } else {
                missing.borrow_mut().push(device.identity);
                true
            }
        });
        let missing = missing.into_inner();
        let Some(last) = missing.last().copied() else {
            return Ok(Ok(permitted));
        };
        for identity in missing {
            self.look_up(identity)?;
        }
        Ok(Err(last))
    }

    /// Keeps of the epoch where this device stands what its messages need, its state if that is asked for, and forgets what
    /// was to end it.
    pub(super) fn end_epoch(
        &mut self,
        handle: &GroupHandle,
        session: &mut Session,
        ended: LedgerPlace,
        state: bool,
        removed: impl Fn(&(IdentityId, DeviceId)) -> bool,
    ) -> Step<(), V> {
        let roster = self.roster(handle)?;
        if state {
            let group = self.group(handle)?.clone();
            self.keep_group(&past_group_key(handle, session.epoch), group)?;
        }
        let (keys, leaves) = (self.keys(handle)?.to_bytes(), roster.leaves.iter().zip(&roster.places));
        let keys = <[u8; 32]>::try_from(keys.as_slice());
        let past = Past {
            entry: session.entry,
            authenticator: roster.authenticator,
            keys: Secret::from_bytes(keys.map_err(|_| StepError::Damaged(Table::Keys))?),
            ended,
            leaves: BoundedVec::try_from_iter(leaves.map(|(leaf, place)| (*place, leaf.0, leaf.1, removed(leaf))))
                .map_err(|_| StepError::Full("devices in a session"))?,
            read: false,
        };
        self.tx
            .put_object(Table::Past, &past_key(handle, session.epoch), &past)?;
        let over = past.over().max(self.later(SESSION_PAST_SECONDS.saturating_mul(1000)));
        self.forget_at(over, Forget::Session, handle.as_bytes());
        for other in session.node.iter().flat_map(|node| node.children.iter()) {
            self.drop_parts(handle, &other.child.id()?, &other.child);
            self.tx.delete(Table::Mailbox, other.child.tag.as_bytes());
        }
        self.withdraw(handle)?;
        self.drop_pending(handle, session);
        Ok(())
    }

    /// Goes on to the next epoch.
    fn go(&mut self, handle: &GroupHandle, session: &mut Session, recorded: &RecordedChild, next: Next) -> Step<(), V> {
        let entry = recorded.child.id()?;
        let roster = self.roster(handle)?;
        let welcome = self.tx.get(Table::Commit, &part_key(handle, &entry, WELCOME))?;
        // What those who go had sent opens with this state only.
        let goes = !next.removed.is_empty();
        self.end_epoch(handle, session, recorded.place, goes, |leaf| {
            next.removed.contains(leaf) && !next.added.contains(leaf)
        })?;
        self.repeat_late(handle, session, recorded)?;
        session.node = None;
        session.looked = recorded.place.height;
        session.judged = 0;
        session.synced = None;
        session.clock = Clock::default();
        let id = session.conversation;
        let Some(group) = next.group.filter(|group| !is_over(group)) else {
            session.standing = Standing::Removed;
            session.wishes = BoundedVec::empty();
            self.tx.delete(Table::Keys, handle.as_bytes());
            self.event(Event::Removed(id));
            self.event(Event::Conversation(id));
            self.save(handle, session)?;
            return self.settle(&id);
        };
        let keys = self.derive(handle, &group)?;
        session.entry = entry;
        session.epoch = group.epoch();
        let context = context_of(&group)?;
        self.enter(handle, group, &keys)?;
        self.event(Event::Epoch(id, session.epoch));
        if context != roster.context {
            self.event(Event::Conversation(id));
            self.event(Event::Members(id));
        }
        if !next.added.is_empty() || !next.removed.is_empty() {
            self.event(Event::Members(id));
        }
        for (identity, device) in &next.added {
            drop_add(session, identity, device)?;
        }
        if goes {
            self.invite_other(handle, session)?;
        }
        if next.own {
            retain(session, |wish| wish.task != Task::Refresh)?;
            self.welcome(handle, &entry, &next.added, &welcome.unwrap_or_default())?;
        }
        session.liveness = Liveness::Unknown;
        session.waits_for = None;
        self.check_liveness(handle, session, false)
    }

    /// What was stored after its epoch was over may not be read any more: it is said again, once this device is in another one.
    fn repeat_late(&mut self, handle: &GroupHandle, session: &mut Session, ended: &RecordedChild) -> Step<(), V> {
        for (order, stored) in core::mem::take(&mut session.recent) {
            if stored >= ended.place.height {
                self.queue_again(handle, &session.conversation, &order)?;
            }
        }
        Ok(())
    }

    /// Whether one more epoch can be kept. If there are too many, the oldest goes, once its mailbox was read to its end
    /// after it was over.
    fn has_room_for_past(&mut self, handle: &GroupHandle) -> Step<bool, V> {
        let past = self.past(handle)?;
        if past.len() < SESSION_PAST_EPOCHS_MAX {
            return Ok(true);
        }
        match past.first() {
            Some((epoch, oldest)) if oldest.read || self.is_gone(&oldest.ended) => {
                self.drop_past(handle, *epoch, oldest)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether all has expired that was stored before this block.
    pub(super) fn is_gone(&self, place: &LedgerPlace) -> bool {
        let kept = place.time.to_seconds().saturating_add(ENVELOPE_LIFETIME_SECONDS_MAX);
        kept < self.now.to_seconds()
    }

    pub(super) fn drop_past(&mut self, handle: &GroupHandle, epoch: u64, past: &Past) -> Step<(), V> {
        let tag = past_keys(past)?.mailbox().tag();
        self.tx.delete(Table::Mailbox, tag.as_bytes());
        self.tx.delete(Table::Past, &past_key(handle, epoch));
        self.drop_group(&past_group_key(handle, epoch));
        Ok(())
    }

    /// Takes a part of a commit.
    pub(super) fn commit_envelope(&mut self, handle: &GroupHandle, bytes: &[u8]) -> Step<(), V> {
        let Some(session) = self.session(handle)? else {
            return Err(StepError::from(Why::Unknown));
        };
        let node = session.node.as_ref().ok_or(StepError::from(Why::Unknown))?;
        let envelope = EnvelopeId::of(bytes);
        let mut wanted = false;
        for recorded in node.children.iter().skip(usize::from(session.judged)) {
            if let Some(part) = recorded.child.envelopes.position(&envelope) {
                let key = part_key(handle, &recorded.child.id()?, part);
                self.tx.put(Table::Commit, &key, bytes.to_vec());
                wanted = true;
            }
        }
        if !wanted {
            // Any member may write into the mailbox of a commit.
            return Err(StepError::from(Why::Forged));
        }
        self.progress(handle)
    }
}

/// Whether one of two people has left: nobody can come back into such a session, and nobody is there to hear.
fn is_over(group: &Group) -> bool {
    let leaves = group.leaves();
    let gone = |(of, role): &(_, _)| *role == Role::Leaving && leaves.iter().all(|leaf| leaf.identity != *of);
    GroupContext::from_bytes(group.context())
        .is_ok_and(|context| context.kind() == Kind::Direct && context.roles().iter().any(gone))
}
