//! The bodies of the fuzz targets; ordinary tests of the crate replay the corpus through them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use tokenim_envelope::hpke::{self, Encapsulated, PublicKey, SecretKey};
use tokenim_envelope::rand_core::{Infallible, TryCryptoRng, TryRng};
use tokenim_envelope::{
    EnvelopeSecretKey, MessageId, OpenError, Opener, ReplayCache, SealedEnvelope, Suite, open as open_envelope,
};
use tokenim_identity::{DeviceId, DeviceSigningKey, IdentityId};
use tokenim_wire::{EnvelopeId, NetworkId, Object, UnixSeconds};

/// The device that the corpus is sealed to.
pub const RECIPIENT_SEED: [u8; 32] = [0xb0; 32];
/// The device that the corpus is signed by.
pub const SENDER_SEED: [u8; 32] = [0xa1; 32];
pub const NETWORK: NetworkId = NetworkId::from_bytes([0x4e; 32]);
pub const SENDER: IdentityId = IdentityId::from_bytes([1; 32]);
pub const RECIPIENT: IdentityId = IdentityId::from_bytes([2; 32]);
pub const RECIPIENT_DEVICE: DeviceId = DeviceId::from_bytes([3; 32]);
pub const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
pub const EXPIRY: UnixSeconds = UnixSeconds::new(1_800_086_400);

/// A generator that always gives the same bytes.
pub struct Constant(pub u8);

impl TryRng for Constant {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.into())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.into())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Constant {}

/// Bytes as an envelope: what is taken is given back unchanged.
pub fn sealed_envelope(data: &[u8]) {
    if let Ok(envelope) = SealedEnvelope::from_bytes(data.to_vec()) {
        assert_eq!(envelope.as_bytes(), data);
        assert_eq!(envelope.id(), EnvelopeId::of(data));
        let again = SealedEnvelope::from_bytes(envelope.as_bytes().to_vec());
        assert_eq!(again.as_ref(), Ok(&envelope));
    }
}

/// Bytes as an envelope for a device that has an X25519 key: refused, or the sender's message.
pub fn open(data: &[u8]) {
    open_in(Suite::X25519, data);
}

/// The same for a device that has an X-Wing key.
pub fn open_x_wing(data: &[u8]) {
    open_in(Suite::XWing, data);
}

/// The key of the device in a suite, made once.
fn key(suite: Suite) -> &'static EnvelopeSecretKey {
    static KEYS: OnceLock<[EnvelopeSecretKey; 2]> = OnceLock::new();
    let [x25519, x_wing] =
        KEYS.get_or_init(|| Suite::ALL.map(|suite| EnvelopeSecretKey::from_seed(suite, &RECIPIENT_SEED)));
    if suite == Suite::X25519 { x25519 } else { x_wing }
}

fn open_in(suite: Suite, data: &[u8]) {
    let opener = Opener {
        network: NETWORK,
        identity: RECIPIENT,
        device: RECIPIENT_DEVICE,
        keys: &[key(suite)],
    };
    let parsed = SealedEnvelope::from_bytes(data.to_vec());
    let Ok(opened) = open_envelope(&opener, data, NOW) else {
        return;
    };
    let parsed = parsed.expect("what opens is an envelope");
    assert_eq!((opened.expiry(), suite.id()), (parsed.expiry(), parsed.suite()));
    let (identity, _) = opened.sender();
    let id = opened.message_id();
    let signer = DeviceSigningKey::from_seed(SENDER_SEED).verifying_key();
    match opened.verify(&signer) {
        Ok(message) => {
            assert_eq!((message.sender, message.id), (identity, id));
            assert_eq!(message.sender_device, DeviceId::of(&signer));
        }
        Err(error) => assert_eq!(error, OpenError::Refused),
    }
}

/// Bytes as the plaintext that a hostile sender seals.
pub fn plaintext(data: &[u8]) {
    let key = SecretKey::derive(Suite::X25519, &RECIPIENT_SEED);
    let (info, header) = outer();
    let Ok((_, ciphertext)) = hpke::seal(key.public_key(), &info, &header, data, &mut Constant(7)) else {
        return;
    };
    let mut envelope = header;
    varint(ciphertext.len(), &mut envelope);
    envelope.extend_from_slice(&ciphertext);
    open(&envelope);
}

/// `info`, and the outer header of an envelope whose ephemeral key comes from [`Constant`] seven.
pub fn outer() -> (Vec<u8>, Vec<u8>) {
    let mut info = vec![19];
    info.extend_from_slice(b"tokenim/envelope/v1");
    info.extend_from_slice(NETWORK.as_bytes());
    info.extend_from_slice(&[0x00, 0x20]);
    let mut header = vec![1, 0x20];
    varint(usize::try_from(EXPIRY.get()).unwrap_or_default(), &mut header);
    header.push(32);
    let ephemeral = SecretKey::generate(Suite::X25519, &mut Constant(7));
    header.extend_from_slice(ephemeral.public_key().as_bytes());
    (info, header)
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `enc ‖ ciphertext` for an X25519 key: the copying and the in-place form agree.
pub fn hpke(data: &[u8]) {
    hpke_in(Suite::X25519, data);
}

/// The same for an X-Wing key.
pub fn hpke_x_wing(data: &[u8]) {
    hpke_in(Suite::XWing, data);
}

fn hpke_in(suite: Suite, data: &[u8]) {
    let Some((enc, ciphertext)) = data.split_at_checked(suite.encapsulated_bytes()) else {
        return;
    };
    static KEYS: OnceLock<[SecretKey; 2]> = OnceLock::new();
    let [x25519, x_wing] = KEYS.get_or_init(|| Suite::ALL.map(|suite| SecretKey::derive(suite, &RECIPIENT_SEED)));
    let key = if suite == Suite::X25519 { x25519 } else { x_wing };
    let enc = Encapsulated::from_bytes(suite, enc).expect("of the right length");
    let opened = hpke::open(key, &enc, b"info", b"aad", ciphertext);
    let mut buffer = ciphertext.to_vec();
    let in_place = hpke::open_in_place(key, &enc, b"info", b"aad", &mut buffer);
    match opened {
        Ok(plaintext) => assert_eq!((in_place, plaintext), (Ok(()), buffer)),
        Err(error) => assert_eq!((in_place, buffer.as_slice()), (Err(error), ciphertext)),
    }
}

/// Bytes as a public key of X-Wing: refused, or given back unchanged, and sealed to unless of small order.
pub fn public_key(data: &[u8]) {
    let Ok(key) = PublicKey::from_bytes(Suite::XWing, data) else {
        return;
    };
    assert_eq!(key.as_bytes(), data);
    match hpke::seal(&key, b"info", b"aad", b"plaintext", &mut Constant(7)) {
        Ok((enc, ciphertext)) => {
            assert_eq!(enc.as_bytes().len(), Suite::XWing.encapsulated_bytes());
            assert_eq!(ciphertext.len(), b"plaintext".len() + hpke::TAG_BYTES);
        }
        Err(error) => assert_eq!(error, hpke::SealError::PublicKey),
    }
}

/// Bytes as a stored replay cache: what is taken is given back unchanged.
pub fn replay_cache(data: &[u8]) {
    if let Ok(cache) = ReplayCache::from_bytes(data) {
        assert_eq!(cache.to_bytes().as_deref(), Ok(data));
        assert!(cache.len() <= ReplayCache::ENTRIES_MAX);
    }
}

/// Operations on a replay cache against a model that forgets nothing.
///
/// Six bytes an operation: sender, id, expiry (two), now (two), in hours; the highest bit of the sender restarts.
pub fn replay_operations(data: &[u8]) {
    let mut cache = ReplayCache::new();
    // what passed, with the expiry that its signature fixes
    let mut seen: BTreeMap<(u8, u8), (UnixSeconds, bool)> = BTreeMap::new();
    let (operations, _) = data.as_chunks::<6>();
    for &[sender, id, expiry_high, expiry_low, now_high, now_low] in operations {
        let hours = |high, low| UnixSeconds::new(u64::from(u16::from_be_bytes([high, low])) * 3600);
        let (mut expiry, now) = (hours(expiry_high, expiry_low), hours(now_high, now_low));
        if sender >= 0x80 {
            let bytes = cache.to_bytes().expect("a cache has an encoding");
            cache = ReplayCache::from_bytes(&bytes).expect("its encoding is one");
        }
        let model = seen.entry((sender & 0x7f, id)).or_insert((expiry, false));
        expiry = model.0;
        let admitted = cache.check_and_insert(
            &IdentityId::from_bytes([sender & 0x7f; 32]),
            &MessageId::from_bytes([id; 16]),
            expiry,
            now,
        );
        if admitted.is_ok() {
            assert!(!model.1, "let through twice");
            assert!(now.get() <= expiry.get() + 120);
            model.1 = true;
        }
    }
}
