//! Known-answer vectors, positive and negative. `sealed.json` is made by `generate.py` beside it. To print `refused.json`
//! anew after a change of the format:
//!
//! ```text
//! cargo test -p tokenim-envelope --test envelope -- --ignored --nocapture print_refused
//! ```

use serde::{Deserialize, Serialize};
use tokenim_envelope::{
    Checkpoint, Content, ContentKind, EnvelopeSecretKey, MessageId, OpenError, Opener, Recipient, Sender, Suite, open,
    seal,
};
use tokenim_identity::{DeviceId, DeviceKey, DeviceSigningKey, EnvelopeKey, IdentityId, SuiteId};
use tokenim_wire::{Digest, EnvelopeId, Height, NetworkId, UnixSeconds};

use crate::draft::Draft;
use crate::people::{NOW, Once, alice, bob};
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

#[derive(Deserialize)]
struct Sealed {
    name: String,
    suite: u16,
    network: Hex,
    sender: Hex,
    sender_device: Hex,
    sender_signing_seed: Hex,
    recipient: Hex,
    recipient_device: Hex,
    recipient_envelope_seed: Hex,
    recipient_envelope_key: Hex,
    /// The bytes drawn from the generator.
    randomness: Hex,
    message_id: Hex,
    expiry: u64,
    checkpoint: Option<SealedCheckpoint>,
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

#[derive(Deserialize)]
struct SealedCheckpoint {
    height: u64,
    header: Hex,
}

/// Bytes up to which an envelope is a vector as a whole.
const SHORT: usize = 2400;

fn digest_if_long(bytes: Vec<u8>) -> Hex {
    if bytes.len() <= SHORT {
        return Hex(bytes);
    }
    hex(tokenim_wire::hash(
        tokenim_wire::Label::new("tokenim/vector/v1"),
        &[&bytes],
    ))
}

fn suite_of(number: u16) -> Suite {
    Suite::from_id(SuiteId::new(number)).unwrap()
}

#[derive(Serialize, Deserialize)]
struct Refused {
    name: String,
    suite: u16,
    /// `open` or `verify`.
    step: String,
    error: String,
    network: Hex,
    recipient: Hex,
    recipient_device: Hex,
    /// Of each of its keys the suite and the seed.
    recipient_keys: Vec<(u16, Hex)>,
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
#[ignore = "prints tests/vectors/refused.json"]
fn print_refused() {
    let mut lines = Vec::new();
    for suite in Suite::ALL {
        for (name, step, error, attempt) in cases(suite) {
            if attempt.envelope.len() > SHORT {
                continue;
            }
            let refused = Refused {
                name: name.to_owned(),
                suite: suite.id().get(),
                step: format!("{step:?}").to_lowercase(),
                error: name_of(error),
                network: hex(attempt.network),
                recipient: hex(attempt.identity),
                recipient_device: hex(attempt.device),
                recipient_keys: attempt
                    .keys
                    .iter()
                    .map(|(suite, seed)| (suite.id().get(), hex(seed)))
                    .collect(),
                now: attempt.now.get(),
                sender_key: hex(attempt.sender_key.as_bytes()),
                envelope: Hex(attempt.envelope),
            };
            lines.push(serde_json::to_string(&refused).unwrap());
        }
    }
    println!("[\n  {}\n]", lines.join(",\n  "));
}

#[test]
fn the_vectors_of_sealing_are_reproduced() {
    let vectors: Vec<Sealed> = serde_json::from_str(include_str!("../vectors/sealed.json")).unwrap();
    assert_eq!(vectors.len(), 14);
    for v in vectors {
        let (name, suite) = (v.name, suite_of(v.suite));
        let key = DeviceSigningKey::from_seed(v.sender_signing_seed.array());
        let sender = Sender {
            identity: IdentityId::from_bytes(v.sender.array()),
            device: DeviceId::from_bytes(v.sender_device.array()),
            key: &key,
        };
        let to = Recipient {
            identity: IdentityId::from_bytes(v.recipient.array()),
            device: DeviceId::from_bytes(v.recipient_device.array()),
            key: EnvelopeKey::new(suite.id(), &v.recipient_envelope_key.0).unwrap(),
        };
        let network = NetworkId::from_bytes(v.network.array());
        let id = MessageId::from_bytes(v.message_id.array());
        let expiry = UnixSeconds::new(v.expiry);
        let checkpoint = v.checkpoint.map(|checkpoint| Checkpoint {
            height: Height::new(checkpoint.height),
            header: Digest::from_bytes(checkpoint.header.array()),
        });
        let content = Content {
            kind: ContentKind::new(v.kind),
            body: vec![v.body_byte; v.body_bytes],
        };
        let mut rng = Once(Some(v.randomness.0.clone()));
        let envelope = seal(&network, &sender, &to, id, expiry, checkpoint, &content, &mut rng).unwrap();
        assert_eq!(envelope.as_bytes().len(), v.envelope_bytes, "{name}");
        assert_eq!(hex(envelope.id()), v.envelope_id, "{name}");
        if let Some(bytes) = v.envelope {
            assert_eq!(hex(&envelope), bytes, "{name}");
        }

        let secret = EnvelopeSecretKey::from_seed(suite, &v.recipient_envelope_seed.array());
        assert_eq!(secret.public(), &to.key, "{name}");
        let opener = Opener {
            network,
            identity: to.identity,
            device: to.device,
            keys: &[&secret],
        };
        let message = open(&opener, envelope.as_bytes(), NOW)
            .unwrap()
            .verify(&key.verifying_key())
            .unwrap();
        assert!(message.content == content && message.checkpoint == checkpoint, "{name}");

        // the steps in between, by the second implementation
        let mut draft = Draft::honest(&alice(), &bob(suite));
        (draft.kind, draft.body) = (v.kind.into(), content.body.clone());
        draft.checkpoint = checkpoint.map(|c| (c.height.get(), c.header.to_bytes()));
        (draft.sender, draft.sender_device) = (v.sender.array(), v.sender_device.array());
        (draft.recipient, draft.recipient_device) = (v.recipient.array(), v.recipient_device.array());
        (draft.seal_to, draft.signed_key) = (v.recipient_envelope_key.0.clone(), v.recipient_envelope_key.0);
        (draft.id, draft.randomness, draft.signer) = (v.message_id.array(), v.randomness.0, key.clone());
        (draft.expiry, draft.outer_expiry) = (v.expiry, v.expiry);
        (draft.info_network, draft.signed_network) = (network, network);
        assert_eq!(hex(draft.info()), v.info, "{name}");
        assert_eq!(hex(draft.aad()), v.aad, "{name}");
        assert_eq!(digest_if_long(draft.statement()), v.statement, "{name}");
        assert_eq!(hex(draft.signature()), v.signature, "{name}");
        assert_eq!(EnvelopeId::of(&draft.seal()), envelope.id(), "{name}");
    }
}

#[test]
fn the_vectors_of_refusal_are_refused() {
    let vectors: Vec<Refused> = serde_json::from_str(include_str!("../vectors/refused.json")).unwrap();
    let names: std::collections::BTreeSet<_> = vectors.iter().map(|v| (v.name.clone(), v.suite)).collect();
    for suite in Suite::ALL {
        for (name, _, _, attempt) in cases(suite) {
            assert!(
                names.contains(&(name.to_owned(), suite.id().get())) || attempt.envelope.len() > SHORT,
                "no vector for {name} of {suite:?}"
            );
        }
    }
    for v in vectors {
        let attempt = Attempt {
            envelope: v.envelope.0,
            network: NetworkId::from_bytes(v.network.array()),
            identity: IdentityId::from_bytes(v.recipient.array()),
            device: DeviceId::from_bytes(v.recipient_device.array()),
            keys: v
                .recipient_keys
                .iter()
                .map(|(suite, seed)| (suite_of(*suite), seed.array()))
                .collect(),
            now: UnixSeconds::new(v.now),
            sender_key: DeviceKey::from_bytes(v.sender_key.array()).unwrap(),
        };
        let (step, error) = attempt.run().expect_err(&v.name);
        let step = if step == Step::Open { "open" } else { "verify" };
        assert_eq!((step, name_of(error)), (v.step.as_str(), v.error), "{}", v.name);
    }
}
