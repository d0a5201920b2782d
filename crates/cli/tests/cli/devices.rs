//! Linking a device, with two folders, as programs and as people do it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::groups::group;
use crate::network::{Nodes, Person};
use crate::terminal::Terminal;
use crate::{done, json, refused, run, tokenim};

/// An invitation, with digits that mean nothing.
const INVITATION: &str = "TIM:INVITE:1:00";

/// A command to which a program talks.
struct Talk {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Talk {
    fn begin(args: &[&str]) -> Self {
        let mut child = tokenim(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            says: BufReader::new(child.stdout.take().unwrap()),
            hears: child.stdin.take().unwrap(),
            child,
        }
    }

    fn hear(&mut self, text: &str) {
        writeln!(self.hears, "{text}").unwrap();
    }

    fn says(&mut self) -> Value {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        if line.is_empty() {
            let output = self.child.wait().unwrap();
            panic!("it says nothing and ends: {output}");
        }
        json(&line)
    }

    /// What it says on standard error, once it has failed.
    fn fails(self) -> String {
        drop(self.hears);
        let output = self.child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        let last = text.lines().last().unwrap().to_owned();
        last.strip_prefix("error: ").unwrap().to_owned()
    }

    fn ends(mut self) -> Vec<Value> {
        let mut said = Vec::new();
        let mut line = String::new();
        while self.says.read_line(&mut line).unwrap() > 0 {
            said.push(json(&line));
            line.clear();
        }
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        said
    }
}

/// The two commands up to the numbers.
fn meet(nodes: &Nodes, phone: &str, anna: &Person, words: &str) -> (Talk, Talk, String, String) {
    let genesis = nodes.genesis();
    let mut new = Talk::begin(&["device", "link", "--json", "--network", &genesis, "--dir", phone]);
    let code = new.says()["code"].as_str().unwrap().to_owned();
    let mut old = Talk::begin(&["device", "approve", "--json", "--words-from", words, "--dir", &anna.dir]);
    old.hear(&code);
    let (here, there) = (new.says(), old.says());
    assert_eq!(here["identity"], anna.identity.as_str());
    assert_eq!(here["device"], there["device"]);
    let number = |said: &Value| said["number"].as_str().unwrap().to_owned();
    let numbers = (number(&here), number(&there));
    (new, old, numbers.0, numbers.1)
}

fn devices(person: &Person) -> usize {
    let text = done(run(["device", "list", "--json", "--dir", &person.dir]));
    text.lines().count()
}

/// One network for all of it, since starting one is what takes time.
#[test]
fn devices_are_linked_when_both_sides_say_yes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let nodes = Nodes::start(dir, &[]);
    let words = dir.join("words").to_str().unwrap().to_owned();
    let anna = Person::new(&nodes, dir, "anna", &["--words-to", &words]);
    let bert = Person::new(&nodes, dir, "bert", &[]);
    let phone = dir.join("phone").to_str().unwrap().to_owned();

    what_is_no_code_is_refused_by_name(&anna, &words);
    group(&anna, &["send", &bert.identity, "before all this"]);

    // A program that has not seen the other number says yes to nothing.
    let (mut new, mut old, number, _) = meet(&nodes, &phone, &anna, &words);
    new.hear("yes");
    assert!(new.fails().contains("not found to be the same"));
    old.hear(&number);
    assert!(old.fails().contains("does not go on"));
    assert!(!Path::new(&phone).exists());
    assert_eq!(devices(&anna), 1);

    let (mut new, mut old, here, there) = meet(&nodes, &phone, &anna, &words);
    assert_eq!(here, there);
    new.hear(&there);
    old.hear(&here);
    let (old, new) = (old.ends(), new.ends());
    assert_eq!(new[0]["device"], old[0]["device"]);
    assert_eq!(devices(&anna), 2);
    let phone = Person {
        dir: phone,
        identity: anna.identity.clone(),
    };
    let sent = bert.send(&anna, "to both");
    assert_eq!(sent["devices"].as_array().unwrap().len(), 2);
    assert_eq!(anna.inbox(), ["to both"]);
    assert_eq!(phone.inbox(), ["to both"]);
    phone.send(&bert, "from the phone");
    assert_eq!(bert.inbox(), ["from the phone"]);
    // It has no words, and says so where they are needed.
    let device = new[0]["device"].as_str().unwrap();
    let text = refused(&run(["device", "revoke", device, "--dir", &phone.dir]), 3);
    assert!(text.contains("words"), "{text}");

    at_two_terminals(&nodes, dir, &anna, &bert, &words);
}

fn what_is_no_code_is_refused_by_name(anna: &Person, words: &str) {
    for (given, said) in [
        (INVITATION, "invites into a group"),
        ("TIM:VERIFY:1:00", "not a code"),
        ("TIM:LINK:1:00", "damaged"),
        ("", "nothing was answered"),
    ] {
        let mut command = Talk::begin(&["device", "approve", "--words-from", words, "--dir", &anna.dir]);
        command.hear(given);
        drop(command.hears);
        let output = command.child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(said), "{text}");
        assert_eq!(
            text.lines().filter(|line| line.starts_with("error: ")).count(),
            1,
            "{text}"
        );
    }
    let text = refused(&run(["device", "approve", "--words-from", "-", "--dir", &anna.dir]), 2);
    assert!(text.contains("standard input"), "{text}");
}

fn at_two_terminals(nodes: &Nodes, dir: &Path, anna: &Person, bert: &Person, words: &str) {
    let tablet = dir.join("tablet").to_str().unwrap().to_owned();
    let mut new = Terminal::run(["device", "link", "--network", &nodes.genesis(), "--dir", &tablet]);
    new.shows("Show it to nobody else.");
    let screen = new.screen();
    let (_, code) = screen.split_once("TIM:LINK:1:").unwrap();
    let digits: String = code
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .take_while(char::is_ascii_hexdigit)
        .take(216)
        .collect();
    let mut old = Terminal::run([
        "device",
        "approve",
        "--words-from",
        words,
        "--history",
        "7",
        "--dir",
        &anna.dir,
    ]);
    old.shows("The code that the new device shows:");
    old.press(&format!("TIM:LINK:1:{digits}\r"));
    for screen in [&new, &old] {
        screen.shows("yes or no:");
        screen.shows(&anna.identity);
    }
    let number = |screen: String| screen.split_once("number    ").unwrap().1[..9].to_owned();
    assert_eq!(number(new.screen()), number(old.screen()));
    // What is neither is asked again, and what people write for yes is one.
    new.press("perhaps\r");
    new.shows("neither yes nor no");
    old.press("\r");
    old.shows("neither yes nor no");
    new.press("y\r");
    old.press("Yes\r");
    old.shows("is a device of yours, proved at height");
    new.shows("ledger    proved at height");
    assert_eq!(old.ended().code(), Some(0));
    assert_eq!(new.ended().code(), Some(0));
    assert_eq!(devices(anna), 3);

    // What was said before is there as it was handed over.
    let began = Instant::now();
    loop {
        let output = run(["group", "read", &bert.identity, "--json", "--dir", &tablet]);
        if String::from_utf8_lossy(&output.stdout).contains("before all this") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{output:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}
