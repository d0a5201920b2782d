//! A small client of your own on the crates, without `tokenim-client`: asks every node of a network for the node set and
//! for an identity, and believes none of them without a proof.
//!
//! `cargo run --package tokenim-examples --example custom_client -- genesis.tim [tim1…]`

use std::{env, error::Error, fs, time::Duration};
use tokenim_identity::IdentityId;
use tokenim_ledger::{GenesisNode, LightClient, NetworkConfig};
use tokenim_rpc::{Request, Response, encode_call};
use tokenim_transport::{Bytes, Connection as _, Limits, PeerId, SendStream as _, Transport as _, recv_frame};
use tokenim_transport_quic::QuicTransport;
use tokenim_wire::{Object as _, UnixMillis, limits::FRAME_BYTES_MAX};

const PATIENCE: Duration = Duration::from_secs(5);
const AGE_MAX: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("name the network's genesis.tim, and an identity if you like")?;
    let identity: Option<IdentityId> = arguments.next().map(|text| text.parse()).transpose()?;

    // All trust comes from this file: it names the validators.
    let network = NetworkConfig::from_bytes(&fs::read(path)?)?;
    let light = LightClient::new(&network)?;
    // A fresh key: nodes see a stranger at every start.
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut())?;
    let transport = QuicTransport::dial_only(seed, Limits::reference())?;

    for node in network.nodes() {
        let address = node.address.as_str();
        match tokio::time::timeout(PATIENCE, ask(&transport, &light, node, identity.as_ref())).await {
            Ok(Ok(line)) => println!("{address}: {line}"),
            Ok(Err(error)) => println!("{address}: {error}"),
            Err(_) => println!("{address}: no answer within {} s", PATIENCE.as_secs()),
        }
    }
    Ok(())
}

async fn ask(
    transport: &QuicTransport,
    light: &LightClient,
    node: &GenesisNode,
    identity: Option<&IdentityId>,
) -> Result<String, Box<dyn Error>> {
    // The dial fails unless the other end proves that it holds this node's key.
    let connection = transport.dial(PeerId::from(node.key), node.address.as_str()).await?;
    let call = async |request: &Request| -> Result<Response, Box<dyn Error>> {
        let (mut send, mut recv) = connection.open().await?;
        send.write(Bytes::from(encode_call(light.network(), request)?)).await?;
        send.finish()?;
        let frame = recv_frame(&mut recv, FRAME_BYTES_MAX)
            .await?
            .ok_or("the node ended the stream")?;
        Ok(Response::from_bytes(&frame)?)
    };

    let now = UnixMillis::new(u64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_millis())?);
    let proof = call(&Request::NodeSet).await?.into_node_set()?;
    let (header, set) = light.verify_node_set(&proof, Some((now, AGE_MAX)))?;
    let mut line = format!("{} nodes, proved at block {}", set.len(), header.height);
    if let Some(identity) = identity {
        let proof = call(&Request::Lookup { identity: *identity }).await?.into_lookup()?;
        let (_, state) = light.verify_identity(identity, &proof, Some((now, AGE_MAX)))?;
        line += &match state {
            Some(state) => format!("; the identity has {} active devices", state.active_devices().count()),
            None => "; there is no such identity, which is proved too".to_owned(),
        };
    }
    connection.close(0);
    Ok(line)
}
