//! The light client alone: checks an acceptance proof from a file, with nothing but the network's configuration.
//!
//! `cargo run --package tokenim-examples --example verify_proof -- genesis.tim proof.tim`

use std::{env, error::Error, fs};
use tokenim_ledger::{AcceptanceProof, LightClient, NetworkConfig};
use tokenim_wire::Object as _;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [network, proof] = arguments.as_slice() else {
        return Err(
            "name two files: the network's genesis.tim, and a proof as `tokenim receipt --out` writes it".into(),
        );
    };
    let network = NetworkConfig::from_bytes(&fs::read(network)?)?;
    let light = LightClient::new(&network)?;
    let bytes = fs::read(proof)?;
    let proof = AcceptanceProof::from_bytes(&bytes)?;

    let accepted = light.verify_acceptance(&proof)?;
    println!("The proof of {} bytes holds.", bytes.len());
    println!(
        "Envelope {} was accepted by {} nodes",
        accepted.envelope,
        accepted.issuers.len()
    );
    println!("and is in block {} of network {}.", accepted.height, light.network());
    Ok(())
}
