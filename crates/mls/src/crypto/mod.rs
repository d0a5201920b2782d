//! The cryptography that MLS runs on: both suites, on the packages of the workspace.
//!
//! | | `Classical`, 0x0001 | `PostQuantum`, 0xf0a1 |
//! |---|---|---|
//! | HPKE | DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM | X-Wing, HKDF-SHA256, AES-256-GCM |
//! | AEAD | AES-128-GCM | AES-256-GCM |
//! | hash, MAC, KDF | SHA-256, HMAC-SHA256, HKDF-SHA256 | the same |
//! | signature | Ed25519, verified strictly | the same |
//!
//! Strictly, since all members verify with this code: they agree, and what it accepts every other rule accepts too.

pub(crate) mod hpke;

use super::SessionSuite;
use aes_gcm::{
    Aes128Gcm, Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use chacha20::ChaCha20Rng;
use core::convert::Infallible;
use ed25519_dalek::Signer as _;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use mls_rs_core::{
    crypto::{
        CipherSuite, CipherSuiteProvider, CryptoProvider, HpkeCiphertext, HpkeContextR, HpkeContextS, HpkePsk,
        HpkePublicKey, HpkeSecretKey, SignaturePublicKey, SignatureSecretKey,
    },
    error::IntoAnyError,
};
use rand_core::{CryptoRng, Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};
use tokenim_identity::verify;
use zeroize::Zeroizing;

const HASH_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// The label of the secret behind a key of a ratchet (RFC 9420, section 9.1), with its length.
const RATCHET_STEP: &[u8] = b"\x0eMLS 1.0 secret";

/// Why a primitive refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CryptoError {
    /// A step draws randomness that was given none.
    #[error("no randomness was given to this step")]
    Random,
    /// Not a key of the suite.
    #[error("not a key of the suite")]
    Key,
    /// A length that the primitive does not take.
    #[error("a length that the primitive does not take")]
    Length,
    /// A ciphertext does not open.
    #[error("the ciphertext does not open")]
    Aead,
    /// A signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// A part of HPKE that only external commits and pre-shared keys need, which are not used here.
    #[error("external commits and pre-shared keys are not used here")]
    Unused,
}

impl IntoAnyError for CryptoError {}

/// Where the randomness of a step comes from: a generator that the step seeds and takes away again. Between steps there
/// is none. It also remembers what the library does not tell: that a secret was not for this device, and how many steps
/// ratchets of messages made.
#[derive(Clone, Default)]
pub(crate) struct Generator(Arc<Shared>);

#[derive(Default)]
struct Shared {
    rng: Mutex<Option<ChaCha20Rng>>,
    shut_out: AtomicBool,
    /// One more than how many seals are good before one is spoiled; 0 for none.
    #[cfg(feature = "adversary")]
    spoil: AtomicU32,
    steps: AtomicU32,
}

impl Generator {
    /// Gives it a seed of the caller's.
    pub(crate) fn seed(&self, rng: &mut (impl CryptoRng + ?Sized)) {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        *self.0.rng.lock().unwrap_or_else(PoisonError::into_inner) = Some(ChaCha20Rng::from_seed(*seed));
    }

    /// Takes it away.
    pub(crate) fn clear(&self) {
        *self.0.rng.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn shut_out(&self) {
        self.0.shut_out.store(true, Ordering::Relaxed);
    }

    /// Whether something sealed by HPKE was not for this device, since this was asked last.
    pub(crate) fn take_shut_out(&self) -> bool {
        self.0.shut_out.swap(false, Ordering::Relaxed)
    }

    /// How many keys of messages were passed in ratchets, since this was asked last.
    pub(crate) fn take_steps(&self) -> u32 {
        self.0.steps.swap(0, Ordering::Relaxed)
    }

    /// From now on, the seal after so many good ones opens for nobody.
    #[cfg(feature = "adversary")]
    pub(crate) fn spoil(&self, after: Option<u32>) {
        let count = after.map_or(0, |after| after.saturating_add(1));
        self.0.spoil.store(count, Ordering::Relaxed);
    }

    #[cfg(feature = "adversary")]
    fn spoil_if_due(&self, ciphertext: &mut [u8]) {
        let before = self
            .0
            .spoil
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if before == Ok(1) {
            for byte in ciphertext {
                *byte ^= 1;
            }
        }
    }

    fn fill(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        let mut rng = self.0.rng.lock().unwrap_or_else(PoisonError::into_inner);
        rng.as_mut().ok_or(CryptoError::Random)?.fill_bytes(out);
        Ok(())
    }
}

/// Both suites.
#[derive(Clone, Default)]
pub(crate) struct Crypto {
    pub(crate) generator: Generator,
}

impl CryptoProvider for Crypto {
    type CipherSuiteProvider = SuiteCrypto;

    fn supported_cipher_suites(&self) -> Vec<CipherSuite> {
        SessionSuite::ALL
            .iter()
            .map(|suite| CipherSuite::new(suite.number()))
            .collect()
    }

    fn cipher_suite_provider(&self, cipher_suite: CipherSuite) -> Option<SuiteCrypto> {
        Some(SuiteCrypto {
            suite: SessionSuite::from_number(cipher_suite.raw_value())?,
            generator: self.generator.clone(),
        })
    }
}

/// One suite.
#[derive(Clone)]
pub(crate) struct SuiteCrypto {
    pub(crate) suite: SessionSuite,
    pub(crate) generator: Generator,
}

impl SuiteCrypto {
    fn post_quantum(&self) -> bool {
        self.suite != SessionSuite::Classical
    }

    fn random<const N: usize>(&self) -> Result<Zeroizing<[u8; N]>, CryptoError> {
        let mut out = Zeroizing::new([0; N]);
        self.generator.fill(out.as_mut_slice())?;
        Ok(out)
    }
}

fn signing_key(seed: &[u8]) -> Result<ed25519_dalek::SigningKey, CryptoError> {
    let seed = <&[u8; 32]>::try_from(seed).map_err(|_| CryptoError::Key)?;
    Ok(ed25519_dalek::SigningKey::from_bytes(seed))
}

/// The public key of a leaf's seed.
pub(crate) fn leaf_key(seed: &[u8; 32]) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// Signs as a leaf.
pub(crate) fn leaf_sign(seed: &[u8; 32], message: &[u8]) -> [u8; 64] {
    ed25519_dalek::SigningKey::from_bytes(seed).sign(message).to_bytes()
}

fn seal<C: KeyInit + Aead>(key: &[u8], nonce: &[u8], aad: &[u8], msg: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let cipher = C::new_from_slice(key).map_err(|_| CryptoError::Length)?;
    let nonce = Nonce::try_from(nonce).map_err(|_| CryptoError::Length)?;
    cipher
        .encrypt(&nonce, Payload { msg, aad })
        .map_err(|_| CryptoError::Length)
}

fn open<C: KeyInit + Aead>(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    msg: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let cipher = C::new_from_slice(key).map_err(|_| CryptoError::Length)?;
    let nonce = Nonce::try_from(nonce).map_err(|_| CryptoError::Length)?;
    let plaintext = cipher.decrypt(&nonce, Payload { msg, aad });
    plaintext.map(Zeroizing::new).map_err(|_| CryptoError::Aead)
}

impl CipherSuiteProvider for SuiteCrypto {
    type Error = CryptoError;
    type HpkeContextS = NoContext;
    type HpkeContextR = NoContext;

    fn cipher_suite(&self) -> CipherSuite {
        CipherSuite::new(self.suite.number())
    }

    fn hash(&self, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(Sha256::digest(data).to_vec())
    }

    fn mac(&self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).map_err(|_| CryptoError::Length)?;
        mac.update(data);
        Ok(mac.finalize().into_bytes().to_vec())
    }

    fn aead_seal(&self, key: &[u8], data: &[u8], aad: Option<&[u8]>, nonce: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let aad = aad.unwrap_or_default();
        match self.post_quantum() {
            false => seal::<Aes128Gcm>(key, nonce, aad, data),
            true => seal::<Aes256Gcm>(key, nonce, aad, data),
        }
    }

    fn aead_open(
        &self,
        key: &[u8],
        ciphertext: &[u8],
        aad: Option<&[u8]>,
        nonce: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let aad = aad.unwrap_or_default();
        match self.post_quantum() {
            false => open::<Aes128Gcm>(key, nonce, aad, ciphertext),
            true => open::<Aes256Gcm>(key, nonce, aad, ciphertext),
        }
    }

    fn aead_key_size(&self) -> usize {
        match self.post_quantum() {
            false => 16,
            true => 32,
        }
    }

    fn aead_nonce_size(&self) -> usize {
        NONCE_BYTES
    }

    fn kdf_extract(&self, salt: &[u8], ikm: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let (prk, _) = Hkdf::<Sha256>::extract(Some(salt), ikm);
        let prk = Zeroizing::new(<[u8; HASH_BYTES]>::from(prk));
        Ok(Zeroizing::new(prk.to_vec()))
    }

    fn kdf_expand(&self, prk: &[u8], info: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        // `KDFLabel` (RFC 9420, section 8): the length in two bytes, the label behind its own length.
        if info.get(2..).is_some_and(|label| label.starts_with(RATCHET_STEP)) {
            self.generator.0.steps.fetch_add(1, Ordering::Relaxed);
        }
        let prk = Hkdf::<Sha256>::from_prk(prk).map_err(|_| {
            // Only a secret that came out of HPKE can be too short.
            self.generator.shut_out();
            CryptoError::Length
        })?;
        let mut out = Zeroizing::new(vec![0; len]);
        prk.expand(info, &mut out).map_err(|_| CryptoError::Length)?;
        Ok(out)
    }

    fn kdf_extract_size(&self) -> usize {
        HASH_BYTES
    }

    fn hpke_seal(
        &self,
        remote_key: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
        pt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        let aad = aad.unwrap_or_default();
        #[cfg_attr(not(feature = "adversary"), expect(unused_mut, reason = "nothing is spoiled"))]
        let (kem_output, mut ciphertext) = match self.post_quantum() {
            false => hpke::classical::seal(remote_key, info, aad, pt, &*self.random()?)?,
            true => {
                let mut rng = ChaCha20Rng::from_seed(*self.random()?);
                hpke::x_wing::seal(remote_key, info, aad, pt, &mut rng)?
            }
        };
        #[cfg(feature = "adversary")]
        self.generator.spoil_if_due(&mut ciphertext);
        Ok(HpkeCiphertext { kem_output, ciphertext })
    }

    fn hpke_open(
        &self,
        ciphertext: &HpkeCiphertext,
        local_secret: &HpkeSecretKey,
        _local_public: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let aad = aad.unwrap_or_default();
        let HpkeCiphertext { kem_output, ciphertext } = ciphertext;
        let opened = match self.post_quantum() {
            false => hpke::classical::open(local_secret, kem_output, info, aad, ciphertext),
            true => hpke::x_wing::open(local_secret, kem_output, info, aad, ciphertext),
        };
        if opened.is_err() {
            self.generator.shut_out();
        }
        opened
    }

    fn hpke_seal_psk(
        &self,
        _remote_key: &HpkePublicKey,
        _info: &[u8],
        _aad: Option<&[u8]>,
        _pt: &[u8],
        _psk: HpkePsk<'_>,
    ) -> Result<HpkeCiphertext, CryptoError> {
        Err(CryptoError::Unused)
    }

    fn hpke_open_psk(
        &self,
        _ciphertext: &HpkeCiphertext,
        _local_secret: &HpkeSecretKey,
        _local_public: &HpkePublicKey,
        _info: &[u8],
        _aad: Option<&[u8]>,
        _psk: HpkePsk<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        Err(CryptoError::Unused)
    }

    fn hpke_setup_s(&self, _remote_key: &HpkePublicKey, _info: &[u8]) -> Result<(Vec<u8>, NoContext), CryptoError> {
        Err(CryptoError::Unused)
    }

    fn hpke_setup_r(
        &self,
        _kem_output: &[u8],
        _local_secret: &HpkeSecretKey,
        _local_public: &HpkePublicKey,
        _info: &[u8],
    ) -> Result<NoContext, CryptoError> {
        Err(CryptoError::Unused)
    }

    fn kem_derive(&self, ikm: &[u8]) -> Result<(HpkeSecretKey, HpkePublicKey), CryptoError> {
        let key = hpke::derive(self.suite, ikm);
        Ok((
            HpkeSecretKey::from(key.expose_bytes().to_vec()),
            HpkePublicKey::from(key.public_key().as_bytes().to_vec()),
        ))
    }

    fn kem_generate(&self) -> Result<(HpkeSecretKey, HpkePublicKey), CryptoError> {
        self.kem_derive(self.random::<32>()?.as_slice())
    }

    fn kem_public_key_validate(&self, key: &HpkePublicKey) -> Result<(), CryptoError> {
        hpke::check_public_key(self.suite, key)
    }

    fn random_bytes(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        self.generator.fill(out)
    }

    fn signature_key_generate(&self) -> Result<(SignatureSecretKey, SignaturePublicKey), CryptoError> {
        let seed = self.random::<32>()?;
        let public = SignaturePublicKey::new_slice(&leaf_key(&seed));
        Ok((SignatureSecretKey::new_slice(seed.as_slice()), public))
    }

    fn signature_key_derive_public(&self, secret_key: &SignatureSecretKey) -> Result<SignaturePublicKey, CryptoError> {
        let key = signing_key(secret_key.as_bytes())?;
        Ok(SignaturePublicKey::new_slice(key.verifying_key().as_bytes()))
    }

    fn sign(&self, secret_key: &SignatureSecretKey, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(signing_key(secret_key.as_bytes())?.sign(data).to_bytes().to_vec())
    }

    fn verify(&self, public_key: &SignaturePublicKey, signature: &[u8], data: &[u8]) -> Result<(), CryptoError> {
        let key = public_key.as_bytes().try_into().map_err(|_| CryptoError::Signature)?;
        let signature = signature.try_into().map_err(|_| CryptoError::Signature)?;
        verify::strict(key, data, signature).map_err(|_| CryptoError::Signature)
    }
}

/// A context of HPKE over several messages: there is none, since only external commits need one.
pub(crate) enum NoContext {}

impl HpkeContextS for NoContext {
    type Error = Infallible;

    fn seal(&mut self, _aad: Option<&[u8]>, _data: &[u8]) -> Result<Vec<u8>, Infallible> {
        match *self {}
    }

    fn export(&self, _exporter_context: &[u8], _len: usize) -> Result<Zeroizing<Vec<u8>>, Infallible> {
        match *self {}
    }
}

impl HpkeContextR for NoContext {
    type Error = Infallible;

    fn open(&mut self, _aad: Option<&[u8]>, _ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Infallible> {
        match *self {}
    }

    fn export(&self, _exporter_context: &[u8], _len: usize) -> Result<Zeroizing<Vec<u8>>, Infallible> {
        match *self {}
    }
}
