use tokenim_client::step::{Fault, LogCursor, LogWalk};
use tokenim_mailbox::{Incarnation, LogId, MailboxTag, SignedHead};
use tokenim_rpc::{Item, Page};
use tokenim_wire::{BoundedBytes, Digest, Object, SetEpoch, UnixSeconds};

use crate::world::{EXPIRY, Log, NETWORK, NOW, TAG, World, envelope};

const NONCE: [u8; 16] = [3; 16];

fn log(entries: u64) -> Log {
    let mut log = Log::new(&World::new(1, 1).keys[0]);
    for number in 0..entries {
        log.put(envelope(number));
    }
    log
}

fn walk(log: &Log) -> LogWalk {
    LogWalk::new(log.node(), TAG, None)
}

fn resign(page: &mut Page, log: &Log, change: impl FnOnce(&mut SignedHead)) {
    change(&mut page.head);
    page.head = SignedHead::sign(&NETWORK, &log.key, page.head.body).unwrap();
}

fn change_items(page: &mut Page, change: impl FnOnce(&mut Vec<Item>)) {
    let mut items = page.items.clone().into_inner();
    change(&mut items);
    page.items = items.try_into().unwrap();
}

fn refused(log: &Log, page: Page) -> Fault {
    let mut walk = walk(log);
    let fault = walk.page(&NETWORK, &NONCE, page).unwrap_err();
    assert_eq!(walk.from(), 0, "nothing of a refused page is taken");
    assert!(!walk.is_complete());
    fault
}

#[test]
fn pages_add_up_to_the_head() {
    let log = log(10);
    let mut walk = walk(&log);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let page = log.page(walk.from(), 3, NONCE);
        seen.extend(walk.page(&NETWORK, &NONCE, page).unwrap());
    }
    assert!(walk.is_complete());
    let expected: Vec<_> = (0..10).map(|number| envelope(number).1).collect();
    assert_eq!(seen.into_iter().map(|copy| copy.bytes).collect::<Vec<_>>(), expected);
}

#[test]
fn an_empty_log_is_complete() {
    let log = log(0);
    let mut walk = walk(&log);
    assert!(walk.page(&NETWORK, &NONCE, log.page(0, 3, NONCE)).unwrap().is_empty());
    assert!(walk.is_complete());
}

#[test]
fn reading_goes_on_where_it_was_kept() {
    let mut log = log(4);
    let mut first = walk(&log);
    first.page(&NETWORK, &NONCE, log.page(0, 64, NONCE)).unwrap();
    let kept = first.settle(NOW, |_| true).unwrap().clone();
    let kept = LogCursor::from_bytes(&kept.to_bytes().unwrap()).unwrap();

    log.put(envelope(4));
    let mut second = LogWalk::new(log.node(), TAG, Some(kept));
    assert_eq!(second.from(), 4);
    let copies = second.page(&NETWORK, &NONCE, log.page(4, 64, NONCE)).unwrap();
    assert_eq!(copies.len(), 1);
    assert!(second.is_complete());
}

#[test]
fn a_head_for_another_question_is_refused() {
    let log = log(2);
    assert_eq!(refused(&log, log.page(0, 64, [4; 16])), Fault::HeadForAnother);
    let mut page = log.page(0, 64, NONCE);
    resign(&mut page, &log, |head| head.body.tag = MailboxTag::from_bytes([6; 32]));
    assert_eq!(refused(&log, page), Fault::HeadForAnother);
    let other = Log::new(&World::new(1, 2).keys[0]);
    assert_eq!(refused(&log, other.page(0, 64, NONCE)), Fault::HeadForAnother);
}

#[test]
fn a_head_with_a_wrong_signature_is_refused() {
    let log = log(2);
    let mut page = log.page(0, 64, NONCE);
    page.head.body.position.root = Digest::from_bytes([0; 32]);
    assert_eq!(refused(&log, page), Fault::HeadSignature);
}

#[test]
fn a_flipped_byte_in_a_copy_is_refused() {
    let log = log(2);
    let mut page = log.page(0, 64, NONCE);
    change_items(&mut page, |items| {
        let mut bytes = items[1].envelope.clone().unwrap().into_inner();
        bytes[4] ^= 1;
        items[1].envelope = Some(BoundedBytes::try_from(bytes).unwrap());
    });
    assert_eq!(refused(&log, page), Fault::TamperedCopy);
}

#[test]
fn a_copy_under_a_fitting_but_unlogged_id_is_refused() {
    let log = log(2);
    let mut page = log.page(0, 64, NONCE);
    change_items(&mut page, |items| {
        let (id, bytes) = envelope(77);
        items[1].entry.envelope = id;
        items[1].envelope = Some(BoundedBytes::try_from(bytes).unwrap());
    });
    assert_eq!(refused(&log, page), Fault::LogRoot);
}

#[test]
fn left_out_repeated_and_reordered_entries_are_refused() {
    let log = log(4);
    for change in [
        (|items: &mut Vec<Item>| drop(items.remove(1))) as fn(&mut Vec<Item>),
        |items| items.insert(1, items[0].clone()),
        |items| items.swap(1, 2),
        |items| items[0].sequence = 1,
        |items| items[3].entry.index = 9,
    ] {
        let mut page = log.page(0, 64, NONCE);
        change_items(&mut page, change);
        assert_eq!(refused(&log, page), Fault::LogGap);
    }
}

#[test]
fn ends_that_do_not_fit_the_head_are_refused() {
    let log = log(4);
    // The last entries withheld, as if that were all.
    let mut page = log.page(0, 2, NONCE);
    page.more = false;
    assert_eq!(refused(&log, page), Fault::LogGap);
    // Nothing, but more to come: that would never end.
    let mut page = log.page(0, 0, NONCE);
    page.more = true;
    assert_eq!(refused(&log, page), Fault::LogGap);
    // A wrong place to go on.
    let mut page = log.page(0, 2, NONCE);
    page.next = 9;
    assert_eq!(refused(&log, page), Fault::LogGap);
    // More entries than the head has.
    let mut page = log.page(0, 64, NONCE);
    resign(&mut page, &log, |head| {
        head.body.position.size = 3;
        head.body.position.index = 3;
    });
    assert_eq!(refused(&log, page), Fault::LogGap);
}

#[test]
fn a_root_that_the_entries_do_not_give_is_refused() {
    let log = log(4);
    let mut page = log.page(0, 64, NONCE);
    resign(&mut page, &log, |head| {
        head.body.position.root = Digest::from_bytes([0; 32]);
    });
    assert_eq!(refused(&log, page), Fault::LogRoot);
}

#[test]
fn a_log_that_shrank_or_was_rewritten_is_refused() {
    let long = log(4);
    let mut walk = walk(&long);
    walk.page(&NETWORK, &NONCE, long.page(0, 64, NONCE)).unwrap();
    let short = log(3);
    assert_eq!(
        walk.page(&NETWORK, &NONCE, short.page(3, 64, NONCE)),
        Err(Fault::LogShrank)
    );
    // Longer, but with another beginning than was read before.
    let mut rewritten = Log::new(&long.key);
    for number in [0, 1, 2, 9, 4] {
        rewritten.put(envelope(number));
    }
    assert_eq!(
        walk.page(&NETWORK, &NONCE, rewritten.page(4, 64, NONCE)),
        Err(Fault::LogRoot)
    );
}

#[test]
fn another_incarnation_is_read_from_its_beginning() {
    let old = log(4);
    let mut walk = walk(&old);
    walk.page(&NETWORK, &NONCE, old.page(0, 64, NONCE)).unwrap();
    walk.settle(NOW, |_| true);

    let mut reborn = Log::new(&old.key);
    reborn.id = LogId {
        set_epoch: SetEpoch::ZERO,
        incarnation: Incarnation::new(1),
    };
    reborn.put(envelope(2));
    let page = reborn.page(walk.from(), 64, NONCE);
    assert!(walk.page(&NETWORK, &NONCE, page).unwrap().is_empty());
    assert_eq!(walk.from(), 0);
    assert!(!walk.is_complete());
    let copies = walk.page(&NETWORK, &NONCE, reborn.page(0, 64, NONCE)).unwrap();
    assert_eq!(copies.len(), 1);
    assert!(walk.is_complete());
}

#[test]
fn a_node_that_changes_its_log_for_ever_is_refused() {
    let mut log = log(1);
    let mut walk = walk(&log);
    let mut outcome = Ok(Vec::new());
    for incarnation in 0..10 {
        log.id.incarnation = Incarnation::new(incarnation);
        for item in &mut log.items {
            item.log = log.id;
        }
        outcome = walk.page(&NETWORK, &NONCE, log.page(walk.from(), 64, NONCE));
        if outcome.is_err() {
            break;
        }
        outcome = walk.page(&NETWORK, &NONCE, log.page(walk.from(), 64, NONCE));
    }
    assert_eq!(outcome, Err(Fault::LogGap));
}

#[test]
fn what_nobody_gave_stays_ahead_of_the_kept_position() {
    let log = log(4);
    let mut page = log.page(0, 64, NONCE);
    change_items(&mut page, |items| items[1].envelope = None);
    let mut walk = walk(&log);
    let copies = walk.page(&NETWORK, &NONCE, page).unwrap();
    assert_eq!(copies.len(), 3);

    let missing = envelope(1).0;
    let kept = walk.settle(NOW, |envelope| *envelope != missing).unwrap().clone();
    assert_eq!(kept.next, 1);
    assert_eq!(walk.unsettled().count(), 3);

    // Asked for again, and settled once another node gave it.
    walk.rewind();
    assert_eq!(walk.from(), 1);
    walk.page(&NETWORK, &NONCE, log.page(1, 64, NONCE)).unwrap();
    assert_eq!(walk.settle(NOW, |_| true).unwrap().next, 4);
    assert_eq!(walk.unsettled().count(), 0);
}

#[test]
fn what_has_expired_is_not_waited_for() {
    let log = log(2);
    let mut page = log.page(0, 64, NONCE);
    change_items(&mut page, |items| {
        items.iter_mut().for_each(|item| item.envelope = None)
    });
    let mut walk = walk(&log);
    assert!(walk.page(&NETWORK, &NONCE, page).unwrap().is_empty());
    assert_eq!(walk.settle(NOW, |_| false).unwrap().next, 0);
    let later = UnixSeconds::new(EXPIRY.get() + 1_000);
    assert_eq!(walk.settle(later, |_| false).unwrap().next, 2);
}
