//! Node processes on this machine: their folders and ports, their start, their end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::future::join_all;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use tokenim_client::{NetworkConfig, read_network};
use tokenim_identity::NodeKey;
use tokenim_ledger::LedgerLimits;
use tokio::process::{Child, Command};

use crate::error::{CliError, FAILED};
use crate::http;
use crate::init::{self, NETWORK_FILE};

/// How long a node may take to stop in order before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(8);
/// Pause between two questions to a node that is starting.
const HEALTH_PAUSE: Duration = Duration::from_millis(20);
/// Where a node process writes its log.
const LOG_FILE: &str = "node.log";

/// The address for nodes and clients, and the one for the pages.
pub(crate) type Place = (SocketAddr, SocketAddr);

/// Ports that are free now. They are all held at once, so that none is given twice.
pub(crate) fn free_ports(count: u16) -> Result<Vec<Place>, CliError> {
    let here = (Ipv4Addr::LOCALHOST, 0);
    let take = || -> std::io::Result<Vec<Place>> {
        let held = (0..count)
            .map(|_| Ok((UdpSocket::bind(here)?, TcpListener::bind(here)?)))
            .collect::<std::io::Result<Vec<_>>>()?;
        held.iter()
            .map(|(udp, tcp)| Ok((udp.local_addr()?, tcp.local_addr()?)))
            .collect()
    };
    take().map_err(|error| CliError::local(format!("no free ports on 127.0.0.1: {error}; close other programs")))
}

/// Ports in a row: nodes from `first` on, pages a hundred above.
pub(crate) fn ports_from(first: u16, count: u16) -> Result<Vec<Place>, CliError> {
    (0..count)
        .map(|number| {
            let udp = first.checked_add(number)?;
            let tcp = udp.checked_add(100.max(count))?;
            let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            Some((here(udp), here(tcp)))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| {
            CliError::new(
                crate::error::USAGE,
                "the ports go beyond 65535: name a lower --first-port",
            )
        })
}

/// The folder of node `number`, from 1.
pub(crate) fn node_dir(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("node-{number}"))
}

/// Makes a network's folder: a folder for each node, and the configuration beside them.
pub(crate) fn lay_out(
    dir: &Path,
    name: &str,
    places: &[Place],
    limits: LedgerLimits,
) -> Result<NetworkConfig, CliError> {
    std::fs::create_dir_all(dir).map_err(|error| CliError::file(dir, &error))?;
    let mut entries = std::fs::read_dir(dir).map_err(|error| CliError::file(dir, &error))?;
    if entries.next().is_some() {
        return Err(CliError::local(format!(
            "{} is not empty: name a new folder, nothing was changed",
            dir.display()
        )));
    }
    let mut members = Vec::new();
    for (number, (listen, http)) in (1..).zip(places) {
        let options = init::node_options(*listen, *http);
        let key = tokenim_node::init(&node_dir(dir, number), &options, &mut UnwrapErr(SysRng))?;
        members.push((key, listen.to_string()));
    }
    let config = init::network(name, members, limits)?;
    for number in 1..=places.len() {
        tokenim_node::join(&node_dir(dir, number), &config)?;
    }
    init::write_new(&dir.join(NETWORK_FILE), &config)?;
    Ok(config)
}

/// One node process.
#[derive(Debug)]
pub(crate) struct NodeProcess {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) key: NodeKey,
    pub(crate) dir: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) http: Option<SocketAddr>,
    child: Option<Child>,
}

/// The node processes of one network.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) config: NetworkConfig,
    pub(crate) nodes: Vec<NodeProcess>,
}

impl Fleet {
    /// Reads a network's folder as [`lay_out`] made it; nothing is started yet.
    pub(crate) fn open(dir: &Path) -> Result<Self, CliError> {
        let config = read_network(&dir.join(NETWORK_FILE))?;
        let mut nodes = Vec::new();
        for number in 1.. {
            let dir = node_dir(dir, number);
            if !dir.is_dir() {
                break;
            }
            let folder = tokenim_node::Folder::open(&dir, None)?;
            nodes.push(NodeProcess {
                number,
                key: folder.node(),
                address: folder.config.network.listen,
                http: folder.config.http.enabled.then_some(folder.config.http.listen),
                dir,
                child: None,
            });
        }
        if nodes.is_empty() {
            return Err(CliError::local(format!(
                "{} has no node-1: it is not a folder of `tokenim devnet` or `tokenim init local`; name another one",
                dir.display()
            )));
        }
        Ok(Self { config, nodes })
    }

    /// Starts every node that does not run.
    pub(crate) fn start(&mut self) -> Result<(), CliError> {
        self.nodes.iter_mut().try_for_each(NodeProcess::start)
    }

    /// Waits until every node says that it serves and the network makes progress.
    pub(crate) async fn ready(&mut self, patience: Duration) -> Result<(), CliError> {
        let waits = self.nodes.iter_mut().map(|node| node.ready(patience));
        join_all(waits).await.into_iter().collect()
    }

    /// Stops all nodes: in order, or at once.
    pub(crate) async fn stop(&mut self, in_order: bool) {
        join_all(self.nodes.iter_mut().map(|node| node.stop(in_order))).await;
    }
}

impl NodeProcess {
    /// Starts the process, unless it runs: this very program, as `tokenim node`. It ends by itself when its standard
    /// input closes, and so never outlives this process, however that ends.
    pub(crate) fn start(&mut self) -> Result<(), CliError> {
        if self.child.is_some() {
            return Ok(());
        }
        let program = std::env::current_exe()
            .map_err(|error| CliError::local(format!("this program was not found: {error}; start it by its path")))?;
        let path = self.dir.join(LOG_FILE);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| CliError::file(&path, &error))?;
        let child = Command::new(&program)
            .arg("node")
            .arg("--dir")
            .arg(&self.dir)
            .arg("--until-stdin-closes")
            .env_remove(crate::secret::NODE)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            // Ctrl-C is for this process, which then stops the nodes.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| CliError::file(&program, &error))?;
        self.child = Some(child);
        Ok(())
    }

    /// Whether the node says that it serves and the network makes progress.
    pub(crate) async fn is_healthy(&self) -> bool {
        match self.http {
            Some(address) => matches!(http::get(address, "/health").await, Ok((200, _))),
            // Without pages there is nothing to ask.
            None => true,
        }
    }

    /// Waits for [`NodeProcess::is_healthy`].
    pub(crate) async fn ready(&mut self, patience: Duration) -> Result<(), CliError> {
        let started = Instant::now();
        while !self.is_healthy().await {
            if let Some(how) = self.ended() {
                return Err(CliError::new(
                    FAILED,
                    format!("node {} {how}: {}", self.number, self.last_words()),
                ));
            }
            if started.elapsed() > patience {
                return Err(CliError::new(
                    FAILED,
                    format!(
                        "node {} was not ready within {} s: see {}",
                        self.number,
                        patience.as_secs(),
                        self.dir.join(LOG_FILE).display()
                    ),
                ));
            }
            tokio::time::sleep(HEALTH_PAUSE).await;
        }
        Ok(())
    }

    /// How the process ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status.to_string())
    }

    /// The last line of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read(self.dir.join(LOG_FILE)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.unwrap_or("it said nothing; start it by hand with `tokenim node`");
        last.strip_prefix("error: ").unwrap_or(last).to_owned()
    }

    /// Kills the process with SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It is gone either way.
            let _ = child.kill().await;
        }
    }

    /// Stops the process: by closing its standard input, or at once.
    pub(crate) async fn stop(&mut self, in_order: bool) {
        if in_order && let Some(child) = &mut self.child {
            drop(child.stdin.take());
            if tokio::time::timeout(STOP_PATIENCE, child.wait()).await.is_ok() {
                self.child = None;
            }
        }
        self.kill().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn free_ports_differ() {
        let places = free_ports(16).unwrap();
        let all: BTreeSet<_> = places
            .iter()
            .flat_map(|(udp, tcp)| [(0, udp.port()), (1, tcp.port())])
            .collect();
        assert_eq!(all.len(), 32);
    }

    #[test]
    fn ports_in_a_row_do_not_overlap() {
        let places = ports_from(7400, 4).unwrap();
        assert_eq!(places[3].0.port(), 7403);
        assert_eq!(places[3].1.port(), 7503);
        assert!(ports_from(65_400, 128).is_err());
    }

    #[test]
    fn a_network_is_laid_out_once() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("net");
        let places = free_ports(2).unwrap();
        let config = lay_out(&dir, "test", &places, LedgerLimits::default()).unwrap();
        let fleet = Fleet::open(&dir).unwrap();
        assert_eq!(fleet.config, config);
        assert_eq!(fleet.nodes.len(), 2);
        assert_eq!(fleet.nodes[1].address, places[1].0);
        assert_eq!(fleet.nodes[1].http, Some(places[1].1));
        let error = lay_out(&dir, "test", &places, LedgerLimits::default()).unwrap_err();
        assert!(error.to_string().contains("is not empty"));
        assert!(Fleet::open(folder.path()).is_err());
    }
}
