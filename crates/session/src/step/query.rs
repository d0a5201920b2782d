//! What can be asked without changing anything.

use super::{
    ConversationId, Effect, EffectId, Info, MailboxWatch, Member, Message, Standing, StepError, Table, View, Watches,
    machine::{AWAITED, PACKAGES_MS, commit_parts, keys_of, past_keys},
    record::{AwaitedWelcome, Conversation, Due, MessageRow, Meta, Past, Queued, Roster, Session, Work},
    tx::{Step, Tx, key},
};
use crate::Owner;
use alloc::{string::String, vec::Vec};
use tokenim_conversation::{
    door::{Door, JoinRequest, KeptLink},
    link::InviteLink,
    order::OrderKey,
    policy::Kind,
};
use tokenim_envelope::SealedEnvelope;
use tokenim_identity::{IdentityId, MailboxSigningKey};
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::{UnixMillis, limits::SESSIONS_MAX};

/// Every conversation, in no particular order.
///
/// # Errors
/// The store's, or a damaged value.
pub fn conversations<V: View>(view: &V) -> Result<Vec<Info>, StepError<V::Error>> {
    let tx = Tx::new(view);
    tx.scan(Table::Conversation, &[], &[], SESSIONS_MAX)?
        .into_iter()
        .map(|(id, _)| {
            let id = ConversationId::try_from(id.as_slice()).map_err(|_| StepError::Damaged(Table::Conversation))?;
            info(&tx, id)?.ok_or(StepError::Damaged(Table::Conversation))
        })
        .collect()
}

/// One conversation.
///
/// # Errors
/// The store's, or a damaged value.
pub fn conversation<V: View>(view: &V, id: ConversationId) -> Result<Option<Info>, StepError<V::Error>> {
    info(&Tx::new(view), id)
}

pub(crate) fn info<V: View>(tx: &Tx<'_, V>, id: ConversationId) -> Step<Option<Info>, V> {
    let Some(row) = tx.object::<Conversation>(Table::Conversation, id.as_bytes())? else {
        return Ok(None);
    };
    let queued = tx.objects::<Queued>(Table::Queue, id.as_bytes())?;
    let queued = queued.iter().filter(|(_, queued)| queued.kept.is_some()).count();
    let mut info = Info {
        conversation: id,
        handle: row.current,
        with: row.with,
        name: String::from(row.name.as_str()),
        members: Vec::new(),
        suite: None,
        epoch: 0,
        authenticator: [0; 32],
        disappear_after: None,
        standing: if row.joining {
            Standing::Joining
        } else {
            Standing::Removed
        },
        queued,
        read: row.read,
        action: row.action,
    };
    let Some(handle) = row.current else {
        return Ok(Some(info));
    };
    let session: Session = tx
        .object(Table::Session, handle.as_bytes())?
        .ok_or(StepError::Damaged(Table::Session))?;
    info.epoch = session.epoch;
    if !row.joining || !matches!(session.standing, Standing::Removed | Standing::Stranded) {
        info.standing = session.standing;
    }
    if let Some(roster) = tx.object::<Roster>(Table::Roster, handle.as_bytes())? {
        info.suite = Some(roster.suite);
        info.authenticator = roster.authenticator;
        info.disappear_after = roster.context.disappear_after();
        if roster.context.kind() == Kind::Group {
            info.name = String::from(roster.context.name());
        }
        info.members = members(&roster);
    }
    Ok(Some(info))
}

/// The leaves of a session, by identity.
pub(crate) fn members(roster: &Roster) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for (identity, device) in &roster.leaves {
        match members.iter_mut().find(|member| member.identity == *identity) {
            Some(member) => member.devices.push(*device),
            None => members.push(Member {
                identity: *identity,
                role: roster.context.role(identity),
                devices: Vec::from([*device]),
            }),
        }
    }
    members
}

/// Up to `limit` messages of a conversation from `from` on, in their order.
///
/// # Errors
/// The store's, or a damaged value.
pub fn messages<V: View>(
    view: &V,
    id: ConversationId,
    from: Option<OrderKey>,
    limit: usize,
) -> Result<Vec<Message>, StepError<V::Error>> {
    let tx = Tx::new(view);
    let from = from.map_or_else(Vec::new, |from| key(&[id.as_bytes(), &from.to_bytes()]));
    tx.scan(Table::Message, id.as_bytes(), &from, limit)?
        .into_iter()
        .map(|(key, value)| MessageRow::shown(&key, &value).ok_or(StepError::Damaged(Table::Message)))
        .collect()
}

/// The newest messages of a conversation before a place, at most `limit`, in their order. It costs as much as they are,
/// however many others there are.
///
/// # Errors
/// The store's, or a damaged value.
pub fn newest<V: View>(
    view: &V,
    id: ConversationId,
    before: Option<OrderKey>,
    limit: usize,
) -> Result<Vec<Message>, StepError<V::Error>> {
    let last = before.map_or([u8::MAX; 65].to_vec(), |before| before.to_bytes().to_vec());
    let rows = view.scan_back(Table::Message, &key(&[id.as_bytes(), &last]), limit);
    let rows = rows.map_err(StepError::Store)?.into_iter();
    let mut found: Vec<Message> = rows
        .take_while(|(key, _)| key.starts_with(id.as_bytes()))
        .map(|(key, value)| MessageRow::shown(&key, &value).ok_or(StepError::Damaged(Table::Message)))
        .collect::<Result<_, _>>()?;
    found.reverse();
    Ok(found)
}

/// The links into a group that are good, as they are shown.
///
/// # Errors
/// The store's, or a damaged value.
pub fn links<V: View>(
    view: &V,
    owner: &Owner,
    id: ConversationId,
    now: UnixMillis,
) -> Result<Vec<InviteLink>, StepError<V::Error>> {
    let handle = GroupHandle::from_bytes(id.to_bytes());
    let shown = |link: &KeptLink| link.link(owner.network, handle, owner.identity);
    Ok(door(&Tx::new(view), id, now)?.links().map(shown).collect())
}

/// Those who ask to be let into a group and are not in it, the first first.
///
/// # Errors
/// The store's, or a damaged value.
pub fn requests<V: View>(
    view: &V,
    id: ConversationId,
    now: UnixMillis,
) -> Result<Vec<JoinRequest>, StepError<V::Error>> {
    let tx = Tx::new(view);
    let roster: Option<Roster> = tx.object(Table::Roster, id.as_bytes())?;
    let is_in = |who: &IdentityId| roster.iter().flat_map(|roster| &roster.leaves).any(|(of, _)| of == who);
    let door = door(&tx, id, now)?;
    let open = door.requests().iter().filter(|request| !is_in(&request.asker));
    Ok(open.copied().collect())
}

fn door<V: View>(tx: &Tx<'_, V>, id: ConversationId, now: UnixMillis) -> Step<Door, V> {
    let mut door: Door = tx.object(Table::Door, id.as_bytes())?.unwrap_or_default();
    door.pass(now.to_seconds());
    Ok(door)
}

/// Whether this device sends receipts.
///
/// # Errors
/// The store's, or a damaged value.
pub fn receipts<V: View>(view: &V) -> Result<bool, StepError<V::Error>> {
    Ok(Tx::new(view)
        .object::<Meta>(Table::Meta, b"meta")?
        .is_none_or(|meta| meta.receipts))
}

/// Up to `limit` effects that are due, the oldest first. Each stays due until it is answered.
///
/// # Errors
/// The store's, or a damaged value.
pub fn due<V: View>(view: &V, limit: usize) -> Result<Vec<(EffectId, Effect)>, StepError<V::Error>> {
    let tx = Tx::new(view);
    tx.scan(Table::Outbox, &[], &[], limit)?
        .into_iter()
        .map(|(key, value)| {
            let id = <[u8; 8]>::try_from(key.as_slice()).ok()?;
            let due = <Due as tokenim_wire::Object>::from_bytes(&value).ok()?;
            Some((EffectId::new(u64::from_be_bytes(id)), effect(due.work)?))
        })
        .map(|due| due.ok_or(StepError::Damaged(Table::Outbox)))
        .collect()
}

fn effect(work: Work) -> Option<Effect> {
    Some(match work {
        Work::Put(descriptor, seed, envelope) => Effect::Put {
            descriptor,
            write_key: MailboxSigningKey::from_seed(*seed.expose()),
            envelope: SealedEnvelope::from_bytes(envelope.into_inner()).ok()?,
        },
        Work::Ledger(update) => Effect::Ledger(update),
        Work::Seal(to, device, id, body) => Effect::Seal {
            to,
            device,
            id,
            body: body.into_inner(),
        },
        Work::FetchPackage(identity, device, suite) => Effect::FetchPackage {
            identity,
            device,
            suite,
        },
        Work::Lookup(identity) => Effect::Lookup { identity },
        Work::Publish(packages) => Effect::Publish {
            packages: packages.into_inner(),
        },
    })
}

/// What the host is to look at. It changes with steps only.
///
/// # Errors
/// The store's, or a damaged value.
pub fn watches<V: View>(view: &V) -> Result<Watches, StepError<V::Error>> {
    let tx = Tx::new(view);
    let mut watches = Watches::default();
    for (handle, session) in sessions(&tx)? {
        if session.root.is_none() {
            watches.nodes.push((handle, handle.root(), 0));
        }
        if matches!(session.standing, Standing::Joining | Standing::Active) {
            let known = session.node.as_ref().map_or(0, |node| node.children.len());
            let known = u8::try_from(known).unwrap_or(u8::MAX);
            if session.root.is_some() || session.entry != handle.root() {
                watches.nodes.push((handle, session.entry, known));
            }
        }
        let keys = keys_of(&tx, &handle)?;
        let current = keys.iter().map(|keys| watch(&keys.mailbox(), false));
        watches.mailboxes.extend(current);
        for (_, past) in tx.objects::<Past>(Table::Past, handle.as_bytes())? {
            watches.mailboxes.push(watch(&past_keys(&past)?.mailbox(), false));
        }
        let Some(keys) = keys else { continue };
        let open = session
            .node
            .iter()
            .flat_map(|node| node.children.iter())
            .skip(usize::from(session.judged));
        for recorded in open {
            let child = &recorded.child;
            let access = keys.commit_mailbox(&child.commitment);
            let entry = child.id()?;
            let held = commit_parts(&tx, &handle, child)?;
            let own = session.pending.as_ref().is_some_and(|pending| pending.entry == entry);
            if held.is_none() && !own && access.descriptor.tag() == child.tag {
                watches.mailboxes.push(watch(&access, true));
            }
        }
    }
    for (_, awaited) in tx.objects::<AwaitedWelcome>(Table::Part, AWAITED)? {
        watches.mailboxes.push(watch(&awaited.stored.mailbox(), true));
    }
    Ok(watches)
}

fn watch(access: &tokenim_conversation::epoch::MailboxAccess, one_shot: bool) -> MailboxWatch {
    MailboxWatch {
        descriptor: access.descriptor,
        read_key: access.read.clone(),
        one_shot,
    }
}

pub(crate) fn sessions<V: View>(tx: &Tx<'_, V>) -> Step<Vec<(GroupHandle, Session)>, V> {
    let rows = tx.objects::<Session>(Table::Session, &[])?.into_iter();
    rows.map(|(handle, session)| Ok((GroupHandle::try_from(handle.as_slice())?, session)))
        .collect::<Result<_, tokenim_wire::ParseBytesError>>()
        .map_err(|_| StepError::Damaged(Table::Session))
}

/// When the next [`Input::Tick`](super::Input::Tick) has something to do, as far as is known now.
///
/// # Errors
/// The store's, or a damaged value.
pub fn wake<V: View>(view: &V) -> Result<Option<UnixMillis>, StepError<V::Error>> {
    let tx = Tx::new(view);
    let mut wake: Option<UnixMillis> = None;
    let mut earliest = |time: UnixMillis| wake = Some(wake.map_or(time, |known| known.min(time)));
    if let Some((first, _)) = tx.scan(Table::Expiry, &[], &[], 1)?.first()
        && let Some(time) = first.first_chunk::<8>()
    {
        earliest(UnixMillis::new(u64::from_be_bytes(*time)));
    }
    for (_, session) in sessions(&tx)? {
        let may_commit = session.standing == Standing::Active && session.node.is_some() && session.closing.is_none();
        for wish in &session.wishes {
            // What was due when a commit was planned last waits for an answer, which comes by itself.
            let waits = if wish.fetching.is_some() { PACKAGES_MS } else { 0 };
            let due = wish.not_before.saturating_add(waits);
            if due > session.planned && session.pending.is_none() && may_commit {
                earliest(due);
            }
        }
        if session.standing == Standing::Behind {
            earliest(session.ask_next);
        }
    }
    Ok(wake)
}

pub(crate) fn identities(roster: &Roster) -> Vec<IdentityId> {
    let mut identities: Vec<_> = roster.leaves.iter().map(|(identity, _)| *identity).collect();
    identities.sort_unstable();
    identities.dedup();
    identities
}
