//! How often opening allocates. A binary of its own, since counting replaces the allocator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use allocation_counter::{AllocationInfo, measure};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tokenim_envelope::hpke::{self, SecretKey};
use tokenim_envelope::{
    Checkpoint, Content, EnvelopeSecretKey, MessageId, Opened, Opener, Recipient, Sender, Suite, open, seal,
};
use tokenim_identity::{DeviceId, DeviceSigningKey, IdentityId};
use tokenim_wire::{Digest, Height, NetworkId, UnixSeconds};

const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
const EXPIRY: UnixSeconds = UnixSeconds::new(1_800_086_400);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([7; 32])
}

/// What was allocated, and what of it is left afterwards.
fn counted<T>(work: impl FnOnce() -> T) -> (AllocationInfo, T) {
    let mut out = None;
    let info = measure(|| out = Some(work()));
    (info, out.unwrap())
}

/// An envelope around so many bytes, and what opening it allocates. The keys before the last don't open it.
fn opening(suite: Suite, body: usize, keys: &[&EnvelopeSecretKey]) -> (AllocationInfo, usize, Opened) {
    let signing = DeviceSigningKey::from_seed([2; 32]);
    let sender = Sender {
        identity: IdentityId::from_bytes([4; 32]),
        device: DeviceId::of(&signing.verifying_key()),
        key: &signing,
    };
    let to = Recipient {
        identity: IdentityId::from_bytes([5; 32]),
        device: DeviceId::from_bytes([6; 32]),
        key: keys.last().unwrap().public().clone(),
    };
    let checkpoint = Some(Checkpoint {
        height: Height::new(9),
        header: Digest::from_bytes([3; 32]),
    });
    let id = MessageId::from_bytes([8; 16]);
    let content = Content::bytes(vec![3; body]);
    let envelope = seal(&NETWORK, &sender, &to, id, EXPIRY, checkpoint, &content, &mut rng()).unwrap();
    let opener = Opener {
        network: NETWORK,
        identity: to.identity,
        device: to.device,
        keys,
    };
    let (info, opened) = counted(|| open(&opener, envelope.as_bytes(), NOW).unwrap());
    let plaintext = envelope.as_bytes().len() - suite.encapsulated_bytes();
    (info, plaintext, opened)
}

#[test]
fn opening_allocates_the_plaintext_and_nothing_else() {
    for suite in Suite::ALL {
        let keys = [1, 2, 3].map(|seed| EnvelopeSecretKey::from_seed(suite, &[seed; 32]));
        for body in [0, 64, 1024, 60 * 1024] {
            let (info, plaintext, opened) = opening(suite, body, &keys.each_ref());
            assert_eq!((info.count_total, info.count_current), (1, 1), "{suite:?} {body}");
            assert!(
                info.bytes_total <= plaintext as u64,
                "{suite:?} {body}: {}",
                info.bytes_total
            );
            // and it is the content that stays
            let signer = DeviceSigningKey::from_seed([2; 32]).verifying_key();
            let message = opened.verify(&signer).unwrap();
            assert_eq!(message.content.body, vec![3; body]);
            assert_eq!(message.content.body.capacity() as u64, info.bytes_total);
        }
    }
}

#[test]
fn what_is_refused_leaves_nothing() {
    for suite in Suite::ALL {
        let key = EnvelopeSecretKey::from_seed(suite, &[1; 32]);
        let opener = Opener {
            network: NETWORK,
            identity: IdentityId::from_bytes([5; 32]),
            device: DeviceId::from_bytes([6; 32]),
            keys: &[&key],
        };
        let (_, _, opened) = opening(suite, 64, &[&key]);
        drop(opened);
        for bytes in [vec![], vec![2; 600], vec![1; 600]] {
            let (info, refused) = counted(|| open(&opener, &bytes, NOW).is_err());
            assert!(refused);
            assert_eq!(info.count_total, 0, "nothing is allocated for what is no envelope");
        }
    }
}

#[test]
fn hpke_allocates_the_plaintext_or_nothing() {
    for suite in Suite::ALL {
        let key = SecretKey::derive(suite, &[1; 32]);
        let (enc, ciphertext) = hpke::seal(key.public_key(), b"i", b"a", &[3; 1000], &mut rng()).unwrap();
        let (info, _) = counted(|| hpke::open(&key, &enc, b"i", b"a", &ciphertext).unwrap());
        assert_eq!((info.count_total, info.bytes_total), (1, 1000));
        let mut buffer = ciphertext;
        let (info, ()) = counted(|| hpke::open_in_place(&key, &enc, b"i", b"a", &mut buffer).unwrap());
        assert_eq!(info.count_total, 0);
        // the buffer has room for the tag
        let (info, _) = counted(|| hpke::seal_in_place(key.public_key(), b"i", b"a", &mut buffer, &mut rng()).unwrap());
        assert_eq!(info.count_total, 0);
    }
}
