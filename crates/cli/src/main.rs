#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod args;
mod chat;
mod contact;
mod demo;
mod device;
mod devnet;
mod error;
mod fleet;
mod group;
mod http;
mod id;
mod inbox;
mod init;
mod node;
mod output;
mod progress;
mod receipt;
mod secret;
mod send;
mod signals;
mod status;
mod verify;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use args::{Cli, Command};
use clap::{CommandFactory as _, Parser as _};
use error::CliError;

fn main() -> ExitCode {
    let started = Instant::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return args::refuse(&error),
    };
    match run(cli, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(cli: Cli, started: Instant) -> Result<(), CliError> {
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "tokenim", &mut output::Lossy);
        return Ok(());
    }
    if let Command::Verify(args) = &cli.command {
        return verify::run(args);
    }
    if let Command::Init(args) = &cli.command {
        return init::run(args);
    }
    // A screen and a log can't share one terminal.
    let screen = matches!(cli.command, Command::Chat(_)) && std::io::IsTerminal::is_terminal(&std::io::stderr());
    if !matches!(cli.command, Command::Node(_)) && !screen {
        output::log(cli.verbose);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::local(format!("no threads: {error}; close other programs and try again")))?;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(&args, started).await,
            Command::Devnet(args) => devnet::run(&args).await,
            Command::Node(args) => node::run(&args).await,
            Command::Status(args) => status::run(&args).await,
            Command::Id(args) => id::run(&args).await,
            Command::Contact(args) => contact::run(&args).await,
            Command::Device(args) => device::run(&args).await,
            Command::Chat(args) => chat::run(&args).await,
            Command::Group(args) => group::run(&args).await,
            Command::Send(args) => send::run(&args).await,
            Command::Inbox(args) => inbox::run(&args).await,
            Command::Receipt(args) => receipt::run(&args).await,
            Command::Init(_) | Command::Verify(_) | Command::Completions { .. } => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}
