//! Histories of identities: what a look-up shows of them, and every way in which they are false.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{At, Net, Person, digest, net, person};
use core::time::Duration;
use tokenim_identity::{Authorization, HistoryEntry, IdentityState, RecordError, Signature};
use tokenim_ledger::{
    HistoryPage, IdentityUpdate, LedgerLimits, LightClient, LookupProof, ProofError,
    proof::{EMPTY_STATE_ROOT, PathError, StateProof, Terminal},
};
use tokenim_wire::{BoundedVec, Height, Object, UnixMillis, limits};

struct Case {
    net: Net,
    client: LightClient,
    ann: Person,
    entries: Vec<HistoryEntry>,
}

const WINDOW: u64 = 72 * 60 * 60 * 1000;

/// The look-up of an identity in a state that holds nothing else.
fn lookup(net: &Net, state: &IdentityState) -> LookupProof {
    net.lookup(state, &[])
}

/// Six records over five blocks.
fn case() -> Case {
    let net = net(4, 4);
    assert_eq!(LedgerLimits::default().recovery_window_ms, WINDOW);
    let mut ann = person(1);
    let mut entries = Vec::new();
    let mut add = |update: IdentityUpdate, at: At| {
        entries.push(HistoryEntry {
            record: update.record,
            height: at.height,
            time: at.time,
        });
    };
    let due = At::height(5 + WINDOW / 500);
    for (device, height) in [(1, 3), (2, 3)] {
        let at = At::height(height);
        add(ann.add_device(&net.id, device, at), at);
    }
    add(ann.toggle_link(&net.id, 1, At::height(4)), At::height(4));
    add(ann.rotate_root(&net.id, At::height(5)), At::height(5));
    add(ann.complete(&net.id, due), due);
    let after = At::height(due.height.get() + 7);
    add(ann.revoke_device(&net.id, 1, after), after);
    Case {
        client: LightClient::new(&net.config).unwrap(),
        net,
        ann,
        entries,
    }
}

impl Case {
    fn check(&self, entries: Vec<HistoryEntry>) -> Result<Vec<HistoryEntry>, ProofError> {
        let start = IdentityState::new(&self.ann.genesis);
        let proof = lookup(&self.net, &self.ann.state);
        let shown = self
            .client
            .verify_history(&self.ann.state.id, &start, entries, WINDOW, &proof, None)?;
        Ok(shown.1.into_parts().1)
    }

    /// What becomes of the history with a change to it.
    fn lie(&self, change: impl FnOnce(&mut Vec<HistoryEntry>)) -> ProofError {
        let mut entries = self.entries.clone();
        change(&mut entries);
        self.check(entries).expect_err("a lie")
    }
}

fn at(at: u64, why: RecordError) -> ProofError {
    ProofError::HistoryRecord { at, why }
}

#[test]
fn a_whole_history_holds() {
    let case = case();
    assert_eq!(case.check(case.entries.clone()), Ok(case.entries.clone()));
    let page = HistoryPage {
        genesis: case.ann.genesis,
        entries: BoundedVec::try_from(case.entries.clone()).unwrap(),
        more: false,
    };
    let bytes = page.to_bytes().unwrap();
    assert!(bytes.len() <= HistoryPage::BYTES_MAX);
    assert_eq!(HistoryPage::from_bytes(&bytes).unwrap(), page);
    for cut in 0..bytes.len() {
        assert!(HistoryPage::from_bytes(&bytes[..cut]).is_err());
    }
    const { assert!(HistoryPage::BYTES_MAX < limits::FRAME_BYTES_MAX) };
}

#[test]
fn a_record_left_out_is_noticed() {
    let case = case();
    let sequence = |expected: u64| {
        let actual = expected + 1;
        at(expected, RecordError::WrongSequence { expected, actual })
    };
    for missing in 0..5 {
        assert_eq!(case.lie(|all| drop(all.remove(missing))), sequence(missing as u64 + 1));
    }
    let records = 6;
    assert_eq!(
        case.lie(|all| drop(all.pop())),
        ProofError::HistoryShort { shown: 5, records }
    );
    assert_eq!(case.lie(Vec::clear), ProofError::HistoryShort { shown: 0, records });
}

#[test]
fn records_out_of_order_or_twice_are_noticed() {
    let case = case();
    for first in 0..5 {
        let expected = first as u64 + 1;
        let actual = expected + 1;
        assert_eq!(
            case.lie(|all| all.swap(first, first + 1)),
            at(expected, RecordError::WrongSequence { expected, actual })
        );
        let actual = expected;
        let expected = expected + 1;
        assert_eq!(
            case.lie(|all| all.insert(first, all[first].clone())),
            at(expected, RecordError::WrongSequence { expected, actual })
        );
    }
}

#[test]
fn another_height_or_time_is_noticed() {
    let case = case();
    for place in 0..6 {
        for by in [1, 1000] {
            let later = case.lie(|all| all[place].height = all[place].height.saturating_add(by));
            assert!(
                matches!(later, ProofError::HistoryState | ProofError::HistoryRecord { .. }),
                "{later}"
            );
            let sooner = case.lie(|all| all[place].time = UnixMillis::new(all[place].time.get() - by));
            let early = place == 4;
            assert_eq!(
                matches!(
                    sooner,
                    ProofError::HistoryRecord {
                        at: 5,
                        why: RecordError::NotDue { .. }
                    }
                ),
                early,
                "{sooner}"
            );
            assert!(early || sooner == ProofError::HistoryState);
        }
    }
    // Nor all of them together, as if they had come in other blocks.
    let shifted = case.lie(|all| {
        for entry in all {
            entry.height = entry.height.saturating_add(1);
            entry.time = entry.time.saturating_add(500);
        }
    });
    assert_eq!(shifted, ProofError::HistoryState);
}

#[test]
fn a_record_of_somebody_else_or_of_nobody_is_noticed() {
    let case = case();
    let mut ben = person(2);
    let foreign = ben.add_device(&case.net.id, 1, At::height(3)).record;
    assert_eq!(
        case.lie(|all| all[0].record = foreign),
        at(1, RecordError::WrongIdentity)
    );
    let elsewhere = person(1).add_device(&digest("elsewhere", 0).into(), 1, At::height(3));
    assert_eq!(
        case.lie(|all| all[0].record = elsewhere.record),
        at(1, RecordError::WrongNetwork)
    );
    // A device that the person did not add, signed by nobody.
    let forged = Authorization::Root(Signature::from_bytes([7; 64]));
    assert_eq!(
        case.lie(|all| all[2].record.authorization = forged),
        at(3, RecordError::Signature)
    );
    // A record that the person did sign, but that never came on the ledger: nothing can follow it…
    let mut copy = person(1);
    for height in [3, 3] {
        let number = copy.state.seq + 1;
        copy.add_device(&case.net.id, number, At::height(height));
    }
    let never = copy.toggle_link(&case.net.id, 9, At::height(4)).record;
    assert_eq!(
        case.lie(|all| all[2].record = never.clone()),
        at(4, RecordError::WrongPrevious)
    );
    // … and at the end it leads to another state.
    let mut rival = person(1);
    rival.state = case.entries[..5].iter().fold(rival.state, |state, entry| {
        let place = At {
            height: entry.height,
            time: entry.time,
            window_ms: WINDOW,
        };
        state.apply(&place.place(&case.net.id), &entry.record).unwrap()
    });
    rival.root = 1;
    let last = At::height(case.entries[5].height.get());
    let never = rival.toggle_link(&case.net.id, 9, last).record;
    assert_eq!(case.lie(|all| all[5].record = never), ProofError::HistoryState);
}

#[test]
fn a_history_is_of_the_identity_asked_for() {
    let case = case();
    let ben = person(2);
    let proof = lookup(&case.net, &case.ann.state);
    let verify = |id, before: &IdentityState, proof: &LookupProof, max_age| {
        let entries = case.entries.clone();
        case.client.verify_history(id, before, entries, WINDOW, proof, max_age)
    };
    let start = IdentityState::new(&case.ann.genesis);
    let (id, other) = (&case.ann.state.id, &ben.state.id);
    verify(id, &start, &proof, None).unwrap();
    // A genesis of somebody else's, or a look-up.
    assert_eq!(verify(id, &ben.state, &proof, None), Err(ProofError::HistoryForeign));
    assert!(matches!(verify(other, &start, &proof, None), Err(ProofError::State(_))));
    let theirs = lookup(&case.net, &ben.state);
    assert_eq!(
        verify(id, &start, &theirs, None),
        Err(ProofError::State(PathError::Root))
    );
    assert_eq!(verify(other, &start, &theirs, None), Err(ProofError::HistoryForeign));
    // Nobody.
    let nobody = LookupProof {
        value: None,
        proof: StateProof::new(Terminal::Empty, []).unwrap(),
        finality: case.net.finality(
            &case
                .net
                .header(digest("receipts", 0), digest("sets", 0), EMPTY_STATE_ROOT),
        ),
    };
    assert_eq!(verify(id, &start, &nobody, None), Err(ProofError::WrongValue));
    // An old look-up, and one before what is known.
    let now = nobody.finality.subject().unwrap().time.saturating_add(1001);
    assert!(matches!(
        verify(id, &start, &proof, Some((now, Duration::from_secs(1)))),
        Err(ProofError::TooOld { .. })
    ));
    let mut older = person(1);
    older.add_device(&case.net.id, 1, At::height(3));
    assert_eq!(
        verify(id, &case.ann.state, &lookup(&case.net, &older.state), None),
        Err(ProofError::HistoryBehind { shown: 1, known: 6 })
    );
    // A known state that is none of the chain's.
    let mut strange = case.ann.state.clone();
    strange.log = digest("log", 0);
    assert_eq!(verify(id, &strange, &proof, None), Err(ProofError::HistoryState));
    assert_eq!(Height::new(6).get(), case.ann.state.seq);
    // Another window than the network's: what was carried out too early for it, or another time for what is pending.
    let entries = case.entries.clone();
    let longer = case
        .client
        .verify_history(id, &start, entries, WINDOW + 1, &proof, None)
        .unwrap_err();
    assert!(matches!(
        longer,
        ProofError::HistoryRecord {
            at: 5,
            why: RecordError::NotDue { .. }
        }
    ));
}
