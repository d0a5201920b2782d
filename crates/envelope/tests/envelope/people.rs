//! Two people with one device each, and the network they share.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tokenim_envelope::rand_core::{Infallible, TryCryptoRng, TryRng};
use tokenim_envelope::{Content, EnvelopeSecretKey, MessageId, Opener, Recipient, Sender};
use tokenim_identity::{DeviceId, DeviceSecrets, Genesis, IdentityId, IdentityState, RootSigningKey, SignedRecord};
use tokenim_wire::{Height, NetworkId, UnixSeconds};

pub const NETWORK: NetworkId = NetworkId::from_bytes([0x4e; 32]);
pub const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);
pub const EXPIRY: UnixSeconds = UnixSeconds::new(1_800_000_000 + 86_400);
pub const ID: MessageId = MessageId::from_bytes([0x1d; 16]);
/// The height at which everybody's device was added.
pub const ADDED: Height = Height::new(10);

pub struct Person {
    pub identity: IdentityId,
    pub device: DeviceId,
    pub secrets: DeviceSecrets,
    pub key: EnvelopeSecretKey,
    pub root: RootSigningKey,
    pub state: IdentityState,
}

impl Person {
    pub fn new(seed: u8) -> Self {
        let mut rng = rng(seed);
        let root = RootSigningKey::generate(&mut rng);
        let next = RootSigningKey::generate(&mut rng);
        let genesis = Genesis::new(root.verifying_key(), &next.verifying_key());
        let secrets = DeviceSecrets::generate(&mut rng);
        let key = EnvelopeSecretKey::from_seed(&secrets.envelope_seed);
        let empty = IdentityState::new(&genesis);
        let record = SignedRecord::add_device(&NETWORK, &empty, &root, &secrets, key.public().clone()).unwrap();
        let state = empty.apply(&NETWORK, &record, ADDED).unwrap();
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

    pub fn opener(&self) -> Opener<'_> {
        Opener {
            network: NETWORK,
            identity: self.identity,
            device: self.device,
            key: &self.key,
        }
    }
}

pub fn alice() -> Person {
    Person::new(1)
}

pub fn bob() -> Person {
    Person::new(2)
}

pub fn mallory() -> Person {
    Person::new(3)
}

pub fn text() -> Content {
    Content::text("Wer reitet so spät durch Nacht und Wind? 風と共に")
}

pub fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// A generator that gives 32 given bytes, once.
pub struct Once(pub Option<[u8; 32]>);

impl TryRng for Once {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("only 32 bytes at once are drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("only 32 bytes at once are drawn")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0.take().expect("drawn once"));
        Ok(())
    }
}

impl TryCryptoRng for Once {}
