//! What nodes see of two epochs of one session.

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use std::collections::BTreeSet;
use tokenim_conversation::{
    EpochKeys,
    child::{self, Parent},
    epoch::WrapError,
};
use tokenim_envelope::SealedEnvelope;
use tokenim_identity::Signature;
use tokenim_mailbox::group::{CommitParts, GroupEntryId, GroupHandle};
use tokenim_wire::{NetworkId, Object, UnixSeconds};

const NETWORK: NetworkId = NetworkId::from_bytes([7; 32]);
const HANDLE: GroupHandle = GroupHandle::from_bytes([0x5a; 32]);

/// A message as MLS frames it (RFC 9420, section 6.3): group id and epoch in the clear.
fn framed(epoch: u64, filling: u8, length: usize) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 2, 32];
    message.extend_from_slice(HANDLE.as_bytes());
    message.extend_from_slice(&epoch.to_be_bytes());
    message.push(1);
    message.extend((0..length).map(|at| filling.wrapping_add(at as u8).wrapping_mul(37)));
    message
}

/// Everything that the nodes of the mailboxes and the ledger get to see of an epoch, but the header of envelopes, which
/// has version, suite, expiry and the length of the nonce, and what links entries of the group log by intention: handle,
/// parent and the key announced for the next epoch.
fn seen(epoch: u64, secret: u8, rng: &mut ChaCha20Rng) -> Vec<Vec<u8>> {
    let keys = EpochKeys::derive(&NETWORK, &HANDLE, |_, _, _| Ok::<_, ()>(vec![secret; 32].into())).unwrap();
    let mut out = Vec::new();
    let mailbox = keys.mailbox();
    out.push(mailbox.descriptor.to_bytes().unwrap()[2..].to_vec());
    out.push(mailbox.tag().to_bytes().to_vec());
    // the same messages in both epochs, at the same time
    let expiry = UnixSeconds::new(1_802_000_000);
    for (filling, length) in [(1, 20), (1, 20), (2, 3000)] {
        let message = framed(epoch, filling, length);
        let envelope = keys.wrap(&message, expiry, rng).unwrap();
        out.push(envelope.id().to_bytes().to_vec());
        let header = 1 + 3 + 5 + 1;
        let (nonce, rest) = envelope.as_bytes()[header..].split_at(12);
        let length = if rest.len() > 16383 + 3 { 3 } else { 2 };
        out.extend([nonce.to_vec(), rest[length..].to_vec()]);
        assert_eq!(envelope.as_bytes()[..4], [1, 0xa0, 0xe1, 0x03]);
    }
    let commit = framed(epoch, 9, 700);
    let parent = Parent {
        network: &NETWORK,
        handle: HANDLE,
        entry: GroupEntryId::from_bytes([epoch as u8; 32]),
        keys: &keys,
    };
    let envelopes = keys.wrap_parts(&commit, expiry, rng).unwrap();
    let ids = envelopes.iter().map(SealedEnvelope::id).collect();
    let parts = CommitParts::new(ids).unwrap();
    let next = keys.verifying_key();
    let sign = |_: &[u8]| Ok::<_, ()>(Signature::from_bytes([3; 64]));
    let made = child::build(&parent, &commit, next, parts, 1, sign, rng).unwrap();
    let once = keys.commit_mailbox(&made.commitment);
    out.push(once.descriptor.to_bytes().unwrap()[2..].to_vec());
    out.push(made.tag.to_bytes().to_vec());
    out.push(made.commitment.to_bytes().to_vec());
    out.push(made.author.to_vec());
    out.push(made.envelopes[0].to_bytes().to_vec());
    out.push(keys.verifying_key().to_bytes().to_vec());
    out
}

fn windows(parts: &[Vec<u8>]) -> BTreeSet<[u8; 4]> {
    parts
        .iter()
        .flat_map(|part| part.windows(4).map(|window| window.try_into().unwrap()))
        .collect()
}

#[test]
fn two_epochs_share_no_four_bytes_in_what_nodes_see() {
    let rng = &mut ChaCha20Rng::seed_from_u64(5);
    let (one, other) = (seen(1, 11, rng), seen(2, 12, rng));
    let (one, other) = (windows(&one), windows(&other));
    assert!(one.len() > 5000, "{}", one.len());
    let shared: Vec<_> = one.intersection(&other).collect();
    assert_eq!(shared, Vec::<&[u8; 4]>::new());
}

#[test]
fn neither_session_nor_epoch_nor_text_stands_in_what_nodes_see() {
    let rng = &mut ChaCha20Rng::seed_from_u64(6);
    let seen = windows(&seen(1, 11, rng));
    for message in [framed(1, 1, 20), framed(1, 2, 3000), framed(1, 9, 700)] {
        assert!(windows(&[message]).is_disjoint(&seen));
    }
}

#[test]
fn within_an_epoch_no_two_keys_or_mailboxes_are_the_same() {
    let keys = EpochKeys::from_bytes(&[1; 32]).unwrap();
    let mut all = BTreeSet::new();
    let mut count = 0;
    let mailboxes = [
        keys.mailbox(),
        keys.commit_mailbox(&keys.commit_tag(b"one")),
        keys.commit_mailbox(&keys.commit_tag(b"other")),
    ];
    for mailbox in mailboxes {
        all.insert(mailbox.write.verifying_key().to_bytes());
        all.insert(mailbox.read.verifying_key().to_bytes());
        all.insert(mailbox.tag().to_bytes());
        count += 3;
    }
    all.insert(keys.verifying_key().to_bytes());
    assert_eq!(all.len(), count + 1);
}

#[test]
fn a_commit_of_any_length_up_to_eight_envelopes_comes_back() {
    const FULL: usize = 64 * 1024 - 4;
    let keys = EpochKeys::from_bytes(&[1; 32]).unwrap();
    let rng = &mut ChaCha20Rng::seed_from_u64(8);
    let expiry = UnixSeconds::new(1_802_000_000);
    for (length, parts) in [(0, 1), (1, 1), (FULL, 1), (FULL + 1, 2), (3 * FULL, 3), (8 * FULL, 8)] {
        let commit: Vec<u8> = (0..length).map(|at| (at / 251) as u8).collect();
        let envelopes = keys.wrap_parts(&commit, expiry, rng).unwrap();
        assert_eq!(envelopes.len(), parts);
        let bytes: Vec<_> = envelopes.iter().map(SealedEnvelope::as_bytes).collect();
        assert_eq!(*keys.unwrap_parts(&bytes).unwrap(), commit);
    }
    let actual = 8 * FULL + 1;
    assert_eq!(
        keys.wrap_parts(&vec![0; actual], expiry, rng).map(|_| ()),
        Err(WrapError::TooLong { actual })
    );
}

/// 512 bytes, 1,024, 2,048, 4,096, then steps: all that a length tells.
#[test]
fn lengths_tell_only_the_bucket() {
    let keys = EpochKeys::from_bytes(&[1; 32]).unwrap();
    let rng = &mut ChaCha20Rng::seed_from_u64(7);
    let mut length = |message: usize| {
        let message = vec![1; message];
        keys.wrap(&message, UnixSeconds::new(1_802_000_000), rng)
            .unwrap()
            .as_bytes()
            .len()
    };
    let small = length(0);
    assert!((0..=508).step_by(127).all(|message| length(message) == small));
    assert_eq!(length(509), small + 512);
    assert_eq!(length(1020), small + 512);
    assert_eq!(length(4092), small + 4096 - 512);
    assert_eq!(length(65_532), length(64_000));
}

#[test]
fn what_is_longer_than_an_envelope_is_not_wrapped() {
    let keys = EpochKeys::from_bytes(&[1; 32]).unwrap();
    let rng = &mut ChaCha20Rng::seed_from_u64(8);
    let expiry = UnixSeconds::new(u64::MAX);
    let longest = keys.wrap(&vec![1; 65_532], expiry, rng).unwrap();
    assert_eq!(keys.unwrap(longest.as_bytes()).unwrap().len(), 65_532);
    assert!(keys.wrap(&vec![1; 65_533], expiry, rng).is_err());
}
