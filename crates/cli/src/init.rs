//! `tokenim init`: networks and nodes' folders.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use tokenim_client::NetworkConfig;
use tokenim_consensus::{Validator, ValidatorSet};
use tokenim_identity::NodeKey;
use tokenim_ledger::{GenesisNode, LedgerLimits};
use tokenim_node::InitOptions;
use tokenim_wire::limits::ADDRESS_BYTES_MAX;
use tokenim_wire::{BoundedString, Object as _, UnixMillis};

use crate::args::{InitArgs, InitCommand};
use crate::error::{CliError, USAGE};
use crate::{fleet, output, secret};

/// The file with a network's configuration.
pub(crate) const NETWORK_FILE: &str = "genesis.tim";

pub(crate) fn run(args: &InitArgs) -> Result<(), CliError> {
    match &args.what {
        InitCommand::Local {
            dir,
            nodes,
            name,
            first_port,
            window,
        } => {
            let places = match first_port {
                Some(first) => fleet::ports_from(*first, *nodes)?,
                None => fleet::free_ports(*nodes)?,
            };
            let config = fleet::lay_out(dir, name, &places, window.limits())?;
            output::line(format!(
                "Made network {} with {} in {}.",
                config.name(),
                output::count(places.len(), "node"),
                dir.display()
            ))?;
            for (number, (address, _)) in (1..).zip(&places) {
                output::line(format!(
                    "  tokenim node --dir {}    # {address}",
                    fleet::node_dir(dir, number).display()
                ))?;
            }
            output::line(format!(
                "Give {} to everyone who is to use it.",
                dir.join(NETWORK_FILE).display()
            ))
        }
        InitCommand::Node {
            dir,
            listen,
            http,
            seal,
            passphrase,
        } => {
            let passphrase = if *seal {
                Some(secret::fresh(passphrase, secret::NODE)?)
            } else {
                None
            };
            let options = InitOptions {
                listen: *listen,
                http: Some(*http),
                passphrase: passphrase.as_ref().map(|passphrase| passphrase.as_bytes()),
                network: None,
            };
            let key = tokenim_node::init(dir, &options, &mut UnwrapErr(SysRng))?;
            output::line(format!("{key}@{listen}"))
        }
        InitCommand::Genesis {
            name,
            members,
            out,
            window,
        } => {
            let members = members
                .iter()
                .map(|member| parse_member(member))
                .collect::<Result<Vec<_>, _>>()?;
            let config = network(name, members, window.limits())?;
            write_new(out, &config)?;
            output::line(format!(
                "Wrote {}: network {} of {}. Put it into each node's folder with `tokenim init join`.",
                out.display(),
                config.name(),
                output::count(config.nodes().len(), "node")
            ))
        }
        InitCommand::Join { dir, network } => {
            let config = tokenim_client::read_network(network)?;
            tokenim_node::join(dir, &config)?;
            output::line(format!(
                "{} belongs to network {} now. Start it with `tokenim node --dir {}`.",
                dir.display(),
                config.name(),
                dir.display()
            ))
        }
    }
}

fn parse_member(text: &str) -> Result<(NodeKey, String), CliError> {
    let wrong = |why: &str| {
        CliError::new(
            USAGE,
            format!("--member {text}: {why}; write KEY@ADDRESS as `tokenim init node` printed it"),
        )
    };
    let (key, address) = text.split_once('@').ok_or_else(|| wrong("there is no @"))?;
    let key = key.parse().map_err(|_| wrong("the key is not one"))?;
    if address
        .rsplit_once(':')
        .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
    {
        return Err(wrong("the address is not host:port"));
    }
    Ok((key, address.to_owned()))
}

/// The configuration of a network whose nodes are all validators.
pub(crate) fn network(
    name: &str,
    members: Vec<(NodeKey, String)>,
    limits: LedgerLimits,
) -> Result<NetworkConfig, CliError> {
    let usage =
        |error: &dyn std::fmt::Display| CliError::new(USAGE, format!("no network: {error}; correct the members"));
    let validators = members
        .iter()
        .map(|(key, _)| Validator { key: *key, weight: 1 })
        .collect();
    let validators = ValidatorSet::new(validators).map_err(|error| usage(&error))?;
    let nodes = members
        .into_iter()
        .map(|(key, address)| {
            let address = BoundedString::<ADDRESS_BYTES_MAX>::try_from(address).map_err(|error| usage(&error))?;
            Ok(GenesisNode { key, address })
        })
        .collect::<Result<Vec<_>, CliError>>()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started = UnixMillis::new(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    NetworkConfig::new(name, started, validators, nodes, limits).map_err(|error| usage(&error))
}

/// Writes a network's configuration to a file that does not exist.
pub(crate) fn write_new(path: &Path, config: &NetworkConfig) -> Result<(), CliError> {
    let bytes = config
        .to_bytes()
        .map_err(|error| CliError::new(USAGE, format!("no network: {error}; name fewer members")))?;
    write_new_file(path, &bytes, 0o644)
}

/// Writes a file that does not exist, durably.
pub(crate) fn write_new_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CliError> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let write = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| CliError::file(path, &error))
}

/// What a node's folder is made with.
pub(crate) fn node_options<'a>(listen: SocketAddr, http: SocketAddr) -> InitOptions<'a> {
    InitOptions {
        listen,
        http: Some(http),
        passphrase: None,
        network: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenim_identity::NodeSigningKey;

    #[test]
    fn members_are_key_at_address() {
        let key = NodeSigningKey::from_seed([1; 32]).verifying_key();
        assert_eq!(
            parse_member(&format!("{key}@example.org:7400")).unwrap(),
            (key, "example.org:7400".to_owned())
        );
        for bad in [
            "",
            "x@y:1",
            &format!("{key}"),
            &format!("{key}@host"),
            &format!("{key}@:1"),
        ] {
            assert!(
                parse_member(bad).unwrap_err().to_string().contains("write KEY@ADDRESS"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_network_needs_different_members() {
        let key = NodeSigningKey::from_seed([1; 32]).verifying_key();
        let member = (key, "127.0.0.1:1".to_owned());
        assert!(network("n", vec![member.clone()], LedgerLimits::default()).is_ok());
        assert!(network("n", vec![member.clone(), member.clone()], LedgerLimits::default()).is_err());
        assert!(network("n", vec![], LedgerLimits::default()).is_err());
        assert!(network("", vec![member], LedgerLimits::default()).is_err());
    }
}
