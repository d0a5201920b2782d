//! Who may ask to be let in, and what is handed over to a new device.

use proptest::{collection::vec, prelude::*};
use serde::Deserialize;
use tokenim_conversation::{
    Content, OrderKey,
    content::MessageText,
    door::{Door, DoorError, DoorWord, InviteName, KeptLink},
    history::{Page, PageError, PageOf, Said},
    note::Note,
    secret::Secret32,
};
use tokenim_envelope::MessageId;
use tokenim_identity::{DeviceId, IdentityId};
use tokenim_mailbox::group::GroupHandle;
use tokenim_wire::{
    BoundedString, NetworkId, Object, UnixMillis, UnixSeconds, hex,
    limits::{
        HISTORY_PAGE_MESSAGES_MAX, INVITE_LIFETIME_SECONDS_MAX, INVITE_LINKS_MAX, JOIN_REFUSED_MAX, JOIN_REQUESTS_MAX,
        MESSAGE_BODY_BYTES_MAX,
    },
};

const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
const AT: (NetworkId, GroupHandle, IdentityId) = (
    NetworkId::from_bytes([7; 32]),
    GroupHandle::from_bytes([8; 32]),
    IdentityId::from_bytes([9; 32]),
);

#[test]
fn notes() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        value: Note,
        bytes: String,
    }
    #[derive(Deserialize)]
    struct Vectors {
        secret: String,
        name: InviteName,
        notes: Vec<Case>,
    }
    let vectors: Vectors = serde_json::from_str(include_str!("../vectors/notes.json")).unwrap();
    let secret: [u8; 32] = hex::decode(&vectors.secret).unwrap().try_into().unwrap();
    assert_eq!(InviteName::of(&Secret32::from_bytes(secret)), vectors.name);
    assert_eq!(vectors.notes.len(), 7);
    for case in vectors.notes {
        let bytes = hex::decode(&case.bytes).unwrap();
        assert_eq!(case.value.to_bytes().as_ref(), Ok(&bytes), "{}", case.name);
        assert_eq!(Note::from_bytes(&bytes), Ok(case.value), "{}", case.name);
    }
}

fn link(number: u8, seconds: u64) -> KeptLink {
    KeptLink {
        secret: Secret32::from_bytes([number; 32]),
        expires: NOW.saturating_add(seconds),
    }
}

fn somebody(number: usize) -> IdentityId {
    let mut bytes = [0xaa; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    IdentityId::from_bytes(bytes)
}

/// Somebody asks by a link, with the right proof.
fn ask(door: &mut Door, link: &KeptLink, asker: IdentityId, now: UnixSeconds) -> Result<(), DoorError> {
    let (network, handle, asked) = AT;
    let proof = link.link(network, handle, asked).proof(&asker);
    door.ask(AT, asker, &proof, now.to_millis())
}

#[test]
fn a_link_is_good_from_its_making_until_it_expires_or_is_revoked() {
    let mut door = Door::default();
    assert_eq!(ask(&mut door, &link(1, 60), somebody(1), NOW), Err(DoorError::Proof));
    door.make(link(1, 60), NOW).unwrap();
    door.make(link(2, 120), NOW).unwrap();
    ask(&mut door, &link(1, 60), somebody(1), NOW).unwrap();
    ask(&mut door, &link(2, 120), somebody(2), NOW).unwrap();
    let last = NOW.saturating_add(59);
    ask(&mut door, &link(1, 60), somebody(3), last).unwrap();
    assert_eq!(door.requests().len(), 3);
    let over = NOW.saturating_add(60);
    assert_eq!(ask(&mut door, &link(1, 60), somebody(4), over), Err(DoorError::Proof));
    door.pass(over);
    assert_eq!(door.requests().len(), 1);
    assert_eq!(door.revoke(Some(&link(1, 60).name())), []);
    assert_eq!(door.revoke(None), [link(2, 120)]);
    assert_eq!((door.requests(), door.links().count()), (&[][..], 0));
    assert_eq!(ask(&mut door, &link(2, 120), somebody(5), over), Err(DoorError::Proof));
    for seconds in [0, INVITE_LIFETIME_SECONDS_MAX + 1] {
        assert_eq!(door.make(link(3, seconds), NOW), Err(DoorError::Lifetime));
        assert_eq!(
            door.told(DoorWord::Made(link(3, seconds)), NOW),
            Err(DoorError::Lifetime)
        );
        assert_eq!(
            door.told(DoorWord::Revoked(link(3, seconds)), NOW),
            Err(DoorError::Lifetime)
        );
    }
}

#[test]
fn a_door_has_room_for_so_many_and_no_more() {
    let mut door = Door::default();
    for number in 0..INVITE_LINKS_MAX {
        door.make(link(number as u8, 60), NOW).unwrap();
    }
    // Those that were revoked stay known, so that a late word does not bring them back.
    door.revoke(Some(&link(1, 60).name()));
    assert_eq!(door.make(link(200, 60), NOW), Err(DoorError::Full));
    assert_eq!(door.told(DoorWord::Revoked(link(200, 60)), NOW), Err(DoorError::Full));
    door.told(DoorWord::Made(link(1, 60)), NOW).unwrap();
    assert!(door.links().all(|kept| *kept != link(1, 60)));

    for number in 0..JOIN_REQUESTS_MAX {
        ask(&mut door, &link(0, 60), somebody(number), NOW).unwrap();
        assert_eq!(
            ask(&mut door, &link(2, 60), somebody(number), NOW),
            Err(DoorError::Again)
        );
    }
    assert_eq!(ask(&mut door, &link(2, 60), somebody(1_000), NOW), Err(DoorError::Full));
    assert!(door.answer(&somebody(3)) && !door.answer(&somebody(3)));
    ask(&mut door, &link(2, 60), somebody(3), NOW).unwrap();
    assert!(door.to_bytes().unwrap().len() <= Door::BYTES_MAX);

    // Whoever was refused is not heard again, until as many others were refused after.
    for number in 0..JOIN_REFUSED_MAX {
        door.refuse(&somebody(number));
    }
    assert!(door.requests().is_empty());
    assert_eq!(ask(&mut door, &link(0, 60), somebody(0), NOW), Err(DoorError::Again));
    door.refuse(&somebody(0));
    door.told(DoorWord::Refused(somebody(5_000)), NOW).unwrap();
    ask(&mut door, &link(0, 60), somebody(0), NOW).unwrap();
    assert_eq!(ask(&mut door, &link(0, 60), somebody(1), NOW), Err(DoorError::Again));
    let bytes = door.to_bytes().unwrap();
    assert!(bytes.len() <= Door::BYTES_MAX);
    assert_eq!(Door::from_bytes(&bytes), Ok(door));
}

#[test]
fn the_secret_of_a_link_does_not_print() {
    let text = format!("{:?} {:?}", link(0xee, 60), DoorWord::Made(link(0xee, 60)));
    assert!(!text.contains("238") && !text.to_lowercase().contains("eeee"), "{text}");
}

fn said(number: u64, length: usize) -> Said {
    Said {
        order: OrderKey {
            epoch: 1,
            clock: number,
            device: DeviceId::from_bytes([1; 32]),
            id: MessageId::from_bytes([2; 16]),
        },
        author: somebody(1),
        sent: UnixMillis::new(u64::MAX),
        gone: Some(UnixMillis::new(u64::MAX)),
        content: Content::Text(MessageText::new("x".repeat(length)).unwrap()),
    }
}

fn of() -> PageOf {
    let name = BoundedString::try_from("ß".repeat(64)).unwrap();
    PageOf::Group(GroupHandle::from_bytes([3; 32]), name)
}

#[test]
fn every_message_that_can_be_said_fits_on_a_page() {
    let page = Page::fill(of(), [said(u64::MAX, 61_440)]).unwrap().unwrap();
    let note = Note::Page(page).to_bytes().unwrap();
    assert!(note.len() <= MESSAGE_BODY_BYTES_MAX);
    assert_eq!(Page::fill(of(), []).unwrap(), None);
}

#[test]
fn what_is_no_page_is_refused_by_name() {
    let two = vec![said(1, 1), said(2, 1)];
    assert!(Page::new(of(), two.clone()).is_ok());
    assert_eq!(Page::new(of(), vec![]), Err(PageError::Empty));
    assert_eq!(Page::new(of(), two.into_iter().rev().collect()), Err(PageError::Order));
    let typing = Said {
        content: Content::Typing,
        ..said(1, 1)
    };
    assert_eq!(Page::new(of(), vec![typing]), Err(PageError::Kind));
    let many = (0..=HISTORY_PAGE_MESSAGES_MAX as u64)
        .map(|number| said(number, 1))
        .collect();
    assert_eq!(Page::new(of(), many), Err(PageError::TooMany));
    let name = BoundedString::try_from("a\u{7}b").unwrap();
    let bell = PageOf::Group(GroupHandle::from_bytes([3; 32]), name);
    assert_eq!(Page::new(bell, vec![said(1, 1)]), Err(PageError::Name));
    let own = somebody(1);
    assert_eq!(PageOf::Direct(own).conversation(&own), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_filled_from_the_newest_on_and_miss_none(lengths in vec(1_usize..3_000, 0..400)) {
        let all: Vec<Said> = (0..).zip(&lengths).map(|(number, length)| said(number, *length)).collect();
        let mut left = all.clone();
        let mut pages = Vec::new();
        while let Some(page) = Page::fill(of(), left.iter().rev().cloned()).unwrap() {
            let taken = page.messages().len();
            prop_assert!(Note::Page(page.clone()).to_bytes().unwrap().len() <= MESSAGE_BODY_BYTES_MAX);
            // No page could have taken one more.
            if taken < left.len() && taken < HISTORY_PAGE_MESSAGES_MAX {
                let more = left[left.len() - taken - 1..].to_vec();
                let longer = Page::new(of(), more).unwrap();
                prop_assert!(Note::Page(longer).to_bytes().map_or(true, |note| note.len() > MESSAGE_BODY_BYTES_MAX - 2));
            }
            left.truncate(left.len() - taken);
            pages.insert(0, page.messages().to_vec());
        }
        prop_assert_eq!(pages.concat(), all);
    }
}
