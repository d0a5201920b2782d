use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{json, tokenim};

/// The processes that run out of a folder: its path is among their arguments.
fn processes_of(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.unwrap().path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(dir) && line.contains("--until-stdin-closes"))
        .collect()
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// Begins a demo whose temporary folder lies in `dir`, and waits until its nodes run.
fn begin_demo(dir: &Path) -> Child {
    let mut demo = tokenim(["demo"])
        .env("TMPDIR", dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut story = BufReader::new(demo.stdout.take().unwrap()).lines();
    assert!(story.any(|line| line.unwrap().starts_with("All are ready")));
    // The story goes on without a reader.
    assert_eq!(processes_of(dir).len(), 4);
    demo
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing() {
    for name in ["-INT", "-TERM"] {
        let dir = tempfile::tempdir().unwrap();
        let mut demo = begin_demo(dir.path());
        signal(&demo, name);
        assert_eq!(demo.wait().unwrap().code(), Some(130));
        assert!(processes_of(dir.path()).is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn nodes_end_with_a_demo_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = begin_demo(dir.path());
    demo.kill().unwrap();
    demo.wait().unwrap();
    wait_until("nodes outlive the demo", || processes_of(dir.path()).is_empty());
}

#[test]
fn a_demo_loses_nothing_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = tokenim(["demo", "--json", "--messages", "20", "--seed", "3"])
        .env("TMPDIR", dir.path())
        .output()
        .unwrap();
    let story = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{story}");
    let report = json(&String::from_utf8(output.stdout).unwrap());
    for (key, value) in [
        ("nodes", 4),
        ("killed", 1),
        ("sent", 20),
        ("accepted", 20),
        ("delivered", 20),
        ("lost", 0),
        ("duplicated", 0),
        ("proofs_verified", 20),
        ("tampered_rejected", 1),
        ("group_members", 4),
        ("group_messages", 6),
    ] {
        assert_eq!(report[key], value, "{key} in {report}");
    }
    for key in [
        "proof_bytes_max",
        "proof_verify_us_p50",
        "finality_ms_p50",
        "finality_ms_p99",
        "deliver_ms_p50",
        "deliver_ms_p99",
        "start_ms",
        "elapsed_ms",
        "group_epochs",
    ] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key} in {report}");
    }
    assert!(
        story.contains("one byte changed") && story.contains("SIGKILL"),
        "{story}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_devnet_stays_up_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    for _ in 0..2 {
        let mut devnet = tokenim(["devnet", "--nodes", "4", "--json", "--dir"])
            .arg(&dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(devnet.stdout.take().unwrap()).lines();
        let ready = json(&lines.next().unwrap().unwrap());
        assert_eq!(ready["nodes"].as_array().unwrap().len(), 4);
        assert_eq!(processes_of(&dir).len(), 4);
        signal(&devnet, "-INT");
        assert!(devnet.wait().unwrap().success());
        assert!(processes_of(&dir).is_empty());
    }
    assert!(dir.join("node-4").is_dir(), "what the nodes hold stays");
}
