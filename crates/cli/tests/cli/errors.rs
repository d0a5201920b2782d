use std::fs;
use std::net::{TcpListener, UdpSocket};

use crate::{contents, done, refused, run, tokenim};

const SOMEONE: &str = "tim1ju6w8c2rxsdr4uc7vnphlaaedwg57zvlrsf0eq5a8e9pfatxepus4qq53w";

/// A network that is laid out but does not run, in a temporary folder.
fn network() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("net");
    done(run(["init", "local", "--nodes", "1", "--dir", dir.to_str().unwrap()]));
    let dir = dir.to_str().unwrap().to_owned();
    (folder, dir)
}

#[test]
fn command_lines_that_are_wrong_are_told_in_one_line() {
    for (line, says) in [
        (&["send"][..], "IDENTITY"),
        (&["send", "tim1qqqq", "x"], "mistyped"),
        (&["frob"], "unrecognized subcommand"),
        (&["demo", "--nodes", "2"], "4..=32"),
        (&["demo", "--messages", "0"], "1..=100000"),
        (&["receipt", "zz"], "invalid value"),
        (&["completions", "tcsh"], "invalid value"),
    ] {
        let text = refused(&run(line), 2);
        assert!(text.contains(says) && text.contains("--help"), "{text}");
    }
}

#[test]
fn help_and_completions_are_there() {
    let help = done(run(["--help"]));
    for command in [
        "demo", "devnet", "init", "node", "status", "id", "send", "inbox", "receipt", "verify",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let help = done(run([command, "--help"]));
        assert!(help.contains("Example") || command == "id", "{command} has no example");
    }
    assert!(help.contains("Exit codes"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(done(run(["completions", shell])).contains("devnet"));
    }
}

#[test]
fn a_missing_folder_or_network_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("nobody");
    let dir = dir.to_str().unwrap();
    for line in [
        &["send", SOMEONE, "hi", "--dir", dir][..],
        &["inbox", "--dir", dir],
        &["id", "show", "--dir", dir],
        &["receipt", "00000000000000000000000000000000", "--dir", dir],
    ] {
        assert!(refused(&run(line), 3).contains("tokenim id new"), "{line:?}");
    }
    for line in [&["id", "new", "--dir", dir][..], &["status", "--dir", dir]] {
        assert!(refused(&run(line), 3).contains("--network"), "{line:?}");
    }
    let text = refused(
        &run(["id", "new", "--dir", dir, "--network", "/nonexistent/genesis.tim"]),
        3,
    );
    assert!(text.contains("no such file"), "{text}");
    assert!(!folder.path().join("nobody").exists(), "nothing is made");
}

#[test]
fn what_is_no_network_or_proof_is_told() {
    let (folder, net) = network();
    let junk = folder.path().join("junk");
    fs::write(&junk, b"\x01 this is nothing of ours").unwrap();
    let junk = junk.to_str().unwrap();
    let genesis = format!("{net}/genesis.tim");
    let text = refused(&run(["status", "--network", junk]), 3);
    assert!(text.contains("no network configuration"), "{text}");
    let text = refused(&run(["verify", junk, "--network", &genesis]), 4);
    assert!(text.contains("no acceptance proof"), "{text}");
    let text = refused(&run(["verify", "/dev/zero", "--network", &genesis]), 4);
    assert!(text.contains("no acceptance proof"), "{text}");
    let text = refused(&run(["verify", "/nonexistent", "--network", &genesis]), 3);
    assert!(text.contains("no such file"), "{text}");
}

#[test]
fn passphrases_that_are_not_there_are_told() {
    let (folder, net) = network();
    let dir = folder.path().join("anna");
    let dir = dir.to_str().unwrap();
    let genesis = format!("{net}/genesis.tim");
    let new = ["id", "new", "--dir", dir, "--network", &genesis];
    let text = refused(&tokenim(new).env_remove("TOKENIM_PASSPHRASE").output().unwrap(), 3);
    assert!(
        text.contains("TOKENIM_PASSPHRASE") && text.contains("--passphrase-file"),
        "{text}"
    );
    let text = refused(&tokenim(new).env("TOKENIM_PASSPHRASE", "").output().unwrap(), 3);
    assert!(text.contains("is empty"), "{text}");
    let text = refused(
        &tokenim(new)
            .args(["--passphrase-file", "/nonexistent"])
            .output()
            .unwrap(),
        3,
    );
    assert!(text.contains("no such file"), "{text}");
    assert!(!folder.path().join("anna").exists(), "nothing is made");
}

#[test]
fn messages_that_cannot_be_sent_are_told_before_anything_else() {
    let (folder, net) = network();
    let dir = folder.path().join("anna");
    let dir = dir.to_str().unwrap();
    // Made, though nobody can register it.
    let output = tokenim([
        "id",
        "new",
        "--dir",
        dir,
        "--network",
        &format!("{net}/genesis.tim"),
        "--words-to",
    ])
    .arg(folder.path().join("words"))
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(5));
    let words = fs::read_to_string(folder.path().join("words")).unwrap();
    assert_eq!(words.split_whitespace().count(), 24);
    let before = contents(&folder.path().join("anna"));

    let big = folder.path().join("big");
    fs::write(&big, vec![b'x'; 70_000]).unwrap();
    let text = refused(
        &run(["send", SOMEONE, "--dir", dir, "--file", big.to_str().unwrap()]),
        2,
    );
    assert!(text.contains("61 KiB"), "{text}");
    assert!(refused(&run(["send", SOMEONE, "--dir", dir, "--file", "/nonexistent"]), 3).contains("no such file"));
    assert!(refused(&run(["send", SOMEONE, "--dir", dir, "--file", "/tmp"]), 3).contains("is a folder"));
    assert!(refused(&run(["send", SOMEONE, "--dir", dir]), 2).contains("nothing to send"));
    let text = refused(&run(["receipt", "00000000000000000000000000000000", "--dir", dir]), 1);
    assert!(text.contains("no message"), "{text}");
    let text = refused(
        &run(["id", "new", "--dir", dir, "--network", &format!("{net}/genesis.tim")]),
        3,
    );
    assert!(text.contains("already holds an identity"), "{text}");

    let wrong = tokenim(["inbox", "--dir", dir])
        .env("TOKENIM_PASSPHRASE", "wrong")
        .output()
        .unwrap();
    assert!(refused(&wrong, 3).contains("wrong passphrase"));
    assert_eq!(
        contents(&folder.path().join("anna")).len(),
        before.len(),
        "no data touched"
    );
}

#[test]
fn damaged_and_foreign_folders_are_told_and_left_alone() {
    let (folder, net) = network();
    let anna = folder.path().join("anna");
    let dir = anna.to_str().unwrap();
    let output = run([
        "id",
        "new",
        "--dir",
        dir,
        "--network",
        &format!("{net}/genesis.tim"),
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(5));
    let store = anna.join("client.redb");
    let whole = fs::read(&store).unwrap();

    for (what, bytes) in [
        ("empty", Vec::new()),
        ("cut", whole[..whole.len() / 3].to_vec()),
        ("overwritten", [vec![0xaa; 9_000], whole[9_000..].to_vec()].concat()),
    ] {
        fs::write(&store, &bytes).unwrap();
        let text = refused(&run(["inbox", "--dir", dir]), 3);
        assert!(text.contains("is damaged"), "{what}: {text}");
        assert!(fs::read(&store).unwrap() == bytes, "{what}: no data touched");
    }
    fs::write(&store, &whole).unwrap();

    // The configuration of another network in the same folder.
    let (_other, foreign) = network();
    let own = fs::read(anna.join("genesis.tim")).unwrap();
    fs::copy(format!("{foreign}/genesis.tim"), anna.join("genesis.tim")).unwrap();
    assert!(refused(&run(["inbox", "--dir", dir]), 3).contains("another network"));
    fs::write(anna.join("genesis.tim"), &own[..own.len() - 1]).unwrap();
    assert!(refused(&run(["inbox", "--dir", dir]), 3).contains("no network configuration"));
    fs::remove_file(anna.join("genesis.tim")).unwrap();
    assert!(refused(&run(["inbox", "--dir", dir]), 3).contains("no such file"));
}

#[test]
fn nodes_that_cannot_start_say_why() {
    let (folder, net) = network();
    let node = format!("{net}/node-1");
    let config = format!("{node}/config.toml");
    let good = fs::read_to_string(&config).unwrap();
    let start = || refused(&run(["node", "--dir", &node]), 3);

    fs::write(&config, good.replace("heartbeat_ms", "heartbeats_ms")).unwrap();
    assert!(start().contains("heartbeats_ms"));
    fs::write(&config, good.replace("level = \"info\"", "level = \"tokenim=loud\"")).unwrap();
    assert!(start().contains("log.level"));
    fs::write(&config, b"\xff\xfe no text").unwrap();
    assert!(start().contains("config.toml is damaged"));
    fs::write(&config, &good).unwrap();

    let listen = good.lines().find_map(|line| line.strip_prefix("listen = \"")).unwrap();
    let taken = UdpSocket::bind(listen.trim_end_matches('"')).unwrap();
    let text = start();
    assert!(text.contains("in use"), "{text}");
    drop(taken);
    let pages = good.lines().filter_map(|line| line.strip_prefix("listen = \"")).nth(1);
    let taken = TcpListener::bind(pages.unwrap().trim_end_matches('"')).unwrap();
    let text = start();
    assert!(text.contains("in use") && text.contains("http.listen"), "{text}");
    drop(taken);
    assert!(!folder.path().join("net/node-1/store").exists(), "nothing is made");

    let text = refused(
        &run(["node", "--dir", folder.path().join("nothing").to_str().unwrap()]),
        3,
    );
    assert!(text.contains("tokenim init"), "{text}");
    let text = refused(&run(["init", "local", "--dir", &net]), 3);
    assert!(text.contains("is not empty"), "{text}");
    let text = refused(
        &run(["devnet", "--dir", folder.path().to_str().unwrap(), "--nodes", "1"]),
        3,
    );
    assert!(text.contains("is not empty"), "{text}");
    let text = refused(&run(["demo", "--dir", &net]), 3);
    assert!(text.contains("is not empty"), "{text}");
}

#[test]
fn a_sealed_node_key_needs_its_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let dir = dir.to_str().unwrap();
    let made = tokenim(["init", "node", "--dir", dir, "--listen", "127.0.0.1:7400", "--seal"])
        .env("TOKENIM_NODE_PASSPHRASE", "node secret")
        .output()
        .unwrap();
    let member = done(made).trim().to_owned();
    let genesis = folder.path().join("genesis.tim");
    let genesis = genesis.to_str().unwrap();
    done(run([
        "init", "genesis", "--name", "one", "--member", &member, "--out", genesis,
    ]));
    done(run(["init", "join", "--dir", dir, genesis]));
    done(run(["init", "join", "--dir", dir, genesis]));
    assert!(
        refused(
            &run([
                "init", "genesis", "--name", "one", "--member", &member, "--out", genesis
            ]),
            3
        )
        .contains("exists")
    );
    let text = refused(
        &run([
            "init", "genesis", "--name", "one", "--member", "nokey@x", "--out", "/tmp/x",
        ]),
        2,
    );
    assert!(text.contains("KEY@ADDRESS"), "{text}");

    let text = refused(&run(["node", "--dir", dir]), 3);
    assert!(text.contains("TOKENIM_NODE_PASSPHRASE"), "{text}");
    let wrong = tokenim(["node", "--dir", dir])
        .env("TOKENIM_NODE_PASSPHRASE", "x")
        .output()
        .unwrap();
    assert!(refused(&wrong, 3).contains("passphrase"));
}
