//! DHKEM(X25519, HKDF-SHA256), RFC 9180, sections 4.1 and 7.1.

use curve25519_dalek::{EdwardsPoint, MontgomeryPoint};
use subtle::ConstantTimeEq;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::kdf::{SharedSecret, labeled_expand, labeled_extract};

/// Bytes of a public key and of an encapsulated key.
pub(super) const KEY_BYTES: usize = 32;

const SUITE: &[u8] = b"KEM\x00\x20";

/// A secret key together with its public key, which opening needs every time and which would otherwise cost a scalar
/// multiplication each.
pub(super) struct SecretKey {
    pub(super) secret: StaticSecret,
    pub(super) public: [u8; KEY_BYTES],
}

impl SecretKey {
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let secret = StaticSecret::from(*bytes);
        let public = x25519_dalek::PublicKey::from(&secret).to_bytes();
        Self { secret, public }
    }

    /// `DeriveKeyPair`, RFC 9180, section 7.1.3.
    pub(super) fn derive(ikm: &[u8]) -> Self {
        let prk = labeled_extract(b"", SUITE, b"dkp_prk", ikm);
        let bytes = labeled_expand::<32>(&prk, SUITE, b"sk", b"", b"");
        Self::from_bytes(&bytes)
    }

    pub(super) fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// `Decap`; `None` if the encapsulated key is of small order.
    pub(super) fn decapsulate(&self, enc: &[u8; KEY_BYTES]) -> Option<SharedSecret> {
        let dh = diffie_hellman(&self.secret, enc)?;
        Some(shared_secret(&dh, enc, &self.public))
    }
}

/// `Encap` with the ephemeral key pair derived from `ikm`; `None` if the recipient's key is of small order.
pub(super) fn encapsulate(to: &[u8; KEY_BYTES], ikm: &[u8; 32]) -> Option<([u8; KEY_BYTES], SharedSecret)> {
    let ephemeral = SecretKey::derive(ikm);
    let dh = diffie_hellman(&ephemeral.secret, to)?;
    let shared_secret = shared_secret(&dh, &ephemeral.public, to);
    Some((ephemeral.public, shared_secret))
}

/// X25519 (RFC 7748, section 5); `None` if the result is zero, as RFC 9180 asks for in section 7.1.4.
pub(super) fn diffie_hellman(secret: &StaticSecret, public: &[u8; 32]) -> Option<SharedSecret> {
    let shared = match edwards(public) {
        Some(point) => by_edwards(secret, &point),
        None => by_ladder(secret, public),
    };
    bool::from(shared.ct_ne(&[0; 32])).then_some(shared)
}

/// The point on the Edwards form of the curve, where multiplying is faster by a quarter with the vector instructions of
/// x86-64; elsewhere it is slower, so there is none. The sign that a u-coordinate leaves open makes no difference to that of
/// the product, and the formulas have no exceptions. A point of the twist has no such form. All of this depends on the public
/// key alone.
fn edwards(public: &[u8; 32]) -> Option<EdwardsPoint> {
    if cfg!(target_arch = "x86_64") {
        MontgomeryPoint(*public).to_edwards(0)
    } else {
        None
    }
}

pub(super) fn by_edwards(secret: &StaticSecret, point: &EdwardsPoint) -> SharedSecret {
    let secret = Zeroizing::new(secret.to_bytes());
    let product = Zeroizing::new(point.mul_clamped(*secret));
    Zeroizing::new(Zeroizing::new(product.to_montgomery()).to_bytes())
}

pub(super) fn by_ladder(secret: &StaticSecret, public: &[u8; 32]) -> SharedSecret {
    let shared = secret.diffie_hellman(&x25519_dalek::PublicKey::from(*public));
    Zeroizing::new(shared.to_bytes())
}

/// `ExtractAndExpand(dh, enc ‖ pkRm)` of RFC 9180, section 4.1.
pub(super) fn shared_secret(dh: &SharedSecret, enc: &[u8; KEY_BYTES], to: &[u8; KEY_BYTES]) -> SharedSecret {
    let prk = labeled_extract(b"", SUITE, b"eae_prk", dh.as_slice());
    labeled_expand(&prk, SUITE, b"shared_secret", enc, to)
}
