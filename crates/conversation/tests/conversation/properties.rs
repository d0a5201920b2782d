//! What holds for all inputs. `PROPTEST_CASES` sets how many are tried.

use proptest::{collection::vec, option, prelude::*, sample};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use tokenim_conversation::{
    Body, Content, EpochKeys, EpochView, GroupContext, OrderKey, Role,
    content::{
        AttachmentLength, AttachmentRef, ExtensionBody, ExtensionName, FileName, Marks, MarksError, MediaType,
        MessageText, Reaction, Reading, UnknownExtension,
    },
    epoch::UnwrapError,
    link::{LinkAsk, LinkCode, LinkError, LinkMessage, LinkOffer, LinkResponse, LinkReveal},
    order::Clock,
    policy::{Change, Kind, MemberDevice, permits},
    secret::{Secret32, TextError},
};
use tokenim_envelope::{Checkpoint, MessageId};
use tokenim_identity::{DeviceId, DeviceKeys, DeviceSigningKey, EnvelopeKey, IdentityId, MailboxSigningKey};
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::{Digest, Height, NetworkId, Object as _, UnixMillis, UnixSeconds};

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(64, |text| text.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn id() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId::from_bytes)
}

fn text() -> impl Strategy<Value = MessageText> {
    "\\PC{1,200}".prop_map(|text| MessageText::new(text).unwrap())
}

fn attachment() -> impl Strategy<Value = Content> {
    let parts = (any::<[u8; 32]>(), any::<[u8; 32]>(), 0..=104_857_600_u64);
    let named = parts.prop_flat_map(|parts| (Just(parts), "[^/\\\\\\p{C}.]{1,40}", "[a-z]{1,9}/[a-z0-9+.-]{0,9}x"));
    named.prop_filter_map("a media type", |((digest, key, bytes), name, mime)| {
        Some(Content::Attachment(AttachmentRef {
            digest: Digest::from_bytes(digest),
            key: Secret32::from_bytes(key),
            bytes: AttachmentLength::new(bytes).unwrap(),
            name: FileName::new(name).unwrap(),
            mime: MediaType::new(&mime).ok()?,
        }))
    })
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        text().prop_map(Content::Text),
        (id(), text()).prop_map(|(to, text)| Content::Reply { to, text }),
        (id(), option::of("\\PC{1,8}")).prop_map(|(to, emoji)| Content::Reaction {
            to,
            emoji: emoji.map(|emoji| Reaction::new(emoji).unwrap()),
        }),
        (id(), text()).prop_map(|(of, text)| Content::Edit { of, text }),
        id().prop_map(|of| Content::Delete { of }),
        vec(id(), 1..300).prop_filter_map("256 at most", |ids| Marks::new(ids)
            .ok()
            .map(|ids| Content::Delivered { ids })),
        vec(id(), 1..20).prop_map(|ids| Content::Read {
            ids: Marks::new(ids).unwrap()
        }),
        attachment(),
        Just(Content::Typing),
        ("[a-z][a-z0-9._/-]{0,63}", any::<bool>(), vec(any::<u8>(), 0..500)).prop_map(|(name, required, body)| {
            Content::Extension {
                name: ExtensionName::new(&name).unwrap(),
                required,
                body: ExtensionBody::new(body).unwrap(),
            }
        }),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    let seen = option::of((any::<u64>(), any::<[u8; 32]>()));
    (id(), any::<[u8; 32]>(), numbers, seen, content()).prop_map(|(id, view, (epoch, clock, sent), seen, content)| {
        Body {
            id,
            view: EpochView::from_bytes(view),
            epoch,
            clock,
            sent: UnixMillis::new(sent),
            checkpoint: seen.map(|(height, header)| Checkpoint {
                height: Height::new(height),
                header: Digest::from_bytes(header),
            }),
            content,
        }
    })
}

fn order() -> impl Strategy<Value = OrderKey> {
    let number = || prop_oneof![any::<u64>(), 0..3_u64];
    (number(), number(), any::<[u8; 32]>(), id()).prop_map(|(epoch, clock, device, id)| OrderKey {
        epoch,
        clock,
        device: DeviceId::from_bytes(device),
        id,
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_is_said_is_read(body in body()) {
        let bytes = body.encode().unwrap();
        prop_assert_eq!(Body::decode(&bytes).unwrap(), body);
    }

    #[test]
    fn a_body_cut_anywhere_is_refused(body in body(), at in any::<sample::Index>()) {
        let bytes = body.encode().unwrap();
        prop_assert!(Body::decode(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(mut bytes in body().prop_map(|body| body.encode().unwrap().to_vec()), at in any::<sample::Index>(), with in any::<u8>()) {
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(body) = Body::decode(&bytes) {
            prop_assert_eq!(body.encode().unwrap().to_vec(), bytes);
        }
    }

    #[test]
    fn bytes_of_places_sort_as_places_do(one in order(), other in order()) {
        prop_assert_eq!(one.cmp(&other), one.to_bytes().cmp(&other.to_bytes()));
        prop_assert_eq!(OrderKey::from_bytes(&one.to_bytes()), Some(one));
    }

    #[test]
    fn whatever_is_wrapped_is_unwrapped_by_its_epoch_alone(message in vec(any::<u8>(), 0..6000), secrets in any::<([u8; 32], [u8; 32], u64)>(), expiry in any::<u64>()) {
        let [own, other] = [secrets.0, secrets.1].map(|secret| EpochKeys::from_bytes(&secret).unwrap());
        let mut rng = ChaCha20Rng::seed_from_u64(secrets.2);
        let envelope = own.wrap(&message, UnixSeconds::new(expiry), &mut rng).unwrap();
        prop_assert_eq!(&*own.unwrap(envelope.as_bytes()).unwrap(), &message);
        prop_assert_eq!(other.unwrap(envelope.as_bytes()), Err(UnwrapError::Refused));
    }

    #[test]
    fn a_wrapped_message_with_a_bit_flipped_anywhere_is_refused(at in any::<sample::Index>(), bit in 0..8_u8) {
        let keys = EpochKeys::from_bytes(&[1; 32]).unwrap();
        let envelope = keys.wrap(b"message", UnixSeconds::new(1_802_000_000), &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
        let mut bytes = envelope.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(keys.unwrap(&bytes).is_err());
    }

    #[test]
    fn codes_are_read_as_they_were_shown(network in any::<[u8; 32]>(), secret in any::<[u8; 32]>(), commitment in any::<[u8; 32]>(), expires in any::<u64>(), at in any::<sample::Index>(), with in "[0-9A-F]") {
        let code = LinkCode {
            network: NetworkId::from_bytes(network),
            secret: Secret32::from_bytes(secret),
            commitment: Digest::from_bytes(commitment),
            expires: UnixSeconds::new(expires),
        };
        let shown = code.to_string();
        prop_assert_eq!(shown.parse::<LinkCode>(), Ok(code));
        let digits = 11;
        let at = digits + at.index(shown.len() - digits);
        let mistyped = format!("{}{with}{}", &shown[..at], &shown[at + 1..]);
        if mistyped != shown {
            prop_assert_eq!(mistyped.parse::<LinkCode>(), Err(LinkError::Damaged));
        }
    }
}

#[test]
fn what_can_not_be_said_is_refused() {
    assert_eq!(MessageText::new("").unwrap_err(), TextError::Empty);
    assert!(matches!(
        MessageText::new("x".repeat(61_441)),
        Err(TextError::TooLong(_))
    ));
    assert_eq!(Marks::new([]), Err(MarksError::Empty));
    let ids = |count: u16| (0..count).map(|number| MessageId::from_bytes(u128::from(number).to_be_bytes()));
    assert_eq!(Marks::new(ids(257)), Err(MarksError::TooMany));
    assert_eq!(Marks::new(ids(256).chain(ids(256))).unwrap().as_slice().len(), 256);
    assert!(AttachmentLength::new(104_857_601).is_err());
    assert!(FileName::new("..").is_err() && FileName::new("a/b").is_err() && FileName::new("").is_err());
    assert!(MediaType::new("Text/plain").is_err() && MediaType::new("text").is_err());
    assert!(ExtensionName::new("").is_err() && ExtensionName::new("Poll").is_err());
}

#[test]
fn an_unknown_extension_is_kept_if_it_may_be_ignored_and_refused_if_not() {
    let name = ExtensionName::new("org.example/poll").unwrap();
    let said = |required| Content::Extension {
        name: name.clone(),
        required,
        body: ExtensionBody::default(),
    };
    let (optional, needed) = (said(false), said(true));
    assert_eq!(optional.read(&[]), Ok(Reading::Opaque(&name)));
    assert_eq!(
        needed.read(&["org.example/other"]),
        Err(UnknownExtension { name: name.clone() })
    );
    for content in [&optional, &needed] {
        assert_eq!(content.read(&["org.example/poll"]), Ok(Reading::Known(content)));
        assert!(content.is_message());
    }
    let plain = Content::text("hi").unwrap();
    assert_eq!(plain.read(&[]), Ok(Reading::Known(&plain)));
    assert!(!Content::Typing.is_message());
}

#[test]
fn an_answer_comes_after_what_it_answers() {
    let (mut ada, mut ben) = (Clock::default(), Clock::default());
    let question = ada.tick();
    ben.observe(question);
    assert!(ben.tick() > question);
    // a lie moves nothing back, and stops at the end
    ada.observe(u64::MAX);
    assert_eq!((ada.tick(), ada.tick(), ada.get()), (u64::MAX, u64::MAX, u64::MAX));
    ben.observe(0);
    assert_eq!(ben.get(), 2);
}

fn keys_of(seed: u8) -> DeviceKeys {
    DeviceKeys {
        signing: DeviceSigningKey::from_seed([seed; 32]).verifying_key(),
        envelope: EnvelopeKey::x25519([9; 32]),
        inbox: MailboxSigningKey::from_seed([seed.wrapping_add(1); 32]).verifying_key(),
        inbox_nonce: [seed; 16],
    }
}

const NETWORK: NetworkId = NetworkId::from_bytes([7; 32]);
const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);

fn respond(code: LinkCode, seed: u8, rng: &mut ChaCha20Rng) -> LinkResponse {
    let device = DeviceSigningKey::from_seed([seed; 32]).verifying_key();
    LinkResponse::new(code, &NETWORK, IdentityId::from_bytes([seed; 32]), device, NOW, rng).unwrap()
}

#[test]
fn two_devices_with_nobody_between_them_show_the_same_number() {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let mut numbers = Vec::new();
    for _ in 0..20 {
        let offer = LinkOffer::new(NETWORK, keys_of(1), NOW, rng).unwrap();
        let read: LinkCode = offer.code().to_string().parse().unwrap();
        let response = respond(read, 2, rng);
        let (reveal, mut join) = offer.answered(response.answer(), NOW).unwrap();
        let approval = response.revealed(reveal, NOW).unwrap();
        let (here, there) = (join.number(), approval.number());
        assert_eq!((here, approval.keys()), (there, &keys_of(1)));
        let ask = LinkAsk { seq: 7 };
        let consent = join.consent(ask, &DeviceSigningKey::from_seed([1; 32]), NOW).unwrap();
        assert_eq!(approval.consented(ask, &consent, NOW), Ok(consent.signature));
        assert!(here.is_typed(&there.to_string()) && here.is_typed(&there.to_string().replace(' ', "")));
        assert!(!here.is_typed("") && !here.is_typed("1234 567") && !here.is_typed(&format!("{there}0")));
        numbers.push(here.to_string());
    }
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 20, "nonces make each attempt another");
}

#[test]
fn whoever_stands_between_two_devices_is_seen() {
    let rng = &mut ChaCha20Rng::seed_from_u64(2);
    let offer = LinkOffer::new(NETWORK, keys_of(1), NOW, rng).unwrap();
    // shows the owner a code of its own, and answers the new device itself
    let own = LinkOffer::new(NETWORK, keys_of(50), NOW, rng).unwrap();
    let response = respond(own.code().clone(), 2, rng);
    let answered = respond(offer.code().clone(), 60, rng);
    let (reveal, join) = offer.answered(answered.answer(), NOW).unwrap();
    let (own_reveal, _) = own.answered(response.answer(), NOW).unwrap();
    // neither the true keys nor a second choice fit the code that the owner has read
    assert_eq!(
        response.clone().revealed(reveal, NOW).unwrap_err(),
        LinkError::Commitment
    );
    let mut chosen_later = own_reveal.clone();
    chosen_later.nonce = [1; 32];
    assert_eq!(
        response.clone().revealed(chosen_later, NOW).unwrap_err(),
        LinkError::Commitment
    );
    let approval = response.revealed(own_reveal, NOW).unwrap();
    assert_ne!(join.number(), approval.number());
}

/// Who stands between knows both codes, all keys and what the owner's device says before it answers the new device. It can't
/// tell which of its answers would give which number: for that it needs the nonce that the new device shows last.
#[test]
fn nobody_can_choose_an_answer_for_its_number() {
    let rng = &mut ChaCha20Rng::seed_from_u64(4);
    let offer = LinkOffer::new(NETWORK, keys_of(1), NOW, rng).unwrap();
    let response = respond(offer.code().clone(), 60, rng);
    for nonce in 0..=255 {
        let guess = LinkReveal {
            keys: keys_of(1),
            nonce: [nonce; 32],
        };
        assert_eq!(
            response.clone().revealed(guess, NOW).unwrap_err(),
            LinkError::Commitment
        );
    }
    let (reveal, join) = offer.answered(response.answer(), NOW).unwrap();
    assert_eq!(response.revealed(reveal, NOW).unwrap().number(), join.number());
}

#[test]
fn a_device_agrees_to_what_it_has_shown_and_not_for_ever() {
    let rng = &mut ChaCha20Rng::seed_from_u64(5);
    let key = DeviceSigningKey::from_seed([1; 32]);
    let offer = LinkOffer::new(NETWORK, keys_of(1), NOW, rng).unwrap();
    let response = respond(offer.code().clone(), 2, rng);
    let (reveal, mut join) = offer.answered(response.answer(), NOW).unwrap();
    let approval = response.revealed(reveal, NOW).unwrap();
    let ask = |seq| LinkAsk { seq };
    let other = DeviceSigningKey::from_seed([3; 32]);
    assert_eq!(join.consent(ask(1), &other, NOW), Err(LinkError::Consent));
    let late = UnixSeconds::new(NOW.get() + 600);
    assert_eq!(join.consent(ask(1), &key, late), Err(LinkError::Expired));
    let first = join.consent(ask(1), &key, NOW).unwrap();
    assert_eq!(approval.consented(ask(2), &first, NOW), Err(LinkError::Consent));
    assert_eq!(approval.consented(ask(1), &first, late), Err(LinkError::Expired));
    assert!(approval.consented(ask(1), &first, NOW).is_ok());
    for seq in 2..=8 {
        let consent = join.consent(ask(seq), &key, NOW).unwrap();
        assert!(approval.consented(ask(seq), &consent, NOW).is_ok());
    }
    assert_eq!(join.consent(ask(9), &key, NOW), Err(LinkError::Asks));
}

#[test]
fn the_messages_of_another_code_are_not_read() {
    let rng = &mut ChaCha20Rng::seed_from_u64(6);
    let codes: Vec<LinkCode> = (0..2)
        .map(|_| LinkOffer::new(NETWORK, keys_of(1), NOW, rng).unwrap().code().clone())
        .collect();
    assert_ne!(codes[0].mailbox().tag(), codes[1].mailbox().tag());
    let wrapped = codes[0].wrap(&LinkMessage::Done, codes[0].expires, rng).unwrap();
    assert_eq!(codes[0].unwrap(wrapped.as_bytes()), Ok(LinkMessage::Done));
    assert!(codes[1].unwrap(wrapped.as_bytes()).is_err());
}

#[test]
fn a_code_is_good_for_its_network_and_ten_minutes() {
    let rng = &mut ChaCha20Rng::seed_from_u64(3);
    let offer = LinkOffer::new(NETWORK, keys_of(1), NOW, rng).unwrap();
    let code = offer.code().clone();
    assert_eq!(code.check(&NETWORK, NOW), Ok(()));
    assert_eq!(
        code.check(&NetworkId::from_bytes([8; 32]), NOW),
        Err(LinkError::Network)
    );
    let late = UnixSeconds::new(NOW.get() + 600);
    assert_eq!(code.check(&NETWORK, late), Err(LinkError::Expired));
    let early = UnixSeconds::new(NOW.get() - 121);
    assert_eq!(code.check(&NETWORK, early), Err(LinkError::LifetimeTooLong));
    assert_eq!(code.check(&NETWORK, UnixSeconds::new(NOW.get() - 120)), Ok(()));
    let response = respond(code, 2, rng);
    let answer = response.answer().clone();
    let (reveal, _) = offer.clone().answered(&answer, NOW).unwrap();
    assert_eq!(offer.answered(&answer, late).unwrap_err(), LinkError::Expired);
    assert_eq!(response.revealed(reveal, late).unwrap_err(), LinkError::Expired);
}

/// A step of a walk through what members may try.
#[derive(Clone, Debug)]
struct Step {
    author: sample::Index,
    other: sample::Index,
    person: u8,
    device: u8,
    role: Role,
    what: u8,
}

fn step() -> impl Strategy<Value = Step> {
    let role = sample::select(vec![Role::Leaving, Role::Member, Role::Admin, Role::Owner]);
    let indices = any::<(sample::Index, sample::Index)>();
    (indices, 0..6_u8, 0..3_u8, role, 0..16_u8).prop_map(|((author, other), person, device, role, what)| Step {
        author,
        other,
        person,
        device,
        role,
        what,
    })
}

fn member(person: u8, device: u8) -> MemberDevice {
    MemberDevice {
        identity: IdentityId::from_bytes([person; 32]),
        device: DeviceId::from_bytes([device; 32]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: config().cases * 2, ..config() })]

    /// Nobody's device is revoked here: what revocation leaves is its own matter.
    #[test]
    fn no_permitted_changes_leave_a_group_without_an_owner_or_raise_who_makes_them(is_group in any::<bool>(), steps in vec(step(), 0..80)) {
        let handle = GroupHandle::from_bytes([1; 32]);
        let mut members = vec![member(0, 0)];
        let mut context = if is_group {
            GroupContext::group(handle, "name", members[0].identity).unwrap()
        } else {
            GroupContext::direct(handle, member(0, 0).identity, member(1, 0).identity).unwrap()
        };
        for step in steps {
            let author = *step.author.get(&members);
            let other = *step.other.get(&members);
            let target = member(step.person, step.device);
            let (mut added, mut removed, mut after) = (Vec::new(), Vec::new(), Ok(context.clone()));
            match step.what {
                0..=4 => added.push(target),
                5 | 6 => removed.push(other),
                7 => removed.extend(members.iter().filter(|device| device.identity == other.identity)),
                8 => {
                    removed.push(other);
                    added.push(other);
                }
                9 => after = context.with_name("another"),
                10 => after = context.with_disappear_after(Some(u64::from(step.person) + 1)),
                11 => {
                    removed.extend(members.iter().filter(|device| device.identity == other.identity));
                    after = context.with_role(&other.identity, Role::Member);
                }
                12 => after = context.with_role(&author.identity, step.role),
                13 => {
                    let lowered = context.with_role(&target.identity, Role::Owner);
                    after = lowered.and_then(|context| context.with_role(&author.identity, step.role));
                }
                _ => after = context.with_role(&other.identity, step.role),
            }
            // MLS lets nobody remove the own leaf, and nobody remove what is not there
            let possible = !removed.contains(&author) && removed.iter().all(|device| members.contains(device));
            let (Ok(after), true) = (after, possible) else {
                continue;
            };
            let change = Change { before: &context, after: &after, members: &members, author, added: &added, removed: &removed };
            if permits(&change, |_| true).is_err() {
                continue;
            }
            let old = context.role(&author.identity);
            prop_assert!(after.role(&author.identity) <= old);
            prop_assert_eq!((after.handle(), after.kind()), (handle, context.kind()));
            if old < Role::Admin && is_group {
                prop_assert_eq!(after.name(), context.name());
                for (identity, role) in after.roles() {
                    prop_assert!(*role <= context.role(identity));
                }
            }
            members.retain(|device| !removed.contains(device));
            members.extend(added);
            context = after;

            let mut once = members.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), members.len());
            let is_there = |identity: &IdentityId| members.iter().any(|device| device.identity == *identity);
            let is_kept = match context.kind() {
                Kind::Group => context.roles().iter().any(|(identity, role)| *role == Role::Owner && is_there(identity)),
                Kind::Direct => members.iter().all(|device| context.named(&device.identity).is_some()),
            };
            prop_assert!(is_kept);
            prop_assert_eq!(GroupContext::from_bytes(&context.to_bytes().unwrap()).unwrap(), context.clone());
        }
    }
}
