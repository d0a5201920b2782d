//! Groups and conversations of two, by commands and on the screen.

use std::time::Duration;

use serde_json::Value;

use crate::network::{Nodes, Person};
use crate::terminal::Terminal;
use crate::{done, json, refused, run, tokenim};

pub(crate) fn group(person: &Person, args: &[&str]) -> Value {
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
    let mut nodes = Nodes::start(dir, &[]);
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

    by_a_link(&anna, &bert, &cleo);
    on_the_screen(&anna, &bert);
    on_two_screens(&anna, &bert);
    let dora = Person::new(&nodes, dir, "dora", &[]);
    by_a_link_on_the_screen(&anna, &dora);
    without_a_network(&mut nodes, &anna, &bert);
}

/// Somebody who was put out asks to be let in again, and two others are told what is wrong with their links.
fn by_a_link(anna: &Person, bert: &Person, cleo: &Person) {
    // It has another name since she looked last.
    group(anna, &["list"]);
    let made = group(anna, &["link", "the trip", "--days", "1"]);
    let link = made["link"].as_str().unwrap();
    assert!(link.starts_with("TIM:INVITE:1:") && link.len() == 293, "{made}");
    let listed = group(anna, &["links", "the trip"]);
    assert_eq!((&listed["link"], &listed["name"]), (&made["link"], &made["name"]));
    let shown = done(run(["group", "links", "the trip", "--dir", &anna.dir]));
    assert!(
        shown.contains(link) && shown.starts_with(&made["name"].as_str().unwrap()[..8]),
        "{shown}"
    );
    // A code for a device is not taken for a link, nor is a damaged one.
    let device = run(["group", "join", "TIM:LINK:1:00", "--dir", &cleo.dir]);
    assert!(refused(&device, 2).contains("links a device"));
    assert!(refused(&run(["group", "join", &link[..290], "--dir", &cleo.dir]), 2).contains("damaged"));
    refused(
        &run(["group", "link", "the trip", "--days", "1", "--dir", &cleo.dir]),
        1,
    );

    // The link comes over standard input as well.
    let mut asking = tokenim(["group", "join", "--json", "--dir", &cleo.dir])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut asking.stdin.take().unwrap(), format!("{link}\n").as_bytes()).unwrap();
    let asked = json(&done(asking.wait_with_output().unwrap()));
    assert_eq!(asked["standing"], "joining");
    let request = group(anna, &["requests", "the trip"]);
    assert_eq!(
        (&request["identity"], &request["link"]),
        (&cleo.identity.as_str().into(), &made["name"])
    );
    let shown = done(run(["group", "show", "the trip", "--dir", &anna.dir]));
    assert!(shown.contains(&format!("asks      {}", cleo.identity)), "{shown}");
    // Another admin was not asked.
    let none = run(["group", "admit", "the trip", &cleo.identity, "--dir", &bert.dir]);
    assert!(refused(&none, 1).contains("asks"));
    let admitted = group(anna, &["admit", "the trip", &cleo.identity]);
    assert_eq!(
        (members(&admitted), &admitted["requests"]),
        (3, &Value::Array(Vec::new()))
    );
    assert_eq!(group(cleo, &["list"])["standing"], "active");

    // Refused, and by all links that are gone.
    assert_eq!(members(&group(anna, &["remove", "the trip", &cleo.identity])), 2);
    group(cleo, &["list"]);
    group(cleo, &["join", link]);
    group(anna, &["requests", "the trip"]);
    assert_eq!(group(anna, &["refuse", "the trip", "--all"])["left"], 0);
    let none = run(["group", "admit", "the trip", &cleo.identity, "--dir", &anna.dir]);
    assert!(refused(&none, 1).contains("asks"));
    let name = &made["name"].as_str().unwrap()[..8];
    let revoked = group(anna, &["unlink", "the trip", name]);
    assert_eq!((&revoked["revoked"], &revoked["left"]), (&1.into(), &0.into()));
    refused(&run(["group", "unlink", "the trip", name, "--dir", &anna.dir]), 2);
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
    screen.escape_from("was accepted");
    screen.press("\u{f}");
    screen.shows(&bert.identity);
    screen.escape_from(&bert.identity);
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

fn on_two_screens(anna: &Person, bert: &Person) {
    let mut ours = Terminal::run(["chat", "--dir", &anna.dir]);
    let mut theirs = Terminal::run(["chat", "--dir", &bert.dir]);
    ours.shows("only for you");
    theirs.shows("only for you");
    ours.shows("connected");
    theirs.shows("connected");
    ours.press("\r");
    ours.press("a first draft");
    // A hint that can't go out at once is not sent: the next one is.
    for _ in 0..60 {
        if theirs.screen().contains("is typing") {
            break;
        }
        ours.press("x");
        std::thread::sleep(Duration::from_secs(1));
        ours.press("\u{7f}");
    }
    theirs.shows("is typing");
    ours.press("\r");
    theirs.shows("a first draft");
    // Another text in its place, a reaction to it, and then it is gone.
    ours.press("\u{1b}[A");
    ours.press("e");
    ours.shows("instead of: a first draft");
    ours.press(" mended\r");
    theirs.shows("a first draft mended");
    theirs.shows("edited");
    theirs.press("\t\t+1");
    ours.shows("👍 1");
    ours.press("\u{1b}[A");
    ours.press("dy");
    theirs.shows("(taken back)");
    assert!(!theirs.screen().contains("mended"));
    // What holds for the conversation.
    ours.press("\u{f}");
    ours.shows("Messages stay.");
    ours.press("t1d\r");
    theirs.shows("gone after 1 day");
    theirs.press("\u{14}");
    theirs.shows("receipts off");
    // What comes outside of it is not missed, here or later.
    anna.send(bert, "outside");
    theirs.shows("sent you something");
    theirs.shows("Other messages");
    anna.send(bert, "outside, too");
    theirs.shows("2 unread elsewhere");
    ours.press("\u{3}");
    assert_eq!(ours.ended().code(), Some(0));
    theirs.press("\u{3}");
    assert_eq!(theirs.ended().code(), Some(0));
    let inbox = || done(run(["inbox", "--dir", &bert.dir]));
    let text = inbox();
    assert!(text.contains("outside") && text.contains("outside, too"), "{text}");
    assert_eq!(inbox(), "");
    let receipts = |set: &[&str]| group(bert, &[&["receipts"], set].concat())["receipts"].clone();
    assert_eq!(receipts(&[]), false);
    assert_eq!(receipts(&["on"]), true);
    let stays = group(anna, &["disappear", &bert.identity, "off"]);
    assert_eq!(stays["disappear_after_s"], Value::Null);
}

/// A link is made, somebody asks by it, gets a name and is let in, all without leaving the screen.
fn by_a_link_on_the_screen(anna: &Person, dora: &Person) {
    let mut screen = Terminal::run(["chat", "--dir", &anna.dir]);
    screen.shows("the trip");
    for _ in 0..3 {
        if screen.screen().contains("the trip · ") {
            break;
        }
        screen.press("\u{1b}[B");
        std::thread::sleep(Duration::from_millis(500));
    }
    screen.shows("the trip · 2 members");
    screen.press("\u{f}");
    screen.shows("J links");
    screen.press("j");
    screen.shows("None yet.");
    screen.press("n");
    screen.shows("TIM:INVITE:1:");
    let made = group(anna, &["links", "the trip"]);
    group(dora, &["join", made["link"].as_str().unwrap()]);
    screen.shows("asks to be let into the trip");
    screen.escape_from("TIM:INVITE:1:");
    screen.press("a");
    screen.shows(&dora.identity);
    screen.press("c");
    screen.shows("What do you call");
    screen.press("Dora\r");
    screen.shows("K renew keys");
    screen.press("a");
    screen.shows("Dora: not verified");
    screen.press("a");
    screen.shows(&format!("Let Dora ({}", &dora.identity[..20]));
    screen.press("y");
    screen.shows("Nobody.");
    screen.shows("the trip · 3 members");
    screen.press("\u{3}");
    assert_eq!(screen.ended().code(), Some(0));
    let name = |args: &[&str]| {
        done(
            tokenim(["contact", "name", &dora.identity, "--dir", &anna.dir])
                .args(args)
                .output()
                .unwrap(),
        )
    };
    assert!(name(&[]).contains("is Dora to you"));
    let shown = done(run(["group", "show", "the trip", "--dir", &anna.dir]));
    assert!(shown.contains(&format!("Dora ({})", dora.identity)), "{shown}");
    assert!(name(&["--forget"]).contains("no name"));
    let hidden = run(["contact", "name", &dora.identity, "a\u{202e}b", "--dir", &anna.dir]);
    assert!(refused(&hidden, 2).contains("hide"));
    let own = run(["contact", "name", &anna.identity, "me", "--dir", &anna.dir]);
    refused(&own, 2);
}

/// What is written while no node answers is shown as waiting, is still there after leaving, and goes out by itself.
fn without_a_network(nodes: &mut Nodes, anna: &Person, bert: &Person) {
    let mut screen = Terminal::run(["chat", "--dir", &anna.dir]);
    screen.shows("connected");
    (0..4).for_each(|node| nodes.kill(node));
    screen.shows("not enough nodes answer");
    for _ in 0..5 {
        if screen.screen().contains("two people · ") {
            break;
        }
        screen.press("\u{1b}[B");
        std::thread::sleep(Duration::from_millis(500));
    }
    screen.shows("two people · ");
    screen.press("\r");
    screen.press("said into the void\r");
    screen.shows("queued");
    screen.shows("1 message kept, sent as soon as they do");
    screen.press("\u{3}");
    assert_eq!(screen.ended().code(), Some(0));
    let mut screen = Terminal::run(["chat", "--dir", &anna.dir]);
    screen.shows("said into the void");
    screen.shows("1 message kept, sent as soon as they do");
    (0..4).for_each(|node| nodes.run(node));
    screen.shows("stored");
    screen.shows("connected");
    let text = "said into the void".to_owned();
    assert_eq!(texts(bert, &anna.identity).last(), Some(&text));
    screen.shows("read");
    screen.press("\u{3}");
    assert_eq!(screen.ended().code(), Some(0));
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
