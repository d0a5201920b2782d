//! Two people with one device each, and the network they share.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tokenim_envelope::rand_core::{CryptoRng, Infallible, TryCryptoRng, TryRng};
use tokenim_envelope::{
    Checkpoint, Content, EnvelopeSecretKey, MessageId, OpenError, Opened, Opener, Recipient, SealError, SealedEnvelope,
    Sender, Suite, open, seal,
};
use tokenim_identity::{
    DeviceId, DeviceSecrets, Genesis, IdentityId, IdentityState, Place, RootSigningKey, SignedRecord,
};
use tokenim_wire::{Digest, Height, NetworkId, UnixMillis, UnixSeconds};

pub const NETWORK: NetworkId = NetworkId::from_bytes([0x4e; 32]);
pub const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
pub const EXPIRY: UnixSeconds = UnixSeconds::new(1_800_000_000 + 86_400);
pub const ID: MessageId = MessageId::from_bytes([0x1d; 16]);
/// The height at which everybody's device was added.
pub const ADDED: Height = Height::new(10);
/// The header that Alice knows.
pub const CHECKPOINT: Checkpoint = Checkpoint {
    height: Height::new(1_000_000),
    header: Digest::from_bytes([0xc4; 32]),
};

pub struct Person {
    pub identity: IdentityId,
    pub device: DeviceId,
    pub secrets: DeviceSecrets,
    pub key: EnvelopeSecretKey,
    pub root: RootSigningKey,
    pub state: IdentityState,
}

impl Person {
    pub fn new(seed: u8, suite: Suite) -> Self {
        let mut rng = rng(seed);
        let root = RootSigningKey::generate(&mut rng);
        let next = RootSigningKey::generate(&mut rng);
        let genesis = Genesis::new(root.verifying_key(), &next.verifying_key());
        let secrets = DeviceSecrets::generate(&mut rng);
        let key = EnvelopeSecretKey::from_seed(suite, &secrets.envelope_seed);
        let empty = IdentityState::new(&genesis);
        let record = SignedRecord::add_device(&NETWORK, &empty, &root, &secrets, key.public().clone()).unwrap();
        let state = empty.apply(&place(ADDED), &record).unwrap();
        Self {
            identity: genesis.id(),
            device: secrets.device_id(),
            secrets,
            key,
            root,
            state,
        }
    }

    pub fn sender(&self) -> Sender<'_> {
        Sender {
            identity: self.identity,
            device: self.device,
            key: &self.secrets.signing,
        }
    }

    pub fn recipient(&self) -> Recipient {
        Recipient::new(self.identity, &self.state.device(&self.device).unwrap().keys)
    }

    /// Seals a message of id [`ID`] and expiry [`EXPIRY`].
    pub fn seal_to(
        &self,
        to: &Recipient,
        content: &Content,
        rng: &mut impl CryptoRng,
    ) -> Result<SealedEnvelope, SealError> {
        let checkpoint = Some(CHECKPOINT);
        seal(&NETWORK, &self.sender(), to, ID, EXPIRY, checkpoint, content, rng)
    }

    /// Opens with the device's one key.
    pub fn open(&self, envelope: impl AsRef<[u8]>) -> Result<Opened, OpenError> {
        open(&self.opener(&[&self.key]), envelope.as_ref(), NOW)
    }

    pub fn opener<'a>(&self, keys: &'a [&'a EnvelopeSecretKey]) -> Opener<'a> {
        Opener {
            network: NETWORK,
            identity: self.identity,
            device: self.device,
            keys,
        }
    }
}

/// A block at this height; nothing here depends on its time.
pub fn place(height: Height) -> Place<'static> {
    Place {
        network: &NETWORK,
        height,
        time: UnixMillis::ZERO,
        window_ms: 0,
    }
}

/// Alice sends. Her own envelope key is never used.
pub fn alice() -> Person {
    Person::new(1, Suite::X25519)
}

pub fn bob(suite: Suite) -> Person {
    Person::new(2, suite)
}

pub fn mallory(suite: Suite) -> Person {
    Person::new(3, suite)
}

pub fn text() -> Content {
    Content::text("Wer reitet so spät durch Nacht und Wind? 風と共に")
}

pub fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// The randomness of the ephemeral key, as much as the suite draws.
pub fn randomness(suite: Suite) -> Vec<u8> {
    vec![0xe5; if suite == Suite::X25519 { 32 } else { 64 }]
}

/// A generator that gives these bytes, once.
pub struct Once(pub Option<Vec<u8>>);

impl TryRng for Once {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("only bytes are drawn, all at once")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("only bytes are drawn, all at once")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0.take().expect("drawn once"));
        Ok(())
    }
}

impl TryCryptoRng for Once {}
