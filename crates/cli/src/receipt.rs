//! `tokenim receipt`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokenim_client::{AcceptanceProof, ClientError, LightClient};
use tokenim_wire::Object as _;

use crate::args::ReceiptArgs;
use crate::error::{CliError, UNPROVED};
use crate::init::write_new_file;
use crate::output::{self, count, line, utc};
use crate::progress;

pub(crate) async fn run(args: &ReceiptArgs) -> Result<(), CliError> {
    let mut client = args.device.folder.open()?;
    let wait = Duration::from_secs(args.wait.min(3_600));
    let sent = client.outgoing(&args.message)?.is_some();
    let received = if sent { None } else { client.received(&args.message)? };
    if !sent && received.is_none() {
        return Err(ClientError::UnknownMessage(args.message).into());
    }
    if let Some(path) = args.out.as_deref().filter(|path| path.exists()) {
        return Err(CliError::local(format!(
            "{} exists already: name a new file, nothing was changed",
            path.display()
        )));
    }
    if received.is_some() {
        // Which mailbox it came through is known from the keys.
        drop(client);
        client = args.device.open()?;
    }
    let waiting = progress::spinner("waiting for the proof");
    let proofs = match received {
        None => client.proofs(&args.message, wait).await,
        Some(envelope) => match client.received_proof(&envelope, wait).await {
            Ok(Some(proof)) => Ok(vec![proof]),
            Ok(None) => Err(ClientError::NotProvedYet(args.message)),
            Err(error) => Err(error),
        },
    };
    waiting.finish_and_clear();
    let proofs = proofs?;
    let light = client.network().light_client();
    let mut files = Vec::new();
    if let Some(out) = &args.out {
        for (number, proof) in (1..).zip(&proofs) {
            let path = numbered(out, number);
            let bytes = proof.to_bytes().map_err(ClientError::from)?;
            write_new_file(&path, &bytes, 0o644)?;
            files.push(path);
        }
    }
    if args.json {
        let described = proofs
            .iter()
            .map(|proof| describe(&light, proof))
            .collect::<Result<Vec<_>, _>>()?;
        output::json(&json!({
            "message": args.message.to_string(),
            "proofs": described,
            "files": files,
        }))?;
    } else {
        for proof in &proofs {
            line(sentence(&light, proof)?)?;
        }
        for file in &files {
            line(format!("wrote {}", file.display()))?;
        }
    }
    client.close().await;
    Ok(())
}

/// FILE, FILE.2, FILE.3, ….
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn refused(error: &impl std::fmt::Display) -> CliError {
    CliError::new(
        UNPROVED,
        format!("the proof does not verify: {error}; it is of another network, or was changed"),
    )
}

/// What a proof shows, in one sentence.
pub(crate) fn sentence(light: &LightClient, proof: &AcceptanceProof) -> Result<String, CliError> {
    let accepted = light.verify_acceptance(proof).map_err(|error| refused(&error))?;
    Ok(format!(
        "envelope {} was accepted: {} signed to keep it until {}, anchored in block {} of {}, final by {} of {} \
         validators",
        accepted.envelope,
        count(accepted.issuers.len(), "node"),
        utc(accepted.expiry.get().saturating_mul(1_000)),
        accepted.height,
        utc(accepted.time.get()),
        light.validators().quorum(),
        light.validators().len(),
    ))
}

/// The same for a program.
pub(crate) fn describe(light: &LightClient, proof: &AcceptanceProof) -> Result<Value, CliError> {
    let accepted = light.verify_acceptance(proof).map_err(|error| refused(&error))?;
    let bytes = proof.to_bytes().map_err(ClientError::from)?.len();
    let issuers: Vec<_> = accepted.issuers.iter().map(ToString::to_string).collect();
    Ok(json!({
        "envelope": accepted.envelope.to_string(),
        "height": accepted.height.get(),
        "time_ms": accepted.time.get(),
        "expiry_s": accepted.expiry.get(),
        "signed_height": accepted.signed_height.get(),
        "nodes": issuers,
        "bytes": bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_file_has_a_number() {
        assert_eq!(numbered(Path::new("a/b.proof"), 1), Path::new("a/b.proof"));
        assert_eq!(numbered(Path::new("a/b.proof"), 2), Path::new("a/b.proof.2"));
    }
}
