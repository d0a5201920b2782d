//! X-Wing: ML-KEM-768 (FIPS 203) and X25519 (RFC 7748), combined by SHA3-256, as in draft-connolly-cfrg-xwing-kem-10;
//! `DeriveKeyPair` as in draft-ietf-hpke-pq, where the same mechanism is named MLKEM768-X25519.
//!
//! ```text
//! public key           ML-KEM-768 key 1,184 ‖ X25519 key 32
//! encapsulated key     ML-KEM-768 ciphertext 1,088 ‖ X25519 key 32
//! secret key           32, from which SHAKE256 makes d 32 ‖ z 32 (ML-KEM) ‖ X25519 secret 32
//! shared secret        SHA3-256(ML-KEM's ‖ X25519's ‖ ephemeral X25519 key ‖ recipient's X25519 key ‖ label)
//! ```

use ml_kem::ml_kem_768::{Ciphertext, DecapsulationKey, EncapsulationKey};
use ml_kem::{B32, Decapsulate, Key, KeyExport, Seed};
use sha3::{Digest, Sha3_256};
use shake::{ExtendableOutput, Shake256, Update, XofReader};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::KeyError;
use super::kdf::{SharedSecret, VERSION};
use super::x25519::diffie_hellman;

/// Bytes of a public key.
pub(super) const PUBLIC_KEY_BYTES: usize = ML_KEM_KEY_BYTES + 32;
/// Bytes of an encapsulated key.
pub(super) const ENCAPSULATED_BYTES: usize = ML_KEM_CIPHERTEXT_BYTES + 32;
/// Bytes that encapsulation draws: ML-KEM's message, then the ephemeral X25519 secret.
pub(super) const RANDOMNESS_BYTES: usize = 32 + 32;

const ML_KEM_KEY_BYTES: usize = 1184;
const ML_KEM_CIPHERTEXT_BYTES: usize = 1088;

const SUITE: &[u8] = b"KEM\x64\x7a";
const LABEL: &[u8; 6] = br"\.//^\";

/// A public key that was found to be one: every coefficient of its ML-KEM half is below the modulus (FIPS 203,
/// section 7.2).
#[derive(Clone)]
pub(super) struct PublicKey {
    pub(super) bytes: [u8; PUBLIC_KEY_BYTES],
    pub(super) ml_kem: EncapsulationKey,
    pub(super) x25519: [u8; 32],
}

impl PublicKey {
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; PUBLIC_KEY_BYTES] = bytes.try_into().map_err(|_| KeyError::Length)?;
        let (ml_kem, x25519) = bytes.split_last_chunk::<32>().ok_or(KeyError::Length)?;
        let ml_kem = <&Key<EncapsulationKey>>::try_from(ml_kem).map_err(|_| KeyError::Length)?;
        Ok(Self {
            bytes: *bytes,
            ml_kem: EncapsulationKey::new(ml_kem).map_err(|_| KeyError::NotReduced)?,
            x25519: *x25519,
        })
    }

    /// The key of these halves.
    fn new(ml_kem: EncapsulationKey, x25519: [u8; 32]) -> Self {
        let bytes = join(&ml_kem.to_bytes().into(), &x25519);
        Self { bytes, ml_kem, x25519 }
    }
}

/// A secret key and what follows from it, so that opening doesn't make the ML-KEM key pair anew each time.
pub(super) struct SecretKey {
    pub(super) seed: Zeroizing<[u8; 32]>,
    pub(super) ml_kem: DecapsulationKey,
    pub(super) x25519: StaticSecret,
    pub(super) x25519_public: [u8; 32],
}

impl SecretKey {
    /// `expandDecapsulationKey`, section 5.2 of the X-Wing draft.
    pub(super) fn from_bytes(seed: &[u8; 32]) -> Self {
        let mut shake = Shake256::default();
        Update::update(&mut shake, seed);
        let mut expanded = shake.finalize_xof();
        let mut ml_kem = Zeroizing::new(Seed::default());
        expanded.read(ml_kem.as_mut_slice());
        let mut x25519 = Zeroizing::new([0; 32]);
        expanded.read(x25519.as_mut_slice());

        let x25519 = StaticSecret::from(*x25519);
        Self {
            seed: Zeroizing::new(*seed),
            ml_kem: DecapsulationKey::from_seed(*ml_kem),
            x25519_public: x25519_dalek::PublicKey::from(&x25519).to_bytes(),
            x25519,
        }
    }

    /// `DeriveKeyPair` of draft-ietf-hpke-pq: a seed by `LabeledDerive` on SHAKE256.
    pub(super) fn derive(ikm: &[u8]) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        let mut shake = Shake256::default();
        // ikm ‖ version ‖ suite ‖ label with its length ‖ length of the output
        for part in [ikm, VERSION, SUITE, b"\x00\x0dDeriveKeyPair", b"\x00\x20"] {
            Update::update(&mut shake, part);
        }
        shake.finalize_xof().read(seed.as_mut_slice());
        Self::from_bytes(&seed)
    }

    pub(super) fn public(&self) -> PublicKey {
        PublicKey::new(self.ml_kem.encapsulation_key().clone(), self.x25519_public)
    }

    pub(super) fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// `Decapsulate`; `None` if the X25519 half of the encapsulated key is of small order. A changed ML-KEM half is no
    /// error but another shared secret (FIPS 203, section 6.3: implicit rejection).
    pub(super) fn decapsulate(&self, enc: &[u8; ENCAPSULATED_BYTES]) -> Option<SharedSecret> {
        let (ciphertext, ephemeral) = enc.split_last_chunk::<32>()?;
        let ciphertext = <&Ciphertext>::try_from(ciphertext).ok()?;
        let by_x25519 = diffie_hellman(&self.x25519, ephemeral)?;
        let by_ml_kem = Zeroizing::new(self.ml_kem.decapsulate(ciphertext));
        Some(combine(&by_ml_kem, &by_x25519, ephemeral, &self.x25519_public))
    }
}

/// `EncapsulateDerand`; `None` if the X25519 half of the recipient's key is of small order.
pub(super) fn encapsulate(
    to: &PublicKey,
    randomness: &[u8; RANDOMNESS_BYTES],
) -> Option<([u8; ENCAPSULATED_BYTES], SharedSecret)> {
    let (message, ephemeral) = randomness.split_first_chunk::<32>()?;
    let ephemeral = Zeroizing::new(<[u8; 32]>::try_from(ephemeral).ok()?);
    let ephemeral = StaticSecret::from(*ephemeral);
    let ephemeral_public = x25519_dalek::PublicKey::from(&ephemeral).to_bytes();
    let by_x25519 = diffie_hellman(&ephemeral, &to.x25519)?;

    let (ciphertext, by_ml_kem) = to.ml_kem.encapsulate_deterministic(<&B32>::from(message));
    let by_ml_kem = Zeroizing::new(by_ml_kem);

    let enc = join(&ciphertext.into(), &ephemeral_public);
    Some((enc, combine(&by_ml_kem, &by_x25519, &ephemeral_public, &to.x25519)))
}

/// What ML-KEM gave, and behind it what X25519 gave.
fn join<const M: usize, const N: usize>(ml_kem: &[u8; M], x25519: &[u8; 32]) -> [u8; N] {
    const { assert!(N == M + 32) };
    let mut joined = [0; N];
    if let Some((head, tail)) = joined.split_first_chunk_mut() {
        *head = *ml_kem;
        tail.copy_from_slice(x25519);
    }
    joined
}

/// `Combiner`, section 5.3 of the X-Wing draft. ML-KEM's ciphertext is left out, since ML-KEM's shared secret already
/// depends on all of it.
fn combine(by_ml_kem: &B32, by_x25519: &SharedSecret, ephemeral: &[u8; 32], recipient: &[u8; 32]) -> SharedSecret {
    let mut hasher = Sha3_256::new();
    for part in [by_ml_kem.as_slice(), by_x25519.as_slice(), ephemeral, recipient, LABEL] {
        Digest::update(&mut hasher, part);
    }
    let mut shared_secret = Zeroizing::new([0; 32]);
    hasher.finalize_into((&mut *shared_secret).into());
    shared_secret
}
