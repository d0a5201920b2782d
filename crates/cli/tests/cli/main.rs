//! The command itself: what it says when something is wrong, and what it leaves behind.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod devices;
mod errors;
mod groups;
mod identities;
mod life;
mod network;
mod terminal;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The command with a folder of its own for everything temporary, and nothing of ours in its environment.
fn tokenim(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenim"));
    command
        .args(args)
        .env_remove("TOKENIM_DIR")
        .env_remove("TOKENIM_NODE_PASSPHRASE")
        .env("TOKENIM_PASSPHRASE", "correct horse")
        .stdin(Stdio::null());
    command
}

fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    tokenim(args).output().unwrap()
}

/// Standard output of a command that must succeed.
fn done(output: Output) -> String {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{}: {stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The one line of a command that must fail with `code` and say nothing else.
fn refused(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
    assert_eq!(stdout, "", "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    let line = lines[0].strip_prefix("error: ").expect("it begins with error:");
    assert!(line.len() > 40, "what was wrong and what to do: {line}");
    line.to_owned()
}

fn json(text: &str) -> serde_json::Value {
    let last = text.lines().last().expect("a line");
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
}

/// Every file below a folder with its content, to see that nothing was changed.
fn contents(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
