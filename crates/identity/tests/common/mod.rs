//! Vectors and randomness for the tests.

pub mod replayed;
pub mod world;

use rand_core::SeedableRng;
use serde::de::DeserializeOwned;
use tokenim_identity::{
    DeviceSecrets, EnvelopeKey, Genesis, IdentityState, Phrase, Place, RecoveryShare, RootSigningKey,
};
use tokenim_wire::{Height, NetworkId, UnixMillis, hex};

pub const NETWORK: NetworkId = NetworkId::from_bytes([7; 32]);

/// Why a record that decodes is not taken, wherever heights only grow.
pub const REFUSALS: [&str; 24] = [
    "WrongNetwork",
    "WrongIdentity",
    "WrongSequence",
    "WrongPrevious",
    "Deactivated",
    "NotAllowed",
    "RecordsFull",
    "UnknownDevice",
    "DeviceRevoked",
    "WrongNextRoot",
    "NoRecovery",
    "RecoveryProof",
    "RecoveryThreshold",
    "DeviceExists",
    "DevicesFull",
    "NotAscending",
    "Outranked",
    "NothingPending",
    "NotDue",
    "LinkExists",
    "UnknownLink",
    "LinksFull",
    "Consent",
    "Signature",
];

/// The window of the tests' network, in milliseconds.
pub const WINDOW: u64 = 1_000;

/// A place in the tests' network.
pub fn place(height: u64, time: u64) -> Place<'static> {
    Place {
        network: &NETWORK,
        height: Height::new(height),
        time: UnixMillis::new(time),
        window_ms: WINDOW,
    }
}

/// A generator that repeats itself from run to run.
pub fn rng(seed: u64) -> rand_chacha::ChaCha20Rng {
    rand_chacha::ChaCha20Rng::seed_from_u64(seed)
}

/// The device of a number, the same each time.
pub fn device(number: u8) -> DeviceSecrets {
    DeviceSecrets::generate(&mut rng(1000 + u64::from(number)))
}

/// The root key of a number, without the work of making it from words.
pub fn root(number: u8) -> RootSigningKey {
    RootSigningKey::from_seed([number; 32])
}

/// A state after the genesis record, of root 0, with root 1 as the next.
pub fn identity() -> IdentityState {
    IdentityState::new(&Genesis::new(root(0).verifying_key(), &root(1).verifying_key()))
}

/// Recovery keys, the same each time for one number.
pub fn shares(threshold: u8, count: u8, number: u64) -> Vec<RecoveryShare> {
    RecoveryShare::generate(threshold, count, &mut rng(2000 + number)).unwrap()
}

/// An envelope key for the device of a number.
pub fn envelope(number: u8) -> EnvelopeKey {
    EnvelopeKey::x25519([number; 32])
}

/// A person, with the state after the genesis record.
pub fn person() -> (Phrase, IdentityState) {
    let phrase = Phrase::from_entropy(&[42; 32]);
    let state = IdentityState::new(&phrase.genesis());
    (phrase, state)
}

pub fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

pub fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

pub fn vectors<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

/// Which of the errors it is, without its numbers.
pub fn name(error: &impl core::fmt::Debug) -> String {
    format!("{error:?}").split([' ', '{', '(']).next().unwrap().to_owned()
}
