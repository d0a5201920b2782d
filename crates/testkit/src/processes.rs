//! Networks of real processes.

use crate::{HarnessError, Layout, until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Characters at the end of a log that an error shows.
const LOG_SHOWN: usize = 4_000;
/// How long `/health` gets for an answer.
const HEALTH_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer of `/health` at most.
const HEALTH_BYTES_MAX: u64 = 64 * 1024;

/// What a process left that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// What `/health` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHealth {
    /// The status code: 200 or 503.
    pub code: u16,
    /// `starting`, `ok`, `not-progressing` or `stopping`.
    pub status: String,
    /// The height of its newest block.
    pub height: u64,
    /// Other nodes it is connected with.
    pub peers: u64,
    /// Envelopes it keeps.
    pub envelopes: u64,
}

/// The processes of a network on the loopback interface, each `BINARY node --dir FOLDER`. Dropping it kills them and
/// removes their folders; should this process be killed, they stop by themselves.
#[derive(Debug)]
pub struct Processes {
    /// The folders.
    pub layout: Layout,
    binary: PathBuf,
    running: Vec<Option<Child>>,
    folder: TempDir,
}

impl Processes {
    /// Makes the folders of `nodes` nodes. Nothing runs yet.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn lay_out(binary: impl Into<PathBuf>, nodes: usize, seed: u64) -> Result<Self, HarnessError> {
        let folder = TempDir::with_prefix("tokenim-processes-").map_err(HarnessError::io(&std::env::temp_dir()))?;
        let layout = Layout::create(folder.path(), nodes, seed)?;
        Ok(Self {
            running: (0..nodes).map(|_| None).collect(),
            layout,
            binary: binary.into(),
            folder,
        })
    }

    /// The folder with all of this, for what a test keeps beside the nodes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a node that does not run.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn start(&mut self, number: usize) -> Result<(), HarnessError> {
        let log = self.log_path(number);
        let dir = &self.layout.node(number)?.dir;
        let slot = self.running.get_mut(number).ok_or(HarnessError::NoSuchNode(number))?;
        if slot.is_some() {
            return Err(HarnessError::WrongState {
                node: number,
                state: "running already",
            });
        }
        let file = File::create(&log).map_err(HarnessError::io(&log))?;
        let child = Command::new(&self.binary)
            .arg("node")
            .arg("--dir")
            .arg(dir)
            // A test that is killed takes its nodes with it.
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(HarnessError::io(&self.binary))?;
        *slot = Some(child);
        Ok(())
    }

    /// Starts every node that does not run.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn start_all(&mut self) -> Result<(), HarnessError> {
        for number in 0..self.running.len() {
            if self.running.get(number).is_some_and(Option::is_none) {
                self.start(number)?;
            }
        }
        Ok(())
    }

    /// Kills a node with SIGKILL; it is gone when this returns.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn kill(&mut self, number: usize) -> Result<(), HarnessError> {
        let mut child = self.take(number)?;
        child
            .kill()
            .and_then(|()| child.wait())
            .map_err(HarnessError::io(&self.binary))?;
        Ok(())
    }

    /// Asks a node with SIGTERM to stop, and waits for it.
    ///
    /// # Errors
    /// [`HarnessError::TimedOut`]; it is killed then.
    pub async fn stop(&mut self, number: usize, patience: Duration) -> Result<Ended, HarnessError> {
        self.signal(number, Signal::TERM)?;
        self.ended(number, patience).await
    }

    /// Freezes a node with SIGSTOP: it holds its connections and says nothing.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn freeze(&mut self, number: usize) -> Result<(), HarnessError> {
        self.signal(number, Signal::STOP)
    }

    /// Lets a frozen node go on.
    ///
    /// # Errors
    /// [`HarnessError`]
    pub fn thaw(&mut self, number: usize) -> Result<(), HarnessError> {
        self.signal(number, Signal::CONT)
    }

    /// Waits until a node has ended by itself.
    ///
    /// # Errors
    /// [`HarnessError::TimedOut`]; it is killed then.
    pub async fn ended(&mut self, number: usize, patience: Duration) -> Result<Ended, HarnessError> {
        let mut child = self.take(number)?;
        let status = wait(&mut child, &format!("node {number} ends"), patience).await?;
        Ok(Ended {
            status,
            stdout: String::new(),
            stderr: self.log(number),
        })
    }

    /// What `/health` of a node says; none if it does not answer.
    pub async fn health(&self, number: usize) -> Option<NodeHealth> {
        let address = self.layout.node(number).ok()?.http;
        let asked = async {
            let mut stream = TcpStream::connect(address).await.ok()?;
            let request = format!("GET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = String::new();
            stream.take(HEALTH_BYTES_MAX).read_to_string(&mut answer).await.ok()?;
            let code = answer.split(' ').nth(1)?.parse().ok()?;
            let body = answer.get(answer.find('{')?..answer.rfind('}')?.checked_add(1)?)?;
            let body: serde_json::Value = serde_json::from_str(body).ok()?;
            let number = |key| body.get(key).and_then(serde_json::Value::as_u64);
            Some(NodeHealth {
                code,
                status: body.get("status")?.as_str()?.to_owned(),
                height: number("height")?,
                peers: number("peers")?,
                envelopes: number("envelopes")?,
            })
        };
        timeout(HEALTH_PATIENCE, asked).await.ok().flatten()
    }

    /// Waits until `/health` of each of these nodes says what `wanted` wants.
    ///
    /// # Errors
    /// [`HarnessError::TimedOut`], or [`HarnessError::Ended`] as soon as one of them has ended.
    pub async fn until_health(
        &mut self,
        nodes: &[usize],
        what: &str,
        patience: Duration,
        wanted: impl Fn(&NodeHealth) -> bool,
    ) -> Result<(), HarnessError> {
        for number in nodes {
            let started = tokio::time::Instant::now();
            loop {
                if self.health(*number).await.is_some_and(|health| wanted(&health)) {
                    break;
                }
                self.check_running(*number)?;
                if started.elapsed() > patience {
                    let health = self.health(*number).await;
                    return Err(HarnessError::TimedOut {
                        what: format!(
                            "node {number}: {what} (it says {health:?}; its log:\n{})",
                            self.end_of_log(*number)
                        ),
                        patience,
                    });
                }
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        }
        Ok(())
    }

    /// Waits until these nodes serve and make progress.
    ///
    /// # Errors
    /// Those of [`Processes::until_health`].
    pub async fn until_ok(&mut self, nodes: &[usize], patience: Duration) -> Result<(), HarnessError> {
        self.until_health(nodes, "serves and makes progress", patience, |health| {
            health.code == 200
        })
        .await
    }

    /// What a node wrote to standard error since its last start.
    #[must_use]
    pub fn log(&self, number: usize) -> String {
        let bytes = fs::read(self.log_path(number)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn end_of_log(&self, number: usize) -> String {
        let text = self.log(number);
        let skipped = text.chars().count().saturating_sub(LOG_SHOWN);
        text.chars().skip(skipped).collect()
    }

    /// Fails if the process of a node has ended.
    fn check_running(&mut self, number: usize) -> Result<(), HarnessError> {
        let slot = self.running.get_mut(number).ok_or(HarnessError::NoSuchNode(number))?;
        let Some(child) = slot else {
            return Err(HarnessError::WrongState {
                node: number,
                state: "not running",
            });
        };
        if let Some(status) = child.try_wait().map_err(HarnessError::io(&self.binary))? {
            *slot = None;
            return Err(HarnessError::Ended {
                node: number,
                status: status.to_string(),
                log: self.end_of_log(number),
            });
        }
        Ok(())
    }

    fn signal(&self, number: usize, signal: Signal) -> Result<(), HarnessError> {
        let child = self.running.get(number).ok_or(HarnessError::NoSuchNode(number))?;
        let child = child.as_ref().ok_or(HarnessError::WrongState {
            node: number,
            state: "not running",
        })?;
        kill_process(Pid::from_child(child), signal).map_err(|error| HarnessError::io(&self.binary)(error.into()))
    }

    fn take(&mut self, number: usize) -> Result<Child, HarnessError> {
        let slot = self.running.get_mut(number).ok_or(HarnessError::NoSuchNode(number))?;
        slot.take().ok_or(HarnessError::WrongState {
            node: number,
            state: "not running",
        })
    }

    fn log_path(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("node-{number}.log"))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a program to its end, with nothing on its standard input.
///
/// # Errors
/// [`HarnessError::TimedOut`]; it is killed then.
pub async fn run(binary: &Path, arguments: &[&std::ffi::OsStr], patience: Duration) -> Result<Ended, HarnessError> {
    let folder = TempDir::with_prefix("tokenim-run-").map_err(HarnessError::io(&std::env::temp_dir()))?;
    let (out, err) = (folder.path().join("stdout"), folder.path().join("stderr"));
    let mut child = Command::new(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(File::create(&out).map_err(HarnessError::io(&out))?)
        .stderr(File::create(&err).map_err(HarnessError::io(&err))?)
        .spawn()
        .map_err(HarnessError::io(binary))?;
    let status = wait(&mut child, "the program ends", patience).await?;
    let read = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Ended {
        status,
        stdout: read(&out).map_err(HarnessError::io(&out))?,
        stderr: read(&err).map_err(HarnessError::io(&err))?,
    })
}

/// Waits for the end of a process; kills it if that takes too long.
async fn wait(child: &mut Child, what: &str, patience: Duration) -> Result<ExitStatus, HarnessError> {
    let ended = until(what, patience, || std::future::ready(child.try_wait().ok().flatten())).await;
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    ended
}
