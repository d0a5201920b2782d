//! `tokenim device`.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::args::FolderArgs;
use crate::error::CliError;
use crate::id::args::{RestoreArgs, RevokeArgs};
use crate::output::{self, line};
use crate::{id, progress};

#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    #[command(subcommand)]
    what: DeviceCommand,
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// List the devices of your identity.
    List {
        #[command(flatten)]
        folder: FolderArgs,
        /// Print one JSON object for each.
        #[arg(long)]
        json: bool,
    },
    /// Make a new folder another device of your identity, from its words.
    #[command(after_help = "\
Example:
  tokenim device add --network net/genesis.tim --words-from words.txt --dir phone

The conversations of the other devices let it in by themselves, as soon as one of them is online. It sees what is said from
then on.")]
    Add(RestoreArgs),
    /// Revoke a device for good: a lost phone. Every conversation removes it before anything else is said there.
    Revoke(RevokeArgs),
}

pub(crate) async fn run(args: &DevicesArgs) -> Result<(), CliError> {
    match &args.what {
        DeviceCommand::List { folder, json } => list(folder, *json).await,
        DeviceCommand::Add(args) => id::restore(args).await,
        DeviceCommand::Revoke(args) => id::revoke(args).await,
    }
}

async fn list(folder: &FolderArgs, json: bool) -> Result<(), CliError> {
    let client = folder.open()?;
    let state = progress::during("asking the ledger", client.state()).await?;
    for entry in &state.devices {
        let device = entry.keys.device_id();
        let own = device == client.device();
        if json {
            output::json(&json!({
                "device": device.to_string(),
                "this": own,
                "added": entry.added.get(),
                "revoked": entry.revoked.map(tokenim_wire::Height::get),
            }))?;
            continue;
        }
        let state = match entry.revoked {
            Some(height) => format!("revoked at height {height}"),
            None => format!("since height {}", entry.added),
        };
        line(format!("{device}  {state}{}", if own { "  (this folder)" } else { "" }))?;
    }
    client.close().await;
    Ok(())
}
