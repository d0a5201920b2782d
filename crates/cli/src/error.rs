//! Errors as the command line tells them: one line, and an exit code.

use std::path::Path;
use std::process::ExitCode;

use tokenim_client::ClientError;
use tokenim_node::{FolderError, NodeError, StartError};

/// Failed.
pub(crate) const FAILED: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// Something of this machine is wrong.
pub(crate) const LOCAL: u8 = 3;
/// A proof does not verify, or something was lost.
pub(crate) const UNPROVED: u8 = 4;
/// The network could not do it.
pub(crate) const NETWORK: u8 = 5;
/// Interrupted by a signal.
pub(crate) const INTERRUPTED: u8 = 130;

/// What was wrong and what to do, in one line.
#[derive(Debug)]
pub(crate) struct CliError {
    code: u8,
    message: String,
}

impl CliError {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// An error of this machine.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::new(LOCAL, message)
    }

    /// A file that can't be read or written.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        let what = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file or folder; check the path".to_owned(),
            std::io::ErrorKind::PermissionDenied => "you may not do that; check its permissions".to_owned(),
            std::io::ErrorKind::AlreadyExists => "it exists already; name another one".to_owned(),
            std::io::ErrorKind::StorageFull => "the disk is full; free some space and try again".to_owned(),
            _ => format!("{error}; check the path and the disk"),
        };
        Self::local(format!("{}: {what}", path.display()))
    }

    /// The reader of our output went away: no reason to say anything.
    pub(crate) const fn quiet() -> Self {
        Self {
            code: 0,
            message: String::new(),
        }
    }

    /// Stopped by a signal.
    pub(crate) fn interrupted() -> Self {
        Self::new(INTERRUPTED, "interrupted")
    }

    /// Prints the line, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        use std::io::Write as _;
        if !self.message.is_empty() {
            let line: String = self
                .message
                .chars()
                .map(|letter| if letter.is_control() { ' ' } else { letter })
                .collect();
            // Nobody is left to be told when this fails.
            let _ = writeln!(std::io::stderr().lock(), "error: {line}");
        }
        ExitCode::from(self.code)
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::UnknownIdentity(_) | ClientError::NoActiveDevice(_) | ClientError::Rejected(_) => FAILED,
            ClientError::Unreachable { .. }
            | ClientError::NotProgressing { .. }
            | ClientError::NotAccepted { .. }
            | ClientError::NotProvedYet(_)
            | ClientError::Refused { .. }
            | ClientError::Transport(_) => NETWORK,
            ClientError::NoClient(_)
            | ClientError::ClientExists(_)
            | ClientError::NotLinked(_)
            | ClientError::LinkedElsewhere { .. }
            | ClientError::ForeignFolder(_)
            | ClientError::Damaged { .. }
            | ClientError::BadNetworkFile { .. }
            | ClientError::DiskFull(_)
            | ClientError::InUse(_)
            | ClientError::Io { .. }
            | ClientError::Store(_)
            | ClientError::Random
            | ClientError::WrongPassphrase => LOCAL,
            ClientError::Name(_) => USAGE,
            _ => FAILED,
        };
        let message = match &error {
            ClientError::NoClient(path) => format!(
                "there is no identity in {}: make one with `tokenim id new --network GENESIS`, or name another folder \
                 with --dir",
                path.display()
            ),
            ClientError::ClientExists(path) => format!(
                "{} already holds an identity: nothing was changed; see it with `tokenim id show`, or name another \
                 folder with --dir",
                path.display()
            ),
            ClientError::NotLinked(path) => format!(
                "the device in {0} waits to be linked: run `tokenim device link --dir {0}` again",
                path.display()
            ),
            ClientError::NameNeeded(identity) => format!(
                "the words alone give {identity}, which is not on the ledger: name yours with --identity if it has a second \
                 phrase or was recovered, or that one to put it there"
            ),
            ClientError::NotRegistered => {
                "this identity is not on the ledger yet: run `tokenim id register`".to_owned()
            }
            ClientError::Io { path, error } => return Self::file(path, error),
            _ => error.to_string(),
        };
        Self::new(code, message)
    }
}

impl From<FolderError> for CliError {
    fn from(error: FolderError) -> Self {
        Self::local(error.to_string())
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        Self::local(error.to_string())
    }
}

impl From<NodeError> for CliError {
    fn from(error: NodeError) -> Self {
        Self::new(FAILED, error.to_string())
    }
}
