//! Groups of both suites: what members do together, what is kept, what is refused and changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::*;
use tokenim_identity::{DeviceId, DeviceSigningKey, IdentityId, Signature};
use tokenim_mls::{
    CertificateError, Forbidden, Group, Leaf, Owner, Parts, Proposed, SessionError, SessionSuite, key_package,
    read_key_package, welcome_packages,
};
use tokenim_wire::{
    NetworkId,
    limits::{
        GROUP_CONTEXT_BYTES_MAX, KEY_PACKAGE_BYTES_MAX, SESSION_MLS_BYTES_MAX, SESSION_PAST_EPOCHS_MAX,
        SESSION_SKIPPED_KEYS_MAX,
    },
};

fn both(test: impl Fn(SessionSuite)) {
    SessionSuite::ALL.into_iter().for_each(test);
}

fn kept(group: &Group) -> Vec<u8> {
    group.to_bytes().unwrap().to_vec()
}

#[test]
fn members_join_talk_change_and_go() {
    both(|suite| {
        let mut groups = group(suite, 4);
        assert_agree(&groups);
        assert_eq!(groups[0].epoch(), 1);
        assert_eq!(groups[0].suite(), suite);
        assert_eq!(groups[0].context(), CONTEXT);
        assert_eq!(groups.iter().map(Group::own).collect::<Vec<_>>(), [0, 1, 2, 3]);
        for (number, leaf) in (0..).zip(groups[0].leaves()) {
            assert_eq!(leaf.identity, IdentityId::from_bytes([number; 32]));
            assert_eq!(leaf.device, owner(number).device_id());
            assert_eq!(groups[0].leaf(leaf.index), Some(leaf));
        }

        for author in 0..groups.len() {
            let body = format!("from {author}");
            let message = groups[author].encrypt(body.as_bytes(), &mut rng(1)).unwrap();
            for reader in (0..groups.len()).filter(|reader| *reader != author) {
                let opened = groups[reader].decrypt(&message).unwrap();
                assert_eq!((opened.author, opened.epoch), (author as u32, 1));
                assert_eq!(*opened.body, body.as_bytes());
            }
        }

        // Everyone renews, one changes the context.
        for author in 0..groups.len() {
            advance(&mut groups, author, &update(), author as u8);
            assert_agree(&groups);
        }
        let context = Proposed {
            context: Some(b"another".to_vec()),
            ..Proposed::default()
        };
        advance(&mut groups, 2, &context, 9);
        assert_agree(&groups);
        assert_eq!(groups[0].context(), b"another");

        // One goes, and two come: into the place that is free, and behind.
        let packages = [package(8, suite), package(9, suite)];
        let change = Proposed {
            remove: vec![1],
            ..add(&[&packages[0], &packages[1]])
        };
        let commit = groups[3].commit(&change, NOW, &mut rng(13)).unwrap();
        let applied = groups[0].apply(&commit.bytes, NOW).unwrap();
        let gone = groups[1].apply(&commit.bytes, NOW).unwrap();
        assert!(gone.next.is_none());
        let next = applied.next.unwrap();
        for (added, removed) in [
            (&applied.added, &applied.removed),
            (&commit.added, &commit.removed),
            (&gone.added, &gone.removed),
        ] {
            assert_eq!(removed, &vec![groups[0].leaf(1).unwrap()]);
            assert_eq!(added, &vec![next.leaf(1).unwrap(), next.leaf(4).unwrap()]);
        }
        assert_eq!((applied.author, gone.author, applied.context), (3, 3, None));
        let welcome = commit.welcome.unwrap();
        assert_eq!(
            welcome_packages(&welcome).unwrap(),
            packages.each_ref().map(|package| package.reference)
        );
        let mut groups = vec![
            next,
            Group::join(&owner(8), &packages[0].secrets, &welcome).unwrap(),
            groups[2].apply(&commit.bytes, NOW).unwrap().next.unwrap(),
            commit.next,
            Group::join(&owner(9), &packages[1].secrets, &welcome).unwrap(),
        ];
        assert_agree(&groups);
        advance(&mut groups, 1, &update(), 11);
        advance(&mut groups, 4, &update(), 12);
        assert_agree(&groups);
        let message = groups[1].encrypt(b"hello", &mut rng(4)).unwrap();
        assert_eq!(*groups[4].decrypt(&message).unwrap().body, b"hello");
    });
}

#[test]
fn a_commit_leaves_the_group_as_it_is() {
    both(|suite| {
        let groups = group(suite, 3);
        let before = groups.iter().map(kept).collect::<Vec<_>>();
        let first = groups[0].commit(&update(), NOW, &mut rng(1)).unwrap();
        let second = groups[1]
            .commit(
                &Proposed {
                    remove: vec![2],
                    ..Proposed::default()
                },
                NOW,
                &mut rng(2),
            )
            .unwrap();
        groups[1].apply(&first.bytes, NOW).unwrap();
        groups[0].apply(&second.bytes, NOW).unwrap();
        assert_eq!(groups.iter().map(kept).collect::<Vec<_>>(), before);
        assert_eq!(first.next.epoch(), 2);
        // Either may be followed.
        let other = groups[0].apply(&second.bytes, NOW).unwrap().next.unwrap();
        assert_agree(&[second.next, other]);
    });
}

#[test]
fn the_same_randomness_gives_the_same_bytes() {
    both(|suite| {
        let run = || {
            let mut groups = group(suite, 3);
            let commit = advance(&mut groups, 1, &update(), 5);
            let message = groups[2].encrypt(b"text", &mut rng(6)).unwrap();
            (
                package(7, suite).package,
                commit.bytes,
                message,
                groups.iter().map(kept).collect::<Vec<_>>(),
            )
        };
        assert!(run() == run());
        let mut groups = group(suite, 2);
        let [one, two] = [1, 2].map(|seed| groups[0].clone().encrypt(b"text", &mut rng(seed)).unwrap());
        assert_ne!(one, two);
        groups.clear();
    });
}

#[test]
fn a_group_is_what_is_kept_of_it() {
    both(|suite| {
        let mut groups = group(suite, 3);
        let old = groups[0].encrypt(b"old", &mut rng(1)).unwrap();
        advance(&mut groups, 2, &update(), 5);
        for group in &mut groups {
            let bytes = kept(group);
            *group = Group::from_bytes(NETWORK, &bytes).unwrap();
            assert_eq!(kept(group), bytes);
        }
        assert_agree(&groups);
        let new = groups[0].encrypt(b"new", &mut rng(2)).unwrap();
        for (message, body) in [(&new, b"new"), (&old, b"old")] {
            assert_eq!(*groups[1].decrypt(message).unwrap().body, body);
            groups[1] = Group::from_bytes(NETWORK, &kept(&groups[1])).unwrap();
            assert_eq!(groups[1].decrypt(message), Err(SessionError::Replayed));
        }
        advance(&mut groups, 1, &update(), 6);
        assert_agree(&groups);

        let bytes = kept(&groups[0]);
        for end in [0, 1, 10, 35, 100, bytes.len() - 1] {
            assert_eq!(
                Group::from_bytes(NETWORK, &bytes[..end]).err(),
                Some(SessionError::State),
                "{end}"
            );
        }
        let mut other = bytes;
        other[0] ^= 1;
        assert_eq!(Group::from_bytes(NETWORK, &other).err(), Some(SessionError::State));
    });
}

fn parts(group: &Group) -> Parts {
    group.clone().into_parts().unwrap()
}

fn whole(parts: &Parts) -> Result<Group, SessionError> {
    Group::from_parts(NETWORK, &parts.message, &parts.epoch)
}

#[test]
fn a_message_changes_the_smaller_part_only() {
    both(|suite| {
        let mut groups = group(suite, 24);
        advance(&mut groups, 3, &update(), 1);
        let late = groups[5].encrypt(b"late", &mut rng(2)).unwrap();
        let before = parts(&groups[0]);
        assert!(before.message.len() < 2048 && before.epoch.len() > 10_000, "{before:?}");
        for number in 0..5 {
            groups[0].encrypt(b"own", &mut rng(number)).unwrap();
            let message = groups[1].encrypt(b"text", &mut rng(number)).unwrap();
            groups[0].decrypt(&message).unwrap();
        }
        let after = parts(&groups[0]);
        assert!(after.epoch == before.epoch && after.message != before.message);
        assert!(after.message.len() < 2048, "{after:?}");
        groups[0] = whole(&after).unwrap();
        assert!(parts(&groups[0]) == after);

        advance(&mut groups, 1, &update(), 3);
        let next = parts(&groups[0]);
        assert!(next.epoch != after.epoch);
        groups[0].decrypt(&late).unwrap();
        assert!(parts(&groups[0]).epoch != next.epoch);
        assert_agree(&groups[..2]);
        assert!(!format!("{next:?}").contains('['));

        for end in [0, 1, 40, 60, next.message.len() - 1] {
            let cut = Group::from_parts(NETWORK, &next.message[..end], &next.epoch);
            assert_eq!(cut.err(), Some(SessionError::State), "{end}");
        }
        for end in [0, 1, 40, next.epoch.len() - 1] {
            let cut = Group::from_parts(NETWORK, &next.message, &next.epoch[..end]);
            assert_eq!(cut.err(), Some(SessionError::State), "{end}");
        }
    });
}

#[test]
fn messages_of_past_epochs_open_within_the_window() {
    let mut groups = group(SessionSuite::Classical, 2);
    let first = groups[0].epoch();
    let mut messages = Vec::new();
    for number in 0..=SESSION_PAST_EPOCHS_MAX as u8 + 2 {
        messages.push(groups[0].encrypt(&[number], &mut rng(number)).unwrap());
        advance(&mut groups, usize::from(number % 2), &update(), number);
        // As a host does, between steps.
        if number % 3 == 0 {
            groups[1] = Group::from_bytes(NETWORK, &kept(&groups[1])).unwrap();
        }
    }
    let current = groups[1].epoch();
    let window = SESSION_PAST_EPOCHS_MAX as u64;
    let (mut opened, mut refused) = (0, 0);
    for (epoch, message) in (first..).zip(&messages) {
        let before = kept(&groups[1]);
        match groups[1].decrypt(message) {
            Ok(message) => {
                assert!(epoch + window >= current);
                assert_eq!(message.epoch, epoch);
                opened += 1;
            }
            Err(error) => {
                assert_eq!(error, SessionError::Epoch { found: epoch, current });
                assert_eq!(kept(&groups[1]), before);
                refused += 1;
            }
        }
    }
    assert_eq!((opened, refused), (8, 3));
    // What is over is not kept either.
    let sizes = [100, 120].map(|start| {
        for seed in start..start + 10 {
            advance(&mut groups, 0, &update(), seed);
        }
        kept(&groups[1]).len()
    });
    assert_eq!(sizes[0], sizes[1]);
}

#[test]
fn who_comes_later_reads_nothing_of_before() {
    both(|suite| {
        let mut groups = group(suite, 2);
        let message = groups[0].encrypt(b"before", &mut rng(1)).unwrap();
        let third = package(5, suite);
        let commit = advance(&mut groups, 0, &add(&[&third]), 2);
        let mut late = Group::join(&owner(5), &third.secrets, &commit.welcome.unwrap()).unwrap();
        refuse(&mut late, &message, SessionError::Epoch { found: 1, current: 2 });
        assert_eq!(*groups[1].decrypt(&message).unwrap().body, b"before");
    });
}

/// Refused, and nothing has changed.
fn refuse(group: &mut Group, message: &[u8], error: SessionError) {
    let before = kept(group);
    assert_eq!(group.decrypt(message).err(), Some(error));
    assert_eq!(kept(group), before);
}

#[test]
fn messages_that_are_not_a_members_or_came_before_are_refused() {
    both(|suite| {
        let mut groups = group(suite, 3);
        let message = groups[0].encrypt(b"text", &mut rng(1)).unwrap();
        let commit = groups[0].commit(&update(), NOW, &mut rng(2)).unwrap();
        refuse(&mut groups[0], &message, SessionError::Own);
        for cut in [0, 3, 20, 45, message.len() - 1] {
            refuse(&mut groups[1], &message[..cut], SessionError::Malformed);
        }
        refuse(
            &mut groups[1],
            &[message.clone(), vec![0]].concat(),
            SessionError::Malformed,
        );
        // Every byte behind the header is covered; a member could have made each of these.
        for place in [46, message.len() - 100, message.len() - 1] {
            let mut forged = message.clone();
            forged[place] ^= 1;
            let before = kept(&groups[1]);
            let error = groups[1].decrypt(&forged).unwrap_err();
            assert!(
                matches!(error, SessionError::Forged | SessionError::Malformed),
                "{place}: {error}"
            );
            assert_eq!(kept(&groups[1]), before);
        }
        let mut stranger = Group::create(&owner(3), suite, CONTEXT, NOW, &mut rng(9)).unwrap();
        let other = stranger.encrypt(b"text", &mut rng(3)).unwrap();
        refuse(&mut groups[1], &other, SessionError::Session);
        let mut ahead = commit.next.clone();
        let early = ahead.encrypt(b"text", &mut rng(4)).unwrap();
        refuse(&mut groups[1], &early, SessionError::Epoch { found: 2, current: 1 });
        refuse(&mut groups[1], &commit.bytes, SessionError::Malformed);
        refuse(&mut groups[1], &package(5, suite).package, SessionError::Malformed);

        // The forged ones have not used up the genuine one's key; the second time it is refused.
        assert_eq!(*groups[1].decrypt(&message).unwrap().body, b"text");
        refuse(&mut groups[1], &message, SessionError::Replayed);
        // Out of order, and not too far.
        let messages: Vec<_> = (0..5)
            .map(|number| groups[0].encrypt(&[number], &mut rng(number)).unwrap())
            .collect();
        for number in [4, 0, 3, 1, 2] {
            assert_eq!(*groups[1].decrypt(&messages[number]).unwrap().body, [number as u8]);
        }
        for number in 0..1100_u32 {
            let late = groups[0].encrypt(&number.to_be_bytes(), &mut rng(9)).unwrap();
            if number == 1099 {
                refuse(&mut groups[1], &late, SessionError::TooFarAhead);
            }
        }

        // Somebody else's leaf in the place of one who went: no message is taken for the newcomer's.
        let last = groups[2].encrypt(b"last", &mut rng(1)).unwrap();
        let fourth = package(4, suite);
        let commit = groups[0]
            .commit(
                &Proposed {
                    remove: vec![2],
                    ..add(&[&fourth])
                },
                NOW,
                &mut rng(5),
            )
            .unwrap();
        let mut before = groups[1].clone();
        let mut after = groups[1].apply(&commit.bytes, NOW).unwrap().next.unwrap();
        refuse(&mut after, &last, SessionError::NotAMember);
        assert_eq!(*before.decrypt(&last).unwrap().body, b"last");
    });
}

/// The group of a member that takes another leaf for its own, where it is in the state.
fn as_leaf(group: &Group, leaf: u32) -> Group {
    let mut parts = parts(group);
    let before = u32::from_be_bytes(parts.message[39..43].try_into().unwrap());
    // Behind the tree: the hash of the transcript, no other group to come, the confirmation tag.
    let place = 43 + before as usize + 33 + 1 + 33;
    assert_eq!(parts.message[place..place + 4], group.own().to_be_bytes());
    parts.message[place..place + 4].copy_from_slice(&leaf.to_be_bytes());
    whole(&parts).unwrap()
}

#[test]
fn a_member_cannot_speak_as_another_nor_use_up_its_keys() {
    both(|suite| {
        let mut groups = group(suite, 4);
        let genuine = groups[2].encrypt(b"text", &mut rng(1)).unwrap();
        let forged = as_leaf(&groups[1], 2).encrypt(b"text", &mut rng(2)).unwrap();
        refuse(&mut groups[0], &forged, SessionError::Forged);
        // Without a copy the state is gone, and what is kept opens the genuine one.
        let kept = parts(&groups[0]);
        assert_eq!(whole(&kept).unwrap().open(&forged).err(), Some(SessionError::Forged));
        let (after, opened) = whole(&kept).unwrap().open(&genuine).unwrap();
        assert_eq!((opened.author, opened.body.as_slice()), (2, &b"text"[..]));
        assert_eq!(groups[0].decrypt(&genuine).unwrap(), opened);
        assert!(parts(&after) == parts(&groups[0]));
        assert_eq!(after.open(&genuine).err(), Some(SessionError::Replayed));

        // Nor as a leaf where nobody is.
        groups.pop();
        let remove = Proposed {
            remove: vec![3],
            ..Proposed::default()
        };
        advance(&mut groups, 0, &remove, 3);
        let nobody = as_leaf(&groups[1], 3).encrypt(b"text", &mut rng(4)).unwrap();
        refuse(&mut groups[0], &nobody, SessionError::Forged);
    });
}

#[test]
fn a_member_cannot_swell_what_the_others_keep() {
    let mut groups = group(SessionSuite::Classical, 3);
    let mut random = rng(1);
    // Each of these makes the others keep the keys of a thousand that never come.
    let mut jumps = Vec::new();
    let mut late = Vec::new();
    for _ in 0..5 {
        late.push(groups[1].encrypt(b"late", &mut random).unwrap());
        for _ in 1..1024 {
            groups[1].encrypt(b"lost", &mut random).unwrap();
        }
        jumps.push(groups[1].encrypt(b"ahead", &mut random).unwrap());
    }
    let last = jumps.pop().unwrap();
    for jump in &jumps {
        groups[0].decrypt(jump).unwrap();
    }
    assert_eq!(SESSION_SKIPPED_KEYS_MAX, 4096);
    refuse(&mut groups[0], &last, SessionError::TooFarAhead);
    groups[0] = whole(&parts(&groups[0])).unwrap();
    refuse(&mut groups[0], &last, SessionError::TooFarAhead);
    assert!(parts(&groups[0]).message.len() < 256 * 1024);

    // Others are heard, in their order until room is made.
    let [one, two, three] = [1, 2, 3].map(|seed| groups[2].encrypt(&[seed], &mut rng(seed)).unwrap());
    refuse(&mut groups[0], &two, SessionError::TooFarAhead);
    groups[0].decrypt(&one).unwrap();
    groups[0].decrypt(&late[0]).unwrap();
    groups[0].decrypt(&three).unwrap();
    groups[0].decrypt(&two).unwrap();

    // A new epoch begins anew, and what is old is forgotten in the end.
    advance(&mut groups, 2, &update(), 4);
    let [_, skipped] = [5, 6].map(|seed| groups[2].encrypt(&[seed], &mut rng(seed)).unwrap());
    groups[0].decrypt(&skipped).unwrap();
    for seed in 0..=SESSION_PAST_EPOCHS_MAX as u8 {
        advance(&mut groups, 2, &update(), 10 + seed);
    }
    assert!(kept(&groups[0]).len() < 20_000);
}

#[test]
fn what_another_branch_of_the_group_says_is_refused() {
    both(|suite| {
        let groups = group(suite, 4);
        let remove = Proposed {
            remove: vec![3],
            ..Proposed::default()
        };
        let one = groups[0].commit(&update(), NOW, &mut rng(1)).unwrap();
        let two = groups[1].commit(&remove, NOW, &mut rng(2)).unwrap();
        let mut here = groups[2].apply(&two.bytes, NOW).unwrap().next.unwrap();
        // The same epoch of the same group, with other keys.
        let mut there = one.next;
        assert_eq!((here.epoch(), here.id()), (there.epoch(), there.id()));
        let message = there.encrypt(b"text", &mut rng(3)).unwrap();
        refuse(&mut here, &message, SessionError::Forged);
        let commit = there.commit(&update(), NOW, &mut rng(4)).unwrap();
        refuse_commit(&here, &commit.bytes, SessionError::Forged);
        // Somebody who was removed, and stays behind.
        let late = groups[3].commit(&update(), NOW, &mut rng(5)).unwrap();
        refuse_commit(&here, &late.bytes, SessionError::Epoch { found: 1, current: 2 });
        // A message under the number of another epoch.
        let mut message = groups[0].clone().encrypt(b"text", &mut rng(6)).unwrap();
        assert_eq!(message[37..45], 1_u64.to_be_bytes());
        message[44] = 2;
        refuse(&mut here, &message, SessionError::Forged);
        message[44] = 1;
        assert_eq!(*here.decrypt(&message).unwrap().body, b"text");
    });
}

#[test]
fn what_is_too_long_is_not_read() {
    let groups = group(SessionSuite::Classical, 2);
    let long = |format, content| {
        let mut bytes = header(&groups[0], format, content);
        bytes.resize(SESSION_MLS_BYTES_MAX + 1, 0);
        bytes
    };
    refuse(&mut groups[1].clone(), &long(2, 1), SessionError::Malformed);
    refuse_commit(&groups[1], &long(2, 3), SessionError::Malformed);
    let mine = package(1, SessionSuite::Classical);
    let mut welcome = create(SessionSuite::Classical)
        .commit(&add(&[&mine]), NOW, &mut rng(1))
        .unwrap()
        .welcome
        .unwrap();
    welcome.resize(SESSION_MLS_BYTES_MAX + 1, 0);
    assert_eq!(welcome_packages(&welcome), Err(SessionError::Malformed));
    let joined = Group::join(&owner(1), &mine.secrets, &welcome);
    assert_eq!(joined.err(), Some(SessionError::Malformed));
}

fn refuse_commit(group: &Group, commit: &[u8], error: SessionError) {
    let before = kept(group);
    assert_eq!(group.apply(commit, NOW).err(), Some(error));
    assert_eq!(kept(group), before);
}

#[test]
fn commits_that_do_not_follow_from_this_epoch_are_refused() {
    both(|suite| {
        let groups = group(suite, 3);
        let commit = groups[0].commit(&update(), NOW, &mut rng(1)).unwrap();
        refuse_commit(&groups[0], &commit.bytes, SessionError::Own);
        for cut in [0, 3, 20, 45, commit.bytes.len() - 1] {
            refuse_commit(&groups[1], &commit.bytes[..cut], SessionError::Malformed);
        }
        for place in [46, commit.bytes.len() / 2, commit.bytes.len() - 1] {
            let mut forged = commit.bytes.clone();
            forged[place] ^= 1;
            let before = kept(&groups[1]);
            let error = groups[1].apply(&forged, NOW).unwrap_err();
            assert!(
                matches!(error, SessionError::Forged | SessionError::Malformed),
                "{place}: {error}"
            );
            assert_eq!(kept(&groups[1]), before);
        }
        let next = groups[1].apply(&commit.bytes, NOW).unwrap().next.unwrap();
        refuse_commit(&next, &commit.bytes, SessionError::Epoch { found: 1, current: 2 });
        let ahead = next.commit(&update(), NOW, &mut rng(2)).unwrap();
        refuse_commit(&groups[1], &ahead.bytes, SessionError::Epoch { found: 2, current: 1 });
        let elsewhere = Group::create(&owner(3), suite, CONTEXT, NOW, &mut rng(9)).unwrap();
        let foreign = elsewhere.commit(&update(), NOW, &mut rng(3)).unwrap();
        refuse_commit(&groups[1], &foreign.bytes, SessionError::Session);
        let message = groups[0].clone().encrypt(b"text", &mut rng(4)).unwrap();
        refuse_commit(&groups[1], &message, SessionError::Malformed);
    });
}

/// A header as a member or an outsider would send it, with nothing behind it.
fn header(group: &Group, format: u8, content: u8) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, format, 32];
    bytes.extend_from_slice(group.id());
    bytes.extend_from_slice(&group.epoch().to_be_bytes());
    bytes.push(content);
    bytes
}

#[test]
fn what_is_not_used_of_mls_is_refused() {
    let mut groups = group(SessionSuite::Classical, 2);
    for content in 1..=3 {
        // A message in the clear: a member's, an external commit, an external proposal.
        let clear = header(&groups[0], 1, content);
        refuse(&mut groups[1], &clear, Forbidden::InTheClear.into());
        refuse_commit(&groups[1], &clear, Forbidden::InTheClear.into());
    }
    let proposal = header(&groups[0], 2, 2);
    refuse(&mut groups[1], &proposal, Forbidden::ByReference.into());
    refuse_commit(&groups[1], &proposal, Forbidden::ByReference.into());
    for (format, content) in [(2, 0), (2, 4), (4, 1), (0, 1), (9, 1)] {
        let unknown = header(&groups[0], format, content);
        refuse(&mut groups[1], &unknown, SessionError::Malformed);
    }
}

#[test]
fn commits_that_break_a_rule_are_not_made() {
    both(|suite| {
        let groups = group(suite, 2);
        let make = |proposed: &Proposed| groups[0].commit(proposed, NOW, &mut rng(1)).err();
        assert_eq!(make(&Proposed::default()), Some(SessionError::Empty));
        let remove = |leaves: &[u32]| Proposed {
            remove: leaves.to_vec(),
            ..Proposed::default()
        };
        assert_eq!(make(&remove(&[2])), Some(SessionError::NoLeaf(2)));
        assert_eq!(make(&remove(&[u32::MAX])), Some(SessionError::NoLeaf(u32::MAX)));
        assert_eq!(make(&remove(&[0])), Some(Forbidden::Rule.into()));
        assert_eq!(make(&remove(&[1, 1])), Some(Forbidden::Rule.into()));
        let long = Proposed {
            context: Some(vec![0; GROUP_CONTEXT_BYTES_MAX + 1]),
            ..Proposed::default()
        };
        assert_eq!(make(&long), Some(SessionError::Context));
        let again = key_package(&owner(1), suite, NOW, DAY, &mut rng(7)).unwrap();
        assert_eq!(make(&add(&[&again])), Some(Forbidden::Rule.into()));
        // But in one commit with the removal of the leaf that it had.
        let readd = Proposed {
            remove: vec![1],
            ..add(&[&again])
        };
        let commit = groups[0].commit(&readd, NOW, &mut rng(1)).unwrap();
        let back = Group::join(&owner(1), &again.secrets, &commit.welcome.unwrap()).unwrap();
        assert_agree(&[commit.next, back]);
        let twice = package(5, suite);
        assert_eq!(make(&add(&[&twice, &twice])), Some(Forbidden::Rule.into()));
        let other = SessionSuite::ALL.into_iter().find(|other| *other != suite).unwrap();
        assert_eq!(make(&add(&[&package(5, other)])), Some(SessionError::Suite));
    });
}

#[test]
fn key_packages_say_who_and_until_when() {
    both(|suite| {
        let new = package(5, suite);
        let info = read_key_package(&NETWORK, &new.package, NOW).unwrap();
        assert_eq!((info.reference, info.suite), (new.reference, suite));
        assert_eq!(info.certificate.identity, IdentityId::from_bytes([5; 32]));
        assert_eq!(info.certificate.device_id(), owner(5).device_id());
        assert_eq!(info.expires, later(30 * DAY));
        assert!(new.package.len() <= KEY_PACKAGE_BYTES_MAX, "{}", new.package.len());

        let read = |bytes: &[u8], now| read_key_package(&NETWORK, bytes, now).unwrap_err();
        assert_eq!(read(&new.package, later(30 * DAY)), CertificateError::Expired.into());
        assert_eq!(
            read_key_package(&NETWORK, &new.package, NOW.saturating_sub(DAY)).unwrap_err(),
            CertificateError::NotYetValid.into()
        );
        assert_eq!(
            read_key_package(&NetworkId::from_bytes([2; 32]), &new.package, NOW).unwrap_err(),
            CertificateError::Signature.into()
        );
        for cut in [0, 5, 100, new.package.len() - 1] {
            assert_eq!(read(&new.package[..cut], NOW), SessionError::Malformed);
        }
        assert_eq!(read(&vec![0; KEY_PACKAGE_BYTES_MAX + 1], NOW), SessionError::Malformed);
        // Each byte is covered by a signature, or does not decode when it is another.
        for place in (0..new.package.len()).step_by(7) {
            let mut changed = new.package.clone();
            changed[place] ^= 4;
            assert!(read_key_package(&NETWORK, &changed, NOW).is_err(), "{place}");
        }
        for lifetime in [0, 91 * DAY] {
            let made = key_package(&owner(5), suite, NOW, lifetime, &mut rng(1));
            assert_eq!(made.err(), Some(CertificateError::Lifetime.into()));
        }
        let groups = group(suite, 2);
        let expired = groups[0].commit(&add(&[&new]), later(31 * DAY), &mut rng(1)).err();
        assert_eq!(expired, Some(CertificateError::Expired.into()));
        // Judged by a time that all take alike, not by each one's clock.
        let commit = groups[0].commit(&add(&[&new]), NOW, &mut rng(1)).unwrap();
        let late = groups[1].apply(&commit.bytes, later(31 * DAY)).err();
        assert_eq!(late, Some(CertificateError::Expired.into()));
    });
}

#[test]
fn a_welcome_is_for_the_devices_it_was_made_for() {
    both(|suite| {
        let [mine, other] = [package(1, suite), package(2, suite)];
        let commit = create(suite).commit(&add(&[&mine]), NOW, &mut rng(1)).unwrap();
        let welcome = commit.welcome.unwrap();
        let join = |number, secrets: &[u8], welcome: &[u8]| Group::join(&owner(number), secrets, welcome).err();
        assert_eq!(join(2, &other.secrets, &welcome), Some(SessionError::NotForUs));
        assert_eq!(join(3, &mine.secrets, &welcome), Some(SessionError::NotForUs));
        assert_eq!(join(1, &mine.secrets[..30], &welcome), Some(SessionError::State));
        assert_eq!(
            join(1, &mine.secrets, &welcome[..welcome.len() - 1]),
            Some(SessionError::Malformed)
        );
        assert_eq!(join(1, &mine.secrets, &commit.bytes), Some(SessionError::Malformed));
        assert_eq!(
            join(1, &mine.secrets, &[welcome.clone(), vec![0]].concat()),
            Some(SessionError::Malformed)
        );
        let elsewhere = Owner {
            network: NetworkId::from_bytes([2; 32]),
            ..owner(1)
        };
        let stranger = Group::join(&elsewhere, &mine.secrets, &welcome).err();
        assert_eq!(stranger, Some(CertificateError::Signature.into()));
        for place in [welcome.len() / 2, welcome.len() - 1] {
            let mut forged = welcome.clone();
            forged[place] ^= 1;
            let error = join(1, &mine.secrets, &forged).unwrap();
            assert!(!matches!(error, SessionError::Local | SessionError::State), "{error}");
        }
        assert_eq!(welcome_packages(&commit.bytes), Err(SessionError::Malformed));
        assert_eq!(join(1, &mine.secrets, &welcome), None);
        // Long after the certificates have expired, a group still takes newcomers.
        let mut groups = vec![commit.next, Group::join(&owner(1), &mine.secrets, &welcome).unwrap()];
        let much_later = later(300 * DAY);
        let late = key_package(&owner(4), suite, much_later, DAY, &mut rng(1)).unwrap();
        let commit = groups[0].commit(&add(&[&late]), much_later, &mut rng(2)).unwrap();
        groups[1] = groups[1].apply(&commit.bytes, much_later).unwrap().next.unwrap();
        groups[0] = commit.next;
        groups.push(Group::join(&owner(4), &late.secrets, &commit.welcome.unwrap()).unwrap());
        assert_agree(&groups);
    });
}

#[test]
fn a_leaf_signs_for_itself() {
    let groups = group(SessionSuite::Classical, 2);
    let signature = groups[0].sign_author(b"message");
    assert!(groups[1].verify_author(0, b"message", &signature));
    assert!(!groups[1].verify_author(1, b"message", &signature));
    assert!(!groups[1].verify_author(2, b"message", &signature));
    assert!(!groups[1].verify_author(0, b"another", &signature));
    assert!(!groups[1].verify_author(0, b"message", &Signature::from_bytes([0; 64])));
    let kept = Group::from_bytes(NETWORK, &kept(&groups[0])).unwrap();
    assert_eq!(kept.sign_author(b"message"), signature);
}

#[test]
fn exported_secrets_differ_by_epoch_label_and_context() {
    both(|suite| {
        let mut groups = group(suite, 2);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..3 {
            for (label, context) in [("one", b"a"), ("one", b"b"), ("two", b"a")] {
                assert!(seen.insert(groups[0].export(label, context, 32).unwrap().to_vec()));
            }
            assert!(seen.insert(groups[0].authenticator().unwrap().to_vec()));
            advance(&mut groups, 0, &update(), seed);
        }
        assert!(groups[0].export("one", b"", 255 * 32 + 1).is_err());
    });
}

#[test]
fn nothing_secret_is_printed() {
    let mut groups = group(SessionSuite::PostQuantum, 2);
    let new = package(5, SessionSuite::PostQuantum);
    let message = groups[0].encrypt(b"text", &mut rng(1)).unwrap();
    let opened = groups[1].decrypt(&message).unwrap();
    assert_eq!(
        format!("{:?}", groups[0]),
        "Group { suite: PostQuantum, epoch: 1, own: 0, .. }"
    );
    assert_eq!(format!("{new:?}"), "NewKeyPackage { .. }");
    assert_eq!(format!("{opened:?}"), "Opened { author: 0, epoch: 1, .. }");
    let owner = format!("{:?}", owner(5));
    assert!(!owner.contains("SigningKey") && owner.contains("device"), "{owner}");
    let commit = format!("{:?}", groups[0].commit(&update(), NOW, &mut rng(1)).unwrap());
    assert!(commit.contains("next: Group { suite: PostQuantum, epoch: 2, own: 0, .. }"));
}

#[test]
fn several_devices_of_one_identity_are_leaves_of_their_own() {
    let phone = owner(1);
    let tablet = Owner {
        device: DeviceSigningKey::from_seed([77; 32]),
        ..phone.clone()
    };
    let suite = SessionSuite::Classical;
    let packages =
        [(&phone, 50), (&tablet, 51)].map(|(owner, seed)| key_package(owner, suite, NOW, DAY, &mut rng(seed)).unwrap());
    let commit = create(suite)
        .commit(&add(&[&packages[0], &packages[1]]), NOW, &mut rng(1))
        .unwrap();
    let leaves = commit.next.leaves();
    let devices: Vec<DeviceId> = leaves
        .iter()
        .filter(|leaf| leaf.identity == phone.identity)
        .map(|leaf: &Leaf| leaf.device)
        .collect();
    assert_eq!(devices, [phone.device_id(), tablet.device_id()]);
}
