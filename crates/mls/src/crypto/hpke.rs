//! HPKE (RFC 9180), base mode, single shot: the envelope's for X-Wing, and with AES-128-GCM, which the envelope does
//! not have, for X25519.

use super::{CryptoError, SessionSuite, open as aead_open, seal as aead_seal};
use aes_gcm::Aes128Gcm;
use hkdf::{Hkdf, HkdfExtract};
use sha2::Sha256;
use tokenim_envelope::hpke::{self, SecretKey, Suite};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize as _, Zeroizing};

const fn kem(suite: SessionSuite) -> Suite {
    match suite {
        SessionSuite::Classical => Suite::X25519,
        _ => Suite::XWing,
    }
}

/// `DeriveKeyPair`: RFC 9180, section 7.1.3, or draft-ietf-hpke-pq.
pub(crate) fn derive(suite: SessionSuite, ikm: &[u8]) -> SecretKey {
    SecretKey::derive(kem(suite), ikm)
}

/// Checks that a key can be sealed to: its length, that its ML-KEM half is reduced, that its X25519 key or half is not
/// of small order. A leaf or a node with another key would keep everyone else from committing.
pub(crate) fn check_public_key(suite: SessionSuite, key: &[u8]) -> Result<(), CryptoError> {
    hpke::PublicKey::from_bytes(kem(suite), key).map_err(|_| CryptoError::Key)?;
    let point = key.last_chunk::<32>().ok_or(CryptoError::Key)?;
    diffie_hellman(&StaticSecret::from([1; 32]), point)?;
    Ok(())
}

fn diffie_hellman(secret: &StaticSecret, public: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    let shared = secret.diffie_hellman(&PublicKey::from(*public));
    if !shared.was_contributory() {
        return Err(CryptoError::Key);
    }
    Ok(Zeroizing::new(shared.to_bytes()))
}

/// The seed of a kept secret key.
fn seed(secret: &[u8]) -> Result<&[u8; 32], CryptoError> {
    secret.try_into().map_err(|_| CryptoError::Key)
}

/// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
pub(crate) mod classical {
    use super::*;

    const KEM: &[u8] = b"KEM\x00\x20";
    const HPKE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x01";
    const VERSION: &[u8] = b"HPKE-v1";
    const MODE_BASE: u8 = 0;

    /// `SealBase`, with the ephemeral key pair derived from `ikm`.
    pub(crate) fn seal(
        to: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        ikm: &[u8; 32],
    ) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        let to: &[u8; 32] = to.try_into().map_err(|_| CryptoError::Key)?;
        let ephemeral = derive(SessionSuite::Classical, ikm);
        let enc = ephemeral.public_key().as_bytes().to_vec();
        let dh = diffie_hellman(&StaticSecret::from(*ephemeral.expose_bytes()), to)?;
        let (key, nonce) = schedule(&dh, &enc, to, info)?;
        let ciphertext = aead_seal::<Aes128Gcm>(key.as_slice(), nonce.as_slice(), aad, plaintext)?;
        Ok((enc, ciphertext))
    }

    /// `OpenBase`.
    pub(crate) fn open(
        secret: &[u8],
        enc: &[u8],
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let enc: &[u8; 32] = enc.try_into().map_err(|_| CryptoError::Key)?;
        let secret = StaticSecret::from(*seed(secret)?);
        let public = PublicKey::from(&secret).to_bytes();
        let dh = diffie_hellman(&secret, enc)?;
        let (key, nonce) = schedule(&dh, enc, &public, info)?;
        aead_open::<Aes128Gcm>(key.as_slice(), nonce.as_slice(), aad, ciphertext)
    }

    type Keys = (Zeroizing<[u8; 16]>, Zeroizing<[u8; 12]>);

    /// `ExtractAndExpand` of section 4.1, then `KeySchedule` of section 5.1 for the message with sequence number 0.
    fn schedule(dh: &[u8; 32], enc: &[u8], to: &[u8; 32], info: &[u8]) -> Result<Keys, CryptoError> {
        let prk = extract(b"", KEM, b"eae_prk", dh);
        let shared = expand::<32>(&prk, KEM, b"shared_secret", &[enc, to])?;

        let mut context = vec![MODE_BASE];
        context.extend_from_slice(&extractor(b"", HPKE, b"psk_id_hash", b"").finalize().0);
        context.extend_from_slice(&extractor(b"", HPKE, b"info_hash", info).finalize().0);
        let secret = extract(shared.as_slice(), HPKE, b"secret", b"");
        Ok((
            expand(&secret, HPKE, b"key", &[&context])?,
            expand(&secret, HPKE, b"base_nonce", &[&context])?,
        ))
    }

    fn extractor(salt: &[u8], suite: &[u8], label: &[u8], ikm: &[u8]) -> HkdfExtract<Sha256> {
        let mut extractor = HkdfExtract::new(Some(salt));
        for part in [VERSION, suite, label, ikm] {
            extractor.input_ikm(part);
        }
        extractor
    }

    /// `LabeledExtract`, section 4, as a key to expand; the raw one is wiped.
    fn extract(salt: &[u8], suite: &[u8], label: &[u8], ikm: &[u8]) -> Hkdf<Sha256> {
        let (mut raw, prk) = extractor(salt, suite, label, ikm).finalize();
        raw.as_mut_slice().zeroize();
        prk
    }

    /// `LabeledExpand`, section 4, with `info` in parts.
    fn expand<const N: usize>(
        prk: &Hkdf<Sha256>,
        suite: &[u8],
        label: &[u8],
        info: &[&[u8]],
    ) -> Result<Zeroizing<[u8; N]>, CryptoError> {
        const { assert!(N <= 255) };
        let length = [0, N as u8];
        let parts: Vec<&[u8]> = [&length, VERSION, suite, label]
            .into_iter()
            .chain(info.iter().copied())
            .collect();
        let mut out = Zeroizing::new([0; N]);
        prk.expand_multi_info(&parts, out.as_mut_slice())
            .map_err(|_| CryptoError::Length)?;
        Ok(out)
    }
}

/// X-Wing, HKDF-SHA256, AES-256-GCM.
pub(crate) mod x_wing {
    use super::*;
    use rand_core::CryptoRng;

    /// `SealBase`.
    pub(crate) fn seal(
        to: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        let to = hpke::PublicKey::from_bytes(Suite::XWing, to).map_err(|_| CryptoError::Key)?;
        let (enc, ciphertext) = hpke::seal(&to, info, aad, plaintext, rng).map_err(|_| CryptoError::Key)?;
        Ok((enc.as_bytes().to_vec(), ciphertext))
    }

    /// `OpenBase`.
    pub(crate) fn open(
        secret: &[u8],
        enc: &[u8],
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let secret = SecretKey::from_bytes(Suite::XWing, seed(secret)?);
        let enc = hpke::Encapsulated::from_bytes(Suite::XWing, enc).map_err(|_| CryptoError::Key)?;
        let plaintext = hpke::open(&secret, &enc, info, aad, ciphertext);
        plaintext.map(Zeroizing::new).map_err(|_| CryptoError::Aead)
    }
}
