//! What must not leak.

use std::hint::black_box;

use rand_core::{Infallible, TryCryptoRng, TryRng};
use serde::Serialize;
use tokenim_envelope::hpke::{self, PublicKey, SecretKey, Suite};
use tokenim_envelope::{
    Checkpoint, Content, ContentKind, EnvelopeSecretKey, MessageId, Opener, Recipient, Sender, open, seal,
};
use tokenim_identity::{
    Argon2Cost, Device, DeviceId, DeviceSecrets, DeviceSigningKey, IdentityId, Keystore, KeystoreKind, Phrase,
    RecoveryShare, Statement,
};
use tokenim_wire::{Digest, Height, Label, NetworkId, UnixSeconds};

use crate::memcheck::{make_public, make_secret};

/// Nothing may be reported here but what `README.md` explains.
pub(crate) const CASES: &[(&str, fn())] = &[
    ("device secrets, generated", device_generated),
    ("device secrets, read and written", device_read),
    ("signing", signing),
    ("root key of a phrase", root_key),
    ("recovery shares, generated and compared", recovery_shares),
    ("keystore, opened", || keystore(false)),
    ("keystore, refused", || keystore(true)),
    ("HPKE X25519, key pair", || key_pair(Suite::X25519)),
    ("HPKE X25519, sealed", || hpke_sealed(Suite::X25519)),
    ("HPKE X25519, opened", || hpke_opened(Suite::X25519, false)),
    ("HPKE X25519, refused", || hpke_opened(Suite::X25519, true)),
    ("HPKE X-Wing, key pair", || key_pair(Suite::XWing)),
    ("HPKE X-Wing, sealed", || hpke_sealed(Suite::XWing)),
    ("HPKE X-Wing, opened", || hpke_opened(Suite::XWing, false)),
    ("HPKE X-Wing, refused", || hpke_opened(Suite::XWing, true)),
    ("envelope X25519, sealed", || sealed(Suite::X25519)),
    ("envelope X25519, opened", || opened(Suite::X25519, false)),
    ("envelope X25519, refused", || opened(Suite::X25519, true)),
    ("envelope X-Wing, sealed", || sealed(Suite::XWing)),
    ("envelope X-Wing, opened", || opened(Suite::XWing, false)),
    ("envelope X-Wing, refused", || opened(Suite::XWing, true)),
];

const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
const EXPIRY: UnixSeconds = UnixSeconds::new(1_800_086_400);
const INFO: &[u8] = b"info";
const AAD: &[u8] = b"associated data";
const TEXT: [u8; 300] = [0x61; 300];

/// A copy that memcheck watches.
fn secret<const N: usize>(bytes: [u8; N]) -> [u8; N] {
    let mut bytes = black_box(bytes);
    make_secret(&mut bytes);
    bytes
}

/// Bytes that nobody has to guess from here on.
fn published(bytes: &[u8]) {
    make_public(bytes);
    black_box(bytes);
}

/// The outcome of a comparison, which its caller acts on.
fn outcome(result: bool) -> bool {
    let byte = u8::from(result);
    make_public(core::slice::from_ref(&byte));
    black_box(byte) == 1
}

/// The same bytes in every run, secret or not.
struct Fixed {
    secret: bool,
}

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0x2545_f491)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0x2545_f491_4f6c_dd1d)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for (byte, value) in out.iter_mut().zip((17_u8..=255).cycle()) {
            *byte = value;
        }
        if self.secret {
            make_secret(out);
        }
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

/// Something to sign.
#[derive(Serialize)]
struct Note([u8; 32]);

impl Statement for Note {
    type Signer = Device;
    const LABEL: Label = Label::new("tokenim/constant-time-note/v1");
}

fn device_generated() {
    let device = DeviceSecrets::generate(&mut Fixed { secret: true });
    published(device.device_id().as_bytes());
}

fn device_read() {
    let written = DeviceSecrets::generate(&mut Fixed { secret: false }).expose_bytes();
    let mut bytes = written.to_vec();
    if let Some((_version, secrets)) = bytes.split_first_mut() {
        make_secret(secrets);
    }
    let device = DeviceSecrets::from_bytes(&bytes);
    black_box(device.map(|device| device.expose_bytes()).is_ok());
}

fn signing() {
    let key = DeviceSigningKey::from_seed(secret([3; 32]));
    let signature = key.sign(&NETWORK, &Note(secret([4; 32])));
    if let Ok(signature) = black_box(signature) {
        published(signature.as_bytes());
    }
}

fn root_key() {
    let phrase = Phrase::from_entropy(&secret([5; 32]));
    published(phrase.root_key(0).verifying_key().as_bytes());
}

fn recovery_shares() {
    let shares = RecoveryShare::generate(2, 2, &mut Fixed { secret: true });
    if let Ok([one, other]) = shares.as_deref() {
        black_box(outcome(one == other));
    }
}

fn keystore(wrong: bool) {
    let (kind, cost) = (KeystoreKind::Device, Argon2Cost::MINIMUM);
    let made = Keystore::seal(b"a passphrase", kind, &TEXT[..145], cost, &mut Fixed { secret: false });
    let passphrase = if wrong { *b"A passphrase" } else { *b"a passphrase" };
    if let Ok(file) = made {
        black_box(Keystore::open(&secret(passphrase), kind, &file).is_ok());
    }
}

fn key_pair(suite: Suite) {
    let key = SecretKey::derive(suite, &secret([6; 32]));
    published(key.public_key().as_bytes());
}

/// The key that is sealed to: for everybody to see.
fn recipient(suite: Suite) -> PublicKey {
    SecretKey::derive(suite, &[6; 32]).public_key().clone()
}

fn hpke_sealed(suite: Suite) {
    let sealed = hpke::seal(&recipient(suite), INFO, AAD, &secret(TEXT), &mut Fixed { secret: true });
    if let Ok((enc, ciphertext)) = sealed {
        published(enc.as_bytes());
        published(&ciphertext);
    }
}

fn hpke_opened(suite: Suite, damaged: bool) {
    let sealed = hpke::seal(&recipient(suite), INFO, AAD, &TEXT, &mut Fixed { secret: false });
    let key = SecretKey::derive(suite, &secret([6; 32]));
    if let Ok((enc, mut ciphertext)) = sealed {
        damage(&mut ciphertext, damaged);
        black_box(hpke::open(&key, &enc, INFO, AAD, &ciphertext).is_ok());
    }
}

fn damage(bytes: &mut [u8], really: bool) {
    if let Some(last) = bytes.last_mut() {
        *last ^= u8::from(really);
    }
}

/// A sender whose key and names are secret.
fn seal_to(recipient: &EnvelopeSecretKey, text: [u8; 300], hidden: bool) -> Option<Vec<u8>> {
    let mark = |bytes: [u8; 32]| if hidden { secret(bytes) } else { bytes };
    let key = DeviceSigningKey::from_seed(mark([3; 32]));
    let sender = Sender {
        identity: IdentityId::from_bytes(mark([8; 32])),
        device: DeviceId::from_bytes(mark([9; 32])),
        key: &key,
    };
    let to = Recipient {
        identity: IdentityId::from_bytes([10; 32]),
        device: DeviceId::from_bytes([11; 32]),
        key: recipient.public().clone(),
    };
    let checkpoint = Checkpoint {
        height: Height::new(1_000),
        header: Digest::from_bytes(mark([12; 32])),
    };
    let content = Content {
        kind: ContentKind::BYTES,
        body: text.to_vec(),
    };
    let id = MessageId::from_bytes([13; 16]);
    let mut rng = Fixed { secret: hidden };
    let envelope = seal(&NETWORK, &sender, &to, id, EXPIRY, Some(checkpoint), &content, &mut rng).ok()?;
    Some(envelope.as_bytes().to_vec())
}

fn sealed(suite: Suite) {
    let to = EnvelopeSecretKey::from_seed(suite, &[6; 32]);
    if let Some(envelope) = seal_to(&to, secret(TEXT), true) {
        published(&envelope);
    }
}

fn opened(suite: Suite, damaged: bool) {
    let Some(mut envelope) = seal_to(&EnvelopeSecretKey::from_seed(suite, &[6; 32]), TEXT, false) else {
        return;
    };
    damage(&mut envelope, damaged);
    let key = EnvelopeSecretKey::from_seed(suite, &secret([6; 32]));
    let opener = Opener {
        network: NETWORK,
        identity: IdentityId::from_bytes([10; 32]),
        device: DeviceId::from_bytes([11; 32]),
        keys: &[&key],
    };
    black_box(open(&opener, &envelope, NOW).is_ok());
}
