//! `tokenim demo`: the whole system at once, with real parts, told as it happens.

mod group;
mod histogram;
mod liar;
mod numbers;
mod plan;
mod report;
mod story;
mod traffic;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenim_ledger::LedgerLimits;

use crate::args::DemoArgs;
use crate::error::{CliError, UNPROVED};
use crate::fleet::{self, Fleet};
use crate::signals;
use report::Report;
use story::Teller;

/// How long the nodes may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(60);
/// Times that ports which someone else took meanwhile are chosen anew.
const PORT_ATTEMPTS: usize = 3;

pub(crate) async fn run(args: &DemoArgs, started: Instant) -> Result<(), CliError> {
    let place = Place::new(args.dir.as_deref())?;
    let mut fleet = None;
    let outcome = tokio::select! {
        outcome = tell(args, &place, &mut fleet, started) => outcome,
        () = signals::stopped() => Err(CliError::interrupted()),
    };
    if let Some(mut fleet) = fleet {
        fleet.stop(outcome.is_ok()).await;
    }
    let removed = place.remove();
    let report = outcome?;
    removed?;
    report.show(args, started.elapsed())?;
    if report.is_good() {
        Ok(())
    } else {
        Err(CliError::new(
            UNPROVED,
            format!(
                "{}; run it again with --dir and look at the logs there",
                report.faults()
            ),
        ))
    }
}

async fn tell(args: &DemoArgs, place: &Place, fleet: &mut Option<Fleet>, started: Instant) -> Result<Report, CliError> {
    let teller = Teller::new(args.json);
    teller.tell(&format!(
        "{} nodes start on this machine, each a process with its own key, folder and port.",
        args.nodes
    ));
    let network = place.path().join("network");
    for attempt in 1..=PORT_ATTEMPTS {
        let places = fleet::free_ports(args.nodes)?;
        fleet::lay_out(&network, "demo", &places, LedgerLimits::default())?;
        let fleet = fleet.insert(Fleet::open(&network)?);
        fleet.start()?;
        match fleet.ready(READY_PATIENCE).await {
            Ok(()) => break,
            Err(error) => {
                fleet.stop(false).await;
                let taken = places.iter().any(|place| !is_free(*place));
                if attempt == PORT_ATTEMPTS || !taken {
                    return Err(error);
                }
                std::fs::remove_dir_all(&network).map_err(|error| CliError::file(&network, &error))?;
            }
        }
    }
    let fleet = fleet
        .as_mut()
        .ok_or_else(|| CliError::local("no ports could be had; close other programs and try again"))?;
    story::tell(args, place.path(), fleet, &teller, started).await
}

/// Whether both ports could be had now.
fn is_free((udp, tcp): fleet::Place) -> bool {
    std::net::UdpSocket::bind(udp).is_ok() && std::net::TcpListener::bind(tcp).is_ok()
}

/// Where the demo has its files.
enum Place {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Place {
    fn new(dir: Option<&Path>) -> Result<Self, CliError> {
        match dir {
            None => tempfile::Builder::new()
                .prefix("tokenim-demo-")
                .tempdir()
                .map(Self::Temporary)
                .map_err(|error| CliError::file(&std::env::temp_dir(), &error)),
            Some(dir) => {
                std::fs::create_dir_all(dir).map_err(|error| CliError::file(dir, &error))?;
                let mut entries = std::fs::read_dir(dir).map_err(|error| CliError::file(dir, &error))?;
                if entries.next().is_some() {
                    return Err(CliError::local(format!(
                        "{} is not empty: name a new folder, nothing was changed",
                        dir.display()
                    )));
                }
                Ok(Self::Kept(dir.to_owned()))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }

    fn remove(self) -> Result<(), CliError> {
        match self {
            Self::Kept(_) => Ok(()),
            Self::Temporary(folder) => {
                let path = folder.path().to_owned();
                folder.close().map_err(|error| CliError::file(&path, &error))
            }
        }
    }
}
