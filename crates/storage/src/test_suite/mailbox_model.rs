//! A mailbox store as simple as can be, to compare others with.

use super::{Script, block_on};
use crate::{LogHead, Logged, MailboxLimits, MailboxStats, MailboxStore, Page, Put, PutOutcome, StoreError, Stored};
use tokenim_mailbox::{Incarnation, LogEntry, LogId, MailboxTag, mmr};
use tokenim_wire::{Digest, EnvelopeId, Height, SetEpoch, UnixSeconds, hash, limits::ENVELOPE_BYTES_MAX};

/// The limits that a store needs for [`mailbox_model`], low enough to be met.
pub const MODEL_LIMITS: MailboxLimits = MailboxLimits {
    envelopes_max: 12,
    bytes_max: 2000,
};

/// The root of the list of these leaves, by the book.
fn naive_root(leaves: &[Digest]) -> Digest {
    fn tree(leaves: &[Digest]) -> Digest {
        match leaves {
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len() / 2);
                mmr::node(&tree(left), &tree(right))
            }
        }
    }
    fn bag(leaves: &[Digest]) -> Digest {
        let (mountain, rest) = leaves.split_at(1 << leaves.len().ilog2());
        if rest.is_empty() {
            tree(mountain)
        } else {
            mmr::node(&tree(mountain), &bag(rest))
        }
    }
    let size = u64::try_from(leaves.len()).unwrap().to_be_bytes();
    if leaves.is_empty() {
        hash(mmr::ROOT_LABEL, &[&size])
    } else {
        hash(mmr::ROOT_LABEL, &[&size, bag(leaves).as_bytes()])
    }
}

/// Checks that the lines of a mailbox make up the logs that outcomes and head speak of: indices from zero without gaps,
/// arrival numbers likewise, and for each outcome the root over the lines up to its own.
///
/// # Panics
/// If they don't.
pub fn check_log<S: MailboxStore>(store: &S, tag: &MailboxTag, outcomes: &[PutOutcome]) {
    let lines = block_on(store.log(tag, 0, usize::MAX)).unwrap();
    for (sequence, line) in (0..).zip(&lines) {
        assert_eq!(line.sequence, sequence, "arrival numbers have no gaps");
    }
    let leaves_of = |log: LogId| -> Vec<Digest> {
        let entries = lines.iter().filter(|line| line.log == log).map(|line| line.entry);
        (0..)
            .zip(entries)
            .map(|(index, entry)| {
                assert_eq!(entry.index, index, "indices have no gaps");
                entry.leaf()
            })
            .collect()
    };
    for outcome in outcomes {
        let leaves = leaves_of(outcome.log);
        let size = usize::try_from(outcome.size).unwrap();
        assert_eq!(outcome.size, outcome.entry.index + 1);
        assert_eq!(
            leaves[size - 1],
            outcome.entry.leaf(),
            "the line of an outcome is in the log"
        );
        assert_eq!(
            outcome.root,
            naive_root(&leaves[..size]),
            "the root of an outcome is that of the lines"
        );
    }
    let head = block_on(store.head(tag, Height::ZERO)).unwrap();
    assert_eq!(head.is_none(), lines.is_empty());
    if let Some(head) = head {
        let leaves = leaves_of(head.log());
        assert_eq!(usize::try_from(head.size), Ok(leaves.len()));
        assert_eq!(head.root, naive_root(&leaves), "the head's root is that of the lines");
        assert!(
            lines.iter().all(|line| line.log <= head.log()),
            "the head is that of the newest log"
        );
    }
}

/// A mailbox store that keeps flat lists and looks for everything.
#[derive(Default)]
struct Model {
    lines: Vec<(MailboxTag, PutOutcome)>,
    envelopes: Vec<(MailboxTag, EnvelopeId, UnixSeconds, Vec<u8>)>,
    height: Height,
}

impl Model {
    fn lines_of(&self, tag: MailboxTag) -> Vec<PutOutcome> {
        let lines = self.lines.iter().filter(|(of, _)| *of == tag);
        lines.map(|(_, line)| *line).collect()
    }

    fn held(&self, tag: MailboxTag, envelope: EnvelopeId) -> Option<(UnixSeconds, &[u8])> {
        self.envelopes
            .iter()
            .find(|held| (held.0, held.1) == (tag, envelope))
            .map(|held| (held.2, held.3.as_slice()))
    }

    fn stats(&self, tag: Option<MailboxTag>) -> MailboxStats {
        let held: Vec<_> = self
            .envelopes
            .iter()
            .filter(|held| tag.is_none_or(|tag| tag == held.0))
            .collect();
        MailboxStats {
            envelopes: held.len().try_into().unwrap(),
            bytes: held.iter().map(|held| held.3.len() as u64).sum(),
        }
    }

    fn put(&mut self, put: Put) -> Result<PutOutcome, StoreError> {
        if put.bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "an envelope",
                limit: ENVELOPE_BYTES_MAX,
                actual: put.bytes.len(),
            });
        }
        self.height = self.height.max(put.height);
        let (tag, log) = (put.tag, put.log());
        let mut leaves = Vec::new();
        for line in self.lines_of(tag).iter().filter(|line| line.log == log) {
            if line.entry.envelope == put.envelope {
                return Ok(PutOutcome { fresh: false, ..*line });
            }
            leaves.push(line.entry.leaf());
        }
        let held = self.held(tag, put.envelope).map(|held| held.0);
        if held.is_none() {
            MODEL_LIMITS.check(&self.stats(Some(tag)), put.bytes.len().try_into().unwrap())?;
        }
        let entry = LogEntry {
            index: leaves.len().try_into().unwrap(),
            envelope: put.envelope,
            expiry: held.unwrap_or(put.expiry),
        };
        leaves.push(entry.leaf());
        let line = PutOutcome {
            log,
            entry,
            size: leaves.len().try_into().unwrap(),
            root: naive_root(&leaves),
            height: self.height,
            fresh: true,
        };
        self.lines.push((tag, line));
        if held.is_none() {
            self.envelopes.push((tag, put.envelope, put.expiry, put.bytes));
        }
        Ok(line)
    }

    fn stored(&self, tag: MailboxTag, sequence: u64, line: &PutOutcome) -> Stored {
        Stored {
            sequence,
            log: line.log,
            entry: line.entry,
            bytes: self.held(tag, line.entry.envelope).map(|held| held.1.to_vec()),
        }
    }

    fn head(&self, tag: MailboxTag, at: Height) -> Option<LogHead> {
        let newest = self
            .lines_of(tag)
            .into_iter()
            .max_by_key(|line| (line.log, line.size))?;
        Some(LogHead {
            set_epoch: newest.log.set_epoch,
            incarnation: newest.log.incarnation,
            size: newest.size,
            root: newest.root,
            height: at.max(newest.height),
        })
    }

    fn read(&mut self, tag: MailboxTag, from: u64, items_max: usize, bytes_max: usize, at: Height) -> Page {
        self.height = self.height.max(at);
        let lines = self.lines_of(tag);
        let mut entries = Vec::new();
        let mut used = 0;
        for (sequence, line) in (0..).zip(&lines) {
            let stored = self.stored(tag, sequence, line);
            let size = stored.bytes.as_ref().map_or(0, Vec::len);
            if sequence < from {
                continue;
            }
            if entries.len() >= items_max || (used + size > bytes_max && !entries.is_empty()) {
                break;
            }
            used += size;
            entries.push(stored);
        }
        let next = match entries.last() {
            Some(last) => last.sequence + 1,
            None => from.min(lines.len().try_into().unwrap()),
        };
        Page {
            entries,
            head: self.head(tag, at),
            height: at,
            next,
        }
    }

    fn expire(&mut self, now: UnixSeconds, limit: usize) -> u64 {
        self.envelopes
            .sort_by_key(|(tag, envelope, expiry, _)| (*expiry, *tag, *envelope));
        let due = self
            .envelopes
            .iter()
            .take_while(|held| held.2 <= now)
            .take(limit)
            .count();
        self.envelopes.drain(..due);
        due.try_into().unwrap()
    }
}

/// Runs the operations that `script` spells on a store with [`MODEL_LIMITS`] and on a model of it, and compares all
/// answers. `reopen` is called where the script says so.
///
/// # Panics
/// If an answer differs.
pub fn mailbox_model<S: MailboxStore>(mut store: S, script: &[u8], reopen: impl Fn(S) -> S) {
    let mut model = Model::default();
    let mut script = Script(script);
    // Heights given before a restart are not passed after it.
    let mut floor = 0;
    let tag_of = |number: u8| MailboxTag::from_bytes([number; 32]);
    while !script.is_done() {
        let operation = script.below(32);
        let tag = tag_of(script.below(3));
        let envelope = EnvelopeId::from_bytes([script.below(24); 32]);
        let height = Height::new(floor + u64::from(script.below(4)));
        match operation {
            0..12 => {
                let length = match script.below(64) {
                    0 => ENVELOPE_BYTES_MAX + 1,
                    other => usize::from(other) * 9,
                };
                let put = Put {
                    tag,
                    envelope,
                    expiry: UnixSeconds::new(u64::from(envelope.as_bytes()[0]) % 8),
                    bytes: vec![envelope.as_bytes()[0]; length],
                    set_epoch: SetEpoch::new(u64::from(script.below(8) / 6)),
                    incarnation: Incarnation::new(u64::from(script.below(8) / 6)),
                    height,
                };
                assert_eq!(block_on(store.put(put.clone())), model.put(put), "put");
            }
            12..18 => {
                let from = u64::from(script.below(24));
                let (items_max, bytes_max) = (usize::from(script.below(8)), usize::from(script.byte()) * 6);
                assert_eq!(
                    block_on(store.read(&tag, from, items_max, bytes_max, height)),
                    Ok(model.read(tag, from, items_max, bytes_max, height)),
                    "read"
                );
            }
            18..20 => {
                let lines = model.lines_of(tag);
                let first = (0..).zip(&lines).find(|(_, line)| line.entry.envelope == envelope);
                let expected = first.map(|(sequence, line)| model.stored(tag, sequence, line));
                assert_eq!(block_on(store.get(&tag, &envelope)), Ok(expected), "get");
            }
            20..22 => {
                let expected = model.held(tag, envelope).is_some();
                assert_eq!(block_on(store.contains(&tag, &envelope)), Ok(expected), "contains");
            }
            22..24 => {
                let (now, limit) = (
                    UnixSeconds::new(u64::from(script.below(8))),
                    usize::from(script.below(6)),
                );
                assert_eq!(
                    block_on(store.expire(now, limit)),
                    Ok(model.expire(now, limit)),
                    "expire"
                );
            }
            24 => {
                let mut tags: Vec<_> = model.lines.iter().map(|(tag, _)| *tag).collect();
                tags.sort_unstable();
                tags.dedup();
                let after = (script.below(2) == 1).then_some(tag);
                let limit = usize::from(script.below(4));
                tags.retain(|other| after.is_none_or(|after| *other > after));
                tags.truncate(limit);
                assert_eq!(block_on(store.tags(after, limit)), Ok(tags), "tags");
            }
            25..27 => {
                let (from, limit) = (usize::from(script.below(16)), usize::from(script.below(8)));
                let lines = (0..).zip(model.lines_of(tag)).skip(from).take(limit);
                let expected = lines.map(|(sequence, line)| Logged {
                    sequence,
                    log: line.log,
                    entry: line.entry,
                });
                let found = block_on(store.log(&tag, from.try_into().unwrap(), limit)).unwrap();
                assert_eq!(found, expected.collect::<Vec<_>>(), "log");
            }
            27..29 => {
                model.height = model.height.max(height);
                assert_eq!(block_on(store.head(&tag, height)), Ok(model.head(tag, height)), "head");
            }
            29..31 => assert_eq!(block_on(store.stats()), Ok(model.stats(None)), "stats"),
            _ => {
                // Rare, since it is slow on a disk.
                if script.below(4) == 0 {
                    store = reopen(store);
                    floor = model.height.get();
                }
            }
        }
    }
    store = reopen(store);
    for tag in (0..3).map(tag_of) {
        check_log(&store, &tag, &model.lines_of(tag));
        let page = block_on(store.read(&tag, 0, usize::MAX, usize::MAX, model.height));
        assert_eq!(page, Ok(model.read(tag, 0, usize::MAX, usize::MAX, model.height)));
    }
    assert_eq!(block_on(store.stats()), Ok(model.stats(None)));
}
