//! `tokenim id history`: every record, proved.

use serde_json::{Value, json};
use tokenim_client::{Client, ClientError, Network};
use tokenim_identity::{Authorization, HistoryEntry, Operation, PendingOperation};

use super::args::HistoryArgs;
use crate::error::CliError;
use crate::output::{self, line, utc};
use crate::status;

pub(crate) async fn run(args: &HistoryArgs) -> Result<(), CliError> {
    let folder = status::folder(&args.network.folder)?;
    let identity = match args.identity {
        Some(identity) => identity,
        None if folder.join(tokenim_client::STORE_FILE).exists() => Client::open(&folder, None)?.identity(),
        None => return Err(ClientError::NoClient(folder).into()),
    };
    let network = Network::new(status::network(&args.network)?)?;
    let history = network.history(&identity).await;
    network.close().await;
    let history = history?;
    if args.json {
        let records: Vec<Value> = history.entries().iter().map(to_json).collect();
        return output::json(&json!({
            "identity": identity.to_string(),
            "records": records,
            "proved": true,
        }));
    }
    let count = match history.entries() {
        [_] => String::from("one record, proved"),
        entries => format!("{} records, each proved", entries.len()),
    };
    line(format!("{identity}, {count}:"))?;
    for entry in history.entries() {
        line(format!(
            "{:>5}  {}  height {:<8} {}  by {}",
            entry.record.record.seq,
            utc(entry.time.get()),
            entry.height.get(),
            operation(&entry.record.record.op),
            signer(&entry.record.authorization)
        ))?;
    }
    Ok(())
}

fn to_json(entry: &HistoryEntry) -> Value {
    json!({
        "seq": entry.record.record.seq,
        "height": entry.height.get(),
        "time_ms": entry.time.get(),
        "operation": operation(&entry.record.record.op),
        "signer": signer(&entry.record.authorization),
    })
}

fn operation(op: &Operation) -> String {
    match op {
        Operation::AddDevice { keys, .. } => format!("device {} added", keys.device_id()),
        Operation::RevokeDevice { device } => format!("device {device} revoked"),
        Operation::RotateRoot { .. } => "another root asked for".to_owned(),
        Operation::SetRecovery { recovery: Some(_) } => "recovery keys set or asked for".to_owned(),
        Operation::SetRecovery { recovery: None } => "removal of the recovery keys asked for".to_owned(),
        Operation::Deactivate => "deactivation asked for".to_owned(),
        Operation::Cancel => "what was pending dropped".to_owned(),
        Operation::Complete => "what was pending carried out".to_owned(),
        Operation::Recover { keep, .. } => format!("recovered with a new root, {} devices kept", keep.len()),
        Operation::LinkAccount { commitment } => format!("account linked, commitment {commitment}"),
        Operation::UnlinkAccount { commitment } => format!("link {commitment} taken back"),
    }
}

fn signer(authorization: &Authorization) -> String {
    match authorization {
        Authorization::Root(_) => "root".to_owned(),
        Authorization::Device(device, _) => format!("device {}", output::short(device)),
        Authorization::NextRoot { .. } => "the next root".to_owned(),
        Authorization::Recovery(_) => "recovery keys".to_owned(),
    }
}

/// What waits for the recovery window to pass.
pub(crate) const fn pending(op: &PendingOperation) -> &'static str {
    match op {
        PendingOperation::RotateRoot { .. } => "another root key",
        PendingOperation::SetRecovery { recovery: Some(_) } => "other recovery keys",
        PendingOperation::SetRecovery { recovery: None } => "no recovery keys any more",
        PendingOperation::Deactivate => "deactivation",
    }
}
