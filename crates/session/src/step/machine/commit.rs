//! Changing a session: what is wished becomes a commit, is stored, and is put on the ledger.

use super::{
    super::record::{PACKAGES_MS, Pending, Stage, Task, Wish},
    *,
};
use crate::{
    SessionSuite,
    mls::{Commit, Proposed, read_key_package},
};
use alloc::{
    boxed::Box,
    collections::{BTreeSet, VecDeque},
};
use tokenim_conversation::{
    child::{self, Parent},
    epoch::WrapError,
    note::Note,
    policy::{self, ContextError, Kind, MemberDevice, Role},
};
use tokenim_envelope::SealedEnvelope;
use tokenim_mailbox::{
    KeyPackage,
    group::{CommitParts, GroupUpdate, SignedGroupChild},
};
use tokenim_wire::{
    BoundedString, BoundedVec, Height,
    limits::{
        GROUP_CHILDREN_MAX, GROUP_ROLES_GIVEN_MAX, SESSION_COMMIT_ADDS_MAX, SESSION_COMMIT_ADDS_POST_QUANTUM_MAX,
        SESSION_LEAVES_MAX, SESSION_LEAVES_POST_QUANTUM_MAX, SESSION_LOOKUPS_MAX, SESSION_WISHES_MAX,
    },
};

/// First pause before a key package, or somebody without devices, is asked for again, in milliseconds; it doubles each time.
pub(super) const PACKAGE_PAUSE_MS: u64 = 10_000;
/// How often a device is asked for a key package.
const PACKAGE_TRIES: u8 = 5;
/// How often a commit is stored again after the ledger has refused its receipt.
const COMMIT_TRIES: u8 = 3;
/// Pause after a commit that could not be stored, in milliseconds.
const COMMIT_PAUSE_MS: u64 = 5_000;
/// Pause after a commit that was too large though it adds nobody or one device, in milliseconds.
const LARGE_PAUSE_MS: u64 = 600_000;

/// How many devices one commit adds, and how many there are at most.
const fn most(suite: SessionSuite) -> (usize, usize) {
    match suite {
        SessionSuite::Classical => (SESSION_COMMIT_ADDS_MAX, SESSION_LEAVES_MAX),
        _ => (SESSION_COMMIT_ADDS_POST_QUANTUM_MAX, SESSION_LEAVES_POST_QUANTUM_MAX),
    }
}

/// What a commit is to do.
struct Plan {
    add: Vec<(IdentityId, DeviceId, KeyPackage)>,
    remove: Vec<(u32, IdentityId, DeviceId)>,
    context: GroupContext,
}

impl Plan {
    fn devices<'a>(items: impl Iterator<Item = (&'a IdentityId, &'a DeviceId)>) -> Vec<MemberDevice> {
        items
            .map(|(identity, device)| MemberDevice {
                identity: *identity,
                device: *device,
            })
            .collect()
    }

    fn added(&self) -> Vec<MemberDevice> {
        Self::devices(self.add.iter().map(|(identity, device, _)| (identity, device)))
    }

    fn removed(&self) -> Vec<MemberDevice> {
        Self::devices(self.remove.iter().map(|(_, identity, device)| (identity, device)))
    }
}

impl<V: View, R: CryptoRng> Machine<'_, V, R> {
    pub(super) fn change(&mut self, id: ConversationId, change: Change) -> Step<(), V> {
        let row = self.conversation(&id)?.ok_or(StepError::UnknownConversation)?;
        let handle = row.current.ok_or(StepError::NotInConversation)?;
        let mut session = self.session(&handle)?.ok_or(StepError::UnknownConversation)?;
        if session.standing == Standing::Behind && change == Change::Refresh {
            session.asked = 0;
            self.ask(&handle, &mut session)?;
            return self.save(&handle, &session);
        }
        if !matches!(session.standing, Standing::Joining | Standing::Active) {
            return Err(StepError::NotInConversation);
        }
        let roster = self.roster(&handle)?;
        let context = &roster.context;
        let own = context.role(&self.owner.identity);
        let is_admin = context.kind() == Kind::Group && own >= Role::Admin;
        let task = match change {
            Change::Invite(identity) if is_admin => Task::Invite(identity),
            Change::Remove(identity) if identity != self.owner.identity && is_admin => {
                let of = context.role(&identity);
                if of >= own && own != Role::Owner {
                    return Err(StepError::NotAllowed);
                }
                Task::Remove(identity)
            }
            Change::Leave => match context.with_role(&self.owner.identity, Role::Leaving) {
                // Others who leave are removed first.
                Ok(_) | Err(ContextError::TooManyRoles) => Task::Leave,
                Err(_) => return Err(StepError::NotAllowed),
            },
            Change::Rename(name) if is_admin => {
                context.with_name(&name).map_err(|_| StepError::Content)?;
                Task::Rename(BoundedString::try_from(name).map_err(|_| StepError::Content)?)
            }
            Change::SetRole(identity, role) if is_admin && own == Role::Owner && role != Role::Leaving => {
                let new = role != Role::Member && context.named(&identity).is_none();
                if new && context.roles().len() >= GROUP_ROLES_GIVEN_MAX {
                    return Err(StepError::Full("roles"));
                }
                context.with_role(&identity, role).map_err(|_| StepError::NotAllowed)?;
                Task::SetRole(identity, role)
            }
            Change::Disappear(seconds) if is_admin || context.kind() == Kind::Direct => {
                context.with_disappear_after(seconds).map_err(|_| StepError::Content)?;
                Task::Disappear(seconds)
            }
            Change::Refresh => Task::Refresh,
            _ => return Err(StepError::NotAllowed),
        };
        if task == Task::Leave {
            // None of the others goes on when this one is over.
            for (other, mut rival) in self.rivals(&id)? {
                self.wish(&mut rival, Task::Leave, 0)?;
                self.save(&other, &rival)?;
            }
        }
        self.wish(&mut session, task, 0)?;
        self.save(&handle, &session)?;
        self.progress(&handle)
    }

    /// Makes the next commit, if there is something to commit and nothing in the way.
    pub(super) fn plan(&mut self, handle: &GroupHandle, session: &mut Session) -> Step<(), V> {
        let open = session.standing == Standing::Active && session.closing.is_none() && session.pending.is_none();
        let children = session
            .node
            .as_ref()
            .map_or(GROUP_CHILDREN_MAX, |node| node.children.len());
        if !open || children >= GROUP_CHILDREN_MAX || session.wishes.is_empty() {
            return Ok(());
        }
        session.planned = self.now;
        let roster = self.roster(handle)?;
        self.prepare(handle, session, &roster)?;
        let now = self.now;
        let due = |wish: &&Wish| wish.not_before <= now && wish.fetching.is_none();
        let waits = |wish: &Wish| wish.fetching.is_some() && wish.not_before.saturating_add(PACKAGES_MS) > now;
        let fetching = session.wishes.iter().any(waits);
        let ready = session.wishes.iter().filter(due).map(|wish| &wish.task);
        let ready = ready.filter(|task| !matches!(task, Task::Invite(_) | Task::Add { package: None, .. }));
        let ready: Vec<Task> = ready.cloned().collect();
        let only_adds = ready
            .iter()
            .all(|task| matches!(task, Task::Add { replace: false, .. }));
        let (mut most, _) = most(roster.suite);
        if ready.is_empty() || (fetching && only_adds && ready.len() < most) {
            return Ok(());
        }
        // An old answer may not show this device yet: nothing is given up because of it.
        let (own, identity) = (self.own_device(), self.owner.identity);
        let devices = self.devices_of(&identity)?;
        if !devices.is_some_and(|devices| devices.contains(&own)) {
            return Ok(());
        }
        let group = self.group(handle)?.clone();
        loop {
            let plan = self.assemble(&group, &roster, session, &ready, most)?;
            match self.make(handle, session, &group, &roster, plan) {
                Err(StepError::Full(_)) if most > 1 => most >>= 1,
                Err(StepError::Full(_)) => {
                    self.postpone(session, LARGE_PAUSE_MS);
                    return Ok(());
                }
                result => return result,
            }
        }
    }

    fn postpone(&self, session: &mut Session, pause: u64) {
        let again = self.later(pause);
        for wish in session.wishes.as_mut_slice() {
            wish.not_before = wish.not_before.max(again);
        }
    }

    /// Drops wishes that have come true, and fetches what the others need.
    fn prepare(&mut self, handle: &GroupHandle, session: &mut Session, roster: &Roster) -> Step<(), V> {
        let context = &roster.context;
        let present: BTreeSet<_> = roster.leaves.iter().copied().collect();
        let has = |of: &IdentityId| roster.leaves.iter().any(|(identity, _)| identity == of);
        // A few are looked up and fetched at a time: enough for one commit, so that nothing of the rest is kept.
        let mut looking = 0;
        let (most, _) = most(roster.suite);
        let held = |wish: &&Wish| wish.fetching.is_some() || matches!(wish.task, Task::Add { package: Some(_), .. });
        let adds = |wish: &&Wish| matches!(wish.task, Task::Add { .. });
        let mut held = session.wishes.iter().filter(adds).filter(held).count();
        let mut kept: Vec<Wish> = Vec::new();
        let mut open = VecDeque::from(core::mem::take(&mut session.wishes).into_inner());
        while let Some(mut wish) = open.pop_front() {
            let come_true = match &wish.task {
                Task::Invite(_) if wish.not_before > self.now || looking >= SESSION_LOOKUPS_MAX => false,
                Task::Invite(identity) => match self.devices_of(identity)? {
                    // Perhaps the ledger has some by now.
                    Some(devices) if devices.is_empty() => {
                        let identity = *identity;
                        wish.fetching = None;
                        let given_up = put_off(&mut wish, self.now);
                        if given_up {
                            let exists = self.peer(&identity)?.is_some_and(|peer| peer.state.is_some());
                            let action = if exists { Action::NoPackage } else { Action::NoIdentity };
                            self.act(&session.conversation, Some(action(identity)))?;
                        }
                        given_up
                    }
                    Some(devices)
                        if kept.len().saturating_add(open.len()).saturating_add(devices.len()) > SESSION_WISHES_MAX =>
                    {
                        (wish.fetching, wish.not_before) = (None, self.later(PACKAGE_PAUSE_MS));
                        false
                    }
                    Some(devices) => {
                        let missing = devices
                            .into_iter()
                            .filter(|device| *device != self.own_device() && !present.contains(&(*identity, *device)));
                        for device in missing {
                            let task = Task::Add {
                                identity: *identity,
                                device,
                                package: None,
                                replace: false,
                            };
                            if !kept.iter().chain(&open).any(|other| other.task == task) {
                                open.push_back(Wish {
                                    task,
                                    not_before: self.now,
                                    tries: 0,
                                    fetching: None,
                                });
                            }
                        }
                        true
                    }
                    None => {
                        // The look-up is under way; it goes on when the answer is there.
                        looking = looking.saturating_add(1);
                        if wish.fetching.replace(EffectId::ZERO).is_none() {
                            wish.not_before = self.now;
                        }
                        false
                    }
                },
                Task::Add {
                    identity,
                    device,
                    replace,
                    ..
                } => (!replace && present.contains(&(*identity, *device))) || *device == self.own_device(),
                Task::RemoveDevice(identity, device) => {
                    !present.contains(&(*identity, *device)) || *device == self.own_device()
                }
                Task::Remove(identity) => !has(identity),
                Task::Rename(name) => context.name() == name.as_str(),
                Task::SetRole(identity, role) => context.role(identity) == *role,
                Task::Disappear(seconds) => context.disappear_after() == *seconds,
                Task::Refresh => false,
                Task::Leave => context.role(&self.owner.identity) == Role::Leaving,
            };
            if come_true {
                continue;
            }
            if let Task::Add {
                identity,
                device,
                package: None,
                ..
            } = &wish.task
                && wish.fetching.is_none()
                && wish.not_before <= self.now
                && held < most
            {
                held = held.saturating_add(1);
                let work = Work::FetchPackage(*identity, *device, roster.suite);
                wish.fetching = Some(self.effect(work, Purpose::Package(*handle, *identity, *device))?);
                wish.not_before = self.now;
            }
            kept.push(wish);
        }
        session.wishes = BoundedVec::try_from(kept).map_err(|_| StepError::Full("changes that wait"))?;
        Ok(())
    }

    /// What one commit does of what is due; what is not permitted is dropped from the wishes.
    fn assemble(
        &mut self,
        group: &Group,
        roster: &Roster,
        session: &mut Session,
        ready: &[Task],
        most: usize,
    ) -> Step<Plan, V> {
        let leaves = group.leaves();
        let members = Plan::devices(leaves.iter().map(|leaf| (&leaf.identity, &leaf.device)));
        let author = MemberDevice {
            identity: self.owner.identity,
            device: self.own_device(),
        };
        let mut plan = Plan {
            add: Vec::new(),
            remove: Vec::new(),
            context: roster.context.clone(),
        };
        let room = self::most(roster.suite).1.saturating_sub(leaves.len());
        for task in ready {
            let mut add = plan.add.clone();
            let mut remove = plan.remove.clone();
            let mut context = Some(plan.context.clone());
            let mut leaving = |wanted: &dyn Fn(&IdentityId, &DeviceId) -> bool| {
                for leaf in &leaves {
                    if leaf.index != group.own()
                        && wanted(&leaf.identity, &leaf.device)
                        && !remove.iter().any(|(index, ..)| *index == leaf.index)
                    {
                        remove.push((leaf.index, leaf.identity, leaf.device));
                    }
                }
            };
            match task {
                Task::Add {
                    identity,
                    device,
                    package: Some(package),
                    replace,
                } => {
                    // A device may be wished for twice: with its package, and before one was fetched.
                    let twice = add.iter().any(|(of, which, _)| (of, which) == (identity, device));
                    if twice || add.len() >= most.min(room) {
                        continue;
                    }
                    if *replace {
                        leaving(&|of, which| of == identity && which == device);
                    }
                    add.push((*identity, *device, package.clone()));
                }
                Task::RemoveDevice(identity, device) => leaving(&|of, which| of == identity && which == device),
                Task::Remove(identity) => {
                    leaving(&|of, _| of == identity);
                    if plan.context.kind() == Kind::Group && plan.context.named(identity).is_some() {
                        context = plan.context.with_role(identity, Role::Member).ok();
                    }
                }
                Task::Rename(name) => context = plan.context.with_name(name).ok(),
                Task::SetRole(identity, role) => {
                    // Several may have been wished for at once.
                    let most = plan.context.roles().len().max(GROUP_ROLES_GIVEN_MAX);
                    let given = plan.context.with_role(identity, *role).ok();
                    context = given.filter(|context| context.roles().len() <= most);
                }
                Task::Disappear(seconds) => context = plan.context.with_disappear_after(*seconds).ok(),
                Task::Leave => match plan.context.with_role(&self.owner.identity, Role::Leaving) {
                    Err(ContextError::TooManyRoles) => continue,
                    changed => context = changed.ok(),
                },
                Task::Refresh => {}
                Task::Invite(_) | Task::Add { package: None, .. } => continue,
            }
            let permitted = context.and_then(|context| {
                let attempt = Plan { add, remove, context };
                let change = policy::Change {
                    before: &roster.context,
                    after: &attempt.context,
                    members: &members,
                    author,
                    added: &attempt.added(),
                    removed: &attempt.removed(),
                };
                let live = |device: &MemberDevice| self.was_live(&device.identity, &device.device, Height::MAX);
                policy::permits(&change, live).ok()?;
                Some(attempt)
            });
            match permitted {
                Some(attempt) => plan = attempt,
                None => retain(session, |wish| wish.task != *task)?,
            }
        }
        Ok(plan)
    }

    /// Makes the commit and sends it off to be stored.
    fn make(
        &mut self,
        handle: &GroupHandle,
        session: &mut Session,
        group: &Group,
        roster: &Roster,
        plan: Plan,
    ) -> Step<(), V> {
        let refresh = session.wishes.iter().any(|wish| wish.task == Task::Refresh);
        let context = (plan.context != roster.context).then_some(&plan.context);
        if plan.add.is_empty() && plan.remove.is_empty() && context.is_none() && !refresh {
            return Ok(());
        }
        let proposed = Proposed {
            add: plan.add.iter().map(|(.., package)| package.to_vec()).collect(),
            remove: plan.remove.iter().map(|(index, ..)| *index).collect(),
            context: context.map(Object::to_bytes).transpose()?,
            update: true,
        };
        let Commit {
            bytes, welcome, next, ..
        } = match group.commit(&proposed, self.now.to_seconds(), self.rng) {
            Ok(commit) => commit,
            // A key package that MLS refuses, although it decodes: nothing else here comes from outside.
            Err(error) if why(&error).is_some() => {
                if plan.add.len() > 1 {
                    // Nobody stays outside because of another one's package.
                    return Err(StepError::Full("changes in one commit"));
                }
                for (identity, device, _) in &plan.add {
                    drop_add(session, identity, device)?;
                }
                return Ok(());
            }
            Err(error) => return Err(StepError::Session(error)),
        };
        let keys = self.keys(handle)?;
        let full = || StepError::Full("changes in one commit");
        let envelopes = match keys.wrap_parts(&bytes, self.expiry(), self.rng) {
            Ok(envelopes) => envelopes,
            Err(WrapError::Encode(error)) => return Err(error.into()),
            Err(_) => return Err(full()),
        };
        let next_keys = self.derive(handle, &next)?;
        let parent = Parent {
            network: &self.owner.network,
            handle: *handle,
            entry: session.entry,
            keys: &keys,
        };
        let child = child::build(
            &parent,
            &bytes,
            next_keys.verifying_key(),
            CommitParts::new(envelopes.iter().map(SealedEnvelope::id).collect()).map_err(|_| full())?,
            group.own(),
            |message| Ok::<_, SessionError>(group.sign_author(message)),
            self.rng,
        )
        .map_err(StepError::Session)?;
        let entry = child.id()?;
        self.keep_group(&group_key(handle, NEXT), next)?;
        for (part, envelope) in (0..).zip(envelopes) {
            self.tx
                .put(Table::Commit, &part_key(handle, &entry, part), envelope.into_bytes());
        }
        if let Some(welcome) = welcome {
            self.tx.put(Table::Commit, &part_key(handle, &entry, WELCOME), welcome);
        }
        let added = plan.add.iter().map(|add| (add.0, add.1));
        for (identity, device) in added.clone() {
            self.note(identity, device, &Note::Invitation(*handle))?;
        }
        let removed = plan.remove.iter().map(|leaf| (leaf.1, leaf.2));
        let mut pending = Pending {
            child,
            entry,
            stage: Stage::Storing,
            effects: BoundedVec::empty(),
            receipts: BoundedVec::empty(),
            tries: 0,
            added: BoundedVec::try_from_iter(added).map_err(|_| full())?,
            removed: BoundedVec::try_from_iter(removed).map_err(|_| full())?,
        };
        self.store_commit(handle, &mut pending)?;
        session.pending = Some(Box::new(pending));
        Ok(())
    }

    /// Has each part of the own commit stored.
    fn store_commit(&mut self, handle: &GroupHandle, pending: &mut Pending) -> Step<(), V> {
        let access = self.keys(handle)?.commit_mailbox(&pending.child.commitment);
        let parts = commit_parts(&self.tx, handle, &pending.child)?.ok_or(StepError::Damaged(Table::Commit))?;
        pending.stage = Stage::Storing;
        pending.receipts =
            BoundedVec::try_from_iter(parts.iter().map(|_| None)).map_err(|_| StepError::Full("parts"))?;
        pending.effects = BoundedVec::empty();
        for part in parts {
            let effect = self.put(&access, &part, Purpose::Commit(*handle))?;
            pending.effects.push(effect).map_err(|_| StepError::Full("parts"))?;
        }
        Ok(())
    }

    /// Takes the answer to storing the own commit, or to putting it on the ledger.
    pub(super) fn commit_done(&mut self, handle: &GroupHandle, effect: EffectId, answer: Answer) -> Step<(), V> {
        let Some(mut session) = self.session(handle)? else {
            return Ok(());
        };
        let Some(pending) = session.pending.as_mut() else {
            return Ok(());
        };
        let Some(part) = pending.effects.iter().position(|due| *due == effect) else {
            return Ok(());
        };
        match (pending.stage, answer) {
            (Stage::Storing, Answer::Stored(receipt)) => {
                if let Some(slot) = pending.receipts.as_mut_slice().get_mut(part) {
                    *slot = Some(*receipt);
                }
                let Some(receipts) = pending.receipts.iter().cloned().collect() else {
                    return self.save(handle, &session);
                };
                let key = self.keys(handle)?.signing_key();
                let child = pending.child.clone();
                match SignedGroupChild::sign(&self.owner.network, &key, child, receipts) {
                    Ok(signed) => {
                        let update = Box::new(GroupUpdate::Child(Box::new(signed)));
                        pending.stage = Stage::Submitting;
                        let effect = self.effect(Work::Ledger(update), Purpose::Commit(*handle))?;
                        pending.effects = BoundedVec::try_from_iter([effect]).map_err(|_| StepError::Full("parts"))?;
                    }
                    Err(_) => return Err(StepError::from(Why::Malformed)),
                }
            }
            (Stage::Submitting, Answer::Included) => pending.stage = Stage::Included,
            (Stage::Submitting, _) if pending.tries < COMMIT_TRIES => {
                pending.tries = pending.tries.saturating_add(1);
                self.store_commit(handle, pending)?;
            }
            _ => {
                self.drop_pending(handle, &mut session);
                self.postpone(&mut session, COMMIT_PAUSE_MS);
            }
        }
        self.save(handle, &session)?;
        self.progress(handle)
    }

    /// Gives up the own commit; the wishes stay.
    pub(super) fn drop_pending(&mut self, handle: &GroupHandle, session: &mut Session) {
        if let Some(pending) = session.pending.take() {
            for effect in &pending.effects {
                self.tx.delete(Table::Outbox, &effect.get().to_be_bytes());
            }
            self.drop_group(&group_key(handle, NEXT));
            self.tx
                .delete(Table::Commit, &part_key(handle, &pending.entry, WELCOME));
            self.drop_parts(handle, &pending.entry, &pending.child);
        }
    }

    /// Forgets the commit of an entry.
    pub(super) fn drop_parts(&mut self, handle: &GroupHandle, entry: &GroupEntryId, child: &GroupChild) {
        for (part, _) in (0..).zip(child.envelopes.iter()) {
            self.tx.delete(Table::Commit, &part_key(handle, entry, part));
        }
    }

    /// Takes a key package that was fetched for a wish.
    pub(super) fn package_fetched(
        &mut self,
        handle: &GroupHandle,
        identity: IdentityId,
        device: DeviceId,
        package: Option<KeyPackage>,
    ) -> Step<(), V> {
        let Some(mut session) = self.session(handle)? else {
            return Ok(());
        };
        let suite = self.roster(handle)?.suite;
        let good = package.filter(|bytes| self.is_package_of(bytes, &identity, &device, suite));
        let now = self.now;
        let mut given_up = false;
        for wish in session.wishes.as_mut_slice() {
            let Task::Add {
                identity: of,
                device: which,
                package: slot @ None,
                ..
            } = &mut wish.task
            else {
                continue;
            };
            if (*of, *which) != (identity, device) {
                continue;
            }
            wish.fetching = None;
            match &good {
                Some(package) => *slot = Some(package.clone()),
                None => given_up = put_off(wish, now),
            }
        }
        if given_up {
            drop_add(&mut session, &identity, &device)?;
            self.act(&session.conversation, Some(Action::NoPackage(identity)))?;
        }
        self.save(handle, &session)?;
        self.progress(handle)
    }

    /// Whether these bytes are a key package of this device, good now and of this suite.
    pub(super) fn is_package_of(
        &self,
        bytes: &KeyPackage,
        identity: &IdentityId,
        device: &DeviceId,
        suite: SessionSuite,
    ) -> bool {
        read_key_package(&self.owner.network, bytes, self.now.to_seconds()).is_ok_and(|info| {
            let of = (info.certificate.identity, info.certificate.device_id());
            (of, info.suite) == ((*identity, *device), suite)
        })
    }

    /// The keys of the epoch of a state.
    pub(super) fn derive(&self, handle: &GroupHandle, group: &Group) -> Step<EpochKeys, V> {
        EpochKeys::derive(&self.owner.network, handle, |label, context, length| {
            group.export(label, context, length)
        })
        .map_err(StepError::Session)
    }
}

/// Puts a wish off that could not be prepared. Whether it was tried often enough.
fn put_off(wish: &mut Wish, now: UnixMillis) -> bool {
    let pause = PACKAGE_PAUSE_MS.saturating_mul(1 << wish.tries.min(16));
    wish.tries = wish.tries.saturating_add(1);
    wish.not_before = now.saturating_add(pause);
    wish.tries >= PACKAGE_TRIES
}

/// Drops the wishes to add a device.
pub(super) fn drop_add<E>(session: &mut Session, identity: &IdentityId, device: &DeviceId) -> Result<(), StepError<E>> {
    retain(
        session,
        |wish| !matches!(&wish.task, Task::Add { identity: of, device: which, .. } if (of, which) == (identity, device)),
    )
}

pub(super) fn retain<E>(session: &mut Session, keep: impl Fn(&Wish) -> bool) -> Result<(), StepError<E>> {
    let mut wishes = core::mem::take(&mut session.wishes).into_inner();
    wishes.retain(keep);
    session.wishes = BoundedVec::try_from(wishes).map_err(|_| StepError::Damaged(Table::Session))?;
    Ok(())
}
