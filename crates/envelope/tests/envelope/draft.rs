//! A second implementation of sealing, written from docs/spec/envelope.md, in which everything can be wrong.
//!
//! It shares no code with the crate but the hash, and seals with the `hpke` crate.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::{X25519HkdfSha256, XWing};
use hpke::{Deserializable, Kem, OpModeS, Serializable};
use serde::ser::SerializeTuple;
use serde::{Serialize, Serializer};
use tokenim_envelope::Suite;
use tokenim_identity::{Device, DeviceSigningKey, Statement};
use tokenim_wire::{Label, NetworkId, hash};

use crate::people::{EXPIRY, ID, NETWORK, Once, Person, randomness, text};

#[derive(Clone)]
pub struct Draft {
    pub kem: Suite,
    pub version: u8,
    pub suite: u64,
    pub outer_expiry: u64,
    pub info_network: NetworkId,
    pub info_suite: u16,
    pub seal_to: Vec<u8>,
    pub randomness: Vec<u8>,

    pub commitment: [u8; 32],
    pub sender: [u8; 32],
    pub sender_device: [u8; 32],
    pub recipient: [u8; 32],
    pub recipient_device: [u8; 32],
    pub id: [u8; 16],
    pub expiry: u64,
    pub checkpoint: Option<(u64, [u8; 32])>,
    pub kind: u64,
    pub body: Vec<u8>,
    /// Takes the place of all of the above in the plaintext; the signature stays.
    pub payload_override: Option<Vec<u8>>,

    pub signer: DeviceSigningKey,
    pub signed_network: NetworkId,
    pub signed_info: Option<Vec<u8>>,
    pub signed_aad: Option<Vec<u8>>,
    pub signed_enc: Option<Vec<u8>>,
    pub signed_suite: u64,
    pub signed_key: Vec<u8>,
    pub signature: Option<[u8; 64]>,

    /// The padded length; the right one if none.
    pub padded_bytes: Option<usize>,
    /// A byte of the padding, from its start, that is not zero.
    pub dirty: Option<usize>,
    /// The length at the end; the right one if none.
    pub length: Option<u32>,
}

/// The number of a suite, which is that of its KEM.
pub fn number(suite: Suite) -> u16 {
    if suite == Suite::X25519 { 0x0020 } else { 0x647a }
}

impl Draft {
    /// What an honest sender makes, without a checkpoint.
    pub fn honest(from: &Person, to: &Person) -> Self {
        let suite = number(to.key.suite());
        let recipient_key = to.key.public().as_bytes().to_vec();
        Self {
            kem: to.key.suite(),
            version: 1,
            suite: suite.into(),
            outer_expiry: EXPIRY.get(),
            info_network: NETWORK,
            info_suite: suite,
            seal_to: recipient_key.clone(),
            randomness: randomness(to.key.suite()),
            commitment: [0; 32],
            sender: from.identity.to_bytes(),
            sender_device: from.device.to_bytes(),
            recipient: to.identity.to_bytes(),
            recipient_device: to.device.to_bytes(),
            id: ID.to_bytes(),
            expiry: EXPIRY.get(),
            checkpoint: None,
            kind: 1,
            body: text().into_body(),
            payload_override: None,
            signer: from.secrets.signing.clone(),
            signed_network: NETWORK,
            signed_info: None,
            signed_aad: None,
            signed_enc: None,
            signed_suite: suite.into(),
            signed_key: recipient_key,
            signature: None,
            padded_bytes: None,
            dirty: None,
            length: None,
        }
    }

    pub fn enc(&self) -> Vec<u8> {
        self.hpke(&[], &[], &[]).0
    }

    /// version ‖ suite ‖ expiry ‖ length of enc ‖ enc
    pub fn aad(&self) -> Vec<u8> {
        let mut out = vec![self.version];
        varint(self.suite, &mut out);
        varint(self.outer_expiry, &mut out);
        bytes(&self.enc(), &mut out);
        out
    }

    /// length of label ‖ label ‖ network id ‖ suite
    pub fn info(&self) -> Vec<u8> {
        let label = b"tokenim/envelope/v1";
        let mut out = vec![19];
        out.extend_from_slice(label);
        out.extend_from_slice(self.info_network.as_bytes());
        out.extend_from_slice(&self.info_suite.to_be_bytes());
        out
    }

    pub fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.commitment);
        out.extend_from_slice(&self.sender);
        out.extend_from_slice(&self.sender_device);
        out.extend_from_slice(&self.recipient);
        out.extend_from_slice(&self.recipient_device);
        out.extend_from_slice(&self.id);
        varint(self.expiry, &mut out);
        match self.checkpoint {
            None => out.push(0),
            Some((height, header)) => {
                out.push(1);
                varint(height, &mut out);
                out.extend_from_slice(&header);
            }
        }
        varint(self.kind, &mut out);
        bytes(&self.body, &mut out);
        out
    }

    /// What the signature covers, without label and network id, which purpose signing puts in front.
    pub fn statement(&self) -> Vec<u8> {
        let info = self.signed_info.clone().unwrap_or_else(|| self.info());
        let aad = self.signed_aad.clone().unwrap_or_else(|| self.aad());
        let mut out = Vec::new();
        out.extend_from_slice(hash(Label::new("tokenim/envelope-info/v1"), &[&info]).as_bytes());
        out.extend_from_slice(hash(Label::new("tokenim/envelope-header/v1"), &[&aad]).as_bytes());
        bytes(&self.signed_enc.clone().unwrap_or_else(|| self.enc()), &mut out);
        varint(self.signed_suite, &mut out);
        bytes(&self.signed_key, &mut out);
        out.extend_from_slice(&self.payload());
        out
    }

    pub fn signature(&self) -> [u8; 64] {
        let sign = || {
            let statement = Raw(self.statement());
            self.signer.sign(&self.signed_network, &statement).unwrap().to_bytes()
        };
        self.signature.unwrap_or_else(sign)
    }

    pub fn plaintext(&self) -> Vec<u8> {
        let mut out = self.payload_override.clone().unwrap_or_else(|| self.payload());
        out.extend_from_slice(&self.signature());
        let signed = out.len();
        let total = self.padded_bytes.unwrap_or_else(|| padded(signed + 4));
        out.resize(total - 4, 0);
        if let Some(position) = self.dirty {
            out[signed + position] = 1;
        }
        out.extend_from_slice(&self.length.unwrap_or(signed as u32).to_be_bytes());
        out
    }

    pub fn seal(&self) -> Vec<u8> {
        self.seal_plaintext(&self.plaintext())
    }

    /// The outer half alone, around any plaintext.
    pub fn seal_plaintext(&self, plaintext: &[u8]) -> Vec<u8> {
        let aad = self.aad();
        let (enc, ciphertext) = self.hpke(&self.info(), &aad, plaintext);
        assert!(
            aad.ends_with(&enc),
            "the encapsulated key depends on key and randomness only"
        );
        let mut out = aad;
        bytes(&ciphertext, &mut out);
        out
    }

    fn hpke(&self, info: &[u8], aad: &[u8], plaintext: &[u8]) -> (Vec<u8>, Vec<u8>) {
        if self.kem == Suite::X25519 {
            seal_with::<X25519HkdfSha256>(&self.seal_to, info, aad, plaintext, &self.randomness)
        } else {
            seal_with::<XWing>(&self.seal_to, info, aad, plaintext, &self.randomness)
        }
    }
}

/// Encapsulated key and ciphertext, by the `hpke` crate.
pub fn seal_with<K: Kem>(
    to: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    randomness: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, K>(
        &OpModeS::Base,
        &K::PublicKey::from_bytes(to).unwrap(),
        info,
        plaintext,
        aad,
        &mut Once(Some(randomness.to_vec())),
    )
    .unwrap();
    (enc.to_bytes().to_vec(), ciphertext)
}

/// The length to which a plaintext is padded.
pub fn padded(length: usize) -> usize {
    match length {
        0..=512 => 512,
        513..=1024 => 1024,
        1025..=2048 => 2048,
        2049..=4096 => 4096,
        _ => {
            // Padmé in floating point, to be another formula than the crate's
            let exponent = (length as f64).log2().floor();
            let kept = exponent.log2().floor() + 1.0;
            let step = (exponent - kept).exp2();
            ((length as f64 / step).ceil() * step) as usize
        }
    }
}

/// LEB128, seven bits a byte, low ones first.
pub fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn bytes(value: &[u8], out: &mut Vec<u8>) {
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Bytes that encode to themselves.
struct Raw(Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
        tuple.end()
    }
}

impl Statement for Raw {
    type Signer = Device;
    const LABEL: Label = Label::new("tokenim/envelope-signature/v1");
}
