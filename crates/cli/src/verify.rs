//! `tokenim verify`: no network, only the proof and the configuration.

use std::io::Read as _;

use tokenim_client::{AcceptanceProof, LightClient};
use tokenim_wire::Object as _;

use crate::args::VerifyArgs;
use crate::error::{CliError, UNPROVED};
use crate::output::{self, line};
use crate::{receipt, status};

pub(crate) fn run(args: &VerifyArgs) -> Result<(), CliError> {
    let file = std::fs::File::open(&args.proof).map_err(|error| CliError::file(&args.proof, &error))?;
    let mut bytes = Vec::new();
    // One byte more than a proof may have shows that it is none.
    file.take(AcceptanceProof::BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::file(&args.proof, &error))?;
    let config = status::network(&args.network)?;
    let light = LightClient::new(&config).map_err(|error| {
        CliError::local(format!(
            "the network's configuration is not usable: {error}; get it again"
        ))
    })?;
    let proof = AcceptanceProof::from_bytes(&bytes).map_err(|error| {
        CliError::new(
            UNPROVED,
            format!("{} is no acceptance proof: {error}; get it again", args.proof.display()),
        )
    })?;
    let text = receipt::sentence(&light, &proof)?;
    if let Some(envelope) = args.envelope.filter(|envelope| *envelope != proof.receipt.envelope) {
        return Err(CliError::new(
            UNPROVED,
            format!(
                "the proof is valid, but about envelope {} instead of {envelope}: get the right one",
                proof.receipt.envelope
            ),
        ));
    }
    if args.json {
        output::json(&receipt::describe(&light, &proof)?)
    } else {
        line(format!("valid: {text}"))
    }
}
