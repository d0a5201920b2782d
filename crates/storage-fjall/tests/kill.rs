//! A process that writes is killed with SIGKILL, several times: nothing that it had acknowledged is lost, and log,
//! envelopes and counters fit together.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};
use tokenim_mailbox::{Incarnation, LogEntry, LogId, MailboxTag};
use tokenim_storage::{
    Batch, MailboxStore, Put, PutOutcome, StateStore, Table,
    test_suite::{block_on, check_log},
};
use tokenim_storage_fjall::{FjallOptions, FjallStore};
use tokenim_wire::{EnvelopeId, Height, SetEpoch, UnixSeconds};

/// The folder and the round, for the process that is killed.
const CHILD_ENV: &str = "TOKENIM_KILL_CHILD";
const ROUNDS_ENV: &str = "TOKENIM_KILL_ROUNDS";
const TABLE: Table = Table::new("acknowledged");
const THREADS: u64 = 4;

fn options() -> FjallOptions {
    FjallOptions {
        free_bytes_min: 0,
        // So that writing out and merging happen, too.
        memtable_bytes_max: 1 << 20,
        ..FjallOptions::default()
    }
}

/// Every third put goes to a mailbox that all threads share.
fn put(round: u64, thread: u64, number: u64) -> Put {
    let owner = if number.is_multiple_of(3) { 100 } else { thread };
    let id = EnvelopeId::of(&[round, thread, number].map(u64::to_be_bytes).concat());
    let length = usize::from(id.as_bytes()[0]) * 64;
    Put {
        tag: MailboxTag::from_bytes([u8::try_from(owner).unwrap(); 32]),
        envelope: id,
        expiry: UnixSeconds::new(1000 + number),
        bytes: id.as_bytes().iter().copied().cycle().take(length).collect(),
        set_epoch: SetEpoch::new(1),
        incarnation: Incarnation::new(1),
        height: Height::new(round),
    }
}

/// Writes until it is killed, and prints what is acknowledged, once it is.
#[test]
fn child() {
    let Ok(text) = std::env::var(CHILD_ENV) else {
        return;
    };
    let (round, folder) = text.split_once(' ').unwrap();
    let round: u64 = round.parse().unwrap();
    let store = FjallStore::open(folder, options()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = store.clone();
            scope.spawn(move || {
                for number in 0.. {
                    let outcome = block_on(MailboxStore::put(&store, put(round, thread, number))).unwrap();
                    let line = format!(
                        "put {thread} {number} {} {} {}\n",
                        outcome.entry.index, outcome.root, outcome.height
                    );
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    if thread == 0 && number.is_multiple_of(5) {
                        let mut batch = Batch::new();
                        batch.put(TABLE, b"left", number.to_be_bytes());
                        batch.put(TABLE, b"right", number.to_be_bytes());
                        store.commit(batch).unwrap();
                        std::io::stdout()
                            .write_all(format!("row {number}\n").as_bytes())
                            .unwrap();
                    }
                    // Not what it has just put, whose acknowledgement may be lost with it.
                    if thread == 1 && number.is_multiple_of(7) {
                        block_on(store.expire(UnixSeconds::new(1000 + number / 2), 1000)).unwrap();
                    }
                }
            });
        }
    });
}

/// What one process acknowledged before it was killed.
struct Acknowledged {
    outcomes: Vec<(Put, PutOutcome)>,
    row: Option<u64>,
    /// Nothing that expires later was deleted.
    expired: UnixSeconds,
}

/// Runs a child until it has acknowledged so many writes, then kills it. What it wrote to its pipe until then counts.
fn run_and_kill(folder: &Path, round: u64, writes: usize) -> Acknowledged {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(CHILD_ENV, format!("{round} {}", folder.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = Vec::new();
    // The test harness also prints, and leaves its last line unfinished.
    let tidy = |line: String| line.trim_start_matches("test child ... ").to_owned();
    while seen.len() < writes {
        let line = tidy(lines.next().expect("the child goes on until it is killed").unwrap());
        if line.starts_with("put ") || line.starts_with("row ") {
            seen.push(line);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut off.
    seen.extend(lines.map_while(Result::ok).map(tidy));
    let mut out = Acknowledged {
        outcomes: Vec::new(),
        row: None,
        expired: UnixSeconds::ZERO,
    };
    for line in seen {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["put", thread, number, index, root, height] => {
                let put = put(round, thread.parse().unwrap(), number.parse().unwrap());
                let (Ok(index), Ok(root), Ok(height)) = (index.parse(), root.parse(), height.parse::<u64>()) else {
                    continue;
                };
                let outcome = PutOutcome {
                    log: LogId {
                        set_epoch: put.set_epoch,
                        incarnation: put.incarnation,
                    },
                    entry: LogEntry {
                        index,
                        envelope: put.envelope,
                        expiry: put.expiry,
                    },
                    size: index + 1,
                    root,
                    height: Height::new(height),
                    fresh: true,
                };
                if *thread == "1" {
                    out.expired = out.expired.max(put.expiry);
                }
                out.outcomes.push((put, outcome));
            }
            ["row", number] => out.row = number.parse().ok().or(out.row),
            _ => {}
        }
    }
    out
}

#[test]
fn nothing_acknowledged_is_lost() {
    let rounds = std::env::var(ROUNDS_ENV).map_or(5, |text| text.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let mut outcomes: BTreeMap<MailboxTag, Vec<(Put, PutOutcome)>> = BTreeMap::new();
    let mut expired = UnixSeconds::ZERO;
    for round in 1..=rounds {
        // Soon after the start, and later.
        let writes = [3, 40, 700, 250, 90][usize::try_from(round).unwrap() % 5];
        let acknowledged = run_and_kill(root.path(), round, writes);
        assert!(!acknowledged.outcomes.is_empty());
        expired = expired.max(acknowledged.expired);
        for (put, outcome) in acknowledged.outcomes {
            outcomes.entry(put.tag).or_default().push((put, outcome));
        }
        let store = FjallStore::open(root.path(), options()).unwrap();
        let mut held = (0, 0);
        for tag in block_on(store.tags(None, usize::MAX)).unwrap() {
            let known = outcomes.entry(tag).or_default();
            // Also checks the index and root of every acknowledged line, of this round and the ones before.
            let acknowledged: Vec<_> = known.iter().map(|(_, outcome)| *outcome).collect();
            check_log(&store, &tag, &acknowledged);
            let page = block_on(store.read(&tag, 0, usize::MAX, usize::MAX, Height::ZERO)).unwrap();
            for stored in &page.entries {
                assert!(
                    stored.bytes.is_some() || stored.entry.expiry <= expired,
                    "only what expired is deleted"
                );
                if let Some(bytes) = &stored.bytes {
                    held = (held.0 + 1, held.1 + bytes.len() as u64);
                }
            }
            for (put, outcome) in known {
                let stored = block_on(MailboxStore::get(&store, &tag, &put.envelope))
                    .unwrap()
                    .unwrap();
                assert_eq!(stored.entry, outcome.entry, "an acknowledged line is there");
                match stored.bytes {
                    Some(bytes) => assert!(bytes == put.bytes, "an acknowledged envelope is there"),
                    None => assert_eq!(block_on(store.contains(&tag, &put.envelope)), Ok(false)),
                }
                let again = block_on(MailboxStore::put(&store, put.clone())).unwrap();
                assert_eq!(
                    again,
                    PutOutcome {
                        fresh: false,
                        ..*outcome
                    },
                    "a repeat gets the first outcome"
                );
            }
        }
        let stats = block_on(store.stats()).unwrap();
        assert_eq!(
            (stats.envelopes, stats.bytes),
            held,
            "the counters are those of what is there"
        );
        if let Some(row) = acknowledged.row {
            let left = StateStore::get(&store, TABLE, b"left").unwrap().unwrap();
            assert!(
                u64::from_be_bytes(left.clone().try_into().unwrap()) >= row,
                "an acknowledged row is there"
            );
            assert_eq!(
                StateStore::get(&store, TABLE, b"right").unwrap(),
                Some(left),
                "a batch is there as a whole"
            );
        }
    }
}
