//! Nodes inside a program of yours: three of them on loopback, two people, one message.
//!
//! Three nodes agree and keep copies, but none of them may lie: that takes four.

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use std::{error::Error, net::UdpSocket, path::Path, time::Duration};
use tokenim_client::{Argon2Cost, Client, Content};
use tokenim_consensus::{Validator, ValidatorSet};
use tokenim_ledger::{GenesisNode, LedgerLimits, NetworkConfig};
use tokenim_mailbox::Quorum;
use tokenim_node::{Folder, InitOptions, Node, init, join};
use tokenim_wire::{BoundedString, UnixMillis};

const NODES: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;

    // A network is its validators and its first nodes; its id is the hash of that.
    let network = make_network(folder.path())?;
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let dir = folder.path().join(format!("node-{number}"));
        nodes.push(Node::start(Folder::open(&dir, None)?).await?);
    }
    for node in &nodes {
        node.ready().await?;
    }
    let quorum = Quorum::for_nodes(NODES);
    println!(
        "{NODES} nodes are ready; {} of them keep a copy before a message counts as accepted.",
        quorum.write
    );

    let person = |name: &str| {
        Client::create(
            &folder.path().join(name),
            network.clone(),
            b"a passphrase",
            Argon2Cost::MINIMUM,
        )
    };
    let (ada, _words) = person("ada")?;
    let (ben, _words) = person("ben")?;
    ada.register().await?;
    ben.register().await?;

    let report = ada.send(&ben.identity(), Content::text("Grüße, 你好")).await?;
    let proofs = ada.proofs(&report.message, Duration::from_secs(30)).await?;
    for received in ben.receive().await?.received {
        println!("Ben reads {:?}.", String::from_utf8_lossy(&received.message.body));
    }
    for proof in proofs {
        let accepted = ada.network().light_client().verify_acceptance(&proof)?;
        println!("It was accepted in block {}.", accepted.height);
    }

    ada.close().await;
    ben.close().await;
    for node in nodes {
        node.stop().await?;
    }
    Ok(())
}

fn make_network(folder: &Path) -> Result<NetworkConfig, Box<dyn Error>> {
    let mut rng = ChaCha20Rng::from_seed(seed()?);
    // Held until all are chosen, so that no two nodes get the same port.
    let sockets = (0..NODES)
        .map(|_| UdpSocket::bind("127.0.0.1:0"))
        .collect::<Result<Vec<_>, _>>()?;
    let (mut validators, mut genesis) = (Vec::new(), Vec::new());
    for (number, socket) in sockets.iter().enumerate() {
        let listen = socket.local_addr()?;
        let options = InitOptions {
            listen,
            http: None,
            ..InitOptions::default()
        };
        let key = init(&folder.join(format!("node-{number}")), &options, &mut rng)?;
        validators.push(Validator::new(key));
        let address = BoundedString::try_from(listen.to_string())?;
        genesis.push(GenesisNode { key, address });
    }
    let now = UnixMillis::new(u64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_millis())?);
    let network = NetworkConfig::new(
        "example",
        now,
        ValidatorSet::new(validators)?,
        genesis,
        LedgerLimits::default(),
    )?;
    for number in 0..NODES {
        join(&folder.join(format!("node-{number}")), &network)?;
    }
    Ok(network)
}

fn seed() -> Result<[u8; 32], getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}
