//! The demo's course of events.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _};
use tokenim_client::step::Fault;
use tokenim_client::{AcceptanceProof, Argon2Cost, Client, ClientError};
use tokenim_wire::{Object as _, hex};

use super::group;
use super::histogram::Histogram;
use super::liar::Liar;
use super::numbers::percentile;
use super::plan::{Person, plan};
use super::report::Report;
use super::traffic::{Outcome, Traffic};
use crate::args::DemoArgs;
use crate::error::{CliError, FAILED};
use crate::fleet::Fleet;
use crate::{http, output, progress};

/// How long the ledger may take to prove one acceptance.
const PROOF_PATIENCE: Duration = Duration::from_secs(60);
/// Proofs fetched at a time.
const PROOFS_AT_ONCE: usize = 8;
/// Times that a proof is verified to measure it; the median counts.
const MEASURED: usize = 5;

/// Tells the story: on standard output, or on standard error if that is for a program.
pub(super) struct Teller {
    json: bool,
}

impl Teller {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    pub(super) fn tell(&self, text: &str) {
        if self.json {
            output::remark(text);
        } else {
            // Whoever closed the pipe does not want the story; the demo goes on.
            let _ = output::line(text);
        }
    }
}

pub(super) async fn tell(
    args: &DemoArgs,
    dir: &Path,
    fleet: &mut Fleet,
    teller: &Teller,
    started: Instant,
) -> Result<Report, CliError> {
    let mut report = Report {
        nodes: fleet.nodes.len(),
        start_ms: started.elapsed().as_secs_f64() * 1_000.0,
        ..Report::default()
    };
    for node in &fleet.nodes {
        teller.tell(&format!(
            "  node {:<2} {}  {}",
            node.number,
            output::short(&node.key),
            node.address
        ));
    }
    let quorum = fleet.config.validators().quorum();
    teller.tell(&format!(
        "All are ready after {:.1} s. {quorum} of them must agree on every block; any {} may fail or lie.",
        report.start_ms / 1_000.0,
        fleet.nodes.len().saturating_sub(quorum),
    ));

    let (anna, bert) = people(dir, fleet).await?;
    teller.tell(&format!(
        "Two people are on the ledger, which each checks by proof, trusting no node:\n  Anna {}\n  Bert {}",
        anna.identity(),
        bert.identity()
    ));

    // Two nodes that keep Bert's inbox: one is going to lie, the other to die.
    let keepers = bert.inbox_nodes()?;
    let at = |place: usize| {
        let key = keepers.get(place)?;
        fleet.nodes.iter().position(|node| node.key == *key)
    };
    let (Some(lying), Some(dying)) = (at(0), at(1)) else {
        return Err(CliError::new(
            FAILED,
            "fewer than two nodes keep the inbox: run it again",
        ));
    };
    let liar = {
        let node = fleet
            .nodes
            .get(lying)
            .ok_or_else(|| CliError::new(FAILED, "a node is gone"))?;
        let liar = Liar::begin(&node.dir, node.key, node.address)?;
        bert.network()
            .prefer_address(&node.key, &liar.address().to_string())
            .await;
        liar
    };

    let plan = plan(usize::try_from(args.messages).unwrap_or(usize::MAX), args.seed);
    let answers = plan.iter().filter(|planned| planned.from == Person::Bert).count();
    report.message_bytes = plan.iter().map(|planned| planned.text.len()).sum();
    teller.tell(&format!(
        "Anna sends {}, Bert answers with {answers}: 1 byte to 60 KiB, {:.1} MiB of text in eight scripts, several \
         in flight.",
        output::count(plan.len().saturating_sub(answers), "message"),
        mebibytes(report.message_bytes),
    ));
    let bar = progress::bar("messages delivered", plan.len() as u64);
    let traffic = Traffic {
        plan: &plan,
        anna: &anna,
        bert: &bert,
        liar: &liar,
        lying,
        dying,
        teller,
        bar: bar.clone(),
    };
    let outcome = traffic.run(fleet).await;
    bar.finish_and_clear();
    let outcome = outcome?;
    count(&mut report, &outcome, &plan);
    report.answers = answers;
    report.tampered = usize::try_from(liar.lies()).unwrap_or(usize::MAX);
    drop(liar);

    teller
        .tell("Now each message's proof of acceptance is fetched and verified from the network's configuration alone.");
    prove(&mut report, &outcome, &plan, &anna, &bert).await?;
    if report.unproved == 0 {
        teller.tell(&format!(
            "All {} proofs verify: each shows the nodes that signed to keep the message, and the block that says so.",
            report.proofs_verified
        ));
    }
    group::tell(dir, fleet, teller, &mut report).await?;
    let mut finality = Histogram::default();
    for http in fleet.nodes.iter().filter_map(|node| node.http) {
        if let Ok((_, page)) = http::get(http, "/metrics").await {
            finality.add(&page, "tokenim_finality_seconds");
        }
    }
    report.finality_count = finality.count();
    report.finality_ms_p50 = finality.percentile_ms(0.5);
    report.finality_ms_p99 = finality.percentile_ms(0.99);
    anna.close().await;
    bert.close().await;
    Ok(report)
}

/// A new identity in a folder of its own, not on the ledger yet.
pub(super) fn person(dir: &Path, name: &str, fleet: &Fleet) -> Result<Client, CliError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|_| ClientError::Random)?;
    // A random key in place of a passphrase needs no slow hashing; nobody ever opens these folders again.
    let (client, _) = Client::create(
        &dir.join(name),
        fleet.config.clone(),
        hex::encode(&secret).as_bytes(),
        Argon2Cost::MINIMUM,
    )?;
    Ok(client)
}

async fn people(dir: &Path, fleet: &Fleet) -> Result<(Client, Client), CliError> {
    let (anna, bert) = (person(dir, "anna", fleet)?, person(dir, "bert", fleet)?);
    let (one, other) = tokio::join!(anna.register(), bert.register());
    one?;
    other?;
    Ok((anna, bert))
}

fn count(report: &mut Report, outcome: &Outcome, plan: &[super::plan::Planned]) {
    report.sent = plan.len();
    report.killed = outcome.killed;
    report.restart_ms = outcome.restart_ms;
    report.duplicated = outcome.duplicated;
    report.tampered_rejected = outcome
        .caught
        .iter()
        .filter(|fault| matches!(fault, Fault::TamperedCopy))
        .count();
    let (mut deliver, mut accept) = (Vec::new(), Vec::new());
    for track in &outcome.tracks {
        if let Some(sent) = &track.sent {
            report.accepted = report.accepted.saturating_add(1);
            accept.push(sent.accepted_after.as_secs_f64() * 1_000.0);
            if let Some(arrived) = track.arrived {
                // What counts is when it was decrypted and a quorum kept it durably, whichever came later.
                let quorum = sent.called.checked_add(sent.accepted_after).unwrap_or(sent.called);
                let done = arrived.max(quorum).saturating_duration_since(sent.called);
                deliver.push(done.as_secs_f64() * 1_000.0);
            }
        }
        if track.arrived.is_some() {
            report.delivered = report.delivered.saturating_add(1);
        }
    }
    report.lost = report.sent.saturating_sub(report.delivered);
    report.accept_ms_p50 = percentile(&mut accept, 0.5);
    report.deliver_ms_p50 = percentile(&mut deliver, 0.5);
    report.deliver_ms_p99 = percentile(&mut deliver, 0.99);
}

async fn prove(
    report: &mut Report,
    outcome: &Outcome,
    plan: &[super::plan::Planned],
    anna: &Client,
    bert: &Client,
) -> Result<(), CliError> {
    let bar = progress::bar("proofs verified", plan.len() as u64);
    let fetch = outcome.tracks.iter().zip(plan).filter_map(|(track, planned)| {
        let sent = track.sent.as_ref()?;
        let client = match planned.from {
            Person::Anna => anna,
            Person::Bert => bert,
        };
        Some(async move { client.proofs(&sent.message, PROOF_PATIENCE).await })
    });
    // Collected first: boxed so that the borrowed clients need no particular lifetime.
    let fetch: Vec<_> = fetch.map(Box::pin).collect();
    let mut fetched = stream::iter(fetch).buffer_unordered(PROOFS_AT_ONCE);
    let light = anna.network().light_client();
    let mut micros = Vec::new();
    let mut messages_proved = 0_usize;
    while let Some(proofs) = fetched.next().await {
        let proofs: Vec<AcceptanceProof> = match proofs {
            Ok(proofs) => proofs,
            Err(error) => {
                tracing::warn!(%error, "a message is not proved");
                continue;
            }
        };
        let mut verified = 0_usize;
        for proof in &proofs {
            let bytes = proof.to_bytes().map_err(ClientError::from)?;
            report.proof_bytes_max = report.proof_bytes_max.max(bytes.len());
            let mut times = Vec::with_capacity(MEASURED);
            let mut valid = true;
            for _ in 0..MEASURED {
                let begin = Instant::now();
                valid &= light.verify_acceptance(proof).is_ok();
                times.push(begin.elapsed().as_secs_f64() * 1_000_000.0);
            }
            if valid {
                verified = verified.saturating_add(1);
                micros.push(percentile(&mut times, 0.5));
            }
        }
        report.proofs_verified = report.proofs_verified.saturating_add(verified);
        if !proofs.is_empty() && verified == proofs.len() {
            messages_proved = messages_proved.saturating_add(1);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.unproved = report.sent.saturating_sub(messages_proved);
    report.proof_verify_us_p50 = percentile(&mut micros, 0.5);
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
