//! The labelled key derivation of RFC 9180, section 4, on HKDF-SHA256, and the key schedule on top of it.

use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};
use hkdf::{Hkdf, HkdfExtract};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

pub(super) const KEY_BYTES: usize = 32;
pub(super) const NONCE_BYTES: usize = 12;
const HASH_BYTES: usize = 32;
const EXPAND_BYTES_MAX: usize = 255 * HASH_BYTES;
const CONTEXT_BYTES: usize = 1 + 2 * HASH_BYTES;

/// What every derivation of this version of HPKE begins with.
pub(super) const VERSION: &[u8] = b"HPKE-v1";
const MODE_BASE: u8 = 0;

/// What a key encapsulation hands to the key schedule, in either suite.
pub(super) type SharedSecret = Zeroizing<[u8; 32]>;

/// What ties the key schedule to a suite.
pub(super) struct Schedule {
    /// `suite_id` of RFC 9180, section 5.1: "HPKE", then the numbers of KEM, KDF and AEAD.
    pub(super) suite: [u8; 10],
    /// `LabeledExtract("", "psk_id_hash", "")`, the same for every message of the suite in base mode.
    pub(super) psk_id_hash: [u8; HASH_BYTES],
}

impl Schedule {
    pub(super) const X25519: Self = Self {
        suite: *b"HPKE\x00\x20\x00\x01\x00\x02",
        psk_id_hash: [
            0x4c, 0xe5, 0x47, 0x2e, 0xcd, 0xd5, 0x09, 0x3b, 0xa0, 0xae, 0xcb, 0x8f, 0x87, 0x1f, 0xf1, 0x3f, 0x1f, 0xbc,
            0x90, 0xee, 0x76, 0xf0, 0xe1, 0x8a, 0xce, 0x1a, 0x1b, 0x7e, 0x56, 0x5b, 0xaf, 0xa3,
        ],
    };

    pub(super) const X_WING: Self = Self {
        suite: *b"HPKE\x64\x7a\x00\x01\x00\x02",
        psk_id_hash: [
            0xbc, 0xc3, 0xfc, 0xa5, 0x5d, 0x6d, 0x27, 0x60, 0x85, 0xe2, 0xea, 0xb4, 0xb5, 0x56, 0x5d, 0x37, 0x0f, 0xca,
            0x95, 0x06, 0x9e, 0xe7, 0xbe, 0xbb, 0x0a, 0x19, 0x7b, 0x25, 0x56, 0xa5, 0x83, 0x9f,
        ],
    };

    /// `KeySchedule` of RFC 9180, section 5.1, for the one message with sequence number 0.
    pub(super) fn keys(&self, shared_secret: &SharedSecret, info: &[u8]) -> Keys {
        let context = self.context(info);
        let secret = labeled_extract(shared_secret.as_slice(), &self.suite, b"secret", b"");
        Keys {
            key: labeled_expand(&secret, &self.suite, b"key", &context, b""),
            nonce: labeled_expand(&secret, &self.suite, b"base_nonce", &context, b""),
        }
    }

    /// `mode ‖ psk_id_hash ‖ info_hash`, on the stack.
    pub(super) fn context(&self, info: &[u8]) -> [u8; CONTEXT_BYTES] {
        let info_hash = labeled_extractor(b"", &self.suite, b"info_hash", info).finalize().0;
        let mut context = [MODE_BASE; CONTEXT_BYTES];
        let parts = self.psk_id_hash.iter().chain(info_hash.iter());
        for (to, from) in context.iter_mut().skip(1).zip(parts) {
            *to = *from;
        }
        context
    }
}

/// Key and nonce of the one message.
pub(super) struct Keys {
    pub(super) key: Zeroizing<[u8; KEY_BYTES]>,
    pub(super) nonce: Zeroizing<[u8; NONCE_BYTES]>,
}

impl Keys {
    pub(super) fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(<&Key<Aes256Gcm>>::from(&*self.key))
    }

    pub(super) fn nonce(&self) -> &Nonce<aes_gcm::aead::consts::U12> {
        (&*self.nonce).into()
    }
}

/// `LabeledExtract` of RFC 9180, section 4, as a key to expand; the raw one is wiped.
pub(super) fn labeled_extract(salt: &[u8], suite: &[u8], label: &[u8], ikm: &[u8]) -> Hkdf<Sha256> {
    let (mut raw, prk) = labeled_extractor(salt, suite, label, ikm).finalize();
    raw.as_mut_slice().zeroize();
    prk
}

pub(super) fn labeled_extractor(salt: &[u8], suite: &[u8], label: &[u8], ikm: &[u8]) -> HkdfExtract<Sha256> {
    let mut extractor = HkdfExtract::new(Some(salt));
    extractor.input_ikm(VERSION);
    extractor.input_ikm(suite);
    extractor.input_ikm(label);
    extractor.input_ikm(ikm);
    extractor
}

/// `LabeledExpand` of RFC 9180, section 4, with `info` in two parts.
pub(super) fn labeled_expand<const N: usize>(
    prk: &Hkdf<Sha256>,
    suite: &[u8],
    label: &[u8],
    info_head: &[u8],
    info_tail: &[u8],
) -> Zeroizing<[u8; N]> {
    const { assert!(N <= EXPAND_BYTES_MAX && N <= u16::MAX as usize) };
    let length = [(N >> 8) as u8, (N & 0xff) as u8];
    let info = [&length, VERSION, suite, label, info_head, info_tail];
    let mut out = Zeroizing::new([0; N]);
    match prk.expand_multi_info(&info, out.as_mut_slice()) {
        Ok(()) => out,
        // HKDF refuses only more than EXPAND_BYTES_MAX; N is checked while compiling.
        Err(hkdf::InvalidLength) => unreachable!(),
    }
}
