//! Judges the committed vectors with the protocol crates, and seals and opens an envelope. `.ci/wasm` builds it for
//! `wasm32-unknown-unknown` and runs it in node, with nothing imported: no clock, no randomness, no way to print.
//!
//! So its exit code says it all: 0, or which of [`CHECKS`] failed, counted from 1. Outside of WebAssembly it says why.

use std::error::Error;
use std::process::ExitCode;

use rand_core::{Infallible, TryCryptoRng, TryRng};
use serde_json::Value;
use tokenim_conversation::{Body, EpochKeys, GroupContext, link::LinkCode};
use tokenim_envelope::{
    Content, ContentKind, EnvelopeSecretKey, MessageId, OpenError, Opener, Recipient, ReplayCache, ReplayError, Sender,
    Suite, hpke, open, seal,
};
use tokenim_identity::{DeviceId, DeviceSecrets, DeviceSigningKey, IdentityId, SuiteId};
use tokenim_ledger::{AcceptanceProof, LightClient, LookupProof, NetworkConfig, StateKey};
use tokenim_rpc::{Request, Response, StreamHeader};
use tokenim_wallet::{LinkError, Opening, OpeningError};
use tokenim_wire::{NetworkId, Object, UnixSeconds, hex};

type Outcome = Result<(), Box<dyn Error>>;

type Check = fn() -> Outcome;

const CHECKS: &[(&str, Check)] = &[
    ("a message sealed, opened and taken once", round_trip),
    ("HPKE by the vectors", hpke_vectors),
    ("envelopes of the vectors", envelopes),
    ("acceptance proofs of the vectors", acceptance),
    ("look-up proofs of the vectors", lookups),
    ("calls and answers of the vectors", messages),
    ("links of the vectors", links),
    ("what conversations are made of, by the vectors", conversations),
];

fn main() -> ExitCode {
    for (number, (name, check)) in (1_u8..).zip(CHECKS) {
        if let Err(error) = check() {
            println!("{name}: {error}");
            return ExitCode::from(number);
        }
    }
    println!("{} checks passed", CHECKS.len());
    ExitCode::SUCCESS
}

/// Bytes that the caller brings, in their order, over and over.
struct Given<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl<'a> Given<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.iter().cycle())
    }
}

impl TryRng for Given<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for (byte, given) in out.iter_mut().zip(&mut self.0) {
            *byte = *given;
        }
        Ok(())
    }
}

impl TryCryptoRng for Given<'_> {}

/// An error unless it holds.
fn hold(what: &str, holds: bool) -> Outcome {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// A file of vectors.
macro_rules! vectors {
    ($path:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../../crates/", $path)))?
    };
}

fn list(value: &Value) -> Result<&[Value], String> {
    Ok(value.as_array().ok_or("no list")?)
}

fn cases<'a>(vectors: &'a Value, field: &str) -> Result<&'a [Value], String> {
    list(vectors.get(field).unwrap_or(&Value::Null))
}

fn text<'a>(case: &'a Value, field: &str) -> Result<&'a str, String> {
    let value = case.get(field).and_then(Value::as_str);
    value.ok_or_else(|| format!("no {field}"))
}

fn number(case: &Value, field: &str) -> Result<u64, String> {
    let value = case.get(field).and_then(Value::as_u64);
    value.ok_or_else(|| format!("no {field}"))
}

fn bytes(case: &Value, field: &str) -> Result<Vec<u8>, String> {
    hex::decode(text(case, field)?).ok_or_else(|| format!("{field} is not hexadecimal"))
}

fn array<const N: usize>(case: &Value, field: &str) -> Result<[u8; N], String> {
    let bytes = bytes(case, field)?;
    bytes.try_into().map_err(|_| format!("{field} has another length"))
}

/// Whether a verdict is the one of a vector: no error, or the error of that name.
fn judged<T, E: core::fmt::Debug>(case: &Value, verdict: &Result<T, E>) -> Result<(), String> {
    let error = verdict.as_ref().err().map(|error| format!("{error:?}"));
    let expected = case.get("error").and_then(Value::as_str);
    if error.as_deref() == expected {
        Ok(())
    } else {
        Err(format!("{}: {error:?}, not {expected:?}", text(case, "name")?))
    }
}

fn round_trip() -> Outcome {
    let network = NetworkId::from_bytes([1; 32]);
    let (now, expiry) = (UnixSeconds::new(1_800_000_000), UnixSeconds::new(1_800_086_400));
    let mut rng = Given::new(b"bytes that a page has from its browser; here always the same ones");
    let (from, to) = (DeviceSecrets::generate(&mut rng), DeviceSecrets::generate(&mut rng));
    let (sender, recipient) = (IdentityId::from_bytes([2; 32]), IdentityId::from_bytes([3; 32]));
    for suite in Suite::ALL {
        let key = EnvelopeSecretKey::from_seed(suite, &to.envelope_seed);
        let envelope = seal(
            &network,
            &Sender {
                identity: sender,
                device: from.device_id(),
                key: &from.signing,
            },
            &Recipient {
                identity: recipient,
                device: to.device_id(),
                key: key.public().clone(),
            },
            MessageId::generate(&mut rng),
            expiry,
            None,
            &Content::text("橋のところで"),
            &mut rng,
        )?;
        let opener = Opener {
            network,
            identity: recipient,
            device: to.device_id(),
            keys: &[&key],
        };
        let signer = from.signing.verifying_key();
        let message = open(&opener, envelope.as_bytes(), now)?.verify(&signer)?;
        hold("another text", message.content.as_text() == Some("橋のところで"))?;
        let mut seen = ReplayCache::new();
        seen.admit(&message, now)?;
        hold("taken twice", seen.admit(&message, now) == Err(ReplayError::Replayed))?;

        let mut changed = envelope.as_bytes().to_vec();
        if let Some(byte) = changed.last_mut() {
            *byte ^= 1;
        }
        let verdict = open(&opener, &changed, now).map(|_| ());
        hold("opened although changed", verdict == Err(OpenError::Refused))?;
    }
    Ok(())
}

fn suite(case: &Value) -> Result<Suite, Box<dyn Error>> {
    let number = SuiteId::new(u16::try_from(number(case, "suite")?)?);
    Ok(Suite::from_id(number).ok_or("an unknown suite")?)
}

/// Sealed again, byte for byte where the ciphertext stands there as a whole, and opened; then what is refused.
fn hpke_vectors() -> Outcome {
    for case in list(&vectors!("envelope/tests/vectors/hpke.json"))? {
        let suite = suite(case)?;
        let key = hpke::SecretKey::derive(suite, &bytes(case, "ikmR")?);
        hold("another secret key", *key.expose_bytes() == array(case, "skRm")?)?;
        hold(
            "another public key",
            key.public_key().as_bytes() == bytes(case, "pkRm")?,
        )?;
        let (info, aad) = (bytes(case, "info")?, bytes(case, "aad")?);
        let plaintext = match case.get("pt").is_some_and(Value::is_string) {
            true => bytes(case, "pt")?,
            false => vec![0; usize::try_from(number(case, "pt_zeros")?)?],
        };
        let randomness = bytes(case, "randomness")?;
        let made = hpke::seal(key.public_key(), &info, &aad, &plaintext, &mut Given::new(&randomness));
        let (enc, ciphertext) = made?;
        hold("another encapsulated key", enc.as_bytes() == bytes(case, "enc")?)?;
        if case.get("ct").is_some_and(Value::is_string) {
            hold("another ciphertext", ciphertext == bytes(case, "ct")?)?;
        }
        let opened = hpke::open(&key, &enc, &info, &aad, &ciphertext)?;
        hold("another plaintext", opened == plaintext)?;
    }
    for case in list(&vectors!("envelope/tests/vectors/hpke_refused.json"))? {
        let suite = suite(case)?;
        match text(case, "step")? {
            "key" => judged(case, &hpke::PublicKey::from_bytes(suite, &bytes(case, "key")?))?,
            "seal" => {
                let to = hpke::PublicKey::from_bytes(suite, &bytes(case, "key")?)?;
                judged(case, &hpke::seal(&to, b"", b"", b"", &mut Given::new(b"the same")))?;
            }
            _ => match hpke::Encapsulated::from_bytes(suite, &bytes(case, "enc")?) {
                Ok(enc) => {
                    let key = hpke::SecretKey::from_bytes(suite, &array(case, "secret")?);
                    let (info, aad, ct) = (bytes(case, "info")?, bytes(case, "aad")?, bytes(case, "ct")?);
                    judged(case, &hpke::open(&key, &enc, &info, &aad, &ct))?;
                }
                error => judged(case, &error)?,
            },
        }
    }
    Ok(())
}

/// Those that stand there as a whole, without a checkpoint: sealed again, byte for byte, and opened.
fn envelopes() -> Outcome {
    let vectors = vectors!("envelope/tests/vectors/sealed.json");
    for case in list(&vectors)? {
        if case.get("envelope").is_none_or(Value::is_null) || !case.get("checkpoint").is_none_or(Value::is_null) {
            continue;
        }
        let key = EnvelopeSecretKey::from_seed(suite(case)?, &array(case, "recipient_envelope_seed")?);
        let signing = DeviceSigningKey::from_seed(array(case, "sender_signing_seed")?);
        let network = NetworkId::from_bytes(array(case, "network")?);
        let recipient = IdentityId::from_bytes(array(case, "recipient")?);
        let device = DeviceId::from_bytes(array(case, "recipient_device")?);
        let expiry = UnixSeconds::new(number(case, "expiry")?);
        let body_byte = u8::try_from(number(case, "body_byte")?)?;
        let content = Content {
            kind: ContentKind::new(u16::try_from(number(case, "kind")?)?),
            body: vec![body_byte; usize::try_from(number(case, "body_bytes")?)?],
        };
        let sealed = seal(
            &network,
            &Sender {
                identity: IdentityId::from_bytes(array(case, "sender")?),
                device: DeviceId::from_bytes(array(case, "sender_device")?),
                key: &signing,
            },
            &Recipient {
                identity: recipient,
                device,
                key: key.public().clone(),
            },
            MessageId::from_bytes(array(case, "message_id")?),
            expiry,
            None,
            &content,
            &mut Given::new(&bytes(case, "randomness")?),
        )?;
        hold("another envelope", sealed.as_bytes() == bytes(case, "envelope")?)?;
        let opener = Opener {
            network,
            identity: recipient,
            device,
            keys: &[&key],
        };
        let opened = open(&opener, sealed.as_bytes(), expiry)?;
        let message = opened.verify(&signing.verifying_key())?;
        hold("another content", message.content == content)?;
    }
    Ok(())
}

fn acceptance() -> Outcome {
    let vectors = vectors!("ledger/tests/vectors/acceptance.json");
    let client = LightClient::new(&NetworkConfig::from_bytes(&bytes(&vectors, "config")?)?)?;
    for case in cases(&vectors, "cases")? {
        let proof = AcceptanceProof::from_bytes(&bytes(case, "proof")?)?;
        judged(case, &client.verify_acceptance(&proof))?;
    }
    Ok(())
}

fn lookups() -> Outcome {
    let vectors = vectors!("ledger/tests/vectors/lookup.json");
    let client = LightClient::new(&NetworkConfig::from_bytes(&bytes(&vectors, "config")?)?)?;
    for case in cases(&vectors, "cases")? {
        let key = StateKey::from_bytes(array(case, "key")?);
        let proof = LookupProof::from_bytes(&bytes(case, "proof")?)?;
        judged(case, &client.verify_value(&key, &proof, None))?;
    }
    Ok(())
}

fn messages() -> Outcome {
    fn again<T: Object>(data: &[u8]) -> Result<bool, Box<dyn Error>> {
        Ok(T::from_bytes(data)?.to_bytes()? == data)
    }
    for case in list(&vectors!("rpc/tests/vectors/messages.json"))? {
        let mut data = bytes(case, "bytes")?;
        let zeros = usize::try_from(number(case, "zeros")?)?;
        data.resize(data.len().saturating_add(zeros), 0);
        let same = match text(case, "object")? {
            "header" => again::<StreamHeader>(&data)?,
            "request" => again::<Request>(&data)?,
            _ => again::<Response>(&data)?,
        };
        hold("encoded differently", same)?;
    }
    Ok(())
}

/// Of every chain; sr25519 is a feature that is off here.
fn links() -> Outcome {
    for case in cases(&vectors!("wallet/tests/vectors/links.json"), "links")? {
        let opening = Opening::from_bytes(&bytes(case, "opening")?)?;
        let network = NetworkId::from_bytes(array(case, "network")?);
        let identity: IdentityId = text(case, "identity")?.parse()?;
        let commitment = opening.commitment()?;
        hold(
            "another commitment",
            commitment.to_string() == text(case, "commitment")?,
        )?;
        match opening.verify(&network, &identity, &[commitment]) {
            Ok(_) => {}
            Err(OpeningError::Link(LinkError::Unsupported)) if text(case, "name")?.contains("sr25519") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn conversations() -> Outcome {
    for case in cases(&vectors!("conversation/tests/vectors/bodies.json"), "bodies")? {
        let data = bytes(case, "bytes")?;
        hold("another body", *Body::decode(&data)?.encode()? == data)?;
    }
    for case in cases(&vectors!("conversation/tests/vectors/contexts.json"), "contexts")? {
        let data = bytes(case, "bytes")?;
        hold("another context", GroupContext::from_bytes(&data)?.to_bytes()? == data)?;
    }
    let wrapped = vectors!("conversation/tests/vectors/wrapped.json");
    let keys = EpochKeys::from_bytes(&bytes(&wrapped, "secret")?).ok_or("not the keys of an epoch")?;
    for case in cases(&wrapped, "good")? {
        let (message, nonce) = (bytes(case, "message")?, bytes(case, "nonce")?);
        let expiry = UnixSeconds::new(number(case, "expiry")?);
        let made = keys.wrap(&message, expiry, &mut Given::new(&nonce))?;
        hold("another envelope", made.as_bytes() == bytes(case, "envelope")?)?;
        hold("another message", *keys.unwrap(made.as_bytes())? == message)?;
    }
    for case in cases(&wrapped, "refused")? {
        hold("taken", keys.unwrap(&bytes(case, "envelope")?).is_err())?;
    }
    let links = vectors!("conversation/tests/vectors/links.json");
    let shown = text(&links, "code")?;
    hold("another code", shown.parse::<LinkCode>()?.to_string() == shown)
}
