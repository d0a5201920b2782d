//! Known-answer vectors, positive and negative. To print them anew after a change of the format:
//!
//! ```text
//! cargo test -p tokenim-envelope --test envelope -- --ignored --nocapture print_sealed
//! cargo test -p tokenim-envelope --test envelope -- --ignored --nocapture print_refused
//! ```

use serde::{Deserialize, Serialize};
use tokenim_envelope::{
    Content, ContentKind, EnvelopeSecretKey, MessageId, OpenError, Opener, Recipient, Sender, open, seal,
};
use tokenim_identity::{DeviceId, DeviceKey, DeviceSigningKey, EnvelopeKey, IdentityId};
use tokenim_wire::{EnvelopeId, NetworkId, UnixSeconds};

use crate::draft::{Draft, IKM_E};
use crate::people::{NETWORK, NOW, Once, alice, bob};
use crate::refusals::{Attempt, Step, cases};

/// Bytes as hexadecimal text.
#[derive(Clone, PartialEq, Eq)]
struct Hex(Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let byte = |i: usize| u8::from_str_radix(text.get(2 * i..2 * i + 2).unwrap_or(""), 16);
        let bytes: Result<_, _> = (0..text.len().div_ceil(2)).map(byte).collect();
        bytes.map(Self).map_err(serde::de::Error::custom)
    }
}

impl core::fmt::Debug for Hex {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap())
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> Hex {
    Hex(bytes.as_ref().to_vec())
}

impl Hex {
    fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().unwrap()
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    name: String,
    network: Hex,
    sender: Hex,
    sender_device: Hex,
    sender_signing_seed: Hex,
    recipient: Hex,
    recipient_device: Hex,
    recipient_envelope_seed: Hex,
    recipient_envelope_key: Hex,
    /// The 32 bytes drawn from the generator.
    ikm_e: Hex,
    message_id: Hex,
    expiry: u64,
    kind: u16,
    /// `body_byte` repeated `body_bytes` times.
    body_byte: u8,
    body_bytes: usize,
    info: Hex,
    aad: Hex,
    /// What is signed, after label and network id; of a long one its SHA-256 under `tokenim/vector/v1`.
    statement: Hex,
    signature: Hex,
    envelope_bytes: usize,
    /// All of it if short.
    envelope: Option<Hex>,
    envelope_id: Hex,
}

const SHORT: usize = 2000;

fn digest_if_long(bytes: Vec<u8>) -> Hex {
    if bytes.len() <= SHORT {
        return Hex(bytes);
    }
    hex(tokenim_wire::hash(
        tokenim_wire::Label::new("tokenim/vector/v1"),
        &[&bytes],
    ))
}

fn sealed(name: &str, kind: u16, body_byte: u8, body_bytes: usize) -> Sealed {
    let (alice, bob) = (alice(), bob());
    let mut draft = Draft::honest(&alice, &bob);
    draft.kind = kind.into();
    draft.body = vec![body_byte; body_bytes];
    let envelope = draft.seal();
    Sealed {
        name: name.to_owned(),
        network: hex(NETWORK),
        sender: hex(alice.identity),
        sender_device: hex(alice.device),
        sender_signing_seed: hex(alice.secrets.signing.expose_seed()),
        recipient: hex(bob.identity),
        recipient_device: hex(bob.device),
        recipient_envelope_seed: hex(*bob.secrets.envelope_seed),
        recipient_envelope_key: hex(bob.key.public().as_bytes()),
        ikm_e: hex(IKM_E),
        message_id: hex(draft.id),
        expiry: draft.expiry,
        kind,
        body_byte,
        body_bytes,
        info: hex(draft.info()),
        aad: hex(draft.aad()),
        statement: digest_if_long(draft.statement()),
        signature: hex(draft.signature()),
        envelope_bytes: envelope.len(),
        envelope_id: hex(EnvelopeId::of(&envelope)),
        envelope: (envelope.len() <= SHORT).then_some(Hex(envelope)),
    }
}

#[derive(Serialize, Deserialize)]
struct Refused {
    name: String,
    /// `open` or `verify`.
    step: String,
    error: String,
    network: Hex,
    recipient: Hex,
    recipient_device: Hex,
    recipient_envelope_seed: Hex,
    now: u64,
    sender_key: Hex,
    envelope: Hex,
}

/// The errors by name, without what differs between versions of this software.
fn name_of(error: OpenError) -> String {
    let text = format!("{error:?}");
    text.split(['(', '{', ' ']).next().unwrap().to_owned()
}

#[test]
#[ignore = "prints tests/vectors/sealed.json"]
fn print_sealed() {
    let vectors = [
        sealed("empty", 2, 0, 0),
        sealed("largest_in_the_first_bucket", 1, b'a', 260),
        sealed("smallest_in_the_second_bucket", 1, b'a', 261),
        sealed("padme", 2, 0xff, 5000),
        sealed("longest", 65_535, 0x5a, tokenim_wire::limits::MESSAGE_BODY_BYTES_MAX),
    ];
    println!("{}", serde_json::to_string_pretty(&vectors).unwrap());
}

#[test]
#[ignore = "prints tests/vectors/refused.json"]
fn print_refused() {
    let vectors: Vec<_> = cases()
        .into_iter()
        .filter(|(_, _, _, attempt)| attempt.envelope.len() <= SHORT)
        .map(|(name, step, error, attempt)| Refused {
            name: name.to_owned(),
            step: format!("{step:?}").to_lowercase(),
            error: name_of(error),
            network: hex(attempt.network),
            recipient: hex(attempt.identity),
            recipient_device: hex(attempt.device),
            recipient_envelope_seed: hex(attempt.seed),
            now: attempt.now.get(),
            sender_key: hex(attempt.sender_key.as_bytes()),
            envelope: Hex(attempt.envelope),
        })
        .collect();
    println!("{}", serde_json::to_string_pretty(&vectors).unwrap());
}

#[test]
fn the_vectors_of_sealing_are_reproduced() {
    let vectors: Vec<Sealed> = serde_json::from_str(include_str!("../vectors/sealed.json")).unwrap();
    assert_eq!(vectors.len(), 5);
    for v in vectors {
        let key = DeviceSigningKey::from_seed(v.sender_signing_seed.array());
        let sender = Sender {
            identity: IdentityId::from_bytes(v.sender.array()),
            device: DeviceId::from_bytes(v.sender_device.array()),
            key: &key,
        };
        let to = Recipient {
            identity: IdentityId::from_bytes(v.recipient.array()),
            device: DeviceId::from_bytes(v.recipient_device.array()),
            key: EnvelopeKey::x25519(v.recipient_envelope_key.array()),
        };
        let network = NetworkId::from_bytes(v.network.array());
        let id = MessageId::from_bytes(v.message_id.array());
        let expiry = UnixSeconds::new(v.expiry);
        let content = Content {
            kind: ContentKind::new(v.kind),
            body: vec![v.body_byte; v.body_bytes],
        };
        let envelope = seal(
            &network,
            &sender,
            &to,
            id,
            expiry,
            &content,
            &mut Once(Some(v.ikm_e.array())),
        )
        .unwrap();
        assert_eq!(envelope.as_bytes().len(), v.envelope_bytes, "{}", v.name);
        assert_eq!(hex(envelope.id()), v.envelope_id, "{}", v.name);
        if let Some(bytes) = v.envelope {
            assert_eq!(hex(&envelope), bytes, "{}", v.name);
        }

        let secret = EnvelopeSecretKey::from_seed(&v.recipient_envelope_seed.array());
        assert_eq!(secret.public(), &to.key, "{}", v.name);
        let opener = Opener {
            network,
            identity: to.identity,
            device: to.device,
            key: &secret,
        };
        let message = open(&opener, envelope.as_bytes(), NOW)
            .unwrap()
            .verify(&key.verifying_key())
            .unwrap();
        assert!(message.content == content, "{}", v.name);

        // the steps in between, by the second implementation
        let mut draft = Draft::honest(&alice(), &bob());
        (draft.kind, draft.body) = (v.kind.into(), content.body.clone());
        (draft.sender, draft.sender_device) = (v.sender.array(), v.sender_device.array());
        (draft.recipient, draft.recipient_device) = (v.recipient.array(), v.recipient_device.array());
        (draft.seal_to, draft.signed_key) = (v.recipient_envelope_key.array(), v.recipient_envelope_key.array());
        (draft.id, draft.ikm_e, draft.signer) = (v.message_id.array(), v.ikm_e.array(), key.clone());
        (draft.expiry, draft.outer_expiry) = (v.expiry, v.expiry);
        (draft.info_network, draft.signed_network) = (network, network);
        assert_eq!(hex(draft.info()), v.info, "{}", v.name);
        assert_eq!(hex(draft.aad()), v.aad, "{}", v.name);
        assert_eq!(digest_if_long(draft.statement()), v.statement, "{}", v.name);
        assert_eq!(hex(draft.signature()), v.signature, "{}", v.name);
    }
}

#[test]
fn the_vectors_of_refusal_are_refused() {
    let vectors: Vec<Refused> = serde_json::from_str(include_str!("../vectors/refused.json")).unwrap();
    let names: std::collections::BTreeSet<_> = vectors.iter().map(|v| v.name.clone()).collect();
    for (name, _, _, attempt) in cases() {
        assert!(
            names.contains(name) || attempt.envelope.len() > SHORT,
            "no vector for {name}"
        );
    }
    for v in vectors {
        let attempt = Attempt {
            envelope: v.envelope.0,
            network: NetworkId::from_bytes(v.network.array()),
            identity: IdentityId::from_bytes(v.recipient.array()),
            device: DeviceId::from_bytes(v.recipient_device.array()),
            seed: v.recipient_envelope_seed.array(),
            now: UnixSeconds::new(v.now),
            sender_key: DeviceKey::from_bytes(v.sender_key.array()).unwrap(),
        };
        let (step, error) = attempt.run().expect_err(&v.name);
        let step = if step == Step::Open { "open" } else { "verify" };
        assert_eq!((step, name_of(error)), (v.step.as_str(), v.error), "{}", v.name);
    }
}
