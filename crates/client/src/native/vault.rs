//! Sealing of what the device keeps on its disk beside the keystore.

use aes_gcm::{Aes256Gcm, KeyInit as _, aead::AeadInOut as _};
use tokenim_envelope::MessageId;
use tokenim_wire::EnvelopeId;
use zeroize::Zeroizing;

/// Bytes of the nonce before a sealed value.
const NONCE_BYTES: usize = 12;
/// What every sealed value is bound to, beside its place.
const LABEL: &[u8] = b"tokenim/client-vault/v1";

/// The place of a received message's body.
pub(crate) fn received(envelope: &EnvelopeId) -> Vec<u8> {
    [b"received message".as_slice(), envelope.as_bytes()].concat()
}

/// The place of a sent message's body.
pub(crate) fn sent(message: &MessageId) -> Vec<u8> {
    [b"sent message".as_slice(), message.as_bytes()].concat()
}

/// Seals a secret for one place, with AES-256-GCM under the device's vault key: nonce ‖ ciphertext ‖ tag.
/// `None` only without random numbers.
pub(crate) fn seal(key: &[u8; 32], place: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let cipher = Aes256Gcm::new_from_slice(key).ok()?;
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).ok()?;
    let mut buffer = Zeroizing::new(Vec::with_capacity(secret.len().saturating_add(16)));
    buffer.extend_from_slice(secret);
    cipher
        .encrypt_in_place(&nonce.into(), &[LABEL, place].concat(), &mut *buffer)
        .ok()?;
    Some([nonce.as_slice(), buffer.as_slice()].concat())
}

/// Opens what [`seal`] made for this place; `None` if it is anything else.
pub(crate) fn open(key: &[u8; 32], place: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = Aes256Gcm::new_from_slice(key).ok()?;
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    cipher
        .decrypt_in_place(&(*nonce).into(), &[LABEL, place].concat(), &mut *buffer)
        .ok()?;
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_in_its_place_alone() {
        let sealed = seal(&[7; 32], b"contact key 1", &[9; 32]).unwrap();
        assert_eq!(open(&[7; 32], b"contact key 1", &sealed).unwrap().as_slice(), [9; 32]);
        assert!(open(&[7; 32], b"contact key 2", &sealed).is_none());
        assert!(open(&[8; 32], b"contact key 1", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(open(&[7; 32], b"contact key 1", &damaged).is_none(), "byte {at}");
            assert!(open(&[7; 32], b"contact key 1", &sealed[..at]).is_none(), "cut at {at}");
        }
    }
}
