//! `tokenim status`.

use std::path::PathBuf;

use serde_json::json;
use tokenim_client::{Network, NetworkConfig, read_network};
use tokenim_rpc::NodeState;

use crate::args::{FolderArgs, NetworkArgs, StatusArgs};
use crate::error::{CliError, NETWORK};
use crate::init::NETWORK_FILE;
use crate::output::{self, line, short, table, utc};

/// A person's folder.
pub(crate) fn folder(args: &FolderArgs) -> Result<PathBuf, CliError> {
    if let Some(dir) = &args.dir {
        return Ok(dir.clone());
    }
    if let Some(dir) = std::env::var_os("TOKENIM_DIR").filter(|dir| !dir.is_empty()) {
        return Ok(dir.into());
    }
    std::env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .map(|home| home.join(".tokenim"))
        .ok_or_else(|| CliError::local("there is no home folder: name a folder with --dir or TOKENIM_DIR"))
}

/// The network that is meant.
pub(crate) fn network(args: &NetworkArgs) -> Result<NetworkConfig, CliError> {
    if let Some(path) = &args.network {
        return Ok(read_network(path)?);
    }
    let folder = folder(&args.folder)?;
    let path = folder.join(NETWORK_FILE);
    if !path.exists() {
        return Err(CliError::local(format!(
            "{} has no {NETWORK_FILE}: name the network's configuration with --network",
            folder.display()
        )));
    }
    Ok(read_network(&path)?)
}

pub(crate) async fn run(args: &StatusArgs) -> Result<(), CliError> {
    let network = Network::new(network(&args.network)?)?;
    // Without an answer the configured nodes are asked.
    let _ = network.refresh_nodes().await;
    let reports = network.status().await;
    let caught = network.take_caught();
    let highest = reports.iter().filter_map(|report| report.proved).max();
    let well = reports
        .iter()
        .filter(|report| matches!(&report.status, Ok(status) if status.state == NodeState::Ok))
        .count();
    if args.json {
        let nodes: Vec<_> = reports
            .iter()
            .map(|report| {
                let mut value = json!({
                    "node": report.node.to_string(),
                    "address": report.address,
                    "reachable": report.status.is_ok(),
                    "proved_height": report.proved.map(tokenim_wire::Height::get),
                });
                if let Some(object) = value.as_object_mut() {
                    match &report.status {
                        Ok(status) => {
                            object.insert("state".to_owned(), status.state.name().into());
                            object.insert("height".to_owned(), status.height.get().into());
                            object.insert("time_ms".to_owned(), status.time.get().into());
                            object.insert("peers".to_owned(), status.peers.into());
                            object.insert("validator".to_owned(), status.validator.into());
                            object.insert("envelopes".to_owned(), status.envelopes.into());
                            object.insert("bytes".to_owned(), status.bytes.into());
                            object.insert("software".to_owned(), status.software.as_str().into());
                        }
                        Err(error) => {
                            object.insert("error".to_owned(), error.as_str().into());
                        }
                    }
                }
                value
            })
            .collect();
        let caught: Vec<_> = caught
            .iter()
            .map(|caught| json!({ "node": caught.node.to_string(), "fault": caught.fault.to_string() }))
            .collect();
        output::json(&json!({
            "name": network.config().name(),
            "network": network.id().to_string(),
            "proved_height": highest.map(tokenim_wire::Height::get),
            "nodes_ok": well,
            "nodes": nodes,
            "caught": caught,
        }))?;
    } else {
        line(format!("network {} ({})", network.config().name(), short(network.id())))?;
        let mut rows = vec![
            [
                "node",
                "address",
                "state",
                "height",
                "proved",
                "time",
                "peers",
                "envelopes",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        for report in &reports {
            let mut row = vec![short(&report.node), report.address.clone()];
            match &report.status {
                Ok(status) => row.extend([
                    status.state.name().to_owned(),
                    status.height.to_string(),
                    report
                        .proved
                        .map_or_else(|| "no".to_owned(), |height| height.to_string()),
                    utc(status.time.get()),
                    status.peers.to_string(),
                    status.envelopes.to_string(),
                ]),
                Err(error) => row.push(error.clone()),
            }
            rows.push(row);
        }
        line(table(&rows))?;
        for caught in &caught {
            line(format!("node {}: {}", short(&caught.node), caught.fault))?;
        }
    }
    network.close().await;
    if highest.is_none() {
        return Err(CliError::new(
            NETWORK,
            "no node proved a final block: check the connection and that enough nodes are running",
        ));
    }
    let quorum = network.config().validators().quorum();
    if well < quorum {
        return Err(CliError::new(
            NETWORK,
            format!("only {well} nodes are well and {quorum} are needed: start the others"),
        ));
    }
    Ok(())
}
