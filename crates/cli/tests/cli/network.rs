use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{contents, done, json, refused, run, tokenim};

/// Four node processes.
pub(crate) struct Nodes {
    dir: PathBuf,
    children: Vec<Option<(Child, ChildStdin)>>,
}

impl Nodes {
    pub(crate) fn start(dir: &Path, more: &[&str]) -> Self {
        let net = dir.join("net");
        let init = ["init", "local", "--nodes", "4", "--dir", net.to_str().unwrap()];
        done(tokenim(init).args(more).output().unwrap());
        let mut nodes = Self {
            dir: net,
            children: (0..4).map(|_| None).collect(),
        };
        (0..4).for_each(|node| nodes.run(node));
        nodes.wait();
        nodes
    }

    pub(crate) fn run(&mut self, node: usize) {
        let folder = self.dir.join(format!("node-{}", node + 1));
        let mut child = tokenim(["node", "--until-stdin-closes", "--dir"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        self.children[node] = Some((child, stdin));
    }

    pub(crate) fn kill(&mut self, node: usize) {
        let (mut child, _stdin) = self.children[node].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Until all are well.
    fn wait(&self) {
        let started = Instant::now();
        loop {
            let status = run(["status", "--json", "--network", &self.genesis()]);
            if status.status.success() && json(&String::from_utf8(status.stdout).unwrap())["nodes_ok"] == 4 {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "the nodes don't get ready");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn genesis(&self) -> String {
        self.dir.join("genesis.tim").to_str().unwrap().to_owned()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for (mut child, stdin) in self.children.drain(..).flatten() {
            drop(stdin);
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) struct Person {
    pub(crate) dir: String,
    pub(crate) identity: String,
}

impl Person {
    pub(crate) fn new(nodes: &Nodes, dir: &Path, name: &str, more: &[&str]) -> Self {
        Self::make("new", nodes, dir, name, more)
    }

    pub(crate) fn restore(nodes: &Nodes, dir: &Path, name: &str, more: &[&str]) -> Self {
        Self::make("restore", nodes, dir, name, more)
    }

    fn make(how: &str, nodes: &Nodes, dir: &Path, name: &str, more: &[&str]) -> Self {
        let dir = dir.join(name).to_str().unwrap().to_owned();
        let made = tokenim(["id", how, "--json", "--dir", &dir, "--network", &nodes.genesis()])
            .args(more)
            .output()
            .unwrap();
        let identity = json(&done(made))["identity"].as_str().unwrap().to_owned();
        Self { dir, identity }
    }

    pub(crate) fn send(&self, to: &Self, text: &str) -> Value {
        json(&done(run(["send", &to.identity, text, "--dir", &self.dir, "--json"])))
    }

    /// The texts in the inbox, after a look at the network.
    pub(crate) fn inbox(&self) -> Vec<String> {
        let text = done(run(["inbox", "--all", "--json", "--dir", &self.dir]));
        let mut texts: Vec<String> = text
            .lines()
            .map(|line| json(line)["text"].as_str().unwrap().to_owned())
            .collect();
        texts.sort();
        texts
    }
}

/// One network for all of it, since starting one is what takes time.
#[test]
fn people_talk_through_nodes_that_fail() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut nodes = Nodes::start(dir, &[]);
    let words = dir.join("words");
    let anna = Person::new(&nodes, dir, "anna", &["--words-to", words.to_str().unwrap()]);
    let bert = Person::new(&nodes, dir, "bert", &[]);

    // Another device of the same identity: a message counts as accepted when both have their receipts.
    let tablet = Person::restore(&nodes, dir, "tablet", &["--words-from", words.to_str().unwrap()]);
    assert_eq!(tablet.identity, anna.identity);
    let shown = json(&done(run(["id", "show", &anna.identity, "--dir", &bert.dir, "--json"])));
    assert_eq!(shown["devices"].as_array().unwrap().len(), 2);

    let mut following = tokenim(["inbox", "--follow", "--json", "--dir", &tablet.dir])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut followed = BufReader::new(following.stdout.take().unwrap()).lines();

    let sent = bert.send(&anna, "good morning, мир");
    assert_eq!(sent["devices"].as_array().unwrap().len(), 2);
    assert_eq!(anna.inbox(), ["good morning, мир"]);
    let line = followed.next().unwrap().unwrap();
    assert_eq!(json(&line)["text"], "good morning, мир");
    assert_eq!(json(&line)["from"], bert.identity.as_str());

    // While it follows, the same folder can be used for sending.
    tablet.send(&bert, "from the tablet");
    assert_eq!(bert.inbox(), ["from the tablet"]);

    proofs(dir, &nodes, &bert, &anna, sent["message"].as_str().unwrap());

    // One node dead: nothing changes for people.
    nodes.kill(0);
    bert.send(&anna, "one is dead");
    let line = followed.next().unwrap().unwrap();
    assert_eq!(json(&line)["text"], "one is dead");
    following.kill().unwrap();
    following.wait().unwrap();

    // Two dead: no quorum. The message is kept, also when the sender is killed while it tries.
    nodes.kill(1);
    let mut sending = tokenim(["send", &anna.identity, "kept", "--dir", &bert.dir])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(4));
    assert!(sending.try_wait().unwrap().is_none(), "it can't be accepted");
    sending.kill().unwrap();
    sending.wait().unwrap();
    let unread = tokenim(["inbox", "--dir", &anna.dir]).output().unwrap();
    assert!(
        String::from_utf8(unread.stderr)
            .unwrap()
            .contains("Possibly incomplete"),
        "two of four nodes are not enough to know everything"
    );

    // Back again: the next command of the sender finishes the job; everything arrives once.
    nodes.run(0);
    nodes.run(1);
    nodes.wait();
    bert.inbox();
    assert_eq!(anna.inbox(), ["good morning, мир", "kept", "one is dead"]);
    assert_eq!(anna.inbox(), ["good morning, мир", "kept", "one is dead"]);
    assert_eq!(tablet.inbox(), ["good morning, мир", "kept", "one is dead"]);

    // Whoever finds a folder does not read what was written.
    for person in [&anna, &bert, &tablet] {
        for (path, content) in contents(Path::new(&person.dir)) {
            for text in ["good morning, мир", "one is dead", "from the tablet"] {
                let found = content.windows(text.len()).any(|bytes| bytes == text.as_bytes());
                assert!(!found, "{text} is in {}", path.display());
            }
        }
    }
}

fn proofs(dir: &Path, nodes: &Nodes, sender: &Person, recipient: &Person, message: &str) {
    let proof = dir.join("m.proof");
    let proof = proof.to_str().unwrap();
    let receipt = json(&done(run([
        "receipt",
        message,
        "--dir",
        &sender.dir,
        "--out",
        proof,
        "--json",
    ])));
    assert_eq!(receipt["files"].as_array().unwrap().len(), 2, "one for each device");
    let envelope = receipt["proofs"][0]["envelope"].as_str().unwrap();
    let verify = ["verify", proof, "--network", &nodes.genesis(), "--envelope"];
    assert!(done(tokenim(verify).arg(envelope).output().unwrap()).starts_with("valid: "));
    let other = "00".repeat(32);
    assert!(refused(&tokenim(verify).arg(other).output().unwrap(), 4).contains("about envelope"));

    // The recipient can show it as well.
    let received = json(&done(run(["receipt", message, "--dir", &recipient.dir, "--json"])));
    assert_eq!(received["proofs"].as_array().unwrap().len(), 1);

    // A changed proof, and the proof in another network.
    let mut bytes = std::fs::read(proof).unwrap();
    for (place, bit) in [(40, 1), (200, 2), (500, 4), (bytes.len() - 70, 8)] {
        bytes[place] ^= bit;
        let bad = dir.join("bad.proof");
        std::fs::write(&bad, &bytes).unwrap();
        let output = run(["verify", bad.to_str().unwrap(), "--network", &nodes.genesis()]);
        refused(&output, 4);
        bytes[place] ^= bit;
    }
    let foreign = dir.join("foreign");
    done(run([
        "init",
        "local",
        "--nodes",
        "4",
        "--dir",
        foreign.to_str().unwrap(),
    ]));
    let genesis = foreign.join("genesis.tim");
    let text = refused(&run(["verify", proof, "--network", genesis.to_str().unwrap()]), 4);
    assert!(text.contains("does not verify"), "{text}");
    let text = refused(&run(["receipt", message, "--dir", &sender.dir, "--out", proof]), 3);
    assert!(text.contains("exists already"), "{text}");
}
