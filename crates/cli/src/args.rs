//! The command line as it is written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use tokenim_client::{Client, ClientError, IdentityId};
use tokenim_ledger::LedgerLimits;

use crate::chat::ChatArgs;
use crate::contact::ContactArgs;
use crate::device::DevicesArgs;
use crate::error::{CliError, USAGE};
use crate::group::GroupArgs;
use crate::id::args::IdArgs;
use crate::{secret, status};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed; the line on standard error says what to do
  2    the command line is wrong
  3    a file, folder, passphrase or setting of this machine is wrong
  4    a proof does not verify, or something was lost
  5    the network could not do it: not reachable, no quorum, no progress
  130  interrupted";

/// Messages that only the recipient can read, kept by several nodes, each with a proof that it was accepted.
#[derive(Debug, Parser)]
#[command(name = "tokenim", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Say on standard error what goes on; twice for more.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything at once: nodes, two people, messages, a killed node, a lying node, proofs.
    Demo(DemoArgs),
    /// Keep a network of a few nodes running on this machine, to talk through.
    Devnet(DevnetArgs),
    /// Make a network, or a node's folder.
    Init(InitArgs),
    /// Run a node.
    Node(NodeArgs),
    /// Ask every node how it is, and check what it says.
    Status(StatusArgs),
    /// Make an identity, or show one.
    Id(IdArgs),
    /// Whom you know: let in, keep out, verify.
    Contact(ContactArgs),
    /// Your devices: list, link, add, revoke.
    Device(DevicesArgs),
    /// Write with people and groups, on a screen.
    Chat(ChatArgs),
    /// Groups: make, show and change them, write to them and read them.
    Group(GroupArgs),
    /// Send a message; returns once a quorum of nodes keeps it.
    Send(SendArgs),
    /// Show the messages that arrived.
    Inbox(InboxArgs),
    /// Show that a message was accepted, and write the proof to a file.
    Receipt(ReceiptArgs),
    /// Check a proof from a file, without any network.
    Verify(VerifyArgs),
    /// Write a completion script for a shell to standard output.
    ///
    /// Example: tokenim completions bash > ~/.local/share/bash-completion/completions/tokenim
    Completions {
        /// For which shell.
        shell: Shell,
    },
}

/// A person's folder.
#[derive(Debug, Clone, Args)]
pub(crate) struct FolderArgs {
    /// The folder with the identity and its messages [default: $TOKENIM_DIR, or ~/.tokenim].
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Where the passphrase comes from.
#[derive(Debug, Clone, Args)]
pub(crate) struct PassphraseArgs {
    /// Read the passphrase from the first line of a file, instead of $TOKENIM_PASSPHRASE (for a node's key
    /// $TOKENIM_NODE_PASSPHRASE) or a question.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// A person's folder, and what opens the keys in it.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeviceArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

impl FolderArgs {
    /// The client of the folder, without its keys.
    pub(crate) fn open(&self) -> Result<Client, CliError> {
        Ok(Client::open(&status::folder(self)?, None)?)
    }
}

impl DeviceArgs {
    /// Refuses a folder without an identity, before anything is asked for.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let folder = status::folder(&self.folder)?;
        if folder.join(tokenim_client::STORE_FILE).exists() {
            Ok(())
        } else {
            Err(ClientError::NoClient(folder).into())
        }
    }

    /// The client of the folder, with its keys.
    pub(crate) fn open(&self) -> Result<Client, CliError> {
        let folder = status::folder(&self.folder)?;
        let passphrase = secret::existing(&self.passphrase, secret::PERSON)?;
        Ok(Client::open(&folder, Some(passphrase.as_bytes()))?)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tokenim demo
  tokenim demo --messages 500 --seed 7
  tokenim demo --json | tail -n 1 | jq .deliver_ms_p50

Exits with 0 only if nothing was lost, duplicated or left unproved.")]
pub(crate) struct DemoArgs {
    /// Messages in all; every fifth one is an answer.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) messages: u32,
    /// Nodes, each a process of its own.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(4..=32))]
    pub(crate) nodes: u16,
    /// Decides on sizes and texts; keys are always random.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Put everything into this new folder and keep it, instead of a temporary one that is removed.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print one JSON object as the last line of standard output; the story goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tokenim devnet --nodes 4 --dir /tmp/net
  (then, in other terminals, what it prints)

The folder is made at the first start and used again at the next. Ctrl-C stops the nodes.")]
pub(crate) struct DevnetArgs {
    /// Nodes, each a process of its own; counts when the folder is made.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=32))]
    pub(crate) nodes: u16,
    /// The network's folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Print one JSON object when the nodes are ready.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) window: WindowArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  One machine:
    tokenim init local --dir net --nodes 4

  Several machines, each with its own operator:
    tokenim init node --dir node --listen 203.0.113.5:7400      (each; prints KEY@ADDRESS)
    tokenim init genesis --name ours --member KEY@ADDRESS … --out genesis.tim   (one, for all)
    tokenim init join --dir node genesis.tim                    (each)
    tokenim node --dir node                                     (each)")]
pub(crate) struct InitArgs {
    #[command(subcommand)]
    pub(crate) what: InitCommand,
}

/// A rule of the network, fixed when it is made.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WindowArgs {
    /// Seconds for which a change of somebody's root waits, so that its owner can drop it; 1 to 30 days.
    #[arg(long, value_name = "SECONDS", default_value_t = 72 * 3_600, value_parser = clap::value_parser!(u64).range(1..=30 * 24 * 3_600))]
    pub(crate) recovery_window: u64,
}

impl WindowArgs {
    /// The limits of a network with this window.
    pub(crate) fn limits(self) -> LedgerLimits {
        LedgerLimits {
            recovery_window_ms: self.recovery_window.saturating_mul(1_000),
            ..LedgerLimits::default()
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum InitCommand {
    /// Make a whole network for this machine: DIR/genesis.tim and DIR/node-1, DIR/node-2, ….
    Local {
        /// A new folder.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Nodes; each is a validator and keeps mailboxes.
        #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=128))]
        nodes: u16,
        /// The network's name.
        #[arg(long, default_value = "local")]
        name: String,
        /// The first node's UDP port; the others follow. Without it, free ports are taken.
        #[arg(long, value_name = "PORT")]
        first_port: Option<u16>,
        #[command(flatten)]
        window: WindowArgs,
    },
    /// Make the folder and key of one node.
    Node {
        /// A new folder.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Address and UDP port at which the node listens, and others reach it.
        #[arg(long, value_name = "ADDRESS")]
        listen: SocketAddr,
        /// Address and TCP port for /health and /metrics.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7480")]
        http: SocketAddr,
        /// Seal the key under a passphrase, which `tokenim node` then asks for.
        #[arg(long)]
        seal: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Make the configuration of a network from the keys of its nodes, all of them validators.
    Genesis {
        /// The network's name.
        #[arg(long)]
        name: String,
        /// A node, as `tokenim init node` prints it; once for each.
        #[arg(long = "member", value_name = "KEY@ADDRESS", required = true)]
        members: Vec<String>,
        /// The file to write; it must not exist.
        #[arg(long, value_name = "FILE", default_value = "genesis.tim")]
        out: PathBuf,
        #[command(flatten)]
        window: WindowArgs,
    },
    /// Put a network's configuration into a node's folder.
    Join {
        /// The node's folder.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// The configuration.
        #[arg(value_name = "GENESIS")]
        network: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tokenim node --dir net/node-1

Settings are in DIR/config.toml, each with its meaning. Ctrl-C or SIGTERM stops the node in order.")]
pub(crate) struct NodeArgs {
    /// The node's folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Stop when standard input ends: for a supervisor whose death the node must not survive.
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// Which network.
#[derive(Debug, Clone, Args)]
pub(crate) struct NetworkArgs {
    /// The network's configuration [default: the one in the folder].
    #[arg(long, value_name = "GENESIS")]
    pub(crate) network: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tokenim status
  tokenim status --network net/genesis.tim --json")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tokenim send tim1… 'see you at eight'
  tokenim send tim1… --file photo.jpg
  date | tokenim send tim1…

At most 61 KiB. A message that could not be delivered now is kept and sent again by the next command.")]
pub(crate) struct SendArgs {
    /// To whom.
    #[arg(value_name = "IDENTITY")]
    pub(crate) to: IdentityId,
    /// The text; without it and --file, standard input is sent.
    #[arg(conflicts_with = "file")]
    pub(crate) text: Option<String>,
    /// Send a file's content.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Also wait until the acceptance is proved on the ledger, a few seconds.
    #[arg(long)]
    pub(crate) proof: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tokenim inbox
  tokenim inbox --follow
  tokenim inbox --all --json")]
pub(crate) struct InboxArgs {
    /// Stay and show messages as they arrive.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Show the messages of earlier readings too.
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Print one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tokenim receipt 6f0c…
  tokenim receipt 6f0c… --out message.proof
  tokenim verify message.proof")]
pub(crate) struct ReceiptArgs {
    /// The message's id, as `send` and `inbox` show it.
    #[arg(value_name = "MESSAGE")]
    pub(crate) message: tokenim_client::MessageId,
    /// Write the proof to a file; for several devices of the recipient, to FILE, FILE.2, FILE.3, ….
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Seconds to wait for the proof.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) wait: u64,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tokenim verify message.proof --network net/genesis.tim
  tokenim verify message.proof --envelope 91b7…

Asks nobody: the proof and the network's configuration are enough.")]
pub(crate) struct VerifyArgs {
    /// The proof.
    #[arg(value_name = "FILE")]
    pub(crate) proof: PathBuf,
    /// Demand that it is about this envelope.
    #[arg(long, value_name = "ID")]
    pub(crate) envelope: Option<tokenim_wire::EnvelopeId>,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Tells what is wrong with a command line in one line, or shows help.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        // To standard output, or error where help was not asked for; a closed pipe is no failure.
        let _ = error.print();
        return if error.use_stderr() {
            ExitCode::from(USAGE)
        } else {
            ExitCode::SUCCESS
        };
    }
    CliError::new(USAGE, one_line(&error.render().to_string())).report()
}

/// What clap says, without its usage block, in one line.
fn one_line(text: &str) -> String {
    let mut said = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        if !line.is_empty() {
            said.push(line);
        }
    }
    let said = said.join(" ");
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    format!("{said}; add --help to see how it is used")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_has_help() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{argument} has no help");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn usage_errors_are_one_line() {
        for line in [
            "tokenim send",
            "tokenim send nobody hello",
            "tokenim sent",
            "tokenim demo --messages 0",
            "tokenim demo --nodes 3",
            "tokenim verify",
            "tokenim inbox --folow",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            let text = one_line(&error.render().to_string());
            assert!(
                !text.contains('\n') && text.ends_with("to see how it is used"),
                "{text}"
            );
            assert!(text.len() > 50, "{text}");
        }
    }
}
