//! What owners do with their identities, through the command alone.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokenim_identity::Phrase;
use tokenim_wire::hex;

use crate::network::{Nodes, Person};
use crate::{done, json, refused, run, tokenim};

/// The recovery window of the test's network.
const WINDOW: &str = "3";

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

fn show(person: &Person) -> Value {
    json(&done(run(["id", "show", "--json", "--dir", &person.dir])))
}

/// What `id history` says was done, in order.
fn history(asker: &Person, of: &Person) -> Vec<String> {
    let text = done(run(["id", "history", &of.identity, "--json", "--dir", &asker.dir]));
    let records = json(&text)["records"].as_array().unwrap().clone();
    let word = |record: &Value| record["operation"].as_str().unwrap().to_owned();
    records.iter().map(word).collect()
}

fn notices(person: &Person) -> Vec<String> {
    let text = done(run(["contact", "notices", "--json", "--dir", &person.dir]));
    let what = |line: &str| json(line)["what"].as_str().unwrap().to_owned();
    text.lines().map(what).collect()
}

/// One network for all of it, since starting one is what takes time.
#[test]
fn identities_are_backed_up_watched_verified_and_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let nodes = Nodes::start(dir, &["--recovery-window", WINDOW]);
    let words = path(dir, "words");
    let anna = Person::new(&nodes, dir, "anna", &["--words-to", &words]);
    let bert = Person::new(&nodes, dir, "bert", &[]);

    words_restore_what_they_say(dir, &anna, &words);
    strangers_ask_and_contacts_are_verified(&anna, &bert);
    accounts_are_shown_to_whom_one_chooses(dir, &anna, &bert, &words);

    // Anna's words are copied by a thief, who adds a device. She and Bert learn of it.
    let thief = Person::restore(&nodes, dir, "thief", &["--words-from", &words]);
    assert_eq!(thief.identity, anna.identity);
    assert!(notices(&anna).iter().any(|what| what.contains("If that was not you")));
    let keys = path(dir, "keys");
    done(run([
        "id",
        "recovery",
        "--out",
        &keys,
        "--words-from",
        &words,
        "--dir",
        &anna.dir,
    ]));
    let rotate = json(&done(run([
        "id",
        "rotate",
        "--json",
        "--words-from",
        &words,
        "--dir",
        &thief.dir,
    ])));
    assert!(rotate["pending_due_ms"].as_u64().is_some());

    // Two of three keys give the identity back: a new root, a new device, nothing of the thief's.
    let key = |number: u8| format!("{keys}/recovery-{number}.txt");
    let phone = path(dir, "phone");
    let fresh = path(dir, "fresh words");
    let genesis = nodes.genesis();
    let recover = |keys: &[String], dir: &str, to: &str| {
        let mut command = tokenim(["id", "recover", &anna.identity, "--json"]);
        command.args(["--network", &genesis, "--dir", dir, "--words-to", to]);
        for key in keys {
            command.args(["--key", key]);
        }
        command.output().unwrap()
    };
    refused(&recover(&[key(1)], &path(dir, "one key"), &path(dir, "of one")), 1);
    done(recover(&[key(1), key(3)], &phone, &fresh));
    let phone = Person {
        dir: phone,
        identity: anna.identity.clone(),
    };
    let shown = show(&phone);
    assert_eq!(shown["pending_due_ms"], Value::Null);
    let live = |device: &&Value| device["revoked"].is_null();
    assert_eq!(shown["devices"].as_array().unwrap().iter().filter(live).count(), 1);
    std::thread::sleep(Duration::from_secs(3));
    refused(&run(["id", "complete", "--dir", &thief.dir]), 1);
    refused(&run(["id", "backup", "--words-from", &words, "--dir", &phone.dir]), 1);
    done(run(["id", "backup", "--words-from", &fresh, "--dir", &phone.dir]));

    // Bert is told, and the mark is gone; what he sends reaches the new device alone.
    assert!(notices(&bert).iter().any(|what| what.contains("not verified any more")));
    assert_eq!(bert.send(&anna, "is that you?")["devices"].as_array().unwrap().len(), 1);
    assert_eq!(phone.inbox(), ["is that you?"]);
    let happened = history(&bert, &anna);
    assert!(
        happened.iter().any(|what| what.starts_with("recovered")),
        "{happened:?}"
    );

    // Words that came with a recovery don't give the name.
    let other = path(dir, "other");
    let restore = [
        "id",
        "restore",
        "--words-from",
        &fresh,
        "--network",
        &genesis,
        "--dir",
        &other,
    ];
    assert!(refused(&run(restore), 1).contains("--identity"));

    the_end_waits_for_the_window(&nodes, dir);
    second_words_take_a_name_and_no_words_are_logged(&nodes, dir);
}

fn words_restore_what_they_say(dir: &Path, anna: &Person, words: &str) {
    let told = json(&done(run([
        "id",
        "backup",
        "--json",
        "--words-from",
        words,
        "--dir",
        &anna.dir,
    ])));
    assert_eq!(
        (&told["identity"], &told["asked_ledger"]),
        (&anna.identity.as_str().into(), &true.into())
    );
    let nobody = path(dir, "nobody");
    let told = json(&done(run([
        "id",
        "backup",
        "--json",
        "--words-from",
        words,
        "--dir",
        &nobody,
    ])));
    assert_eq!(
        (&told["identity"], &told["asked_ledger"]),
        (&anna.identity.as_str().into(), &false.into())
    );

    let good = std::fs::read_to_string(words).unwrap();
    let wrong = path(dir, "wrong words");
    std::fs::write(&wrong, good.replacen(good.split(' ').next().unwrap(), "tokenim", 1)).unwrap();
    let text = refused(&run(["id", "backup", "--words-from", &wrong, "--dir", &nobody]), 3);
    assert!(text.contains("word 1") && !text.contains("tokenim "), "{text}");
    // The checksum misses one in 256 wrong orders: three of them it does not all miss.
    let mut turned: Vec<&str> = good.split_whitespace().collect();
    let refusals = (0..3).filter(|_| {
        turned.rotate_left(1);
        std::fs::write(&wrong, turned.join(" ")).unwrap();
        let output = run(["id", "backup", "--words-from", &wrong, "--dir", &nobody]);
        !output.status.success() && refused(&output, 3).contains("the words don't fit each other")
    });
    assert!(refusals.count() > 0);
}

fn strangers_ask_and_contacts_are_verified(anna: &Person, bert: &Person) {
    let postage = |bits: &[&str]| {
        let args = ["contact", "postage", "--dir", &anna.dir];
        run(args.into_iter().chain(bits.iter().copied()))
    };
    assert_eq!(done(postage(&[])), "12 bits for each message.\n");
    refused(&postage(&["33"]), 2);
    assert_eq!(done(postage(&["14"])), "14 bits for each message from now on.\n");
    assert_eq!(done(postage(&[])), "14 bits for each message.\n");
    bert.send(anna, "hello");
    let text = done(run(["inbox", "--json", "--dir", &anna.dir]));
    assert_eq!(
        (&json(&text)["text"], &json(&text)["request"]),
        (&"hello".into(), &true.into())
    );
    done(run(["contact", "block", &bert.identity, "--dir", &anna.dir]));
    bert.send(anna, "hello again");
    assert_eq!(anna.inbox(), ["hello"]);
    done(run(["contact", "allow", &bert.identity, "--dir", &anna.dir]));
    anna.send(bert, "hello yourself");
    assert_eq!(bert.inbox(), ["hello yourself"]);

    let shown = |one: &Person, other: &Person| {
        json(&done(run([
            "contact",
            "verify",
            &other.identity,
            "--json",
            "--dir",
            &one.dir,
        ])))
    };
    let (ours, theirs) = (shown(anna, bert), shown(bert, anna));
    assert_eq!(ours["safety_number"], theirs["safety_number"]);
    let verify = |text: &str| run(["contact", "verify", &anna.identity, "--shown", text, "--dir", &bert.dir]);
    refused(&verify(&"0".repeat(60)), 1);
    done(verify(ours["code"].as_str().unwrap()));
    let listed = json(&done(run(["contact", "list", "--json", "--dir", &bert.dir])));
    assert_eq!(listed["verified"], true);
}

fn accounts_are_shown_to_whom_one_chooses(dir: &Path, anna: &Person, bert: &Person, words: &str) {
    // A Solana account is an Ed25519 key, so that the test can be its wallet.
    use ed25519_dalek::{Signer as _, SigningKey};
    let wallet = SigningKey::from_bytes(&[7; 32]);
    let address = bs58::encode(wallet.verifying_key().as_bytes()).into_string();
    let account = format!("solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:{address}");
    let kept = path(dir, "link.json");
    let text = done(run([
        "id", "link", "text", &account, "--out", &kept, "--dir", &anna.dir,
    ]));
    let signature = bs58::encode(wallet.sign(text.trim_end_matches('\n').as_bytes()).to_bytes()).into_string();
    let add = |signature: &str| {
        run([
            "id",
            "link",
            "add",
            &kept,
            signature,
            "--json",
            "--words-from",
            words,
            "--dir",
            &anna.dir,
        ])
    };
    let other = bs58::encode(wallet.sign(b"something else").to_bytes()).into_string();
    refused(&add(&other), 3);
    let link = json(&done(add(&signature)))["link"].as_str().unwrap().to_owned();
    assert_eq!(
        json(&done(run(["id", "show", &anna.identity, "--json", "--dir", &bert.dir])))["links"],
        1
    );
    done(run(["id", "link", "show", &link, &bert.identity, "--dir", &anna.dir]));
    let text = done(run(["inbox", "--json", "--dir", &bert.dir]));
    assert_eq!(json(&text)["account"], account.as_str());
}

fn the_end_waits_for_the_window(nodes: &Nodes, dir: &Path) {
    let words = path(dir, "carl's words");
    let carl = Person::new(nodes, dir, "carl", &["--words-to", &words]);
    // The same words give the name and the next root.
    let output = run(["id", "rotate", "--words-from", &words, "--dir", &carl.dir]);
    assert!(!String::from_utf8(output.stderr.clone()).unwrap().contains("--identity"));
    assert!(done(output).contains("Pending"));
    done(run(["id", "cancel", "--words-from", &words, "--dir", &carl.dir]));
    let deactivate = ["id", "deactivate", "--json", "--words-from", &words, "--dir", &carl.dir];
    assert!(json(&done(run(deactivate)))["pending_due_ms"].as_u64().is_some());
    done(run(["id", "cancel", "--words-from", &words, "--dir", &carl.dir]));
    refused(&run(["id", "complete", "--dir", &carl.dir]), 1);
    done(run(deactivate));
    std::thread::sleep(Duration::from_secs(4));
    done(run(["id", "complete", "--dir", &carl.dir]));
    assert!(show(&carl)["deactivated"].as_u64().is_some());
}

/// Whether three words in a row, or the entropy that they stand for, are in a text.
fn tells(text: &str, words: &str) -> bool {
    let entropy = Phrase::parse(words).unwrap().expose_entropy();
    let (hex, list) = (hex::encode(&*entropy), format!("{:?}", &*entropy));
    let letters = |text: &str| {
        let kept = text.replace(|letter: char| !letter.is_ascii_alphabetic(), " ");
        kept.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (text_letters, words) = (letters(text), letters(words));
    let words: Vec<&str> = words.split(' ').collect();
    words.windows(3).any(|row| text_letters.contains(&row.join(" ")))
        || text.to_lowercase().contains(&hex)
        || text.contains(list.trim_matches(['[', ']']))
}

/// Second words, with everything logged: nothing that was logged tells any words.
fn second_words_take_a_name_and_no_words_are_logged(nodes: &Nodes, dir: &Path) {
    let (words, second) = (path(dir, "dora's words"), path(dir, "dora's second words"));
    let (words, second) = (words.as_str(), second.as_str());
    let genesis = nodes.genesis();
    let mut logs = String::new();
    let mut logged = |args: &[&str]| {
        let output = tokenim(args).arg("-vv").output().unwrap();
        logs.push_str(&String::from_utf8(output.stderr.clone()).unwrap());
        done(output)
    };

    // Both sorts of words to files, and once in the one object.
    let dora = path(dir, "dora");
    let place = ["--network", &genesis, "--dir", &dora];
    let new = [
        "id",
        "new",
        "--json",
        "--second-phrase",
        "--words-to",
        words,
        "--next-words-to",
        second,
    ];
    let made = json(&logged(&[&new[..], &place].concat()));
    let identity = made["identity"].as_str().unwrap();
    assert_eq!((&made["words"], &made["next_words"]), (&Value::Null, &Value::Null));
    let emil = path(dir, "emil");
    let made = [
        "id",
        "new",
        "--json",
        "--second-phrase",
        "--network",
        &genesis,
        "--dir",
        &emil,
    ];
    let made = json(&logged(&made));
    let emils = ["words", "next_words"].map(|which| made[which].as_str().unwrap().to_owned());

    // Without a name, they are not those of a new identity. What they give is said with its condition.
    let tablet = path(dir, "tablet");
    let place = ["--network", &genesis, "--dir", &tablet];
    let restore = ["id", "restore", "--words-from", words];
    let alone = Phrase::parse(&std::fs::read_to_string(words).unwrap())
        .unwrap()
        .genesis()
        .id();
    let text = refused(&run([&restore[..], &place].concat()), 1);
    assert!(
        text.contains("--identity") && text.contains(&alone.to_string()),
        "{text}"
    );
    assert!(!Path::new(&tablet).exists(), "nothing was made");
    let backup = ["id", "backup", "--words-from", words, "--dir", &tablet];
    let text = logged(&backup);
    assert!(text.contains(&alone.to_string()) && text.contains("only if"), "{text}");
    let text = logged(&[&backup[..], &["--next-words-from", second]].concat());
    assert!(text.contains(identity) && !text.contains("only if"), "{text}");
    logged(&[&restore[..], &["--identity", identity], &place].concat());

    // With a folder, the ledger says whose next key the second words give.
    let backup = [
        "id",
        "backup",
        "--words-from",
        words,
        "--dir",
        &tablet,
        "--next-words-from",
    ];
    assert!(logged(&[&backup[..], &[second]].concat()).contains("--identity"));
    refused(&run([&backup[..], &[words]].concat()), 3);

    // The first words are stolen: the second ones take their place.
    let keys = path(dir, "dora's keys");
    let signed = ["--words-from", words, "--next-words-from", second, "--dir", &tablet];
    logged(&[&["id", "recovery", "--out", &keys][..], &signed].concat());
    let output = tokenim([&["id", "rotate"][..], &signed].concat()).output().unwrap();
    let told = format!("--identity {identity}");
    assert!(
        String::from_utf8(output.stderr.clone()).unwrap().contains(&told),
        "{output:?}"
    );
    done(output);
    std::thread::sleep(Duration::from_secs(4));
    logged(&["id", "complete", "--dir", &tablet]);
    refused(&run(["id", "backup", "--words-from", words, "--dir", &tablet]), 1);
    logged(&["id", "backup", "--words-from", second, "--dir", &tablet]);
    let phone = path(dir, "dora's phone");
    let place = ["--identity", identity, "--network", &genesis, "--dir", &phone];
    logged(&[&["id", "restore", "--words-from", second][..], &place].concat());
    let fresh = path(dir, "dora's fresh words");
    let (one, two, desk) = (
        format!("{keys}/recovery-1.txt"),
        format!("{keys}/recovery-2.txt"),
        path(dir, "desk"),
    );
    let recover = [
        "id",
        "recover",
        identity,
        "--key",
        &one,
        "--key",
        &two,
        "--words-to",
        &fresh,
    ];
    logged(&[&recover[..], &["--network", &genesis, "--dir", &desk]].concat());

    assert!(logs.contains("DEBUG"), "something is logged: {logs}");
    let kept = [words, second, &fresh].map(|file| std::fs::read_to_string(file).unwrap());
    for words in kept.iter().chain(&emils) {
        assert!(tells(words, words));
        assert!(!tells(&logs, words), "words are in the logs");
    }
    for key in [&one, &two] {
        let key = std::fs::read_to_string(key).unwrap();
        assert!(!logs.contains(key.trim()), "a recovery key is in the logs");
    }
    assert!(!logs.contains("correct horse"), "the passphrase is in the logs");
}
