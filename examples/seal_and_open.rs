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
    Checkpoint, Content, EnvelopeSecretKey, MessageId, OpenError, Opened, Opener, Recipient, ReplayCache, ReplayError,
    Sender, Suite, open, seal,
};
use tokenim_identity::{CryptoRng, DeviceSecrets, IdentityState, Phrase, Place, SignedRecord};
use tokenim_wire::{Digest, Height, NetworkId, UnixMillis, UnixSeconds};

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
        let key = EnvelopeSecretKey::from_seed(Suite::XWing, &device.envelope_seed);
        let empty = IdentityState::new(&phrase.genesis());
        let record = SignedRecord::add_device(network, &empty, &phrase.root_key(0), &device, key.public().clone())?;
        let place = Place {
            network,
            height,
            time: UnixMillis::ZERO,
            window_ms: 0,
        };
        let state = empty.apply(&place, &record)?;
        Ok(Self { state, device, key })
    }

    fn sender(&self) -> Sender<'_> {
        Sender {
            identity: self.state.id,
            device: self.device.device_id(),
            key: &self.device.signing,
        }
    }

    /// Opens with the device's one key; one that changes its key would try the old one too until it is deleted.
    fn open(&self, network: NetworkId, bytes: &[u8], now: UnixSeconds) -> Result<Opened, OpenError> {
        let opener = Opener {
            network,
            identity: self.state.id,
            device: self.device.device_id(),
            keys: &[&self.key],
        };
        open(&opener, bytes, now)
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
    // The newest header that she knows: if Bob is shown another ledger, he finds out.
    let newest = Checkpoint {
        height,
        header: Digest::from_bytes([9; 32]),
    };
    let envelope = seal(
        &network,
        &alice.sender(),
        &recipient,
        id,
        expiry,
        Some(newest),
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
    let opened = bob.open(network, envelope.as_bytes(), now)?;
    let (claimed, _) = opened.sender();
    println!("\nBob opens it. It claims to be from {claimed}.");

    // He looks that identity up, and the signature has to be that of one of its devices.
    let message = opened.verify_for(&alice.state, height)?;
    let mut seen = ReplayCache::new();
    seen.admit(&message, now)?;
    println!("Alice's device did sign it, for him and in this network. It says:");
    println!("    {}", message.content.as_text().ok_or("not a text")?);
    let seen_by_alice = message.checkpoint.ok_or("no checkpoint")?;
    println!(
        "    (and that the newest header she knows has height {})",
        seen_by_alice.height
    );

    // The same envelope once more.
    let again = bob
        .open(network, envelope.as_bytes(), now)?
        .verify_for(&alice.state, height)?;
    match seen.admit(&again, now) {
        Err(ReplayError::Replayed) => println!(
            "\nThe same envelope again: {}, so it is dropped.",
            ReplayError::Replayed
        ),
        other => return Err(format!("a repetition must be noticed, not {other:?}").into()),
    }

    // An honest envelope in the older suite, to a key that Bob once had: someone would like to read it in thirty years.
    let older = EnvelopeSecretKey::from_seed(Suite::X25519, &bob.device.envelope_seed);
    let weak = Recipient {
        key: older.public().clone(),
        ..recipient.clone()
    };
    let content = Content::text(text);
    let weak = seal(&network, &alice.sender(), &weak, id, expiry, None, &content, &mut rng)?;
    let opener = Opener {
        network,
        identity: bob.state.id,
        device: bob.device.device_id(),
        keys: &[&bob.key, &older],
    };
    match open(&opener, weak.as_bytes(), now) {
        Err(error @ OpenError::OtherSuite(_)) => println!("In a weaker suite than Bob's: {error}."),
        other => return Err(format!("a weaker suite must be refused, not {other:?}").into()),
    }

    // A copy in which one bit differs.
    let mut tampered = envelope.as_bytes().to_vec();
    if let Some(byte) = tampered.get_mut(300) {
        *byte ^= 1;
    }
    expect_refusal("A copy with one bit changed", bob.open(network, &tampered, now).err())?;

    // Someone else, and another network.
    let for_carol = carol.open(network, envelope.as_bytes(), now).err();
    expect_refusal("Carol, to whom it was not sealed", for_carol)?;
    let elsewhere = bob.open(NetworkId::from_bytes([2; 32]), envelope.as_bytes(), now).err();
    expect_refusal("Bob in another network", elsewhere)?;

    // Carol's word that it was hers.
    let not_carols = bob
        .open(network, envelope.as_bytes(), now)?
        .verify_for(&carol.state, height);
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
