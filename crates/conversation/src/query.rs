//! What can be asked of the rows alone, without a library for MLS.

use alloc::vec::Vec;
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::group::{GroupChild, GroupHandle};
use tokenim_wire::UnixMillis;
use zeroize::Zeroizing;

use crate::{
    door::Door,
    epoch::{EpochKeys, MailboxAccess},
    host::{MailboxWatch, Watches},
    order::OrderKey,
    policy::GroupContext,
    rows::{AWAITED, AwaitedWelcome, HELD, HeldWelcome, MessageRow, PACKAGES_MS, Past, Session, key, part_key},
    shown::{ConversationId, Member, Message, Standing},
    step::{Step, StepError, Tx},
    table::{Table, View},
};

/// The newest messages of a conversation before a place, at most `limit`, in their order.
pub fn newest<V: View, S>(
    view: &V,
    id: ConversationId,
    before: Option<OrderKey>,
    limit: usize,
) -> Step<Vec<Message>, V, S> {
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

/// Who may ask to be let into a group, and who does.
pub fn door<V: View, S>(tx: &Tx<'_, V, S>, id: ConversationId, now: UnixMillis) -> Step<Door, V, S> {
    let mut door: Door = tx.object(Table::Door, id.as_bytes())?.unwrap_or_default();
    door.pass(now.to_seconds());
    Ok(door)
}

/// What the host is to look at.
pub fn watches<V: View, S>(view: &V) -> Step<Watches, V, S> {
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
    for (_, held) in tx.objects::<HeldWelcome>(Table::Part, HELD)? {
        let session = tx.object::<Session>(Table::Session, held.handle.as_bytes())?;
        let place = (held.handle, held.entry, 0);
        if session.is_none_or(|session| session.is_out()) && !watches.nodes.contains(&place) {
            watches.nodes.push(place);
        }
    }
    for (_, awaited) in tx.objects::<AwaitedWelcome>(Table::Part, AWAITED)? {
        watches.mailboxes.push(watch(&awaited.stored.mailbox(), true));
    }
    Ok(watches)
}

fn watch(access: &MailboxAccess, one_shot: bool) -> MailboxWatch {
    MailboxWatch {
        descriptor: access.descriptor,
        read_key: access.read.clone(),
        one_shot,
    }
}

/// Where this device stands in each session.
pub fn sessions<V: View, S>(tx: &Tx<'_, V, S>) -> Step<Vec<(GroupHandle, Session)>, V, S> {
    let rows = tx.objects::<Session>(Table::Session, &[])?.into_iter();
    rows.map(|(handle, session)| Ok((GroupHandle::try_from(handle.as_slice())?, session)))
        .collect::<Result<_, tokenim_wire::ParseBytesError>>()
        .map_err(|_| StepError::Damaged(Table::Session))
}

/// When the next tick has something to do, as far as is known now.
pub fn wake<V: View, S>(view: &V) -> Step<Option<UnixMillis>, V, S> {
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

/// The envelopes of the commit of an entry, if all are here.
pub fn commit_parts<V: View, S>(
    tx: &Tx<'_, V, S>,
    handle: &GroupHandle,
    child: &GroupChild,
) -> Step<Option<Vec<Vec<u8>>>, V, S> {
    let entry = child.id()?;
    let parts = (0..)
        .zip(child.envelopes.iter())
        .map(|(part, _)| tx.get(Table::Commit, &part_key(handle, &entry, part)));
    parts.collect()
}

/// The keys of the current epoch of a session.
pub fn keys_of<V: View, S>(tx: &Tx<'_, V, S>, handle: &GroupHandle) -> Step<Option<EpochKeys>, V, S> {
    let Some(bytes) = tx.get(Table::Keys, handle.as_bytes())? else {
        return Ok(None);
    };
    let bytes = Zeroizing::new(bytes);
    EpochKeys::from_bytes(&bytes)
        .map(Some)
        .ok_or(StepError::Damaged(Table::Keys))
}

/// The keys of an epoch that is over.
pub fn past_keys<E, S>(past: &Past) -> Result<EpochKeys, StepError<E, S>> {
    EpochKeys::from_bytes(past.keys.expose()).ok_or(StepError::Damaged(Table::Past))
}

/// The leaves of a session, by identity.
pub fn members(context: &GroupContext, leaves: &[(IdentityId, DeviceId)]) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for (identity, device) in leaves {
        match members.iter_mut().find(|member| member.identity == *identity) {
            Some(member) => member.devices.push(*device),
            None => members.push(Member {
                identity: *identity,
                role: context.role(identity),
                devices: Vec::from([*device]),
            }),
        }
    }
    members
}

/// Whose leaves these are, ascending.
pub fn identities(leaves: &[(IdentityId, DeviceId)]) -> Vec<IdentityId> {
    let mut identities: Vec<_> = leaves.iter().map(|(identity, _)| *identity).collect();
    identities.sort_unstable();
    identities.dedup();
    identities
}
