//! Bodies of the fuzz targets, shared with the test that replays the corpus.

use std::convert::Infallible;
use std::sync::LazyLock;

use tokenim_conversation::rand_core::{TryCryptoRng, TryRng};
use tokenim_conversation::{
    Body, Content, EpochKeys, GroupContext, OrderKey, Role,
    child::{self, AppliedCommit, Flaw, Parent, Verdict},
    door::{Door, DoorWord, KeptLink},
    history::{Page, PageOf},
    link::{InviteLink, LinkApproval, LinkAsk, LinkCode, LinkError, LinkMessage, LinkResponse, LinkReveal},
    note::Note,
    policy::{Change, Forbidden, Kind, MemberDevice, permits},
    secret::Secret32,
};
use tokenim_identity::{DeviceId, DeviceKeys, DeviceSigningKey, EnvelopeKey, IdentityId, MailboxSigningKey, Signature};
use tokenim_mailbox::group::{CommitParts, GroupChild, GroupEntryId, GroupHandle};
use tokenim_wire::{Label, NetworkId, Object, UnixMillis, UnixSeconds, decode, encode, hash};

/// The network of all targets.
pub const NETWORK: NetworkId = NetworkId::from_bytes([7; 32]);
/// The session of all targets.
pub const HANDLE: GroupHandle = GroupHandle::from_bytes([8; 32]);
/// When the envelopes of all targets expire.
pub const EXPIRY: UnixSeconds = UnixSeconds::new(1_802_000_000);

/// The keys of the epoch.
pub static KEYS: LazyLock<EpochKeys> = LazyLock::new(|| EpochKeys::from_bytes(&[9; 32]).unwrap());

/// A generator that gives these bytes over and over.
pub struct Fixed<'a>(pub &'a [u8]);

impl TryRng for Fixed<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for (to, from) in out.iter_mut().zip(self.0.iter().cycle()) {
            *to = *from;
        }
        Ok(())
    }
}

impl TryCryptoRng for Fixed<'_> {}

/// What decodes encodes to the same bytes.
fn object<T: Object>(data: &[u8]) -> Option<T> {
    let value = T::from_bytes(data).ok()?;
    assert!(data.len() <= T::BYTES_MAX);
    assert_eq!(value.to_bytes().as_deref(), Ok(data));
    Some(value)
}

/// Bytes as what a message says.
pub fn content(data: &[u8]) {
    let Some(body) = object::<Body>(data) else {
        return;
    };
    assert_eq!(body.encode().as_ref().map(|bytes| bytes.as_slice()), Ok(data));
    match &body.content {
        Content::Delivered { ids } | Content::Read { ids } => {
            assert!((1..=256).contains(&ids.as_slice().len()));
            assert!(ids.as_slice().is_sorted_by(|one, next| one < next));
        }
        Content::Attachment(file) => {
            let name = file.name.as_str();
            assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']) && name != ".." && name != ".");
        }
        Content::Extension { required, name, .. } => {
            assert_eq!(body.content.read(&[]).is_err(), *required);
            assert!(body.content.read(&[name.as_str()]).is_ok());
        }
        content => assert!(content.read(&[]).is_ok()),
    }
    let place = OrderKey {
        epoch: body.epoch,
        clock: body.clock,
        device: DeviceId::from_bytes([1; 32]),
        id: body.id,
    };
    assert_eq!(OrderKey::from_bytes(&place.to_bytes()), Some(place));
}

/// Bytes as the context of a session: always in order, always with an owner.
pub fn context(data: &[u8]) {
    let Some(context) = object::<GroupContext>(data) else {
        return;
    };
    assert!(context.roles().is_sorted_by(|(one, _), (next, _)| one < next));
    let owners = context.roles().iter().filter(|(_, role)| *role == Role::Owner).count();
    assert!(context.kind() == Kind::Direct || owners > 0);
    for (identity, role) in context.roles() {
        assert_eq!((context.named(identity), context.role(identity)), (Some(*role), *role));
        assert_eq!(context.with_role(identity, *role).as_ref(), Ok(&context));
    }
    assert_eq!(context.with_name(context.name()).as_ref(), Ok(&context));
    let gone = context.disappears_at(UnixMillis::new(5), UnixMillis::new(6));
    assert_eq!(gone.is_some(), context.disappear_after().is_some());
}

/// When devices are linked.
const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);

/// The owner's device, once it was shown this.
fn approval(reveal: &LinkReveal) -> LinkApproval {
    let code = LinkCode {
        network: NETWORK,
        secret: Secret32::from_bytes([1; 32]),
        commitment: reveal.commitment().unwrap(),
        expires: NOW.saturating_add(60),
    };
    let identity = IdentityId::from_bytes([2; 32]);
    let response = LinkResponse::new(code, &NETWORK, identity, reveal.keys.signing, NOW, &mut Fixed(&[3])).unwrap();
    response.revealed(reveal.clone(), NOW).unwrap()
}

/// Bytes as a message by which a device is linked: keys fit the code that commits to them, and a consent that nobody signed
/// is none.
pub fn link_message(data: &[u8]) {
    match object::<LinkMessage>(data) {
        Some(LinkMessage::Reveal(reveal)) => assert_eq!(approval(&reveal).keys(), &reveal.keys),
        Some(LinkMessage::Consent(consent)) => {
            let keys = DeviceKeys {
                signing: DeviceSigningKey::from_seed([4; 32]).verifying_key(),
                envelope: EnvelopeKey::x25519([5; 32]),
                inbox: MailboxSigningKey::from_seed([6; 32]).verifying_key(),
                inbox_nonce: [7; 16],
            };
            let reveal = LinkReveal { keys, nonce: [8; 32] };
            let ask = LinkAsk { seq: consent.seq };
            assert_eq!(approval(&reveal).consented(ask, &consent, NOW), Err(LinkError::Consent));
        }
        _ => {}
    }
}

/// Bytes as what devices say to each other beside a session. A page is in order, has only what is kept, and is what is made
/// of its messages.
pub fn note(data: &[u8]) {
    let Some(Note::Page(page)) = object::<Note>(data) else {
        return;
    };
    let messages = page.messages();
    assert!((1..=256).contains(&messages.len()));
    assert!(messages.is_sorted_by(|one, next| one.order < next.order));
    assert!(messages.iter().all(|said| said.content.is_kept()));
    if let PageOf::Group(_, name) = page.of() {
        assert!(!name.chars().any(char::is_control));
    }
    let newest_first = messages.iter().rev().cloned();
    let filled = Page::fill(page.of().clone(), newest_first).unwrap().unwrap();
    // A page that was filled to the last two bytes may have been made by somebody who counts better.
    assert!(filled == page || data.len() + 2 > Note::BYTES_MAX);
}

/// Steps of four bytes on a door: what, who, by which link, how many seconds later. It never holds more than it may, nor
/// anybody twice, nor a request by a link that is not good.
pub fn door(data: &[u8]) {
    let mut door = Door::default();
    let mut now = UnixSeconds::new(1_800_000_000);
    let asked = IdentityId::from_bytes([1; 32]);
    for step in data.as_chunks::<4>().0.iter().take(2_000) {
        let [what, who, which, later] = *step;
        now = now.saturating_add(u64::from(later / 64));
        let link = KeptLink {
            secret: Secret32::from_bytes([which % 24; 32]),
            expires: UnixSeconds::new(1_800_000_000 + u64::from(which % 24) * 50),
        };
        let asker = IdentityId::from_bytes([who; 32]);
        // Whether it is done, is seen by what is there after.
        match what % 8 {
            0 => drop(door.make(link, now)),
            1 => drop(door.told(DoorWord::Made(link), now)),
            2 => drop(door.told(DoorWord::Revoked(link), now)),
            3 => drop(door.revoke(Some(&link.name()))),
            4 => door.refuse(&asker),
            5 => drop(door.answer(&asker)),
            _ => {
                let proof = link.link(NETWORK, HANDLE, asked).proof(&asker);
                let taken = door.ask((NETWORK, HANDLE, asked), asker, &proof, now.to_millis());
                assert!(taken.is_err() || door.links().any(|kept| kept.name() == link.name()));
            }
        }
        let requests = door.requests();
        for (place, request) in requests.iter().enumerate() {
            assert!(door.links().any(|link| link.name() == request.link));
            assert!(requests[..place].iter().all(|other| other.asker != request.asker));
        }
        assert_eq!(Door::from_bytes(&door.to_bytes().unwrap()), Ok(door.clone()));
    }
}

/// Text as a code, of either kind: never of both.
pub fn code(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (link, invite) = (text.parse::<LinkCode>(), text.parse::<InviteLink>());
    assert!(link.is_err() || invite.is_err());
    if let Ok(link) = link {
        assert_eq!(link.to_string(), text);
        assert_eq!(text.len(), LinkCode::LENGTH);
    }
    if let Ok(invite) = invite {
        assert_eq!(invite.to_string(), text);
        assert_eq!(text.len(), InviteLink::LENGTH);
    }
}

/// Bytes as an envelope of the epoch: what opens is what wrapping with the same nonce makes.
pub fn unwrap(data: &[u8]) {
    if let Ok(message) = KEYS.unwrap(data) {
        let nonce = &data[10..22];
        let again = KEYS.wrap(&message, EXPIRY, &mut Fixed(nonce)).unwrap();
        assert_eq!(again.as_bytes(), data);
    }
}

/// The entry that children of [`child()`] follow.
pub const ENTRY: GroupEntryId = GroupEntryId::from_bytes([6; 32]);

/// Bytes that only who knows a leaf's number makes of a message: enough of a signature here.
fn mark(leaf: u32, message: &[u8]) -> Signature {
    const LABEL: Label = Label::new("tokenim/fuzz-mark/v1");
    let half = hash(LABEL, &[&leaf.to_be_bytes(), message]).to_bytes();
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&half);
    bytes[32..].copy_from_slice(&half);
    Signature::from_bytes(bytes)
}

/// A leaf (1), a place in the child (2) and what is changed there (1), then a commit: the child of it is valid if nothing is
/// changed, and otherwise skipped by everyone for the same reason. Then all of it as a child.
pub fn child(data: &[u8]) {
    let parent = Parent {
        network: &NETWORK,
        handle: HANDLE,
        entry: ENTRY,
        keys: &KEYS,
    };
    let verify = |leaf: u32, message: &[u8], signature: &Signature| leaf < 128 && *signature == mark(leaf, message);
    if let Ok(made) = decode::<GroupChild>(data, 1024) {
        let judged = child::check(&parent, &made, &[data], verify, |_| None::<AppliedCommit<()>>);
        assert!(!matches!(judged, Ok(Verdict::Valid { .. })));
    }

    let Some(([leaf, high, low, change], commit)) = data.split_first_chunk::<4>() else {
        return;
    };
    // In one to eight parts, of any length.
    let length = commit.len().div_ceil(1 + usize::from(leaf % 8)).max(1);
    let mut cut: Vec<&[u8]> = commit.chunks(length).collect();
    if cut.is_empty() {
        cut.push(&[]);
    }
    let parts = (0..)
        .zip(cut)
        .map(|(at, part)| KEYS.wrap(part, EXPIRY, &mut Fixed(&[5, at])));
    let Ok(envelopes) = parts.collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let named = CommitParts::new(envelopes.iter().map(|envelope| envelope.id()).collect()).unwrap();
    let leaf = u32::from(*leaf);
    let next = KEYS.verifying_key();
    let sign = |message: &[u8]| Ok::<_, Infallible>(mark(leaf, message));
    let Ok(made) = child::build(&parent, commit, next, named, leaf, sign, &mut Fixed(&[4]));
    let mut bytes = encode(&made).unwrap();
    let place = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
    bytes[place] ^= change;
    let Ok(read) = decode::<GroupChild>(&bytes, 1024) else {
        return;
    };
    let judge = || {
        child::check(&parent, &read, &envelopes, verify, |applied| {
            assert_eq!(applied, commit);
            Some(AppliedCommit {
                author: leaf,
                permitted: Ok(()),
                next: Some(next),
                state: (),
            })
        })
    };
    let judged = judge();
    assert_eq!(judged, judge());
    match judged {
        Ok(Verdict::Valid { author, .. }) => assert!(*change == 0 && author == leaf && leaf < 128),
        Ok(Verdict::Garbage(garbage)) => {
            assert!(*change != 0 || leaf >= 128);
            assert!(matches!(garbage.why, Flaw::Foreign | Flaw::AuthorBox));
            assert_eq!(garbage.author, None);
        }
        Err(_) => panic!("the box covers the envelope's id"),
    }
}

/// The kind (1), then steps of four bytes: author, target, what, role. Whatever is permitted on the way, the rules hold.
pub fn policy(data: &[u8]) {
    let Some((kind, steps)) = data.split_first() else {
        return;
    };
    let device = |number: u8| MemberDevice {
        identity: IdentityId::from_bytes([number % 6; 32]),
        device: DeviceId::from_bytes([number / 6 % 4; 32]),
    };
    let (one, other) = (device(0).identity, device(1).identity);
    let mut context = if kind % 2 == 0 {
        GroupContext::group(HANDLE, "name", one).unwrap()
    } else {
        GroupContext::direct(HANDLE, one, other).unwrap()
    };
    let mut members = vec![device(0)];
    for step in steps.as_chunks::<4>().0.iter().take(200) {
        let [author, target, what, role] = *step;
        let author = members[usize::from(author) % members.len()];
        let (there, target) = (members[usize::from(target) % members.len()], device(target));
        let role = [Role::Leaving, Role::Member, Role::Admin, Role::Owner][usize::from(role % 4)];
        let (mut added, mut removed, mut after) = (Vec::new(), Vec::new(), Ok(context.clone()));
        match what % 8 {
            0 | 1 => added.push(target),
            2 => removed.push(there),
            3 => removed.extend(members.iter().filter(|device| device.identity == there.identity)),
            4 => (added, removed) = (vec![there], vec![there]),
            5 => after = context.with_role(&author.identity, role),
            6 => after = context.with_role(&there.identity, role),
            _ => after = context.with_name("other"),
        }
        let (Ok(after), false) = (after, removed.contains(&author)) else {
            continue;
        };
        let change = Change {
            before: &context,
            after: &after,
            members: &members,
            author,
            added: &added,
            removed: &removed,
        };
        assert_eq!(permits(&change, |_| false), Err(Forbidden::AuthorRevoked));
        if permits(&change, |_| true).is_err() {
            continue;
        }
        assert!(after.role(&author.identity) <= context.role(&author.identity));
        members.retain(|device| !removed.contains(device));
        members.extend(added);
        context = after;
        let is_there = |identity: &IdentityId| members.iter().any(|device| device.identity == *identity);
        match context.kind() {
            Kind::Group => {
                let mut roles = context.roles().iter();
                assert!(roles.any(|(identity, role)| *role == Role::Owner && is_there(identity)));
            }
            Kind::Direct => assert!(members.iter().all(|device| [one, other].contains(&device.identity))),
        }
    }
}
