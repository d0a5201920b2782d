//! `tokenim devnet`: a network that stays up.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::args::DevnetArgs;
use crate::error::CliError;
use crate::fleet::{self, Fleet};
use crate::init::NETWORK_FILE;
use crate::output::{self, line, remark};
use crate::signals;

/// How long the nodes may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// How often the processes are looked at.
const WATCH_EVERY: Duration = Duration::from_millis(250);
/// A node that lives shorter than this is not started again and again.
const SHORT_LIFE: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &DevnetArgs) -> Result<(), CliError> {
    let started = Instant::now();
    if !args.dir.join(NETWORK_FILE).exists() {
        fleet::lay_out(
            &args.dir,
            "devnet",
            &fleet::free_ports(args.nodes)?,
            args.window.limits(),
        )?;
    }
    let mut fleet = Fleet::open(&args.dir)?;
    let outcome = tokio::select! {
        outcome = keep(args, &mut fleet, started) => outcome,
        () = signals::stopped() => Ok(()),
    };
    if outcome.is_ok() {
        remark("Stopping the nodes …");
    }
    fleet.stop(true).await;
    outcome
}

async fn keep(args: &DevnetArgs, fleet: &mut Fleet, started: Instant) -> Result<(), CliError> {
    fleet.start()?;
    fleet.ready(READY_PATIENCE).await?;
    let dir = args.dir.canonicalize().unwrap_or_else(|_| args.dir.clone());
    let network = dir.join(NETWORK_FILE);
    if args.json {
        let nodes: Vec<_> = fleet
            .nodes
            .iter()
            .map(|node| json!({ "node": node.key.to_string(), "address": node.address, "http": node.http }))
            .collect();
        output::json(&json!({
            "network": network,
            "nodes": nodes,
            "start_ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }))?;
    } else {
        for node in &fleet.nodes {
            let http = node
                .http
                .map(|http| format!("  http://{http}/health"))
                .unwrap_or_default();
            line(format!(
                "node {}  {}  {}{http}",
                node.number,
                output::short(&node.key),
                node.address
            ))?;
        }
        if fleet.nodes.len() < 4 {
            line("With fewer than four nodes, none of them may fail or lie.")?;
        }
        line(format!(
            "\
Ready after {:.1} s. In a second terminal:

  export TOKENIM_PASSPHRASE=anna TOKENIM_DIR={dir}/anna
  tokenim id new --network {network}
  tokenim inbox --follow

And in a third one:

  export TOKENIM_PASSPHRASE=bert TOKENIM_DIR={dir}/bert
  tokenim id new --network {network}
  tokenim send IDENTITY-OF-ANNA 'good morning' --proof
  tokenim receipt MESSAGE --out message.proof
  tokenim verify message.proof

Ctrl-C stops the nodes; the same command starts them again with all they hold.",
            started.elapsed().as_secs_f64(),
            dir = dir.display(),
            network = network.display(),
        ))?;
    }
    let mut since = vec![Instant::now(); fleet.nodes.len()];
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        for (node, since) in fleet.nodes.iter_mut().zip(&mut since) {
            if let Some(how) = node.ended() {
                if since.elapsed() < SHORT_LIFE {
                    return Err(CliError::new(
                        crate::error::FAILED,
                        format!(
                            "node {} {how} right after its start: {}",
                            node.number,
                            node.last_words()
                        ),
                    ));
                }
                remark(format!("node {} {how}; starting it again", node.number));
                node.start()?;
                *since = Instant::now();
            }
        }
    }
}
