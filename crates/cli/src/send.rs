//! `tokenim send`.

use std::io::Read as _;
use std::time::Duration;

use serde_json::json;
use tokenim_client::Content;
use tokenim_wire::limits::MESSAGE_BODY_BYTES_MAX;

use crate::args::SendArgs;
use crate::error::{CliError, USAGE};
use crate::output::{self, count, line, remark};
use crate::{progress, receipt};

/// How long the ledger may take to prove the acceptance.
const PROOF_PATIENCE: Duration = Duration::from_secs(30);
/// How long messages of earlier runs are tried.
const REST_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: &SendArgs) -> Result<(), CliError> {
    // Cheap mistakes first: no passphrase for a folder or file that is not there.
    args.device.check()?;
    let content = content(args)?;
    let client = args.device.open()?;
    let waiting = progress::spinner("sending");
    let sent = client.send(&args.to, content).await;
    let report = match sent {
        Ok(report) => report,
        Err(error) => {
            waiting.finish_and_clear();
            return Err(error.into());
        }
    };
    let proofs = if args.proof {
        waiting.set_message("waiting for the proof");
        Some(client.proofs(&report.message, PROOF_PATIENCE).await)
    } else {
        None
    };
    waiting.finish_and_clear();
    let nodes: usize = report.devices.iter().map(|device| device.receipt.issuers.len()).sum();
    if args.json {
        let devices: Vec<_> = report
            .devices
            .iter()
            .map(|device| {
                json!({
                    "device": device.device.to_string(),
                    "envelope": device.envelope.to_string(),
                    "receipts": device.receipt.issuers.len(),
                })
            })
            .collect();
        let accepted: Option<Vec<_>> = match &proofs {
            Some(Ok(proofs)) => Some(
                proofs
                    .iter()
                    .map(|proof| receipt::describe(&client.network().light_client(), proof))
                    .collect::<Result<_, _>>()?,
            ),
            _ => None,
        };
        output::json(&json!({
            "message": report.message.to_string(),
            "to": report.to.to_string(),
            "accepted": true,
            "accepted_after_ms": report.accepted_after.as_secs_f64() * 1_000.0,
            "devices": devices,
            "proofs": accepted,
        }))?;
    } else {
        line(format!("message {}", report.message))?;
        line(format!(
            "accepted after {:.0} ms: {} for {}",
            report.accepted_after.as_secs_f64() * 1_000.0,
            count(nodes, "signed receipt"),
            count(report.devices.len(), "device"),
        ))?;
        if let Some(Ok(proofs)) = &proofs {
            for proof in proofs {
                line(receipt::sentence(&client.network().light_client(), proof)?)?;
            }
        }
    }
    let rest = client.maintain(REST_PATIENCE).await?;
    if rest.accepted > 0 {
        remark(format!("{} went out too", count(rest.accepted, "earlier message")));
    }
    if rest.unaccepted > 0 {
        remark(format!(
            "not accepted by enough nodes yet: {}",
            count(rest.unaccepted, "earlier message")
        ));
    }
    client.close().await;
    match proofs {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

fn content(args: &SendArgs) -> Result<Content, CliError> {
    let bytes = match (&args.text, &args.file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(path)) => {
            let size = std::fs::metadata(path).map_err(|error| CliError::file(path, &error))?;
            if size.is_dir() {
                return Err(CliError::local(format!(
                    "{} is a folder: name a file in it instead",
                    path.display()
                )));
            }
            if size.len() > MESSAGE_BODY_BYTES_MAX as u64 {
                return Err(too_long(&path.display().to_string()));
            }
            std::fs::read(path).map_err(|error| CliError::file(path, &error))?
        }
        (None, None) => {
            let mut bytes = Vec::new();
            let limit = MESSAGE_BODY_BYTES_MAX as u64;
            std::io::stdin()
                .lock()
                .take(limit.saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(|error| CliError::local(format!("standard input: {error}; send a file instead")))?;
            bytes
        }
    };
    if bytes.len() > MESSAGE_BODY_BYTES_MAX {
        return Err(too_long("the message"));
    }
    if bytes.is_empty() {
        return Err(CliError::new(
            USAGE,
            "there is nothing to send: give a text, --file, or standard input",
        ));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Content::text(text),
        Err(error) => Content::bytes(error.into_bytes()),
    })
}

fn too_long(what: &str) -> CliError {
    CliError::new(
        USAGE,
        format!(
            "{what} has more than {} KiB: send less at a time",
            MESSAGE_BODY_BYTES_MAX / 1024
        ),
    )
}
