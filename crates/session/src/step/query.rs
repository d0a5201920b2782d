//! What can be asked without changing anything.

use super::{
    ConversationId, Effect, EffectId, Info, Message, Standing, StepError, Table, View, Watches,
    record::{Conversation, Due, MessageRow, Meta, Queued, Roster, Session, Work},
    tx::{Step, Tx, key},
};
use crate::Owner;
use alloc::{string::String, vec::Vec};
use tokenim_conversation::{
    door::{JoinRequest, KeptLink},
    link::InviteLink,
    order::OrderKey,
    policy::Kind,
    query,
};
use tokenim_envelope::SealedEnvelope;
use tokenim_identity::{IdentityId, MailboxSigningKey};
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::{UnixMillis, limits::SESSIONS_MAX};

/// Every conversation, in no particular order.
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
        info.members = members(&roster.context, &roster.leaves);
    }
    Ok(Some(info))
}

/// Up to `limit` messages of a conversation from `from` on, in their order.
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
pub fn newest<V: View>(
    view: &V,
    id: ConversationId,
    before: Option<OrderKey>,
    limit: usize,
) -> Result<Vec<Message>, StepError<V::Error>> {
    query::newest(view, id, before, limit)
}

/// The links into a group that are good, as they are shown.
pub fn links<V: View>(
    view: &V,
    owner: &Owner,
    id: ConversationId,
    now: UnixMillis,
) -> Result<Vec<InviteLink>, StepError<V::Error>> {
    let handle = GroupHandle::from_bytes(id.to_bytes());
    let shown = |link: &KeptLink| link.link(owner.network, handle, owner.identity);
    Ok(query::door(&Tx::new(view), id, now)?.links().map(shown).collect())
}

/// Those who ask to be let into a group and are not in it, the first first.
pub fn requests<V: View>(
    view: &V,
    id: ConversationId,
    now: UnixMillis,
) -> Result<Vec<JoinRequest>, StepError<V::Error>> {
    let tx = Tx::new(view);
    let roster: Option<Roster> = tx.object(Table::Roster, id.as_bytes())?;
    let is_in = |who: &IdentityId| roster.iter().flat_map(|roster| &roster.leaves).any(|(of, _)| of == who);
    let door = query::door(&tx, id, now)?;
    let open = door.requests().iter().filter(|request| !is_in(&request.asker));
    Ok(open.copied().collect())
}

/// Whether this device sends receipts.
pub fn receipts<V: View>(view: &V) -> Result<bool, StepError<V::Error>> {
    Ok(Tx::new(view)
        .object::<Meta>(Table::Meta, b"meta")?
        .is_none_or(|meta| meta.receipts))
}

/// Up to `limit` effects that are due, the oldest first, or the oldest after one of them. Each stays due until it is answered.
pub fn due<V: View>(view: &V, after: Option<EffectId>, limit: usize) -> Step<Vec<(EffectId, Effect)>, V> {
    let from = after.map_or_else(Vec::new, |after| key(&[&after.get().to_be_bytes(), &[0]]));
    let tx = Tx::new(view);
    tx.scan(Table::Outbox, &[], &from, limit)?
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
        Work::Acceptance(tag, envelope) => Effect::Acceptance { tag, envelope },
        Work::Publish(packages) => Effect::Publish {
            packages: packages.into_inner(),
        },
    })
}

/// What the host is to look at. It changes with steps only.
pub fn watches<V: View>(view: &V) -> Result<Watches, StepError<V::Error>> {
    query::watches(view)
}

/// When the next [`Input::Tick`](super::Input::Tick) has something to do, as far as is known now.
pub fn wake<V: View>(view: &V) -> Result<Option<UnixMillis>, StepError<V::Error>> {
    query::wake(view)
}

pub(crate) use tokenim_conversation::query::{identities, members, sessions};
