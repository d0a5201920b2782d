//! The envelope alone: two people, one sealed message, and what happens to copies of it that are not what they seem.
//!
//! ```text
//! cargo run --package tokenim-examples --example seal_and_open
//! ```
//!
//! No network, no node, no clock: time and randomness are given, so that it prints the same every time.

use std::error::Error;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tokenim_envelope::{
    Content, EnvelopeSecretKey, MessageId, OpenError, Opener, Recipient, ReplayCache, ReplayError, Sender, open, seal,
};
use tokenim_identity::{CryptoRng, DeviceSecrets, IdentityState, Phrase, SignedRecord};
use tokenim_wire::{Height, NetworkId, UnixSeconds};

/// Someone with one device, and what the ledger would show of them.
struct Person {
    state: IdentityState,
    device: DeviceSecrets,
    key: EnvelopeSecretKey,
}

impl Person {
    /// Makes the words, the name that follows from them, and the record by which the root adds the device.
    fn new(network: &NetworkId, height: Height, rng: &mut impl CryptoRng) -> Result<Self, Box<dyn Error>> {
        let phrase = Phrase::generate(rng);
        let device = DeviceSecrets::generate(rng);
        let key = EnvelopeSecretKey::from_seed(&device.envelope_seed);
        let empty = IdentityState::new(&phrase.genesis());
        let record = SignedRecord::add_device(network, &empty, &phrase.root_key(0), &device, key.public().clone())?;
        let state = empty.apply(network, &record, height)?;
        Ok(Self { state, device, key })
    }

    fn sender(&self) -> Sender<'_> {
        Sender {
            identity: self.state.id,
            device: self.device.device_id(),
            key: &self.device.signing,
        }
    }

    fn opener(&self, network: NetworkId) -> Opener<'_> {
        Opener {
            network,
            identity: self.state.id,
            device: self.device.device_id(),
            key: &self.key,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // In earnest: the system's generator, the network's id, a proven height and the time of day.
    let mut rng = ChaCha20Rng::from_seed([42; 32]);
    let network = NetworkId::from_bytes([1; 32]);
    let height = Height::new(1);
    let (now, expiry) = (UnixSeconds::new(1_800_000_000), UnixSeconds::new(1_800_086_400));

    let alice = Person::new(&network, height, &mut rng)?;
    let bob = Person::new(&network, height, &mut rng)?;
    let carol = Person::new(&network, height, &mut rng)?;
    println!("Alice is {}", alice.state.id);
    println!("Bob is   {}", bob.state.id);

    // Alice looked Bob up: his state names his device and its envelope key.
    let bobs_device = bob.state.active_devices().next().ok_or("Bob has no device")?;
    let recipient = Recipient::new(bob.state.id, &bobs_device.keys);
    let text = "Shall we meet at the bridge at eight? 橋のところで";
    let id = MessageId::generate(&mut rng);
    let envelope = seal(
        &network,
        &alice.sender(),
        &recipient,
        id,
        expiry,
        &Content::text(text),
        &mut rng,
    )?;
    println!(
        "\nAlice seals {} bytes of text into an envelope of {} bytes, {}.",
        text.len(),
        envelope.as_bytes().len(),
        envelope.id(),
    );
    println!("It shows its suite, when it expires, and a length that fits many texts; not from whom, nor to whom.");

    // Bob decrypts it. So far someone only claims to be Alice, and the content can't be reached.
    let opened = open(&bob.opener(network), envelope.as_bytes(), now)?;
    let (claimed, _) = opened.sender();
    println!("\nBob opens it. It claims to be from {claimed}.");

    // He looks that identity up, and the signature has to be that of one of its devices.
    let message = opened.verify_for(&alice.state, height)?;
    let mut seen = ReplayCache::new();
    seen.admit(&message, now)?;
    println!("Alice's device did sign it, for him and in this network. It says:");
    println!("    {}", message.content.as_text().ok_or("not a text")?);

    // The same envelope once more.
    let again = open(&bob.opener(network), envelope.as_bytes(), now)?.verify_for(&alice.state, height)?;
    match seen.admit(&again, now) {
        Err(ReplayError::Replayed) => println!(
            "\nThe same envelope again: {}, so it is dropped.",
            ReplayError::Replayed
        ),
        other => return Err(format!("a repetition must be noticed, not {other:?}").into()),
    }

    // A copy in which one bit differs.
    let mut tampered = envelope.as_bytes().to_vec();
    if let Some(byte) = tampered.get_mut(300) {
        *byte ^= 1;
    }
    expect_refusal(
        "A copy with one bit changed",
        open(&bob.opener(network), &tampered, now).err(),
    )?;

    // Someone else, and another network.
    let for_carol = open(&carol.opener(network), envelope.as_bytes(), now).err();
    expect_refusal("Carol, to whom it was not sealed", for_carol)?;
    let elsewhere = open(&bob.opener(NetworkId::from_bytes([2; 32])), envelope.as_bytes(), now).err();
    expect_refusal("Bob in another network", elsewhere)?;

    // Carol's word that it was hers.
    let not_carols = open(&bob.opener(network), envelope.as_bytes(), now)?.verify_for(&carol.state, height);
    expect_refusal("Carol, who says that she sent it", not_carols.err())?;
    Ok(())
}

/// Prints the refusal; anything else ends the example with an error.
fn expect_refusal(who: &str, error: Option<OpenError>) -> Result<(), Box<dyn Error>> {
    match error {
        Some(OpenError::Refused) => {
            println!("{who}: {}.", OpenError::Refused);
            Ok(())
        }
        other => Err(format!("{who} must be refused, not {other:?}").into()),
    }
}
