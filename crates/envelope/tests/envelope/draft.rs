//! A second implementation of sealing, written from docs/spec/envelope.md, in which everything can be wrong.
//!
//! It shares no code with the crate but the hash, and seals with the `hpke` crate.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, OpModeS, Serializable};
use serde::ser::SerializeTuple;
use serde::{Serialize, Serializer};
use tokenim_identity::{Device, DeviceSigningKey, Statement};
use tokenim_wire::{Label, NetworkId, hash};

use crate::people::{EXPIRY, ID, NETWORK, Once, Person, text};

type Kem = X25519HkdfSha256;

pub const IKM_E: [u8; 32] = [0xe5; 32];

#[derive(Clone)]
pub struct Draft {
    pub version: u8,
    pub suite: u64,
    pub outer_expiry: u64,
    pub info_network: NetworkId,
    pub info_suite: u16,
    pub seal_to: [u8; 32],
    pub ikm_e: [u8; 32],

    pub commitment: [u8; 32],
    pub sender: [u8; 32],
    pub sender_device: [u8; 32],
    pub recipient: [u8; 32],
    pub recipient_device: [u8; 32],
    pub id: [u8; 16],
    pub expiry: u64,
    pub kind: u64,
    pub body: Vec<u8>,
    /// Takes the place of all of the above in the plaintext; the signature stays.
    pub payload_override: Option<Vec<u8>>,

    pub signer: DeviceSigningKey,
    pub signed_network: NetworkId,
    pub signed_info: Option<Vec<u8>>,
    pub signed_aad: Option<Vec<u8>>,
    pub signed_enc: Option<[u8; 32]>,
    pub signed_key: [u8; 32],
    pub signature: Option<[u8; 64]>,

    /// The padded length; the right one if none.
    pub padded_bytes: Option<usize>,
    /// A byte of the padding, from its start, that is not zero.
    pub dirty: Option<usize>,
    /// The length at the end; the right one if none.
    pub length: Option<u32>,
}

impl Draft {
    /// What an honest sender makes.
    pub fn honest(from: &Person, to: &Person) -> Self {
        let recipient_key = to.key.public().to_x25519().unwrap();
        Self {
            version: 1,
            suite: 0x20,
            outer_expiry: EXPIRY.get(),
            info_network: NETWORK,
            info_suite: 0x20,
            seal_to: recipient_key,
            ikm_e: IKM_E,
            commitment: [0; 32],
            sender: from.identity.to_bytes(),
            sender_device: from.device.to_bytes(),
            recipient: to.identity.to_bytes(),
            recipient_device: to.device.to_bytes(),
            id: ID.to_bytes(),
            expiry: EXPIRY.get(),
            kind: 1,
            body: text().into_body(),
            payload_override: None,
            signer: from.secrets.signing.clone(),
            signed_network: NETWORK,
            signed_info: None,
            signed_aad: None,
            signed_enc: None,
            signed_key: recipient_key,
            signature: None,
            padded_bytes: None,
            dirty: None,
            length: None,
        }
    }

    pub fn enc(&self) -> [u8; 32] {
        let (_, public) = <Kem as hpke::Kem>::derive_keypair(&self.ikm_e);
        public.to_bytes().into()
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
        bytes(&self.signed_enc.unwrap_or_else(|| self.enc()), &mut out);
        varint(0x20, &mut out);
        bytes(&self.signed_key, &mut out);
        out.extend_from_slice(&self.payload());
        out
    }

    pub fn signature(&self) -> [u8; 64] {
        let statement = Raw(self.statement());
        let sign = || self.signer.sign(&self.signed_network, &statement).unwrap().to_bytes();
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
        let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
            &OpModeS::Base,
            &<Kem as hpke::Kem>::PublicKey::from_bytes(&self.seal_to).unwrap(),
            &self.info(),
            plaintext,
            &aad,
            &mut Once(Some(self.ikm_e)),
        )
        .unwrap();
        assert_eq!(enc.to_bytes().as_slice(), self.enc());
        let mut out = aad;
        bytes(&ciphertext, &mut out);
        out
    }
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
