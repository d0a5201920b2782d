//! Nothing secret is printed, and what is secret wipes itself.

use crate::Fixed;
use tokenim_conversation::{
    Body, Content, EpochKeys, EpochView,
    content::{AttachmentLength, AttachmentRef, ExtensionBody, ExtensionName, FileName, Marks, MediaType, MessageText},
    link::{InviteLink, LinkOffer, LinkResponse},
    secret::Secret32,
};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceKeys, DeviceSigningKey, EnvelopeKey, IdentityId, MailboxSigningKey};
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::{Digest, NetworkId, UnixMillis, UnixSeconds};
use zeroize::ZeroizeOnDrop;

const SECRET: &str = "the treasure is under the old oak";

fn body(content: Content) -> Body {
    Body {
        id: MessageId::from_bytes([1; 16]),
        view: EpochView::from_bytes([2; 32]),
        epoch: 3,
        clock: 4,
        sent: UnixMillis::new(5),
        checkpoint: None,
        content,
    }
}

fn contents() -> Vec<Content> {
    let id = MessageId::from_bytes([0xab; 16]);
    let text = || MessageText::new(SECRET).unwrap();
    vec![
        Content::text(SECRET).unwrap(),
        Content::Reply { to: id, text: text() },
        Content::Edit { of: id, text: text() },
        Content::Read {
            ids: Marks::new([id]).unwrap(),
        },
        Content::Attachment(AttachmentRef {
            digest: Digest::from_bytes([0xcd; 32]),
            key: Secret32::from_bytes([0xef; 32]),
            bytes: AttachmentLength::new(9).unwrap(),
            name: FileName::new(SECRET).unwrap(),
            mime: MediaType::new("text/x-treasure").unwrap(),
        }),
        Content::Extension {
            name: ExtensionName::new("org.example/map").unwrap(),
            required: false,
            body: ExtensionBody::new(SECRET.as_bytes()).unwrap(),
        },
    ]
}

#[test]
fn what_people_write_is_not_printed() {
    for content in contents() {
        let printed = format!("{:?} {:#?}", body(content.clone()), content);
        assert!(!printed.contains("treasure") && !printed.contains("oak"), "{printed}");
        assert!(
            !printed.contains(&format!("{:?}", SECRET.as_bytes())[1..20]),
            "{printed}"
        );
        assert!(!printed.contains("efef") && !printed.contains("239"), "{printed}");
    }
}

/// What every type that holds a secret prints, to the letter.
#[test]
fn secrets_print_as_these_lines() {
    let keys = EpochKeys::from_bytes(&[0xef; 32]).unwrap();
    let rng = &mut Fixed(vec![0xef]);
    let device = DeviceKeys {
        signing: DeviceSigningKey::from_seed([1; 32]).verifying_key(),
        envelope: EnvelopeKey::x25519([9; 32]),
        inbox: MailboxSigningKey::from_seed([2; 32]).verifying_key(),
        inbox_nonce: [0; 16],
    };
    let offer = LinkOffer::new(NetworkId::from_bytes([7; 32]), device, UnixSeconds::new(1), rng).unwrap();
    let (network, now) = (NetworkId::from_bytes([7; 32]), UnixSeconds::new(1));
    let owner = DeviceSigningKey::from_seed([3; 32]).verifying_key();
    let identity = IdentityId::from_bytes([9; 32]);
    let response = LinkResponse::new(offer.code().clone(), &network, identity, owner, now, rng).unwrap();
    let response_printed = format!("{response:?}");
    let (reveal, join) = offer.clone().answered(response.answer(), now).unwrap();
    let approval = response.revealed(reveal, now).unwrap();
    let invite = InviteLink {
        network: NetworkId::from_bytes([7; 32]),
        handle: GroupHandle::from_bytes([8; 32]),
        ask: IdentityId::from_bytes([9; 32]),
        secret: Secret32::from_bytes([0xef; 32]),
        expires: UnixSeconds::new(1),
    };
    let printed = [
        format!("{keys:?}"),
        format!("{:?}", keys.mailbox()),
        format!("{:?}", keys.signing_key()),
        format!("{:?}", Secret32::from_bytes([0xef; 32])),
        format!("{:?}", offer.code()),
        format!("{offer:?}"),
        response_printed,
        format!("{join:?}"),
        format!("{approval:?}"),
        format!("{invite:?}"),
        format!("{:?}", contents()[0]),
        format!("{:?}", contents()[3]),
        format!("{:?}", contents()[4]),
    ];
    assert_eq!(
        printed.join("\n"),
        "EpochKeys([redacted])\n\
         MailboxAccess([redacted])\n\
         EpochSigningKey(redacted)\n\
         Secret32([redacted])\n\
         LinkCode([redacted])\n\
         LinkOffer([redacted])\n\
         LinkResponse([redacted])\n\
         LinkJoin([redacted])\n\
         LinkApproval([redacted])\n\
         InviteLink([redacted])\n\
         Text(Text([redacted]))\n\
         Read { ids: Marks([redacted]) }\n\
         Attachment(AttachmentRef([redacted]))"
    );
}

#[test]
fn secret_values_are_of_types_that_wipe_themselves() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<MessageText>();
    wiped::<ExtensionBody>();
    wiped::<Secret32>();
    wiped::<EpochKeys>();
    wiped::<MailboxSigningKey>();
}

#[test]
fn an_encoded_body_has_not_grown_on_its_way() {
    for content in contents() {
        let bytes = body(content).encode().unwrap();
        assert_eq!(bytes.len(), bytes.capacity());
    }
}
