//! Groups and conversations of two, by commands and on the screen.

use serde_json::Value;

use crate::network::{Nodes, Person};
use crate::terminal::Terminal;
use crate::{done, json, refused, run, tokenim};

fn group(person: &Person, args: &[&str]) -> Value {
    let output = tokenim(["group"])
        .args(args)
        .args(["--json", "--dir", &person.dir])
        .output()
        .unwrap();
    json(&done(output))
}

/// What a person reads in a group, in order.
fn read(person: &Person, group: &str) -> Vec<Value> {
    let text = done(run(["group", "read", group, "--json", "--dir", &person.dir]));
    text.lines().map(json).collect()
}

fn texts(person: &Person, group: &str) -> Vec<String> {
    let text = |message: Value| message["text"].as_str().unwrap().to_owned();
    read(person, group).into_iter().map(text).collect()
}

fn members(info: &Value) -> usize {
    info["members"].as_array().unwrap().len()
}

#[test]
fn groups_are_made_changed_written_to_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let nodes = Nodes::start(dir, &[]);
    let anna = Person::new(&nodes, dir, "anna", &[]);
    let bert = Person::new(&nodes, dir, "bert", &[]);
    let cleo = Person::new(&nodes, dir, "cleo", &[]);

    let made = group(&anna, &["new", "山 trip", &bert.identity, &cleo.identity]);
    assert_eq!((members(&made), &made["suite"]), (3, &"post-quantum".into()));
    let listed = group(&bert, &["list"]);
    assert_eq!(
        (&listed["name"], &listed["standing"]),
        (&"山 trip".into(), &"active".into())
    );
    assert_eq!(listed["group"], made["group"]);

    let sent = group(&bert, &["send", "山 trip", "see you at eight", "--proof"]);
    assert_eq!(sent["stored"], true);
    assert!(sent["proof"]["height"].as_u64().unwrap() > 0);
    assert_eq!(texts(&anna, "山 trip"), ["see you at eight"]);
    let answered = sent["message"].as_str().unwrap();
    group(&anna, &["send", "山 trip", "да", "--answer", answered]);
    let said = read(&cleo, "山 trip");
    assert_eq!(said[1]["answers"], answered);

    // What is not allowed, is not done.
    let invite = run(["group", "rename", "山 trip", "mine", "--dir", &bert.dir]);
    assert!(refused(&invite, 1).contains("role"));
    refused(&run(["group", "show", "no such", "--dir", &bert.dir]), 2);
    let changed = group(&anna, &["role", "山 trip", &bert.identity, "admin"]);
    let role = |info: &Value, who: &Person| {
        let members = info["members"].as_array().unwrap();
        members
            .iter()
            .find(|member| member["identity"] == *who.identity)
            .unwrap()["role"]
            .clone()
    };
    assert_eq!(role(&changed, &bert), "admin");
    group(&bert, &["list"]);
    let renamed = group(&bert, &["rename", "山 trip", "the trip"]);
    assert_eq!(renamed["name"], "the trip");
    let removed = group(&bert, &["remove", "the trip", &cleo.identity]);
    assert_eq!(members(&removed), 2);
    assert_eq!(group(&cleo, &["list"])["standing"], "removed");

    on_the_screen(&anna, &bert);
}

fn on_the_screen(anna: &Person, bert: &Person) {
    let text = refused(&run(["chat", "--dir", &anna.dir]), 3);
    assert!(text.contains("no terminal"), "{text}");

    let mut screen = Terminal::run(["chat", "--dir", &anna.dir]);
    screen.shows("the trip · 2 members · post-quantum");
    screen.shows("see you at eight");
    screen.shows("connected");
    screen.press("\r");
    screen.press("with all letters: 世界 мир e\u{301}");
    screen.shows("> with all letters: 世界 мир e\u{301}");
    screen.press("\r");
    screen.shows("stored");
    assert!(texts(bert, "the trip").contains(&"with all letters: 世界 мир e\u{301}".to_owned()));
    screen.shows("read");
    // What is said elsewhere appears by itself, and controls nothing.
    group(bert, &["send", "the trip", "seen \u{1b}[2J \u{1b}]0;owned\u{7}"]);
    screen.shows("[2J");
    // The proof, the members, and back.
    screen.press("\u{10}");
    screen.shows("was accepted");
    screen.press("\u{1b}");
    screen.press("\u{f}");
    screen.shows(&bert.identity);
    screen.press("\u{1b}");
    screen.press("\u{3}");
    assert_eq!(screen.ended().code(), Some(0));

    // A conversation of two begins with an identity.
    let mut screen = Terminal::run(["chat", "--dir", &bert.dir]);
    screen.shows("the trip");
    screen.press("\u{e}");
    screen.shows("Whom do you write to?");
    screen.press(&format!("\u{1b}[200~{}\u{1b}[201~\r", anna.identity));
    screen.shows("two people");
    screen.press("only for you\r");
    screen.shows("stored");
    screen.press("\u{11}");
    assert_eq!(screen.ended().code(), Some(0));
    assert_eq!(texts(anna, &bert.identity), ["only for you"]);
}

#[test]
fn devices_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let text = refused(
        &run(["device", "list", "--dir", dir.join("nobody").to_str().unwrap()]),
        3,
    );
    assert!(text.contains("there is no identity"), "{text}");
}
