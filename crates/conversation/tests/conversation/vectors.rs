//! The vectors of `tests/vectors`, which a second implementation made from the spec.

use crate::Fixed;
use serde::{Deserialize, de::DeserializeOwned};
use tokenim_conversation::{
    Body, EpochKeys, EpochView, GroupContext, OrderKey, Role,
    child::{self, AppliedCommit, Parent, Verdict},
    epoch::UnwrapError,
    link::{InviteLink, LinkCode, LinkConsent, LinkError, LinkMessage, LinkResponse},
    note::Note,
    policy::{Change, Forbidden, Kind, MemberDevice, permits},
    secret::Secret32,
    welcome::{Welcome, WelcomePlace},
};
use tokenim_envelope::{MessageId, SealedEnvelope};
use tokenim_identity::{DeviceId, EpochKey, EpochSigningKey, IdentityId, MailboxSigningKey, Signature, verify};
use tokenim_mailbox::{
    Descriptor, MailboxTag,
    group::{CommitTag, GroupChild, GroupEntryId, GroupHandle},
};
use tokenim_wire::{Digest, EnvelopeId, NetworkId, Object, UnixSeconds, decode, encode, hex};

fn vectors<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

/// The name of an error's variant.
fn name(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split(|letter: char| !letter.is_alphanumeric())
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn bodies() {
    #[derive(Deserialize)]
    struct View {
        entry: GroupEntryId,
        authenticator: String,
        view: EpochView,
    }
    #[derive(Deserialize)]
    struct Case {
        name: String,
        value: Body,
        bytes: String,
    }
    #[derive(Deserialize)]
    struct Vectors {
        views: Vec<View>,
        bodies: Vec<Case>,
    }
    let Vectors { views, bodies: cases } = vectors(include_str!("../vectors/bodies.json"));
    for View {
        entry,
        authenticator,
        view,
    } in views
    {
        assert_eq!(EpochView::of(&entry, &array(&authenticator)), view);
    }
    assert_eq!(cases.len(), 15);
    for Case {
        name,
        value,
        bytes: data,
    } in cases
    {
        assert_eq!(hex::encode(&value.encode().unwrap()), data, "{name}");
        assert_eq!(value.to_bytes().unwrap(), *value.encode().unwrap(), "{name}");
        assert_eq!(Body::decode(&bytes(&data)).unwrap(), value, "{name}");
    }
}

fn context_of(
    kind: Kind,
    handle: GroupHandle,
    title: &str,
    timer: Option<u64>,
    roles: &[(IdentityId, Role)],
) -> GroupContext {
    let mut context = match kind {
        Kind::Direct => GroupContext::direct(handle, roles[1].0, roles[0].0).unwrap(),
        Kind::Group => {
            let (owner, _) = roles.iter().find(|(_, role)| *role == Role::Owner).unwrap();
            GroupContext::group(handle, title, *owner).unwrap()
        }
    };
    for (identity, role) in roles {
        context = context.with_role(identity, *role).unwrap();
    }
    context.with_disappear_after(timer).unwrap()
}

#[test]
fn contexts() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        kind: u8,
        title: String,
        timer: Option<u64>,
        roles: Vec<(String, Role)>,
        bytes: String,
    }
    #[derive(Deserialize)]
    struct Vectors {
        handle: GroupHandle,
        contexts: Vec<Case>,
    }
    let Vectors {
        handle,
        contexts: cases,
    } = vectors(include_str!("../vectors/contexts.json"));
    assert_eq!(cases.len(), 5);
    for case in cases {
        let kind = [Kind::Direct, Kind::Group][usize::from(case.kind)];
        let roles: Vec<_> = case
            .roles
            .iter()
            .map(|(person, role)| (IdentityId::from_bytes(array(person)), *role))
            .collect();
        let made = context_of(kind, handle, &case.title, case.timer, &roles);
        let data = bytes(&case.bytes);
        assert_eq!(made.to_bytes().unwrap(), data, "{}", case.name);
        let read = GroupContext::from_bytes(&data).unwrap();
        assert_eq!(read, made, "{}", case.name);
        assert_eq!((read.handle(), read.kind(), read.name()), (handle, kind, &*case.title));
        assert_eq!((read.disappear_after(), read.roles()), (case.timer, &*roles));
    }
}

#[test]
fn orders() {
    #[derive(Deserialize)]
    struct Case {
        epoch: u64,
        clock: u64,
        device: DeviceId,
        id: MessageId,
        bytes: String,
    }
    let cases: Vec<Case> = vectors(include_str!("../vectors/orders.json"));
    assert_eq!(cases.len(), 48);
    let keys: Vec<_> = cases
        .iter()
        .map(|case| {
            let key = OrderKey {
                epoch: case.epoch,
                clock: case.clock,
                device: case.device,
                id: case.id,
            };
            assert_eq!(hex::encode(&key.to_bytes()), case.bytes);
            assert_eq!(OrderKey::from_bytes(&bytes(&case.bytes)), Some(key));
            key
        })
        .collect();
    assert!(keys.is_sorted_by(|one, next| one < next));
}

#[test]
fn epochs() {
    #[derive(Deserialize)]
    struct Commit {
        commit: String,
        tag: CommitTag,
        descriptor: String,
        mailbox: MailboxTag,
    }
    #[derive(Deserialize)]
    struct Case {
        network: NetworkId,
        handle: GroupHandle,
        label: String,
        context: String,
        exported: String,
        secret: String,
        write_seed: String,
        read_seed: String,
        descriptor: String,
        tag: MailboxTag,
        signing_seed: String,
        key: EpochKey,
        commits: Vec<Commit>,
    }
    let cases: Vec<Case> = vectors(include_str!("../vectors/epochs.json"));
    assert_eq!(cases.len(), 3);
    for case in cases {
        let keys = EpochKeys::derive(&case.network, &case.handle, |label, context, length| {
            assert_eq!((label, length), (&*case.label, 32));
            assert_eq!(hex::encode(context), case.context);
            Ok::<_, ()>(bytes(&case.exported).into())
        })
        .unwrap();
        assert_eq!(hex::encode(&keys.to_bytes()), case.secret);
        let again = EpochKeys::from_bytes(&bytes(&case.secret)).unwrap();
        for keys in [keys, again] {
            let mailbox = keys.mailbox();
            let descriptor = mailbox.descriptor;
            assert_eq!(hex::encode(&encode(&descriptor).unwrap()), case.descriptor);
            assert_eq!(mailbox.tag(), case.tag);
            for (key, seed) in [(mailbox.write, &case.write_seed), (mailbox.read, &case.read_seed)] {
                let expected = MailboxSigningKey::from_seed(array(seed));
                assert_eq!(key.verifying_key(), expected.verifying_key());
            }
            assert_eq!(keys.verifying_key(), case.key);
            let signing = EpochSigningKey::from_seed(array(&case.signing_seed));
            assert_eq!(keys.signing_key().verifying_key(), signing.verifying_key());
            for commit in &case.commits {
                let tag = keys.commit_tag(&bytes(&commit.commit));
                assert_eq!(tag, commit.tag);
                let once = keys.commit_mailbox(&tag);
                assert_eq!(
                    once.descriptor,
                    decode::<Descriptor>(&bytes(&commit.descriptor), 100).unwrap()
                );
                assert_eq!(once.tag(), commit.mailbox);
            }
        }
    }
    assert!(EpochKeys::from_bytes(&[1; 31]).is_none());
    assert!(EpochKeys::from_bytes(&[1; 33]).is_none());
}

#[test]
fn wrapped() {
    #[derive(Deserialize)]
    struct Good {
        message: String,
        expiry: UnixSeconds,
        nonce: String,
        envelope: String,
    }
    #[derive(Deserialize)]
    struct Refused {
        name: String,
        error: String,
        envelope: String,
    }
    #[derive(Deserialize)]
    struct Vectors {
        secret: String,
        good: Vec<Good>,
        refused: Vec<Refused>,
    }
    let Vectors { secret, good, refused } = vectors(include_str!("../vectors/wrapped.json"));
    let keys = EpochKeys::from_bytes(&bytes(&secret)).unwrap();
    assert_eq!((good.len(), refused.len()), (7, 20));
    for case in good {
        let message = bytes(&case.message);
        let made = keys
            .wrap(&message, case.expiry, &mut Fixed(bytes(&case.nonce)))
            .unwrap();
        assert_eq!(hex::encode(made.as_bytes()), case.envelope);
        assert_eq!((made.expiry(), made.suite().get()), (case.expiry, 0xf0a0));
        let kept = SealedEnvelope::from_bytes(bytes(&case.envelope)).unwrap();
        assert_eq!(kept, made, "a node keeps it as it is");
        assert_eq!(*keys.unwrap(made.as_bytes()).unwrap(), message);
    }
    for case in refused {
        let error = keys.unwrap(&bytes(&case.envelope)).unwrap_err();
        assert_eq!(name(&error), case.error, "{}", case.name);
    }
}

#[derive(Deserialize)]
struct Applied {
    author: u32,
    permitted: bool,
    next: Option<EpochKey>,
}

#[derive(Deserialize)]
struct ChildCase {
    name: String,
    child: String,
    envelopes: Vec<String>,
    applied: Option<Applied>,
    verdict: String,
    author: Option<u32>,
}

#[derive(Deserialize)]
struct Children {
    network: NetworkId,
    handle: GroupHandle,
    entry: GroupEntryId,
    secret: String,
    leaf_seeds: Vec<String>,
    commit: String,
    nonce: String,
    built: String,
    id: GroupEntryId,
    children: Vec<ChildCase>,
}

#[test]
fn children() {
    use ed25519_dalek::Signer as _;
    let vectors: Children = vectors(include_str!("../vectors/children.json"));
    let keys = EpochKeys::from_bytes(&bytes(&vectors.secret)).unwrap();
    let leaves: Vec<_> = vectors
        .leaf_seeds
        .iter()
        .map(|seed| ed25519_dalek::SigningKey::from_bytes(&array(seed)))
        .collect();
    let parent = Parent {
        network: &vectors.network,
        handle: vectors.handle,
        entry: vectors.entry,
        keys: &keys,
    };
    let verify = |leaf: u32, message: &[u8], signature: &Signature| {
        leaves.get(leaf as usize).is_some_and(|key| {
            let key = key.verifying_key().to_bytes();
            verify::strict(&key, message, signature.as_bytes()).is_ok()
        })
    };

    let built: GroupChild = decode(&bytes(&vectors.built), 1000).unwrap();
    assert_eq!(built.id(), Ok(vectors.id));
    let made = child::build(
        &parent,
        &bytes(&vectors.commit),
        built.next,
        built.envelopes.clone(),
        1,
        |message| Ok::<_, ()>(Signature::from_bytes(leaves[1].sign(message).to_bytes())),
        &mut Fixed(bytes(&vectors.nonce)),
    );
    assert_eq!(made, Ok(built));

    assert_eq!(vectors.children.len(), 37);
    for case in vectors.children {
        let child: GroupChild = decode(&bytes(&case.child), 1000).unwrap();
        let envelopes: Vec<_> = case.envelopes.iter().map(|envelope| bytes(envelope)).collect();
        let mut seen = None;
        let judged = child::check(&parent, &child, &envelopes, verify, |commit| {
            seen = Some(hex::encode(commit));
            case.applied.as_ref().map(|applied| AppliedCommit {
                author: applied.author,
                permitted: if applied.permitted {
                    Ok(())
                } else {
                    Err(Forbidden::Name)
                },
                next: applied.next,
                state: 5,
            })
        });
        let (verdict, author) = match judged {
            Err(_) => ("OtherEnvelope".to_owned(), None),
            Ok(Verdict::Valid { author, state }) => {
                assert_eq!(state, 5);
                ("Valid".to_owned(), Some(author))
            }
            Ok(Verdict::Garbage(garbage)) => (name(&garbage.why), garbage.author),
        };
        assert_eq!((&verdict, author), (&case.verdict, case.author), "{}", case.name);
        let applied = ["Valid", "NotApplied", "Author", "Forbidden", "NextKey"].contains(&&*verdict);
        assert_eq!(seen, applied.then(|| vectors.commit.clone()), "{}", case.name);
    }
}

#[test]
fn welcomes() {
    use sha2::Digest as _;
    #[derive(Deserialize)]
    struct Case {
        length: usize,
        note: Option<String>,
        digest: Digest,
        tag: Option<MailboxTag>,
        envelopes: Vec<EnvelopeId>,
    }
    #[derive(Deserialize)]
    struct Welcomes {
        random: String,
        filling: String,
        handle: GroupHandle,
        entry: GroupEntryId,
        expiry: UnixSeconds,
        welcomes: Vec<Case>,
    }
    let all: Welcomes = vectors(include_str!("../vectors/welcomes.json"));
    assert_eq!(all.welcomes.len(), 8);
    let filling = bytes(&all.filling);
    for case in all.welcomes {
        let welcome: Vec<u8> = filling.iter().copied().cycle().take(case.length).collect();
        let mut rng = Fixed(bytes(&all.random));
        let (made, sealed) = Welcome::new(all.handle, all.entry, &welcome, all.expiry, &mut rng).unwrap();
        let ids: Vec<_> = sealed.iter().map(SealedEnvelope::id).collect();
        assert_eq!(ids, case.envelopes, "{}", case.length);
        match &made.place {
            WelcomePlace::Here(bytes) => assert_eq!((bytes.as_slice(), case.tag), (&*welcome, None)),
            WelcomePlace::Stored(stored) => {
                assert_eq!(Some(stored.mailbox().tag()), case.tag);
                assert_eq!(stored.parts(), ids);
                let mut damaged: Vec<_> = sealed.iter().map(|part| part.as_bytes().to_vec()).collect();
                assert_eq!(*stored.open(&damaged).unwrap(), welcome);
                *damaged.last_mut().unwrap().last_mut().unwrap() ^= 1;
                assert_eq!(stored.open(&damaged), Err(UnwrapError::Refused));
            }
        }
        let note = Note::Welcome(made).to_bytes().unwrap();
        assert_eq!(sha2::Sha256::digest(&note).as_slice(), case.digest.as_bytes());
        if let Some(expected) = case.note {
            assert_eq!(hex::encode(&note), expected);
        }
        assert!(matches!(Note::from_bytes(&note), Ok(Note::Welcome(_))));
    }
}

#[test]
fn policy() {
    #[derive(Deserialize)]
    struct Context {
        handle: u8,
        kind: u8,
        name: String,
        timer: Option<u64>,
        roles: Vec<(u8, u8)>,
    }
    type Device = (u8, u8);
    #[derive(Deserialize)]
    struct Case {
        before: Context,
        after: Context,
        members: Vec<Device>,
        author: Device,
        added: Vec<Device>,
        removed: Vec<Device>,
        revoked: Vec<Device>,
        error: Option<String>,
    }
    let device = |(person, number): &Device| MemberDevice {
        identity: IdentityId::from_bytes([*person; 32]),
        device: DeviceId::from_bytes([*number; 32]),
    };
    let devices = |list: &[Device]| list.iter().map(device).collect::<Vec<_>>();
    let context = |context: &Context| {
        let kind = [Kind::Direct, Kind::Group][usize::from(context.kind)];
        let roles: Vec<_> = context
            .roles
            .iter()
            .map(|(person, role)| {
                let role = [Role::Leaving, Role::Member, Role::Admin, Role::Owner][usize::from(*role)];
                (IdentityId::from_bytes([*person; 32]), role)
            })
            .collect();
        let handle = GroupHandle::from_bytes([context.handle; 32]);
        context_of(kind, handle, &context.name, context.timer, &roles)
    };
    let cases: Vec<Case> = vectors(include_str!("../vectors/policy.json"));
    assert_eq!(cases.len(), 500);
    for (number, case) in cases.iter().enumerate() {
        let revoked = devices(&case.revoked);
        let change = Change {
            before: &context(&case.before),
            after: &context(&case.after),
            members: &devices(&case.members),
            author: device(&case.author),
            added: &devices(&case.added),
            removed: &devices(&case.removed),
        };
        let result = permits(&change, |device| !revoked.contains(device));
        assert_eq!(
            result.err().map(|error| name(&error)),
            case.error,
            "{number}: {change:?}"
        );
    }
}

#[test]
fn links() {
    #[derive(Deserialize)]
    struct Answer {
        message: String,
        number: String,
    }
    #[derive(Deserialize)]
    struct Agreed {
        seq: u64,
        ask: String,
        consent: String,
    }
    #[derive(Deserialize)]
    struct NotAgreed {
        name: String,
        consent: String,
    }
    #[derive(Deserialize)]
    struct Proof {
        asker: String,
        proof: String,
    }
    #[derive(Deserialize)]
    struct Invite {
        code: String,
        handle: GroupHandle,
        ask: String,
        secret: String,
        expires: UnixSeconds,
        proofs: Vec<Proof>,
    }
    #[derive(Deserialize)]
    struct Refused {
        kind: String,
        name: String,
        error: String,
        code: String,
    }
    #[derive(Deserialize)]
    struct Vectors {
        network: NetworkId,
        code: String,
        secret: String,
        commitment: Digest,
        expires: UnixSeconds,
        descriptor: String,
        tag: MailboxTag,
        reveal: String,
        nonce: String,
        envelope: String,
        answers: Vec<Answer>,
        agreed: Vec<Agreed>,
        not_agreed: Vec<NotAgreed>,
        done: String,
        refusal: String,
        invite: Invite,
        refused: Vec<Refused>,
    }
    let vectors: Vectors = vectors(include_str!("../vectors/links.json"));
    let code = LinkCode {
        network: vectors.network,
        secret: Secret32::from_bytes(array(&vectors.secret)),
        commitment: vectors.commitment,
        expires: vectors.expires,
    };
    assert_eq!(code.to_string(), vectors.code);
    assert_eq!(vectors.code.len(), LinkCode::LENGTH);
    assert_eq!(vectors.code.parse(), Ok(code.clone()));
    let mailbox = code.mailbox();
    assert_eq!(hex::encode(&encode(&mailbox.descriptor).unwrap()), vectors.descriptor);
    assert_eq!(mailbox.tag(), vectors.tag);
    let message = LinkMessage::from_bytes(&bytes(&vectors.reveal)).unwrap();
    let LinkMessage::Reveal(reveal) = &message else {
        panic!("{message:?}");
    };
    assert_eq!(reveal.commitment(), Ok(vectors.commitment));
    let expiry = UnixSeconds::new(1_802_000_000);
    let made = code.wrap(&message, expiry, &mut Fixed(bytes(&vectors.nonce))).unwrap();
    assert_eq!(hex::encode(made.as_bytes()), vectors.envelope);
    assert_eq!(code.unwrap(made.as_bytes()).as_ref(), Ok(&message));

    let now = UnixSeconds::new(1_800_000_000);
    assert_eq!(vectors.answers.len(), 3);
    for case in &vectors.answers {
        let message = LinkMessage::from_bytes(&bytes(&case.message)).unwrap();
        let LinkMessage::Answer(answer) = &message else {
            panic!("{message:?}");
        };
        let mut rng = Fixed(answer.nonce.to_vec());
        let network = &vectors.network;
        let response = LinkResponse::new(code.clone(), network, answer.identity, answer.device, now, &mut rng).unwrap();
        assert_eq!(response.answer(), answer);
        let approval = response.revealed(reveal.clone(), now).unwrap();
        assert_eq!(
            (approval.keys(), approval.number().to_string()),
            (&reveal.keys, case.number.clone())
        );

        let consent = |text: &str| -> LinkConsent {
            match LinkMessage::from_bytes(&bytes(text)) {
                Ok(LinkMessage::Consent(consent)) => consent,
                other => panic!("{other:?}"),
            }
        };
        let mut asks = Vec::new();
        for case in &vectors.agreed {
            let message = LinkMessage::from_bytes(&bytes(&case.ask)).unwrap();
            let LinkMessage::Ask(ask) = message else {
                panic!("{message:?}");
            };
            let agreed = consent(&case.consent);
            assert_eq!((ask.seq, agreed.seq), (case.seq, case.seq));
            assert_eq!(approval.consented(ask, &agreed, now), Ok(agreed.signature));
            asks.push(ask);
        }
        for case in &vectors.not_agreed {
            let refused = approval.consented(asks[0], &consent(&case.consent), now);
            assert_eq!(refused, Err(LinkError::Consent), "{}", case.name);
        }
    }
    assert_eq!((vectors.agreed.len(), vectors.not_agreed.len()), (3, 7));
    for (text, message) in [
        (&vectors.done, LinkMessage::Done),
        (&vectors.refusal, LinkMessage::Refused),
    ] {
        assert_eq!(hex::encode(&message.to_bytes().unwrap()), *text);
        assert_eq!(LinkMessage::from_bytes(&bytes(text)), Ok(message));
    }

    let invite = InviteLink {
        network: vectors.network,
        handle: vectors.invite.handle,
        ask: IdentityId::from_bytes(array(&vectors.invite.ask)),
        secret: Secret32::from_bytes(array(&vectors.invite.secret)),
        expires: vectors.invite.expires,
    };
    assert_eq!(invite.to_string(), vectors.invite.code);
    assert_eq!(vectors.invite.code.len(), InviteLink::LENGTH);
    assert_eq!(vectors.invite.code.parse(), Ok(invite.clone()));
    for case in &vectors.invite.proofs {
        let asker = IdentityId::from_bytes(array(&case.asker));
        assert!(invite.is_proof(&asker, &array(&case.proof)));
        assert_eq!(hex::encode(&invite.proof(&asker)), case.proof);
    }

    assert_eq!(vectors.refused.len(), 23);
    for case in &vectors.refused {
        let error: LinkError = match &*case.kind {
            "link" => case.code.parse::<LinkCode>().unwrap_err(),
            _ => case.code.parse::<InviteLink>().unwrap_err(),
        };
        assert_eq!(name(&error), case.error, "{} {}", case.kind, case.name);
    }
}

#[test]
fn refused_objects() {
    #[derive(Deserialize)]
    struct Case {
        object: String,
        name: String,
        error: String,
        bytes: String,
        more: usize,
    }
    let cases: Vec<Case> = vectors(include_str!("../vectors/refused_objects.json"));
    assert_eq!(cases.len(), 109);
    for case in cases {
        let mut data = bytes(&case.bytes);
        data.resize(data.len() + case.more, b'x');
        let error = match &*case.object {
            "body" => Body::decode(&data).unwrap_err(),
            "context" => GroupContext::from_bytes(&data).unwrap_err(),
            "note" => Note::from_bytes(&data).unwrap_err(),
            _ => LinkMessage::from_bytes(&data).unwrap_err(),
        };
        assert_eq!(name(&error), case.error, "{} {}", case.object, case.name);
    }
}

#[test]
fn an_envelope_id_is_that_of_the_wrapped_bytes() {
    let keys = EpochKeys::from_bytes(&[3; 32]).unwrap();
    let made = keys.wrap(b"x", UnixSeconds::new(9), &mut Fixed(vec![1])).unwrap();
    assert_eq!(made.id(), EnvelopeId::of(made.as_bytes()));
}
